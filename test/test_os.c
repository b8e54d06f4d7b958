/* test/test_os.c -- the platform this process runs on, against the real kernel.
 *
 * Holds: what the kernel seldom does (short transfers, interruptions, rare
 * errors) is done by functions of this file that stand in front of libc's:
 * struct trick says which call misbehaves, how, and how often.
 * Long, because those functions stand in front of libc's for the whole program.
 * Children never use assertions: they answer by their exit code.
 * Not here: the simulator (test/test_sim.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka's; ours is base.h's */

#include "os/linux.h"

static struct os *os;
static char folder[4096]; /* the test's own, made anew for each */

static const char *in_folder(const char *name)
{
    static char paths[4][4200];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* --------------------------------------------------- misbehaving calls -- */

enum call { NONE, PREAD, PWRITE, PWRITEV, PWRITEV2, FDATASYNC, FTRUNCATE,
            FALLOCATE, STATFS, GETRANDOM };

static struct trick {
    enum call call;
    int error;          /* fail with this, if not 0 */
    unsigned times;     /* so often, then behave */
    size_t most;        /* transfer at most so much, if not 0 */
    bool nothing;       /* transfer nothing at all */
    u32 magic;          /* of statfs */
    unsigned calls;     /* seen */
} trick;

static bool misbehaves(enum call call)
{
    if (trick.call != call) return false;
    trick.calls++;
    if (!trick.error || !trick.times) return false;
    trick.times--;
    errno = trick.error;
    return true;
}

static size_t limited(enum call call, size_t size)
{
    if (trick.call != call) return size;
    if (trick.nothing) return 0;
    return trick.most && size > trick.most ? trick.most : size;
}

ssize_t pread(int fd, void *to, size_t size, off_t offset)
{
    if (misbehaves(PREAD)) return -1;
    return syscall(SYS_pread64, fd, to, limited(PREAD, size), offset);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t offset)
{
    if (misbehaves(PWRITE)) return -1;
    return syscall(SYS_pwrite64, fd, from, limited(PWRITE, size), offset);
}

/* Cut in the middle of a piece, too: the longest prefix of a copy. */
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    static u8 copy[1 << 16];
    size_t size = 0;
    if (misbehaves(PWRITEV)) return -1;
    for (int i = 0; i < count; i++) {
        if (!pieces[i].iov_len) continue;
        memcpy(copy + size, pieces[i].iov_base, pieces[i].iov_len);
        size += pieces[i].iov_len;
    }
    return syscall(SYS_pwrite64, fd, copy, limited(PWRITEV, size), offset);
}

/* One piece, and what it would wait for is not looked at. */
ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset,
                 int flags)
{
    if (misbehaves(PWRITEV2)) return -1;
    assert_int_equal(count, 1);
    assert_int_equal(flags, RWF_DSYNC);
    return syscall(SYS_pwrite64, fd, pieces->iov_base,
                   limited(PWRITEV2, pieces->iov_len), offset);
}

int fdatasync(int fd)
{
    return misbehaves(FDATASYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t size)
{
    return misbehaves(FTRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    if (misbehaves(FALLOCATE)) return -1;
    return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

int statfs(const char *path, struct statfs *result)
{
    if (misbehaves(STATFS)) return -1;
    int rc = (int)syscall(SYS_statfs, path, result);
    if (!rc && trick.call == STATFS) result->f_type = (long)trick.magic;
    return rc;
}

ssize_t getrandom(void *to, size_t size, unsigned flags)
{
    if (misbehaves(GETRANDOM)) return -1;
    return syscall(SYS_getrandom, to, limited(GETRANDOM, size), flags);
}

/* ----------------------------------------------------- before and after -- */

static int make_folder(void **unused)
{
    (void)unused;
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder - 100, "%s/luge-test-os-XXXXXX",
             parent ? parent : "/tmp");
    trick = (struct trick){ 0 };
    os = os_native();
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(void *context, const char *name)
{
    (void)context;
    const char *path = in_folder(name);
    return unlink(path) && rmdir(path) ? -1 : 0;
}

static int remove_folder(void **unused)
{
    (void)unused;
    trick = (struct trick){ 0 };
    int rc = os->list(os, folder, remove_entry, NULL);
    return rc ? rc : rmdir(folder);
}

static struct os_file *open_new(const char *name)
{
    struct os_file *f = NULL;
    assert_int_equal(
        os->open(os, in_folder(name), OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &f),
        0);
    return f;
}

static struct os_file *open_old(const char *name)
{
    struct os_file *f = NULL;
    assert_int_equal(os->open(os, in_folder(name), OS_WRITE, &f), 0);
    return f;
}

/* The exit code of a child that runs BODY; 128 + signal if one killed it. */
static int in_child(int (*body)(void *), void *argument)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(body(argument));
    }
    assert_true(child > 0);
    int status = 0;
    while (waitpid(child, &status, 0) < 0) assert_int_equal(errno, EINTR);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In a child: the number of the first line that does not hold. */
#define CHILD_NEEDS(condition)                                                \
    do {                                                                      \
        if (!(condition)) {                                                   \
            dprintf(2, "child, line %d: %s\n", __LINE__, #condition);         \
            return 1;                                                         \
        }                                                                     \
    } while (0)

/* ------------------------------------------------------ open and close -- */

static void open_creates_only_when_told_to(void **unused)
{
    (void)unused;
    struct os_file *f = NULL, *again = NULL;
    const char *path = in_folder("f");
    assert_int_equal(os->open(os, path, OS_READ, &f), LUGE_NOTFOUND);
    assert_int_equal(os->open(os, path, OS_WRITE, &f), LUGE_NOTFOUND);
    assert_non_null(strstr(luge_last_error()->text, path));
    assert_int_equal(luge_last_error()->system_errno, ENOENT);
    unsigned fresh = OS_WRITE | OS_CREATE | OS_EXCLUSIVE;
    assert_int_equal(os->open(os, path, fresh, &f), 0);
    assert_int_equal(os->open(os, path, fresh, &again), LUGE_EXISTS);
    assert_int_equal(os->open(os, path, OS_WRITE | OS_CREATE, &again), 0);
    assert_ptr_equal(f->os, os);
    os->close(again);
    os->close(f);
    os->close(NULL);

    assert_int_equal(os->open(os, path, OS_READ, &f), 0);
    assert_int_equal(os->write(f, "x", 1, 0), LUGE_IO); /* EBADF */
    os->close(f);
}

static void open_refuses_all_but_regular_files(void **unused)
{
    (void)unused;
    struct os_file *f = NULL;
    os->close(open_new("f"));
    assert_int_equal(symlink(in_folder("f"), in_folder("link")), 0);
    assert_int_equal(symlink("nowhere", in_folder("dangling")), 0);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
    static const char *const names[] = { "link", "dangling", "pipe", "folder" };
    alarm(30); /* opening a pipe must not wait for its other end */
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const char *path = in_folder(names[i]);
        assert_int_equal(os->open(os, path, OS_READ, &f), LUGE_INVALID);
        assert_int_equal(os->open(os, path, OS_WRITE, &f), LUGE_INVALID);
        assert_int_equal(os->open(os, path, OS_WRITE | OS_CREATE, &f),
                         LUGE_INVALID);
    }
    alarm(0);
    assert_int_equal(os->open(os, "/dev/null", OS_WRITE, &f), LUGE_INVALID);
    assert_int_equal(os->open(os, in_folder("f/x"), OS_WRITE, &f),
                     LUGE_NOTFOUND);
    struct stat s;
    assert_int_equal(lstat(in_folder("nowhere"), &s), -1);
}

static int open_as_nobody(void *path)
{
    struct os_file *f = NULL;
    if (setgid(65534) || setuid(65534)) return 2;
    CHILD_NEEDS(os->open(os, path, OS_WRITE, &f) == LUGE_PERMISSION);
    CHILD_NEEDS(os->mkdir(os, "/luge-test-never") == LUGE_PERMISSION);
    return 0;
}

static void open_reports_missing_permission(void **unused)
{
    (void)unused;
    os->close(open_new("f"));
    assert_int_equal(chmod(in_folder("f"), 0600), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    if (geteuid() != 0) {
        printf("skipped: only root can become nobody\n");
        skip();
    }
    char path[4200];
    snprintf(path, sizeof path, "%s", in_folder("f"));
    assert_int_equal(in_child(open_as_nobody, path), 0);
}

static int is_standard_stream_open(void *unused, const char *name)
{
    (void)unused;
    (void)name;
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) != -1) return 1;
    return 0;
}

static int open_without_standard_streams(void *path)
{
    struct os_file *files[4];
    for (int fd = 0; fd < 3; fd++) close(fd);
    for (int i = 0; i < 4; i++)
        if (os->open(os, path, OS_WRITE | OS_CREATE, &files[i])) return 10;
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) != -1) return 20 + fd;
    for (int i = 0; i < 4; i++) {
        int fd = ((struct linux_file *)files[i])->descriptor;
        if (fd < 3) return 30;
        if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC)) return 40;
    }
    if (os->write(files[3], "database", 8, 0)) return 50;
    if (write(1, "noise", 5) != -1) return 60;
    struct os_stat s;
    if (os->list(os, folder, is_standard_stream_open, NULL)) return 70;
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) != -1) return 80 + fd;
    return os->stat(os, path, &s) || s.size != 8 ? 90 : 0;
}

