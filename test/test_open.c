/* test/test_open.c -- directories, handles, processes and forks.
 *
 * Holds: how a database is opened, made, shared and closed; what a second
 * process sees; what is left after one that died; what a forked child may do;
 * and what happens where the system says no.
 * Long: each case is a scene with children of its own; they share no more than
 * test/rig.h has.
 * Not here: damaged content (test_damage.c), storms (crash_storm.c), a disk
 * that becomes full through luge itself (test_full.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"
#undef fail                     /* base.h has one, too */
#include "share/share.h"
#include "txn/env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void opens(int code, const char *path, unsigned flags)
{
    struct luge_options o = {.flags = flags};
    luge_db *db = NULL;
    answers(code, luge_open(path, &o, &db));
    if (!code) fine(luge_close(db));
}

static char *inside(struct rig *r, const char *name)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/%s", r->path, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* ------------------------------------------------------------- opening -- */

static void creating(void **state)
{
    struct rig *r = *state;
    opens(LUGE_NOTFOUND, r->path, LUGE_MUST_EXIST);
    opens(LUGE_NOTFOUND, r->path, LUGE_READ_ONLY);
    assert_int_not_equal(access(r->path, F_OK), 0);   /* nothing was made */
    rig_open(r, NULL);
    assert_int_equal(luge_was_recovered(r->db), 0);
    commit_put(r, "k", "v");
    rig_reopen(r);
    assert_int_equal(luge_was_recovered(r->db), 1);
    now_holds(r, LUGE_MAIN, "k", "v");
    rig_close(r);
    opens(LUGE_EXISTS, r->path, LUGE_CREATE_NEW);
    opens(0, r->path, LUGE_MUST_EXIST);
    opens(0, r->path, LUGE_READ_ONLY);
    rig_open(r, NULL);
    now_holds(r, LUGE_MAIN, "k", "v");
    fine(luge_close(NULL));
}

static void in_an_empty_directory(void **state)
{
    struct rig *r = *state;
    assert_int_equal(mkdir(r->path, 0777), 0);
    opens(LUGE_NOTFOUND, r->path, LUGE_MUST_EXIST);
    opens(0, r->path, LUGE_CREATE_NEW);
    opens(0, r->path, LUGE_MUST_EXIST);
}

static void no_such_parent(void **state)
{
    struct rig *r = *state;
    char path[700];
    snprintf(path, sizeof path, "%s/no/such/place", r->path);
    opens(LUGE_NOTFOUND, path, 0);
}

static void not_a_luge_directory(void **state)
{
    struct rig *r = *state;
    assert_int_equal(mkdir(r->path, 0777), 0);
    write_file(inside(r, "letters.txt"), "somebody's letters");
    opens(LUGE_NOTLUGE, r->path, 0);
    opens(LUGE_NOTLUGE, r->path, LUGE_CREATE_NEW);
    assert_int_equal(unlink(inside(r, "letters.txt")), 0);
    DIR *dir = opendir(r->path);           /* nothing was left there */
    int names = 0;
    while (readdir(dir)) names++;
    closedir(dir);
    assert_int_equal(names, 2);
    write_file(inside(r, "conf"), "some other program's\n");
    opens(LUGE_NOTLUGE, r->path, 0);
    assert_int_equal(unlink(inside(r, "conf")), 0);
    assert_int_equal(rmdir(r->path), 0);
    write_file(r->path, "a file where a directory is expected");
    luge_db *db;
    int rc = luge_open(r->path, NULL, &db);
    assert_true(rc == LUGE_NOTLUGE || rc == LUGE_EXISTS);
}

static void a_newer_format(void **state)
{
    struct rig *r = *state;
    char text[4096] = "", changed[4200];
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    rig_close(r);
    FILE *f = fopen(inside(r, "conf"), "r");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    char *at = strstr(text, "format ");
    assert_non_null(at);
    int used;
    assert_int_equal(sscanf(at, "format %*d%n", &used), 0);
    snprintf(changed, sizeof changed, "%.*sformat 999%s", (int)(at - text),
             text, at + used);
    write_file(inside(r, "conf"), changed);
    opens(LUGE_VERSION, r->path, 0);
    opens(LUGE_VERSION, r->path, LUGE_READ_ONLY);
    write_file(inside(r, "conf"), text);
    rig_open(r, NULL);
    now_holds(r, LUGE_MAIN, "k", "v");
}

static void options_out_of_range(void **state)
{
    struct rig *r = *state;
    static const uint32_t pages[] = {1, 512, 2048, 4097, 5000, 131072};
    luge_db *db;
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        struct luge_options o = {.page_bytes = pages[i]};
        answers(LUGE_INVALID, luge_open(r->path, &o, &db));
    }
    struct luge_options o = {.durability = 17};
    answers(LUGE_INVALID, luge_open(r->path, &o, &db));
}

static void page_sizes(void **state)
{
    struct rig *r = *state;
    for (uint32_t bytes = 4096; bytes <= 65536; bytes *= 2) {
        struct luge_options o = {.page_bytes = bytes}, other = o;
        luge_db *db;
        struct luge_stats s;
        rig_open(r, &o);
        for (int i = 0; i < 500; i++) {
            char key[32];
            sprintf(key, "%d", i);
            commit_put(r, key, "some value of a middling length");
        }
        other.page_bytes = bytes == 4096 ? 8192 : 4096;
        answers(LUGE_INVALID, luge_open(r->path, &other, &db));
        rig_close(r);
        answers(LUGE_INVALID, luge_open(r->path, &other, &db));
        rig_open(r, NULL);
        fine(luge_stat(r->db, &s));
        assert_int_equal(s.page_bytes, bytes);
        now_holds(r, LUGE_MAIN, "499", "some value of a middling length");
        fine(luge_check(r->db, NULL, NULL));
        rig_close(r);
        tree_remove(r->path);
    }
}

static void temporary(void **state)
{
    struct rig *r = *state;
    struct luge_options o = {.flags = LUGE_TEMPORARY};
    luge_db *one, *two;
    rig_open(r, &o);
    commit_put(r, "k", "v");
    fine(luge_open(r->path, NULL, &one));
    rig_close(r);
    assert_int_equal(access(r->path, F_OK), 0);       /* not the last one */
    fine(luge_close(one));
    assert_int_not_equal(access(r->path, F_OK), 0);
    fine(luge_open(NULL, &o, &one));
    fine(luge_open(NULL, &o, &two));
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"), luge_str("v")};
    luge_txn *txn;
    luge_bytes v;
    fine(luge_apply(one, 0, &op, 1));
    fine(luge_begin(two, LUGE_READ, &txn));
    answers(LUGE_NOTFOUND, luge_get(txn, LUGE_MAIN, op.key, &v));
    luge_abort(txn);
    fine(luge_close(one));
    fine(luge_close(two));
    o.flags = 0;
    answers(LUGE_INVALID, luge_open(NULL, &o, &one));
}

/* --------------------------------------------------------- two handles -- */

static void two_handles(void **state)
{
    struct rig *r = *state;
    char link[640], *dots = inside(r, "../db");
    luge_db *again[3];
    struct luge_stats s;
    rig_open(r, NULL);
    snprintf(link, sizeof link, "%s/link", r->base);
    assert_int_equal(symlink(r->path, link), 0);
    fine(luge_open(r->path, NULL, &again[0]));
    fine(luge_open(link, NULL, &again[1]));
    fine(luge_open(dots, NULL, &again[2]));
    commit_put(r, "k", "v");
    for (int i = 0; i < 3; i++) {
        luge_txn *txn;
        fine(luge_begin(again[i], LUGE_WRITE, &txn));
        holds(txn, LUGE_MAIN, "k", "v");
        put(txn, LUGE_MAIN, "other", "handle");
        fine(luge_commit(txn));
        now_holds(r, LUGE_MAIN, "other", "handle");
        fine(luge_stat(again[i], &s));
        assert_int_equal(s.processes, 1);
    }
    rig_close(r);
    for (int i = 0; i < 3; i++) {
        luge_txn *txn;
        fine(luge_begin(again[i], LUGE_READ, &txn));
        holds(txn, LUGE_MAIN, "k", "v");
        luge_abort(txn);
        fine(luge_close(again[i]));
    }
}

