/* test/crash_sim.c -- power cuts, failing disks and failing memory, on the
 * simulated platform.
 *
 *   crash_sim [--part NAME] [--seeds A..B] [--minutes M] [--steps N]
 *             [--snapshot N [--choice K]] [--fault TEXT] [--trace]
 *   parts: create crash fault memory control
 *
 * Holds: a seed is a workload (sim_work.h).  Before each change of its disk a
 * snapshot is taken; of what a power cut may leave then (os/sim.h), all is
 * tried if it is little, else the special cases and some at random.  Of each:
 *   C1  luge_open succeeds, without help;
 *   C2  the content is that after some commit, not older than what had been
 *       acknowledged as durable, not newer than what was attempted; if only
 *       the process died, nothing that had returned is missing;
 *   C3  luge_check finds nothing, and nobody stored into a read-only map;
 *   C4  no number is given out again;
 *   C5  one more commit lands and is there after closing and opening;
 *   C6  the same holds after a crash during all this, and once more.
 * With calls that fail (fault, memory):
 *   C7  every call succeeds or gives an error of the world with its sentence;
 *       what failed has not happened; C1 to C6 hold afterwards;
 *   C8  only a failed sync makes the handle unusable, and then no commit
 *       succeeds any more; whatever else failed, work goes on once it works;
 *   C9  no file stays open and no map stays mapped.
 * control: disks that lie about syncs must be found out, each of them.
 * The work happens in a child, so that a failed assertion has a seed, too.
 * Long, because every part is a way through one and the same machine: a disk is
 * watched, its states are chosen, opened, judged and crashed again.
 * Not here: several processes (crash_storm.c, crash_twin.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_work.h"

enum { HANG_S = 120, FAILURES_MAX = 5, DEPTH_MAX = 3, TAPE_MAX = 4096 };

#define ANY UINT64_MAX

/* How much of each thing is tried, at each depth of crashes in crashes. */
struct effort {
    unsigned take_percent;        /* of the snapshots of a workload */
    unsigned snapshots[DEPTH_MAX];/* of one run, at most */
    uint64_t all[DEPTH_MAX];      /* so few states: all of them */
    unsigned some[DEPTH_MAX];     /* else as many of each kind */
    unsigned again_percent;       /* of the states: a crash in their recovery */
};

/* What the whole run is told. */
struct order {
    const char *part;
    uint64_t seed_from, seed_to, snapshot, choice;
    unsigned steps, minutes;
    const char *fault;
    bool trace, lengthy, brief;
};

/* Shared by the child that works and the parent that watches. */
struct watch {
    volatile uint64_t ticks;
    char where[800], replay[300];
    uint64_t snapshots, states, distinct, again, commits, faults, refused;
    uint64_t broken, allocations, lies;
    uint64_t failures;
};

struct run {
    const struct order *order;
    struct watch *watch;
    const struct effort *effort;
    struct luge_options options; /* of the workload */
    uint64_t seed;
    bool quiet;               /* a control: failures are what we want */
    uint64_t failures;
    struct set { uint64_t *sums; size_t count, capacity; } seen;
    uint64_t said_ns;
};

/* ------------------------------------------------------------- the eye -- */

/* The disk's table is replaced by one that counts what is open (C9), and lies
 * if it is told to. */
enum lie { LIE_NONE, LIE_SYNC, LIE_SYNC_LOG, LIE_SYNC_DB, LIE_SYNC_IDS,
           LIE_SYNC_CONF, LIE_SYNC_DIR, LIES };
static const char *const lie_names[] = {
    "none", "no sync does anything", "syncs of the log do nothing",
    "syncs of the page file do nothing", "syncs of the ids do nothing",
    "syncs of conf do nothing", "syncs of directories do nothing",
};

static struct {
    struct os honest;
    enum lie lie;
    const struct os *liar;
    long files, maps;
    struct { const struct os_file *file; enum lie about; } open[256];
} eye;

static enum lie lie_about(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    if (strstr(path, "/log/")) return LIE_SYNC_LOG;
    if (!strcmp(name, "db")) return LIE_SYNC_DB;
    if (!strcmp(name, "ids")) return LIE_SYNC_IDS;
    return !strncmp(name, "conf", 4) ? LIE_SYNC_CONF : LIE_NONE;
}

static int eye_open(struct os *os, const char *path, unsigned flags,
                    struct os_file **file)
{
    int rc = eye.honest.open(os, path, flags, file);
    if (rc) return rc;
    eye.files++;
    for (size_t i = 0; i < COUNT_OF(eye.open); i++) {
        if (eye.open[i].file) continue;
        eye.open[i].file = *file;
        eye.open[i].about = lie_about(path);
        break;
    }
    return 0;
}

static void eye_close(struct os_file *file)
{
    for (size_t i = 0; file && i < COUNT_OF(eye.open); i++)
        if (eye.open[i].file == file) eye.open[i].file = NULL;
    eye.files -= file != NULL;
    eye.honest.close(file);
}

static bool lies_about(const struct os_file *file)
{
    bool lies = eye.lie == LIE_SYNC;
    for (size_t i = 0; i < COUNT_OF(eye.open); i++)
        if (eye.open[i].file == file && eye.open[i].about == eye.lie)
            lies = true;
    return lies && eye.lie && file->os == eye.liar;
}

static int eye_sync(struct os_file *file)
{
    return lies_about(file) ? 0 : eye.honest.sync(file);
}

static int eye_write_durable(struct os_file *file, const void *from,
                             size_t size, uint64_t offset)
{
    return (lies_about(file) ? eye.honest.write : eye.honest.write_durable)(
        file, from, size, offset);
}

static int eye_sync_dir(struct os *os, const char *path)
{
    return eye.lie == LIE_SYNC_DIR && os == eye.liar
               ? 0 : eye.honest.sync_dir(os, path);
}

