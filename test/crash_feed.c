/* test/crash_feed.c -- the feed under processes that are killed.
 *
 *   writers    number their transactions; each first writes its number
 *   ledgers    durable consumers: they note the digest of each transaction of
 *              the tree "data" and acknowledge it, in one transaction; two of
 *              them share one name and get in each other's way
 *   mirrors    watch with old values, every transaction or only those that
 *              concern them, keep the content in memory, and compare it with
 *              snapshots and every old value with what they had
 * The parent kills them at random and starts them anew.  In the end:
 *   every ledger is equal to the log from where it began: exactly once, in
 *   order, nothing missing;  the log has every writer's numbers densely, and
 *   all that were acknowledged;  the log replayed is the content;
 *   luge_check is content.
 * Not here: power loss (crash_sim.c), the single functions (test_feed.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_feed.h"
#include "support.h"

enum {
    WRITERS_MAX = 8, LEDGERS = 3, MIRRORS = 3,
    CREW_MAX = WRITERS_MAX + LEDGERS + MIRRORS,
    KEYS = 40, KEY_BYTES = 24, VALUE_MAX = 20000, MAP_SLOTS = 4096,
    BATCH = 16, WAIT_MS = 200, KILL_EVERY_MS = 40, END_SECONDS = 60,
};

struct shared {
    _Atomic uint64_t acked[WRITERS_MAX], written;
    _Atomic uint64_t final;             /* 0 until the writers have stopped */
    _Atomic int stop;
    _Atomic uint64_t kills, compared, olds, conflicts, acks;
};

struct feed {
    struct shared *shared;
    char *base, path[600];
    uint64_t seed, generation[CREW_MAX];
    uint32_t writers;
    double seconds;
    pid_t crew[CREW_MAX];               /* writers, ledgers, mirrors */
};

static void fine(int rc, const char *what)
{
    if (rc) die("%s: %d (%s)", what, rc, luge_last_error()->text);
}
#define FINE(call) fine((call), #call)

/* -------------------------------------------------------------- content -- */

/* What a follower believes the tree to hold: digests of values by key. */
struct map {
    struct map_entry {
        char key[KEY_BYTES];
        size_t size;
        uint64_t sum;                   /* of the value; 0: absent */
    } entries[MAP_SLOTS];
};

static struct map_entry *map_at(struct map *m, luge_bytes key)
{
    size_t i = digest(1, key.data, key.size) % MAP_SLOTS;
    if (key.size > KEY_BYTES) die("a key of %zu bytes", key.size);
    while (m->entries[i].size && (m->entries[i].size != key.size ||
                                  memcmp(m->entries[i].key, key.data,
                                         key.size) != 0))
        i = (i + 1) % MAP_SLOTS;
    if (!m->entries[i].size) memcpy(m->entries[i].key, key.data, key.size);
    m->entries[i].size = key.size;
    return &m->entries[i];
}

static uint64_t value_sum(luge_bytes value)
{
    return digest(2, value.data, value.size) | 1;
}

static void map_clear(struct map *m)
{
    for (size_t i = 0; i < MAP_SLOTS; i++) m->entries[i].sum = 0;
}

static void map_apply(struct map *m, const struct luge_change *c)
{
    if (c->kind == LUGE_CHANGE_TREE_CLEAR) map_clear(m);
    if (c->kind == LUGE_CHANGE_PUT)
        map_at(m, c->key)->sum = value_sum(c->value);
    if (c->kind == LUGE_CHANGE_DEL) map_at(m, c->key)->sum = 0;
}

/* Is the tree, as TXN sees it, what M says? */
static void map_compare(struct map *m, luge_txn *txn, luge_tree tree,
                        const char *who)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    size_t there = 0, believed = 0;
    int rc;
    FINE(luge_cursor_open(txn, tree, &cursor));
    while (!(rc = luge_cursor_next(cursor, &key, &value))) {
        if (map_at(m, key)->sum != value_sum(value))
            die("%s: at %llu key %.*s has another value", who,
                (unsigned long long)luge_txn_seq(txn), (int)key.size,
                (const char *)key.data);
        there++;
    }
    if (rc != LUGE_NOTFOUND) fine(rc, "luge_cursor_next");
    luge_cursor_close(cursor);
    for (size_t i = 0; i < MAP_SLOTS; i++) believed += m->entries[i].sum != 0;
    if (there != believed)
        die("%s: at %llu there are %zu keys, not %zu", who,
            (unsigned long long)luge_txn_seq(txn), there, believed);
}

