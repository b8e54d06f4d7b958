/* test/test_task.c -- what luge_task.h promises (T1..T4), its limits, and what
 * it answers to bad input.
 *
 * Holds: after each test the trees of all tasks agree with their records (K1,
 * K2 of model/task.h), which settle() counts from scratch.
 * Not here: crowds that are killed (crash_task.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_task.h"

static const luge_bytes Q = {"q", 1}, NONE = {"", 0};

static struct luge_tasks store(struct rig *r)
{
    struct luge_tasks tasks;
    fine(luge_tasks_open_now(r->db, luge_str("tasks"), LUGE_TREE_CREATE,
                             &tasks));
    return tasks;
}

static uint64_t publish(struct rig *r, const struct luge_tasks *s,
                        struct luge_task_new n)
{
    uint64_t id = 0;
    if (!n.queue.size) n.queue = Q;
    fine(luge_task_publish_now(r->db, 0, s, &n, &id));
    assert_true(id > 0);
    return id;
}

static struct luge_task claim(struct rig *r, const struct luge_tasks *s,
                              uint64_t agent, uint64_t lease_ms)
{
    struct luge_task t = {0};
    fine(luge_task_claim_now(r->db, 0, s, Q, agent, lease_ms, &t));
    assert_int_equal(t.state, LUGE_TASK_LEASED);
    assert_int_equal(t.agent, agent);
    return t;
}

static uint64_t claim_id(struct rig *r, const struct luge_tasks *s,
                         uint64_t *lease)
{
    struct luge_task t = claim(r, s, 7, 60000);
    uint64_t id = t.id;
    *lease = t.lease;
    luge_task_free(&t);
    assert_null(t.memory);
    luge_task_free(&t);
    return id;
}

static void nothing_ready(struct rig *r, const struct luge_tasks *s)
{
    struct luge_task t;
    answers(LUGE_NOTFOUND, luge_task_claim_now(r->db, 0, s, Q, 1, 1000, &t));
}

static void is_state(struct rig *r, const struct luge_tasks *s, uint64_t id,
                     int state)
{
    struct luge_task t;
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_task_get(txn, s, id, &t));
    if (t.state != state)
        fail_msg("task is %s, not %s", luge_task_state_text(t.state),
                 luge_task_state_text(state));
    luge_abort(txn);
}

/* K1, K2: count what the records ask for, and compare with the trees. */
static void settle(struct rig *r, const struct luge_tasks *s)
{
    uint64_t states[8] = {0}, counts[8], waiting = 0, depends, ended, after = 0;
    luge_txn *txn = begin(r, LUGE_READ);
    struct luge_task t;
    while (!luge_task_after(txn, s, LUGE_TASK_ANY, after, &t)) {
        after = t.id;
        states[t.state]++;
        states[0]++;
        waiting += t.waiting_for;
        assert_int_equal(t.ended_ns != 0, t.state >= LUGE_TASK_COMPLETED);
    }
    fine(luge_task_counts(txn, s, counts));
    states[LUGE_TASK_DEAD] += states[LUGE_TASK_CANCELLED];
    for (int i = 0; i < LUGE_TASK_CANCELLED; i++)
        assert_int_equal(counts[i], states[i]);
    fine(luge_tree_count(txn, s->depend, &depends));
    assert_int_equal(depends, waiting);
    fine(luge_tree_count(txn, s->ended, &ended));
    assert_int_equal(ended, states[LUGE_TASK_COMPLETED] +
                                states[LUGE_TASK_DEAD]);
    luge_abort(txn);
    fine(luge_check(r->db, NULL, NULL));
}

/* ---------------------------------------------------------- one task's life */

