/* txn/txn.c -- beginning, ending and undoing transactions (txn.h: the states).
 * Not here: landing (commit.c), choosing a version (version.c).
 */
#include "txn/txn.h"

enum { TRY_LOOKS_MAX = 500, TRY_NAP_US = 100 };

int env_usable(struct env *e)
{
    int broken = atomic_load_explicit(&e->broken, memory_order_relaxed);
    if (unlikely(!*e->fork_sentinel))
        return fail(LUGE_FORKED, "the database was opened before fork(); the "
                    "child must open it anew");
    if (unlikely(atomic_load_explicit(&e->share.m->failed,
                                      memory_order_relaxed)) || broken)
        return fail(LUGE_BROKEN, "an earlier failure made the database "
                    "unusable; close all handles and open again");
    return 0;
}

/* --------------------------------------------------------------- idle -- */

static struct env_nook *nook(struct env *e)
{
    /* A thread's number is an address: its upper bits say little. */
    u64 spread = (u64)pthread_self() * 0x9e3779b97f4a7c15u;
    return &e->nooks[spread >> (64 - ENV_NOOKS_LOG2)];
}

static int make_txn(struct env *e, struct luge_txn **txn)
{
    struct luge_txn *made = base_alloc_zero(sizeof *made);
    if (!made) return NOMEM();
    made->env = e;
    made->ops.spill = &e->spill;
    int rc = share_slot_take(&e->share, &made->slot);
    if (rc) {
        base_free(made);
        return rc;
    }
    u32 high = atomic_load(&e->slots_high);
    while (high <= made->slot &&
           !atomic_compare_exchange_weak(&e->slots_high, &high,
                                         made->slot + 1)) {
    }
    pthread_mutex_lock(&e->lock);
    made->next_of_all = e->all;
    e->all = made;
    pthread_mutex_unlock(&e->lock);
    *txn = made;
    return 0;
}

static int take_listed(struct env *e, struct luge_txn **txn)
{
    pthread_mutex_lock(&e->lock);
    *txn = e->idle;
    if (*txn) e->idle = (*txn)->next;
    pthread_mutex_unlock(&e->lock);
    return *txn ? 0 : make_txn(e, txn);
}

static int take_idle(struct env *e, struct luge_txn **txn)
{
    struct env_nook *n = nook(e);
    *txn = atomic_load_explicit(&n->txn, memory_order_relaxed);
    if (*txn) *txn = atomic_exchange_explicit(&n->txn, NULL,
                                              memory_order_acquire);
    return *txn ? 0 : take_listed(e, txn);
}

static void give_idle(struct luge_txn *txn)
{
    struct env *e = txn->env;
    struct luge_txn *empty = NULL;
    atomic_store_explicit(&txn->owner, NULL, memory_order_release);
    if (atomic_compare_exchange_strong_explicit(
            &nook(e)->txn, &empty, txn, memory_order_release,
            memory_order_relaxed))
        return;
    pthread_mutex_lock(&e->lock);
    txn->next = e->idle;
    e->idle = txn;
    pthread_mutex_unlock(&e->lock);
}

static void free_txn(struct luge_txn *txn)
{
    share_slot_give(&txn->env->share, txn->slot);
    view_end(&txn->view);
    page_work_end(&txn->work);
    ops_free(&txn->ops);
    reads_free(&txn->reads);
    base_free(txn->savepoints);
    base_free(txn->cursor_kept);
    base_buffer_free(&txn->near_key);
    base_buffer_free(&txn->popped_key);
    base_buffer_free(&txn->popped_value);
    base_buffer_free(&txn->name);
    base_buffer_free(&txn->merged);
    base_free(txn);
}

/* All are idle. */
void txn_free_idle(struct env *e)
{
    while (e->all) {
        struct luge_txn *txn = e->all;
        e->all = txn->next_of_all;
        free_txn(txn);
    }
    e->idle = NULL;
    memset(e->nooks, 0, sizeof e->nooks);
}

u32 txn_count_open(struct env *e, const void *owner)
{
    u32 count = 0;
    pthread_mutex_lock(&e->lock);
    for (struct luge_txn *txn = e->all; txn; txn = txn->next_of_all)
        count += atomic_load_explicit(&txn->owner, memory_order_acquire) ==
                 owner;
    pthread_mutex_unlock(&e->lock);
    return count;
}

/* --------------------------------------------------------------- begin -- */

static void forget_view(struct luge_txn *txn)
{
    if (txn->view_stays) view_end(&txn->view);
    txn->view_stays = false;
}

