/* model/show.c -- any pair of a model's tree as JSON, and the keys that people
 * ask for (luge_show.h).
 *
 * Everything that is particular to a record stands in record_kinds
 * (show_kinds.c): names of columns and fields, types, offsets.
 */
#include "luge_show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conversation.h"
#include "json.h"
#include "record.h"
#include "tuple.h"

enum { FIXED_MAX = 256 };       /* bytes of the largest fixed struct */

/* The kind of record in a tree called NAME: its last part says so. */
static int kind_of(luge_bytes name, const struct record_kind **found)
{
    const char *text = name.data;
    size_t from = name.size;

    while (from && text[from - 1] != '/') from--;
    for (const struct record_kind *k = record_kinds; k->tree && from; k++)
        if (strlen(k->tree) == name.size - from &&
            !memcmp(k->tree, text + from, name.size - from)) {
            *found = k;
            return 0;
        }
    return model_fail(LUGE_NOTFOUND, "no model keeps records in a tree called "
                      "%.*s", (int)name.size, text);
}

/* A column as record_kind.columns describes it, and the next one. */
struct column {
    const char *next;
    char name[32];
    bool number, negative;
};

static bool column_next(struct column *c)
{
    size_t size;

    c->number = *c->next == '#' || *c->next == '-';
    c->negative = *c->next == '-';
    c->next += c->number;
    size = strcspn(c->next, " ");
    if (!size || size >= sizeof(c->name)) return false;
    memcpy(c->name, c->next, size);
    c->name[size] = 0;
    c->next += size;
    c->next += *c->next == ' ';
    return true;
}

/* ----------------------------------------------------------------- keys -- */

static int show_column(struct json *j, const struct column *c,
                       struct tuple_reader *r)
{
    char space[LUGE_KEY_SIZE_MAX];
    luge_bytes text;
    uint64_t number;
    int64_t negative;
    int rc;

    json_name(j, c->name);
    if (c->negative) {
        rc = tuple_get_i64(r, &negative);
        if (!rc) json_i64(j, -negative);
    } else if (c->number) {
        rc = tuple_get_u64(r, &number);
        if (!rc) json_u64(j, number);
    } else {
        rc = tuple_get_text(r, space, sizeof(space), &text);
        if (!rc) json_bytes(j, text);
    }
    return rc;
}

static int show_key(struct json *j, const struct record_kind *kind,
                    luge_bytes key)
{
    struct tuple_reader r = tuple_read(key);
    struct column c = {.next = kind->columns};
    int rc = 0;

    while (!rc && column_next(&c)) rc = show_column(j, &c, &r);
    return rc ? rc : tuple_get_end(&r);
}

/* WORD as the next element of a key. */
static int put_column(struct tuple *t, const struct column *c, luge_bytes word)
{
    char text[32], *end = text;

    if (!c->number) {
        tuple_put_text(t, word);
        return 0;
    }
    if (word.size && word.size < sizeof(text)) {
        memcpy(text, word.data, word.size);
        text[word.size] = 0;
        errno = 0;
        if (c->negative)
            tuple_put_i64(t, -strtoll(text, &end, 10));
        else if (*text != '-')
            tuple_put_u64(t, strtoull(text, &end, 10));
    }
    if (end != text && !*end && !errno) return 0;
    return model_fail(LUGE_INVALID, "the column %s is a number, not '%.*s'",
                      c->name, (int)word.size, (const char *)word.data);
}

int luge_show_prefix(luge_bytes tree, const luge_bytes *words, size_t count,
                     char space[LUGE_KEY_SIZE_MAX], luge_bytes *prefix)
{
    const struct record_kind *kind;
    struct tuple t;
    int rc = kind_of(tree, &kind);

    if (rc) return rc;
    struct column c = {.next = kind->columns};
    tuple_begin(&t);
    for (size_t i = 0; !rc && i < count; i++)
        rc = column_next(&c)
                 ? put_column(&t, &c, words[i])
                 : model_fail(LUGE_INVALID, "the key of a tree called %s has "
                              "the columns %s and no more", kind->tree,
                              kind->columns);
    if (!rc) rc = tuple_fits(&t, "a key");
    if (rc) return rc;
    memcpy(space, t.bytes, t.size);
    *prefix = luge_bytes_of(space, t.size);
    return 0;
}

/* --------------------------------------------------------------- fields -- */

static void show_emotion(struct json *j, const unsigned char *at)
{
    struct luge_emotion e;

    memcpy(&e, at, sizeof(e));
    json_open(j, '{');
    json_name(j, "valence");
    json_float(j, e.valence);
    json_name(j, "arousal");
    json_float(j, e.arousal);
    json_name(j, "agency");
    json_float(j, e.agency);
    json_close(j, '}');
}

