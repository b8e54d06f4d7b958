/* test/crash_event.c -- events from processes that are killed; and, with
 * --figures, how fast events are appended and replayed.
 *
 *   writers   append to a stream of their own and to one they all share, both
 *             in one transaction; each event says its number in its stream
 *   counter   a projection that counts, run by two processes at once
 * The parent kills them at random and starts them anew.  In the end:
 *   positions and versions are dense, and each is where it says (E1, E2);
 *   every event of a stream has its partner in the shared one (all or none);
 *   a query of each stream, of the type and by time gives each event once;
 *   the projection has counted each event once (E5);  luge_check is content.
 *
 *   crash_event --figures [--disk]     durable appends of 16 writers, batches
 *                                      without waiting, replay
 * Not here: the single functions (test_event.c).
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

#include "luge_event.h"
#include "support.h"

enum {
    WRITERS = 16, COUNTERS = 2, CREW = WRITERS + COUNTERS, KILL_EVERY_MS = 8,
    BATCH = 500, FIGURE_MS = 3000, REPLAYED = 1000000,
};

struct shared { _Atomic uint64_t appended, kills, stop; };

struct crew {
    struct shared *shared;
    char *base, path[600];
    uint64_t seed, rounds, generation;
    pid_t pids[CREW];
};

static void fine(int rc, const char *what)
{
    if (rc) die("%s: %d (%s)", what, rc, luge_last_error()->text);
}
#define FINE(call) fine((call), #call)

static luge_db *join(const struct crew *c, struct luge_events *events)
{
    luge_db *db;
    FINE(luge_open(c->path, NULL, &db));
    FINE(luge_events_open_now(db, luge_str("events"), LUGE_TREE_CREATE,
                              events));
    return db;
}

static luge_bytes stream_name(char name[24], uint32_t number)
{
    snprintf(name, 24, "writer-%u", number);
    return luge_str(name);
}

/* --------------------------------------------------------------- writers -- */

struct appending { const struct luge_events *events; luge_bytes stream; };

static int append_in(luge_txn *txn, void *context)
{
    const struct appending *a = context;
    struct luge_event_place last;
    int rc = luge_event_last(txn, a->events, a->stream, &last);
    if (rc) return rc;
    uint64_t number = last.version + 1;
    struct luge_event e = {.type = luge_str("note"),
                           .payload = luge_bytes_of(&number, 8),
                           .correlation = a->stream};
    rc = luge_event_append(txn, a->events, a->stream, last.version, &e, 1,
                           NULL);
    if (rc) return rc;
    return luge_event_append(txn, a->events, luge_str("shared"),
                             LUGE_EVENT_ANY, &e, 1, NULL);
}

/* Until its stream has as many events as it should, in this life or another. */
static void writer(const struct crew *c, uint32_t number, struct dice *d)
{
    struct luge_events events;
    luge_db *db = join(c, &events);
    char name[24];
    struct appending a = {&events, stream_name(name, number)};
    struct luge_event_place last;
    for (;;) {
        luge_txn *txn;
        FINE(luge_begin(db, LUGE_READ, &txn));
        FINE(luge_event_last(txn, &events, a.stream, &last));
        luge_abort(txn);
        if (last.version >= c->rounds) break;
        unsigned how = dice_chance(d, 50) ? LUGE_TXN_ASYNC : LUGE_TXN_FULL;
        if (dice_chance(d, 90)) how |= LUGE_TURN;
        FINE(luge_transact(db, how, append_in, &a));
        if (dice_chance(d, 30)) nap_us(dice_below(d, 500));
    }
    FINE(luge_close(db));
}

/* -------------------------------------------------------------- counters -- */

static int count_in(luge_txn *txn, const struct luge_event *event,
                    void *context)
{
    uint64_t one = 1;
    (void)context;
    return luge_combine(txn, LUGE_MAIN, event->stream, "add",
                        luge_bytes_of(&one, 8), NULL);
}

