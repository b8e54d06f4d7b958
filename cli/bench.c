/* cli/bench.c -- the verb bench: how fast luge is here, in a few seconds.
 *
 *   B1  Every figure is of work whose result was looked at: a get that missed
 *       or a scan that lost a pair is an error, not a fast one.
 *   B2  Keys are 16 hex digits of a scrambled number, so order of insertion
 *       and order of keys have nothing to do with each other; values 100 bytes.
 *   B3  Nobody's tree is touched: ours has a mark in it, from its first commit.
 * Not here: comparisons with other databases (bench/, luge-bench).
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli.h"

enum {
    VALUE_BYTES = 100,
    BATCH = 10000,            /* records of one transaction of the load */
    RECORDS_DEFAULT = 100000, /* a few seconds with a slow device */
    ASYNC_MAX = 20000,        /* commits: enough for a steady figure */
    DURABLE_MAX = 500,        /* syncs cost milliseconds on a disk */
    IDS_EACH = 10,            /* ids for each record */
};

struct bench {
    struct call *call;
    luge_tree tree;
    uint64_t records;
};

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A bijection of 64-bit numbers (the finaliser of SplitMix64), as text. */
static luge_bytes bench_key(uint64_t n, char text[17])
{
    n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
    snprintf(text, 17, "%016" PRIx64, n ^ (n >> 31));
    return luge_bytes_of(text, 16);
}

static int bench_put(struct bench *b, luge_txn *txn, uint64_t n)
{
    char key[17], value[VALUE_BYTES];

    memset(value, 'a' + (int)(n % 26), sizeof(value));
    return luge_put(txn, b->tree, bench_key(n, key),
                    luge_bytes_of(value, sizeof(value)));
}

/* ----------------------------------------------------------- workloads -- */

static int load(struct bench *b, uint64_t count)
{
    int rc = 0;

    for (uint64_t n = 0; !rc && n < count;) {
        luge_txn *txn;
        rc = luge_begin(b->call->db, LUGE_TURN | LUGE_TXN_ASYNC, &txn);
        if (rc) return rc;
        uint64_t end = n + BATCH < count ? n + BATCH : count;
        for (; !rc && n < end; n++) rc = bench_put(b, txn, n);
        if (rc)
            luge_abort(txn);
        else
            rc = luge_commit(txn);
    }
    return rc;
}

static int point_reads(struct bench *b, uint64_t count)
{
    luge_txn *txn;
    uint64_t pick = 1;
    int rc = luge_begin(b->call->db, LUGE_READ, &txn);

    if (rc) return rc;
    for (uint64_t n = 0; !rc && n < count; n++) {
        char key[17];
        luge_bytes value;
        pick = pick * UINT64_C(6364136223846793005) + 1442695040888963407;
        rc = luge_get(txn, b->tree,
                      bench_key((pick >> 16) % b->records, key), &value);
        if (!rc && value.size != VALUE_BYTES) rc = LUGE_CORRUPT;
    }
    luge_abort(txn);
    return rc;
}

static int full_scan(struct bench *b, uint64_t count)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    luge_txn *txn;
    uint64_t seen = 0;
    int rc = luge_begin(b->call->db, LUGE_READ, &txn);

    if (rc) return rc;
    rc = luge_cursor_open(txn, b->tree, &cursor);
    while (!rc && (rc = luge_cursor_next(cursor, &key, &value)) == 0)
        seen += value.size == VALUE_BYTES;
    if (rc == LUGE_NOTFOUND) rc = seen == count ? 0 : LUGE_CORRUPT;
    luge_abort(txn);
    return rc;
}

/* COUNT transactions of one put each. */
static int commits(struct bench *b, uint64_t count, unsigned flags)
{
    int rc = 0;

    for (uint64_t n = 0; !rc && n < count; n++) {
        luge_txn *txn;
        rc = luge_begin(b->call->db, LUGE_WRITE | flags, &txn);
        if (rc) return rc;
        rc = bench_put(b, txn, n % b->records);
        if (rc)
            luge_abort(txn);
        else
            rc = luge_commit(txn);
    }
    return rc;
}

static int commits_async(struct bench *b, uint64_t count)
{
    return commits(b, count, LUGE_TXN_ASYNC);
}

