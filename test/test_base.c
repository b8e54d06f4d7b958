/* test/test_base.c -- errors, numbers, hashing, buffers and memory.
 *
 * Holds: random cases come from a seed that is printed; LUGE_SEED repeats one.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#undef fail /* cmocka's; ours is base.h's */

#include "base/base.h"

#include <xxhash.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

static u64 dice_state;

static u64 dice(void)
{
    dice_state += 0x9e3779b97f4a7c15u;
    u64 z = dice_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void seed_dice(void)
{
    const char *given = getenv("LUGE_SEED");
    dice_state = given ? strtoull(given, NULL, 0) : (u64)time(NULL);
    printf("LUGE_SEED=%llu\n", (unsigned long long)dice_state);
}

/* ------------------------------------------------------------- errors -- */

static void an_error_tells_code_place_and_reason(void **unused)
{
    (void)unused;
    errno = ERANGE;
    int line = __LINE__ + 1;
    int rc = fail_errno(LUGE_NOSPACE, ENOSPC, "pwrite of %d bytes", 17);
    assert_int_equal(rc, LUGE_NOSPACE);
    assert_int_equal(errno, ERANGE);
    const struct luge_error *e = luge_last_error();
    assert_int_equal(e->code, LUGE_NOSPACE);
    assert_int_equal(e->system_errno, ENOSPC);
    assert_int_equal(e->line, line);
    assert_string_equal(e->text, "pwrite of 17 bytes: No space left on device");
    const char *end = strstr(e->file, "test_base.c");
    assert_non_null(end);
    assert_string_equal(end, "test_base.c");

    rc = CORRUPT("page %d", 5);
    assert_int_equal(rc, LUGE_CORRUPT);
    assert_int_equal(e->system_errno, 0);
    assert_string_equal(e->text, "page 5");
    assert_int_equal(NOMEM(), LUGE_NOMEM);
    assert_int_equal(e->code, LUGE_NOMEM);
}

static void a_source_is_named_from_src_on(void **unused)
{
    (void)unused;
    base_fail(LUGE_IO, 0, "/home/src/luge/src/page/file.c", 3, "x");
    assert_string_equal(luge_last_error()->file, "page/file.c");
    base_fail(LUGE_IO, 0, "elsewhere.c", 3, "x");
    assert_string_equal(luge_last_error()->file, "elsewhere.c");
    assert_int_equal(luge_fail(LUGE_LIMIT, "src/a.c", 7, "%d of %d", 3, 2),
                     LUGE_LIMIT);
    assert_string_equal(luge_last_error()->text, "3 of 2");
    assert_string_equal(luge_last_error()->file, "a.c");
    assert_int_equal(luge_last_error()->line, 7);
}

static void a_long_sentence_keeps_its_reason(void **unused)
{
    (void)unused;
    char path[1000];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = 0;
    fail_errno(LUGE_IO, EIO, "read of %s", path);
    const char *text = luge_last_error()->text;
    size_t size = strlen(text);
    assert_int_equal(size, sizeof luge_last_error()->text - 1);
    assert_memory_equal(text, "read of ppp", 11);
    assert_string_equal(text + size - 20, ": Input/output error");
}

static void *fail_elsewhere(void *seen)
{
    *(int *)seen = luge_last_error()->code;
    fail(LUGE_LIMIT, "another thread's");
    return NULL;
}

static void each_thread_has_its_own_error(void **unused)
{
    (void)unused;
    int code_at_start = 99;
    pthread_t thread;
    fail(LUGE_BUSY, "mine");
    assert_int_equal(
        pthread_create(&thread, NULL, fail_elsewhere, &code_at_start), 0);
    pthread_join(thread, NULL);
    assert_int_equal(code_at_start, 0);
    assert_int_equal(luge_last_error()->code, LUGE_BUSY);
    assert_string_equal(luge_last_error()->text, "mine");
}

static void every_code_has_a_sentence_of_its_own(void **unused)
{
    (void)unused;
    int codes[] = {
        LUGE_OK,
#define X(name, value, text) value,
        LUGE_ERRORS(X)
#undef X
        12345,
    };
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        const char *text = luge_error_text(codes[i]);
        assert_true(strlen(text) > 5);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(text, luge_error_text(codes[k]));
    }
    assert_string_equal(luge_error_text(-8), "the disk is full");
    assert_string_equal(luge_version(), LUGE_VERSION_TEXT);
}

static void a_system_error_finds_its_code(void **unused)
{
    (void)unused;
    static const struct { int error, code; } pairs[] = {
        { ENOSPC, LUGE_NOSPACE },     { EDQUOT, LUGE_NOSPACE },
        { EFBIG, LUGE_NOSPACE },      { EACCES, LUGE_PERMISSION },
        { EPERM, LUGE_PERMISSION },   { EROFS, LUGE_PERMISSION },
        { ENOENT, LUGE_NOTFOUND },    { ENOTDIR, LUGE_NOTFOUND },
        { EEXIST, LUGE_EXISTS },      { ENOTEMPTY, LUGE_EXISTS },
        { ENOMEM, LUGE_NOMEM },       { EAGAIN, LUGE_BUSY },
        { ENOSYS, LUGE_UNSUPPORTED }, { EOPNOTSUPP, LUGE_UNSUPPORTED },
        { EISDIR, LUGE_INVALID },     { ENAMETOOLONG, LUGE_INVALID },
        { EIO, LUGE_IO },             { EMFILE, LUGE_IO },
        { EBADF, LUGE_IO },           { 9999, LUGE_IO },
    };
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++)
        assert_int_equal(base_code_of(pairs[i].error), pairs[i].code);
}

