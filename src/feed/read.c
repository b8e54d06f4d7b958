/* feed/read.c -- reading records while others append, and while the oldest
 * segments are recycled (read.h: F1, F2).
 * Not here: waiting for more.
 */
#include "feed/read.h"

enum { FIRST_SEQ = 1 };         /* the empty database: no record */

static bool same_place(const struct log_position *a,
                       const struct log_position *b)
{
    return a->segment == b->segment && a->offset == b->offset &&
           a->chain == b->chain;
}

int feed_reader_open(struct feed_reader *r, struct env *e)
{
    memset(r, 0, sizeof *r);
    r->env = e;
    return log_open(&r->log, e->os, e->log.directory, e->instance);
}

static void rewind_reader(struct feed_reader *r)
{
    if (r->scanning) log_scan_end(&r->scan);
    r->scanning = r->ahead = false;
    r->payload.size = 0;
}

void feed_reader_close(struct feed_reader *r)
{
    rewind_reader(r);
    log_close(&r->log);
    base_buffer_free(&r->payload);
}

void feed_reader_to(struct feed_reader *r, u64 seq,
                    const struct log_position *at)
{
    rewind_reader(r);
    r->seq = seq;
    r->at = *at;
}

void feed_reader_to_end(struct feed_reader *r, u64 *time_ns)
{
    struct txn_head now;
    head_copy(r->env, &now);
    if (time_ns) *time_ns = now.time_ns;
    feed_reader_to(r, now.seq, &now.log);
}

/* ---------------------------------------------------------------- read -- */

static bool is_gone(const struct feed_reader *r, u64 segment)
{
    atomic_thread_fence(memory_order_seq_cst);
    return segment < atomic_load(&r->env->share.m->log_oldest);
}

/* The way back begins with knowing how far the log still goes. */
static int gone(const struct feed_reader *r, u64 seq)
{
    u64 oldest;
    if (feed_oldest(r->env, &oldest))
        return fail(LUGE_EXPIRED, "the log no longer holds what follows "
                    "transaction %llu", (unsigned long long)seq);
    return fail(LUGE_EXPIRED, "the log no longer holds what follows "
                "transaction %llu, but only what follows %llu",
                (unsigned long long)seq, (unsigned long long)oldest);
}

/* What went wrong may be that the segment is another's by now. */
static int failed(struct feed_reader *r, int rc)
{
    if (is_gone(r, r->at.segment)) rc = gone(r, r->seq);
    rewind_reader(r);
    return rc;
}

/* How far one may read from AT on: as far as the log's file goes.  Who began
 * at the end may stand behind that, until a tail is written (txn/tail.c). */
static const struct log_position *end_from(const struct log_position *at,
                                           const struct txn_head *now)
{
    bool behind = at->segment > now->written.segment ||
                  (at->segment == now->written.segment &&
                   at->offset > now->written.offset);
    return behind ? at : &now->written;
}

static void begin_scan(struct feed_reader *r)
{
    struct txn_head now;
    head_copy(r->env, &now);
    log_scan_begin(&r->scan, &r->log, &r->at, end_from(&r->at, &now));
    r->scanning = true;
}

/* NOTFOUND: nothing was appended since. */
static int extend_scan(struct feed_reader *r)
{
    struct txn_head now;
    head_copy(r->env, &now);
    const struct log_position *end = end_from(&r->scan.end, &now);
    if (same_place(end, &r->scan.end)) return LUGE_NOTFOUND;
    log_scan_extend(&r->scan, end);
    return 0;
}

/* Read a frame ahead. */
static int look_ahead(struct feed_reader *r)
{
    if (!r->scanning) begin_scan(r);
    u64 segment = r->scan.at.segment;
    int rc = log_next(&r->scan, &r->frame);
    while (rc == LUGE_NOTFOUND && !(rc = extend_scan(r)))
        rc = log_next(&r->scan, &r->frame);
    if (rc == LUGE_NOTFOUND && !is_gone(r, r->at.segment)) return rc;
    if (rc) return failed(r, rc);
    r->ahead = true;
    if (r->scan.at.segment != segment) log_trim(&r->log);
    return 0;
}

