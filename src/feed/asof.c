/* feed/asof.c -- see asof.h.
 *
 *   choose the newest base | stand on it | replay | seal
 *   EXPIRED on the way?  Then the next older base: what this one cannot give
 *   any more, a snapshot that was dropped since, that one may make again.
 */
#include "feed/asof.h"
#include "feed/read.h"
#include "txn/keep.h"
#include "txn/lineage.h"

enum { EMPTY_SEQ = 1, EMPTY_PUBLICATION = 1, TRIES_MAX = 4 };

enum base_kind { BASE_EMPTY, BASE_SNAPSHOT, BASE_CHECKPOINT };

struct base {
    enum base_kind kind;
    u64 seq;
    struct snapshot_record snapshot;
    u8 name[LUGE_NAME_SIZE_MAX];        /* of the snapshot */
    size_t name_size;
};

struct asof {
    struct env *env;
    u64 seq;                    /* wanted */
    struct luge_txn *now;       /* a snapshot of now: it has the bases */
    struct luge_txn *txn;       /* the state that is being made */
    struct feed_reader reader;
    bool lost;                  /* a base was there, and a snapshot was not */
};

/* --------------------------------------------------------------- bases -- */

/* The next snapshot of everything behind NAME, which becomes its name. */
static int whole_after(struct view *v, u8 *name, size_t *size,
                       struct snapshot_record *s)
{
    luge_bytes path;
    int rc;
    do {
        rc = lineage_snapshot_after(v, luge_bytes_of(name, *size), name, size);
        if (!rc)
            rc = lineage_snapshot_get(v, luge_bytes_of(name, *size), s, &path);
    } while (!rc && !s->pin);
    return rc;
}

/* The newest snapshot of everything before BELOW, if it is newer than *b.  It
 * is of the middle of its commit: the rest is replayed. */
