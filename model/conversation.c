/* model/conversation.c -- where a conversation lives, what is known of it, its
 * agents, and what the other files need of keys and labels (layout:
 * conversation.h).
 * Not here: nodes (conversation_node.c), branches (conversation_branch.c).
 */
#include "conversation.h"

#include <stddef.h>
#include <string.h>

#include "json.h"
#include "midi.h"

const struct convo_about convo_about_default = {
    .head = {sizeof(struct convo_about), 1}};
const struct convo_agent convo_agent_default = {
    .head = {sizeof(struct convo_agent), 1}};

_Static_assert(sizeof(struct convo_about) == 32, "no padding, and golden");
_Static_assert(sizeof(struct convo_agent) == 32, "and golden");

/* ------------------------------------------------------------- opening -- */

/* The trees, in the order of luge_tree_after.  "conversation" is the mark by
 * which a conversation is found. */
static const struct {
    const char *name;
    size_t at;                  /* in struct luge_conversation */
} trees[] = {
#define T(name, field) {"/" name, offsetof(struct luge_conversation, field)}
    T("conversation", about), T("agents", agents), T("branches", branches),
    T("children", children), T("contexts", contexts),
    T("evaluations", evaluations), T("events", events), T("labels", labels),
    T("nodes", nodes), T("times", times),
#undef T
};
enum { TREES = sizeof(trees) / sizeof(trees[0]) };

static luge_tree *tree_of(struct luge_conversation *convo, unsigned at)
{
    return (luge_tree *)((char *)convo + trees[at].at);
}

static int tree_open(luge_txn *txn, luge_bytes path, const char *name,
                     unsigned flags, luge_tree *tree)
{
    char whole[LUGE_NAME_SIZE_MAX];
    size_t size = strlen(name);

    if (path.size + size > sizeof(whole))
        return model_fail(LUGE_TOOBIG, "a path of %zu bytes for a conversation",
                          path.size);
    memcpy(whole, path.data, path.size);
    memcpy(whole + path.size, name, size);
    return luge_tree_open(txn, luge_bytes_of(whole, path.size + size), flags,
                          tree);
}

static int about_put(luge_txn *txn, const struct luge_conversation *convo,
                     struct convo_about *fixed,
                     const struct luge_conversation_about *about)
{
    struct record_writer w;
    struct tuple key;

    record_begin(&w, &fixed->head);
    record_add(&w, &fixed->title, about->title);
    record_add(&w, &fixed->metadata, about->metadata);
    convo_key(&key, 0);
    return convo_put(txn, convo->about, &key, &w);
}

static int about_make(luge_txn *txn, const struct luge_conversation *convo)
{
    struct luge_conversation_about about = {0};
    struct convo_about fixed = convo_about_default;

    fixed.created_ns = model_now_ns();
    return about_put(txn, convo, &fixed, &about);
}

int luge_conversation_open(luge_txn *txn, luge_bytes path, unsigned flags,
                           struct luge_conversation *convo)
{
    struct luge_conversation found;
    int rc = 0;

    if (!path.size)
        return model_fail(LUGE_INVALID, "a conversation needs a path");
    rc = tree_open(txn, path, trees[0].name, 0, tree_of(&found, 0));
    bool made = rc == LUGE_NOTFOUND && (flags & LUGE_TREE_CREATE);
    if (rc == LUGE_NOTFOUND && !made)
        return model_fail(LUGE_NOTFOUND, "there is no conversation %.*s",
                          (int)path.size, (const char *)path.data);
    if (made) rc = 0;
    for (unsigned at = 0; !rc && at < TREES; at++)
        rc = tree_open(txn, path, trees[at].name, flags, tree_of(&found, at));
    if (!rc && made) rc = about_make(txn, &found);
    if (!rc) *convo = found;
    return rc;
}

int luge_conversation_drop(luge_txn *txn, const struct luge_conversation *convo)
{
    struct luge_conversation copy = *convo;
    int rc = 0;

    for (unsigned at = 0; !rc && at < TREES; at++)
        rc = luge_tree_drop(txn, *tree_of(&copy, at));
    return rc;
}

static bool ends_with(luge_bytes name, const char *end)
{
    size_t size = strlen(end);

    return name.size > size &&
           !memcmp((const char *)name.data + name.size - size, end, size);
}

int luge_conversation_after(luge_txn *txn, luge_bytes after, luge_bytes *path)
{
    const char *mark = trees[0].name;
    size_t size = strlen(mark);
    char last[LUGE_NAME_SIZE_MAX];
    luge_bytes name, from = {last, 0};
    luge_tree tree;
    int rc;

    if (after.size + size > sizeof(last))
        return model_fail(LUGE_TOOBIG, "a path of %zu bytes", after.size);
    if (after.size) {
        memcpy(last, after.data, after.size);
        memcpy(last + after.size, mark, size);
        from.size = after.size + size;
    }
    while ((rc = luge_tree_after(txn, from, &name, &tree)) == 0) {
        if (name.size > sizeof(last))
            return MODEL_CORRUPT("the name of a tree has %zu bytes", name.size);
        if (ends_with(name, mark)) {
            *path = luge_bytes_of(name.data, name.size - size);
            return 0;
        }
        memcpy(last, name.data, name.size);
        from.size = name.size;
    }
    return rc;
}

