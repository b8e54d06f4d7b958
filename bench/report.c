/* bench/report.c -- the table for people, and whether anything failed.
 * Not here: JSON (report_json.c). */
#include "report.h"

#include <stdio.h>

#include "figure.h"
#include "target.h"

enum { LABEL_WIDTH = 34, CELL_WIDTH = 15 };

/* The bare device is in two rows only: its figure stands with the ratios. */
static bool has_column(const struct engine *engine)
{
    return !(engine->kinds & KIND_FLOOR);
}

/* NUMBER with three digits and a letter for thousands. */
static void print_number(char *to, size_t size, double number)
{
    static const struct { double least; const char *letter; } steps[] = {
        {1e9, "G"}, {1e6, "M"}, {1e4, "k"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        double n = number / steps[i].least * (steps[i].least < 1e6 ? 10 : 1);
        if (number < steps[i].least) continue;
        snprintf(to, size, "%.*f%s", n < 10 ? 2 : n < 100 ? 1 : 0, n,
                 steps[i].letter);
        return;
    }
    snprintf(to, size, "%.*f", number < 10 ? 2 : number < 100 ? 1 : 0, number);
}

/* The median, half the range in percent, and what to know about it. */
static void print_cell(const struct cell *cell, enum metric metric)
{
    struct figure f = figure_of(cell, metric);
    double half = f.median > 0 ? (f.max - f.min) / 2 / f.median * 100 : 0;
    char number[16], spread[16] = "", text[48];

    print_number(number, sizeof number, f.median);
    if (f.runs > 1) snprintf(spread, sizeof spread, " +-%.0f%%", half);
    if (cell->failure[0]) snprintf(text, sizeof text, "FAILED");
    else if (!f.runs) snprintf(text, sizeof text, "-");
    else snprintf(text, sizeof text, "%s%s%s%s", number,
                  figure_weaker(cell) ? "*" : "",
                  f.foreign > FOREIGN_MAX ? "!" : "", spread);
    printf(" %*s", CELL_WIDTH, text);
}

static void print_ratios(const struct rivals *r, enum metric metric)
{
    char number[16];

    if (r->ratio_equal > 0)
        printf("  %.2f %s", r->ratio_equal, r->equal->engine->name);
    if (r->ratio_weaker > 0)
        printf("  %.2f %s*", r->ratio_weaker, r->weaker->engine->name);
    if (r->device) {
        print_number(number, sizeof number,
                     figure_of(r->device, metric).median);
        printf("  device %s", number);
    }
    if (r->ratio_device > 0) printf(": %.2f of it", r->ratio_device);
    printf("\n");
}

static void print_metric(const struct bench *bench, const struct cell *cells,
                         enum metric metric)
{
    const struct metric_info *info = &metrics[metric];
    struct rivals r = figure_rivals(cells, bench->engine_count, metric);
    char label[64];

    snprintf(label, sizeof label, "  %s, %s", info->name,
             info->unit ? info->unit : cells->row->unit);
    printf("%-*s", LABEL_WIDTH, label);
    for (u32 i = 0; i < bench->engine_count; i++)
        if (has_column(bench->engines[i])) print_cell(&cells[i], metric);
    print_ratios(&r, metric);
}

static bool measured(const struct bench *bench, const struct cell *cells,
                     u32 metric)
{
    for (u32 i = 0; i < bench->engine_count; i++)
        if (figure_of(&cells[i], (enum metric)metric).runs) return true;
    return false;
}

static void print_row(const struct bench *bench, const struct cell *cells)
{
    const struct row *row = cells->row;

    printf("\n%s: %s\n", row->name, row->text);
    if (row->limited)
        printf("  memory limit %.0f MiB for %llu records\n",
               (double)run_memory(bench, row) / MIB,
               (unsigned long long)run_records(bench, row));
    for (u32 m = 0; m < METRIC_COUNT; m++)
        if (measured(bench, cells, m))
            print_metric(bench, cells, (enum metric)m);
    for (u32 i = 0; i < bench->engine_count; i++) {
        if (cells[i].failure[0])
            printf("  %s FAILED: %s\n", cells[i].engine->name,
                   cells[i].failure);
        else if (cells[i].cannot && run_takes_part(row, cells[i].engine))
            printf("  %s cannot: %s\n", cells[i].engine->name,
                   cells[i].cannot);
    }
}

static void print_engines(const struct bench *bench)
{
    char version[64];

    printf("\nEngines\n");
    for (u32 i = 0; i < bench->engine_count; i++) {
        const struct engine *e = bench->engines[i];
        e->version(version, sizeof version);
        printf("  %s %s\n    %s\n    async: %s; durable: %s\n", e->name,
               version, e->options, engine_rank_text(e->rank[MODE_ASYNC]),
               engine_rank_text(e->rank[MODE_DURABLE]));
        if (e->options_limited)
            printf("    within a memory limit: %s\n", e->options_limited);
    }
}

static void print_legend(const struct bench *bench)
{
    printf("\nMedians of up to %u runs, +- half the range.  Right: luge "
           "against the best peer,\nabove 1.00 is luge ahead.  * promises "
           "less than luge's LUGE_ASYNC, so it is compared\napart.  ! others "
           "used more than %.2f processors while half the samples ran\n"
           "(%u samples were taken again for that).  Equal work: the same "
           "keys, values and\norder for all; each value read is checked, each "
           "scan counted.\n\n%s; %llu records.\n", bench->reps, FOREIGN_MAX,
           bench->again, bench->machine, (unsigned long long)bench->records);
}

/* --------------------------------------------------------- targets -- */

struct seen {
    const char *group;                  /* of the line before */
    u32 met, missed;
};

static void print_verdict(void *context, const struct verdict *v)
{
    struct seen *seen = context;

    if (!seen->group || strcmp(seen->group, v->group))
        printf("  %s\n", v->group);
    seen->group = v->group;
    printf("    %-22s %-20s", v->row, v->metric);
    if (v->ratio <= 0) {
        printf(" not measured\n");
        return;
    }
    printf(" %6.2f of %.2f  %-7s against %s\n", v->ratio, v->least,
           v->ratio >= v->least ? "met" : "MISSED", v->against);
    if (v->ratio >= v->least) seen->met++;
    else seen->missed++;
}

static void print_targets(const struct bench *bench, const struct table *table)
{
    struct seen seen = {0};

    printf("\nTargets: luge against another figure, above 1 is luge ahead\n");
    target_each(bench, table, print_verdict, &seen);
    printf("  %u met, %u missed\n", seen.met, seen.missed);
}

void report_table(const struct bench *bench, const struct table *table)
{
    printf("%-*s", LABEL_WIDTH, "");
    for (u32 i = 0; i < bench->engine_count; i++)
        if (has_column(bench->engines[i]))
            printf(" %*s", CELL_WIDTH, bench->engines[i]->name);
    printf("\n");
    for (u32 i = 0; i < table->row_count; i++)
        print_row(bench, &table->cells[i * bench->engine_count]);
    print_targets(bench, table);
    print_engines(bench);
    print_legend(bench);
}

int report_failed(const struct bench *bench, const struct table *table)
{
    for (u32 i = 0; i < table->row_count * bench->engine_count; i++)
        if (table->cells[i].failure[0]) return 1;
    return 0;
}
