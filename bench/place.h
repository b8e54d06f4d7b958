/* bench/place.h -- directories: made, copied, measured, emptied.
 *
 * Holds: nothing outside the directory it was given is ever touched.
 * Not here: which directory belongs to which sample (run.c).
 */
#ifndef BENCH_PLACE_H
#define BENCH_PLACE_H

#include "tool.h"

enum { PLACE_PATH_MAX = 1024 };         /* bytes of a path; ours are short */

/* DIR/NAME into TO, which has PLACE_PATH_MAX bytes; -1 if it does not fit. */
int place_join(char *to, const char *dir, const char *name);

/* Make DIR and its parents; what is there already is fine. */
int place_make(const char *dir);

/* Remove DIR with everything in it; an absent one is fine. */
int place_remove(const char *dir);

/* Copy all files of directory FROM into a new directory TO; holes stay. */
int place_copy(const char *from, const char *to);

/* Bytes of disk that the files in DIR occupy: allocated, not apparent. */
int place_bytes(const char *dir, u64 *bytes);

/* Write back everything dirty of DIR's file system; returns when it is. */
int place_settle(const char *dir);

/* Drop DIR's files from the page cache. */
int place_evict(const char *dir);

/* What the page cache holds of DIR's files; those of an engine that reads past
 * it are not there. */
int place_cached(const char *dir, u64 *bytes);

/* Wait until nobody writes to the device below DIR, 10 seconds at most. */
void place_still(const char *dir);

/* Bytes written so far to the block device below DIR, by anybody; 0 if the
 * system does not tell (/sys/dev/block/MAJOR:MINOR/stat, sectors written). */
u64 place_device_bytes(const char *dir);

#endif
