/* txn/checkpoint.c -- making recovery start later.
 *
 *   1 publish the head, store the free list          (turn)
 *   2 the log is durable up to it
 *   3 the page file is synced
 *   4 the superblock goes into the other of two slots, and is synced
 *   5 the old checkpoint's pin goes                  (turn)
 *   6 segments before it are recycled
 * Both pins are held while it runs; commits go on between the two turns.
 * Whoever checkpoints holds an OFD lock until the end: a stopped process keeps
 * others from checkpointing, not from committing, and cannot come back later to
 * overwrite a newer superblock.
 * Not here: reading superblocks back (recover.c), moving pages (compact.c),
 * holes (holes.c).
 */
#include "txn/keep.h"

enum {
    SPARE_RUNS = 8,
    SLACK_BYTES = 256 << 10,
    THEFTS_MAX = 8,
    WORTH_PAGES = 256,          /* smaller files are left as they are */
    PARTS_MAX = 1024,           /* written back one after the other */
    PART_BYTES_MIN = 128 << 10,
    MOVE_PERCENT = 75,          /* of the file is free: its end moves down */
    PASSES_MAX = 256,           /* of a stripe each (compact.c) */
    FUTILE_PASSES_MAX = 3,
};

static int write_superblock(struct env *e, const struct superblock *s,
                            int (*store)(struct os_file *, const void *,
                                         size_t, u64))
{
    u64 slot = s->number & 1;
    struct superblock sealed = *s;
    sealed.sum = base_hash(&sealed, offsetof(struct superblock, sum),
                           sealed.number);
    /* Written as a whole page: nothing else lives in its sectors. */
    u8 *page = base_alloc_zero(e->options.page_bytes);
    if (!page) return NOMEM();
    memcpy(page, &sealed, sizeof sealed);
    int rc = store(e->db, page, e->options.page_bytes,
                   slot * e->options.page_bytes);
    base_free(page);
    return rc;
}

int superblock_write(struct env *e, const struct superblock *s)
{
    return write_superblock(e, s, e->os->write);
}

int superblock_write_durable(struct env *e, const struct superblock *s)
{
    return write_superblock(e, s, e->os->write_durable);
}

/* ---------------------------------------------------------- free list -- */

struct gather {
    struct space_run *runs;
    size_t count, capacity;
};

static int gather_run(void *context, const struct space_run *run)
{
    struct gather *g = context;
    if (!run->pages) return 0;
    assert(g->count < g->capacity);
    g->runs[g->count++] = *run;
    return 0;
}

static u64 run_count(const struct space_state *st)
{
    u64 runs = SPARE_RUNS;
    for (u32 q = 0; q < SPACE_QUEUES; q++) runs += st->queue[q].runs;
    return runs;
}

/* Everything that the version being checkpointed does not reach is free for
 * whoever recovers from it: all queues, and the current run. */
static int gather_free(struct env *e, struct gather *g)
{
    const struct space_state *st = &e->arena->work;
    struct space_run current = {
        .first = st->current_first, .pages = (u32)st->current_pages,
    };
    int rc = gather_run(g, &current);
    for (u32 q = 0; q < SPACE_QUEUES && !rc; q++)
        rc = space_each(&e->space, st, q, gather_run, g);
    if (!rc) g->count = space_join(g->runs, g->count);
    return rc;
}

static int store_free_list(struct env *e, struct txn_head *next)
{
    struct gather g = {0};
    struct space_run old = {
        .first = next->stored_first, .birth = next->checkpoint_publication,
        .death = next->publication, .pages = next->stored_pages,
    };
    int rc = 0;
    if (old.pages) rc = space_push(&e->space, SPACE_PENDING, &old);
    if (!rc) rc = space_tidy(&e->space);
    g.capacity = run_count(&e->arena->work);
    next->stored_pages = space_store_pages(e->options.page_bytes, g.capacity);
    if (!rc) rc = space_take_lowest(&e->space, next->stored_pages,
                                    &next->stored_first);
    g.runs = base_alloc(g.capacity * sizeof *g.runs);
    if (!g.runs) rc = NOMEM();
    if (!rc) rc = gather_free(e, &g);
    if (!rc) rc = head_may_write(e);
    if (!rc) rc = space_store(&e->pages, next->stored_first,
                              next->stored_pages, next->publication, g.runs,
                              g.count);
    base_free(g.runs);
    return rc;
}

/* ---------------------------------------------------------- the steps -- */