/* BUSY at once if an application holds the turn; a commit or a checkpoint that
 * is under way is waited for. */
static int try_turn(struct env *e)
{
    int rc = tail_take_turn(e, 0);
    for (int i = 0; rc == LUGE_BUSY && i < TRY_LOOKS_MAX; i++) {
        if (atomic_load(&e->share.m->turn_long)) return rc;
        os_sleep_us(TRY_NAP_US);
        rc = tail_take_turn(e, 0);
    }
    return rc;
}

static void end_turn(struct luge_txn *txn)
{
    struct env *e = txn->env;
    atomic_store(&e->share.m->turn_long, 0);
    head_release_turn(e);
    txn->turn = false;
}

static int begin_turn(struct luge_txn *txn)
{
    struct env *e = txn->env;
    /* Nothing in the tail: readers cannot write it while we have the turn. */
    int rc = txn->flags & LUGE_TRY
                 ? try_turn(e)
                 : tail_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    atomic_store(&e->share.m->turn_long, 1);
    head_mark(e, &txn->mark);
    forget_view(txn);
    head_view(e, &txn->view, e->head.seq + 1);
    txn->version = e->head;
    txn->turn = true;
    return 0;
}

/* Where its trees are is known already if the version is the one before. */
static void begin_view(struct luge_txn *txn, const struct version *v)
{
    struct env *e = txn->env;
    bool same = txn->view_stays && v->place &&
                v->place == txn->version.place && v->seq == txn->version.seq;
    if (!same) {
        forget_view(txn);
        view_begin(&txn->view, &e->pages, NULL, v->catalog, v->catalog_count,
                   v->seq + 1);
        view_know(&txn->view, &v->near);
        txn->version = *v;
    }
    txn->view_stays = !txn->writes;
    txn->pinned = true;
}

static int begin_pinned(struct luge_txn *txn, bool blind)
{
    struct version v;
    int rc = version_pin(txn->env, txn->slot, &v, blind, &txn->begun_seq);
    if (!rc) begin_view(txn, &v);
    txn->blind = blind;
    return rc;
}

/* What it will read is of its beginning, or later; but of one moment with the
 * trees that it was told of. */
static int open_eyes(struct luge_txn *txn)
{
    struct env *e = txn->env;
    u64 before = txn->version.seq;
    txn->blind = false;
    if (before >= txn->begun_seq) {
        version_looked(e, txn->slot, &txn->version);
        return 0;
    }
    version_unpin(e, txn->slot);
    txn->pinned = false;
    view_end(&txn->view);
    int rc = begin_pinned(txn, false);
    if (!rc && reads_any(&txn->reads) &&
        atomic_load(&e->share.m->special) > before)
        rc = fail(LUGE_CONFLICT, "another transaction changed more than values "
                  "before this one began to read");
    return rc ? txn_fail(txn, rc) : 0;
}

int txn_begin(struct env *e, unsigned flags, struct luge_txn **result)
{
    struct luge_txn *txn;
    int rc = env_usable(e);
    if (!rc) rc = take_idle(e, &txn);
    if (rc) return rc;
    txn->flags = flags;
    txn->writes = (flags & (LUGE_WRITE | LUGE_TURN)) != 0;
    txn->turn = txn->pinned = txn->private_view = txn->blind = false;
    txn->failed = 0;
    txn->applied = (struct ops_mark){0};
    rc = flags & LUGE_TURN ? begin_turn(txn)
                           : begin_pinned(txn, (flags & TXN_BLIND) != 0);
    if (rc) {
        give_idle(txn);
        return rc;
    }
    *result = txn;
    return 0;
}

/* An idle one becomes a read transaction; its version is pinned afterwards. */
static int take_reader(struct env *e, struct luge_txn **result)
{
    struct luge_txn *txn;
    int rc = env_usable(e);
    if (!rc) rc = take_idle(e, &txn);
    if (rc) return rc;
    txn->flags = LUGE_READ;
    txn->writes = txn->turn = txn->pinned = txn->private_view = false;
    txn->blind = false;
    txn->failed = 0;
    txn->applied = (struct ops_mark){0};
    *result = txn;
    return 0;
}

int txn_begin_beside(const struct luge_txn *of, struct luge_txn **result)
{
    int rc = take_reader(of->env, result);
    if (rc) return rc;
    version_pin_beside(of->env, (*result)->slot, of->slot, &of->version);
    begin_view(*result, &of->version);
    return 0;
}

