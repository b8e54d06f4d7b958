/* test/test_shown.c -- what snapshots show while a commit is not durable yet.
 *
 * On the simulated platform a test can look about in the very moment in which
 * the log is synced: the commit is in the log, nobody knows whether it lasts.
 * Not here: what is there after a crash (crash_sim.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#undef fail                     /* base.h has one, too */

#include "luge.h"
#include "os/sim.h"
#include "support.h"

struct scene {
    struct os *os;
    luge_db *db;
    const char *before;         /* what a snapshot must show during a sync */
    luge_txn *peeking;
    unsigned looks, wrong;
};

static void put(struct scene *s, const char *value, unsigned flags)
{
    luge_txn *txn;
    assert_int_equal(luge_begin(s->db, LUGE_WRITE | flags, &txn), 0);
    assert_int_equal(luge_put(txn, LUGE_MAIN, luge_str("k"), luge_str(value)),
                     0);
    assert_int_equal(luge_commit(txn), 0);
}

/* Asserts nothing: it is called from within the engine. */
static bool shows(struct scene *s, unsigned flags, const char *value)
{
    luge_txn *txn;
    luge_bytes seen;
    if (luge_begin(s->db, flags, &txn)) return false;
    int rc = luge_get(txn, LUGE_MAIN, luge_str("k"), &seen);
    bool same = !rc && seen.size == strlen(value) &&
                !memcmp(seen.data, value, seen.size);
    luge_abort(txn);
    return same;
}

static void look(void *context, const char *call, const char *path)
{
    struct scene *s = context;
    if (!s->before || strcmp(call, "sync") || !strstr(path, "/log/")) return;
    s->looks++;
    if (!shows(s, LUGE_READ, s->before)) s->wrong++;
    if (!shows(s, LUGE_WRITE, s->before)) s->wrong++;
}

static int setup(void **state)
{
    struct scene *s = grab(sizeof *s);
    memset(s, 0, sizeof *s);
    s->os = sim_new(1);
    struct luge_options o = {.platform = s->os};
    sim_before(s->os, look, s);
    *state = s;
    return luge_open("/db", &o, &s->db);
}

static int teardown(void **state)
{
    struct scene *s = *state;
    s->before = NULL;
    int rc = luge_close(s->db);
    sim_free(s->os);
    free(s);
    return rc;
}

static void a_durable_commit_is_not_shown_before(void **state)
{
    struct scene *s = *state;
    put(s, "old", 0);
    s->before = "old";
    put(s, "new", 0);
    s->before = NULL;
    assert_int_equal(s->looks, 1);
    assert_int_equal(s->wrong, 0);
    assert_true(shows(s, LUGE_READ, "new"));
}

/* An asynchronous commit is shown at once; behind one that is not durable yet
 * it waits with it. */
static void an_asynchronous_one_is_shown_at_once(void **state)
{
    struct scene *s = *state;
    put(s, "old", LUGE_TXN_ASYNC);
    assert_true(shows(s, LUGE_READ, "old"));
    s->before = "old";
    put(s, "new", LUGE_TXN_ASYNC);
    assert_int_equal(s->looks, 0);
    assert_true(shows(s, LUGE_READ, "new"));
    s->before = "new";
    put(s, "newest", 0);
    assert_int_equal(s->looks, 1);
    assert_int_equal(s->wrong, 0);
}

/* What only the log has is made a version in the middle of a sync, and behind
 * it what may not be shown yet (txn/blind.c). */
static void what_is_behind_a_sync_hides_nothing(void **state)
{
    enum { MANY = 300 };
    struct scene *s = *state;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"),
                         luge_str("old")};
    struct luge_stats stats;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(luge_apply(s->db, LUGE_TXN_ASYNC, &op, 1), 0);
    s->before = "old";
    op.value = luge_str("new");
    assert_int_equal(luge_apply(s->db, LUGE_TXN_FULL, &op, 1), 0);
    assert_int_equal(luge_stat(s->db, &stats), 0);
    assert_true(stats.commits_blind > MANY / 2);
    assert_int_equal(s->looks, 1);
    assert_int_equal(s->wrong, 0);
    s->before = NULL;
    assert_true(shows(s, LUGE_READ, "new"));
}

/* In the middle of a sync, somebody who has the turn reads what it is for. */
static void peek(void *context, const char *call, const char *path)
{
    struct scene *s = context;
    luge_bytes seen;
    if (s->peeking || strcmp(call, "sync") || !strstr(path, "/log/")) return;
    s->looks++;
    if (luge_begin(s->db, LUGE_TURN, &s->peeking) ||
        luge_get(s->peeking, LUGE_MAIN, luge_str("k"), &seen) ||
        seen.size != 3 || memcmp(seen.data, "new", 3))
        s->wrong++;
}

/* Who had the turn, and changed nothing, is acknowledged when what it saw is
 * durable: if that fails, it must not hear that all is well. */
static void what_the_turn_saw_is_durable(void **state)
{
    struct scene *s = *state;
    luge_txn *txn;
    put(s, "old", 0);
    assert_int_equal(luge_begin(s->db, LUGE_WRITE, &txn), 0);
    assert_int_equal(luge_put(txn, LUGE_MAIN, luge_str("k"), luge_str("new")),
                     0);
    sim_before(s->os, peek, s);
    sim_fail(s->os, SIM_CALL_SYNC, 1, 5, false);
    assert_int_equal(luge_commit(txn), LUGE_BROKEN);
    assert_int_equal(s->looks, 1);
    assert_int_equal(s->wrong, 0);
    assert_int_equal(luge_commit(s->peeking), LUGE_BROKEN);
    assert_int_equal(luge_close(s->db), LUGE_BROKEN);
    struct luge_options o = {.platform = s->os};
    assert_int_equal(luge_open("/db", &o, &s->db), 0);
}

/* Nothing that was shown, and nothing else, is lost with the power. */
static void a_sync_that_fails_shows_nothing(void **state)
{
    struct scene *s = *state;
    luge_txn *txn, *none;
    put(s, "old", 0);
    assert_int_equal(luge_begin(s->db, LUGE_WRITE, &txn), 0);
    assert_int_equal(luge_put(txn, LUGE_MAIN, luge_str("k"), luge_str("new")),
                     0);
    sim_fail(s->os, SIM_CALL_SYNC, 1, 5, false);
    assert_int_equal(luge_commit(txn), LUGE_BROKEN);
    assert_int_equal(luge_begin(s->db, LUGE_READ, &none), LUGE_BROKEN);
    assert_int_equal(luge_close(s->db), LUGE_BROKEN);
    struct luge_options o = {.platform = s->os};
    assert_int_equal(luge_open("/db", &o, &s->db), 0);
    assert_true(shows(s, LUGE_READ, "old") || shows(s, LUGE_READ, "new"));
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        SCENE(a_durable_commit_is_not_shown_before),
        SCENE(an_asynchronous_one_is_shown_at_once),
        SCENE(a_sync_that_fails_shows_nothing),
        SCENE(what_the_turn_saw_is_durable),
        SCENE(what_is_behind_a_sync_hides_nothing),
    };
    return cmocka_run_group_tests_name("shown", tests, NULL, NULL);
}
