/* cli/diff.c -- the verbs that compare: diff merge.
 *
 * Both take trees, or paths with trees under them: a side is a path and perhaps
 * a snapshot, and its trees are known by the rest of their names.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "luge_history.h"

/* --------------------------------------------------------------- sides -- */

struct side {
    luge_bytes path, snapshot;      /* snapshot.size 0: now */
    uint64_t seq;                   /* 0: now */
    luge_txn *then;                 /* the state behind it */
};

struct rests {                      /* names without the path, ascending */
    luge_bytes *names;
    size_t count, capacity;
};

static void rests_free(struct rests *r)
{
    for (size_t i = 0; i < r->count; i++)
        free((void *)(uintptr_t)r->names[i].data);
    free(r->names);
}

static int rests_add(struct rests *r, luge_bytes name)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 16;
        luge_bytes *more = realloc(r->names, capacity * sizeof(*more));
        if (!more) return LUGE_NOMEM;
        r->names = more;
        r->capacity = capacity;
    }
    char *copy = malloc(name.size + 1);
    if (!copy) return LUGE_NOMEM;
    if (name.size) memcpy(copy, name.data, name.size);
    r->names[r->count++] = luge_bytes_of(copy, name.size);
    return 0;
}

static luge_bytes without_slashes(luge_bytes path)
{
    const char *bytes = path.data;

    while (path.size && bytes[path.size - 1] == '/') path.size--;
    return path;
}

/* PATH, or PATH@SNAPSHOT if there is a snapshot of that name. */
static void side_of(luge_txn *txn, luge_bytes text, struct side *side)
{
    const char *bytes = text.data;
    luge_bytes name;
    size_t at = text.size;

    *side = (struct side){.path = without_slashes(text), .snapshot = {"", 0}};
    while (at && bytes[at - 1] != '@') at--;
    if (!at || at == text.size) return;
    luge_bytes snapshot = luge_bytes_of(bytes + at, text.size - at);
    int rc = luge_snapshot_tree_after(txn, snapshot, luge_bytes_of("", 0),
                                      &name);
    if (rc) return;
    side->path = without_slashes(luge_bytes_of(bytes, at - 1));
    side->snapshot = snapshot;
}

static int tree_after(luge_txn *txn, const struct side *side, luge_bytes after,
                      luge_bytes *name)
{
    luge_tree tree;

    if (side->snapshot.size)
        return luge_snapshot_tree_after(txn, side->snapshot, after, name);
    return luge_tree_after(side->then ? side->then : txn, after, name, &tree);
}

/* Is NAME at or under the path?  *rest: what follows the path. */
static bool under(const struct side *side, luge_bytes name, luge_bytes *rest)
{
    size_t size = side->path.size;
    const char *bytes = name.data;

    if (name.size < size || memcmp(bytes, side->path.data, size)) return false;
    *rest = luge_bytes_of(bytes + size, name.size - size);
    return !rest->size || bytes[size] == '/';
}

static int list(luge_txn *txn, const struct side *side, struct rests *rests)
{
    char last[LUGE_NAME_SIZE_MAX];
    luge_bytes name = {"", 0}, rest;
    int rc;

    while ((rc = tree_after(txn, side, name, &name)) == 0) {
        memcpy(last, name.data, name.size);
        name = luge_bytes_of(last, name.size);
        if (under(side, name, &rest)) rc = rests_add(rests, rest);
        if (rc) return rc;
    }
    if (rc != LUGE_NOTFOUND) return rc;
    if (rests->count) return 0;
    return luge_fail(LUGE_NOTFOUND, __FILE__, __LINE__,
                     "there is no tree at or under \"%.*s\"",
                     (int)side->path.size, (const char *)side->path.data);
}

