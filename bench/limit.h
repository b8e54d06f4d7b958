/* bench/limit.h -- a limit on a process's memory, files' pages included: a
 * memory control group, of either version of the kernel's interface.
 *
 * Holds: the group is made below the one we are in (version 1), or beside it
 * if ours lets no group below it have a limit (version 2), so no limit that we
 * are under ourselves is left.  Without such groups every function says so.
 * Not here: how large a limit is (run.c).
 */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include "place.h"

struct limit {
    char dir[PLACE_PATH_MAX];           /* of the group; empty: there is none */
    bool unified;                       /* version 2 */
};

/* Make a group of our own that is allowed BYTES, swap excluded. */
int limit_make(struct limit *limit, u64 bytes);

/* From now on what the calling process takes counts. */
int limit_enter(const struct limit *limit);

/* Remove the group; the processes in it must be gone. */
void limit_remove(struct limit *limit);

#endif
