/* txn/version.c -- which version a reader gets, and what it keeps alive.
 *
 * Two rings list versions: the one in shared memory those that are published,
 * this process's own those of its lineage.  A reader takes the newest that is
 * not newer than `shown`, pins it, and looks whether the floor passed it
 * meanwhile (share/slot.c has the other half of the handshake).
 * Not here: how versions come to be (head.c).
 */
#include "txn/env.h"

enum {
    TRIES_ALONE = 8,        /* before writers are asked to copy */
    TRIES_SOON = 200,       /* before it naps between them */
    TRY_NAP_US = 50,
    PIN_TRIES_MAX = 1000,
    DYING_AGE_MIN = 64,
};

static void ring_put(struct txn_ring_entry *ring, _Atomic u64 *count,
                     const struct version *v)
{
    u64 n = atomic_load(count);
    struct txn_ring_entry *entry = &ring[n % VERSION_RING];
    atomic_store_explicit(&entry->seq, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&entry->order, v->order, memory_order_relaxed);
    atomic_store_explicit(&entry->catalog, v->catalog, memory_order_relaxed);
    atomic_store_explicit(&entry->catalog_count, v->catalog_count,
                          memory_order_relaxed);
    atomic_store_explicit(&entry->base, v->base, memory_order_relaxed);
    atomic_store_explicit(&entry->segment, v->log.segment,
                          memory_order_relaxed);
    atomic_store_explicit(&entry->offset, v->log.offset, memory_order_relaxed);
    atomic_store_explicit(&entry->chain, v->log.chain, memory_order_relaxed);
    atomic_store_explicit(&entry->near_number, v->near.number,
                          memory_order_relaxed);
    atomic_store_explicit(&entry->near_root, v->near.tree.root,
                          memory_order_relaxed);
    atomic_store_explicit(&entry->near_count, v->near.tree.count,
                          memory_order_relaxed);
    atomic_store_explicit(&entry->near_pinned, v->near.pinned,
                          memory_order_relaxed);
    atomic_store_explicit(&entry->seq, v->seq, memory_order_release);
    atomic_store(count, n + 1);
}

/* Entry N, unless it was overwritten under our hands. */
static bool ring_get(const struct txn_ring_entry *ring,
                     const _Atomic u64 *count, u64 n, struct version *v)
{
    const struct txn_ring_entry *entry = &ring[n % VERSION_RING];
    v->seq = atomic_load_explicit(&entry->seq, memory_order_acquire);
    v->order = atomic_load_explicit(&entry->order, memory_order_relaxed);
    v->catalog = atomic_load_explicit(&entry->catalog, memory_order_relaxed);
    v->catalog_count = atomic_load_explicit(&entry->catalog_count,
                                            memory_order_relaxed);
    v->base = atomic_load_explicit(&entry->base, memory_order_relaxed);
    v->log.segment = atomic_load_explicit(&entry->segment,
                                          memory_order_relaxed);
    v->log.offset = atomic_load_explicit(&entry->offset, memory_order_relaxed);
    v->log.chain = atomic_load_explicit(&entry->chain, memory_order_relaxed);
    v->near = (struct view_tree){
        .number = atomic_load_explicit(&entry->near_number,
                                       memory_order_relaxed),
        .tree = {atomic_load_explicit(&entry->near_root, memory_order_relaxed),
                 atomic_load_explicit(&entry->near_count,
                                      memory_order_relaxed)},
        .pinned = atomic_load_explicit(&entry->near_pinned,
                                       memory_order_relaxed),
    };
    atomic_thread_fence(memory_order_acquire);
    return v->seq && atomic_load(count) < n + VERSION_RING;
}

/* The newest entry with seq <= WANT. */
static bool ring_find(const struct txn_ring_entry *ring,
                      const _Atomic u64 *count, u64 want, struct version *v)
{
    u64 end = atomic_load(count);
    u64 start = end > VERSION_RING ? end - VERSION_RING : 0;
    for (u64 n = end; n > start; n--) {
        if (!ring_get(ring, count, n - 1, v) || v->seq > want) continue;
        v->place = 2 * n;
        return true;
    }
    return false;
}

