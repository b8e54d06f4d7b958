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

/* Which segment continues this one (L5), and does it end it early (L6)? */
static int find_successor(struct log_scan *scan)
{
    struct log_header header;
    u64 here = scan->at.segment, oldest, newest;
    scan->limit = UINT64_MAX;
    scan->successor = 0;
    if (scan->to_end && scan->end.segment == here) return 0;
    int rc = log_span(scan->log, &oldest, &newest);
    if (rc) return rc;
    for (u64 n = newest; n > here; n--) {
        rc = peek_header(scan->log, n, &header);
        if (rc == LUGE_NOTFOUND) continue;
        if (rc) return rc;
        if (header.previous_segment != here) continue;
        scan->successor = n;
        if (!(header.flags & LOG_AFTER_THEFT)) continue;
        scan->limit = header.previous_offset;
        return 0;
    }
    return 0;
}

static int enter(struct log_scan *scan)
{
    log_scan_end(scan);
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

static bool frame_here(const struct log_scan *scan, struct log_frame *frame)
{
    u64 room = min_u64(scan->segment->size, scan->limit), at = scan->at.offset;
    if (at > room || room - at < LOG_FRAME_HEAD) return false;
    const u8 *p = scan->segment->base + at;
    u32 size = load32(p);
    if (size > room - at - LOG_FRAME_HEAD) return false;
    frame->kind = p[4];
    frame->flags = p[5];
    frame->seq = load64(p + 8);
    frame->time_ns = load64(p + 16);
    frame->payload = luge_bytes_of(p + LOG_FRAME_HEAD, size);
    if (frame->kind != LOG_MORE && frame->kind != LOG_LAST) return false;
    return load64(p + 24) == log_frame_sum(p, size, scan->at.chain);
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
