/* luge.h -- the public interface of luge: ordered trees in one directory,
 * shared by many processes, with transactions.
 *
 * What holds here:
 *   A database is a directory.  Any number of processes may open it at once,
 *   and all of them may write.  A tree is an ordered map from byte strings to
 *   byte strings.  All work happens in transactions, which are serializable.
 *
 * Return values: 0, or a negative LUGE_... code from LUGE_ERRORS below.
 * luge_last_error() has the sentence.  The library never prints, exits or
 * aborts, installs no signal handler, and holds no state that two users of it
 * in one process could fight over.
 *
 * Threads: a luge_db may be used by any thread.  A luge_txn and its cursors
 * belong to one thread at a time, and may be handed from thread to thread.
 * After fork() the child's handles answer LUGE_FORKED; the child may open anew.
 */
#ifndef LUGE_H
#define LUGE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LUGE_API __attribute__((visibility("default")))
#else
#define LUGE_API
#endif

#define LUGE_VERSION_MAJOR 0
#define LUGE_VERSION_MINOR 1
#define LUGE_VERSION_PATCH 0
#define LUGE_VERSION_TEXT "0.1.0"

/* ------------------------------------------------------------- errors -- */

/* name, value, sentence.  The table that enum, text and manual grow from. */
#define LUGE_ERRORS(X)                                                        \
    X(NOTFOUND, -1, "there is no such key, tree or position")                 \
    X(EXISTS, -2, "it exists already")                                        \
    X(CONFLICT, -3, "another transaction changed what this one read")         \
    X(BUSY, -4, "somebody else holds it")                                     \
    X(CORRUPT, -5, "the file contradicts its own format or checksum")         \
    X(INVALID, -6, "an argument is out of its range")                         \
    X(NOMEM, -7, "the system gave no memory")                                 \
    X(NOSPACE, -8, "the disk is full")                                        \
    X(IO, -9, "the system reported an input or output error")                 \
    X(PERMISSION, -10, "the system did not permit it")                        \
    X(READONLY, -11, "the handle or the transaction is read-only")            \
    X(NOTLUGE, -12, "the directory holds no luge database")                   \
    X(VERSION, -13, "another version of luge wrote this database")            \
    X(FORKED, -14, "the handle belongs to the process that opened it")        \
    X(BROKEN, -15, "an earlier failure makes this handle unusable")           \
    X(UNSUPPORTED, -16, "this file system or platform cannot carry it")       \
    X(TOOBIG, -17, "a key, value or name exceeds its limit")                  \
    X(NOTREE, -18, "the tree was dropped or never existed")                   \
    X(LIMIT, -19, "a configured limit is reached")                            \
    X(MISMATCH, -20, "the value is not the one expected")                     \
    X(EXPIRED, -21, "the log no longer holds the requested position")         \
    X(TIMEOUT, -22, "the time allowed ran out")

enum luge_code {
    LUGE_OK = 0,
#define X(name, value, text) LUGE_##name = value,
    LUGE_ERRORS(X)
#undef X
};

/* The last failure of the calling thread: what, where, and in which words.
 * Memory: the thread's own, until its next failure. */
struct luge_error {
    int code;           /* one of luge_code */
    int system_errno;   /* errno behind it, or 0 */
    const char *file;   /* the first line that failed, in luge's source */
    int line;
    char text[232];     /* a sentence for people, names the cause */
};

/* The sentence that belongs to CODE.  Never NULL; static memory; any thread. */
LUGE_API const char *luge_error_text(int code);

/* The calling thread's last failure.  Never NULL.  Memory: the thread's, until
 * its next failing call.  Blocks: never. */
LUGE_API const struct luge_error *luge_last_error(void);

/* For libraries that stand on luge: note a failure of their own as the calling
 * thread's last, in printf's words, and return CODE, a negative luge_code.
 * FILE must be static memory; it is cut to what follows its last "src/".
 * Blocks: never. */
LUGE_API int luge_fail(int code, const char *file, int line,
                       const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5), cold))
#endif
    ;

/* "0.1.0" of the library that is linked.  Static memory; any thread. */
LUGE_API const char *luge_version(void);

