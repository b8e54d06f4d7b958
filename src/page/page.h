/* page/page.h -- pages: where they live, who may change them, what becomes of
 * the old ones.
 *
 * A page is named by a 64-bit reference.  Published pages are numbers in the
 * page file; they are immutable and read through one read-only mapping.
 * Private pages (top bit set) are frames in this process's memory.
 *
 *     file page --change--> private frame --publish--> new file page
 *
 *   P1  A published page never changes while anything can reach it.
 *   P2  A frame is changed in place only by the work that made it, and only
 *       if no savepoint was taken since (work->epoch); or if it was born after
 *       work->open_after, when nobody else can see it.
 *   P3  Every page dropped is either a frame, freed when no local reader can
 *       see it, or a file page, noted in work->drops for the allocator.
 *   P4  A file page is checked (sum, structure) at this process's first touch.
 *   P5  What was born at work->pinned or before is shared with a pin: dropping
 *       it is not noted (txn/lineage.h says who releases it).
 * Not here: what keys are (tree/), processes (share/), the log (log/).
 */
#ifndef PAGE_PAGE_H
#define PAGE_PAGE_H

#include "base/base.h"
#include "os/os.h"

typedef u64 page_ref;

#define PAGE_PRIVATE ((page_ref)1 << 63)
#define PAGE_NONE ((page_ref)0) /* page 0 is a superblock, never a node */

/* A number from a file is below this, or the file is malformed. */
#define PAGE_NUMBER_MAX ((page_ref)1 << 36)

static inline bool page_is_private(page_ref ref)
{
    return (ref & PAGE_PRIVATE) != 0;
}

enum page_kind {
    PAGE_LEAF = 1,   /* tree/node.h */
    PAGE_BRANCH = 2, /* tree/node.h */
    PAGE_SPACE = 3,  /* page/space.c: a piece of the persisted free list */
    PAGE_PATCH = 4,  /* tree/patch.h */
};

/* Is a page of this kind a part of a tree? */
static inline bool page_kind_of_tree(unsigned kind)
{
    return kind == PAGE_LEAF || kind == PAGE_BRANCH || kind == PAGE_PATCH;
}

/* The first bytes of every page but superblocks and extents (format.md 3.1). */
struct page_head {
    u64 sum;     /* XXH3 of the rest of the page, seeded with its number */
    u64 birth;   /* publication it began with; 0 while private */
    u8 kind;     /* of page_kind */
    u8 level;    /* 0 for leaves; a parent is one above its children */
    u16 count;   /* the layers above own these six fields */
    u16 prefix : 12, infix : 4;
    u16 cell_low;
    u16 dead;
    u16 run;
    u32 owner;   /* page_owner(): whom it was born to; 0: not said */
};
_Static_assert(sizeof(struct page_head) == 32, "format.md 3.1");
_Static_assert(offsetof(struct page_head, birth) == 8, "format.md 3.1");
_Static_assert(offsetof(struct page_head, kind) == 16, "format.md 3.1");
_Static_assert(offsetof(struct page_head, level) == 17, "format.md 3.1");
_Static_assert(offsetof(struct page_head, count) == 18, "format.md 3.1");
_Static_assert(offsetof(struct page_head, cell_low) == 22, "format.md 3.1");
_Static_assert(offsetof(struct page_head, dead) == 24, "format.md 3.1");
_Static_assert(offsetof(struct page_head, run) == 26, "format.md 3.1");

/* A mark of tree NUMBER (0: the catalog), never 0.  Only salvage reads it: it
 * tells whose a page is when what led to it is damaged. */
static inline u32 page_owner(u64 tree)
{
    return (u32)(((tree + 1) * 0x9e3779b97f4a7c15u) >> 32) | 1;
}

/* A large value: consecutive pages, no headers, the bytes from the start
 * (format.md 3.5). */
struct page_extent {
    u64 first;   /* page number; or PAGE_PRIVATE | address of the bytes */
    u64 size;    /* bytes */
    u64 sum;     /* XXH3 of the bytes, seeded with SIZE */
    u64 birth;   /* publication that its first version stood on */
};
_Static_assert(sizeof(struct page_extent) == 32, "format.md 3.5");
_Static_assert(offsetof(struct page_extent, size) == 8, "format.md 3.5");
_Static_assert(offsetof(struct page_extent, sum) == 16, "format.md 3.5");
_Static_assert(offsetof(struct page_extent, birth) == 24, "format.md 3.5");

/* The first publication that a large value can be in: it is compared with
 * pins as a page's birth is. */
static inline u64 page_extent_born(const struct page_extent *extent)
{
    return extent->birth + 1;
}

/* The validator of a kind: called once on the first touch of a file page,
 * before anyone reads it.  Returns 0 or CORRUPT.  Set by the kind's owner. */
typedef int (*page_validate_fn)(const struct page_head *page, u32 page_bytes);

struct page_file; /* the open page file with its map and frames; page/file.h */
struct space;     /* the free pages of the file; page/space.h */

/* The way to a tree's last leaf, every page of it changeable: whoever puts keys
 * in order need not look for it (tree/tree.c).
 *   P6  It is forgotten whenever the work makes or drops a page, and is of one
 *       epoch: while it is there, the pages are what and where they were. */
