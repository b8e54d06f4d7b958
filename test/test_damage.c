/* test/test_damage.c -- files that are not what luge wrote.
 *
 * Holds: whatever byte of whatever file is another one, luge answers with an
 * error or with the very data that was stored, and never with other data, a
 * crash or an endless loop.
 *   D1  after a clean close every byte of conf, db and log may be flipped
 *   D2  of a log that was not checkpointed: the newest commits may be missing,
 *       if the damage is in the last two records; else an error tells
 *   D3  files may be cut at any length, or be longer, or gone
 *   D4  two pages may be exchanged
 * Each damaged copy is opened in a child, which reads everything, writes if it
 * may, and lets luge_check have a look.
 * Not here: damage that keeps checksums right (fuzz_*.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child found; the parent judges. */
enum seen {
    SEEN_NOTHING,              /* it did not come so far: a crash, a hang */
    SEEN_ERROR,                /* opening or reading failed with a code */
    SEEN_SAME,                 /* all the data */
    SEEN_PREFIX,               /* the data of an earlier commit, whole */
    SEEN_WRONG,                /* anything else */
};
static const char *const seen_names[] = {"nothing", "an error", "the data",
                                         "older data", "wrong data"};

enum { COMMITS = 12 };

/* Shared with the children. */
static struct report {
    int seen, rc, prefix;
    char text[240];
} *report;

static uint64_t sums[COMMITS + 1];   /* content after each commit */

static struct luge_options options(void)
{
    struct luge_options o = {.checkpoint_bytes = 64 << 20};
    return o;
}

/* ----------------------------------------------------------- originals -- */

/* One of COMMITS transactions: small, middling and big values, trees. */
static int fill(luge_txn *txn, int commit)
{
    luge_tree tree = LUGE_MAIN;
    char key[32], name[16], *value = grab(60000);
    sprintf(name, "tree/%d", commit % 3);
    int rc = commit % 2 ? luge_tree_open(txn, luge_str(name), LUGE_TREE_CREATE,
                                         &tree)
                        : 0;
    for (int i = 0; i < 150 && !rc; i++) {
        size_t size = i % 50 == 7 ? 20000 + (size_t)i * 200 : (size_t)i % 90;
        sprintf(key, "%05d", i * 7919 % 30011);
        pattern_fill(value, size, (uint64_t)(commit * 1000 + i));
        rc = luge_put(txn, tree, luge_str(key), luge_bytes_of(value, size));
    }
    free(value);
    return rc;
}

static int all_sum(luge_db *db, uint64_t *sum)
{
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_READ, &txn);
    if (rc) return rc;
    rc = luge_checksum(txn, sum);
    luge_abort(txn);
    return rc;
}

static uint64_t *shared_sums;        /* the same, from a child */

static int make_original(struct rig *r)
{
    struct luge_options o = options();
    luge_db *db;
    CHILD_ANSWERS(0, luge_open(r->path, &o, &db));
    CHILD_ANSWERS(0, all_sum(db, &shared_sums[0]));
    for (int i = 0; i < COMMITS; i++) {
        luge_txn *txn;
        CHILD_ANSWERS(0, luge_begin(db, LUGE_WRITE, &txn));
        CHILD_ANSWERS(0, fill(txn, i));
        CHILD_ANSWERS(0, luge_commit(txn));
        CHILD_ANSWERS(0, all_sum(db, &shared_sums[i + 1]));
    }
    if (shared_sums[COMMITS + 1]) kill(getpid(), SIGKILL);
    CHILD_ANSWERS(0, luge_close(db));
    return 0;
}

/* ------------------------------------------------------ the examination -- */

