/* store/monitor.c -- who holds what back (luge_monitor.h).
 *
 *   M1  A run of pages that is dropped but not free has a birth and a death;
 *       the pins between them hold it.  Pins are sorted, so a run concerns a
 *       row of them: it is added where the row begins, taken off where it ends.
 * Not here: counters (inspect.c), slow operations (txns.c).
 */
#include <stdlib.h>

#include "luge_monitor.h"
#include "store/store.h"

enum { PINS_MAX = SHARE_SLOTS_MAX + 2 };

struct pin {
    u64 publication;
    struct luge_pin shown;
};

struct pins {
    struct env *e;
    struct pin pins[PINS_MAX];
    u64 bytes[PINS_MAX + 1];        /* M1 */
    u32 count;
};

static void add(struct pins *p, u64 publication, const struct luge_pin *shown)
{
    if (p->count < PINS_MAX)
        p->pins[p->count++] = (struct pin){publication, *shown};
}

static u64 age_ms(const struct share_slot *slot, u64 pin, u64 now)
{
    u64 since = atomic_load(&slot->seen_ns);
    if (atomic_load(&slot->seen_pin) != pin || since > now) return 0;
    return (now - since) / 1000000;
}

static void collect_pins(struct pins *p)
{
    const struct share_memory *m = p->e->share.m;
    struct txn_head now;
    u64 clock = os_monotonic_ns();
    head_copy(p->e, &now);
    add(p, atomic_load(&m->checkpoint),
        &(struct luge_pin){.kind = LUGE_PIN_CHECKPOINT,
                           .seq = now.checkpoint});
    u32 high = atomic_load(&m->slots_high);
    for (u32 i = 0; i < high && i < SHARE_SLOTS_MAX; i++) {
        const struct share_slot *slot = &m->slots[i];
        u64 pin = atomic_load(&slot->pin), seq = atomic_load(&slot->seq);
        u32 owner = atomic_load(&slot->owner);
        if (!pin || !seq || !owner || owner > SHARE_SEATS_MAX) continue;
        add(p, pin,
            &(struct luge_pin){.kind = LUGE_PIN_READER, .seq = seq,
                               .process = m->seats[owner - 1].pid,
                               .age_ms = age_ms(slot, pin, clock)});
    }
}

static int ascending(const void *a, const void *b)
{
    u64 x = ((const struct pin *)a)->publication;
    u64 y = ((const struct pin *)b)->publication;
    return (x > y) - (x < y);
}

/* The first pin that is at PUBLICATION or later. */
static u32 first_from(const struct pins *p, u64 publication)
{
    u32 low = 0, high = p->count;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (p->pins[middle].publication < publication) low = middle + 1;
        else high = middle;
    }
    return low;
}

static int add_run(void *context, const struct space_run *run)
{
    struct pins *p = context;
    u64 bytes = (u64)run->pages * p->e->options.page_bytes;
    u32 from = first_from(p, run->birth), to = first_from(p, run->death);
    if (from >= to) return 0;
    p->bytes[from] += bytes;
    p->bytes[to] -= bytes;          /* wraps around and back: a sum of both */
    return 0;
}

static int weigh(struct pins *p)
{
    struct env *e = p->e;
    u64 sum = 0;
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    for (u32 q = SPACE_PENDING; q < SPACE_QUEUES && !rc; q++)
        if (q != SPACE_KEPT)
            rc = space_each(&e->space, &e->arena->work, q, add_run, p);
    head_release_turn(e);
    for (u32 i = 0; i < p->count; i++) {
        sum += p->bytes[i];
        p->pins[i].shown.bytes = sum;
    }
    return rc;
}

static int each_watch(struct env *e,
                      int (*each)(void *context, const struct luge_pin *pin),
                      void *context)
{
    const struct share_memory *m = e->share.m;
    u32 high = atomic_load(&m->watches_high);
    u64 bytes = log_bytes(&e->log), oldest = atomic_load(&m->log_oldest);
    struct txn_head now;
    int rc = 0;
    head_copy(e, &now);
    u64 segments = now.log.segment - oldest + 1;
    for (u32 i = 0; i < high && i < SHARE_WATCHES_MAX && !rc; i++) {
        const struct share_watch *w = &m->watches[i];
        u32 owner = atomic_load(&w->owner);
        u64 segment = atomic_load(&w->segment);
        if (!owner || owner > SHARE_SEATS_MAX || segment < oldest) continue;
        rc = each(context, &(struct luge_pin){
                               .kind = LUGE_PIN_WATCH,
                               .process = m->seats[owner - 1].pid,
                               .seq = atomic_load(&w->seq),
                               .bytes = bytes / segments *
                                        (now.log.segment - segment)});
    }
    return rc;
}

int luge_pins(luge_db *db,
              int (*each)(void *context, const struct luge_pin *pin),
              void *context)
{
    struct env *e = &db->store->env;
    int rc = env_usable(e);
    if (rc) return rc;
    struct pins *p = base_alloc_zero(sizeof *p);
    if (!p) return NOMEM();
    p->e = e;
    (void)share_reap(&e->share);    /* the dead hold nothing */
    collect_pins(p);
    qsort(p->pins, p->count, sizeof *p->pins, ascending);
    rc = weigh(p);
    for (u32 i = 0; i < p->count && !rc; i++)
        rc = each(context, &p->pins[i].shown);
    if (!rc) rc = each_watch(e, each, context);
    base_free(p);
    return rc;
}