static void describe(struct env *e, const struct txn_head *h,
                     struct superblock *s)
{
    *s = (struct superblock){
        .magic = "lugedb", .format = ENV_FORMAT,
        .page_bytes = e->options.page_bytes, .number = h->superblocks + 1,
        .seq = h->published, .publication = h->publication,
        .time_ns = h->time_ns, .catalog = h->catalog,
        .catalog_count = h->catalog_count, .page_count = h->space.page_count,
        .stored_first = h->stored_first, .stored_pages = h->stored_pages,
        .log = h->published_log,
    };
    memcpy(s->instance, e->instance, sizeof s->instance);
}

/* TURN: *pages are enough, if the file is to be cut; else all that there can
 * be. */
static int shorter(struct env *e, u64 *pages)
{
    bool alone = false;
    u64 size = 0, need = max_u64(e->arena->work.page_count,
                                 env_head(e)->space.page_count);
    int rc = e->os->size(e->db, &size);
    *pages = UINT64_MAX;
    if (rc || size <= need * e->options.page_bytes + SLACK_BYTES) return rc;
    rc = share_alone(&e->share, &alone);
    if (alone) *pages = need;
    return rc;
}

static int cut_end(struct env *e)
{
    u64 pages;
    int rc = shorter(e, &pages);
    return rc || pages == UINT64_MAX ? rc : page_file_cut(&e->pages, pages);
}

/* TURN: what lies behind the last page in use goes back to the file system.
 * Nobody can reach it: a page is given back only when no pin needs it (D1).
 * Only with the gate and alone: were we stopped within the call and robbed, we
 * would later cut off what the thief has written.  And nobody opens while we
 * are stopped with the gate, so it is taken only if there is need. */
static int give_back_end(struct env *e)
{
    u64 pages;
    if (e->has_gate) return cut_end(e);
    int rc = shorter(e, &pages);
    if (rc || pages == UINT64_MAX) return rc;
    rc = e->os->lock(e->share.lock_file, SHARE_LOCK_GATE, true, 0);
    if (rc) return rc == LUGE_BUSY ? 0 : rc;
    rc = cut_end(e);
    e->os->unlock(e->share.lock_file, SHARE_LOCK_GATE);
    return rc;
}

/* Step 1.  NOTFOUND: nothing was committed since the last checkpoint. */
static int prepare(struct env *e, struct superblock *s, u64 *log_total)
{
    struct head_mark mark;
    struct txn_head next;
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    head_mark(e, &mark);
    e->arena->work.mixed_age = UINT32_MAX;         /* look at all of HELD */
    if (env_head(e)->seq == env_head(e)->checkpoint &&
        env_head(e)->publication == env_head(e)->checkpoint_publication) {
        /* A transaction that failed may have made the file longer. */
        rc = give_back_end(e);
        if (!rc) rc = LUGE_NOTFOUND;
    }
    if (!rc) rc = publish_head(e);
    if (rc) goto done;
    head_mark(e, &mark);
    next = *env_head(e);
    rc = store_free_list(e, &next);
    atomic_store(&e->share.m->checkpoint_next, next.publication);
    if (!rc) rc = head_flip(e, &next, true);
    if (!rc) {
        describe(e, env_head(e), s);
        *log_total = next.log_total;
    } else if (share_turn_mine(&e->share)) {
        e->arena->work = mark.space;
        e->space.limbo_count = mark.limbo;
        atomic_store(&e->share.m->checkpoint_next, 0);
    }
done:
    head_release_turn(e);
    return rc;
}

/* TURN: the pages at the end that were just taken out of use, up to COUNT, give
 * their blocks back even while others are attached.  Until the flip they are
 * taken in the working space: a thief of the turn would leave them alone. */
static int punch_end(struct env *e, u64 count)
{
    u64 from = e->arena->work.page_count, page = e->options.page_bytes;
    if (!e->os->punch || from >= count) return 0;
    int rc = head_may_write(e);
    return rc ? rc : e->os->punch(e->db, from * page, (count - from) * page);
}

/* TURN: what only the old checkpoint needed is free now. */
static int free_old(struct env *e)
{
    struct txn_head next = *env_head(e);
    /* While the working space is ahead of the flipped one, only its owner knows
     * what he took for his lineage: the next publication flips it.  If it is
     * not, we flip: else all that was tidied would be set aside when another
     * takes the turn (takeover.c), and the file grow meanwhile. */
    bool ahead = !(e->head.order & 1) && env_space_moved(e);
    e->arena->work.mixed_age = UINT32_MAX;         /* look at all of HELD */
    int rc = version_reclaim_pages(e, UINT64_MAX);
    if (!rc) rc = space_tidy(&e->space);
    if (!rc) rc = punch_end(e, next.space.page_count);
    return rc || ahead ? rc : head_flip(e, &next, true);
}

