/* test/test_feed.c -- what luge_feed.h promises of watches.
 *
 * Holds: from where, what, when, in which order; waiting, waking, other
 * processes, the end of the log.
 * Long: followers that fall behind (retention) are held against the same
 * shadow of the content as those that keep up (old values).
 * Not here: crowds of processes and kills (crash_feed.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_feed.h"
#include "luge_fork.h"
#pragma push_macro("fail")      /* both it and cmocka have one */
#undef fail
#include "os/os.h"
#undef fail
#pragma pop_macro("fail")

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

/* What the watches of a process find in its memory, and what is too large or
 * too old for that, is the same as in the log. */
enum { MANY = 1200, LATE = 600, SIZE_MAX_OF_MANY = 12000 };

static size_t size_of_many(int i)
{
    return 10 + (size_t)i * 7919 % SIZE_MAX_OF_MANY;
}

static void take_many(luge_watch *w, int *at, int until, int odd)
{
    char key[16];
    for (; *at < until; ++*at) {
        if (*at % 2 != odd) continue;
        const struct luge_change_set *set = next(w, 0);
        assert_int_equal(set->count, 1);
        int n = snprintf(key, sizeof key, "%c/%d", odd ? 'o' : 'e', *at);
        luge_bytes k = set->changes[0].key, v = set->changes[0].value;
        assert_int_equal(k.size, n);
        assert_memory_equal(k.data, key, (size_t)n);
        assert_int_equal(v.size, size_of_many(*at));
        for (size_t i = 0; i < v.size; i++)
            assert_int_equal(((const uint8_t *)v.data)[i], (uint8_t)*at);
    }
    nothing(w);
}

static void many_of_two_prefixes(void **state)
{
    static uint8_t value[10 + SIZE_MAX_OF_MANY];
    struct rig *r = *state;
    struct luge_watch_options even = {.prefix = luge_str("e/"),
                                      .flags = LUGE_WATCH_COMMITTED};
    struct luge_watch_options odd = even;
    odd.prefix = luge_str("o/");
    luge_watch *soon = watch(r, &even), *late = watch(r, &odd);
    int soon_at = 0, late_at = 0;
    char key[16];
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(key, sizeof key, "%c/%d", i % 2 ? 'o' : 'e', i);
        memset(value, i, sizeof value);
        luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
        fine(luge_put(txn, LUGE_MAIN, luge_bytes_of(key, (size_t)n),
                      luge_bytes_of(value, size_of_many(i))));
        fine(luge_commit(txn));
        take_many(soon, &soon_at, i + 1, 0);
        if (i % LATE == LATE - 1) take_many(late, &late_at, i + 1, 1);
    }
    luge_watch_close(soon);
    luge_watch_close(late);
}

/* What a process remembers of the newest records goes around after 16384
 * operations; a transaction that is too large to be remembered must not take
 * the place of one that a slow watch has still to see. */
static void commit_many(struct rig *r, const char *prefix, int count)
{
    char key[32];
    luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%s/%d", prefix, i);
        put(txn, LUGE_MAIN, key, "v");
    }
    fine(luge_commit(txn));
}

static void a_large_one_behind_many(void **state)
{
    enum { REMEMBERED = 16384, EACH = 60, LARGE = 100 };
    struct rig *r = *state;
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .prefix = luge_str("mine"),
                                 .flags = LUGE_WATCH_COMMITTED});
    commit_many(r, "first", 1);
    nothing(w);
    for (int before = REMEMBERED - LARGE; before < REMEMBERED + LARGE;
         before += LARGE / 4) {
        commit_many(r, "mine", 1);
        uint64_t seq = luge_committed_seq(r->db);
        for (int left = before; left > 0; left -= EACH)
            commit_many(r, "other", left < EACH ? left : EACH);
        commit_many(r, "large", LARGE);
        assert_int_equal(next(w, 0)->seq, seq);
        nothing(w);
    }
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

