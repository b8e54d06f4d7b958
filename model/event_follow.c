/* model/event_follow.c -- followers: events that are there, and then those that
 * come.
 *
 *     READING --the snapshot's end--> WAITING --the bell--> READING
 *
 *   F1  `at` is the position of the last event that was given out, or looked at
 *       in a snapshot that was read to its end; the next one is read from there
 *       on, so none is missed or given twice, and none is looked at twice.
 *   F2  The watch is older than every snapshot that is read: what one does not
 *       show rings.  It skips what waits long, as it only says "look again".
 * Not here: how far a projection has come (event_project.c). */
#include "event_follow.h"

struct luge_event_follower {
    luge_db *db;
    struct luge_events events;
    struct event_query query;
    uint64_t at, version;       /* F1; version: of the query's stream */
    luge_txn *txn;              /* NULL while waiting */
    luge_event_reader *reader;
    uint64_t seen;              /* commits up to here are read (F2) */
    uint64_t seen_position;     /* the last event of all in that snapshot */
    luge_watch *watch;
};

int luge_event_follow(luge_db *db, const struct luge_events *events,
                      const struct luge_event_query *query,
                      luge_event_follower **follower)
{
    luge_event_follower *f = model_alloc(sizeof(*f));
    int rc;

    if (!f) return MODEL_NOMEM();
    *f = (luge_event_follower){.db = db, .events = *events};
    rc = event_query_take(&f->query, query);
    if (!rc && f->query.ask.flags)
        rc = model_fail(LUGE_INVALID, "followers go forward, by position");
    if (!rc) rc = model_watch(db, events->all, luge_str(""), &f->watch);
    if (rc) {
        model_free(f);
        return rc;
    }
    event_follow_from(f, 0);
    *follower = f;
    return 0;
}

static void stop_reading(luge_event_follower *f)
{
    luge_event_close(f->reader);
    luge_abort(f->txn);
    f->reader = NULL;
    f->txn = NULL;
}

void event_follow_from(luge_event_follower *f, uint64_t position)
{
    uint64_t least = f->query.ask.position_from;

    stop_reading(f);
    f->at = least && position < least - 1 ? least - 1 : position;
    f->version = f->query.ask.version_from;
    f->seen = f->seen_position = 0;
}

/* ------------------------------------------------------------- reading -- */

/* A snapshot, if it has any event that the one before did not. */
static int start_reading(luge_event_follower *f)
{
    struct luge_event_query ask = f->query.ask;
    uint64_t position;
    int rc = luge_begin(f->db, LUGE_READ, &f->txn);

    if (rc) return rc;
    f->seen = luge_txn_seq(f->txn);
    rc = luge_event_position(f->txn, &f->events, &position);
    if (rc) return rc;
    if (position <= f->seen_position)
        return model_fail(LUGE_NOTFOUND, "no event is new");
    ask.position_from = f->at + 1;
    if (ask.stream.size) ask.version_from = f->version;
    rc = luge_event_open(f->txn, &f->events, &ask, &f->reader);
    if (!rc) f->seen_position = position;
    return rc;
}

int event_follow_more(luge_event_follower *f, struct luge_event *event)
{
    int rc;

    if (!f->reader) return model_fail(LUGE_NOTFOUND, "nothing is being read");
    rc = luge_event_next(f->reader, event);
    if (rc) return rc;
    f->at = event->position;
    f->version = event->version;
    return 0;
}

/* The snapshot is read to its end, or had nothing new. */
static int end_reading(luge_event_follower *f)
{
    struct luge_event_place last = {0};
    int rc = 0;

    if (f->reader && f->query.ask.stream.size)
        rc = luge_event_last(f->txn, &f->events, f->query.ask.stream, &last);
    if (!rc && f->reader) {
        if (f->at < f->seen_position) f->at = f->seen_position;
        if (f->version < last.version) f->version = last.version;
    }
    stop_reading(f);
    return rc;
}

/* ------------------------------------------------------------- waiting -- */

int event_follow_until(luge_event_follower *f, uint64_t end_ns,
                       struct luge_event *event)
{
    int rc = event_follow_more(f, event);

    while (rc == LUGE_NOTFOUND) {
        rc = 0;
        if (f->txn) {
            rc = end_reading(f);
            if (!rc) rc = model_wait(f->watch, f->seen, end_ns);
        }
        if (!rc) rc = start_reading(f);
        if (!rc) rc = event_follow_more(f, event);
    }
    if (rc) stop_reading(f);    /* the next call looks before it waits */
    if (rc && rc != LUGE_TIMEOUT) f->seen = f->seen_position = 0;
    return rc;
}

int luge_event_follow_next(luge_event_follower *follower, int timeout_ms,
                           struct luge_event *event)
{
    return event_follow_until(follower, model_end_ns(timeout_ms), event);
}

void luge_event_follow_wake(luge_event_follower *follower)
{
    luge_watch_wake(follower->watch);
}

void luge_event_unfollow(luge_event_follower *follower)
{
    if (!follower) return;
    stop_reading(follower);
    luge_watch_close(follower->watch);
    model_free(follower);
}