/* Step 5. */
static int settle(struct env *e, const struct superblock *s, u64 log_total)
{
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    struct txn_head next = *env_head(e);
    next.checkpoint = s->seq;
    next.checkpoint_publication = s->publication;
    next.checkpoint_catalog = s->catalog;
    next.checkpoint_catalog_count = s->catalog_count;
    next.checkpoint_log = s->log;
    next.checkpoint_total = log_total;
    next.superblocks = s->number;
    rc = head_flip(e, &next, false);
    if (!rc) {
        atomic_store(&e->share.m->checkpoint, s->publication);
        atomic_store(&e->share.m->checkpoint_next, 0);
        atomic_fetch_add(&e->share.m->checkpoints, 1);
        rc = free_old(e);
    }
    if (!rc) rc = give_back_end(e);
    head_release_turn(e);
    return rc;
}

/* What did not reach the device may be gone from memory too: after a failed
 * sync nobody may go on but by recovery. */
static int synced(struct env *e, int rc)
{
    if (!rc) return 0;
    atomic_store(&e->share.m->failed, (u32)-rc);
    share_ring_durable(&e->share);
    bell_ring(e);
    return rc;
}

static int sync_pages(struct env *e)
{
    return synced(e, e->os->sync(e->db));
}

/* A commit's sync of the log waits behind all that the device was asked to
 * write: it is asked for a part at a time (docs/why/checkpoint.md).  Whoever
 * closes has nobody to be kind to. */
static int write_back(struct env *e)
{
    u64 size = 0;
    int rc = e->has_gate ? 0 : e->os->size(e->db, &size);
    u64 part = round_up(max_u64(size / PARTS_MAX, PART_BYTES_MIN), 4096);
    for (u64 at = 0; at < size && !rc; at += part)
        rc = synced(e, e->os->sync_part(e->db, at, part));
    return rc;
}

/* Somebody began a checkpoint and did not end it: his superblock may be in the
 * file, valid, and last or not.  It goes before the pin of its pages does. */
static int void_unfinished(struct env *e)
{
    struct txn_head now;
    if (!atomic_load(&e->share.m->checkpoint_next)) return 0;
    head_copy(e, &now);
    u8 *page = base_alloc_zero(e->options.page_bytes);
    if (!page) return NOMEM();
    int rc = e->os->write(e->db, page, e->options.page_bytes,
                          ((now.superblocks + 1) & 1) *
                              e->options.page_bytes);
    base_free(page);
    if (!rc) rc = sync_pages(e);
    if (rc) return rc;
    /* He may have died after his flip, before he told. */
    atomic_store(&e->share.m->checkpoint, now.checkpoint_publication);
    atomic_store(&e->share.m->checkpoint_next, 0);
    return 0;
}

static int steps(struct env *e)
{
    struct superblock s;
    u64 log_total = 0;
    int rc = void_unfinished(e);
    if (!rc) rc = prepare(e, &s, &log_total);
    if (rc == LUGE_NOTFOUND) return 0;
    if (!rc) rc = commit_wait(e, s.seq);
    if (!rc) rc = commit_sync_start(e, &s.log);
    if (!rc) rc = write_back(e);
    if (!rc) rc = sync_pages(e);
    /* A slot half written is the older one: the other stays good. */
    if (!rc) rc = superblock_write(e, &s);
    if (!rc) rc = sync_pages(e);
    if (!rc) rc = settle(e, &s, log_total);
    return rc ? rc : checkpoint_tend_log(e);
}

/* A theft of the turn undoes what was prepared: once more, then. */
static int checkpoint_now(struct env *e)
{
    int rc = LUGE_CONFLICT;
    for (u32 i = 0; i < THEFTS_MAX && rc == LUGE_CONFLICT; i++) rc = steps(e);
    return rc;
}

static u64 pages_now(struct env *e)
{
    struct txn_head now;
    head_copy(e, &now);
    return now.space.page_count;
}

/* As long as there is something to move, and the file becomes shorter. */
static int compact(struct env *e, struct compact *c)
{
    int rc = c->pack ? compact_pack(e, c, checkpoint_now) : 0;
    u32 futile = 0;
    if (rc) return rc;
    for (u32 i = 0; i < PASSES_MAX && futile < FUTILE_PASSES_MAX; i++) {
        u64 before = pages_now(e);
        rc = compact_pass(e, c);
        if (rc <= 0) break;
        rc = steps(e);
        if (!rc && c->tell) rc = c->tell(c);
        if (rc) break;
        futile = pages_now(e) < before ? 0 : futile + 1;
    }
    return rc ? rc : compact_end(e);
}