static void forks_and_snapshots(void **state)
{
    struct rig *r = *state;
    luge_bytes name;
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree song = tree_make(txn, "song");
    put(txn, song, "k", "one");
    fine(luge_commit(txn));
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .flags = LUGE_WATCH_OLD});
    txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot(txn, luge_str("song"), luge_str("monday")));
    put(txn, song, "k", "two");
    fine(luge_commit(txn));
    txn = begin(r, LUGE_WRITE);
    fine(luge_fork(txn, luge_str("song"), luge_str("draft"), NULL));
    fine(luge_fork_snapshot(txn, luge_str("monday"), luge_str("song"),
                            luge_str("old"), NULL));
    fine(luge_snapshot_drop(txn, luge_str("monday")));
    fine(luge_commit(txn));
    const struct luge_change_set *set = next(w, 0);
    assert_int_equal(set->count, 2);
    is_change(&set->changes[0], LUGE_CHANGE_SNAPSHOT, "monday", "song");
    assert_true(is(set->changes[1].old, "one"));
    set = next(w, 0);
    assert_int_equal(set->count, 3);
    is_change(&set->changes[0], LUGE_CHANGE_TREE_FORK, "draft", "");
    assert_int_equal(set->changes[0].source, song);
    luge_tree draft = set->changes[0].tree, old = set->changes[1].tree;
    is_change(&set->changes[1], LUGE_CHANGE_TREE_FORK, "old", "monday");
    assert_int_equal(set->changes[1].source, 0);
    assert_true(is(set->changes[1].old, "song"));
    is_change(&set->changes[2], LUGE_CHANGE_SNAPSHOT_DROP, "monday", "");
    fine(luge_watch_tree_name(w, draft, &name));
    assert_true(is(name, "draft"));
    txn = begin(r, LUGE_WRITE);
    put(txn, draft, "k", "three");
    put(txn, old, "k", "four");
    fine(luge_commit(txn));
    set = next(w, 0);           /* what they began with is known */
    assert_true(is(set->changes[0].old, "two"));
    assert_true(is(set->changes[1].old, "one"));
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
    fine(luge_combine(txn, LUGE_MAIN, luge_str("n"), "add",
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

/* ----------------------------------------------------------- old values -- */

enum { OLD_TREES = 2, OLD_KEYS = 40, OLD_VALUE_MAX = 9000 };

/* What there is, by the test's own count: sums of values, 0 for none. */
struct shadow {
    luge_tree trees[OLD_TREES];
    uint32_t sums[OLD_TREES][OLD_KEYS];
};

static luge_bytes old_value(char *space, uint32_t seed)
{
    size_t size = seed % 7 == 0 ? OLD_VALUE_MAX - seed % 100 : seed % 200;
    pattern_fill(space, size, seed);
    return luge_bytes_of(space, size);
}

static luge_bytes old_key(char *space, uint32_t k)
{
    snprintf(space, 16, "%s%03u", k % 2 ? "odd/" : "even/", k);
    return luge_str(space);
}

/* The K of which KEY was made. */
static uint32_t key_number(luge_bytes key)
{
    char space[16];
    for (uint32_t k = 0; k < OLD_KEYS; k++)
        if (is(key, old_key(space, k).data)) return k;
    fail_msg("a key that nobody wrote");
    return 0;
}

static void random_txn(struct rig *r, struct shadow *s, struct dice *d)
{
    char key[16], value[OLD_VALUE_MAX];
    luge_txn *txn = begin(r, dice_chance(d, 90)
                                 ? LUGE_TURN | LUGE_TXN_ASYNC : LUGE_TURN);
    for (uint32_t n = 1 + dice_below(d, 9); n; n--) {
        uint32_t t = dice_below(d, OLD_TREES), k = dice_below(d, OLD_KEYS);
        uint32_t dice = dice_below(d, 100);
        if (dice < 2) {
            fine(luge_tree_clear(txn, s->trees[t]));
        } else if (dice < 30) {
            int rc = luge_del(txn, s->trees[t], old_key(key, k));
            assert_true(!rc || rc == LUGE_NOTFOUND);
        } else {
            uint32_t seed = (uint32_t)dice_next(d) | 1;
            fine(luge_put(txn, s->trees[t], old_key(key, k),
                          old_value(value, seed)));
        }
    }
    fine(luge_commit(txn));
    if (dice_chance(d, 2)) fine(luge_checkpoint(r->db));
}

static uint32_t sum_of(luge_bytes value)
{
    return (uint32_t)digest(1, value.data, value.size) | 1;
}

static void check_old(const struct luge_change *c, struct shadow *s,
                      bool unknown_allowed)
{
    uint32_t t = c->tree == s->trees[1];
    if (c->kind == LUGE_CHANGE_TREE_CLEAR) {
        memset(s->sums[t], 0, sizeof s->sums[t]);
        return;
    }
    uint32_t k = key_number(c->key);
    if (c->flags & LUGE_CHANGE_OLD_UNKNOWN) {
        assert_true(unknown_allowed);
    } else if (s->sums[t][k]) {
        assert_int_equal(c->flags, LUGE_CHANGE_OLD);
        assert_int_equal(s->sums[t][k], sum_of(c->old));
    } else {
        assert_int_equal(c->flags, 0);
    }
    bool put = c->kind == LUGE_CHANGE_PUT;
    s->sums[t][k] = put ? sum_of(c->value) : 0;
}

static void old_trees(struct rig *r, struct shadow *s)
{
    memset(s, 0, sizeof *s);
    luge_txn *txn = begin(r, LUGE_WRITE);
    s->trees[0] = tree_make(txn, "zero");
    s->trees[1] = tree_make(txn, "one");
    fine(luge_commit(txn));
}

static void follow_old(luge_watch *w, struct shadow *s, bool unknown_allowed,
                       uint64_t *known)
{
    const struct luge_change_set *set;
    int rc;
    while (!(rc = luge_watch_next(w, 0, &set)))
        for (size_t i = 0; i < set->count; i++) {
            check_old(&set->changes[i], s, unknown_allowed);
            if (!(set->changes[i].flags & LUGE_CHANGE_OLD_UNKNOWN)) ++*known;
        }
    answers(LUGE_TIMEOUT, rc);
}

static void old_values(void **state)
{
    enum { ROUNDS = 400 };
    struct rig *r = *state;
    struct dice d = dice_of(1, 2);
    struct shadow s, seen, part, late;
    uint64_t known = 0, since = 0;
    old_trees(r, &s);
    uint64_t start = luge_committed_seq(r->db);
    seen = part = late = s;
    struct luge_watch_options o = {.flags = LUGE_WATCH_OLD |
                                            LUGE_WATCH_COMMITTED};
    luge_watch *all = watch(r, &o);
    o.flags = LUGE_WATCH_OLD;
    o.tree = s.trees[1];
    o.prefix = luge_str("odd/");
    luge_watch *odd = watch(r, &o);
    for (int i = 0; i < ROUNDS; i++) {
        random_txn(r, &s, &d);
        if (dice_chance(&d, 40)) follow_old(all, &seen, false, &known);
        if (dice_chance(&d, 10)) follow_old(odd, &part, false, &known);
    }
    fine(luge_sync(r->db));
    follow_old(all, &seen, false, &known);
    follow_old(odd, &part, false, &known);
    luge_watch_close(odd);
    luge_watch_close(all);
    all = watch(r, &(struct luge_watch_options){
                       .from = LUGE_FROM_SEQ, .seq = start,
                       .flags = LUGE_WATCH_OLD | LUGE_WATCH_COMMITTED});
    follow_old(all, &late, true, &since);
    assert_int_equal(since < known, 1);
    random_txn(r, &s, &d);
    follow_old(all, &late, false, &since);  /* it has come to the present */
    luge_watch_close(all);
}

static void old_values_of_a_snapshot(void **state)
{
    struct rig *r = *state;
    commit_put(r, "k", "one");
    luge_txn *txn = begin(r, LUGE_READ);
    commit_put(r, "k", "two");
    commit_put(r, "new", "x");
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .from = LUGE_FROM_SNAPSHOT, .snapshot = txn,
                                 .flags = LUGE_WATCH_OLD});
    luge_abort(txn);
    fine(luge_checkpoint(r->db));
    const struct luge_change *c = next(w, 0)->changes;
    assert_int_equal(c->flags, LUGE_CHANGE_OLD);
    assert_true(is(c->old, "one"));
    assert_int_equal(next(w, 0)->changes->flags, 0);
    luge_watch_close(w);
}

