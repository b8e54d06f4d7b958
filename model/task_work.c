/* model/task_work.c -- what becomes of a task: claimed, renewed, completed,
 * failed, given back, cancelled, revived, forgotten (states: luge_task.h).
 *
 *   A1  Every change by an agent goes through held(), which compares the number
 *       of the claim (T1).
 * Not here: sleeping until there is something (task_worker.c); the keys that a
 * state asks for (task.c). */
#include "task.h"

#include <string.h>

enum { TICK_TASKS = 64 };       /* put back before a claim: bounds its time */

static int leased_until(uint64_t lease_ms, uint64_t *until_ns)
{
    if (!lease_ms || lease_ms > LUGE_TASK_LEASE_MS_MAX)
        return model_fail(LUGE_INVALID, "a lease of %llu ms; 1 to %u are "
                          "allowed", (unsigned long long)lease_ms,
                          LUGE_TASK_LEASE_MS_MAX);
    *until_ns = model_now_ns() + lease_ms * 1000000;
    return 0;
}

/* The pause after a failed attempt: doubled each time, up to an hour. */
static uint64_t pause_ns(const struct task_record *f)
{
    uint64_t ms = f->backoff_ms;

    for (uint32_t i = 1; i < f->attempt && ms < LUGE_TASK_BACKOFF_MS_MAX; i++)
        ms *= 2;
    if (ms > LUGE_TASK_BACKOFF_MS_MAX) ms = LUGE_TASK_BACKOFF_MS_MAX;
    return ms * 1000000;
}

int task_give_back(luge_txn *txn, const struct luge_tasks *tasks,
                   struct task *t, const char *why)
{
    t->parts[TASK_ERROR] = luge_str(why);
    if (t->fixed.attempt >= t->fixed.attempts_max)
        return task_move(txn, tasks, t, LUGE_TASK_DEAD, 0);
    return task_move(txn, tasks, t, LUGE_TASK_READY, 0);
}

/* ----------------------------------------------------------------- time -- */

/* The first of TREE, whose keys are (time, id), if its time has come. */
static int first_due(luge_txn *txn, luge_tree tree, uint64_t now_ns,
                     uint64_t *id)
{
    luge_bytes key, value;
    uint64_t until_ns = 0;
    int rc = luge_near(txn, tree, LUGE_FIRST, luge_str(""), &key, &value);

    if (!rc) rc = task_read_two(key, &until_ns, id);
    if (!rc && until_ns > now_ns) return LUGE_NOTFOUND;
    return rc;
}

int task_next_time(luge_txn *txn, const struct luge_tasks *tasks,
                   uint64_t *time_ns)
{
    luge_tree trees[] = {tasks->due, tasks->lease};
    luge_bytes key, value;
    uint64_t until_ns = 0;

    *time_ns = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
        int rc = luge_near(txn, trees[i], LUGE_FIRST, luge_str(""), &key,
                           &value);
        if (rc == LUGE_NOTFOUND) continue;
        if (!rc) rc = task_read_two(key, &until_ns, NULL);
        if (rc) return rc;
        if (until_ns < *time_ns) *time_ns = until_ns;
    }
    return 0;
}

static int put_back_one(luge_txn *txn, const struct luge_tasks *tasks,
                        uint64_t now_ns)
{
    struct task t;
    uint64_t id = 0;
    int rc = first_due(txn, tasks->due, now_ns, &id);

    if (!rc) rc = task_load(txn, tasks, id, &t);
    if (!rc) return task_move(txn, tasks, &t, LUGE_TASK_READY, 0);
    if (rc != LUGE_NOTFOUND) return rc;
    rc = first_due(txn, tasks->lease, now_ns, &id);
    if (!rc) rc = task_load(txn, tasks, id, &t);
    return rc ? rc : task_give_back(txn, tasks, &t, "the lease ran out");
}

