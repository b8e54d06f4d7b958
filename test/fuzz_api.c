/* test/fuzz_api.c -- calls of luge.h with arguments that nobody should give.
 *
 *   fuzz_api [--seeds A..B] [--minutes M] [--trace]
 *
 * Holds: a seed is a row of calls on one database, with sizes at and beyond
 * every limit, NULL where it is allowed or stands before a size, numbers of
 * trees that are not, flags that do not exist, in transactions of every kind.
 *   Y1  Nobody dies.  Every answer is 0 or a code of luge.h.
 *   Y2  Flags that do not exist are INVALID, and so are bytes at NULL.
 *   Y3  A tree that no call names stays as it is; luge_check is content.
 * Not here: NULL for a handle, which C programs do not expect to survive.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "luge.h"
#include "luge_feed.h"

enum { CALLS = 60, ROOM = 3000, CANARY_PAIRS = 60, LARGE = 200000 };

static const char *const tallies[] = {"fine", "refused", NULL};

struct play {
    const char *path;
    bool trace;
    struct dice d;
    luge_db *db;
    luge_txn *txn;
    luge_cursor *cursor;
    luge_tree canary;
    uint64_t canary_sum;
    unsigned char room[ROOM];
    unsigned char *large;
};

static bool answered(struct play *p, int rc, const char *call)
{
    batch_tick();
    if (p->trace)
        fprintf(stderr, "  %s: %d %s\n", call, rc,
                rc ? luge_last_error()->text : "");
    batch_tally(rc ? 1 : 0);
    if (rc > 0 || rc < LUGE_TIMEOUT)
        batch_failed("%s answered %d", call, rc);
    return !rc;
}

static void invalid(struct play *p, int rc, const char *call)
{
    (void)answered(p, rc, call);
    if (rc != LUGE_INVALID)
        batch_failed("%s answered %d, not INVALID", call, rc);
}

/* ------------------------------------------------------------ arguments -- */

static size_t some_size(struct play *p)
{
    static const size_t odd[] = {
        0, 1, 2, 7, 8, 9, 511, 512, 513, 1023, LUGE_KEY_SIZE_MAX,
        LUGE_KEY_SIZE_MAX + 1, ROOM,
    };
    return odd[dice_below(&p->d, COUNT_OF(odd))];
}

/* SIZE: how much may be read of it. */
static luge_bytes some_bytes(struct play *p)
{
    static const size_t beyond[] = {
        SIZE_MAX, SIZE_MAX / 2, LUGE_VALUE_SIZE_MAX + 1, (size_t)1 << 63,
    };
    if (dice_chance(&p->d, 10)) return luge_bytes_of(NULL, 0);
    if (dice_chance(&p->d, 5))
        return luge_bytes_of(p->room, beyond[dice_below(&p->d, 4)]);
    if (dice_chance(&p->d, 30))
        p->room[dice_below(&p->d, ROOM)] = (unsigned char)dice_next(&p->d);
    return luge_bytes_of(p->room, some_size(p));
}

static luge_bytes some_value(struct play *p)
{
    if (dice_chance(&p->d, 15))
        return luge_bytes_of(p->large, dice_below(&p->d, LARGE));
    return some_bytes(p);
}

static const luge_bytes *maybe(struct play *p, luge_bytes *b)
{
    *b = some_bytes(p);
    return dice_chance(&p->d, 30) ? NULL : b;
}

