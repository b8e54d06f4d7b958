/* test/test_join.c -- processes that come while versions are in the log only.
 *
 * Holds: whoever begins a snapshot then publishes the versions, waits for whom
 * does it, or replays the log into his own memory while an application has the
 * turn (txn/head.c); and what he reads there stays.  Whoever had made them goes
 * on, whatever became of the pages that they stood on.
 * Not here: opening (test_open.c), deaths at random (crash_alone.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#undef fail                     /* base.h has one, too */

#include "luge_compact.h"
#include "os/os.h"

enum {
    LOG_BYTES = 150 << 20,      /* more segments than a shadow may hold */
    VALUE_BYTES = 1 << 20,
    JOINERS = 8,
    HOLD_MS = 300,
};

static const struct luge_options all_in_log = {
    .durability = LUGE_ASYNC, .checkpoint_bytes = (uint64_t)1 << 40,
    .cache_bytes = (uint64_t)1 << 30, .sync_interval_ms = 60000,
};

static luge_bytes large(uint64_t n)
{
    static uint8_t value[VALUE_BYTES];
    pattern_fill(value, sizeof value, n);
    return luge_bytes_of(value, sizeof value);
}

/* The key "large" holds the number of the last of them. */
static int fill_log(luge_db *db, uint64_t bytes)
{
    for (uint64_t n = 1; n <= bytes / VALUE_BYTES; n++) {
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("large"),
                             large(n)};
        CHILD_ANSWERS(0, luge_apply(db, 0, &op, 1));
    }
    return 0;
}

static int look(luge_db *db, uint64_t n)
{
    luge_txn *txn;
    luge_bytes v, good = large(n);
    CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &txn));
    CHILD_ANSWERS(0, luge_get(txn, LUGE_MAIN, luge_str("large"), &v));
    CHILD_MUST(v.size == good.size && !memcmp(v.data, good.data, v.size));
    luge_abort(txn);
    return 0;
}

static void *shared_page(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

static pid_t child(int (*body)(struct rig *r, _Atomic int *stage),
                   struct rig *r, _Atomic int *stage)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) return pid;
    alarm(120);
    _exit(body(r, stage));
}

static void ended_well(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void wait_for(_Atomic int *stage, int n)
{
    for (int i = 0; i < 60000 && *stage < n; i++) nap_us(1000);
    assert_true(*stage >= n);
}

/* ----------------------------------------------------------- many come -- */

static int fill_and_die(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, &all_in_log, &db));
    CHILD_ANSWERS(0, fill_log(db, LOG_BYTES));
    kill(getpid(), SIGKILL);
    return 1;
}

static int join(struct rig *r, _Atomic int *stage)
{
    luge_db *db;
    (void)stage;
    CHILD_ANSWERS(0, luge_open(r->path, &all_in_log, &db));
    CHILD_ANSWERS(0, look(db, LOG_BYTES / VALUE_BYTES));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* One of them publishes; the others wait for him, for no application has the
 * turn. */
static void many_come_after_a_death(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    pid_t pids[JOINERS];
    assert_int_equal(in_child(fill_and_die, r), 1000 + SIGKILL);
    for (int i = 0; i < JOINERS; i++) pids[i] = child(join, r, NULL);
    for (int i = 0; i < JOINERS; i++) ended_well(pids[i]);
}

/* ------------------------------------------------------ a turn is held -- */

static int join_and_tell(struct rig *r, _Atomic int *stage)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, &all_in_log, &db));
    *stage = 1;
    CHILD_ANSWERS(0, look(db, LOG_BYTES / VALUE_BYTES));
    *stage = 2;
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* More log than a shadow may hold: it waits for the turn. */
static void a_long_log_behind_a_turn(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    _Atomic int *stage = shared_page();
    rig_open(r, &all_in_log);
    assert_int_equal(fill_log(r->db, LOG_BYTES), 0);
    luge_txn *holder = begin(r, LUGE_TURN);
    pid_t pid = child(join_and_tell, r, stage);
    wait_for(stage, 1);
    nap_us(HOLD_MS * 1000);
    assert_int_equal(*stage, 1);
    luge_abort(holder);
    ended_well(pid);
    munmap(stage, 4096);
}

/* -------------------------------------------------- what it reads stays -- */

enum { SHORT_LOG_BYTES = 3 << 20 };

