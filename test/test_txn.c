/* test/test_txn.c -- what luge.h promises of transactions.
 *
 * Holds: snapshots, conflicts that must be and that must not be, the turn,
 * savepoints, batches, retries, durability, ids, and threads.
 * Not here: keys and values (test_api.c), processes (test_open.c), random
 * histories (crash_twin.c, crash_storm.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include "luge_fork.h"

#include <pthread.h>
#include <stdatomic.h>

/* ----------------------------------------------------------- snapshots -- */

static void snapshots_stay(void **state)
{
    struct rig *r = *state;
    luge_txn *old[10];
    luge_bytes kept[10];
    char value[32];
    for (int i = 0; i < 10; i++) {
        sprintf(value, "version %d", i);
        commit_put(r, "k", value);
        old[i] = begin(r, LUGE_READ);
        fine(luge_get(old[i], LUGE_MAIN, luge_str("k"), &kept[i]));
    }
    fine(luge_checkpoint(r->db));
    for (int i = 0; i < 200; i++) commit_put(r, "k", "something new");
    fine(luge_checkpoint(r->db));
    for (int i = 0; i < 10; i++) {
        sprintf(value, "version %d", i);
        holds(old[i], LUGE_MAIN, "k", value);
        assert_true(is(kept[i], value));    /* the very bytes, too */
        luge_abort(old[i]);
    }
}

static void own_writes_are_seen(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    put(txn, LUGE_MAIN, "k", "mine");
    holds(txn, LUGE_MAIN, "k", "mine");
    now_holds(r, LUGE_MAIN, "k", NULL);
    luge_abort(txn);
    now_holds(r, LUGE_MAIN, "k", NULL);
    luge_abort(NULL);
}

static void renewing(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_READ), *other = begin(r, LUGE_WRITE);
    luge_bytes key;
    luge_cursor *c;
    commit_put(r, "a", "1");
    commit_put(r, "b", "2");
    fine(luge_cursor_open(txn, LUGE_MAIN, &c));
    answers(LUGE_NOTFOUND, luge_cursor_next(c, &key, NULL));
    uint64_t before = luge_txn_seq(txn);
    fine(luge_renew(txn));
    assert_int_equal(luge_txn_seq(txn), before + 2);
    holds(txn, LUGE_MAIN, "a", "1");
    fine(luge_cursor_next(c, &key, NULL));      /* from the first again */
    assert_true(is(key, "a"));
    luge_abort(txn);
    answers(LUGE_INVALID, luge_renew(other));
    luge_abort(other);
}

static void sequence_numbers(void **state)
{
    struct rig *r = *state;
    commit_put(r, "k", "0");
    luge_txn *txn = begin(r, LUGE_READ);
    uint64_t seq = luge_txn_seq(txn);
    luge_abort(txn);
    assert_int_equal(luge_committed_seq(r->db), seq);
    for (uint64_t i = 1; i <= 20; i++) {
        commit_put(r, "k", "1");
        assert_int_equal(luge_committed_seq(r->db), seq + i);
        txn = begin(r, LUGE_WRITE);
        assert_int_equal(luge_txn_seq(txn), seq + i);
        luge_abort(txn);
    }
    rig_reopen(r);
    txn = begin(r, LUGE_READ);
    assert_int_equal(luge_txn_seq(txn), seq + 20);
    luge_abort(txn);
}

/* ----------------------------------------------------------- conflicts -- */

/* Two transactions that overlap: ONE does its part and lands, then TWO tries
 * to land.  Both begin before either writes. */
struct clash {
    const char *name;
    void (*one)(luge_txn *txn);
    void (*two)(luge_txn *txn);
    int expected;
};

static void put_a(luge_txn *t) { put(t, LUGE_MAIN, "a", "new"); }
static void put_b(luge_txn *t) { put(t, LUGE_MAIN, "b", "new"); }
static void put_m(luge_txn *t) { put(t, LUGE_MAIN, "m", "new"); }
static void del_c(luge_txn *t)
{
    fine(luge_del(t, LUGE_MAIN, luge_str("c")));
}
static void read_a_put_b(luge_txn *t)
{
    holds(t, LUGE_MAIN, "a", "1");
    put_b(t);
}
static void read_b_put_a(luge_txn *t)
{
    holds(t, LUGE_MAIN, "b", "1");
    put_a(t);
}
static void add_a_to_itself(luge_txn *t)
{
    holds(t, LUGE_MAIN, "a", "1");
    put_a(t);
}
static void miss_m_put_b(luge_txn *t)
{
    holds(t, LUGE_MAIN, "m", NULL);
    put_b(t);
}
static void count_and_put(luge_txn *t)
{
    uint64_t n;
    fine(luge_tree_count(t, LUGE_MAIN, &n));
    put_b(t);
}
static void near_m_put_b(luge_txn *t)
{
    luge_bytes k;
    fine(luge_near(t, LUGE_MAIN, LUGE_GE, luge_str("d"), &k, NULL));
    assert_true(is(k, "x"));
    put_b(t);
}
static void last_put_b(luge_txn *t)
{
    luge_bytes k;
    fine(luge_near(t, LUGE_MAIN, LUGE_LAST, luge_str(""), &k, NULL));
    put_b(t);
}
static void put_z(luge_txn *t) { put(t, LUGE_MAIN, "z", "new"); }
static void scan_a_to_d_put_x(luge_txn *t)
{
    luge_cursor *c;
    luge_bytes from = luge_str("a"), to = luge_str("d"), key;
    fine(luge_cursor_open(t, LUGE_MAIN, &c));
    fine(luge_cursor_range(c, &from, &to));
    while (!luge_cursor_next(c, &key, NULL)) continue;
    put(t, LUGE_MAIN, "x", "scanned");
}
static void backward_a_to_d_put_x(luge_txn *t)
{
    luge_cursor *c;
    luge_bytes from = luge_str("a"), to = luge_str("d"), key;
    fine(luge_cursor_open(t, LUGE_MAIN, &c));
    fine(luge_cursor_range(c, &from, &to));
    while (!luge_cursor_prev(c, &key, NULL)) continue;
    put(t, LUGE_MAIN, "x", "scanned");
}
static void put_aa(luge_txn *t) { put(t, LUGE_MAIN, "aa", "new"); }
static void put_cz(luge_txn *t) { put(t, LUGE_MAIN, "cz", "new"); }
static void put_d(luge_txn *t) { put(t, LUGE_MAIN, "d", "new"); }
static void first_step_put_b(luge_txn *t)
{
    luge_cursor *c;
    luge_bytes key;
    fine(luge_cursor_open(t, LUGE_MAIN, &c));
    fine(luge_cursor_next(c, &key, NULL));
    assert_true(is(key, "a"));
    put_b(t);
}
/* A seek in vain, then a step from the other end: two looks, not what lies
 * between. */
