/* model/midi_read.c -- a Standard MIDI File as musical events.
 *
 *   MThd 6 format tracks division, then for each track
 *   MTrk size (delta message)...        delta: ticks, 1..4 bytes of 7 bits
 *
 *   1 every track: its messages as events whose time_ns is still the tick; a
 *     note's end is looked for as its track goes on
 *   2 ticks become nanoseconds along the changes of tempo of all tracks
 *   3 the events in the order of time
 * Nothing is read that was not looked at for its size before; an error names
 * the offset.  Why no library: none that Debian has names offsets, and
 * libsmf, the best of them, ends the process when memory runs out (GLib).
 * Not here: the clock (midi_clock.c), writing (midi_write.c).
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "midi.h"

enum { NONE = UINT32_MAX, CHANNELS = 16, PITCHES = 128 };

struct reader {
    const unsigned char *bytes;
    size_t at, end;             /* end: of the track */
    size_t size;                /* of the file */
    struct luge_music_event *events;
    uint32_t *next;             /* of a sounding note: the next of its pitch */
    size_t count, room;
    uint32_t first[CHANNELS * PITCHES], last[CHANNELS * PITCHES];
    uint64_t tick;
    uint16_t track;
    unsigned status;            /* 0: none is running */
};

#define MIDI_CORRUPT(r, ...) midi_corrupt((r)->at, __VA_ARGS__)

static int midi_corrupt(size_t at, const char *what)
{
    return MODEL_CORRUPT("MIDI file, offset %zu: %s", at, what);
}

/* ------------------------------------------------------------ elements -- */

static unsigned big(const unsigned char *p, unsigned count)
{
    unsigned value = 0;

    while (count--) value = (value << 8) | *p++;
    return value;
}

static int read_length(struct reader *r, uint32_t *value)
{
    uint32_t sum = 0;

    for (int i = 0; i < 4; i++) {
        if (r->at == r->end)
            return MIDI_CORRUPT(r, "the track ends inside of a number");
        unsigned char byte = r->bytes[r->at++];
        sum = (sum << 7) | (byte & 0x7fu);
        if (byte < 0x80) {
            *value = sum;
            return 0;
        }
    }
    return MIDI_CORRUPT(r, "a number of more than four bytes");
}

/* The next COUNT bytes of the track. */
static int read_bytes(struct reader *r, uint32_t count, luge_bytes *bytes)
{
    if (count > r->end - r->at)
        return MIDI_CORRUPT(r, "the track ends inside of a message");
    *bytes = luge_bytes_of(r->bytes + r->at, count);
    r->at += count;
    return 0;
}

static int add_event(struct reader *r, const struct luge_music_event *e)
{
    if (r->count == LUGE_MIDI_EVENTS_MAX)
        return model_fail(LUGE_TOOBIG, "MIDI file, offset %zu: more than %u "
                          "events", r->at, LUGE_MIDI_EVENTS_MAX);
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 256;
        void *events = model_realloc(r->events, room * sizeof(*e));
        if (events) r->events = events;
        void *next = model_realloc(r->next, room * sizeof(*r->next));
        if (next) r->next = next;
        if (!events || !next) return MODEL_NOMEM();
        r->room = room;
    }
    r->next[r->count] = NONE;
    r->events[r->count++] = *e;
    return 0;
}

static struct luge_music_event event_now(const struct reader *r, int kind)
{
    struct luge_music_event e = luge_music_event_of(kind, r->tick);

    e.track = r->track;
    return e;
}

/* --------------------------------------------------------------- notes -- */

static int note_on(struct reader *r, uint8_t pitch, uint8_t velocity)
{
    struct luge_music_event e = event_now(r, LUGE_MUSIC_NOTE);
    unsigned key = (r->status & 15) * PITCHES + pitch;

    e.channel = r->status & 15;
    e.pitch = pitch;
    e.velocity = velocity;
    int rc = add_event(r, &e);
    if (rc) return rc;
    uint32_t note = (uint32_t)r->count - 1;
    if (r->first[key] == NONE)
        r->first[key] = note;
    else
        r->next[r->last[key]] = note;
    r->last[key] = note;
    return 0;
}

/* Ends the note of this pitch that has sounded longest.  One that ends what
 * does not sound is heard by nobody. */
static void note_off(struct reader *r, unsigned key, uint8_t release)
{
    uint32_t note = r->first[key];

    if (note == NONE) return;
    r->first[key] = r->next[note];
    r->events[note].number = release;
    r->events[note].duration_ns = r->tick - r->events[note].time_ns;
}

