/* page/file.c -- frames, the map, first touches, large values.
 *
 *      map:    [super|super|page|page|page| ... address space for terabytes ]
 *      frames: [frame|frame| ...          address space, touched when needed ]
 *      meta:   [tag, birth, epoch] for each frame
 *
 * The map is read-only: a stray pointer cannot hurt the database, and a full
 * disk is an error of write and not a signal (docs/why/pwrite.md).
 * Not here: numbers of free pages, trees, who may still see an old page.
 */
#include "page/file.h"
#include "page/space.h"

static void set_bit(_Atomic u64 *words, u64 bit)
{
    atomic_fetch_or_explicit(&words[bit >> 6], (u64)1 << (bit & 63),
                             memory_order_relaxed);
}

static void clear_bit(_Atomic u64 *words, u64 bit)
{
    atomic_fetch_and_explicit(&words[bit >> 6], ~((u64)1 << (bit & 63)),
                              memory_order_relaxed);
}

/* A large value may have left memory since it was checked: to ask for it costs
 * 1 us, and each page that is then touched one by one 100 us. */
enum { EXTENT_ASK_BYTES = 256 << 10 };

static const u64 map_sizes[] = {
    (u64)16 << 40, (u64)4 << 40, (u64)1 << 40, (u64)128 << 30,
    (u64)16 << 30, (u64)2 << 30,
};
static const u64 frame_sizes[] = {
    (u64)64 << 30, (u64)8 << 30, (u64)1 << 30,
};

static int reserve_any(const u64 *sizes, size_t count, bool huge, u8 **base,
                       u64 *bytes)
{
    int rc = LUGE_NOMEM;
    for (size_t i = 0; i < count; i++) {
        *bytes = sizes[i];
        rc = os_reserve(sizes[i], huge, base);
        if (!rc) break;
    }
    return rc;
}

static int map_file(struct page_file *f)
{
    int rc = LUGE_NOMEM;
    for (size_t i = 0; i < ARRAY_COUNT(map_sizes); i++) {
        f->map_bytes = map_sizes[i];
        rc = f->os->map_read(f->file, f->map_bytes, &f->map.base);
        if (!rc) break;
    }
    if (!rc) f->os->advise(f->os, f->map.base, f->map_bytes, OS_RANDOM);
    return rc;
}

static int reserve_tables(struct page_file *f)
{
    u8 *p = NULL;
    /* For every number that a file may name, mapped or not. */
    f->checked_bytes = PAGE_NUMBER_MAX / 8;
    int rc = os_reserve(f->checked_bytes, false, &p);
    if (rc) return rc;
    f->map.checked = (_Atomic u64 *)(void *)p;
    f->extent_bytes = page_file_limit(f) * sizeof *f->checked_extents;
    rc = os_reserve(f->extent_bytes, false, &p);
    if (rc) return rc;
    f->checked_extents = (_Atomic u32 *)(void *)p;
    rc = reserve_any(frame_sizes, ARRAY_COUNT(frame_sizes), true,
                     &f->map.frames, &f->frame_bytes);
    if (rc) return rc;
    u64 frames = min_u64(f->frame_bytes >> f->map.page_shift, UINT32_MAX);
    f->frame_limit = f->spill_from = (u32)frames;
    f->meta_bytes = frames * sizeof *f->meta;
    rc = os_reserve(f->meta_bytes, false, &p);
    f->meta = (struct page_frame *)(void *)p;
    return rc;
}

int page_file_open(struct page_file *f, struct os *os, struct os_file *file,
                   u32 page_bytes_, page_validate_fn validate)
{
    memset(f, 0, sizeof *f);
    f->os = os;
    f->file = file;
    f->validate = validate;
    f->next_tag = 1;
    f->map.page_bytes = page_bytes_;
    f->map.page_shift = (u32)__builtin_ctz(page_bytes_);
    pthread_mutex_init(&f->lock, NULL);
    int rc = map_file(f);
    if (!rc) rc = reserve_tables(f);
    if (rc) page_file_close(f);
    return rc;
}

