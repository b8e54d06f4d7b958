/* tree/tree.c -- get, put, del and clear: what happens along one path.
 *
 * A change goes down once.  Put changes (page_change) what it passes; del looks
 * first, so that a missing key changes nothing.  Then the change goes up again
 * as far as it must:
 *
 *     put:  leaf --overfull--> shared with a neighbour; or cut in two --> a
 *           separator and a child for the parent --> ... --> a new root above
 *           the old one; and a full neighbour gives to one half
 *     del:  leaf --under a quarter--> joined with a neighbour --> one child
 *           less in the parent --> ... --> a root of one child makes way
 *
 *   T5  A node that was cut, joined or rebuilt is written from copies; its
 *       seams are compared first, so a malformed file ends in CORRUPT here.
 *   T6  A leaf that fits with no neighbour stays until it does or is empty.  It
 *       and its neighbour then fill more than one page, so pages are half full
 *       on average, and deletions do not touch full neighbours for nothing.
 *       A branch without a key must take from its neighbour: it has N6.
 * Not here: the layout of a node (node.c, strip.c), what a patch above a tree
 * changes (patch.c), cursors, the prover.
 */
#include "tree/patch.h"
#include "tree/path.h"
#include "tree/walk.h"

_Static_assert((int)NODE_LEVELS_MAX == (int)TREE_DEPTH_MAX, "node.h");
_Static_assert((int)PAGE_TRAIL_MAX == (int)TREE_DEPTH_MAX, "page.h");

/* KEY's leaf and slot, or the patch's.  Changes nothing. */
static inline int find(struct page_file *f, page_ref root, luge_bytes key,
                       const struct page_head **leaf, u32 *at)
{
    if (unlikely(root == PAGE_NONE)) return LUGE_NOTFOUND;
    const struct page_head *n = NULL;
    int rc = walk_top(f, root, &n);
    if (unlikely(!rc && walk_is_patch(n))) {
        *leaf = n;
        if (node_leaf_find(n, key, at))
            return patch_gone(n, *at) ? LUGE_NOTFOUND : 0;
        rc = walk_root(f, patch_below(n), &n);
    }
    while (!rc && n->level) rc = walk_child(f, n, node_branch_find(n, key), &n);
    if (unlikely(rc)) return rc;
    *leaf = n;
    return node_leaf_find(n, key, at) ? 0 : LUGE_NOTFOUND;
}

int tree_get(struct page_file *f, page_ref root, luge_bytes key,
             luge_bytes *value)
{
    const struct page_head *leaf;
    u32 at;
    int rc = find(f, root, key, &leaf, &at);
    return rc ? rc : walk_value(f, leaf, at, value);
}

int tree_get_private(struct page_file *f, page_ref root, luge_bytes key,
                     luge_bytes *value)
{
    page_ref ref = root;
    while (page_is_private(ref)) {
        const struct page_head *n;
        u32 at;
        int rc = page_read(f, ref, &n);
        if (rc) return rc;
        if (!n->level)
            return node_leaf_find(n, key, &at) ? walk_value(f, n, at, value)
                                               : LUGE_NOTFOUND;
        ref = node_child(n, node_branch_find(n, key));
    }
    return LUGE_NOTFOUND;
}

int tree_will_need(struct page_file *f, page_ref root, luge_bytes key,
                   page_ref *last)
{
    const struct page_head *n = NULL;
    if (root == PAGE_NONE) return 0;
    int rc = walk_top(f, root, &n);
    if (!rc && walk_is_patch(n)) rc = walk_root(f, patch_below(n), &n);
    while (!rc && n->level > 1)
        rc = walk_child(f, n, node_branch_find(n, key), &n);
    if (rc || !n->level) return rc;
    page_ref leaf = node_child(n, node_branch_find(n, key));
    if (leaf != *last && !page_is_private(leaf))
        page_will_need(f, leaf, 1);
    *last = leaf;
    return 0;
}

