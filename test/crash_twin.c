/* test/crash_twin.c -- random steps on the engine and on a stupid twin.
 *
 *   crash_twin [--seeds A..B] [--steps N] [--processes 1|2] [--each]
 *              [--skip LIST] [--trace] [--no-shrink] [--no-turn]
 *
 * Holds: a seed is a run.  Step I of seed S draws from a dice of its own, so a
 * run can be replayed with some of its steps left out (--skip 3,7-9), which is
 * how a failing run is made small.
 *   W1  Every answer of the engine is the twin's answer.
 *   W2  A commit lands iff the twin says it may (model.h, M2); a conflict where
 *       nobody wrote into what was read is a failure, too, unless the log that
 *       would prove it may have been recycled (log_keep_bytes).
 *   W3  After each commit a fresh snapshot has the twin's content; a snapshot
 *       that was open before still has its own, in the bytes it gave out.
 *   W4  luge_check finds nothing after each step that could change a page
 *       (--each: after each step).
 *   W5  With two processes: either may be killed between steps or during one;
 *       what was in flight is there as a whole or not at all.
 * The runs happen in a child, so that a crash and a hang have a seed, too.
 * Not here: what the steps are (model.h), how they are made (hand.h).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hand.h"
#include "model.h"
#include "support.h"

enum { HANDS = 2, STEPS_MAX = 1 << 20, SUMS = 32, HANG_S = 60 };

/* What the whole run is told. */
struct order {
    uint64_t seed_from, seed_to;
    unsigned steps, processes;
    bool each, trace, shrink, quiet, no_turn;
    unsigned char *skip;          /* a byte for each step */
};

/* Shared by the child that works and the parent that watches. */
struct watch {
    volatile uint64_t seed, step, ticks;
    uint64_t seeds, steps, commits, conflicts, spared, kills, in_flight;
    uint64_t wait_max_ns;
};

/* What one seed decides once. */
struct profile {
    unsigned keys, key_style, prefix, value_style, slots;
    struct luge_options options;
};

struct twin {
    const struct order *order;
    struct watch *watch;
    struct profile profile;
    uint64_t seed;
    unsigned step;
    struct model model;
    struct hand hands[HANDS];
    bool dead[HANDS];
    struct model_txn *txns[HANDS][SLOTS];
    uint64_t seq_low, seq_high, leases, id_last;
    /* bytes: that were committed, ever and before a begin; that wait for it */
    uint64_t volume, begun_volume[HANDS][SLOTS], waiting[HANDS][SLOTS];
    struct { uint64_t model, engine; } sums[SUMS];
    unsigned sum_count;
    char *path;
};

/* ------------------------------------------------------------- failing -- */

static void replay_print(const struct order *o, uint64_t seed, unsigned steps)
{
    fprintf(stderr, "  replay: crash_twin --seeds %llu --steps %u "
            "--processes %u%s%s", (unsigned long long)seed, steps,
            o->processes, o->each ? " --each" : "",
            o->no_turn ? " --no-turn" : "");
    const char *comma = " --skip ";
    for (unsigned i = 0; o->skip && i < steps; i++) {
        unsigned j = i;
        if (!o->skip[i]) continue;
        while (j + 1 < steps && o->skip[j + 1]) j++;
        fprintf(stderr, j > i ? "%s%u-%u" : "%s%u", comma, i, j);
        comma = ",";
        i = j;
    }
    fprintf(stderr, " --trace\n");
}

static void wrong(struct twin *t, const struct step *s,
                  const struct outcome *seen, const struct outcome *expected,
                  const char *why)
{
    if (!t->order->quiet) {
        fprintf(stderr, "seed %llu, step %u: %s\n  ",
                (unsigned long long)t->seed, t->step, why);
        if (s) step_print(stderr, s);
        if (seen) {
            fprintf(stderr, "\n  engine: ");
            outcome_print(stderr, seen);
            if (seen->rc < 0 && !t->hands[s ? s->hand : 0].child)
                fprintf(stderr, " (%s)", luge_last_error()->text);
        }
        if (expected) {
            fprintf(stderr, "\n  twin:   ");
            outcome_print(stderr, expected);
        }
        fputc('\n', stderr);
    }
    for (unsigned i = 0; i < HANDS; i++)
        if (t->hands[i].child) hand_kill(&t->hands[i]);
    tree_remove(t->path);
    _exit(1);
}

static void trace(struct twin *t, const struct step *s,
                  const struct outcome *o)
{
    if (!t->order->trace) return;
    fprintf(stderr, "%4u  ", t->step);
    step_print(stderr, s);
    fprintf(stderr, "  ->  ");
    outcome_print(stderr, o);
    fputc('\n', stderr);
}

/* ------------------------------------------------- keys, values, options -- */

static struct profile profile_of(uint64_t seed, unsigned processes)
{
    static const unsigned counts[] = {4, 12, 40, 200};
    static const uint32_t pages[] = {0, 0, 4096, 4096, 8192, 16384, 65536};
    struct dice d = dice_of(seed, 0);
    struct profile p = {0};
    p.keys = counts[dice_below(&d, COUNT_OF(counts))];
    p.key_style = dice_below(&d, 4);
    p.prefix = dice_below(&d, 3) ? dice_below(&d, 40) : dice_below(&d, 1000);
    p.value_style = dice_below(&d, 4);
    p.slots = processes == 1 ? SLOTS : 3;
    p.options.page_bytes = pages[dice_below(&d, COUNT_OF(pages))];
    p.options.durability = dice_chance(&d, 50) ? LUGE_ASYNC : LUGE_FULL;
    if (dice_chance(&d, 40)) p.options.cache_bytes = 256 << 10;
    if (dice_chance(&d, 40)) p.options.checkpoint_bytes = 64 << 10;
    if (dice_chance(&d, 30)) p.options.log_keep_bytes = 64 << 10;
    p.options.busy_timeout_ms = 20000;
    return p;
}

