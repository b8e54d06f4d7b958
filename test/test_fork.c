/* test/test_fork.c -- what luge_fork.h promises.
 *
 * Holds: paths, errors that change nothing, isolation of forks and snapshots,
 * handles of snapshots, differences and merges by hand, other processes that
 * have to replay what was forked.
 * Not here: random histories (crash_lineage.c), costs (crash_forks.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "luge_fork.h"
#include "rig.h"

#include <unistd.h>

static luge_tree tree_of(luge_txn *txn, const char *name)
{
    luge_tree tree;
    fine(luge_tree_open(txn, luge_str(name), 0, &tree));
    return tree;
}

/* NAME exists and holds "k" = VALUE. */
static void tree_holds(luge_txn *txn, const char *name, const char *value)
{
    holds(txn, tree_of(txn, name), "k", value);
}

static void absent(luge_txn *txn, const char *name)
{
    luge_tree tree;
    answers(LUGE_NOTFOUND, luge_tree_open(txn, luge_str(name), 0, &tree));
}

static void fork_to(luge_txn *txn, const char *from, const char *to,
                    uint64_t trees)
{
    uint64_t count = 0;
    fine(luge_fork(txn, luge_str(from), luge_str(to), &count));
    assert_int_equal(count, trees);
}

static void commit(luge_txn *txn)
{
    fine(luge_commit(txn));
}

/* A few trees, committed. */
static void some_trees(struct rig *r)
{
    static const char *const names[] = {"a", "a/x", "a/x/y", "ab", "a.b"};
    luge_txn *txn = begin(r, LUGE_WRITE);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        put(txn, tree_make(txn, names[i]), "k", names[i]);
    put(txn, LUGE_MAIN, "k", "main");
    commit(txn);
}

static void sound(struct rig *r)
{
    fine(luge_check(r->db, NULL, NULL));
}

/* --------------------------------------------------------------- paths -- */

static void a_path_is_what_lies_under_it(void **state)
{
    struct rig *r = *state;
    uint64_t count;
    some_trees(r);
    luge_txn *txn = begin(r, LUGE_WRITE);
    fork_to(txn, "a", "b", 3);
    tree_holds(txn, "b", "a");
    tree_holds(txn, "b/x", "a/x");
    tree_holds(txn, "b/x/y", "a/x/y");
    absent(txn, "bb");
    absent(txn, "b.b");
    fork_to(txn, "a/x/", "c//", 2);
    tree_holds(txn, "c", "a/x");
    tree_holds(txn, "c/y", "a/x/y");
    fork_to(txn, "a/x/y", "a/z", 1);        /* into itself */
    fork_to(txn, "a", "a/again", 4);
    tree_holds(txn, "a/again/z", "a/x/y");
    fork_to(txn, "main", "main/2", 1);
    tree_holds(txn, "main/2", "main");
    commit(txn);
    sound(r);
    txn = begin(r, LUGE_WRITE);
    fine(luge_drop_path(txn, luge_str("a/"), &count));
    assert_int_equal(count, 8);
    tree_holds(txn, "ab", "ab");
    tree_holds(txn, "b/x/y", "a/x/y");
    commit(txn);
    sound(r);
}

