/* bench/work_feed.c -- rows of the feed: how soon a commit is delivered in
 * another process, what subscribers cost a writer, and how fast a log is read.
 *
 * A value's stamp is the time at which its put began, on the clock that all
 * processes share, so a delivery time includes the commit itself.
 * Not here: what is promised to whom (rows.c). */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "batch.h"
#include "crew.h"

enum {
    WAIT_MS = 20,
    SUBSCRIBER_WAIT_MS = 200,   /* 64 of them that time out are a load, too */
    PACE_US = 500,              /* between commits: the follower sleeps again */
    SUBSCRIBERS_MAX = 64,
    PREFIX_BYTES = 7,           /* of a key that is a number of 8 and a hash: */
    PREFIX_RECORDS = 256,       /* so many have it in common */
};
#define WARM_PART 0.2           /* of the window */

/* ------------------------------------------------- commit to delivery -- */

/* Worker 0 follows.  Its latencies are its own: the time of a step would
 * include the waiting. */
static int step_follow(struct worker *worker)
{
    const struct engine *engine = worker->run->engine;
    struct watch_how how = {.early = worker->run->row->mode == MODE_ASYNC};
    struct head head;
    u64 ops = 0;

    if (!worker->last_id && engine->watch_open(worker->session, &how))
        return -1;
    worker->last_id = 1;
    if (engine->watch_next(worker->session, WAIT_MS, &ops, &head)) return -1;
    if (ops && worker->started_ns)
        latency_add(&worker->latency, now_ns() - head.stamp);
    return (int)ops;
}

/* Into a few leaves, which the warm-up has touched: what is measured is the way
 * of the news, not of pages that nobody has read before. */
static int step_stamp(struct worker *worker)
{
    const struct run *run = worker->run;
    const struct shape *shape = run->row->shape;
    u64 index = rng_below(&worker->rng, PREFIX_RECORDS);
    struct slice key = shape_key(shape, worker->key, index);

    usleep(PACE_US);
    struct slice value = shape_value(shape, run->pool, worker->value, index,
                                     now_ns());
    return run->engine->put(worker->session, key, value) ? -1 : 1;
}

static int step_wake(struct worker *worker)
{
    return worker->number ? step_stamp(worker) : step_follow(worker);
}

int work_wake(struct run *run)
{
    struct crew_plan plan = {.step = step_wake,
                             .warm_seconds = run->seconds * WARM_PART};
    struct crew_result result;

    if (crew_run(run, &plan, &result)) return -1;
    if (!result.latency.count) return bench_fail("nothing was delivered");
    result.ops_total = result.ops[0];
    crew_set(run, &result);
    return 0;
}

/* ------------------------------------------------------- subscribers -- */

/* The records of subscriber NUMBER's prefix begin here; the prefixes lie
 * scattered over all of them. */
static u64 prefix_start(const struct run *run, u64 number)
{
    u64 prefixes = run->records / PREFIX_RECORDS;
    u64 apart = prefixes / SUBSCRIBERS_MAX;

    return (apart ? number * apart : number % prefixes) * PREFIX_RECORDS;
}

/* Every put is for exactly one of 64 subscribers, be they there or not. */
static int step_put_watched(struct worker *worker)
{
    const struct run *run = worker->run;
    const struct shape *shape = run->row->shape;
    u64 index = prefix_start(run, rng_below(&worker->rng, SUBSCRIBERS_MAX)) +
                rng_below(&worker->rng, PREFIX_RECORDS);
    struct slice key = shape_key(shape, worker->key, index);
    struct slice value = shape_value(shape, run->pool, worker->value, index,
                                     ++worker->stamp);

    return run->engine->put(worker->session, key, value) ? -1 : 1;
}

/* A process of its own, with a thread for each subscriber. */
struct host {
    struct run run;
    pthread_barrier_t ready;
    _Atomic u32 stop, failed;
    _Atomic u64 delivered, cpu_ns;
    void *db;
    u32 count, next;
};

static int subscribe(struct host *host, void *session, u32 number)
{
    const struct run *run = &host->run;
    u8 key[KEY_SIZE_MAX];
    struct watch_how how = {.early = run->row->mode == MODE_ASYNC};

    how.prefix = shape_key(run->row->shape, key, prefix_start(run, number));
    how.prefix.size = PREFIX_BYTES;
    return run->engine->watch_open(session, &how);
}

static void *subscriber(void *argument)
{
    struct host *host = argument;
    const struct engine *engine = host->run.engine;
    u32 number = __atomic_fetch_add(&host->next, 1, __ATOMIC_RELAXED);
    struct head head;
    void *session = NULL;
    u64 ops;
    int rc = engine->session_open(host->db, &session);

    if (!rc) rc = subscribe(host, session, number);
    pthread_barrier_wait(&host->ready);
    while (!rc && !atomic_load(&host->stop)) {
        rc = engine->watch_next(session, SUBSCRIBER_WAIT_MS, &ops, &head);
        if (!rc && ops) atomic_fetch_add(&host->delivered, ops);
    }
    if (rc) atomic_store(&host->failed, 1);
    if (session) engine->session_close(session);
    return NULL;
}

