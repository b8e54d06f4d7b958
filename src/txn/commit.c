/* txn/commit.c -- landing: validate, apply, append, flip, wait until it lasts.
 *
 *   take turn | validate | apply | (publish) | append | FLIP | announce | leave
 *   then, with full durability: lead a sync, or wait for one that covers us.
 * Everything up to the append can fail and leaves nothing behind.
 * If the power goes before the sync, the record may or may not be in the log:
 * nobody was told that it is.  After it, recovery finds it (H1).
 * Not here: transactions as users see them (txn.c).
 */
#include "txn/env.h"
#include "txn/reads.h"

enum { OPEN_OPS_MAX = 1000, GATHER_ANEW = 64, LEAD_FLUSH_MS_MIN = 30000,
       GATHER_SYNC_US_MAX = 5000,
#ifdef LUGE_HARD
       DENSE_BYTES_MIN = 16 << 10,
#else
       DENSE_BYTES_MIN = 512 << 10,
#endif
};

/* ------------------------------------------------------------ validate -- */

static int compare_reads(const struct reads *reads,
                         const struct log_frame *frame)
{
    const u8 *at = frame->payload.data, *end = at + frame->payload.size;
    struct op op;
    int rc;
    while (!(rc = op_decode(&at, end, &op)))
        if (reads_touched(reads, &op))
            return fail(LUGE_CONFLICT, "record %llu changed what this "
                        "transaction read", (unsigned long long)frame->seq);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int validate(struct env *e, const struct reads *reads,
                    const struct version *base)
{
    struct log_scan scan;
    struct log_frame frame;
    int rc;
    if (!reads_any(reads) || base->seq == e->head.seq) return 0;
    /* All it read is that its trees exist, and none went since. */
    if (!reads->content && base->seq >= env_head(e)->special_seq) return 0;
    rc = tail_settle(e);
    if (rc) return rc;
    log_scan_begin(&scan, &e->log, &base->log, &env_head(e)->log);
    while (!(rc = log_next(&scan, &frame))) {
        rc = compare_reads(reads, &frame);
        if (rc) break;
    }
    /* An old snapshot's segment may be recycled: it cannot be validated.  Whom
     * the turn was stolen from may see it go while he reads. */
    bool gone = rc == LUGE_NOTFOUND && scan.at.segment != scan.end.segment;
    if (gone || (rc == LUGE_CORRUPT &&
                 base->log.segment < atomic_load(&e->share.m->log_oldest)))
        rc = fail(LUGE_CONFLICT, "the log since record %llu is gone",
                  (unsigned long long)base->seq);
    log_scan_end(&scan);
    if (rc == LUGE_CONFLICT) atomic_fetch_add(&e->share.m->conflicts, 1);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ---------------------------------------------------------------- land -- */

static void wake_for_checkpoint(struct env *e, const struct txn_head *next)
{
    if (next->log_total - next->checkpoint_total <
        e->options.checkpoint_bytes)
        return;
    care_want_checkpoint(e);
}

/* A process that keeps much to itself writes it out, alone or not. */
static void bound_memory(struct env *e)
{
    u64 used = page_frames_used(&e->pages);
    u64 bytes = (used - min_u64(atomic_load(&e->past_frames), used))
                << e->pages.map.page_shift;
    if (bytes > e->options.cache_bytes) (void)publish_head(e);
}

/* A record was appended, is not ours to land, and could not be made void: if
 * all die now, recovery may find it. */
static int in_doubt(struct env *e, int why)
{
    atomic_store(&e->broken, LUGE_BROKEN);
    return fail(LUGE_BROKEN, "the turn was taken from this commit, and its "
                "record could not be taken back (%s): whether it lasts is "
                "unknown; close all handles and open again",
                luge_error_text(why));
}

/* A large commit whose pages hold little but what it has put, as a load in
 * order makes them, publishes them at once: they would only lie in memory until
 * the next checkpoint writes them just so.  Its frames are the next one's then,
 * still in the cache, and no checkpoint has to write 64 MiB while everybody
 * waits for the turn.  4 M records took 1.7 s, 2.0 without (load-sorted). */
static bool is_dense(struct env *e, const struct ops *ops)
{
    u64 frames = e->work.frame_count;
    u64 bytes = frames << e->pages.map.page_shift;
    return bytes >= DENSE_BYTES_MIN && bytes <= ops->bytes + ops->bytes / 2 &&
           page_frames_used(&e->pages) <= 2 * frames;
}

static struct txn_head next_head(struct env *e, const struct ops *ops)
{
    struct txn_head next = *env_head(e);
    next.seq++;
    next.time_ns = max_u64(e->os->wall_ns(e->os), next.time_ns + 1);
    if (ops->special) next.special_seq = next.seq;
    return next;
}

/* Append OPS and flip to NEXT, with PUBLISHED if it is not NULL. */
static int append_and_flip(struct env *e, struct txn_head *next,
                           const struct view *published, struct ops *ops,
                           unsigned log_flags)
{
    struct log_position from = next->log;
    atomic_store(&e->arena->appending, 1);
    int rc = tail_append(e, ops, next, log_flags);
    bool appended = !rc;
    /* Of one who was robbed the segment itself may be gone. */
    int robbed = rc ? head_may_write(e) : 0;
    if (robbed) rc = robbed;
    if (published) {
        next->published = next->seq;
        next->catalog = published->catalog.root;
        next->catalog_count = published->catalog.count;
        next->published_log = next->log;
    }
    if (!rc) rc = head_flip(e, next, published != NULL);
    if (!rc) {
        atomic_store(&e->arena->appending, 0);
        e->end_unsure = false;
        return 0;
    }
    int failed = appended ? tail_take_back(e, &from, &next->log) : 0;
    return failed ? in_doubt(e, failed) : rc;
}

static void landed(struct env *e, const struct txn_head *next)
{
    struct share_memory *m = e->share.m;
    atomic_fetch_add_explicit(&m->commits, 1, memory_order_relaxed);
    /* A watch opened meanwhile looks at the head behind its first store. */
    if (atomic_load(&m->watches_high)) (void)tail_settle(e);
    wake_for_checkpoint(e, next);
}

int commit_view(struct env *e, struct view *view, const struct head_mark *mark,
                struct ops *ops, unsigned log_flags, u64 *seq)
{
    struct txn_head next = next_head(e, ops);
    bool publish = is_dense(e, ops) || audience_looks(e, ops);
    u64 publication = e->work.birth + publish;
    int rc = 0;
    if (publish) rc = publish_pages(e, view, publication);
    if (publish && !rc) rc = publish_drops(e, publication);
    if (!rc) rc = head_prepare(e, view);
    next.publication = publication;
    if (!rc) rc = append_and_flip(e, &next, publish ? view : NULL, ops,
                                  log_flags);
    if (rc) {
        head_abandon(e, view, mark);
        return rc;
    }
    /* Cannot fail from here (H3). */
    e->failed_open = false;
    struct version v = {
        next.seq, 2 * next.seq + publish, view->catalog.root,
        view->catalog.count, publication, next.log, view_near(view), 0,
    };
    publish_done(e, 2 * next.seq);
    head_adopt(e, view, &v);
    head_announce(e, &v, log_flags);
    version_reclaim_frames(e);
    landed(e, &next);
    *seq = v.seq;
    bound_memory(e);
    return 0;
}

/* The log alone gets it: blind.c. */
static int commit_blind(struct env *e, struct ops *ops, unsigned log_flags,
                        u64 *seq)
{
    struct txn_head next = next_head(e, ops);
    struct share_memory *m = e->share.m;
    int rc = append_and_flip(e, &next, NULL, ops, log_flags);
    if (rc) return rc;
    head_tell(e, next.seq, log_flags);
    atomic_fetch_add_explicit(&m->blind_commits, 1, memory_order_relaxed);
    landed(e, &next);
    *seq = next.seq;
    return 0;
}

/* A commit that only changes some values, and that nobody can watch doing it,
 * copies nothing that an earlier one has copied.  It must be shown at once: the
 * version before it is gone.  If it fails halfway, the head is made again from
 * the log: so not with what is likely to fail. */
static void open_frames(struct env *e, const struct ops *ops,
                        unsigned log_flags)
{
    u64 after;
    if (ops->special || ops->count > OPEN_OPS_MAX || e->failed_open ||
        log_flags & LOG_FULL)
        return;
    if (!tail_may_take(e, log_flags) && !audience_absent(e)) return;
    if (version_open(e, &after)) e->work.open_after = after;
}

static int apply_and_land(struct env *e, struct ops *ops, unsigned log_flags,
                          u64 *seq)
{
    struct view view = {0};
    struct head_mark mark;
    struct ops_walk walk;
    struct op op;
    int rc;
    head_mark(e, &mark);
    head_view(e, &view, e->head.seq + 1);
    open_frames(e, ops, log_flags);
    ops_walk_from(&walk, ops, NULL);
    while (!(rc = ops_next(&walk, &op)) && !(rc = view_apply(&view, &op))) {
    }
    if (rc == LUGE_NOTFOUND) rc = view_flush(&view);
    if (rc == LUGE_NOTREE || rc == LUGE_EXISTS)
        rc = fail(LUGE_CONFLICT, "another transaction dropped a tree or took "
                  "a name that this one needs");
    if (!rc) return commit_view(e, &view, &mark, ops, log_flags, seq);
    head_abandon(e, &view, &mark);
    return rc;
}

int commit_ops(struct env *e, struct ops *ops, const struct reads *reads,
               const struct version *base, unsigned log_flags, u64 *seq)
{
    struct blind_commit blind = {ops, base->seq};
    head_may_fn *may = ops->special || reads->content ? NULL : blind_decide;
    bool behind;
    int rc = head_take_turn_lazily(e, e->options.busy_timeout_ms, may, &blind,
                                   &behind);
    if (rc) return rc;
    if (behind) {
        rc = commit_blind(e, ops, log_flags, seq);
    } else {
        rc = validate(e, reads, base);
        if (!rc) rc = apply_and_land(e, ops, log_flags, seq);
    }
    head_release_turn(e);
    return rc;
}

/* ---------------------------------------------------------------- wait -- */

static int sync_failed(struct env *e)
{
    int code = -(int)atomic_load(&e->share.m->failed);
    atomic_store(&e->broken, LUGE_BROKEN);
    return fail(LUGE_BROKEN, "a sync of the log failed (%s): what was not "
                "durable may be lost; close all handles and open again",
                luge_error_text(code));
}

/* Those whom the last sync let go are on their way back.  Without them there
 * are two groups of half the size, each waiting for the other's sync; so the
 * leader waits until they have come, for as long as the sync took at most, and
 * for less and less if they do not come.  16 threads made 57 k commits/s where
 * a quarter of a sync was the limit, 74 k since (durable-t16).  A lone writer
 * waits for nobody: if the last sync was of one commit, it was his, unless he
 * slept through it. */
static void gather(struct env *e, bool slept)
{
    struct share_memory *m = e->share.m;
    u32 group = atomic_load(&m->sync_group), us = atomic_load(&m->gather_us);
    u32 most = atomic_load(&m->sync_took_us);
    if (group <= !slept) return;
    if (atomic_load(&m->syncs) % GATHER_ANEW == 0) us = most;
    u64 now = os_monotonic_ns(), length = (u64)us * 1000;
    /* Another process's clock may be ahead, in a time namespace. */
    u64 end = min_u64(atomic_load(&m->sync_ended_ns), now) + length;
    u64 from = atomic_load(slept ? &m->committed : &m->durable), came;
    bool late = now >= end;
    while ((came = atomic_load(&m->committed) - from) < group &&
           os_monotonic_ns() < end)
        os_yield();
    if (!late)
        atomic_store(&m->gather_us, 2 * came >= group ? most : us * 3 / 4);
}

/* All up to NOW is durable since a sync that began at START. */
static void sync_done(struct env *e, const struct txn_head *now, u64 start)
{
    struct share_memory *m = e->share.m;
    u64 durable = atomic_load(&m->durable);
    u64 took = os_monotonic_ns() - start;
    u64 group = now->written_seq - min_u64(durable, now->written_seq);
    atomic_fetch_add_explicit(&m->syncs, 1, memory_order_relaxed);
    share_figure_sync(&e->share, took, group);
    atomic_store(&m->sync_took_us,
                 (u32)min_u64(took / 1000, GATHER_SYNC_US_MAX));
    atomic_store(&m->sync_group, (u32)min_u64(group, UINT32_MAX));
    atomic_store(&m->sync_ended_ns, start + took);
    share_raise(&m->durable, now->written_seq);
    share_raise(&m->synced_segment, now->written.segment);
    share_show(&e->share);
}

/* Deposed, the leader looks for what others have recycled since: a durable
 * checkpoint is past it. */
static bool is_recycled(struct env *e, u64 segment)
{
    return segment < atomic_load(&e->share.m->log_oldest);
}

/* We are the leader: one sync for all that is committed now.  If it cannot be
 * written, then for what the log's file has. */
static int lead(struct env *e)
{
    struct share_memory *m = e->share.m;
    struct txn_head now;
    bool in_doubt;
    /* What it is for has landed: no other answer is worth as much. */
    int written = tail_flush(e, UINT64_MAX,
                             (u32)max_u64(e->options.busy_timeout_ms,
                                          LEAD_FLUSH_MS_MIN));
    head_copy(e, &now);
    share_lead(&e->share, now.written_seq);
    u64 from = atomic_load(&m->synced_segment), start = os_monotonic_ns();
    int rc = log_sync(&e->log, from, &now.written, &in_doubt);
    /* Never retried: the system may have dropped what it could not write, and a
     * second sync would succeed without it.  But what is only our own trouble,
     * no descriptor, others may do better. */
    if (!rc) sync_done(e, &now, start);
    else if (in_doubt) atomic_store(&m->failed, (u32)-rc);
    else if (rc != LUGE_NOTFOUND || !is_recycled(e, now.written.segment))
        written = rc;
    share_leader_done(&e->share);
    bell_ring(e);
    return written;
}

int commit_sync_start(struct env *e, const struct log_position *at)
{
    struct share_memory *m = e->share.m;
    int rc = 0;
    while (!rc && at->offset == LOG_DATA_AT &&
           atomic_load(&m->synced_segment) < at->segment) {
        if (atomic_load(&m->failed)) return sync_failed(e);
        if (share_lead_or_wait(&e->share, UINT64_MAX)) rc = lead(e);
    }
    return rc;
}

int commit_wait(struct env *e, u64 seq)
{
    struct share_memory *m = e->share.m;
    bool slept = false;
    int rc = 0;
    while (atomic_load(&m->durable) < seq) {
        if (atomic_load(&m->failed)) return sync_failed(e);
        if (rc) return rc;
        bool leads = share_lead_or_wait(&e->share, seq);
        if (leads) gather(e, slept);
        if (leads) rc = lead(e);
        slept = !leads;
    }
    share_show(&e->share);
    return 0;
}

int commit_sync(struct env *e)
{
    return commit_wait(e, atomic_load(&e->share.m->committed));
}
