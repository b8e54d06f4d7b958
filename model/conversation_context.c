/* model/conversation_context.c -- in what music is heard: tempo, key, meter,
 * chords and emotion, as of a node or at a time on its path (V4 of
 * conversation.h).
 *
 * A node whose events change the context has the whole state after it, and the
 * number of the node that changed it before.  So the state of any node is one
 * lookup.  For a time, go back along these until everything in a state is old
 * enough, then repeat what came since and is: that is exact even where a merge
 * put a change in front of what was there before.
 * Not here: the notes (conversation_event.c).
 */
#include "conversation.h"

#include <string.h>

const struct convo_context convo_context_default = {
    .head = {sizeof(struct convo_context), 1},
    .tempo_us = 500000, .meter_beats = 4, .meter_unit = 2};

_Static_assert(sizeof(struct convo_context) == 56, "no padding, and golden");
_Static_assert(sizeof(struct convo_chord) == 32, "and golden");

/* --------------------------------------------------------------- state -- */

static struct luge_context context_start(void)
{
    const struct convo_context *d = &convo_context_default;

    return (struct luge_context){
        .tempo_us = d->tempo_us, .meter_beats = d->meter_beats,
        .meter_unit = d->meter_unit, .emotion = luge_emotion_neutral()};
}

/* In the order of time; of the same time, the later one said is behind. */
static void chord_add(struct luge_context *c, uint64_t time_ns, luge_bytes name)
{
    struct luge_chord chord = {.time_ns = time_ns};
    unsigned at = c->chords;

    memcpy(chord.name, name.data, name.size);
    while (at && c->chord[at - 1].time_ns > time_ns) at--;
    if (c->chords == LUGE_CHORDS_MAX) {
        if (!at) return;        /* older than all that are remembered */
        at--;
        memmove(c->chord, c->chord + 1, at * sizeof(chord));
    } else {
        memmove(c->chord + at + 1, c->chord + at,
                (c->chords++ - at) * sizeof(chord));
    }
    c->chord[at] = chord;
}

/* Whether E changes the context at all; if so, C has it, unless C knows
 * something newer. */
static bool context_apply(struct luge_context *c,
                          const struct luge_music_event *e)
{
    switch (e->kind) {
    case LUGE_MUSIC_TEMPO:
        if (e->time_ns < c->tempo_at_ns) return true;
        c->tempo_us = (uint32_t)e->number;
        c->tempo_at_ns = e->time_ns;
        return true;
    case LUGE_MUSIC_KEY:
        if (e->time_ns < c->key_at_ns) return true;
        c->key_sharps = (int8_t)e->number;
        c->key_mode = e->mode;
        c->key_at_ns = e->time_ns;
        return true;
    case LUGE_MUSIC_METER:
        if (e->time_ns < c->meter_at_ns) return true;
        c->meter_beats = (uint8_t)e->number;
        c->meter_unit = e->mode;
        c->meter_at_ns = e->time_ns;
        return true;
    case LUGE_MUSIC_HARMONY:
        chord_add(c, e->time_ns, e->what);
        return true;
    default: return false;
    }
}

static int chords_show(luge_bytes bytes, struct luge_context *c)
{
    struct convo_chord chord;

    if (bytes.size % sizeof(chord) || bytes.size / sizeof(chord) >
                                          LUGE_CHORDS_MAX)
        return MODEL_CORRUPT("a context has %zu bytes of chords", bytes.size);
    c->chords = (unsigned)(bytes.size / sizeof(chord));
    for (unsigned i = 0; i < c->chords; i++) {
        memcpy(&chord, (const char *)bytes.data + i * sizeof(chord),
               sizeof(chord));
        c->chord[i].time_ns = chord.time_ns;
        memcpy(c->chord[i].name, chord.name, sizeof(chord.name));
        c->chord[i].name[sizeof(chord.name)] = 0;
    }
    return 0;
}