static void closing_while_in_use(void **state)
{
    struct rig *r = *state;
    rig_open(r, NULL);
    static const unsigned flags[] = {LUGE_READ, LUGE_WRITE, LUGE_TURN};
    for (int i = 0; i < 3; i++) {
        luge_txn *txn = begin(r, flags[i]);
        answers(LUGE_BUSY, luge_close(r->db));
        if (i) put(txn, LUGE_MAIN, "k", "still works");
        fine(luge_commit(txn));
    }
    now_holds(r, LUGE_MAIN, "k", "still works");
    /* of two handles each minds its own transactions */
    luge_db *other;
    fine(luge_open(r->path, NULL, &other));
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_close(other));
    answers(LUGE_BUSY, luge_close(r->db));
    luge_abort(txn);
}

static void read_only_handles(void **state)
{
    struct rig *r = *state;
    struct luge_options o = {.flags = LUGE_READ_ONLY};
    uint64_t id;
    luge_txn *txn;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"), luge_str("w")};
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    rig_close(r);
    rig_open(r, &o);
    now_holds(r, LUGE_MAIN, "k", "v");
    answers(LUGE_READONLY, luge_begin(r->db, LUGE_WRITE, &txn));
    answers(LUGE_READONLY, luge_begin(r->db, LUGE_TURN, &txn));
    answers(LUGE_READONLY, luge_apply(r->db, 0, &op, 1));
    answers(LUGE_READONLY, luge_next_id(r->db, &id));
    answers(LUGE_READONLY, luge_next_ids(r->db, 3, &id));
    answers(LUGE_READONLY, luge_checkpoint(r->db));
    fine(luge_check(r->db, NULL, NULL));
    now_holds(r, LUGE_MAIN, "k", "v");
}

/* ------------------------------------------------------- two processes -- */

static int put_from_elsewhere(struct rig *r)
{
    luge_db *db;
    struct luge_stats s;
    uint64_t id, *ids = (uint64_t *)(void *)r->base;   /* shared, see below */
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("from"),
                         luge_str("elsewhere")};
    luge_txn *txn;
    luge_bytes v;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &txn));
    CHILD_ANSWERS(0, luge_get(txn, LUGE_MAIN, luge_str("k"), &v));
    CHILD_MUST(is(v, "from here"));
    luge_abort(txn);
    CHILD_ANSWERS(0, luge_apply(db, 0, &op, 1));
    CHILD_ANSWERS(0, luge_next_id(db, &id));
    CHILD_MUST(id > ids[0]);
    ids[0] = id;
    CHILD_ANSWERS(0, luge_stat(db, &s));
    CHILD_MUST(s.processes == ids[1]);
    CHILD_ANSWERS(0, luge_check(db, NULL, NULL));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* The child opens while we have it open, and while we have not. */
static void another_process(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    char *base = r->base;
    uint64_t *ids = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(ids != MAP_FAILED);
    for (int round = 0; round < 20; round++) {
        uint64_t id;
        rig_open(r, NULL);
        fine(luge_next_id(r->db, &id));
        assert_true(id > ids[0]);
        ids[0] = id;
        commit_put(r, "k", "from here");
        commit_put(r, "from", "here");
        if (round % 2) rig_close(r);
        ids[1] = round % 2 ? 1 : 2;
        r->base = (char *)(void *)ids;
        assert_int_equal(in_child(put_from_elsewhere, r), 0);
        r->base = base;
        if (round % 2) rig_open(r, NULL);
        now_holds(r, LUGE_MAIN, "from", "elsewhere");
        rig_close(r);
    }
    munmap(ids, 4096);
}

static int read_only_elsewhere(struct rig *r)
{
    struct luge_options o = {.flags = LUGE_READ_ONLY};
    luge_db *db;
    luge_txn *txn;
    luge_bytes v;
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &txn));
    CHILD_ANSWERS(0, luge_get(txn, LUGE_MAIN, luge_str("k"), &v));
    CHILD_MUST(is(v, "fresh"));
    CHILD_ANSWERS(LUGE_READONLY, luge_put(txn, LUGE_MAIN, luge_str("k"), v));
    luge_abort(txn);
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static void a_reader_beside_a_writer(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    rig_open(r, NULL);
    commit_put(r, "k", "fresh");
    assert_int_equal(in_child(read_only_elsewhere, r), 0);
    rig_close(r);
    assert_int_equal(in_child(read_only_elsewhere, r), 0);
}

static int stop_with_the_turn(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_TURN, &txn));
    CHILD_ANSWERS(0, luge_put(txn, LUGE_MAIN, luge_str("k"),
                              luge_str("robbed")));
    raise(SIGSTOP);
    CHILD_ANSWERS(LUGE_CONFLICT, luge_commit(txn));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_TURN, &txn));
    CHILD_ANSWERS(0, luge_put(txn, LUGE_MAIN, luge_str("child"),
                              luge_str("goes on")));
    CHILD_ANSWERS(0, luge_commit(txn));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static pid_t child_that_stops(int (*body)(struct rig *r), struct rig *r)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        alarm(60);
        _exit(body(r));
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

/* Who is stopped while he holds the turn keeps nobody from committing for
 * long.  When he goes on he learns that his transaction has not happened. */
static void a_process_is_stopped_with_the_turn(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    int status;
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    pid_t pid = child_that_stops(stop_with_the_turn, r);
    uint64_t from = now_ns();
    commit_put(r, "k", "thief");
    assert_true(now_ns() - from < 2000000000u);
    fine(luge_check(r->db, NULL, NULL));
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    now_holds(r, LUGE_MAIN, "k", "thief");
    now_holds(r, LUGE_MAIN, "child", "goes on");
    fine(luge_check(r->db, NULL, NULL));
    rig_reopen(r);
    now_holds(r, LUGE_MAIN, "k", "thief");
}

/* One of the operations that a replay sorts, with one now and then that it
 * must not move; a transaction each, in some segments.  MODEL: 0 is absent. */
enum { REPLAY_OPS = 30000, REPLAY_KEYS = 900, REPLAY_TREES = 2 };

static int replay_step(luge_db *db, struct dice *d, uint32_t i,
                       uint32_t model[REPLAY_TREES][REPLAY_KEYS])
{
    static const char *names[REPLAY_TREES] = {"one", "two"};
    uint32_t t = dice_below(d, REPLAY_TREES), k = dice_below(d, REPLAY_KEYS);
    bool del = dice_chance(d, 30), clear = dice_below(d, 3000) == 0;
    luge_tree tree;
    luge_txn *txn;
    char key[32], value[300];
    if (clear) memset(model[t], 0, sizeof model[t]);
    model[t][k] = del ? 0 : i + 1;
    if (!db) return 0;
    snprintf(key, sizeof key, "%0*u", (int)(k % 20 + 3), k);
    size_t size = k % 97 == 0 ? 280 : 20;
    pattern_fill(value, size, i + 1);
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE | LUGE_TXN_ASYNC, &txn));
    CHILD_ANSWERS(0, luge_tree_open(txn, luge_str(names[t]), LUGE_TREE_CREATE,
                                    &tree));
    if (clear) CHILD_ANSWERS(0, luge_tree_drop(txn, tree));
    if (clear)
        CHILD_ANSWERS(0, luge_tree_open(txn, luge_str(names[t]),
                                        LUGE_TREE_CREATE, &tree));
    if (!del)
        CHILD_ANSWERS(0, luge_put(txn, tree, luge_str(key),
                                  luge_bytes_of(value, size)));
    else if (luge_del(txn, tree, luge_str(key)) == LUGE_IO)
        return 1;
    CHILD_ANSWERS(0, luge_commit(txn));
    return 0;
}

static uint32_t replay_model[REPLAY_TREES][REPLAY_KEYS];

static int write_for_a_replay(struct rig *r)
{
    struct dice d = dice_of(23, 0);
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    for (uint32_t i = 0; i < REPLAY_OPS; i++)
        if (replay_step(db, &d, i, replay_model)) return 1;
    return 0;                           /* it dies here */
}

