/* txn/publish.c -- private frames become pages of the file.
 *
 *   collect: children before parents, each frame gets a page number
 *   write:   a copy of each, its references replaced, sealed, in runs
 *   flip:    (head.c) only now can anybody find them
 * Frames stay as they are: readers of this process may be on them.  They die
 * with the flip.
 * What a fork or a snapshot shares is written when it is made, in the middle of
 * a commit and under a number of its own: what the commit goes on to change is
 * born after it.  So no frame is ever in two trees.
 * Not here: syncing; what happens to the frames (version.c).
 */
#include "txn/env.h"
#include "txn/lineage.h"

enum {
    STAGING_BYTES = 2 << 20,    /* a huge page: see write_from */
    RECLAIM_RUNS_MIN = 512,
};

/* ------------------------------------------------------------- collect -- */

static int collect_item(struct env *e, page_ref ref)
{
    struct publish_list *list = &e->publishing;
    u64 number;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct publish_item *more =
            base_realloc(list->items, capacity * sizeof *more);
        if (!more) return NOMEM();
        list->items = more;
        list->capacity = capacity;
    }
    int rc = space_take_page(&e->space, &number);
    if (rc) return rc;
    e->pages.meta[ref & ~PAGE_PRIVATE].number = number;
    list->items[list->count++] = (struct publish_item){ref, number,
                                                       list->owner};
    return 0;
}

/* Depth is bounded by TREE_DEPTH_MAX: every level has its own number. */
static int collect_node(struct env *e, page_ref ref)
{
    u32 count = 0;
    if (!page_is_private(ref)) return 0;
    page_ref *children = tree_page_children(page_frame(&e->pages, ref),
                                            &count);
    for (u32 i = 0; children && i < count; i++) {
        int rc = collect_node(e, children[i]);
        if (rc) return rc;
    }
    return collect_item(e, ref);
}

/* What is private of TREE (0: the catalog), below ROOT. */
static int collect(struct env *e, u64 tree, page_ref root)
{
    e->publishing.owner = page_owner(tree);
    return collect_node(e, root);
}

static page_ref published_ref(struct env *e, page_ref ref)
{
    return page_is_private(ref) ? e->pages.meta[ref & ~PAGE_PRIVATE].number
                                : ref;
}

/* -------------------------------------------------------------- write -- */

static void stage(struct env *e, const struct publish_item *item, u64 birth,
                  u8 *to)
{
    u32 size = e->pages.map.page_bytes, count = 0;
    struct page_head *page = (struct page_head *)(void *)to;
    memcpy(page, page_frame(&e->pages, item->ref), size);
    page_ref *children = tree_page_children(page, &count);
    for (u32 i = 0; children && i < count; i++)
        children[i] = published_ref(e, children[i]);
    page->owner = item->owner;
    page_seal(page, item->number, birth, size);
}

static int write_run(struct env *e, size_t first, size_t count, u64 birth)
{
    struct page_file *f = &e->pages;
    const struct publish_item *items = &e->publishing.items[first];
    for (size_t i = 0; i < count; i++)
        stage(e, &items[i], birth, e->publishing.staging +
                                     (i << f->map.page_shift));
    return e->os->write(e->db, e->publishing.staging,
                        count << f->map.page_shift,
                        items[0].number << f->map.page_shift);
}

/* A piece that is written to its aligned 2 MiB at once is one folio of the page
 * cache, which readers map with one entry (get-60-t2: 2.1 -> 2.3 M reads/s;
 * docs/why/pwrite.md). */
static int write_from(struct env *e, size_t first, u64 birth)
{
    const struct publish_list *list = &e->publishing;
    size_t run_max = max_u64(STAGING_BYTES / e->pages.map.page_bytes, 1);
    int rc = head_may_write(e);
    for (size_t i = first, n; i < list->count && !rc; i += n) {
        u64 number = list->items[i].number;
        size_t most = run_max - number % run_max;
        for (n = 1; n < most && i + n < list->count; n++)
            if (list->items[i + n].number != number + n) break;
        rc = write_run(e, i, n, birth);
    }
    for (size_t i = first; i < list->count && !rc; i++) {
        page_file_grown(&e->pages, list->items[i].number + 1);
        page_mark_checked(&e->pages, list->items[i].number);
    }
    return rc;
}