int txn_begin_checkpoint(struct env *e, struct luge_txn **result)
{
    struct luge_txn *txn;
    struct version v;
    int rc = take_reader(e, &txn);
    if (rc) return rc;
    rc = version_pin_checkpoint(e, txn->slot, &v);
    if (rc) {
        give_idle(txn);
        return rc;
    }
    begin_view(txn, &v);
    *result = txn;
    return 0;
}

/* *robbed: we were stopped meanwhile, and nothing has begun. */
static int pin_published(struct luge_txn *txn, struct txn_head *head,
                         bool *robbed)
{
    struct env *e = txn->env;
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    *robbed = false;
    if (rc) return rc;
    rc = publish_head(e);
    if (!rc) rc = tail_settle(e);
    *head = *env_head(e);
    if (!rc) version_pin_head(e, txn->slot);
    if (!rc) rc = head_may_write(e);    /* else it may have come late */
    if (!rc) begin_view(txn, &e->head);
    else version_unpin(e, txn->slot);
    *robbed = rc && !share_turn_mine(&e->share);
    head_release_turn(e);
    return rc;
}

int txn_begin_published(struct env *e, struct luge_txn **result,
                        struct txn_head *head)
{
    struct luge_txn *txn;
    bool robbed;
    int rc = take_reader(e, &txn);
    if (rc) return rc;
    do rc = pin_published(txn, head, &robbed);
    while (robbed);
    if (rc) give_idle(txn);
    else *result = txn;
    return rc;
}

/* ---------------------------------------------------------------- past -- */

void txn_past_begin(struct luge_txn *txn, const struct tree *catalog,
                    u64 publication)
{
    struct env *e = txn->env;
    txn->past = true;
    txn->past_frames = 0;
    forget_view(txn);
    page_work_begin(&txn->work, &e->pages, txn->version.seq, NULL);
    txn->work.birth = publication;
    view_begin(&txn->view, &e->pages, &txn->work, catalog->root,
               catalog->count, txn->version.seq);
}

int txn_past_seal(struct luge_txn *txn, u64 seq, const struct log_position *at)
{
    struct env *e = txn->env;
    int rc = view_flush(&txn->view);
    if (rc) return rc;
    txn->view.work = NULL;
    txn->version.seq = seq;
    txn->version.log = *at;
    atomic_store(&e->share.m->slots[txn->slot].seq, seq);
    txn->past_frames = txn->work.frame_count;
    atomic_fetch_add(&e->past_frames, txn->past_frames);
    return 0;
}

static void past_end(struct luge_txn *txn)
{
    if (!txn->past) return;
    page_work_abandon(&txn->work);
    ops_clear(&txn->ops);
    atomic_fetch_sub(&txn->env->past_frames, txn->past_frames);
    txn->past = false;
    txn->past_frames = 0;
}

/* The states whose trees were opened in TXN. */
static void pasts_end(struct luge_txn *txn)
{
    while (txn->pasts) {
        struct luge_txn *past = txn->pasts;
        txn->pasts = past->next;
        txn_abort(past);
    }
}

/* ----------------------------------------------------------------- end -- */

static void drop_savepoints(struct luge_txn *txn, u32 from)
{
    for (u32 i = from; i < txn->savepoint_count; i++)
        base_free(txn->savepoints[i].trees);
    if (from < txn->savepoint_count) txn->savepoint_count = from;
}

static void leave(struct luge_txn *txn)
{
    struct env *e = txn->env;
    if (txn->private_view) page_work_abandon(&txn->work);
    txn->private_view = false;
    past_end(txn);
    pasts_end(txn);
    if (txn->writes) {
        drop_savepoints(txn, 0);
        ops_clear(&txn->ops);
        reads_clear(&txn->reads);
        base_buffer_free(&txn->popped_value);
        base_buffer_free(&txn->merged);
    }
    if (!txn->view_stays || view_is_large(&txn->view)) {
        view_end(&txn->view);
        txn->view_stays = false;
    }
    txn->view.frozen_count = 0;
    if (txn->pinned) version_unpin(e, txn->slot);
    txn->pinned = false;
    give_idle(txn);
}

void txn_abort(struct luge_txn *txn)
{
    if (!*txn->env->fork_sentinel) return; /* the parent's */
    if (txn->turn) {
        head_abandon(txn->env, &txn->view, &txn->mark);
        end_turn(txn);
    }
    leave(txn);
}

