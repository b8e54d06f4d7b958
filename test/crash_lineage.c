/* test/crash_lineage.c -- forks and snapshots against maps that are copied.
 *
 *   crash_lineage [--seeds 1..100] [--steps N] [--processes 2] [--trace]
 *
 * Holds: a seed is a run.  Every step is made by the engine and by the naive
 * twin (family.h), and every answer must be the same: forks of paths, of forks
 * and of snapshots, writes, drops in any order, differences, merges, savepoints
 * that are undone, checkpoints, reopening.
 *   L1  After each commit a snapshot has exactly the twin's content, and older
 *       readers still show theirs.
 *   L2  Two optimistic transactions at once: who lands second either conflicts,
 *       or all its answers are what they would be had it begun then, or it
 *       changed nothing.
 *   L3  luge_check finds nothing after each step; after all is dropped, the
 *       space has come back.
 *   L5  What luge_begin_at makes of the log is the twin's state behind that
 *       commit, or EXPIRED before what luge_history_span says.
 *   L4  With --processes 2 either is killed at any instant; what it was doing
 *       is there as a whole or not at all.
 * Not here: what a fork costs (crash_forks).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family.h"
#include "luge_compact.h"
#include "luge_fork.h"
#include "luge_history.h"

enum {
    READERS = 4,
    PASTS = 64,
    OPS_MAX = 8,
    VALUE_MAX = 24000,
    STEP_VALUE = 0x50000000,
};

static struct {
    uint64_t seed_from, seed_to;
    uint32_t steps, processes;
    bool trace;
} setting = {1, 1, 100, 1, false};

/* Shared by the processes of a run. */
struct meeting {
    _Atomic uint32_t turn;      /* the step that is being made */
    _Atomic uint32_t failed;
    _Atomic uint8_t landed[1 << 16];
};

struct run {
    uint64_t seed;
    uint32_t step;
    char path[600];
    luge_db *db;
    struct family_world world;
    struct family_arena arena;
    struct {
        luge_txn *txn;
        struct family_world world;
    } readers[READERS];
    struct {                    /* behind some of this process's commits */
        uint64_t seq;
        uint32_t revivals;
        struct family_world world;
    } pasts[PASTS];
    uint32_t revivals;          /* forks of snapshots that landed */
    uint32_t past_count;        /* ever noted */
    struct meeting *meeting;    /* NULL: alone */
    uint32_t process;
};

static void wrong(const struct run *r, const char *what)
{
    die("seed %llu, step %u: %s (last failure: %s)\n  replay: crash_lineage "
        "--seeds %llu --steps %u --processes %u --trace",
        (unsigned long long)r->seed, r->step, what, luge_last_error()->text,
        (unsigned long long)r->seed, r->step + 1, setting.processes);
}

static void good(const struct run *r, int rc, const char *what)
{
    if (rc) wrong(r, what);
}

/* ---------------------------------------------------- keys and values -- */

static luge_bytes key_of(uint32_t i, char *space)
{
    int n = sprintf(space, "%04u-%.*s", i, (int)(i % 7) * 8,
                    "a key of some length, so that a page takes not so many");
    return luge_bytes_of(space, (size_t)n);
}

static uint32_t key_number(luge_bytes key)
{
    char text[5] = {0};
    memcpy(text, key.data, 4);
    return (uint32_t)strtoul(text, NULL, 10);
}

static luge_bytes value_of(uint32_t id, uint8_t *space)
{
    struct dice d = dice_of(id, 77);
    uint32_t kind = dice_below(&d, 100);
    size_t size = 8 + (kind < 75   ? dice_below(&d, 120)
                       : kind < 95 ? dice_below(&d, 1500)
                                   : dice_below(&d, VALUE_MAX - 8));
    uint64_t word = id;
    pattern_fill(space, size, id);
    memcpy(space, &word, sizeof word);
    return luge_bytes_of(space, size);
}

/* The number that VALUE was made of, and nothing else. */
static uint32_t value_number(const luge_bytes *value)
{
    static uint8_t space[VALUE_MAX];
    uint64_t word;
    if (!value) return 0;
    if (value->size < 8) die("a value of %zu bytes", value->size);
    memcpy(&word, value->data, sizeof word);
    luge_bytes made = value_of((uint32_t)word, space);
    if (made.size != value->size ||
        memcmp(made.data, value->data, made.size))
        die("a value that nobody wrote");
    return (uint32_t)word;
}