static int eye_map_read(struct os_file *file, u64 size, const u8 **base)
{
    int rc = eye.honest.map_read(file, size, base);
    eye.maps += !rc;
    return rc;
}

static int eye_map_shared(struct os_file *file, u64 size, u8 **base)
{
    int rc = eye.honest.map_shared(file, size, base);
    eye.maps += !rc;
    return rc;
}

static void eye_unmap(struct os *os, const void *base, u64 size)
{
    eye.maps -= base != NULL;
    eye.honest.unmap(os, base, size);
}

static struct os *watched(struct os *os)
{
    eye.honest = *os;
    os->open = eye_open;
    os->close = eye_close;
    os->sync = eye_sync;
    os->write_durable = eye_write_durable;
    os->sync_dir = eye_sync_dir;
    os->map_read = eye_map_read;
    os->map_shared = eye_map_shared;
    os->unmap = eye_unmap;
    return os;
}

static struct os *new_disk(uint64_t seed)
{
    return watched(sim_new(seed));
}

/* --------------------------------------------------- sums of whole disks -- */

struct summing { struct os *os; const char *path; uint64_t sum; };

static int sum_name(void *context, const char *name)
{
    static unsigned char room[1 << 16];
    struct summing *s = context;
    struct os_stat stat;
    struct os_file *file;
    char path[200];
    snprintf(path, sizeof path, "%s/%s", s->path, name);
    if (!strcmp(name, "shm") || s->os->stat(s->os, path, &stat)) return 0;
    if (stat.directory) {
        struct summing inner = {s->os, path, 0};
        (void)s->os->list(s->os, path, sum_name, &inner);
        s->sum += digest(inner.sum, name, strlen(name));
        return 0;
    }
    uint64_t sum = stat.size;
    if (s->os->open(s->os, path, OS_READ, &file)) return 0;
    for (uint64_t at = 0; at < stat.size; at += sizeof room) {
        size_t n = stat.size - at < sizeof room ? (size_t)(stat.size - at)
                                                : sizeof room;
        (void)s->os->read(file, room, n, at);
        sum = base_hash(room, n, sum);
    }
    s->os->close(file);
    s->sum += digest(sum, name, strlen(name));
    return 0;
}

static uint64_t disk_sum(struct os *os)
{
    struct summing s = {os, "", 0};
    (void)os->list(os, "/", sum_name, &s);
    return s.sum;
}

/* False: it was there before. */
static bool set_add(struct set *set, uint64_t sum)
{
    if (set->count * 2 >= set->capacity) {
        struct set more = {.capacity = set->capacity ? 2 * set->capacity
                                                     : 4096};
        more.sums = grab(more.capacity * sizeof *more.sums);
        memset(more.sums, 0, more.capacity * sizeof *more.sums);
        for (size_t i = 0; i < set->capacity; i++)
            if (set->sums[i]) set_add(&more, set->sums[i]);
        free(set->sums);
        *set = more;
    }
    sum += !sum;
    size_t i = sum & (set->capacity - 1);
    while (set->sums[i] && set->sums[i] != sum) i = (i + 1) % set->capacity;
    if (set->sums[i]) return false;
    set->sums[i] = sum;
    set->count++;
    return true;
}

/* ------------------------------------------------------------- failing -- */

