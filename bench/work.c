/* bench/work.c -- what the work_ files share: opening, closing, figures.
 * Not here: any workload. */
#include "work.h"

int run_open_too(const struct run *run, void **db)
{
    struct open_how how = {run->dir, run->row->mode, run->memory_bytes};

    return run->engine->open(run->engine, &how, db);
}

int run_open(struct run *run)
{
    return run_open_too(run, &run->db);
}

int run_close(struct run *run)
{
    void *db = run->db;

    if (run->row->memory) {
        run_set(run, METRIC_PEAK, (double)meter_memory("VmHWM") / MIB);
        run_set(run, METRIC_ANONYMOUS, (double)meter_memory("RssAnon") / MIB);
    }
    run->db = NULL;
    return run->engine->close(db);
}

void run_set(struct run *run, enum metric metric, double value)
{
    run->sample->has |= 1u << metric;
    run->sample->values[metric] = value;
}

double run_span(struct run *run, const struct meter *start)
{
    struct meter span = meter_since(start, run->dir);

    run->sample->foreign = meter_foreign(&span);
    return (double)span.wall_ns * 1e-9;
}