/* Key I of this seed's small space: collisions are what we want. */
static struct blob *key_of(struct twin *t, unsigned i)
{
    unsigned char room[LUGE_KEY_SIZE_MAX];
    struct dice d = dice_of(t->seed, 0x10000 + i);
    size_t n = t->profile.prefix;
    switch (t->profile.key_style) {
    case 0: return blob_of(room, (size_t)sprintf((char *)room, "%03u", i));
    case 1:                               /* a long common beginning */
        memset(room, 'p', n);
        room[n] = (unsigned char)(i >> 4);
        room[n + 1] = (unsigned char)(i << 4);
        return blob_of(room, n + 2);
    case 2:                               /* of every length, zeros too */
        n = i ? dice_below(&d, dice_chance(&d, 10) ? 1025 : 60) : 0;
        memset(room, (int)dice_below(&d, 2), n);
        if (n > 2) room[n - 1] = (unsigned char)i;
        return blob_of(room, n);
    default:                              /* anything */
        n = i ? dice_below(&d, 13) : 0;
        pattern_fill(room, n, dice_next(&d));
        return blob_of(room, n);
    }
}

static struct blob *some_key(struct twin *t, struct dice *d)
{
    struct blob *b = key_of(t, dice_below(d, t->profile.keys));
    if (!dice_chance(d, 12) || b->size < 2) return b;
    size_t less = 1 + dice_below(d, (uint32_t)b->size / 2);
    struct blob *cut = blob_of(b->data, b->size - less);
    if (dice_chance(d, 50)) cut->data[cut->size - 1]++;
    blob_drop(b);
    return cut;
}

static size_t some_size(struct twin *t, struct dice *d)
{
    uint32_t page = t->profile.options.page_bytes;
    if (!page) page = 4096;
    switch (t->profile.value_style) {
    case 0: return dice_below(d, 20);
    case 1: return dice_below(d, dice_chance(d, 10) ? 1200 : 40);
    case 2:                               /* round the edges of a page */
        if (dice_chance(d, 70)) return dice_below(d, 30);
        return page / (1u << dice_below(d, 4)) + dice_below(d, 160) - 80;
    default:
        if (dice_chance(d, 85)) return dice_below(d, 100);
        return dice_chance(d, 90) ? dice_below(d, 30000)
                                  : dice_below(d, 400000);
    }
}

static struct blob *some_value(struct twin *t, struct dice *d)
{
    bool number = dice_chance(d, 30);
    size_t size = number ? 8 : some_size(t, d);
    struct blob *b = blob_of(NULL, 0);
    b = grab_more(b, sizeof *b + size);
    b->size = size;
    pattern_fill(b->data, size, dice_next(d));
    if (number && dice_chance(d, 50)) memset(b->data + 1, 0, 7);
    return b;
}

static struct blob *some_name(struct dice *d)
{
    static const char *const names[] = {
        "a", "a/b", "a/b/c", "b", "main", "songs/nocturne/main", "zz", "\xff"};
    uint32_t i = dice_below(d, COUNT_OF(names) + 2);
    if (i < COUNT_OF(names)) return blob_of(names[i], strlen(names[i]));
    char room[LUGE_NAME_SIZE_MAX + 1];
    memset(room, 'n', sizeof room);
    return blob_of(room, i == COUNT_OF(names) ? LUGE_NAME_SIZE_MAX
                   : dice_chance(d, 50) ? 0 : sizeof room);
}

static luge_tree some_tree(struct twin *t, const struct state *s,
                           struct dice *d)
{
    uint32_t roll = dice_below(d, 100);
    if (roll < 50) return LUGE_MAIN;
    if (roll < 96) return s->trees[dice_below(d, (uint32_t)s->count)]->number;
    if (roll < 98) return 999999;
    return t->model.numbers[dice_below(d, (uint32_t)t->model.number_count)];
}

/* -------------------------------------------------------------- checks -- */

static struct model_txn *turn_holder(struct twin *t)
{
    for (unsigned h = 0; h < t->order->processes; h++)
        for (unsigned i = 0; i < SLOTS; i++)
            if (t->txns[h][i] && (t->txns[h][i]->flags & LUGE_TURN))
                return t->txns[h][i];
    return NULL;
}

static unsigned some_hand(struct twin *t, struct dice *d)
{
    unsigned h = dice_below(d, t->order->processes);
    return t->dead[h] ? 1 - h : h;
}

/* How much log a step may have made. */
static void volume_add(struct twin *t, const struct step *s)
{
    uint64_t size = blob_bytes(s->key).size + blob_bytes(s->value).size;
    if (s->slot == NO_SLOT) {
        t->volume += size;
        return;
    }
    uint64_t *waiting = &t->waiting[s->hand][s->slot];
    *waiting += size;
    if (s->kind == STEP_COMMIT) t->volume += *waiting;
    if (s->kind == STEP_COMMIT || s->kind == STEP_BEGIN) *waiting = 0;
}

static void call(struct twin *t, const struct step *s, struct outcome *seen)
{
    uint64_t from = now_ns();
    hand_step(&t->hands[s->hand], s, seen);
    volume_add(t, s);
    uint64_t took = now_ns() - from;
    if (took > t->watch->wait_max_ns) t->watch->wait_max_ns = took;
    t->watch->ticks++;
    t->watch->steps++;
    trace(t, s, seen);
    if (seen->rc == HAND_GONE) wrong(t, s, seen, NULL, "the process died");
}

/* A step that must answer RC. */
static uint64_t demand(struct twin *t, enum step_kind kind, unsigned hand,
                       int rc, const char *why)
{
    struct step s = {.kind = kind, .hand = hand, .slot = NO_SLOT};
    struct outcome seen, expected = {.rc = rc};
    call(t, &s, &seen);
    if (seen.rc != rc) wrong(t, &s, &seen, &expected, why);
    uint64_t number = seen.number;
    outcome_free(&seen);
    return number;
}

