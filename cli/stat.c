/* cli/stat.c -- the verbs of monitors: stat health. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/statvfs.h>

#include "cli.h"
#include "luge_feed.h"
#include "luge_monitor.h"

/* ---------------------------------------------------------------- stat -- */

/* The figures in the order in which they are shown. */
#define STATS(X)                                                              \
    X(seq_committed) X(seq_durable) X(seq_shown) X(seq_published)             \
    X(seq_checkpoint)                                                         \
    X(trees) X(processes) X(readers) X(reader_oldest_seq)                     \
    X(page_bytes) X(pages_total) X(pages_free) X(pages_pending)               \
    X(file_bytes) X(log_bytes) X(log_since_checkpoint_bytes)                  \
    X(private_bytes)                                                          \
    X(commits) X(commits_blind) X(commits_per_second) X(conflicts)            \
    X(syncs) X(checkpoints) X(takeovers) X(watches)                           \
    X(open_us) X(recovery_scan_us) X(recovery_replay_us) X(recovery_sync_us)  \
    X(recovery_records) X(recovery_bytes)

#define TREE_STATS(X)                                                         \
    X(count) X(depth) X(leaf_pages) X(branch_pages) X(extent_pages)           \
    X(key_bytes) X(value_bytes)

struct figure {
    const char *name;
    uint64_t value;
};

/* OBJECT NULL: as lines on stdout. */
static void add_figures(json_t *object, const struct figure *figures,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (object)
            json_object_set_new(object, figures[i].name,
                                json_of_count(figures[i].value));
        else
            printf("%-28s %llu\n", figures[i].name,
                   (unsigned long long)figures[i].value);
    }
}

/* Into OBJECT, or as lines on stdout.  It walks the tree. */
static int add_tree_figures(const struct call *c, luge_tree tree,
                            json_t *object)
{
    struct luge_tree_stats stats;
    struct luge_stats db;
    int rc = luge_tree_stat(c->txn, tree, &stats);

    if (!rc) rc = luge_stat(c->db, &db);
    if (rc) return rc;
    uint64_t room = stats.leaf_pages * db.page_bytes;
    uint64_t held = stats.key_bytes + stats.value_bytes;
    struct figure figures[] = {
#define X(name) {#name, stats.name},
        TREE_STATS(X)
#undef X
        /* large values lie in extents of their own */
        {"fill_percent", stats.extent_pages || !room ? 0 : held * 100 / room},
    };
    add_figures(object, figures, sizeof(figures) / sizeof(figures[0]));
    return 0;
}

static int stat_tree(const struct call *c, luge_tree tree)
{
    json_t *object = call_has(c, OPTION_JSON) ? json_object() : NULL;
    int rc = add_tree_figures(c, tree, object);

    if (rc) return say_error(rc);
    if (object) print_json(object);
    return EXIT_DONE;
}

/* The upper bound of the bucket in which PART (0..1) of all lie. */
static uint64_t quantile(const uint64_t *buckets, double part)
{
    uint64_t total = 0, seen = 0;

    for (int i = 0; i < LUGE_HISTOGRAM; i++) total += buckets[i];
    for (int i = 0; i < LUGE_HISTOGRAM; i++) {
        seen += buckets[i];
        if (seen && (double)seen >= part * (double)total)
            return UINT64_C(1) << i;
    }
    return 0;
}

static json_t *json_of_buckets(const uint64_t *buckets)
{
    json_t *array = json_array();

    for (int i = 0; i < LUGE_HISTOGRAM; i++)
        json_array_append_new(array, json_of_count(buckets[i]));
    return array;
}

/* ---------------------------------------------------------------- pins -- */

static const char *pin_name(int kind)
{
    switch (kind) {
    case LUGE_PIN_READER: return "reader";
    case LUGE_PIN_CHECKPOINT: return "checkpoint";
    case LUGE_PIN_WATCH: return "watch";
    default: return "other";
    }
}