/* Where we are, for who dies here: the last part begins at AT. */
static size_t where(struct run *r, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static size_t where(struct run *r, size_t at, const char *format, ...)
{
    va_list list;
    char *to = r->watch->where;
    size_t room = sizeof r->watch->where;
    if (at >= room) return at;
    va_start(list, format);
    int n = vsnprintf(to + at, room - at, format, list);
    va_end(list);
    r->watch->ticks++;
    return at + (size_t)(n > 0 ? n : 0);
}

static void failed(struct run *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void failed(struct run *r, const char *format, ...)
{
    va_list list;
    r->failures++;
    if (r->quiet) return;
    r->watch->failures++;
    va_start(list, format);
    fprintf(stderr, "%s:\n  ", r->watch->where);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n  replay: %s\n", r->watch->replay);
    va_end(list);
    if (r->failures >= FAILURES_MAX) {
        fprintf(stderr, "that is enough\n");
        exit(1);
    }
}

static void progress(struct run *r)
{
    uint64_t now = now_ns();
    const struct watch *w = r->watch;
    if (!r->order->lengthy || now - r->said_ns < 10000000000u) return;
    r->said_ns = now;
    fprintf(stderr, "  %s seed %llu: %llu snapshots, %llu states, %llu "
            "distinct, %llu within recovery, %llu faults\n", r->order->part,
            (unsigned long long)r->seed, (unsigned long long)w->snapshots,
            (unsigned long long)w->states, (unsigned long long)w->distinct,
            (unsigned long long)w->again, (unsigned long long)w->faults);
}

/* ---------------------------------------------------------------- tape -- */

/* The snapshots of one run, each with the ledger of its moment. */
struct moment {
    struct sim_snapshot *snapshot;
    struct ledger ledger;
    uint64_t number;
    char call[80];            /* that was about to be made */
};

struct tape {
    struct os *os;
    const struct ledger *ledger;
    struct moment *moments;
    size_t count, capacity;
    unsigned percent, depth;
    bool trace;
    uint64_t only;            /* the number of the one wanted, or ANY */
    struct dice dice;
};

static void tape_take(struct tape *t, const char *call, const char *path)
{
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 64;
        t->moments = grab_more(t->moments, t->capacity * sizeof *t->moments);
    }
    struct moment *m = &t->moments[t->count++];
    m->snapshot = sim_snapshot(t->os);
    m->ledger = ledger_copy(t->ledger);
    m->number = sim_changes(t->os);
    snprintf(m->call, sizeof m->call, "%s %s", call, path);
}

static void on_change(void *context, const char *call, const char *path)
{
    struct tape *t = context;
    uint64_t number = sim_changes(t->os);
    if (t->trace)
        fprintf(stderr, "%*s%llu %s %s (durable %llu)\n", 6 + 4 * t->depth, "",
                (unsigned long long)number, call, path,
                (unsigned long long)t->ledger->durable);
    if (t->count == TAPE_MAX) return;
    if (t->only != ANY ? number == t->only
                       : dice_chance(&t->dice, t->percent))
        tape_take(t, call, path);
}

static void tape_start(struct tape *t, const struct run *r, struct os *os,
                       const struct ledger *ledger, unsigned percent,
                       uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->trace = r->order->trace;
    t->os = os;
    t->ledger = ledger;
    t->percent = percent;
    t->only = ANY;
    t->dice = dice_of(seed, 99);
    sim_before(os, on_change, t);
}

static void moment_free(struct moment *m)
{
    sim_snapshot_free(m->snapshot);
    ledger_free(&m->ledger);
}

static void tape_clear(struct tape *t)
{
    for (size_t i = 0; i < t->count; i++) moment_free(&t->moments[i]);
    t->count = 0;
}

static void tape_stop(struct tape *t)
{
    sim_before(t->os, NULL, NULL);
    tape_clear(t);
    free(t->moments);
}

/* ----------------------------------------------------- one crashed disk -- */

struct crash {
    struct run *run;
    struct os *os;
    struct ledger ledger;     /* what is promised of this disk */
    struct luge_options options;
    struct dice dice;
    luge_db *db;
    uint64_t sum;             /* of what is in it now */
};

static void on_defect(void *context, const char *sentence)
{
    struct run *r = context;
    if (!r->quiet) fprintf(stderr, "  luge_check: %s\n", sentence);
}

static bool good(struct crash *c, int rc, const char *what)
{
    if (!rc) return true;
    const struct luge_error *e = luge_last_error();
    failed(c->run, "%s answered %d (%s, %s:%d)", what, rc, e->text, e->file,
           e->line);
    return false;
}

/* C2: which commit is this? */
static bool recovered(struct crash *c)
{
    struct ledger *l = &c->ledger;
    uint64_t seq = 0;
    if (!good(c, content_sum(c->db, &seq, &c->sum), "C2: reading all"))
        return false;
    if (!l->opened) {
        if (c->sum != content_empty())
            failed(c->run, "C2: a database that was being made holds "
                   "something");
        l->first = seq;
        ledger_opened(l, seq, c->sum);
        return true;
    }
    if (seq < l->returned || seq > l->attempted) {
        failed(c->run, "C2: commit %llu is the newest; %llu must be there and "
               "%llu was the last tried", (unsigned long long)seq,
               (unsigned long long)l->returned,
               (unsigned long long)l->attempted);
        return false;
    }
    if (!ledger_knows(l, seq, c->sum)) {
        failed(c->run, "C2: the content is not that of commit %llu",
               (unsigned long long)seq);
        return false;
    }
    ledger_opened(l, seq, c->sum);
    return true;
}

static bool sound(struct crash *c)
{
    uint64_t id = 0;
    if (!good(c, luge_check(c->db, on_defect, c->run), "C3: luge_check"))
        return false;
    if (!good(c, luge_next_id(c->db, &id), "luge_next_id")) return false;
    if (id <= c->ledger.id_last) {
        failed(c->run, "C4: number %llu after %llu", (unsigned long long)id,
               (unsigned long long)c->ledger.id_last);
        return false;
    }
    c->ledger.id_last = id;
    return true;
}

/* C5: a pair that was not there. */
static bool one_more(struct crash *c)
{
    static unsigned char room[70000];
    char text[40];
    luge_txn *txn;
    size_t size = dice_chance(&c->dice, 80) ? dice_below(&c->dice, 200)
                                            : dice_below(&c->dice, 70000);
    snprintf(text, sizeof text, "after/%016llx",
             (unsigned long long)dice_next(&c->dice));
    luge_bytes key = luge_str(text), value = luge_bytes_of(room, size);
    pattern_fill(room, size, dice_next(&c->dice));
    uint64_t sum = c->sum + content_pair(LUGE_MAIN, key, value);
    if (!good(c, luge_begin(c->db, LUGE_WRITE | LUGE_TXN_FULL, &txn),
              "C5: luge_begin"))
        return false;
    int rc = luge_put(txn, LUGE_MAIN, key, value);
    if (rc) luge_abort(txn);
    ledger_try(&c->ledger, sum);
    if (!rc) rc = luge_commit(txn);
    if (!good(c, rc, "C5: a commit")) return false;
    ledger_landed(&c->ledger, true);
    c->sum = sum;
    return true;
}

static bool close_it(struct crash *c)
{
    luge_db *db = c->db;
    c->db = NULL;
    return good(c, luge_close(db), "luge_close");
}

static bool open_it(struct crash *c, unsigned flags)
{
    struct luge_options options = c->options;
    options.flags = flags;
    options.platform = c->os;
    return good(c, luge_open(WORK_PATH, &options, &c->db), "C1: luge_open");
}

static bool still_there(struct crash *c, const char *what)
{
    uint64_t seq = 0, sum = 0;
    if (!good(c, content_sum(c->db, &seq, &sum), what)) return false;
    if (seq == c->ledger.returned && sum == c->sum) return true;
    failed(c->run, "%s: commit %llu is the newest, not %llu, or its content "
           "is another", what, (unsigned long long)seq,
           (unsigned long long)c->ledger.returned);
    return false;
}

/* C1 to C5 on c->os.  Whatever happens, nothing stays open. */
static void live_on(struct crash *c)
{
    bool look = c->ledger.opened && dice_chance(&c->dice, 6);
    bool fine = open_it(c, look ? LUGE_READ_ONLY : 0) && recovered(c);
    if (fine && look) fine = close_it(c) && open_it(c, 0) &&
                             still_there(c, "C2: after a reader");
    fine = fine && sound(c) && one_more(c);
    fine = fine && close_it(c) && open_it(c, 0) &&
           still_there(c, "C5: opening again") && sound(c);
    if (c->db) close_it(c);
    if (!sim_maps_untouched(c->os)) failed(c->run, "C3: a map was stored into");
}

static void try_moments(struct run *r, struct tape *t, unsigned depth,
                        size_t at, uint64_t seed);

/* Does OS hold what LEDGER promises?  AGAIN: try crashes meanwhile, too. */
static void try_disk(struct run *r, struct os *os, const struct ledger *ledger,
                     unsigned depth, size_t at, uint64_t seed, bool again)
{
    struct crash c = {.run = r, .os = os, .options = r->options,
                      .dice = dice_of(seed, 5)};
    struct tape tape;
    long files = eye.files, maps = eye.maps;
    if (depth + 1 < DEPTH_MAX &&
        dice_chance(&c.dice, r->effort->again_percent))
        again = true;
    c.ledger = ledger_copy(ledger);
    if (again) {
        tape_start(&tape, r, os, &c.ledger, 50, seed);
        tape.depth = depth + 1;
    }
    live_on(&c);
    if (again) {
        if (tape.count < TAPE_MAX) tape_take(&tape, "the end", "");
        try_moments(r, &tape, depth + 1, at, seed);
        tape_stop(&tape);
    }
    if (eye.files != files || eye.maps != maps)
        failed(r, "C9: %ld files and %ld maps are left", eye.files - files,
               eye.maps - maps);
    ledger_free(&c.ledger);
}

/* ------------------------------------------------------------- choosing -- */

static const char *const kind_names[] = {
    "the process died", "nothing", "everything", "sizes", "all but", "only",
    "torn", "state", "dice",
};

struct choices {
    struct sim_choice list[16384];
    size_t count;
};

static void choose(struct choices *c, enum sim_choice_kind kind,
                   enum sim_grain grain, uint64_t number, struct dice *d)
{
    static const enum sim_shared shared[] = {
        SIM_SHARED_SYNCED, SIM_SHARED_LAST, SIM_SHARED_ZEROS,
        SIM_SHARED_GARBAGE, SIM_SHARED_GONE,
    };
    if (c->count == COUNT_OF(c->list)) return;
    c->list[c->count++] = (struct sim_choice){
        .kind = kind, .grain = grain, .number = number,
        .shared = shared[dice_below(d, COUNT_OF(shared))],
        .seed = dice_next(d) >> 32,
    };
}

static void choose_all(struct choices *c, struct sim_snapshot *s,
                       enum sim_grain grain, struct dice *d)
{
    uint64_t states = sim_states(s, grain);
    for (uint64_t i = 0; i < states; i++) choose(c, SIM_INDEX, grain, i, d);
}

/* COUNT of the page writes, each lost, alone, or torn; and dice. */
static void choose_some(struct choices *c, struct sim_snapshot *s,
                        unsigned count, struct dice *d)
{
    static const enum sim_choice_kind kinds[] = {SIM_ALL_BUT, SIM_ONLY,
                                                 SIM_TORN};
    uint64_t pending = sim_pending(s);
    choose(c, SIM_NOTHING, SIM_PAGES, 0, d);
    choose(c, SIM_EVERYTHING, SIM_PAGES, 0, d);
    choose(c, SIM_SIZES, SIM_PAGES, 0, d);
    for (unsigned k = 0; k < COUNT_OF(kinds); k++)
        for (unsigned i = 0; pending && i < count && i < pending; i++)
            choose(c, kinds[k], SIM_PAGES,
                   pending <= count ? i : dice_below(d, (uint32_t)pending), d);
    for (unsigned i = 0; i < 2 * count; i++)
        choose(c, SIM_RANDOM, SIM_PAGES, 0, d);
}

static void choose_for(struct run *r, struct choices *c,
                       struct sim_snapshot *s, unsigned depth, struct dice *d)
{
    uint64_t all = r->effort->all[depth];
    c->count = 0;
    choose(c, SIM_PROCESS, SIM_PAGES, 0, d);
    if (sim_states(s, SIM_SECTORS) <= 4 * all)
        choose_all(c, s, SIM_SECTORS, d);
    else if (sim_states(s, SIM_PAGES) <= all)
        choose_all(c, s, SIM_PAGES, d);
    if (sim_states(s, SIM_SECTORS) > 4 * all)
        choose_some(c, s, r->effort->some[depth], d);
}

/* What the ledger of a moment promises after CHOICE. */
static struct ledger promised(const struct ledger *l, struct sim_choice choice)
{
    struct ledger copy = ledger_copy(l);
    if (choice.kind != SIM_PROCESS) copy.returned = copy.durable;
    return copy;
}

static void try_choice(struct run *r, const struct moment *m,
                       struct sim_choice choice, unsigned depth, size_t at,
                       uint64_t seed)
{
    struct os *os = watched(sim_crash(m->snapshot, choice));
    struct ledger ledger = promised(&m->ledger, choice);
    uint64_t expected[] = {ledger.returned, ledger.attempted, ledger.id_last,
                           disk_sum(os)};
    at = where(r, at, "%s %llu seed %llu shared %d",
               kind_names[choice.kind], (unsigned long long)choice.number,
               (unsigned long long)choice.seed, choice.shared);
    r->watch->states++;
    bool fresh = set_add(&r->seen, digest(1, &expected[3], 8));
    bool known = !set_add(&r->seen, digest(2, expected, sizeof expected));
    r->watch->distinct += fresh;
    if (!known || r->order->choice != ANY) {
        r->watch->again += depth > 0;
        try_disk(r, os, &ledger, depth, at, seed, false);
    }
    ledger_free(&ledger);
    sim_free(os);
}

static void try_moment(struct run *r, const struct moment *m, unsigned depth,
                       size_t at, uint64_t seed)
{
    struct choices *c = grab(sizeof *c);
    struct dice d = dice_of(seed, m->number);
    at = where(r, at, "%ssnapshot %llu (%s): ", depth ? "; then " : "",
               (unsigned long long)m->number, m->call);
    r->watch->snapshots++;
    choose_for(r, c, m->snapshot, depth, &d);
    for (size_t k = 0; k < c->count && !(r->quiet && r->failures); k++) {
        if (!depth && r->order->choice != ANY && k != r->order->choice)
            continue;
        if (!depth)
            snprintf(r->watch->replay, sizeof r->watch->replay,
                     "crash_sim --part %s --seeds %llu --steps %u "
                     "--snapshot %llu --choice %zu", r->order->part,
                     (unsigned long long)r->seed, r->order->steps,
                     (unsigned long long)m->number, k);
        try_choice(r, m, c->list[k], depth, at, digest(seed, &k, sizeof k));
    }
    free(c);
    progress(r);
}

/* As many of them as the effort allows, the last always. */
static void try_moments(struct run *r, struct tape *t, unsigned depth,
                        size_t at, uint64_t seed)
{
    struct dice d = dice_of(seed, 3);
    unsigned most = r->effort->snapshots[depth];
    for (size_t i = 0; i < t->count && !(r->quiet && r->failures); i++) {
        struct moment *m = &t->moments[i];
        if (t->count > most && i + 1 < t->count &&
            dice_below(&d, (uint32_t)t->count) >= most)
            continue;
        try_moment(r, m, depth, at, digest(seed, &m->number, 8));
    }
}

/* ----------------------------------------------------- create and crash -- */

static void on_line(void *context, const char *sentence)
{
    (void)context;
    fprintf(stderr, "  pending: %s\n", sentence);
}

static void drain(struct run *r, struct tape *t, size_t at)
{
    if (r->order->trace && r->order->snapshot != ANY && t->count)
        sim_describe(t->moments[0].snapshot, on_line, NULL);
    try_moments(r, t, 0, at, r->seed);
    tape_clear(t);
}

static void contradicted(struct run *r, const struct work *w)
{
    if (w->why[0]) failed(r, "step %u: %s", w->step, w->why);
}

/* The workload of one seed on OS, with a crash at every snapshot. */
static void crash_workload(struct run *r, struct os *os, unsigned steps)
{
    struct work w;
    struct tape tape;
    size_t at = where(r, 0, "%s seed %llu, ", r->order->part,
                      (unsigned long long)r->seed);
    snprintf(r->watch->replay, sizeof r->watch->replay,
             "crash_sim --part %s --seeds %llu --steps %u", r->order->part,
             (unsigned long long)r->seed, steps);
    work_init(&w, r->seed, steps, os);
    w.trace = r->order->trace;
    r->options = w.options;
    tape_start(&tape, r, os, &w.ledger, r->effort->take_percent, r->seed);
    tape.only = r->order->snapshot;
    work_open(&w);
    drain(r, &tape, at);
    while (!(r->quiet && r->failures) && work_step(&w)) drain(r, &tape, at);
    work_close(&w);
    if (tape.only == ANY || tape.only == sim_changes(os))
        tape_take(&tape, "the end", "");
    drain(r, &tape, at);
    contradicted(r, &w);
    r->watch->commits += w.ledger.returned;
    tape_stop(&tape);
    work_free(&w);
}

static void part_create(struct run *r)
{
    for (unsigned parent = 0; parent < 2; parent++) {
        struct os *os = new_disk(r->seed);
        if (parent) {
            (void)os->mkdir(os, WORK_PATH);
            (void)os->sync_dir(os, "/");
        }
        crash_workload(r, os, 0);
        sim_free(os);
    }
}

static void part_crash(struct run *r)
{
    struct os *os = new_disk(r->seed);
    crash_workload(r, os, r->order->steps);
    sim_free(os);
}

/* -------------------------------------------------------------- control -- */

static void part_control(struct run *r)
{
    uint64_t seed = r->seed;
    for (int lie = LIE_NONE + 1; lie < LIES; lie++) {
        uint64_t states = r->watch->states;
        r->failures = 0;
        r->quiet = true;
        for (r->seed = seed; !r->failures && r->seed < seed + 40; r->seed++) {
            struct os *os = new_disk(r->seed);
            eye.lie = (enum lie)lie;
            eye.liar = os;
            crash_workload(r, os, 25);
            eye.lie = LIE_NONE;
            sim_free(os);
        }
        r->quiet = false;
        bool found = r->failures > 0;
        printf("  control: %s: %s after %llu states\n", lie_names[lie],
               found ? "found out" : "NOT FOUND OUT",
               (unsigned long long)(r->watch->states - states));
        r->failures = 0;
        r->watch->lies += found;
        if (!found) failed(r, "a disk that lies was believed: %s",
                           lie_names[lie]);
    }
    r->seed = seed;
}

/* --------------------------------------------------------------- faults -- */

enum fashion { ONCE, FOREVER, PARTLY, FASHIONS };
static const char *const fashion_names[] = {"once", "forever", "partly"};

/* Beyond the calls of the platform there is power that goes, a disk that is
 * full, and memory. */
enum { FAULT_OFF = SIM_CALL_COUNT, FAULT_FULL, FAULT_MEMORY, FAULT_KINDS };

struct fault {
    unsigned kind;            /* enum sim_call, or above */
    uint64_t nth;
    int error;                /* errno; 0: memory */
    enum fashion fashion;
};

static const char *fault_name(unsigned kind)
{
    static const char *const more[] = {"off", "full", "memory"};
    return kind < SIM_CALL_COUNT ? sim_call_name((enum sim_call)kind)
                                 : more[kind - SIM_CALL_COUNT];
}

#ifdef LUGE_HARD
/* The NTH allocation from now on fails; FOREVER: each NTH. */
static void memory_fails(uint64_t nth, bool forever)
{
    enum { FAR = 1 << 30 };
    atomic_store(&base_hard.failures, 0);
    atomic_store(&base_hard.calls, forever ? 0 : FAR - nth);
    atomic_store(&base_hard.fail_every, forever ? (u32)nth : FAR);
}

static void memory_works(void)
{
    atomic_store(&base_hard.fail_every, 0);
}

static bool memory_failed(void)
{
    return atomic_load(&base_hard.failures) > 0;
}
#else
static void memory_fails(uint64_t nth, bool forever)
{
    (void)nth, (void)forever;
}
static void memory_works(void)
{
}
static bool memory_failed(void)
{
    return false;
}
#endif

static void order_fault(const struct fault *f, struct os *os)
{
    bool forever = f->fashion == FOREVER;
    if (f->kind == FAULT_OFF) sim_power_off(os, f->nth);
    else if (f->kind == FAULT_MEMORY) memory_fails(f->nth, forever);
    else if (f->kind == FAULT_FULL) return;          /* at a step: see below */
    else if (f->fashion == PARTLY)
        sim_fail_partly(os, f->nth, f->error, false);
    else
        sim_fail(os, (enum sim_call)f->kind, f->nth, f->error, forever);
}

static bool has_struck(const struct fault *f, const struct work *w)
{
    if (f->kind == FAULT_OFF) return sim_changes(w->os) >= f->nth;
    if (f->kind == FAULT_FULL) return w->step >= f->nth;
    if (f->kind == FAULT_MEMORY) return memory_failed();
    return sim_calls(w->os, (enum sim_call)f->kind) >= f->nth;
}

static void heal(const struct fault *f, struct os *os)
{
    sim_fail_nothing(os);
    sim_capacity(os, 0);
    if (f->kind == FAULT_MEMORY) memory_works();
}

/* C8: what may make the handle unusable. */
static bool breaks(const struct fault *f)
{
    return f->kind == SIM_CALL_SYNC || f->kind == SIM_CALL_SYNC_PART ||
           f->kind == FAULT_OFF;
}

/* Steps until the fault has struck, and on with it. */
static void work_with(struct run *r, const struct fault *f, struct work *w)
{
    int code = f->kind == FAULT_MEMORY ? LUGE_NOMEM : base_code_of(f->error);
    bool lasting = f->fashion == FOREVER || f->kind == FAULT_OFF ||
                   f->kind == FAULT_FULL;
    bool more = true;
    w->trouble = code;
    w->may_break = breaks(f);
    order_fault(f, w->os);
    work_open(w);
    while (more && !w->ended && !w->broken) {
        if (f->kind == FAULT_FULL && w->step == f->nth)
            sim_capacity(w->os, sim_used(w->os) + f->nth % 5 * 16384 + 1);
        if (!lasting && has_struck(f, w)) w->trouble = 0;
        more = work_step(w);
        r->watch->ticks++;
    }
    if (has_struck(f, w)) r->watch->faults++;
}

/* C8: for the broken nothing works; for others everything does. */
static void work_after(struct run *r, const struct fault *f, struct work *w)
{
    w->steps = w->step + 6;
    w->trouble = f->kind == FAULT_OFF ? LUGE_IO : 0;
    while (w->broken && work_step(w)) r->watch->ticks++;
    if (f->kind != FAULT_OFF) heal(f, w->os);
    w->steps = w->step + 6;
    if (f->kind != FAULT_OFF && !w->hand.db && !w->broken && !w->why[0]) {
        w->ended = false;         /* it failed to open, or to open again */
        work_open(w);
    }
    while (work_step(w)) r->watch->ticks++;
    r->watch->refused += w->errors;
    r->watch->broken += w->broken;
}

/* The disk after all this: as it is, and after power cuts. */
static void look_at_disk(struct run *r, const struct fault *f,
                         struct work *w, size_t at)
{
    struct tape tape;
    struct dice d = dice_of(r->seed, f->nth);
    struct choices *c = grab(sizeof *c);
    tape_start(&tape, r, w->os, &w->ledger, 0, r->seed);
    tape_take(&tape, "before closing", "");
    work_close(w);
    tape_take(&tape, "after closing", "");
    memory_works();
    for (size_t i = 0; i < tape.count && !w->why[0]; i++) {
        c->count = 0;
        choose(c, SIM_PROCESS, SIM_PAGES, 0, &d);
        choose(c, SIM_NOTHING, SIM_PAGES, 0, &d);
        choose(c, SIM_EVERYTHING, SIM_PAGES, 0, &d);
        choose(c, SIM_RANDOM, SIM_PAGES, 0, &d);
        for (size_t k = f->kind == FAULT_OFF; k < c->count; k++)
            try_choice(r, &tape.moments[i], c->list[k], 1, at, d.state);
    }
    tape_stop(&tape);
    free(c);
    if (w->broken) w->ledger.returned = w->ledger.durable;
    if (f->kind != FAULT_OFF && !w->why[0])
        try_disk(r, w->os, &w->ledger, 0, at, r->seed, true);
}

static void fault_run(struct run *r, const struct fault *f, unsigned steps)
{
    struct os *os = new_disk(r->seed);
    struct work w;
    long files = eye.files, maps = eye.maps;
    size_t at = where(r, 0, "seed %llu, %s %llu fails %s with %s",
                      (unsigned long long)r->seed, fault_name(f->kind),
                      (unsigned long long)f->nth, fashion_names[f->fashion],
                      f->error ? strerror(f->error) : "no memory");
    snprintf(r->watch->replay, sizeof r->watch->replay,
             "crash_sim --part %s --seeds %llu --steps %u "
             "--fault %s:%llu:%d:%s", r->order->part,
             (unsigned long long)r->seed, steps, fault_name(f->kind),
             (unsigned long long)f->nth, f->error,
             fashion_names[f->fashion]);
    work_init(&w, r->seed, steps, os);
    w.trace = r->order->trace;
    r->options = w.options;
    work_with(r, f, &w);
    work_after(r, f, &w);
    look_at_disk(r, f, &w, at);
    where(r, at, " ");
    contradicted(r, &w);
    if (eye.files != files || eye.maps != maps)
        failed(r, "C9: %ld files and %ld maps are left", eye.files - files,
               eye.maps - maps);
    work_free(&w);
    sim_free(os);
    progress(r);
}

/* How many calls of each kind the workload makes without faults. */
static void count_calls(struct run *r, unsigned steps, uint64_t *calls)
{
    struct os *os = new_disk(r->seed);
    struct work w;
    work_init(&w, r->seed, steps, os);
    memory_fails((uint64_t)1 << 29, false);
    work_open(&w);
    while (work_step(&w)) r->watch->ticks++;
    work_close(&w);
    contradicted(r, &w);
    for (unsigned k = 0; k < SIM_CALL_COUNT; k++)
        calls[k] = sim_calls(os, (enum sim_call)k);
    calls[FAULT_OFF] = sim_changes(os);
    calls[FAULT_FULL] = steps;
    calls[FAULT_MEMORY] = 0;
#ifdef LUGE_HARD
    calls[FAULT_MEMORY] = atomic_load(&base_hard.calls) - ((1u << 29));
#endif
    memory_works();
    work_free(&w);
    sim_free(os);
}

static bool may_be_full(unsigned kind)
{
    return kind == SIM_CALL_CREATE || kind == SIM_CALL_WRITE ||
           kind == SIM_CALL_SYNC || kind == SIM_CALL_RESIZE ||
           kind == SIM_CALL_ALLOCATE || kind == SIM_CALL_MKDIR ||
           kind == SIM_CALL_RENAME || kind == FAULT_FULL;
}

/* At most MOST of the COUNT calls, each in every fashion; of the few that make
 * things durable, all. */
static void try_kind(struct run *r, unsigned kind, uint64_t count,
                     uint64_t most, unsigned steps)
{
    struct dice d = dice_of(r->seed, kind);
    if (kind == SIM_CALL_SYNC) most = count;
    for (uint64_t n = 1; n <= count; n++) {
        if (count > most && dice_below(&d, (uint32_t)count) >= most) continue;
        for (enum fashion how = ONCE; how < FASHIONS; how++) {
            struct fault f = {kind, n, EIO, how};
            if (how == PARTLY && kind != SIM_CALL_WRITE) continue;
            if (how != ONCE && kind >= FAULT_OFF && kind != FAULT_MEMORY)
                continue;
            if (kind == FAULT_MEMORY) f.error = 0;
            if (kind != FAULT_FULL) fault_run(r, &f, steps);
            f.error = ENOSPC;
            if (may_be_full(kind)) fault_run(r, &f, steps);
        }
    }
}

/* "write:17:5:once", as a failure prints it. */
static void one_fault(struct run *r, unsigned steps)
{
    char name[20], how[20];
    unsigned long long nth;
    struct fault f = {0};
    if (sscanf(r->order->fault, "%19[a-z_]:%llu:%d:%19s", name, &nth, &f.error,
               how) != 4)
        die("not a fault: %s", r->order->fault);
    while (f.kind < FAULT_KINDS && strcmp(fault_name(f.kind), name)) f.kind++;
    while (f.fashion < FASHIONS && strcmp(fashion_names[f.fashion], how))
        f.fashion++;
    if (f.kind == FAULT_KINDS || f.fashion == FASHIONS)
        die("not a fault: %s", r->order->fault);
    f.nth = nth;
    fault_run(r, &f, steps);
}

static void part_fault(struct run *r)
{
    uint64_t calls[FAULT_KINDS];
    unsigned steps = r->order->steps;
    uint64_t most = r->order->lengthy ? 400 : r->order->brief ? 2 : 8;
    if (r->order->fault) {
        one_fault(r, steps);
        return;
    }
    count_calls(r, steps, calls);
    for (unsigned kind = 0; kind < FAULT_MEMORY; kind++)
        try_kind(r, kind, calls[kind], most, steps);
}

#ifdef LUGE_HARD
static void part_memory(struct run *r)
{
    uint64_t calls[FAULT_KINDS];
    unsigned steps = r->order->steps;
    uint64_t most = r->order->lengthy ? 20000 : r->order->brief ? 150 : 600;
    if (r->order->fault) {
        one_fault(r, steps);
        return;
    }
    count_calls(r, steps, calls);
    r->watch->allocations += calls[FAULT_MEMORY];
    try_kind(r, FAULT_MEMORY, calls[FAULT_MEMORY], most, steps);
}
#endif

/* ----------------------------------------------------------------- runs -- */

/* What each part does without arguments, by length: short, not set, long. */
static const struct part {
    const char *name;
    void (*run)(struct run *r);
    struct { unsigned seeds, steps; } lengths[3];
    struct effort efforts[3];
} parts[] = {
    {"create", part_create, {{1, 1}, {2, 1}, {20, 1}},
     {{100, {100, 3, 1}, {40, 8, 4}, {3, 2, 1}, 2},
      {100, {1000, 6, 2}, {600, 8, 4}, {6, 2, 1}, 3},
      {100, {1000, 9, 3}, {3000, 12, 6}, {10, 2, 1}, 5}}},
    {"crash", part_crash, {{2, 30}, {24, 40}, {100, 80}},
     {{30, {1000, 3, 1}, {8, 4, 2}, {1, 1, 1}, 2},
      {50, {1000, 4, 2}, {16, 6, 4}, {2, 1, 1}, 3},
      {100, {4000, 6, 2}, {64, 8, 4}, {5, 2, 1}, 4}}},
    {"fault", part_fault, {{1, 14}, {3, 20}, {40, 24}},
     {{0, {0, 2, 1}, {0, 4, 2}, {0, 1, 1}, 0},
      {0, {0, 5, 1}, {0, 4, 2}, {0, 1, 1}, 0},
      {0, {0, 4, 1}, {0, 4, 2}, {0, 1, 1}, 1}}},
#ifdef LUGE_HARD
    {"memory", part_memory, {{1, 12}, {1, 12}, {10, 16}},
     {{0, {0, 1, 1}, {0, 4, 2}, {0, 1, 1}, 0},
      {0, {0, 1, 1}, {0, 4, 2}, {0, 1, 1}, 0},
      {0, {0, 2, 1}, {0, 4, 2}, {0, 1, 1}, 0}}},
#endif
    {"control", part_control, {{1, 25}, {1, 25}, {1, 25}},
     {{30, {1000, 0, 0}, {8, 0, 0}, {2, 0, 0}, 0},
      {30, {1000, 0, 0}, {8, 0, 0}, {2, 0, 0}, 0},
      {30, {1000, 0, 0}, {8, 0, 0}, {2, 0, 0}, 0}}},
};

static void summary(const struct watch *w, const char *name, uint64_t from_ns)
{
    printf("%s %s: %llu snapshots, %llu states (%llu distinct, %llu within "
           "a recovery), %llu commits, %llu faults (%llu errors, %llu broken)"
           ", %.1f s\n", w->failures ? "not ok 1" : "ok 1", name,
           (unsigned long long)w->snapshots, (unsigned long long)w->states,
           (unsigned long long)w->distinct, (unsigned long long)w->again,
           (unsigned long long)w->commits, (unsigned long long)w->faults,
           (unsigned long long)w->refused, (unsigned long long)w->broken,
           (double)(now_ns() - from_ns) / 1e9);
}

static void run_part(const struct order *o, const struct part *part,
                     const struct effort *effort, struct watch *w)
{
    struct run r = {.order = o, .watch = w, .effort = effort};
    uint64_t until = now_ns() + o->minutes * 60000000000ull;
    for (r.seed = o->seed_from;
         o->minutes ? now_ns() < until : r.seed <= o->seed_to; r.seed++)
        part->run(&r);
    free(r.seen.sums);
}

static const char *how_it_ended(int status)
{
    static char text[64];
    if (WIFEXITED(status) && !WEXITSTATUS(status)) return NULL;
    if (WIFEXITED(status)) return "it failed";
    if (WTERMSIG(status) == SIGALRM) return "it hung";
    snprintf(text, sizeof text, "it died of signal %d", WTERMSIG(status));
    return text;
}

/* Wait for CHILD; one whose ticks stand still hangs. */
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
        }
    }
    return status;
}

