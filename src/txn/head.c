/* txn/head.c -- the newest version: getting to it, and making the next one.
 *
 *   ours ----(work_owner, work_serial, seq and base agree)-----> as it is
 *   published = committed --------------------------------------> adopt
 *   published < committed --(its maker is gone or elsewhere)----> adopt, replay
 *
 *   H1  The flip is the commit point for living processes, the record in the
 *       log for those that come after all have died.
 *   H2  Until the flip nothing was changed that another process reads, except
 *       behind the tails of queues and in pages that nobody can reach.
 *   H3  After the flip nothing can fail.
 * Not here: what others left (takeover.c), writing pages (publish.c).
 */
#include "txn/redo.h"
#include "txn/env.h"

enum {
    CATCH_UP_MS = 20,
    LOG_OTHERS = 4,             /* segments open beside those of a shadow */
};

/* --------------------------------------------------------------- arena -- */

static int grow_chunks(void *context, u32 chunks)
{
    struct env *e = context;
    u64 head = round_up(sizeof(struct txn_arena), 4096);
    u64 bytes = head + ((u64)chunks + 15) * 4096;
    u64 have = e->arena->bytes;
    int rc = 0;
    if (bytes <= have) bytes = have; /* another process made it larger */
    else rc = share_grow(&e->share, e->arena_at + have, bytes - have);
    if (rc) return rc;
    e->arena->bytes = bytes;
    e->space.chunk_limit = (u32)((bytes - head) / 4096);
    return 0;
}

/* A robbed holder learns it here, before it touches a file again. */
int head_may_write(void *context)
{
    struct env *e = context;
    atomic_thread_fence(memory_order_seq_cst);
    if (share_turn_mine(&e->share)) return 0;
    return fail(LUGE_CONFLICT, "this process was stopped, and another took "
                "the turn");
}

void head_attach(struct env *e)
{
    u64 head = round_up(sizeof(struct txn_arena), 4096);
    e->arena_at = atomic_load(&e->share.m->arena);
    e->arena = (struct txn_arena *)(void *)((u8 *)e->share.m + e->arena_at);
    e->space.state = &e->arena->work;
    /* Chunk numbers begin at 1. */
    e->space.chunks = (u8 *)e->arena + head - 4096;
    e->space.chunk_limit = (u32)((e->arena->bytes - head) / 4096);
    e->space.grow = grow_chunks;
    e->space.page_limit = page_file_limit(&e->pages);
    e->space.may_write = head_may_write;
    e->space.context = e;
}

void head_init_arena(struct env *e, const struct txn_head *first)
{
    struct share_memory *m = e->share.m;
    struct txn_arena *a =
        (struct txn_arena *)(void *)((u8 *)m + m->arena_at);
    a->bytes = m->arena_bytes;
    a->heads[0] = *first;
    a->work = first->space;
    a->generation = atomic_load(&m->turn_generation);
    atomic_store(&a->current, env_generation_word(e, a->generation));
    head_attach(e);
}

/* ---------------------------------------------------------------- flip -- */

int head_flip(struct env *e, const struct txn_head *next, bool space)
{
    struct txn_arena *a = e->arena;
    u64 now = atomic_load(&a->current);
    u64 flipped = (now & ~HEAD_FLIP_MASK) | ((now + 1) & HEAD_FLIP_MASK);
    struct txn_head *slot = &a->heads[flipped & 1];
    if ((now & ~HEAD_FLIP_MASK) != env_generation_word(e, a->generation) ||
        !share_turn_mine(&e->share))
        return fail(LUGE_CONFLICT, "this process was stopped, and another "
                    "took the turn");
    *slot = *next;
    /* Before the copy: else whoever takes the turn next would not know them. */
    if (space) space_flipped(&e->space);
    if (space) slot->space = a->work;
    if (!atomic_compare_exchange_strong(&a->current, &now, flipped))
        return fail(LUGE_CONFLICT, "this process was stopped, and another "
                    "took the turn");
    e->flipped = flipped;
    return 0;
}

void head_copy(struct env *e, struct txn_head *copy)
{
    for (;;) {
        u64 at = atomic_load(&e->share.m->arena);
        struct txn_arena *a =
            (struct txn_arena *)(void *)((u8 *)e->share.m + at);
        u64 before = atomic_load(&a->current);
        memcpy(copy, &a->heads[before & 1], sizeof *copy);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load(&a->current) == before &&
            atomic_load(&e->share.m->arena) == at)
            return;
    }
}

