/* test/crash_step.c -- a process that is stopped, or dies, at any instruction.
 *
 *   crash_step [--seed N] [--rounds N] [--trace]
 *
 * A worker is followed with ptrace to a system call of its commit (or its
 * checkpoint), then some instructions further; there it is stopped or killed.
 * Another process goes on meanwhile, and looks at everything.  Often it was
 * alone before, and the tail of the log in shared memory only; or the worker
 * was, and the other one comes when that is stopped or dead (txn/tail.c).
 *   T1  It never waits longer than a second, even for a stopped holder.
 *   T2  What the worker was told is what happened: landed, or not at all.
 *   T3  All or nothing of each transaction; values stay what they were; and
 *       luge_check finds nothing, before and after the worker goes on.
 *   T4  The same after all processes were killed and the log was replayed.
 * Without permission to trace children the test is skipped.
 * Not here: random moments of many processes (crash_storm).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/ptrace.h>

#include "luge.h"
#include "support.h"

enum {
    ROUNDS_MAX = 100000,
    SHARED_KEYS = 60, SHARED_SIZE = 700, SURVIVOR_KEYS = 12,
    LARGE_SIZE = 150000,
    TAIL_KEYS = 5,
    STEPS_FEW = 100, STEPS_SOME = 1500, STEPS_MAX = 6000,
    STEPS_ALONE = 20000,            /* no system call in all of the commit */
    WAIT_MAX_MS = 1000, PATIENCE_S = 30,
    SKIP = 77,
};

/* What the worker of a round does between the two marks. */
enum kind { APPLY, APPLY_ASYNC, TURN, LARGE, MANY, TREES, CHECKPOINT, LOOK,
            ALONE, KINDS };
static const char *kind_names[] = {"apply", "apply-async", "turn", "large",
                                   "many", "trees", "checkpoint", "look",
                                   "alone"};

enum known { NEVER_TRIED, UNKNOWN, LANDED, NOTHING };
enum command { IDLE, COMMIT, COMMIT_ASYNC, VERIFY, LEAVE };

/* Shared by all processes; outlives each of them. */
struct board {
    _Atomic int command, worker_rc, worker_done, worker_may_leave;
    _Atomic uint64_t tail_round;    /* the worker was told that it landed */
    uint64_t commit_count, longest_ns, round;
    char defect[400];
    uint8_t known[ROUNDS_MAX];
};

static struct {
    struct board *board;
    char path[600];
    uint64_t seed, rounds;
    bool trace;
    pid_t survivor;
    uint64_t syscalls[KINDS];     /* of a whole one, as seen at first */
    uint64_t stopped, killed, refused, finished;
} run;

static void defect(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
static void defect(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run.board->defect, sizeof run.board->defect, format, arguments);
    va_end(arguments);
    _exit(1);
}

static void must(int rc, const char *what)
{
    const struct luge_error *e = luge_last_error();
    if (rc) defect("%s: %d, %s [%s:%d]", what, rc, e->text, e->file, e->line);
}

static luge_db *open_db(void)
{
    struct luge_options o = {.checkpoint_bytes = 1 << 20,
                             .log_keep_bytes = 1 << 20,
                             .cache_bytes = 1 << 20,
                             .sync_interval_ms = 1000};
    luge_db *db;
    must(luge_open(run.path, &o, &db), "luge_open");
    return db;
}

/* -------------------------------------------------------------- worker -- */

static luge_bytes worker_key(char *room, uint64_t round, int which)
{
    sprintf(room, "worker %06llu %d", (unsigned long long)round, which);
    return luge_str(room);
}

static luge_bytes worker_value(char *room, uint64_t round, enum kind kind)
{
    size_t size = kind == LARGE ? LARGE_SIZE : 20 + round * 37 % 900;
    pattern_fill(room, size, round);
    return luge_bytes_of(room, size);
}