/* Read everything in ways that do not share code with luge_checksum. */
static int read_all(luge_db *db)
{
    char room[LUGE_NAME_SIZE_MAX];
    luge_bytes name = luge_bytes_of(room, 0), key, value;
    luge_tree tree;
    luge_txn *txn;
    volatile unsigned char sink = 0;
    int rc = luge_begin(db, LUGE_READ, &txn);
    if (rc) return rc;
    while (!(rc = luge_tree_after(txn, name, &name, &tree))) {
        luge_cursor *c;
        struct luge_tree_stats s;
        memcpy(room, name.data, name.size);
        name.data = room;
        rc = luge_tree_stat(txn, tree, &s);
        if (!rc) rc = luge_cursor_open(txn, tree, &c);
        if (rc) break;
        while (!(rc = luge_cursor_prev(c, &key, &value)))
            for (size_t i = 0; i < value.size; i += 512)
                sink = (unsigned char)(sink ^
                                       ((const unsigned char *)value.data)[i]);
        luge_cursor_close(c);
        if (rc != LUGE_NOTFOUND) break;
    }
    luge_abort(txn);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static void judge_sum(uint64_t sum)
{
    report->seen = SEEN_WRONG;
    for (int i = 0; i <= COMMITS; i++)
        if (sum == sums[i]) {
            report->seen = i == COMMITS ? SEEN_SAME : SEEN_PREFIX;
            report->prefix = i;
        }
}

static int examine(struct rig *r)
{
    struct luge_options o = options();
    luge_db *db;
    uint64_t sum;
    int rc = luge_open(r->path, &o, &db);
    if (!rc) {
        rc = all_sum(db, &sum);
        int rc2 = read_all(db);
        if (!rc) judge_sum(sum);
        if (!rc) rc = rc2;
        (void)luge_check(db, NULL, NULL);
        struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, luge_str("after"),
                             luge_str("the damage")};
        (void)luge_apply(db, 0, &op, 1);
        (void)luge_close(db);
    }
    if (!rc) return 0;
    report->rc = rc;
    if (report->seen != SEEN_WRONG) report->seen = SEEN_ERROR;
    snprintf(report->text, sizeof report->text, "%s", luge_last_error()->text);
    return rc > 0 || rc < -22;       /* a code without a name */
}

/* Open R's database in a child and see. */
static int look(struct rig *r)
{
    memset(report, 0, sizeof *report);
    return in_child(examine, r);
}

struct tally { int same, errors, prefixes, bad; };

/* D1, D2: what may be seen with a byte changed at WHERE. */
static void accept(struct tally *t, int status, bool prefix_allowed,
                   const char *where)
{
    bool fine = status == 0 && (report->seen == SEEN_SAME ||
                                report->seen == SEEN_ERROR ||
                                (report->seen == SEEN_PREFIX &&
                                 prefix_allowed &&
                                 report->prefix >= COMMITS - 2));
    if (!fine && t->bad++ < 5)
        print_error("%s: %s was seen (version %d of %d), child's end %d, "
                    "code %d: %s\n", where, seen_names[report->seen],
                    report->prefix, COMMITS, status, report->rc, report->text);
    t->same += report->seen == SEEN_SAME;
    t->errors += report->seen == SEEN_ERROR;
    t->prefixes += report->seen == SEEN_PREFIX;
}

/* ------------------------------------------------------------- damaging -- */

struct site { char file[64]; uint64_t size; };

static size_t list_files(const char *path, const char *below,
                         struct site *sites, size_t count)
{
    char full[800];
    snprintf(full, sizeof full, "%s/%s", path, below);
    DIR *dir = opendir(full);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char name[300];
        struct stat st;
        if (e->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s%s%.200s", below, *below ? "/" : "",
                 e->d_name);
        snprintf(full, sizeof full, "%s/%s", path, name);
        assert_int_equal(stat(full, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            count = list_files(path, name, sites, count);
        } else if (strcmp(name, "lock") && strcmp(name, "shm") &&
                   strcmp(name, "notify")) {
            snprintf(sites[count].file, sizeof sites[count].file, "%.60s",
                     name);
            sites[count++].size = (uint64_t)st.st_size;
        }
    }
    closedir(dir);
    return count;
}

static uint64_t poke(const char *path, const char *file, uint64_t at,
                     const void *bytes, size_t size)
{
    char full[800];
    uint64_t was = 0;
    snprintf(full, sizeof full, "%s/%s", path, file);
    int fd = open(full, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &was, size, (off_t)at), size);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), size);
    close(fd);
    return was;
}

static void restore(struct rig *r, const char *original)
{
    tree_remove(r->path);
    tree_copy(original, r->path);
}

/* Where the bytes of FILE are worth flipping: dense at the start and in what
 * is not zero, thin in the rest. */
static uint64_t some_offset(struct dice *d, const struct site *s)
{
    if (s->size > 8192 && dice_chance(d, 30)) return dice_below(d, 8192);
    if (s->size > 65536 && dice_chance(d, 50)) return dice_below(d, 65536);
    return dice_next(d) % s->size;
}

static unsigned rounds(unsigned usual)
{
    const char *length = getenv("LUGE_TEST");
    if (length && !strcmp(length, "long")) return usual * 50;
    if (length && !strcmp(length, "short")) return usual / 4;
    return usual;
}

/* Change a random byte of one file, COUNT times.  LAST: the newest commit may
 * be missing then, but no other. */
