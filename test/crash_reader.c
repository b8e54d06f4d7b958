/* test/crash_reader.c -- readers that hold their snapshot and do not let go.
 *
 *   crash_reader [--mib N] [--rounds N] [--peers]
 *
 * Holds: while somebody overwrites all of the data again and again,
 *   R1  one stuck reader keeps the file under 3 x the live data, and every
 *       further one costs at most one copy more;
 *   R2  its snapshot stays what it was, whether it is in this process or in
 *       another one, running or stopped;
 *   R3  when it dies by SIGKILL what it held comes back;
 *   R4  without readers the file stops growing.
 * --peers (and LUGE_TEST=long) does the same to LMDB, to show both side by
 * side; its library is looked for when the test runs.
 * Not here: what a snapshot sees among other writers (crash_twin, crash_storm).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "luge.h"
#include "support.h"

enum { VALUE_SIZE = 200, BATCH = 250 };

static struct { unsigned mib, rounds; bool peers; } setting = {4, 20, false};

/* A database in a directory of its own. */
struct house {
    char *base, path[600];
    luge_db *db;
    uint32_t count;               /* records */
    uint64_t live_bytes, round;
};

static void good(int rc)
{
    if (rc) print_error("%s\n", luge_last_error()->text);
    assert_int_equal(rc, 0);
}

static uint64_t record(uint32_t i, uint64_t round, char key[32],
                       char value[VALUE_SIZE])
{
    sprintf(key, "key-%08u", i);
    pattern_fill(value, VALUE_SIZE, round << 32 | i);
    return 12;
}

/* --------------------------------------------------------- the writer -- */

static void house_open(struct house *h)
{
    struct luge_options o = {.durability = LUGE_ASYNC,
                             .checkpoint_bytes = 8 << 20,
                             .log_keep_bytes = 1 << 20};
    good(luge_open(h->path, &o, &h->db));
}

static void write_some(struct house *h, const uint32_t *order, uint32_t count)
{
    luge_txn *txn;
    good(luge_begin(h->db, LUGE_WRITE, &txn));
    for (uint32_t i = 0; i < count; i++) {
        char key[32], value[VALUE_SIZE];
        uint64_t size = record(order[i], h->round, key, value);
        good(luge_put(txn, LUGE_MAIN, luge_bytes_of(key, size),
                      luge_bytes_of(value, VALUE_SIZE)));
    }
    good(luge_commit(txn));
}