static int put_pair(luge_txn *txn, uint64_t round, enum kind kind)
{
    static char value[LARGE_SIZE];
    char key[40];
    int rc = luge_put(txn, LUGE_MAIN, worker_key(key, round, 0),
                      worker_value(value, round, kind));
    return rc ? rc : luge_put(txn, LUGE_MAIN, worker_key(key, round, 1),
                              luge_bytes_of(&round, sizeof round));
}

static int put_many(luge_txn *txn, uint64_t round)
{
    char key[40], value[SHARED_SIZE];
    int rc = 0;
    pattern_fill(value, sizeof value, round);
    memcpy(value, &round, sizeof round);
    for (int i = 0; i < SHARED_KEYS && !rc; i++) {
        sprintf(key, "many %03d", i);
        rc = luge_put(txn, LUGE_MAIN, luge_str(key),
                      luge_bytes_of(value, sizeof value));
    }
    return rc;
}

static int change_trees(luge_txn *txn, uint64_t round)
{
    char name[40];
    luge_tree tree;
    sprintf(name, "trees/%d", (int)(round % 3));
    int rc = luge_tree_open(txn, luge_str(name), 0, &tree);
    if (!rc) rc = luge_tree_drop(txn, tree);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    rc = luge_tree_open(txn, luge_str(name), LUGE_TREE_CREATE, &tree);
    if (!rc) rc = luge_put(txn, tree, luge_str("k"), luge_str("v"));
    return rc;
}

static int put_blindly(luge_txn *txn, void *context)
{
    return put_pair(txn, *(const uint64_t *)context, APPLY);
}

/* Every other time it has no snapshot: txn/blind.c. */
static int transaction(luge_db *db, uint64_t round, enum kind kind)
{
    luge_txn *txn;
    unsigned flags = kind == TURN ? LUGE_TURN : LUGE_WRITE;
    if (kind == APPLY_ASYNC || kind == ALONE) flags |= LUGE_TXN_ASYNC;
    if (round % 2 && (kind == APPLY || kind == APPLY_ASYNC || kind == ALONE))
        return luge_transact(db, flags, put_blindly, &round);
    int rc = luge_begin(db, flags, &txn);
    if (rc == LUGE_CONFLICT) defect("T2: nothing was begun, yet a conflict");
    if (rc) return rc;
    rc = put_pair(txn, round, kind);
    if (!rc && kind == MANY) rc = put_many(txn, round);
    if (!rc && kind == TREES) rc = change_trees(txn, round);
    if (!rc) return luge_commit(txn);
    luge_abort(txn);
    return rc;
}

/* A snapshot, which the survivor may have to itself yet: it is caught up with.
 * No stop excuses that it does not begin. */
static int look(luge_db *db)
{
    luge_txn *txn;
    must(luge_begin(db, LUGE_READ, &txn), "T2: a snapshot");
    return luge_commit(txn);
}

/* What the worker does alone before the one commit that is followed. */
static void fill_tail(luge_db *db, uint64_t round)
{
    char key[40];
    for (int i = 0; i < TAIL_KEYS; i++) {
        sprintf(key, "tail %d", i);
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str(key),
                             luge_bytes_of(&round, sizeof round)};
        must(luge_apply(db, LUGE_TXN_ASYNC, &op, 1), "a commit alone");
    }
    run.board->tail_round = round;
}

static void mark(void)
{
    (void)syscall(SYS_getppid);
}

static int work(uint64_t round, enum kind kind)
{
    luge_db *db = open_db();
    if (kind == CHECKPOINT)
        must(transaction(db, round, APPLY), "the commit before");
    if (kind == ALONE) fill_tail(db, round);
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) return SKIP;
    raise(SIGSTOP);
    mark();
    int rc = kind == CHECKPOINT ? luge_checkpoint(db)
             : kind == LOOK     ? look(db)
                                : transaction(db, round, kind);
    mark();
    run.board->worker_rc = rc;
    run.board->worker_done = 1;
    if (rc == LUGE_BROKEN) defect("the worker broke: %s",
                                  luge_last_error()->text);
    /* Who is stopped while it closes may keep others from opening. */
    while (kind == ALONE && !run.board->worker_may_leave) nap_us(100);
    must(luge_close(db), "luge_close of the worker");
    return 0;
}