static void notes_end(struct reader *r)
{
    for (unsigned key = 0; key < CHANNELS * PITCHES; key++)
        while (r->first[key] != NONE) note_off(r, key, 0);
}

/* ------------------------------------------------------------- messages -- */

static int read_voice(struct reader *r)
{
    luge_bytes bytes = {0};
    unsigned kind = r->status & 0xf0u;
    uint32_t size = kind == MIDI_PROGRAM || kind == MIDI_PRESSURE ? 1 : 2;
    int rc = read_bytes(r, size, &bytes);

    if (rc) return rc;
    const uint8_t *data = bytes.data;
    uint8_t one = data[0], two = size == 2 ? data[1] : 0;
    if ((one | two) & 0x80) {
        r->at -= size;
        return MIDI_CORRUPT(r, "a status byte inside of a message");
    }
    struct luge_music_event e = event_now(r, LUGE_MUSIC_PRESSURE);
    unsigned key = (r->status & 15) * PITCHES + one;
    e.channel = r->status & 15;
    switch (kind) {
    case MIDI_NOTE_ON:
        if (two) return note_on(r, one, two);
        note_off(r, key, 0);
        return 0;
    case MIDI_NOTE_OFF:
        note_off(r, key, two);
        return 0;
    case MIDI_KEY_PRESSURE:
        e.number = one;
        e.velocity = two;
        break;
    case MIDI_PRESSURE:
        e.number = -1;
        e.velocity = one;
        break;
    case MIDI_CONTROL:
        e.kind = LUGE_MUSIC_CONTROL;
        e.number = one;
        e.value = two;
        break;
    case MIDI_PROGRAM:
        e.kind = LUGE_MUSIC_PROGRAM;
        e.number = one;
        break;
    default:
        e.kind = LUGE_MUSIC_BEND;
        e.number = (one | (two << 7)) - 8192;
    }
    return add_event(r, &e);
}

static int meta_sized(const struct reader *r, luge_bytes data, size_t least)
{
    if (data.size >= least) return 0;
    return MIDI_CORRUPT(r, "a meta message is too short");
}

static int meta_tempo(const struct reader *r, luge_bytes data,
                      struct luge_music_event *e)
{
    int rc = meta_sized(r, data, 3);

    if (rc) return rc;
    e->kind = LUGE_MUSIC_TEMPO;
    e->number = (int32_t)big(data.data, 3);
    return e->number ? 0 : MIDI_CORRUPT(r, "a tempo of 0");
}

/* The metronome's two bytes are kept as they are. */
static int meta_meter(const struct reader *r, luge_bytes data,
                      struct luge_music_event *e)
{
    const uint8_t *p = data.data;
    int rc = meta_sized(r, data, 4);

    if (rc) return rc;
    if (!p[0] || p[1] > 15)
        return MIDI_CORRUPT(r, "a time signature that is none");
    e->kind = LUGE_MUSIC_METER;
    e->number = p[0];
    e->mode = p[1];
    if (p[2] != 24 || p[3] != 8) e->data = luge_bytes_of(p + 2, 2);
    return 0;
}

static int meta_key(const struct reader *r, luge_bytes data,
                    struct luge_music_event *e)
{
    const uint8_t *p = data.data;
    int rc = meta_sized(r, data, 2);

    if (rc) return rc;
    e->kind = LUGE_MUSIC_KEY;
    e->number = (int8_t)p[0];
    e->mode = p[1];
    if (e->number >= -7 && e->number <= 7 && e->mode <= 1) return 0;
    return MIDI_CORRUPT(r, "a key signature that is none");
}

/* FROM: where the message begins. */
static int read_meta(struct reader *r, size_t from)
{
    struct luge_music_event e = event_now(r, LUGE_MUSIC_RAW);
    luge_bytes data, type = {0};
    uint32_t size;
    int rc = read_bytes(r, 1, &type);

    if (!rc) rc = read_length(r, &size);
    if (!rc) rc = read_bytes(r, size, &data);
    if (rc) return rc;
    uint8_t kind = *(const uint8_t *)type.data;
    if (kind > 127) return MIDI_CORRUPT(r, "an unknown kind of meta message");
    if (kind == META_END) {
        r->end = r->at;
        return 0;
    }
    if (kind >= META_TEXT_FIRST && kind <= META_TEXT_LAST) {
        e.kind = LUGE_MUSIC_TEXT;
        e.number = kind;
        *(json_is_utf8(data) ? &e.what : &e.data) = data;
    } else if (kind == META_TEMPO) {
        rc = meta_tempo(r, data, &e);
    } else if (kind == META_METER) {
        rc = meta_meter(r, data, &e);
    } else if (kind == META_KEY) {
        rc = meta_key(r, data, &e);
    } else {
        e.data = luge_bytes_of(r->bytes + from, r->at - from);
    }
    return rc ? rc : add_event(r, &e);
}