/* -------------------------------------------------------- one operation -- */

static int read_keys(luge_txn *txn, luge_tree tree, const struct family_op *op,
                     uint64_t *answer)
{
    uint32_t found[FAMILY_KEYS];
    char space[80];
    for (uint32_t i = 0; i < op->count; i++) {
        luge_bytes value;
        int rc = luge_get(txn, tree, key_of(op->key + i, space), &value);
        if (rc && rc != LUGE_NOTFOUND) return rc;
        found[i] = rc ? 0 : value_number(&value);
    }
    *answer = digest(1, found, op->count * sizeof(uint32_t));
    return 0;
}

static int note_difference(void *context, luge_bytes key,
                           const luge_bytes *before, const luge_bytes *after)
{
    uint64_t *sum = context;
    *sum = family_note(*sum, key_number(key), value_number(before),
                       value_number(after));
    return 0;
}

static int settle(void *context, luge_bytes key, const luge_bytes *base,
                  const luge_bytes *ours, const luge_bytes *theirs,
                  luge_bytes *result)
{
    uint32_t value;
    int verdict = family_settle(key_number(key), value_number(ours), &value);
    (void)base;
    (void)theirs;
    if (verdict == 1) *result = value_of(value, context);
    return verdict;
}

static int merge(luge_txn *txn, luge_tree from, luge_tree into,
                 const struct family_op *op, uint64_t *answer)
{
    uint8_t space[VALUE_MAX];
    struct luge_merge_options options = {
        .policy = op->policy, .settle = op->settles ? settle : NULL,
        .context = space,
    };
    struct luge_merge_result result = {0};
    int rc = luge_merge(txn, from, into, 0, &options, &result);
    uint64_t words[3] = {result.changes, result.conflicts, result.unsettled};
    *answer = rc == LUGE_INVALID ? 0 : digest(1, words, sizeof words);
    return rc;
}

static int change_keys(luge_txn *txn, luge_tree tree,
                       const struct family_op *op)
{
    char space[80];
    uint8_t bytes[VALUE_MAX];
    int rc = 0;
    for (uint32_t i = 0; i < op->count && !rc; i++) {
        luge_bytes key = key_of(op->key + i, space);
        if (op->kind == FAMILY_PUT)
            rc = luge_put(txn, tree, key, value_of(op->value + i, bytes));
        else
            rc = luge_del(txn, tree, key);
        if (op->kind == FAMILY_DEL && rc == LUGE_NOTFOUND) rc = 0;
    }
    return rc;
}

static int on_trees(luge_txn *txn, const struct family_op *op,
                    uint64_t *answer)
{
    luge_tree a, b;
    unsigned flags = op->kind == FAMILY_CREATE ? LUGE_TREE_CREATE : 0;
    int rc = luge_tree_open(txn, luge_str(op->a), flags, &a);
    if (!rc && (op->kind == FAMILY_DIFF || op->kind == FAMILY_MERGE))
        rc = luge_tree_open(txn, luge_str(op->b), 0, &b);
    if (rc) return rc;
    switch (op->kind) {
    case FAMILY_PUT:
    case FAMILY_DEL: return change_keys(txn, a, op);
    case FAMILY_CLEAR: return luge_tree_clear(txn, a);
    case FAMILY_DROP: return luge_tree_drop(txn, a);
    case FAMILY_RENAME: return luge_tree_rename(txn, a, luge_str(op->b));
    case FAMILY_READ: return read_keys(txn, a, op, answer);
    case FAMILY_MERGE: return merge(txn, a, b, op, answer);
    case FAMILY_DIFF:
        *answer = 1;
        return luge_diff(txn, a, b, note_difference, answer);
    default: return 0;
    }
}