static void a_task_is_done(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t id = publish(r, &s, (struct luge_task_new){
                                     .payload = luge_str("work"),
                                     .priority = -3, .session = 9});
    is_state(r, &s, id, LUGE_TASK_READY);
    rig_reopen(r);
    s = store(r);
    struct luge_task t = claim(r, &s, 5, 60000);
    assert_int_equal(t.id, id);
    assert_true(is(t.payload, "work"));
    assert_true(is(t.queue, "q"));
    assert_int_equal(t.priority, -3);
    assert_int_equal(t.session, 9);
    assert_int_equal(t.attempt, 1);
    assert_int_equal(t.attempts_max, 5);
    assert_true(t.until_ns > t.claimed_ns && t.claimed_ns >= t.published_ns);
    nothing_ready(r, &s);
    settle(r, &s);
    luge_bytes half = luge_str("half");
    fine(luge_task_heartbeat_now(r->db, 0, &s, id, t.lease, 90000, &half));
    fine(luge_task_heartbeat_now(r->db, 0, &s, id, t.lease, 90000, NULL));
    luge_txn *txn = begin(r, LUGE_READ);
    struct luge_task now;
    fine(luge_task_get(txn, &s, id, &now));
    assert_true(is(now.status, "half"));
    assert_true(now.until_ns > t.until_ns);
    luge_abort(txn);
    fine(luge_task_complete_now(r->db, 0, &s, id, t.lease, luge_str("done")));
    txn = begin(r, LUGE_READ);
    fine(luge_task_get(txn, &s, id, &now));
    assert_int_equal(now.state, LUGE_TASK_COMPLETED);
    assert_true(is(now.result, "done"));
    assert_true(is(now.payload, "work"));
    luge_abort(txn);
    answers(LUGE_MISMATCH,
            luge_task_complete_now(r->db, 0, &s, id, t.lease, NONE));
    answers(LUGE_MISMATCH, luge_task_cancel_now(r->db, 0, &s, id));
    answers(LUGE_MISMATCH, luge_task_revive_now(r->db, 0, &s, id));
    settle(r, &s);
    luge_task_free(&t);
}

/* T3 */
static void priority_then_age(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    static const int32_t priorities[] = {0, 5, INT32_MIN, 5, INT32_MAX, 0};
    static const size_t order[] = {4, 1, 3, 0, 5, 2};
    uint64_t ids[6], lease;
    for (size_t i = 0; i < 6; i++)
        ids[i] = publish(r, &s, (struct luge_task_new){
                                    .priority = priorities[i]});
    publish(r, &s, (struct luge_task_new){.queue = luge_str("qq")});
    publish(r, &s, (struct luge_task_new){.queue = luge_str("p")});
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(claim_id(r, &s, &lease), ids[order[i]]);
    nothing_ready(r, &s);
    settle(r, &s);
}

/* T1: whoever lost a task changes nothing. */
static void a_lost_lease_is_refused(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t id = publish(r, &s, (struct luge_task_new){.attempts_max = 2});
    struct luge_task a = claim(r, &s, 1, 1), b;
    nap_us(3000);
    b = claim(r, &s, 2, 60000);
    assert_int_equal(b.id, id);
    assert_int_equal(b.attempt, 2);
    assert_true(b.lease > a.lease);
    assert_true(is(b.error, "the lease ran out"));
    answers(LUGE_MISMATCH, luge_task_complete_now(r->db, 0, &s, id, a.lease,
                                                  NONE));
    answers(LUGE_MISMATCH, luge_task_heartbeat_now(r->db, 0, &s, id, a.lease,
                                                   1000, NULL));
    answers(LUGE_MISMATCH, luge_task_fail_now(r->db, 0, &s, id, a.lease, NONE,
                                              0));
    answers(LUGE_MISMATCH, luge_task_release_now(r->db, 0, &s, id, a.lease));
    fine(luge_task_release_now(r->db, 0, &s, id, b.lease));
    is_state(r, &s, id, LUGE_TASK_READY);
    answers(LUGE_MISMATCH, luge_task_complete_now(r->db, 0, &s, id, b.lease,
                                                  NONE));
    luge_task_free(&a);
    luge_task_free(&b);
    a = claim(r, &s, 1, 1);                 /* the release was no attempt */
    assert_int_equal(a.attempt, 2);
    nap_us(3000);
    size_t count;
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_task_tick(txn, &s, 10, &count));
    assert_int_equal(count, 1);
    fine(luge_commit(txn));
    is_state(r, &s, id, LUGE_TASK_DEAD);    /* the second was the last */
    settle(r, &s);
    luge_task_free(&a);
}

