/* luge_feed.h -- the feed: every committed transaction, in order, to whoever
 * wants to follow; in this process or another, from now or from the past.
 *
 * What holds here:
 *   W1  A watch delivers whole transactions in the order of their commits, each
 *       exactly once, none left out but those whose changes its filter all
 *       leaves out, or it answers LUGE_EXPIRED.
 *   W2  Nobody who writes ever waits for a watch.  What a slow one has not seen
 *       yet is in the log.
 *   W3  Without flags a transaction is delivered once it is durable: what was
 *       delivered is never taken back.
 *
 * A watch reads the log, so it costs the writers nothing but a look whether
 * somebody sleeps who is concerned.
 *
 * Threads: a luge_watch belongs to one thread at a time; luge_watch_wake may be
 * called by any.  Return values and errors as in luge.h.
 */
#ifndef LUGE_FEED_H
#define LUGE_FEED_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct luge_watch luge_watch;

/* What happened to a tree.  A range that was deleted is a DEL for each of its
 * keys; a merge, an update, a compare-and-swap is a PUT of its result.  A DEL
 * may be of a key that was not there (luge_apply), a PUT of the same value. */
enum luge_change_kind {
    LUGE_CHANGE_PUT = 1,
    LUGE_CHANGE_DEL = 2,
    LUGE_CHANGE_TREE_CREATE = 3, /* key: the name */
    LUGE_CHANGE_TREE_DROP = 4,   /* key: the name; its keys are gone with it */
    LUGE_CHANGE_TREE_RENAME = 5, /* key: the new name, value: the old one */
    LUGE_CHANGE_TREE_CLEAR = 6,  /* all its keys are gone */
    LUGE_CHANGE_TREE_FORK = 7,   /* key: the new tree's name; it holds what
                                    `source` held just then.  source 0: what
                                    tree `old` held in snapshot `value` */
    LUGE_CHANGE_SNAPSHOT = 8,    /* key: its name, value: the path; tree: the
                                    snapshot's number */
    LUGE_CHANGE_SNAPSHOT_DROP = 9, /* key: its name */
};

enum luge_change_flags {
    LUGE_CHANGE_OLD = 1 << 0,           /* `old` is the value before */
    LUGE_CHANGE_OLD_UNKNOWN = 1 << 1,   /* whether there was one is not known */
};

struct luge_change {
    int kind;               /* of luge_change_kind; skip what you do not know:
                               a later luge may add some */
    unsigned flags;         /* of luge_change_flags.  0 with LUGE_WATCH_OLD: the
                               key was absent before */
    luge_tree tree;
    luge_bytes key, value;  /* value: empty for DEL */
    luge_bytes old;         /* of PUT and DEL, with LUGE_WATCH_OLD */
    luge_tree source;       /* of TREE_FORK */
};

/* One transaction, or what the filter leaves of it. */
struct luge_change_set {
    uint64_t seq;           /* of the commit: dense in the database */
    uint64_t time_ns;       /* since 1970; rises with seq */
    uint64_t skipped;       /* if not 0: so many transactions were skipped, all
                               up to and including seq; count is 0 */
    size_t count;           /* of changes, in the order they were made */
    const struct luge_change *changes;
};

enum luge_watch_from {
    LUGE_FROM_NOW = 0,      /* what commits after luge_watch_open began.  What
                               committed before and is shown later is left out:
                               who looks at a snapshot, too, begins from one */
    LUGE_FROM_SEQ = 1,      /* every transaction after number `seq` */
    LUGE_FROM_SNAPSHOT = 2, /* every transaction that `snapshot` does not show:
                               snapshot and watch together are all there is,
                               nothing twice, nothing missing */
};

enum luge_watch_flags {
    /* When: by default as soon as it is durable. */
    LUGE_WATCH_COMMITTED = 1 << 0, /* as soon as it is committed: the quickest.
                                      A snapshot may not show it yet, and power
                                      loss may take it back; its number is then
                                      given to another */
    LUGE_WATCH_SHOWN = 1 << 1,     /* as soon as a snapshot shows it, which for
                                      asynchronous commits is at once */
    LUGE_WATCH_EMPTY = 1 << 2,     /* deliver also transactions of which the
                                      filter leaves nothing, with count 0 */
    LUGE_WATCH_OLD = 1 << 3,       /* with the values that were replaced.  The
                                      log does not have them: the watch keeps a
                                      snapshot of its own and applies to it in
                                      memory what passes its filter.  Costs a
                                      lookup and a private put for each change,
                                      a few MiB, and a reader's pin.  FROM_SEQ
                                      they are unknown until the watch has come
                                      to the present; after NOMEM, too */
};

