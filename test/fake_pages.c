/* test/fake_pages.c -- page/page.h in memory, for testing trees alone.
 *
 * See the header.  Misuse (a double drop, a change of a frozen page) dies at
 * once: these are the tree's bugs.
 */
#include "fake_pages.h"
#include "tree/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum frame_state { FREE, OWNED, FROZEN };

struct frame {
    u8 state;
    bool live, seen;
};

struct page_file {
    struct page_map map;
    page_validate_fn validate;
    u32 pages_max, stride;     /* frames use every STRIDE-th place */
    struct frame *frames;      /* by place */
    struct frame *pages;       /* of the "file" */
    u32 *free_places;
    u32 free_count, place_high;
    u64 page_high, live, seen, made, fail_in;
    bool failed;
    bool hostile;              /* the bytes of pages are not the tree's */
    struct { struct frame *frames, *pages; u64 high, pages_high, live; } saved;
};

static void die_if(bool wrong, const char *what)
{
    if (!wrong) return;
    fprintf(stderr, "fake_pages: %s\n", what);
    abort();
}

static void *region(u64 size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    die_if(p == MAP_FAILED, "no memory");
    return p;
}

static u64 frame_bytes(const struct page_file *f)
{
    return (u64)f->pages_max * f->stride << f->map.page_shift;
}

struct page_file *fake_pages_new(u32 page_bytes_, u32 pages_max,
                                 page_validate_fn validate)
{
    struct page_file *f = calloc(1, sizeof *f);
    die_if(!f, "no memory");
    f->map.page_bytes = page_bytes_;
    f->map.page_shift = (u32)__builtin_ctz(page_bytes_);
    f->validate = validate;
    f->pages_max = pages_max;
#ifdef __SANITIZE_ADDRESS__
    f->stride = 2;                                               /* Z3 */
#else
    f->stride = 1;
#endif
    f->map.frames = region(frame_bytes(f));
    madvise(f->map.frames, frame_bytes(f), MADV_HUGEPAGE);
    f->map.base = region((u64)pages_max << f->map.page_shift);
    f->map.checked = region(PAGE_NUMBER_MAX / 8);   /* any reference */
    f->frames = region((u64)pages_max * f->stride * sizeof *f->frames);
    f->pages = region((u64)pages_max * sizeof *f->pages);
    f->free_places = region((u64)pages_max * sizeof *f->free_places);
    f->page_high = 2;
    return f;
}

void fake_pages_free(struct page_file *f)
{
    u64 count = f->pages_max, used = (u64)f->place_high << f->map.page_shift;
    ASAN_UNPOISON_MEMORY_REGION(f->map.frames, used);
    munmap(f->map.frames, frame_bytes(f));
    munmap((void *)(uintptr_t)f->map.base, count << f->map.page_shift);
    munmap(f->map.checked, PAGE_NUMBER_MAX / 8);
    munmap(f->frames, count * f->stride * sizeof *f->frames);
    munmap(f->pages, count * sizeof *f->pages);
    munmap(f->free_places, count * sizeof *f->free_places);
    free(f->saved.frames);
    free(f->saved.pages);
    free(f);
}

struct page_work fake_work(struct page_file *f, bool may_write)
{
    return (struct page_work){.file = f, .may_write = may_write};
}

void fake_freeze(struct page_work *w)
{
    for (u32 i = 0; i < w->file->place_high; i++)
        if (w->file->frames[i].state == OWNED)
            w->file->frames[i].state = FROZEN;
    w->epoch++;
}

void fake_fail(struct page_file *f, u64 count)
{
    f->fail_in = count;
    f->failed = false;
}

bool fake_failed(const struct page_file *f)
{
    return f->failed;
}

static int may_fail(struct page_file *f)
{
    if (!f->fail_in || --f->fail_in) return 0;
    f->failed = true;
    return NOMEM();
}

u64 fake_live(const struct page_file *f)
{
    return f->live;
}

u64 fake_frames_made(const struct page_file *f)
{
    return f->made;
}

/* ---------------------------------------------------------------- frames -- */

static struct frame *frame_of(struct page_file *f, page_ref ref)
{
    u64 place = ref & ~PAGE_PRIVATE;
    if (page_is_private(ref)) {
        die_if(place >= f->place_high || !f->frames[place].state,
               "a reference to no frame");
        return &f->frames[place];
    }
    die_if(place < 2 || place >= f->page_high, "a number beyond the file");
    return &f->pages[place];
}

static struct page_head *frame_page(struct page_file *f, page_ref ref)
{
    return (struct page_head *)(void *)(f->map.frames +
               ((ref & ~PAGE_PRIVATE) << f->map.page_shift));
}

