/* txn/history.c -- the snapshots of everything that luge takes by itself, as
 * states that the past can be made from (feed/asof.h), and which of them go.
 *
 *   log:        |--------|--------|--------|--------|---->
 *   snapshots:  o        o        o        o        o     every_bytes apart
 *   older:  o       o                                     fewer with their age
 *
 *   Y1  Who claims the place in the log takes it, alone in a commit of its own:
 *       the state behind that commit is the snapshot's, even without the log.
 *   Y2  One goes when the log no longer leads on from it and it is older than
 *       keep_seconds; or when its neighbours stand no farther apart than a
 *       quarter of its age.  So of the last eight none goes, and of a year at a
 *       snapshot a minute some sixty are left.
 * Each that goes, goes in a commit of its own, so that the turn is held for one
 * walk only.
 * Not here: why one would want them (docs/why/history.md).
 */
#include <stdio.h>

#include "txn/keep.h"
#include "txn/lineage.h"
#include "txn/txn.h"

enum { LOOK_BYTES = 256 << 10, NAME_BYTES = 64, GAP_SHARE = 4 };

struct taken {
    u64 seq, time_ns, number;
    bool goes;
};

struct taken_list {
    struct taken *items;
    size_t count, capacity;
};

/* ----------------------------------------------------------------- due -- */

static int segment_bytes(struct env *e, u64 number, u64 *bytes)
{
    struct log_segment *segment;
    int rc = log_segment_get(&e->log, number, &segment);
    if (rc) return rc;
    *bytes = segment->size;
    log_segment_put(&e->log, segment);
    return 0;
}

/* How much log there is behind record SEQ, to a segment: since somebody first
 * opened the directory nobody has counted. */
static int log_since(struct env *e, const struct txn_head *now, u64 seq,
                     u64 *since)
{
    u64 *numbers, oldest = atomic_load(&e->share.m->log_oldest);
    size_t count;
    int rc = log_list(&e->log, oldest, now->log.segment, &numbers, &count);
    bool found = false;
    *since = now->log.offset;
    while (!rc && !found && count) {
        struct log_position at;
        u64 bytes = 0, first, n = numbers[--count];
        rc = log_segment_start(&e->log, n, &at, &first);
        if (!rc && n != now->log.segment) rc = segment_bytes(e, n, &bytes);
        *since += bytes;
        found = !rc && first <= seq;
        if (rc == LUGE_NOTFOUND) rc = 0;        /* begun by nobody */
    }
    base_free(numbers);
    return rc;
}

