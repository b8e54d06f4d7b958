/* test/test_tuple.c -- tuples (T1..T3 of model/tuple.h) and records (R1..R6 of
 * model/record.h).
 *
 * Holds: a stupid comparison of the values themselves says how keys must sort;
 * whatever bytes a reader gets, it answers and stays inside (the bytes lie at
 * the end of memory of exactly their size, for the sanitizers to see).
 */
#include <math.h>

#include "rig.h"
#include "record.h"
#include "tuple.h"

/* ------------------------------------------------------------- tuples -- */

/* Numbers around every change of size, from the smallest to the greatest. */
static size_t numbers(int64_t *to)
{
    size_t n = 0;
    to[n++] = INT64_MIN;
    to[n++] = INT64_MIN + 1;
    for (int bits = 62; bits >= 0; bits--)
        for (int64_t more = 1; more >= -1; more--)
            if (bits > 2 || more == 0) to[n++] = -((int64_t)1 << bits) - more;
    to[n++] = 0;
    for (int bits = 0; bits <= 62; bits++)
        for (int64_t more = -1; more <= 1; more++)
            if (bits > 2 || more == 0) to[n++] = ((int64_t)1 << bits) + more;
    to[n++] = INT64_MAX;
    return n;
}

static int compare(const struct tuple *a, const struct tuple *b)
{
    size_t size = a->size < b->size ? a->size : b->size;
    int c = memcmp(a->bytes, b->bytes, size);
    return c ? c : (a->size > b->size) - (a->size < b->size);
}

static void integers_sort_as_they_should(void **unused)
{
    int64_t all[400], back;
    struct tuple a = {0}, b = {0};
    size_t n = numbers(all);
    (void)unused;
    for (size_t i = 0; i < n; i++) {
        tuple_begin(&b);
        tuple_put_i64(&b, all[i]);
        if (i) assert_true(all[i - 1] < all[i]);
        if (i) assert_true(compare(&a, &b) < 0);
        a = b;
        struct tuple_reader r = tuple_read(tuple_key(&a));
        fine(tuple_get_i64(&r, &back));
        fine(tuple_get_end(&r));
        assert_true(back == all[i]);
    }
    tuple_begin(&b);
    tuple_put_u64(&b, UINT64_MAX);
    assert_true(compare(&a, &b) < 0);
    struct tuple_reader r = tuple_read(tuple_key(&b));
    answers(LUGE_CORRUPT, tuple_get_i64(&r, &back));
    uint64_t most;
    fine(tuple_get_u64(&r, &most));
    assert_true(most == UINT64_MAX);
}

static void a_sign_does_not_matter_to_the_encoding(void **unused)
{
    struct tuple a, b;
    (void)unused;
    tuple_begin(&a);
    tuple_begin(&b);
    tuple_put_u64(&a, 300);
    tuple_put_i64(&b, 300);
    assert_int_equal(compare(&a, &b), 0);
    assert_int_equal(a.size, 3);
    tuple_begin(&b);
    tuple_put_i64(&b, -1);
    struct tuple_reader r = tuple_read(tuple_key(&b));
    uint64_t none = 7;
    answers(LUGE_CORRUPT, tuple_get_u64(&r, &none));
    assert_int_equal(none, 7);
    assert_int_equal(tuple_next(&r), TUPLE_INTEGER);
}

static void doubles_sort_as_they_should(void **unused)
{
    static const double all[] = {-INFINITY, -1e300, -2, -1.5, -1, -1e-310, -0.0,
                                 0.0, 1e-310, 1, 1.5, 2, 1e300, INFINITY};
    struct tuple a = {0}, b;
    double back;
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        tuple_begin(&b);
        tuple_put_double(&b, all[i]);
        if (i) assert_true(compare(&a, &b) < 0);
        a = b;
        struct tuple_reader r = tuple_read(tuple_key(&a));
        fine(tuple_get_double(&r, &back));
        assert_memory_equal(&back, &all[i], sizeof(back));
        fine(tuple_get_end(&r));
    }
    tuple_begin(&b);
    tuple_put_double(&b, NAN);
    assert_true(compare(&a, &b) < 0);
}

