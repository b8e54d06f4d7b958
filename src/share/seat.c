/* share/seat.c -- attaching to a directory's shared memory and leaving it.
 *
 * A seat is a number, a line in shared memory, and a lock on one byte of the
 * file `lock`.  The lock is the truth (S1); the line is a hint that lets others
 * find the byte to test.
 * Not here: who may write (turn.c), what readers pin (slot.c).
 */
#include <stdio.h>

#include "share/share.h"

/* Addresses are reserved once; the file grows below them without remapping. */
static const u64 map_bytes_wanted[] = {
    (u64)64 << 30, (u64)8 << 30, (u64)1 << 30, (u64)128 << 20,
};

#define ARENA_AT round_up(sizeof(struct share_memory), 4096)

static int map_so_many(struct share *s, u64 bytes)
{
    u8 *base = NULL;
    int rc = s->os->map_shared(s->shm_file, bytes, &base);
    if (rc) return rc;
    s->map_bytes = bytes;
    s->m = (struct share_memory *)(void *)base;
    return 0;
}

static int map_shm(struct share *s)
{
    int rc = LUGE_NOMEM;
    for (size_t i = 0; rc && i < ARRAY_COUNT(map_bytes_wanted); i++)
        rc = map_so_many(s, map_bytes_wanted[i]);
    return rc;
}

int share_alone(struct share *s, bool *alone)
{
    bool held = false;
    int rc = s->os->lock_test(s->lock_file, SHARE_LOCK_SEATS,
                              SHARE_SEATS_MAX, &held);
    *alone = !held;
    return rc;
}

/* The words of the old memory that are believed in, because they can only cause
 * more work.  Who led a sync and died in it may have been told that it failed,
 * and nobody else is told again.  What another build says is not understood. */
static bool was_in_doubt(struct share *s, const char *path)
{
    struct os_file *file = NULL;
    size_t head = offsetof(struct share_memory, committed);
    int rc = s->os->open(s->os, path, OS_READ, &file);
    if (rc) return false;
    struct share_memory *old = base_alloc(head);    /* 300 KiB are no local */
    rc = old ? s->os->read(file, old, head, 0) : LUGE_NOMEM;
    s->os->close(file);
    bool doubt = rc || (!memcmp(old->magic, "lugeshm", 8) &&
                        (old->layout != SHARE_LAYOUT || old->failed ||
                         old->in_doubt || old->leader));
    base_free(old);
    return doubt;
}

/* The tail of this database in the memory of former processes, if there is one,
 * into TAIL, which is zeros.  It is judged by whoever puts it to use
 * (txn/tail.c). */
static void read_tail(struct share *s, const char *path,
                      const u8 instance[16], struct share_tail *tail)
{
    u8 head[offsetof(struct share_memory, tail_at) + 8];
    struct os_file *file = NULL;
    if (s->os->open(s->os, path, OS_READ, &file)) return;
    int rc = s->os->read(file, head, sizeof head, 0);
    u64 at = load64(head + offsetof(struct share_memory, tail_at));
    if (!rc && !memcmp(head, "lugeshm", 8) &&
        !memcmp(head + offsetof(struct share_memory, instance), instance, 16)) {
        rc = s->os->read(file, tail, sizeof *tail, at);
        if (rc || memcmp(tail->magic, "lugetail", 8))
            memset(tail, 0, sizeof *tail);
    }
    s->os->close(file);
}

static void keep_old(struct share *s, const char *path,
                     const u8 instance[16])
{
    struct share_memory *m = s->m;
    m->in_doubt = was_in_doubt(s, path);
    read_tail(s, path, instance, &m->tail);
    memcpy(m->tail.magic, "lugetail", 8);
}

/* Under another name first: until it is ready the old one keeps all it has.
 * A new file is zeros: who stored them would pay for each page. */