/* -------------------------------------------------------------- bytes -- */

/* A run of bytes that somebody else owns.  Keys and values are binary. */
typedef struct luge_bytes {
    const void *data;
    size_t size;
} luge_bytes;

static inline luge_bytes luge_bytes_of(const void *data, size_t size)
{
    luge_bytes b;
    b.data = data;
    b.size = size;
    return b;
}

/* The bytes of a C string, without its final zero. */
static inline luge_bytes luge_str(const char *s)
{
    return luge_bytes_of(s, strlen(s));
}

#define LUGE_KEY_SIZE_MAX 1024u               /* bytes */
/* bytes: 4 GiB less what stands around it in the log */
#define LUGE_VALUE_SIZE_MAX (((size_t)1 << 32) - 8192)
#define LUGE_NAME_SIZE_MAX 512u               /* bytes of a tree's name */

/* --------------------------------------------------------------- open -- */

typedef struct luge_db luge_db;
typedef struct luge_txn luge_txn;
typedef struct luge_cursor luge_cursor;

/* A tree's number: fixed at its creation, kept by renames, never used twice. */
typedef uint64_t luge_tree;

#define LUGE_MAIN ((luge_tree)1) /* the tree that always exists, "main" */

enum luge_durability {
    LUGE_DURABILITY_DEFAULT = 0, /* of a transaction: the database's setting */
    LUGE_FULL = 1,  /* commit returns after the log reached the device */
    LUGE_ASYNC = 2, /* commit survives the death of the process at once, and
                       power loss after at most sync_interval_ms */
};

enum luge_open_flags {
    LUGE_READ_ONLY = 1 << 0,  /* this handle changes no data; it needs write
                                 permission even so, to tell others what it
                                 reads: PERMISSION without it */
    LUGE_CREATE_NEW = 1 << 1, /* LUGE_EXISTS if there is a database already */
    LUGE_MUST_EXIST = 1 << 2, /* LUGE_NOTFOUND instead of creating one */
    LUGE_TEMPORARY = 1 << 3,  /* delete the directory at the last close; with
                                 a path of NULL a directory is invented */
};

/* Zero means "the default" in every field, so {0} is a good start. */
struct luge_options {
    unsigned flags;             /* of luge_open_flags */
    uint32_t page_bytes;        /* at creation: 4096 (default) .. 65536, 2^n */
    int durability;             /* LUGE_FULL (default) or LUGE_ASYNC */
    uint32_t sync_interval_ms;  /* ASYNC: longest time to a sync; default 200 */
    uint64_t cache_bytes;       /* bound on unpublished pages kept in memory by
                                   this process; default a sixteenth of what
                                   memory there is for it (a control group's
                                   limit counts), 64 MiB to 1 GiB.  More of it
                                   writes less where changes are spread over
                                   more, and more at once */
    uint64_t checkpoint_bytes;  /* log volume between checkpoints; default
                                   64 MiB.  Bounds the time of recovery */
    uint64_t log_keep_bytes;    /* log kept for readers of the past beyond what
                                   recovery needs; default 64 MiB */
    uint32_t busy_timeout_ms;   /* wait for the turn or the gate at most; 0 =
                                   30 000 */
    uint64_t history_bytes;     /* log volume between two snapshots that luge
                                   takes by itself for luge_history.h, unless
                                   the database says otherwise; default: none
                                   are taken, for each keeps what is replaced
                                   after it; UINT64_MAX: not by this process,
                                   whatever the database says */
    void *platform;             /* leave NULL.  Tests put a simulator here */
};

/* Open the database in directory PATH, creating it unless told otherwise.
 * options may be NULL.  A second open of one directory in one process shares
 * the environment and needs equal page_bytes or 0; the first
 * opener's settings hold.
 * Memory: *db is the caller's until luge_close; NULL after an error.
 * Threads: any.
 * Blocks: while another process recovers or attaches, at most busy_timeout_ms.
 * Errors: NOTFOUND, EXISTS, NOTLUGE, VERSION, CORRUPT, PERMISSION, NOSPACE,
 * UNSUPPORTED (network file systems), BUSY, IO, NOMEM, INVALID. */