static int give_back(struct env *e, struct compact *c)
{
    int rc = c->percent < 100 ? compact(e, c) : 0;
    if (!rc) rc = holes_give_back(e, c->holes);
    /* The checkpoint itself stands. */
    return rc == LUGE_CONFLICT ? 0 : rc;
}

int checkpoint_compact(struct env *e, struct compact *c, u32 wait_ms)
{
    pthread_mutex_lock(&e->checkpoint_lock);
    atomic_store(&e->care_wants_checkpoint, 0);
    int rc = e->os->lock(e->share.lock_file, SHARE_LOCK_CHECKPOINT, true,
                         wait_ms);
    if (!rc) {
        (void)share_reap(&e->share);     /* the dead pin nothing */
        rc = checkpoint_now(e);
        if (!rc) rc = give_back(e, c);
        e->os->unlock(e->share.lock_file, SHARE_LOCK_CHECKPOINT);
    }
    pthread_mutex_unlock(&e->checkpoint_lock);
    return rc;
}

int checkpoint_write(struct env *e, enum holes holes, u32 wait_ms)
{
    struct compact c = {
        .percent = holes == HOLES_NONE || e->has_gate ? 100 : MOVE_PERCENT,
        .pages_min = WORTH_PAGES, .holes = holes,
    };
    return checkpoint_compact(e, &c, wait_ms);
}

/* ------------------------------------------------------------ the log -- */

/* Made to measure for one record: as the next one it would stay for ever. */
static bool is_oversized(struct env *e, u64 number)
{
    u64 bytes = 0;
    return !log_segment_bytes(&e->log, number, &bytes) &&
           bytes > LOG_SEGMENT_MAX;
}

/* TURN: the oldest segment becomes the next one, or goes.  A robbed writer may
 * still have a write under way to those he knew, and who reads a shadow has
 * some mapped (head.c): they only go. */
static int retire(struct env *e, u64 oldest, u64 newest, u64 tainted)
{
    int rc = head_may_write(e);
    if (!rc) rc = log_exists(&e->log, newest + 1);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    rc = !rc || oldest <= tainted || share_shadowed(&e->share) ||
                 is_oversized(e, oldest)
             ? log_remove(&e->log, oldest)
             : log_recycle(&e->log, oldest, newest + 1);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* The oldest segment that exists but OLDEST.  Numbers have gaps (log.h L5). */
static int oldest_but(struct env *e, u64 oldest, u64 *next)
{
    u64 *numbers;
    size_t count;
    int rc = log_list(&e->log, oldest + 1, UINT64_MAX, &numbers, &count);
    *next = !rc && count ? numbers[0] : oldest + 1;
    base_free(numbers);
    return rc;
}

/* TURN: drop the oldest segment, if nobody needs it any more and the log has
 * SPARE bytes more than anybody needs. */
static int drop_oldest(struct env *e, u64 bytes, u64 spare, bool *needed)
{
    struct txn_head next = *env_head(e);
    u64 oldest = next.log_oldest;
    int rc = 0;
    *needed = oldest >= next.checkpoint_log.segment;
    if (!*needed) rc = keep_needs(e, oldest, bytes, spare, needed);
    if (rc || *needed) return rc;
    rc = oldest_but(e, oldest, &next.log_oldest);
    if (!rc) rc = head_flip(e, &next, false);
    if (rc) return rc;
    /* Before its first byte changes: who reads it looks here afterwards. */
    share_raise(&e->share.m->log_oldest, next.log_oldest);
    return retire(e, oldest, next.log.segment, next.log_tainted);
}

static int drop_one(struct env *e, u64 spare, bool *needed)
{
    u64 bytes = log_bytes(&e->log);
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    rc = drop_oldest(e, bytes, spare, needed);
    head_release_turn(e);
    return rc;
}

/* What the time until the next checkpoint will recycle stays: a new segment has
 * to find blocks, and if somebody waits for syncs it is written twice. */
int checkpoint_tend_log(struct env *e)
{
    u64 spare = e->has_gate ? 0 : e->options.checkpoint_bytes;
    bool needed = false;
    int rc = 0;
    while (!rc && !needed) rc = drop_one(e, spare, &needed);
    return rc;
}

int checkpoint_recycle(struct env *e)
{
    bool needed;
    return drop_one(e, 0, &needed);
}
