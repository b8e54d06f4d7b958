/* test/support.h -- what the tests of the whole engine stand on: dice, clock,
 * scratch directories, bytes with a pattern, and dying with a sentence.
 *
 * Holds: nothing here knows luge; every random number comes from a dice that
 * was seeded with a number the test has printed.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* The thread sanitizer allows no threads in the child of a process that had
 * some: first line of a test whose child opens a database then. */
#ifdef __SANITIZE_THREAD__
#define CHILD_WITH_THREADS() skip()
#else
#define CHILD_WITH_THREADS() ((void)0)
#endif

/* A stream of random numbers that its seed determines. */
struct dice { uint64_t state; };
struct dice dice_of(uint64_t seed, uint64_t stream);
uint64_t dice_next(struct dice *d);
uint32_t dice_below(struct dice *d, uint32_t bound);   /* 0 .. bound - 1 */
bool dice_chance(struct dice *d, uint32_t percent);

/* A 64-bit digest, chained through SEED.  For comparing, not for secrets. */
uint64_t digest(uint64_t seed, const void *data, size_t size);

/* SIZE bytes that SEED determines. */
void pattern_fill(void *to, size_t size, uint64_t seed);

/* As malloc and realloc, but never NULL. */
void *grab(size_t size);
void *grab_more(void *old, size_t size);

uint64_t now_ns(void);            /* monotonic, the same in all processes */
void nap_us(uint64_t us);

/* Say it on stderr and exit(1). */
void die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* A fresh directory under $TMPDIR, else under FAST (memory) if asked and
 * there, else under /tmp.  Memory: the caller's.  scratch_remove deletes it. */
enum scratch_where { SCRATCH_FAST, SCRATCH_DISK };
char *scratch_make(enum scratch_where where);
void scratch_remove(char *path);
void tree_remove(const char *path);
void tree_copy(const char *from, const char *to);   /* files and one level */
uint64_t file_size(const char *path);               /* 0 if absent */
uint64_t tree_size(const char *path);               /* blocks in use, bytes */

/* "7" or "7..9" */
void parse_span(const char *text, uint64_t *from, uint64_t *to);

#endif
