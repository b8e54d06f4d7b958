/* txn/keep.c -- who still needs the oldest segment of the log (keep.h).
 *
 *   recovery           (the caller has asked)
 *   the policy         everything, so many bytes, so many seconds
 *   watches            where they stand is in shared memory
 *   durable consumers  their cursors are in the database
 * The last two and the seconds hold no more than hold_bytes: beyond that they
 * expire, and no disk fills up for somebody who never comes back.
 */
#include "txn/keep.h"

static int load_record(luge_bytes value, void *to, size_t size)
{
    u16 bytes = value.size >= 4 ? load16(value.data) : 0;
    if (bytes < 8 || bytes > value.size)
        return CORRUPT("a record of %zu bytes in the tree " KEEP_TREE_NAME,
                       value.size);
    memset(to, 0, size);
    memcpy(to, value.data, min_u64(bytes, size));
    return 0;
}

int keep_load_policy(luge_bytes value, struct keep_policy *policy)
{
    return load_record(value, policy, sizeof *policy);
}

int keep_load_cursor(luge_bytes value, struct keep_cursor *cursor)
{
    return load_record(value, cursor, sizeof *cursor);
}

int keep_find_policy(struct view *v, struct keep_policy *policy)
{
    struct view_tree *t;
    luge_bytes value;
    memset(policy, 0, sizeof *policy);
    int rc = view_find(v, KEEP_TREE, &t);
    if (!rc)
        rc = tree_get(v->file, t->tree.root, luge_str(KEEP_POLICY_KEY),
                      &value);
    if (!rc) rc = keep_load_policy(value, policy);
    return rc == LUGE_NOTREE || rc == LUGE_NOTFOUND ? 0 : rc;
}