static unsigned log_flags(const struct luge_txn *txn)
{
    bool full = txn->env->options.durability == LUGE_FULL;
    if (txn->flags & LUGE_TXN_FULL) full = true;
    if (txn->flags & LUGE_TXN_ASYNC) full = false;
    return full ? LOG_FULL : 0;
}

static int land(struct luge_txn *txn, u64 *seq)
{
    struct env *e = txn->env;
    if (!txn->turn && txn->pinned) {
        version_unpin(e, txn->slot);    /* it has read all that it will */
        txn->pinned = false;
    }
    if (!txn->turn)
        return commit_ops(e, &txn->ops, &txn->reads, &txn->version,
                          log_flags(txn), seq);
    int rc = view_flush(&txn->view);
    if (!rc)
        rc = commit_view(e, &txn->view, &txn->mark, &txn->ops,
                         log_flags(txn), seq);
    else
        head_abandon(e, &txn->view, &txn->mark);
    end_turn(txn);
    return rc;
}

/* After an asynchronous commit somebody has to sync within the interval. */
static void leave_to_caretaker(struct env *e)
{
    if (!e->threaded) {
        if (atomic_load(&e->care_wants_checkpoint)) (void)care_now(e);
    } else if (atomic_load_explicit(&e->care_idle, memory_order_relaxed)) {
        care_wake(e);
    }
}

/* Who held the turn saw the newest commit, durable or not.  Once that was
 * acknowledged, nobody who begins may see less, nor power loss take it back. */
static int end_unchanged(struct luge_txn *txn)
{
    struct env *e = txn->env;
    u64 seq = txn->version.seq;
    txn_abort(txn);
    return atomic_load(&e->share.m->shown) < seq ? commit_wait(e, seq) : 0;
}

/* It has landed: another answer would say that nothing was changed. */
static int not_durable(struct env *e, int why)
{
    if (why == LUGE_BROKEN) return why;
    atomic_store(&e->broken, LUGE_BROKEN);
    return fail(LUGE_BROKEN, "this transaction is committed, but the log could "
                "not be synced (%s): whether it lasts is unknown; close all "
                "handles and open again", luge_error_text(why));
}

int txn_commit(struct luge_txn *txn, u64 *seq)
{
    struct env *e = txn->env;
    int rc = txn_usable(txn);
    *seq = txn_seq(txn);
    if (rc) {
        if (rc != LUGE_FORKED) txn_abort(txn);
        return rc;
    }
    /* A state of the past has operations, too: those that led to it. */
    if (!txn->writes || !txn->ops.count) return end_unchanged(txn);
    bool full = log_flags(txn) & LOG_FULL;
    rc = land(txn, seq);
    if (!rc) bell_commit(e, &txn->ops, *seq);
    leave(txn);
    if (rc) return rc;
    share_raise(&e->last_committed, *seq);
    /* A commit that stands behind one that is not durable yet cannot be shown
     * yet either.  Whoever made it must find it when it begins again. */
    if (full || atomic_load(&e->share.m->shown) < *seq)
        rc = commit_wait(e, *seq);
    leave_to_caretaker(e);
    return rc ? not_durable(e, rc) : 0;
}

int txn_renew(struct luge_txn *txn)
{
    int rc = txn_usable(txn);
    if (!rc) rc = env_usable(txn->env);
    if (rc) return rc;
    if (txn->writes)
        return fail(LUGE_INVALID, "a write transaction cannot be renewed");
    past_end(txn);
    pasts_end(txn);
    version_unpin(txn->env, txn->slot);
    txn->view.frozen_count = 0;
    txn->pinned = false;
    txn->changes++;
    rc = begin_pinned(txn, false);
    return rc ? txn_fail(txn, rc) : 0;
}

/* ---------------------------------------------------------------- view -- */

int txn_fail(struct luge_txn *txn, int code)
{
    txn->failed = code;
    return code;
}

/* The private view begins as the snapshot; what was looked up stays. */
static void open_private_view(struct luge_txn *txn)
{
    page_work_begin(&txn->work, &txn->env->pages, txn->version.seq + 1, NULL);
    txn->work.birth = env_private_birth(txn->env, &txn->version);
    txn->view.work = &txn->work;
    txn->private_view = true;
}

static int apply_rest(struct luge_txn *txn)
{
    struct ops_walk walk;
    struct op op;
    int rc;
    if (!txn->private_view) open_private_view(txn);
    ops_walk_from(&walk, &txn->ops, &txn->applied);
    while (!(rc = ops_next(&walk, &op)) &&
           !(rc = view_apply(&txn->view, &op))) {
    }
    if (rc != LUGE_NOTFOUND) return txn_fail(txn, rc);
    txn->applied = ops_mark(&txn->ops);                           /* X1 */
    return 0;
}