static void replayed(struct rig *r, const char *name, const uint32_t *model)
{
    luge_txn *txn = begin(r, LUGE_READ);
    luge_tree tree;
    luge_bytes value;
    uint64_t count, there = 0;
    fine(luge_tree_open(txn, luge_str(name), 0, &tree));
    for (uint32_t k = 0; k < REPLAY_KEYS; k++) {
        char key[32], good[300];
        size_t size = k % 97 == 0 ? 280 : 20;
        snprintf(key, sizeof key, "%0*u", (int)(k % 20 + 3), k);
        answers(model[k] ? 0 : LUGE_NOTFOUND,
                luge_get(txn, tree, luge_str(key), &value));
        if (!model[k]) continue;
        there++;
        pattern_fill(good, size, model[k]);
        assert_int_equal(value.size, size);
        assert_memory_equal(value.data, good, size);
    }
    fine(luge_tree_count(txn, tree, &count));
    assert_int_equal(count, there);
    luge_abort(txn);
}

static void a_replay_sorts(void **state)
{
    struct rig *r = *state;
    struct dice d = dice_of(23, 0);
    rig_open(r, NULL);
    rig_close(r);
    assert_int_equal(in_child(write_for_a_replay, r), 0);
    memset(replay_model, 0, sizeof replay_model);
    for (uint32_t i = 0; i < REPLAY_OPS; i++)
        (void)replay_step(NULL, &d, i, replay_model);
    rig_open(r, NULL);
    assert_int_equal(luge_was_recovered(r->db), 1);
    replayed(r, "one", replay_model[0]);
    replayed(r, "two", replay_model[1]);
    fine(luge_check(r->db, NULL, NULL));
}

/* What the platform of a child does besides: none of it in the parent. */
static struct {
    int (*open)(struct os *, const char *path, unsigned flags,
                struct os_file **file);
    int (*write)(struct os_file *, const void *from, size_t size, u64 offset);
} native;

/* A frame of the log that ends a record is written: here we are stopped. */
static int write_and_stop(struct os_file *file, const void *from, size_t size,
                          u64 offset)
{
    const u8 *frame = from;
    int rc = native.write(file, from, size, offset);
    bool record = size >= LOG_FRAME_HEAD && frame[4] == LOG_LAST &&
                  size == log_frame_bytes(load32(frame));
    if (rc || !record) return rc;
    os_native()->write = native.write;
    raise(SIGSTOP);
    return 0;
}

/* The thief dies before there is a new segment. */
static int die_before_the_segment(struct os *os, const char *path,
                                  unsigned flags, struct os_file **file)
{
    const char *name = strrchr(path, '/');
    if (flags & OS_CREATE && name && name[1] >= '0' && name[1] <= '9')
        raise(SIGKILL);
    return native.open(os, path, flags, file);
}

static int robbed_after_the_append(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    CHILD_ANSWERS(0, luge_put(txn, LUGE_MAIN, luge_str("k"),
                              luge_str("robbed")));
    native.write = os_native()->write;
    os_native()->write = write_and_stop;
    CHILD_ANSWERS(LUGE_CONFLICT, luge_commit(txn));
    return 0;                           /* it dies here: nothing is closed */
}

static int thief_who_dies(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    raise(SIGSTOP);
    native.open = os_native()->open;
    os_native()->open = die_before_the_segment;
    (void)luge_begin(db, LUGE_TURN, &txn);
    return 1;
}

/* "k" is "before"; ROBBED commits, and is stopped and robbed by one who dies at
 * once; then ROBBED goes on, and ends as it says. */
static void rob_and_die(struct rig *r, int (*robbed_one)(struct rig *r))
{
    int status;
    rig_open(r, NULL);
    commit_put(r, "k", "before");
    rig_close(r);
    pid_t thief = child_that_stops(thief_who_dies, r);
    pid_t robbed = child_that_stops(robbed_one, r);
    kill(thief, SIGCONT);
    assert_int_equal(waitpid(thief, &status, 0), thief);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    kill(robbed, SIGCONT);
    assert_int_equal(waitpid(robbed, &status, 0), robbed);
    assert_int_equal(status, 0);
}

/* Who was robbed between the append of his record and the flip answers that it
 * has not happened.  It has not, either, if the thief and he die before the log
 * goes on in another segment: recovery finds the place of the record empty. */
static void a_refused_record_stays_away(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    rob_and_die(r, robbed_after_the_append);
    rig_open(r, NULL);
    assert_int_equal(luge_was_recovered(r->db), 1);
    now_holds(r, LUGE_MAIN, "k", "before");
    commit_put(r, "k", "after");
    fine(luge_check(r->db, NULL, NULL));
    rig_reopen(r);
    now_holds(r, LUGE_MAIN, "k", "after");
}

static pthread_t who_syncs;

static int die_in_the_sync(struct os_file *file)
{
    (void)file;
    if (pthread_equal(pthread_self(), who_syncs)) raise(SIGKILL);
    return 0;
}

static int syncer_who_dies(struct rig *r)
{
    static const u8 value[2000] = {1};
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"),
                         luge_bytes_of(value, sizeof value)};
    luge_db *db;
    who_syncs = pthread_self();
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    os_native()->sync = die_in_the_sync;
    return 1 + luge_apply(db, LUGE_TXN_FULL, &op, 1);
}

static size_t written_anew;

static int watch_the_start(struct os_file *file, const void *from, size_t size,
                           u64 offset)
{
    if (!offset && size > 2000 && !memcmp(from, "lugelog", 7))
        written_anew = size;
    return native.write(file, from, size, offset);
}

/* The system may have told him that the device has failed, and tells nobody
 * twice: then the pages of the log count as clean and are on no device. */
static void a_syncer_who_dies_leaves_doubt(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    luge_bytes value;
    rig_open(r, NULL);
    rig_close(r);
    assert_int_equal(in_child(syncer_who_dies, r), 1000 + SIGKILL);
    written_anew = 0;
    native.write = os_native()->write;
    os_native()->write = watch_the_start;
    rig_open(r, NULL);
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_get(txn, LUGE_MAIN, luge_str("k"), &value));
    assert_int_equal(value.size, 2000);
    luge_abort(txn);
    rig_close(r);
    os_native()->write = native.write;
    assert_true(written_anew > 2000);
}

static int (*honest_lock)(struct os_file *, u64 byte, bool exclusive,
                          u32 wait_ms);
static _Atomic unsigned gates;

static int count_gates(struct os_file *file, u64 byte, bool exclusive,
                       u32 wait_ms)
{
    gates += byte == SHARE_LOCK_GATE;
    return honest_lock(file, byte, exclusive, wait_ms);
}

/* Nobody opens while somebody is stopped with the gate: a checkpoint goes there
 * only if the file has an end to cut. */
static void a_checkpoint_leaves_the_gate_alone(void **state)
{
    struct rig *r = *state;
    honest_lock = os_native()->lock;
    os_native()->lock = count_gates;    /* before there is a caretaker */
    rig_open(r, NULL);
    unsigned before = gates;
    assert_true(before > 0);
    for (int i = 0; i < 3; i++) {
        commit_put(r, "k", i ? "v" : "w");
        fine(luge_checkpoint(r->db));
    }
    assert_int_equal(gates, before);
    rig_close(r);
    os_native()->lock = honest_lock;
}

/* How many chunks the free-space lists have ever had. */
static u32 chunks_now(struct rig *r)
{
    u64 arena = 0;
    u32 chunks = 0;
    int fd = open(inside(r, "shm"), O_RDONLY);
    assert_int_equal(pread(fd, &arena, 8, offsetof(struct share_memory, arena)),
                     8);
    off_t at = (off_t)arena + (off_t)offsetof(struct txn_arena, work) +
               (off_t)offsetof(struct space_state, chunk_count);
    assert_int_equal(pread(fd, &chunks, sizeof chunks, at), sizeof chunks);
    close(fd);
    return chunks;
}

