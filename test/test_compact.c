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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