int txn_view(struct luge_txn *txn, struct view **view)
{
    *view = &txn->view;
    if (!txn_validates(txn)) return 0;
    if (txn->blind) {
        int rc = open_eyes(txn);
        if (rc) return rc;
    }
    return txn->ops.count == txn->applied.count ? 0 : apply_rest(txn);
}

int txn_add(struct luge_txn *txn, const struct op *op)
{
    struct op stored;
    int rc = ops_add(&txn->ops, op, &stored);
    if (rc) return txn_fail(txn, rc);
    txn->changes++;
    if (!txn->turn) return 0;
    rc = view_apply(&txn->view, &stored);
    return rc ? txn_fail(txn, rc) : 0;
}

/* ---------------------------------------------------------- savepoints -- */

static int copy_trees(struct luge_txn *txn, struct txn_savepoint *s)
{
    s->tree_count = txn->view.tree_count;
    s->trees = base_alloc((s->tree_count + 1) * sizeof *s->trees);
    if (!s->trees) return NOMEM();
    memcpy(s->trees, view_trees(&txn->view),
           s->tree_count * sizeof *s->trees);
    return 0;
}

static struct page_work *work_of(struct luge_txn *txn)
{
    return txn->turn ? &txn->env->work : &txn->work;
}

int txn_savepoint(struct luge_txn *txn, u32 *savepoint)
{
    struct view *view;
    struct txn_savepoint s = {0};
    int rc = 0;
    if (txn->savepoint_count == txn->savepoint_capacity) {
        u32 capacity = txn->savepoint_capacity ? 2 * txn->savepoint_capacity
                                               : 8;
        struct txn_savepoint *more =
            base_realloc(txn->savepoints, capacity * sizeof *more);
        if (!more) return NOMEM();
        txn->savepoints = more;
        txn->savepoint_capacity = capacity;
    }
    s.private_view = txn->turn || txn->private_view;
    if (s.private_view) {
        rc = txn_view(txn, &view);
        if (!rc) rc = copy_trees(txn, &s);
        if (rc) return rc;
        work_of(txn)->epoch++;          /* what is there now stays as it is */
        s.catalog = view->catalog;
        s.frames = work_of(txn)->frame_count;
        s.drops = work_of(txn)->drop_count;
        if (txn->turn) head_mark(txn->env, &s.head);
    }
    s.ops = ops_mark(&txn->ops);
    s.applied = txn->applied;
    s.frozen = txn->view.frozen_count;
    *savepoint = txn->savepoint_count;
    txn->savepoints[txn->savepoint_count++] = s;
    return 0;
}

static void restore_view(struct luge_txn *txn, const struct txn_savepoint *s)
{
    struct env *e = txn->env;
    struct view *view = &txn->view;
    if (!s->private_view) {
        /* There was no private view then: forget the one there is. */
        if (txn->private_view) page_work_abandon(&txn->work);
        txn->private_view = false;
        view->work = NULL;
        view->catalog = (struct tree){txn->version.catalog,
                                      txn->version.catalog_count};
        view->tree_count = view->last = 0;
        view_trees(view)[0].number = 0;
        return;
    }
    page_work_rollback(work_of(txn), s->frames, s->drops);
    work_of(txn)->epoch++;
    view->catalog = s->catalog;
    view->catalog_pin_known = false;
    view->last = 0;
    view->tree_count = s->tree_count;   /* the array only ever grows */
    memcpy(view_trees(view), s->trees, s->tree_count * sizeof *s->trees);
    if (!s->tree_count) view_trees(view)[0].number = 0;
    if (txn->turn) {
        e->arena->work = s->head.space;
        e->space.limbo_count = s->head.limbo;
        e->publishing.count = s->head.published;
    }
}

int txn_rollback(struct luge_txn *txn, u32 savepoint)
{
    if (savepoint >= txn->savepoint_count)
        return fail(LUGE_INVALID, "there is no savepoint %u in this "
                    "transaction", savepoint);
    const struct txn_savepoint *s = &txn->savepoints[savepoint];
    restore_view(txn, s);
    view_forget_frozen(&txn->view, s->frozen);
    ops_cut(&txn->ops, &s->ops);
    txn->applied = s->applied;
    txn->changes++;
    drop_savepoints(txn, savepoint + 1);
    return 0;
}