LUGE_API int luge_open(const char *path, const struct luge_options *options,
                       luge_db **db);

/* Close DB.  Transactions must have ended and watches been closed (else BUSY
 * and nothing happens).
 * What was committed asynchronously is synced.  NULL is allowed.
 * The handle is gone after any answer but BUSY; the answer tells whether the
 * last sync and checkpoint succeeded. */
LUGE_API int luge_close(luge_db *db);

/* 1 if this open found an existing database, 0 if it created one. */
LUGE_API int luge_was_recovered(luge_db *db);

/* Make everything that any process has committed so far durable.
 * Blocks: one device sync.  Errors: IO, BROKEN. */
LUGE_API int luge_sync(luge_db *db);

/* Write a checkpoint now: recovery will start here and the log before it may
 * be recycled.  Blocks: for the device.
 * Errors: IO, NOSPACE, BROKEN, READONLY. */
LUGE_API int luge_checkpoint(luge_db *db);

/* A number that no process gets twice, not even after a crash; each is larger
 * than every one given before.  Costs one atomic addition.
 * Blocks: for a sync once in 2^24 numbers.  Errors: READONLY, IO, NOSPACE. */
LUGE_API int luge_next_id(luge_db *db, uint64_t *id);

/* COUNT consecutive numbers from *first on; 1 <= count <= 2^20. */
LUGE_API int luge_next_ids(luge_db *db, uint32_t count, uint64_t *first);

/* luge_next_id of TXN's database, for who has only the transaction. */
LUGE_API int luge_txn_next_id(luge_txn *txn, uint64_t *id);

/* ------------------------------------------------------- transactions -- */

enum luge_begin_flags {
    LUGE_READ = 0,         /* a snapshot; never waits for a transaction, never
                              conflicts */
    LUGE_WRITE = 1 << 0,   /* optimistic: validated at commit */
    LUGE_TURN = 1 << 1,    /* a write transaction that holds the turn from the
                              start: others wait, and it never conflicts; but
                              if this process is stopped (SIGSTOP, a debugger)
                              meanwhile, others take the turn from it, and the
                              next change or the commit answers CONFLICT */
    LUGE_TXN_FULL = 1 << 2,  /* override the database's durability */
    LUGE_TXN_ASYNC = 1 << 3,
    LUGE_TRY = 1 << 4,     /* with LUGE_TURN: LUGE_BUSY instead of waiting */
};

/* Begin a transaction on the newest version that may be shown: nothing that a
 * power loss could still take back is seen by a reader.  A LUGE_TURN
 * transaction sees the newest commit, durable or not; its own luge_commit waits
 * for that too if it changed nothing.
 * Memory: *txn is the caller's until luge_commit or luge_abort; NULL after an
 * error.
 * Errors: READONLY, BUSY (turn), LIMIT (2 000 readers), NOMEM, FORKED,
 * BROKEN. */
LUGE_API int luge_begin(luge_db *db, unsigned flags, luge_txn **txn);

/* End TXN and make its changes visible to all processes, all or none.
 * TXN and its cursors are gone whatever the answer.
 * Errors: CONFLICT (something it read was changed since: run it again),
 * NOSPACE, IO, NOMEM, CORRUPT: nothing was changed.  BROKEN after a failed
 * sync, or one that was robbed of the turn and could not undo its record:
 * whether it lasts is unknown, and the database must be reopened. */
LUGE_API int luge_commit(luge_txn *txn);

/* End TXN and forget its changes.  NULL is allowed.  Never fails. */
LUGE_API void luge_abort(luge_txn *txn);

/* Move a read transaction to the newest version.  Values it returned and
 * positions of its cursors are gone.  Errors: INVALID for a write one. */
LUGE_API int luge_renew(luge_txn *txn);

/* The sequence number of the snapshot that TXN reads: dense, 1 per commit. */
LUGE_API uint64_t luge_txn_seq(const luge_txn *txn);

/* The sequence number of the last commit that this process made, or 0. */
LUGE_API uint64_t luge_committed_seq(luge_db *db);

