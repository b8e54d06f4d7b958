/* test/crash_blind.c -- commits that only write, among readers and deaths.
 *
 *   writers   put the next number under two keys of their own, in one batch,
 *             many times without anybody reading; now and then they read, or
 *             make a tree, put into it, and drop it
 *   readers   come now and then, and look at all of it; for half of the time
 *             they stay away
 * The parent kills one after the other, stops some for longer than the turn is
 * left to them, and sometimes kills all, so that the next one recovers.
 * Holds:
 *   whoever begins to read sees what was acknowledged before;
 *   the two keys of a writer are equal, and never go back;
 *   a writer who comes after one that was killed finds what that one was told,
 *   or the one batch that was under way;
 *   a put into a tree lands in it, or finds that it is gone;
 *   commits were blind indeed, and luge_check is content.
 * Not here: transactions in general (crash_storm.c, crash_twin.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge.h"
#include "support.h"

enum {
    WRITERS = 3, READERS = 2, WORKERS = WRITERS + READERS,
    KEYS = 500,             /* of a writer, beside the two that are judged */
    KILL_EVERY_MS = 30, STOP_PERCENT = 8, ALL_PERCENT = 4, STOP_MS = 150,
    AWAY_NS = 400000000,
    BLIND_MIN = 1000,       /* else it says nothing of them */
};

struct shared {
    _Atomic uint64_t tried[WRITERS], told[WRITERS];
    _Atomic bool away;
    _Atomic uint64_t looks, kills, stops, recoveries, commits, blind, trees;
};

struct crew {
    struct shared *shared;
    char *base, path[600];
    uint64_t seed, seconds, generation;
    pid_t pids[WORKERS];
};

static void fine(const struct crew *c, int rc, const char *what)
{
    if (rc) die("seed %llu: %s: %d (%s)", (unsigned long long)c->seed, what, rc,
                luge_last_error()->text);
}
#define FINE(call) fine(c, (call), #call)

static luge_bytes key_of(char *to, unsigned writer, const char *which)
{
    sprintf(to, "writer %u %s", writer, which);
    return luge_str(to);
}

static uint64_t number_in(const struct crew *c, luge_txn *txn, luge_tree tree,
                          luge_bytes key)
{
    luge_bytes value;
    uint64_t number;
    int rc = luge_get(txn, tree, key, &value);
    if (rc == LUGE_NOTFOUND) return 0;
    fine(c, rc, "luge_get");
    memcpy(&number, value.data, sizeof number);
    return number;
}

/* --------------------------------------------------------------- readers -- */

static void look(const struct crew *c, luge_db *db, uint64_t *last)
{
    uint64_t told[WRITERS];
    char one[40], two[40];
    luge_txn *txn;
    for (unsigned w = 0; w < WRITERS; w++)
        told[w] = atomic_load(&c->shared->told[w]);
    FINE(luge_begin(db, LUGE_READ, &txn));
    for (unsigned w = 0; w < WRITERS; w++) {
        uint64_t a = number_in(c, txn, LUGE_MAIN, key_of(one, w, "first"));
        uint64_t b = number_in(c, txn, LUGE_MAIN, key_of(two, w, "second"));
        if (a != b || a < told[w] || a < last[w])
            die("seed %llu: of writer %u a reader sees %llu and %llu; it was "
                "told %llu, and the reader saw %llu",
                (unsigned long long)c->seed, w, (unsigned long long)a,
                (unsigned long long)b, (unsigned long long)told[w],
                (unsigned long long)last[w]);
        last[w] = a;
    }
    luge_abort(txn);
    atomic_fetch_add(&c->shared->looks, 1);
}

static void reader(const struct crew *c, struct dice *d)
{
    uint64_t last[WRITERS] = {0};
    luge_db *db;
    FINE(luge_open(c->path, NULL, &db));
    for (;;) {
        while (atomic_load(&c->shared->away)) nap_us(1000);
        look(c, db, last);
        nap_us(dice_below(d, dice_chance(d, 80) ? 30000 : 300));
    }
}

/* --------------------------------------------------------------- writers -- */

struct write {
    const struct crew *c;
    unsigned writer;
    uint64_t number;
};

