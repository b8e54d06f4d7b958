/* cli/import.c -- luge import: real things as conversations.
 *
 *   1 everything is read before the database is touched
 *   2 one transaction makes the conversation, or nothing of it
 * Not here: what a history, a tune, a list of messages is (import_*.c).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "convo.h"

int import_fail(struct import *import, int code, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(import->trouble, sizeof(import->trouble), format, list);
    va_end(list);
    return code;
}

static int too_large(struct import *import, size_t size_max)
{
    return import_fail(import, LUGE_TOOBIG, "%s: more than %zu bytes",
                       import->file, size_max);
}

static int read_stream(struct import *import, FILE *file, size_t size_max,
                       luge_bytes *bytes)
{
    size_t size = 0, room = 1 << 16;
    char *all = malloc(room);

    while (all) {
        size += fread(all + size, 1, room - size, file);
        if (size < room) break;
        if (size > size_max) {
            free(all);
            return too_large(import, size_max);
        }
        room = room < size_max / 2 ? 2 * room : size_max + 1;
        char *larger = realloc(all, room);
        if (!larger) free(all);
        all = larger;
    }
    if (!all) return LUGE_NOMEM;
    *bytes = luge_bytes_of(all, size);
    if (!ferror(file)) return 0;
    int code = import_fail(import, LUGE_IO, "%s: %s", import->file,
                           strerror(errno));
    free(all);
    return code;
}

int import_file(struct import *import, size_t size_max, luge_bytes *bytes)
{
    FILE *file = strcmp(import->file, "-") ? fopen(import->file, "rb") : stdin;

    if (!file)
        return import_fail(import, LUGE_IO, "%s: %s", import->file,
                           strerror(errno));
    struct stat st;
    bool large = !fstat(fileno(file), &st) && st.st_size > 0 &&
                 (size_t)st.st_size > size_max;
    int rc = large ? too_large(import, size_max)
                   : read_stream(import, file, size_max, bytes);
    if (file != stdin) fclose(file);
    return rc;
}

int import_begin(struct import *import, luge_bytes title, uint16_t division)
{
    struct luge_conversation_about about = {.title = title,
                                            .division = division};
    struct luge_conversation there;
    int rc = luge_conversation_open(import->txn, import->path, 0, &there);

    if (!rc)
        return import_fail(import, LUGE_EXISTS,
                           "there is a conversation %.*s already; choose "
                           "another --path", (int)import->path.size,
                           (const char *)import->path.data);
    if (rc != LUGE_NOTFOUND) return rc;
    rc = luge_conversation_open(import->txn, import->path, LUGE_TREE_CREATE,
                                &import->convo);
    return rc ? rc : luge_conversation_set(import->txn, &import->convo, &about);
}

/* The bytes of the whole UTF-8 character at P, or 0. */
static size_t utf8_size(const unsigned char *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (size == 1) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < size) return 0;
    uint32_t point = p[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        point = (point << 6) | (p[i] & 0x3fu);
    }
    if (point < least[size] || point > 0x10ffff) return 0;
    return point >= 0xd800 && point < 0xe000 ? 0 : size;
}

char *import_utf8(luge_bytes bytes)
{
    const unsigned char *p = bytes.data;
    size_t left = bytes.size;
    char *text = malloc(3 * bytes.size + 1), *to = text;

    while (text && left) {
        size_t size = utf8_size(p, left);
        memcpy(to, size ? (const char *)p : "\xef\xbf\xbd", size ? size : 3);
        to += size ? size : 3;
        size += !size;
        p += size;
        left -= size;
    }
    if (text) *to = 0;
    return text;
}

/* ----------------------------------------------------------------- verb -- */

static const struct {
    const char *name;
    int (*run)(struct import *import);
    bool several;               /* a conversation for each file */
} kinds[] = {
    {"git", import_git, false},
    {"midi", import_midi, true},
    {"jsonl", import_jsonl, false},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* The last part of FILE, without what is behind its dot. */
static luge_bytes name_of(const char *file)
{
    size_t size = strlen(file);

    while (size > 1 && file[size - 1] == '/') size--;
    size_t from = size;
    while (from && file[from - 1] != '/') from--;
    for (size_t at = size; at > from + 1; at--)
        if (file[at - 1] == '.') {
            size = at - 1;
            break;
        }
    if (size - from <= 2 && file[from] == '.') return luge_str("history");
    return luge_bytes_of(file + from, size - from);
}

static int import_say(const struct import *import, int rc)
{
    if (!import->trouble[0]) return say_error(rc);
    luge_fail(rc, __FILE__, __LINE__, "%s", import->trouble);
    return say_error(rc);
}

static void import_print(const struct import *import)
{
    if (call_has(import->c, OPTION_JSON)) {
        print_json(json_pack("{s:o, s:o, s:o, s:o}", "conversation",
                             json_of_bytes(import->path), "nodes",
                             json_of_count(import->nodes), "branches",
                             json_of_count(import->branches), "events",
                             json_of_count(import->events)));
        return;
    }
    print_bytes(import->path);
    printf("\t%llu nodes\t%llu branches\t%llu events\n",
           (unsigned long long)import->nodes,
           (unsigned long long)import->branches,
           (unsigned long long)import->events);
}

/* The conversation's path: --path, and below it the file's name if there may be
 * several files. */
static int import_path(struct import *import, bool several, char *space,
                       size_t size)
{
    const char *path = import->c->options[OPTION_PATH];
    luge_bytes name = name_of(import->file);
    int used;

    if (path && !several)
        used = snprintf(space, size, "%s", path);
    else
        used = snprintf(space, size, "%s%s%.*s", path ? path : "",
                        path && *path ? "/" : "", (int)name.size,
                        (const char *)name.data);
    if (used < 0 || (size_t)used >= size)
        return import_fail(import, LUGE_TOOBIG, "%s: the path is too long",
                           import->file);
    import->path = luge_str(space);
    return 0;
}

static int import_one(struct call *c, size_t kind, const char *file)
{
    struct import import = {.c = c, .txn = c->txn, .file = file};
    char path[LUGE_NAME_SIZE_MAX];
    int rc;

    import.author = call_has(c, OPTION_AUTHOR) ? c->options[OPTION_AUTHOR]
                                               : kinds[kind].name;
    rc = import_path(&import, kinds[kind].several, path, sizeof(path));
    if (!rc) rc = kinds[kind].run(&import);
    if (rc) return import_say(&import, rc);
    import_print(&import);
    return 0;
}

int verb_import(struct call *c)
{
    struct luge_options how = {0};
    luge_bytes kind = c->arguments[0];
    unsigned durability;
    size_t at = 0;
    int rc, code = call_durability(c, &durability);

    if (code) return code;
    while (at < KINDS && strcmp(kind.data, kinds[at].name) != 0) at++;
    if (at == KINDS)
        return say_usage(c->verb, "there is no kind '%s'",
                         (const char *)kind.data);
    if (c->count > 3 && !kinds[at].several)
        return say_usage(c->verb, "one file at a time");
    rc = luge_open(c->arguments[1].data, &how, &c->db);
    if (!rc) rc = luge_begin(c->db, LUGE_TURN | durability, &c->txn);
    if (rc) return say_error(rc);
    for (int i = 2; i < c->count; i++) {
        code = import_one(c, at, c->arguments[i].data);
        if (code) return code;
    }
    rc = luge_commit(c->txn);
    c->txn = NULL;
    return rc ? say_error(rc) : EXIT_DONE;
}
