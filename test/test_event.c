/* test/test_event.c -- what luge_event.h promises (E1..E5), its limits, and
 * what it answers to bad input.
 *
 * Holds: a list of all events that were appended is the judge of every query.
 * Not here: crowds of processes beyond four (crash_task.c has the kills).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_event.h"

#pragma push_macro("fail")      /* both it and cmocka have one */
#undef fail
#include "os/os.h"
#undef fail
#pragma pop_macro("fail")

static struct luge_events store(struct rig *r)
{
    struct luge_events events;
    fine(luge_events_open_now(r->db, luge_str("events"), LUGE_TREE_CREATE,
                              &events));
    return events;
}

static struct luge_event event(const char *type, const char *payload)
{
    return (struct luge_event){.type = luge_str(type),
                               .payload = luge_str(payload)};
}

static struct luge_event_place append(struct rig *r,
                                      const struct luge_events *s,
                                      const char *stream, const char *type,
                                      const char *payload)
{
    struct luge_event e = event(type, payload);
    struct luge_event_place last = {0, 0};
    fine(luge_event_append_now(r->db, 0, s, luge_str(stream), LUGE_EVENT_ANY,
                               &e, 1, &last));
    return last;
}

/* ----------------------------------------------------------- appending -- */

static void an_event_comes_back_whole(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    struct luge_event in = event("opened", "{\"by\": \"ada\"}"), out;
    in.time_ns = 123456789;
    in.flags = LUGE_EVENT_JSON;
    in.correlation = luge_str("c-1");
    in.causation = luge_bytes_of("\0\xff", 2);
    struct luge_event_place last;
    fine(luge_event_append_now(r->db, 0, &s, luge_str("song/1"),
                               LUGE_EVENT_NO_STREAM, &in, 1, &last));
    assert_int_equal(last.version, 1);
    assert_int_equal(last.position, 1);
    rig_reopen(r);
    struct luge_events again;
    fine(luge_events_open_now(r->db, luge_str("events"), 0, &again));
    assert_memory_equal(&again, &s, sizeof(s));
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_event_get(txn, &s, 1, &out));
    assert_int_equal(out.position, 1);
    assert_int_equal(out.version, 1);
    assert_int_equal(out.time_ns, 123456789);
    assert_int_equal(out.flags, LUGE_EVENT_JSON);
    assert_true(is(out.stream, "song/1"));
    assert_true(is(out.type, "opened"));
    assert_true(is(out.payload, "{\"by\": \"ada\"}"));
    assert_true(is(out.correlation, "c-1"));
    assert_int_equal(out.causation.size, 2);
    assert_memory_equal(out.causation.data, "\0\xff", 2);
    answers(LUGE_NOTFOUND, luge_event_get(txn, &s, 2, &out));
    answers(LUGE_NOTFOUND, luge_event_get(txn, &s, 0, &out));
    luge_abort(txn);
}

static void the_expected_version_is_checked(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    struct luge_event e = event("t", "");
    struct luge_event_place last = {9, 9};
    luge_bytes a = luge_str("a"), b = luge_str("b");
    answers(LUGE_MISMATCH, luge_event_append_now(r->db, 0, &s, a, 1, &e, 1,
                                                 &last));
    assert_int_equal(last.version, 0);
    assert_int_equal(last.position, 0);
    fine(luge_event_append_now(r->db, 0, &s, b, LUGE_EVENT_ANY, &e, 1, NULL));
    fine(luge_event_append_now(r->db, 0, &s, a, LUGE_EVENT_NO_STREAM, &e, 1,
                               &last));
    assert_int_equal(last.position, 2);
    answers(LUGE_MISMATCH, luge_event_append_now(r->db, 0, &s, a,
                                                 LUGE_EVENT_NO_STREAM, &e, 1,
                                                 &last));
    assert_int_equal(last.version, 1);
    assert_int_equal(last.position, 2);
    assert_non_null(strstr(luge_last_error()->text, "version 1, not 0"));
    fine(luge_event_append_now(r->db, 0, &s, a, 1, &e, 1, &last));
    assert_int_equal(last.version, 2);
    fine(luge_event_append_now(r->db, 0, &s, a, 2, NULL, 0, &last));
    assert_int_equal(last.version, 2);      /* of nothing: only the check */
    luge_txn *txn = begin(r, LUGE_READ);
    uint64_t position;
    fine(luge_event_position(txn, &s, &position));
    assert_int_equal(position, 3);
    fine(luge_event_last(txn, &s, luge_str("nobody"), &last));
    assert_int_equal(last.version, 0);
    luge_abort(txn);
}

