/* model/event_pending.c -- the indices, and the newest events, which are in
 * none of them yet.
 *
 * An append of one event used to change four trees, each in a leaf of its own.
 * Now it changes one, and every EVENT_PENDING_WAIT-th writes the keys of all
 * that wait; an append of many writes its own at once.  Who looks for a
 * stream's end, or reads an index, looks at the few that are pending as well.
 * docs/why/events.md has the figures.
 * Not here: appending (event.c), queries (event_read.c).
 */
#include "event.h"

#include <string.h>

enum { EVENT_PENDING_WAIT = 32 };
_Static_assert((int)EVENT_PENDING_WAIT <= (int)EVENT_PENDING_MAX, "V3");

static bool same(luge_bytes a, luge_bytes b)
{
    return a.size == b.size && !memcmp(a.data, b.data, a.size);
}

/* ------------------------------------------------------------- reading -- */

/* The events before the last one, which stands in the list already. */
static int read_before(luge_txn *txn, const struct luge_events *events,
                       struct event_tail *tail)
{
    luge_cursor *cursor;
    luge_bytes key, raw;
    int rc = luge_cursor_open(txn, events->all, &cursor);

    if (rc) return rc;
    rc = luge_cursor_prev(cursor, &key, &raw);      /* the last one */
    for (uint32_t i = tail->count - 1; i-- && !rc;) {
        rc = luge_cursor_prev(cursor, &key, &raw);
        if (!rc)
            rc = event_read(raw, tail->position - tail->count + 1 + i,
                            &tail->list[i]);
    }
    luge_cursor_close(cursor);
    if (rc != LUGE_NOTFOUND) return rc;
    return MODEL_CORRUPT("%u events are pending, and fewer are there",
                         tail->count);
}

static int pending_of(luge_bytes raw, uint64_t position, uint32_t *pending)
{
    struct event_record fixed;
    int rc = record_read(&event_default.head, raw, &fixed);

    if (rc) return rc;
    if (fixed.pending > EVENT_PENDING_MAX || fixed.pending > position)
        return MODEL_CORRUPT("event %llu says that %u are pending",
                             (unsigned long long)position, fixed.pending);
    *pending = fixed.pending;
    return 0;
}

int event_tail_read(luge_txn *txn, const struct luge_events *events,
                    struct event_tail *tail)
{
    luge_bytes key, raw;
    int rc = luge_near(txn, events->all, LUGE_LAST, luge_str(""), &key, &raw);

    tail->position = tail->count = 0;
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    struct tuple_reader r = tuple_read(key);
    rc = tuple_get_u64(&r, &tail->position);
    if (!rc) rc = pending_of(raw, tail->position, &tail->count);
    if (rc || !tail->count) return rc;
    rc = event_read(raw, tail->position, &tail->list[tail->count - 1]);
    return rc || tail->count == 1 ? rc : read_before(txn, events, tail);
}

/* The last key of a stream is the greatest below the end of its prefix. */
int event_indexed_last(luge_txn *txn, const struct luge_events *events,
                       luge_bytes stream, struct luge_event_place *last)
{
    struct tuple t, after;
    luge_bytes key, value;
    int rc;

    *last = (struct luge_event_place){0, 0};
    tuple_begin(&t);
    tuple_put_text(&t, stream);
    after = t;
    tuple_after(&after);
    rc = luge_near(txn, events->stream, LUGE_LT, tuple_key(&after), &key,
                   &value);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    if (key.size < t.size || memcmp(key.data, t.bytes, t.size)) return 0;
    struct tuple_reader r = tuple_read(key);
    r.at += t.size;
    rc = tuple_get_u64(&r, &last->version);
    return rc ? rc : tuple_get_u64(&r, &last->position);
}

int event_tail_last(luge_txn *txn, const struct luge_events *events,
                    const struct event_tail *tail, luge_bytes stream,
                    struct luge_event_place *last)
{
    for (uint32_t i = tail->count; i--;) {
        const struct luge_event *e = &tail->list[i];
        if (!same(e->stream, stream)) continue;
        *last = (struct luge_event_place){e->version, e->position};
        return 0;
    }
    return event_indexed_last(txn, events, stream, last);
}

/* ------------------------------------------------------------- writing -- */

/* A large payload does not wait: it would be read again and again, and a value
 * that lies outside of its leaf is checked by each process that does. */
bool event_tail_ends(const struct event_tail *tail,
                     const struct luge_event *list, size_t count)
{
    if (tail->count + count >= EVENT_PENDING_WAIT) return true;
    for (size_t i = 0; i < count; i++)
        if (list[i].payload.size > EVENT_PENDING_PAYLOAD_MAX) return true;
    return false;
}

static int put_key(luge_txn *txn, luge_tree tree, struct tuple *t,
                   uint64_t position)
{
    tuple_put_u64(t, position);
    return luge_put(txn, tree, tuple_key(t), luge_str(""));
}

/* All keys are made before the first is put: what E points to may go then. */
int event_index(luge_txn *txn, const struct luge_events *events,
                luge_bytes stream, const struct luge_event *e)
{
    struct tuple by_stream, by_type, by_time;
    uint64_t position = e->position;
    int rc;

    tuple_begin(&by_stream);
    tuple_put_text(&by_stream, stream);
    tuple_put_u64(&by_stream, e->version);
    tuple_begin(&by_type);
    tuple_put_text(&by_type, e->type);
    tuple_begin(&by_time);
    tuple_put_u64(&by_time, e->time_ns);
    rc = put_key(txn, events->stream, &by_stream, position);
    if (!rc) rc = put_key(txn, events->type, &by_type, position);
    return rc ? rc : put_key(txn, events->time, &by_time, position);
}

/* Each is read anew, as the list does not outlast a change. */
int event_tail_index(luge_txn *txn, const struct luge_events *events,
                     const struct event_tail *tail)
{
    struct luge_event e;
    int rc = 0;

    for (uint32_t i = 0; i < tail->count && !rc; i++) {
        rc = luge_event_get(txn, events, tail->position - tail->count + 1 + i,
                            &e);
        if (!rc) rc = event_index(txn, events, e.stream, &e);
    }
    return rc;
}
