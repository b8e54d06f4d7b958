/* store/compact.c -- giving space back: the public call.
 * Not here: how pages move (txn/compact.c).
 */
#include "luge_compact.h"
#include "store/store.h"

struct compacting {
    struct env *e;
    struct luge_compacted so_far;
    int (*progress)(void *context, const struct luge_compacted *so_far);
    void *context;
};

static int measure(struct compacting *c, const struct compact *compact)
{
    struct env *e = c->e;
    struct txn_head now;
    u32 shift = e->pages.map.page_shift;
    head_copy(e, &now);
    c->so_far.free_bytes = space_free_pages(&now.space) << shift;
    c->so_far.packed_bytes = compact->packed << shift;
    c->so_far.moved_bytes = compact->moved << shift;
    c->so_far.slices = compact->slices;
    c->so_far.longest_us = compact->longest_ns / 1000;
    return e->os->size(e->db, &c->so_far.after_bytes);
}

static int tell(struct compact *compact)
{
    struct compacting *c = compact->context;
    int rc = measure(c, compact);
    if (rc || !c->progress) return rc;
    return c->progress(c->context, &c->so_far);
}

int luge_compact(luge_db *db,
                 int (*progress)(void *context,
                                 const struct luge_compacted *so_far),
                 void *context, struct luge_compacted *done)
{
    struct env *e = &db->store->env;
    struct compacting c = {.e = e, .progress = progress, .context = context};
    struct compact compact = {.holes = HOLES_ALL, .pack = true,
                              .tell = tell, .context = &c};
    int rc = env_usable(e);
    if (!rc && (db->flags & LUGE_READ_ONLY))
        rc = fail(LUGE_READONLY, "the database was opened read-only");
    if (!rc) rc = e->os->size(e->db, &c.so_far.before_bytes);
    if (!rc) rc = checkpoint_compact(e, &compact, e->options.busy_timeout_ms);
    /* After an error `tell` knew them last: another would hide its sentence. */
    if (!rc) rc = measure(&c, &compact);
    if (done) *done = c.so_far;
    return rc;
}
