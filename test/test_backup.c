/* test/test_backup.c -- what luge_backup.h promises, in one process.
 *
 * Holds: full and incremental backups, restores to any commit, what damaged
 * and foreign streams answer.
 * Not here: writers meanwhile (crash_backup.c), the command (backup.sh).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "luge_backup.h"
#include "luge_feed.h"
#include "luge_fork.h"

/* ------------------------------------------------------------- streams -- */

struct tape {
    uint8_t *data;
    size_t size, at;
    struct luge_backup_info info;
    struct luge_backup_progress last;
};

static int tape_write(void *context, const void *data, size_t size)
{
    struct tape *t = context;
    t->data = grab_more(t->data, t->size + size);
    memcpy(t->data + t->size, data, size);
    t->size += size;
    return 0;
}

static int tape_read(void *context, void *to, size_t size, size_t *got)
{
    struct tape *t = context;
    *got = size < t->size - t->at ? size : t->size - t->at;
    if (*got > 7777) *got = 7777;               /* as a pipe gives it */
    memcpy(to, t->data + t->at, *got);
    t->at += *got;
    return 0;
}

static int tape_progress(void *context, const struct luge_backup_progress *p)
{
    struct tape *t = context;
    assert_true(p->bytes >= t->last.bytes && p->pages >= t->last.pages);
    t->last = *p;
    return 0;
}

static struct luge_backup_stream stream(struct tape *t)
{
    t->at = 0;
    memset(&t->last, 0, sizeof t->last);
    return (struct luge_backup_stream){t, tape_write, tape_read,
                                       tape_progress};
}

static void record(struct rig *r, struct tape *t, unsigned flags,
                   const struct tape *base)
{
    struct luge_backup_stream s = stream(t);
    t->size = 0;
    fine(luge_backup(r->db, flags, base ? &base->info : NULL, &s, &t->info));
    assert_int_equal(t->last.bytes, t->size);
    assert_int_equal(t->last.pages, t->info.pages);
}

static void wipe(struct tape *tapes, size_t count)
{
    for (size_t i = 0; i < count; i++) free(tapes[i].data);
}

/* A place beside the database. */
static const char *place(struct rig *r, const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", r->base, name);
    return path;
}

static int restore(struct rig *r, const char *name, struct tape *tapes,
                   size_t count, struct luge_restore_options o,
                   struct luge_restored *done)
{
    struct luge_backup_stream s[8];
    for (size_t i = 0; i < count; i++) s[i] = stream(&tapes[i]);
    o.streams = s;
    o.stream_count = count;
    tree_remove(place(r, name));
    return luge_restore(place(r, name), &o, done);
}

/* The checksum of the database at NAME, which must be sound. */
static uint64_t sum_of(struct rig *r, const char *name, uint64_t *seq)
{
    luge_db *db;
    luge_txn *txn;
    uint64_t sum;
    fine(luge_open(place(r, name), NULL, &db));
    fine(luge_check(db, NULL, NULL));
    fine(luge_begin(db, LUGE_READ, &txn));
    fine(luge_checksum(txn, &sum));
    *seq = luge_txn_seq(txn);
    luge_abort(txn);
    fine(luge_close(db));
    return sum;
}

/* A little of everything: many small values, some large ones, trees, forks and
 * snapshots that come and go. */
static void churn(struct rig *r, struct dice *d, int commits)
{
    static char value[100000];
    char key[32], name[32];
    for (int i = 0; i < commits; i++) {
        luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
        for (int n = 0; n < 20; n++) {
            size_t size = dice_chance(d, 5) ? dice_below(d, sizeof value)
                                            : dice_below(d, 200);
            pattern_fill(value, size, dice_next(d));
            snprintf(key, sizeof key, "%06u", dice_below(d, 2000));
            if (dice_chance(d, 20))
                (void)luge_del(txn, LUGE_MAIN, luge_str(key));
            else
                fine(luge_put(txn, LUGE_MAIN, luge_str(key),
                              luge_bytes_of(value, size)));
        }
        snprintf(name, sizeof name, "s%u", dice_below(d, 6));
        int rc = dice_chance(d, 30) ? luge_snapshot(txn, luge_str(
                     dice_chance(d, 50) ? "" : "main"), luge_str(name)) : 0;
        if (rc == LUGE_EXISTS) rc = luge_snapshot_drop(txn, luge_str(name));
        fine(rc);
        snprintf(name, sizeof name, "f%u", dice_below(d, 6));
        rc = dice_chance(d, 20) ? luge_fork(txn, luge_str("main"),
                                            luge_str(name), NULL) : 0;
        if (rc == LUGE_EXISTS) rc = luge_drop_path(txn, luge_str(name), NULL);
        fine(rc);
        fine(luge_commit(txn));
    }
}

/* --------------------------------------------------------------- tests -- */