static void refusals_change_nothing(void **state)
{
    struct rig *r = *state;
    char name[LUGE_NAME_SIZE_MAX + 2];
    uint64_t before;
    memset(name, 'n', sizeof name);
    some_trees(r);
    before = checksum(r);
    luge_txn *txn = begin(r, LUGE_WRITE);
    tree_make(txn, "b/x/y");
    luge_bytes a = luge_str("a"), b = luge_str("b"), none = luge_str("");
    answers(LUGE_EXISTS, luge_fork(txn, a, b, NULL));
    absent(txn, "b");
    absent(txn, "b/x");
    answers(LUGE_EXISTS, luge_fork(txn, a, a, NULL));
    answers(LUGE_NOTFOUND, luge_fork(txn, luge_str("z"), b, NULL));
    answers(LUGE_INVALID, luge_fork(txn, none, b, NULL));
    answers(LUGE_INVALID, luge_fork(txn, luge_str("//"), b, NULL));
    answers(LUGE_INVALID, luge_fork(txn, a, none, NULL));
    luge_bytes longest = {name, LUGE_NAME_SIZE_MAX};
    luge_bytes longer = {name, LUGE_NAME_SIZE_MAX + 1}, nowhere = {NULL, 3};
    answers(LUGE_TOOBIG, luge_fork(txn, a, longest, NULL));
    answers(LUGE_TOOBIG, luge_fork(txn, longer, b, NULL));
    answers(LUGE_INVALID, luge_fork(txn, nowhere, b, NULL));
    answers(LUGE_INVALID, luge_drop_path(txn, luge_str("main"), NULL));
    answers(LUGE_NOTFOUND, luge_drop_path(txn, luge_str("z"), NULL));
    answers(LUGE_INVALID, luge_snapshot(txn, a, none));
    answers(LUGE_TOOBIG, luge_snapshot(txn, a, longer));
    answers(LUGE_NOTFOUND, luge_snapshot_drop(txn, a));
    answers(LUGE_NOTFOUND, luge_fork_snapshot(txn, a, none, b, NULL));
    fine(luge_tree_drop(txn, tree_of(txn, "b/x/y")));
    commit(txn);
    assert_int_equal(checksum(r), before);
    txn = begin(r, LUGE_READ);
    answers(LUGE_READONLY, luge_fork(txn, a, b, NULL));
    answers(LUGE_READONLY, luge_drop_path(txn, a, NULL));
    answers(LUGE_READONLY, luge_snapshot(txn, a, b));
    answers(LUGE_READONLY, luge_snapshot_drop(txn, a));
    answers(LUGE_READONLY, luge_fork_snapshot(txn, a, none, b, NULL));
    luge_abort(txn);
}

static void families_end_in_any_order(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_TURN);
    luge_tree t = tree_make(txn, "t0");
    char key[16], from[16], to[16];
    for (int i = 0; i < 3000; i++) {
        sprintf(key, "%05d", i);
        put(txn, t, key, "something that takes a little room");
    }
    put(txn, t, "k", "t0");
    commit(txn);
    for (int i = 0; i < 6; i++) {           /* a fork of a fork of a fork */
        sprintf(from, "t%d", i);
        sprintf(to, "t%d", i + 1);
        txn = begin(r, i & 1 ? LUGE_TURN : LUGE_WRITE);
        fork_to(txn, from, to, 1);
        put(txn, tree_of(txn, to), "k", to);
        sprintf(key, "%05d", i * 500);
        put(txn, tree_of(txn, from), key, "changed after it was forked");
        commit(txn);
    }
    static const int order[] = {0, 3, 1, 6, 4, 2};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        sprintf(from, "t%d", order[i]);
        txn = begin(r, LUGE_WRITE);
        fine(luge_tree_drop(txn, tree_of(txn, from)));
        commit(txn);
        sound(r);
        rig_reopen(r);
    }
    txn = begin(r, LUGE_WRITE);
    tree_holds(txn, "t5", "t5");
    holds(txn, tree_of(txn, "t5"), "02000",
          "something that takes a little room");
    fine(luge_tree_drop(txn, tree_of(txn, "t5")));
    commit(txn);
    struct luge_stats stats;
    for (int i = 0; i < 3; i++) {
        commit_put(r, "k", "v");
        fine(luge_checkpoint(r->db));
    }
    fine(luge_stat(r->db, &stats));
    assert_true(stats.pages_total - stats.pages_free - stats.pages_pending <
                10);
    sound(r);
}

/* ----------------------------------------------------------- isolation -- */

static void a_blind_fork_is_of_what_lands(void **state)
{
    struct rig *r = *state;
    some_trees(r);
    luge_txn *one = begin(r, LUGE_WRITE);
    fork_to(one, "a/x", "f", 2);
    fine(luge_snapshot(one, luge_str("a/x"), luge_str("s")));
    luge_txn *two = begin(r, LUGE_WRITE);
    put(two, tree_of(two, "a/x"), "k", "newer");
    commit(two);
    commit(one);
    luge_txn *txn = begin(r, LUGE_READ);
    luge_tree taken;
    tree_holds(txn, "f", "newer");
    fine(luge_snapshot_open(txn, luge_str("s"), luge_str("a/x"), &taken));
    holds(txn, taken, "k", "newer");
    luge_abort(txn);
    sound(r);
}

/* What the second transaction did, to a fork or a snapshot of a/x that it made,
 * before the first changed K of a/x. */
typedef void look_fn(luge_txn *txn);

static void look_at_fork(luge_txn *txn) { tree_holds(txn, "f", "a/x"); }

static void look_with_cursor(luge_txn *txn)
{
    luge_cursor *cursor;
    fine(luge_cursor_open(txn, tree_of(txn, "f"), &cursor));
    fine(luge_cursor_next(cursor, NULL, NULL));
    luge_cursor_close(cursor);
}