/* --------------------------------------------------------------- trees -- */

static int publish_tree(struct env *e, struct view *view, u64 number)
{
    struct view_tree *t;
    int rc = view_find(view, number, &t);
    if (rc == LUGE_NOTREE) return 0;                 /* dropped since */
    if (rc || !page_is_private(t->tree.root)) return rc;
    rc = collect(e, number, t->tree.root);
    if (rc) return rc;
    t->tree.root = published_ref(e, t->tree.root);
    return view_store_tree(view, t);
}

static int publish_trees(struct env *e, struct view *view)
{
    int rc = 0;
    for (u32 i = 0; i < view->tree_count && !rc; i++)
        if (page_is_private(view_trees(view)[i].tree.root))
            rc = publish_tree(e, view, view_trees(view)[i].number);
    for (size_t i = 0; i < e->dirty.capacity && !rc; i++)
        if (e->dirty.ids[i]) rc = publish_tree(e, view, e->dirty.ids[i]);
    return rc;
}

static int publish_begin(struct env *e)
{
    struct publish_list *list = &e->publishing;
    if (!list->staging) {
        list->staging = base_alloc(max_u64(STAGING_BYTES,
                                           e->pages.map.page_bytes));
        if (!list->staging) return NOMEM();
    }
    /* As many as may be needed, and more, so that the queue gets shorter. */
    u64 wanted = 2 * page_frames_used(&e->pages) + RECLAIM_RUNS_MIN;
    return version_reclaim_pages(e, wanted);
}

int publish_pages(struct env *e, struct view *view, u64 publication)
{
    size_t first = e->publishing.count;     /* before it: what was frozen */
    int rc = publish_begin(e);
    if (!rc) rc = publish_trees(e, view);
    if (!rc) rc = collect(e, 0, view->catalog.root);
    if (!rc) rc = write_from(e, first, publication);
    if (!rc) view->catalog.root = published_ref(e, view->catalog.root);
    return rc;
}

int publish_frozen(void *context, struct view *view, struct view_tree *t)
{
    struct env *e = context;
    size_t first = e->publishing.count;
    u64 publication = e->work.birth + 1;
    int rc = t ? publish_begin(e) : publish_pages(e, view, publication);
    if (!rc && t) rc = collect(e, t->number, t->tree.root);
    if (!rc && t) rc = write_from(e, first, publication);
    if (rc) return rc;
    e->work.birth = publication;
    if (!t) return 0;
    t->tree.root = published_ref(e, t->tree.root);
    t->dirty = true;
    return 0;
}

/* --------------------------------------------------------------- drops -- */

static int pend(struct env *e, const struct page_drop *drop, u64 death)
{
    if (page_is_private(drop->ref)) return 0;
    /* Born within our lineage: its readers here pin the base. */
    struct space_run run = {
        .first = drop->ref, .birth = min_u64(drop->birth, e->head.base),
        .death = death, .pages = drop->pages,
    };
    return space_push(&e->space, SPACE_PENDING, &run);
}

int publish_drops(struct env *e, u64 publication)
{
    int rc = takeover_release_kept(e, publication);
    for (size_t i = 0; i < e->drop_count && !rc; i++)
        rc = pend(e, &e->drops[i], publication);
    for (size_t i = 0; i < e->work.drop_count && !rc; i++)
        rc = pend(e, &e->work.drops[i], publication);
    return rc;
}

void publish_done(struct env *e, u64 death)
{
    for (size_t i = 0; i < e->publishing.count; i++) {
        page_ref ref = e->publishing.items[i].ref;
        const struct page_frame *meta = &e->pages.meta[ref & ~PAGE_PRIVATE];
        if (page_frame_tag(&e->pages, ref) == e->work.tag)
            page_frame_free(&e->pages, ref);
        else
            (void)version_frame_dies(e, ref, meta->birth, death);
    }
    e->publishing.count = 0;
}

