/* test/crash_alone.c -- a process that works as if it were alone, and dies.
 *
 *   crash_alone [--seed N] [--rounds N]
 *
 * Holds: the newest asynchronous commits of such a process are in shared memory
 * and in no file (txn/tail.c), so whatever happens to it,
 *   A1  every commit that answered is there when somebody opens next, whole and
 *       in order, and at most the one that was under way besides;
 *   A2  also if those who open next are killed while they recover;
 *   A3  a reader beside the writers in that process sees whole commits, and
 *       what it was shown stays, though commits change pages in place while
 *       nobody looks (txn/version.c);
 *   A4  somebody who joins sees what a snapshot may show, and a watch gets all
 *       that was committed behind the place it began at, once;
 *   A5  what threads that commit durably side by side were told is in the files
 *       alone: without the shared memory, as behind a power loss;
 *   A6  all of it but the watch's own place holds while others are attached who
 *       seldom look, so that it does not publish (txn/audience.c): what they
 *       find then is A4's, and what they commit stays.
 * Not here: many processes from the start (crash_storm), power cuts
 * (crash_sim).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "luge.h"
#include "luge_feed.h"
#include "support.h"

enum { KEYS = 50, LARGE_BYTES = 200000, THREADS = 8 };
#define WAIT_NS 30000000000u    /* for first commits, on a busy machine */

static struct { uint64_t seed; unsigned rounds; } setting = {1, 40};

/* What the worker has been told, in memory that outlives it. */
static struct told {
    _Atomic uint64_t begun, done;   /* commits */
    _Atomic uint64_t watched;       /* changes that the worker's watch gave */
    _Atomic uint64_t durable[THREADS];      /* commits of each thread */
    _Atomic uint64_t unpublished;   /* most commits, beside others */
    _Atomic uint64_t kept_out;      /* while the worker was stopped */
    _Atomic uint64_t looks, marks;  /* of onlookers */
} *told;

static struct luge_options options(void)
{
    return (struct luge_options){
        .durability = LUGE_ASYNC, .checkpoint_bytes = 1 << 20,
        .log_keep_bytes = 256 << 10,
        .sync_interval_ms = 1 + (uint32_t)(setting.seed % 3) * 5000,
    };
}

/* Commit N is its number under "last" and a pattern under one of KEYS. */
static size_t value_of(uint64_t n, uint8_t *value)
{
    struct dice d = dice_of(n, 77);
    size_t size = dice_below(&d, 300);
    if (dice_chance(&d, 2)) size = dice_below(&d, LARGE_BYTES);
    pattern_fill(value, size, n);
    return size;
}

static luge_bytes key_of(uint64_t n, char *space)
{
    sprintf(space, "key-%02u", (unsigned)(n % KEYS));
    return luge_str(space);
}

static int commit(luge_db *db, struct dice *d, uint64_t n)
{
    static uint8_t value[LARGE_BYTES];
    char space[32];
    luge_txn *txn;
    unsigned flags = dice_chance(d, 10) ? LUGE_TURN : LUGE_WRITE;
    if (dice_chance(d, 3)) flags |= LUGE_TXN_FULL;
    int rc = luge_begin(db, flags, &txn);
    if (rc) return rc;
    size_t size = value_of(n, value);
    rc = luge_put(txn, LUGE_MAIN, key_of(n, space),
                  luge_bytes_of(value, size));
    if (!rc) rc = luge_put(txn, LUGE_MAIN, luge_str("last"),
                           luge_bytes_of(&n, sizeof n));
    if (rc) {
        luge_abort(txn);
        return rc;
    }
    return luge_commit(txn);
}

static int drain(luge_watch *watch)
{
    const struct luge_change_set *set;
    int rc;
    while (!(rc = luge_watch_next(watch, 0, &set)))
        for (size_t i = 0; i < set->count; i++)
            told->watched += set->changes[i].key.size == 4;
    return rc == LUGE_TIMEOUT ? 0 : rc;
}

