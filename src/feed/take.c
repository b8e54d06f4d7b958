/* feed/take.c -- from records to change sets: filter, old values, skipping.
 *
 *   T1  A set is delivered whole or, on an error, read again by the next call.
 *   T2  The reader runs ahead of what may be shown, up to the newest commit: so
 *       who has nothing to expect knows it, and is not woken in vain.  What it
 *       finds for us waits as `pending`.
 *   T3  What is applied to the past (past.h) is what passes the filter, and
 *       every change of a name: names depend on each other.
 * Not here: waiting (watch.c).
 */
#include "feed/watch.h"
#include "txn/keep.h"

enum { CHANGES_MIN = 16 };

static bool of_a_key(const struct op *op)
{
    return op->kind == OP_PUT || op->kind == OP_DEL;
}

/* Of the catalog: all but those that stay within one tree. */
static bool of_a_name(const struct op *op)
{
    return !of_a_key(op) && op->kind != OP_CLEAR;
}

static bool passes(const struct feed_watch *w, const struct op *op)
{
    if (w->tree ? op->tree != w->tree : op->tree == KEEP_TREE) return false;
    if ((op->kind == OP_SNAPSHOT || op->kind == OP_FORGET) &&
        keep_is_automatic(op->key))
        return false;
    if (!of_a_key(op)) return true;
    return op->key.size >= w->prefix.size &&
           !memcmp(op->key.data, w->prefix.data, w->prefix.size);
}

bool feed_keeps(void *watch, const struct op *op)
{
    return passes(watch, op) || of_a_name(op);
}

static int grow_changes(struct feed_watch *w)
{
    size_t capacity = w->capacity ? 2 * w->capacity : CHANGES_MIN;
    struct luge_change *more = base_realloc(w->changes,
                                            capacity * sizeof *more);
    if (!more) return NOMEM();
    w->changes = more;
    w->capacity = capacity;
    return 0;
}

/* The bytes go to w->olds, which may move: their place is remembered as an
 * offset until all are there. */
static int add_old(struct feed_watch *w, const struct op *op,
                   struct luge_change *c)
{
    luge_bytes old;
    if (!of_a_key(op)) return 0;
    if (!w->past.known) {
        c->flags = LUGE_CHANGE_OLD_UNKNOWN;
        return 0;
    }
    int rc = feed_past_get(&w->past, op->tree, op->key, &old);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    c->flags = LUGE_CHANGE_OLD;
    c->old = luge_bytes_of((void *)(uintptr_t)w->olds.size, old.size);
    return base_buffer_add(&w->olds, old.data, old.size);
}

static void place_olds(struct feed_watch *w)
{
    for (size_t i = 0; i < w->count; i++) {
        struct luge_change *c = &w->changes[i];
        if (c->flags & LUGE_CHANGE_OLD)
            c->old.data = w->olds.data + (uintptr_t)c->old.data;
    }
}

/* Whose content a fork begins with (txn/ops.h has the form). */
static int name_source(struct luge_change *c)
{
    const u8 *at = c->value.data, *end = at + c->value.size;
    u64 size = 0;
    size_t n = base_get_varint(at, end, &c->source);
    size_t m = !n || c->source ? 0 : base_get_varint(at + n, end, &size);
    if (!n || (!c->source && (!m || size > (u64)(end - at) - n - m)))
        return CORRUPT("a fork in the log has no source");
    at += n + m;
    c->value = luge_bytes_of(at, size);
    c->old = luge_bytes_of(at + size, (size_t)(end - at) - size);
    return 0;
}

/* Of a snapshot the path; its time is the transaction's. */
static int name_path(struct luge_change *c)
{
    const u8 *at = c->value.data;
    u64 time_ns;
    size_t n = base_get_varint(at, at + c->value.size, &time_ns);
    if (!n) return CORRUPT("a snapshot in the log has no time");
    c->value = luge_bytes_of(at + n, c->value.size - n);
    return 0;
}

static int take_op(struct feed_watch *w, const struct op *op, bool deliver)
{
    bool passing = passes(w, op);
    int rc = feed_names_note(&w->names, op);
    if (!rc && passing && deliver) {
        if (w->count == w->capacity) rc = grow_changes(w);
        if (rc) return rc;
        struct luge_change *c = &w->changes[w->count];
        *c = (struct luge_change){
            .kind = op->kind, .tree = op->tree, .key = op->key,
            .value = op->value,
        };
        if (op->kind == OP_FORK) rc = name_source(c);
        if (op->kind == OP_SNAPSHOT) rc = name_path(c);
        if (!rc && w->old) rc = add_old(w, op, c);
        if (!rc) w->count++;
    }
    if (!rc && w->old && (passing || of_a_name(op)))
        rc = feed_past_apply(&w->past, op);
    return rc;
}

