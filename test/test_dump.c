/* test/test_dump.c -- what luge_dump.h promises: round trips, one snapshot, and
 * that no damage goes unnoticed.
 * Not here: the command and the text formats (feed.sh).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include "luge_dump.h"

/* A stream in memory. */
struct memory {
    char *data;
    size_t size, at, room;
    size_t most;                /* read no more than this at once; 0: any */
    int progress_code, calls;
};

static int write_memory(void *context, const void *data, size_t size)
{
    struct memory *m = context;
    if (m->size + size > m->room) {
        m->room = 2 * (m->size + size);
        m->data = grab_more(m->data, m->room);
    }
    memcpy(m->data + m->size, data, size);
    m->size += size;
    return 0;
}

static int read_memory(void *context, void *to, size_t size, size_t *got)
{
    struct memory *m = context;
    *got = m->size - m->at < size ? m->size - m->at : size;
    if (m->most && *got > m->most) *got = m->most;
    memcpy(to, m->data + m->at, *got);
    m->at += *got;
    return 0;
}

static int progress(void *context, const struct luge_dump_progress *so_far)
{
    struct memory *m = context;
    m->calls++;
    assert_true(so_far->bytes > 0);
    return m->progress_code;
}

static struct luge_dump_stream stream_of(struct memory *m)
{
    return (struct luge_dump_stream){m, write_memory, read_memory, progress};
}

static void fill(struct rig *r)
{
    char key[LUGE_KEY_SIZE_MAX], *value = grab(3 << 20);
    luge_txn *txn = begin(r, LUGE_WRITE);
    luge_tree songs = tree_make(txn, "songs");
    (void)tree_make(txn, "empty");
    pattern_fill(value, 3 << 20, 1);
    pattern_fill(key, sizeof key, 2);
    for (uint32_t i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        fine(luge_put(txn, i % 3 ? LUGE_MAIN : songs, luge_str(name),
                      luge_bytes_of(value + i, i % 700)));
    }
    fine(luge_put(txn, songs, luge_bytes_of("", 0), luge_bytes_of("", 0)));
    fine(luge_put(txn, songs, luge_bytes_of(key, sizeof key),
                  luge_bytes_of(value, 3 << 20)));
    fine(luge_put(txn, songs, luge_str("64k"), luge_bytes_of(value, 65536)));
    fine(luge_put(txn, songs, luge_str("64k+1"),
                  luge_bytes_of(value, 65537)));
    fine(luge_commit(txn));
    free(value);
}

static void dump(struct rig *r, struct memory *m)
{
    struct luge_dump_stream stream = stream_of(m);
    struct luge_dump_progress done;
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_dump(txn, &stream, &done));
    luge_abort(txn);
    assert_int_equal(done.trees, 3);
    assert_int_equal(done.pairs, 5004);
    assert_int_equal(done.bytes, m->size);
}

/* A second database beside the rig's. */
static luge_db *other(struct rig *r, const char *name)
{
    char path[700];
    luge_db *db;
    snprintf(path, sizeof path, "%s/%s", r->base, name);
    fine(luge_open(path, &(struct luge_options){.page_bytes = 16384}, &db));
    return db;
}

static uint64_t sum_of(luge_db *db)
{
    luge_txn *txn;
    uint64_t sum;
    fine(luge_begin(db, LUGE_READ, &txn));
    fine(luge_checksum(txn, &sum));
    luge_abort(txn);
    return sum;
}

static void round_trip(void **state)
{
    struct rig *r = *state;
    struct memory m = {.most = 777};
    struct luge_dump_progress done;
    fill(r);
    dump(r, &m);
    assert_true(m.calls > 10);
    luge_db *db = other(r, "copy");
    struct luge_dump_stream stream = stream_of(&m);
    fine(luge_load(db, &stream, &done));
    assert_int_equal(done.pairs, 5004);
    assert_int_equal(done.bytes, m.size);
    assert_int_equal(sum_of(db), checksum(r));
    m.at = 0;
    fine(luge_load(db, &stream, NULL));         /* once more does no harm */
    assert_int_equal(sum_of(db), checksum(r));
    fine(luge_check(db, NULL, NULL));
    fine(luge_close(db));
    free(m.data);
}