/* Run FN in a write transaction and commit; on conflict run it again, with
 * back-off, and in the end holding the turn.  FN returns 0 to commit; any other
 * value aborts and is returned.  FN may run several times and must not end TXN.
 * TXN reads what is newest when it first reads, or when it began.
 * flags: LUGE_TXN_FULL, LUGE_TXN_ASYNC, LUGE_TURN. */
LUGE_API int luge_transact(luge_db *db, unsigned flags,
                           int (*fn)(luge_txn *txn, void *context),
                           void *context);

/* Remember this point of TXN in *savepoint; they nest. */
LUGE_API int luge_savepoint(luge_txn *txn, uint32_t *savepoint);

/* Undo every change made after SAVEPOINT, which stays valid; later ones go.
 * Values returned since are gone, and so are trees of snapshots, of bases and
 * of the past that were opened since.  What was read stays part of
 * validation. */
LUGE_API int luge_rollback(luge_txn *txn, uint32_t savepoint);

/* -------------------------------------------------------------- trees -- */

enum luge_tree_flags { LUGE_TREE_CREATE = 1 << 0 };

/* The number of the tree called NAME.  Names are bytes, any but empty; '/' is
 * customary for paths.  With LUGE_TREE_CREATE it is made if absent (needs a
 * write transaction).  Errors: NOTFOUND, READONLY, TOOBIG, INVALID. */
LUGE_API int luge_tree_open(luge_txn *txn, luge_bytes name, unsigned flags,
                            luge_tree *tree);

/* Remove TREE and its content; its space returns.  INVALID for LUGE_MAIN. */
LUGE_API int luge_tree_drop(luge_txn *txn, luge_tree tree);

/* Give TREE another name.  EXISTS if taken; INVALID for LUGE_MAIN. */
LUGE_API int luge_tree_rename(luge_txn *txn, luge_tree tree, luge_bytes name);

/* Remove every key of TREE. */
LUGE_API int luge_tree_clear(luge_txn *txn, luge_tree tree);

/* The number of keys in TREE.  O(1). */
LUGE_API int luge_tree_count(luge_txn *txn, luge_tree tree, uint64_t *count);

/* The name of TREE.  Memory: ours, until the transaction changes or ends. */
LUGE_API int luge_tree_name(luge_txn *txn, luge_tree tree, luge_bytes *name);

/* The first tree whose name is greater than AFTER (size 0: the first of all),
 * in the order of names.  *name as in luge_tree_name.  NOTFOUND at the end. */
LUGE_API int luge_tree_after(luge_txn *txn, luge_bytes after, luge_bytes *name,
                             luge_tree *tree);

/* ---------------------------------------------------- keys and values -- */

/* Values that luge returns point into the database itself.
 * Memory: ours.  In a read transaction they stay until it ends or is renewed;
 * in a write transaction until its next change of any tree.  No alignment.
 * Keys are stored without what they share with their neighbours, so a key that
 * luge returns is assembled: it stays until the next call on the same cursor
 * (luge_near: until the next luge_near of the transaction).
 * Threads: the transaction's own.  Blocks: never.
 * Errors of all: NOTREE, CORRUPT, IO, INVALID, BROKEN, FORKED, NOMEM; of those
 * that change: READONLY, TOOBIG. */

/* The value of KEY.  NOTFOUND if there is none. */
LUGE_API int luge_get(luge_txn *txn, luge_tree tree, luge_bytes key,
                      luge_bytes *value);

/* Set KEY to VALUE, whatever was there. */
LUGE_API int luge_put(luge_txn *txn, luge_tree tree, luge_bytes key,
                      luge_bytes value);

/* Set KEY to VALUE if it is absent; EXISTS otherwise. */
LUGE_API int luge_add(luge_txn *txn, luge_tree tree, luge_bytes key,
                      luge_bytes value);

/* Remove KEY; NOTFOUND if absent. */
LUGE_API int luge_del(luge_txn *txn, luge_tree tree, luge_bytes key);

/* Remove every key k with from <= k < to; NULL means unbounded.  *count, if not
 * NULL, receives how many there were. */
LUGE_API int luge_del_range(luge_txn *txn, luge_tree tree,
                            const luge_bytes *from, const luge_bytes *to,
                            uint64_t *count);