/* A stream whose name begins another's, and names with every kind of byte. */
static void names_are_kept_apart(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    struct luge_event e = event("t", "");
    char longest[LUGE_EVENT_NAME_SIZE_MAX];
    memset(longest, 0, sizeof(longest));
    const luge_bytes names[] = {
        luge_bytes_of("\0", 1), luge_bytes_of("\0\0", 2),
        luge_bytes_of(longest, sizeof(longest)),
        luge_bytes_of("\0\1", 2), luge_bytes_of("\0\xff", 2), luge_str("a"),
        luge_bytes_of("a\0", 2), luge_bytes_of("a\0\xff", 3), luge_str("a/b"),
        luge_str("aa"), luge_str("\xff"), luge_str("\xff\xff")};
    for (unsigned round = 1; round <= 3; round++)
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            struct luge_event_place last;
            fine(luge_event_append_now(r->db, LUGE_TXN_ASYNC, &s, names[i],
                                       round - 1, &e, 1, &last));
            assert_int_equal(last.version, round);
        }
    luge_txn *txn = begin(r, LUGE_READ);
    luge_bytes name = {NULL, 0};
    char space[LUGE_EVENT_NAME_SIZE_MAX];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        fine(luge_event_stream_after(txn, &s, name, space, &name));
        assert_int_equal(name.size, names[i].size);
        assert_memory_equal(name.data, names[i].data, name.size);
    }
    answers(LUGE_NOTFOUND, luge_event_stream_after(txn, &s, name, space,
                                                   &name));
    name.size = 0;
    fine(luge_event_type_after(txn, &s, name, space, &name));
    assert_true(is(name, "t"));
    answers(LUGE_NOTFOUND, luge_event_type_after(txn, &s, name, space, &name));
    luge_abort(txn);
}

static void refused(struct rig *r, const struct luge_events *s, int code,
                    luge_bytes stream, struct luge_event e)
{
    struct luge_event list[2] = {event("good", ""), e};
    answers(code, luge_event_append_now(r->db, 0, s, stream, LUGE_EVENT_ANY,
                                        list, 2, NULL));
    luge_txn *txn = begin(r, LUGE_READ);
    uint64_t position;
    fine(luge_event_position(txn, s, &position));
    assert_int_equal(position, 0);
    luge_abort(txn);
}

static void bad_events_are_refused(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    static char large[256];
    luge_bytes a = luge_str("a"), none = luge_str("");
    luge_bytes too_long = luge_bytes_of(large, sizeof(large));
    struct luge_event e = event("t", "");
    refused(r, &s, LUGE_INVALID, none, e);
    refused(r, &s, LUGE_TOOBIG, too_long, e);
    refused(r, &s, LUGE_INVALID, a, event("", ""));
    e.type = too_long;
    refused(r, &s, LUGE_TOOBIG, a, e);
    e = event("t", "");
    e.correlation = too_long;
    refused(r, &s, LUGE_TOOBIG, a, e);
    e = event("t", "");
    e.causation = too_long;
    refused(r, &s, LUGE_TOOBIG, a, e);
    e = event("t", "");
    e.flags = 1u << 7;
    refused(r, &s, LUGE_INVALID, a, e);
    e = event("t", "");
    e.payload = luge_bytes_of(large, (size_t)LUGE_EVENT_PAYLOAD_SIZE_MAX + 1);
    refused(r, &s, LUGE_TOOBIG, a, e);
    answers(LUGE_LIMIT,
            luge_event_append_now(r->db, 0, &s, a, LUGE_EVENT_ANY, &e,
                                  LUGE_EVENT_BATCH_MAX + 1, NULL));
    struct luge_events other;
    answers(LUGE_INVALID, luge_events_open_now(r->db, none, LUGE_TREE_CREATE,
                                               &other));
    answers(LUGE_NOTFOUND, luge_events_open_now(r->db, luge_str("nowhere"), 0,
                                                &other));
    char path[LUGE_NAME_SIZE_MAX];
    memset(path, 'p', sizeof(path));
    answers(LUGE_TOOBIG,
            luge_events_open_now(r->db, luge_bytes_of(path, sizeof(path)),
                                 LUGE_TREE_CREATE, &other));
    luge_txn *txn = begin(r, LUGE_READ);
    e = event("t", "");
    answers(LUGE_READONLY, luge_event_append(txn, &s, a, 0, &e, 1, NULL));
    luge_abort(txn);
}