struct row { luge_bytes text; int64_t number; char space[8]; };

static void row_random(struct dice *d, struct row *row)
{
    size_t size = dice_below(d, 5);
    for (size_t i = 0; i < size; i++)
        row->space[i] = "\0\1\xff\xfe" "a"[dice_below(d, 5)];
    row->text = luge_bytes_of(row->space, size);
    row->number = (int64_t)(dice_next(d) >> (1 + dice_below(d, 63)));
    if (dice_chance(d, 50)) row->number = -row->number;
}

static void row_put(const struct row *row, struct tuple *t)
{
    tuple_begin(t);
    tuple_put_bytes(t, row->text);
    tuple_put_i64(t, row->number);
    tuple_put_text(t, row->text);
}

static int row_compare(const struct row *a, const struct row *b)
{
    size_t size = a->text.size < b->text.size ? a->text.size : b->text.size;
    int c = memcmp(a->text.data, b->text.data, size);
    if (!c) c = (a->text.size > b->text.size) - (a->text.size < b->text.size);
    return c ? c : (a->number > b->number) - (a->number < b->number);
}

static int sign(int c) { return (c > 0) - (c < 0); }

static void rows_sort_as_their_columns(void **unused)
{
    uint64_t seed = now_ns();
    struct dice d = dice_of(seed, 0);
    (void)unused;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 20000; i++) {
        struct row a, b;
        struct tuple ta, tb;
        row_random(&d, &a);
        row_random(&d, &b);
        row_put(&a, &ta);
        row_put(&b, &tb);
        assert_int_equal(sign(compare(&ta, &tb)), sign(row_compare(&a, &b)));
        char space[8];
        struct tuple_reader r = tuple_read(tuple_key(&ta));
        luge_bytes back;
        int64_t number;
        fine(tuple_get_bytes(&r, space, sizeof(space), &back));
        assert_int_equal(back.size, a.text.size);
        assert_memory_equal(back.data, a.text.data, back.size);
        fine(tuple_get_i64(&r, &number));
        assert_true(number == a.number);
        fine(tuple_get_text(&r, space, sizeof(space), &back));
        assert_memory_equal(back.data, a.text.data, back.size);
        assert_int_equal(tuple_next(&r), TUPLE_END);
        fine(tuple_get_end(&r));
    }
}

/* T3, and the end of a range. */
static void a_prefix_holds_what_it_says(void **unused)
{
    struct tuple part, whole, other;
    (void)unused;
    tuple_begin(&part);
    tuple_put_text(&part, luge_str("song"));
    whole = part;
    tuple_put_u64(&whole, UINT64_MAX);
    tuple_begin(&other);
    tuple_put_text(&other, luge_str("songs"));
    assert_memory_equal(part.bytes, whole.bytes, part.size);
    assert_memory_not_equal(part.bytes, other.bytes, part.size);
    assert_true(tuple_after(&part));
    assert_true(compare(&whole, &part) < 0);
    assert_true(compare(&part, &other) < 0);
    tuple_begin(&part);
    tuple_put_text(&part, luge_str("song"));
    static const luge_bytes longer[] = {{"song\0", 5}, {"song\1", 5},
                                        {"song\xff", 5}};
    for (size_t i = 0; i < COUNT_OF(longer); i++) {
        tuple_begin(&other);
        tuple_put_text(&other, longer[i]);
        assert_memory_not_equal(part.bytes, other.bytes, part.size);
        assert_true(compare(&whole, &other) < 0);
    }
    tuple_begin(&part);
    assert_false(tuple_after(&part));
    part.size = 2;
    memset(part.bytes, 0xff, 2);
    assert_false(tuple_after(&part));
}

