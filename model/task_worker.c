/* model/task_worker.c -- sleeping until there is something to do, or until a
 * task has ended.
 *
 *     LOOKING --nothing there--> RESTING --bell, a time that comes--> LOOKING
 *        `--claimed--> the caller
 *
 *   B1  The bell (wait.h) rings for every key of ready that begins with the
 *       queue, so for all that become READY, whoever made them so.
 *   B2  What becomes READY by time alone rings no bell: a rest ends when the
 *       first task of all is due or loses its lease.
 *   B3  A rest is a second at most.  Then the holders' processes are looked
 *       for, and what was published meanwhile with a delay, which rings no bell
 *       either.
 *   B4  Who is woken answers, though his rest may end in the same moment:
 *       `woken` is set before the watch is woken.  In that moment one wake may
 *       be answered twice.
 */
#include "task.h"

#include <stdatomic.h>
#include <string.h>

#include "wait.h"

enum { REST_MS = 1000 };        /* at most (B3) */

struct luge_worker {
    luge_db *db;
    struct luge_tasks tasks;
    uint64_t agent, lease_ms;
    luge_watch *watch;
    _Atomic int woken;          /* B4 */
    struct luge_task task;      /* what was given out last */
    size_t queue_size;
    char queue[LUGE_TASK_NAME_SIZE_MAX];
};

static luge_bytes queue_of(const luge_worker *w)
{
    return luge_bytes_of(w->queue, w->queue_size);
}

static int begin_to_watch(luge_worker *w)
{
    struct tuple prefix;

    tuple_begin(&prefix);
    tuple_put_text(&prefix, queue_of(w));
    return model_watch(w->db, w->tasks.ready, tuple_key(&prefix), &w->watch);
}

int luge_worker_open(luge_db *db, const struct luge_tasks *tasks,
                     luge_bytes queue, uint64_t agent, uint64_t lease_ms,
                     luge_worker **worker)
{
    luge_worker *w;
    int rc = task_name_ok(queue, "a queue");

    if (!rc && (!lease_ms || lease_ms > LUGE_TASK_LEASE_MS_MAX))
        rc = model_fail(LUGE_INVALID, "a lease of %llu ms",
                        (unsigned long long)lease_ms);
    if (rc) return rc;
    w = model_alloc(sizeof(*w));
    if (!w) return MODEL_NOMEM();
    *w = (luge_worker){.db = db, .tasks = *tasks, .agent = agent,
                       .lease_ms = lease_ms, .queue_size = queue.size};
    memcpy(w->queue, queue.data, queue.size);
    rc = begin_to_watch(w);
    if (rc) {
        luge_worker_close(w);
        return rc;
    }
    *worker = w;
    return 0;
}

/* -------------------------------------------------------------- resting -- */

static int end_in(luge_txn *txn, void *context)
{
    const luge_worker *w = context;
    uint64_t gone;
    int rc = task_see_gone(txn, &w->tasks, &gone);

    while (!rc && gone) {
        rc = luge_agent_end(txn, &w->tasks, gone, NULL);
        if (!rc) rc = task_see_gone(txn, &w->tasks, &gone);
    }
    return rc;
}

/* How long to rest after TXN, a snapshot with nothing to claim, until END_NS
 * at most (B2, B3).  *gone: a holder of a lease whose process is gone. */
static int rest_until(const luge_worker *w, luge_txn *txn, uint64_t *end_ns,
                      uint64_t *gone)
{
    uint64_t time_ns, now_ns = model_now_ns(), until;
    int rc = task_see_gone(txn, &w->tasks, gone);

    if (!rc) rc = task_next_time(txn, &w->tasks, &time_ns);
    if (rc) return rc;
    until = time_ns > now_ns ? time_ns - now_ns : 0;
    if (until > REST_MS * UINT64_C(1000000))
        until = REST_MS * UINT64_C(1000000);
    until += model_ticks_ns();
    if (until < *end_ns) *end_ns = until;
    return 0;
}

/* One look: 0 to claim, NOTFOUND when it has rested and is to look again. */
static int look(luge_worker *w, unsigned flags, uint64_t end_ns)
{
    uint64_t seen, gone = 0, until = end_ns;
    luge_txn *txn;
    int rc = luge_begin(w->db, LUGE_READ, &txn);

    if (rc) return rc;
    seen = luge_txn_seq(txn);
    rc = task_is_there(txn, &w->tasks, queue_of(w));
    if (rc == LUGE_NOTFOUND) {
        int failed = rest_until(w, txn, &until, &gone);
        if (failed) rc = failed;
    }
    luge_abort(txn);
    if (rc != LUGE_NOTFOUND) return rc;
    if (gone) return luge_transact(w->db, flags | LUGE_TURN, end_in, w);
    rc = model_wait(w->watch, seen, until);
    /* B2, B3: not the end of the caller's time, unless we were woken (B4). */
    if (rc == LUGE_TIMEOUT && !atomic_exchange(&w->woken, 0) &&
        until < end_ns && model_ticks_ns() >= until)
        rc = 0;
    return rc ? rc : LUGE_NOTFOUND;
}

int luge_worker_next(luge_worker *worker, unsigned flags, int timeout_ms,
                     struct luge_task *task)
{
    uint64_t end_ns = model_end_ns(timeout_ms);
    int rc;

    luge_task_free(&worker->task);
    do {
        rc = look(worker, flags, end_ns);
        if (!rc)
            rc = luge_task_claim_now(worker->db, flags, &worker->tasks,
                                     queue_of(worker), worker->agent,
                                     worker->lease_ms, &worker->task);
    } while (rc == LUGE_NOTFOUND);
    if (rc) return rc;
    *task = worker->task;
    task->memory = NULL;        /* it is ours */
    return 0;
}

void luge_worker_wake(luge_worker *worker)
{
    atomic_store(&worker->woken, 1);
    luge_watch_wake(worker->watch);
}

void luge_worker_close(luge_worker *worker)
{
    if (!worker) return;
    luge_watch_close(worker->watch);
    luge_task_free(&worker->task);
    model_free(worker);
}

/* ---------------------------------------------------- the end of a task -- */

static int state_now(luge_db *db, const struct luge_tasks *tasks, uint64_t id,
                     int *state, uint64_t *seen)
{
    struct luge_task task;
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_READ, &txn);

    if (rc) return rc;
    *seen = luge_txn_seq(txn);
    rc = luge_task_get(txn, tasks, id, &task);
    if (!rc) *state = task.state;
    luge_abort(txn);
    return rc;
}

int luge_task_wait(luge_db *db, const struct luge_tasks *tasks, uint64_t id,
                   int timeout_ms, int *state)
{
    uint64_t seen = 0, end_ns = model_end_ns(timeout_ms);
    struct tuple key;
    luge_watch *watch;
    int rc;

    task_key(&key, id);
    rc = model_watch(db, tasks->task, tuple_key(&key), &watch);
    if (rc) return rc;
    do {
        rc = state_now(db, tasks, id, state, &seen);
        if (rc || *state >= LUGE_TASK_COMPLETED) break;
        rc = model_wait(watch, seen, end_ns);
    } while (!rc);
    luge_watch_close(watch);
    return rc;
}