/* The bytes may change while they are read (F2): op_decode stays within them
 * whatever they are. */
static int keep_some(struct feed_reader *r, luge_bytes payload)
{
    const u8 *at = payload.data, *end = at + payload.size, *start = at;
    struct op op;
    int rc;
    while (!(rc = op_decode(&at, end, &op))) {
        if (r->keeps(r->context, &op))
            rc = base_buffer_add(&r->payload, start, (size_t)(at - start));
        if (rc) return rc;
        start = at;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int take_frame(struct feed_reader *r)
{
    const struct log_frame *f = &r->frame;
    if (f->seq != r->seq + 1)
        return CORRUPT("record %llu follows record %llu in the log",
                       (unsigned long long)f->seq,
                       (unsigned long long)r->seq);
    r->ahead = false;
    if (r->keeps) return keep_some(r, f->payload);
    return base_buffer_add(&r->payload, f->payload.data, f->payload.size);
}

int feed_read(struct feed_reader *r, u64 limit, struct feed_record *record)
{
    if (r->seq >= limit) return LUGE_NOTFOUND;
    r->payload.size = 0;
    do {
        int rc = r->ahead ? 0 : look_ahead(r);
        if (rc) return rc;
        if (r->frame.seq > limit) return LUGE_NOTFOUND;
        rc = take_frame(r);
        if (rc) return failed(r, rc);
    } while (r->frame.kind != LOG_LAST);
    if (is_gone(r, r->at.segment)) return failed(r, LUGE_EXPIRED);  /* F2 */
    r->seq = r->frame.seq;
    r->at = r->scan.at;
    *record = (struct feed_record){
        r->seq, r->frame.time_ns, r->payload.data,
        r->payload.data + r->payload.size,
    };
    return 0;
}

/* ---------------------------------------------------------------- seek -- */

/* Where segment NUMBER begins, and behind which record one may stand there: its
 * first frame may continue a record of the segment before. */
static int segment_floor(struct feed_reader *r, u64 number,
                         struct log_position *at, u64 *seq)
{
    int rc = log_segment_start(&r->log, number, at, seq);
    log_trim(&r->log);
    if (!rc && number == 1) *seq = FIRST_SEQ;
    return rc;
}

/* Read on behind record SEQ; frames of records that began before the segment
 * are passed over. */
static int scan_to(struct feed_reader *r, const struct log_position *from,
                   u64 seq)
{
    struct log_scan scan;
    struct log_frame frame;
    struct txn_head now;
    int rc;
    head_copy(r->env, &now);
    log_scan_begin(&scan, &r->log, from, &now.written);
    while (!(rc = log_next(&scan, &frame)))
        if (frame.seq >= seq && frame.kind == LOG_LAST) break;
    struct log_position at = scan.at;
    log_scan_end(&scan);
    if (!rc && frame.seq != seq)
        rc = CORRUPT("record %llu is missing in the log",
                     (unsigned long long)seq);
    if (rc && is_gone(r, from->segment)) rc = gone(r, seq);
    if (!rc) feed_reader_to(r, seq, &at);
    return rc;
}

static int seek_in(struct feed_reader *r, u64 number, u64 seq)
{
    struct log_position at;
    u64 floor;
    int rc = segment_floor(r, number, &at, &floor);
    if (!rc && floor > seq) rc = LUGE_NOTFOUND;
    if (rc) return rc;
    if (floor != seq || at.segment != 1) return scan_to(r, &at, seq);
    feed_reader_to(r, seq, &at);
    return 0;
}

/* In the newest segment in which one may stand behind SEQ, up to NEWEST.  One
 * that was begun and never belonged to the log (log.h L5) leads nowhere: then
 * an older one does. */
static int seek_below(struct feed_reader *r, u64 newest, u64 seq)
{
    u64 *numbers, oldest = atomic_load(&r->env->share.m->log_oldest);
    size_t count;
    int rc = log_list(&r->log, oldest, newest, &numbers, &count), worst = 0;
    while (!rc && count) {
        rc = seek_in(r, numbers[--count], seq);
        if (!rc) goto done;
        if (rc != LUGE_CORRUPT && rc != LUGE_NOTFOUND) goto done;
        if (rc == LUGE_CORRUPT) worst = rc;
        rc = 0;
    }
    if (!rc) rc = worst;
    if (!rc) rc = gone(r, seq);
done:
    base_free(numbers);
    return rc;
}

int feed_reader_seek(struct feed_reader *r, u64 seq)
{
    struct txn_head now;
    if (seq < FIRST_SEQ) seq = FIRST_SEQ;
    head_copy(r->env, &now);
    if (seq > now.seq)
        return fail(LUGE_INVALID, "transaction %llu is not committed yet: the "
                    "newest is %llu", (unsigned long long)seq,
                    (unsigned long long)now.seq);
    if (seq == now.seq) {
        feed_reader_to(r, seq, &now.log);
        return 0;
    }
    int rc = tail_flush(r->env, seq + 1, r->env->options.busy_timeout_ms);
    return rc ? rc : seek_below(r, now.log.segment, seq);
}

/* Times only rise.  Read on behind the last record up to TIME_NS, from the
 * begin of segment NUMBER on.  NOTFOUND: its first one is younger. */
static int scan_to_time(struct feed_reader *r, u64 number, u64 time_ns)
{
    struct log_position from, at;
    struct log_scan scan;
    struct log_frame frame;
    struct txn_head now;
    u64 floor, seq = 0;
    int rc = segment_floor(r, number, &from, &floor);
    if (rc) return rc;
    head_copy(r->env, &now);
    log_scan_begin(&scan, &r->log, &from, &now.written);
    while (!(rc = log_next(&scan, &frame)) && frame.time_ns <= time_ns) {
        if (frame.kind != LOG_LAST) continue;
        seq = frame.seq;
        at = scan.at;
    }
    log_scan_end(&scan);
    log_trim(&r->log);
    if (is_gone(r, number)) return LUGE_NOTFOUND;
    if (rc && rc != LUGE_NOTFOUND) return rc;
    if (!seq) return LUGE_NOTFOUND;
    feed_reader_to(r, seq, &at);
    return 0;
}

static int too_early(struct feed_reader *r, u64 oldest)
{
    if (oldest <= 1 && !log_exists(&r->log, 1))
        return fail(LUGE_NOTFOUND, "the first transaction is younger");
    return fail(LUGE_EXPIRED, "the log no longer reaches back to that time");
}

int feed_reader_seek_time(struct feed_reader *r, u64 time_ns)
{
    struct txn_head now;
    head_copy(r->env, &now);
    if (time_ns >= now.time_ns) {
        feed_reader_to(r, now.seq, &now.log);
        return 0;
    }
    u64 *numbers, oldest = atomic_load(&r->env->share.m->log_oldest);
    size_t count;
    int worst = 0;
    int rc = tail_flush(r->env, UINT64_MAX, r->env->options.busy_timeout_ms);
    if (rc) return rc;
    rc = log_list(&r->log, oldest, now.log.segment, &numbers, &count);
    if (rc) return rc;
    rc = LUGE_NOTFOUND;
    while (count && (rc == LUGE_NOTFOUND || rc == LUGE_CORRUPT)) {
        rc = scan_to_time(r, numbers[--count], time_ns);
        if (rc == LUGE_CORRUPT) worst = rc; /* as in seek_below */
    }
    base_free(numbers);
    if (rc == LUGE_NOTFOUND) rc = worst ? worst : too_early(r, oldest);
    return rc;
}

int feed_oldest(struct env *e, u64 *seq)
{
    struct feed_reader r;
    struct log_position at;
    struct txn_head now;
    int rc = feed_reader_open(&r, e);
    if (rc) return rc;
    head_copy(e, &now);
    u64 *numbers;
    size_t count;
    rc = log_list(&e->log, atomic_load(&e->share.m->log_oldest),
                  now.log.segment, &numbers, &count);
    if (!rc) rc = LUGE_NOTFOUND;
    for (size_t i = 0; i < count && rc == LUGE_NOTFOUND; i++)
        rc = segment_floor(&r, numbers[i], &at, seq);
    base_free(numbers);
    feed_reader_close(&r);
    return rc;
}