static uint64_t wanted(const struct crew *c)
{
    uint64_t each = c->rounds * WRITERS;
    return 2 * each;
}

static void counter(const struct crew *c, struct dice *d)
{
    struct luge_events events;
    luge_db *db = join(c, &events);
    luge_projection *p;
    uint64_t position = 0;
    size_t count;
    FINE(luge_projection_open(db, &events, luge_str("count"), NULL, &p));
    do {
        luge_txn *txn;
        int rc = luge_projection_run(p, LUGE_TXN_ASYNC, 100,
                                     1 + dice_below(d, 200), count_in, NULL,
                                     &count);
        if (rc != LUGE_TIMEOUT) fine(rc, "run");
        FINE(luge_begin(db, LUGE_READ, &txn));
        rc = luge_projection_position(txn, &events, luge_str("count"),
                                      &position);
        if (rc != LUGE_NOTFOUND) fine(rc, "position");
        luge_abort(txn);
    } while (position < wanted(c));
    luge_projection_close(p);
    FINE(luge_close(db));
}

/* ------------------------------------------------------------ the parent -- */

static pid_t start(struct crew *c, uint32_t number)
{
    struct dice d = dice_of(c->seed, 10 + c->generation++);
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (number < WRITERS) writer(c, number, &d);
    else counter(c, &d);
    _exit(0);
}

/* Whether one that is not running has done its work; others are started. */
static int has_ended(struct crew *c, uint32_t i)
{
    int status;
    if (!c->pids[i]) return 1;
    if (waitpid(c->pids[i], &status, WNOHANG) != c->pids[i]) return 0;
    if (status) die("seed %llu: process %u ended with %d",
                    (unsigned long long)c->seed, i, status);
    c->pids[i] = 0;
    return 1;
}

static void run(struct crew *c)
{
    struct dice d = dice_of(c->seed, 0);
    uint32_t ended = 0;
    for (uint32_t i = 0; i < CREW; i++) c->pids[i] = start(c, i);
    while (ended < CREW) {
        nap_us(1000 * (1 + dice_below(&d, 2 * KILL_EVERY_MS)));
        ended = 0;
        for (uint32_t i = 0; i < CREW; i++) ended += (uint32_t)has_ended(c, i);
        uint32_t one = dice_below(&d, CREW);
        if (!c->pids[one]) continue;
        c->shared->kills++;
        kill(c->pids[one], SIGKILL);
        waitpid(c->pids[one], NULL, 0);
        c->pids[one] = start(c, one);
    }
}

/* --------------------------------------------------------------- the end -- */

struct tally { uint64_t own[WRITERS], shared[WRITERS], shared_last; };

static void judge_event(const struct crew *c, struct tally *t,
                        const struct luge_event *e, uint64_t position)
{
    unsigned who = WRITERS;
    char name[32];
    uint64_t number;
    if (e->position != position) die("seed %llu: position %llu, not %llu",
                                     (unsigned long long)c->seed,
                                     (unsigned long long)e->position,
                                     (unsigned long long)position);
    snprintf(name, sizeof(name), "%.*s", (int)e->correlation.size,
             (const char *)e->correlation.data);
    if (sscanf(name, "writer-%u", &who) != 1 || who >= WRITERS)
        die("an event of %s", name);
    memcpy(&number, e->payload.data, 8);
    if (e->stream.size == 6) {
        if (++t->shared_last != e->version || number != ++t->shared[who])
            die("position %llu is misplaced", (unsigned long long)position);
    } else if (++t->own[who] != e->version || number != e->version) {
        die("position %llu is misplaced", (unsigned long long)position);
    }
}

static void judge_count(luge_txn *txn, const char *stream, uint64_t wants)
{
    luge_bytes value;
    uint64_t count;
    FINE(luge_get(txn, LUGE_MAIN, luge_str(stream), &value));
    memcpy(&count, value.data, 8);
    if (count != wants) die("%s was counted %llu times, not %llu", stream,
                            (unsigned long long)count,
                            (unsigned long long)wants);
}