static void too_much_is_said(void **unused)
{
    struct tuple t;
    char text[LUGE_KEY_SIZE_MAX];
    (void)unused;
    memset(text, 'x', sizeof(text));
    tuple_begin(&t);
    tuple_put_text(&t, luge_bytes_of(text, sizeof(text) - 2));
    assert_int_equal(t.size, LUGE_KEY_SIZE_MAX);
    fine(tuple_fits(&t, "this"));
    tuple_put_u64(&t, 7);
    answers(LUGE_TOOBIG, tuple_fits(&t, "that"));
    assert_non_null(strstr(luge_last_error()->text, "that"));
    tuple_put_text(&t, luge_bytes_of(text, sizeof(text)));
    assert_int_equal(t.size, LUGE_KEY_SIZE_MAX + 1);
}

static void bad(const char *bytes, size_t size)
{
    struct tuple_reader r = tuple_read(luge_bytes_of(bytes, size)), before = r;
    char space[4];
    luge_bytes text = luge_str("before");
    int64_t i;
    uint64_t u;
    double f;
    answers(LUGE_CORRUPT, tuple_get_i64(&r, &i));
    answers(LUGE_CORRUPT, tuple_get_u64(&r, &u));
    answers(LUGE_CORRUPT, tuple_get_double(&r, &f));
    answers(LUGE_CORRUPT, tuple_get_bytes(&r, space, sizeof(space), &text));
    answers(LUGE_CORRUPT, tuple_get_text(&r, space, sizeof(space), &text));
    assert_true(is(text, "before"));
    assert_memory_equal(&r, &before, sizeof(r));
}

#define BAD(bytes) bad(bytes, sizeof(bytes) - 1)

static void malformed_elements_are_refused(void **unused)
{
    (void)unused;
    BAD("");
    BAD("\x01");
    BAD("\x22");
    BAD("\xff\xff");
    BAD("\x15");                                /* cut off */
    BAD("\x15\x00");                            /* zero has its own tag */
    BAD("\x16\x00\x01");                        /* zeros in front */
    BAD("\x13\xff");                            /* minus zero */
    BAD("\x12\xff\xfe");
    BAD("\x0c\x7f\xff\xff\xff\xff\xff\xff\xfe"); /* below INT64_MIN */
    BAD("\x1c\x01\x02\x03\x04\x05\x06\x07");
    BAD("\x21\x80\0\0\0\0\0\0");
    BAD("\x02" "abc");                          /* no end */
    BAD("\x02" "abc\1");                        /* no escape */
    BAD("\x02" "abc\1\0");
    BAD("\x02" "abc\1\3\0");
    BAD("\x03");
    BAD("\x02" "abcde\0");                      /* more than there is room */
    BAD("\x02" "abc\1\2" "d\0");
}

static void any_bytes_are_read_without_harm(void **unused)
{
    uint64_t seed = now_ns();
    struct dice d = dice_of(seed, 1);
    (void)unused;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 50000; round++) {
        size_t size = dice_below(&d, 24);
        unsigned char *bytes = grab(size ? size : 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = dice_chance(&d, 60) ? (unsigned char)dice_below(&d, 36)
                                           : (unsigned char)dice_next(&d);
        struct tuple_reader r = tuple_read(luge_bytes_of(bytes, size));
        struct tuple copy = {0};
        char space[32];
        luge_bytes text;
        int64_t i;
        uint64_t u;
        double f;
        for (;;) {                              /* T2: what can be read ... */
            if (!tuple_get_i64(&r, &i)) tuple_put_i64(&copy, i);
            else if (!tuple_get_u64(&r, &u)) tuple_put_u64(&copy, u);
            else if (!tuple_get_double(&r, &f)) tuple_put_double(&copy, f);
            else if (!tuple_get_bytes(&r, space, sizeof(space), &text))
                tuple_put_bytes(&copy, text);
            else if (!tuple_get_text(&r, space, sizeof(space), &text))
                tuple_put_text(&copy, text);
            else break;
        }
        assert_int_equal(copy.size, (size_t)(r.at - bytes));
        assert_memory_equal(copy.bytes, bytes, copy.size); /* is written */
        free(bytes);
    }
}

/* ------------------------------------------------------------ records -- */