static int add_pin(void *array, const struct luge_pin *pin)
{
    if (array)
        return json_array_append_new(
            array, json_pack("{s:s, s:o, s:o, s:o, s:o}", "kind",
                             pin_name(pin->kind), "process",
                             json_of_count(pin->process), "seq",
                             json_of_count(pin->seq), "age_ms",
                             json_of_count(pin->age_ms), "bytes",
                             json_of_count(pin->bytes)));
    printf("pin %-10s process %" PRIu32 " seq %" PRIu64 " age_ms %" PRIu64
           " bytes %" PRIu64 "\n", pin_name(pin->kind), pin->process,
           pin->seq, pin->age_ms, pin->bytes);
    return 0;
}

static int add_tree(const struct call *c, luge_bytes name, luge_tree tree,
                    json_t *array)
{
    json_t *object = array ? json_object() : NULL;
    uint64_t count;
    int rc = luge_tree_count(c->txn, tree, &count);

    if (object)
        json_object_set_new(object, "name", json_of_bytes(name));
    else
        fputs("tree ", stdout), print_bytes(name), putchar('\n');
    if (object) json_object_set_new(object, "count", json_of_count(count));
    if (!rc && call_has(c, OPTION_TREES))
        rc = add_tree_figures(c, tree, object);
    if (array) json_array_append_new(array, object);
    return rc;
}

