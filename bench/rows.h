/* bench/rows.h -- what a row of the table is, and which figures it can give.
 *
 * Holds: rows.c is the only list of rows, METRICS the only list of figures.
 * Not here: how a row is run (work.h) or repeated (run.c).
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "engine.h"
#include "gen.h"

struct run;

/* name for people and JSON, unit (NULL: the row's own), higher is better. */
#define METRICS(X)                                                            \
    X(THROUGHPUT, "throughput", NULL, true)                                   \
    X(P50, "p50", "us", false)                                                \
    X(P99, "p99", "us", false)                                                \
    X(P999, "p99.9", "us", false)                                             \
    X(WRITES, "writes", "puts/s", true)                                       \
    X(OPEN, "open", "ms", false)                                              \
    X(OPEN_BESIDE, "open_without_replay", "ms", false)                        \
    X(REPLAY, "replay", "ms", false)                                          \
    X(REPLAYED, "replayed", "MiB", false)                                     \
    X(PEAK, "peak_memory", "MiB", false)                                      \
    X(ANONYMOUS, "anonymous_memory", "MiB", false)                            \
    X(WORKING, "working_memory", "MiB", false)                                \
    X(DISK, "disk", "MiB", false)                                             \
    X(DISK_BUSY, "disk_after_churn", "MiB", false)                            \
    X(DISK_CLOSED, "disk_after_close", "MiB", false)                          \
    X(GROWTH, "growth", "times", false)                                       \
    X(GROWTH_BUSY, "growth_before_close", "times", false)                     \
    X(GROWTH_LOADED, "growth_since_load", "times", false)                     \
    X(ROUNDS, "rounds", "times", true)                                        \
    X(DEVICE_BYTES, "device_bytes", "per logical byte", false)                \
    X(COMMIT_BYTES, "device_bytes", "per commit", false)

enum metric {
#define X(name, text, unit, higher) METRIC_##name,
    METRICS(X)
#undef X
    METRIC_COUNT
};

struct metric_info {
    const char *name, *unit;
    bool higher;
};
extern const struct metric_info metrics[METRIC_COUNT];

/* Percentages of a mixed workload, and which records it prefers. */
struct mix {
    u32 read, update, insert, scan, modify;
    enum { UNIFORM, ZIPFIAN, LATEST } choice;
};

/* What lies in the directory when the work begins. */
enum row_base {
    BASE_NONE,          /* nothing */
    BASE_SHARED,        /* loaded in random order; the row only reads */
    BASE_COPY,          /* a copy of that */
    BASE_BIG_SHARED,    /* five times the records, loaded in order */
    BASE_BIG_COPY,
};
enum {
    BIG_FACTOR = 5,
    LIMIT_PART = 4,     /* a limited row: one part of so many of the records */
};

struct row {
    const char *name, *text, *unit;
    int (*work)(struct run *run);
    const struct shape *shape;
    unsigned kinds, needs;          /* engine_kind, engine_ability */
    bool floor;                     /* the bare device shows its figure too */
    enum row_base base;
    enum engine_mode mode;
    u32 threads, processes;         /* one of them is 0 */
    u32 amount;                     /* gets a snapshot, events an append, ... */
    const struct mix *mix;
    bool timed;                     /* each operation by itself */
    bool memory;                    /* show the memory it took */
    bool settled;                   /* start with nothing dirty in the system */
    u32 reps_max;                   /* 0: as many as asked for */
    u32 window;                     /* times the run's window; 0: once */
    bool limited;                   /* memory: a quarter of the records */
    bool grow;                      /* cheap enough for --grow */
};

extern const struct row rows[];
extern const size_t rows_count;

#endif