/* The state after the node CONTEXT; 0: the start.  PREVIOUS may be NULL. */
static int context_read(luge_txn *txn, const struct luge_conversation *convo,
                        uint64_t context, struct luge_context *c,
                        uint64_t *previous)
{
    struct convo_context fixed;
    struct tuple key;
    luge_bytes raw, chords;

    *c = context_start();
    if (previous) *previous = 0;
    if (!context) return 0;
    convo_key(&key, context);
    int rc = luge_get(txn, convo->contexts, tuple_key(&key), &raw);
    if (rc == LUGE_NOTFOUND)
        return MODEL_CORRUPT("the context of node %llu is gone",
                             (unsigned long long)context);
    if (!rc) rc = record_read(&convo_context_default.head, raw, &fixed);
    if (!rc) rc = record_part(raw, fixed.chords, &chords);
    if (!rc) rc = chords_show(chords, c);
    if (rc) return rc;
    if (fixed.previous >= context)
        return MODEL_CORRUPT("the context of node %llu is older than itself",
                             (unsigned long long)context);
    c->node = context;
    c->tempo_us = fixed.tempo_us;
    c->key_sharps = fixed.key_sharps;
    c->key_mode = fixed.key_mode;
    c->meter_beats = fixed.meter_beats;
    c->meter_unit = fixed.meter_unit;
    c->tempo_at_ns = fixed.tempo_at_ns;
    c->key_at_ns = fixed.key_at_ns;
    c->meter_at_ns = fixed.meter_at_ns;
    if (previous) *previous = fixed.previous;
    return 0;
}

static int context_write(luge_txn *txn, const struct luge_conversation *convo,
                         uint64_t node, uint64_t previous,
                         const struct luge_context *c)
{
    struct convo_chord chords[LUGE_CHORDS_MAX];
    struct convo_context fixed = {
        .head = convo_context_default.head, .previous = previous,
        .tempo_us = c->tempo_us, .tempo_at_ns = c->tempo_at_ns,
        .key_at_ns = c->key_at_ns, .meter_at_ns = c->meter_at_ns,
        .key_sharps = c->key_sharps, .key_mode = c->key_mode,
        .meter_beats = c->meter_beats, .meter_unit = c->meter_unit};
    struct record_writer w;
    struct tuple key;

    for (unsigned i = 0; i < c->chords; i++) {
        chords[i].time_ns = c->chord[i].time_ns;
        memcpy(chords[i].name, c->chord[i].name, sizeof(chords[i].name));
    }
    record_begin(&w, &fixed.head);
    record_add(&w, &fixed.chords,
               luge_bytes_of(chords, c->chords * sizeof(chords[0])));
    convo_key(&key, node);
    return convo_put(txn, convo->contexts, &key, &w);
}

int convo_context_put(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t node, uint64_t previous,
                      const struct luge_say *say, uint64_t *context)
{
    struct luge_context c;
    bool changed = false;

    *context = previous;
    for (size_t i = 0; i < say->event_count; i++)
        if (say->events[i].kind >= LUGE_MUSIC_TEMPO) changed = true;
    if (!changed) return 0;
    int rc = context_read(txn, convo, previous, &c, NULL);
    if (rc) return rc;
    for (size_t i = 0; i < say->event_count; i++)
        context_apply(&c, &say->events[i]);
    *context = node;
    return context_write(txn, convo, node, previous, &c);
}

int luge_context_of(luge_txn *txn, const struct luge_conversation *convo,
                    uint64_t node, struct luge_context *context)
{
    struct convo_node fixed;
    int rc = convo_node_read(txn, convo, node, &fixed, NULL);

    if (!rc) rc = context_read(txn, convo, fixed.context, context, NULL);
    if (!rc) context->emotion = fixed.emotion;
    return rc;
}

/* ------------------------------------------------------------- at times -- */

/* The last node on the path to ID that has an event of TIME_NS or before; 0 if
 * none has.  Goes over what lies behind by jumps (V2). */
static int last_begun(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t id, uint64_t time_ns, uint64_t *begun,
                      struct convo_node *node)
{
    for (*begun = id;; ) {
        int rc = convo_node_read(txn, convo, *begun, node, NULL);
        if (rc) return rc;
        if (node->events && node->begin_ns <= time_ns) return 0;
        bool far = node->depth && node->span_begin_ns > time_ns;
        *begun = far ? node->jump : node->parent;
        if (!*begun) return 0;
    }
}

