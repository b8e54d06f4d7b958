/* test/test_salvage.c -- luge_salvage: with 1, 10 or 1000 damaged pages every
 * record is recovered whose own pages are sound.
 *
 * Where each record stands is read from the sound file, page by page, so that
 * what must come back is known exactly.
 * Seeds: LUGE_SEED, else fixed; LUGE_TEST=long for many rounds.
 * Not here: what the engine does with a damaged file (test_damage.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "luge_backup.h"
#include "luge_fork.h"
#undef fail                     /* cmocka's; luge has one, too */
#include "store/store.h"
#include "tree/patch.h"
#include "tree/walk.h"

enum { PAGE = 4096, TREES = 7 };

/* -------------------------------------------------- where records stand -- */

struct place_of {
    int tree;                   /* its number in names */
    luge_bytes key;
    uint64_t value;             /* its digest */
    uint64_t page, first, pages;
};

struct map {
    struct page_file file;
    struct superblock super;
    char names[TREES][32];
    int count_of_names;
    struct place_of *places;
    size_t count, capacity;
    uint64_t pages;
    int patched;                /* trees that have a patch */
};

static void add_place(struct map *m, int tree, const struct page_head *leaf,
                      uint64_t page, uint32_t at)
{
    uint8_t space[LUGE_KEY_SIZE_MAX];
    struct node_cell cell;
    struct page_extent extent;
    luge_bytes value;
    if (m->count == m->capacity) {
        m->capacity = m->capacity ? 2 * m->capacity : 1024;
        m->places = grab_more(m->places, m->capacity * sizeof *m->places);
    }
    struct place_of *p = &m->places[m->count++];
    node_cell_load(leaf, at, &cell);
    luge_bytes key = node_cell_key(&cell, space);
    *p = (struct place_of){.tree = tree, .page = page};
    p->key = luge_bytes_of(memcpy(grab(key.size + 1), key.data, key.size),
                           key.size);
    if (node_leaf_value(leaf, at, &value)) {
        memcpy(&extent, value.data, sizeof extent);
        p->first = extent.first;
        p->pages = (extent.size + PAGE - 1) / PAGE;
    }
    fine(walk_value(&m->file, leaf, at, &value));
    p->value = digest(1, value.data, value.size);
}

/* A key that PATCH (NULL: there is none) has a cell for is not taken. */
static void map_node(struct map *m, int tree, page_ref ref,
                     const struct page_head *patch)
{
    uint8_t space[LUGE_KEY_SIZE_MAX];
    const struct page_head *n = NULL;
    uint32_t at;
    fine(page_read(&m->file, ref, &n));
    for (uint32_t i = 0; n->level && i <= n->count; i++)
        map_node(m, tree, node_child(n, i), patch);
    for (uint32_t i = 0; !n->level && i < n->count; i++)
        if (!patch || !node_leaf_find(patch, walk_key(n, i, space), &at))
            add_place(m, tree, n, ref, i);
}

static void map_root(struct map *m, int tree, page_ref root)
{
    const struct page_head *patch = NULL;
    page_ref below;
    fine(patch_open(&m->file, root, &patch, &below));
    map_node(m, tree, below, patch);
    for (uint32_t i = 0; patch && i < patch->count; i++)
        if (!patch_gone(patch, i)) add_place(m, tree, patch, root, i);
    m->patched += patch != NULL;
}

static int map_tree(void *context, u64 number, const struct tree *tree,
                    luge_bytes name)
{
    struct map *m = context;
    (void)number;
    assert_true(m->count_of_names < TREES);
    snprintf(m->names[m->count_of_names], sizeof m->names[0], "%.*s",
             (int)name.size, (const char *)name.data);
    if (tree->root) map_root(m, m->count_of_names, tree->root);
    m->count_of_names++;
    return 0;
}

