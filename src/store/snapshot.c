/* store/snapshot.c -- snapshots: the public calls.
 * Not here: what they are (txn/snapshot.c).
 */
#include "store/fork.h"
#include "txn/keep.h"

static int read_snapshot_name(luge_txn *txn, luge_bytes name)
{
    u8 key[1 + LUGE_NAME_SIZE_MAX] = {'S'};
    if (!txn_validates(txn)) return 0;
    memcpy(key + 1, name.data, name.size);
    return reads_point(&txn->reads, 0, luge_bytes_of(key, name.size + 1));
}

static int name_ok(luge_bytes name)
{
    if (!name.size) return fail(LUGE_INVALID, "a snapshot's name is empty");
    if (name.size <= LUGE_NAME_SIZE_MAX) return store_bytes_ok(name);
    return fail(LUGE_TOOBIG, "a snapshot's name of %zu bytes; %u are allowed",
                name.size, LUGE_NAME_SIZE_MAX);
}

int store_snapshot(luge_txn *txn, luge_bytes name, struct view **view,
                   struct snapshot_record *record, luge_bytes *path)
{
    int rc = txn_usable(txn);
    if (!rc) rc = name_ok(name);
    if (!rc) rc = txn_view(txn, view);
    if (!rc) rc = read_snapshot_name(txn, name);
    return rc ? rc : lineage_snapshot_get(*view, name, record, path);
}

int store_snapshot_alias(luge_txn *txn, const struct snapshot_record *s,
                         u64 number, u64 source)
{
    if (!txn_validates(txn) || s->seq <= txn->version.seq) return 0;
    /* Who clears a tree says so of the tree, not of its keys. */
    int rc = store_read_existence(txn, source);
    return rc ? rc : reads_alias(&txn->reads, number, source);
}

int store_snapshot_names(luge_txn *txn, const struct snapshot_record *s,
                         luge_bytes path)
{
    return s->seq > txn->version.seq ? store_read_path(txn, path) : 0;
}

int luge_snapshot(luge_txn *txn, luge_bytes path, luge_bytes name)
{
    u8 value[VARINT_SIZE_MAX + LUGE_NAME_SIZE_MAX];
    struct snapshot_record record;
    struct view *view;
    luge_bytes plain = {"", 0}, there;
    struct op op = {.kind = OP_SNAPSHOT, .key = name};
    int rc = txn_usable(txn);
    if (!rc && !txn->writes)
        rc = fail(LUGE_READONLY, "a read transaction makes no snapshot");
    if (!rc && keep_is_automatic(name))
        rc = fail(LUGE_INVALID, "snapshots under " KEEP_SNAPSHOT_PREFIX
                  " are luge's own");
    if (!rc && path.size) rc = store_path(path, false, &plain);
    if (!rc) rc = store_snapshot(txn, name, &view, &record, &there);
    if (!rc)
        return fail(LUGE_EXISTS, "there is a snapshot \"%.*s\" already",
                    (int)name.size, (const char *)name.data);
    if (rc != LUGE_NOTFOUND) return rc;
    size_t n = base_put_varint(value, txn->env->os->wall_ns(txn->env->os));
    if (plain.size) memcpy(value + n, plain.data, plain.size);
    op.value = luge_bytes_of(value, n + plain.size);
    rc = txn_next_ids(txn->env, 1, &op.tree);
    return rc ? rc : store_change(txn, &op);
}

/* RC of store_snapshot, for who named it. */
static int known(int rc, luge_bytes name)
{
    if (rc != LUGE_NOTFOUND) return rc;
    return fail(rc, "there is no snapshot \"%.*s\"", (int)name.size,
                (const char *)name.data);
}

int luge_snapshot_drop(luge_txn *txn, luge_bytes name)
{
    struct snapshot_record record;
    struct view *view;
    luge_bytes path;
    int rc = txn_usable(txn);
    if (!rc && !txn->writes)
        rc = fail(LUGE_READONLY, "a read transaction drops nothing");
    if (!rc) rc = known(store_snapshot(txn, name, &view, &record, &path), name);
    struct op op = {.kind = OP_FORGET, .tree = record.number, .key = name};
    return rc ? rc : store_change(txn, &op);
}

/* -------------------------------------------------------------- asking -- */

/* The list may be asked on and on: all names from AFTER count as read. */
static int read_names_from(luge_txn *txn, luge_bytes after)
{
    u8 key[1 + LUGE_NAME_SIZE_MAX] = {'S'};
    static const u8 end[] = {'S' + 1};
    luge_bytes high = {end, 1};
    if (!txn_validates(txn)) return 0;
    if (after.size) memcpy(key + 1, after.data, after.size);
    return reads_range(&txn->reads, 0, luge_bytes_of(key, after.size + 1),
                       &high, NULL);
}