/* Free runs that were kept out of the way while pages found their places. */
struct aside {
    struct space_run *runs;
    size_t count;
};

static int put_back(struct env *e, const struct aside *aside)
{
    int rc = 0;
    for (size_t i = 0; i < aside->count && !rc; i++)
        rc = space_give(&e->space, aside->runs[i].first,
                        aside->runs[i].pages);
    return rc;
}

/* VIEW is complete: write it, flip, and make it the head. */
static int publish_view(struct env *e, struct view *view,
                        const struct head_mark *mark,
                        const struct aside *aside)
{
    u64 seq = e->head.seq, publication = e->work.birth + 1;
    struct txn_head next;
    int rc = publish_pages(e, view, publication);
    if (!rc) rc = publish_drops(e, publication);
    if (!rc) rc = put_back(e, aside);
    if (!rc) rc = head_prepare(e, view);
    if (!rc) {
        next = *env_head(e);
        next.published = seq;
        next.publication = publication;
        next.catalog = view->catalog.root;
        next.catalog_count = view->catalog.count;
        next.published_log = next.log;
        rc = head_flip(e, &next, true);
    }
    if (rc) {
        head_abandon(e, view, mark);
        return rc;
    }
    struct version v = {seq, 2 * seq + 1, next.catalog, next.catalog_count,
                        publication, next.log, view_near(view), 0};
    publish_done(e, v.order);
    head_adopt(e, view, &v);
    head_announce(e, &v, 0);
    version_reclaim_frames(e);
    return 0;
}

int publish_head(struct env *e)
{
    struct view view = {0};
    struct head_mark mark;
    struct aside nothing = {0};
    if (e->head.order & 1) return 0;
    head_mark(e, &mark);
    head_view(e, &view, e->head.seq);
    return publish_view(e, &view, &mark, &nothing);
}

/* ---------------------------------------------------------------- move -- */

static int move_key(struct view *view, u64 number, luge_bytes key,
                    struct publish_moves *m)
{
    struct view_tree *t;
    int rc = view_find(view, number, &t);
    if (rc == LUGE_NOTREE) return 0;                 /* dropped since */
    if (!rc) rc = lineage_touch(view, t->pinned);
    if (rc) return rc;
    page_ref before = t->tree.root;
    rc = m->pack ? tree_pack(view->work, &t->tree, key, &m->moved)
                 : tree_move(view->work, &t->tree, m->limit, key, &m->moved);
    if (t->tree.root != before) t->dirty = true;
    return rc;
}

static int move_catalog(struct view *view, luge_bytes key, u64 limit,
                        u64 *moved)
{
    int rc = view_flush(view);
    if (!rc) rc = lineage_touch(view, 0);
    return rc ? rc : tree_move(view->work, &view->catalog, limit, key, moved);
}

/* Pages in memory will want as many free ones: no more than there are, unless
 * the file may grow; nor many more than those that count. */
static int move_some(struct env *e, struct view *view, struct publish_moves *m)
{
    u64 slice = MOVE_SLICE_BYTES >> e->pages.map.page_shift;
    u64 room = 2 * slice, end = m->moved + slice;
    if (!m->pack) room = min_u64(room, space_free_pages(&e->arena->work));
    int rc = 0;
    while (!rc && m->next < m->count && m->moved < end &&
           view->work->frame_count + TREE_DEPTH_MAX < room) {
        const struct publish_move *move = &m->moves[m->next++];
        luge_bytes key = luge_bytes_of(m->keys.data + move->key,
                                       move->key_size);
        rc = move->tree ? move_key(view, move->tree, key, m)
                        : move_catalog(view, key, m->limit, &m->moved);
    }
    return rc ? rc : view_flush(view);
}

/* New places are found below the limit only, and after that others' too, as
 * long as there are any. */
static int keep_below(struct env *e, u64 limit, struct aside *aside)
{
    e->arena->work.high_from = limit;
    int rc = space_set_aside(&e->space, limit, &aside->runs, &aside->count);
    e->space.fixed = true;
    return rc;
}