static void full(void **state)
{
    struct rig *r = *state;
    struct tape t = {0};
    struct luge_restored done;
    struct luge_backup_info seen;
    struct dice d = dice_of(1, 1);
    uint64_t seq, id;
    churn(r, &d, 50);
    record(r, &t, 0, NULL);
    assert_int_equal(t.info.seq, luge_committed_seq(r->db));
    struct luge_backup_stream s = stream(&t);
    fine(luge_backup_look(&s, &seen));
    assert_memory_equal(&seen, &t.info, sizeof seen);
    uint64_t sum = checksum(r);
    churn(r, &d, 20);                       /* goes on, and is not in it */
    fine(restore(r, "copy", &t, 1, (struct luge_restore_options){0}, &done));
    assert_int_equal(done.seq, t.info.seq);
    assert_int_equal(done.time_ns, t.info.time_ns);
    assert_int_equal(sum_of(r, "copy", &seq), sum);
    assert_int_equal(seq, t.info.seq);
    /* it is a database of its own: it goes on, and ids are never given twice */
    fine(luge_next_id(r->db, &id));
    struct rig copy = {.base = r->base};
    snprintf(copy.path, sizeof copy.path, "%s", place(r, "copy"));
    rig_open(&copy, NULL);
    uint64_t other;
    fine(luge_next_id(copy.db, &other));
    assert_true(other > id + (1u << 30));
    churn(&copy, &d, 50);
    rig_reopen(&copy);
    fine(luge_check(copy.db, NULL, NULL));
    uint64_t oldest, newest;
    fine(luge_log_span(copy.db, &oldest, &newest));
    assert_int_equal(oldest, t.info.seq);
    assert_int_equal(newest, t.info.seq + 50);
    /* and no incremental backup of it goes on from one of the other */
    struct luge_backup_stream more = stream(&t);
    answers(LUGE_MISMATCH, luge_backup(copy.db, 0, &t.info, &more, NULL));
    rig_close(&copy);
    wipe(&t, 1);
}

static void incremental(void **state)
{
    struct rig *r = *state;
    struct tape t[6] = {0};
    struct dice d = dice_of(2, 1);
    uint64_t sums[6], seq;
    churn(r, &d, 200);
    for (int i = 0; i < 6; i++) {
        record(r, &t[i], i & 1 ? LUGE_BACKUP_LOG : 0, i ? &t[i - 1] : NULL);
        sums[i] = checksum(r);
        if (i) assert_true(t[i].info.base_seq == t[i - 1].info.seq);
        if (i == 2) rig_reopen(r);
        churn(r, &d, i == 4 ? 0 : 3);
    }
    assert_true(t[2].size < t[0].size / 2);
    assert_int_equal(t[5].info.pages, 0);           /* nothing was new */
    assert_true(t[5].size < 400);
    for (size_t n = 1; n <= 6; n++) {
        struct luge_restore_options o = {0};
        fine(restore(r, "copy", t, n, o, NULL));
        assert_int_equal(sum_of(r, "copy", &seq), sums[n - 1]);
        assert_int_equal(seq, t[n - 1].info.seq);
    }
    /* a row with a gap, without its begin, of twice the same */
    struct tape gap[2] = {t[0], t[2]}, twice[2] = {t[0], t[0]};
    struct luge_restore_options none = {0};
    answers(LUGE_MISMATCH, restore(r, "copy", gap, 2, none, NULL));
    answers(LUGE_MISMATCH, restore(r, "copy", t + 1, 2, none, NULL));
    answers(LUGE_MISMATCH, restore(r, "copy", twice, 2, none, NULL));
    answers(LUGE_INVALID, restore(r, "copy", t, 0, none, NULL));
    /* several in one stream */
    struct tape joined = {0};
    for (int i = 0; i < 4; i++) tape_write(&joined, t[i].data, t[i].size);
    fine(restore(r, "copy", &joined, 1, none, NULL));
    assert_int_equal(sum_of(r, "copy", &seq), sums[3]);
    wipe(&joined, 1);
    wipe(t, 6);
}