/* Of a closed database. */
static void map_make(struct map *m, const char *directory)
{
    char path[700];
    struct os_file *file;
    struct os *os = os_native();
    struct view view = {0};
    snprintf(path, sizeof path, "%s/db", directory);
    fine(os->open(os, path, OS_READ, &file));
    for (u64 slot = 0; slot < 2; slot++) {
        struct superblock s;
        fine(os->read(file, &s, sizeof s, slot * PAGE));
        if (s.number > m->super.number) m->super = s;
    }
    m->pages = m->super.page_count;
    fine(page_file_open(&m->file, os, file, PAGE, tree_page_validate));
    view_begin(&view, &m->file, NULL, m->super.catalog,
               m->super.catalog_count, 1);
    fine(view_each(&view, map_tree, m));
    view_end(&view);
    page_file_close(&m->file);
    os->close(file);
}

static void map_free(struct map *m)
{
    for (size_t i = 0; i < m->count; i++)
        free((void *)(uintptr_t)m->places[i].key.data);
    free(m->places);
}

/* ---------------------------------------------------------------- damage -- */

struct damage {
    uint8_t *hit;               /* a byte for each page */
};

static void damage_page(const char *directory, struct damage *d,
                        struct dice *dice, uint64_t page)
{
    char path[700];
    uint8_t bytes[PAGE];
    snprintf(path, sizeof path, "%s/db", directory);
    int fd = open(path, O_RDWR);
    pattern_fill(bytes, sizeof bytes, dice_next(dice));
    /* One bit, some bytes, or everything. */
    uint32_t how = dice_below(dice, 3);
    size_t size = how ? (how == 1 ? 100 : PAGE) : 1;
    size_t at = dice_below(dice, (uint32_t)(PAGE - size + 1));
    uint8_t was[PAGE];
    assert_int_equal(pread(fd, was, size, (off_t)(page * PAGE + at)), size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(was[i] ^ (bytes[i] | 1));
    assert_int_equal(pwrite(fd, bytes, size, (off_t)(page * PAGE + at)),
                     size);
    close(fd);
    d->hit[page] = 1;
}

static void damage_superblock(const char *directory, uint64_t slot)
{
    char path[700];
    snprintf(path, sizeof path, "%s/db", directory);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "damage", 6, (off_t)(slot * PAGE + 60)), 6);
    close(fd);
}

static bool sound(const struct place_of *p, const struct damage *d)
{
    if (d->hit[p->page]) return false;
    for (uint64_t n = 0; n < p->pages; n++)
        if (d->hit[p->first + n]) return false;
    return true;
}

/* ----------------------------------------------------------------- tests -- */

static bool holds_pair(luge_txn *txn, luge_tree tree,
                       const struct place_of *p)
{
    luge_bytes value;
    return !luge_get(txn, tree, p->key, &value) &&
           digest(1, value.data, value.size) == p->value;
}

/* In its own tree, or in one whose name was lost. */
static bool recovered(luge_txn *txn, const struct map *m,
                      const struct place_of *p)
{
    luge_tree tree;
    luge_bytes name = {"lost+found/", 11};
    if (!luge_tree_open(txn, luge_str(m->names[p->tree]), 0, &tree) &&
        holds_pair(txn, tree, p))
        return true;
    while (!luge_tree_after(txn, name, &name, &tree) && name.size > 11 &&
           !memcmp(name.data, "lost+found/", 11))
        if (holds_pair(txn, tree, p)) return true;
    return false;
}

/* Without the catalog and the free list nothing tells a fork from old pages of
 * the tree that it was forked from. */
static bool list_is_hit(const struct map *m, const struct damage *d)
{
    bool list = false;
    for (uint64_t n = 0; n < m->super.stored_pages; n++)
        list = list || d->hit[m->super.stored_first + n];
    return list;
}

static bool unknowable(const struct map *m, const struct place_of *p,
                       const struct damage *d)
{
    return list_is_hit(m, d) && d->hit[m->super.catalog] &&
           (!strcmp(m->names[p->tree], "fork") ||
            !strcmp(m->names[p->tree], "patched"));
}

