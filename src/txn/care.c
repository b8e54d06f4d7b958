/* txn/care.c -- the caretaker: one thread for each open directory that syncs
 * what was committed asynchronously, writes checkpoints, prepares the next log
 * segment, frees the seats of the dead and rings what they left unrung.
 *
 * It may stop, be slow or be missing: then recovery takes longer, asynchronous
 * commits wait for another process's caretaker, and nothing else happens.
 * Not here: how any of it is done.
 */
#include <signal.h>

#include "txn/env.h"

enum { IDLE_MS = 1000 };

void care_wake(struct env *e)
{
    atomic_store(&e->care_idle, 0);
    atomic_fetch_add(&e->care_bell, 1);
    os_futex_wake(&e->care_bell, 1);
}

void care_want_checkpoint(struct env *e)
{
    if (!atomic_exchange(&e->care_wants_checkpoint, 1)) care_wake(e);
}

static bool unsynced(struct env *e)
{
    struct share_memory *m = e->share.m;
    return atomic_load(&m->durable) < atomic_load(&m->committed);
}

/* More than half of the segment is used and the next one is not there. */
static int prepare_segment(struct env *e)
{
    struct txn_head now;
    struct log_segment *segment;
    head_copy(e, &now);
    int rc = log_exists(&e->log, now.log.segment + 1);
    if (rc != LUGE_NOTFOUND) return rc;
    rc = log_segment_get(&e->log, now.log.segment, &segment);
    if (rc) return rc;
    u64 bytes = segment->size;
    log_segment_put(&e->log, segment);
    if (now.log.offset < bytes / 2) return 0;
    rc = checkpoint_recycle(e);
    if (!rc) rc = log_exists(&e->log, now.log.segment + 1);
    if (rc != LUGE_NOTFOUND) return rc;
    /* As long as nobody waits for a sync, it may take its time. */
    u64 full = atomic_load(&e->share.m->last_full);
    bool awaited = full != e->full_before || atomic_load(&e->sync_awaited);
    rc = log_prepare(&e->log, min_u64(max_u64(bytes * 2, LOG_SEGMENT_MIN),
                                      LOG_SEGMENT_MAX), awaited);
    if (!rc) e->full_before = full;
    if (!rc) atomic_store(&e->sync_awaited, false);
    if (!rc) rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    u64 next = env_head(e)->log.segment + 1;
    rc = head_may_write(e);
    if (!rc) rc = log_exists(&e->log, next);
    if (rc == LUGE_NOTFOUND) rc = log_use_spare(&e->log, next);
    head_release_turn(e);
    return rc;
}

/* A file that somebody shortens is missed here before it is touched, with some
 * luck.  Only a checkpoint may shorten it, and not while we look. */
static void look_at_file(struct env *e)
{
    if (pthread_mutex_trylock(&e->checkpoint_lock)) return;
    if (page_file_whole(&e->pages) == LUGE_CORRUPT)
        atomic_store(&e->broken, LUGE_CORRUPT);
    pthread_mutex_unlock(&e->checkpoint_lock);
}

static bool checkpoint_due(struct env *e)
{
    struct txn_head now;
    if (atomic_load(&e->care_wants_checkpoint)) return true;
    head_copy(e, &now);
    return now.log_total - now.checkpoint_total >=
           e->options.checkpoint_bytes;
}

int care_now(struct env *e)
{
    int rc = 0;
    if (unsynced(e)) rc = commit_sync(e);           /* whoever committed it */
    if (__atomic_load_n(&e->options.flags, __ATOMIC_RELAXED) & LUGE_READ_ONLY)
        return rc;
    if (!rc && e->threaded) rc = prepare_segment(e);
    if (rc == LUGE_NOSPACE) rc = 0;       /* a checkpoint may give some back */
    /* What it freezes, a checkpoint need not write any more. */
    if (!rc) rc = history_tend(e);
    if (!rc && checkpoint_due(e)) rc = checkpoint_write(e, HOLES_LONG, 0);
    if (rc == LUGE_BUSY) rc = 0;              /* another one writes it */
    return rc;
}

/* Until something is to be done, or may be.  The first asynchronous commit ends
 * the sleep, and the interval begins: what follows is synced with it. */
static void nap(struct env *e)
{
    u32 bell = atomic_load(&e->care_bell);
    u32 ms = e->options.sync_interval_ms;
    bool idle = !unsynced(e);
    if (idle) {
        atomic_store(&e->care_idle, 1);
        if (unsynced(e)) atomic_store(&e->care_idle, 0);
        else ms = IDLE_MS;
    }
    /* Between processes nobody rings: the interval is kept by looking. */
    if (atomic_load(&e->share.m->attached) > 1 &&
        ms > e->options.sync_interval_ms)
        ms = e->options.sync_interval_ms;
    if (!atomic_load(&e->care_stop)) os_futex_wait(&e->care_bell, bell, ms);
    u32 rung = atomic_load(&e->care_bell);
    if (idle && rung != bell && unsynced(e) &&
        !atomic_load(&e->care_wants_checkpoint) &&
        !atomic_load(&e->care_stop))
        os_futex_wait(&e->care_bell, rung, e->options.sync_interval_ms);
}

static void *caretaker(void *context)
{
    struct env *e = context;
    u64 reaped_ns = os_monotonic_ns();
    while (!atomic_load(&e->care_stop)) {
        nap(e);
        if (atomic_load(&e->care_stop)) break;
        if (env_usable(e)) {
            bell_ring(e);               /* who waits is to learn it */
            break;
        }
        look_at_file(e);
        (void)care_now(e); /* it fails again for whoever commits, and tells */
        bell_look(e);
        head_tend(e);
        share_figure_rate(&e->share);
        share_figure_pins(&e->share);
        if (os_monotonic_ns() - reaped_ns > (u64)IDLE_MS * 1000000) {
            reaped_ns = os_monotonic_ns();
            (void)share_reap(&e->share);
        }
    }
    return NULL;
}

int care_start(struct env *e)
{
    sigset_t all, before;
    if (!e->threaded) return 0;
    /* The host's signals are for the host's threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&e->caretaker, NULL, caretaker, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err)
        return fail_errno(LUGE_NOMEM, err, "cannot start a thread");
    e->caretaker_runs = true;
    return 0;
}

void care_stop(struct env *e)
{
    if (!e->caretaker_runs) return;
    atomic_store(&e->care_stop, 1);
    care_wake(e);
    pthread_join(e->caretaker, NULL);
    e->caretaker_runs = false;
}
