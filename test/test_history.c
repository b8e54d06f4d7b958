/* test/test_history.c -- what luge_history.h promises, in one process.
 * Not here: random histories against a model (crash_lineage.c), writers at the
 * same time (crash_backup.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include "luge_feed.h"
#include "luge_fork.h"
#include "luge_history.h"
#undef fail /* cmocka's; ours is base.h's */
#include "os/sim.h"

#define HOUR_NS ((uint64_t)3600 * 1000000000)

static uint64_t seq_now(struct rig *r)
{
    return luge_committed_seq(r->db);
}

static void at_holds(struct rig *r, uint64_t seq, const char *key,
                     const char *value)
{
    luge_txn *txn;
    fine(luge_begin_at(r->db, seq, &txn));
    assert_int_equal(luge_txn_seq(txn), seq);
    holds(txn, LUGE_MAIN, key, value);
    luge_abort(txn);
}

/* SIZE bytes of log that nobody wants. */
static void noise(struct rig *r, size_t size)
{
    static char value[60000];
    static uint64_t round;
    for (size_t done = 0; done < size; done += sizeof value) {
        luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
        pattern_fill(value, sizeof value, ++round);
        fine(luge_put(txn, LUGE_MAIN, luge_str("noise"),
                      luge_bytes_of(value, sizeof value)));
        fine(luge_commit(txn));
    }
}

static int snapshot_in(luge_txn *txn, void *name)
{
    return luge_snapshot(txn, luge_str(""), luge_str(name));
}

static int forget_in(luge_txn *txn, void *name)
{
    return luge_snapshot_drop(txn, luge_str(name));
}

/* --------------------------------------------------------------- tests -- */

static void behind_each_commit(void **state)
{
    struct rig *r = *state;
    uint64_t seqs[9];
    char value[2] = "0";
    for (int i = 1; i < 9; i++) {
        value[0] = (char)('0' + i);
        commit_put(r, "k", value);
        seqs[i] = seq_now(r);
        if (i == 4) fine(luge_checkpoint(r->db));
        if (i == 6) rig_reopen(r);
    }
    for (int i = 8; i > 0; i--) {
        value[0] = (char)('0' + i);
        at_holds(r, seqs[i], "k", value);
    }
    at_holds(r, seqs[1] - 1, "k", NULL);
    luge_txn *txn;
    luge_bytes value_of;
    fine(luge_begin_at(r->db, 1, &txn));        /* before there was a tree */
    answers(LUGE_NOTREE, luge_get(txn, LUGE_MAIN, luge_str("k"), &value_of));
    luge_abort(txn);
    answers(LUGE_NOTFOUND, luge_begin_at(r->db, seqs[8] + 1, &txn));
    answers(LUGE_INVALID, luge_begin_at(r->db, 0, &txn));
    fine(luge_begin_at(r->db, seqs[2], &txn));
    answers(LUGE_READONLY, luge_put(txn, LUGE_MAIN, luge_str("k"),
                                    luge_str("v")));
    fine(luge_renew(txn));
    holds(txn, LUGE_MAIN, "k", "8");
    luge_abort(txn);
}

static void times(void **state)
{
    struct rig *r = *state;
    uint64_t first, second, seq, ns, before;
    commit_put(r, "k", "1");
    first = seq_now(r);
    commit_put(r, "k", "2");
    second = seq_now(r);
    fine(luge_time_at(r->db, first, &ns));
    fine(luge_seq_at(r->db, ns, &seq));
    assert_int_equal(seq, first);
    fine(luge_time_at(r->db, second, &before));
    assert_true(before > ns);
    fine(luge_seq_at(r->db, before - 1, &seq));
    assert_int_equal(seq, first);
    fine(luge_seq_at(r->db, UINT64_MAX, &seq));
    assert_int_equal(seq, second);
    answers(LUGE_NOTFOUND, luge_seq_at(r->db, 1, &seq));
    answers(LUGE_NOTFOUND, luge_time_at(r->db, second + 1, &ns));
    rig_reopen(r);
    fine(luge_seq_at(r->db, before, &seq));
    assert_int_equal(seq, second);
}

