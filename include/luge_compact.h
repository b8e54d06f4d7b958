/* luge_compact.h -- giving space back.
 *
 * What holds here:
 *   What is dropped is used again before the file grows, and a checkpoint gives
 *   the blocks of what is free beyond an eighth of what is in use back to the
 *   file system: the file keeps its length, and takes less of the disk.  Once
 *   three quarters of it are free, it becomes shorter.  luge_compact makes it
 *   so whatever is free, at once, while others read and write.
 *   First, leaves that are not full (puts in no order leave them four fifths
 *   full) become fewer that are, as after a load in order; on the way the file
 *   may be larger by what that takes, 256 MiB at most, and stays so as long as
 *   a reader of an older version needs it.
 *   Pages at the end of the file move into free ones before it.  A writer waits
 *   for a slice of 4 MiB at most (or for one large value), some milliseconds.
 *   What does not move is what a fork or a snapshot shares: each such page has
 *   one place and many parents.  Nor is it packed, nor its next neighbours.
 *   The free pages between them stay in the file as holes: they take no blocks
 *   of the disk, and are used again.  Nor does what a reader of an older
 *   version still sees move.
 *   The file is cut when no other process has it open; until then its end is a
 *   hole, too.
 */
#ifndef LUGE_COMPACT_H
#define LUGE_COMPACT_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Figures of one compaction, so far or in the end. */
struct luge_compacted {
    uint64_t before_bytes, after_bytes; /* the page file's length */
    uint64_t free_bytes;    /* of it, still free: among what does not move, or
                               freed meanwhile */
    uint64_t packed_bytes;  /* leaves that were made anew */
    uint64_t moved_bytes;
    uint64_t slices;        /* for how many of them the turn was taken */
    uint64_t longest_us;    /* the longest that one of them held it */
};

/* Give back what is free in DB's page file.  PROGRESS (may be NULL) is called
 * now and then; any answer but 0 ends the work, which is sound at any time, and
 * is returned.  *done (may be NULL) is filled: after an error, as it was told
 * last.
 * Blocks: for the device, and in proportion to all trees' pages, which are
 * walked.  Readers and writers go on, see above.
 * Errors: BUSY (another process checkpoints and does not end), READONLY, and as
 * luge_checkpoint. */
LUGE_API int luge_compact(luge_db *db,
                          int (*progress)(void *context,
                                          const struct luge_compacted *so_far),
                          void *context, struct luge_compacted *done);

#ifdef __cplusplus
}
#endif
#endif
