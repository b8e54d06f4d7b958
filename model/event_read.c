/* model/event_read.c -- reading events: which trees a query walks, and what of
 * it is then left out.
 *
 *   query has        walks, in this order      the rest is a filter
 *   a stream         stream (s, v, p)          type, times, positions
 *   else a type      type (t, p)               times
 *   else BY_TIME     time (ns, p)              positions
 *   else             all (p)                   times
 *
 * What is pending is in no index: a reader that walks one takes the pending
 * events that it wants aside when it is opened, in the walk's order, and puts
 * the two together.
 * Not here: what is not there yet (event_follow.c). */
#include "event.h"

#include <stdbool.h>
#include <string.h>

enum walk { WALK_STREAM, WALK_TYPE, WALK_TIME, WALK_ALL };

/* Up to so many positions further on steps find a record sooner than a search
 * (event-replay-type, every fourth event: 0.8 M events/s with 1, 2.3 with
 * 8). */
enum { STEPS_MAX = 8 };

/* A place in a walk: the number before the position in its keys, or 0. */
struct place {
    uint64_t number, position;
};

struct luge_event_reader {
    luge_txn *txn;
    struct luge_events events;
    struct event_query query;
    luge_cursor *cursor;
    luge_cursor *records;       /* in all, unless that is what is walked */
    uint64_t record_at;         /* its position; 0: nowhere yet */
    enum walk walk;
    size_t prefix_size;         /* of the key: what all keys of it share */
    uint64_t indexed;           /* the last position that the walk shows */
    struct place ahead;         /* of the index, if has_ahead */
    bool has_ahead, index_ends;
    uint32_t pending_from, pending_to;
    struct place pending[EVENT_PENDING_MAX];
};

/* ------------------------------------------------------------- queries -- */

static void take_name(luge_bytes *name, char *space)
{
    if (name->size) memcpy(space, name->data, name->size);
    name->data = space;
}

/* An upper end of 0 means none. */
static void take_end(uint64_t *end)
{
    if (!*end) *end = UINT64_MAX;
}

int event_query_take(struct event_query *to,
                     const struct luge_event_query *from)
{
    static const struct luge_event_query everything;
    struct luge_event_query *q = &to->ask;

    *q = from ? *from : everything;
    if (q->stream.size > LUGE_EVENT_NAME_SIZE_MAX ||
        q->type.size > LUGE_EVENT_NAME_SIZE_MAX)
        return model_fail(LUGE_TOOBIG, "a name in a query is too long");
    if (q->flags & ~(unsigned)(LUGE_EVENT_BACKWARD | LUGE_EVENT_BY_TIME))
        return model_fail(LUGE_INVALID, "a query with flags %x", q->flags);
    if (!q->stream.size &&
        (q->version_from || (q->version_to && q->version_to != UINT64_MAX)))
        return model_fail(LUGE_INVALID, "versions are asked of no stream");
    if ((q->stream.size || q->type.size) && q->flags & LUGE_EVENT_BY_TIME)
        return model_fail(LUGE_INVALID, "the order of times is known of all "
                          "events, not of a stream or type");
    take_name(&q->stream, to->stream);
    take_name(&q->type, to->type);
    take_end(&q->position_to);
    take_end(&q->version_to);
    take_end(&q->time_to_ns);
    return 0;
}

static bool within(uint64_t n, uint64_t from, uint64_t to)
{
    return n >= from && (n < to || to == UINT64_MAX);
}

static bool same(luge_bytes a, luge_bytes b)
{
    return a.size == b.size && !memcmp(a.data, b.data, a.size);
}

/* Would an event of the place be in the walk of the index? */
static bool walked(const struct luge_event_query *q,
                   const struct luge_event *e)
{
    if (!within(e->position, q->position_from, q->position_to)) return false;
    if (!within(e->time_ns, q->time_from_ns, q->time_to_ns)) return false;
    if (q->stream.size)
        return same(q->stream, e->stream) &&
               within(e->version, q->version_from, q->version_to);
    return !q->type.size || same(q->type, e->type);
}

static bool matches(const struct luge_event_query *q,
                    const struct luge_event *e)
{
    if (!within(e->position, q->position_from, q->position_to)) return false;
    if (!within(e->time_ns, q->time_from_ns, q->time_to_ns)) return false;
    return !q->type.size || same(q->type, e->type);
}

