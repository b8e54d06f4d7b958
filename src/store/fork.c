/* store/fork.c -- forks of paths: the public calls.
 *
 * All names are looked up before anything is added, so that EXISTS and INVALID
 * leave the transaction as it was.
 * Not here: what a fork is (txn/lineage.c), snapshots (snapshot.c).
 */
#include "store/fork.h"

/* --------------------------------------------------------------- paths -- */

int store_path(luge_bytes path, bool empty, luge_bytes *plain)
{
    const char *bytes = path.data;
    if (path.size) {
        int rc = store_name_ok(path);
        if (rc) return rc;
    }
    while (path.size && bytes[path.size - 1] == '/') path.size--;
    *plain = path;
    if (path.size || empty) return 0;
    return fail(LUGE_INVALID, "a path is empty");
}

bool store_under(luge_bytes name, luge_bytes path)
{
    const char *bytes = name.data;
    if (!path.size) return true;
    if (name.size < path.size || memcmp(bytes, path.data, path.size))
        return false;
    return name.size == path.size || bytes[path.size] == '/';
}

int store_change(luge_txn *txn, const struct op *op)
{
    struct view *view;
    int rc = txn_add(txn, op);
    return rc ? rc : txn_view(txn, &view);
}

static int writable(luge_txn *txn)
{
    int rc = txn_usable(txn);
    if (rc || txn->writes) return rc;
    return fail(LUGE_READONLY, "a read transaction makes and drops nothing");
}

/* ---------------------------------------------------------------- list -- */

/* Trees to be forked or dropped; the names stand behind one another. */
struct path_list {
    struct path_tree {
        u64 number;
        size_t at, size;            /* of the name */
    } *trees;
    size_t count, capacity;
    struct base_buffer names;
};

static void list_free(struct path_list *list)
{
    base_free(list->trees);
    base_buffer_free(&list->names);
}

static int list_add(struct path_list *list, u64 number, luge_bytes name)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        struct path_tree *more =
            base_realloc(list->trees, capacity * sizeof *more);
        if (!more) return NOMEM();
        list->trees = more;
        list->capacity = capacity;
    }
    list->trees[list->count++] = (struct path_tree){
        number, list->names.size, name.size,
    };
    return base_buffer_add(&list->names, name.data, name.size);
}

static luge_bytes list_name(const struct path_list *list, size_t i)
{
    return luge_bytes_of(list->names.data + list->trees[i].at,
                         list->trees[i].size);
}

/* PATH itself, and PATH/ to PATH0, which follows the slash. */
int store_read_path(luge_txn *txn, luge_bytes path)
{
    u8 low[2 + LUGE_NAME_SIZE_MAX] = "n", high[2 + LUGE_NAME_SIZE_MAX] = "o";
    luge_bytes all = {high, 1};
    if (!txn_validates(txn)) return 0;
    if (!path.size)
        return reads_range(&txn->reads, 0, luge_bytes_of(low, 1), &all, NULL);
    int rc = store_read_name(txn, path);
    if (rc) return rc;
    memcpy(low + 1, path.data, path.size);
    memcpy(high, low, 1 + path.size);
    low[1 + path.size] = '/';
    high[1 + path.size] = '/' + 1;
    luge_bytes to = {high, 2 + path.size};
    return reads_range(&txn->reads, 0, luge_bytes_of(low, 2 + path.size), &to,
                       NULL);
}

static int list_path(luge_txn *txn, luge_bytes path, struct path_list *list)
{
    u8 name[LUGE_NAME_SIZE_MAX];
    size_t size = 0;
    struct view *view;
    u64 number;
    int rc = txn_view(txn, &view);
    if (!rc) rc = store_read_path(txn, path);
    while (!rc && !(rc = lineage_under(view, path, name, &size, &number)))
        rc = list_add(list, number, luge_bytes_of(name, size));
    if (rc && rc != LUGE_NOTFOUND) return rc;
    if (list->count) return 0;
    return fail(LUGE_NOTFOUND, "there is no tree at or under \"%.*s\"",
                (int)path.size, (const char *)path.data);
}

/* ---------------------------------------------------------------- fork -- */

