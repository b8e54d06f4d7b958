/* txn/txn.h -- a transaction of this process.
 *
 *   READ      a pinned version
 *   WRITE     a pinned version, a list of operations, what was read; its own
 *             writes are seen through a private copy-on-write view that is
 *             made only when something is read after a write
 *   TURN      a view of the head itself, changed at once, the turn held
 *
 *     idle --txn_begin--> open --txn_commit / txn_abort--> idle
 *                          `--a step fails halfway--> failed --abort--> idle
 *   X1  Operations up to `applied` are in the view; the rest only in ops.
 *   X2  In a failed transaction only abort succeeds.
 * Not here: keys, cursors, the public names (store/).
 */
#ifndef TXN_TXN_H
#define TXN_TXN_H

#include "txn/env.h"
#include "txn/reads.h"

struct txn_savepoint {
    struct ops_mark ops, applied;
    bool private_view;          /* there was one: its roots are below */
    struct tree catalog;
    struct view_tree *trees;
    u32 tree_count, frozen;
    size_t frames, drops;
    struct head_mark head;      /* TURN */
};

struct luge_txn {
    struct env *env;
    unsigned flags;             /* of luge_begin */
    int failed;                 /* X2: the code, or 0 */
    u32 slot;                   /* SHARE_NO_SLOT: none yet */
    bool pinned, writes, turn, private_view;
    bool blind;                 /* nothing was read but of the catalog, and the
                                   version may be older than its begin */
    u64 begun_seq;              /* what was shown then */
    bool view_stays;            /* the view is one of `version`, to be read */
    struct version version;
    struct view view;
    struct page_work work;      /* WRITE: of the private view */
    struct head_mark mark;      /* TURN: what abort gives back */
    struct ops ops;
    struct ops_mark applied;
    struct reads reads;
    bool past;                  /* READ: a state made by replaying the log: a
                                   private view whose large values are in ops */
    u64 past_frames;            /* that it takes */
    struct luge_txn *pasts;     /* states whose trees were opened here */
    u64 changes;                /* operations added or undone: cursors look */
    struct txn_savepoint *savepoints;
    u32 savepoint_count, savepoint_capacity;
    struct luge_cursor *cursors;
    void *cursor_kept;          /* memory for the next one (store/); or NULL */
    struct base_buffer near_key, popped_key, popped_value, name, merged;
    struct luge_txn *next, *next_of_all;    /* env.h's lists */
    void *_Atomic owner;        /* the handle it was begun on, until it ends
                                   (store/); or NULL */
};

/* FLAGS of luge_begin, and TXN_BLIND.  WRITE: what it reads may be of later
 * than its begin, for it is chosen when it first reads; if it only writes it
 * need not be made (blind.c).  READ: it wants the newest catalog, whatever
 * else. */
enum { TXN_BLIND = 1 << 30 };
int txn_begin(struct env *e, unsigned flags, struct luge_txn **txn);
/* A read transaction on the very version that OF reads. */
int txn_begin_beside(const struct luge_txn *of, struct luge_txn **txn);
/* A read transaction on the newest commit, durable or not, all of which is
 * pages of the file; *head is what was flipped then.  Takes the turn. */
int txn_begin_published(struct env *e, struct luge_txn **txn,
                        struct txn_head *head);
/* A read transaction on what the newest checkpoint is of. */
int txn_begin_checkpoint(struct env *e, struct luge_txn **txn);
/* TXN, just begun, becomes a private view of CATALOG, which its pin holds and
 * which is of PUBLICATION: to be changed, and sealed as what commit SEQ left,
 * AT being behind its record. */
void txn_past_begin(struct luge_txn *txn, const struct tree *catalog,
                    u64 publication);
int txn_past_seal(struct luge_txn *txn, u64 seq, const struct log_position *at);
/* *seq: number of the commit, or of the snapshot if nothing was written. */
int txn_commit(struct luge_txn *txn, u64 *seq);
void txn_abort(struct luge_txn *txn);
int txn_renew(struct luge_txn *txn);
int txn_savepoint(struct luge_txn *txn, u32 *savepoint);
int txn_rollback(struct luge_txn *txn, u32 savepoint);
void txn_free_idle(struct env *e);
/* How many transactions OWNER has open. */
u32 txn_count_open(struct env *e, const void *owner);

/* Add OP: in the view at once if TURN, else when it is next read. */
int txn_add(struct luge_txn *txn, const struct op *op);
/* The view with everything applied. */
int txn_view(struct luge_txn *txn, struct view **view);
static inline int txn_usable(struct luge_txn *txn)
{
    if (unlikely(!*txn->env->fork_sentinel))
        return fail(LUGE_FORKED, "this transaction was begun before fork()");
    if (unlikely(txn->failed))
        return fail(txn->failed, "an earlier step of this transaction failed; "
                    "it can only be aborted");
    return 0;
}
/* The newest commit that TXN reads, at least if it has not read yet. */
static inline u64 txn_seq(const struct luge_txn *txn)
{
    return txn->blind ? txn->begun_seq : txn->version.seq;
}
/* Remember reads, if they will be validated. */
static inline bool txn_validates(const struct luge_txn *txn)
{
    return txn->writes && !txn->turn;
}
/* It cannot land any more, because of another transaction. */
static inline bool txn_lost(const struct luge_txn *txn)
{
    return txn->failed == LUGE_CONFLICT ||
           (txn->turn && !share_turn_mine(&txn->env->share));
}
/* CODE left the view half changed. */
int txn_fail(struct luge_txn *txn, int code);

/* A number never given before: ids.c. */
int txn_next_ids(struct env *e, u32 count, u64 *first);
/* None below LEAST is given from now on, not even after a crash. */
int txn_raise_ids(struct env *e, u64 least);

#endif
