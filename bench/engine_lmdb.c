/* bench/engine_lmdb.c -- LMDB, and LMDB with a writable map as a second engine.
 *
 * Reads keep one transaction per session, reset and renewed, LMDB's own advice
 * for speed.  The writable map is measured for asynchronous writes only: its
 * durable commit is an msync over the whole map (4.6 ms where pwrite and
 * fdatasync take 0.5).
 * Not here: several databases in one environment, duplicates. */
#ifdef HAVE_LMDB
#include "engine.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

#define MAP_BYTES ((size_t)16 << 30)        /* never filled by our rows */
enum { READERS_MAX = 256 };

struct lmdb {
    MDB_env *env;
    MDB_dbi dbi;
};

struct session {
    struct lmdb *lmdb;
    MDB_txn *read;                          /* reset unless SNAPSHOT */
    MDB_cursor *cursor;                     /* of READ */
    bool snapshot;
};

static int failed(const char *what, int rc)
{
    return bench_fail("%s: %s", what, mdb_strerror(rc));
}

static MDB_val val_of(struct slice s)
{
    return (MDB_val){s.size, (void *)s.data};
}

static struct slice slice_from(const MDB_val *val)
{
    return slice_of(val->mv_data, val->mv_size);
}

/* --------------------------------------------------------------- open -- */

static int open_main(struct lmdb *lmdb)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(lmdb->env, NULL, 0, &txn);

    if (rc) return rc;
    rc = mdb_dbi_open(txn, NULL, MDB_CREATE, &lmdb->dbi);
    if (!rc) return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int db_open(const struct engine *engine, const struct open_how *how,
                   void **db)
{
    struct lmdb *lmdb = bench_alloc(sizeof *lmdb);
    unsigned flags = MDB_NOTLS | MDB_NOMEMINIT | (unsigned)engine->variant;
    int rc = mdb_env_create(&lmdb->env);

    *db = lmdb;
    if (rc) return failed("mdb_env_create", rc);
    if (how->mode == MODE_ASYNC) flags |= MDB_NOSYNC;
    if (how->memory_bytes) flags |= MDB_NORDAHEAD;
    mdb_env_set_mapsize(lmdb->env, MAP_BYTES);
    mdb_env_set_maxreaders(lmdb->env, READERS_MAX);
    rc = mdb_env_open(lmdb->env, how->dir, flags, 0666);
    if (!rc) rc = open_main(lmdb);
    return rc ? failed("mdb_env_open", rc) : 0;
}

static int db_close(void *db)
{
    struct lmdb *lmdb = db;

    mdb_env_close(lmdb->env);
    free(lmdb);
    return 0;
}

static int session_open(void *db, void **session)
{
    struct session *s = bench_alloc(sizeof *s);
    int rc;

    *session = s;
    s->lmdb = db;
    rc = mdb_txn_begin(s->lmdb->env, NULL, MDB_RDONLY, &s->read);
    if (!rc) rc = mdb_cursor_open(s->read, s->lmdb->dbi, &s->cursor);
    if (rc) return failed("mdb_txn_begin", rc);
    mdb_txn_reset(s->read);
    return 0;
}

static void session_close(void *session)
{
    struct session *s = session;

    if (s->cursor) mdb_cursor_close(s->cursor);
    if (s->read) mdb_txn_abort(s->read);
    free(s);
}

/* -------------------------------------------------------------- reads -- */

static int read_begin(struct session *s)
{
    int rc = s->snapshot ? 0 : mdb_txn_renew(s->read);
    return rc ? failed("mdb_txn_renew", rc) : 0;
}

static void read_end(struct session *s)
{
    if (!s->snapshot) mdb_txn_reset(s->read);
}

static int begin(void *session)
{
    struct session *s = session;

    if (read_begin(s)) return -1;
    s->snapshot = true;
    return 0;
}

static void end(void *session)
{
    struct session *s = session;

    s->snapshot = false;
    read_end(s);
}

static int get(void *session, struct slice key, struct head *head)
{
    struct session *s = session;
    MDB_val k = val_of(key), v;
    int rc;

    if (read_begin(s)) return -1;
    rc = mdb_get(s->read, s->lmdb->dbi, &k, &v);
    if (!rc) head_of(head, slice_from(&v));
    read_end(s);
    return rc ? failed("mdb_get", rc) : 0;
}

