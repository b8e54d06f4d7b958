/* model/conversation_walk.c -- common ancestors and walks (luge_walk).
 *
 * Ways through all parents go from greater numbers to smaller ones, with a heap
 * (V1): when a node is taken out, all its descendants have been, so it is known
 * for good which ends it can be reached from, and no node needs a mark.
 * Not here: what first parents alone can answer (conversation_path.c).
 */
#include "conversation.h"

#include <string.h>

/* ---------------------------------------------------------------- heap -- */

enum { LEFT = 1, RIGHT = 2, STALE = 4 };

struct visit {
    uint64_t id;
    unsigned marks;
};

struct heap {
    struct visit *visits;       /* the greatest id in front */
    size_t count, room;
    size_t fresh;               /* of which the walk still wants something */
    unsigned dull;              /* visits with one of these marks are not */
};

static bool is_fresh(const struct heap *h, unsigned marks)
{
    return !(marks & h->dull);
}

static int heap_add(struct heap *h, uint64_t id, unsigned marks)
{
    if (h->count == h->room) {
        size_t room = h->room ? 2 * h->room : 64;
        void *larger = model_realloc(h->visits, room * sizeof(*h->visits));
        if (!larger) return MODEL_NOMEM();
        h->visits = larger;
        h->room = room;
    }
    size_t at = h->count++;
    for (; at && h->visits[(at - 1) / 2].id < id; at = (at - 1) / 2)
        h->visits[at] = h->visits[(at - 1) / 2];
    h->visits[at] = (struct visit){id, marks};
    h->fresh += is_fresh(h, marks);
    return 0;
}

static struct visit heap_pop(struct heap *h)
{
    struct visit top = h->visits[0], last = h->visits[--h->count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < h->count) {
        if (child + 1 < h->count &&
            h->visits[child + 1].id > h->visits[child].id)
            child++;
        if (h->visits[child].id <= last.id) break;
        h->visits[at] = h->visits[child];
        at = child;
    }
    h->visits[at] = last;
    h->fresh -= is_fresh(h, top.marks);
    return top;
}

/* The next node, with the marks of all the ways that led to it. */
static struct visit heap_take(struct heap *h)
{
    struct visit v = heap_pop(h);

    while (h->count && h->visits[0].id == v.id) v.marks |= heap_pop(h).marks;
    return v;
}

static int heap_add_parents(struct heap *h, const struct luge_node *node,
                            unsigned marks)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < node->parents; i++) {
        uint64_t parent = luge_node_parent(node, i);
        if (!parent || parent >= node->id)
            return MODEL_CORRUPT("node %llu has the parent %llu",
                                 (unsigned long long)node->id,
                                 (unsigned long long)parent);
        rc = heap_add(h, parent, marks);
    }
    return rc;
}

/* ----------------------------------------------------- common ancestors -- */

/* If nothing was merged on the paths since they parted, the node where they did
 * is the answer: all other ways from A and B lead through it. */
static int common_by_path(luge_txn *txn, const struct luge_conversation *convo,
                          uint64_t a, uint64_t b, uint64_t *common)
{
    struct convo_node one, two, there;
    int rc = convo_fork_point(txn, convo, a, b, common);

    if (rc || !*common) return rc;
    rc = convo_node_read(txn, convo, a, &one, NULL);
    if (!rc) rc = convo_node_read(txn, convo, b, &two, NULL);
    if (!rc) rc = convo_node_read(txn, convo, *common, &there, NULL);
    if (!rc && (one.merges != there.merges || two.merges != there.merges))
        *common = 0;
    return rc;
}

