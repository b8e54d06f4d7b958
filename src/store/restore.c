/* store/restore.c -- a database out of backups and the log.
 *
 *   for each backup of the streams:
 *     not beyond what is wanted:  its pages go to their places
 *     beyond it:                  its log is applied up to there
 *   then the log in a directory, up to there
 * Not here: the new database's files (restore_make.c).
 */
#include <stdio.h>

#include "store/restore.h"

bool restore_beyond(const struct restore *r, u64 seq, u64 time_ns)
{
    const struct luge_restore_options *o = r->options;
    if (o->seq) return seq > o->seq;
    return o->time_ns && time_ns > o->time_ns;
}

/* --------------------------------------------------------------- pages -- */

static int take_pages(struct restore *r, const struct backup_reader *in)
{
    u64 first = load64(in->payload), size = in->block.size - 8;
    u64 bytes = r->head.page_bytes, pages = size / bytes;
    if (size % bytes || first < 2 || first >= in->head.page_count ||
        pages > in->head.page_count - first)
        return CORRUPT("the backup has pages beyond its own count");
    r->done.pages += pages;
    return r->e->os->write(r->e->db, in->payload + 8, size, first * bytes);
}

/* -------------------------------------------------------------- frames -- */

static int land_frame(struct restore *r)
{
    struct log_frame frame = {
        .seq = r->next.seq, .time_ns = r->next.time_ns,
        .durable = r->next.durable, .kind = r->next.kind,
        .flags = r->next.flags,
    };
    if (frame.kind != LOG_MORE && frame.kind != LOG_LAST)
        return CORRUPT("a frame of kind %u in the backup", frame.kind);
    if (restore_beyond(r, frame.seq, frame.time_ns)) {
        r->reached = true;
        return 0;
    }
    return restore_append(r, &frame, r->frame.data, r->next.size);
}

static int add_piece(struct restore *r, const u8 *data, size_t size)
{
    if (size > r->next_left)
        return CORRUPT("a piece of a frame in the backup is too long");
    int rc = base_buffer_add(&r->frame, data, size);
    r->next_left -= size;
    return rc || r->next_left ? rc : land_frame(r);
}

static int take_frame(struct restore *r, const struct backup_reader *in)
{
    static const u8 room[LOG_FRAME_HEAD];
    if (r->next_left)
        return CORRUPT("a frame in the backup lacks its end");
    memcpy(&r->next, in->payload, sizeof r->next);
    r->next_left = r->next.size;
    r->frame.size = 0;
    int rc = base_buffer_add(&r->frame, room, sizeof room);
    if (!rc) rc = base_buffer_reserve(&r->frame, (size_t)r->next.size + 7);
    if (rc) return rc;
    return add_piece(r, in->payload + sizeof r->next,
                     in->block.size - sizeof r->next);
}

/* -------------------------------------------------------------- backup -- */

static int goes_on(const struct restore *r, const struct backup_head *h)
{
    static const u8 none[16];
    if (!r->any && memcmp(h->base, none, 16) != 0)
        return fail(LUGE_MISMATCH, "the first backup goes on from another, of "
                    "transaction %llu, which must come before it",
                    (unsigned long long)h->base_seq);
    if (!r->any) return 0;
    if (memcmp(h->base, r->head.id, 16) != 0 ||
        memcmp(h->instance, r->source, 16) != 0 ||
        h->page_bytes != r->head.page_bytes ||
        h->base_publication != r->head.publication)
        return fail(LUGE_MISMATCH, "the backup of transaction %llu does not go "
                    "on from the one of transaction %llu before it",
                    (unsigned long long)h->seq,
                    (unsigned long long)r->head.seq);
    return 0;
}

static void use_head(struct restore *r, const struct backup_head *h)
{
    r->head = *h;
    r->any = true;
    r->e->options.page_bytes = h->page_bytes;
    memcpy(r->source, h->instance, sizeof r->source);
    r->done.seq = h->seq;
    r->done.time_ns = h->time_ns;
}

