/* bench/crew.h -- workers that do one step again and again, together, for a
 * given time: threads of one process, or processes.
 *
 *   open --barrier--> WARM --sleep--> MEASURE --sleep--> END --barrier--> close
 *
 * Holds: C1  only steps begun after WARM count, at least one a worker; the
 *            last one is finished and its time is part of the span.
 *        C2  a worker that fails still comes to both barriers.
 * Not here: what a step does (work_ files).
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdatomic.h>

#include "latency.h"
#include "work.h"

enum { CREW_MAX = 64 };
#define CREW_CHECKPOINT_SECONDS 0.1     /* between two checkpoints */

struct worker {
    const struct run *run;
    const struct crew_plan *plan;
    struct crew *crew;
    u32 number, count;                  /* COUNT workers, numbered from 0 */
    void *db, *session;
    struct rng rng;
    _Atomic u64 inserted;               /* new records; this worker writes it */
    u64 last_id, stamp, checkpoint_ns;
    u8 key[KEY_SIZE_MAX], value[VALUE_SIZE_MAX];

    u64 ops, started_ns, ended_ns, cpu_ns;
    struct latency latency;
    bool failed;
    char text[BENCH_TEXT_SIZE];
};

struct crew_plan {
    /* Do one step; the number of operations it was, or -1. */
    int (*step)(struct worker *worker);
    u64 timed;                          /* bit w: time worker w's steps */
    double warm_seconds;
    const void *context;                /* for the step */
};

struct crew_result {
    u64 ops_total, ops[CREW_MAX];
    double seconds;
    u64 device_bytes;
    struct latency latency;             /* of the timed workers */
};

/* Run the row's workers by PLAN: threads share run->db, which is open;
 * processes open for themselves.  Sets the sample's foreign load. */
int crew_run(struct run *run, const struct crew_plan *plan,
             struct crew_result *result);

/* Worker NUMBER of the same crew. */
const struct worker *crew_mate(const struct worker *worker, u32 number);

/* Two steps that more than one file needs.  Read a random record and check it:
 * work_read.c.  Overwrite one, a transaction of its own: work_write.c. */
int step_get(struct worker *worker);
int step_put(struct worker *worker);

/* Throughput, and p50, p99, p99.9 if steps were timed. */
void crew_set(struct run *run, const struct crew_result *result);

#endif
