/* cli/keys.c -- the verbs for keys and values: put get del scan trees. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* ------------------------------------------------------------- writing -- */

static int print_commit(const struct call *c)
{
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:o}", "seq",
                             json_of_count(luge_committed_seq(c->db))));
    return EXIT_DONE;
}

/* Run FN as a transaction of its own; NOTFOUND is the answer "no". */
static int write_alone(struct call *c, unsigned open_flags,
                       int (*fn)(luge_txn *txn, void *call))
{
    unsigned begin_flags;
    int code = call_durability(c, &begin_flags);

    if (!code) code = call_open(c, open_flags);
    if (code) return code;
    int rc = luge_transact(c->db, begin_flags, fn, c);
    c->txn = NULL; /* it ended with luge_transact */
    return rc ? say_no(rc) : print_commit(c);
}

static int put_in(luge_txn *txn, void *call)
{
    struct call *c = call;
    luge_tree tree;
    int rc;

    c->txn = txn;
    rc = call_tree(c, LUGE_TREE_CREATE, &tree);
    if (rc) return rc;
    return luge_put(txn, tree, c->arguments[1], c->arguments[2]);
}

int verb_put(struct call *c)
{
    return write_alone(c, 0, put_in);
}

static int del_in(luge_txn *txn, void *call)
{
    struct call *c = call;
    luge_tree tree;
    int rc;

    c->txn = txn;
    rc = call_tree(c, 0, &tree);
    return rc ? rc : luge_del(txn, tree, c->arguments[1]);
}

int verb_del(struct call *c)
{
    return write_alone(c, LUGE_MUST_EXIST, del_in);
}

/* ------------------------------------------------------------- reading -- */

static void print_pair_json(luge_bytes key, const luge_bytes *value)
{
    json_t *pair = json_pack("{s:o}", "key", json_of_bytes(key));

    if (pair && value &&
        json_object_set_new(pair, "value", json_of_bytes(*value))) {
        json_decref(pair);
        pair = NULL;
    }
    print_json(pair);
}

int verb_get(struct call *c)
{
    luge_bytes value;
    luge_tree tree;
    int rc, code = call_read(c, &tree);

    if (code) return code;
    rc = luge_get(c->txn, tree, c->arguments[1], &value);
    if (rc) return say_no(rc);
    if (call_has(c, OPTION_JSON)) {
        print_pair_json(c->arguments[1], &value);
    } else {
        fwrite(value.data, 1, value.size, stdout);
        if (isatty(STDOUT_FILENO)) fputc('\n', stdout);
    }
    return EXIT_DONE;
}

/* What of the tree the options ask for. */
static int scan_bounds(const struct call *c, luge_cursor *cursor)
{
    const char *prefix = c->options[OPTION_PREFIX];
    const char *from = c->options[OPTION_FROM], *to = c->options[OPTION_TO];
    luge_bytes first = luge_str(from ? from : ""), end = luge_str(to ? to : "");

    if (prefix) return luge_cursor_prefix(cursor, luge_str(prefix));
    return luge_cursor_range(cursor, from ? &first : NULL, to ? &end : NULL);
}

static void scan_print(const struct call *c, luge_bytes key, luge_bytes value)
{
    bool keys = call_has(c, OPTION_KEYS);

    if (call_has(c, OPTION_JSON)) {
        print_pair_json(key, keys ? NULL : &value);
        return;
    }
    print_bytes(key);
    if (!keys) {
        fputc('\t', stdout);
        print_bytes(value);
    }
    fputc('\n', stdout);
}

static int scan(const struct call *c, luge_cursor *cursor, uint64_t limit)
{
    bool reverse = call_has(c, OPTION_REVERSE);
    luge_bytes key, value;
    int rc = scan_bounds(c, cursor);

    for (uint64_t n = 0; !rc && n < limit && !ferror(stdout); n++) {
        rc = reverse ? luge_cursor_prev(cursor, &key, &value)
                     : luge_cursor_next(cursor, &key, &value);
        if (!rc) scan_print(c, key, value);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int verb_scan(struct call *c)
{
    luge_cursor *cursor;
    luge_tree tree;
    uint64_t limit;
    int rc, code = call_number(c, OPTION_LIMIT, UINT64_MAX, &limit);

    if (call_has(c, OPTION_PREFIX) &&
        (call_has(c, OPTION_FROM) || call_has(c, OPTION_TO)))
        return say_usage(c->verb, "--prefix goes without --from and --to");
    if (!code) code = call_read(c, &tree);
    if (code) return code;
    rc = luge_cursor_open(c->txn, tree, &cursor);
    if (rc) return say_error(rc);
    rc = scan(c, cursor, limit);
    luge_cursor_close(cursor);
    return rc ? say_error(rc) : EXIT_DONE;
}

static void print_tree(const struct call *c, luge_bytes name, uint64_t count)
{
    if (call_has(c, OPTION_JSON)) {
        print_json(json_pack("{s:o, s:o}", "name", json_of_bytes(name), "count",
                             json_of_count(count)));
        return;
    }
    print_bytes(name);
    printf("\t%llu\n", (unsigned long long)count);
}

int verb_trees(struct call *c)
{
    char last[LUGE_NAME_SIZE_MAX];
    luge_bytes name, after = {NULL, 0};
    luge_tree tree;
    int rc, code = call_read(c, &tree);

    if (code) return code;
    while ((rc = luge_tree_after(c->txn, after, &name, &tree)) == 0) {
        uint64_t count;
        rc = luge_tree_count(c->txn, tree, &count);
        if (rc) return say_error(rc);
        print_tree(c, name, count);
        if (name.size > sizeof(last)) return say_error(LUGE_CORRUPT);
        memcpy(last, name.data, name.size);
        after = luge_bytes_of(last, name.size);
    }
    return rc == LUGE_NOTFOUND ? EXIT_DONE : say_error(rc);
}
