/* test/test_compact.c -- what luge_compact.h promises, in one process.
 * Not here: writers meanwhile (crash_backup.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <sys/stat.h>

#include "luge_compact.h"
#include "luge_fork.h"

#undef fail                     /* base.h has one, too */
#include "os/os.h"

/* Keys 0 .. COUNT of a tree; every STEP-th only. */
static void fill(struct rig *r, const char *name, int count, int step,
                 size_t size)
{
    static char value[100000];
    char key[32];
    luge_txn *txn = begin(r, LUGE_TURN | LUGE_TXN_ASYNC);
    luge_tree tree = tree_make(txn, name);
    for (int i = 0; i < count; i += step) {
        snprintf(key, sizeof key, "%08d", i);
        pattern_fill(value, size, (uint64_t)i * 31 + size);
        fine(luge_put(txn, tree, luge_str(key), luge_bytes_of(value, size)));
    }
    fine(luge_commit(txn));
}

static void drop(struct rig *r, const char *name)
{
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_drop_path(txn, luge_str(name), NULL));
    fine(luge_commit(txn));
}

static struct stat page_file(struct rig *r)
{
    char path[700];
    struct stat s;
    snprintf(path, sizeof path, "%s/db", r->path);
    assert_int_equal(stat(path, &s), 0);
    return s;
}

static uint64_t length(struct rig *r)
{
    return (uint64_t)page_file(r).st_size;
}

/* Bytes of the page file that are not holes. */
static uint64_t blocks(struct rig *r)
{
    return (uint64_t)page_file(r).st_blocks * 512;
}

static int (*honest_punch)(struct os_file *file, u64 offset, u64 size);
static int punches, punch_answers;

static int punch_counted(struct os_file *file, u64 offset, u64 size)
{
    punches++;
    return punch_answers ? punch_answers : honest_punch(file, offset, size);
}

/* What has been given back is left alone, and a disk too full for a hole does
 * not make a checkpoint fail. */
static void holes_are_made_once(void **state)
{
    struct rig *r = *state;
    honest_punch = os_native()->punch;
    os_native()->punch = punch_counted;
    fill(r, "gone", 40000, 1, 100);
    fill(r, "kept", 40000, 1, 100);
    fine(luge_checkpoint(r->db));
    punch_answers = LUGE_NOSPACE;
    drop(r, "gone");
    punches = 0;
    fine(luge_checkpoint(r->db));
    assert_true(punches > 0);
    punch_answers = 0;
    uint64_t before = blocks(r);
    rig_close(r);
    assert_true(blocks(r) < before / 4 * 3);
    punches = 0;
    rig_open(r, NULL);
    rig_reopen(r);
    fine(luge_checkpoint(r->db));
    os_native()->punch = honest_punch;
    assert_int_equal(punches, 0);
}

/* What is left stands behind what goes. */
static void the_file_shrinks(void **state)
{
    struct rig *r = *state;
    struct luge_compacted done;
    fill(r, "first", 40000, 1, 100);
    fine(luge_checkpoint(r->db));
    fill(r, "second", 4000, 1, 100);
    fine(luge_checkpoint(r->db));
    drop(r, "first");
    uint64_t sum = checksum(r), before = length(r);
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_int_equal(checksum(r), sum);
    assert_int_equal(done.after_bytes, length(r));
    assert_true(before > 5000000 && done.after_bytes < before / 5);
    assert_true(done.moved_bytes > 400000 && done.slices);
    fine(luge_check(r->db, NULL, NULL));
    /* again there is next to nothing to do, and afterwards all goes on */
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_true(done.after_bytes <= done.before_bytes + 65536);
    fill(r, "third", 4000, 1, 100);
    rig_reopen(r);
    fine(luge_check(r->db, NULL, NULL));
}

/* Half of each leaf is empty; values that are pages of their own, too. */
static void large_values_move(void **state)
{
    struct rig *r = *state;
    struct luge_compacted done;
    fill(r, "first", 200, 1, 50000);
    fill(r, "second", 100, 1, 50000);
    fill(r, "third", 30, 1, 9000);
    fine(luge_checkpoint(r->db));
    drop(r, "first");
    uint64_t sum = checksum(r), before = length(r);
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_int_equal(checksum(r), sum);
    assert_true(before > 15000000 && length(r) < 6500000);
    fine(luge_check(r->db, NULL, NULL));
}

