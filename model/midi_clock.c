/* model/midi_clock.c -- ticks to nanoseconds and back (M1, M2 of midi.h). */
#include "midi.h"

int midi_clock_start(struct midi_clock *clock, uint16_t division)
{
    unsigned frames = 256u - (division >> 8), parts = division & 255u;

    *clock = (struct midi_clock){.num = 500000 * UINT64_C(1000),
                                 .den = division};
    if (division & 0x8000) {    /* ticks are parts of a frame */
        clock->smpte = 1;
        clock->num = 1000000000;
        clock->den = (uint64_t)frames * parts;
        if (frames == 29) {     /* which means 30000 / 1001 */
            clock->num = 1001 * UINT64_C(1000000000);
            clock->den = UINT64_C(30000) * parts;
        } else if (frames != 24 && frames != 25 && frames != 30) {
            clock->den = 0;
        }
    }
    if (clock->den) return 0;
    return model_fail(LUGE_INVALID, "a MIDI division of %04x", division);
}

void midi_clock_tempo(struct midi_clock *clock, uint64_t tick,
                      uint32_t tempo_us)
{
    if (clock->smpte) return;
    clock->sum += (unsigned __int128)(tick - clock->tick) * clock->num;
    clock->tick = tick;
    clock->num = (uint64_t)tempo_us * 1000;
}

int midi_time(const struct midi_clock *clock, uint64_t tick, uint64_t *time_ns)
{
    unsigned __int128 sum = clock->sum;

    sum += (unsigned __int128)(tick - clock->tick) * clock->num;
    sum = (sum + clock->den / 2) / clock->den;
    if (sum > INT64_MAX)
        return model_fail(LUGE_TOOBIG, "music of more than 292 years");
    *time_ns = (uint64_t)sum;
    return 0;
}

uint64_t midi_tick(const struct midi_clock *clock, uint64_t time_ns)
{
    unsigned __int128 at = (unsigned __int128)time_ns * clock->den;

    if (at <= clock->sum) return clock->tick;
    at = clock->tick + (at - clock->sum + clock->num / 2) / clock->num;
    return at > UINT64_MAX ? UINT64_MAX : (uint64_t)at; /* no file has it */
}