/* It reads first: so it is not blind. */
static int write_seeing(luge_txn *txn, void *context)
{
    const struct write *w = context;
    char one[40], two[40];
    luge_bytes first = key_of(one, w->writer, "first");
    luge_bytes second = key_of(two, w->writer, "second");
    luge_bytes value = luge_bytes_of(&w->number, sizeof w->number);
    if (number_in(w->c, txn, LUGE_MAIN, first) != w->number - 1)
        die("seed %llu: writer %u does not see its own %llu",
            (unsigned long long)w->c->seed, w->writer,
            (unsigned long long)w->number - 1);
    int rc = luge_put(txn, LUGE_MAIN, first, value);
    return rc ? rc : luge_put(txn, LUGE_MAIN, second, value);
}

static void write_next(const struct crew *c, luge_db *db, struct dice *d,
                       unsigned writer)
{
    struct shared *s = c->shared;
    struct write w = {c, writer, atomic_load(&s->told[writer]) + 1};
    char one[40], two[40], any[40], name[20];
    luge_bytes value = luge_bytes_of(&w.number, sizeof w.number);
    sprintf(name, "%u", dice_below(d, KEYS));
    struct luge_op ops[] = {
        {LUGE_OP_PUT, LUGE_MAIN, key_of(one, writer, "first"), value},
        {LUGE_OP_PUT, LUGE_MAIN, key_of(any, writer, name), value},
        {LUGE_OP_PUT, LUGE_MAIN, key_of(two, writer, "second"), value},
    };
    unsigned how = dice_chance(d, 2) ? LUGE_TXN_FULL : LUGE_TXN_ASYNC;
    atomic_store(&s->tried[writer], w.number);
    if (dice_below(d, 10000) == 0)
        FINE(luge_transact(db, how, write_seeing, &w));
    else FINE(luge_apply(db, how, ops, COUNT_OF(ops)));
    atomic_store(&s->told[writer], w.number);
}

static int make_tree(luge_txn *txn, void *context)
{
    luge_tree *tree = context;
    char name[40];
    sprintf(name, "tree of %d", (int)getpid());
    return luge_tree_open(txn, luge_str(name), LUGE_TREE_CREATE, tree);
}

static int drop_tree(luge_txn *txn, void *context)
{
    return luge_tree_drop(txn, *(luge_tree *)context);
}

/* What was just made is there for who only writes, and what was dropped not. */
static void try_tree(const struct crew *c, luge_db *db)
{
    struct luge_op op = {.kind = LUGE_OP_PUT, .key = luge_str("k"),
                         .value = luge_str("12345678")};
    luge_txn *txn;
    uint64_t count;
    FINE(luge_transact(db, LUGE_TXN_ASYNC, make_tree, &op.tree));
    for (int i = 0; i < 3; i++) FINE(luge_apply(db, LUGE_TXN_ASYNC, &op, 1));
    FINE(luge_begin(db, LUGE_READ, &txn));
    FINE(luge_tree_count(txn, op.tree, &count));
    luge_abort(txn);
    if (count != 1) die("seed %llu: a tree has %llu records, not 1",
                        (unsigned long long)c->seed,
                        (unsigned long long)count);
    FINE(luge_transact(db, LUGE_TXN_ASYNC, drop_tree, &op.tree));
    int rc = luge_apply(db, LUGE_TXN_ASYNC, &op, 1);
    if (rc != LUGE_NOTREE)
        die("seed %llu: a put into a tree that was dropped: %d",
            (unsigned long long)c->seed, rc);
    atomic_fetch_add(&c->shared->trees, 1);
}

static void count_blind(const struct crew *c, luge_db *db, uint64_t *commits,
                        uint64_t *blind)
{
    struct luge_stats s;
    FINE(luge_stat(db, &s));
    if (s.commits > *commits) {
        atomic_fetch_add(&c->shared->commits, s.commits - *commits);
        atomic_fetch_add(&c->shared->blind, s.commits_blind - *blind);
    }
    *commits = s.commits;
    *blind = s.commits_blind;
}

/* Whoever had this number before was killed, in the middle of a batch maybe. */
static void writer(const struct crew *c, struct dice *d, unsigned number)
{
    struct shared *s = c->shared;
    uint64_t commits = UINT64_MAX, blind = 0;
    char one[40];
    luge_db *db;
    luge_txn *txn;
    FINE(luge_open(c->path, NULL, &db));
    FINE(luge_begin(db, LUGE_READ, &txn));
    uint64_t found = number_in(c, txn, LUGE_MAIN, key_of(one, number, "first"));
    luge_abort(txn);
    if (found != atomic_load(&s->told[number]) &&
        found != atomic_load(&s->tried[number]))
        die("seed %llu: writer %u finds %llu; it was told %llu and tried %llu",
            (unsigned long long)c->seed, number, (unsigned long long)found,
            (unsigned long long)s->told[number],
            (unsigned long long)s->tried[number]);
    atomic_store(&s->told[number], found);
    for (uint64_t i = 0;; i++) {
        write_next(c, db, d, number);
        if (i % 1000 == 0) count_blind(c, db, &commits, &blind);
        if (dice_below(d, 10000) == 0) try_tree(c, db);
        if (dice_below(d, 500) == 0) nap_us(dice_below(d, 1000));
    }
}

