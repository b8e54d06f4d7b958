/* test/fuzz_files.c -- malformed files: what luge answers to them.
 *
 *   fuzz_files [--seeds A..B] [--minutes M] [--trace]
 *
 * Holds: a seed is one database of six (small, with large values, with deep
 * trees of long keys, killed while it worked, with a log of many segments, with
 * forks and snapshots), damaged in one to four ways (mutate.h).  It is opened,
 * read in every way, checked, written, closed, and all that once more.
 *   Z1  Nobody dies, hangs, or reads where nothing is (the address sanitizer
 *       and the map behind the file's end see to that).
 *   Z2  Every answer is 0 or a code of luge.h that left its sentence.
 *   Z3  Blind damage: what can be read is the content after some commit; after
 *       a clean close, with the log untouched, after the last one.
 * Sealed damage keeps checksums right, so any content may be found (Z1, Z2).
 * Not here: single flips, of which the exact answer is known (test_damage.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "batch.h"
#include "image.h"
#include "luge.h"
#include "luge_feed.h"
#include "luge_fork.h"
#include "mutate.h"

enum {
    ORIGINALS = 6, COMMITS_MAX = 40, PAIRS_MAX = 20000, KEY_MAX = 1024,
    VALUE_MAX = 70000,
};

/* A commit leaves room in a patch, which with tiny nodes has four cells. */
#ifdef LUGE_HARD
enum { FORK_PAIRS = 3 };
#else
enum { FORK_PAIRS = 12 };
#endif

enum { SAME, OLDER, REFUSED, SEALED_READ, SEALED_REFUSED };
static const char *const tallies[] = {
    "the same", "older", "refused", "sealed and read", "sealed and refused",
    NULL,
};

/* ----------------------------------------------------------- originals -- */

static const struct kind {
    unsigned commits, pairs, key_min, key_max, value_max, large_percent, trees;
    struct luge_options options;
    bool killed, forks;
} kinds[ORIGINALS] = {
    {6, 60, 3, 20, 60, 0, 3, {0}, false, false},
    {8, 20, 3, 20, 2000, 30, 4, {.page_bytes = 8192}, false,
     false},
    {10, 120, 40, KEY_MAX, 200, 1, 40,
     {.checkpoint_bytes = 64 << 10, .log_keep_bytes = 1}, false,
     false},
    {20, 30, 3, 200, 300, 4, 6, {.checkpoint_bytes = 300 << 10}, true,
     false},
    {30, 60, 3, 30, 900, 3, 5,
     {.checkpoint_bytes = 1 << 20, .durability = LUGE_ASYNC}, true,
     false},
    {16, FORK_PAIRS, 8, 60, 300, 0, 2, {.checkpoint_bytes = 64 << 10}, false,
     true},
};

static struct original {
    struct image image;
    unsigned versions;
    uint64_t sums[COMMITS_MAX + 1];
} originals[ORIGINALS];

static int all_sum(luge_db *db, uint64_t *sum)
{
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_READ, &txn);
    if (rc) return rc;
    rc = luge_checksum(txn, sum);
    luge_abort(txn);
    return rc;
}

static int put_some(luge_txn *txn, const struct kind *k, struct dice *d)
{
    static unsigned char key[KEY_MAX], value[VALUE_MAX];
    luge_tree tree = LUGE_MAIN;
    char name[40];
    snprintf(name, sizeof name, "tree/%u/of many", dice_below(d, k->trees));
    int rc = dice_chance(d, 30) ? 0 : luge_tree_open(txn, luge_str(name),
                                                     LUGE_TREE_CREATE, &tree);
    for (unsigned i = 0; i < k->pairs && !rc; i++) {
        size_t size = k->key_min + dice_below(d, k->key_max - k->key_min + 1);
        size_t bytes = dice_chance(d, k->large_percent)
                           ? dice_below(d, VALUE_MAX)
                           : dice_below(d, k->value_max);
        pattern_fill(key, size, dice_below(d, 2000));
        memcpy(key, "key", 3);
        pattern_fill(value, bytes, dice_next(d));
        rc = luge_put(txn, tree, luge_bytes_of(key, size),
                      luge_bytes_of(value, bytes));
    }
    if (!rc && dice_chance(d, 8) && tree != LUGE_MAIN)
        rc = luge_tree_drop(txn, tree);
    return rc;
}