/* ------------------------------------------------------------- skipping -- */

static void skipping(void **state)
{
    struct rig *r = *state;
    luge_watch *w = watch(r, &(struct luge_watch_options){.skip_after = 10});
    uint64_t seq = luge_watch_seq(w);
    for (int i = 0; i < 10; i++) commit_put(r, "k", "v");
    for (int i = 0; i < 10; i++) assert_int_equal(next(w, 0)->seq, ++seq);
    nothing(w);
    for (int i = 0; i < 11; i++) commit_put(r, "k", "v");
    const struct luge_change_set *set = next(w, 0);
    assert_int_equal(set->skipped, 11);
    assert_int_equal(set->count, 0);
    assert_int_equal(set->seq, luge_committed_seq(r->db));
    nothing(w);
    commit_put(r, "k", "v");
    set = next(w, 0);
    assert_int_equal(set->skipped, 0);
    assert_int_equal(set->count, 1);
    luge_watch_close(w);
}

/* What is skipped lasts, too, or its numbers could be given to others. */
static void skipping_what_lasts(void **state)
{
    struct rig *r = *state;
    struct luge_stats stats;
    rig_open(r, &(struct luge_options){.sync_interval_ms = 60000,
                                       .durability = LUGE_ASYNC});
    luge_watch *w = watch(r, &(struct luge_watch_options){.skip_after = 10});
    uint64_t seq = luge_watch_seq(w);
    for (int i = 0; i < 11; i++) commit_put(r, "k", "v");
    fine(luge_sync(r->db));
    for (int i = 0; i < 3; i++) commit_put(r, "k", "v");
    nothing(w);
    fine(luge_stat(r->db, &stats));
    assert_int_equal(stats.seq_durable, seq + 11);
    assert_int_equal(luge_watch_seq(w), seq);
    fine(luge_sync(r->db));
    const struct luge_change_set *set = next(w, 0);
    assert_int_equal(set->skipped, 14);
    assert_int_equal(set->seq, seq + 14);
    nothing(w);
    luge_watch_close(w);
}

/* ----------------------------------------------------------------- when -- */

/* All that is there, up to SEQ; the last that was delivered, or 0. */
static uint64_t see_up_to(luge_watch *w, uint64_t seq)
{
    const struct luge_change_set *set;
    uint64_t last = 0;
    while (last < seq && !luge_watch_next(w, 0, &set)) {
        assert_int_equal(set->count, 1);
        assert_int_equal(set->seq, luge_watch_seq(w));
        last = set->seq;
    }
    return last;
}

