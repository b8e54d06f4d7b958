/* bench/figure.c -- medians, and luge's place among the others.
 * Not here: how figures look (report_ files). */
#include "figure.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *values, u32 count)
{
    qsort(values, count, sizeof *values, compare);
    if (count % 2) return values[count / 2];
    return (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct figure figure_of(const struct cell *cell, enum metric metric)
{
    double values[REPS_MAX], foreign[REPS_MAX];
    struct figure figure = {0};

    for (u32 i = 0; i < cell->count; i++) {
        if (!(cell->samples[i].has >> metric & 1)) continue;
        values[figure.runs] = cell->samples[i].values[metric];
        foreign[figure.runs++] = cell->samples[i].foreign;
    }
    if (!figure.runs) return figure;
    figure.median = median_of(values, figure.runs);
    figure.foreign = median_of(foreign, figure.runs);
    figure.min = values[0];
    figure.max = values[figure.runs - 1];
    return figure;
}

static enum engine_rank rank_of(const struct cell *cell)
{
    return cell->engine->rank[cell->row->mode];
}

/* luge's promise in this row is the measure, though it may not be measured. */
bool figure_weaker(const struct cell *cell)
{
    enum engine_rank ours = cell->row->mode == MODE_DURABLE ? RANK_POWER
                                                            : RANK_PREFIX;

    if (cell->row->kinds & (KIND_READ | KIND_SPACE)) return false;
    return rank_of(cell) < ours;
}

/* 0 if there is no other or luge was not measured. */
static double ratio_to(double luge, const struct cell *other,
                       enum metric metric)
{
    double theirs = other ? figure_of(other, metric).median : 0;

    if (luge <= 0 || theirs <= 0) return 0;
    return metrics[metric].higher ? luge / theirs : theirs / luge;
}

static bool is_luge(const struct cell *cell)
{
    return !strcmp(cell->engine->name, "luge");
}

static double luge_median(const struct cell *cells, u32 count,
                          enum metric metric)
{
    for (u32 i = 0; i < count; i++)
        if (is_luge(&cells[i])) return figure_of(&cells[i], metric).median;
    return 0;
}

/* Keep CELL in *best if its figure beats that of the one there. */
static void keep_better(const struct cell **best, const struct cell *cell,
                        enum metric metric)
{
    double mine = figure_of(cell, metric).median, there;

    if (*best) {
        there = figure_of(*best, metric).median;
        if (metrics[metric].higher ? mine <= there : mine >= there) return;
    }
    *best = cell;
}

struct rivals figure_rivals(const struct cell *cells, u32 count,
                            enum metric metric)
{
    struct rivals r = {0};
    double luge = luge_median(cells, count, metric);

    for (u32 i = 0; i < count; i++) {
        const struct cell *cell = &cells[i];
        if (!figure_of(cell, metric).runs || is_luge(cell)) continue;
        if (cell->engine->kinds & KIND_FLOOR) r.device = cell;
        else keep_better(figure_weaker(cell) ? &r.weaker : &r.equal, cell,
                         metric);
    }
    r.ratio_equal = ratio_to(luge, r.equal, metric);
    r.ratio_weaker = ratio_to(luge, r.weaker, metric);
    r.ratio_device = ratio_to(luge, r.device, metric);
    return r;
}
