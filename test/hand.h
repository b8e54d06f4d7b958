/* test/hand.h -- makes the steps of the twin test on the real engine.
 *
 * Holds: a hand is one open database with its transactions and cursors.  It
 * lives here, or in a child process that does what a pipe tells it; either way
 * a step goes in and an outcome comes out, copied.
 *   H1  What a read transaction was shown is remembered, and must still be the
 *       same bytes at every later step (HAND_CHANGED is the outcome if not).
 * Not here: what the outcome should have been (model.h).
 */
#ifndef TEST_HAND_H
#define TEST_HAND_H

#include <sys/types.h>

#include "model.h"

enum { SLOTS = 6, KEPT = 48 };

/* Outcomes that no call of luge.h has. */
enum {
    HAND_CHANGED = -1000,     /* bytes that a snapshot showed are others now */
    HAND_DISAGREES = -1001,   /* two ways to read one thing differ */
    HAND_GONE = -1002,        /* the process at the other end is dead */
};

struct kept { const void *data; size_t size; uint64_t sum; };

struct hand {
    const char *path;
    struct luge_options options;
    luge_db *db;
    struct hand_slot {
        luge_txn *txn;
        unsigned flags;
        luge_cursor *cursors[CURSORS];
        uint32_t savepoints[SAVEPOINTS];
        struct kept kept[KEPT];
        unsigned kept_count;
    } slots[SLOTS];
    uint64_t id_last;

    pid_t child;              /* 0: it lives here */
    int to_child, from_child;
};

/* Open the database at PATH in this process. */
int hand_open(struct hand *h, const char *path,
              const struct luge_options *options);
/* The same in a child.  This process must have no database open. */
int hand_fork(struct hand *h, const char *path,
              const struct luge_options *options);
/* End all transactions and close. */
int hand_close(struct hand *h);
/* SIGKILL to the child; it is reaped. */
void hand_kill(struct hand *h);

void hand_step(struct hand *h, const struct step *s, struct outcome *o);

/* The two halves of hand_step for a child, to put a kill between them.
 * hand_receive answers HAND_GONE if the child died first. */
void hand_send(struct hand *h, const struct step *s);
void hand_receive(struct hand *h, struct outcome *o);

#endif