static void look_at_count(luge_txn *txn)
{
    uint64_t count;
    fine(luge_tree_count(txn, tree_of(txn, "f"), &count));
}

static void look_at_fork_of_fork(luge_txn *txn)
{
    fork_to(txn, "f", "g", 2);
    tree_holds(txn, "g", "a/x");
}

static void look_at_snapshot(luge_txn *txn)
{
    luge_tree taken;
    fine(luge_snapshot(txn, luge_str(""), luge_str("s")));
    fine(luge_snapshot_open(txn, luge_str("s"), luge_str("a/x"), &taken));
    holds(txn, taken, "k", "a/x");
}

static void look_at_revived(luge_txn *txn)
{
    fine(luge_snapshot(txn, luge_str("a"), luge_str("s")));
    fine(luge_fork_snapshot(txn, luge_str("s"), luge_str("a"), luge_str("h"),
                            NULL));
    tree_holds(txn, "h/x", "a/x");
}

static int nothing(void *context, luge_bytes key, const luge_bytes *before,
                   const luge_bytes *after)
{
    (void)context, (void)key, (void)before, (void)after;
    return 0;
}

static void look_at_difference(luge_txn *txn)
{
    fine(luge_diff(txn, tree_of(txn, "ab"), tree_of(txn, "f"), nothing, NULL));
}

static void what_was_read_of_a_fork_was_read(void **state)
{
    static look_fn *const looks[] = {
        look_at_fork, look_with_cursor, look_at_count, look_at_fork_of_fork,
        look_at_snapshot, look_at_revived, look_at_difference,
    };
    struct rig *r = *state;
    some_trees(r);
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        luge_txn *two = begin(r, LUGE_WRITE);
        fork_to(two, "a/x", "f", 2);
        looks[i](two);
        luge_txn *one = begin(r, LUGE_WRITE);
        fine(luge_del(one, tree_of(one, "a/x"), luge_str("k")));
        commit(one);
        answers(LUGE_CONFLICT, luge_commit(two));
        one = begin(r, LUGE_WRITE);
        put(one, tree_of(one, "a/x"), "k", "a/x");
        commit(one);
        sound(r);
    }
}

/* Which trees there were was read, too. */
static void names_are_read(void **state)
{
    struct rig *r = *state;
    luge_bytes name;
    some_trees(r);
    for (int i = 0; i < 3; i++) {
        luge_txn *two = begin(r, LUGE_WRITE), *one = begin(r, LUGE_WRITE);
        char made[20];
        sprintf(made, "a/%d", i);
        if (i == 0) fork_to(two, "a", "f", 3);
        if (i == 1) answers(LUGE_NOTFOUND, luge_fork(two, luge_str("a/1"),
                                                     luge_str("g"), NULL));
        if (i == 2) {
            fine(luge_snapshot(two, luge_str("a"), luge_str("s")));
            fine(luge_snapshot_tree_after(two, luge_str("s"), luge_str("a"),
                                          &name));
        }
        put(two, LUGE_MAIN, "k", "two");
        tree_make(one, made);
        commit(one);
        answers(LUGE_CONFLICT, luge_commit(two));
        one = begin(r, LUGE_WRITE);
        fine(luge_tree_drop(one, tree_of(one, made)));
        commit(one);
    }
    luge_txn *two = begin(r, LUGE_WRITE), *one = begin(r, LUGE_WRITE);
    fork_to(two, "a", "f", 3);
    tree_make(one, "b");                    /* not under a */
    commit(one);
    commit(two);
    one = begin(r, LUGE_WRITE);
    two = begin(r, LUGE_WRITE);
    fork_to(one, "a", "g", 3);
    fork_to(two, "f", "g", 3);
    commit(one);
    answers(LUGE_CONFLICT, luge_commit(two));
    sound(r);
}

