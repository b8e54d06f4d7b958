/* test/test_api.c -- what luge.h promises of keys, values, trees and cursors.
 *
 * Holds: each function's contract, its limits, and each error it names that a
 * test can provoke.
 * Not here: what transactions owe each other (test_txn.c), opening, processes
 * and forks (test_open.c), damaged files (test_damage.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include "luge_feed.h"
#include "luge_fork.h"

static bool is_long(void)
{
    const char *length = getenv("LUGE_TEST");
    return length && !strcmp(length, "long");
}

/* -------------------------------------------------------------- values -- */

static void put_pattern(luge_txn *txn, const char *key, char *room,
                        size_t size)
{
    pattern_fill(room, size, size);
    fine(luge_put(txn, LUGE_MAIN, luge_str(key), luge_bytes_of(room, size)));
}

static void holds_pattern(luge_txn *txn, const char *key, char *room,
                          size_t size)
{
    luge_bytes value;
    fine(luge_get(txn, LUGE_MAIN, luge_str(key), &value));
    assert_int_equal(value.size, size);
    pattern_fill(room, size, size);
    assert_int_equal(digest(0, value.data, size), digest(0, room, size));
}

static void one_size(struct rig *r, char *room, size_t size)
{
    luge_txn *txn = begin(r, LUGE_WRITE);
    put_pattern(txn, "value", room, size);
    holds_pattern(txn, "value", room, size);
    fine(luge_commit(txn));
    txn = begin(r, LUGE_READ);
    holds_pattern(txn, "value", room, size);
    luge_abort(txn);
    rig_reopen(r);
    txn = begin(r, LUGE_READ);
    holds_pattern(txn, "value", room, size);
    luge_abort(txn);
}

static void values_of_every_size(void **state)
{
    static const size_t sizes[] = {
        0, 1, 7, 8, 100, 800, 1000, 1024, 1025, 2000, 4000, 4063, 4064, 4065,
        4095, 4096, 4097, 8191, 8192, 8193, 65535, 65536, 65537, 1 << 20,
        (1 << 20) + 1, 64 << 20, (size_t)1 << 30};
    size_t count = COUNT_OF(sizes) - (is_long() ? 0 : 1);
    char *room = grab(sizes[count - 1]);
    for (size_t i = 0; i < count; i++) one_size(*state, room, sizes[i]);
    for (size_t i = 20; i-- > 0;) one_size(*state, room, sizes[i]);
    free(room);
}

static void values_side_by_side(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    char *room = grab(300000), key[16];
    for (size_t i = 0; i < 300; i++) {
        sprintf(key, "%03zu", i);
        put_pattern(txn, key, room, i * 997);
    }
    fine(luge_commit(txn));
    rig_reopen(*state);
    txn = begin(*state, LUGE_READ);
    for (size_t i = 0; i < 300; i++) {
        sprintf(key, "%03zu", i);
        holds_pattern(txn, key, room, i * 997);
    }
    luge_abort(txn);
    free(room);
}

static void a_value_too_big(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_bytes huge = luge_bytes_of("x", LUGE_VALUE_SIZE_MAX + 1);
    answers(LUGE_TOOBIG, luge_put(txn, LUGE_MAIN, luge_str("k"), huge));
    answers(LUGE_TOOBIG, luge_add(txn, LUGE_MAIN, luge_str("k"), huge));
    answers(LUGE_TOOBIG, luge_cas(txn, LUGE_MAIN, luge_str("k"), NULL, &huge,
                                  NULL));
    holds(txn, LUGE_MAIN, "k", NULL);
    put(txn, LUGE_MAIN, "k", "the transaction goes on");
    fine(luge_commit(txn));
    now_holds(*state, LUGE_MAIN, "k", "the transaction goes on");
}

/* ---------------------------------------------------------------- keys -- */

static void keys_of_every_size(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    char key[LUGE_KEY_SIZE_MAX];
    luge_bytes value, found;
    memset(key, 'k', sizeof key);
    for (size_t size = 0; size <= sizeof key; size++)
        fine(luge_put(txn, LUGE_MAIN, luge_bytes_of(key, size),
                      luge_bytes_of(&size, sizeof size)));
    fine(luge_commit(txn));
    rig_reopen(*state);
    txn = begin(*state, LUGE_READ);
    for (size_t size = 0; size <= sizeof key; size++) {
        fine(luge_near(txn, LUGE_MAIN, LUGE_GE, luge_bytes_of(key, size),
                       &found, &value));
        assert_int_equal(found.size, size);
        assert_memory_equal(value.data, &size, sizeof size);
    }
    luge_abort(txn);
}

static int never(void *context, const luge_bytes *old, luge_bytes *result)
{
    (void)context, (void)old, (void)result;
    fail_msg("called for a key that is too big");
    return 2;
}

static void a_key_too_big(void **state)
{
    char room[LUGE_KEY_SIZE_MAX + 1];
    luge_bytes key = luge_bytes_of(room, sizeof room), v = luge_str("v");
    uint64_t one = 1;
    struct luge_op op = {LUGE_OP_PUT, LUGE_MAIN, key, v};
    memset(room, 'k', sizeof room);
    luge_txn *txn = begin(*state, LUGE_WRITE);
    answers(LUGE_TOOBIG, luge_put(txn, LUGE_MAIN, key, v));
    answers(LUGE_TOOBIG, luge_add(txn, LUGE_MAIN, key, v));
    answers(LUGE_TOOBIG, luge_cas(txn, LUGE_MAIN, key, NULL, &v, NULL));
    answers(LUGE_TOOBIG, luge_update(txn, LUGE_MAIN, key, never, NULL));
    answers(LUGE_TOOBIG, luge_combine(txn, LUGE_MAIN, key, "add",
                                      luge_bytes_of(&one, 8), NULL));
    /* Reading needs no limit: there is no such key. */
    int rc = luge_get(txn, LUGE_MAIN, key, &v);
    assert_true(rc == LUGE_NOTFOUND || rc == LUGE_TOOBIG);
    fine(luge_commit(txn));
    answers(LUGE_TOOBIG,
            luge_apply(((struct rig *)*state)->db, 0, &op, 1));
}

static int by_bytes(const void *a, const void *b)
{
    const luge_bytes *x = a, *y = b;
    size_t n = x->size < y->size ? x->size : y->size;
    int c = n ? memcmp(x->data, y->data, n) : 0;
    return c ? c : (x->size > y->size) - (x->size < y->size);
}

