/* test/test_feed.c -- what luge_feed.h promises of watches.
 *
 * Holds: from where, what, when, in which order; waiting, waking, other
 * processes, the end of the log.
 * Not here: crowds of processes and kills (crash_feed.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_feed.h"

static luge_watch *watch(struct rig *r, const struct luge_watch_options *o)
{
    luge_watch *w = NULL;
    fine(luge_watch_open(r->db, o, &w));
    return w;
}

static const struct luge_change_set *next(luge_watch *w, int timeout_ms)
{
    const struct luge_change_set *set = NULL;
    fine(luge_watch_next(w, timeout_ms, &set));
    return set;
}

static void nothing(luge_watch *w)
{
    const struct luge_change_set *set;
    answers(LUGE_TIMEOUT, luge_watch_next(w, 0, &set));
}

static void is_change(const struct luge_change *c, int kind, const char *key,
                      const char *value)
{
    assert_int_equal(c->kind, kind);
    assert_true(is(c->key, key));
    assert_true(is(c->value, value));
}

/* ------------------------------------------------------ what and where -- */

static void from_now(void **state)
{
    struct rig *r = *state;
    commit_put(r, "before", "0");
    luge_watch *w = watch(r, NULL);
    nothing(w);
    commit_put(r, "a", "1");
    uint64_t first = luge_committed_seq(r->db);
    commit_put(r, "b", "2");
    const struct luge_change_set *set = next(w, 0);
    assert_int_equal(set->seq, first);
    assert_int_equal(set->count, 1);
    assert_int_equal(set->changes->tree, LUGE_MAIN);
    is_change(set->changes, LUGE_CHANGE_PUT, "a", "1");
    uint64_t time_ns = set->time_ns;
    assert_int_equal(luge_watch_seq(w), first);
    set = next(w, -1);
    assert_int_equal(set->seq, first + 1);
    assert_true(set->time_ns > time_ns);
    is_change(set->changes, LUGE_CHANGE_PUT, "b", "2");
    nothing(w);
    answers(LUGE_BUSY, luge_close(r->db));
    luge_watch_close(w);
    luge_watch_close(NULL);
}

static void from_the_first(void **state)
{
    struct rig *r = *state;
    uint64_t oldest, newest, n = 0;
    for (int i = 0; i < 50; i++) commit_put(r, "k", "v");
    fine(luge_log_span(r->db, &oldest, &newest));
    assert_int_equal(oldest, 1);
    assert_int_equal(newest, luge_committed_seq(r->db));
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .from = LUGE_FROM_SEQ});
    const struct luge_change_set *set = next(w, 0);
    is_change(set->changes, LUGE_CHANGE_TREE_CREATE, "main", "");
    for (n = set->seq; n < newest; n++)
        assert_int_equal(next(w, 0)->seq, n + 1);
    nothing(w);
    luge_watch_close(w);
}

/* From every number on, across reopening and many segments. */
static void from_a_seq(void **state)
{
    struct rig *r = *state;
    char value[4000];
    uint64_t oldest, newest;
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = 0;
    for (int i = 0; i < 300; i++) {
        commit_put(r, "k", value);
        if (i == 100) rig_reopen(r);
    }
    fine(luge_log_span(r->db, &oldest, &newest));
    for (uint64_t seq = oldest; seq <= newest; seq += 7) {
        luge_watch *w = watch(r, &(struct luge_watch_options){
                                     .from = LUGE_FROM_SEQ, .seq = seq});
        assert_int_equal(luge_watch_seq(w), seq);
        if (seq < newest) assert_int_equal(next(w, 0)->seq, seq + 1);
        else nothing(w);
        luge_watch_close(w);
    }
    luge_watch *w = NULL;
    answers(LUGE_INVALID,
            luge_watch_open(r->db, &(struct luge_watch_options){
                .from = LUGE_FROM_SEQ, .seq = newest + 1}, &w));
}

