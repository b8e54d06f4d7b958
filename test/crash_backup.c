/* test/crash_backup.c -- backups, restores, the past and compaction in a storm.
 *
 *   crash_backup [--seed N] [--writers N] [--seconds N] [--points N] [--disk]
 *
 * Holds: every commit of a writer is a number, the next one, and a seed from
 *        which all that it changed follows; both are written with it.  So what
 *        a state must hold can be told from its list of seeds, by a model that
 *        is an array.  Writers are processes; some are killed and come again.
 *   B1   A backup made meanwhile restores to a state that holds exactly what
 *        its list of commits says, and is sound; so does an incremental one on
 *        top of it, which is small.
 *   B2   So does a restore to any commit after the backup, and that commit is
 *        the last in it.
 *   B3   So does what luge_begin_at makes of any commit.
 *   B4   Compaction shortens the file, and no commit takes long meanwhile.
 * Not here: forks and snapshots against a model (crash_lineage).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_backup.h"
#include "luge_compact.h"
#include "luge_feed.h"
#include "luge_history.h"
#include "support.h"

enum { KEYS = 3000, CHANGES = 6, VALUE_MAX = 20000, WRITERS_MAX = 16 };

static struct {
    uint64_t seed;
    uint32_t writers, seconds, points, ballast;
    enum scratch_where where;
} setting = {1, 3, 3, 12, 60000, SCRATCH_FAST};

static struct shared {
    _Atomic uint32_t stop;
    _Atomic uint64_t longest_us[WRITERS_MAX];
    _Atomic uint64_t commits;
} *shared;

static char *base, path[600];
static luge_db *db;
static pid_t writers[WRITERS_MAX];

static void good(int rc, const char *what)
{
    if (rc)
        die("seed %llu: %s: %d, %s", (unsigned long long)setting.seed, what,
            rc, luge_last_error()->text);
}

static void must(bool holds, const char *what)
{
    if (!holds)
        die("seed %llu: not so: %s", (unsigned long long)setting.seed, what);
}

/* --------------------------------------------------------------- model -- */

/* What commit SEED does to key after key: a value's number, 0: it goes. */
struct change {
    uint32_t key, value;
};

static void changes_of(uint64_t seed, struct change *changes)
{
    struct dice d = dice_of(seed, 3);
    for (int i = 0; i < CHANGES; i++) {
        changes[i].key = dice_below(&d, KEYS);
        changes[i].value = dice_chance(&d, 15) ? 0
                                               : 1 + dice_below(&d, 1u << 30);
    }
}

static luge_bytes value_of(uint32_t number, uint8_t *space)
{
    struct dice d = dice_of(number, 4);
    size_t size = 4 + (dice_chance(&d, 5) ? dice_below(&d, VALUE_MAX - 4)
                                          : dice_below(&d, 300));
    pattern_fill(space, size, number);
    memcpy(space, &number, sizeof number);
    return luge_bytes_of(space, size);
}

static luge_bytes key_of(uint32_t number, char *space)
{
    return luge_bytes_of(space, (size_t)sprintf(space, "%06u", number));
}

static luge_bytes count_key(uint64_t count, char *space)
{
    return luge_bytes_of(space, (size_t)sprintf(space, "%012llu",
                                                (unsigned long long)count));
}

/* ------------------------------------------------------------- writers -- */

struct writing {
    uint64_t seed;
    uint64_t count;
};

