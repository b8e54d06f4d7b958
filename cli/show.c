/* cli/show.c -- luge show: the records of the models, one JSON object a line.
 * Not here: what a record holds (luge_show.h).
 */
#include "cli.h"
#include "luge_show.h"

static int show_all(const struct call *c, luge_cursor *cursor, uint64_t limit,
                    uint64_t *count)
{
    bool reverse = call_has(c, OPTION_REVERSE);
    luge_bytes key, value;
    char *json;
    int rc = 0;

    for (*count = 0; !rc && *count < limit; ++*count) {
        rc = reverse ? luge_cursor_prev(cursor, &key, &value)
                     : luge_cursor_next(cursor, &key, &value);
        if (!rc) rc = luge_show(c->arguments[1], key, value, &json);
        if (rc) break;
        puts(json);
        luge_show_free(json);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int verb_show(struct call *c)
{
    char space[LUGE_KEY_SIZE_MAX];
    luge_cursor *cursor = NULL;
    luge_bytes prefix;
    luge_tree tree;
    uint64_t limit, count = 0;
    int code = call_number(c, OPTION_LIMIT, UINT64_MAX, &limit);
    int rc = code ? 0 : luge_show_prefix(c->arguments[1], c->arguments + 2,
                                         (size_t)c->count - 2, space, &prefix);

    if (rc == LUGE_INVALID) return say_usage(c->verb, "%s",
                                             luge_last_error()->text);
    if (rc) return say_no(rc);
    if (!code) code = call_read(c, &tree);
    if (code) return code;
    rc = luge_tree_open(c->txn, c->arguments[1], 0, &tree);
    if (!rc) rc = luge_cursor_open(c->txn, tree, &cursor);
    if (rc) return say_no(rc);
    rc = luge_cursor_prefix(cursor, prefix);
    if (!rc) rc = show_all(c, cursor, limit, &count);
    luge_cursor_close(cursor);
    if (rc) return say_error(rc);
    return count || !limit ? EXIT_DONE : EXIT_NO;
}