void version_add(struct env *e, const struct version *v)
{
    ring_put(e->ring, &e->ring_count, v);
}

void version_publish(struct env *e, const struct version *v)
{
    ring_put(e->arena->ring, &e->arena->ring_count, v);
}

static struct txn_arena *arena_now(struct env *e)
{
    u64 at = atomic_load(&e->share.m->arena);
    return (struct txn_arena *)(void *)((u8 *)e->share.m + at);
}

static bool choose(struct env *e, u64 want, struct version *v)
{
    struct txn_arena *a = arena_now(e);
    struct version own, published = {0};
    bool have_own = ring_find(e->ring, &e->ring_count, want, &own);
    bool have = ring_find(a->ring, &a->ring_count, want, &published);
    published.place++;
    /* Of equal ones the published is newer: pages may have moved since. */
    if (have && (!have_own || published.order >= own.order)) *v = published;
    else if (have_own) *v = own;
    return have || have_own;
}

bool version_is_there(struct env *e)
{
    struct version v;
    u64 want = atomic_load(&e->share.m->shown);
    return choose(e, want, &v) && v.seq >= want;
}

/* Was V still reachable when our pin became visible?  The ring is asked behind
 * the floor: when versions are forgotten, that goes back (version_close). */
static bool still_there(struct env *e, const struct version *v)
{
    if (atomic_load(&e->share.m->floor) > v->base) return false;
    if (v->order & 1) return true;
    return atomic_load(&e->floor) <= v->order &&
           atomic_load(&e->ring[(v->place / 2 - 1) % VERSION_RING].seq) ==
               v->seq;
}

/* Who only writes need know no more than which trees there are. */
static bool will_do(const struct env *e, const struct version *v, u64 want,
                    bool older)
{
    return v->seq >= want ||
           (older && v->seq >= atomic_load(&e->share.m->special));
}

/* NOTFOUND: there is none yet, or it passed meanwhile: once more. */
static int try_pin(struct env *e, u32 slot, struct version *v, bool older,
                   u64 *newest)
{
    struct share_memory *m = e->share.m;
    u64 want = atomic_load(&m->shown);
    *newest = want;
    if (!choose(e, want, v) || !will_do(e, v, want, older)) {
        int rc = head_catch_up(e, slot);
        return rc ? rc : LUGE_NOTFOUND;
    }
    atomic_store_explicit(&e->pins[slot].order, v->order,
                          memory_order_relaxed);
    atomic_store_explicit(&m->slots[slot].seq, v->seq, memory_order_relaxed);
    if (!older) version_looked(e, slot, v);
    atomic_store_explicit(&m->slots[slot].pin, v->base,
                          memory_order_relaxed);                  /* E2 */
    atomic_thread_fence(memory_order_seq_cst);
    if (still_there(e, v)) return 0;
    version_unpin(e, slot);
    return LUGE_NOTFOUND;
}

static int pin_patiently(struct env *e, u32 slot, struct version *v,
                         bool older, u64 *newest)
{
    u64 end = os_monotonic_ns() +
              (u64)e->options.busy_timeout_ms * 1000000;
    int rc = LUGE_NOTFOUND;
    atomic_fetch_add(&e->pinning, 1);
    for (u32 i = 0; rc == LUGE_NOTFOUND; i++) {
        rc = try_pin(e, slot, v, older, newest);
        if (rc != LUGE_NOTFOUND || i < TRIES_SOON) continue;
        os_sleep_us(TRY_NAP_US);
        if (os_monotonic_ns() > end)
            rc = fail(LUGE_BUSY, "versions pass faster than one can be "
                      "pinned");
    }
    atomic_fetch_sub(&e->pinning, 1);
    return rc;
}

int version_pin(struct env *e, u32 slot, struct version *v, bool older,
                u64 *newest)
{
    int rc = LUGE_NOTFOUND;
    for (u32 i = 0; i < TRIES_ALONE && rc == LUGE_NOTFOUND; i++)
        rc = try_pin(e, slot, v, older, newest);
    return rc == LUGE_NOTFOUND ? pin_patiently(e, slot, v, older, newest)
                               : rc;
}