static int read_sysex(struct reader *r, size_t from)
{
    struct luge_music_event e = event_now(r, LUGE_MUSIC_RAW);
    luge_bytes data;
    uint32_t size;
    int rc = read_length(r, &size);

    if (!rc) rc = read_bytes(r, size, &data);
    if (rc) return rc;
    e.data = luge_bytes_of(r->bytes + from, r->at - from);
    return add_event(r, &e);
}

static int read_message(struct reader *r)
{
    size_t from = r->at;

    if (from == r->end) return MIDI_CORRUPT(r, "the track ends after a delta");
    unsigned status = r->bytes[from];
    if (status < 0x80) {        /* the status before goes on */
        if (!r->status) return MIDI_CORRUPT(r, "data without a status byte");
        return read_voice(r);
    }
    r->at++;
    if (status == MIDI_META) return read_meta(r, from); /* status goes on */
    r->status = status < MIDI_SYSEX ? status : 0;
    if (r->status) return read_voice(r);
    if (status == MIDI_SYSEX || status == MIDI_ESCAPE)
        return read_sysex(r, from);
    r->at = from;
    return MIDI_CORRUPT(r, "a message that has no place in a file");
}

/* -------------------------------------------------------------- chunks -- */

static int read_track(struct reader *r)
{
    size_t end = r->end;
    int rc = 0;

    r->tick = r->status = 0;
    memset(r->first, 0xff, sizeof(r->first));
    while (!rc && r->at < r->end) {
        uint32_t delta;
        rc = read_length(r, &delta);
        if (rc) break;
        r->tick += delta;
        rc = read_message(r);
    }
    notes_end(r);
    r->at = r->end = end;
    return rc;
}

/* The next chunk called NAME; others are passed over, as the standard says, but
 * not before the header. */
static int read_chunk(struct reader *r, const char *name)
{
    bool header = !strcmp(name, "MThd");

    for (;;) {
        if (header && (r->size < 4 || memcmp(r->bytes, name, 4) != 0))
            return MIDI_CORRUPT(r, "no MThd: this is no MIDI file");
        if (r->size - r->at < 8)
            return MIDI_CORRUPT(r, header
                                       ? "the file ends inside of its header"
                                       : "the file ends where a track is due");
        const unsigned char *p = r->bytes + r->at;
        uint32_t size = big(p + 4, 4);
        if (size > r->size - r->at - 8)
            return MIDI_CORRUPT(r, "the file ends inside of a chunk");
        r->at += 8;
        r->end = r->at + size;
        if (!memcmp(p, name, 4)) return 0;
        r->at = r->end;
    }
}

static int read_file(struct reader *r, struct luge_midi *midi)
{
    struct midi_clock clock;
    int rc = read_chunk(r, "MThd");

    if (rc) return rc;
    if (r->end - r->at < 6) return MIDI_CORRUPT(r, "the header is too short");
    unsigned format = big(r->bytes + r->at, 2);
    midi->tracks = (uint16_t)big(r->bytes + r->at + 2, 2);
    midi->division = (uint16_t)big(r->bytes + r->at + 4, 2);
    if (format == 2)
        return model_fail(LUGE_UNSUPPORTED, "MIDI file, offset %zu: format 2, "
                          "tracks that are no tune together", r->at);
    if (format > 2) return MIDI_CORRUPT(r, "an unknown format");
    if (midi_clock_start(&clock, midi->division))
        return MIDI_CORRUPT(r, "a division that means nothing");
    r->at = r->end;
    for (unsigned track = 0; !rc && track < midi->tracks; track++) {
        r->track = (uint16_t)track;
        rc = read_chunk(r, "MTrk");
        if (!rc) rc = read_track(r);
    }
    return rc;
}

/* ---------------------------------------------------------------- time -- */

