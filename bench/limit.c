/* bench/limit.c -- making, entering and removing a memory control group.
 * Not here: whether a limit made a difference is the work's question
 * (work_limited.c). */
#define _GNU_SOURCE
#include "limit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

/* -------------------------------------------------------------- where -- */

/* Where the control groups with memory are mounted; *unified: version 2. */
static int mount_point(char *dir, bool *unified)
{
    struct mntent *entry;
    FILE *f = setmntent("/proc/self/mounts", "r");

    dir[0] = '\0';
    while (f && (entry = getmntent(f))) {
        bool old = !strcmp(entry->mnt_type, "cgroup") &&
                   hasmntopt(entry, "memory");
        if (!old && (dir[0] || strcmp(entry->mnt_type, "cgroup2"))) continue;
        snprintf(dir, PLACE_PATH_MAX, "%s", entry->mnt_dir);
        *unified = !old;
        if (old) break;                 /* memory belongs to one version only */
    }
    if (f) endmntent(f);
    return dir[0] ? 0 : bench_fail("no memory control group: none is mounted");
}

/* LINE of /proc/self/cgroup, "0::/path" or "4:memory:/path": the path if it is
 * that of the memory group. */
static const char *path_in(char *line, bool unified)
{
    char *names = strchr(line, ':');
    char *path = names ? strchr(names + 1, ':') : NULL;

    if (!path) return NULL;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    return strcmp(names + 1, unified ? "" : "memory") ? NULL : path;
}

/* The group of this process below MOUNT. */
static int own_group(const char *mount, bool unified, char *dir)
{
    char line[LINE_SIZE];
    const char *path = NULL;
    FILE *f = fopen("/proc/self/cgroup", "re");

    while (f && !path && fgets(line, sizeof line, f))
        path = path_in(line, unified);
    if (f) fclose(f);
    if (!path) return bench_fail("no memory control group of ours");
    return place_join(dir, mount, path + 1);
}

/* ------------------------------------------------------------- a group -- */

static int group_write(const char *dir, const char *name, const char *text)
{
    char path[PLACE_PATH_MAX];
    ssize_t size = (ssize_t)strlen(text);
    int fd, rc;

    if (place_join(path, dir, name)) return -1;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return bench_fail_errno("no memory control group: open", path);
    rc = write(fd, text, (size_t)size) == size ? 0 : -1;
    if (rc) bench_fail_errno("no memory control group: write", path);
    close(fd);
    return rc;
}

/* Groups in DIR can have a limit: it hands memory down (version 2). */
static bool hands_down(const char *dir)
{
    char path[PLACE_PATH_MAX], line[LINE_SIZE] = "";
    FILE *f;

    if (place_join(path, dir, "cgroup.subtree_control")) return false;
    f = fopen(path, "re");
    if (!f) return false;
    if (!fgets(line, sizeof line, f)) line[0] = '\0';
    fclose(f);
    return strstr(line, "memory") != NULL;
}

/* Where our group goes: DIR, or the first above it that hands memory down. */
static int parent_of(const char *mount, bool unified, char *dir)
{
    size_t top = strlen(mount);

    while (unified && !hands_down(dir)) {
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < top)
            return bench_fail("no memory control group: none around us hands "
                              "memory down");
        *slash = '\0';
    }
    return 0;
}

static int set_limit(const struct limit *limit, u64 bytes)
{
    char number[32];

    snprintf(number, sizeof number, "%" PRIu64, bytes);
    if (!limit->unified)                /* no swap: it never helps a bench */
        return group_write(limit->dir, "memory.limit_in_bytes", number) ||
               group_write(limit->dir, "memory.swappiness", "0") ? -1 : 0;
    if (group_write(limit->dir, "memory.max", number)) return -1;
    group_write(limit->dir, "memory.swap.max", "0");   /* absent without swap */
    return 0;
}

int limit_make(struct limit *limit, u64 bytes)
{
    char mount[PLACE_PATH_MAX], parent[PLACE_PATH_MAX], name[64];

    limit->dir[0] = '\0';
    if (mount_point(mount, &limit->unified) ||
        own_group(mount, limit->unified, parent) ||
        parent_of(mount, limit->unified, parent))
        return -1;
    snprintf(name, sizeof name, "luge-bench-%d", (int)getpid());
    if (place_join(limit->dir, parent, name)) return -1;
    if (mkdir(limit->dir, 0755) && errno != EEXIST) {
        bench_fail_errno("no memory control group: mkdir", limit->dir);
        limit->dir[0] = '\0';
        return -1;
    }
    if (!set_limit(limit, bytes)) return 0;
    limit_remove(limit);
    return -1;
}

int limit_enter(const struct limit *limit)
{
    return group_write(limit->dir, "cgroup.procs", "0");
}

void limit_remove(struct limit *limit)
{
    if (limit->dir[0]) rmdir(limit->dir);
    limit->dir[0] = '\0';
}