/* A watch, now and then, in the worker itself: it must not miss the tail. */
static int watch_some(luge_db *db, struct dice *d, luge_watch **watch,
                      uint64_t *from, uint64_t done)
{
    struct luge_watch_options o = {.from = LUGE_FROM_NOW,
                                   .flags = LUGE_WATCH_COMMITTED};
    if (!*watch) {
        if (!dice_chance(d, 1)) return 0;
        *from = done;
        told->watched = 0;
        return luge_watch_open(db, &o, watch);
    }
    if (!dice_chance(d, 5)) return 0;
    int rc = drain(*watch);
    if (rc) return rc;
    if (told->watched != done - *from) {
        fprintf(stderr, "the watch gave %llu commits of %llu\n",
                (unsigned long long)told->watched,
                (unsigned long long)(done - *from));
        return 1;
    }
    luge_watch_close(*watch);
    *watch = NULL;
    return 0;
}

/* --------------------------------------------- beside it, in its process -- */

static void fail_beside(const char *what, uint64_t n)
{
    fprintf(stderr, "beside the worker: %s, commit %llu: %s\n", what,
            (unsigned long long)n, luge_last_error()->text);
    _exit(2);
}

static void look_once(luge_db *db, struct dice *d)
{
    static uint8_t expected[LARGE_BYTES];
    char space[32];
    luge_txn *txn;
    luge_bytes value;
    uint64_t last = 0;
    if (luge_begin(db, LUGE_READ, &txn)) fail_beside("no snapshot", 0);
    if (!luge_get(txn, LUGE_MAIN, luge_str("last"), &value))
        memcpy(&last, value.data, sizeof last);
    if (last) {
        size_t size = value_of(last, expected);
        if (luge_get(txn, LUGE_MAIN, key_of(last, space), &value))
            fail_beside("the value is gone", last);
        if (dice_chance(d, 20)) nap_us(dice_below(d, 300));
        if (value.size != size || memcmp(value.data, expected, size))
            fail_beside("another value", last);
    }
    luge_abort(txn);
}

static void *look(void *db)
{
    struct dice d = dice_of(setting.seed, 5);
    for (;;) {
        look_once(db, &d);
        if (dice_chance(&d, 30)) nap_us(dice_below(&d, 500));
    }
    return NULL;
}

static void *write_aside(void *db)
{
    struct dice d = dice_of(setting.seed, 6);
    for (uint32_t n = 0;; n++) {
        uint32_t key = dice_below(&d, 500);
        struct luge_op op = {n % 7 ? LUGE_OP_PUT : LUGE_OP_DEL, LUGE_MAIN,
                             luge_bytes_of(&key, 3),  /* "last" has 4 */
                             luge_bytes_of(&n, sizeof n)};
        if (luge_apply(db, 0, &op, 1)) fail_beside("no commit", n);
        if (dice_chance(&d, 10)) nap_us(dice_below(&d, 500));
    }
    return NULL;
}

static int go_beside(luge_db *db, uint64_t seed)
{
    pthread_t thread;
    int rc = 0;
    if (seed & 1) rc = pthread_create(&thread, NULL, look, db);
    if (!rc && seed & 2) rc = pthread_create(&thread, NULL, write_aside, db);
    return rc;
}

static int note_unpublished(luge_db *db)
{
    struct luge_stats s;
    int rc = luge_stat(db, &s);
    if (rc) return rc;
    uint64_t behind = s.seq_committed - s.seq_published;
    if (s.processes > 1 && behind > told->unpublished)
        told->unpublished = behind;
    return 0;
}

/* Commit until killed. */
static int work(const char *path, uint64_t seed)
{
    struct luge_options o = options();
    struct dice d = dice_of(seed, 3);
    luge_watch *watch = NULL;
    luge_db *db;
    uint64_t from = 0;
    int rc = luge_open(path, &o, &db);
    if (!rc) rc = go_beside(db, seed);
    for (uint64_t n = told->done + 1; !rc; n++) {
        told->begun = n;
        do rc = commit(db, &d, n);
        while (rc == LUGE_CONFLICT);        /* it was stopped, and robbed */
        if (!rc) told->done = n;
        if (!rc && dice_chance(&d, 1)) rc = luge_sync(db);
        if (!rc && n % 16 == 0) rc = note_unpublished(db);
        if (!rc) rc = watch_some(db, &d, &watch, &from, n);
    }
    fprintf(stderr, "the worker: %d %s\n", rc, luge_last_error()->text);
    return 1;
}

static int only_open(const char *path, uint64_t seed)
{
    struct luge_options o = options();
    luge_db *db;
    (void)seed;
    if (luge_open(path, &o, &db)) return 1;
    return luge_close(db) != 0;
}