/* Much is shared then, and small changes stay in patches. */
static int fork_some(luge_txn *txn, unsigned i)
{
    char name[40];
    if (i % 4 != 3) return 0;
    snprintf(name, sizeof name, "of %u", i);
    int rc = luge_snapshot(txn, luge_str(""), luge_str(name));
    return rc ? rc : luge_fork(txn, luge_str("main"), luge_str(name), NULL);
}

/* In a child, which may have to be killed.  SUMS is shared with the parent. */
static int make(const char *path, const struct kind *k, unsigned seed,
                uint64_t *sums)
{
    struct dice d = dice_of(seed, 1);
    struct luge_options o = k->options;
    luge_db *db;
    uint64_t id;
    int rc = luge_open(path, &o, &db);
    if (!rc) rc = all_sum(db, &sums[0]);
    for (unsigned i = 0; i < k->commits && !rc; i++) {
        luge_txn *txn;
        rc = luge_begin(db, LUGE_WRITE, &txn);
        if (!rc) rc = put_some(txn, k, &d);
        if (!rc && k->forks) rc = fork_some(txn, i);
        if (!rc && i == 2)
            rc = luge_consumer_create(txn, luge_str("consumer"), 1);
        if (!rc) rc = luge_commit(txn);
        if (!rc) rc = luge_sync(db);
        if (!rc && i % 7 == 3) rc = luge_next_id(db, &id);
        if (!rc && i == k->commits / 2) rc = luge_checkpoint(db);
        if (!rc) rc = all_sum(db, &sums[i + 1]);
    }
    if (!rc && k->killed) kill(getpid(), SIGKILL);
    return rc ? rc : luge_close(db);
}

static bool has_patch(const struct image_file *db)
{
    for (size_t at = 2 * 4096; db && at < db->size; at += 4096)
        if (db->data[at + 16] == 4) return true;        /* format.md 3.1 */
    return false;
}

static void make_original(struct original *o, const char *path,
                          const struct kind *k, unsigned seed)
{
    uint64_t *sums = mmap(NULL, sizeof o->sums, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    if (sums == MAP_FAILED) die("no shared memory");
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) die("no fork");
    if (!child) _exit(make(path, k, seed, sums) ? 1 : 0);
    waitpid(child, &status, 0);
    if (k->killed ? !WIFSIGNALED(status) : status != 0)
        die("original %u could not be made", seed);
    memcpy(o->sums, sums, sizeof o->sums);
    munmap(sums, sizeof o->sums);
    o->versions = k->commits + 1;
    image_load(&o->image, path);
    tree_remove(path);
    if (k->forks && !has_patch(image_find(&o->image, "db")))
        die("original %u was to have a patch", seed);
}

/* ----------------------------------------------------------- answers -- */

struct look {
    luge_db *db;
    const char *words;       /* what was done to the files */
    bool trace;
    int worst;               /* an answer that was not 0 or NOTFOUND */
};

/* Z2.  True: go on. */
static bool fine(struct look *l, int rc, const char *call)
{
    const struct luge_error *e = luge_last_error();
    batch_tick();
    if (l->trace)
        fprintf(stderr, "    %s: %d %s (%s:%d)\n", call, rc,
                rc ? e->text : "", rc ? e->file : "", rc ? e->line : 0);
    if (!rc) return true;
    if (rc == LUGE_NOTFOUND) return false;    /* it may come without words */
    if (rc > 0 || rc < LUGE_TIMEOUT || e->code != rc || !e->text[0])
        batch_failed("%s answered %d, and the last error is %d (%s)\n  %s",
                     call, rc, e->code, e->text, l->words);
    l->worst = rc;
    return false;
}

/* --------------------------------------------------------------- reading -- */

static void touch(luge_bytes b)
{
    volatile unsigned char sink = 0;
    const unsigned char *p = b.data;
    for (size_t i = 0; i < b.size; i += 256)
        sink = (unsigned char)(sink ^ p[i]);
    if (b.size) sink = (unsigned char)(sink ^ p[b.size - 1]);
}

