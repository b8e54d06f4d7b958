/* tree/tree.h -- an ordered map from byte strings to byte strings, as pages.
 *
 * A copy-on-write B+tree.  A tree is a root and a count; changing it changes
 * both in the caller's struct and nothing that older roots can reach.
 *   T1  Keys are strictly ascending; every key in a subtree is within the
 *       separators above it.      T2  All leaves are at level 0.
 *   T3  count is the number of keys.   T4  depth <= TREE_DEPTH_MAX.
 * Not here: processes, syncs, transactions, names.
 */
#ifndef TREE_TREE_H
#define TREE_TREE_H

#include "tree/node.h"

struct tree {
    page_ref root; /* PAGE_NONE: empty */
    u64 count;
};

enum { TREE_DEPTH_MAX = 16 };

/* The validator for leaves, branches and patches: after it succeeded, no
 * function here reads outside the page, whatever its bytes. */
int tree_page_validate(const struct page_head *page, u32 page_bytes);

/* The value of KEY; it points into the page or extent.  NOTFOUND, CORRUPT. */
int tree_get(struct page_file *f, page_ref root, luge_bytes key,
             luge_bytes *value);

/* The same where all on the way to it is private; NOTFOUND where it is not: no
 * page of the file is read. */
int tree_get_private(struct page_file *f, page_ref root, luge_bytes key,
                     luge_bytes *value);

/* Set KEY to VALUE in a tree without a patch.  *existed (may be NULL): it
 * replaced a value.
 * KEY and VALUE must not point into WORK's own frames.
 * On error the tree may be half changed: the work must be abandoned. */
int tree_put(struct page_work *w, struct tree *t, luge_bytes key,
             luge_bytes value, bool *existed);

/* Remove KEY from one; NOTFOUND if absent (nothing changed). */
int tree_del(struct page_work *w, struct tree *t, luge_bytes key);

/* The same two.  But if the root is shared with a pin (w->pinned), it stays:
 * the change goes to a patch above it while there is room (tree/patch.h).
 * Of the functions here only tree_unshared, tree_get_private and those two do
 * not know patches. */
int tree_patch_put(struct page_work *w, struct tree *t, luge_bytes key,
                   luge_bytes value, bool *existed);
int tree_patch_del(struct page_work *w, struct tree *t, luge_bytes key);

/* KEY's leaf will be changed soon: begin to read it, unless it is in a frame
 * or is *last.  *last becomes it.  Errors as tree_get. */
int tree_will_need(struct page_file *f, page_ref root, luge_bytes key,
                   page_ref *last);

/* Drop every page of the tree; it is empty afterwards. */
int tree_clear(struct page_work *w, struct tree *t);

/* --- trees that share pages: tree/share.c --- */

/* Drop what is below ROOT and not below KEPT (PAGE_NONE: nothing is).  Both are
 * roots of one history, so that a page is in both at the same keys or in one
 * only.  What is shared with a pin (w->pinned) is not looked at: time is in
 * proportion to what is dropped. */
int tree_release(struct page_work *w, page_ref root, page_ref kept);

/* Call EACH for the leaves that tree_release(W, ROOT, KEPT) would drop. */
int tree_unshared(const struct page_work *w, page_ref root, page_ref kept,
                  int (*each)(void *context, const struct page_head *leaf),
                  void *context);

/* Call FN with a key below each page of the file at LIMIT or above, and with
 * one beside each large value there.  What was born at PINNED or before is
 * shared: it is not looked at. */
typedef int (*tree_key_fn)(void *context, luge_bytes key);
int tree_beyond(struct page_file *f, page_ref root, page_ref limit, u64 pinned,
                tree_key_fn fn, void *context);

/* Give the pages at LIMIT or above on the way to KEY new places, and the large
 * values there in its leaf.  *moved rises by so many pages.  Content stays.
 * Errors as tree_put. */
int tree_move(struct page_work *w, struct tree *t, page_ref limit,
              luge_bytes key, u64 *moved);

/* Call FN with a key of each group of leaves that would be fewer if they were
 * full.  A tree with a patch and what is shared (as above) has none. */
int tree_loose(struct page_file *f, page_ref root, u64 pinned, tree_key_fn fn,
               void *context);

/* Make the leaves of KEY's group full, from KEY's on.  *packed rises by so many
 * as were looked at.  Content stays.  Errors as tree_put. */
int tree_pack(struct page_work *w, struct tree *t, luge_bytes key,
              u64 *packed);

/* Call FN for each key that the trees of A and B differ in, in order; NULL: it
 * has no value there.  Pages that both share are not entered.  What FN answers,
 * unless 0, ends the walk and is returned. */
typedef int (*tree_diff_fn)(void *context, luge_bytes key,
                            const luge_bytes *before, const luge_bytes *after);