static void failures_are_tried_again_later(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t lease, pauses[3];
    uint64_t id = publish(r, &s, (struct luge_task_new){.attempts_max = 4,
                                                        .backoff_ms = 20});
    for (int i = 0; i < 3; i++) {
        uint64_t end = now_ns() + 20000000000u;
        struct luge_task t = {0};
        while (luge_task_claim_now(r->db, 0, &s, Q, 1, 60000, &t)) {
            assert_true(now_ns() < end);
            nap_us(1000);
        }
        assert_int_equal(t.attempt, i + 1);
        fine(luge_task_fail_now(r->db, 0, &s, id, t.lease, luge_str("no"), 0));
        luge_task_free(&t);
        luge_txn *txn = begin(r, LUGE_READ);
        fine(luge_task_get(txn, &s, id, &t));
        assert_int_equal(t.state, LUGE_TASK_DELAYED);
        assert_true(is(t.error, "no"));
        pauses[i] = t.until_ns - t.claimed_ns;
        luge_abort(txn);
        nothing_ready(r, &s);
        settle(r, &s);
    }
    assert_true(pauses[0] >= 20000000 && pauses[1] >= 40000000 &&
                pauses[2] >= 80000000);
    nap_us(90000);
    assert_int_equal(claim_id(r, &s, &lease), id);
    fine(luge_task_fail_now(r->db, 0, &s, id, lease, luge_str("never"), 0));
    is_state(r, &s, id, LUGE_TASK_DEAD);
    luge_txn *txn = begin(r, LUGE_READ);
    struct luge_task t;
    fine(luge_task_after(txn, &s, LUGE_TASK_DEAD, 0, &t));
    assert_int_equal(t.id, id);
    answers(LUGE_NOTFOUND, luge_task_after(txn, &s, LUGE_TASK_DEAD, id, &t));
    luge_abort(txn);
    fine(luge_task_revive_now(r->db, 0, &s, id));
    settle(r, &s);
    assert_int_equal(claim_id(r, &s, &lease), id);
    fine(luge_task_fail_now(r->db, 0, &s, id, lease, luge_str("fatal"), 1));
    is_state(r, &s, id, LUGE_TASK_DEAD);
    settle(r, &s);
}

static void delays_hold(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t lease, id = publish(r, &s, (struct luge_task_new){.delay_ms = 40});
    is_state(r, &s, id, LUGE_TASK_DELAYED);
    nothing_ready(r, &s);
    nap_us(50000);
    assert_int_equal(claim_id(r, &s, &lease), id);
    settle(r, &s);
}

/* ---------------------------------------------------------- dependencies -- */

/* T4 */
static void dependencies_come_first(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t lease, a = publish(r, &s, (struct luge_task_new){0});
    uint64_t b = publish(r, &s, (struct luge_task_new){0});
    uint64_t on[] = {a, b, a};
    uint64_t c = publish(r, &s, (struct luge_task_new){
                                    .depends = on, .depends_count = 3});
    uint64_t d = publish(r, &s, (struct luge_task_new){
                                    .depends = &c, .depends_count = 1,
                                    .delay_ms = 30});
    is_state(r, &s, c, LUGE_TASK_WAITING);
    settle(r, &s);
    for (int i = 0; i < 2; i++) {
        uint64_t id = claim_id(r, &s, &lease);
        is_state(r, &s, c, LUGE_TASK_WAITING);
        fine(luge_task_complete_now(r->db, 0, &s, id, lease, NONE));
        settle(r, &s);
    }
    assert_int_equal(claim_id(r, &s, &lease), c);
    fine(luge_task_fail_now(r->db, 0, &s, c, lease, NONE, 1));
    is_state(r, &s, d, LUGE_TASK_WAITING);      /* of a dead one */
    luge_txn *txn = begin(r, LUGE_WRITE);
    size_t count;                               /* nor is that forgotten */
    fine(luge_task_forget(txn, &s, UINT64_MAX, 10, &count));
    assert_int_equal(count, 2);
    fine(luge_commit(txn));
    settle(r, &s);
    fine(luge_task_revive_now(r->db, 0, &s, c));
    assert_int_equal(claim_id(r, &s, &lease), c);
    fine(luge_task_complete_now(r->db, 0, &s, c, lease, NONE));
    nap_us(40000);
    assert_int_equal(claim_id(r, &s, &lease), d);
    struct luge_task_new e = {.queue = Q, .depends = &a, .depends_count = 1};
    answers(LUGE_NOTFOUND, luge_task_publish_now(r->db, 0, &s, &e, NULL));
    e.depends = &c;                             /* COMPLETED already */
    fine(luge_task_publish_now(r->db, 0, &s, &e, &e.id));
    is_state(r, &s, e.id, LUGE_TASK_READY);
    settle(r, &s);
}

