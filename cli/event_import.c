/* cli/event_import.c -- luge event import: JSON Lines, as export writes them,
 * appended to the streams they name.
 *
 *   {"stream": "song", "type": "note", "payload": "..."}
 * payload   text, or {"base64": "..."}; or instead of it
 * json      any value, kept as it is written
 * time_ns   since 1970; absent: now.  correlation, causation: text.
 * position and version are not looked at: the events get new ones.
 *
 * All of it is appended, or nothing; what is wrong is said with its line.  The
 * file is read, and its lines are looked at, before the database is opened: who
 * waits for a pipe keeps nobody from writing, and a line that is no such object
 * makes no database.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

/* What of an event is its line's, until the next one. */
struct line {
    struct decoded stream, type, payload, correlation, causation;
    luge_bytes json;            /* in the file; size 0: there is none */
};

#define FILE_BYTES_MAX ((size_t)1 << 32)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void line_free(struct line *l)
{
    free(l->stream.made);
    free(l->type.made);
    free(l->payload.made);
    free(l->correlation.made);
    free(l->causation.made);
}

/* ------------------------------------------------------------- one line -- */

/* The quote that ends the string which begins at AT; SIZE if none does. */
static size_t string_end(const char *text, size_t size, size_t at)
{
    for (at++; at < size && text[at] != '"'; at++)
        if (text[at] == '\\') at++;
    return at < size ? at : size;
}

/* Behind the colon, if the string from AT to END is the name "json" of a
 * member; else 0. */
static size_t json_begin(const char *text, size_t size, size_t at, size_t end)
{
    static const char name[] = "\"json\"";
    size_t length = end + 1 - at;

    if (length != sizeof(name) - 1 || memcmp(text + at, name, length)) return 0;
    for (end++; end < size && is_blank(text[end]); end++) continue;
    return end < size && text[end] == ':' ? end + 1 : 0;
}

/* The value of the member "json" as it stands in the line, an object: reading
 * it and writing it again would round its numbers and drop what is there twice.
 * Size 0: there is none. */
static luge_bytes json_written(const char *text, size_t size)
{
    size_t begin = 0;
    int depth = 0;

    for (size_t at = 0; at < size; at++) {
        char c = text[at];
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (begin && (depth == 0 || (depth == 1 && c == ',')))
            return luge_bytes_of(text + begin, at - begin);
        if (c != '"') continue;
        size_t end = string_end(text, size, at);
        if (depth == 1 && !begin && end < size)
            begin = json_begin(text, size, at, end);
        at = end;
    }
    return luge_bytes_of(text, 0);
}

static luge_bytes trimmed(luge_bytes json)
{
    const char *at = json.data, *end = at + json.size;

    while (at < end && is_blank(*at)) at++;
    while (at < end && is_blank(end[-1])) end--;
    return luge_bytes_of(at, (size_t)(end - at));
}

/* The object of a line.  In place of its json there is 0 then, so that only
 * luge_event_append judges that. */
static json_t *object_of(char *text, size_t size, struct line *l,
                         json_error_t *error)
{
    luge_bytes json = json_written(text, size);
    char *hole = text + (json.size ? (const char *)json.data - text : 0);
    char *copy = NULL;

    if (json.size) {
        copy = malloc(json.size);
        if (!copy) return NULL;
        memcpy(copy, json.data, json.size);
        memset(hole, ' ', json.size);
        *hole = '0';
    }
    json_t *object = json_loadb(text, size,
                                JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, error);
    if (copy) memcpy(hole, copy, json.size);    /* it may be read again */
    free(copy);
    l->json = trimmed(json);
    return object;
}

/* The text called NAME, if it is there. */
static bool take(const json_t *object, const char *name, struct decoded *to)
{
    const json_t *json = json_object_get(object, name);

    to->bytes = luge_bytes_of("", 0);
    return !json || !json_to_bytes(json, to);
}

static const char *line_read(const json_t *object, struct line *l,
                             struct luge_event *e)
{
    const json_t *time = json_object_get(object, "time_ns");

