/* txn/audience.c -- must a commit publish its pages, or does nobody look?
 *
 * With others attached a commit publishes, so that they find the newest version
 * at once: four or five pages for 100 bytes.  But many of them only follow the
 * log (a viewer, a worker that waits), or sleep.  If nobody else has begun to
 * read or to write for PATIENCE commits, we keep pages to ourselves as if we
 * were alone, and publish now and then:
 *   - whoever comes to look finds the log ahead of what is published, takes the
 *     turn and replays (head.c), which is bounded by BEHIND_...;
 *   - that ends our lineage, so we learn of it and publish each commit again,
 *     for longer than the last time if he came soon.
 * All of it is a guess about costs: whether it is right or wrong, everybody
 * reads the same (docs/why/private-head.md).
 * Not here: how a commit is published (publish.c), or found (head.c).
 */
#include "txn/env.h"

enum {
#ifdef LUGE_HARD
    PATIENCE_MIN = 1,
#else
    PATIENCE_MIN = 16,          /* commits that nobody looks at */
#endif
    PATIENCE_MAX = 1 << 14,
    WORTH_IT = 8,               /* so many times the patience */
    BEHIND_MAX = 256,           /* commits not published */
    BEHIND_BYTES_MAX = 32 << 10,    /* of the log, with this commit's: large
                                   batches are dearer to replay than to
                                   publish */
};

static void ask_again_from_here(struct env *e)
{
    e->audience.from = e->head.seq;
    e->audience.shown = atomic_load(&e->share.m->shown);
}

/* Somebody else had the turn, or has now found what we did not publish. */
static void begin_anew(struct env *e)
{
    struct audience *a = &e->audience;
    bool worth_it = e->head.seq - a->from >= (u64)a->patience * WORTH_IT;
    if (!a->patience || (a->absent && worth_it)) a->patience = PATIENCE_MIN;
    else if (a->absent) a->patience = (u32)min_u64(2 * (u64)a->patience,
                                                   PATIENCE_MAX);
    a->absent = false;
    a->serial = e->serial;
    ask_again_from_here(e);
}

static void look(struct env *e)
{
    struct audience *a = &e->audience;
    a->absent = !share_others_read(&e->share, a->shown);
    ask_again_from_here(e);
}

static bool far_behind(const struct txn_head *h, const struct ops *ops)
{
    return h->seq - h->published >= BEHIND_MAX ||
           h->log.segment != h->published_log.segment ||
           h->log.offset - h->published_log.offset + ops->bytes >
               BEHIND_BYTES_MAX;
}

bool audience_looks(struct env *e, const struct ops *ops)
{
    struct audience *a = &e->audience;
    if (atomic_load(&e->share.m->attached) <= 1) return false;
    if (a->serial != e->serial) begin_anew(e);
    if (!a->absent && e->head.seq - a->from >= a->patience) look(e);
    /* What is taken, for a fork say, and not flipped, is set aside if another
     * takes the turn (takeover.c). */
    return !a->absent || far_behind(env_head(e), ops) || env_space_moved(e);
}
