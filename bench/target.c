/* bench/target.c -- the list of targets, and luge's figure against each.
 * Not here: how verdicts look (report.c, report_json.c). */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>

#include "figure.h"

#define T(group, row, metric, against, least)                                 \
    {group, row, METRIC_##metric, against, least}
#define READ(row) T("point reads", "get-" row, THROUGHPUT, NULL, 1.5)
#define READS(key)                                                            \
    READ(key "-t1"), READ(key "-t2"), READ(key "-snapshot-t1"),               \
        READ(key "-snapshot-t2")
#define B_TREES "lmdb,wiredtiger,sqlite"

static const struct target targets[] = {
    READS("16"), READS("8"), READS("24"), READS("60"),
    T("scans and ranges", "scan", THROUGHPUT, NULL, 1.3),
    T("scans and ranges", "range-10", THROUGHPUT, NULL, 1.3),
    T("scans and ranges", "range-100", THROUGHPUT, NULL, 1.3),

    T("async writes", "put-async-t1", THROUGHPUT, NULL, 1.5),
    T("async writes", "put-async-t1", THROUGHPUT, "lmdb-writemap", 1.0),
    T("async writes", "put-async-t2", THROUGHPUT, NULL, 1.5),
    T("async writes", "load-random", THROUGHPUT, NULL, 1.5),
    T("async writes", "load-sorted", THROUGHPUT, NULL, 1.2),

    T("durable commits", "durable-t1", THROUGHPUT, "device", 0.9),
    T("durable commits", "durable-t1", THROUGHPUT, NULL, 1.0),
    T("durable commits", "durable-t16", THROUGHPUT, NULL, 1.3),
    T("durable commits", "durable-p16", THROUGHPUT, NULL, 5.0),
    T("durable commits", "durable-checkpoints", P99, "device", 1.0 / 3),

    T("mixed", "mix-95-5", THROUGHPUT, NULL, 1.5),
    T("mixed", "mix-small-95-5", THROUGHPUT, "=2.1e6", 1.0),
    T("mixed", "ids-t1", THROUGHPUT, "=125e6", 1.0),

    T("disk", "churn", GROWTH_BUSY, "=1.3", 1.0),
    T("disk", "churn", GROWTH, "=1.3", 1.0),
    T("disk", "stuck-reader", GROWTH, "=3", 1.0),
    T("disk", "device-bytes", DEVICE_BYTES, B_TREES, 1.0),

    /* +15 % writes, -30 % p99 of reads, -20 % memory, -40 % cold start. */
    T("four against RocksDB", "put-async-t1", THROUGHPUT, "rocksdb", 1.15),
    T("four against RocksDB", "get-tail", P99, "rocksdb", 1 / 0.7),
    T("four against RocksDB", "memory", WORKING, "rocksdb", 1 / 0.8),
    T("four against RocksDB", "open-cold", OPEN, "rocksdb", 1 / 0.6),

    T("larger than memory", "limited-get", THROUGHPUT, NULL, 1.2),
    T("larger than memory", "limited-put", THROUGHPUT, "rocksdb", 0.8),

    T("opening", "open-killed", OPEN_BESIDE, "=100", 1.0),
    T("feed", "wakeup-committed", P50, "=60", 1.0),
    T("feed", "wakeup-durable", P50, "sync+60", 1.0),
    T("feed", "watched-64", THROUGHPUT, "row watched-0", 0.9),
    T("feed", "watched-durable-64", THROUGHPUT, "row watched-durable-0", 0.9),
    T("feed", "replay-1", THROUGHPUT, "=1e6", 1.0),
    T("feed", "replay-100", THROUGHPUT, "=1e6", 1.0),

    T("events", "event-durable-t16", THROUGHPUT, "=20e3", 1.0),
    T("events", "event-durable-p16", THROUGHPUT, "=20e3", 1.0),
    T("events", "event-async-t1", THROUGHPUT, "=400e3", 1.0),
    T("events", "event-async-p16", THROUGHPUT, "=400e3", 1.0),
    T("events", "event-replay", THROUGHPUT, "=2e6", 1.0),
    T("events", "event-replay-stream", THROUGHPUT, "=2e6", 1.0),
    T("events", "event-replay-type", THROUGHPUT, "=2e6", 1.0),
    /* A million nodes cost what a thousand do, within what two runs differ. */
    T("conversations", "convo-append-all", THROUGHPUT, "row convo-append-few",
      0.9),
};

/* Of a row without targets: the first of these that was measured. */
static const enum metric first_metrics[] = {METRIC_THROUGHPUT, METRIC_OPEN,
                                            METRIC_GROWTH};

struct view {                           /* of the table */
    const struct bench *bench;
    const struct cell *cells;           /* of the target's row */
    const struct table *table;
};

/* ----------------------------------------------------------- figures -- */

static const struct cell *row_cells(const struct view *view, const char *row)
{
    for (u32 i = 0; i < view->table->row_count; i++) {
        const struct cell *cells =
            &view->table->cells[i * view->bench->engine_count];
        if (!strcmp(cells->row->name, row)) return cells;
    }
    return NULL;
}

/* The median of ENGINE in the row of CELLS; 0 if it was not measured. */
static double median(const struct view *view, const struct cell *cells,
                     const char *engine, enum metric metric)
{
    for (u32 i = 0; cells && i < view->bench->engine_count; i++)
        if (!strcmp(cells[i].engine->name, engine))
            return figure_of(&cells[i], metric).median;
    return 0;
}

static bool better(double a, double b, enum metric metric)
{
    return metrics[metric].higher ? a > b : a < b;
}

/* The best figure among the engines of LIST; which one, into NAME. */
static double best_of(const struct view *view, const char *list,
                      enum metric metric, char *name, size_t size)
{
    double best = 0;

    for (u32 i = 0; i < view->bench->engine_count; i++) {
        const struct cell *cell = &view->cells[i];
        const char *at = strstr(list, cell->engine->name);
        size_t length = strlen(cell->engine->name);
        double figure = figure_of(cell, metric).median;
        if (!at || (at[length] && at[length] != ',')) continue;
        if (figure <= 0 || (best > 0 && !better(figure, best, metric)))
            continue;
        best = figure;
        snprintf(name, size, "%s", cell->engine->name);
    }
    return best;
}

/* What the target's words AGAINST come to in this run; 0: not measured. */
static double rival(const struct view *view, const struct target *target,
                    char *name, size_t size)
{
    const char *against = target->against;
    enum metric metric = target->metric;
    double figure;

    if (!against) {
        struct rivals r = figure_rivals(view->cells, view->bench->engine_count,
                                        metric);
        if (!r.equal) return 0;
        snprintf(name, size, "%s", r.equal->engine->name);
        return figure_of(r.equal, metric).median;
    }
    snprintf(name, size, "%s", against);
    if (against[0] == '=') return strtod(against + 1, NULL);
    if (!strncmp(against, "row ", 4))
        return median(view, row_cells(view, against + 4), "luge", metric);
    if (strncmp(against, "sync+", 5))
        return best_of(view, against, metric, name, size);
    figure = median(view, row_cells(view, "durable-t1"), "device", METRIC_P50);
    return figure > 0 ? figure + strtod(against + 5, NULL) : 0;
}

static struct verdict judge(const struct view *view,
                            const struct target *target)
{
    struct verdict v = {.group = target->group, .row = target->row,
                        .metric = metrics[target->metric].name,
                        .least = target->least};
    double luge = median(view, view->cells, "luge", target->metric);
    double other = rival(view, target, v.against, sizeof v.against);

    if (luge > 0 && other > 0)
        v.ratio = metrics[target->metric].higher ? luge / other : other / luge;
    return v;
}

/* --------------------------------------------------------------- each -- */

static bool has_target(const char *row)
{
    for (size_t i = 0; i < ARRAY_COUNT(targets); i++)
        if (!strcmp(targets[i].row, row)) return true;
    return false;
}

/* No peer ahead in the row of CELLS, which no target names. */
static struct verdict judge_other(const struct view *view)
{
    struct verdict v = {.ratio = 0};

    for (size_t i = 0; v.ratio <= 0 && i < ARRAY_COUNT(first_metrics); i++) {
        struct target target = {"the other rows", view->cells->row->name,
                                first_metrics[i], NULL, 1.0};
        v = judge(view, &target);
    }
    return v;
}

void target_each(const struct bench *bench, const struct table *table,
                 void (*see)(void *context, const struct verdict *verdict),
                 void *context)
{
    struct view view = {.bench = bench, .table = table};
    struct verdict v;

    for (size_t i = 0; i < ARRAY_COUNT(targets); i++) {
        view.cells = row_cells(&view, targets[i].row);
        if (!view.cells) continue;
        v = judge(&view, &targets[i]);
        see(context, &v);
    }
    for (u32 i = 0; i < table->row_count; i++) {
        view.cells = &table->cells[i * bench->engine_count];
        if (has_target(view.cells->row->name)) continue;
        v = judge_other(&view);
        if (v.ratio > 0) see(context, &v);
    }
}