/* The log of a backup beyond what is wanted. */
static int begin_beyond(struct restore *r, const struct backup_head *h)
{
    if (!r->any)
        return fail(LUGE_NOTFOUND, "the first backup is of transaction %llu, "
                    "which is later than what is wanted",
                    (unsigned long long)h->seq);
    r->ended = !(h->flags & 1);
    return r->ended || r->sealed ? 0 : restore_seal(r);
}

static int check_end(const struct backup_reader *in, u64 pages)
{
    if (pages == load64(in->payload) && pages == in->head.pages) return 0;
    return CORRUPT("the backup promises %llu pages and has %llu",
                   (unsigned long long)in->head.pages,
                   (unsigned long long)pages);
}

static int take_block(struct restore *r, const struct backup_reader *in,
                      bool log)
{
    switch (in->block.kind) {
    case BACKUP_PAGES:
        return log ? 0 : take_pages(r, in);
    case BACKUP_FRAME:
        return log ? take_frame(r, in) : 0;
    case BACKUP_PIECE:
        return log ? add_piece(r, in->payload, in->block.size) : 0;
    default:
        return CORRUPT("a second head within a backup");
    }
}

static int tell(const struct restore *r, struct backup_reader *in)
{
    in->done.pages = r->done.pages;
    in->done.records = r->done.records;
    in->done.pages_total = r->any ? in->head.pages : 0;
    return in->stream->progress
               ? in->stream->progress(in->stream->context, &in->done) : 0;
}

static int take_backup(struct restore *r, struct backup_reader *in)
{
    int rc = goes_on(r, &in->head);
    bool log = restore_beyond(r, in->head.seq, in->head.time_ns);
    u64 before = r->done.pages;
    if (rc) return rc;
    if (log) rc = begin_beyond(r, &in->head);
    else use_head(r, &in->head);
    while (!rc && !r->reached && !r->ended) {
        rc = backup_read_block(in);
        if (!rc && in->block.kind == BACKUP_END)
            return log ? 0 : check_end(in, r->done.pages - before);
        if (!rc) rc = take_block(r, in, log);
        if (!rc) rc = tell(r, in);
    }
    return rc;
}

static int take_stream(struct restore *r,
                       const struct luge_backup_stream *stream)
{
    struct backup_reader in = {.stream = stream};
    int rc = backup_reader_open(&in);
    while (!rc && !r->reached && !r->ended && !(rc = backup_read_head(&in)))
        rc = take_backup(r, &in);
    backup_reader_close(&in);
    return rc == LUGE_NOTFOUND && r->any ? 0 : rc;
}

/* ----------------------------------------------------------- a log's end -- */

static int append_scanned(struct restore *r, const struct log_frame *f)
{
    static const u8 room[LOG_FRAME_HEAD];
    r->frame.size = 0;
    int rc = base_buffer_add(&r->frame, room, sizeof room);
    if (!rc)
        rc = base_buffer_add(&r->frame, f->payload.data, f->payload.size);
    if (!rc) rc = base_buffer_reserve(&r->frame, 7);
    return rc ? rc : restore_append(r, f, r->frame.data,
                                    (u32)f->payload.size);
}

/* Apply what stands behind AT.  NOTFOUND: the next record does not. */
static int apply_from(struct restore *r, struct log *log,
                      const struct log_position *at)
{
    struct log_scan scan;
    struct log_frame frame;
    u64 before = r->done.seq, seen = 0;
    int rc = 0;
    log_scan_begin(&scan, log, at, NULL);
    while (!rc && !r->reached && !(rc = log_next(&scan, &frame))) {
        seen = frame.kind == LOG_LAST ? frame.seq : seen;
        if (frame.seq <= before) continue;
        if (frame.seq > r->done.seq + 1) break;
        r->reached = restore_beyond(r, frame.seq, frame.time_ns);
        if (!r->reached) rc = append_scanned(r, &frame);
    }
    r->log_end = scan.at;
    log_scan_end(&scan);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    return seen >= before ? 0 : LUGE_NOTFOUND;
}

/* A segment leads on if one may stand behind the last record where it begins:
 * its first frame may be the second half of record first_seq. */
