/* tree/cursor.c -- a place in the order of keys.
 *
 * path[0] is the leaf and its slot, path[i] the branch of level i and the child
 * that the path takes.  A step within a leaf counts path[0].at; at a leaf's end
 * the path goes up to the first branch with another child on that side, and
 * down again along the near edge.
 *   C1  A positioned cursor (depth > 0) is at an existing key.
 *   C2  Whatever answers other than 0 leaves the cursor unpositioned.
 *   C3  The leaves are read ahead of the cursor (window > 0) from when its
 *       thread was seen to wait for the device at half of its leaves.
 * Not here: what happens after a change of the tree (seek again).
 */
#include "tree/patch.h"
#include "tree/tree.h"
#include "tree/walk.h"

enum side { LEFT_SIDE, RIGHT_SIDE };

enum { PREFETCH_MAX = 1024 };  /* bytes a step: 16 lines; a core has about 20
                                  misses under way at once */

enum {
    LOOK_FIRST = 4,            /* leaves before it looks whether it waited: */
    LOOK_LAST = 32,            /*   a look costs half of an entered leaf */
    AHEAD_FIRST = 16,
    AHEAD_LAST = 512,          /* leaves: 2 MiB */
    SWEEP_PAGES = 16384,       /* 64 MiB in the order of the file */
};

static int cursor_lost(struct tree_cursor *c, int rc)
{
    c->depth = 0;                                                 /* C2 */
    return rc;
}

/* Begin to fetch the leaf on SIDE of this one: its slots now, the rest from its
 * end on, where the cells are, a piece at each step (tree_cursor_prefetch). */
static void prefetch_begin(struct tree_cursor *c, enum side side)
{
    const struct page_head *parent = c->path[1].page;
    u32 at = c->path[1].at;
    c->stride = 0;
    if (c->depth < 2 || at == (side == LEFT_SIDE ? 0 : parent->count)) return;
    page_ref ref = node_child(parent, side == LEFT_SIDE ? at - 1 : at + 1);
    u32 bytes = page_bytes(c->file);
    walk_prefetch_leaf(c->file, ref);
    c->stride = bytes / c->path[0].page->count;
    if (c->stride > PREFETCH_MAX) c->stride = PREFETCH_MAX;
    c->ahead = walk_address(c->file, ref) + bytes - c->stride;
}

/* In the leaf that a seek led to, cells lie anywhere: the next ones are asked
 * for together, by a seek forward or at the first step, and then one at each.
 * Of the leaf beside it nothing is wanted until it is near.  (range-10: 1.0 us
 * each against 1.4 with neither.) */
static void prefetch_near(struct tree_cursor *c, enum side to)
{
    const struct page_head *leaf = c->path[0].page;
    u32 at = c->path[0].at, left = to == RIGHT_SIDE ? leaf->count - 1u - at
                                                    : at;
    u32 from = c->steps ? NODE_NEAR_CELLS : 1;
    c->steps = 1;
    if (left < NODE_NEAR_CELLS) prefetch_begin(c, to);
    for (u32 i = from; i <= NODE_NEAR_CELLS && i <= left; i++)
        node_leaf_prefetch(leaf, to == RIGHT_SIDE ? at + i : at - i);
}

/* Ask for COUNT leaves on side TO, those that were asked for already left out.
 * Parents on the way are read; errors are for who gets there. */
static void ask_ahead(struct tree_cursor *c, enum side to, u32 count)
{
    const struct page_head *parent = c->path[1].page;
    u32 skip = c->asked, at = c->path[1].at;
    u32 up = c->depth > 2 ? c->path[2].at : 0;
    while (count) {
        u32 room = to == RIGHT_SIDE ? parent->count - at : at;
        u32 n = room > skip ? room - skip : 0;
        if (n > count) n = count;
        if (n && to == RIGHT_SIDE)
            walk_will_need(c->file, parent, at + skip + 1, at + skip + n);
        else if (n)
            walk_will_need(c->file, parent, at - skip - n, at - skip - 1);
        skip -= skip < room ? skip : room;
        count -= n;
        c->asked += n;
        if (!count || c->depth < 3) return;
        if (up == (to == RIGHT_SIDE ? c->path[2].page->count : 0)) return;
        up = to == RIGHT_SIDE ? up + 1 : up - 1;
        if (walk_child(c->file, c->path[2].page, up, &parent)) return;
        at = to == RIGHT_SIDE ? UINT32_MAX : parent->count + 1u;
    }
}

