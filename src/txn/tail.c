/* txn/tail.c -- the end of the log that only shared memory has, for a while.
 *
 *   file:  ... frame | frame |                   written
 *   tail:                    | frame | frame |   log
 *
 * An asynchronous commit survives the death of its process once its record is
 * outside of that process's own memory.  A store into shared memory does it as
 * well as a write to the file, and costs no system call: a put of 5.0 us became
 * one of 3.9 (put-async-t1, both cores busy).
 *   A1  Frames go to the tail only while this process is alone and nobody
 *       watches: then nobody reads the log's file.  Whoever comes to read it (a
 *       reader who replays, a validation, a watch, a checkpoint), to sync it or
 *       to append to it takes the turn first, and writes the tail to the file.
 *       A record that somebody waits for goes there only while a sync is led:
 *       the next leader writes all that have gathered at once.
 *   A2  What is durable, is in the file: a sync covers `written`, not `log`.
 *   A3  Between `written` and `log` the tail is constant, whoever has the turn:
 *       it begins anew only behind a flip that has moved `written`.
 *   A4  The memory of dead processes is not trusted: what it has must continue
 *       the chain of the log's sums from where the file ends (log.h L1).
 *   A5  Who died between append and flip left a record behind the head's end.
 *       It never happened, so the next one takes its place in the file: in the
 *       tail it would leave it there, and recovery would find the wrong one.
 *   A6  The first record of a segment is in the file: without it recovery does
 *       not know that the log went on there (scan.c), nor that the tail does.
 *       It matters where a thief of the turn began the segment and left.
 * After a power loss the tail is gone, or continues the log: both may be.
 * Not here: when to sync; who reads the log.
 */
#include "txn/env.h"

enum { FLUSH_LOOK_MS = 20 };

bool tail_may_take(struct env *e, unsigned log_flags)
{
    struct share_memory *m = e->share.m;
    bool awaited = (log_flags & LOG_FULL) ||
                   atomic_load(&m->last_full) > atomic_load(&m->durable);
    return atomic_load(&m->attached) <= 1 &&
           !atomic_load(&m->watches_high) &&
           (!awaited || atomic_load(&m->leader));                    /* A1 */
}

/* Where the next frame of SIZE goes in the tail, or NULL. */
static u8 *find_room(struct env *e, struct txn_head *next, u32 size)
{
    struct share_memory *m = e->share.m;
    u64 need = log_frame_bytes(size), segment = next->log.segment;
    if (next->tail_segment != segment) {
        if (log_segment_bytes(&e->log, segment, &next->tail_limit))
            return NULL;
        next->tail_segment = segment;
    }
    u64 at = next->log.offset - next->written.offset;
    if (next->written.segment != segment || at + need > SHARE_TAIL_BYTES ||
        next->log.offset + need > next->tail_limit ||
        next->log.offset == LOG_DATA_AT)                           /* A6 */
        return NULL;
    if (e->end_unsure && log_goes_on(&e->log, &next->log))
        return NULL;                                               /* A5 */
    if (!at) {
        atomic_store(&m->tail.segment, segment);
        atomic_store(&m->tail.offset, next->written.offset);
    }
    return m->tail.bytes + at;
}

int tail_append(struct env *e, struct ops *ops, struct txn_head *next,
                unsigned log_flags)
{
    struct log_frame frame = {
        .seq = next->seq, .time_ns = next->time_ns, .flags = (u8)log_flags,
        .durable = atomic_load(&e->share.m->durable),
    };
    bool memory = tail_may_take(e, log_flags);
    int rc = 0;
    for (struct ops_chunk *c = ops->first; c && !rc; c = c->next) {
        u8 *room = memory ? find_room(e, next, c->size) : NULL;
        frame.kind = c == ops->last ? LOG_LAST : LOG_MORE;
        next->log_total += log_frame_bytes(c->size);
        if (room) {
            log_append_to(&e->log, &next->log, &frame, c->frame, c->size,
                          room);
            continue;
        }
        memory = false;                                            /* A3 */
        rc = tail_write(e, next);
        if (!rc) rc = log_append(&e->log, &next->log, &frame, c->frame,
                                 c->size);
        next->written = next->log;
    }
    if (!memory) next->written_seq = next->seq;
    return rc;
}

/* In the tail nobody else writes as long as we live (A1: he is not alone). */
int tail_take_back(struct env *e, const struct log_position *from,
                   const struct log_position *to)
{
    struct share_tail *tail = &e->share.m->tail;
    u64 skip = from->offset - atomic_load(&tail->offset);
    int rc = 0;
    if (atomic_load(&tail->segment) == from->segment &&
        skip <= SHARE_TAIL_BYTES - LOG_FRAME_HEAD) {
        memset(tail->bytes + skip, 0, LOG_FRAME_HEAD);
        rc = e->os->sync(e->share.shm_file);
    }
    return rc ? rc : log_take_back(&e->log, from, to);
}

int tail_write(struct env *e, struct txn_head *h)
{
    if (h->written.offset == h->log.offset) return 0;
    assert(h->written.segment == h->log.segment);
    int rc = log_write(&e->log, &h->written, &h->log, e->share.m->tail.bytes);
    if (!rc) h->written = h->log;
    return rc;
}

int tail_settle(struct env *e)
{
    struct txn_head next = *env_head(e);
    if (next.written_seq == next.seq) return 0;
    int rc = tail_write(e, &next);
    next.written_seq = next.seq;
    return rc ? rc : head_flip(e, &next, false);
}

static int take_settled(struct env *e, u32 wait_ms, head_may_fn *may)
{
    bool robbed, behind;
    int rc;
    do {
        rc = head_take_turn_lazily(e, wait_ms, may, NULL, &behind);
        if (rc) return rc;
        rc = tail_settle(e);
        robbed = rc && !share_turn_mine(&e->share);
        if (rc) head_release_turn(e);
    } while (robbed);
    return rc;
}

int tail_take_turn(struct env *e, u32 wait_ms)
{
    return take_settled(e, wait_ms, NULL);
}

/* For the log's file no version is needed. */
static bool may_always(struct env *e, const void *context)
{
    (void)e;
    (void)context;
    return true;
}

/* Whoever takes the turn for long does it first: so look again now and then. */
int tail_flush(struct env *e, u64 seq, u32 wait_ms)
{
    struct txn_head now;
    u32 waited_ms = 0;
    int rc = LUGE_BUSY;
    while (rc == LUGE_BUSY) {
        head_copy(e, &now);
        if (now.written_seq >= min_u64(seq, now.seq)) return 0;
        rc = take_settled(e, FLUSH_LOOK_MS, may_always);
        waited_ms += FLUSH_LOOK_MS;
        if (rc == LUGE_BUSY && waited_ms > wait_ms)
            return rc;
    }
    if (!rc) head_release_turn(e);
    return rc;
}

int tail_recover(struct env *e, const struct log_position *end, bool *more)
{
    struct share_memory *m = e->share.m;
    u64 skip = end->offset - atomic_load(&m->tail.offset), bytes = 0;
    struct log_position to = *end;
    *more = false;
    if (atomic_load(&m->tail.segment) != end->segment ||
        skip >= SHARE_TAIL_BYTES)
        return 0;
    int rc = log_segment_bytes(&e->log, end->segment, &bytes);
    if (rc || bytes < end->offset) return rc;
    to.offset += log_frames_at(&e->log, end, m->tail.bytes + skip,
                               min_u64(SHARE_TAIL_BYTES - skip,
                                       bytes - end->offset));
    *more = to.offset > end->offset;
    return *more ? log_write(&e->log, end, &to, m->tail.bytes + skip) : 0;
}
