/* luge_fork.h -- forks, snapshots, differences and merges of trees.
 *
 * What holds here:
 *   A fork is a tree of its own that begins with all that another one holds,
 *   and shares its pages until either changes them.  Making one costs the same
 *   whatever the size.  Forks may be forked, and each may be dropped first.
 *   Its first small changes share one page, wherever their keys are.
 *   A snapshot is a state that does not change, under a name.  All of these are
 *   parts of transactions like any other change.
 *   What is dropped gives its space back as soon as no other tree or snapshot
 *   needs it and a checkpoint is past it.
 *
 * Paths: a path names the tree that is called so, and all trees under it, whose
 * names go on with '/' behind it.  Slashes at the end of a path do not count:
 * "songs/nocturne" and "songs/nocturne/" both mean the trees
 * "songs/nocturne", "songs/nocturne/" and "songs/nocturne/main", and not
 * "songs/nocturnes".
 *
 * Isolation: a fork or a snapshot in an optimistic transaction (LUGE_WRITE) is
 * of its source as it is when the transaction lands.  Whoever reads from the
 * new fork or snapshot in the same transaction reads the source, so that a
 * change of what was read in between is a LUGE_CONFLICT as ever.
 */
#ifndef LUGE_FORK_H
#define LUGE_FORK_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------- forks -- */

/* Fork every tree at or under FROM: what is called FROM + rest is forked to TO
 * + rest, which must not exist.  *count (may be NULL): how many trees.
 * Blocks: never; a transaction that holds the turn writes what is not yet in
 * the page file of these trees.  Errors: NOTFOUND (no such tree), EXISTS (and
 * nothing happened), READONLY, INVALID (an empty path), TOOBIG, and as
 * luge_put. */
LUGE_API int luge_fork(luge_txn *txn, luge_bytes from, luge_bytes to,
                       uint64_t *count);

/* The same out of the snapshot called SNAPSHOT: an old state becomes a tree
 * that can be changed.  FROM may be empty: all that the snapshot holds goes to
 * TO + '/' + its name. */
LUGE_API int luge_fork_snapshot(luge_txn *txn, luge_bytes snapshot,
                                luge_bytes from, luge_bytes to,
                                uint64_t *count);

/* Drop every tree at or under PATH.  *count (may be NULL): how many.  INVALID
 * if "main" is among them.  Takes time in proportion to the pages that nobody
 * else shares. */
LUGE_API int luge_drop_path(luge_txn *txn, luge_bytes path, uint64_t *count);

/* ----------------------------------------------------------- snapshots -- */

/* Keep the trees at or under PATH, or with an empty path all there are, as they
 * are now, under NAME.  Of everything: one record, whatever the number of
 * trees.  Blocks: as luge_fork.  Errors: EXISTS, INVALID, TOOBIG, READONLY. */
LUGE_API int luge_snapshot(luge_txn *txn, luge_bytes path, luge_bytes name);

/* Forget the snapshot NAME.  Takes time in proportion to the pages that it
 * alone keeps.  NOTFOUND. */
LUGE_API int luge_snapshot_drop(luge_txn *txn, luge_bytes name);

/* A snapshot, as the list of them has it. */
struct luge_snapshot_info {
    luge_bytes name, path; /* memory: ours, until the transaction's next call
                              about snapshots or trees, or its end */
    uint64_t seq;          /* the commit that it is a part of */
    uint64_t time_ns;      /* when it was taken, since 1970 */
    uint64_t age_ns;       /* time since then */
};

/* The first snapshot whose name is greater than AFTER (size 0: of all), in the
 * order of names.  NOTFOUND at the end. */
LUGE_API int luge_snapshot_after(luge_txn *txn, luge_bytes after,
                                 struct luge_snapshot_info *info);

/* What a snapshot holds. */
struct luge_snapshot_size {
    uint64_t trees, records;
    uint64_t unique_bytes; /* would be given back if it alone were dropped */
};

/* The size of snapshot NAME.  Walks its trees' names, and the pages that it
 * alone keeps.  NOTFOUND. */
LUGE_API int luge_snapshot_measure(luge_txn *txn, luge_bytes name,
                                   struct luge_snapshot_size *size);