static void savepoints_undo_forks(void **state)
{
    struct rig *r = *state;
    uint32_t savepoint;
    some_trees(r);
    for (int i = 0; i < 2; i++) {
        luge_txn *txn = begin(r, i ? LUGE_TURN : LUGE_WRITE);
        put(txn, tree_of(txn, "a"), "k", "before");
        fine(luge_savepoint(txn, &savepoint));
        for (int k = 0; k < 3; k++) {
            fork_to(txn, "a", "t", 3);
            fine(luge_snapshot(txn, luge_str(""), luge_str("s")));
            fine(luge_snapshot(txn, luge_str("t"), luge_str("s2")));
            put(txn, tree_of(txn, "a"), "k", "after");
            put(txn, tree_of(txn, "t"), "k", "fork");
            fine(luge_tree_drop(txn, tree_of(txn, "a")));
            fine(luge_rollback(txn, savepoint));
            absent(txn, "t");
            tree_holds(txn, "a", "before");
        }
        fork_to(txn, "a", i ? "g" : "f", 3);
        commit(txn);
        sound(r);
    }
    luge_txn *txn = begin(r, LUGE_READ);
    tree_holds(txn, "f", "before");
    tree_holds(txn, "g/x/y", "a/x/y");
    luge_abort(txn);
}

/* ------------------------------------------------------------- handles -- */

static void a_snapshot_cannot_be_changed(void **state)
{
    struct rig *r = *state;
    luge_bytes k = luge_str("k"), v = luge_str("v"), name, value;
    luge_cursor *cursor;
    luge_tree t;
    uint32_t savepoint;
    uint64_t count;
    some_trees(r);
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot(txn, luge_str(""), luge_str("s")));
    commit(txn);
    txn = begin(r, LUGE_WRITE);
    fine(luge_savepoint(txn, &savepoint));
    fine(luge_snapshot_open(txn, luge_str("s"), luge_str("a"), &t));
    answers(LUGE_READONLY, luge_put(txn, t, k, v));
    answers(LUGE_READONLY, luge_add(txn, t, luge_str("new"), v));
    answers(LUGE_READONLY, luge_del(txn, t, k));
    value = luge_str("a");
    answers(LUGE_READONLY, luge_cas(txn, t, k, &value, &v, NULL));
    answers(LUGE_READONLY, luge_del_range(txn, t, NULL, NULL, NULL));
    answers(LUGE_READONLY, luge_pop_min(txn, t, NULL, NULL));
    answers(LUGE_READONLY, luge_combine(txn, t, k, "append", v, NULL));
    answers(LUGE_READONLY, luge_tree_clear(txn, t));
    answers(LUGE_READONLY, luge_tree_drop(txn, t));
    answers(LUGE_READONLY, luge_tree_rename(txn, t, v));
    answers(LUGE_READONLY, luge_merge(txn, LUGE_MAIN, t, 0, NULL, NULL));
    fine(luge_cursor_open(txn, t, &cursor));
    fine(luge_cursor_next(cursor, &name, &value));
    answers(LUGE_READONLY, luge_cursor_del(cursor));
    luge_cursor_close(cursor);
    fine(luge_tree_count(txn, t, &count));
    assert_int_equal(count, 1);
    put(txn, tree_of(txn, "a"), "k", "now");
    holds(txn, t, "k", "a");
    fine(luge_rollback(txn, savepoint));
    answers(LUGE_NOTREE, luge_get(txn, t, k, &value));  /* opened since */
    luge_abort(txn);
    txn = begin(r, LUGE_READ);
    answers(LUGE_NOTREE, luge_get(txn, t, k, &value));
    fine(luge_snapshot_open(txn, luge_str("s"), luge_str("a"), &t));
    holds(txn, t, "k", "a");
    answers(LUGE_NOTFOUND, luge_snapshot_open(txn, luge_str("s"), v, &t));
    answers(LUGE_NOTFOUND, luge_snapshot_open(txn, v, k, &t));
    fine(luge_renew(txn));
    answers(LUGE_NOTREE, luge_get(txn, t, k, &value));
    luge_abort(txn);
}