static void json_is_checked(void **state)
{
    static const char *const good[] = {
        "{}", "[]", " null ", "true", "-0.5e+7", "\"\\u00e9\xc3\xa9\\n\"",
        "{\"a\": [1, {\"b\": []}, \"c\"], \"d\": {}}", "[[[[]]], 0]", "1e9"};
    static const struct { const char *text; int at; } bad[] = {
        {"", 0}, {"{", 1}, {"[1,]", 3}, {"{\"a\"}", 4}, {"{\"a\":1,}", 7},
        {"01", 1}, {"1.", 2}, {"+1", 0}, {"nul", 3}, {"'a'", 0}, {"[1 2]", 3},
        {"\"a", 2}, {"\"\x01\"", 1}, {"\"\xff\"", 1}, {"\"\\x\"", 2},
        {"\"\\u12g4\"", 5}, {"{} {}", 3}, {"[}", 1}, {"{1: 2}", 1},
        {"\"\xed\xa0\x80\"", 1}, {"1e", 2}, {"-", 1}, {"]", 0}};
    struct rig *r = *state;
    struct luge_events s = store(r);
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct luge_event e = event("t", good[i]);
        e.flags = LUGE_EVENT_JSON;
        fine(luge_event_append_now(r->db, LUGE_TXN_ASYNC, &s, luge_str("a"),
                                   LUGE_EVENT_ANY, &e, 1, NULL));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct luge_event e = event("t", bad[i].text);
        char where[40];
        e.flags = LUGE_EVENT_JSON;
        answers(LUGE_INVALID,
                luge_event_append_now(r->db, 0, &s, luge_str("a"),
                                      LUGE_EVENT_ANY, &e, 1, NULL));
        snprintf(where, sizeof(where), "from byte %d on", bad[i].at);
        if (!strstr(luge_last_error()->text, where))
            fail_msg("%s: %s, not %s", bad[i].text, luge_last_error()->text,
                     where);
    }
    char deep[200];
    memset(deep, '[', 129);
    struct luge_event e = {.type = luge_str("t"), .flags = LUGE_EVENT_JSON};
    e.payload = luge_bytes_of(deep, 129);
    answers(LUGE_INVALID,
            luge_event_append_now(r->db, 0, &s, luge_str("a"), LUGE_EVENT_ANY,
                                  &e, 1, NULL));
}

/* One transaction over two streams and an ordinary tree: all or none. */
static void a_transaction_spans_streams_and_trees(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    struct luge_event e[2] = {event("t", "1"), event("t", "2")};
    struct luge_event_place last;
    for (int commits = 0; commits < 2; commits++) {
        luge_txn *txn = begin(r, LUGE_WRITE);
        fine(luge_event_append(txn, &s, luge_str("a"), 0, e, 2, &last));
        assert_int_equal(last.position, 2);
        fine(luge_event_append(txn, &s, luge_str("b"), 0, e, 2, &last));
        assert_int_equal(last.position, 4);
        fine(luge_event_append(txn, &s, luge_str("a"), 2, e, 1, &last));
        assert_int_equal(last.version, 3);
        put(txn, LUGE_MAIN, "k", "v");
        if (commits) {
            fine(luge_commit(txn));
            continue;
        }
        luge_abort(txn);
        now_holds(r, LUGE_MAIN, "k", NULL);
    }
    now_holds(r, LUGE_MAIN, "k", "v");
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_event_last(txn, &s, luge_str("a"), &last));
    assert_int_equal(last.position, 5);
    luge_abort(txn);
    fine(luge_check(r->db, NULL, NULL));
}

/* ------------------------------------------------- queries and a judge -- */

enum { JUDGED = 600, STREAMS = 5, TYPES = 4 };

struct judged { unsigned stream, type; uint64_t version, time_ns; };

static void name_of(char *to, char letter, unsigned n)
{
    snprintf(to, 16, "%c%u", letter, n);
}