static void show_u64s(struct json *j, luge_bytes part)
{
    const char *at = part.data;
    uint64_t number;

    json_open(j, '[');
    for (size_t i = 0; i + sizeof(number) <= part.size; i += sizeof(number)) {
        memcpy(&number, at + i, sizeof(number));
        json_u64(j, number);
    }
    json_close(j, ']');
}

static void show_chords(struct json *j, luge_bytes part)
{
    const char *at = part.data;
    struct convo_chord chord;

    json_open(j, '[');
    for (size_t i = 0; i + sizeof(chord) <= part.size; i += sizeof(chord)) {
        memcpy(&chord, at + i, sizeof(chord));
        json_open(j, '{');
        json_name(j, "time_ns");
        json_u64(j, chord.time_ns);
        json_name(j, "name");
        json_bytes(j, luge_bytes_of(chord.name, strnlen(chord.name,
                                                        sizeof(chord.name))));
        json_close(j, '}');
    }
    json_close(j, ']');
}

/* A number that may stand for a word. */
static void show_number(struct json *j, const struct record_field *f,
                        int64_t number)
{
    const char *word = f->word ? f->word((int)number) : NULL;

    if (word)
        json_bytes(j, luge_str(word));
    else
        json_i64(j, number);
}

static int show_part(struct json *j, const struct record_field *f,
                     const unsigned char *at, luge_bytes raw)
{
    struct record_part part;
    luge_bytes bytes;
    int rc;

    memcpy(&part, at, sizeof(part));
    rc = record_part(raw, part, &bytes);
    if (rc) return rc;
    switch (f->type) {
    case RECORD_JSON: json_json(j, bytes); break;
    case RECORD_U64S: show_u64s(j, bytes); break;
    case RECORD_CHORDS: show_chords(j, bytes); break;
    default: json_bytes(j, bytes);
    }
    return 0;
}

static int show_field(struct json *j, const struct record_field *f,
                      const unsigned char *fixed, luge_bytes raw)
{
    const unsigned char *at = fixed + f->at;
    uint64_t u64;
    uint32_t u32;
    int32_t i32;
    uint16_t u16;
    float f32;

    json_name(j, f->name);
    switch (f->type) {
    case RECORD_U8: show_number(j, f, *at); return 0;
    case RECORD_I8: show_number(j, f, (int8_t)*at); return 0;
    case RECORD_U16:
        memcpy(&u16, at, sizeof(u16));
        show_number(j, f, u16);
        return 0;
    case RECORD_I32:
        memcpy(&i32, at, sizeof(i32));
        json_i64(j, i32);
        return 0;
    case RECORD_U32:
        memcpy(&u32, at, sizeof(u32));
        json_u64(j, u32);
        return 0;
    case RECORD_U64:
        memcpy(&u64, at, sizeof(u64));
        json_u64(j, u64);
        return 0;
    case RECORD_F32:
        memcpy(&f32, at, sizeof(f32));
        json_float(j, f32);
        return 0;
    case RECORD_EMOTION: show_emotion(j, at); return 0;
    default: return show_part(j, f, at, raw);
    }
}

static int show_value(struct json *j, const struct record_kind *kind,
                      luge_bytes value)
{
    unsigned char fixed[FIXED_MAX];
    const struct record_field *f = kind->fields;
    int rc = 0;

    if (!f || !kind->defaults) {
        if (value.size != (f ? sizeof(uint64_t) : 0))
            return MODEL_CORRUPT("%zu bytes are no value of a tree called %s",
                                 value.size, kind->tree);
        return f ? show_field(j, f, value.data, value) : 0;
    }
    rc = record_read(kind->defaults, value, fixed);
    for (; !rc && f->name; f++) rc = show_field(j, f, fixed, value);
    return rc;
}

int luge_show(luge_bytes tree, luge_bytes key, luge_bytes value, char **json)
{
    const struct record_kind *kind;
    struct json j;
    int rc = kind_of(tree, &kind);

    *json = NULL;
    if (rc) return rc;
    json_begin(&j);
    json_open(&j, '{');
    json_name(&j, "record");
    json_bytes(&j, luge_str(kind->name));
    rc = show_key(&j, kind, key);
    if (!rc) rc = show_value(&j, kind, value);
    json_close(&j, '}');
    *json = json_end(&j);
    if (!*json) return MODEL_NOMEM();
    if (rc) luge_show_free(*json);
    if (rc) *json = NULL;
    return rc;
}

void luge_show_free(char *json)
{
    model_free(json);
}