static luge_tree data_tree(luge_db *db, const char *name)
{
    luge_txn *txn;
    luge_tree tree;
    FINE(luge_begin(db, LUGE_READ, &txn));
    FINE(luge_tree_open(txn, luge_str(name), 0, &tree));
    luge_abort(txn);
    return tree;
}

/* -------------------------------------------------------------- writers -- */

static luge_bytes number_key(char *space, uint32_t writer)
{
    snprintf(space, KEY_BYTES, "n%u", writer);
    return luge_str(space);
}

struct writing {
    struct dice *dice;
    luge_tree data, noise;
    uint32_t writer;
    uint64_t n;
};

static int random_op(luge_txn *txn, struct writing *w)
{
    char key[KEY_BYTES], value[VALUE_MAX];
    struct dice *d = w->dice;
    luge_tree tree = dice_chance(d, 85) ? w->data : w->noise;
    bool shared = dice_chance(d, 20);
    snprintf(key, sizeof key, "%c%u/%u", shared ? 's' : 'w',
             shared ? 0 : w->writer, dice_below(d, KEYS));
    if (dice_chance(d, 25)) {
        int rc = luge_del(txn, tree, luge_str(key));
        return rc == LUGE_NOTFOUND ? 0 : rc;
    }
    size_t size = dice_chance(d, 4) ? dice_below(d, VALUE_MAX)
                                    : dice_below(d, 200);
    pattern_fill(value, size, dice_next(d));
    return luge_put(txn, tree, luge_str(key), luge_bytes_of(value, size));
}

static int one_transaction(luge_txn *txn, void *context)
{
    struct writing *w = context;
    char key[KEY_BYTES];
    luge_bytes old;
    uint32_t ops = dice_chance(w->dice, 3) ? 200 : dice_below(w->dice, 6);
    w->n = 1;
    int rc = luge_get(txn, w->data, number_key(key, w->writer), &old);
    if (!rc) {
        memcpy(&w->n, old.data, sizeof w->n);
        w->n++;
    }
    if (!rc || rc == LUGE_NOTFOUND)
        rc = luge_put(txn, w->data, luge_str(key),
                      luge_bytes_of(&w->n, sizeof w->n));
    while (!rc && ops--) rc = random_op(txn, w);
    return rc;
}

static void writer(struct feed *f, struct dice *d, uint32_t number)
{
    luge_db *db;
    struct luge_options options = {.log_keep_bytes = 1 << 20,
                                   .checkpoint_bytes = 2 << 20};
    FINE(luge_open(f->path, &options, &db));
    struct writing w = {d, data_tree(db, "data"), data_tree(db, "noise"),
                        number, 0};
    while (!atomic_load(&f->shared->stop)) {
        unsigned flags = dice_chance(d, 70) ? LUGE_TXN_ASYNC : LUGE_TXN_FULL;
        if (dice_chance(d, 5)) flags |= LUGE_TURN;
        FINE(luge_transact(db, flags, one_transaction, &w));
        atomic_store(&f->shared->acked[number], w.n);
        atomic_fetch_add(&f->shared->written, 1);
        if (dice_chance(d, 1)) FINE(luge_checkpoint(db));
        if (dice_chance(d, 10)) nap_us(dice_below(d, 4000));
    }
    FINE(luge_close(db));
}

/* -------------------------------------------------------------- ledgers -- */

struct entry {
    uint64_t seq, sum;
};

static uint64_t set_sum(const struct luge_change_set *set)
{
    uint64_t sum = digest(set->time_ns, &set->count, sizeof set->count);
    for (size_t i = 0; i < set->count; i++) {
        const struct luge_change *c = &set->changes[i];
        sum = digest(sum + (uint64_t)c->kind, c->key.data, c->key.size);
        sum = digest(sum, c->value.data, c->value.size);
    }
    return sum;
}

static luge_bytes seq_key(uint64_t *space, uint64_t seq)
{
    *space = __builtin_bswap64(seq);
    return luge_bytes_of(space, sizeof *space);
}

static const char *ledger_name(uint32_t number)
{
    static const char *const names[LEDGERS] = {"both", "both", "alone"};
    return names[number];
}

struct ledger {
    const char *name;
    luge_tree tree;
    luge_watch *watch;
    uint64_t at;                        /* the cursor, as far as we know */
    uint64_t seen;                      /* the last that WATCH delivered */
};