/* Are the leaves in memory?  C3.  (Cold scan of 4 M random pairs, device of
 * 100 us: one after another 39 s, so 2.6 s; docs/why/larger-than-memory.md.) */
static void read_ahead(struct tree_cursor *c, enum side to)
{
    if (c->asked) c->asked--;
    if (likely(!c->window)) {
        if (++c->leaves < c->look_at) return;
        u32 since = c->leaves / 2;
        u64 waits = os_thread_waits(), before = c->waits;
        if (since > LOOK_LAST) since = LOOK_LAST;
        c->waits = waits;
        c->look_at += c->leaves < LOOK_LAST ? c->leaves : LOOK_LAST;
        if (c->leaves == LOOK_FIRST || waits - before < since / 2) return;
        c->window = AHEAD_FIRST;
    }
    if (c->asked > c->window / 2) return;
    if (c->window == AHEAD_LAST &&
        page_will_need_all(c->file, &c->sweep, SWEEP_PAGES)) {
        c->asked = c->window;
        return;
    }
    ask_ahead(c, to, c->window - c->asked);
    if (c->window < AHEAD_LAST) c->window *= 2;
}

/* Down from path[level], whose place is set, along one edge to a leaf. */
static int descend_edge(struct tree_cursor *c, u32 level, enum side side)
{
    for (; level > 0; level--) {
        const struct page_head *child = NULL;
        int rc = walk_child(c->file, c->path[level].page, c->path[level].at,
                            &child);
        if (rc) return cursor_lost(c, rc);
        c->path[level - 1].page = child;
        c->path[level - 1].at = side == LEFT_SIDE ? 0
                              : level > 1 ? child->count : child->count - 1u;
    }
    return 0;
}

/* To the next leaf's first slot, or the previous one's last. */
static int leaf_beside(struct tree_cursor *c, enum side to)
{
    for (int level = 1; level < c->depth; level++) {
        u32 at = c->path[level].at;
        if (to == RIGHT_SIDE ? at >= c->path[level].page->count : at == 0)
            continue;
        c->path[level].at = to == RIGHT_SIDE ? at + 1 : at - 1;
        int rc = descend_edge(c, (u32)level,
                              to == RIGHT_SIDE ? LEFT_SIDE : RIGHT_SIDE);
        if (rc) return rc;
        read_ahead(c, to);
        prefetch_begin(c, to);
        return 0;
    }
    return cursor_lost(c, LUGE_NOTFOUND);
}

int cursor_next(struct tree_cursor *c)
{
    u32 at = c->path[0].at + 1;
    if (unlikely(at >= c->path[0].page->count))
        return leaf_beside(c, RIGHT_SIDE);
    c->path[0].at = at;
    if (c->ahead) tree_cursor_prefetch(c);
    else prefetch_near(c, RIGHT_SIDE);
    return 0;
}

int cursor_prev(struct tree_cursor *c)
{
    if (unlikely(c->path[0].at == 0)) return leaf_beside(c, LEFT_SIDE);
    c->path[0].at--;
    if (c->ahead) tree_cursor_prefetch(c);
    else prefetch_near(c, LEFT_SIDE);
    return 0;
}

int tree_next(struct tree_cursor *c)
{
    if (unlikely(!c->depth)) return LUGE_NOTFOUND;
    return unlikely(c->patch != NULL) ? patch_next(c) : cursor_next(c);
}

int tree_prev(struct tree_cursor *c)
{
    if (unlikely(!c->depth)) return LUGE_NOTFOUND;
    return unlikely(c->patch != NULL) ? patch_prev(c) : cursor_prev(c);
}

