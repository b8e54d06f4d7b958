/* test/test_page.c -- the page file below the trees: what is remembered as seen
 * and good, and what happens when the file gets shorter.
 * Not here: pages of trees (test_tree.c), damage as users meet it
 * (test_damage.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#undef fail                     /* base.h has one, too */

#include "os/sim.h"
#include "page/file.h"
#include "support.h"

enum { PAGE = 4096, PAGES = 16 };

struct book {
    struct os *os;
    struct os_file *file;
    struct page_file pages;
    u8 bytes[PAGES * PAGE];     /* what the file holds */
};

static int always_valid(const struct page_head *page, u32 page_bytes_)
{
    return page->level || page_bytes_ != PAGE ? LUGE_CORRUPT : 0;
}

static int setup(void **state)
{
    struct book *b = grab(sizeof *b);
    memset(b, 0, sizeof *b);
    b->os = sim_new(1);
    pattern_fill(b->bytes, sizeof b->bytes, 7);
    for (u64 n = 2; n < PAGES; n++) {
        struct page_head *page = (void *)(b->bytes + n * PAGE);
        page->kind = PAGE_LEAF;
        page->level = 0;
        page_seal(page, n, 1, PAGE);
    }
    if (b->os->mkdir(b->os, "/d")) return -1;
    if (b->os->open(b->os, "/d/db", OS_WRITE | OS_CREATE, &b->file)) return -1;
    if (b->os->write(b->file, b->bytes, sizeof b->bytes, 0)) return -1;
    *state = b;
    return page_file_open(&b->pages, b->os, b->file, PAGE, always_valid);
}

static int teardown(void **state)
{
    struct book *b = *state;
    page_file_close(&b->pages);
    b->os->close(b->file);
    sim_free(b->os);
    free(b);
    return 0;
}

static struct page_extent extent_of(struct book *b, u64 first, u64 size)
{
    luge_bytes value = luge_bytes_of(b->bytes + first * PAGE, size);
    return (struct page_extent){.first = first, .size = size,
                                .sum = page_extent_sum(value)};
}

/* One large value was found good: that says nothing of another that begins at
 * the same page and is longer, or shorter. */
static void two_sizes_at_one_page(void **state)
{
    struct book *b = *state;
    struct page_extent good = extent_of(b, 4, 5000), bad = good;
    luge_bytes value;
    assert_int_equal(page_extent_read(&b->pages, &good, &value), 0);
    bad.size = 20000;
    assert_int_equal(page_extent_read(&b->pages, &bad, &value), LUGE_CORRUPT);
    bad.size = 100;
    assert_int_equal(page_extent_read(&b->pages, &bad, &value), LUGE_CORRUPT);
    struct page_extent other = extent_of(b, 4, 20000);
    assert_int_equal(page_extent_read(&b->pages, &other, &value), 0);
    assert_memory_equal(value.data, b->bytes + 4 * PAGE, 20000);
    assert_int_equal(page_extent_read(&b->pages, &good, &value), 0);
    assert_int_equal(value.size, 5000);
}

/* What we cut off ourselves was never seen. */
static void cut_by_us(void **state)
{
    struct book *b = *state;
    struct page_extent extent = extent_of(b, 6, 3 * PAGE);
    const struct page_head *page;
    luge_bytes value;
    for (u64 n = 2; n < PAGES; n++)
        assert_int_equal(page_read(&b->pages, n, &page), 0);
    assert_int_equal(page_extent_read(&b->pages, &extent, &value), 0);
    assert_int_equal(page_file_cut(&b->pages, 8), 0);
    assert_int_equal(page_file_whole(&b->pages), 0);
    for (u64 n = 2; n < PAGES; n++)
        assert_int_equal(page_read(&b->pages, n, &page),
                         n < 8 ? 0 : LUGE_CORRUPT);
    assert_int_equal(page_extent_read(&b->pages, &extent, &value),
                     LUGE_CORRUPT);
}

/* What somebody else cut off is missed by who looks. */
static void cut_by_others(void **state)
{
    struct book *b = *state;
    const struct page_head *page;
    assert_int_equal(page_read(&b->pages, 2, &page), 0);
    assert_int_equal(page_file_whole(&b->pages), 0);
    assert_int_equal(b->os->resize(b->file, 8 * PAGE + 1), 0);
    assert_int_equal(page_file_whole(&b->pages), LUGE_CORRUPT);
    assert_int_equal(page_read(&b->pages, 9, &page), LUGE_CORRUPT);
    assert_int_equal(page_read(&b->pages, 7, &page), 0);
}

int main(void)
{
#define BOOK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        BOOK(two_sizes_at_one_page), BOOK(cut_by_us), BOOK(cut_by_others),
    };
    return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
