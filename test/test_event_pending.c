/* test/test_event_pending.c -- events that are in no index yet are found like
 * all others (V2, V3 of model/event.h).
 *
 * Holds: a list of all events that were appended is the judge of every query,
 * after each append, within its transaction and after it.
 * Not here: what queries can ask (test_event.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include "event.h"

enum { MOST = 1500, STREAMS = 3, TYPES = 3, BATCH = 40 };

struct twin {
    struct luge_events s;
    size_t count;
    struct { unsigned stream, type; uint64_t time_ns; } all[MOST];
};

static const char *const names[] = {"ada", "bob", "cyd"};

static void make(struct rig *r, struct twin *t)
{
    t->count = 0;
    fine(luge_events_open_now(r->db, luge_str("events"), LUGE_TREE_CREATE,
                              &t->s));
}

/* COUNT events of one stream; one of them may be large. */
static void append(luge_txn *txn, struct twin *t, struct dice *d, size_t count,
                   bool large)
{
    static char payload[EVENT_PENDING_PAYLOAD_MAX + 1];
    struct luge_event list[BATCH];
    unsigned stream = dice_below(d, STREAMS);
    for (size_t i = 0; i < count; i++) {
        unsigned type = dice_below(d, TYPES);
        uint64_t time_ns = 1 + dice_below(d, 9);
        list[i] = (struct luge_event){.type = luge_str(names[type]),
                                      .time_ns = time_ns};
        t->all[t->count + i].stream = stream;
        t->all[t->count + i].type = type;
        t->all[t->count + i].time_ns = time_ns;
    }
    if (large) list[0].payload = luge_bytes_of(payload, sizeof payload);
    fine(luge_event_append(txn, &t->s, luge_str(names[stream]), LUGE_EVENT_ANY,
                           list, count, NULL));
    t->count += count;
}

static uint32_t pending(luge_txn *txn, const struct twin *t)
{
    struct event_record fixed;
    luge_bytes key, raw;
    fine(luge_near(txn, t->s.all, LUGE_LAST, luge_str(""), &key, &raw));
    fine(record_read(&event_default.head, raw, &fixed));
    return fixed.pending;
}

/* ------------------------------------------------------------ the judge -- */

struct asked {
    struct luge_event_query q;
    int stream, type;               /* -1: any */
};

static bool wants(const struct twin *t, const struct asked *a, size_t position)
{
    if (a->stream >= 0 && t->all[position - 1].stream != (unsigned)a->stream)
        return false;
    return a->type < 0 || t->all[position - 1].type == (unsigned)a->type;
}

/* Does the query give each that it should, in order? */
static void judge(luge_txn *txn, const struct twin *t, const struct asked *a)
{
    bool back = a->q.flags & LUGE_EVENT_BACKWARD;
    bool by_time = a->q.flags & LUGE_EVENT_BY_TIME;
    struct luge_event e, last = {0};
    luge_event_reader *reader;
    size_t wanted = 0, given = 0;
    int rc;
    for (size_t p = 1; p <= t->count; p++) wanted += wants(t, a, p);
    fine(luge_event_open(txn, &t->s, &a->q, &reader));
    for (; !(rc = luge_event_next(reader, &e)); last = e, given++) {
        assert_true(e.position && e.position <= t->count);
        assert_true(wants(t, a, e.position));
        assert_int_equal(e.time_ns, t->all[e.position - 1].time_ns);
        bool rises = by_time && e.time_ns != last.time_ns
                         ? e.time_ns > last.time_ns
                         : e.position > last.position;
        if (given) assert_true(rises != back);
    }
    assert_int_equal(rc, LUGE_NOTFOUND);
    assert_int_equal(given, wanted);
    luge_event_close(reader);
}