static void when_durable(void **state)
{
    struct rig *r = *state;
    struct luge_watch_options o = {0};
    struct luge_stats stats;
    uint64_t seq = 0;
    luge_watch *durable = watch(r, &o);
    o.flags = LUGE_WATCH_SHOWN;
    luge_watch *shown = watch(r, &o);
    o.flags = LUGE_WATCH_COMMITTED;
    luge_watch *committed = watch(r, &o);
    for (int i = 0; i < 300; i++) {
        luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
        put(txn, LUGE_MAIN, "k", "soft");
        fine(luge_commit(txn));
        seq = luge_committed_seq(r->db);
        assert_int_equal(see_up_to(committed, seq), seq);
        assert_int_equal(see_up_to(shown, seq), seq);
        uint64_t seen = see_up_to(durable, seq);
        fine(luge_stat(r->db, &stats));
        assert_true(seen <= stats.seq_durable);
        assert_true(luge_watch_seq(durable) <= stats.seq_durable);
    }
    fine(luge_sync(r->db));
    (void)see_up_to(durable, seq);
    assert_int_equal(luge_watch_seq(durable), seq);
    luge_watch_close(committed);
    luge_watch_close(shown);
    luge_watch_close(durable);
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
        snprintf(key, sizeof key, "%d", i);
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str(key),
                             luge_str("v")};
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

/* Another process, made before this one has threads (TSan wants that); it
 * writes once it is told to. */
struct other {
    pid_t pid;
    int go[2], back[2];
    unsigned txn_flags;
};

static int child_writes(struct rig *r, const struct other *o)
{
    struct rig mine = *r;
    (void)o;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &mine.db));
    CHILD_MUST(!write_many(&mine));
    CHILD_ANSWERS(0, luge_close(mine.db));
    return 0;
}

typedef int other_body(struct rig *r, const struct other *o);

static struct other other_make(struct rig *r, other_body *body,
                               unsigned txn_flags)
{
    struct other o = {.txn_flags = txn_flags};
    char byte;
    assert_int_equal(pipe(o.go), 0);
    assert_int_equal(pipe(o.back), 0);
    o.pid = fork();
    if (o.pid) return o;
    close(o.go[1]);                 /* so that it ends if this one does */
    if (read(o.go[0], &byte, 1) != 1) _exit(1);
    _exit(body(r, &o));
}

static void other_writes(const struct other *o)
{
    assert_int_equal(write(o->go[1], "!", 1), 1);
}

static void other_ended(const struct other *o)
{
    int status = -1;
    assert_int_equal(waitpid(o->pid, &status, 0), o->pid);
    assert_int_equal(status, 0);
    close(o->go[0]), close(o->go[1]);
    close(o->back[0]), close(o->back[1]);
}

