/* model/conversation_merge.c -- merging a branch into another one.
 *
 *   luge_branch_merge  1 both are active, have a common node, and there is
 *                        something to merge
 *                      2 what the strategy copies: events or whole nodes
 *                      3 the node with both heads as parents
 *                      4 INTO's head moves, FROM is Merged
 * What is copied is copied out of the trees first: each put may move the bytes
 * that a read has given.
 * Not here: forks and the state of a branch (conversation_branch.c).
 */
#include "conversation.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------- copying -- */

/* Memory that lives as long as the merge: a chain of blocks. */
struct block {
    struct block *next;
    size_t used, room;
    _Alignas(16) char bytes[];
};

struct copies {
    struct block *blocks;
    struct luge_music_event *events;
    size_t count, room;
};

enum { BLOCK_BYTES = 1 << 16 };

static int keep(struct copies *c, luge_bytes *bytes)
{
    struct block *b = c->blocks;

    if (!bytes->size) return 0;
    if (!b || b->room - b->used < bytes->size) {
        size_t room = bytes->size > BLOCK_BYTES ? bytes->size : BLOCK_BYTES;
        b = model_alloc(sizeof(*b) + room);
        if (!b) return MODEL_NOMEM();
        *b = (struct block){c->blocks, 0, room};
        c->blocks = b;
    }
    memcpy(b->bytes + b->used, bytes->data, bytes->size);
    bytes->data = b->bytes + b->used;
    b->used += bytes->size;
    return 0;
}

static void copies_free(struct copies *c)
{
    while (c->blocks) {
        struct block *next = c->blocks->next;
        model_free(c->blocks);
        c->blocks = next;
    }
    model_free(c->events);
    *c = (struct copies){0};
}

static int keep_event(struct copies *c, const struct luge_music_event *event)
{
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 64;
        void *larger = model_realloc(c->events, room * sizeof(*event));
        if (!larger) return MODEL_NOMEM();
        c->events = larger;
        c->room = room;
    }
    struct luge_music_event *e = &c->events[c->count++];
    *e = *event;
    int rc = keep(c, &e->agent);
    if (!rc) rc = keep(c, &e->what);
    if (!rc) rc = keep(c, &e->how);
    return rc ? rc : keep(c, &e->data);
}

/* An event without an agent is its node's author's, also in a copy. */
static int keep_events(luge_txn *txn, const struct luge_conversation *convo,
                       const struct luge_node *node, struct copies *c)
{
    struct luge_music_event e;
    int rc = 0;

    for (uint32_t at = 0; !rc && at < node->events; at++) {
        rc = luge_node_event(txn, convo, node->id, at, &e);
        if (!rc && !e.agent.size) e.agent = node->author;
        if (!rc) rc = keep_event(c, &e);
    }
    return rc;
}

/* ---------------------------------------------------------- strategies -- */

struct merge {
    luge_txn *txn;
    const struct luge_conversation *convo;
    struct convo_change from, into;
    uint64_t point;             /* where the paths to their heads part */
    uint64_t theirs;            /* the last node on FROM's path that INTO has */
    struct luge_say say;        /* of the new node */
    uint64_t first;             /* its first parent */
    uint64_t further[2];
    struct copies copies;
};

/* OVERLAY: all events on their path go into the new node. */
static int overlay(struct merge *m)
{
    struct convo_span span = {.node = m->from.fixed.tip, .after = m->theirs,
                              .all = true};
    struct luge_node node;
    uint64_t *ids;
    size_t count;
    int rc = convo_path(m->txn, m->convo, &span, &ids, &count);

    if (rc) return rc;
    for (size_t i = 0; !rc && i < count; i++) {
        rc = luge_node_get(m->txn, m->convo, ids[i], &node);
        if (!rc) rc = keep_events(m->txn, m->convo, &node, &m->copies);
    }
    model_free(ids);
    m->say.events = m->copies.events;
    m->say.event_count = m->copies.count;
    return rc;
}

/* A copy of node ID behind m->first, moved so that what it plays begins where
 * the music ends there: a node plays from its parent's clock to its own. */