int tree_diff(struct page_file *f, page_ref a, page_ref b, tree_diff_fn fn,
              void *context);

/* A position in a tree: a path from the root.  Plain memory, no resources;
 * valid while the pages are.  After a change of the tree seek again. */
struct tree_cursor {
    struct page_file *file;
    int depth;                       /* levels in use; 0: unpositioned */
    u32 steps;                       /* since the seek; no more than matter */
    u32 stride;                      /* bytes to prefetch at each step */
    const u8 *ahead;                 /* where, in the leaf that comes next */
    u32 leaves, look_at;             /* entered since the seek; cursor.c: C3 */
    u32 window, asked;               /* leaves to ask for; asked for and to */
    u64 waits;                       /* come; when it last looked */
    page_ref sweep;                  /* asked for in the file's order */
    const struct page_head *patch;   /* NULL: none; patch_cursor.c: Z5, Z6 */
    u32 patch_at;
    bool cell, past;
    struct tree_place {
        const struct page_head *page;
        u32 at;                      /* slot or child index */
    } beneath, path[TREE_DEPTH_MAX]; /* by level: path[0] is the leaf's */
};

/* Position at a neighbour of KEY (see enum luge_seek); NOTFOUND: it has none,
 * and the cursor is unpositioned. */
int tree_seek(struct tree_cursor *c, struct page_file *f, page_ref root,
              enum luge_seek seek, luge_bytes key);
/* One step; NOTFOUND leaves it unpositioned. */
int tree_next(struct tree_cursor *c);
int tree_prev(struct tree_cursor *c);
/* The value at the cursor. */
int tree_cursor_value(const struct tree_cursor *c, luge_bytes *value);
/* The key at the cursor, assembled into SPACE of >= LUGE_KEY_SIZE_MAX bytes
 * (pages store keys without their common prefix). */
luge_bytes tree_cursor_key(const struct tree_cursor *c, u8 *space);

/* The parts of the key at the cursor, within the page.  All keys of a page
 * share the prefix: whoever scans keeps it while path[0].page stays the same,
 * and adds suffixes. */
static inline luge_bytes tree_cursor_prefix(const struct tree_cursor *c)
{
    const struct page_head *leaf = c->path[0].page;
    return (luge_bytes){node_prefix(leaf), leaf->prefix};
}
static inline luge_bytes tree_cursor_suffix(const struct tree_cursor *c)
{
    return node_leaf_suffix(c->path[0].page, c->path[0].at);
}

/* Ask for a piece of the next leaf, so that all of it has come when the last
 * record of this one is read.  Scan of 1 M random pairs of 116 bytes, M/s: not
 * at all 30, all of it when the one before is entered 50, in pieces 110. */
static inline void tree_cursor_prefetch(struct tree_cursor *c)
{
    const u8 *piece = c->ahead;
    c->ahead = piece - c->stride;
    for (u32 i = 0; i < c->stride; i += 64) __builtin_prefetch(piece + i);
}

/* Call EACH for every reference from PAGE: children, then extents.  For the
 * prover, for publishing and for drops.  CHANGE: EACH may store a new child
 * reference through *ref (publishing). */
struct tree_visit {
    int (*child)(void *context, page_ref ref, unsigned level);
    int (*extent)(void *context, const struct page_extent *extent);
    void *context;
};
int tree_page_visit(const struct page_head *page, u32 page_bytes,
                    const struct tree_visit *visit);

/* The children of a branch as an 8-aligned array, for replacing private
 * references by page numbers.  NULL for a leaf. */
page_ref *tree_page_children(struct page_head *page, u32 *count);

/* Prove T1-T4 of a whole tree.  LOW/HIGH checks included; *pages counts.
 * REPORT gets a sentence for each defect.  0 or CORRUPT. */
struct tree_totals {
    u64 count, leaf_pages, branch_pages, extent_pages, key_bytes, value_bytes;
    u32 depth;
};
int tree_check(struct page_file *f, const struct tree *t,
               int (*page_seen)(void *context, page_ref ref, u64 pages),
               void *context, struct tree_totals *totals);

/* The same among trees that share pages: what was proved once is not walked
 * again, so *totals counts its keys, but not its pages and bytes.
 * SEEN: 1 if REF, born at BORN, was proved before.  OWN is 0 for a page, for a
 * large value a number made of its key: it belongs to one key only.
 * COUNT_OF: where the number of keys below a branch is kept; NULL: NOMEM. */
struct tree_witness {
    int (*seen)(void *context, page_ref ref, u64 pages, u64 born, u64 own);
    u64 *(*count_of)(void *context, page_ref ref);
    void *context;
};
int tree_check_shared(struct page_file *f, const struct tree *t,
                      const struct tree_witness *witness,
                      struct tree_totals *totals);

#endif