static int common_by_marks(luge_txn *txn, const struct luge_conversation *convo,
                           struct heap *h, uint64_t *common, size_t room,
                           size_t *count)
{
    struct luge_node node;
    int rc = 0;

    while (!rc && h->fresh) {
        struct visit v = heap_take(h);
        if ((v.marks & (LEFT | RIGHT)) == (LEFT | RIGHT)) {
            if (!(v.marks & STALE)) {
                if (*count < room) common[*count] = v.id;
                ++*count;
            }
            v.marks |= STALE;
        }
        rc = luge_node_get(txn, convo, v.id, &node);
        if (!rc) rc = heap_add_parents(h, &node, v.marks);
    }
    return rc;
}

int luge_node_common(luge_txn *txn, const struct luge_conversation *convo,
                     uint64_t a, uint64_t b, uint64_t *common, size_t room,
                     size_t *count)
{
    struct heap heap = {.dull = STALE};
    uint64_t one = 0;
    int rc = common_by_path(txn, convo, a, b, &one);

    *count = one != 0;
    if (!rc && one && room) common[0] = one;
    if (rc || one) return rc;
    rc = heap_add(&heap, a, LEFT);
    if (!rc) rc = heap_add(&heap, b, RIGHT);
    if (!rc) rc = common_by_marks(txn, convo, &heap, common, room, count);
    model_free(heap.visits);
    if (!rc && !*count)
        rc = model_fail(LUGE_NOTFOUND, "nodes %llu and %llu have no common "
                        "ancestor", (unsigned long long)a,
                        (unsigned long long)b);
    return rc;
}

/* --------------------------------------------------------------- walks -- */

struct luge_walk {
    luge_txn *txn;
    struct luge_conversation convo;
    struct luge_walk_options options;
    uint64_t *ids;              /* PATH */
    size_t count, at;
    struct heap heap;           /* ANCESTORS */
    uint64_t next;              /* SUBTREE: 0 at the end */
    luge_cursor *cursor;        /* TIMES */
};

static int path_begin(luge_walk *walk)
{
    const struct luge_walk_options *o = &walk->options;
    struct convo_span span = {.node = o->node, .all = true};
    int rc = 0;

    if (o->without)
        rc = convo_fork_point(walk->txn, &walk->convo, o->node, o->without,
                              &span.after);
    return rc ? rc : convo_path(walk->txn, &walk->convo, &span, &walk->ids,
                                &walk->count);
}

static int path_next(luge_walk *walk, struct luge_node *node)
{
    if (walk->at == walk->count) return LUGE_NOTFOUND;
    return luge_node_get(walk->txn, &walk->convo, walk->ids[walk->at++], node);
}

/* LEFT: wanted.  RIGHT: not. */
static int ancestors_begin(luge_walk *walk)
{
    struct convo_node node;
    const struct luge_walk_options *o = &walk->options;
    int rc = convo_node_read(walk->txn, &walk->convo, o->node, &node, NULL);

    if (!rc && o->without)
        rc = convo_node_read(walk->txn, &walk->convo, o->without, &node, NULL);
    walk->heap.dull = RIGHT;
    if (!rc) rc = heap_add(&walk->heap, o->node, LEFT);
    if (!rc && o->without) rc = heap_add(&walk->heap, o->without, RIGHT);
    return rc;
}

static int ancestors_next(luge_walk *walk, struct luge_node *node)
{
    int rc = 0;

    while (!rc && walk->heap.fresh) {
        struct visit v = heap_take(&walk->heap);
        rc = luge_node_get(walk->txn, &walk->convo, v.id, node);
        if (!rc) rc = heap_add_parents(&walk->heap, node, v.marks);
        if (!rc && !(v.marks & RIGHT)) return 0;
    }
    return rc ? rc : LUGE_NOTFOUND;
}

/* The first child of PARENT behind AFTER that follows it, and was not only
 * merged with it; 0 if there is none. */
