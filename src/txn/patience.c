/* txn/patience.c -- has nobody begun to read for so many commits?
 *
 *   seen --PATIENCE commits, and nobody began to read--> unseen
 *    ^--------------- somebody comes: patience_end --------'
 *
 * If he came soon, we wait twice as long before we look again: then it costs
 * him one catching up in so many commits.  And what is left undone for him to
 * catch up with is bounded.
 * Not here: what is left undone while nobody looks (audience.c, blind.c).
 */
#include "txn/env.h"

enum {
#ifdef LUGE_HARD
    PATIENCE_MIN = 1,
    FAR_COMMITS = 8,
#else
    PATIENCE_MIN = 64,          /* commits */
    FAR_COMMITS = 256,          /* to catch up with */
#endif
    PATIENCE_MAX = 1024,
    WORTH_IT = 8,               /* so many times the patience */
    FAR_BYTES = 32 << 10,       /* of the log, with this commit's: large batches
                                   are dearer to replay than to apply */
};

static void ask_again_from_here(struct env *e, struct patience *p)
{
    p->from = env_head(e)->seq;
    p->shown = atomic_load(&e->share.m->shown);
}

bool patience_ask(struct env *e, struct patience *p, bool others)
{
    if (p->unseen) return true;
    if (!p->commits) patience_end(e, p, 0);
    if (env_head(e)->seq - p->from < p->commits) return false;
    p->unseen = !share_read_since(&e->share, p->shown, others);
    ask_again_from_here(e, p);
    return p->unseen;
}

void patience_end(struct env *e, struct patience *p, u64 seq)
{
    u64 since = seq - min_u64(p->from, seq);
    bool worth_it = since >= p->commits * WORTH_IT;
    if (!p->commits || (p->unseen && worth_it)) p->commits = PATIENCE_MIN;
    else if (p->unseen) p->commits = min_u64(2 * p->commits, PATIENCE_MAX);
    p->unseen = 0;
    ask_again_from_here(e, p);
}

bool patience_is_far(const struct txn_head *h, u64 seq,
                     const struct log_position *at, const struct ops *ops)
{
    return h->seq - seq >= FAR_COMMITS || h->log.segment != at->segment ||
           h->log.offset - at->offset + ops->bytes > FAR_BYTES;
}
