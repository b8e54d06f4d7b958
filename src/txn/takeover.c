/* txn/takeover.c -- what another holder of the turn left behind.
 *
 * The working space runs ahead of the flipped one by what its owner took since:
 * pages he wrote for versions that only he knows.
 *   owner dead     nobody looks at them: begin again from the flipped space.
 *   owner alive    his readers may: the runs go to KEPT and are dead with the
 *                  next published version, under the pins his readers have.
 *   owner robbed   he may yet finish a write or a store that was under way when
 *                  he was stopped.  The runs stay in KEPT until he admits the
 *                  theft or dies; shared memory that he may store into is left
 *                  to him with the old arena, the log goes on in a new segment
 *                  whose number only this thief can have (log.h L5), the
 *                  segments he may have open are never recycled, and the old
 *                  arena's `current` is set so that his flip fails.
 *   A thief may be robbed in turn, and both may finish: whose arena the shared
 *   memory names has won, and the mark STOLEN stays until the winner settles.
 * Not here: how a theft comes about (share/turn.c).
 */
#include "txn/env.h"

enum { CHUNK_RUNS_ABOUT = 120, CHUNKS_EXTRA = 16 };

void takeover_admit(struct env *e)
{
    struct share_seat *seat = &e->share.m->seats[e->share.seat];
    if (atomic_load(&seat->trim) != e->arena->generation)
        atomic_store(&seat->trim, e->arena->generation);
}

/* Queues whose popped runs the owner may be using: all but KEPT. */
static bool lends(u32 name)
{
    return name != SPACE_KEPT;
}

struct kept {
    struct space *space;
    u32 owner;
    u64 base, generation;
};

static int keep(const struct kept *k, u64 first, u64 pages, u64 birth)
{
    struct space_run run = {
        .first = first, .birth = birth, .death = k->generation,
        .owner = k->owner,
    };
    while (pages) {
        run.pages = (u32)min_u64(pages, UINT32_MAX);
        int rc = space_push(k->space, SPACE_KEPT, &run);
        if (rc) return rc;
        run.first += run.pages;
        pages -= run.pages;
    }
    return 0;
}

/* Move from the flipped queues (now in k->space->state) to KEPT what AFTER has
 * taken from BEFORE; `popped` was counted while the chunks were at hand. */
static int keep_taken(const struct kept *k, const u64 *popped,
                      const struct space_state *before,
                      const struct space_state *after)
{
    struct space_state *st = k->space->state;
    struct space_run run;
    int rc = 0;
    for (u32 q = 0; q < SPACE_QUEUES && !rc; q++)
        for (u64 i = 0; lends(q) && i < popped[q] && !rc; i++)
            if (space_pop(k->space, q, &run))
                rc = keep(k, run.first, run.pages,
                          run.birth ? min_u64(run.birth, k->base) : 0);
    if (!rc && (before->current_first != after->current_first ||
                before->current_pages != after->current_pages)) {
        st->current_pages = 0;
        rc = keep(k, before->current_first, before->current_pages, 0);
    }
    if (!rc && after->page_count > before->page_count) {
        st->page_count = after->page_count;
        rc = keep(k, before->page_count,
                  after->page_count - before->page_count, 0);
    }
    return rc;
}

static void own_space(struct env *e)
{
    struct txn_arena *a = e->arena;
    a->work_owner = e->share.seat + 1;
    e->serial = ++a->work_serial;
}

static void count_popped(struct env *e, const struct space_state *before,
                         const struct space_state *after, u64 *popped)
{
    for (u32 q = 0; q < SPACE_QUEUES; q++)
        popped[q] = lends(q) ? space_popped(&e->space, before, after, q) : 0;
}

/* Flip to NEXT, whose space has in KEPT what the owner of the working one took.
 * As long as it is not flipped, whoever comes after us must find the working
 * space as its owner left it, for what he has popped.  But what is pushed here
 * lies in chunks that he may have taken, too: from now on he must not go on
 * from it, though we die or fail. */
