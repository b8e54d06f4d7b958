/* bench/engine.h -- what the bench asks of an engine: one struct of functions.
 *
 * An engine is one file engine_NAME.c that fills one struct engine and shows
 * nothing else.  To add one: write the file, name it in engines.c.
 *
 * Holds:
 *   E1  put is a transaction of its own with the promise of the open's mode;
 *       batch is one transaction, all or none.
 *   E2  get outside begin/end is a read transaction of its own.
 *   E3  scan hands every key and value to tally_add, which reads both.
 *   E4  a session belongs to one thread; a db to all of its process.
 * Functions return 0 or -1 with the sentence in bench_text.
 * Not here: what is measured (rows.c), how it is repeated (run.c).
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "tool.h"

/* What an acknowledged commit is promised, from least to most. */
#define ENGINE_RANKS(X)                                                       \
    X(UNKNOWN, "nothing is known")                                            \
    X(DEATH, "survives process death; power loss may corrupt the database")   \
    X(PREFIX, "survives process death; power loss takes the newest commits")  \
    X(POWER, "survives power loss")

enum engine_rank {
#define X(name, text) RANK_##name,
    ENGINE_RANKS(X)
#undef X
};

enum engine_mode { MODE_ASYNC, MODE_DURABLE, MODE_COUNT };

/* Kinds of rows.  An engine takes part in a row if they share a kind. */
enum engine_kind {
    KIND_READ = 1 << 0,
    KIND_ASYNC = 1 << 1,          /* writes alone, asynchronous */
    KIND_DURABLE = 1 << 2,
    KIND_MIXED = 1 << 3,
    KIND_SPACE = 1 << 4,
    KIND_FLOOR = 1 << 5,          /* the bare device shows its own figure */
    KIND_FEED = 1 << 6,           /* followers of what is committed */
    KIND_MODEL = 1 << 7,          /* the models that stand on luge */
    KIND_PEER = KIND_READ | KIND_ASYNC | KIND_DURABLE | KIND_MIXED |
                KIND_SPACE,       /* what a database takes part in */
};

/* What not every database can. */
enum engine_ability {
    CAN_PROCESSES = 1 << 0,       /* several processes write at once */
    CAN_IDS = 1 << 1,             /* numbers that are never given twice */
};

/* The start of a value, copied while the value was certainly there. */
struct head {
    u64 index, stamp;
    size_t size;
};

static inline void head_of(struct head *head, struct slice value)
{
    head->index = load64(value.data);
    head->stamp = load64((const u8 *)value.data + 8);
    head->size = value.size;
}

/* What a scan has seen. */
struct tally {
    u64 count, index_sum, bytes;
};

static inline void tally_add(struct tally *tally, struct slice key,
                             struct slice value)
{
    tally->count++;
    tally->index_sum += load64(value.data);
    tally->bytes += key.size + value.size + ((const u8 *)key.data)[0];
}

/* What an engine says of its opening. */
struct opened {
    u64 replay_us, replayed_bytes;          /* of its log */
};

struct engine_op {
    bool del;
    struct slice key, value;
};

/* Records in key order, for a bulk load.  next answers 1, or 0 at the end. */
struct source {
    int (*next)(struct source *source, struct slice *key, struct slice *value);
};

/* What a follower is after. */
struct watch_how {
    struct slice prefix;                    /* of keys; empty: all */
    bool early, all;                        /* when committed, not only when
                                               durable; from the first commit */
};

struct open_how {
    const char *dir;
    enum engine_mode mode;
    u64 memory_bytes;           /* all that caches and buffers may take together
                                   with the files' pages; 0: no limit */
};

struct engine {
    const char *name;
    const char *options;                    /* stated beside the figures */
    const char *options_limited;            /* what differs within a limit */
    enum engine_rank rank[MODE_COUNT];
    unsigned kinds, abilities;
    int variant;                            /* for the engine's own file */
    bool slow_to_open;                      /* --quick leaves it out */
    void (*version)(char *text, size_t size);

    int (*open)(const struct engine *engine, const struct open_how *how,
                void **db);
    int (*close)(void *db);
    int (*session_open)(void *db, void **session);
    void (*session_close)(void *session);

    int (*put)(void *session, struct slice key, struct slice value);
    int (*get)(void *session, struct slice key, struct head *head);
    int (*begin)(void *session);            /* a read snapshot ... */
    void (*end)(void *session);             /* ... and its end */
    int (*batch)(void *session, const struct engine_op *ops, size_t count);
    /* From FROM (NULL: the first) on, at most LIMIT records. */
    int (*scan)(void *session, const struct slice *from, u64 limit,
                struct tally *tally);
    /* Load SOURCE into an empty database the fastest way; durable after. */
    int (*load)(void *db, struct source *source);
    int (*next_id)(void *session, u64 *id);              /* CAN_IDS */
    /* What opening the database took; NULL: it does not say. */
    int (*opened)(void *db, struct opened *opened);

    /* KIND_FEED.  A session has one watch.  *ops: operations of the next
     * transaction, 0 if none came in time; *last is of its last value. */
    int (*watch_open)(void *session, const struct watch_how *how);
    int (*watch_next)(void *session, u32 timeout_ms, u64 *ops,
                      struct head *last);
    int (*keep_log)(void *db);              /* from now on, all of it */

    int (*sync)(void *db);                  /* all acknowledged is durable */
    int (*checkpoint)(void *db);            /* NULL: there is no such call */
    int (*settle)(void *db);                /* the form that reads best */
};

/* The engines of this build: the pointers that are not NULL. */
extern const struct engine *const engines_all[];
extern const size_t engines_count;

/* The engine called NAME, or NULL. */
const struct engine *engine_called(const char *name);

const char *engine_rank_text(enum engine_rank rank);

/* The file name of the shared library that SYMBOL comes from, as a version. */
void engine_library(const void *symbol, char *text, size_t size);

#endif
