/* os/linux_memory.c -- how much memory this process may use, files included.
 *
 * The machine's, or less by a control group: version 2 at /sys/fs/cgroup,
 * version 1 at /sys/fs/cgroup/memory, ours and each above it.  What cannot be
 * read limits nothing.
 * Not here: who asks (page/file.c, store/open.c), what is free at the moment.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The least number in the files NAME of the group PATH below MOUNT and of all
 * above it; "max" is none. */
static u64 least_above(const char *mount, char *path, const char *name)
{
    u64 least = UINT64_MAX;
    for (;;) {
        char file[PATH_BYTES], text[32];
        int n = snprintf(file, sizeof file, "%s%s/%s", mount, path, name);
        if (n > 0 && n < PATH_BYTES && read_text(file, text, sizeof text) &&
            text[0] >= '0' && text[0] <= '9')
            least = min_u64(least, strtoull(text, NULL, 10));
        char *slash = strrchr(path, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup: "0::/path", or "4:memory:/path". */
static u64 limit_of(char *line)
{
    char *names = strchr(line, ':');
    char *path = names ? strchr(names + 1, ':') : NULL;
    if (!path) return UINT64_MAX;
    *path++ = '\0';
    names++;
    if (!*names) return least_above("/sys/fs/cgroup", path, "memory.max");
    if (!strstr(names, "memory")) return UINT64_MAX;
    return least_above("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
}

u64 os_memory_bytes(void)
{
    char text[PATH_BYTES], *next = text;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    u64 bytes = pages > 0 && size > 0 ? (u64)pages * (u64)size : UINT64_MAX;
    if (!read_text("/proc/self/cgroup", text, sizeof text)) return bytes;
    for (char *line; (line = strsep(&next, "\n"));)
        bytes = min_u64(bytes, limit_of(line));
    return bytes;
}