static void check(struct twin *t, struct dice *d)
{
    if (turn_holder(t)) return;
    demand(t, STEP_CHECK, some_hand(t, d), 0, "W4: luge_check");
}

static void head_check(struct twin *t, struct dice *d)
{
    uint64_t sum = state_digest(&t->model.head);
    unsigned hand = some_hand(t, d);
    uint64_t number = demand(t, STEP_DIGEST, hand, 0, "W3: reading all");
    if (number == sum) return;
    struct outcome seen = {.number = number}, expected = {.number = sum};
    struct step s = {.kind = STEP_DIGEST, .hand = hand, .slot = NO_SLOT};
    wrong(t, &s, &seen, &expected, "W3: the content differs");
}

/* The number of the newest commit, as a transaction that begins now has it.
 * A lease of ids is a commit, too: one for each opening, and then one for each
 * 2^24 ids, at a moment that the engine chooses. */
static void seq_check(struct twin *t, const struct step *s,
                      const struct outcome *seen)
{
    struct outcome expected = {.number = t->seq_low};
    uint64_t extra = seen->number > t->seq_high ? seen->number - t->seq_high
                                                : 0;
    if (seen->number < t->seq_low || extra > t->leases)
        wrong(t, s, seen, &expected, "the sequence number");
    t->leases -= extra;
    t->seq_low = t->seq_high = seen->number;
}

/* Equal content has equal checksums, different content different ones. */
static void checksum_check(struct twin *t, const struct step *s,
                           const struct state *state,
                           const struct outcome *seen)
{
    uint64_t model = state_digest(state);
    if (seen->rc) wrong(t, s, seen, NULL, "luge_checksum");
    for (unsigned i = 0; i < t->sum_count && i < SUMS; i++)
        if ((t->sums[i].model == model) != (t->sums[i].engine == seen->number))
            wrong(t, s, seen, NULL, "luge_checksum disagrees with content");
    t->sums[t->sum_count % SUMS].model = model;
    t->sums[t->sum_count++ % SUMS].engine = seen->number;
}

/* ------------------------------------------------- begin, commit, abort -- */

static void begin(struct twin *t, unsigned hand, unsigned slot, struct dice *d)
{
    static const unsigned durable[] = {0, 0, LUGE_TXN_FULL, LUGE_TXN_ASYNC};
    uint32_t roll = dice_below(d, 100);
    struct step s = {.kind = STEP_BEGIN, .hand = hand, .slot = slot};
    struct outcome seen, expected = {0};
    bool held = turn_holder(t) != NULL;
    if (t->order->no_turn) roll %= 90;
    s.flags = roll < 35 ? LUGE_READ : roll < 90 ? LUGE_WRITE : LUGE_TURN;
    if (s.flags) s.flags |= durable[dice_below(d, 4)];
    if (s.flags & LUGE_TURN && (held || dice_chance(d, 50)))
        s.flags |= LUGE_TRY;
    if (s.flags & LUGE_TURN && held) expected.rc = LUGE_BUSY;
    call(t, &s, &seen);
    if (seen.rc != expected.rc) wrong(t, &s, &seen, &expected, "luge_begin");
    if (!seen.rc) {
        seq_check(t, &s, &seen);
        t->txns[hand][slot] = model_begin(&t->model, s.flags);
        t->begun_volume[hand][slot] = t->volume;
    }
    outcome_free(&seen);
}

static void landed(struct twin *t, struct model_txn *txn)
{
    bool wrote = model_wrote(txn), tried = txn->step_count > 0;
    model_land(txn);
    t->watch->commits++;
    if (wrote) t->seq_low++;
    if (wrote || tried) t->seq_high++;
}

static bool may_commit(struct twin *t, const struct model_txn *txn)
{
    struct model_txn *holder = turn_holder(t);
    return !holder || holder == txn || !(txn->flags & LUGE_WRITE);
}

/* So much was put since it began that its log may be gone. */
static bool log_gone(const struct twin *t, const struct step *s)
{
    uint64_t keep = t->profile.options.log_keep_bytes;
    return keep && t->volume - t->begun_volume[s->hand][s->slot] > keep / 16;
}

static void commit_judge(struct twin *t, const struct step *s,
                         const struct outcome *seen, enum verdict verdict)
{
    struct outcome expected = {0};
    if (seen->rc && seen->rc != LUGE_CONFLICT)
        wrong(t, s, seen, &expected, "luge_commit");
    if (verdict == MUST_LAND && seen->rc && !log_gone(t, s))
        wrong(t, s, seen, &expected, "W2: a false conflict");
    expected.rc = LUGE_CONFLICT;
    if (verdict == MUST_CONFLICT && !seen->rc)
        wrong(t, s, seen, &expected, "W2: a conflict was missed");
    if (seen->rc) t->watch->conflicts++;
    else if (verdict == MAY_CONFLICT) t->watch->spared++;
}

static void commit(struct twin *t, unsigned hand, unsigned slot,
                   struct dice *d)
{
    struct model_txn *txn = t->txns[hand][slot];
    struct step s = {.kind = STEP_COMMIT, .hand = hand, .slot = slot};
    struct outcome seen;
    enum verdict verdict = model_judge(txn);
    bool wrote = model_wrote(txn);
    call(t, &s, &seen);
    commit_judge(t, &s, &seen, verdict);
    t->txns[hand][slot] = NULL;
    if (seen.rc) model_forget(txn);
    else landed(t, txn);
    outcome_free(&seen);
    if (!wrote) return;
    head_check(t, d);
    check(t, d);
}

static void forget(struct twin *t, unsigned hand, unsigned slot)
{
    if (t->txns[hand][slot]) model_forget(t->txns[hand][slot]);
    t->txns[hand][slot] = NULL;
}

static void end(struct twin *t, enum step_kind kind, unsigned hand,
                unsigned slot)
{
    struct step s = {.kind = kind, .hand = hand, .slot = slot};
    struct outcome seen;
    call(t, &s, &seen);
    if (seen.rc) wrong(t, &s, &seen, NULL, "the end of a transaction");
    outcome_free(&seen);
    forget(t, hand, slot);
}