/* Zero means the default in every field, so {0} watches all from now. */
struct luge_watch_options {
    unsigned flags;         /* of luge_watch_flags */
    int from;               /* of luge_watch_from */
    uint64_t seq;           /* for LUGE_FROM_SEQ; 0: from the first on */
    luge_txn *snapshot;     /* for LUGE_FROM_SNAPSHOT; a read transaction, may
                               end once luge_watch_open has returned */
    uint64_t skip_after;    /* 0: never skip, rather expire.  N: if more than N
                               transactions wait, or the log is recycled, skip
                               to the newest and say how many were left out */
    luge_tree tree;         /* only this tree; 0: all trees, and snapshots */
    luge_bytes prefix;      /* only keys that begin so; copied.  What happens to
                               a whole tree is delivered nevertheless */
};

/* Begin to watch.  OPTIONS may be NULL.
 * Memory: *watch is the caller's until luge_watch_close, before luge_close.
 * Blocks: never for a writer; FROM_SEQ reads up to one segment of the log.
 * Errors: EXPIRED (the log no longer reaches back to there: take a snapshot and
 * go on from it), INVALID (a seq that was not committed yet, a transaction that
 * writes), LIMIT (256 watches on a database), TOOBIG, NOMEM, IO, CORRUPT,
 * FORKED, BROKEN. */
LUGE_API int luge_watch_open(luge_db *db,
                             const struct luge_watch_options *options,
                             luge_watch **watch);

/* The next transaction.  Waits TIMEOUT_MS at most; 0: not at all, -1: for ever.
 * Memory: *set and all it points to are WATCH's, until its next call.
 * Blocks: as said.
 * Errors: TIMEOUT (nothing came, or luge_watch_wake was called); EXPIRED (the
 * log was recycled under a watch that fell behind: it stays expired; take a
 * snapshot and open a new one); NOMEM, IO, CORRUPT, FORKED, BROKEN: the watch
 * stands where it stood. */
LUGE_API int luge_watch_next(luge_watch *watch, int timeout_ms,
                             const struct luge_change_set **set);

/* A descriptor for poll, epoll and event loops.  After luge_watch_next answered
 * TIMEOUT, *fd becomes readable when there may be something: then call
 * luge_watch_next until it answers TIMEOUT again.  Now and then it is readable
 * in vain.  Do not read from it.
 * Memory: WATCH's, closed with it; the same one at each call.
 * Blocks: never.  Errors: LIMIT (inotify instances of this user, descriptors of
 * this process), UNSUPPORTED, IO, NOSPACE. */
LUGE_API int luge_watch_fd(luge_watch *watch, int *fd);

/* The transaction up to which WATCH has seen everything: delivered, or left out
 * by its filter.  Another watch may go on from there.  Blocks: never. */
LUGE_API uint64_t luge_watch_seq(const luge_watch *watch);

/* The name of TREE, as WATCH knows it at the set delivered last: from the
 * creations and new names that passed, or else from the newest snapshot.
 * Memory: *name is WATCH's, until its next call.
 * Blocks: as luge_begin.  Errors: NOTREE (it is gone since), NOMEM. */
LUGE_API int luge_watch_tree_name(luge_watch *watch, luge_tree tree,
                                  luge_bytes *name);

/* Let the luge_watch_next that waits, or else the next one that would wait,
 * answer TIMEOUT.  Any thread; WATCH must stay open meanwhile.  Blocks: never.
 * Never fails. */
LUGE_API void luge_watch_wake(luge_watch *watch);

/* End WATCH.  NULL is allowed.  Never fails. */
LUGE_API void luge_watch_close(luge_watch *watch);