/* The same keys in an order that leaves leaves as full as chance does. */
static void scatter(struct rig *r, const char *name, int count)
{
    luge_txn *txn = begin(r, LUGE_TURN | LUGE_TXN_ASYNC);
    luge_tree tree = tree_make(txn, name);
    char key[32], value[100];
    for (int i = 0; i < count; i++) {
        int n = (int)((uint64_t)i * 7919 % (uint64_t)count);
        snprintf(key, sizeof key, "%08d", n);
        pattern_fill(value, sizeof value, (uint64_t)n);
        fine(luge_put(txn, tree, luge_str(key),
                      luge_bytes_of(value, sizeof value)));
    }
    fine(luge_commit(txn));
}

static struct luge_tree_stats figures(struct rig *r, const char *name)
{
    struct luge_tree_stats stats;
    luge_txn *txn = begin(r, LUGE_READ);
    luge_tree tree;
    fine(luge_tree_open(txn, luge_str(name), 0, &tree));
    fine(luge_tree_stat(txn, tree, &stats));
    luge_abort(txn);
    return stats;
}

/* As a load in order leaves them, and again there is nothing to do. */
static void leaves_become_full(void **state)
{
    enum { COUNT = 30000 };
    struct rig *r = *state;
    struct luge_compacted done;
    fill(r, "in order", COUNT, 1, 100);
    scatter(r, "scattered", COUNT);
    uint64_t sum = checksum(r);
    uint64_t least = figures(r, "in order").leaf_pages;
    uint64_t before = figures(r, "scattered").leaf_pages;
    assert_true(before > least * 11 / 10);
    fine(luge_compact(r->db, NULL, NULL, &done));
    fine(luge_check(r->db, NULL, NULL));
    assert_int_equal(checksum(r), sum);
    assert_true(done.packed_bytes > 0);
    struct luge_tree_stats after = figures(r, "scattered");
    assert_int_equal(after.count, COUNT);
    /* parents of four leaves (make hard) leave one not full each */
    bool tiny = least > COUNT / 8;
    assert_true(after.leaf_pages <= (tiny ? before : least + least / 50));
    fine(luge_compact(r->db, NULL, NULL, &done));
    if (!tiny) assert_int_equal(done.packed_bytes, 0);
    /* and nothing stands in the way of more */
    scatter(r, "scattered", COUNT + 1000);
    fine(luge_check(r->db, NULL, NULL));
    rig_reopen(r);
    fine(luge_check(r->db, NULL, NULL));
}

/* It would not become less while somebody else holds the old ones. */
static void what_is_shared_is_not_packed(void **state)
{
    struct rig *r = *state;
    struct luge_compacted done;
    scatter(r, "scattered", 30000);
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot(txn, luge_str("scattered"), luge_str("kept")));
    fine(luge_commit(txn));
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_int_equal(done.packed_bytes, 0);
    txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot_drop(txn, luge_str("kept")));
    fine(luge_commit(txn));
    /* a reader sees what he saw, wherever it is */
    luge_txn *reader = begin(r, LUGE_READ);
    luge_tree tree;
    luge_bytes value;
    char expected[100];
    fine(luge_tree_open(reader, luge_str("scattered"), 0, &tree));
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_true(done.packed_bytes > 0);
    for (int i = 0; i < 30000; i += 7) {
        char key[32];
        snprintf(key, sizeof key, "%08d", i);
        pattern_fill(expected, sizeof expected, (uint64_t)i);
        fine(luge_get(reader, tree, luge_str(key), &value));
        assert_int_equal(value.size, sizeof expected);
        assert_memory_equal(value.data, expected, sizeof expected);
    }
    luge_abort(reader);
    fine(luge_check(r->db, NULL, NULL));
}

