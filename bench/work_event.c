/* bench/work_event.c -- rows of luge_event.h: appends by many writers, a commit
 * each, and replay.
 *
 * Only luge has events, so run->db is a luge_db (KIND_MODEL).  Writer N appends
 * to a stream of its own; a payload holds N and the event's version, and after
 * the window all events are read: positions and versions must be dense.
 * Not here: conversations (work_convo.c). */
#include <inttypes.h>
#include <stdio.h>

#include "crew.h"
#include "luge_event.h"

enum {
    BATCH_MAX = 1000,
    STREAMS = 16,               /* of what is replayed, */
    TYPES = 4,                  /* by turns, */
    FILL = 100,                 /* and so many of a stream beside one another */
};
#define WARM_PART 0.2           /* of the window */

static int failed(const char *what)
{
    const struct luge_error *e = luge_last_error();
    return bench_fail("%s: %s (%s:%d)", what, e->text, e->file, e->line);
}

static luge_bytes name_of(char name[24], const char *what, u32 number)
{
    snprintf(name, 24, "%s-%" PRIu32, what, number);
    return luge_str(name);
}

/* ----------------------------------------------------------- appending -- */

/* One append of COUNT events to stream NUMBER, which has VERSION so far. */
struct note {
    luge_db *db;
    const struct run *run;
    const struct luge_events *events;
    u32 number, count;
    u64 version;
    u32 types;                  /* 1 .. TYPES */
};

static int append(const struct note *n)
{
    struct luge_event list[BATCH_MAX];
    u8 values[BATCH_MAX][VALUE_SIZE_MAX];
    char stream[24], type[TYPES][24];
    unsigned flags = n->run->row->mode == MODE_DURABLE ? LUGE_TXN_FULL
                                                       : LUGE_TXN_ASYNC;

    for (u32 i = 0; i < n->types; i++) name_of(type[i], "type", i);
    for (u32 i = 0; i < n->count; i++) {
        u64 version = n->version + i + 1;
        struct slice value = shape_value(n->run->row->shape, n->run->pool,
                                         values[i], n->number, version);
        list[i] = (struct luge_event){
            .type = luge_str(type[version % n->types]),
            .payload = luge_bytes_of(value.data, value.size)};
    }
    return luge_event_append_now(n->db, flags, n->events,
                                 name_of(stream, "writer", n->number),
                                 n->version, list, n->count, NULL)
               ? failed("luge_event_append_now") : 0;
}

static int step_append(struct worker *worker)
{
    u32 amount = worker->run->row->amount;
    struct note n = {worker->db, worker->run, worker->plan->context,
                     worker->number, amount, worker->stamp, 1};

    worker->stamp += amount;
    return append(&n) ? -1 : (int)amount;
}

static int open_store(struct run *run, struct luge_events *events)
{
    if (run_open(run)) return -1;
    return luge_events_open_now(run->db, luge_str("events"),
                                LUGE_TREE_CREATE, events)
               ? failed("luge_events_open_now") : 0;
}

/* ------------------------------------------------------------- reading -- */

struct replay {
    u64 count, versions[CREW_MAX];
};

static int judge(struct replay *r, const struct luge_event *e)
{
    struct head head = {.index = CREW_MAX};

    if (e->payload.size >= 16)
        head_of(&head, slice_of(e->payload.data, e->payload.size));
    if (e->position != ++r->count || head.index >= CREW_MAX ||
        e->version != ++r->versions[head.index] || head.stamp != e->version)
        return bench_fail("event %" PRIu64 " is not what was appended",
                          e->position);
    return 0;
}

/* All events of the store, each as it was appended; LEAST of them or more. */
static int check_all(struct run *run, const struct luge_events *events,
                     u64 least)
{
    struct replay r = {0};
    luge_event_reader *reader;
    struct luge_event e;
    luge_txn *txn;
    int rc = 0, bad = 0;

    if (luge_begin(run->db, LUGE_READ, &txn)) return failed("luge_begin");
    if (luge_event_open(txn, events, NULL, &reader))
        return failed("luge_event_open");
    while (!bad && !(rc = luge_event_next(reader, &e))) bad = judge(&r, &e);
    luge_event_close(reader);
    luge_abort(txn);
    if (bad) return -1;
    if (rc != LUGE_NOTFOUND) return failed("luge_event_next");
    if (r.count < least)
        return bench_fail("%" PRIu64 " events of %" PRIu64, r.count, least);
    return 0;
}

