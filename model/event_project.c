/* model/event_project.c -- projections: each event once, together with how far
 * they have come.
 *
 *   P1  The record of a projection names the last position it has seen.  A run
 *       reads it in the transaction in which it moves it, so of two that run
 *       the same events one conflicts or finds it moved.
 *   P2  Events are read in a snapshot beside that transaction, which therefore
 *       never conflicts with those who append.  They cannot change (E4).
 */
#include "event_follow.h"

#include <string.h>

struct luge_projection {
    luge_event_follower *follower;
    uint64_t stored;            /* what the record said last; 0: nothing */
    luge_db *db;
    struct luge_events events;
    size_t name_size;
    char name[LUGE_EVENT_NAME_SIZE_MAX];
    struct luge_event *list;    /* of one run */
    size_t room;
};

/* ----------------------------------------------------------- its record -- */

static void key_of(luge_bytes name, struct tuple *t)
{
    tuple_begin(t);
    tuple_put_text(t, name);
}

int luge_projection_position(luge_txn *txn, const struct luge_events *events,
                             luge_bytes name, uint64_t *position)
{
    struct projection_record fixed;
    struct tuple t;
    luge_bytes raw;
    int rc = event_name_ok(name, "a projection");

    if (rc) return rc;
    key_of(name, &t);
    rc = luge_get(txn, events->projection, tuple_key(&t), &raw);
    if (!rc) rc = record_read(&projection_default.head, raw, &fixed);
    if (!rc) *position = fixed.position;
    return rc;
}

static int position_put(luge_txn *txn, const struct luge_events *events,
                        luge_bytes name, uint64_t position)
{
    struct projection_record fixed = projection_default;
    struct tuple t;

    fixed.position = position;
    fixed.time_ns = model_now_ns();
    key_of(name, &t);
    return luge_put(txn, events->projection, tuple_key(&t),
                    luge_bytes_of(&fixed, sizeof(fixed)));
}

/* Behind the last event it would pass over those that are yet to come.  A run
 * need not ask: it puts the position of an event that it has seen. */
int luge_projection_reset(luge_txn *txn, const struct luge_events *events,
                          luge_bytes name, uint64_t position)
{
    uint64_t last = 0;
    int rc = event_name_ok(name, "a projection");

    if (!rc && position) rc = luge_event_position(txn, events, &last);
    if (!rc && position > last)
        rc = model_fail(LUGE_MISMATCH, "there is no event %llu; the last is "
                        "%llu", (unsigned long long)position,
                        (unsigned long long)last);
    return rc ? rc : position_put(txn, events, name, position);
}

int luge_projection_after(luge_txn *txn, const struct luge_events *events,
                          luge_bytes after,
                          char space[LUGE_EVENT_NAME_SIZE_MAX],
                          luge_bytes *name)
{
    return event_name_after(txn, events->projection, after, space, name);
}

/* ------------------------------------------------------------ its handle -- */

static luge_bytes name_of(const luge_projection *p)
{
    return luge_bytes_of(p->name, p->name_size);
}

/* Stand where the record says. */
static int catch_up(luge_projection *p)
{
    uint64_t position;
    luge_txn *txn;
    int rc = luge_begin(p->db, LUGE_READ, &txn);

    if (rc) return rc;
    rc = luge_projection_position(txn, &p->events, name_of(p), &position);
    luge_abort(txn);
    if (rc == LUGE_NOTFOUND) position = 0;
    else if (rc) return rc;
    p->stored = position;
    event_follow_from(p->follower, position);
    return 0;
}

int luge_projection_open(luge_db *db, const struct luge_events *events,
                         luge_bytes name, const struct luge_event_query *query,
                         luge_projection **projection)
{
    luge_projection *p;
    int rc = event_name_ok(name, "a projection");

    if (rc) return rc;
    p = model_alloc(sizeof(*p));
    if (!p) return MODEL_NOMEM();
    *p = (luge_projection){.db = db, .events = *events, .name_size = name.size};
    memcpy(p->name, name.data, name.size);
    rc = luge_event_follow(db, events, query, &p->follower);
    if (!rc) rc = catch_up(p);
    if (rc) {
        luge_projection_close(p);
        return rc;
    }
    *projection = p;
    return 0;
}

void luge_projection_wake(luge_projection *projection)
{
    luge_event_follow_wake(projection->follower);
}

void luge_projection_close(luge_projection *projection)
{
    if (!projection) return;
    luge_event_unfollow(projection->follower);
    model_free(projection->list);
    model_free(projection);
}

/* --------------------------------------------------------------- a run -- */

struct run {
    luge_projection *p;
    size_t count;
    int (*fn)(luge_txn *txn, const struct luge_event *event, void *context);
    void *context;
    int moved;                  /* somebody else ran them */
};

static int run_in(luge_txn *txn, void *context)
{
    struct run *run = context;
    luge_projection *p = run->p;
    uint64_t position = 0;
    int rc = luge_projection_position(txn, &p->events, name_of(p), &position);

    if (rc && rc != LUGE_NOTFOUND) return rc;
    run->moved = position != p->stored;
    if (run->moved)
        return model_fail(LUGE_MISMATCH, "the projection has moved");
    rc = 0;
    for (size_t i = 0; i < run->count && !rc; i++)
        rc = run->fn(txn, &p->list[i], run->context);
    if (rc) return rc;
    return position_put(txn, &p->events, name_of(p),
                        p->list[run->count - 1].position);
}

static int make_room(luge_projection *p, size_t limit)
{
    if (limit <= p->room) return 0;
    void *list = model_realloc(p->list, limit * sizeof(*p->list));
    if (!list) return MODEL_NOMEM();
    p->list = list;
    p->room = limit;
    return 0;
}

/* The events of one run, all of one snapshot. */
static int collect(luge_projection *p, uint64_t end_ns, size_t limit,
                   size_t *count)
{
    int rc = event_follow_until(p->follower, end_ns, &p->list[0]);

    for (*count = 0; !rc;) {
        ++*count;
        if (*count == limit) return 0;
        rc = event_follow_more(p->follower, &p->list[*count]);
    }
    return rc == LUGE_NOTFOUND && *count ? 0 : rc;
}

int luge_projection_run(luge_projection *projection, unsigned flags,
                        int timeout_ms, size_t limit,
                        int (*fn)(luge_txn *txn, const struct luge_event *event,
                                  void *context),
                        void *context, size_t *count)
{
    luge_projection *p = projection;
    struct run run = {.p = p, .fn = fn, .context = context};
    uint64_t end_ns = model_end_ns(timeout_ms);
    int rc;

    *count = 0;
    if (!limit || limit > LUGE_EVENT_BATCH_MAX)
        return model_fail(LUGE_LIMIT, "a run of %zu events; 1 to %u are "
                          "allowed", limit, LUGE_EVENT_BATCH_MAX);
    rc = make_room(p, limit);
    if (rc) return rc;
    do {
        rc = collect(p, end_ns, limit, &run.count);
        if (rc && !run.count) return rc;
        if (!rc) rc = luge_transact(p->db, flags, run_in, &run);
        /* Whatever went wrong: these events are still to be projected. */
        int lost = rc ? catch_up(p) : 0;
        if (lost) return lost;
    } while (rc == LUGE_MISMATCH && run.moved);
    if (rc) return rc;
    p->stored = p->list[run.count - 1].position;
    *count = run.count;
    return 0;
}