/* The indices, and what is in none yet, give all of it, once. */
static void judge_query(luge_txn *txn, const struct luge_events *events,
                        const struct luge_event_query *query, uint64_t wants)
{
    luge_event_reader *reader;
    struct luge_event e;
    uint64_t count = 0;
    int rc;
    FINE(luge_event_open(txn, events, query, &reader));
    while (!(rc = luge_event_next(reader, &e))) {
        count++;
        if (query->stream.size && e.version != count)
            die("version %llu is misplaced", (unsigned long long)e.version);
    }
    luge_event_close(reader);
    if (rc != LUGE_NOTFOUND || count != wants)
        die("a query gave %llu events and %d, not %llu",
            (unsigned long long)count, rc, (unsigned long long)wants);
}

static void judge_queries(const struct crew *c, luge_txn *txn,
                          const struct luge_events *events)
{
    struct luge_event_query query = {.type = luge_str("note")};
    char name[24];
    judge_query(txn, events, &query, wanted(c));
    query = (struct luge_event_query){.flags = LUGE_EVENT_BY_TIME};
    judge_query(txn, events, &query, wanted(c));
    query = (struct luge_event_query){.stream = luge_str("shared")};
    judge_query(txn, events, &query, wanted(c) / 2);
    for (uint32_t i = 0; i < WRITERS; i++) {
        query.stream = stream_name(name, i);
        judge_query(txn, events, &query, c->rounds);
    }
}

static void judge(const struct crew *c)
{
    struct luge_events events;
    struct tally t = {{0}, {0}, 0};
    luge_event_reader *reader;
    struct luge_event e;
    luge_db *db = join(c, &events);
    luge_txn *txn;
    uint64_t position = 0;
    char name[24];
    FINE(luge_begin(db, LUGE_READ, &txn));
    FINE(luge_event_open(txn, &events, NULL, &reader));
    while (!luge_event_next(reader, &e)) judge_event(c, &t, &e, ++position);
    luge_event_close(reader);
    if (position != wanted(c)) die("%llu events, not %llu",
                                   (unsigned long long)position,
                                   (unsigned long long)wanted(c));
    for (uint32_t i = 0; i < WRITERS; i++) {
        stream_name(name, i);
        if (t.own[i] != c->rounds || t.shared[i] != c->rounds)
            die("%s has %llu events", name, (unsigned long long)t.own[i]);
        judge_count(txn, name, c->rounds);
    }
    judge_count(txn, "shared", c->rounds * WRITERS);
    judge_queries(c, txn, &events);
    luge_abort(txn);
    FINE(luge_check(db, NULL, NULL));
    FINE(luge_close(db));
}

/* --------------------------------------------------------------- figures -- */

static void append_until_told(const struct crew *c, uint32_t number,
                              unsigned flags, uint32_t batch)
{
    struct luge_events events;
    luge_db *db = join(c, &events);
    struct luge_event list[BATCH];
    char name[24], payload[100];
    memset(payload, 'p', sizeof(payload));
    for (uint32_t i = 0; i < batch; i++)
        list[i] = (struct luge_event){
            .type = luge_str("note"),
            .payload = luge_bytes_of(payload, sizeof(payload))};
    while (!c->shared->stop) {
        FINE(luge_event_append_now(db, flags, &events,
                                   stream_name(name, number), LUGE_EVENT_ANY,
                                   list, batch, NULL));
        c->shared->appended += batch;
    }
    FINE(luge_close(db));
    _exit(0);
}

