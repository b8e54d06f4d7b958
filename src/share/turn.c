/* share/turn.c -- the turn (the right to land) and the role of sync leader.
 *
 *      FREE --take--> HELD --release--> FREE
 *                      |--owner died-----> HELD by the next
 *                      `--owner stopped--> STOLEN --settle--> HELD by a thief
 *
 * The word holds seat + 1 and a bit that says somebody sleeps on it.  It is not
 * a robust mutex: those cannot be taken from a stopped process, belong to a
 * thread and carry the C library's layout into shared memory.  Waiters wake
 * themselves every few milliseconds and ask the kernel whether the owner's
 * seat is still locked (S1).
 * A stolen turn leaves its former owner in the belief that it holds it: it may
 * finish one store or one write that was under way.  What it can reach is kept
 * apart by the thief (txn/takeover.c); the mark STOLEN passes from holder to
 * holder until one of them has done so.
 * Not here: what is done while holding the turn.
 */
#include "share/share.h"

enum {
    TURN_SPINS = 1000,         /* some 20 us: a commit takes 1 to 20 */
    TURN_NAP_MS = 10,          /* between looks at the owner */
    TURN_STOPPED_MS = 100,     /* a stopped owner is left alone this long */
    LEADER_NAP_MS = 20,
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static bool try_take(struct share *s)
{
    u32 word = atomic_load(&s->m->turn);
    return !share_turn_owner(word) &&
           atomic_compare_exchange_strong(&s->m->turn, &word,
                                          share_turn_taken(word, s->seat));
}

/* The owner did not move for a while: dead, stopped, or only slow?
 * Returns 1 if the turn became ours. */
static int inherit(struct share *s, u32 word, enum share_turn_how *how)
{
    u32 owner = share_turn_owner(word) - 1;
    u32 mine = share_turn_taken(word, s->seat) | SHARE_WAITERS;
    if (owner >= SHARE_SEATS_MAX) owner = SHARE_SEATS_MAX - 1;
    if (!share_seat_lives(s, owner)) {
        if (!atomic_compare_exchange_strong(&s->m->turn, &word, mine)) return 0;
        atomic_fetch_add(&s->m->takeovers, 1);
        *how = SHARE_TURN_DEAD;
        return 1;
    }
    u64 held_ns = os_monotonic_ns() - atomic_load(&s->m->turn_since_ns);
    if (held_ns < (u64)TURN_STOPPED_MS * 1000000 ||
        !share_seat_stopped(s, owner))
        return 0;
    if (!atomic_compare_exchange_strong(&s->m->turn, &word,
                                        mine | SHARE_STOLEN))
        return 0;
    atomic_fetch_add(&s->m->thefts, 1);
    *how = SHARE_TURN_STOLEN;
    return 1;
}

static bool spin_for_word(_Atomic u32 *word, u32 mine)
{
    for (int i = 0; i < TURN_SPINS; i++) {
        u32 now = atomic_load_explicit(word, memory_order_relaxed);
        if (!now && atomic_compare_exchange_strong(word, &now, mine))
            return true;
        relax();
    }
    return false;
}

/* Who was woken spins again: meanwhile the one who woke him has begun his next
 * commit, and were he to sleep at once, each commit would cost the other a wake
 * (two threads that put: 0.18 M/s, and 0.7 with it). */
int share_word_lock(_Atomic u32 *word, u32 wait_ms)
{
    u64 start = 0;
    for (u32 mine = 1; !spin_for_word(word, mine); mine = 2) {
        u64 now = os_monotonic_ns();
        if (!start) start = now;
        if (now - start >= (u64)wait_ms * 1000000)
            return fail(LUGE_BUSY, "another thread of this process held the "
                        "turn for %u ms", wait_ms);
        if (!atomic_exchange(word, 2)) return 0;
        os_futex_wait(word, 2, TURN_NAP_MS);
    }
    return 0;
}

void share_word_unlock(_Atomic u32 *word)
{
    if (atomic_exchange(word, 0) == 2) os_futex_wake(word, 1);
}

static bool spin(struct share *s)
{
    for (int i = 0; i < TURN_SPINS; i++) {
        if (try_take(s)) return true;
        relax();
    }
    return false;
}

/* Until WORD is another one: a short while only. */
static void spin_while(struct share *s, u32 word)
{
    for (int i = 0; i < TURN_SPINS; i++) {
        if (atomic_load_explicit(&s->m->turn, memory_order_relaxed) != word)
            return;
        relax();
    }
}

/* Sleep while WORD stands, or a little longer.  1: the turn became ours. */
static int sleep_for_turn(struct share *s, u32 word, enum share_turn_how *how)
{
    if (!(word & SHARE_WAITERS) &&
        !atomic_compare_exchange_strong(&s->m->turn, &word,
                                        word | SHARE_WAITERS))
        return 0;
    word |= SHARE_WAITERS;
    os_futex_wait(&s->m->turn, word, TURN_NAP_MS);
    return atomic_load(&s->m->turn) == word && inherit(s, word, how);
}

static int wait_for_turn(struct share *s, u32 wait_ms, u64 end,
                         enum share_turn_how *how)
{
    do {
        u32 word = atomic_load(&s->m->turn);
        u32 mine = share_turn_taken(word, s->seat) | SHARE_WAITERS;
        if (!share_turn_owner(word)) {
            if (atomic_compare_exchange_strong(&s->m->turn, &word, mine))
                return 0;
            continue;
        }
        spin_while(s, word);
        if (atomic_load(&s->m->turn) == word && sleep_for_turn(s, word, how))
            return 0;
    } while (os_monotonic_ns() <= end);
    return fail(LUGE_BUSY, "another writer held the turn for %u ms", wait_ms);
}

int share_turn_take(struct share *s, u32 wait_ms, enum share_turn_how *how)
{
    u64 end = wait_ms ? os_monotonic_ns() + (u64)wait_ms * 1000000 : 0;
    *how = SHARE_TURN_TAKEN;
    int rc = share_word_lock(&s->inside, wait_ms); /* S3 */
    if (rc) return rc;
    if (!spin(s)) {
        rc = wait_ms ? wait_for_turn(s, wait_ms, end, how)
                     : fail(LUGE_BUSY, "another writer holds the turn");
        if (rc) {
            share_word_unlock(&s->inside);
            return rc;
        }
    }
    atomic_store(&s->m->turn_since_ns, os_monotonic_ns());
    return 0;
}

void share_turn_release(struct share *s)
{
    u32 word = atomic_load(&s->m->turn);
    while (share_turn_owner(word) == s->seat + 1) {
        if (!atomic_compare_exchange_strong(&s->m->turn, &word,
                                            share_turn_freed(word)))
            continue;
        if (word & SHARE_WAITERS) os_futex_wake(&s->m->turn, 1);
        break;
    }
    share_word_unlock(&s->inside); /* all there is to do after a theft */
}

bool share_turn_mine(const struct share *s)
{
    return share_turn_owner(atomic_load(&s->m->turn)) == s->seat + 1;
}

bool share_turn_stolen(const struct share *s)
{
    return (atomic_load(&s->m->turn) & SHARE_STOLEN) != 0;
}

bool share_turn_settle(struct share *s)
{
    u32 word = atomic_load(&s->m->turn);
    while (share_turn_owner(word) == s->seat + 1)
        if (atomic_compare_exchange_strong(&s->m->turn, &word,
                                           word & ~SHARE_STOLEN))
            return true;
    return false;
}

u64 share_new_generation(struct share *s)
{
    return atomic_fetch_add(&s->m->turn_generation, 1) + 1;
}

/* ------------------------------------------------------------- syncing -- */

static bool try_lead(struct share *s)
{
    u32 nobody = 0;
    return atomic_compare_exchange_strong(&s->m->leader, &nobody,
                                          s->seat + 1);
}

/* A leader that died, or sleeps in a stop, is simply followed by another: a
 * sync does no harm when it is done twice, and durable only rises. */
static void depose(struct share *s)
{
    u32 word = atomic_load(&s->m->leader);
    if (!word || word == s->seat + 1) return;
    bool dead = !share_seat_lives(s, word - 1);
    if (!dead && !share_seat_stopped(s, word - 1)) return;
    if (atomic_compare_exchange_strong(&s->m->leader, &word, 0) && dead)
        atomic_store(&s->m->in_doubt, 1);       /* seat.c, was_in_doubt */
}

/* Sixteen threads that all slept on one bell made 5.4 commits a sync, since
 * each sync woke those it did not concern; with two it is 8.0
 * (16 threads, 3 s, both cores busy). */
int share_lead_or_wait(struct share *s, u64 seq)
{
    struct share_memory *m = s->m;
    u64 target = atomic_load(&m->sync_target);
    u32 which = (u32)(target + (target / 2 < seq)) & 1;
    u32 bell = atomic_load(&m->durable_bell[which]);
    if (atomic_load(&m->durable) >= seq || atomic_load(&m->failed)) return 0;
    if (try_lead(s)) return 1;
    if (atomic_load(&m->sync_target) != target) return 0;
    atomic_fetch_add(&m->durable_waiters[which], 1);
    os_futex_wait(&m->durable_bell[which], bell, LEADER_NAP_MS);
    atomic_fetch_sub(&m->durable_waiters[which], 1);
    if (atomic_load(&m->durable_bell[which]) == bell) depose(s);
    return 0;
}

void share_lead(struct share *s, u64 target)
{
    u64 last = atomic_load(&s->m->sync_target);
    atomic_store(&s->m->sync_target, 2 * target + (~last & 1));
}

static void ring(struct share *s, u32 which, u32 count)
{
    atomic_fetch_add(&s->m->durable_bell[which], 1);
    if (atomic_load(&s->m->durable_waiters[which]))
        os_futex_wake(&s->m->durable_bell[which], count);
}

void share_ring_durable(struct share *s)
{
    ring(s, 0, 0x7fffffff);
    ring(s, 1, 0x7fffffff);
}

/* Of those who wait for the next sync, one must lead it. */
void share_leader_done(struct share *s)
{
    u32 mine = s->seat + 1;
    u32 number = (u32)atomic_load(&s->m->sync_target) & 1;
    atomic_compare_exchange_strong(&s->m->leader, &mine, 0);
    if (atomic_load(&s->m->failed)) {
        share_ring_durable(s);
        return;
    }
    ring(s, !number, 1);
    ring(s, number, 0x7fffffff);
}

void share_raise(_Atomic u64 *word, u64 value)
{
    u64 now = atomic_load(word);
    while (now < value && !atomic_compare_exchange_weak(word, &now, value)) {
    }
}

/* Nothing that a power loss may still take back is shown: everything up to
 * durable; and if no commit that asked for durability is open, all of it. */
void share_show(struct share *s)
{
    struct share_memory *m = s->m;
    u64 committed = atomic_load(&m->committed);
    u64 last_full = atomic_load(&m->last_full);
    u64 durable = atomic_load(&m->durable);
    if (last_full <= durable) share_raise(&m->shown, committed);
    share_raise(&m->shown, durable);
}