/* ------------------------------------------------------------ the parent -- */

static void start(struct crew *c, unsigned which)
{
    struct dice d = dice_of(c->seed, ++c->generation);
    pid_t pid = fork();
    if (pid < 0) die("fork");
    c->pids[which] = pid;
    if (pid) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (which < WRITERS) writer(c, &d, which);
    else reader(c, &d);
    _exit(0);
}

static void end(const struct crew *c, unsigned which)
{
    int status;
    if (waitpid(c->pids[which], &status, WNOHANG) == c->pids[which])
        die("seed %llu: worker %u ended by itself, %d",
            (unsigned long long)c->seed, which, status);
    kill(c->pids[which], SIGKILL);
    waitpid(c->pids[which], NULL, 0);
    atomic_fetch_add(&c->shared->kills, 1);
}

static void end_all(struct crew *c)
{
    for (unsigned i = 0; i < WORKERS; i++) end(c, i);
}

static void disturb(struct crew *c, struct dice *d)
{
    unsigned which = dice_below(d, WORKERS);
    if (dice_chance(d, ALL_PERCENT)) {
        atomic_fetch_add(&c->shared->recoveries, 1);
        end_all(c);
        for (unsigned i = 0; i < WORKERS; i++) start(c, i);
    } else if (dice_chance(d, STOP_PERCENT)) {
        atomic_fetch_add(&c->shared->stops, 1);
        kill(c->pids[which], SIGSTOP);
        nap_us(STOP_MS * 1000);
        kill(c->pids[which], SIGCONT);
    } else {
        end(c, which);
        start(c, which);
    }
}

static void run(struct crew *c)
{
    struct dice d = dice_of(c->seed, 0);
    uint64_t until = now_ns() + c->seconds * 1000000000u;
    for (unsigned i = 0; i < WORKERS; i++) start(c, i);
    while (now_ns() < until) {
        atomic_store(&c->shared->away, now_ns() / AWAY_NS % 2);
        nap_us(1000 * (1 + dice_below(&d, 2 * KILL_EVERY_MS)));
        disturb(c, &d);
    }
    end_all(c);
}

static void judge(const struct crew *c)
{
    uint64_t last[WRITERS] = {0};
    const struct shared *s = c->shared;
    luge_db *db;
    FINE(luge_open(c->path, NULL, &db));
    look(c, db, last);
    FINE(luge_check(db, NULL, NULL));
    FINE(luge_close(db));
    printf("%llu commits were counted, %llu of them blind; %llu looks, %llu "
           "trees, %llu kills, %llu stops, %llu recoveries\n",
           (unsigned long long)s->commits, (unsigned long long)s->blind,
           (unsigned long long)s->looks, (unsigned long long)s->trees,
           (unsigned long long)s->kills, (unsigned long long)s->stops,
           (unsigned long long)s->recoveries);
    if (s->blind < BLIND_MIN)
        die("seed %llu: fewer than %d were blind", (unsigned long long)c->seed,
            BLIND_MIN);
}

int main(int count, char **words)
{
    const char *length = getenv("LUGE_TEST");
    bool is_long = length && !strcmp(length, "long");
    struct crew c = {.seed = now_ns(), .seconds = is_long ? 60 : 5};
    for (int i = 1; i < count; i++) {
        if (i + 1 == count) die("%s wants a number", words[i]);
        if (!strcmp(words[i], "--seed"))
            c.seed = strtoull(words[++i], 0, 10);
        else if (!strcmp(words[i], "--seconds"))
            c.seconds = strtoull(words[++i], 0, 10);
        else die("--seed or --seconds, not %s", words[i]);
    }
    printf("crash_blind --seed %llu --seconds %llu\n",
           (unsigned long long)c.seed, (unsigned long long)c.seconds);
    fflush(stdout);
    c.base = scratch_make(SCRATCH_FAST);
    snprintf(c.path, sizeof(c.path), "%s/db", c.base);
    c.shared = mmap(NULL, sizeof(*c.shared), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.shared == MAP_FAILED) die("mmap");
    run(&c);
    judge(&c);
    scratch_remove(c.base);
    return 0;
}
