/* test/support.c -- see support.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------- dice -- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

struct dice dice_of(uint64_t seed, uint64_t stream)
{
    struct dice d = {mix(mix(seed + 1) ^ (stream * 0x9e3779b97f4a7c15u))};
    return d;
}

uint64_t dice_next(struct dice *d)
{
    return mix(d->state += 0x9e3779b97f4a7c15u);
}

uint32_t dice_below(struct dice *d, uint32_t bound)
{
    return (uint32_t)(((dice_next(d) >> 32) * bound) >> 32);
}

bool dice_chance(struct dice *d, uint32_t percent)
{
    return dice_below(d, 100) < percent;
}

uint64_t digest(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t h = mix(seed ^ (size + 0x1234567));
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9fb21c651e98df25u;
        h ^= h >> 29;
    }
    for (; size; size--, p++) h = (h ^ *p) * 0x100000001b3u;
    return mix(h);
}

void pattern_fill(void *to, size_t size, uint64_t seed)
{
    unsigned char *p = to;
    struct dice d = dice_of(seed, size);
    while (size) {
        uint64_t word = dice_next(&d);
        size_t n = size < 8 ? size : 8;
        memcpy(p, &word, n);
        p += n;
        size -= n;
    }
}

/* ----------------------------------------------------- memory and time -- */

void *grab(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p) die("no memory for %zu bytes", size);
    return p;
}

void *grab_more(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    if (!p) die("no memory for %zu bytes", size);
    return p;
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void nap_us(uint64_t us)
{
    struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    while (nanosleep(&t, &t) && errno == EINTR) continue;
}

void die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

/* --------------------------------------------------------- directories -- */

char *scratch_make(enum scratch_where where)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    if (!base || !*base) {
        bool fast = where == SCRATCH_FAST && !access("/dev/shm", W_OK | X_OK);
        base = fast ? "/dev/shm" : "/tmp";
    }
    snprintf(path, sizeof path, "%s/luge-test-XXXXXX", base);
    if (!mkdtemp(path)) die("no scratch directory under %s: %s", base,
                            strerror(errno));
    char *copy = grab(strlen(path) + 1);
    strcpy(copy, path);
    return copy;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path) && errno != ENOENT;
}

void tree_remove(const char *path)
{
    if (access(path, F_OK)) return;
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS))
        die("cannot remove %s: %s", path, strerror(errno));
}

void scratch_remove(char *path)
{
    tree_remove(path);
    free(path);
}

static void file_copy(const char *from, const char *to)
{
    char buffer[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (in < 0 || out < 0) die("cannot copy %s to %s", from, to);
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) != 0;)
        if (n < 0 || write(out, buffer, (size_t)n) != n)
            die("cannot copy %s to %s", from, to);
    close(in);
    close(out);
}

void tree_copy(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    if (!dir || (mkdir(to, 0777) && errno != EEXIST))
        die("cannot copy %s to %s", from, to);
    for (struct dirent *e; (e = readdir(dir));) {
        char a[1024], b[1024];
        struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(a, sizeof a, "%s/%s", from, e->d_name);
        snprintf(b, sizeof b, "%s/%s", to, e->d_name);
        if (stat(a, &st)) die("cannot stat %s", a);
        if (S_ISDIR(st.st_mode)) tree_copy(a, b);
        else file_copy(a, b);
    }
    closedir(dir);
}

uint64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

uint64_t tree_size(const char *path)
{
    struct stat st;
    uint64_t sum = 0;
    DIR *dir = opendir(path);
    if (!dir) return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * 512;
    for (struct dirent *e; (e = readdir(dir));) {
        char a[1024];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(a, sizeof a, "%s/%s", path, e->d_name);
        sum += tree_size(a);
    }
    closedir(dir);
    return sum;
}

void parse_span(const char *text, uint64_t *from, uint64_t *to)
{
    char *end;
    *from = *to = strtoull(text, &end, 10);
    if (!strncmp(end, "..", 2)) *to = strtoull(end + 2, &end, 10);
    if (*end || *to < *from) die("not a number or a span A..B: %s", text);
}
