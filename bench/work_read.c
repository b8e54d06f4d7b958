/* bench/work_read.c -- rows that only read: points, ranges, full scans, warm.
 *
 * Holds: a full scan before each window brings every page into memory, then a
 * part of the window's length is read without counting.  Every value read is
 * asked which record it belongs to; every scan is counted.
 * Not here: reads beside writes (work_mix.c). */
#include <inttypes.h>

#include "batch.h"
#include "crew.h"

#define WARM_PART 0.5               /* of the window */

static int read_one(struct worker *worker, u64 index)
{
    const struct run *run = worker->run;
    const struct shape *shape = run->row->shape;
    struct slice key = shape_key(shape, worker->key, index);
    struct head head;

    if (run->engine->get(worker->session, key, &head)) return -1;
    if (head.index == index && head.size == shape->value_size) return 0;
    return bench_fail("record %" PRIu64 " has the value of %" PRIu64
                      ", %zu bytes", index, head.index, head.size);
}

int step_get(struct worker *worker)
{
    return read_one(worker, rng_below(&worker->rng, worker->run->records))
               ? -1 : 1;
}

/* As many reads as the row says in one snapshot. */
static int step_get_snapshot(struct worker *worker)
{
    const struct engine *engine = worker->run->engine;
    u32 amount = worker->run->row->amount;
    int rc = 0;

    if (engine->begin(worker->session)) return -1;
    for (u32 i = 0; !rc && i < amount; i++)
        rc = read_one(worker, rng_below(&worker->rng, worker->run->records));
    engine->end(worker->session);
    return rc ? -1 : (int)amount;
}

static int step_scan(struct worker *worker)
{
    u64 records = worker->run->records;
    struct tally tally = {0};

    if (worker->run->engine->scan(worker->session, NULL, UINT64_MAX, &tally))
        return -1;
    if (tally.count == records &&
        tally.index_sum == records * (records - 1) / 2)
        return (int)records;
    return bench_fail("a scan found %" PRIu64 " records with sum %" PRIu64,
                      tally.count, tally.index_sum);
}

/* A range that lies wholly within the records: its sum is known. */
static int step_range(struct worker *worker)
{
    const struct run *run = worker->run;
    u64 amount = run->row->amount;
    u64 first = rng_below(&worker->rng, run->records - amount + 1);
    struct slice key = shape_key(run->row->shape, worker->key, first);
    struct tally tally = {0};

    if (run->engine->scan(worker->session, &key, amount, &tally)) return -1;
    if (tally.count == amount &&
        tally.index_sum == first * amount + amount * (amount - 1) / 2)
        return 1;
    return bench_fail("a range of %" PRIu64 " from %" PRIu64 " found %" PRIu64
                      " records", amount, first, tally.count);
}

/* Open, read everything once, run STEP, close. */
static int reads(struct run *run, int (*step)(struct worker *worker))
{
    struct crew_plan plan = {.step = step,
                             .timed = run->row->timed ? UINT64_MAX : 0,
                             .warm_seconds = run->seconds * WARM_PART};
    struct crew_result result;
    struct batch *warm;

    if (run_open(run) || batch_open(run, &warm)) return -1;
    if (batch_verify(warm, run->records,
                     run->records * (run->records - 1) / 2))
        return -1;
    batch_close(warm);
    if (crew_run(run, &plan, &result)) return -1;
    crew_set(run, &result);
    return run_close(run);
}

int work_gets(struct run *run)
{
    return reads(run, run->row->amount ? step_get_snapshot : step_get);
}

int work_scan(struct run *run) { return reads(run, step_scan); }

int work_ranges(struct run *run) { return reads(run, step_range); }
