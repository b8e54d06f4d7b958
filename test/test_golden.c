/* test/test_golden.c -- the database that test/data/format-N.tar.gz holds.
 *
 *   test_golden                makes it and looks at it
 *   test_golden --write DIR    makes it for tools/golden (make golden)
 *
 * Holds: every kind of page and of record, a checkpoint and a log behind it, as
 * a process left it that was killed; numbers given out, and a consumer.
 *   G1  What was made is what pair() says, after a recovery and after a close.
 * Not here: reading an old one (format.sh), the offsets (static asserts beside
 * the structures).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <signal.h>
#include <unistd.h>

#include "luge_feed.h"
#include "luge_fork.h"

/* "cleared" is empty, "dropped" is not there, "renamed" had another name. */
enum { MAIN, RENAMED, NEW, CLEARED, DROPPED, TREES };
enum { ROUNDS = 4, PAIRS = 30, LARGE = 30000, KEY_ROOM = 600 };

static const char *const names[TREES] = {"main", "songs/before", "new",
                                         "cleared", "dropped"};

/* Pair I of tree T in round R: keys that fill pages soon, one large value. */
static void pair(int t, int r, int i, char *key, luge_bytes *k, char *value,
                 luge_bytes *v)
{
    int n = snprintf(key, KEY_ROOM, "%03d/%d/", i * 7 % 100, r);
    size_t size = t == RENAMED ? (size_t)(100 + i * 9) : 0;
    memset(key + n, 'k', size);
    *k = luge_bytes_of(key, (size_t)n + size);
    size = i == 11 && t < NEW ? LARGE : (size_t)(i * 3);
    memset(value, 'a' + (t * 5 + r + i) % 26, size);
    *v = luge_bytes_of(value, size);
}

static int fill(luge_txn *txn, luge_tree *trees, int r)
{
    char *key = grab(KEY_ROOM), *value = grab(LARGE);
    luge_bytes k, v;
    int rc = 0;
    for (int t = 0; t < TREES && !rc; t++) {
        if (!r)
            rc = luge_tree_open(txn, luge_str(names[t]), LUGE_TREE_CREATE,
                                &trees[t]);
        for (int i = 0; i < PAIRS && !rc; i++) {
            pair(t, r, i, key, &k, value, &v);
            rc = luge_put(txn, trees[t], k, v);
        }
    }
    free(key);
    free(value);
    return rc;
}

/* Under a snapshot: of "main" one pair is put again, another is taken out. */
static int patch(luge_db *db)
{
    char *key = grab(KEY_ROOM), *value = grab(LARGE);
    luge_bytes k, v, soon = luge_str("soon gone");
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_WRITE, &txn);
    if (!rc) rc = luge_put(txn, LUGE_MAIN, soon, soon);
    if (!rc) rc = luge_snapshot(txn, luge_str("main"), luge_str("kept"));
    if (!rc) rc = luge_commit(txn);
    if (!rc) rc = luge_begin(db, LUGE_WRITE, &txn);
    pair(MAIN, 0, 1, key, &k, value, &v);
    if (!rc) rc = luge_put(txn, LUGE_MAIN, k, v);
    if (!rc) rc = luge_del(txn, LUGE_MAIN, soon);
    if (!rc) rc = luge_commit(txn);
    free(key);
    free(value);
    return rc;
}

static int finish(luge_txn *txn, const luge_tree *trees)
{
    luge_bytes from = luge_str("1"), to = luge_str("2");
    int rc = luge_tree_rename(txn, trees[RENAMED], luge_str("songs/renamed"));
    if (!rc) rc = luge_tree_clear(txn, trees[CLEARED]);
    if (!rc) rc = luge_tree_drop(txn, trees[DROPPED]);
    if (!rc) rc = luge_del_range(txn, trees[NEW], &from, &to, NULL);
    return rc;
}

/* In a child that dies of it. */
static int make(struct rig *r)
{
    luge_tree trees[TREES];
    luge_db *db;
    luge_txn *txn;
    uint64_t id;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    for (int i = 0; i < ROUNDS; i++) {
        CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
        CHILD_ANSWERS(0, fill(txn, trees, i));
        if (i == 1)
            CHILD_ANSWERS(0, luge_consumer_create(txn, luge_str("reader"),
                                                  luge_txn_seq(txn)));
        CHILD_ANSWERS(0, luge_commit(txn));
        if (i != 2) continue;
        CHILD_ANSWERS(0, patch(db));
        CHILD_ANSWERS(0, luge_checkpoint(db));
    }
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    CHILD_ANSWERS(0, finish(txn, trees));
    CHILD_ANSWERS(0, luge_commit(txn));
    CHILD_ANSWERS(0, luge_next_id(db, &id));
    kill(getpid(), SIGKILL);
    return 1;
}

static void look_at_tree(luge_txn *txn, int t, const char *name)
{
    char *key = grab(KEY_ROOM), *value = grab(LARGE);
    luge_bytes k, v, seen;
    uint64_t count, wanted = 0;
    luge_tree tree;
    fine(luge_tree_open(txn, luge_str(name), 0, &tree));
    fine(luge_tree_count(txn, tree, &count));
    for (int i = 0; i < ROUNDS * PAIRS; i++) {
        pair(t, i / PAIRS, i % PAIRS, key, &k, value, &v);
        bool gone = t == CLEARED || (t == NEW && *key == '1');
        answers(gone ? LUGE_NOTFOUND : 0, luge_get(txn, tree, k, &seen));
        wanted += !gone;
        if (gone) continue;
        assert_int_equal(seen.size, v.size);
        if (v.size) assert_memory_equal(seen.data, v.data, v.size);
    }
    assert_int_equal(count, wanted);
    free(key);
    free(value);
}

static void the_golden_database(void **state)
{
    struct rig *r = *state;
    struct luge_consumer consumer;
    luge_tree tree;
    uint64_t id;
    assert_int_equal(in_child(make, r), 1000 + SIGKILL);
    for (int round = 0; round < 2; round++) {
        rig_open(r, NULL);
        fine(luge_check(r->db, NULL, NULL));
        luge_txn *txn = begin(r, LUGE_READ);
        look_at_tree(txn, MAIN, "main");
        look_at_tree(txn, RENAMED, "songs/renamed");
        look_at_tree(txn, NEW, "new");
        look_at_tree(txn, CLEARED, "cleared");
        answers(LUGE_NOTFOUND, luge_tree_open(txn, luge_str("dropped"), 0,
                                              &tree));
        fine(luge_consumer_get(txn, luge_str("reader"), &consumer));
        luge_abort(txn);
        fine(luge_next_id(r->db, &id));
        assert_true(id > 2);
        rig_close(r);
    }
}

static void write_it(const char *path)
{
    struct rig r = {0};
    snprintf(r.path, sizeof r.path, "%s", path);
    if (in_child(make, &r) != 1000 + SIGKILL) die("it could not be made");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_golden_database, rig_setup_closed,
                                        rig_teardown),
    };
    if (argc == 3 && !strcmp(argv[1], "--write")) {
        write_it(argv[2]);
        return 0;
    }
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