static void another_process_writes(void **state)
{
    struct rig *r = *state;
    struct other o = other_make(r, child_writes, 0);
    rig_open(r, NULL);
    luge_watch *w = watch(r, NULL);
    other_writes(&o);
    see_all(w);
    other_ended(&o);
    luge_watch_close(w);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void a_descriptor(void **state)
{
    struct rig *r = *state;
    const struct luge_change_set *set;
    int fd = -1, again = -1, seen = 0;
    struct other o = other_make(r, child_writes, 0);
    rig_open(r, NULL);
    luge_watch *w = watch(r, NULL);
    fine(luge_watch_fd(w, &fd));
    fine(luge_watch_fd(w, &again));
    assert_int_equal(fd, again);
    nothing(w);
    assert_false(readable(fd, 0));
    commit_put(r, "k", "v");
    assert_true(readable(fd, 10000));
    assert_int_equal(next(w, 0)->count, 1);
    nothing(w);
    assert_false(readable(fd, 0));
    other_writes(&o);
    while (seen < ECHOES) {
        assert_true(readable(fd, 20000));
        int rc;
        while (!(rc = luge_watch_next(w, 0, &set))) seen++;
        answers(LUGE_TIMEOUT, rc);
    }
    other_ended(&o);
    luge_watch_close(w);
}

/* Who should have rung died after he had said so, and before he did: here the
 * file that rings is out of the writer's reach.  It is found out within a
 * second or so, also when the watch had seen the commit before its sync. */
static int child_cannot_ring(struct rig *r, const struct other *o)
{
    luge_db *db;
    char byte;
    struct luge_options options = {.sync_interval_ms = 1000};
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"), luge_str("v")};
    CHILD_ANSWERS(0, luge_open(r->path, &options, &db));
    CHILD_ANSWERS(0, luge_apply(db, LUGE_TXN_FULL, &op, 1));
    CHILD_MUST(read(o->go[0], &byte, 1) == 1);
    CHILD_ANSWERS(0, luge_apply(db, LUGE_TXN_ASYNC, &op, 1));
    CHILD_MUST(write(o->back[1], "!", 1) == 1);
    CHILD_MUST(read(o->go[0], &byte, 1) == 1);
    CHILD_ANSWERS(0, luge_sync(db));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static void a_ring_is_lost(void **state)
{
    struct rig *r = *state;
    struct other o = other_make(r, child_cannot_ring, 0);
    char byte, path[640], away[640];
    int fd;
    rig_open(r, &(struct luge_options){.sync_interval_ms = 1000});
    luge_watch *w = watch(r, NULL);
    fine(luge_watch_fd(w, &fd));
    nothing(w);
    snprintf(path, sizeof path, "%s/notify", r->path);
    snprintf(away, sizeof away, "%s/away", r->base);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    other_writes(&o);
    assert_true(readable(fd, 20000));
    assert_int_equal(next(w, 0)->count, 1);
    nothing(w);
    other_writes(&o);
    assert_int_equal(read(o.back[0], &byte, 1), 1);
    nothing(w);                         /* there, and not durable */
    other_writes(&o);
    assert_true(readable(fd, 20000));
    assert_int_equal(next(w, 0)->count, 1);
    other_ended(&o);
    luge_watch_close(w);
    assert_int_equal(rmdir(path), 0);
}

/* Who waits is rung, and does not find out by looking now and then: that would
 * take a tenth of a second. */
enum { RINGS = 21, RING_PACE_US = 25000, RING_MEDIAN_NS = 50000000 };

static int child_writes_times(struct rig *r, const struct other *o)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    for (int i = 0; i < RINGS; i++) {
        nap_us(RING_PACE_US);
        uint64_t now = now_ns();
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("time"),
                             luge_bytes_of(&now, sizeof now)};
        CHILD_ANSWERS(0, luge_apply(db, o->txn_flags, &op, 1));
    }
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void rings(struct rig *r, unsigned txn_flags, bool by_fd,
                  const struct luge_watch_options *o)
{
    uint64_t took[RINGS], made;
    const struct luge_change_set *set;
    int fd = -1;
    struct other other = other_make(r, child_writes_times, txn_flags);
    rig_open(r, NULL);
    luge_watch *w = watch(r, o);
    if (by_fd) fine(luge_watch_fd(w, &fd));
    other_writes(&other);
    for (int i = 0; i < RINGS;) {
        int rc = luge_watch_next(w, by_fd ? 0 : 20000, &set);
        if (rc == LUGE_TIMEOUT && by_fd && readable(fd, 20000)) continue;
        fine(rc);
        memcpy(&made, set->changes->value.data, sizeof made);
        took[i++] = now_ns() - made;
    }
    other_ended(&other);
    luge_watch_close(w);
    rig_close(r);
    qsort(took, RINGS, sizeof *took, by_size);
    assert_in_range(took[RINGS / 2], 0, RING_MEDIAN_NS);
}

static void the_bell_rings(void **state)
{
    struct luge_watch_options o = {.flags = LUGE_WATCH_COMMITTED};
    rings(*state, LUGE_TXN_ASYNC, false, &o);
    rings(*state, LUGE_TXN_ASYNC, true, &o);
    o.prefix = luge_str("ti");
    rings(*state, LUGE_TXN_ASYNC, false, &o);
    o = (struct luge_watch_options){0};
    rings(*state, LUGE_TXN_FULL, false, &o);
    rings(*state, LUGE_TXN_FULL, true, &o);
    o.flags = LUGE_WATCH_SHOWN | LUGE_WATCH_EMPTY;
    rings(*state, LUGE_TXN_ASYNC, false, &o);
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

/* Memory that fails (make hard): an error each time, nothing twice, nothing
 * left out; old values are right or unknown. */
#ifdef LUGE_HARD
static void memory_fails(void **state)
{
    struct rig *r = *state;
    struct dice d = dice_of(5, 6);
    struct shadow s, seen;
    uint64_t refused = 0;
    old_trees(r, &s);
    seen = s;
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .flags = LUGE_WATCH_OLD | LUGE_WATCH_EMPTY |
                                          LUGE_WATCH_COMMITTED});
    uint64_t seq = luge_watch_seq(w);
    for (int i = 0; i < 200; i++) {
        const struct luge_change_set *set;
        int rc = LUGE_NOMEM;
        random_txn(r, &s, &d);
        while (rc != LUGE_TIMEOUT) {
            atomic_store(&base_hard.fail_every, 3);
            rc = luge_watch_next(w, 0, &set);
            atomic_store(&base_hard.fail_every, 0);
            refused += rc == LUGE_NOMEM;
            assert_true(!rc || rc == LUGE_TIMEOUT || rc == LUGE_NOMEM);
            if (rc) continue;
            assert_int_equal(set->seq, ++seq);
            for (size_t n = 0; n < set->count; n++)
                check_old(&set->changes[n], &seen, true);
        }
    }
    assert_int_equal(seq, luge_committed_seq(r->db));
    assert_true(refused > 10);
    luge_watch_close(w);
}
#endif

/* --------------------------------------------------------------- limits -- */

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

/* ------------------------------------------------------------ consumers -- */

static uint64_t cursor_of(struct rig *r, const char *name)
{
    struct luge_consumer c;
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_consumer_get(txn, luge_str(name), &c));
    assert_true(is(c.name, name));
    assert_int_equal(c.lag, luge_txn_seq(txn) - c.seq);
    luge_abort(txn);
    return c.seq;
}

static void consumer_at(struct rig *r, const char *name, uint64_t seq)
{
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_consumer_create(txn, luge_str(name), seq));
    fine(luge_commit(txn));
}

