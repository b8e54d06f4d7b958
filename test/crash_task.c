/* test/crash_task.c -- tasks under workers that are killed and stopped.
 *
 *   publisher   publishes all tasks, some of which depend on others, some with
 *               a delay, and waits until all are completed
 *   workers     claim, dawdle, renew, release, fail, or complete: the task and
 *               a mark of who completed it, in one transaction
 * The parent kills workers at random and starts them anew; others it stops for
 * longer than their lease, so that they wake with a lease that is another's.
 * In the end:
 *   every task is COMPLETED, and none is lost or made up;
 *   every task has one mark, made with the number of its last claim (T1);
 *   of two that depend, the one was completed before the other was claimed
 *   (T4);  luge_check is content.
 * --tell prints what the engine counted, for docs/why/tasks.md.
 * Not here: the single functions (test_task.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_task.h"
#include "support.h"

enum {
    WORKERS_MAX = 64, LEASE_MS = 60, BATCH = 50, KILL_EVERY_MS = 5,
    STOP_PERCENT = 10, PATIENCE_SECONDS = 120,
};

struct shared {
    _Atomic uint64_t refused, failed, released, claimed, stops, kills;
};

struct crew {
    struct shared *shared;
    char *base, path[600];
    uint64_t seed, tasks, generation;
    uint32_t workers;
    int calm;                   /* nobody is killed: to measure */
    pid_t pids[WORKERS_MAX], publisher;
};

/* A mark, under the task's number: how often, and by which claim. */
struct mark { uint64_t count, lease, time_ns; };

static void fine(int rc, const char *what)
{
    if (rc) die("%s: %d (%s)", what, rc, luge_last_error()->text);
}
#define FINE(call) fine((call), #call)

static luge_db *join(const struct crew *c, struct luge_tasks *tasks)
{
    luge_db *db;
    FINE(luge_open(c->path, NULL, &db));
    FINE(luge_tasks_open_now(db, luge_str("tasks"), LUGE_TREE_CREATE, tasks));
    return db;
}

/* ------------------------------------------------------------- publisher -- */

struct batch {
    const struct luge_tasks *tasks;
    uint64_t first, count, last_before;
    struct dice dice;
};

static int publish_in(luge_txn *txn, void *context)
{
    struct batch *b = context;
    struct dice d = b->dice;    /* the same again if it conflicts */
    for (uint64_t i = 0; i < b->count; i++) {
        uint64_t on = b->first + i - 1;
        struct luge_task_new n = {
            .id = b->first + i, .queue = luge_str("work"),
            .payload = luge_str("a payload of some bytes, as they are"),
            .attempts_max = UINT32_MAX, .backoff_ms = 1,
            .priority = (int32_t)dice_below(&d, 3)};
        if (dice_chance(&d, 2)) n.delay_ms = dice_below(&d, 40);
        if (i && dice_chance(&d, 20)) {
            n.depends = &on;
            n.depends_count = 1;
        }
        int rc = luge_task_publish(txn, b->tasks, &n, NULL);
        if (rc) return rc;
    }
    return 0;
}

static void publish_all(const struct crew *c, luge_db *db,
                        const struct luge_tasks *tasks)
{
    struct batch b = {.tasks = tasks, .dice = dice_of(c->seed, 1)};
    for (uint64_t done = 0; done < c->tasks; done += b.count) {
        b.count = c->tasks - done < BATCH ? c->tasks - done : BATCH;
        FINE(luge_next_ids(db, (uint32_t)b.count, &b.first));
        FINE(luge_transact(db, LUGE_TXN_ASYNC, publish_in, &b));
        dice_next(&b.dice);
    }
}

static uint64_t count_completed(luge_db *db, const struct luge_tasks *tasks)
{
    uint64_t counts[8];
    luge_txn *txn;
    FINE(luge_begin(db, LUGE_READ, &txn));
    FINE(luge_task_counts(txn, tasks, counts));
    luge_abort(txn);
    if (counts[LUGE_TASK_DEAD]) die("a task died");
    return counts[LUGE_TASK_COMPLETED];
}

static void publisher(const struct crew *c)
{
    struct luge_tasks tasks;
    luge_db *db = join(c, &tasks);
    uint64_t last = 0, since = now_ns();
    publish_all(c, db, &tasks);
    for (;;) {
        uint64_t now = count_completed(db, &tasks);
        if (now == c->tasks) break;
        if (now > last) since = now_ns();
        last = now;
        if (now_ns() - since > PATIENCE_SECONDS * 1000000000ull)
            die("seed %llu: nothing completed for %d s; %llu of %llu",
                (unsigned long long)c->seed, PATIENCE_SECONDS,
                (unsigned long long)now, (unsigned long long)c->tasks);
        nap_us(20000);
    }
    FINE(luge_close(db));
}

/* --------------------------------------------------------------- workers -- */

struct work {
    const struct luge_tasks *tasks;
    const struct luge_task *task;
};

