/* txn/redo.h -- puts and deletions of a replay, applied in the order of keys.
 *
 *   log:    put m | put c | del x | put c | create t | put a
 *   batch:  | c (the later one)  m  x | ends at what is no put or deletion
 *
 *   B1  Of the operations on one key only the last counts: an operation in the
 *       log is a result, never a function (view.h V2).
 *   B2  Keys and values stay where the log has them, in one segment, which is
 *       held; so a batch ends with its segment.
 * Not here: where a batch ends otherwise (head.c), what an operation does.
 */
#ifndef TXN_REDO_H
#define TXN_REDO_H

#include "log/log.h"
#include "txn/view.h"

enum { REDO_OPS_MAX = 1 << 17 };   /* 7 MiB; a segment has some 100 000 */

struct redo_op {
    u64 tree, order;
    u64 head;           /* the key's first eight bytes, as a number */
    luge_bytes key, value;
    u8 kind;
};

struct redo {
    struct log *log;
    struct log_segment *segment;        /* held; NULL: the batch is empty */
    struct redo_op *ops;
    size_t count, capacity;
    bool sorted;                        /* so far, and no key twice */
    bool cold;                          /* the file is not in memory: the last
                                           group of operations had to read */
    u64 read_bytes;                     /* by this thread, at the last look */
};

/* OP stands in segment NUMBER and is a put or a deletion.  There is room while
 * redo_has_room.  NOMEM. */
bool redo_has_room(const struct redo *b, u64 number);
int redo_add(struct redo *b, u64 number, const struct op *op);
/* Apply all to V; the batch is empty afterwards, whatever the answer. */
int redo_apply(struct redo *b, struct view *v);
void redo_end(struct redo *b);

#endif
