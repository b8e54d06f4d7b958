/* store/reach.h -- the pages that a published version reaches: of its catalog,
 * its trees, and of all that forks and snapshots hold.
 *
 *   A1  A page is born no later than its parent, so what was born at `since` or
 *       before, and all below it, was there then: it is passed over.
 *   A2  Every page found was proved by this process (P4); nothing is read
 *       outside the file, whatever the pages say.
 * Not here: whether the catalog's records agree (check.c).
 */
#ifndef STORE_REACH_H
#define STORE_REACH_H

#include "page/file.h"

struct reach {
    struct page_file *file;
    u64 since, page_count;
    u64 *found;             /* a bit for each page */
    u64 pages;              /* how many */
    page_ref *whole;        /* catalogs of snapshots of everything */
    size_t whole_count, whole_capacity;
};

/* Find them; reach_end releases, of a zeroed one it is a no-op. */
int reach_begin(struct reach *r, struct page_file *f, u64 page_count,
                u64 since, page_ref catalog);
void reach_end(struct reach *r);

static inline bool reach_has(const struct reach *r, u64 page)
{
    return r->found[page >> 6] >> (page & 63) & 1;
}
/* The first row of pages from *first on that were found (or were not), at most
 * LIMIT; false if there is none. */
bool reach_row(const struct reach *r, bool found, u64 limit, u64 *first,
               u64 *pages);

#endif