static void none_behind_x_then_first(luge_txn *t)
{
    luge_cursor *c;
    luge_bytes key;
    fine(luge_cursor_open(t, LUGE_MAIN, &c));
    answers(LUGE_NOTFOUND, luge_cursor_seek(c, LUGE_GT, luge_str("x"), &key,
                                            NULL));
    fine(luge_cursor_next(c, &key, NULL));
    assert_true(is(key, "a"));
    put_b(t);
}
static void none_before_a_then_last(luge_txn *t)
{
    luge_cursor *c;
    luge_bytes key;
    fine(luge_cursor_open(t, LUGE_MAIN, &c));
    answers(LUGE_NOTFOUND, luge_cursor_seek(c, LUGE_LT, luge_str("a"), &key,
                                            NULL));
    fine(luge_cursor_prev(c, &key, NULL));
    assert_true(is(key, "x"));
    put_b(t);
}
static void range_removes(luge_txn *t)
{
    luge_bytes from = luge_str("a"), to = luge_str("d");
    fine(luge_del_range(t, LUGE_MAIN, &from, &to, NULL));
}
static void pop_first(luge_txn *t)
{
    luge_bytes k, v;
    fine(luge_pop_min(t, LUGE_MAIN, &k, &v));
    assert_true(is(k, "a"));
}
static void put_before_all(luge_txn *t) { put(t, LUGE_MAIN, "", "new"); }
static void swap_a(luge_txn *t)
{
    luge_bytes one = luge_str("1"), two = luge_str("2");
    fine(luge_cas(t, LUGE_MAIN, luge_str("a"), &one, &two, NULL));
}
static void append_a(luge_txn *t)
{
    fine(luge_combine(t, LUGE_MAIN, luge_str("a"), "append", luge_str("x"),
                      NULL));
}
static void add_m(luge_txn *t)
{
    fine(luge_add(t, LUGE_MAIN, luge_str("m"), luge_str("mine")));
}
static void make_tree(luge_txn *t) { (void)tree_make(t, "tree"); }
static void look_for_tree(luge_txn *t)
{
    luge_tree tree;
    answers(LUGE_NOTFOUND, luge_tree_open(t, luge_str("tree"), 0, &tree));
    put_b(t);
}
static void list_trees(luge_txn *t)
{
    luge_bytes name = luge_str("");
    luge_tree tree;
    while (!luge_tree_after(t, name, &name, &tree)) {
        assert_true(is(name, "main") || is(name, "other"));
        name = is(name, "main") ? luge_str("main") : luge_str("other");
    }
    put_b(t);
}
static luge_tree other_tree(luge_txn *t)
{
    luge_tree tree;
    fine(luge_tree_open(t, luge_str("other"), 0, &tree));
    return tree;
}
static void drop_other(luge_txn *t) { fine(luge_tree_drop(t, other_tree(t))); }
static void put_in_other(luge_txn *t) { put(t, other_tree(t), "k", "v"); }
static void look_without_writing(luge_txn *t)
{
    holds(t, LUGE_MAIN, "a", "1");
}
static void undo_the_reading(luge_txn *t)
{
    uint32_t here;
    fine(luge_savepoint(t, &here));
    holds(t, LUGE_MAIN, "a", "1");
    put(t, LUGE_MAIN, "c", "undone");
    fine(luge_rollback(t, here));
    put_b(t);
}
static void undo_the_writing(luge_txn *t)
{
    uint32_t here;
    fine(luge_savepoint(t, &here));
    put_a(t);
    fine(luge_rollback(t, here));
    put_b(t);
}
static void checksum_all(luge_txn *t)
{
    uint64_t sum;
    fine(luge_checksum(t, &sum));
    put_b(t);
}

/* The content both start from: a, b, c and x are "1"; the tree "other". */
static void clash_fill(struct rig *r)
{
    luge_txn *txn = begin(r, LUGE_TURN);
    fine(luge_tree_clear(txn, LUGE_MAIN));
    put(txn, LUGE_MAIN, "a", "1");
    put(txn, LUGE_MAIN, "b", "1");
    put(txn, LUGE_MAIN, "c", "1");
    put(txn, LUGE_MAIN, "x", "1");
    luge_tree tree;
    if (!luge_tree_open(txn, luge_str("tree"), 0, &tree))
        fine(luge_tree_drop(txn, tree));
    tree_make(txn, "other");
    fine(luge_commit(txn));
}

static void clashes(struct rig *r, const struct clash *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        clash_fill(r);
        luge_txn *two = begin(r, LUGE_WRITE), *one = begin(r, LUGE_WRITE);
        list[i].two(two);
        list[i].one(one);
        fine(luge_commit(one));
        int rc = luge_commit(two);
        if (rc != list[i].expected)
            fail_msg("%s: %d (%s), not %d", list[i].name, rc,
                     luge_error_text(rc), list[i].expected);
    }
}