static void with_a_snapshot(void **state)
{
    struct rig *r = *state;
    commit_put(r, "k", "shown");
    luge_txn *txn = begin(r, LUGE_READ), *writer;
    for (int i = 0; i < 5; i++) commit_put(r, "k", "later");
    struct luge_watch_options o = {.from = LUGE_FROM_SNAPSHOT,
                                   .snapshot = txn};
    luge_watch *w = watch(r, &o);
    assert_int_equal(luge_watch_seq(w), luge_txn_seq(txn));
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(next(w, 0)->seq, luge_txn_seq(txn) + i);
    nothing(w);
    luge_watch_close(w);
    luge_abort(txn);
    writer = begin(r, LUGE_WRITE);
    o.snapshot = writer;
    answers(LUGE_INVALID, luge_watch_open(r->db, &o, &w));
    o.snapshot = NULL;
    answers(LUGE_INVALID, luge_watch_open(r->db, &o, &w));
    o.from = 17;
    answers(LUGE_INVALID, luge_watch_open(r->db, &o, &w));
    luge_abort(writer);
}

/* -------------------------------------------------------------- filters -- */

static void one_tree_one_prefix(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree tree = tree_make(txn, "songs");
    fine(luge_commit(txn));
    struct luge_watch_options o = {.tree = tree, .prefix = luge_str("note/")};
    luge_watch *w = watch(r, &o);
    o.flags = LUGE_WATCH_EMPTY;
    luge_watch *all = watch(r, &o);
    commit_put(r, "note/1", "in another tree");
    txn = begin(r, LUGE_WRITE);
    put(txn, tree, "note", "shorter than the prefix");
    put(txn, tree, "note/1", "c");
    put(txn, tree, "other", "");
    put(txn, LUGE_MAIN, "note/2", "d");
    put(txn, tree, "note/", "e");
    fine(luge_del(txn, tree, luge_str("note/1")));
    fine(luge_commit(txn));
    uint64_t seq = luge_committed_seq(r->db);
    const struct luge_change_set *set = next(w, 0);
    assert_int_equal(set->seq, seq);
    assert_int_equal(set->count, 3);
    is_change(&set->changes[0], LUGE_CHANGE_PUT, "note/1", "c");
    is_change(&set->changes[1], LUGE_CHANGE_PUT, "note/", "e");
    is_change(&set->changes[2], LUGE_CHANGE_DEL, "note/1", "");
    nothing(w);
    set = next(all, 0);
    assert_int_equal(set->seq, seq - 1);
    assert_int_equal(set->count, 0);
    assert_int_equal(next(all, 0)->count, 3);
    luge_watch_close(all);
    luge_watch_close(w);
}

static void whole_trees(void **state)
{
    struct rig *r = *state;
    luge_bytes name;
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .prefix = luge_str("none such")});
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree tree = tree_make(txn, "a");
    put(txn, tree, "k", "v");
    fine(luge_commit(txn));
    txn = begin(r, LUGE_WRITE);
    fine(luge_tree_rename(txn, tree, luge_str("b")));
    fine(luge_tree_clear(txn, tree));
    fine(luge_tree_drop(txn, tree));
    fine(luge_commit(txn));
    const struct luge_change_set *set = next(w, 0);
    assert_int_equal(set->count, 1);
    is_change(set->changes, LUGE_CHANGE_TREE_CREATE, "a", "");
    assert_int_equal(set->changes->tree, tree);
    fine(luge_watch_tree_name(w, tree, &name));
    assert_true(is(name, "a"));
    fine(luge_watch_tree_name(w, LUGE_MAIN, &name));
    assert_true(is(name, "main"));
    answers(LUGE_NOTREE, luge_watch_tree_name(w, tree + 1000, &name));
    set = next(w, 0);
    assert_int_equal(set->count, 3);
    is_change(&set->changes[0], LUGE_CHANGE_TREE_RENAME, "b", "a");
    is_change(&set->changes[1], LUGE_CHANGE_TREE_CLEAR, "", "");
    is_change(&set->changes[2], LUGE_CHANGE_TREE_DROP, "b", "");
    fine(luge_watch_tree_name(w, tree, &name));
    assert_true(is(name, "b"));
    luge_watch_close(w);
}

