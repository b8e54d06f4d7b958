/* store/watch.c -- the public face of the feed: handles and argument checks.
 * Not here: how it works (feed/).
 */
#include "feed/watch.h"
#include "store/store.h"

struct luge_watch {
    luge_db *db;
    struct feed_watch *watch;
};

static int check_start(const luge_db *db, const struct luge_watch_options *o)
{
    if (o->from == LUGE_FROM_NOW || o->from == LUGE_FROM_SEQ) return 0;
    if (o->from != LUGE_FROM_SNAPSHOT)
        return fail(LUGE_INVALID, "%d is no place to watch from", o->from);
    if (!o->snapshot || o->snapshot->env != &db->store->env)
        return fail(LUGE_INVALID, "to watch from a snapshot, a transaction of "
                    "the same database is needed");
    int rc = txn_usable(o->snapshot);
    if (!rc && o->snapshot->writes)
        rc = fail(LUGE_INVALID, "a write transaction is no snapshot to watch "
                  "from");
    if (!rc && o->snapshot->past)
        rc = fail(LUGE_INVALID, "to watch from an earlier state, begin behind "
                  "its number");
    return rc;
}

int luge_watch_open(luge_db *db, const struct luge_watch_options *options,
                    luge_watch **result)
{
    static const struct luge_watch_options defaults;
    const struct luge_watch_options *o = options ? options : &defaults;
    int rc = env_usable(&db->store->env);
    if (!rc) rc = check_start(db, o);
    if (rc) return rc;
    luge_watch *w = base_alloc(sizeof *w);
    if (!w) return NOMEM();
    w->db = db;
    rc = feed_watch_open(&db->store->env, &db->store->index, o, &w->watch);
    if (rc) {
        base_free(w);
        return rc;
    }
    atomic_fetch_add(&db->open_watches, 1);
    *result = w;
    return 0;
}

int luge_watch_next(luge_watch *w, int timeout_ms,
                    const struct luge_change_set **set)
{
    return feed_watch_next(w->watch, timeout_ms, set);
}

int luge_watch_fd(luge_watch *w, int *fd)
{
    int rc = feed_watch_fd(w->watch);
    if (!rc) *fd = w->watch->fd;
    return rc;
}

uint64_t luge_watch_seq(const luge_watch *w)
{
    return w->watch->seen;
}

int luge_watch_tree_name(luge_watch *w, luge_tree tree, luge_bytes *name)
{
    return feed_names_find(&w->watch->names, w->watch->env, tree, name);
}

void luge_watch_wake(luge_watch *w)
{
    feed_watch_wake(w->watch);
}

void luge_watch_close(luge_watch *w)
{
    if (!w) return;
    atomic_fetch_sub(&w->db->open_watches, 1);
    feed_watch_close(w->watch);
    base_free(w);
}

int luge_log_span(luge_db *db, uint64_t *oldest, uint64_t *newest)
{
    struct env *e = &db->store->env;
    int rc = env_usable(e);
    if (!rc) rc = feed_oldest(e, oldest);
    if (!rc) *newest = atomic_load(&e->share.m->committed);
    return rc;
}