/* Unsigned bytes, the shorter first: in whatever order they came. */
static void the_order_of_keys(void **state)
{
    enum { MANY = 3000 };
    static unsigned char rooms[MANY][24];
    luge_bytes keys[MANY], found;
    struct dice d = dice_of(5, 0);
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_cursor *c;
    for (size_t i = 0; i < MANY; i++) {
        size_t size = dice_below(&d, sizeof rooms[i]);
        for (size_t j = 0; j < size; j++)
            rooms[i][j] = (unsigned char)(dice_below(&d, 4) * 85);
        keys[i] = luge_bytes_of(rooms[i], size);
        fine(luge_put(txn, LUGE_MAIN, keys[i], keys[i]));
    }
    qsort(keys, MANY, sizeof *keys, by_bytes);
    fine(luge_cursor_open(txn, LUGE_MAIN, &c));
    for (size_t i = 0; i < MANY; i++) {
        if (i && !by_bytes(&keys[i], &keys[i - 1])) continue;
        fine(luge_cursor_next(c, &found, NULL));
        assert_int_equal(by_bytes(&keys[i], &found), 0);
    }
    answers(LUGE_NOTFOUND, luge_cursor_next(c, NULL, NULL));
    fine(luge_commit(txn));
}

/* -------------------------------------------- put, add, del, cas, update -- */

static void put_add_del(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    holds(txn, LUGE_MAIN, "a", NULL);
    answers(LUGE_NOTFOUND, luge_del(txn, LUGE_MAIN, luge_str("a")));
    fine(luge_add(txn, LUGE_MAIN, luge_str("a"), luge_str("1")));
    answers(LUGE_EXISTS, luge_add(txn, LUGE_MAIN, luge_str("a"),
                                  luge_str("2")));
    holds(txn, LUGE_MAIN, "a", "1");
    put(txn, LUGE_MAIN, "a", "3");
    holds(txn, LUGE_MAIN, "a", "3");
    fine(luge_del(txn, LUGE_MAIN, luge_str("a")));
    holds(txn, LUGE_MAIN, "a", NULL);
    fine(luge_add(txn, LUGE_MAIN, luge_str("a"), luge_str("4")));
    put(txn, LUGE_MAIN, "", "the empty key is a key");
    fine(luge_commit(txn));
    now_holds(*state, LUGE_MAIN, "a", "4");
    now_holds(*state, LUGE_MAIN, "", "the empty key is a key");
}

static void compare_and_swap(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_bytes one = luge_str("1"), two = luge_str("2"), empty = luge_str("");
    luge_bytes key = luge_str("k"), actual = {0};
    answers(LUGE_NOTFOUND, luge_cas(txn, LUGE_MAIN, key, &one, &two, &actual));
    fine(luge_cas(txn, LUGE_MAIN, key, NULL, NULL, NULL));
    holds(txn, LUGE_MAIN, "k", NULL);
    fine(luge_cas(txn, LUGE_MAIN, key, NULL, &one, &actual));
    answers(LUGE_MISMATCH, luge_cas(txn, LUGE_MAIN, key, NULL, &two, &actual));
    assert_true(is(actual, "1"));
    answers(LUGE_MISMATCH, luge_cas(txn, LUGE_MAIN, key, &two, &one, &actual));
    assert_true(is(actual, "1"));
    answers(LUGE_MISMATCH, luge_cas(txn, LUGE_MAIN, key, &empty, &one, NULL));
    holds(txn, LUGE_MAIN, "k", "1");
    fine(luge_cas(txn, LUGE_MAIN, key, &one, &empty, NULL));
    holds(txn, LUGE_MAIN, "k", "");
    fine(luge_cas(txn, LUGE_MAIN, key, &empty, NULL, NULL));
    holds(txn, LUGE_MAIN, "k", NULL);
    fine(luge_commit(txn));
}

struct script { int rc; const char *old, *new; int calls; };

static int play(void *context, const luge_bytes *old, luge_bytes *result)
{
    struct script *s = context;
    s->calls++;
    assert_int_equal(old != NULL, s->old != NULL);
    if (old) assert_true(is(*old, s->old));
    if (s->new) *result = luge_str(s->new);
    return s->rc;
}

static void update(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    struct script steps[] = {
        {2, NULL, NULL, 0},        {1, NULL, "a", 0},  {2, "a", NULL, 0},
        {LUGE_LIMIT, "a", "x", 0}, {1, "a", "", 0},    {1, "", "long", 0},
        {0, "long", NULL, 0},      {0, NULL, NULL, 0},
    };
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        answers(steps[i].rc < 0 ? steps[i].rc : 0,
                luge_update(txn, LUGE_MAIN, luge_str("k"), play, &steps[i]));
        assert_int_equal(steps[i].calls, 1);
    }
    holds(txn, LUGE_MAIN, "k", NULL);
    fine(luge_commit(txn));
}

/* --------------------------------------------------------------- merges -- */

static luge_bytes number(uint64_t *room, uint64_t n)
{
    unsigned char *p = (unsigned char *)room;
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(n >> (8 * i));
    return luge_bytes_of(room, 8);
}

static void merges(luge_txn *txn, const char *op, const char *key, uint64_t n,
                   uint64_t expected)
{
    uint64_t room, wanted;
    luge_bytes result;
    fine(luge_combine(txn, LUGE_MAIN, luge_str(key), op, number(&room, n),
                      &result));
    assert_int_equal(result.size, 8);
    assert_memory_equal(result.data, number(&wanted, expected).data, 8);
    fine(luge_get(txn, LUGE_MAIN, luge_str(key), &result));
    assert_memory_equal(result.data, number(&wanted, expected).data, 8);
}

static void merge_numbers(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    uint64_t room;
    merges(txn, "add", "sum", 5, 5);
    merges(txn, "add", "sum", 7, 12);
    merges(txn, "add", "sum", UINT64_MAX, 11);        /* modulo 2^64 */
    merges(txn, "max", "max", 9, 9);
    merges(txn, "max", "max", 300, 300);
    merges(txn, "max", "max", 2, 300);
    merges(txn, "max", "max", UINT64_MAX, UINT64_MAX); /* unsigned */
    merges(txn, "min", "min", UINT64_MAX, UINT64_MAX);
    merges(txn, "min", "min", 300, 300);
    merges(txn, "min", "min", 301, 300);
    put(txn, LUGE_MAIN, "text", "no number");
    answers(LUGE_MISMATCH, luge_combine(txn, LUGE_MAIN, luge_str("sum"), "add",
                                        luge_str("short"), NULL));
    answers(LUGE_MISMATCH, luge_combine(txn, LUGE_MAIN, luge_str("text"), "add",
                                        number(&room, 1), NULL));
    holds(txn, LUGE_MAIN, "text", "no number");
    answers(LUGE_NOTFOUND, luge_combine(txn, LUGE_MAIN, luge_str("sum"),
                                        "nobody", luge_str("x"), NULL));
    fine(luge_commit(txn));
}

