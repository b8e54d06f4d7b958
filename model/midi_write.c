/* model/midi_write.c -- musical events as a Standard MIDI File of format 1.
 *
 *   1 the changes of tempo, in the order of time, give each time its tick
 *   2 every event becomes a message, a note two
 *   3 messages in the order of track and tick; at one tick the ends of earlier
 *     notes come first, then what was given, in the order given
 *   4 tracks, each with its size in front
 * Not here: the clock (midi_clock.c), reading (midi_read.c).
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "midi.h"

/* A message that is due.  An end of a note has `on` 0. */
struct due {
    uint64_t tick, order;
    const struct luge_music_event *event;
    uint16_t track;
    uint8_t pitch, on, early;   /* early: of a note begun at another tick */
};

/* A clock and since when it holds. */
struct pace {
    uint64_t time_ns;
    struct midi_clock clock;
};

struct writer {
    struct pace *paces;
    size_t pace_count;
    struct due *dues;
    size_t due_count, due_room;
    unsigned char *bytes;
    size_t size, room;
    int failed;                 /* NOMEM, TOOBIG */
};

/* ---------------------------------------------------------------- time -- */

static int by_time(const void *left, const void *right)
{
    const struct luge_music_event *const *a = left, *const *b = right;

    if ((*a)->time_ns != (*b)->time_ns)
        return (*a)->time_ns < (*b)->time_ns ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

static int make_paces(struct writer *w, const struct luge_music_event *events,
                      size_t count, uint16_t division)
{
    const struct luge_music_event **list;
    struct midi_clock clock;
    size_t tempos = 0;
    int rc = midi_clock_start(&clock, division);

    if (rc) return rc;
    for (size_t i = 0; i < count; i++)
        tempos += events[i].kind == LUGE_MUSIC_TEMPO;
    list = model_alloc(tempos * sizeof(*list));
    w->paces = model_alloc((tempos + 1) * sizeof(*w->paces));
    if (!list || !w->paces) {
        model_free(list);
        return MODEL_NOMEM();
    }
    w->paces[w->pace_count++] = (struct pace){0, clock};
    tempos = 0;
    for (size_t i = 0; i < count; i++)
        if (events[i].kind == LUGE_MUSIC_TEMPO) list[tempos++] = &events[i];
    if (tempos) qsort(list, tempos, sizeof(*list), by_time);
    for (size_t i = 0; i < tempos; i++) {
        midi_clock_tempo(&clock, midi_tick(&clock, list[i]->time_ns),
                         (uint32_t)list[i]->number);
        w->paces[w->pace_count++] = (struct pace){list[i]->time_ns, clock};
    }
    model_free(list);
    return 0;
}

static uint64_t tick_of(const struct writer *w, uint64_t time_ns)
{
    size_t low = 0, high = w->pace_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (w->paces[middle].time_ns <= time_ns)
            low = middle;
        else
            high = middle;
    }
    return midi_tick(&w->paces[low].clock, time_ns);
}

/* -------------------------------------------------------------- messages -- */

static void due_add(struct writer *w, struct due due)
{
    if (w->due_count == w->due_room) {
        size_t room = w->due_room ? 2 * w->due_room : 256;
        void *larger = model_realloc(w->dues, room * sizeof(due));
        if (!larger) w->failed = LUGE_NOMEM;
        if (!larger) return;
        w->dues = larger;
        w->due_room = room;
    }
    due.order = w->due_count;
    w->dues[w->due_count++] = due;
}

static void due_note(struct writer *w, const struct luge_music_event *e,
                     uint8_t pitch)
{
    uint64_t begin = tick_of(w, e->time_ns);
    uint64_t end = tick_of(w, e->time_ns + e->duration_ns);
    struct due due = {.tick = begin, .event = e, .track = e->track,
                      .pitch = pitch, .on = 1};

    due_add(w, due);
    due.tick = end;
    due.on = 0;
    due.early = end > begin;
    due_add(w, due);
}

/* A kind without a word in MIDI has none of these. */
static bool has_message(const struct luge_music_event *e)
{
    return (e->kind >= LUGE_MUSIC_PROGRAM && e->kind <= LUGE_MUSIC_METER) ||
           e->kind == LUGE_MUSIC_CONTROL;
}

static void due_event(struct writer *w, const struct luge_music_event *e)
{
    const uint8_t *pitches = e->data.data;

    if (e->kind == LUGE_MUSIC_NOTE) {
        due_note(w, e, e->pitch);
    } else if (e->kind == LUGE_MUSIC_CHORD) {
        for (size_t i = 0; i < e->data.size; i++)
            due_note(w, e, pitches[i] & 127);
    } else if (has_message(e)) {
        due_add(w, (struct due){.tick = tick_of(w, e->time_ns), .event = e,
                                .track = e->track, .on = 1});
    }
}