static void what_must_conflict(void **state)
{
    static const struct clash list[] = {
#define MUST(one, two) {#one " against " #two, one, two, LUGE_CONFLICT}
        MUST(add_a_to_itself, add_a_to_itself),      /* lost update */
        MUST(read_b_put_a, read_a_put_b),            /* write skew */
        MUST(put_a, read_a_put_b),
        MUST(put_m, miss_m_put_b),                   /* an absence */
        MUST(del_c, count_and_put),
        MUST(put_m, count_and_put),
        MUST(put_m, near_m_put_b),                   /* phantoms */
        MUST(put_z, last_put_b),
        MUST(put_aa, scan_a_to_d_put_x),
        MUST(put_cz, scan_a_to_d_put_x),
        MUST(put_aa, backward_a_to_d_put_x),
        MUST(put_cz, backward_a_to_d_put_x),
        MUST(del_c, scan_a_to_d_put_x),
        MUST(put_before_all, first_step_put_b),
        MUST(put_z, none_behind_x_then_first),
        MUST(put_before_all, none_before_a_then_last),
        MUST(put_before_all, pop_first),
        MUST(pop_first, pop_first),
        MUST(put_aa, range_removes),
        MUST(put_a, swap_a),
        MUST(swap_a, swap_a),
        MUST(append_a, append_a),
        MUST(add_m, add_m),
        MUST(put_m, add_m),
        MUST(del_c, del_c),
        MUST(make_tree, make_tree),
        MUST(make_tree, look_for_tree),
        MUST(make_tree, list_trees),
        MUST(drop_other, put_in_other),
        MUST(drop_other, drop_other),
        MUST(put_a, undo_the_reading),   /* what was read stays read */
        MUST(put_z, checksum_all),
        MUST(put_in_other, checksum_all),
    };
    clashes(*state, list, COUNT_OF(list));
}

static void what_must_not_conflict(void **state)
{
    static const struct clash list[] = {
#define FREE(one, two) {#one " beside " #two, one, two, 0}
        FREE(put_a, put_a),              /* blind writes: the last one stays */
        FREE(put_a, put_b),
        FREE(put_b, read_a_put_b),       /* it wrote what it did not read */
        FREE(put_d, scan_a_to_d_put_x),  /* bounds are exact */
        FREE(put_before_all, scan_a_to_d_put_x),
        FREE(put_d, backward_a_to_d_put_x),
        FREE(put_m, first_step_put_b),   /* it looked at the first alone */
        FREE(put_m, none_behind_x_then_first),
        FREE(put_m, none_before_a_then_last),
        FREE(put_z, near_m_put_b),       /* beyond what it found */
        FREE(put_aa, near_m_put_b),
        FREE(put_before_all, last_put_b),
        FREE(put_z, pop_first),
        FREE(put_m, range_removes),
        FREE(put_b, put_in_other),
        FREE(put_in_other, scan_a_to_d_put_x),
        FREE(put_in_other, count_and_put),
        FREE(make_tree, put_in_other),
        FREE(put_a, look_without_writing),
        FREE(undo_the_writing, read_a_put_b), /* what was undone is not */
    };
    clashes(*state, list, COUNT_OF(list));
}

static void readers_never_conflict(void **state)
{
    struct rig *r = *state;
    clash_fill(r);
    luge_txn *txn = begin(r, LUGE_READ);
    holds(txn, LUGE_MAIN, "a", "1");
    commit_put(r, "a", "2");
    holds(txn, LUGE_MAIN, "a", "1");
    fine(luge_commit(txn));
}

static void blind_writes_keep_the_last(void **state)
{
    struct rig *r = *state;
    luge_txn *one = begin(r, LUGE_WRITE), *two = begin(r, LUGE_WRITE);
    put(one, LUGE_MAIN, "k", "one");
    put(one, LUGE_MAIN, "one", "1");
    put(two, LUGE_MAIN, "k", "two");
    put(two, LUGE_MAIN, "two", "2");
    fine(luge_commit(two));
    fine(luge_commit(one));
    now_holds(r, LUGE_MAIN, "k", "one");
    now_holds(r, LUGE_MAIN, "one", "1");
    now_holds(r, LUGE_MAIN, "two", "2");
}

static void a_conflict_changes_nothing(void **state)
{
    struct rig *r = *state;
    clash_fill(r);
    luge_txn *txn = begin(r, LUGE_WRITE);
    holds(txn, LUGE_MAIN, "a", "1");
    for (int i = 0; i < 500; i++) {
        char key[32];
        sprintf(key, "more/%d", i);
        put(txn, LUGE_MAIN, key, "of what will not be");
    }
    tree_make(txn, "nor this");
    commit_put(r, "a", "2");
    uint64_t sum = checksum(r);
    answers(LUGE_CONFLICT, luge_commit(txn));
    assert_int_equal(checksum(r), sum);
    fine(luge_check(r->db, NULL, NULL));
}

/* -------------------------------------------------------------- the turn -- */

static void the_turn_never_conflicts(void **state)
{
    struct rig *r = *state;
    clash_fill(r);
    luge_txn *waiting = begin(r, LUGE_WRITE), *txn = begin(r, LUGE_TURN), *no;
    holds(waiting, LUGE_MAIN, "a", "1");
    put(waiting, LUGE_MAIN, "b", "waiting");
    answers(LUGE_BUSY, luge_begin(r->db, LUGE_TURN | LUGE_TRY, &no));
    holds(txn, LUGE_MAIN, "a", "1");
    put(txn, LUGE_MAIN, "a", "turn");
    now_holds(r, LUGE_MAIN, "a", "1");      /* readers do not wait */
    uint64_t id;
    fine(luge_next_id(r->db, &id));         /* nor do ids */
    fine(luge_commit(txn));
    now_holds(r, LUGE_MAIN, "a", "turn");
    answers(LUGE_CONFLICT, luge_commit(waiting));
    txn = begin(r, LUGE_TURN | LUGE_TRY);
    luge_abort(txn);
    commit_put(r, "c", "the turn was given back");
}