/* The smallest cursor of all consumers; UINT64_MAX: there is none. */
static int read_cursors(struct env *e, const struct tree *tree, u64 *lowest)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    struct tree_cursor at;
    struct keep_cursor cursor;
    luge_bytes value;
    *lowest = UINT64_MAX;
    int rc = tree_seek(&at, &e->pages, tree->root, LUGE_GE, luge_str("c"));
    while (!rc) {
        luge_bytes key = tree_cursor_key(&at, space);
        if (!key.size || space[0] != 'c') return 0;
        rc = tree_cursor_value(&at, &value);
        if (!rc) rc = keep_load_cursor(value, &cursor);
        if (!rc && cursor.seq < *lowest) *lowest = cursor.seq;
        if (!rc) rc = tree_next(&at);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Where segment NUMBER begins: its first record and when that was made. */
static int segment_begin(struct env *e, u64 number, u64 *seq, u64 *time_ns)
{
    struct log_position at;
    struct log_scan scan;
    struct log_frame frame;
    int rc = log_segment_start(&e->log, number, &at, seq);
    if (rc) return rc;
    log_scan_begin(&scan, &e->log, &at, &env_head(e)->written);
    rc = log_next(&scan, &frame);
    *time_ns = rc ? UINT64_MAX : frame.time_ns;
    log_scan_end(&scan);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* The same of the one behind OLDEST.  Numbers have gaps, and one that was begun
 * and never belonged to the log leads nowhere (log.h L5). */
static int begin_after(struct env *e, u64 oldest, u64 *seq, u64 *time_ns)
{
    u64 *numbers;
    size_t count;
    int found = LUGE_NOTFOUND, worst = LUGE_NOTFOUND;
    int rc = log_list(&e->log, oldest + 1, env_head(e)->log.segment, &numbers,
                      &count);
    for (size_t i = 0; !rc && found && i < count; i++) {
        found = segment_begin(e, numbers[i], seq, time_ns);
        if (found == LUGE_CORRUPT) worst = found;
        else if (found != LUGE_NOTFOUND) rc = found;
    }
    base_free(numbers);
    return rc || !found ? rc : worst;
}

/* A watch that sleeps because nothing is for it does not know that the log goes
 * on: it is rung to look, and lets go. */
static bool held_by_watch(struct env *e, u64 oldest)
{
    struct share *s = &e->share;
    u32 high = atomic_load(&s->m->watches_high);
    bool held = false;
    for (u32 i = 0; i < high && i < SHARE_WATCHES_MAX; i++) {
        struct share_watch *w = &s->m->watches[i];
        u64 segment = atomic_load(&w->segment);
        if (!atomic_load(&w->ready) || !segment || segment > oldest) continue;
        held = true;
        share_watch_want(w, atomic_load(&w->seq) + 1);
    }
    if (held) bell_ring(e);
    return held;
}

/* The end of OLDEST is where the next segment begins. */
static int held_by_record(struct env *e, const struct keep_policy *policy,
                          u64 lowest, u64 oldest, bool *held)
{
    u64 seq = 0, time_ns = 0, now = e->os->wall_ns(e->os);
    if (lowest == UINT64_MAX && !policy->keep_seconds) return 0;
    int rc = begin_after(e, oldest, &seq, &time_ns);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    /* The record numbered seq may have begun in the segment before. */
    if (seq > lowest) *held = true;
    if (policy->keep_seconds && now < time_ns) *held = true;
    else if (policy->keep_seconds &&
             (now - time_ns) / 1000000000 < policy->keep_seconds)
        *held = true;
    return 0;
}

static int read_wishes_at(struct env *e, page_ref catalog, u64 count, u64 seq,
                          struct keep_policy *policy, u64 *lowest)
{
    struct view view = {0};
    struct view_tree *t;
    *lowest = UINT64_MAX;
    view_begin(&view, &e->pages, NULL, catalog, count, seq);
    int rc = keep_find_policy(&view, policy);
    if (!rc) rc = view_find(&view, KEEP_TREE, &t);
    if (!rc) rc = read_cursors(e, &t->tree, lowest);
    view_end(&view);
    return rc == LUGE_NOTREE ? 0 : rc;
}

/* Zeros are the defaults that the opener and this file have. */
static void fill_policy(const struct env *e, struct keep_policy *p)
{
    if (!p->hold_bytes) p->hold_bytes = KEEP_HOLD_BYTES;
    if (!p->keep_bytes) p->keep_bytes = e->options.log_keep_bytes;
}

/* What is wished for now, power loss may take back, and what was wished for at
 * the checkpoint be true again: both hold. */
static int read_wishes(struct env *e, struct keep_policy *policy, u64 *lowest)
{
    const struct txn_head *h = env_head(e);
    struct keep_policy then = {0};
    u64 durable = UINT64_MAX;
    int rc = read_wishes_at(e, h->checkpoint_catalog,
                            h->checkpoint_catalog_count, h->checkpoint, &then,
                            &durable);
    if (!rc)
        rc = read_wishes_at(e, e->head.catalog, e->head.catalog_count,
                            e->head.seq, policy, lowest);
    if (rc) return rc;
    fill_policy(e, &then);
    fill_policy(e, policy);
    policy->flags |= then.flags;
    policy->keep_bytes = max_u64(policy->keep_bytes, then.keep_bytes);
    policy->keep_seconds = max_u64(policy->keep_seconds, then.keep_seconds);
    policy->hold_bytes = max_u64(policy->hold_bytes, then.hold_bytes);
    *lowest = min_u64(*lowest, durable);
    return 0;
}

int keep_needs(struct env *e, u64 oldest, u64 bytes, u64 spare,
               bool *needed)
{
    struct keep_policy policy = {0};
    u64 lowest;
    int rc = read_wishes(e, &policy, &lowest);
    if (rc) return rc;
    u64 keep = policy.keep_bytes;
    *needed = (policy.flags & KEEP_ALL) ||
              bytes <= keep || bytes - keep <= min_u64(keep, spare);
    if (*needed || bytes > policy.hold_bytes) return 0;
    *needed = held_by_watch(e, oldest);
    return *needed ? 0 : held_by_record(e, &policy, lowest, oldest, needed);
}
