/* feed/watch.c -- following the log: filter, wait, be rung.
 *
 *   LOOK --a record passes the filter--> delivered
 *    |^---rung, or a nap ended-------.
 *    `---nothing more to look at--> ASLEEP --time is up, woken--> TIMEOUT
 *
 *   B1  Before it sleeps it says so, and looks once more (share/watch.c, K1).
 *   B2  It sleeps NAP_MS at most: whoever should have rung may be dead.
 *   B3  However many subscribers there are, together they let themselves be
 *       rung about once in RING_SHARE_NS; who was rung a moment ago rests
 *       first, and what came meanwhile he finds in one look.
 * Not here: how the log is read (read.c), who rings (txn/bell.c).
 */
#include "feed/watch.h"
#include "txn/keep.h"

enum {
    NAP_MS = 200,
    RING_SHARE_NS = 50000,      /* waking and looking takes 10 to 40 us */
    REST_NS_MAX = 5000000,
    CHANGES_MIN = 16,
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

static int find_start(struct feed_watch *w,
                      const struct luge_watch_options *o,
                      const struct version *version)
{
    if (o->from == LUGE_FROM_SEQ) return feed_reader_seek(&w->reader, o->seq);
    if (version) feed_reader_to(&w->reader, version->seq, &version->log);
    else feed_reader_to_end(&w->reader);
    return 0;
}

/* From here on the log is held where the reader stands. */
static void show_place(struct feed_watch *w)
{
    atomic_store(&w->slot->seq, w->reader.seq);
    if (atomic_load(&w->slot->segment) != w->reader.at.segment)
        atomic_store(&w->slot->segment, w->reader.at.segment);
}

int feed_watch_open(struct env *e, const struct luge_watch_options *o,
                    const struct version *version, struct feed_watch **result)
{
    struct feed_watch *w = base_alloc_zero(sizeof *w);
    if (!w) return NOMEM();
    w->env = e;
    w->when = when_of(o->flags);
    w->empty = (o->flags & LUGE_WATCH_EMPTY) != 0;
    w->tree = o->tree;
    int rc = feed_reader_open(&w->reader, e);
    if (!rc) rc = copy_prefix(w, o->prefix);
    if (!rc)
        rc = share_watch_take(&e->share, w->when, w->tree, w->prefix,
                              &w->number);
    if (!rc) {
        w->has_slot = true;
        w->slot = &e->share.m->watches[w->number];
        atomic_store(&w->slot->segment, 1);     /* hold all, while it seeks */
        rc = find_start(w, o, version);
    }
    if (rc) {
        feed_watch_close(w);
        return rc;
    }
    show_place(w);
    *result = w;
    return 0;
}

void feed_watch_close(struct feed_watch *w)
{
    if (w->has_slot && *w->env->fork_sentinel)
        share_watch_give(&w->env->share, w->number);
    feed_reader_close(&w->reader);
    feed_names_free(&w->names);
    base_free((void *)(uintptr_t)w->prefix.data);
    base_free(w->changes);
    base_free(w);
}

/* ---------------------------------------------------------------- look -- */

static bool passes(const struct feed_watch *w, const struct op *op)
{
    if (w->tree ? op->tree != w->tree : op->tree == KEEP_TREE) return false;
    if (op->kind != OP_PUT && op->kind != OP_DEL) return true;
    return op->key.size >= w->prefix.size &&
           !memcmp(op->key.data, w->prefix.data, w->prefix.size);
}

static int add_change(struct feed_watch *w, const struct op *op)
{
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : CHANGES_MIN;
        struct luge_change *more =
            base_realloc(w->changes, capacity * sizeof *more);
        if (!more) return NOMEM();
        w->changes = more;
        w->capacity = capacity;
    }
    w->changes[w->count++] = (struct luge_change){
        .kind = op->kind, .tree = op->tree, .key = op->key,
        .value = op->value,
    };
    return 0;
}

