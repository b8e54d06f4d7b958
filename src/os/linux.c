/* os/linux.c -- the platform Linux: files, maps, directories, byte locks.
 *
 * Holds:
 *   L1  Every descriptor is close-on-exec and none is 0, 1 or 2: a stray
 *       write to the standard streams cannot reach a database.
 *   L2  Only regular files are opened, never through a symbolic link.
 *   L3  A transfer is complete or an error.  Being interrupted, or given less
 *       than asked for, is nobody else's concern.
 *   L4  No call of ours raises a signal; see size_allowed.
 *   L5  A failing call notes a sentence with the call and the path.
 * Not here: processes, futexes, anonymous memory, fork (os/linux_process.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "files beyond 2 GiB");
_Static_assert(sizeof(void *) == 8, "the page file is mapped whole");

enum {
    WRITEV_PIECES_MAX = 64,      /* os.h */
    DESCRIPTOR_MIN = 10,         /* where to move one that came out below 3 */
    PATH_SHOWN_MAX = 120,        /* of a path in a sentence: its end */
    LOCK_POLL_FIRST_US = 20,
    LOCK_POLL_LAST_US = 5000,
    LIMIT_RECHECK_NS = 4000000,  /* a tick of the coarse clock */
    ADVISE_PIECE = 256 << 10,
    RANDOM_PIECE = 256,          /* getrandom gives that much in one piece */
};

/* What one fallocate covers at most, and after interruptions at least. */
#define ALLOCATE_STEP_MAX MIB(256)
#define ALLOCATE_STEP_MIN MIB(1)

static struct linux_file *linux_of(struct os_file *file)
{
    return (struct linux_file *)file;
}

static const char *shown(const char *path)
{
    size_t size = strlen(path);
    return size > PATH_SHOWN_MAX ? path + (size - PATH_SHOWN_MAX) : path;
}

/* A path's call failed with errno. */
#define FAIL_PATH(call, path) \
    fail_errno(base_code_of(errno), errno, "%s of %s", (call), shown(path))

/* Are SIZE bytes at OFFSET a place that a file can have at all? */
static bool in_file_range(u64 offset, u64 size)
{
    return offset <= INT64_MAX && size <= INT64_MAX - offset;
}

static int out_of_range(struct linux_file *f, u64 offset, u64 size)
{
    return fail(LUGE_INVALID, "%llu bytes at %llu are beyond what %s can hold",
                (unsigned long long)size, (unsigned long long)offset,
                shown(f->path));
}

/* ------------------------------------------------------ open and close -- */

/* Fill the holes among descriptors 0 to 2, so that an open cannot fall into
 * one even for a moment.  A write to such a filler gives EBADF, just as to the
 * closed descriptor that it stands for. */
static unsigned fill_low_descriptors(int fillers[3])
{
    unsigned count = 0;
    for (int low = 0; low < 3; low++) {
        if (fcntl(low, F_GETFD) >= 0) continue;
        int filler = open("/", O_PATH | O_CLOEXEC);
        if (filler < 0) break;
        if (filler > 2) { /* another thread was faster */
            close(filler);
            break;
        }
        fillers[count++] = filler;
    }
    return count;
}

int linux_high_descriptor(int fd)
{
    if (fd < 0 || fd > 2) return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, DESCRIPTOR_MIN);
    int error = errno;
    close(fd);
    errno = error;
    return high;
}

/* open, but never as descriptor 0 to 2.  -1 and errno if it fails. */
static int open_high(const char *path, int flags)
{
    int fillers[3];
    unsigned filled = fill_low_descriptors(fillers);
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
    } while (fd < 0 && errno == EINTR);
    fd = linux_high_descriptor(fd);
    int error = errno;
    while (filled) close(fillers[--filled]);
    errno = error;
    return fd;
}

