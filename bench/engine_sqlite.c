/* bench/engine_sqlite.c -- SQLite in WAL mode as a key-value store: one table
 * without row ids, prepared statements, a large map.
 *
 * All writes of a process share one connection under a mutex (SQLite would
 * make them wait for each other by sleeping); across processes the busy
 * handler sleeps 30 to 100 us.  Each session reads through its own connection.
 * Not here: SQL beyond what a key-value row needs. */
#ifdef HAVE_SQLITE
#include "engine.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "place.h"

#define CACHE_BYTES ((u64)256 << 20)
#define MAP_BYTES ((u64)8 << 30)

enum statement { PUT, DEL, BEGIN_WRITE, COMMIT, NEW_ID,
                 GET, BEGIN_READ, END_READ, FIRST, FROM, STATEMENTS };

static const char *const statement_sql[STATEMENTS] = {
    [PUT] = "INSERT OR REPLACE INTO kv VALUES(?1, ?2)",
    [DEL] = "DELETE FROM kv WHERE k = ?1",
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [NEW_ID] = "INSERT INTO ids DEFAULT VALUES",
    [GET] = "SELECT v FROM kv WHERE k = ?1",
    [BEGIN_READ] = "BEGIN",
    [END_READ] = "COMMIT",
    [FIRST] = "SELECT k, v FROM kv ORDER BY k LIMIT ?1",
    [FROM] = "SELECT k, v FROM kv WHERE k >= ?2 ORDER BY k LIMIT ?1",
};

struct connection {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
};

struct database {
    char path[PLACE_PATH_MAX];
    enum engine_mode mode;
    u64 cache_bytes, map_bytes;
    pthread_mutex_t mutex;
    struct connection write;                    /* used holding MUTEX */
};

struct session {
    struct database *database;
    struct connection read;                     /* opened by the first read */
};

static int failed(const struct connection *c, const char *what)
{
    return bench_fail("%s: %s", what, sqlite3_errmsg(c->db));
}

/* --------------------------------------------------------------- open -- */

static int busy(void *context, int tries)
{
    (void)context;
    sleep_seconds(tries < 4 ? 30e-6 : 100e-6);
    return 1;
}

static int execute(struct connection *c, const char *sql)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) ? failed(c, sql) : 0;
}

static int connect(struct connection *c, const struct database *database)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                SQLITE_OPEN_NOMUTEX;
    char sizes[128];

    snprintf(sizes, sizeof sizes,
             "PRAGMA cache_size=-%" PRIu64 ";PRAGMA mmap_size=%" PRIu64,
             database->cache_bytes / 1024, database->map_bytes);
    if (sqlite3_open_v2(database->path, &c->db, flags, NULL))
        return failed(c, "sqlite3_open");
    sqlite3_busy_handler(c->db, busy, NULL);
    return execute(c, "PRAGMA page_size=4096;"
                      "PRAGMA journal_mode=WAL;"
                      "PRAGMA wal_autocheckpoint=10000") ||
           execute(c, sizes) ||
           execute(c, database->mode == MODE_DURABLE
                          ? "PRAGMA synchronous=FULL"
                          : "PRAGMA synchronous=NORMAL") ? -1 : 0;
}

static int disconnect(struct connection *c)
{
    for (u32 i = 0; i < STATEMENTS; i++) sqlite3_finalize(c->statements[i]);
    if (sqlite3_close(c->db)) return failed(c, "sqlite3_close");
    c->db = NULL;
    return 0;
}

static sqlite3_stmt *prepared(struct connection *c, enum statement which)
{
    if (!c->statements[which] &&
        sqlite3_prepare_v3(c->db, statement_sql[which], -1,
                           SQLITE_PREPARE_PERSISTENT, &c->statements[which],
                           NULL))
        failed(c, statement_sql[which]);
    return c->statements[which];
}

static int db_open(const struct engine *engine, const struct open_how *how,
                   void **db)
{
    struct database *database = bench_alloc(sizeof *database);

    (void)engine;
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);   /* says no if it runs */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    *db = database;
    database->mode = how->mode;
    database->cache_bytes = how->memory_bytes ? how->memory_bytes / 4
                                              : CACHE_BYTES;
    database->map_bytes = how->memory_bytes ? 0 : MAP_BYTES;
    pthread_mutex_init(&database->mutex, NULL);
    if (place_join(database->path, how->dir, "data.sqlite")) return -1;
    if (connect(&database->write, database)) return -1;
    return execute(&database->write,
                   "CREATE TABLE IF NOT EXISTS kv(k BLOB PRIMARY KEY, v BLOB)"
                   "WITHOUT ROWID;"
                   "CREATE TABLE IF NOT EXISTS"
                   " ids(id INTEGER PRIMARY KEY AUTOINCREMENT)");
}

static int db_close(void *db)
{
    struct database *database = db;
    int rc = disconnect(&database->write);

    pthread_mutex_destroy(&database->mutex);
    free(database);
    return rc;
}

static int session_open(void *db, void **session)
{
    struct session *s = bench_alloc(sizeof *s);

    s->database = db;
    *session = s;
    return 0;
}

static void session_close(void *session)
{
    struct session *s = session;

    disconnect(&s->read);
    free(s);
}

/* ---------------------------------------------------------- statements -- */

static int run(struct connection *c, enum statement which)
{
    sqlite3_stmt *st = prepared(c, which);
    int rc;

    if (!st) return -1;
    rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE || rc == SQLITE_ROW
               ? 0 : failed(c, statement_sql[which]);
}