static int run(const struct order *o, const struct part *part,
               const struct effort *effort)
{
    struct watch *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t from = now_ns();
    if (w == MAP_FAILED) die("no shared memory");
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) die("no fork");
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_part(o, part, effort, w);
        exit(w->failures != 0);
    }
    const char *why = how_it_ended(watch_child(child, w));
    if (why && !w->failures) {
        w->failures = 1;
        fprintf(stderr, "%s:\n  %s\n  replay: %s\n", w->where, why,
                w->replay);
    }
    bool bad = why || w->failures;
    summary(w, o->part, from);
    munmap(w, sizeof *w);
    return bad;
}

/* ----------------------------------------------------------------- main -- */

static bool parse(struct order *o, int argc, char **argv)
{
    uint64_t from, to;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *b = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(a, "--trace")) o->trace = true;
        else if (!strcmp(a, "--part")) o->part = b, i++;
        else if (!strcmp(a, "--fault")) o->fault = b, i++;
        else if (!strcmp(a, "--seeds"))
            parse_span(b, &o->seed_from, &o->seed_to), i++;
        else if (!strcmp(a, "--minutes"))
            parse_span(b, &from, &to), o->minutes = (unsigned)to, i++;
        else if (!strcmp(a, "--steps"))
            parse_span(b, &from, &to), o->steps = (unsigned)to, i++;
        else if (!strcmp(a, "--snapshot"))
            parse_span(b, &o->snapshot, &to), i++;
        else if (!strcmp(a, "--choice"))
            parse_span(b, &o->choice, &to), i++;
        else die("usage: crash_sim [--part create|crash|fault|memory|control] "
                 "[--seeds A..B] [--minutes M] [--steps N] [--snapshot N] "
                 "[--choice K] [--fault TEXT] [--trace]");
    }
    return argc > 1;
}

int main(int argc, char **argv)
{
    const char *length = getenv("LUGE_TEST");
    struct order o = {.snapshot = ANY, .choice = ANY};
    int answer = 0;
    bool told = parse(&o, argc, argv);
    o.brief = length && !strcmp(length, "short");
    o.lengthy = told || (length && !strcmp(length, "long"));
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const struct part *p = &parts[i];
        unsigned way = o.lengthy ? 2 : o.brief ? 0 : 1;
        struct order one = o;
        if (o.part && strcmp(o.part, p->name)) continue;
        one.part = p->name;
        if (!one.steps) one.steps = p->lengths[way].steps;
        if (!one.seed_from) one.seed_from = 1;
        if (!one.seed_to) one.seed_to = p->lengths[way].seeds;
        answer |= run(&one, p, &p->efforts[way]);
    }
    return answer;
}