static void snapshots_say_what_they_are(void **state)
{
    struct rig *r = *state;
    struct luge_snapshot_info info;
    struct luge_snapshot_size size;
    some_trees(r);
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot(txn, luge_str("a/"), luge_str("s1")));
    fine(luge_snapshot(txn, luge_str(""), luge_str("s2")));
    fine(luge_snapshot(txn, luge_str("nothing"), luge_str("s3")));
    answers(LUGE_EXISTS, luge_snapshot(txn, luge_str("a"), luge_str("s1")));
    commit(txn);
    uint64_t seq = luge_committed_seq(r->db);
    nap_us(2000);
    txn = begin(r, LUGE_READ);
    fine(luge_snapshot_after(txn, luge_str(""), &info));
    assert_true(is(info.name, "s1") && is(info.path, "a"));
    assert_int_equal(info.seq, seq);
    assert_true(info.age_ns >= 2000000 && info.age_ns < 60000000000u);
    fine(luge_snapshot_after(txn, luge_str("s1"), &info));
    assert_true(is(info.name, "s2") && is(info.path, ""));
    fine(luge_snapshot_measure(txn, luge_str("s1"), &size));
    assert_true(size.trees == 3 && size.records == 3 && !size.unique_bytes);
    fine(luge_snapshot_measure(txn, luge_str("s2"), &size));
    assert_true(size.trees == 6 && size.records == 6);
    fine(luge_snapshot_measure(txn, luge_str("s3"), &size));
    assert_true(!size.trees && !size.records && !size.unique_bytes);
    answers(LUGE_NOTFOUND, luge_snapshot_after(txn, luge_str("s3"), &info));
    answers(LUGE_NOTFOUND, luge_snapshot_measure(txn, luge_str("s"), &size));
    luge_abort(txn);
    txn = begin(r, LUGE_WRITE);             /* now s1 and s2 keep something */
    put(txn, tree_of(txn, "a"), "k", "other");
    fine(luge_snapshot_drop(txn, luge_str("s2")));
    commit(txn);
    txn = begin(r, LUGE_READ);
    fine(luge_snapshot_measure(txn, luge_str("s1"), &size));
    assert_int_equal(size.unique_bytes, 4096);
    luge_abort(txn);
    sound(r);
}

static void readers_keep_what_was_dropped(void **state)
{
    struct rig *r = *state;
    luge_tree t;
    some_trees(r);
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot(txn, luge_str(""), luge_str("s")));
    fork_to(txn, "a", "f", 3);
    put(txn, tree_of(txn, "f"), "k", "fork");
    commit(txn);
    luge_txn *reader = begin(r, LUGE_READ);
    txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot_drop(txn, luge_str("s")));
    fine(luge_drop_path(txn, luge_str("f"), NULL));
    fine(luge_drop_path(txn, luge_str("a"), NULL));
    commit(txn);
    for (int i = 0; i < 50; i++) {
        commit_put(r, "k", "filling what became free");
        fine(luge_checkpoint(r->db));
    }
    tree_holds(reader, "f", "fork");
    fine(luge_snapshot_open(reader, luge_str("s"), luge_str("a/x"), &t));
    holds(reader, t, "k", "a/x");
    luge_abort(reader);
    sound(r);
}

/* A tree's pages go from the head and from the snapshot in one commit, while
 * nothing else in its leaf of the catalog changes. */
static void a_change_and_the_end_of_its_snapshot(void **state)
{
    struct rig *r = *state;
    char name[40];
    luge_txn *txn = begin(r, LUGE_WRITE);
    for (int i = 0; i < 300; i++) {
        sprintf(name, "tree number %d", i);
        put(txn, tree_make(txn, name), "k", name);
    }
    commit(txn);
    for (int i = 0; i < 300; i += 50) {
        txn = begin(r, LUGE_WRITE);
        fine(luge_snapshot(txn, luge_str(""), luge_str("s")));
        commit(txn);
        txn = begin(r, LUGE_WRITE);
        sprintf(name, "tree number %d", i);
        put(txn, tree_of(txn, name), "k", "other");
        fine(luge_snapshot_drop(txn, luge_str("s")));
        commit(txn);
        sound(r);
    }
}

/* ------------------------------------------------------ diff and merge -- */

struct seen {
    luge_txn *txn;
    luge_tree tree;
    char text[200];
    int stop;
};

static int note(void *context, luge_bytes key, const luge_bytes *before,
                const luge_bytes *after)
{
    struct seen *s = context;
    size_t at = strlen(s->text);
    snprintf(s->text + at, sizeof s->text - at, "%.*s:%.*s>%.*s ",
             (int)key.size, (const char *)key.data,
             before ? (int)before->size : 1,
             before ? (const char *)before->data : "-",
             after ? (int)after->size : 1,
             after ? (const char *)after->data : "-");
    if (s->tree) fine(luge_put(s->txn, s->tree, key, luge_str("walked")));
    return s->stop;
}

