/* model/event.c -- appending events, and where a stream ends (layout and
 * invariants: event.h).
 * Not here: the indices (event_pending.c), reading (event_read.c), following
 * (event_follow.c). */
#include "event.h"

#include <string.h>

#include "json.h"

const struct event_record event_default = {
    .head = {sizeof(struct event_record), 2}};
const struct state_record state_default = {
    .head = {sizeof(struct state_record), 1}};
const struct projection_record projection_default = {
    .head = {sizeof(struct projection_record), 1}};

_Static_assert(sizeof(struct event_record) == 72, "no padding, and golden");
_Static_assert(sizeof(struct state_record) == 24, "no padding, and golden");
_Static_assert(sizeof(struct projection_record) == 24, "and golden");

/* ------------------------------------------------------------- opening -- */

static int open_tree(luge_txn *txn, luge_bytes path, const char *name,
                     unsigned flags, luge_tree *tree)
{
    char whole[LUGE_NAME_SIZE_MAX];
    size_t size = strlen(name);

    if (path.size + 1 + size > sizeof(whole))
        return model_fail(LUGE_TOOBIG, "a path of %zu bytes for a store",
                          path.size);
    memcpy(whole, path.data, path.size);
    whole[path.size] = '/';
    memcpy(whole + path.size + 1, name, size);
    return luge_tree_open(txn, luge_bytes_of(whole, path.size + 1 + size),
                          flags, tree);
}

int luge_events_open(luge_txn *txn, luge_bytes path, unsigned flags,
                     struct luge_events *events)
{
    struct luge_events found;
    int rc = 0;

    if (!path.size)
        return model_fail(LUGE_INVALID, "a store needs a path");
    rc = open_tree(txn, path, "all", flags, &found.all);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "there are no events at %.*s", (int)path.size,
                          (const char *)path.data);
    if (!rc) rc = open_tree(txn, path, "stream", flags, &found.stream);
    if (!rc) rc = open_tree(txn, path, "type", flags, &found.type);
    if (!rc) rc = open_tree(txn, path, "time", flags, &found.time);
    if (!rc) rc = open_tree(txn, path, "state", flags, &found.state);
    if (!rc) rc = open_tree(txn, path, "projection", flags, &found.projection);
    if (!rc) *events = found;
    return rc;
}

struct opening {
    luge_bytes path;
    unsigned flags;
    struct luge_events *events;
};

static int open_in(luge_txn *txn, void *context)
{
    struct opening *o = context;
    return luge_events_open(txn, o->path, o->flags, o->events);
}

int luge_events_open_now(luge_db *db, luge_bytes path, unsigned flags,
                         struct luge_events *events)
{
    struct opening o = {path, flags, events};
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_READ, &txn);

    if (rc) return rc;
    rc = luge_events_open(txn, path, 0, events);
    luge_abort(txn);
    if (rc != LUGE_NOTFOUND || !(flags & LUGE_TREE_CREATE)) return rc;
    return luge_transact(db, 0, open_in, &o);
}

/* -------------------------------------------------------- where it ends -- */

int luge_event_position(luge_txn *txn, const struct luge_events *events,
                        uint64_t *position)
{
    luge_bytes key, value;
    int rc = luge_near(txn, events->all, LUGE_LAST, luge_str(""), &key, &value);

    *position = 0;
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    struct tuple_reader r = tuple_read(key);
    return tuple_get_u64(&r, position);
}

int luge_event_last(luge_txn *txn, const struct luge_events *events,
                    luge_bytes stream, struct luge_event_place *last)
{
    struct event_tail tail;
    int rc = event_name_ok(stream, "a stream");

    if (!rc) rc = event_tail_read(txn, events, &tail);
    return rc ? rc : event_tail_last(txn, events, &tail, stream, last);
}

/* ----------------------------------------------------------- appending -- */

int event_name_ok(luge_bytes name, const char *what)
{
    if (!name.size) return model_fail(LUGE_INVALID, "%s needs a name", what);
    if (name.size > LUGE_EVENT_NAME_SIZE_MAX)
        return model_fail(LUGE_TOOBIG, "%s has a name of %zu bytes; %u are "
                          "allowed", what, name.size, LUGE_EVENT_NAME_SIZE_MAX);
    return 0;
}

