/* cli/fork.c -- the verbs for forks and snapshots: fork drop snapshot
 * snapshots.  Not here: what differs between them (diff.c). */
#include <string.h>

#include "cli.h"

/* ------------------------------------------------------- fork and drop -- */

static int print_trees(const struct call *c, uint64_t trees)
{
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:o, s:o}", "trees", json_of_count(trees), "seq",
                             json_of_count(luge_committed_seq(c->db))));
    else
        printf("%llu\n", (unsigned long long)trees);
    return EXIT_DONE;
}

/* A call in a transaction of its own. */
struct change {
    struct call *call;
    uint64_t trees;
};

static int run_change(struct call *c,
                      int (*fn)(luge_txn *txn, void *change),
                      struct change *change)
{
    unsigned flags;
    int code = call_durability(c, &flags);

    change->call = c;
    if (!code) code = call_open(c, LUGE_MUST_EXIST);
    if (code) return code;
    int rc = luge_transact(c->db, flags, fn, change);
    return rc ? say_no(rc) : EXIT_DONE;
}

static int fork_in(luge_txn *txn, void *context)
{
    struct change *change = context;
    const struct call *c = change->call;
    const char *snapshot = c->options[OPTION_SNAPSHOT];

    if (snapshot)
        return luge_fork_snapshot(txn, luge_str(snapshot), c->arguments[1],
                                  c->arguments[2], &change->trees);
    return luge_fork(txn, c->arguments[1], c->arguments[2], &change->trees);
}

int verb_fork(struct call *c)
{
    struct change change = {0};
    int code = run_change(c, fork_in, &change);

    return code ? code : print_trees(c, change.trees);
}

static int drop_in(luge_txn *txn, void *context)
{
    struct change *change = context;

    return luge_drop_path(txn, change->call->arguments[1], &change->trees);
}

int verb_drop(struct call *c)
{
    struct change change = {0};
    int code = run_change(c, drop_in, &change);

    return code ? code : print_trees(c, change.trees);
}

/* ----------------------------------------------------------- snapshots -- */

static int snapshot_in(luge_txn *txn, void *context)
{
    const struct change *change = context;
    const struct call *c = change->call;
    luge_bytes path = c->count > 2 ? c->arguments[2] : luge_str("");

    return luge_snapshot(txn, path, c->arguments[1]);
}

int verb_snapshot(struct call *c)
{
    struct change change = {0};
    int code = run_change(c, snapshot_in, &change);

    if (!code && call_has(c, OPTION_JSON))
        print_json(json_pack("{s:o}", "seq",
                             json_of_count(luge_committed_seq(c->db))));
    return code;
}

static void print_snapshot(const struct call *c,
                           const struct luge_snapshot_info *info,
                           const struct luge_snapshot_size *size)
{
    uint64_t seconds = info->age_ns / 1000000000;

    if (call_has(c, OPTION_JSON)) {
        print_json(json_pack(
            "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
            json_of_bytes(info->name), "path", json_of_bytes(info->path),
            "seq", json_of_count(info->seq), "time_ns",
            json_of_count(info->time_ns), "age_seconds",
            json_of_count(seconds), "trees", json_of_count(size->trees),
            "keys", json_of_count(size->records), "unique_bytes",
            json_of_count(size->unique_bytes)));
        return;
    }
    print_bytes(info->name);
    fputc('\t', stdout);
    print_bytes(info->path);
    printf("\t%llu\t%llu\t%llu\t%llu\t%llu\n", (unsigned long long)info->seq,
           (unsigned long long)seconds, (unsigned long long)size->trees,
           (unsigned long long)size->records,
           (unsigned long long)size->unique_bytes);
}

/* The name goes to LAST before the next call forgets it. */
static int print_next(const struct call *c, luge_bytes after, char *last,
                      luge_bytes *name)
{
    struct luge_snapshot_info info;
    struct luge_snapshot_size size;
    char path[LUGE_NAME_SIZE_MAX];
    int rc = luge_snapshot_after(c->txn, after, &info);

    if (rc) return rc;
    memcpy(last, info.name.data, info.name.size);
    if (info.path.size) memcpy(path, info.path.data, info.path.size);
    *name = info.name = luge_bytes_of(last, info.name.size);
    info.path = luge_bytes_of(path, info.path.size);
    rc = luge_snapshot_measure(c->txn, info.name, &size);
    if (!rc) print_snapshot(c, &info, &size);
    return rc;
}

static int forget_in(luge_txn *txn, void *context)
{
    const struct change *change = context;

    return luge_snapshot_drop(txn,
                              luge_str(change->call->options[OPTION_DROP]));
}

int verb_snapshots(struct call *c)
{
    char last[LUGE_NAME_SIZE_MAX];
    luge_bytes name = {NULL, 0};
    struct change change = {0};
    luge_tree tree;
    int rc, code;

    if (call_has(c, OPTION_DROP)) return run_change(c, forget_in, &change);
    code = call_read(c, &tree);
    if (code) return code;
    while ((rc = print_next(c, name, last, &name)) == 0)
        ;
    return rc == LUGE_NOTFOUND ? EXIT_DONE : say_error(rc);
}
