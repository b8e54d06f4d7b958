/* model/midi.h -- what reading and writing MIDI files share: ticks and time.
 *
 *   M1  A tick's time is kept as a fraction, sum / den nanoseconds, and rounded
 *       once: no error grows from one change of tempo to the next.
 *   M2  midi_tick(midi_time(tick)) is tick, as long as a tick lasts for two
 *       nanoseconds or more.
 * Not here: files.
 */
#ifndef MODEL_MIDI_H
#define MODEL_MIDI_H

#include "luge_music.h"
#include "model.h"

enum {
    MIDI_NOTE_OFF = 0x80, MIDI_NOTE_ON = 0x90, MIDI_KEY_PRESSURE = 0xa0,
    MIDI_CONTROL = 0xb0, MIDI_PROGRAM = 0xc0, MIDI_PRESSURE = 0xd0,
    MIDI_BEND = 0xe0, MIDI_SYSEX = 0xf0, MIDI_ESCAPE = 0xf7, MIDI_META = 0xff,
    META_TEXT_FIRST = 0x01, META_TEXT_LAST = 0x0f, META_END = 0x2f,
    META_TEMPO = 0x51, META_METER = 0x58, META_KEY = 0x59,
    MIDI_DIVISION = 960,        /* ticks per quarter note, if nobody says */
};

/* The clock of a file, as it goes through its changes of tempo. */
struct midi_clock {
    uint64_t tick;              /* of the last change */
    unsigned __int128 sum;      /* its time, times den */
    uint64_t num, den;          /* a tick lasts num / den nanoseconds */
    int smpte;                  /* 1: tempo does not matter */
};

/* INVALID if DIVISION means nothing. */
int midi_clock_start(struct midi_clock *clock, uint16_t division);

/* From TICK on a quarter note lasts TEMPO_US. */
void midi_clock_tempo(struct midi_clock *clock, uint64_t tick,
                      uint32_t tempo_us);

/* The time of TICK, nanoseconds; TOOBIG if that is beyond 2^63. */
int midi_time(const struct midi_clock *clock, uint64_t tick, uint64_t *time_ns);

/* The tick nearest to TIME_NS.  Never before the last change. */
uint64_t midi_tick(const struct midi_clock *clock, uint64_t time_ns);

#endif