int luge_conversation_get(luge_txn *txn, const struct luge_conversation *convo,
                          struct luge_conversation_about *about)
{
    struct luge_conversation_about found = {0};
    struct convo_about fixed;
    struct tuple key;
    luge_bytes raw;

    convo_key(&key, 0);
    int rc = luge_get(txn, convo->about, tuple_key(&key), &raw);
    if (!rc) rc = record_read(&convo_about_default.head, raw, &fixed);
    if (!rc) rc = record_part(raw, fixed.title, &found.title);
    if (!rc) rc = record_part(raw, fixed.metadata, &found.metadata);
    if (!rc) rc = luge_tree_count(txn, convo->nodes, &found.nodes);
    if (!rc) rc = luge_tree_count(txn, convo->branches, &found.branches);
    if (!rc) rc = luge_tree_count(txn, convo->events, &found.events);
    if (!rc) rc = luge_tree_count(txn, convo->agents, &found.agents);
    if (rc) return rc;
    found.created_ns = fixed.created_ns;
    found.division = fixed.division;
    *about = found;
    return 0;
}

int luge_conversation_set(luge_txn *txn, const struct luge_conversation *convo,
                          const struct luge_conversation_about *about)
{
    struct convo_about fixed;
    struct midi_clock clock;
    struct tuple key;
    luge_bytes raw;
    int rc = convo_text_ok(about->title, UINT16_MAX, "a title");

    if (!rc && about->division && midi_clock_start(&clock, about->division))
        rc = model_fail(LUGE_INVALID, "a division of %u means nothing",
                        about->division);
    if (rc) return rc;
    convo_key(&key, 0);
    rc = luge_get(txn, convo->about, tuple_key(&key), &raw);
    if (!rc) rc = record_read(&convo_about_default.head, raw, &fixed);
    if (rc) return rc;
    fixed.head = convo_about_default.head;
    fixed.division = about->division;
    return about_put(txn, convo, &fixed, about);
}

/* ---------------------------------------------------- keys, text, puts -- */

void convo_key(struct tuple *key, uint64_t number)
{
    tuple_begin(key);
    tuple_put_u64(key, number);
}

void convo_key_pair(struct tuple *key, uint64_t first, uint64_t second)
{
    tuple_begin(key);
    tuple_put_u64(key, first);
    tuple_put_u64(key, second);
}

int convo_text_ok(luge_bytes text, size_t size_max, const char *what)
{
    if (text.size > size_max)
        return model_fail(LUGE_TOOBIG, "%s of %zu bytes; %zu at most", what,
                          text.size, size_max);
    if (!json_is_utf8(text))
        return model_fail(LUGE_INVALID, "%s is not UTF-8", what);
    return 0;
}

int convo_name_ok(luge_bytes name, const char *what)
{
    int rc = convo_text_ok(name, LUGE_CONVERSATION_NAME_SIZE_MAX, what);

    if (rc) return rc;
    if (!name.size) return model_fail(LUGE_INVALID, "%s is missing", what);
    if (memchr(name.data, '\n', name.size))
        return model_fail(LUGE_INVALID, "%s has a newline", what);
    return 0;
}

int convo_put(luge_txn *txn, luge_tree tree, const struct tuple *key,
              struct record_writer *w)
{
    luge_bytes raw;
    int rc = record_end(w, &raw);

    if (!rc) rc = luge_put(txn, tree, tuple_key(key), raw);
    record_free(w);
    return rc;
}

/* -------------------------------------------------------------- labels -- */

static void label_key(struct tuple *key, int kind, luge_bytes name)
{
    tuple_begin(key);
    tuple_put_u64(key, (uint64_t)kind);
    tuple_put_text(key, name);
}

static int label_value(luge_bytes value, uint64_t *number)
{
    if (value.size != sizeof(*number))
        return MODEL_CORRUPT("a label has %zu bytes", value.size);
    memcpy(number, value.data, sizeof(*number));
    return 0;
}

int convo_label_get(luge_txn *txn, const struct luge_conversation *convo,
                    int kind, luge_bytes name, uint64_t *number)
{
    struct tuple key;
    luge_bytes value;

    label_key(&key, kind, name);
    int rc = luge_get(txn, convo->labels, tuple_key(&key), &value);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "there is no %s '%.*s'",
                          kind == LABEL_NODE ? "node" : "branch",
                          (int)name.size, (const char *)name.data);
    return rc ? rc : label_value(value, number);
}

