/* test/test_monitor.c -- what luge_monitor.h promises, and the counters that
 * luge_stats has for monitors.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "luge_feed.h"
#include "luge_monitor.h"

struct found {
    struct luge_pin readers[8], watch;
    int reader_count, checkpoints, watches;
};

static int find(void *context, const struct luge_pin *pin)
{
    struct found *f = context;
    if (pin->kind == LUGE_PIN_READER) f->readers[f->reader_count++] = *pin;
    if (pin->kind == LUGE_PIN_CHECKPOINT) f->checkpoints++;
    if (pin->kind == LUGE_PIN_WATCH) f->watch = *pin, f->watches++;
    return 0;
}

static struct found pins(struct rig *r)
{
    struct found f = {0};
    fine(luge_pins(r->db, find, &f));
    return f;
}

static void overwrite(struct rig *r, char letter)
{
    char key[16], value[1000];
    luge_txn *txn = begin(r, LUGE_WRITE);
    memset(value, letter, sizeof value);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%05d", i);
        fine(luge_put(txn, LUGE_MAIN, luge_str(key),
                      luge_bytes_of(value, sizeof value)));
    }
    fine(luge_commit(txn));
    fine(luge_checkpoint(r->db));
}

static void what_readers_hold(void **state)
{
    struct rig *r = *state;
    overwrite(r, 'a');
    luge_txn *old = begin(r, LUGE_READ);
    overwrite(r, 'b');
    luge_txn *newer = begin(r, LUGE_READ);
    overwrite(r, 'c');
    overwrite(r, 'd');
    struct found f = pins(r);
    assert_int_equal(f.reader_count, 2);
    assert_int_equal(f.checkpoints, 1);
    for (int i = 0; i < 2; i++) {
        bool first = f.readers[i].seq == luge_txn_seq(old);
        assert_int_equal(f.readers[i].seq,
                         luge_txn_seq(first ? old : newer));
        assert_int_equal(f.readers[i].process, getpid());
        /* each holds one copy of all, 1 MB, and not that of the other */
        assert_in_range(f.readers[i].bytes, 1000000, 2000000);
    }
    luge_abort(old);
    luge_abort(newer);
    overwrite(r, 'e');
    assert_int_equal(pins(r).reader_count, 0);
}

static void how_long_they_stand(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_READ);
    uint64_t end = now_ns() + 20000000000u;
    struct found f = pins(r);
    assert_in_range(f.readers[0].age_ms, 0, 1500);
    while (pins(r).readers[0].age_ms < 700 && now_ns() < end) nap_us(50000);
    assert_in_range(pins(r).readers[0].age_ms, 700, 20000);
    luge_abort(txn);
}

static int stop(void *context, const struct luge_pin *pin)
{
    (void)pin;
    ++*(int *)context;
    return 17;
}

static void watches_are_pins(void **state)
{
    struct rig *r = *state;
    struct luge_stats s;
    luge_watch *w;
    int calls = 0;
    fine(luge_watch_open(r->db, NULL, &w));
    uint64_t seq = luge_watch_seq(w);
    for (int i = 0; i < 3; i++) overwrite(r, 'a');
    struct found f = pins(r);
    assert_int_equal(f.watches, 1);
    assert_int_equal(f.watch.seq, seq);
    assert_int_equal(f.watch.process, getpid());
    assert_true(f.watch.bytes > 1000000);
    fine(luge_stat(r->db, &s));
    assert_int_equal(s.watches, 1);
    luge_watch_close(w);
    assert_int_equal(pins(r).watches, 0);
    answers(17, luge_pins(r->db, stop, &calls));
    assert_int_equal(calls, 1);
}

static void histograms(void **state)
{
    struct rig *r = *state;
    struct luge_stats s;
    uint64_t syncs = 0, groups = 0;
    for (int i = 0; i < 20; i++) commit_put(r, "k", "v");
    fine(luge_stat(r->db, &s));
    for (int i = 0; i < LUGE_HISTOGRAM; i++) {
        syncs += s.sync_us[i];
        groups += s.group_commits[i];
    }
    assert_int_equal(syncs, s.syncs);
    assert_int_equal(groups, s.syncs);
    assert_true(s.group_commits[1] >= 20);      /* one commit each */
}