/* To the leaf that KEY belongs to; *found: it is in slot path[0].at. */
static int descend_key(struct tree_cursor *c, enum side next, luge_bytes key,
                       bool *found)
{
    u32 level = (u32)c->depth - 1;
    for (; level > 0; level--) {
        const struct page_head *n = c->path[level].page;
        u32 at = c->path[level].at = node_branch_find(n, key);
        int rc = walk_child(c->file, n, at, &c->path[level - 1].page);
        if (rc) return cursor_lost(c, rc);
    }
    c->steps = next == RIGHT_SIDE;
    *found = next == RIGHT_SIDE
                 ? node_leaf_seek(c->path[0].page, key, &c->path[0].at)
                 : node_leaf_find(c->path[0].page, key, &c->path[0].at);
    return 0;
}

static int seek_edge(struct tree_cursor *c, enum side side)
{
    u32 top = (u32)c->depth - 1, count = c->path[top].page->count;
    c->path[top].at = side == LEFT_SIDE ? 0 : top ? count : count - 1;
    return descend_edge(c, top, side);
}

/* From the edge of the leaf where KEY belongs to the leaf beside it.  A file
 * whose leaves are not in order must not lead back: who goes on by seeking
 * would never come to an end. */
static int seek_beside(struct tree_cursor *c, enum side side, luge_bytes key)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    int rc = leaf_beside(c, side);
    if (rc) return rc;
    int order = bytes_compare(tree_cursor_key(c, space), key);
    if (side == RIGHT_SIDE ? order > 0 : order < 0) return 0;
    return cursor_lost(c, CORRUPT("two leaves are not in the order of their "
                                  "keys"));
}

static int seek_key(struct tree_cursor *c, enum luge_seek seek, luge_bytes key)
{
    bool found = false, back = seek == LUGE_LE || seek == LUGE_LT;
    int rc = descend_key(c, back ? LEFT_SIDE : RIGHT_SIDE, key, &found);
    if (rc || (found && (seek == LUGE_GE || seek == LUGE_LE))) return rc;
    u32 at = c->path[0].at;
    if (back)
        return at ? cursor_prev(c) : seek_beside(c, LEFT_SIDE, key);
    if (found) at = ++c->path[0].at;                              /* GT */
    return at < c->path[0].page->count ? 0 : seek_beside(c, RIGHT_SIDE, key);
}

static int seek_from(struct tree_cursor *c, const struct page_head *root,
                     enum luge_seek seek, luge_bytes key)
{
    c->steps = c->stride = 0;
    c->ahead = NULL;
    c->leaves = c->window = c->asked = 0;
    c->look_at = LOOK_FIRST;
    c->sweep = 0;
    c->depth = root->level + 1;
    c->path[root->level].page = root;
    return seek == LUGE_FIRST || seek == LUGE_LAST
               ? seek_edge(c, seek == LUGE_LAST ? RIGHT_SIDE : LEFT_SIDE)
               : seek_key(c, seek, key);
}

int cursor_seek(struct tree_cursor *c, page_ref root, enum luge_seek seek,
                luge_bytes key)
{
    const struct page_head *n = NULL;
    int rc = walk_root(c->file, root, &n);
    return rc ? cursor_lost(c, rc) : seek_from(c, n, seek, key);
}

int tree_seek(struct tree_cursor *c, struct page_file *f, page_ref root,
              enum luge_seek seek, luge_bytes key)
{
    const struct page_head *n = NULL;
    c->file = f;
    c->depth = 0;
    c->patch = NULL;
    if (root == PAGE_NONE) return LUGE_NOTFOUND;
    int rc = walk_top(f, root, &n);
    if (rc) return rc;
    return unlikely(walk_is_patch(n)) ? patch_seek(c, n, seek, key)
                                      : seek_from(c, n, seek, key);
}

int tree_cursor_value(const struct tree_cursor *c, luge_bytes *value)
{
    assert(c->depth > 0);
    return walk_value(c->file, c->path[0].page, c->path[0].at, value);
}

luge_bytes tree_cursor_key(const struct tree_cursor *c, u8 *space)
{
    assert(c->depth > 0);
    luge_bytes prefix = tree_cursor_prefix(c);
    luge_bytes suffix = tree_cursor_suffix(c);
    if (prefix.size) memcpy(space, prefix.data, prefix.size);
    if (suffix.size)
        memcpy(space + prefix.size, suffix.data, suffix.size);
    return (luge_bytes){space, prefix.size + suffix.size};
}