static int count_in(void *context, luge_bytes key, const luge_bytes *before,
                    const luge_bytes *after)
{
    char *text = context;
    size_t n = strlen(text);
    snprintf(text + n, 100 - n, "%.*s:%.*s:%.*s ", (int)key.size,
             (const char *)key.data, before ? (int)before->size : 1,
             before ? (const char *)before->data : "-",
             after ? (int)after->size : 1,
             after ? (const char *)after->data : "-");
    return 0;
}

static void then_and_now(void **state)
{
    struct rig *r = *state;
    luge_tree then, other, tree;
    char found[100] = "";
    commit_put(r, "a", "1");
    commit_put(r, "b", "1");
    uint64_t seq = seq_now(r);
    commit_put(r, "b", "2");
    commit_put(r, "c", "2");
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_past_open(txn, seq, luge_str("main"), &then));
    fine(luge_past_open(txn, seq, luge_str("main"), &other));
    holds(txn, then, "b", "1");
    fine(luge_diff(txn, then, LUGE_MAIN, count_in, found));
    assert_string_equal(found, "b:1:2 c:-:2 ");
    answers(LUGE_READONLY, luge_put(txn, then, luge_str("x"), luge_str("y")));
    answers(LUGE_NOTFOUND, luge_past_open(txn, seq, luge_str("no"), &tree));
    /* what was lost comes back: a merge of nothing but what then had */
    put(txn, LUGE_MAIN, "b", "3");
    holds(txn, then, "b", "1");
    fine(luge_commit(txn));
    now_holds(r, LUGE_MAIN, "b", "3");
}

/* Large values stand in own memory; small ones, and a change of the tree while
 * the past is read, are no matter. */
static void large_values(void **state)
{
    struct rig *r = *state;
    static char value[300000];
    luge_txn *txn = begin(r, LUGE_WRITE), *past;
    luge_bytes found;
    pattern_fill(value, sizeof value, 5);
    fine(luge_put(txn, LUGE_MAIN, luge_str("large"),
                  luge_bytes_of(value, sizeof value)));
    put(txn, LUGE_MAIN, "small", "s");
    fine(luge_commit(txn));
    uint64_t seq = seq_now(r);
    commit_put(r, "large", "gone");
    fine(luge_checkpoint(r->db));
    fine(luge_begin_at(r->db, seq, &past));
    noise(r, 3000000);
    fine(luge_checkpoint(r->db));
    fine(luge_get(past, LUGE_MAIN, luge_str("large"), &found));
    assert_int_equal(found.size, sizeof value);
    assert_memory_equal(found.data, value, sizeof value);
    luge_abort(past);
    /* To commit a state of the past changes nothing. */
    fine(luge_begin_at(r->db, seq, &past));
    fine(luge_get(past, LUGE_MAIN, luge_str("large"), &found));
    uint64_t now = seq_now(r);
    fine(luge_commit(past));
    assert_int_equal(seq_now(r), now);
    now_holds(r, LUGE_MAIN, "large", "gone");
}

static void the_log_has_gone(void **state)
{
    struct rig *r = *state;
    struct luge_options little = {.log_keep_bytes = 1};
    struct luge_history span;
    uint64_t seq;
    luge_txn *txn;
    rig_close(r);
    rig_open(r, &little);
    commit_put(r, "k", "1");
    uint64_t old = seq_now(r);
    fine(luge_history_span(r->db, &span));
    assert_int_equal(span.oldest_seq, 1);
    noise(r, 2000000);
    fine(luge_checkpoint(r->db));
    noise(r, 2000000);
    fine(luge_checkpoint(r->db));
    commit_put(r, "k", "2");
    uint64_t new = seq_now(r);
    fine(luge_history_span(r->db, &span));
    assert_true(span.oldest_seq > old && span.oldest_seq < new);
    assert_int_equal(span.newest_seq, new);
    assert_true(span.newest_ns > 0 && span.log_seq > old);
    answers(LUGE_EXPIRED, luge_begin_at(r->db, old, &txn));
    assert_non_null(strstr(luge_last_error()->text, "reaches back"));
    answers(LUGE_EXPIRED, luge_begin_at(r->db, span.oldest_seq - 1, &txn));
    at_holds(r, span.oldest_seq, "k", "1");
    answers(LUGE_EXPIRED, luge_seq_at(r->db, 1, &seq));
    answers(LUGE_EXPIRED, luge_time_at(r->db, old, &seq));
}