static int frame_make(struct page_file *f, page_ref *ref)
{
    int rc = may_fail(f);
    if (rc) return rc;
    u32 place = f->place_high;
    if (f->free_count) place = f->free_places[--f->free_count];
    else f->place_high += f->stride;
    die_if(place >= f->pages_max * f->stride, "too few frames for this test");
    f->frames[place] = (struct frame){.state = OWNED, .live = true};
    f->live++;
    f->made++;
    *ref = PAGE_PRIVATE | place;
    u8 *page = (u8 *)frame_page(f, *ref);
    ASAN_UNPOISON_MEMORY_REGION(page, f->map.page_bytes);
    if (f->stride > 1)
        ASAN_POISON_MEMORY_REGION(page + f->map.page_bytes,
                                  f->map.page_bytes);
    return 0;
}

int page_fresh(struct page_work *w, enum page_kind kind, unsigned level,
               page_ref *ref, struct page_head **page)
{
    page_trail_forget(w);
    int rc = frame_make(w->file, ref);
    if (rc) return rc;
    *page = frame_page(w->file, *ref);
    memset(*page, 0, w->file->map.page_bytes);
    (*page)->kind = (u8)kind;
    (*page)->level = (u8)level;
    return 0;
}

int page_change(struct page_work *w, page_ref *ref, struct page_head **page)
{
    const struct page_head *old;
    page_ref copy;
    if (page_is_private(*ref) && frame_of(w->file, *ref)->state == OWNED) {
        *page = frame_page(w->file, *ref);
        return 0;
    }
    int rc = page_read(w->file, *ref, &old);
    if (!rc) rc = frame_make(w->file, &copy);
    if (rc) return rc;
    *page = frame_page(w->file, copy);
    memcpy(*page, old, w->file->map.page_bytes);
    (*page)->birth = 0;
    rc = page_drop(w, *ref);
    *ref = copy;
    return rc;
}

int page_drop(struct page_work *w, page_ref ref)
{
    struct page_file *f = w->file;
    struct frame *frame = frame_of(f, ref);
    page_trail_forget(w);
    if (!frame->live && f->hostile) return CORRUPT("a page dropped twice");
    die_if(!frame->live, "a page was dropped twice");
    frame->live = false;
    f->live--;
    if (!page_is_private(ref) || frame->state != OWNED) return 0;
    frame->state = FREE;
    memset(frame_page(f, ref), 0xdd, f->map.page_bytes);
    ASAN_POISON_MEMORY_REGION(frame_page(f, ref), f->map.page_bytes);
    f->free_places[f->free_count++] = (u32)(ref & ~PAGE_PRIVATE);
    return 0;
}

u32 page_bytes(const struct page_file *f)
{
    return f->map.page_bytes;
}

/* -------------------------------------------------------------- the file -- */

static u8 *file_page(struct page_file *f, u64 number)
{
    return (u8 *)(uintptr_t)f->map.base + (number << f->map.page_shift);
}

static u64 file_take(struct page_file *f, u64 pages)
{
    u64 first = f->page_high;
    f->page_high += pages;
    die_if(f->page_high > f->pages_max, "too small a file for this test");
    for (u64 i = 0; i < pages; i++) f->pages[first + i].live = true;
    f->live += pages;
    f->map.page_count = f->page_high;
    return first;
}

int page_first_touch(struct page_file *f, page_ref ref)
{
    if (ref < 2 || ref >= f->page_high) return CORRUPT("no such page");
    int rc = f->validate((const void *)file_page(f, ref), f->map.page_bytes);
    if (!rc) f->map.checked[ref >> 6] |= (u64)1 << (ref & 63);
    return rc;
}

page_ref fake_publish(struct page_file *f, page_ref root)
{
    if (root == PAGE_NONE || !page_is_private(root)) return root;
    struct page_head *page = frame_page(f, root);
    u32 count;
    page_ref *children = tree_page_children(page, &count);
    for (u32 i = 0; i < count; i++)
        children[i] = fake_publish(f, children[i]);
    u64 number = file_take(f, 1);
    memcpy(file_page(f, number), page, f->map.page_bytes);
    ((struct page_head *)(void *)file_page(f, number))->birth = 1;
    struct frame *frame = frame_of(f, root);
    die_if(!frame->live, "a dropped page was published");
    frame->live = false;
    frame->state = FROZEN;
    f->live--;
    return number;
}

static u64 extent_pages(const struct page_file *f, u64 size)
{
    return (size + f->map.page_bytes - 1) >> f->map.page_shift;
}

