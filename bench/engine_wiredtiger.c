/* bench/engine_wiredtiger.c -- WiredTiger: one table of raw keys and values.
 * Its log is written at each commit; how far decides the mode.
 * Not here: its LSM and column stores. */
#ifdef HAVE_WIREDTIGER
#include "engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <wiredtiger.h>

#define CONFIG                                                                \
    "create,cache_size=%" PRIu64 ",session_max=200,log=(enabled=true),"       \
    "checkpoint=(wait=60,log_size=1GB),"                                      \
    "eviction=(threads_min=1,threads_max=2),"                                 \
    "transaction_sync=(enabled=true,method=%s)"
#define CACHE_BYTES ((u64)2 << 30)
enum { CONFIG_SIZE = 512 };

struct session {
    WT_SESSION *session;
    WT_CURSOR *cursor, *ids;
};

static int failed(const char *what, int rc)
{
    return bench_fail("%s: %s", what, wiredtiger_strerror(rc));
}

static WT_ITEM item_of(struct slice s)
{
    return (WT_ITEM){.data = s.data, .size = s.size};
}

/* --------------------------------------------------------------- open -- */

static int create_tables(WT_CONNECTION *connection)
{
    WT_SESSION *session;
    int rc = connection->open_session(connection, NULL, NULL, &session);

    if (rc) return rc;
    rc = session->create(session, "table:kv", "key_format=u,value_format=u");
    if (!rc) rc = session->create(session, "table:ids",
                                  "key_format=r,value_format=u");
    session->close(session, NULL);
    return rc;
}

static int db_open(const struct engine *engine, const struct open_how *how,
                   void **db)
{
    WT_CONNECTION *connection;
    char config[CONFIG_SIZE];
    int rc;

    (void)engine;
    snprintf(config, sizeof config, CONFIG,
             how->memory_bytes ? how->memory_bytes / 2 : CACHE_BYTES,
             how->mode == MODE_DURABLE ? "fsync" : "none");
    rc = wiredtiger_open(how->dir, NULL, config, &connection);
    if (rc) return failed("wiredtiger_open", rc);
    *db = connection;
    rc = create_tables(connection);
    return rc ? failed("create", rc) : 0;
}

static int db_close(void *db)
{
    WT_CONNECTION *connection = db;
    int rc = connection->close(connection, NULL);

    return rc ? failed("close", rc) : 0;
}

static int session_open(void *db, void **session)
{
    WT_CONNECTION *connection = db;
    struct session *s = bench_alloc(sizeof *s);
    int rc;

    *session = s;
    rc = connection->open_session(connection, NULL, "isolation=snapshot",
                                  &s->session);
    if (!rc) rc = s->session->open_cursor(s->session, "table:kv", NULL, NULL,
                                          &s->cursor);
    if (!rc) rc = s->session->open_cursor(s->session, "table:ids", NULL,
                                          "append", &s->ids);
    return rc ? failed("open_session", rc) : 0;
}

static void session_close(void *session)
{
    struct session *s = session;

    if (s->session) s->session->close(s->session, NULL);
    free(s);
}

/* -------------------------------------------------------------- reads -- */

static int begin(void *session)
{
    WT_SESSION *s = ((struct session *)session)->session;
    int rc = s->begin_transaction(s, "isolation=snapshot");

    return rc ? failed("begin_transaction", rc) : 0;
}

static void end(void *session)
{
    WT_SESSION *s = ((struct session *)session)->session;
    s->rollback_transaction(s, NULL);
}

static int get(void *session, struct slice key, struct head *head)
{
    WT_CURSOR *c = ((struct session *)session)->cursor;
    WT_ITEM k = item_of(key), v;
    int rc;

    c->set_key(c, &k);
    rc = c->search(c);
    if (!rc) rc = c->get_value(c, &v);
    if (!rc) head_of(head, slice_of(v.data, v.size));
    c->reset(c);
    return rc ? failed("search", rc) : 0;
}

static int scan_first(WT_CURSOR *c, const struct slice *from)
{
    WT_ITEM k;
    int rc, side;

    if (!from) return c->next(c);
    k = item_of(*from);
    c->set_key(c, &k);
    rc = c->search_near(c, &side);
    return !rc && side < 0 ? c->next(c) : rc;
}

static int scan(void *session, const struct slice *from, u64 limit,
                struct tally *tally)
{
    WT_CURSOR *c = ((struct session *)session)->cursor;
    WT_ITEM k, v;
    int rc = scan_first(c, from);