/* ----------------------------------------------------------------- paths -- */

int tree_change_child(struct page_work *w, struct page_head *n, u32 at,
                      struct page_head **child)
{
    page_ref old = node_child(n, at), ref = old;
    u32 level = n->level - 1u;
    if (level == 0 && (page_is_private(ref) || page_is_checked(w->file, ref)))
        walk_prefetch_leaf(w->file, ref);
    int rc = page_change(w, &ref, child);
    if (rc) return rc;
    if (ref != old) node_set_child(n, at, ref);
    if (!walk_level_is(*child, level))
        return CORRUPT("a child of kind %u and level %u where level %u "
                       "belongs", (*child)->kind, (*child)->level, level);
    return 0;
}

static int change_root(struct page_work *w, struct tree *t,
                       struct tree_path *path)
{
    const struct page_head *root = NULL;
    struct page_head *page;
    int rc = walk_root(w->file, t->root, &root);
    if (!rc) rc = page_change(w, &t->root, &page);
    if (rc) return rc;
    path->depth = page->level + 1u;
    path->step[page->level].page = page;
    return 0;
}

int tree_path_change(struct page_work *w, struct tree *t, luge_bytes key,
                     u32 lowest, struct tree_path *path)
{
    int rc = change_root(w, t, path);
    for (u32 level = path->depth - 1; !rc && level > lowest; level--) {
        struct page_head *n = path->step[level].page;
        u32 at = path->step[level].at = node_branch_find(n, key);
        rc = tree_change_child(w, n, at, &path->step[level - 1].page);
    }
    return rc;
}

/* The path to KEY, every page of it changeable. */
static int path_change(struct page_work *w, struct tree *t, luge_bytes key,
                       struct tree_path *path)
{
    return tree_path_change(w, t, key, 0, path);
}

/* ------------------------------------------------------------------- put -- */

static enum page_kind node_kind(u32 level)
{
    return level ? PAGE_BRANCH : PAGE_LEAF;
}

/* Rebuild N with CELL before slot AT, if that makes it fit; else false. */
static bool node_refit(struct page_head *n, u32 bytes, u32 at,
                       const struct node_cell *cell)
{
    struct node_strip s = node_strip_insert(n, at, cell);
    if (node_strip_dense(&s) || !node_strip_fits(&s, 0, s.count, bytes))
        return false;
    u16 run = node_run_next(n->run, at);
    COPY_OF(copy, n, bytes);
    s.before = s.after = copy;
    node_build(n, bytes, &s, 0, s.count);
    n->run = run;
    return true;
}

/* The fresh item at AT went left or right of CUT: its run goes on there. */
static void run_follow(struct page_head *left, struct page_head *right,
                       const struct node_strip *s, u32 cut, u16 run)
{
    u32 at = s->count_before, from = node_strip_right(s, cut);
    u16 next = node_run_next(run, at);
    if (at < cut) left->run = next;
    else if (at >= from) right->run = (u16)((at - from) << 3 | (next & 7));
}

/* Cut N, too full for CELL before slot AT, into itself and a new node. */
static int node_cut(struct page_work *w, struct page_head *n, u32 at,
                    const struct node_cell *cell, struct tree_cut *up)
{
    u32 bytes = page_bytes(w->file);
    struct page_head *right;
    struct node_strip s = node_strip_insert(n, at, cell);
    u16 run = n->run;
    u32 cut = node_strip_cut(&s, bytes, run);
    if (!cut) return CORRUPT("a node that cannot be cut");
    up->cell = (struct node_cell){0};
    int rc = page_fresh(w, node_kind(n->level), n->level, &up->cell.child,
                        &right);
    if (rc) return rc;
    up->cell.suffix = node_strip_separator(&s, cut, up->space);
    node_build(right, bytes, &s, node_strip_right(&s, cut), s.count);
    if (cut < n->count || at < cut) {      /* else N keeps just what it has */
        COPY_OF(copy, n, bytes);
        s.before = s.after = copy;
        node_build(n, bytes, &s, 0, cut);
    }
    run_follow(n, right, &s, cut, run);
    return 0;
}