static double figure_append(struct crew *c, uint32_t writers, unsigned flags,
                            uint32_t batch)
{
    c->shared->stop = 0;
    fflush(stdout);
    for (uint32_t i = 0; i < writers; i++) {
        c->pids[i] = fork();
        if (c->pids[i] < 0) die("fork");
        if (c->pids[i]) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        append_until_told(c, i, flags, batch);
    }
    for (uint64_t start = c->shared->appended;
         c->shared->appended < start + 2ull * writers * batch;)
        nap_us(1000);
    uint64_t since = now_ns(), before = c->shared->appended;
    nap_us(FIGURE_MS * 1000);
    uint64_t count = c->shared->appended - before;
    double seconds = (double)(now_ns() - since) / 1e9;
    c->shared->stop = 1;
    for (uint32_t i = 0; i < writers; i++) {
        int status;
        if (waitpid(c->pids[i], &status, 0) < 0 || status)
            die("writer %u failed", i);
    }
    return (double)count / seconds;
}

static void replay(const struct crew *c, const char *what,
                   const struct luge_event_query *query)
{
    struct luge_events events;
    luge_event_reader *reader;
    struct luge_event e;
    luge_db *db = join(c, &events);
    luge_txn *txn;
    FINE(luge_begin(db, LUGE_READ, &txn));
    for (int round = 0; round < 2; round++) {   /* the first one warms */
        uint64_t since = now_ns(), count = 0, bytes = 0;
        FINE(luge_event_open(txn, &events, query, &reader));
        while (count < REPLAYED && !luge_event_next(reader, &e)) {
            bytes += e.payload.size;
            count++;
        }
        luge_event_close(reader);
        double seconds = (double)(now_ns() - since) / 1e9;
        if (round) printf("replay of %s: %.0f events/s (%llu of %llu bytes)\n",
                          what, (double)count / seconds,
                          (unsigned long long)count,
                          (unsigned long long)bytes);
    }
    luge_abort(txn);
    FINE(luge_close(db));
}

static void figures(struct crew *c)
{
    struct luge_event_query stream = {.stream = luge_str("writer-0")};
    struct luge_event_query type = {.type = luge_str("note")};
    printf("16 writers, each event durable: %.0f events/s\n",
           figure_append(c, WRITERS, LUGE_TXN_FULL, 1));
    printf("16 writers, 8 events in each durable append: %.0f events/s\n",
           figure_append(c, WRITERS, LUGE_TXN_FULL, 8));
    printf("1 writer, batches of %d, no waiting: %.0f events/s\n", BATCH,
           figure_append(c, 1, LUGE_TXN_ASYNC, BATCH));
    printf("16 writers, batches of %d, no waiting: %.0f events/s\n", BATCH,
           figure_append(c, WRITERS, LUGE_TXN_ASYNC, BATCH));
    replay(c, "all", NULL);
    replay(c, "a stream", &stream);
    replay(c, "a type", &type);
}

int main(int count, char **words)
{
    const char *length = getenv("LUGE_TEST");
    int is_long = length && !strcmp(length, "long");
    int is_short = length && !strcmp(length, "short");
    int tells = 0, disk = 0;
    struct crew c = {.seed = now_ns(),
                     .rounds = is_long ? 5000 : is_short ? 60 : 250};
    for (int i = 1; i < count; i++) {
        if (!strcmp(words[i], "--figures")) tells = 1;
        else if (!strcmp(words[i], "--disk")) disk = 1;
        else if (i + 1 < count && !strcmp(words[i], "--seed"))
            c.seed = strtoull(words[++i], 0, 10);
        else die("--seed N, --figures or --disk, not %s", words[i]);
    }
    printf("crash_event --seed %llu\n", (unsigned long long)c.seed);
    fflush(stdout);
    c.base = scratch_make(disk ? SCRATCH_DISK : SCRATCH_FAST);
    snprintf(c.path, sizeof(c.path), "%s/db", c.base);
    c.shared = mmap(NULL, sizeof(*c.shared), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.shared == MAP_FAILED) die("mmap");
    uint64_t since = now_ns();
    if (tells) {
        figures(&c);
    } else {
        run(&c);
        judge(&c);
        printf("%llu events, %llu kills; %.1f s\n",
               (unsigned long long)wanted(&c),
               (unsigned long long)c.shared->kills,
               (double)(now_ns() - since) / 1e9);
    }
    scratch_remove(c.base);
    return 0;
}
