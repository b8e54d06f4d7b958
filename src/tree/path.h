/* tree/path.h -- a way down a tree, every page of it changeable, for those who
 * change more than a key.
 * Not here: what they change (tree.c, pack.c).
 */
#ifndef TREE_PATH_H
#define TREE_PATH_H

#include "tree/tree.h"

/* From the root to a leaf, by level: step[0] is the leaf's. */
struct tree_path {
    u32 depth;
    struct {
        struct page_head *page;
        u32 at;                    /* of a branch: the child the path takes */
    } step[TREE_DEPTH_MAX];
};

/* What a cut sends to the parent: a key and the new node right of it. */
struct tree_cut {
    struct node_cell cell;
    u8 space[LUGE_KEY_SIZE_MAX];
};

/* Child AT of N in a form that can be changed. */
int tree_change_child(struct page_work *w, struct page_head *n, u32 at,
                      struct page_head **child);

/* The path to KEY down to level LOWEST, without the child it takes there. */
int tree_path_change(struct page_work *w, struct tree *t, luge_bytes key,
                     u32 lowest, struct tree_path *path);

/* Insert CELL before slot AT of the path's node at LEVEL, and upwards what
 * follows from it. */
int tree_path_insert(struct page_work *w, struct tree *t,
                     const struct tree_path *path, u32 level, u32 at,
                     const struct node_cell *cell);

#endif