static void merge_bytes(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_bytes result;
    fine(luge_combine(txn, LUGE_MAIN, luge_str("a"), "append", luge_str("one"),
                      NULL));
    fine(luge_combine(txn, LUGE_MAIN, luge_str("a"), "append", luge_str(""),
                      NULL));
    fine(luge_combine(txn, LUGE_MAIN, luge_str("a"), "append", luge_str("two"),
                      &result));
    assert_true(is(result, "onetwo"));
    fine(luge_combine(txn, LUGE_MAIN, luge_str("o"), "or", luge_str("\x01"),
                      NULL));
    fine(luge_combine(txn, LUGE_MAIN, luge_str("o"), "or",
                      luge_bytes_of("\x02\x00\x80", 3), &result));
    assert_int_equal(result.size, 3);
    assert_memory_equal(result.data, "\x03\x00\x80", 3);
    fine(luge_combine(txn, LUGE_MAIN, luge_str("o"), "or", luge_str("\x04"),
                      &result));
    assert_int_equal(result.size, 3);
    assert_memory_equal(result.data, "\x07\x00\x80", 3);
    fine(luge_commit(txn));
    now_holds(*state, LUGE_MAIN, "a", "onetwo");
}

struct folder { char room[64]; int calls; };

/* "+x" sets x, "-" removes, "." leaves, "!" refuses. */
static int fold(void *context, luge_bytes key, const luge_bytes *old,
                luge_bytes operand, luge_bytes *result)
{
    struct folder *f = context;
    const char *p = operand.data;
    f->calls++;
    assert_true(is(key, "k"));
    switch (*p) {
    case '-': return 0;
    case '.': return 2;
    case '!': return LUGE_LIMIT;
    default:
        sprintf(f->room, "%.*s%.*s", old ? (int)old->size : 0,
                old ? (const char *)old->data : "", (int)operand.size - 1,
                p + 1);
        *result = luge_str(f->room);
        return 1;
    }
}

static void merge_registered(void **state)
{
    struct rig *r = *state;
    struct folder f = {"", 0}, g = {"", 0};
    luge_bytes result, k = luge_str("k");
    fine(luge_operator_register(r->db, "fold", fold, &f));
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_combine(txn, LUGE_MAIN, k, "fold", luge_str("."), NULL));
    holds(txn, LUGE_MAIN, "k", NULL);
    fine(luge_combine(txn, LUGE_MAIN, k, "fold", luge_str("+a"), &result));
    assert_true(is(result, "a"));
    fine(luge_combine(txn, LUGE_MAIN, k, "fold", luge_str("+b"), &result));
    assert_true(is(result, "ab"));
    answers(LUGE_LIMIT, luge_combine(txn, LUGE_MAIN, k, "fold", luge_str("!"),
                                     NULL));
    fine(luge_combine(txn, LUGE_MAIN, k, "fold", luge_str("."), NULL));
    holds(txn, LUGE_MAIN, "k", "ab");
    fine(luge_combine(txn, LUGE_MAIN, k, "fold", luge_str("-"), NULL));
    holds(txn, LUGE_MAIN, "k", NULL);
    assert_int_equal(f.calls, 6);
    fine(luge_combine(txn, LUGE_MAIN, k, "fold", luge_str("+c"), NULL));
    fine(luge_commit(txn));
    /* the result was logged, not the operator: nobody is called at reopening */
    f.calls = 0;
    rig_reopen(r);
    now_holds(r, LUGE_MAIN, "k", "c");
    assert_int_equal(f.calls, 0);
    /* a name belongs to who registered it first */
    fine(luge_operator_register(r->db, "fold", fold, &g));
    answers(LUGE_EXISTS, luge_operator_register(r->db, "fold", fold, &f));
    answers(LUGE_EXISTS, luge_operator_register(r->db, "add", fold, &f));
    txn = begin(r, LUGE_WRITE);
    fine(luge_combine(txn, LUGE_MAIN, k, "fold", luge_str("+d"), NULL));
    assert_int_equal(g.calls, 1);
    assert_int_equal(f.calls, 0);
    luge_abort(txn);
}

/* --------------------------------------------------------- ranges, pops -- */

/* Keys "00".."99" except the odd ones. */
static void fill_even(luge_txn *txn, luge_tree tree)
{
    for (int i = 0; i < 100; i += 2) {
        char key[32];
        sprintf(key, "%02d", i);
        put(txn, tree, key, key);
    }
}

static uint64_t count(luge_txn *txn, luge_tree tree)
{
    uint64_t n;
    fine(luge_tree_count(txn, tree, &n));
    return n;
}

static void removes(struct rig *r, const char *from, const char *to,
                    uint64_t expected)
{
    luge_bytes a = luge_str(from ? from : ""), b = luge_str(to ? to : "");
    uint64_t n = 12345;
    luge_txn *txn = begin(r, LUGE_WRITE);
    fill_even(txn, LUGE_MAIN);
    fine(luge_del_range(txn, LUGE_MAIN, from ? &a : NULL, to ? &b : NULL, &n));
    assert_int_equal(n, expected);
    assert_int_equal(count(txn, LUGE_MAIN), 50 - expected);
    luge_abort(txn);
}

static void del_range(void **state)
{
    struct rig *r = *state;
    removes(r, NULL, NULL, 50);
    removes(r, "00", NULL, 50);
    removes(r, NULL, "00", 0);
    removes(r, NULL, "01", 1);
    removes(r, "98", NULL, 1);
    removes(r, "99", NULL, 0);
    removes(r, "10", "20", 5);      /* 10 12 14 16 18 */
    removes(r, "11", "21", 5);
    removes(r, "10", "10", 0);
    removes(r, "20", "10", 0);
    removes(r, "1", "2", 5);
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_bytes from = luge_str("50");
    fill_even(txn, LUGE_MAIN);
    fine(luge_del_range(txn, LUGE_MAIN, &from, NULL, NULL));
    fine(luge_commit(txn));
    now_holds(r, LUGE_MAIN, "48", "48");
    now_holds(r, LUGE_MAIN, "50", NULL);
}

static void nears(luge_txn *txn, enum luge_seek seek, const char *key,
                  const char *expected)
{
    luge_bytes found, value;
    answers(expected ? 0 : LUGE_NOTFOUND,
            luge_near(txn, LUGE_MAIN, seek, luge_str(key), &found, &value));
    if (!expected) return;
    assert_true(is(found, expected));
    assert_true(is(value, expected));
}

static void neighbours(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    for (enum luge_seek s = LUGE_FIRST; s <= LUGE_LT; s++)
        nears(txn, s, "50", NULL);
    fill_even(txn, LUGE_MAIN);
    for (int committed = 0; committed < 2; committed++) {
        nears(txn, LUGE_FIRST, "ignored", "00");
        nears(txn, LUGE_LAST, "ignored", "98");
        nears(txn, LUGE_GE, "50", "50");
        nears(txn, LUGE_GE, "51", "52");
        nears(txn, LUGE_GT, "50", "52");
        nears(txn, LUGE_GT, "", "00");
        nears(txn, LUGE_LE, "50", "50");
        nears(txn, LUGE_LE, "51", "50");
        nears(txn, LUGE_LT, "50", "48");
        nears(txn, LUGE_LT, "zz", "98");
        nears(txn, LUGE_GE, "99", NULL);
        nears(txn, LUGE_GT, "98", NULL);
        nears(txn, LUGE_LT, "00", NULL);
        nears(txn, LUGE_LE, "", NULL);
        if (!committed) fine(luge_commit(txn));
        txn = committed ? txn : begin(*state, LUGE_READ);
    }
    luge_abort(txn);
}

