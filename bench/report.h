/* bench/report.h -- what a run has shown: a table for people, JSON for
 * programs.
 * Not here: measuring anything. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "run.h"

/* The table on standard output. */
void report_table(const struct bench *bench, const struct table *table);

/* bench->json: an array of objects, one per row, engine and metric, from all of
 * COUNT tables. */
int report_json(const struct bench *bench, const struct table *tables,
                u32 count);

/* targets.json beside bench->json: an array of objects, one per target. */
int report_targets(const struct bench *bench, const struct table *table);

/* 1 if a sample failed anywhere, else 0. */
int report_failed(const struct bench *bench, const struct table *table);

#endif