int convo_label_after(luge_txn *txn, const struct luge_conversation *convo,
                      int kind, luge_bytes after,
                      char space[LUGE_CONVERSATION_NAME_SIZE_MAX],
                      luge_bytes *name, uint64_t *number)
{
    struct tuple key;
    luge_bytes at, value;
    uint64_t found;

    label_key(&key, kind, after);
    int rc = luge_near(txn, convo->labels, LUGE_GT, tuple_key(&key), &at,
                       &value);
    if (rc) return rc;
    struct tuple_reader reader = tuple_read(at);
    rc = tuple_get_u64(&reader, &found);
    if (!rc && found != (uint64_t)kind) return LUGE_NOTFOUND;
    if (!rc)
        rc = tuple_get_text(&reader, space, LUGE_CONVERSATION_NAME_SIZE_MAX,
                            name);
    return rc ? rc : label_value(value, number);
}

int convo_label_add(luge_txn *txn, const struct luge_conversation *convo,
                    int kind, luge_bytes name, uint64_t number)
{
    struct tuple key;

    label_key(&key, kind, name);
    int rc = luge_add(txn, convo->labels, tuple_key(&key),
                      luge_bytes_of(&number, sizeof(number)));
    if (rc != LUGE_EXISTS) return rc;
    return model_fail(rc, "there is a %s '%.*s' already",
                      kind == LABEL_NODE ? "node" : "branch", (int)name.size,
                      (const char *)name.data);
}

/* -------------------------------------------------------------- agents -- */

static void agent_key(struct tuple *key, luge_bytes name)
{
    tuple_begin(key);
    tuple_put_text(key, name);
}

static int agent_put(luge_txn *txn, const struct luge_conversation *convo,
                     const struct luge_author *agent, uint64_t created_ns)
{
    struct convo_agent fixed = convo_agent_default;
    struct record_writer w;
    struct tuple key;

    fixed.created_ns = created_ns;
    record_begin(&w, &fixed.head);
    record_add(&w, &fixed.kind, agent->kind);
    record_add(&w, &fixed.metadata, agent->metadata);
    agent_key(&key, agent->name);
    return convo_put(txn, convo->agents, &key, &w);
}

static int agent_show(luge_bytes raw, struct luge_author *agent)
{
    struct convo_agent fixed;
    int rc = record_read(&convo_agent_default.head, raw, &fixed);

    if (!rc) rc = record_part(raw, fixed.kind, &agent->kind);
    if (!rc) rc = record_part(raw, fixed.metadata, &agent->metadata);
    if (!rc) agent->created_ns = fixed.created_ns;
    return rc;
}

int luge_author_get(luge_txn *txn, const struct luge_conversation *convo,
                   luge_bytes name, struct luge_author *agent)
{
    struct luge_author found = {.name = name};
    struct tuple key;
    luge_bytes raw;

    if (name.size > LUGE_CONVERSATION_NAME_SIZE_MAX) return LUGE_NOTFOUND;
    agent_key(&key, name);
    int rc = luge_get(txn, convo->agents, tuple_key(&key), &raw);
    if (!rc) rc = agent_show(raw, &found);
    if (!rc) *agent = found;
    return rc;
}

int luge_author_set(luge_txn *txn, const struct luge_conversation *convo,
                   const struct luge_author *agent)
{
    struct luge_author before;
    int rc = convo_name_ok(agent->name, "an agent's name");

    if (!rc)
        rc = convo_text_ok(agent->kind, LUGE_CONVERSATION_NAME_SIZE_MAX,
                           "an agent's kind");
    if (!rc && agent->metadata.size > LUGE_PAYLOAD_SIZE_MAX)
        rc = model_fail(LUGE_TOOBIG, "an agent's metadata of %zu bytes",
                        agent->metadata.size);
    if (!rc) rc = luge_author_get(txn, convo, agent->name, &before);
    if (rc == LUGE_NOTFOUND)
        return agent_put(txn, convo, agent, model_now_ns());
    return rc ? rc : agent_put(txn, convo, agent, before.created_ns);
}

int convo_agent_meet(luge_txn *txn, const struct luge_conversation *convo,
                     luge_bytes name)
{
    struct luge_author agent = {.name = name};
    struct tuple key;
    luge_bytes raw;

    agent_key(&key, name);
    int rc = luge_get(txn, convo->agents, tuple_key(&key), &raw);
    if (rc != LUGE_NOTFOUND) return rc;
    return agent_put(txn, convo, &agent, model_now_ns());
}

int luge_author_after(luge_txn *txn, const struct luge_conversation *convo,
                     luge_bytes after,
                     char space[LUGE_CONVERSATION_NAME_SIZE_MAX],
                     struct luge_author *agent)
{
    struct luge_author found = {0};
    struct tuple key;
    luge_bytes at, raw;

    agent_key(&key, after);
    int rc = luge_near(txn, convo->agents, LUGE_GT, tuple_key(&key), &at, &raw);
    if (rc) return rc;
    struct tuple_reader reader = tuple_read(at);
    rc = tuple_get_text(&reader, space, LUGE_CONVERSATION_NAME_SIZE_MAX,
                        &found.name);
    if (!rc) rc = agent_show(raw, &found);
    if (!rc) *agent = found;
    return rc;
}