/* Put CELL into N before slot AT.  If N had to be cut, *up tells the parent. */
static int node_put(struct page_work *w, struct page_head *n, u32 at,
                    const struct node_cell *cell, struct tree_cut *up)
{
    up->cell.child = PAGE_NONE;
    if (n->level) {
        struct node_strip s = node_strip_insert(n, at, cell);
        if (!node_strip_ordered(&s))                              /* T5 */
            return CORRUPT("a separator out of order");
    }
    if (node_insert(n, at, cell)) return 0;
    if (node_refit(n, page_bytes(w->file), at, cell)) return 0;
    return node_cut(w, n, at, cell, up);
}

static int root_raise(struct page_work *w, struct tree *t, u32 level,
                      const struct node_cell *cell)
{
    page_ref ref;
    struct page_head *root;
    if (level >= TREE_DEPTH_MAX) return CORRUPT("a tree too deep");
    int rc = page_fresh(w, node_kind(level), level, &ref, &root);
    if (rc) return rc;
    struct node_strip s = {.fresh = cell, .count = 1, .lead = t->root,
                           .leaf = !level};
    node_build(root, page_bytes(w->file), &s, 0, 1);
    t->root = ref;
    return 0;
}

int tree_path_insert(struct page_work *w, struct tree *t,
                     const struct tree_path *path, u32 level, u32 at,
                     const struct node_cell *cell)
{
    struct tree_cut cuts[2];               /* a level's own, the one below's */
    for (;;) {
        struct tree_cut *up = &cuts[level & 1];
        int rc = node_put(w, path->step[level].page, at, cell, up);
        if (rc || up->cell.child == PAGE_NONE) return rc;
        cell = &up->cell;
        if (++level == path->depth) return root_raise(w, t, level, cell);
        at = path->step[level].at;
    }
}

/* ----------------------------------------------------------------- share -- */

/* The strip of the parent's children AT and AT + 1, one of which is N. */
static int join_strip(struct page_work *w, const struct page_head *parent,
                      u32 at, const struct page_head *n, bool n_is_left,
                      struct node_cell *key, u8 *space, struct node_strip *s)
{
    const struct page_head *beside = NULL;
    int rc = walk_child(w->file, parent, n_is_left ? at + 1 : at, &beside);
    if (rc) return rc;
    const struct page_head *left = n_is_left ? n : beside;
    const struct page_head *right = n_is_left ? beside : n;
    node_cell_load(parent, at, key);
    key->suffix = node_cell_key(key, space);
    key->prefix = (luge_bytes){0};
    if (n->level) key->child = node_child(right, 0);
    *s = node_strip_join(left, n->level ? key : NULL, right);
    return node_strip_ordered(s) ? 0 : CORRUPT("siblings out of order");
}

/* Share the items of PARENT's children AT and AT + 1 anew between them.  *up
 * is the key between them now; the parent's old one is gone. */
static int balance(struct page_work *w, struct page_head *parent, u32 at,
                   struct tree_cut *up)
{
    u32 bytes = page_bytes(w->file);
    u8 space[LUGE_KEY_SIZE_MAX];
    struct page_head *left, *right;
    struct node_cell key;
    struct node_strip s;
    int rc = tree_change_child(w, parent, at, &left);
    if (!rc) rc = tree_change_child(w, parent, at + 1, &right);
    if (rc) return rc;
    COPY_OF(left_copy, left, bytes);
    COPY_OF(right_copy, right, bytes);
    rc = join_strip(w, parent, at, left_copy, true, &key, space, &s);
    if (rc) return rc;
    s.after = right_copy;
    u32 cut = node_strip_cut(&s, bytes, 0);
    if (!cut) return CORRUPT("siblings that cannot be balanced");
    up->cell = (struct node_cell){.child = node_child(parent, at + 1)};
    up->cell.suffix = node_strip_separator(&s, cut, up->space);
    /* What keeps just what it has may not fit if it is made anew. */
    if (cut != left_copy->count) node_build(left, bytes, &s, 0, cut);
    node_build(right, bytes, &s, node_strip_right(&s, cut), s.count);
    node_branch_remove(parent, at, 1);
    return 0;
}