static int follower(luge_walk *walk, uint64_t parent, uint64_t after,
                    uint64_t *child)
{
    struct convo_node node;
    int rc;

    for (;; after = *child) {
        rc = luge_node_child_after(walk->txn, &walk->convo, parent, after,
                                   child);
        if (rc == LUGE_NOTFOUND) *child = 0;
        if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
        rc = convo_node_read(walk->txn, &walk->convo, *child, &node, NULL);
        if (rc || node.parent == parent) return rc;
        if (*child <= after) return MODEL_CORRUPT("children out of order");
    }
}

static int subtree_begin(luge_walk *walk)
{
    struct convo_node node;

    walk->next = walk->options.node;
    if (walk->next)
        return convo_node_read(walk->txn, &walk->convo, walk->next, &node,
                               NULL);
    return follower(walk, 0, 0, &walk->next);
}

/* Down if there is a child, else to the next sibling of the nearest ancestor
 * that has one, up to where the walk began. */
static int subtree_next(luge_walk *walk, struct luge_node *node)
{
    uint64_t root = walk->options.node, at = walk->next, to = 0;
    struct convo_node here;
    int rc;

    if (!at) return LUGE_NOTFOUND;
    rc = follower(walk, at, 0, &to);
    while (!rc && !to && at != root) {
        rc = convo_node_read(walk->txn, &walk->convo, at, &here, NULL);
        if (!rc) rc = follower(walk, here.parent, at, &to);
        if (!rc && !to) at = here.parent;
    }
    if (rc) return rc;
    at = walk->next;
    walk->next = to;
    return luge_node_get(walk->txn, &walk->convo, at, node);
}

static int times_begin(luge_walk *walk)
{
    const struct luge_walk_options *o = &walk->options;
    struct tuple from, to;
    int rc = luge_cursor_open(walk->txn, walk->convo.times, &walk->cursor);

    if (rc) return rc;
    convo_key(&from, o->from_ns);
    convo_key(&to, o->to_ns);
    luge_bytes first = tuple_key(&from), end = tuple_key(&to);
    return luge_cursor_range(walk->cursor, &first, o->to_ns ? &end : NULL);
}

static int times_next(luge_walk *walk, struct luge_node *node)
{
    luge_bytes key, nothing;
    uint64_t time_ns, id;
    int rc = luge_cursor_next(walk->cursor, &key, &nothing);

    if (rc) return rc;
    struct tuple_reader reader = tuple_read(key);
    rc = tuple_get_u64(&reader, &time_ns);
    if (!rc) rc = tuple_get_u64(&reader, &id);
    return rc ? rc : luge_node_get(walk->txn, &walk->convo, id, node);
}

static const struct {
    int (*begin)(luge_walk *walk);
    int (*next)(luge_walk *walk, struct luge_node *node);
} kinds[] = {
    [LUGE_WALK_PATH] = {path_begin, path_next},
    [LUGE_WALK_ANCESTORS] = {ancestors_begin, ancestors_next},
    [LUGE_WALK_SUBTREE] = {subtree_begin, subtree_next},
    [LUGE_WALK_TIMES] = {times_begin, times_next},
};

int luge_walk_open(luge_txn *txn, const struct luge_conversation *convo,
                   const struct luge_walk_options *options, luge_walk **walk)
{
    if (options->kind < LUGE_WALK_PATH || options->kind > LUGE_WALK_TIMES)
        return model_fail(LUGE_INVALID, "there is no walk %d", options->kind);
    luge_walk *made = model_alloc(sizeof(*made));
    if (!made) return MODEL_NOMEM();
    *made = (luge_walk){.txn = txn, .convo = *convo, .options = *options};
    int rc = kinds[options->kind].begin(made);
    if (rc)
        luge_walk_close(made);
    else
        *walk = made;
    return rc;
}

int luge_walk_next(luge_walk *walk, struct luge_node *node)
{
    return kinds[walk->options.kind].next(walk, node);
}

void luge_walk_close(luge_walk *walk)
{
    if (!walk) return;
    luge_cursor_close(walk->cursor);
    model_free(walk->ids);
    model_free(walk->heap.visits);
    model_free(walk);
}