void page_file_close(struct page_file *f)
{
    if (!f->os) return;
    if (f->map.base) f->os->unmap(f->os, f->map.base, f->map_bytes);
    if (f->map.checked) os_reserve_free(f->map.checked, f->checked_bytes);
    if (f->checked_extents)
        os_reserve_free(f->checked_extents, f->extent_bytes);
    os_spill_close(f->spill, false);
    if (f->map.frames) os_reserve_free(f->map.frames, f->frame_bytes);
    if (f->meta) os_reserve_free(f->meta, f->meta_bytes);
    base_free(f->free_frames);
    pthread_mutex_destroy(&f->lock);
    memset(f, 0, sizeof *f);
}

u64 page_file_limit(const struct page_file *f)
{
    return min_u64(PAGE_NUMBER_MAX, f->map_bytes >> f->map.page_shift);
}

int page_file_fits(const struct page_file *f, u64 count)
{
    if (likely(count <= page_file_limit(f))) return 0;
    return fail(LUGE_LIMIT, "a page file of %llu bytes; the address space of "
                "this process had room for %llu",
                (unsigned long long)(count << f->map.page_shift),
                (unsigned long long)f->map_bytes);
}

void page_file_grown(struct page_file *f, u64 count)
{
    u64 now = atomic_load_explicit(&f->map.page_count, memory_order_relaxed);
    count = min_u64(count, page_file_limit(f));
    while (now < count && !atomic_compare_exchange_weak(&f->map.page_count,
                                                        &now, count)) {
    }
}

int page_file_cut(struct page_file *f, u64 count)
{
    /* First: a malformed reference must not find the map without its file. */
    u64 end = atomic_exchange(&f->map.page_count, count);
    for (u64 n = count; n < end; n++) clear_bit(f->map.checked, n);
    return f->os->resize(f->file, count << f->map.page_shift);
}

int page_file_whole(struct page_file *f)
{
    u64 size = 0, count = atomic_load(&f->map.page_count);
    int rc = f->os->size(f->file, &size);
    if (rc || size >> f->map.page_shift >= count) return rc;
    return CORRUPT("the page file was cut to %llu bytes while it was open",
                   (unsigned long long)size);
}

u32 page_bytes(const struct page_file *f)
{
    return f->map.page_bytes;
}

/* -------------------------------------------------------------- frames -- */

void page_file_spill(struct page_file *f, const char *directory, u64 bytes)
{
    f->spill_directory = directory;
    f->spill_from = (u32)min_u64(bytes >> f->map.page_shift, f->frame_limit);
}

/* The next frame that was never used lies in the spill. */
static int grow_spill(struct page_file *f)
{
    u64 from = (u64)f->spill_from << f->map.page_shift;
    u64 high = (u64)(f->frame_high + 1) << f->map.page_shift;
    int rc = 0;
    if (!f->spill)
        rc = os_spill_open(f->spill_directory, f->frame_bytes - from,
                           f->map.frames + from, &f->spill);
    return rc ? rc : os_spill_grow(f->spill, high - from);
}

/* No frame of the spill is used any more: they leave the list of free ones, so
 * that small transactions are in memory again, and the file its blocks. */
static void leave_spill(struct page_file *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->free_count; i++)
        if (f->free_frames[i] < f->spill_from)
            f->free_frames[kept++] = f->free_frames[i];
    f->free_count = kept;
    f->frame_high = f->spill_from;
    os_spill_empty(f->spill);
}

/* LOCK.  The list of free frames has room for every frame there is: freeing
 * cannot fail. */
static int reserve_free_list(struct page_file *f)
{
    if (f->frame_high < f->free_capacity) return 0;
    size_t capacity = f->free_capacity ? f->free_capacity * 2 : 1024;
    u32 *more = base_realloc(f->free_frames, capacity * sizeof *more);
    if (!more) return NOMEM();
    f->free_frames = more;
    f->free_capacity = capacity;
    return 0;
}