static int on_engine(luge_txn *txn, const struct family_op *op,
                     uint64_t *answer)
{
    luge_tree tree;
    luge_bytes a = luge_str(op->a), b = luge_str(op->b), c = luge_str(op->c);
    int rc;
    *answer = 0;
    switch (op->kind) {
    case FAMILY_FORK: return luge_fork(txn, a, b, NULL);
    case FAMILY_REVIVE: return luge_fork_snapshot(txn, a, b, c, NULL);
    case FAMILY_DROP_PATH: return luge_drop_path(txn, a, NULL);
    case FAMILY_TAKE: return luge_snapshot(txn, b, a);
    case FAMILY_FORGET: return luge_snapshot_drop(txn, a);
    case FAMILY_READ_TAKEN:
        rc = luge_snapshot_open(txn, a, b, &tree);
        return rc ? rc : read_keys(txn, tree, op, answer);
    default: return on_trees(txn, op, answer);
    }
}

static void trace(const struct run *r, const struct family_op *op, int rc)
{
    if (!setting.trace) return;
    fprintf(stderr, "%u: %s '%s' '%s' '%s' %u+%u: %d\n", r->step,
            family_kind_names[op->kind], op->a, op->b, op->c, op->key,
            op->count, rc);
}

/* --------------------------------------------------------------- verify -- */

static void same_tree(const struct run *r, luge_txn *txn, luge_tree tree,
                      const struct family_map *map)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    char space[80];
    uint64_t count = 0, counted;
    good(r, luge_cursor_open(txn, tree, &cursor), "a cursor");
    for (uint32_t i = 0; i < FAMILY_KEYS; i++) {
        if (!map->value[i]) continue;
        count++;
        good(r, luge_cursor_next(cursor, &key, &value), "a key is missing");
        luge_bytes wanted = key_of(i, space);
        if (key.size != wanted.size ||
            memcmp(key.data, wanted.data, key.size) ||
            value_number(&value) != map->value[i])
            wrong(r, "a tree holds something else");
    }
    if (luge_cursor_next(cursor, &key, &value) != LUGE_NOTFOUND)
        wrong(r, "a tree holds too much");
    luge_cursor_close(cursor);
    good(r, luge_tree_count(txn, tree, &counted), "a count");
    if (counted != count) wrong(r, "a tree counts something else");
}

static bool is(luge_bytes name, const char *text)
{
    return name.size == strlen(text) && !memcmp(name.data, text, name.size);
}

/* Does the twin still have it?  Else a past state need not. */
static bool kept(const struct run *r, const struct family_snapshot *s)
{
    for (uint32_t i = 0; i < r->world.snapshot_count; i++)
        if (!strcmp(r->world.snapshots[i].name, s->name) &&
            r->world.snapshots[i].trees == s->trees)
            return true;
    return false;
}

static void same_snapshot(const struct run *r, luge_txn *txn,
                          const struct family_snapshot *s, bool past)
{
    luge_bytes name = {"", 0};
    for (uint32_t i = 0; i <= s->count; i++) {
        luge_tree tree;
        int rc = luge_snapshot_tree_after(txn, luge_str(s->name), name, &name);
        if (rc == LUGE_EXPIRED && past && !kept(r, s)) return;
        if (i == s->count && rc == LUGE_NOTFOUND) return;
        if (rc || i == s->count || !is(name, s->trees[i].name))
            wrong(r, "a snapshot has other trees");
        rc = luge_snapshot_open(txn, luge_str(s->name), name, &tree);
        if (rc == LUGE_EXPIRED && past && !kept(r, s)) continue;
        good(r, rc, "a snapshot's tree");
        same_tree(r, txn, tree, s->trees[i].map);
    }
}

static void same_snapshots(const struct run *r, luge_txn *txn,
                           const struct family_world *w, bool past)
{
    char last[FAMILY_NAME] = "";
    for (uint32_t i = 0; i <= w->snapshot_count; i++) {
        struct luge_snapshot_info info;
        struct luge_snapshot_size size;
        const struct family_snapshot *s = &w->snapshots[i];
        int rc = luge_snapshot_after(txn, luge_str(last), &info);
        if (i == w->snapshot_count && rc == LUGE_NOTFOUND) return;
        if (rc || i == w->snapshot_count || !is(info.name, s->name) ||
            !is(info.path, s->path))
            wrong(r, "there are other snapshots");
        strcpy(last, s->name);
        same_snapshot(r, txn, s, past);
        if (past) continue;
        good(r, luge_snapshot_measure(txn, luge_str(last), &size), "measure");
        if (size.trees != s->count) wrong(r, "a snapshot counts other trees");
    }
}

