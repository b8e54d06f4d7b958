/* tree/patch_cursor.c -- a place in the order of keys of a tree with a patch.
 *
 *     patch:   b   d+  f-       the tree is  a b d+ e g
 *     below:  a  b    e  f  g                  ^ shown: the patch's cell
 *                ^ here
 * The cursor of the tree below and a slot of the patch move along together.
 *   Z5  Shown is a key K.  patch_at is the first cell at K or above.  If K is
 *       the cell's, the cursor below is at its first key at K or above, and
 *       path[0], where all look, is the cell: beneath keeps what it was.
 *       Else path[0] is K's leaf as ever.
 *   Z6  past: below there is no such key.  Its path is void.
 * Not here: steps and seeks below (cursor.c).
 */
#include "tree/patch.h"

static int lost(struct tree_cursor *c, int rc)
{
    c->depth = 0;
    return rc;
}

/* Of a seek or step below: beyond its last key is a place, too. */
static int arrived(struct tree_cursor *c, int rc)
{
    c->past = rc == LUGE_NOTFOUND;
    return c->past ? 0 : rc;
}

/* The key below, compared with that of cell AT. */
static int compare(const struct tree_cursor *c, u32 at)
{
    luge_bytes key = patch_key(c->patch, at), prefix = tree_cursor_prefix(c);
    luge_bytes start = {key.data, min_u64(key.size, prefix.size)};
    luge_bytes rest = {(const u8 *)key.data + start.size,
                       key.size - start.size};
    int order = bytes_compare(prefix, start);
    return order ? order : bytes_compare(tree_cursor_suffix(c), rest);
}

static int show_cell(struct tree_cursor *c)
{
    c->beneath = c->path[0];
    c->path[0].page = c->patch;
    c->path[0].at = c->patch_at;
    c->cell = true;
    c->depth += !c->depth;               /* past, but at a key of its own */
    return 0;
}

static void hide_cell(struct tree_cursor *c)
{
    if (c->cell) c->path[0] = c->beneath;
    c->cell = false;
}

/* Both are at their first key that may be shown. */
static int show_first(struct tree_cursor *c)
{
    int rc = 0;
    while (!rc) {
        bool cells = c->patch_at < c->patch->count;
        if (c->past && !cells) return lost(c, LUGE_NOTFOUND);
        int order = c->past ? 1 : cells ? compare(c, c->patch_at) : -1;
        if (order < 0) return 0;
        if (!patch_gone(c->patch, c->patch_at)) return show_cell(c);
        c->patch_at++;
        if (!order) rc = arrived(c, cursor_next(c));
    }
    return lost(c, rc);
}

int patch_next(struct tree_cursor *c)
{
    int rc = 0;
    bool cell = c->cell;
    hide_cell(c);
    if (!c->past && (!cell || !compare(c, c->patch_at)))
        rc = arrived(c, cursor_next(c));
    c->patch_at += cell;
    return rc ? lost(c, rc) : show_first(c);
}

/* One key back below; *none: there is none. */
static int back(struct tree_cursor *c, bool *none)
{
    int rc = c->past ? cursor_seek(c, patch_below(c->patch), LUGE_LAST,
                                   (luge_bytes){0})
                     : cursor_prev(c);
    c->past = false;
    *none = rc == LUGE_NOTFOUND;
    return *none ? 0 : rc;
}

/* Show the cell before patch_at; below, the cursor is at the last key under it
 * (NONE: there is none), or at the same. */
static int show_cell_before(struct tree_cursor *c, bool none, bool same)
{
    int rc = 0;
    c->patch_at--;
    if (none)
        rc = cursor_seek(c, patch_below(c->patch), LUGE_FIRST,
                         (luge_bytes){0});
    else if (!same)
        rc = arrived(c, cursor_next(c));
    return rc ? lost(c, rc) : show_cell(c);
}

/* Of the keys before both places, the last. */
static int show_last(struct tree_cursor *c)
{
    bool none;
    int rc = back(c, &none);
    while (!rc) {
        if (none && !c->patch_at) return lost(c, LUGE_NOTFOUND);
        int order = !c->patch_at ? 1 : none ? -1 : compare(c, c->patch_at - 1);
        if (order > 0) return 0;
        if (!patch_gone(c->patch, c->patch_at - 1))
            return show_cell_before(c, none, !order);
        c->patch_at--;
        if (!order) rc = back(c, &none);
    }
    return lost(c, rc);
}

int patch_prev(struct tree_cursor *c)
{
    hide_cell(c);
    return show_last(c);
}

/* The first cell at KEY, or ABOVE it. */
static u32 cell_from(const struct page_head *patch, luge_bytes key, bool above)
{
    u32 at;
    bool found = node_leaf_find(patch, key, &at);
    return at + (found && above);
}

int patch_seek(struct tree_cursor *c, const struct page_head *patch,
               enum luge_seek seek, luge_bytes key)
{
    page_ref below = patch_below(patch);
    bool above = seek == LUGE_GT || seek == LUGE_LE;
    c->patch = patch;
    c->cell = false;
    c->patch_at = seek == LUGE_FIRST  ? 0
                  : seek == LUGE_LAST ? patch->count
                                      : cell_from(patch, key, above);
    if (seek == LUGE_LAST) {
        c->past = true;
        return show_last(c);
    }
    int rc = arrived(c, cursor_seek(c, below, seek == LUGE_FIRST ? seek
                                              : above ? LUGE_GT : LUGE_GE,
                                    key));
    if (rc) return lost(c, rc);
    return seek == LUGE_LT || seek == LUGE_LE ? show_last(c) : show_first(c);
}
