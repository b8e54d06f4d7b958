/* cli/event.c -- luge event: append to streams, read them in every direction,
 * follow them, see states and projections, and export (luge_event.h).
 * Not here: reading events back from a file (event_import.c).
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "event.h"

static luge_bytes store_path(const struct call *c)
{
    const char *path = c->options[OPTION_PATH];

    return luge_str(path ? path : "events");
}

int event_store(const struct call *c, luge_txn *txn, unsigned flags,
                struct luge_events *events)
{
    return luge_events_open(txn, store_path(c), flags, events);
}

static luge_bytes option_text(const struct call *c, int option)
{
    const char *text = c->options[option];

    return luge_str(text ? text : "");
}

/* ------------------------------------------------------------- appending -- */

/* Objects and arrays are kept as JSON, if they are; else as they are. */
static int append_one(luge_txn *txn, const struct luge_events *events,
                      luge_bytes stream, uint64_t expected,
                      struct luge_event *e, struct luge_event_place *place)
{
    const char *text = e->payload.data;
    int rc = LUGE_INVALID;

    if (e->payload.size && (*text == '{' || *text == '[')) {
        e->flags = LUGE_EVENT_JSON;
        rc = luge_event_append(txn, events, stream, expected, e, 1, place);
        e->flags = 0;
    }
    return rc != LUGE_INVALID ? rc : luge_event_append(txn, events, stream,
                                                       expected, e, 1, place);
}

static int event_append(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_events events;
    struct luge_event_place place;
    uint64_t expected;
    struct luge_event e = {.type = c->arguments[3],
                           .correlation = option_text(c, OPTION_CORRELATION),
                           .causation = option_text(c, OPTION_CAUSATION)};
    int rc = call_number(c, OPTION_EXPECT, LUGE_EVENT_ANY, &expected);

    if (c->count > 4) e.payload = c->arguments[4];
    if (!rc) rc = event_store(c, txn, LUGE_TREE_CREATE, &events);
    if (!rc)
        rc = append_one(txn, &events, c->arguments[2], expected, &e, &place);
    c->made[0] = place.position;
    c->made[1] = place.version;
    return rc;
}

/* --------------------------------------------------------------- reading -- */

static void print_event_json(const struct luge_event *e)
{
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "position", json_of_count(e->position),
        "stream", json_of_bytes(e->stream), "version",
        json_of_count(e->version), "type", json_of_bytes(e->type), "time_ns",
        json_of_count(e->time_ns));

    if (e->correlation.size)
        json_object_set_new(object, "correlation",
                            json_of_bytes(e->correlation));
    if (e->causation.size)
        json_object_set_new(object, "causation", json_of_bytes(e->causation));
    if (e->flags & LUGE_EVENT_JSON) {
        print_json_with(object, "json", e->payload);
        return;
    }
    json_object_set_new(object, "payload", json_of_bytes(e->payload));
    print_json(object);
}

static void print_event(const struct call *c, const struct luge_event *e)
{
    char when[32];

    if (call_has(c, OPTION_JSON)) {
        print_event_json(e);
        return;
    }
    time_words(e->time_ns, when, sizeof(when));
    printf("%llu\t%s\t", (unsigned long long)e->position, when);
    print_bytes(e->stream);
    printf(" %llu\t", (unsigned long long)e->version);
    print_bytes(e->type);
    putchar('\t');
    print_bytes(e->payload);
    putchar('\n');
}

/* --from and --to are versions of the stream, if there is one, else positions;
 * TO itself is not meant. */
static int query_span(const struct call *c, struct luge_event_query *q)
{
    uint64_t from, to;
    int code = call_number(c, OPTION_FROM, 0, &from);

    if (!code) code = call_number(c, OPTION_TO, 0, &to);
    if (code) return code;
    if (!to && call_has(c, OPTION_TO))
        return say_usage(c->verb, "--to 0 leaves nothing: the first is 1");
    if (!q->stream.size) {
        q->position_from = from;
        q->position_to = to;
    } else {
        q->version_from = from;
        q->version_to = to;
    }
    return 0;
}