/* Long keys that begin alike, and values of all sizes. */
static void pack_all_sizes(struct rig *r, int rounds)
{
    struct luge_compacted done;
    static char value[9000];
    uint64_t random = 20261129;
    char key[512];
    for (int round = 0; round < rounds; round++) {
        luge_txn *txn = begin(r, LUGE_TURN | LUGE_TXN_ASYNC);
        luge_tree tree = tree_make(txn, "mixed");
        for (int i = 0; i < 400; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            int n = (int)(random >> 33) % 20000;
            int size = snprintf(key, sizeof key, "%04d/%0*d", n % 97,
                                4 + n % 300, n);
            size_t bytes = random % 50 ? random % 400 : random % sizeof value;
            pattern_fill(value, bytes, random);
            if (n % 5 == round % 5)
                (void)luge_del(txn, tree, luge_bytes_of(key, (size_t)size));
            else
                fine(luge_put(txn, tree, luge_bytes_of(key, (size_t)size),
                              luge_bytes_of(value, bytes)));
        }
        fine(luge_commit(txn));
        uint64_t sum = checksum(r);
        uint64_t before = figures(r, "mixed").leaf_pages;
        fine(luge_compact(r->db, NULL, NULL, &done));
        fine(luge_check(r->db, NULL, NULL));
        assert_int_equal(checksum(r), sum);
        assert_true(figures(r, "mixed").leaf_pages <= before);
    }
}

static void all_sizes_are_packed(void **state)
{
    pack_all_sizes(*state, 20);
}

static void large_pages_are_packed(void **state)
{
    struct rig *r = *state;
    struct luge_options o = {.page_bytes = 65536};
    struct luge_compacted done;
    rig_open(r, &o);
    scatter(r, "scattered", 100000);
    uint64_t sum = checksum(r);
    uint64_t before = figures(r, "scattered").leaf_pages;
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_int_equal(checksum(r), sum);
    uint64_t after = figures(r, "scattered").leaf_pages;
    assert_true(done.packed_bytes > 0 && after < before);
    fine(luge_check(r->db, NULL, NULL));
    pack_all_sizes(r, 10);
}

/* Parents whose two leaves would fit into one, leaves that hold three items and
 * have room for most of a fourth: nobody works for nothing. */
static void what_cannot_be_helped_is_left(void **state)
{
    struct rig *r = *state;
    struct luge_compacted done;
    char name[16];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "small %d", i);
        fill(r, name, 60, 1, 100);
        luge_txn *txn = begin(r, LUGE_TURN | LUGE_TXN_ASYNC);
        luge_tree tree = tree_make(txn, name);
        for (int k = 0; k < 60; k++) {
            char key[32];
            if (k % 3 == 0) continue;
            snprintf(key, sizeof key, "%08d", k);
            fine(luge_del(txn, tree, luge_str(key)));
        }
        fine(luge_commit(txn));
    }
    fill(r, "large", 3000, 1, 1006);
    fill(r, "half", 3000, 1, 1900);
    fine(luge_compact(r->db, NULL, NULL, &done));
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_int_equal(done.packed_bytes, 0);
    fine(luge_check(r->db, NULL, NULL));
}

static int (*honest_write)(struct os_file *file, const void *from, size_t size,
                           u64 offset);
static int (*honest_writev)(struct os_file *file, const luge_bytes *pieces,
                            unsigned count, u64 offset);
static _Atomic u64 no_further;

static int write_until(struct os_file *file, const void *from, size_t size,
                       u64 offset)
{
    return offset >= no_further ? LUGE_NOSPACE
                                : honest_write(file, from, size, offset);
}

static int writev_until(struct os_file *file, const luge_bytes *pieces,
                        unsigned count, u64 offset)
{
    return offset >= no_further ? LUGE_NOSPACE
                                : honest_writev(file, pieces, count, offset);
}

/* Then what is free is given back all the same; unless it is in so many pieces
 * (make hard) that the list of them has no room before the end. */
static void a_full_disk_has_no_room_to_pack(void **state)
{
    struct rig *r = *state;
    struct luge_compacted done;
    /* before there is a caretaker, who writes, too */
    no_further = UINT64_MAX;
    honest_write = os_native()->write;
    honest_writev = os_native()->writev;
    os_native()->write = write_until;
    os_native()->writev = writev_until;
    rig_open(r, NULL);
    fill(r, "gone", 30000, 1, 100);
    fine(luge_checkpoint(r->db));
    scatter(r, "scattered", 200000);
    fine(luge_checkpoint(r->db));
    drop(r, "gone");
    fine(luge_checkpoint(r->db));
    uint64_t sum = checksum(r), before = length(r);
    uint64_t leaves = figures(r, "scattered").leaf_pages;
    no_further = before;
    int rc = luge_compact(r->db, NULL, NULL, &done);
    no_further = UINT64_MAX;
    bool pieces = leaves > 200000 / 8;
    answers(pieces && rc ? LUGE_NOSPACE : 0, rc);
    assert_int_equal(checksum(r), sum);
    assert_true(rc || length(r) < before);
    fine(luge_check(r->db, NULL, NULL));
    rig_reopen(r);
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_true(figures(r, "scattered").leaf_pages < leaves);
    assert_int_equal(checksum(r), sum);
    fine(luge_check(r->db, NULL, NULL));
    rig_close(r);
    os_native()->write = honest_write;
    os_native()->writev = honest_writev;
}