static void bind(sqlite3_stmt *st, int place, struct slice s)
{
    sqlite3_bind_blob64(st, place, s.data, s.size, SQLITE_STATIC);
}

static int apply(struct connection *c, const struct engine_op *op)
{
    enum statement which = op->del ? DEL : PUT;
    sqlite3_stmt *st = prepared(c, which);

    if (!st) return -1;
    bind(st, 1, op->key);
    if (!op->del) bind(st, 2, op->value);
    return run(c, which);
}

static struct slice column(sqlite3_stmt *st, int place)
{
    const void *data = sqlite3_column_blob(st, place);
    return slice_of(data, (size_t)sqlite3_column_bytes(st, place));
}

/* -------------------------------------------------------------- reads -- */

static int reading(struct session *s)
{
    return s->read.db ? 0 : connect(&s->read, s->database);
}

/* BEGIN alone is lazy: the first statement takes the snapshot. */
static int begin(void *session)
{
    struct session *s = session;
    sqlite3_stmt *first;

    if (reading(s) || run(&s->read, BEGIN_READ)) return -1;
    first = prepared(&s->read, FIRST);
    if (!first) return -1;
    sqlite3_bind_int64(first, 1, 1);
    return run(&s->read, FIRST);
}

static void end(void *session) { run(&((struct session *)session)->read,
                                     END_READ); }

static int get(void *session, struct slice key, struct head *head)
{
    struct session *s = session;
    sqlite3_stmt *st;
    int rc;

    if (reading(s)) return -1;
    st = prepared(&s->read, GET);
    if (!st) return -1;
    bind(st, 1, key);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) head_of(head, column(st, 0));
    sqlite3_reset(st);
    if (rc == SQLITE_DONE) return bench_fail("SELECT: not found");
    return rc == SQLITE_ROW ? 0 : failed(&s->read, "SELECT");
}

static int scan(void *session, const struct slice *from, u64 limit,
                struct tally *tally)
{
    struct session *s = session;
    sqlite3_stmt *st;
    int rc;

    if (reading(s)) return -1;
    st = prepared(&s->read, from ? FROM : FIRST);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, (sqlite3_int64)min_u64(limit, INT64_MAX));
    if (from) bind(st, 2, *from);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        tally_add(tally, column(st, 0), column(st, 1));
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : failed(&s->read, "SELECT");
}

/* ------------------------------------------------------------- writes -- */

static int put(void *session, struct slice key, struct slice value)
{
    struct database *database = ((struct session *)session)->database;
    struct engine_op op = {false, key, value};
    int rc;

    pthread_mutex_lock(&database->mutex);
    rc = apply(&database->write, &op);
    pthread_mutex_unlock(&database->mutex);
    return rc;
}

static int batch_in(struct connection *c, const struct engine_op *ops,
                    size_t count)
{
    if (run(c, BEGIN_WRITE)) return -1;
    for (size_t i = 0; i < count; i++)
        if (apply(c, &ops[i])) {
            sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
            return -1;
        }
    return run(c, COMMIT);
}

static int batch(void *session, const struct engine_op *ops, size_t count)
{
    struct database *database = ((struct session *)session)->database;
    int rc;

    pthread_mutex_lock(&database->mutex);
    rc = batch_in(&database->write, ops, count);
    pthread_mutex_unlock(&database->mutex);
    return rc;
}

static int next_id(void *session, u64 *id)
{
    struct database *database = ((struct session *)session)->database;
    int rc;

    pthread_mutex_lock(&database->mutex);
    rc = run(&database->write, NEW_ID);
    *id = (u64)sqlite3_last_insert_rowid(database->write.db);
    pthread_mutex_unlock(&database->mutex);
    return rc;
}

static int checkpoint_as(struct database *database, int how)
{
    int rc;

    pthread_mutex_lock(&database->mutex);
    rc = sqlite3_wal_checkpoint_v2(database->write.db, NULL, how, NULL, NULL);
    pthread_mutex_unlock(&database->mutex);
    return rc ? failed(&database->write, "wal_checkpoint") : 0;
}

static int checkpoint(void *db)
{
    return checkpoint_as(db, SQLITE_CHECKPOINT_PASSIVE);
}

static int write_back(void *db)
{
    return checkpoint_as(db, SQLITE_CHECKPOINT_TRUNCATE);
}

static int settle(void *db)
{
    return execute(&((struct database *)db)->write, "VACUUM") ||
           write_back(db) ? -1 : 0;
}

static int load(void *db, struct source *source)
{
    struct connection *c = &((struct database *)db)->write;
    struct engine_op op = {0};
    int rc = run(c, BEGIN_WRITE);

    while (!rc && source->next(source, &op.key, &op.value)) rc = apply(c, &op);
    return rc || run(c, COMMIT) || write_back(db) ? -1 : 0;
}

static void version(char *text, size_t size)
{
    snprintf(text, size, "%s", sqlite3_libversion());
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .options = "WAL, WITHOUT ROWID, page 4096, mmap 8 GiB, cache 256 MiB, "
               "autocheckpoint 10,000 pages, no memory statistics, one "
               "writing connection a process; async = synchronous NORMAL, "
               "durable = FULL; sorted load: one transaction",
    .options_limited = "no mmap, cache a quarter of the limit for each of "
                       "two connections",
    .rank = {RANK_PREFIX, RANK_POWER},
    .kinds = KIND_PEER,
    .abilities = CAN_PROCESSES | CAN_IDS,
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
    .sync = checkpoint,
    .checkpoint = checkpoint,
    .settle = settle,
};
#endif
