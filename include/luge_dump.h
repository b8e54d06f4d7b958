/* luge_dump.h -- all trees of a snapshot as one portable stream of bytes, and
 * back.
 *
 * What holds here:
 *   D1  A dump is of one snapshot, while others go on writing.
 *   D2  It does not depend on page size, layout, processor or version; every
 *       block of it is checksummed, and a stream that ends too early is found
 *       out (docs/dump.md has the format, byte by byte).
 *   D3  It holds names, keys and values.  What belongs to one database alone
 *       stays behind: the log, its consumers and retention ("luge/log").
 *
 * Return values, errors and threads as in luge.h.
 */
#ifndef LUGE_DUMP_H
#define LUGE_DUMP_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

struct luge_dump_progress {
    uint64_t trees, pairs, bytes;   /* so far; bytes of the stream */
};

/* Where the stream goes, or comes from.  All functions get `context`; any that
 * answers a negative code ends the work, which answers the same. */
struct luge_dump_stream {
    void *context;
    int (*write)(void *context, const void *data, size_t size);
    /* Read up to SIZE bytes; *got is 0 at the end only. */
    int (*read)(void *context, void *to, size_t size, size_t *got);
    /* Called after every block, about 256 KiB; may be NULL. */
    int (*progress)(void *context, const struct luge_dump_progress *so_far);
};

/* Write all that TXN sees to STREAM.
 * Blocks: for STREAM; no writer waits.
 * Errors: as luge_cursor_next, and whatever write and progress answer. */
LUGE_API int luge_dump(luge_txn *txn, const struct luge_dump_stream *stream,
                       struct luge_dump_progress *done);

/* Put all that STREAM holds into DB: trees that are not there are created,
 * keys that are there are set, others stay.  It lands in transactions of some
 * MiB and is durable on return.  *done (may be NULL) tells how far it came,
 * after an error too; loading the same again does no harm.
 * Blocks: for STREAM, not while holding the turn.
 * Errors: CORRUPT (not a dump, damaged, or cut short: nothing of the damaged
 * block was used), VERSION, CONFLICT (a tree was dropped meanwhile), READONLY,
 * NOSPACE, IO, NOMEM, and whatever read and progress answer. */
LUGE_API int luge_load(luge_db *db, const struct luge_dump_stream *stream,
                       struct luge_dump_progress *done);

#ifdef __cplusplus
}
#endif
#endif
