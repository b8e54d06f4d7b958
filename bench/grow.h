/* bench/grow.h -- what an operation costs as the database grows.
 *
 * Holds: the same rows were run for each size, smallest first.
 *   G1  cost is time an operation, or what the metric says if lower is better.
 *   G2  a cost that is a logarithm of the number of records rises by the same
 *       amount with each factor of ten.  So from one size to the next it may
 *       rise by what it rose before, stretched to the step's logarithm, or in
 *       proportion to log n, whichever is more; and by GROW_NOISE of itself
 *       for the caches of the processor that it falls out of.
 * Not here: running the rows (main.c).
 */
#ifndef BENCH_GROW_H
#define BENCH_GROW_H

#include "run.h"

enum { GROW_SIZES_MAX = 8 };
#define GROW_NOISE 0.25

struct grow {
    u32 count;
    u64 records[GROW_SIZES_MAX];
    struct table tables[GROW_SIZES_MAX];
};

/* LIST, "100000,1000000", ascending. */
int grow_sizes(struct grow *grow, char *list);

/* The table on standard output; how many lines grew faster than log n. */
u32 grow_report(const struct bench *bench, const struct grow *grow);

#endif