static void renew(struct twin *t, unsigned hand, unsigned slot)
{
    struct model_txn *txn = t->txns[hand][slot];
    struct step s = {.kind = STEP_RENEW, .hand = hand, .slot = slot};
    struct outcome seen;
    call(t, &s, &seen);
    if (seen.rc) wrong(t, &s, &seen, NULL, "luge_renew");
    seq_check(t, &s, &seen);
    model_renew(txn);
    outcome_free(&seen);
}

/* --------------------------------------------- steps inside transactions -- */

/* Make S on both sides and compare.  S is used up. */
static void both(struct twin *t, struct step *s)
{
    struct model_txn *txn = t->txns[s->hand][s->slot];
    struct outcome seen, expected;
    call(t, s, &seen);
    model_step(txn, s, &seen, &expected);
    /* of two reasons to refuse luge.h does not say which comes first */
    if (expected.rc == LUGE_READONLY && seen.rc < 0) expected.rc = seen.rc;
    if (!outcome_same(&seen, &expected))
        wrong(t, s, &seen, &expected, "W1: another answer");
    outcome_free(&seen);
    outcome_free(&expected);
    step_free(s);
}

static void cursor_step(struct twin *t, struct step *s, struct dice *d)
{
    struct model_txn *txn = t->txns[s->hand][s->slot];
    struct cursor *c = &txn->cursors[s->cursor = dice_below(d, CURSORS)];
    uint32_t roll = dice_below(d, 100);
    if (!c->open) {
        s->kind = STEP_CURSOR_OPEN;
        s->tree = some_tree(t, &txn->now, d);
    } else if (c->doubtful || roll < 4) {
        s->kind = STEP_CURSOR_CLOSE;
    } else if (roll < 12) {
        s->kind = STEP_CURSOR_RANGE;
        if (dice_chance(d, 80)) s->key = some_key(t, d);
        if (dice_chance(d, 80)) s->to = some_key(t, d);
    } else if (roll < 16) {
        s->kind = STEP_CURSOR_PREFIX;
        s->key = some_key(t, d);
        s->key->size = dice_below(d, (uint32_t)s->key->size + 1);
    } else if (roll < 45) {
        s->kind = STEP_CURSOR_SEEK;
        s->flags = dice_below(d, LUGE_LT + 1);
        s->key = some_key(t, d);
    } else if (roll < 90) {
        s->kind = roll < 72 ? STEP_CURSOR_NEXT : STEP_CURSOR_PREV;
    } else {
        s->kind = STEP_CURSOR_DEL;
    }
    both(t, s);
}

static void read_step(struct twin *t, struct step *s, struct dice *d)
{
    struct model_txn *txn = t->txns[s->hand][s->slot];
    uint32_t roll = dice_below(d, 100);
    if (roll < 40) {
        cursor_step(t, s, d);
        return;
    }
    s->tree = some_tree(t, &txn->now, d);
    if (roll < 65) {
        s->kind = STEP_GET;
        s->key = some_key(t, d);
    } else if (roll < 83) {
        s->kind = STEP_NEAR;
        s->flags = dice_below(d, LUGE_LT + 1);
        s->key = some_key(t, d);
    } else if (roll < 88) {
        s->kind = STEP_TREE_COUNT;
    } else if (roll < 91) {
        s->kind = STEP_TREE_NAME;
    } else {
        s->kind = roll < 95 ? STEP_TREE_AFTER : STEP_TREE_OPEN;
        s->tree = 0;
        s->key = some_name(d);
        if (s->key->size > LUGE_NAME_SIZE_MAX) s->key->size = 9;
    }
    both(t, s);
}

static struct blob *some_expected(struct twin *t, const struct step *s,
                                  struct dice *d)
{
    const struct tree *tree =
        state_tree(&t->txns[s->hand][s->slot]->now, s->tree);
    for (size_t i = 0; tree && i < tree->count && dice_chance(d, 97); i++)
        if (blob_same(tree->pairs[i].key, s->key))
            return blob_keep(tree->pairs[i].value);
    return dice_chance(d, 60) ? NULL : some_value(t, d);
}

static void change_step(struct twin *t, struct step *s, struct dice *d)
{
    uint32_t roll = dice_below(d, 100);
    s->key = some_key(t, d);
    if (roll < 45) {
        s->kind = roll < 38 ? STEP_PUT : STEP_ADD;
        if (dice_chance(d, 1)) {
            blob_drop(s->key);
            s->key = blob_of(NULL, 0);
            s->key = grab_more(s->key, sizeof *s->key + 1025);
            memset(s->key->data, 'L', s->key->size = 1025);
        }
        s->value = some_value(t, d);
    } else if (roll < 62) {
        s->kind = STEP_DEL;
    } else if (roll < 74) {
        s->kind = STEP_CAS;
        s->to = some_expected(t, s, d);
        if (dice_chance(d, 75)) s->value = some_value(t, d);
    } else if (roll < 82) {
        s->kind = STEP_UPDATE;
        s->index = dice_below(d, TRANSFORMS);
    } else {
        s->kind = STEP_MERGE;
        s->index = dice_chance(d, 3) ? MERGES - 1 : dice_below(d, MERGES - 1);
        s->value = dice_chance(d, 4) ? blob_of(NULL, 0) : some_value(t, d);
    }
    both(t, s);
}

static void tree_step(struct twin *t, struct step *s, struct dice *d)
{
    struct model_txn *txn = t->txns[s->hand][s->slot];
    uint32_t roll = dice_below(d, 100);
    if (roll < 50) {
        s->kind = STEP_TREE_OPEN;
        s->flags = LUGE_TREE_CREATE;
        s->tree = 0;
        s->key = some_name(d);
    } else if (roll < 70) {
        s->kind = STEP_TREE_DROP;
    } else if (roll < 90) {
        s->kind = STEP_TREE_RENAME;
        s->key = some_name(d);
        /* to its own name: luge.h does not say */
        const struct tree *tree = state_tree(&txn->now, s->tree);
        if (tree && blob_same(tree->name, s->key)) s->kind = STEP_TREE_NAME;
    } else {
        s->kind = STEP_TREE_CLEAR;
    }
    both(t, s);
}