static void differences(void **state)
{
    struct rig *r = *state;
    struct seen s = {0};
    luge_txn *txn = begin(r, LUGE_TURN);
    luge_tree a = tree_make(txn, "a"), b = tree_make(txn, "b");
    put(txn, a, "1", "one");
    put(txn, a, "2", "two");
    put(txn, a, "", "empty key");
    put(txn, b, "2", "zwei");
    put(txn, b, "3", "drei");
    fine(luge_diff(txn, a, b, note, &s));
    assert_string_equal(s.text, ":empty key>- 1:one>- 2:two>zwei 3:->drei ");
    s.text[0] = 0;
    fine(luge_diff(txn, a, a, note, &s));
    fine(luge_diff(txn, tree_make(txn, "e"), tree_make(txn, "f"), note, &s));
    assert_string_equal(s.text, "");
    s.stop = 7;
    answers(7, luge_diff(txn, b, a, note, &s));
    assert_string_equal(s.text, ":->empty key ");
    /* the walk is of the state at its begin */
    s = (struct seen){.txn = txn, .tree = a};
    fine(luge_diff(txn, a, b, note, &s));
    assert_string_equal(s.text, ":empty key>- 1:one>- 2:two>zwei 3:->drei ");
    holds(txn, a, "3", "walked");
    answers(LUGE_NOTREE, luge_diff(txn, a, 99, note, &s));
    luge_abort(txn);
}

static int refuse(void *context, luge_bytes key, const luge_bytes *base,
                  const luge_bytes *ours, const luge_bytes *theirs,
                  luge_bytes *result)
{
    (void)key, (void)base, (void)ours, (void)theirs, (void)result;
    return *(int *)context;
}

/* 1: both changed; 2: only the fork; 3: only the source; 4: both removed; 5:
 * the fork removed, the source changed. */
static void parted(struct rig *r, luge_txn **txn, luge_tree *from,
                   luge_tree *into)
{
    char key[2] = "1";
    *txn = begin(r, LUGE_WRITE);
    *into = tree_of(*txn, "t");
    for (; key[0] <= '5'; key[0]++) put(*txn, *into, key, "base....");
    fork_to(*txn, "t", "fork", 1);
    *from = tree_of(*txn, "fork");
    put(*txn, *into, "1", "bbbbbbbb");
    put(*txn, *from, "1", "aaaaaaaa");
    put(*txn, *from, "2", "theirs");
    put(*txn, *into, "3", "ours");
    fine(luge_del(*txn, *into, luge_str("4")));
    fine(luge_del(*txn, *from, luge_str("4")));
    put(*txn, *into, "5", "ours");
    fine(luge_del(*txn, *from, luge_str("5")));
}

static void merges(void **state)
{
    struct rig *r = *state;
    struct luge_merge_result result;
    struct luge_merge_options o = {0};
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree from, into, base;
    int verdict = LUGE_LIMIT;
    tree_make(txn, "t");
    commit(txn);
    parted(r, &txn, &from, &into);
    answers(LUGE_MISMATCH, luge_merge(txn, from, into, 0, NULL, &result));
    assert_true(result.conflicts == 2 && result.unsettled == 2);
    holds(txn, into, "2", "base....");
    o.settle = refuse;
    o.context = &verdict;
    answers(LUGE_LIMIT, luge_merge(txn, from, into, 0, &o, NULL));
    verdict = 8;
    answers(LUGE_INVALID, luge_merge(txn, from, into, 0, &o, NULL));
    o = (struct luge_merge_options){.policy = 4};
    answers(LUGE_INVALID, luge_merge(txn, from, into, 0, &o, NULL));
    answers(LUGE_INVALID, luge_merge(txn, into, into, 0, NULL, NULL));
    holds(txn, into, "2", "base....");
    o.policy = LUGE_MERGE_OURS;
    fine(luge_merge(txn, from, into, 0, &o, &result));
    assert_true(result.changes == 1 && result.conflicts == 2);
    holds(txn, into, "1", "bbbbbbbb");
    holds(txn, into, "2", "theirs");
    holds(txn, into, "3", "ours");
    holds(txn, into, "4", NULL);
    holds(txn, into, "5", "ours");
    luge_abort(txn);
    parted(r, &txn, &from, &into);
    o.policy = LUGE_MERGE_THEIRS;
    fine(luge_fork_base(txn, into, from, &base));
    holds(txn, base, "5", "base....");
    fine(luge_merge(txn, from, into, base, &o, &result));
    assert_true(result.changes == 3 && !result.unsettled);
    holds(txn, into, "1", "aaaaaaaa");
    holds(txn, into, "5", NULL);
    holds(txn, from, "3", "base....");
    commit(txn);
    txn = begin(r, LUGE_WRITE);
    fine(luge_drop_path(txn, luge_str("fork"), NULL));
    commit(txn);
    parted(r, &txn, &from, &into);
    o.policy = LUGE_MERGE_NEWER;            /* "b..." is greater than "a..." */
    fine(luge_merge(txn, from, into, 0, &o, &result));
    holds(txn, into, "1", "bbbbbbbb");
    holds(txn, into, "5", "ours");          /* "ours" has no time: both none */
    o.newer_at = 4;
    luge_abort(txn);
    sound(r);
}

