/* store/txns.c -- the public face of transactions, batches, ids and syncs.
 * Not here: what any of them does (txn/).
 */
#include "luge_monitor.h"
#include "store/store.h"

enum {
    OPTIMISTIC_TRIES = 8,       /* then the turn is taken: no livelock */
    BACK_OFF_US = 20,
};

/* ----------------------------------------------------- slow operations -- */

void luge_slow_log(luge_db *db, uint64_t threshold_us,
                   void (*fn)(void *context, const struct luge_slow *slow),
                   void *context)
{
    db->slow = fn;
    db->slow_context = context;
    db->slow_ns = fn ? threshold_us * 1000 : 0;
}

static u64 slow_start(const luge_db *db)
{
    return unlikely(db->slow_ns) ? os_monotonic_ns() : 0;
}

/* Returns RC. */
static int slow_end(const luge_db *db, u64 start, const char *what, u64 seq,
                    int rc)
{
    if (likely(!start)) return rc;
    u64 took = os_monotonic_ns() - start;
    if (took >= db->slow_ns)
        db->slow(db->slow_context,
                 &(struct luge_slow){what, took / 1000, rc ? 0 : seq, rc});
    return rc;
}

/* -------------------------------------------------------- transactions -- */

static unsigned with_durability(const luge_db *db, unsigned flags)
{
    if (flags & (LUGE_TXN_FULL | LUGE_TXN_ASYNC)) return flags;
    if (db->durability == LUGE_FULL) return flags | LUGE_TXN_FULL;
    if (db->durability == LUGE_ASYNC) return flags | LUGE_TXN_ASYNC;
    return flags;
}

void store_own_txn(luge_db *db, luge_txn *txn)
{
    atomic_store_explicit(&txn->owner, db, memory_order_relaxed);
}

static int begin(luge_db *db, unsigned flags, luge_txn **txn)
{
    *txn = NULL;
    if ((flags & (LUGE_WRITE | LUGE_TURN)) && (db->flags & LUGE_READ_ONLY))
        return fail(LUGE_READONLY, "the database was opened read-only");
    u64 start = slow_start(db);
    int rc = txn_begin(&db->store->env, with_durability(db, flags), txn);
    (void)slow_end(db, start, "begin", 0, rc);
    if (!rc) store_own_txn(db, *txn);
    return rc;
}

int luge_begin(luge_db *db, unsigned flags, luge_txn **txn)
{
    *txn = NULL;
    int rc = store_flags_ok(flags, LUGE_WRITE | LUGE_TURN | LUGE_TXN_FULL |
                                       LUGE_TXN_ASYNC | LUGE_TRY);
    return rc ? rc : begin(db, flags, txn);
}

static void close_cursors(luge_txn *txn)
{
    while (txn->cursors) luge_cursor_close(txn->cursors);
}

int luge_commit(luge_txn *txn)
{
    u64 seq;
    const luge_db *db = atomic_load_explicit(&txn->owner,
                                             memory_order_relaxed);
    u64 start = slow_start(db);
    close_cursors(txn);
    int rc = txn_commit(txn, &seq);
    /* It gives back what the failed one had taken, and old log. */
    if (rc == LUGE_NOSPACE) care_want_checkpoint(&db->store->env);
    return slow_end(db, start, "commit", seq, rc);
}

void luge_abort(luge_txn *txn)
{
    if (!txn) return;
    close_cursors(txn);
    txn_abort(txn);
}

int luge_renew(luge_txn *txn)
{
    if (!txn->writes) store_unposition_cursors(txn);    /* else it says no */
    return txn_renew(txn);
}

uint64_t luge_txn_seq(const luge_txn *txn)
{
    return txn_seq(txn);
}

uint64_t luge_committed_seq(luge_db *db)
{
    return atomic_load(&db->store->env.last_committed);
}

int luge_savepoint(luge_txn *txn, uint32_t *savepoint)
{
    int rc = txn_usable(txn);
    if (!rc && !txn->writes)
        rc = fail(LUGE_READONLY, "a read transaction has nothing to undo");
    return rc ? rc : txn_savepoint(txn, savepoint);
}

int luge_rollback(luge_txn *txn, uint32_t savepoint)
{
    int rc = txn_usable(txn);
    return rc ? rc : txn_rollback(txn, savepoint);
}

/* *again: another transaction was in the way.  FN may answer CONFLICT as well,
 * and mean something else. */
