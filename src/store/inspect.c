/* store/inspect.c -- statistics, the prover, the checksum.
 *
 *   K1  Every page below page_count is exactly one of: superblock, live in the
 *       head, dropped by the lineage, in a queue, in the current run, stored
 *       free list.  (Pinned and pending pages are in the queues.)
 *   K2  Every live page passes its checksum, each tree its own proof.
 * Not here: what a tree's proof is (tree/check.c).
 */
#include <stdarg.h>
#include <stdio.h>

#include "store/store.h"

/* --------------------------------------------------------- statistics -- */

static void count_readers(struct share *s, struct luge_stats *stats)
{
    u32 high = s->m->slots_high;
    for (u32 i = 0; i < high && i < SHARE_SLOTS_MAX; i++) {
        u64 pin = atomic_load(&s->m->slots[i].pin);
        u64 seq = atomic_load(&s->m->slots[i].seq);
        if (!pin || !seq) continue;
        stats->readers++;
        if (!stats->reader_oldest_seq || seq < stats->reader_oldest_seq)
            stats->reader_oldest_seq = seq;
    }
}

static void count_watches(struct share *s, struct luge_stats *stats)
{
    u32 high = s->m->watches_high;
    for (u32 i = 0; i < high && i < SHARE_WATCHES_MAX; i++)
        stats->watches += atomic_load(&s->m->watches[i].owner) != 0;
}

static int count_tree(void *context, u64 number, const struct tree *tree,
                      luge_bytes name)
{
    (void)number;
    (void)tree;
    (void)name;
    ++*(uint64_t *)context;
    return 0;
}

static int count_trees(struct env *e, uint64_t *trees)
{
    luge_txn *txn;
    int rc = txn_begin(e, LUGE_READ, &txn);
    if (rc) return rc;
    rc = view_each(&txn->view, count_tree, trees);
    txn_abort(txn);
    return rc;
}

int luge_stat(luge_db *db, struct luge_stats *stats)
{
    struct env *e = &db->store->env;
    const struct share_memory *m = e->share.m;
    struct txn_head now;
    int rc = env_usable(e);
    if (rc) return rc;
    memset(stats, 0, sizeof *stats);
    (void)share_reap(&e->share);    /* the dead are not counted */
    rc = count_trees(e, &stats->trees);
    if (!rc) rc = e->os->size(e->db, &stats->file_bytes);
    if (rc) return rc;
    head_copy(e, &now);
    stats->seq_committed = m->committed;
    stats->seq_durable = m->durable;
    stats->seq_shown = m->shown;
    stats->seq_checkpoint = now.checkpoint;
    stats->pages_total = now.space.page_count;
    stats->pages_free = space_free_pages(&now.space);
    for (u32 q = SPACE_PENDING; q < SPACE_QUEUES; q++)
        stats->pages_pending += now.space.queue[q].pages;
    stats->page_bytes = e->options.page_bytes;
    stats->log_bytes = log_bytes(&e->log);
    stats->private_bytes = page_frames_used(&e->pages)
                           << e->pages.map.page_shift;
    stats->commits = m->commits;
    stats->conflicts = m->conflicts;
    stats->syncs = m->syncs;
    stats->checkpoints = m->checkpoints;
    stats->takeovers = m->takeovers + m->thefts;
    stats->processes = m->attached;
    stats->log_since_checkpoint_bytes = now.log_total - now.checkpoint_total;
    count_readers(&e->share, stats);
    count_watches(&e->share, stats);
    share_figure_rate(&e->share);
    stats->commits_per_second = m->rate;
    for (u32 i = 0; i < LUGE_HISTOGRAM; i++) {
        stats->sync_us[i] = m->sync_us[i];
        stats->group_commits[i] = m->group[i];
    }
    return 0;
}

int luge_tree_stat(luge_txn *txn, luge_tree tree,
                   struct luge_tree_stats *stats)
{
    struct view *view;
    struct view_tree *t;
    struct tree_totals totals = {0};
    int rc = store_tree(txn, tree, &view, &t);
    if (!rc)
        rc = tree_check(view->file, &t->tree, NULL, NULL, &totals);
    if (rc) return rc;
    *stats = (struct luge_tree_stats){
        .count = totals.count, .leaf_pages = totals.leaf_pages,
        .branch_pages = totals.branch_pages,
        .extent_pages = totals.extent_pages, .key_bytes = totals.key_bytes,
        .value_bytes = totals.value_bytes, .depth = totals.depth,
    };
    return 0;
}

/* ---------------------------------------------------------- the prover -- */

struct check {
    struct env *e;
    void (*report)(void *context, const char *sentence);
    void *context;
    u8 *seen;           /* a byte for each page: what it was found to be */
    u64 page_count;
    u64 defects;
    char first[256];    /* defect, for the error's sentence */
};