/* Many puts or deletions in one step, so that nodes split and merge. */
static void burst(struct twin *t, const struct step *base, struct dice *d)
{
    unsigned count = 1 + dice_below(d, t->profile.keys);
    unsigned from = dice_below(d, t->profile.keys), order = dice_below(d, 3);
    bool del = dice_chance(d, 35);
    struct dice each = *d;
    for (unsigned i = 0; i < count; i++) {
        unsigned n = order == 0   ? from + i
                     : order == 1 ? from + count - i
                                  : dice_below(&each, 999);
        struct step s = *base;
        s.kind = del ? STEP_DEL : STEP_PUT;
        s.key = key_of(t, n % t->profile.keys);
        if (!del) s.value = some_value(t, &each);
        both(t, &s);
    }
}

static void write_step(struct twin *t, struct step *s, struct dice *d)
{
    struct model_txn *txn = t->txns[s->hand][s->slot];
    uint32_t roll = dice_below(d, 100);
    s->tree = some_tree(t, &txn->now, d);
    if (roll < 70) {
        change_step(t, s, d);
    } else if (roll < 78) {
        s->kind = roll < 74 ? STEP_POP_MIN : STEP_POP_MAX;
        both(t, s);
    } else if (roll < 84) {
        s->kind = STEP_DEL_RANGE;
        s->flags = dice_below(d, 2);
        if (dice_chance(d, 85)) s->key = some_key(t, d);
        if (dice_chance(d, 85)) s->to = some_key(t, d);
        both(t, s);
    } else if (roll < 93) {
        tree_step(t, s, d);
    } else {
        burst(t, s, d);
    }
}

static void savepoint_step(struct twin *t, struct step *s, struct dice *d)
{
    struct model_txn *txn = t->txns[s->hand][s->slot];
    bool set = txn->saved_count < SAVEPOINTS &&
               (!txn->saved_count || dice_chance(d, 50));
    s->kind = set ? STEP_SAVEPOINT : STEP_ROLLBACK;
    s->index = set ? txn->saved_count : dice_below(d, txn->saved_count);
    both(t, s);
}

/* All that the transaction sees, and its checksum. */
static void look_step(struct twin *t, struct step *s)
{
    struct model_txn *txn = t->txns[s->hand][s->slot];
    struct step sum = *s;
    struct outcome seen;
    s->kind = STEP_DIGEST;
    both(t, s);
    sum.kind = STEP_CHECKSUM;
    call(t, &sum, &seen);
    checksum_check(t, &sum, &txn->now, &seen);
    outcome_free(&seen);
}

static void slot_turn(struct twin *t, unsigned hand, unsigned slot,
                      struct dice *d)
{
    struct model_txn *txn = t->txns[hand][slot];
    struct step s = {.hand = hand, .slot = slot};
    uint32_t roll = dice_below(d, 100);
    if (!txn) {
        begin(t, hand, slot, d);
    } else if (!(txn->flags & (LUGE_WRITE | LUGE_TURN))) {
        if (roll < 6) end(t, roll < 4 ? STEP_ABORT : STEP_COMMIT, hand, slot);
        else if (roll < 10) renew(t, hand, slot);
        else if (roll < 30) look_step(t, &s);
        else if (roll < 32) write_step(t, &s, d);
        else read_step(t, &s, d);
    } else if (roll < 10 && may_commit(t, txn)) {
        commit(t, hand, slot, d);
    } else if (roll < 13) {
        end(t, STEP_ABORT, hand, slot);
    } else if (roll < 21) {
        savepoint_step(t, &s, d);
    } else if (roll < 22) {
        look_step(t, &s);
    } else if (roll < 60) {
        read_step(t, &s, d);
    } else {
        write_step(t, &s, d);
    }
}

/* ----------------------------------------------- steps of the database -- */

/* The steps of a batch, and the twin's transaction that would make it. */
static struct model_txn *batch_make(struct twin *t, struct step *s,
                                    struct outcome *expected, struct dice *d)
{
    unsigned count = dice_below(d, 12);
    const struct outcome none = {0};
    s->kind = STEP_BATCH;
    s->flags = dice_chance(d, 50) ? LUGE_TXN_ASYNC : 0;
    for (unsigned i = 0; i < count; i++) {
        struct blob *key = some_key(t, d), *value = some_value(t, d);
        struct batch_op op = {dice_chance(d, 30),
                              some_tree(t, &t->model.head, d),
                              blob_bytes(key), blob_bytes(value)};
        batch_add(&s->value, &op);
        blob_drop(key);
        blob_drop(value);
    }
    struct model_txn *txn = model_begin(&t->model, LUGE_TURN);
    model_step(txn, s, &none, expected);
    return txn;
}

static void batch_step(struct twin *t, unsigned hand, struct dice *d)
{
    struct step s = {.hand = hand, .slot = NO_SLOT};
    struct outcome seen, expected;
    struct model_txn *txn = batch_make(t, &s, &expected, d);
    call(t, &s, &seen);
    if (!outcome_same(&seen, &expected))
        wrong(t, &s, &seen, &expected, "W1: another answer");
    if (seen.rc) model_forget(txn);
    else landed(t, txn);
    outcome_free(&seen);
    outcome_free(&expected);
    step_free(&s);
    head_check(t, d);
}

static void id_step(struct twin *t, unsigned hand, struct dice *d)
{
    struct step s = {.kind = STEP_NEXT_ID, .hand = hand, .slot = NO_SLOT};
    struct outcome seen, expected = {.number = t->id_last + 1};
    if (dice_chance(d, 30)) s.index = 1 + dice_below(d, 1 << 20);
    call(t, &s, &seen);
    if (seen.rc || seen.number <= t->id_last)
        wrong(t, &s, &seen, &expected, "an id that is not greater");
    uint64_t last = seen.number + (s.index ? s.index - 1 : 0);
    t->leases += (last >> 20) - (t->id_last >> 20);
    t->id_last = last;
    outcome_free(&seen);
}