void version_looked(struct env *e, u32 slot, const struct version *v)
{
    atomic_store_explicit(&e->share.m->slots[slot].looked, v->seq,
                          memory_order_relaxed);
}

void version_unpin(struct env *e, u32 slot)
{
    atomic_store_explicit(&e->share.m->slots[slot].pin, 0,
                          memory_order_release);
    atomic_store_explicit(&e->pins[slot].order, 0, memory_order_release);
}

void version_pin_beside(struct env *e, u32 slot, u32 other,
                        const struct version *v)
{
    struct share_slot *slots = e->share.m->slots;
    atomic_store(&e->pins[slot].order, atomic_load(&e->pins[other].order));
    atomic_store(&slots[slot].seq, v->seq);
    atomic_store(&slots[slot].pin, atomic_load(&slots[other].pin));
}

static void checkpoint_version(struct env *e, struct version *v)
{
    struct txn_head now;
    head_copy(e, &now);
    *v = (struct version){
        now.checkpoint, 2 * now.checkpoint + 1, now.checkpoint_catalog,
        now.checkpoint_catalog_count, now.checkpoint_publication,
        now.checkpoint_log, {0}, 0,
    };
}

/* The word is changed before the pages go, and with a fence before the pins are
 * collected: as with the floor (share/slot.c).  Who flipped may not have told
 * yet: then it is the one that was the next. */
int version_pin_checkpoint(struct env *e, u32 slot, struct version *v)
{
    struct share_memory *m = e->share.m;
    for (int i = 0; i < PIN_TRIES_MAX; i++) {
        checkpoint_version(e, v);
        atomic_store(&e->pins[slot].order, v->order);
        atomic_store(&m->slots[slot].seq, v->seq);
        atomic_store(&m->slots[slot].pin, v->base);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(&m->checkpoint) == v->base ||
            atomic_load(&m->checkpoint_next) == v->base)
            return 0;
        version_unpin(e, slot);
    }
    return fail(LUGE_BUSY, "checkpoints pass faster than one can be pinned");
}

void version_pin_head(struct env *e, u32 slot)
{
    struct share_slot *s = &e->share.m->slots[slot];
    assert(e->head.order & 1);
    atomic_store(&e->pins[slot].order, e->head.order);
    atomic_store(&s->seq, e->head.seq);
    atomic_store(&s->pin, e->head.base);
}

/* ------------------------------------------------------------ in place -- */

/* The newest version of this process that somebody reads. */
static u64 newest_pin(struct env *e)
{
    u32 high = atomic_load(&e->slots_high);
    u64 newest = 0;
    for (u32 i = 0; i < high; i++)
        newest = max_u64(newest, atomic_load_explicit(&e->pins[i].order,
                                                      memory_order_acquire));
    return newest;
}

/* Readers that come meanwhile find that the floor has passed what they pinned,
 * and wait for the next version: some microseconds.  If they come often, they
 * say so, and the next commit copies.  It saves four copies of pages a commit,
 * 3.9 us against 2.7 (put-async-t1, both cores busy). */
bool version_open(struct env *e, u64 *after)
{
    if ((e->head.order & 1) || atomic_load(&e->pinning) ||
        atomic_load(&e->share.m->shown) < e->head.seq ||
        newest_pin(e) >= e->head.order)
        return false;
    e->floor_before = atomic_load(&e->floor);
    atomic_store(&e->floor, e->head.order + 1);
    atomic_thread_fence(memory_order_seq_cst);
    *after = newest_pin(e);
    if (*after < e->head.order) return true;
    version_close(e);
    return false;
}

void version_close(struct env *e)
{
    atomic_store(&e->floor, e->floor_before);
}

void version_forget_own(struct env *e)
{
    /* First: who has chosen one already must find it gone (still_there). */
    for (u32 i = 0; i < VERSION_RING; i++) atomic_store(&e->ring[i].seq, 0);
    e->head.seq = 0;                    /* whoever has the turn next replays */
    e->failed_open = true;
    version_close(e);
}

