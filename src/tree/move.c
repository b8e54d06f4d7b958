/* tree/move.c -- moving pages out of the end of the file.
 *
 * Every page and large value at or above a number gets a new place: a page by
 * being changed (it becomes a frame, and the publisher finds it a number), a
 * large value by being written again.  Content stays.
 * Not here: which number is the limit, and what becomes of the end (txn/).
 */
#include "tree/tree.h"
#include "tree/walk.h"

struct move {
    struct page_work *work;
    page_ref limit;
    u64 *moved, budget;
};

static bool beyond(const struct move *m, page_ref ref)
{
    return !page_is_private(ref) && ref >= m->limit && *m->moved < m->budget;
}

/* What a pin shares stays where it is. */
static bool shared(const struct move *m, page_ref ref,
                   const struct page_head *node)
{
    return !page_is_private(ref) && node->birth <= m->work->pinned;
}

static int move_extent(struct move *m, page_ref *ref, u32 at)
{
    struct page_head *leaf;
    struct page_extent old, new;
    luge_bytes cell, value;
    int rc = page_change(m->work, ref, &leaf);
    if (rc) return rc;
    (void)node_leaf_value(leaf, at, &cell);
    memcpy(&old, cell.data, sizeof old);
    rc = page_extent_read(m->work->file, &old, &value);
    if (!rc) rc = page_extent_write(m->work, value, &new);
    if (!rc) rc = page_extent_drop(m->work, &old);
    if (rc) return rc;
    memcpy((u8 *)(uintptr_t)cell.data, &new, sizeof new);
    *m->moved += (old.size >> 12) + 1;
    return 0;
}

static int move_leaf(struct move *m, page_ref *ref,
                     const struct page_head *leaf)
{
    int rc = 0;
    for (u32 i = 0; i < leaf->count && !rc; i++) {
        struct page_extent extent;
        luge_bytes cell;
        if (!node_leaf_value(leaf, i, &cell)) continue;
        memcpy(&extent, cell.data, sizeof extent);
        if (!beyond(m, extent.first) ||
            page_extent_born(&extent) <= m->work->pinned)
            continue;
        rc = move_extent(m, ref, i);
        if (!rc) rc = page_read(m->work->file, *ref, &leaf);
    }
    return rc;
}

/* Depth is bounded: each level is one below its parent (walk.h W1). */
static int move_node(struct move *m, page_ref *ref,
                     const struct page_head *node)
{
    struct page_head *own;
    int rc = 0;
    if (shared(m, *ref, node)) return 0;
    if (!node->level) rc = move_leaf(m, ref, node);
    for (u32 i = 0; node->level && i <= node->count && !rc; i++) {
        const struct page_head *child = NULL;
        page_ref before = node_child(node, i), after = before;
        u32 count;
        rc = walk_child(m->work->file, node, i, &child);
        if (!rc) rc = move_node(m, &after, child);
        if (rc || after == before) continue;
        rc = page_change(m->work, ref, &own);
        if (rc) return rc;
        tree_page_children(own, &count)[i] = after;
        node = own;
    }
    if (rc || !beyond(m, *ref)) return rc;
    ++*m->moved;
    return page_change(m->work, ref, &own);
}

int tree_move(struct page_work *w, struct tree *t, page_ref limit, u64 budget,
              u64 *moved)
{
    const struct page_head *root = NULL;
    struct move m = {w, limit, moved, budget};
    if (t->root == PAGE_NONE) return 0;
    int rc = walk_root(w->file, t->root, &root);
    return rc ? rc : move_node(&m, &t->root, root);
}