/* Refused for one of those it depends on, it leaves nothing behind for the same
 * id in the same transaction. */
static void what_is_refused_waits_for_nobody(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t lease, id = 777, a = publish(r, &s, (struct luge_task_new){0});
    uint64_t on[] = {a, 999999};
    struct luge_task_new n = {.id = id, .queue = Q, .depends = on,
                              .depends_count = 2};
    luge_txn *txn = begin(r, LUGE_WRITE);
    answers(LUGE_NOTFOUND, luge_task_publish(txn, &s, &n, NULL));
    n.depends_count = 1;
    fine(luge_task_publish(txn, &s, &n, NULL));
    fine(luge_commit(txn));
    is_state(r, &s, id, LUGE_TASK_WAITING);
    settle(r, &s);
    assert_int_equal(claim_id(r, &s, &lease), a);
    fine(luge_task_complete_now(r->db, 0, &s, a, lease, NONE));
    is_state(r, &s, id, LUGE_TASK_READY);
    settle(r, &s);
}

/* Cancelled while it waits, forgotten; then what it waited for completes. */
static void the_forgotten_are_not_missed(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t lease, a = publish(r, &s, (struct luge_task_new){0});
    uint64_t ids[2];
    for (int i = 0; i < 2; i++) {
        ids[i] = publish(r, &s, (struct luge_task_new){.depends = &a,
                                                       .depends_count = 1});
        fine(luge_task_cancel_now(r->db, 0, &s, ids[i]));
        settle(r, &s);
    }
    luge_txn *txn = begin(r, LUGE_WRITE);
    size_t count;
    fine(luge_task_forget(txn, &s, UINT64_MAX, 1, &count));
    assert_int_equal(count, 1);
    fine(luge_task_forget(txn, &s, 1, 1, &count));
    assert_int_equal(count, 0);
    fine(luge_commit(txn));
    settle(r, &s);
    assert_int_equal(claim_id(r, &s, &lease), a);
    fine(luge_task_complete_now(r->db, 0, &s, a, lease, NONE));
    is_state(r, &s, ids[1], LUGE_TASK_CANCELLED);
    settle(r, &s);
    fine(luge_task_revive_now(r->db, 0, &s, ids[1]));
    is_state(r, &s, ids[1], LUGE_TASK_READY);
    settle(r, &s);
}

/* ------------------------------------------------------------- bad input -- */

static void bad_tasks_are_refused(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r), none;
    static char large[LUGE_TASK_PAYLOAD_SIZE_MAX + 1];
    static uint64_t many[LUGE_TASK_DEPENDS_MAX + 1];
    luge_bytes too_long = luge_bytes_of(large, 256);
    luge_bytes too_much = luge_bytes_of(large, sizeof(large));
    const struct { int code; struct luge_task_new task; } bad[] = {
        {LUGE_INVALID, {.queue = NONE}},
        {LUGE_TOOBIG, {.queue = too_long}},
        {LUGE_TOOBIG, {.queue = Q, .payload = too_much}},
        {LUGE_LIMIT, {.queue = Q, .depends = many,
                      .depends_count = LUGE_TASK_DEPENDS_MAX + 1}},
        {LUGE_INVALID, {.queue = Q, .backoff_ms = UINT32_MAX}},
        {LUGE_INVALID, {.queue = Q, .delay_ms = UINT64_MAX}},
        {LUGE_NOTFOUND, {.queue = Q, .depends = many, .depends_count = 1}}};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        answers(bad[i].code,
                luge_task_publish_now(r->db, 0, &s, &bad[i].task, NULL));
    struct luge_task t;
    uint64_t id = publish(r, &s, (struct luge_task_new){0}), lease;
    struct luge_task_new same = {.queue = Q, .id = id};
    answers(LUGE_EXISTS, luge_task_publish_now(r->db, 0, &s, &same, NULL));
    luge_txn *txn = begin(r, LUGE_WRITE);
    same.id = 0;
    answers(LUGE_INVALID, luge_task_publish(txn, &s, &same, NULL));
    luge_abort(txn);
    answers(LUGE_INVALID, luge_task_claim_now(r->db, 0, &s, NONE, 1, 1, &t));
    answers(LUGE_INVALID, luge_task_claim_now(r->db, 0, &s, Q, 1, 0, &t));
    answers(LUGE_INVALID,
            luge_task_claim_now(r->db, 0, &s, Q, 1,
                                LUGE_TASK_LEASE_MS_MAX + 1ull, &t));
    assert_int_equal(claim_id(r, &s, &lease), id);
    answers(LUGE_TOOBIG, luge_task_complete_now(r->db, 0, &s, id, lease,
                                                too_much));
    answers(LUGE_TOOBIG, luge_task_fail_now(r->db, 0, &s, id, lease, too_much,
                                            0));
    answers(LUGE_TOOBIG, luge_task_heartbeat_now(r->db, 0, &s, id, lease, 1,
                                                 &too_much));
    answers(LUGE_INVALID, luge_task_heartbeat_now(r->db, 0, &s, id, lease, 0,
                                                  NULL));
    answers(LUGE_NOTFOUND, luge_task_complete_now(r->db, 0, &s, id + 1, 1,
                                                  NONE));
    answers(LUGE_NOTFOUND, luge_task_cancel_now(r->db, 0, &s, id + 1));
    answers(LUGE_INVALID, luge_tasks_open_now(r->db, NONE, 0, &none));
    answers(LUGE_NOTFOUND, luge_tasks_open_now(r->db, Q, 0, &none));
    is_state(r, &s, id, LUGE_TASK_LEASED);
    settle(r, &s);
}

