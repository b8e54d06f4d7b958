/* tree/node.h -- one page as a sorted set of cells: picture, words, look-ups.
 *
 *   leaf    +------+--------+-------+------------+-----------+-----+-------+
 *           | head | prefix | infix | heads      | offs      | gap | cells |
 *           | 32 B | to 8 B | or no | count * u32| count *u16|     | <---- |
 *           +------+--------+-------+------------+-----------+-----+-------+
 *   branch  +------+--------+-------+---------------+-------+------+---+-----+
 *           | head | prefix | infix | children      | heads | offs |gap|cells|
 *           | 32 B | to 8 B | or no | (count+1)*u64 |       |      |   |     |
 *           +------+--------+-------+---------------+-------+------+---+-----+
 *   cell    leaf:   u16 suffix size, u16 value info, suffix, value
 *           branch: u16 suffix size, suffix;  none if the suffix is <= 4 bytes
 *
 * A key is prefix + suffix; the prefix stands once in the page, in front, where
 * a look-up loads the line anyway.  heads[i] is the suffix's first four bytes
 * as a big-endian number, zero padded; an infix is left out of them:
 *
 *     prefix https://www.site-1545.example/topic-    suffix 80/article-0000042
 *     infix  /article-00000, after 2 bytes           head   8 0 4 2
 *
 * Value info is the size of a value that
 * lies in the cell, or NODE_EXTENT: then the value is a struct page_extent.
 * Child i of a branch holds the keys k with key i-1 <= k < key i.
 *
 *   N1  Keys are strictly ascending, so heads never descend.
 *   N2  slots end <= cell_low <= page size (cell_low 0 means 65536: a u16).
 *   N3  cells do not overlap; cell sizes + dead == page size - cell_low.
 *   N4  prefix + suffix <= LUGE_KEY_SIZE_MAX; all keys begin with the prefix.
 *   N5  In a branch an offset <= 4 is the size of a suffix that is its head;
 *       a real offset is never below 32.
 *   N6  A leaf has >= 1 key, a branch >= 1 key and one child more.  A branch
 *       has no key only in the middle of a deletion.
 *   N7  At least 60 bytes of the page follow the heads, so they may be read in
 *       blocks of 16.  (A leaf: 6 bytes follow for each head, and with 10 or
 *       fewer the heads end before 1230.  A branch: 2, with 30, before 1560.)
 *   N8  A cell and its slot take at most half of what a page can hold
 *       (node_cell_max).  So an overfull leaf can be cut beside the item that
 *       overfilled it: were both [left + it] and [it + right] too large, it
 *       would be more than half, as left + right did fit.  In a branch, where
 *       one item goes up, a third is needed; a key's limit sees to that.
 *       An infix is no part of the sum: it is made only where there is room.
 *   N9  If there is an infix, every suffix has its bytes from infix.at on, as
 *       far as both go.  So heads do not descend either way: of two suffixes
 *       that begin with the same AT bytes one ends within the infix, and is
 *       the smaller, or both go on behind it.  A look-up's key may depart from
 *       it; then heads say nothing, and cells are compared.
 * docs/format.md 3.2 and 3.3 say the same for people who write readers.
 * Not here: other pages.  Nothing in node.c, strip.c and infix.c reads a file,
 * takes a lock or allocates: bytes in, bytes out.
 */
#ifndef TREE_NODE_H
#define TREE_NODE_H

#include "page/page.h"

enum {
    NODE_EXTENT = 0x8000,     /* value info: the value is an extent */
    NODE_GONE = 0xffff,       /* the same: there is none (patch.h) */
    NODE_SHORT_MAX = 4,       /* a branch suffix up to this has no cell */
    NODE_INFIX_MAX = 8 * 15 - 2,
    NODE_NEAR_CELLS = 8,      /* so far ahead of a step they are asked for */
    NODE_LEAF_SLOT = 4 + 2,   /* head, offset */
    NODE_BRANCH_SLOT = 8 + 4 + 2,
    NODE_LEAF_CELL = 2 + 2,   /* what stands before the suffix */
    NODE_BRANCH_CELL = 2,
    NODE_LEVELS_MAX = 16,     /* TREE_DEPTH_MAX; tree.h asserts it */
#ifdef LUGE_HARD
    NODE_KEYS_MAX = 4,
#elif defined TREE_TEST_KEYS_MAX
    NODE_KEYS_MAX = TREE_TEST_KEYS_MAX,
#else
    NODE_KEYS_MAX = 65536 / (NODE_LEAF_SLOT + NODE_LEAF_CELL),
#endif
};