/* The bytes that the parent's child AT uses; none, if there is no such child or
 * it would have to be read from the device to know. */
static int used_beside(struct page_work *w, const struct page_head *parent,
                       u32 at, u32 *used)
{
    const struct page_head *page = NULL;
    *used = 0;
    if (at > parent->count) return 0;           /* also of 0 - 1 */
    page_ref ref = node_child(parent, at);
    if (!page_is_private(ref) && !page_is_checked(w->file, ref)) return 0;
    int rc = walk_child(w->file, parent, at, &page);
    if (!rc) *used = node_used(page, page_bytes(w->file));
    return rc;
}

/* The path's leaf and the neighbour right of it, or else the one left of it,
 * share their items, if together they use more than LEAST and no more than MOST
 * bytes.  *shared: the path is void. */
static int share_beside(struct page_work *w, struct tree *t,
                        const struct tree_path *path, u32 least, u32 most,
                        bool *shared)
{
    struct page_head *parent = path->step[1].page;
    u32 child = path->step[1].at, beside;
    u32 used = node_used(path->step[0].page, page_bytes(w->file));
    struct tree_cut up;
    int rc = 0;
    for (u32 i = 0; i < 2 && !rc && !*shared; i++) {
        u32 left = child - i;                   /* with the right one first */
        rc = used_beside(w, parent, i ? left : left + 1, &beside);
        if (rc || !beside || used + beside <= least || used + beside > most)
            continue;
        *shared = true;
        rc = balance(w, parent, left, &up);
        if (!rc) rc = tree_path_insert(w, t, path, 1, left, &up.cell);
    }
    return rc;
}

static u32 leaf_room(const struct page_head *leaf, const struct node_cell *cell)
{
    u32 key = (u32)cell->suffix.size;
    return NODE_LEAF_SLOT + NODE_LEAF_CELL + (u32)cell->value.size + key -
           (u32)min_u64(leaf->prefix, key);
}

/* CELL, in the middle of keys, does not fit before slot AT. */
static bool leaf_is_full(const struct page_head *leaf, u32 bytes, u32 at,
                         const struct node_cell *cell)
{
    return node_used(leaf, bytes) + leaf_room(leaf, cell) > bytes &&
           node_run_kind(node_run_next(leaf->run, at)) == RUN_NONE;
}

/* What two leaves may use together so that sharing is worth it. */
static u32 pair_most(u32 bytes)
{
    return 2 * bytes - bytes / 7;
}

/* The path's leaf is full: a neighbour that has room, and is in memory, takes
 * some of its items, as in Knuth's B*-tree; if there is none, the leaf is cut.
 * It costs a put what a cut does (docs/why/share.md).  *shared: the path is
 * void. */
static int leaf_share(struct page_work *w, struct tree *t,
                      const struct tree_path *path, bool *shared)
{
    return share_beside(w, t, path, 0, pair_most(page_bytes(w->file)), shared);
}

/* KEY's leaf is one half of a cut, which use no more than HALVES bytes: a full
 * one beside it gives to it, so that two have become three. */
static int leaf_spread(struct page_work *w, struct tree *t, luge_bytes key,
                       u32 halves)
{
    struct tree_path path;
    bool shared = false;
    int rc = path_change(w, t, key, &path);
    return rc ? rc : share_beside(w, t, &path, halves,
                                  pair_most(page_bytes(w->file)), &shared);
}

