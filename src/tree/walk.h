/* tree/walk.h -- one step from a node to another, checked.
 *
 *   W1  A child is exactly one level below its parent, and of the kind that
 *       its level says: so every descent ends, whatever the file says.
 *   W2  A page of the file was validated at its first touch, a frame was made
 *       here: the bytes of a page that a step returns can be trusted.
 * Not here: what is done at a node.
 */
#ifndef TREE_WALK_H
#define TREE_WALK_H

#include "tree/node.h"

static inline bool walk_level_is(const struct page_head *n, u32 level)
{
    return n->level == level && n->kind == (level ? PAGE_BRANCH : PAGE_LEAF);
}

static inline int walk_root(struct page_file *f, page_ref root,
                            const struct page_head **n)
{
    if (unlikely(!page_is_private(root) && root >= PAGE_NUMBER_MAX))
        return CORRUPT("a root beyond any file");
    int rc = page_read(f, root, n);
    if (unlikely(rc)) return rc;
    if (unlikely((*n)->level >= NODE_LEVELS_MAX ||
                 !walk_level_is(*n, (*n)->level)))
        return CORRUPT("a root that is no node: kind %u, level %u",
                       (*n)->kind, (*n)->level);
    return 0;
}

/* The lines that a look-up in a leaf needs beside the first, asked for before
 * the first has arrived. */
static inline void walk_prefetch_leaf(const struct page_head *n)
{
    __builtin_prefetch((const u8 *)n + 64);
    __builtin_prefetch((const u8 *)n + 128);
    __builtin_prefetch((const u8 *)n + 192);
}

/* Child I of PARENT; *n may be PARENT's own variable. */
static inline int walk_child(struct page_file *f,
                             const struct page_head *parent, u32 i,
                             const struct page_head **n)
{
    u32 level = parent->level - 1u;
    const struct page_head *child;
    int rc = page_read(f, node_child(parent, i), &child);
    if (unlikely(rc)) return rc;
    if (level == 0) walk_prefetch_leaf(child);
    if (unlikely(!walk_level_is(child, level)))
        return CORRUPT("a child of kind %u and level %u where level %u "
                       "belongs", child->kind, child->level, level);
    *n = child;
    return 0;
}

/* The value in slot AT of a leaf, from the page or its extent. */
static inline int walk_value(struct page_file *f, const struct page_head *leaf,
                             u32 at, luge_bytes *value)
{
    struct page_extent extent;
    if (likely(!node_leaf_value(leaf, at, value))) return 0;
    memcpy(&extent, value->data, sizeof extent);
    return page_extent_read(f, &extent, value);
}

#endif