static struct tally flip(struct rig *r, const char *original,
                         const struct site *s, unsigned count, bool last)
{
    struct tally t = {0};
    for (unsigned i = 0; i < count; i++) {
        struct dice d = dice_of(i, digest(0, s->file, strlen(s->file)));
        uint64_t at = some_offset(&d, s);
        unsigned char byte = 0;
        char where[160];
        restore(r, original);
        byte = (unsigned char)poke(r->path, s->file, at, &byte, 1);
        unsigned char damaged = (unsigned char)(byte ^ 1u << dice_below(&d, 8));
        if (dice_chance(&d, 15)) damaged = 0xff;
        if (dice_chance(&d, 15)) damaged = 0;
        poke(r->path, s->file, at, &damaged, 1);
        snprintf(where, sizeof where, "%.60s, byte %llu: %02x for %02x",
                 s->file, (unsigned long long)at, damaged, byte);
        int status = look(r);
        accept(&t, status, last, where);
    }
    print_message("  %-16.60s %8llu bytes: %d same, %d errors, %d older\n",
                  s->file, (unsigned long long)s->size, t.same, t.errors,
                  t.prefixes);
    assert_int_equal(t.bad, 0);
    return t;
}

static void share_memory(void)
{
    report = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_sums = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(report != MAP_FAILED && shared_sums != MAP_FAILED);
}

/* Make the original, and put it aside as base/original.  CLEAN: closed as one
 * should; else killed right after the last commit. */
static char *prepare(struct rig *r, bool clean)
{
    static char original[640];
    share_memory();
    shared_sums[COMMITS + 1] = !clean;
    assert_int_equal(in_child(make_original, r), clean ? 0 : 1000 + SIGKILL);
    memcpy(sums, shared_sums, sizeof sums);
    snprintf(original, sizeof original, "%s/original", r->base);
    tree_copy(r->path, original);
    restore(r, original);
    assert_int_equal(look(r), 0);      /* undamaged it is what it was */
    assert_int_equal(report->seen, SEEN_SAME);
    return original;
}

static void flipped_after_a_clean_close(void **state)
{
    struct rig *r = *state;
    struct site sites[32];
    char *original = prepare(r, true);
    size_t count = list_files(original, "", sites, 0);
    int errors = 0;
    assert_true(count >= 3);
    for (size_t i = 0; i < count; i++) {
        bool db = !strcmp(sites[i].file, "db");
        if (!sites[i].size) continue;
        struct tally t = flip(r, original, &sites[i], rounds(db ? 300 : 60),
                              false);
        errors += t.errors;
        if (db) assert_true(t.errors > 0);  /* or nothing is ever checked */
    }
    assert_true(errors > 0);
}

/* D2.  Only of the last records one cannot know that they were whole once. */
static void flipped_log_of_a_killed_process(void **state)
{
    struct rig *r = *state;
    struct site sites[32];
    char *original = prepare(r, false);
    size_t count = list_files(original, "", sites, 0);
    for (size_t i = 0; i < count; i++)
        if (!strncmp(sites[i].file, "log/", 4) && sites[i].size)
            (void)flip(r, original, &sites[i], rounds(200), true);
    /* A damaged record ends the log as a torn one does, unless a later frame
     * says that it was durable: of the last two there may be none. */
    assert_true(count > 0);
}

/* --------------------------------------------------------- cut and gone -- */

static void cut_one(struct rig *r, const char *original, const struct site *s,
                    uint64_t length, struct tally *t)
{
    char full[800], where[160];
    restore(r, original);
    snprintf(full, sizeof full, "%s/%.60s", r->path, s->file);
    assert_int_equal(truncate(full, (off_t)length), 0);
    snprintf(where, sizeof where, "%.60s cut to %llu of %llu bytes", s->file,
             (unsigned long long)length, (unsigned long long)s->size);
    accept(t, look(r), false, where);
}

static void cut_files(void **state)
{
    struct rig *r = *state;
    struct site sites[32];
    char *original = prepare(r, true);
    size_t count = list_files(original, "", sites, 0);
    struct tally t = {0};
    for (size_t i = 0; i < count; i++) {
        uint64_t size = sites[i].size;
        struct dice d = dice_of(3, i);
        cut_one(r, original, &sites[i], 0, &t);
        cut_one(r, original, &sites[i], 1, &t);
        cut_one(r, original, &sites[i], size - 1, &t);
        cut_one(r, original, &sites[i], size + 1, &t);
        cut_one(r, original, &sites[i], size + 4096, &t);
        for (uint64_t at = 4096; at < size && at <= 65536; at += 4096)
            cut_one(r, original, &sites[i], at, &t);
        for (unsigned j = 0; j < rounds(20); j++)
            cut_one(r, original, &sites[i], dice_next(&d) % size, &t);
    }
    print_message("  cut: %d same, %d errors\n", t.same, t.errors);
    assert_int_equal(t.bad, 0);
    assert_true(t.errors > 0 && t.same > 0);
}