static void judge_names(luge_txn *txn, const struct twin *t, bool types)
{
    char space[LUGE_EVENT_NAME_SIZE_MAX];
    luge_bytes name = {NULL, 0};
    for (unsigned n = 0; n < STREAMS; n++) {
        bool there = false;
        for (size_t i = 0; i < t->count; i++)
            there |= (types ? t->all[i].type : t->all[i].stream) == n;
        if (!there) continue;
        fine(types ? luge_event_type_after(txn, &t->s, name, space, &name)
                   : luge_event_stream_after(txn, &t->s, name, space, &name));
        assert_true(is(name, names[n]));
    }
    answers(LUGE_NOTFOUND,
            types ? luge_event_type_after(txn, &t->s, name, space, &name)
                  : luge_event_stream_after(txn, &t->s, name, space, &name));
}

static void judge_last(luge_txn *txn, const struct twin *t, unsigned stream)
{
    struct luge_event_place last, wanted = {0, 0};
    for (size_t i = 0; i < t->count; i++)
        if (t->all[i].stream == stream)
            wanted = (struct luge_event_place){wanted.version + 1, i + 1};
    fine(luge_event_last(txn, &t->s, luge_str(names[stream]), &last));
    assert_int_equal(last.version, wanted.version);
    assert_int_equal(last.position, wanted.position);
    if (!wanted.version) return;
    struct asked one = {.stream = (int)stream, .type = -1};
    struct luge_event e;
    luge_event_reader *reader;
    one.q.stream = luge_str(names[stream]);
    one.q.version_from = wanted.version;
    fine(luge_event_open(txn, &t->s, &one.q, &reader));
    fine(luge_event_next(reader, &e));
    assert_int_equal(e.position, wanted.position);
    answers(LUGE_NOTFOUND, luge_event_next(reader, &e));
    luge_event_close(reader);
}

static void judge_all(luge_txn *txn, const struct twin *t)
{
    for (unsigned back = 0; back < 2; back++) {
        struct asked a = {.stream = -1, .type = -1};
        a.q.flags = back ? LUGE_EVENT_BACKWARD : 0u;
        judge(txn, t, &a);
        a.q.flags |= LUGE_EVENT_BY_TIME;
        judge(txn, t, &a);
        for (int n = 0; n < STREAMS; n++) {
            struct asked s = {.stream = n, .type = -1};
            s.q.flags = back ? LUGE_EVENT_BACKWARD : 0u;
            s.q.stream = luge_str(names[n]);
            judge(txn, t, &s);
            s = (struct asked){.q.flags = s.q.flags, .stream = -1, .type = n};
            s.q.type = luge_str(names[n]);
            judge(txn, t, &s);
        }
    }
    judge_names(txn, t, false);
    judge_names(txn, t, true);
    for (unsigned n = 0; n < STREAMS; n++) judge_last(txn, t, n);
}

/* ------------------------------------------------------------ the tests -- */

static void an_event_is_found_at_once(void **state)
{
    struct rig *r = *state;
    static struct twin t;
    uint64_t seed = now_ns();
    struct dice d = dice_of(seed, 0);
    uint32_t most = 0, none = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    make(r, &t);
    for (int round = 0; round < 150; round++) {
        luge_txn *txn = begin(r, LUGE_WRITE);
        size_t count = dice_chance(&d, 4) ? 1 + dice_below(&d, BATCH) : 1;
        append(txn, &t, &d, count, dice_chance(&d, 2));
        if (dice_chance(&d, 30)) append(txn, &t, &d, 1, false);
        if (dice_chance(&d, 50)) judge_all(txn, &t);
        fine(luge_commit(txn));
        if (round == 75) rig_reopen(r);
        txn = begin(r, LUGE_READ);
        judge_all(txn, &t);
        uint32_t n = pending(txn, &t);
        if (n > most) most = n;
        none += !n;
        luge_abort(txn);
    }
    assert_true(most > 8 && most < EVENT_PENDING_MAX && none > 1);
    fine(luge_check(r->db, NULL, NULL));
}

/* Large payloads would be read again by each who looks at the end. */
static void a_large_event_does_not_wait(void **state)
{
    struct rig *r = *state;
    static struct twin t;
    struct dice d = dice_of(1, 0);
    make(r, &t);
    luge_txn *txn = begin(r, LUGE_WRITE);
    append(txn, &t, &d, 1, false);
    append(txn, &t, &d, 1, false);
    assert_int_equal(pending(txn, &t), 2);
    append(txn, &t, &d, 1, true);
    assert_int_equal(pending(txn, &t), 0);
    append(txn, &t, &d, 1, false);
    assert_int_equal(pending(txn, &t), 1);
    judge_all(txn, &t);
    luge_abort(txn);
}

