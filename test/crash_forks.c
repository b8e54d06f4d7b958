/* test/crash_forks.c -- what forks, snapshots and differences cost.
 *
 *   crash_forks [--records N] [--forks N] [--snapshots N] [--disk]
 *
 * Holds: F1  a fork and a snapshot cost the same at a thousand records and at
 *            N: no page of the tree is read or written;
 *        F2  a fork with ten changes, wherever they are, adds a page or two,
 *            and with many of them the database still opens at once;
 *        F3  a difference reads what changed, however much there is;
 *        F4  when forks and snapshots go, in any order, the space comes back.
 * Bounds on pages are asserted, times are printed (and held against bounds that
 * only a wrong order of growth would miss: the machine may be busy).
 * Not here: whether the content is right (crash_lineage).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "luge_compact.h"
#include "luge_fork.h"
#include "support.h"

static struct {
    uint32_t records, forks, snapshots;
    enum scratch_where where;
} setting = {200000, 500, 400, SCRATCH_FAST};

static char *base, path[600];
static luge_db *db;

static void good(int rc, const char *what)
{
    if (rc) die("%s: %s", what, luge_last_error()->text);
}

static void must(bool holds, const char *what)
{
    if (!holds) die("not so: %s", what);
}

static double since(uint64_t start)
{
    return (double)(now_ns() - start) / 1000;
}

static void open_db(void)
{
    struct luge_options options = {.durability = LUGE_ASYNC};
    good(luge_open(path, &options, &db), "open");
}

static luge_bytes key_of(uint32_t i, char *space)
{
    return luge_bytes_of(space, (size_t)sprintf(space, "key-%09u", i));
}

static luge_txn *begin(unsigned flags)
{
    luge_txn *txn;
    good(luge_begin(db, flags, &txn), "begin");
    return txn;
}

static luge_tree tree_of(luge_txn *txn, const char *name)
{
    luge_tree tree;
    good(luge_tree_open(txn, luge_str(name), LUGE_TREE_CREATE, &tree), name);
    return tree;
}

static void put(luge_txn *txn, luge_tree tree, uint32_t i, uint32_t round)
{
    char key[32], value[40] = {0};
    snprintf(value, sizeof value, "value %u of round %u", i, round);
    good(luge_put(txn, tree, key_of(i, key), luge_bytes_of(value, 40)),
         "put");
}

static void fill(const char *name, uint32_t records)
{
    for (uint32_t i = 0; i < records;) {
        luge_txn *txn = begin(LUGE_TURN);
        luge_tree tree = tree_of(txn, name);
        for (uint32_t n = 0; n < 50000 && i < records; n++, i++)
            put(txn, tree, i, 0);
        good(luge_commit(txn), "commit");
    }
}

/* What one checkpoint releases the next one has joined and stored: each needs
 * something to write. */