static void fill(struct rig *r, const struct luge_events *s, struct dice *d,
                 struct judged *all)
{
    uint64_t versions[STREAMS] = {0};
    for (size_t n = 0; n < JUDGED;) {
        size_t count = 1 + dice_below(d, 6);
        unsigned stream = dice_below(d, STREAMS);
        struct luge_event list[6];
        char types[6][16], name[16];
        struct luge_event_place last;
        if (count > JUDGED - n) count = JUDGED - n;
        for (size_t i = 0; i < count; i++) {
            struct judged *j = &all[n + i];
            j->stream = stream;
            j->type = dice_below(d, TYPES);
            j->time_ns = 1 + dice_below(d, 50);
            j->version = ++versions[stream];
            name_of(types[i], 't', j->type);
            list[i] = event(types[i], "");
            list[i].time_ns = j->time_ns;
        }
        name_of(name, 's', stream);
        fine(luge_event_append_now(r->db, LUGE_TXN_ASYNC, s, luge_str(name),
                                   versions[stream] - count, list, count,
                                   &last));
        n += count;
        assert_int_equal(last.position, n);
    }
}

static bool in_span(uint64_t n, uint64_t from, uint64_t to)
{
    return n >= from && (!to || n < to);
}

/* The next position after AT that the query wants, by looking at them all. */
static size_t judge_next(const struct judged *all, size_t at,
                         const struct luge_event_query *q, unsigned stream,
                         unsigned type)
{
    bool back = q->flags & LUGE_EVENT_BACKWARD;
    for (;;) {
        at = back ? at - 1 : at + 1;
        if (at == 0 || at > JUDGED) return 0;
        const struct judged *j = &all[at - 1];
        if (q->stream.size && j->stream != stream) continue;
        if (q->type.size && j->type != type) continue;
        if (in_span(at, q->position_from, q->position_to) &&
            in_span(j->version, q->version_from, q->version_to) &&
            in_span(j->time_ns, q->time_from_ns, q->time_to_ns))
            return at;
    }
}

static void span(struct dice *d, uint32_t bound, uint64_t *from, uint64_t *to)
{
    if (dice_chance(d, 50)) *from = dice_below(d, bound);
    if (dice_chance(d, 50)) *to = dice_below(d, bound);
}

static void every_query_gives_what_it_should(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    static struct judged all[JUDGED];
    uint64_t seed = now_ns(), given = 0;
    struct dice d = dice_of(seed, 0);
    printf("seed %llu\n", (unsigned long long)seed);
    fill(r, &s, &d, all);
    luge_txn *txn = begin(r, LUGE_READ);
    for (int round = 0; round < 2000; round++) {
        struct luge_event_query q = {{NULL, 0}, {NULL, 0}, 0, 0, 0, 0, 0, 0, 0};
        unsigned stream = dice_below(&d, STREAMS), type = dice_below(&d, TYPES);
        char stream_name[16], type_name[16];
        luge_event_reader *reader;
        struct luge_event e;
        int rc;
        name_of(stream_name, 's', stream);
        name_of(type_name, 't', type);
        if (dice_chance(&d, 50)) q.stream = luge_str(stream_name);
        if (dice_chance(&d, 50)) q.type = luge_str(type_name);
        if (dice_chance(&d, 50)) q.flags = LUGE_EVENT_BACKWARD;
        if (dice_chance(&d, 50)) span(&d, JUDGED + 5, &q.position_from,
                                      &q.position_to);
        if (dice_chance(&d, 50)) span(&d, 55, &q.time_from_ns, &q.time_to_ns);
        if (q.stream.size && dice_chance(&d, 50))
            span(&d, 200, &q.version_from, &q.version_to);
        fine(luge_event_open(txn, &s, &q, &reader));
        size_t at = q.flags ? JUDGED + 1 : 0;
        while ((rc = luge_event_next(reader, &e)) == 0) {
            at = judge_next(all, at, &q, stream, type);
            assert_int_equal(e.position, at);
            assert_int_equal(e.version, all[at - 1].version);
            assert_int_equal(e.time_ns, all[at - 1].time_ns);
            given++;
        }
        assert_int_equal(rc, LUGE_NOTFOUND);
        assert_int_equal(judge_next(all, at, &q, stream, type), 0);
        luge_event_close(reader);
    }
    assert_true(given > 10000);
    luge_abort(txn);
}