static int keep_a_shadow(struct rig *r, _Atomic int *stage)
{
    luge_db *db;
    luge_txn *txn;
    luge_bytes v, good;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &txn));
    CHILD_ANSWERS(0, luge_get(txn, LUGE_MAIN, luge_str("large"), &v));
    *stage = 1;
    while (*stage < 2) nap_us(1000);
    good = large(SHORT_LOG_BYTES / VALUE_BYTES);
    CHILD_MUST(v.size == good.size && !memcmp(v.data, good.data, v.size));
    luge_abort(txn);
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* Large values of a shadow stand in the log, which is used again meanwhile. */
static void a_shadow_outlives_its_log(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    struct luge_options o = all_in_log;
    _Atomic int *stage = shared_page();
    o.log_keep_bytes = 1;
    rig_open(r, &o);
    assert_int_equal(fill_log(r->db, SHORT_LOG_BYTES), 0);
    luge_txn *holder = begin(r, LUGE_TURN);
    pid_t pid = child(keep_a_shadow, r, stage);
    wait_for(stage, 1);
    luge_abort(holder);
    for (int i = 0; i < 8; i++) {
        fine(luge_checkpoint(r->db));
        for (int k = 0; k < 8; k++) commit_put(r, "other", "value");
        assert_int_equal(fill_log(r->db, 2 * SHORT_LOG_BYTES), 0);
    }
    *stage = 2;
    ended_well(pid);
    munmap(stage, 4096);
}

/* ------------------------------------------- a record that never landed -- */

static int put_one(const char *path, const char *key, unsigned flags)
{
    luge_db *db;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str(key), luge_str("v")};
    CHILD_ANSWERS(0, luge_open(path, &all_in_log, &db));
    CHILD_ANSWERS(0, luge_apply(db, flags, &op, 1));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static int copy_into(const char *from, const char *to)
{
    char bytes[4096];
    size_t n;
    FILE *in = fopen(from, "r"), *out = fopen(to, "r+");
    CHILD_MUST(in && out);
    while ((n = fread(bytes, 1, sizeof bytes, in)))
        CHILD_MUST(fwrite(bytes, 1, n, out) == n);
    fclose(in);
    CHILD_MUST(!fclose(out));
    return 0;
}

static int die_with_the_turn(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    CHILD_ANSWERS(0, luge_open(r->path, &all_in_log, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_TURN, &txn));
    kill(getpid(), SIGKILL);
    return 1;
}

/* Somebody dies with the turn, and a record is in our log's file behind the
 * end, as if he had appended it: that of a copy, whose log has the same end. */
static int be_beside_one_who_died(struct rig *r)
{
    luge_db *db;
    char copy[700], from[800], to[800];
    struct luge_op before = {LUGE_OP_PUT, LUGE_MAIN, luge_str("before"),
                             luge_str("v")};
    struct luge_op after = {LUGE_OP_PUT, LUGE_MAIN, luge_str("after"),
                            luge_str("v")};
    snprintf(copy, sizeof copy, "%s/copy", r->base);
    snprintf(from, sizeof from, "%s/log/0000000001", copy);
    snprintf(to, sizeof to, "%s/log/0000000001", r->path);
    CHILD_ANSWERS(0, luge_open(r->path, &all_in_log, &db));
    CHILD_ANSWERS(0, luge_apply(db, LUGE_TXN_FULL, &before, 1));
    tree_copy(r->path, copy);
    CHILD_MUST(in_child(die_with_the_turn, r) == 1000 + SIGKILL);
    CHILD_MUST(!put_one(copy, "never", LUGE_TXN_FULL));
    CHILD_MUST(!copy_into(from, to));
    CHILD_ANSWERS(0, luge_apply(db, LUGE_TXN_ASYNC, &after, 1));
    kill(getpid(), SIGKILL);
    return 1;
}

/* The next commit takes its place, though it only goes to shared memory. */
static void a_record_that_never_landed(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    assert_int_equal(in_child(be_beside_one_who_died, r), 1000 + SIGKILL);
    rig_open(r, NULL);
    now_holds(r, LUGE_MAIN, "before", "v");
    now_holds(r, LUGE_MAIN, "never", NULL);
    now_holds(r, LUGE_MAIN, "after", "v");
}

static int writes_left;

static int write_and_die(struct os_file *f, const void *from, size_t size,
                         u64 offset)
{
    int rc = os_native()->write(f, from, size, offset);
    if (writes_left && !--writes_left) kill(getpid(), SIGKILL);
    return rc;
}

/* It comes when only shared memory has our newest record, writes that to the
 * log's file and its own behind it, and dies before it flips. */
static int die_behind_a_record(struct rig *r)
{
    struct os os = *os_native();
    struct luge_options o = all_in_log;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("never"),
                         luge_str("v")};
    luge_db *db;
    os.write = write_and_die;
    o.platform = &os;
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    writes_left = 2;
    CHILD_ANSWERS(0, luge_apply(db, 0, &op, 1));
    return 1;
}

