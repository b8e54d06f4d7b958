/* txn/ids.c -- numbers that are never given twice.
 *
 * next_id is one shared word; everybody adds to it.  Ids below id_limit may be
 * given out: the limit is a record of the log and durable before it counts, so
 * after any crash numbers go on above it.
 * Not here: what people do with ids.
 */
#include "txn/txn.h"

#define IDS_LEASE ((u64)1 << 24)
#define IDS_ROOM ((u64)1 << 21)  /* more than one call can ask for */

/* Log a higher limit, wait until it lasts, then let everybody use it. */
static int raise_limit(struct env *e, u64 at_least)
{
    struct ops ops = {0};
    struct reads none = {0};
    struct version base = {0};
    struct op op = {.kind = OP_IDS, .tree = at_least + IDS_LEASE};
    u64 seq;
    int rc = ops_add(&ops, &op, NULL);
    if (!rc) rc = commit_ops(e, &ops, &none, &base, LOG_FULL, &seq);
    if (!rc) rc = commit_wait(e, seq);
    if (!rc) share_raise(&e->share.m->id_limit, op.tree);
    ops_free(&ops);
    return rc;
}

int txn_next_ids(struct env *e, u32 count, u64 *first)
{
    struct share_memory *m = e->share.m;
    *first = atomic_fetch_add(&m->next_id, count);
    while (unlikely(*first + count > atomic_load(&m->id_limit))) {
        int rc = env_usable(e);
        if (!rc) rc = raise_limit(e, *first + count);
        if (rc) return rc;
    }
    return 0;
}

int txn_reserve_ids(struct env *e)
{
    struct share_memory *m = e->share.m;
    u64 next = atomic_load(&m->next_id);
    if (next + IDS_ROOM <= atomic_load(&m->id_limit)) return 0;
    return raise_limit(e, next + IDS_ROOM);
}
