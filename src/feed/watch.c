/* feed/watch.c -- following the log: filter, wait, be rung.
 *
 *   LOOK --a record passes the filter--> delivered
 *    |^---rung, or a nap ended-------.
 *    `---nothing more to look at--> ASLEEP --time is up, woken--> TIMEOUT
 *
 *   B1  Before it sleeps it says so, and looks once more (share/watch.c, K1).
 *   B2  It sleeps NAP_MS at most: whoever should have rung may be dead.
 *   B3  Who was woken a moment ago and found something rests before he lets
 *       himself be rung again, the longer the more subscribers there are: all
 *       together wake up about once in REST_SHARE_NS.  While much happens they
 *       find many records in one look, and nobody rings anybody.
 * With a descriptor nobody sleeps here: TIMEOUT leaves `asleep` standing, and
 * the bell is a byte written to the file `notify`.
 * Not here: what is taken from the log (take.c), who rings (txn/bell.c).
 */
#include "feed/watch.h"

enum {
    NAP_MS = 200,
    REST_SHARE_NS = 400000,     /* waking and looking takes 10 to 40 us */
    REST_NS_MAX = 30000000,
};

/* ---------------------------------------------------------------- open -- */

static enum share_watch_when when_of(unsigned flags)
{
    if (flags & LUGE_WATCH_COMMITTED) return SHARE_WHEN_COMMITTED;
    return flags & LUGE_WATCH_SHOWN ? SHARE_WHEN_SHOWN : SHARE_WHEN_DURABLE;
}

static int copy_prefix(struct feed_watch *w, luge_bytes prefix)
{
    if (prefix.size > LUGE_KEY_SIZE_MAX)
        return fail(LUGE_TOOBIG, "a prefix of %zu bytes; %u are allowed",
                    prefix.size, LUGE_KEY_SIZE_MAX);
    u8 *copy = base_alloc(prefix.size);
    if (!copy) return NOMEM();
    if (prefix.size) memcpy(copy, prefix.data, prefix.size);
    w->prefix = luge_bytes_of(copy, prefix.size);
    return 0;
}

/* With old values a watch from now begins at a snapshot, which may be a little
 * older than now: what is between is passed over in silence. */
static int start_now(struct feed_watch *w)
{
    struct luge_txn *txn;
    feed_reader_to_end(&w->reader, NULL);
    if (!w->old) return 0;
    w->silent = w->reader.seq;
    int rc = txn_begin(w->env, LUGE_READ, &txn);
    if (rc) return rc;
    rc = feed_past_open(&w->past, w->env, txn);
    feed_reader_to(&w->reader, txn->version.seq, &txn->version.log);
    txn_abort(txn);
    return rc;
}

static int start_at_snapshot(struct feed_watch *w, const struct luge_txn *txn)
{
    feed_reader_to(&w->reader, txn->version.seq, &txn->version.log);
    return w->old ? feed_past_open(&w->past, w->env, txn) : 0;
}

static int start(struct feed_watch *w, const struct luge_watch_options *o)
{
    int rc = feed_past_open(&w->past, w->env, NULL);
    if (rc) return rc;
    if (o->from == LUGE_FROM_SEQ) return feed_reader_seek(&w->reader, o->seq);
    if (o->from == LUGE_FROM_SNAPSHOT) return start_at_snapshot(w, o->snapshot);
    return start_now(w);
}

static int take_slot(struct feed_watch *w)
{
    struct share *s = &w->env->share;
    luge_bytes none = {"", 0};
    /* Who wants the emptied sets as well is concerned by every commit. */
    int rc = share_watch_take(s, w->when, w->empty ? 0 : w->tree,
                              w->empty ? none : w->prefix, &w->number);
    if (rc) return rc;
    w->has_slot = true;
    w->slot = &s->m->watches[w->number];
    atomic_store(&w->slot->segment, 1);         /* hold all, while it seeks */
    return tail_flush(w->env, UINT64_MAX, w->env->options.busy_timeout_ms);
}

int feed_watch_open(struct env *e, struct feed_index *index,
                    const struct luge_watch_options *o,
                    struct feed_watch **result)
{
    struct feed_watch *w = base_alloc_zero(sizeof *w);
    if (!w) return NOMEM();
    w->env = e;
    w->index = index;
    w->fd = -1;
    w->when = when_of(o->flags);
    w->empty = (o->flags & LUGE_WATCH_EMPTY) != 0;
    w->old = (o->flags & LUGE_WATCH_OLD) != 0;
    w->skip_after = o->skip_after;
    w->tree = o->tree;
    int rc = feed_reader_open(&w->reader, e);
    w->reader.keeps = w->tree || o->prefix.size ? feed_keeps : NULL;
    w->reader.context = w;
    if (!rc) rc = copy_prefix(w, o->prefix);
    if (!rc) rc = take_slot(w);
    if (!rc) rc = start(w, o);
    if (rc) {
        feed_watch_close(w);
        return rc;
    }
    w->seen = max_u64(w->reader.seq, w->silent);
    atomic_store(&w->slot->seq, w->reader.seq);
    atomic_store(&w->slot->segment, w->reader.at.segment);
    *result = w;
    return 0;
}

