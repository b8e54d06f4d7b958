/* test/sim_work.h -- a workload on a simulated disk, and the ledger of what
 * must be left of it after a crash at any moment.
 *
 * Holds: a seed is a workload; options, sizes and steps follow from it.
 *   K1  Every answer of the engine is the model's answer (model.h).
 *   K2  The ledger knows, whenever the engine touches the disk, which commits
 *       were acknowledged as durable, which returned, which is under way, and
 *       the sum of the content after each of them.  A sum goes over names,
 *       numbers of trees, keys and values, in no order, so that one more pair
 *       can be added to it.
 *   K3  With `trouble` a call may also answer with that code.  Then its
 *       transaction has not happened.  With `may_break` it may answer with
 *       LUGE_BROKEN: it may have happened, and no other may any more.
 * Not here: crashes (crash_sim.c).
 */
#ifndef TEST_SIM_WORK_H
#define TEST_SIM_WORK_H

#include "hand.h"
#include "os/sim.h"
#include "support.h"

/* Sequence numbers: durable <= returned <= attempted.  A power cut leaves one
 * from durable to attempted, the death of the process none before returned. */
struct ledger {
    uint64_t durable, returned, attempted;
    uint64_t id_last;       /* of all numbers given out */
    bool opened;            /* luge_open has answered 0: it must be there */
    uint64_t first;         /* sums[k] belongs to commit first + k */
    size_t count, capacity;
    uint64_t *sums;
};

void ledger_opened(struct ledger *l, uint64_t seq, uint64_t sum);
/* A commit that would leave SUM is under way; it landed; it did not. */
void ledger_try(struct ledger *l, uint64_t sum);
void ledger_landed(struct ledger *l, bool durable);
void ledger_refused(struct ledger *l);
bool ledger_knows(const struct ledger *l, uint64_t seq, uint64_t sum);
/* Only what may still be found after a crash. */
struct ledger ledger_copy(const struct ledger *l);
void ledger_free(struct ledger *l);

/* What a database without any key holds. */
uint64_t content_empty(void);
uint64_t content_pair(luge_tree tree, luge_bytes key, luge_bytes value);
/* Read all: 0 or a code of luge.  Ascending keys and right counts, or
 * CONTENT_WRONG.  *seq is that of the snapshot. */
enum { CONTENT_WRONG = -2000 };
int content_sum(luge_db *db, uint64_t *seq, uint64_t *sum);

struct work {
    uint64_t seed;
    struct os *os;
    struct luge_options options;
    unsigned keys, value_style, step, steps;
    struct hand hand;
    struct model model;
    struct ledger ledger;
    int trouble;            /* the code that is excused, or 0 */
    bool may_break, broken, ended, reading, trace;
    uint64_t errors;        /* excused so far */
    char why[512];          /* it contradicts the model: how */
};

#define WORK_PATH "/db"

void work_init(struct work *w, uint64_t seed, unsigned steps, struct os *os);
/* Open, and make the database if there is none. */
void work_open(struct work *w);
/* One step: a transaction, a batch, a checkpoint, ... False: no more. */
bool work_step(struct work *w);
void work_close(struct work *w);
void work_free(struct work *w);

#endif
