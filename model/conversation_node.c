/* model/conversation_node.c -- saying something, and nodes as they are kept
 * (layout and V1..V4: conversation.h).
 *
 *   luge_say   1 the branch is active, the author is met
 *              2 convo_node_add: check all that is said; read the parent and
 *                the node its jump leads to; events, context, indexes, the node
 *              3 the branch's head moves
 * Not here: going anywhere (conversation_path.c, conversation_walk.c).
 */
#include "conversation.h"

#include <string.h>

const struct convo_node convo_node_default = {
    .head = {sizeof(struct convo_node), 1},
    .span_begin_ns = UINT64_MAX,
    .begin_ns = UINT64_MAX,
    .emotion = {0, 0.5f, 0}};

_Static_assert(sizeof(struct convo_node) == 168, "no padding, and golden");

/* ------------------------------------------------------------- reading -- */

/* V1, as far as one node shows it.  Whoever follows parents or jumps comes to
 * smaller numbers only, so no file can make him go round. */
static int node_sound(uint64_t id, const struct convo_node *node)
{
    bool root = node->depth == 0;

    if (node->parent < id && node->jump <= node->parent &&
        root == (node->parent == 0) && root == (node->jump == 0) &&
        node->context <= id)
        return 0;
    return MODEL_CORRUPT("node %llu has depth %u, parent %llu, jump %llu",
                         (unsigned long long)id, node->depth,
                         (unsigned long long)node->parent,
                         (unsigned long long)node->jump);
}

int convo_node_read(luge_txn *txn, const struct luge_conversation *convo,
                    uint64_t id, struct convo_node *node, luge_bytes *raw)
{
    struct tuple key;
    luge_bytes found;

    convo_key(&key, id);
    int rc = luge_get(txn, convo->nodes, tuple_key(&key), &found);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "there is no node %llu", (unsigned long long)id);
    if (!rc) rc = record_read(&convo_node_default.head, found, node);
    if (!rc) rc = node_sound(id, node);
    if (!rc && raw) *raw = found;
    return rc;
}

int convo_node_show(uint64_t id, const struct convo_node *fixed, luge_bytes raw,
                    struct luge_node *node)
{
    int rc;

    *node = (struct luge_node){
        .id = id, .parent = fixed->parent, .branch = fixed->branch,
        .origin = fixed->origin, .time_ns = fixed->time_ns,
        .depth = fixed->depth, .events = fixed->events,
        .begin_ns = fixed->begin_ns, .last_ns = fixed->last_ns,
        .clock_ns = fixed->clock_ns, .emotion = fixed->emotion};
    rc = record_part(raw, fixed->author, &node->author);
    if (!rc) rc = record_part(raw, fixed->type, &node->type);
    if (!rc) rc = record_part(raw, fixed->payload, &node->payload);
    if (!rc) rc = record_part(raw, fixed->label, &node->label);
    if (!rc) rc = record_part(raw, fixed->description, &node->description);
    if (!rc) rc = record_part(raw, fixed->merged, &node->merged);
    if (rc) return rc;
    if (node->merged.size % sizeof(uint64_t))
        return MODEL_CORRUPT("node %llu has %zu bytes of parents",
                             (unsigned long long)id, node->merged.size);
    node->parents = (fixed->parent != 0) +
                    (uint32_t)(node->merged.size / sizeof(uint64_t));
    return 0;
}

int luge_node_get(luge_txn *txn, const struct luge_conversation *convo,
                  uint64_t id, struct luge_node *node)
{
    struct convo_node fixed;
    luge_bytes raw;
    int rc = convo_node_read(txn, convo, id, &fixed, &raw);

    return rc ? rc : convo_node_show(id, &fixed, raw, node);
}

int luge_node_said(const struct luge_conversation *convo,
                   const struct luge_change *change, uint64_t *id)
{
    if (change->kind != LUGE_CHANGE_PUT || change->tree != convo->nodes)
        return LUGE_NOTFOUND;
    struct tuple_reader reader = tuple_read(change->key);
    int rc = tuple_get_u64(&reader, id);
    return rc ? rc : tuple_get_end(&reader);
}

int luge_node_labelled(luge_txn *txn, const struct luge_conversation *convo,
                       luge_bytes label, uint64_t *id)
{
    if (label.size > LUGE_CONVERSATION_NAME_SIZE_MAX)
        return model_fail(LUGE_NOTFOUND, "no label has %zu bytes", label.size);
    return convo_label_get(txn, convo, LABEL_NODE, label, id);
}

int luge_node_label_after(luge_txn *txn, const struct luge_conversation *convo,
                          luge_bytes after,
                          char space[LUGE_CONVERSATION_NAME_SIZE_MAX],
                          luge_bytes *label, uint64_t *id)
{
    if (after.size > LUGE_CONVERSATION_NAME_SIZE_MAX)
        return model_fail(LUGE_TOOBIG, "no label has %zu bytes", after.size);
    return convo_label_after(txn, convo, LABEL_NODE, after, space, label, id);
}

