/* test/crash_storm.c -- processes that work, are killed and are stopped.
 *
 *   crash_storm [--minutes M | --seconds S] [--processes P] [--seed N]
 *               [--wait-max-ms MS] [--no-stops] [--no-kills] [--disk] [--keep]
 *
 * Holds: P workers do random transactions on one database; the parent sends
 * SIGKILL, and SIGSTOP with SIGCONT later, at random moments, and starts anew
 * what it killed.  What a worker was promised it writes into shared memory that
 * outlives it (the board), outside of the database.
 *   K1  Every acknowledged put and append is there; no transaction is there in
 *       part; sums, tokens and counters are kept; every snapshot shows so.
 *   K2  The history of lists is serializable, with real time (serial.h).
 *   K3  No call of a living worker takes longer than a second (--wait-max-ms),
 *       the time it was stopped itself not counted; one that opens, closes
 *       or checkpoints may wait for one that was stopped while it did.
 *   K4  At the end luge_check finds nothing, no seat and no reader is left,
 *       and the files are as small as the content asks for.
 * Long: what a worker does, what it notes on the board and what is judged by it
 * afterwards are three sides of one promise each, and read beside one another.
 * The parent opens the database only when no worker is left (fork, luge.h).
 * Not here: power loss, which no signal can imitate.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_fork.h"
#include "serial.h"
#include "support.h"

enum {
    WORKERS_MAX = 64,
    ACCOUNTS = 64, BALANCE = 1000,
    TOKENS = 200,
    MULTI_TREES = 4, MULTI_KEYS = 16,
    BIG_KEYS = 8, BIG_SIZE = 300000,
    RING = 256,                     /* ledger keys of a worker */
    WINDOW = 8, LIST_LENGTH = 64,   /* lists in use, appends to each */
    EVENTS = 6,                     /* readings and appends of a transaction */
    HANG_S = 20,
    STOP_MS_MAX = 3000,
};

/* One transaction of the history of lists.  Written before its commit as
 * unknown; fate and end follow when the answer is there. */
struct record {
    uint64_t begin_ns, end_ns;
    uint64_t snapshot, commit;     /* seqs; 0: it wrote nothing */
    uint32_t fate, count;
    unsigned flags;
    struct event {
        uint64_t list, value;
        struct serial_view view;
        uint64_t append;
    } events[EVENTS];
};

/* The calls whose time is taken. */
#define CALLS(X)                                                              \
    X(NOTHING) X(OPEN) X(CLOSE) X(BEGIN_READ) X(BEGIN_WRITE) X(BEGIN_TURN)    \
    X(COMMIT) X(COMMIT_ASYNC) X(TRANSACT) X(APPLY) X(CHECKPOINT) X(SYNC)      \
    X(CHECK) X(NEXT_ID) X(STEP)
enum call {
#define X(name) CALL_##name,
    CALLS(X)
#undef X
    CALL_KINDS
};
static const char *const call_names[] = {
#define X(name) #name,
    CALLS(X)
#undef X
};

struct place {                     /* one worker's, in all its lives */
    _Atomic uint64_t call_ns;      /* 0: in no call */
    _Atomic uint32_t call;
    _Atomic uint64_t stopped_ns;   /* written by the parent, before SIGCONT */
    _Atomic uint32_t stops;        /* written by the parent, before SIGSTOP and
                                      again before SIGCONT: a transaction may
                                      begin between the count and the stop */
    _Atomic uint32_t lives, failed;
    uint64_t longest_ns[CALL_KINDS], calls, transactions, conflicts, evicted;
    _Atomic uint64_t put_next, tried[RING], acked[RING];
    _Atomic uint64_t counts_tried, counts_acked;
    _Atomic uint64_t records;
    char why[512];
};

struct board {
    _Atomic int stop;
    _Atomic uint64_t id_max, list_base;
    struct place places[WORKERS_MAX];
};

struct storm {
    uint64_t seed, until_ns, wait_max_ns;
    unsigned workers;
    bool kills, stops, keep;
    double seconds;
    char *base, path[600];
    struct board *board;
    struct record *records[WORKERS_MAX];
    pid_t pids[WORKERS_MAX];
    uint64_t resume_ns[WORKERS_MAX], stopped_at[WORKERS_MAX];
    uint64_t restart_ns[WORKERS_MAX];
    uint64_t kill_count, stop_count;
};

enum { RECORDS_MAX = 1 << 23 };

struct worker {
    struct storm *storm;
    struct place *place;
    struct record *records;
    unsigned number;
    struct dice dice;
    luge_db *db;
    uint32_t stops_seen;           /* when the transaction began */
    luge_tree lists, rows, acks, big, tokens[2], multi[MULTI_TREES];
    int sched;                     /* /proc/self/schedstat */
};

/* ------------------------------------------------------- being a worker -- */