/* -------------------------------------------------------------- opening -- */

static luge_tree tree_of(const struct luge_event_reader *r)
{
    switch (r->walk) {
    case WALK_STREAM: return r->events.stream;
    case WALK_TYPE: return r->events.type;
    case WALK_TIME: return r->events.time;
    default: return r->events.all;
    }
}

/* What precedes the number in the walk's keys, and the span of the number. */
static void bounds_of(struct luge_event_reader *r, struct tuple *prefix,
                      uint64_t *from, uint64_t *to)
{
    const struct luge_event_query *q = &r->query.ask;

    tuple_begin(prefix);
    *from = q->position_from;
    *to = q->position_to;
    if (r->walk == WALK_STREAM) {
        tuple_put_text(prefix, q->stream);
        *from = q->version_from;
        *to = q->version_to;
    } else if (r->walk == WALK_TYPE) {
        tuple_put_text(prefix, q->type);
    } else if (r->walk == WALK_TIME) {
        *from = q->time_from_ns;
        *to = q->time_to_ns;
    }
}

static int set_range(struct luge_event_reader *r)
{
    struct tuple from, to;
    uint64_t first, end;

    bounds_of(r, &from, &first, &end);
    r->prefix_size = from.size;
    to = from;
    tuple_put_u64(&from, first);
    tuple_put_u64(&to, end);
    if (end == UINT64_MAX) tuple_after(&to);
    luge_bytes low = tuple_key(&from), high = tuple_key(&to);
    return luge_cursor_range(r->cursor, &low, &high);
}

static enum walk walk_of(const struct luge_event_query *q)
{
    if (q->stream.size) return WALK_STREAM;
    if (q->type.size) return WALK_TYPE;
    return q->flags & LUGE_EVENT_BY_TIME ? WALK_TIME : WALK_ALL;
}

static uint64_t number_of(enum walk walk, const struct luge_event *e)
{
    if (walk == WALK_STREAM) return e->version;
    return walk == WALK_TIME ? e->time_ns : 0;
}

static bool before(struct place a, struct place b)
{
    if (a.number != b.number) return a.number < b.number;
    return a.position < b.position;
}

/* Sorted as the index is: that moves something only if times go back. */
static void take_pending(struct luge_event_reader *r,
                         const struct event_tail *tail)
{
    for (uint32_t i = 0; i < tail->count; i++) {
        const struct luge_event *e = &tail->list[i];
        struct place place = {number_of(r->walk, e), e->position};
        uint32_t to = r->pending_to;
        if (!walked(&r->query.ask, e)) continue;
        for (; to && before(place, r->pending[to - 1]); to--)
            r->pending[to] = r->pending[to - 1];
        r->pending[to] = place;
        r->pending_to++;
    }
    /* What is put into the indices later, in this transaction, is pending here
     * or was not there. */
    r->indexed = tail->position - tail->count;
}

static int open_index(struct luge_event_reader *r)
{
    struct event_tail tail;
    int rc = luge_cursor_open(r->txn, r->events.all, &r->records);

    if (!rc) rc = event_tail_read(r->txn, &r->events, &tail);
    if (!rc) take_pending(r, &tail);
    return rc;
}

int luge_event_open(luge_txn *txn, const struct luge_events *events,
                    const struct luge_event_query *query,
                    luge_event_reader **reader)
{
    struct luge_event_reader *r = model_alloc(sizeof(*r));
    int rc;

    if (!r) return MODEL_NOMEM();
    *r = (struct luge_event_reader){.txn = txn, .events = *events};
    rc = event_query_take(&r->query, query);
    r->walk = walk_of(&r->query.ask);
    if (!rc) rc = luge_cursor_open(txn, tree_of(r), &r->cursor);
    if (!rc && r->walk != WALK_ALL) rc = open_index(r);
    if (!rc) rc = set_range(r);
    if (rc) {
        luge_event_close(r);
        return rc;
    }
    *reader = r;
    return 0;
}

void luge_event_close(luge_event_reader *reader)
{
    if (!reader) return;
    luge_cursor_close(reader->cursor);
    luge_cursor_close(reader->records);
    model_free(reader);
}

/* -------------------------------------------------------------- walking -- */