/* NAME and PATH in one buffer of the transaction's. */
static int keep_both(luge_txn *txn, struct luge_snapshot_info *info,
                     luge_bytes name, luge_bytes path)
{
    struct base_buffer *to = &txn->name;
    to->size = 0;
    int rc = base_buffer_add(to, name.data, name.size);
    if (!rc) rc = base_buffer_add(to, path.data, path.size);
    if (rc) return rc;
    info->name = luge_bytes_of(to->data, name.size);
    info->path = luge_bytes_of(to->data + name.size, path.size);
    return 0;
}

int luge_snapshot_after(luge_txn *txn, luge_bytes after,
                        struct luge_snapshot_info *info)
{
    u8 space[LUGE_NAME_SIZE_MAX];
    struct snapshot_record record;
    struct view *view;
    luge_bytes path;
    size_t size = 0;
    int rc = txn_usable(txn);
    if (!rc && after.size) rc = name_ok(after);
    if (!rc) rc = txn_view(txn, &view);
    if (!rc) rc = read_names_from(txn, after);
    if (!rc) rc = lineage_snapshot_after(view, after, space, &size);
    luge_bytes name = luge_bytes_of(space, size);
    if (!rc) rc = lineage_snapshot_get(view, name, &record, &path);
    if (!rc) rc = keep_both(txn, info, name, path);
    if (rc) return base_found(rc);
    u64 now = txn->env->os->wall_ns(txn->env->os);
    info->seq = record.seq;
    info->time_ns = record.time_ns;
    info->age_ns = now > record.time_ns ? now - record.time_ns : 0;
    return 0;
}

/* How many records the tree has in a snapshot that this transaction made. */
static int read_records(luge_txn *txn, const struct snapshot_record *s,
                        u64 source)
{
    if (!txn_validates(txn) || s->seq <= txn->version.seq) return 0;
    int rc = store_read_existence(txn, source);
    return rc ? rc : reads_range(&txn->reads, source, luge_bytes_of("", 0),
                                 NULL, NULL);
}

int luge_snapshot_measure(luge_txn *txn, luge_bytes name,
                          struct luge_snapshot_size *size)
{
    u8 tree_name[LUGE_NAME_SIZE_MAX];
    size_t name_size = 0;
    struct snapshot_record s;
    struct view *view;
    luge_bytes path;
    u64 pages = 0;
    if (txn->past)
        return fail(LUGE_INVALID, "what a snapshot keeps is a question of now");
    int rc = known(store_snapshot(txn, name, &view, &s, &path), name);
    if (!rc) rc = store_snapshot_names(txn, &s, path);
    if (!rc) rc = lineage_snapshot_unique(view, &s, &pages);
    if (rc) return rc;
    *size = (struct luge_snapshot_size){
        .unique_bytes = pages << view->file->map.page_shift,
    };
    while (!(rc = lineage_snapshot_tree_after(
                 view, &s, luge_bytes_of(tree_name, name_size), tree_name,
                 &name_size))) {
        struct tree tree;
        u64 number;
        rc = lineage_snapshot_tree(view, &s,
                                   luge_bytes_of(tree_name, name_size), &tree,
                                   &number, NULL);
        if (!rc) rc = read_records(txn, &s, number);
        if (rc) return rc;
        size->trees++;
        size->records += tree.count;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int luge_snapshot_open(luge_txn *txn, luge_bytes name, luge_bytes tree_name,
                       luge_tree *tree)
{
    struct snapshot_record s;
    struct view *view;
    struct tree found;
    luge_bytes path;
    u64 source;
    int rc = known(store_snapshot(txn, name, &view, &s, &path), name);
    if (!rc) rc = store_name_ok(tree_name);
    if (!rc) rc = store_snapshot_names(txn, &s, path);
    if (rc) return rc;
    rc = lineage_snapshot_tree(view, &s, tree_name, &found, &source, NULL);
    if (rc == LUGE_NOTFOUND)
        rc = fail(rc, "the snapshot \"%.*s\" has no tree \"%.*s\"",
                  (int)min_u64(name.size, SHOWN_BYTES),
                  (const char *)name.data,
                  (int)min_u64(tree_name.size, SHOWN_BYTES),
                  (const char *)tree_name.data);
    if (!rc) rc = view_add_frozen(view, &found, tree);
    return rc ? rc : store_snapshot_alias(txn, &s, *tree, source);
}

int luge_snapshot_tree_after(luge_txn *txn, luge_bytes name, luge_bytes after,
                             luge_bytes *tree_name)
{
    u8 space[LUGE_NAME_SIZE_MAX];
    struct snapshot_record s;
    struct view *view;
    luge_bytes path;
    size_t size = 0;
    int rc = known(store_snapshot(txn, name, &view, &s, &path), name);
    if (!rc && after.size) rc = store_name_ok(after);
    if (!rc) rc = store_snapshot_names(txn, &s, path);
    if (!rc) rc = lineage_snapshot_tree_after(view, &s, after, space, &size);
    if (rc) return base_found(rc);
    return store_keep(&txn->name, luge_bytes_of(space, size), tree_name);
}