/* ----------------------------------------------------------------- trail -- */

/* A key behind all others goes to the last leaf without a descent and without a
 * search in three nodes.  A load in order does nothing else: 1480 instructions
 * a record with its share of log and checkpoint, 2500 before (load-sorted). */

static bool is_last(const struct tree_path *path, u32 at)
{
    u32 level = path->depth;
    while (--level > 0)
        if (path->step[level].at != path->step[level].page->count)
            return false;
    return at == path->step[0].page->count;
}

/* W has changed all that is on the way to the last leaf of T. */
static int trail_lay(struct page_work *w, const struct tree *t)
{
    struct page_trail *trail = &w->trail;
    page_ref ref = t->root;
    struct page_head *n;
    int rc = page_change(w, &ref, &n);
    assert(rc || ref == t->root);
    if (!rc) trail->depth = n->level + 1u;
    while (!rc) {
        trail->pages[n->level] = n;
        if (!n->level) break;
        rc = tree_change_child(w, n, n->count, &n);
    }
    if (rc) return rc;
    trail->epoch = w->epoch;
    trail->root = ref;
    return 0;
}

static void trail_path(const struct page_trail *trail, struct tree_path *path)
{
    path->depth = trail->depth;
    for (u32 i = 0; i < path->depth; i++) {
        path->step[i].page = trail->pages[i];
        path->step[i].at = trail->pages[i]->count;
    }
}

/* ----------------------------------------------------------------- place -- */

/* The extent of slot AT, if it has one, is not needed any more. */
static int drop_value(struct page_work *w, const struct page_head *leaf,
                      u32 at)
{
    luge_bytes value;
    struct page_extent extent;
    if (!node_leaf_value(leaf, at, &value)) return 0;
    memcpy(&extent, value.data, sizeof extent);
    return page_extent_drop(w, &extent);
}

/* Insert CELL, of KEY, before slot AT of the path's leaf.  *shared: first the
 * leaf gave to a neighbour. */
static int path_place(struct page_work *w, struct tree *t,
                      struct tree_path *path, u32 at, luge_bytes key,
                      const struct node_cell *cell, bool *shared)
{
    const struct page_head *leaf = path->step[0].page;
    u32 bytes = page_bytes(w->file), halves = bytes + leaf_room(leaf, cell);
    bool full = path->depth > 1 && leaf_is_full(leaf, bytes, at, cell);
    int rc = 0;
    *shared = false;
    if (full) rc = leaf_share(w, t, path, shared);
    if (!rc && *shared) rc = path_change(w, t, key, path);
    if (rc) return rc;
    if (*shared) (void)node_leaf_find(path->step[0].page, key, &at);
    rc = tree_path_insert(w, t, path, 0, at, cell);
    return rc || !full || *shared ? rc : leaf_spread(w, t, key, halves);
}

/* CELL, of KEY, in the place of what slot AT of the path's leaf has. */
static int path_replace(struct page_work *w, struct tree *t,
                        struct tree_path *path, u32 at, luge_bytes key,
                        const struct node_cell *cell)
{
    struct page_head *leaf = path->step[0].page;
    bool shared;
    int rc = drop_value(w, leaf, at);
    if (rc || node_leaf_overwrite(leaf, at, cell)) return rc;
    u16 run = leaf->run;
    node_leaf_remove(leaf, at);
    leaf->run = 0;
    rc = path_place(w, t, path, at, key, cell, &shared);
    if (!rc && !shared) leaf->run = run;
    return rc;
}

