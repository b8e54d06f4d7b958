/* bench/report_json.c -- the figures for programs.
 *
 * One object per row, engine and metric that was measured: workload, engine,
 * metric, unit, better, median, min, max, runs, options; luge's also carry the
 * ratios to its rivals.  A second file has the targets.  docs/bench.md lists
 * the fields.
 * Not here: the table for people (report.c). */
#include "report.h"

#include <jansson.h>
#include <stdio.h>

#include "figure.h"
#include "place.h"
#include "target.h"

static void set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value)) bench_fail("json: %s", name);
}

/* What was done and with which settings. */
static json_t *options_of(const struct bench *bench, const struct cell *cell)
{
    const struct row *row = cell->row;
    const struct engine *engine = cell->engine;
    json_t *o = json_object();
    char version[64];

    engine->version(version, sizeof version);
    set(o, "version", json_string(version));
    set(o, "settings", json_string(engine->options));
    set(o, "promise", json_string(engine_rank_text(engine->rank[row->mode])));
    set(o, "records", json_integer((json_int_t)run_records(bench, row)));
    set(o, "shape", json_string(row->shape->text));
    set(o, "key_bytes", json_integer(row->shape->key_size));
    set(o, "value_bytes", json_integer(row->shape->value_size));
    set(o, "threads", json_integer(row->threads));
    set(o, "processes", json_integer(row->processes));
    set(o, "window_seconds", json_real(run_seconds(bench, row)));
    if (!row->limited) return o;
    set(o, "memory_limit_bytes",
        json_integer((json_int_t)run_memory(bench, row)));
    set(o, "settings_limited", json_string(engine->options_limited));
    return o;
}

static json_t *cannot_of(const struct bench *bench, const struct cell *cells)
{
    json_t *o = json_object();

    for (u32 i = 0; i < bench->engine_count; i++)
        if (cells[i].cannot && run_takes_part(cells->row, cells[i].engine))
            set(o, cells[i].engine->name, json_string(cells[i].cannot));
    return o;
}

static void set_ratios(json_t *o, const struct bench *bench,
                       const struct cell *cells, enum metric metric)
{
    struct rivals r = figure_rivals(cells, bench->engine_count, metric);

    if (r.ratio_equal > 0) {
        set(o, "best_peer", json_string(r.equal->engine->name));
        set(o, "ratio_to_best_peer", json_real(r.ratio_equal));
    }
    if (r.ratio_weaker > 0) {
        set(o, "best_weaker_peer", json_string(r.weaker->engine->name));
        set(o, "ratio_to_best_weaker_peer", json_real(r.ratio_weaker));
    }
    if (r.ratio_device > 0)
        set(o, "ratio_to_device", json_real(r.ratio_device));
}

static json_t *object_of(const struct bench *bench, const struct cell *cells,
                         const struct cell *cell, enum metric metric)
{
    struct figure f = figure_of(cell, metric);
    const char *unit = metrics[metric].unit;
    json_t *o = json_object();

    set(o, "workload", json_string(cell->row->name));
    set(o, "engine", json_string(cell->engine->name));
    set(o, "metric", json_string(metrics[metric].name));
    set(o, "unit", json_string(unit ? unit : cell->row->unit));
    set(o, "better", json_string(metrics[metric].higher ? "higher" : "lower"));
    set(o, "median", json_real(f.median));
    set(o, "min", json_real(f.min));
    set(o, "max", json_real(f.max));
    set(o, "runs", json_integer(f.runs));
    set(o, "foreign_load", json_real(f.foreign));
    set(o, "text", json_string(cell->row->text));
    set(o, "options", options_of(bench, cell));
    set(o, "machine", json_string(bench->machine));
    if (strcmp(cell->engine->name, "luge")) return o;
    set_ratios(o, bench, cells, metric);
    set(o, "cannot", cannot_of(bench, cells));
    return o;
}

static void add_row(json_t *array, const struct bench *bench,
                    const struct cell *cells)
{
    for (u32 i = 0; i < bench->engine_count; i++)
        for (u32 m = 0; m < METRIC_COUNT; m++)
            if (figure_of(&cells[i], (enum metric)m).runs)
                json_array_append_new(array, object_of(bench, cells, &cells[i],
                                                       (enum metric)m));
}

/* Write ARRAY, which is gone afterwards. */
static int write_json(json_t *array, const char *path)
{
    int rc = json_dump_file(array, path,
                            JSON_INDENT(1) | JSON_REAL_PRECISION(6));

    json_decref(array);
    return rc ? bench_fail_errno("write", path) : 0;
}

int report_json(const struct bench *bench, const struct table *tables,
                u32 count)
{
    json_t *array = json_array();
    struct bench then = *bench;

    for (u32 t = 0; t < count; t++) {
        then.records = tables[t].records;
        for (u32 i = 0; i < tables[t].row_count; i++)
            add_row(array, &then, &tables[t].cells[i * bench->engine_count]);
    }
    return write_json(array, bench->json);
}

static void add_verdict(void *context, const struct verdict *v)
{
    json_t *o = json_object();

    set(o, "group", json_string(v->group));
    set(o, "workload", json_string(v->row));
    set(o, "metric", json_string(v->metric));
    set(o, "against", json_string(v->against));
    set(o, "ratio", v->ratio > 0 ? json_real(v->ratio) : json_null());
    set(o, "least", json_real(v->least));
    set(o, "met", v->ratio > 0 ? json_boolean(v->ratio >= v->least)
                               : json_null());
    json_array_append_new(context, o);
}

int report_targets(const struct bench *bench, const struct table *table)
{
    json_t *array = json_array();
    char path[PLACE_PATH_MAX];
    const char *slash = strrchr(bench->json, '/');

    snprintf(path, sizeof path, "%.*stargets.json",
             slash ? (int)(slash - bench->json) + 1 : 0, bench->json);
    target_each(bench, table, add_verdict, array);
    return write_json(array, path);
}