static int id_ok(luge_bytes id, const char *what)
{
    return id.size ? event_name_ok(id, what) : 0;
}

static int event_ok(const struct luge_event *e)
{
    int64_t wrong;
    int rc = event_name_ok(e->type, "an event's type");

    if (!rc) rc = id_ok(e->correlation, "a correlation");
    if (!rc) rc = id_ok(e->causation, "a causation");
    if (rc) return rc;
    if (e->payload.size > LUGE_EVENT_PAYLOAD_SIZE_MAX)
        return model_fail(LUGE_TOOBIG, "a payload of %zu bytes; %u are allowed",
                          e->payload.size, LUGE_EVENT_PAYLOAD_SIZE_MAX);
    if (e->flags & ~(unsigned)LUGE_EVENT_JSON)
        return model_fail(LUGE_INVALID, "an event with flags %x", e->flags);
    if (!(e->flags & LUGE_EVENT_JSON)) return 0;
    wrong = json_check(e->payload);
    if (wrong < 0) return 0;
    return model_fail(LUGE_INVALID, "a payload is not JSON from byte %lld on",
                      (long long)wrong);
}

static int put_record(luge_txn *txn, luge_tree all, luge_bytes stream,
                      const struct luge_event *e, uint32_t pending)
{
    struct event_record fixed = event_default;
    struct record_writer w;
    struct tuple t;
    luge_bytes raw;
    int rc;

    fixed.flags = e->flags;
    fixed.version = e->version;
    fixed.time_ns = e->time_ns;
    fixed.pending = pending;
    record_begin(&w, &fixed.head);
    record_add(&w, &fixed.stream, stream);
    record_add(&w, &fixed.type, e->type);
    record_add(&w, &fixed.payload, e->payload);
    record_add(&w, &fixed.correlation, e->correlation);
    record_add(&w, &fixed.causation, e->causation);
    tuple_begin(&t);
    tuple_put_u64(&t, e->position);
    rc = record_end(&w, &raw);
    if (!rc) rc = luge_put(txn, all, tuple_key(&t), raw);
    record_free(&w);
    return rc;
}

/* Everything about the list that can be refused, before anything is written. */
static int list_ok(luge_bytes stream, const struct luge_event *list,
                   size_t count)
{
    int rc = event_name_ok(stream, "a stream");

    if (count > LUGE_EVENT_BATCH_MAX)
        return model_fail(LUGE_LIMIT, "%zu events at once; %u are allowed",
                          count, LUGE_EVENT_BATCH_MAX);
    for (size_t i = 0; i < count && !rc; i++) rc = event_ok(&list[i]);
    return rc;
}

static int put_list(luge_txn *txn, const struct luge_events *events,
                    const struct event_tail *tail, luge_bytes stream,
                    const struct luge_event *list, size_t count,
                    struct luge_event_place *at)
{
    uint64_t position = tail->position, now = model_now_ns();
    uint32_t pending = tail->count;
    bool ends = event_tail_ends(tail, list, count);
    int rc = ends ? event_tail_index(txn, events, tail) : 0;

    for (size_t i = 0; i < count && !rc; i++) {
        struct luge_event e = list[i];
        e.version = ++at->version;
        e.position = at->position = ++position;
        if (!e.time_ns) e.time_ns = now;
        rc = put_record(txn, events->all, stream, &e, ends ? 0 : ++pending);
        if (ends && !rc) rc = event_index(txn, events, stream, &e);
    }
    return rc;
}

int luge_event_append(luge_txn *txn, const struct luge_events *events,
                      luge_bytes stream, uint64_t expected,
                      const struct luge_event *list, size_t count,
                      struct luge_event_place *last)
{
    struct event_tail tail;
    struct luge_event_place at;
    int rc = list_ok(stream, list, count);

    if (!rc) rc = event_tail_read(txn, events, &tail);
    if (!rc) rc = event_tail_last(txn, events, &tail, stream, &at);
    if (rc) return rc;
    if (expected != LUGE_EVENT_ANY && expected != at.version) {
        if (last) *last = at;
        return model_fail(LUGE_MISMATCH, "the stream has version %llu, not "
                          "%llu", (unsigned long long)at.version,
                          (unsigned long long)expected);
    }
    rc = put_list(txn, events, &tail, stream, list, count, &at);
    if (!rc && last) *last = at;
    return rc;
}