static int commits_durable(struct bench *b, uint64_t count)
{
    return commits(b, count, LUGE_TXN_FULL);
}

static int ids(struct bench *b, uint64_t count)
{
    uint64_t id, last = 0;

    for (uint64_t n = 0; n < count; n++) {
        int rc = luge_next_id(b->call->db, &id);
        if (rc) return rc;
        if (id <= last) return LUGE_CORRUPT;
        last = id;
    }
    return 0;
}

/* --------------------------------------------------------------- table -- */

static void print_row(const struct call *c, const char *name, uint64_t count,
                      double seconds)
{
    double rate = (double)count / (seconds > 0 ? seconds : 1e-9);

    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:s, s:o, s:f, s:f}", "work", name, "count",
                             json_of_count(count), "seconds", seconds,
                             "per_second", rate));
    else
        printf("%-16s %12" PRIu64 " %10.3f %14.0f %12.3f\n", name, count,
               seconds, rate, 1e6 / rate);
    fflush(stdout);
}

static uint64_t at_most(uint64_t n, uint64_t most)
{
    return n < most ? n : most;
}

static int bench_rows(struct bench *b)
{
    const struct {
        const char *name;
        int (*run)(struct bench *, uint64_t count);
        uint64_t count;
    } rows[] = {
        {"load", load, b->records},
        {"get", point_reads, b->records},
        {"scan", full_scan, b->records},
        {"commit async", commits_async, at_most(b->records, ASYNC_MAX)},
        {"commit durable", commits_durable, at_most(b->records, DURABLE_MAX)},
        {"id", ids, b->records * IDS_EACH},
    };

    if (!call_has(b->call, OPTION_JSON))
        printf("%-16s %12s %10s %14s %12s\n", "work", "count", "seconds",
               "per second", "us each");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double start = seconds_now();
        int rc = rows[i].run(b, rows[i].count);
        if (rc) return rc;
        print_row(b->call, rows[i].name, rows[i].count, seconds_now() - start);
    }
    return 0;
}

/* ---------------------------------------------------------------- verb -- */

/* An empty tree.  One that a killed bench left behind has its mark and may be
 * emptied; one that has no mark is somebody's: EXISTS (B3). */
static int tree_make(luge_txn *txn, void *bench)
{
    struct bench *b = bench;
    luge_bytes name = luge_str("luge-bench"), mark = luge_str("luge-bench");
    luge_bytes value;
    int rc = luge_tree_open(txn, name, 0, &b->tree);

    if (!rc) {
        rc = luge_get(txn, b->tree, mark, &value);
        if (rc) return rc == LUGE_NOTFOUND ? LUGE_EXISTS : rc;
        rc = luge_tree_clear(txn, b->tree);
    } else if (rc == LUGE_NOTFOUND) {
        rc = luge_tree_open(txn, name, LUGE_TREE_CREATE, &b->tree);
    }
    return rc ? rc : luge_put(txn, b->tree, mark, mark);
}

static int tree_drop(luge_txn *txn, void *bench)
{
    struct bench *b = bench;

    return luge_tree_drop(txn, b->tree);
}

int verb_bench(struct call *c)
{
    struct bench b = {.call = c};
    int rc, dropped, code;

    code = call_number(c, OPTION_RECORDS, RECORDS_DEFAULT, &b.records);
    if (code) return code;
    if (b.records < 1 || b.records > UINT64_C(1000000000))
        return say_usage(c->verb, "--records is 1 to 1000000000");
    code = call_open(c, c->count ? 0 : LUGE_TEMPORARY);
    if (code) return code;
    rc = luge_transact(c->db, 0, tree_make, &b);
    if (rc == LUGE_EXISTS) {
        fputs("luge: EXISTS: there is a tree luge-bench, not made by bench\n",
              stderr);
        return EXIT_ERROR;
    }
    if (rc) return say_error(rc);
    rc = bench_rows(&b);
    if (rc) say_error(rc);
    dropped = luge_transact(c->db, 0, tree_drop, &b);
    if (dropped) say_error(dropped);
    return rc || dropped ? EXIT_ERROR : EXIT_DONE;
}
