/* bench/engine_luge.c -- luge, through its public header alone, as a user
 * would call it: default options, nothing tuned.
 * Not here: anything a user could not do. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "luge.h"
#include "luge_compact.h"
#include "luge_feed.h"

enum { LOAD_BATCH = 10000, OPS_MAX = 4096 };

struct session {
    luge_db *db;
    luge_txn *snapshot;
    luge_watch *watch;
    struct luge_op ops[OPS_MAX];
};

static int failed(const char *what)
{
    const struct luge_error *e = luge_last_error();
    return bench_fail("%s: %s (%s:%d)", what, e->text, e->file, e->line);
}

static luge_bytes bytes_of(struct slice s)
{
    return luge_bytes_of(s.data, s.size);
}

static int db_open(const struct engine *engine, const struct open_how *how,
                   void **db)
{
    struct luge_options options = {0};
    luge_db *opened;

    (void)engine;
    options.durability = how->mode == MODE_DURABLE ? LUGE_FULL : LUGE_ASYNC;
    options.cache_bytes = how->memory_bytes / 4;         /* 0: the default */
    if (luge_open(how->dir, &options, &opened)) return failed("luge_open");
    *db = opened;
    return 0;
}

static int opened(void *db, struct opened *opened)
{
    struct luge_stats stats;

    if (luge_stat(db, &stats)) return failed("luge_stat");
    opened->replay_us = stats.recovery_scan_us + stats.recovery_replay_us;
    opened->replayed_bytes = stats.recovery_bytes;
    return 0;
}

static int db_close(void *db)
{
    return luge_close(db) ? failed("luge_close") : 0;
}

static int session_open(void *db, void **session)
{
    struct session *s = bench_alloc(sizeof *s);

    s->db = db;
    *session = s;
    return 0;
}

static void session_close(void *session)
{
    struct session *s = session;

    luge_abort(s->snapshot);
    luge_watch_close(s->watch);
    free(s);
}

static int begin(void *session)
{
    struct session *s = session;

    if (luge_begin(s->db, LUGE_READ, &s->snapshot))
        return failed("luge_begin");
    return 0;
}

static void end(void *session)
{
    struct session *s = session;

    luge_abort(s->snapshot);
    s->snapshot = NULL;
}

static int put(void *session, struct slice key, struct slice value)
{
    struct session *s = session;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, bytes_of(key),
                         bytes_of(value)};

    return luge_apply(s->db, 0, &op, 1) ? failed("luge_apply") : 0;
}

static int get_in(luge_txn *txn, struct slice key, struct head *head)
{
    luge_bytes value;

    if (luge_get(txn, LUGE_MAIN, bytes_of(key), &value))
        return failed("luge_get");
    head_of(head, slice_of(value.data, value.size));
    return 0;
}

static int get(void *session, struct slice key, struct head *head)
{
    struct session *s = session;
    luge_txn *txn;
    int rc;

    if (s->snapshot) return get_in(s->snapshot, key, head);
    if (luge_begin(s->db, LUGE_READ, &txn)) return failed("luge_begin");
    rc = get_in(txn, key, head);
    luge_abort(txn);
    return rc;
}

static int batch(void *session, const struct engine_op *ops, size_t count)
{
    struct session *s = session;

    if (count > OPS_MAX) return bench_fail("a batch is too large");
    for (size_t i = 0; i < count; i++)
        s->ops[i] = (struct luge_op){ops[i].del ? LUGE_OP_DEL : LUGE_OP_PUT,
                                     LUGE_MAIN, bytes_of(ops[i].key),
                                     bytes_of(ops[i].value)};
    return luge_apply(s->db, 0, s->ops, count) ? failed("luge_apply") : 0;
}

static int scan_in(luge_txn *txn, const struct slice *from, u64 limit,
                   struct tally *tally)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    int rc;

    if (luge_cursor_open(txn, LUGE_MAIN, &cursor))
        return failed("luge_cursor_open");
    rc = luge_cursor_seek(cursor, from ? LUGE_GE : LUGE_FIRST,
                          from ? bytes_of(*from) : luge_bytes_of("", 0),
                          &key, &value);
    while (!rc && limit--) {
        tally_add(tally, slice_of(key.data, key.size),
                  slice_of(value.data, value.size));
        if (limit) rc = luge_cursor_next(cursor, &key, &value);
    }
    luge_cursor_close(cursor);
    return rc && rc != LUGE_NOTFOUND ? failed("luge_cursor") : 0;
}

