/* cli/import_midi.c -- a MIDI file as a conversation: a node for each bar.
 *
 * Everything lies on one branch, "main", each event in the node of the bar that
 * it begins in; bars without events have none.  So a tune can be forked at any
 * bar.
 * Not here: the file's format (luge_midi_read).
 */
#include <stdlib.h>
#include <string.h>

#include "convo.h"

/* Counts bars as time goes on.  Quarters are in units of 2^-40; a bar's last
 * microsecond belongs to the next one, for times are rounded. */
struct bars {
    uint64_t at_ns, bar;        /* the bar that at_ns is in, from 1 */
    uint64_t tempo_ns;
    unsigned __int128 size, left; /* of a bar; of this one */
};

static unsigned __int128 quarters_of(const struct bars *b, uint64_t ns)
{
    return ((unsigned __int128)ns << 40) / b->tempo_ns;
}

static void bars_meter(struct bars *b, int beats, unsigned unit)
{
    b->size = ((unsigned __int128)beats << 42) >> unit;
    b->left = b->size;
}

static void bars_go(struct bars *b, uint64_t time_ns)
{
    unsigned __int128 gone = quarters_of(b, time_ns - b->at_ns);
    unsigned __int128 nearly = quarters_of(b, 1000);

    b->at_ns = time_ns;
    if (gone + nearly < b->left) {
        b->left -= gone;
        return;
    }
    gone = gone > b->left ? gone - b->left : 0;
    b->bar += 1 + (uint64_t)(gone / b->size);
    b->left = b->size - gone % b->size;
    if (b->left > nearly || b->left == b->size) return;
    b->bar++;
    b->left = b->size;
}

static void bars_event(struct bars *b, const struct luge_music_event *e)
{
    bars_go(b, e->time_ns);
    if (e->kind == LUGE_MUSIC_TEMPO) b->tempo_ns = (uint64_t)e->number * 1000;
    if (e->kind != LUGE_MUSIC_METER) return;
    if (b->left != b->size) b->bar++;   /* it begins with a bar of its own */
    bars_meter(b, e->number, e->mode);
}

static int say_bar(struct import *import, uint64_t branch, uint64_t bar,
                   const struct luge_music_event *events, size_t count)
{
    char text[64];
    struct luge_say say = {
        .author = luge_str(import->author), .type = luge_str("bar"),
        .payload = luge_bytes_of(text, 0), .events = events,
        .event_count = count};
    size_t notes = 0;

    for (size_t i = 0; i < count; i++)
        notes += events[i].kind == LUGE_MUSIC_NOTE;
    say.payload.size = (size_t)snprintf(text, sizeof(text), "bar %llu, %zu "
                                        "note%s", (unsigned long long)bar,
                                        notes, notes == 1 ? "" : "s");
    import->nodes++;
    import->events += count;
    return luge_say(import->txn, &import->convo, branch, &say, NULL);
}

static int say_bars(struct import *import, uint64_t branch,
                    const struct luge_midi *midi)
{
    struct bars bars = {.bar = 1, .tempo_ns = 500000000};
    size_t from = 0;
    uint64_t bar = 1;
    int rc = 0;

    bars_meter(&bars, 4, 2);
    for (size_t i = 0; !rc && i < midi->count; i++) {
        bars_event(&bars, &midi->events[i]);
        if (bars.bar == bar) continue;
        if (i > from)
            rc = say_bar(import, branch, bar, midi->events + from, i - from);
        from = i;
        bar = bars.bar;
    }
    if (!rc && midi->count > from)
        rc = say_bar(import, branch, bar, midi->events + from,
                     midi->count - from);
    return rc;
}

/* The name of the first track that has one, or else the file's. */
static luge_bytes title_of(const struct import *import,
                           const struct luge_midi *midi)
{
    enum { TRACK_NAME = 3 };

    for (size_t i = 0; i < midi->count; i++)
        if (midi->events[i].kind == LUGE_MUSIC_TEXT &&
            midi->events[i].number == TRACK_NAME && midi->events[i].what.size)
            return midi->events[i].what;
    return import->path;
}

static int midi_read(struct import *import)
{
    struct luge_midi *midi = calloc(1, sizeof(*midi));
    luge_bytes file;
    int rc = midi ? import_file(import, LUGE_MIDI_SIZE_MAX, &file) : LUGE_NOMEM;

    import->source = midi;
    if (rc) return rc;
    rc = luge_midi_read(file, midi);
    free((void *)(uintptr_t)file.data);
    if (!rc) return 0;
    return import_fail(import, rc, "%s: %s", import->file,
                       luge_last_error()->text);
}

static int midi_make(struct import *import)
{
    const struct luge_midi *midi = import->source;
    struct luge_branch main = {.name = luge_str("main"),
                               .reason = LUGE_REASON_REQUEST,
                               .description = luge_str(import->file)};
    uint64_t branch;
    int rc = import_begin(import, title_of(import, midi), midi->division);

    if (!rc)
        rc = luge_branch_fork(import->txn, &import->convo, 0, &main, &branch);
    if (!rc) rc = say_bars(import, branch, midi);
    import->branches = 1;
    return rc;
}

static void midi_free(struct import *import)
{
    struct luge_midi *midi = import->source;

    if (midi) luge_midi_free(midi);
    free(midi);
}

const struct import_kind import_midi = {"midi", true, midi_read, midi_make,
                                        midi_free};
