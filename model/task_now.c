/* model/task_now.c -- the functions whose names end in _now: one call of
 * task_work.c in a transaction of its own.
 *
 * A claim looks first whether there is anything to claim, in a snapshot, so
 * that those who ask in vain disturb nobody; then it holds the turn.  What it
 * put back lands even if nothing is there for it, or who looks next would find
 * the same task due, and never rest. */
#include "task.h"

/* What one of them needs; each uses some of it. */
struct call {
    const struct luge_tasks *tasks;
    uint64_t id, lease, lease_ms, agent;
    luge_bytes bytes;
    const luge_bytes *status;
    int fatal, nothing;
    struct luge_task *task;
};

/* ------------------------------------------------------------- claiming -- */

static int claim_in(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_task seen;
    int rc;

    luge_task_free(c->task);    /* of an attempt that conflicted */
    rc = luge_task_claim(txn, c->tasks, c->bytes, c->agent, c->lease_ms, &seen);
    c->nothing = rc == LUGE_NOTFOUND;
    if (c->nothing) return 0;
    return rc ? rc : luge_task_copy(&seen, c->task);
}

int task_is_there(luge_txn *txn, const struct luge_tasks *tasks,
                  luge_bytes queue)
{
    uint64_t id, time_ns = 0;
    int rc = task_first_ready(txn, tasks, queue, &id);

    if (rc != LUGE_NOTFOUND) return rc;
    rc = task_next_time(txn, tasks, &time_ns);
    if (rc || time_ns <= model_now_ns()) return rc;
    return model_fail(LUGE_NOTFOUND, "no task of the queue is ready");
}

int luge_task_claim_now(luge_db *db, unsigned flags,
                        const struct luge_tasks *tasks, luge_bytes queue,
                        uint64_t agent, uint64_t lease_ms,
                        struct luge_task *task)
{
    struct call c = {.tasks = tasks, .bytes = queue, .agent = agent,
                     .lease_ms = lease_ms, .task = task};
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_READ, &txn);

    *task = (struct luge_task){0};
    if (rc) return rc;
    rc = task_is_there(txn, tasks, queue);
    luge_abort(txn);
    if (!rc) rc = luge_transact(db, flags | LUGE_TURN, claim_in, &c);
    if (!rc && c.nothing)
        rc = model_fail(LUGE_NOTFOUND, "no task of the queue is ready");
    if (rc) luge_task_free(task);
    return rc;
}

/* ------------------------------------------------------ by who holds it -- */

static int heartbeat_in(luge_txn *txn, void *context)
{
    struct call *c = context;
    return luge_task_heartbeat(txn, c->tasks, c->id, c->lease, c->lease_ms,
                               c->status);
}

int luge_task_heartbeat_now(luge_db *db, unsigned flags,
                            const struct luge_tasks *tasks, uint64_t id,
                            uint64_t lease, uint64_t lease_ms,
                            const luge_bytes *status)
{
    struct call c = {.tasks = tasks, .id = id, .lease = lease,
                     .lease_ms = lease_ms, .status = status};
    return luge_transact(db, flags, heartbeat_in, &c);
}

static int complete_in(luge_txn *txn, void *context)
{
    struct call *c = context;
    return luge_task_complete(txn, c->tasks, c->id, c->lease, c->bytes);
}

int luge_task_complete_now(luge_db *db, unsigned flags,
                           const struct luge_tasks *tasks, uint64_t id,
                           uint64_t lease, luge_bytes result)
{
    struct call c = {.tasks = tasks, .id = id, .lease = lease, .bytes = result};
    return luge_transact(db, flags, complete_in, &c);
}

static int fail_in(luge_txn *txn, void *context)
{
    struct call *c = context;
    return luge_task_fail(txn, c->tasks, c->id, c->lease, c->bytes, c->fatal);
}

int luge_task_fail_now(luge_db *db, unsigned flags,
                       const struct luge_tasks *tasks, uint64_t id,
                       uint64_t lease, luge_bytes error, int fatal)
{
    struct call c = {.tasks = tasks, .id = id, .lease = lease, .bytes = error,
                     .fatal = fatal};
    return luge_transact(db, flags, fail_in, &c);
}

static int release_in(luge_txn *txn, void *context)
{
    struct call *c = context;
    return luge_task_release(txn, c->tasks, c->id, c->lease);
}

int luge_task_release_now(luge_db *db, unsigned flags,
                          const struct luge_tasks *tasks, uint64_t id,
                          uint64_t lease)
{
    struct call c = {.tasks = tasks, .id = id, .lease = lease};
    return luge_transact(db, flags, release_in, &c);
}

/* ------------------------------------------------------------- by others -- */

static int cancel_in(luge_txn *txn, void *context)
{
    struct call *c = context;
    return luge_task_cancel(txn, c->tasks, c->id);
}

int luge_task_cancel_now(luge_db *db, unsigned flags,
                         const struct luge_tasks *tasks, uint64_t id)
{
    struct call c = {.tasks = tasks, .id = id};
    return luge_transact(db, flags, cancel_in, &c);
}

static int revive_in(luge_txn *txn, void *context)
{
    struct call *c = context;
    return luge_task_revive(txn, c->tasks, c->id);
}

int luge_task_revive_now(luge_db *db, unsigned flags,
                         const struct luge_tasks *tasks, uint64_t id)
{
    struct call c = {.tasks = tasks, .id = id};
    return luge_transact(db, flags, revive_in, &c);
}
