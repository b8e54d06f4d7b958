/* tree/diff.c -- the keys in which two trees differ.
 *
 * Two places move through the trees in the order of keys.  A place is at a key,
 * or before a page that was not entered yet:
 *
 *     A:  [ p1 | p2 | p3 ]          B:  [ p1 | q2 | r2 | p3 ]
 *          same: past it                  ^ entered, and p2
 *
 *   Y1  If both are before the same page, both go past it: what is below is
 *       the same.  That is why the walk takes time in proportion to changes,
 *       and it does not matter if pages were cut or joined in between.
 *   Y2  Else the one that begins with the lesser key goes on; of two that begin
 *       with the same, the higher one is entered, so that both come to be
 *       before pages of one level.
 * Not here: patches (patch_diff.c); which trees, whose transaction (store/).
 */
#include "tree/patch.h"
#include "tree/tree.h"
#include "tree/walk.h"

enum { AT_KEY = -1 };

struct side {
    struct page_file *file;
    bool done;
    int level;               /* of the page we are before; AT_KEY */
    u32 top;                 /* level of the root */
    page_ref ref;            /* that page */
    struct {
        const struct page_head *page;
        u32 at;
    } step[TREE_DEPTH_MAX];
};

static int begin(struct side *s, struct page_file *f, page_ref root)
{
    const struct page_head *n = NULL;
    s->file = f;
    s->ref = root;
    s->done = root == PAGE_NONE;
    int rc = s->done ? 0 : walk_root(f, root, &n);
    if (!rc && n) s->top = n->level;
    s->level = (int)s->top;
    return rc;
}

/* Into the page we are before. */
static int enter(struct side *s)
{
    u32 level = (u32)s->level;
    const struct page_head *n = NULL;
    int rc = level == s->top
                 ? walk_root(s->file, s->ref, &n)
                 : walk_child(s->file, s->step[level + 1].page,
                              s->step[level + 1].at, &n);
    if (rc) return rc;
    s->step[level].page = n;
    s->step[level].at = 0;
    s->level = level ? (int)level - 1 : AT_KEY;
    if (level) s->ref = node_child(n, 0);
    return 0;
}

/* Past the key or the page. */
static void pass(struct side *s)
{
    if (s->level == AT_KEY && ++s->step[0].at < s->step[0].page->count) return;
    for (u32 level = (u32)(s->level + (s->level == AT_KEY) + 1);
         level <= s->top; level++) {
        const struct page_head *n = s->step[level].page;
        if (++s->step[level].at > n->count) continue;
        s->level = (int)level - 1;
        s->ref = node_child(n, s->step[level].at);
        return;
    }
    s->done = true;
}

/* The key we are at, or the least that the page before us may hold. */
static luge_bytes low(const struct side *s, u8 *space)
{
    if (s->level == AT_KEY)
        return walk_key(s->step[0].page, s->step[0].at, space);
    for (u32 level = (u32)s->level + 1; level <= s->top; level++)
        if (s->step[level].at)
            return walk_key(s->step[level].page, s->step[level].at - 1, space);
    return luge_bytes_of("", 0);
}

struct diff {
    struct side a, b;
    tree_diff_fn fn;
    void *context;
};

static int tell(const struct diff *d, const struct side *a,
                const struct side *b)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    const struct side *any = a ? a : b;
    luge_bytes before, after;
    luge_bytes key = walk_key(any->step[0].page, any->step[0].at, space);
    int rc = a ? walk_value(a->file, a->step[0].page, a->step[0].at, &before)
               : 0;
    if (!rc && b)
        rc = walk_value(b->file, b->step[0].page, b->step[0].at, &after);
    if (rc || (a && b && bytes_equal(before, after))) return rc;
    return d->fn(d->context, key, a ? &before : NULL, b ? &after : NULL);
}

/* Are the values the same without being looked at?  Large ones are read only
 * if they lie in different places and are of one size. */
static bool same_cell(const struct side *a, const struct side *b)
{
    struct page_extent x, y;
    luge_bytes v, w;
    bool large = node_leaf_value(a->step[0].page, a->step[0].at, &v);
    if (node_leaf_value(b->step[0].page, b->step[0].at, &w) != large)
        return false;
    if (!large) return bytes_equal(v, w);
    memcpy(&x, v.data, sizeof x);
    memcpy(&y, w.data, sizeof y);
    return x.first == y.first && x.size == y.size;
}

/* One side only: its key goes to FN, its page is entered. */
static int go_alone(const struct diff *d, struct side *s, bool is_a)
{
    if (s->level != AT_KEY) return enter(s);
    int rc = is_a ? tell(d, s, NULL) : tell(d, NULL, s);
    pass(s);
    return rc;
}

static int go_both(struct diff *d)
{
    struct side *a = &d->a, *b = &d->b;
    int rc = 0;
    if (a->level > b->level) return enter(a);                     /* Y2 */
    if (a->level != AT_KEY || b->level != AT_KEY) return enter(b);
    if (!same_cell(a, b)) rc = tell(d, a, b);
    pass(a);
    pass(b);
    return rc;
}

static int step(struct diff *d)
{
    u8 space[2][LUGE_KEY_SIZE_MAX];
    struct side *a = &d->a, *b = &d->b;
    if (b->done) return go_alone(d, a, true);
    if (a->done) return go_alone(d, b, false);
    if (a->level != AT_KEY && a->level == b->level && a->ref == b->ref) {
        pass(a);                                                  /* Y1 */
        pass(b);
        return 0;
    }
    int order = bytes_compare(low(a, space[0]), low(b, space[1]));
    if (!order) return go_both(d);
    return order < 0 ? go_alone(d, a, true) : go_alone(d, b, false);
}

int tree_diff(struct page_file *f, page_ref a, page_ref b, tree_diff_fn fn,
              void *context)
{
    struct diff d = {.fn = fn, .context = context};
    const struct page_head *patch[2] = {NULL, NULL};
    page_ref below;
    if (a == b) return 0;
    int rc = patch_open(f, a, &patch[0], &below);
    if (!rc) rc = patch_open(f, b, &patch[1], &below);
    if (rc) return rc;
    if (patch[0] || patch[1]) return patch_diff(f, a, b, fn, context);
    rc = begin(&d.a, f, a);
    if (!rc) rc = begin(&d.b, f, b);
    while (!rc && !(d.a.done && d.b.done)) rc = step(&d);
    return rc;
}
