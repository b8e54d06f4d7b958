/* test/fake_pages.h -- page/page.h in memory, for testing trees alone.
 *
 * Frames as the page layer has them, and a "file" that is memory as well.
 *   Z1  A frame is changed in place only until the next fake_freeze; so every
 *       root that was frozen must read the same for ever.
 *   Z2  What was dropped is never dropped again; live pages are counted.
 *   Z3  A dropped frame of its own work is poisoned, and every frame has a
 *       poisoned neighbour: under ASan a read beyond a page is seen.
 * Not here: reclaim, checksums, locks.
 */
#ifndef TEST_FAKE_PAGES_H
#define TEST_FAKE_PAGES_H

#include "page/page.h"

struct page_file *fake_pages_new(u32 page_bytes, u32 pages_max,
                                 page_validate_fn validate);
void fake_pages_free(struct page_file *f);

/* A work; may_write decides whether extents go to the "file". */
struct page_work fake_work(struct page_file *f, bool may_write);

/* From now on every page that exists is constant. */
void fake_freeze(struct page_work *w);

/* Move the private pages of a tree to the "file".  The frames stay for roots
 * that name them, with their children replaced by numbers. */
page_ref fake_publish(struct page_file *f, page_ref root);

/* Let the COUNT-th next request for memory fail with NOMEM; 0: never. */
void fake_fail(struct page_file *f, u64 count);
bool fake_failed(const struct page_file *f);

/* Pages and extents that exist and are not dropped; and the prover's callback:
 * each must be live and is counted once a round. */
u64 fake_live(const struct page_file *f);
void fake_seen_begin(struct page_file *f);
int fake_seen(void *f, page_ref ref, u64 pages);
u64 fake_seen_count(const struct page_file *f);
u64 fake_frames_made(const struct page_file *f);

/* Remember which pages are live, and return to it: an abandoned work. */
void fake_save(struct page_file *f);
void fake_abandon(struct page_file *f);

/* From now on pages may hold any bytes: misuse is answered with CORRUPT, since
 * it may be their fault, and every page is touched for the first time again. */
void fake_hostile(struct page_file *f);

#endif
