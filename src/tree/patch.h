/* tree/patch.h -- a page of changes above a tree that a pin shares.
 *
 *     the head of T, 3 changes after a snapshot      40 changes after it
 *
 *              [patch: 3 cells]                            [root']
 *                     |                                   /   |   \
 *               [root of T]  <-- the snapshot         copies of paths, and
 *               /     |     \                         what the snapshot has
 *
 * To change one record of a shared tree is to copy a path to it: three pages or
 * so, for ten records anywhere in a large tree 25.  So the first changes of a
 * fork, or after a snapshot, are kept in a page of their own above the root.
 * When it is full they are made below, and it goes (docs/why/forks.md).
 *   Z1  A patch has the layout of a leaf with no prefix.  In place of an infix
 *       it has a word: the root below.
 *   Z2  Only a root is a patch, and what is below it is none.
 *   Z3  A cell says what its key has now, whatever is below: a value (never a
 *       large one), or NODE_GONE: it was below, and is not in the tree.
 *   Z4  A patch is begun on a root that a pin shares, and only if the root is
 *       a branch; so what is below belongs to the pin, and is not changed.
 * Not here: which trees are shared (txn/lineage.h).
 */
#ifndef TREE_PATCH_H
#define TREE_PATCH_H

#include "tree/tree.h"

enum { PATCH_INFIX = 1 };      /* words: of Z1 */

static inline page_ref *patch_below_at(struct page_head *patch)
{
    return (page_ref *)(void *)(patch + 1);
}

static inline page_ref patch_below(const struct page_head *patch)
{
    return __atomic_load_n((const page_ref *)(const void *)(patch + 1),
                           __ATOMIC_RELAXED);
}

static inline bool patch_gone(const struct page_head *patch, u32 at)
{
    return node_value_info(patch, at) == NODE_GONE;
}

/* The key in slot AT: it lies in the page. */
static inline luge_bytes patch_key(const struct page_head *patch, u32 at)
{
    return node_leaf_suffix(patch, at);
}

/* The patch that ROOT is (NULL: it is none), and the root below it. */
int patch_open(struct page_file *f, page_ref root,
               const struct page_head **patch, page_ref *below);

/* --- a cursor above a patch: tree/patch_cursor.c --- */

int patch_seek(struct tree_cursor *c, const struct page_head *patch,
               enum luge_seek seek, luge_bytes key);
int patch_next(struct tree_cursor *c);
int patch_prev(struct tree_cursor *c);

/* What it stands on: the cursor of the tree below, tree/cursor.c. */
int cursor_seek(struct tree_cursor *c, page_ref root, enum luge_seek seek,
                luge_bytes key);
int cursor_next(struct tree_cursor *c);
int cursor_prev(struct tree_cursor *c);

/* --- differences: tree/patch_diff.c --- */

/* tree_diff where A or B is a patch. */
int patch_diff(struct page_file *f, page_ref a, page_ref b, tree_diff_fn fn,
               void *context);

#endif
