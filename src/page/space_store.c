/* page/space_store.c -- the free list as a checkpoint keeps it: a row of pages.
 *
 *   page: | head: kind SPACE, count runs | first u64, pages u64 | ... |
 * The runs ascend and do not touch.  Everything that is not reachable from the
 * checkpoint's root is in the list, for after a crash nobody else reads.
 * docs/format.md 3.6 has it byte by byte.
 * Not here: when this happens (txn/checkpoint.c).
 */
#include <stdlib.h>

#include "page/file.h"
#include "page/space.h"

enum { STORED_RUN_BYTES = 16 };

static int by_first(const void *a, const void *b)
{
    const struct space_run *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

size_t space_join(struct space_run *runs, size_t count)
{
    size_t kept = 0;
    qsort(runs, count, sizeof *runs, by_first);
    for (size_t i = 0; i < count; i++) {
        struct space_run *last = kept ? &runs[kept - 1] : NULL;
        if (last && last->first + last->pages == runs[i].first &&
            (u64)last->pages + runs[i].pages <= UINT32_MAX)
            last->pages += runs[i].pages;
        else
            runs[kept++] = runs[i];
    }
    return kept;
}

static u32 runs_per_page(u32 page_bytes_)
{
    return (page_bytes_ - (u32)sizeof(struct page_head)) / STORED_RUN_BYTES;
}

u32 space_store_pages(u32 page_bytes_, size_t count)
{
    u32 per_page = runs_per_page(page_bytes_);
    return (u32)((count + per_page - 1) / per_page);
}

int space_store(struct page_file *f, u64 first, u32 pages, u64 birth,
                const struct space_run *runs, size_t count)
{
    u32 size = f->map.page_bytes, per_page = runs_per_page(size);
    int rc = 0;
    struct page_head *page = base_alloc(size);
    if (!page) return NOMEM();
    for (u32 i = 0; i < pages && !rc; i++) {
        size_t n = min_u64(count, per_page);
        u8 *at = (u8 *)(page + 1);
        memset(page, 0, size);
        page->kind = PAGE_SPACE;
        page->count = (u16)n;
        for (size_t k = 0; k < n; k++, at += STORED_RUN_BYTES) {
            store64(at, runs[k].first);
            store64(at + 8, runs[k].pages);
        }
        runs += n;
        count -= n;
        page_seal(page, first + i, birth, size);
        rc = f->os->write(f->file, page, size,
                          (first + i) << f->map.page_shift);
    }
    assert(rc || !count);
    base_free(page);
    return rc;
}

static int load_page(struct page_file *f, struct page_head *page, u64 number,
                     struct space_run *runs, size_t *count)
{
    u32 size = f->map.page_bytes;
    int rc = f->os->read(f->file, page, size, number << f->map.page_shift);
    if (rc) return rc;
    if (page->sum != page_sum(page, number, size) ||
        page->kind != PAGE_SPACE || page->count > runs_per_page(size))
        return CORRUPT("page %llu of the free list fails its checksum",
                       (unsigned long long)number);
    const u8 *at = (const u8 *)(page + 1);
    for (u32 i = 0; i < page->count; i++, at += STORED_RUN_BYTES) {
        u64 first = load64(at), pages = load64(at + 8);
        u64 end = *count ? runs[*count - 1].first + runs[*count - 1].pages : 2;
        if (first < end || !pages || pages > UINT32_MAX ||
            first >= PAGE_NUMBER_MAX)
            return CORRUPT("the free list is not ascending at page %llu",
                           (unsigned long long)number);
        runs[(*count)++] = (struct space_run){.first = first,
                                              .pages = (u32)pages};
    }
    return 0;
}

int space_load(struct page_file *f, u64 first, u32 pages,
               struct space_run **runs, size_t *count)
{
    u32 per_page = runs_per_page(f->map.page_bytes);
    int rc = 0;
    *count = 0;
    *runs = base_alloc(((size_t)pages * per_page + 1) * sizeof **runs);
    struct page_head *page = base_alloc(f->map.page_bytes);
    if (!*runs || !page) rc = NOMEM();
    for (u32 i = 0; i < pages && !rc; i++)
        rc = load_page(f, page, first + i, *runs, count);
    base_free(page);
    if (rc) {
        base_free(*runs);
        *runs = NULL;
    }
    return rc;
}
