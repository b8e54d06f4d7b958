/* bench/run.c -- all samples of a run: which, in what order, how often.
 *
 * In the work directory: base-ENGINE-SHAPE holds a loaded database that the
 * rows of that shape read or copy, sample is the directory of the moment.
 * Both are gone at the end.  lock keeps two runs apart.
 * Not here: what is printed (report.c). */
#define _GNU_SOURCE
#include "run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "place.h"

/* ------------------------------------------------------- which and who -- */

bool run_wants(const struct bench *bench, const struct row *row)
{
    if (!bench->only_count) return !bench->growing || row->grow;
    for (u32 i = 0; i < bench->only_count; i++)
        if (!strncmp(row->name, bench->only[i], strlen(bench->only[i])))
            return true;
    return false;
}

bool run_takes_part(const struct row *row, const struct engine *engine)
{
    if (row->floor && engine->kinds & KIND_FLOOR) return true;
    return row->kinds & engine->kinds;
}

static const char *why_not(const struct bench *bench, const struct row *row,
                           const struct engine *engine)
{
    unsigned missing = row->needs & ~engine->abilities;

    if (row->limited && bench->no_limit[0]) return bench->no_limit;
    if (row->limited && run_memory(bench, row) < LIMIT_MIN)
        return "too few records: the limit would be smaller than a process";

    if (missing & CAN_PROCESSES) return "one process only";
    if (missing & CAN_IDS) return "gives no ids";
    return NULL;
}

u64 run_records(const struct bench *bench, const struct row *row)
{
    double records = (double)bench->records * row->shape->records_factor;

    if (row->base >= BASE_BIG_SHARED) records *= BIG_FACTOR;
    return records < 1000 ? 1000 : (u64)records;
}

double run_seconds(const struct bench *bench, const struct row *row)
{
    return row->window ? bench->seconds * row->window : bench->seconds;
}

u64 run_memory(const struct bench *bench, const struct row *row)
{
    u64 record = row->shape->key_size + row->shape->value_size;

    return row->limited ? run_records(bench, row) * record / LIMIT_PART : 0;
}

static u32 row_reps(const struct bench *bench, const struct row *row)
{
    if (row->reps_max && row->reps_max < bench->reps) return row->reps_max;
    return bench->reps;
}

/* -------------------------------------------------------- one process -- */

/* The child: do the work, leave the answer in the shared sample. */
static void child(const struct bench *bench, struct run *run,
                  int (*work)(struct run *run))
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(bench->quick ? QUICK_SECONDS_MAX : SAMPLE_SECONDS_MAX);
    run->sample->done = !work(run);
    if (!run->sample->done)
        memcpy(run->sample->text, bench_text, sizeof run->sample->text);
    _exit(0);
}

static void tell_death(struct sample *sample, int status)
{
    int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    sample->done = false;
    if (signal_number == SIGALRM)
        snprintf(sample->text, sizeof sample->text, "took too long");
    else
        snprintf(sample->text, sizeof sample->text, "died: %s",
                 signal_number ? strsignal(signal_number) : "exited");
}

/* Run WORK in a new process; the answer is in *sample. */
static void in_process(struct bench *bench, struct run *run,
                       int (*work)(struct run *run), struct sample *sample)
{
    int status = 0;
    pid_t pid;

    memset(bench->shared, 0, sizeof *bench->shared);
    run->sample = bench->shared;
    fflush(NULL);
    pid = fork();
    if (pid == 0) child(bench, run, work);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        bench_fail_errno("fork", "a sample"), status = -1;
    while (waitpid(-1, NULL, 0) > 0) {}      /* orphans of a sample that died */
    *sample = *bench->shared;
    if (status) tell_death(sample, status);
}

/* ---------------------------------------------------------- directories -- */

static int base_path(const struct bench *bench, const struct row *row,
                     const struct engine *engine, char *path)
{
    char name[96];

    snprintf(name, sizeof name, "base-%s-%s-%" PRIu64 "%s", engine->name,
             row->shape->name, run_records(bench, row),
             row->base >= BASE_BIG_SHARED ? "-sorted" : "");
    return place_join(path, bench->work_dir, name);
}