/* ------------------------------------------------------------ survivor -- */

/* Pages of its own, of other lengths each time: runs are cut and joined. */
static luge_bytes large_value(char *room, uint64_t n)
{
    size_t size = 9000 + n * 7919 % (LARGE_SIZE - 9000);
    pattern_fill(room, size, n);
    return luge_bytes_of(room, size);
}

static void commit_one(luge_db *db, unsigned flags)
{
    static char large[LARGE_SIZE];
    char keys[SURVIVOR_KEYS][40], value[SHARED_SIZE];
    struct luge_op ops[SURVIVOR_KEYS + 1];
    struct board *b = run.board;
    uint64_t n = ++b->commit_count;
    pattern_fill(value, sizeof value, n);
    memcpy(value, &n, sizeof n);
    for (int i = 0; i < SURVIVOR_KEYS; i++) {
        sprintf(keys[i], "survivor %02d", i);
        ops[i] = (struct luge_op){
            LUGE_OP_PUT, LUGE_MAIN, luge_str(keys[i]),
            luge_bytes_of(value, sizeof value)};
    }
    ops[SURVIVOR_KEYS] = (struct luge_op){LUGE_OP_PUT, LUGE_MAIN,
                                          luge_str("large"),
                                          large_value(large, n)};
    uint64_t from = now_ns();
    must(luge_apply(db, flags, ops, SURVIVOR_KEYS + 1),
         "the survivor's commit");
    uint64_t took = now_ns() - from;
    if (took > b->longest_ns) b->longest_ns = took;
    if (took > WAIT_MAX_MS * (uint64_t)1000000)
        defect("T1: a commit waited for %.0f ms", (double)took / 1e6);
}

/* All keys that begin with PREFIX hold the same value, and it is whole. */
static void verify_equal(luge_txn *txn, const char *prefix, uint64_t *number)
{
    luge_cursor *c;
    luge_bytes key, value;
    char good[SHARED_SIZE];
    int rc, seen = 0;
    must(luge_cursor_open(txn, LUGE_MAIN, &c), "a cursor");
    must(luge_cursor_prefix(c, luge_str(prefix)), "its prefix");
    while (!(rc = luge_cursor_next(c, &key, &value))) {
        uint64_t n;
        if (value.size != SHARED_SIZE) defect("T3: a value's size changed");
        memcpy(&n, value.data, sizeof n);
        if (seen++ && n != *number)
            defect("T3: '%.*s' is of %llu, others of %llu", (int)key.size,
                   (const char *)key.data, (unsigned long long)n,
                   (unsigned long long)*number);
        *number = n;
        pattern_fill(good, sizeof good, n);
        memcpy(good, &n, sizeof n);
        if (memcmp(good, value.data, sizeof good))
            defect("T3: the value of %llu is not what was put",
                   (unsigned long long)n);
    }
    if (rc != LUGE_NOTFOUND) must(rc, "a step of a cursor");
    luge_cursor_close(c);
}

static void verify_large(luge_txn *txn, uint64_t n)
{
    static char good[LARGE_SIZE];
    luge_bytes found, wanted = large_value(good, n);
    must(luge_get(txn, LUGE_MAIN, luge_str("large"), &found), "the large one");
    if (found.size != wanted.size ||
        memcmp(found.data, wanted.data, found.size))
        defect("T3: the large value of %llu is not what was put",
               (unsigned long long)n);
}

static void verify_tail(luge_txn *txn)
{
    char key[40];
    uint64_t round;
    luge_bytes v;
    for (int i = 0; i < TAIL_KEYS && run.board->tail_round; i++) {
        sprintf(key, "tail %d", i);
        must(luge_get(txn, LUGE_MAIN, luge_str(key), &v), "a tail's read");
        memcpy(&round, v.data, sizeof round);
        if (round != run.board->tail_round)
            defect("T2: '%s' of round %llu landed and is gone", key,
                   (unsigned long long)run.board->tail_round);
    }
}