static void consumers(void **state)
{
    struct rig *r = *state;
    struct luge_consumer c;
    luge_bytes none = {"", 0};
    commit_put(r, "k", "v");
    uint64_t seq = luge_committed_seq(r->db);
    luge_txn *txn = begin(r, LUGE_READ);
    answers(LUGE_NOTFOUND, luge_consumer_get(txn, luge_str("x"), &c));
    answers(LUGE_NOTFOUND, luge_consumer_after(txn, none, &c));
    answers(LUGE_READONLY, luge_consumer_create(txn, luge_str("x"), 1));
    luge_abort(txn);
    consumer_at(r, "b", seq);
    consumer_at(r, "a", 1);
    txn = begin(r, LUGE_WRITE);
    answers(LUGE_EXISTS, luge_consumer_create(txn, luge_str("a"), 1));
    answers(LUGE_INVALID, luge_consumer_create(txn, luge_str("c"), 1000));
    answers(LUGE_INVALID, luge_consumer_create(txn, none, 1));
    answers(LUGE_NOTFOUND, luge_consumer_ack(txn, luge_str("c"), 1, 2));
    answers(LUGE_MISMATCH, luge_consumer_ack(txn, luge_str("a"), 2, 3));
    answers(LUGE_INVALID, luge_consumer_ack(txn, luge_str("a"), 1, 0));
    answers(LUGE_INVALID, luge_consumer_ack(txn, luge_str("a"), 1, 1000));
    fine(luge_consumer_ack(txn, luge_str("a"), 1, 2));
    fine(luge_consumer_after(txn, none, &c));
    assert_true(is(c.name, "a"));
    assert_int_equal(c.seq, 2);
    assert_int_equal(c.expired, 0);
    fine(luge_consumer_after(txn, c.name, &c));
    assert_true(is(c.name, "b"));
    answers(LUGE_NOTFOUND, luge_consumer_after(txn, c.name, &c));
    luge_abort(txn);
    rig_reopen(r);
    assert_int_equal(cursor_of(r, "a"), 1);     /* the ack was not committed */
    assert_int_equal(cursor_of(r, "b"), seq);
    txn = begin(r, LUGE_WRITE);
    fine(luge_consumer_drop(txn, luge_str("a")));
    answers(LUGE_NOTFOUND, luge_consumer_drop(txn, luge_str("a")));
    fine(luge_commit(txn));
}

/* Two processes consume one transaction: one of them does. */
static void consumed_once(void **state)
{
    struct rig *r = *state;
    commit_put(r, "k", "v");
    uint64_t seq = luge_committed_seq(r->db);
    consumer_at(r, "c", seq - 1);
    luge_txn *one = begin(r, LUGE_WRITE), *two = begin(r, LUGE_WRITE);
    fine(luge_consumer_ack(one, luge_str("c"), seq - 1, seq));
    fine(luge_consumer_ack(two, luge_str("c"), seq - 1, seq));
    fine(luge_commit(one));
    answers(LUGE_CONFLICT, luge_commit(two));
    two = begin(r, LUGE_WRITE);
    answers(LUGE_MISMATCH, luge_consumer_ack(two, luge_str("c"), seq - 1, seq));
    luge_abort(two);
}

static void an_ack_wakes_nobody(void **state)
{
    struct rig *r = *state;
    commit_put(r, "k", "v");
    consumer_at(r, "c", 1);
    luge_watch *w = watch(r, NULL);
    luge_watch *own = watch(r, &(struct luge_watch_options){
                                   .tree = (luge_tree)1 << 62});
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_consumer_ack(txn, luge_str("c"), 1, 2));
    fine(luge_commit(txn));
    nothing(w);
    assert_int_equal(next(own, 0)->count, 1);
    luge_watch_close(own);
    luge_watch_close(w);
}

static void the_name_is_taken(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    (void)tree_make(txn, "luge/log");
    answers(LUGE_EXISTS, luge_consumer_create(txn, luge_str("c"), 1));
    luge_abort(txn);
}

/* ------------------------------------------------------------ retention -- */

static int setup_short_log(void **state)
{
    if (rig_setup_closed(state)) return -1;
    rig_open(*state, &(struct luge_options){.log_keep_bytes = 1});
    return 0;
}

/* More than a few segments of log, and checkpoints that recycle them. */
static void much_happens(struct rig *r)
{
    char value[40000];
    for (int i = 0; i < 60; i++) {
        luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
        pattern_fill(value, sizeof value, (uint64_t)i);
        fine(luge_put(txn, LUGE_MAIN, luge_str("big"),
                      luge_bytes_of(value, sizeof value)));
        fine(luge_commit(txn));
        if (i % 10 == 9) fine(luge_checkpoint(r->db));
    }
    fine(luge_checkpoint(r->db));
}

static uint64_t oldest_of(struct rig *r)
{
    uint64_t oldest, newest;
    fine(luge_log_span(r->db, &oldest, &newest));
    assert_int_equal(newest, luge_committed_seq(r->db));
    return oldest;
}

static void retain(struct rig *r, const struct luge_retention *retention)
{
    struct luge_retention now;
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_retention_set(txn, retention));
    fine(luge_retention_get(txn, &now));
    assert_int_equal(retention->flags, now.flags);
    assert_int_equal(retention->keep_bytes, now.keep_bytes);
    assert_int_equal(retention->keep_seconds, now.keep_seconds);
    assert_int_equal(retention->hold_bytes, now.hold_bytes);
    fine(luge_commit(txn));
}