static void ranges_and_merges(void **state)
{
    struct rig *r = *state;
    char key[8], one[8] = {1};
    for (int i = 0; i < 5; i++) {
        snprintf(key, sizeof key, "r%d", i);
        commit_put(r, key, "v");
    }
    luge_watch *w = watch(r, NULL);
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_bytes from = luge_str("r1"), to = luge_str("r4");
    fine(luge_del_range(txn, LUGE_MAIN, &from, &to, NULL));
    fine(luge_merge(txn, LUGE_MAIN, luge_str("n"), "add",
                    luge_bytes_of(one, 8), NULL));
    fine(luge_commit(txn));
    const struct luge_change_set *set = next(w, 0);
    assert_int_equal(set->count, 4);
    is_change(&set->changes[0], LUGE_CHANGE_DEL, "r1", "");
    is_change(&set->changes[2], LUGE_CHANGE_DEL, "r3", "");
    assert_int_equal(set->changes[3].kind, LUGE_CHANGE_PUT);
    assert_memory_equal(set->changes[3].value.data, one, 8);
    luge_watch_close(w);
}

/* One transaction of many frames is one set. */
static void a_large_transaction(void **state)
{
    struct rig *r = *state;
    enum { KEYS = 3000, BYTES = 1000, BIG = 3 << 20 };
    char key[16], *value = malloc(BIG);
    luge_watch *w = watch(r, NULL);
    luge_txn *txn = begin(r, LUGE_WRITE);
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "%05u", i);
        pattern_fill(value, BYTES, i);
        fine(luge_put(txn, LUGE_MAIN, luge_str(key),
                      luge_bytes_of(value, BYTES)));
    }
    pattern_fill(value, BIG, 7);
    fine(luge_put(txn, LUGE_MAIN, luge_str("big"), luge_bytes_of(value, BIG)));
    fine(luge_commit(txn));
    const struct luge_change_set *set = next(w, 0);
    assert_int_equal(set->count, KEYS + 1);
    assert_int_equal(set->changes[KEYS].value.size, BIG);
    assert_memory_equal(set->changes[KEYS].value.data, value, BIG);
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "%05u", i);
        pattern_fill(value, BYTES, i);
        assert_true(is(set->changes[i].key, key));
        assert_memory_equal(set->changes[i].value.data, value, BYTES);
    }
    nothing(w);
    luge_watch_close(w);
    free(value);
}

/* ----------------------------------------------------------------- when -- */

static void when_durable(void **state)
{
    struct rig *r = *state;
    struct luge_watch_options o = {0};
    luge_watch *durable = watch(r, &o);
    o.flags = LUGE_WATCH_SHOWN;
    luge_watch *shown = watch(r, &o);
    o.flags = LUGE_WATCH_COMMITTED;
    luge_watch *committed = watch(r, &o);
    luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
    put(txn, LUGE_MAIN, "k", "soft");
    fine(luge_commit(txn));
    assert_int_equal(next(committed, 0)->count, 1);
    assert_int_equal(next(shown, 0)->count, 1);
    nothing(durable);               /* the sync interval is an hour here */
    fine(luge_sync(r->db));
    assert_int_equal(next(durable, 0)->count, 1);
    luge_watch_close(committed);
    luge_watch_close(shown);
    luge_watch_close(durable);
}

static int setup_rarely_synced(void **state)
{
    if (rig_setup_closed(state)) return -1;
    rig_open(*state, &(struct luge_options){.sync_interval_ms = 3600000});
    return 0;
}

/* -------------------------------------------------------------- waiting -- */

static void time_runs_out(void **state)
{
    struct rig *r = *state;
    const struct luge_change_set *set;
    luge_watch *w = watch(r, NULL);
    uint64_t before = now_ns();
    answers(LUGE_TIMEOUT, luge_watch_next(w, 30, &set));
    assert_in_range(now_ns() - before, 30000000, 2000000000);
    luge_watch_close(w);
}

static void *wake_soon(void *w)
{
    nap_us(20000);
    luge_watch_wake(w);
    return NULL;
}

