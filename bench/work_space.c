/* bench/work_space.c -- rows about opening, disk and memory: what a database
 * costs when nobody is in a hurry.
 *
 * Holds: disk is what the file system allocated for the directory, all of the
 * engine's files; device bytes are the block device's own count of sectors
 * written, by anybody, while the row ran, so the row waits for a device that
 * stands still.  The process's own count (/proc/self/io, write_bytes) would
 * know no others, but takes a whole folio for dirty where 4 KiB were written:
 * 2,000 writes of 4 KiB into a cached file of 256 MiB counted 33 times what
 * reached the device.
 * Not here: memory figures of other rows (run_close notes them). */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "batch.h"
#include "place.h"

enum {
    CHURN_ROUNDS = 2,
    STUCK_ROUNDS = 20,
    STUCK_GROWTH_MAX = 16,          /* times the data: then it is clear */
    STUCK_LOOKS = 20,               /* at the disk, in one round */
    STUCK_PROBES = 100,             /* reads that check the old snapshot */
    KILLED_PART = 50,               /* one record of so many is overwritten */
};

static u64 data_bytes(const struct run *run)
{
    return run->records * (run->row->shape->key_size +
                           run->row->shape->value_size);
}

static int disk(struct run *run, enum metric metric, u64 *bytes)
{
    if (place_bytes(run->dir, bytes)) return -1;
    run_set(run, metric, (double)*bytes / MIB);
    return 0;
}

/* --------------------------------------------------------------- open -- */

/* How much of the MS since a kill were the log's, if the engine says so. */
static int tell_replay(struct run *run, double ms)
{
    struct opened opened;

    if (!run->engine->opened) return 0;
    if (run->engine->opened(run->db, &opened)) return -1;
    run_set(run, METRIC_OPEN_BESIDE, ms - (double)opened.replay_us / 1000);
    run_set(run, METRIC_REPLAY, (double)opened.replay_us / 1000);
    run_set(run, METRIC_REPLAYED, (double)opened.replayed_bytes / MIB);
    return 0;
}

/* Open and read one record; the time until its value is there. */
static int open_and_read(struct run *run, bool killed)
{
    struct meter start = meter_read(run->dir);
    u64 index = mix64(run->seed) % run->records;
    u8 key[KEY_SIZE_MAX];
    struct head head;
    void *session;
    double ms;

    if (run_open(run) || run->engine->session_open(run->db, &session))
        return -1;
    if (run->engine->get(session, shape_key(run->row->shape, key, index),
                         &head))
        return -1;
    ms = run_span(run, &start) * 1000;
    run_set(run, METRIC_OPEN, ms);
    if (killed && tell_replay(run, ms)) return -1;
    if (head.index != index) return bench_fail("the first read is wrong");
    run->engine->session_close(session);
    return run_close(run);
}

int work_open(struct run *run) { return open_and_read(run, false); }

int work_open_cold(struct run *run)
{
    return place_evict(run->dir) ? -1 : work_open(run);
}

/* Overwrite some records, one transaction each, and die without closing. */
static int write_and_die(struct run *run)
{
    struct rng rng = {run->seed};
    u8 key[KEY_SIZE_MAX], value[VALUE_SIZE_MAX];
    const struct shape *shape = run->row->shape;
    void *session;

    if (run_open(run) || run->engine->session_open(run->db, &session))
        return -1;
    for (u64 i = 0; i < run->records / KILLED_PART; i++) {
        u64 index = rng_below(&rng, run->records);
        if (run->engine->put(session, shape_key(shape, key, index),
                             shape_value(shape, run->pool, value, index, 1)))
            return -1;
    }
    return raise(SIGKILL);
}

