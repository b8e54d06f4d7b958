/* share/watch.c -- subscribers: what each is after, and the bell of each.
 *
 *   a writer:      committed rises | marks `wanted` of those concerned | rings
 *   a sync leader: durable rises | rings those whose `wanted` is reached
 *   a subscriber:  asleep = 1 | looks whether there is something | sleeps
 *   K1  Both sides store first and look at the other's word afterwards, with
 *       sequentially consistent order: one of them sees the other.
 *   K2  Who goes to sleep clears `wanted`, or sets it to a commit he waits for,
 *       and looks afterwards whether there is a commit he has not looked at.
 *   K3  A writer may die before he rings, so nobody sleeps for long
 *       (feed/watch.c).
 * Nobody is rung for what its filter leaves out: with 64 subscribers of
 * different prefixes a commit wakes one, not all.
 * Not here: what they read (feed/).
 */
#include "share/share.h"

void share_watch_key_of(struct share_watch_key *k, luge_bytes key)
{
    memset(k->words, 0, sizeof k->words);
    if (key.size)
        memcpy(k->words, key.data, min_u64(key.size, SHARE_PREFIX_MAX));
    k->size = key.size;
}

static void set_prefix(struct share_watch *w, luge_bytes prefix)
{
    struct share_watch_key k;
    share_watch_key_of(&k, prefix);
    for (u32 i = 0; i < ARRAY_COUNT(k.words); i++)
        atomic_store(&w->prefix[i], k.words[i]);
    atomic_store(&w->prefix_bytes,
                 (u32)min_u64(prefix.size, SHARE_PREFIX_MAX));
}

static void raise_high(struct share *s, u32 above)
{
    u32 high = atomic_load(&s->m->watches_high);
    while (high <= above && !atomic_compare_exchange_weak(
                                &s->m->watches_high, &high, above + 1)) {
    }
}

/* With no subscriber left nobody must look at any slot.  Who took the last one
 * meanwhile is seen here, or sees that high was lowered. */
static void lower_high(struct share *s)
{
    u32 high = atomic_load(&s->m->watches_high);
    while (high && !atomic_load(&s->m->watches[high - 1].owner)) {
        if (!atomic_compare_exchange_strong(&s->m->watches_high, &high,
                                            high - 1))
            continue;
        high--;
        if (atomic_load(&s->m->watches[high].owner)) raise_high(s, high);
    }
}

int share_watch_take(struct share *s, enum share_watch_when when, u64 tree,
                     luge_bytes prefix, u32 *number)
{
    for (u32 i = 0; i < SHARE_WATCHES_MAX; i++) {
        struct share_watch *w = &s->m->watches[i];
        u32 nobody = 0;
        if (!atomic_compare_exchange_strong(&w->owner, &nobody, s->seat + 1))
            continue;
        atomic_store(&w->when, when);
        atomic_store(&w->tree, tree);
        set_prefix(w, prefix);
        atomic_store(&w->asleep, 0);
        atomic_store(&w->wanted, 0);
        atomic_store(&w->seq, 0);
        atomic_store(&w->segment, 0);
        atomic_store(&w->file, 0);
        atomic_store(&w->ready, 1);
        raise_high(s, i);
        atomic_fetch_add(&s->m->watches_taken, 1);
        *number = i;
        return 0;
    }
    return fail(LUGE_LIMIT, "%d watches are open already", SHARE_WATCHES_MAX);
}

static void give(struct share_watch *w)
{
    atomic_store(&w->ready, 0);
    atomic_store(&w->asleep, 0);
    atomic_store(&w->segment, 0);
    atomic_store(&w->owner, 0);
}

void share_watch_give(struct share *s, u32 number)
{
    give(&s->m->watches[number]);
    lower_high(s);
}

void share_watch_reap(struct share *s, u32 seat)
{
    u32 high = atomic_load(&s->m->watches_high);
    for (u32 i = 0; i < SHARE_WATCHES_MAX; i++)
        if (atomic_load(&s->m->watches[i].owner) == seat + 1)
            give(&s->m->watches[i]);
    if (high) lower_high(s);
}

bool share_watch_concerns(const struct share_watch *w, u64 tree,
                          const struct share_watch_key *key)
{
    u64 its = atomic_load_explicit(&w->tree, memory_order_relaxed);
    u32 n = atomic_load_explicit(&w->prefix_bytes, memory_order_relaxed);
    if (its && its != tree) return false;
    if (!key || !n) return true;
    if (key->size < n || n > SHARE_PREFIX_MAX) return false;
    for (u32 i = 0; 8 * i < n; i++) {
        u64 word = atomic_load_explicit(&w->prefix[i], memory_order_relaxed);
        if ((key->words[i] ^ word) & share_bytes_mask(n - 8 * i)) return false;
    }
    return true;
}

u64 share_watch_limit(const struct share *s, enum share_watch_when when)
{
    const struct share_memory *m = s->m;
    if (when == SHARE_WHEN_COMMITTED) return atomic_load(&m->committed);
    if (when == SHARE_WHEN_SHOWN) return atomic_load(&m->shown);
    return atomic_load(&m->durable);
}

void share_watch_want(struct share_watch *w, u64 seq)
{
    u64 nothing = 0;
    atomic_compare_exchange_strong(&w->wanted, &nothing, seq);
}

static bool raise_bell(struct share_watch *w)
{
    if (!atomic_exchange(&w->asleep, 0)) return false;
    atomic_fetch_add(&w->bell, 1);
    if (atomic_load(&w->file)) return true;
    os_futex_wake(&w->bell, 1);
    return false;
}

bool share_watch_ring(struct share *s, struct share_watch *w)
{
    u64 wanted = atomic_load(&w->wanted);
    if (!atomic_load(&w->asleep)) return false;
    if (s->m->failed) return raise_bell(w);
    return wanted && wanted <= share_watch_limit(s, w->when) && raise_bell(w);
}

bool share_watch_ring_all(struct share *s)
{
    u32 high = atomic_load(&s->m->watches_high);
    bool file = false;
    for (u32 i = 0; i < high && i < SHARE_WATCHES_MAX; i++) {
        struct share_watch *w = &s->m->watches[i];
        if (atomic_load(&w->ready) && share_watch_ring(s, w)) file = true;
    }
    return file;
}

/* Who cleared `asleep` may have died before he wrote to `notify`: a watch with
 * a descriptor that has not looked since is rung again. */
bool share_watch_look(struct share *s)
{
    u32 high = atomic_load(&s->m->watches_high);
    bool file = false;
    for (u32 i = 0; i < high && i < SHARE_WATCHES_MAX; i++) {
        struct share_watch *w = &s->m->watches[i];
        if (atomic_load(&w->owner) != s->seat + 1) continue;
        if (atomic_load(&w->seq) >= share_watch_limit(s, w->when) &&
            !s->m->failed)
            continue;
        (void)raise_bell(w);
        if (atomic_load(&w->file)) file = true;
    }
    return file;
}