/* Note and acknowledge.  0, or what the transaction answered. */
static int note(luge_db *db, struct dice *d, const struct ledger *l,
                const struct entry *entries, size_t count)
{
    luge_txn *txn;
    uint64_t space;
    int rc = luge_begin(db, LUGE_WRITE |
                                (dice_chance(d, 50) ? LUGE_TXN_ASYNC : 0),
                        &txn);
    if (rc) return rc;
    rc = luge_consumer_ack(txn, luge_str(l->name), l->at,
                           entries[count - 1].seq);
    for (size_t i = 0; i < count && !rc; i++) {
        rc = luge_add(txn, l->tree, seq_key(&space, entries[i].seq),
                      luge_bytes_of(&entries[i].sum, sizeof(uint64_t)));
        if (rc == LUGE_EXISTS)
            die("ledger %s: transaction %llu comes twice", l->name,
                (unsigned long long)entries[i].seq);
    }
    if (!rc) return luge_commit(txn);
    luge_abort(txn);
    return rc;
}

static void ledger_watch(luge_db *db, struct dice *d, struct ledger *l)
{
    static const unsigned when[] = {0, LUGE_WATCH_SHOWN, LUGE_WATCH_COMMITTED};
    struct luge_consumer c;
    luge_txn *txn;
    FINE(luge_begin(db, LUGE_READ, &txn));
    FINE(luge_consumer_get(txn, luge_str(l->name), &c));
    luge_abort(txn);
    struct luge_watch_options o = {
        .flags = when[dice_below(d, 3)], .from = LUGE_FROM_SEQ, .seq = c.seq,
        .tree = data_tree(db, "data"),
    };
    l->at = l->seen = c.seq;
    FINE(luge_watch_open(db, &o, &l->watch));
}

/* Take a few sets, note them.  1: the other one of the same name was quicker,
 * so begin again at the cursor; -1: the end was reached. */
static int ledger_round(struct feed *f, luge_db *db, struct dice *d,
                        struct ledger *l)
{
    struct entry entries[BATCH];
    const struct luge_change_set *set;
    size_t count = 0, most = 1 + dice_below(d, BATCH);
    int rc = 0;
    while (count < most && !(rc = luge_watch_next(l->watch,
                                                  count ? 0 : WAIT_MS,
                                                  &set))) {
        if (set->seq <= l->seen)
            die("ledger %s: %llu follows %llu", l->name,
                (unsigned long long)set->seq, (unsigned long long)l->seen);
        l->seen = set->seq;
        entries[count++] = (struct entry){set->seq, set_sum(set)};
    }
    if (rc && rc != LUGE_TIMEOUT) fine(rc, "luge_watch_next");
    if (!count) {
        uint64_t final = atomic_load(&f->shared->final);
        return final && luge_watch_seq(l->watch) >= final ? -1 : 0;
    }
    rc = note(db, d, l, entries, count);
    if (rc == LUGE_CONFLICT || rc == LUGE_MISMATCH) {
        atomic_fetch_add(&f->shared->conflicts, 1);
        return 1;
    }
    fine(rc, "note");
    atomic_fetch_add(&f->shared->acks, count);
    l->at = entries[count - 1].seq;
    return 0;
}

static void ledger(struct feed *f, struct dice *d, uint32_t number)
{
    luge_db *db;
    struct ledger l = {.name = ledger_name(number)};
    FINE(luge_open(f->path, NULL, &db));
    l.tree = data_tree(db, l.name);
    int again = 1;
    while (again >= 0) {
        ledger_watch(db, d, &l);
        do again = ledger_round(f, db, d, &l);
        while (!again);
        luge_watch_close(l.watch);
    }
    FINE(luge_close(db));
}

/* -------------------------------------------------------------- mirrors -- */

struct mirror {
    struct feed *feed;
    luge_db *db;
    luge_watch *watch;
    luge_tree tree;
    uint64_t seq;
    int fd;                             /* -1: wait in luge_watch_next */
    bool sparse;                        /* only what concerns the tree */
    char who[16];
    struct map map;
};

static void load_map(struct mirror *m, luge_txn *txn)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    FINE(luge_cursor_open(txn, m->tree, &cursor));
    memset(&m->map, 0, sizeof m->map);
    while (!luge_cursor_next(cursor, &key, &value))
        map_at(&m->map, key)->sum = value_sum(value);
    luge_cursor_close(cursor);
}

