/* bench/place.c -- directories: made, copied, measured, emptied.
 * Not here: deciding when; that is run.c and the work_ files. */
#define _GNU_SOURCE
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { COPY_CHUNK_BYTES = 1 << 20, STILL_LOOKS_MAX = 50 };
#define STILL_SECONDS 0.2

int place_join(char *to, const char *dir, const char *name)
{
    int n = snprintf(to, PLACE_PATH_MAX, "%s/%s", dir, name);

    if (n >= 0 && n < PLACE_PATH_MAX) return 0;
    return bench_fail("the path of %s is too long", name);
}

int place_make(const char *dir)
{
    char path[PLACE_PATH_MAX];
    size_t size = strlen(dir);

    if (size >= sizeof path) return bench_fail("the path is too long");
    memcpy(path, dir, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        path[i] = '\0';
        if (mkdir(path, 0777) && errno != EEXIST)
            return bench_fail_errno("mkdir", path);
        path[i] = dir[i];
    }
    return 0;
}

/* Call FN for every directory (on the way down), file, and directory left
 * again (FTS_DP) below and including DIR, until one answers other than 0. */
static int walk(const char *dir, int (*fn)(void *context, FTSENT *entry),
                void *context)
{
    char path[PLACE_PATH_MAX];
    char *roots[] = {path, NULL};
    FTS *walk;
    FTSENT *entry;
    int rc = 0;

    snprintf(path, sizeof path, "%s", dir);
    walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!walk) return bench_fail_errno("open", dir);
    while (!rc && (errno = 0, entry = fts_read(walk)))
        rc = fn(context, entry);
    if (!rc && errno) rc = bench_fail_errno("walk", dir);
    fts_close(walk);
    return rc;
}

/* A file may go while we walk: engines tidy up at any time. */
static bool entry_gone(const FTSENT *entry)
{
    return entry->fts_info == FTS_NS && entry->fts_errno == ENOENT;
}

static int remove_one(void *context, FTSENT *entry)
{
    (void)context;
    if (entry->fts_info == FTS_D || entry_gone(entry)) return 0;
    if (!remove(entry->fts_accpath) || errno == ENOENT) return 0;
    return bench_fail_errno("remove", entry->fts_path);
}

int place_remove(const char *dir) { return walk(dir, remove_one, NULL); }

/* --------------------------------------------------------------- copy -- */

/* Copy the bytes [at, end) of one file; OUT keeps what is not copied a hole. */
static int copy_bytes(int in, int out, off_t at, off_t end)
{
    char *chunk = bench_alloc(COPY_CHUNK_BYTES);
    int rc = 0;

    while (!rc && at < end) {
        size_t want = (size_t)min_u64((u64)(end - at), COPY_CHUNK_BYTES);
        ssize_t got = pread(in, chunk, want, at);
        if (got <= 0) break;
        if (pwrite(out, chunk, (size_t)got, at) != got) rc = -1;
        at += got;
    }
    free(chunk);
    return rc || at < end ? -1 : 0;
}

static int copy_runs(int in, int out, off_t size)
{
    off_t at = 0, end;

    if (ftruncate(out, size)) return -1;
    while (at < size && (at = lseek(in, at, SEEK_DATA)) >= 0) {
        end = lseek(in, at, SEEK_HOLE);
        if (end < 0 || copy_bytes(in, out, at, end)) return -1;
        at = end;
    }
    return 0;
}

static int copy_file(const char *from, const char *to, off_t size)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int rc = in < 0 || out < 0 ? -1 : copy_runs(in, out, size);

    if (rc) bench_fail_errno("copy", from);
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return rc;
}

struct copy {
    const char *from, *to;
};

static int copy_one(void *context, FTSENT *entry)
{
    const struct copy *copy = context;
    char to[PLACE_PATH_MAX];

    if (place_join(to, copy->to, entry->fts_path + strlen(copy->from)))
        return -1;
    if (entry->fts_info == FTS_D) return place_make(to);
    if (entry->fts_info != FTS_F) return 0;
    return copy_file(entry->fts_path, to, entry->fts_statp->st_size);
}

int place_copy(const char *from, const char *to)
{
    struct copy copy = {from, to};
    return walk(from, copy_one, &copy);
}

/* ------------------------------------------------------------ measure -- */

static int bytes_one(void *context, FTSENT *entry)
{
    u64 *sum = context;

    if (entry->fts_info == FTS_F)
        *sum += (u64)entry->fts_statp->st_blocks * 512;
    return 0;
}

int place_bytes(const char *dir, u64 *bytes)
{
    *bytes = 0;
    return walk(dir, bytes_one, bytes);
}

int place_settle(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || syncfs(fd) ? bench_fail_errno("sync", dir) : 0;

    if (fd >= 0) close(fd);
    return rc;
}

static int evict_one(void *context, FTSENT *entry)
{
    int fd;

    (void)context;
    if (entry->fts_info != FTS_F) return 0;
    fd = open(entry->fts_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return bench_fail_errno("open", entry->fts_path);
    fdatasync(fd);                        /* only clean pages can be dropped */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return 0;
}

int place_evict(const char *dir) { return walk(dir, evict_one, NULL); }

/* What of a file of SIZE bytes the page cache has. */
static int cached(int fd, size_t size, u64 *bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = (size + page - 1) / page;
    unsigned char *has = count ? calloc(count, 1) : NULL;
    void *map = has ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0)
                    : MAP_FAILED;
    int rc = map == MAP_FAILED ? -1 : mincore(map, size, has);

    for (size_t i = 0; i < count && !rc; i++) *bytes += (has[i] & 1) * page;
    if (map != MAP_FAILED) munmap(map, size);
    free(has);
    return count ? rc : 0;
}

static int cached_one(void *context, FTSENT *entry)
{
    int fd, rc;

    if (entry->fts_info != FTS_F) return 0;
    fd = open(entry->fts_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return bench_fail_errno("open", entry->fts_path);
    rc = cached(fd, (size_t)entry->fts_statp->st_size, context);
    close(fd);
    return rc ? bench_fail_errno("mincore", entry->fts_path) : 0;
}

int place_cached(const char *dir, u64 *bytes)
{
    *bytes = 0;
    return walk(dir, cached_one, bytes);
}

u64 place_device_bytes(const char *dir)
{
    char path[64];
    unsigned long long sectors = 0;
    struct stat st;
    FILE *f;

    if (stat(dir, &st)) return 0;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat",
             major(st.st_dev), minor(st.st_dev));
    f = fopen(path, "re");
    if (!f) return 0;
    if (fscanf(f, "%*u %*u %*u %*u %*u %*u %llu", &sectors) != 1) sectors = 0;
    fclose(f);
    return sectors * 512;
}

void place_still(const char *dir)
{
    u64 before, now = place_device_bytes(dir);

    for (u32 i = 0; i < STILL_LOOKS_MAX; i++) {
        before = now;
        sleep_seconds(STILL_SECONDS);
        now = place_device_bytes(dir);
        if (now == before) return;
    }
}
