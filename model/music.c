/* model/music.c -- emotion, musical events, and how an intention sounds.
 * Not here: MIDI files (midi_read.c, midi_write.c).
 */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "luge_music.h"
#include "model.h"

/* ------------------------------------------------------------- emotion -- */

static int within(float value, float low, float high, const char *name)
{
    if (value >= low && value <= high) return 0;    /* a NaN is not */
    return model_fail(LUGE_INVALID, "%s is %g, not in %g .. %g", name,
                      (double)value, (double)low, (double)high);
}

int luge_emotion_check(const struct luge_emotion *e)
{
    int rc = within(e->valence, -1, 1, "valence");

    if (!rc) rc = within(e->arousal, 0, 1, "arousal");
    return rc ? rc : within(e->agency, -1, 1, "agency");
}

static float between(float a, float b, float t, float low, float high)
{
    float value = a + (b - a) * t;

    return value < low ? low : value > high ? high : value;
}

struct luge_emotion luge_emotion_blend(const struct luge_emotion *a,
                                       const struct luge_emotion *b, float t)
{
    struct luge_emotion e = {
        between(a->valence, b->valence, t, -1, 1),
        between(a->arousal, b->arousal, t, 0, 1),
        between(a->agency, b->agency, t, -1, 1)};

    return e;
}

/* -------------------------------------------------------------- events -- */

const char *luge_music_word(int kind)
{
    switch (kind) {
#define X(name, value, word) \
    case value: return word;
        LUGE_MUSIC_KINDS(X)
#undef X
    default: return NULL;
    }
}

struct luge_music_event luge_music_event_of(int kind, uint64_t time_ns)
{
    struct luge_music_event e = {.kind = (uint16_t)kind, .time_ns = time_ns};

    e.emotion = luge_emotion_neutral();
    return e;
}

/* The range of `number`, kind by kind; kinds without one are not listed. */
static const struct {
    int kind, least, most;
} numbers[] = {
    {LUGE_MUSIC_NOTE, 0, 127},       {LUGE_MUSIC_CONTROL, 0, 127},
    {LUGE_MUSIC_PROGRAM, 0, 127},    {LUGE_MUSIC_BEND, -8192, 8191},
    {LUGE_MUSIC_PRESSURE, -1, 127},  {LUGE_MUSIC_TEXT, 0, 15},
    {LUGE_MUSIC_TEMPO, 1, INT32_MAX}, {LUGE_MUSIC_KEY, -7, 7},
    {LUGE_MUSIC_METER, 1, 255},
};

static int number_ok(const struct luge_music_event *e)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i].kind == e->kind &&
            (e->number < numbers[i].least || e->number > numbers[i].most))
            return model_fail(LUGE_INVALID, "a %s has the number %d, not in "
                              "%d .. %d", luge_music_word(e->kind), e->number,
                              numbers[i].least, numbers[i].most);
    return 0;
}

/* What only some kinds have. */
static int content_ok(const struct luge_music_event *e)
{
    unsigned mode_most = e->kind == LUGE_MUSIC_KEY     ? 1
                         : e->kind == LUGE_MUSIC_METER ? 15
                                                       : UINT8_MAX;

    if (e->mode > mode_most)
        return model_fail(LUGE_INVALID, "a %s has the mode %u",
                          luge_music_word(e->kind), e->mode);
    if (e->kind == LUGE_MUSIC_HARMONY &&
        (!e->what.size || e->what.size > 24))
        return model_fail(LUGE_INVALID, "a chord's name of %zu bytes, not 1 .. "
                          "24", e->what.size);
    if (e->kind == LUGE_MUSIC_CONTROL)
        return within(e->value, 0, 127, "a control's value");
    return isfinite(e->value) ? 0 : model_fail(LUGE_INVALID, "a value that is "
                                               "no number");
}

enum { PARTS = 4 };

int luge_music_check(const struct luge_music_event *e)
{
    const luge_bytes *parts[PARTS] = {&e->agent, &e->what, &e->how, &e->data};
    int rc;

    if (!luge_music_word(e->kind))
        return model_fail(LUGE_INVALID, "there is no kind %u of event",
                          e->kind);
    if (e->channel > 15 || e->pitch > 127 || e->velocity > 127)
        return model_fail(LUGE_INVALID, "channel %u, pitch %u, velocity %u: "
                          "15, 127, 127 at most", e->channel, e->pitch,
                          e->velocity);
    if (e->time_ns > INT64_MAX || e->duration_ns > INT64_MAX - e->time_ns)
        return model_fail(LUGE_INVALID, "an event of more than 292 years");
    for (int i = 0; i < PARTS; i++)
        if (parts[i]->size > 1u << 28)
            return model_fail(LUGE_TOOBIG, "an event with %zu bytes",
                              parts[i]->size);
    rc = number_ok(e);
    if (!rc) rc = content_ok(e);
    return rc ? rc : luge_emotion_check(&e->emotion);
}

/* ------------------------------------------------------------- realize -- */

static bool is_word(luge_bytes text, const char *word)
{
    return text.size == strlen(word) && !memcmp(text.data, word, text.size);
}

static uint8_t pitch_of(luge_bytes what)
{
    static const char names[] = "CDEFGAB";
    static const uint8_t pitches[] = {60, 62, 64, 65, 67, 69, 71};
    const char *found = what.size == 1
                            ? memchr(names, *(const char *)what.data, 7)
                            : NULL;

    return found ? pitches[found - names] : 60;
}

static uint8_t velocity_of(const struct luge_emotion *e, luge_bytes how)
{
    static const struct { const char *how; uint8_t velocity; } words[] = {
        {"softly", 40}, {"normally", 64}, {"boldly", 90}, {"questioning", 50}};
    float force = 0.3f + 0.4f * e->arousal + 0.2f * e->agency +
                  0.1f * e->valence;
    uint8_t velocity = (uint8_t)(between(force, force, 0, 0, 1) * 127);

    if (velocity < 55 || velocity > 75) return velocity;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(how, words[i].how)) return words[i].velocity;
    return 64;                  /* the emotion alone says little */
}

void luge_music_realize(struct luge_music_event *e)
{
    struct luge_emotion neutral = luge_emotion_neutral();
    struct luge_emotion felt = luge_emotion_blend(&neutral, &e->emotion, 1);

    e->kind = LUGE_MUSIC_NOTE;
    e->pitch = pitch_of(e->what);
    e->velocity = velocity_of(&felt, e->how);
    e->duration_ns = 1000000 *
        (uint64_t)(500 * (2 - 1.5f * felt.arousal) + 0.5f);
}
