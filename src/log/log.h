/* log/log.h -- the log: segments, frames, appending, scanning.
 *
 *   segment N:  | header 4 KiB | frame | frame | ... | (old bytes or zeros)
 *   frame:      | size kind flags seq time durable sum | payload | padding |
 *
 *   L1  A frame's sum is seeded with the sum of the frame before it, the first
 *       one's with the sum of the segment's header.  A header's sum covers the
 *       segment's number, where the one before ended, that end's chain and a
 *       random number.  So no stale bytes, of any age, can follow a frame.
 *   L2  A record is one frame of kind LAST after any number of kind MORE with
 *       the same seq.  Without its LAST it does not exist.
 *   L3  seq of records is dense.
 *   L4  Only the holder of the turn appends.
 *   L5  A segment begun after a theft has a number that only its thief can give
 *       (log_generation_start), and ends its predecessor where its header says.
 *       What stands behind is void, valid or not: a robbed writer may have left
 *       it.  Of two such successors one lost, and is empty for ever.
 *   L6  A frame tells what was durable when it was written.  So a hole before
 *       it is known from a tail that never reached the device (hole.c).
 * docs/format.md 4 has all of it byte by byte.
 * The log never interprets a payload.  Not here: when to sync, what to keep.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <pthread.h>

#include "base/base.h"
#include "os/os.h"

enum {
    LOG_DATA_AT = 4096,         /* the header has its own sector and page */
    LOG_FRAME_HEAD = 40,
    LOG_OPEN_MAX = 16,          /* segments kept open by a process */
    LOG_SEGMENT_MIN = 256 << 10,
    LOG_GENERATION_BITS = 24,   /* segments that one generation may begin */
};
#define LOG_SEGMENT_MAX MIB(16)  /* unless one frame needs more */

enum log_kind { LOG_MORE = 1, LOG_LAST = 2 };
enum log_flags { LOG_FULL = 1 }; /* the commit asked for durability */

/* Where the next frame goes and what seeds it. */
struct log_position {
    u64 segment, offset, chain;
};

#define LOG_GENERATIONS_MAX ((u64)1 << (64 - LOG_GENERATION_BITS))

/* The first segment of a generation of the turn (share/share.h). */
static inline u64 log_generation_start(u64 generation)
{
    return generation << LOG_GENERATION_BITS;
}
static inline u64 log_generation(u64 segment)
{
    return segment >> LOG_GENERATION_BITS;
}

struct log_segment {
    u64 number;              /* 0: this entry is unused */
    struct os_file *file;
    const u8 *base;          /* mapped read-only when first scanned */
    u64 size;
    u32 users;
    u64 used_at;
};

struct log {
    struct os *os;
    const char *directory;   /* owned; "DIR/log" */
    u8 instance[16];
    u64 seed;                /* of all sums: no other database's frame fits */
    u32 owner;               /* seat: in the name of this process's spare */
    int (*may_write)(void *context); /* L4, asked before each write; or NULL */
    void *context;
    bool only_read;          /* another's: its files need not be writable */
    pthread_mutex_t lock;
    u64 clock;
    struct log_segment open[LOG_OPEN_MAX];
};

int log_open(struct log *log, struct os *os, const char *directory,
             const u8 instance[16]);
void log_close(struct log *log);
/* Close the segments that nobody uses just now. */
void log_trim(struct log *log);

/* Begin segment NUMBER with its header; *at is where the previous one ended on
 * entry, the first frame's place on return.  BYTES at least.  The segment's
 * name is durable afterwards, its header after log_sync. */
int log_begin_segment(struct log *log, struct log_position *at, u64 number,
                      u64 first_seq, u64 bytes, u32 flags);

struct log_frame {
    u64 seq, time_ns;
    u64 durable;                /* newest seq known to be so (L6) */
    u8 kind, flags;
    luge_bytes payload;         /* until the next log_next or log_scan_end */
};

/* Append a frame of SIZE payload bytes at *at, which moves behind it.  BUFFER
 * has LOG_FRAME_HEAD bytes of room, the payload, and 7 bytes more; the rest of
 * the head comes from FRAME.  Errors: NOSPACE, IO: nothing is appended. */
int log_append(struct log *log, struct log_position *at,
               const struct log_frame *frame, u8 *buffer, u32 size);

/* The record between FROM and TO, of one who was robbed of the turn, will not
 * count: not even if the power goes after this answered 0.  He alone ever
 * writes there (L5), so nobody is asked. */
int log_take_back(struct log *log, const struct log_position *from,
                  const struct log_position *to);

/* As log_append, but to TO, in memory that has room for it: log_write puts it
 * into the file later.  Needs neither lock nor system. */
void log_append_to(const struct log *log, struct log_position *at,
                   const struct log_frame *frame, u8 *buffer, u32 size,
                   u8 *to);
/* What log_append_to made of the positions FROM to AT, of one segment, goes
 * into its file.  It may be there already. */
int log_write(struct log *log, const struct log_position *from,
              const struct log_position *at, const u8 *bytes);
/* The bytes that SEGMENT's file has. */
int log_segment_bytes(struct log *log, u64 number, u64 *bytes);
/* How many of SIZE bytes at FRAMES are valid frames behind AT. */
u64 log_frames_at(const struct log *log, const struct log_position *at,
                  const u8 *frames, u64 size);