void head_tell(struct env *e, u64 seq, unsigned log_flags)
{
    struct share_memory *m = e->share.m;
    if (log_flags & LOG_FULL) share_raise(&m->last_full, seq);
    share_raise(&m->special, env_head(e)->special_seq);
    share_raise(&m->committed, seq);
    share_show(&e->share);
}

void head_announce(struct env *e, const struct version *v, unsigned log_flags)
{
    if (v->order & 1) version_publish(e, v);
    else version_add(e, v);
    head_tell(e, v->seq, log_flags);
}

/* ---------------------------------------------------------------- view -- */

void head_mark(struct env *e, struct head_mark *mark)
{
    mark->space = e->arena->work;
    mark->limbo = e->space.limbo_count;
    mark->published = e->publishing.count;
}

void head_view(struct env *e, struct view *view, u64 seq)
{
    page_work_begin(&e->work, &e->pages, seq, &e->space);
    /* What goes to the file now is read by versions of this lineage too, and
     * their readers pin its base, which a replay moves on. */
    e->work.birth = e->head.base;
    e->publishing.count = 0;
    view_begin(view, &e->pages, &e->work, e->head.catalog,
               e->head.catalog_count, seq);
    view->freeze = publish_frozen;
    view->freezer = e;
    view->catalog_pin = e->head_pin;
    view->catalog_pin_known = e->head_pin_known;
}

void head_abandon(struct env *e, struct view *view,
                  const struct head_mark *mark)
{
    if (e->work.opened) {       /* there is no way back: the log has it all */
        publish_forget_view(e, view, e->head.order + 1);
        version_forget_own(e);
    } else if (e->work.open_after != UINT64_MAX) {
        version_close(e);
    }
    page_work_abandon(&e->work);
    view_end(view);
    e->publishing.count = 0;
    if (!share_turn_mine(&e->share)) return; /* it is another's space now */
    e->arena->work = mark->space;
    e->space.limbo_count = mark->limbo;
}

static int reserve_dying(struct dying_list *list, size_t more)
{
    size_t need = list->first + list->count + more;
    if (need <= list->capacity) return 0;
    size_t capacity = need * 2;
    struct dying_frame *frames =
        base_realloc(list->frames, capacity * sizeof *frames);
    if (!frames) return NOMEM();
    list->frames = frames;
    list->capacity = capacity;
    return 0;
}

static int reserve_drops(struct env *e, size_t more)
{
    size_t need = e->drop_count + more;
    if (need <= e->drop_capacity) return 0;
    struct page_drop *drops =
        base_realloc(e->drops, need * 2 * sizeof *drops);
    if (!drops) return NOMEM();
    e->drops = drops;
    e->drop_capacity = need * 2;
    return 0;
}

static void id_set_insert(u64 *ids, size_t capacity, u64 id)
{
    size_t i = (id * 0x9e3779b97f4a7c15u) & (capacity - 1);
    while (ids[i] && ids[i] != id) i = (i + 1) & (capacity - 1);
    ids[i] = id;
}

int id_set_add(struct id_set *set, u64 id)
{
    if (set->count * 2 >= set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 64;
        u64 *ids = base_alloc_zero(capacity * sizeof *ids);
        if (!ids) return NOMEM();
        for (size_t i = 0; i < set->capacity; i++)
            if (set->ids[i]) id_set_insert(ids, capacity, set->ids[i]);
        base_free(set->ids);
        set->ids = ids;
        set->capacity = capacity;
    }
    size_t i = (id * 0x9e3779b97f4a7c15u) & (set->capacity - 1);
    while (set->ids[i] && set->ids[i] != id) i = (i + 1) & (set->capacity - 1);
    if (set->ids[i] == id) return 0;
    set->ids[i] = id;
    set->count++;
    return 0;
}

int head_prepare(struct env *e, const struct view *view)
{
    const struct view_tree *trees = view->trees ? view->trees
                                                : view->inline_trees;
    int rc = reserve_dying(&e->dying, e->work.drop_count +
                                          e->publishing.count);
    if (!rc) rc = reserve_drops(e, e->work.drop_count);
    for (u32 i = 0; i < view->tree_count && !rc; i++)
        if (page_is_private(trees[i].tree.root))
            rc = id_set_add(&e->dirty, trees[i].number);
    return rc;
}