static void host_main(struct host *host)
{
    const struct run *run = &host->run;
    pthread_t threads[SUBSCRIBERS_MAX];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (run_open_too(run, &host->db)) _exit(1);
    for (u32 i = 0; i < host->count; i++)
        if (pthread_create(&threads[i], NULL, subscriber, host)) _exit(1);
    pthread_barrier_wait(&host->ready);
    for (u32 i = 0; i < host->count; i++) pthread_join(threads[i], NULL);
    atomic_store(&host->cpu_ns, meter_own_ns());
    _exit(run->engine->close(host->db) != 0);
}

static struct host *host_start(const struct run *run, u32 count, pid_t *pid)
{
    pthread_barrierattr_t shared;
    struct host *host = mmap(NULL, sizeof *host, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (host == MAP_FAILED) return NULL;
    host->run = *run;
    host->count = count;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&host->ready, &shared, count + 2);
    *pid = fork();
    if (*pid < 0) return NULL;
    if (!*pid) host_main(host);
    pthread_barrier_wait(&host->ready);
    return host;
}

static int host_end(struct host *host, pid_t pid)
{
    int status = 0;
    bool ended;

    atomic_store(&host->stop, 1);
    ended = waitpid(pid, &status, 0) == pid && !status;
    if (!ended || atomic_load(&host->failed))
        return bench_fail("a subscriber failed");
    if (!atomic_load(&host->delivered))
        return bench_fail("nothing was delivered");
    return 0;
}

/* The processors that the subscribers used are ours, not foreign. */
static void own_load(struct run *run, const struct host *host)
{
    double seconds = run->seconds * (1 + WARM_PART);
    double load = (double)host->cpu_ns * 1e-9 / seconds;

    run->sample->foreign -= load < run->sample->foreign ? load
                                                        : run->sample->foreign;
}

/* The row's amount of subscribers in another process; one writer.  Without
 * any, another process is there as well: it changes what a commit does. */
int work_subscribers(struct run *run)
{
    struct crew_plan plan = {.step = step_put_watched,
                             .warm_seconds = run->seconds * WARM_PART};
    struct crew_result result;
    struct host *host = NULL;
    pid_t pid = 0;
    void *beside = NULL;
    u32 count = run->row->amount;

    if (count) host = host_start(run, count, &pid);
    else if (run_open_too(run, &beside)) return -1;
    if (count && !host) return bench_fail_errno("fork", "the subscribers");
    if (crew_run(run, &plan, &result)) return -1;
    crew_set(run, &result);
    if (!host) return run->engine->close(beside);
    if (host_end(host, pid)) return -1;
    own_load(run, host);
    return 0;
}

/* ------------------------------------------------------------- replay -- */

static int fill_log(struct run *run, void *session, u64 ops, u32 each)
{
    const struct shape *shape = run->row->shape;
    static struct engine_op batch[BATCH_OPS];
    static u8 keys[BATCH_OPS][KEY_SIZE_MAX], values[BATCH_OPS][VALUE_SIZE_MAX];

    for (u64 n = 0; n < ops; n += each) {
        for (u32 i = 0; i < each; i++)
            batch[i] = (struct engine_op){
                .key = shape_key(shape, keys[i], (n + i) % run->records),
                .value = shape_value(shape, run->pool, values[i],
                                     (n + i) % run->records, n)};
        if (run->engine->batch(session, batch, each)) return -1;
    }
    return 0;
}

/* AMOUNT operations a transaction; one thread reads all of them. */
int work_replay(struct run *run)
{
    const struct engine *engine = run->engine;
    struct watch_how how = {.early = true, .all = true};
    struct meter start;
    struct head head;
    void *writer, *reader;
    u64 ops = 1, seen = 0;
    double seconds;

    if (run_open(run) || engine->session_open(run->db, &writer) ||
        engine->session_open(run->db, &reader) || engine->keep_log(run->db) ||
        fill_log(run, writer, run->records, run->row->amount) ||
        engine->watch_open(reader, &how))
        return -1;
    start = meter_read(run->dir);
    while (ops) {
        if (engine->watch_next(reader, 0, &ops, &head)) return -1;
        seen += ops;
    }
    seconds = run_span(run, &start);
    if (seen < run->records)
        return bench_fail("%" PRIu64 " of %" PRIu64 " operations were read",
                          seen, run->records);
    run_set(run, METRIC_THROUGHPUT, (double)seen / seconds);
    engine->session_close(reader);
    engine->session_close(writer);
    return run_close(run);
}