static int refuse_irregular(int fd, const char *path)
{
    struct stat s;
    if (fstat(fd, &s)) return FAIL_PATH("fstat", path);
    if (!S_ISREG(s.st_mode))
        return fail(LUGE_INVALID, "%s is not a regular file", shown(path));
    return 0;
}

static int linux_open(struct os *os, const char *path, unsigned flags,
                      struct os_file **file)
{
    assert(!(flags & OS_EXCLUSIVE) || (flags & OS_CREATE));
    /* O_NONBLOCK: a pipe or a device in the file's place must not hold us. */
    int mode = O_NOFOLLOW | O_NONBLOCK;
    mode |= flags & OS_WRITE ? O_RDWR : O_RDONLY;
    if (flags & OS_CREATE) mode |= O_CREAT;
    if (flags & OS_EXCLUSIVE) mode |= O_EXCL;

    size_t path_size = strlen(path) + 1;
    struct linux_file *f = base_alloc_zero(sizeof *f + path_size);
    if (!f) return NOMEM();
    f->head.os = os;
    memcpy(f->path, path, path_size);

    int rc = 0;
    f->descriptor = open_high(path, mode);
    if (f->descriptor >= 0)
        rc = refuse_irregular(f->descriptor, path);
    else if (errno == ELOOP)
        rc = fail_errno(LUGE_INVALID, ELOOP, "%s is a symbolic link",
                        shown(path));
    else
        rc = FAIL_PATH("open", path);
    if (rc) {
        if (f->descriptor >= 0) close(f->descriptor);
        base_free(f);
        return rc;
    }
    *file = &f->head;
    return 0;
}

/* The answer of close is of no use: what must last was synced before, and the
 * descriptor is gone on Linux whatever close says. */
static void linux_close(struct os_file *file)
{
    if (!file) return;
    struct linux_file *f = linux_of(file);
    linux_forget_in_child(f);
    if (f->descriptor >= 0) close(f->descriptor);
    base_free(f);
}

/* ------------------------------------------------------------- transfer -- */

static u64 coarse_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* May the file reach END?  Beyond RLIMIT_FSIZE (ulimit -f) the kernel would
 * not only refuse but send SIGXFSZ, which kills by default, and a library has
 * no business with its host's signal handlers.  So we ask before.
 * getrlimit costs half a small pwrite (271 against 508 ns), the coarse clock
 * 7 ns: ask once a tick.  A limit lowered in mid-run is seen a tick late. */
static bool size_allowed(struct linux_file *f, u64 end)
{
    u64 now = coarse_ns();
    u64 seen = atomic_load_explicit(&f->limit_tick_ns, memory_order_acquire);
    if (!seen || now - seen >= LIMIT_RECHECK_NS) {
        struct rlimit limit;
        bool known = !getrlimit(RLIMIT_FSIZE, &limit) &&
                     limit.rlim_cur != RLIM_INFINITY;
        atomic_store_explicit(&f->limit_bytes,
                              known ? limit.rlim_cur : UINT64_MAX,
                              memory_order_relaxed);
        atomic_store_explicit(&f->limit_tick_ns, now, memory_order_release);
    }
    return end <= atomic_load_explicit(&f->limit_bytes, memory_order_relaxed);
}

static int too_large(struct linux_file *f, u64 end)
{
    return fail_errno(LUGE_NOSPACE, EFBIG,
                      "%s may not have %llu bytes (ulimit -f)", shown(f->path),
                      (unsigned long long)end);
}

static int transfer_failed(struct linux_file *f, const char *call, int error,
                           u64 offset, u64 size)
{
    return fail_errno(base_code_of(error), error,
                      "%s of %llu bytes at %llu of %s", call,
                      (unsigned long long)size, (unsigned long long)offset,
                      shown(f->path));
}

static int past_the_end(struct linux_file *f, u64 offset, u64 size)
{
    return CORRUPT("%s ends before its byte %llu", shown(f->path),
                   (unsigned long long)(offset + size));
}