/* What snapshots and forks share stays; blocks come back all the same. */
static void shared_pages_stay(void **state)
{
    struct rig *r = *state;
    struct luge_compacted done;
    fill(r, "first", 40000, 1, 100);
    fill(r, "second", 4000, 1, 100);
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_fork(txn, luge_str("second"), luge_str("fork"), NULL));
    fine(luge_snapshot(txn, luge_str("second"), luge_str("kept")));
    fine(luge_commit(txn));
    fill(r, "fork", 4000, 400, 10);
    fine(luge_checkpoint(r->db));
    uint64_t all = blocks(r);
    drop(r, "first");
    uint64_t sum = checksum(r);
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_int_equal(checksum(r), sum);
    fine(luge_check(r->db, NULL, NULL));
    /* first had ten of eleven records, however many a node holds */
    assert_true(blocks(r) < all / 4);
    txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot_drop(txn, luge_str("kept")));
    fine(luge_drop_path(txn, luge_str("fork"), NULL));
    fine(luge_commit(txn));
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_true(done.after_bytes < all / 4);
    fine(luge_check(r->db, NULL, NULL));
}

/* A patch, and the root of its own that it lost its pin for. */
static void patches_move(void **state)
{
    struct rig *r = *state;
    struct luge_compacted done;
    fill(r, "first", 40000, 1, 100);
    fill(r, "second", 4000, 1, 100);
    fine(luge_checkpoint(r->db));
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot(txn, luge_str("second"), luge_str("kept")));
    fine(luge_commit(txn));
    fill(r, "second", 3, 1, 50);
    fine(luge_checkpoint(r->db));
    drop(r, "first");
    uint64_t sum = checksum(r), all = length(r);
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_int_equal(checksum(r), sum);
    fine(luge_check(r->db, NULL, NULL));
    assert_true(done.moved_bytes > 0);
    txn = begin(r, LUGE_WRITE);
    fine(luge_snapshot_drop(txn, luge_str("kept")));
    fine(luge_commit(txn));
    sum = checksum(r);
    fine(luge_compact(r->db, NULL, NULL, &done));
    assert_int_equal(checksum(r), sum);
    fine(luge_check(r->db, NULL, NULL));
    assert_true(length(r) < all / 4);
}

static int stop(void *context, const struct luge_compacted *so_far)
{
    uint32_t *calls = context;
    assert_true(so_far->slices > 0);
    ++*calls;
    return LUGE_LIMIT;
}

static void it_can_be_stopped(void **state)
{
    struct rig *r = *state;
    uint32_t calls = 0;
    struct luge_compacted done;
    fill(r, "first", 40000, 1, 100);
    fill(r, "second", 4000, 1, 100);
    fine(luge_checkpoint(r->db));
    drop(r, "first");
    uint64_t sum = checksum(r);
    answers(LUGE_LIMIT, luge_compact(r->db, stop, &calls, &done));
    assert_int_equal(calls, 1);
    assert_int_equal(checksum(r), sum);
    fine(luge_check(r->db, NULL, NULL));
    rig_close(r);
    struct luge_options only = {.flags = LUGE_READ_ONLY};
    rig_open(r, &only);
    answers(LUGE_READONLY, luge_compact(r->db, NULL, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
        TEST(the_file_shrinks), TEST(holes_are_made_once),
        TEST(large_values_move), TEST(shared_pages_stay),
        TEST(patches_move), TEST(it_can_be_stopped),
        TEST(leaves_become_full), TEST(what_is_shared_is_not_packed),
        TEST(all_sizes_are_packed), TEST(what_cannot_be_helped_is_left),
#define CLOSED(f)                                                             \
    cmocka_unit_test_setup_teardown(f, rig_setup_closed, rig_teardown)
        CLOSED(a_full_disk_has_no_room_to_pack),
        CLOSED(large_pages_are_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
