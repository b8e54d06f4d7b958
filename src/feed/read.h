/* feed/read.h -- the log as a row of whole records, read beside the writers.
 *
 *   F1  A reader holds no lock and no segment of the writers' own table: it has
 *       its own, and only while it reads.
 *   F2  The bytes of a record are copied, and believed only if afterwards its
 *       first segment is still older than none that is recycled: log_oldest
 *       rises before a segment is touched.
 * Not here: who wants which record (watch.h).
 */
#ifndef FEED_READ_H
#define FEED_READ_H

#include "txn/env.h"

struct feed_reader {
    struct env *env;
    struct log log;             /* F1 */
    u64 seq;                    /* of the last record taken */
    struct log_position at;     /* behind it */
    struct log_scan scan;       /* runs ahead of `at` */
    bool scanning;
    bool ahead;                 /* `frame` was read and not yet taken */
    struct log_frame frame;
    struct base_buffer payload; /* of the record being put together */
    /* Is OP worth keeping?  NULL: all are.  What is not is left out of the
     * record, so that a filter needs no memory for what it leaves out. */
    bool (*keeps)(void *context, const struct op *op);
    void *context;
};

struct feed_record {
    u64 seq, time_ns;
    const u8 *ops, *end;        /* until the next read */
};

int feed_reader_open(struct feed_reader *r, struct env *e);
void feed_reader_close(struct feed_reader *r);
/* Stand behind the newest commit; *time_ns (may be NULL): when it was made. */
void feed_reader_to_end(struct feed_reader *r, u64 *time_ns);
/* Stand at AT, which is behind record SEQ. */
void feed_reader_to(struct feed_reader *r, u64 seq,
                    const struct log_position *at);
/* Stand behind record SEQ: found in the log.  EXPIRED, IO, CORRUPT. */
int feed_reader_seek(struct feed_reader *r, u64 seq);
/* Stand behind the last record that was made at TIME_NS or before.  NOTFOUND:
 * the first of all is younger.  EXPIRED, IO, CORRUPT. */
int feed_reader_seek_time(struct feed_reader *r, u64 time_ns);
/* The next record if its seq is <= LIMIT, which is committed.  NOTFOUND: there
 * is none.  EXPIRED: it is gone.  On any error the reader stays. */
int feed_read(struct feed_reader *r, u64 limit, struct feed_record *record);
/* The oldest seq that a reader can stand behind. */
int feed_oldest(struct env *e, u64 *seq);

#endif
