/* bench/tool.h -- what every file of the bench stands on: numbers, bytes, the
 * one clock, and a failure's sentence.
 *
 * Holds: a function of the bench that can fail returns 0 or -1, and left its
 * sentence in bench_text by bench_fail().
 * Not here: anything about engines or workloads.
 */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIB (1024.0 * 1024.0)

/* A run of bytes that somebody else owns. */
struct slice {
    const void *data;
    size_t size;
};

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){data, size};
}

static inline u64 load64(const void *p) { u64 v; memcpy(&v, p, 8); return v; }
static inline void store64(void *p, u64 v) { memcpy(p, &v, 8); }
static inline u64 min_u64(u64 a, u64 b) { return a < b ? a : b; }

/* The one clock of every figure: monotonic, in nanoseconds. */
static inline u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

void sleep_seconds(double seconds);

/* The sentence of the calling thread's last failure. */
enum { BENCH_TEXT_SIZE = 256 };
extern _Thread_local char bench_text[BENCH_TEXT_SIZE];

/* Leave a sentence in bench_text and return -1. */
int bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As bench_fail, for a system call on PATH; the errno is told. */
int bench_fail_errno(const char *what, const char *path);

/* Zeroed memory, or the end of the program: a bench has no other plan. */
void *bench_alloc(size_t size);

#endif
