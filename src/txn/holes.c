/* txn/holes.c -- what is free gives its blocks back to the file system, where
 * it is.
 *
 * The longest runs first, and some pages in each turn; the file keeps its
 * length, and what was given back stays free.  How many pages have no blocks
 * any more the file system knows, and which, nobody: it is asked each time, or
 * a checkpoint each 100 ms would give back the same again, and hold up every
 * hundredth commit (durable-checkpoints: p99 2.5 ms, 1.2 so).
 * docs/why/checkpoint.md has what this costs and saves.
 * Not here: making the file shorter (compact.c), when (checkpoint.c).
 */
#include <stdio.h>

#include "txn/env.h"

enum {
    PUNCH_RUNS = 64,            /* in one turn, some 2 us each */
    PUNCH_PAGES = 512,          /* in one turn: 2 MiB, some 2 ms */
    PUNCH_TURNS_MAX = 1024,
    SMALL_PAGES = 256,          /* that nobody minds */
    KEEP_PERCENT = 12,          /* stays free, as part of what is in use */
};

struct giving {
    struct env *e;
    u64 keep;                   /* parts of a hundred of what is in use */
    u32 turns;
    size_t count;
    struct space_run runs[PUNCH_RUNS];
};

/* TURN: the pages of queue Q from number AT on, as it has them, and *AT behind
 * those that one turn should give back. */
static void take_holes(struct giving *g, u32 q, u64 *at)
{
    struct space_run run;
    u64 first = 0, from = *at, end = from + PUNCH_PAGES;
    g->count = 0;
    while (first < end && g->count < PUNCH_RUNS &&
           space_pop(&g->e->space, q, &run)) {
        u64 low = from > first ? min_u64(from - first, run.pages) : 0;
        u64 high = min_u64(run.pages, end - first);
        if (low < high)
            g->runs[g->count++] = (struct space_run){
                .first = run.first + low, .pages = (u32)(high - low),
            };
        first += high;
        *at = max_u64(first, from);
    }
}

static int punch_taken(struct giving *g)
{
    struct env *e = g->e;
    u64 page = e->options.page_bytes;
    int rc = head_may_write(e);
    for (size_t i = 0; i < g->count && !rc; i++)
        rc = e->os->punch(e->db, g->runs[i].first * page,
                          g->runs[i].pages * page);
    return rc;
}

/* TURN: they stay free.  Meanwhile they are taken: a thief of the turn would
 * leave them alone. */
static int punch_some(struct giving *g, u32 q, u64 *at)
{
    struct env *e = g->e;
    struct head_mark mark;
    head_mark(e, &mark);
    take_holes(g, q, at);
    int rc = punch_taken(g);
    if (!share_turn_mine(&e->share)) return rc;
    e->arena->work = mark.space;
    e->space.limbo_count = mark.limbo;
    return rc;
}

/* Pages of the file that have no blocks. */
static int count_holes(struct env *e, u64 *pages)
{
    char path[4096];
    struct os_stat s;
    snprintf(path, sizeof path, "%.4000s/db", e->path);
    int rc = e->os->stat(e->os, path, &s);
    if (rc) return rc;
    *pages = (s.size - min_u64(s.size, s.allocated)) / e->options.page_bytes;
    return 0;
}

/* TURN */
static int is_worth_it(const struct giving *g, bool *worth)
{
    const struct space_state *st = &g->e->arena->work;
    u64 freed = space_free_pages(st), holes;
    int rc = count_holes(g->e, &holes);
    *worth = !rc && freed > holes + SMALL_PAGES &&
             (freed - holes) * 100 > g->keep * (st->page_count - freed);
    return rc;
}

static int punch_queue(struct giving *g, u32 q)
{
    struct env *e = g->e;
    u64 at = 0;
    bool more = true;
    while (more) {
        int rc = head_take_turn(e, e->options.busy_timeout_ms);
        if (rc) return rc;
        rc = is_worth_it(g, &more);
        more = more && at < e->arena->work.queue[q].pages &&
               g->turns++ < PUNCH_TURNS_MAX;
        if (more) rc = punch_some(g, q, &at);
        head_release_turn(e);
        if (rc) return rc;
    }
    return 0;
}

int holes_give_back(struct env *e, enum holes which)
{
    struct giving g = {.e = e, .keep = which == HOLES_ALL ? 0 : KEEP_PERCENT};
    if (!e->os->punch || which == HOLES_NONE) return 0;
    int rc = punch_queue(&g, SPACE_MANY);
    if (!rc && which != HOLES_LONG) rc = punch_queue(&g, SPACE_FEW);
    if (!rc && which != HOLES_LONG) rc = punch_queue(&g, SPACE_ONE);
    /* A hole may need a block itself. */
    return rc == LUGE_NOSPACE ? 0 : rc;
}