/* Every state of a history, out of backups with and without their log. */
static void any_commit(void **state)
{
    struct rig *r = *state;
    struct tape t[4] = {0};
    struct dice d = dice_of(3, 1);
    uint64_t sums[200], first = luge_committed_seq(r->db) + 1, seq;
    char log[700];
    snprintf(log, sizeof log, "%s/log", r->path);
    for (int i = 0; i < 120; i++) {
        churn(r, &d, 1);
        sums[i] = checksum(r);
        if (i == 20) record(r, &t[0], 0, NULL);
        if (i == 60) record(r, &t[1], LUGE_BACKUP_LOG, &t[0]);
        if (i == 80) record(r, &t[2], LUGE_BACKUP_LOG, &t[1]);
        if (i == 100) record(r, &t[3], 0, &t[2]);
    }
    for (int n = 0; n < 20; n++) {
        struct luge_restored done;
        uint32_t i = n < 3 ? 19 + (uint32_t)n : 20 + dice_below(&d, 100);
        struct luge_restore_options o = {.seq = first + i, .log = log};
        if (n & 1 && i <= 80) o.log = NULL;
        if (i < 20) {
            answers(LUGE_NOTFOUND, restore(r, "copy", t, 4, o, NULL));
            continue;
        }
        fine(restore(r, "copy", t, 4, o, &done));
        assert_int_equal(done.seq, first + i);
        assert_int_equal(sum_of(r, "copy", &seq), sums[i]);
        assert_int_equal(seq, first + i);
        /* by time: the same commit, and the nanosecond before it */
        o = (struct luge_restore_options){.time_ns = done.time_ns,
                                          .log = log};
        fine(restore(r, "copy", t, 4, o, &done));
        assert_int_equal(sum_of(r, "copy", &seq), sums[i]);
        o.time_ns--;
        if (i == 20) continue;
        fine(restore(r, "copy", t, 4, o, &done));
        assert_int_equal(sum_of(r, "copy", &seq), sums[i - 1]);
    }
    struct luge_restore_options o = {.seq = first + 90};
    answers(LUGE_EXPIRED, restore(r, "copy", t, 4, o, NULL));
    o = (struct luge_restore_options){.seq = first + 500, .log = log};
    answers(LUGE_EXPIRED, restore(r, "copy", t, 4, o, NULL));
    o.seq = UINT64_MAX;
    fine(restore(r, "copy", t, 1, o, NULL));
    assert_int_equal(sum_of(r, "copy", &seq), sums[119]);
    wipe(t, 4);
}

/* The segment in the middle of those in DIRECTORY goes. */
static void remove_middle(const char *directory)
{
    char path[1100];
    struct dirent **names;
    int count = scandir(directory, &names, NULL, alphasort), first = 0;
    while (first < count && names[first]->d_name[0] != '0') first++;
    int last = first;
    while (last + 1 < count && names[last + 1]->d_name[0] == '0') last++;
    assert_true(last - first >= 2);
    snprintf(path, sizeof path, "%s/%s", directory,
             names[(first + last) / 2]->d_name);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < count; i++) free(names[i]);
    free(names);
}

/* To the end of the log is to its end, not to where it is damaged. */
static void a_log_with_a_hole(void **state)
{
    struct rig *r = *state;
    struct tape t = {0};
    static char value[200000];
    char other[700], log[800];
    struct luge_restore_options o = {.seq = UINT64_MAX, .log = log};
    struct luge_restored done;
    commit_put(r, "k", "v");
    record(r, &t, 0, NULL);
    for (uint64_t i = 0; i < 60; i++) {
        pattern_fill(value, sizeof value, i);
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("large"),
                             luge_bytes_of(value, sizeof value)};
        fine(luge_apply(r->db, 0, &op, 1));
    }
    uint64_t last = luge_committed_seq(r->db);
    snprintf(other, sizeof other, "%s/other", r->base);
    snprintf(log, sizeof log, "%s/log", other);
    tree_copy(r->path, other);
    fine(restore(r, "copy", &t, 1, o, &done));
    assert_int_equal(done.seq, last);
    remove_middle(log);
    answers(LUGE_EXPIRED, restore(r, "copy", &t, 1, o, NULL));
    o.seq = done.seq - 58;
    fine(restore(r, "copy", &t, 1, o, &done));
    assert_int_equal(done.seq, last - 58);
    wipe(&t, 1);
}

static void where_it_goes(void **state)
{
    struct rig *r = *state;
    struct tape t = {0};
    char path[800];
    struct luge_restore_options o = {0};
    struct luge_backup_stream s = stream(&t);
    commit_put(r, "k", "v");
    record(r, &t, 0, NULL);
    o.streams = &s;
    o.stream_count = 1;
    answers(LUGE_EXISTS, luge_restore(r->path, &o, NULL));
    mkdir(place(r, "full"), 0777);
    snprintf(path, sizeof path, "%s/letter", place(r, "full"));
    fclose(fopen(path, "w"));
    s = stream(&t);
    answers(LUGE_NOTLUGE, luge_restore(place(r, "full"), &o, NULL));
    assert_int_equal(access(path, F_OK), 0);
    /* what failed may be tried again, and is no database before */
    s = stream(&t);
    t.size -= 30;
    answers(LUGE_CORRUPT, luge_restore(place(r, "copy"), &o, NULL));
    luge_db *db;
    answers(LUGE_NOTLUGE, luge_open(place(r, "copy"), NULL, &db));
    t.size += 30;
    s = stream(&t);
    fine(luge_restore(place(r, "copy"), &o, NULL));
    uint64_t seq;
    assert_int_equal(sum_of(r, "copy", &seq), checksum(r));
    snprintf(path, sizeof path, "%s/restoring", place(r, "copy"));
    assert_int_equal(access(path, F_OK), -1);
    wipe(&t, 1);
}

