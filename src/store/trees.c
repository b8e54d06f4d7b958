/* store/trees.c -- trees by name: open, list, rename, clear, drop.
 * Not here: what the catalog looks like (txn/view.c).
 */
#include "store/store.h"

int store_name_ok(luge_bytes name)
{
    if (!name.size) return fail(LUGE_INVALID, "a tree's name is empty");
    if (name.size <= LUGE_NAME_SIZE_MAX) return store_bytes_ok(name);
    return fail(LUGE_TOOBIG, "a tree's name of %zu bytes; %u are allowed",
                name.size, LUGE_NAME_SIZE_MAX);
}

int store_read_name(luge_txn *txn, luge_bytes name)
{
    u8 key[1 + LUGE_NAME_SIZE_MAX] = {'n'};
    if (!txn_validates(txn)) return 0;
    memcpy(key + 1, name.data, name.size);
    return reads_point(&txn->reads, 0, luge_bytes_of(key, name.size + 1));
}

/* Changes of the catalog are applied at once: names are looked up soon. */
static int change(luge_txn *txn, const struct op *op)
{
    struct view *view;
    int rc = txn_add(txn, op);
    return rc ? rc : txn_view(txn, &view);
}

/* NUMBER 0: one that no tree has or had. */
static int create(luge_txn *txn, luge_bytes name, u64 number, luge_tree *tree)
{
    struct op op = {.kind = OP_CREATE, .tree = number, .key = name};
    if (!txn->writes)
        return fail(LUGE_READONLY, "a read transaction cannot create a tree");
    int rc = number ? 0 : txn_next_ids(txn->env, 1, &op.tree);
    if (!rc) rc = change(txn, &op);
    if (!rc) *tree = op.tree;
    return rc;
}

int luge_tree_open(luge_txn *txn, luge_bytes name, unsigned flags,
                   luge_tree *tree)
{
    struct view *view;
    int rc = txn_usable(txn);
    if (!rc) rc = store_flags_ok(flags, LUGE_TREE_CREATE);
    if (!rc) rc = store_name_ok(name);
    if (!rc) rc = txn_view(txn, &view);
    if (!rc) rc = store_read_name(txn, name);
    if (!rc) rc = view_number_of(view, name, tree);
    if (rc == LUGE_NOTFOUND && (flags & LUGE_TREE_CREATE))
        return create(txn, name, 0, tree);
    if (rc == LUGE_NOTFOUND)
        rc = fail(LUGE_NOTFOUND, "there is no tree \"%.*s\"",
                  (int)min_u64(name.size, SHOWN_BYTES),
                  (const char *)name.data);
    return rc;
}

int store_tree_make(luge_txn *txn, luge_bytes name, luge_tree number)
{
    struct view *view;
    struct view_tree *t;
    luge_tree tree;
    int rc = store_tree(txn, number, &view, &t);
    if (rc != LUGE_NOTREE) return rc;
    rc = store_read_name(txn, name);
    if (!rc) rc = view_number_of(view, name, &tree);
    if (!rc)
        return fail(LUGE_EXISTS, "the name %.*s is luge's own, and another "
                    "tree has it", (int)name.size, (const char *)name.data);
    return rc == LUGE_NOTFOUND ? create(txn, name, number, &tree) : rc;
}

/* The tree must exist and be open to change; its name, copied. */
static int existing(luge_txn *txn, luge_tree tree, luge_bytes *name)
{
    struct view *view;
    struct view_tree *t;
    int rc = store_tree_to_write(txn, tree);
    if (!rc && tree == LUGE_MAIN)
        rc = fail(LUGE_INVALID, "the tree \"main\" always exists");
    if (!rc) rc = store_tree(txn, tree, &view, &t);
    if (!rc) rc = view_name_of(view, tree, name);
    return rc ? rc : store_keep(&txn->name, *name, name);
}

int luge_tree_drop(luge_txn *txn, luge_tree tree)
{
    luge_bytes name;
    int rc = existing(txn, tree, &name);
    struct op op = {.kind = OP_DROP, .tree = tree, .key = name};
    return rc ? rc : change(txn, &op);
}

int luge_tree_rename(luge_txn *txn, luge_tree tree, luge_bytes name)
{
    u8 copy[LUGE_NAME_SIZE_MAX];
    luge_bytes old;
    luge_tree taken;
    int rc = store_name_ok(name);
    if (rc) return rc;
    /* It may be in txn->name, where the old one goes. */
    memcpy(copy, name.data, name.size);
    name.data = copy;
    rc = existing(txn, tree, &old);
    if (!rc) rc = store_read_name(txn, name);
    if (rc) return rc;
    rc = view_number_of(&txn->view, name, &taken);
    if (!rc)
        return taken == tree ? 0
                             : fail(LUGE_EXISTS, "another tree has the name");
    if (rc != LUGE_NOTFOUND) return rc;
    struct op op = {.kind = OP_RENAME, .tree = tree, .key = name,
                    .value = old};
    return change(txn, &op);
}

int luge_tree_clear(luge_txn *txn, luge_tree tree)
{
    struct op op = {.kind = OP_CLEAR, .tree = tree};
    int rc = store_tree_to_write(txn, tree);
    return rc ? rc : txn_add(txn, &op);
}

int luge_tree_count(luge_txn *txn, luge_tree tree, uint64_t *count)
{
    struct view *view;
    struct view_tree *t;
    int rc = store_tree(txn, tree, &view, &t);
    if (!rc && txn_validates(txn))
        rc = reads_range(&txn->reads, tree, luge_bytes_of("", 0), NULL, NULL);
    if (!rc) *count = t->tree.count;
    return rc;
}

int luge_tree_name(luge_txn *txn, luge_tree tree, luge_bytes *name)
{
    struct view *view;
    struct view_tree *t;
    int rc = store_tree(txn, tree, &view, &t);
    return rc ? rc : view_name_of(view, tree, name);
}

int luge_tree_after(luge_txn *txn, luge_bytes after, luge_bytes *name,
                    luge_tree *tree)
{
    struct view *view;
    u8 space[LUGE_NAME_SIZE_MAX], key[1 + LUGE_NAME_SIZE_MAX] = {'n'};
    size_t size = 0;
    int rc = txn_usable(txn);
    if (!rc && after.size) rc = store_name_ok(after);
    if (!rc) rc = txn_view(txn, &view);
    if (!rc && txn_validates(txn)) {
        if (after.size) memcpy(key + 1, after.data, after.size);
        /* The list may be asked on and on: all names from here. */
        rc = reads_range(&txn->reads, 0, luge_bytes_of(key, after.size + 1),
                         NULL, NULL);
    }
    if (!rc) rc = view_name_after(view, after, space, &size, tree);
    return rc ? base_found(rc)
              : store_keep(&txn->name, luge_bytes_of(space, size), name);
}

int store_create_main(struct env *e)
{
    luge_txn *txn;
    u64 number, seq;
    struct op op = {.kind = OP_CREATE, .tree = LUGE_MAIN,
                    .key = luge_str("main")};
    int rc = txn_begin(e, LUGE_WRITE | LUGE_TXN_FULL, &txn);
    if (rc) return rc;
    rc = view_number_of(&txn->view, op.key, &number);
    if (rc == LUGE_NOTFOUND) {
        rc = store_read_name(txn, op.key);
        if (!rc) rc = change(txn, &op);
        if (!rc) {
            rc = txn_commit(txn, &seq);
            return rc == LUGE_CONFLICT ? 0 : rc; /* another was first */
        }
    }
    txn_abort(txn);
    return rc;
}