static int frame_take(struct page_file *f, u32 *frame)
{
    int rc = 0;
    pthread_mutex_lock(&f->lock);
    if (f->free_count) {
        *frame = f->free_frames[--f->free_count];
    } else if (f->frame_high < f->frame_limit) {
        rc = reserve_free_list(f);
        if (!rc && f->frame_high >= f->spill_from) rc = grow_spill(f);
        if (!rc) *frame = f->frame_high++;
    } else {
        rc = fail(LUGE_NOMEM, "all %u page frames are in use",
                  f->frame_limit);
    }
    if (!rc && *frame >= f->spill_from) f->spilled++;
    pthread_mutex_unlock(&f->lock);
    return rc;
}

void page_frame_free(struct page_file *f, page_ref ref)
{
    u32 frame = (u32)(ref & ~PAGE_PRIVATE);
    _Atomic u64 *tag = &f->meta[frame].tag;
    assert(atomic_load_explicit(tag, memory_order_relaxed) != 0); /* F1 */
    atomic_store_explicit(tag, 0, memory_order_relaxed);
    pthread_mutex_lock(&f->lock);
    assert(f->free_count < f->free_capacity);
    f->free_frames[f->free_count++] = frame;
    if (frame >= f->spill_from && !--f->spilled) leave_spill(f);
    pthread_mutex_unlock(&f->lock);
}

u64 page_frames_used(struct page_file *f)
{
    pthread_mutex_lock(&f->lock);
    u64 used = f->frame_high - f->free_count;
    pthread_mutex_unlock(&f->lock);
    return used;
}

bool page_in_frames(const struct page_file *f, const void *p)
{
    const u8 *at = p;
    return at >= f->map.frames && at < f->map.frames + f->frame_bytes;
}

/* ---------------------------------------------------------------- work -- */

void page_work_begin(struct page_work *w, struct page_file *f, u64 seq,
                     struct space *space)
{
    w->file = f;
    page_trail_forget(w);
    w->seq = seq;
    w->tag = atomic_fetch_add(&f->next_tag, 1);
    w->epoch = 0;
    w->space = space;
    w->may_write = space != NULL;
    w->pinned = 0;
    w->opened = false;
    w->open_after = UINT64_MAX;
    w->drop_count = 0;
    w->frame_count = 0;
}

static int remember_frame(struct page_work *w, page_ref ref)
{
    if (w->frame_count == w->frame_capacity) {
        size_t capacity = w->frame_capacity ? w->frame_capacity * 2 : 32;
        page_ref *more = base_realloc(w->frames, capacity * sizeof *more);
        if (!more) return NOMEM();
        w->frames = more;
        w->frame_capacity = capacity;
    }
    w->frames[w->frame_count++] = ref;
    return 0;
}

/* A private view that never lands has nothing to hand over. */
static int remember_drop(struct page_work *w, page_ref ref, u64 birth,
                         u32 pages)
{
    if (!w->may_write) return 0;
    if (w->drop_count == w->drop_capacity) {
        size_t capacity = w->drop_capacity ? w->drop_capacity * 2 : 32;
        struct page_drop *more =
            base_realloc(w->drops, capacity * sizeof *more);
        if (!more) return NOMEM();
        w->drops = more;
        w->drop_capacity = capacity;
    }
    w->drops[w->drop_count++] = (struct page_drop){ref, birth, pages};
    return 0;
}

static int make_frame(struct page_work *w, page_ref *ref)
{
    struct page_file *f = w->file;
    u32 frame = 0;
    page_trail_forget(w);
    int rc = frame_take(f, &frame);
    if (rc) return rc;
    atomic_store_explicit(&f->meta[frame].tag, w->tag, memory_order_relaxed);
    f->meta[frame].epoch = w->epoch;
    f->meta[frame].birth = w->seq;
    *ref = PAGE_PRIVATE | frame;
    rc = remember_frame(w, *ref);
    if (rc) page_frame_free(f, *ref);
    return rc;
}