static void check_old(struct mirror *m, const struct luge_change *c)
{
    uint64_t had = map_at(&m->map, c->key)->sum;
    uint64_t told = c->flags & LUGE_CHANGE_OLD ? value_sum(c->old) : 0;
    if (had != told)
        die("%s: a wrong old value of %.*s", m->who, (int)c->key.size,
            (const char *)c->key.data);
    atomic_fetch_add(&m->feed->shared->olds, 1);
}

/* The next set, whose number must be the next, or, where transactions that do
 * not concern us are left out, a greater one.  NULL: nothing came. */
static const struct luge_change_set *mirror_next(struct mirror *m)
{
    const struct luge_change_set *set;
    struct pollfd p = {.fd = m->fd, .events = POLLIN};
    int rc = luge_watch_next(m->watch, m->fd < 0 ? WAIT_MS : 0, &set);
    if (rc == LUGE_TIMEOUT && m->fd >= 0 && poll(&p, 1, WAIT_MS) == 1)
        rc = luge_watch_next(m->watch, 0, &set);
    if (rc == LUGE_TIMEOUT) return NULL;
    fine(rc, "luge_watch_next");
    if (m->sparse ? set->seq <= m->seq || !set->count
                  : set->seq != m->seq + 1)
        die("%s: %llu follows %llu", m->who, (unsigned long long)set->seq,
            (unsigned long long)m->seq);
    return set;
}

static void mirror_apply(struct mirror *m, const struct luge_change_set *set)
{
    m->seq = set->seq;
    for (size_t i = 0; i < set->count; i++) {
        const struct luge_change *c = &set->changes[i];
        if (c->kind <= LUGE_CHANGE_DEL) check_old(m, c);
        map_apply(&m->map, c);
    }
}

/* False: nothing came. */
static bool mirror_step(struct mirror *m)
{
    const struct luge_change_set *set = mirror_next(m);
    if (set) mirror_apply(m, set);
    return set != NULL;
}

/* What comes after the snapshot is applied once it was compared: all before
 * that must have come.  Who is told early may have begun beyond it. */
static void mirror_compare(struct mirror *m)
{
    const struct luge_change_set *set = NULL;
    luge_txn *txn;
    FINE(luge_begin(m->db, LUGE_READ, &txn));
    uint64_t seq = luge_txn_seq(txn), end = now_ns() + 30000000000u;
    bool ahead = m->seq > seq;
    while (luge_watch_seq(m->watch) < seq && !ahead) {
        set = mirror_next(m);
        if (set && set->seq > seq) break;
        if (set) mirror_apply(m, set);
        else if (now_ns() > end)
            die("%s: %llu does not come", m->who, (unsigned long long)seq);
        set = NULL;
    }
    if (!ahead) {
        map_compare(&m->map, txn, m->tree, m->who);
        atomic_fetch_add(&m->feed->shared->compared, 1);
    }
    if (set) mirror_apply(m, set);
    luge_abort(txn);
}

static void mirror_begin(struct mirror *m, struct dice *d)
{
    static const unsigned when[] = {0, LUGE_WATCH_SHOWN, LUGE_WATCH_COMMITTED};
    luge_txn *txn;
    FINE(luge_begin(m->db, LUGE_READ, &txn));
    m->sparse = dice_chance(d, 50);
    struct luge_watch_options o = {
        .flags = LUGE_WATCH_OLD | when[dice_below(d, 3)] |
                 (m->sparse ? 0 : LUGE_WATCH_EMPTY),
        .from = LUGE_FROM_SNAPSHOT, .snapshot = txn, .tree = m->tree,
    };
    FINE(luge_watch_open(m->db, &o, &m->watch));
    m->seq = luge_txn_seq(txn);
    load_map(m, txn);
    luge_abort(txn);
    m->fd = -1;
    if (dice_chance(d, 50)) FINE(luge_watch_fd(m->watch, &m->fd));
}

static void mirror(struct feed *f, struct dice *d, uint32_t number)
{
    static struct mirror m;
    m.feed = f;
    snprintf(m.who, sizeof m.who, "mirror %u", number);
    FINE(luge_open(f->path, NULL, &m.db));
    m.tree = data_tree(m.db, "data");
    bool end = false;
    while (!end) {
        mirror_begin(&m, d);
        for (uint32_t i = 50 + dice_below(d, 500); i && !end; i--) {
            uint64_t final = atomic_load(&f->shared->final);
            if (!mirror_step(&m))
                end = final && luge_watch_seq(m.watch) >= final;
            if (dice_chance(d, 5)) mirror_compare(&m);
        }
        if (end) mirror_compare(&m);
        luge_watch_close(m.watch);
    }
    FINE(luge_close(m.db));
}