static void failed(struct worker *w, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
static void failed(struct worker *w, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(w->place->why, sizeof w->place->why, format, list);
    va_end(list);
    atomic_store(&w->place->failed, 1);
    _exit(3);
}

/* Nanoseconds this process was ready to run but did not. */
static uint64_t starved_ns(struct worker *w)
{
    char text[80];
    ssize_t n = w->sched < 0 ? -1 : pread(w->sched, text, sizeof text - 1, 0);
    unsigned long long ran, waited;
    if (n <= 0) return 0;
    text[n] = 0;
    return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

struct timing { uint64_t from, stopped, starved; enum call call; };

static struct timing call_begin(struct worker *w, enum call call)
{
    struct timing t = {0, atomic_load(&w->place->stopped_ns), starved_ns(w),
                       call};
    t.from = now_ns();
    atomic_store(&w->place->call, (uint32_t)call);
    atomic_store(&w->place->call_ns, t.from);
    return t;
}

/* Who opens, closes or checkpoints waits for a process that was stopped while
 * it did the same; commits and reads do not (guarantees.md). */
static uint64_t patience_ns(enum call call)
{
    bool waits = call == CALL_OPEN || call == CALL_CLOSE ||
                 call == CALL_CHECKPOINT;
    return waits ? STOP_MS_MAX * (uint64_t)1000000 : 0;
}

/* K3.  What the machine did to us is not the engine's: being stopped, and
 * waiting for a processor. */
static void call_end(struct worker *w, struct timing t)
{
    uint64_t took = now_ns() - t.from;
    uint64_t stopped = atomic_load(&w->place->stopped_ns) - t.stopped;
    uint64_t starved = starved_ns(w) - t.starved;
    atomic_store(&w->place->call_ns, 0);
    took -= stopped < took ? stopped : took;
    took -= starved < took ? starved : took;
    w->place->calls++;
    if (took > w->place->longest_ns[t.call])
        w->place->longest_ns[t.call] = took;
    if (took > w->storm->wait_max_ns + patience_ns(t.call))
        failed(w, "K3: a call (%s) took %.0f ms", call_names[t.call],
               (double)took / 1e6);
}

#define TIMED(w, kind, expression)                                            \
    __extension__({                                                           \
        struct timing timing_ = call_begin((w), CALL_##kind);                 \
        int rc_ = (expression);                                               \
        call_end((w), timing_);                                               \
        rc_;                                                                  \
    })

static void must(struct worker *w, int rc, const char *what)
{
    if (!rc) return;
    const struct luge_error *e = luge_last_error();
    failed(w, "%s: %s (%d): %s [%s:%d]", what, luge_error_text(rc), rc,
           e->text, e->file ? e->file : "?", e->line);
}

/* Was this process stopped since its transaction began?  Then others may have
 * gone on without it. */
static bool was_stopped(const struct worker *w)
{
    return atomic_load(&w->place->stops) != w->stops_seen;
}

static void db_open(struct worker *w)
{
    struct luge_options o = {.checkpoint_bytes = 4 << 20,
                             .log_keep_bytes = 4 << 20,
                             .cache_bytes = 8 << 20};
    if (w->number % 2) o.durability = LUGE_ASYNC;
    must(w, TIMED(w, OPEN, luge_open(w->storm->path, &o, &w->db)),
         "luge_open");
}

static void db_close(struct worker *w)
{
    must(w, TIMED(w, CLOSE, luge_close(w->db)), "luge_close");
    w->db = NULL;
}

/* 0, or LUGE_BUSY where a stop excuses it. */
static int begin(struct worker *w, unsigned flags, luge_txn **txn)
{
    int rc;
    w->stops_seen = atomic_load(&w->place->stops);
    if (flags & LUGE_TURN)
        rc = TIMED(w, BEGIN_TURN, luge_begin(w->db, flags, txn));
    else if (flags & LUGE_WRITE)
        rc = TIMED(w, BEGIN_WRITE, luge_begin(w->db, flags, txn));
    else rc = TIMED(w, BEGIN_READ, luge_begin(w->db, flags, txn));
    if (rc == LUGE_BUSY && was_stopped(w)) return rc;
    must(w, rc, "luge_begin");
    return 0;
}

static unsigned some_flags(struct worker *w)
{
    uint32_t roll = dice_below(&w->dice, 100);
    unsigned flags = roll < 88 ? LUGE_WRITE : LUGE_TURN;
    if (dice_chance(&w->dice, 25))
        flags |= dice_chance(&w->dice, 50) ? LUGE_TXN_FULL : LUGE_TXN_ASYNC;
    return flags;
}

/* True if it landed.  Only a conflict is a good excuse, and for a holder of
 * the turn only if it had been stopped. */
static bool commit(struct worker *w, luge_txn *txn, unsigned flags)
{
    int rc = TIMED(w, COMMIT, luge_commit(txn));
    w->place->transactions++;
    if (!rc) return true;
    bool excuse = rc == LUGE_CONFLICT || rc == LUGE_BUSY;
    if (flags & LUGE_TURN) excuse = excuse && was_stopped(w);
    else excuse = rc == LUGE_CONFLICT || (excuse && was_stopped(w));
    if (!excuse) must(w, rc, "luge_commit");
    if (flags & LUGE_TURN) w->place->evicted++;
    else w->place->conflicts++;
    return false;
}

/* A step inside a write transaction; false: give the transaction up. */
static bool step(struct worker *w, unsigned flags, int rc, const char *what)
{
    if (!rc) return true;
    if (flags & LUGE_TURN && was_stopped(w) &&
        (rc == LUGE_CONFLICT || rc == LUGE_BUSY)) {
        w->place->evicted++;
        return false;
    }
    must(w, rc, what);
    return true;
}

/* ------------------------------------------------ transfers and counters -- */

static luge_bytes name_of(char *room, const char *kind, uint64_t a, uint64_t b)
{
    return luge_bytes_of(room, (size_t)sprintf(room, "%s/%04llu/%08llu", kind,
                                               (unsigned long long)a,
                                               (unsigned long long)b));
}

static uint64_t number_at(luge_bytes b)
{
    uint64_t n = 0;
    if (b.size >= sizeof n) memcpy(&n, b.data, sizeof n);
    return n;
}

static bool move_money(struct worker *w, luge_txn *txn, unsigned flags)
{
    char a[64], b[64];
    uint32_t from = dice_below(&w->dice, ACCOUNTS);
    uint32_t to = (from + 1 + dice_below(&w->dice, ACCOUNTS - 1)) % ACCOUNTS;
    luge_bytes one = name_of(a, "account", from, 0), value;
    luge_bytes other = name_of(b, "account", to, 0);
    if (!step(w, flags, luge_get(txn, LUGE_MAIN, one, &value), "luge_get"))
        return false;
    uint64_t has = number_at(value);
    if (!step(w, flags, luge_get(txn, LUGE_MAIN, other, &value), "luge_get"))
        return false;
    uint64_t gets = number_at(value);
    uint64_t sum = has ? 1 + dice_below(&w->dice, (uint32_t)has) : 0;
    has -= sum;
    gets += sum;
    return step(w, flags, luge_put(txn, LUGE_MAIN, one,
                                   luge_bytes_of(&has, 8)), "luge_put") &&
           step(w, flags, luge_put(txn, LUGE_MAIN, other,
                                   luge_bytes_of(&gets, 8)), "luge_put");
}

static void work_transfer(struct worker *w)
{
    unsigned flags = some_flags(w);
    luge_txn *txn;
    if (begin(w, flags, &txn)) return;
    if (!move_money(w, txn, flags)) luge_abort(txn);
    else if (dice_chance(&w->dice, 5)) luge_abort(txn);
    else commit(w, txn, flags);
}

static int count_one(luge_txn *txn, void *context)
{
    uint64_t one = 1;
    (void)context;
    return luge_combine(txn, LUGE_MAIN, luge_str("counter"), "add",
                        luge_bytes_of(&one, 8), NULL);
}

static void work_count(struct worker *w)
{
    w->stops_seen = atomic_load(&w->place->stops);
    atomic_fetch_add(&w->place->counts_tried, 1);
    int rc = TIMED(w, TRANSACT, luge_transact(w->db, 0, count_one, NULL));
    if (rc && was_stopped(w) && (rc == LUGE_CONFLICT || rc == LUGE_BUSY))
        return;
    must(w, rc, "luge_transact");
    atomic_fetch_add(&w->place->counts_acked, 1);
}

/* --------------------------------------------------------------- ledger -- */

static luge_bytes ack_value(uint64_t *room, uint64_t n)
{
    size_t size = 8 + (size_t)(n * 7 % 25) * 8;
    room[0] = n;
    pattern_fill(room + 1, size - 8, n);
    return luge_bytes_of(room, size);
}

static uint64_t ack_check(struct worker *w, luge_bytes value)
{
    uint64_t room[32], n = number_at(value);
    luge_bytes good = ack_value(room, n);
    if (value.size != good.size || memcmp(value.data, good.data, good.size))
        failed(w, "K1: the value of put %llu is not what was put",
               (unsigned long long)n);
    return n;
}

/* One put; its number goes to the board when the commit has answered. */
static void work_ack(struct worker *w)
{
    uint64_t n = atomic_fetch_add(&w->place->put_next, 1), room[32];
    char name[64];
    struct luge_op op = {LUGE_OP_PUT, w->acks,
                         name_of(name, "ack", w->number, n % RING),
                         ack_value(room, n)};
    atomic_store(&w->place->tried[n % RING], n);
    w->stops_seen = atomic_load(&w->place->stops);
    int rc = TIMED(w, APPLY, luge_apply(w->db, 0, &op, 1));
    if (rc && was_stopped(w) && (rc == LUGE_CONFLICT || rc == LUGE_BUSY))
        return;
    must(w, rc, "luge_apply");
    atomic_store(&w->place->acked[n % RING], n);
    w->place->transactions++;
}

/* One key of one worker's ledger, as a snapshot begun after ACKED has it. */
static void ack_look(struct worker *w, luge_txn *txn, unsigned worker,
                     uint64_t key, uint64_t acked)
{
    char name[64];
    luge_bytes value;
    int rc = luge_get(txn, w->acks, name_of(name, "ack", worker, key), &value);
    if (rc == LUGE_NOTFOUND && !acked) return;
    if (rc) failed(w, "K1: put %llu of worker %u was acknowledged: %s",
                   (unsigned long long)acked, worker, luge_error_text(rc));
    uint64_t n = ack_check(w, value);
    uint64_t tried = atomic_load(&w->storm->board->places[worker].tried[key]);
    if (n < acked || n > tried)
        failed(w, "K1: worker %u, key %llu: %llu is there, %llu was "
               "acknowledged, %llu was tried", worker,
               (unsigned long long)key, (unsigned long long)n,
               (unsigned long long)acked, (unsigned long long)tried);
}

/* ---------------------------------------------------------------- lists -- */

/* Even lists are one value; odd ones a row for each element, read by a cursor,
 * so that an element that a reader misses is a phantom. */
static int list_read(struct worker *w, luge_txn *txn, uint64_t list,
                     uint64_t *values, uint64_t *length)
{
    char name[64];
    luge_cursor *c;
    luge_bytes key, value;
    *length = 0;
    if (list % 2 == 0) {
        int rc = luge_get(txn, w->lists, name_of(name, "list", 0, list),
                          &value);
        if (rc == LUGE_NOTFOUND) return 0;
        if (!rc && value.size > LIST_LENGTH * 8) return LUGE_LIMIT;
        if (!rc) memcpy(values, value.data, value.size);
        if (!rc) *length = value.size / 8;
        return rc;
    }
    int rc = luge_cursor_open(txn, w->rows, &c);
    if (rc) return rc;
    name[sprintf(name, "%08llu/", (unsigned long long)list)] = 0;
    rc = luge_cursor_prefix(c, luge_str(name));
    while (!rc && !(rc = luge_cursor_next(c, &key, &value))) {
        if (*length == LIST_LENGTH) return LUGE_LIMIT;
        values[(*length)++] = number_at(value);
    }
    luge_cursor_close(c);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int list_append(struct worker *w, luge_txn *txn, uint64_t list,
                       const uint64_t *values, uint64_t length)
{
    char name[64];
    if (list % 2 == 0)
        return luge_put(txn, w->lists, name_of(name, "list", 0, list),
                        luge_bytes_of(values, length * 8));
    sprintf(name, "%08llu/%04llu", (unsigned long long)list,
            (unsigned long long)(length - 1));
    return luge_put(txn, w->rows, luge_str(name),
                    luge_bytes_of(&values[length - 1], 8));
}

/* One to three lists: read, and mostly append to what was read. */
static bool list_steps(struct worker *w, luge_txn *txn, unsigned flags,
                       struct record *r)
{
    uint64_t base = atomic_load(&w->storm->board->list_base);
    uint64_t values[LIST_LENGTH + 1], length;
    bool write = flags & (LUGE_WRITE | LUGE_TURN);
    uint64_t unique = ((uint64_t)(w->number + 1) << 48) +
                      atomic_load(&w->place->records) * EVENTS + 1;
    for (uint32_t i = 1 + dice_below(&w->dice, EVENTS / 2); i; i--) {
        uint64_t list = base + dice_below(&w->dice, WINDOW);
        if (!step(w, flags, list_read(w, txn, list, values, &length),
                  "reading a list"))
            return false;
        struct event *e = &r->events[r->count++];
        *e = (struct event){.list = list,
                            .view = serial_view_of(values, length)};
        if (length == LIST_LENGTH && list == base)
            atomic_compare_exchange_strong(&w->storm->board->list_base, &base,
                                           base + 1);
        if (!write || length == LIST_LENGTH || dice_chance(&w->dice, 30))
            continue;
        values[length] = unique++;
        if (!step(w, flags, list_append(w, txn, list, values, length + 1),
                  "appending to a list"))
            return false;
        r->events[r->count++] = (struct event){
            .list = list, .value = values[length], .append = 1};
    }
    return true;
}

static void work_list(struct worker *w)
{
    uint64_t n = atomic_load(&w->place->records);
    struct record *r = &w->records[n];
    unsigned flags = dice_chance(&w->dice, 20) ? LUGE_READ : some_flags(w);
    luge_txn *txn;
    if (n == RECORDS_MAX) return;
    memset(r, 0, sizeof *r);
    r->begin_ns = now_ns();
    if (begin(w, flags, &txn)) return;
    r->flags = flags;
    r->snapshot = luge_txn_seq(txn);
    if (!list_steps(w, txn, flags, r)) {
        luge_abort(txn);
        return;
    }
    if (dice_chance(&w->dice, 10)) nap_us(dice_below(&w->dice, 3000));
    atomic_store(&w->place->records, n + 1);        /* as unknown */
    bool landed = commit(w, txn, flags);
    r->end_ns = now_ns();
    for (uint32_t i = 0; i < r->count; i++)
        if (r->events[i].append) r->commit = luge_committed_seq(w->db);
    atomic_thread_fence(memory_order_release);
    r->fate = landed ? SERIAL_LANDED : SERIAL_REFUSED;
}

/* ------------------------------------- several trees, big values, tokens -- */

static void work_multi(struct worker *w)
{
    unsigned flags = some_flags(w);
    uint64_t key = dice_below(&w->dice, MULTI_KEYS), stamp;
    char name[64];
    luge_txn *txn;
    stamp = dice_next(&w->dice);
    if (begin(w, flags, &txn)) return;
    for (int i = 0; i < MULTI_TREES; i++)
        if (!step(w, flags, luge_put(txn, w->multi[i],
                                     name_of(name, "multi", key, 0),
                                     luge_bytes_of(&stamp, 8)), "luge_put")) {
            luge_abort(txn);
            return;
        }
    commit(w, txn, flags);
}

static void work_big(struct worker *w)
{
    unsigned flags = some_flags(w);
    size_t size = 16 + dice_below(&w->dice, BIG_SIZE);
    uint64_t seed = dice_next(&w->dice), *value = grab(size);
    char name[64];
    luge_txn *txn;
    value[0] = seed;
    value[1] = size;
    pattern_fill(value + 2, size - 16, seed);
    if (!begin(w, flags, &txn)) {
        uint32_t i = dice_below(&w->dice, BIG_KEYS);
        luge_bytes key = name_of(name, "big", i, 0);
        if (step(w, flags, luge_put(txn, w->big, key,
                                    luge_bytes_of(value, size)), "luge_put"))
            commit(w, txn, flags);
        else luge_abort(txn);
    }
    free(value);
}

static void big_look(struct worker *w, luge_txn *txn)
{
    char name[64];
    luge_bytes value;
    uint32_t i = dice_below(&w->dice, BIG_KEYS);
    int rc = luge_get(txn, w->big, name_of(name, "big", i, 0), &value);
    if (rc == LUGE_NOTFOUND) return;
    must(w, rc, "reading a big value");
    uint64_t head[2] = {0, 0}, *good = grab(value.size);
    if (value.size >= 16) memcpy(head, value.data, 16);
    if (head[1] != value.size) failed(w, "K1: a big value is cut");
    pattern_fill(good, value.size - 16, head[0]);
    if (memcmp((const char *)value.data + 16, good, value.size - 16))
        failed(w, "K1: a big value is of two transactions");
    free(good);
}

/* A token goes from the one tree to the other. */
static void work_token(struct worker *w)
{
    unsigned flags = some_flags(w), from = dice_below(&w->dice, 2);
    luge_bytes key, value;
    luge_txn *txn;
    if (begin(w, flags, &txn)) return;
    int rc = dice_chance(&w->dice, 50)
                 ? luge_pop_min(txn, w->tokens[from], &key, &value)
                 : luge_pop_max(txn, w->tokens[from], &key, &value);
    if (rc == LUGE_NOTFOUND ||
        !step(w, flags, rc, "taking a token") ||
        !step(w, flags, luge_add(txn, w->tokens[1 - from], key, value),
              "giving a token"))
        luge_abort(txn);
    else commit(w, txn, flags);
}

/* A tree of one's own that comes and goes with its content. */
static void work_tree(struct worker *w)
{
    unsigned flags = some_flags(w);
    char name[64], key[64];
    luge_tree tree;
    luge_txn *txn;
    uint64_t zero[40] = {0};
    if (begin(w, flags, &txn)) return;
    luge_bytes own = name_of(name, "own", w->number, 0);
    int rc = luge_tree_open(txn, own, 0, &tree);
    bool there = rc != LUGE_NOTFOUND;
    if (there && !rc) rc = luge_tree_drop(txn, tree);
    else if (!there) rc = luge_tree_open(txn, own, LUGE_TREE_CREATE, &tree);
    for (uint64_t i = 0; i < 50 && !there && !rc; i++)
        rc = luge_put(txn, tree, name_of(key, "k", i, i),
                      luge_bytes_of(zero, sizeof zero));
    if (step(w, flags, rc, "making or dropping a tree")) commit(w, txn, flags);
    else luge_abort(txn);
}

/* -------------------------------------------------------------- looking -- */

static uint64_t accounts_in(struct worker *w, luge_txn *txn, luge_tree tree)
{
    luge_cursor *c;
    luge_bytes key, value;
    uint64_t sum = 0, count = 0, seen = 0;
    int rc;
    must(w, luge_cursor_open(txn, tree, &c), "luge_cursor_open");
    must(w, luge_cursor_prefix(c, luge_str("account/")), "luge_cursor_prefix");
    while (!(rc = luge_cursor_next(c, &key, &value))) {
        sum += number_at(value);
        seen = digest(digest(seen, key.data, key.size), value.data, value.size);
        count++;
    }
    if (rc != LUGE_NOTFOUND) must(w, rc, "luge_cursor_next");
    luge_cursor_close(c);
    if (count != ACCOUNTS || sum != ACCOUNTS * BALANCE)
        failed(w, "K1: %llu accounts have %llu", (unsigned long long)count,
               (unsigned long long)sum);
    return seen;
}

static uint64_t accounts_look(struct worker *w, luge_txn *txn)
{
    return accounts_in(w, txn, LUGE_MAIN);
}

/* What was forked and what was kept by a snapshot of the same transaction. */
static int forks_look(struct worker *w, luge_txn *txn, luge_bytes own,
                      luge_tree fork)
{
    luge_tree kept;
    uint64_t forked = accounts_in(w, txn, fork);
    int rc = luge_snapshot_open(txn, own, luge_str("main"), &kept);
    if (!rc && accounts_in(w, txn, kept) != forked)
        failed(w, "K1: a fork and a snapshot of one moment differ");
    return rc;
}

static void work_fork(struct worker *w)
{
    unsigned flags = some_flags(w);
    char name[64];
    luge_tree fork;
    luge_txn *txn;
    if (begin(w, flags, &txn)) return;
    luge_bytes own = name_of(name, "fork", w->number, 0);
    int rc = luge_tree_open(txn, own, 0, &fork);
    if (rc == LUGE_NOTFOUND) {
        rc = luge_fork(txn, luge_str("main"), own, NULL);
        if (!rc) rc = luge_snapshot(txn, luge_str(""), own);
    } else if (!rc) {
        rc = forks_look(w, txn, own, fork);
        if (!rc) rc = luge_tree_drop(txn, fork);
        if (!rc) rc = luge_snapshot_drop(txn, own);
    }
    if (step(w, flags, rc, "forking or dropping")) commit(w, txn, flags);
    else luge_abort(txn);
}

static void multi_look(struct worker *w, luge_txn *txn)
{
    for (uint64_t key = 0; key < MULTI_KEYS; key++) {
        uint64_t stamps[MULTI_TREES];
        char name[64];
        luge_bytes value;
        for (int i = 0; i < MULTI_TREES; i++) {
            int rc = luge_get(txn, w->multi[i], name_of(name, "multi", key, 0),
                              &value);
            if (rc && rc != LUGE_NOTFOUND) must(w, rc, "luge_get");
            stamps[i] = rc ? 0 : number_at(value);
            if (stamps[i] != stamps[0])
                failed(w, "K1: a transaction over %d trees is there in part",
                       MULTI_TREES);
        }
    }
}

static void tokens_look(struct worker *w, luge_txn *txn)
{
    uint64_t a, b;
    must(w, luge_tree_count(txn, w->tokens[0], &a), "luge_tree_count");
    must(w, luge_tree_count(txn, w->tokens[1], &b), "luge_tree_count");
    if (a + b != TOKENS) failed(w, "K1: %llu tokens",
                                (unsigned long long)(a + b));
}

static void work_look(struct worker *w)
{
    unsigned other = dice_below(&w->dice, w->storm->workers);
    uint64_t key = dice_below(&w->dice, RING);
    uint64_t acked = atomic_load(&w->storm->board->places[other].acked[key]);
    luge_txn *txn;
    if (begin(w, LUGE_READ, &txn)) return;
    uint64_t seen = accounts_look(w, txn);
    ack_look(w, txn, other, key, acked);
    multi_look(w, txn);
    tokens_look(w, txn);
    big_look(w, txn);
    if (dice_chance(&w->dice, 20)) nap_us(dice_below(&w->dice, 20000));
    if (accounts_look(w, txn) != seen) failed(w, "K1: a snapshot changed");
    luge_abort(txn);
}

static void work_id(struct worker *w)
{
    struct board *b = w->storm->board;
    uint64_t before = atomic_load(&b->id_max), id = 0, max;
    must(w, TIMED(w, NEXT_ID, luge_next_id(w->db, &id)), "luge_next_id");
    if (id <= before)
        failed(w, "id %llu after %llu", (unsigned long long)id,
               (unsigned long long)before);
    for (max = before; max < id;)
        if (atomic_compare_exchange_weak(&b->id_max, &max, id)) break;
}

/* A call that takes the turn may have lost it in a stop. */
static void must_unless_stopped(struct worker *w, int rc, const char *what)
{
    if (was_stopped(w) && (rc == LUGE_CONFLICT || rc == LUGE_BUSY))
        w->place->evicted++;
    else must(w, rc, what);
}

static void work_house(struct worker *w)
{
    uint32_t roll = dice_below(&w->dice, 100);
    w->stops_seen = atomic_load(&w->place->stops);
    if (roll < 35) {
        int rc = TIMED(w, CHECKPOINT, luge_checkpoint(w->db));
        must_unless_stopped(w, rc, "luge_checkpoint");
    } else if (roll < 70) {
        must(w, TIMED(w, SYNC, luge_sync(w->db)), "luge_sync");
    } else if (roll < 75) {
        int rc = TIMED(w, CHECK, luge_check(w->db, NULL, NULL));
        must_unless_stopped(w, rc, "luge_check");
    } else {
        db_close(w);
        db_open(w);
    }
}

/* ------------------------------------------------------ a worker's life -- */

static luge_tree tree_named(struct worker *w, luge_txn *txn, const char *name)
{
    luge_tree tree;
    unsigned flags = w->number == WORKERS_MAX ? LUGE_TREE_CREATE : 0;
    must(w, luge_tree_open(txn, luge_str(name), flags, &tree), name);
    return tree;
}

static void trees_open(struct worker *w, luge_txn *txn)
{
    char name[32];
    w->lists = tree_named(w, txn, "lists");
    w->rows = tree_named(w, txn, "rows");
    w->acks = tree_named(w, txn, "acks");
    w->big = tree_named(w, txn, "big");
    w->tokens[0] = tree_named(w, txn, "tokens/a");
    w->tokens[1] = tree_named(w, txn, "tokens/b");
    for (int i = 0; i < MULTI_TREES; i++) {
        sprintf(name, "multi/%d", i);
        w->multi[i] = tree_named(w, txn, name);
    }
}

static void worker_open(struct worker *w, struct storm *s, unsigned number)
{
    luge_txn *txn;
    memset(w, 0, sizeof *w);
    w->storm = s;
    w->number = number;
    w->place = &s->board->places[number % WORKERS_MAX];
    w->records = s->records[number % WORKERS_MAX];
    w->sched = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
    w->dice = dice_of(s->seed, number + 1000 * atomic_load(&w->place->lives));
    db_open(w);
    unsigned flags = number == WORKERS_MAX ? LUGE_TURN : LUGE_READ;
    while (begin(w, flags, &txn)) continue;
    trees_open(w, txn);
    if (luge_commit(txn)) failed(w, "making the trees");
}

static const struct {
    unsigned weight;
    void (*work)(struct worker *);
} works[] = {
    {20, work_transfer}, {28, work_list}, {18, work_ack}, {6, work_count},
    {8, work_multi}, {3, work_big}, {5, work_token}, {2, work_tree},
    {12, work_look}, {3, work_id}, {1, work_house}, {4, work_fork},
};

static void worker_turn(struct worker *w)
{
    unsigned sum = 0, at = 0;
    for (size_t i = 0; i < COUNT_OF(works); i++) sum += works[i].weight;
    uint32_t roll = dice_below(&w->dice, sum);
    while (roll >= works[at].weight) roll -= works[at++].weight;
    works[at].work(w);
}

static void worker_live(struct storm *s, unsigned number)
{
    struct worker w;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    worker_open(&w, s, number);
    while (!atomic_load(&s->board->stop)) worker_turn(&w);
    db_close(&w);
    _exit(0);
}

/* The first content, by a process that is gone before the storm. */
static void setup(struct storm *s)
{
    struct worker w;
    char name[64];
    luge_txn *txn;
    uint64_t balance = BALANCE;
    worker_open(&w, s, WORKERS_MAX);
    begin(&w, LUGE_TURN, &txn);
    for (uint64_t i = 0; i < ACCOUNTS; i++)
        must(&w, luge_put(txn, LUGE_MAIN, name_of(name, "account", i, 0),
                          luge_bytes_of(&balance, 8)), "luge_put");
    for (uint64_t i = 0; i < TOKENS; i++)
        must(&w, luge_put(txn, w.tokens[0], name_of(name, "token", i, 0),
                          luge_str("token")), "luge_put");
    must(&w, luge_commit(txn), "luge_commit");
    db_close(&w);
    _exit(0);
}

/* --------------------------------------------------------------- parent -- */

static void all_end(struct storm *s)
{
    for (unsigned i = 0; i < s->workers; i++)
        if (s->pids[i]) {
            kill(s->pids[i], SIGKILL);
            waitpid(s->pids[i], NULL, 0);
            s->pids[i] = 0;
        }
}

static void lost(struct storm *s, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
static void lost(struct storm *s, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "crash_storm: ");
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n  again: crash_storm --seed %llu --seconds %.0f "
            "--processes %u%s%s (moments differ from run to run)\n",
            (unsigned long long)s->seed, s->seconds, s->workers,
            s->kills ? "" : " --no-kills", s->stops ? "" : " --no-stops");
    va_end(list);
    all_end(s);
    if (s->keep) fprintf(stderr, "  the database: %s\n", s->path);
    else scratch_remove(s->base);
    exit(1);
}

static void start(struct storm *s, unsigned i)
{
    fflush(NULL);
    atomic_fetch_add(&s->board->places[i].lives, 1);
    atomic_store(&s->board->places[i].call_ns, 0);
    s->resume_ns[i] = s->restart_ns[i] = 0;
    s->pids[i] = fork();
    if (s->pids[i] < 0) die("no fork");
    if (!s->pids[i]) worker_live(s, i);
}

/* Where a process hangs, for the one who must find out why. */
static void where(pid_t pid)
{
    static const char *const files[] = {"wchan", "syscall", "stack"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char path[64], text[512];
        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, files[i]);
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        if (n > 0) fprintf(stderr, "  %s: %.*s\n", files[i], (int)n, text);
    }
}

static void look_after(struct storm *s, unsigned i)
{
    struct place *p = &s->board->places[i];
    int status;
    if (!s->pids[i]) {
        if (now_ns() >= s->restart_ns[i]) start(s, i);
        return;
    }
    if (s->resume_ns[i] && now_ns() >= s->resume_ns[i]) {
        atomic_fetch_add(&p->stopped_ns, now_ns() - s->stopped_at[i]);
        atomic_fetch_add(&p->stops, 1);
        s->resume_ns[i] = 0;
        kill(s->pids[i], SIGCONT);
    }
    if (waitpid(s->pids[i], &status, WNOHANG) == s->pids[i]) {
        s->pids[i] = 0;
        if (atomic_load(&p->failed)) lost(s, "worker %u: %s", i, p->why);
        if (WIFSIGNALED(status))
            lost(s, "worker %u died of signal %d in %s", i, WTERMSIG(status),
                 call_names[atomic_load(&p->call)]);
        lost(s, "worker %u left with %d", i, WEXITSTATUS(status));
    }
    uint64_t since = atomic_load(&p->call_ns);
    if (since && !s->resume_ns[i] &&
        now_ns() - since > (uint64_t)HANG_S * 1000000000u) {
        where(s->pids[i]);
        lost(s, "worker %u hangs in %s", i, call_names[atomic_load(&p->call)]);
    }
}

static void strike(struct storm *s, unsigned i, struct dice *d)
{
    if (!s->pids[i]) return;
    kill(s->pids[i], SIGKILL);
    int status;
    waitpid(s->pids[i], &status, 0);
    /* it may have had time to complain before */
    if (atomic_load(&s->board->places[i].failed)) {
        s->pids[i] = 0;
        lost(s, "worker %u: %s", i, s->board->places[i].why);
    }
    s->pids[i] = 0;
    s->kill_count++;
    s->restart_ns[i] = now_ns();
    if (dice_chance(d, 30)) s->restart_ns[i] += dice_below(d, 100) * 1000000u;
}

static void halt(struct storm *s, unsigned i, struct dice *d)
{
    uint64_t ms = dice_chance(d, 50)   ? dice_below(d, 50)
                  : dice_chance(d, 80) ? dice_below(d, 500)
                                       : dice_below(d, STOP_MS_MAX);
    unsigned running = 0;
    for (unsigned j = 0; j < s->workers; j++)
        running += s->pids[j] && !s->resume_ns[j];
    if (!s->pids[i] || s->resume_ns[i] || running < 3) return;
    atomic_fetch_add(&s->board->places[i].stops, 1);
    s->stopped_at[i] = now_ns();
    kill(s->pids[i], SIGSTOP);
    s->resume_ns[i] = s->stopped_at[i] + ms * 1000000u + 1;
    s->stop_count++;
}

static void disturb(struct storm *s, struct dice *d)
{
    uint32_t roll = dice_below(d, 100), i = dice_below(d, s->workers);
    if (roll < 60 && s->kills) strike(s, i, d);
    else if (roll < 65 && s->kills) {
        strike(s, i, d);
        strike(s, (i + 1) % s->workers, d);
    } else if (roll < 67 && s->kills) {
        for (unsigned j = 0; j < s->workers; j++) strike(s, j, d);
    } else if (roll >= 67 && s->stops) halt(s, i, d);
}

static void progress(struct storm *s, uint64_t from)
{
    uint64_t transactions = 0, calls = 0;
    for (unsigned i = 0; i < s->workers; i++) {
        transactions += s->board->places[i].transactions;
        calls += s->board->places[i].calls;
    }
    char db[620], log[620];
    snprintf(db, sizeof db, "%s/db", s->path);
    snprintf(log, sizeof log, "%s/log", s->path);
    printf("  %5.0f s: %llu transactions, %llu calls, %llu kills, %llu stops,"
           " db %llu KiB, log %llu KiB\n", (double)(now_ns() - from) / 1e9,
           (unsigned long long)transactions, (unsigned long long)calls,
           (unsigned long long)s->kill_count,
           (unsigned long long)s->stop_count,
           (unsigned long long)tree_size(db) / 1024,
           (unsigned long long)tree_size(log) / 1024);
    fflush(stdout);
}

static void rage(struct storm *s)
{
    struct dice d = dice_of(s->seed, 1u << 20);
    uint64_t from = now_ns(), told = from, next = from;
    for (unsigned i = 0; i < s->workers; i++) start(s, i);
    while (now_ns() < s->until_ns) {
        for (unsigned i = 0; i < s->workers; i++) look_after(s, i);
        if (now_ns() >= next) {
            disturb(s, &d);
            next = now_ns() + (1 + dice_below(&d, 40)) * 1000000u;
        }
        if (s->seconds > 60 && now_ns() - told > 10000000000u) {
            progress(s, from);
            told = now_ns();
        }
        nap_us(500);
    }
    progress(s, from);
}

/* All may finish what they do; nobody is disturbed any more. */
static void calm(struct storm *s)
{
    uint64_t until = now_ns() + (uint64_t)HANG_S * 1000000000u;
    atomic_store(&s->board->stop, 1);
    for (unsigned i = 0; i < s->workers; i++) {
        if (!s->pids[i]) continue;
        if (s->resume_ns[i])
            atomic_fetch_add(&s->board->places[i].stopped_ns,
                             now_ns() - s->stopped_at[i]);
        kill(s->pids[i], SIGCONT);
    }
    for (unsigned i = 0; i < s->workers; i++) {
        int status = 0;
        while (s->pids[i] && !waitpid(s->pids[i], &status, WNOHANG)) {
            if (now_ns() > until) {
                where(s->pids[i]);
                lost(s, "worker %u does not come to its end (%s)", i,
                     call_names[atomic_load(&s->board->places[i].call)]);
            }
            nap_us(1000);
        }
        s->pids[i] = 0;
        if (atomic_load(&s->board->places[i].failed))
            lost(s, "worker %u: %s", i, s->board->places[i].why);
        if (status) lost(s, "worker %u ended with status %#x", i,
                         (unsigned)status);
    }
}

/* ------------------------------------------------------------ afterwards -- */

static int earlier_end(const void *a, const void *b)
{
    const struct record *const *x = a, *const *y = b;
    return ((*x)->end_ns > (*y)->end_ns) - ((*x)->end_ns < (*y)->end_ns);
}

static int earlier_begin(const void *a, const void *b)
{
    const struct record *const *x = a, *const *y = b;
    return ((*x)->begin_ns > (*y)->begin_ns) -
           ((*x)->begin_ns < (*y)->begin_ns);
}

/* The newest commit that is known from this answer: its own, or one it saw. */
static uint64_t told(const struct record *r)
{
    return r->commit > r->snapshot ? r->commit : r->snapshot;
}

/* K2, by numbers: who begins after a transaction has answered has a snapshot
 * that is not older than what that one made or saw. */
static void judge_snapshots(struct storm *s)
{
    const struct record **ends, **begins, *newest = NULL;
    size_t count = 0, ended = 0;
    for (unsigned i = 0; i < s->workers; i++)
        count += s->board->places[i].records;
    ends = grab((count + 1) * sizeof *ends);
    count = 0;
    for (unsigned i = 0; i < s->workers; i++)
        for (uint64_t n = 0; n < s->board->places[i].records; n++)
            if (s->records[i][n].fate == SERIAL_LANDED)
                ends[count++] = &s->records[i][n];
    begins = grab((count + 1) * sizeof *begins);
    memcpy(begins, ends, count * sizeof *begins);
    qsort(ends, count, sizeof *ends, earlier_end);
    qsort(begins, count, sizeof *begins, earlier_begin);
    for (size_t i = 0; i < count; i++) {
        const struct record *r = begins[i];
        for (; ended < count && ends[ended]->end_ns < r->begin_ns; ended++)
            if (!newest || told(ends[ended]) > told(newest))
                newest = ends[ended];
        if (newest && r->snapshot < told(newest))
            lost(s, "K2: a transaction (flags %x) saw %llu, %llu ns after one "
                 "(flags %x) had answered that saw %llu and became %llu",
                 r->flags, (unsigned long long)r->snapshot,
                 (unsigned long long)(r->begin_ns - newest->end_ns),
                 newest->flags, (unsigned long long)newest->snapshot,
                 (unsigned long long)newest->commit);
    }
    free(ends);
    free(begins);
}

static void judge_lists(struct storm *s, struct worker *w, luge_txn *txn)
{
    uint64_t values[LIST_LENGTH + 1], length;
    uint64_t lists = atomic_load(&s->board->list_base) + WINDOW;
    struct serial *h = serial_new();
    struct serial_figures f;
    uint64_t from = now_ns();
    for (unsigned i = 0; i < s->workers; i++) {
        uint64_t count = atomic_load(&s->board->places[i].records);
        for (uint64_t n = 0; n < count; n++) {
            const struct record *r = &s->records[i][n];
            uint32_t t = serial_txn(h, i, r->begin_ns, r->end_ns, r->fate);
            for (uint32_t j = 0; j < r->count; j++) {
                const struct event *e = &r->events[j];
                if (e->append) serial_append(h, t, e->list, e->value);
                else serial_read(h, t, e->list, e->view);
            }
        }
    }
    for (uint64_t list = 0; list < lists; list++) {
        must(w, list_read(w, txn, list, values, &length), "reading a list");
        serial_final(h, list, values, length);
    }
    judge_snapshots(s);
    enum serial_anomaly a = serial_judge(h, stderr, &f);
    printf("  history: %llu transactions, %llu landed and %llu of the unknown,"
           " %llu appends to %llu lists, %llu edges: %s (%.1f s)\n",
           (unsigned long long)f.txns, (unsigned long long)f.landed,
           (unsigned long long)f.unknown_landed, (unsigned long long)f.appends,
           (unsigned long long)f.lists, (unsigned long long)f.edges,
           a ? serial_text(a) : "serializable",
           (double)(now_ns() - from) / 1e9);
    serial_free(h);
    if (a) lost(s, "K2: %s", serial_text(a));
}

static void judge_counter(struct storm *s, struct worker *w, luge_txn *txn)
{
    uint64_t tried = 0, acked = 0, n;
    luge_bytes value = {0};
    for (unsigned i = 0; i < s->workers; i++) {
        tried += atomic_load(&s->board->places[i].counts_tried);
        acked += atomic_load(&s->board->places[i].counts_acked);
    }
    int rc = luge_get(txn, LUGE_MAIN, luge_str("counter"), &value);
    if (rc && (rc != LUGE_NOTFOUND || acked)) must(w, rc, "the counter");
    n = number_at(value);
    if (n < acked || n > tried)
        lost(s, "K1: the counter is %llu, acknowledged %llu, tried %llu",
             (unsigned long long)n, (unsigned long long)acked,
             (unsigned long long)tried);
}

static uint64_t live_bytes(struct worker *w, luge_txn *txn)
{
    char room[LUGE_NAME_SIZE_MAX];
    luge_bytes name = luge_bytes_of(room, 0), key, value;
    luge_tree tree;
    uint64_t sum = 0;
    int rc;
    while (!(rc = luge_tree_after(txn, name, &name, &tree))) {
        luge_cursor *c;
        memcpy(room, name.data, name.size);
        name.data = room;
        must(w, luge_cursor_open(txn, tree, &c), "luge_cursor_open");
        while (!(rc = luge_cursor_next(c, &key, &value)))
            sum += key.size + value.size;
        if (rc != LUGE_NOTFOUND) must(w, rc, "reading all");
        luge_cursor_close(c);
    }
    return sum;
}

/* K4. */
static void judge_house(struct storm *s, struct worker *w, uint64_t live)
{
    struct luge_stats t;
    char log[620];
    must(w, luge_check(w->db, NULL, NULL), "luge_check at the end");
    must(w, luge_stat(w->db, &t), "luge_stat");
    snprintf(log, sizeof log, "%s/log", s->path);
    printf("  at the end: %llu KiB live, db %llu KiB, log %llu KiB, "
           "%llu takeovers; of %llu pages %llu free, %llu pending\n",
           (unsigned long long)live / 1024,
           (unsigned long long)t.file_bytes / 1024,
           (unsigned long long)tree_size(log) / 1024,
           (unsigned long long)t.takeovers,
           (unsigned long long)t.pages_total,
           (unsigned long long)t.pages_free,
           (unsigned long long)t.pages_pending);
    if (t.processes != 1 || t.readers)
        lost(s, "K4: %u seats and %u readers are left", t.processes,
             t.readers);
#ifdef LUGE_HARD
    uint64_t most = (96u << 20) + 8 * live;     /* four keys to a page */
#else
    uint64_t most = (32u << 20) + 8 * live;
#endif
    if (t.file_bytes > most)
        lost(s, "K4: %llu bytes of file for %llu of content",
             (unsigned long long)t.file_bytes, (unsigned long long)live);
    if (tree_size(log) > 128u << 20)
        lost(s, "K4: the log has %llu bytes",
             (unsigned long long)tree_size(log));
}

static void times_print(struct storm *s)
{
    uint64_t evicted = 0, conflicts = 0;
    printf("  longest calls, ms:");
    for (int call = 1; call < CALL_KINDS; call++) {
        uint64_t longest = 0;
        for (unsigned i = 0; i < s->workers; i++)
            if (s->board->places[i].longest_ns[call] > longest)
                longest = s->board->places[i].longest_ns[call];
        if (longest)
            printf(" %s %.0f", call_names[call], (double)longest / 1e6);
    }
    for (unsigned i = 0; i < s->workers; i++) {
        evicted += s->board->places[i].evicted;
        conflicts += s->board->places[i].conflicts;
    }
    printf("\n  %llu conflicts, %llu lost the turn while stopped\n",
           (unsigned long long)conflicts, (unsigned long long)evicted);
}

/* The judgement needs the database, and no worker may come after it. */
static void judge(struct storm *s)
{
    struct worker w;
    luge_txn *txn;
    uint64_t from = now_ns();
    s->wait_max_ns = 60000000000u;
    worker_open(&w, s, WORKERS_MAX + 1);
    printf("  opened in %.1f ms\n", (double)(now_ns() - from) / 1e6);
    begin(&w, LUGE_READ, &txn);
    accounts_look(&w, txn);
    multi_look(&w, txn);
    tokens_look(&w, txn);
    for (unsigned i = 0; i < s->workers; i++)
        for (uint64_t key = 0; key < RING; key++)
            ack_look(&w, txn, i, key,
                     atomic_load(&s->board->places[i].acked[key]));
    judge_counter(s, &w, txn);
    judge_lists(s, &w, txn);
    uint64_t live = live_bytes(&w, txn);
    luge_abort(txn);
    judge_house(s, &w, live);
    db_close(&w);
}

/* A child of its own for the judge, too: a failed() must not end the parent. */
static void in_child(struct storm *s, void (*what)(struct storm *),
                     unsigned place)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) die("no fork");
    if (!pid) {
        what(s);
        fflush(NULL);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    struct place *p = &s->board->places[place % WORKERS_MAX];
    if (atomic_load(&p->failed)) lost(s, "%s", p->why);
    if (status) lost(s, "it ended with status %#x", (unsigned)status);
}

/* ----------------------------------------------------------------- main -- */

static void *shared(const char *path, size_t size)
{
    int fd = -1, flags = MAP_SHARED | MAP_ANONYMOUS;
    if (path) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, (off_t)size)) die("no room for %s", path);
        flags = MAP_SHARED;
    }
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED) die("no shared memory");
    if (fd >= 0) close(fd);
    return p;
}