static pid_t start(int (*body)(const char *path, uint64_t seed),
                   const char *path, uint64_t seed)
{
    pid_t parent = getpid(), child = fork();
    assert_true(child >= 0);
    if (child) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(9);
    _exit(body(path, seed));
}

/* Its exit code, or 1000 + the signal. */
static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0) assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void good(int rc)
{
    if (rc) print_error("%s\n", luge_last_error()->text);
    assert_int_equal(rc, 0);
}

static uint64_t last_in(luge_txn *txn)
{
    luge_bytes value;
    uint64_t last = 0;
    int rc = luge_get(txn, LUGE_MAIN, luge_str("last"), &value);
    if (rc == LUGE_NOTFOUND) return 0;
    good(rc);
    memcpy(&last, value.data, sizeof last);
    return last;
}

/* The first of the commits before LAST that the content is not that behind, or
 * 0. */
static uint64_t difference(luge_txn *txn, uint64_t last)
{
    static uint8_t expected[LARGE_BYTES];
    uint64_t first = last > KEYS ? last - KEYS + 1 : 1;
    for (uint64_t n = first; n <= last; n++) {
        char space[32];
        luge_bytes value;
        size_t size = value_of(n, expected);
        if (luge_get(txn, LUGE_MAIN, key_of(n, space), &value) ||
            value.size != size || memcmp(value.data, expected, size))
            return n;
    }
    return 0;
}

static void compare(luge_txn *txn, uint64_t last)
{
    assert_int_equal(difference(txn, last), 0);
}

/* Open, and find all that was done, and BEYOND at most.  Returns the last. */
static uint64_t judge(const char *path, uint64_t done, uint64_t beyond)
{
    struct luge_options o = options();
    luge_db *db;
    luge_txn *txn;
    good(luge_open(path, &o, &db));
    good(luge_begin(db, LUGE_READ, &txn));
    uint64_t last = last_in(txn);
    if (last < done || last > beyond)
        print_error("the last commit is %llu: %llu answered, %llu begun\n",
                    (unsigned long long)last, (unsigned long long)done,
                    (unsigned long long)beyond);
    assert_true(last >= done && last <= beyond);
    compare(txn, last);
    luge_abort(txn);
    good(luge_check(db, NULL, NULL));
    good(luge_close(db));
    return last;
}

/* Beside the living worker: a snapshot has what was done before it began.
 * False: he is stopped at one of the few moments at which nobody may open. */
static bool join(const char *path, bool stopped)
{
    struct luge_options o = options();
    luge_db *db;
    luge_txn *txn;
    int rc = luge_open(path, &o, &db);
    if (rc == LUGE_BUSY && stopped) return false;
    good(rc);
    uint64_t done = told->done;
    good(luge_begin(db, LUGE_READ, &txn));
    uint64_t last = last_in(txn);
    assert_true(last >= done);
    compare(txn, last);
    luge_abort(txn);
    good(luge_close(db));
    return true;
}

/* On a busy machine who dies at a random moment may have done nothing yet, each
 * time: so half of them are let begin first. */
static void await_rise(_Atomic uint64_t *word, uint64_t from)
{
    for (int i = 0; i < 20000 && *word == from; i++) nap_us(1000);
}

static void round_of(const char *path, struct dice *d, uint64_t seed)
{
    told->begun = 0;
    uint64_t done = told->done;
    pid_t worker = start(work, path, seed);
    if (dice_chance(d, 50)) await_rise(&told->done, done);
    nap_us(dice_below(d, 40000));
    if (dice_chance(d, 30)) join(path, false);
    /* Whoever is stopped while he opens, or cuts the file's end, makes others
     * wait until he goes on. */
    if (dice_chance(d, 20) && told->begun > 0) {
        kill(worker, SIGSTOP);
        nap_us(dice_below(d, 3000));
        bool joined = join(path, true);
        kill(worker, SIGCONT);
        told->kept_out += !joined;
        if (!joined) join(path, false);
        nap_us(dice_below(d, 10000));
    }
    kill(worker, SIGKILL);
    assert_int_equal(wait_for(worker), 1000 + SIGKILL);  /* no failure */
    for (unsigned i = dice_below(d, 3); i > 0; i--) {
        pid_t opener = start(only_open, path, seed);
        nap_us(dice_below(d, 4000));
        kill(opener, SIGKILL);
        int how = wait_for(opener);
        assert_true(how == 0 || how == 1000 + SIGKILL);
    }
    uint64_t begun = told->begun > told->done ? told->begun : told->done;
    told->done = judge(path, told->done, begun);
}

