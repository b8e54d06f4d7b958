/* share/figures.c -- figures that processes keep together, for people.
 *
 * Nothing depends on them; all are single words that anybody may add to.
 * Not here: who asks for them (store/inspect.c, store/monitor.c).
 */
#include "share/share.h"

enum { RATE_NS = 1000000000 };

/* Bucket i counts what is below 2^i and not below 2^(i - 1). */
static void count_in(_Atomic u64 *buckets, u64 value)
{
    u32 i = value ? 64 - (u32)__builtin_clzll(value) : 0;
    if (i >= LUGE_HISTOGRAM) i = LUGE_HISTOGRAM - 1;
    atomic_fetch_add_explicit(&buckets[i], 1, memory_order_relaxed);
}

void share_figure_sync(struct share *s, u64 took_ns, u64 commits)
{
    count_in(s->m->sync_us, took_ns / 1000);
    count_in(s->m->group, commits);
}

void share_figure_rate(struct share *s)
{
    struct share_memory *m = s->m;
    u64 now = os_monotonic_ns(), before = atomic_load(&m->rate_at_ns);
    if (before && now - before < RATE_NS) return;
    if (!atomic_compare_exchange_strong(&m->rate_at_ns, &before, now)) return;
    u64 commits = atomic_load(&m->commits);
    u64 made = commits - atomic_exchange(&m->rate_commits, commits);
    if (before)
        atomic_store(&m->rate, made * 1000000000 / (now - before));
}

void share_figure_pins(struct share *s)
{
    u32 high = atomic_load(&s->m->slots_high);
    u64 now = os_monotonic_ns();
    for (u32 i = 0; i < high && i < SHARE_SLOTS_MAX; i++) {
        struct share_slot *slot = &s->m->slots[i];
        u64 pin = atomic_load(&slot->pin);
        if (atomic_load(&slot->owner) != s->seat + 1) continue;
        if (atomic_load(&slot->seen_pin) == pin) continue;
        atomic_store(&slot->seen_ns, now);
        atomic_store(&slot->seen_pin, pin);
    }
}
