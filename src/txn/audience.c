/* txn/audience.c -- must a commit publish its pages, or does nobody look?
 *
 * With others attached a commit publishes, so that they find the newest version
 * at once: four or five pages for 100 bytes.  But many of them only follow the
 * log (a viewer, a worker that waits), or sleep.  If nobody else has begun to
 * read for a while (patience.c), we keep pages to ourselves as if we were
 * alone, and publish now and then:
 *   - whoever comes to look finds the log ahead of what is published, takes the
 *     turn and replays (head.c), which is bounded (patience_is_far);
 *   - that ends our lineage, so we learn of it and publish each commit again,
 *     for longer than the last time if he came soon.
 * All of it is a guess about costs: whether it is right or wrong, everybody
 * reads the same (docs/why/private-head.md).
 * Not here: how a commit is published (publish.c), or found (head.c).
 */
#include "txn/env.h"

bool audience_looks(struct env *e, const struct ops *ops)
{
    struct audience *a = &e->audience;
    const struct txn_head *h = env_head(e);
    if (atomic_load(&e->share.m->attached) <= 1) return false;
    /* Somebody else had the turn, or has now found what we did not publish. */
    if (a->serial != e->serial) patience_end(e, &a->patience, h->seq);
    a->serial = e->serial;
    /* What is taken, for a fork say, and not flipped, is set aside if another
     * takes the turn (takeover.c). */
    return !patience_ask(e, &a->patience, true) || env_space_moved(e) ||
           patience_is_far(h, h->published, &h->published_log, ops);
}