enum { PAGE_TRAIL_MAX = 16 };
struct page_trail {
    page_ref root;      /* PAGE_NONE: there is none */
    u32 epoch;
    u32 depth;
    struct page_head *pages[PAGE_TRAIL_MAX];  /* by level */
};

/* One unit of change: a commit being built, or a transaction's private view. */
struct page_work {
    struct page_file *file;
    struct page_trail trail;
    u64 seq;            /* the commit these pages will belong to */
    u64 tag;            /* unique to this work: frames carry it (P2) */
    u64 birth;          /* newest publication: of large values written now */
    u64 pinned;         /* P5: of the tree that is being changed; 0: none */
    u32 epoch;          /* savepoints taken; older frames are frozen */
    bool may_write;     /* holds the turn: extents go to the file at once */
    bool opened;        /* it changed frames that it did not make (P2) */
    u64 open_after;     /* order; UINT64_MAX: it may not (txn/version.c) */
    struct space *space;          /* with may_write: where numbers come from */
    struct page_drop *drops;      /* what this work made unreachable */
    size_t drop_count, drop_capacity;
    page_ref *frames;             /* frames this work made and still owns */
    size_t frame_count, frame_capacity;
};

struct page_drop {
    page_ref ref;
    u64 birth;   /* of a file page; 0 unknown.  Of a frame: its work's seq */
    u32 pages;   /* 1, or an extent's length */
};

static inline void page_trail_forget(struct page_work *w)          /* P6 */
{
    w->trail.root = PAGE_NONE;
}

/* Is the trail that of the tree with this root, which is not PAGE_NONE? */
static inline bool page_trail_stands(const struct page_work *w, page_ref root)
{
    return w->trail.root == root && w->trail.epoch == w->epoch;
}

/* The bytes of a page, valid while its version is pinned (published) or while
 * its work lives (private).  Errors: CORRUPT, IO. */
static inline int page_read(struct page_file *f, page_ref ref,
                            const struct page_head **page);

/* A new zeroed frame of KIND and LEVEL, owned by WORK.  Errors: NOMEM. */
int page_fresh(struct page_work *w, enum page_kind kind, unsigned level,
               page_ref *ref, struct page_head **page);

/* Make *ref changeable: itself if WORK owns it in this epoch, else a copy in a
 * new frame (*ref is replaced, the old one dropped).  NOMEM, CORRUPT. */
int page_change(struct page_work *w, page_ref *ref, struct page_head **page);

/* REF is no longer reachable from the version WORK builds.  Errors: NOMEM. */
int page_drop(struct page_work *w, page_ref ref);

/* Store a large value.  With may_write it goes to the file at once; otherwise
 * *extent remembers the caller's bytes, which must outlive WORK.
 * Errors: NOSPACE, IO, NOMEM. */
int page_extent_write(struct page_work *w, luge_bytes value,
                      struct page_extent *extent);
/* The bytes of a large value.  Checked at first touch.  Errors: CORRUPT. */
int page_extent_read(struct page_file *f, const struct page_extent *extent,
                     luge_bytes *value);
/* The published pages [first, first + count) will be read soon: begin to read
 * them.  A hint: numbers that no file has are ignored. */
void page_will_need(struct page_file *f, page_ref first, u64 count);
/* Somebody is about to read most of the file, in another order: begin to read
 * COUNT pages from *next on, and move it.  False, and nothing is done: all was
 * asked for, or the file would fill more than half of memory. */
bool page_will_need_all(struct page_file *f, page_ref *next, u64 count);
int page_extent_drop(struct page_work *w, const struct page_extent *extent);

u32 page_bytes(const struct page_file *f);

/* --- the inline part of page_read --- */

struct page_map {              /* the first member of struct page_file */
    const u8 *base;            /* the mapped file */
    u8 *frames;                /* the frame pool */
    _Atomic u64 *checked;      /* a bit for each file page found good */
    u32 page_bytes, page_shift;
    _Atomic u64 page_count;    /* pages the newest known version may name */
};

int page_first_touch(struct page_file *f, page_ref ref);

/* Has this process read the page REF of the file before? */
static inline bool page_is_checked(const struct page_file *f, page_ref ref)
{
    const struct page_map *m = (const struct page_map *)f;
    /* Relaxed: who set the bit and who sees it read the same file. */
    u64 word = atomic_load_explicit(
        &m->checked[(ref >> 6) & (PAGE_NUMBER_MAX / 64 - 1)],
        memory_order_relaxed);
    return word >> (ref & 63) & 1;
}

static inline int page_read(struct page_file *f, page_ref ref,
                            const struct page_head **page)
{
    const struct page_map *m = (const struct page_map *)f;
    if (page_is_private(ref)) {
        u64 offset = (ref & ~PAGE_PRIVATE) << m->page_shift;
        *page = (const struct page_head *)(const void *)(m->frames + offset);
        return 0;
    }
    if (unlikely(!page_is_checked(f, ref))) {
        int rc = page_first_touch(f, ref);
        if (rc) return rc;
    }
    *page = (const struct page_head *)(const void *)(m->base +
                                                    (ref << m->page_shift));
    return 0;
}

#endif