/* From a snapshot the log leads on, for it begins in the middle of a commit. */
static void from_a_snapshot(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    struct luge_options little = {.log_keep_bytes = 3000000};
    fine(luge_commit(txn));
    rig_close(r);
    rig_open(r, &little);
    noise(r, 4000000);
    fine(luge_checkpoint(r->db));
    noise(r, 1000000);
    txn = begin(r, LUGE_WRITE);
    put(txn, LUGE_MAIN, "k", "before");
    fine(luge_snapshot(txn, luge_str(""), luge_str("all")));
    put(txn, LUGE_MAIN, "k", "after");
    fine(luge_commit(txn));
    uint64_t seq = seq_now(r);
    commit_put(r, "k", "later");
    noise(r, 1000000);
    fine(luge_checkpoint(r->db));
    struct luge_history span;
    fine(luge_history_span(r->db, &span));
    assert_int_equal(span.oldest_seq, seq);
    at_holds(r, seq, "k", "after");
    at_holds(r, seq + 1, "k", "later");
    luge_tree tree;
    fine(luge_begin_at(r->db, seq, &txn));
    fine(luge_snapshot_open(txn, luge_str("all"), luge_str("main"), &tree));
    holds(txn, tree, "k", "before");
    struct luge_snapshot_size size;
    answers(LUGE_INVALID,
            luge_snapshot_measure(txn, luge_str("all"), &size));
    luge_abort(txn);
}

/* What a snapshot was forked of is gone with it, unless a state from before it
 * makes it again. */
static void a_snapshot_that_went(void **state)
{
    struct rig *r = *state;
    luge_txn *txn;
    luge_tree tree;
    char first[] = "first", second[] = "second";
    commit_put(r, "k", "1");
    fine(luge_transact(r->db, 0, snapshot_in, first));
    commit_put(r, "k", "2");
    fine(luge_transact(r->db, 0, snapshot_in, second));
    uint64_t kept = seq_now(r);
    txn = begin(r, LUGE_WRITE);
    fine(luge_fork_snapshot(txn, luge_str("first"), luge_str("main"),
                            luge_str("again"), NULL));
    fine(luge_commit(txn));
    uint64_t forked = seq_now(r);
    txn = begin(r, LUGE_WRITE);
    fine(luge_drop_path(txn, luge_str("again"), NULL));
    fine(luge_commit(txn));
    fine(luge_transact(r->db, 0, forget_in, first));
    fine(luge_checkpoint(r->db));
    /* the empty database leads there */
    fine(luge_begin_at(r->db, forked, &txn));
    fine(luge_tree_open(txn, luge_str("again"), 0, &tree));
    holds(txn, tree, "k", "1");
    luge_abort(txn);
    /* a read of the one that went, in a state begun at the other */
    fine(luge_begin_at(r->db, kept, &txn));
    answers(LUGE_EXPIRED, luge_snapshot_open(txn, luge_str("first"),
                                             luge_str("main"), &tree));
    luge_abort(txn);
}

static int hold_main(luge_txn *txn, void *name)
{
    return luge_snapshot(txn, luge_str("main"), luge_str(name));
}

static int fork_main(luge_txn *txn, void *name)
{
    return luge_fork(txn, luge_str("main"), luge_str(name), NULL);
}