static void woken(void **state)
{
    struct rig *r = *state;
    const struct luge_change_set *set;
    pthread_t thread;
    luge_watch *w = watch(r, NULL);
    assert_int_equal(pthread_create(&thread, NULL, wake_soon, w), 0);
    answers(LUGE_TIMEOUT, luge_watch_next(w, -1, &set));
    pthread_join(thread, NULL);
    luge_watch_wake(w);             /* before: the next one that would wait */
    commit_put(r, "k", "v");
    assert_int_equal(next(w, -1)->count, 1);
    answers(LUGE_TIMEOUT, luge_watch_next(w, -1, &set));
    luge_watch_close(w);
}

enum { ECHOES = 300 };

static void *write_many(void *rig)
{
    struct rig *r = rig;
    char key[16];
    for (int i = 0; i < ECHOES; i++) {
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str(key),
                             luge_str("v")};
        snprintf(key, sizeof key, "%d", i);
        op.key = luge_str(key);
        if (luge_apply(r->db, i % 3 ? LUGE_TXN_FULL : LUGE_TXN_ASYNC, &op, 1))
            return r;
        if (i % 7 == 0) nap_us(2000);
    }
    return NULL;
}

static void see_all(luge_watch *w)
{
    uint64_t seq = luge_watch_seq(w);
    for (int i = 0; i < ECHOES; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        const struct luge_change_set *set = next(w, 20000);
        assert_int_equal(set->seq, ++seq);
        is_change(set->changes, LUGE_CHANGE_PUT, key, "v");
    }
}

static void another_thread_writes(void **state)
{
    struct rig *r = *state;
    pthread_t thread;
    void *failed;
    luge_watch *w = watch(r, NULL);
    assert_int_equal(pthread_create(&thread, NULL, write_many, r), 0);
    see_all(w);
    pthread_join(thread, &failed);
    assert_null(failed);
    luge_watch_close(w);
}

static int child_writes(struct rig *r)
{
    struct rig mine = *r;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &mine.db));
    CHILD_MUST(!write_many(&mine));
    CHILD_ANSWERS(0, luge_close(mine.db));
    return 0;
}

static void another_process_writes(void **state)
{
    struct rig *r = *state;
    int status = -1;
    luge_watch *w = watch(r, NULL);
    pid_t pid = fork();
    if (!pid) _exit(child_writes(r));
    see_all(w);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    luge_watch_close(w);
}

static int child_uses_parents_watch(luge_watch *w)
{
    const struct luge_change_set *set;
    CHILD_ANSWERS(LUGE_FORKED, luge_watch_next(w, 0, &set));
    luge_watch_close(w);
    return 0;
}

static void forked(void **state)
{
    struct rig *r = *state;
    int status = -1;
    luge_watch *w = watch(r, NULL);
    pid_t pid = fork();
    if (!pid) _exit(child_uses_parents_watch(w));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    commit_put(r, "k", "v");
    assert_int_equal(next(w, 0)->count, 1);
    luge_watch_close(w);
}

/* ----------------------------------------------------- limits -- */

static void too_many(void **state)
{
    enum { MOST = 256 };
    struct rig *r = *state;
    luge_watch *w[MOST], *more;
    for (int i = 0; i < MOST; i++) w[i] = watch(r, NULL);
    answers(LUGE_LIMIT, luge_watch_open(r->db, NULL, &more));
    luge_watch_close(w[7]);
    w[7] = watch(r, NULL);
    for (int i = 0; i < MOST; i++) luge_watch_close(w[i]);
    char prefix[LUGE_KEY_SIZE_MAX + 1] = {0};
    answers(LUGE_TOOBIG,
            luge_watch_open(r->db, &(struct luge_watch_options){
                .prefix = luge_bytes_of(prefix, sizeof prefix)}, &more));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
        T(from_now), T(from_the_first), T(from_a_seq), T(with_a_snapshot),
        T(one_tree_one_prefix), T(whole_trees), T(ranges_and_merges),
        T(a_large_transaction),
        cmocka_unit_test_setup_teardown(when_durable, setup_rarely_synced,
                                        rig_teardown),
        T(time_runs_out), T(woken), T(another_thread_writes),
        T(another_process_writes), T(forked), T(too_many),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