/* Compare and swap.  If KEY's value equals *expected (NULL: absent), set it to
 * *desired (NULL: remove).  Else MISMATCH, or NOTFOUND if it is absent, and
 * *actual, if not NULL, receives what is there. */
LUGE_API int luge_cas(luge_txn *txn, luge_tree tree, luge_bytes key,
                      const luge_bytes *expected, const luge_bytes *desired,
                      luge_bytes *actual);

/* Replace KEY's value by what FN makes of it.  FN sees the old value (NULL:
 * absent), may store a new one in *result and returns 1 to set it, 0 to
 * remove the key, 2 to leave it, or a negative code, which aborts the call.
 * *result must stay valid until luge_update returns. */
typedef int (*luge_update_fn)(void *context, const luge_bytes *old,
                              luge_bytes *result);
LUGE_API int luge_update(luge_txn *txn, luge_tree tree, luge_bytes key,
                         luge_update_fn fn, void *context);

/* Combine KEY's value with OPERAND by the operator called NAME: what others
 * call a merge operator.  (luge_merge, in luge_fork.h, joins whole trees.)
 * Built in: "add" (unsigned little-endian 64-bit sum), "max", "min" (the
 * larger or smaller of two such numbers), "append" (bytes at the end), "or"
 * (bitwise or, padded with zeros).  The result is logged, not the operator.
 * *result, if not NULL, receives the new value.
 * Errors: NOTFOUND (no such operator), MISMATCH (operand of a wrong size). */
LUGE_API int luge_combine(luge_txn *txn, luge_tree tree, luge_bytes key,
                          const char *name, luge_bytes operand,
                          luge_bytes *result);

/* Register an operator for this process: FN gets the old value (NULL:
 * absent) and the operand, and fills *result from memory that lives until the
 * next call with the same context.  Returns as luge_update_fn. */
typedef int (*luge_operator_fn)(void *context, luge_bytes key,
                                const luge_bytes *old, luge_bytes operand,
                                luge_bytes *result);
LUGE_API int luge_operator_register(luge_db *db, const char *name,
                                    luge_operator_fn fn, void *context);

enum luge_seek {
    LUGE_FIRST, /* the smallest key (KEY is ignored) */
    LUGE_LAST,  /* the greatest */
    LUGE_GE,    /* the smallest that is >= KEY */
    LUGE_GT,
    LUGE_LE,    /* the greatest that is <= KEY */
    LUGE_LT,
};

/* The neighbour of KEY in the direction SEEK.  NOTFOUND if there is none. */
LUGE_API int luge_near(luge_txn *txn, luge_tree tree, enum luge_seek seek,
                       luge_bytes key, luge_bytes *found, luge_bytes *value);

/* Take out the smallest (or greatest) pair.  *key and *value: memory ours,
 * until the transaction's next pop or its end.  NOTFOUND if TREE is empty. */
LUGE_API int luge_pop_min(luge_txn *txn, luge_tree tree, luge_bytes *key,
                          luge_bytes *value);
LUGE_API int luge_pop_max(luge_txn *txn, luge_tree tree, luge_bytes *key,
                          luge_bytes *value);

/* A batch: N operations in one transaction of their own, all or none. */
enum luge_op_kind { LUGE_OP_PUT = 1, LUGE_OP_DEL = 2 };
struct luge_op {
    int kind;
    luge_tree tree;
    luge_bytes key, value;
};
LUGE_API int luge_apply(luge_db *db, unsigned flags, const struct luge_op *ops,
                        size_t count);

/* ------------------------------------------------------------ cursors -- */

/* A place in the order of TREE's keys, as TXN sees it, its own writes included.
 * A cursor survives every change of its transaction: it remembers its key.
 * Keys and values it returns live as in luge_get.
 * Memory: *cursor is the caller's until luge_cursor_close or the end of TXN. */
LUGE_API int luge_cursor_open(luge_txn *txn, luge_tree tree,
                              luge_cursor **cursor);
LUGE_API void luge_cursor_close(luge_cursor *cursor);

/* Confine the cursor to from <= key < to (NULL: open), and unposition it.
 * The bounds are copied. */