static int flip_kept(struct env *e, struct txn_head *next, u32 owner)
{
    struct space_state before = next->space, after = e->arena->work;
    u64 popped[SPACE_QUEUES];
    struct kept k = {&e->space, owner, next->publication, 0};
    count_popped(e, &before, &after, popped);
    e->arena->work_serial++;
    atomic_thread_fence(memory_order_release);
    e->space.state = &next->space;
    int rc = keep_taken(&k, popped, &before, &after);
    e->space.state = &e->arena->work;
    return rc ? rc : head_flip(e, next, false);
}

int takeover_space(struct env *e)
{
    struct txn_arena *a = e->arena;
    struct txn_head next = *env_head(e);
    u32 owner = a->work_owner;
    int rc = 0;
    if (env_space_moved(e) && owner && share_seat_lives(&e->share, owner - 1))
        rc = flip_kept(e, &next, owner);
    if (rc) return rc;
    /* Whoever dies here leaves it to nobody: not to its owner before. */
    a->work_owner = 0;
    atomic_thread_fence(memory_order_release);
    a->work = next.space;
    own_space(e);
    if (e->space.limbo_count) space_flipped(&e->space);
    return 0;
}

/* ------------------------------------------------------------- thefts -- */

static int refuse_growth(void *context, u32 chunks)
{
    (void)context;
    return fail(LUGE_LIMIT, "a new arena was made too small for %u chunks",
                chunks);
}

static u64 chunks_for(const struct space_state *st)
{
    u64 chunks = CHUNKS_EXTRA;
    for (u32 q = 0; q < SPACE_QUEUES; q++)
        chunks += st->queue[q].runs / CHUNK_RUNS_ABOUT + 2;
    return 2 * chunks; /* and as many again for what becomes KEPT */
}

struct copy {
    struct space *to;
    u32 name;
};

static int copy_run(void *context, const struct space_run *run)
{
    struct copy *c = context;
    return space_push(c->to, c->name, run);
}

static int copy_queues(struct env *e, const struct space_state *from,
                       struct space *to)
{
    struct space_state *st = to->state;
    space_clear(st, from->page_count);
    st->current_first = from->current_first;
    st->current_pages = from->current_pages;
    memcpy(st->blocker, from->blocker, sizeof st->blocker);
    st->mixed_age = from->mixed_age;
    for (u32 q = 0; q < SPACE_QUEUES; q++) {
        struct copy c = {to, q};
        int rc = space_each(&e->space, from, q, copy_run, &c);
        if (rc) return rc;
    }
    return 0;
}

/* The robbed owner's flip will not succeed any more; one that did, counts. */
static void poison(struct txn_arena *a, u64 word)
{
    u64 now = atomic_load(&a->current);
    while ((now & ~HEAD_FLIP_MASK) != word &&
           !atomic_compare_exchange_weak(&a->current, &now,
                                         word | (now & HEAD_FLIP_MASK))) {
    }
}

/* The robbed one may be announcing what he flipped at this very moment: the
 * entry he writes is left out.  If he was faster it is whole, and counted; if
 * not, it is told again (head.c). */
static void copy_ring(struct txn_arena *a, struct txn_arena *old)
{
    u64 count = atomic_load(&old->ring_count);
    memcpy(a->ring, old->ring, sizeof a->ring);
    atomic_store(&a->ring[count % VERSION_RING].seq, 0);
    atomic_store(&a->ring_count, count);
}