static int linux_read(struct os_file *file, void *to, size_t size, u64 offset)
{
    struct linux_file *f = linux_of(file);
    u8 *next = to;
    if (!in_file_range(offset, size))
        return past_the_end(f, offset, size);
    while (size) {
        ssize_t n = pread(f->descriptor, next, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return transfer_failed(f, "pread", errno, offset, size);
        if (n == 0) return past_the_end(f, offset, size);
        next += n;
        offset += (u64)n;
        size -= (size_t)n;
    }
    return 0;
}

static int linux_write(struct os_file *file, const void *from, size_t size,
                       u64 offset)
{
    struct linux_file *f = linux_of(file);
    const u8 *next = from;
    if (!in_file_range(offset, size)) return out_of_range(f, offset, size);
    if (!size_allowed(f, offset + size)) return too_large(f, offset + size);
    while (size) {
        ssize_t n = pwrite(f->descriptor, next, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        /* 0 is not foreseen; as an error it cannot make us spin. */
        if (n <= 0)
            return transfer_failed(f, "pwrite", n ? errno : EIO, offset, size);
        next += n;
        offset += (u64)n;
        size -= (size_t)n;
    }
    return 0;
}

/* Drop WRITTEN bytes from the front of the pieces from *first on. */
static void advance(struct iovec *pieces, unsigned count, unsigned *first,
                    size_t written)
{
    while (*first < count && written >= pieces[*first].iov_len)
        written -= pieces[(*first)++].iov_len;
    if (!written) return;
    assert(*first < count);
    pieces[*first].iov_base = (u8 *)pieces[*first].iov_base + written;
    pieces[*first].iov_len -= written;
}

static int linux_writev(struct os_file *file, const luge_bytes *pieces,
                        unsigned count, u64 offset)
{
    assert(count <= WRITEV_PIECES_MAX);
    struct linux_file *f = linux_of(file);
    struct iovec parts[WRITEV_PIECES_MAX];
    u64 left = 0;
    unsigned first = 0;
    for (unsigned i = 0; i < count; i++) {
        parts[i].iov_base = (void *)(uintptr_t)pieces[i].data;
        parts[i].iov_len = pieces[i].size;
        if (!in_file_range(left, pieces[i].size))
            return out_of_range(f, offset, UINT64_MAX);
        left += pieces[i].size;
    }
    if (!in_file_range(offset, left)) return out_of_range(f, offset, left);
    if (!size_allowed(f, offset + left)) return too_large(f, offset + left);

    while (left) {
        ssize_t n = pwritev(f->descriptor, parts + first, (int)(count - first),
                            (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return transfer_failed(f, "pwritev", n ? errno : EIO, offset, left);
        offset += (u64)n;
        left -= (u64)n;
        advance(parts, count, &first, (size_t)n);
    }
    return 0;
}

/* ------------------------------------------------------ sync and extent -- */

/* A failed sync is not tried again, here or above: the kernel may have marked
 * the lost pages clean, and the second answer would be a lie. */
static int linux_sync(struct os_file *file)
{
    struct linux_file *f = linux_of(file);
    while (fdatasync(f->descriptor)) {
        if (errno != EINTR) return FAIL_PATH("fdatasync", f->path);
    }
    return 0;
}

/* Without RWF_DSYNC in the system or its file system: all of the file. */
static int write_and_sync(struct os_file *file, const void *from, size_t size,
                          u64 offset)
{
    int rc = linux_write(file, from, size, offset);
    return rc ? rc : linux_sync(file);
}

static int linux_write_durable(struct os_file *file, const void *from,
                               size_t size, u64 offset)
{
    struct linux_file *f = linux_of(file);
    struct iovec piece = {(void *)(uintptr_t)from, size};
    ssize_t n;
    if (!in_file_range(offset, size)) return out_of_range(f, offset, size);
    if (!size_allowed(f, offset + size)) return too_large(f, offset + size);
    do n = pwritev2(f->descriptor, &piece, 1, (off_t)offset, RWF_DSYNC);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)size) return 0;
    if (n >= 0 || errno == EOPNOTSUPP || errno == ENOSYS)
        return write_and_sync(file, from, size, offset);
    return transfer_failed(f, "pwritev2", errno, offset, size);
}

static int linux_sync_start(struct os_file *file, u64 offset, u64 size)
{
    if (!in_file_range(offset, size)) return 0;
    (void)sync_file_range(linux_of(file)->descriptor, (off_t)offset,
                          (off_t)size, SYNC_FILE_RANGE_WRITE);
    return 0;
}

/* The flags that wait take the file's pending error, which the fdatasync
 * after it does not report again. */
static int linux_sync_part(struct os_file *file, u64 offset, u64 size)
{
    struct linux_file *f = linux_of(file);
    if (!in_file_range(offset, size)) return 0;
    while (sync_file_range(f->descriptor, (off_t)offset, (off_t)size,
                           SYNC_FILE_RANGE_WRITE |
                               SYNC_FILE_RANGE_WAIT_AFTER)) {
        if (errno == EINTR) continue;
        if (errno == ENOSYS || errno == EINVAL || errno == ESPIPE ||
            errno == EOPNOTSUPP || errno == EPERM)
            return 0;                         /* cannot: sync does it all */
        return FAIL_PATH("sync_file_range", f->path);
    }
    return 0;
}

static int linux_size(struct os_file *file, u64 *size)
{
    struct linux_file *f = linux_of(file);
    struct stat s;
    if (fstat(f->descriptor, &s)) return FAIL_PATH("fstat", f->path);
    *size = (u64)s.st_size;
    return 0;
}

/* Growing to END: will the process's limit bear it?  (Shrinking always is.) */
static int check_growth(struct linux_file *f, u64 end)
{
    if (!in_file_range(end, 0)) return out_of_range(f, end, 0);
    if (size_allowed(f, end)) return 0;
    u64 size = 0;
    int rc = linux_size(&f->head, &size);
    if (rc) return rc;
    return end > size ? too_large(f, end) : 0;
}

static int linux_resize(struct os_file *file, u64 size)
{
    struct linux_file *f = linux_of(file);
    int rc = check_growth(f, size);
    if (rc) return rc;
    while (ftruncate(f->descriptor, (off_t)size)) {
        if (errno != EINTR)
            return transfer_failed(f, "ftruncate", errno, 0, size);
    }
    return 0;
}

static void linux_data(struct os_file *file, u64 offset, u64 *from, u64 *to)
{
    int fd = linux_of(file)->descriptor;
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA), hole;
    *from = *to = UINT64_MAX;
    if (data < 0 && errno == ENXIO) return;
    *from = data < 0 ? offset : (u64)data;      /* it cannot tell */
    hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (hole >= 0) *to = (u64)hole;
}

static int linux_punch(struct os_file *file, u64 offset, u64 size)
{
    struct linux_file *f = linux_of(file);
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    while (fallocate(f->descriptor, mode, (off_t)offset, (off_t)size)) {
        if (errno == EOPNOTSUPP || errno == ENOSYS) return 0; /* a courtesy */
        if (errno != EINTR)
            return transfer_failed(f, "fallocate", errno, offset, size);
    }
    return 0;
}

/* For file systems without fallocate: zeros beyond the file's end.  A hole
 * before the end stays one, since filling it could undo somebody's write; a
 * later write there may then report NOSPACE, which is still no signal. */
static int allocate_by_writing(struct linux_file *f, u64 offset, u64 end)
{
    static const u8 zeros[4096];
    u64 size = 0;
    int rc = linux_size(&f->head, &size);
    if (rc) return rc;
    for (u64 at = max_u64(offset, size); at < end;) {
        size_t piece = (size_t)min_u64(end - at, sizeof zeros);
        rc = linux_write(&f->head, zeros, piece, at);
        if (rc) return rc;
        at += piece;
    }
    return 0;
}

int linux_allocate_to(int fd, u64 *at, u64 end)
{
    u64 step = ALLOCATE_STEP_MAX;
    while (*at < end) {
        u64 piece = min_u64(end - *at, step);
        if (!fallocate(fd, 0, (off_t)*at, (off_t)piece))
            *at += piece;
        else if (errno == EINTR)
            step = max_u64(step / 2, ALLOCATE_STEP_MIN);
        else
            return errno;
    }
    return 0;
}

static int linux_allocate(struct os_file *file, u64 offset, u64 size)
{
    struct linux_file *f = linux_of(file);
    if (!in_file_range(offset, size)) return out_of_range(f, offset, size);
    int rc = check_growth(f, offset + size);
    if (rc) return rc;
    u64 end = offset + size;
    int error = linux_allocate_to(f->descriptor, &offset, end);
    if (!error) return 0;
    if (error == EOPNOTSUPP || error == ENOSYS)
        return allocate_by_writing(f, offset, end);
    return transfer_failed(f, "fallocate", error, offset, end - offset);
}

/* ----------------------------------------------------------------- maps -- */

static int map(struct linux_file *f, u64 size, int protection, int flags,
               u8 **base)
{
    assert(size);
    void *at = mmap(NULL, size, protection, MAP_SHARED | flags, f->descriptor,
                    0);
    if (at == MAP_FAILED)
        return transfer_failed(f, "mmap", errno, 0, size);
    *base = at;
    return 0;
}

static int linux_map_read(struct os_file *file, u64 size, const u8 **base)
{
    u8 *at = NULL;
    int rc = map(linux_of(file), size, PROT_READ, MAP_NORESERVE, &at);
    if (rc) return rc;
    *base = at;
    return 0;
}

/* madvise wants whole pages of the system; what lies behind the file's end is
 * no error to it.  WILLNEED reads no more of a range than the device's
 * read-ahead or its largest transfer, and says nothing of the rest: in pieces.
 */
static void linux_advise(struct os *os, const u8 *at, u64 size,
                         enum os_advice advice)
{
    static const int kernels[] = {
        [OS_RANDOM] = MADV_RANDOM,
        [OS_SEQUENTIAL] = MADV_SEQUENTIAL,
        [OS_WILL_NEED] = MADV_WILLNEED,
    };
    (void)os;
    u64 before = (uintptr_t)at % (u64)sysconf(_SC_PAGESIZE);
    u64 piece = advice == OS_WILL_NEED ? ADVISE_PIECE : UINT64_MAX;
    u8 *from = (u8 *)(uintptr_t)(at - before);
    size += before;
    for (u64 done = 0, n; done < size; done += n) {
        n = min_u64(size - done, piece);
        (void)madvise(from + done, n, kernels[advice]);
    }
}

static int linux_map_shared(struct os_file *file, u64 size, u8 **base)
{
    return map(linux_of(file), size, PROT_READ | PROT_WRITE, 0, base);
}

static void linux_unmap(struct os *os, const void *base, u64 size)
{
    (void)os;
    if (!base) return;
    int rc = munmap((void *)(uintptr_t)base, size);
    assert(!rc);
    (void)rc;
}

/* ---------------------------------------------------------- directories -- */

static int linux_stat(struct os *os, const char *path, struct os_stat *result)
{
    (void)os;
    struct stat s;
    if (stat(path, &s)) return FAIL_PATH("stat", path);
    *result = (struct os_stat){
        .size = (u64)s.st_size,
        .allocated = (u64)s.st_blocks * 512,
        .device = s.st_dev,
        .inode = s.st_ino,
        .directory = S_ISDIR(s.st_mode),
    };
    return 0;
}

static int linux_mkdir(struct os *os, const char *path)
{
    (void)os;
    return mkdir(path, 0777) ? FAIL_PATH("mkdir", path) : 0;
}

static int linux_rename(struct os *os, const char *from, const char *to)
{
    (void)os;
    if (!rename(from, to)) return 0;
    return fail_errno(base_code_of(errno), errno, "rename of %s to %s",
                      shown(from), shown(to));
}

static int linux_unlink(struct os *os, const char *path)
{
    (void)os;
    return unlink(path) ? FAIL_PATH("unlink", path) : 0;
}

static int linux_rmdir(struct os *os, const char *path)
{
    (void)os;
    return rmdir(path) ? FAIL_PATH("rmdir", path) : 0;
}

static int linux_sync_dir(struct os *os, const char *path)
{
    (void)os;
    int rc = 0;
    int fd = open_high(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return FAIL_PATH("open", path);
    while (fsync(fd)) {
        if (errno == EINTR) continue;
        rc = FAIL_PATH("fsync", path);
        break;
    }
    close(fd);
    return rc;
}

static bool is_dots(const char *name)
{
    return !strcmp(name, ".") || !strcmp(name, "..");
}

static int linux_list(struct os *os, const char *path,
                      int (*each)(void *context, const char *name),
                      void *context)
{
    (void)os;
    int rc = 0;
    int fd = open_high(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return FAIL_PATH("open", path);
    DIR *directory = fdopendir(fd);
    if (!directory) {
        rc = FAIL_PATH("fdopendir", path);
        close(fd);
        return rc;
    }
    while (!rc) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry) {
            if (errno) rc = FAIL_PATH("readdir", path);
            break;
        }
        if (!is_dots(entry->d_name)) rc = each(context, entry->d_name);
    }
    closedir(directory);
    return rc;
}

/* The file systems that cannot carry a shared database: several machines may
 * mount them, and then neither the mapping nor the shared memory is one.
 * FUSE has one number for all: those over a network and those that are not. */
#define REFUSED_FILE_SYSTEMS(X)                                               \
    X(0x6969, "NFS")            X(0x517b, "SMB")                              \
    X(0xff534d42, "CIFS")       X(0xfe534d42, "SMB2")                         \
    X(0x01021997, "9p")         X(0x65735546, "FUSE")                         \
    X(0x00c36400, "Ceph")       X(0x5346414f, "AFS")                          \
    X(0x6b414653, "kAFS")       X(0x73757245, "Coda")                         \
    X(0x564c, "NCP")            X(0x0bd00bd0, "Lustre")                       \
    X(0x47504653, "GPFS")       X(0x01161970, "GFS2")                         \
    X(0x7461636f, "OCFS2")      X(0x20030528, "OrangeFS")                     \
    X(0x19830326, "BeeGFS")     X(0xaad7aaea, "PanFS")                        \
    X(0x786f4256, "vboxsf")     X(0xbacbacbc, "vmhgfs")

static const char *refused_name(u32 magic)
{
    switch (magic) {
#define X(number, name) case number: return name;
    REFUSED_FILE_SYSTEMS(X)
#undef X
    default: return NULL;
    }
}

static int linux_probe(struct os *os, const char *path)
{
    (void)os;
    struct statfs s;
    int failed;
    do {
        failed = statfs(path, &s);
    } while (failed && errno == EINTR);
    if (failed) return FAIL_PATH("statfs", path);
    const char *name = refused_name((u32)s.f_type);
    if (!name) return 0;
    return fail(LUGE_UNSUPPORTED,
                "%s is on %s, where processes cannot share memory and locks",
                shown(path), name);
}

/* ---------------------------------------------------------------- locks -- */

static int set_lock(struct linux_file *f, u64 byte, short type)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)byte,
        .l_len = 1,
    };
    int rc;
    do {
        rc = fcntl(f->descriptor, F_OFD_SETLK, &lock);
    } while (rc && errno == EINTR);
    return rc;
}