static void what_has_no_base(void **state)
{
    struct rig *r = *state;
    struct luge_merge_result result;
    luge_tree base;
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree a = tree_make(txn, "a"), b = tree_make(txn, "b");
    put(txn, a, "1", "one");
    put(txn, b, "2", "two");
    answers(LUGE_NOTFOUND, luge_fork_base(txn, a, b, &base));
    fine(luge_merge(txn, a, b, 0, NULL, &result));
    assert_int_equal(result.changes, 1);
    holds(txn, b, "1", "one");
    holds(txn, b, "2", "two");
    fine(luge_fork_base(txn, a, a, &base));
    holds(txn, base, "1", "one");
    fine(luge_snapshot(txn, luge_str(""), luge_str("s")));
    luge_tree taken;
    fine(luge_snapshot_open(txn, luge_str("s"), luge_str("a"), &taken));
    answers(LUGE_INVALID, luge_fork_base(txn, taken, b, &base));
    answers(LUGE_INVALID, luge_merge(txn, taken, b, 0, NULL, NULL));
    fine(luge_merge(txn, taken, b, taken, NULL, &result));
    assert_int_equal(result.changes, 0);
    commit(txn);
    sound(r);
}

/* Five large values are a full leaf and a leaf of one; without the fifth the
 * root is the first leaf, a page of the file that no commit has changed since
 * the snapshot.  It is another state all the same, with a number of its own. */
static void a_tree_that_shrank_to_an_old_page(void **state)
{
    struct rig *r = *state;
    static const char *const keys[] = {"0", "1", "2", "3", "4"};
    char large[901] = {0};
    luge_bytes all = luge_str("all"), none = luge_str("");
    luge_tree base;
    uint64_t count;
    memset(large, 'v', sizeof large - 1);
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree t = tree_make(txn, "t");
    for (size_t i = 0; i < COUNT_OF(keys); i++) put(txn, t, keys[i], large);
    commit(txn);
    txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot(txn, none, all));
    commit(txn);
    txn = begin(r, LUGE_WRITE);
    fine(luge_del(txn, t, luge_str("4")));
    commit(txn);
    txn = begin(r, LUGE_WRITE);
    fork_to(txn, "t", "late", 1);
    commit(txn);
    txn = begin(r, LUGE_WRITE);
    fine(luge_fork_snapshot(txn, all, luge_str("t"), luge_str("early"),
                            &count));
    luge_tree early = tree_of(txn, "early"), late = tree_of(txn, "late");
    fine(luge_fork_base(txn, early, late, &base));
    holds(txn, base, "4", large);
    commit(txn);
    sound(r);
    txn = begin(r, LUGE_WRITE);
    fine(luge_fork_base(txn, early, late, &base));
    holds(txn, base, "4", large);
    fine(luge_snapshot_drop(txn, all));
    fine(luge_tree_drop(txn, tree_of(txn, "t")));
    commit(txn);
    sound(r);
    txn = begin(r, LUGE_WRITE);
    for (int i = 0; i < 50; i++) {          /* over what was released */
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        put(txn, LUGE_MAIN, key, large);
    }
    commit(txn);
    fine(luge_checkpoint(r->db));
    sound(r);
    txn = begin(r, LUGE_READ);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        holds(txn, early, keys[i], large);
        holds(txn, late, keys[i], i < 4 ? large : NULL);
    }
    luge_abort(txn);
}

/* ----------------------------------------------------- other processes -- */

static int look_from_elsewhere(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    luge_tree t;
    luge_bytes value;
    struct luge_options options = {.flags = LUGE_READ_ONLY};
    CHILD_ANSWERS(0, luge_open(r->path, &options, &db));
    for (int i = 0; i < 3; i++) {           /* a shadow each time, or kept */
        CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &txn));
        CHILD_ANSWERS(0, luge_tree_open(txn, luge_str("f/x"), 0, &t));
        CHILD_ANSWERS(0, luge_get(txn, t, luge_str("k"), &value));
        CHILD_MUST(is(value, "fork"));
        CHILD_ANSWERS(0, luge_snapshot_open(txn, luge_str("whole"),
                                            luge_str("a/x"), &t));
        CHILD_ANSWERS(0, luge_get(txn, t, luge_str("k"), &value));
        CHILD_MUST(is(value, "a/x"));
        CHILD_ANSWERS(0, luge_snapshot_open(txn, luge_str("part"),
                                            luge_str("a/x"), &t));
        CHILD_ANSWERS(0, luge_get(txn, t, luge_str("k"), &value));
        CHILD_MUST(is(value, "a/x"));
        CHILD_ANSWERS(LUGE_NOTFOUND,
                      luge_tree_open(txn, luge_str("gone"), 0, &t));
        luge_abort(txn);
    }
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* Alone, we keep forks to ourselves; who comes replays them, and while an
 * application holds the turn into its own memory only. */