static void defect(struct check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void defect(struct check *c, const char *format, ...)
{
    char sentence[256];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (!c->defects++) snprintf(c->first, sizeof c->first, "%.127s", sentence);
    if (c->report) c->report(c->context, sentence);
}

enum use { UNSEEN, SUPER, LIVE, DROPPED, QUEUED, STORED };
static const char *const use_names[] = {
    "nothing", "a superblock", "live", "dropped", "free or pending",
    "the stored free list",
};

static void mark(struct check *c, u64 first, u64 pages, enum use use)
{
    for (u64 n = first; n < first + pages; n++) {
        if (n >= c->page_count) {
            defect(c, "page %llu (%s) lies beyond the last page",
                   (unsigned long long)n, use_names[use]);
            return;
        }
        if (c->seen[n])
            defect(c, "page %llu is %s and also %s", (unsigned long long)n,
                   use_names[c->seen[n]], use_names[use]);
        c->seen[n] = (u8)use;
    }
}

static int page_seen(void *context, page_ref ref, u64 pages)
{
    struct check *c = context;
    if (page_is_private(ref)) return 0;
    mark(c, ref, pages, LIVE);
    return 0;
}

static int check_tree(void *context, u64 number, const struct tree *tree,
                      luge_bytes name)
{
    struct check *c = context;
    struct tree_totals totals = {0};
    int rc = tree_check(&c->e->pages, tree, page_seen, c, &totals);
    if (rc == LUGE_CORRUPT)
        defect(c, "tree %llu \"%.*s\": %s", (unsigned long long)number,
               (int)min_u64(name.size, 64), (const char *)name.data,
               luge_last_error()->text);
    return rc == LUGE_CORRUPT ? 0 : rc;
}

static int run_seen(void *context, const struct space_run *run)
{
    mark(context, run->first, run->pages, QUEUED);
    return 0;
}

static int check_space(struct check *c)
{
    struct env *e = c->e;
    const struct space_state *st = &e->arena->work;
    const struct txn_head *h = env_head(e);
    mark(c, 0, 2, SUPER);
    mark(c, st->current_first, st->current_pages, QUEUED);
    mark(c, h->stored_first, h->stored_pages, STORED);
    for (size_t i = 0; i < e->drop_count; i++)
        mark(c, e->drops[i].ref, e->drops[i].pages, DROPPED);
    for (u32 q = 0; q < SPACE_QUEUES; q++) {
        int rc = space_each(&e->space, st, q, run_seen, c);
        if (rc) return rc;
    }
    for (u64 n = 0; n < c->page_count; n++)
        if (!c->seen[n])
            defect(c, "page %llu is lost: neither live nor free",
                   (unsigned long long)n);
    return 0;
}

static int check_head(struct check *c)
{
    struct env *e = c->e;
    struct view view = {0};
    struct tree_totals totals = {0};
    c->page_count = e->arena->work.page_count;
    c->seen = base_alloc_zero(c->page_count);
    if (!c->seen) return NOMEM();
    view_begin(&view, &e->pages, NULL, e->head.catalog, e->head.catalog_count,
               e->head.seq);
    struct tree catalog = view.catalog;
    int rc = tree_check(&e->pages, &catalog, page_seen, c, &totals);
    if (rc == LUGE_CORRUPT) {
        defect(c, "the catalog: %s", luge_last_error()->text);
        rc = 0;
    }
    if (!rc) rc = view_each(&view, check_tree, c);
    if (rc == LUGE_CORRUPT) {
        defect(c, "the catalog: %s", luge_last_error()->text);
        rc = 0;
    }
    if (!rc) rc = check_space(c);
    view_end(&view);
    return rc;
}

int luge_check(luge_db *db,
               void (*report)(void *context, const char *sentence),
               void *context)
{
    struct check c = {.e = &db->store->env, .report = report,
                      .context = context};
    int rc = head_take_turn(c.e, c.e->options.busy_timeout_ms);
    if (rc) return rc;
    page_distrust(&c.e->pages);                                   /* K2 */
    rc = check_head(&c);
    head_release_turn(c.e);
    base_free(c.seen);
    if (!rc && c.defects)
        rc = CORRUPT("the check found %llu defects, first: %s",
                     (unsigned long long)c.defects, c.first);
    return rc;
}

/* ------------------------------------------------------------ checksum -- */

static u64 mix(u64 sum, luge_bytes bytes)
{
    return base_hash(bytes.data, bytes.size, sum + bytes.size);
}

static int sum_tree(luge_txn *txn, luge_tree tree, u64 *sum)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    int rc = luge_cursor_open(txn, tree, &cursor);
    if (rc) return rc;
    while (!(rc = luge_cursor_next(cursor, &key, &value)))
        *sum = mix(mix(*sum, key), value);
    luge_cursor_close(cursor);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int luge_checksum(luge_txn *txn, uint64_t *sum)
{
    luge_bytes name = {"", 0};
    luge_tree tree;
    u64 total = 1;
    int rc;
    while (!(rc = luge_tree_after(txn, name, &name, &tree))) {
        total = mix(total, name);
        rc = sum_tree(txn, tree, &total);
        if (rc) return rc;
    }
    if (rc != LUGE_NOTFOUND) return rc;
    *sum = total;
    return 0;
}