static void pops(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_bytes key, value;
    answers(LUGE_NOTFOUND, luge_pop_min(txn, LUGE_MAIN, &key, &value));
    answers(LUGE_NOTFOUND, luge_pop_max(txn, LUGE_MAIN, NULL, NULL));
    fill_even(txn, LUGE_MAIN);
    fine(luge_pop_min(txn, LUGE_MAIN, &key, &value));
    /* what was popped stays until the next pop, whatever is written */
    fill_even(txn, LUGE_MAIN);
    assert_true(is(key, "00") && is(value, "00"));
    fine(luge_pop_max(txn, LUGE_MAIN, &key, &value));
    fine(luge_tree_clear(txn, LUGE_MAIN));
    fill_even(txn, LUGE_MAIN);
    assert_true(is(key, "98") && is(value, "98"));
    for (int i = 0; i < 50; i++) {
        char expected[16];
        sprintf(expected, "%02d", i % 2 ? 98 - (i / 2) * 2 : (i / 2) * 2);
        fine((i % 2 ? luge_pop_max : luge_pop_min)(txn, LUGE_MAIN, &key,
                                                   NULL));
        assert_true(is(key, expected));
    }
    answers(LUGE_NOTFOUND, luge_pop_min(txn, LUGE_MAIN, &key, &value));
    fine(luge_commit(txn));
}

/* ------------------------------------------------------------- cursors -- */

static void at(int rc, luge_bytes key, const char *expected)
{
    answers(expected ? 0 : LUGE_NOTFOUND, rc);
    if (expected && !is(key, expected))
        fail_msg("at \"%.*s\", not at \"%s\"", (int)key.size,
                 (const char *)key.data, expected);
}
#define NEXT(c, expected)                                                     \
    do {                                                                      \
        luge_bytes k_ = {0};                                                  \
        int rc_ = luge_cursor_next((c), &k_, NULL);                           \
        at(rc_, k_, (expected));                                              \
    } while (0)
#define PREV(c, expected)                                                     \
    do {                                                                      \
        luge_bytes k_ = {0};                                                  \
        int rc_ = luge_cursor_prev((c), &k_, NULL);                           \
        at(rc_, k_, (expected));                                              \
    } while (0)
#define SEEK(c, seek, target, expected)                                       \
    do {                                                                      \
        luge_bytes k_ = {0};                                                  \
        int rc_ = luge_cursor_seek((c), (seek), luge_str(target), &k_, NULL); \
        at(rc_, k_, (expected));                                              \
    } while (0)

static luge_cursor *even_cursor(luge_txn *txn)
{
    luge_cursor *c;
    fill_even(txn, LUGE_MAIN);
    fine(luge_cursor_open(txn, LUGE_MAIN, &c));
    return c;
}

static void cursor_steps(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_cursor *c = even_cursor(txn);
    NEXT(c, "00");
    NEXT(c, "02");
    PREV(c, "00");
    PREV(c, NULL);
    PREV(c, NULL);              /* it stays before the first */
    NEXT(c, "00");
    SEEK(c, LUGE_LAST, "", "98");
    NEXT(c, NULL);
    NEXT(c, NULL);
    PREV(c, "98");              /* and one back is the last */
    SEEK(c, LUGE_GE, "49", "50");
    NEXT(c, "52");
    PREV(c, "50");
    SEEK(c, LUGE_GT, "98", NULL);
    NEXT(c, "00");              /* unpositioned: from the first */
    SEEK(c, LUGE_LT, "00", NULL);
    PREV(c, "98");              /* or the last */
    luge_cursor_close(c);
    fine(luge_cursor_open(txn, LUGE_MAIN, &c));
    PREV(c, "98");
    luge_abort(txn);            /* which takes its cursors along */
}

static void cursor_in_nothing(void **state)
{
    luge_txn *txn = begin(*state, LUGE_READ);
    luge_cursor *c;
    fine(luge_cursor_open(txn, LUGE_MAIN, &c));
    NEXT(c, NULL);
    PREV(c, NULL);
    SEEK(c, LUGE_FIRST, "", NULL);
    SEEK(c, LUGE_LE, "x", NULL);
    answers(LUGE_NOTREE, luge_cursor_open(txn, 4711, &c));
    luge_abort(txn);
}

static void cursor_bounds(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_cursor *c = even_cursor(txn);
    luge_bytes from = luge_str("19"), to = luge_str("24");
    fine(luge_cursor_range(c, &from, &to));
    NEXT(c, "20");
    NEXT(c, "22");
    NEXT(c, NULL);
    PREV(c, "22");
    PREV(c, "20");
    PREV(c, NULL);
    NEXT(c, "20");
    SEEK(c, LUGE_FIRST, "", "20");
    SEEK(c, LUGE_LAST, "", "22");
    SEEK(c, LUGE_GE, "00", "20");
    SEEK(c, LUGE_LE, "zz", "22");
    SEEK(c, LUGE_GE, "24", NULL);
    SEEK(c, LUGE_GT, "22", NULL);
    SEEK(c, LUGE_LT, "20", NULL);
    SEEK(c, LUGE_LE, "18", NULL);
    fine(luge_cursor_range(c, &to, NULL));
    NEXT(c, "24");
    fine(luge_cursor_range(c, NULL, &from));
    PREV(c, "18");
    NEXT(c, NULL);
    fine(luge_cursor_range(c, &to, &from));      /* nothing is between */
    NEXT(c, NULL);
    PREV(c, NULL);
    fine(luge_cursor_range(c, NULL, NULL));
    NEXT(c, "00");
    luge_abort(txn);
}

/* The bounds were copied, and a prefix of 0xff has no successor. */
static void cursor_prefixes(void **state)
{
    static const char *const keys[] = {"", "a", "ab", "aba", "abb", "ac",
                                       "\xff", "\xff\xff", "\xff\xff" "a"};
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_cursor *c;
    char prefix[4] = "ab";
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        put(txn, LUGE_MAIN, keys[i], "");
    fine(luge_cursor_open(txn, LUGE_MAIN, &c));
    fine(luge_cursor_prefix(c, luge_str(prefix)));
    memset(prefix, 'x', sizeof prefix);
    NEXT(c, "ab");
    NEXT(c, "aba");
    NEXT(c, "abb");
    NEXT(c, NULL);
    SEEK(c, LUGE_LAST, "", "abb");
    SEEK(c, LUGE_LE, "zzz", "abb");
    fine(luge_cursor_prefix(c, luge_str("\xff\xff")));
    PREV(c, "\xff\xff" "a");
    PREV(c, "\xff\xff");
    PREV(c, NULL);
    fine(luge_cursor_prefix(c, luge_str("")));
    NEXT(c, "");
    fine(luge_cursor_prefix(c, luge_str("b")));
    NEXT(c, NULL);
    PREV(c, NULL);
    luge_abort(txn);
}