static int put_many(struct rig *r, unsigned count)
{
    luge_db *db = r->db;
    if (!db) CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    for (unsigned i = 0; i < count; i++) {
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN,
                             luge_bytes_of(&(u32){i * 2654435761u}, 4),
                             luge_bytes_of(&i, sizeof i)};
        CHILD_ANSWERS(0, luge_apply(db, LUGE_TXN_ASYNC, &op, 1));
        if (i % 64 == 0) CHILD_ANSWERS(0, luge_checkpoint(db));
    }
    return r->db ? 0 : luge_close(db);
}

static int put_beside(struct rig *r)
{
    return put_many(r, 4000);
}

/* Two who publish in turns: what one has emptied, the other fills again. */
static void free_lists_do_not_grow(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    int status;
    rig_open(r, NULL);
    assert_int_equal(put_many(r, 500), 0);
    u32 before = chunks_now(r);
    luge_db *db = r->db;
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        r->db = NULL;
        _exit(put_beside(r));
    }
    r->db = db;
    assert_int_equal(put_many(r, 4000), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    print_message("%u chunks of free lists, then %u\n", before, chunks_now(r));
    assert_true(chunks_now(r) < before + 20);
    fine(luge_check(r->db, NULL, NULL));
}

/* Less than the 64 GiB that a process likes to reserve for shm. */
static void lack_address_space(void)
{
    struct rlimit few = {(rlim_t)40 << 30, (rlim_t)40 << 30};
    setrlimit(RLIMIT_AS, &few);
}

static int joins_with_little(struct rig *r)
{
    luge_db *db;
    lack_address_space();
    CHILD_ANSWERS(LUGE_LIMIT, luge_open(r->path, NULL, &db));
    CHILD_MUST(strstr(luge_last_error()->text, "address space"));
    return 0;
}

static int opens_and_stops(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    raise(SIGSTOP);
    return luge_close(db);
}

static int opens_with_little(struct rig *r)
{
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"),
                         luge_str("little")};
    luge_db *db;
    lack_address_space();
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    raise(SIGSTOP);
    CHILD_ANSWERS(0, luge_apply(db, 0, &op, 1));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* All who use a directory at a time map as much of shm: places in it are
 * counted from that. */
static void address_spaces_differ(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();             /* they need an address space without limit */
#endif
    struct rig *r = *state;
    int status;
    rig_open(r, NULL);
    commit_put(r, "k", "much");
    rig_close(r);                       /* a child would inherit the maps */
    pid_t pid = child_that_stops(opens_and_stops, r);
    assert_int_equal(in_child(joins_with_little, r), 0);
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    pid = child_that_stops(opens_with_little, r);
    rig_open(r, NULL);
    now_holds(r, LUGE_MAIN, "k", "much");
    commit_put(r, "k", "more");
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    now_holds(r, LUGE_MAIN, "k", "little");
}

static int write_refused(struct os_file *file, const void *from, size_t size,
                         u64 offset)
{
    (void)file, (void)from, (void)size, (void)offset;
    return base_fail(LUGE_IO, EIO, __FILE__, __LINE__, "the device is gone");
}

static int write_stop_and_fail(struct os_file *file, const void *from,
                               size_t size, u64 offset)
{
    int rc = write_and_stop(file, from, size, offset);
    if (os_native()->write == native.write) os_native()->write = write_refused;
    return rc;
}

static int robbed_and_cannot_take_it_back(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    CHILD_ANSWERS(0, luge_put(txn, LUGE_MAIN, luge_str("k"),
                              luge_str("robbed")));
    native.write = os_native()->write;
    os_native()->write = write_stop_and_fail;
    CHILD_ANSWERS(LUGE_BROKEN, luge_commit(txn));
    CHILD_MUST(strstr(luge_last_error()->text, "unknown"));
    CHILD_ANSWERS(LUGE_BROKEN, luge_begin(db, LUGE_READ, &txn));
    return 0;
}

/* If the record of who was robbed cannot be taken back, he must not say that
 * nothing was changed: recovery may find it. */
static void a_record_that_cannot_be_taken_back(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    luge_bytes value;
    rob_and_die(r, robbed_and_cannot_take_it_back);
    rig_open(r, NULL);
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_get(txn, LUGE_MAIN, luge_str("k"), &value));
    assert_true(is(value, "before") || is(value, "robbed"));
    luge_abort(txn);
    commit_put(r, "k", "after");
    fine(luge_check(r->db, NULL, NULL));
    rig_reopen(r);
    now_holds(r, LUGE_MAIN, "k", "after");
}

static int robbed_and_goes_on(struct rig *r)
{
    struct luge_options o = {.sync_interval_ms = 60000};
    luge_db *db;
    luge_txn *txn;
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    CHILD_ANSWERS(0, luge_put(txn, LUGE_MAIN, luge_str("k"),
                              luge_str("robbed")));
    native.write = os_native()->write;
    os_native()->write = write_and_stop;
    CHILD_ANSWERS(LUGE_CONFLICT, luge_commit(txn));
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"),
                         luge_str("later")};
    CHILD_ANSWERS(0, luge_apply(db, LUGE_TXN_ASYNC, &op, 1));
    return 0;                           /* it dies here: nothing is closed */
}

/* A thief of the turn begins a segment of the log and leaves. Who was robbed is
 * alone again, and what he commits there survives his death (tail.c A6). */
static void the_thief_has_left(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    luge_txn *txn;
    int status;
    rig_open(r, NULL);
    commit_put(r, "k", "before");
    rig_close(r);
    pid_t robbed = child_that_stops(robbed_and_goes_on, r);
    rig_open(r, NULL);
    fine(luge_begin(r->db, LUGE_TURN, &txn));
    luge_abort(txn);
    rig_close(r);
    kill(robbed, SIGCONT);
    assert_int_equal(waitpid(robbed, &status, 0), robbed);
    assert_int_equal(status, 0);
    rig_open(r, NULL);
    assert_int_equal(luge_was_recovered(r->db), 1);
    now_holds(r, LUGE_MAIN, "k", "later");
}

static uint64_t shared_word(struct rig *r, size_t at, const uint64_t *set)
{
    uint64_t word;
    int fd = open(inside(r, "shm"), O_RDWR);
    assert_int_equal(pread(fd, &word, 8, (off_t)at), 8);
    if (set) assert_int_equal(pwrite(fd, set, 8, (off_t)at), 8);
    close(fd);
    return word;
}

/* Somebody died behind the flip that made a checkpoint count, and before he
 * told: its pin is still the next one's, and the old one stands.  The pages of
 * what a recovery would begin at stay pinned all the same. */
static void a_checkpoint_that_was_not_told(void **state)
{
    struct rig *r = *state;
    size_t pin = offsetof(struct share_memory, checkpoint);
    size_t next = offsetof(struct share_memory, checkpoint_next);
    const uint64_t none = 0;
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    fine(luge_checkpoint(r->db));
    uint64_t old = shared_word(r, pin, NULL);
    commit_put(r, "k", "w");
    fine(luge_checkpoint(r->db));
    uint64_t now = shared_word(r, pin, &old);
    assert_true(now > old);
    assert_int_equal(shared_word(r, next, &now), none);
    fine(luge_checkpoint(r->db));       /* there is nothing new */
    assert_int_equal(shared_word(r, pin, NULL), now);
    assert_int_equal(shared_word(r, next, NULL), none);
    fine(luge_check(r->db, NULL, NULL));
}

static int (*honest_list)(struct os *os, const char *path,
                          int (*each)(void *context, const char *name),
                          void *context);

static void much_log(luge_db *db, int mib)
{
    static char value[1 << 16];
    for (int i = 0; i < mib * 16; i++) {
        luge_txn *txn;
        if (luge_begin(db, LUGE_WRITE | LUGE_TXN_ASYNC, &txn)) abort();
        pattern_fill(value, sizeof value, (uint64_t)i);
        if (luge_put(txn, LUGE_MAIN, luge_str("much"),
                     luge_bytes_of(value, sizeof value)) || luge_commit(txn))
            abort();
    }
}

static int list_after_a_stop(struct os *os, const char *path,
                             int (*each)(void *context, const char *name),
                             void *context)
{
    raise(SIGSTOP);
    os->list = honest_list;
    return honest_list(os, path, each, context);
}

