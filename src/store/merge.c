/* store/merge.c -- differences of trees, and merges of forks.
 *
 *   BASE --changed to--> FROM      a key that FROM changed, compared with INTO:
 *    `------changed to-> INTO         as in BASE  take FROM's
 *                                     as in FROM  nothing to do
 *                                     else        a conflict: settle it
 * What is to be done is gathered first and added in the end: a merge happens as
 * a whole, and the trees do not change under the walk.
 * Not here: how trees are compared (tree/diff.c).
 */
#include "store/fork.h"

/* All of TREE is read. */
static int read_whole(luge_txn *txn, luge_tree tree, page_ref *root)
{
    struct view *view;
    struct view_tree *t;
    int rc = store_tree(txn, tree, &view, &t);
    if (rc) return rc;
    *root = t->tree.root;
    if (!txn_validates(txn)) return 0;
    return reads_range(&txn->reads, tree, luge_bytes_of("", 0), NULL, NULL);
}

int luge_diff(luge_txn *txn, luge_tree a, luge_tree b, luge_diff_fn fn,
              void *context)
{
    page_ref before = PAGE_NONE, after = PAGE_NONE;
    int rc = read_whole(txn, a, &before);
    if (!rc) rc = read_whole(txn, b, &after);
    if (rc) return rc;
    /* FN may change the trees: what the walk is on stays as it is. */
    if (txn->view.work) txn->view.work->epoch++;
    return tree_diff(txn->view.file, before, after, fn, context);
}

/* If this transaction made one of them a fork of the other, or both of a third
 * one, the base is that as it is when the transaction lands; and so is a tree's
 * base with itself. */
static int own_base(luge_txn *txn, luge_tree a, luge_tree b, luge_tree base)
{
    if (a == b && txn->view.work) txn->view.work->epoch++;      /* it stays */
    if (!txn_validates(txn) ||
        reads_source(&txn->reads, a) != reads_source(&txn->reads, b))
        return 0;
    return reads_alias(&txn->reads, base, a);
}

int luge_fork_base(luge_txn *txn, luge_tree a, luge_tree b, luge_tree *base)
{
    struct view *view;
    struct view_tree *t;
    struct tree tree;
    int rc = store_tree(txn, a, &view, &t);
    if (!rc) rc = store_tree(txn, b, &view, &t);
    if (!rc) rc = store_not_frozen(a | b);
    if (rc == LUGE_READONLY)
        rc = fail(LUGE_INVALID, "a snapshot's tree has no history of its own: "
                  "name the base");
    if (!rc) rc = lineage_common(view, a, b, &tree);
    if (rc == LUGE_NOTFOUND)
        rc = fail(rc, "trees %llu and %llu have no state in common",
                  (unsigned long long)a, (unsigned long long)b);
    if (!rc) rc = view_add_frozen(view, &tree, base);
    return rc ? rc : own_base(txn, a, b, *base);
}

/* --------------------------------------------------------------- merge -- */

struct merge {
    luge_txn *txn;
    luge_tree into;
    struct luge_merge_options options;
    struct luge_merge_result result;
    struct ops ops;
};

static bool same(const luge_bytes *a, const luge_bytes *b)
{
    if (!a || !b) return a == b;
    return bytes_equal(*a, *b);
}

/* INTO gets VALUE, or loses the key. */
static int plan(struct merge *m, luge_bytes key, const luge_bytes *value)
{
    struct op op = {.kind = value ? OP_PUT : OP_DEL, .tree = m->into,
                    .key = key, .value = {"", 0}};
    if (value) op.value = *value;
    m->result.changes++;
    return ops_add(&m->ops, &op, NULL);
}

/* When VALUE says that it was made. */
static u64 time_of(const struct merge *m, const luge_bytes *value)
{
    u64 at = m->options.newer_at;
    if (!value || value->size < at + 8) return 0;
    return load64((const u8 *)value->data + at);
}

static int by_policy(struct merge *m, luge_bytes key, const luge_bytes *ours,
                     const luge_bytes *theirs)
{
    switch (m->options.policy) {
    case LUGE_MERGE_OURS:
        return 0;
    case LUGE_MERGE_NEWER:
        if (time_of(m, theirs) <= time_of(m, ours)) return 0;
        return plan(m, key, theirs);
    case LUGE_MERGE_THEIRS:
        return plan(m, key, theirs);
    default:
        m->result.unsettled++;
        return 0;
    }
}

static int settle(struct merge *m, luge_bytes key, const luge_bytes *base,
                  const luge_bytes *ours, const luge_bytes *theirs)
{
    luge_bytes result = {NULL, 0};
    m->result.conflicts++;
    int verdict = m->options.settle
                      ? m->options.settle(m->options.context, key, base, ours,
                                          theirs, &result)
                      : 3;
    if (verdict < 0) return verdict;
    switch (verdict) {
    case 0: return ours ? plan(m, key, NULL) : 0;
    case 1: return plan(m, key, &result);
    case 2: return 0;
    case 3: return by_policy(m, key, ours, theirs);
    default: return fail(LUGE_INVALID, "a merge function answered %d", verdict);
    }
}

/* FROM changed KEY from BASE to THEIRS. */
static int merge_key(void *context, luge_bytes key, const luge_bytes *base,
                     const luge_bytes *theirs)
{
    struct merge *m = context;
    luge_bytes value;
    int rc = luge_get(m->txn, m->into, key, &value);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    const luge_bytes *ours = rc ? NULL : &value;
    if (same(ours, theirs)) return 0;
    if (same(ours, base)) return plan(m, key, theirs);
    return settle(m, key, base, ours, theirs);
}

static int add_planned(struct merge *m)
{
    struct ops_walk walk;
    struct op op;
    int rc;
    ops_walk_from(&walk, &m->ops, NULL);
    while (!(rc = ops_next(&walk, &op))) {
        rc = txn_add(m->txn, &op);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int merge_ok(luge_txn *txn, luge_tree from, luge_tree into,
                    const struct luge_merge_options *options)
{
    int rc = store_tree_to_write(txn, into);
    if (!rc && from == into)
        rc = fail(LUGE_INVALID, "a tree cannot be merged into itself");
    if (!rc && options && (unsigned)options->policy > LUGE_MERGE_NEWER)
        rc = fail(LUGE_INVALID, "%d is no policy of merging", options->policy);
    return rc;
}

/* Trees that have nothing in common both began empty. */
static int read_base(luge_txn *txn, luge_tree from, luge_tree into,
                     luge_tree base, page_ref *root)
{
    int rc = base ? 0 : luge_fork_base(txn, from, into, &base);
    if (!rc) rc = read_whole(txn, base, root);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int luge_merge(luge_txn *txn, luge_tree from, luge_tree into, luge_tree base,
               const struct luge_merge_options *options,
               struct luge_merge_result *result)
{
    struct merge m = {.txn = txn, .into = into,
                      .ops.spill = &txn->env->spill};
    page_ref before = PAGE_NONE, after = PAGE_NONE;
    int rc = merge_ok(txn, from, into, options);
    if (options) m.options = *options;
    if (!rc) rc = read_base(txn, from, into, base, &before);
    if (!rc) rc = read_whole(txn, from, &after);
    if (!rc)
        rc = tree_diff(txn->view.file, before, after, merge_key, &m);
    if (!rc && m.result.unsettled)
        rc = fail(LUGE_MISMATCH, "%llu keys were changed on both sides",
                  (unsigned long long)m.result.unsettled);
    if (!rc) rc = add_planned(&m);
    if (result) *result = m.result;
    ops_free(&m.ops);
    return rc;
}