static int fill_arena(struct env *e, struct txn_arena *a, u64 bytes,
                      u64 generation)
{
    struct txn_arena *old = e->arena;
    struct txn_head *head = &a->heads[0];
    u64 popped[SPACE_QUEUES], first = round_up(sizeof *a, 4096);
    struct space to = {
        .state = &a->work, .chunks = (u8 *)a + first - 4096,
        .chunk_limit = (u32)((bytes - first) / 4096), .grow = refuse_growth,
    };
    memset(a, 0, first);
    *head = *env_head(e);
    struct space_state before = head->space, after = old->work;
    struct kept k = {&to, old->work_owner, head->publication, generation};
    count_popped(e, &before, &after, popped);
    int rc = copy_queues(e, &before, &to);
    if (!rc && old->work_owner) rc = keep_taken(&k, popped, &before, &after);
    base_free(to.limbo);
    if (rc) return rc;
    u64 segment = log_generation_start(generation);
    if (segment <= head->log.segment)
        return CORRUPT("generation %llu does not follow log segment %llu",
                       (unsigned long long)generation,
                       (unsigned long long)head->log.segment);
    rc = tail_write(e, head);
    if (rc) return rc;
    head->space = a->work;
    copy_ring(a, old);
    a->generation = generation;
    a->bytes = bytes;
    atomic_store(&a->current, env_generation_word(e, generation));
    head->log_tainted = segment - 1;
    rc = log_begin_segment(&e->log, &head->log, segment, head->seq + 1,
                           LOG_SEGMENT_MIN, LOG_AFTER_THEFT);
    head->written = head->log;
    head->written_seq = head->seq;
    return rc;
}

static int new_generation(struct env *e, u64 *generation)
{
    u64 first = atomic_load(&e->share.m->first_generation);
    do *generation = share_new_generation(&e->share);
    while (share_arena_used(&e->share, *generation) &&
           *generation - first < HEAD_GENERATIONS_MAX);
    if (*generation - first < HEAD_GENERATIONS_MAX &&
        *generation < LOG_GENERATIONS_MAX)
        return 0;
    return fail(LUGE_LIMIT, "the turn was stolen %llu times since this "
                "directory was opened; all processes must close it",
                (unsigned long long)(*generation - first));
}

/* *moved: shared memory names our new arena. */
static int move_arena(struct env *e, bool *moved)
{
    struct txn_arena *old = e->arena;
    u64 generation, here = e->arena_at;
    int rc = new_generation(e, &generation);
    if (rc) return rc;
    u64 at = share_arena_place(&e->share, generation);
    poison(old, env_generation_word(e, generation));
    u64 bytes = round_up(sizeof *old, 4096) +
                4096 * chunks_for(&env_head(e)->space);
    rc = share_grow(&e->share, at, bytes);
    if (!rc)
        rc = fill_arena(e, (struct txn_arena *)(void *)((u8 *)e->share.m + at),
                        bytes, generation);
    if (!rc)
        *moved = atomic_compare_exchange_strong(&e->share.m->arena, &here, at);
    return rc;
}

/* A thief who was robbed himself may finish before us: then we do it once more,
 * on his arena. */
int takeover_theft(struct env *e)
{
    bool moved = false;
    while (!moved) {
        int rc = head_may_write(e);
        if (!rc) rc = move_arena(e, &moved);
        if (rc) return rc;
        head_attach(e);
        takeover_admit(e);
        e->space.limbo_count = 0;
    }
    if (!share_turn_settle(&e->share))
        return fail(LUGE_CONFLICT, "this process was stopped, and another "
                    "took the turn");
    return 0;
}

/* --------------------------------------------------------------- kept -- */

static bool may_release(struct env *e, const struct space_run *run)
{
    const struct share_seat *seat = &e->share.m->seats[run->owner - 1];
    if (!run->death) return true; /* not robbed: his readers have pins */
    if (!atomic_load(&seat->taken)) return true;
    if (atomic_load(&seat->trim) >= run->death) return true;
    return !share_seat_lives(&e->share, run->owner - 1);
}

int takeover_release_kept(struct env *e, u64 publication)
{
    u64 runs = e->arena->work.queue[SPACE_KEPT].runs;
    struct space_run run;
    int rc = 0;
    while (runs-- && !rc && space_pop(&e->space, SPACE_KEPT, &run)) {
        bool release = may_release(e, &run);
        if (release) run.death = publication;
        rc = space_push(&e->space, release ? SPACE_PENDING : SPACE_KEPT, &run);
    }
    return rc;
}