int work_open_killed(struct run *run)
{
    int status;
    pid_t pid = fork();

    if (pid < 0) return bench_fail_errno("fork", "the writer");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        write_and_die(run);
        memcpy(run->sample->text, bench_text, sizeof run->sample->text);
        _exit(1);
    }
    if (waitpid(pid, &status, 0) != pid) return bench_fail("waitpid failed");
    if (WIFEXITED(status)) return bench_fail("%s", run->sample->text);
    if (WTERMSIG(status) != SIGKILL) return bench_fail("the writer crashed");
    return open_and_read(run, true);
}

/* ------------------------------------------------------------- memory -- */

static int get_each(struct run *run, void *session)
{
    struct order order = order_of(run->records, run->seed);
    u8 key[KEY_SIZE_MAX];
    struct head head;

    for (u64 i = 0; i < run->records; i++) {
        u64 index = order_at(&order, i);
        if (run->engine->get(session, shape_key(run->row->shape, key, index),
                             &head))
            return -1;
        if (head.index != index) return bench_fail("a read is wrong");
    }
    return 0;
}

/* What the machine has less of: memory of the process, and of the page cache
 * what the engine's files fill.  Some keep their records in the one, some in
 * the other, and some in both. */
int work_memory(struct run *run)
{
    void *session;
    u64 bytes;

    if (place_evict(run->dir)) return -1;
    if (run_open(run) || run->engine->session_open(run->db, &session))
        return -1;
    if (get_each(run, session) || place_cached(run->dir, &bytes)) return -1;
    bytes += meter_memory("RssAnon");
    run_set(run, METRIC_WORKING, (double)bytes / MIB);
    run->engine->session_close(session);
    return run_close(run);
}

/* -------------------------------------------------------------- churn -- */

/* Overwrite every record; of a random quarter delete and insert again. */
static int churn_round(struct batch *batch, const struct run *run, u64 stamp)
{
    struct order order = order_of(run->records, run->seed + stamp);
    u64 quarter = run->records / 4;

    for (u64 i = 0; i < run->records; i++)
        if (batch_put(batch, order_at(&order, i), stamp)) return -1;
    for (u64 i = 0; i < quarter; i++)
        if (batch_del(batch, order_at(&order, i))) return -1;
    for (u64 i = 0; i < quarter; i++)
        if (batch_put(batch, order_at(&order, i), stamp)) return -1;
    return batch_flush(batch);
}

int work_churn(struct run *run)
{
    struct meter start = meter_read(run->dir);
    struct batch *batch;
    u64 live, busy, after;

    if (disk(run, METRIC_DISK, &live)) return -1;
    if (run_open(run) || batch_open(run, &batch)) return -1;
    for (u64 round = 1; round <= CHURN_ROUNDS; round++)
        if (churn_round(batch, run, round)) return -1;
    if (batch_verify(batch, run->records,
                     run->records * (run->records - 1) / 2))
        return -1;
    run_span(run, &start);
    if (disk(run, METRIC_DISK_BUSY, &busy)) return -1;
    batch_close(batch);
    if (run_close(run) || disk(run, METRIC_DISK_CLOSED, &after)) return -1;
    run_set(run, METRIC_GROWTH_BUSY, (double)busy / (double)live);
    run_set(run, METRIC_GROWTH, (double)after / (double)live);
    return 0;
}

/* ------------------------------------------------------- stuck reader -- */

struct stuck {
    struct run *run;
    struct batch *batch;
    void *reader;
    struct rng rng;
    u64 written, start_bytes, peak_bytes;
};

/* The reader must still see the records as they were loaded. */
static int stuck_check(struct stuck *stuck)
{
    const struct run *run = stuck->run;
    u8 key[KEY_SIZE_MAX];
    struct head head;

    for (u32 i = 0; i < STUCK_PROBES; i++) {
        u64 index = rng_below(&stuck->rng, run->records);
        if (run->engine->get(stuck->reader,
                             shape_key(run->row->shape, key, index), &head))
            return -1;
        if (head.index != index || head.stamp != 0)
            return bench_fail("the snapshot changed at record %" PRIu64
                              ": stamp %" PRIu64, index, head.stamp);
    }
    return 0;
}