struct late { struct rig *r; _Atomic int done; };

static void *commit_late(void *context)
{
    struct late *late = context;
    luge_txn *txn;
    int rc = luge_begin(late->r->db, LUGE_WRITE, &txn);
    if (!rc) rc = luge_put(txn, LUGE_MAIN, luge_str("late"), luge_str("1"));
    if (!rc) rc = luge_commit(txn);
    atomic_store(&late->done, rc ? rc : 1);
    return NULL;
}

static void others_wait_for_the_turn(void **state)
{
    struct rig *r = *state;
    struct late late = {r, 0};
    pthread_t thread;
    luge_txn *txn = begin(r, LUGE_TURN);
    put(txn, LUGE_MAIN, "first", "1");
    assert_int_equal(pthread_create(&thread, NULL, commit_late, &late), 0);
    nap_us(50000);
    assert_int_equal(atomic_load(&late.done), 0);
    uint64_t seq = luge_txn_seq(txn);
    fine(luge_commit(txn));
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&late.done), 1);
    assert_int_equal(luge_committed_seq(r->db), seq + 2);
}

/* ----------------------------------------------------------- savepoints -- */

static void savepoints_nest(void **state)
{
    struct rig *r = *state;
    for (int turn = 0; turn < 2; turn++) {
        luge_txn *txn = begin(r, turn ? LUGE_TURN : LUGE_WRITE);
        uint32_t a, b, c;
        put(txn, LUGE_MAIN, "k", "0");
        fine(luge_savepoint(txn, &a));
        put(txn, LUGE_MAIN, "k", "a");
        luge_tree tree = tree_make(txn, "tree");
        put(txn, tree, "in", "tree");
        fine(luge_savepoint(txn, &b));
        put(txn, LUGE_MAIN, "k", "b");
        fine(luge_tree_rename(txn, tree, luge_str("wood")));
        fine(luge_savepoint(txn, &c));
        fine(luge_tree_drop(txn, tree));
        fine(luge_tree_clear(txn, LUGE_MAIN));
        fine(luge_rollback(txn, c));
        holds(txn, LUGE_MAIN, "k", "b");
        holds(txn, tree, "in", "tree");
        put(txn, LUGE_MAIN, "k", "c");
        fine(luge_rollback(txn, c));            /* it stays valid */
        fine(luge_rollback(txn, b));
        holds(txn, LUGE_MAIN, "k", "a");
        answers(LUGE_INVALID, luge_rollback(txn, c));   /* and this is gone */
        luge_bytes name;
        fine(luge_tree_name(txn, tree, &name));
        assert_true(is(name, "tree"));
        put(txn, LUGE_MAIN, "after", "b");
        fine(luge_rollback(txn, a));
        holds(txn, LUGE_MAIN, "k", "0");
        holds(txn, LUGE_MAIN, "after", NULL);
        luge_bytes v;
        answers(LUGE_NOTREE, luge_get(txn, tree, luge_str("in"), &v));
        put(txn, LUGE_MAIN, "end", "1");
        fine(luge_commit(txn));
        now_holds(r, LUGE_MAIN, "k", "0");
        now_holds(r, LUGE_MAIN, "end", "1");
        now_holds(r, LUGE_MAIN, "after", NULL);
    }
}

static void savepoints_of_many(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    uint32_t points[200];
    char key[32];
    for (int i = 0; i < 200; i++) {
        fine(luge_savepoint(txn, &points[i]));
        for (int j = 0; j < 20; j++) {
            sprintf(key, "%03d/%02d", i, j);
            put(txn, LUGE_MAIN, key, "some value");
        }
    }
    fine(luge_rollback(txn, points[100]));
    uint64_t n;
    fine(luge_tree_count(txn, LUGE_MAIN, &n));
    assert_int_equal(n, 2000);
    fine(luge_rollback(txn, points[1]));
    fine(luge_commit(txn));
    now_holds(r, LUGE_MAIN, "000/19", "some value");
    now_holds(r, LUGE_MAIN, "001/00", NULL);
    txn = begin(r, LUGE_WRITE);
    answers(LUGE_INVALID, luge_rollback(txn, 77));
    luge_abort(txn);
}

/* -------------------------------------------------- batches and retries -- */

/* What was opened of a snapshot that is undone is gone with it. */
static void rollback_forgets_snapshots(void **state)
{
    struct rig *r = *state;
    static const unsigned flags[] = {LUGE_WRITE, LUGE_TURN};
    commit_put(r, "k", "v");
    for (int i = 0; i < 2; i++) {
        luge_txn *txn = begin(r, flags[i]);
        luge_tree before, after;
        luge_bytes value;
        uint32_t point;
        fine(luge_snapshot(txn, luge_str(""), luge_str("kept")));
        fine(luge_snapshot_open(txn, luge_str("kept"), luge_str("main"),
                                &before));
        fine(luge_savepoint(txn, &point));
        put(txn, LUGE_MAIN, "k", "w");
        fine(luge_snapshot(txn, luge_str(""), luge_str("undone")));
        fine(luge_snapshot_open(txn, luge_str("undone"), luge_str("main"),
                                &after));
        holds(txn, after, "k", "w");
        fine(luge_rollback(txn, point));
        for (int n = 0; n < 50; n++) put(txn, LUGE_MAIN, "k", "x");
        answers(LUGE_NOTREE, luge_get(txn, after, luge_str("k"), &value));
        holds(txn, before, "k", "v");
        luge_abort(txn);
    }
}

static int answer_conflict(luge_txn *txn, void *context)
{
    (void)txn;
    ++*(int *)context;
    return LUGE_CONFLICT;
}

