/* bench/engine_device.c -- no database: the bare device, the floor of commits.
 *
 * One record is one pwrite into a file whose blocks were written before, then
 * one fdatasync: what a log with nothing around it could do at best.
 * Not here: reading; nothing is ever found again. */
#define _GNU_SOURCE
#include "engine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "place.h"

enum { FILE_BYTES = 64 << 20, CHUNK_BYTES = 1 << 20 };

struct device {
    int fd;
    off_t at;
};

static int prewrite(int fd)
{
    char *chunk = bench_alloc(CHUNK_BYTES);
    int rc = 0;

    memset(chunk, 0x5a, CHUNK_BYTES);
    for (off_t at = 0; !rc && at < FILE_BYTES; at += CHUNK_BYTES)
        if (pwrite(fd, chunk, CHUNK_BYTES, at) != CHUNK_BYTES)
            rc = bench_fail_errno("write", "the floor's file");
    free(chunk);
    if (!rc && fsync(fd)) rc = bench_fail_errno("sync", "the floor's file");
    return rc;
}

static int device_open(const struct engine *engine, const struct open_how *how,
                       void **db)
{
    struct device *device = bench_alloc(sizeof *device);
    char path[PLACE_PATH_MAX];

    (void)engine;
    *db = device;
    device->fd = -1;
    if (place_join(path, how->dir, "file")) return -1;
    device->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (device->fd < 0) return bench_fail_errno("open", path);
    return prewrite(device->fd);
}

static int device_close(void *db)
{
    struct device *device = db;

    if (device->fd >= 0) close(device->fd);
    free(device);
    return 0;
}

static int device_session(void *db, void **session)
{
    *session = db;
    return 0;
}

static void device_session_close(void *session) { (void)session; }

static int device_put(void *session, struct slice key, struct slice value)
{
    struct device *device = session;
    struct iovec parts[] = {{(void *)key.data, key.size},
                            {(void *)value.data, value.size}};
    ssize_t size = (ssize_t)(key.size + value.size);

    if (pwritev(device->fd, parts, 2, device->at) != size ||
        fdatasync(device->fd))
        return bench_fail_errno("write", "the floor's file");
    device->at += size;
    if (device->at + size > FILE_BYTES) device->at = 0;
    return 0;
}

static void device_version(char *text, size_t size)
{
    snprintf(text, size, "pwrite and fdatasync");
}

const struct engine engine_device = {
    .name = "device",
    .options = "64 MiB file, written before; key and value appended in place",
    .rank = {RANK_POWER, RANK_POWER},
    .kinds = KIND_FLOOR,
    .version = device_version,
    .open = device_open,
    .close = device_close,
    .session_open = device_session,
    .session_close = device_session_close,
    .put = device_put,
};