int luge_node_child_after(luge_txn *txn, const struct luge_conversation *convo,
                          uint64_t parent, uint64_t after, uint64_t *child)
{
    struct tuple key;
    luge_bytes found, nothing;
    uint64_t of;

    convo_key_pair(&key, parent, after);
    int rc = luge_near(txn, convo->children, LUGE_GT, tuple_key(&key), &found,
                       &nothing);
    if (rc) return rc;
    struct tuple_reader reader = tuple_read(found);
    rc = tuple_get_u64(&reader, &of);
    if (!rc && of != parent) return LUGE_NOTFOUND;
    if (!rc) rc = tuple_get_u64(&reader, child);
    return rc ? rc : tuple_get_end(&reader);
}

/* ------------------------------------------------------------ checking -- */

static int say_ok(const struct luge_say *say)
{
    int rc = convo_name_ok(say->author, "an author's name");

    if (!rc)
        rc = convo_text_ok(say->type, LUGE_CONVERSATION_NAME_SIZE_MAX,
                           "a node's type");
    if (!rc)
        rc = convo_text_ok(say->label, LUGE_CONVERSATION_NAME_SIZE_MAX,
                           "a label");
    if (!rc)
        rc = convo_text_ok(say->description, LUGE_PAYLOAD_SIZE_MAX,
                           "a description");
    if (!rc && say->emotion) rc = luge_emotion_check(say->emotion);
    for (size_t i = 0; !rc && i < say->event_count; i++)
        rc = luge_music_check(&say->events[i]);
    if (rc) return rc;
    if (say->payload.size > LUGE_PAYLOAD_SIZE_MAX)
        return model_fail(LUGE_TOOBIG, "a payload of %zu bytes; %u at most",
                          say->payload.size, LUGE_PAYLOAD_SIZE_MAX);
    if (say->merged_count >= LUGE_PARENTS_MAX)
        return model_fail(LUGE_LIMIT, "%zu further parents; %u parents at most",
                          say->merged_count, LUGE_PARENTS_MAX);
    if (say->event_count > LUGE_NODE_EVENTS_MAX)
        return model_fail(LUGE_LIMIT, "%zu events in a node; %u at most",
                          say->event_count, LUGE_NODE_EVENTS_MAX);
    return 0;
}

/* What is written may move the bytes that a read has given. */
struct author {
    char space[LUGE_CONVERSATION_NAME_SIZE_MAX];
    luge_bytes name;
};

/* SAY's author, if SAY is right. */
static int author_keep(struct author *to, const struct luge_say *say)
{
    int rc = say_ok(say);

    if (rc) return rc;
    memcpy(to->space, say->author.data, say->author.size);
    to->name = luge_bytes_of(to->space, say->author.size);
    return 0;
}

/* Each further parent is there, and none is given twice. */
static int merged_ok(luge_txn *txn, const struct luge_conversation *convo,
                     uint64_t first, const struct luge_say *say)
{
    struct convo_node node;

    if (say->merged_count && !first)
        return model_fail(LUGE_INVALID, "a root has no further parents");
    for (size_t i = 0; i < say->merged_count; i++) {
        int rc = convo_node_read(txn, convo, say->merged[i], &node, NULL);
        if (rc) return rc;
        bool twice = say->merged[i] == first;
        for (size_t j = 0; j < i; j++)
            if (say->merged[j] == say->merged[i]) twice = true;
        if (twice)
            return model_fail(LUGE_INVALID, "node %llu is given as a parent "
                              "twice", (unsigned long long)say->merged[i]);
    }
    return 0;
}

/* A directory that lost its count of numbers would give old ones again. */
static int number_ok(uint64_t id, uint64_t first, const struct luge_say *say)
{
    uint64_t most = first;

    for (size_t i = 0; i < say->merged_count; i++)
        if (say->merged[i] > most) most = say->merged[i];
    if (id > most) return 0;
    return model_fail(LUGE_CORRUPT, "the directory gives number %llu, and node "
                      "%llu is there: was it loaded from text?",
                      (unsigned long long)id, (unsigned long long)most);
}

/* ------------------------------------------------------------- writing -- */

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Its own events: when they begin, and where the music ends. */
static void node_time(struct convo_node *node, const struct luge_say *say)
{
    for (size_t i = 0; i < say->event_count; i++) {
        const struct luge_music_event *e = &say->events[i];
        node->begin_ns = least(node->begin_ns, e->time_ns);
        node->last_ns = most(node->last_ns, e->time_ns);
        node->clock_ns = most(node->clock_ns, e->time_ns + e->duration_ns);
    }
    node->events = (uint32_t)say->event_count;
    node->span_begin_ns = node->begin_ns;
    node->span_last_ns = node->last_ns;
}

static void span_add(struct convo_node *node, const struct convo_node *other)
{
    node->span_begin_ns = least(node->span_begin_ns, other->span_begin_ns);
    node->span_last_ns = most(node->span_last_ns, other->span_last_ns);
}

