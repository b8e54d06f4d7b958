/* store/salvage.h -- what is known of a damaged database.
 *
 *   survey:   every page is looked at once: is it a node, whose, how old?
 *   walk:     from the best root down; what is damaged leaves a gap of keys
 *   gather:   leaves that nothing led to fill the gaps of their owner's tree
 *   log:      what the log holds behind the checkpoint is done again
 *
 *   S1  BROKEN is only read, by number and checksum; no page is believed that
 *       does not prove itself.
 *   S2  A record from a leaf that was reached is never replaced by one from a
 *       gathered leaf; of gathered ones the youngest leaf wins.
 *   S3  What the free list names is not gathered: it is old.  What a snapshot
 *       or a fork holds, too, is: the tree may share it.
 * Not here: the new database's own files.
 */
#ifndef STORE_SALVAGE_H
#define STORE_SALVAGE_H

#include "luge_backup.h"
#include "store/store.h"
#include "txn/lineage.h"

struct salvage_fact {           /* of one page */
    u64 birth;
    u32 owner;
    u8 kind;                    /* PAGE_LEAF, _BRANCH, _PATCH; 0: none */
    u8 level;
    bool reached, free;
};

struct salvage_gap {            /* keys low <= k < high are not reached */
    struct base_buffer low, high;
    bool to_end;                /* no upper bound */
};

struct salvage_tree {
    u64 number;                 /* 0: the catalog; UINT64_MAX: only a mark */
    u64 root, count;
    bool known;                 /* root and count are */
    struct view_pin origin;
    u8 name[LUGE_NAME_SIZE_MAX];
    size_t name_size;           /* 0: not known */
    u64 patch;                  /* tree/patch.h; 0: none */
    u64 *leaves;                /* reached, in order */
    size_t leaf_count, leaf_capacity;
    struct salvage_gap *gaps;
    size_t gap_count, gap_capacity;
    u64 found;                  /* records */
};

struct salvage_pin {
    struct view_pin pin;
    u64 root;
    struct view_pin origin;
};

struct salvage {
    struct os *os;
    const char *broken;
    void (*report)(void *context, const char *sentence);
    void *context;
    struct luge_salvaged done;
    /* the damaged database */
    u8 instance[16];
    bool instance_known;
    u32 page_bytes;
    struct os_file *db;
    struct page_file pages;
    struct salvage_fact *facts;
    u64 page_count;
    struct superblock super;    /* the one that is believed */
    bool super_valid, exact;    /* exact: the free list is known */
    bool super_damaged;         /* the other one, perhaps the newer */
    bool gathered;              /* what can be known of the catalog, is */
    bool log_follows;           /* on the checkpoint: its begin was found */
    u64 newest;                 /* pages born later were not there yet */
    struct salvage_tree catalog, *trees;
    size_t tree_count, tree_capacity;
    struct salvage_pin *pins;
    size_t pin_count, pin_capacity;
    /* the new one */
    luge_db *to;
    luge_txn *txn;
    size_t batch_bytes;
};

void salvage_say(struct salvage *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- salvage_find.c --- */

/* Open BROKEN and look at every page. */
int salvage_survey(struct salvage *s);
/* The catalog: its trees and pins, as far as they can be found. */
int salvage_catalog(struct salvage *s);
/* The leaves and gaps of T. */
int salvage_walk(struct salvage *s, struct salvage_tree *t);
/* Mark what pins reach. */
int salvage_walk_pins(struct salvage *s);
/* The leaves that may fill T's gaps, the oldest first; *leaves is the
 * caller's. */
int salvage_gather(struct salvage *s, const struct salvage_tree *t,
                   u64 **leaves, size_t *count);
bool salvage_in_gap(const struct salvage_tree *t, luge_bytes key);
/* The leaves of owners that no tree is, in the same way. */
int salvage_strays(struct salvage *s, u64 **leaves, size_t *count);
const struct page_head *salvage_page(const struct salvage *s, u64 number);
void salvage_end(struct salvage *s);

/* --- salvage.c --- */

/* The transaction of the new database that is open now. */
int salvage_txn(struct salvage *s);
/* BYTES were put into it: it may be time to land. */
int salvage_added(struct salvage *s, size_t bytes);
int salvage_land(struct salvage *s);

/* --- salvage_log.c --- */
int salvage_log(struct salvage *s);

#endif
