/* store/fork.h -- what forks, snapshots and merges share.
 * Not here: what pins are (txn/lineage.h).
 */
#ifndef STORE_FORK_H
#define STORE_FORK_H

#include "luge_fork.h"
#include "store/store.h"
#include "txn/lineage.h"

/* PATH without the slashes at its end.  EMPTY: may nothing be left of it?
 * Else INVALID.  TOOBIG. */
int store_path(luge_bytes path, bool empty, luge_bytes *plain);
/* Is NAME at or under the plain PATH?  An empty one has everything under it. */
bool store_under(luge_bytes name, luge_bytes path);
/* The snapshot NAME; that it is looked up is remembered.  NOTFOUND. */
int store_snapshot(luge_txn *txn, luge_bytes name, struct view **view,
                   struct snapshot_record *record, luge_bytes *path);
/* What is read through NUMBER is read from SOURCE, if snapshot S was made by
 * this transaction: it will be of what SOURCE is at landing. */
int store_snapshot_alias(luge_txn *txn, const struct snapshot_record *s,
                         u64 number, u64 source);
/* Which trees S has is asked.  If this transaction made it, that is which trees
 * there are under its PATH at landing. */
int store_snapshot_names(luge_txn *txn, const struct snapshot_record *s,
                         luge_bytes path);
/* Which trees lie at or under PATH (empty: all there are) is read. */
int store_read_path(luge_txn *txn, luge_bytes path);
/* Add OP and see it applied: names are looked up soon. */
int store_change(luge_txn *txn, const struct op *op);

#endif