/* The cell of KEY and VALUE; a large value is written first. */
static int cell_make(struct page_work *w, luge_bytes key, luge_bytes value,
                     struct page_extent *extent, struct node_cell *cell)
{
    if (key.size > LUGE_KEY_SIZE_MAX)
        return fail(LUGE_TOOBIG, "a key of %zu bytes", key.size);
    if (value.size > LUGE_VALUE_SIZE_MAX)
        return fail(LUGE_TOOBIG, "a value of %zu bytes", value.size);
    *cell = (struct node_cell){.suffix = key, .value = value,
                               .info = (u16)value.size};
    if (node_value_inline(page_bytes(w->file), key.size, value.size)) return 0;
    cell->info = NODE_EXTENT;
    cell->value = (luge_bytes){extent, sizeof *extent};
    return page_extent_write(w, value, extent);
}

/* Add CELL, of KEY, before slot AT of the path's leaf. */
static int path_add(struct page_work *w, struct tree *t,
                    struct tree_path *path, u32 at, luge_bytes key,
                    const struct node_cell *cell)
{
    bool shared, last = is_last(path, at);
    int rc = path_place(w, t, path, at, key, cell, &shared);
    if (!rc) t->count++;
    return rc || !last ? rc : trail_lay(w, t);
}

int tree_put(struct page_work *w, struct tree *t, luge_bytes key,
             luge_bytes value, bool *existed)
{
    struct page_extent extent;
    struct node_cell cell;
    struct tree_path path;
    u32 at;
    if (existed) *existed = false;
    int rc = cell_make(w, key, value, &extent, &cell);
    if (rc) return rc;
    if (t->root == PAGE_NONE) {
        rc = root_raise(w, t, 0, &cell);
        t->count = rc ? 0 : 1;
        return rc;
    }
    if (page_trail_stands(w, t->root)) {
        struct page_head *leaf = w->trail.pages[0];
        if (node_leaf_append(leaf, &cell)) {
            t->count++;
            return 0;
        }
        if (node_leaf_before(leaf, key)) {
            trail_path(&w->trail, &path);
            return path_add(w, t, &path, leaf->count, key, &cell);
        }
    }
    rc = path_change(w, t, key, &path);
    if (rc) return rc;
    if (node_leaf_find(path.step[0].page, key, &at)) {
        if (existed) *existed = true;
        return path_replace(w, t, &path, at, key, &cell);
    }
    return path_add(w, t, &path, at, key, &cell);
}

/* ------------------------------------------------------------------- del -- */

/* Child AT of N is not needed any more, nor the key beside it. */
static int drop_child(struct page_work *w, struct page_head *n, u32 at)
{
    int rc = page_drop(w, node_child(n, at));
    if (!rc) node_branch_remove(n, at ? at - 1 : 0, at ? 1 : 0);
    return rc;
}

/* Join N, child AT of PARENT, with a neighbour if both fit into LIMIT bytes.
 * It is N that stays: it can be changed already, and the other goes. */
static int join_beside(struct page_work *w, struct page_head *parent, u32 at,
                       bool n_is_left, struct page_head *n, u32 limit,
                       bool *joined)
{
    u32 bytes = page_bytes(w->file), key_at = n_is_left ? at : at - 1;
    u8 space[LUGE_KEY_SIZE_MAX];
    struct node_cell key;
    struct node_strip s;
    COPY_OF(copy, n, bytes);
    int rc = join_strip(w, parent, key_at, copy, n_is_left, &key, space, &s);
    if (rc || !node_strip_fits(&s, 0, s.count, limit)) return rc;
    node_build(n, bytes, &s, 0, s.count);
    *joined = true;
    rc = page_drop(w, node_child(parent, n_is_left ? at + 1 : at - 1));
    node_branch_remove(parent, key_at, n_is_left);
    return rc;
}

/* The path's node at LEVEL has a single child, and no neighbour to join. */
static int balance_beside(struct page_work *w, struct tree *t,
                          const struct tree_path *path, u32 level)
{
    struct tree_cut up;
    struct page_head *parent = path->step[level + 1].page;
    u32 at = path->step[level + 1].at;
    if (at == parent->count) at--;
    int rc = balance(w, parent, at, &up);
    return rc ? rc : tree_path_insert(w, t, path, level + 1, at, &up.cell);
}

