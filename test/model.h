/* test/model.h -- the stupid twin: a database as sorted arrays, copied whole.
 *
 * Holds:
 *   M1  A state is an array of trees, a tree an array of pairs; every search
 *       is a loop over all of it.  Nothing here is clever, so that it is right.
 *   M2  A transaction keeps every step it made with its outcome.  Whether it
 *       may land is judged by making all its steps again on the head: it may
 *       iff each gives the same outcome (model_judge).
 *   M3  Besides, it keeps the spans of keys it looked at.  A conflict without
 *       a later write in one of these spans is a false one.
 * A step is one call of luge.h as data, so that it can be made by the twin, by
 * the engine here, by the engine in another process (hand.h), and be printed.
 * Not here: the engine, and the choice of steps.
 */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "luge.h"

/* -------------------------------------------------------------- bytes -- */

struct blob {                  /* bytes with an owner count; never changed */
    unsigned owners;
    size_t size;
    unsigned char data[];
};
struct blob *blob_of(const void *data, size_t size);
struct blob *blob_keep(struct blob *b);                /* NULL is allowed */
void blob_drop(struct blob *b);
int blob_compare(const struct blob *a, const struct blob *b);
bool blob_same(const struct blob *a, const struct blob *b);
luge_bytes blob_bytes(const struct blob *b);           /* NULL: no bytes */

/* -------------------------------------------------------------- steps -- */

/* What a step is called, and what it uses of struct step. */
#define STEPS(X)                                                              \
    /* of a transaction */                                                    \
    X(BEGIN)         /* flags; number: the seq */                             \
    X(COMMIT) X(ABORT) X(RENEW)                                               \
    X(SAVEPOINT)     /* index */                                              \
    X(ROLLBACK)      /* index */                                              \
    X(TREE_OPEN)     /* key: name, flags; number: the tree */                 \
    X(TREE_DROP) X(TREE_CLEAR)                                                \
    X(TREE_RENAME)   /* key: name */                                          \
    X(TREE_FORK)     /* key: name; number: the new tree.  No path under it */ \
    X(SNAPSHOT)      /* key: name; of everything; if there is one, drop it */ \
    X(TREE_COUNT) X(TREE_NAME)                                                \
    X(TREE_AFTER)    /* key: name; key, number: the tree found */             \
    X(GET) X(PUT) X(ADD) X(DEL)                                               \
    X(DEL_RANGE)     /* key, to: NULL is open; flags 1: wants the count */    \
    X(CAS)           /* to: expected, value: desired; NULL is absent */       \
    X(UPDATE)        /* index: the transformation */                          \
    X(MERGE)         /* index: the operator, value: the operand */            \
    X(NEAR)          /* flags: enum luge_seek */                              \
    X(POP_MIN) X(POP_MAX)                                                     \
    X(CURSOR_OPEN) X(CURSOR_CLOSE)                                            \
    X(CURSOR_RANGE)  /* key, to */                                            \
    X(CURSOR_PREFIX) /* key */                                                \
    X(CURSOR_SEEK)   /* flags: enum luge_seek, key */                         \
    X(CURSOR_NEXT) X(CURSOR_PREV) X(CURSOR_DEL)                               \
    X(DIGEST)        /* number: of all names and pairs; no slot: anew */      \
    X(CHECKSUM)      /* number: luge_checksum */                              \
    /* of the database */                                                     \
    X(BATCH)         /* value: encoded pairs, see batch_next; flags */        \
    X(SYNC) X(CHECKPOINT) X(COMPACT) X(CHECK) X(NEXT_ID) X(STAT)              \
    X(CLOSE_BUSY)    /* luge_close while a transaction is open */             \
    X(REOPEN)        /* ends all transactions first; number: recovered */

enum step_kind {
#define X(name) STEP_##name,
    STEPS(X)
#undef X
    STEP_KINDS
};

enum { NO_SLOT = 255, CURSORS = 2, SAVEPOINTS = 8 };

