/* cli/feed.c -- the verbs that follow what is committed: log consumers
 * retention.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "luge_feed.h"
#include "luge_history.h"

/* ----------------------------------------------------------------- log -- */

struct following {
    struct call *call;
    luge_watch *watch;
    uint64_t left;      /* transactions to print at most */
    bool json;
};

static const char *kind_name(int kind)
{
    static const char *const names[] = {
        [LUGE_CHANGE_PUT] = "put",          [LUGE_CHANGE_DEL] = "del",
        [LUGE_CHANGE_TREE_CREATE] = "create",
        [LUGE_CHANGE_TREE_DROP] = "drop",
        [LUGE_CHANGE_TREE_RENAME] = "rename",
        [LUGE_CHANGE_TREE_CLEAR] = "clear",
        [LUGE_CHANGE_TREE_FORK] = "fork",
        [LUGE_CHANGE_SNAPSHOT] = "snapshot",
        [LUGE_CHANGE_SNAPSHOT_DROP] = "forget",
    };
    bool known = kind > 0 && (size_t)kind < sizeof(names) / sizeof(names[0]);
    return known && names[kind] ? names[kind] : "other";
}

/* A tree that is gone has no name any more: its number, then. */
static luge_bytes tree_name(struct following *f, luge_tree tree, char *space,
                            size_t size)
{
    luge_bytes name;

    if (!luge_watch_tree_name(f->watch, tree, &name)) return name;
    snprintf(space, size, "#%" PRIu64, tree);
    return luge_str(space);
}

static bool is_snapshot(const struct luge_change *c)
{
    return c->kind == LUGE_CHANGE_SNAPSHOT ||
           c->kind == LUGE_CHANGE_SNAPSHOT_DROP;
}

/* What the change is about: a tree's name, or a snapshot's. */
static luge_bytes subject(struct following *f, const struct luge_change *c,
                          char *space, size_t size)
{
    return is_snapshot(c) ? c->key : tree_name(f, c->tree, space, size);
}

/* Where a fork came from: a tree's name, or a snapshot's. */
static luge_bytes fork_source(struct following *f, const struct luge_change *c,
                              char *space, size_t size)
{
    if (c->source) return tree_name(f, c->source, space, size);
    return c->value;
}

static json_t *json_of_change(struct following *f, const struct luge_change *c)
{
    char space[32];
    json_t *object = json_pack("{s:s, s:o}", "kind", kind_name(c->kind),
                               is_snapshot(c) ? "snapshot" : "tree",
                               json_of_bytes(subject(f, c, space,
                                                     sizeof(space))));
    bool pair = c->kind == LUGE_CHANGE_PUT || c->kind == LUGE_CHANGE_DEL;

    if (pair) json_object_set_new(object, "key", json_of_bytes(c->key));
    if (c->kind == LUGE_CHANGE_PUT)
        json_object_set_new(object, "value", json_of_bytes(c->value));
    if (c->kind == LUGE_CHANGE_TREE_RENAME)
        json_object_set_new(object, "old_name", json_of_bytes(c->value));
    if (c->kind == LUGE_CHANGE_SNAPSHOT)
        json_object_set_new(object, "path", json_of_bytes(c->value));
    if (c->kind == LUGE_CHANGE_TREE_FORK)
        json_object_set_new(object, c->source ? "from" : "from_snapshot",
                            json_of_bytes(fork_source(f, c, space,
                                                      sizeof(space))));
    return object;
}

static void print_set_json(struct following *f,
                           const struct luge_change_set *set, const char *when)
{
    json_t *changes = json_array();

    for (size_t i = 0; i < set->count; i++)
        json_array_append_new(changes, json_of_change(f, &set->changes[i]));
    print_json(json_pack("{s:o, s:s, s:o}", "seq", json_of_count(set->seq),
                         "time", when, "changes", changes));
}

static void print_change(struct following *f, uint64_t seq, const char *when,
                         const struct luge_change *c)
{
    char space[32];

    printf("%" PRIu64 "\t%s\t%s\t", seq, when, kind_name(c->kind));
    print_bytes(subject(f, c, space, sizeof(space)));
    if (c->kind <= LUGE_CHANGE_DEL) putchar('\t'), print_bytes(c->key);
    if (c->kind == LUGE_CHANGE_TREE_FORK)
        putchar('\t'), print_bytes(fork_source(f, c, space, sizeof(space)));
    else if (c->value.size || c->kind == LUGE_CHANGE_PUT)
        putchar('\t'), print_bytes(c->value);
    putchar('\n');
}

