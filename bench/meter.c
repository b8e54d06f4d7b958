/* bench/meter.c -- reading what the system says about load, memory and
 * written bytes.  A figure the system does not give is 0.
 * Not here: the clock of the figures themselves (tool.h). */
#include "meter.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "place.h"

static u64 usage_ns(int who)
{
    struct rusage u;

    if (getrusage(who, &u)) return 0;
    return ((u64)u.ru_utime.tv_sec + (u64)u.ru_stime.tv_sec) * 1000000000u +
           ((u64)u.ru_utime.tv_usec + (u64)u.ru_stime.tv_usec) * 1000u;
}

u64 meter_own_ns(void) { return usage_ns(RUSAGE_SELF); }

/* All but idle and iowait.  Guest time is within user time already. */
static u64 busy_ns(void)
{
    u64 user, nice, system, idle, wait, irq, soft, steal, ticks = 0;
    FILE *f = fopen("/proc/stat", "re");

    if (!f) return 0;
    if (fscanf(f, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                  " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &user, &nice, &system, &idle, &wait, &irq, &soft, &steal) == 8)
        ticks = user + nice + system + irq + soft + steal;
    fclose(f);
    return ticks * (1000000000u / (u64)sysconf(_SC_CLK_TCK));
}

/* The number behind NAME and a colon in FILE. */
static u64 number_in(const char *file, const char *name)
{
    char line[256];
    u64 number = 0;
    size_t size = strlen(name);
    FILE *f = fopen(file, "re");

    if (!f) return 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, name, size) || line[size] != ':') continue;
        if (sscanf(line + size + 1, "%" SCNu64, &number) != 1) number = 0;
        break;
    }
    fclose(f);
    return number;
}

u64 meter_memory(const char *name)
{
    return number_in("/proc/self/status", name) * 1024;
}

/* The clock is read last here and first in meter_since: the other readings
 * take 0.1 ms, which is more than LMDB needs to open. */
struct meter meter_read(const char *dir)
{
    struct meter meter = {
        .busy_ns = busy_ns(),
        .own_ns = usage_ns(RUSAGE_SELF) + usage_ns(RUSAGE_CHILDREN),
        .device_bytes = place_device_bytes(dir),
        .read_bytes = number_in("/proc/self/io", "read_bytes"),
    };

    meter.wall_ns = now_ns();
    return meter;
}

struct meter meter_since(const struct meter *start, const char *dir)
{
    u64 ended_ns = now_ns();
    struct meter span = meter_read(dir);

    span.wall_ns = ended_ns - start->wall_ns;
    span.busy_ns -= start->busy_ns;
    span.own_ns -= start->own_ns;
    span.device_bytes -= start->device_bytes;
    span.read_bytes -= start->read_bytes;
    return span;
}

double meter_foreign(const struct meter *span)
{
    double foreign = (double)span->busy_ns - (double)span->own_ns;

    if (!span->wall_ns || foreign < 0) return 0;
    return foreign / (double)span->wall_ns;
}