static void verify_round(luge_txn *txn, uint64_t round, bool settled)
{
    static char good[LARGE_SIZE];
    char key[40];
    luge_bytes first, second;
    uint8_t *known = &run.board->known[round];
    int a = luge_get(txn, LUGE_MAIN, worker_key(key, round, 0), &first);
    int b = luge_get(txn, LUGE_MAIN, worker_key(key, round, 1), &second);
    if (a && a != LUGE_NOTFOUND) must(a, "a read");
    if (a != b) defect("T3: half of round %llu is there",
                       (unsigned long long)round);
    if (!a) {
        if (first.size != LARGE_SIZE) (void)worker_value(good, round, APPLY);
        else (void)worker_value(good, round, LARGE);
        if (memcmp(good, first.data, first.size))
            defect("T3: the value of round %llu changed",
                   (unsigned long long)round);
    }
    if (*known == LANDED && a)
        defect("T2: round %llu landed and is gone", (unsigned long long)round);
    if (*known == NOTHING && !a)
        defect("T2: round %llu was refused and is there",
               (unsigned long long)round);
    if (settled) *known = a ? NOTHING : LANDED;
}

static void report(void *context, const char *sentence)
{
    (void)context;
    snprintf(run.board->defect, sizeof run.board->defect, "T3: %s", sentence);
}

/* While a worker is stopped its own round may yet go either way. */
static void verify(luge_db *db, bool settled)
{
    luge_txn *txn;
    struct board *b = run.board;
    uint64_t n = 0;
    must(luge_begin(db, LUGE_READ, &txn), "a snapshot");
    verify_equal(txn, "many ", &n);
    verify_tail(txn);
    verify_equal(txn, "survivor ", &n);
    if (b->commit_count && n != b->commit_count)
        defect("T2: the survivor's commit %llu is gone, %llu is there",
               (unsigned long long)b->commit_count, (unsigned long long)n);
    if (b->commit_count) verify_large(txn, n);
    for (uint64_t i = 0; i <= b->round; i++)
        if (b->known[i])
            verify_round(txn, i, settled || i != b->round);
    luge_abort(txn);
    if (luge_check(db, report, NULL)) _exit(1);
}

static int survive(void)
{
    struct board *b = run.board;
    luge_db *db = open_db();
    b->command = IDLE;
    for (;;) {
        int command = b->command;
        if (command == COMMIT) commit_one(db, 0);
        if (command == COMMIT_ASYNC) commit_one(db, LUGE_TXN_ASYNC);
        if (command == VERIFY) verify(db, b->worker_done);
        if (command == LEAVE) must(luge_close(db), "luge_close");
        if (command != IDLE) b->command = IDLE;
        else nap_us(100);
        if (command == LEAVE) return 0;
    }
}

/* -------------------------------------------------------------- parent -- */

static void lost(const char *what)
{
    printf("not ok 1 crash_step: %s %s\n  again: crash_step --seed %llu "
           "--rounds %llu\n", what, run.board->defect,
           (unsigned long long)run.seed, (unsigned long long)run.rounds);
    exit(1);
}

static pid_t start(int (*body)(uint64_t, enum kind), uint64_t round,
                   enum kind kind)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) die("fork: %s", strerror(errno));
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(body ? body(round, kind) : survive());
}

static void tell(enum command command)
{
    uint64_t from = now_ns();
    int status;
    run.board->command = command;
    while (run.board->command == (int)command) {
        if (waitpid(run.survivor, &status, WNOHANG) == run.survivor)
            lost("the survivor:");
        if (now_ns() - from > PATIENCE_S * (uint64_t)1000000000)
            lost("the survivor hangs.");
        nap_us(50);
    }
}

static void start_survivor(void)
{
    run.board->command = VERIFY;
    run.survivor = start(NULL, 0, APPLY);
    tell(VERIFY);
}