/* Overwrite a part of the records; 1 if the disk use is out of all bounds. */
static int stuck_write(struct stuck *stuck)
{
    u64 count = stuck->run->records / STUCK_LOOKS, bytes;

    for (u64 i = 0; i < count; i++)
        if (batch_put(stuck->batch,
                      rng_below(&stuck->rng, stuck->run->records), 1))
            return -1;
    if (batch_flush(stuck->batch)) return -1;
    stuck->written += count;
    if (place_bytes(stuck->run->dir, &bytes)) return -1;
    if (bytes > stuck->peak_bytes) stuck->peak_bytes = bytes;
    return bytes > stuck->start_bytes +
                   STUCK_GROWTH_MAX * data_bytes(stuck->run);
}

static int stuck_run(struct stuck *stuck)
{
    struct run *run = stuck->run;
    int rc = 0;

    if (disk(run, METRIC_DISK, &stuck->start_bytes)) return -1;
    if (run->engine->begin(stuck->reader) || stuck_check(stuck)) return -1;
    for (u32 i = 0; !rc && i < STUCK_ROUNDS * STUCK_LOOKS; i++)
        rc = stuck_write(stuck);
    if (rc < 0 || stuck_check(stuck)) return -1;
    run->engine->end(stuck->reader);
    run_set(run, METRIC_GROWTH,
            (double)stuck->peak_bytes / (double)data_bytes(run));
    run_set(run, METRIC_GROWTH_LOADED,
            (double)stuck->peak_bytes / (double)stuck->start_bytes);
    run_set(run, METRIC_ROUNDS,
            (double)stuck->written / (double)run->records);
    return 0;
}

int work_stuck_reader(struct run *run)
{
    struct meter start = meter_read(run->dir);
    struct stuck stuck = {.run = run, .rng = {run->seed}};

    if (run_open(run) || batch_open(run, &stuck.batch)) return -1;
    if (batch_fill(stuck.batch) || run->engine->sync(run->db)) return -1;
    if (run->engine->session_open(run->db, &stuck.reader)) return -1;
    if (stuck_run(&stuck)) return -1;
    run->engine->session_close(stuck.reader);
    run_span(run, &start);
    batch_close(stuck.batch);
    return run_close(run);
}

/* ------------------------------------------------------- device bytes -- */

static int put_some(struct run *run, void *session, u64 count)
{
    struct rng rng = {run->seed};
    const struct shape *shape = run->row->shape;
    u8 key[KEY_SIZE_MAX], value[VALUE_SIZE_MAX];

    for (u64 i = 0; i < count; i++) {
        u64 index = rng_below(&rng, run->records);
        if (run->engine->put(session, shape_key(shape, key, index),
                             shape_value(shape, run->pool, value, index, i)))
            return -1;
    }
    return 0;
}

/* Until everything has reached its place: a sync, a checkpoint where there is
 * such a thing, and the file system's own write-back. */
static int all_written(struct run *run)
{
    const struct engine *engine = run->engine;

    if (engine->sync(run->db)) return -1;
    if (engine->checkpoint && engine->checkpoint(run->db)) return -1;
    return place_settle(run->dir);
}

int work_device_bytes(struct run *run)
{
    const struct shape *shape = run->row->shape;
    u64 count = run->records / run->row->amount;
    double logical = (double)(count * (shape->key_size + shape->value_size));
    struct meter start, span;
    void *session;

    if (run_open(run) || run->engine->session_open(run->db, &session))
        return -1;
    place_still(run->dir);
    start = meter_read(run->dir);
    if (put_some(run, session, count) || all_written(run)) return -1;
    span = meter_since(&start, run->dir);
    run->sample->foreign = meter_foreign(&span);
    run_set(run, METRIC_DEVICE_BYTES, (double)span.device_bytes / logical);
    run->engine->session_close(session);
    return run_close(run);
}
