/* bench/target.h -- what the figures must show, and whether they do.
 *
 * Holds: target.c is the only list of targets.  A ratio above 1 speaks for
 * luge, whichever way is better, and a target is met if it is at least LEAST.
 * A row without a target of its own has one: no peer of equal promise ahead.
 * Not here: how figures come to be (figure.h).
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include "run.h"

struct target {
    const char *group;          /* what it is about, for people */
    const char *row;
    enum metric metric;
    /* What luge is measured against:
     *   NULL              the best peer of equal promise
     *   "lmdb,sqlite"     the best of these engines, whatever they promise
     *   "device"          the bare device in the same row
     *   "=60"             that number, in the metric's unit
     *   "row watched-0"   luge itself in another row
     *   "sync+60"         so many microseconds more than the device's median
     *                     commit in row durable-t1 */
    const char *against;
    double least;
};

struct verdict {
    const char *group, *row, *metric;
    char against[64];           /* the one it came to */
    double ratio, least;        /* ratio 0: not measured in this run */
};

/* Call SEE for every target of a row that was in this run. */
void target_each(const struct bench *bench, const struct table *table,
                 void (*see)(void *context, const struct verdict *verdict),
                 void *context);

#endif