static int scan_in(struct session *s, const struct slice *from, u64 limit,
                   struct tally *tally)
{
    MDB_val k = {0, NULL}, v;
    int rc = mdb_cursor_renew(s->read, s->cursor);

    if (rc) return rc;
    if (from) k = val_of(*from);
    rc = mdb_cursor_get(s->cursor, &k, &v, from ? MDB_SET_RANGE : MDB_FIRST);
    while (!rc && limit--) {
        tally_add(tally, slice_from(&k), slice_from(&v));
        if (limit) rc = mdb_cursor_get(s->cursor, &k, &v, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int scan(void *session, const struct slice *from, u64 limit,
                struct tally *tally)
{
    struct session *s = session;
    int rc;

    if (read_begin(s)) return -1;
    rc = scan_in(s, from, limit, tally);
    read_end(s);
    return rc ? failed("mdb_cursor_get", rc) : 0;
}

/* ------------------------------------------------------------- writes -- */

static int apply(MDB_txn *txn, MDB_dbi dbi, const struct engine_op *op)
{
    MDB_val k = val_of(op->key), v = val_of(op->value);

    return op->del ? mdb_del(txn, dbi, &k, NULL) : mdb_put(txn, dbi, &k, &v, 0);
}

static int batch(void *session, const struct engine_op *ops, size_t count)
{
    struct lmdb *lmdb = ((struct session *)session)->lmdb;
    MDB_txn *txn;
    int rc = mdb_txn_begin(lmdb->env, NULL, 0, &txn);

    if (rc) return failed("mdb_txn_begin", rc);
    for (size_t i = 0; !rc && i < count; i++)
        rc = apply(txn, lmdb->dbi, &ops[i]);
    if (!rc) rc = mdb_txn_commit(txn);
    else mdb_txn_abort(txn);
    return rc ? failed("mdb_txn_commit", rc) : 0;
}

static int put(void *session, struct slice key, struct slice value)
{
    struct engine_op op = {false, key, value};
    return batch(session, &op, 1);
}

static int sync_all(void *db)
{
    int rc = mdb_env_sync(((struct lmdb *)db)->env, 1);
    return rc ? failed("mdb_env_sync", rc) : 0;
}

static int load(void *db, struct source *source)
{
    struct lmdb *lmdb = db;
    struct slice key, value;
    MDB_txn *txn;
    int rc = mdb_txn_begin(lmdb->env, NULL, 0, &txn);

    if (rc) return failed("mdb_txn_begin", rc);
    while (!rc && source->next(source, &key, &value)) {
        MDB_val k = val_of(key), v = val_of(value);
        rc = mdb_put(txn, lmdb->dbi, &k, &v, MDB_APPEND);
    }
    if (!rc) rc = mdb_txn_commit(txn);
    else mdb_txn_abort(txn);
    return rc ? failed("mdb_put", rc) : sync_all(db);
}

static void version(char *text, size_t size)
{
    int major, minor, patch;

    mdb_version(&major, &minor, &patch);
    snprintf(text, size, "%d.%d.%d", major, minor, patch);
}

#define LMDB_FUNCTIONS                                                        \
    .version = version, .open = db_open, .close = db_close,                   \
    .session_open = session_open, .session_close = session_close,             \
    .put = put, .get = get, .begin = begin, .end = end, .batch = batch,       \
    .scan = scan, .load = load, .sync = sync_all, .checkpoint = sync_all,     \
    .settle = sync_all

const struct engine engine_lmdb = {
    .name = "lmdb",
    .options = "map 16 GiB, MDB_NOTLS, MDB_NOMEMINIT; async = MDB_NOSYNC; read "
               "transactions reset and renewed; sorted load: MDB_APPEND, one "
               "transaction",
    .options_limited = "MDB_NORDAHEAD",
    .rank = {RANK_DEATH, RANK_POWER},
    .kinds = KIND_PEER,
    .abilities = CAN_PROCESSES,
    LMDB_FUNCTIONS,
};

const struct engine engine_lmdb_writemap = {
    .name = "lmdb-writemap",
    .options = "as lmdb, and MDB_WRITEMAP: a stray pointer reaches the file",
    .options_limited = "MDB_NORDAHEAD",
    .rank = {RANK_DEATH, RANK_POWER},
    .kinds = KIND_ASYNC,
    .abilities = CAN_PROCESSES,
    .variant = MDB_WRITEMAP,
    LMDB_FUNCTIONS,
};
#endif