/* What a number of damaged pages cost, all rounds together. */
struct figures {
    uint32_t pages;             /* damaged in each round, perhaps twice */
    uint64_t rounds, damaged, undamaged, recovered, lost;
};

static void print_figures(const struct figures *f, const struct map *m)
{
    print_message("%4u damaged pages, %llu rounds: %llu of %llu pages "
                  "damaged, %llu records in undamaged pages, %llu recovered, "
                  "%llu lost\n", f->pages, (unsigned long long)f->rounds,
                  (unsigned long long)f->damaged,
                  (unsigned long long)(f->rounds * m->pages),
                  (unsigned long long)f->undamaged,
                  (unsigned long long)f->recovered,
                  (unsigned long long)f->lost);
}

/* Nothing is there that was not: trees that kept their names are compared. */
static uint64_t compare(struct rig *r, const struct map *m,
                        const struct damage *d, uint64_t older,
                        struct figures *f)
{
    uint64_t lost = 0, counts[TREES] = {0};
    luge_txn *txn = begin(r, LUGE_READ);
    for (size_t i = 0; i < m->count; i++) {
        const struct place_of *p = &m->places[i];
        bool there = recovered(txn, m, p);
        if (unknowable(m, p, d)) continue;
        if (!there && sound(p, d))
            print_message("tree %s key %.*s of page %llu is gone; the free "
                          "list is damaged: %d, the catalog's root: %d\n",
                          m->names[p->tree], (int)p->key.size,
                          (const char *)p->key.data,
                          (unsigned long long)p->page, list_is_hit(m, d),
                          d->hit[m->super.catalog]);
        assert_true(there || !sound(p, d));
        f->undamaged += sound(p, d);
        f->recovered += there;
        lost += !there;
        counts[p->tree] += there;
    }
    for (int i = 0; i < m->count_of_names; i++) {
        luge_tree tree;
        uint64_t count;
        if (luge_tree_open(txn, luge_str(m->names[i]), 0, &tree)) continue;
        fine(luge_tree_count(txn, tree, &count));
        assert_true(count <= counts[i] + older);
    }
    luge_abort(txn);
    return lost;
}

static void say(void *context, const char *sentence)
{
    (void)sentence;
    ++*(int *)context;
}

static void fill(struct rig *r, struct dice *d)
{
    static char value[60000];
    char key[40];
    for (int i = 0; i < 60; i++) {
        luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
        snprintf(key, sizeof key, "tree%d", i % 3);
        luge_tree tree = LUGE_MAIN;
        if (i % 4)
            fine(luge_tree_open(txn, luge_str(key), LUGE_TREE_CREATE, &tree));
        for (int n = 0; n < 150; n++) {
            size_t size = dice_chance(d, 1) ? dice_below(d, sizeof value)
                                            : dice_below(d, 300);
            pattern_fill(value, size, dice_next(d));
            snprintf(key, sizeof key, "%08u", dice_below(d, 100000));
            if (dice_chance(d, 20)) (void)luge_del(txn, tree, luge_str(key));
            fine(luge_put(txn, tree, luge_str(key),
                          luge_bytes_of(value, size)));
        }
        fine(luge_commit(txn));
        if (i == 30) fine(luge_checkpoint(r->db));
        if (i != 40) continue;
        txn = begin(r, LUGE_WRITE);
        fine(luge_fork(txn, luge_str("tree1"), luge_str("fork"), NULL));
        fine(luge_commit(txn));
    }
}

