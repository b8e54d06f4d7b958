/* txn/view.h -- the trees of one version, and what operations do to them.
 *
 * The catalog is the tree of trees; its root is the root of everything:
 *     'i' + number (8 bytes, big-endian)  ->  struct catalog_record + name
 *     'n' + name                          ->  number (8 bytes, little-endian)
 *     'p', 'S', 's' + ...                 ->  pins and snapshots (lineage.h)
 * A view is a catalog root with a cache of the trees that were looked up.  With
 * a work it can be changed: roots and counts change in the cache and reach the
 * catalog's records with view_flush.
 *   V1  A record in a file page never holds a private root.
 *   V2  The same operations applied to the same content give the same content.
 * Not here: who may change what, logging, publishing.
 */
#ifndef TXN_VIEW_H
#define TXN_VIEW_H

#include "tree/tree.h"
#include "txn/ops.h"

enum { CATALOG_RECORD_VERSION = 2, VIEW_TREES_INLINE = 4,
       VIEW_TREES_KEPT = 64 };

/* A handle of a tree that cannot change, as a snapshot has it. */
#define VIEW_FROZEN ((u64)1 << 63)

/* A pin of a lineage: what trees of one history are held by (lineage.h). */
struct view_pin {
    u64 tree;         /* whose lineage; 0: none */
    u64 number;       /* a publication */
};

/* Little-endian, extended only at its end (format.md 6.1). */
struct catalog_record {
    u16 bytes;        /* of this struct as written; the name follows */
    u16 version;
    u32 flags;
    u64 root;
    u64 count;
    u64 created_seq;
    /* version 2; before, all were 0 */
    u64 pinned;             /* number of the newest pin that shares its pages */
    struct view_pin origin; /* of a fork: the pin it began at */
};
_Static_assert(sizeof(struct catalog_record) == 56, "format.md 6.1");
_Static_assert(offsetof(struct catalog_record, root) == 8, "format.md 6.1");
_Static_assert(offsetof(struct catalog_record, count) == 16, "format.md 6.1");
_Static_assert(offsetof(struct catalog_record, created_seq) == 24,
               "format.md 6.1");
_Static_assert(offsetof(struct catalog_record, pinned) == 32, "format.md 6.1");
_Static_assert(offsetof(struct catalog_record, origin) == 40, "format.md 6.1");

struct view_tree {
    u64 number;       /* 0: unused entry */
    struct tree tree;
    u64 pinned;       /* as in the record */
    bool dirty;       /* differs from the catalog's record */
};

struct view {
    struct page_file *file;
    struct page_work *work;         /* NULL: read-only */
    struct tree catalog;
    struct view_tree *trees;        /* NULL or more than the inline ones */
    u32 tree_count, tree_capacity;
    u32 last;                       /* entry found last: usually asked again */
    u64 seq;                        /* recorded in what is created */
    u64 catalog_pin;                /* number of the newest pin of the whole */
    bool catalog_pin_known;
    /* Landing: make T (NULL: everything) pages of the file.  Else NULL. */
    int (*freeze)(void *context, struct view *v, struct view_tree *t);
    void *freezer;                  /* its context */
    /* Of the past, begun at a snapshot: a pin below `pins_upto` was there then,
     * and may be read if the catalog PINS_IN, of now, has it (NONE: any), or if
     * it is a tree's head in the snapshot's catalog, BEGAN_IN. */
    page_ref pins_in, began_in;
    u64 pins_upto;
    struct view_tree *frozen;       /* by VIEW_FROZEN | index */
    u32 frozen_count, frozen_capacity;
    struct view_tree inline_trees[VIEW_TREES_INLINE];
};

void view_begin(struct view *v, struct page_file *f, struct page_work *w,
                page_ref catalog_root, u64 catalog_count, u64 seq);
void view_end(struct view *v);
/* Frozen trees from the FROM-th on are gone: what they stood on is undone. */
void view_forget_frozen(struct view *v, u32 from);

static inline struct view_tree *view_trees(struct view *v)
{
    return v->trees ? v->trees : v->inline_trees;
}

/* The tree that was asked for last; number 0: none. */
static inline struct view_tree view_near(struct view *v)
{
    struct view_tree none = {0};
    return v->tree_count ? view_trees(v)[v->last] : none;
}

/* Does it hold more than is worth keeping for a next transaction? */
static inline bool view_is_large(const struct view *v)
{
    return v->tree_capacity > VIEW_TREES_KEPT ||
           v->frozen_capacity > VIEW_TREES_KEPT;
}

/* V, just begun, knows T. */
static inline void view_know(struct view *v, const struct view_tree *t)
{
    if (!t->number) return;
    v->inline_trees[0] = *t;
    v->inline_trees[0].dirty = false;
    v->tree_count = 1;
}

/* The tree NUMBER.  NOTREE, CORRUPT, NOMEM.  Valid until the next find. */
int view_find_slow(struct view *v, u64 number, struct view_tree **tree);
static inline int view_find(struct view *v, u64 number,
                            struct view_tree **tree)
{
    struct view_tree *t = &view_trees(v)[v->last];
    if (likely(t->number == number && v->tree_count)) {
        *tree = t;
        return 0;
    }
    return view_find_slow(v, number, tree);
}

/* By name; NOTFOUND.  And the next name after AFTER. */
int view_number_of(struct view *v, luge_bytes name, u64 *number);
int view_name_after(struct view *v, luge_bytes after, u8 *name,
                    size_t *size, u64 *number);
int view_name_of(struct view *v, u64 number, luge_bytes *name);

/* Change the view by OP.  NOTREE: it is gone.  EXISTS: the name is taken. */
int view_apply(struct view *v, const struct op *op);

/* Write changed roots and counts into the catalog. */
int view_flush(struct view *v);

/* Store T's root and count in the catalog (publishing). */
int view_store_tree(struct view *v, const struct view_tree *t);

/* A read-only handle of TREE, good until the view ends. */
int view_add_frozen(struct view *v, const struct tree *tree, u64 *number);

enum { VIEW_NUMBER_KEY = 9 };   /* bytes */

/* The records themselves, for lineages.  NAME is in the page; NOTREE.  A name
 * to be written may not lie in the catalog. */
luge_bytes view_number_key(u8 *space, u64 number);  /* VIEW_NUMBER_KEY */
int view_record(struct view *v, page_ref catalog, u64 number,
                struct catalog_record *record, luge_bytes *name);
int view_record_read(struct view *v, luge_bytes value,
                     struct catalog_record *record, luge_bytes *name);
int view_number_in(struct view *v, page_ref catalog, luge_bytes name,
                   u64 *number);
/* Add a tree: EXISTS if the name is taken. */
int view_add_tree(struct view *v, u64 number, luge_bytes name,
                  const struct catalog_record *record);
int view_catalog_put(struct view *v, luge_bytes key, luge_bytes value);
int view_catalog_del(struct view *v, luge_bytes key);

/* Call EACH for every tree of the catalog: number, tree, name. */
int view_each(struct view *v,
              int (*each)(void *context, u64 number, const struct tree *tree,
                          luge_bytes name),
              void *context);

#endif