/* All of it is published: nothing is dropped or private any more. */
static void lineage_is_empty(struct env *e)
{
    e->drop_count = 0;
    e->dirty.count = 0;
    if (e->dirty.ids)
        memset(e->dirty.ids, 0, e->dirty.capacity * sizeof *e->dirty.ids);
}

/* Cannot fail: head_prepare made room. */
void head_adopt(struct env *e, struct view *view, const struct version *v)
{
    for (size_t i = 0; i < e->work.drop_count; i++) {
        const struct page_drop *drop = &e->work.drops[i];
        if (!page_is_private(drop->ref))
            e->drops[e->drop_count++] = *drop;
        else if (page_frame_tag(&e->pages, drop->ref) == e->work.tag)
            page_frame_free(&e->pages, drop->ref); /* nobody ever saw it */
        else
            (void)version_frame_dies(e, drop->ref, drop->birth, v->order);
    }
    e->work.drop_count = 0;
    page_work_commit(&e->work, v->order);
    e->head_pin = view->catalog_pin;
    e->head_pin_known = view->catalog_pin_known;
    view_end(view);
    e->head = *v;
    if (!(v->order & 1)) return;
    lineage_is_empty(e);
    share_turn_pin(&e->share, v->base);
}

/* -------------------------------------------------------------- replay -- */

/* Many records are applied in one work: a page is copied once, not once for
 * each of them.  A version is made where somebody may stand (at `shown`) and at
 * the end. */
struct replay {
    struct env *e;
    struct view view;
    struct redo batch;      /* operations that the view does not have yet */
    struct head_mark mark;
    bool open;              /* the view has records that are not landed */
    u64 seq;                /* of the last record applied, or begun */
    bool whole;             /* and it is complete */
    bool shadow;            /* without the turn: nothing is allocated */
    bool in_place;          /* if nobody looks: small puts and deletions */
    struct log_position at; /* behind it */
};

static void replay_begin(struct replay *r, u64 seq)
{
    u64 after;
    head_mark(r->e, &r->mark);
    head_view(r->e, &r->view, seq);
    if (r->shadow) {
        r->e->work.may_write = false;
        r->view.freeze = NULL;
    } else if (r->in_place && version_open(r->e, &after)) {
        r->e->work.open_after = after;
    }
    r->open = true;
}

static int replay_op(struct replay *r, u64 segment, const struct op *op)
{
    bool sorts = op->kind <= OP_DEL && op->key.size <= LUGE_KEY_SIZE_MAX;
    int rc = 0;
    if (!sorts || !redo_has_room(&r->batch, segment))
        rc = redo_apply(&r->batch, &r->view);
    if (rc) return rc;
    return sorts ? redo_add(&r->batch, segment, op)
                 : view_apply(&r->view, op);
}

