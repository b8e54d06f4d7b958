/* store/restore.h -- what the two halves of a restore share.
 *
 *   PATH/restoring/   the new database until it is whole; then its files move
 *                     up, conf last.  A directory with this name and without
 *                     conf is nobody's database.
 *
 *   empty --pages of backups--> filled --restore_seal--> a database
 *         --frames of the log, restore_settle now and then--> what is wanted
 * Not here: the stream (backup.h).
 */
#ifndef STORE_RESTORE_H
#define STORE_RESTORE_H

#include "store/backup.h"

struct restore {
    const struct luge_restore_options *options;
    struct env *e;              /* of PATH/restoring; never opened */
    char *path;                 /* PATH */
    u8 source[16];              /* instance of the database that it was */
    struct backup_head head;    /* of the last backup that was used */
    bool any, sealed;
    bool reached;               /* what follows is beyond what is wanted */
    bool ended;                 /* or a backup that follows has no log */
    struct luge_restored done;
    struct log_position at;     /* where the new log ends */
    struct log_position log_end;        /* where reading the old one ended */
    u64 unsettled;              /* bytes appended to it */
    struct base_buffer frame;   /* LOG_FRAME_HEAD, payload: being made */
    struct backup_frame next;   /* its head */
    u64 next_left;              /* bytes of it to come */
    bool half;                  /* the last frame was not its record's last */
};

/* Is a commit beyond what is wanted? */
bool restore_beyond(const struct restore *r, u64 seq, u64 time_ns);

/* --- restore_make.c: the database --- */

int restore_begin(struct restore *r, struct os *os, const char *path);
/* All pages are there: prove them, find the free ones, write all the rest. */
int restore_seal(struct restore *r);
/* A frame of the log, of the record in turn.  Its payload has LOG_FRAME_HEAD
 * bytes of room in front and 7 behind. */
int restore_append(struct restore *r, const struct log_frame *frame,
                   u8 *buffer, u32 size);
/* What was appended becomes pages. */
int restore_settle(struct restore *r);
/* It is whole: move it up. */
int restore_finish(struct restore *r);
void restore_end(struct restore *r);

#endif
