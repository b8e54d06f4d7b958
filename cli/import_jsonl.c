/* cli/import_jsonl.c -- messages as a conversation: JSON Lines.
 *
 *   {"id": "m2", "parent_id": "m1", "author": "amy", "text": "...",
 *    "time": "2026-11-21T06:00:00Z"}
 * id       text or an integer, unlike any other; becomes the node's label
 * parent_id  the id of any line, before or behind; null or absent: a beginning
 * author   text.   text   text; both must be there.
 * time     seconds since 1970, or RFC 3339; absent: now
 * type     text, if there is one.  Other fields are not looked at.
 *
 * The first child of a message goes on with its branch, every other one begins
 * a branch.  Lines are numbered from 1 in what is said of them; a byte order
 * mark before the first is passed over.
 * Not here: any other shape of messages.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convo.h"

#define JSONL_SIZE_MAX ((size_t)1 << 32)    /* bytes of a file */
enum { LINE_SIZE_MAX = 1 << 28, MESSAGES_MAX = 1 << 28 };

struct message {
    json_t *json;
    char *id;                   /* ours */
    const char *parent;         /* its parent's id; NULL: none */
    size_t line;
    uint64_t time_ns;           /* 0: now */
    uint32_t follows;           /* the index of that; NONE */
    uint32_t child, sibling;    /* the first child; the parent's next */
    uint64_t branch, node;
};
enum { NONE = UINT32_MAX };

struct messages {
    struct message *list;
    uint32_t count, room;
    uint32_t *sorted;           /* by id */
};

/* ------------------------------------------------------------- reading -- */

/* Text or an integer as text; NULL if it is neither, is too long, or has a zero
 * in it. */
static char *id_text(const json_t *json)
{
    char number[32];
    const char *text = json_string_value(json);

    if (json_is_integer(json)) {
        snprintf(number, sizeof(number), "%lld",
                 (long long)json_integer_value(json));
        text = number;
    }
    if (!text || !*text || strlen(text) > LUGE_CONVERSATION_NAME_SIZE_MAX)
        return NULL;
    if (text != number && strlen(text) != json_string_length(json)) return NULL;
    return strdup(text);
}

static int bad(struct import *import, size_t line, const char *what)
{
    return import_fail(import, LUGE_CORRUPT, "%s, line %zu: %s", import->file,
                       line, what);
}

static struct message *message_new(struct messages *all)
{
    if (all->count == all->room) {
        uint32_t room = all->room ? 2 * all->room : 256;
        void *larger = NULL;
        if (room <= MESSAGES_MAX)
            larger = realloc(all->list, room * sizeof(*all->list));
        if (!larger) return NULL;
        all->list = larger;
        all->room = room;
    }
    struct message *m = &all->list[all->count++];
    *m = (struct message){.follows = NONE, .child = NONE, .sibling = NONE};
    return m;
}

/* The parent's id as text; it replaces an integer in the object. */
static int parent_read(struct import *import, struct message *m)
{
    json_t *parent = json_object_get(m->json, "parent_id");

    if (!parent || json_is_null(parent)) return 0;
    char *text = id_text(parent);
    if (!text)
        return bad(import, m->line, "parent_id is neither text of 1 .. 255 "
                   "bytes nor an integer");
    json_object_set_new(m->json, "parent_id", json_string(text));
    free(text);
    m->parent = json_string_value(json_object_get(m->json, "parent_id"));
    return m->parent ? 0 : LUGE_NOMEM;
}

static bool time_digits(const char *text, const char *form)
{
    for (; *form; form++, text++)
        if (*form == '0' ? *text < '0' || *text > '9' : *text != *form)
            return false;
    return true;
}