/* The tree called TREE_NAME as the snapshot NAME has it, to be read with every
 * call that reads a tree; those that change one answer READONLY.  *tree is good
 * until TXN ends, is renewed, or is rolled back to a savepoint before.
 * NOTFOUND: no such snapshot, or tree in it. */
LUGE_API int luge_snapshot_open(luge_txn *txn, luge_bytes name,
                                luge_bytes tree_name, luge_tree *tree);

/* The next tree in snapshot NAME whose name is greater than AFTER (size 0: the
 * first).  *tree_name as in luge_tree_name.  NOTFOUND at the end. */
LUGE_API int luge_snapshot_tree_after(luge_txn *txn, luge_bytes name,
                                      luge_bytes after, luge_bytes *tree_name);

/* --------------------------------------------------------- differences -- */

/* A key in which two trees differ.  BEFORE: its value in the first, AFTER: in
 * the second; NULL: it has none.  All are valid until FN returns.  0 to go on;
 * any other value ends the walk and is returned. */
typedef int (*luge_diff_fn)(void *context, luge_bytes key,
                            const luge_bytes *before, const luge_bytes *after);

/* Call FN for each key that A and B differ in, in the order of keys.  A and B
 * are any two trees of TXN: forks, snapshots', or unrelated ones.  Pages that
 * both share are passed over, so between forks of one tree it takes time in
 * proportion to the changes.  FN may change trees, also A and B: the walk is of
 * the state at its begin.  All of both trees counts as read. */
LUGE_API int luge_diff(luge_txn *txn, luge_tree a, luge_tree b,
                       luge_diff_fn fn, void *context);

/* --------------------------------------------------------------- merge -- */

/* The newest state that A and B, two trees that were forked one from the other
 * or both from a third, have in common: where they parted.  *base is a handle
 * as of luge_snapshot_open.  NOTFOUND if they have no common origin, or it held
 * nothing. */
LUGE_API int luge_fork_base(luge_txn *txn, luge_tree a, luge_tree b,
                            luge_tree *base);

/* Who is right about a key that both sides changed, and not to the same. */
enum luge_merge_policy {
    LUGE_MERGE_FAIL = 0, /* nobody: the merge does not happen */
    LUGE_MERGE_OURS,     /* INTO stays as it is */
    LUGE_MERGE_THEIRS,   /* FROM wins */
    LUGE_MERGE_NEWER,    /* the side with the greater number at newer_at */
};

/* Settle one conflict.  BASE, OURS, THEIRS: the value in the common state, in
 * INTO and in FROM; NULL: none.  Return 1 to set *result (valid until the next
 * call with this context), 0 to remove the key, 2 to leave it as INTO has it, 3
 * to let the policy decide, or a negative code, which ends the merge. */
typedef int (*luge_merge_fn)(void *context, luge_bytes key,
                             const luge_bytes *base, const luge_bytes *ours,
                             const luge_bytes *theirs, luge_bytes *result);

/* Zero is the default in every field. */
struct luge_merge_options {
    int policy;          /* of enum luge_merge_policy */
    uint32_t newer_at;   /* NEWER: where in a value 8 bytes, little-endian, say
                            when; a value without them is the oldest.  If both
                            are of one time, INTO stays as it is */
    luge_merge_fn settle; /* asked first; NULL: only the policy */
    void *context;       /* its */
};

/* What a merge did, or would not do. */
struct luge_merge_result {
    uint64_t changes;    /* keys set or removed in INTO */
    uint64_t conflicts;  /* keys changed on both sides, differently */
    uint64_t unsettled;  /* of them, those that nobody was right about */
};

/* Bring into INTO what changed in FROM since BASE (0: luge_fork_base of them;
 * trees without a common state both began empty).
 * A key that only FROM changed gets FROM's value or goes; one that only INTO
 * changed stays; one that both changed to the same stays, too; the rest are
 * conflicts.  options and result may be NULL.  FROM and BASE stay as they are.
 * Errors: MISMATCH (conflicts that were not settled: nothing happened, *result
 * counts them), INVALID, READONLY; a code of settle's. */
LUGE_API int luge_merge(luge_txn *txn, luge_tree from, luge_tree into,
                        luge_tree base,
                        const struct luge_merge_options *options,
                        struct luge_merge_result *result);

#ifdef __cplusplus
}
#endif
#endif
