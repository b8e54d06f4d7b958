/* txn/lineage.h -- pins: what forks and snapshots hold, and when it goes.
 *
 *       publications  1    5         9        14
 *       tree A        o----P---------P--------> head
 *                           \         `-> snapshot "monday"
 *                            `-> tree B, a fork ----> head
 *
 * A lineage is the history of one tree, by the tree's number; 0 is the
 * catalog's.  A pin is one state of it, all of it in the file: a publication's
 * number, and a root.  The catalog keeps
 *     'p' + tree (8 bytes, big-endian) + number (8)  ->  struct pin_record
 *     'S' + name of a snapshot                       ->  snapshot_record + path
 *     's' + number of a snapshot (8) + a tree's name ->  frozen_record
 * A fork begins at a pin of its source.  A snapshot of a path holds a pin of
 * each tree under it.  A snapshot of everything is a pin of the catalog, and so
 * a pin of each tree that is in it: one record, however many trees.
 *   L1  Pages of a lineage born at pin P or before may be in P; those born
 *       later are not.  A child is born no later than its parent.
 *   L2  A head that drops a page releases it iff it was born after the newest
 *       pin that holds the tree: its own, its origin's, or the catalog's.
 *   L3  A pin is there as long as somebody begins at it (kids).  When it goes,
 *       what it alone held is released: below its root, born after the pin
 *       before it, not below the root that follows (a pin's or the head's).
 *   L4  A lineage ends when it has no head, no pin, and no pin of the catalog
 *       has its tree.  Then its origin has one kid less.
 *   L5  Pins of one number that hold a tree hold the same state of it.
 * Roots are compared when something goes; no list of dead pages is kept
 * (docs/why/forks.md).  In a view that never lands, numbers are the view's own,
 * nothing is released and no lineage ends.
 * Not here: what makes a state part of the file (publish.c).
 */
#ifndef TXN_LINEAGE_H
#define TXN_LINEAGE_H

#include "page/file.h"
#include "txn/view.h"

/* All are little-endian and extended only at their end (format.md 6). */
struct pin_record {
    u16 bytes, version;
    u32 kids;               /* forks and snapshots that begin here */
    u64 root, count;
    struct view_pin origin; /* of the lineage */
};
_Static_assert(sizeof(struct pin_record) == 40, "format.md 6.3");

struct snapshot_record {    /* the path follows */
    u16 bytes, version;
    u32 flags;              /* 0 */
    u64 number;             /* fixed at its creation, never used twice */
    u64 pin;                /* of everything: the catalog's pin.  Else 0 */
    u64 seq, time_ns;
};
_Static_assert(sizeof(struct snapshot_record) == 40, "format.md 6.4");

struct frozen_record {
    u16 bytes, version;
    u32 flags;              /* 0 */
    u64 root, count;
    u64 tree;               /* whose state it is */
    struct view_pin pin;    /* tree 0: it was empty */
};
_Static_assert(sizeof(struct frozen_record) == 48, "format.md 6.5");

enum { LINEAGE_RECORD_VERSION = 1 };

/* --- operations (view_apply) --- */

int lineage_fork(struct view *v, const struct op *op);
int lineage_snapshot(struct view *v, const struct op *op);
int lineage_forget(struct view *v, const struct op *op);
/* The head of TREE, a fork if it has an ORIGIN, was dropped. */
int lineage_head_gone(struct view *v, u64 tree, const struct view_pin *origin);

/* The catalog (0) or a tree, pinned up to PINNED, is about to change (L2). */
int lineage_load(struct view *v);
static inline int lineage_touch(struct view *v, u64 pinned)
{
    if (!v->work->may_write) return 0;
    int rc = likely(v->catalog_pin_known) ? 0 : lineage_load(v);
    v->work->pinned = max_u64(pinned, v->catalog_pin);
    return rc;
}

/* --- for those who ask --- */

/* Are the pages of PIN still there?  EXPIRED: V is a state of the past, and PIN
 * went since.  The trees of the state itself are there, whatever went. */
int lineage_pin_stands(struct view *v, const struct view_pin *pin);

/* The first tree that is called PATH or lies under it (PATH/...), or the next
 * after NAME if *size > 0.  NAME has room for LUGE_NAME_SIZE_MAX. */
int lineage_under(struct view *v, luge_bytes path, u8 *name, size_t *size,
                  u64 *number);

/* A snapshot; *path is in the page.  NOTFOUND. */
int lineage_snapshot_get(struct view *v, luge_bytes name,
                         struct snapshot_record *record, luge_bytes *path);
/* The next after AFTER, in the order of names; its name goes to NAME. */
int lineage_snapshot_after(struct view *v, luge_bytes after, u8 *name,
                           size_t *size);
/* The tree NAME as the snapshot has it; *number is whose state it is, *pin (may
 * be NULL) the pin that a snapshot of a path holds.  NOTFOUND. */
int lineage_snapshot_tree(struct view *v, const struct snapshot_record *s,
                          luge_bytes name, struct tree *tree, u64 *number,
                          struct view_pin *pin);
/* Its next tree after AFTER. */
int lineage_snapshot_tree_after(struct view *v,
                                const struct snapshot_record *s,
                                luge_bytes after, u8 *name, size_t *size);
/* How many pages would be released, were it forgotten. */
int lineage_snapshot_unique(struct view *v, const struct snapshot_record *s,
                            u64 *pages);

/* The newest state that the trees A and B both come from.  NOTFOUND. */
int lineage_common(struct view *v, u64 a, u64 b, struct tree *tree);

/* Every pin; every tree that snapshots of paths hold. */
int lineage_each_pin(struct view *v,
                     int (*each)(void *context, const struct view_pin *pin,
                                 const struct pin_record *record),
                     void *context);
int lineage_each_frozen(struct view *v,
                        int (*each)(void *context,
                                    const struct frozen_record *record),
                        void *context);

/* --- between lineage.c and snapshot.c --- */

luge_bytes lineage_pin_key(u8 *space, const struct view_pin *pin);
int lineage_pin_get(struct view *v, const struct view_pin *pin,
                    struct pin_record *record);
int lineage_pin_put(struct view *v, const struct view_pin *pin,
                    struct pin_record *record);
/* The pin of TREE beside NUMBER; NOTFOUND. */
int lineage_pin_near(struct view *v, u64 tree, enum luge_seek seek, u64 number,
                     u64 *found, struct pin_record *record);
/* TREE's record in a catalog; NOTFOUND. */
int lineage_record_in(struct view *v, page_ref catalog, u64 tree,
                      struct catalog_record *record);
/* Make T (NULL: everything) a state that can be pinned; *number is its. */
int lineage_freeze(struct view *v, struct view_tree *t, u64 *number);
/* One more kid for the state that TREE is in now. */
int lineage_hold(struct view *v, u64 number, struct tree *tree,
                 struct view_pin *pin);
int lineage_unhold(struct view *v, struct view_pin pin);
/* L4, for a lineage that lost something at NUMBER. */
int lineage_ended(struct view *v, u64 tree, u64 number, bool *ended);
/* Release to W what ROOT, a state of TREE at NUMBER, alone held (L3).  OWN and
 * WHOLE: GE or GT, if a pin of that number still holds it or does not. */
int lineage_release(struct view *v, struct page_work *w, u64 tree, u64 number,
                    const struct view_pin *origin, page_ref root,
                    enum luge_seek own, enum luge_seek whole);
/* A state within a snapshot as something to begin at: one more kid. */
int lineage_hold_frozen(struct view *v, luge_bytes snapshot, luge_bytes name,
                        struct tree *tree, struct view_pin *pin);

#endif