static int drop_in(luge_txn *txn, void *name)
{
    return luge_drop_path(txn, luge_str(name), NULL);
}

/* Where two trees parted is a pin that went since; but the snapshot that their
 * past is made from still has that state. */
static void where_they_parted(void **state)
{
    struct rig *r = *state;
    luge_txn *txn;
    luge_tree fork, base;
    char name[] = "fork", path[] = "path", kept[] = "kept";
    commit_put(r, "k", "1");
    fine(luge_transact(r->db, 0, hold_main, path));
    fine(luge_transact(r->db, 0, snapshot_in, kept));
    fine(luge_transact(r->db, 0, fork_main, name));
    commit_put(r, "k", "2");
    txn = begin(r, LUGE_WRITE);
    fine(luge_tree_open(txn, luge_str("fork"), 0, &fork));
    put(txn, fork, "k", "3");
    fine(luge_commit(txn));
    uint64_t seq = seq_now(r);
    fine(luge_transact(r->db, 0, drop_in, name));
    fine(luge_transact(r->db, 0, forget_in, path));
    commit_put(r, "k", "4");
    fine(luge_checkpoint(r->db));
    fine(luge_begin_at(r->db, seq, &txn));
    holds(txn, LUGE_MAIN, "k", "2");
    holds(txn, fork, "k", "3");
    fine(luge_fork_base(txn, LUGE_MAIN, fork, &base));
    holds(txn, base, "k", "1");
    luge_abort(txn);
}

/* The replay holds a pin of "main" that went with "fork" when it was dropped;
 * "again" has another one in truth, and must be readable all the same. */
static void a_snapshot_that_stayed(void **state)
{
    struct rig *r = *state;
    luge_txn *txn;
    luge_tree tree;
    char held[] = "held", all[] = "all", fork[] = "fork", again[] = "again";
    commit_put(r, "k", "1");
    fine(luge_transact(r->db, 0, hold_main, held));
    fine(luge_transact(r->db, 0, snapshot_in, all));
    fine(luge_transact(r->db, 0, fork_main, fork));
    fine(luge_transact(r->db, 0, forget_in, held));
    fine(luge_transact(r->db, 0, drop_in, fork));
    fine(luge_transact(r->db, 0, hold_main, again));
    uint64_t seq = seq_now(r);
    commit_put(r, "k", "2");
    fine(luge_begin_at(r->db, seq, &txn));
    fine(luge_snapshot_open(txn, luge_str("again"), luge_str("main"), &tree));
    holds(txn, tree, "k", "1");
    luge_abort(txn);
    fine(luge_transact(r->db, 0, forget_in, again));
    fine(luge_begin_at(r->db, seq, &txn));
    answers(LUGE_EXPIRED, luge_snapshot_open(txn, luge_str("again"),
                                             luge_str("main"), &tree));
    luge_abort(txn);
}

/* --------------------------------------------- snapshots of luge's own -- */

static uint32_t count_automatic(struct rig *r, uint64_t *seqs, uint32_t room)
{
    struct luge_snapshot_info info = {.name = {"", 0}};
    char last[600];
    uint32_t count = 0;
    luge_txn *txn = begin(r, LUGE_READ);
    while (!luge_snapshot_after(txn, info.name, &info)) {
        memcpy(last, info.name.data, info.name.size);
        info.name.data = last;
        if (info.name.size < 13 || memcmp(last, "luge/history/", 13)) continue;
        if (count < room) seqs[count] = info.seq;
        count++;
    }
    luge_abort(txn);
    return count;
}

static int set_policy(luge_txn *txn, void *policy)
{
    return luge_history_policy_set(txn, policy);
}