static void cursor_survives_writes(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_cursor *c = even_cursor(txn), *other;
    fine(luge_cursor_open(txn, LUGE_MAIN, &other));
    SEEK(other, LUGE_GE, "90", "90");
    SEEK(c, LUGE_GE, "50", "50");
    put(txn, LUGE_MAIN, "51", "new");
    put(txn, LUGE_MAIN, "49", "new");
    NEXT(c, "51");
    PREV(c, "50");
    PREV(c, "49");
    fine(luge_del(txn, LUGE_MAIN, luge_str("49")));
    NEXT(c, "50");
    fine(luge_cursor_del(c));
    answers(LUGE_NOTFOUND, luge_cursor_del(c));
    NEXT(c, "51");
    fine(luge_cursor_del(c));
    PREV(c, "48");
    for (int i = 0; i < 3000; i++) {     /* the tree gets another shape */
        char key[32];
        sprintf(key, "48/%05d", i * 7919 % 3000);
        put(txn, LUGE_MAIN, key, "some value that fills a page soon");
    }
    NEXT(c, "48/00000");
    fine(luge_tree_clear(txn, LUGE_MAIN));
    NEXT(c, NULL);
    put(txn, LUGE_MAIN, "95", "again");
    NEXT(other, "95");
    luge_abort(txn);
}

/* A cursor that removes all it meets, both ways. */
static void cursor_removes(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_cursor *c = even_cursor(txn);
    luge_bytes key;
    answers(LUGE_NOTFOUND, luge_cursor_del(c));
    for (int i = 0; i < 25; i++) {
        fine(luge_cursor_next(c, &key, NULL));
        fine(luge_cursor_del(c));
    }
    NEXT(c, "50");
    while (!luge_cursor_next(c, &key, NULL)) continue;
    answers(LUGE_NOTFOUND, luge_cursor_del(c));
    for (int i = 0; i < 24; i++) {
        fine(luge_cursor_prev(c, &key, NULL));
        fine(luge_cursor_del(c));
    }
    PREV(c, "50");
    assert_int_equal(count(txn, LUGE_MAIN), 1);
    luge_abort(txn);
}

/* --------------------------------------------------------------- trees -- */

static void trees_by_name(void **state)
{
    static const char *const names[] = {"songs/nocturne/main", "songs",
                                        "a", "songs/nocturne", "zebra"};
    static const char *const sorted[] = {"a", "main", "songs",
                                         "songs/nocturne",
                                         "songs/nocturne/main", "zebra"};
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_tree trees[5], tree;
    luge_bytes name = luge_str("");
    char last[64] = "";
    for (int i = 0; i < 5; i++) {
        answers(LUGE_NOTFOUND, luge_tree_open(txn, luge_str(names[i]), 0,
                                              &tree));
        trees[i] = tree_make(txn, names[i]);
        put(txn, trees[i], "who", names[i]);
        assert_true(trees[i] != LUGE_MAIN && tree_make(txn, names[i]) ==
                                                 trees[i]);
        for (int j = 0; j < i; j++) assert_true(trees[i] != trees[j]);
    }
    fine(luge_commit(txn));
    rig_reopen(*state);
    txn = begin(*state, LUGE_READ);
    for (int i = 0; i < 5; i++) {
        fine(luge_tree_open(txn, luge_str(names[i]), 0, &tree));
        assert_int_equal(tree, trees[i]);
        fine(luge_tree_name(txn, tree, &name));
        assert_true(is(name, names[i]));
        holds(txn, tree, "who", names[i]);
    }
    for (int i = 0; i < 6; i++) {
        fine(luge_tree_after(txn, luge_str(last), &name, &tree));
        assert_true(is(name, sorted[i]));
        strcpy(last, sorted[i]);
    }
    answers(LUGE_NOTFOUND, luge_tree_after(txn, luge_str(last), &name, &tree));
    fine(luge_tree_open(txn, luge_str("main"), 0, &tree));
    assert_int_equal(tree, LUGE_MAIN);
    luge_abort(txn);
}

static void tree_names(void **state)
{
    char room[LUGE_NAME_SIZE_MAX + 1];
    luge_tree tree, long_one;
    luge_txn *txn = begin(*state, LUGE_WRITE);
    memset(room, 'n', sizeof room);
    luge_bytes longest = luge_bytes_of(room, LUGE_NAME_SIZE_MAX);
    luge_bytes longer = luge_bytes_of(room, sizeof room);
    answers(LUGE_TOOBIG, luge_tree_open(txn, longer, LUGE_TREE_CREATE, &tree));
    fine(luge_tree_open(txn, longest, LUGE_TREE_CREATE, &long_one));
    answers(LUGE_INVALID, luge_tree_open(txn, luge_str(""), LUGE_TREE_CREATE,
                                         &tree));
    fine(luge_tree_open(txn, luge_bytes_of("\0\xff", 2), LUGE_TREE_CREATE,
                        &tree));
    put(txn, tree, "k", "binary");
    answers(LUGE_TOOBIG, luge_tree_rename(txn, tree, longer));
    answers(LUGE_INVALID, luge_tree_rename(txn, tree, luge_str("")));
    answers(LUGE_EXISTS, luge_tree_rename(txn, tree, longest));
    answers(LUGE_EXISTS, luge_tree_rename(txn, tree, luge_str("main")));
    fine(luge_commit(txn));
    rig_reopen(*state);
    txn = begin(*state, LUGE_READ);
    fine(luge_tree_open(txn, luge_bytes_of("\0\xff", 2), 0, &tree));
    holds(txn, tree, "k", "binary");
    fine(luge_tree_open(txn, longest, 0, &tree));
    assert_int_equal(tree, long_one);
    luge_abort(txn);
}

