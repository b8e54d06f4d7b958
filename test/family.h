/* test/family.h -- the naive twin of forks and snapshots: maps that are copied.
 *
 * Holds: a world is all trees and snapshots; an operation is one call, with its
 * arguments in it; family_do does to the world what the call must do, and says
 * what it must answer.  A copy of a world is a snapshot of it (maps are never
 * changed in place, and live as long as the arena).
 * Not here: luge.
 */
#ifndef TEST_FAMILY_H
#define TEST_FAMILY_H

#include "support.h"

enum {
    FAMILY_KEYS = 150,
    FAMILY_NAME = 80,
    FAMILY_TREES = 400,
    FAMILY_TREES_USUAL = 20,     /* new ones are made below this */
    FAMILY_SNAPSHOTS = 64,
    FAMILY_SNAPSHOTS_USUAL = 8,
};

struct family_map {
    uint32_t value[FAMILY_KEYS]; /* 0: absent */
};

/* Where a tree comes from: the state of another at some time. */
struct family_origin {
    uint32_t uid, time;
    const struct family_map *map;
    const struct family_origin *next;
};

struct family_tree {
    char name[FAMILY_NAME];
    uint32_t uid, time;          /* time: in a snapshot, when it was taken */
    const struct family_map *map;
    const struct family_origin *origin;
};

struct family_snapshot {
    char name[FAMILY_NAME], path[FAMILY_NAME];
    uint32_t count;
    const struct family_tree *trees;
};

struct family_world {
    uint32_t tree_count, snapshot_count, next_uid, time;
    struct family_tree trees[FAMILY_TREES];               /* by name */
    struct family_snapshot snapshots[FAMILY_SNAPSHOTS];   /* by name */
};

enum family_kind {
    FAMILY_PUT, FAMILY_DEL, FAMILY_CLEAR, FAMILY_CREATE, FAMILY_DROP,
    FAMILY_RENAME, FAMILY_FORK, FAMILY_REVIVE, FAMILY_DROP_PATH, FAMILY_TAKE,
    FAMILY_FORGET, FAMILY_READ, FAMILY_READ_TAKEN, FAMILY_DIFF, FAMILY_MERGE,
    FAMILY_KINDS
};

struct family_op {
    enum family_kind kind;
    char a[FAMILY_NAME], b[FAMILY_NAME], c[FAMILY_NAME];
    uint32_t key, count, value;  /* keys [key, key + count), value and on */
    int policy;                  /* of a merge */
    bool settles;                /* and with a function */
};

/* Everything the maps are made of; freed at once. */
struct family_arena {
    void **blocks;
    size_t count, capacity;
};
void family_free(struct family_arena *arena);

extern const char *const family_kind_names[FAMILY_KINDS];

/* An operation that is likely to make sense in W. */
void family_choose(const struct family_world *w, struct dice *d,
                   uint32_t value, struct family_op *op);
/* Do it: the luge code to be answered; *answer a digest of what is read. */
int family_do(struct family_world *w, struct family_arena *arena,
              const struct family_op *op, uint64_t *answer);
/* Add to a digest what a difference reports. */
uint64_t family_note(uint64_t sum, uint32_t key, uint32_t before,
                     uint32_t after);
/* What the function of a merge decides about KEY; *value if 1. */
int family_settle(uint32_t key, uint32_t ours, uint32_t *value);

#endif