/* A fork whose changes are still in its patch. */
static void patched_fork(struct rig *r, struct dice *d)
{
    char key[40];
    luge_tree tree;
    luge_bytes found;
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_fork(txn, luge_str("tree2"), luge_str("patched"), NULL));
    fine(luge_tree_open(txn, luge_str("patched"), 0, &tree));
    for (int n = 0; n < 10; n++) {
        snprintf(key, sizeof key, "%08u", dice_below(d, 100000));
        fine(luge_put(txn, tree, luge_str(key), luge_str("a small change")));
        snprintf(key, sizeof key, "%08u", dice_below(d, 90000));
        fine(luge_near(txn, tree, LUGE_GE, luge_str(key), &found, NULL));
        fine(luge_del(txn, tree, found));
    }
    fine(luge_commit(txn));
}

static uint64_t round_of(struct rig *r, const struct map *m, struct dice *d,
                         struct figures *f)
{
    char broken[600], whole[600];
    struct luge_salvaged done;
    struct damage damage = {grab(m->pages)};
    int said = 0;
    memset(damage.hit, 0, m->pages);
    snprintf(broken, sizeof broken, "%s/broken", r->base);
    snprintf(whole, sizeof whole, "%s/new", r->base);
    tree_remove(broken);
    tree_remove(whole);
    tree_copy(r->path, broken);
    for (uint32_t i = 0; i < f->pages; i++)
        damage_page(broken, &damage, d,
                    2 + dice_below(d, (uint32_t)m->pages - 2));
    fine(luge_salvage(broken, whole, say, &said, NULL, &done));
    struct rig out = {.base = r->base};
    snprintf(out.path, sizeof out.path, "%s", whole);
    rig_open(&out, NULL);
    uint64_t lost = compare(&out, m, &damage, done.older, f);
    for (uint64_t n = 0; n < m->pages; n++) f->damaged += damage.hit[n] != 0;
    f->rounds++;
    f->lost += lost;
    assert_true(!lost || said);
    fine(luge_check(out.db, NULL, NULL));
    rig_close(&out);
    free(damage.hit);
    return lost;
}