/* ------------------------------------------------------ frames (local) -- */

static int dying_push(struct dying_list *list, const struct dying_frame *f)
{
    if (list->first && list->first + list->count == list->capacity) {
        memmove(list->frames, list->frames + list->first,
                list->count * sizeof *list->frames);
        list->first = 0;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct dying_frame *more =
            base_realloc(list->frames, capacity * sizeof *more);
        if (!more) return NOMEM();
        list->frames = more;
        list->capacity = capacity;
    }
    list->frames[list->first + list->count++] = *f;
    return 0;
}

int version_frame_dies(struct env *e, page_ref ref, u64 birth, u64 death)
{
    struct dying_frame f = {ref, birth, death};
    return dying_push(&e->dying, &f);
}

/* The order of a pin that needs the frame, or 0.  Two looks: as share_pins. */
static u64 needed_by(struct env *e, const struct dying_frame *f)
{
    u32 high = atomic_load(&e->slots_high);
    for (u32 look = 0; look < 2 * high; look++) {
        u32 i = look % high;
        u64 order = atomic_load_explicit(&e->pins[i].order,
                                         memory_order_acquire);
        if (order && f->birth <= order && order < f->death)
            return order;                                          /* E1 */
    }
    return 0;
}

static bool pin_stands(struct env *e, u64 order)
{
    u32 high = atomic_load(&e->slots_high);
    for (u32 i = 0; i < high; i++)
        if (atomic_load_explicit(&e->pins[i].order,
                                 memory_order_acquire) == order)
            return true;
    return false;
}

static void settle_frame(struct env *e, const struct dying_frame *f)
{
    u64 order = needed_by(e, f);
    if (!order) {
        page_frame_free(&e->pages, f->ref);
        return;
    }
    if (!e->dying_blocker || order < e->dying_blocker)
        e->dying_blocker = order;
    /* Without memory to remember it, the frame is lost until close. */
    (void)dying_push(&e->dying_held, f);
}

static bool held_may_go(struct env *e)
{
    if (!e->dying_held.count) return false;
    if (e->dying_age++ > DYING_AGE_MIN + e->dying_held.count / 16) return true;
    return !pin_stands(e, e->dying_blocker);
}

static void look_at_held(struct env *e)
{
    struct dying_list *held = &e->dying_held;
    size_t n = held->count;
    e->dying_blocker = 0;
    e->dying_age = 0;
    while (n--) {
        struct dying_frame f = held->frames[held->first++];
        held->count--;
        settle_frame(e, &f);
    }
}

/* The newest version that new readers of this process can still choose. */
static u64 newest_choice(struct env *e)
{
    struct version v;
    return choose(e, atomic_load(&e->share.m->shown), &v) ? v.order : 0;
}

void version_reclaim_frames(struct env *e)
{
    u64 floor = newest_choice(e);
    if (floor > atomic_load(&e->floor)) atomic_store(&e->floor, floor);
    atomic_thread_fence(memory_order_seq_cst);
    floor = atomic_load(&e->floor);
    if (held_may_go(e)) look_at_held(e);
    while (e->dying.count &&
           e->dying.frames[e->dying.first].death <= floor) {
        struct dying_frame f = e->dying.frames[e->dying.first++];
        e->dying.count--;
        settle_frame(e, &f);
    }
    if (!e->dying.count) e->dying.first = 0;
}

/* ------------------------------------------------- pages of the file -- */

/* The published version that the slowest new reader would take. */
static u64 published_floor(struct env *e)
{
    struct version v;
    u64 shown = atomic_load(&e->share.m->shown);
    return ring_find(e->arena->ring, &e->arena->ring_count, shown, &v)
               ? v.base : 0;
}

int version_reclaim_pages(struct env *e, u64 limit)
{
    u64 pins[SHARE_PINS_MAX];
    share_raise(&e->share.m->floor, published_floor(e));
    atomic_thread_fence(memory_order_seq_cst);
    u64 floor = atomic_load(&e->share.m->floor);
    u32 count = share_pins(&e->share, pins);
    return space_reclaim(&e->space, floor, pins, count, limit);
}