int event_read(luge_bytes raw, uint64_t position, struct luge_event *event)
{
    struct event_record fixed;
    int rc = record_read(&event_default.head, raw, &fixed);

    if (!rc) rc = record_part(raw, fixed.stream, &event->stream);
    if (!rc) rc = record_part(raw, fixed.type, &event->type);
    if (!rc) rc = record_part(raw, fixed.payload, &event->payload);
    if (!rc) rc = record_part(raw, fixed.correlation, &event->correlation);
    if (!rc) rc = record_part(raw, fixed.causation, &event->causation);
    if (rc) return rc;
    event->position = position;
    event->version = fixed.version;
    event->time_ns = fixed.time_ns;
    event->flags = fixed.flags;
    return 0;
}

int luge_event_get(luge_txn *txn, const struct luge_events *events,
                   uint64_t position, struct luge_event *event)
{
    struct tuple t;
    luge_bytes raw;
    int rc;

    tuple_begin(&t);
    tuple_put_u64(&t, position);
    rc = luge_get(txn, events->all, tuple_key(&t), &raw);
    return rc ? rc : event_read(raw, position, event);
}

/* The position is the last number of every key; before it stands one more in
 * the walks of streams and times. */
static int place_of(const struct luge_event_reader *r, luge_bytes key,
                    struct place *place)
{
    struct tuple_reader t = tuple_read(key);
    int rc = 0;

    place->number = 0;
    t.at += r->prefix_size;
    if (r->walk == WALK_STREAM || r->walk == WALK_TIME)
        rc = tuple_get_u64(&t, &place->number);
    if (!rc) rc = tuple_get_u64(&t, &place->position);
    return rc ? rc : tuple_get_end(&t);
}

static bool is_backward(const struct luge_event_reader *r)
{
    return r->query.ask.flags & LUGE_EVENT_BACKWARD;
}

/* The next place of the walk; *raw is its record if all is walked. */
static int walk_on(struct luge_event_reader *r, struct place *place,
                   luge_bytes *raw)
{
    const struct luge_event_query *q = &r->query.ask;
    luge_bytes key;
    int rc;

    do {
        rc = is_backward(r) ? luge_cursor_prev(r->cursor, &key, raw)
                            : luge_cursor_next(r->cursor, &key, raw);
        if (!rc) rc = place_of(r, key, place);
        /* Without the event itself, so that a resumed walk is cheap. */
    } while (!rc && (!within(place->position, q->position_from,
                             q->position_to) ||
                     (r->walk != WALK_ALL && place->position > r->indexed)));
    return rc;
}

/* The same, with what is pending in between. */
static int walk_both(struct luge_event_reader *r, struct place *place)
{
    bool back = is_backward(r);
    luge_bytes raw;
    int rc = 0;

    if (!r->has_ahead && !r->index_ends) {
        rc = walk_on(r, &r->ahead, &raw);
        r->has_ahead = !rc;
        r->index_ends = rc == LUGE_NOTFOUND;
        if (rc && !r->index_ends) return rc;
    }
    struct place waits = r->pending[back ? r->pending_to - 1
                                         : r->pending_from];
    if (r->has_ahead && before(r->ahead, waits) != back) {
        *place = r->ahead;
        r->has_ahead = false;
    } else {
        *place = waits;
        if (back) r->pending_to--;
        else r->pending_from++;
    }
    return 0;
}

static int next_place(struct luge_event_reader *r, struct place *place,
                      luge_bytes *raw)
{
    if (r->pending_from < r->pending_to) return walk_both(r, place);
    if (r->has_ahead) {
        *place = r->ahead;
        r->has_ahead = false;
        return 0;
    }
    return walk_on(r, place, raw);
}

/* Positions are dense, so one near by is some steps away.  Of streams that are
 * appended to in batches most are. */
static int record_at(struct luge_event_reader *r, uint64_t position,
                     luge_bytes *raw)
{
    uint64_t ahead = position - r->record_at, behind = 0 - ahead;
    luge_bytes key;
    struct tuple t;
    int rc = 0;

    tuple_begin(&t);
    tuple_put_u64(&t, position);
    if (r->record_at && ahead - 1 < STEPS_MAX) {
        while (ahead-- && !rc) rc = luge_cursor_next(r->records, &key, raw);
    } else if (r->record_at && behind - 1 < STEPS_MAX) {
        while (behind-- && !rc) rc = luge_cursor_prev(r->records, &key, raw);
    } else {
        rc = luge_cursor_seek(r->records, LUGE_GE, tuple_key(&t), &key, raw);
    }
    return rc || same(key, tuple_key(&t)) ? rc : LUGE_NOTFOUND;
}