static void tree_rename_and_drop(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_tree a = tree_make(txn, "a"), b = tree_make(txn, "b"), again;
    put(txn, a, "k", "of a");
    put(txn, b, "k", "of b");
    fine(luge_commit(txn));
    txn = begin(*state, LUGE_WRITE);
    fine(luge_tree_rename(txn, a, luge_str("c")));
    fine(luge_tree_rename(txn, b, luge_str("a")));
    holds(txn, a, "k", "of a");
    fine(luge_tree_open(txn, luge_str("a"), 0, &again));
    assert_int_equal(again, b);
    fine(luge_tree_drop(txn, b));
    answers(LUGE_NOTFOUND, luge_tree_open(txn, luge_str("a"), 0, &again));
    fine(luge_tree_open(txn, luge_str("a"), LUGE_TREE_CREATE, &again));
    assert_true(again != b && again != a);      /* a number is never reused */
    assert_int_equal(count(txn, again), 0);
    fine(luge_commit(txn));
    rig_reopen(*state);
    txn = begin(*state, LUGE_WRITE);
    holds(txn, a, "k", "of a");
    luge_tree later = tree_make(txn, "later");
    assert_true(later != a && later != b && later != again);
    luge_abort(txn);
}

static void main_is_protected(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    put(txn, LUGE_MAIN, "k", "v");
    answers(LUGE_INVALID, luge_tree_drop(txn, LUGE_MAIN));
    answers(LUGE_INVALID, luge_tree_rename(txn, LUGE_MAIN, luge_str("x")));
    holds(txn, LUGE_MAIN, "k", "v");
    fine(luge_tree_clear(txn, LUGE_MAIN));
    assert_int_equal(count(txn, LUGE_MAIN), 0);
    fine(luge_commit(txn));
}

/* Every function that takes a tree, with one that is not there. */
static void no_such_tree(void **state)
{
    luge_txn *txn = begin(*state, LUGE_WRITE);
    luge_tree gone = tree_make(txn, "gone");
    luge_bytes k = luge_str("k"), b;
    struct luge_tree_stats stats;
    struct luge_op op = {LUGE_OP_PUT, 0, k, k};
    uint64_t n;
    put(txn, gone, "k", "v");
    fine(luge_commit(txn));
    txn = begin(*state, LUGE_WRITE);
    fine(luge_tree_drop(txn, gone));
    for (luge_tree t = gone; t != 99999; t = 99999) {
        luge_cursor *c;
        answers(LUGE_NOTREE, luge_get(txn, t, k, &b));
        answers(LUGE_NOTREE, luge_put(txn, t, k, k));
        answers(LUGE_NOTREE, luge_add(txn, t, k, k));
        answers(LUGE_NOTREE, luge_del(txn, t, k));
        answers(LUGE_NOTREE, luge_del_range(txn, t, NULL, NULL, NULL));
        answers(LUGE_NOTREE, luge_cas(txn, t, k, NULL, &k, NULL));
        answers(LUGE_NOTREE, luge_update(txn, t, k, never, NULL));
        answers(LUGE_NOTREE, luge_combine(txn, t, k, "append", k, NULL));
        answers(LUGE_NOTREE, luge_near(txn, t, LUGE_FIRST, k, &b, &b));
        answers(LUGE_NOTREE, luge_pop_min(txn, t, &b, &b));
        answers(LUGE_NOTREE, luge_pop_max(txn, t, &b, &b));
        answers(LUGE_NOTREE, luge_tree_drop(txn, t));
        answers(LUGE_NOTREE, luge_tree_clear(txn, t));
        answers(LUGE_NOTREE, luge_tree_rename(txn, t, luge_str("x")));
        answers(LUGE_NOTREE, luge_tree_count(txn, t, &n));
        answers(LUGE_NOTREE, luge_tree_name(txn, t, &b));
        answers(LUGE_NOTREE, luge_tree_stat(txn, t, &stats));
        answers(LUGE_NOTREE, luge_cursor_open(txn, t, &c));
    }
    fine(luge_commit(txn));
    op.tree = gone;
    answers(LUGE_NOTREE, luge_apply(((struct rig *)*state)->db, 0, &op, 1));
}

/* Every function that changes, in a transaction that must not. */
static void read_only_transactions(void **state)
{
    commit_put(*state, "k", "v");
    luge_txn *txn = begin(*state, LUGE_READ);
    luge_bytes k = luge_str("k"), b;
    luge_cursor *c;
    luge_tree tree;
    uint64_t one = 1;
    answers(LUGE_READONLY, luge_put(txn, LUGE_MAIN, k, k));
    answers(LUGE_READONLY, luge_add(txn, LUGE_MAIN, luge_str("new"), k));
    answers(LUGE_READONLY, luge_del(txn, LUGE_MAIN, k));
    answers(LUGE_READONLY, luge_del_range(txn, LUGE_MAIN, NULL, NULL, NULL));
    answers(LUGE_READONLY, luge_cas(txn, LUGE_MAIN, k, &k, &k, NULL));
    answers(LUGE_READONLY, luge_update(txn, LUGE_MAIN, k, never, NULL));
    answers(LUGE_READONLY, luge_combine(txn, LUGE_MAIN, k, "add",
                                        luge_bytes_of(&one, 8), NULL));
    answers(LUGE_READONLY, luge_pop_min(txn, LUGE_MAIN, &b, &b));
    answers(LUGE_READONLY, luge_pop_max(txn, LUGE_MAIN, &b, &b));
    answers(LUGE_READONLY, luge_tree_open(txn, luge_str("new"),
                                          LUGE_TREE_CREATE, &tree));
    answers(LUGE_READONLY, luge_tree_clear(txn, LUGE_MAIN));
    fine(luge_cursor_open(txn, LUGE_MAIN, &c));
    NEXT(c, "k");
    answers(LUGE_READONLY, luge_cursor_del(c));
    holds(txn, LUGE_MAIN, "k", "v");
    fine(luge_commit(txn));
}

/* --------------------------------------------------- figures and errors -- */

static void inspection(void **state)
{
    struct rig *r = *state;
    struct luge_stats s;
    struct luge_tree_stats t;
    luge_txn *txn = begin(r, LUGE_WRITE);
    char key[32], *big = grab(100000);
    memset(big, 'b', 100000);
    for (int i = 0; i < 2000; i++) {
        sprintf(key, "%08d", i);
        fine(luge_put(txn, LUGE_MAIN, luge_str(key), luge_bytes_of(big, 100)));
    }
    fine(luge_put(txn, LUGE_MAIN, luge_str("big"), luge_bytes_of(big, 100000)));
    fine(luge_commit(txn));
    fine(luge_checkpoint(r->db));
    txn = begin(r, LUGE_READ);
    fine(luge_tree_stat(txn, LUGE_MAIN, &t));
    assert_int_equal(t.count, 2001);
    assert_int_equal(t.value_bytes, 2000 * 100 + 100000);
    assert_int_equal(t.key_bytes, 2000 * 8 + 3);
    assert_true(t.depth >= 2 && t.leaf_pages >= 50 && t.branch_pages >= 1);
    assert_true(t.extent_pages >= 24);
    fine(luge_stat(r->db, &s));
    assert_int_equal(s.processes, 1);
    assert_int_equal(s.readers, 1);
    assert_int_equal(s.reader_oldest_seq, luge_txn_seq(txn));
    assert_int_equal(s.page_bytes, 4096);
    assert_int_equal(s.seq_checkpoint, s.seq_committed);
    assert_true(s.commits >= 1 && s.checkpoints >= 1);
    assert_true(s.file_bytes >= 300000 && s.log_bytes > 0);
    assert_true(s.pages_free + s.pages_pending < s.pages_total);
    luge_abort(txn);
    fine(luge_stat(r->db, &s));
    assert_int_equal(s.readers, 0);
    assert_int_equal(s.reader_oldest_seq, 0);
    free(big);
}

