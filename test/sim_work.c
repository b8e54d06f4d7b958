/* test/sim_work.c -- see sim_work.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "sim_work.h"

#include <stdarg.h>
#include <stdlib.h>

enum { WRITER = 0, READER = 1, OPS_MAX = 7 };

/* -------------------------------------------------------------- ledger -- */

static void ledger_set(struct ledger *l, uint64_t seq, uint64_t sum)
{
    size_t at = (size_t)(seq - l->first);
    if (at >= l->capacity) {
        l->capacity = 2 * at + 8;
        l->sums = grab_more(l->sums, l->capacity * sizeof *l->sums);
    }
    l->sums[at] = sum;
    l->count = at + 1;
}

void ledger_opened(struct ledger *l, uint64_t seq, uint64_t sum)
{
    if (!l->count || seq < l->first) l->first = seq;
    l->durable = l->returned = l->attempted = seq;
    l->opened = true;
    ledger_set(l, seq, sum);
}

void ledger_try(struct ledger *l, uint64_t sum)
{
    l->attempted = l->returned + 1;
    ledger_set(l, l->attempted, sum);
}

void ledger_landed(struct ledger *l, bool durable)
{
    l->returned = l->attempted;
    if (durable) l->durable = l->returned;
}

void ledger_refused(struct ledger *l)
{
    l->attempted = l->returned;
}

bool ledger_knows(const struct ledger *l, uint64_t seq, uint64_t sum)
{
    return seq >= l->first && seq - l->first < l->count &&
           l->sums[seq - l->first] == sum;
}

struct ledger ledger_copy(const struct ledger *l)
{
    struct ledger copy = *l;
    if (!l->count) return copy;
    copy.first = l->durable;
    copy.count = copy.capacity = (size_t)(l->attempted - l->durable + 1);
    copy.sums = grab(copy.count * sizeof *copy.sums);
    memcpy(copy.sums, l->sums + (l->durable - l->first),
           copy.count * sizeof *copy.sums);
    return copy;
}

void ledger_free(struct ledger *l)
{
    free(l->sums);
    memset(l, 0, sizeof *l);
}

/* ------------------------------------------------------------- content -- */

static uint64_t content_tree(luge_tree tree, luge_bytes name)
{
    return digest(tree * 3 + 1, name.data, name.size);
}

uint64_t content_pair(luge_tree tree, luge_bytes key, luge_bytes value)
{
    return digest(digest(tree * 3 + 2, key.data, key.size), value.data,
                  value.size);
}

uint64_t content_empty(void)
{
    return content_tree(LUGE_MAIN, luge_str("main"));
}

static uint64_t content_of(const struct state *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct tree *t = s->trees[i];
        sum += content_tree(t->number, blob_bytes(t->name));
        for (size_t j = 0; j < t->count; j++)
            sum += content_pair(t->number, blob_bytes(t->pairs[j].key),
                                blob_bytes(t->pairs[j].value));
    }
    return sum;
}