static int list_taken(struct env *e, struct taken_list *list,
                      struct keep_policy *policy)
{
    u8 name[LUGE_NAME_SIZE_MAX];
    size_t prefix = sizeof KEEP_SNAPSHOT_PREFIX - 1, size = prefix;
    struct luge_txn *txn;
    /* A policy may be a little old. */
    int rc = txn_begin(e, LUGE_READ | TXN_BLIND, &txn);
    if (rc) return rc;
    memcpy(name, KEEP_SNAPSHOT_PREFIX, prefix);
    rc = keep_find_policy(&txn->view, policy);
    while (!rc && !(rc = lineage_snapshot_after(
                        &txn->view, luge_bytes_of(name, size), name,
                        &size))) {
        struct snapshot_record s;
        luge_bytes path, found = luge_bytes_of(name, size);
        if (!keep_is_automatic(found)) break;
        if (list->count == list->capacity) {
            size_t capacity = list->capacity ? 2 * list->capacity : 32;
            struct taken *more = base_realloc(list->items,
                                              capacity * sizeof *more);
            if (!more) rc = NOMEM();
            if (rc) break;
            list->items = more;
            list->capacity = capacity;
        }
        rc = lineage_snapshot_get(&txn->view, found, &s, &path);
        if (!rc)
            list->items[list->count++] =
                (struct taken){s.seq, s.time_ns, s.number, false};
    }
    txn_abort(txn);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Y1.  Nobody counted yet: count from the newest there is.  The word may pass
 * below 0 and back. */
static int claim(struct env *e, const struct taken_list *list, u64 every,
                 bool *mine)
{
    _Atomic u64 *word = &e->share.m->history_total;
    struct txn_head now;
    u64 seq = list->count ? list->items[list->count - 1].seq : 0;
    u64 counted = atomic_load(word), since;
    int rc = 0;
    head_copy(e, &now);
    if (!counted) {
        rc = log_since(e, &now, seq, &since);
        if (rc) return rc;
        u64 start = now.log_total - since;
        start += !start;
        if (atomic_compare_exchange_strong(word, &counted, start))
            counted = start;
    }
    *mine = now.log_total - counted >= every &&
            atomic_compare_exchange_strong(word, &counted,
                                           now.log_total + !now.log_total);
    return 0;
}

/* ---------------------------------------------------------------- take -- */

static luge_bytes name_of(u64 seq, char *space)
{
    int n = snprintf(space, NAME_BYTES, "%s%020llu", KEEP_SNAPSHOT_PREFIX,
                     (unsigned long long)seq);
    return luge_bytes_of(space, (size_t)n);
}

/* The turn tells what its number will be. */
static int take(struct env *e)
{
    char name[NAME_BYTES];
    u8 time[VARINT_SIZE_MAX];
    struct op op = {.kind = OP_SNAPSHOT};
    struct luge_txn *txn;
    u64 seq;
    int rc = txn_next_ids(e, 1, &op.tree);
    if (!rc) rc = txn_begin(e, LUGE_TURN | LUGE_TXN_ASYNC, &txn);
    if (rc) return rc;
    op.key = name_of(txn->version.seq + 1, name);
    op.value = luge_bytes_of(time, base_put_varint(time,
                                                   e->os->wall_ns(e->os)));
    rc = txn_add(txn, &op);
    if (!rc) return txn_commit(txn, &seq);
    txn_abort(txn);
    return rc;
}

static int forget(struct env *e, const struct taken *t)
{
    char name[NAME_BYTES];
    struct op op = {.kind = OP_FORGET, .tree = t->number,
                    .key = name_of(t->seq, name)};
    struct luge_txn *txn;
    u64 seq;
    int rc = txn_begin(e, LUGE_WRITE | LUGE_TXN_ASYNC, &txn);
    if (rc) return rc;
    rc = txn_add(txn, &op);
    if (!rc) {
        rc = txn_commit(txn, &seq);
        return rc == LUGE_CONFLICT ? 0 : rc;    /* somebody else has */
    }
    txn_abort(txn);
    return rc;
}

/* ---------------------------------------------------------------- thin -- */

/* The log leads on from snapshots after the record that this answers. */
static int log_begin(struct env *e, u64 *seq)
{
    struct log_position at;
    u64 oldest = atomic_load(&e->share.m->log_oldest);
    int rc = log_segment_start(&e->log, oldest, &at, seq);
    if (rc == LUGE_NOTFOUND) *seq = 0;  /* it went just now: the next time */
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Y2 */
static void choose(struct taken_list *list, const struct keep_policy *policy,
                   u64 log_seq, u64 now_ns)
{
    const struct taken *kept = NULL;
    for (size_t i = 0; i + 1 < list->count; i++) {
        struct taken *t = &list->items[i];
        u64 age = now_ns - min_u64(t->time_ns, now_ns);
        u64 next = list->items[i + 1].time_ns;
        bool useless = t->seq <= log_seq &&
                       age / 1000000000 >= policy->history_seconds;
        bool close = kept && next > kept->time_ns &&
                     next - kept->time_ns < age / GAP_SHARE;
        t->goes = useless || close;
        if (!t->goes) kept = t;
    }
}

static int thin(struct env *e, struct taken_list *list,
                const struct keep_policy *policy)
{
    u64 log_seq;
    int rc = log_begin(e, &log_seq);
    if (!rc) choose(list, policy, log_seq, e->os->wall_ns(e->os));
    for (size_t i = 0; i < list->count && !rc; i++)
        if (list->items[i].goes) rc = forget(e, &list->items[i]);
    return rc;
}

static int tend(struct env *e, struct taken_list *list)
{
    struct keep_policy policy = {0};
    bool mine = false;
    int rc = list_taken(e, list, &policy);
    u64 every = policy.history_bytes ? policy.history_bytes
                                     : e->options.history_bytes;
    if (!rc && every && policy.history_bytes != UINT64_MAX)
        rc = claim(e, list, every, &mine);
    if (!rc && mine) rc = take(e);
    /* Also when none are taken any more: the log behind them goes. */
    return rc || !list->count ? rc : thin(e, list, &policy);
}

int history_tend(struct env *e)
{
    struct taken_list list = {0};
    struct txn_head now;
    if (e->options.history_bytes == UINT64_MAX) return 0;
    head_copy(e, &now);
    if (now.log_total - e->history_looked < LOOK_BYTES) return 0;
    e->history_looked = now.log_total;
    int rc = tend(e, &list);
    base_free(list.items);
    return rc;
}
