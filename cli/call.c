/* cli/call.c -- what every verb does with its call: open, find the tree, say
 * what went wrong, end.
 *
 *     parsed --call_open--> open --call_read--> reading --call_end--> ended
 * Errors are said once, here, as "luge: NAME: sentence".
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "luge_history.h"

/* --------------------------------------------------- what is not data -- */

static const char *error_name(int rc)
{
    switch (rc) {
#define X(name, value, text) \
    case value: return #name;
        LUGE_ERRORS(X)
#undef X
    default: return "ERROR";
    }
}

int say_error(int rc)
{
    const struct luge_error *last = luge_last_error();
    bool known = last->code == rc && last->text[0];

    /* A sentence may quote what was in a file. */
    fprintf(stderr, "luge: %s: ", error_name(rc));
    print_bytes_to(stderr, luge_str(known ? last->text : luge_error_text(rc)));
    fputc('\n', stderr);
    return EXIT_ERROR;
}

int say_no(int rc)
{
    say_error(rc);
    /* In a state of the past even "main" may not be there yet. */
    return rc == LUGE_NOTFOUND || rc == LUGE_NOTREE ? EXIT_NO : EXIT_ERROR;
}

int say_usage(const struct verb *verb, const char *format, ...)
{
    va_list list;

    fprintf(stderr, "luge: %s%s", verb ? verb->name : "", verb ? ": " : "");
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    help_usage(stderr, verb);
    return EXIT_USAGE;
}

/* --------------------------------------------- arguments and options -- */

int call_input(struct call *c, FILE *file, size_t size_max, luge_bytes *bytes)
{
    size_t size = 0, room = 1 << 16;

    c->input = malloc(room);
    while (c->input) {
        size += fread(c->input + size, 1, room - size, file);
        if (size < room) break;
        if (size > size_max) return LUGE_TOOBIG;
        char *larger = realloc(c->input, room *= 2);
        if (!larger) free(c->input);
        c->input = larger;
    }
    if (!c->input) return LUGE_NOMEM;
    *bytes = luge_bytes_of(c->input, size);
    return ferror(file) ? LUGE_IO : 0;
}

const char *call_text(const struct call *c, int argument)
{
    return argument < c->count ? c->arguments[argument].data : NULL;
}

bool call_has(const struct call *c, enum option_number option)
{
    return c->options[option] != NULL;
}

int call_number(const struct call *c, enum option_number option,
                uint64_t otherwise, uint64_t *number)
{
    const char *text = c->options[option];
    char *end;

    *number = otherwise;
    if (!text) return 0;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno)
        return say_usage(c->verb, "--%s wants a number, not '%s'",
                         options[option].name, text);
    return 0;
}

int call_time(const struct call *c, enum option_number option,
              uint64_t *time_ns)
{
    const char *text = c->options[option];

    if (!text || time_parse(text, time_ns)) return 0;
    return say_usage(c->verb, "--%s wants a time, not '%s'",
                     options[option].name, text);
}

int call_durability(const struct call *c, unsigned *begin_flags)
{
    const char *text = c->options[OPTION_DURABILITY];

    *begin_flags = 0;
    if (!text) return 0;
    if (!strcmp(text, "full"))
        *begin_flags = LUGE_TXN_FULL;
    else if (!strcmp(text, "async"))
        *begin_flags = LUGE_TXN_ASYNC;
    else
        return say_usage(c->verb, "--durability is full or async, not '%s'",
                         text);
    return 0;
}

int call_now(const struct call *c)
{
    if (!call_has(c, OPTION_AT)) return 0;
    return say_usage(c->verb, "--at is for looking: the past does not change");
}

int call_at(const struct call *c, uint64_t *seq, uint64_t *time_ns)
{
    const char *text = c->options[OPTION_AT];
    char *end;

    *seq = *time_ns = 0;
    if (!text) return 0;
    errno = 0;
    *seq = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && *seq) return 0;
    *seq = 0;
    if (!strcmp(text, "end")) *seq = UINT64_MAX;
    else if (!time_parse(text, time_ns))
        return say_usage(c->verb, "--at wants the number of a transaction, a "
                         "time like 2026-11-21T07:30:54Z, or end; not '%s'",
                         text);
    return 0;
}

/* ------------------------------------------------- database and tree -- */

int call_open(struct call *c, unsigned open_flags)
{
    struct luge_options how = {.flags = open_flags};
    int rc = luge_open(call_text(c, 0), &how, &c->db);

    return rc ? say_error(rc) : 0;
}

/* A luge code, not an exit code: it also serves inside luge_transact. */
int call_tree(struct call *c, unsigned flags, luge_tree *tree)
{
    const char *name = c->options[OPTION_TREE];

    const char *snapshot = c->options[OPTION_SNAPSHOT];

    *tree = LUGE_MAIN;
    if (snapshot)
        return luge_snapshot_open(c->txn, luge_str(snapshot),
                                  luge_str(name ? name : "main"), tree);
    if (!name) return 0;
    return luge_tree_open(c->txn, luge_str(name), flags, tree);
}

int call_seq(const struct call *c, uint64_t *seq)
{
    uint64_t time_ns;
    int code = call_at(c, seq, &time_ns);

    if (code || !time_ns) return code;
    int rc = luge_seq_at(c->db, time_ns, seq);
    return rc ? say_no(rc) : 0;
}

int call_read(struct call *c, luge_tree *tree)
{
    uint64_t seq = 0;
    int rc, code = call_open(c, LUGE_READ_ONLY | LUGE_MUST_EXIST);

    if (!code) code = call_seq(c, &seq);
    if (code) return code;
    if (!seq || seq == UINT64_MAX)
        rc = luge_begin(c->db, LUGE_READ, &c->txn);
    else
        rc = luge_begin_at(c->db, seq, &c->txn);
    if (rc) return say_no(rc);
    rc = call_tree(c, 0, tree);
    return rc ? say_no(rc) : 0;
}

/* Release what the call holds.  CODE, or EXIT_ERROR if even that failed. */
int call_end(struct call *c, int code)
{
    int rc;

    luge_abort(c->txn);
    rc = luge_close(c->db);
    if (rc) code = say_error(rc);
    free(c->input);
    return print_end(code);
}