/* The path's node at LEVEL is underfull.  *lost: its parent has a child less.
 * What is joined leaves an eighth free, or the next put would cut it again. */
static int relieve(struct page_work *w, struct tree *t,
                   const struct tree_path *path, u32 level, bool *lost)
{
    u32 bytes = page_bytes(w->file), at = path->step[level + 1].at;
    struct page_head *n = path->step[level].page;
    struct page_head *parent = path->step[level + 1].page;
    u32 limit = n->count ? bytes - bytes / 8 : bytes;
    int rc = 0;
    *lost = level == 0 && n->count == 0;
    if (*lost) return drop_child(w, parent, at);
    if (at > 0) rc = join_beside(w, parent, at, false, n, limit, lost);
    if (!rc && !*lost && at < parent->count)
        rc = join_beside(w, parent, at, true, n, limit, lost);
    if (rc || *lost || n->count) return rc;                       /* T6 */
    return balance_beside(w, t, path, level);
}

/* The root is empty, or a branch with one child: it makes way. */
static int root_lower(struct page_work *w, struct tree *t,
                      const struct page_head *root)
{
    if (root->count) return 0;
    page_ref below = root->level ? node_child(root, 0) : PAGE_NONE;
    int rc = page_drop(w, t->root);
    t->root = below;
    return rc;
}

static int path_relieve(struct page_work *w, struct tree *t,
                        const struct tree_path *path)
{
    u32 bytes = page_bytes(w->file), level = 0;
    for (; level + 1 < path->depth; level++) {
        bool lost = false;
        if (!node_underfull(path->step[level].page, bytes)) return 0;
        int rc = relieve(w, t, path, level, &lost);
        if (rc || !lost) return rc;
    }
    return root_lower(w, t, path->step[level].page);
}

int tree_del(struct page_work *w, struct tree *t, luge_bytes key)
{
    const struct page_head *found;
    struct tree_path path;
    u32 at;
    int rc = find(w->file, t->root, key, &found, &at);
    if (!rc) rc = path_change(w, t, key, &path);
    if (rc) return rc;
    struct page_head *leaf = path.step[0].page;
    if (!node_leaf_find(leaf, key, &at) || !t->count)
        return CORRUPT("a tree whose count is wrong");
    rc = drop_value(w, leaf, at);
    if (rc) return rc;
    node_leaf_remove(leaf, at);
    t->count--;
    return path_relieve(w, t, &path);
}

/* ---------------------------------------------------- all pages of a tree - */

int tree_page_visit(const struct page_head *page, u32 page_bytes_,
                    const struct tree_visit *visit)
{
    struct page_extent extent;
    luge_bytes value;
    int rc = 0;
    (void)page_bytes_;
    if (walk_is_patch(page)) return 0;      /* it holds no large value */
    if (page->level) {
        for (u32 i = 0; !rc && visit->child && i <= page->count; i++)
            rc = visit->child(visit->context, node_child(page, i),
                              page->level - 1u);
        return rc;
    }
    for (u32 i = 0; !rc && visit->extent && i < page->count; i++) {
        if (!node_leaf_value(page, i, &value)) continue;
        memcpy(&extent, value.data, sizeof extent);
        rc = visit->extent(visit->context, &extent);
    }
    return rc;
}

page_ref *tree_page_children(struct page_head *page, u32 *count)
{
    bool patch = walk_is_patch(page);
    *count = page->level ? page->count + 1u : patch;
    if (patch) return patch_below_at(page);
    if (!page->level) return NULL;
    return (page_ref *)(void *)((u8 *)page + node_slots_at(page));
}

int tree_clear(struct page_work *w, struct tree *t)
{
    int rc = tree_release(w, t->root, PAGE_NONE);
    if (!rc) *t = (struct tree){.root = PAGE_NONE};
    return rc;
}