/* What the function answers is returned, whatever it is. */
static void a_function_may_answer_conflict(void **state)
{
    struct rig *r = *state;
    int calls = 0;
    answers(LUGE_CONFLICT, luge_transact(r->db, 0, answer_conflict, &calls));
    assert_int_equal(calls, 1);
    answers(LUGE_CONFLICT, luge_transact(r->db, LUGE_TURN, answer_conflict,
                                         &calls));
    assert_int_equal(calls, 2);
}

/* A cursor of a write transaction stays where it is, as renewing is refused. */
static void what_cannot_be_renewed_goes_on(void **state)
{
    struct rig *r = *state;
    luge_cursor *cursor;
    luge_bytes key;
    commit_put(r, "a", "1");
    commit_put(r, "b", "2");
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_cursor_open(txn, LUGE_MAIN, &cursor));
    fine(luge_cursor_next(cursor, &key, NULL));
    answers(LUGE_INVALID, luge_renew(txn));
    fine(luge_cursor_next(cursor, &key, NULL));
    assert_true(is(key, "b"));
    luge_abort(txn);
}

/* In T1, which PREPARE begins, something of the tree is read through a snapshot
 * or base of its own; T2 changes that and is first. */
static void missed(struct rig *r, int (*read)(luge_txn *, luge_tree),
                   int (*disturb)(luge_txn *, luge_tree))
{
    luge_txn *one = begin(r, LUGE_WRITE), *two;
    luge_tree songs = tree_make(one, "songs");
    put(one, songs, "k", "v");
    fine(luge_commit(one));
    one = begin(r, LUGE_WRITE);
    fine(luge_tree_open(one, luge_str("songs"), 0, &songs));
    fine(read(one, songs));
    put(one, LUGE_MAIN, "seen", "v");
    two = begin(r, LUGE_WRITE);
    fine(disturb(two, songs));
    fine(luge_commit(two));
    answers(LUGE_CONFLICT, luge_commit(one));
    two = begin(r, LUGE_WRITE);
    fine(luge_tree_drop(two, songs));
    fine(luge_commit(two));
}

static int read_snapshot(luge_txn *txn, luge_tree songs)
{
    luge_bytes value;
    luge_tree tree;
    (void)songs;
    int rc = luge_snapshot(txn, luge_str("songs"), luge_str("s"));
    if (!rc)
        rc = luge_snapshot_open(txn, luge_str("s"), luge_str("songs"), &tree);
    return rc ? rc : luge_get(txn, tree, luge_str("k"), &value);
}

static int read_base(luge_txn *txn, luge_tree songs)
{
    luge_bytes value;
    luge_tree fork, base;
    int rc = luge_fork(txn, luge_str("songs"), luge_str("fork"), NULL);
    if (!rc) rc = luge_tree_open(txn, luge_str("fork"), 0, &fork);
    if (!rc) rc = luge_fork_base(txn, songs, fork, &base);
    return rc ? rc : luge_get(txn, base, luge_str("k"), &value);
}

static int read_stat(luge_txn *txn, luge_tree songs)
{
    struct luge_tree_stats stats;
    return luge_tree_stat(txn, songs, &stats);
}

static int read_measure(luge_txn *txn, luge_tree songs)
{
    struct luge_snapshot_size size;
    (void)songs;
    int rc = luge_snapshot(txn, luge_str("songs"), luge_str("s"));
    return rc ? rc : luge_snapshot_measure(txn, luge_str("s"), &size);
}

static int clear_it(luge_txn *txn, luge_tree songs)
{
    return luge_tree_clear(txn, songs);
}

static int change_it(luge_txn *txn, luge_tree songs)
{
    return luge_put(txn, songs, luge_str("k"), luge_str("w"));
}

static int add_to_it(luge_txn *txn, luge_tree songs)
{
    return luge_put(txn, songs, luge_str("l"), luge_str("w"));
}

static void own_snapshots_are_validated(void **state)
{
    struct rig *r = *state;
    missed(r, read_snapshot, clear_it);
    missed(r, read_snapshot, change_it);
    missed(r, read_base, change_it);
    missed(r, read_base, clear_it);
    missed(r, read_stat, add_to_it);
    missed(r, read_measure, add_to_it);
    missed(r, read_measure, clear_it);
}

static void batches(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree tree = tree_make(txn, "tree");
    put(txn, LUGE_MAIN, "old", "1");
    fine(luge_commit(txn));
    char big[LUGE_KEY_SIZE_MAX + 1] = "k";
    struct luge_op ops[] = {
        {LUGE_OP_PUT, LUGE_MAIN, luge_str("a"), luge_str("1")},
        {LUGE_OP_PUT, tree, luge_str("b"), luge_str("2")},
        {LUGE_OP_PUT, LUGE_MAIN, luge_str("a"), luge_str("3")},
        {LUGE_OP_DEL, LUGE_MAIN, luge_str("old"), {NULL, 0}},
        {LUGE_OP_DEL, LUGE_MAIN, luge_str("never was"), {NULL, 0}},
    };
    fine(luge_apply(r->db, 0, ops, COUNT_OF(ops)));
    now_holds(r, LUGE_MAIN, "a", "3");
    now_holds(r, tree, "b", "2");
    now_holds(r, LUGE_MAIN, "old", NULL);
    fine(luge_apply(r->db, LUGE_TXN_ASYNC, NULL, 0));
    uint64_t sum = checksum(r);
    ops[0].value = luge_str("not this");
    ops[4].key = luge_bytes_of(big, sizeof big);
    answers(LUGE_TOOBIG, luge_apply(r->db, 0, ops, COUNT_OF(ops)));
    ops[4].key = luge_str("k");
    ops[4].tree = 4711;
    answers(LUGE_NOTREE, luge_apply(r->db, 0, ops, COUNT_OF(ops)));
    ops[4].tree = LUGE_MAIN;
    ops[4].kind = 99;
    answers(LUGE_INVALID, luge_apply(r->db, 0, ops, COUNT_OF(ops)));
    assert_int_equal(checksum(r), sum);           /* all or none */
}

