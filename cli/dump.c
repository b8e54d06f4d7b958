/* cli/dump.c -- the verb dump: a snapshot as a stream, in luge's own format or
 * as JSON Lines.
 *
 *   D1  Progress goes to stderr, once a second; the sum of it at the end.
 * Not here: reading it back (load.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "luge_dump.h"

struct dumping {
    struct call *call;
    struct output to;
    struct progress progress;
};

/* ------------------------------------------------------------ progress -- */

void progress_tell(struct progress *p, uint64_t pairs, uint64_t bytes)
{
    time_t now = time(NULL);

    if (!p->told) p->told = now;
    if (now == p->told) return;
    p->told = now;
    fprintf(stderr, "luge: %s: %" PRIu64 " pairs, %" PRIu64 " MiB\n", p->what,
            pairs, bytes >> 20);
}

void progress_end(const struct progress *p, uint64_t trees, uint64_t pairs,
                  uint64_t bytes)
{
    fprintf(stderr, "luge: %s: done: %" PRIu64 " trees, %" PRIu64 " pairs, %"
            PRIu64 " bytes\n", p->what, trees, pairs, bytes);
}

static int write_out(void *context, const void *data, size_t size)
{
    const struct dumping *d = context;

    return output_write(&d->to, data, size);
}

static int tell(void *context, const struct luge_dump_progress *so_far)
{
    struct dumping *d = context;

    progress_tell(&d->progress, so_far->pairs, so_far->bytes);
    return 0;
}

static int dump_luge(struct dumping *d, struct luge_dump_progress *done)
{
    struct luge_dump_stream stream = {.context = d, .write = write_out,
                                      .progress = tell};

    return luge_dump(d->call->txn, &stream, done);
}

/* ---------------------------------------------------------- JSON Lines -- */

static int dump_line(struct dumping *d, json_t *object,
                     struct luge_dump_progress *done)
{
    char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    if (!line)
        return luge_fail(LUGE_NOMEM, __FILE__, __LINE__, "no memory is left");
    int rc = output_write(&d->to, line, strlen(line));
    if (!rc) rc = output_write(&d->to, "\n", 1);
    done->bytes += strlen(line) + 1;
    free(line);
    return rc;
}

static int dump_tree_lines(struct dumping *d, luge_tree tree, luge_bytes name,
                           struct luge_dump_progress *done)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    int rc = luge_cursor_open(d->call->txn, tree, &cursor);

    if (rc) return rc;
    done->trees++;
    rc = dump_line(d, json_pack("{s:o}", "tree", json_of_bytes(name)),
                   done);
    while (!rc && !(rc = luge_cursor_next(cursor, &key, &value))) {
        rc = dump_line(d, json_pack("{s:o, s:o, s:o}", "tree",
                                    json_of_bytes(name), "key",
                                    json_of_bytes(key), "value",
                                    json_of_bytes(value)), done);
        done->pairs++;
        progress_tell(&d->progress, done->pairs, done->bytes);
    }
    luge_cursor_close(cursor);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int dump_lines(struct dumping *d, struct luge_dump_progress *done)
{
    char copy[LUGE_NAME_SIZE_MAX];
    luge_bytes name = {"", 0};
    luge_tree tree;
    int rc;

    while (!(rc = luge_tree_after(d->call->txn, name, &name, &tree))) {
        memcpy(copy, name.data, name.size);
        name.data = copy;
        if (name.size == 8 && !memcmp(copy, "luge/log", 8)) continue;
        rc = dump_tree_lines(d, tree, name, done);
        if (rc) break;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ---------------------------------------------------------------- verb -- */

static int dump_format(const struct call *c, bool *lines)
{
    const char *format = c->options[OPTION_FORMAT];

    *lines = format && !strcmp(format, "jsonl");
    if (!format || *lines || !strcmp(format, "luge")) return 0;
    return say_usage(c->verb, "--format is luge or jsonl, not '%s'", format);
}

int verb_dump(struct call *c)
{
    const char *path = call_text(c, 1);
    struct dumping d = {.call = c, .progress = {.what = "dump"}};
    struct luge_dump_progress done = {0};
    bool lines;
    luge_tree tree;
    int rc, code = dump_format(c, &lines);

    bool out = !path || !strcmp(path, "-");
    if (!code && out && !lines && isatty(STDOUT_FILENO))
        code = say_usage(c->verb, "a dump is no text; name a FILE, or use "
                         "--format jsonl");
    if (!code) code = call_read(c, &tree);
    if (!code) code = output_open(&d.to, path, "");
    if (code) return code;
    rc = lines ? dump_lines(&d, &done) : dump_luge(&d, &done);
    code = output_close(&d.to, rc ? say_error(rc) : EXIT_DONE);
    if (!code)
        progress_end(&d.progress, done.trees, done.pairs, done.bytes);
    return code;
}
