/* test/test_music.c -- emotion, musical events, MIDI files.
 *
 * Random music is written as a MIDI file and read again, random files are read,
 * written and read again: the same sounds at the same times, event by event.
 * Files that are cut short, changed or invented give an answer that names an
 * offset, or music that can be written; they lie at the end of memory of
 * exactly their size, for the sanitizers to see.
 * Not here: music in conversations (test_conversation.c), real files
 * (import.sh).
 */
#include "rig.h"
#include "luge_music.h"
#include "midi.h"

/* ------------------------------------------------------------- realize -- */

static void an_intention_sounds(void **state)
{
    static const struct {
        const char *what, *how;
        float valence, arousal, agency;
        int pitch, velocity, ms;
    } cases[] = {
        {"C", "softly", 0.3f, 0.2f, 0.5f, 60, 40, 850},
        {"A", "boldly", 0, 1, 1, 69, 114, 250},
        {"B", "normally", -1, 0, -1, 71, 0, 1000},
        {"H", "softly", 0, 0.5f, 0, 60, 40, 625},
        {"G", "questioning", 0, 0.5f, 0, 67, 50, 625},
        {"D", "", 0, 0.5f, 0, 62, 64, 625},
        {"E", "boldly", 0, 0.5f, 0, 64, 90, 625},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct luge_music_event e = luge_music_event_of(LUGE_MUSIC_INTENTION,
                                                        9);
        e.what = luge_str(cases[i].what);
        e.how = luge_str(cases[i].how);
        e.emotion = (struct luge_emotion){cases[i].valence, cases[i].arousal,
                                          cases[i].agency};
        luge_music_realize(&e);
        assert_int_equal(e.kind, LUGE_MUSIC_NOTE);
        assert_int_equal(e.pitch, cases[i].pitch);
        assert_int_equal(e.velocity, cases[i].velocity);
        assert_int_equal(e.duration_ns, (uint64_t)cases[i].ms * 1000000);
        fine(luge_music_check(&e));
    }
}

static void emotions_have_ranges(void **state)
{
    struct luge_emotion low = {-1, 0, -1}, high = {1, 1, 1}, e;
    (void)state;
    fine(luge_emotion_check(&low));
    fine(luge_emotion_check(&high));
    e = luge_emotion_blend(&low, &high, 0.5f);
    assert_true(e.valence == 0 && e.arousal == 0.5f && e.agency == 0);
    e = luge_emotion_blend(&low, &high, 7);
    fine(luge_emotion_check(&e));
    e.arousal = -0.01f;
    answers(LUGE_INVALID, luge_emotion_check(&e));
    e = high;
    e.valence = 0.0f / (e.valence - 1);
    answers(LUGE_INVALID, luge_emotion_check(&e));
}

static void events_have_ranges(void **state)
{
    static const struct { int kind, number, mode, rc; } cases[] = {
        {LUGE_MUSIC_TEMPO, 0, 0, LUGE_INVALID},
        {LUGE_MUSIC_TEMPO, 1, 0, 0},
        {LUGE_MUSIC_KEY, 8, 0, LUGE_INVALID},
        {LUGE_MUSIC_KEY, -7, 1, 0},
        {LUGE_MUSIC_KEY, 0, 2, LUGE_INVALID},
        {LUGE_MUSIC_METER, 256, 2, LUGE_INVALID},
        {LUGE_MUSIC_METER, 7, 16, LUGE_INVALID},
        {LUGE_MUSIC_METER, 7, 3, 0},
        {LUGE_MUSIC_BEND, 8192, 0, LUGE_INVALID},
        {LUGE_MUSIC_HARMONY, 0, 0, LUGE_INVALID},
        {99, 0, 0, LUGE_INVALID}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct luge_music_event e = luge_music_event_of(cases[i].kind, 0);
        e.number = cases[i].number;
        e.mode = (uint8_t)cases[i].mode;
        answers(cases[i].rc, luge_music_check(&e));
    }
    struct luge_music_event e = luge_music_event_of(LUGE_MUSIC_NOTE, 1);
    e.duration_ns = INT64_MAX;
    answers(LUGE_INVALID, luge_music_check(&e));
    assert_string_equal(luge_music_word(LUGE_MUSIC_NOTE), "note");
    assert_null(luge_music_word(0));
}

/* ------------------------------------------------------------ round trip -- */

static int by_place(const void *left, const void *right)
{
    const struct luge_music_event *a = left, *b = right;
    if (a->time_ns != b->time_ns) return a->time_ns < b->time_ns ? -1 : 1;
    if (a->track != b->track) return a->track < b->track ? -1 : 1;
    return 0;
}

