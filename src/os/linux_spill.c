/* os/linux_spill.c -- memory that a file stands behind, so that the system can
 * move it out when it is short of its own.
 *
 *   - file: unlinked at once, gone with the process whatever happens to it
 *   - blocks come before bytes: a full disk is NOSPACE, never a SIGBUS
 * Not here: what is kept in it (page/file.c, txn/ops.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/linux.h"

#define SPILL_STEP MIB(16)

struct os_spill {
    int descriptor;
    u8 *base;
    u64 bytes, grown;
};

/* Not every file system has nameless files. */
static int open_nameless(const char *directory)
{
    char path[4200];
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) return linux_high_descriptor(fd);
    snprintf(path, sizeof path, "%s/spill-XXXXXX", directory);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) (void)unlink(path);
    return linux_high_descriptor(fd);
}

int os_spill_open(const char *directory, u64 bytes, void *over,
                  struct os_spill **spill)
{
    struct os_spill *s = base_alloc_zero(sizeof *s);
    if (!s) return NOMEM();
    s->bytes = bytes;
    s->descriptor = open_nameless(directory);
    int fixed = over ? MAP_FIXED : 0;
    u8 *base = MAP_FAILED;
    if (s->descriptor >= 0)
        base = mmap(over, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_NORESERVE | fixed, s->descriptor, 0);
    if (base == MAP_FAILED) {
        int err = errno;
        if (s->descriptor >= 0) close(s->descriptor);
        base_free(s);
        return fail_errno(base_code_of(err), err, "a file in %s to spill to",
                          directory);
    }
    s->base = base;
    *spill = s;
    return 0;
}

u8 *os_spill_base(const struct os_spill *s)
{
    return s->base;
}

/* Beyond it the system would send SIGXFSZ (L4 of linux.c). */
static u64 size_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

int os_spill_grow(struct os_spill *s, u64 bytes)
{
    if (bytes <= s->grown) return 0;
    if (bytes > s->bytes)
        return fail(LUGE_NOMEM, "a transaction needs more than %llu bytes",
                    (unsigned long long)s->bytes);
    u64 whole = min_u64(round_up(bytes, SPILL_STEP), s->bytes);
    u64 most = size_limit();
    if (whole > most) whole = round_up(bytes, 4096);
    if (whole > most)
        return fail(LUGE_NOSPACE, "%llu bytes to spill to; this process may "
                    "write files of %llu (RLIMIT_FSIZE)",
                    (unsigned long long)whole, (unsigned long long)most);
    int err = linux_allocate_to(s->descriptor, &s->grown, whole);
    if (err == EOPNOTSUPP || err == ENOSYS) {   /* libc writes, then */
        err = posix_fallocate(s->descriptor, (off_t)s->grown,
                              (off_t)(whole - s->grown));
        if (!err) s->grown = whole;
    }
    if (!err) return 0;
    return fail_errno(base_code_of(err), err, "%llu bytes to spill to",
                      (unsigned long long)whole);
}

void os_spill_empty(struct os_spill *s)
{
    if (!s || !s->grown) return;
    if (!ftruncate(s->descriptor, 0)) s->grown = 0;
}

void os_spill_close(struct os_spill *s, bool unmap)
{
    if (!s) return;
    if (unmap) (void)munmap(s->base, s->bytes);
    close(s->descriptor);
    base_free(s);
}
