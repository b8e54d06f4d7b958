/* store/backup.h -- the stream that backup.c writes and restore.c reads.
 *
 *   stream:  | "lugeback" | version u32 | 0 u32 | block | block | ... |
 *   block:   | size u32 | kind u32 | payload | sum u64 |
 *
 *   HEAD   struct backup_head                   the first
 *   FRAME  struct backup_frame, payload         a frame of the log, or its
 *   PIECE  more of it                           first MiB
 *   PAGES  first u64, pages                     of the page file, as they are
 *   END    pages u64, frames u64                the last
 *
 *   B1  A block's sum is XXH3 of its payload, seeded with XXH3 of its first 8
 *       bytes, which is seeded with the sum of the block before (of the first:
 *       with 0): no block can be lost, doubled or exchanged.
 *   B2  No payload is longer than BACKUP_PAYLOAD_MAX.
 *   B3  FRAMEs come before PAGES, in the order of the log from base_log on, to
 *       the end of record `seq`.  PAGES ascend and do not meet.
 *   B4  A page that the version of the head reaches is in this backup or in one
 *       that it goes on from.  The newest that has it has it right.
 * Numbers are little-endian.  Not here: what a page is (docs/format.md).
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "luge_backup.h"
#include "store/store.h"

enum backup_kind {
    BACKUP_HEAD = 1, BACKUP_FRAME = 2, BACKUP_PIECE = 3, BACKUP_PAGES = 4,
    BACKUP_END = 5,
};

enum {
    BACKUP_VERSION = 1,
    BACKUP_ROW_BYTES = 1 << 20,         /* of pages or of a frame, in a block */
    BACKUP_PAYLOAD_MAX = BACKUP_ROW_BYTES + 64,
    BACKUP_KNOWN_MAX = 128,             /* backups to go on from */
};

struct backup_start {
    char magic[8];                      /* "lugeback" */
    u32 version, reserved;
};
_Static_assert(sizeof(struct backup_start) == 16, "see above");

struct backup_block {
    u32 size, kind;
};

struct backup_head {
    u32 bytes, page_bytes;              /* of this struct; of a page */
    u8 id[16], base[16], instance[16];
    u64 seq, time_ns, base_seq;
    u64 publication, base_publication;
    u64 catalog, catalog_count, page_count;
    u64 ids;                            /* numbers below may be taken */
    struct log_position log;            /* behind record seq */
    u64 pages, flags;                   /* 1: with the log from base_seq on */
};
_Static_assert(sizeof(struct backup_head) == 168, "see above");

struct backup_frame {
    u64 seq, time_ns, durable;
    u32 size;                           /* of the payload, pieces included */
    u8 kind, flags;                     /* as in the log: format.md 4.2 */
    u16 reserved;
};
_Static_assert(sizeof(struct backup_frame) == 32, "see above");

static inline u64 backup_sum(const struct backup_block *block,
                             const void *payload, u64 before)
{
    return base_hash(payload, block->size,
                     base_hash(block, sizeof *block, before));
}

/* --- backup_read.c: blocks from a stream --- */

struct backup_reader {
    const struct luge_backup_stream *stream;
    struct luge_backup_progress done;
    u64 sum;
    struct backup_block block;
    u8 *payload;                        /* BACKUP_PAYLOAD_MAX */
    struct backup_head head;
};

int backup_reader_open(struct backup_reader *r);
void backup_reader_close(struct backup_reader *r);
/* The start and the head of the stream's next backup.  NOTFOUND: it ended. */
int backup_read_head(struct backup_reader *r);
/* Its next block, checked: kind and size as the format says. */
int backup_read_block(struct backup_reader *r);
void backup_info(const struct backup_head *head,
                 struct luge_backup_info *info);

#endif