struct appending {
    const struct luge_events *events;
    luge_bytes stream;
    uint64_t expected;
    const struct luge_event *list;
    size_t count;
    struct luge_event_place *last;
};

static int append_in(luge_txn *txn, void *context)
{
    struct appending *a = context;
    return luge_event_append(txn, a->events, a->stream, a->expected, a->list,
                             a->count, a->last);
}

int luge_event_append_now(luge_db *db, unsigned flags,
                          const struct luge_events *events, luge_bytes stream,
                          uint64_t expected, const struct luge_event *list,
                          size_t count, struct luge_event_place *last)
{
    struct appending a = {events, stream, expected, list, count, last};
    /* The list is looked at before anybody has to wait for us. */
    int rc = list_ok(stream, list, count);
    return rc ? rc : luge_transact(db, flags | LUGE_TURN, append_in, &a);
}

/* ------------------------------------------------- states of a stream -- */

static int version_exists(luge_txn *txn, const struct luge_events *events,
                          luge_bytes stream, uint64_t version)
{
    struct luge_event_place last;
    int rc = event_name_ok(stream, "a stream");

    /* What the index knows is not looked for at the end of all, where a
     * transaction would meet every append. */
    if (!rc) rc = event_indexed_last(txn, events, stream, &last);
    if (!rc && version > last.version)
        rc = luge_event_last(txn, events, stream, &last);
    if (rc || (version && version <= last.version)) return rc;
    return model_fail(LUGE_MISMATCH, "the stream has no version %llu; its last "
                      "is %llu", (unsigned long long)version,
                      (unsigned long long)last.version);
}

int luge_event_state_put(luge_txn *txn, const struct luge_events *events,
                         luge_bytes stream, uint64_t version, luge_bytes state)
{
    struct state_record fixed = state_default;
    struct record_writer w;
    struct tuple t;
    luge_bytes raw;
    int rc = version_exists(txn, events, stream, version);

    if (rc) return rc;
    if (state.size > LUGE_EVENT_PAYLOAD_SIZE_MAX)
        return model_fail(LUGE_TOOBIG, "a state of %zu bytes; %u are allowed",
                          state.size, LUGE_EVENT_PAYLOAD_SIZE_MAX);
    fixed.time_ns = model_now_ns();
    record_begin(&w, &fixed.head);
    record_add(&w, &fixed.state, state);
    tuple_begin(&t);
    tuple_put_text(&t, stream);
    tuple_put_u64(&t, version);
    rc = record_end(&w, &raw);
    if (!rc) rc = luge_put(txn, events->state, tuple_key(&t), raw);
    record_free(&w);
    return rc;
}

int luge_event_state_get(luge_txn *txn, const struct luge_events *events,
                         luge_bytes stream, uint64_t version, uint64_t *at,
                         luge_bytes *state)
{
    struct state_record fixed;
    struct tuple t;
    luge_bytes key, raw;
    int rc = event_name_ok(stream, "a stream");

    if (rc) return rc;
    tuple_begin(&t);
    tuple_put_text(&t, stream);
    size_t prefix = t.size;
    tuple_put_u64(&t, version);
    rc = luge_near(txn, events->state, LUGE_LE, tuple_key(&t), &key, &raw);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    if (rc || key.size < prefix || memcmp(key.data, t.bytes, prefix))
        return model_fail(LUGE_NOTFOUND, "no state of the stream is kept");
    struct tuple_reader r = tuple_read(key);
    r.at += prefix;
    rc = tuple_get_u64(&r, at);
    if (!rc) rc = record_read(&state_default.head, raw, &fixed);
    return rc ? rc : record_part(raw, fixed.state, state);
}

int luge_event_state_forget(luge_txn *txn, const struct luge_events *events,
                            luge_bytes stream, uint64_t version)
{
    struct tuple from, to;
    int rc = event_name_ok(stream, "a stream");

    if (rc) return rc;
    tuple_begin(&from);
    tuple_put_text(&from, stream);
    to = from;
    tuple_put_u64(&to, version);
    luge_bytes first = tuple_key(&from), end = tuple_key(&to);
    return luge_del_range(txn, events->state, &first, &end, NULL);
}
