/* tree/pack.c -- leaves that are not full become fewer that are.
 *
 *     |xx..|xxx.|xx..|xxx.|   ->   |xxxx|xxxx|xx..|     one group of a parent
 *
 *   look:  which groups would have fewer leaves, in a tree that stands still
 *   pack:  each leaf of a group, from left to right, takes of the next what it
 *          has room for
 * Puts in no order leave leaves about four fifths full (docs/why/share.md); a
 * load in order leaves them full, and so does this.
 *   K1  What a pin shares stays: its old place would not become free.
 *   K2  Nothing changes above a parent: it keeps a key (N6) and its prefix, and
 *       has room for a separator that is longer than before.
 *   K3  A group that cannot be helped is not touched.
 * Not here: when it is worth it, and in what portions (txn/compact.c).
 */
#include "tree/path.h"
#include "tree/walk.h"

enum {
    GROUP_BYTES = 512 << 10,    /* leaves that are packed together */
    WORTH = 32,                 /* one of so many must go: groups packed before
                                   end in a leaf that is not full */
};

static u32 group(const struct page_file *f)
{
    return GROUP_BYTES / page_bytes(f);
}

/* ---------------------------------------------------------------- look -- */

struct look_loose {
    struct page_file *file;
    u64 pinned;
    tree_key_fn fn;
    void *context;
};

/* Pages that are filled one after the other. */
struct filling {
    u32 room, prefix;                   /* bytes for items; in common */
    u32 left, keys, pages;              /* in the last one */
};

/* Rather a page too many: PREFIX may be less than a page's own. */
static void fill_with(struct filling *f, const struct page_head *leaf)
{
    for (u32 i = 0; i < leaf->count; i++) {
        luge_bytes value;
        (void)node_leaf_value(leaf, i, &value);
        u32 key = leaf->prefix + (u32)node_leaf_suffix(leaf, i).size;
        u32 size = NODE_LEAF_SLOT + NODE_LEAF_CELL + key - f->prefix +
                   (u32)value.size;
        if (!f->pages || size > f->left || f->keys == NODE_KEYS_MAX) {
            f->left = f->room;
            f->keys = 0;
            f->pages++;
        }
        f->left -= size < f->left ? size : f->left;
        f->keys++;
    }
}

/* What all keys from the first of LEFT to the last of RIGHT begin with. */
static u32 common(const struct page_head *left, const struct page_head *right)
{
    u8 low[LUGE_KEY_SIZE_MAX], high[LUGE_KEY_SIZE_MAX];
    return (u32)node_common(walk_key(left, 0, low),
                            walk_key(right, right->count - 1u, high));
}

/* Call FN if the leaves [from, to] of PARENT would be fewer by some. */
static int look_at_group(const struct look_loose *l,
                         const struct page_head *parent, u32 from, u32 to)
{
    const struct page_head *first = NULL, *leaf = NULL;
    u8 space[LUGE_KEY_SIZE_MAX];
    walk_will_need(l->file, parent, from, to);
    int rc = walk_child(l->file, parent, from, &first);
    if (!rc) rc = walk_child(l->file, parent, to, &leaf);
    if (rc) return rc;
    struct filling f = {.prefix = common(first, leaf)};
    f.room = page_bytes(l->file) - (u32)sizeof *leaf -
             node_prefix_room(f.prefix + 8);
    for (u32 i = from; i <= to; i++) {
        rc = walk_child(l->file, parent, i, &leaf);
        if (rc) return rc;
        if (walk_shared(node_child(parent, i), leaf, l->pinned)) return 0;
        fill_with(&f, leaf);
    }
    u32 leaves = to - from + 1;
    if (f.pages + leaves / WORTH >= leaves) return 0;
    return l->fn(l->context, walk_key(first, 0, space));
}