static int make_shm(struct share *s, const char *path, u64 bytes)
{
    int rc = s->os->unlink(s->os, path);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    rc = s->os->open(s->os, path, OS_WRITE | OS_CREATE | OS_EXCLUSIVE,
                     &s->shm_file);
    /* Blocks first: a store into a hole of a full disk would be a SIGBUS. */
    if (!rc) rc = s->os->allocate(s->shm_file, 0, bytes);
    return rc ? rc : map_shm(s);
}

/* All but what read_tail and was_in_doubt look for. */
static void clear_old(struct share_memory *m, u64 bytes)
{
    u8 *base = (u8 *)m;
    size_t from = offsetof(struct share_memory, turn);
    size_t doubt = offsetof(struct share_memory, in_doubt);
    size_t tail = offsetof(struct share_memory, tail);
    if (atomic_load(&m->failed) || atomic_load(&m->leader))
        atomic_store(&m->in_doubt, 1);
    memset(base + from, 0, doubt - from);
    from = doubt + sizeof m->in_doubt;
    memset(base + from, 0, tail - from);
    memset(base + sizeof *m, 0, bytes - sizeof *m);
}

static bool is_of_our_making(const struct share_memory *m,
                             const u8 instance[16])
{
    return !memcmp(m->magic, "lugeshm", 8) && m->layout == SHARE_LAYOUT &&
           m->bytes == sizeof *m && !memcmp(m->instance, instance, 16) &&
           m->arena_at == ARENA_AT &&
           m->tail_at == offsetof(struct share_memory, tail);
}

/* The disk is full: the memory of former processes becomes ours where it is.
 * It keeps its blocks (a copy of it may have holes), and who dies here leaves
 * what the next one looks for. */
static int reuse_shm(struct share *s, const char *path, const u8 instance[16],
                     u64 bytes)
{
    u64 size = 0;
    int rc = s->os->open(s->os, path, OS_WRITE, &s->shm_file);
    if (!rc) rc = s->os->size(s->shm_file, &size);
    if (!rc && size < bytes) rc = LUGE_NOTFOUND;
    if (!rc) rc = s->os->allocate(s->shm_file, 0, bytes);
    if (!rc) rc = map_shm(s);
    if (!rc && !is_of_our_making(s->m, instance)) rc = LUGE_NOTFOUND;
    if (!rc && size > bytes) rc = s->os->resize(s->shm_file, bytes);
    if (!rc) {
        clear_old(s->m, bytes);
        s->m->arena_bytes = bytes - ARENA_AT;
        s->m->arena = ARENA_AT;
        s->m->map_bytes = s->map_bytes;
        return 0;
    }
    share_unmap(s);
    return fail(LUGE_NOSPACE, "the disk is full: there is no room for the %llu "
                "bytes of %s", (unsigned long long)bytes, path);
}

/* S->m is new. */
static int begin_shm(struct share *s, const char *fresh, const char *path,
                     const u8 instance[16], u64 bytes)
{
    struct share_memory *m = s->m;
    keep_old(s, path, instance);
    m->layout = SHARE_LAYOUT;
    m->bytes = sizeof *m;
    memcpy(m->instance, instance, 16);
    m->arena_at = ARENA_AT;
    m->arena_bytes = bytes - ARENA_AT;
    m->arena = ARENA_AT;
    m->map_bytes = s->map_bytes;
    m->tail_at = offsetof(struct share_memory, tail);
    memcpy(m->magic, "lugeshm", 8);
    return s->os->rename(s->os, fresh, path);
}

int share_create(struct share *s, const char *path, const u8 instance[16],
                 u64 arena_bytes)
{
    char fresh[4200];
    u64 bytes = ARENA_AT + arena_bytes;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int rc = make_shm(s, fresh, bytes);
    if (!rc) rc = begin_shm(s, fresh, path, instance, bytes);
    if (rc == LUGE_NOSPACE) {
        share_unmap(s);
        (void)s->os->unlink(s->os, fresh);
        rc = reuse_shm(s, path, instance, bytes);
        s->found_full = true;
    }
    if (!rc) (void)os_boot_id(s->m->boot);
    return rc;
}