/* Which transactions the log still holds: a watch FROM_SEQ may begin at any
 * *oldest <= seq <= *newest, and the first it delivers is seq + 1.
 * Blocks: never.  Errors: IO, FORKED, BROKEN. */
LUGE_API int luge_log_span(luge_db *db, uint64_t *oldest, uint64_t *newest);

/* ---------------------------------------------------------- consumers -- */

/* A durable consumer is a name with a cursor, kept in the database: what comes
 * after it stays in the log (up to hold_bytes, below), and another process, or
 * the same one after a crash, goes on where the cursor stands.
 *
 * Exactly once:  luge_consumer_get, at = its seq; watch from there; for one set
 * or several: begin a write transaction, do what is to be done,
 * luge_consumer_ack(txn, name, at, set->seq), commit, at = set->seq.  Both
 * last, or neither.
 *
 * Cursors stand in a tree of their own, "luge/log".  What happens in it is
 * delivered to nobody but a watch of that tree alone, so an acknowledgement
 * does not wake its own consumer. */
struct luge_consumer {
    luge_bytes name;        /* the transaction's, until its next such call */
    uint64_t seq;           /* consumed up to this transaction */
    uint64_t lag;           /* transactions since, as this transaction sees */
    uint64_t acked_ns;      /* since 1970; or when it was created */
    int expired;            /* 1: the log no longer holds what comes next */
};

#define LUGE_CONSUMER_NAME_MAX 512u     /* bytes */

/* Create consumer NAME, which has consumed up to SEQ; luge_txn_seq(txn) is the
 * state that TXN sees.  Threads: the transaction's.
 * Errors: EXISTS, INVALID, TOOBIG, READONLY, and as luge_put. */
LUGE_API int luge_consumer_create(luge_txn *txn, luge_bytes name,
                                  uint64_t seq);

/* Consumer NAME, whose cursor stands at BEFORE, has consumed up to SEQ as soon
 * as TXN commits.  BEFORE is what luge_consumer_get said, then the SEQ of the
 * acknowledgement before.
 * Errors: NOTFOUND; MISMATCH: its cursor stands elsewhere, so another process
 * consumes by this name too: abort, and go on where the cursor stands; INVALID:
 * SEQ is smaller than BEFORE, or not committed; READONLY. */
LUGE_API int luge_consumer_ack(luge_txn *txn, luge_bytes name, uint64_t before,
                               uint64_t seq);

/* Consumer NAME, as TXN sees it.  NOTFOUND. */
LUGE_API int luge_consumer_get(luge_txn *txn, luge_bytes name,
                               struct luge_consumer *consumer);

/* The first consumer whose name is greater than AFTER (size 0: the first of
 * all).  NOTFOUND at the end. */
LUGE_API int luge_consumer_after(luge_txn *txn, luge_bytes after,
                                 struct luge_consumer *consumer);

/* Forget consumer NAME; the log is no longer kept for it.  NOTFOUND. */
LUGE_API int luge_consumer_drop(luge_txn *txn, luge_bytes name);

/* ---------------------------------------------------------- retention -- */

enum luge_retention_flags {
    LUGE_KEEP_ALL = 1 << 0, /* the log is an archive: nothing of it goes.  It
                               is not in backups: a restored database begins
                               with a log of its own; a copy of the directory,
                               made while nobody has it open, has all of it */
};

/* How long the log is kept beyond what recovery needs.  Kept in the database,
 * so all processes heed it.  Segments go at checkpoints, oldest first. */
struct luge_retention {
    unsigned flags;         /* of luge_retention_flags */
    uint64_t keep_bytes;    /* always; 0: log_keep_bytes of luge_options */
    uint64_t keep_seconds;  /* always, within hold_bytes; 0: none */
    uint64_t hold_bytes;    /* what consumers and watches that fell behind may
                               hold, the log in all; 0: 1 GiB.  Beyond it they
                               expire */
};
/* What is set; zeros if nothing was. */
LUGE_API int luge_retention_get(luge_txn *txn, struct luge_retention *r);

/* Set it, from TXN's commit on.  READONLY, INVALID. */
LUGE_API int luge_retention_set(luge_txn *txn, const struct luge_retention *r);

#ifdef __cplusplus
}
#endif
#endif