/* One transaction over a claim, its work and its completion: all or none. */
static void work_lands_with_its_completion(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t id = publish(r, &s, (struct luge_task_new){0});
    for (int commits = 0; commits < 2; commits++) {
        luge_txn *txn = begin(r, LUGE_WRITE);
        struct luge_task t;
        fine(luge_task_claim(txn, &s, Q, 1, 1000, &t));
        assert_int_equal(t.id, id);
        put(txn, LUGE_MAIN, "made", "this");
        fine(luge_task_complete(txn, &s, id, t.lease, NONE));
        if (commits) fine(luge_commit(txn));
        else luge_abort(txn);
        now_holds(r, LUGE_MAIN, "made", commits ? "this" : NULL);
        settle(r, &s);
    }
    is_state(r, &s, id, LUGE_TASK_COMPLETED);
}

/* --------------------------------------------------------------- workers -- */

struct publisher {
    struct rig *r;
    struct luge_tasks *s;
    luge_worker *w;
    uint64_t delay_ms;
};

static void *publish_soon(void *context)
{
    struct publisher *p = context;
    struct luge_task_new n = {.queue = Q, .payload = luge_str("late"),
                              .delay_ms = p->delay_ms};
    nap_us(30000);
    int rc = luge_task_publish_now(p->r->db, 0, p->s, &n, NULL);
    if (rc) die("publish gave %d", rc);
    return NULL;
}

static void *wake_soon(void *context)
{
    struct publisher *p = context;
    nap_us(30000);
    luge_worker_wake(p->w);
    return NULL;
}

static void a_worker_sleeps_until_there_is_work(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    struct luge_task t;
    luge_worker *w;
    pthread_t thread;
    answers(LUGE_INVALID, luge_worker_open(r->db, &s, NONE, 1, 1000, &w));
    answers(LUGE_INVALID, luge_worker_open(r->db, &s, Q, 1, 0, &w));
    fine(luge_worker_open(r->db, &s, Q, 1, 60000, &w));
    answers(LUGE_TIMEOUT, luge_worker_next(w, 0, 0, &t));
    answers(LUGE_TIMEOUT, luge_worker_next(w, 0, 10, &t));
    struct publisher p = {.r = r, .s = &s, .w = w};
    assert_int_equal(pthread_create(&thread, NULL, publish_soon, &p), 0);
    fine(luge_worker_next(w, 0, 20000, &t));
    assert_true(is(t.payload, "late"));
    pthread_join(thread, NULL);
    uint64_t first = t.id, state_ns = now_ns();
    int task_state;
    answers(LUGE_TIMEOUT, luge_task_wait(r->db, &s, first, 10, &task_state));
    assert_int_equal(task_state, LUGE_TASK_LEASED);
    /* A failure's pause ends a rest, too (B2), and so does a wake. */
    fine(luge_task_fail_now(r->db, 0, &s, t.id, t.lease, NONE, 0));
    fine(luge_worker_next(w, 0, 20000, &t));
    assert_int_equal(t.id, first);
    assert_true(now_ns() - state_ns < 15000000000u);
    assert_int_equal(pthread_create(&thread, NULL, wake_soon, &p), 0);
    answers(LUGE_TIMEOUT, luge_worker_next(w, 0, -1, &t));
    pthread_join(thread, NULL);
    luge_worker_close(w);
    luge_worker_close(NULL);
    fine(luge_task_cancel_now(r->db, 0, &s, first));
    fine(luge_task_wait(r->db, &s, first, -1, &task_state));
    assert_int_equal(task_state, LUGE_TASK_CANCELLED);
    answers(LUGE_NOTFOUND, luge_task_wait(r->db, &s, first + 1, -1,
                                          &task_state));
    settle(r, &s);
}