/* Make everything before AT durable, from segment FROM on.  *in_doubt (may be
 * NULL): a sync failed, so what was written may be lost; after another error
 * (a file that cannot be opened) it may be tried again. */
int log_sync(struct log *log, u64 from, const struct log_position *at,
             bool *in_doubt);

/* Begin to write the same to the device: a log_sync later has less to do. */
void log_sync_start(struct log *log, u64 from, const struct log_position *at);

/* Write anew what stands before AT, from segment FROM on: what a failed sync
 * left in doubt becomes durable in no other way. */
int log_rewrite(struct log *log, u64 from, const struct log_position *at);

/* Make a file "spare-SEAT" of BYTES, durable; FILLED with zeros so that a sync
 * later overwrites blocks (155 us) instead of adding some (235 us), at the cost
 * of writing them twice.  Each process has its own: one that still writes zeros
 * must not meet with another that has put the file to use. */
int log_prepare(struct log *log, u64 bytes, bool filled);
/* Make the spare, or a segment no longer needed, the ready segment NUMBER.
 * Needs the turn: nobody may begin NUMBER meanwhile. */
int log_use_spare(struct log *log, u64 number);
int log_recycle(struct log *log, u64 old_number, u64 number);
int log_remove(struct log *log, u64 number);
/* Remove the spares of the dead: nobody is seated. */
int log_remove_spares(struct log *log);
/* Remove every segment above NUMBER. */
int log_remove_after(struct log *log, u64 number);
/* 0, or NOTFOUND. */
int log_exists(struct log *log, u64 number);
/* The numbers of the segments that exist from FROM to TO, ascending.  *numbers
 * is the caller's (base_free). */
int log_list(struct log *log, u64 from, u64 to, u64 **numbers, size_t *count);
/* The smallest and the greatest segment that exist; NOTFOUND if none. */
int log_span(struct log *log, u64 *oldest, u64 *newest);
u64 log_bytes(struct log *log);

/* --- scanning: log/scan.c --- */

/* A stretch of a segment without a hole; zeroed: not known yet. */
struct log_data { u64 from, to; };

struct log_scan {
    struct log *log;
    struct log_position at, end;
    bool to_end;                /* end is known and trusted */
    struct log_segment *segment;
    struct log_data data;
    u64 limit, successor;       /* L5; successor 0: none */
};

/* Scan from AT to END (NULL: as far as it goes).  log_next: NOTFOUND at the
 * end; CORRUPT if a trusted END is not reached.  log_scan_end releases; of a
 * zeroed scan it is a no-op. */
void log_scan_begin(struct log_scan *scan, struct log *log,
                    const struct log_position *at,
                    const struct log_position *end);
int log_next(struct log_scan *scan, struct log_frame *frame);
void log_scan_end(struct log_scan *scan);
/* Does the file have a frame that continues the log at AT?  True also if that
 * cannot be told. */
bool log_goes_on(struct log *log, const struct log_position *at);
/* The log has grown: go on to END, which was NULL or an earlier one. */
void log_scan_extend(struct log_scan *scan, const struct log_position *end);
/* The position of the first frame of segment NUMBER and its first seq. */
int log_segment_start(struct log *log, u64 number, struct log_position *at,
                      u64 *first_seq);

/* --- is the end a hole?  log/hole.c --- */

/* The newest seq that any frame behind AT, the end of the readable log, says is
 * durable; 0 if none does.  SEQ is the last one before AT. */
int log_claimed(struct log *log, const struct log_position *at, u64 seq,
                u64 *durable);

/* --- shared by the files of log/ --- */

enum { LOG_AFTER_THEFT = 1 };
struct log_header {
    char magic[8];              /* "lugelog" */
    u32 version, flags;
    u8 instance[16];
    u64 number, previous_segment, previous_offset, previous_chain;
    u64 first_seq, bytes, nonce;
    u64 sum;
};

int log_segment_get(struct log *log, u64 number, struct log_segment **segment);
int log_segment_map(struct log *log, struct log_segment *segment);
void log_segment_put(struct log *log, struct log_segment *segment);
void log_forget(struct log *log, u64 number);
u64 log_frame_sum(const struct log *log, const u8 *frame, u32 size,
                  u64 chain);
static inline u64 log_frame_bytes(u32 size)
{
    return round_up((u64)LOG_FRAME_HEAD + size, 8);
}
/* Does a valid frame stand at offset AT, before ROOM, behind CHAIN?  SEGMENT
 * must be mapped. */
bool log_frame_at(const struct log *log, const struct log_segment *segment,
                  u64 at, u64 room, u64 chain, struct log_frame *frame);
/* The same where the log may have ended: what has holes is no frame, and they
 * are not read. */
bool log_frame_found(const struct log *log, const struct log_segment *segment,
                     u64 at, u64 room, u64 chain, struct log_data *data,
                     struct log_frame *frame);
/* Are SIZE bytes at AT without a hole?  *data becomes what is there, or comes
 * next. */
bool log_is_data(const struct log *log, const struct log_segment *segment,
                 u64 at, u64 size, struct log_data *data);
int log_read_header(struct log *log, struct log_segment *segment,
                    struct log_header *header);

#endif
