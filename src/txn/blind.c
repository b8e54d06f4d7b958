/* txn/blind.c -- commits that only write, and that nobody reads for a while.
 *
 *   log:   ... | put | put | put | put |  the flipped head
 *   pages: ....|                          e->head, or what is published
 *
 * A transaction that has read nothing, but that its trees exist, needs no page
 * to land: its record is the commit (docs/why/blind.md).  The pages follow when
 * somebody wants to read, in the order of keys and each of them once (redo.c),
 * or when there are so many that he would notice.
 *   B1  Whoever must see the newest version takes the turn, and finds the head
 *       ahead of all versions (version.c, head.c): no reader is told less.
 *   B2  No commit is blind that follows one which made or dropped a tree before
 *       its snapshot knew (special_seq): so it can be applied later.
 *   B3  If somebody came to read soon, we wait longer before we try again.
 * Not here: landing (commit.c), catching up (head.c).
 */
#include "txn/env.h"

void blind_missed(struct env *e)
{
    struct patience *p = &e->arena->readers;
    if (p->unseen) patience_end(e, p, atomic_load(&e->share.m->missed));
}

/* Who waits for the turn to catch up may wait long while we take it again and
 * again: so we make his version ourselves. */
static bool is_missed(struct env *e)
{
    return atomic_load_explicit(&e->share.m->missed, memory_order_relaxed) >
           e->arena->readers.from;
}

static bool is_too_far(struct env *e, const struct ops *ops)
{
    const struct txn_head *h = env_head(e);
    bool alone = atomic_load(&e->share.m->attached) <= 1;
    bool ours = head_goes_on(e, h);
    if (ours && patience_is_far(h, e->head.seq, &e->head.log, ops)) return true;
    /* Others would begin from what is published. */
    return !(ours && alone) &&
           patience_is_far(h, h->published, &h->published_log, ops);
}

bool blind_decide(struct env *e, const void *context)
{
    const struct blind_commit *commit = context;
    struct patience *p = &e->arena->readers;
    if (commit->base_seq < env_head(e)->special_seq) return false; /* B2 */
    if (!patience_ask(e, p, false)) return false;
    bool far = is_too_far(e, commit->ops);
    if (is_missed(e)) blind_missed(e);
    else if (far && share_read_since(&e->share, p->shown, false))
        patience_end(e, p, env_head(e)->seq);
    return p->unseen && !far;
}
