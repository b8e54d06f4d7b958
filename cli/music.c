/* cli/music.c -- musical events and contexts for people and as JSON.
 * Not here: when they sound (play.c).
 */
#include <string.h>

#include "convo.h"

const char *music_pitch(unsigned pitch, char space[MUSIC_TEXT_BYTES])
{
    static const char *const names[] = {"C", "C#", "D", "D#", "E", "F",
                                        "F#", "G", "G#", "A", "A#", "B"};

    snprintf(space, MUSIC_TEXT_BYTES, "%s%d", names[pitch % 12],
             (int)pitch / 12 - 1);
    return space;
}

const char *music_key(int sharps, unsigned mode, char space[MUSIC_TEXT_BYTES])
{
    static const char *const fifths[] = {
        "Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B",
        "F#", "C#", "G#", "D#", "A#"};
    int at = sharps + 7 + (mode == 1 ? 3 : 0);

    snprintf(space, MUSIC_TEXT_BYTES, "%s %s",
             at >= 0 && at < 18 ? fifths[at] : "?",
             mode == 1 ? "minor" : "major");
    return space;
}

static double beats_a_minute(uint32_t tempo_us)
{
    return tempo_us ? 60e6 / tempo_us : 0;
}

static void print_words(luge_bytes what, const char *between)
{
    if (!what.size) return;
    fputs(between, stdout);
    print_start(what, 60);
}

void music_print(const struct luge_music_event *e)
{
    const char *word = luge_music_word(e->kind);
    char space[MUSIC_TEXT_BYTES];

    fputs(word ? word : "unknown", stdout);
    switch (e->kind) {
    case LUGE_MUSIC_NOTE:
        printf(" %s velocity %u %llu ms channel %u",
               music_pitch(e->pitch, space), e->velocity,
               (unsigned long long)((e->duration_ns + 500000) / 1000000),
               e->channel + 1u);
        break;
    case LUGE_MUSIC_TEMPO:
        printf(" %.1f", beats_a_minute((uint32_t)e->number));
        break;
    case LUGE_MUSIC_KEY:
        printf(" %s", music_key(e->number, e->mode, space));
        break;
    case LUGE_MUSIC_METER:
        printf(" %d/%u", e->number, 1u << (e->mode & 15));
        break;
    case LUGE_MUSIC_CONTROL:
        printf(" %d is %g channel %u", e->number, (double)e->value,
               e->channel + 1u);
        break;
    case LUGE_MUSIC_PROGRAM:
    case LUGE_MUSIC_BEND:
        printf(" %d channel %u", e->number, e->channel + 1u);
        break;
    default: break;
    }
    print_words(e->what, " ");
    print_words(e->how, ", ");
}

json_t *json_of_emotion(const struct luge_emotion *e)
{
    return json_pack("{s:o, s:o, s:o}", "valence", json_of_float(e->valence),
                     "arousal", json_of_float(e->arousal), "agency",
                     json_of_float(e->agency));
}

json_t *json_of_music(const struct luge_music_event *e)
{
    const char *word = luge_music_word(e->kind);
    json_t *object = json_pack(
        "{s:s, s:o, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o}", "kind",
        word ? word : "unknown", "time_ns", json_of_count(e->time_ns),
        "duration_ns", json_of_count(e->duration_ns), "track", e->track,
        "channel", e->channel, "pitch", e->pitch, "velocity", e->velocity,
        "mode", e->mode, "number", (int)e->number, "value",
        json_of_float(e->value), "emotion", json_of_emotion(&e->emotion));
    const struct { const char *name; luge_bytes bytes; } parts[] = {
        {"agent", e->agent}, {"what", e->what}, {"how", e->how},
        {"data", e->data}};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].bytes.size)
            json_object_set_new(object, parts[i].name,
                                json_of_bytes(parts[i].bytes));
    return object;
}

json_t *json_of_context(const struct luge_context *c)
{
    json_t *chords = json_array();

    for (unsigned i = 0; i < c->chords; i++)
        json_array_append_new(
            chords, json_pack("{s:o, s:o}", "time_ns",
                              json_of_count(c->chord[i].time_ns), "name",
                              json_of_bytes(luge_str(c->chord[i].name))));
    return json_pack("{s:o, s:i, s:i, s:i, s:i, s:i, s:o, s:o}", "node",
                     json_of_count(c->node), "tempo_us", (int)c->tempo_us,
                     "key_sharps", c->key_sharps, "key_mode", c->key_mode,
                     "meter_beats", c->meter_beats, "meter_unit",
                     c->meter_unit, "emotion", json_of_emotion(&c->emotion),
                     "chords", chords);
}

void context_print(const struct luge_context *c)
{
    char space[MUSIC_TEXT_BYTES];

    printf("context   %.1f quarters a minute, %u/%u, %s, valence %g arousal %g "
           "agency %g\n", beats_a_minute(c->tempo_us), c->meter_beats,
           1u << (c->meter_unit & 15),
           music_key(c->key_sharps, c->key_mode, space),
           (double)c->emotion.valence, (double)c->emotion.arousal,
           (double)c->emotion.agency);
    if (!c->chords) return;
    fputs("chords   ", stdout);
    for (unsigned i = 0; i < c->chords; i++) {
        putchar(' ');
        print_bytes(luge_str(c->chord[i].name));
    }
    putchar('\n');
}