static bool owned(const struct page_work *w, page_ref ref)
{
    return page_is_private(ref) &&
           page_frame_tag(w->file, ref) == w->tag;
}

static void free_own_frames(struct page_work *w, size_t from)
{
    page_trail_forget(w);
    /* A frame that was freed and taken again stands here twice: its tag is
     * gone at the second visit. */
    for (size_t i = from; i < w->frame_count; i++)
        if (owned(w, w->frames[i])) page_frame_free(w->file, w->frames[i]);
    w->frame_count = from;
}

void page_work_abandon(struct page_work *w)
{
    free_own_frames(w, 0);
    w->drop_count = 0;
}

void page_work_rollback(struct page_work *w, size_t frames, size_t drops)
{
    free_own_frames(w, frames);
    w->drop_count = drops;
}

void page_work_commit(struct page_work *w, u64 order)
{
    for (size_t i = 0; i < w->frame_count; i++)
        if (owned(w, w->frames[i]))
            w->file->meta[w->frames[i] & ~PAGE_PRIVATE].birth = order;
    w->frame_count = 0;
}

void page_work_end(struct page_work *w)
{
    base_free(w->frames);
    base_free(w->drops);
    memset(w, 0, sizeof *w);
}

int page_fresh(struct page_work *w, enum page_kind kind, unsigned level,
               page_ref *ref, struct page_head **page)
{
    int rc = make_frame(w, ref);
    if (rc) return rc;
    *page = page_frame(w->file, *ref);
    memset(*page, 0, w->file->map.page_bytes);
    (*page)->kind = (u8)kind;
    (*page)->level = (u8)level;
    return 0;
}

static bool may_change(struct page_work *w, page_ref ref)        /* P2 */
{
    if (!page_is_private(ref)) return false;
    const struct page_frame *meta = &w->file->meta[ref & ~PAGE_PRIVATE];
    if (page_frame_tag(w->file, ref) == w->tag) return meta->epoch == w->epoch;
    if (meta->birth <= w->open_after) return false;
    w->opened = true;
    return true;
}

/* The page REF of the file, born at BIRTH, is no longer reachable. */
static int drop_born(struct page_work *w, page_ref ref, u64 birth)
{
    return birth <= w->pinned ? 0                                 /* P5 */
                              : remember_drop(w, ref, birth, 1);
}

int page_drop(struct page_work *w, page_ref ref)
{
    struct page_file *f = w->file;
    page_trail_forget(w);
    if (page_is_private(ref)) {
        const struct page_frame *meta = &f->meta[ref & ~PAGE_PRIVATE];
        if (page_frame_tag(f, ref) == w->tag && meta->epoch == w->epoch) {
            page_frame_free(f, ref);
            return 0;
        }
        return remember_drop(w, ref, meta->birth, 1);
    }
    const struct page_head *page;
    int rc = page_read(f, ref, &page);
    return rc ? rc : drop_born(w, ref, page->birth);
}

/* -------------------------------------------------- checksums, touches -- */

u64 page_sum(const struct page_head *page, u64 number, u32 page_bytes_)
{
    return base_hash((const u8 *)page + 8, page_bytes_ - 8, number);
}

void page_seal(struct page_head *page, u64 number, u64 birth, u32 page_bytes_)
{
    page->birth = birth;
    page->sum = page_sum(page, number, page_bytes_);
}

void page_mark_checked(struct page_file *f, u64 number)
{
    set_bit(f->map.checked, number);
}

void page_distrust(struct page_file *f)
{
    os_discard(f->map.checked, f->checked_bytes);
    os_discard(f->checked_extents, f->extent_bytes);
}