static int by_time(const void *left, const void *right)
{
    const struct luge_music_event *const *a = left, *const *b = right;

    if ((*a)->time_ns != (*b)->time_ns)
        return (*a)->time_ns < (*b)->time_ns ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

/* The changes of tempo, as ticks at which another clock holds. */
struct tempos {
    struct midi_clock *clocks;
    size_t count;
};

static const struct midi_clock *clock_of(const struct tempos *all,
                                         uint64_t tick)
{
    size_t low = 0, high = all->count;

    while (high - low > 1) {    /* clocks[low].tick <= tick */
        size_t middle = low + (high - low) / 2;
        if (all->clocks[middle].tick <= tick)
            low = middle;
        else
            high = middle;
    }
    return &all->clocks[low];
}

static int tempos_make(struct luge_music_event **list, size_t count,
                       uint16_t division, struct tempos *all)
{
    struct midi_clock clock;
    size_t changes = 1;
    int rc = midi_clock_start(&clock, division);

    if (rc) return rc;
    for (size_t i = 0; i < count; i++)
        changes += list[i]->kind == LUGE_MUSIC_TEMPO;
    all->clocks = model_alloc(changes * sizeof(clock));
    if (!all->clocks) return MODEL_NOMEM();
    all->clocks[all->count++] = clock;
    for (size_t i = 0; i < count; i++) {
        if (list[i]->kind != LUGE_MUSIC_TEMPO) continue;
        midi_clock_tempo(&clock, list[i]->time_ns, (uint32_t)list[i]->number);
        all->clocks[all->count++] = clock;
    }
    return 0;
}

/* Ticks to nanoseconds, in LIST's events. */
static int set_times(struct luge_music_event **list, size_t count,
                     uint16_t division)
{
    struct tempos all = {0};
    int rc = tempos_make(list, count, division, &all);

    for (size_t i = 0; !rc && i < count; i++) {
        struct luge_music_event *e = list[i];
        uint64_t end = e->time_ns + e->duration_ns;
        rc = midi_time(clock_of(&all, e->time_ns), e->time_ns, &e->time_ns);
        if (!rc) rc = midi_time(clock_of(&all, end), end, &end);
        e->duration_ns = end - e->time_ns;
    }
    model_free(all.clocks);
    return rc;
}

/* One piece of memory: the sorted events, and behind them their bytes. */
static int deliver(const struct reader *r, struct luge_midi *midi)
{
    struct luge_music_event **list = model_alloc(r->count * sizeof(*list));
    size_t bytes = r->count * sizeof(**list) + r->size;
    int rc = 0;

    midi->memory = list ? model_alloc(bytes) : NULL;
    if (!midi->memory) rc = MODEL_NOMEM();
    for (size_t i = 0; !rc && i < r->count; i++) list[i] = &r->events[i];
    if (!rc && r->count) {
        qsort(list, r->count, sizeof(*list), by_time);
        rc = set_times(list, r->count, midi->division);
    }
    if (!rc) {
        midi->events = midi->memory;
        midi->count = r->count;
        unsigned char *copy = (unsigned char *)(midi->events + midi->count);
        memcpy(copy, r->bytes, r->size);
        for (size_t i = 0; i < r->count; i++) {
            struct luge_music_event *e = &midi->events[i];
            *e = *list[i];
            if (e->what.size)
                e->what.data = copy + ((const unsigned char *)e->what.data -
                                       r->bytes);
            if (e->data.size)
                e->data.data = copy + ((const unsigned char *)e->data.data -
                                       r->bytes);
        }
    }
    model_free(list);
    return rc;
}

int luge_midi_read(luge_bytes file, struct luge_midi *midi)
{
    struct reader *r;
    int rc;

    *midi = (struct luge_midi){0};
    if (file.size > LUGE_MIDI_SIZE_MAX)
        return model_fail(LUGE_TOOBIG, "a MIDI file of %zu bytes; %u at most",
                          file.size, LUGE_MIDI_SIZE_MAX);
    r = model_alloc(sizeof(*r));
    if (!r) return MODEL_NOMEM();
    *r = (struct reader){.bytes = file.data, .size = file.size};
    rc = read_file(r, midi);
    if (!rc) rc = deliver(r, midi);
    if (rc) luge_midi_free(midi);
    model_free(r->events);
    model_free(r->next);
    model_free(r);
    return rc;
}

void luge_midi_free(struct luge_midi *midi)
{
    model_free(midi->memory);
    *midi = (struct luge_midi){0};
}