/* RFC 3339: 2026-11-21T06:00:00[.123](Z|+01:00).  0 if it is none. */
static uint64_t time_of_text(const char *text)
{
    struct tm tm = {0};
    double fraction = 0;
    char *end;
    long hours = 0, minutes = 0;

    if (!time_digits(text, "0000-00-00") || (text[10] != 'T' &&
                                             text[10] != ' ') ||
        !time_digits(text + 11, "00:00:00"))
        return 0;
    end = strptime(text, text[10] == 'T' ? "%Y-%m-%dT%H:%M:%S"
                                         : "%Y-%m-%d %H:%M:%S", &tm);
    if (!end) return 0;
    if (*end == '.') fraction = strtod(end, &end);
    if ((*end == '+' || *end == '-') && time_digits(end + 1, "00:00")) {
        hours = strtol(end + 1, NULL, 10) * (*end == '-' ? -1 : 1);
        minutes = strtol(end + 4, NULL, 10) * (*end == '-' ? -1 : 1);
        end += 6;
    } else if (*end == 'Z') {
        end++;
    }
    int day = tm.tm_mday;
    time_t seconds = timegm(&tm) - hours * 3600 - minutes * 60;
    if (*end || seconds <= 0 || tm.tm_mday != day) return 0; /* 31 April */
    return (uint64_t)seconds * 1000000000 + (uint64_t)(fraction * 1e9);
}

static int time_read(struct import *import, struct message *m)
{
    json_t *json = json_object_get(m->json, "time");
    double seconds = json_number_value(json);

    if (!json || json_is_null(json)) return 0;
    if (json_is_string(json))
        m->time_ns = time_of_text(json_string_value(json));
    else if (json_is_number(json) && seconds > 0 && seconds < 9e9)
        m->time_ns = (uint64_t)seconds * 1000000000 +
                     (uint64_t)((seconds - floor(seconds)) * 1e9);
    if (m->time_ns) return 0;
    return bad(import, m->line, "time is neither seconds since 1970 nor a "
               "text of RFC 3339");
}

static int line_read(struct import *import, struct messages *all,
                     luge_bytes line, size_t number)
{
    json_error_t error;
    char text[128];
    struct message *m = message_new(all);

    if (!m) return LUGE_NOMEM;
    m->line = number;
    if (line.size > LINE_SIZE_MAX) return bad(import, number, "it is too long");
    m->json = json_loadb(line.data, line.size,
                         JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!m->json) {
        snprintf(text, sizeof(text), "%.100s (byte %d)", error.text,
                 error.position);
        return bad(import, number, text);
    }
    if (!json_is_object(m->json))
        return bad(import, number, "this is no object");
    m->id = id_text(json_object_get(m->json, "id"));
    if (!m->id)
        return bad(import, number, "id is neither text of 1 .. 255 bytes nor "
                   "an integer");
    if (!json_string_length(json_object_get(m->json, "author")))
        return bad(import, number, "author is missing, or no text");
    if (!json_is_string(json_object_get(m->json, "text")))
        return bad(import, number, "text is missing, or no text");
    int rc = time_read(import, m);
    return rc ? rc : parent_read(import, m);
}

static int lines_read(struct import *import, struct messages *all,
                      luge_bytes file)
{
    const char *at = file.data, *end = at + file.size;
    int rc = 0;

    if (file.size >= 3 && !memcmp(at, "\xef\xbb\xbf", 3)) at += 3;

    for (size_t number = 1; !rc && at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        luge_bytes line = {at, size};
        while (size && memchr(" \t\r", at[size - 1], 3)) size--;
        if (size) rc = line_read(import, all, line, number);
        at = stop ? stop + 1 : end;
    }
    return rc;
}

/* --------------------------------------------------------------- linking -- */

static int by_id(const void *left, const void *right, void *context)
{
    const struct messages *all = context;
    const uint32_t *a = left, *b = right;

    return strcmp(all->list[*a].id, all->list[*b].id);
}

static int sort_ids(struct import *import, struct messages *all)
{
    all->sorted = malloc((all->count + 1u) * sizeof(uint32_t));
    if (!all->sorted) return LUGE_NOMEM;
    for (uint32_t i = 0; i < all->count; i++) all->sorted[i] = i;
    qsort_r(all->sorted, all->count, sizeof(uint32_t), by_id, all);
    for (uint32_t i = 1; i < all->count; i++) {
        struct message *a = &all->list[all->sorted[i - 1]];
        struct message *b = &all->list[all->sorted[i]];
        if (strcmp(a->id, b->id)) continue;
        return import_fail(import, LUGE_CORRUPT, "%s, line %zu: the id '%s' is "
                           "that of line %zu", import->file,
                           a->line > b->line ? a->line : b->line, a->id,
                           a->line > b->line ? b->line : a->line);
    }
    return 0;
}