static void kill_survivor(void)
{
    kill(run.survivor, SIGKILL);
    waitpid(run.survivor, NULL, 0);
}

/* 0: stopped where we want it; 1: it ended; SKIP. */
static int next_stop(pid_t pid, int request, bool *marked)
{
    struct __ptrace_syscall_info info;
    int status;
    *marked = false;
    if (ptrace(request, pid, 0, 0)) return 1;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == SKIP) return SKIP;
        return 1;
    }
    if (request != PTRACE_SYSCALL) return 0;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0)
        *marked = info.op == PTRACE_SYSCALL_INFO_ENTRY &&
                  info.entry.nr == SYS_getppid;
    return 0;
}

/* To the mark; then CALLS stops at system calls and STEPS instructions. */
static int follow(pid_t pid, uint64_t calls, uint64_t steps, uint64_t *seen)
{
    bool marked = false;
    int status, rc = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status)) return WEXITSTATUS(status) == SKIP ? SKIP : 1;
    ptrace(PTRACE_SETOPTIONS, pid, 0,
           PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
    while (!marked && !rc) rc = next_stop(pid, PTRACE_SYSCALL, &marked);
    for (*seen = 0; *seen < calls && !rc; ++*seen) {
        rc = next_stop(pid, PTRACE_SYSCALL, &marked);
        if (marked) return rc;
    }
    for (uint64_t i = 0; i < steps && !rc; i++)
        rc = next_stop(pid, PTRACE_SINGLESTEP, &marked);
    return rc;
}

static void worker_ended(pid_t pid, bool waited, enum kind kind)
{
    struct board *b = run.board;
    uint64_t from = now_ns();
    int status = 0;
    while (!waited && waitpid(pid, &status, WNOHANG) != pid) {
        if (now_ns() - from > PATIENCE_S * (uint64_t)1000000000)
            lost("the worker hangs.");
        nap_us(100);
    }
    if (!waited && (!WIFEXITED(status) || WEXITSTATUS(status)))
        lost("the worker:");
    int rc = b->worker_rc;
    if (rc && rc != LUGE_CONFLICT && rc != LUGE_BUSY) {
        printf("  the worker's call answered %d\n", rc);
        lost("an answer that nobody expects.");
    }
    if (kind != CHECKPOINT && kind != LOOK)
        b->known[b->round] = rc ? NOTHING : LANDED;
    run.refused += rc != 0;
}

/* Full or not. */
static void tell_commits(struct dice *d, uint32_t count)
{
    while (count--) tell(dice_chance(d, 50) ? COMMIT : COMMIT_ASYNC);
}

static void survivor_leaves(void)
{
    tell(LEAVE);
    waitpid(run.survivor, NULL, 0);
}

/* The one who left, so that the worker was alone. */
static void survivor_comes(enum kind kind)
{
    if (kind == ALONE) start_survivor();
    run.board->worker_may_leave = 1;
}

static void let_stand(pid_t pid, struct dice *d, enum kind kind)
{
    int status;
    ptrace(PTRACE_DETACH, pid, 0, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);       /* else it might come too late */
    run.stopped++;
    survivor_comes(kind);
    tell_commits(d, 1 + dice_below(d, 4));
    tell(VERIFY);
    kill(pid, SIGCONT);
    worker_ended(pid, false, kind);
}

static void let_die(pid_t pid, struct dice *d, enum kind kind)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    run.killed++;
    survivor_comes(kind);
    run.board->worker_done = 1;
    tell_commits(d, 1);
    if (!dice_chance(d, 30)) return;
    kill_survivor();        /* before anybody looked, or the tail was written */
    start_survivor();
}

