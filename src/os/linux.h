/* os/linux.h -- what the two halves of the Linux platform share.
 *
 * Holds: the open file.  os/linux.c opens and closes it; os/linux_process.c
 * keeps the list of those that a forked child must not hold.
 */
#ifndef OS_LINUX_H
#define OS_LINUX_H

#include "os/os.h"

#include <stdatomic.h>

struct linux_file {
    struct os_file head;

    /* -1 in a forked child that was to close it.  Written by that child alone,
     * before any other thread of it can exist. */
    int descriptor;

    /* RLIMIT_FSIZE as it was at the clock's tick LIMIT_TICK_NS.  Any writer of
     * the file renews both; the newest wins, and either is right. */
    _Atomic u64 limit_bytes, limit_tick_ns;

    /* The list of files that a child closes; held by its lock. */
    struct linux_file *next, *before;
    bool listed;

    char path[]; /* for sentences only */
};

/* L1: FD, or another descriptor of the same if it is 0, 1 or 2; -1: errno. */
int linux_high_descriptor(int fd);

/* Blocks for [*AT, END) of FD; *at: up to where there are.  In steps: fallocate
 * undoes its work when a signal comes, and under a profiler's timer one large
 * call might never end.  0 or an errno. */
int linux_allocate_to(int fd, u64 *at, u64 end);

/* Take FILE out of that list if it is there.  linux_process.c */
void linux_forget_in_child(struct linux_file *file);

#endif