static void damaged(void **state)
{
    struct rig *r = *state;
    struct tape t = {0};
    struct dice d = dice_of(5, 1);
    struct luge_restore_options none = {0};
    struct luge_backup_info info;
    churn(r, &d, 10);
    record(r, &t, 0, NULL);
    for (int i = 0; i < 60; i++) {
        size_t whole = t.size, at = dice_next(&d) % t.size;
        uint8_t was = t.data[at];
        if (i & 1) t.size = at;
        else t.data[at] = (uint8_t)(was ^ (1u << dice_below(&d, 8)));
        int rc = restore(r, "copy", &t, 1, none, NULL);
        assert_true(rc == LUGE_CORRUPT || rc == LUGE_VERSION ||
                    (rc == LUGE_INVALID && !t.size));
        t.size = whole;
        t.data[at] = was;
    }
    struct luge_backup_stream s = stream(&t);
    t.size = 20;
    answers(LUGE_CORRUPT, luge_backup_look(&s, &info));
    wipe(&t, 1);
}

static int stops(void *context, const struct luge_backup_progress *p)
{
    (void)context;
    return p->bytes > 2000 ? LUGE_LIMIT : 0;
}

/* A copy made before a backup does not know it; the original does. */
static void lineage(void **state)
{
    struct rig *r = *state;
    struct tape t = {0}, more = {0};
    char copy[600];
    commit_put(r, "k", "v");
    rig_close(r);
    snprintf(copy, sizeof copy, "%s", place(r, "copy"));
    tree_copy(r->path, copy);
    rig_open(r, NULL);
    record(r, &t, 0, NULL);
    struct rig other = {.base = r->base};
    snprintf(other.path, sizeof other.path, "%s", copy);
    rig_open(&other, NULL);
    struct luge_backup_stream s = stream(&more);
    answers(LUGE_MISMATCH, luge_backup(other.db, 0, &t.info, &s, NULL));
    rig_close(&other);
    answers(LUGE_INVALID, luge_backup(r->db, 8, NULL, &s, NULL));
    answers(LUGE_INVALID, luge_backup(r->db, LUGE_BACKUP_LOG, NULL, &s, NULL));
    s.progress = stops;
    answers(LUGE_LIMIT, luge_backup(r->db, 0, NULL, &s, NULL));
    /* the oldest of many is forgotten */
    for (int i = 0; i < 129; i++) {
        commit_put(r, "k", i & 1 ? "v" : "w");
        record(r, &more, 0, NULL);
    }
    s = stream(&more);
    answers(LUGE_MISMATCH, luge_backup(r->db, 0, &t.info, &s, NULL));
    fine(luge_backup(r->db, 0, &more.info, &s, NULL));
    wipe(&t, 1);
    wipe(&more, 1);
}

/* The page file, as it is or was. */
static void page_file(struct rig *r, const char *from, const char *to)
{
    char command[1600];
    snprintf(command, sizeof command, "cp '%s/%s' '%s/%s'", r->path, from,
             r->path, to);
    assert_int_equal(system(command), 0);
}

/* Numbers of publications come again behind an older superblock: a backup that
 * knows them in their first meaning is nothing to go on from. */
static void an_older_superblock(void **state)
{
    struct rig *r = *state;
    struct tape t[2] = {0}, more = {0};
    struct dice d = dice_of(9, 1);
    uint64_t seq;
    churn(r, &d, 60);
    record(r, &t[0], 0, NULL);
    churn(r, &d, 60);
    fine(luge_checkpoint(r->db));
    page_file(r, "db", "older");
    churn(r, &d, 60);
    record(r, &t[1], 0, NULL);
    uint64_t sum = checksum(r);
    rig_close(r);
    page_file(r, "older", "db");
    rig_open(r, NULL);
    assert_int_equal(checksum(r), sum);
    churn(r, &d, 5);
    sum = checksum(r);
    struct luge_backup_stream s = stream(&more);
    answers(LUGE_MISMATCH, luge_backup(r->db, 0, &t[1].info, &s, NULL));
    /* the one before that is as good as ever */
    record(r, &t[1], 0, &t[0]);
    fine(restore(r, "copy", t, 2, (struct luge_restore_options){0}, NULL));
    assert_int_equal(sum_of(r, "copy", &seq), sum);
    wipe(&more, 1);
    wipe(t, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
        TEST(full), TEST(incremental), TEST(any_commit), TEST(where_it_goes),
        TEST(a_log_with_a_hole),
        TEST(damaged), TEST(lineage), TEST(an_older_superblock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