static int complete_in(luge_txn *txn, void *context)
{
    const struct work *w = context;
    struct mark mark = {0, 0, 0};
    luge_bytes old, key = luge_bytes_of(&w->task->id, 8);
    int rc = luge_get(txn, LUGE_MAIN, key, &old);
    if (!rc) memcpy(&mark, old.data, sizeof(mark));
    else if (rc != LUGE_NOTFOUND) return rc;
    mark.count++;
    mark.lease = w->task->lease;
    mark.time_ns = w->task->claimed_ns;
    rc = luge_put(txn, LUGE_MAIN, key, luge_bytes_of(&mark, sizeof(mark)));
    if (rc) return rc;
    return luge_task_complete(txn, w->tasks, w->task->id, w->task->lease,
                              luge_str("done"));
}

/* What may be refused is only for a lease that was lost. */
static void may_be_lost(struct shared *s, int rc, const char *what)
{
    if (rc == LUGE_MISMATCH) s->refused++;
    else fine(rc, what);
}

static void work_on(const struct crew *c, luge_db *db, struct dice *d,
                    struct work *w)
{
    struct shared *s = c->shared;
    const struct luge_task *t = w->task;
    unsigned how = dice_chance(d, 50) ? LUGE_TXN_ASYNC : LUGE_TXN_FULL;
    if (!c->calm) {
        if (dice_chance(d, 60)) nap_us(dice_below(d, 6000));
        if (dice_chance(d, 5))
            may_be_lost(s, luge_task_heartbeat_now(db, how, w->tasks, t->id,
                                                   t->lease, LEASE_MS, NULL),
                        "heartbeat");
        if (dice_chance(d, 5)) {
            s->failed++;
            may_be_lost(s, luge_task_fail_now(db, how, w->tasks, t->id,
                                              t->lease, luge_str("again"), 0),
                        "fail");
            return;
        }
        if (dice_chance(d, 3)) {
            s->released++;
            may_be_lost(s, luge_task_release_now(db, how, w->tasks, t->id,
                                                 t->lease), "release");
            return;
        }
    }
    may_be_lost(s, luge_transact(db, how, complete_in, w), "complete");
}

static void worker(const struct crew *c, uint64_t generation)
{
    struct dice d = dice_of(c->seed, 100 + generation);
    struct luge_agent a = {.name = luge_str("worker")};
    struct luge_tasks tasks;
    struct luge_task t;
    luge_db *db = join(c, &tasks);
    luge_worker *w;
    uint64_t id;
    FINE(luge_agent_register_now(db, LUGE_TXN_ASYNC, &tasks, &a, &id));
    FINE(luge_worker_open(db, &tasks, luge_str("work"), id, LEASE_MS, &w));
    for (;;) {
        int rc = luge_worker_next(w, LUGE_TXN_ASYNC, 1000, &t);
        if (rc == LUGE_TIMEOUT) continue;
        FINE(rc);
        c->shared->claimed++;
        work_on(c, db, &d, &(struct work){&tasks, &t});
    }
}

/* ------------------------------------------------------------ the parent -- */