int luge_task_tick(luge_txn *txn, const struct luge_tasks *tasks, size_t limit,
                   size_t *count)
{
    uint64_t now_ns = model_now_ns();
    int rc = 0;

    for (*count = 0; *count < limit; ++*count) {
        rc = put_back_one(txn, tasks, now_ns);
        if (rc) break;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ------------------------------------------------------------- claiming -- */

int task_first_ready(luge_txn *txn, const struct luge_tasks *tasks,
                     luge_bytes queue, uint64_t *id)
{
    struct tuple prefix;
    luge_bytes key, value;
    int64_t priority;
    int rc = task_name_ok(queue, "a queue");

    if (rc) return rc;
    tuple_begin(&prefix);
    tuple_put_text(&prefix, queue);
    rc = luge_near(txn, tasks->ready, LUGE_GT, tuple_key(&prefix), &key,
                   &value);
    if (rc) return rc;
    if (key.size < prefix.size || memcmp(key.data, prefix.bytes, prefix.size))
        return LUGE_NOTFOUND;
    struct tuple_reader r = tuple_read(key);
    r.at += prefix.size;
    rc = tuple_get_i64(&r, &priority);
    return rc ? rc : tuple_get_u64(&r, id);
}

int luge_task_claim(luge_txn *txn, const struct luge_tasks *tasks,
                    luge_bytes queue, uint64_t agent, uint64_t lease_ms,
                    struct luge_task *task)
{
    struct task t;
    uint64_t id = 0, until_ns = 0;
    size_t count;
    int rc = leased_until(lease_ms, &until_ns);

    if (!rc) rc = luge_task_tick(txn, tasks, TICK_TASKS, &count);
    if (rc) return rc;
    rc = task_first_ready(txn, tasks, queue, &id);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "no task of the queue is ready");
    if (!rc) rc = task_load(txn, tasks, id, &t);
    if (rc) return rc;
    t.fixed.attempt++;
    t.fixed.lease++;
    t.fixed.agent = agent;
    t.fixed.claimed_ns = model_now_ns();
    t.parts[TASK_STATUS] = luge_str("");
    rc = task_move(txn, tasks, &t, LUGE_TASK_LEASED, until_ns);
    return rc ? rc : luge_task_get(txn, tasks, id, task);
}

/* ------------------------------------------------------ by who holds it -- */

static int held(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
                uint64_t lease, struct task *t)
{
    int rc = task_load(txn, tasks, id, t);

    if (rc) return rc;
    if (t->fixed.state != LUGE_TASK_LEASED)
        return model_fail(LUGE_MISMATCH, "task %llu is %s, and nobody's",
                          (unsigned long long)id,
                          luge_task_state_text(t->fixed.state));
    if (t->fixed.lease != lease)
        return model_fail(LUGE_MISMATCH, "claim %llu of task %llu is over, "
                          "%llu is the last", (unsigned long long)lease,
                          (unsigned long long)id,
                          (unsigned long long)t->fixed.lease);
    return 0;
}

int luge_task_heartbeat(luge_txn *txn, const struct luge_tasks *tasks,
                        uint64_t id, uint64_t lease, uint64_t lease_ms,
                        const luge_bytes *status)
{
    struct task t;
    uint64_t until_ns = 0;
    int rc = leased_until(lease_ms, &until_ns);

    if (!rc && status)
        rc = task_text_ok(*status, LUGE_TASK_TEXT_SIZE_MAX, "a status");
    if (!rc) rc = held(txn, tasks, id, lease, &t);
    if (rc) return rc;
    if (status) t.parts[TASK_STATUS] = *status;
    return task_move(txn, tasks, &t, LUGE_TASK_LEASED, until_ns);
}

/* One that waited for a task that is completed now.  It may have been removed
 * meanwhile, or have ended. */
static int one_less(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id)
{
    struct task t;
    int rc = task_load(txn, tasks, id, &t), state;

    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    if (!t.fixed.waiting_for)
        return MODEL_CORRUPT("task %llu waits for more than it depends on",
                             (unsigned long long)id);
    t.fixed.waiting_for--;
    state = t.fixed.state;
    if (state == LUGE_TASK_WAITING && !t.fixed.waiting_for)
        state = t.fixed.until_ns > model_now_ns() ? LUGE_TASK_DELAYED
                                                  : LUGE_TASK_READY;
    return task_move(txn, tasks, &t, state, t.fixed.until_ns);
}

/* The first that waits for ID; NOTFOUND if there is none. */
static int first_waiting(luge_txn *txn, const struct luge_tasks *tasks,
                         uint64_t id, uint64_t *waiting)
{
    struct tuple prefix;
    luge_bytes key, value;
    uint64_t on = 0;
    int rc;

    task_key(&prefix, id);
    rc = luge_near(txn, tasks->depend, LUGE_GT, tuple_key(&prefix), &key,
                   &value);
    if (!rc) rc = task_read_two(key, &on, waiting);
    return !rc && on != id ? LUGE_NOTFOUND : rc;
}

static int wake_waiting(luge_txn *txn, const struct luge_tasks *tasks,
                        uint64_t id)
{
    struct tuple key;
    uint64_t waiting = 0;
    int rc;

    while ((rc = first_waiting(txn, tasks, id, &waiting)) == 0) {
        task_key_two(&key, id, waiting);
        rc = luge_del(txn, tasks->depend, tuple_key(&key));
        if (!rc) rc = one_less(txn, tasks, waiting);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int luge_task_complete(luge_txn *txn, const struct luge_tasks *tasks,
                       uint64_t id, uint64_t lease, luge_bytes result)
{
    struct task t;
    int rc = task_text_ok(result, LUGE_TASK_PAYLOAD_SIZE_MAX, "a result");

    if (!rc) rc = held(txn, tasks, id, lease, &t);
    if (rc) return rc;
    t.parts[TASK_RESULT] = result;
    rc = task_move(txn, tasks, &t, LUGE_TASK_COMPLETED, 0);
    return rc ? rc : wake_waiting(txn, tasks, id);
}

int luge_task_fail(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
                   uint64_t lease, luge_bytes error, int fatal)
{
    struct task t;
    int rc = task_text_ok(error, LUGE_TASK_TEXT_SIZE_MAX, "an error");

    if (!rc) rc = held(txn, tasks, id, lease, &t);
    if (rc) return rc;
    t.parts[TASK_ERROR] = error;
    if (fatal || t.fixed.attempt >= t.fixed.attempts_max)
        return task_move(txn, tasks, &t, LUGE_TASK_DEAD, 0);
    return task_move(txn, tasks, &t, LUGE_TASK_DELAYED,
                     model_now_ns() + pause_ns(&t.fixed));
}

int luge_task_release(luge_txn *txn, const struct luge_tasks *tasks,
                      uint64_t id, uint64_t lease)
{
    struct task t;
    int rc = held(txn, tasks, id, lease, &t);

    if (rc) return rc;
    t.fixed.attempt--;
    return task_move(txn, tasks, &t, LUGE_TASK_READY, 0);
}

/* ------------------------------------------------------------- by others -- */

int luge_task_cancel(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id)
{
    struct task t;
    int rc = task_load(txn, tasks, id, &t);

    if (rc) return rc;
    if (t.fixed.state < LUGE_TASK_COMPLETED)
        return task_move(txn, tasks, &t, LUGE_TASK_CANCELLED, 0);
    return model_fail(LUGE_MISMATCH, "task %llu is %s already",
                      (unsigned long long)id,
                      luge_task_state_text(t.fixed.state));
}

int luge_task_revive(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id)
{
    struct task t;
    int rc = task_load(txn, tasks, id, &t);

    if (rc) return rc;
    if (t.fixed.state != LUGE_TASK_DEAD &&
        t.fixed.state != LUGE_TASK_CANCELLED)
        return model_fail(LUGE_MISMATCH, "task %llu is %s: there is nothing to "
                          "revive", (unsigned long long)id,
                          luge_task_state_text(t.fixed.state));
    t.fixed.attempt = 0;
    return task_move(txn, tasks, &t,
                     t.fixed.waiting_for ? LUGE_TASK_WAITING : LUGE_TASK_READY,
                     0);
}

/* The task itself, its keys, and what it was going to wait for. */
static int remove_task(luge_txn *txn, const struct luge_tasks *tasks,
                       const struct task *t)
{
    uint64_t depends[LUGE_TASK_DEPENDS_MAX];
    size_t count = t->parts[TASK_DEPENDS].size / sizeof(*depends);
    struct tuple key;
    int rc;

    if (count > LUGE_TASK_DEPENDS_MAX)
        return MODEL_CORRUPT("task %llu depends on %zu others",
                             (unsigned long long)t->id, count);
    if (count) memcpy(depends, t->parts[TASK_DEPENDS].data,
                      count * sizeof(*depends));
    task_key(&key, t->id);
    rc = luge_del(txn, tasks->task, tuple_key(&key));
    if (!rc) rc = luge_del(txn, tasks->dead, tuple_key(&key));
    if (rc == LUGE_NOTFOUND) rc = 0;            /* COMPLETED, waited for all */
    for (size_t i = 0; i < count && !rc; i++) {
        task_key_two(&key, depends[i], t->id);
        rc = luge_del(txn, tasks->depend, tuple_key(&key));
        if (rc == LUGE_NOTFOUND) rc = 0;
    }
    task_key_two(&key, t->fixed.ended_ns, t->id);
    return rc ? rc : luge_del(txn, tasks->ended, tuple_key(&key));
}

/* Whether the ended task ID may go: nobody waits for it. */
static int forget_one(luge_txn *txn, const struct luge_tasks *tasks,
                      uint64_t id, size_t *count)
{
    struct task t;
    uint64_t waiting;
    int rc = first_waiting(txn, tasks, id, &waiting);

    if (rc != LUGE_NOTFOUND) return rc;
    rc = task_load(txn, tasks, id, &t);
    if (!rc) rc = remove_task(txn, tasks, &t);
    if (!rc) ++*count;
    return rc;
}

int luge_task_forget(luge_txn *txn, const struct luge_tasks *tasks,
                     uint64_t before_ns, size_t limit, size_t *count)
{
    uint64_t ended_ns = 0, id = 0;
    luge_bytes found, value;
    struct tuple key;
    int rc = 0;

    *count = 0;
    while (*count < limit && !rc) {
        task_key_two(&key, ended_ns, id);
        rc = luge_near(txn, tasks->ended, LUGE_GT, tuple_key(&key), &found,
                       &value);
        if (!rc) rc = task_read_two(found, &ended_ns, &id);
        if (rc || ended_ns >= before_ns) break;
        rc = forget_one(txn, tasks, id, count);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}