/* Does the file reach behind these pages now?  Reading there is a SIGBUS. */
static int within_file_now(struct page_file *f, u64 first, u64 pages)
{
    u64 size = 0;
    if (first < 2 || first >= PAGE_NUMBER_MAX ||
        pages > PAGE_NUMBER_MAX - first)
        return CORRUPT("page number %llu is outside any file",
                       (unsigned long long)first);
    int rc = f->os->size(f->file, &size);
    if (rc) return rc;
    if (first + pages > size >> f->map.page_shift)
        return CORRUPT("page %llu lies beyond the end of the page file",
                       (unsigned long long)(first + pages - 1));
    page_file_grown(f, size >> f->map.page_shift);
    return page_file_fits(f, first + pages);
}

/* The same, if it was not seen to before. */
static int within_file(struct page_file *f, u64 first, u64 pages)
{
    u64 count = atomic_load_explicit(&f->map.page_count, memory_order_relaxed);
    if (first >= 2 && first < count && pages <= count - first) return 0;
    return within_file_now(f, first, pages);
}

/* Is PAGE, wherever these bytes are, page NUMBER of the file? */
static int verify(const struct page_file *f, u64 number,
                  const struct page_head *page)
{
    if (page->sum != page_sum(page, number, f->map.page_bytes))
        return CORRUPT("page %llu fails its checksum",
                       (unsigned long long)number);
    if (!page_kind_of_tree(page->kind))
        return CORRUPT("page %llu is of kind %u, not part of a tree",
                       (unsigned long long)number, page->kind);
    return f->validate(page, f->map.page_bytes);
}

int page_verify(struct page_file *f, u64 number)
{
    int rc = within_file(f, number, 1);
    if (rc) return rc;
    return verify(f, number, (const struct page_head *)(const void *)(
        f->map.base + (number << f->map.page_shift)));
}

int page_first_touch(struct page_file *f, page_ref ref)
{
    int rc = page_verify(f, ref);
    if (!rc) set_bit(f->map.checked, ref);                        /* P4 */
    return rc;
}

/* A page of the file that nobody here has touched is read into its frame: the
 * map would cost a fault, for what is not read again
 * (docs/why/replay.md: 12 450 faults or 2690). */
static int copy_page(struct page_file *f, page_ref ref, struct page_head *to)
{
    const struct page_head *old;
    if (page_is_private(ref) || page_is_checked(f, ref)) {
        int rc = page_read(f, ref, &old);
        if (!rc) memcpy(to, old, f->map.page_bytes);
        return rc;
    }
    int rc = within_file(f, ref, 1);
    if (!rc)
        rc = f->os->read(f->file, to, f->map.page_bytes,
                         ref << f->map.page_shift);
    if (!rc) rc = verify(f, ref, to);
    if (!rc) set_bit(f->map.checked, ref);                        /* P4 */
    return rc;
}

int page_change(struct page_work *w, page_ref *ref, struct page_head **page)
{
    page_ref old = *ref, copy;
    if (may_change(w, old)) {
        *page = page_frame(w->file, old);
        return 0;
    }
    int rc = make_frame(w, &copy);
    if (rc) return rc;
    *page = page_frame(w->file, copy);
    rc = copy_page(w->file, old, *page);
    if (rc) return rc;
    *ref = copy;
    rc = page_is_private(old) ? page_drop(w, old)
                              : drop_born(w, old, (*page)->birth);
    (*page)->birth = 0;
    return rc;
}

/* Not within_file_now: nobody touches what is asked for here in vain. */
void page_will_need(struct page_file *f, page_ref first, u64 count)
{
    u64 end = atomic_load_explicit(&f->map.page_count, memory_order_relaxed);
    if (first >= end || count > end - first) return;
    f->os->advise(f->os, f->map.base + (first << f->map.page_shift),
                  count << f->map.page_shift, OS_WILL_NEED);
}

bool page_will_need_all(struct page_file *f, page_ref *next, u64 count)
{
    u64 end = atomic_load_explicit(&f->map.page_count, memory_order_relaxed);
    u64 memory = atomic_load_explicit(&f->memory_bytes, memory_order_relaxed);
    if (!memory) {
        memory = os_memory_bytes();
        atomic_store_explicit(&f->memory_bytes, memory, memory_order_relaxed);
    }
    if (*next >= end || end << f->map.page_shift > memory / 2)
        return false;
    count = min_u64(count, end - *next);
    page_will_need(f, *next, count);
    *next += count;
    return true;
}