/* The nodes with a context from CONTEXT back to the first state that is not
 * newer than TIME_NS, which is put into *c; 0 counts as such.  *nodes: the ones
 * before it, the last said first; for model_free. */
static int context_back(luge_txn *txn, const struct luge_conversation *convo,
                        uint64_t context, uint64_t time_ns,
                        struct luge_context *c, uint64_t **nodes, size_t *count)
{
    uint64_t previous;
    size_t room = 0;

    for (*nodes = NULL, *count = 0;; context = previous) {
        int rc = context_read(txn, convo, context, c, &previous);
        if (rc) return rc;
        if (c->tempo_at_ns <= time_ns && c->key_at_ns <= time_ns &&
            c->meter_at_ns <= time_ns &&
            (!c->chords || c->chord[c->chords - 1].time_ns <= time_ns))
            return 0;
        if (*count == room) {
            room = room ? 2 * room : 64;
            void *larger = model_realloc(*nodes, room * sizeof(context));
            if (!larger) return MODEL_NOMEM();
            *nodes = larger;
        }
        (*nodes)[(*count)++] = context;
    }
}

/* The events of NODE up to TIME_NS that change the context. */
static int context_repeat(luge_txn *txn, const struct luge_conversation *convo,
                          uint64_t node, uint64_t time_ns,
                          struct luge_context *c)
{
    struct luge_music_event e;
    struct convo_node fixed;
    int rc = convo_node_read(txn, convo, node, &fixed, NULL);

    for (uint32_t at = 0; !rc && at < fixed.events; at++) {
        rc = luge_node_event(txn, convo, node, at, &e);
        if (!rc && e.time_ns <= time_ns && e.kind == LUGE_MUSIC_HARMONY &&
            e.what.size > LUGE_CHORD_SIZE_MAX)
            rc = MODEL_CORRUPT("a chord's name has %zu bytes", e.what.size);
        if (!rc && e.time_ns <= time_ns && context_apply(c, &e))
            c->node = node;
    }
    return rc;
}

int luge_context_at(luge_txn *txn, const struct luge_conversation *convo,
                    uint64_t node, uint64_t time_ns,
                    struct luge_context *context)
{
    struct luge_context c = context_start();
    struct convo_node fixed;
    uint64_t begun, *nodes = NULL;
    size_t count = 0;
    int rc = last_begun(txn, convo, node, time_ns, &begun, &fixed);

    if (!rc && begun)
        rc = context_back(txn, convo, fixed.context, time_ns, &c, &nodes,
                          &count);
    while (!rc && count)
        rc = context_repeat(txn, convo, nodes[--count], time_ns, &c);
    model_free(nodes);
    if (rc) return rc;
    if (begun) c.emotion = fixed.emotion;
    *context = c;
    return 0;
}

/* ---------------------------------------------------- bars and beats -- */

/* A change of tempo or meter, and how far the music has come by then. */
struct change {
    uint64_t time_ns;
    uint32_t tempo_us;          /* 0: as before */
    uint8_t beats, unit;        /* beats 0: as before */
};

struct changes {
    struct change *list;
    size_t count, room;
};

/* Kept in the order of time; what was said later stands behind. */
static int changes_add(struct changes *all, const struct luge_music_event *e)
{
    struct change change = {.time_ns = e->time_ns};

    if (e->kind == LUGE_MUSIC_TEMPO) {
        change.tempo_us = (uint32_t)e->number;
    } else {
        change.beats = (uint8_t)e->number;
        change.unit = e->mode & 15;
    }
    if (all->count == all->room) {
        size_t room = all->room ? 2 * all->room : 64;
        void *larger = model_realloc(all->list, room * sizeof(change));
        if (!larger) return MODEL_NOMEM();
        all->list = larger;
        all->room = room;
    }
    size_t at = all->count++;
    for (; at && all->list[at - 1].time_ns > change.time_ns; at--)
        all->list[at] = all->list[at - 1];
    all->list[at] = change;
    return 0;
}