/* ARRAY NULL: as lines on stdout. */
static int add_trees(struct call *c, json_t *array)
{
    luge_bytes name = {"", 0};
    luge_tree tree;
    int rc;

    rc = luge_begin(c->db, LUGE_READ, &c->txn);
    while (!rc && !(rc = luge_tree_after(c->txn, name, &name, &tree)))
        rc = add_tree(c, name, tree, array);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int stat_all(struct call *c, const struct luge_stats *stats)
{
    struct figure figures[] = {
#define X(name) {#name, stats->name},
        STATS(X)
#undef X
        {"sync_us_p50", quantile(stats->sync_us, 0.5)},
        {"sync_us_p99", quantile(stats->sync_us, 0.99)},
        {"group_commits_p50", quantile(stats->group_commits, 0.5)},
        {"group_commits_p99", quantile(stats->group_commits, 0.99)},
    };
    bool json = call_has(c, OPTION_JSON);
    json_t *object = json ? json_object() : NULL;
    json_t *pins = json ? json_array() : NULL;
    json_t *trees = json ? json_array() : NULL;
    int rc;

    add_figures(object, figures, sizeof(figures) / sizeof(figures[0]));
    rc = luge_pins(c->db, add_pin, pins);
    if (!rc && (json || call_has(c, OPTION_TREES))) rc = add_trees(c, trees);
    if (rc) return say_error(rc);
    if (!json) return EXIT_DONE;
    json_object_set_new(object, "sync_us_histogram",
                        json_of_buckets(stats->sync_us));
    json_object_set_new(object, "group_commits_histogram",
                        json_of_buckets(stats->group_commits));
    json_object_set_new(object, "pins", pins);
    json_object_set_new(object, "tree_list", trees);
    print_json(object);
    return EXIT_DONE;
}

int verb_stat(struct call *c)
{
    struct luge_stats stats;
    luge_tree tree;
    int rc, code = call_read(c, &tree);

    if (code) return code;
    if (call_has(c, OPTION_TREE)) return stat_tree(c, tree);
    luge_abort(c->txn); /* it would count as a reader */
    c->txn = NULL;
    rc = luge_stat(c->db, &stats);
    return rc ? say_error(rc) : stat_all(c, &stats);
}

/* -------------------------------------------------------------- health -- */

/* What a monitor should hear of.  The numbers are in the verb's help. */
enum { LOG_MIB_MAX = 1024, READER_MINUTES_MAX = 60, READER_PART = 4,
       DISK_MIB_MIN = 256, DISK_PART = 100, REASONS_MAX = 8 };

struct health {
    struct call *call;
    struct luge_stats stats;
    char reasons[REASONS_MAX][320];
    int count;
};

__attribute__((format(printf, 2, 3)))
static void unwell(struct health *h, const char *format, ...)
{
    va_list list;

    if (h->count == REASONS_MAX) return;
    va_start(list, format);
    vsnprintf(h->reasons[h->count++], sizeof(h->reasons[0]), format, list);
    va_end(list);
}

static int look_at_pin(void *context, const struct luge_pin *pin)
{
    struct health *h = context;

    if (pin->kind == LUGE_PIN_READER &&
        pin->age_ms > READER_MINUTES_MAX * UINT64_C(60000) &&
        pin->bytes > h->stats.file_bytes / READER_PART)
        unwell(h, "process %" PRIu32 " has read for %" PRIu64 " minutes and "
               "holds back %" PRIu64 " MiB", pin->process,
               pin->age_ms / 60000, pin->bytes >> 20);
    return 0;
}

static int look_at_consumers(struct health *h)
{
    struct luge_consumer c = {.name = {"", 0}};
    char name[LUGE_CONSUMER_NAME_MAX];
    luge_txn *txn;
    int rc = luge_begin(h->call->db, LUGE_READ, &txn);

    if (rc) return rc;
    while (!(rc = luge_consumer_after(txn, c.name, &c))) {
        if (c.expired)
            unwell(h, "consumer %.*s has expired", (int)c.name.size,
                   (const char *)c.name.data);
        memcpy(name, c.name.data, c.name.size);
        c.name.data = name;
    }
    luge_abort(txn);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static void look_at_disk(struct health *h)
{
    struct statvfs disk;

    if (statvfs(call_text(h->call, 0), &disk)) return;
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    uint64_t whole = (uint64_t)disk.f_blocks * disk.f_frsize;
    if (left < (uint64_t)DISK_MIB_MIN << 20 && left < whole / DISK_PART)
        unwell(h, "the disk has %" PRIu64 " MiB left", left >> 20);
}

static int look_at_all(struct health *h)
{
    int rc = luge_stat(h->call->db, &h->stats);

    if (!rc && h->stats.log_since_checkpoint_bytes >
                   (uint64_t)LOG_MIB_MAX << 20)
        unwell(h, "no checkpoint for %" PRIu64 " MiB of log",
               h->stats.log_since_checkpoint_bytes >> 20);
    if (!rc) rc = luge_pins(h->call->db, look_at_pin, h);
    if (!rc) rc = look_at_consumers(h);
    if (!rc) look_at_disk(h);
    return rc;
}

static void print_health(const struct health *h)
{
    json_t *reasons = json_array();

    if (call_has(h->call, OPTION_JSON)) {
        for (int i = 0; i < h->count; i++)
            json_array_append_new(reasons,
                                  json_of_bytes(luge_str(h->reasons[i])));
        print_json(json_pack("{s:b, s:O}", "healthy", h->count == 0,
                             "reasons", reasons));
    } else if (!h->count) {
        printf("healthy: %" PRIu64 " commits/s, %" PRIu32 " processes, %"
               PRIu32 " readers, %" PRIu64 " MiB\n",
               h->stats.commits_per_second, h->stats.processes,
               h->stats.readers,
               (h->stats.file_bytes + h->stats.log_bytes) >> 20);
    } else {
        fputs("unhealthy", stdout);
        for (int i = 0; i < h->count; i++) {
            fputs(i ? "; " : ": ", stdout);
            print_bytes(luge_str(h->reasons[i]));
        }
        putchar('\n');
    }
    json_decref(reasons);
}

/* That it fails is the answer "no"; that there is no database is an error. */
int verb_health(struct call *c)
{
    struct health h = {.call = c};
    struct luge_options how = {.flags = LUGE_READ_ONLY | LUGE_MUST_EXIST};
    int rc = luge_open(call_text(c, 0), &how, &c->db);

    if (rc == LUGE_NOTFOUND || rc == LUGE_NOTLUGE || rc == LUGE_PERMISSION)
        return say_error(rc);
    if (!rc) rc = look_at_all(&h);
    if (rc) unwell(&h, "%s", luge_last_error()->text);
    print_health(&h);
    return h.count ? EXIT_NO : EXIT_DONE;
}