_Static_assert(NODE_LEAF_SLOT == 6 && NODE_LEAF_CELL == 4, "format.md 3.2");
_Static_assert(NODE_BRANCH_SLOT == 14 && NODE_BRANCH_CELL == 2,
               "format.md 3.3");

/* ------------------------------------------------------------- the page -- */

/* The bytes that a prefix of SIZE occupies. */
static inline u32 node_prefix_room(u32 size)
{
    return (size + 7) & ~7u;
}

static inline const u8 *node_prefix(const struct page_head *n)
{
    return (const u8 *)(n + 1);
}

/* What stands behind the prefix if n->infix is not 0. */
struct node_infix {
    u8 at, size;             /* after so many bytes of a suffix; 1 to 3, >= 1 */
    u8 bytes[NODE_INFIX_MAX];
};

/* The 8-byte words that an infix of SIZE bytes occupies. */
static inline u32 node_infix_words(u32 size)
{
    return (2 + size + 7) / 8;
}

static inline const struct node_infix *node_infix(const struct page_head *n)
{
    return (const struct node_infix *)(const void *)(
        node_prefix(n) + node_prefix_room(n->prefix));
}

/* Where the arrays begin: children in a branch, heads in a leaf. */
static inline u32 node_slots_at(const struct page_head *n)
{
    return (u32)sizeof *n + node_prefix_room(n->prefix) + 8u * n->infix;
}

static inline u32 node_heads_at(const struct page_head *n)
{
    return node_slots_at(n) + (n->level ? 8 * (n->count + 1u) : 0);
}

static inline u32 node_offs_at(const struct page_head *n)
{
    return node_heads_at(n) + 4u * n->count;
}

static inline u32 node_slots_end(const struct page_head *n)
{
    return node_heads_at(n) + 6u * n->count;
}

static inline u32 node_cell_low(const struct page_head *n)
{
    return (u16)(n->cell_low - 1u) + 1u;                          /* N2 */
}

static inline const u32 *node_heads(const struct page_head *n)
{
    return (const u32 *)(const void *)((const u8 *)n + node_heads_at(n));
}

static inline const u16 *node_offs(const struct page_head *n)
{
    return (const u16 *)(const void *)((const u8 *)n + node_offs_at(n));
}

/* The publisher may replace a child while others read: both go word by word. */
static inline page_ref node_child(const struct page_head *n, u32 i)
{
    const u8 *children = (const u8 *)n + node_slots_at(n);
    return __atomic_load_n(
        (const page_ref *)(const void *)(children + 8 * (size_t)i),
        __ATOMIC_RELAXED);
}

static inline void node_set_child(struct page_head *n, u32 i, page_ref ref)
{
    u8 *children = (u8 *)n + node_slots_at(n);
    __atomic_store_n((page_ref *)(void *)(children + 8 * (size_t)i), ref,
                     __ATOMIC_RELAXED);
}

/* What is in use, the head and the prefix included. */
static inline u32 node_used(const struct page_head *n, u32 bytes)
{
    return node_slots_end(n) + (bytes - node_cell_low(n)) - n->dead;
}

/* 8: what a prefix is rounded up to may be missing in either half. */
static inline u32 node_cell_max(u32 bytes)
{
    return (bytes - (u32)sizeof(struct page_head) - 8) / 2;       /* N8 */
}

_Static_assert(NODE_BRANCH_SLOT + NODE_BRANCH_CELL + LUGE_KEY_SIZE_MAX <=
                   (4096 - sizeof(struct page_head) - 16) / 3, "N8");

/* Does a value lie in its leaf?  As long as it may (two to a page still waste
 * less than an extent's whole page for each), and always if its extent would
 * not be smaller. */
static inline bool node_value_inline(u32 bytes, size_t key, size_t value)
{
    return value <= sizeof(struct page_extent) ||
           (value < bytes && NODE_LEAF_SLOT + NODE_LEAF_CELL + key + value <=
                                 node_cell_max(bytes));
}

/* ------------------------------------------------------------ the cells -- */