/* Nobody holds a lease and nothing was due: what is published with a delay
 * while a worker rests is found all the same (B3). */
static void a_worker_rests_while_a_delayed_task_comes(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    struct luge_task t;
    luge_worker *w;
    pthread_t thread;
    fine(luge_worker_open(r->db, &s, Q, 1, 60000, &w));
    struct publisher p = {r, &s, w, 100};
    assert_int_equal(pthread_create(&thread, NULL, publish_soon, &p), 0);
    fine(luge_worker_next(w, 0, 20000, &t));
    assert_true(is(t.payload, "late"));
    pthread_join(thread, NULL);
    luge_worker_close(w);
    settle(r, &s);
}

static void *wake_after(void *context)
{
    struct publisher *p = context;
    nap_us(900);
    luge_worker_wake(p->w);
    return NULL;
}

/* A rest ends about when somebody wakes the worker: he answers (B4). */
static void no_wake_is_swallowed(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    struct luge_task_new n = {.queue = luge_str("another"), .delay_ms = 1};
    struct luge_task t;
    luge_worker *w;
    pthread_t thread;
    uint64_t id;
    fine(luge_worker_open(r->db, &s, Q, 1, 60000, &w));
    struct publisher p = {.r = r, .s = &s, .w = w};
    for (int i = 0; i < 200; i++) {
        n.delay_ms = 1 + (uint64_t)i % 3;
        fine(luge_task_publish_now(r->db, LUGE_TXN_ASYNC, &s, &n, &id));
        assert_int_equal(pthread_create(&thread, NULL, wake_after, &p), 0);
        uint64_t begun = now_ns();
        answers(LUGE_TIMEOUT, luge_worker_next(w, LUGE_TXN_ASYNC, 5000, &t));
        assert_true(now_ns() - begun < 4000000000u);
        pthread_join(thread, NULL);
        fine(luge_task_cancel_now(r->db, LUGE_TXN_ASYNC, &s, id));
    }
    luge_worker_close(w);
    settle(r, &s);
}

/* What a claim in vain put back stays there: else a worker would find it due
 * for ever, and not rest. */
static void who_finds_nothing_puts_back_all_the_same(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    luge_bytes other = luge_str("other");
    struct luge_task t;
    luge_worker *w;
    uint64_t lost = publish(r, &s, (struct luge_task_new){.attempts_max = 1});
    uint64_t delayed = publish(r, &s, (struct luge_task_new){.delay_ms = 1});
    t = claim(r, &s, 7, 1);
    luge_task_free(&t);
    nap_us(5000);
    answers(LUGE_NOTFOUND,
            luge_task_claim_now(r->db, 0, &s, other, 1, 1000, &t));
    is_state(r, &s, lost, LUGE_TASK_DEAD);
    is_state(r, &s, delayed, LUGE_TASK_READY);
    publish(r, &s, (struct luge_task_new){.delay_ms = 1});
    nap_us(5000);
    fine(luge_worker_open(r->db, &s, other, 1, 60000, &w));
    answers(LUGE_TIMEOUT, luge_worker_next(w, 0, 0, &t));
    luge_worker_close(w);
    settle(r, &s);
}

/* ------------------------------------------------------ agents, sessions -- */

