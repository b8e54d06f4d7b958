/* feed/index.h -- what the newest records are about, for all watches of a
 * process: so that the log is read once, not once for each filter.
 *
 *   X1  The entry of a record has the place before it and, for each of its
 *       operations, the tree and the key's beginning; or it says MAYBE, if they
 *       are many or change a name.
 *   X2  An entry that says no is right: a watch may pass over the record.  One
 *       that says yes sends it to the bytes, which are here too if they are few
 *       and new, or else to the log.
 * With 64 watches of different prefixes and 100 000 records a second, reading
 * the log 64 times took half a processor; and with each of them reading only
 * its own records, the faults of 64 mappings took half of what was left.
 * Not here: what a watch does with the answer (take.c).
 */
#ifndef FEED_INDEX_H
#define FEED_INDEX_H

#include "feed/read.h"

enum {
#ifdef LUGE_HARD                        /* around and around */
    INDEX_RECORDS = 64, INDEX_OPS = 128, INDEX_RECORD_OPS_MAX = 16,
    INDEX_BYTES = 8 << 10, INDEX_RECORD_BYTES_MAX = 1 << 10,
#else
    INDEX_RECORDS = 8192, INDEX_OPS = 16384, INDEX_RECORD_OPS_MAX = 64,
    INDEX_BYTES = 1 << 20, INDEX_RECORD_BYTES_MAX = 8 << 10,
#endif
};

struct feed_index {
    pthread_mutex_t lock;               /* of all below */
    struct feed_reader reader;
    bool open;
    u64 first;                          /* no older record has an entry */
    u64 op_count;                       /* operations ever noted */
    u64 byte_count;                     /* bytes ever kept */
    struct index_record {
        struct log_position before;
        u64 time_ns, op_from, byte_from;
        u32 ops, bytes;                 /* INDEX_MAYBE: not noted, not kept */
    } *records;                         /* by seq, modulo INDEX_RECORDS */
    struct index_op {
        u64 tree, head;                 /* the key's first 8 bytes */
        u32 key_size, reserved;
    } *ops;                             /* modulo INDEX_OPS */
    u8 *bytes;                          /* modulo INDEX_BYTES */
};

void feed_index_init(struct feed_index *x);
void feed_index_free(struct feed_index *x);
/* Move R before the next record behind it, up to the newest commit, that may be
 * for who looks for PREFIX in TREE (0: all).  True: the record is in *record
 * already, until R reads, and *behind is the place behind it.  False: R stands
 * where one has to read on. */
bool feed_index_take(struct feed_index *x, struct feed_reader *r, u64 tree,
                     luge_bytes prefix, struct feed_record *record,
                     struct log_position *behind);

#endif