static bool any_open(struct twin *t, unsigned hand)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (t->txns[hand][i]) return true;
    return false;
}

static void reopen(struct twin *t, unsigned hand, struct dice *d)
{
    if (any_open(t, hand))
        demand(t, STEP_CLOSE_BUSY, hand, LUGE_BUSY, "close while in use");
    if (demand(t, STEP_REOPEN, hand, 0, "reopening") != 1)
        wrong(t, NULL, NULL, NULL, "luge_was_recovered after a reopening");
    for (unsigned i = 0; i < SLOTS; i++) forget(t, hand, i);
    t->leases++;
    head_check(t, d);
    check(t, d);
}

static void stat_step(struct twin *t, unsigned hand)
{
    uint64_t living = 0;
    for (unsigned i = 0; i < t->order->processes; i++) living += !t->dead[i];
    uint64_t until = now_ns() + 2000000000u, seen;
    do {                                   /* a dead one's seat goes soon */
        seen = demand(t, STEP_STAT, hand, 0, "luge_stat");
        if (seen == living) return;
        nap_us(10000);
    } while (now_ns() < until);
    struct outcome o = {.number = seen}, expected = {.number = living};
    wrong(t, NULL, &o, &expected, "the number of processes");
}

/* ------------------------------------------------ killing a process (W5) -- */

static void bury(struct twin *t, unsigned hand)
{
    hand_kill(&t->hands[hand]);
    for (unsigned i = 0; i < SLOTS; i++) forget(t, hand, i);
    t->dead[hand] = true;
    t->watch->kills++;
}

/* One put by a survivor.  It must take the turn, and whoever takes it decides
 * what becomes of a record that was written but not shown. */
static void mark(struct twin *t, struct step *s, struct dice *d)
{
    uint64_t value = dice_next(d);
    struct batch_op op = {false, LUGE_MAIN, luge_str("a mark"),
                          luge_bytes_of(&value, sizeof value)};
    struct outcome seen;
    *s = (struct step){.kind = STEP_BATCH, .hand = some_hand(t, d),
                       .slot = NO_SLOT,
                       .flags = dice_chance(d, 50) ? LUGE_TXN_FULL
                                                   : LUGE_TXN_ASYNC};
    batch_add(&s->value, &op);
    call(t, s, &seen);
    /* what the dead one did may land between its begin and its commit */
    if (seen.rc == LUGE_CONFLICT) call(t, s, &seen);
    if (seen.rc) wrong(t, s, &seen, NULL, "W5: writing after a kill");
    outcome_free(&seen);
}

/* TXN was committing when its process was killed: before the next commit of
 * another it may appear at any moment, after it no more. */
static void settle_unknown(struct twin *t, const struct step *s,
                           struct model_txn *txn, struct dice *d)
{
    const struct outcome none = {0};
    bool may = model_judge(txn) != MUST_CONFLICT && model_wrote(txn);
    uint64_t before = state_digest(&t->model.head);
    uint64_t first = demand(t, STEP_DIGEST, some_hand(t, d), 0,
                            "W5: reading after a kill");
    struct step put;
    struct outcome o;
    mark(t, &put, d);
    struct model_txn *marker = model_begin(&t->model, LUGE_TURN);
    model_step(marker, &put, &none, &o);
    step_free(&put);
    outcome_free(&o);
    uint64_t now = demand(t, STEP_DIGEST, some_hand(t, d), 0,
                          "W5: reading after the next commit");
    bool shows = now != model_digest_after(marker);
    if (!shows && first != before)
        wrong(t, s, NULL, NULL, "W5: what had landed is gone");
    if (shows && !may) wrong(t, s, NULL, NULL, "W5: what must not land did");
    t->watch->in_flight++;
    t->seq_high++;
    /* If landing does not show, it may have: its spans count. */
    if (shows || (may && model_digest_after(txn) == before)) model_land(txn);
    else model_forget(txn);
    landed(t, marker);
    head_check(t, d);
}

static void settle(struct twin *t, const struct step *s,
                   const struct outcome *seen, struct model_txn *txn,
                   struct dice *d)
{
    if (seen->rc == HAND_GONE) {
        settle_unknown(t, s, txn, d);
        return;
    }
    commit_judge(t, s, seen, model_judge(txn));
    if (seen->rc) {
        model_forget(txn);
        return;
    }
    landed(t, txn);
    head_check(t, d);
}

static void kill_in_commit(struct twin *t, unsigned hand, unsigned slot,
                           struct dice *d)
{
    struct model_txn *txn = t->txns[hand][slot];
    struct step s = {.kind = STEP_COMMIT, .hand = hand, .slot = slot};
    struct outcome seen;
    t->txns[hand][slot] = NULL;
    volume_add(t, &s);
    hand_send(&t->hands[hand], &s);
    nap_us(dice_below(d, 2u << dice_below(d, 10)));
    kill(t->hands[hand].child, SIGKILL);
    hand_receive(&t->hands[hand], &seen);
    trace(t, &s, &seen);
    bury(t, hand);
    settle(t, &s, &seen, txn, d);
    outcome_free(&seen);
}

static void kill_in_step(struct twin *t, unsigned hand, enum step_kind kind,
                         struct dice *d)
{
    struct step s = {.kind = kind, .hand = hand, .slot = NO_SLOT};
    struct outcome seen;
    hand_send(&t->hands[hand], &s);
    nap_us(dice_below(d, 2u << dice_below(d, 10)));
    kill(t->hands[hand].child, SIGKILL);
    hand_receive(&t->hands[hand], &seen);
    trace(t, &s, &seen);
    outcome_free(&seen);
    bury(t, hand);
}

