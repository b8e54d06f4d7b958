/* txn/bell.c -- whom a commit is rung for.
 *
 * Without subscribers a commit pays one load; with them, a comparison for each
 * of its operations and each of them (share/watch.c).
 * Not here: what subscribers read (feed/).
 */
#include "txn/env.h"

/* A longer transaction is taken to concern everybody: who is woken in vain
 * looks at it and sleeps again. */
enum { BELL_OPS_MAX = 64 };

static void want_all(struct share *s, u32 high, u64 seq)
{
    for (u32 i = 0; i < high; i++)
        if (atomic_load(&s->m->watches[i].ready))
            share_watch_want(&s->m->watches[i], seq);
}

static void want_op(struct share *s, u32 high, const struct op *op, u64 seq)
{
    bool key = op->kind == OP_PUT || op->kind == OP_DEL;
    for (u32 i = 0; i < high; i++) {
        struct share_watch *w = &s->m->watches[i];
        if (atomic_load(&w->ready) &&
            share_watch_concerns(w, op->tree, key ? &op->key : NULL))
            share_watch_want(w, seq);
    }
}

void bell_commit(struct env *e, const struct ops *ops, u64 seq)
{
    struct share *s = &e->share;
    struct ops_walk walk;
    struct op op;
    u32 high = atomic_load(&s->m->watches_high);
    if (likely(!high)) return;
    if (high > SHARE_WATCHES_MAX) high = SHARE_WATCHES_MAX;
    if (ops->count > BELL_OPS_MAX) {
        want_all(s, high, seq);
    } else {
        ops_walk_from(&walk, ops, NULL);
        while (!ops_next(&walk, &op)) want_op(s, high, &op, seq);
    }
    share_watch_ring_all(s);
}