static int open_rest(luge_txn *txn, const struct side *side, luge_bytes rest,
                     luge_tree *tree)
{
    char name[2 * LUGE_NAME_SIZE_MAX];
    luge_bytes whole = {name, side->path.size + rest.size};

    if (whole.size > LUGE_NAME_SIZE_MAX) return LUGE_NOTFOUND;
    memcpy(name, side->path.data, side->path.size);
    if (rest.size) memcpy(name + side->path.size, rest.data, rest.size);
    if (side->snapshot.size)
        return luge_snapshot_open(txn, side->snapshot, whole, tree);
    if (side->seq) return luge_past_open(txn, side->seq, whole, tree);
    return luge_tree_open(txn, whole, 0, tree);
}

static int compare(luge_bytes a, luge_bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* ---------------------------------------------------------------- diff -- */

struct diff {
    const struct call *call;
    luge_bytes rest;
    bool named;                 /* the tree's line was printed, or needs not */
    uint64_t differences;
};

static void set(json_t *object, const char *name, const luge_bytes *value)
{
    if (object && value)
        json_object_set_new(object, name, json_of_bytes(*value));
}

static void print_difference_json(const struct diff *d, luge_bytes key,
                                  const luge_bytes *before,
                                  const luge_bytes *after)
{
    json_t *object = json_object();

    if (d->rest.size) set(object, "tree", &d->rest);
    set(object, "key", &key);
    set(object, "before", before);
    set(object, "after", after);
    print_json(object);
}

static int print_difference(void *context, luge_bytes key,
                            const luge_bytes *before, const luge_bytes *after)
{
    struct diff *d = context;

    d->differences++;
    if (call_has(d->call, OPTION_JSON)) {
        print_difference_json(d, key, before, after);
        return 0;
    }
    if (!d->named) {
        fputs("@\t", stdout);
        print_bytes(d->rest);
        fputc('\n', stdout);
        d->named = true;
    }
    fputs(!before ? "+\t" : !after ? "-\t" : "~\t", stdout);
    print_bytes(key);
    if (before) {
        fputc('\t', stdout);
        print_bytes(*before);
    }
    if (after) {
        fputc('\t', stdout);
        print_bytes(*after);
    }
    fputc('\n', stdout);
    return 0;
}

/* A tree that only one side has: all its pairs. */
static int print_whole(struct diff *d, luge_tree tree, bool is_before)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    int rc = luge_cursor_open(d->call->txn, tree, &cursor);

    if (rc) return rc;
    while ((rc = luge_cursor_next(cursor, &key, &value)) == 0)
        (void)print_difference(d, key, is_before ? &value : NULL,
                               is_before ? NULL : &value);
    luge_cursor_close(cursor);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int diff_tree(struct diff *d, const struct side *a, bool in_a,
                     const struct side *b, bool in_b)
{
    luge_txn *txn = d->call->txn;
    luge_tree before, after;
    int rc = in_a ? open_rest(txn, a, d->rest, &before) : 0;

    if (!rc && in_b) rc = open_rest(txn, b, d->rest, &after);
    d->named = !d->rest.size;
    if (rc) return rc;
    if (in_a && in_b)
        return luge_diff(txn, before, after, print_difference, d);
    return print_whole(d, in_a ? before : after, in_a);
}

static int diff_sides(struct diff *d, const struct side *a,
                      const struct rests *of_a, const struct side *b,
                      const struct rests *of_b)
{
    int rc = 0;

    for (size_t i = 0, k = 0; !rc && (i < of_a->count || k < of_b->count);) {
        int order = i == of_a->count ? 1
                    : k == of_b->count
                        ? -1 : compare(of_a->names[i], of_b->names[k]);
        d->rest = order <= 0 ? of_a->names[i] : of_b->names[k];
        rc = diff_tree(d, a, order <= 0, b, order >= 0);
        i += order <= 0;
        k += order >= 0;
    }
    return rc;
}

/* Both sides are read in one transaction of now. */
static int diff_begin(struct call *c, struct side *a, struct side *b)
{
    uint64_t seq = 0;
    int rc, code = call_open(c, LUGE_READ_ONLY | LUGE_MUST_EXIST);

    if (!code) code = call_seq(c, &seq);
    if (code) return code;
    rc = luge_begin(c->db, LUGE_READ, &c->txn);
    if (rc) return say_error(rc);
    side_of(c->txn, c->arguments[1], a);
    side_of(c->txn, c->arguments[2], b);
    if (!seq || seq == UINT64_MAX) return 0;
    a->seq = seq;
    rc = luge_begin_at(c->db, seq, &a->then);
    return rc ? say_no(rc) : 0;
}

int verb_diff(struct call *c)
{
    struct rests of_a = {0}, of_b = {0};
    struct diff d = {.call = c};
    struct side a, b;
    int rc, code = diff_begin(c, &a, &b);

    if (code) return code;
    rc = list(c->txn, &a, &of_a);
    if (!rc) rc = list(c->txn, &b, &of_b);
    if (!rc) rc = diff_sides(&d, &a, &of_a, &b, &of_b);
    rests_free(&of_a);
    rests_free(&of_b);
    luge_abort(a.then);
    if (rc) return say_error(rc);
    return d.differences ? EXIT_NO : EXIT_DONE;
}

/* --------------------------------------------------------------- merge -- */

struct merge {
    const struct call *call;
    struct luge_merge_options options;
    struct luge_merge_result total;
    luge_bytes rest;
    struct side from, into, base;
    bool has_base;
    FILE *conflicts;            /* in memory: nobody else may commit, and who
                                   reads standard output may be slow */
};

/* Note a conflict; the policy settles it. */
static int print_conflict(void *context, luge_bytes key,
                          const luge_bytes *base, const luge_bytes *ours,
                          const luge_bytes *theirs, luge_bytes *result)
{
    const struct merge *m = context;

    (void)result;
    if (call_has(m->call, OPTION_JSON)) {
        json_t *object = json_object();
        if (m->rest.size) set(object, "tree", &m->rest);
        set(object, "conflict", &key);
        set(object, "base", base);
        set(object, "ours", ours);
        set(object, "theirs", theirs);
        print_json_to(m->conflicts, object);
        return 3;
    }
    fputs("conflict\t", m->conflicts);
    print_bytes_to(m->conflicts, m->rest);
    fputc('\t', m->conflicts);
    print_bytes_to(m->conflicts, key);
    fputc('\n', m->conflicts);
    return 3;
}

static int parse_policy(const struct call *c, struct luge_merge_options *o)
{
    static const char *const names[] = {"fail", "ours", "theirs", "newer"};
    const char *text = c->options[OPTION_POLICY];
    char *end;

    if (!text) return 0;
    for (int i = 0; i < 4; i++) {
        size_t size = strlen(names[i]);
        if (strncmp(text, names[i], size)) continue;
        o->policy = i;
        if (!text[size]) return 0;
        if (o->policy != LUGE_MERGE_NEWER || text[size] != ':') break;
        unsigned long at = strtoul(text + size + 1, &end, 10);
        if (end == text + size + 1 || *end || at > UINT32_MAX) break;
        o->newer_at = (uint32_t)at;
        return 0;
    }
    return say_usage(c->verb, "--policy is fail, ours, theirs, newer or "
                     "newer:BYTE, not '%s'", text);
}

/* What is new in FROM becomes a fork of it under INTO. */
static int bring_tree(struct merge *m)
{
    char from[2 * LUGE_NAME_SIZE_MAX], into[2 * LUGE_NAME_SIZE_MAX];
    luge_bytes old = {from, m->from.path.size + m->rest.size};
    luge_bytes new = {into, m->into.path.size + m->rest.size};

    if (old.size > LUGE_NAME_SIZE_MAX || new.size > LUGE_NAME_SIZE_MAX)
        return luge_fail(LUGE_TOOBIG, __FILE__, __LINE__, "a tree's name of "
                         "%zu bytes; %u are allowed",
                         old.size > new.size ? old.size : new.size,
                         LUGE_NAME_SIZE_MAX);
    memcpy(from, m->from.path.data, m->from.path.size);
    memcpy(into, m->into.path.data, m->into.path.size);
    if (m->rest.size) {
        memcpy(from + m->from.path.size, m->rest.data, m->rest.size);
        memcpy(into + m->into.path.size, m->rest.data, m->rest.size);
    }
    if (m->from.snapshot.size)
        return luge_fork_snapshot(m->call->txn, m->from.snapshot, old, new,
                                  NULL);
    return luge_fork(m->call->txn, old, new, NULL);
}

static int merge_tree(struct merge *m)
{
    luge_txn *txn = m->call->txn;
    struct luge_merge_result one = {0};
    luge_tree from, into, base = 0;
    int rc = open_rest(txn, &m->from, m->rest, &from);

    if (!rc) rc = open_rest(txn, &m->into, m->rest, &into);
    if (rc == LUGE_NOTFOUND) return bring_tree(m);
    if (!rc && m->has_base) rc = open_rest(txn, &m->base, m->rest, &base);
    if (!rc) rc = luge_merge(txn, from, into, base, &m->options, &one);
    m->total.changes += one.changes;
    m->total.conflicts += one.conflicts;
    m->total.unsettled += one.unsettled;
    return rc == LUGE_MISMATCH && one.unsettled ? 0 : rc;
}

static int merge_all(struct call *c, struct merge *m)
{
    struct rests rests = {0};
    int rc;

    m->has_base = call_has(c, OPTION_BASE);
    side_of(c->txn, c->arguments[1], &m->from);
    m->into = (struct side){.path = without_slashes(c->arguments[2])};
    if (m->has_base)
        side_of(c->txn, luge_str(c->options[OPTION_BASE]), &m->base);
    rc = list(c->txn, &m->from, &rests);
    for (size_t i = 0; i < rests.count && !rc; i++) {
        m->rest = rests.names[i];
        rc = merge_tree(m);
    }
    rests_free(&rests);
    return rc;
}

static void print_result(const struct call *c,
                         const struct luge_merge_result *r)
{
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:o, s:o, s:o}", "changes",
                             json_of_count(r->changes), "conflicts",
                             json_of_count(r->conflicts), "unsettled",
                             json_of_count(r->unsettled)));
    else
        printf("changes %llu, conflicts %llu, unsettled %llu\n",
               (unsigned long long)r->changes,
               (unsigned long long)r->conflicts,
               (unsigned long long)r->unsettled);
}