static void kill_turn(struct twin *t, unsigned hand, struct dice *d)
{
    unsigned slot = dice_below(d, t->profile.slots);
    struct model_txn *txn = t->txns[hand][slot];
    uint32_t roll = dice_below(d, 100);
    if (t->dead[1 - hand]) return;
    if (roll < 60 && txn && model_wrote(txn) && may_commit(t, txn))
        kill_in_commit(t, hand, slot, d);
    else if (roll < 75 && !turn_holder(t))
        kill_in_step(t, hand, roll < 68 ? STEP_CHECKPOINT : STEP_COMPACT, d);
    else if (roll < 80 && !turn_holder(t))
        kill_in_step(t, hand, STEP_REOPEN, d);
    else bury(t, hand);
    head_check(t, d);
    check(t, d);
}

static void revive(struct twin *t, unsigned hand, struct dice *d)
{
    if (turn_holder(t)) return;
    int rc = hand_fork(&t->hands[hand], t->path, &t->profile.options);
    struct outcome seen = {.rc = rc};
    if (rc) wrong(t, NULL, &seen, NULL, "opening after a kill");
    t->dead[hand] = false;
    t->leases++;
    head_check(t, d);
}

/* -------------------------------------------------------------- the run -- */

static void db_turn(struct twin *t, unsigned hand, struct dice *d)
{
    struct model_txn *holder = turn_holder(t);
    uint32_t roll = dice_below(d, 100);
    if (roll < 10) demand(t, STEP_SYNC, hand, 0, "luge_sync");
    else if (roll < 25) id_step(t, hand, d);
    else if (roll < 32) stat_step(t, hand);
    else if (roll < 40) head_check(t, d);
    else if (t->order->processes > 1 && roll < 60) kill_turn(t, hand, d);
    else if (holder) head_check(t, d);
    else if (roll < 75) batch_step(t, hand, d);
    else if (roll < 85) demand(t, STEP_CHECKPOINT, hand, 0, "luge_checkpoint");
    else if (roll < 90) demand(t, STEP_COMPACT, hand, 0, "luge_compact");
    else reopen(t, hand, d);
}

static void step(struct twin *t)
{
    struct dice d = dice_of(t->seed, 1000 + t->step);
    unsigned hand = dice_below(&d, t->order->processes);
    uint64_t commits = t->watch->commits;
    if (t->dead[hand]) {
        revive(t, hand, &d);
        return;
    }
    if (dice_chance(&d, 8)) {
        db_turn(t, hand, &d);
        check(t, &d);
    } else {
        slot_turn(t, hand, dice_below(&d, t->profile.slots), &d);
        if (t->order->each || commits != t->watch->commits) check(t, &d);
    }
}

static void start(struct twin *t)
{
    bool here = t->order->processes == 1;
    tree_remove(t->path);
    for (unsigned h = 0; h < t->order->processes; h++) {
        int rc = (here ? hand_open : hand_fork)(&t->hands[h], t->path,
                                                &t->profile.options);
        struct outcome seen = {.rc = rc};
        if (rc) wrong(t, NULL, &seen, NULL, "the first opening");
    }
    t->leases = 8;             /* as creation does; the first begin tells */
}

/* End all, open once more alone, compare once more. */
static void finish(struct twin *t)
{
    struct dice d = dice_of(t->seed, 1);
    for (unsigned h = 0; h < t->order->processes; h++) {
        for (unsigned i = 0; i < SLOTS; i++) forget(t, h, i);
        if (t->dead[h]) continue;
        struct outcome seen = {.rc = hand_close(&t->hands[h])};
        if (seen.rc) wrong(t, NULL, &seen, NULL, "closing at the end");
        t->dead[h] = true;
    }
    struct outcome seen = {0};
    int rc = t->order->processes == 1
                 ? hand_open(&t->hands[0], t->path, &t->profile.options)
                 : hand_fork(&t->hands[0], t->path, &t->profile.options);
    seen.rc = rc;
    if (rc) wrong(t, NULL, &seen, NULL, "opening at the end");
    t->dead[0] = false;
    head_check(t, &d);
    check(t, &d);
    if (hand_close(&t->hands[0]))
        wrong(t, NULL, NULL, NULL, "the last closing");
    model_free(&t->model);
}

static void run_seed(const struct order *o, struct watch *w, uint64_t seed,
                     char *path)
{
    struct twin *t = grab(sizeof *t);
    memset(t, 0, sizeof *t);
    t->order = o;
    t->watch = w;
    t->seed = w->seed = seed;
    t->path = path;
    t->profile = profile_of(seed, o->processes);
    model_init(&t->model);
    start(t);
    for (t->step = 0; t->step < o->steps; t->step++) {
        w->step = t->step;
        if (!o->skip || !o->skip[t->step]) step(t);
    }
    finish(t);
    w->seeds++;
    free(t);
}

/* --------------------------------------------------- watching, shrinking -- */

static const char *how_it_ended(int status)
{
    static char text[64];
    if (WIFEXITED(status) && !WEXITSTATUS(status)) return NULL;
    if (WIFEXITED(status)) return "it failed";
    if (WTERMSIG(status) == SIGALRM) return "it hung";
    snprintf(text, sizeof text, "it died of signal %d", WTERMSIG(status));
    return text;
}

/* Wait for CHILD; a child whose ticks stand still is a hang: SIGALRM. */
static int watch_child(pid_t child, struct watch *w)
{
    uint64_t ticks = w->ticks, since = now_ns();
    int status;
    while (!waitpid(child, &status, WNOHANG)) {
        nap_us(1000);
        if (w->ticks != ticks) {
            ticks = w->ticks;
            since = now_ns();
        } else if (now_ns() - since > (uint64_t)HANG_S * 1000000000u) {
            kill(child, SIGALRM);
            waitpid(child, &status, 0);
            return status;
        }
    }
    return status;
}

