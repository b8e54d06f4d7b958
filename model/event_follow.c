/* model/event_follow.c -- followers: events that are there, and then those that
 * come.
 *
 *     READING --the snapshot's end--> WAITING --the bell--> READING
 *
 *   F1  `at` is the position of the last event that was given out; a snapshot
 *       is read from there on, so none is missed or given twice.
 *   F2  Before it waits, the follower has a watch that began at or before the
 *       snapshot it last read to the end: what that does not show rings.
 *   F3  The watch only says "look again"; the store has the events.
 * Locks: `lock` guards `watch` and `woken` between the follower's thread and
 * luge_event_follow_wake.  Nobody waits while holding it.
 * Not here: how far a projection has come (event_project.c). */
#include "event_follow.h"

#include <limits.h>
#include <pthread.h>

struct luge_event_follower {
    luge_db *db;
    struct luge_events events;
    struct event_query query;
    uint64_t at, version;       /* F1; version: of the query's stream */
    luge_txn *txn;              /* NULL while waiting */
    luge_event_reader *reader;
    uint64_t seen;              /* commits up to here are read (F2) */
    uint64_t seen_position;     /* the last event of all in that snapshot */
    unsigned stale;             /* rings of what was read already */
    pthread_mutex_t lock;
    luge_watch *watch;
    int woken;                  /* wake was called while there was no watch */
};

/* Past so many stale rings in a row a new watch is cheaper than to hear out the
 * old one: it costs about as much as reading a hundred transactions. */
enum { STALE_MAX = 256 };

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
    if (!rc && pthread_mutex_init(&f->lock, NULL)) rc = MODEL_NOMEM();
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

/* ------------------------------------------------------------- waiting -- */

/* Begin to watch what TXN does not show.  1 if somebody wants us awake. */
static int watch_begin(luge_event_follower *f, luge_watch *watch)
{
    luge_watch *old;
    int woken;

    pthread_mutex_lock(&f->lock);
    old = f->watch;
    f->watch = watch;
    woken = f->woken;
    f->woken = 0;
    pthread_mutex_unlock(&f->lock);
    luge_watch_close(old);
    f->stale = 0;
    return woken;
}

static int watch_open(luge_event_follower *f)
{
    struct luge_watch_options how = {
        .flags = LUGE_WATCH_SHOWN, .from = LUGE_FROM_SNAPSHOT,
        .snapshot = f->txn, .tree = f->events.all};
    luge_watch *watch;
    int rc = luge_watch_open(f->db, &how, &watch);

    if (rc) return rc;
    if (watch_begin(f, watch))
        return model_fail(LUGE_TIMEOUT, "the follower was woken");
    return 0;
}

static int left_ms(uint64_t end_ns)
{
    uint64_t now = model_ticks_ns();

    if (end_ns == UINT64_MAX) return -1;
    if (now >= end_ns) return 0;
    uint64_t ms = (end_ns - now + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Until something is committed that the snapshot last read did not show. */
static int wait(luge_event_follower *f, uint64_t end_ns)
{
    const struct luge_change_set *set;
    int rc;

    for (;;) {
        rc = luge_watch_next(f->watch, left_ms(end_ns), &set);
        if (rc == LUGE_EXPIRED) {
            /* The store has what the log has lost: look there (F2 again). */
            watch_begin(f, NULL);
            return 0;
        }
        if (rc || set->seq > f->seen) return rc;
        if (++f->stale == STALE_MAX) watch_begin(f, NULL);
        if (!f->watch) return 0;
    }
}

/* The end of the snapshot is reached.  A watch must be there before the newest
 * snapshot is looked at in vain. */
static int rest(luge_event_follower *f, uint64_t end_ns)
{
    int rc = 0;

    if (!f->watch) {
        rc = watch_open(f);
        stop_reading(f);
        return rc;
    }
    stop_reading(f);
    return wait(f, end_ns);
}

uint64_t event_follow_end(int timeout_ms)
{
    if (timeout_ms < 0) return UINT64_MAX;
    return model_ticks_ns() + (uint64_t)timeout_ms * 1000000;
}

int event_follow_until(luge_event_follower *f, uint64_t end_ns,
                       struct luge_event *event)
{
    int rc = event_follow_more(f, event);

    while (rc == LUGE_NOTFOUND) {
        if (f->txn) rc = rest(f, end_ns);
        else rc = 0;
        if (!rc) rc = start_reading(f);
        if (!rc) rc = event_follow_more(f, event);
    }
    if (rc) stop_reading(f);    /* the next call looks before it waits */
    return rc;
}

int luge_event_follow_next(luge_event_follower *follower, int timeout_ms,
                           struct luge_event *event)
{
    return event_follow_until(follower, event_follow_end(timeout_ms), event);
}

void luge_event_follow_wake(luge_event_follower *follower)
{
    pthread_mutex_lock(&follower->lock);
    if (follower->watch) luge_watch_wake(follower->watch);
    else follower->woken = 1;
    pthread_mutex_unlock(&follower->lock);
}

void luge_event_unfollow(luge_event_follower *follower)
{
    if (!follower) return;
    stop_reading(follower);
    luge_watch_close(follower->watch);
    pthread_mutex_destroy(&follower->lock);
    model_free(follower);
}