/* Equal content, other order, other pages: the same sum. */
/* The parts of a pair are not taken for the names of trees. */
static void checksums_of_names_and_pairs(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    put(txn, LUGE_MAIN, "n", "o");
    fine(luge_commit(txn));
    uint64_t pair = checksum(r);
    txn = begin(r, LUGE_WRITE);
    fine(luge_del(txn, LUGE_MAIN, luge_str("n")));
    (void)tree_make(txn, "n");
    (void)tree_make(txn, "o");
    fine(luge_commit(txn));
    assert_true(checksum(r) != pair);
}

static void checksums(void **state)
{
    struct rig *r = *state;
    uint64_t empty = checksum(r), full, sum;
    luge_txn *txn = begin(r, LUGE_WRITE);
    fill_even(txn, LUGE_MAIN);
    fill_even(txn, tree_make(txn, "other"));
    fine(luge_checksum(txn, &full));        /* of what it sees itself */
    fine(luge_commit(txn));
    assert_true(full != empty && checksum(r) == full);
    txn = begin(r, LUGE_WRITE);
    luge_tree other;
    fine(luge_tree_open(txn, luge_str("other"), 0, &other));
    fine(luge_tree_drop(txn, other));
    fine(luge_tree_clear(txn, LUGE_MAIN));
    for (int i = 2000; i-- > 0;) {
        char key[32];
        sprintf(key, "%04d", i);
        put(txn, LUGE_MAIN, key, key);
    }
    for (int i = 98; i >= 0; i -= 2) {
        char key[32];
        sprintf(key, "%02d", i);
        put(txn, LUGE_MAIN, key, key);
    }
    for (int i = 0; i < 2000; i++) {
        char key[32];
        sprintf(key, "%04d", i);
        fine(luge_del(txn, LUGE_MAIN, luge_str(key)));
    }
    fine(luge_checksum(txn, &sum));
    assert_true(sum != full);               /* "other" is missing */
    fill_even(txn, tree_make(txn, "other"));
    fine(luge_commit(txn));
    assert_int_equal(checksum(r), full);
    rig_reopen(r);
    assert_int_equal(checksum(r), full);
    txn = begin(r, LUGE_WRITE);
    fine(luge_tree_open(txn, luge_str("other"), 0, &other));
    fine(luge_tree_rename(txn, other, luge_str("otter")));
    fine(luge_commit(txn));
    assert_true(checksum(r) != full);
}

static void errors_have_words(void **state)
{
    struct rig *r = *state;
    static const int codes[] = {
#define X(name, value, text) value,
        LUGE_ERRORS(X)
#undef X
    };
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        const char *text = luge_error_text(codes[i]);
        assert_true(text && strlen(text) > 10);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(text, luge_error_text(codes[j]));
    }
    assert_non_null(luge_error_text(-999));
    assert_non_null(luge_error_text(0));
    assert_string_equal(luge_version(), LUGE_VERSION_TEXT);
    luge_txn *txn = begin(r, LUGE_READ);
    answers(LUGE_READONLY, luge_put(txn, LUGE_MAIN, luge_str("k"),
                                    luge_str("v")));
    const struct luge_error *e = luge_last_error();
    assert_int_equal(e->code, LUGE_READONLY);
    assert_true(strlen(e->text) > 10 && e->file && e->line > 0);
    luge_abort(txn);
}

/* CALL answers CODE, and the last error is of it: WORDS, or the code's. */
#define says(code, words, call) says_((code), (words), (call), #call)
static void says_(int code, const char *words, int rc, const char *call)
{
    const struct luge_error *last = luge_last_error();
    if (rc != code || last->code != code ||
        !strstr(last->text, words ? words : luge_error_text(code)))
        fail_msg("%s gave %d, and %d: %s", call, rc, last->code, last->text);
}

static void answers_have_their_own_sentence(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_cursor *cursor;
    luge_bytes k, v, x = luge_str("x");
    luge_tree tree, other = tree_make(txn, "other");
    struct luge_snapshot_info info;
    struct luge_snapshot_size size;
    put(txn, LUGE_MAIN, "k", "v");
    fine(luge_snapshot(txn, luge_str(""), luge_str("kept")));
    /* what is said before must not be taken for what is said now */
#define wrong() answers(LUGE_INVALID, luge_tree_drop(txn, LUGE_MAIN))
    wrong();
    says(LUGE_NOTFOUND, NULL, luge_get(txn, LUGE_MAIN, x, &v));
    wrong();
    says(LUGE_NOTFOUND, NULL, luge_del(txn, LUGE_MAIN, x));
    wrong();
    says(LUGE_EXISTS, NULL, luge_add(txn, LUGE_MAIN, luge_str("k"), x));
    wrong();
    says(LUGE_MISMATCH, NULL,
         luge_cas(txn, LUGE_MAIN, luge_str("k"), &x, NULL, NULL));
    says(LUGE_NOTFOUND, NULL, luge_cas(txn, LUGE_MAIN, x, &x, NULL, NULL));
    wrong();
    says(LUGE_NOTFOUND, NULL,
         luge_near(txn, LUGE_MAIN, LUGE_GT, luge_str("z"), &k, &v));
    wrong();
    says(LUGE_NOTFOUND, NULL, luge_pop_min(txn, other, &k, &v));
    fine(luge_cursor_open(txn, LUGE_MAIN, &cursor));
    wrong();
    says(LUGE_NOTFOUND, NULL, luge_cursor_del(cursor));
    says(LUGE_NOTFOUND, NULL,
         luge_cursor_seek(cursor, LUGE_GT, luge_str("z"), NULL, NULL));
    fine(luge_cursor_next(cursor, &k, &v));
    for (int i = 0; i < 2; i++) {
        wrong();
        says(LUGE_NOTFOUND, NULL, luge_cursor_next(cursor, &k, &v));
    }
    fine(luge_cursor_prev(cursor, &k, &v));
    for (int i = 0; i < 2; i++) {
        wrong();
        says(LUGE_NOTFOUND, NULL, luge_cursor_prev(cursor, &k, &v));
    }
    says(LUGE_NOTFOUND, "no tree \"x\"", luge_tree_open(txn, x, 0, &tree));
    wrong();
    says(LUGE_NOTFOUND, NULL, luge_tree_after(txn, x, &k, &tree));
    wrong();
    says(LUGE_NOTFOUND, NULL, luge_snapshot_after(txn, x, &info));
    says(LUGE_NOTFOUND, "no snapshot \"x\"", luge_snapshot_drop(txn, x));
    says(LUGE_NOTFOUND, "no snapshot \"x\"",
         luge_snapshot_measure(txn, x, &size));
    says(LUGE_NOTFOUND, "no snapshot \"x\"",
         luge_snapshot_open(txn, x, x, &tree));
    says(LUGE_NOTFOUND, "\"kept\" has no tree \"x\"",
         luge_snapshot_open(txn, luge_str("kept"), x, &tree));
    wrong();
    says(LUGE_NOTFOUND, NULL,
         luge_snapshot_tree_after(txn, luge_str("kept"), x, &k));
    says(LUGE_NOTFOUND, "in common",
         luge_fork_base(txn, LUGE_MAIN, other, &tree));
    says(LUGE_NOTFOUND, "no consumer \"x\"", luge_consumer_drop(txn, x));
    luge_abort(txn);
}

