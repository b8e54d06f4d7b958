/* test/test_sim.c -- the simulated platform: a disk, and what a crash leaves.
 *
 * Holds:
 *   A disk is written as one line of text (picture): each file by its path,
 *   its size and its pages; a page is the letter its sectors are full of, '.'
 *   for zeros, or all eight letters in brackets.  Small cases compare the exact
 *   set of pictures that a crash may leave with a set written by hand.
 *   All cases are told in pictures, so they are one file, if a long one.
 *   As a disk the simulator is held against the real platform, random call by
 *   random call.  Seeds are printed; LUGE_SEED repeats one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka's; ours is base.h's */

#include "os/sim.h"

enum { PAGE = 4096, SECTOR = 512, PICTURE_MAX = 4000, STATES_MAX = 3000 };

static u64 dice_state;

static u64 dice(void)
{
    dice_state += 0x9e3779b97f4a7c15u;
    u64 z = dice_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static u64 below(u64 bound)
{
    return dice() % bound;
}

static void seed_dice(void)
{
    const char *given = getenv("LUGE_SEED");
    dice_state = given ? strtoull(given, NULL, 0) : (u64)time(NULL);
    printf("LUGE_SEED=%llu\n", (unsigned long long)dice_state);
}

/* ------------------------------------------------------- small workloads -- */

static struct os_file *open_file(struct os *os, const char *path)
{
    struct os_file *f = NULL;
    assert_int_equal(os->open(os, path, OS_WRITE | OS_CREATE, &f), 0);
    return f;
}

static void fill(struct os_file *f, char letter, u64 offset, size_t size)
{
    static u8 data[64 * PAGE];
    assert_true(size <= sizeof data);
    memset(data, letter, size);
    assert_int_equal(f->os->write(f, data, size, offset), 0);
}

/* One write of whole pages from page AT on, one letter for each. */
static void put(struct os_file *f, u64 at, const char *letters)
{
    static u8 data[64 * PAGE];
    size_t count = strlen(letters);
    assert_true(count <= 64);
    for (size_t k = 0; k < count; k++)
        memset(data + k * PAGE, letters[k], PAGE);
    assert_int_equal(f->os->write(f, data, count * PAGE, at * PAGE), 0);
}

static void sync_all(struct os_file *f)
{
    assert_int_equal(f->os->sync(f), 0);
    assert_int_equal(f->os->sync_dir(f->os, "/"), 0);
}

/* A disk with the durable file "f" of these pages, open. */
static struct os *disk_with(const char *letters, struct os_file **f)
{
    struct os *os = sim_new(1);
    *f = open_file(os, "f");
    put(*f, 0, letters);
    sync_all(*f);
    return os;
}

/* -------------------------------------------------------------- pictures -- */

struct listing { unsigned count; char names[64][64]; };

static int note_name(void *context, const char *name)
{
    struct listing *l = context;
    assert_true(l->count < 64);
    snprintf(l->names[l->count++], 64, "%s", name);
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static char letter_of(u8 byte)
{
    return byte ? (char)byte : '.';
}

static size_t draw_page(char *to, const u8 *bytes, size_t size)
{
    size_t at = 0, sectors = (size + SECTOR - 1) / SECTOR;
    bool same = true;
    for (size_t k = 1; k < sectors; k++)
        same &= bytes[k * SECTOR] == bytes[0];
    if (!same) to[at++] = '[';
    for (size_t k = 0; k < (same ? 1 : sectors); k++)
        to[at++] = letter_of(bytes[k * SECTOR]);
    if (!same) to[at++] = ']';
    return at;
}

static size_t draw_file(struct os *os, const char *path, char *to)
{
    struct os_file *f = NULL;
    u64 size = 0;
    u8 page[PAGE];
    assert_int_equal(os->open(os, path, OS_READ, &f), 0);
    assert_int_equal(os->size(f, &size), 0);
    size_t at = (size_t)sprintf(to, "%s:", path);
    if (size % PAGE) at += (size_t)sprintf(to + at, "%u:", (unsigned)size);
    for (u64 offset = 0; offset < size; offset += PAGE) {
        size_t piece = (size_t)min_u64(size - offset, PAGE);
        assert_int_equal(os->read(f, page, piece, offset), 0);
        at += draw_page(to + at, page, piece);
    }
    os->close(f);
    return at;
}

static size_t draw(struct os *os, const char *path, char *to)
{
    struct listing l = { 0 };
    size_t at = 0;
    assert_int_equal(os->list(os, *path ? path : "/", note_name, &l), 0);
    qsort(l.names, l.count, 64, by_text);
    for (unsigned k = 0; k < l.count; k++) {
        char child[300];
        struct os_stat s;
        snprintf(child, sizeof child, "%s%s%s", path, *path ? "/" : "",
                 l.names[k]);
        assert_int_equal(os->stat(os, child, &s), 0);
        if (at) to[at++] = ' ';
        if (!s.directory) {
            at += draw_file(os, child, to + at);
            continue;
        }
        at += (size_t)sprintf(to + at, "%s/(", child);
        at += draw(os, child, to + at);
        to[at++] = ')';
    }
    assert_true(at < PICTURE_MAX);
    to[at] = 0;
    return at;
}

static const char *picture(struct os *os)
{
    static char text[2][PICTURE_MAX + 300];
    static unsigned next;
    char *to = text[next++ % 2];
    draw(os, "", to);
    return to;
}

static const char *picture_after(struct sim_snapshot *s,
                                 struct sim_choice choice)
{
    struct os *after = sim_crash(s, choice);
    const char *text = picture(after);
    sim_free(after);
    return text;
}

#define AFTER(snapshot, ...) \
    picture_after(snapshot, (struct sim_choice){ __VA_ARGS__ })

/* The set of pictures that all choices of GRAIN leave. */
struct set { unsigned count; char texts[STATES_MAX][120]; };

static void add_to_set(struct set *set, const char *text)
{
    assert_true(strlen(text) < sizeof set->texts[0]);
    for (unsigned k = 0; k < set->count; k++)
        if (!strcmp(set->texts[k], text)) return;
    assert_true(set->count < STATES_MAX);
    memcpy(set->texts[set->count++], text, strlen(text) + 1);
}

static bool in_set(const struct set *set, const char *text)
{
    for (unsigned k = 0; k < set->count; k++)
        if (!strcmp(set->texts[k], text)) return true;
    return false;
}

static const struct set *all_states(struct sim_snapshot *s,
                                    enum sim_grain grain)
{
    static struct set set;
    u64 states = sim_states(s, grain);
    assert_true(states <= 100000);
    set.count = 0;
    for (u64 n = 0; n < states; n++)
        add_to_set(&set, AFTER(s, .kind = SIM_INDEX, .grain = grain,
                               .number = n));
    return &set;
}

/* OS may be left as exactly these (a list ended by NULL), counted as STATES. */
static void expect_states(struct os *os, enum sim_grain grain, u64 states,
                          const char *const *expected)
{
    struct sim_snapshot *s = sim_snapshot(os);
    assert_true(sim_states(s, grain) == states);
    const struct set *set = all_states(s, grain);
    unsigned count = 0;
    for (; expected[count]; count++)
        if (!in_set(set, expected[count])) {
            print_message("missing: %s\n", expected[count]);
            assert_true(in_set(set, expected[count]));
        }
    if (set->count != count)
        for (unsigned k = 0; k < set->count; k++)
            print_message("is there: %s\n", set->texts[k]);
    assert_int_equal(set->count, count);
    sim_snapshot_free(s);
}

#define EXPECT(os, grain, states, ...)                                        \
    expect_states(os, grain, states, (const char *const[]){ __VA_ARGS__, NULL })

/* ------------------------------------------------------ pages and sizes -- */

static void an_empty_disk_stays_empty(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    EXPECT(os, SIM_PAGES, 1, "");
    EXPECT(os, SIM_SECTORS, 1, "");
    sim_free(os);
    sim_free(NULL);
    sim_snapshot_free(NULL);
}

static void what_was_synced_stays(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("AB", &f);
    EXPECT(os, SIM_PAGES, 1, "f:AB");
    put(f, 0, "C");
    EXPECT(os, SIM_PAGES, 2, "f:AB", "f:CB");
    put(f, 1, "D");
    EXPECT(os, SIM_PAGES, 4, "f:AB", "f:CB", "f:AD", "f:CD");
    assert_int_equal(os->sync(f), 0);
    EXPECT(os, SIM_PAGES, 1, "f:CD");
    assert_string_equal(picture(os), "f:CD");
    put(f, 0, "C"); /* the same bytes: nothing to lose */
    EXPECT(os, SIM_SECTORS, 1, "f:CD");
    os->close(f);
    sim_free(os);
}

static void one_write_of_two_pages_may_come_apart(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("AB", &f);
    put(f, 0, "CD");
    EXPECT(os, SIM_PAGES, 4, "f:AB", "f:CB", "f:AD", "f:CD");
    os->close(f);
    sim_free(os);
}

static void later_writes_of_a_page_include_earlier_ones(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("A", &f);
    put(f, 0, "B");
    put(f, 0, "C");
    EXPECT(os, SIM_PAGES, 3, "f:A", "f:B", "f:C");
    os->close(f);
    sim_free(os);

    os = disk_with("A", &f);
    fill(f, 'B', 0, SECTOR);
    fill(f, 'C', SECTOR, SECTOR);
    EXPECT(os, SIM_PAGES, 3, "f:A", "f:[BAAAAAAA]", "f:[BCAAAAAA]");
    EXPECT(os, SIM_SECTORS, 4, "f:A", "f:[BAAAAAAA]", "f:[ACAAAAAA]",
           "f:[BCAAAAAA]");
    os->close(f);
    sim_free(os);
}

static void a_page_tears_between_its_sectors(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("A", &f);
    put(f, 0, "B");
    struct sim_snapshot *s = sim_snapshot(os);
    assert_int_equal(sim_pending(s), 1);
    assert_int_equal(sim_states(s, SIM_PAGES), 2);
    assert_int_equal(sim_states(s, SIM_SECTORS), 256);
    const struct set *set = all_states(s, SIM_SECTORS);
    assert_int_equal(set->count, 256);
    for (unsigned mask = 1; mask < 255; mask++) {
        char text[] = "f:[AAAAAAAA]";
        for (unsigned k = 0; k < 8; k++)
            if ((mask >> k) & 1) text[3 + k] = 'B';
        assert_true(in_set(set, text));
    }
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

static void a_size_may_last_without_its_data(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("A", &f);
    put(f, 1, "B");
    EXPECT(os, SIM_PAGES, 3, "f:A", "f:A.", "f:AB");
    fill(f, 'C', 2 * PAGE, 100);
    EXPECT(os, SIM_PAGES, 1 + 2 + 4, "f:A", "f:A.", "f:AB",
           "f:8292:A..", "f:8292:AB.", "f:8292:A.C", "f:8292:ABC");
    assert_int_equal(os->sync(f), 0);
    fill(f, 'D', 2 * PAGE + 100, 100); /* the sector of the end is shared */
    EXPECT(os, SIM_PAGES, 4, "f:8292:ABC", "f:8392:ABC");
    struct sim_snapshot *s = sim_snapshot(os);
    unsigned with_data = 0;
    for (u64 n = 0; n < 4; n++) { /* the last 100 bytes: D, or zeros */
        struct sim_choice choice = { .kind = SIM_INDEX, .number = n };
        struct os *after = sim_crash(s, choice);
        struct os_file *g = open_file(after, "f");
        u64 size = 0;
        u8 tail[200];
        assert_int_equal(after->size(g, &size), 0);
        if (size > 8300) {
            assert_int_equal(after->read(g, tail, 200, 2 * PAGE), 0);
            assert_int_equal(tail[99], 'C');
            assert_int_equal(tail[100], tail[199]);
            assert_true(tail[100] == 'D' || tail[100] == 0);
            with_data += tail[100] == 'D';
        }
        assert_int_equal(after->resize(g, 3 * PAGE), 0); /* zeros behind */
        assert_int_equal(after->read(g, tail, 1, size), 0);
        assert_int_equal(tail[0], 0);
        after->close(g);
        sim_free(after);
    }
    assert_int_equal(with_data, 1);
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

static void allocated_blocks_read_zero_whatever_lasted(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("A", &f);
    assert_int_equal(os->allocate(f, 0, 3 * PAGE), 0);
    EXPECT(os, SIM_SECTORS, 2, "f:A", "f:A..");
    assert_int_equal(os->sync(f), 0);
    put(f, 2, "C");
    EXPECT(os, SIM_PAGES, 2, "f:A..", "f:A.C");
    os->close(f);
    sim_free(os);
}

/* M3: never "f:A" -- the old page under the new size. */
static void a_cut_file_never_shows_old_bytes_again(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("AAA", &f);
    assert_int_equal(os->resize(f, 0), 0);
    EXPECT(os, SIM_PAGES, 2, "f:AAA", "f:");
    put(f, 0, "B");
    EXPECT(os, SIM_PAGES, 4, "f:AAA", "f:", "f:.", "f:B");
    assert_int_equal(os->resize(f, 100), 0);
    EXPECT(os, SIM_PAGES, 1 + 1 + 2 + 1, "f:AAA", "f:", "f:.", "f:B",
           "f:100:B");
    assert_int_equal(os->resize(f, 2 * PAGE), 0);
    EXPECT(os, SIM_PAGES, 6, "f:AAA", "f:", "f:.", "f:B", "f:100:B",
           "f:[B.......].");
    os->close(f);
    sim_free(os);
}

/* ----------------------------------------------------------- directories -- */

static void names_last_in_their_order(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    struct os_file *a = open_file(os, "a"), *b = open_file(os, "b");
    EXPECT(os, SIM_PAGES, 3, "", "a:", "a: b:");
    put(b, 0, "B");
    assert_int_equal(os->sync(b), 0); /* of no use without the name */
    EXPECT(os, SIM_PAGES, 3, "", "a:", "a: b:B");
    assert_int_equal(os->sync_dir(os, "/"), 0);
    EXPECT(os, SIM_PAGES, 1, "a: b:B");
    os->close(a);
    os->close(b);
    sim_free(os);
}

static void a_rename_is_all_or_nothing(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    struct os_file *a = open_file(os, "a"), *b = open_file(os, "b");
    put(a, 0, "A");
    put(b, 0, "B");
    sync_all(a);
    sync_all(b);
    assert_int_equal(os->rename(os, "a", "b"), 0);
    EXPECT(os, SIM_PAGES, 2, "a:A b:B", "b:A");
    assert_int_equal(os->unlink(os, "b"), 0);
    EXPECT(os, SIM_PAGES, 3, "a:A b:B", "b:A", "");
    put(a, 0, "C"); /* still open, and still there if the unlink is not */
    EXPECT(os, SIM_PAGES, 5, "a:A b:B", "a:C b:B", "b:A", "b:C", "");
    assert_int_equal(os->sync_dir(os, "/"), 0);
    EXPECT(os, SIM_PAGES, 1, "");
    os->close(a);
    os->close(b);
    sim_free(os);
}

static void a_rename_between_directories_is_one(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    assert_int_equal(os->mkdir(os, "d"), 0);
    assert_int_equal(os->mkdir(os, "e"), 0);
    os->close(open_file(os, "d/x"));
    assert_int_equal(os->sync_dir(os, "/"), 0);
    assert_int_equal(os->sync_dir(os, "d"), 0);
    assert_int_equal(os->rename(os, "d/x", "e/y"), 0);
    EXPECT(os, SIM_PAGES, 2, "d/(d/x:) e/()", "d/() e/(e/y:)");
    os->close(open_file(os, "d/z"));
    EXPECT(os, SIM_PAGES, 3, "d/(d/x:) e/()", "d/() e/(e/y:)",
           "d/(d/z:) e/(e/y:)");
    for (u64 n = 0; n < 300; n++) { /* no die may break it, either */
        struct sim_snapshot *s = sim_snapshot(os);
        const char *text = AFTER(s, .kind = SIM_RANDOM, .seed = n);
        assert_true(!!strstr(text, "d/x") != !!strstr(text, "e/y"));
        sim_snapshot_free(s);
    }
    assert_int_equal(os->sync_dir(os, "e"), 0); /* one half takes the other */
    EXPECT(os, SIM_PAGES, 2, "d/() e/(e/y:)", "d/(d/z:) e/(e/y:)");
    assert_int_equal(os->rename(os, "d/z", "e/z"), 0);
    assert_int_equal(os->rename(os, "e/y", "d/y"), 0);
    assert_int_equal(os->sync_dir(os, "d"), 0);
    EXPECT(os, SIM_PAGES, 1, "d/(d/y:) e/(e/z:)");
    sim_free(os);
}

static void what_is_in_a_lost_directory_is_lost(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    assert_int_equal(os->mkdir(os, "d"), 0);
    struct os_file *f = open_file(os, "d/f");
    put(f, 0, "A");
    assert_int_equal(os->sync(f), 0);
    EXPECT(os, SIM_PAGES, 3, "", "d/()", "d/(d/f:A)");
    assert_int_equal(os->sync_dir(os, "d"), 0);
    EXPECT(os, SIM_PAGES, 2, "", "d/(d/f:A)");
    assert_int_equal(os->sync_dir(os, "/"), 0);
    EXPECT(os, SIM_PAGES, 1, "d/(d/f:A)");
    os->close(f);
    assert_int_equal(os->unlink(os, "d/f"), 0);
    assert_int_equal(os->rmdir(os, "d"), 0);
    EXPECT(os, SIM_PAGES, 3, "d/(d/f:A)", "d/()", "");
    sim_free(os);
}

static void a_file_in_no_directory_has_no_states(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    struct os_file *f = open_file(os, "f");
    put(f, 0, "A");
    put(f, 0, "B"); /* 1 without the name; with it "", ".", "A", "B" */
    EXPECT(os, SIM_PAGES, 1 + 4, "", "f:", "f:.", "f:A", "f:B");
    os->close(f);
    sim_free(os);
}

/* ------------------------------------------------------- special choices -- */

static void the_special_choices_do_what_they_say(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("AB", &f);
    put(f, 0, "C");
    put(f, 2, "D");
    put(f, 0, "E");
    os->close(open_file(os, "g"));
    struct sim_snapshot *s = sim_snapshot(os);
    assert_int_equal(sim_pending(s), 3); /* by page: C, E, D */
    assert_string_equal(AFTER(s, .kind = SIM_NOTHING), "f:AB");
    assert_string_equal(AFTER(s, .kind = SIM_EVERYTHING), "f:EBD g:");
    assert_string_equal(AFTER(s, .kind = SIM_SIZES), "f:AB. g:");
    assert_string_equal(AFTER(s, .kind = SIM_ALL_BUT, .number = 0),
                        "f:ABD g:");
    assert_string_equal(AFTER(s, .kind = SIM_ALL_BUT, .number = 1),
                        "f:CBD g:");
    assert_string_equal(AFTER(s, .kind = SIM_ALL_BUT, .number = 2),
                        "f:EB. g:");
    assert_string_equal(AFTER(s, .kind = SIM_ONLY, .number = 0), "f:CB g:");
    assert_string_equal(AFTER(s, .kind = SIM_ONLY, .number = 1), "f:EB. g:");
    assert_string_equal(AFTER(s, .kind = SIM_ONLY, .number = 2), "f:ABD g:");
    struct set torn = { 0 };
    for (u64 seed = 0; seed < 3000; seed++) {
        const char *text = AFTER(s, .kind = SIM_TORN, .number = 1,
                                 .seed = seed);
        assert_true(strspn(text + 3, "CE") == 8); /* f:[CECECECE]BD g: */
        assert_string_equal(text + 11, "]BD g:");
        add_to_set(&torn, text);
    }
    assert_int_equal(torn.count, 254); /* never none, never all */
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

static void a_write_within_one_sector_cannot_tear(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("A", &f);
    fill(f, 'B', 700, 10);
    struct sim_snapshot *s = sim_snapshot(os);
    assert_int_equal(sim_states(s, SIM_SECTORS), 2);
    for (u64 seed = 0; seed < 10; seed++)
        assert_string_equal(
            AFTER(s, .kind = SIM_TORN, .number = 0, .seed = seed), "f:A");
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

static void dice_choose_only_what_can_be_and_all_of_it(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("AB", &f);
    fill(f, 'C', 0, SECTOR);
    fill(f, 'D', 6 * SECTOR, 4 * SECTOR); /* of both pages */
    assert_int_equal(os->resize(f, PAGE), 0);
    fill(f, 'E', PAGE, SECTOR);
    os->close(open_file(os, "g"));
    struct sim_snapshot *s = sim_snapshot(os);
    const struct set *set = all_states(s, SIM_SECTORS);
    struct set seen = { 0 };
    for (u64 seed = 0; seed < 100000 && seen.count < set->count; seed++) {
        const char *text = AFTER(s, .kind = SIM_RANDOM, .seed = seed);
        assert_true(in_set(set, text));
        add_to_set(&seen, text);
    }
    assert_int_equal(seen.count, set->count);
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

/* Against a model of its own: every sector of every file shows something it
 * was since the last sync, and what was synced is there. */
static void random_work_leaves_only_what_was_written(void **unused)
{
    (void)unused;
    enum { SECTORS = 64, HISTORY = 40 };
    static u8 history[SECTORS][HISTORY];
    for (int round = 0; round < 200; round++) {
        struct os *os = sim_new(dice());
        struct os_file *f = open_file(os, "f");
        unsigned counts[SECTORS];
        assert_int_equal(os->resize(f, SECTORS * SECTOR), 0);
        sync_all(f);
        for (unsigned k = 0; k < SECTORS; k++) {
            counts[k] = 1;
            history[k][0] = 0;
        }
        for (unsigned step = 0; step < 30; step++) {
            if (below(12) == 0) {
                assert_int_equal(os->sync(f), 0);
                for (unsigned k = 0; k < SECTORS; k++) {
                    history[k][0] = history[k][counts[k] - 1];
                    counts[k] = 1;
                }
                continue;
            }
            u64 from = below(SECTORS), size = 1 + below(SECTORS - from);
            u8 letter = (u8)(1 + below(255));
            fill(f, (char)letter, from * SECTOR, size * SECTOR);
            for (u64 k = from; k < from + size; k++)
                history[k][counts[k]++] = letter;
        }
        struct sim_snapshot *s = sim_snapshot(os);
        u64 pending = sim_pending(s);
        for (unsigned n = 0; n < 30; n++) {
            struct sim_choice choice = { .kind = SIM_RANDOM, .seed = dice() };
            if (n > 20 && pending)
                choice = (struct sim_choice){
                    .kind = (enum sim_choice_kind)(SIM_ALL_BUT + n % 3),
                    .number = below(pending), .seed = dice() };
            struct os *after = sim_crash(s, choice);
            struct os_file *g = open_file(after, "f");
            const u8 *base;
            assert_int_equal(after->map_read(g, SECTORS * SECTOR, &base), 0);
            for (unsigned k = 0; k < SECTORS; k++) {
                u8 sector[SECTOR];
                assert_int_equal(after->read(g, sector, SECTOR, k * SECTOR),
                                 0);
                assert_memory_equal(sector, base + k * SECTOR, SECTOR);
                assert_non_null(memchr(history[k], sector[0], counts[k]));
                assert_memory_equal(sector, sector + 1, SECTOR - 1);
            }
            sim_free(after); /* with its file and its map */
        }
        sim_snapshot_free(s);
        sim_free(os);
    }
}

/* --------------------------------------------- shared maps and processes -- */

static void a_shared_map_may_be_anything_after(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    struct os_file *f = open_file(os, "shm");
    u8 *base = NULL;
    put(f, 0, "A");
    sync_all(f);
    assert_int_equal(os->map_shared(f, PAGE, &base), 0);
    memset(base, 'B', PAGE);
    struct sim_snapshot *s = sim_snapshot(os);
    assert_string_equal(AFTER(s, .kind = SIM_NOTHING), "shm:A");
    assert_string_equal(AFTER(s, .kind = SIM_EVERYTHING), "shm:B");
    static const char *const by_order[] = {
        [SIM_SHARED_SYNCED] = "shm:A", [SIM_SHARED_LAST] = "shm:B",
        [SIM_SHARED_ZEROS] = "shm:.", [SIM_SHARED_GONE] = "",
    };
    for (int what = SIM_SHARED_SYNCED; what <= SIM_SHARED_GONE; what++)
        if (what != SIM_SHARED_GARBAGE)
            assert_string_equal(AFTER(s, .kind = SIM_SIZES,
                                      .shared = (enum sim_shared)what),
                                by_order[what]);
    const char *garbage = AFTER(s, .kind = SIM_SIZES,
                                .shared = SIM_SHARED_GARBAGE);
    assert_int_equal(strlen(garbage), strlen("shm:[12345678]"));
    struct set seen = { 0 };
    for (u64 seed = 0; seed < 100; seed++) {
        const char *text = AFTER(s, .kind = SIM_RANDOM, .seed = seed);
        if (strlen(text) < 8) add_to_set(&seen, text); /* not the garbage */
    }
    assert_int_equal(seen.count, 4);
    assert_int_equal(sim_states(s, SIM_PAGES), 1);
    sim_snapshot_free(s);
    os->unmap(os, base, PAGE);
    assert_string_equal(picture(os), "shm:B");
    assert_int_equal(os->sync(f), 0);
    s = sim_snapshot(os);
    assert_string_equal(AFTER(s, .kind = SIM_NOTHING), "shm:B");
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

static void a_processs_death_loses_nothing_but_its_locks(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("A", &f);
    u8 *base = NULL;
    put(f, 0, "B");
    struct os_file *shm = open_file(os, "shm");
    assert_int_equal(os->resize(shm, PAGE), 0);
    assert_int_equal(os->map_shared(shm, PAGE, &base), 0);
    memset(base, 'S', PAGE);
    assert_int_equal(os->lock(f, 1, true, 0), 0);
    struct os_file *gone = open_file(os, "gone");
    assert_int_equal(os->unlink(os, "gone"), 0);

    struct sim_snapshot *s = sim_snapshot(os);
    struct sim_choice death = { .kind = SIM_PROCESS };
    struct os *after = sim_crash(s, death);
    sim_snapshot_free(s);
    os->close(gone);
    sim_free(os); /* the new disk does not need the old one */
    assert_string_equal(picture(after), "f:B shm:S");
    struct os_file *g = open_file(after, "f");
    assert_int_equal(after->lock(g, 1, true, 0), 0);

    s = sim_snapshot(after); /* what was pending still is */
    assert_string_equal(AFTER(s, .kind = SIM_NOTHING), "f:A");
    assert_string_equal(AFTER(s, .kind = SIM_EVERYTHING), "f:B shm:S");
    sim_snapshot_free(s);
    assert_int_equal(after->sync(g), 0);
    s = sim_snapshot(after);
    assert_string_equal(AFTER(s, .kind = SIM_NOTHING), "f:B");
    sim_snapshot_free(s);
    after->close(g);
    sim_free(after);
}

/* --------------------------------------------------------------- trouble -- */

static void a_call_fails_when_told_to(void **unused)
{
    (void)unused;
    struct os_file *f, *g = NULL;
    struct os *os = disk_with("A", &f);
    u8 byte;
    sim_fail(os, SIM_CALL_WRITE, 2, ENOSPC, false);
    sim_fail(os, SIM_CALL_READ, 1, EIO, true);
    sim_fail(os, SIM_CALL_CREATE, 1, EACCES, false);
    assert_int_equal(os->write(f, "x", 1, 0), 0);
    assert_int_equal(os->write(f, "y", 1, 0), LUGE_NOSPACE);
    assert_int_equal(luge_last_error()->system_errno, ENOSPC);
    assert_int_equal(os->write(f, "z", 1, 1), 0);
    for (int k = 0; k < 3; k++)
        assert_int_equal(os->read(f, &byte, 1, 0), LUGE_IO);
    assert_int_equal(os->open(os, "g", OS_WRITE | OS_CREATE, &g),
                     LUGE_PERMISSION);
    assert_int_equal(os->open(os, "f", OS_WRITE | OS_CREATE, &g), 0);
    os->close(g);
    sim_fail_nothing(os);
    u8 both[2];
    assert_int_equal(os->read(f, both, 2, 0), 0);
    assert_memory_equal(both, "xz", 2);
    assert_string_equal(picture(os), "f:[xAAAAAAA]");
    os->close(f);
    sim_free(os);
}

static void a_failing_write_may_do_a_part(void **unused)
{
    (void)unused;
    bool none = false, some = false;
    for (u64 seed = 0; seed < 40; seed++) {
        struct os *os = sim_new(seed);
        struct os_file *f = open_file(os, "f");
        u8 data[3000];
        u64 size = 0;
        memset(data, 'x', sizeof data);
        sim_fail_partly(os, 1, EIO, false);
        assert_int_equal(os->write(f, data, sizeof data, 0), LUGE_IO);
        assert_int_equal(os->size(f, &size), 0);
        assert_true(size < sizeof data);
        none |= size < 1000;
        some |= size > 2000;
        os->close(f);
        sim_free(os);
    }
    assert_true(none && some);
}

static void a_failed_sync_leaves_doubt(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("AA", &f);
    put(f, 0, "B");
    sim_fail(os, SIM_CALL_SYNC, 1, EIO, false);
    assert_int_equal(os->sync(f), LUGE_IO);
    EXPECT(os, SIM_PAGES, 2, "f:AA", "f:BA");
    assert_int_equal(os->sync(f), 0); /* the lie */
    EXPECT(os, SIM_PAGES, 2, "f:AA", "f:BA");
    put(f, 1, "C");
    put(f, 2, "D");
    assert_int_equal(os->sync(f), 0);
    EXPECT(os, SIM_PAGES, 2, "f:ACD", "f:BCD");
    assert_string_equal(picture(os), "f:BCD");
    put(f, 0, "E");
    EXPECT(os, SIM_PAGES, 3, "f:ACD", "f:BCD", "f:ECD");
    assert_int_equal(os->sync(f), 0); /* written again: no doubt now */
    EXPECT(os, SIM_PAGES, 1, "f:ECD");
    os->close(f);
    sim_free(os);
}

/* What is dirty beside it is as it was: written or not. */
static void a_durable_write_is_of_its_bytes_alone(void **unused)
{
    (void)unused;
    struct os_file *f;
    u8 page[PAGE];
    struct os *os = disk_with("AA", &f);
    put(f, 0, "B");
    memset(page, 'C', sizeof page);
    assert_int_equal(os->write_durable(f, page, PAGE, PAGE), 0);
    EXPECT(os, SIM_PAGES, 2, "f:AC", "f:BC");
    put(f, 1, "D");
    memset(page, 'E', sizeof page);
    assert_int_equal(os->write_durable(f, page, PAGE, 2 * PAGE), 0);
    EXPECT(os, SIM_PAGES, 4, "f:ACE", "f:ADE", "f:BCE", "f:BDE");
    sim_fail(os, SIM_CALL_SYNC, 1, EIO, false);
    memset(page, 'F', sizeof page);
    assert_int_equal(os->write_durable(f, page, PAGE, PAGE), LUGE_IO);
    assert_string_equal(picture(os), "f:BFE");
    assert_int_equal(os->sync(f), 0); /* the lie */
    EXPECT(os, SIM_PAGES, 6, "f:ACE", "f:ADE", "f:AFE", "f:BCE", "f:BDE",
           "f:BFE");
    assert_int_equal(os->write_durable(f, page, PAGE, PAGE), 0);
    EXPECT(os, SIM_PAGES, 2, "f:AFE", "f:BFE");
    os->close(f);
    sim_free(os);
}

static void without_power_nothing_happens(void **unused)
{
    (void)unused;
    struct os_file *f, *g = NULL;
    struct os *os = disk_with("A", &f);
    const u8 *base;
    u8 byte;
    u64 changes = sim_changes(os);
    sim_power_off(os, 2);
    put(f, 0, "B");
    assert_int_equal(sim_changes(os), changes + 1);
    assert_int_equal(os->read(f, &byte, 1, 0), 0);
    assert_int_equal(os->write(f, "x", 1, 0), LUGE_IO);
    assert_int_equal(os->read(f, &byte, 1, 0), LUGE_IO);
    assert_int_equal(os->sync(f), LUGE_IO);
    assert_int_equal(os->map_read(f, PAGE, &base), LUGE_IO);
    assert_int_equal(os->open(os, "g", OS_WRITE | OS_CREATE, &g), LUGE_IO);
    assert_int_equal(os->rename(os, "f", "g"), LUGE_IO);
    assert_int_equal(os->lock(f, 1, true, 0), LUGE_IO);
    os->unlock(f, 1);
    EXPECT(os, SIM_PAGES, 2, "f:A", "f:B");
    sim_power_off(os, 0);
    assert_string_equal(picture(os), "f:B");
    assert_int_equal(os->sync(f), 0);
    EXPECT(os, SIM_PAGES, 1, "f:B"); /* being off was no failed sync */
    os->close(f);
    sim_free(os);
}

struct watching {
    unsigned count, leave_at;
    char seen[400];
    jmp_buf back;
};

static void watch(void *context, const char *call, const char *path)
{
    struct watching *w = context;
    size_t at = strlen(w->seen);
    snprintf(w->seen + at, sizeof w->seen - at, "%s %s, ", call, path);
    if (++w->count == w->leave_at) longjmp(w->back, 1);
}

static void somebody_may_watch_and_leave(void **unused)
{
    (void)unused;
    static struct watching w; /* longjmp would spoil a local */
    struct os *os = sim_new(1);
    struct os_file *volatile f = NULL;
    w = (struct watching){ .leave_at = 11 };
    sim_before(os, watch, &w);
    if (!setjmp(w.back)) {
        u64 size;
        assert_int_equal(os->mkdir(os, "d"), 0);
        f = open_file(os, "d/f");
        luge_bytes piece = luge_str("x");
        assert_int_equal(os->write(f, "x", 1, 0), 0);
        assert_int_equal(os->writev(f, &piece, 1, 1), 0);
        assert_int_equal(os->size(f, &size), 0); /* not a change */
        assert_int_equal(os->resize(f, 9), 0);
        assert_int_equal(os->allocate(f, 0, 9), 0);
        assert_int_equal(os->sync(f), 0);
        assert_int_equal(os->rename(os, "d/f", "d/g"), 0);
        assert_int_equal(os->sync_dir(os, "d"), 0);
        assert_int_equal(os->unlink(os, "d/g"), 0);
        os->rmdir(os, "d");
        assert_true(false);
    }
    assert_string_equal(w.seen,
                        "mkdir d, create d/f, write d/f, write d/f, "
                        "resize d/f, allocate d/f, sync d/f, rename d/f, "
                        "sync_dir d, unlink d/g, rmdir d, ");
    assert_int_equal(sim_changes(os), 10);
    assert_int_equal(sim_calls(os, SIM_CALL_WRITE), 2);
    assert_int_equal(sim_calls(os, SIM_CALL_SIZE), 1);
    assert_int_equal(sim_calls(os, SIM_CALL_RMDIR), 0);
    assert_string_equal(sim_call_name(SIM_CALL_SYNC_DIR), "sync_dir");
    sim_before(os, NULL, NULL);
    assert_string_equal(picture(os), "d/()"); /* the lock was not left held */
    os->close(f);
    sim_free(os);
}

static void a_disk_may_be_full(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    struct os_file *f = open_file(os, "f"), *g = open_file(os, "g");
    static u8 data[5 * PAGE];
    u64 size = 0;
    memset(data, 'x', sizeof data);
    sim_capacity(os, 4 * PAGE);
    assert_int_equal(os->write(f, data, 3 * PAGE, 100), 0); /* 4 pages */
    assert_int_equal(sim_used(os), 4 * PAGE);
    assert_int_equal(os->write(g, "x", 1, 0), LUGE_NOSPACE);
    assert_int_equal(os->write(f, data, PAGE, 0), 0); /* has its blocks */
    assert_int_equal(os->resize(g, 9 * PAGE), 0);     /* a hole needs none */
    assert_int_equal(os->allocate(g, 0, 1), LUGE_NOSPACE);
    assert_int_equal(os->resize(f, PAGE), 0);
    assert_int_equal(sim_used(os), PAGE);
    assert_int_equal(os->write(g, data, 5 * PAGE, 9 * PAGE), LUGE_NOSPACE);
    assert_int_equal(os->size(g, &size), 0);
    assert_int_equal(size, 12 * PAGE); /* what fitted was written */
    assert_int_equal(os->resize(g, 0), 0);
    assert_int_equal(os->allocate(g, PAGE, 3 * PAGE), 0);
    assert_int_equal(os->allocate(g, PAGE, 3 * PAGE), 0); /* has them */
    assert_int_equal(os->write(g, data, 3 * PAGE, PAGE), 0);
    assert_int_equal(os->write(g, data, 1, 0), LUGE_NOSPACE);

    assert_int_equal(os->unlink(os, "g"), 0);
    assert_int_equal(sim_used(os), 4 * PAGE); /* open */
    os->close(g);
    assert_int_equal(sim_used(os), PAGE);
    os->close(f);
    sim_free(os);
}

static void the_oldest_changes_are_written_back_in_the_end(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("A", &f);
    for (u32 k = 0; k <= SIM_PENDING_MAX; k++)
        fill(f, (char)('a' + k % 26), 0, 10);
    struct sim_snapshot *s = sim_snapshot(os);
    assert_true(sim_pending(s) <= SIM_PENDING_MAX);
    assert_true(sim_pending(s) >= SIM_PENDING_MAX / 2);
    char first = AFTER(s, .kind = SIM_NOTHING)[3];
    assert_int_equal(first, 'a' + (SIM_PENDING_MAX / 2 - 1) % 26);
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

/* ------------------------------------------------------------------ maps -- */

static void a_map_stays_and_grows(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("AB", &f);
    const u8 *base = NULL, *again = NULL;
    assert_int_equal(os->map_read(f, MIB(1024), &base), 0);
    assert_int_equal(base[PAGE], 'B');
    assert_int_equal(base[MIB(512)], 0);
    fill(f, 'C', MIB(512), 10);
    assert_int_equal(base[MIB(512)], 'C');
    assert_int_equal(os->map_read(f, PAGE, &again), 0);
    assert_ptr_equal(again, base);
    os->unmap(os, again, PAGE);
    assert_int_equal(base[MIB(512) + 9], 'C');
    assert_int_equal(os->resize(f, 100), 0);
    assert_int_equal(base[99], 'A');
    assert_int_equal(base[100] | base[PAGE] | base[MIB(512)], 0);
    assert_true(sim_maps_untouched(os));
    ((u8 *)(uintptr_t)base)[7] = 'X';
    assert_false(sim_maps_untouched(os));
    ((u8 *)(uintptr_t)base)[7] = 'A';
    os->close(f);
    assert_int_equal(base[0], 'A'); /* the map outlives the file */
    os->unmap(os, base, MIB(1024));
    os->unmap(os, NULL, 0);

    f = open_file(os, "f");
    assert_int_equal(os->map_read(f, SIM_FILE_BYTES_MAX + 1, &base),
                     LUGE_NOMEM);
    assert_int_equal(os->map_read(f, SIM_FILE_BYTES_MAX, &base), 0);
    assert_int_equal(base[99], 'A');
    os->unmap(os, base, SIM_FILE_BYTES_MAX);
    os->close(f);
    sim_free(os);
}

/* The maps of earlier disks are used again: each must show its own disk. */
static void maps_used_again_show_their_own_disk(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    struct os_file *f = open_file(os, "f"), *shm = open_file(os, "shm");
    put(f, 0, "ABCDEFGH");
    assert_int_equal(os->resize(shm, PAGE), 0);
    sync_all(f);
    sync_all(shm);
    for (unsigned k = 0; k < 8; k++)
        put(f, below(8), (char[]){ (char)('a' + k), 0 });
    struct sim_snapshot *s = sim_snapshot(os);
    for (u64 n = 0; n < sim_states(s, SIM_PAGES); n++) {
        struct sim_choice choice = { .kind = SIM_INDEX, .number = n };
        struct os *after = sim_crash(s, choice);
        struct os_file *g = open_file(after, "f");
        struct os_file *h = open_file(after, "shm");
        const u8 *base = NULL;
        u8 *shared = NULL;
        assert_int_equal(after->map_read(g, MIB(1), &base), 0);
        assert_int_equal(after->map_shared(h, PAGE, &shared), 0);
        assert_int_equal(shared[17], 0);
        shared[17] = 1; /* nobody after us may see it */
        for (unsigned page = 0; page < 8; page++) {
            u8 read[PAGE];
            assert_int_equal(after->read(g, read, PAGE, page * PAGE), 0);
            assert_memory_equal(read, base + page * PAGE, PAGE);
        }
        if (n % 3 == 0) fill(g, 'z', below(9) * PAGE, 100);
        if (n % 5 == 0) assert_int_equal(after->resize(g, PAGE), 0);
        assert_int_equal(base[8 * PAGE + 100], 0);
        assert_true(sim_maps_untouched(after));
        sim_free(after);
    }
    sim_snapshot_free(s);
    sim_free(os);
}

/* ----------------------------------------------------- locks and threads -- */

static void *unlock_soon(void *file)
{
    struct os_file *f = file;
    os_sleep_us(30000);
    f->os->unlock(f, 1);
    return NULL;
}

static void locks_are_waited_for(void **unused)
{
    (void)unused;
    struct os_file *a, *r = NULL;
    struct os *os = disk_with("A", &a);
    struct os_file *b = open_file(os, "f");
    assert_int_equal(os->lock(a, 1, true, 0), 0);
    u64 start = os_monotonic_ns();
    assert_int_equal(os->lock(b, 1, false, 40), LUGE_BUSY);
    assert_true(os_monotonic_ns() - start >= 39000000);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, unlock_soon, a), 0);
    assert_int_equal(os->lock(b, 1, true, 20000), 0);
    pthread_join(thread, NULL);
    assert_int_equal(os->open(os, "f", OS_READ, &r), 0);
    assert_int_equal(os->lock(r, 2, true, 0), LUGE_IO);
    assert_int_equal(os->lock(r, 2, false, 0), 0);
    os->close(r);
    os->close(a);
    os->close(b);
    sim_free(os);
}

static void *work_alone(void *argument)
{
    struct os *os = argument;
    char path[32];
    u8 page[PAGE];
    snprintf(path, sizeof path, "t%llx",
             (unsigned long long)(uintptr_t)&path);
    struct os_file *f = NULL;
    if (os->open(os, path, OS_WRITE | OS_CREATE, &f)) return argument;
    for (unsigned k = 0; k < 300; k++) {
        memset(page, (int)k, PAGE);
        if (os->write(f, page, PAGE, (k % 7) * PAGE)) return argument;
        if (k % 10 == 0 && os->sync(f)) return argument;
        if (k % 50 == 0) {
            struct sim_snapshot *s = sim_snapshot(os);
            struct sim_choice choice = { .kind = SIM_RANDOM, .seed = k };
            sim_free(sim_crash(s, choice));
            sim_snapshot_free(s);
        }
        if (os->read(f, page, 1, (k % 7) * PAGE) || page[0] != (u8)k)
            return argument;
    }
    os->close(f);
    return NULL;
}

static void threads_may_share_a_disk(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    pthread_t threads[4];
    for (unsigned k = 0; k < 4; k++)
        assert_int_equal(pthread_create(&threads[k], NULL, work_alone, os), 0);
    for (unsigned k = 0; k < 4; k++) {
        void *failed = os;
        pthread_join(threads[k], &failed);
        assert_null(failed);
    }
    sim_free(os);
}

/* --------------------------------------------------------- determinism -- */

static void the_seed_decides(void **unused)
{
    (void)unused;
    u8 bytes[3][32];
    u64 clocks[3][2];
    for (int k = 0; k < 3; k++) {
        struct os *os = sim_new(k == 2 ? 8 : 7);
        clocks[k][0] = os->wall_ns(os);
        assert_int_equal(os->random(os, bytes[k], 32), 0);
        clocks[k][1] = os->wall_ns(os);
        assert_true(clocks[k][1] > clocks[k][0]);
        sim_free(os);
    }
    assert_memory_equal(bytes[0], bytes[1], 32);
    assert_memory_not_equal(bytes[0], bytes[2], 32);
    assert_memory_equal(clocks[0], clocks[1], sizeof clocks[0]);

    struct os_file *f;
    struct os *os = disk_with("ABCD", &f);
    put(f, 0, "EFGH");
    struct sim_snapshot *s = sim_snapshot(os);
    for (u64 seed = 0; seed < 50; seed++) {
        char text[PICTURE_MAX];
        snprintf(text, sizeof text, "%s",
                 AFTER(s, .kind = SIM_RANDOM, .seed = seed));
        assert_string_equal(AFTER(s, .kind = SIM_RANDOM, .seed = seed), text);
    }
    struct sim_choice choice = { .kind = SIM_NOTHING };
    struct os *after = sim_crash(s, choice);
    assert_true(after->wall_ns(after) >= os->wall_ns(os) - 1000);
    assert_int_equal(after->random(after, bytes[0], 32), 0);
    assert_int_equal(os->random(os, bytes[1], 32), 0);
    assert_memory_not_equal(bytes[0], bytes[1], 32);
    sim_free(after);
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

static void note_sentence(void *context, const char *sentence)
{
    char *text = context;
    size_t at = strlen(text);
    snprintf(text + at, 500 - at, "%s\n", sentence);
}

static void what_is_pending_can_be_told(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    char text[500] = "";
    assert_int_equal(os->mkdir(os, "d"), 0);
    struct os_file *f = open_file(os, "d/f");
    fill(f, 'A', 3 * PAGE + SECTOR, 2 * SECTOR);
    struct sim_snapshot *s = sim_snapshot(os);
    sim_describe(s, note_sentence, text);
    assert_string_equal(text,
                        "/: 1 changes of names are pending\n"
                        "/d: 1 changes of names are pending\n"
                        "/d/f: change 1: size 0 to 13824\n"
                        "/d/f: page write 0: change 1, page 3, sectors 0x06\n");
    sim_snapshot_free(s);
    os->close(f);
    sim_free(os);
}

static void too_many_states_are_said_to_be_so(void **unused)
{
    (void)unused;
    struct os_file *f;
    struct os *os = disk_with("A", &f);
    for (unsigned k = 0; k < 70; k++) put(f, k, "B");
    struct sim_snapshot *s = sim_snapshot(os);
    assert_true(sim_states(s, SIM_PAGES) == UINT64_MAX);
    assert_true(sim_states(s, SIM_SECTORS) == UINT64_MAX);
    sim_snapshot_free(s);
    for (unsigned k = 0; k < 5000; k++) os->close(open_file(os, k % 2 ? "a"
                                                                      : "b"));
    for (unsigned k = 0; k < 5000; k++)
        assert_int_equal(os->rename(os, k % 2 ? "c" : "b", k % 2 ? "b" : "c"),
                         0);
    os->close(f);
    sim_free(os);
}

/* ------------------------------------------- twin: the real platform -- */

enum { NAMES = 6, FILES = 8 };

struct twin {
    struct os *os;
    const char *root;
    struct os_file *files[FILES];
};

static const char *twin_path(const struct twin *t, u64 name)
{
    static const char *const names[NAMES] = { "a", "b", "d", "d/a", "d/b",
                                              "d/c" };
    static char path[4][300];
    static unsigned next;
    char *to = path[next++ % 4];
    snprintf(to, sizeof path[0], "%s/%s", t->root, names[name]);
    return to;
}

struct step { u64 what, file, name, other, offset, size, flags, letter; };

static int twin_open(struct twin *t, const struct step *s)
{
    struct os_file **f = &t->files[s->file];
    unsigned flags = (unsigned)s->flags % 4;
    if ((flags & OS_CREATE) && s->flags & 8) flags |= OS_EXCLUSIVE;
    if (*f) t->os->close(*f);
    *f = NULL;
    return t->os->open(t->os, twin_path(t, s->name), flags, f);
}

/* The answer, with what was read hashed into *sum. */
static int twin_file_step(struct twin *t, const struct step *s, u64 *sum)
{
    static u8 data[3 * PAGE];
    struct os *os = t->os;
    struct os_file *f = t->files[s->file];
    u64 size = s->size % sizeof data;
    luge_bytes pieces[3] = { { data, size / 3 }, { NULL, 0 },
                             { data + size / 3, size - size / 3 } };
    int rc;
    bool held = false;
    if (!f) return 1;
    memset(data, (int)s->letter, sizeof data);
    switch (s->what) {
    case 3: case 4: return os->write(f, data, size, s->offset);
    case 5: return os->writev(f, pieces, 3, s->offset);
    case 6:
        rc = os->read(f, data, size, s->offset);
        if (!rc) *sum = base_hash(data, size, 1);
        return rc;
    case 7: return os->sync(f);
    case 8: return os->resize(f, s->offset);
    case 9: return os->allocate(f, s->offset, size);
    case 10: return os->size(f, sum);
    case 11: return os->lock(f, s->letter % 4, s->flags & 1, 0);
    case 12:
        os->unlock(f, s->letter % 4);
        return 0;
    case 13:
        rc = os->lock_test(f, s->letter % 4, 1 + s->flags % 3, &held);
        *sum = held;
        return rc;
    default: return os->sync_part(f, 0, size);
    }
}

static int hash_name(void *context, const char *name)
{
    *(u64 *)context += base_hash(name, strlen(name), 2); /* in any order */
    return 0;
}

static int twin_step(struct twin *t, const struct step *s, u64 *sum)
{
    struct os *os = t->os;
    const char *path = twin_path(t, s->name);
    struct os_stat stat = { 0 };
    int rc;
    switch (s->what) {
    case 0: case 1: return twin_open(t, s);
    case 2:
        if (t->files[s->file]) os->close(t->files[s->file]);
        t->files[s->file] = NULL;
        return 0;
    case 15: return os->mkdir(os, path);
    case 16: return os->rename(os, path, twin_path(t, s->other));
    case 17: return os->unlink(os, path);
    case 18: return os->rmdir(os, path);
    case 19: return os->sync_dir(os, path);
    case 20: return os->list(os, path, hash_name, sum);
    case 21:
        rc = os->stat(os, path, &stat);
        *sum = stat.directory ? 1 : 2 * stat.size;
        return rc;
    default: return twin_file_step(t, s, sum);
    }
}

static void check_map(const struct twin *real, const struct twin *simulated,
                      u64 file)
{
    struct os_file *a = real->files[file], *b = simulated->files[file];
    const u8 *x = NULL, *y = NULL;
    u64 size = 0;
    if (!a || real->os->size(a, &size) || !size) return;
    assert_int_equal(real->os->map_read(a, MIB(1), &x), 0);
    assert_int_equal(simulated->os->map_read(b, MIB(1), &y), 0);
    assert_memory_equal(x, y, size);
    real->os->unmap(real->os, x, MIB(1));
    simulated->os->unmap(simulated->os, y, MIB(1));
}

static int remove_one(const char *path, const struct stat *s, int kind,
                      struct FTW *where)
{
    (void)s;
    (void)kind;
    (void)where;
    return remove(path);
}

static void twins_answer_alike(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/luge-test-sim-XXXXXX";
    unsigned good = 0;
    assert_non_null(mkdtemp(folder));
    for (int round = 0; round < 40; round++) {
        struct twin real = { os_native(), folder, { 0 } };
        struct twin simulated = { sim_new(1), "", { 0 } };
        assert_int_equal(os_native()->mkdir(real.os, twin_path(&real, 2)), 0);
        assert_int_equal(simulated.os->mkdir(simulated.os, "d"), 0);
        for (int k = 0; k < 400; k++) {
            u64 sums[2] = { 0, 0 };
            struct step s = { below(23), below(FILES), below(NAMES),
                              below(NAMES), below(5 * PAGE), below(3 * PAGE),
                              dice() % 16, below(256) };
            if (below(2)) s.flags |= OS_WRITE | OS_CREATE;
            if (s.what < 15 && !real.files[s.file]) s.what = 0;
            int wanted = twin_step(&real, &s, &sums[0]);
            int answer = twin_step(&simulated, &s, &sums[1]);
            if (wanted != answer || sums[0] != sums[1])
                print_message("step %d: call %d of %s: %d (%s), not %d\n", k,
                              (int)s.what, twin_path(&simulated, s.name),
                              answer, luge_last_error()->text, wanted);
            assert_int_equal(answer, wanted);
            assert_true(sums[0] == sums[1]);
            good += !wanted;
            check_map(&real, &simulated, s.file);
        }
        for (int k = 0; k < FILES; k++) {
            real.os->close(real.files[k]);
            simulated.os->close(simulated.files[k]);
        }
        sim_free(simulated.os);
        assert_int_equal(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        assert_int_equal(mkdir(folder, 0700), 0);
    }
    assert_int_equal(rmdir(folder), 0);
    printf("%u of 16000 steps succeeded\n", good);
    assert_true(good > 4000);
}

/* ----------------------------------------------------------------- speed -- */

/* A small database's worth: thousands of crashes a second are promised. */
static void crashes_are_cheap(void **unused)
{
    (void)unused;
    struct os *os = sim_new(1);
    struct os_file *db = open_file(os, "db"), *log = open_file(os, "log");
    struct os_file *shm = open_file(os, "shm");
    for (unsigned k = 0; k < 256; k++) put(db, k, "D");
    assert_int_equal(os->allocate(log, 0, MIB(16)), 0);
    assert_int_equal(os->allocate(shm, 0, KIB(64)), 0);
    sync_all(db);
    sync_all(log);
    sync_all(shm);
    for (unsigned k = 0; k < 10; k++) fill(log, 'L', k * 300, 300);
    for (unsigned k = 0; k < 10; k++) put(db, k * 17, "E");
    u64 start = os_monotonic_ns(), count = 4000, changed = 0;
    struct sim_snapshot *s = sim_snapshot(os);
    for (u64 n = 0; n < count; n++) {
        struct sim_choice choice = { .kind = SIM_RANDOM, .seed = n };
        struct os *after = sim_crash(s, choice);
        struct os_file *g = open_file(after, "db"), *h;
        struct os_file *l = open_file(after, "log");
        const u8 *base = NULL;
        u8 *shared = NULL, record[3000];
        assert_int_equal(after->map_read(g, MIB(4096), &base), 0);
        h = open_file(after, "shm");
        assert_int_equal(after->map_shared(h, KIB(64), &shared), 0);
        shared[5] = 1;
        assert_int_equal(after->read(l, record, sizeof record, 0), 0);
        for (unsigned k = 0; k < 10; k++) changed += base[k * 17 * PAGE] == 'E';
        for (unsigned k = 0; k < 10; k++) changed += record[k * 300] == 'L';
        sim_free(after);
    }
    u64 spent = os_monotonic_ns() - start;
    printf("%llu crashes/s\n",
           (unsigned long long)(count * 1000000000u / spent));
    assert_true(changed > count * 4 && changed < count * 16);
    sim_snapshot_free(s);
    sim_free(os);
}

int main(void)
{
    seed_dice();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_disk_stays_empty),
        cmocka_unit_test(what_was_synced_stays),
        cmocka_unit_test(one_write_of_two_pages_may_come_apart),
        cmocka_unit_test(later_writes_of_a_page_include_earlier_ones),
        cmocka_unit_test(a_page_tears_between_its_sectors),
        cmocka_unit_test(a_size_may_last_without_its_data),
        cmocka_unit_test(allocated_blocks_read_zero_whatever_lasted),
        cmocka_unit_test(a_cut_file_never_shows_old_bytes_again),
        cmocka_unit_test(names_last_in_their_order),
        cmocka_unit_test(a_rename_is_all_or_nothing),
        cmocka_unit_test(a_rename_between_directories_is_one),
        cmocka_unit_test(what_is_in_a_lost_directory_is_lost),
        cmocka_unit_test(a_file_in_no_directory_has_no_states),
        cmocka_unit_test(the_special_choices_do_what_they_say),
        cmocka_unit_test(a_write_within_one_sector_cannot_tear),
        cmocka_unit_test(dice_choose_only_what_can_be_and_all_of_it),
        cmocka_unit_test(random_work_leaves_only_what_was_written),
        cmocka_unit_test(a_shared_map_may_be_anything_after),
        cmocka_unit_test(a_processs_death_loses_nothing_but_its_locks),
        cmocka_unit_test(a_call_fails_when_told_to),
        cmocka_unit_test(a_failing_write_may_do_a_part),
        cmocka_unit_test(a_failed_sync_leaves_doubt),
        cmocka_unit_test(a_durable_write_is_of_its_bytes_alone),
        cmocka_unit_test(without_power_nothing_happens),
        cmocka_unit_test(somebody_may_watch_and_leave),
        cmocka_unit_test(a_disk_may_be_full),
        cmocka_unit_test(the_oldest_changes_are_written_back_in_the_end),
        cmocka_unit_test(a_map_stays_and_grows),
        cmocka_unit_test(maps_used_again_show_their_own_disk),
        cmocka_unit_test(locks_are_waited_for),
        cmocka_unit_test(threads_may_share_a_disk),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(what_is_pending_can_be_told),
        cmocka_unit_test(too_many_states_are_said_to_be_so),
        cmocka_unit_test(twins_answer_alike),
        cmocka_unit_test(crashes_are_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