/* -------------------------------------------------------- large values -- */

/* Two references may name one first page and different sizes, in a malformed
 * file: what was found good is remembered with its size. */
static bool extent_checked(const struct page_file *f,
                           const struct page_extent *extent)
{
    return atomic_load_explicit(&f->checked_extents[extent->first],
                                memory_order_relaxed) == extent->size;
}

static void mark_extent(struct page_file *f, u64 first, u64 size)
{
    atomic_store_explicit(&f->checked_extents[first], (u32)size,
                          memory_order_relaxed);
}

u32 page_extent_pages(const struct page_file *f, u64 size)
{
    return (u32)((size + f->map.page_bytes - 1) >> f->map.page_shift);
}

u64 page_extent_sum(luge_bytes value)
{
    return base_hash(value.data, value.size, value.size);
}

int page_extent_write(struct page_work *w, luge_bytes value,
                      struct page_extent *extent)
{
    struct page_file *f = w->file;
    extent->size = value.size;
    extent->birth = w->birth;
    if (!w->may_write) {
        extent->first = PAGE_PRIVATE | (u64)(uintptr_t)value.data;
        extent->sum = 0;
        return 0;
    }
    u32 pages = page_extent_pages(f, value.size);
    extent->sum = page_extent_sum(value);
    int rc = space_take_run(w->space, pages, &extent->first);
    if (rc) return rc;
    rc = w->space->may_write(w->space->context);
    if (rc) return rc;
    for (u32 i = 0; i < pages; i++)
        clear_bit(f->map.checked, extent->first + i);
    /* Whole pages, so that the file's size always covers what is in use. */
    static const u8 zeros[65536];
    luge_bytes pieces[2] = {value, {zeros, 0}};
    pieces[1].size = ((u64)pages << f->map.page_shift) - value.size;
    rc = f->os->writev(f->file, pieces, 2, extent->first << f->map.page_shift);
    if (rc) return rc;
    page_file_grown(f, extent->first + pages);
    mark_extent(f, extent->first, extent->size);
    return 0;
}

static int extent_within_file(struct page_file *f,
                              const struct page_extent *extent)
{
    if (extent->size > LUGE_VALUE_SIZE_MAX || !extent->size)
        return CORRUPT("a value of %llu bytes",
                       (unsigned long long)extent->size);
    return within_file(f, extent->first, page_extent_pages(f, extent->size));
}

int page_extent_read(struct page_file *f, const struct page_extent *extent,
                     luge_bytes *value)
{
    value->size = extent->size;
    if (extent->first & PAGE_PRIVATE) {
        value->data = (const void *)(uintptr_t)(extent->first & ~PAGE_PRIVATE);
        return 0;
    }
    int rc = extent_within_file(f, extent);
    if (rc) return rc;
    value->data = f->map.base + (extent->first << f->map.page_shift);
    bool checked = extent_checked(f, extent);
    if (!checked || extent->size >= EXTENT_ASK_BYTES)
        page_will_need(f, extent->first, page_extent_pages(f, extent->size));
    if (checked) return 0;
    if (page_extent_sum(*value) != extent->sum)
        return CORRUPT("the large value at page %llu fails its checksum",
                       (unsigned long long)extent->first);
    mark_extent(f, extent->first, extent->size);
    return 0;
}

int page_extent_drop(struct page_work *w, const struct page_extent *extent)
{
    if (extent->first & PAGE_PRIVATE) return 0;
    int rc = extent_within_file(w->file, extent);
    if (rc || page_extent_born(extent) <= w->pinned) return rc;   /* P5 */
    mark_extent(w->file, extent->first, 0);
    return remember_drop(w, extent->first, extent->birth,
                         page_extent_pages(w->file, extent->size));
}