/* A span of time alone is read in the order of times, which finds its start. */
static int query_of(const struct call *c, struct luge_event_query *q)
{
    int code;

    *q = (struct luge_event_query){.type = option_text(c, OPTION_TYPE)};
    if (c->count > 2) q->stream = c->arguments[2];
    code = query_span(c, q);
    if (!code) code = call_time(c, OPTION_AFTER, &q->time_from_ns);
    if (!code) code = call_time(c, OPTION_BEFORE, &q->time_to_ns);
    if (call_has(c, OPTION_REVERSE)) q->flags |= LUGE_EVENT_BACKWARD;
    return code;
}

static int event_read(struct call *c)
{
    struct luge_events events;
    struct luge_event_query q;
    struct luge_event e;
    luge_event_reader *reader;
    uint64_t limit;
    int rc = call_number(c, OPTION_LIMIT, UINT64_MAX, &limit);

    if (!rc) rc = query_of(c, &q);
    if (rc) return rc;
    if (!q.stream.size && !q.type.size && (q.time_from_ns || q.time_to_ns))
        q.flags |= LUGE_EVENT_BY_TIME;
    rc = event_store(c, c->txn, 0, &events);
    if (!rc) rc = luge_event_open(c->txn, &events, &q, &reader);
    if (rc) return rc;
    while (limit-- && !(rc = luge_event_next(reader, &e))) print_event(c, &e);
    luge_event_close(reader);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int event_export(struct call *c)
{
    c->options[OPTION_JSON] = "";
    return event_read(c);
}

static int event_follow(struct call *c)
{
    struct luge_events events;
    struct luge_event_query q;
    struct luge_event e;
    luge_event_follower *follower;
    uint64_t limit;
    int rc = call_number(c, OPTION_LIMIT, UINT64_MAX, &limit);

    if (!rc) rc = query_of(c, &q);
    if (rc) return rc;
    rc = luge_events_open_now(c->db, store_path(c), LUGE_TREE_CREATE, &events);
    if (!rc) rc = luge_event_follow(c->db, &events, &q, &follower);
    if (rc) return rc;
    while (limit && output_is_read() &&
           (!(rc = luge_event_follow_next(follower, READER_MS, &e)) ||
            rc == LUGE_TIMEOUT)) {
        if (rc) continue;
        print_event(c, &e);
        limit--;
    }
    luge_event_unfollow(follower);
    return rc == LUGE_TIMEOUT ? 0 : rc;
}

/* ----------------------------------------------------------------- names -- */

static int event_streams(struct call *c)
{
    char space[2][LUGE_EVENT_NAME_SIZE_MAX];
    struct luge_events events;
    struct luge_event_place last;
    luge_bytes name = {"", 0};
    int rc = event_store(c, c->txn, 0, &events);

    for (unsigned i = 0; !rc; i++) {
        rc = luge_event_stream_after(c->txn, &events, name, space[i % 2],
                                     &name);
        if (!rc) rc = luge_event_last(c->txn, &events, name, &last);
        if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
        if (call_has(c, OPTION_JSON)) {
            print_json(json_pack("{s:o, s:o, s:o}", "stream",
                                 json_of_bytes(name), "version",
                                 json_of_count(last.version), "position",
                                 json_of_count(last.position)));
            continue;
        }
        print_bytes(name);
        printf("\t%llu\t%llu\n", (unsigned long long)last.version,
               (unsigned long long)last.position);
    }
    return rc;
}

static int event_types(struct call *c)
{
    char space[2][LUGE_EVENT_NAME_SIZE_MAX];
    struct luge_events events;
    luge_bytes name = {"", 0};
    int rc = event_store(c, c->txn, 0, &events);

    for (unsigned i = 0; !rc; i++) {
        rc = luge_event_type_after(c->txn, &events, name, space[i % 2], &name);
        if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
        if (call_has(c, OPTION_JSON)) {
            print_json(json_pack("{s:o}", "type", json_of_bytes(name)));
            continue;
        }
        print_bytes(name);
        putchar('\n');
    }
    return rc;
}

/* ---------------------------------------------------------------- states -- */

static int event_state(struct call *c)
{
    struct luge_events events;
    uint64_t version = LUGE_EVENT_ANY, at;
    luge_bytes state;
    int rc = c->count > 3 ? call_word_number(c, 3, &version) : 0;

    if (!rc) rc = event_store(c, c->txn, 0, &events);
    if (!rc)
        rc = luge_event_state_get(c->txn, &events, c->arguments[2], version,
                                  &at, &state);
    if (rc) return rc;
    if (call_has(c, OPTION_JSON)) {
        print_json(json_pack("{s:o, s:o, s:o}", "stream",
                             json_of_bytes(c->arguments[2]), "version",
                             json_of_count(at), "state",
                             json_of_bytes(state)));
        return 0;
    }
    printf("%llu\t", (unsigned long long)at);
    print_bytes(state);
    putchar('\n');
    return 0;
}

static int event_keep(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_events events;
    uint64_t version;
    int rc = call_word_number(c, 3, &version);

    if (!rc) rc = event_store(c, txn, 0, &events);
    return rc ? rc : luge_event_state_put(txn, &events, c->arguments[2],
                                          version, c->arguments[4]);
}

/* ----------------------------------------------------------- projections -- */

static int event_projections(struct call *c)
{
    char space[2][LUGE_EVENT_NAME_SIZE_MAX];
    struct luge_events events;
    luge_bytes name = {"", 0};
    uint64_t last, position;
    int rc = event_store(c, c->txn, 0, &events);

    if (!rc) rc = luge_event_position(c->txn, &events, &last);
    for (unsigned i = 0; !rc; i++) {
        rc = luge_projection_after(c->txn, &events, name, space[i % 2], &name);
        if (!rc)
            rc = luge_projection_position(c->txn, &events, name, &position);
        if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
        uint64_t behind = last > position ? last - position : 0;
        if (call_has(c, OPTION_JSON)) {
            print_json(json_pack("{s:o, s:o, s:o}", "projection",
                                 json_of_bytes(name), "position",
                                 json_of_count(position), "behind",
                                 json_of_count(behind)));
            continue;
        }
        print_bytes(name);
        printf("\t%llu\t%llu behind\n", (unsigned long long)position,
               (unsigned long long)behind);
    }
    return rc;
}

static int event_reset(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_events events;
    uint64_t position;
    int rc = call_word_number(c, 3, &position);

    if (!rc) rc = event_store(c, txn, 0, &events);
    return rc ? rc : luge_projection_reset(txn, &events, c->arguments[2],
                                           position);
}

/* ----------------------------------------------------------------- verb -- */

static const struct action actions[] = {
    {"append", 2, 3, "STREAM TYPE [PAYLOAD]", .change = event_append,
     .made = "position version"},
    {"read", 0, 1, "[STREAM]", .look = event_read},
    {"follow", 0, 1, "[STREAM]", .run = event_follow},
    {"streams", 0, 0, "", .look = event_streams},
    {"types", 0, 0, "", .look = event_types},
    {"state", 1, 2, "STREAM [VERSION]", .look = event_state},
    {"keep", 3, 3, "STREAM VERSION STATE", .change = event_keep},
    {"projections", 0, 0, "", .look = event_projections},
    {"reset", 2, 2, "PROJECTION POSITION", .change = event_reset},
    {"export", 0, 1, "[STREAM]", .look = event_export},
    {"import", 1, 1, "FILE", .change = event_import, .made = "position",
     .prepare = event_import_read},
};

int verb_event(struct call *c)
{
    return call_action(c, actions, sizeof(actions) / sizeof(actions[0]));
}
