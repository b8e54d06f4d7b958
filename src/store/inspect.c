/* store/inspect.c -- statistics, the checksum.
 * Not here: the prover (check.c).
 */
#include "store/store.h"
#include "txn/keep.h"

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
    int rc = txn_begin(e, LUGE_READ | TXN_BLIND, &txn);
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
    /* Who flipped may not have announced it yet. */
    stats->seq_published = min_u64(now.published, stats->seq_committed);
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
    stats->commits_blind = m->blind_commits;
    stats->takeovers = m->takeovers + m->thefts;
    stats->processes = m->attached;
    stats->log_since_checkpoint_bytes = now.log_total - now.checkpoint_total;
    stats->open_us = e->opening.open_us;
    stats->recovery_scan_us = e->opening.scan_us;
    stats->recovery_replay_us = e->opening.replay_us;
    stats->recovery_sync_us = e->opening.sync_us;
    stats->recovery_records = e->opening.records;
    stats->recovery_bytes = e->opening.bytes;
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
    if (!rc && txn_validates(txn))
        rc = reads_range(&txn->reads, tree, luge_bytes_of("", 0), NULL, NULL);
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

/* ------------------------------------------------------------ checksum -- */

static u64 mix(u64 sum, luge_bytes bytes)
{
    return base_hash(bytes.data, bytes.size, sum + bytes.size);
}

/* How many pairs there are comes before them: else the parts of a pair could be
 * the names of two empty trees. */
static int sum_tree(luge_txn *txn, luge_tree tree, u64 *sum)
{
    luge_cursor *cursor;
    luge_bytes key, value;
    uint64_t count;
    u8 space[8];
    int rc = luge_tree_count(txn, tree, &count);
    if (!rc) rc = luge_cursor_open(txn, tree, &cursor);
    if (rc) return rc;
    store64(space, count);
    *sum = mix(*sum, luge_bytes_of(space, sizeof space));
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
        if (tree == KEEP_TREE) continue;        /* as in a dump */
        total = mix(total, name);
        rc = sum_tree(txn, tree, &total);
        if (rc) return rc;
    }
    if (rc != LUGE_NOTFOUND) return rc;
    *sum = total;
    return 0;
}
