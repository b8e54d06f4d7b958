/* page/fill.c -- a thread that gives frames their memory before they are taken.
 *
 *      used | |<-- BEHIND -->|=== filled, at most FILL_AHEAD ===|  not touched
 *           high
 *
 * A frame that was never used costs whoever takes it the zeroing of its memory
 * by the system: a third to two fifths of a replay's time, most of which a
 * second processor can spend.  Who takes frames faster than they are filled
 * pays himself.  What is filled and not taken is there for the next ones.
 * Not here: who takes many frames at once (txn/redo.c).
 */
#include <signal.h>

#include "page/file.h"

enum {
    FILL_STEP = 2 << 20,        /* bytes: a large page of the system */
    FILL_AHEAD = 8 * FILL_STEP,
    FILL_NAP_US = 200,          /* two thirds of what a step takes */
};

static u64 bytes_used(struct page_file *f, u64 *limit)
{
    pthread_mutex_lock(&f->lock);
    u64 high = f->frame_high;
    *limit = (u64)f->spill_from << f->map.page_shift;
    pthread_mutex_unlock(&f->lock);
    return high << f->map.page_shift;
}

static void *filler(void *context)
{
    struct page_fill *p = context;
    u64 at = 0, limit;
    while (!atomic_load(&p->stop)) {
        u64 used = bytes_used(p->file, &limit);
        /* Not where the taker is: the two would zero the same memory. */
        at = max_u64(at, round_up(used, FILL_STEP) + FILL_STEP);
        if (at + FILL_STEP > limit) break;
        if (at > used + FILL_AHEAD) {
            os_sleep_us(FILL_NAP_US);
            continue;
        }
        if (!os_populate(p->file->map.frames + at, FILL_STEP)) break;
        at += FILL_STEP;
    }
    return NULL;
}

/* Without a thread, as without the help of the system, it only takes longer. */
void page_fill_begin(struct page_fill *p, struct page_file *f)
{
    sigset_t all, before;
    *p = (struct page_fill){.file = f};
    if (f->os != os_native()) return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    p->runs = !pthread_create(&p->thread, NULL, filler, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void page_fill_end(struct page_fill *p)
{
    if (!p->runs) return;
    atomic_store(&p->stop, 1);
    pthread_join(p->thread, NULL);
    p->runs = false;
}
