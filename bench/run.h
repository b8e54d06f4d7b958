/* bench/run.h -- all samples of a run: which, in what order, how often.
 *
 * Holds:
 *   R1  a sample is one (row, engine, repetition) in a process and a directory
 *       of its own.  A repetition goes through all rows, and in each row
 *       through all engines, beginning with another one each time: so a row's
 *       samples lie far apart, and what changes slowly hits all alike.
 *   R2  a sample during which others used more than FOREIGN_MAX processors is
 *       taken again, a bounded number of times; the least disturbed one counts.
 *   R3  the first repetition is always taken whole; in later ones a row is not
 *       begun if it would end after the time allowed, going by its own time in
 *       the repetition before.
 * Not here: what is printed (report.c).
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "machine.h"
#include "work.h"

enum {
    ENGINES_MAX = 16,
    ONLY_MAX = 64,              /* --only options */
    REPS_MAX = 32,
    TRIES_MAX = 3,              /* of one sample */
    AGAIN_SECONDS_MAX = 10,     /* a longer sample is not taken again */
    SAMPLE_SECONDS_MAX = 900,   /* then a sample's process is ended */
    QUICK_SECONDS_MAX = 60,     /* the same for --quick */
};
#define FOREIGN_MAX 0.15        /* processors */
#define LIMIT_MIN ((u64)16 << 20)       /* bytes; below that no process lives */

struct bench {
    u64 records;
    u32 reps;
    double seconds;             /* of a timed window */
    double minutes;             /* allowed for the whole run */
    bool quick;
    bool growing;               /* --grow: the rows cheap enough for it */
    const char *dir, *json;
    const struct engine *engines[ENGINES_MAX];
    u32 engine_count;
    bool engines_named;         /* --engines */
    const char *only[ONLY_MAX];
    u32 only_count;
    u8 *pool;
    struct sample *shared;      /* the sample being taken */
    char work_dir[1024], machine[MACHINE_TEXT_SIZE];
    char no_limit[BENCH_TEXT_SIZE];     /* why memory cannot be limited */
    u64 began_ns;
    u32 done, planned, again;   /* samples */
};

/* What one engine did in one row. */
struct cell {
    const struct row *row;
    const struct engine *engine;
    u32 count;                  /* good samples */
    struct sample samples[REPS_MAX];
    const char *cannot;         /* why there is no figure, or NULL */
    double seconds;             /* of the row's last repetition; first cell */
    char failure[BENCH_TEXT_SIZE];          /* the first, or empty */
};

/* The rows of this run, each with one cell per engine. */
struct table {
    u64 records;                /* of the run */
    u32 row_count;
    struct cell *cells;         /* row-major, bench->engine_count wide */
};

bool run_wants(const struct bench *bench, const struct row *row);

/* ENGINE has a place in ROW, be it to say that it cannot. */
bool run_takes_part(const struct row *row, const struct engine *engine);

/* How many records ROW works on. */
u64 run_records(const struct bench *bench, const struct row *row);

/* How long a timed window of ROW is. */
double run_seconds(const struct bench *bench, const struct row *row);

/* What ROW allows a process to have in memory; 0: no limit. */
u64 run_memory(const struct bench *bench, const struct row *row);

/* Take all samples.  -1 if nothing could be done; failures of samples are in
 * their cells. */
int run_all(struct bench *bench, struct table *table);

#endif