/* With the turn, so once.  *unsettled: conflicts are, and nothing was done. */
static int merge_now(struct call *c, struct merge *m, unsigned flags,
                     bool *unsettled)
{
    int rc = luge_begin(c->db, LUGE_TURN | flags, &c->txn);

    if (!rc) rc = merge_all(c, m);
    if (!rc && (fflush(m->conflicts) || ferror(m->conflicts))) rc = LUGE_NOMEM;
    *unsettled = !rc && m->total.unsettled;
    luge_txn *txn = c->txn;
    c->txn = NULL;
    if (!rc && !*unsettled) return luge_commit(txn);
    luge_abort(txn);
    return rc;
}

int verb_merge(struct call *c)
{
    struct merge m = {.call = c};
    char *text = NULL;
    size_t size = 0;
    bool unsettled;
    unsigned flags;
    int rc, code = call_durability(c, &flags);

    m.options.settle = print_conflict;
    m.options.context = &m;
    if (!code) code = parse_policy(c, &m.options);
    if (!code) code = call_open(c, LUGE_MUST_EXIST);
    if (code) return code;
    m.conflicts = open_memstream(&text, &size);
    if (!m.conflicts) return say_error(LUGE_NOMEM);
    rc = merge_now(c, &m, flags, &unsettled);
    (void)fclose(m.conflicts);
    fwrite(text, 1, size, stdout);
    free(text);
    if (rc) return say_no(rc);
    print_result(c, &m.total);
    return unsettled ? EXIT_NO : EXIT_DONE;
}