/* Each record once: in order the first time, later in any. */
static void overwrite(struct house *h)
{
    struct dice d = dice_of(7, ++h->round);
    uint32_t *order = grab(h->count * sizeof *order);
    for (uint32_t i = 0; i < h->count; i++) order[i] = i;
    for (uint32_t i = h->count; i > 1 && h->round > 1; i--) {
        uint32_t j = dice_below(&d, i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    for (uint32_t at = 0; at < h->count; at += BATCH)
        write_some(h, order + at,
                   h->count - at < BATCH ? h->count - at : BATCH);
    free(order);
}

static void house_new(struct house *h)
{
    memset(h, 0, sizeof *h);
    h->base = scratch_make(SCRATCH_FAST);
    snprintf(h->path, sizeof h->path, "%s/db", h->base);
    h->count = (setting.mib << 20) / (VALUE_SIZE + 12);
    h->live_bytes = (uint64_t)h->count * (VALUE_SIZE + 12);
}

static void house_end(struct house *h)
{
    good(luge_check(h->db, NULL, NULL));
    good(luge_close(h->db));
    scratch_remove(h->base);
}

static uint64_t db_bytes(const struct house *h)
{
    char path[620];
    snprintf(path, sizeof path, "%s/db", h->path);
    return tree_size(path);  /* blocks: holes do not count */
}

/* With four keys a node most of each page is empty. */
#ifdef LUGE_HARD
#define ROOMY 6.5
#else
#define ROOMY 1.0
#endif

static double ratio(const struct house *h)
{
    good(luge_checkpoint(h->db));
    double r = (double)db_bytes(h) / (double)h->live_bytes / ROOMY;
    assert_true(r > 0.9);   /* or we looked at the wrong file */
    return r;
}

static uint32_t readers(struct house *h)
{
    struct luge_stats s;
    good(luge_stat(h->db, &s));
    return s.readers;
}

/* ---------------------------------------------------------- the reader -- */

/* The digest of all pairs; it may run in a child, which must not assert. */
static int digest_all(luge_txn *txn, uint64_t *sum)
{
    luge_cursor *c;
    luge_bytes key, value;
    int rc = luge_cursor_open(txn, LUGE_MAIN, &c);
    if (rc) return rc;
    *sum = 0;
    while (!(rc = luge_cursor_next(c, &key, &value)))
        *sum = digest(digest(*sum, key.data, key.size), value.data,
                      value.size);
    luge_cursor_close(c);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static uint64_t read_all(luge_txn *txn)
{
    uint64_t sum;
    good(digest_all(txn, &sum));
    return sum;
}

/* A process that opens a snapshot, says so, and reads it again when asked. */
struct reader { pid_t pid; int ask, answer; };

static void reader_live(const char *path, int ask, int answer)
{
    luge_db *db;
    luge_txn *txn;
    uint64_t sum, again;
    char c = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (luge_open(path, NULL, &db) || luge_begin(db, LUGE_READ, &txn))
        _exit(2);
    if (digest_all(txn, &sum)) _exit(5);
    do {
        char same = !digest_all(txn, &again) && again == sum;
        if (write(answer, &same, 1) != 1) _exit(3);
    } while (read(ask, &c, 1) == 1 && c);
    luge_abort(txn);
    _exit(luge_close(db) ? 4 : 0);
}

static bool reader_same(struct reader *r)
{
    char same = 0;
    assert_int_equal(read(r->answer, &same, 1), 1);
    return same;
}

/* The parent forks with the database open; the child must open it anew. */
static void reader_start(struct reader *r, const struct house *h)
{
    int down[2], up[2];
    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    fflush(NULL);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (!r->pid) {
        close(down[1]);
        close(up[0]);
        reader_live(h->path, down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    r->ask = down[1];
    r->answer = up[0];
    assert_true(reader_same(r));
}

static void reader_ask(struct reader *r, char what)
{
    assert_int_equal(write(r->ask, &what, 1), 1);
}

static int reader_end(struct reader *r)
{
    int status;
    waitpid(r->pid, &status, 0);
    close(r->ask);
    close(r->answer);
    return status;
}

static void reader_kill(struct reader *r)
{
    kill(r->pid, SIGKILL);
    assert_true(WIFSIGNALED(reader_end(r)));
}

/* --------------------------------------------------------------- cases -- */

static void begin_filled(struct house *h)
{
    house_new(h);
    house_open(h);
    overwrite(h);
    overwrite(h);
}

static void overwrite_rounds(struct house *h)
{
    for (unsigned i = 0; i < setting.rounds; i++) overwrite(h);
}

static void one_stuck_here(void **state)
{
    (void)state;
    struct house h;
    luge_txn *txn;
    begin_filled(&h);
    double before = ratio(&h);
    good(luge_begin(h.db, LUGE_READ, &txn));
    uint64_t sum = read_all(txn);
    overwrite_rounds(&h);
    double stuck = ratio(&h);
    assert_int_equal(read_all(txn), sum);
    luge_abort(txn);
    overwrite_rounds(&h);
    double after = ratio(&h);
    print_message("  luge: file / live: %.2f before, %.2f after %u x overwrite"
                  " under a reader, %.2f without it\n", before, stuck,
                  setting.rounds, after);
    assert_true(stuck < 3);                                       /* R1 */
    assert_true(after <= stuck + 0.25);                           /* R4 */
    house_end(&h);
}

static void one_stuck_elsewhere(void **state)
{
    (void)state;
    CHILD_WITH_THREADS();
    struct house h;
    struct reader r;
    begin_filled(&h);
    reader_start(&r, &h);
    overwrite_rounds(&h);
    double stuck = ratio(&h);
    reader_ask(&r, 1);
    assert_true(reader_same(&r));                                 /* R2 */
    assert_true(stuck < 3);
    reader_ask(&r, 0);
    assert_int_equal(reader_end(&r), 0);
    assert_int_equal(readers(&h), 0);
    house_end(&h);
}

static void one_stopped(void **state)
{
    (void)state;
    CHILD_WITH_THREADS();
    struct house h;
    struct reader r;
    begin_filled(&h);
    reader_start(&r, &h);
    kill(r.pid, SIGSTOP);
    overwrite_rounds(&h);
    double stuck = ratio(&h);
    kill(r.pid, SIGCONT);
    reader_ask(&r, 1);
    assert_true(reader_same(&r));
    assert_true(stuck < 3);
    reader_ask(&r, 0);
    assert_int_equal(reader_end(&r), 0);
    house_end(&h);
}

static void one_killed(void **state)
{
    (void)state;
    CHILD_WITH_THREADS();
    struct house h;
    struct reader r;
    begin_filled(&h);
    reader_start(&r, &h);
    overwrite_rounds(&h);
    double stuck = ratio(&h);
    reader_kill(&r);
    overwrite_rounds(&h);
    double after = ratio(&h);
    assert_true(stuck < 3);
    assert_true(after <= stuck + 0.25);                           /* R3 */
    assert_int_equal(readers(&h), 0);
    house_end(&h);
}

static void several_of_several_times(void **state)
{
    (void)state;
    CHILD_WITH_THREADS();
    enum { MANY = 4 };
    struct house h;
    struct reader r[MANY];
    begin_filled(&h);
    for (int i = 0; i < MANY; i++) {
        reader_start(&r[i], &h);
        overwrite(&h);
    }
    overwrite_rounds(&h);
    double stuck = ratio(&h);
    for (int i = 0; i < MANY; i++) {
        reader_ask(&r[i], 1);
        assert_true(reader_same(&r[i]));
    }
    print_message("  luge: file / live: %.2f with %d readers of %d versions\n",
                  stuck, MANY, MANY);
    /* One copy for each, and up to a quarter of the file may be free. */
    assert_true(stuck < (MANY + 1) / 0.75 + 0.5);
    for (int i = 0; i < MANY; i++) reader_kill(&r[i]);
    overwrite_rounds(&h);
    assert_true(ratio(&h) <= stuck + 0.25);
    assert_int_equal(readers(&h), 0);
    house_end(&h);
}

/* Dead readers in a row: their seats come back, and what they saw. */
static void many_killed(void **state)
{
    (void)state;
    CHILD_WITH_THREADS();
    struct house h;
    struct reader r;
    begin_filled(&h);
    for (unsigned i = 0; i < setting.rounds * 3; i++) {
        reader_start(&r, &h);
        if (i % 4 == 0) overwrite(&h);
        reader_kill(&r);
    }
    overwrite(&h);
    double after = ratio(&h);
    assert_true(after < 3);
    assert_int_equal(readers(&h), 0);
    house_end(&h);
}

/* Small transactions of all kinds over a fixed amount of data. */
static void churn(struct house *h, struct dice *d, luge_bytes big)
{
    luge_txn *txn;
    char key[32], value[VALUE_SIZE];
    good(luge_begin(h->db, LUGE_WRITE, &txn));
    for (uint32_t i = 1 + dice_below(d, 4); i; i--) {
        uint32_t n = dice_below(d, h->count);
        luge_bytes k = luge_bytes_of(key, record(n, dice_next(d), key, value));
        luge_bytes v = luge_bytes_of(value, dice_below(d, VALUE_SIZE));
        if (dice_chance(d, 2)) v = luge_bytes_of(big.data,
                                                 dice_below(d, 100000));
        if (dice_chance(d, 70)) good(luge_put(txn, LUGE_MAIN, k, v));
        else if (luge_del(txn, LUGE_MAIN, k) == LUGE_NOTFOUND) continue;
    }
    good(luge_commit(txn));
}

static void steady_state(void **state)
{
    (void)state;
    struct house h;
    struct dice d = dice_of(11, 0);
    unsigned quarter = 500 * setting.rounds;
    uint64_t sizes[4];
    void *big = grab(100000);
    pattern_fill(big, 100000, 1);
    house_new(&h);
    house_open(&h);
    h.count = 2000;
    for (int i = 0; i < 4; i++) {
        for (unsigned j = 0; j < quarter; j++)
            churn(&h, &d, luge_bytes_of(big, 100000));
        good(luge_checkpoint(h.db));
        sizes[i] = db_bytes(&h);
    }
    print_message("  luge: file after %u, %u, %u, %u transactions: %llu, %llu,"
                  " %llu, %llu KiB\n", quarter, quarter * 2, quarter * 3,
                  quarter * 4, (unsigned long long)sizes[0] / 1024,
                  (unsigned long long)sizes[1] / 1024,
                  (unsigned long long)sizes[2] / 1024,
                  (unsigned long long)sizes[3] / 1024);
    /* It shrinks and grows within a band, which does not rise. */
    uint64_t most = sizes[0] > sizes[1] ? sizes[0] : sizes[1];
    assert_true(sizes[2] <= most + most / 4 + (1 << 20));         /* R4 */
    assert_true(sizes[3] <= most + most / 4 + (1 << 20));         /* R4 */
    free(big);
    house_end(&h);
}

/* ---------------------------------------------------------------- LMDB -- */

/* What is used of lmdb.h; MDB_NOSYNC makes it as careless as our ASYNC. */
struct mdb_val { size_t size; void *data; };
struct peer {
    int (*env_create)(void **env);
    int (*env_set_mapsize)(void *env, size_t size);
    int (*env_open)(void *env, const char *path, unsigned flags, unsigned mode);
    void (*env_close)(void *env);
    int (*txn_begin)(void *env, void *parent, unsigned flags, void **txn);
    int (*txn_commit)(void *txn);
    void (*txn_abort)(void *txn);
    int (*dbi_open)(void *txn, const char *name, unsigned flags, unsigned *dbi);
    int (*put)(void *txn, unsigned dbi, struct mdb_val *key,
               struct mdb_val *value, unsigned flags);
    void *env;
    unsigned dbi;
};
enum { PEER_NOSYNC = 0x10000, PEER_RDONLY = 0x20000, PEER_NOTLS = 0x200000 };

static bool peer_find(struct peer *p)
{
    static const char *const names[] = {
        "mdb_env_create", "mdb_env_set_mapsize", "mdb_env_open",
        "mdb_env_close", "mdb_txn_begin", "mdb_txn_commit", "mdb_txn_abort",
        "mdb_dbi_open", "mdb_put"};
    void *library = dlopen("liblmdb.so.0", RTLD_NOW);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        void *symbol = library ? dlsym(library, names[i]) : NULL;
        if (!symbol) return false;
        memcpy((char *)p + i * sizeof symbol, &symbol, sizeof symbol);
    }
    return true;
}

static void peer_overwrite(struct peer *p, struct house *h)
{
    struct dice d = dice_of(7, ++h->round);
    for (uint32_t at = 0; at < h->count;) {
        void *txn;
        assert_int_equal(p->txn_begin(p->env, NULL, 0, &txn), 0);
        assert_int_equal(p->dbi_open(txn, NULL, 0, &p->dbi), 0);
        for (uint32_t i = 0; i < BATCH && at < h->count; i++, at++) {
            char key[32], value[VALUE_SIZE];
            uint32_t n = h->round > 1 ? dice_below(&d, h->count) : at;
            struct mdb_val k = {record(n, h->round, key, value), key};
            struct mdb_val v = {VALUE_SIZE, value};
            assert_int_equal(p->put(txn, p->dbi, &k, &v, 0), 0);
        }
        assert_int_equal(p->txn_commit(txn), 0);
    }
}

static void lmdb_beside(void **state)
{
    (void)state;
    struct house h;
    struct peer p;
    void *txn;
    char file[640];
    if (!setting.peers || !peer_find(&p)) {
        print_message("  LMDB: %s\n", setting.peers ? "its library is not here"
                                                    : "only with --peers");
        skip();
    }
    house_new(&h);
    if (h.count > 20000) h.count = 20000;   /* its file is 300 times that */
    h.live_bytes = (uint64_t)h.count * (VALUE_SIZE + 12);
    snprintf(file, sizeof file, "%s/data.mdb", h.base);
    assert_int_equal(p.env_create(&p.env), 0);
    assert_int_equal(p.env_set_mapsize(p.env, (size_t)16 << 30), 0);
    assert_int_equal(p.env_open(p.env, h.base, PEER_NOSYNC | PEER_NOTLS, 0600),
                     0);
    peer_overwrite(&p, &h);
    peer_overwrite(&p, &h);
    double before = (double)file_size(file) / (double)h.live_bytes;
    assert_int_equal(p.txn_begin(p.env, NULL, PEER_RDONLY, &txn), 0);
    for (unsigned i = 0; i < setting.rounds; i++) peer_overwrite(&p, &h);
    double stuck = (double)file_size(file) / (double)h.live_bytes;
    print_message("  LMDB: file / live: %.2f before, %.2f after %u x overwrite"
                  " under a reader\n", before, stuck, setting.rounds);
    assert_true(stuck > 3);   /* or the comparison above is not one */
    p.txn_abort(txn);
    p.env_close(p.env);
    scratch_remove(h.base);
}

/* ---------------------------------------------------------------- main -- */

static void parse(int argc, char **argv)
{
    uint64_t from, to;
    const char *length = getenv("LUGE_TEST");
    if (length && !strcmp(length, "short")) setting.mib = 1;
    if (length && !strcmp(length, "long")) setting.mib = 32;
    setting.peers = length && !strcmp(length, "long");
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *b = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(a, "--peers")) setting.peers = true;
        else if (!strcmp(a, "--mib"))
            parse_span(b, &from, &to), setting.mib = (unsigned)to, i++;
        else if (!strcmp(a, "--rounds"))
            parse_span(b, &from, &to), setting.rounds = (unsigned)to, i++;
        else die("usage: crash_reader [--mib N] [--rounds N] [--peers]");
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stuck_here),
        cmocka_unit_test(lmdb_beside),
        cmocka_unit_test(one_stuck_elsewhere),
        cmocka_unit_test(one_stopped),
        cmocka_unit_test(one_killed),
        cmocka_unit_test(several_of_several_times),
        cmocka_unit_test(many_killed),
        cmocka_unit_test(steady_state),
    };
    parse(argc, argv);
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
