/* page/file.h -- the open page file: its map, its frames, its checksums.
 *
 * For the layers that open, publish and recover; trees need only page.h.
 *   F1  A frame is free, or owned by one work, or part of a committed version
 *       of this process and then constant until it is freed.
 *   F2  page_seal before the write and page_sum_ok after the read are the same
 *       computation.
 * Not here: which page numbers are free (space.h), when a frame may be freed
 * (txn/version.c knows the readers).
 */
#ifndef PAGE_FILE_H
#define PAGE_FILE_H

#include <pthread.h>

#include "page/page.h"

struct page_frame {       /* what is known of a frame, beside its bytes */
    _Atomic u64 tag;      /* of the work that made it; 0: free.  Relaxed: what
                             matters to a work is whether it is its own */
    u64 birth;            /* order in which it became visible: txn/version.h */
    u32 epoch;
    u32 reserved;
    u64 number;           /* while publishing: the page it becomes */
};

struct page_file {
    struct page_map map;          /* first: page.h reads it */
    _Atomic u32 *checked_extents; /* by first page: bytes found good; or 0 */
    struct os *os;
    struct os_file *file;
    u64 map_bytes, checked_bytes, extent_bytes, frame_bytes, meta_bytes;
    page_validate_fn validate;    /* of leaves and branches */
    struct page_frame *meta;
    pthread_mutex_t lock;         /* of all below but next_tag */
    u32 *free_frames;
    size_t free_count, free_capacity;
    u32 frame_high, frame_limit;
    u32 spill_from, spilled;      /* frames from there on; how many are used */
    const char *spill_directory;  /* NULL: nothing spills */
    struct os_spill *spill;
    _Atomic u64 next_tag;
    _Atomic u64 memory_bytes;     /* os_memory_bytes; 0: not asked yet */
};

static inline u64 page_frame_tag(const struct page_file *f, page_ref ref)
{
    return atomic_load_explicit(&f->meta[ref & ~PAGE_PRIVATE].tag,
                                memory_order_relaxed);
}

/* Map FILE.  page_count is what the newest superblock says. */
int page_file_open(struct page_file *f, struct os *os, struct os_file *file,
                   u32 page_bytes, page_validate_fn validate);
void page_file_close(struct page_file *f);
/* More than BYTES of frames go to memory that the system can move to a file in
 * DIRECTORY, which must outlive F: for transactions larger than memory. */
void page_file_spill(struct page_file *f, const char *directory, u64 bytes);
/* How many pages a file may have: what can be named and mapped. */
u64 page_file_limit(const struct page_file *f);
/* LIMIT if COUNT is more. */
int page_file_fits(const struct page_file *f, u64 count);
/* Versions may name pages below COUNT from now on; no more than the limit. */
void page_file_grown(struct page_file *f, u64 count);
/* CORRUPT if the file is shorter than it was seen to be: somebody who knows
 * nothing of us has cut it, and the next touch may be a SIGBUS. */
int page_file_whole(struct page_file *f);

/* Cut the file, which is longer, to COUNT pages: nobody can reach what lies
 * behind, and nothing of it was ever seen. */
int page_file_cut(struct page_file *f, u64 count);

/* Begin a work for commit SEQ.  SPACE is NULL for a private view. */
void page_work_begin(struct page_work *w, struct page_file *f, u64 seq,
                     struct space *space);
/* Free all it made: it never happened. */
void page_work_abandon(struct page_work *w);
/* Its frames belong to a version now; forget them (the drops stay). */
void page_work_commit(struct page_work *w, u64 order);
void page_work_end(struct page_work *w);    /* free the lists */
/* Undo the frames and drops made since the counts were remembered. */
void page_work_rollback(struct page_work *w, size_t frames, size_t drops);

void page_frame_free(struct page_file *f, page_ref ref);
u64 page_frames_used(struct page_file *f);
bool page_in_frames(const struct page_file *f, const void *p);
static inline struct page_head *page_frame(const struct page_file *f,
                                           page_ref ref)
{
    return (struct page_head *)(void *)(f->map.frames +
               ((ref & ~PAGE_PRIVATE) << f->map.page_shift));
}

/* Until it ends, a thread gives the frames that are taken next their memory
 * before they are: for who will take thousands.  fill.c; P is not to move. */
struct page_fill {
    struct page_file *file;
    pthread_t thread;
    bool runs;
    _Atomic u32 stop;
};
void page_fill_begin(struct page_fill *p, struct page_file *f);
void page_fill_end(struct page_fill *p);

u64 page_sum(const struct page_head *page, u64 number, u32 page_bytes);
/* Give a finished page its birth and checksum. */
void page_seal(struct page_head *page, u64 number, u64 birth, u32 page_bytes);
/* Mark NUMBER as seen and good: this process wrote it. */
void page_mark_checked(struct page_file *f, u64 number);
/* Forget which pages were seen and found good: all are checked again. */
void page_distrust(struct page_file *f);
/* Check sum and structure without trusting or setting the mark. */
int page_verify(struct page_file *f, u64 number);
u32 page_extent_pages(const struct page_file *f, u64 size);
u64 page_extent_sum(luge_bytes value);

#endif