static void commits_per_second(void **state)
{
    struct rig *r = *state;
    struct luge_stats s = {0};
    uint64_t end = now_ns() + 20000000000u;
    while (!s.commits_per_second && now_ns() < end) {
        commit_put(r, "k", "v");
        nap_us(2000);
        fine(luge_stat(r->db, &s));
    }
    assert_in_range(s.commits_per_second, 1, 600);
}

/* ------------------------------------------------------ slow operations -- */

struct slow_seen {
    int commits, syncs, checkpoints, begins, other;
    uint64_t seq, took_us;
    int code;
};

static void note(void *context, const struct luge_slow *slow)
{
    struct slow_seen *seen = context;
    if (!strcmp(slow->what, "commit")) seen->commits++, seen->seq = slow->seq;
    else if (!strcmp(slow->what, "sync")) seen->syncs++;
    else if (!strcmp(slow->what, "checkpoint")) seen->checkpoints++;
    else if (!strcmp(slow->what, "begin")) seen->begins++;
    else seen->other++;
    seen->took_us = slow->took_us;
    seen->code = slow->code;
}

struct holder {
    struct rig *r;
    _Atomic int held, awaited;
};

/* For 60 ms after another has said that he wants it. */
static void *hold_the_turn(void *holder)
{
    struct holder *h = holder;
    luge_txn *txn;
    if (luge_begin(h->r->db, LUGE_TURN, &txn)) return h;
    atomic_store(&h->held, 1);
    while (!atomic_load(&h->awaited)) nap_us(100);
    nap_us(60000);
    luge_abort(txn);
    return NULL;
}

/* On a busy machine who wants the turn may come late and not wait at all: then
 * nothing is reported. */
static void begin_slowly(struct rig *r, struct slow_seen *seen)
{
    struct holder h = {.r = r};
    pthread_t thread;
    void *failed;
    luge_txn *txn;
    assert_int_equal(pthread_create(&thread, NULL, hold_the_turn, &h), 0);
    while (!atomic_load(&h.held)) nap_us(100);
    *seen = (struct slow_seen){0};          /* it may have been slow, too */
    atomic_store(&h.awaited, 1);
    uint64_t from = now_ns();
    fine(luge_begin(r->db, LUGE_TURN, &txn));
    uint64_t took_us = (now_ns() - from) / 1000;
    luge_abort(txn);
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_in_range(seen->begins, 0, 1);
    if (seen->begins) assert_in_range(seen->took_us, 30000, took_us);
}

static void slow_operations(void **state)
{
    struct rig *r = *state;
    struct slow_seen seen = {0};
    luge_slow_log(r->db, 3600000000u, note, &seen);
    commit_put(r, "k", "v");
    fine(luge_sync(r->db));
    assert_int_equal(seen.commits + seen.syncs + seen.begins, 0);
    luge_slow_log(r->db, 30000, note, &seen);
    for (int i = 0; i < 20 && !seen.begins; i++) begin_slowly(r, &seen);
    assert_int_equal(seen.begins, 1);
    luge_slow_log(r->db, 0, note, &seen);
    commit_put(r, "k", "v");
    assert_int_equal(seen.commits, 0);
}

/* Every operation takes a microsecond. */
static void all_operations(void **state)
{
    struct rig *r = *state;
    struct slow_seen seen = {0};
    luge_slow_log(r->db, 1, note, &seen);
    commit_put(r, "k", "v");
    assert_int_equal(seen.commits, 1);
    assert_int_equal(seen.seq, luge_committed_seq(r->db));
    assert_int_equal(seen.code, 0);
    fine(luge_checkpoint(r->db));
    assert_int_equal(seen.checkpoints, 1);
    luge_slow_log(r->db, 1, NULL, NULL);
    fine(luge_checkpoint(r->db));
    assert_int_equal(seen.checkpoints, 1);
    assert_int_equal(seen.other, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
        T(what_readers_hold), T(how_long_they_stand), T(watches_are_pins),
        T(histograms), T(commits_per_second), T(slow_operations),
        T(all_operations),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