static pid_t start(struct crew *c, int works)
{
    uint64_t generation = c->generation++;
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (works) worker(c, generation);
    else publisher(c);
    _exit(0);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Kill one and start another, or stop one for longer than its lease. */
static void disturb(struct crew *c, struct dice *d)
{
    pid_t *pid = &c->pids[dice_below(d, c->workers)];
    int status;
    if (waitpid(*pid, &status, WNOHANG) == *pid)
        die("seed %llu: a worker ended by itself, %d",
            (unsigned long long)c->seed, status);
    if (dice_chance(d, STOP_PERCENT)) {
        c->shared->stops++;
        kill(*pid, SIGSTOP);
        nap_us((LEASE_MS + dice_below(d, 60)) * 1000);
        kill(*pid, SIGCONT);
        return;
    }
    c->shared->kills++;
    end(*pid);
    *pid = start(c, 1);
}

static void run(struct crew *c)
{
    struct dice d = dice_of(c->seed, 0);
    int status;
    c->publisher = start(c, 0);
    for (uint32_t i = 0; i < c->workers; i++) c->pids[i] = start(c, 1);
    while (waitpid(c->publisher, &status, WNOHANG) == 0) {
        nap_us(1000 * (1 + dice_below(&d, 2 * KILL_EVERY_MS)));
        if (!c->calm) disturb(c, &d);
    }
    for (uint32_t i = 0; i < c->workers; i++) end(c->pids[i]);
    if (status) die("seed %llu: the publisher gave up",
                    (unsigned long long)c->seed);
}

/* --------------------------------------------------------------- the end -- */

static void judge_task(luge_txn *txn, const struct luge_tasks *tasks,
                       const struct luge_task *t)
{
    unsigned long long id = t->id;
    struct luge_task on;
    struct mark mark;
    luge_bytes value;
    uint64_t before;
    if (t->state != LUGE_TASK_COMPLETED)
        die("task %llu is %s", id, luge_task_state_text(t->state));
    FINE(luge_get(txn, LUGE_MAIN, luge_bytes_of(&t->id, 8), &value));
    memcpy(&mark, value.data, sizeof(mark));
    if (mark.count != 1) die("task %llu was completed %llu times", id,
                             (unsigned long long)mark.count);
    if (mark.lease != t->lease || mark.time_ns != t->claimed_ns)
        die("task %llu was completed by claim %llu, not %llu", id,
            (unsigned long long)mark.lease, (unsigned long long)t->lease);
    if (!t->depends.size) return;
    memcpy(&before, t->depends.data, 8);
    FINE(luge_task_get(txn, tasks, before, &on));
    if (on.ended_ns > t->claimed_ns)
        die("task %llu was claimed before %llu was completed", id,
            (unsigned long long)before);
}

static void judge(const struct crew *c)
{
    struct luge_tasks tasks;
    struct luge_task t = {.id = 0};
    luge_db *db = join(c, &tasks);
    uint64_t seen = 0, marks;
    luge_txn *txn;
    FINE(luge_begin(db, LUGE_READ, &txn));
    while (!luge_task_after(txn, &tasks, LUGE_TASK_ANY, t.id, &t)) {
        judge_task(txn, &tasks, &t);
        seen++;
    }
    FINE(luge_tree_count(txn, LUGE_MAIN, &marks));
    luge_abort(txn);
    if (seen != c->tasks || marks != c->tasks)
        die("seed %llu: %llu tasks and %llu marks, not %llu",
            (unsigned long long)c->seed, (unsigned long long)seen,
            (unsigned long long)marks, (unsigned long long)c->tasks);
    FINE(luge_check(db, NULL, NULL));
    FINE(luge_close(db));
}

/* What the engine counted: it stays open here, so the figures last. */
static void tell(const struct luge_stats *before, const struct luge_stats *now,
                 uint64_t claimed, double seconds)
{
    double commits = (double)(now->commits - before->commits);
    double conflicts = (double)(now->conflicts - before->conflicts);
    printf("%llu claims: %.3f commits and %.4f conflicts for each, "
           "%.0f claims a second\n", (unsigned long long)claimed,
           commits / (double)claimed, conflicts / (double)claimed,
           (double)claimed / seconds);
}

static void measured_run(struct crew *c)
{
    struct luge_stats before, now;
    struct luge_tasks tasks;
    luge_db *db = join(c, &tasks);
    uint64_t since = now_ns();
    FINE(luge_stat(db, &before));
    run(c);
    FINE(luge_stat(db, &now));
    tell(&before, &now, c->shared->claimed,
         (double)(now_ns() - since) / 1e9);
    FINE(luge_close(db));
}

int main(int count, char **words)
{
    const char *length = getenv("LUGE_TEST");
    int is_long = length && !strcmp(length, "long"), told = 0;
    int is_short = length && !strcmp(length, "short");
    struct crew c = {.seed = now_ns(), .workers = is_long ? 16 : 6,
                     .tasks = is_long ? 100000 : is_short ? 600 : 4000};
    for (int i = 1; i < count; i++) {
        if (!strcmp(words[i], "--tell")) told = 1;
        else if (!strcmp(words[i], "--calm")) c.calm = 1;
        else if (i + 1 == count) die("%s wants a number", words[i]);
        else if (!strcmp(words[i], "--seed"))
            c.seed = strtoull(words[++i], 0, 10);
        else if (!strcmp(words[i], "--tasks"))
            c.tasks = strtoull(words[++i], 0, 10);
        else if (!strcmp(words[i], "--workers"))
            c.workers = (uint32_t)strtoul(words[++i], 0, 10);
        else die("--seed, --tasks, --workers, --calm or --tell, not %s",
                 words[i]);
    }
    if (!c.workers || c.workers > WORKERS_MAX) die("1 to %d workers",
                                                   WORKERS_MAX);
    printf("crash_task --seed %llu --tasks %llu --workers %u\n",
           (unsigned long long)c.seed, (unsigned long long)c.tasks, c.workers);
    fflush(stdout);
    c.base = scratch_make(SCRATCH_FAST);
    snprintf(c.path, sizeof(c.path), "%s/db", c.base);
    c.shared = mmap(NULL, sizeof(*c.shared), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.shared == MAP_FAILED) die("mmap");
    uint64_t since = now_ns();
    if (told) measured_run(&c);
    else run(&c);
    judge(&c);
    struct shared *s = c.shared;
    printf("%llu tasks, %llu claims, %llu kills, %llu stops; %llu failed, %llu "
           "released, %llu refused to who had lost them; %.1f s\n",
           (unsigned long long)c.tasks, (unsigned long long)s->claimed,
           (unsigned long long)s->kills, (unsigned long long)s->stops,
           (unsigned long long)s->failed, (unsigned long long)s->released,
           (unsigned long long)s->refused, (double)(now_ns() - since) / 1e9);
    scratch_remove(c.base);
    return 0;
}