static void no_descriptor_is_a_standard_stream(void **unused)
{
    (void)unused;
    char path[4200];
    snprintf(path, sizeof path, "%s", in_folder("f"));
    assert_int_equal(in_child(open_without_standard_streams, path), 0);
    struct os_file *f = open_old("f");
    int fd = ((struct linux_file *)f)->descriptor;
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    os->close(f);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* ------------------------------------------------------------- transfer -- */

static void what_was_written_is_read(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    u8 back[16] = { 0 };
    u64 size = 9;
    assert_int_equal(os->size(f, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(os->write(f, "0123456789", 10, 4090), 0);
    assert_int_equal(os->write(f, "none", 0, 50000), 0);
    assert_int_equal(os->size(f, &size), 0);
    assert_int_equal(size, 4100);
    assert_int_equal(os->read(f, back, 12, 4088), 0);
    assert_memory_equal(back, "\0\0" "0123456789", 12);
    assert_int_equal(os->read(f, back, 0, 4100), 0);

    assert_int_equal(os->read(f, back, 11, 4090), LUGE_CORRUPT);
    assert_int_equal(os->read(f, back, 1, 4100), LUGE_CORRUPT);
    assert_int_equal(os->read(f, back, 1, UINT64_MAX), LUGE_CORRUPT);
    assert_int_equal(os->read(f, back, 16, INT64_MAX), LUGE_CORRUPT);
    assert_int_equal(os->write(f, "x", 1, UINT64_MAX), LUGE_INVALID);
    assert_int_equal(os->write(f, "x", 1, INT64_MAX), LUGE_INVALID);
    assert_int_equal(os->resize(f, UINT64_MAX), LUGE_INVALID);
    assert_int_equal(os->allocate(f, 5, UINT64_MAX), LUGE_INVALID);
    assert_int_equal(os->size(f, &size), 0);
    assert_int_equal(size, 4100);
    os->close(f);
}

static void pieces_are_written_in_a_row(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    luge_bytes pieces[64];
    u8 expected[3 + 64 * 65] = { 0 }, back[3 + 64 * 65];
    size_t at = 3;
    for (unsigned i = 0; i < 64; i++) {
        static u8 data[64 * 65];
        memset(data + at - 3, (int)(i + 1), i);
        pieces[i] = luge_bytes_of(i ? data + at - 3 : NULL, i);
        memset(expected + at, (int)(i + 1), i);
        at += i;
    }
    for (size_t most = 1; most < 5000; most = most * 3 + 1) {
        u64 size = 0;
        trick = (struct trick){ .call = PWRITEV, .most = most, .times = 3,
                                .error = EINTR };
        assert_int_equal(os->resize(f, 0), 0);
        assert_int_equal(os->writev(f, pieces, 64, 3), 0);
        assert_int_equal(trick.calls, 3 + (at - 3 + most - 1) / most);
        assert_int_equal(os->size(f, &size), 0);
        assert_int_equal(size, at);
        assert_int_equal(os->read(f, back, at, 0), 0);
        assert_memory_equal(back, expected, at);
    }
    assert_int_equal(os->writev(f, pieces, 0, 7), 0);
    assert_int_equal(os->writev(f, pieces, 1, 7), 0); /* an empty one */
    trick = (struct trick){ .call = PWRITEV, .times = 1, .error = ENOSPC };
    assert_int_equal(os->writev(f, pieces, 64, 3), LUGE_NOSPACE);
    assert_int_equal(os->writev(f, pieces, 64, INT64_MAX), LUGE_INVALID);
    os->close(f);
}

static void short_and_interrupted_transfers_go_on(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    u8 data[1000], back[1000] = { 0 };
    for (size_t i = 0; i < sizeof data; i++) data[i] = (u8)(i * 7);
    trick = (struct trick){ .call = PWRITE, .most = 33, .times = 5,
                            .error = EINTR };
    assert_int_equal(os->write(f, data, sizeof data, 11), 0);
    assert_int_equal(trick.calls, 5 + 31);
    trick = (struct trick){ .call = PREAD, .most = 33, .times = 5,
                            .error = EINTR };
    assert_int_equal(os->read(f, back, sizeof back, 11), 0);
    assert_int_equal(trick.calls, 5 + 31);
    assert_memory_equal(back, data, sizeof data);
    assert_int_equal(os->read(f, back, sizeof back, 12), LUGE_CORRUPT);

    trick = (struct trick){ .call = FDATASYNC, .times = 2, .error = EINTR };
    assert_int_equal(os->sync(f), 0);
    assert_int_equal(trick.calls, 3);
    trick = (struct trick){ .call = PWRITEV2, .times = 2, .error = EINTR };
    assert_int_equal(os->write_durable(f, data, sizeof data, 11), 0);
    assert_int_equal(trick.calls, 3);
    trick = (struct trick){ .call = FTRUNCATE, .times = 2, .error = EINTR };
    assert_int_equal(os->resize(f, 5), 0);
    assert_int_equal(trick.calls, 3);
    trick = (struct trick){ .call = FALLOCATE, .times = 9, .error = EINTR };
    assert_int_equal(os->allocate(f, 0, MIB(2)), 0);
    assert_int_equal(trick.calls, 9 + 2); /* by then in steps of 1 MiB */
    u8 many[1000] = { 0 };
    trick = (struct trick){ .call = GETRANDOM, .most = 100, .times = 2,
                            .error = EINTR };
    assert_int_equal(os->random(os, many, sizeof many), 0);
    assert_int_equal(trick.calls, 2 + 10);
    os->close(f);
}

static int do_read(struct os_file *f)
{
    u8 byte;
    return os->read(f, &byte, 1, 0);
}
static int do_write(struct os_file *f) { return os->write(f, "y", 1, 0); }
static int do_write_durable(struct os_file *f)
{
    return os->write_durable(f, "y", 1, 0);
}
static int do_sync(struct os_file *f) { return os->sync(f); }
static int do_resize(struct os_file *f) { return os->resize(f, 9); }
static int do_allocate(struct os_file *f) { return os->allocate(f, 0, 9); }
static int do_probe(struct os_file *f)
{
    (void)f;
    return os->probe(os, folder);
}

/* Each error that the kernel may give: one code, one sentence with the call
 * and the path, and no second try. */
static void an_error_becomes_a_code_and_a_sentence(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    assert_int_equal(os->write(f, "x", 1, 0), 0);
    static const struct {
        enum call call;
        int (*act)(struct os_file *);
        const char *name;
    } calls[] = {
        { PREAD, do_read, "pread" },
        { PWRITE, do_write, "pwrite" },
        { PWRITEV2, do_write_durable, "pwritev2" },
        { FDATASYNC, do_sync, "fdatasync" },
        { FTRUNCATE, do_resize, "ftruncate" },
        { FALLOCATE, do_allocate, "fallocate" },
        { STATFS, do_probe, "statfs" },
    };
    static const struct { int error, code; } errors[] = {
        { EIO, LUGE_IO },         { ENOSPC, LUGE_NOSPACE },
        { EDQUOT, LUGE_NOSPACE }, { EROFS, LUGE_PERMISSION },
        { EFBIG, LUGE_NOSPACE },  { EACCES, LUGE_PERMISSION },
        { EBADF, LUGE_IO },       { ENOMEM, LUGE_NOMEM },
    };
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        for (size_t k = 0; k < ARRAY_COUNT(errors); k++) {
            trick = (struct trick){ .call = calls[i].call, .times = 1,
                                    .error = errors[k].error };
            assert_int_equal(calls[i].act(f), errors[k].code);
            assert_int_equal(trick.calls, 1);
            const struct luge_error *e = luge_last_error();
            assert_int_equal(e->system_errno, errors[k].error);
            assert_non_null(strstr(e->text, calls[i].name));
            assert_non_null(strstr(e->text, folder));
            assert_non_null(strstr(e->text, strerror(errors[k].error)));
        }
    os->close(f);
}

static void a_write_that_moves_nothing_does_not_spin(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    luge_bytes piece = luge_str("ab");
    alarm(30);
    trick = (struct trick){ .call = PWRITE, .nothing = true };
    assert_int_equal(os->write(f, "ab", 2, 0), LUGE_IO);
    assert_int_equal(trick.calls, 1);
    trick = (struct trick){ .call = PWRITEV, .nothing = true };
    assert_int_equal(os->writev(f, &piece, 1, 0), LUGE_IO);
    assert_int_equal(trick.calls, 1);
    alarm(0);
    os->close(f);
}

/* A system that cannot, or did a part of it, is asked for all of the file. */
static void without_dsync_the_file_is_synced(void **unused)
{
    (void)unused;
    static const int cannot[] = { EOPNOTSUPP, ENOSYS, 0 };
    struct os_file *f = open_new("f");
    for (size_t i = 0; i < ARRAY_COUNT(cannot); i++) {
        u8 back[7] = { 0 };
        trick = (struct trick){ .call = PWRITEV2, .times = 1,
                                .error = cannot[i], .most = 3 };
        assert_int_equal(os->write_durable(f, "durable", 7, 100 * i), 0);
        assert_int_equal(trick.calls, 1);
        assert_int_equal(os->read(f, back, 7, 100 * i), 0);
        assert_memory_equal(back, "durable", 7);
    }
    trick = (struct trick){ 0 };
    assert_int_equal(os->write_durable(f, "x", 1, UINT64_MAX), LUGE_INVALID);
    os->close(f);
}

/* --------------------------------------------------- space and limits -- */

static void resize_is_sparse_and_allocate_is_not(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    struct stat s;
    u8 byte = 1;
    assert_int_equal(os->resize(f, MIB(64)), 0);
    assert_int_equal(stat(in_folder("f"), &s), 0);
    assert_int_equal(s.st_size, MIB(64));
    assert_true((u64)s.st_blocks * 512 < MIB(1));
    assert_int_equal(os->read(f, &byte, 1, MIB(64) - 1), 0);
    assert_int_equal(byte, 0);
    assert_int_equal(os->resize(f, 10), 0);
    assert_int_equal(os->allocate(f, 4096, MIB(3)), 0);
    assert_int_equal(stat(in_folder("f"), &s), 0);
    assert_int_equal(s.st_size, MIB(3) + 4096);
    assert_true((u64)s.st_blocks * 512 >= MIB(3));
    assert_int_equal(os->allocate(f, 0, 10), 0); /* never shrinks */
    assert_int_equal(os->allocate(f, 0, 0), 0);
    assert_int_equal(stat(in_folder("f"), &s), 0);
    assert_int_equal(s.st_size, MIB(3) + 4096);
    assert_int_equal(os->sync_start(f, 0, MIB(1)), 0);
    assert_int_equal(os->sync_start(f, UINT64_MAX, 7), 0);
    assert_int_equal(os->sync_part(f, 0, MIB(1)), 0);
    assert_int_equal(os->sync_part(f, UINT64_MAX, 7), 0);
    assert_int_equal(os->sync(f), 0);
    os->close(f);
}

static void without_fallocate_zeros_are_written(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    struct stat s;
    u8 back[10000];
    assert_int_equal(os->write(f, "abc", 3, 0), 0);
    trick = (struct trick){ .call = FALLOCATE, .times = 1,
                            .error = EOPNOTSUPP };
    assert_int_equal(os->allocate(f, 0, 10000), 0);
    assert_int_equal(stat(in_folder("f"), &s), 0);
    assert_int_equal(s.st_size, 10000);
    assert_true((u64)s.st_blocks * 512 >= 10000);
    assert_int_equal(os->read(f, back, 10000, 0), 0);
    assert_memory_equal(back, "abc\0", 4);
    for (int i = 3; i < 10000; i++) assert_int_equal(back[i], 0);
    os->close(f);
}

/* A child of its own: SIGXFSZ would kill it, with exit code 128 + 25. */
static int write_beyond_the_limit(void *path)
{
    struct os_file *f = NULL;
    u64 size = 0;
    luge_bytes piece = luge_str("0123456789");
    struct rlimit limit = { .rlim_cur = 1000000, .rlim_max = 1000000 };
    signal(SIGXFSZ, SIG_DFL);
    CHILD_NEEDS(os->open(os, path, OS_WRITE | OS_CREATE, &f) == 0);
    CHILD_NEEDS(os->write(f, "x", 1, MIB(2)) == 0); /* no limit yet */
    CHILD_NEEDS(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    os_sleep_us(20000); /* some ticks of the coarse clock */
    CHILD_NEEDS(os->write(f, "x", 1, MIB(2)) == LUGE_NOSPACE);
    CHILD_NEEDS(luge_last_error()->system_errno == EFBIG);
    CHILD_NEEDS(strstr(luge_last_error()->text, "ulimit"));
    CHILD_NEEDS(os->writev(f, &piece, 1, 999991) == LUGE_NOSPACE);
    CHILD_NEEDS(os->resize(f, MIB(3)) == LUGE_NOSPACE);
    CHILD_NEEDS(os->allocate(f, 0, MIB(3)) == LUGE_NOSPACE);
    CHILD_NEEDS(os->size(f, &size) == 0 && size == MIB(2) + 1);

    CHILD_NEEDS(os->resize(f, 1100000) == 0); /* smaller, if above the limit */
    CHILD_NEEDS(os->writev(f, &piece, 1, 999990) == 0);
    os->close(f);
    CHILD_NEEDS(os->open(os, path, OS_WRITE, &f) == 0); /* from the start on */
    CHILD_NEEDS(os->write(f, "x", 1, 1000000) == LUGE_NOSPACE);
    CHILD_NEEDS(os->write(f, "x", 1, 999999) == 0);
    os->close(f);
    return 0;
}

static void a_file_size_limit_is_an_error_and_no_signal(void **unused)
{
    (void)unused;
    char path[4200];
    snprintf(path, sizeof path, "%s", in_folder("f"));
    assert_int_equal(in_child(write_beyond_the_limit, path), 0);
}

static void a_full_disk_is_an_error_and_passes(void **unused)
{
    (void)unused;
    const char *disk = in_folder("disk");
    assert_int_equal(mkdir(disk, 0700), 0);
    if (mount("tmpfs", disk, "tmpfs", 0, "size=1m")) {
        printf("skipped: cannot mount a small tmpfs: %s\n", strerror(errno));
        skip();
    }
    static u8 data[MIB(2)];
    struct os_file *f = open_new("disk/f");
    int written = os->write(f, data, sizeof data, 0);
    int resized = os->resize(f, 0);
    int allocated = os->allocate(f, 0, MIB(2));
    int emptied = os->resize(f, 0);
    int later = os->write(f, data, KIB(512), 0);
    int probed = os->probe(os, in_folder("disk"));
    os->close(f);
    assert_int_equal(umount(in_folder("disk")), 0);
    assert_int_equal(written, LUGE_NOSPACE);
    assert_int_equal(allocated, LUGE_NOSPACE);
    assert_int_equal(resized | emptied | later | probed, 0);
}

/* ----------------------------------------------------------------- maps -- */

static void a_read_map_shows_growth_and_takes_no_store(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    const u8 *base = NULL;
    u64 size = MIB(256);
    assert_int_equal(os->map_read(f, size, &base), 0);
    for (u64 at = 0; at < MIB(8); at += MIB(1) + 17) {
        u8 byte = (u8)(at >> 18 | 1);
        assert_int_equal(os->write(f, &byte, 1, at), 0);
        assert_int_equal(base[at], byte);
    }
    /* The kernel itself refuses to store there, as it would refuse us. */
    int zero = open("/dev/zero", O_RDONLY);
    assert_true(zero >= 0);
    assert_int_equal(read(zero, (void *)(uintptr_t)base, 1), -1);
    assert_int_equal(errno, EFAULT);
    close(zero);
    os->close(f); /* the map stays */
    assert_int_equal(base[0], 1);
    os->unmap(os, base, size);
    os->unmap(os, NULL, size);
}

static u32 resident(const u8 *base, u64 pages)
{
    unsigned char in_memory[512] = {0};
    u32 count = 0;
    assert_true(pages <= sizeof in_memory);
    assert_int_equal(mincore((void *)(uintptr_t)base, pages * 4096, in_memory),
                     0);
    for (u64 i = 0; i < pages; i++) count += in_memory[i] & 1;
    return count;
}

static void advice_says_what_a_touch_reads(void **unused)
{
    (void)unused;
    static u8 bytes[MIB(2)];
    struct os_file *f = open_new("f");
    const u8 *base = NULL;
    memset(bytes, 7, sizeof bytes);
    assert_int_equal(os->write(f, bytes, sizeof bytes, 0), 0);
    assert_int_equal(os->sync(f), 0);
    int fd = open(in_folder("f"), O_RDONLY);
    assert_true(fd >= 0);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    assert_int_equal(os->map_read(f, MIB(4), &base), 0);
    os->advise(os, base, MIB(4), OS_RANDOM);
    bool evicted = resident(base, 512) == 0;    /* not in a tmpfs */
    u64 waits = os_thread_waits();
    assert_int_equal(base[MIB(1) + 5], 7);
    if (evicted) {
        assert_int_equal(os_thread_waits(), waits + 1);
        assert_true(resident(base, 512) < 32);
    }
    /* All of a range, and of one that begins within a page or ends behind the
     * file, however far the device reads ahead by itself. */
    os->advise(os, base + 7, MIB(3), OS_WILL_NEED);
    for (int i = 0; i < 2000 && resident(base, 512) < 512; i++)
        os_sleep_us(1000);
    assert_int_equal(resident(base, 512), 512);
    os->advise(os, base, MIB(4), OS_SEQUENTIAL);
    for (u64 at = 0; at < MIB(2); at += 4096) assert_int_equal(base[at], 7);
    os->unmap(os, base, MIB(4));
    os->close(f);
}

static void memory_has_a_size(void **unused)
{
    (void)unused;
    u64 physical = (u64)sysconf(_SC_PHYS_PAGES) * (u64)sysconf(_SC_PAGESIZE);
    assert_true(os_memory_bytes() > MIB(1));
    assert_true(os_memory_bytes() <= physical);
}

static void a_map_beyond_reason_is_an_error(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("f");
    const u8 *base = NULL;
    assert_int_equal(os->map_read(f, (u64)1 << 60, &base), LUGE_NOMEM);
    assert_non_null(strstr(luge_last_error()->text, "mmap"));
    assert_null(base);
    os->close(f);
}

static int add_one_and_wake(void *memory)
{
    _Atomic u32 *words = memory;
    os_sleep_us(20000);
    atomic_fetch_add(&words[1], 41);
    atomic_store(&words[0], 1);
    os_futex_wake(&words[0], 1);
    return 0;
}

static void a_shared_map_and_a_futex_join_processes(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("shm");
    u8 *base = NULL, *other = NULL;
    assert_int_equal(os->allocate(f, 0, 8192), 0);
    assert_int_equal(os->map_shared(f, 8192, &base), 0);
    assert_int_equal(os->map_shared(f, 8192, &other), 0);
    _Atomic u32 *words = (void *)base;
    atomic_store(&words[1], 1);

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(add_one_and_wake(other));
    u64 deadline = os_monotonic_ns() + 20000000000u;
    while (!atomic_load(&words[0]) && os_monotonic_ns() < deadline)
        os_futex_wait(&words[0], 0, 10000);
    assert_int_equal(atomic_load(&words[0]), 1);
    assert_int_equal(atomic_load(&words[1]), 42);
    assert_int_equal(waitpid(child, NULL, 0), child);
    os->unmap(os, base, 8192);
    os->unmap(os, other, 8192);
    os->close(f);
}

static void a_futex_wait_ends(void **unused)
{
    (void)unused;
    _Atomic u32 word = 5;
    u64 start = os_monotonic_ns();
    os_futex_wait(&word, 6, 10000); /* not the expected value: at once */
    assert_true(os_monotonic_ns() - start < 5000000000u);
    start = os_monotonic_ns();
    os_futex_wait(&word, 5, 30);
    u64 spent = os_monotonic_ns() - start;
    assert_true(spent >= 29000000 && spent < 5000000000u);
    os_futex_wake(&word, UINT32_MAX); /* nobody: no harm */
}

/* ---------------------------------------------------------- directories -- */

struct names { unsigned count, stop_after; char seen[8][32]; };

static int note_name(void *context, const char *name)
{
    struct names *names = context;
    assert_true(names->count < 8);
    snprintf(names->seen[names->count++], 32, "%s", name);
    return names->count == names->stop_after ? -77 : 0;
}

static bool was_seen(const struct names *names, const char *name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (!strcmp(names->seen[i], name)) return true;
    return false;
}

static void directories_are_made_listed_and_removed(void **unused)
{
    (void)unused;
    struct os_stat s;
    struct names names = { 0 };
    assert_int_equal(os->mkdir(os, in_folder("d")), 0);
    assert_int_equal(os->mkdir(os, in_folder("d")), LUGE_EXISTS);
    assert_int_equal(os->mkdir(os, in_folder("x/y")), LUGE_NOTFOUND);
    assert_int_equal(os->stat(os, in_folder("d"), &s), 0);
    assert_true(s.directory);
    os->close(open_new("d/one"));
    os->close(open_new("d/two"));
    os->close(open_new("d/.hidden"));
    assert_int_equal(os->list(os, in_folder("d"), note_name, &names), 0);
    assert_int_equal(names.count, 3);
    assert_true(was_seen(&names, "one") && was_seen(&names, "two") &&
                was_seen(&names, ".hidden"));
    names = (struct names){ .stop_after = 2 };
    assert_int_equal(os->list(os, in_folder("d"), note_name, &names), -77);
    assert_int_equal(names.count, 2);
    assert_int_equal(os->list(os, in_folder("x"), note_name, &names),
                     LUGE_NOTFOUND);
    assert_int_equal(os->list(os, in_folder("d/one"), note_name, &names),
                     LUGE_NOTFOUND);

    assert_int_equal(os->rmdir(os, in_folder("d")), LUGE_EXISTS);
    assert_int_equal(os->unlink(os, in_folder("d/one")), 0);
    assert_int_equal(os->unlink(os, in_folder("d/one")), LUGE_NOTFOUND);
    assert_int_equal(os->unlink(os, in_folder("d/two")), 0);
    assert_int_equal(os->unlink(os, in_folder("d/.hidden")), 0);
    assert_int_equal(os->rmdir(os, in_folder("d")), 0);
    assert_int_equal(os->rmdir(os, in_folder("d")), LUGE_NOTFOUND);
    assert_int_equal(os->stat(os, in_folder("d"), &s), LUGE_NOTFOUND);
}

static void rename_replaces_and_keeps_the_file(void **unused)
{
    (void)unused;
    struct os_stat before, after;
    struct os_file *f = open_new("a");
    assert_int_equal(os->write(f, "from a", 6, 0), 0);
    os->close(open_new("b"));
    assert_int_equal(os->stat(os, in_folder("a"), &before), 0);
    assert_false(before.directory);
    assert_int_equal(before.size, 6);
    assert_int_equal(os->rename(os, in_folder("a"), in_folder("b")), 0);
    assert_int_equal(os->sync_dir(os, folder), 0);
    assert_int_equal(os->stat(os, in_folder("a"), &after), LUGE_NOTFOUND);
    assert_int_equal(os->stat(os, in_folder("b"), &after), 0);
    assert_int_equal(after.size, 6);
    assert_true(after.inode == before.inode && after.device == before.device);
    assert_int_equal(os->rename(os, in_folder("a"), in_folder("b")),
                     LUGE_NOTFOUND);
    assert_int_equal(os->sync_dir(os, in_folder("x")), LUGE_NOTFOUND);
    assert_int_equal(os->sync_dir(os, in_folder("b")), LUGE_NOTFOUND);
    os->close(f);
}

static void probe_refuses_network_file_systems_by_name(void **unused)
{
    (void)unused;
    static const struct { u32 magic; const char *name; } refused[] = {
        { 0x6969, "NFS" }, { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB2" },
        { 0x01021997, "9p" }, { 0x65735546, "FUSE" }, { 0x00c36400, "Ceph" },
    };
    static const u32 allowed[] = {
        0xef53 /* ext4 */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */,
        0x01021994 /* tmpfs */, 0x794c7630 /* overlay */,
    };
    assert_int_equal(os->probe(os, folder), 0);
    assert_int_equal(os->probe(os, in_folder("x")), LUGE_NOTFOUND);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        trick = (struct trick){ .call = STATFS, .magic = refused[i].magic };
        assert_int_equal(os->probe(os, folder), LUGE_UNSUPPORTED);
        assert_non_null(strstr(luge_last_error()->text, refused[i].name));
    }
    for (size_t i = 0; i < ARRAY_COUNT(allowed); i++) {
        trick = (struct trick){ .call = STATFS, .magic = allowed[i] };
        assert_int_equal(os->probe(os, folder), 0);
    }
}

/* ---------------------------------------------------------------- locks -- */

static bool held_elsewhere(struct os_file *f, u64 byte, u64 count)
{
    bool held = false;
    assert_int_equal(os->lock_test(f, byte, count, &held), 0);
    return held;
}

static void locks_exclude_open_files_not_processes(void **unused)
{
    (void)unused;
    struct os_file *a = open_new("lock"), *b = open_old("lock");
    assert_int_equal(os->lock(a, 7, true, 0), 0);
    assert_int_equal(os->lock(a, 7, true, 0), 0); /* one's own: again */
    assert_int_equal(os->lock(b, 7, true, 0), LUGE_BUSY);
    assert_int_equal(os->lock(b, 7, false, 0), LUGE_BUSY);
    assert_int_equal(os->lock(b, 8, true, 0), 0);
    assert_true(held_elsewhere(b, 7, 1));
    assert_true(held_elsewhere(b, 0, 100));
    assert_false(held_elsewhere(b, 0, 7));
    assert_false(held_elsewhere(b, 8, 100));
    assert_true(held_elsewhere(a, 8, 1));
    assert_false(held_elsewhere(a, 7, 1));
    os->unlock(b, 8);
    assert_false(held_elsewhere(a, 8, 1));

    assert_int_equal(os->lock(a, 7, false, 0), 0); /* weaker now */
    assert_int_equal(os->lock(b, 7, false, 0), 0);
    assert_int_equal(os->lock(b, 7, true, 0), LUGE_BUSY);
    assert_true(held_elsewhere(b, 7, 1));
    os->close(a); /* releases */
    assert_int_equal(os->lock(b, 7, true, 0), 0);

    /* Closing another open of the file leaves the lock alone. */
    a = open_old("lock");
    os->close(open_old("lock"));
    assert_int_equal(os->lock(a, 7, true, 0), LUGE_BUSY);
    assert_int_equal(os->lock(a, ((u64)1 << 62) + 1, true, 0), 0);
    assert_true(held_elsewhere(b, (u64)1 << 62, 2));
    os->close(a);
    os->close(b);
}

static void *unlock_soon(void *file)
{
    os_sleep_us(50000);
    os->unlock(file, 1);
    return NULL;
}

static void a_lock_is_waited_for_but_not_for_ever(void **unused)
{
    (void)unused;
    struct os_file *a = open_new("lock"), *b = open_old("lock");
    assert_int_equal(os->lock(a, 1, true, 0), 0);
    u64 start = os_monotonic_ns();
    assert_int_equal(os->lock(b, 1, true, 60), LUGE_BUSY);
    u64 spent = os_monotonic_ns() - start;
    assert_true(spent >= 60000000 && spent < 5000000000u);

    pthread_t thread;
    start = os_monotonic_ns();
    assert_int_equal(pthread_create(&thread, NULL, unlock_soon, a), 0);
    assert_int_equal(os->lock(b, 1, true, 20000), 0);
    spent = os_monotonic_ns() - start;
    assert_true(spent >= 45000000 && spent < 10000000000u);
    pthread_join(thread, NULL);
    os->close(a);
    os->close(b);
}

static int lock_and_sleep(void *path)
{
    struct os_file *f = NULL;
    if (os->open(os, path, OS_WRITE, &f) || os->lock(f, 3, true, 0)) return 1;
    for (;;) pause();
}

static void a_lock_dies_with_its_process(void **unused)
{
    (void)unused;
    struct os_file *f = open_new("lock");
    char path[4200];
    snprintf(path, sizeof path, "%s", in_folder("lock"));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(lock_and_sleep(path));
    u64 deadline = os_monotonic_ns() + 20000000000u;
    while (!held_elsewhere(f, 3, 1) && os_monotonic_ns() < deadline)
        os_sleep_us(1000);
    assert_true(held_elsewhere(f, 3, 1));
    assert_int_equal(os->lock(f, 3, true, 0), LUGE_BUSY);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(os->lock(f, 3, true, 20000), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    os->close(f);
}

/* ----------------------------------------------------------------- fork -- */

struct forked { volatile const u32 *word; struct os_file *file; };

static int look_around_in_child(void *context)
{
    struct forked *parent = context;
    volatile const u32 *mine = NULL, *again = NULL;
    CHILD_NEEDS(*parent->word == 0);
    CHILD_NEEDS(os_fork_sentinel(&mine) == 0);
    CHILD_NEEDS(mine != parent->word && *mine == 1);
    CHILD_NEEDS(*parent->word == 0);
    CHILD_NEEDS(os_fork_sentinel(&again) == 0 && again == mine);

    /* The inherited file is closed; closing it again touches nobody's. */
    int fd = ((struct linux_file *)parent->file)->descriptor;
    CHILD_NEEDS(fd == -1);
    CHILD_NEEDS(os->write(parent->file, "x", 1, 0) == LUGE_IO);
    struct os_file *other = NULL;
    CHILD_NEEDS(os->open(os, in_folder("other"), OS_WRITE | OS_CREATE,
                         &other) == 0);
    os->close(parent->file);
    CHILD_NEEDS(os->write(other, "x", 1, 0) == 0);

    pid_t grandchild = fork();
    if (grandchild == 0)
        _exit(*mine == 0 && *parent->word == 0 ? 0 : 1);
    int status = 1;
    CHILD_NEEDS(waitpid(grandchild, &status, 0) == grandchild);
    CHILD_NEEDS(status == 0 && *mine == 1);
    os->close(other);
    return 0;
}

static void a_child_knows_that_it_is_one(void **unused)
{
    (void)unused;
    struct forked parent = { .file = open_new("f") };
    volatile const u32 *again = NULL;
    assert_int_equal(os_fork_sentinel(&parent.word), 0);
    assert_int_equal(*parent.word, 1);
    os_close_in_child(parent.file);
    os_close_in_child(parent.file); /* twice is once */
    assert_int_equal(in_child(look_around_in_child, &parent), 0);
    assert_int_equal(*parent.word, 1);
    assert_int_equal(os_fork_sentinel(&again), 0);
    assert_ptr_equal(again, parent.word);
    assert_int_equal(os->write(parent.file, "x", 1, 0), 0);
    os->close(parent.file);
}

/* Take a lock, fork, close: is it free although the child lives? */
static bool free_while_a_child_lives(bool close_in_child)
{
    struct os_file *f = open_old("lock"), *other = open_old("lock");
    volatile const u32 *word;
    int ready[2];
    char byte;
    assert_int_equal(os_fork_sentinel(&word), 0);
    if (close_in_child) os_close_in_child(f);
    assert_int_equal(os->lock(f, 1, true, 0), 0);
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(held_elsewhere(other, 1, 1)); /* the child took nothing away */
    os->close(f);
    bool is_free = !held_elsewhere(other, 1, 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
    os->close(other);
    return is_free;
}

static void a_child_does_not_keep_the_parents_locks(void **unused)
{
    (void)unused;
    os->close(open_new("lock"));
    assert_true(free_while_a_child_lives(true));
    assert_false(free_while_a_child_lives(false)); /* what we guard against */
}

static void *open_and_close_listed_files(void *stop)
{
    while (!atomic_load((_Atomic bool *)stop)) {
        struct os_file *f[3];
        for (int i = 0; i < 3; i++) {
            if (os->open(os, in_folder("f"), OS_WRITE, &f[i])) return stop;
            os_close_in_child(f[i]);
        }
        os->close(f[1]); /* from the middle, the end, the front */
        os->close(f[0]);
        os->close(f[2]);
    }
    return NULL;
}

static int count_open_files(void *unused)
{
    (void)unused;
    char target[256];
    DIR *fds = opendir("/proc/self/fd");
    if (!fds) return 1;
    int found = 0;
    for (struct dirent *e; (e = readdir(fds));) {
        ssize_t n = readlinkat(dirfd(fds), e->d_name, target,
                               sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        if (strstr(target, "luge-test-os-")) found++;
    }
    closedir(fds);
    return found > 1 ? 2 : 0; /* one may have been opened, not yet listed */
}

static void forks_meet_a_busy_list_unharmed(void **unused)
{
    (void)unused;
    _Atomic bool stop = false;
    pthread_t thread;
    void *failed = NULL;
    volatile const u32 *word;
    os->close(open_new("f"));
    assert_int_equal(os_fork_sentinel(&word), 0);
    assert_int_equal(pthread_create(&thread, NULL, open_and_close_listed_files,
                                    &stop), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(in_child(count_open_files, NULL), 0);
    atomic_store(&stop, true);
    pthread_join(thread, &failed);
    assert_null(failed);
}

/* ------------------------------------------------------------ processes -- */

static char state_of(pid_t pid, u64 *start)
{
    char state = '?';
    assert_int_equal(os_process_state((u32)pid, start, &state), 0);
    return state;
}

/* Wait for it: the kernel changes states when it pleases. */
static bool reaches_state(pid_t pid, char wanted)
{
    u64 start, deadline = os_monotonic_ns() + 20000000000u;
    while (os_monotonic_ns() < deadline) {
        if (state_of(pid, &start) == wanted) return true;
        os_sleep_us(1000);
    }
    return false;
}

static void the_state_of_a_process_is_seen(void **unused)
{
    (void)unused;
    u64 my_start = 0, start = 0, again = 0;
    char state = '?';
    assert_int_equal(os_process_id(), getpid());
    assert_int_equal(state_of(getpid(), &my_start), 'R');
    assert_true(my_start > 0);
    os_sleep_us(30000); /* start times have 10 ms */
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_NAME, ") Z 1 (2) 3 ");
        for (;;) pause();
    }
    assert_true(reaches_state(child, 'S'));
    assert_int_equal(state_of(child, &start), 'S');
    assert_true(start > my_start);
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_true(reaches_state(child, 'T'));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_true(reaches_state(child, 'Z'));
    state_of(child, &again);
    assert_true(again == start);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(os_process_state((u32)child, &again, &state),
                     LUGE_NOTFOUND);
    assert_int_equal(os_process_state(UINT32_MAX, &again, &state),
                     LUGE_NOTFOUND);
}

static void the_boot_has_an_identity(void **unused)
{
    (void)unused;
    u8 id[16], again[16];
    char text[64] = "", expected[33];
    assert_int_equal(os_boot_id(id), 0);
    assert_int_equal(os_boot_id(again), 0);
    assert_memory_equal(id, again, 16);
    for (int i = 0; i < 16; i++) snprintf(expected + 2 * i, 3, "%02x", id[i]);
    FILE *table = fopen("/proc/sys/kernel/random/boot_id", "r");
    assert_non_null(table);
    assert_non_null(fgets(text, sizeof text, table));
    fclose(table);
    char *to = text;
    for (const char *p = text; *p && *p != '\n'; p++)
        if (*p != '-') *to++ = *p;
    *to = 0;
    assert_string_equal(text, expected);
}

/* --------------------------------------------- memory, time and chance -- */

static void reserved_memory_is_zero_until_touched(void **unused)
{
    (void)unused;
    for (int huge = 0; huge < 2; huge++) {
        u64 size = MIB(65536);
        u8 *base = NULL;
        assert_int_equal(os_reserve(size, huge, &base), 0);
        if (huge) assert_int_equal((uintptr_t)base % MIB(2), 0);
        for (u64 at = 0; at < size; at += size / 8) {
            assert_int_equal(base[at], 0);
            base[at] = 5;
        }
        base[size - 1] = 7;
        os_discard(base, 4096);
        os_discard(base, 0);
        assert_int_equal(base[0], 0);
        assert_int_equal(base[size / 8], 5);
        assert_int_equal(base[size - 1], 7);
        os_reserve_free(base, size);
    }
    os_reserve_free(NULL, 4096);
    u8 *never = NULL;
    assert_int_equal(os_reserve((u64)1 << 60, false, &never), LUGE_NOMEM);
    assert_int_equal(os_reserve((u64)1 << 60, true, &never), LUGE_NOMEM);
}

static void clocks_go_on(void **unused)
{
    (void)unused;
    u64 before = os_monotonic_ns();
    os_sleep_us(2000);
    os_yield();
    u64 spent = os_monotonic_ns() - before;
    assert_true(spent >= 2000000 && spent < 5000000000u);
    u64 wall_s = os->wall_ns(os) / 1000000000u, now = (u64)time(NULL);
    assert_true(wall_s + 2 >= now && wall_s <= now + 2);
}

static void chance_gives_different_bytes(void **unused)
{
    (void)unused;
    u8 a[1000] = { 0 }, b[1000] = { 0 };
    static const u8 zeros[32];
    assert_int_equal(os->random(os, a, sizeof a), 0);
    assert_int_equal(os->random(os, b, sizeof b), 0);
    assert_int_equal(os->random(os, NULL, 0), 0);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 0; i + 32 <= sizeof a; i += 32)
        assert_memory_not_equal(a + i, zeros, 32);
    trick = (struct trick){ .call = GETRANDOM, .times = 1, .error = ENOSYS };
    assert_int_equal(os->random(os, a, 1), LUGE_UNSUPPORTED);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(open_creates_only_when_told_to),
        TEST(open_refuses_all_but_regular_files),
        TEST(open_reports_missing_permission),
        TEST(no_descriptor_is_a_standard_stream),
        TEST(what_was_written_is_read),
        TEST(pieces_are_written_in_a_row),
        TEST(short_and_interrupted_transfers_go_on),
        TEST(an_error_becomes_a_code_and_a_sentence),
        TEST(a_write_that_moves_nothing_does_not_spin),
        TEST(without_dsync_the_file_is_synced),
        TEST(resize_is_sparse_and_allocate_is_not),
        TEST(without_fallocate_zeros_are_written),
        TEST(a_file_size_limit_is_an_error_and_no_signal),
        TEST(a_full_disk_is_an_error_and_passes),
        TEST(a_read_map_shows_growth_and_takes_no_store),
        TEST(advice_says_what_a_touch_reads),
        TEST(memory_has_a_size),
        TEST(a_map_beyond_reason_is_an_error),
        TEST(a_shared_map_and_a_futex_join_processes),
        TEST(a_futex_wait_ends),
        TEST(directories_are_made_listed_and_removed),
        TEST(rename_replaces_and_keeps_the_file),
        TEST(probe_refuses_network_file_systems_by_name),
        TEST(locks_exclude_open_files_not_processes),
        TEST(a_lock_is_waited_for_but_not_for_ever),
        TEST(a_lock_dies_with_its_process),
        TEST(a_child_knows_that_it_is_one),
        TEST(a_child_does_not_keep_the_parents_locks),
        TEST(forks_meet_a_busy_list_unharmed),
        TEST(the_state_of_a_process_is_seen),
        TEST(the_boot_has_an_identity),
        TEST(reserved_memory_is_zero_until_touched),
        TEST(clocks_go_on),
        TEST(chance_gives_different_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