static int lock_failed(struct linux_file *f, int error, u64 byte)
{
    bool held = error == EAGAIN || error == EACCES;
    int code = held ? LUGE_BUSY
             : error == EINVAL ? LUGE_UNSUPPORTED : base_code_of(error);
    return fail_errno(code, held ? 0 : error, "%s byte %llu of %s",
                      held ? "somebody else has locked" : "lock of",
                      (unsigned long long)byte, shown(f->path));
}

/* By polling: F_OFD_SETLKW could only be ended by a signal. */
static int linux_lock(struct os_file *file, u64 byte, bool exclusive,
                      u32 wait_ms)
{
    assert(in_file_range(byte, 1));
    struct linux_file *f = linux_of(file);
    short type = exclusive ? F_WRLCK : F_RDLCK;
    if (!set_lock(f, byte, type)) return 0;

    u64 deadline = os_monotonic_ns() + (u64)wait_ms * 1000000u;
    u32 pause_us = LOCK_POLL_FIRST_US;
    while (errno == EAGAIN || errno == EACCES) {
        int error = errno;
        u64 now = os_monotonic_ns();
        if (now >= deadline) return lock_failed(f, error, byte);
        os_sleep_us((u32)min_u64(pause_us, (deadline - now) / 1000 + 1));
        pause_us = (u32)min_u64(pause_us * 2, LOCK_POLL_LAST_US);
        if (!set_lock(f, byte, type)) return 0;
    }
    return lock_failed(f, errno, byte);
}