/* ---------------------------------------------------------------- crew -- */

static uint32_t crew_size(const struct feed *f)
{
    return f->writers + LEDGERS + MIRRORS;
}

static void member(struct feed *f, uint32_t number)
{
    struct dice d = dice_of(f->seed, number + 1000 * f->generation[number]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (number < f->writers) writer(f, &d, number);
    else if (number < f->writers + LEDGERS) ledger(f, &d, number - f->writers);
    else mirror(f, &d, number - f->writers - LEDGERS);
    exit(0);
}

static void start(struct feed *f, uint32_t number)
{
    fflush(NULL);
    f->generation[number]++;
    f->crew[number] = fork();
    if (!f->crew[number]) member(f, number);
    if (f->crew[number] < 0) die("cannot fork");
}

static bool reap(struct feed *f, uint32_t number, int flags)
{
    int status;
    if (waitpid(f->crew[number], &status, flags) != f->crew[number])
        return false;
    f->crew[number] = 0;
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (status && !killed)
        die("member %u ended with status %x (seed %llu)", number, status,
            (unsigned long long)f->seed);
    return true;
}

static void rage(struct feed *f)
{
    struct dice d = dice_of(f->seed, 0);
    uint64_t until = now_ns() + (uint64_t)(f->seconds * 1e9);
    while (now_ns() < until) {
        nap_us(dice_below(&d, 2000 * KILL_EVERY_MS));
        uint32_t victim = dice_below(&d, crew_size(f));
        for (uint32_t i = 0; i < crew_size(f); i++)
            if (reap(f, i, WNOHANG))
                die("member %u ended by itself (seed %llu)", i,
                    (unsigned long long)f->seed);
        kill(f->crew[victim], SIGKILL);
        (void)reap(f, victim, 0);
        atomic_fetch_add(&f->shared->kills, 1);
        start(f, victim);
    }
}

/* Writers stop; the others come to the end of the log, in finite time. */
static void calm(struct feed *f)
{
    luge_db *db;
    struct luge_stats stats;
    atomic_store(&f->shared->stop, 1);
    for (uint32_t i = 0; i < f->writers; i++)
        while (!reap(f, i, 0)) continue;
    FINE(luge_open(f->path, NULL, &db));
    FINE(luge_sync(db));
    FINE(luge_stat(db, &stats));
    FINE(luge_close(db));
    atomic_store(&f->shared->final, stats.seq_committed);
    uint64_t end = now_ns() + END_SECONDS * 1000000000ull;
    for (uint32_t i = f->writers; i < crew_size(f); i++)
        while (!reap(f, i, WNOHANG)) {
            if (now_ns() > end)
                die("member %u does not come to the end of the log (seed "
                    "%llu)", i, (unsigned long long)f->seed);
            nap_us(1000);
        }
}

/* --------------------------------------------------------------- judge -- */

struct judge {
    luge_txn *txn;
    luge_tree ledgers[LEDGERS];
    uint64_t numbers[WRITERS_MAX], counts[LEDGERS], total;
    struct map map;
};

static void judge_number(struct judge *j, const struct luge_change *c)
{
    const char *key = c->key.data;
    uint64_t n;
    if (c->kind != LUGE_CHANGE_PUT || key[0] != 'n') return;
    uint32_t writer = (uint32_t)(key[1] - '0');
    memcpy(&n, c->value.data, sizeof n);
    if (n != j->numbers[writer] + 1)
        die("writer %u: %llu follows %llu in the log", writer,
            (unsigned long long)n, (unsigned long long)j->numbers[writer]);
    j->numbers[writer] = n;
}

static void judge_set(struct judge *j, const struct luge_change_set *set)
{
    luge_bytes value;
    uint64_t space, sum = set_sum(set);
    for (size_t i = 0; i < set->count; i++) {
        judge_number(j, &set->changes[i]);
        map_apply(&j->map, &set->changes[i]);
    }
    for (uint32_t i = 0; i < LEDGERS; i++) {
        int rc = luge_get(j->txn, j->ledgers[i], seq_key(&space, set->seq),
                          &value);
        if (rc || value.size != 8 || memcmp(value.data, &sum, 8) != 0)
            die("ledger %s: transaction %llu is %s", ledger_name(i),
                (unsigned long long)set->seq, rc ? "missing" : "different");
        j->counts[i]++;
    }
    j->total++;
}

static void judge_end(struct feed *f, struct judge *j, luge_tree data)
{
    for (uint32_t i = 0; i < LEDGERS; i++) {
        uint64_t count;
        FINE(luge_tree_count(j->txn, j->ledgers[i], &count));
        if (count != j->counts[i])
            die("ledger %s has %llu transactions, the log %llu",
                ledger_name(i), (unsigned long long)count,
                (unsigned long long)j->counts[i]);
    }
    for (uint32_t i = 0; i < f->writers; i++)
        if (j->numbers[i] < f->shared->acked[i])
            die("writer %u: %llu was acknowledged, the log ends at %llu", i,
                (unsigned long long)f->shared->acked[i],
                (unsigned long long)j->numbers[i]);
    map_compare(&j->map, j->txn, data, "the log");
}

static void judge(struct feed *f, uint64_t start_seq)
{
    static struct judge j;
    luge_db *db;
    luge_watch *w;
    const struct luge_change_set *set;
    int rc;
    FINE(luge_open(f->path, NULL, &db));
    FINE(luge_begin(db, LUGE_READ, &j.txn));
    for (uint32_t i = 0; i < LEDGERS; i++)
        FINE(luge_tree_open(j.txn, luge_str(ledger_name(i)), 0,
                            &j.ledgers[i]));
    luge_tree data = data_tree(db, "data");
    FINE(luge_watch_open(db, &(struct luge_watch_options){
                             .from = LUGE_FROM_SEQ, .seq = start_seq,
                             .tree = data}, &w));
    while (!(rc = luge_watch_next(w, 0, &set))) judge_set(&j, set);
    if (rc != LUGE_TIMEOUT) fine(rc, "luge_watch_next");
    luge_watch_close(w);
    judge_end(f, &j, data);
    luge_abort(j.txn);
    FINE(luge_check(db, NULL, NULL));
    FINE(luge_close(db));
    if (!j.total || !f->shared->compared || !f->shared->olds)
        die("nothing was tested");
    printf("crash_feed: %llu transactions, %llu kills, %llu noted, %llu "
           "collisions, %llu comparisons, %llu old values\n",
           (unsigned long long)j.total,
           (unsigned long long)f->shared->kills,
           (unsigned long long)f->shared->acks,
           (unsigned long long)f->shared->conflicts,
           (unsigned long long)f->shared->compared,
           (unsigned long long)f->shared->olds);
}

static int make_trees(luge_txn *txn, void *context)
{
    static const char *const names[] = {"data", "noise", "both", "alone"};
    luge_tree tree;
    int rc = 0;
    (void)context;
    for (size_t i = 0; i < COUNT_OF(names) && !rc; i++)
        rc = luge_tree_open(txn, luge_str(names[i]), LUGE_TREE_CREATE, &tree);
    if (!rc)
        rc = luge_retention_set(txn, &(struct luge_retention){
                                         .flags = LUGE_KEEP_ALL});
    for (uint32_t i = 1; i < LEDGERS && !rc; i++)
        rc = luge_consumer_create(txn, luge_str(ledger_name(i)), 2);
    return rc;
}

int main(int argc, char **argv)
{
    static struct feed f;
    const char *length = getenv("LUGE_TEST");
    luge_db *db;
    f.seed = now_ns() / 1000 % 1000000;
    f.writers = 3;
    f.seconds = 4;
    if (length && !strcmp(length, "short")) f.seconds = 3;
    if (length && !strcmp(length, "long")) f.seconds = 120;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seed")) f.seed = strtoull(argv[i + 1], 0, 10);
        else if (!strcmp(argv[i], "--seconds")) f.seconds = atof(argv[i + 1]);
        else if (!strcmp(argv[i], "--writers"))
            f.writers = (uint32_t)atoi(argv[i + 1]);
        else die("no option %s", argv[i]);
    }
    if (!f.writers || f.writers > WRITERS_MAX) die("1 to 8 writers");
    printf("crash_feed: seed %llu, %u writers, %.0f s\n",
           (unsigned long long)f.seed, f.writers, f.seconds);
    f.shared = mmap(NULL, sizeof *f.shared, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    f.base = scratch_make(SCRATCH_FAST);
    snprintf(f.path, sizeof f.path, "%s/db", f.base);
    FINE(luge_open(f.path, NULL, &db));
    FINE(luge_transact(db, 0, make_trees, NULL));
    FINE(luge_close(db));
    for (uint32_t i = 0; i < crew_size(&f); i++) start(&f, i);
    rage(&f);
    calm(&f);
    judge(&f, 2);
    scratch_remove(f.base);
    return 0;
}
