/* base/base.h -- what every layer stands on: error reporting, bytes, numbers.
 *
 * Holds: fail() and CORRUPT() note the first failing line once, where it
 * happened; everything above passes the code on.
 * Not here: anything that touches a file, a lock or another process.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "luge.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KIB(n) ((u64)(n) << 10)
#define MIB(n) ((u64)(n) << 20)

/* Note a failure of the calling thread and return CODE.  FORMAT makes the
 * sentence.  system_errno is 0 when no system call is behind it. */
int base_fail(int code, int system_errno, const char *file, int line,
              const char *format, ...)
    __attribute__((format(printf, 5, 6), cold, noinline));

#define fail(code, ...) base_fail((code), 0, __FILE__, __LINE__, __VA_ARGS__)
#define fail_errno(code, err, ...) \
    base_fail((code), (err), __FILE__, __LINE__, __VA_ARGS__)
#define CORRUPT(...) \
    base_fail(LUGE_CORRUPT, 0, __FILE__, __LINE__, __VA_ARGS__)
#define NOMEM() \
    base_fail(LUGE_NOMEM, 0, __FILE__, __LINE__, "the system gave no memory")

/* The calling thread has no last failure: what was noted on the way to success
 * is nobody's reason. */
void base_forget(void);
/* CODE is an answer that needs no more words than its own: it is the calling
 * thread's last, for a few nanoseconds.  Returns CODE. */
int base_answer(int code);

/* RC, as a call that people make answers it: what looks for something says only
 * that it is not there. */
static inline int base_found(int rc)
{
    return rc == LUGE_NOTFOUND ? base_answer(rc) : rc;
}

/* The luge code that fits a system errno. */
int base_code_of(int system_errno);

/* Memory that the test build can make fail.  As malloc, realloc, free, but a
 * size of 0 gives memory, too.  NULL is not noted: the caller says NOMEM(). */
void *base_alloc(size_t size);
void *base_alloc_zero(size_t size);
void *base_realloc(void *old, size_t size);
void base_free(void *memory);

#ifdef LUGE_HARD
#include <stdatomic.h>
/* The hard build's switch.  fail_every = 7 makes each 7th allocation after
 * that fail; 0, as at the start, none.  Any thread may write any field. */
struct base_hard {
    _Atomic u32 fail_every;
    _Atomic u64 calls;      /* allocations seen while switched on */
    _Atomic u64 failures;   /* of them refused */
};
extern struct base_hard base_hard;
#endif

/* Little-endian loads and stores without alignment. */
static inline u16 load16(const void *p) { u16 v; memcpy(&v, p, 2); return v; }
static inline u32 load32(const void *p) { u32 v; memcpy(&v, p, 4); return v; }
static inline u64 load64(const void *p) { u64 v; memcpy(&v, p, 8); return v; }
static inline void store16(void *p, u16 v) { memcpy(p, &v, 2); }
static inline void store32(void *p, u32 v) { memcpy(p, &v, 4); }
static inline void store64(void *p, u64 v) { memcpy(p, &v, 8); }
static inline u64 load64_be(const void *p)
{
    return __builtin_bswap64(load64(p));
}
static inline void store64_be(void *p, u64 v)
{
    store64(p, __builtin_bswap64(v));
}
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "luge's file format is little-endian; this platform needs a port"
#endif

/* LEB128, at most 10 bytes.  base_get_varint returns the bytes used, or 0 if
 * the number does not end before END or is longer than 64 bits. */
enum { VARINT_SIZE_MAX = 10 };
size_t base_put_varint_long(u8 *to, u64 value);
static inline size_t base_put_varint(u8 *to, u64 value)
{
    *to = (u8)value;
    return likely(value < 0x80) ? 1 : base_put_varint_long(to, value);
}
size_t base_get_varint(const u8 *from, const u8 *end, u64 *value);

static inline u64 min_u64(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 max_u64(u64 a, u64 b) { return a > b ? a : b; }
static inline u64 round_up(u64 n, u64 unit)
{
    return (n + unit - 1) / unit * unit;
}

/* memcmp order, shorter first among equals: the order of keys. */
static inline int bytes_compare(luge_bytes a, luge_bytes b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    if (c) return c;
    return (a.size > b.size) - (a.size < b.size);
}
static inline bool bytes_equal(luge_bytes a, luge_bytes b)
{
    return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size));
}

/* XXH3 of SIZE bytes, seeded. */
u64 base_hash(const void *data, size_t size, u64 seed);

/* Bytes that grow.  {0} is empty; base_buffer_free of empty is a no-op. */
struct base_buffer {
    u8 *data;
    size_t size, capacity;
};
int base_buffer_reserve(struct base_buffer *b, size_t more);
int base_buffer_add(struct base_buffer *b, const void *data, size_t size);
void base_buffer_free(struct base_buffer *b);

#endif