/* Its validation stops where it looks for the next segment of the log. */
static int stop_while_validating(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    luge_bytes value;
    struct os *os = os_native();
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    CHILD_ANSWERS(0, luge_get(txn, LUGE_MAIN, luge_str("k"), &value));
    CHILD_ANSWERS(0, luge_put(txn, LUGE_MAIN, luge_str("l"), luge_str("v")));
    much_log(db, 3);
    honest_list = os->list;
    os->list = list_after_a_stop;
    CHILD_ANSWERS(LUGE_CONFLICT, luge_commit(txn));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* Whoever was robbed in his validation may find the log that he reads used
 * again: that is a conflict, and no damage. */
static void a_validation_is_stopped(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    struct luge_options o = {.log_keep_bytes = 1};
    int status;
    rig_open(r, &o);
    commit_put(r, "k", "v");
    pid_t pid = child_that_stops(stop_while_validating, r);
    for (int i = 0; i < 4; i++) {
        much_log(r->db, 4);
        fine(luge_checkpoint(r->db));
    }
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fine(luge_check(r->db, NULL, NULL));
}

/* As if the turn had been stolen COUNT times since the directory was opened. */
static void thefts_so_far(struct rig *r, uint64_t count)
{
    uint64_t first;
    off_t at = offsetof(struct share_memory, turn_generation);
    off_t first_at = offsetof(struct share_memory, first_generation);
    int fd = open(inside(r, "shm"), O_RDWR);
    assert_int_equal(pread(fd, &first, 8, first_at), 8);
    first += count;
    assert_int_equal(pwrite(fd, &first, 8, at), 8);
    close(fd);
}

static int stop_and_die(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_TURN, &txn));
    raise(SIGSTOP);
    return 1;
}

static pid_t stopped_with_the_turn(struct rig *r)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) _exit(stop_and_die(r));
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static uint64_t arena_place(struct rig *r)
{
    uint64_t at;
    int fd = open(inside(r, "shm"), O_RDONLY);
    assert_int_equal(pread(fd, &at, 8, offsetof(struct share_memory, arena)),
                     8);
    close(fd);
    return at;
}

/* Who is stopped for long may go on in the arena that he was robbed of: its
 * place is left out when the others have all been used. */
static void a_robbed_one_keeps_his_place(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    uint64_t his = arena_place(r);
    pid_t robbed = stopped_with_the_turn(r);
    commit_put(r, "k", "first thief");
    assert_true(arena_place(r) != his);
    thefts_so_far(r, SHARE_ARENAS_MAX - 1);
    pid_t other = stopped_with_the_turn(r);
    commit_put(r, "k", "second thief");
    assert_true(arena_place(r) != his);
    end(robbed);
    end(other);
    thefts_so_far(r, 2 * SHARE_ARENAS_MAX - 1);
    other = stopped_with_the_turn(r);
    commit_put(r, "k", "third thief");
    assert_true(arena_place(r) == his);         /* he is dead now */
    end(other);
    fine(luge_check(r->db, NULL, NULL));
    rig_reopen(r);
    now_holds(r, LUGE_MAIN, "k", "third thief");
}

/* There is room for a million thefts.  The last one is like the first; one more
 * is an error, and all is well once everybody has closed. */
static void the_last_thefts(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    luge_txn *txn;
    for (int life = 0; life < 2; life++) {
        rig_open(r, NULL);
        thefts_so_far(r, HEAD_GENERATIONS_MAX - 2);
        pid_t pid = stopped_with_the_turn(r);
        commit_put(r, "k", "thief");                   /* the last theft */
        commit_put(r, "k", "again");
        end(pid);
        pid = stopped_with_the_turn(r);
        answers(LUGE_LIMIT, luge_begin(r->db, LUGE_TURN, &txn));
        end(pid);
        answers(LUGE_LIMIT, luge_begin(r->db, LUGE_TURN, &txn));
        now_holds(r, LUGE_MAIN, "k", "again");
        (void)luge_close(r->db);
        rig_open(r, NULL);
        now_holds(r, LUGE_MAIN, "k", "again");
        commit_put(r, "k", "later");
        rig_close(r);
    }
}

/* Others are in every seat: a lock on its byte is all that says so. */
static void too_many_processes(void **state)
{
    struct rig *r = *state;
    struct flock seats = {.l_type = F_WRLCK, .l_whence = SEEK_SET,
                          .l_start = 1024, .l_len = 256};
    rig_open(r, NULL);
    rig_close(r);
    int fd = open(inside(r, "lock"), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &seats), 0);
    answers(LUGE_LIMIT, luge_open(r->path, NULL, &r->db));
    seats.l_len = 255;
    seats.l_type = F_UNLCK;
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &seats), 0);
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    close(fd);
}

static int create_or_join(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* Whoever comes while another creates finds half of a database, for a moment:
 * that must not be taken for somebody else's files. */
static void creating_at_once(void **state)
{
    struct rig *r = *state;
    for (int round = 0; round < 60; round++) {
        pid_t pids[6];
        tree_remove(r->path);
        for (size_t i = 0; i < COUNT_OF(pids); i++) {
            fflush(NULL);
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i]) continue;
            alarm(60);
            _exit(create_or_join(r));
        }
        for (size_t i = 0; i < COUNT_OF(pids); i++) {
            int status;
            waitpid(pids[i], &status, 0);
            assert_int_equal(status, 0);
        }
    }
}

static int open_and_close(struct rig *r)
{
    for (int i = 0; i < 60; i++) {
        luge_db *db;
        luge_txn *txn;
        CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
        CHILD_ANSWERS(0, luge_begin(db, i % 5 ? LUGE_READ : LUGE_WRITE, &txn));
        if (i % 5 == 0)
            CHILD_ANSWERS(0, luge_put(txn, LUGE_MAIN, luge_str("k"),
                                      luge_bytes_of(&i, sizeof i)));
        CHILD_ANSWERS(0, luge_commit(txn));
        CHILD_ANSWERS(0, luge_close(db));
    }
    return 0;
}

/* First in, last out, and everything between, at the same time. */
static void opening_and_closing_at_once(void **state)
{
    struct rig *r = *state;
    pid_t pids[6];
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        fflush(NULL);
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (!pids[i]) {
            alarm(60);
            _exit(open_and_close(r));
        }
    }
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        int status;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    struct luge_stats s;
    rig_open(r, NULL);
    fine(luge_stat(r->db, &s));
    assert_int_equal(s.processes, 1);
    assert_int_equal(s.readers, 0);
}

static int die_with_open_transactions(struct rig *r)
{
    luge_db *db;
    luge_txn *a, *b, *c;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &a));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &b));
    CHILD_ANSWERS(0, luge_put(b, LUGE_MAIN, luge_str("k"), luge_str("half")));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_TURN, &c));
    for (int i = 0; i < 3000; i++)
        CHILD_ANSWERS(0, luge_put(c, LUGE_MAIN,
                                  luge_bytes_of(&i, sizeof i),
                                  luge_str("what never was")));
    kill(getpid(), SIGKILL);
    return 1;
}

static void a_process_dies_with_the_turn(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    struct luge_stats s;
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    uint64_t sum = checksum(r);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(in_child(die_with_open_transactions, r),
                         1000 + SIGKILL);
        if (i == 3) rig_reopen(r);
        uint64_t from = now_ns();
        assert_int_equal(checksum(r), sum);
        commit_put(r, "k", "v");
        assert_true(now_ns() - from < 1000000000u);
        fine(luge_check(r->db, NULL, NULL));
    }
    fine(luge_stat(r->db, &s));
    assert_int_equal(s.processes, 1);
    assert_int_equal(s.readers, 0);
}

static int die_after_commits(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    for (int i = 0; i < 300; i++) {
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN,
                             luge_bytes_of(&i, sizeof i), luge_str("there")};
        CHILD_ANSWERS(0, luge_apply(db, i % 2 ? LUGE_TXN_ASYNC : 0, &op, 1));
    }
    kill(getpid(), SIGKILL);
    return 1;
}