static int add_one(luge_txn *txn, void *context)
{
    luge_bytes value;
    uint64_t n = 0;
    (void)context;
    int rc = luge_get(txn, LUGE_MAIN, luge_str("n"), &value);
    if (!rc) memcpy(&n, value.data, sizeof n);
    else if (rc != LUGE_NOTFOUND) return rc;
    n++;
    return luge_put(txn, LUGE_MAIN, luge_str("n"), luge_bytes_of(&n, 8));
}

struct counter { struct rig *r; unsigned flags; int rc; };
enum { THREADS = 4, EACH = 300 };

static void *count_up(void *context)
{
    struct counter *c = context;
    for (int i = 0; i < EACH && !c->rc; i++)
        c->rc = luge_transact(c->r->db, c->flags, add_one, NULL);
    return NULL;
}

static void retries_lose_nothing(void **state)
{
    struct rig *r = *state;
    struct counter c[THREADS];
    pthread_t threads[THREADS];
    luge_bytes value;
    uint64_t n;
    for (int i = 0; i < THREADS; i++) {
        c[i] = (struct counter){r, i == 3 ? LUGE_TURN : LUGE_TXN_ASYNC, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &c[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(c[i].rc, 0);
    }
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_get(txn, LUGE_MAIN, luge_str("n"), &value));
    memcpy(&n, value.data, sizeof n);
    assert_int_equal(n, THREADS * EACH);
    luge_abort(txn);
}

static int refuse(luge_txn *txn, void *context)
{
    ++*(int *)context;
    put(txn, LUGE_MAIN, "refused", "1");
    return 42;
}

static int always_overtaken(luge_txn *txn, void *context)
{
    struct rig *r = ((void **)context)[0];
    int *calls = ((void **)context)[1];
    luge_bytes value;
    luge_txn *other;
    (void)luge_get(txn, LUGE_MAIN, luge_str("n"), &value);
    /* as long as it holds no turn, somebody is faster */
    if (luge_begin(r->db, LUGE_TURN | LUGE_TRY, &other) == 0) {
        put(other, LUGE_MAIN, "n", "overtaking");
        fine(luge_commit(other));
    }
    ++*calls;
    return luge_put(txn, LUGE_MAIN, luge_str("n"), luge_str("at last"));
}

static void retries_end(void **state)
{
    struct rig *r = *state;
    int calls = 0;
    void *context[] = {r, &calls};
    assert_int_equal(luge_transact(r->db, 0, refuse, &calls), 42);
    assert_int_equal(calls, 1);
    now_holds(r, LUGE_MAIN, "refused", NULL);
    calls = 0;
    fine(luge_transact(r->db, 0, always_overtaken, context));
    assert_true(calls > 1 && calls < 100);
    now_holds(r, LUGE_MAIN, "n", "at last");
}

/* ------------------------------------------------ durability, ids, size -- */

static void durability(void **state)
{
    struct rig *r = *state;
    struct luge_options o = {.durability = LUGE_ASYNC,
                             .sync_interval_ms = 3600000};
    struct luge_stats before, after;
    rig_open(r, &o);
    luge_txn *txn = begin(r, LUGE_WRITE);
    put(txn, LUGE_MAIN, "k", "first");
    fine(luge_commit(txn));
    fine(luge_sync(r->db));
    fine(luge_stat(r->db, &before));
    assert_int_equal(before.seq_durable, before.seq_committed);
    for (int i = 0; i < 50; i++) commit_put(r, "k", "async");
    fine(luge_stat(r->db, &after));
    assert_int_equal(after.seq_committed, before.seq_committed + 50);
    assert_int_equal(after.seq_shown, after.seq_committed);
    assert_int_equal(after.syncs, before.syncs);    /* in an hour */
    txn = begin(r, LUGE_WRITE | LUGE_TXN_FULL);
    put(txn, LUGE_MAIN, "k", "full");
    fine(luge_commit(txn));
    fine(luge_stat(r->db, &after));
    assert_int_equal(after.seq_durable, after.seq_committed);
    assert_true(after.syncs > before.syncs);
    commit_put(r, "k", "async");
    fine(luge_sync(r->db));
    fine(luge_stat(r->db, &after));
    assert_int_equal(after.seq_durable, after.seq_committed);
    fine(luge_checkpoint(r->db));
    fine(luge_stat(r->db, &after));
    assert_int_equal(after.seq_checkpoint, after.seq_committed);
    now_holds(r, LUGE_MAIN, "k", "async");
}

/* What was committed asynchronously becomes durable by itself. */
static void the_sync_interval(void **state)
{
    struct rig *r = *state;
    struct luge_options o = {.durability = LUGE_ASYNC, .sync_interval_ms = 20};
    struct luge_stats s;
    rig_open(r, &o);
    commit_put(r, "k", "v");
    uint64_t until = now_ns() + 5000000000u;
    do {
        nap_us(5000);
        fine(luge_stat(r->db, &s));
    } while (s.seq_durable < s.seq_committed && now_ns() < until);
    assert_int_equal(s.seq_durable, s.seq_committed);
}

static void full_is_the_default(void **state)
{
    struct rig *r = *state;
    struct luge_stats s;
    commit_put(r, "k", "v");
    fine(luge_stat(r->db, &s));
    assert_int_equal(s.seq_durable, s.seq_committed);
    luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
    put(txn, LUGE_MAIN, "k", "w");
    fine(luge_commit(txn));
    now_holds(r, LUGE_MAIN, "k", "w");
}

static void *take_ids(void *context)
{
    uint64_t *ids = context;
    luge_db *db = (luge_db *)(uintptr_t)ids[0];
    for (int i = 0; i < 20000; i++)
        if (luge_next_id(db, &ids[i])) return NULL;
    return ids;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void ids(void **state)
{
    struct rig *r = *state;
    uint64_t first, last, *all = grab(THREADS * 20000 * sizeof *all);
    pthread_t threads[THREADS];
    answers(LUGE_INVALID, luge_next_ids(r->db, 0, &first));
    answers(LUGE_INVALID, luge_next_ids(r->db, (1 << 20) + 1, &first));
    fine(luge_next_ids(r->db, 1 << 20, &first));
    fine(luge_next_id(r->db, &last));
    assert_true(last >= first + (1 << 20));
    for (int i = 0; i < THREADS; i++) {
        all[i * 20000] = (uintptr_t)r->db;
        assert_int_equal(pthread_create(&threads[i], NULL, take_ids,
                                        all + i * 20000), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_non_null(result);
        for (int j = 1; j < 20000; j++)
            assert_true(all[i * 20000 + j] > all[i * 20000 + j - 1]);
    }
    qsort(all, THREADS * 20000, sizeof *all, by_number);
    for (int i = 1; i < THREADS * 20000; i++) assert_true(all[i] > all[i - 1]);
    last = all[THREADS * 20000 - 1];
    free(all);
    for (int i = 0; i < 3; i++) {
        rig_reopen(r);
        fine(luge_next_id(r->db, &first));
        assert_true(first > last);
        last = first;
    }
}

/* Bytes of memory with no file behind it. */
static size_t anonymous_bytes(void)
{
    char line[200];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) sscanf(line, "RssAnon: %zu kB", &kib);
    fclose(f);
    return kib << 10;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SPILL_ALLOWANCE = 1 << 30 };     /* their shadows are memory, too */
#else
enum { SPILL_ALLOWANCE = 12 << 20 };
#endif

/* Far more than the cache may hold: it spills, and lands as a whole. */
static void a_large_transaction(void **state)
{
    struct rig *r = *state;
    struct luge_options o = {.cache_bytes = 1 << 20,
                             .checkpoint_bytes = 1 << 20};
    rig_open(r, &o);
    for (int round = 0; round < 3; round++) {
        luge_txn *txn = begin(r, round == 1 ? LUGE_TURN : LUGE_WRITE);
        char key[32], value[700];
        luge_bytes found;
        size_t before = anonymous_bytes();
        memset(value, '0' + round, sizeof value);
        for (int i = 0; i < 60000; i++) {
            sprintf(key, "%08d", i * 7919 % 60000);
            fine(luge_put(txn, LUGE_MAIN, luge_str(key),
                          luge_bytes_of(value, sizeof value)));
        }
        fine(luge_get(txn, LUGE_MAIN, luge_str("00000077"), &found));
        assert_int_equal(*(const char *)found.data, '0' + round);
        assert_true(anonymous_bytes() < before + SPILL_ALLOWANCE);
        if (round == 2) luge_abort(txn);
        else fine(luge_commit(txn));
        assert_true(anonymous_bytes() < before + SPILL_ALLOWANCE);
        fine(luge_check(r->db, NULL, NULL));
    }
    luge_txn *txn = begin(r, LUGE_READ);
    luge_bytes value;
    uint64_t n;
    fine(luge_tree_count(txn, LUGE_MAIN, &n));
    assert_int_equal(n, 60000);
    fine(luge_get(txn, LUGE_MAIN, luge_str("00059999"), &value));
    assert_int_equal(*(const char *)value.data, '1');
    luge_abort(txn);
}

/* -------------------------------------------------------------- threads -- */

static void *go_on(void *context)
{
    luge_txn *txn = context;
    luge_bytes value;
    if (luge_get(txn, LUGE_MAIN, luge_str("here"), &value)) return NULL;
    if (luge_put(txn, LUGE_MAIN, luge_str("there"), luge_str("2"))) return NULL;
    return luge_commit(txn) ? NULL : context;
}

static void a_transaction_may_move(void **state)
{
    struct rig *r = *state;
    static const unsigned flags[] = {LUGE_WRITE, LUGE_TURN};
    for (int i = 0; i < 2; i++) {
        luge_txn *txn = begin(r, flags[i]);
        pthread_t thread;
        void *result;
        put(txn, LUGE_MAIN, "here", "1");
        assert_int_equal(pthread_create(&thread, NULL, go_on, txn), 0);
        pthread_join(thread, &result);
        assert_non_null(result);
        now_holds(r, LUGE_MAIN, "there", "2");
        commit_put(r, "there", "the turn is free");
    }
}

static void *fail_elsewhere(void *context)
{
    luge_txn *txn = context;
    (void)luge_put(txn, LUGE_MAIN, luge_str("k"), luge_str("v"));
    return (void *)(intptr_t)luge_last_error()->code;
}

static void errors_belong_to_threads(void **state)
{
    struct rig *r = *state;
    luge_txn *read = begin(r, LUGE_READ), *write = begin(r, LUGE_WRITE);
    pthread_t thread;
    void *code;
    answers(LUGE_INVALID, luge_tree_drop(write, LUGE_MAIN));
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, read), 0);
    pthread_join(thread, &code);
    assert_int_equal((intptr_t)code, LUGE_READONLY);
    assert_int_equal(luge_last_error()->code, LUGE_INVALID);
    luge_abort(read);
    luge_abort(write);
}

