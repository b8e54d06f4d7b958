/* model/conversation_event.c -- the events of nodes, and reading those of a
 * path in order (luge_score).
 * Not here: what may be in an event (music.c).
 */
#include "conversation.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const struct convo_event convo_event_default = {
    .head = {sizeof(struct convo_event), 1}, .emotion = {0, 0.5f, 0}};

_Static_assert(sizeof(struct convo_event) == 80, "no padding, and golden");

/* ------------------------------------------------------------- writing -- */

/* Most notes have no words and the usual emotion: then the record ends before
 * `value`, and a reader takes the defaults (R3 of record.h). */
static bool is_plain(const struct luge_music_event *e)
{
    const struct luge_emotion *usual = &convo_event_default.emotion;

    return !e->agent.size && !e->what.size && !e->how.size && !e->data.size &&
           e->value == 0 && e->emotion.valence == usual->valence &&
           e->emotion.arousal == usual->arousal &&
           e->emotion.agency == usual->agency;
}

static int event_put(luge_txn *txn, const struct luge_conversation *convo,
                     uint64_t node, uint64_t at,
                     const struct luge_music_event *e)
{
    struct convo_event fixed = {
        .head = convo_event_default.head,
        .kind = e->kind, .track = e->track, .channel = e->channel,
        .pitch = e->pitch, .velocity = e->velocity, .mode = e->mode,
        .number = e->number, .time_ns = e->time_ns,
        .duration_ns = e->duration_ns, .value = e->value,
        .emotion = e->emotion};
    struct record_writer w;
    struct tuple key;

    if (is_plain(e)) fixed.head.bytes = offsetof(struct convo_event, value);
    record_begin(&w, &fixed.head);
    record_add(&w, &fixed.agent, e->agent);
    record_add(&w, &fixed.what, e->what);
    record_add(&w, &fixed.how, e->how);
    record_add(&w, &fixed.data, e->data);
    convo_key_pair(&key, node, at);
    return convo_put(txn, convo->events, &key, &w);
}

int convo_events_put(luge_txn *txn, const struct luge_conversation *convo,
                     uint64_t node, const struct luge_say *say)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < say->event_count; i++)
        rc = event_put(txn, convo, node, i, &say->events[i]);
    return rc;
}

/* ------------------------------------------------------------- reading -- */

int convo_event_show(luge_bytes raw, struct luge_music_event *event)
{
    struct convo_event fixed;
    struct luge_music_event found;
    int rc = record_read(&convo_event_default.head, raw, &fixed);

    if (rc) return rc;
    found = (struct luge_music_event){
        .kind = fixed.kind, .track = fixed.track, .channel = fixed.channel,
        .pitch = fixed.pitch, .velocity = fixed.velocity, .mode = fixed.mode,
        .number = fixed.number, .value = fixed.value,
        .time_ns = fixed.time_ns, .duration_ns = fixed.duration_ns,
        .emotion = fixed.emotion};
    rc = record_part(raw, fixed.agent, &found.agent);
    if (!rc) rc = record_part(raw, fixed.what, &found.what);
    if (!rc) rc = record_part(raw, fixed.how, &found.how);
    if (!rc) rc = record_part(raw, fixed.data, &found.data);
    if (!rc) *event = found;
    return rc;
}

int luge_node_event(luge_txn *txn, const struct luge_conversation *convo,
                    uint64_t node, uint32_t at, struct luge_music_event *event)
{
    struct tuple key;
    luge_bytes raw;

    convo_key_pair(&key, node, at);
    int rc = luge_get(txn, convo->events, tuple_key(&key), &raw);
    return rc ? rc : convo_event_show(raw, event);
}

/* --------------------------------------------------------------- score -- */

/* Where an event is.  Of BY_TIME; else there is but one, the next. */
struct place {
    uint64_t time_ns;
    uint64_t order;             /* of the node on the path, and the index */
};

enum { INDEX_BITS = 24 };       /* LUGE_NODE_EVENTS_MAX */

struct luge_score {
    luge_txn *txn;
    struct luge_conversation convo;
    struct luge_score_options options;
    uint64_t *nodes;            /* of the path, with events in the range */
    size_t count, at;           /* at: the next node, or place */
    struct place *places;
    size_t place_count, place_room;
    luge_cursor *cursor;        /* in the events of node at - 1 */
    bool within;
    uint32_t index;             /* of the last event */
};

static int index_of(luge_bytes key, uint32_t *index)
{
    struct tuple_reader reader = tuple_read(key);
    uint64_t node, at;
    int rc = tuple_get_u64(&reader, &node);

    if (!rc) rc = tuple_get_u64(&reader, &at);
    if (!rc && at >= LUGE_NODE_EVENTS_MAX)
        rc = MODEL_CORRUPT("a node has event %llu", (unsigned long long)at);
    if (!rc) *index = (uint32_t)at;
    return rc;
}