static int be_beside_a_blind_one(struct rig *r)
{
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("many"),
                         luge_str("v")};
    luge_txn *txn;
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, &all_in_log, &db));
    CHILD_ANSWERS(0, luge_checkpoint(db));
    for (int i = 0; i < 100; i++) CHILD_ANSWERS(0, luge_apply(db, 0, &op, 1));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_TURN, &txn));
    CHILD_ANSWERS(0, luge_put(txn, LUGE_MAIN, luge_str("before"),
                              luge_str("v")));
    CHILD_ANSWERS(0, luge_commit(txn));
    CHILD_MUST(in_child(die_behind_a_record, r) == 1000 + SIGKILL);
    op.key = luge_str("after");
    CHILD_ANSWERS(0, luge_apply(db, 0, &op, 1));
    kill(getpid(), SIGKILL);
    return 1;
}

/* Nobody had a version to make for that one, but all the same (txn/blind.c). */
static void a_blind_one_that_never_landed(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    assert_int_equal(in_child(be_beside_a_blind_one, r), 1000 + SIGKILL);
    rig_open(r, NULL);
    now_holds(r, LUGE_MAIN, "before", "v");
    now_holds(r, LUGE_MAIN, "never", NULL);
    now_holds(r, LUGE_MAIN, "after", "v");
}

/* ----------------------------------------------- what others made of it -- */

enum { TREES = 200, GONE = 70, SHIFTS = 10 };

static luge_bytes tree_name(int n)
{
    static char name[32];
    snprintf(name, sizeof name, "tree-%05d", n);
    return luge_str(name);
}

static int put_in_trees(luge_db *db, int from, int to)
{
    luge_txn *txn;
    luge_tree tree;
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    for (int i = from; i < to; i++) {
        CHILD_ANSWERS(0, luge_tree_open(txn, tree_name(i), LUGE_TREE_CREATE,
                                        &tree));
        CHILD_ANSWERS(0, luge_put(txn, tree, luge_str("key"),
                                  luge_str("value")));
    }
    return luge_commit(txn);
}

static int drop_trees(luge_db *db, int from, int to)
{
    luge_txn *txn;
    luge_tree tree;
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    for (int i = from; i < to; i++) {
        CHILD_ANSWERS(0, luge_tree_open(txn, tree_name(i), 0, &tree));
        CHILD_ANSWERS(0, luge_tree_drop(txn, tree));
    }
    return luge_commit(txn);
}

/* *STAGE is the first tree of all. */
static int change_all_and_compact(struct rig *r, _Atomic int *stage)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, &all_in_log, &db));
    for (int i = 0; i < 3; i++) {
        CHILD_ANSWERS(0, put_in_trees(db, *stage, *stage + TREES));
        CHILD_ANSWERS(0, luge_checkpoint(db));
    }
    CHILD_ANSWERS(0, luge_compact(db, NULL, NULL, NULL));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* We changed trees, dropped them, and published nothing; another has published
 * all of it since, and given back the pages that it stood on.  To let go of
 * what is left of it here none of them may be read: where the records of
 * dropped trees were there may be a page of the file, with something else in it
 * by now.  It depends on how the records lie in pages: a few ways are tried,
 * and crash_storm, with four keys to a page, finds the rest. */
static void our_own_is_forgotten(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    _Atomic int *first = shared_page();
    rig_open(r, &all_in_log);
    for (int i = 0; i < SHIFTS; i++) {
        int gone = *first + 50 + 4 * i;
        assert_int_equal(put_in_trees(r->db, *first, *first + TREES), 0);
        fine(luge_checkpoint(r->db));
        assert_int_equal(put_in_trees(r->db, gone, gone + GONE), 0);
        assert_int_equal(drop_trees(r->db, gone, gone + GONE), 0);
        ended_well(child(change_all_and_compact, r, first));
        assert_int_equal(put_in_trees(r->db, *first, *first + 1), 0);
        fine(luge_check(r->db, NULL, NULL));
        *first += TREES;
    }
    munmap(first, 4096);
}

int main(void)
{
#define CLOSED(test)                                                          \
    cmocka_unit_test_setup_teardown(test, rig_setup_closed, rig_teardown)
    const struct CMUnitTest tests[] = {
        CLOSED(many_come_after_a_death), CLOSED(a_long_log_behind_a_turn),
        CLOSED(a_shadow_outlives_its_log),
        CLOSED(a_record_that_never_landed),
        CLOSED(a_blind_one_that_never_landed),
        CLOSED(our_own_is_forgotten),
    };
    return cmocka_run_group_tests_name("join", tests, NULL, NULL);
}