static void times_have_an_order_of_their_own(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    static struct judged all[JUDGED];
    struct dice d = dice_of(7, 0);
    fill(r, &s, &d, all);
    luge_txn *txn = begin(r, LUGE_READ);
    for (int back = 0; back < 2; back++) {
        struct luge_event_query q = {
            .time_from_ns = 10, .time_to_ns = 20,
            .flags = LUGE_EVENT_BY_TIME | (back ? LUGE_EVENT_BACKWARD : 0u)};
        luge_event_reader *reader;
        struct luge_event e, last = {0};
        size_t count = 0, wanted = 0;
        for (size_t i = 0; i < JUDGED; i++)
            wanted += all[i].time_ns >= 10 && all[i].time_ns < 20;
        fine(luge_event_open(txn, &s, &q, &reader));
        for (; !luge_event_next(reader, &e); last = e, count++) {
            assert_true(e.time_ns >= 10 && e.time_ns < 20);
            if (!count) continue;
            bool rises = e.time_ns > last.time_ns ||
                         (e.time_ns == last.time_ns &&
                          e.position > last.position);
            assert_true(rises != (bool)back);
        }
        assert_int_equal(count, wanted);
        luge_event_close(reader);
    }
    luge_event_reader *reader;
    struct luge_event_query q = {.version_from = 1};
    answers(LUGE_INVALID, luge_event_open(txn, &s, &q, &reader));
    q = (struct luge_event_query){.stream = luge_str("s1"),
                                  .flags = LUGE_EVENT_BY_TIME};
    answers(LUGE_INVALID, luge_event_open(txn, &s, &q, &reader));
    q = (struct luge_event_query){.flags = 1 << 2};
    answers(LUGE_INVALID, luge_event_open(txn, &s, &q, &reader));
    static char large[256];
    q = (struct luge_event_query){.type = {large, sizeof(large)}};
    answers(LUGE_TOOBIG, luge_event_open(txn, &s, &q, &reader));
    luge_abort(txn);
    luge_event_close(NULL);
}

/* --------------------------------------------------------------- states -- */

static void states_are_the_newest_not_newer(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    luge_bytes a = luge_str("a"), found;
    uint64_t at;
    for (int i = 0; i < 5; i++) append(r, &s, "a", "t", "");
    append(r, &s, "b", "t", "");
    luge_txn *txn = begin(r, LUGE_WRITE);
    answers(LUGE_NOTFOUND, luge_event_state_get(txn, &s, a, LUGE_EVENT_ANY, &at,
                                                &found));
    fine(luge_event_state_put(txn, &s, a, 2, luge_str("two")));
    fine(luge_event_state_put(txn, &s, a, 4, luge_str("")));
    fine(luge_event_state_put(txn, &s, a, 4, luge_str("four")));
    answers(LUGE_MISMATCH, luge_event_state_put(txn, &s, a, 6, found));
    answers(LUGE_MISMATCH, luge_event_state_put(txn, &s, a, 0, found));
    fine(luge_event_state_get(txn, &s, a, LUGE_EVENT_ANY, &at, &found));
    assert_int_equal(at, 4);
    assert_true(is(found, "four"));
    fine(luge_event_state_get(txn, &s, a, 3, &at, &found));
    assert_int_equal(at, 2);
    assert_true(is(found, "two"));
    answers(LUGE_NOTFOUND, luge_event_state_get(txn, &s, a, 1, &at, &found));
    answers(LUGE_NOTFOUND, luge_event_state_get(txn, &s, luge_str("b"), 9, &at,
                                                &found));
    fine(luge_event_state_forget(txn, &s, a, 4));
    answers(LUGE_NOTFOUND, luge_event_state_get(txn, &s, a, 3, &at, &found));
    fine(luge_event_state_get(txn, &s, a, 4, &at, &found));
    fine(luge_commit(txn));
}

/* ------------------------------------------------------------ followers -- */

static luge_event_follower *follow(struct rig *r, const struct luge_events *s,
                                   const struct luge_event_query *q)
{
    luge_event_follower *f = NULL;
    fine(luge_event_follow(r->db, s, q, &f));
    return f;
}

static void is_next(luge_event_follower *f, uint64_t position)
{
    struct luge_event e = {0};
    fine(luge_event_follow_next(f, 5000, &e));
    assert_int_equal(e.position, position);
}

static void is_quiet(luge_event_follower *f)
{
    struct luge_event e;
    answers(LUGE_TIMEOUT, luge_event_follow_next(f, 0, &e));
}

static struct {
    int (*honest)(struct os_file *file);
    struct rig *rig;
    const struct luge_events *events;
    pthread_t thread;
    _Atomic int armed, begun;
} slow;

static int sync_slowly(struct os_file *file)
{
    if (slow.armed && pthread_equal(slow.thread, pthread_self())) {
        slow.begun = 1;
        nap_us(300000);
    }
    return slow.honest(file);
}

