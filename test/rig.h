/* test/rig.h -- what the cmocka tests of luge.h share: a database in a scratch
 * directory, and calls that must give what the test says.
 * Not here: anything that a child process may call (a failed assertion jumps
 * into cmocka; use in_child, whose body returns a number instead).
 */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "luge.h"
#include "support.h"

struct rig {
    char *base, path[600];   /* the database is in base/db */
    luge_db *db;             /* NULL while closed */
};

/* For cmocka_unit_test_setup_teardown: with an open database, or with none. */
int rig_setup(void **state);
int rig_setup_closed(void **state);
int rig_teardown(void **state);

void rig_open(struct rig *r, const struct luge_options *options);
void rig_close(struct rig *r);
void rig_reopen(struct rig *r);

/* CALL must answer CODE; if not, the engine's sentence is shown. */
#define answers(code, call) answers_((code), (call), #call, __FILE__, __LINE__)
#define fine(call) answers(0, call)
void answers_(int code, int rc, const char *call, const char *file, int line);

luge_txn *begin(struct rig *r, unsigned flags);
void put(luge_txn *txn, luge_tree tree, const char *key, const char *value);
/* VALUE NULL: absent */
void holds(luge_txn *txn, luge_tree tree, const char *key, const char *value);
/* In a snapshot of its own. */
void now_holds(struct rig *r, luge_tree tree, const char *key,
               const char *value);
/* One committed put. */
void commit_put(struct rig *r, const char *key, const char *value);
luge_tree tree_make(luge_txn *txn, const char *name);
uint64_t checksum(struct rig *r);
bool is(luge_bytes b, const char *text);

/* Run BODY in a child; its return value, or 1000 + signal. */
int in_child(int (*body)(struct rig *r), struct rig *r);
/* What a child must see; it says what it did not, and returns 1. */
#define CHILD_MUST(condition)                                                 \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__,            \
                    #condition);                                              \
            return 1;                                                         \
        }                                                                     \
    } while (0)
#define CHILD_ANSWERS(code, call)                                             \
    do {                                                                      \
        int rc_ = (call);                                                     \
        if (rc_ != (code)) {                                                  \
            fprintf(stderr, "%s:%d: %s gave %d, not %d (%s)\n", __FILE__,     \
                    __LINE__, #call, rc_, (int)(code),                        \
                    luge_last_error()->text);                                 \
            return 1;                                                         \
        }                                                                     \
    } while (0)

#endif