/* ------------------------------------------------------------- reuse -- */

/* A result may be the next operand. */
static void results_are_operands(void **state)
{
    struct rig *r = *state;
    static const char *const names[] = {"append", "or"};
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_bytes result;
    for (int i = 0; i < 2; i++) {
        put(txn, LUGE_MAIN, "one", "aaaa");
        put(txn, LUGE_MAIN, "two", i ? "````" : "0123456789");
        fine(luge_combine(txn, LUGE_MAIN, luge_str("one"), names[i],
                          luge_str("bb"), &result));
        fine(luge_combine(txn, LUGE_MAIN, luge_str("two"), names[i], result,
                          &result));
        assert_true(is(result, i ? "ccaa" : "0123456789aaaabb"));
        holds(txn, LUGE_MAIN, "two", i ? "ccaa" : "0123456789aaaabb");
    }
    luge_abort(txn);
}

/* A name that luge_tree_after gave is good until the transaction changes. */
static void a_name_may_be_one_that_was_read(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree a = tree_make(txn, "zzz"), b = tree_make(txn, "b"), found;
    luge_bytes name;
    fine(luge_tree_after(txn, luge_str("a"), &name, &found));
    assert_int_equal(found, b);
    answers(LUGE_EXISTS, luge_tree_rename(txn, a, name));
    fine(luge_tree_name(txn, a, &name));
    assert_true(is(name, "zzz"));
    luge_abort(txn);
}

/* ---------------------------------------------------------- full leaves -- */

/* KEY takes BYTES of a leaf whose keys have nothing in common: 10 of them are
 * its slot and its cell's head. */
static void put_bytes(luge_txn *txn, const char *key, size_t bytes)
{
    static char value[4096];
    size_t size = bytes > 10 + strlen(key) ? bytes - 10 - strlen(key) : 0;
    fine(luge_put(txn, LUGE_MAIN, luge_str(key), luge_bytes_of(value, size)));
}

struct step { const char *key; size_t bytes; };
enum { GONE = 9999 };           /* instead of bytes: delete it */

static void leaf_of(struct rig *r, const struct step *steps, size_t count)
{
    luge_txn *txn = begin(r, LUGE_WRITE);
    for (size_t i = 0; i < count; i++) {
        if (steps[i].bytes == GONE)
            fine(luge_del(txn, LUGE_MAIN, luge_str(steps[i].key)));
        else
            put_bytes(txn, steps[i].key, steps[i].bytes);
    }
    fine(luge_commit(txn));
    fine(luge_check(r->db, NULL, NULL));
}

/* A leaf whose keys begin alike, but that was made when they did not, is as
 * full as can be.  To have the byte in common would take eight and save
 * three. */
static void a_full_leaf_is_cut(void **state)
{
    static const struct step steps[] = {
        {"b1", 1016}, {"b2", 1016}, {"b4", 1016}, {"a", 0}, {"a", GONE},
        {"b5", 1016}, {"b3", 2028}};
    leaf_of(*state, steps, sizeof steps / sizeof *steps);
}

static void a_full_leaf_shares(void **state)
{
    static const struct step steps[] = {
        {"A1", 1600}, {"A2", 1600}, {"a", 900}, {"b1", 1354}, {"b2", 1354},
        {"a", GONE}, {"a", 500}, {"a", GONE}, {"b3", 1354}, {"b0", 0}};
    leaf_of(*state, steps, sizeof steps / sizeof *steps);
}

/* Few and large, of all kinds: no put is refused. */
static void large_items_always_find_room(void **state)
{
    struct rig *r = *state;
    static const uint32_t sizes[] = {0, 20, 500, 900, 1010, 1016, 1354, 1600,
                                     2020, 2028};
    struct dice d = dice_of(3, 3);
    luge_txn *txn = begin(r, LUGE_WRITE);
    for (unsigned i = 0; i < (is_long() ? 2000000 : 100000); i++) {
        char key[24], *at = key;
        for (uint32_t n = dice_below(&d, 3) * 8 % 17; n; n--) *at++ = 'k';
        *at++ = (char)('a' + dice_below(&d, 3));
        *at++ = (char)('1' + dice_below(&d, 7));
        *at = 0;
        if (dice_chance(&d, 45)) {
            int rc = luge_del(txn, LUGE_MAIN, luge_str(key));
            assert_true(!rc || rc == LUGE_NOTFOUND);
        } else {
            put_bytes(txn, key, sizes[dice_below(&d, 10)] + dice_below(&d, 8));
        }
    }
    fine(luge_commit(txn));
    fine(luge_check(r->db, NULL, NULL));
}

int main(void)
{
#define WITH(test)                                                            \
    cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        WITH(answers_have_their_own_sentence),
        WITH(values_of_every_size), WITH(values_side_by_side),
        WITH(a_value_too_big), WITH(keys_of_every_size), WITH(a_key_too_big),
        WITH(the_order_of_keys), WITH(put_add_del), WITH(compare_and_swap),
        WITH(update), WITH(merge_numbers), WITH(merge_bytes),
        WITH(merge_registered), WITH(del_range), WITH(neighbours), WITH(pops),
        WITH(cursor_steps), WITH(cursor_in_nothing), WITH(cursor_bounds),
        WITH(cursor_prefixes), WITH(cursor_survives_writes),
        WITH(cursor_removes), WITH(trees_by_name), WITH(tree_names),
        WITH(tree_rename_and_drop), WITH(main_is_protected),
        WITH(no_such_tree), WITH(read_only_transactions), WITH(inspection),
        WITH(checksums), WITH(checksums_of_names_and_pairs),
        WITH(errors_have_words), WITH(results_are_operands),
        WITH(a_name_may_be_one_that_was_read), WITH(a_full_leaf_is_cut),
        WITH(a_full_leaf_shares), WITH(large_items_always_find_room),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