static void same_state(const struct run *r, luge_txn *txn,
                       const struct family_world *w, bool past)
{
    luge_bytes name = {"", 0};
    luge_tree tree;
    for (uint32_t i = 0; i <= w->tree_count; i++) {
        int rc = luge_tree_after(txn, name, &name, &tree);
        if (i == w->tree_count && rc == LUGE_NOTFOUND) break;
        if (rc || i == w->tree_count || !is(name, w->trees[i].name))
            wrong(r, "there are other trees");
        same_tree(r, txn, tree, w->trees[i].map);
    }
    same_snapshots(r, txn, w, past);
}

/* L1 */
static void same_world(const struct run *r, luge_txn *txn,
                       const struct family_world *w)
{
    same_state(r, txn, w, false);
}

/* The state behind the newest commit of this process. */
static void note_past(struct run *r)
{
    uint64_t seq = luge_committed_seq(r->db);
    uint32_t last = (r->past_count - 1) % PASTS;
    if (!seq) return;           /* opened anew, and nothing was changed */
    if (!r->past_count || r->pasts[last].seq != seq)
        last = r->past_count++ % PASTS;
    r->pasts[last].seq = seq;
    r->pasts[last].revivals = r->revivals;
    r->pasts[last].world = r->world;
}

/* May it have a fork of a snapshot that is gone, newer than the oldest base? */
static bool may_be_lost(const struct run *r, uint32_t i, uint64_t oldest_seq)
{
    uint32_t before = 0;
    for (uint32_t k = 0; k < PASTS && k < r->past_count; k++)
        if (r->pasts[k].seq < oldest_seq && r->pasts[k].revivals > before)
            before = r->pasts[k].revivals;
    return r->pasts[i].seq < oldest_seq || r->pasts[i].revivals > before;
}

/* The twin's difference of what a tree was behind a commit and is now. */
static void same_then_and_now(const struct run *r, uint32_t past,
                              luge_txn *txn)
{
    const struct family_world *then = &r->pasts[past].world;
    struct luge_history span;
    static const struct family_map nothing;
    const struct family_map *was = &nothing, *is_now = &nothing;
    luge_tree before, after;
    uint64_t wanted = 1, found = 1;
    for (uint32_t i = 0; i < then->tree_count; i++)
        if (!strcmp(then->trees[i].name, "main")) was = then->trees[i].map;
    for (uint32_t i = 0; i < r->world.tree_count; i++)
        if (!strcmp(r->world.trees[i].name, "main"))
            is_now = r->world.trees[i].map;
    for (uint32_t i = 0; i < FAMILY_KEYS; i++)
        if (was->value[i] != is_now->value[i])
            wanted = family_note(wanted, i, was->value[i], is_now->value[i]);
    int rc = luge_past_open(txn, r->pasts[past].seq, luge_str("main"),
                            &before);
    good(r, luge_history_span(r->db, &span), "span");
    /* The log may have been recycled since the last look. */
    if (rc == LUGE_EXPIRED && may_be_lost(r, past, span.oldest_seq)) return;
    good(r, rc, "a past tree");
    good(r, luge_tree_open(txn, luge_str("main"), 0, &after), "main");
    good(r, luge_diff(txn, before, after, note_difference, &found), "diff");
    if (wanted != found) wrong(r, "then and now differ in something else");
}

/* L5 */
static void look_back(struct run *r, struct dice *d)
{
    uint32_t have = r->past_count < PASTS ? r->past_count : PASTS;
    if (!have) return;
    uint32_t i = dice_below(d, have);
    struct luge_history span;
    luge_txn *txn, *now;
    int rc = luge_begin_at(r->db, r->pasts[i].seq, &txn);
    if (setting.trace)
        fprintf(stderr, "  back to %llu: %d\n",
                (unsigned long long)r->pasts[i].seq, rc);
    good(r, luge_history_span(r->db, &span), "span");
    if (rc == LUGE_EXPIRED && may_be_lost(r, i, span.oldest_seq)) return;
    good(r, rc, "begin at");
    if (luge_txn_seq(txn) != r->pasts[i].seq) wrong(r, "another state");
    same_state(r, txn, &r->pasts[i].world, true);
    good(r, luge_begin(r->db, LUGE_READ, &now), "begin");
    if (!r->meeting) same_then_and_now(r, i, now);
    luge_abort(now);
    luge_abort(txn);
}