static int may_join(const struct share_memory *m, const u8 instance[16])
{
    if (memcmp(m->magic, "lugeshm", 8) || m->layout != SHARE_LAYOUT ||
        m->bytes != sizeof *m)
        return fail(LUGE_VERSION, "a different build of luge (layout %u, %u "
                    "bytes) is using this directory", m->layout, m->bytes);
    if (memcmp(m->instance, instance, 16))
        return CORRUPT("shm belongs to another database");
    return 0;
}

int share_join(struct share *s, const char *path, const u8 instance[16])
{
    u64 size = 0, whole = 0;
    int rc = s->os->open(s->os, path, OS_WRITE, &s->shm_file);
    if (rc) return rc;
    rc = s->os->size(s->shm_file, &size);
    if (!rc && size < sizeof(struct share_memory))
        rc = CORRUPT("shm is %llu bytes, too short for live processes",
                     (unsigned long long)size);
    if (!rc) rc = map_so_many(s, sizeof *s->m);
    if (!rc) rc = may_join(s->m, instance);
    if (rc) return rc;
    whole = s->m->map_bytes;
    s->os->unmap(s->os, s->m, s->map_bytes);
    s->m = NULL;
    rc = map_so_many(s, whole);
    return rc == LUGE_NOMEM
               ? fail(LUGE_LIMIT, "the processes that use this directory map "
                      "%llu bytes of shm; this one has no room for them in "
                      "its address space", (unsigned long long)whole)
               : rc;
}

static void unseat(struct share *s, u32 i)
{
    if (atomic_exchange(&s->m->seats[i].taken, 0))
        atomic_fetch_sub(&s->m->attached, 1);
    s->os->unlock(s->lock_file, SHARE_LOCK_SEATS + i);
}

static void reap_slots(struct share *s, u32 seat)
{
    u32 high = s->m->slots_high;
    for (u32 i = 0; i < high && i < SHARE_SLOTS_MAX; i++) {
        struct share_slot *slot = &s->m->slots[i];
        if (slot->owner != seat + 1) continue;
        slot->pin = 0;
        slot->owner = 0;
    }
    share_watch_reap(s, seat);
}

/* The one who sat here may have died in the middle of anything.  From now on
 * the seat counts as alive: what he held must be let go first. */
static void bury_predecessor(struct share *s, u32 seat)
{
    struct share_memory *m = s->m;
    u32 word = atomic_load(&m->turn), leader = seat + 1;
    reap_slots(s, seat);
    if (atomic_compare_exchange_strong(&m->leader, &leader, 0))
        atomic_store(&m->in_doubt, 1);          /* as was_in_doubt says */
    while (share_turn_owner(word) == seat + 1) {
        if (!atomic_compare_exchange_strong(&m->turn, &word,
                                            share_turn_freed(word)))
            continue;
        atomic_store(&m->turn_long, 0);
        atomic_fetch_add(&m->takeovers, 1);
        os_futex_wake(&m->turn, 1);
        break;
    }
}

int share_sit(struct share *s)
{
    for (u32 i = 0; i < SHARE_SEATS_MAX; i++) {
        struct share_seat *seat = &s->m->seats[i];
        int rc = s->os->lock(s->lock_file, SHARE_LOCK_SEATS + i, true, 0);
        if (rc == LUGE_BUSY) continue;
        if (rc) return rc;
        char state;
        seat->pid = os_process_id();
        if (os_process_state(seat->pid, &seat->start_time, &state))
            seat->start_time = 0;
        seat->trim = s->m->turn_generation;   /* nothing of ours is afloat */
        seat->shadow = 0;
        bury_predecessor(s, i);
        /* A dead predecessor's line may still be counted.  Rather counted twice
         * than never, if we die here: who is not alone must not think so. */
        if (!atomic_load(&seat->taken)) atomic_fetch_add(&s->m->attached, 1);
        atomic_store(&seat->taken, 1);
        s->seat = i;
        rc = share_slot_take(s, &s->turn_slot);
        if (rc) unseat(s, i);
        else s->seated = true;
        return rc;
    }
    return fail(LUGE_LIMIT, "%d processes use this directory already",
                SHARE_SEATS_MAX);
}