static void linux_unlock(struct os_file *file, u64 byte)
{
    (void)set_lock(linux_of(file), byte, F_UNLCK);
}

static int linux_lock_test(struct os_file *file, u64 byte, u64 count,
                           bool *held)
{
    assert(count && in_file_range(byte, count));
    struct linux_file *f = linux_of(file);
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = (off_t)byte,
        .l_len = (off_t)count,
    };
    while (fcntl(f->descriptor, F_OFD_GETLK, &lock)) {
        if (errno != EINTR) return lock_failed(f, errno, byte);
    }
    *held = lock.l_type != F_UNLCK;
    return 0;
}

/* ------------------------------------------------------ time and chance -- */

static u64 linux_wall_ns(struct os *os)
{
    (void)os;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

static int linux_random(struct os *os, void *to, size_t size)
{
    (void)os;
    u8 *next = to;
    while (size) {
        ssize_t n = getrandom(next, min_u64(size, RANDOM_PIECE), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return fail_errno(base_code_of(errno), errno, "getrandom");
        next += n;
        size -= (size_t)n;
    }
    return 0;
}

/* ------------------------------------------------------------ the table -- */

struct os *os_native(void)
{
    static struct os linux_os = { /* never written */
        .name = "linux",
        .open = linux_open,
        .close = linux_close,
        .read = linux_read,
        .write = linux_write,
        .writev = linux_writev,
        .write_durable = linux_write_durable,
        .sync = linux_sync,
        .sync_start = linux_sync_start,
        .sync_part = linux_sync_part,
        .size = linux_size,
        .resize = linux_resize,
        .punch = linux_punch,
        .allocate = linux_allocate,
        .map_read = linux_map_read,
        .advise = linux_advise,
        .data = linux_data,
        .map_shared = linux_map_shared,
        .unmap = linux_unmap,
        .stat = linux_stat,
        .mkdir = linux_mkdir,
        .rename = linux_rename,
        .unlink = linux_unlink,
        .rmdir = linux_rmdir,
        .sync_dir = linux_sync_dir,
        .list = linux_list,
        .probe = linux_probe,
        .lock = linux_lock,
        .unlock = linux_unlock,
        .lock_test = linux_lock_test,
        .wall_ns = linux_wall_ns,
        .random = linux_random,
    };
    return &linux_os;
}