/* As many RECORDS at least were replayed, and all of it was within the time. */
static void tells_its_opening(struct rig *r, uint64_t records)
{
    struct luge_stats s;
    fine(luge_stat(r->db, &s));
    assert_true(s.recovery_records >= records);
    assert_true(s.recovery_bytes >= 40 * s.recovery_records);
    assert_int_equal(s.recovery_records == 0, s.recovery_bytes == 0);
    assert_int_equal(s.recovery_records == 0, records == 0);
    assert_true(s.open_us >= s.recovery_scan_us + s.recovery_replay_us +
                                 s.recovery_sync_us);
    assert_true(s.open_us > 0);
}

/* Also without what is only for coordination, and with rubbish in its place. */
static void recovery(void **state)
{
    struct rig *r = *state;
    static const char *const lost[] = {NULL, "shm", "lock", "notify", "shm"};
    for (size_t round = 0; round < COUNT_OF(lost); round++) {
        assert_int_equal(in_child(die_after_commits, r), 1000 + SIGKILL);
        if (lost[round]) unlink(inside(r, lost[round]));
        if (round == 4) write_file(inside(r, "shm"), "rubbish");
        rig_open(r, NULL);
        assert_int_equal(luge_was_recovered(r->db), 1);
        tells_its_opening(r, 299);   /* shm may have had the last */
        luge_txn *txn = begin(r, LUGE_READ);
        for (int i = 0; i < 300; i++) {
            luge_bytes v;
            fine(luge_get(txn, LUGE_MAIN, luge_bytes_of(&i, sizeof i), &v));
        }
        luge_abort(txn);
        fine(luge_check(r->db, NULL, NULL));
        rig_reopen(r);
        tells_its_opening(r, 0);
        rig_close(r);
    }
}

enum { MANY = 20000 };      /* more than a replay without a thread has */

/* A number that spreads, and is a key and its own value. */
static luge_bytes many_of(uint64_t i, uint64_t *room)
{
    *room = (i + 1) * 0x9e3779b97f4a7c15u;
    return luge_bytes_of(room, sizeof *room);
}

static int die_after_many(struct rig *r)
{
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    for (uint64_t i = 0; i < MANY;) {
        uint64_t rooms[1000];
        struct luge_op ops[COUNT_OF(rooms)];
        for (size_t k = 0; k < COUNT_OF(ops); k++, i++) {
            luge_bytes b = many_of(i, &rooms[k]);
            ops[k] = (struct luge_op){LUGE_OP_PUT, LUGE_MAIN, b, b};
        }
        CHILD_ANSWERS(0, luge_apply(db, 0, ops, COUNT_OF(ops)));
    }
    kill(getpid(), SIGKILL);
    return 1;
}

static void recovery_of_many(void **state)
{
    struct rig *r = *state;
    assert_int_equal(in_child(die_after_many, r), 1000 + SIGKILL);
    rig_open(r, NULL);
    tells_its_opening(r, MANY / 1000);
    luge_txn *txn = begin(r, LUGE_READ);
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t room;
        luge_bytes key = many_of(i, &room), v;
        fine(luge_get(txn, LUGE_MAIN, key, &v));
        assert_int_equal(v.size, key.size);
        assert_memory_equal(v.data, key.data, key.size);
    }
    luge_abort(txn);
    fine(luge_check(r->db, NULL, NULL));
    rig_close(r);
}

static void a_copy_is_a_database(void **state)
{
    struct rig *r = *state;
    char copy[640];
    rig_open(r, NULL);
    for (int i = 0; i < 500; i++) {
        char key[32];
        sprintf(key, "%d", i);
        commit_put(r, key, "some value");
    }
    uint64_t sum = checksum(r), id, id2;
    fine(luge_next_id(r->db, &id));
    rig_close(r);
    snprintf(copy, sizeof copy, "%s/copy", r->base);
    tree_copy(r->path, copy);
    rig_open(r, NULL);
    strcpy(r->path, copy);
    luge_db *original = r->db;
    rig_open(r, NULL);
    assert_int_equal(checksum(r), sum);
    commit_put(r, "only", "in the copy");
    fine(luge_next_id(r->db, &id2));
    assert_true(id2 > id);
    struct rig other = {.db = original};
    now_holds(&other, LUGE_MAIN, "only", NULL);
    fine(luge_close(original));
}

/* --------------------------------------------------------------- forks -- */

static luge_txn *fork_read, *fork_write;   /* from before the fork */
static luge_cursor *fork_cursor;

static int forked(struct rig *r)
{
    luge_bytes k = luge_str("k"), v;
    luge_db *db;
    luge_txn *txn;
    struct luge_stats s;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, k, k};
    uint64_t n;
    uint32_t point;
    CHILD_ANSWERS(LUGE_FORKED, luge_begin(r->db, LUGE_READ, &txn));
    CHILD_ANSWERS(LUGE_FORKED, luge_begin(r->db, LUGE_WRITE, &txn));
    CHILD_ANSWERS(LUGE_FORKED, luge_begin(r->db, LUGE_TURN, &txn));
    CHILD_ANSWERS(LUGE_FORKED, luge_apply(r->db, 0, &op, 1));
    CHILD_ANSWERS(LUGE_FORKED, luge_next_id(r->db, &n));
    CHILD_ANSWERS(LUGE_FORKED, luge_sync(r->db));
    CHILD_ANSWERS(LUGE_FORKED, luge_checkpoint(r->db));
    CHILD_ANSWERS(LUGE_FORKED, luge_stat(r->db, &s));
    CHILD_ANSWERS(LUGE_FORKED, luge_check(r->db, NULL, NULL));
    CHILD_ANSWERS(LUGE_FORKED, luge_get(fork_read, LUGE_MAIN, k, &v));
    CHILD_ANSWERS(LUGE_FORKED, luge_near(fork_read, LUGE_MAIN, LUGE_FIRST, k,
                                         &v, &v));
    CHILD_ANSWERS(LUGE_FORKED, luge_tree_count(fork_read, LUGE_MAIN, &n));
    CHILD_ANSWERS(LUGE_FORKED, luge_checksum(fork_read, &n));
    CHILD_ANSWERS(LUGE_FORKED, luge_renew(fork_read));
    CHILD_ANSWERS(LUGE_FORKED, luge_cursor_next(fork_cursor, &v, &v));
    CHILD_ANSWERS(LUGE_FORKED, luge_put(fork_write, LUGE_MAIN, k, k));
    CHILD_ANSWERS(LUGE_FORKED, luge_del_range(fork_write, LUGE_MAIN, NULL,
                                              NULL, NULL));
    CHILD_ANSWERS(LUGE_FORKED, luge_savepoint(fork_write, &point));
    CHILD_ANSWERS(LUGE_FORKED, luge_commit(fork_write));
    luge_abort(fork_read);
    int rc = luge_close(r->db);        /* of no use to the child either way */
    CHILD_MUST(rc == 0 || rc == LUGE_FORKED);
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_apply(db, 0, &op, 1));
    CHILD_ANSWERS(0, luge_check(db, NULL, NULL));
    CHILD_ANSWERS(0, luge_stat(db, &s));
    CHILD_MUST(s.processes == 2);
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static void after_fork(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    for (int i = 0; i < 2; i++) {
        fork_read = begin(r, LUGE_READ);
        fork_write = begin(r, LUGE_WRITE);
        put(fork_write, LUGE_MAIN, "parent", "goes on");
        fine(luge_cursor_open(fork_read, LUGE_MAIN, &fork_cursor));
        assert_int_equal(in_child(forked, r), 0);
        holds(fork_read, LUGE_MAIN, "k", i ? "k" : "v");
        luge_abort(fork_read);
        fine(luge_commit(fork_write));
        now_holds(r, LUGE_MAIN, "parent", "goes on");
        now_holds(r, LUGE_MAIN, "k", "k");
    }
}

static int outlive(struct rig *r)
{
    pid_t child = fork();
    if (child < 0) return 1;
    if (child) kill(getpid(), SIGKILL);     /* with its database open */
    (void)r;
    nap_us(3000000);
    _exit(0);
}

static int open_and_outlive(struct rig *r)
{
    luge_db *db;
    luge_txn *txn;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_TURN, &txn));
    return outlive(r);
}