/* What NODE has from its parent: place, jump, span, clock, context. */
static int node_follow(luge_txn *txn, const struct luge_conversation *convo,
                       uint64_t first, struct convo_node *node)
{
    struct convo_node parent, over;
    int rc = convo_node_read(txn, convo, first, &parent, NULL);

    if (rc) return rc;
    if (parent.depth == UINT32_MAX)
        return model_fail(LUGE_LIMIT, "the conversation is 2^32 nodes deep");
    node->parent = first;
    node->depth = parent.depth + 1;
    node->jump = first;
    node->clock_ns = parent.clock_ns;
    node->context = parent.context;
    node->merges = parent.merges;
    node->emotion = parent.emotion;
    if (convo_jump_depth(node->depth) == parent.depth) return 0;
    /* The jump goes over the parent's and over that of where it leads. */
    rc = convo_node_read(txn, convo, parent.jump, &over, NULL);
    if (rc) return rc;
    node->jump = over.jump;
    span_add(&parent, &over);
    node->span_begin_ns = parent.span_begin_ns;
    node->span_last_ns = parent.span_last_ns;
    return 0;
}

static int node_put(luge_txn *txn, const struct luge_conversation *convo,
                    uint64_t id, struct convo_node *node,
                    const struct luge_say *say)
{
    luge_bytes merged = {say->merged, say->merged_count * sizeof(uint64_t)};
    struct record_writer w;
    struct tuple key;

    record_begin(&w, &node->head);
    record_add(&w, &node->author, say->author);
    record_add(&w, &node->type, say->type);
    record_add(&w, &node->payload, say->payload);
    record_add(&w, &node->label, say->label);
    record_add(&w, &node->description, say->description);
    record_add(&w, &node->merged, merged);
    convo_key(&key, id);
    return convo_put(txn, convo->nodes, &key, &w);
}

/* The node as a child of each parent, by its time and by its label. */
static int node_index(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t id, const struct convo_node *node,
                      const struct luge_say *say)
{
    luge_bytes nothing = {"", 0};
    struct tuple key;

    convo_key_pair(&key, node->time_ns, id);
    int rc = luge_put(txn, convo->times, tuple_key(&key), nothing);
    convo_key_pair(&key, node->parent, id);
    if (!rc) rc = luge_put(txn, convo->children, tuple_key(&key), nothing);
    for (size_t i = 0; !rc && i < say->merged_count; i++) {
        convo_key_pair(&key, say->merged[i], id);
        rc = luge_put(txn, convo->children, tuple_key(&key), nothing);
    }
    if (rc || !say->label.size) return rc;
    return convo_label_add(txn, convo, LABEL_NODE, say->label, id);
}

int convo_node_add(luge_txn *txn, const struct luge_conversation *convo,
                   uint64_t branch, uint64_t first, const struct luge_say *say,
                   uint64_t *id)
{
    struct convo_node node = convo_node_default, own = convo_node_default;
    uint64_t taken;
    int rc = say_ok(say);

    if (!rc) rc = merged_ok(txn, convo, first, say);
    if (!rc && say->label.size) {
        rc = convo_label_get(txn, convo, LABEL_NODE, say->label, &taken);
        rc = rc == LUGE_NOTFOUND ? 0 : rc ? rc :
             model_fail(LUGE_EXISTS, "node %llu has the label '%.*s' already",
                        (unsigned long long)taken, (int)say->label.size,
                        (const char *)say->label.data);
    }
    if (!rc && first) rc = node_follow(txn, convo, first, &node);
    if (!rc) rc = luge_txn_next_id(txn, id);
    if (!rc) rc = number_ok(*id, first, say);
    if (rc) return rc;
    node_time(&own, say);
    node.begin_ns = own.begin_ns;
    node.last_ns = own.last_ns;
    node.clock_ns = most(node.clock_ns, own.clock_ns);
    node.events = own.events;
    span_add(&node, &own);
    node.branch = branch;
    node.origin = say->origin;
    node.time_ns = say->time_ns ? say->time_ns : model_now_ns();
    node.merges += say->merged_count > 0;
    if (say->emotion) node.emotion = *say->emotion;
    rc = convo_context_put(txn, convo, *id, node.context, say, &node.context);
    if (!rc) rc = convo_events_put(txn, convo, *id, say);
    if (!rc) rc = node_index(txn, convo, *id, &node, say);
    return rc ? rc : node_put(txn, convo, *id, &node, say);
}

int luge_say(luge_txn *txn, const struct luge_conversation *convo,
             uint64_t branch, const struct luge_say *say, uint64_t *node)
{
    struct convo_change change;
    struct author author;
    uint64_t id;
    int rc = convo_branch_begin(txn, convo, branch, &change);

    if (rc) return rc;
    rc = convo_branch_active(&change);
    if (!rc) rc = author_keep(&author, say);
    if (!rc)
        rc = convo_node_add(txn, convo, branch, change.fixed.tip, say, &id);
    if (!rc) rc = convo_agent_meet(txn, convo, author.name);
    if (rc) goto done;
    change.fixed.tip = id;
    change.fixed.nodes++;
    rc = convo_branch_end(txn, convo, &change);
    if (!rc && node) *node = id;
done:
    convo_branch_free(&change);
    return rc;
}