/* FRAME stands in SEGMENT. */
static int replay_frame(struct replay *r, const struct log_frame *frame,
                        u64 segment)
{
    const u8 *at = frame->payload.data, *end = at + frame->payload.size;
    struct op op;
    int rc = 0;
    if (frame->seq != r->seq + r->whole)
        return CORRUPT("record %llu follows record %llu in the log",
                       (unsigned long long)frame->seq,
                       (unsigned long long)r->seq);
    if (!r->open) replay_begin(r, frame->seq);
    r->view.seq = r->seq = frame->seq;
    r->whole = frame->kind == LOG_LAST;
    while (!rc && !(rc = op_decode(&at, end, &op)))
        rc = replay_op(r, segment, &op);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int shadow_list(struct env *e, u64 order)
{
    const struct page_work *w = &e->work;
    page_ref *refs = base_alloc((w->frame_count + 1) * sizeof *refs);
    if (!refs) return NOMEM();
    if (w->frame_count)
        memcpy(refs, w->frames, w->frame_count * sizeof *refs);
    base_free(e->shadow.refs);
    e->shadow = (struct shadow_frames){refs, w->frame_count, w->tag, order};
    if (w->birth > atomic_load(&e->shadow_birth))
        atomic_store(&e->shadow_birth, w->birth);
    return 0;
}

static int replay_land(struct replay *r)
{
    struct env *e = r->e;
    int rc = redo_apply(&r->batch, &r->view);
    if (!rc) rc = view_flush(&r->view);
    if (!rc) rc = head_prepare(e, &r->view);
    if (!rc && r->shadow) rc = shadow_list(e, 2 * r->seq);
    if (rc) return rc;
    struct version v = {r->seq, 2 * r->seq, r->view.catalog.root,
                        r->view.catalog.count,
                        r->shadow ? e->head.base : e->work.birth, r->at,
                        view_near(&r->view), 0};
    publish_done(e, v.order);
    head_adopt(e, &r->view, &v);
    version_add(e, &v);
    version_reclaim_frames(e);
    r->open = false;
    return 0;
}

static bool replay_should_land(const struct replay *r)
{
    return r->whole && !r->shadow &&
           r->seq == atomic_load(&r->e->share.m->shown);
}

static bool shadow_holds(const struct env *e, u64 number)
{
    for (u32 i = 0; i < e->held_count; i++)
        if (e->held[i]->number == number) return true;
    return false;
}

static int shadow_hold(struct env *e, const u64 *numbers, size_t count,
                       bool *fits)
{
    size_t more = 0;
    int rc = 0;
    for (size_t i = 0; i < count; i++) more += !shadow_holds(e, numbers[i]);
    *fits = e->held_count + more <= ARRAY_COUNT(e->held) - LOG_OTHERS;
    for (size_t i = 0; i < count && *fits && !rc; i++) {
        if (shadow_holds(e, numbers[i])) continue;
        rc = log_segment_get(&e->log, numbers[i], &e->held[e->held_count]);
        if (!rc) e->held_count++;
    }
    return rc;
}

/* Large values of a shadow stand in the mapped log: its segments must stay.  We
 * say so, and look at the oldest one there is afterwards; who drops that does
 * it the other way round (checkpoint.c).  *gone: he was faster, and what is in
 * it is published. */
static int shadow_hold_all(struct env *e, const struct txn_head *h, bool *gone,
                           bool *fits)
{
    struct txn_head now;
    u64 *numbers;
    size_t count;
    share_shadow(&e->share, true);
    head_copy(e, &now);
    *gone = now.log_oldest > h->published_log.segment;
    if (*gone) return 0;
    int rc = log_list(&e->log, h->published_log.segment, h->log.segment,
                      &numbers, &count);
    if (!rc) rc = shadow_hold(e, numbers, count, fits);
    base_free(numbers);
    return rc;
}

/* Once nobody in this process reads a shadow, nor may yet come to do so: the
 * floor must have passed it before the pins are looked at. */
static void shadow_let_go(struct env *e)
{
    u32 high = atomic_load(&e->slots_high);
    if (!share_shadows(&e->share) || atomic_load(&e->floor) <= e->shadow.order)
        return;
    for (u32 i = 0; i < high; i++)
        if (atomic_load(&e->pins[i].order)) return;
    while (e->held_count) log_segment_put(&e->log, e->held[--e->held_count]);
    share_shadow(&e->share, false);
}

static void shadow_abandon(struct env *e, struct view *view)
{
    page_work_abandon(&e->work);
    view_end(view);
}

int head_replay(struct env *e, const struct log_position *at,
                const struct log_position *end, struct txn_head *last,
                enum head_replays what)
{
    struct replay r = {.e = e, .seq = e->head.seq, .whole = true,
                       .shadow = what == HEAD_SHADOW,
                       .in_place = what == HEAD_IN_PLACE,
                       .batch = {.log = &e->log, .cold = e->file_is_cold}};
    struct log_scan scan;
    struct log_frame frame;
    int rc = 0;
    log_scan_begin(&scan, &e->log, at, end);
    while (!rc && !(rc = log_next(&scan, &frame))) {
        rc = replay_frame(&r, &frame, scan.at.segment);
        if (rc || !r.whole) continue;
        r.at = last->log = scan.at;
        last->seq = frame.seq;
        last->time_ns = frame.time_ns;
        if (replay_should_land(&r)) rc = replay_land(&r);
    }
    log_scan_end(&scan);
    if (rc == LUGE_NOTFOUND) rc = r.open ? replay_land(&r) : 0;
    e->file_is_cold = r.batch.cold;
    redo_end(&r.batch);
    if (r.open && !r.shadow) head_abandon(e, &r.view, &r.mark);
    else if (r.open) shadow_abandon(e, &r.view);
    return rc;
}

/* Is what ends the log its end?  A hole before something durable is not. */
static int end_or_hole(struct env *e, const struct log_position *at, u64 seq)
{
    u64 durable;
    int rc = log_claimed(&e->log, at, seq, &durable);
    if (rc || durable <= seq) return rc;
    return CORRUPT("log segment %llu is unreadable at offset %llu, before "
                   "record %llu, which was durable",
                   (unsigned long long)at->segment,
                   (unsigned long long)at->offset,
                   (unsigned long long)durable);
}

/* Everything is checked here, and only what is complete is replayed.  *end and
 * *seq move behind the last complete record, *stop to where the scan ended. */
static int scan_to_end(struct env *e, u64 *seq, struct log_position *end,
                       struct log_position *stop, u64 *bytes)
{
    struct log_scan scan;
    struct log_frame frame;
    u64 now = *seq;
    bool whole = true;
    int rc;
    log_scan_begin(&scan, &e->log, end, NULL);
    while (!(rc = log_next(&scan, &frame))) {
        if (frame.seq != now + whole) break;
        now = frame.seq;
        *bytes += log_frame_bytes((u32)frame.payload.size);
        whole = frame.kind == LOG_LAST;
        if (!whole) continue;
        *end = scan.at;
        *seq = now;
    }
    log_scan_end(&scan);
    *stop = scan.at;
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int head_find_end(struct env *e, const struct log_position *at, u64 seq,
                  struct log_position *end, u64 *bytes)
{
    struct log_position stop;
    bool more = false;
    *end = *at;
    *bytes = 0;
    int rc = scan_to_end(e, &seq, end, &stop, bytes);
    if (!rc) rc = tail_recover(e, end, &more);
    if (!rc && more) rc = scan_to_end(e, &seq, end, &stop, bytes);
    return rc ? rc : end_or_hole(e, &stop, seq);
}

/* ------------------------------------------------------------- refresh -- */

/* Since our last version nobody has published, or gone on from it elsewhere. */
bool head_goes_on(const struct env *e, const struct txn_head *h)
{
    const struct txn_arena *a = e->arena;
    return e->head.seq && e->head.base == h->publication &&
           a->work_owner == e->share.seat + 1 && a->work_serial == e->serial;
}

/* Leave our lineage behind: readers here may still be on it.  Once: its frames
 * are on their way to others, though what comes next may fail. */
static int forget_lineage(struct env *e)
{
    int rc = e->head.seq ? publish_forget(e, e->head.order + 1) : 0;
    e->head.seq = 0;
    lineage_is_empty(e);
    e->space.limbo_count = 0;
    shadow_let_go(e);
    return rc;
}

static void adopt_published(struct env *e, const struct txn_head *h)
{
    e->head = (struct version){
        h->published, 2 * h->published + 1, h->catalog, h->catalog_count,
        h->publication, h->published_log, {0}, 0,
    };
    e->head_pin_known = false;
}

/* The one who flipped may have died before he told: the words ... */
static void tell_again(struct env *e, const struct txn_head *h)
{
    struct share_memory *m = e->share.m;
    if (atomic_load(&m->committed) >= h->seq) return;
    /* Whether it asked for durability is not known: assume so. */
    share_raise(&m->last_full, h->seq);
    share_raise(&m->special, h->special_seq);
    share_raise(&m->committed, h->seq);
}

/* ... and what is published, which is e->head now. */
static void publish_again(struct env *e, const struct txn_head *h)
{
    struct txn_arena *a = e->arena;
    u64 n = atomic_load(&a->ring_count);
    if (!n || atomic_load(&a->ring[(n - 1) % VERSION_RING].base) !=
                  h->publication)
        version_publish(e, &e->head);
}

/* A replay may have frozen something: its numbers are taken. */
static int tell_publication(struct env *e)
{
    struct txn_head next = *env_head(e);
    if (next.publication == e->head.base) return 0;
    next.publication = e->head.base;
    return head_flip(e, &next, false);
}

/* Replay what landed behind e->head, in the log's file all of it. */
static int replay_rest(struct env *e, const struct txn_head *now,
                       enum head_replays what)
{
    struct log_position from = e->head.log;
    struct txn_head last = *now;
    int rc = 0;
    if (e->head.seq < now->seq)
        rc = head_replay(e, &from, &now->log, &last, what);
    if (!rc && e->head.seq != now->seq)
        rc = CORRUPT("the log ends at record %llu, not at %llu",
                     (unsigned long long)e->head.seq,
                     (unsigned long long)now->seq);
    return rc ? rc : tell_publication(e);
}

static int go_on(struct env *e)
{
    tell_again(e, env_head(e));
    if (e->head.seq == env_head(e)->seq) return 0;
    int rc = tail_settle(e);
    if (rc) return rc;
    struct txn_head now = *env_head(e);
    /* Who may not see all of it needs the version that in place would go. */
    bool all_shown = atomic_load(&e->share.m->shown) >= now.seq;
    return replay_rest(e, &now, all_shown ? HEAD_IN_PLACE : HEAD_ALL);
}

static int refresh(struct env *e)
{
    struct txn_head now;
    int rc = 0;
    if (share_turn_stolen(&e->share)) rc = takeover_theft(e);
    if (rc) return rc;
    if (head_goes_on(e, env_head(e))) return go_on(e);
    e->end_unsure = true;
    rc = tail_settle(e);
    if (!rc) rc = forget_lineage(e);
    if (!rc) rc = takeover_space(e);
    if (rc) return rc;
    now = *env_head(e);
    adopt_published(e, &now);
    publish_again(e, &now);
    tell_again(e, &now);
    rc = replay_rest(e, &now, HEAD_ALL);
    if (rc) e->head.seq = 0; /* the next one begins anew */
    return rc;
}

/* Which arena is ours to change?  The one that shared memory names; but if we
 * were stopped and robbed before we looked, it is the thief's.  The pin comes
 * before the question, too: whoever robs us later finds it. */
static bool own_arena(struct env *e)
{
    if (e->arena_at != atomic_load(&e->share.m->arena)) {
        head_attach(e);
        e->space.limbo_count = 0;
    }
    share_turn_pin(&e->share, env_head(e)->publication);
    return share_turn_mine(&e->share);
}

/* Both locks, and the arena.  BUSY. */
static int take_turn(struct env *e, u32 wait_ms, enum share_turn_how *how)
{
    for (;;) {
        int rc = share_turn_take(&e->share, wait_ms, how);
        if (rc) return rc;
        rc = share_word_lock(&e->head_lock, e->options.busy_timeout_ms);
        if (rc) {
            share_turn_release(&e->share);
            return rc;
        }
        if (own_arena(e)) return 0;
        head_release_turn(e);
    }
}

/* Nothing was left half done.  Of the last commit all were told, then. */
static bool may_stay_behind(struct env *e, enum share_turn_how how)
{
    return how == SHARE_TURN_TAKEN && !share_turn_stolen(&e->share) &&
           atomic_load(&e->share.m->committed) == env_head(e)->seq;
}

struct head_may {
    head_may_fn *fn;
    const void *context;
    bool behind;
};

/* *robbed: we were stopped meanwhile, and the turn is another's. */
static int take_head(struct env *e, u32 wait_ms, struct head_may *may,
                     bool *robbed)
{
    enum share_turn_how how;
    int rc = take_turn(e, wait_ms, &how);
    *robbed = false;
    if (rc) return rc;
    takeover_admit(e);
    if (how != SHARE_TURN_TAKEN) {
        atomic_store(&e->share.m->turn_long, 0);
        (void)share_reap(&e->share);
    }
    if (atomic_load(&e->arena->appending) ||
        atomic_load(&e->arena->current) != e->flipped)
        e->end_unsure = true;                              /* tail.c, A5 */
    /* Another process may map more of the file, and have made it so large. */
    rc = page_file_fits(&e->pages, env_head(e)->space.page_count);
    may->behind = !rc && may->fn && may_stay_behind(e, how) &&
                  may->fn(e, may->context);
    if (!rc && !may->behind) rc = refresh(e);
    if (!rc) return 0;
    *robbed = !share_turn_mine(&e->share);
    head_release_turn(e);
    return rc;
}

/* Who is robbed before anything has begun begins anew: nobody need know. */
static int take_usable(struct env *e, u32 wait_ms, struct head_may *may)
{
    bool robbed;
    int rc;
    do {
        rc = env_usable(e);
        if (rc) return rc;
        rc = take_head(e, wait_ms, may, &robbed);
    } while (robbed);
    return rc;
}

int head_take_turn(struct env *e, u32 wait_ms)
{
    struct head_may never = {0};
    return take_usable(e, wait_ms, &never);
}

int head_take_turn_lazily(struct env *e, u32 wait_ms, head_may_fn *may,
                          const void *context, bool *behind)
{
    struct head_may m = {may, context, false};
    int rc = take_usable(e, wait_ms, &m);
    *behind = m.behind;
    return rc;
}

void head_release_turn(struct env *e)
{
    share_turn_pin(&e->share, 0);
    share_word_unlock(&e->head_lock);
    share_turn_release(&e->share);
}

/* ------------------------------------------------------------ catch up -- */

static int catch_up_with_turn(struct env *e)
{
    int rc = head_take_turn(e, CATCH_UP_MS);
    if (rc) return rc;
    blind_missed(e);
    bool unpublished = !(e->head.order & 1);
    bool others = atomic_load(&e->share.m->attached) > 1 &&
                  !audience_absent(e);
    /* It is for them.  Our reader has what he needs, though the disk be full;
     * if we were robbed he looks again, at what the thief has made. */
    if (unpublished && others) (void)publish_head(e);
    head_release_turn(e);
    return 0;
}

/* A shadow: the log since the published version, replayed in this process's
 * memory only, for readers who cannot have the turn because an application
 * holds it.  The lineage it makes is nobody's (serial 0): whoever takes the
 * turn next begins again from what is published.  *fits: it is not too long. */
static int shadow_build(struct env *e, u32 slot, bool *fits)
{
    struct share_memory *m = e->share.m;
    struct txn_head now, last;
    bool gone = false;
    head_copy(e, &now);
    atomic_store(&m->slots[slot].pin, now.publication);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&m->floor) > now.publication) return 0;      /* again */
    int rc = forget_lineage(e);
    if (!rc) rc = shadow_hold_all(e, &now, &gone, fits);
    if (rc || gone || !*fits) return rc;
    e->serial = 0;
    last = now;
    adopt_published(e, &now);
    version_add(e, &e->head);
    if (now.published < now.seq)
        rc = head_replay(e, &now.published_log, &now.log, &last,
                         HEAD_SHADOW);
    if (rc) e->head.seq = 0;
    return rc;
}