static int take_record(struct feed_watch *w, const struct feed_record *r)
{
    const u8 *at = r->ops;
    struct op op;
    int rc;
    w->count = 0;
    w->olds.size = 0;
    while (!(rc = op_decode(&at, r->end, &op))) {
        rc = take_op(w, &op, r->seq > w->silent);
        if (rc) break;
    }
    if (rc != LUGE_NOTFOUND) return rc;
    if (w->old) place_olds(w);
    w->set = (struct luge_change_set){
        .seq = r->seq, .time_ns = r->time_ns, .count = w->count,
        .changes = w->changes,
    };
    return 0;
}

/* T1.  Half of the record may be in the past already. */
static void go_back(struct feed_watch *w, u64 seq,
                    const struct log_position *at)
{
    feed_reader_to(&w->reader, seq, at);
    feed_past_forget(&w->past);
}

/* Pass over what is not for us, if that is known without reading.  True: what
 * comes next was in memory. */
static bool take_from_index(struct feed_watch *w, struct feed_record *record,
                            struct log_position *behind)
{
    if (!w->reader.keeps || w->empty || w->reader.ahead) return false;
    return feed_index_take(w->index, &w->reader, w->tree, w->prefix, record,
                           behind);
}

static int take_next(struct feed_watch *w, u64 limit)
{
    struct feed_record record;
    struct log_position behind;
    bool there = limit > w->reader.seq &&
                 take_from_index(w, &record, &behind);
    u64 seq = w->reader.seq;
    struct log_position at = w->reader.at;
    int rc = 0;
    if (there) feed_reader_to(&w->reader, record.seq, &behind);
    else rc = feed_read(&w->reader, limit, &record);
    if (rc == LUGE_NOTFOUND && w->old)
        (void)feed_past_settle(&w->past, seq, true);
    if (rc) return rc;
    rc = take_record(w, &record);
    if (rc) go_back(w, seq, &at);
    /* If no snapshot can be had now, one will be sought again. */
    else if (w->old) (void)feed_past_settle(&w->past, w->reader.seq, false);
    return rc;
}

static bool is_too_far_behind(const struct feed_watch *w, u64 limit)
{
    return w->skip_after && limit > w->reader.seq &&
           limit - w->reader.seq > w->skip_after;
}

/* To the newest commit; what may not be told of it yet waits, as in T2. */
static void skip(struct feed_watch *w)
{
    u64 seq = w->reader.seq, time_ns;
    feed_reader_to_end(&w->reader, &time_ns);
    feed_past_forget(&w->past);
    feed_names_free(&w->names);     /* what is skipped may have renamed some */
    w->set = (struct luge_change_set){
        .seq = w->reader.seq, .time_ns = time_ns,
        .skipped = w->reader.seq - seq,
    };
}

/* What waits for its time (T2) is not seen yet. */
static u64 seen_up_to(const struct feed_watch *w)
{
    return w->pending ? w->set.seq - max_u64(w->set.skipped, 1)
                      : w->reader.seq;
}

/* The log is held where the reader stands.  The caretaker rings for what is not
 * seen. */
static void show_place(struct feed_watch *w)
{
    atomic_store(&w->slot->seq, seen_up_to(w));
    if (atomic_load(&w->slot->segment) != w->reader.at.segment)
        atomic_store(&w->slot->segment, w->reader.at.segment);
}

/* Put the next set that is for us into w->set; it may lie beyond LIMIT (T2). */
static int find_set(struct feed_watch *w, u64 limit)
{
    u64 newest = share_watch_limit(&w->env->share, SHARE_WHEN_COMMITTED);
    int rc = 0;
    bool mine = false;
    while (!rc && !mine) {
        mine = is_too_far_behind(w, limit);
        if (!mine) rc = take_next(w, w->empty ? limit : newest);
        if (rc == LUGE_EXPIRED && w->skip_after) {
            mine = true;
            rc = 0;
        }
        if (mine) skip(w);
        else if (!rc) mine = w->reader.seq > w->silent &&
                             (w->count || w->empty);
        show_place(w);
    }
    return rc;
}

int feed_take(struct feed_watch *w, u64 limit)
{
    bool waited = w->pending;
    int rc = waited ? 0 : find_set(w, limit);
    if (!rc) w->pending = w->set.seq > limit;
    if (w->pending != waited) show_place(w);
    w->seen = max_u64(w->seen, min_u64(seen_up_to(w), limit));
    return w->pending ? LUGE_NOTFOUND : rc;
}