/* A child that lives on must not keep its dead parent's locks alive. */
static void the_parent_dies_first(void **state)
{
    struct rig *r = *state;
    rig_open(r, NULL);
    assert_int_equal(in_child(open_and_outlive, r), 1000 + SIGKILL);
    uint64_t from = now_ns();
    commit_put(r, "k", "v");
    assert_true(now_ns() - from < 1000000000u);
}

/* ------------------------------------------------- where the system says no */

static int nobody_opens(struct rig *r)
{
    struct luge_options reader = {.flags = LUGE_READ_ONLY};
    luge_db *db;
    if (!getuid()) {
        CHILD_MUST(!setgid(65534) && !setuid(65534));
    }
    for (int i = 0; i < 2; i++) {
        CHILD_ANSWERS(LUGE_PERMISSION,
                      luge_open(r->path, i ? &reader : NULL, &db));
        CHILD_MUST(luge_last_error()->system_errno == EACCES ||
                   luge_last_error()->system_errno == EPERM);
        CHILD_MUST(strstr(luge_last_error()->text, r->path) != NULL);
    }
    return 0;
}

/* It says what a reader needs, not that some file could not be opened. */
static int nobody_reads(struct rig *r)
{
    struct luge_options reader = {.flags = LUGE_READ_ONLY};
    luge_db *db = NULL;
    if (!getuid()) {
        CHILD_MUST(!setgid(65534) && !setuid(65534));
    }
    CHILD_ANSWERS(LUGE_PERMISSION, luge_open(r->path, &reader, &db));
    CHILD_MUST(strstr(luge_last_error()->text, "who reads must be allowed"));
    return 0;
}

static void no_permission(void **state)
{
    struct rig *r = *state;
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    rig_close(r);
    assert_int_equal(chmod(r->base, 0755), 0);
    assert_int_equal(chmod(r->path, 0), 0);
    assert_int_equal(in_child(nobody_opens, r), 0);
    assert_int_equal(chmod(r->path, 0755), 0);
    assert_int_equal(chmod(inside(r, "db"), 0), 0);
    assert_int_equal(in_child(nobody_opens, r), 0);
    assert_int_equal(chmod(inside(r, "db"), 0644), 0);
    /* Everything may be read, nothing written: not even a reader gets in. */
    assert_int_equal(in_child(nobody_opens, r), 0);
    assert_int_equal(in_child(nobody_reads, r), 0);
    rig_open(r, NULL);
    assert_int_equal(in_child(nobody_opens, r), 0);
    now_holds(r, LUGE_MAIN, "k", "v");
}

static const char *const our_files[] = {"conf", "db", "lock", "shm"};

/* A link planted where a file of ours should be is not followed. */
static void planted_links(void **state)
{
    struct rig *r = *state;
    char target[640];
    snprintf(target, sizeof target, "%s/target", r->base);
    for (size_t i = 0; i < COUNT_OF(our_files); i++) {
        luge_db *db;
        struct stat st;
        rig_open(r, NULL);
        commit_put(r, "k", "v");
        rig_close(r);
        write_file(target, "precious");
        unlink(inside(r, our_files[i]));
        assert_int_equal(symlink(target, inside(r, our_files[i])), 0);
        int rc = luge_open(r->path, NULL, &db);
        if (!rc) fine(luge_close(db));
        assert_int_equal(stat(target, &st), 0);
        assert_int_equal(st.st_size, 8);      /* not a byte of it changed */
        tree_remove(r->path);
    }
}

/* Files opened while 0, 1 and 2 are closed must not become stdout. */
static int without_standard_files(struct rig *r)
{
    luge_db *db;
    close(0);
    close(1);
    close(2);
    if (luge_open(r->path, NULL, &db)) return 2;
    for (int fd = 0; fd < 3; fd++)
        for (int i = 0; i < 100; i++)
            if (write(fd, "some message for people\n", 24) > 0) return 3;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"), luge_str("v")};
    if (luge_apply(db, 0, &op, 1)) return 4;
    return luge_close(db) ? 5 : 0;
}

static void low_descriptors(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    assert_int_equal(in_child(without_standard_files, r), 0);
    rig_open(r, NULL);
    now_holds(r, LUGE_MAIN, "k", "v");
}

/* What a program that we start inherits of our files: nothing. */
static int leaks_no_descriptor(struct rig *r)
{
    luge_db *db;
    char path[64], target[700];
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
    int open_files = 0;
    for (int fd = 3; fd < 200; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n < 0) continue;
        target[n] = 0;
        if (!strstr(target, "luge-test-")) continue;
        open_files++;
        CHILD_MUST(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    CHILD_MUST(open_files >= 2);
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

static void no_descriptor_is_inherited(void **state)
{
    CHILD_WITH_THREADS();
    assert_int_equal(in_child(leaks_no_descriptor, *state), 0);
}

/* As large as files may be: an error with a name, and nothing is lost. */
static int fill_the_limit(struct rig *r)
{
    struct rlimit limit = {4 << 20, RLIM_INFINITY};
    struct luge_options o = {.checkpoint_bytes = 1 << 20,
                             .log_keep_bytes = 1 << 20};
    luge_db *db;
    char value[20000];
    uint64_t landed = 0, n;
    luge_txn *txn;
    luge_bytes v;
    signal(SIGXFSZ, SIG_IGN);
    memset(value, 'v', sizeof value);
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    CHILD_MUST(!setrlimit(RLIMIT_FSIZE, &limit));
    for (int i = 0, rc = 0; !rc; i++) {
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN,
                             luge_bytes_of(&i, sizeof i),
                             luge_bytes_of(value, sizeof value)};
        CHILD_MUST(i < 2000);
        rc = luge_apply(db, 0, &op, 1);
        if (!rc) landed++;
        else CHILD_MUST(rc == LUGE_NOSPACE || rc == LUGE_IO);
    }
    CHILD_MUST(landed > 50);
    /* reading goes on; nothing of the refused one is there */
    if (!luge_begin(db, LUGE_READ, &txn)) {
        CHILD_ANSWERS(0, luge_tree_count(txn, LUGE_MAIN, &n));
        CHILD_MUST(n == landed);
        luge_abort(txn);
    }
    (void)luge_close(db);
    limit.rlim_cur = RLIM_INFINITY;
    CHILD_MUST(!setrlimit(RLIMIT_FSIZE, &limit));
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &txn));
    CHILD_ANSWERS(0, luge_tree_count(txn, LUGE_MAIN, &n));
    CHILD_MUST(n == landed);
    for (int i = 0; (uint64_t)i < landed; i++) {
        CHILD_ANSWERS(0, luge_get(txn, LUGE_MAIN, luge_bytes_of(&i, sizeof i),
                                  &v));
        CHILD_MUST(v.size == sizeof value && !memcmp(v.data, value, v.size));
    }
    luge_abort(txn);
    CHILD_ANSWERS(0, luge_check(db, NULL, NULL));
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* SIGXFSZ does as it does by itself: it would end the child. */
static int spill_over_the_limit(struct rig *r)
{
    static const char value[100000];
    struct rlimit limit = {4 << 20, RLIM_INFINITY};
    struct luge_options o = {.cache_bytes = 1 << 20};
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"), luge_str("v")};
    luge_db *db;
    luge_txn *txn;
    int rc = 0;
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
    CHILD_MUST(!setrlimit(RLIMIT_FSIZE, &limit));
    for (int i = 0; i < 200 && !rc; i++)
        rc = luge_put(txn, LUGE_MAIN, luge_bytes_of(&i, sizeof i),
                      luge_bytes_of(value, sizeof value));
    CHILD_MUST(rc == LUGE_NOSPACE);
    luge_abort(txn);
    CHILD_ANSWERS(0, luge_apply(db, LUGE_TXN_ASYNC, &op, 1));
    (void)luge_close(db);
    return 0;
}

static void a_spill_meets_the_limit(void **state)
{
    CHILD_WITH_THREADS();
    assert_int_equal(in_child(spill_over_the_limit, *state), 0);
}

static void no_space(void **state)
{
    CHILD_WITH_THREADS();
    assert_int_equal(in_child(fill_the_limit, *state), 0);
}