/* The first four bytes as a number whose order is the bytes' order. */
static inline u32 node_head(const u8 *suffix, size_t size)
{
    if (likely(size >= 4)) return __builtin_bswap32(load32(suffix));
    u32 head = 0;
    for (u32 i = 0; i < size; i++) head |= (u32)suffix[i] << (24 - 8 * i);
    return head;
}

static inline const u8 *node_leaf_cell(const struct page_head *n, u32 at)
{
    const u8 *heads = (const u8 *)n + node_slots_at(n);
    return (const u8 *)n + load16(heads + 4u * n->count + 2 * (size_t)at);
}

static inline luge_bytes node_leaf_suffix(const struct page_head *n, u32 at)
{
    const u8 *cell = node_leaf_cell(n, at);
    return (luge_bytes){cell + NODE_LEAF_CELL, load16(cell)};
}

__attribute__((always_inline)) static inline void
node_leaf_prefetch(const struct page_head *n, u32 at)
{
    const u8 *cell = node_leaf_cell(n, at);
    __builtin_prefetch(cell);
    __builtin_prefetch(cell + 64);
}

static inline u32 node_value_info(const struct page_head *n, u32 at)
{
    return load16(node_leaf_cell(n, at) + 2);
}

/* The value's bytes in the page; true if they are an extent (of a patch: if
 * there are none). */
static inline bool node_leaf_value(const struct page_head *n, u32 at,
                                   luge_bytes *value)
{
    const u8 *cell = node_leaf_cell(n, at);
    u32 info = load16(cell + 2);
    value->data = cell + NODE_LEAF_CELL + load16(cell);
    value->size = !(info & NODE_EXTENT) ? info
                  : info == NODE_GONE ? 0 : sizeof(struct page_extent);
    return (info & NODE_EXTENT) != 0;
}

/* An item, wherever it lies: its key is prefix + suffix.  Not to be copied:
 * suffix may point to shown. */
struct node_cell {
    luge_bytes prefix, suffix;
    luge_bytes value;        /* of a leaf: as it stands in the cell */
    u16 info;                /* of a leaf: value info */
    page_ref child;          /* of a branch: the child right of the key */
    u8 shown[NODE_SHORT_MAX];
};

/* A short suffix of a branch, shown in SPACE of NODE_SHORT_MAX. */
luge_bytes node_short_suffix(const struct page_head *n, u32 at, u8 *space);
/* Any suffix of a branch, in its cell or shown in SPACE. */
luge_bytes node_branch_suffix(const struct page_head *n, u32 at, u8 *space);

static inline luge_bytes node_suffix(const struct page_head *n, u32 at,
                                     u8 *space)
{
    return n->level ? node_branch_suffix(n, at, space)
                    : node_leaf_suffix(n, at);
}

void node_cell_load(const struct page_head *n, u32 at, struct node_cell *cell);
/* The key in one piece: within the page, or assembled in SPACE. */
luge_bytes node_cell_key(const struct node_cell *cell, u8 *space);
size_t node_common(luge_bytes a, luge_bytes b); /* bytes they begin with */

/* ---------------------------------------------------------------- infix -- */

/* The head of the suffix REST around INFIX; false if it departs from it. */
bool node_infix_head(const struct node_infix *infix, luge_bytes rest,
                     u32 *head);
/* Give N, which has none, an infix, if that tells its keys apart, all of them
 * have one and there is room. */
void node_infix_find(struct page_head *n);

/* The head that the suffix REST has in N; false if it has none there (N9). */
static inline bool node_head_of(const struct page_head *n, luge_bytes rest,
                                u32 *head)
{
    if (n->infix && n->kind != PAGE_PATCH)      /* patch.h: Z1 */
        return node_infix_head(node_infix(n), rest, head);
    *head = node_head(rest.data, rest.size);
    return true;
}

/* ------------------------------------------------------------- look-ups -- */

/* The child of a branch that KEY belongs to. */
u32 node_branch_find(const struct page_head *n, luge_bytes key);
/* Is KEY in a leaf?  *at: its slot, or the first with a greater key. */
bool node_leaf_find(const struct page_head *n, luge_bytes key, u32 *at);
/* Does KEY, which may be any, come behind all keys of a leaf? */
bool node_leaf_before(const struct page_head *n, luge_bytes key);
/* The same where others will be read behind it: their cells lie anywhere, and
 * are asked for before the first has come.  (Ranges of 20: 1.11 us, 1.24 if
 * only the first step asks for them; of one: 2 % more.) */