/* ------------------------------------------------------------- numbers -- */

static void check_varint(u64 value, size_t size)
{
    u8 bytes[VARINT_SIZE_MAX + 2];
    u64 back = ~value;
    memset(bytes, 0xee, sizeof bytes);
    assert_int_equal(base_put_varint(bytes + 1, value), size);
    assert_int_equal(bytes[0], 0xee);
    assert_int_equal(bytes[1 + size], 0xee);
    assert_int_equal(base_get_varint(bytes + 1, bytes + 1 + size, &back), size);
    assert_true(back == value);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(
            base_get_varint(bytes + 1, bytes + 1 + cut, &back), 0);
}

static void varints_return_and_are_shortest(void **unused)
{
    (void)unused;
    check_varint(0, 1);
    for (unsigned size = 1; size < 10; size++) {
        check_varint(((u64)1 << (7 * size)) - 1, size);
        check_varint((u64)1 << (7 * size), size + 1);
    }
    check_varint(UINT64_MAX, 10);
    for (int i = 0; i < 10000; i++) {
        u64 value = dice() >> (dice() % 64);
        size_t size = 1;
        while (size < 10 && value >> (7 * size)) size++;
        check_varint(value, size);
    }
}

static void a_varint_of_more_than_64_bits_is_refused(void **unused)
{
    (void)unused;
    u64 value = 7;
    u8 eleven[11];
    memset(eleven, 0x80, sizeof eleven);
    eleven[10] = 0;
    assert_int_equal(base_get_varint(eleven, eleven + 11, &value), 0);
    u8 bit65[10] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 2 };
    assert_int_equal(base_get_varint(bit65, bit65 + 10, &value), 0);
    assert_int_equal(value, 7);
    u8 padded[3] = { 0x85, 0x80, 0 };
    assert_int_equal(base_get_varint(padded, padded + 3, &value), 3);
    assert_int_equal(value, 5);
}

static void numbers_are_stored_as_documented(void **unused)
{
    (void)unused;
    u8 at[9] = { 0 };
    store64(at + 1, 0x0102030405060708u);
    assert_int_equal(at[1], 8);
    assert_int_equal(at[8], 1);
    assert_true(load64(at + 1) == 0x0102030405060708u);
    assert_int_equal(load32(at + 1), 0x05060708);
    assert_int_equal(load16(at + 1), 0x0708);
    store64_be(at + 1, 0x0102030405060708u);
    assert_int_equal(at[1], 1);
    assert_true(load64_be(at + 1) == 0x0102030405060708u);
    assert_int_equal(round_up(4097, 4096), 8192);
    assert_int_equal(round_up(4096, 4096), 4096);
    assert_int_equal(round_up(0, 4096), 0);
    assert_true(min_u64(3, UINT64_MAX) == 3 && max_u64(3, 2) == 3);
}