/* Open, put, close, until something says that the disk is full.  How many puts
 * landed. */
static int put_until_full(const char *path, uint64_t *landed)
{
    static unsigned char value[1000000];
    luge_db *db;
    luge_txn *txn;
    for (;; ++*landed) {
        int rc = luge_open(path, NULL, &db);
        if (rc == LUGE_NOSPACE) return 0;
        CHILD_ANSWERS(0, rc);
        CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
        pattern_fill(value, sizeof value, *landed);
        rc = luge_put(txn, LUGE_MAIN, luge_bytes_of(landed, sizeof *landed),
                      luge_bytes_of(value, sizeof value));
        if (rc) luge_abort(txn);
        else rc = luge_commit(txn);
        (void)luge_close(db);
        if (rc) {
            CHILD_MUST(rc == LUGE_NOSPACE);
            return 0;
        }
    }
}

/* A tmpfs gives holes memory when somebody reads them through a map: if it is
 * full, with a signal. */
static int fill_small_tmpfs(struct rig *r)
{
    char options[40];
    luge_db *db;
    luge_txn *txn;
    for (unsigned kib = 8000; kib < 14000; kib += 450) {
        uint64_t landed = 0, n = 0;
        snprintf(options, sizeof options, "size=%uk", kib);
        CHILD_MUST(!mount("tmpfs", r->base, "tmpfs", 0, options));
        int bad = put_until_full(r->path, &landed);
        CHILD_MUST(!bad && landed);
        CHILD_MUST(!mount("tmpfs", r->base, "tmpfs", MS_REMOUNT, "size=40m"));
        CHILD_ANSWERS(0, luge_open(r->path, NULL, &db));
        CHILD_ANSWERS(0, luge_check(db, NULL, NULL));
        CHILD_ANSWERS(0, luge_begin(db, LUGE_READ, &txn));
        CHILD_ANSWERS(0, luge_tree_count(txn, LUGE_MAIN, &n));
        CHILD_MUST(n == landed || n == landed + 1); /* nobody was told */
        luge_abort(txn);
        CHILD_ANSWERS(0, luge_close(db));
        CHILD_MUST(!umount(r->base));
    }
    return 0;
}

static void a_full_tmpfs(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    if (mount("tmpfs", r->base, "tmpfs", 0, "size=8m")) skip();
    assert_int_equal(umount(r->base), 0);
    int rc = in_child(fill_small_tmpfs, r);
    (void)umount2(r->base, MNT_DETACH);     /* if it died */
    assert_int_equal(rc, 0);
}

/* The same, without enough descriptors. */
static int without_descriptors(struct rig *r)
{
    struct rlimit limit;
    luge_db *db;
    for (rlim_t n = 4; n < 32; n++) {
        limit.rlim_cur = n;
        limit.rlim_max = 64;
        if (setrlimit(RLIMIT_NOFILE, &limit)) return 2;
        int rc = luge_open(r->path, NULL, &db);
        if (!rc) {
            CHILD_ANSWERS(0, luge_close(db));
            CHILD_MUST(n > 4);
            return 0;
        }
        CHILD_MUST(rc != LUGE_CORRUPT && rc != LUGE_NOTLUGE &&
                   rc != LUGE_NOTFOUND && rc != LUGE_BUSY);
    }
    return 3;
}

static void too_few_descriptors(void **state)
{
    CHILD_WITH_THREADS();
    struct rig *r = *state;
    rig_open(r, NULL);
    commit_put(r, "k", "v");
    rig_close(r);
    assert_int_equal(in_child(without_descriptors, r), 0);
    rig_open(r, NULL);
    now_holds(r, LUGE_MAIN, "k", "v");
}

static bool becomes_durable(luge_db *db, uint64_t seq)
{
    struct luge_stats stats;
    for (int i = 0; i < 500; i++) {
        fine(luge_stat(db, &stats));
        if (stats.seq_durable >= seq) return true;
        nap_us(10000);
    }
    return false;
}

/* The first handle only reads, the second writes, and does not close: what it
 * commits becomes durable in time all the same, and the last one to close
 * leaves a checkpoint. */
static void who_read_first_cares(void **state)
{
    struct rig *r = *state;
    struct luge_options reads = {.flags = LUGE_READ_ONLY};
    struct luge_options writes = {.durability = LUGE_ASYNC};
    struct luge_stats stats;
    static char value[100000];
    luge_db *reader;
    rig_open(r, NULL);
    rig_close(r);
    fine(luge_open(r->path, &reads, &reader));
    rig_open(r, &writes);
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"),
                         luge_bytes_of(value, sizeof value)};
    fine(luge_apply(r->db, 0, &op, 1));
    fine(luge_stat(r->db, &stats));
    assert_true(becomes_durable(r->db, stats.seq_committed));
    fine(luge_close(reader));
    rig_close(r);
    rig_open(r, NULL);
    fine(luge_stat(r->db, &stats));
    assert_int_equal(stats.recovery_records, 0);
}

/* A writer dies, and only who reads is left: it syncs what he left. */
static int commit_and_die(struct rig *r)
{
    struct luge_options o = {.durability = LUGE_ASYNC,
                             .sync_interval_ms = 60000};
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("k"),
                         luge_str("v")};
    rig_open(r, &o);
    CHILD_ANSWERS(0, luge_apply(r->db, 0, &op, 1));
    kill(getpid(), SIGKILL);
    return 0;
}

static void a_reader_syncs_for_the_dead(void **state)
{
    struct rig *r = *state;
    struct luge_options reads = {.flags = LUGE_READ_ONLY};
    struct luge_stats stats;
    rig_open(r, NULL);
    rig_close(r);
    rig_open(r, &reads);
    luge_db *db = r->db;
    r->db = NULL;
    assert_int_equal(in_child(commit_and_die, r), 1000 + SIGKILL);
    r->db = db;
    fine(luge_stat(r->db, &stats));
    assert_true(becomes_durable(r->db, stats.seq_committed));
    now_holds(r, LUGE_MAIN, "k", "v");
}

int main(void)
{
#define CLOSED(test)                                                          \
    cmocka_unit_test_setup_teardown(test, rig_setup_closed, rig_teardown)
    const struct CMUnitTest tests[] = {
        CLOSED(creating), CLOSED(in_an_empty_directory),
        CLOSED(no_such_parent), CLOSED(not_a_luge_directory),
        CLOSED(a_newer_format), CLOSED(options_out_of_range),
        CLOSED(page_sizes), CLOSED(temporary), CLOSED(two_handles),
        CLOSED(closing_while_in_use), CLOSED(read_only_handles),
        CLOSED(another_process), CLOSED(a_reader_beside_a_writer),
        CLOSED(a_validation_is_stopped),
        CLOSED(a_process_is_stopped_with_the_turn),
        CLOSED(a_replay_sorts), CLOSED(a_refused_record_stays_away),
        CLOSED(a_record_that_cannot_be_taken_back),
        CLOSED(the_thief_has_left), CLOSED(a_syncer_who_dies_leaves_doubt),
        CLOSED(a_checkpoint_leaves_the_gate_alone),
        CLOSED(free_lists_do_not_grow), CLOSED(address_spaces_differ),
        CLOSED(a_checkpoint_that_was_not_told), CLOSED(too_many_processes),
        CLOSED(creating_at_once),
        CLOSED(opening_and_closing_at_once),
        CLOSED(a_process_dies_with_the_turn), CLOSED(recovery),
        CLOSED(recovery_of_many),
        CLOSED(a_copy_is_a_database), CLOSED(after_fork),
        CLOSED(the_last_thefts), CLOSED(a_robbed_one_keeps_his_place),
        CLOSED(the_parent_dies_first), CLOSED(no_permission),
        CLOSED(planted_links), CLOSED(low_descriptors),
        CLOSED(no_descriptor_is_inherited), CLOSED(no_space),
        CLOSED(a_spill_meets_the_limit),
        CLOSED(a_full_tmpfs), CLOSED(too_few_descriptors),
        CLOSED(who_read_first_cares), CLOSED(a_reader_syncs_for_the_dead),
    };
    return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