static uint32_t find_id(const struct messages *all, const char *id)
{
    uint32_t low = 0, high = all->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(all->list[all->sorted[middle]].id, id);
        if (!order) return all->sorted[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NONE;
}

/* Children in the order of their lines, so from the last one on. */
static int link_parents(struct import *import, struct messages *all)
{
    for (uint32_t i = all->count; i-- > 0;) {
        struct message *m = &all->list[i];
        if (!m->parent) continue;
        m->follows = find_id(all, m->parent);
        if (m->follows == NONE)
            return import_fail(import, LUGE_CORRUPT, "%s, line %zu: no line "
                               "has the id '%s', which is its parent_id",
                               import->file, m->line, m->parent);
        m->sibling = all->list[m->follows].child;
        all->list[m->follows].child = i;
    }
    return 0;
}

/* ---------------------------------------------------------------- saying -- */

static luge_bytes text_of(const struct message *m, const char *name)
{
    const json_t *json = json_object_get(m->json, name);

    return luge_bytes_of(json_string_value(json) ? json_string_value(json) : "",
                         json_string_length(json));
}

/* The branch of M: its parent's if it is the first child, else a new one. */
static int branch_of(struct import *import, const struct messages *all,
                     uint32_t at, bool first_root)
{
    struct message *m = &all->list[at];
    const struct message *parent = m->follows == NONE ? NULL
                                                      : &all->list[m->follows];
    struct luge_branch fork = {.reason = LUGE_REASON_ALTERNATIVE};

    if (parent && parent->child == at) {
        m->branch = parent->branch;
        return 0;
    }
    fork.description = luge_str(m->id);
    if (first_root) fork.name = luge_str("main");
    import->branches++;
    return luge_branch_fork(import->txn, &import->convo,
                            parent ? parent->node : 0, &fork, &m->branch);
}

static int message_say(struct import *import, const struct messages *all,
                       uint32_t at, bool first_root)
{
    struct message *m = &all->list[at];
    struct luge_say say = {.author = text_of(m, "author"),
                           .type = text_of(m, "type"),
                           .payload = text_of(m, "text"),
                           .label = luge_str(m->id), .time_ns = m->time_ns};
    int rc = branch_of(import, all, at, first_root);

    if (!rc)
        rc = luge_say(import->txn, &import->convo, m->branch, &say, &m->node);
    if (rc && !import->trouble[0])
        return bad(import, m->line, luge_last_error()->text);
    import->nodes++;
    return rc;
}

/* Parents before children: from each beginning down, back, and aside. */
static int messages_say(struct import *import, const struct messages *all)
{
    bool first_root = true;
    uint32_t said = 0;
    int rc = 0;

    for (uint32_t root = 0; !rc && root < all->count; root++) {
        if (all->list[root].follows != NONE) continue;
        for (uint32_t at = root;;) {
            rc = message_say(import, all, at, first_root);
            first_root = false;
            said++;
            if (rc) break;
            uint32_t next = all->list[at].child;
            while (next == NONE && at != root) {
                next = all->list[at].sibling;
                at = all->list[at].follows;
            }
            if (next == NONE) break;
            at = next;
        }
    }
    if (rc || said == all->count) return rc;
    for (uint32_t i = 0; i < all->count; i++)
        if (!all->list[i].node)
            return bad(import, all->list[i].line,
                       "its parents go round in a circle");
    return LUGE_CORRUPT;
}

static int messages_read(struct import *import)
{
    struct messages *all = calloc(1, sizeof(*all));
    luge_bytes file;
    int rc = all ? import_file(import, JSONL_SIZE_MAX, &file) : LUGE_NOMEM;

    import->source = all;
    if (rc) return rc;
    rc = lines_read(import, all, file);
    free((void *)(uintptr_t)file.data);
    if (!rc) rc = sort_ids(import, all);
    if (!rc) rc = link_parents(import, all);
    if (!rc && !all->count)
        rc = import_fail(import, LUGE_CORRUPT, "%s: no line in it",
                         import->file);
    return rc;
}

static int messages_make(struct import *import)
{
    int rc = import_begin(import, import->path, 0);

    return rc ? rc : messages_say(import, import->source);
}

static void messages_free(struct import *import)
{
    struct messages *all = import->source;

    if (!all) return;
    for (uint32_t i = 0; i < all->count; i++) {
        json_decref(all->list[i].json);
        free(all->list[i].id);
    }
    free(all->list);
    free(all->sorted);
    free(all);
}

const struct import_kind import_jsonl = {"jsonl", false, messages_read,
                                         messages_make, messages_free};
