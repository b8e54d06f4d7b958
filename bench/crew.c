/* bench/crew.c -- workers that do one step again and again, together.
 *
 * The crew lives in memory shared by all its processes, so threads and
 * processes are one code.  Why not a command per worker: a worker must start
 * and stop at the same instant as the others, and a barrier does that.
 * Not here: what a step does (work_ files). */
#define _GNU_SOURCE
#include "crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum phase { PHASE_WARM, PHASE_MEASURE, PHASE_END };

struct crew {
    pthread_barrier_t start, end;
    _Atomic int phase;                  /* the coordinator writes it */
    u32 count;
    bool processes;
    struct worker workers[];
};

const struct worker *crew_mate(const struct worker *worker, u32 number)
{
    return &worker->crew->workers[number];
}

/* ------------------------------------------------------------- worker -- */

static bool in_phase(struct worker *worker, enum phase phase)
{
    return atomic_load_explicit(&worker->crew->phase,
                                memory_order_relaxed) == (int)phase;
}

static int worker_step(struct worker *worker)
{
    u64 began = 0;
    int ops;
    bool timed = worker->plan->timed >> worker->number & 1;

    if (timed) began = now_ns();
    ops = worker->plan->step(worker);
    if (ops < 0) return -1;
    if (timed) latency_add(&worker->latency, now_ns() - began);
    worker->ops += (u64)ops;
    return 0;
}

static int worker_loop(struct worker *worker)
{
    u64 cpu_ns;

    while (in_phase(worker, PHASE_WARM))
        if (worker->plan->step(worker) < 0) return -1;
    cpu_ns = meter_own_ns();
    worker->started_ns = now_ns();
    do if (worker_step(worker)) return -1;                            /* C1 */
    while (in_phase(worker, PHASE_MEASURE));
    worker->ended_ns = now_ns();
    worker->cpu_ns = meter_own_ns() - cpu_ns;
    return 0;
}

static int worker_open(struct worker *worker)
{
    const struct run *run = worker->run;

    worker->db = run->db;
    if (worker->crew->processes && run_open_too(run, &worker->db)) return -1;
    return run->engine->session_open(worker->db, &worker->session);
}

static int worker_close(struct worker *worker)
{
    const struct run *run = worker->run;

    run->engine->session_close(worker->session);
    return worker->crew->processes ? run->engine->close(worker->db) : 0;
}

static void worker_note(struct worker *worker, int rc)
{
    if (!rc || worker->failed) return;
    memcpy(worker->text, bench_text, sizeof worker->text);
    worker->failed = true;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;

    worker_note(worker, worker_open(worker));
    pthread_barrier_wait(&worker->crew->start);                       /* C2 */
    if (!worker->failed) worker_note(worker, worker_loop(worker));
    pthread_barrier_wait(&worker->crew->end);
    if (!worker->failed) worker_note(worker, worker_close(worker));
    return NULL;
}

/* --------------------------------------------------------------- crew -- */

static struct crew *crew_make(struct run *run, const struct crew_plan *plan)
{
    u32 count = run->row->processes + run->row->threads;
    size_t size = sizeof(struct crew) + count * sizeof(struct worker);
    struct crew *crew = mmap(NULL, size, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;

    if (crew == MAP_FAILED) return NULL;
    crew->count = count;
    crew->processes = run->row->processes > 0;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&crew->start, &shared, count + 1);
    pthread_barrier_init(&crew->end, &shared, count + 1);
    for (u32 i = 0; i < count; i++) {
        struct worker *w = &crew->workers[i];
        w->run = run, w->plan = plan, w->crew = crew;
        w->number = i, w->count = count;
        w->rng.state = mix64(run->seed * CREW_MAX + i);
    }
    return crew;
}

static void crew_free(struct crew *crew)
{
    munmap(crew, sizeof *crew + crew->count * sizeof(struct worker));
}

/* A worker that cannot be started would leave the barriers waiting for ever,
 * so it is the end of this sample's process. */
static void start_thread(pthread_t *thread, struct worker *worker)
{
    if (pthread_create(thread, NULL, worker_main, worker)) abort();
}

/* A worker that crashes would leave the barriers waiting for ever: the
 * coordinator gets the same signal, and the others end with it. */
static void crash_together(int signal_number)
{
    kill(getppid(), signal_number);
    _exit(1);
}

static pid_t start_process(struct worker *worker)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    pid_t pid = fork();

    if (pid < 0) abort();
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < ARRAY_COUNT(crashes); i++)
        signal(crashes[i], crash_together);
    worker_main(worker);
    _exit(0);
}

/* Lead the crew through its phases; the span of MEASURE in *span. */
static void conduct(struct crew *crew, const struct run *run,
                    struct meter *span)
{
    struct meter start;

    pthread_barrier_wait(&crew->start);
    sleep_seconds(crew->workers[0].plan->warm_seconds);
    start = meter_read(run->dir);
    atomic_store(&crew->phase, PHASE_MEASURE);
    sleep_seconds(run->seconds);
    atomic_store(&crew->phase, PHASE_END);
    pthread_barrier_wait(&crew->end);
    *span = meter_since(&start, run->dir);
}

static int reap(struct worker *worker, pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status)) return 0;
    worker->failed = true;
    memcpy(worker->text, "the worker process died", 24);
    return -1;
}

static void crew_lead(struct crew *crew, const struct run *run,
                      struct meter *span)
{
    pthread_t threads[CREW_MAX];
    pid_t pids[CREW_MAX];

    for (u32 i = 0; i < crew->count; i++) {
        if (crew->processes) pids[i] = start_process(&crew->workers[i]);
        else start_thread(&threads[i], &crew->workers[i]);
    }
    conduct(crew, run, span);
    for (u32 i = 0; i < crew->count; i++) {
        if (crew->processes) reap(&crew->workers[i], pids[i]);
        else pthread_join(threads[i], NULL);
    }
}

static int crew_sum(const struct crew *crew, struct meter *span,
                    struct crew_result *result)
{
    u64 began = UINT64_MAX, ended = 0;

    for (u32 i = 0; i < crew->count; i++) {
        const struct worker *w = &crew->workers[i];
        if (w->failed) return bench_fail("%s", w->text);
        result->ops[i] = w->ops;
        result->ops_total += w->ops;
        latency_merge(&result->latency, &w->latency);
        if (w->started_ns < began) began = w->started_ns;
        if (w->ended_ns > ended) ended = w->ended_ns;
        if (crew->processes) span->own_ns += w->cpu_ns;
    }
    result->seconds = (double)(ended - began) * 1e-9;
    result->device_bytes = span->device_bytes;
    return 0;
}

int crew_run(struct run *run, const struct crew_plan *plan,
             struct crew_result *result)
{
    struct crew *crew = crew_make(run, plan);
    struct meter span;
    int rc;

    memset(result, 0, sizeof *result);
    if (!crew) return bench_fail_errno("mmap", "the crew");
    crew_lead(crew, run, &span);
    rc = crew_sum(crew, &span, result);
    run->sample->foreign = meter_foreign(&span);
    crew_free(crew);
    return rc;
}

void crew_set(struct run *run, const struct crew_result *result)
{
    const struct latency *latency = &result->latency;

    run_set(run, METRIC_THROUGHPUT,
            (double)result->ops_total / result->seconds);
    if (!latency->count) return;
    run_set(run, METRIC_P50, latency_us(latency, 0.5));
    run_set(run, METRIC_P99, latency_us(latency, 0.99));
    run_set(run, METRIC_P999, latency_us(latency, 0.999));
}
