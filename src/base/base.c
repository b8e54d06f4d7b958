/* base/base.c -- the thread's last error, memory, numbers as bytes.
 *
 * Holds:
 *   B1  The last error belongs to the thread: nobody else reads or writes it,
 *       so it needs no lock and no call to set it up.
 *   B2  base_fail changes nothing but that record; errno is left alone.
 *   B3  A varint has one shortest form.  We write that one and read any.
 * Not here: hashing (base/hash.c); anything that touches a file, a lock or
 * another process.
 */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------- errors -- */

static _Thread_local struct luge_error last_error = { .file = "" };

/* A build may name sources by any path; people know them from src/ on. */
static const char *short_name(const char *file)
{
    const char *name = file;
    for (const char *p = strstr(file, "src/"); p; p = strstr(p + 1, "src/"))
        name = p + 4;
    return name;
}

static int note(int code, int system_errno, const char *file, int line,
                const char *format, va_list arguments)
{
    int errno_before = errno;
    struct luge_error *e = &last_error;
    char reason[80] = "";
    if (system_errno) {
        errno = system_errno; /* %m is strerror, but safe among threads */
        snprintf(reason, sizeof reason, ": %m");
    }

    /* The reason matters more than the end of a long path: it gets its room
     * first, and the sentence what is left. */
    size_t room = sizeof e->text - strlen(reason);
    if (vsnprintf(e->text, room, format, arguments) < 0) e->text[0] = 0;
    memcpy(e->text + strlen(e->text), reason, strlen(reason) + 1);

    e->code = code;
    e->system_errno = system_errno;
    e->file = short_name(file);
    e->line = line;
    errno = errno_before;
    return code;
}

int base_fail(int code, int system_errno, const char *file, int line,
              const char *format, ...)
{
    assert(code < 0);
    va_list arguments;
    va_start(arguments, format);
    note(code, system_errno, file, line, format, arguments);
    va_end(arguments);
    return code;
}

int luge_fail(int code, const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(code, 0, file, line, format, arguments);
    va_end(arguments);
    return code;
}

void base_forget(void)
{
    last_error = (struct luge_error){ .file = "" };
}

int base_answer(int code)
{
    struct luge_error *e = &last_error;
    e->code = code;
    e->system_errno = e->line = 0;
    e->file = "";
    e->text[0] = 0;
    return code;
}

int base_code_of(int system_errno)
{
    switch (system_errno) {
    case ENOSPC: case EDQUOT: case EFBIG: return LUGE_NOSPACE;
    case EACCES: case EPERM: case EROFS: return LUGE_PERMISSION;
    case ENOENT: case ENOTDIR: return LUGE_NOTFOUND;
    case EEXIST: case ENOTEMPTY: return LUGE_EXISTS;
    case ENOMEM: return LUGE_NOMEM;
    case EAGAIN: return LUGE_BUSY;
    case ENOSYS: case EOPNOTSUPP: return LUGE_UNSUPPORTED;
    case EISDIR: case ELOOP: case ENAMETOOLONG: return LUGE_INVALID;
    default: return LUGE_IO;
    }
}

const char *luge_error_text(int code)
{
    switch (code) {
    case LUGE_OK: return "no error";
#define X(name, value, text) case LUGE_##name: return text;
    LUGE_ERRORS(X)
#undef X
    default: return "a code that luge does not use";
    }
}

const struct luge_error *luge_last_error(void)
{
    struct luge_error *e = &last_error;
    if (e->code && !e->text[0])
        snprintf(e->text, sizeof e->text, "%s", luge_error_text(e->code));
    return e;
}

const char *luge_version(void)
{
    return LUGE_VERSION_TEXT;
}

/* ------------------------------------------------------------- memory -- */

#ifdef LUGE_HARD
struct base_hard base_hard;

/* Is it this allocation's turn to fail? */
static bool memory_refused(void)
{
    u32 every = atomic_load(&base_hard.fail_every);
    if (!every) return false;
    u64 call = atomic_fetch_add(&base_hard.calls, 1) + 1;
    if (call % every != 0) return false;
    atomic_fetch_add(&base_hard.failures, 1);
    return true;
}
#else
static inline bool memory_refused(void)
{
    return false;
}
#endif

/* Zero bytes are one: NULL always means that there is no memory. */
void *base_alloc(size_t size)
{
    return memory_refused() ? NULL : malloc(size ? size : 1);
}

void *base_alloc_zero(size_t size)
{
    return memory_refused() ? NULL : calloc(1, size ? size : 1);
}

void *base_realloc(void *old, size_t size)
{
    return memory_refused() ? NULL : realloc(old, size ? size : 1);
}

void base_free(void *memory)
{
    free(memory);
}

/* ------------------------------------------------------------- numbers -- */

size_t base_put_varint_long(u8 *to, u64 value)
{
    size_t n = 0;
    while (value >= 0x80) {
        to[n++] = (u8)(value | 0x80);
        value >>= 7;
    }
    to[n++] = (u8)value;
    return n;
}

size_t base_get_varint(const u8 *from, const u8 *end, u64 *value)
{
    u64 result = 0;
    size_t n = 0;
    while (n < VARINT_SIZE_MAX && from + n < end) {
        u8 byte = from[n];
        if (n == 9 && byte > 1) return 0; /* a 65th bit */
        result |= (u64)(byte & 0x7f) << (7 * n);
        n++;
        if (byte < 0x80) {
            *value = result;
            return n;
        }
    }
    return 0;
}

/* -------------------------------------------------------------- buffer -- */

int base_buffer_reserve(struct base_buffer *b, size_t more)
{
    if (more <= b->capacity - b->size) return 0;
    if (more > SIZE_MAX / 2 - b->size) return NOMEM();
    size_t capacity = b->capacity ? b->capacity * 2 : 64;
    if (capacity < b->size + more) capacity = b->size + more;
    u8 *data = base_realloc(b->data, capacity);
    if (!data) return NOMEM();
    b->data = data;
    b->capacity = capacity;
    return 0;
}

int base_buffer_add(struct base_buffer *b, const void *data, size_t size)
{
    int rc = base_buffer_reserve(b, size);
    if (rc) return rc;
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
    return 0;
}

void base_buffer_free(struct base_buffer *b)
{
    base_free(b->data);
    *b = (struct base_buffer){ 0 };
}