/* Depth is bounded: each level is one below its parent (walk.h W1). */
static int look_below(const struct look_loose *l, page_ref ref,
                      const struct page_head *node)
{
    int rc = 0;
    if (!node->level || walk_shared(ref, node, l->pinned)) return 0;
    if (node->level == 1 && node->count == 1) return 0;              /* K2 */
    if (node->level == 1) {
        u32 leaves = group(l->file);
        for (u32 from = 0; from < node->count && !rc; from += leaves)
            rc = look_at_group(l, node, from,
                               (u32)min_u64(from + leaves - 1, node->count));
        return rc;
    }
    for (u32 i = 0; i <= node->count && !rc; i++) {
        const struct page_head *child = NULL;
        rc = walk_child(l->file, node, i, &child);
        if (!rc) rc = look_below(l, node_child(node, i), child);
    }
    return rc;
}

int tree_loose(struct page_file *f, page_ref root, u64 pinned, tree_key_fn fn,
               void *context)
{
    struct look_loose l = {f, pinned, fn, context};
    const struct page_head *node = NULL;
    if (root == PAGE_NONE) return 0;
    int rc = walk_top(f, root, &node);
    return rc || walk_is_patch(node) ? rc : look_below(&l, root, node);
}

/* ---------------------------------------------------------------- pack -- */

/* The parent of KEY's leaf, if all of the way there is the tree's own; else
 * NULL.  (K1) */
static int find_parent(const struct page_work *w, page_ref root,
                       luge_bytes key, const struct page_head **parent)
{
    const struct page_head *node = NULL;
    page_ref ref = root;
    *parent = NULL;
    if (root == PAGE_NONE) return 0;
    int rc = walk_top(w->file, root, &node);
    if (rc || !node->level || walk_is_patch(node)) return rc;
    while (!rc && !walk_shared(ref, node, w->pinned)) {
        if (node->level == 1) *parent = node;
        if (node->level == 1) break;
        u32 at = node_branch_find(node, key);
        ref = node_child(node, at);
        rc = walk_child(w->file, node, at, &node);
    }
    return rc;
}