static void prepare(struct storm *s, enum scratch_where where)
{
    char path[620];
    s->base = scratch_make(where);
    snprintf(s->path, sizeof s->path, "%s/db", s->base);
    s->board = shared(NULL, sizeof *s->board);
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        for (unsigned j = 0; j < RING; j++)   /* 0 is: nothing acknowledged */
            atomic_store(&s->board->places[i].put_next, 1);
    for (unsigned i = 0; i < s->workers; i++) {
        snprintf(path, sizeof path, "%s/history-%u", s->base, i);
        s->records[i] = shared(path, sizeof(struct record) * RECORDS_MAX);
    }
}

static double number(const char *text)
{
    char *end;
    double n = text ? strtod(text, &end) : -1;
    if (n < 0 || !*text || *end) die("not a number: %s", text ? text : "");
    return n;
}

static enum scratch_where parse(struct storm *s, int argc, char **argv)
{
    enum scratch_where where = SCRATCH_FAST;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *b = argv[i + 1];
        if (!strcmp(a, "--no-stops")) s->stops = false;
        else if (!strcmp(a, "--no-kills")) s->kills = false;
        else if (!strcmp(a, "--disk")) where = SCRATCH_DISK;
        else if (!strcmp(a, "--keep")) s->keep = true;
        else if (!strcmp(a, "--minutes")) s->seconds = number(b) * 60, i++;
        else if (!strcmp(a, "--seconds")) s->seconds = number(b), i++;
        else if (!strcmp(a, "--seed")) s->seed = (uint64_t)number(b), i++;
        else if (!strcmp(a, "--processes"))
            s->workers = (unsigned)number(b), i++;
        else if (!strcmp(a, "--wait-max-ms"))
            s->wait_max_ns = (uint64_t)(number(b) * 1e6), i++;
        else die("usage: crash_storm [--minutes M | --seconds S] "
                 "[--processes P] [--seed N] [--wait-max-ms MS] [--no-stops] "
                 "[--no-kills] [--disk] [--keep]");
    }
    if (s->workers < 1 || s->workers >= WORKERS_MAX)
        die("1 to %d processes", WORKERS_MAX - 1);
    return where;
}

int main(int argc, char **argv)
{
    static struct storm s;
    const char *length = getenv("LUGE_TEST");
    s.seed = now_ns() / 1000 % 1000000;
    s.workers = 8;
    s.kills = s.stops = true;
    s.wait_max_ns = 1000000000u;
    s.seconds = 20;
    if (length && !strcmp(length, "short")) s.seconds = 8;
    if (length && !strcmp(length, "long")) s.seconds = 600;
    enum scratch_where where = parse(&s, argc, argv);
    printf("crash_storm: seed %llu, %u processes, %.0f s\n",
           (unsigned long long)s.seed, s.workers, s.seconds);
    prepare(&s, where);
    in_child(&s, setup, WORKERS_MAX);
    s.until_ns = now_ns() + (uint64_t)(s.seconds * 1e9);
    rage(&s);
    calm(&s);
    times_print(&s);
    in_child(&s, judge, WORKERS_MAX + 1);
    if (s.keep) printf("  the database: %s\n", s.path);
    else scratch_remove(s.base);
    return 0;
}