static void same_bytes(luge_bytes a, luge_bytes b)
{
    assert_int_equal(a.size, b.size);
    if (a.size) assert_memory_equal(a.data, b.data, a.size);
}

static void same_music(const struct luge_music_event *a, size_t as,
                       const struct luge_midi *b)
{
    assert_int_equal(as, b->count);
    for (size_t i = 0; i < as; i++) {
        const struct luge_music_event *one = &a[i], *two = &b->events[i];
        assert_int_equal(one->kind, two->kind);
        assert_int_equal(one->time_ns, two->time_ns);
        assert_int_equal(one->duration_ns, two->duration_ns);
        assert_int_equal(one->track, two->track);
        assert_int_equal(one->channel, two->channel);
        assert_int_equal(one->pitch, two->pitch);
        assert_int_equal(one->velocity, two->velocity);
        assert_int_equal(one->number, two->number);
        assert_int_equal(one->mode, two->mode);
        assert_true(one->value == two->value);
        same_bytes(one->what, two->what);
        same_bytes(one->data, two->data);
    }
}

/* What was read is written and read again. */
static void there_and_back(const struct luge_midi *midi)
{
    struct luge_midi again;
    luge_bytes file;
    fine(luge_midi_write(midi->events, midi->count, midi->division, &file));
    fine(luge_midi_read(file, &again));
    assert_int_equal(again.division, midi->division);
    same_music(midi->events, midi->count, &again);
    luge_midi_free(&again);
    luge_midi_file_free(file);
}

static struct luge_music_event event_random(struct dice *d, uint64_t time_ns)
{
    static const int kinds[] = {
        LUGE_MUSIC_NOTE, LUGE_MUSIC_NOTE, LUGE_MUSIC_NOTE, LUGE_MUSIC_CONTROL,
        LUGE_MUSIC_PROGRAM, LUGE_MUSIC_BEND, LUGE_MUSIC_PRESSURE,
        LUGE_MUSIC_TEXT, LUGE_MUSIC_KEY, LUGE_MUSIC_METER, LUGE_MUSIC_RAW};
    int kind = kinds[dice_below(d, COUNT_OF(kinds))];
    struct luge_music_event e = luge_music_event_of(kind, time_ns);
    bool voice = kind <= LUGE_MUSIC_PRESSURE;
    e.track = (uint16_t)dice_below(d, 4);
    e.channel = voice ? (uint8_t)dice_below(d, 16) : 0;
    e.number = (int)dice_below(d, kind == LUGE_MUSIC_KEY ? 8 : 128);
    if (kind == LUGE_MUSIC_TEXT || kind == LUGE_MUSIC_METER)
        e.number = 1 + (int)dice_below(d, 15);
    if (kind == LUGE_MUSIC_TEXT) e.what = luge_str("la la");
    if (kind == LUGE_MUSIC_RAW) {
        e.number = 0;
        e.data = luge_bytes_of("\xf0\x03\x7e\x09\xf7", 5);
    }
    if (kind == LUGE_MUSIC_METER) e.mode = (uint8_t)dice_below(d, 6);
    if (kind == LUGE_MUSIC_CONTROL) e.value = (float)dice_below(d, 128);
    if (kind == LUGE_MUSIC_PRESSURE) e.velocity = (uint8_t)dice_below(d, 128);
    if (kind == LUGE_MUSIC_NOTE) {
        e.pitch = (uint8_t)dice_below(d, 128);
        e.velocity = (uint8_t)(1 + dice_below(d, 127));
        e.duration_ns = dice_below(d, 2000) * UINT64_C(1000000);
    }
    return e;
}

/* Whether NOTE would sound at the same time as another one of its pitch: then
 * MIDI cannot say which of them ends. */
static bool overlaps(const struct luge_music_event *list, size_t count,
                     const struct luge_music_event *note)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].kind == LUGE_MUSIC_NOTE && note->kind == LUGE_MUSIC_NOTE &&
            list[i].channel == note->channel &&
            list[i].pitch == note->pitch && list[i].track == note->track &&
            list[i].time_ns + list[i].duration_ns >= note->time_ns)
            return true;
    return false;
}