/* The next event in the order of the path, whatever its time. */
static int next_any(luge_score *s, luge_bytes *raw)
{
    struct tuple prefix;
    luge_bytes key;

    for (;;) {
        int rc = s->within ? luge_cursor_next(s->cursor, &key, raw)
                           : LUGE_NOTFOUND;
        if (!rc) return index_of(key, &s->index);
        if (rc != LUGE_NOTFOUND) return rc;
        if (s->at == s->count) return rc;
        convo_key(&prefix, s->nodes[s->at++]);
        rc = luge_cursor_prefix(s->cursor, tuple_key(&prefix));
        if (rc) return rc;
        s->within = true;
    }
}

static bool in_range(const luge_score *s, uint64_t time_ns)
{
    return time_ns >= s->options.from_ns &&
           (!s->options.to_ns || time_ns < s->options.to_ns);
}

static int next_by_path(luge_score *s, struct luge_music_event *event,
                        uint64_t *node)
{
    luge_bytes raw;
    int rc;

    do {
        rc = next_any(s, &raw);
        if (!rc) rc = convo_event_show(raw, event);
    } while (!rc && !in_range(s, event->time_ns));
    if (!rc && node) *node = s->nodes[s->at - 1];
    return rc;
}

static int next_by_time(luge_score *s, struct luge_music_event *event,
                        uint64_t *node)
{
    if (s->at == s->place_count) return LUGE_NOTFOUND;
    uint64_t order = s->places[s->at++].order;
    uint64_t id = s->nodes[order >> INDEX_BITS];
    s->index = (uint32_t)(order & ((1u << INDEX_BITS) - 1));
    if (node) *node = id;
    int rc = luge_node_event(s->txn, &s->convo, id, s->index, event);
    return rc == LUGE_NOTFOUND ? MODEL_CORRUPT("an event is gone") : rc;
}

static int place_add(luge_score *s, uint64_t time_ns, uint64_t order)
{
    if (s->place_count == s->place_room) {
        size_t room = s->place_room ? 2 * s->place_room : 256;
        void *larger = model_realloc(s->places, room * sizeof(struct place));
        if (!larger) return MODEL_NOMEM();
        s->places = larger;
        s->place_room = room;
    }
    s->places[s->place_count++] = (struct place){time_ns, order};
    return 0;
}

static int by_time(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    if (a->time_ns != b->time_ns) return a->time_ns < b->time_ns ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static int score_sort(luge_score *s)
{
    struct luge_music_event event;
    luge_bytes raw;
    int rc;

    while ((rc = next_any(s, &raw)) == 0) {
        rc = convo_event_show(raw, &event);
        if (!rc && in_range(s, event.time_ns))
            rc = place_add(s, event.time_ns,
                           ((uint64_t)(s->at - 1) << INDEX_BITS) | s->index);
        if (rc) return rc;
    }
    if (rc != LUGE_NOTFOUND) return rc;
    if (s->place_count)
        qsort(s->places, s->place_count, sizeof(struct place), by_time);
    s->at = 0;
    return 0;
}

int luge_score_open(luge_txn *txn, const struct luge_conversation *convo,
                    const struct luge_score_options *options,
                    luge_score **score)
{
    struct convo_span span = {options->node, 0, options->from_ns,
                              options->to_ns, false};
    luge_score *s = model_alloc(sizeof(*s));
    int rc = 0;

    if (!s) return MODEL_NOMEM();
    if (options->flags & ~(unsigned)LUGE_SCORE_BY_TIME)
        rc = model_fail(LUGE_INVALID, "a score with flags %x", options->flags);
    *s = (luge_score){.txn = txn, .convo = *convo, .options = *options};
    if (!rc && options->without)
        rc = convo_fork_point(txn, convo, options->node, options->without,
                              &span.after);
    if (!rc) rc = convo_path(txn, convo, &span, &s->nodes, &s->count);
    if (!rc) rc = luge_cursor_open(txn, convo->events, &s->cursor);
    if (!rc && (options->flags & LUGE_SCORE_BY_TIME)) rc = score_sort(s);
    if (rc)
        luge_score_close(s);
    else
        *score = s;
    return rc;
}

int luge_score_next(luge_score *score, struct luge_music_event *event,
                    uint64_t *node)
{
    return score->options.flags & LUGE_SCORE_BY_TIME
               ? next_by_time(score, event, node)
               : next_by_path(score, event, node);
}

uint32_t luge_score_index(const luge_score *score)
{
    return score->index;
}

void luge_score_close(luge_score *score)
{
    if (!score) return;
    luge_cursor_close(score->cursor);
    model_free(score->nodes);
    model_free(score->places);
    model_free(score);
}