int work_event_append(struct run *run)
{
    struct luge_events events;
    struct crew_plan plan = {.step = step_append,
                             .warm_seconds = run->seconds * WARM_PART,
                             .timed = run->row->timed ? UINT64_MAX : 0,
                             .context = &events};
    struct crew_result result;

    if (open_store(run, &events)) return -1;
    if (run->row->processes && run_close(run)) return -1;
    if (crew_run(run, &plan, &result)) return -1;
    crew_set(run, &result);
    if (run->row->mode == MODE_DURABLE)
        run_set(run, METRIC_COMMIT_BYTES, (double)result.device_bytes /
                                          (double)result.ops_total);
    if (!run->db && run_open(run)) return -1;
    if (check_all(run, &events, result.ops_total)) return -1;
    return run_close(run);
}

/* -------------------------------------------------------------- replay -- */

static int fill(struct run *run, const struct luge_events *events, u64 count)
{
    struct note n = {run->db, run, events, 0, FILL, 0, TYPES};
    u64 versions[STREAMS] = {0};

    for (u64 at = 0; at < count; at += FILL) {
        n.number = (u32)(at / FILL % STREAMS);
        n.version = versions[n.number];
        versions[n.number] += FILL;
        if (append(&n)) return -1;
    }
    return 0;
}

/* Each event of QUERY once; how many, and what their payloads hold. */
static int read_once(luge_txn *txn, const struct luge_events *events,
                     const struct luge_event_query *query, struct tally *tally)
{
    luge_event_reader *reader;
    struct luge_event e;
    int rc;

    *tally = (struct tally){0};
    if (luge_event_open(txn, events, query, &reader))
        return failed("luge_event_open");
    while (!(rc = luge_event_next(reader, &e)))
        tally_add(tally, slice_of(e.type.data, e.type.size),
                  slice_of(e.payload.data, e.payload.size));
    luge_event_close(reader);
    return rc == LUGE_NOTFOUND ? 0 : failed("luge_event_next");
}

static int replay(struct run *run, const struct luge_events *events,
                  const struct luge_event_query *query, u64 wanted)
{
    struct tally tally;
    struct meter start;
    double seconds;
    luge_txn *txn;
    u64 count = 0, end;

    if (luge_begin(run->db, LUGE_READ, &txn)) return failed("luge_begin");
    if (read_once(txn, events, query, &tally)) return -1;   /* warm */
    if (tally.count != wanted)
        return bench_fail("%" PRIu64 " events, not %" PRIu64, tally.count,
                          wanted);
    start = meter_read(run->dir);
    end = now_ns() + (u64)(run->seconds * 1e9);
    do {
        if (read_once(txn, events, query, &tally)) return -1;
        count += tally.count;
    } while (now_ns() < end);
    seconds = run_span(run, &start);
    run_set(run, METRIC_THROUGHPUT, (double)count / seconds);
    luge_abort(txn);
    return 0;
}

int work_event_replay(struct run *run)
{
    u64 groups = run->records / FILL / STREAMS / TYPES, streams = 1;
    struct luge_event_query query = {.flags = 0};
    struct luge_events events;

    if (!groups) groups = 1;
    u64 all = groups * FILL * STREAMS * TYPES;
    if (run->row->amount == 1) query.stream = luge_str("writer-3");
    if (run->row->amount == 2) query.type = luge_str("type-3");
    if (run->row->amount == 1) streams = STREAMS;
    if (run->row->amount == 2) streams = TYPES;
    if (open_store(run, &events) || fill(run, &events, all)) return -1;
    if (check_all(run, &events, all)) return -1;
    if (replay(run, &events, &query, all / streams)) return -1;
    return run_close(run);
}
