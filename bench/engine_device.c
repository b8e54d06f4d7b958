/* bench/engine_device.c -- no database: the bare device, the floor of commits
 * and of wake-ups.
 *
 * One record is one pwrite into a file whose blocks were written before, then,
 * in durable rows, one fdatasync: what a log with nothing around it could do at
 * best.  Who follows sleeps on a futex and is told the value's head alone.
 * Not here: reading; nothing is ever found again. */
#define _GNU_SOURCE
#include "engine.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gen.h"
#include "place.h"

enum { FILE_BYTES = 64 << 20, CHUNK_BYTES = 1 << 20 };

/* A file of its own, mapped by all processes: a sync of the records must not
 * write it. */
struct bell {
    _Atomic u32 rung, watched;      /* rung is the futex */
    _Atomic u64 index, stamp;       /* of the newest value */
};

struct device {
    int fd;
    off_t at;
    bool durable;
    struct bell *bell;
    u32 heard;                      /* of bell->rung */
};

/* The first who opens it writes it. */
static int prewrite(int fd)
{
    struct stat st;
    char *chunk;
    int rc = 0;

    if (fstat(fd, &st)) return bench_fail_errno("stat", "the floor's file");
    if (st.st_size) return 0;
    chunk = bench_alloc(CHUNK_BYTES);
    memset(chunk, 0x5a, CHUNK_BYTES);
    for (off_t at = 0; !rc && at < FILE_BYTES; at += CHUNK_BYTES)
        if (pwrite(fd, chunk, CHUNK_BYTES, at) != CHUNK_BYTES)
            rc = bench_fail_errno("write", "the floor's file");
    free(chunk);
    if (!rc && fsync(fd)) rc = bench_fail_errno("sync", "the floor's file");
    return rc;
}

static int open_file(const char *dir, const char *name, int *fd)
{
    char path[PLACE_PATH_MAX];

    if (place_join(path, dir, name)) return -1;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return *fd < 0 ? bench_fail_errno("open", path) : 0;
}

static int map_bell(const char *dir, struct bell **bell)
{
    int fd;

    if (open_file(dir, "bell", &fd)) return -1;
    if (!ftruncate(fd, sizeof **bell))
        *bell = mmap(NULL, sizeof **bell, PROT_READ | PROT_WRITE, MAP_SHARED,
                     fd, 0);
    close(fd);
    if (!*bell || *bell == MAP_FAILED)
        return bench_fail_errno("map", "the floor's bell");
    return 0;
}

static int device_open(const struct engine *engine, const struct open_how *how,
                       void **db)
{
    struct device *device = bench_alloc(sizeof *device);

    (void)engine;
    *db = device;
    device->durable = how->mode == MODE_DURABLE;
    if (open_file(how->dir, "file", &device->fd) || prewrite(device->fd) ||
        map_bell(how->dir, &device->bell))
        return -1;
    return 0;
}

static int device_close(void *db)
{
    struct device *device = db;

    munmap(device->bell, sizeof *device->bell);
    close(device->fd);
    free(device);
    return 0;
}

static int device_session(void *db, void **session)
{
    *session = db;
    return 0;
}

static void device_session_close(void *session) { (void)session; }

static void ring(struct bell *bell, struct head head)
{
    atomic_store(&bell->index, head.index);
    atomic_store(&bell->stamp, head.stamp);
    atomic_fetch_add(&bell->rung, 1);
    syscall(SYS_futex, &bell->rung, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int device_put(void *session, struct slice key, struct slice value)
{
    struct device *device = session;
    struct iovec parts[] = {{(void *)key.data, key.size},
                            {(void *)value.data, value.size}};
    ssize_t size = (ssize_t)(key.size + value.size);
    struct head head;

    if (pwritev(device->fd, parts, 2, device->at) != size ||
        (device->durable && fdatasync(device->fd)))
        return bench_fail_errno("write", "the floor's file");
    device->at += size;
    if (device->at + VALUE_SIZE_MAX + KEY_SIZE_MAX > FILE_BYTES) device->at = 0;
    head_of(&head, value);
    if (atomic_load(&device->bell->watched)) ring(device->bell, head);
    return 0;
}

static int device_watch_open(void *session, const struct watch_how *how)
{
    struct device *device = session;

    (void)how;
    atomic_store(&device->bell->watched, 1);
    device->heard = atomic_load(&device->bell->rung);
    return 0;
}

static int device_watch_next(void *session, u32 timeout_ms, u64 *ops,
                             struct head *last)
{
    struct device *device = session;
    struct bell *bell = device->bell;
    struct timespec wait = {.tv_nsec = (long)timeout_ms * 1000000};
    u32 rung = atomic_load(&bell->rung);

    if (rung == device->heard)
        syscall(SYS_futex, &bell->rung, FUTEX_WAIT, rung, &wait, NULL, 0);
    rung = atomic_load(&bell->rung);
    *ops = rung - device->heard;
    device->heard = rung;
    *last = (struct head){atomic_load(&bell->index),
                          atomic_load(&bell->stamp), 0};
    return 0;
}

static void device_version(char *text, size_t size)
{
    snprintf(text, size, "pwrite, fdatasync, futex");
}

const struct engine engine_device = {
    .name = "device",
    .options = "64 MiB file, written before; key and value appended in place; "
               "a futex for who follows",
    .rank = {RANK_POWER, RANK_POWER},
    .kinds = KIND_FLOOR,
    .version = device_version,
    .open = device_open,
    .close = device_close,
    .session_open = device_session,
    .session_close = device_session_close,
    .put = device_put,
    .watch_open = device_watch_open,
    .watch_next = device_watch_next,
};