static uint64_t pages_used(void)
{
    struct luge_stats s;
    for (uint32_t i = 0; i < 3; i++) {
        luge_txn *txn = begin(LUGE_WRITE);
        put(txn, tree_of(txn, "small"), i, i);
        good(luge_commit(txn), "commit");
        good(luge_checkpoint(db), "checkpoint");
    }
    good(luge_stat(db, &s), "stat");
    return s.pages_total - s.pages_free - s.pages_pending;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* ------------------------------------------------------------- F1: cost -- */

enum { ROUNDS = 200 };

/* Microseconds of a transaction that changes a key of the source and forks it,
 * and of the fork alone: the medians. */
static void cost(const char *from, bool snapshot, double *whole, double *alone)
{
    double all[ROUNDS], one[ROUNDS];
    for (uint32_t i = 0; i < ROUNDS; i++) {
        char name[40];
        uint64_t start = now_ns();
        luge_txn *txn = begin(LUGE_WRITE);
        put(txn, tree_of(txn, from), i % 1000, i + 1);
        good(luge_commit(txn), "commit");
        uint64_t then = now_ns();
        sprintf(name, "copy/%s/%u", from, i);
        txn = begin(LUGE_WRITE);
        good(snapshot ? luge_snapshot(txn, luge_str(from), luge_str(name))
                      : luge_fork(txn, luge_str(from), luge_str(name), NULL),
             "fork");
        good(luge_commit(txn), "commit");
        one[i] = since(then);
        all[i] = since(start);
    }
    qsort(all, ROUNDS, sizeof *all, by_value);
    qsort(one, ROUNDS, sizeof *one, by_value);
    *whole = all[ROUNDS / 2];
    *alone = one[ROUNDS / 2];
}

static void costs(void)
{
    static const char *const trees[] = {"small", "large"};
    uint32_t records[] = {1000, setting.records};
    double alone[2][2];
    for (int s = 0; s < 2; s++)
        for (int t = 0; t < 2; t++) {
            double whole;
            cost(trees[t], s, &whole, &alone[s][t]);
            printf("%s of %u records: %.1f us, %.1f with a put before it\n",
                   s ? "snapshot" : "fork", records[t], alone[s][t], whole);
        }
    must(alone[0][1] < 5 * alone[0][0] + 200, "F1, fork");
    must(alone[1][1] < 5 * alone[1][0] + 200, "F1, snapshot");
}

static int drop_copies(luge_txn *txn, void *context)
{
    struct luge_snapshot_info info;
    (void)context;
    int rc = luge_drop_path(txn, luge_str("copy"), NULL);
    while (!rc && !luge_snapshot_after(txn, luge_str(""), &info)) {
        char name[512];
        memcpy(name, info.name.data, info.name.size);
        rc = luge_snapshot_drop(txn, luge_bytes_of(name, info.name.size));
    }
    return rc;
}

static void drop_all_copies(const char *what, uint64_t before)
{
    uint64_t start = now_ns();
    good(luge_transact(db, 0, drop_copies, NULL), "drop");
    double us = since(start);
    uint64_t after = pages_used();
    printf("%s dropped in %.1f ms; pages before %llu, after %llu\n", what,
           us / 1000, (unsigned long long)before, (unsigned long long)after);
    must(after <= before + before / 50 + 20, "F4");
    good(luge_check(db, NULL, NULL), "check");
}

/* ------------------------------------------------------------ F2: forks -- */

/* With four keys a node, a patch is full before ten changes. */
#ifdef LUGE_HARD
enum { PAGES_MAX = 120 };
#else
enum { PAGES_MAX = 4 };
#endif

static void many_forks(bool adjacent)
{
    struct dice d = dice_of(7, adjacent);
    uint64_t before = pages_used(), start = now_ns();
    for (uint32_t i = 0; i < setting.forks; i++) {
        char name[40];
        luge_txn *txn = begin(LUGE_WRITE);
        sprintf(name, "copy/%u", i);
        good(luge_fork(txn, luge_str("large"), luge_str(name), NULL), "fork");
        luge_tree tree = tree_of(txn, name);
        uint32_t from = dice_below(&d, setting.records - 10);
        for (uint32_t k = 0; k < 10; k++)
            put(txn, tree,
                adjacent ? from + k : dice_below(&d, setting.records), i);
        good(luge_commit(txn), "commit");
    }
    double us = since(start) / setting.forks;
    uint64_t after = pages_used();
    double each = (double)(after - before) / setting.forks;
    good(luge_close(db), "close");
    start = now_ns();
    open_db();
    double open_ms = since(start) / 1000;
    printf("%u forks with 10 %s changes each: %.2f pages and %.1f us a fork; "
           "opened in %.1f ms\n", setting.forks,
           adjacent ? "adjacent" : "random", each, us, open_ms);
    must(each < PAGES_MAX, "F2, pages");
    must(open_ms < 1000, "F2, open");
    start = now_ns();
    good(luge_check(db, NULL, NULL), "check");
    printf("  checked in %.1f ms\n", since(start) / 1000);
    drop_all_copies("  forks", before);
}

/* ------------------------------------------------------------- F3: diff -- */

static int count_key(void *context, luge_bytes key, const luge_bytes *before,
                     const luge_bytes *after)
{
    (void)key;
    (void)before;
    (void)after;
    ++*(uint32_t *)context;
    return 0;
}

static void diffs(void)
{
    struct dice d = dice_of(9, 9);
    uint32_t count = 0;
    double best = 1e9;
    luge_txn *txn = begin(LUGE_WRITE);
    good(luge_fork(txn, luge_str("large"), luge_str("copy/d"), NULL), "fork");
    luge_tree copy = tree_of(txn, "copy/d"), large = tree_of(txn, "large");
    for (int i = 0; i < 100; i++)
        put(txn, copy, dice_below(&d, setting.records), 77);
    good(luge_commit(txn), "commit");
    for (int i = 0; i < 5; i++) {
        txn = begin(LUGE_READ);
        uint64_t start = now_ns();
        count = 0;
        good(luge_diff(txn, large, copy, count_key, &count), "diff");
        double us = since(start);
        if (us < best) best = us;
        luge_abort(txn);
    }
    printf("difference of %u keys in %u records: %.2f ms\n", count,
           setting.records, best / 1000);
    must(count <= 100 && count > 90, "F3, count");
    must(best < 100000, "F3, time");
    struct luge_merge_result result;
    txn = begin(LUGE_WRITE);
    uint64_t start = now_ns();
    good(luge_merge(txn, copy, large, 0, NULL, &result), "merge");
    good(luge_commit(txn), "commit");
    printf("merge of them: %.2f ms\n", since(start) / 1000);
    must(result.changes == count && !result.conflicts, "F3, merge");
    drop_all_copies("  the fork", pages_used());
}

/* ------------------------------------------------------- F4: snapshots -- */

static uint64_t file_length(void)
{
    char file[700];
    snprintf(file, sizeof file, "%s/db", path);
    return file_size(file);
}

/* A database that changes, with a snapshot of everything each hour. */
static void year(void)
{
    struct dice d = dice_of(11, 11);
    uint32_t churn = setting.records / 200 + 1;
    uint64_t before = pages_used(), start = now_ns();
    for (uint32_t i = 0; i < setting.snapshots; i++) {
        char name[40];
        luge_txn *txn = begin(LUGE_WRITE);
        luge_tree tree = tree_of(txn, "churn");
        for (int k = 0; k < 20; k++)
            put(txn, tree, dice_below(&d, churn), i);
        sprintf(name, "hour-%05u", i);
        good(luge_snapshot(txn, luge_str(""), luge_str(name)), "snapshot");
        good(luge_commit(txn), "commit");
    }
    double us = since(start) / setting.snapshots;
    uint64_t after = pages_used();
    printf("%u snapshots of everything, 20 changes between two: %.2f pages "
           "and %.1f us each\n", setting.snapshots,
           (double)(after - before) / setting.snapshots, us);
    luge_txn *txn = begin(LUGE_READ);
    struct luge_snapshot_size size;
    start = now_ns();
    good(luge_snapshot_measure(txn, luge_str("hour-00100"), &size), "measure");
    printf("  the hundredth holds %llu records, %llu bytes alone (%.1f us)\n",
           (unsigned long long)size.records,
           (unsigned long long)size.unique_bytes, since(start));
    luge_abort(txn);
    good(luge_close(db), "close");
    start = now_ns();
    open_db();
    printf("  opened in %.1f ms\n", since(start) / 1000);
    start = now_ns();
    good(luge_check(db, NULL, NULL), "check");
    printf("  checked in %.1f ms\n", since(start) / 1000);
    txn = begin(LUGE_WRITE);
    good(luge_fork(txn, luge_str("small"), luge_str("copy/x"), NULL), "fork");
    good(luge_commit(txn), "commit");
    uint64_t with = file_length();
    drop_all_copies("  snapshots", before);
    struct luge_compacted done;
    start = now_ns();
    good(luge_compact(db, NULL, NULL, &done), "compact");
    printf("  the file had %llu bytes, and compacted in %.1f ms %llu\n",
           (unsigned long long)with, since(start) / 1000,
           (unsigned long long)file_length());
    must(file_length() <= (before + before / 50 + 200) * 4096, "F4, length");
}

/* ----------------------------------------------------------------- main -- */

static void parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        uint32_t number = (uint32_t)strtoul(value, NULL, 10);
        if (!strcmp(argv[i], "--disk")) {
            setting.where = SCRATCH_DISK;
            continue;
        }
        if (!strcmp(argv[i], "--records")) setting.records = number;
        else if (!strcmp(argv[i], "--forks")) setting.forks = number;
        else if (!strcmp(argv[i], "--snapshots")) setting.snapshots = number;
        else die("%s? see the head of crash_forks.c", argv[i]);
        i++;
    }
    if (setting.records < 1000 || setting.snapshots < 101)
        die("too few records or snapshots");
}

int main(int argc, char **argv)
{
    const char *length = getenv("LUGE_TEST");
    if (length && !strcmp(length, "long")) {
        setting.records = 10000000;
        setting.forks = 10000;
        setting.snapshots = 8760;
    } else if (length && !strcmp(length, "short")) {
        setting.records = 5000;
        setting.forks = 50;
        setting.snapshots = 110;
    }
    parse(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    base = scratch_make(setting.where);
    snprintf(path, sizeof path, "%s/db", base);
    open_db();
    fill("small", 1000);
    fill("churn", setting.records / 200 + 1);
    fill("large", setting.records);
    uint64_t before = pages_used();
    costs();
    drop_all_copies("copies", before);
    many_forks(true);
    many_forks(false);
    diffs();
    year();
    good(luge_close(db), "close");
    scratch_remove(base);
    return 0;
}