static uint64_t agent_make(struct rig *r, const struct luge_tasks *s,
                           const char *name)
{
    struct luge_agent a = {.name = luge_str(name), .role = luge_str("composer"),
                           .meta = luge_str("{\"model\": 3}")};
    uint64_t id = 0;
    fine(luge_agent_register_now(r->db, 0, s, &a, &id));
    return id;
}

static void agents_are_known(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    uint64_t id = agent_make(r, &s, "ada"), lease;
    struct luge_agent a;
    size_t count;
    luge_bytes busy = luge_str("busy");
    uint64_t task = publish(r, &s, (struct luge_task_new){0});
    struct luge_task t = claim(r, &s, id, 60000);
    luge_task_free(&t);
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_agent_heartbeat(txn, &s, id, &busy));
    fine(luge_agent_after(txn, &s, 0, &a));
    assert_int_equal(a.id, id);
    assert_true(is(a.name, "ada") && is(a.role, "composer"));
    assert_true(is(a.status, "busy") && is(a.meta, "{\"model\": 3}"));
    assert_true(a.process.size > 0);
    assert_int_equal(luge_agent_state_of(&a, 0), LUGE_AGENT_ALIVE);
    a.heartbeat_ns -= 10000000000u;
    assert_int_equal(luge_agent_state_of(&a, 60000), LUGE_AGENT_ALIVE);
    assert_int_equal(luge_agent_state_of(&a, 5000), LUGE_AGENT_STALE);
    answers(LUGE_NOTFOUND, luge_agent_after(txn, &s, id, &a));
    fine(luge_agent_reap(txn, &s, 60000, &count));
    assert_int_equal(count, 0);
    fine(luge_agent_end(txn, &s, id, &count));
    assert_int_equal(count, 1);
    answers(LUGE_MISMATCH, luge_agent_end(txn, &s, id, &count));
    answers(LUGE_MISMATCH, luge_agent_heartbeat(txn, &s, id, NULL));
    answers(LUGE_NOTFOUND, luge_agent_end(txn, &s, id + 1, &count));
    fine(luge_agent_get(txn, &s, id, &a));
    assert_int_equal(luge_agent_state_of(&a, 0), LUGE_AGENT_ENDED);
    assert_string_equal(luge_agent_state_text(LUGE_AGENT_ENDED), "ended");
    fine(luge_commit(txn));
    assert_int_equal(claim_id(r, &s, &lease), task);
    static char large[70000];
    txn = begin(r, LUGE_WRITE);
    fine(luge_agent_forget(txn, &s, a.ended_ns, 9, &count));
    assert_int_equal(count, 0);
    fine(luge_agent_forget(txn, &s, UINT64_MAX, 9, &count));
    assert_int_equal(count, 1);
    answers(LUGE_NOTFOUND, luge_agent_get(txn, &s, id, &a));
    luge_abort(txn);
    txn = begin(r, LUGE_WRITE);
    const struct { int code; struct luge_agent agent; } bad[] = {
        {LUGE_INVALID, {.id = 99}},
        {LUGE_INVALID, {.id = 99, .name = Q, .meta = luge_str("{")}},
        {LUGE_INVALID, {.name = Q}},
        {LUGE_TOOBIG, {.id = 99, .name = {large, 256}}},
        {LUGE_TOOBIG, {.id = 99, .name = Q, .role = {large, 256}}},
        {LUGE_TOOBIG, {.id = 99, .name = Q, .status = {large, 70000}}},
        {LUGE_EXISTS, {.id = id, .name = Q}}};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        answers(bad[i].code, luge_agent_register(txn, &s, &bad[i].agent, &id));
    luge_abort(txn);
    settle(r, &s);
}

static int claim_and_die(struct rig *r)
{
    CHILD_ANSWERS(0, luge_open(r->path, NULL, &r->db));
    struct luge_tasks s;
    struct luge_task t;
    struct luge_agent a = {.name = luge_str("child")};
    uint64_t id;
    CHILD_ANSWERS(0, luge_tasks_open_now(r->db, luge_str("tasks"), 0, &s));
    CHILD_ANSWERS(0, luge_agent_register_now(r->db, 0, &s, &a, &id));
    CHILD_ANSWERS(0, luge_task_claim_now(r->db, 0, &s, Q, id, 3600000, &t));
    _exit(0);
}

