/* feed/index.h -- what the newest records are about, for all watches of a
 * process: so that the log is read once, not once for each filter.
 *
 *   X1  The entry of a record has the place before it and, for each of its
 *       operations, the tree and the key's beginning; or it says MAYBE, if they
 *       are many or change a name.
 *   X2  An entry that says no is right: a watch may pass over the record.  One
 *       that says yes sends it to the log.
 * With 64 watches of different prefixes and 100 000 records a second, reading
 * the log 64 times took half a processor.
 * Not here: what a watch does with the answer (take.c).
 */
#ifndef FEED_INDEX_H
#define FEED_INDEX_H

#include "feed/read.h"

enum { INDEX_RECORDS = 8192, INDEX_OPS = 16384, INDEX_RECORD_OPS_MAX = 64 };

struct feed_index {
    pthread_mutex_t lock;               /* of all below */
    struct feed_reader reader;
    bool open;
    u64 first;                          /* no older record has an entry */
    u64 op_count;                       /* operations ever noted */
    struct index_record {
        struct log_position before;
        u64 op_from;
        u32 ops;                        /* INDEX_MAYBE: not noted */
    } *records;                         /* by seq, modulo INDEX_RECORDS */
    struct index_op {
        u64 tree, head;                 /* the key's first 8 bytes */
        u32 key_size, reserved;
    } *ops;                             /* modulo INDEX_OPS */
};

void feed_index_init(struct feed_index *x);
void feed_index_free(struct feed_index *x);
/* Before which record, behind SEQ and up to the newest commit, may one stand
 * that looks for PREFIX in TREE (0: all)?  False: unknown, read on as usual. */
bool feed_index_pass(struct feed_index *x, struct env *e, u64 tree,
                     luge_bytes prefix, u64 *seq, struct log_position *at);

#endif