/* Returns SKIP, or 0. */
static int one_round(uint64_t round)
{
    struct dice d = dice_of(run.seed, round);
    struct board *b = run.board;
    enum kind kind = dice_below(&d, KINDS);
    uint64_t most = run.syscalls[kind], seen = 0;
    uint64_t calls = most ? dice_below(&d, (uint32_t)most + 1) : UINT32_MAX;
    uint64_t steps = dice_below(&d, dice_chance(&d, 50)   ? STEPS_FEW
                                    : dice_chance(&d, 60) ? STEPS_SOME
                                    : kind == ALONE       ? STEPS_ALONE
                                                          : STEPS_MAX);
    bool stop = dice_chance(&d, 60);
    b->round = round;
    b->worker_done = b->worker_rc = b->worker_may_leave = 0;
    b->known[round] = kind == CHECKPOINT ? LANDED
                      : kind == LOOK     ? NEVER_TRIED
                                         : UNKNOWN;
    if (run.trace)
        printf("  round %llu: %s, %llu calls, %llu steps, %s\n",
               (unsigned long long)round, kind_names[kind],
               (unsigned long long)calls, (unsigned long long)steps,
               stop ? "stop" : "kill");
    if (kind == ALONE) survivor_leaves();
    else if (dice_chance(&d, 50)) tell_commits(&d, dice_below(&d, 4));
    pid_t pid = start(work, round, kind);
    int rc = follow(pid, calls, most ? steps : 0, &seen);
    if (rc == SKIP) {
        survivor_comes(kind);
        return SKIP;
    }
    if (!most) run.syscalls[kind] = seen;
    if (b->defect[0]) lost("the worker:");
    if (rc) lost("the worker went its own way.");
    if (!most) {
        ptrace(PTRACE_DETACH, pid, 0, 0);
        survivor_comes(kind);
        worker_ended(pid, false, kind);
        run.finished++;
    } else if (stop) {
        let_stand(pid, &d, kind);
    } else {
        let_die(pid, &d, kind);
    }
    tell(VERIFY);
    if (!dice_chance(&d, 15)) return 0;
    kill_survivor();                                               /* T4 */
    start_survivor();
    return 0;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = text ? strtoull(text, &end, 10) : 0;
    if (!text || !*text || *end) die("not a number: %s", text ? text : "");
    return n;
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--trace")) run.trace = true;
        else if (!strcmp(argv[i], "--seed")) run.seed = number(argv[++i]);
        else if (!strcmp(argv[i], "--rounds")) run.rounds = number(argv[++i]);
        else die("usage: crash_step [--seed N] [--rounds N] [--trace]");
    }
    if (run.rounds > ROUNDS_MAX - 1) die("%d rounds at most", ROUNDS_MAX - 1);
}

int main(int argc, char **argv)
{
    const char *length = getenv("LUGE_TEST");
    run.seed = now_ns() / 1000 % 1000000;
    run.rounds = 60;
    if (length && !strcmp(length, "short")) run.rounds = 12;
    if (length && !strcmp(length, "long")) run.rounds = 3000;
    parse(argc, argv);
    printf("crash_step: seed %llu, %llu rounds\n",
           (unsigned long long)run.seed, (unsigned long long)run.rounds);
    char *base = scratch_make(SCRATCH_FAST);
    snprintf(run.path, sizeof run.path, "%s/db", base);
    run.board = mmap(NULL, sizeof *run.board, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run.board == MAP_FAILED) die("mmap: %s", strerror(errno));
    run.board->worker_done = 1;
    start_survivor();
    int rc = 0;
    for (uint64_t i = 1; i <= run.rounds && !rc; i++) rc = one_round(i);
    survivor_leaves();
    scratch_remove(base);
    if (rc) {
        printf("skip 1 crash_step: children cannot be traced here\n");
        return SKIP;
    }
    printf("ok 1 crash_step: %llu stopped (%llu of them refused afterwards), "
           "%llu killed, %llu left alone; the longest commit beside them took "
           "%.0f ms\n", (unsigned long long)run.stopped,
           (unsigned long long)run.refused, (unsigned long long)run.killed,
           (unsigned long long)run.finished,
           (double)run.board->longest_ns / 1e6);
    return 0;
}