static void *append_slowly(void *context)
{
    (void)context;
    slow.thread = pthread_self();
    slow.armed = 1;
    append(slow.rig, slow.events, "a", "t", "");
    return NULL;
}

/* An event is committed, and the device is waited for: no snapshot shows it.
 * Who begins to follow now, and waits, gets it when it is shown. */
static void followers_that_came_during_a_sync(void **state)
{
    struct rig *r = *state;
    pthread_t thread;
    rig_close(r);
    slow.honest = os_native()->sync;    /* before there is a caretaker */
    slow.armed = slow.begun = 0;
    os_native()->sync = sync_slowly;
    rig_open(r, NULL);
    struct luge_events s = store(r);
    slow.rig = r;
    slow.events = &s;
    assert_int_equal(pthread_create(&thread, NULL, append_slowly, NULL), 0);
    while (!slow.begun) nap_us(1000);
    luge_event_follower *f = follow(r, &s, NULL);
    is_next(f, 1);
    pthread_join(thread, NULL);
    luge_event_unfollow(f);
    rig_close(r);
    os_native()->sync = slow.honest;
}

static void followers_see_what_is_and_what_comes(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    luge_event_follower *all = follow(r, &s, NULL);
    is_quiet(all);
    append(r, &s, "a", "t", "");
    append(r, &s, "b", "u", "");
    append(r, &s, "a", "u", "");
    struct luge_event_query a = {.stream = luge_str("a")};
    struct luge_event_query u = {.type = luge_str("u"), .position_from = 3};
    luge_event_follower *of_a = follow(r, &s, &a), *of_u = follow(r, &s, &u);
    for (uint64_t n = 1; n <= 3; n++) is_next(all, n);
    is_quiet(all);
    is_quiet(all);
    is_next(of_a, 1);
    is_next(of_a, 3);
    is_quiet(of_a);
    is_next(of_u, 3);
    is_quiet(of_u);
    commit_put(r, "something", "else");
    is_quiet(all);
    append(r, &s, "b", "t", "");
    append(r, &s, "a", "u", "");
    is_next(all, 4);
    is_next(all, 5);
    is_next(of_a, 5);
    is_next(of_u, 5);
    is_quiet(of_u);
    luge_event_follow_wake(all);
    struct luge_event e;
    uint64_t before = now_ns();
    answers(LUGE_TIMEOUT, luge_event_follow_next(all, 20000, &e));
    assert_true(now_ns() - before < 10000000000u);
    answers(LUGE_TIMEOUT, luge_event_follow_next(all, 30, &e));
    luge_event_unfollow(all);
    luge_event_unfollow(of_a);
    luge_event_unfollow(of_u);
    luge_event_unfollow(NULL);
    luge_event_follower *none;
    a.flags = LUGE_EVENT_BACKWARD;
    answers(LUGE_INVALID, luge_event_follow(r->db, &s, &a, &none));
}

/* 100 at most. */
static void append_common(struct rig *r, const struct luge_events *s,
                          size_t count)
{
    struct luge_event list[100];
    for (size_t i = 0; i < count; i++)
        list[i] = (struct luge_event){.type = luge_str("common")};
    fine(luge_event_append_now(r->db, LUGE_TXN_ASYNC, s, luge_str("a"),
                               LUGE_EVENT_ANY, list, count, NULL));
}

/* What a follower does not want it looks at once: after each of 200 more events
 * it looks at that one, and not at the 20 000 before. */
static void a_follower_passes_over_once(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    struct luge_event_query rare = {.stream = luge_str("a"),
                                    .type = luge_str("rare")};
    struct luge_event_query late = {.time_from_ns = UINT64_C(1) << 62};
    for (int i = 0; i < 200; i++) append_common(r, &s, 100);
    for (int which = 0; which < 2; which++) {
        luge_event_follower *f = follow(r, &s, which ? &late : &rare);
        uint64_t begun = now_ns();
        is_quiet(f);
        uint64_t first = now_ns() - begun, others = 0;
        for (int i = 0; i < 200; i++) {
            append_common(r, &s, 1);
            begun = now_ns();
            is_quiet(f);
            others += now_ns() - begun;
        }
        assert_true(others < 60 * first);
        luge_event_unfollow(f);
    }
}