static void others_replay_forks(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    some_trees(r);
    for (int i = 0; i < 2; i++) {
        luge_txn *txn = begin(r, LUGE_WRITE);
        if (i) {
            fine(luge_drop_path(txn, luge_str("f"), NULL));
            fine(luge_snapshot_drop(txn, luge_str("whole")));
            fine(luge_snapshot_drop(txn, luge_str("part")));
            put(txn, tree_of(txn, "a/x"), "k", "a/x");
        }
        fork_to(txn, "a", "gone", 3);
        fine(luge_snapshot(txn, luge_str(""), luge_str("whole")));
        fine(luge_snapshot(txn, luge_str("a"), luge_str("part")));
        fork_to(txn, "gone", "f", 3);
        put(txn, tree_of(txn, "f/x"), "k", "fork");
        put(txn, tree_of(txn, "a/x"), "k", "later");
        fine(luge_drop_path(txn, luge_str("gone"), NULL));
        commit(txn);
        luge_txn *holder = begin(r, LUGE_TURN);
        put(holder, tree_of(holder, "f/x"), "k", "never seen");
        assert_int_equal(in_child(look_from_elsewhere, r), 0);
        luge_abort(holder);
        sound(r);
        assert_int_equal(in_child(look_from_elsewhere, r), 0);
        sound(r);
    }
}

/* A snapshot that was replayed without the turn has pins of its own numbers; a
 * transaction that begins there takes other ones. */
static int fork_elsewhere(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    luge_tree t, a, b, base;
    luge_bytes value;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    CHILD_ANSWERS(0, luge_tree_open(txn, luge_str("ab"), 0, &t));
    CHILD_ANSWERS(0, luge_tree_open(txn, luge_str("f"), 0, &a));
    CHILD_ANSWERS(0, luge_tree_open(txn, luge_str("g"), 0, &b));
    CHILD_ANSWERS(0, luge_put(txn, t, luge_str("k"), luge_str("third")));
    CHILD_ANSWERS(0, luge_fork(txn, luge_str("ab"), luge_str("h"), NULL));
    CHILD_ANSWERS(0, luge_fork_base(txn, a, b, &base));
    CHILD_ANSWERS(0, luge_get(txn, base, luge_str("k"), &value));
    CHILD_MUST(is(value, "first"));
    luge_abort(txn);
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static void a_fork_on_what_was_replayed(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    some_trees(r);
    static const char *const values[] = {"first", "second"};
    for (int i = 0; i < 2; i++) {
        luge_txn *txn = begin(r, LUGE_WRITE);
        put(txn, tree_of(txn, "ab"), "k", values[i]);
        fork_to(txn, "ab", i ? "g" : "f", 1);
        commit(txn);
    }
    luge_txn *holder = begin(r, LUGE_TURN);
    assert_int_equal(in_child(fork_elsewhere, r), 0);
    luge_abort(holder);
    assert_int_equal(in_child(fork_elsewhere, r), 0);
    sound(r);
}

int main(void)
{
#define WITH(test)                                                            \
    cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_path_is_what_lies_under_it), WITH(refusals_change_nothing),
        WITH(families_end_in_any_order), WITH(a_blind_fork_is_of_what_lands),
        WITH(what_was_read_of_a_fork_was_read), WITH(names_are_read),
        WITH(savepoints_undo_forks), WITH(a_snapshot_cannot_be_changed),
        WITH(snapshots_say_what_they_are),
        WITH(readers_keep_what_was_dropped),
        WITH(a_change_and_the_end_of_its_snapshot), WITH(differences),
        WITH(merges),
        WITH(what_has_no_base),
        WITH(a_tree_that_shrank_to_an_old_page), WITH(others_replay_forks),
        WITH(a_fork_on_what_was_replayed),
    };
    return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