/* What is put into the indices under a reader is not given twice, and what was
 * there when it was opened is given. */
static void appends_do_not_disturb_a_reader(void **state)
{
    struct rig *r = *state;
    static const unsigned flags[] = {0, LUGE_EVENT_BACKWARD};
    for (unsigned how = 0; how < 6; how++) {
        static struct twin t;
        struct dice d = dice_of(how, 0);
        struct luge_event_query q = {.flags = flags[how % 2]};
        luge_event_reader *reader;
        struct luge_event e;
        uint8_t seen[MOST] = {0};
        make(r, &t);
        luge_txn *txn = begin(r, LUGE_WRITE);
        for (int i = 0; i < 50; i++) append(txn, &t, &d, 1, false);
        assert_true(pending(txn, &t) > 4);
        size_t there = t.count;
        if (how / 2 == 0) q.stream = luge_str("ada");
        if (how / 2 == 1) q.type = luge_str("ada");
        if (how / 2 == 2) q.flags |= LUGE_EVENT_BY_TIME;
        fine(luge_event_open(txn, &t.s, &q, &reader));
        for (int i = 0; i < 3; i++) {
            fine(luge_event_next(reader, &e));
            seen[e.position]++;
        }
        for (int i = 0; i < 50; i++) append(txn, &t, &d, 1, false);
        while (!luge_event_next(reader, &e)) seen[e.position]++;
        luge_event_close(reader);
        for (size_t p = 1; p <= there; p++) {
            bool wanted = how / 2 == 0   ? t.all[p - 1].stream == 0
                          : how / 2 == 1 ? t.all[p - 1].type == 0
                                         : true;
            assert_int_equal(seen[p], wanted);
        }
        for (size_t p = there + 1; p <= t.count; p++) assert_true(seen[p] < 2);
        luge_abort(txn);
    }
}

/* A state of a version that the index has not yet. */
static void a_pending_version_may_have_a_state(void **state)
{
    struct rig *r = *state;
    static struct twin t;
    struct dice d = dice_of(1, 0);
    make(r, &t);
    luge_txn *txn = begin(r, LUGE_WRITE);
    append(txn, &t, &d, 2, false);
    luge_bytes stream = luge_str(names[t.all[0].stream]);
    assert_int_equal(pending(txn, &t), 2);
    answers(LUGE_MISMATCH, luge_event_state_put(txn, &t.s, stream, 3,
                                                luge_str("")));
    fine(luge_event_state_put(txn, &t.s, stream, 2, luge_str("two")));
    luge_abort(txn);
}

static void a_wrong_count_is_corrupt(void **state)
{
    struct rig *r = *state;
    static const struct { uint64_t position; uint32_t pending; } bad[] = {
        {1, 2}, {100, EVENT_PENDING_MAX + 1}, {1000, 3}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        static struct twin t;
        struct event_record fixed = event_default;
        struct luge_event_place last;
        struct luge_event e = {.type = luge_str("t")};
        struct tuple key;
        make(r, &t);
        luge_txn *txn = begin(r, LUGE_WRITE);
        fixed.pending = bad[i].pending;
        fixed.version = 1;
        tuple_begin(&key);
        tuple_put_u64(&key, bad[i].position);
        fine(luge_put(txn, t.s.all, tuple_key(&key),
                      luge_bytes_of(&fixed, sizeof fixed)));
        answers(LUGE_CORRUPT, luge_event_last(txn, &t.s, luge_str("s"), &last));
        answers(LUGE_CORRUPT, luge_event_append(txn, &t.s, luge_str("s"), 0, &e,
                                                1, NULL));
        luge_abort(txn);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_event_is_found_at_once), T(a_large_event_does_not_wait),
        T(appends_do_not_disturb_a_reader),
        T(a_pending_version_may_have_a_state), T(a_wrong_count_is_corrupt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
