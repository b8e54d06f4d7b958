/* bench/figure.h -- what the samples of one cell say about one metric.
 *
 * Holds: a ratio above 1 always speaks for luge, whichever way is better.
 * Not here: how figures look (report_ files).
 */
#ifndef BENCH_FIGURE_H
#define BENCH_FIGURE_H

#include "run.h"

struct figure {
    u32 runs;                           /* 0: not measured */
    double median, min, max, foreign;   /* foreign: the median too */
};

struct figure figure_of(const struct cell *cell, enum metric metric);

/* The peer to beat in one line: of those whose promise is at least luge's, and
 * of those who promise less.  NULL if there is none. */
struct rivals {
    const struct cell *equal, *weaker;
    double ratio_equal, ratio_weaker;   /* luge to that one */
    const struct cell *device;          /* the bare device, not a peer */
    double ratio_device;
};
struct rivals figure_rivals(const struct cell *cells, u32 count,
                            enum metric metric);

/* CELL's engine promises less than luge in this row.  Rows that only read, or
 * measure space, ask for no promise. */
bool figure_weaker(const struct cell *cell);

#endif