static int compare(luge_bytes a, luge_bytes b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

static int tree_read(luge_txn *txn, luge_tree tree, uint64_t *sum)
{
    unsigned char room[LUGE_KEY_SIZE_MAX];
    luge_bytes key, value, last = luge_bytes_of(room, 0);
    uint64_t count, seen = 0;
    luge_cursor *c;
    int rc = luge_tree_count(txn, tree, &count);
    if (!rc) rc = luge_cursor_open(txn, tree, &c);
    if (rc) return rc;
    while (!(rc = luge_cursor_next(c, &key, &value))) {
        if (key.size > sizeof room || (seen++ && compare(last, key) >= 0)) {
            rc = CONTENT_WRONG;
            break;
        }
        memcpy(room, key.data, key.size);
        last.size = key.size;
        *sum += content_pair(tree, key, value);
    }
    luge_cursor_close(c);
    if (rc != LUGE_NOTFOUND) return rc;
    return seen == count ? 0 : CONTENT_WRONG;
}

static int trees_read(luge_txn *txn, uint64_t *sum)
{
    unsigned char room[LUGE_NAME_SIZE_MAX];
    luge_bytes name = luge_bytes_of(room, 0);
    luge_tree tree;
    int rc;
    while (!(rc = luge_tree_after(txn, name, &name, &tree))) {
        if (name.size > sizeof room) return CONTENT_WRONG;
        memcpy(room, name.data, name.size);
        name.data = room;
        *sum += content_tree(tree, name);
        rc = tree_read(txn, tree, sum);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int content_sum(luge_db *db, uint64_t *seq, uint64_t *sum)
{
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_READ, &txn);
    if (rc) return rc;
    *sum = 0;
    *seq = luge_txn_seq(txn);
    rc = trees_read(txn, sum);
    luge_abort(txn);
    return rc;
}

/* ------------------------------------------------------- contradictions -- */

static void wrong(struct work *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void wrong(struct work *w, const char *format, ...)
{
    va_list list;
    if (!w->why[0]) {
        va_start(list, format);
        vsnprintf(w->why, sizeof w->why, format, list);
        va_end(list);
    }
    w->ended = true;
}

/* True: RC is an error of the world, and there may be one now (K3). */
static bool excused(struct work *w, int rc)
{
    if (!rc || (rc == LUGE_BROKEN ? !w->may_break : rc != w->trouble))
        return false;
    if (rc == LUGE_BROKEN) w->broken = true;
    w->errors++;
    if (luge_last_error()->code != rc)
        wrong(w, "error %d came without its sentence", rc);
    return true;
}

static void trace(struct work *w, const struct step *s,
                  const struct outcome *o)
{
    if (!w->trace) return;
    fprintf(stderr, "%4u  ", w->step);
    step_print(stderr, s);
    fprintf(stderr, "  ->  ");
    outcome_print(stderr, o);
    if (o->rc < 0)
        fprintf(stderr, " (%s)", luge_last_error()->text);
    fprintf(stderr, "  at %llu\n", (unsigned long long)sim_changes(w->os));
}

/* Make S and throw what it gave away but the code. */
static int call(struct work *w, struct step *s, uint64_t *number)
{
    struct outcome seen;
    hand_step(&w->hand, s, &seen);
    trace(w, s, &seen);
    int rc = seen.rc;
    if (number) *number = seen.number;
    if (rc && !excused(w, rc))
        wrong(w, "%s answered %d (%s)", step_name(s->kind), rc,
              luge_last_error()->text);
    outcome_free(&seen);
    step_free(s);
    return rc;
}

static int simple(struct work *w, enum step_kind kind, unsigned slot)
{
    struct step s = {.kind = kind, .slot = slot};
    return call(w, &s, NULL);
}

/* ------------------------------------------------------ keys and values -- */

static struct blob *some_key(struct work *w, struct dice *d)
{
    char text[64];
    unsigned n = dice_below(d, w->keys);
    int size = snprintf(text, sizeof text, "key/%04u%s", n,
                        n % 5 ? "" : "/with a longer end than others");
    return blob_of(text, (size_t)size);
}

static size_t some_size(struct work *w, struct dice *d)
{
    uint32_t roll = dice_below(d, 100);
    if (w->value_style == 0 || roll < 40) return dice_below(d, 300);
    if (roll < 70) return dice_below(d, 3000);
    if (w->value_style == 1 || roll < 90) return dice_below(d, 16000);
    return 40000 + dice_below(d, dice_chance(d, 25) ? 400000 : 60000);
}

static struct blob *some_value(struct work *w, struct dice *d)
{
    size_t size = some_size(w, d);
    struct blob *b = grab(sizeof *b + size);
    b->owners = 1;
    b->size = size;
    pattern_fill(b->data, size, dice_next(d));
    return b;
}

static struct blob *some_name(struct dice *d)
{
    char text[16];
    int size = snprintf(text, sizeof text, "tree/%u", dice_below(d, 6));
    return blob_of(text, (size_t)size);
}

static luge_tree some_tree(const struct state *s, struct dice *d)
{
    if (dice_chance(d, 50)) return LUGE_MAIN;
    return s->trees[dice_below(d, (uint32_t)s->count)]->number;
}

/* --------------------------------------------------------- transactions -- */

static void choose_tree_op(const struct model_txn *t, struct step *s,
                           struct dice *d)
{
    uint32_t roll = dice_below(d, 140);
    s->tree = some_tree(&t->now, d);
    if (roll >= 120) {
        s->kind = STEP_SNAPSHOT;
        s->tree = 0;
        s->key = some_name(d);
    } else if (roll >= 100) {
        s->kind = STEP_TREE_FORK;
        s->key = some_name(d);
    } else if (s->tree == LUGE_MAIN || roll < 40) {
        s->kind = STEP_TREE_OPEN;
        s->flags = LUGE_TREE_CREATE;
        s->tree = 0;
        s->key = some_name(d);
    } else if (roll < 65) {
        s->kind = STEP_TREE_DROP;
    } else if (roll < 85) {
        s->key = some_name(d);
        s->kind = STEP_TREE_RENAME;
        if (!state_named(&t->now, blob_bytes(s->key))) return;
        s->kind = STEP_TREE_CLEAR;
    } else {
        s->kind = STEP_TREE_CLEAR;
    }
}

static void choose_op(struct work *w, const struct model_txn *t,
                      struct step *s, struct dice *d)
{
    uint32_t roll = dice_below(d, 100);
    s->tree = some_tree(&t->now, d);
    if (roll < 16) {
        choose_tree_op(t, s, d);
    } else if (roll < 24) {
        bool set = t->saved_count < SAVEPOINTS &&
                   (!t->saved_count || dice_chance(d, 50));
        s->kind = set ? STEP_SAVEPOINT : STEP_ROLLBACK;
        s->tree = 0;
        s->index = set ? t->saved_count : dice_below(d, t->saved_count);
    } else if (roll < 30) {
        s->kind = roll < 27 ? STEP_POP_MIN : STEP_POP_MAX;
    } else if (roll < 34) {
        s->kind = STEP_DEL_RANGE;
        s->flags = 1;
        s->key = some_key(w, d);
        s->to = some_key(w, d);
    } else {
        s->kind = roll < 48 ? STEP_DEL : STEP_PUT;
        s->key = some_key(w, d);
        if (s->kind == STEP_PUT) s->value = some_value(w, d);
    }
}

/* One operation on both sides.  False: the transaction must end. */
static bool both(struct work *w, struct model_txn *t, struct step *s)
{
    struct outcome seen, expected = {0};
    hand_step(&w->hand, s, &seen);
    trace(w, s, &seen);
    bool made = s->kind == STEP_TREE_OPEN || s->kind == STEP_TREE_FORK;
    if (made && !seen.rc &&
        seen.number > w->ledger.id_last)
        w->ledger.id_last = seen.number;
    bool good = !excused(w, seen.rc);
    if (good) {
        model_step(t, s, &seen, &expected);
        good = outcome_same(&seen, &expected);
        if (!good)
            wrong(w, "%s answered %d, not %d", step_name(s->kind), seen.rc,
                  expected.rc);
    }
    outcome_free(&seen);
    outcome_free(&expected);
    step_free(s);
    return good;
}

static bool is_full(const struct work *w, unsigned flags)
{
    if (flags & LUGE_TXN_FULL) return true;
    if (flags & LUGE_TXN_ASYNC) return false;
    return w->options.durability != LUGE_ASYNC;
}

/* Make S, which lands what T did.  S and T are used up. */
static void land(struct work *w, struct step *s, struct model_txn *t,
                 bool full)
{
    uint64_t before = w->ledger.returned;
    bool hopeless = w->broken;
    if (!hopeless) ledger_try(&w->ledger, content_of(&t->now));
    int rc = call(w, s, NULL);
    if (rc) {
        if (!hopeless && rc != LUGE_BROKEN) ledger_refused(&w->ledger);
        model_forget(t);
        return;
    }
    if (hopeless) wrong(w, "a commit succeeded after LUGE_BROKEN");
    uint64_t seq = luge_committed_seq(w->hand.db);
    bool none = !seq || seq == before; /* nothing was changed */
    if (!none && seq != before + 1)
        wrong(w, "commit %llu follows %llu", (unsigned long long)seq,
              (unsigned long long)before);
    if (none && model_wrote(t) &&
        content_of(&t->now) != content_of(&w->model.head))
        wrong(w, "a commit that changed something has no number");
    model_land(t);
    if (none) ledger_refused(&w->ledger);
    else ledger_landed(&w->ledger, full);
}

static void step_txn(struct work *w, struct dice *d)
{
    static const unsigned kinds[] = {LUGE_WRITE, LUGE_WRITE, LUGE_TURN};
    static const unsigned lasting[] = {0, LUGE_TXN_FULL, LUGE_TXN_ASYNC};
    unsigned flags = kinds[dice_below(d, 3)] | lasting[dice_below(d, 3)];
    unsigned count = 1 + dice_below(d, OPS_MAX);
    bool abort = dice_chance(d, 12), good = true;
    struct step s = {.kind = STEP_BEGIN, .slot = WRITER, .flags = flags};
    if (call(w, &s, NULL)) return;
    struct model_txn *t = model_begin(&w->model, LUGE_TURN);
    while (count-- && good) {
        struct step op = {.slot = WRITER};
        choose_op(w, t, &op, d);
        good = both(w, t, &op);
    }
    s = (struct step){.kind = STEP_COMMIT, .slot = WRITER};
    if (good && !abort) {
        land(w, &s, t, is_full(w, flags));
    } else {
        simple(w, STEP_ABORT, WRITER);
        model_forget(t);
    }
}

static void step_batch(struct work *w, struct dice *d)
{
    static const unsigned lasting[] = {0, LUGE_TXN_FULL, LUGE_TXN_ASYNC};
    const struct outcome none = {0};
    struct outcome expected;
    struct step s = {.kind = STEP_BATCH, .slot = NO_SLOT,
                     .flags = lasting[dice_below(d, 3)]};
    for (unsigned n = 1 + dice_below(d, 10); n; n--) {
        struct blob *key = some_key(w, d), *value = some_value(w, d);
        struct batch_op op = {dice_chance(d, 30),
                              some_tree(&w->model.head, d), blob_bytes(key),
                              blob_bytes(value)};
        batch_add(&s.value, &op);
        blob_drop(key);
        blob_drop(value);
    }
    struct model_txn *t = model_begin(&w->model, LUGE_TURN);
    model_step(t, &s, &none, &expected);
    outcome_free(&expected);
    land(w, &s, t, is_full(w, s.flags));
}

/* ------------------------------------------------------------ the others -- */

static void step_id(struct work *w, struct dice *d)
{
    struct step s = {.kind = STEP_NEXT_ID, .slot = NO_SLOT};
    uint64_t id;
    if (dice_chance(d, 40)) s.index = 1 + dice_below(d, 1 << 20);
    unsigned count = s.index ? s.index : 1;
    if (call(w, &s, &id)) return;
    if (id <= w->ledger.id_last)
        wrong(w, "id %llu after %llu", (unsigned long long)id,
              (unsigned long long)w->ledger.id_last);
    w->ledger.id_last = id + count - 1;
}

/* A snapshot that stays open keeps pages from being used again. */
static void step_reader(struct work *w)
{
    struct step s = {.kind = STEP_BEGIN, .slot = READER, .flags = LUGE_READ};
    if (!w->reading) {
        w->reading = !call(w, &s, NULL);
        return;
    }
    simple(w, STEP_ABORT, READER);
    w->reading = false;
}

static void step_durable(struct work *w, enum step_kind kind)
{
    if (!simple(w, kind, NO_SLOT) && !w->broken)
        w->ledger.durable = w->ledger.returned;
}

static void verify(struct work *w)
{
    uint64_t seq = 0, sum = 0;
    int rc = content_sum(w->hand.db, &seq, &sum);
    if (rc && excused(w, rc)) return;
    if (rc)
        wrong(w, "reading all answered %d (%s)", rc, luge_last_error()->text);
    else if (seq != w->ledger.returned || !ledger_knows(&w->ledger, seq, sum))
        wrong(w, "the content at commit %llu is not that of commit %llu",
              (unsigned long long)seq,
              (unsigned long long)w->ledger.returned);
}

void work_close(struct work *w)
{
    bool broken = w->broken;
    if (!w->hand.db) return;
    int rc = hand_close(&w->hand);
    w->hand.db = NULL;
    w->reading = false;
    if (!rc && broken) wrong(w, "luge_close succeeded after LUGE_BROKEN");
    if (!rc) w->ledger.durable = w->ledger.returned;
    else if (!excused(w, rc))
        wrong(w, "luge_close answered %d (%s)", rc, luge_last_error()->text);
    if (rc) w->ended = true;
}

void work_open(struct work *w)
{
    uint64_t seq = 0, sum = 0;
    int rc = hand_open(&w->hand, WORK_PATH, &w->options);
    if (rc) {
        if (!excused(w, rc))
            wrong(w, "luge_open answered %d (%s)", rc,
                  luge_last_error()->text);
        if (w->hand.db) work_close(w);
        w->ended = true;
        return;
    }
    if (w->ledger.opened) {
        verify(w);
        return;
    }
    rc = content_sum(w->hand.db, &seq, &sum);
    if (rc ? !excused(w, rc) : sum != content_empty())
        wrong(w, "a new database is not empty (%d)", rc);
    w->ended = w->ended || rc;
    if (!rc) ledger_opened(&w->ledger, seq, sum);
}

static void step_reopen(struct work *w)
{
    work_close(w);
    if (!w->ended) work_open(w);
}

bool work_step(struct work *w)
{
    struct dice d = dice_of(w->seed, 1000 + w->step);
    uint32_t roll = dice_below(&d, 100);
    if (w->ended || w->step == w->steps) return false;
    if (roll < 48) step_txn(w, &d);
    else if (roll < 66) step_batch(w, &d);
    else if (roll < 74) step_id(w, &d);
    else if (roll < 80) step_durable(w, STEP_SYNC);
    else if (roll < 87) step_durable(w, STEP_CHECKPOINT);
    else if (roll < 89) step_durable(w, STEP_COMPACT);
    else if (roll < 94) step_reader(w);
    else step_reopen(w);
    w->step++;
    return !w->ended;
}

void work_init(struct work *w, uint64_t seed, unsigned steps, struct os *os)
{
    static const uint32_t pages[] = {0, 0, 4096, 8192, 16384};
    static const uint64_t checkpoints[] = {8 << 10, 32 << 10, 100 << 10,
                                           300 << 10, 0};
    static const uint64_t keeps[] = {1, 1, 300 << 10, 0};
    static const uint64_t caches[] = {0, 0, 48 << 10, 256 << 10};
    struct dice d = dice_of(seed, 7);
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->os = os;
    w->steps = steps;
    w->keys = 8 + dice_below(&d, 80);
    w->value_style = dice_below(&d, 3);
    w->options.platform = os;
    w->options.page_bytes = pages[dice_below(&d, COUNT_OF(pages))];
    w->options.durability = dice_chance(&d, 40) ? LUGE_ASYNC : LUGE_FULL;
    w->options.checkpoint_bytes =
        checkpoints[dice_below(&d, COUNT_OF(checkpoints))];
    w->options.log_keep_bytes = keeps[dice_below(&d, COUNT_OF(keeps))];
    w->options.cache_bytes = caches[dice_below(&d, COUNT_OF(caches))];
    model_init(&w->model);
}

void work_free(struct work *w)
{
    model_free(&w->model);
    ledger_free(&w->ledger);
}
