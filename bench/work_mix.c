/* bench/work_mix.c -- rows that read and write at once: 95/5, YCSB, and the
 * time a read takes while another thread writes.
 *
 * Every write is a transaction of its own.  A new record's index is
 * records + number + n * count: worker NUMBER of COUNT makes its nth, so no two
 * workers ever meet, and a record may be read as soon as its worker says so.
 * Not here: the percentages (rows.c). */
#include <inttypes.h>

#include "crew.h"

enum { SCAN_MAX = 100 };            /* records; YCSB's workload E */
#define WARM_PART 0.2               /* of the window */
#define CHECKPOINT_NS ((u64)(CREW_CHECKPOINT_SECONDS * 1e9))

/* ----------------------------------------------------- which record -- */

/* RANK places before the newest record: rank 0 is the newest. */
static u64 latest(const struct worker *worker, u64 rank)
{
    u64 records = worker->run->records;
    u32 number = (u32)(rank % worker->count);
    u64 back = rank / worker->count + 1;
    u64 inserted = atomic_load_explicit(
        &crew_mate(worker, number)->inserted, memory_order_acquire);

    if (back <= inserted)
        return records + number + (inserted - back) * worker->count;
    return records - 1 - rank % records;
}

static u64 choose(struct worker *worker)
{
    const struct zipf *zipf = worker->plan->context;
    u64 records = worker->run->records;

    switch (worker->run->row->mix->choice) {
    case ZIPFIAN: return mix64(zipf_next(zipf, &worker->rng)) % records;
    case LATEST: return latest(worker, zipf_next(zipf, &worker->rng));
    default: return rng_below(&worker->rng, records);
    }
}

/* ------------------------------------------------------- operations -- */

static int do_read(struct worker *worker, u64 index)
{
    const struct run *run = worker->run;
    struct slice key = shape_key(run->row->shape, worker->key, index);
    struct head head;

    if (run->engine->get(worker->session, key, &head)) return -1;
    if (head.index == index && head.size == run->row->shape->value_size)
        return 0;
    return bench_fail("record %" PRIu64 " has the value of %" PRIu64, index,
                      head.index);
}

static int do_put(struct worker *worker, u64 index)
{
    const struct run *run = worker->run;
    const struct shape *shape = run->row->shape;
    struct slice key = shape_key(shape, worker->key, index);
    struct slice value = shape_value(shape, run->pool, worker->value, index,
                                     ++worker->stamp);

    return run->engine->put(worker->session, key, value);
}

static int do_insert(struct worker *worker)
{
    u64 n = atomic_load_explicit(&worker->inserted, memory_order_relaxed);
    u64 index = worker->run->records + worker->number + n * worker->count;

    if (do_put(worker, index)) return -1;
    atomic_store_explicit(&worker->inserted, n + 1, memory_order_release);
    return 0;
}

/* Keys are in index order and none is ever removed, so at least the loaded
 * records behind FIRST must be found. */
static int do_scan(struct worker *worker, u64 first)
{
    const struct run *run = worker->run;
    u64 amount = 1 + rng_below(&worker->rng, SCAN_MAX);
    struct slice key = shape_key(run->row->shape, worker->key, first);
    struct tally tally = {0};

    if (run->engine->scan(worker->session, &key, amount, &tally)) return -1;
    if (tally.count >= min_u64(amount, run->records - first) &&
        tally.count <= amount)
        return 0;
    return bench_fail("a scan of %" PRIu64 " from %" PRIu64 " found %" PRIu64
                      " records", amount, first, tally.count);
}

/* As YCSB: a read and then a write, not one transaction. */
static int do_modify(struct worker *worker, u64 index)
{
    return do_read(worker, index) || do_put(worker, index) ? -1 : 0;
}

static int mix_one(struct worker *worker, u32 dice)
{
    const struct mix *mix = worker->run->row->mix;

    if (dice < mix->read) return do_read(worker, choose(worker));
    dice -= mix->read;
    if (dice < mix->update) return do_put(worker, choose(worker));
    dice -= mix->update;
    if (dice < mix->insert) return do_insert(worker);
    dice -= mix->insert;
    if (dice < mix->scan) return do_scan(worker, choose(worker));
    return do_modify(worker, choose(worker));
}

static int step_mix(struct worker *worker)
{
    return mix_one(worker, (u32)rng_below(&worker->rng, 100)) ? -1 : 1;
}

int work_mix(struct run *run)
{
    struct zipf zipf = {0};
    struct crew_plan plan = {.step = step_mix, .context = &zipf,
                             .timed = run->row->timed ? UINT64_MAX : 0,
                             .warm_seconds = run->seconds * WARM_PART};
    struct crew_result result;

    if (run->row->mix->choice != UNIFORM) zipf = zipf_of(run->records);
    if (run_open(run) || crew_run(run, &plan, &result)) return -1;
    crew_set(run, &result);
    return run_close(run);
}

/* ---------------------------------------- the reader beside a writer -- */

/* Worker 0 reads and is timed, worker 1 writes as fast as it can. */
static int step_read_or_write(struct worker *worker)
{
    u64 index = rng_below(&worker->rng, worker->run->records);
    int rc = worker->number == 0 ? do_read(worker, index)
                                 : do_put(worker, index);

    return rc ? -1 : 1;
}

/* The same; the writer stops for a checkpoint again and again. */
static int step_read_or_checkpoint(struct worker *worker)
{
    const struct engine *engine = worker->run->engine;

    if (worker->number && engine->checkpoint &&
        now_ns() > worker->checkpoint_ns + CHECKPOINT_NS) {
        if (engine->checkpoint(worker->db)) return -1;
        worker->checkpoint_ns = now_ns();
    }
    return step_read_or_write(worker);
}

static int read_beside(struct run *run, int (*step)(struct worker *worker))
{
    struct crew_plan plan = {.step = step, .timed = 1,
                             .warm_seconds = run->seconds * WARM_PART};
    struct crew_result result;

    if (run_open(run) || crew_run(run, &plan, &result)) return -1;
    result.ops_total = result.ops[0];
    crew_set(run, &result);
    run_set(run, METRIC_WRITES, (double)result.ops[1] / result.seconds);
    return run_close(run);
}

int work_reads_and_writes(struct run *run)
{
    return read_beside(run, step_read_or_write);
}

int work_reads_checkpoints(struct run *run)
{
    return read_beside(run, step_read_or_checkpoint);
}
