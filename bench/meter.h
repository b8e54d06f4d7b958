/* bench/meter.h -- what else happened while we measured.
 *
 * Holds: foreign load = busy time of all processors, minus our own, over the
 * wall time, in processors (1.0: one processor was somebody else's).  Kernel
 * threads that write back for us count as foreign too.
 * Not here: deciding what is too much (run.c).
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include "tool.h"

/* Readings at one moment; the difference of two describes what lay between. */
struct meter {
    u64 wall_ns;
    u64 busy_ns;                /* of all processors, /proc/stat, 10 ms ticks */
    u64 own_ns;                 /* this process and its dead children */
    u64 device_bytes;           /* written to the device below the directory */
    u64 read_bytes;             /* by this process from devices */
};

struct meter meter_read(const char *dir);
struct meter meter_since(const struct meter *start, const char *dir);

/* Foreign processors during SPAN. */
double meter_foreign(const struct meter *span);

/* User and system time of this process's threads so far. */
u64 meter_own_ns(void);

/* A figure of /proc/self/status in bytes: "VmHWM", "RssAnon". */
u64 meter_memory(const char *name);

#endif
