/* luge_backup.h -- backups of a database in use, and databases made of them.
 *
 * What holds here:
 *   A backup is a stream of bytes: one committed state of everything, forks and
 *   snapshots included, page by page, checksummed.  Others read and write
 *   meanwhile.  An incremental one holds only the pages that are new since an
 *   earlier backup, and may hold the log in between.
 *   A restore makes a new database of a full backup, of the incremental ones
 *   behind it in their order, and of the log behind those: exactly the state
 *   behind any one commit.  It proves every page of what it made.
 *   A restored database is another one: nothing that knew the old one by its
 *   identity (backups, copies) takes it for that.  Its commits keep their
 *   numbers and times.
 *
 * Return values, errors and threads as in luge.h.  docs/why/backup.md says why
 * it is so; the format of the stream stands at the head of src/store/backup.h.
 */
#ifndef LUGE_BACKUP_H
#define LUGE_BACKUP_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- backups -- */

/* One backup, as its first block tells. */
struct luge_backup_info {
    uint8_t id[16];         /* its own */
    uint8_t base[16];       /* of the one that it goes on from; zeros: full */
    uint8_t database[16];   /* whose it is */
    uint64_t seq, time_ns;  /* the commit whose state it is */
    uint64_t base_seq;      /* of the one that it goes on from */
    uint64_t publication;   /* luge's own numbers, to go on from here */
    uint64_t log[3];
    uint64_t pages, page_bytes; /* how many pages it holds, of what size */
    int has_log;            /* 1: and the log from base_seq on */
};

struct luge_backup_progress {
    uint64_t pages, pages_total;    /* total 0: not known yet */
    uint64_t records;               /* of the log */
    uint64_t bytes;                 /* of the stream */
};

/* Where the stream goes, or comes from.  All functions get `context`; any that
 * answers a negative code ends the work, which answers the same. */
struct luge_backup_stream {
    void *context;
    int (*write)(void *context, const void *data, size_t size);
    /* Read up to SIZE bytes; *got is 0 at the end only. */
    int (*read)(void *context, void *to, size_t size, size_t *got);
    /* Called after every block, at most 1 MiB; may be NULL. */
    int (*progress)(void *context, const struct luge_backup_progress *so_far);
};

enum luge_backup_flags {
    LUGE_BACKUP_LOG = 1 << 0, /* with BASE: the log since then, too, so that a
                                 restore can stop at any commit in between */
};

/* Write a backup of DB to STREAM: all of it if BASE is NULL, else what is new
 * since the backup BASE of this database.  *made (may be NULL) tells which.
 * It publishes and checkpoints; the state it holds is durable in DB.
 * Blocks: for STREAM, and for the device.  No writer waits, but what they
 * replace meanwhile stays in the file until the end.
 * Errors: MISMATCH (BASE is no backup of this database, or of one that was
 * restored or copied since, or older than the last 128), EXPIRED (with LOG: it
 * no longer reaches back to BASE), CORRUPT (a damaged page, which it names),
 * READONLY, INVALID, and as luge_checkpoint; what write and progress answer. */
LUGE_API int luge_backup(luge_db *db, unsigned flags,
                         const struct luge_backup_info *base,
                         const struct luge_backup_stream *stream,
                         struct luge_backup_info *made);

/* Read no more than the first block of STREAM and tell what backup it is.
 * CORRUPT, VERSION, and what read answers. */
LUGE_API int luge_backup_look(const struct luge_backup_stream *stream,
                              struct luge_backup_info *info);

/* ------------------------------------------------------------- restore -- */

/* Zero is the default in every field but streams. */
struct luge_restore_options {
    /* A full backup, then incremental ones, each on top of the one before.
     * A stream may hold several, one behind the other. */
    const struct luge_backup_stream *streams;
    size_t stream_count;
    /* A directory of log segments, that of the database or a copy, for commits
     * that no backup has; NULL: none. */
    const char *log;
    /* The last commit that is to be in it.  0 of both: of the last backup. */
    uint64_t seq;       /* its number; UINT64_MAX: as far as the log goes,
                           which is not where it is damaged (EXPIRED) */
    uint64_t time_ns;   /* or: the last one that was made at this time, since
                           1970, or before; the log must reach beyond it */
    void *platform;     /* as in luge_options */
};

struct luge_restored {
    uint64_t seq, time_ns;      /* the last commit in it */
    uint64_t pages, records;    /* out of backups, out of the log */
};

/* Make a database in the directory PATH, which must be empty, not there, or
 * hold no more than a restore that failed.  Until it succeeded, there is no
 * database.
 * Blocks: for the streams and the device.
 * Errors: EXISTS (there is a database), NOTLUGE (other files), NOTFOUND (the
 * backups are newer than what is wanted), MISMATCH (a backup is not the next
 * one), EXPIRED (the log does not hold what is wanted; the sentence says what
 * is missing), CORRUPT (a stream is damaged or cut short), VERSION, INVALID,
 * NOSPACE, IO, NOMEM, what read and progress answer. */
LUGE_API int luge_restore(const char *path,
                          const struct luge_restore_options *options,
                          struct luge_restored *restored);

/* ------------------------------------------------------------- salvage -- */

struct luge_salvaged {
    uint64_t trees, records;    /* in the new database, before the log */
    uint64_t lost_pages;        /* damaged ones that something led to */
    uint64_t lost_records;      /* that trees count and nobody found */
    uint64_t lost_values;       /* of them, large ones whose bytes are wrong */
    uint64_t older;             /* records in place of lost ones, from pages
                                   that perhaps only a snapshot held */
    uint64_t nameless;          /* records in trees under lost+found/ */
    uint64_t transactions;      /* of the log behind the checkpoint */
    int log_damaged;            /* 1: the log goes on behind a damage */
};

/* Read everything readable out of the database in the directory BROKEN, which
 * nobody may have open and which is not changed, into a new one in PATH.  Every
 * record is recovered whose page and, if it is large, whose bytes are sound,
 * whatever else is damaged: pages tell whose they are.  Trees keep names and
 * numbers; of a tree whose name is lost the records go to lost+found/ and a
 * mark of it.  Then the log is applied as far as it can be read.  Commits are
 * numbered anew; snapshots are not copied.
 * REPORT, if not NULL, gets a sentence for each thing that was lost.
 * PLATFORM: as in luge_options.
 * Errors: NOTFOUND (nothing of a database there), BUSY (somebody has it open),
 * EXISTS (PATH holds a database), and as luge_open and luge_commit for PATH. */
LUGE_API int luge_salvage(const char *broken, const char *path,
                          void (*report)(void *context, const char *sentence),
                          void *context, void *platform,
                          struct luge_salvaged *salvaged);

#ifdef __cplusplus
}
#endif
#endif
