/* bench/work.h -- one sample: a row's work, done once by one engine in a
 * process of its own.
 *
 * Holds: a work function opens the engine in run->dir, does the row's work,
 * checks what it read, sets figures in the sample and closes the engine.
 * Only what a row is about lies between the two clock readings.
 * Not here: making the directory and the process (run.c).
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "limit.h"
#include "meter.h"
#include "rows.h"

/* Lives in memory shared with the process that ordered it. */
struct sample {
    bool done;
    char text[BENCH_TEXT_SIZE];         /* why not, if not done */
    u32 has;                            /* bit m: values[m] was measured */
    double values[METRIC_COUNT];
    double foreign;                     /* processors used by others */
};

struct run {
    const struct row *row;
    const struct engine *engine;
    const char *dir;
    const u8 *pool;
    u64 records, seed;
    double seconds;                     /* the length of a timed window */
    const struct limit *limit;          /* on its memory, or NULL */
    u64 memory_bytes;                   /* how much that is, or 0 */
    struct sample *sample;
    void *db;                           /* NULL while closed */
};

int run_open(struct run *run);
/* Open run's directory once more: in another process, or a second handle. */
int run_open_too(const struct run *run, void **db);
/* Note the memory used, then close. */
int run_close(struct run *run);

void run_set(struct run *run, enum metric metric, double value);
/* End the span that START began; its seconds. */
double run_span(struct run *run, const struct meter *start);

int work_base(struct run *run);
int work_load_sorted(struct run *run);
int work_load_random(struct run *run);
int work_puts(struct run *run);
int work_puts_checkpoints(struct run *run);
int work_overwrite(struct run *run);
int work_delete(struct run *run);
int work_ids(struct run *run);

int work_gets(struct run *run);
int work_scan(struct run *run);
int work_ranges(struct run *run);

int work_limited_gets(struct run *run);
int work_limited_puts(struct run *run);

int work_mix(struct run *run);
int work_reads_and_writes(struct run *run);
int work_reads_checkpoints(struct run *run);

int work_wake(struct run *run);
int work_subscribers(struct run *run);
int work_replay(struct run *run);

int work_event_append(struct run *run);
int work_event_replay(struct run *run);
int work_convo_append(struct run *run);

int work_open(struct run *run);
int work_open_cold(struct run *run);
int work_open_killed(struct run *run);
int work_memory(struct run *run);
int work_churn(struct run *run);
int work_stuck_reader(struct run *run);
int work_device_bytes(struct run *run);

#endif