static void report(void *context, const char *sentence)
{
    (void)context;
    fprintf(stderr, "  %s\n", sentence);
}

static void verify(struct run *r, bool whole)
{
    luge_txn *txn;
    good(r, luge_check(r->db, report, NULL), "the check");        /* L3 */
    if (!whole) return;
    good(r, luge_begin(r->db, LUGE_READ, &txn), "begin");
    same_world(r, txn, &r->world);
    luge_abort(txn);
}

/* ---------------------------------------------------------------- steps -- */

/* A transaction of some operations, with what each must answer. */
struct work {
    struct family_world world;
    uint32_t count;
    struct family_op ops[OPS_MAX];
    int codes[OPS_MAX];
    uint64_t answers[OPS_MAX];
};

/* Do OP to the twin, and to TXN if there is one. */
static void one(struct run *r, struct work *w, luge_txn *txn,
                const struct family_op *op)
{
    uint64_t answer;
    int code = family_do(&w->world, &r->arena, op, &w->answers[w->count]);
    if (txn) {
        int rc = on_engine(txn, op, &answer);
        trace(r, op, rc);
        if (rc != code) {
            fprintf(stderr, "%s '%s' '%s' '%s' answered %d, not %d\n",
                    family_kind_names[op->kind], op->a, op->b, op->c, rc,
                    code);
            wrong(r, "another answer");
        }
        if ((!rc || rc == LUGE_MISMATCH) && answer != w->answers[w->count])
            wrong(r, family_kind_names[op->kind]);
    }
    if (!code && op->kind == FAMILY_REVIVE) r->revivals++;
    w->ops[w->count] = *op;
    w->codes[w->count++] = code;
}

static void some_ops(struct run *r, struct dice *d, struct work *w,
                     luge_txn *txn)
{
    struct family_op op;
    uint32_t count = 1 + dice_below(d, OPS_MAX - 2);
    uint32_t undo = dice_below(d, 3 * OPS_MAX), savepoint = 0;
    struct family_world before = r->world;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t value = (r->step * 16 + i + 1) * 256;
        if (i == undo) {
            before = w->world;
            if (txn) good(r, luge_savepoint(txn, &savepoint), "savepoint");
        }
        family_choose(&w->world, d, value + dice_below(d, 2) * 100000, &op);
        one(r, w, txn, &op);
        if (i <= undo || !dice_chance(d, 30)) continue;
        if (txn) good(r, luge_rollback(txn, savepoint), "rollback");
        if (setting.trace && txn) fprintf(stderr, "  undone\n");
        uint32_t uid = w->world.next_uid, now = w->world.time;
        w->world = before;
        w->world.next_uid = uid;
        w->world.time = now;
    }
    bool look = dice_chance(d, 10);       /* the same dice for either process */
    if (txn && look) same_world(r, txn, &w->world);
}

/* Which step was the last to land: for whoever comes after a death. */
static void note_step(struct run *r, struct work *w, luge_txn *txn)
{
    struct family_op make = {.kind = FAMILY_CREATE, .a = "step"};
    struct family_op put = {.kind = FAMILY_PUT, .a = "step", .count = 1,
                            .value = STEP_VALUE + r->step};
    one(r, w, txn, &make);
    one(r, w, txn, &put);
}

static unsigned any_flags(struct dice *d)
{
    return (dice_chance(d, 50) ? LUGE_WRITE : LUGE_TURN) |
           (dice_chance(d, 80) ? LUGE_TXN_ASYNC : LUGE_TXN_FULL);
}

/* LIVE: this process makes the step; else only its twin does. */
static void transact(struct run *r, struct dice *d, bool live)
{
    struct work *w = grab(sizeof *w);
    luge_txn *txn = NULL;
    unsigned flags = any_flags(d);
    w->world = r->world;
    w->count = 0;
    if (live) good(r, luge_begin(r->db, flags, &txn), "begin");
    some_ops(r, d, w, txn);
    bool commit = dice_chance(d, 90);
    if (r->meeting) note_step(r, w, txn);
    if (live && commit) good(r, luge_commit(txn), "commit");
    else if (live) luge_abort(txn);
    if (commit) r->world = w->world;
    if (commit && live) note_past(r);
    free(w);
}