static void pages_are_damaged(void **state)
{
    struct rig *r = *state;
    const char *how = getenv("LUGE_TEST"), *given = getenv("LUGE_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 7;
    int rounds = how && !strcmp(how, "long") ? 200 : 8;
    struct dice d = dice_of(seed, 1);
    struct map m = {0};
    struct figures none = {.pages = 0}, one = {.pages = 1},
                   ten = {.pages = 10}, many = {.pages = 1000};
    print_message("seed %llu\n", (unsigned long long)seed);
    fill(r, &d);
    patched_fork(r, &d);
    rig_close(r);
    map_make(&m, r->path);
    assert_true(m.count > 5000 && m.pages > 1000);
    assert_true(m.patched || NODE_KEYS_MAX < 16);
    assert_int_equal(round_of(r, &m, &d, &none), 0);
    for (int i = 0; i < rounds; i++) {
        (void)round_of(r, &m, &d, &one);
        (void)round_of(r, &m, &d, &ten);
        if (i % 4 == 0) (void)round_of(r, &m, &d, &many);
    }
    print_message("%zu records in %llu pages\n", m.count,
                  (unsigned long long)m.pages);
    print_figures(&one, &m);
    print_figures(&ten, &m);
    print_figures(&many, &m);
    map_free(&m);
}

/* Branches, the catalog, superblocks, the free list: what leads to records is
 * gone, and no record is lost. */
static void what_leads_is_damaged(void **state)
{
    struct rig *r = *state;
    struct dice d = dice_of(11, 1);
    struct map m = {0};
    char broken[600], whole[600];
    fill(r, &d);
    rig_close(r);
    map_make(&m, r->path);
    snprintf(broken, sizeof broken, "%s/broken", r->base);
    snprintf(whole, sizeof whole, "%s/new", r->base);
    for (int what = 0; what < 5; what++) {
        struct damage damage = {grab(m.pages)};
        struct luge_salvaged done;
        int said = 0;
        memset(damage.hit, 0, m.pages);
        tree_remove(broken);
        tree_remove(whole);
        tree_copy(r->path, broken);
        for (uint64_t n = 2; n < m.pages && (what == 0 || what == 4); n++) {
            char path[700];
            struct page_head head;
            snprintf(path, sizeof path, "%s/db", broken);
            int fd = open(path, O_RDONLY);
            assert_int_equal(pread(fd, &head, sizeof head,
                                   (off_t)(n * PAGE)), sizeof head);
            close(fd);
            if (head.kind == PAGE_BRANCH && head.count &&
                head.level < 4 && head.birth)
                damage_page(broken, &damage, &d, n);
        }
        if (what == 1 || what == 4)
            damage_page(broken, &damage, &d, m.super.catalog);
        if (what == 2) damage_page(broken, &damage, &d, m.super.stored_first);
        if (what == 3) damage_superblock(broken, m.super.number & 1);
        memset(damage.hit, 0, m.pages);     /* extents may look like nodes */
        int rc = luge_salvage(broken, whole, say, &said, NULL, &done);
        fine(rc);
        assert_true(said > 0);
        struct rig out = {.base = r->base};
        snprintf(out.path, sizeof out.path, "%s", whole);
        rig_open(&out, NULL);
        print_message("case %d: %d sentences\n", what, said);
        luge_txn *txn = begin(&out, LUGE_READ);
        uint64_t gone = 0;
        for (size_t i = 0; i < m.count; i++)
            gone += !recovered(txn, &m, &m.places[i]);
        assert_int_equal(gone, 0);
        luge_abort(txn);
        rig_close(&out);
        free(damage.hit);
    }
    map_free(&m);
}

/* Without a close everything since the last checkpoint is in the log. */
static void the_log_is_done_again(void **state)
{
    struct rig *r = *state;
    struct luge_salvaged done;
    char broken[600], whole[600];
    commit_put(r, "a", "1");
    fine(luge_checkpoint(r->db));
    commit_put(r, "a", "2");
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree tree = tree_make(txn, "made");
    put(txn, tree, "b", "3");
    fine(luge_commit(txn));
    txn = begin(r, LUGE_WRITE);
    fine(luge_fork(txn, luge_str("made"), luge_str("fork"), NULL));
    put(txn, tree, "b", "4");
    fine(luge_commit(txn));
    snprintf(broken, sizeof broken, "%s/broken", r->base);
    snprintf(whole, sizeof whole, "%s/new", r->base);
    answers(LUGE_BUSY, luge_salvage(r->path, whole, NULL, NULL, NULL, &done));
    tree_copy(r->path, broken);
    fine(luge_salvage(broken, whole, NULL, NULL, NULL, &done));
    assert_int_equal(done.transactions, 3);
    assert_int_equal(done.lost_records + done.lost_pages, 0);
    struct rig out = {.base = r->base};
    snprintf(out.path, sizeof out.path, "%s", whole);
    rig_open(&out, NULL);
    assert_int_equal(checksum(&out), checksum(r));
    /* numbers of trees go on above */
    txn = begin(&out, LUGE_WRITE);
    assert_true(tree_make(txn, "new") > tree);
    luge_abort(txn);
    rig_close(&out);
    answers(LUGE_EXISTS, luge_salvage(broken, whole, NULL, NULL, NULL, NULL));
    tree_remove(whole);
    answers(LUGE_NOTFOUND, luge_salvage("/nowhere", whole, NULL, NULL, NULL,
                                        NULL));
    assert_int_equal(access(whole, F_OK), -1);
}

static void remove_newest_segment(const char *directory)
{
    char path[700], newest[300] = "";
    snprintf(path, sizeof path, "%s/log", directory);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));)
        if (f->d_name[0] == '0' && strcmp(f->d_name, newest) > 0)
            snprintf(newest, sizeof newest, "%s", f->d_name);
    closedir(d);
    assert_true(newest[0]);
    snprintf(path, sizeof path, "%s/log/%s", directory, newest);
    assert_int_equal(unlink(path), 0);
}

