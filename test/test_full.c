/* test/test_full.c -- a disk that is full, and becomes it through luge itself.
 *
 * What a failed transaction had taken must come back: otherwise one that was
 * too large leaves a database that nobody can open until somebody else makes
 * room.  And who only reads needs none.
 * Not here: a file-size limit, a disk filled little by little (test_open), the
 * simulated one (crash_sim).
 */
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

enum { LARGE = 3000000 };
static unsigned char large[LARGE];

static uint64_t allocated(const struct rig *r, const char *name)
{
    char path[700];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", r->path, name);
    return stat(path, &s) ? 0 : (uint64_t)s.st_blocks * 512;
}

static uint64_t log_allocated(const struct rig *r)
{
    char name[40];
    uint64_t bytes = 0;
    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof name, "log/%010d", i);
        bytes += allocated(r, name);
    }
    return bytes;
}

/* What is left is given to a file called fill. */
static int fill_up(const struct rig *r)
{
    static const char zeros[4096];
    char path[700];
    snprintf(path, sizeof path, "%s/fill", r->base);
    FILE *f = fopen(path, "w");
    CHILD_MUST(f);
    setvbuf(f, NULL, _IONBF, 0);
    while (fwrite(zeros, 1, sizeof zeros, f) == sizeof zeros) {
    }
    (void)fclose(f);
    return 0;
}

static int put_small(luge_db *db, const char *key)
{
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str(key), luge_str("v")};
    return luge_apply(db, 0, &op, 1);
}

static int put_large(luge_db *db)
{
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("large"),
                         luge_bytes_of(large, LARGE)};
    return luge_apply(db, 0, &op, 1);
}

static int is_there(luge_db *db, const char *key)
{
    luge_txn *txn;
    luge_bytes value;
    CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &txn));
    CHILD_ANSWERS(0, luge_get(txn, LUGE_MAIN, luge_str(key), &value));
    luge_abort(txn);
    return 0;
}

/* Its pages fit, its record does not. */
static int one_that_is_too_large(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, put_small(db, "a"));
    CHILD_ANSWERS(0, luge_checkpoint(db));
    CHILD_ANSWERS(LUGE_NOSPACE, put_large(db));
    CHILD_ANSWERS(0, luge_checkpoint(db));
    CHILD_MUST(allocated(r, "db") < LARGE / 2);
    CHILD_ANSWERS(0, put_small(db, "b"));
    CHILD_ANSWERS(0, luge_checkpoint(db));
    CHILD_ANSWERS(LUGE_NOSPACE, put_large(db));
    CHILD_ANSWERS(0, luge_close(db));
    CHILD_MUST(allocated(r, "db") < LARGE / 2);
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_MUST(!is_there(db, "a") && !is_there(db, "b"));
    CHILD_ANSWERS(0, put_small(db, "c"));
    CHILD_ANSWERS(0, luge_check(db, NULL, NULL));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* The process dies before it can give anything back. */
static int dies_with_a_full_disk(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(LUGE_NOSPACE, put_large(db));
    CHILD_ANSWERS(0, fill_up(r));
    return 0;
}

static int too_large_and_killed(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, put_small(db, "a"));
    CHILD_ANSWERS(0, luge_close(db));
    CHILD_MUST(!in_child(dies_with_a_full_disk, r));
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_MUST(!is_there(db, "a"));
    CHILD_ANSWERS(0, luge_check(db, NULL, NULL));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static int dies_with_asynchronous_ones(struct rig *r)
{
    luge_db *db;
    struct luge_options o = {.durability = LUGE_ASYNC,
                             .sync_interval_ms = 60000};
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    for (char key[2] = "b"; *key <= 'f'; ++*key)
        CHILD_ANSWERS(0, put_small(db, key));
    return 0;
}

static int dies_while_opening(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    return 0;
}

/* Shared memory is made in the place of the old one, whose tail lasts. */
static int who_reads_needs_none(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, put_small(db, "a"));
    CHILD_ANSWERS(0, luge_close(db));
    CHILD_MUST(!in_child(dies_with_asynchronous_ones, r));
    CHILD_ANSWERS(0, fill_up(r));
    for (int i = 0; i < 3; i++)
        CHILD_MUST(!in_child(dies_while_opening, r));
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    for (char key[2] = "a"; *key <= 'f'; ++*key)
        CHILD_MUST(!is_there(db, key));
    CHILD_ANSWERS(0, luge_check(db, NULL, NULL));
    (void)luge_close(db);
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_MUST(!is_there(db, "f"));
    (void)luge_close(db);
    return 0;
}