static int by_tick(const void *left, const void *right)
{
    const struct due *a = left, *b = right;

    if (a->track != b->track) return a->track < b->track ? -1 : 1;
    if (a->tick != b->tick) return a->tick < b->tick ? -1 : 1;
    if (a->early != b->early) return a->early ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* --------------------------------------------------------------- bytes -- */

static void put(struct writer *w, const void *bytes, size_t size)
{
    if (size > LUGE_MIDI_SIZE_MAX - w->size && !w->failed)
        w->failed = LUGE_TOOBIG;
    if (w->failed || !size) return;
    if (size > w->room - w->size) {
        size_t room = w->room ? 2 * w->room : 1 << 12;
        while (room - w->size < size) room *= 2;
        void *larger = model_realloc(w->bytes, room);
        if (!larger) w->failed = LUGE_NOMEM;
        if (!larger) return;
        w->bytes = larger;
        w->room = room;
    }
    memcpy(w->bytes + w->size, bytes, size);
    w->size += size;
}

static void put_byte(struct writer *w, unsigned byte)
{
    unsigned char one = (unsigned char)byte;
    put(w, &one, 1);
}

static void put_big(struct writer *w, uint32_t value, unsigned size)
{
    while (size--) put_byte(w, value >> (8 * size) & 255);
}

static void put_length(struct writer *w, uint32_t value)
{
    for (unsigned shift = 21; shift; shift -= 7)
        if (value >> shift) put_byte(w, ((value >> shift) & 127) | 128);
    put_byte(w, value & 127);
}

enum { DELTA_MAX = 0x0fffffff, FILLER_BYTES = 7 };

static void put_meta(struct writer *w, unsigned kind, luge_bytes data)
{
    put_byte(w, MIDI_META);
    put_byte(w, kind);
    put_length(w, (uint32_t)data.size);
    put(w, data.data, data.size);
}

/* Longer pauses than a number can hold are cut by texts of no length. */
static void put_delta(struct writer *w, uint64_t delta)
{
    if (delta / DELTA_MAX > (LUGE_MIDI_SIZE_MAX - w->size) / FILLER_BYTES)
        w->failed = w->failed ? w->failed : LUGE_TOOBIG;
    for (; delta > DELTA_MAX && !w->failed; delta -= DELTA_MAX) {
        put_length(w, DELTA_MAX);
        put_meta(w, META_TEXT_FIRST, luge_bytes_of("", 0));
    }
    put_length(w, (uint32_t)delta);
}

static void put_voice(struct writer *w, unsigned status, unsigned channel,
                      unsigned one, unsigned two)
{
    put_byte(w, status | channel);
    put_byte(w, one & 127);
    if (status != MIDI_PROGRAM && status != MIDI_PRESSURE)
        put_byte(w, two & 127);
}

static void put_context(struct writer *w, const struct luge_music_event *e)
{
    unsigned char data[4] = {(unsigned char)e->number, e->mode, 24, 8};

    if (e->kind == LUGE_MUSIC_METER) {
        if (e->data.size == 2) memcpy(data + 2, e->data.data, 2);
        put_meta(w, META_METER, luge_bytes_of(data, 4));
    } else if (e->kind == LUGE_MUSIC_KEY) {
        put_meta(w, META_KEY, luge_bytes_of(data, 2));
    } else {
        for (int i = 0; i < 3; i++)
            data[i] = (unsigned char)(e->number >> (16 - 8 * i));
        put_meta(w, META_TEMPO, luge_bytes_of(data, 3));
    }
}

static void put_due(struct writer *w, const struct due *due)
{
    const struct luge_music_event *e = due->event;
    unsigned number = (unsigned)e->number;

    switch (e->kind) {
    case LUGE_MUSIC_NOTE:
    case LUGE_MUSIC_CHORD:
        if (due->on)
            put_voice(w, MIDI_NOTE_ON, e->channel, due->pitch,
                      e->velocity ? e->velocity : 1);
        else
            put_voice(w, MIDI_NOTE_OFF, e->channel, due->pitch, number);
        break;
    case LUGE_MUSIC_CONTROL:
        put_voice(w, MIDI_CONTROL, e->channel, number,
                  (unsigned)(e->value + 0.5f));
        break;
    case LUGE_MUSIC_PROGRAM:
        put_voice(w, MIDI_PROGRAM, e->channel, number, 0);
        break;
    case LUGE_MUSIC_BEND:
        number += 8192;
        put_voice(w, MIDI_BEND, e->channel, number, number >> 7);
        break;
    case LUGE_MUSIC_PRESSURE:
        if (e->number < 0)
            put_voice(w, MIDI_PRESSURE, e->channel, e->velocity, 0);
        else
            put_voice(w, MIDI_KEY_PRESSURE, e->channel, number, e->velocity);
        break;
    case LUGE_MUSIC_TEXT:
        put_meta(w, number ? number : META_TEXT_FIRST,
                 e->what.size ? e->what : e->data);
        break;
    case LUGE_MUSIC_RAW: put(w, e->data.data, e->data.size); break;
    default: put_context(w, e);
    }
}

/* --------------------------------------------------------------- checks -- */

/* One whole message: a status, perhaps a type, a length, so many bytes. */
static int raw_ok(const struct luge_music_event *e)
{
    const unsigned char *p = e->data.data;
    size_t size = e->data.size, at = 1, length = 0;
    bool meta = size && p[0] == MIDI_META;

    if (meta) at++;
    bool known = size > at && (p[0] == MIDI_SYSEX || p[0] == MIDI_ESCAPE ||
                               (meta && p[1] < 128 && p[1] != META_END));
    size_t from = at;
    while (known && at < size && at < from + 4) {
        length = (length << 7) | (p[at] & 127u);
        if (p[at++] < 128) {
            if (size - at == length) return 0;
            break;
        }
    }
    return model_fail(LUGE_INVALID, "raw MIDI of %zu bytes that is no system "
                      "or meta message", size);
}

static int event_ok(const struct luge_music_event *e)
{
    int rc = luge_music_check(e);

    if (!rc && e->kind == LUGE_MUSIC_RAW) rc = raw_ok(e);
    if (!rc && e->kind == LUGE_MUSIC_TEMPO && e->number > 0xffffff)
        rc = model_fail(LUGE_INVALID, "a tempo of %d us per quarter note; MIDI "
                        "knows 16777215 at most", e->number);
    if (!rc && e->track == UINT16_MAX)
        rc = model_fail(LUGE_INVALID, "MIDI knows no track 65535");
    return rc;
}

/* ---------------------------------------------------------------- file -- */

static void put_track(struct writer *w, unsigned track, size_t *at)
{
    uint64_t tick = 0;
    size_t head = w->size;

    put(w, "MTrk\0\0\0\0", 8);
    for (; *at < w->due_count && w->dues[*at].track == track; ++*at) {
        put_delta(w, w->dues[*at].tick - tick);
        put_due(w, &w->dues[*at]);
        tick = w->dues[*at].tick;
    }
    put_length(w, 0);
    put_meta(w, META_END, luge_bytes_of("", 0));
    if (w->failed) return;
    uint32_t size = (uint32_t)(w->size - head - 8);
    for (int i = 0; i < 4; i++)
        w->bytes[head + 4 + (size_t)i] = (unsigned char)(size >> (24 - 8 * i));
}

static void put_file(struct writer *w, uint16_t division)
{
    unsigned tracks = w->due_count ? w->dues[w->due_count - 1].track + 1u : 1;
    size_t at = 0;

    put(w, "MThd\0\0\0\6\0\1", 10);
    put_big(w, tracks, 2);
    put_big(w, division, 2);
    for (unsigned track = 0; track < tracks && !w->failed; track++)
        put_track(w, track, &at);
}

static int too_large(void)
{
    return model_fail(LUGE_TOOBIG, "a MIDI file of more than %u bytes",
                      LUGE_MIDI_SIZE_MAX);
}

enum { NOTE_BYTES_MIN = 8 };

int luge_midi_write(const struct luge_music_event *events, size_t count,
                    uint16_t division, luge_bytes *file)
{
    struct writer w = {0};
    size_t bytes = 0;
    int rc = 0;

    if (!division) division = MIDI_DIVISION;
    for (size_t i = 0; !rc && i < count; i++) {
        rc = event_ok(&events[i]);
        bytes += 16 + events[i].what.size + events[i].data.size;
        if (events[i].kind == LUGE_MUSIC_CHORD)     /* two messages each */
            bytes += NOTE_BYTES_MIN * events[i].data.size;
        if (!rc && bytes > LUGE_MIDI_SIZE_MAX) rc = too_large();
    }
    if (!rc) rc = make_paces(&w, events, count, division);
    for (size_t i = 0; !rc && i < count; i++) due_event(&w, &events[i]);
    if (!rc && w.due_count && !w.failed)
        qsort(w.dues, w.due_count, sizeof(*w.dues), by_tick);
    if (!rc) put_file(&w, division);
    if (!rc && w.failed)
        rc = w.failed == LUGE_TOOBIG ? too_large() : MODEL_NOMEM();
    model_free(w.paces);
    model_free(w.dues);
    if (rc)
        model_free(w.bytes);
    else
        *file = luge_bytes_of(w.bytes, w.size);
    return rc;
}

void luge_midi_file_free(luge_bytes file)
{
    model_free((void *)(uintptr_t)file.data);
}