LUGE_API int luge_cursor_range(luge_cursor *cursor, const luge_bytes *from,
                               const luge_bytes *to);

/* Confine the cursor to keys that begin with PREFIX, and unposition it. */
LUGE_API int luge_cursor_prefix(luge_cursor *cursor, luge_bytes prefix);

/* Go to a neighbour of KEY.  NOTFOUND leaves the cursor unpositioned.
 * key and value may be NULL. */
LUGE_API int luge_cursor_seek(luge_cursor *cursor, enum luge_seek seek,
                              luge_bytes target, luge_bytes *key,
                              luge_bytes *value);

/* One step; an unpositioned cursor starts at the first (last) key.  NOTFOUND
 * past the end, where the cursor stays: the next step the same way answers
 * NOTFOUND again, one back returns to the last pair. */
LUGE_API int luge_cursor_next(luge_cursor *cursor, luge_bytes *key,
                              luge_bytes *value);
LUGE_API int luge_cursor_prev(luge_cursor *cursor, luge_bytes *key,
                              luge_bytes *value);

/* Remove the pair the cursor is at; it then stands between its neighbours.
 * NOTFOUND if it is at none. */
LUGE_API int luge_cursor_del(luge_cursor *cursor);

/* --------------------------------------------------------- inspection -- */

#define LUGE_HISTOGRAM 24

/* Figures of one moment.  Bytes unless the name says otherwise. */
struct luge_stats {
    uint64_t seq_committed, seq_durable, seq_shown, seq_checkpoint;
    uint64_t seq_published;     /* what is newer is in the log only: another
                                   process that begins replays it */
    uint64_t pages_total, pages_free, pages_pending, page_bytes;
    uint64_t file_bytes, log_bytes, private_bytes;
    uint64_t trees, commits, conflicts, syncs, checkpoints, takeovers;
    uint32_t processes, readers;
    uint64_t reader_oldest_seq; /* 0 if there is none */
    uint64_t log_since_checkpoint_bytes;
    uint32_t watches;           /* of luge_feed.h, in all processes */
    uint64_t commits_per_second;     /* lately: in a second or so */
    uint64_t commits_blind;     /* of the commits: only the log had them, at
                                   first; nobody was about to read */
    /* Since somebody first opened the directory; [i] counts what is below 2^i
     * and not below 2^(i - 1). */
    uint64_t sync_us[LUGE_HISTOGRAM];       /* what a sync of the log took */
    uint64_t group_commits[LUGE_HISTOGRAM]; /* how many commits it covered */
    /* How this process opened the directory.  If nobody had it open, the log
     * behind the last checkpoint was replayed; else, and after a close, only
     * open_us is not 0. */
    uint64_t open_us;                /* luge_open, all of it, the first here */
    uint64_t recovery_scan_us;       /* the log was checked, */
    uint64_t recovery_replay_us;     /* applied, */
    uint64_t recovery_sync_us;       /* and the device waited for */
    uint64_t recovery_records, recovery_bytes;           /* of the log */
};
LUGE_API int luge_stat(luge_db *db, struct luge_stats *stats);

/* Facts about one tree. */
struct luge_tree_stats {
    uint64_t count, leaf_pages, branch_pages, extent_pages;
    uint64_t key_bytes, value_bytes;
    uint32_t depth;
};
LUGE_API int luge_tree_stat(luge_txn *txn, luge_tree tree,
                            struct luge_tree_stats *stats);

/* The prover: order, counts, checksums and reachability of everything; each
 * page is exactly one of live, pinned, pending, free.  REPORT, if not NULL,
 * gets one sentence for each defect.  Takes the turn while it looks at the
 * allocator.  0 if sound, CORRUPT if not. */
LUGE_API int luge_check(luge_db *db,
                        void (*report)(void *context, const char *sentence),
                        void *context);

/* A checksum of every tree's name and content, equal for equal content
 * whatever the layout of pages: XXH3 of each part, seeded with the previous.
 * Consumers and retention ("luge/log") are no content: a dump that was loaded,
 * which lacks them, has the checksum of its original. */
LUGE_API int luge_checksum(luge_txn *txn, uint64_t *sum);

#ifdef __cplusplus
}
#endif
#endif