static void too_many_transactions(void **state)
{
    struct rig *r = *state;
    enum { MANY = 4000 };
    luge_txn **txns = grab(MANY * sizeof *txns);
    int count = 0, rc = 0;
    while (count < MANY && !(rc = luge_begin(r->db, LUGE_READ, &txns[count])))
        count++;
    assert_int_equal(rc, LUGE_LIMIT);
    assert_true(count >= 2000);
    luge_abort(txns[--count]);
    commit_put(r, "k", "v");
    while (count) luge_abort(txns[--count]);
    free(txns);
    now_holds(r, LUGE_MAIN, "k", "v");
}

/* Commits that only write, while nobody reads: txn/blind.c. */
static void who_only_writes(void **state)
{
    enum { MANY = 2000, KEYS = 300 };
    struct rig *r = *state;
    struct luge_stats before, after;
    luge_txn *early = begin(r, LUGE_READ);
    char key[16], value[16];
    uint64_t count;
    fine(luge_stat(r->db, &before));
    for (int i = 0; i < MANY; i++) {
        sprintf(key, "%d", i % KEYS);
        sprintf(value, "%d", i);
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str(key),
                             luge_str(value)};
        fine(luge_apply(r->db, LUGE_TXN_ASYNC, &op, 1));
    }
    luge_txn *late = begin(r, LUGE_WRITE);
    fine(luge_stat(r->db, &after));
    assert_int_equal(after.commits - before.commits, MANY);
    assert_true(after.commits_blind - before.commits_blind > MANY / 2);
    assert_int_equal(luge_txn_seq(late), luge_txn_seq(early) + MANY);
    fine(luge_tree_count(late, LUGE_MAIN, &count));
    assert_int_equal(count, KEYS);
    for (int i = MANY - KEYS; i < MANY; i++) {
        sprintf(key, "%d", i % KEYS);
        sprintf(value, "%d", i);
        holds(late, LUGE_MAIN, key, value);
        holds(early, LUGE_MAIN, key, NULL);
    }
    put(late, LUGE_MAIN, "0", "seen");
    fine(luge_commit(late));        /* it read what had landed blindly */
    now_holds(r, LUGE_MAIN, "0", "seen");
    luge_abort(early);
    fine(luge_check(r->db, NULL, NULL));
}

