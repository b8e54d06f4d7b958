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

static inline bool walk_is_patch(const struct page_head *n)
{
    return n->kind == PAGE_PATCH;
}

/* Does a pin of a number up to PINNED hold N, which is page REF, too? */
static inline bool walk_shared(page_ref ref, const struct page_head *n,
                               u64 pinned)
{
    return !page_is_private(ref) && n->birth <= pinned;
}

/* The page of a root; it may be a patch (patch.h). */
static inline int walk_top(struct page_file *f, page_ref root,
                           const struct page_head **n)
{
    if (unlikely(!page_is_private(root) && root >= PAGE_NUMBER_MAX))
        return CORRUPT("a root beyond any file");
    int rc = page_read(f, root, n);
    if (unlikely(rc)) return rc;
    if (unlikely((*n)->level >= NODE_LEVELS_MAX ||
                 (!walk_level_is(*n, (*n)->level) && !walk_is_patch(*n))))
        return CORRUPT("a root that is no node: kind %u, level %u",
                       (*n)->kind, (*n)->level);
    return 0;
}

/* A root, or what lies below one that is a patch. */
static inline int walk_root(struct page_file *f, page_ref root,
                            const struct page_head **n)
{
    int rc = walk_top(f, root, n);
    if (unlikely(rc)) return rc;
    return likely(!walk_is_patch(*n)) ? 0 : CORRUPT("a patch below a patch");
}

/* Where a page is, without touching or checking it: only to prefetch. */
static inline const u8 *walk_address(struct page_file *f, page_ref ref)
{
    const struct page_map *m = (const struct page_map *)f;
    return page_is_private(ref)
               ? m->frames + ((ref & ~PAGE_PRIVATE) << m->page_shift)
               : m->base + (ref << m->page_shift);
}

/* Children [from, to] of PARENT will be read soon: ask the device for them,
 * neighbours in the file together. */
static inline void walk_will_need(struct page_file *f,
                                  const struct page_head *parent, u32 from,
                                  u32 to)
{
    page_ref low = 0, high = 0;         /* [low, high) */
    for (u32 i = from; i <= to; i++) {
        page_ref ref = node_child(parent, i);
        if (page_is_private(ref)) continue;
        if (low < high && ref == high) high++;
        else if (low < high && ref + 1 == low) low--;
        else {
            if (low < high) page_will_need(f, low, high - low);
            low = ref;
            high = ref + 1;
        }
    }
    if (low < high) page_will_need(f, low, high - low);
}

/* The lines of a leaf that a look-up needs are asked for together, before the
 * first has arrived (get of 1 M pairs in memory: 355 ns without, 315 with).
 * always_inline, as gcc drops calls of a function that only prefetches. */
__attribute__((always_inline)) static inline void
walk_prefetch_leaf(struct page_file *f, page_ref ref)
{
    const u8 *leaf = walk_address(f, ref);
    for (u32 i = 0; i < 256; i += 64) __builtin_prefetch(leaf + i);
}

/* Child I of PARENT; *n may be PARENT's own variable. */
static inline int walk_child(struct page_file *f,
                             const struct page_head *parent, u32 i,
                             const struct page_head **n)
{
    u32 level = parent->level - 1u;
    const struct page_head *child;
    page_ref ref = node_child(parent, i);
    if (level == 0) walk_prefetch_leaf(f, ref);
    int rc = page_read(f, ref, &child);
    if (unlikely(rc)) return rc;
    if (unlikely(!walk_level_is(child, level)))
        return CORRUPT("a child of kind %u and level %u where level %u "
                       "belongs", child->kind, child->level, level);
    *n = child;
    return 0;
}

/* The key in slot AT, leaf or branch, copied to SPACE of LUGE_KEY_SIZE_MAX. */
static inline luge_bytes walk_key(const struct page_head *n, u32 at, u8 *space)
{
    struct node_cell cell;
    node_cell_load(n, at, &cell);
    luge_bytes key = node_cell_key(&cell, space);
    if (key.data != cell.shown) return key;
    memcpy(space, cell.shown, key.size);
    return luge_bytes_of(space, key.size);
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