static int write_one(luge_txn *txn, void *context)
{
    struct writing *w = context;
    struct change changes[CHANGES];
    static uint8_t space[VALUE_MAX];
    char key[32];
    luge_bytes last, value;
    luge_tree list;
    int rc = luge_tree_open(txn, luge_str("commits"), LUGE_TREE_CREATE, &list);
    if (rc) return rc;
    rc = luge_near(txn, list, LUGE_LAST, luge_str(""), &last, &value);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    w->count = 1;
    if (!rc) {
        memcpy(key, last.data, last.size);
        key[last.size] = 0;
        w->count += strtoull(key, NULL, 10);
    }
    rc = luge_put(txn, list, count_key(w->count, key),
                  luge_bytes_of(&w->seed, sizeof w->seed));
    changes_of(w->seed, changes);
    for (int i = 0; i < CHANGES && !rc; i++) {
        luge_bytes k = key_of(changes[i].key, key);
        rc = changes[i].value ? luge_put(txn, LUGE_MAIN, k,
                                         value_of(changes[i].value, space))
                              : luge_del(txn, LUGE_MAIN, k);
        if (rc == LUGE_NOTFOUND) rc = 0;
    }
    return rc;
}

static void write_on(uint32_t number, uint64_t stream, pid_t parent)
{
    struct luge_options options = {.durability = LUGE_ASYNC};
    struct dice d = dice_of(setting.seed, stream);
    luge_db *mine;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    good(luge_open(path, &options, &mine), "a writer opens");
    while (!atomic_load(&shared->stop)) {
        struct writing w = {.seed = dice_next(&d)};
        uint64_t start = now_ns();
        good(luge_transact(mine, 0, write_one, &w), "a writer commits");
        uint64_t us = (now_ns() - start) / 1000;
        if (us > shared->longest_us[number]) shared->longest_us[number] = us;
        atomic_fetch_add(&shared->commits, 1);
        nap_us(500);            /* or the log becomes too long to replay */
    }
    good(luge_close(mine), "a writer closes");
    _exit(0);
}

static void start_writer(uint32_t number)
{
    static uint64_t stream = 100;
    stream++;
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) die("fork");
    if (!pid) write_on(number, stream, parent);
    writers[number] = pid;
}

/* One of them dies where it stands. */
static void kill_writer(struct dice *d)
{
    uint32_t number = dice_below(d, setting.writers);
    kill(writers[number], SIGKILL);
    (void)waitpid(writers[number], NULL, 0);
    start_writer(number);
}

static void stop_writers(void)
{
    atomic_store(&shared->stop, 1);
    for (uint32_t i = 0; i < setting.writers; i++) {
        int status = 0;
        (void)waitpid(writers[i], &status, 0);
        must(WIFEXITED(status) && !WEXITSTATUS(status), "a writer ends well");
    }
}

static void wait_for_commits(uint64_t more)
{
    uint64_t until = atomic_load(&shared->commits) + more;
    uint64_t start = now_ns();
    while (atomic_load(&shared->commits) < until) {
        nap_us(1000);
        if (now_ns() - start > 60000000000u) die("nobody writes any more");
    }
}

/* -------------------------------------------------------------- verify -- */

/* The seeds of TXN's commits, in their order, applied to an array. */
static uint64_t model_of(luge_txn *txn, uint32_t *values)
{
    char wanted[32];
    luge_cursor *cursor;
    luge_bytes key, value;
    luge_tree list;
    uint64_t count = 0;
    memset(values, 0, KEYS * sizeof *values);
    int rc = luge_tree_open(txn, luge_str("commits"), 0, &list);
    if (rc == LUGE_NOTFOUND) return 0;
    good(rc, "the list of commits");
    good(luge_cursor_open(txn, list, &cursor), "a cursor");
    while (!(rc = luge_cursor_next(cursor, &key, &value))) {
        struct change changes[CHANGES];
        uint64_t seed;
        luge_bytes next = count_key(++count, wanted);
        must(key.size == next.size && !memcmp(key.data, next.data, key.size) &&
                 value.size == sizeof seed, "the commits have no gap");
        memcpy(&seed, value.data, sizeof seed);
        changes_of(seed, changes);
        for (int i = 0; i < CHANGES; i++)
            values[changes[i].key] = changes[i].value;
    }
    must(rc == LUGE_NOTFOUND, "the list ends");
    luge_cursor_close(cursor);
    return count;
}