/* How many items of S the left page takes. */
static u32 most(const struct node_strip *s, u32 bytes)
{
    u32 low = s->count_before, high = s->count;     /* it has LOW now */
    while (low < high) {
        u32 middle = low + (high - low + 1) / 2;
        if (node_strip_fits(s, 0, middle, bytes)) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* The bytes of a key of SIZE in PARENT, its slot aside. */
static u32 room_of(const struct page_head *parent, size_t size)
{
    u32 rest = (u32)size - parent->prefix;
    return rest <= NODE_SHORT_MAX ? 0 : NODE_BRANCH_CELL + rest;
}

/* Is there room in PARENT for the key UP in the place of key AT?  8: its
 * prefix may grow, and is rounded up.  (K2) */
static bool may_change(const struct page_head *parent, u32 at, u32 bytes,
                       luge_bytes up)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    if (parent->count == 1) return true;
    if (up.size < parent->prefix ||
        memcmp(up.data, node_prefix(parent), parent->prefix) != 0)
        return false;
    u32 now = room_of(parent, walk_key(parent, at, space).size);
    u32 next = room_of(parent, up.size);
    return node_used(parent, bytes) - now + next + 8 <= bytes;
}

/* What becomes of the leaves AT and AT + 1 of PARENT. */
struct pour {
    const struct page_head *left, *right;
    u32 cut;                        /* so many items the left one gets */
    bool changes, all;              /* it gets some; it gets all */
    struct tree_cut up;             /* the key between them, unless all */
};

/* As many items as go into the left page, so that there is room in PARENT for
 * what separates them from the others. */
static int choose(const struct page_head *parent, u32 at, u32 bytes,
                  struct pour *p)
{
    struct node_strip s = node_strip_join(p->left, NULL, p->right);
    if (!node_strip_ordered(&s)) return CORRUPT("leaves out of order");
    p->cut = most(&s, bytes);
    p->all = p->cut == s.count;
    if (p->all) p->changes = parent->count > 1;                      /* K2 */
    for (; !p->all && p->cut > p->left->count; p->cut--) {
        p->up.cell.suffix = node_strip_separator(&s, p->cut, p->up.space);
        p->changes = may_change(parent, at, bytes, p->up.cell.suffix);
        if (p->changes) break;
    }
    return 0;
}

static int plan_pour(const struct page_work *w, const struct page_head *parent,
                     u32 at, struct pour *p)
{
    p->changes = p->all = false;
    p->up.cell = (struct node_cell){.child = PAGE_NONE};
    int rc = walk_child(w->file, parent, at, &p->left);
    if (!rc) rc = walk_child(w->file, parent, at + 1, &p->right);
    if (rc || walk_shared(node_child(parent, at), p->left, w->pinned) ||
        walk_shared(node_child(parent, at + 1), p->right, w->pinned))
        return rc;                                                   /* K1 */
    return choose(parent, at, page_bytes(w->file), p);
}

/* The leaves of PARENT, which can be changed, as P has it; the key between them
 * is gone. */
static int pour_leaves(struct page_work *w, struct page_head *parent, u32 at,
                       struct pour *p)
{
    u32 bytes = page_bytes(w->file);
    struct page_head *left, *right;
    COPY_OF(left_copy, p->left, bytes);
    COPY_OF(right_copy, p->right, bytes);
    struct node_strip s = node_strip_join(left_copy, NULL, right_copy);
    int rc = tree_change_child(w, parent, at, &left);
    if (!rc && !p->all) rc = tree_change_child(w, parent, at + 1, &right);
    if (rc) return rc;
    p->up.cell.child = node_child(parent, at + 1);
    node_build(left, bytes, &s, 0, p->cut);
    if (p->all) rc = page_drop(w, p->up.cell.child);
    else node_build(right, bytes, &s, p->cut, s.count);
    node_branch_remove(parent, at, 1);
    return rc;
}

/* *again: the left leaf has room for more. */
static int pour(struct page_work *w, struct tree *t,
                const struct tree_path *path, u32 at, bool *again)
{
    struct pour p;
    struct page_head *parent = path->step[1].page;
    int rc = plan_pour(w, parent, at, &p);
    *again = p.all && p.changes;
    if (rc || !p.changes) return rc;
    rc = pour_leaves(w, parent, at, &p);
    return rc || p.all ? rc
                       : tree_path_insert(w, t, path, 1, at, &p.up.cell);
}

/* The first leaf of PARENT, from AT on and of its group, that takes some of the
 * next: *at.  *rest: so many of the group are behind it.  (K3) */
static int skip_full(const struct page_work *w, const struct page_head *parent,
                     u32 *at, u32 *rest)
{
    struct pour p = {.changes = false};
    u32 end = (u32)min_u64(*at + group(w->file) - 1, parent->count);
    int rc = 0;
    walk_will_need(w->file, parent, *at, end);
    while (!rc && *at < end) {
        rc = plan_pour(w, parent, *at, &p);
        if (p.changes) break;
        ++*at;
    }
    *rest = end - *at;
    return rc;
}

int tree_pack(struct page_work *w, struct tree *t, luge_bytes key, u64 *packed)
{
    struct tree_path path;
    const struct page_head *parent;
    u32 at, rest;
    int rc = find_parent(w, t->root, key, &parent);
    if (rc || !parent) return rc;
    at = node_branch_find(parent, key);
    rc = skip_full(w, parent, &at, &rest);
    if (rc || !rest) return rc;
    rc = tree_path_change(w, t, key, 1, &path);
    if (rc) return rc;
    parent = path.step[1].page;
    *packed += rest;
    while (!rc && rest-- && at < parent->count) {
        u32 keys = parent->count;
        bool again;
        rc = pour(w, t, &path, at, &again);
        at += !again;
        if (parent->count + (u32)again != keys) break;      /* it was cut */
    }
    return rc;
}