/* Hundreds of events while nobody looks, more than the watch may go stale. */
static void a_slow_follower_misses_nothing(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    luge_event_follower *f = follow(r, &s, NULL);
    is_quiet(f);
    uint64_t at = 0, appended = 0;
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 150 * round; i++) {
            struct luge_event e = event("t", "payload");
            fine(luge_event_append_now(r->db, LUGE_TXN_ASYNC, &s, luge_str("a"),
                                       LUGE_EVENT_ANY, &e, 1, NULL));
            appended++;
        }
        while (at < appended) is_next(f, ++at);
        is_quiet(f);
    }
    luge_event_unfollow(f);
}

enum { CROWD = 4, CROWD_EVENTS = 250 };

static int crowd_append(struct rig *r)
{
    struct luge_events s;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &r->db));
    CHILD_ANSWERS(0, luge_events_open_now(r->db, luge_str("events"), 0, &s));
    char stream[16];
    name_of(stream, 's', (unsigned)getpid());
    for (uint64_t i = 0; i < CROWD_EVENTS; i++) {
        struct luge_event e = event("t", stream);
        CHILD_ANSWERS(0, luge_event_append_now(r->db, LUGE_TXN_ASYNC, &s,
                                               luge_str(stream), i, &e, 1,
                                               NULL));
    }
    CHILD_ANSWERS(0, luge_close(r->db));
    return 0;
}

