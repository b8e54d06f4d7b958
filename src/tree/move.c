/* tree/move.c -- moving pages out of the end of the file.
 *
 *   look:  which keys lead to what lies at or above a number, in a tree that
 *          stands still
 *   move:  from the root to the leaf of one key, it gets new places
 * A page gets a new place by being changed (it becomes a frame, and the
 * publisher finds it a number), a large value by being written again.
 * Content stays.
 * What a pin shares stays where it is: it has one place and many parents.
 * Not here: which number is the limit, and what becomes of the end (txn/).
 */
#include "tree/patch.h"
#include "tree/tree.h"
#include "tree/walk.h"

static bool beyond(page_ref ref, page_ref limit)
{
    return !page_is_private(ref) && ref >= limit;
}

/* Is the value in slot AT a large one that has to move? */
static bool moves(const struct page_head *leaf, u32 at, page_ref limit,
                  u64 pinned, struct page_extent *extent)
{
    luge_bytes cell;
    if (!node_leaf_value(leaf, at, &cell)) return false;
    memcpy(extent, cell.data, sizeof *extent);
    return beyond(extent->first, limit) && page_extent_born(extent) > pinned;
}

/* ---------------------------------------------------------------- look -- */

struct look {
    struct page_file *file;
    page_ref limit;
    u64 pinned;
    tree_key_fn fn;
    void *context;
};

static bool leads_beyond(const struct look *l, page_ref ref,
                         const struct page_head *node)
{
    struct page_extent extent;
    bool so = beyond(ref, l->limit);
    for (u32 i = 0; !so && !node->level && i < node->count; i++)
        so = moves(node, i, l->limit, l->pinned, &extent);
    return so;
}

/* Depth is bounded: each level is one below its parent (walk.h W1). */
static int look_at(const struct look *l, page_ref ref,
                   const struct page_head *node)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    int rc = 0;
    if (walk_shared(ref, node, l->pinned)) return 0;
    for (u32 i = 0; node->level && i <= node->count && !rc; i++) {
        const struct page_head *child = NULL;
        rc = walk_child(l->file, node, i, &child);
        if (!rc) rc = look_at(l, node_child(node, i), child);
    }
    if (!rc && node->count && leads_beyond(l, ref, node))
        rc = l->fn(l->context, walk_key(node, 0, space));
    return rc;
}

int tree_beyond(struct page_file *f, page_ref root, page_ref limit, u64 pinned,
                tree_key_fn fn, void *context)
{
    const struct page_head *node = NULL, *patch;
    struct look l = {f, limit, pinned, fn, context};
    page_ref below;
    int rc = patch_open(f, root, &patch, &below);
    if (rc || below == PAGE_NONE || (patch && walk_shared(root, patch, pinned)))
        return rc;
    if (patch && beyond(root, limit)) rc = fn(context, patch_key(patch, 0));
    if (!rc) rc = walk_root(f, below, &node);
    return rc ? rc : look_at(&l, below, node);
}

/* ---------------------------------------------------------------- move -- */

struct move {
    struct page_work *work;
    page_ref limit;
    u64 *moved;
};

/* If there is no room for it below, it stays (space.h, `fixed`). */
static int move_extent(struct move *m, page_ref *ref, u32 at,
                       const struct page_extent *old)
{
    struct page_head *leaf;
    struct page_extent new;
    luge_bytes cell, value;
    int rc = page_extent_read(m->work->file, old, &value);
    if (!rc) rc = page_extent_write(m->work, value, &new);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    rc = page_change(m->work, ref, &leaf);
    if (!rc) rc = page_extent_drop(m->work, old);
    if (rc) return rc;
    (void)node_leaf_value(leaf, at, &cell);
    memcpy((u8 *)(uintptr_t)cell.data, &new, sizeof new);
    *m->moved += old->size / page_bytes(m->work->file) + 1;
    return 0;
}

static int move_values(struct move *m, page_ref *ref,
                       const struct page_head *leaf)
{
    struct page_extent extent;
    int rc = 0;
    for (u32 i = 0; i < leaf->count && !rc; i++) {
        if (!moves(leaf, i, m->limit, m->work->pinned, &extent)) continue;
        rc = move_extent(m, ref, i, &extent);
        if (!rc) rc = page_read(m->work->file, *ref, &leaf);
    }
    return rc;
}

static int move_below(struct move *m, page_ref *ref,
                      const struct page_head *node, luge_bytes key);

static int move_child(struct move *m, page_ref *ref,
                      const struct page_head *node, luge_bytes key)
{
    const struct page_head *child = NULL;
    struct page_head *own;
    u32 at = node_branch_find(node, key), count;
    page_ref before = node_child(node, at), after = before;
    int rc = walk_child(m->work->file, node, at, &child);
    if (!rc) rc = move_below(m, &after, child, key);
    if (rc || after == before) return rc;
    rc = page_change(m->work, ref, &own);
    if (!rc) tree_page_children(own, &count)[at] = after;
    return rc;
}

static int move_below(struct move *m, page_ref *ref,
                      const struct page_head *node, luge_bytes key)
{
    struct page_head *own;
    if (walk_shared(*ref, node, m->work->pinned)) return 0;
    int rc = node->level ? move_child(m, ref, node, key)
                         : move_values(m, ref, node);
    if (rc || !beyond(*ref, m->limit)) return rc;
    ++*m->moved;
    return page_change(m->work, ref, &own);
}

int tree_move(struct page_work *w, struct tree *t, page_ref limit,
              luge_bytes key, u64 *moved)
{
    const struct page_head *root = NULL, *patch;
    struct page_head *own;
    struct move m = {w, limit, moved};
    page_ref below, old;
    int rc = patch_open(w->file, t->root, &patch, &below);
    if (rc || below == PAGE_NONE ||
        (patch && walk_shared(t->root, patch, w->pinned)))
        return rc;
    old = below;
    rc = walk_root(w->file, below, &root);
    if (!rc) rc = move_below(&m, &below, root, key);
    if (rc) return rc;
    if (!patch) {
        t->root = below;
        return 0;
    }
    if (below == old && !beyond(t->root, limit)) return 0;
    *moved += beyond(t->root, limit);
    rc = page_change(w, &t->root, &own);
    if (!rc) *patch_below_at(own) = below;
    return rc;
}