static void walk(struct look *l, luge_txn *txn, luge_tree tree, bool back)
{
    luge_bytes key, value, got;
    unsigned char room[KEY_MAX];
    luge_cursor *c;
    unsigned n = 0;
    if (!fine(l, luge_cursor_open(txn, tree, &c), "luge_cursor_open")) return;
    while (n++ < PAIRS_MAX &&
           fine(l, back ? luge_cursor_prev(c, &key, &value)
                        : luge_cursor_next(c, &key, &value),
                "luge_cursor_next")) {
        touch(key);
        touch(value);
        if (key.size > sizeof room) {
            batch_failed("a key of %zu bytes\n  %s", key.size, l->words);
            break;
        }
        if (n % 16) continue;
        memcpy(room, key.data, key.size);
        key.data = room;
        if (fine(l, luge_get(txn, tree, key, &got), "luge_get")) touch(got);
        if (fine(l, luge_near(txn, tree, LUGE_LT, key, &key, &got),
                 "luge_near"))
            touch(got);
    }
    luge_cursor_close(c);
}

static void read_trees(struct look *l)
{
    char room[LUGE_NAME_SIZE_MAX];
    luge_bytes name = luge_bytes_of(room, 0);
    struct luge_tree_stats stats;
    uint64_t count;
    luge_tree tree;
    luge_txn *txn;
    unsigned n = 0;
    if (!fine(l, luge_begin(l->db, LUGE_READ, &txn), "luge_begin")) return;
    while (n++ < 300 && fine(l, luge_tree_after(txn, name, &name, &tree),
                             "luge_tree_after")) {
        if (name.size > sizeof room) {
            batch_failed("a name of %zu bytes\n  %s", name.size, l->words);
            break;
        }
        memcpy(room, name.data, name.size);
        name.data = room;
        (void)fine(l, luge_tree_count(txn, tree, &count), "luge_tree_count");
        (void)fine(l, luge_tree_stat(txn, tree, &stats), "luge_tree_stat");
        walk(l, txn, tree, false);
        walk(l, txn, tree, true);
    }
    luge_abort(txn);
}

static void read_log(struct look *l)
{
    struct luge_watch_options o = {.from = LUGE_FROM_SEQ};
    const struct luge_change_set *set;
    uint64_t newest;
    luge_watch *w;
    if (!fine(l, luge_log_span(l->db, &o.seq, &newest), "luge_log_span"))
        return;
    if (!fine(l, luge_watch_open(l->db, &o, &w), "luge_watch_open")) return;
    for (unsigned n = 0; n < 300; n++) {
        int rc = luge_watch_next(w, 0, &set);
        if (rc == LUGE_TIMEOUT || !fine(l, rc, "luge_watch_next")) break;
        for (size_t i = 0; i < set->count; i++) {
            touch(set->changes[i].key);
            touch(set->changes[i].value);
        }
    }
    luge_watch_close(w);
}

static void on_defect(void *context, const char *sentence)
{
    const struct look *l = context;
    batch_tick();
    if (l->trace) fprintf(stderr, "    luge_check: %s\n", sentence);
}

/* --------------------------------------------------------------- writing -- */

static int change(luge_txn *txn, struct dice *d)
{
    static unsigned char room[VALUE_MAX];
    static const struct kind k = {0, 20, 3, 60, 300, 20, 4, {0},
                                  false, false};
    luge_bytes key, value;
    luge_tree tree;
    uint64_t count;
    int rc = put_some(txn, &k, d);
    if (!rc) rc = luge_tree_after(txn, luge_str("main"), &key, &tree);
    if (!rc && dice_chance(d, 30)) rc = luge_tree_drop(txn, tree);
    else if (!rc && dice_chance(d, 30)) rc = luge_tree_clear(txn, tree);
    else if (!rc)
        rc = luge_put(txn, tree, luge_str("more"),
                      luge_bytes_of(room, dice_below(d, VALUE_MAX)));
    if (rc == LUGE_NOTFOUND) rc = 0;
    if (!rc) rc = luge_pop_max(txn, LUGE_MAIN, &key, &value);
    if (rc == LUGE_NOTFOUND) rc = 0;
    luge_bytes from = luge_str("key\x40"), to = luge_str("key\x90");
    if (!rc) rc = luge_del_range(txn, LUGE_MAIN, &from, &to, &count);
    return rc;
}

static void write_some(struct look *l, struct dice *d)
{
    luge_txn *txn;
    uint64_t id;
    for (unsigned n = 0; n < 2; n++) {
        if (!fine(l, luge_begin(l->db, LUGE_WRITE, &txn), "luge_begin"))
            return;
        int rc = change(txn, d);
        if (rc) luge_abort(txn);
        else rc = luge_commit(txn);
        (void)fine(l, rc, "a write");
    }
    (void)fine(l, luge_next_id(l->db, &id), "luge_next_id");
    (void)fine(l, luge_checkpoint(l->db), "luge_checkpoint");
    (void)fine(l, luge_sync(l->db), "luge_sync");
}