int publish_moved(struct env *e, struct publish_moves *m)
{
    struct view view = {0};
    struct head_mark mark;
    struct aside aside = {0};
    u64 before = m->moved;
    head_mark(e, &mark);
    head_view(e, &view, e->head.seq);
    int rc = m->pack ? 0 : keep_below(e, m->limit, &aside);
    if (!rc) rc = move_some(e, &view, m);
    e->space.fixed = false;
    if (rc || m->moved == before) head_abandon(e, &view, &mark);
    else rc = publish_view(e, &view, &mark, &aside);
    base_free(aside.runs);
    return rc;
}

/* -------------------------------------------------------------- forget -- */

/* In a shadow a frame may be in several trees, or in none of them any more:
 * its frames are listed. */
static int forget_shadow(struct env *e, u64 death)
{
    struct shadow_frames *s = &e->shadow;
    int rc = 0;
    while (s->count && !rc) {
        page_ref ref = s->refs[--s->count];
        struct page_frame *meta = &e->pages.meta[ref & ~PAGE_PRIVATE];
        if (meta->tag != s->tag || meta->epoch == UINT32_MAX) continue;
        meta->epoch = UINT32_MAX;           /* it may be listed twice */
        rc = version_frame_dies(e, ref, meta->birth, death);
    }
    return rc;
}

static int forget_root(struct env *e, page_ref ref, u64 death)
{
    u32 count = 0;
    if (!page_is_private(ref)) return 0;
    page_ref *children = tree_page_children(page_frame(&e->pages, ref),
                                            &count);
    for (u32 i = 0; children && i < count; i++) {
        int rc = forget_root(e, children[i], death);
        if (rc) return rc;
    }
    if (page_frame_tag(&e->pages, ref) == e->work.tag) return 0;
    return version_frame_dies(e, ref,
                              e->pages.meta[ref & ~PAGE_PRIVATE].birth, death);
}

static int forget_view(struct env *e, struct view *view, u64 death)
{
    int rc = 0;
    for (size_t i = 0; i < e->dirty.capacity && !rc; i++) {
        struct view_tree *t;
        if (!e->dirty.ids[i]) continue;
        rc = view_find(view, e->dirty.ids[i], &t);
        if (!rc) rc = forget_root(e, t->tree.root, death);
        else if (rc == LUGE_NOTREE) rc = 0;
    }
    return rc ? rc : forget_root(e, view->catalog.root, death);
}

/* The pages of the file that the lineage stands on may be used again: nobody
 * has pinned them for it.  So only its frames are read.  What is private of a
 * tree that is there has a record that is: others were dropped. */
static int forget_tree(struct env *e, struct view *view, u64 number, u64 death)
{
    struct catalog_record record;
    u8 space[VIEW_NUMBER_KEY];
    luge_bytes value;
    int rc = tree_get_private(&e->pages, view->catalog.root,
                              view_number_key(space, number), &value);
    if (rc == LUGE_NOTFOUND) return 0;
    if (!rc) rc = view_record_read(view, value, &record, NULL);
    return rc ? rc : forget_root(e, record.root, death);
}

int publish_forget(struct env *e, u64 death)
{
    struct view view = {0};
    int rc = 0;
    if (!e->serial) return forget_shadow(e, death);
    view_begin(&view, &e->pages, NULL, e->head.catalog,
               e->head.catalog_count, e->head.seq);
    for (size_t i = 0; i < e->dirty.capacity && !rc; i++)
        if (e->dirty.ids[i]) rc = forget_tree(e, &view, e->dirty.ids[i], death);
    if (!rc) rc = forget_root(e, view.catalog.root, death);
    view_end(&view);
    return rc;
}

void publish_forget_view(struct env *e, struct view *view, u64 death)
{
    /* Without memory to remember them frames are lost until close. */
    (void)forget_view(e, view, death);
    for (size_t i = 0; i < e->work.drop_count; i++) {
        const struct page_drop *drop = &e->work.drops[i];
        if (page_is_private(drop->ref))
            (void)version_frame_dies(e, drop->ref, drop->birth, death);
    }
}