/* All changes up to TIME_NS, on the path of which CONTEXT is the last one. */
static int changes_gather(luge_txn *txn, const struct luge_conversation *convo,
                          uint64_t context, uint64_t time_ns,
                          struct changes *all)
{
    struct luge_context c;
    struct luge_music_event e;
    struct convo_node node;
    uint64_t previous;
    size_t count = 0, room = 0;
    uint64_t *path = NULL;
    int rc = 0;

    for (; !rc && context; context = previous) {
        rc = context_read(txn, convo, context, &c, &previous);
        if (!rc && count == room) {
            room = room ? 2 * room : 64;
            void *larger = model_realloc(path, room * sizeof(*path));
            rc = larger ? 0 : MODEL_NOMEM();
            if (larger) path = larger;
        }
        if (!rc) path[count++] = context;
    }
    while (!rc && count) {
        rc = convo_node_read(txn, convo, path[--count], &node, NULL);
        for (uint32_t at = 0; !rc && at < node.events; at++) {
            rc = luge_node_event(txn, convo, path[count], at, &e);
            if (!rc && e.time_ns <= time_ns &&
                (e.kind == LUGE_MUSIC_TEMPO || e.kind == LUGE_MUSIC_METER))
                rc = changes_add(all, &e);
        }
    }
    model_free(path);
    return rc;
}

/* Thousandths of a beat in QUARTERS, which are 2^40ths of quarter notes.  A
 * thousandth of a thousandth is forgiven, for times were rounded. */
enum { QUARTER_BITS = 40 };
static uint64_t ticks_of(unsigned __int128 quarters, unsigned unit)
{
    unsigned __int128 whole = (unsigned __int128)4 << QUARTER_BITS;

    return (uint64_t)(((quarters * 1000 << unit) + whole / 1000) / whole);
}

/* Goes through the changes: quarters since the last change of meter, and the
 * bars before it.  A meter begins with a bar of its own, so a bar that it cuts
 * short counts as one. */
static struct luge_music_time time_count(const struct changes *all,
                                         uint64_t time_ns)
{
    const struct convo_context *usual = &convo_context_default;
    unsigned __int128 quarters = 0;
    uint64_t at_ns = 0, bars = 0, tempo_ns = usual->tempo_us * UINT64_C(1000);
    uint64_t bar = usual->meter_beats * UINT64_C(1000);
    unsigned unit = usual->meter_unit;

    for (size_t i = 0; i <= all->count; i++) {
        bool last = i == all->count;
        const struct change *change = last ? NULL : &all->list[i];
        uint64_t until = last ? time_ns : change->time_ns;
        quarters += ((unsigned __int128)(until - at_ns) << QUARTER_BITS) /
                    tempo_ns;
        at_ns = until;
        if (last) break;
        if (change->tempo_us) tempo_ns = change->tempo_us * UINT64_C(1000);
        if (!change->beats) continue;
        bars += (ticks_of(quarters, unit) + bar - 1) / bar;
        quarters = 0;
        bar = change->beats * UINT64_C(1000);
        unit = change->unit;
    }
    uint64_t ticks = ticks_of(quarters, unit);
    bars += ticks / bar;
    return (struct luge_music_time){
        .bar = bars < UINT32_MAX ? (uint32_t)bars + 1 : UINT32_MAX,
        .beat = (uint32_t)(ticks % bar / 1000) + 1,
        .tick = (uint32_t)(ticks % 1000)};
}

int luge_music_time_at(luge_txn *txn, const struct luge_conversation *convo,
                       uint64_t node, uint64_t time_ns,
                       struct luge_music_time *time)
{
    struct changes all = {0};
    struct convo_node fixed;
    uint64_t begun;
    int rc = last_begun(txn, convo, node, time_ns, &begun, &fixed);

    if (!rc && begun)
        rc = changes_gather(txn, convo, fixed.context, time_ns, &all);
    if (!rc) *time = time_count(&all, time_ns);
    model_free(all.list);
    return rc;
}