static int look_at_snapshots(struct view *v, u64 below, struct base *b,
                             bool *found)
{
    u8 name[LUGE_NAME_SIZE_MAX];
    size_t size = 0;
    struct snapshot_record s;
    int rc;
    while (!(rc = whole_after(v, name, &size, &s))) {
        if (s.seq >= below || (*found && s.seq <= b->seq)) continue;
        *found = true;
        b->kind = BASE_SNAPSHOT;
        b->seq = s.seq;
        b->snapshot = s;
        b->name_size = size;
        memcpy(b->name, name, size);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Does the log begin with the first commit of all? */
static bool log_is_whole(struct env *e)
{
    return atomic_load(&e->share.m->log_oldest) <= 1 &&
           !log_exists(&e->log, 1);
}

/* The newest base before BELOW; NOTFOUND. */
static int choose_base(struct asof *a, u64 below, struct base *b)
{
    struct txn_head now;
    bool found = false;
    if (below > EMPTY_SEQ && log_is_whole(a->env)) {
        b->kind = BASE_EMPTY;
        b->seq = EMPTY_SEQ;
        found = true;
    }
    int rc = look_at_snapshots(&a->now->view, below, b, &found);
    head_copy(a->env, &now);
    if (!rc && now.checkpoint < below &&
        (!found || now.checkpoint >= b->seq)) {
        b->kind = BASE_CHECKPOINT;
        b->seq = now.checkpoint;
        found = true;
    }
    return rc || found ? rc : LUGE_NOTFOUND;
}

/* --------------------------------------------------------------- replay -- */

/* What a page has no room for stays where it is: it is kept. */
static int apply_op(struct asof *a, const struct op *op)
{
    struct luge_txn *txn = a->txn;
    struct op kept = *op;
    if (op->kind == OP_PUT &&
        !node_value_inline(page_bytes(&a->env->pages), op->key.size,
                           op->value.size)) {
        int rc = ops_add(&txn->ops, op, &kept);
        if (rc) return rc;
    }
    return view_apply(&txn->view, &kept);
}

/* AFTER: what comes before this snapshot is in the base; NULL: nothing is. */
static int apply_record(struct asof *a, const struct feed_record *record,
                        const struct snapshot_record *after)
{
    const u8 *at = record->ops;
    struct op op;
    int rc;
    a->txn->view.seq = a->txn->work.seq = record->seq;
    while (!(rc = op_decode(&at, record->end, &op))) {
        if (after && (op.kind != OP_SNAPSHOT || op.tree != after->number))
            continue;
        after = NULL;
        rc = apply_op(a, &op);
        if (rc) return rc;
    }
    if (rc == LUGE_NOTFOUND && after)
        return CORRUPT("record %llu lacks a snapshot that it made",
                       (unsigned long long)record->seq);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int next_record(struct asof *a, struct feed_record *record)
{
    int rc = feed_read(&a->reader, a->seq, record);
    if (rc != LUGE_NOTFOUND) return rc;
    return CORRUPT("record %llu is missing in the log",
                   (unsigned long long)a->reader.seq + 1);
}

static int replay(struct asof *a)
{
    struct feed_record record;
    int rc = 0;
    while (!rc && a->reader.seq < a->seq) {
        rc = next_record(a, &record);
        if (!rc) rc = apply_record(a, &record, NULL);
    }
    return rc;
}

/* --------------------------------------------------------------- stand -- */

static int stand_on_nothing(struct asof *a)
{
    struct tree nothing = {PAGE_NONE, 0};
    int rc = txn_begin_beside(a->now, &a->txn);
    if (rc) return rc;
    txn_past_begin(a->txn, &nothing, EMPTY_PUBLICATION);
    return feed_reader_seek(&a->reader, EMPTY_SEQ);
}

static int stand_on_checkpoint(struct asof *a)
{
    int rc = txn_begin_checkpoint(a->env, &a->txn);
    if (rc) return rc;
    const struct version *v = &a->txn->version;
    struct tree catalog = {v->catalog, v->catalog_count};
    if (v->seq > a->seq)
        return fail(LUGE_EXPIRED, "a checkpoint came between");
    txn_past_begin(a->txn, &catalog, v->base);
    feed_reader_to(&a->reader, v->seq, &v->log);
    return 0;
}

/* The log has gone.  Luge's own snapshots are alone in their commits: nothing
 * of that is missing but the snapshot itself. */
static int make_again(struct asof *a, const struct base *b)
{
    u8 time[VARINT_SIZE_MAX];
    struct op op = {
        .kind = OP_SNAPSHOT, .tree = b->snapshot.number,
        .key = {b->name, b->name_size},
        .value = {time, base_put_varint(time, b->snapshot.time_ns)},
    };
    a->txn->view.seq = b->seq;
    a->reader.seq = b->seq;
    return apply_op(a, &op);
}

static int stand_on_snapshot(struct asof *a, const struct base *b)
{
    struct view_pin pin = {0, b->snapshot.pin};
    struct pin_record whole;
    struct feed_record record;
    int rc = txn_begin_beside(a->now, &a->txn);
    if (!rc) rc = lineage_pin_get(&a->now->view, &pin, &whole);
    if (rc) return rc;
    struct tree catalog = {whole.root, whole.count};
    txn_past_begin(a->txn, &catalog, pin.number);
    a->txn->view.pins_in = a->now->view.catalog.root;
    a->txn->view.began_in = whole.root;
    a->txn->view.pins_upto = pin.number;
    rc = feed_reader_seek(&a->reader, b->seq - 1);
    if (!rc) rc = next_record(a, &record);
    if (!rc) return apply_record(a, &record, &b->snapshot);
    if (rc == LUGE_EXPIRED && b->seq == a->seq &&
        keep_is_automatic(luge_bytes_of(b->name, b->name_size)))
        return make_again(a, b);
    return rc;
}

/* *b is where it begins; on error there is no transaction. */
static int build(struct asof *a, const struct base *b)
{
    struct log_position nowhere = {0};
    feed_reader_to(&a->reader, 0, &nowhere);
    int rc = b->kind == BASE_EMPTY        ? stand_on_nothing(a)
             : b->kind == BASE_CHECKPOINT ? stand_on_checkpoint(a)
                                          : stand_on_snapshot(a, b);
    if (!rc) rc = replay(a);
    if (!rc) rc = txn_past_seal(a->txn, a->seq, &a->reader.at);
    if (rc && a->txn) txn_abort(a->txn);
    if (rc) a->txn = NULL;
    return rc;
}

/* --------------------------------------------------------------- begin -- */

static int is_gone(const struct asof *a)
{
    u64 oldest = 0;
    int rc = feed_oldest(a->env, &oldest);
    if (rc) return rc;
    if (a->lost)
        return fail(LUGE_EXPIRED, "the state behind transaction %llu is gone: "
                    "it has a fork of a snapshot that was dropped since",
                    (unsigned long long)a->seq);
    return fail(LUGE_EXPIRED, "the state behind transaction %llu is gone: the "
                "log reaches back to %llu, and no earlier state is kept from "
                "which it leads there", (unsigned long long)a->seq,
                (unsigned long long)oldest);
}

static int build_from_any(struct asof *a)
{
    struct base b;
    u64 below = a->seq + 1;
    int rc;
    while (!(rc = choose_base(a, below, &b))) {
        rc = build(a, &b);
        /* Does the log not even reach back to this one? */
        if (rc != LUGE_EXPIRED || !a->reader.seq) return rc;
        if (b.kind == BASE_SNAPSHOT) a->lost = true;
        below = b.seq;
    }
    return rc == LUGE_NOTFOUND ? LUGE_EXPIRED : rc;
}

/* Between two looks a checkpoint may have passed, and taken the log with it. */
static int build_with_patience(struct asof *a)
{
    struct txn_head before, now;
    head_copy(a->env, &now);
    for (int i = 0; i < TRIES_MAX; i++) {
        before = now;
        int rc = build_from_any(a);
        head_copy(a->env, &now);
        if (rc != LUGE_EXPIRED) return rc;
        if (now.checkpoint == before.checkpoint) break;
    }
    return is_gone(a);
}

static int check_seq(const struct asof *a)
{
    u64 newest = a->now->version.seq;
    if (!a->seq) return fail(LUGE_INVALID, "transactions begin at 1");
    if (a->seq <= newest) return 0;
    return fail(LUGE_NOTFOUND, "there is no transaction %llu yet: the newest "
                "is %llu", (unsigned long long)a->seq,
                (unsigned long long)newest);
}

int asof_begin(struct env *e, u64 seq, struct luge_txn **txn)
{
    struct asof a = {.env = e, .seq = seq};
    int rc = txn_begin(e, LUGE_READ, &a.now);
    if (rc) return rc;
    rc = check_seq(&a);
    if (!rc && seq == a.now->version.seq) {
        *txn = a.now;
        return 0;
    }
    if (!rc) rc = tail_flush(e, seq, e->options.busy_timeout_ms);
    if (!rc) rc = feed_reader_open(&a.reader, e);
    if (!rc) rc = build_with_patience(&a);
    if (a.reader.env) feed_reader_close(&a.reader);
    txn_abort(a.now);
    *txn = a.txn;
    return rc;
}

/* --------------------------------------------------------------- times -- */

int asof_seq(struct env *e, u64 time_ns, u64 *seq)
{
    struct feed_reader r;
    u64 shown = atomic_load(&e->share.m->shown);
    int rc = feed_reader_open(&r, e);
    if (rc) return rc;
    rc = feed_reader_seek_time(&r, time_ns);
    *seq = min_u64(r.seq, shown);
    feed_reader_close(&r);
    return rc;
}

int asof_time(struct env *e, u64 seq, u64 *time_ns)
{
    struct feed_reader r;
    struct feed_record record;
    struct txn_head now;
    head_copy(e, &now);
    if (seq == now.seq) {
        *time_ns = now.time_ns;
        return 0;
    }
    if (seq > now.seq || !seq)
        return fail(LUGE_NOTFOUND, "there is no transaction %llu",
                    (unsigned long long)seq);
    if (seq == EMPTY_SEQ)
        return fail(LUGE_EXPIRED, "nobody knows when the database was made");
    int rc = feed_reader_open(&r, e);
    if (rc) return rc;
    rc = feed_reader_seek(&r, seq - 1);
    if (!rc) rc = feed_read(&r, seq, &record);
    if (!rc) *time_ns = record.time_ns;
    feed_reader_close(&r);
    return rc;
}

/* The oldest snapshot of everything that the log, which begins behind record
 * FROM, leads on from; if there is one before *seq. */
static int oldest_snapshot(struct view *v, u64 from, u64 *seq)
{
    u8 name[LUGE_NAME_SIZE_MAX];
    size_t size = 0;
    struct snapshot_record s;
    int rc;
    while (!(rc = whole_after(v, name, &size, &s)))
        if (s.seq > from && s.seq < *seq) *seq = s.seq;
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int asof_oldest(struct env *e, u64 *seq)
{
    struct luge_txn *now;
    struct txn_head head;
    u64 from = 0;
    if (log_is_whole(e)) {
        *seq = EMPTY_SEQ;
        return 0;
    }
    int rc = txn_begin(e, LUGE_READ, &now);
    if (rc) return rc;
    head_copy(e, &head);
    *seq = min_u64(head.checkpoint, now->version.seq);
    rc = feed_oldest(e, &from);
    if (!rc) rc = oldest_snapshot(&now->view, from, seq);
    txn_abort(now);
    return rc;
}