static int try_segment(struct restore *r, struct log *log, u64 number)
{
    struct log_position at;
    u64 first_seq;
    int rc = log_segment_start(log, number, &at, &first_seq);
    if (rc) return rc;
    if (number == 1) first_seq--;
    if (first_seq > r->done.seq) return LUGE_NOTFOUND;
    rc = apply_from(r, log, &at);
    return rc == LUGE_NOTFOUND && first_seq == r->done.seq ? 0 : rc;
}

static int missing(const struct restore *r)
{
    return fail(LUGE_EXPIRED, "record %llu is missing in %s, which has to go "
                "on from there",
                (unsigned long long)(r->done.seq + 1), r->options->log);
}

static int apply_log(struct restore *r, struct log *log)
{
    u64 *numbers;
    size_t count;
    int rc = log_list(log, 1, UINT64_MAX, &numbers, &count);
    bool found = false;
    while (!rc && count && !found && !r->reached) {
        rc = try_segment(r, log, numbers[--count]);
        found = !rc;
        if (rc == LUGE_NOTFOUND || (rc == LUGE_CORRUPT && !r->half)) rc = 0;
    }
    base_free(numbers);
    return rc || found || r->reached ? rc : missing(r);
}

/* To go as far as the log goes is not to take damage for its end. */
static int nothing_follows(struct restore *r, struct log *log)
{
    u64 durable = 0;
    if (log_goes_on(log, &r->log_end)) return 0;    /* somebody is writing it */
    int rc = log_claimed(log, &r->log_end, r->done.seq, &durable);
    if (rc || durable <= r->done.seq) return rc;
    return fail(LUGE_EXPIRED, "%s is damaged or not whole behind record %llu: "
                "%llu at least are missing.  Ask for number %llu to have what "
                "there is", r->options->log, (unsigned long long)r->done.seq,
                (unsigned long long)(durable - r->done.seq),
                (unsigned long long)r->done.seq);
}

static int take_log(struct restore *r)
{
    struct log log;
    int rc = r->sealed ? 0 : restore_seal(r);
    if (!rc) rc = log_open(&log, r->e->os, r->options->log, r->source);
    if (rc) return rc;
    log.only_read = true;
    rc = apply_log(r, &log);
    if (!rc && r->options->seq == UINT64_MAX) rc = nothing_follows(r, &log);
    log_close(&log);
    return rc;
}

/* ------------------------------------------------------------------ all -- */

/* Is it what is wanted?  Of a time it must be known that nothing follows. */
static int as_wanted(const struct restore *r)
{
    const struct luge_restore_options *o = r->options;
    bool open = o->seq ? r->done.seq < o->seq && o->seq != UINT64_MAX
                       : o->time_ns && !r->reached &&
                             r->done.time_ns != o->time_ns;
    if (!open) return 0;
    return fail(LUGE_EXPIRED, "the last record in %s is %llu: what follows up "
                "to the %s that is wanted is missing",
                o->log ? "the backups and the log" : "the backups",
                (unsigned long long)r->done.seq, o->seq ? "number" : "time");
}

static int steps(struct restore *r, const char *path)
{
    const struct luge_restore_options *o = r->options;
    struct os *os = o->platform ? o->platform : os_native();
    int rc = restore_begin(r, os, path);
    for (size_t i = 0; i < o->stream_count && !rc && !r->reached &&
                       !r->ended; i++)
        rc = take_stream(r, &o->streams[i]);
    if (!rc && !r->any) rc = fail(LUGE_INVALID, "no backup is given");
    bool there = r->reached || (o->seq ? r->done.seq >= o->seq : !o->time_ns);
    if (!rc && o->log && !there) rc = take_log(r);
    if (!rc) rc = as_wanted(r);
    if (!rc && !r->sealed) rc = restore_seal(r);
    return rc ? rc : restore_finish(r);
}

int luge_restore(const char *path, const struct luge_restore_options *options,
                 struct luge_restored *restored)
{
    struct restore r = {.options = options};
    if (!path || !*path) return fail(LUGE_INVALID, "the path is empty");
    if (!options) return fail(LUGE_INVALID, "no backup is given");
    if (options->seq && options->time_ns)
        return fail(LUGE_INVALID, "a number and a time are wanted at once");
    int rc = steps(&r, path);
    if (!rc && restored) *restored = r.done;
    restore_end(&r);
    return rc;
}