/* Would all answers be the same now? */
static bool repeats(struct run *r, const struct work *w,
                    struct family_world *world)
{
    for (uint32_t i = 0; i < w->count; i++) {
        uint64_t answer;
        int code = family_do(world, &r->arena, &w->ops[i], &answer);
        if (code != w->codes[i] || answer != w->answers[i]) return false;
    }
    return true;
}

/* L2.  The second has no savepoints: what was undone would have to repeat. */
static void two_at_once(struct run *r, struct dice *d)
{
    struct work *w = grab(sizeof *w);
    struct family_op op;
    luge_txn *txn;
    w->world = r->world;
    w->count = 0;
    good(r, luge_begin(r->db, LUGE_WRITE | LUGE_TXN_ASYNC, &txn), "begin");
    for (uint32_t i = 0, n = 1 + dice_below(d, 4); i < n; i++) {
        family_choose(&w->world, d, (r->step * 16 + i + 9) * 256, &op);
        one(r, w, txn, &op);
    }
    transact(r, d, true);
    struct family_world *after = grab(sizeof *after);
    *after = r->world;
    bool same = repeats(r, w, after);
    uint64_t seq = luge_committed_seq(r->db);
    int rc = luge_commit(txn);
    bool changed = luge_committed_seq(r->db) != seq;
    if (setting.trace) fprintf(stderr, "  second: %d\n", rc);
    if (rc && rc != LUGE_CONFLICT) wrong(r, "commit");
    if (changed && !same) wrong(r, "a missed conflict");
    if (changed) r->world = *after;
    if (changed) note_past(r);
    free(after);
    free(w);
}

static void reader_end(struct run *r, uint32_t i)
{
    if (!r->readers[i].txn) return;
    same_world(r, r->readers[i].txn, &r->readers[i].world);
    luge_abort(r->readers[i].txn);
    r->readers[i].txn = NULL;
}

static void reader_step(struct run *r, struct dice *d)
{
    uint32_t i = dice_below(d, READERS);
    if (r->readers[i].txn) {
        reader_end(r, i);
        return;
    }
    good(r, luge_begin(r->db, LUGE_READ, &r->readers[i].txn), "begin");
    r->readers[i].world = r->world;
}

static void open_db(struct run *r)
{
    struct dice d = dice_of(r->seed, r->step + 1000000u);
    struct luge_options options = {
        .checkpoint_bytes = dice_chance(&d, 50) ? 1 << 20 : 0,
        .cache_bytes = dice_chance(&d, 30) ? 1 << 16 : 0,
        .log_keep_bytes = dice_chance(&d, 50) ? 1 : 0,
    };
    good(r, luge_open(r->path, &options, &r->db), "open");
}

static void close_db(struct run *r)
{
    for (uint32_t i = 0; i < READERS; i++) reader_end(r, i);
    good(r, luge_close(r->db), "close");
    r->db = NULL;
}

static void step(struct run *r, bool live)
{
    struct dice d = dice_of(r->seed, r->step);
    uint32_t kind = dice_below(&d, 100);
    if (kind < 70 || (r->meeting && kind < 80)) {
        transact(r, &d, live);
    } else if (kind < 80) {
        two_at_once(r, &d);
    } else if (!live) {
        return;
    } else if (kind < 90) {
        reader_step(r, &d);
    } else if (kind < 93) {
        good(r, luge_checkpoint(r->db), "checkpoint");
    } else if (kind < 95) {
        good(r, luge_compact(r->db, NULL, NULL, NULL), "compact");
    } else if (kind < 98) {
        close_db(r);
        open_db(r);
    } else {
        good(r, luge_sync(r->db), "sync");
    }
    if (live) verify(r, dice_chance(&d, 20));
    if (live && dice_chance(&d, 30)) look_back(r, &d);
}

/* ---------------------------------------------------------------- alone -- */

static void begin_world(struct run *r)
{
    struct family_op main_tree = {.kind = FAMILY_CREATE, .a = "main"};
    uint64_t answer;
    memset(&r->world, 0, sizeof r->world);
    (void)family_do(&r->world, &r->arena, &main_tree, &answer);
}

