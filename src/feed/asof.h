/* feed/asof.h -- a transaction on the state behind an earlier commit.
 *
 *     base ----the records of the log behind it----> the state behind SEQ
 *     pages of the file, pinned                      frames, in own memory
 *
 *   A1  The base is the newest of: what the newest checkpoint is of, the
 *       snapshots of everything, and the empty database that each began as;
 *       as long as the log reaches back to it.
 *   A2  Nothing is allocated in the file, no turn is needed, nobody waits.  It
 *       takes memory and time in proportion to the log that is replayed.
 * Not here: whose transaction it is (store/history.c).
 */
#ifndef FEED_ASOF_H
#define FEED_ASOF_H

#include "txn/txn.h"

/* A read transaction on the state behind SEQ.  NOTFOUND: nobody may see it yet.
 * EXPIRED: it cannot be reached any more. */
int asof_begin(struct env *e, u64 seq, struct luge_txn **txn);
/* The last commit at TIME_NS or before that may be shown.  EXPIRED, NOTFOUND:
 * there was none. */
int asof_seq(struct env *e, u64 time_ns, u64 *seq);
/* When commit SEQ was made.  EXPIRED, NOTFOUND. */
int asof_time(struct env *e, u64 seq, u64 *time_ns);
/* The oldest state from which on every one can be reached. */
int asof_oldest(struct env *e, u64 *seq);

#endif