/* ------------------------------------------------------------------ one -- */

/* The number of the version with this content, or -1. */
static int version_of(const struct original *o, uint64_t sum)
{
    for (unsigned i = o->versions; i--;)
        if (o->sums[i] == sum) return (int)i;
    return -1;
}

struct house { const char *path; bool trace; };

static bool log_untouched(const struct original *o, const struct image *image)
{
    size_t same = 0, count = 0;
    for (size_t i = 0; i < o->image.count; i++) {
        const struct image_file *f = &o->image.files[i], *g;
        if (!strcmp(f->name, "db") || !strcmp(f->name, "ids")) continue;
        count++;
        g = image_find((struct image *)(uintptr_t)image, f->name);
        same += g && g->size == f->size && !g->hole && g->kind == f->kind &&
                (!f->size || !memcmp(g->data, f->data, f->size));
    }
    return same == count;
}

/* Z3 */
static void judge(struct look *l, const struct original *o,
                  const struct image *image, uint64_t sum)
{
    int version = version_of(o, sum);
    bool last = version == (int)o->versions - 1;
    if (version < 0)
        batch_failed("the content is of no commit\n  %s", l->words);
    else if (!last && log_untouched(o, image))
        batch_failed("the content is that of commit %d of %u\n  %s", version,
                     o->versions - 1, l->words);
    batch_tally(last ? SAME : OLDER);
}

static void live(struct look *l, struct dice *d)
{
    if (dice_chance(d, 50))
        (void)fine(l, luge_check(l->db, on_defect, l), "luge_check");
    read_trees(l);
    read_log(l);
    if (dice_chance(d, 70)) write_some(l, d);
    (void)fine(l, luge_check(l->db, on_defect, l), "luge_check");
}

static void one(uint64_t seed, void *context)
{
    const struct house *h = context;
    struct dice d = dice_of(seed, 0);
    const struct original *o = &originals[dice_below(&d, ORIGINALS)];
    struct luge_options options = {.busy_timeout_ms = 2000};
    struct image image;
    char words[MUTATE_SAY];
    struct look l = {.words = words, .trace = h->trace};
    uint64_t sum = 0;
    image_copy(&image, &o->image);
    enum mutate_how how = mutate(&image, &d, words);
    if (h->trace)
        fprintf(stderr, "  seed %llu, original %ld, %s: %s\n",
                (unsigned long long)seed, (long)(o - originals),
                how == MUTATE_SEALED ? "sealed" : "blind", words);
    image_store(&image, h->path);
    if (dice_chance(&d, 10)) options.flags = LUGE_READ_ONLY;
    options.checkpoint_bytes = dice_chance(&d, 30) ? 100000 : 0;
    if (dice_chance(&d, 20)) options.cache_bytes = 60000;
    for (unsigned round = 0; round < 2; round++) {
        if (!fine(&l, luge_open(h->path, &options, &l.db), "luge_open")) break;
        if (how == MUTATE_BLIND && !round &&
            !image_find(&image, "conf") && luge_was_recovered(l.db))
            batch_failed("without conf there was a database\n  %s", words);
        if (fine(&l, all_sum(l.db, &sum), "luge_checksum") && !round &&
            how == MUTATE_BLIND)
            judge(&l, o, &image, sum);
        live(&l, &d);
        (void)fine(&l, luge_close(l.db), "luge_close");
    }
    if (how == MUTATE_SEALED)
        batch_tally(l.worst ? SEALED_REFUSED : SEALED_READ);
    else if (l.worst)
        batch_tally(REFUSED);
    image_free(&image);
}

int main(int argc, char **argv)
{
    struct batch_order order = batch_parse("fuzz_files", argc, argv);
    char *base = scratch_make(SCRATCH_FAST), path[600];
    struct house h = {.path = path, .trace = order.trace};
    signal(SIGPIPE, SIG_IGN);
    snprintf(path, sizeof path, "%s/db", base);
    for (unsigned i = 0; i < ORIGINALS; i++)
        make_original(&originals[i], path, &kinds[i], i);
    batch_length(&order, 60, 300, 15000);
    int rc = batch_run(&order, "fuzz_files", one, &h, tallies);
    for (unsigned i = 0; i < ORIGINALS; i++) image_free(&originals[i].image);
    scratch_remove(base);
    return rc;
}