static void print_set(struct following *f, const struct luge_change_set *set)
{
    char when[64];

    time_text(set->time_ns, when, sizeof(when));
    if (f->json) {
        print_set_json(f, set, when);
        return;
    }
    for (size_t i = 0; i < set->count; i++)
        print_change(f, set->seq, when, &set->changes[i]);
}

/* Wait for more.  TIMEOUT: nobody reads it any more, as is seen soon. */
static int await(struct following *f, const struct luge_change_set **set)
{
    int rc = LUGE_TIMEOUT;

    while (rc == LUGE_TIMEOUT && output_is_read())
        rc = luge_watch_next(f->watch, READER_MS, set);
    return rc;
}

/* Print what there is; with FOLLOW wait for more, for ever. */
static int print_log(struct following *f, bool follow)
{
    const struct luge_change_set *set;
    int rc = 0;

    while (!rc && f->left && !ferror(stdout)) {
        rc = luge_watch_next(f->watch, 0, &set);
        if (rc == LUGE_TIMEOUT && follow) rc = await(f, &set);
        if (rc) break;
        print_set(f, set);
        f->left--;
    }
    return rc;
}

/* Behind the last transaction up to TIME_NS: the first one, if none is so
 * old. */
static int log_since_time(struct call *c, uint64_t time_ns, uint64_t *seq)
{
    int rc = luge_seq_at(c->db, time_ns, seq);

    if (rc == LUGE_NOTFOUND) *seq = 0;
    return rc && rc != LUGE_NOTFOUND ? say_error(rc) : 0;
}

/* Where it begins: behind --since, or with the oldest there is. */
static int log_start(struct call *c, struct luge_watch_options *how)
{
    const char *since = c->options[OPTION_SINCE];
    uint64_t oldest, newest, time_ns;
    int rc = luge_log_span(c->db, &oldest, &newest);

    if (rc) return say_error(rc);
    if (since && !strcmp(since, "end")) return 0;
    how->from = LUGE_FROM_SEQ;
    if (!since || since[strspn(since, "0123456789")] == '\0')
        return call_number(c, OPTION_SINCE, oldest, &how->seq);
    if (time_parse(since, &time_ns))
        return log_since_time(c, time_ns, &how->seq);
    return say_usage(c->verb, "--since wants the number of a transaction, a "
                     "time like 2026-11-21T07:30:54Z, or end; not '%s'",
                     since);
}

static int log_tree(struct call *c, struct luge_watch_options *how)
{
    int rc;

    if (!call_has(c, OPTION_TREE)) return 0;
    rc = luge_begin(c->db, LUGE_READ, &c->txn);
    if (rc) return say_error(rc);
    rc = call_tree(c, 0, &how->tree);
    luge_abort(c->txn);
    c->txn = NULL;
    return rc ? say_no(rc) : 0;
}

int verb_log(struct call *c)
{
    struct following f = {.call = c, .json = call_has(c, OPTION_JSON)};
    struct luge_watch_options how = {0};
    const char *prefix = c->options[OPTION_PREFIX];
    int rc, code = call_number(c, OPTION_LIMIT, UINT64_MAX, &f.left);

    if (!code) code = call_open(c, LUGE_READ_ONLY | LUGE_MUST_EXIST);
    if (!code) code = log_start(c, &how);
    if (!code) code = log_tree(c, &how);
    if (code) return code;
    if (prefix) how.prefix = luge_str(prefix);
    rc = luge_watch_open(c->db, &how, &f.watch);
    if (rc) return say_error(rc);
    rc = print_log(&f, call_has(c, OPTION_FOLLOW));
    luge_watch_close(f.watch);
    return rc && rc != LUGE_TIMEOUT ? say_error(rc) : EXIT_DONE;
}

/* ----------------------------------------------------------- consumers -- */