static int copy_node(struct merge *m, uint64_t id)
{
    struct copies copies = {0};
    struct luge_node node, before = {0}, here = {0};
    struct luge_say say = {0};
    uint64_t made;
    int rc = luge_node_get(m->txn, m->convo, id, &node);

    if (!rc && node.parent)
        rc = luge_node_get(m->txn, m->convo, node.parent, &before);
    if (!rc && m->first)
        rc = luge_node_get(m->txn, m->convo, m->first, &here);
    if (rc) return rc;
    uint64_t back = before.clock_ns < node.begin_ns ? before.clock_ns
                                                    : node.begin_ns;
    rc = keep_events(m->txn, m->convo, &node, &copies);
    for (size_t i = 0; i < copies.count; i++)
        copies.events[i].time_ns += here.clock_ns - back;
    if (!rc) rc = keep(&copies, &node.author);
    if (!rc) rc = keep(&copies, &node.type);
    if (!rc) rc = keep(&copies, &node.payload);
    if (!rc) rc = keep(&copies, &node.description);
    say = (struct luge_say){
        .author = node.author, .type = node.type, .payload = node.payload,
        .description = node.description, .time_ns = node.time_ns,
        .origin = node.id, .emotion = &node.emotion,
        .events = copies.events, .event_count = copies.count};
    if (!rc)
        rc = convo_node_add(m->txn, m->convo, m->into.id, m->first, &say,
                            &made);
    copies_free(&copies);
    if (rc) return rc;
    m->first = made;
    m->into.fixed.nodes++;
    return 0;
}

/* INTERLEAVE: ours, theirs, ours, theirs ... on top of where they parted. */
static int interleave(struct merge *m)
{
    struct convo_span ours = {.node = m->into.fixed.tip, .after = m->point,
                              .all = true};
    struct convo_span theirs = {.node = m->from.fixed.tip,
                                .after = m->theirs, .all = true};
    uint64_t *left = NULL, *right = NULL;
    size_t lefts = 0, rights = 0;
    int rc = convo_path(m->txn, m->convo, &ours, &left, &lefts);

    if (!rc) rc = convo_path(m->txn, m->convo, &theirs, &right, &rights);
    m->first = m->point;
    for (size_t i = 0; !rc && (i < lefts || i < rights); i++) {
        if (i < lefts) rc = copy_node(m, left[i]);
        if (!rc && i < rights) rc = copy_node(m, right[i]);
    }
    model_free(left);
    model_free(right);
    return rc;
}

/* Nodes are written before the one that *say is of, which may be in their
 * pages. */
static int keep_say(struct copies *c, struct luge_say *say)
{
    int rc = keep(c, &say->author);

    if (!rc) rc = keep(c, &say->type);
    if (!rc) rc = keep(c, &say->payload);
    if (!rc) rc = keep(c, &say->label);
    return rc ? rc : keep(c, &say->description);
}

/* The parents of the new node: m->first, and of both heads what is not that. */
static void merge_parents(struct merge *m, int join)
{
    uint64_t heads[] = {m->into.fixed.tip, m->from.fixed.tip};

    if (join == LUGE_JOIN_REPLACE) m->first = heads[1];
    m->say.merged = m->further;
    m->say.merged_count = 0;
    for (int i = 0; i < 2; i++)
        if (heads[i] != m->first)
            m->further[m->say.merged_count++] = heads[i];
}

static int merge_say(struct merge *m, int join, uint64_t *node)
{
    int rc = 0;

    m->first = m->into.fixed.tip;
    if (join != LUGE_JOIN_MANUAL) {
        m->say.events = NULL;
        m->say.event_count = 0;
        rc = keep_say(&m->copies, &m->say);
        if (rc) return rc;
    }
    if (join == LUGE_JOIN_OVERLAY) rc = overlay(m);
    if (join == LUGE_JOIN_INTERLEAVE) rc = interleave(m);
    if (rc) return rc;
    merge_parents(m, join);
    rc = convo_node_add(m->txn, m->convo, m->into.id, m->first, &m->say, node);
    return rc ? rc : convo_agent_meet(m->txn, m->convo, m->say.author);
}

