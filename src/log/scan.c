/* log/scan.c -- reading the log from a position to where it ends.
 *
 * The end is where no frame validates, and no next segment says that it begins
 * there (L1).  Everything read from the file is checked before it is believed.
 * Not here: what the payloads mean.
 */
#include "log/log.h"

int log_read_header(struct log *log, struct log_segment *segment,
                    struct log_header *header)
{
    if (segment->size < LOG_DATA_AT) return LUGE_NOTFOUND;
    int rc = log->os->read(segment->file, header, sizeof *header, 0);
    if (rc) return rc;
    u64 sum = base_hash(header, offsetof(struct log_header, sum),
                        segment->number);
    if (memcmp(header->magic, "lugelog", 8) || header->sum != sum ||
        header->number != segment->number ||
        memcmp(header->instance, log->instance, 16))
        return LUGE_NOTFOUND;            /* ready, not yet begun */
    return 0;
}

int log_segment_start(struct log *log, u64 number, struct log_position *at,
                      u64 *first_seq)
{
    struct log_segment *segment;
    struct log_header header;
    int rc = log_segment_get(log, number, &segment);
    if (rc) return rc;
    rc = log_read_header(log, segment, &header);
    log_segment_put(log, segment);
    if (rc) return rc;
    *at = (struct log_position){number, LOG_DATA_AT, header.sum};
    *first_seq = header.first_seq;
    return 0;
}

void log_scan_begin(struct log_scan *scan, struct log *log,
                    const struct log_position *at,
                    const struct log_position *end)
{
    memset(scan, 0, sizeof *scan);
    scan->log = log;
    scan->at = *at;
    scan->to_end = end != NULL;
    if (end) scan->end = *end;
}

void log_scan_end(struct log_scan *scan)
{
    if (scan->segment) log_segment_put(scan->log, scan->segment);
    scan->segment = NULL;
}

void log_scan_extend(struct log_scan *scan, const struct log_position *end)
{
    bool other = !scan->to_end || scan->end.segment != end->segment;
    scan->to_end = true;
    scan->end = *end;
    /* The segment may have a successor now: enter() finds it. */
    if (other) log_scan_end(scan);
}

static int peek_header(struct log *log, u64 number, struct log_header *header)
{
    struct log_segment *segment;
    int rc = log_segment_get(log, number, &segment);
    if (rc) return rc;
    rc = log_read_header(log, segment, header);
    log_segment_put(log, segment);
    if (rc == LUGE_NOTFOUND) log_forget(log, number); /* it may yet grow */
    return rc;
}

static bool first_of_generation(u64 number)
{
    return number == log_generation_start(log_generation(number));
}

/* Does segment N begin where segment HERE ends?  1: yes. */
static int continues(struct log *log, u64 n, u64 here,
                     struct log_header *header)
{
    int rc = peek_header(log, n, header);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    return header->previous_segment == here;
}

static int has_frame(struct log *log, u64 number, u64 chain)
{
    struct log_segment *segment;
    struct log_frame frame;
    struct log_data data = {0};
    int rc = log_segment_get(log, number, &segment);
    if (rc) return rc;
    rc = log_segment_map(log, segment);
    if (!rc)
        rc = log_frame_found(log, segment, LOG_DATA_AT, segment->size, chain,
                             &data, &frame);
    log_segment_put(log, segment);
    return rc;
}

/* Of several segments begun after thefts at the same place all but one belong
 * to thieves who lost: nobody ever wrote to them nor went on from them. */
static int went_on(struct log *log, const struct log_header *header,
                   const u64 *numbers, size_t count)
{
    struct log_header next;
    int rc = has_frame(log, header->number, header->sum);
    if (!rc) rc = continues(log, header->number + 1, header->number, &next);
    for (size_t i = 0; i < count && !rc; i++)
        if (numbers[i] > header->number && first_of_generation(numbers[i]))
            rc = continues(log, numbers[i], header->number, &next);
    return rc;
}

/* Which segment continues this one, and does it end it early (L5)? */
static int choose_successor(struct log_scan *scan, const u64 *numbers,
                            size_t count)
{
    struct log_header header;
    u64 here = scan->at.segment, wanted = scan->to_end ? scan->end.segment : 0;
    int rc = 0;
    bool sure = false;
    for (size_t i = count; i-- && !sure;) {
        u64 n = numbers[i];
        if (n != here + 1 && !first_of_generation(n)) continue;
        rc = continues(scan->log, n, here, &header);
        if (rc < 0) return rc;
        if (!rc) continue;
        if (!(header.flags & LOG_AFTER_THEFT)) {
            if (!scan->successor) scan->successor = n;
            continue;
        }
        scan->limit = header.previous_offset;
        rc = n == wanted ? 1 : went_on(scan->log, &header, numbers, count);
        if (rc < 0) return rc;
        sure = rc != 0;
        if (sure || !scan->successor) scan->successor = n;
    }
    return 0;
}

static int find_successor(struct log_scan *scan)
{
    u64 *numbers, here = scan->at.segment;
    size_t count;
    scan->limit = UINT64_MAX;
    scan->successor = 0;
    if (scan->to_end && scan->end.segment == here) return 0;
    int rc = log_list(scan->log, here + 1, UINT64_MAX, &numbers, &count);
    if (!rc) rc = choose_successor(scan, numbers, count);
    base_free(numbers);
    return rc;
}

