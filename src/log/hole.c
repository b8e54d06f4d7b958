/* log/hole.c -- what is behind the place where the log ends.
 *
 * Usually zeros, old bytes of a recycled segment, or a tail that power loss
 * left incomplete.  But if a later frame says that a record before it was
 * durable (L6), then the log has a hole, and ending there would lose it.
 *   O1  A frame is believed only if its sum holds, seeded with the sum field of
 *       a possible frame before it.  Its claim was true when it was written, so
 *       it does not matter which life of the segment it comes from.
 * Nothing here runs but in recovery.  Not here: what to do about a hole.
 */
#include "log/log.h"

/* A malformed file must not cost more than reading it a few times. */
enum { HASHED_SEGMENTS_MAX = 4 };

struct search {
    struct log *log;
    struct log_segment *segment;
    u64 room;               /* no frame stands behind it */
    u64 seq, durable;
    u64 budget;             /* bytes still to be hashed at most */
    struct log_data data;
};

/* Holes are skipped: they take long, and may not be read (os.h: data). */
static bool is_data(struct search *s, u64 at, u64 size)
{
    return log_is_data(s->log, s->segment, at, size, &s->data);
}

static void believe(struct search *s, const struct log_frame *frame)
{
    s->durable = max_u64(s->durable, frame->durable);
}

/* A frame may begin at AT; then its successor's place is *next. */
static bool possible(const struct search *s, u64 at, u64 *next)
{
    const u8 *p = s->segment->base + at;
    u64 size = load32(p), seq = load64(p + 8);
    if (p[4] != LOG_MORE && p[4] != LOG_LAST) return false;
    if (seq < s->seq || seq >= (u64)1 << 56) return false;
    *next = at + round_up(LOG_FRAME_HEAD + size, 8);
    return *next + LOG_FRAME_HEAD <= s->room;
}

static bool valid(struct search *s, u64 at, u64 chain, struct log_frame *frame)
{
    if (!is_data(s, at, LOG_FRAME_HEAD)) return false;
    u64 cost = (u64)LOG_FRAME_HEAD + load32(s->segment->base + at);
    if (cost > s->budget || !is_data(s, at, cost)) return false;
    s->budget -= cost;
    return log_frame_at(s->log, s->segment, at, s->room, chain, frame);
}

static u64 sum_at(const struct search *s, u64 at)
{
    return load64(s->segment->base + at + LOG_FRAME_HEAD - 8);
}

static void search_from(struct search *s, u64 at)
{
    struct log_frame frame;
    u64 next;
    while (at <= s->room && s->room - at >= LOG_FRAME_HEAD) {
        if (!is_data(s, at, LOG_FRAME_HEAD)) {
            at = s->data.from > at ? s->data.from : s->data.to;
            continue;
        }
        if (!possible(s, at, &next) ||
            !valid(s, next, sum_at(s, at), &frame)) {
            at += 8;
            continue;
        }
        believe(s, &frame);                                       /* O1 */
        at = next;
    }
}

/* The first frame stands on the header; it may be the damaged thing. */
static void search_first(struct search *s, const struct log_header *header)
{
    struct log_frame frame;
    if (s->room >= LOG_DATA_AT + LOG_FRAME_HEAD &&
        valid(s, LOG_DATA_AT, header->sum, &frame))
        believe(s, &frame);
}

/* How long a segment is, its header knows: a damaged file may have grown to
 * terabytes of nothing.  Without a header it is taken for a usual one. */
static int search_segment(struct search *s, u64 number, u64 at)
{
    struct log_header header;
    int rc = log_segment_get(s->log, number, &s->segment);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    rc = log_segment_map(s->log, s->segment);
    if (!rc) rc = log_read_header(s->log, s->segment, &header);
    bool begun = !rc;
    s->room = min_u64(s->segment->size, begun ? header.bytes
                                              : LOG_SEGMENT_MAX);
    s->budget = HASHED_SEGMENTS_MAX * s->room;
    s->data = (struct log_data){0};
    if (begun && at == LOG_DATA_AT) search_first(s, &header);
    if (!rc || rc == LUGE_NOTFOUND) {
        search_from(s, at);
        rc = 0;
    }
    log_segment_put(s->log, s->segment);
    return rc == LUGE_CORRUPT ? 0 : rc;       /* shorter than a header */
}

int log_claimed(struct log *log, const struct log_position *at, u64 seq,
                u64 *durable)
{
    struct search s = {.log = log, .seq = seq};
    u64 *numbers;
    size_t count;
    int rc = log_list(log, at->segment + 1, UINT64_MAX, &numbers, &count);
    if (!rc) rc = search_segment(&s, at->segment, at->offset);
    for (size_t i = 0; i < count && !rc; i++)
        rc = search_segment(&s, numbers[i], LOG_DATA_AT);
    base_free(numbers);
    *durable = s.durable;
    return rc;
}