/* The checkpoint is whole, and the segment it stands in is lost: what older
 * ones hold is older than what the checkpoint has. */
static void a_log_that_ends_before_the_checkpoint(void **state)
{
    struct rig *r = *state;
    static char large[200000];
    struct luge_salvaged done;
    char whole[600];
    int said = 0;
    commit_put(r, "gone", "1");
    for (int i = 0; i < 40; i++) {
        luge_txn *txn = begin(r, LUGE_WRITE | LUGE_TXN_ASYNC);
        put(txn, LUGE_MAIN, "a", i < 39 ? "old" : "new");
        pattern_fill(large, sizeof large, (uint64_t)i);
        fine(luge_put(txn, LUGE_MAIN, luge_str("large"),
                      luge_bytes_of(large, sizeof large)));
        if (i == 39) fine(luge_del(txn, LUGE_MAIN, luge_str("gone")));
        fine(luge_commit(txn));
    }
    fine(luge_checkpoint(r->db));
    uint64_t sum = checksum(r);
    rig_close(r);
    remove_newest_segment(r->path);
    luge_db *db;
    answers(LUGE_CORRUPT, luge_open(r->path, NULL, &db));
    snprintf(whole, sizeof whole, "%s/new", r->base);
    fine(luge_salvage(r->path, whole, say, &said, NULL, &done));
    assert_true(said > 0);
    assert_int_equal(done.transactions, 0);
    struct rig out = {.base = r->base};
    snprintf(out.path, sizeof out.path, "%s", whole);
    rig_open(&out, NULL);
    now_holds(&out, LUGE_MAIN, "a", "new");
    now_holds(&out, LUGE_MAIN, "gone", NULL);
    assert_int_equal(checksum(&out), sum);
    rig_close(&out);
}

/* What a newer luge wrote is not damage: it would be misread. */
static void a_newer_format_is_refused(void **state)
{
    struct rig *r = *state;
    char path[700], whole[600];
    uint8_t page[PAGE];
    commit_put(r, "a", "1");
    rig_close(r);
    snprintf(path, sizeof path, "%s/db", r->path);
    snprintf(whole, sizeof whole, "%s/new", r->base);
    int fd = open(path, O_RDWR);
    for (off_t slot = 0; slot < 2; slot++) {
        struct superblock *s = (void *)page;
        assert_int_equal(pread(fd, page, PAGE, slot * PAGE), PAGE);
        if (!s->number) continue;
        s->format = ENV_FORMAT + 1;
        s->sum = base_hash(s, offsetof(struct superblock, sum), s->number);
        assert_int_equal(pwrite(fd, page, PAGE, slot * PAGE), PAGE);
    }
    close(fd);
    answers(LUGE_VERSION, luge_salvage(r->path, whole, NULL, NULL, NULL,
                                       NULL));
}

static int nobody_salvages(struct rig *r)
{
    char whole[600];
    struct luge_salvaged done;
    snprintf(whole, sizeof whole, "%s/new", r->base);
    if (!getuid()) CHILD_MUST(!setgid(65534) && !setuid(65534));
    CHILD_ANSWERS(0, luge_salvage(r->path, whole, NULL, NULL, NULL, &done));
    CHILD_MUST(done.records == 1);
    return 0;
}

/* What is broken is not changed, so it need not be writable. */
static void reading_is_enough(void **state)
{
    struct rig *r = *state;
    char path[700];
    commit_put(r, "a", "1");
    rig_close(r);
    snprintf(path, sizeof path, "%s/lock", r->path);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(r->base, 0777), 0);
    assert_int_equal(in_child(nobody_salvages, r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
        TEST(pages_are_damaged), TEST(what_leads_is_damaged),
        TEST(the_log_is_done_again),
        TEST(a_log_that_ends_before_the_checkpoint),
        TEST(a_newer_format_is_refused),
        TEST(reading_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