/* T2, long before the lease of an hour runs out. */
static void a_dead_worker_gives_its_task_back(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    struct luge_task t;
    luge_worker *w;
    uint64_t id = publish(r, &s, (struct luge_task_new){0});
    rig_close(r);
    assert_int_equal(in_child(claim_and_die, r), 0);
    rig_open(r, NULL);
    s = store(r);
    is_state(r, &s, id, LUGE_TASK_LEASED);
    fine(luge_worker_open(r->db, &s, Q, agent_make(r, &s, "heir"), 60000, &w));
    fine(luge_worker_next(w, 0, 20000, &t));
    assert_int_equal(t.id, id);
    assert_int_equal(t.attempt, 2);
    assert_true(is(t.error, "its agent ended"));
    luge_worker_close(w);
    settle(r, &s);
}

static void sessions_have_a_life(void **state)
{
    struct rig *r = *state;
    struct luge_tasks s = store(r);
    struct luge_session in = {.objective = luge_str("a song"),
                              .strategy = luge_str("parallel")}, out;
    luge_bytes why = luge_str("no ideas");
    uint64_t id = 0, none;
    fine(luge_session_begin_now(r->db, 0, &s, &in, &id));
    luge_txn *txn = begin(r, LUGE_WRITE);
    fine(luge_session_after(txn, &s, 0, &out));
    assert_int_equal(out.id, id);
    assert_int_equal(out.state, LUGE_SESSION_PENDING);
    assert_int_equal(out.started_ns, 0);
    fine(luge_session_set(txn, &s, id, LUGE_SESSION_EXECUTING, NULL));
    fine(luge_session_get(txn, &s, id, &out));
    assert_true(out.started_ns > 0 && !out.ended_ns);
    answers(LUGE_INVALID, luge_session_set(txn, &s, id, 99, NULL));
    fine(luge_session_set(txn, &s, id, LUGE_SESSION_FAILED, &why));
    answers(LUGE_MISMATCH, luge_session_set(txn, &s, id, 3, NULL));
    fine(luge_session_get(txn, &s, id, &out));
    assert_true(is(out.objective, "a song") && is(out.strategy, "parallel"));
    assert_true(is(out.error, "no ideas") && out.ended_ns);
    assert_string_equal(luge_session_state_text(out.state), "failed");
    size_t count;
    uint64_t lives;
    in.id = id + 7;
    fine(luge_session_begin(txn, &s, &in, &lives));
    fine(luge_session_forget(txn, &s, out.ended_ns, 9, &count));
    assert_int_equal(count, 0);
    fine(luge_session_forget(txn, &s, out.ended_ns + 1, 0, &count));
    assert_int_equal(count, 0);
    fine(luge_session_forget(txn, &s, UINT64_MAX, 9, &count));
    assert_int_equal(count, 1);
    answers(LUGE_NOTFOUND, luge_session_get(txn, &s, id, &out));
    fine(luge_session_after(txn, &s, 0, &out));
    assert_int_equal(out.id, lives);
    id = lives;
    answers(LUGE_NOTFOUND, luge_session_after(txn, &s, id, &out));
    answers(LUGE_NOTFOUND, luge_session_set(txn, &s, id + 1, 3, NULL));
    in.id = id;
    answers(LUGE_EXISTS, luge_session_begin(txn, &s, &in, &none));
    in.id = id + 1;
    in.meta = luge_str("nope");
    answers(LUGE_INVALID, luge_session_begin(txn, &s, &in, &none));
    in.meta = NONE;
    in.state = 99;
    answers(LUGE_INVALID, luge_session_begin(txn, &s, &in, &none));
    in.id = 0;
    in.state = 0;
    answers(LUGE_INVALID, luge_session_begin(txn, &s, &in, &none));
    luge_abort(txn);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(a_task_is_done), T(priority_then_age), T(a_lost_lease_is_refused),
        T(failures_are_tried_again_later), T(delays_hold),
        T(dependencies_come_first), T(the_forgotten_are_not_missed),
        T(what_is_refused_waits_for_nobody),
        T(bad_tasks_are_refused), T(work_lands_with_its_completion),
        T(a_worker_sleeps_until_there_is_work),
        T(a_worker_rests_while_a_delayed_task_comes), T(no_wake_is_swallowed),
        T(who_finds_nothing_puts_back_all_the_same), T(agents_are_known),
        T(a_dead_worker_gives_its_task_back), T(sessions_have_a_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