static int drop_all(luge_txn *txn, void *context)
{
    struct luge_snapshot_info info;
    luge_bytes name = {"", 0};
    luge_tree tree;
    int rc = 0;
    (void)context;
    while (!rc && !luge_snapshot_after(txn, luge_str(""), &info)) {
        char copy[FAMILY_NAME];
        memcpy(copy, info.name.data, info.name.size);
        rc = luge_snapshot_drop(txn, luge_bytes_of(copy, info.name.size));
    }
    while (!rc && !luge_tree_after(txn, name, &name, &tree))
        rc = tree == LUGE_MAIN ? luge_tree_clear(txn, tree)
                               : luge_tree_drop(txn, tree);
    return rc;
}

/* L3: all that is left are the catalog and the list of what is free. */
static void drain(struct run *r)
{
    struct luge_stats stats;
    for (uint32_t i = 0; i < READERS; i++) reader_end(r, i);
    good(r, luge_transact(r->db, LUGE_TXN_ASYNC, drop_all, NULL), "drop all");
    for (int i = 0; i < 3; i++)
        good(r, luge_checkpoint(r->db), "checkpoint");
    good(r, luge_check(r->db, report, NULL), "the last check");
    good(r, luge_stat(r->db, &stats), "stat");
    if (stats.pages_total - stats.pages_free - stats.pages_pending > 16) {
        fprintf(stderr, "  of %llu pages %llu are free, %llu pending\n",
                (unsigned long long)stats.pages_total,
                (unsigned long long)stats.pages_free,
                (unsigned long long)stats.pages_pending);
        wrong(r, "the space did not come back");
    }
}

static void alone(uint64_t seed)
{
    struct run *r = grab(sizeof *r);
    char *base = scratch_make(SCRATCH_FAST);
    memset(r, 0, sizeof *r);
    r->seed = seed;
    snprintf(r->path, sizeof r->path, "%s/db", base);
    begin_world(r);
    open_db(r);
    for (r->step = 0; r->step < setting.steps; r->step++) step(r, true);
    verify(r, true);
    drain(r);
    close_db(r);
    scratch_remove(base);
    family_free(&r->arena);
    free(r);
}

/* ---------------------------------------------------------- in company -- */

static uint32_t owner_of(uint64_t seed, uint32_t i)
{
    struct dice d = dice_of(seed, i + 5000000u);
    return dice_below(&d, 2);
}

/* Did step I land before its maker died? */
static bool did_land(struct run *r, uint32_t i)
{
    luge_txn *txn;
    luge_tree tree;
    luge_bytes value;
    uint32_t last = 0;
    char space[80];
    good(r, luge_begin(r->db, LUGE_TURN, &txn), "begin");
    int rc = luge_tree_open(txn, luge_str("step"), 0, &tree);
    if (!rc) rc = luge_get(txn, tree, key_of(0, space), &value);
    if (!rc) last = value_number(&value);
    luge_abort(txn);
    /* It may not be durable yet, and until then it is shown to nobody. */
    good(r, luge_sync(r->db), "sync");
    return last == STEP_VALUE + i;
}

/* The steps up to FROM are the past; if CLEAR, their last one's maker died. */
static void member(struct run *r, uint32_t from, bool clear)
{
    struct meeting *m = r->meeting;
    begin_world(r);
    open_db(r);
    if (clear) {
        r->step = from;
        m->landed[from] = did_land(r, from);
        if (setting.trace)
            fprintf(stderr, "%u: its maker died; it %s\n", from,
                    m->landed[from] ? "landed" : "did not land");
        m->turn = from + 1;
    }
    for (r->step = 0; r->step < setting.steps; r->step++) {
        bool live = r->step >= from + clear &&
                    owner_of(r->seed, r->step) == r->process;
        if (live) {
            while (m->turn < r->step) nap_us(20);
            step(r, true);
            m->landed[r->step] = 1;
            m->turn = r->step + 1;
            continue;
        }
        while (m->turn <= r->step) nap_us(20);
        if (m->landed[r->step]) step(r, false);
    }
    verify(r, true);
    close_db(r);
}

static pid_t start_member(uint64_t seed, const char *path, struct meeting *m,
                          uint32_t process, uint32_t from, bool clear)
{
    pid_t pid = fork();
    if (pid) return pid;
    struct run *r = grab(sizeof *r);
    memset(r, 0, sizeof *r);
    r->seed = seed;
    r->meeting = m;
    r->process = process;
    snprintf(r->path, sizeof r->path, "%s", path);
    member(r, from, clear);
    _exit(0);
}