static void bytes_are_ordered_as_keys(void **unused)
{
    (void)unused;
    luge_bytes empty = { 0 };
    luge_bytes ascending[] = {
        empty,
        luge_bytes_of("\0", 1),
        luge_bytes_of("\0\0", 2),
        luge_str("a"),
        luge_str("aa"),
        luge_str("ab"),
        luge_str("b"),
        luge_str("\xff"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(ascending); i++)
        for (size_t k = 0; k < ARRAY_COUNT(ascending); k++) {
            int c = bytes_compare(ascending[i], ascending[k]);
            assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
            assert_int_equal(bytes_equal(ascending[i], ascending[k]), i == k);
        }
}

/* The library in its own translation of itself is the twin. */
static void the_hash_is_xxh3_of_every_length(void **unused)
{
    (void)unused;
    static u8 data[70000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (u8)dice();
    for (size_t size = 0; size < 2000; size++) {
        u64 seed = dice();
        assert_true(base_hash(data + 1, size, seed) ==
                    XXH3_64bits_withSeed(data + 1, size, seed));
    }
    static const size_t sizes[] = { 4096, 8192, 65536, 69999 };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        assert_true(base_hash(data + 1, sizes[i], 5) ==
                    XXH3_64bits_withSeed(data + 1, sizes[i], 5));
}

/* The file format rests on these numbers. */
static void the_hash_never_changes(void **unused)
{
    (void)unused;
    static const u8 page[4096] = { 1, 2, 3 };
    assert_true(base_hash("", 0, 0) == 0x2d06800538d394c2u);
    assert_true(base_hash("luge", 4, 7) == 0xd835df12a90b5042u);
    assert_true(base_hash(page, sizeof page, 42) == 0x2356843d49a22169u);
}

#ifdef __x86_64__
/* Does the processor tell which registers are in use (CPUID 0xd, 1), and are
 * there any of 32 bytes? */
static bool tells_what_is_in_use(void)
{
    u32 a, b, c, d;
    return __builtin_cpu_supports("avx2") &&
           __get_cpuid_count(0xd, 1, &a, &b, &c, &d) && (a & 4);
}

static bool upper_halves_in_use(void)
{
    u32 low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (low & 4) != 0;
}

/* Else all 16-byte instructions that come after it are slow. */
static void the_hash_leaves_no_upper_halves(void **unused)
{
    (void)unused;
    static u8 page[4096];
    if (!tells_what_is_in_use()) skip();
    __asm__ volatile("vpcmpeqd %%ymm1, %%ymm1, %%ymm1" ::: "xmm1");
    assert_true(upper_halves_in_use());
    __asm__ volatile("vzeroupper" ::: "xmm1");
    assert_false(upper_halves_in_use());
    assert_true(base_hash(page, sizeof page, 1) != 0);
    assert_false(upper_halves_in_use());
}
#endif

/* -------------------------------------------------------------- memory -- */

static void a_buffer_grows_and_keeps_its_bytes(void **unused)
{
    (void)unused;
    struct base_buffer b = { 0 };
    base_buffer_free(&b);
    assert_int_equal(base_buffer_add(&b, NULL, 0), 0);
    for (u32 i = 0; i < 5000; i++)
        assert_int_equal(base_buffer_add(&b, &i, sizeof i), 0);
    assert_int_equal(b.size, 20000);
    assert_true(b.capacity >= b.size && b.capacity <= 4 * b.size);
    for (u32 i = 0; i < 5000; i++) assert_int_equal(load32(b.data + 4 * i), i);

    assert_int_equal(base_buffer_reserve(&b, 100000), 0);
    assert_true(b.capacity >= 120000);
    u8 *where = b.data;
    assert_int_equal(base_buffer_reserve(&b, 100000), 0);
    assert_ptr_equal(b.data, where);

    assert_int_equal(base_buffer_reserve(&b, SIZE_MAX - 10), LUGE_NOMEM);
    assert_int_equal(b.size, 20000);
    assert_int_equal(load32(b.data + 4), 1);
    base_buffer_free(&b);
    assert_null(b.data);
    assert_int_equal(b.size + b.capacity, 0);
}

static void memory_of_no_size_is_memory(void **unused)
{
    (void)unused;
    u8 *memory = base_alloc(0);
    assert_non_null(memory);
    memory = base_realloc(memory, 10);
    assert_non_null(memory);
    base_free(memory);
    base_free(NULL);
    u8 *zeros = base_alloc_zero(1000);
    assert_non_null(zeros);
    for (int i = 0; i < 1000; i++) assert_int_equal(zeros[i], 0);
    base_free(zeros);
}

#ifdef LUGE_HARD
static void each_seventh_allocation_fails_when_told_to(void **unused)
{
    (void)unused;
    base_hard.calls = base_hard.failures = 0;
    base_hard.fail_every = 7;
    for (int i = 1; i <= 70; i++) {
        void *memory = i % 3 ? base_alloc(8) : base_alloc_zero(8);
        assert_int_equal(memory == NULL, i % 7 == 0);
        base_free(memory);
    }
    struct base_buffer b = { 0 };
    for (int i = 0; i < 6; i++) base_free(base_alloc(1));
    assert_int_equal(base_buffer_add(&b, "x", 1), LUGE_NOMEM);
    assert_int_equal(base_buffer_add(&b, "x", 1), 0);
    base_hard.fail_every = 0;
    base_buffer_free(&b);
    assert_int_equal(base_hard.failures, 11);
    for (int i = 0; i < 70; i++) {
        void *memory = base_alloc(8);
        assert_non_null(memory);
        base_free(memory);
    }
}
#endif

int main(void)
{
    seed_dice();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_tells_code_place_and_reason),
        cmocka_unit_test(a_source_is_named_from_src_on),
        cmocka_unit_test(a_long_sentence_keeps_its_reason),
        cmocka_unit_test(each_thread_has_its_own_error),
        cmocka_unit_test(every_code_has_a_sentence_of_its_own),
        cmocka_unit_test(a_system_error_finds_its_code),
        cmocka_unit_test(varints_return_and_are_shortest),
        cmocka_unit_test(a_varint_of_more_than_64_bits_is_refused),
        cmocka_unit_test(numbers_are_stored_as_documented),
        cmocka_unit_test(bytes_are_ordered_as_keys),
        cmocka_unit_test(the_hash_is_xxh3_of_every_length),
        cmocka_unit_test(the_hash_never_changes),
#ifdef __x86_64__
        cmocka_unit_test(the_hash_leaves_no_upper_halves),
#endif
        cmocka_unit_test(a_buffer_grows_and_keeps_its_bytes),
        cmocka_unit_test(memory_of_no_size_is_memory),
#ifdef LUGE_HARD
        cmocka_unit_test(each_seventh_allocation_fails_when_told_to),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