static int enter(struct log_scan *scan)
{
    log_scan_end(scan);
    scan->data = (struct log_data){0};
    int rc = log_segment_get(scan->log, scan->at.segment, &scan->segment);
    if (!rc) rc = log_segment_map(scan->log, scan->segment);
    if (!rc) rc = find_successor(scan);
    return rc;
}

static int follow(struct log_scan *scan)
{
    struct log_header header;
    if (!scan->successor) return LUGE_NOTFOUND;
    int rc = peek_header(scan->log, scan->successor, &header);
    if (rc) return rc;
    if (header.previous_offset != scan->at.offset ||
        header.previous_chain != scan->at.chain)
        return LUGE_NOTFOUND;
    scan->at = (struct log_position){scan->successor, LOG_DATA_AT, header.sum};
    return enter(scan);
}

/* The frame at P, of which ROOM bytes may be read. */
static bool valid_frame(const struct log *log, const u8 *p, u64 room,
                        u64 chain, struct log_frame *frame)
{
    u32 size = load32(p);
    if (size > room - LOG_FRAME_HEAD) return false;
    frame->kind = p[4];
    frame->flags = p[5];
    frame->seq = load64(p + 8);
    frame->time_ns = load64(p + 16);
    frame->durable = load64(p + 24);
    frame->payload = luge_bytes_of(p + LOG_FRAME_HEAD, size);
    if (frame->kind != LOG_MORE && frame->kind != LOG_LAST) return false;
    return load64(p + 32) == log_frame_sum(log, p, size, chain);
}

bool log_frame_at(const struct log *log, const struct log_segment *segment,
                  u64 at, u64 room, u64 chain, struct log_frame *frame)
{
    if (at > room || room - at < LOG_FRAME_HEAD) return false;
    return valid_frame(log, segment->base + at, room - at, chain, frame);
}

bool log_is_data(const struct log *log, const struct log_segment *segment,
                 u64 at, u64 size, struct log_data *data)
{
    if (at < data->from || at >= data->to || size > data->to - at)
        log->os->data(segment->file, at, &data->from, &data->to);
    return data->from <= at && size <= data->to - at;
}

bool log_frame_found(const struct log *log, const struct log_segment *segment,
                     u64 at, u64 room, u64 chain, struct log_data *data,
                     struct log_frame *frame)
{
    if (at > room || room - at < LOG_FRAME_HEAD ||
        !log_is_data(log, segment, at, LOG_FRAME_HEAD, data))
        return false;
    u64 size = (u64)LOG_FRAME_HEAD + load32(segment->base + at);
    return size <= room - at && log_is_data(log, segment, at, size, data) &&
           log_frame_at(log, segment, at, room, chain, frame);
}

u64 log_frames_at(const struct log *log, const struct log_position *at,
                  const u8 *frames, u64 size)
{
    struct log_frame frame;
    u64 chain = at->chain, done = 0;
    while (size - done >= LOG_FRAME_HEAD &&
           valid_frame(log, frames + done, size - done, chain, &frame)) {
        u64 bytes = log_frame_bytes((u32)frame.payload.size);
        if (bytes > size - done) break;
        chain = load64((const u8 *)frame.payload.data - 8);
        done += bytes;
    }
    return done;
}

static bool frame_here(struct log_scan *scan, struct log_frame *frame)
{
    const struct log_segment *s = scan->segment;
    u64 at = scan->at.offset, room = min_u64(s->size, scan->limit);
    return scan->to_end ? log_frame_at(scan->log, s, at, room, scan->at.chain,
                                       frame)
                        : log_frame_found(scan->log, s, at, room,
                                          scan->at.chain, &scan->data, frame);
}

static bool at_end(const struct log_scan *scan)
{
    return scan->to_end && scan->at.segment == scan->end.segment &&
           scan->at.offset == scan->end.offset;
}

static int no_frame(const struct log_scan *scan)
{
    /* After a theft the end is where a segment begins. */
    if (!scan->to_end || at_end(scan)) return LUGE_NOTFOUND;
    return CORRUPT("log segment %llu is unreadable at offset %llu",
                   (unsigned long long)scan->at.segment,
                   (unsigned long long)scan->at.offset);
}

int log_next(struct log_scan *scan, struct log_frame *frame)
{
    int rc = 0;
    if (at_end(scan)) return LUGE_NOTFOUND;
    if (!scan->segment) rc = enter(scan);
    while (!rc && !frame_here(scan, frame)) {
        rc = follow(scan);
        if (!rc && at_end(scan)) return LUGE_NOTFOUND; /* a thief's new one */
    }
    if (rc == LUGE_NOTFOUND) return no_frame(scan);
    if (rc) return rc;
    scan->at.chain = load64((const u8 *)frame->payload.data - 8);
    scan->at.offset += round_up(LOG_FRAME_HEAD + frame->payload.size, 8);
    return 0;
}

bool log_goes_on(struct log *log, const struct log_position *at)
{
    struct log_scan scan;
    struct log_frame frame;
    log_scan_begin(&scan, log, at, NULL);
    int rc = log_next(&scan, &frame);
    log_scan_end(&scan);
    /* A segment that does not count yet may still grow. */
    if (scan.at.segment != at->segment) log_forget(log, scan.at.segment);
    return rc != LUGE_NOTFOUND;
}