static void test_alone(void **state)
{
    char *base = scratch_make(SCRATCH_FAST), path[600];
    struct dice d = dice_of(setting.seed, 1);
    (void)state;
    snprintf(path, sizeof path, "%s/db", base);
    memset(told, 0, sizeof *told);
    for (unsigned i = 0; i < setting.rounds; i++)
        round_of(path, &d, setting.seed << 20 | i);
    printf("crash_alone: %u rounds, %llu commits\n", setting.rounds,
           (unsigned long long)told->done);
#ifdef __SANITIZE_THREAD__
    assert_true(told->done > setting.rounds / 4);       /* it is slow */
#else
    assert_true(told->done > setting.rounds);
#endif
    assert_true(told->kept_out <= 1 + setting.rounds / 20);
    scratch_remove(base);
}

/* ------------------------------------------------ others, who look on -- */

static uint64_t number_at(luge_txn *txn, luge_bytes key)
{
    luge_bytes value;
    uint64_t number = 0;
    if (!luge_get(txn, LUGE_MAIN, key, &value))
        memcpy(&number, value.data, sizeof number);
    return number;
}

/* A snapshot has all that was done before it, and keeps it. */
static void look_on(luge_db *db, struct dice *d)
{
    uint64_t done = told->done, marks = told->marks;
    luge_txn *txn;
    if (luge_begin(db, LUGE_READ, &txn)) fail_beside("no snapshot", done);
    uint64_t last = number_at(txn, luge_str("last"));
    if (last < done) fail_beside("a commit is missing", done);
    if (number_at(txn, luge_str("an onlooker")) < marks)
        fail_beside("an onlooker's commit is missing", marks);
    uint64_t n = difference(txn, last);
    if (dice_chance(d, 30)) nap_us(dice_below(d, 5000));
    if (!n) n = difference(txn, last);
    if (n) fail_beside("another value", n);
    luge_abort(txn);
    told->looks++;
}

static void leave_mark(luge_db *db)
{
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_TURN, &txn);
    if (rc) fail_beside("no turn", 0);
    uint64_t n = number_at(txn, luge_str("an onlooker")) + 1;
    rc = luge_put(txn, LUGE_MAIN, luge_str("an onlooker"),
                  luge_bytes_of(&n, sizeof n));
    if (rc) fail_beside("no mark", n);
    rc = luge_commit(txn);
    if (rc && rc != LUGE_CONFLICT) fail_beside("no mark", n);
    if (!rc && told->marks < n) told->marks = n;
}

/* Attached, and mostly asleep. */
_Noreturn static int onlooker(const char *path, uint64_t seed)
{
    struct luge_options o = options();
    struct dice d = dice_of(seed, 8);
    luge_db *db;
    if (luge_open(path, &o, &db)) fail_beside("no onlooker", 0);
    for (;;) {
        nap_us(dice_below(&d, dice_chance(&d, 70) ? 20000 : 500));
        if (dice_chance(&d, 20)) leave_mark(db);
        else if (dice_chance(&d, 10) && luge_checkpoint(db))
            fail_beside("no checkpoint", 0);
        else look_on(db, &d);
    }
}

static void round_beside(const char *path, struct dice *d, uint64_t seed)
{
    pid_t others[2];
    unsigned count = 1 + dice_chance(d, 30);
    uint64_t done = told->done, looks = told->looks;
    told->begun = 0;
    for (unsigned i = 0; i < count; i++)
        others[i] = start(onlooker, path, seed + i);
    pid_t worker = start(work, path, seed);
    if (dice_chance(d, 50)) {
        await_rise(&told->done, done);
        await_rise(&told->looks, looks);
    }
    nap_us(dice_below(d, 80000));
    if (dice_chance(d, 20)) {               /* robbed, or only late */
        kill(worker, SIGSTOP);
        nap_us(dice_below(d, 250000));
        kill(worker, SIGCONT);
        nap_us(dice_below(d, 20000));
    }
    kill(worker, SIGKILL);
    assert_int_equal(wait_for(worker), 1000 + SIGKILL);
    uint64_t begun = told->begun > told->done ? told->begun : told->done;
    nap_us(dice_below(d, 30000));           /* they look at what he left */
    for (unsigned i = 0; i < count; i++) {
        kill(others[i], SIGKILL);
        assert_int_equal(wait_for(others[i]), 1000 + SIGKILL);
    }
    told->done = judge(path, told->done, begun);
}

