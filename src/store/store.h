/* store/store.h -- what the public face shares: handles and argument checks.
 *
 * A luge_db is a handle on an environment; several handles of one process on
 * one directory share it.
 * Not here: anything below the transaction.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "feed/index.h"
#include "txn/txn.h"

enum { SHOWN_BYTES = 80 };  /* of a name, where a sentence has several */

struct store_operator {
    struct store_operator *next;
    luge_operator_fn fn;
    void *context;
    char name[64];
};

struct store_env {
    struct env env;                 /* first: the handle's env points here */
    u32 handles;                    /* under the registry's lock */
    struct feed_index index;        /* for the watches of this process */
    pthread_mutex_t operator_lock;
    struct store_operator *operators;
    struct store_env *next;
};

struct luge_slow;

struct luge_db {
    struct store_env *store;
    unsigned flags;
    int durability;                 /* of this handle; 0: the environment's */
    _Atomic u32 open_watches;
    u64 slow_ns;                    /* luge_slow_log; 0: off */
    void (*slow)(void *context, const struct luge_slow *slow);
    void *slow_context;
};

/* TXN, just begun, is DB's. */
void store_own_txn(luge_db *db, luge_txn *txn);
/* The view that TREE's keys are read from; its existence counts as read. */
int store_tree(luge_txn *txn, luge_tree tree, struct view **view,
               struct view_tree **found);
/* The same for a change: nothing is applied yet. */
int store_tree_to_write(luge_txn *txn, luge_tree tree);
int store_key_ok(luge_bytes key);
/* INVALID: there are bytes, and they are nowhere. */
int store_bytes_ok(luge_bytes bytes);
/* INVALID if FLAGS has one that ALLOWED has not. */
int store_flags_ok(unsigned flags, unsigned allowed);
/* READONLY if TREE is a snapshot's. */
int store_not_frozen(luge_tree tree);
int store_read_point(luge_txn *txn, luge_tree tree, luge_bytes key);
/* Copy BYTES into BUFFER, replacing what it held. */
int store_keep(struct base_buffer *buffer, luge_bytes bytes,
               luge_bytes *kept);
int store_combine(luge_txn *txn, const char *name, luge_bytes key,
                  const luge_bytes *old, luge_bytes operand,
                  luge_bytes *result);
/* The transaction was renewed: its cursors start anew. */
void store_unposition_cursors(luge_txn *txn);
/* What is kept of the past (txn/keep.h); zeros if nothing was said. */
struct keep_policy;
int store_policy_get(luge_txn *txn, struct keep_policy *policy);
int store_policy_set(luge_txn *txn, struct keep_policy *policy);
/* A recovery began at what the head says is checkpointed: forget the backups of
 * what came after, for others will have its numbers (backup.c). */
int backup_recovered(struct env *e);
int store_create_main(struct env *e);
int store_name_ok(luge_bytes name);
/* The tree was found there: who drops or clears it is in the way. */
int store_read_existence(luge_txn *txn, luge_tree tree);
/* The name of a tree will be, or was, looked up. */
int store_read_name(luge_txn *txn, luge_bytes name);
/* See to it that the tree NUMBER, called NAME, exists. */
int store_tree_make(luge_txn *txn, luge_bytes name, luge_tree number);

#endif