/* How many commits TXN has; it holds what they say. */
static uint64_t verify(luge_txn *txn)
{
    static uint32_t values[KEYS];
    static uint8_t space[VALUE_MAX];
    char wanted[32];
    luge_cursor *cursor;
    luge_bytes key, value;
    uint64_t count = model_of(txn, values);
    good(luge_cursor_open(txn, LUGE_MAIN, &cursor), "a cursor");
    for (uint32_t i = 0; i < KEYS; i++) {
        if (!values[i]) continue;
        luge_bytes k = key_of(i, wanted), v = value_of(values[i], space);
        good(luge_cursor_next(cursor, &key, &value), "a key is missing");
        must(key.size == k.size && !memcmp(key.data, k.data, k.size),
             "the keys are the model's");
        must(value.size == v.size && !memcmp(value.data, v.data, v.size),
             "the values are the model's");
    }
    must(luge_cursor_next(cursor, &key, &value) == LUGE_NOTFOUND,
         "there are no more keys");
    luge_cursor_close(cursor);
    return count;
}

/* ---------------------------------------------------------------- tapes -- */

struct tape {
    uint8_t *data;
    size_t size, room, at;
    struct luge_backup_info info;
};

static int tape_write(void *context, const void *data, size_t size)
{
    struct tape *t = context;
    if (t->size + size > t->room) {
        t->room = 2 * (t->size + size);
        t->data = grab_more(t->data, t->room);
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
    return 0;
}

static int tape_read(void *context, void *to, size_t size, size_t *got)
{
    struct tape *t = context;
    *got = size < t->size - t->at ? size : t->size - t->at;
    memcpy(to, t->data + t->at, *got);
    t->at += *got;
    return 0;
}

static void record(struct tape *t, unsigned flags, const struct tape *since)
{
    struct luge_backup_stream s = {t, tape_write, tape_read, NULL};
    uint64_t start = now_ns();
    t->size = 0;
    good(luge_backup(db, flags, since ? &since->info : NULL, &s, &t->info),
         "backup");
    printf("%s backup of transaction %llu: %llu pages, %zu bytes, %.1f ms\n",
           since ? "incremental" : "full", (unsigned long long)t->info.seq,
           (unsigned long long)t->info.pages, t->size,
           (double)(now_ns() - start) / 1e6);
}

/* Restore to SEQ (0: the last backup's), verify, and forget it. */
static uint64_t restored(struct tape *tapes, size_t count, uint64_t seq)
{
    struct luge_backup_stream s[4];
    struct luge_restored done;
    char copy[640], log[640];
    luge_db *other;
    luge_txn *txn;
    for (size_t i = 0; i < count; i++) {
        tapes[i].at = 0;
        s[i] = (struct luge_backup_stream){&tapes[i], tape_write, tape_read,
                                           NULL};
    }
    snprintf(copy, sizeof copy, "%s/copy", base);
    snprintf(log, sizeof log, "%s/log", path);
    struct luge_restore_options o = {.streams = s, .stream_count = count,
                                     .seq = seq, .log = seq ? log : NULL};
    good(luge_restore(copy, &o, &done), "restore");
    must(done.seq == (seq ? seq : tapes[count - 1].info.seq),
         "it restores what was asked for");
    good(luge_open(copy, NULL, &other), "open the copy");
    good(luge_check(other, NULL, NULL), "check the copy");
    good(luge_begin(other, LUGE_READ, &txn), "begin");
    must(luge_txn_seq(txn) == done.seq, "the copy has the number");
    uint64_t commits = verify(txn);
    luge_abort(txn);
    good(luge_close(other), "close the copy");
    tree_remove(copy);
    return commits;
}

/* ---------------------------------------------------------------- parts -- */

static luge_bytes ballast_value(uint32_t i, uint8_t *space)
{
    pattern_fill(space, 100, i);
    return luge_bytes_of(space, 100);
}

static void load_ballast(void)
{
    uint8_t space[100];
    char key[32];
    for (uint32_t i = 0; i < setting.ballast;) {
        luge_tree tree;
        luge_txn *txn;
        good(luge_begin(db, LUGE_TURN, &txn), "begin");
        good(luge_tree_open(txn, luge_str("ballast"), LUGE_TREE_CREATE, &tree),
             "ballast");
        for (uint32_t n = 0; n < 20000 && i < setting.ballast; n++, i++)
            good(luge_put(txn, tree, key_of(i, key), ballast_value(i, space)),
                 "put");
        good(luge_commit(txn), "commit");
    }
}

/* B1 */
static void backups(struct tape *t, struct dice *d)
{
    uint64_t before = atomic_load(&shared->commits);
    record(&t[0], 0, NULL);
    uint64_t count = restored(t, 1, 0);
    /* Who was killed may have committed what he did not count. */
    must(count + setting.writers + 100 >= before, "B1, nothing is missing");
    for (int i = 1; i < 3; i++) {
        wait_for_commits(200);
        kill_writer(d);
        record(&t[i], i == 2 ? LUGE_BACKUP_LOG : 0, &t[i - 1]);
        must(t[i].info.pages < t[0].info.pages, "B1, small");
    }
    must(restored(t, 3, 0) >= count, "B1, incremental");
}

/* B3 */
static void past(uint32_t points, struct dice *d)
{
    struct luge_history h;
    uint64_t last_seq = 0, last_count = 0, us = 0;
    for (uint32_t i = 0; i < points; i++) {
        luge_txn *txn;
        good(luge_history_span(db, &h), "span");
        uint64_t seq = h.oldest_seq + dice_next(d) %
                                          (h.newest_seq - h.oldest_seq + 1);
        uint64_t start = now_ns();
        int rc = luge_begin_at(db, seq, &txn);
        /* A checkpoint may have come in between. */
        if (rc == LUGE_EXPIRED && !atomic_load(&shared->stop)) continue;
        if (rc && seq < 3) continue;
        good(rc, "begin at");
        us += (now_ns() - start) / 1000;
        must(luge_txn_seq(txn) == seq, "B3, the number");
        uint64_t count = seq < 3 ? 0 : verify(txn);
        luge_abort(txn);
        if (last_seq && count && last_count)
            must((count > last_count) == (seq > last_seq) ||
                     count == last_count, "B3, order");
        last_seq = seq;
        last_count = count;
    }
    printf("%u past states, of transactions up to %llu: %.1f ms each\n",
           points, (unsigned long long)h.newest_seq,
           (double)us / 1000 / points);
}

static int drop_ballast(luge_txn *txn, void *context)
{
    luge_tree tree;
    (void)context;
    int rc = luge_tree_open(txn, luge_str("ballast"), 0, &tree);
    return rc ? rc : luge_tree_drop(txn, tree);
}

/* B4 */
static void compaction(void)
{
    struct luge_compacted done;
    struct luge_stats s;
    uint64_t longest = 0;
    good(luge_transact(db, 0, drop_ballast, NULL), "drop the ballast");
    for (uint32_t i = 0; i < setting.writers; i++)
        atomic_store(&shared->longest_us[i], 0);
    good(luge_stat(db, &s), "stat");
    uint64_t before = s.pages_total, start = now_ns();
    double ms = 0;
    /* A writer that does not get on pins what he began at. */
    for (int i = 0; i < 50 && s.pages_total > before - before / 4; i++) {
        if (i) nap_us(100000);
        start = now_ns();
        good(luge_compact(db, NULL, NULL, &done), "compact");
        ms = (double)(now_ns() - start) / 1e6;
        good(luge_stat(db, &s), "stat");
    }
    for (uint32_t i = 0; i < setting.writers; i++)
        if (shared->longest_us[i] > longest) longest = shared->longest_us[i];
    printf("compacted from %llu to %llu pages in %.1f ms, %llu slices: the "
           "longest held the turn %.1f ms, the slowest commit took %.1f ms\n",
           (unsigned long long)before, (unsigned long long)s.pages_total, ms,
           (unsigned long long)done.slices, (double)done.longest_us / 1000,
           (double)longest / 1000);
    must(s.pages_total <= before - before / 4, "B4, it shrinks");
    must(longest < 2000000, "B4, nobody waits for long");
    good(luge_check(db, NULL, NULL), "check");
}

/* B2 */
static void points(struct tape *t, struct dice *d)
{
    luge_txn *txn;
    good(luge_begin(db, LUGE_READ, &txn), "begin");
    uint64_t newest = luge_txn_seq(txn), count = verify(txn);
    luge_abort(txn);
    uint64_t from = t[0].info.seq, start = now_ns();
    for (uint32_t i = 0; i < setting.points; i++) {
        uint64_t seq = from + dice_next(d) % (newest - from + 1);
        uint64_t found = restored(t, 1, seq);
        must(found <= count, "B2, no more than there are");
    }
    printf("%u restores to any of %llu transactions: %.1f ms each\n",
           setting.points, (unsigned long long)(newest - from),
           (double)(now_ns() - start) / 1e6 / setting.points);
    must(restored(t, 1, newest) == count, "B2, the last");
}

/* For all processes: a log that reaches back, and states to begin at. */
static int keep_log(luge_txn *txn, void *context)
{
    struct luge_retention log = {.flags = LUGE_KEEP_ALL};
    (void)context;
    return luge_retention_set(txn, &log);
}

static int keep_states(luge_txn *txn, void *context)
{
    struct luge_history_policy policy = {.every_bytes = 8 << 20};
    (void)context;
    return luge_history_policy_set(txn, &policy);
}

static void storm(void)
{
    struct dice d = dice_of(setting.seed, 1);
    struct tape t[3] = {0};
    good(luge_open(path, NULL, &db), "open");
    good(luge_transact(db, 0, keep_log, NULL), "keep the log");
    load_ballast();
    for (uint32_t i = 0; i < setting.writers; i++) start_writer(i);
    wait_for_commits(100);
    backups(t, &d);
    kill_writer(&d);
    compaction();
    good(luge_transact(db, 0, keep_states, NULL), "keep states");
    past(setting.points, &d);
    uint64_t end = now_ns() + setting.seconds * 1000000000ull;
    while (now_ns() < end) {
        nap_us(dice_below(&d, 200000));
        kill_writer(&d);
        past(1 + setting.points / 10, &d);
    }
    stop_writers();
    good(luge_check(db, NULL, NULL), "check");
    past(setting.points, &d);
    points(t, &d);
    for (int i = 0; i < 3; i++) free(t[i].data);
    good(luge_close(db), "close");
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        uint32_t number = (uint32_t)strtoul(value, NULL, 10);
        if (!strcmp(argv[i], "--disk")) {
            setting.where = SCRATCH_DISK;
            continue;
        }
        if (!strcmp(argv[i], "--seed")) setting.seed = number;
        else if (!strcmp(argv[i], "--writers")) setting.writers = number;
        else if (!strcmp(argv[i], "--seconds")) setting.seconds = number;
        else if (!strcmp(argv[i], "--points")) setting.points = number;
        else die("%s? see the head of crash_backup.c", argv[i]);
        i++;
    }
    if (!setting.writers || setting.writers > WRITERS_MAX || !setting.points)
        die("1 to %d writers, and a point", WRITERS_MAX);
}

int main(int argc, char **argv)
{
#ifdef __SANITIZE_THREAD__
    printf("skipped: children of a process with threads\n");
    return 77;
#endif
    const char *length = getenv("LUGE_TEST");
    if (length && !strcmp(length, "long")) {
        setting.seconds = 60;
        setting.points = 50;
    }
    if (length && !strcmp(length, "short")) {
        setting.seconds = 1;
        setting.points = 8;
        setting.ballast = 20000;
    }
    parse(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("crash_backup --seed %llu\n", (unsigned long long)setting.seed);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("no memory to share");
    base = scratch_make(setting.where);
    snprintf(path, sizeof path, "%s/db", base);
    storm();
    scratch_remove(base);
    return 0;
}
