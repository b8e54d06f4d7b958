/* os/linux_process.c -- time, other processes, futexes, anonymous memory, fork.
 *
 * The one piece of state that belongs to the process and not to a handle is
 * here (struct process_state): which descriptors a forked child must close,
 * and the page by which it learns that it is one.  There is no other place to
 * keep them, for the system calls fork handlers without an argument.
 *   F1  Whoever forks holds the lock meanwhile, so the child finds the list
 *       whole, and closes what is on it before any of its code runs.
 *   F2  A sentinel page is never unmapped: handles of any age look at it.
 * Not here: files, maps, locks (os/linux.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SENTINEL_BYTES = 4096, TABLE_LINE_MAX = 1024 };

#define HUGE_PAGE_BYTES MIB(2)

/* ----------------------------------------------------------------- time -- */

u64 os_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

u64 os_thread_waits(void)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_THREAD, &usage);
    return (u64)usage.ru_majflt;
}

u64 os_thread_read_bytes(void)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_THREAD, &usage);
    return (u64)usage.ru_inblock * 512;
}

/* To a moment, not for a span: signals then cannot stretch it. */
void os_sleep_us(u32 us)
{
    u64 end = os_monotonic_ns() + (u64)us * 1000u;
    struct timespec t = {
        .tv_sec = (time_t)(end / 1000000000u),
        .tv_nsec = (long)(end % 1000000000u),
    };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

void os_yield(void)
{
    sched_yield();
}

/* ------------------------------------------------------------ processes -- */

u32 os_process_id(void)
{
    return (u32)getpid();
}

/* The text of a small file of the system, ended with 0. */
static int read_table(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(base_code_of(errno), errno, "open of %s", path);
    int rc = 0;
    size_t size = 0;
    while (size < room - 1) {
        ssize_t n = read(fd, text + size, room - 1 - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = fail_errno(errno == ESRCH ? LUGE_NOTFOUND : LUGE_IO,
                                   errno, "read of %s", path);
        if (n <= 0) break;
        size += (size_t)n;
    }
    text[size] = 0;
    close(fd);
    return rc;
}

/* proc(5): "PID (NAME) STATE ..." with the start time as field 22.  NAME is
 * the process's own choice and may hold spaces and parentheses, but nothing
 * after it does. */
int os_process_state(u32 pid, u64 *start_time, char *state)
{
    char path[32] = "/proc/";
    char line[TABLE_LINE_MAX];
    char digits[10];
    size_t count = 0, at = strlen(path);
    do {
        digits[count++] = (char)('0' + pid % 10);
        pid /= 10;
    } while (pid);
    while (count) path[at++] = digits[--count];
    memcpy(path + at, "/stat", sizeof "/stat");

    int rc = read_table(path, line, sizeof line);
    if (rc) return rc;
    char *field = strrchr(line, ')');
    if (!field || field[1] != ' ' || !field[2])
        return fail(LUGE_IO, "%s does not read as expected", path);
    *state = field[2];
    for (int number = 2; field && number < 22; number++)
        field = strchr(field + 1, ' ');
    if (!field) return fail(LUGE_IO, "%s does not read as expected", path);
    *start_time = strtoull(field + 1, NULL, 10);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

int os_boot_id(u8 id[16])
{
    const char *path = "/proc/sys/kernel/random/boot_id";
    char text[64];
    int rc = read_table(path, text, sizeof text);
    if (rc) return rc;
    memset(id, 0, 16);
    unsigned digits = 0;
    for (const char *p = text; *p && digits < 32; p++) {
        int value = hex_digit(*p);
        if (value < 0) continue; /* the dashes */
        id[digits / 2] = (u8)((id[digits / 2] << 4) | value);
        digits++;
    }
    if (digits < 32) return fail(LUGE_IO, "%s holds no identity", path);
    return 0;
}

/* --------------------------------------------------------------- futex -- */

/* Without FUTEX_PRIVATE_FLAG: the sleepers are other processes'. */
void os_futex_wait(_Atomic u32 *word, u32 expected, u32 wait_ms)
{
    struct timespec t = {
        .tv_sec = wait_ms / 1000,
        .tv_nsec = (long)(wait_ms % 1000) * 1000000,
    };
    syscall(SYS_futex, word, FUTEX_WAIT, expected, &t, NULL, 0);
}

void os_futex_wake(_Atomic u32 *word, u32 count)
{
    int most = count > INT32_MAX ? INT32_MAX : (int)count;
    syscall(SYS_futex, word, FUTEX_WAKE, most, NULL, NULL, 0);
}

/* --------------------------------------------------------------- memory -- */

static u8 *map_anonymous(u64 size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

/* Huge pages need an aligned start: reserve more, and give back both ends. */
static u8 *map_aligned(u64 size)
{
    u8 *raw = map_anonymous(size + HUGE_PAGE_BYTES);
    if (!raw) return NULL;
    u8 *base = (u8 *)round_up((uintptr_t)raw, HUGE_PAGE_BYTES);
    u64 before = (u64)(base - raw);
    if (before) munmap(raw, before);
    munmap(base + size, HUGE_PAGE_BYTES - before);
    madvise(base, size, MADV_HUGEPAGE); /* a wish; the system may lack them */
    return base;
}

int os_reserve(u64 size, bool huge_pages, u8 **base)
{
    u64 whole = round_up(size, (u64)sysconf(_SC_PAGESIZE));
    assert(size && whole >= size);
    u8 *at = huge_pages ? map_aligned(whole) : map_anonymous(whole);
    if (!at)
        return fail_errno(LUGE_NOMEM, errno, "mmap of %llu bytes of memory",
                          (unsigned long long)whole);
    *base = at;
    return 0;
}

void os_reserve_free(void *base, u64 size)
{
    if (!base) return;
    int rc = munmap(base, round_up(size, (u64)sysconf(_SC_PAGESIZE)));
    assert(!rc);
    (void)rc;
}

void os_discard(void *base, u64 size)
{
    if (!size) return;
    int rc = madvise(base, size, MADV_DONTNEED);
    assert(!rc); /* BASE and SIZE are whole pages of an os_reserve */
    (void)rc;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23      /* Linux 5.14 */
#endif

bool os_populate(void *base, u64 size)
{
    return !madvise(base, size, MADV_POPULATE_WRITE);
}

/* ----------------------------------------------------------------- fork -- */

static struct process_state {
    pthread_mutex_t lock;      /* over all below; held across fork */
    bool prepared;             /* the fork handlers are installed */
    u32 *sentinel;             /* NULL until asked for */
    struct linux_file *files;  /* what a child closes */
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void before_fork(void)
{
    pthread_mutex_lock(&process.lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&process.lock);
}

/* Only what is allowed in the child of a process with threads. */
static void after_fork_in_child(void)
{
    for (struct linux_file *f = process.files; f; f = f->next) {
        close(f->descriptor);
        f->descriptor = -1;
        f->listed = false;
    }
    process.files = NULL;
    if (process.sentinel) *process.sentinel = 0; /* no WIPEONFORK? */
    process.sentinel = NULL; /* F2: the child gets its own */
    pthread_mutex_unlock(&process.lock);
}

/* Under the lock. */
static int prepare(void)
{
    if (process.prepared) return 0;
    int error = pthread_atfork(before_fork, after_fork_in_parent,
                               after_fork_in_child);
    if (error) return fail_errno(LUGE_NOMEM, error, "pthread_atfork");
    process.prepared = true;
    return 0;
}

/* Under the lock.  A word of 0 here: we are a child made behind the back of
 * the fork handlers (clone). */
static int new_sentinel(void)
{
    if (process.sentinel && *process.sentinel == 1) return 0;
    u32 *page = (u32 *)(void *)map_anonymous(SENTINEL_BYTES);
    if (!page) return fail_errno(LUGE_NOMEM, errno, "mmap of a sentinel page");
    madvise(page, SENTINEL_BYTES, MADV_WIPEONFORK);
    *page = 1;
    process.sentinel = page;
    return 0;
}

int os_fork_sentinel(volatile const u32 **word)
{
    pthread_mutex_lock(&process.lock);
    int rc = prepare();
    if (!rc) rc = new_sentinel();
    if (!rc) *word = process.sentinel;
    pthread_mutex_unlock(&process.lock);
    return rc;
}

void os_close_in_child(struct os_file *file)
{
    if (file->os != os_native()) return; /* simulated: no descriptor */
    struct linux_file *f = (struct linux_file *)file;
    pthread_mutex_lock(&process.lock);
    if (!f->listed) {
        f->listed = true;
        f->before = NULL;
        f->next = process.files;
        if (f->next) f->next->before = f;
        process.files = f;
    }
    pthread_mutex_unlock(&process.lock);
}

void linux_forget_in_child(struct linux_file *f)
{
    pthread_mutex_lock(&process.lock);
    if (f->listed) {
        if (f->before) f->before->next = f->next;
        else process.files = f->next;
        if (f->next) f->next->before = f->before;
        f->listed = false;
    }
    pthread_mutex_unlock(&process.lock);
}