static int target_free(luge_txn *txn, luge_bytes name)
{
    struct view *view;
    u64 taken;
    int rc = store_name_ok(name);
    if (!rc) rc = txn_view(txn, &view);
    if (!rc) rc = store_read_name(txn, name);
    if (!rc) rc = view_number_of(view, name, &taken);
    if (!rc)
        return fail(LUGE_EXISTS, "there is a tree \"%.*s\" already",
                    (int)name.size, (const char *)name.data);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* The new name of what is called PATH + rest; SPACE takes any two names.  Out
 * of everything, the name goes behind a slash. */
static luge_bytes renamed(luge_bytes name, luge_bytes path, luge_bytes to,
                          u8 *space)
{
    size_t slash = path.size ? 0 : 1, rest = name.size - path.size;
    memcpy(space, to.data, to.size);
    if (slash) space[to.size] = '/';
    if (rest)
        memcpy(space + to.size + slash, (const u8 *)name.data + path.size,
               rest);
    return luge_bytes_of(space, to.size + slash + rest);
}

struct fork_plan {
    luge_txn *txn;
    luge_bytes from, to, snapshot;      /* snapshot empty: of trees */
    const struct snapshot_record *record;
    struct path_list list;
};

static int targets_free(struct fork_plan *p)
{
    u8 space[2 * LUGE_NAME_SIZE_MAX + 1];
    int rc = 0;
    for (size_t i = 0; i < p->list.count && !rc; i++)
        rc = target_free(p->txn, renamed(list_name(&p->list, i), p->from,
                                         p->to, space));
    return rc;
}

static int fork_tree(struct fork_plan *p, size_t i, luge_bytes name)
{
    u8 source[2 * VARINT_SIZE_MAX];
    u64 number = p->list.trees[i].number;
    struct view *view;
    struct view_tree *t;
    struct op op = {.kind = OP_FORK, .key = name};
    int rc = store_tree(p->txn, number, &view, &t);
    if (!rc) rc = txn_next_ids(p->txn->env, 1, &op.tree);
    op.value = luge_bytes_of(source, base_put_varint(source, number));
    if (!rc) rc = store_change(p->txn, &op);
    if (!rc && txn_validates(p->txn))
        rc = reads_alias(&p->txn->reads, op.tree, number);
    return rc;
}

static int fork_frozen(struct fork_plan *p, size_t i, luge_bytes name)
{
    u8 source[2 * VARINT_SIZE_MAX + 2 * LUGE_NAME_SIZE_MAX];
    luge_bytes old = list_name(&p->list, i);
    struct op op = {.kind = OP_FORK, .key = name};
    size_t n = base_put_varint(source, 0);
    n += base_put_varint(source + n, p->snapshot.size);
    memcpy(source + n, p->snapshot.data, p->snapshot.size);
    memcpy(source + n + p->snapshot.size, old.data, old.size);
    op.value = luge_bytes_of(source, n + p->snapshot.size + old.size);
    int rc = txn_next_ids(p->txn->env, 1, &op.tree);
    if (!rc) rc = store_change(p->txn, &op);
    return rc ? rc : store_snapshot_alias(p->txn, p->record, op.tree,
                                          p->list.trees[i].number);
}

static int fork_all(struct fork_plan *p, uint64_t *count)
{
    u8 space[2 * LUGE_NAME_SIZE_MAX + 1];
    int rc = targets_free(p);
    for (size_t i = 0; i < p->list.count && !rc; i++) {
        luge_bytes name = renamed(list_name(&p->list, i), p->from, p->to,
                                  space);
        rc = p->snapshot.size ? fork_frozen(p, i, name)
                              : fork_tree(p, i, name);
    }
    if (!rc && count) *count = p->list.count;
    return rc;
}

int luge_fork(luge_txn *txn, luge_bytes from, luge_bytes to, uint64_t *count)
{
    struct fork_plan p = {.txn = txn};
    int rc = writable(txn);
    if (!rc) rc = store_path(from, false, &p.from);
    if (!rc) rc = store_path(to, false, &p.to);
    if (!rc) rc = list_path(txn, p.from, &p.list);
    if (!rc) rc = fork_all(&p, count);
    list_free(&p.list);
    return rc;
}

static int list_snapshot(struct fork_plan *p, struct view *view)
{
    u8 name[LUGE_NAME_SIZE_MAX];
    size_t size = 0;
    int rc = 0;
    while (!rc && !(rc = lineage_snapshot_tree_after(
                        view, p->record, luge_bytes_of(name, size), name,
                        &size))) {
        struct tree tree;
        u64 number;
        luge_bytes found = luge_bytes_of(name, size);
        if (!store_under(found, p->from)) continue;
        rc = lineage_snapshot_tree(view, p->record, found, &tree, &number,
                                   NULL);
        if (!rc) rc = list_add(&p->list, number, found);
    }
    if (rc && rc != LUGE_NOTFOUND) return rc;
    if (p->list.count) return 0;
    return fail(LUGE_NOTFOUND, "the snapshot holds nothing at or under that "
                "path");
}

int luge_fork_snapshot(luge_txn *txn, luge_bytes snapshot, luge_bytes from,
                       luge_bytes to, uint64_t *count)
{
    struct fork_plan p = {.txn = txn, .snapshot = snapshot};
    struct snapshot_record record;
    struct view *view;
    luge_bytes path;
    int rc = writable(txn);
    if (!rc) rc = store_path(from, true, &p.from);
    if (!rc) rc = store_path(to, false, &p.to);
    if (!rc) rc = store_snapshot(txn, snapshot, &view, &record, &path);
    p.record = &record;
    if (!rc) rc = store_snapshot_names(txn, &record, path);
    if (!rc) rc = list_snapshot(&p, view);
    if (!rc) rc = fork_all(&p, count);
    list_free(&p.list);
    return rc;
}

/* ---------------------------------------------------------------- drop -- */

int luge_drop_path(luge_txn *txn, luge_bytes path, uint64_t *count)
{
    struct path_list list = {0};
    luge_bytes plain;
    int rc = writable(txn);
    if (!rc) rc = store_path(path, false, &plain);
    if (!rc) rc = list_path(txn, plain, &list);
    for (size_t i = 0; i < list.count && !rc; i++)
        if (list.trees[i].number == LUGE_MAIN)
            rc = fail(LUGE_INVALID, "the tree \"main\" always exists");
    for (size_t i = 0; i < list.count && !rc; i++)
        rc = luge_tree_drop(txn, list.trees[i].number);
    if (!rc && count) *count = list.count;
    list_free(&list);
    return rc;
}