static u64 extent_sum(const void *data, u64 size)
{
    u64 sum = size;
    for (u64 i = 0; i < size; i++)
        sum = (sum ^ ((const u8 *)data)[i]) * 0x100000001b3;
    return sum;
}

int page_extent_write(struct page_work *w, luge_bytes value,
                      struct page_extent *extent)
{
    int rc = may_fail(w->file);
    if (rc) return rc;
    extent->size = value.size;
    extent->sum = extent_sum(value.data, value.size);
    extent->first = PAGE_PRIVATE | (u64)(uintptr_t)value.data;
    if (!w->may_write) return 0;
    extent->first = file_take(w->file, extent_pages(w->file, value.size));
    memcpy(file_page(w->file, extent->first), value.data, value.size);
    return 0;
}

int page_extent_read(struct page_file *f, const struct page_extent *extent,
                     luge_bytes *value)
{
    value->size = extent->size;
    value->data = (const void *)(uintptr_t)(extent->first & ~PAGE_PRIVATE);
    if (!page_is_private(extent->first)) {
        u64 pages = extent_pages(f, extent->size);
        if (extent->first < 2 || extent->first >= f->page_high ||
            pages > f->page_high - extent->first)
            return CORRUPT("an extent beyond the file");
        value->data = file_page(f, extent->first);
    }
    if (extent_sum(value->data, value->size) != extent->sum)
        return CORRUPT("an extent of a wrong sum");
    return 0;
}

int page_extent_drop(struct page_work *w, const struct page_extent *extent)
{
    struct page_file *f = w->file;
    if (page_is_private(extent->first)) return 0;
    if (f->hostile) return 0;
    for (u64 i = 0; i < extent_pages(f, extent->size); i++) {
        die_if(!f->pages[extent->first + i].live, "an extent dropped twice");
        f->pages[extent->first + i].live = false;
        f->live--;
    }
    return 0;
}

/* ------------------------------------------------------------ the prover -- */

void fake_seen_begin(struct page_file *f)
{
    for (u32 i = 0; i < f->place_high; i++) f->frames[i].seen = false;
    for (u64 i = 0; i < f->page_high; i++) f->pages[i].seen = false;
    f->seen = 0;
}

int fake_seen(void *file, page_ref ref, u64 pages)
{
    struct page_file *f = file;
    for (u64 i = 0; i < pages; i++) {
        struct frame *frame = frame_of(f, ref + i);
        if (!frame->live) return CORRUPT("a dropped page is in the tree");
        if (frame->seen) return CORRUPT("a page is twice in the tree");
        frame->seen = true;
        f->seen++;
    }
    return 0;
}

u64 fake_seen_count(const struct page_file *f)
{
    return f->seen;
}

/* ------------------------------------------------------- works that fail -- */

static struct frame *copy_of(const struct frame *from, u64 count)
{
    struct frame *copy = malloc((count + 1) * sizeof *copy);
    die_if(!copy, "no memory");
    memcpy(copy, from, count * sizeof *copy);
    return copy;
}

void fake_save(struct page_file *f)
{
    free(f->saved.frames);
    free(f->saved.pages);
    f->saved.frames = copy_of(f->frames, f->place_high);
    f->saved.pages = copy_of(f->pages, f->page_high);
    f->saved.high = f->place_high;
    f->saved.pages_high = f->page_high;
    f->saved.live = f->live;
}

/* Frames made since stay taken, but are nobody's. */
void fake_abandon(struct page_file *f)
{
    for (u32 i = 0; i < f->place_high; i++) {
        struct frame *old = i < f->saved.high && f->saved.frames[i].state
                                ? &f->saved.frames[i] : NULL;
        if (old) f->frames[i] = *old;
        else f->frames[i].live = false;
    }
    for (u64 i = 0; i < f->page_high; i++) f->pages[i].live = false;
    memcpy(f->pages, f->saved.pages, f->saved.pages_high * sizeof *f->pages);
    f->live = f->saved.live;
}

void fake_hostile(struct page_file *f)
{
    f->hostile = true;
    memset(f->map.checked, 0, f->pages_max / 8 + 8);
}

/* ----------------------------------------------------- reading ahead -- */

/* Every look finds that it waited: cursors read ahead wherever they go. */
u64 os_thread_waits(void)
{
    static _Atomic u64 waits;
    return atomic_fetch_add(&waits, 1000);
}

void page_will_need(struct page_file *f, page_ref first, u64 count)
{
    if (f->hostile) return;
    die_if(first >= f->page_high || count > f->page_high - first,
           "a page was asked for that was never written");
}

bool page_will_need_all(struct page_file *f, page_ref *next, u64 count)
{
    (void)f;
    *next += count;
    return *next <= 2 * count;
}