static void must_end_well(struct meeting *m, pid_t pid)
{
    int status = 0;
    (void)waitpid(pid, &status, 0);
    if (WIFEXITED(status) && !WEXITSTATUS(status)) return;
    m->failed = 1;
}

/* Kill a process in the middle of a step of its own, then start it anew. */
static void kill_some(uint64_t seed, const char *path, struct meeting *m,
                      pid_t *pids)
{
    struct dice d = dice_of(seed, 9999999);
    uint32_t at = dice_below(&d, 30);
    for (; at < setting.steps; at += 1 + dice_below(&d, 30)) {
        uint32_t process = owner_of(seed, at);
        while (m->turn < at) {
            if (waitpid(-1, NULL, WNOHANG) > 0) {
                m->failed = 1;
                return;
            }
            nap_us(20);
        }
        nap_us(dice_below(&d, 4000));
        kill(pids[process], SIGKILL);
        (void)waitpid(pids[process], NULL, 0);
        at = m->turn;            /* it may have gone on before it died */
        if (setting.trace) fprintf(stderr, "%u: killed %u\n", at, process);
        if (at >= setting.steps) return;
        pids[process] = start_member(seed, path, m, process, at,
                                     owner_of(seed, at) == process);
    }
}

static void in_company(uint64_t seed)
{
    char *base = scratch_make(SCRATCH_FAST), path[600];
    struct meeting *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[2];
    if (m == MAP_FAILED || setting.steps > COUNT_OF(m->landed))
        die("no memory to share");
    snprintf(path, sizeof path, "%s/db", base);
    for (uint32_t i = 0; i < 2; i++)
        pids[i] = start_member(seed, path, m, i, 0, false);
    kill_some(seed, path, m, pids);
    if (m->failed)
        for (int i = 0; i < 2; i++) kill(pids[i], SIGKILL);
    for (int i = 0; i < 2; i++) must_end_well(m, pids[i]);
    if (m->failed)
        die("seed %llu failed: crash_lineage --seeds %llu --steps %u "
            "--processes 2 --trace", (unsigned long long)seed,
            (unsigned long long)seed, setting.steps);
    munmap(m, sizeof *m);
    scratch_remove(base);
}

/* ----------------------------------------------------------------- main -- */

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--trace")) {
            setting.trace = true;
            continue;
        }
        if (!strcmp(argv[i], "--seeds"))
            parse_span(value, &setting.seed_from, &setting.seed_to);
        else if (!strcmp(argv[i], "--steps"))
            setting.steps = (uint32_t)strtoul(value, NULL, 10);
        else if (!strcmp(argv[i], "--processes"))
            setting.processes = (uint32_t)strtoul(value, NULL, 10);
        else
            die("%s? see the head of crash_lineage.c", argv[i]);
        i++;
    }
    return argc > 1;
}

static void run(void)
{
    uint64_t start = now_ns();
    for (uint64_t seed = setting.seed_from; seed <= setting.seed_to; seed++) {
        if (setting.processes == 2) in_company(seed);
        else alone(seed);
    }
    printf("%u process%s, %u steps, seeds %llu..%llu: sound, %.1f s\n",
           setting.processes, setting.processes == 2 ? "es" : "",
           setting.steps, (unsigned long long)setting.seed_from,
           (unsigned long long)setting.seed_to,
           (double)(now_ns() - start) / 1e9);
}

int main(int argc, char **argv)
{
    static const struct { uint32_t processes, steps, brief, usual, lengthy; }
    parts[] = {
        {1, 100, 5, 60, 5000}, {1, 1500, 0, 1, 100}, {2, 100, 2, 10, 1000},
    };
    const char *length = getenv("LUGE_TEST");
    bool brief = length && !strcmp(length, "short");
    bool lengthy = length && !strcmp(length, "long");
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (parse(argc, argv)) {
        run();
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        setting.processes = parts[i].processes;
        setting.steps = parts[i].steps;
        setting.seed_from = 1;
        setting.seed_to = lengthy ? parts[i].lengthy
                          : brief ? parts[i].brief : parts[i].usual;
        if (setting.seed_to) run();
    }
    return 0;
}