/* At 500 000 us and 1000 ticks a quarter, 500 us are a tick. */
static size_t music_random(struct dice *d, struct luge_music_event *list,
                           size_t most)
{
    uint64_t time = 0;
    size_t count = 0;
    while (count < most) {
        struct luge_music_event e = event_random(d, time);
        if (!overlaps(list, count, &e)) list[count++] = e;
        if (dice_chance(d, 60)) time += dice_below(d, 900) * UINT64_C(500000);
    }
    qsort(list, count, sizeof(*list), by_place);    /* as a reader gives it */
    return count;
}

static void random_music_there_and_back(void **state)
{
    struct luge_music_event list[300];
    struct luge_midi midi;
    luge_bytes file;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct dice d = dice_of(seed, 1);
        size_t count = music_random(&d, list, 1 + dice_below(&d, 200));
        print_message("seed %llu\n", (unsigned long long)seed);
        fine(luge_midi_write(list, count, 1000, &file));
        fine(luge_midi_read(file, &midi));
        /* qsort is not stable: the order at one place is the writer's. */
        qsort(list, count, sizeof(*list), by_place);
        assert_int_equal(midi.count, count);
        uint64_t one = 0, two = 0;
        for (size_t i = 0; i < count; i++) {
            struct luge_music_event *a = &list[i], *b = &midi.events[i];
            assert_int_equal(a->time_ns, b->time_ns);
            one += a->kind * 7919u + a->pitch * 31u + a->duration_ns;
            two += b->kind * 7919u + b->pitch * 31u + b->duration_ns;
        }
        assert_int_equal(one, two);
        there_and_back(&midi);
        luge_midi_free(&midi);
        luge_midi_file_free(file);
    }
}

/* Any change of tempo, any division: ticks come back as they were. */
static void ticks_come_back(void **state)
{
    static const uint16_t divisions[] = {24, 96, 480, 960, 32767, 0xe728,
                                         0xe804, 0xe350, 0xe264};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(divisions); i++) {
        struct dice d = dice_of(3, i);
        struct midi_clock clock;
        uint64_t tick = 0, time;
        fine(midi_clock_start(&clock, divisions[i]));
        for (int n = 0; n < 3000; n++) {
            tick += dice_below(&d, 5000);
            fine(midi_time(&clock, tick, &time));
            assert_int_equal(midi_tick(&clock, time), tick);
            if (dice_chance(&d, 30))
                midi_clock_tempo(&clock, tick, 1000 + dice_below(&d, 1 << 23));
        }
    }
    struct midi_clock clock;
    answers(LUGE_INVALID, midi_clock_start(&clock, 0));
    answers(LUGE_INVALID, midi_clock_start(&clock, 0xe700));
    answers(LUGE_INVALID, midi_clock_start(&clock, 0x8001));
}

/* ------------------------------------------------------------ bad files -- */

static int read_at_edge(const void *bytes, size_t size, struct luge_midi *midi)
{
    unsigned char *copy = grab(size);
    memcpy(copy, bytes, size);
    int rc = luge_midi_read(luge_bytes_of(copy, size), midi);
    free(copy);
    return rc;
}

static void what_is_no_midi_names_the_offset(void **state)
{
    static const struct { const char *bytes; size_t size; const char *at; }
    cases[] = {
        {"", 0, "offset 0: no MThd"},
        {"RIFF....WAVE", 12, "offset 0: no MThd"},
        {"hello, this is no music", 23, "offset 0: no MThd"},
        {"MThd\0\0", 6, "offset 0: the file ends inside of its header"},
        {"MThd\0\0\0\6\0\0\0\1\0\0MTrk\0\0\0\0", 22, "offset 8: a division"},
        {"MThd\0\0\0\6\0\3\0\1\0\x60MTrk\0\0\0\0", 22, "offset 8: an unknown"},
        {"MThd\0\0\0\6\0\1\0\2\0\x60MTrk\0\0\0\0", 22, "offset 22: the file"},
        {"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\7", 22, "offset 14: the file"},
        {"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\2\0\x40", 24, "offset 23: data"},
        {"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\3\0\x90\x40", 25, "offset 24"},
        {"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\x90\x40\x80", 26,
         "offset 24: a status byte"},
        {"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\7\0\xff\x51\3\0\0\0", 29,
         "offset 29: a tempo of 0"},
        {"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\5\x80\x80\x80\x80\0", 27,
         "offset 26: a number"},
        {"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\2\0\xf4", 24,
         "offset 23: a message"},
    };
    struct luge_midi midi;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        answers(LUGE_CORRUPT,
                read_at_edge(cases[i].bytes, cases[i].size, &midi));
        if (!strstr(luge_last_error()->text, cases[i].at))
            fail_msg("case %zu: %s", i, luge_last_error()->text);
        assert_null(midi.events);
    }
    answers(LUGE_UNSUPPORTED,
            read_at_edge("MThd\0\0\0\6\0\2\0\1\0\x60", 14, &midi));
    answers(LUGE_TOOBIG, luge_midi_read(
                             luge_bytes_of("", (size_t)LUGE_MIDI_SIZE_MAX + 1),
                             &midi));
}

