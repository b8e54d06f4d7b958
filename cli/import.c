/* cli/import.c -- luge import: real things as conversations.
 *
 *   1 everything is read before the database is opened: a file that is no good
 *     makes none, and who waits for a pipe keeps nobody from writing
 *   2 one transaction makes all conversations, or nothing of them
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

static const struct import_kind *kind_of(const char *name)
{
    static const struct import_kind *const kinds[] = {
        &import_git, &import_midi, &import_jsonl};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (!strcmp(name, kinds[i]->name)) return kinds[i];
    return NULL;
}

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
    print_count("\t", import->nodes, "node");
    print_count("\t", import->branches, "branch");
    print_count("\t", import->events, "event");
    putchar('\n');
}

/* The conversation's path: --path, and below it the file's name if there may be
 * several files. */
static int import_path(struct import *import, bool several)
{
    const char *path = import->c->options[OPTION_PATH];
    bool piped = !strcmp(import->file, "-");
    luge_bytes name = name_of(import->file);
    char *space = import->space;
    size_t size = sizeof(import->space);
    int used;

    if (path && (!several || piped))
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

static int import_read(struct import *import, const struct import_kind *kind)
{
    int rc = import_path(import, kind->several);

    import->author = call_has(import->c, OPTION_AUTHOR)
                         ? import->c->options[OPTION_AUTHOR]
                         : kind->name;
    if (!rc) rc = kind->read(import);
    return rc ? import_say(import, rc) : 0;
}

static int imports_read(struct call *c, const struct import_kind *kind,
                        struct import *imports)
{
    int code = 0;

    for (int i = 2; !code && i < c->count; i++) {
        imports[i - 2].c = c;
        imports[i - 2].file = c->arguments[i].data;
        code = import_read(&imports[i - 2], kind);
    }
    return code;
}

static int imports_make(struct call *c, const struct import_kind *kind,
                        struct import *imports, unsigned durability)
{
    struct luge_options how = {0};
    int rc = luge_open(c->arguments[1].data, &how, &c->db);

    if (!rc) rc = luge_begin(c->db, LUGE_TURN | durability, &c->txn);
    if (rc) return say_error(rc);
    for (int i = 0; i < c->count - 2; i++) {
        imports[i].txn = c->txn;
        rc = kind->make(&imports[i]);
        if (rc) return import_say(&imports[i], rc);
    }
    rc = luge_commit(c->txn);
    c->txn = NULL;
    if (rc) return say_error(rc);
    for (int i = 0; i < c->count - 2; i++) import_print(&imports[i]);
    return EXIT_DONE;
}

int verb_import(struct call *c)
{
    const struct import_kind *kind = kind_of(c->arguments[0].data);
    struct import *imports;
    unsigned durability;
    int code = call_durability(c, &durability);

    if (code) return code;
    if (!kind)
        return say_usage(c->verb, "there is no kind '%s'",
                         (const char *)c->arguments[0].data);
    if (call_has(c, OPTION_AUTHOR) && kind != &import_midi)
        return say_usage(c->verb, "--author is for midi: what %s has, tells "
                         "who said it", kind->name);
    if (c->count > 3 && !kind->several)
        return say_usage(c->verb, "one file at a time");
    for (int i = 2; i < c->count; i++)
        if (!strcmp(c->arguments[i].data, "-") && !call_has(c, OPTION_PATH))
            return say_usage(c->verb, "standard input has no name; give the "
                             "conversation's with --path");
    imports = calloc((size_t)c->count, sizeof(*imports));
    if (!imports) return say_error(LUGE_NOMEM);
    code = imports_read(c, kind, imports);
    if (!code) code = imports_make(c, kind, imports, durability);
    for (int i = 0; i < c->count; i++) kind->free(&imports[i]);
    free(imports);
    return code;
}