static int scan(void *session, const struct slice *from, u64 limit,
                struct tally *tally)
{
    struct session *s = session;
    luge_txn *txn;
    int rc;

    if (s->snapshot) return scan_in(s->snapshot, from, limit, tally);
    if (luge_begin(s->db, LUGE_READ, &txn)) return failed("luge_begin");
    rc = scan_in(txn, from, limit, tally);
    luge_abort(txn);
    return rc;
}

/* One transaction of at most LOAD_BATCH records; *more tells whether the
 * source may hold further ones. */
static int load_some(luge_db *db, struct source *source, bool *more)
{
    luge_txn *txn;
    struct slice key, value;

    if (luge_begin(db, LUGE_TURN | LUGE_TXN_ASYNC, &txn))
        return failed("luge_begin");
    for (u32 i = 0; i < LOAD_BATCH; i++) {
        *more = source->next(source, &key, &value);
        if (!*more) break;
        if (luge_put(txn, LUGE_MAIN, bytes_of(key), bytes_of(value))) {
            luge_abort(txn);
            return failed("luge_put");
        }
    }
    return luge_commit(txn) ? failed("luge_commit") : 0;
}

static int sync_all(void *db)
{
    return luge_sync(db) ? failed("luge_sync") : 0;
}

static int load(void *db, struct source *source)
{
    bool more = true;

    while (more)
        if (load_some(db, source, &more)) return -1;
    return sync_all(db);
}

static int next_id(void *session, u64 *id)
{
    struct session *s = session;
    return luge_next_id(s->db, id) ? failed("luge_next_id") : 0;
}

static int watch_open(void *session, const struct watch_how *how)
{
    struct session *s = session;
    struct luge_watch_options options = {
        .flags = how->early ? LUGE_WATCH_COMMITTED : 0,
        .from = how->all ? LUGE_FROM_SEQ : LUGE_FROM_NOW,
        .prefix = bytes_of(how->prefix),
    };

    return luge_watch_open(s->db, &options, &s->watch)
               ? failed("luge_watch_open") : 0;
}

static int watch_next(void *session, u32 timeout_ms, u64 *ops,
                      struct head *last)
{
    struct session *s = session;
    const struct luge_change_set *set;
    int rc = luge_watch_next(s->watch, (int)timeout_ms, &set);

    *ops = rc ? 0 : set->count;
    if (rc == LUGE_TIMEOUT) return 0;
    if (rc) return failed("luge_watch_next");
    luge_bytes value = set->changes[set->count - 1].value;
    if (value.size >= 16)
        head_of(last, slice_of(value.data, value.size));
    return 0;
}

static int keep_log(void *db)
{
    struct luge_retention keep = {.flags = LUGE_KEEP_ALL};
    luge_txn *txn;

    if (luge_begin(db, LUGE_WRITE, &txn)) return failed("luge_begin");
    if (luge_retention_set(txn, &keep)) {
        luge_abort(txn);
        return failed("luge_retention_set");
    }
    return luge_commit(txn) ? failed("luge_commit") : 0;
}

static int checkpoint(void *db)
{
    return luge_checkpoint(db) ? failed("luge_checkpoint") : 0;
}

static int settle(void *db)
{
    return luge_compact(db, NULL, NULL, NULL) ? failed("luge_compact") : 0;
}

static void version(char *text, size_t size)
{
    snprintf(text, size, "%s", luge_version());
}

const struct engine engine_luge = {
    .name = "luge",
    .options = "defaults; async = LUGE_ASYNC, durable = LUGE_FULL; sorted "
               "load: transactions of 10,000 holding the turn",
    .options_limited = "cache_bytes a quarter of the limit",
    .rank = {RANK_PREFIX, RANK_POWER},
    .kinds = KIND_PEER | KIND_FEED | KIND_MODEL,
    .abilities = CAN_PROCESSES | CAN_IDS,
    .version = version,
    .open = db_open,
    .close = db_close,
    .opened = opened,
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
    .watch_open = watch_open,
    .watch_next = watch_next,
    .keep_log = keep_log,
    .sync = sync_all,
    .checkpoint = checkpoint,
    .settle = settle,
};