struct song {
    struct record_head head;
    uint32_t bars;
    uint64_t tempo;
    struct record_part title, score;
};

/* As a luge of the past knew it. */
struct old_song {
    struct record_head head;
    uint32_t bars;
};

static const struct song SONG = {{sizeof(struct song), 2}, 4, 120, {0}, {0}};

static void records_come_back(void **unused)
{
    struct song in = SONG, out;
    struct record_writer w;
    luge_bytes raw, part;
    char large[5000];
    (void)unused;
    memset(large, 's', sizeof(large));
    for (size_t size = 0; size <= sizeof(large); size += 250) {
        in.tempo = size;
        record_begin(&w, &in.head);
        record_add(&w, &in.title, luge_str("nocturne"));
        record_add(&w, &in.score, luge_bytes_of(large, size));
        fine(record_end(&w, &raw));
        assert_int_equal(raw.size, sizeof(in) + 8 + size);
        fine(record_read(&SONG.head, raw, &out));
        assert_int_equal(out.tempo, size);
        fine(record_part(raw, out.title, &part));
        assert_true(is(part, "nocturne"));
        assert_ptr_equal(part.data, (const char *)raw.data + sizeof(in));
        fine(record_part(raw, out.score, &part));
        assert_int_equal(part.size, size);
        assert_memory_equal(part.data, large, size);
        record_free(&w);
    }
}

static void old_and_new_records_are_read(void **unused)
{
    struct old_song old = {{sizeof(old), 1}, 99}, back;
    struct { struct song song; uint64_t more; } newer = {SONG, 5};
    struct song out;
    (void)unused;
    fine(record_read(&SONG.head, luge_bytes_of(&old, sizeof(old)), &out));
    assert_int_equal(out.bars, 99);
    assert_int_equal(out.tempo, 120);
    assert_int_equal(out.score.size, 0);
    newer.song.head.bytes = sizeof(newer);
    newer.song.bars = 7;
    fine(record_read(&SONG.head, luge_bytes_of(&newer, sizeof(newer)), &out));
    assert_int_equal(out.bars, 7);
    old.bars = 1;
    answers(LUGE_VERSION,
            record_read(&old.head, luge_bytes_of(&newer, sizeof(newer)),
                        &back));
}

static void malformed_records_are_refused(void **unused)
{
    struct song song = SONG, out;
    luge_bytes raw = luge_bytes_of(&song, sizeof(song)), part;
    (void)unused;
    for (size_t size = 0; size < sizeof(song); size++)
        answers(LUGE_CORRUPT, record_read(&SONG.head,
                                          luge_bytes_of(&song, size), &out));
    song.head.bytes = 3;
    answers(LUGE_CORRUPT, record_read(&SONG.head, raw, &out));
    song.head.bytes = 4;
    song.head.version = 0;
    answers(LUGE_CORRUPT, record_read(&SONG.head, raw, &out));
    song.head = SONG.head;
    static const struct record_part parts[] = {
        {0, 1}, {sizeof(song) - 1, 1}, {sizeof(song), 1},
        {UINT32_MAX, 1}, {sizeof(song), UINT32_MAX}, {UINT32_MAX, UINT32_MAX}};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        answers(LUGE_CORRUPT, record_part(raw, parts[i], &part));
    fine(record_part(raw, (struct record_part){UINT32_MAX, 0}, &part));
    assert_int_equal(part.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_sort_as_they_should),
        cmocka_unit_test(a_sign_does_not_matter_to_the_encoding),
        cmocka_unit_test(doubles_sort_as_they_should),
        cmocka_unit_test(rows_sort_as_their_columns),
        cmocka_unit_test(a_prefix_holds_what_it_says),
        cmocka_unit_test(too_much_is_said),
        cmocka_unit_test(malformed_elements_are_refused),
        cmocka_unit_test(any_bytes_are_read_without_harm),
        cmocka_unit_test(records_come_back),
        cmocka_unit_test(old_and_new_records_are_read),
        cmocka_unit_test(malformed_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