/* Load the base of ROW for ENGINE if it is not there. */
static int base_make(struct bench *bench, const struct row *row,
                     const struct engine *engine)
{
    struct row as_async = *row;
    struct sample sample;
    char path[PLACE_PATH_MAX];
    struct run run = {.row = &as_async, .engine = engine, .dir = path,
                      .pool = bench->pool,
                      .records = run_records(bench, row)};

    as_async.mode = MODE_ASYNC;
    as_async.memory = false;
    if (base_path(bench, row, engine, path)) return -1;
    if (!access(path, F_OK)) return 0;
    fprintf(stderr, "  loading %" PRIu64 " records of shape %s into %s\n",
            run.records, row->shape->name, engine->name);
    if (place_make(path)) return -1;
    in_process(bench, &run, work_base, &sample);
    if (sample.done) return place_settle(path);
    place_remove(path);
    return bench_fail("loading: %s", sample.text);
}

/* Make the directory of one sample; its path into PATH. */
static int sample_dir(struct bench *bench, const struct row *row,
                      const struct engine *engine, char *path)
{
    char base[PLACE_PATH_MAX];
    bool bare = row->base == BASE_NONE || !engine->batch;

    if (place_join(path, bench->work_dir, "sample")) return -1;
    if (place_remove(path)) return -1;
    if (bare) return place_make(path);
    if (base_make(bench, row, engine)) return -1;
    if (base_path(bench, row, engine, base)) return -1;
    if (row->base == BASE_SHARED || row->base == BASE_BIG_SHARED) {
        memcpy(path, base, sizeof base);
        return 0;
    }
    return place_copy(base, path);
}

/* -------------------------------------------------------------- samples -- */

static void take(struct bench *bench, const struct cell *cell, u32 rep,
                 struct sample *sample)
{
    char path[PLACE_PATH_MAX];
    struct limit limit = {.dir = ""};
    struct run run = {.row = cell->row, .engine = cell->engine, .dir = path,
                      .pool = bench->pool, .seed = rep + 1,
                      .records = run_records(bench, cell->row),
                      .seconds = run_seconds(bench, cell->row),
                      .limit = &limit,
                      .memory_bytes = run_memory(bench, cell->row)};

    memset(sample, 0, sizeof *sample);
    if (sample_dir(bench, cell->row, cell->engine, path) ||
        (cell->row->settled && place_settle(path)) ||
        (run.memory_bytes && limit_make(&limit, run.memory_bytes))) {
        memcpy(sample->text, bench_text, sizeof sample->text);
        return;
    }
    in_process(bench, &run, cell->row->work, sample);
    limit_remove(&limit);
}

static double seconds_since(const struct bench *bench)
{
    return (double)(now_ns() - bench->began_ns) * 1e-9;
}

static void tell(struct bench *bench, const struct cell *cell, u32 rep,
                 const struct sample *sample)
{
    u32 metric = 0;

    fprintf(stderr, "[%u/%u %.1f min] %s %s %u: ", bench->done, bench->planned,
            seconds_since(bench) / 60, cell->row->name, cell->engine->name,
            rep + 1);
    if (!sample->done) {
        fprintf(stderr, "FAILED: %s\n", sample->text);
        return;
    }
    while (metric < METRIC_COUNT - 1 && !(sample->has >> metric & 1)) metric++;
    fprintf(stderr, "%s %.4g %s, foreign load %.2f\n", metrics[metric].name,
            sample->values[metric],
            metrics[metric].unit ? metrics[metric].unit : cell->row->unit,
            sample->foreign);
}

/* R2.  At most half as many extra samples as planned ones in the whole run. */
static bool again(struct bench *bench, const struct sample *sample,
                  double seconds, u32 tries)
{
    if (bench->quick || !sample->done || sample->foreign <= FOREIGN_MAX)
        return false;
    if (tries >= TRIES_MAX || bench->again >= bench->planned / 2) return false;
    if (seconds > AGAIN_SECONDS_MAX) return false;
    bench->again++;
    return true;
}