static void nothing_is_kept(void **state)
{
    struct rig *r = *state;
    luge_watch *w = NULL;
    commit_put(r, "k", "v");
    uint64_t seq = luge_committed_seq(r->db);
    much_happens(r);
    uint64_t oldest = oldest_of(r);
    assert_true(oldest > seq);
    struct luge_watch_options o = {.from = LUGE_FROM_SEQ, .seq = seq};
    answers(LUGE_EXPIRED, luge_watch_open(r->db, &o, &w));
    o.seq = oldest;
    w = watch(r, &o);
    assert_int_equal(next(w, 0)->seq, oldest + 1);
    luge_watch_close(w);
}

static void a_watch_holds_the_log(void **state)
{
    struct rig *r = *state;
    luge_watch *w = watch(r, NULL);
    uint64_t seq = luge_watch_seq(w);
    much_happens(r);
    for (int i = 0; i < 60; i++) assert_int_equal(next(w, 0)->seq, ++seq);
    nothing(w);
    assert_int_equal(oldest_of(r), 1);
    fine(luge_checkpoint(r->db));
    much_happens(r);
    assert_true(oldest_of(r) > 1);
    luge_watch_close(w);
}

/* It sleeps, nothing is for it, and it must not hold the log for ever. */
static void *sleeps(void *w)
{
    const struct luge_change_set *set;
    return luge_watch_next(w, -1, &set) == LUGE_TIMEOUT ? NULL : w;
}

static void a_sleeping_watch_lets_go(void **state)
{
    struct rig *r = *state;
    pthread_t thread;
    void *failed;
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .prefix = luge_str("none")});
    uint64_t end = now_ns() + 20000000000u;
    assert_int_equal(pthread_create(&thread, NULL, sleeps, w), 0);
    while (oldest_of(r) == 1 && now_ns() < end) much_happens(r);
    assert_true(oldest_of(r) > 1);
    luge_watch_wake(w);
    pthread_join(thread, &failed);
    assert_null(failed);
    luge_watch_close(w);
}

static void a_watch_expires(void **state)
{
    struct rig *r = *state;
    const struct luge_change_set *set;
    retain(r, &(struct luge_retention){.hold_bytes = 600000});
    luge_watch *w = watch(r, NULL);
    much_happens(r);
    answers(LUGE_EXPIRED, luge_watch_next(w, 0, &set));
    answers(LUGE_EXPIRED, luge_watch_next(w, -1, &set));
    luge_watch_close(w);
    luge_txn *txn = begin(r, LUGE_READ);            /* the way back */
    w = watch(r, &(struct luge_watch_options){.from = LUGE_FROM_SNAPSHOT,
                                              .snapshot = txn});
    luge_abort(txn);
    commit_put(r, "k", "v");
    assert_int_equal(next(w, 0)->count, 1);
    luge_watch_close(w);
}

/* A follower that is left behind again and again, and comes back by snapshots:
 * in the end it has the same content. */
static void load_shadow(struct shadow *s, luge_txn *txn)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    memset(s->sums, 0, sizeof s->sums);
    for (uint32_t t = 0; t < OLD_TREES; t++) {
        fine(luge_cursor_open(txn, s->trees[t], &cursor));
        while (!luge_cursor_next(cursor, &key, &value))
            s->sums[t][key_number(key)] = sum_of(value);
        luge_cursor_close(cursor);
    }
}

static luge_watch *start_over(struct rig *r, struct shadow *s)
{
    luge_txn *txn = begin(r, LUGE_READ);
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .from = LUGE_FROM_SNAPSHOT, .snapshot = txn,
                                 .flags = LUGE_WATCH_COMMITTED});
    load_shadow(s, txn);
    luge_abort(txn);
    return w;
}

static void apply_change(struct shadow *s, const struct luge_change *c)
{
    uint32_t t = c->tree == s->trees[1];
    if (c->tree != s->trees[t]) return;     /* what much_happens does */
    if (c->kind == LUGE_CHANGE_TREE_CLEAR)
        memset(s->sums[t], 0, sizeof s->sums[t]);
    else
        s->sums[t][key_number(c->key)] =
            c->kind == LUGE_CHANGE_PUT ? sum_of(c->value) : 0;
}

static void expired_and_back(void **state)
{
    struct rig *r = *state;
    struct dice d = dice_of(3, 4);
    struct shadow s, seen;
    int expired = 0;
    retain(r, &(struct luge_retention){.hold_bytes = 600000});
    old_trees(r, &s);
    seen = s;
    luge_watch *w = start_over(r, &seen);
    for (int i = 0; i < 300; i++) {
        const struct luge_change_set *set;
        int rc = 0;
        random_txn(r, &s, &d);
        if (dice_chance(&d, 5)) much_happens(r);
        if (dice_chance(&d, 70)) continue;
        while (!(rc = luge_watch_next(w, 0, &set)))
            for (size_t n = 0; n < set->count; n++)
                apply_change(&seen, &set->changes[n]);
        if (rc == LUGE_EXPIRED) {
            expired++;
            luge_watch_close(w);
            w = start_over(r, &seen);
        } else {
            answers(LUGE_TIMEOUT, rc);
        }
        luge_txn *txn = begin(r, LUGE_READ);
        load_shadow(&s, txn);
        luge_abort(txn);
        assert_memory_equal(seen.sums, s.sums, sizeof s.sums);
    }
    assert_in_range(expired, 2, 100);
    luge_watch_close(w);
}