void share_stand(struct share *s)
{
    s->seated = false;
    share_slot_give(s, s->turn_slot);
    unseat(s, s->seat);
}

void share_unmap(struct share *s)
{
    if (s->m) s->os->unmap(s->os, s->m, s->map_bytes);
    if (s->shm_file) s->os->close(s->shm_file);
    s->m = NULL;
    s->shm_file = NULL;
}

u64 share_arena_place(const struct share *s, u64 generation)
{
    u64 stride = s->map_bytes / SHARE_ARENAS_MAX / 4096 * 4096;
    u64 nth = generation - atomic_load(&s->m->first_generation);
    return s->m->arena_at + nth % SHARE_ARENAS_MAX * stride;
}

/* While a process has the turn, or believes so, the pin of its turn is set. */
static bool pins_its_turn(const struct share *s, u32 seat)
{
    u32 high = s->m->slots_high;
    for (u32 i = 0; i < high && i < SHARE_SLOTS_MAX; i++) {
        const struct share_slot *slot = &s->m->slots[i];
        if (slot->owner == seat + 1 && !slot->seq && slot->pin) return true;
    }
    return false;
}

bool share_arena_used(struct share *s, u64 generation)
{
    for (u32 i = 0; i < SHARE_SEATS_MAX; i++) {
        const struct share_seat *seat = &s->m->seats[i];
        if (seat->taken && (generation - seat->trim) % SHARE_ARENAS_MAX == 0 &&
            pins_its_turn(s, i) && share_seat_lives(s, i))
            return true;
    }
    return false;
}

bool share_shadowed(const struct share *s)
{
    for (u32 i = 0; i < SHARE_SEATS_MAX; i++) {
        const struct share_seat *seat = &s->m->seats[i];
        if (atomic_load(&seat->taken) && atomic_load(&seat->shadow))
            return true;
    }
    return false;
}

int share_grow(struct share *s, u64 at, u64 bytes)
{
    u64 stride = s->map_bytes / SHARE_ARENAS_MAX / 4096 * 4096;
    u64 within = (at - s->m->arena_at) % stride;
    if (within + bytes > stride - 4096 || at + bytes > s->map_bytes)
        return fail(LUGE_LIMIT, "the free-space lists outgrew %llu bytes",
                    (unsigned long long)stride);
    return s->os->allocate(s->shm_file, at, bytes);
}

bool share_seat_lives(struct share *s, u32 seat)
{
    bool held = true;
    if (seat == s->seat) return true;
    if (s->os->lock_test(s->lock_file, SHARE_LOCK_SEATS + seat, 1, &held))
        return true; /* cannot tell: do no harm */
    return held;
}

bool share_seat_stopped(struct share *s, u32 seat)
{
    const struct share_seat *line = &s->m->seats[seat];
    u64 start = 0;
    char state = 0;
    if (seat == s->seat) return false;
    if (os_process_state(line->pid, &start, &state)) return false;
    return start == line->start_time && (state == 'T' || state == 't');
}

u32 share_reap(struct share *s)
{
    u32 reaped = 0;
    for (u32 i = 0; i < SHARE_SEATS_MAX; i++) {
        struct share_seat *seat = &s->m->seats[i];
        if (!seat->taken || share_seat_lives(s, i)) continue;
        /* Hold the byte, so that nobody sits down here meanwhile. */
        if (s->os->lock(s->lock_file, SHARE_LOCK_SEATS + i, true, 0)) continue;
        if (seat->taken) {
            reap_slots(s, i);
            atomic_store(&seat->taken, 0);
            atomic_fetch_sub(&s->m->attached, 1);
            reaped++;
        }
        s->os->unlock(s->lock_file, SHARE_LOCK_SEATS + i);
    }
    return reaped;
}
