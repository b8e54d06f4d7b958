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
 *   K2  Nothing changes above a parent: it keeps a key (N6), and has room for
 *       a separator that is longer than before.
 * Not here: when it is worth it, and in what portions (txn/compact.c).
 */
#include "tree/patch.h"
#include "tree/path.h"
#include "tree/walk.h"

enum {
    GROUP = 128,                /* leaves that are packed together */
    WORTH = 32,                 /* one of so many must go: groups packed before
                                   end in a leaf that is not full */
};

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

/* At most one page too many: PREFIX may be less than a page's own. */
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
             node_prefix_room(f.prefix);
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
    if (node->level == 1) {
        for (u32 from = 0; from < node->count && !rc; from += GROUP)
            rc = look_at_group(l, node, from,
                               (u32)min_u64(from + GROUP - 1, node->count));
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

/* Is all of the way to KEY's leaf its own?  Then there is a parent. (K1) */
static int is_own(const struct page_work *w, page_ref root, luge_bytes key,
                  bool *own)
{
    const struct page_head *node = NULL;
    page_ref ref = root;
    *own = false;
    if (root == PAGE_NONE) return 0;
    int rc = walk_top(w->file, root, &node);
    if (rc || !node->level || walk_is_patch(node)) return rc;
    while (!rc && !walk_shared(ref, node, w->pinned)) {
        if (!node->level) *own = true;
        if (!node->level) break;
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

/* Is there room in PARENT for UP in the place of key AT?  (K2) */
static bool may_change(const struct page_head *parent, u32 at, u32 bytes,
                       const struct tree_cut *up)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    u32 now = room_of(parent, walk_key(parent, at, space).size);
    u32 next = room_of(parent, up->cell.suffix.size);
    return next <= now || node_used(parent, bytes) - now + next <= bytes;
}

/* As many items of S as go into the left page, so that there is room in PARENT
 * for what separates them from the others: *up.  As many as now: none. */
static u32 choose(const struct node_strip *s, const struct page_head *parent,
                  u32 at, u32 bytes, struct tree_cut *up)
{
    u32 cut = most(s, bytes);
    if (cut == s->count && parent->count == 1) cut--;
    for (; cut > s->count_before && cut < s->count; cut--) {
        up->cell.suffix = node_strip_separator(s, cut, up->space);
        if (may_change(parent, at, bytes, up)) break;
    }
    return cut;
}

/* The path's parent has two leaves at AT, LEFT and RIGHT: the first takes what
 * it can of the second.  *gone: that was all of it. */
static int pour(struct page_work *w, struct tree *t,
                const struct tree_path *path, u32 at,
                const struct page_head *left, const struct page_head *right,
                bool *gone)
{
    u32 bytes = page_bytes(w->file);
    struct page_head *parent = path->step[1].page, *to, *from;
    struct tree_cut up = {.cell.child = PAGE_NONE};
    COPY_OF(left_copy, left, bytes);
    COPY_OF(right_copy, right, bytes);
    struct node_strip s = node_strip_join(left_copy, NULL, right_copy);
    if (!node_strip_ordered(&s)) return CORRUPT("leaves out of order");
    u32 cut = choose(&s, parent, at, bytes, &up);
    if (cut == left->count) return 0;
    *gone = cut == s.count;
    int rc = tree_change_child(w, parent, at, &to);
    if (!rc && !*gone) rc = tree_change_child(w, parent, at + 1, &from);
    if (rc) return rc;
    up.cell.child = node_child(parent, at + 1);
    node_build(to, bytes, &s, 0, cut);
    if (!*gone) node_build(from, bytes, &s, cut, s.count);
    node_branch_remove(parent, at, 1);
    return *gone ? page_drop(w, up.cell.child)
                 : tree_path_insert(w, t, path, 1, at, &up.cell);
}

/* The same for those children of the path's parent that are there now. */
static int pour_child(struct page_work *w, struct tree *t,
                      const struct tree_path *path, u32 at, bool *gone)
{
    const struct page_head *parent = path->step[1].page;
    const struct page_head *left = NULL, *right = NULL;
    int rc = walk_child(w->file, parent, at, &left);
    if (!rc) rc = walk_child(w->file, parent, at + 1, &right);
    if (rc || walk_shared(node_child(parent, at), left, w->pinned) ||
        walk_shared(node_child(parent, at + 1), right, w->pinned))
        return rc;                                                   /* K1 */
    return pour(w, t, path, at, left, right, gone);
}

int tree_pack(struct page_work *w, struct tree *t, luge_bytes key, u64 *packed)
{
    struct tree_path path;
    bool own;
    int rc = is_own(w, t->root, key, &own);
    if (rc || !own) return rc;
    rc = tree_path_change(w, t, key, 1, &path);
    if (rc) return rc;
    const struct page_head *parent = path.step[1].page;
    u32 at = node_branch_find(parent, key);
    for (u32 i = 1; i < GROUP && at < parent->count && !rc; i++) {
        u32 keys = parent->count;
        bool gone = false;
        rc = pour_child(w, t, &path, at, &gone);
        ++*packed;
        at += !gone;
        if (parent->count + (u32)gone != keys) break;   /* it was cut */
    }
    return rc;
}