/* What is read first decides what is read, and what conflicts. */
static int put_and_look(luge_txn *txn, void *context)
{
    struct rig *r = context;
    luge_bytes value;
    put(txn, LUGE_MAIN, "mine", "1");
    commit_put(r, "other", "before the first read");
    fine(luge_get(txn, LUGE_MAIN, luge_str("other"), &value));
    assert_true(is(value, "before the first read"));
    holds(txn, LUGE_MAIN, "mine", "1");
    return 0;
}

static void the_first_read_chooses(void **state)
{
    struct rig *r = *state;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"),
                         luge_str("v")};
    struct luge_stats before, after;
    fine(luge_stat(r->db, &before));
    for (int i = 0; i < 300; i++)
        fine(luge_apply(r->db, LUGE_TXN_ASYNC, &op, 1));
    fine(luge_transact(r->db, LUGE_TXN_ASYNC, put_and_look, r));
    fine(luge_stat(r->db, &after));
    assert_int_equal(after.conflicts, before.conflicts);
    now_holds(r, LUGE_MAIN, "mine", "1");
}

/* A tree that it was told of goes before it first reads: it runs again, and
 * hears of that where it puts. */
struct vanishing {
    struct rig *r;
    luge_tree tree;
    int runs, put_rc;
};

static int put_and_look_beside(luge_txn *txn, void *context)
{
    struct vanishing *v = context;
    luge_bytes value;
    v->put_rc = luge_put(txn, v->tree, luge_str("k"), luge_str("v"));
    if (v->runs++ == 0) {
        luge_txn *other = begin(v->r, LUGE_WRITE);
        fine(luge_tree_drop(other, v->tree));
        put(other, LUGE_MAIN, "k", "after the drop");
        fine(luge_commit(other));
    }
    int rc = luge_get(txn, LUGE_MAIN, luge_str("k"), &value);
    return rc ? rc : v->put_rc;
}

static void a_tree_goes_before_the_first_read(void **state)
{
    struct rig *r = *state;
    struct vanishing v = {.r = r};
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_tree_open(txn, luge_str("t"), LUGE_TREE_CREATE, &v.tree));
    fine(luge_commit(txn));
    struct luge_op op = {LUGE_OP_PUT, v.tree, luge_str("k"), luge_str("v")};
    for (int i = 0; i < 300; i++)
        fine(luge_apply(r->db, LUGE_TXN_ASYNC, &op, 1));
    answers(LUGE_NOTREE, luge_transact(r->db, LUGE_TXN_ASYNC,
                                       put_and_look_beside, &v));
    assert_int_equal(v.runs, 2);
    assert_int_equal(v.put_rc, LUGE_NOTREE);
}

int main(void)
{
#define WITH(test)                                                            \
    cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
#define CLOSED(test)                                                          \
    cmocka_unit_test_setup_teardown(test, rig_setup_closed, rig_teardown)
    const struct CMUnitTest tests[] = {
        WITH(snapshots_stay), WITH(own_writes_are_seen), WITH(renewing),
        WITH(sequence_numbers), WITH(what_must_conflict),
        WITH(what_must_not_conflict), WITH(readers_never_conflict),
        WITH(blind_writes_keep_the_last), WITH(a_conflict_changes_nothing),
        WITH(the_turn_never_conflicts), WITH(others_wait_for_the_turn),
        WITH(savepoints_nest), WITH(savepoints_of_many),
        WITH(rollback_forgets_snapshots), WITH(a_function_may_answer_conflict),
        WITH(what_cannot_be_renewed_goes_on),
        WITH(own_snapshots_are_validated), WITH(batches),
        WITH(retries_lose_nothing), WITH(retries_end), CLOSED(durability),
        CLOSED(the_sync_interval), WITH(full_is_the_default), WITH(ids),
        CLOSED(a_large_transaction), WITH(a_transaction_may_move),
        WITH(errors_belong_to_threads), WITH(too_many_transactions),
        WITH(who_only_writes), WITH(the_first_read_chooses),
        WITH(a_tree_goes_before_the_first_read),
    };
    return cmocka_run_group_tests_name("txn", tests, NULL, NULL);
}