    if (!json_is_object(object)) return "this is no object";
    if (!take(object, "stream", &l->stream)) return "stream is no text";
    if (!take(object, "type", &l->type)) return "type is no text";
    if (!take(object, "payload", &l->payload)) return "payload is no bytes";
    if (!take(object, "correlation", &l->correlation))
        return "correlation is no text";
    if (!take(object, "causation", &l->causation))
        return "causation is no text";
    if (time && (!json_is_integer(time) || json_integer_value(time) < 0))
        return "time_ns is no number of nanoseconds";
    *e = (struct luge_event){
        .type = l->type.bytes, .payload = l->payload.bytes,
        .correlation = l->correlation.bytes, .causation = l->causation.bytes,
        .time_ns = time ? (uint64_t)json_integer_value(time) : 0};
    if (!json_object_get(object, "json")) return NULL;
    if (!l->json.size) return "json is empty, or its name has escapes";
    if (json_object_get(object, "payload")) return "both payload and json";
    e->payload = l->json;
    e->flags = LUGE_EVENT_JSON;
    return NULL;
}

/* What is wrong with a line, in luge's words.  *e is the line's memory. */
static int line_parse(char *text, size_t size, struct line *l,
                      struct luge_event *e, json_t **object)
{
    json_error_t error = {.text = ""};
    const char *wrong;

    *l = (struct line){.json = {NULL, 0}};
    *object = object_of(text, size, l, &error);
    wrong = *object ? line_read(*object, l, e) : error.text;
    return wrong ? luge_fail(LUGE_CORRUPT, __FILE__, __LINE__, "%s", wrong) : 0;
}

/* TXN NULL: look whether it is an event, no more. */
static int import_line(luge_txn *txn, const struct luge_events *events,
                       char *text, size_t size, struct call *c)
{
    struct line l;
    struct luge_event e;
    struct luge_event_place place = {0};
    json_t *object;
    int rc = line_parse(text, size, &l, &e, &object);

    if (!rc && txn)
        rc = luge_event_append(txn, events, l.stream.bytes, LUGE_EVENT_ANY, &e,
                               1, &place);
    if (!rc) c->made[0] = place.position;
    line_free(&l);
    json_decref(object);
    return rc;
}

/* ----------------------------------------------------------- the file -- */

/* All lines that have something on them. */
static int lines_import(luge_txn *txn, const struct luge_events *events,
                        struct call *c)
{
    char *text = c->input;
    size_t size = c->arguments[3].size;
    struct luge_error said;
    bool any = false;
    int rc = 0;

    for (size_t at = 0, number = 1; !rc && at < size; number++) {
        char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - text) - at : size - at;
        size_t blank = 0;
        while (blank < length && is_blank(text[at + blank])) blank++;
        if (blank < length)
            rc = import_line(txn, events, text + at, length, c);
        any |= blank < length;
        at += length + 1;
        if (!rc) continue;
        said = *luge_last_error();      /* luge_fail writes it anew */
        luge_fail(rc, __FILE__, __LINE__, "%s, line %zu: %s", call_text(c, 2),
                  number, said.text);
    }
    if (rc || any) return rc;
    /* That is what is left of an export that failed. */
    return luge_fail(LUGE_CORRUPT, __FILE__, __LINE__, "%s: no event is in it",
                     call_text(c, 2));
}

int event_import(luge_txn *txn, void *call)
{
    struct luge_events events;
    int rc = event_store(call, txn, LUGE_TREE_CREATE, &events);

    return rc ? rc : lines_import(txn, &events, call);
}

static int read_file(struct call *c)
{
    FILE *file = fopen(call_text(c, 2), "rb");
    int rc = file ? call_input(c, file, FILE_BYTES_MAX, &c->arguments[3])
                  : LUGE_IO;

    if (rc)
        luge_fail(rc, __FILE__, __LINE__, "%s: %s", call_text(c, 2),
                  rc == LUGE_IO ? strerror(errno) : luge_error_text(rc));
    if (file) fclose(file);
    return rc;
}

int event_import_read(struct call *c)
{
    int rc = 0;

    if (c->input) {             /* of standard input */
        c->arguments[3] = c->arguments[2];
        c->arguments[2] = luge_str("standard input");
    } else {
        rc = read_file(c);
    }
    if (!rc) rc = lines_import(NULL, NULL, c);
    return rc ? say_error(rc) : 0;
}