static int attempt(luge_db *db, unsigned flags,
                   int (*fn)(luge_txn *txn, void *context), void *context,
                   bool *again)
{
    luge_txn *txn;
    int rc = begin(db, flags | TXN_BLIND, &txn);
    *again = rc == LUGE_CONFLICT;
    if (rc) return rc;
    rc = fn(txn, context);
    if (!rc) {
        rc = luge_commit(txn);
        *again = rc == LUGE_CONFLICT;
        return rc;
    }
    *again = rc == LUGE_CONFLICT && txn_lost(txn);
    luge_abort(txn);
    return rc;
}

int luge_transact(luge_db *db, unsigned flags,
                  int (*fn)(luge_txn *txn, void *context), void *context)
{
    unsigned how = flags & (LUGE_TXN_FULL | LUGE_TXN_ASYNC);
    bool again;
    int rc = store_flags_ok(flags, how | LUGE_WRITE | LUGE_TURN);
    if (rc) return rc;
    for (u32 i = 0; i < OPTIMISTIC_TRIES && !(flags & LUGE_TURN); i++) {
        rc = attempt(db, how | LUGE_WRITE, fn, context, &again);
        if (!again) return rc;
        os_sleep_us(BACK_OFF_US << i);
    }
    do {
        /* Even the turn is lost if this process is stopped for long. */
        rc = attempt(db, how | LUGE_TURN, fn, context, &again);
    } while (again);
    return rc;
}

static int apply_op(luge_txn *txn, const struct luge_op *op)
{
    if (op->kind == LUGE_OP_PUT)
        return luge_put(txn, op->tree, op->key, op->value);
    if (op->kind != LUGE_OP_DEL)
        return fail(LUGE_INVALID, "operation of kind %d", op->kind);
    struct op del = {.kind = OP_DEL, .tree = op->tree, .key = op->key,
                     .value = {"", 0}};
    int rc = store_key_ok(op->key);
    if (!rc) rc = store_tree_to_write(txn, op->tree);
    return rc ? rc : txn_add(txn, &del);
}

struct batch {
    const struct luge_op *ops;
    size_t count;
};

static int apply_batch(luge_txn *txn, void *context)
{
    const struct batch *batch = context;
    int rc = 0;
    for (size_t i = 0; i < batch->count && !rc; i++)
        rc = apply_op(txn, &batch->ops[i]);
    return rc;
}

int luge_apply(luge_db *db, unsigned flags, const struct luge_op *ops,
               size_t count)
{
    struct batch batch = {ops, count};
    return luge_transact(db, flags, apply_batch, &batch);
}

int luge_sync(luge_db *db)
{
    u64 start = slow_start(db);
    int rc = env_usable(&db->store->env);
    atomic_store(&db->store->env.sync_awaited, true);
    if (!rc) rc = commit_sync(&db->store->env);
    return slow_end(db, start, "sync", 0, rc);
}

int luge_checkpoint(luge_db *db)
{
    int rc = env_usable(&db->store->env);
    if (!rc && (db->flags & LUGE_READ_ONLY))
        rc = fail(LUGE_READONLY, "the database was opened read-only");
    if (rc) return rc;
    struct env *e = &db->store->env;
    u64 start = slow_start(db);
    rc = checkpoint_write(e, HOLES_MOST, e->options.busy_timeout_ms);
    return slow_end(db, start, "checkpoint", 0, rc);
}

int luge_next_ids(luge_db *db, uint32_t count, uint64_t *first)
{
    struct env *e = &db->store->env;
    if (db->flags & LUGE_READ_ONLY)
        return fail(LUGE_READONLY, "the database was opened read-only");
    if (!count || count > 1u << 20)
        return fail(LUGE_INVALID, "%u numbers at once; 1 to 2^20 are allowed",
                    count);
    if (!*e->fork_sentinel) return env_usable(e);
    return txn_next_ids(e, count, first);
}

int luge_next_id(luge_db *db, uint64_t *id)
{
    struct env *e = &db->store->env;
    if (unlikely((db->flags & LUGE_READ_ONLY) || !*e->fork_sentinel))
        return luge_next_ids(db, 1, id);
    u64 mine = atomic_fetch_add_explicit(&e->share.m->next_id, 1,
                                         memory_order_relaxed);
    if (likely(mine < atomic_load_explicit(&e->share.m->id_limit,
                                           memory_order_relaxed))) {
        *id = mine;
        return 0;
    }
    return luge_next_ids(db, 1, id);
}

int luge_txn_next_id(luge_txn *txn, uint64_t *id)
{
    int rc = txn_usable(txn);
    if (!rc && !txn->writes)
        rc = fail(LUGE_READONLY, "a read transaction gives no numbers");
    return rc ? rc : txn_next_ids(txn->env, 1, id);
}