/* Somebody cuts the page file while we have it open.  Whoever begins when that
 * was seen gets an error; nobody touches what is gone. */
static void cut_while_open(void **state)
{
    struct rig *r = *state;
    char path[700];
    uint64_t until = now_ns() + 20000000000u;
    luge_txn *txn;
    int rc;
    rig_open(r, NULL);
    for (int i = 0; i < 50; i++) commit_put(r, "k", "value");
    fine(luge_checkpoint(r->db));
    snprintf(path, sizeof path, "%s/db", r->path);
    assert_int_equal(truncate(path, 8192), 0);
    while (!(rc = luge_begin(r->db, LUGE_READ, &txn)) && now_ns() < until) {
        luge_abort(txn);
        nap_us(1000);
    }
    assert_int_equal(rc, LUGE_BROKEN);
    (void)luge_close(r->db);
    r->db = NULL;
    answers(LUGE_CORRUPT, luge_open(r->path, NULL, &r->db));
    r->db = NULL;
}

static void opens_corrupt(struct rig *r, unsigned flags)
{
    struct luge_options o = {.flags = flags};
    luge_db *db;
    answers(LUGE_CORRUPT, luge_open(r->path, &o, &db));
    assert_non_null(strstr(luge_last_error()->text, "is missing"));
}

/* A database that lacks what it cannot do without is not one that is not there,
 * whoever asks. */
static void said_to_be_missing(void **state)
{
    static const char *const names[] = {"conf", "db", "log"};
    struct rig *r = *state;
    char *original = prepare(r, true), full[800];
    for (unsigned i = 0; i < 3; i++) {
        restore(r, original);
        snprintf(full, sizeof full, "%s/%s", r->path, names[i]);
        tree_remove(full);
        opens_corrupt(r, 0);
        opens_corrupt(r, LUGE_MUST_EXIST);
        opens_corrupt(r, LUGE_READ_ONLY);
    }
}

static void missing_files(void **state)
{
    struct rig *r = *state;
    struct site sites[32];
    char *original = prepare(r, true), full[800];
    size_t count = list_files(original, "", sites, 0);
    struct tally t = {0};
    for (size_t i = 0; i < count; i++) {
        restore(r, original);
        snprintf(full, sizeof full, "%s/%.60s", r->path,
                 sites[i].file);
        assert_int_equal(unlink(full), 0);
        accept(&t, look(r), false, sites[i].file);
    }
    restore(r, original);
    snprintf(full, sizeof full, "%s/log", r->path);
    tree_remove(full);
    accept(&t, look(r), false, "the log");
    assert_int_equal(t.bad, 0);
    assert_true(t.errors > 0);
}

/* ------------------------------------------------------------ exchanged -- */

static void exchanged_pages(void **state)
{
    struct rig *r = *state;
    char *original = prepare(r, true), full[800], a[4096], b[4096], where[100];
    struct tally t = {0};
    struct dice d = dice_of(4, 0);
    snprintf(full, sizeof full, "%s/db", original);
    uint64_t pages = file_size(full) / 4096;
    assert_true(pages > 20);
    snprintf(full, sizeof full, "%s/db", r->path);
    for (unsigned i = 0; i < rounds(120); i++) {
        off_t x = (off_t)(2 + dice_next(&d) % (pages - 2)) * 4096;
        off_t y = (off_t)(2 + dice_next(&d) % (pages - 2)) * 4096;
        restore(r, original);
        int fd = open(full, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, a, 4096, x), 4096);
        assert_int_equal(pread(fd, b, 4096, y), 4096);
        assert_int_equal(pwrite(fd, b, 4096, x), 4096);
        if (i % 2) assert_int_equal(pwrite(fd, a, 4096, y), 4096);
        close(fd);
        snprintf(where, sizeof where, "page %lld in place of %lld",
                 (long long)y / 4096, (long long)x / 4096);
        accept(&t, look(r), false, where);
    }
    print_message("  exchanged pages: %d same, %d errors\n", t.same, t.errors);
    assert_int_equal(t.bad, 0);
    assert_true(t.errors > 0);
}

int main(void)
{
#define CLOSED(test)                                                          \
    cmocka_unit_test_setup_teardown(test, rig_setup_closed, rig_teardown)
    const struct CMUnitTest tests[] = {
        CLOSED(flipped_after_a_clean_close),
        CLOSED(flipped_log_of_a_killed_process), CLOSED(cut_files),
        CLOSED(cut_while_open), CLOSED(missing_files),
        CLOSED(said_to_be_missing),
        CLOSED(exchanged_pages),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