static void a_consumer_holds_the_log(void **state)
{
    struct rig *r = *state;
    commit_put(r, "k", "v");
    uint64_t seq = luge_committed_seq(r->db);
    consumer_at(r, "c", seq);
    much_happens(r);
    rig_close(r);
    rig_open(r, &(struct luge_options){.log_keep_bytes = 1});
    much_happens(r);
    luge_watch *w = watch(r, &(struct luge_watch_options){
                                 .from = LUGE_FROM_SEQ,
                                 .seq = cursor_of(r, "c")});
    assert_int_equal(next(w, 0)->seq, seq + 2); /* seq + 1 made the consumer */
    luge_watch_close(w);
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_consumer_ack(txn, luge_str("c"), seq, luge_txn_seq(txn)));
    fine(luge_commit(txn));
    much_happens(r);
    assert_true(oldest_of(r) > seq);
}

static struct {
    int (*honest)(struct os_file *file);
    _Atomic(struct rig *) rig;  /* NULL: not now */
    pthread_t thread;
    uint64_t seq;
} acks;

/* In the middle of the checkpoint. */
static int ack_and_sync(struct os_file *file)
{
    struct rig *r = acks.rig;
    if (r && pthread_equal(acks.thread, pthread_self())) {
        acks.rig = NULL;
        luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
        fine(luge_consumer_ack(txn, luge_str("c"), acks.seq,
                               luge_txn_seq(txn)));
        fine(luge_commit(txn));
    }
    return acks.honest(file);
}

/* Power loss would take it back, and the consumer want what it had read. */
static void an_ack_that_is_not_durable(void **state)
{
    struct rig *r = *state;
    rig_close(r);
    acks.honest = os_native()->sync;    /* before there is a caretaker */
    acks.thread = pthread_self();
    os_native()->sync = ack_and_sync;
    rig_open(r, &(struct luge_options){.log_keep_bytes = 1,
                                       .sync_interval_ms = 60000});
    commit_put(r, "k", "v");
    uint64_t seq = luge_committed_seq(r->db);
    consumer_at(r, "c", seq);
    much_happens(r);
    assert_true(oldest_of(r) <= seq + 1);
    commit_put(r, "k", "w");
    acks.seq = seq;
    acks.rig = r;
    fine(luge_checkpoint(r->db));
    assert_null(acks.rig);
    assert_true(cursor_of(r, "c") > seq);
    assert_true(oldest_of(r) <= seq + 1);
    much_happens(r);
    assert_true(oldest_of(r) > seq + 1);
    rig_close(r);
    os_native()->sync = acks.honest;
}

static void a_consumer_expires(void **state)
{
    struct rig *r = *state;
    struct luge_consumer c;
    retain(r, &(struct luge_retention){.hold_bytes = 600000});
    consumer_at(r, "c", 1);
    much_happens(r);
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_consumer_get(txn, luge_str("c"), &c));
    assert_int_equal(c.expired, 1);
    luge_abort(txn);
}

static void the_log_as_archive(void **state)
{
    struct rig *r = *state;
    retain(r, &(struct luge_retention){.flags = LUGE_KEEP_ALL});
    much_happens(r);
    assert_int_equal(oldest_of(r), 1);
    retain(r, &(struct luge_retention){.keep_seconds = 3600});
    much_happens(r);
    assert_int_equal(oldest_of(r), 1);
    retain(r, &(struct luge_retention){.keep_bytes = 1 << 30});
    much_happens(r);
    assert_int_equal(oldest_of(r), 1);
    retain(r, &(struct luge_retention){0});
    much_happens(r);
    assert_true(oldest_of(r) > 1);
    luge_txn *txn = begin(r, LUGE_WRITE);
    answers(LUGE_INVALID, luge_retention_set(txn, &(struct luge_retention){
                              .flags = 2}));
    luge_abort(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
        T(from_now), T(from_the_first), T(from_a_seq), T(with_a_snapshot),
        T(one_tree_one_prefix), T(many_of_two_prefixes),
        T(a_large_one_behind_many),
        T(whole_trees), T(forks_and_snapshots), T(ranges_and_merges),
        T(a_large_transaction), T(old_values), T(old_values_of_a_snapshot),
        T(skipping),
        T(when_durable), T(time_runs_out), T(woken), T(another_thread_writes),
        T(forked), T(too_many), T(consumers),
        T(consumed_once), T(an_ack_wakes_nobody), T(the_name_is_taken),
#ifdef LUGE_HARD
        T(memory_fails),
#endif
#undef T
#define T(name)                                                               \
    cmocka_unit_test_setup_teardown(name, rig_setup_closed, rig_teardown)
        T(skipping_what_lasts),
        T(another_process_writes), T(a_descriptor), T(a_ring_is_lost),
        T(the_bell_rings),
#undef T
#define T(name)                                                               \
    cmocka_unit_test_setup_teardown(name, setup_short_log, rig_teardown)
        T(nothing_is_kept), T(a_watch_holds_the_log),
        T(a_sleeping_watch_lets_go), T(a_watch_expires),
        T(expired_and_back),
        T(a_consumer_holds_the_log), T(a_consumer_expires),
        T(an_ack_that_is_not_durable),
        T(the_log_as_archive),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
