/* bench/main.c -- luge-bench: luge and its peers, one clock, one run.
 *
 *   luge-bench [--only ROW]... [--engines LIST] [--records N] [--reps N]
 *              [--seconds S] [--minutes M] [--dir DIR] [--json FILE]
 *              [--grow SIZES] [--quick] [--list]
 *
 * Exit code: 0 done, 1 a sample failed (a wrong value counts), 2 wrong usage,
 * 3 the system was against it.
 * Not here: the rows (rows.c), the method (run.c, docs/bench.md). */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "grow.h"
#include "place.h"
#include "report.h"

enum choice { ONLY = 'o', ENGINES = 'e', RECORDS = 'n', REPS = 'r',
              SECONDS = 's', MINUTES = 'm', DIR = 'd', JSON = 'j',
              GROW = 'g', QUICK = 'q', LIST = 'l', HELP = 'h' };

static const struct option options[] = {
    {"only", required_argument, NULL, ONLY},
    {"engines", required_argument, NULL, ENGINES},
    {"records", required_argument, NULL, RECORDS},
    {"reps", required_argument, NULL, REPS},
    {"seconds", required_argument, NULL, SECONDS},
    {"minutes", required_argument, NULL, MINUTES},
    {"dir", required_argument, NULL, DIR},
    {"json", required_argument, NULL, JSON},
    {"grow", required_argument, NULL, GROW},
    {"quick", no_argument, NULL, QUICK},
    {"list", no_argument, NULL, LIST},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

#define DEFAULT_JSON "build/bench/results.json"
#define GROW_JSON "build/bench/grow.json"

static struct grow grow;                /* --grow: large, so not on the stack */

static const char usage[] =
    "luge-bench: luge and its peers, measured in one run\n"
    "  --only ROW      rows whose name begins so; may be given many times\n"
    "  --engines LIST  names with commas between; default: all there are\n"
    "  --records N     default 1000000\n"
    "  --reps N        samples of each cell; default 5\n"
    "  --seconds S     length of a timed window; default 0.5\n"
    "  --minutes M     begin no row again that would end later; default 55\n"
    "  --dir DIR       where databases are made; default build/bench/work\n"
    "  --json FILE     figures for programs; default build/bench/results.json\n"
    "  --grow SIZES    numbers of records with commas between: what each row\n"
    "                  costs at each; luge alone, the cheap rows, grow.json,\n"
    "                  unless --engines, --only, --json say otherwise\n"
    "  --quick         small and short: shows that all works, not how fast\n"
    "  --list          the rows and engines, and nothing else\n";

/* ------------------------------------------------------------ options -- */

static int take_engines(struct bench *bench, char *list)
{
    char *rest = NULL;

    bench->engine_count = 0;
    bench->engines_named = true;
    for (char *name = strtok_r(list, ",", &rest); name;
         name = strtok_r(NULL, ",", &rest)) {
        const struct engine *engine = engine_called(name);
        if (!engine) return bench_fail("there is no engine '%s'", name);
        if (bench->engine_count == ENGINES_MAX)
            return bench_fail("too many engines");
        bench->engines[bench->engine_count++] = engine;
    }
    return bench->engine_count ? 0 : bench_fail("no engine was named");
}

static int take_only(struct bench *bench, const char *name)
{
    if (bench->only_count == ONLY_MAX) return bench_fail("too many --only");
    bench->only[bench->only_count++] = name;
    for (size_t i = 0; i < rows_count; i++)
        if (!strncmp(rows[i].name, name, strlen(name))) return 0;
    return bench_fail("no row begins with '%s'; see --list", name);
}

/* TEXT as a number between LOW and HIGH. */
static int take_number(const char *text, double low, double high, double *to)
{
    char *end;

    *to = strtod(text, &end);
    if (end != text && !*end && *to >= low && *to <= high) return 0;
    return bench_fail("'%s' is not a number from %g to %g", text, low, high);
}

static void set_quick(struct bench *bench)
{
    u32 kept = 0;

    for (u32 i = 0; i < bench->engine_count; i++)
        if (!bench->engines[i]->slow_to_open)
            bench->engines[kept++] = bench->engines[i];
    bench->engine_count = kept;
    bench->quick = true;
    bench->records = 10000;
    bench->reps = 1;
    bench->seconds = 0.02;
}

static int set_growing(struct bench *bench, char *list)
{
    bench->growing = true;
    if (!bench->engines_named) {
        bench->engines[0] = engine_called("luge");
        bench->engine_count = 1;
    }
    if (!strcmp(bench->json, DEFAULT_JSON)) bench->json = GROW_JSON;
    return grow_sizes(&grow, list);
}

static int take_option(struct bench *bench, int which, char *text)
{
    double number = 0;
    int rc = 0;

    switch ((enum choice)which) {
    case ONLY: return take_only(bench, text);
    case ENGINES: return take_engines(bench, text);
    case RECORDS:
        rc = take_number(text, 1000, 1e9, &number);
        bench->records = (u64)number;
        return rc;
    case REPS:
        rc = take_number(text, 1, REPS_MAX, &number);
        bench->reps = (u32)number;
        return rc;
    case SECONDS: return take_number(text, 0.001, 60, &bench->seconds);
    case MINUTES: return take_number(text, 0, 1e6, &bench->minutes);
    case DIR: bench->dir = text; return 0;
    case JSON: bench->json = text; return 0;
    case GROW: return set_growing(bench, text);
    case QUICK: set_quick(bench); return 0;
    default: return bench_fail("see --help");
    }
}

/* --------------------------------------------------------------- list -- */

static int list(void)
{
    for (size_t i = 0; i < rows_count; i++)
        printf("%-20s %s; %s\n", rows[i].name, rows[i].text,
               rows[i].shape->text);
    printf("\nengines:");
    for (size_t i = 0; i < engines_count; i++)
        if (engines_all[i]) printf(" %s", engines_all[i]->name);
    printf("\n");
    return 0;
}

/* ---------------------------------------------------------------- run -- */

static void set_defaults(struct bench *bench)
{
    bench->records = 1000000;
    bench->reps = 5;
    bench->seconds = 0.5;
    bench->minutes = 55;
    bench->dir = "build/bench/work";
    bench->json = DEFAULT_JSON;
    for (size_t i = 0; i < engines_count; i++)
        if (engines_all[i])
            bench->engines[bench->engine_count++] = engines_all[i];
}

/* The directory of the JSON file, so that an hour's run is not lost for it. */
static int json_dir(const struct bench *bench)
{
    char dir[PLACE_PATH_MAX];
    char *slash;

    snprintf(dir, sizeof dir, "%s", bench->json);
    slash = strrchr(dir, '/');
    if (!slash) return 0;
    *slash = '\0';
    return place_make(dir);
}

static int complain(int code)
{
    fprintf(stderr, "luge-bench: %s\n", bench_text);
    return code;
}

static int share_sample(struct bench *bench)
{
    bench->shared = mmap(NULL, sizeof *bench->shared, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return bench->shared == MAP_FAILED
               ? bench_fail_errno("mmap", "the sample") : 0;
}

static int run_and_report(struct bench *bench)
{
    struct table table = {0};
    int code;

    if (run_all(bench, &table)) return complain(3);
    report_table(bench, &table);
    code = report_json(bench, &table, 1) || report_targets(bench, &table)
               ? complain(3) : report_failed(bench, &table);
    free(table.cells);
    return code;
}

/* All rows at one size, then at the next. */
static int grow_and_report(struct bench *bench)
{
    int failed = 0;

    for (u32 i = 0; i < grow.count; i++) {
        bench->records = grow.records[i];
        if (run_all(bench, &grow.tables[i])) return complain(3);
        failed |= report_failed(bench, &grow.tables[i]);
    }
    grow_report(bench, &grow);
    if (report_json(bench, grow.tables, grow.count)) return complain(3);
    for (u32 i = 0; i < grow.count; i++) free(grow.tables[i].cells);
    return failed;
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    int which;

    set_defaults(&bench);
    while ((which = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (which == LIST) return list();
        if (which == HELP) {
            fputs(usage, stdout);
            return 0;
        }
        if (take_option(&bench, which, optarg)) return complain(2);
    }
    if (optind < argc) {
        bench_fail("what is '%s'? see --help", argv[optind]);
        return complain(2);
    }
    if (json_dir(&bench) || share_sample(&bench)) return complain(3);
    bench.pool = pool_make();
    which = bench.growing ? grow_and_report(&bench) : run_and_report(&bench);
    free(bench.pool);
    return which;
}