/* Cut at every byte, and changed at random. */
static void damaged_files_are_refused_or_music(void **state)
{
    struct luge_music_event list[60];
    struct dice d = dice_of(11, 4);
    size_t count = music_random(&d, list, COUNT_OF(list)), sound = 0;
    struct luge_midi midi;
    luge_bytes file;
    (void)state;
    fine(luge_midi_write(list, count, 480, &file));
    for (size_t size = 0; size < file.size; size++)
        answers(LUGE_CORRUPT, read_at_edge(file.data, size, &midi));
    for (int round = 0; round < 20000; round++) {
        unsigned char *copy = grab(file.size);
        memcpy(copy, file.data, file.size);
        for (uint32_t n = 1 + dice_below(&d, 5); n; n--)
            copy[dice_below(&d, (uint32_t)file.size)] =
                (unsigned char)dice_next(&d);
        int rc = read_at_edge(copy, file.size, &midi);
        free(copy);
        if (rc) continue;
        sound++;
        for (size_t i = 0; i < midi.count; i++)
            fine(luge_music_check(&midi.events[i]));
        luge_bytes again;
        fine(luge_midi_write(midi.events, midi.count, midi.division, &again));
        luge_midi_file_free(again);
        luge_midi_free(&midi);
    }
    assert_true(sound > 100);
    luge_midi_file_free(file);
}

static void what_midi_cannot_say_is_refused(void **state)
{
    struct luge_music_event e = luge_music_event_of(LUGE_MUSIC_RAW, 0);
    luge_bytes file;
    (void)state;
    e.data = luge_bytes_of("\xf0\x04\x01", 3);
    answers(LUGE_INVALID, luge_midi_write(&e, 1, 0, &file));
    e.data = luge_bytes_of("\xff\x2f\x00", 3);
    answers(LUGE_INVALID, luge_midi_write(&e, 1, 0, &file));
    e.data = luge_bytes_of("\xff\x7f\x01\x05", 4);
    fine(luge_midi_write(&e, 1, 0, &file));
    luge_midi_file_free(file);
    e = luge_music_event_of(LUGE_MUSIC_TEMPO, 0);
    e.number = 0x1000000;
    answers(LUGE_INVALID, luge_midi_write(&e, 1, 0, &file));
    e = luge_music_event_of(LUGE_MUSIC_INTENTION, 0);   /* means, sounds not */
    fine(luge_midi_write(&e, 1, 0, &file));
    struct luge_midi midi;
    fine(luge_midi_read(file, &midi));
    assert_int_equal(midi.count, 0);
    luge_midi_free(&midi);
    luge_midi_file_free(file);
}

/* However far apart: an answer, and no memory in proportion. */
static void what_is_too_long_for_midi_is_refused(void **state)
{
    struct luge_music_event list[2] = {
        luge_music_event_of(LUGE_MUSIC_TEMPO, 0),
        luge_music_event_of(LUGE_MUSIC_NOTE, UINT64_C(1) << 62)};
    luge_bytes file;
    (void)state;
    list[0].number = 1;
    answers(LUGE_TOOBIG, luge_midi_write(list, 2, 0, &file));
    answers(LUGE_TOOBIG, luge_midi_write(list, 2, 0x7fff, &file));
    list[0] = luge_music_event_of(LUGE_MUSIC_CHORD, 0);
    list[0].data = luge_bytes_of(grab(40 << 20), 40 << 20);
    answers(LUGE_TOOBIG, luge_midi_write(list, 1, 0, &file));
    free((void *)(uintptr_t)list[0].data.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_intention_sounds),
        cmocka_unit_test(emotions_have_ranges),
        cmocka_unit_test(events_have_ranges),
        cmocka_unit_test(random_music_there_and_back),
        cmocka_unit_test(ticks_come_back),
        cmocka_unit_test(what_is_no_midi_names_the_offset),
        cmocka_unit_test(damaged_files_are_refused_or_music),
        cmocka_unit_test(what_midi_cannot_say_is_refused),
        cmocka_unit_test(what_is_too_long_for_midi_is_refused),
    };
    return cmocka_run_group_tests_name("music", tests, NULL, NULL);
}