static void test_beside(void **state)
{
    char *base = scratch_make(SCRATCH_FAST), path[600];
    struct dice d = dice_of(setting.seed, 4);
    (void)state;
    snprintf(path, sizeof path, "%s/db", base);
    memset(told, 0, sizeof *told);
    for (unsigned i = 0; i < setting.rounds; i++)
        round_beside(path, &d, setting.seed << 20 | i);
    printf("crash_alone: %llu commits beside others, who looked %llu times "
           "and committed %llu; at most %llu were not published\n",
           (unsigned long long)told->done, (unsigned long long)told->looks,
           (unsigned long long)told->marks,
           (unsigned long long)told->unpublished);
    assert_true(told->looks > setting.rounds / 4);
    assert_true(told->unpublished > 1);
    scratch_remove(base);
}

/* ------------------------------------------- durable commits of threads -- */

static void *write_durably(void *db)
{
    static _Atomic uint32_t threads;
    uint32_t mine = threads++;
    for (uint64_t n = told->durable[mine] + 1;; n++) {
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN,
                             luge_bytes_of(&mine, sizeof mine),
                             luge_bytes_of(&n, sizeof n)};
        if (luge_apply(db, LUGE_TXN_FULL, &op, 1))
            fail_beside("no durable commit", n);
        told->durable[mine] = n;
    }
    return NULL;
}

static int work_durably(const char *path, uint64_t seed)
{
    struct luge_options o = options();
    pthread_t thread;
    luge_db *db;
    (void)seed;
    int rc = luge_open(path, &o, &db);
    for (int i = 1; i < THREADS && !rc; i++)
        rc = pthread_create(&thread, NULL, write_durably, db);
    if (!rc) write_durably(db);
    return 1;
}

static void judge_durable(const char *path)
{
    struct luge_options o = options();
    luge_db *db;
    luge_txn *txn;
    good(luge_open(path, &o, &db));
    good(luge_begin(db, LUGE_READ, &txn));
    for (uint32_t i = 0; i < THREADS; i++) {
        luge_bytes value;
        uint64_t n = 0;
        int rc = luge_get(txn, LUGE_MAIN, luge_bytes_of(&i, sizeof i), &value);
        if (rc != LUGE_NOTFOUND) good(rc);
        if (!rc) memcpy(&n, value.data, sizeof n);
        assert_in_range(n, told->durable[i], told->durable[i] + 1);
        told->durable[i] = n;
    }
    luge_abort(txn);
    good(luge_check(db, NULL, NULL));
    good(luge_close(db));
}

static uint64_t durable_commits(void)
{
    uint64_t commits = 0;
    for (uint32_t i = 0; i < THREADS; i++) commits += told->durable[i];
    return commits;
}

static void test_durable(void **state)
{
    char *base = scratch_make(SCRATCH_DISK), path[600], shm[620];
    struct dice d = dice_of(setting.seed, 2);
    (void)state;
    snprintf(path, sizeof path, "%s/db", base);
    snprintf(shm, sizeof shm, "%s/shm", path);
    memset(told, 0, sizeof *told);
    for (unsigned i = 0; i < setting.rounds; i++) {
        uint64_t before = durable_commits(), end = now_ns() + WAIT_NS;
        pid_t worker = start(work_durably, path, 0);
        while (durable_commits() < before + THREADS && now_ns() < end)
            nap_us(500);
        assert_true(durable_commits() > before);
        nap_us(dice_below(&d, 10000));
        kill(worker, SIGKILL);
        assert_int_equal(wait_for(worker), 1000 + SIGKILL);
        unlink(shm);
        judge_durable(path);
    }
    printf("crash_alone: %llu durable commits\n",
           (unsigned long long)durable_commits());
    scratch_remove(base);
}

int main(int argc, char **argv)
{
    const char *length = getenv("LUGE_TEST");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone),
                                       cmocka_unit_test(test_beside),
                                       cmocka_unit_test(test_durable)};
    if (length && !strcmp(length, "long")) setting.rounds = 2000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seed"))
            setting.seed = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--rounds"))
            setting.rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else
            die("usage: crash_alone [--seed N] [--rounds N]");
    }
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED) die("no shared memory");
    printf("crash_alone: seed %llu, %u rounds\n",
           (unsigned long long)setting.seed, setting.rounds);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