static void the_caretaker_takes_them(void **state)
{
    struct rig *r = *state;
    uint64_t seqs[8];
    struct luge_history_policy policy = {300000, 100}, seen;
    struct luge_retention kept = {.keep_bytes = 1000000};
    fine(luge_transact(r->db, 0, set_policy, &policy));
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_retention_set(txn, &kept));       /* and leaves it as it is */
    fine(luge_commit(txn));
    txn = begin(r, LUGE_WRITE);
    fine(luge_history_policy_get(txn, &seen));
    assert_memory_equal(&seen, &policy, sizeof seen);
    answers(LUGE_INVALID, luge_snapshot(txn, luge_str(""),
                                        luge_str("luge/history/7")));
    luge_abort(txn);
    luge_watch *watch;
    const struct luge_change_set *set;
    fine(luge_watch_open(r->db, NULL, &watch));
    noise(r, 1200000);
    for (int i = 0; i < 200 && !count_automatic(r, seqs, 8); i++)
        nap_us(50000);
    assert_true(count_automatic(r, seqs, 8) >= 1);
    while (!luge_watch_next(watch, 300, &set))
        for (size_t i = 0; i < set->count; i++)
            assert_int_not_equal(set->changes[i].kind, LUGE_CHANGE_SNAPSHOT);
    luge_watch_close(watch);
    /* everybody may drop one */
    char name[40];
    snprintf(name, sizeof name, "luge/history/%020llu",
             (unsigned long long)seqs[0]);
    fine(luge_transact(r->db, 0, forget_in, name));
    policy.every_bytes = UINT64_MAX;
    fine(luge_transact(r->db, 0, set_policy, &policy));
}

static uint64_t clock_ns = HOUR_NS * 24 * 365;

static uint64_t clock_now(struct os *os)
{
    (void)os;
    return clock_ns;
}

/* A hundred hours, one snapshot each, and no log. */
static void old_ones_are_thinned(void **state)
{
    struct rig *r = *state;
    struct os *os = sim_new(7);
    struct luge_options options = {
        .platform = os, .log_keep_bytes = 1, .checkpoint_bytes = 300000,
    };
    struct luge_history_policy policy = {280000, 60 * 3600};
    uint64_t seqs[200], oldest_ns;
    char hour[20];
    os->wall_ns = clock_now;
    rig_close(r);
    snprintf(r->path, sizeof r->path, "/db");
    rig_open(r, &options);
    fine(luge_transact(r->db, 0, set_policy, &policy));
    for (int i = 0; i < 100; i++) {
        snprintf(hour, sizeof hour, "%d", i);
        commit_put(r, "hour", hour);
        noise(r, 310000);
        clock_ns += HOUR_NS;
    }
    uint32_t count = count_automatic(r, seqs, 200);
    assert_in_range(count, 10, 30);
    luge_txn *txn;
    for (uint32_t i = 0; i < count; i++) {
        luge_bytes value;
        fine(luge_begin_at(r->db, seqs[i], &txn));
        fine(luge_get(txn, LUGE_MAIN, luge_str("hour"), &value));
        luge_abort(txn);
    }
    fine(luge_begin_at(r->db, seqs[0], &txn));
    luge_bytes value;
    fine(luge_get(txn, LUGE_MAIN, luge_str("hour"), &value));
    snprintf(hour, sizeof hour, "%.*s", (int)value.size,
             (const char *)value.data);
    oldest_ns = (uint64_t)atoi(hour);
    assert_in_range(oldest_ns, 35, 45);         /* 60 hours, not a hundred */
    luge_abort(txn);
    answers(LUGE_EXPIRED, luge_begin_at(r->db, seqs[0] + 1, &txn));
    fine(luge_check(r->db, NULL, NULL));
    rig_close(r);
    sim_free(os);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
        TEST(behind_each_commit), TEST(times), TEST(then_and_now),
        TEST(large_values), TEST(the_log_has_gone), TEST(from_a_snapshot),
        TEST(a_snapshot_that_went), TEST(where_they_parted),
        TEST(a_snapshot_that_stayed),
        TEST(the_caretaker_takes_them), TEST(old_ones_are_thinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