    while (!rc && limit--) {
        c->get_key(c, &k);
        c->get_value(c, &v);
        tally_add(tally, slice_of(k.data, k.size), slice_of(v.data, v.size));
        if (limit) rc = c->next(c);
    }
    c->reset(c);
    return rc && rc != WT_NOTFOUND ? failed("cursor", rc) : 0;
}

/* ------------------------------------------------------------- writes -- */

static int apply(WT_CURSOR *c, const struct engine_op *op)
{
    WT_ITEM k = item_of(op->key), v = item_of(op->value);

    c->set_key(c, &k);
    if (op->del) return c->remove(c);
    c->set_value(c, &v);
    return c->insert(c);
}

static int put(void *session, struct slice key, struct slice value)
{
    struct engine_op op = {false, key, value};
    int rc = apply(((struct session *)session)->cursor, &op);

    return rc ? failed("insert", rc) : 0;
}

static int batch(void *session, const struct engine_op *ops, size_t count)
{
    struct session *s = session;
    int rc = s->session->begin_transaction(s->session, "isolation=snapshot");

    if (rc) return failed("begin_transaction", rc);
    for (size_t i = 0; !rc && i < count; i++) rc = apply(s->cursor, &ops[i]);
    if (!rc) rc = s->session->commit_transaction(s->session, NULL);
    else s->session->rollback_transaction(s->session, NULL);
    return rc ? failed("commit_transaction", rc) : 0;
}

static int next_id(void *session, u64 *id)
{
    WT_CURSOR *c = ((struct session *)session)->ids;
    WT_ITEM v = {.data = "", .size = 0};
    int rc;

    c->set_value(c, &v);
    rc = c->insert(c);
    if (!rc) rc = c->get_key(c, id);
    return rc ? failed("append", rc) : 0;
}

/* Call FN with a session of its own. */
static int with_session(void *db, int (*fn)(WT_SESSION *, void *),
                        void *context)
{
    WT_CONNECTION *connection = db;
    WT_SESSION *session;
    int rc = connection->open_session(connection, NULL, NULL, &session);

    if (!rc) rc = fn(session, context);
    if (!rc) rc = session->close(session, NULL);
    return rc ? failed("session", rc) : 0;
}

static int log_flush(WT_SESSION *session, void *context)
{
    (void)context;
    return session->log_flush(session, "sync=on");
}

static int checkpoint_in(WT_SESSION *session, void *context)
{
    (void)context;
    return session->checkpoint(session, NULL);
}

static int sync_all(void *db) { return with_session(db, log_flush, NULL); }

static int checkpoint(void *db)
{
    return with_session(db, checkpoint_in, NULL);
}

static int load_in(WT_SESSION *session, void *context)
{
    struct source *source = context;
    struct slice key, value;
    WT_CURSOR *c;
    int rc = session->open_cursor(session, "table:kv", NULL, "bulk", &c);

    if (rc) return rc;
    while (!rc && source->next(source, &key, &value))
        rc = apply(c, &(struct engine_op){false, key, value});
    return rc ? rc : c->close(c);
}

static int load(void *db, struct source *source)
{
    return with_session(db, load_in, source) || checkpoint(db) ? -1 : 0;
}

static void version(char *text, size_t size)
{
    int major, minor, patch;

    wiredtiger_version(&major, &minor, &patch);
    snprintf(text, size, "%d.%d.%d", major, minor, patch);
}

const struct engine engine_wiredtiger = {
    .name = "wiredtiger",
    .options = "cache 2 GB, log on, checkpoint each 60 s or 1 GB of log, "
               "eviction 1-2 threads, no compression; async = "
               "transaction_sync method none, durable = fsync; sorted load: "
               "bulk cursor, a checkpoint",
    .options_limited = "cache half of the limit",
    .rank = {RANK_PREFIX, RANK_POWER},
    .kinds = KIND_PEER,
    .abilities = CAN_IDS,
    .slow_to_open = true,               /* 0.2 s: its logs are preallocated */
    .version = version,
    .open = db_open,
    .close = db_close,
    .session_open = session_open,
    .session_close = session_close,
    .put = put,
    .get = get,
    .begin = begin,
    .end = end,
    .batch = batch,
    .scan = scan,
    .load = load,
    .next_id = next_id,
    .sync = sync_all,
    .checkpoint = checkpoint,
    .settle = checkpoint,
};
#endif
