/* store/dump.h -- the stream that dump.c writes and load.c reads.
 *
 *   stream:  | start | block | block | ... | block of kind END |
 *   block:   | size u32 | kind u32 | payload | sum u64 |
 *
 *   TREE   count u64, name             what follows is of this tree
 *   PAIRS  { key size varint, value size varint, key, value }...
 *   LARGE  value size u64, key         the value comes in the next blocks
 *   PIECE  a part of it
 *   END    trees u64, pairs u64, seq u64
 *   IDS    next u64                    the first block: no number below it is
 *                                      given where it is loaded (version 2)
 *
 *   B1  A block's sum is XXH3 of its payload, seeded with XXH3 of its first 8
 *       bytes, which is seeded with the sum of the block before (of the first:
 *       with 0).  So no block can be lost, doubled or exchanged.
 *   B2  No payload is longer than DUMP_PAYLOAD_MAX.
 * All numbers are little-endian.  Documented in docs/dump.md.
 */
#ifndef STORE_DUMP_H
#define STORE_DUMP_H

#include "base/base.h"

enum dump_kind {
    DUMP_TREE = 1, DUMP_PAIRS = 2, DUMP_LARGE = 3, DUMP_PIECE = 4, DUMP_END = 5,
    DUMP_IDS = 6
};

enum {
    DUMP_VERSION = 2,
    DUMP_BLOCK_BYTES = 256 << 10,   /* a block of pairs is ended behind it */
    DUMP_PAIR_MAX = 64 << 10,       /* a larger one is LARGE */
    DUMP_PAYLOAD_MAX = 1 << 20,
};

struct dump_start {
    char magic[8];                  /* "lugedump" */
    u32 version, reserved;
};
_Static_assert(sizeof(struct dump_start) == 16, "dump.md");

struct dump_head {
    u32 size, kind;                 /* of the payload */
};

static inline u64 dump_sum(const struct dump_head *head, const void *payload,
                           u64 before)
{
    return base_hash(payload, head->size,
                     base_hash(head, sizeof *head, before));
}

#endif