/* What was given out where it was dumped is not given again where it is
 * loaded. */
static void numbers_go_on(void **state)
{
    struct rig *r = *state;
    struct memory m = {0};
    struct luge_dump_stream stream = stream_of(&m);
    uint64_t last = 0, id, first;
    for (int i = 0; i < 3; i++) {               /* each skips to the limit */
        fine(luge_next_id(r->db, &last));
        rig_reopen(r);
    }
    fill(r);
    fine(luge_next_id(r->db, &last));
    dump(r, &m);
    luge_db *db = other(r, "numbers");
    fine(luge_next_id(db, &first));
    assert_true(first < last);
    fine(luge_load(db, &stream, NULL));
    fine(luge_next_id(db, &id));
    assert_true(id > last);
    fine(luge_close(db));
    db = other(r, "numbers");
    fine(luge_next_id(db, &first));
    assert_true(first > id);
    fine(luge_close(db));
    free(m.data);
}

static void one_snapshot(void **state)
{
    struct rig *r = *state;
    struct memory m = {0}, again = {0};
    struct luge_dump_stream stream = stream_of(&m);
    fill(r);
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_dump(txn, &stream, NULL));
    commit_put(r, "1", "other");
    commit_put(r, "new", "key");
    stream = stream_of(&again);
    fine(luge_dump(txn, &stream, NULL));
    luge_abort(txn);
    assert_int_equal(m.size, again.size);
    assert_memory_equal(m.data, again.data, m.size);
    free(m.data);
    free(again.data);
}

static int load_damaged(luge_db *db, struct memory *m,
                        struct luge_dump_progress *done)
{
    struct luge_dump_stream stream = stream_of(m);
    m->at = 0;
    stream.progress = NULL;
    return luge_load(db, &stream, done);
}

static void damage(void **state)
{
    struct rig *r = *state;
    struct memory m = {0};
    struct luge_dump_progress done;
    struct dice d = dice_of(7, 7);
    fill(r);
    dump(r, &m);
    luge_db *db = other(r, "damaged");
    for (int i = 0; i < 60; i++) {
        size_t at = i < 40 ? (size_t)i : dice_below(&d, (uint32_t)m.size);
        char was = m.data[at];
        m.data[at] = (char)(was ^ (1 << dice_below(&d, 8)));
        int rc = load_damaged(db, &m, &done);
        /* bytes 12 to 15 of the start say nothing yet */
        if (at >= 12 && at < 16) fine(rc);
        else if (at >= 8 && at < 12) answers(LUGE_VERSION, rc);
        else answers(LUGE_CORRUPT, rc);
        m.data[at] = was;
    }
    size_t whole = m.size;
    for (int i = 0; i < 40; i++) {
        m.size = i < 20 ? whole - 1 - (size_t)i
                        : dice_below(&d, (uint32_t)whole);
        answers(LUGE_CORRUPT, load_damaged(db, &m, &done));
        assert_true(done.pairs <= 5004);
    }
    m.size = whole;
    fine(load_damaged(db, &m, &done));
    assert_int_equal(sum_of(db), checksum(r));
    fine(luge_check(db, NULL, NULL));
    fine(luge_close(db));
    free(m.data);
}

static void stopped(void **state)
{
    struct rig *r = *state;
    struct memory m = {.progress_code = LUGE_TIMEOUT}, whole = {0};
    struct luge_dump_stream stream = stream_of(&m);
    fill(r);
    luge_txn *txn = begin(r, LUGE_READ);
    answers(LUGE_TIMEOUT, luge_dump(txn, &stream, NULL));
    assert_int_equal(m.calls, 1);
    luge_abort(txn);
    dump(r, &whole);
    whole.progress_code = LUGE_TIMEOUT;
    luge_db *db = other(r, "half");
    stream = stream_of(&whole);
    answers(LUGE_TIMEOUT, luge_load(db, &stream, NULL));
    fine(luge_close(db));
    free(m.data);
    free(whole.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
        T(round_trip), T(numbers_go_on), T(one_snapshot), T(damage), T(stopped),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
