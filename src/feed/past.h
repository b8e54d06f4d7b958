/* feed/past.h -- the content just before the record that is being delivered,
 * for old values.
 *
 *     snapshot (pinned)  +  what the records since did to it, in memory
 *
 *   P1  The state is the one behind record `seq`; until a reader has come to
 *       the first snapshot there is none (known is false).
 *   P2  When what was done to the snapshot has become much, or the reader has
 *       nothing to read, a newer snapshot takes its place as soon as the
 *       reader stands where it was taken.
 * Only what passes the filter is applied: nothing else is asked for.
 * Not here: filters (watch.c).
 */
#ifndef FEED_PAST_H
#define FEED_PAST_H

#include "txn/txn.h"

struct feed_past {
    struct env *env;
    bool known;                 /* P1 */
    struct luge_txn *base, *newer;      /* snapshots; newer: to come */
    struct view view;
    struct page_work work;
    struct ops ops;             /* large values in the view stand here */
};

/* Begin at SNAPSHOT's version, which it keeps pinned for itself; NULL: unknown
 * until a snapshot is reached. */
int feed_past_open(struct feed_past *p, struct env *e,
                   const struct luge_txn *snapshot);
void feed_past_close(struct feed_past *p);
/* The reader has jumped: nothing is known any more. */
void feed_past_forget(struct feed_past *p);
/* KEY's value.  NOTFOUND.  Memory: until the next feed_past_apply. */
int feed_past_get(struct feed_past *p, u64 tree, luge_bytes key,
                  luge_bytes *value);
int feed_past_apply(struct feed_past *p, const struct op *op);
/* The reader stands behind SEQ.  IDLE: there is nothing more to read. */
int feed_past_settle(struct feed_past *p, u64 seq, bool idle);

#endif