/* E1, E2: dense positions from four processes, seen live by a fifth. */
static void many_processes_make_one_order(void **state)
{
    struct rig *r = *state;
    store(r);
    rig_close(r);
    pid_t pids[CROWD];
    for (int i = 0; i < CROWD; i++) {
        pids[i] = fork();
        if (!pids[i]) _exit(crowd_append(r));
    }
    rig_open(r, NULL);
    struct luge_events s = store(r);
    luge_event_follower *f = follow(r, &s, NULL);
    for (uint64_t at = 1; at <= CROWD * CROWD_EVENTS; at++) {
        struct luge_event e = {0};
        fine(luge_event_follow_next(f, 30000, &e));
        assert_int_equal(e.position, at);
    }
    is_quiet(f);
    luge_event_unfollow(f);
    for (int i = 0; i < CROWD; i++) {
        int status = 1;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    fine(luge_check(r->db, NULL, NULL));
}

/* ---------------------------------------------------------- projections -- */

struct counting { luge_tree tree; int calls, fails_at; };

/* Counts in the transaction, so what it counts twice would show. */
static int count_event(luge_txn *txn, const struct luge_event *event,
                       void *context)
{
    struct counting *c = context;
    uint64_t one = 1;
    if (++c->calls == c->fails_at) return LUGE_TIMEOUT;
    char payload[64];
    snprintf(payload, sizeof(payload), "%.*s", (int)event->payload.size,
             (const char *)event->payload.data);
    int rc = luge_combine(txn, LUGE_MAIN, luge_str("sum"), "add",
                        luge_bytes_of(&one, 8), NULL);
    /* The event outlives our writes. */
    if (!rc && (event->payload.size != strlen(payload) ||
                memcmp(event->payload.data, payload, event->payload.size)))
        return LUGE_CORRUPT;
    return rc;
}

static uint64_t sum(struct rig *r)
{
    luge_txn *txn = begin(r, LUGE_READ);
    luge_bytes value;
    uint64_t n = 0;
    int rc = luge_get(txn, LUGE_MAIN, luge_str("sum"), &value);
    if (!rc) memcpy(&n, value.data, 8);
    luge_abort(txn);
    return n;
}

static int run(luge_projection *p, size_t limit, struct counting *c,
               size_t *count)
{
    return luge_projection_run(p, 0, 0, limit, count_event, c, count);
}

static void a_projection_sees_each_event_once(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    struct counting c = {0};
    luge_projection *p, *q;
    luge_bytes name = luge_str("sums");
    uint64_t position;
    size_t count;
    for (int i = 0; i < 25; i++) append(r, &s, "a", "t", "payload");
    fine(luge_projection_open(r->db, &s, name, NULL, &p));
    fine(luge_projection_open(r->db, &s, name, NULL, &q));
    answers(LUGE_LIMIT, run(p, 0, &c, &count));
    fine(run(p, 10, &c, &count));
    assert_int_equal(count, 10);
    c.fails_at = c.calls + 5;           /* nothing of this run may stay */
    answers(LUGE_TIMEOUT, run(p, 10, &c, &count));
    assert_int_equal(count, 0);
    assert_int_equal(sum(r), 10);
    fine(run(q, 10, &c, &count));       /* it finds that p was here */
    assert_int_equal(sum(r), 20);
    fine(run(p, 10, &c, &count));
    assert_int_equal(count, 5);
    assert_int_equal(sum(r), 25);
    answers(LUGE_TIMEOUT, run(p, 10, &c, &count));
    answers(LUGE_TIMEOUT, run(q, 10, &c, &count));
    append(r, &s, "a", "t", "payload");
    fine(run(q, 10, &c, &count));
    answers(LUGE_TIMEOUT, run(p, 10, &c, &count));
    luge_projection_close(q);
    luge_projection_wake(p);
    answers(LUGE_TIMEOUT, luge_projection_run(p, 0, -1, 1, count_event, &c,
                                              &count));
    luge_txn *txn = begin(r, LUGE_WRITE);
    char space[LUGE_EVENT_NAME_SIZE_MAX];
    luge_bytes found = {NULL, 0};
    fine(luge_projection_after(txn, &s, found, space, &found));
    assert_true(is(found, "sums"));
    fine(luge_projection_position(txn, &s, name, &position));
    assert_int_equal(position, 26);
    answers(LUGE_NOTFOUND, luge_projection_position(txn, &s, luge_str("other"),
                                                    &position));
    answers(LUGE_MISMATCH, luge_projection_reset(txn, &s, name, 27));
    assert_string_equal(luge_last_error()->text,
                        "there is no event 27; the last is 26");
    fine(luge_projection_position(txn, &s, name, &position));
    assert_int_equal(position, 26);
    fine(luge_projection_reset(txn, &s, name, 20));
    fine(luge_commit(txn));
    append(r, &s, "a", "t", "payload");
    fine(run(p, 100, &c, &count));      /* one that it thought was next */
    assert_int_equal(count, 7);
    assert_int_equal(sum(r), 33);
    luge_projection_close(p);
    luge_projection_close(NULL);
}

/* A query that begins behind what the record says. */
static void a_projection_may_begin_late(void **state)
{
    struct rig *r = *state;
    struct luge_events s = store(r);
    struct counting c = {0};
    size_t count;
    for (int i = 0; i < 10; i++) append(r, &s, i & 1 ? "a" : "b", "t", "");
    for (uint64_t from = 6; from <= 9; from += 3) {
        struct luge_event_query q = {.stream = luge_str("a"),
                                     .position_from = from};
        luge_projection *p;
        fine(luge_projection_open(r->db, &s, luge_str("late"), &q, &p));
        if (from == 6) {
            fine(run(p, 1, &c, &count));
            assert_int_equal(count, 1);
        } else {
            fine(run(p, 9, &c, &count));
            assert_int_equal(count, 1);
        }
        luge_projection_close(p);
    }
    assert_int_equal(sum(r), 2);
}

static int crowd_project(struct rig *r)
{
    struct luge_events s;
    luge_projection *p;
    struct counting c = {0};
    size_t count;
    int rc;
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &r->db));
    CHILD_ANSWERS(0, luge_events_open_now(r->db, luge_str("events"), 0, &s));
    CHILD_ANSWERS(0, luge_projection_open(r->db, &s, luge_str("p"), NULL, &p));
    do {
        rc = luge_projection_run(p, LUGE_TXN_ASYNC, 300, 7, count_event, &c,
                                 &count);
    } while (!rc);
    CHILD_MUST(rc == LUGE_TIMEOUT);
    luge_projection_close(p);
    CHILD_ANSWERS(0, luge_close(r->db));
    return 0;
}

/* Three processes run one projection while another appends. */
static void a_projection_is_shared(void **state)
{
    struct rig *r = *state;
    store(r);
    rig_close(r);
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (!pids[i]) _exit(i ? crowd_project(r) : crowd_append(r));
    }
    for (int i = 0; i < 4; i++) {
        int status = 1;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    rig_open(r, NULL);
    assert_int_equal(sum(r), CROWD_EVENTS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(an_event_comes_back_whole), T(the_expected_version_is_checked),
        T(names_are_kept_apart), T(bad_events_are_refused), T(json_is_checked),
        T(a_transaction_spans_streams_and_trees),
        T(every_query_gives_what_it_should),
        T(times_have_an_order_of_their_own), T(states_are_the_newest_not_newer),
        T(followers_see_what_is_and_what_comes),
        T(followers_that_came_during_a_sync),
        T(a_follower_passes_over_once),
        T(a_slow_follower_misses_nothing), T(many_processes_make_one_order),
        T(a_projection_sees_each_event_once), T(a_projection_may_begin_late),
        T(a_projection_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