static int run_in_child(const struct order *o, struct watch *w)
{
    char *base = scratch_make(SCRATCH_FAST), path[600];
    snprintf(path, sizeof path, "%s/db", base);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) die("no fork");
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        if (o->quiet) (void)!freopen("/dev/null", "w", stderr);
        for (uint64_t seed = o->seed_from; seed <= o->seed_to; seed++) {
            run_seed(o, w, seed, path);
            if (!(seed % 4096) && !o->quiet)
                fprintf(stderr, "  seed %llu\n", (unsigned long long)seed);
        }
        free(base);
        free(o->skip);
        exit(0);   /* not _exit: a leak checker has its say here */
    }
    int status = watch_child(child, w);
    scratch_remove(base);
    return status;
}

/* Leave out more and more steps as long as the seed still fails. */
static void shrink(const struct order *failing, struct watch *w,
                   uint64_t seed, unsigned steps)
{
    struct order o = *failing;
    uint64_t until = now_ns() + 60u * 1000000000ull;
    o.seed_from = o.seed_to = seed;
    o.steps = steps;
    o.quiet = true;
    o.trace = false;
    if (!o.skip) {
        o.skip = grab(STEPS_MAX);
        memset(o.skip, 0, STEPS_MAX);
    }
    for (unsigned chunk = steps / 2; chunk; chunk /= 2)
        for (unsigned at = 0; at + 1 < steps && now_ns() < until; at += chunk) {
            unsigned char old[STEPS_MAX / 64];
            unsigned n = at + chunk > steps - 1 ? steps - 1 - at : chunk;
            if (n > sizeof old) continue;
            memcpy(old, o.skip + at, n);
            memset(o.skip + at, 1, n);
            if (!how_it_ended(run_in_child(&o, w))) memcpy(o.skip + at, old, n);
        }
    fprintf(stderr, "  with fewer steps:\n");
    replay_print(&o, seed, steps);
    if (!failing->skip) free(o.skip);
}

static int run(const struct order *o)
{
    struct watch *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w == MAP_FAILED) die("no shared memory");
    uint64_t from = now_ns();
    const char *why = how_it_ended(run_in_child(o, w));
    if (why) {
        uint64_t seed = w->seed;
        unsigned steps = (unsigned)w->step + 1;
        fprintf(stderr, "crash_twin: %s at seed %llu, step %u\n", why,
                (unsigned long long)seed, steps - 1);
        replay_print(o, seed, o->steps);
        if (o->shrink) shrink(o, w, seed, steps);
        return 1;
    }
    printf("%u process%s: %llu seeds, %llu steps, %llu commits, %llu conflicts"
           " (%llu spared), %llu kills (%llu in flight), longest call %.1f ms,"
           " %.1f s\n", o->processes, o->processes == 1 ? "" : "es",
           (unsigned long long)w->seeds, (unsigned long long)w->steps,
           (unsigned long long)w->commits, (unsigned long long)w->conflicts,
           (unsigned long long)w->spared, (unsigned long long)w->kills,
           (unsigned long long)w->in_flight, (double)w->wait_max_ns / 1e6,
           (double)(now_ns() - from) / 1e9);
    munmap(w, sizeof *w);
    return 0;
}

static void parse_skip(struct order *o, char *list)
{
    o->skip = grab(STEPS_MAX);
    memset(o->skip, 0, STEPS_MAX);
    for (char *item = strtok(list, ","); item; item = strtok(NULL, ",")) {
        char *end;
        unsigned long from = strtoul(item, &end, 10), to = from;
        if (*end == '-') to = strtoul(end + 1, &end, 10);
        if (*end || to >= STEPS_MAX) die("not a list of steps: %s", item);
        for (; from <= to; from++) o->skip[from] = 1;
    }
}

static bool parse(struct order *o, int argc, char **argv)
{
    uint64_t from, to;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *b = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(a, "--each")) o->each = true;
        else if (!strcmp(a, "--trace")) o->trace = true;
        else if (!strcmp(a, "--no-shrink")) o->shrink = false;
        else if (!strcmp(a, "--no-turn")) o->no_turn = true;
        else if (!strcmp(a, "--skip")) parse_skip(o, argv[++i]);
        else if (!strcmp(a, "--seeds"))
            parse_span(b, &o->seed_from, &o->seed_to), i++;
        else if (!strcmp(a, "--steps"))
            parse_span(b, &from, &to), o->steps = (unsigned)to, i++;
        else if (!strcmp(a, "--processes"))
            parse_span(b, &from, &to), o->processes = (unsigned)to, i++;
        else die("usage: crash_twin [--seeds A..B] [--steps N] "
                 "[--processes 1|2] [--each] [--skip LIST] [--trace] "
                 "[--no-shrink] [--no-turn]");
    }
    if (o->processes < 1 || o->processes > HANDS || o->steps >= STEPS_MAX)
        die("1 or 2 processes, fewer than %d steps", STEPS_MAX);
    return argc > 1;
}

/* Without arguments: many short runs and some long ones, in one process and in
 * two.  Long runs fill logs and caches, short ones start from little. */
int main(int argc, char **argv)
{
    static const struct { unsigned processes, steps, brief, usual, lengthy; }
    parts[] = {
        {1, 120, 300, 3000, 100000}, {1, 3000, 4, 40, 2000},
        {2, 120, 30, 300, 10000},    {2, 3000, 1, 8, 300},
    };
    const char *length = getenv("LUGE_TEST");
    bool brief = length && !strcmp(length, "short");
    bool lengthy = length && !strcmp(length, "long");
    struct order o = {.seed_from = 1, .seed_to = 1, .steps = 120,
                      .processes = 1, .shrink = true};
    int answer = 0;
    if (parse(&o, argc, argv)) {
        answer = run(&o);
        free(o.skip);
        return answer;
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        o.processes = parts[i].processes;
        o.steps = parts[i].steps;
        o.seed_to = lengthy ? parts[i].lengthy
                    : brief ? parts[i].brief : parts[i].usual;
        answer |= run(&o);
    }
    return answer;
}