/* Any but the canary. */
static luge_tree some_tree(struct play *p)
{
    static const luge_tree odd[] = {0, 2, 3, 4, 5, 77, (luge_tree)1 << 32,
                                    INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
    luge_tree t = dice_chance(&p->d, 60)
                      ? LUGE_MAIN : odd[dice_below(&p->d, COUNT_OF(odd))];
    return t == p->canary ? 0 : t;
}

static luge_bytes some_name(struct play *p)
{
    static const char *const names[] = {"a", "b", "a/b", "/", "main"};
    if (dice_chance(&p->d, 40)) return some_bytes(p);
    return luge_str(names[dice_below(&p->d, COUNT_OF(names))]);
}

static enum luge_seek some_seek(struct play *p)
{
    return (enum luge_seek)(dice_chance(&p->d, 90)
                                ? (int)dice_below(&p->d, 6)
                                : (int)dice_next(&p->d));
}

/* ----------------------------------------------------------------- calls -- */

static int update(void *context, const luge_bytes *old, luge_bytes *result)
{
    struct play *p = context;
    static const int answers[] = {0, 1, 2, 3, 77, LUGE_INVALID, LUGE_NOSPACE};
    (void)old;
    if (dice_chance(&p->d, 80)) *result = some_value(p);
    return answers[dice_below(&p->d, COUNT_OF(answers))];
}

static void end_txn(struct play *p)
{
    luge_txn *txn = p->txn;
    p->txn = NULL;
    p->cursor = NULL;
    if (!txn) return;
    if (dice_chance(&p->d, 20)) luge_abort(txn);
    else (void)answered(p, luge_commit(txn), "luge_commit");
}

static void begin_txn(struct play *p)
{
    static const unsigned flags[] = {LUGE_READ, LUGE_WRITE, LUGE_WRITE,
                                     LUGE_TURN, LUGE_TURN | LUGE_TRY,
                                     LUGE_WRITE | LUGE_TXN_ASYNC};
    end_txn(p);
    if (!answered(p, luge_begin(p->db, flags[dice_below(&p->d, 6)], &p->txn),
                  "luge_begin"))
        p->txn = NULL;
}

static void call_keys(struct play *p)
{
    luge_bytes a, b, c, d, *out = dice_chance(&p->d, 50) ? &c : NULL;
    luge_tree tree = some_tree(p);
    static const char *const operators[] = {"add", "max", "min", "append",
                                            "or", "none", ""};
    uint64_t count;
    luge_bytes key = some_bytes(p), value = some_value(p);
#define DO(call) (void)answered(p, call, #call)
    switch (dice_below(&p->d, 12)) {
    case 0: DO(luge_get(p->txn, tree, key, &a)); break;
    case 1: DO(luge_put(p->txn, tree, key, value)); break;
    case 2: DO(luge_add(p->txn, tree, key, value)); break;
    case 3: DO(luge_del(p->txn, tree, key)); break;
    case 4:
        DO(luge_del_range(p->txn, tree, maybe(p, &a), maybe(p, &b),
                          dice_chance(&p->d, 50) ? &count : NULL));
        break;
    case 5:
        DO(luge_cas(p->txn, tree, key, maybe(p, &a), maybe(p, &b), out));
        break;
    case 6: DO(luge_update(p->txn, tree, key, update, p)); break;
    case 7:
        DO(luge_combine(p->txn, tree, key, operators[dice_below(&p->d, 7)],
                        value, out));
        break;
    case 8: DO(luge_near(p->txn, tree, some_seek(p), key, &a, out)); break;
    case 9: DO(luge_pop_min(p->txn, tree, &d, out)); break;
    case 10: DO(luge_pop_max(p->txn, tree, NULL, NULL)); break;
    default: DO(luge_tree_count(p->txn, tree, &count)); break;
    }
}

static void call_trees(struct play *p)
{
    luge_tree tree = some_tree(p), made;
    luge_bytes name = some_name(p), out;
    struct luge_tree_stats stats;
    uint32_t savepoint = (uint32_t)dice_below(&p->d, 4);
    switch (dice_below(&p->d, 10)) {
    case 0: case 1:
        DO(luge_tree_open(p->txn, name, LUGE_TREE_CREATE, &made));
        break;
    case 2: DO(luge_tree_open(p->txn, name, 0, &made)); break;
    case 3: DO(luge_tree_drop(p->txn, tree)); break;
    case 4: DO(luge_tree_rename(p->txn, tree, name)); break;
    case 5: DO(luge_tree_clear(p->txn, tree)); break;
    case 6: DO(luge_tree_name(p->txn, tree, &out)); break;
    case 7: DO(luge_tree_after(p->txn, name, &out, &made)); break;
    case 8: DO(luge_tree_stat(p->txn, tree, &stats)); break;
    default:
        if (dice_chance(&p->d, 50)) DO(luge_savepoint(p->txn, &savepoint));
        if (dice_chance(&p->d, 20)) savepoint = (uint32_t)dice_next(&p->d);
        DO(luge_rollback(p->txn, savepoint));
    }
}

static void call_cursor(struct play *p)
{
    luge_bytes a, b, *out = dice_chance(&p->d, 50) ? &b : NULL;
    if (!p->cursor) {
        if (!answered(p, luge_cursor_open(p->txn, some_tree(p), &p->cursor),
                      "luge_cursor_open"))
            p->cursor = NULL;
        return;
    }
    switch (dice_below(&p->d, 8)) {
    case 0: DO(luge_cursor_range(p->cursor, maybe(p, &a), maybe(p, &b)));
        break;
    case 1: DO(luge_cursor_prefix(p->cursor, some_bytes(p))); break;
    case 2:
        DO(luge_cursor_seek(p->cursor, some_seek(p), some_bytes(p), &a, out));
        break;
    case 3: case 4: DO(luge_cursor_next(p->cursor, out, NULL)); break;
    case 5: DO(luge_cursor_prev(p->cursor, NULL, out)); break;
    case 6: DO(luge_cursor_del(p->cursor)); break;
    default:
        luge_cursor_close(p->cursor);
        p->cursor = NULL;
    }
}

static void call_batch(struct play *p)
{
    struct luge_op ops[4];
    size_t count = dice_below(&p->d, 5);
    for (size_t i = 0; i < 4; i++)
        ops[i] = (struct luge_op){
            dice_chance(&p->d, 95) ? 1 + (int)dice_below(&p->d, 2)
                                   : (int)dice_next(&p->d),
            some_tree(p), some_bytes(p), some_value(p)};
    DO(luge_apply(p->db, 0, count ? ops : NULL, count));
}

static void call_db(struct play *p)
{
    uint64_t n;
    struct luge_stats stats;
    switch (dice_below(&p->d, 6)) {
    case 0: DO(luge_next_ids(p->db, (uint32_t)dice_below(&p->d, 3), &n));
        break;
    case 1:
        DO(luge_next_ids(p->db, (uint32_t)(dice_next(&p->d) >> 40), &n));
        break;
    case 2: DO(luge_sync(p->db)); break;
    case 3: DO(luge_stat(p->db, &stats)); break;
    case 4: DO(luge_log_span(p->db, &n, &stats.commits)); break;
    default: DO(luge_checkpoint(p->db)); break;
    }
}

/* --------------------------------------------------------------- invalid -- */

static int nothing(luge_txn *txn, void *context)
{
    (void)txn, (void)context;
    return 0;
}

/* Y2 */
static void call_invalid(struct play *p)
{
    struct luge_options o = {.flags = 1u << (4 + dice_below(&p->d, 28))};
    luge_bytes nowhere = luge_bytes_of(NULL, 1 + dice_below(&p->d, 500)), out;
    unsigned unknown = 1u << (5 + dice_below(&p->d, 27));
    luge_tree tree;
    luge_txn *txn;
    luge_db *db;
    uint64_t n;
    char path[700];
    snprintf(path, sizeof path, "%s-none", p->path);
#define NOT(call) invalid(p, call, #call)
    switch (dice_below(&p->d, 13)) {
    case 0: NOT(luge_open(path, &o, &db)); break;
    case 1:
        o = (struct luge_options){.page_bytes = 5000 + dice_below(&p->d, 3000)};
        NOT(luge_open(path, &o, &db));
        break;
    case 2:
        o = (struct luge_options){.durability = 3 + (int)dice_below(&p->d, 9)};
        NOT(luge_open(path, &o, &db));
        break;
    case 3: NOT(luge_open(dice_chance(&p->d, 50) ? "" : NULL, NULL, &db));
        break;
    case 4: NOT(luge_begin(p->db, unknown, &txn)); break;
    case 5: NOT(luge_transact(p->db, unknown, nothing, NULL)); break;
    case 6: NOT(luge_apply(p->db, unknown, NULL, 0)); break;
    case 7: NOT(luge_next_ids(p->db, (1 << 20) + 1, &n)); break;
    case 8: NOT(luge_next_ids(p->db, 0, &n)); break;
    case 9: if (p->txn) NOT(luge_get(p->txn, LUGE_MAIN, nowhere, &out));
        break;
    case 10:
        if (p->txn) NOT(luge_tree_open(p->txn, nowhere, 0, &tree));
        break;
    case 11:
        if (p->txn)
            NOT(luge_tree_open(p->txn, luge_str("a"),
                               2u << dice_below(&p->d, 30), &tree));
        break;
    default: {
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"), nowhere};
        if (!p->txn) NOT(luge_apply(p->db, 0, &op, 1));
    }
    }
}

/* ------------------------------------------------------------------ one -- */

static int canary_fill(luge_txn *txn, void *context)
{
    struct play *p = context;
    char key[20];
    int rc = luge_tree_open(txn, luge_str("canary"), LUGE_TREE_CREATE,
                            &p->canary);
    for (unsigned i = 0; i < CANARY_PAIRS && !rc; i++) {
        snprintf(key, sizeof key, "canary %u", i);
        rc = luge_put(txn, p->canary, luge_str(key),
                      luge_bytes_of(p->large, i * 100));
    }
    return rc;
}

static int canary_sum(luge_txn *txn, void *context)
{
    struct play *p = context;
    luge_bytes key, value;
    luge_cursor *c;
    uint64_t sum = 1;
    int rc = luge_cursor_open(txn, p->canary, &c);
    if (rc) return rc;
    while (!(rc = luge_cursor_next(c, &key, &value)))
        sum = digest(digest(sum, key.data, key.size), value.data, value.size);
    luge_cursor_close(c);
    if (!p->canary_sum) p->canary_sum = sum;
    if (sum != p->canary_sum) batch_failed("Y3: the canary has changed");
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static void on_defect(void *context, const char *sentence)
{
    (void)context;
    batch_failed("luge_check: %s", sentence);
}

static void must(struct play *p, int rc, const char *call)
{
    if (!answered(p, rc, call))
        batch_failed("%s: %d (%s)", call, rc, luge_last_error()->text);
}

#define MUST(call) must(p, call, #call)

static void calls(struct play *p)
{
    unsigned roll = dice_below(&p->d, 100);
    if (roll < 6) call_db(p);
    else if (roll < 16) call_invalid(p);
    else if (!p->txn && roll < 26) call_batch(p);
    else if (!p->txn || roll < 30) begin_txn(p);
    else if (roll < 70) call_keys(p);
    else if (roll < 85) call_trees(p);
    else call_cursor(p);
}

static void one(uint64_t seed, void *context)
{
    struct play *p = context;
    struct luge_options o = {.checkpoint_bytes = 100000,
                             .busy_timeout_ms = 20};
    p->d = dice_of(seed, 0);
    p->txn = NULL;
    p->cursor = NULL;
    p->canary_sum = 0;
    if (p->trace) fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    if (dice_chance(&p->d, 50)) o.cache_bytes = 20000;
    pattern_fill(p->room, ROOM, seed);
    tree_remove(p->path);
    if (luge_open(p->path, &o, &p->db)) die("no database");
    MUST(luge_transact(p->db, 0, canary_fill, p));
    MUST(luge_transact(p->db, 0, canary_sum, p));
    for (unsigned i = 0; i < CALLS; i++) calls(p);
    end_txn(p);
    MUST(luge_check(p->db, on_defect, NULL));
    MUST(luge_close(p->db));
    if (luge_open(p->path, &o, &p->db)) die("it does not open again");
    MUST(luge_transact(p->db, 0, canary_sum, p));
    MUST(luge_check(p->db, on_defect, NULL));
    MUST(luge_close(p->db));
}

int main(int argc, char **argv)
{
    struct batch_order order = batch_parse("fuzz_api", argc, argv);
    char *base = scratch_make(SCRATCH_FAST), path[600];
    struct play p = {.path = path, .trace = order.trace,
                     .large = grab(LARGE)};
    snprintf(path, sizeof path, "%s/db", base);
    pattern_fill(p.large, LARGE, 5);
    batch_length(&order, 100, 400, 15000);
    int rc = batch_run(&order, "fuzz_api", one, &p, tallies);
    free(p.large);
    scratch_remove(base);
    return rc;
}