void feed_watch_close(struct feed_watch *w)
{
    if (*w->env->fork_sentinel) {           /* else they are the parent's */
        feed_past_close(&w->past);
        if (w->has_slot) share_watch_give(&w->env->share, w->number);
    }
    if (w->fd >= 0) os_notify_close(w->fd);
    feed_reader_close(&w->reader);
    feed_names_free(&w->names);
    base_free((void *)(uintptr_t)w->prefix.data);
    base_free(w->changes);
    base_buffer_free(&w->olds);
    base_free(w);
}

/* ---------------------------------------------------------------- wait -- */

/* B3. */
static bool rests(struct feed_watch *w, u64 left_ns)
{
    u64 since = os_monotonic_ns() - w->woke_ns;
    u64 rest = (u64)REST_SHARE_NS *
               atomic_load(&w->env->share.m->watches_high);
    rest = min_u64(rest, REST_NS_MAX);
    if (since >= rest) return false;
    rest = min_u64(rest - since, left_ns);
    os_sleep_us((u32)(rest / 1000) + 1);
    return true;
}

/* Up to which commit can there be something new for us? */
static u64 horizon(const struct feed_watch *w)
{
    return share_watch_limit(&w->env->share,
                             w->empty ? w->when : SHARE_WHEN_COMMITTED);
}

/* Is there something to do, before any bell? */
static bool is_due(const struct feed_watch *w)
{
    u64 limit = share_watch_limit(&w->env->share, w->when);
    if (w->env->share.m->failed) return true;
    return w->pending ? w->set.seq <= limit : horizon(w) > w->reader.seq;
}

/* Say that the bell is to be rung, and for what: for the set that waits, or for
 * whatever comes (K2).  True if there is something already (B1). */
static bool arm(struct feed_watch *w, bool file)
{
    u64 waits = w->pending ? w->set.seq : w->empty ? w->reader.seq + 1 : 0;
    atomic_store(&w->slot->file, file);
    atomic_store(&w->slot->asleep, 1);
    atomic_store(&w->slot->wanted, waits);
    return is_due(w);
}

static void sleep_on_bell(struct feed_watch *w, u64 left_ns)
{
    u32 bell = atomic_load(&w->slot->bell);
    u64 ms = min_u64(left_ns / 1000000 + 1, NAP_MS);                /* B2 */
    if (!arm(w, false) && !atomic_load(&w->woken))
        os_futex_wait(&w->slot->bell, bell, (u32)ms);
    atomic_store(&w->slot->asleep, 0);
}

/* TIMEOUT, unless there is something after all: then 0. */
static int end_of_time(struct feed_watch *w)
{
    if (w->fd < 0) return LUGE_TIMEOUT;
    os_notify_drain(w->fd);
    if (!arm(w, true)) return LUGE_TIMEOUT;
    atomic_store(&w->slot->asleep, 0);
    return 0;
}

/* One look.  NOTFOUND: go on waiting. */
static int look(struct feed_watch *w, const struct luge_change_set **set)
{
    int rc = env_usable(w->env);
    if (!rc && w->expired) rc = fail(LUGE_EXPIRED, "this watch expired");
    if (!rc) rc = feed_take(w, share_watch_limit(&w->env->share, w->when));
    if (!rc) *set = &w->set;
    if (rc == LUGE_EXPIRED && !w->expired) {
        w->expired = true;
        feed_past_forget(&w->past);     /* pins nothing any more */
        atomic_store(&w->slot->segment, 0);
    }
    return rc;
}

int feed_watch_next(struct feed_watch *w, int timeout_ms,
                    const struct luge_change_set **set)
{
    u64 now = timeout_ms > 0 ? os_monotonic_ns() : 0;
    u64 end = timeout_ms < 0 ? UINT64_MAX
                             : now + (u64)timeout_ms * 1000000;
    bool waited = false;
    int rc = LUGE_NOTFOUND;
    if (w->fd >= 0 && *w->env->fork_sentinel) atomic_store(&w->slot->asleep, 0);
    while (rc == LUGE_NOTFOUND) {
        rc = look(w, set);
        if (rc != LUGE_NOTFOUND) break;
        if (timeout_ms > 0) now = os_monotonic_ns();
        if (timeout_ms && atomic_exchange(&w->woken, 0)) now = end;
        if (now >= end) {
            rc = end_of_time(w);
            if (!rc) rc = LUGE_NOTFOUND;
        } else if (!rests(w, end - now)) {
            sleep_on_bell(w, end - now);
        }
        waited = true;
    }
    if (waited && !rc) w->woke_ns = os_monotonic_ns();
    return rc;
}

int feed_watch_fd(struct feed_watch *w)
{
    char path[4200];
    int rc = env_usable(w->env);
    if (rc || w->fd >= 0) return rc;
    if (!w->env->threaded)
        return fail(LUGE_UNSUPPORTED, "this platform has no descriptors");
    rc = bell_file(w->env, path, sizeof path);
    return rc ? rc : os_notify_open(path, &w->fd);
}

void feed_watch_wake(struct feed_watch *w)
{
    atomic_store(&w->woken, 1);
    atomic_fetch_add(&w->slot->bell, 1);
    os_futex_wake(&w->slot->bell, 1);
}