static int sits_idle(struct rig *r)
{
    luge_db *db;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    for (;;) pause();
}

/* Commits that only the log had are made a version, for the others as well; but
 * ours does not hang on that there is room for theirs. */
static int reads_beside_another(struct rig *r)
{
    enum { FEW = 26, SIZE = 1000, BEFORE = 80 };
    struct luge_stats stats = {0}, before;
    struct luge_options o = {.durability = LUGE_ASYNC};
    char key[16];
    int landed = 0;
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    CHILD_ANSWERS(0, luge_checkpoint(db));
    pid_t idle = fork();
    if (!idle) _exit(sits_idle(r));
    while (stats.processes < 2) CHILD_ANSWERS(0, luge_stat(db, &stats));
    for (int i = 0; i < BEFORE; i++) CHILD_ANSWERS(0, put_small(db, "a"));
    CHILD_ANSWERS(0, fill_up(r));
    CHILD_ANSWERS(0, luge_stat(db, &before));
    for (int i = 0; i < FEW; i++) {
        sprintf(key, "%d", i);
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str(key),
                             luge_bytes_of(large, SIZE)};
        int rc = luge_apply(db, 0, &op, 1);
        if (rc == LUGE_NOSPACE) break;  /* so many: they are published */
        CHILD_ANSWERS(0, rc);
        landed++;
    }
    CHILD_ANSWERS(0, luge_stat(db, &stats));
    CHILD_MUST(stats.commits_blind > before.commits_blind);
    for (int i = 0; i < landed; i++) {
        sprintf(key, "%d", i);
        CHILD_MUST(!is_there(db, key));
    }
    CHILD_MUST(!kill(idle, SIGKILL));
    CHILD_MUST(waitpid(idle, NULL, 0) == idle);
    CHILD_ANSWERS(0, luge_check(db, NULL, NULL));
    (void)luge_close(db);
    return 0;
}

/* A record larger than a segment has one made to measure, which is not kept for
 * what comes. */
static void the_log_of_a_large_value(void **state)
{
    static unsigned char huge[40 << 20];
    struct rig *r = *state;
    struct luge_options o = {.log_keep_bytes = 1 << 20,
                             .checkpoint_bytes = 1 << 20};
    struct luge_op put = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"),
                          luge_bytes_of(huge, sizeof huge)};
    struct luge_op del = {LUGE_OP_DEL, LUGE_MAIN, luge_str("k"), {0}};
    rig_open(r, &o);
    for (int i = 0; i < 3; i++) {
        fine(luge_apply(r->db, 0, &put, 1));
        fine(luge_checkpoint(r->db));
    }
    fine(luge_apply(r->db, 0, &del, 1));
    fine(luge_checkpoint(r->db));
    rig_close(r);
    assert_true(allocated(r, "db") + log_allocated(r) < sizeof huge);
}

static int (*body)(struct rig *r);

static int on_a_small_disk(struct rig *r)
{
    CHILD_MUST(!mount("tmpfs", r->base, "tmpfs", 0, "size=4m"));
    return body(r);
}

static void run(void **state, int (*what)(struct rig *r))
{
    struct rig *r = *state;
    if (mount("tmpfs", r->base, "tmpfs", 0, "size=4m")) skip();
    assert_int_equal(umount(r->base), 0);
    pattern_fill(large, sizeof large, 1);
    body = what;
    int rc = in_child(on_a_small_disk, r);
    (void)umount2(r->base, MNT_DETACH);
    assert_int_equal(rc, 0);
}

static void too_large_a_transaction(void **state)
{
    CHILD_WITH_THREADS();
    run(state, one_that_is_too_large);
}

static void too_large_and_a_kill(void **state)
{
    CHILD_WITH_THREADS();
    run(state, too_large_and_killed);
}

static void reading_needs_no_room(void **state)
{
    CHILD_WITH_THREADS();
    run(state, who_reads_needs_none);
}

static void reading_beside_another(void **state)
{
    CHILD_WITH_THREADS();
    run(state, reads_beside_another);
}

#define CLOSED(test)                                                          \
    cmocka_unit_test_setup_teardown(test, rig_setup_closed, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOSED(too_large_a_transaction), CLOSED(too_large_and_a_kill),
        CLOSED(reading_needs_no_room), CLOSED(reading_beside_another),
        CLOSED(the_log_of_a_large_value),
    };
    return cmocka_run_group_tests_name("full", tests, NULL, NULL);
}
