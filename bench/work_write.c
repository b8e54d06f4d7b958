/* bench/work_write.c -- rows that write: loads, single puts, overwrites,
 * deletes, ids.
 *
 * Holds: loads, overwrites and deletes do a fixed amount of work and count
 * until all of it is durable; afterwards a scan checks what is there.
 * Not here: writes mixed with reads (work_mix.c). */
#include <inttypes.h>
#include <stdlib.h>

#include "batch.h"
#include "crew.h"

enum { IDS_PER_STEP = 100 };
#define WARM_PART 0.2               /* of the window */

/* The sum of all indices below COUNT. */
static u64 sum_below(u64 count) { return count * (count - 1) / 2; }

/* ------------------------------------------------------- sorted source -- */

struct in_order {
    struct source source;
    const struct run *run;
    u64 next;
    u8 key[KEY_SIZE_MAX], value[VALUE_SIZE_MAX];
};

static int in_order_next(struct source *source, struct slice *key,
                         struct slice *value)
{
    struct in_order *o = (struct in_order *)source;
    const struct shape *shape = o->run->row->shape;

    if (o->next == o->run->records) return 0;
    *key = shape_key(shape, o->key, o->next);
    *value = shape_value(shape, o->run->pool, o->value, o->next, 0);
    o->next++;
    return 1;
}

static int load_in_order(struct run *run)
{
    struct in_order o = {.source.next = in_order_next, .run = run};
    return run->engine->load(run->db, &o.source);
}

/* -------------------------------------------------------------- loads -- */

/* Load all records in random order; the state of the base directories. */
int work_base(struct run *run)
{
    struct batch *batch;
    bool sorted = run->row->base >= BASE_BIG_SHARED;

    if (run_open(run)) return -1;
    if (sorted && load_in_order(run)) return -1;
    if (batch_open(run, &batch)) return -1;
    if (!sorted && batch_fill(batch)) return -1;
    if (run->engine->settle(run->db)) return -1;
    if (batch_verify(batch, run->records, sum_below(run->records))) return -1;
    batch_close(batch);
    return run_close(run);
}

int work_load_sorted(struct run *run)
{
    struct batch *batch;
    struct meter start;
    double seconds;

    if (run_open(run)) return -1;
    start = meter_read(run->dir);
    if (load_in_order(run)) return -1;
    seconds = run_span(run, &start);
    run_set(run, METRIC_THROUGHPUT, (double)run->records / seconds);
    if (batch_open(run, &batch)) return -1;
    if (batch_verify(batch, run->records, sum_below(run->records))) return -1;
    batch_close(batch);
    return run_close(run);
}

/* Do FILL, which makes AMOUNT operations, sync, and count the rate; then the
 * engine must hold COUNT records whose indices sum up to SUM. */
static int fixed_work(struct run *run, int (*fill)(struct batch *batch,
                                                   struct run *run),
                      u64 amount, u64 count, u64 sum)
{
    struct batch *batch;
    struct meter start;

    if (run_open(run) || batch_open(run, &batch)) return -1;
    start = meter_read(run->dir);
    if (fill(batch, run) || run->engine->sync(run->db)) return -1;
    run_set(run, METRIC_THROUGHPUT, (double)amount / run_span(run, &start));
    if (batch_verify(batch, count, sum)) return -1;
    batch_close(batch);
    return run_close(run);
}

static int fill_random(struct batch *batch, struct run *run)
{
    (void)run;
    return batch_fill(batch);
}

int work_load_random(struct run *run)
{
    return fixed_work(run, fill_random, run->records, run->records,
                      sum_below(run->records));
}

static int fill_overwrites(struct batch *batch, struct run *run)
{
    struct rng rng = {run->seed};

    for (u64 i = 0; i < run->records; i++)
        if (batch_put(batch, rng_below(&rng, run->records), 1)) return -1;
    return batch_flush(batch);
}

int work_overwrite(struct run *run)
{
    return fixed_work(run, fill_overwrites, run->records, run->records,
                      sum_below(run->records));
}

static int fill_deletes(struct batch *batch, struct run *run)
{
    struct order order = order_of(run->records, run->seed);

    for (u64 i = 0; i < run->records / 2; i++)
        if (batch_del(batch, order_at(&order, i))) return -1;
    return batch_flush(batch);
}

int work_delete(struct run *run)
{
    struct order order = order_of(run->records, run->seed);
    u64 half = run->records / 2, sum = sum_below(run->records);

    for (u64 i = 0; i < half; i++) sum -= order_at(&order, i);
    return fixed_work(run, fill_deletes, half, run->records - half, sum);
}

/* -------------------------------------------------------- single puts -- */

/* Overwrite a random record, a transaction of its own. */
int step_put(struct worker *worker)
{
    const struct run *run = worker->run;
    const struct shape *shape = run->row->shape;
    u64 index = rng_below(&worker->rng, run->records);
    struct slice key = shape_key(shape, worker->key, index);
    struct slice value = shape_value(shape, run->pool, worker->value, index,
                                     ++worker->stamp);

    return run->engine->put(worker->session, key, value) ? -1 : 1;
}

static int puts_crew(struct run *run, const struct crew_plan *plan)
{
    struct crew_result result;

    if (!run->row->processes && run_open(run)) return -1;
    if (crew_run(run, plan, &result)) return -1;
    if (plan->timed == 1)
        result.ops_total = result.ops[0];   /* the others only stand by */
    crew_set(run, &result);
    if (run->row->mode == MODE_DURABLE)
        run_set(run, METRIC_COMMIT_BYTES, (double)result.device_bytes /
                                          (double)result.ops_total);
    return run->db ? run_close(run) : 0;
}

int work_puts(struct run *run)
{
    u64 everybody = run->row->timed ? UINT64_MAX : 0;
    struct crew_plan plan = {.step = step_put, .timed = everybody,
                             .warm_seconds = run->seconds * WARM_PART};

    return puts_crew(run, &plan);
}

/* Worker 0 commits, worker 1 makes checkpoints if the engine knows them. */
static int step_put_or_checkpoint(struct worker *worker)
{
    const struct engine *engine = worker->run->engine;

    if (worker->number == 0) return step_put(worker);
    sleep_seconds(CREW_CHECKPOINT_SECONDS);
    if (!engine->checkpoint) return 1;
    return engine->checkpoint(worker->db) ? -1 : 1;
}

int work_puts_checkpoints(struct run *run)
{
    struct crew_plan plan = {.step = step_put_or_checkpoint, .timed = 1,
                             .warm_seconds = run->seconds * WARM_PART};

    return puts_crew(run, &plan);
}

/* ---------------------------------------------------------------- ids -- */

/* The only row where a nanosecond of ours shows: an id may cost five. */
static int step_ids(struct worker *worker)
{
    int (*next_id)(void *session, u64 *id) = worker->run->engine->next_id;
    void *session = worker->session;
    u64 id, last = worker->last_id;

    for (u32 i = 0; i < IDS_PER_STEP; i++) {
        if (next_id(session, &id)) return -1;
        if (id <= last)
            return bench_fail("id %" PRIu64 " came after id %" PRIu64, id,
                              last);
        last = id;
    }
    worker->last_id = last;
    return IDS_PER_STEP;
}

int work_ids(struct run *run)
{
    struct crew_plan plan = {.step = step_ids,
                             .warm_seconds = run->seconds * WARM_PART};

    return puts_crew(run, &plan);
}
