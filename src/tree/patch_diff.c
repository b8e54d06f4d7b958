/* tree/patch_diff.c -- the keys in which two trees differ, if one has a patch.
 *
 *     below A and B:  differences in the order of keys     ..k.....m...
 *     patch of A, of B:  cells in the order of keys        ..k..l......
 * A key that has a cell in either is looked up in both trees; what differs
 * below is told where no cell says otherwise.
 * Not here: the walk through the trees below (diff.c).
 */
#include "tree/patch.h"

struct patched {
    struct page_file *file;
    page_ref a, b;
    const struct page_head *patch[2];      /* NULL: none */
    u32 at[2];                             /* the next cell of each */
    tree_diff_fn fn;
    void *context;
};

static bool cell_key(const struct patched *p, u32 side, luge_bytes *key)
{
    if (!p->patch[side] || p->at[side] == p->patch[side]->count) return false;
    *key = patch_key(p->patch[side], p->at[side]);
    return true;
}

/* The next key that has a cell, and past it. */
static bool next_cell(struct patched *p, luge_bytes *key)
{
    luge_bytes k[2];
    bool is[2] = {cell_key(p, 0, &k[0]), cell_key(p, 1, &k[1])};
    int order = !is[0] ? 1 : !is[1] ? -1 : bytes_compare(k[0], k[1]);
    if (!is[0] && !is[1]) return false;
    *key = order <= 0 ? k[0] : k[1];
    p->at[0] += order <= 0;
    p->at[1] += order >= 0;
    return true;
}

static int tell(const struct patched *p, luge_bytes key)
{
    luge_bytes before, after;
    int was = tree_get(p->file, p->a, key, &before);
    int is = tree_get(p->file, p->b, key, &after);
    if (was && was != LUGE_NOTFOUND) return was;
    if (is && is != LUGE_NOTFOUND) return is;
    if ((was && is) || (!was && !is && bytes_equal(before, after))) return 0;
    return p->fn(p->context, key, was ? NULL : &before, is ? NULL : &after);
}

/* The next cell's key is before KEY, or is it. */
static bool cell_until(const struct patched *p, luge_bytes key, bool *same)
{
    bool any = false;
    *same = false;
    for (u32 side = 0; side < 2; side++) {
        luge_bytes cell;
        if (!cell_key(p, side, &cell)) continue;
        int order = bytes_compare(cell, key);
        any |= order <= 0;
        *same |= order == 0;
    }
    return any;
}

static int differs_below(void *context, luge_bytes key,
                         const luge_bytes *before, const luge_bytes *after)
{
    struct patched *p = context;
    luge_bytes cell;
    bool same, said = false;
    int rc = 0;
    while (!rc && cell_until(p, key, &same)) {
        said |= same;
        (void)next_cell(p, &cell);
        rc = tell(p, cell);
    }
    return rc || said ? rc : p->fn(p->context, key, before, after);
}

int patch_diff(struct page_file *f, page_ref a, page_ref b, tree_diff_fn fn,
               void *context)
{
    struct patched p = {.file = f, .a = a, .b = b, .fn = fn,
                        .context = context};
    page_ref below[2];
    luge_bytes key;
    int rc = patch_open(f, a, &p.patch[0], &below[0]);
    if (!rc) rc = patch_open(f, b, &p.patch[1], &below[1]);
    if (!rc) rc = tree_diff(f, below[0], below[1], differs_below, &p);
    while (!rc && next_cell(&p, &key)) rc = tell(&p, key);
    return rc;
}