static void print_consumer(const struct call *c,
                           const struct luge_consumer *consumer)
{
    char when[64];

    time_text(consumer->acked_ns, when, sizeof(when));
    if (call_has(c, OPTION_JSON)) {
        print_json(json_pack("{s:o, s:o, s:o, s:s, s:b}", "name",
                             json_of_bytes(consumer->name), "seq",
                             json_of_count(consumer->seq), "lag",
                             json_of_count(consumer->lag), "acknowledged",
                             when, "expired", consumer->expired));
        return;
    }
    print_bytes(consumer->name);
    printf("\t%" PRIu64 "\t%" PRIu64 "\t%s%s\n", consumer->seq, consumer->lag,
           when, consumer->expired ? "\texpired" : "");
}

static int drop_in(luge_txn *txn, void *call)
{
    const struct call *c = call;

    return luge_consumer_drop(txn, luge_str(c->options[OPTION_DROP]));
}

static int drop_consumer(struct call *c)
{
    int rc, code = call_open(c, LUGE_MUST_EXIST);

    if (code) return code;
    rc = luge_transact(c->db, 0, drop_in, c);
    return rc ? say_no(rc) : EXIT_DONE;
}

int verb_consumers(struct call *c)
{
    struct luge_consumer consumer = {.name = {"", 0}};
    char name[LUGE_CONSUMER_NAME_MAX];
    luge_tree tree;
    int rc, code;

    if (call_has(c, OPTION_DROP)) return drop_consumer(c);
    code = call_read(c, &tree);
    if (code) return code;
    while (!(rc = luge_consumer_after(c->txn, consumer.name, &consumer))) {
        print_consumer(c, &consumer);
        memcpy(name, consumer.name.data, consumer.name.size);
        consumer.name.data = name;
    }
    return rc == LUGE_NOTFOUND ? EXIT_DONE : say_error(rc);
}

/* ----------------------------------------------------------- retention -- */

struct retaining {
    const struct call *call;
    int code;
};

static int parse_archive(const struct call *c, unsigned *flags)
{
    const char *archive = c->options[OPTION_ARCHIVE];

    if (!archive) return 0;
    *flags = strcmp(archive, "on") ? 0 : LUGE_KEEP_ALL;
    if (*flags || !strcmp(archive, "off")) return 0;
    return say_usage(c->verb, "--archive is on or off, not '%s'", archive);
}

/* What is not named stays as it is. */
static int retain_in(luge_txn *txn, void *context)
{
    struct retaining *r = context;
    struct luge_retention now;
    int rc = luge_retention_get(txn, &now), code;

    if (rc) return rc;
    code = parse_archive(r->call, &now.flags);
    if (!code)
        code = call_number(r->call, OPTION_BYTES, now.keep_bytes,
                           &now.keep_bytes);
    if (!code)
        code = call_number(r->call, OPTION_SECONDS, now.keep_seconds,
                           &now.keep_seconds);
    if (!code)
        code = call_number(r->call, OPTION_HOLD, now.hold_bytes,
                           &now.hold_bytes);
    r->code = code;
    return code ? LUGE_INVALID : luge_retention_set(txn, &now);
}

static int set_retention(struct call *c)
{
    struct retaining r = {.call = c};
    int rc, code = call_open(c, LUGE_MUST_EXIST);

    if (code) return code;
    rc = luge_transact(c->db, 0, retain_in, &r);
    if (r.code) return r.code;
    return rc ? say_error(rc) : EXIT_DONE;
}

static int print_retention(struct call *c)
{
    struct luge_retention now;
    luge_tree tree;
    int rc, code = call_read(c, &tree);

    if (code) return code;
    rc = luge_retention_get(c->txn, &now);
    if (rc) return say_error(rc);
    bool archive = (now.flags & LUGE_KEEP_ALL) != 0;
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:b, s:o, s:o, s:o}", "archive", archive,
                             "bytes", json_of_count(now.keep_bytes),
                             "seconds", json_of_count(now.keep_seconds),
                             "hold", json_of_count(now.hold_bytes)));
    else
        printf("archive\t%s\nbytes\t%" PRIu64 "\nseconds\t%" PRIu64
               "\nhold\t%" PRIu64 "\n", archive ? "on" : "off",
               now.keep_bytes, now.keep_seconds, now.hold_bytes);
    return EXIT_DONE;
}

int verb_retention(struct call *c)
{
    bool sets = call_has(c, OPTION_ARCHIVE) || call_has(c, OPTION_BYTES) ||
                call_has(c, OPTION_SECONDS) || call_has(c, OPTION_HOLD);

    return sets ? set_retention(c) : print_retention(c);
}
