/* bench/grow.c -- the costs of each row at several sizes, side by side.
 * Not here: the figures of one size (figure.c). */
#include "grow.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "figure.h"

/* The metrics that are costs; a line each. */
static const enum metric costs[] = {METRIC_THROUGHPUT, METRIC_P99, METRIC_OPEN,
                                    METRIC_DEVICE_BYTES};

int grow_sizes(struct grow *grow, char *list)
{
    char *rest = NULL, *end;

    grow->count = 0;
    for (char *text = strtok_r(list, ",", &rest); text;
         text = strtok_r(NULL, ",", &rest)) {
        double records = strtod(text, &end);
        if (*end || records < 1000 || records > 1e9)
            return bench_fail("'%s' is not a number from 1000 to 1e9", text);
        if (grow->count == GROW_SIZES_MAX) return bench_fail("too many sizes");
        if (grow->count && records <= (double)grow->records[grow->count - 1])
            return bench_fail("sizes must rise");
        grow->records[grow->count++] = (u64)records;
    }
    return grow->count ? 0 : bench_fail("no size was named");
}

/* One line: an engine's metric in a row, at each size. */
struct line {
    const struct bench *bench;
    const struct grow *grow;
    u32 row, engine;
    enum metric metric;
};

static const struct cell *cell_of(const struct line *line, u32 size)
{
    return &line->grow->tables[size]
                .cells[line->row * line->bench->engine_count + line->engine];
}

/* G1.  0: not measured. */
static double cost_of(const struct line *line, u32 size)
{
    double median = figure_of(cell_of(line, size), line->metric).median;

    if (median <= 0) return 0;
    return metrics[line->metric].higher ? 1 / median : median;
}

static double log_records(const struct line *line, u32 size)
{
    return log((double)line->grow->records[size]);
}

/* G2.  What the cost may be at SIZE, going by the sizes before. */
static double allowed(const struct line *line, u32 size)
{
    double before = cost_of(line, size - 1);
    double now = log_records(line, size), then = log_records(line, size - 1);
    double rise = before * (now / then - 1);

    if (size > 1) {
        double step = then - log_records(line, size - 2);
        double rose = before - cost_of(line, size - 2);
        rise = fmax(rise, rose * (now - then) / step);
    }
    return (before + rise) * (1 + GROW_NOISE);
}

static bool too_fast(const struct line *line, u32 size)
{
    return size && cost_of(line, size) > allowed(line, size);
}

static bool print_line(const struct line *line)
{
    const struct cell *cell = cell_of(line, 0);
    const char *unit = metrics[line->metric].unit;
    u32 last = line->grow->count - 1;
    bool fast = false;

    printf("%-22s %-14s %-11s", cell->row->name, cell->engine->name,
           metrics[line->metric].name);
    for (u32 size = 0; size <= last; size++) {
        printf(" %11.4g%c", figure_of(cell_of(line, size),
                                      line->metric).median,
               too_fast(line, size) ? '!' : ' ');
        fast |= too_fast(line, size);
    }
    printf("  %-17s x %.2f\n", unit ? unit : cell->row->unit,
           cost_of(line, last) / cost_of(line, 0));
    return fast;
}

static bool measured(const struct line *line)
{
    for (u32 size = 0; size < line->grow->count; size++)
        if (cost_of(line, size) <= 0) return false;
    return true;
}

static u32 report_row(struct line *line)
{
    u32 fast = 0;

    for (line->engine = 0; line->engine < line->bench->engine_count;
         line->engine++)
        for (size_t m = 0; m < ARRAY_COUNT(costs); m++) {
            line->metric = costs[m];
            if (measured(line)) fast += print_line(line);
        }
    return fast;
}

u32 grow_report(const struct bench *bench, const struct grow *grow)
{
    struct line line = {.bench = bench, .grow = grow};
    u32 fast = 0;

    printf("%-22s %-14s %-11s", "records", "", "");
    for (u32 size = 0; size < grow->count; size++)
        printf(" %12" PRIu64, grow->records[size]);
    printf("  %-17s %s\n", "", "cost, last / first");
    for (line.row = 0; line.row < grow->tables[0].row_count; line.row++)
        fast += report_row(&line);
    printf("\n! faster than log n: the cost at this size is more than %.0f %% "
           "above what the sizes\nbefore foretell: the same rise for each "
           "factor of ten, or in proportion to log n,\nwhichever is more.  %u "
           "such lines.  %s.\n", GROW_NOISE * 100, fast, bench->machine);
    return fast;
}
