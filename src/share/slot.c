/* share/slot.c -- the pins of readers.
 *
 * A reader stores the seq it reads into its slot, then makes sure with a full
 * fence that the version was still reachable (txn/version.c).  The one who
 * frees pages raises floor, fences, and only then collects the pins.  Either
 * the reader sees the new floor or the collector sees the pin.
 * Not here: which version a reader chooses.
 */
#include <stdlib.h>

#include "share/share.h"

int share_slot_take(struct share *s, u32 *slot)
{
    for (int pass = 0; pass < 2; pass++) {
        for (u32 i = 0; i < SHARE_SLOTS_MAX; i++) {
            struct share_slot *line = &s->m->slots[i];
            u32 free_owner = 0;
            if (line->owner) continue;
            if (!atomic_compare_exchange_strong(&line->owner, &free_owner,
                                                s->seat + 1))
                continue;
            line->pin = 0;
            line->seq = line->looked = 0;
            u32 high = s->m->slots_high;
            while (high <= i && !atomic_compare_exchange_weak(
                                    &s->m->slots_high, &high, i + 1)) {
            }
            *slot = i;
            return 0;
        }
        if (!share_reap(s)) break;
    }
    return fail(LUGE_LIMIT, "%d transactions are open already",
                SHARE_SLOTS_MAX);
}

void share_slot_give(struct share *s, u32 slot)
{
    struct share_slot *line = &s->m->slots[slot];
    atomic_store(&line->pin, 0);
    atomic_store(&line->owner, 0);
}

static int ascending(const void *a, const void *b)
{
    u64 x = *(const u64 *)a, y = *(const u64 *)b;
    return (x > y) - (x < y);
}

/* A reader may hand his pin from one slot to another (version_pin_beside): one
 * look may see it in neither, two see it in one. */
u32 share_pins(struct share *s, u64 *pins)
{
    u32 n = 0, unique = 0;
    u32 high = (u32)min_u64(s->m->slots_high, SHARE_SLOTS_MAX);
    for (u32 look = 0; look < 2; look++)
        for (u32 i = 0; i < high; i++) {
            u64 pin = atomic_load(&s->m->slots[i].pin);
            if (pin) pins[n++] = pin;
        }
    /* In this order: the next one becomes the checkpoint, and then it is none
     * (checkpoint.c), so one of the words has it. */
    u64 next = atomic_load(&s->m->checkpoint_next);
    pins[n++] = atomic_load(&s->m->checkpoint);
    if (next) pins[n++] = next;
    qsort(pins, n, sizeof *pins, ascending);
    for (u32 i = 0; i < n; i++)
        if (!unique || pins[unique - 1] != pins[i]) pins[unique++] = pins[i];
    return unique;
}

/* `looked` stays when the reader has gone. */
bool share_read_since(const struct share *s, u64 seq, bool others)
{
    u32 high = atomic_load(&s->m->slots_high);
    for (u32 i = 0; i < high && i < SHARE_SLOTS_MAX; i++) {
        const struct share_slot *line = &s->m->slots[i];
        u32 owner = atomic_load(&line->owner);
        if (owner && (!others || owner != s->seat + 1) &&
            atomic_load(&line->looked) > seq)
            return true;
    }
    return false;
}