static int take_changes(struct feed_watch *w, const struct feed_record *r)
{
    const u8 *at = r->ops;
    struct op op;
    int rc;
    w->count = 0;
    while (!(rc = op_decode(&at, r->end, &op))) {
        rc = feed_names_note(&w->names, &op);
        if (!rc && passes(w, &op)) rc = add_change(w, &op);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* The next record that is for us.  NOTFOUND: none up to LIMIT.  On an error
 * that is not the log's the record will be read again. */
static int look(struct feed_watch *w, u64 limit)
{
    struct feed_record record;
    for (;;) {
        u64 seq = w->reader.seq;
        struct log_position at = w->reader.at;
        int rc = feed_read(&w->reader, limit, &record);
        if (!rc) rc = take_changes(w, &record);
        if (rc && w->reader.seq != seq) feed_reader_to(&w->reader, seq, &at);
        show_place(w);
        if (rc) return rc;
        if (!w->count && !w->empty) continue;
        w->set = (struct luge_change_set){
            .seq = record.seq, .time_ns = record.time_ns, .count = w->count,
            .changes = w->changes,
        };
        return 0;
    }
}

/* ---------------------------------------------------------------- wait -- */

/* B3. */
static bool rests(struct feed_watch *w, u64 left_ns)
{
    u64 since = os_monotonic_ns() - w->rung_ns;
    u64 rest = (u64)RING_SHARE_NS *
               atomic_load(&w->env->share.m->watches_high);
    rest = min_u64(rest, REST_NS_MAX);
    if (since >= rest) return false;
    rest = min_u64(rest - since, left_ns);
    os_sleep_us((u32)(rest / 1000) + 1);
    return true;
}

/* K2: commits that we may not look at yet. */
static void want_what_is_coming(struct feed_watch *w)
{
    atomic_store(&w->slot->wanted, 0);
    if (share_watch_limit(&w->env->share, SHARE_WHEN_COMMITTED) >
        w->reader.seq)
        atomic_store(&w->slot->wanted, w->reader.seq + 1);
}

static void sleep_on_bell(struct feed_watch *w, u64 left_ns)
{
    struct share_watch *slot = w->slot;
    u32 bell = atomic_load(&slot->bell);
    u64 ms = min_u64((left_ns + 999999) / 1000000, NAP_MS);         /* B2 */
    atomic_store(&slot->asleep, 1);
    want_what_is_coming(w);
    if (share_watch_limit(&w->env->share, w->when) <= w->reader.seq &&
        !atomic_load(&w->woken) && !w->env->share.m->failed)        /* B1 */
        os_futex_wait(&slot->bell, bell, (u32)ms);
    atomic_store(&slot->asleep, 0);
    if (atomic_load(&slot->bell) != bell) w->rung_ns = os_monotonic_ns();
}

int feed_watch_next(struct feed_watch *w, int timeout_ms,
                    const struct luge_change_set **set)
{
    u64 now = timeout_ms > 0 ? os_monotonic_ns() : 0;
    u64 end = timeout_ms < 0 ? UINT64_MAX
                             : now + (u64)timeout_ms * 1000000;
    for (;;) {
        int rc = env_usable(w->env);
        if (!rc && w->expired) rc = fail(LUGE_EXPIRED, "this watch expired");
        if (!rc) rc = look(w, share_watch_limit(&w->env->share, w->when));
        if (!rc) *set = &w->set;
        if (rc == LUGE_EXPIRED) w->expired = true;
        if (rc != LUGE_NOTFOUND) return rc;
        if (timeout_ms && atomic_exchange(&w->woken, 0)) return LUGE_TIMEOUT;
        if (timeout_ms > 0) now = os_monotonic_ns();
        if (now >= end) return LUGE_TIMEOUT;
        if (!rests(w, end - now)) sleep_on_bell(w, end - now);
    }
}

void feed_watch_wake(struct feed_watch *w)
{
    atomic_store(&w->woken, 1);
    atomic_fetch_add(&w->slot->bell, 1);
    os_futex_wake(&w->slot->bell, 1);
}