/* An index that names an event which is not there is the file's fault, and not
 * an end. */
static int event_at(struct luge_event_reader *r, uint64_t position,
                    struct luge_event *event)
{
    luge_bytes raw;
    int rc = record_at(r, position, &raw);

    r->record_at = rc ? 0 : position;
    if (!rc) return event_read(raw, position, event);
    if (rc != LUGE_NOTFOUND) return rc;
    return MODEL_CORRUPT("an index names event %llu, which is not there",
                         (unsigned long long)position);
}

int luge_event_next(luge_event_reader *reader, struct luge_event *event)
{
    struct place place;
    luge_bytes raw;
    int rc;

    for (;;) {
        rc = next_place(reader, &place, &raw);
        if (rc) return rc;
        rc = reader->walk == WALK_ALL
                 ? event_read(raw, place.position, event)
                 : event_at(reader, place.position, event);
        if (rc || matches(&reader->query.ask, event)) return rc;
    }
}

/* --------------------------------------------------------------- names -- */

int event_name_after(luge_txn *txn, luge_tree tree, luge_bytes after,
                     char space[LUGE_EVENT_NAME_SIZE_MAX], luge_bytes *name)
{
    struct tuple t;
    luge_bytes key, value;
    int rc;

    if (after.size > LUGE_EVENT_NAME_SIZE_MAX)
        return model_fail(LUGE_TOOBIG, "a name of %zu bytes", after.size);
    tuple_begin(&t);
    tuple_put_text(&t, after);
    if (after.size) tuple_after(&t);
    rc = luge_near(txn, tree, LUGE_GE, tuple_key(&t), &key, &value);
    if (rc) return rc;
    struct tuple_reader r = tuple_read(key);
    return tuple_get_text(&r, space, LUGE_EVENT_NAME_SIZE_MAX, name);
}

/* memcmp's order, in which the keys are, too. */
static bool text_before(luge_bytes a, luge_bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;

    return order ? order < 0 : a.size < b.size;
}

static luge_bytes name_in(const struct luge_event *e, bool types)
{
    return types ? e->type : e->stream;
}

/* The first name above AFTER that the index or a pending event has.  AFTER may
 * stand in SPACE. */
static int name_of_any_after(luge_txn *txn, const struct luge_events *events,
                             bool types, luge_bytes after,
                             char space[LUGE_EVENT_NAME_SIZE_MAX],
                             luge_bytes *name)
{
    char found[LUGE_EVENT_NAME_SIZE_MAX];
    luge_bytes best;
    struct event_tail tail;
    int rc = event_tail_read(txn, events, &tail);

    if (rc) return rc;
    rc = event_name_after(txn, types ? events->type : events->stream, after,
                          found, &best);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    for (uint32_t i = 0; i < tail.count; i++) {
        luge_bytes one = name_in(&tail.list[i], types);
        if (!text_before(after, one)) continue;
        if (!rc && !text_before(one, best)) continue;
        best = one;
        rc = 0;
    }
    if (rc) return rc;
    if (best.size > LUGE_EVENT_NAME_SIZE_MAX)
        return MODEL_CORRUPT("an event has a name of %zu bytes", best.size);
    memcpy(space, best.data, best.size);
    *name = luge_bytes_of(space, best.size);
    return 0;
}

int luge_event_stream_after(luge_txn *txn, const struct luge_events *events,
                            luge_bytes after,
                            char space[LUGE_EVENT_NAME_SIZE_MAX],
                            luge_bytes *name)
{
    return name_of_any_after(txn, events, false, after, space, name);
}

int luge_event_type_after(luge_txn *txn, const struct luge_events *events,
                          luge_bytes after,
                          char space[LUGE_EVENT_NAME_SIZE_MAX],
                          luge_bytes *name)
{
    return name_of_any_after(txn, events, true, after, space, name);
}