static void sample_cell(struct bench *bench, struct cell *cell, u32 rep)
{
    struct sample best, sample;
    u32 tries = 1;
    double began = seconds_since(bench), seconds;

    take(bench, cell, rep, &best);
    seconds = seconds_since(bench) - began;
    sample = best;
    while (again(bench, &sample, seconds, tries)) {
        take(bench, cell, rep, &sample);
        if (sample.done && sample.foreign < best.foreign) best = sample;
        tries++;
    }
    bench->done++;
    tell(bench, cell, rep, &best);
    if (best.done) cell->samples[cell->count++] = best;
    else if (!cell->failure[0])
        memcpy(cell->failure, best.text, sizeof cell->failure);
}

static void sample_row(struct bench *bench, struct cell *cells, u32 rep)
{
    double began = seconds_since(bench);

    if (rep >= row_reps(bench, cells->row)) return;
    if (rep && began + cells->seconds > bench->minutes * 60) {        /* R3 */
        fprintf(stderr, "%g minutes allow no run %u of %s\n", bench->minutes,
                rep + 1, cells->row->name);
        return;
    }
    for (u32 i = 0; i < bench->engine_count; i++) {
        struct cell *cell = &cells[(i + rep) % bench->engine_count];
        if (!cell->cannot && !cell->failure[0]) sample_cell(bench, cell, rep);
    }
    cells->seconds = seconds_since(bench) - began;
}

/* R1. */
static void sample_all(struct bench *bench, struct table *table)
{
    for (u32 rep = 0; rep < bench->reps; rep++)
        for (u32 i = 0; i < table->row_count; i++)
            sample_row(bench, &table->cells[i * bench->engine_count], rep);
}

/* ------------------------------------------------------------- the run -- */

static void plan_row(struct bench *bench, const struct row *row,
                     struct cell *cells)
{
    for (u32 i = 0; i < bench->engine_count; i++) {
        const struct engine *engine = bench->engines[i];
        cells[i].row = row;
        cells[i].engine = engine;
        cells[i].cannot = "takes no part";
        if (run_takes_part(row, engine))
            cells[i].cannot = why_not(bench, row, engine);
        if (!cells[i].cannot) bench->planned += row_reps(bench, row);
    }
}

static void plan(struct bench *bench, struct table *table)
{
    size_t width = bench->engine_count;

    table->records = bench->records;
    table->cells = bench_alloc(rows_count * width * sizeof *table->cells);
    for (size_t i = 0; i < rows_count; i++)
        if (run_wants(bench, &rows[i]))
            plan_row(bench, &rows[i],
                     &table->cells[table->row_count++ * width]);
}

/* Take the work directory for us alone and empty it. */
static int work_dir_take(struct bench *bench, int *lock)
{
    char path[PLACE_PATH_MAX];

    *lock = -1;
    if (place_make(bench->dir) || place_join(path, bench->dir, "lock"))
        return -1;
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0) return bench_fail_errno("open", path);
    if (flock(*lock, LOCK_EX | LOCK_NB))
        return bench_fail("another luge-bench is at work in %s", bench->dir);
    if (place_join(bench->work_dir, bench->dir, "run")) return -1;
    if (place_remove(bench->work_dir)) return -1;
    return place_make(bench->work_dir);
}

static void describe(struct bench *bench)
{
    struct limit limit;

    if (machine_is_memory(bench->work_dir))
        snprintf(bench->no_limit, sizeof bench->no_limit,
                 "the directory lies in memory");
    else if (limit_make(&limit, LIMIT_MIN))
        memcpy(bench->no_limit, bench_text, sizeof bench->no_limit);
    else limit_remove(&limit);
    machine_text(bench->work_dir, bench->machine);
    if (machine_is_memory(bench->work_dir))
        fprintf(stderr, "%s lies in memory: durable rows will say nothing\n",
                bench->dir);
}

int run_all(struct bench *bench, struct table *table)
{
    int lock, rc = work_dir_take(bench, &lock);

    prctl(PR_SET_CHILD_SUBREAPER, 1);        /* in_process waits for them all */
    if (!rc) {
        describe(bench);
        plan(bench, table);
        if (!bench->began_ns) bench->began_ns = now_ns();
        sample_all(bench, table);
        rc = place_remove(bench->work_dir);
    }
    if (lock >= 0) close(lock);
    return rc;
}
