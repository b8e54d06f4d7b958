/* tree/patch.c -- changes of a tree that may have a patch.
 *
 *     put, del:  in the patch, if there is one or one may begin (Z4)
 *                and there is room; else what it holds is made below,
 *                and then this.
 * What a patch is: tree/patch.h.  That a key is below is looked up before it is
 * put, so the tree's count is right at any time.
 * Not here: changes along a path (tree.c), reading (tree.c, patch_cursor.c).
 */
#include "tree/patch.h"
#include "tree/walk.h"

int patch_open(struct page_file *f, page_ref root,
               const struct page_head **patch, page_ref *below)
{
    const struct page_head *n = NULL;
    *patch = NULL;
    *below = root;
    if (root == PAGE_NONE) return 0;
    int rc = walk_top(f, root, &n);
    if (rc || !walk_is_patch(n)) return rc;
    *patch = n;
    *below = patch_below(n);
    return 0;
}

/* --------------------------------------------------------------- a page -- */

static void patch_clear(struct page_head *n, u32 bytes, page_ref below)
{
    n->count = n->dead = n->run = 0;
    n->prefix = 0;
    n->infix = PATCH_INFIX;
    n->cell_low = (u16)bytes;
    *patch_below_at(n) = below;
}

/* Cells closely, without what is dead. */
static void patch_tidy(struct page_head *n, u32 bytes)
{
    COPY_OF(copy, n, bytes);
    patch_clear(n, bytes, patch_below(copy));
    for (u32 i = 0; i < copy->count; i++) {
        struct node_cell cell;
        node_cell_load(copy, i, &cell);
        (void)node_insert(n, i, &cell);                /* it had room before */
    }
}

static u32 cell_bytes(size_t key, size_t value)
{
    return NODE_LEAF_SLOT + NODE_LEAF_CELL + (u32)(key + value);
}

/* Set slot AT to CELL, or a new one there if FRESH.  False, and nothing is
 * done: there is no room. */
static bool patch_set(struct page_head *n, u32 bytes, u32 at,
                      const struct node_cell *cell, bool fresh)
{
    u32 used = node_used(n, bytes) +
               cell_bytes(cell->suffix.size, cell->value.size);
    luge_bytes old;
    if (!fresh) {
        if (node_leaf_overwrite(n, at, cell)) return true;
        (void)node_leaf_value(n, at, &old);
        used -= cell_bytes(cell->suffix.size, old.size);
    }
    if (used > bytes || (fresh && n->count == NODE_KEYS_MAX)) return false;
    if (!fresh) node_leaf_remove(n, at);
    if (node_insert(n, at, cell)) return true;
    patch_tidy(n, bytes);
    return node_insert(n, at, cell);
}

/* --------------------------------------------------------------- changes -- */

static int make_below(struct page_work *w, struct tree *t,
                      const struct page_head *patch)
{
    int rc = 0;
    for (u32 i = 0; i < patch->count && !rc; i++) {
        luge_bytes value, key = patch_key(patch, i);
        (void)node_leaf_value(patch, i, &value);
        rc = patch_gone(patch, i) ? tree_del(w, t, key)
                                  : tree_put(w, t, key, value, NULL);
        if (rc == LUGE_NOTFOUND)
            rc = CORRUPT("a patch removes a key that is not below it");
    }
    return rc;
}

/* What the patch at the root holds is made below, and it goes. */
static int settle(struct page_work *w, struct tree *t)
{
    const struct page_head *patch = NULL;
    int rc = walk_top(w->file, t->root, &patch);
    if (rc) return rc;
    COPY_OF(copy, patch, page_bytes(w->file));
    rc = page_drop(w, t->root);
    /* Below, keys are counted that the patch took away: never too few. */
    struct tree below = {patch_below(copy), t->count + copy->count};
    if (!rc) rc = make_below(w, &below, copy);
    t->root = below.root;
    return rc;
}

/* May a patch begin above the root of T, which is ROOT?  Z4 */
static bool may_begin(const struct page_work *w, const struct tree *t,
                      const struct page_head *root)
{
    return !page_is_private(t->root) && root->level && !walk_is_patch(root) &&
           root->birth <= w->pinned;
}

static int begin(struct page_work *w, struct tree *t)
{
    struct page_head *n;
    page_ref ref;
    int rc = page_fresh(w, PAGE_PATCH, 0, &ref, &n);
    if (rc) return rc;
    patch_clear(n, page_bytes(w->file), t->root);
    t->root = ref;
    return 0;
}

/* Set CELL in the patch at the root, where slot AT has its key unless FRESH.
 * *made: there was room. */
