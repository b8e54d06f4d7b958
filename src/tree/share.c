/* tree/share.c -- trees that share pages: what only one of them holds.
 *
 *        ROOT            KEPT
 *        /  \            /  \
 *       A    B          A    B'      released from ROOT: itself and B
 *
 *   S1  A page is in a tree iff a descent by one of the page's own keys comes
 *       by it: whoever holds the page holds it between the same separators.
 *   S2  A child was born no later than its parent, so below a page that was
 *       born at a pin or before there is nothing born after it.
 *   S3  A large value belongs to its key.
 *   S4  A patch is a root: two trees share it only if it is the root of both.
 *       What is below it was born before it, and holds large values alone.
 * The difference of two roots is all that is ever needed to know which pages a
 * fork or a snapshot alone keeps: no list of them is kept anywhere.
 * Not here: which root is compared with which (txn/lineage.c).
 */
#include "tree/patch.h"
#include "tree/tree.h"
#include "tree/walk.h"

struct release {
    struct page_file *file;
    struct page_work *drop;        /* NULL: EACH is called instead */
    u64 pinned;
    page_ref kept;
    int (*each)(void *context, const struct page_head *leaf);
    void *context;
};

/* The node of LEVEL in the tree of ROOT that KEY belongs to; *n NULL: none. */
static int descend(struct page_file *f, page_ref root, luge_bytes key,
                   u32 level, page_ref *ref, const struct page_head **n)
{
    *n = NULL;
    if (root == PAGE_NONE) return 0;
    *ref = root;
    int rc = walk_root(f, root, n);
    while (!rc && (*n)->level > level) {
        u32 at = node_branch_find(*n, key);
        *ref = node_child(*n, at);
        rc = walk_child(f, *n, at, n);
    }
    if (!rc && (*n)->level < level) *n = NULL;
    return rc;
}

/* Is page REF, which is N, in the kept tree?  (S1) */
static int is_kept(const struct release *r, page_ref ref,
                   const struct page_head *n, bool *kept)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    const struct page_head *other;
    page_ref there = PAGE_NONE;
    *kept = false;
    if (r->kept == PAGE_NONE) return 0;
    int rc = descend(r->file, r->kept, walk_key(n, 0, space), n->level, &there,
                     &other);
    *kept = !rc && other && there == ref;
    return rc;
}

/* Does slot AT of LEAF have a large value that the kept tree has not?  (S3) */
static int value_goes(const struct release *r, const struct page_head *leaf,
                      u32 at, struct page_extent *extent, bool *goes)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    const struct page_head *other = NULL;
    struct page_extent kept;
    page_ref ref;
    luge_bytes value;
    u32 slot;
    *goes = node_leaf_value(leaf, at, &value);
    if (!*goes) return 0;
    memcpy(extent, value.data, sizeof *extent);
    if (r->kept == PAGE_NONE) return 0;
    luge_bytes key = walk_key(leaf, at, space);
    int rc = descend(r->file, r->kept, key, 0, &ref, &other);
    if (rc || !other || !node_leaf_find(other, key, &slot) ||
        !node_leaf_value(other, slot, &value))
        return rc;
    memcpy(&kept, value.data, sizeof kept);
    *goes = kept.first != extent->first;
    return 0;
}

static int release_leaf(const struct release *r, const struct page_head *leaf)
{
    struct page_extent extent;
    int rc = 0;
    if (!r->drop) return r->each(r->context, leaf);
    for (u32 i = 0; i < leaf->count && !rc; i++) {
        bool goes;
        rc = value_goes(r, leaf, i, &extent, &goes);
        if (!rc && goes) rc = page_extent_drop(r->drop, &extent);
    }
    return rc;
}

/* Depth is bounded: each level is one below its parent (walk.h W1). */
static int release_node(const struct release *r, page_ref ref,
                        const struct page_head *n)
{
    bool kept;
    if (walk_shared(ref, n, r->pinned)) return 0;                    /* S2 */
    int rc = is_kept(r, ref, n, &kept);
    if (rc || kept) return rc;
    for (u32 i = 0; n->level && i <= n->count && !rc; i++) {
        const struct page_head *child = NULL;
        rc = walk_child(r->file, n, i, &child);
        if (!rc) rc = release_node(r, node_child(n, i), child);
    }
    if (!rc && !n->level) rc = release_leaf(r, n);
    return rc || !r->drop ? rc : page_drop(r->drop, ref);
}

static int release_root(const struct release *r, page_ref root)
{
    const struct page_head *n = NULL;
    if (root == PAGE_NONE || root == r->kept) return 0;
    int rc = walk_root(r->file, root, &n);
    return rc ? rc : release_node(r, root, n);
}

int tree_release(struct page_work *w, page_ref root, page_ref kept)
{
    /* A view that never lands releases no page of the file. */
    u64 pinned = w->may_write ? w->pinned : UINT64_MAX;
    struct release r = {.file = w->file, .drop = w, .pinned = pinned};
    const struct page_head *patch, *other;
    page_ref below;
    if (root == kept) return 0;
    int rc = patch_open(w->file, root, &patch, &below);
    if (!rc) rc = patch_open(w->file, kept, &other, &r.kept);
    if (rc || !patch) return rc ? rc : release_root(&r, root);
    if (walk_shared(root, patch, pinned)) return 0;                  /* S4 */
    rc = release_root(&r, below);
    return rc ? rc : page_drop(w, root);
}

int tree_unshared(const struct page_work *w, page_ref root, page_ref kept,
                  int (*each)(void *context, const struct page_head *leaf),
                  void *context)
{
    struct release r = {.file = w->file, .pinned = w->pinned, .kept = kept,
                        .each = each, .context = context};
    return release_root(&r, root);
}