static int catch_up_alone(struct env *e, u32 slot, bool *fits)
{
    int rc = share_word_lock(&e->head_lock, e->options.busy_timeout_ms);
    if (rc) return rc;
    rc = shadow_build(e, slot, fits);
    version_unpin(e, slot);
    share_word_unlock(&e->head_lock);
    return rc;
}

/* Until the turn is ours, or whoever has it has published. */
static int catch_up_patiently(struct env *e)
{
    struct txn_head first, now;
    u64 end = os_monotonic_ns() +
              (u64)e->options.busy_timeout_ms * 1000000;
    int rc;
    head_copy(e, &first);
    do {
        rc = catch_up_with_turn(e);
        if (rc != LUGE_BUSY) return rc;
        head_copy(e, &now);
        if (now.publication != first.publication) return 0;
    } while (os_monotonic_ns() < end);
    return rc;
}

/* The log's file must have what a shadow is made of.  BUSY: it has; else 0, and
 * there may be a better way now. */
static int settled(struct env *e)
{
    struct txn_head now;
    u32 wait_ms = e->options.busy_timeout_ms;
    head_copy(e, &now);
    return now.written_seq == now.seq ? LUGE_BUSY
                                      : tail_flush(e, now.seq, wait_ms);
}

void head_tend(struct env *e)
{
    if (!share_shadows(&e->share) || share_word_lock(&e->head_lock, 0)) return;
    version_reclaim_frames(e);
    shadow_let_go(e);
    share_word_unlock(&e->head_lock);
}

int head_catch_up(struct env *e, u32 slot)
{
    struct share_memory *m = e->share.m;
    bool fits = true;
    share_raise(&m->missed, atomic_load(&m->committed));
    int rc = catch_up_with_turn(e);
    if (rc == LUGE_BUSY) rc = settled(e);
    if (rc == LUGE_BUSY) rc = catch_up_alone(e, slot, &fits);
    if (!fits) rc = catch_up_patiently(e);
    u64 seq = atomic_load(&m->committed);
    if (!rc && atomic_load(&m->shown) < seq && !version_is_there(e))
        rc = commit_wait(e, seq);
    return rc;
}