static int set(struct page_work *w, struct tree *t, u32 at,
               const struct node_cell *cell, bool fresh, bool *made)
{
    struct page_head *n;
    int rc = page_change(w, &t->root, &n);
    if (!rc) *made = patch_set(n, page_bytes(w->file), at, cell, fresh);
    return rc;
}

/* Slot AT is not needed any more. */
static int unset(struct page_work *w, struct tree *t, u32 at)
{
    struct page_head *n;
    int rc = page_change(w, &t->root, &n);
    if (rc) return rc;
    node_leaf_remove(n, at);
    if (n->count) return 0;
    page_ref below = patch_below(n);
    rc = page_drop(w, t->root);
    t->root = below;
    return rc;
}

static int is_below(struct page_file *f, const struct page_head *patch,
                    luge_bytes key, bool *is)
{
    luge_bytes value;
    int rc = tree_get(f, patch_below(patch), key, &value);
    *is = !rc;
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Where KEY is in a tree that has a patch. */
struct place {
    u32 at;
    bool cell;             /* slot AT of the patch is the key's */
    bool exists;           /* in the tree */
};

static int find(struct page_work *w, const struct tree *t, luge_bytes key,
                struct place *p)
{
    const struct page_head *patch = NULL;
    int rc = walk_top(w->file, t->root, &patch);
    if (rc) return rc;
    p->cell = node_leaf_find(patch, key, &p->at);
    p->exists = p->cell && !patch_gone(patch, p->at);
    return p->cell ? 0 : is_below(w->file, patch, key, &p->exists);
}

static int put_cell(struct page_work *w, struct tree *t, luge_bytes key,
                    luge_bytes value, bool *existed)
{
    struct node_cell cell = {.suffix = key, .value = value,
                             .info = (u16)value.size};
    struct place p;
    bool made = false;
    int rc = find(w, t, key, &p);
    if (!rc) rc = set(w, t, p.at, &cell, !p.cell, &made);
    if (!rc && !made) rc = settle(w, t);
    if (rc || !made) return rc ? rc : tree_put(w, t, key, value, existed);
    if (existed) *existed = p.exists;
    t->count += !p.exists;
    return 0;
}

int tree_patch_put(struct page_work *w, struct tree *t, luge_bytes key,
                   luge_bytes value, bool *existed)
{
    const struct page_head *root = NULL;
    if (t->root == PAGE_NONE ||
        page_trail_stands(w, t->root))              /* its root is a node */
        return tree_put(w, t, key, value, existed);
    int rc = walk_top(w->file, t->root, &root);
    if (rc) return rc;
    bool patch = walk_is_patch(root);
    bool small = key.size <= LUGE_KEY_SIZE_MAX &&
                 node_value_inline(page_bytes(w->file), key.size, value.size);
    if (small && may_begin(w, t, root)) rc = begin(w, t);
    else if (!patch) return tree_put(w, t, key, value, existed);
    else if (!small) rc = settle(w, t);
    if (rc) return rc;
    return small ? put_cell(w, t, key, value, existed)
                 : tree_put(w, t, key, value, existed);
}

static int take(struct page_work *w, struct tree *t, luge_bytes key,
                const struct place *p)
{
    struct node_cell gone = {.suffix = key, .info = NODE_GONE};
    const struct page_head *patch = NULL;
    bool below = true, made = false;
    int rc = p->cell ? walk_top(w->file, t->root, &patch) : 0;
    if (!rc && p->cell) rc = is_below(w->file, patch, key, &below);
    if (rc) return rc;
    if (!below) rc = unset(w, t, p->at);
    else rc = set(w, t, p->at, &gone, !p->cell, &made);
    if (!rc && below && !made) rc = settle(w, t);
    if (rc || (below && !made)) return rc ? rc : tree_del(w, t, key);
    return --t->count ? 0 : tree_clear(w, t);
}

int tree_patch_del(struct page_work *w, struct tree *t, luge_bytes key)
{
    const struct page_head *root = NULL;
    struct place p;
    luge_bytes value;
    if (t->root == PAGE_NONE) return LUGE_NOTFOUND;
    int rc = walk_top(w->file, t->root, &root);
    if (rc) return rc;
    if (may_begin(w, t, root)) {
        rc = tree_get(w->file, t->root, key, &value);
        if (!rc) rc = begin(w, t);
    } else if (!walk_is_patch(root)) {
        return tree_del(w, t, key);
    }
    if (!rc) rc = find(w, t, key, &p);
    if (rc) return rc;
    if (!p.exists) return LUGE_NOTFOUND;
    if (!t->count) return CORRUPT("a tree whose count is wrong");
    return take(w, t, key, &p);
}