struct step {
    enum step_kind kind;
    unsigned hand, slot, cursor; /* process, transaction, cursor of it */
    unsigned flags, index;
    luge_tree tree;
    struct blob *key, *to, *value;
};

struct outcome {
    int rc;
    uint64_t number;
    struct blob *key, *value;
};

struct step step_copy(const struct step *s);
void step_free(struct step *s);
void outcome_free(struct outcome *o);
bool outcome_same(const struct outcome *a, const struct outcome *b);
void step_print(FILE *to, const struct step *s);
void outcome_print(FILE *to, const struct outcome *o);
const char *step_name(enum step_kind kind);

/* The transformation INDEX of luge_update, and the operator that both sides
 * call "twin": simple, and total.  They return as luge_update_fn; *result is
 * the caller's to drop. */
int transform(unsigned index, const luge_bytes *old, struct blob **result);
int merge_twin(const luge_bytes *old, luge_bytes operand,
               struct blob **result);
enum { TRANSFORMS = 5, MERGES = 7 };
extern const char *const merge_names[MERGES];

/* One pair of an encoded batch: false at its end. */
struct batch_op { bool del; luge_tree tree; luge_bytes key, value; };
bool batch_next(const struct blob *batch, size_t *at, struct batch_op *op);
void batch_add(struct blob **batch, const struct batch_op *op);

/* -------------------------------------------------------------- model -- */

struct pair { struct blob *key, *value; };

struct tree {
    unsigned owners;
    luge_tree number;
    struct blob *name;
    struct pair *pairs;       /* ascending */
    size_t count;
};

struct state {
    struct tree **trees;      /* by name, ascending */
    size_t count;
};

struct span { luge_tree tree; struct blob *from, *to; }; /* closed; NULL open */
struct spans { struct span *list; size_t count; };

struct cursor {
    bool open, doubtful;      /* doubtful: luge.h leaves open where it is */
    luge_tree tree;
    struct blob *from, *to, *prefix;
    enum { PLACE_NONE, PLACE_AT, PLACE_GAP, PLACE_START, PLACE_END } place;
    struct blob *key;
};

struct model_txn {
    struct model *model;
    unsigned flags;
    size_t begun_at;          /* commits before it */
    struct state base, now;
    struct { struct state state; size_t writes; } saved[SAVEPOINTS];
    unsigned saved_count;
    struct cursor cursors[CURSORS];
    struct spans reads, writes;
    struct step *steps;
    struct outcome *outcomes;
    size_t step_count;
};

struct model {
    struct state head;
    struct spans *commits;    /* what each wrote */
    size_t commit_count;
    luge_tree *numbers;       /* of every tree that ever landed */
    size_t number_count;
};

void model_init(struct model *m);
void model_free(struct model *m);

struct model_txn *model_begin(struct model *m, unsigned flags);
void model_renew(struct model_txn *t);
void model_forget(struct model_txn *t);

/* Make step S in T.  SEEN is what the engine answered: the twin takes from it
 * only the numbers of new trees, after proving them fresh. */
void model_step(struct model_txn *t, const struct step *s,
                const struct outcome *seen, struct outcome *expected);

enum verdict {
    MUST_LAND,        /* nobody wrote where it looked */
    MAY_CONFLICT,     /* somebody did, yet every outcome stays the same */
    MUST_CONFLICT,    /* some outcome would be another one now */
};
enum verdict model_judge(struct model_txn *t);
bool model_wrote(const struct model_txn *t);

/* T's steps become the head's.  T is gone. */
void model_land(struct model_txn *t);

/* The head's digest if T landed now; the head's own if it must not. */
uint64_t model_digest_after(struct model_txn *t);

uint64_t state_digest(const struct state *s);
/* Chaining of the digest, shared with hand.c. */
uint64_t digest_tree(uint64_t sum, luge_bytes name, uint64_t count);
uint64_t digest_pair(uint64_t sum, luge_bytes key, luge_bytes value);

const struct tree *state_tree(const struct state *s, luge_tree number);
const struct tree *state_named(const struct state *s, luge_bytes name);

#endif