bool node_leaf_seek(const struct page_head *n, luge_bytes key, u32 *at);

/* ----------------------------------------------------- changes in place -- */

/* Insert CELL (its prefix empty) before slot AT; false, and nothing is done, if
 * other cells would have to move for it. */
bool node_insert(struct page_head *n, u32 at, const struct node_cell *cell);
/* The same behind all keys of a leaf; false also if it belongs elsewhere. */
bool node_leaf_append(struct page_head *n, const struct node_cell *cell);
void node_leaf_remove(struct page_head *n, u32 at);
/* Remove key AT and the child left (0) or right (1) of it. */
void node_branch_remove(struct page_head *n, u32 at, u32 side);
/* Put a value that is not larger in the place of the old one. */
bool node_leaf_overwrite(struct page_head *n, u32 at,
                         const struct node_cell *cell);
bool node_underfull(const struct page_head *n, u32 bytes);

/* The run: how the last inserts went.  at << 3 | descending << 2 | length,
 * where length counts to 3.  It is a hint; any value is harmless. */
enum { RUN_NONE, RUN_ASCENDING, RUN_DESCENDING };
static inline u16 node_run_next(u16 run, u32 at)
{
    u32 last = run >> 3, length = run & 3;
    bool down = at == last;
    if (!down && at != last + 1) return (u16)(at << 3);
    if (down != ((run & 4) != 0)) length = 0;              /* it turned */
    length += length < 3;
    return (u16)(at << 3 | (u32)down << 2 | length);
}
int node_run_kind(u16 run);

/* --------------------------------------------------------------- strips -- */

/* What one or two nodes are to hold, in order: the first COUNT_BEFORE items of
 * BEFORE, the fresh one, the items of AFTER from FROM_AFTER on. */
struct node_strip {
    const struct page_head *before, *after;  /* NULL: none; may be one node */
    const struct node_cell *fresh;           /* NULL: none */
    u32 count_before, from_after;
    u32 count;
    page_ref lead;                           /* of a branch: leftmost child */
    bool leaf;
};

/* The items of N with FRESH inserted before slot AT. */
struct node_strip node_strip_insert(const struct page_head *n, u32 at,
                                    const struct node_cell *fresh);
/* The items of two neighbours; between branches the parent's key as FRESH. */
struct node_strip node_strip_join(const struct page_head *left,
                                  const struct node_cell *fresh,
                                  const struct page_head *right);
/* Are the seams ascending?  They may not be if the file is malformed. */
bool node_strip_ordered(const struct node_strip *s);
/* Do the items [from, to) fit into LIMIT bytes of a page? */
bool node_strip_fits(const struct node_strip *s, u32 from, u32 to, u32 limit);
/* Is BEFORE, which has no room for the fresh item, built as well as the strip
 * would be?  Then it does not fit; to add up all sizes would say the same. */
bool node_strip_dense(const struct node_strip *s);
/* Make N the node of the items [from, to); none of them may lie in N. */
void node_build(struct page_head *n, u32 bytes, const struct node_strip *s,
                u32 from, u32 to);
/* Where to cut an overfull strip: items below it stay left; in a branch the
 * item itself goes up, in a leaf it is the right node's first.  0: nowhere. */
u32 node_strip_cut(const struct node_strip *s, u32 bytes, u16 run);
/* The key that separates the two sides of CUT, in SPACE. */
luge_bytes node_strip_separator(const struct node_strip *s, u32 cut,
                                u8 *space);
/* The items right of CUT. */
static inline u32 node_strip_right(const struct node_strip *s, u32 cut)
{
    return s->leaf ? cut : cut + 1;
}

/* A page's bytes on the stack: of its own size, since a fixed 64 KiB would
 * leap over the guard page of a small stack when pages have 4 KiB. */
#define COPY_OF(copy, n, bytes)                                              \
    u64 copy##_space[(bytes) / 8];                                           \
    struct page_head *copy = (struct page_head *)(void *)copy##_space;       \
    memcpy(copy, (n), (bytes))

/* ----------------------------------------------------------- validation -- */

/* N1-N9, children and extents included.  PUBLISHED: private references are
 * CORRUPT, as nothing in a file may name a frame.  0 or CORRUPT. */
int node_validate(const struct page_head *n, u32 bytes, bool published);

#endif
