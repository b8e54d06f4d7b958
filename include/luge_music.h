/* luge_music.h -- music as data: emotion, musical events, MIDI files.
 *
 * What holds here:
 *   Nothing here needs a database: these are the words in which conversations
 *   (luge_conversation.h) speak, and the way from and to MIDI files.
 *
 * An event has two sides: what was meant (intention: `what` and `how`) and what
 * sounds (sound: pitch, velocity, time, duration).  Either may be missing.
 * Times are nanoseconds on the conversation's clock, which begins at 0.
 *
 * Threads: any.  Blocks: never.  Return values and errors as in luge.h.
 */
#ifndef LUGE_MUSIC_H
#define LUGE_MUSIC_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- emotion -- */

/* valence: -1 melancholy .. +1 euphoria; arousal: 0 still .. 1 full of energy;
 * agency: -1 listening .. +1 leading.  Neutral is 0, 0.5, 0.  (The first paper
 * on HalfRemembered had valence the other way round; this is the sign that its
 * program shipped with.) */
struct luge_emotion {
    float valence, arousal, agency;
};

static inline struct luge_emotion luge_emotion_neutral(void)
{
    struct luge_emotion e;
    e.valence = 0.0f;
    e.arousal = 0.5f;
    e.agency = 0.0f;
    return e;
}

/* INVALID if a number of E is out of its range or not a number. */
LUGE_API int luge_emotion_check(const struct luge_emotion *e);

/* The way from A to B: 0 is A, 1 is B.  Any T; the result is kept in range. */
LUGE_API struct luge_emotion luge_emotion_blend(const struct luge_emotion *a,
                                                const struct luge_emotion *b,
                                                float t);

/* -------------------------------------------------------------- events -- */

/* name, value, word.  Abstract ones mean, concrete ones sound, the last ones
 * change the context in which the others are heard. */
#define LUGE_MUSIC_KINDS(X)                                                   \
    X(PROMPT, 1, "prompt")               /* what: the prompt */               \
    X(CONSTRAINT, 2, "constraint")       /* what */                           \
    X(ORCHESTRATION, 3, "orchestration") /* what: the command */              \
    X(INTENTION, 4, "intention")         /* what, how */                      \
    X(NOTE, 16, "note")         /* pitch, velocity, duration; number: release \
                                   velocity */                                \
    X(CHORD, 17, "chord")       /* what: its name; data: pitches; duration */ \
    X(CONTROL, 18, "control")   /* number: controller 0..127; value 0..127 */ \
    X(PATTERN, 19, "pattern")   /* what: its id; data: its content */         \
    X(CLIP, 20, "clip")         /* what: hash; how: MIME type; data: where */ \
    X(PROGRAM, 21, "program")   /* number 0..127: the instrument */           \
    X(BEND, 22, "bend")         /* number -8192..8191 */                      \
    X(PRESSURE, 23, "pressure") /* velocity; number: pitch, -1: the channel */\
    X(TEXT, 24, "text")         /* what; number: MIDI's type of text 1..15 */ \
    X(RAW, 25, "raw")           /* data: a MIDI message from its status on */ \
    X(TEMPO, 32, "tempo")       /* number: microseconds per quarter note */   \
    X(KEY, 33, "key")           /* number: sharps, flats negative, -7..7;     \
                                   mode: 0 major, 1 minor */                  \
    X(METER, 34, "meter")       /* number: beats in a bar 1..255; mode: a     \
                                   beat is 1/2^mode of a whole note, 0..15 */ \
    X(HARMONY, 35, "harmony")   /* what: the chord's name, 1..24 bytes */

enum luge_music_kind {
#define X(name, value, word) LUGE_MUSIC_##name = value,
    LUGE_MUSIC_KINDS(X)
#undef X
};

/* The word for KIND, or NULL.  Static memory. */
LUGE_API const char *luge_music_word(int kind);

struct luge_music_event {
    uint16_t kind;          /* of luge_music_kind */
    uint16_t track;         /* of a MIDI file; else as you like */
    uint8_t channel;        /* 0..15 */
    uint8_t pitch;          /* 0..127; 60 is the middle C */
    uint8_t velocity;       /* 0..127 */
    uint8_t mode;
    int32_t number;
    float value;
    uint64_t time_ns, duration_ns;
    struct luge_emotion emotion;
    luge_bytes agent;       /* empty: the author of its node */
    luge_bytes what, how;   /* UTF-8 */
    luge_bytes data;
};

/* An event of KIND at TIME_NS, neutral, with nothing else in it. */
LUGE_API struct luge_music_event luge_music_event_of(int kind,
                                                     uint64_t time_ns);

/* INVALID if a field of E is out of the range that its kind gives. */
LUGE_API int luge_music_check(const struct luge_music_event *e);

/* The sound of an intention.  `what` is a note C D E F G A B (anything else is
 * the middle C); emotion and `how` (softly, normally, boldly, questioning) make
 * velocity and duration.  Sets kind (NOTE), pitch, velocity, duration_ns. */
LUGE_API void luge_music_realize(struct luge_music_event *e);

/* ---------------------------------------------------------------- MIDI -- */

/* The events of a MIDI file.  Free with luge_midi_free. */
struct luge_midi {
    uint16_t division;      /* ticks per quarter note; or SMPTE, as in the file
                               (bit 15 set) */
    uint16_t tracks;
    size_t count;
    struct luge_music_event *events; /* in the order of time; at equal times in
                                        that of the file */
    void *memory;           /* ours */
};

#define LUGE_MIDI_SIZE_MAX (1u << 28)   /* bytes of a file: 256 MiB */
#define LUGE_MIDI_EVENTS_MAX (1u << 24) /* of a file */

/* Read a Standard MIDI File of format 0 or 1.  Notes that never end, end with
 * their track.  Texts keep their bytes.
 * Memory: *midi is the caller's until luge_midi_free; FILE is not needed any
 * more.
 * Errors: CORRUPT (the sentence has the offset), UNSUPPORTED (format 2),
 * TOOBIG, NOMEM. */
LUGE_API int luge_midi_read(luge_bytes file, struct luge_midi *midi);
LUGE_API void luge_midi_free(struct luge_midi *midi);

/* Write COUNT events as a Standard MIDI File of format 1: what sounds at a time
 * sounds then, to the tick.  What MIDI has no word for is left out.
 * division: as in struct luge_midi; 0: 960.
 * Memory: *file is the caller's, until luge_midi_file_free.
 * Errors: INVALID (an event out of its range), TOOBIG, NOMEM. */
LUGE_API int luge_midi_write(const struct luge_music_event *events,
                             size_t count, uint16_t division,
                             luge_bytes *file);
LUGE_API void luge_midi_file_free(luge_bytes file);

#ifdef __cplusplus
}
#endif
#endif
