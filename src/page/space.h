/* page/space.h -- which pages of the file are free, and which will be.
 *
 * Queues of page runs live in shared memory, in 4 KiB chunks:
 *
 *   ONE      free single pages     FEW   free runs of 2 to 31
 *   MANY     free runs of 32 and more, the longest first when last joined
 *   HIGH     free runs beyond where the file is to end soon: taken last
 *   PENDING  dropped, death not yet below the floor; in order of death
 *   HELD     dropped, but some pin r has birth <= r < death; seven queues, each
 *            for one pin (the smallest that blocks), and a mixed one
 *   KEPT     taken by a lineage or a robbed process that may still use them
 *
 *   D1  A run may be reused iff death <= floor and no pin r has
 *       birth <= r < death (research/birth_model: release, reclaim).
 *   D2  Pushes write only behind the tail, pops only move the head: the struct
 *       space of the last flip stays good until the next flip, whatever a dying
 *       holder of the turn did in between.  A chunk that ran empty is used
 *       again only after the next flip (limbo).
 *   D3  Every page below page_count is in exactly one of: a version, a queue,
 *       the current run.
 * All calls need the turn.  Not here: pins and the floor (share/), superblocks.
 */
#ifndef PAGE_SPACE_H
#define PAGE_SPACE_H

#include "page/page.h"

enum space_queue_name {
    SPACE_ONE, SPACE_FEW, SPACE_MANY, SPACE_HIGH, SPACE_PENDING, SPACE_KEPT,
    SPACE_HELD,
    SPACE_HELD_MIXED = SPACE_HELD + 7,
    SPACE_QUEUES
};
enum { SPACE_HELD_QUEUES = 8 };

struct space_run {
    u64 first;      /* page number */
    u64 birth, death;
    u32 pages;
    u32 owner;      /* KEPT: seat + 1 */
};

struct space_queue {
    u32 head_chunk, head_at;     /* next to pop */
    u32 tail_chunk, tail_at;     /* next to push */
    u64 runs, pages;
};

/* Flipped as a whole; plain data. */
struct space_state {
    u64 page_count;              /* the file's pages in use or free */
    u64 current_first;           /* singles are cut from this run */
    u64 current_pages;
    u32 chunk_free;              /* list of unused chunks; 0: none */
    u32 chunk_count;             /* chunks ever used; chunk 0 is not */
    u64 blocker[SPACE_HELD_QUEUES]; /* the pin each HELD queue waits for */
    u64 mixed_age;               /* reclaims since HELD_MIXED was looked at */
    u64 high_from;               /* HIGH begins there; 0: there is none */
    u64 given;                   /* pages freed since free runs were joined */
    struct space_queue queue[SPACE_QUEUES];
};

/* This process's handle on the state; the memory is shared. */
struct space {
    struct space_state *state;   /* the working copy, in shared memory */
    u8 *chunks;                  /* chunk N at chunks + 4096 N */
    u32 chunk_limit;             /* allocated chunks */
    u64 page_limit;              /* pages that a file may have */
    bool fixed;                  /* NOTFOUND, rather than the file grows */
    int (*grow)(void *context, u32 chunks);  /* make that many exist */
    /* Between taking pages and writing to them: is the turn still ours?  If it
     * is, a thief will know that the pages are taken. */
    int (*may_write)(void *context);
    void *context;
    u32 *limbo;                  /* chunks to free after the next flip */
    size_t limbo_count, limbo_capacity;
};

void space_clear(struct space_state *state, u64 page_count);

/* One page, or PAGES in a row.  Never an unbounded search.  NOMEM, NOSPACE. */
int space_take_page(struct space *s, u64 *page);
int space_take_run(struct space *s, u32 pages, u64 *first);
/* PAGES in a row, as far down as there is room for them.  Takes time in
 * proportion to the free runs. */
int space_take_lowest(struct space *s, u32 pages, u64 *first);
/* Free at once: nobody can reach it. */
int space_give(struct space *s, u64 first, u32 pages);
int space_push(struct space *s, enum space_queue_name name,
               const struct space_run *run);
bool space_pop(struct space *s, enum space_queue_name name,
               struct space_run *run);
/* Move what D1 allows from PENDING and HELD to the free queues.  PINS ascend.
 * Looks at no more than LIMIT pending runs. */
int space_reclaim(struct space *s, u64 floor, const u64 *pins, u32 pin_count,
                  u64 limit);
/* Join free runs that touch, in order of place; a last one gives back the end
 * of the file.  Takes time in proportion to the free runs. */
int space_tidy(struct space *s);
/* Take every free page at LIMIT or above out of the queues, into *runs (the
 * caller's); space_give puts them back. */
int space_set_aside(struct space *s, u64 limit, struct space_run **runs,
                    size_t *count);
/* After a flip: the chunks emptied before it may be used again. */
void space_flipped(struct space *s);
/* Call EACH for every run of queue NAME in STATE. */
int space_each(const struct space *s, const struct space_state *state,
               enum space_queue_name name,
               int (*each)(void *context, const struct space_run *run),
               void *context);
/* How many runs of queue NAME, as BEFORE has them, AFTER has popped. */
u64 space_popped(const struct space *s, const struct space_state *before,
                 const struct space_state *after, enum space_queue_name name);
static inline u64 space_free_pages(const struct space_state *s)
{
    return s->queue[SPACE_ONE].pages + s->queue[SPACE_FEW].pages +
           s->queue[SPACE_MANY].pages + s->queue[SPACE_HIGH].pages +
           s->current_pages;
}

/* --- the persisted form: page/space_store.c --- */

/* Sort and join RUNS in place; returns how many remain. */
size_t space_join(struct space_run *runs, size_t count);
/* How many pages the store of COUNT runs takes. */
u32 space_store_pages(u32 page_bytes, size_t count);
/* Write RUNS into the row of pages at FIRST. */
int space_store(struct page_file *f, u64 first, u32 pages, u64 birth,
                const struct space_run *runs, size_t count);
/* Read them back; *runs is the caller's (base_free). */
int space_load(struct page_file *f, u64 first, u32 pages,
               struct space_run **runs, size_t *count);

#endif
