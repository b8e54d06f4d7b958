/* luge_history.h -- the past of a database: any state that the log still leads
 * to, read as it was.
 *
 * What holds here:
 *   A commit has a number and a time, and both only rise.  The state behind a
 *   commit is exactly what a reader saw who began then: trees, forks and
 *   snapshots.
 *   A past state is made anew in this process's memory: from the newest state
 *   before it that is still there, by what the log says was done since.  There
 *   are the newest checkpoint, every snapshot of everything, and, as long as
 *   the log begins with the first commit, the empty database.
 *   Nobody waits for it, and it waits for nobody.
 *   One thing may be missing: what was forked of a snapshot that was dropped
 *   since cannot be made again, unless a state from before it leads there.
 *
 * How far back that is: at least to the newest checkpoint; to the first commit
 * of a database with no more log than log_keep_bytes (64 MiB).  Farther back
 * needs states to begin at (luge_history_policy_set makes luge take snapshots
 * by itself) and the log behind them (luge_retention_set keeps it).
 *
 * Return values, errors and threads as in luge.h.
 */
#ifndef LUGE_HISTORY_H
#define LUGE_HISTORY_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Begin a read transaction on the state behind commit SEQ.  All calls that read
 * work on it; luge_renew leaves the past for the newest version.
 * A snapshot of that time can be opened if it was not dropped since (else
 * EXPIRED); luge_snapshot_measure is INVALID.
 * Memory: as luge_begin; and own memory, in proportion to the log that is
 * replayed, until the end (beyond twice cache_bytes in a file).
 * Blocks: while the log is replayed: about a second for 64 MiB.
 * Errors: NOTFOUND (nobody may see commit SEQ yet), EXPIRED (nothing leads
 * there any more; the sentence says why),
 * INVALID (0), CORRUPT, IO, NOMEM, LIMIT, FORKED, BROKEN. */
LUGE_API int luge_begin_at(luge_db *db, uint64_t seq, luge_txn **txn);

/* The last commit that was made at TIME_NS (since 1970) or before, as far as
 * readers may see.  Blocks: to read a segment of the log.
 * Errors: NOTFOUND (there was none), EXPIRED (the log does not reach back), IO,
 * CORRUPT. */
LUGE_API int luge_seq_at(luge_db *db, uint64_t time_ns, uint64_t *seq);

/* When commit SEQ was made, since 1970.  Errors: as luge_seq_at. */
LUGE_API int luge_time_at(luge_db *db, uint64_t seq, uint64_t *time_ns);

/* The tree that was called NAME behind commit SEQ, in TXN, which sees another
 * state: to be read with every call that reads a tree, so that luge_diff
 * compares then and now.  Those that change one answer READONLY.  *tree is good
 * until TXN ends, is renewed, or is rolled back to a savepoint before.  What it
 * holds does not change, so reading it conflicts with nobody.  Several trees of
 * one SEQ cost one replay.
 * Memory, blocks and errors: as luge_begin_at; NOTFOUND, too, if there was no
 * such tree. */
LUGE_API int luge_past_open(luge_txn *txn, uint64_t seq, luge_bytes name,
                            luge_tree *tree);

/* How much of the past is there. */
struct luge_history {
    uint64_t newest_seq, newest_ns;
    uint64_t oldest_seq;    /* every state from here on can be had (but for
                               the one thing above) */
    uint64_t oldest_ns;     /* when it was made; 0: the log does not say */
    uint64_t log_seq;       /* the log holds every commit after this one */
    uint64_t log_bytes;
};
LUGE_API int luge_history_span(luge_db *db, struct luge_history *history);

/* ------------------------------------------- snapshots of luge's own -- */

/* Which states luge keeps by itself, for the past to begin at.  Each is a
 * snapshot of everything under a name of its own, "luge/history/" and the
 * number of its commit, and listed, read, measured and dropped like any other.
 * Nobody else may take one under such a name, and watches do not tell of them.
 * What they cost: as with every snapshot, pages that are replaced stay as long
 * as the snapshot that has them, each once for all snapshots in a row that do.
 * The state behind the commit of such a snapshot can be had even when the log
 * is gone. */
struct luge_history_policy {
    uint64_t every_bytes;   /* of log between two, to a segment of the log or
                               so; 0: history_bytes of luge_options; UINT64_MAX:
                               none are taken.  It bounds what luge_begin_at
                               replays */
    uint64_t keep_seconds;  /* as long as the log leads on from them, they are
                               kept; and until they are so old.  Old ones are
                               thinned: between two neighbours a quarter of
                               their age may pass */
};
LUGE_API int luge_history_policy_get(luge_txn *txn,
                                     struct luge_history_policy *policy);

/* Set it, for all processes, from TXN's commit on.  READONLY. */
LUGE_API int luge_history_policy_set(luge_txn *txn,
                                     const struct luge_history_policy *policy);

#ifdef __cplusplus
}
#endif
#endif
