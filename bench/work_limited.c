/* bench/work_limited.c -- random reads and writes in a database four times as
 * large as the memory that the process may have, its files' pages included.
 *
 * Holds: nothing of the files is in memory when the process comes under the
 * limit, because a page counts where it was read first; then everything is
 * scanned once, so memory is full when the window begins.  That scan must have
 * read the records from the device, or something else was measured.
 * Not here: how a limit is made (limit.c) and how large it is (run.c). */
#include <inttypes.h>

#include "batch.h"
#include "crew.h"
#include "place.h"

#define WARM_PART 0.4               /* of the window */

/* Under the limit, with a database whose pages went through memory once. */
static int open_limited(struct run *run)
{
    struct meter start = meter_read(run->dir), span;
    struct batch *warm;

    if (place_evict(run->dir) || limit_enter(run->limit)) return -1;
    if (run_open(run) || batch_open(run, &warm)) return -1;
    if (batch_verify(warm, run->records,
                     run->records * (run->records - 1) / 2))
        return -1;
    batch_close(warm);
    span = meter_since(&start, run->dir);
    if (span.read_bytes >= run->memory_bytes * LIMIT_PART / 2) return 0;
    return bench_fail("the records were in memory already: %" PRIu64
                      " bytes were read", span.read_bytes);
}

static int limited(struct run *run, int (*step)(struct worker *worker))
{
    struct crew_plan plan = {.step = step,
                             .timed = run->row->timed ? UINT64_MAX : 0,
                             .warm_seconds = run->seconds * WARM_PART};
    struct crew_result result;

    if (open_limited(run) || crew_run(run, &plan, &result)) return -1;
    crew_set(run, &result);
    return run_close(run);
}

int work_limited_gets(struct run *run) { return limited(run, step_get); }

int work_limited_puts(struct run *run) { return limited(run, step_put); }
