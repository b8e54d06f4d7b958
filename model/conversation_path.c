/* model/conversation_path.c -- along first parents: ancestors by depth, where
 * two paths part, and the nodes of a path that have events in some time.
 *
 * All of it goes by jumps where it can (V1, V2 of conversation.h), so it reads
 * O(log n) nodes besides those that it answers with.
 * Not here: ways through further parents (conversation_walk.c).
 */
#include "conversation.h"

#include <string.h>

/* The last digit of DEPTH in skew binary, whose digits weigh 1, 3, 7, 15 ...,
 * taken away.  depth 0 jumps nowhere. */
uint32_t convo_jump_depth(uint32_t depth)
{
    uint64_t left = depth, weight = 0;

    while (left) {
        unsigned bits = 63 - (unsigned)__builtin_clzll(left + 1);
        weight = (UINT64_C(1) << bits) - 1;
        left -= weight;
    }
    return depth - (uint32_t)weight;
}

/* ----------------------------------------------------------- ancestors -- */

/* A node and where it is: what the loops below carry along. */
struct stand {
    uint64_t id;
    struct convo_node node;
};

static int stand_at(luge_txn *txn, const struct luge_conversation *convo,
                    uint64_t id, struct stand *s)
{
    s->id = id;
    return convo_node_read(txn, convo, id, &s->node, NULL);
}

static int stand_up(luge_txn *txn, const struct luge_conversation *convo,
                    struct stand *s, uint32_t depth)
{
    int rc = 0;

    while (!rc && s->node.depth > depth) {
        uint32_t before = s->node.depth;
        bool far = convo_jump_depth(before) >= depth;
        rc = stand_at(txn, convo, far ? s->node.jump : s->node.parent, s);
        if (!rc && s->node.depth >= before)
            rc = MODEL_CORRUPT("node %llu is not above its descendants",
                               (unsigned long long)s->id);
    }
    return rc;
}

int convo_ancestor(luge_txn *txn, const struct luge_conversation *convo,
                   uint64_t id, uint32_t depth, uint64_t *ancestor)
{
    struct stand s;
    int rc = stand_at(txn, convo, id, &s);

    if (!rc && s.node.depth < depth)
        return model_fail(LUGE_INVALID, "node %llu has depth %u, not %u",
                          (unsigned long long)id, s.node.depth, depth);
    if (!rc) rc = stand_up(txn, convo, &s, depth);
    if (!rc) *ancestor = s.id;
    return rc;
}

int luge_node_ancestor(luge_txn *txn, const struct luge_conversation *convo,
                       uint64_t id, uint32_t depth, uint64_t *ancestor)
{
    return convo_ancestor(txn, convo, id, depth, ancestor);
}

int convo_fork_point(luge_txn *txn, const struct luge_conversation *convo,
                     uint64_t a, uint64_t b, uint64_t *point)
{
    struct stand one, two;
    int rc = stand_at(txn, convo, a, &one);

    if (!rc) rc = stand_at(txn, convo, b, &two);
    if (!rc) rc = stand_up(txn, convo, &one, two.node.depth);
    if (!rc) rc = stand_up(txn, convo, &two, one.node.depth);
    while (!rc && one.id != two.id) {
        bool far = one.node.jump != two.node.jump;
        uint64_t left = far ? one.node.jump : one.node.parent;
        uint64_t right = far ? two.node.jump : two.node.parent;
        if (!left || !right) {
            *point = 0;
            return 0;
        }
        rc = stand_at(txn, convo, left, &one);
        if (!rc) rc = stand_at(txn, convo, right, &two);
    }
    if (!rc) *point = one.id;
    return rc;
}

/* --------------------------------------------------------------- paths -- */

struct ids {
    uint64_t *ids;
    size_t count, room;
};

static int ids_add(struct ids *list, uint64_t id)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        void *larger = model_realloc(list->ids, room * sizeof(id));
        if (!larger) return MODEL_NOMEM();
        list->ids = larger;
        list->room = room;
    }
    list->ids[list->count++] = id;
    return 0;
}

static void ids_turn(struct ids *list)
{
    for (size_t i = 0; i < list->count / 2; i++) {
        uint64_t *other = &list->ids[list->count - 1 - i];
        uint64_t id = list->ids[i];
        list->ids[i] = *other;
        *other = id;
    }
}

static bool meets(const struct convo_span *span, uint64_t begin_ns,
                  uint64_t last_ns)
{
    return begin_ns <= last_ns && last_ns >= span->from_ns &&
           (!span->to_ns || begin_ns < span->to_ns);
}

/* From s up to the depth END, which does not belong to it. */
static int path_gather(luge_txn *txn, const struct luge_conversation *convo,
                       const struct convo_span *span, struct stand *s,
                       int64_t end, struct ids *list)
{
    for (;;) {
        const struct convo_node *n = &s->node;
        bool far = !span->all && convo_jump_depth(n->depth) > end &&
                   !meets(span, n->span_begin_ns, n->span_last_ns);
        bool wanted = span->all ||
                      (n->events && meets(span, n->begin_ns, n->last_ns));
        int rc = wanted ? ids_add(list, s->id) : 0;
        if (rc || (int64_t)n->depth - 1 <= end) return rc;
        rc = stand_at(txn, convo, far ? n->jump : n->parent, s);
        if (rc) return rc;
    }
}

int convo_path(luge_txn *txn, const struct luge_conversation *convo,
               const struct convo_span *span, uint64_t **ids, size_t *count)
{
    struct ids list = {0};
    struct convo_node stop;
    struct stand s;
    int64_t end = -1;
    int rc = stand_at(txn, convo, span->node, &s);

    if (!rc && span->after) {
        rc = convo_node_read(txn, convo, span->after, &stop, NULL);
        if (!rc) end = stop.depth;
    }
    if (!rc && (int64_t)s.node.depth > end)
        rc = path_gather(txn, convo, span, &s, end, &list);
    if (rc) {
        model_free(list.ids);
        return rc;
    }
    ids_turn(&list);
    *ids = list.ids;
    *count = list.count;
    return 0;
}
