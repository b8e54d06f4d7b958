/* cli/event_import.c -- luge event import: JSON Lines, as export writes them,
 * appended to the streams they name.
 *
 *   {"stream": "song", "type": "note", "payload": "..."}
 * payload   text, or {"base64": "..."}; or instead of it
 * json      any value
 * time_ns   since 1970; absent: now.  correlation, causation: text.
 * position and version are not looked at: the events get new ones.
 *
 * All of it is appended, or nothing; what is wrong is said with its line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

/* What of an event is its line's, until the next one. */
struct line {
    struct decoded stream, type, payload, correlation, causation;
    char *json;
};

static void line_free(struct line *l)
{
    free(l->stream.made);
    free(l->type.made);
    free(l->payload.made);
    free(l->correlation.made);
    free(l->causation.made);
    free(l->json);
    *l = (struct line){.json = NULL};
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
    const json_t *json = json_object_get(object, "json");
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
    if (!json) return NULL;
    l->json = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!l->json) return "json cannot be kept";
    e->payload = luge_str(l->json);
    e->flags = LUGE_EVENT_JSON;
    return NULL;
}

static int import_line(luge_txn *txn, const struct luge_events *events,
                       const char *text, size_t size, struct call *c)
{
    struct line l = {.json = NULL};
    struct luge_event e;
    struct luge_event_place place;
    json_error_t error = {.text = ""};
    json_t *object = json_loadb(text, size, 0, &error);
    const char *wrong = object ? line_read(object, &l, &e) : error.text;
    int rc = wrong ? luge_fail(LUGE_CORRUPT, __FILE__, __LINE__, "%s", wrong)
                   : luge_event_append(txn, events, l.stream.bytes,
                                       LUGE_EVENT_ANY, &e, 1, &place);

    if (!rc) c->made[0] = place.position;
    line_free(&l);
    json_decref(object);
    return rc;
}

static int import_lines(luge_txn *txn, struct call *c, const char *name,
                        FILE *file)
{
    struct luge_events events;
    struct luge_error said;
    char *line = NULL;
    size_t room = 0, number = 0;
    ssize_t size;
    int rc = event_store(c, txn, LUGE_TREE_CREATE, &events);

    while (!rc && (size = getline(&line, &room, file)) >= 0) {
        number++;
        if (strspn(line, " \t\r\n") == (size_t)size) continue;
        rc = import_line(txn, &events, line, (size_t)size, c);
        if (!rc) continue;
        said = *luge_last_error();      /* luge_fail writes it anew */
        luge_fail(rc, __FILE__, __LINE__, "%s, line %zu: %s", name, number,
                  said.text);
    }
    if (!rc && ferror(file))
        rc = luge_fail(LUGE_IO, __FILE__, __LINE__, "%s: %s", name,
                       strerror(errno));
    free(line);
    return rc;
}

int event_import(luge_txn *txn, void *call)
{
    struct call *c = call;
    const char *name = c->input ? "standard input" : call_text(c, 2);
    FILE *file = c->input ? fmemopen(c->input, c->arguments[2].size, "r")
                          : fopen(name, "r");
    int rc;

    if (!file)
        return luge_fail(LUGE_IO, __FILE__, __LINE__, "%s: %s", name,
                         strerror(errno));
    rc = import_lines(txn, c, name, file);
    fclose(file);
    return rc;
}