/* INTERLEAVE has put copies when the node that they are for is refused. */
static int merge_or_nothing(struct merge *m, int join, uint64_t *node)
{
    uint32_t before;
    int rc;

    if (join != LUGE_JOIN_INTERLEAVE) return merge_say(m, join, node);
    rc = luge_savepoint(m->txn, &before);
    if (rc) return rc;
    rc = merge_say(m, join, node);
    int undone = rc ? luge_rollback(m->txn, before) : 0;
    return undone ? undone : rc;
}

/* ---------------------------------------------------------------- merge -- */

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* How many of the COUNT nodes IDS, a path down to FROM's head, INTO has not. */
static int count_own(struct merge *m, const uint64_t *ids, size_t count,
                     size_t *own)
{
    struct luge_walk_options ask = {.kind = LUGE_WALK_ANCESTORS,
                                    .node = m->from.fixed.tip,
                                    .without = m->into.fixed.tip};
    struct luge_node node;
    luge_walk *walk;
    int rc = luge_walk_open(m->txn, m->convo, &ask, &walk);

    *own = 0;
    if (rc) return rc;
    while (!(rc = luge_walk_next(walk, &node)))
        *own += bsearch(&node.id, ids, count, sizeof(*ids), by_id) != NULL;
    luge_walk_close(walk);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* What INTO has of FROM's path through an earlier merge is not merged again:
 * its music is there, or was replaced. */
static int find_theirs(struct merge *m)
{
    struct convo_span span = {.node = m->from.fixed.tip, .after = m->point,
                              .all = true};
    uint64_t *ids;
    size_t count, own;
    int rc = convo_path(m->txn, m->convo, &span, &ids, &count);

    if (rc) return rc;
    rc = count_own(m, ids, count, &own);
    m->theirs = !rc && own < count ? ids[count - own - 1] : m->point;
    model_free(ids);
    return rc;
}

static int merge_ok(struct merge *m)
{
    uint64_t common;
    size_t count = 0;
    int rc = convo_branch_active(&m->from);

    if (!rc) rc = convo_branch_active(&m->into);
    if (rc) return rc;
    if (!m->from.fixed.tip || !m->into.fixed.tip)
        return model_fail(LUGE_NOTFOUND, "a branch without nodes");
    rc = convo_fork_point(m->txn, m->convo, m->from.fixed.tip,
                          m->into.fixed.tip, &m->point);
    if (!rc)
        rc = luge_node_common(m->txn, m->convo, m->from.fixed.tip,
                              m->into.fixed.tip, &common, 1, &count);
    if (!rc && common == m->from.fixed.tip)
        rc = model_fail(LUGE_EXISTS, "branch %llu has all of branch %llu "
                        "already", (unsigned long long)m->into.id,
                        (unsigned long long)m->from.id);
    if (!rc && !m->point)
        rc = model_fail(LUGE_NOTFOUND, "the paths of the branches have no "
                        "common node");
    m->theirs = m->point;
    return rc || common == m->point ? rc : find_theirs(m);
}

int luge_branch_merge(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t from, uint64_t into, int join,
                      const struct luge_say *say, uint64_t *node)
{
    struct merge m = {.txn = txn, .convo = convo, .say = *say};
    uint64_t id;
    int rc;

    if (join < LUGE_JOIN_OVERLAY || join > LUGE_JOIN_MANUAL)
        return model_fail(LUGE_INVALID, "there is no merge strategy %d", join);
    if (from == into)
        return model_fail(LUGE_INVALID, "a branch merged into itself");
    rc = convo_branch_begin(txn, convo, from, &m.from);
    if (!rc) rc = convo_branch_begin(txn, convo, into, &m.into);
    if (!rc) rc = merge_ok(&m);
    if (!rc) rc = merge_or_nothing(&m, join, &id);
    if (rc) goto done;
    m.into.fixed.tip = id;
    m.into.fixed.nodes++;
    m.from.fixed.state = LUGE_BRANCH_MERGED;
    m.from.fixed.into = into;
    m.from.fixed.merge = id;
    rc = convo_branch_end(txn, convo, &m.into);
    if (!rc) rc = convo_branch_end(txn, convo, &m.from);
    if (!rc && node) *node = id;
done:
    copies_free(&m.copies);
    convo_branch_free(&m.from);
    convo_branch_free(&m.into);
    return rc;
}
