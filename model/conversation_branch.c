/* model/conversation_branch.c -- branches: forking, looking, ending, judging.
 *
 *   (none) --fork--> Active --merge--> Merged
 *                      `------prune--> Pruned
 *
 * A change of a branch's record: convo_branch_begin copies it (a change of any
 * tree would take its bytes away), the caller changes the fixed fields,
 * convo_branch_end writes it anew, convo_branch_free lets the copy go.
 * Not here: what a merge does to music (conversation_merge.c).
 */
#include "conversation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct convo_branch convo_branch_default = {
    .head = {sizeof(struct convo_branch), 1},
    .from_emotion = {0, 0.5f, 0}, .to_emotion = {0, 0.5f, 0}};
const struct convo_evaluation convo_evaluation_default = {
    .head = {sizeof(struct convo_evaluation), 1}};

_Static_assert(sizeof(struct convo_branch) == 136, "no padding, and golden");
_Static_assert(sizeof(struct convo_evaluation) == 40, "and golden");

const char *luge_branch_state_text(int state)
{
    switch (state) {
#define X(name, value, text) \
    case value: return text;
        LUGE_BRANCH_STATES(X)
#undef X
    default: return "unknown";
    }
}

const char *luge_fork_reason_text(int reason)
{
    switch (reason) {
#define X(name, value, text) \
    case value: return text;
        LUGE_REASONS(X)
#undef X
    default: return "unknown";
    }
}

/* ------------------------------------------------------------- reading -- */

static int branch_read(luge_txn *txn, const struct luge_conversation *convo,
                       uint64_t id, struct convo_branch *fixed, luge_bytes *raw)
{
    struct tuple key;

    convo_key(&key, id);
    int rc = luge_get(txn, convo->branches, tuple_key(&key), raw);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "there is no branch %llu",
                          (unsigned long long)id);
    return rc ? rc : record_read(&convo_branch_default.head, *raw, fixed);
}

static int branch_show(uint64_t id, const struct convo_branch *fixed,
                       luge_bytes raw, struct luge_branch *branch)
{
    int rc;

    *branch = (struct luge_branch){
        .id = id, .head = fixed->tip, .base = fixed->base,
        .parent = fixed->parent, .into = fixed->into, .merge = fixed->merge,
        .nodes = fixed->nodes, .created_ns = fixed->created_ns,
        .changed_ns = fixed->changed_ns, .state = fixed->state,
        .reason = fixed->reason, .probability = fixed->probability,
        .from_emotion = fixed->from_emotion, .to_emotion = fixed->to_emotion};
    rc = record_part(raw, fixed->name, &branch->name);
    if (!rc) rc = record_part(raw, fixed->description, &branch->description);
    if (!rc) rc = record_part(raw, fixed->participants, &branch->participants);
    if (!rc) rc = record_part(raw, fixed->agents, &branch->agents);
    return rc;
}

int luge_branch_get(luge_txn *txn, const struct luge_conversation *convo,
                    uint64_t id, struct luge_branch *branch)
{
    struct convo_branch fixed;
    luge_bytes raw;
    int rc = branch_read(txn, convo, id, &fixed, &raw);

    return rc ? rc : branch_show(id, &fixed, raw, branch);
}

int luge_branch_named(luge_txn *txn, const struct luge_conversation *convo,
                      luge_bytes name, uint64_t *id)
{
    if (name.size > LUGE_CONVERSATION_NAME_SIZE_MAX)
        return model_fail(LUGE_NOTFOUND, "no branch's name has %zu bytes",
                          name.size);
    return convo_label_get(txn, convo, LABEL_BRANCH, name, id);
}

int luge_branch_after(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t after, struct luge_branch *branch)
{
    struct convo_branch fixed;
    struct tuple key;
    luge_bytes found, raw;
    uint64_t id;

    convo_key(&key, after);
    int rc = luge_near(txn, convo->branches, LUGE_GT, tuple_key(&key), &found,
                       &raw);
    if (rc) return rc;
    struct tuple_reader reader = tuple_read(found);
    rc = tuple_get_u64(&reader, &id);
    if (!rc) rc = record_read(&convo_branch_default.head, raw, &fixed);
    return rc ? rc : branch_show(id, &fixed, raw, branch);
}

/* ------------------------------------------------------------- writing -- */

int convo_branch_begin(luge_txn *txn, const struct luge_conversation *convo,
                       uint64_t id, struct convo_change *change)
{
    luge_bytes raw;
    int rc = branch_read(txn, convo, id, &change->fixed, &raw);

    if (rc) return rc;
    change->id = id;
    change->raw_size = raw.size;
    change->raw = model_alloc(raw.size);
    if (!change->raw) return MODEL_NOMEM();
    memcpy(change->raw, raw.data, raw.size);
    return 0;
}

int convo_branch_active(const struct convo_change *change)
{
    static const char *const ended[] = {"merged", "pruned"};
    uint8_t state = change->fixed.state;
    luge_bytes name;

    if (state == LUGE_BRANCH_ACTIVE) return 0;
    int rc = record_part(luge_bytes_of(change->raw, change->raw_size),
                         change->fixed.name, &name);
    if (rc) return rc;
    return model_fail(LUGE_INVALID, "branch '%.*s' is not active: it was %s",
                      (int)name.size, (const char *)name.data,
                      state <= LUGE_BRANCH_PRUNED ? ended[state - 1] : "ended");
}

static int branch_put(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t id, struct convo_branch *fixed,
                      const struct luge_branch *words)
{
    struct record_writer w;
    struct tuple key;

    record_begin(&w, &fixed->head);
    record_add(&w, &fixed->name, words->name);
    record_add(&w, &fixed->description, words->description);
    record_add(&w, &fixed->participants, words->participants);
    record_add(&w, &fixed->agents, words->agents);
    convo_key(&key, id);
    return convo_put(txn, convo->branches, &key, &w);
}

int convo_branch_end(luge_txn *txn, const struct luge_conversation *convo,
                     struct convo_change *change)
{
    struct luge_branch words;
    luge_bytes raw = {change->raw, change->raw_size};
    int rc = branch_show(change->id, &change->fixed, raw, &words);

    if (rc) return rc;
    change->fixed.head = convo_branch_default.head;
    change->fixed.changed_ns = model_now_ns();
    return branch_put(txn, convo, change->id, &change->fixed, &words);
}

void convo_branch_free(struct convo_change *change)
{
    model_free(change->raw);
    change->raw = NULL;
}

/* ---------------------------------------------------------------- fork -- */

static int fork_ok(const struct luge_branch *fork)
{
    int rc = fork->name.size ? convo_name_ok(fork->name, "a branch's name") : 0;

    if (!rc)
        rc = convo_text_ok(fork->description, LUGE_PAYLOAD_SIZE_MAX,
                           "a branch's description");
    if (!rc)
        rc = convo_text_ok(fork->participants, LUGE_PAYLOAD_SIZE_MAX,
                           "a list of participants");
    if (!rc)
        rc = convo_text_ok(fork->agents, LUGE_PAYLOAD_SIZE_MAX,
                           "a list of agents");
    if (rc) return rc;
    if (fork->reason > LUGE_REASON_DIVERGENCE)
        return model_fail(LUGE_INVALID, "there is no reason %u to fork",
                          fork->reason);
    if (!(fork->probability >= 0 && fork->probability <= 1))
        return model_fail(LUGE_INVALID, "a probability of %g",
                          (double)fork->probability);
    if (fork->reason != LUGE_REASON_DIVERGENCE) return 0;
    rc = luge_emotion_check(&fork->from_emotion);
    return rc ? rc : luge_emotion_check(&fork->to_emotion);
}

int luge_branch_fork(luge_txn *txn, const struct luge_conversation *convo,
                     uint64_t from, const struct luge_branch *fork,
                     uint64_t *branch)
{
    struct convo_branch fixed = convo_branch_default;
    struct luge_branch words = *fork;
    struct convo_node node = {0};
    char name[40];
    uint64_t id;
    int rc = fork_ok(fork);

    if (!rc && from) rc = convo_node_read(txn, convo, from, &node, NULL);
    if (!rc) rc = luge_txn_next_id(txn, &id);
    if (rc) return rc;
    if (!words.name.size) {
        snprintf(name, sizeof(name), "branch-%llu", (unsigned long long)id);
        words.name = luge_str(name);
    }
    rc = convo_label_add(txn, convo, LABEL_BRANCH, words.name, id);
    if (rc) return rc;
    fixed.tip = fixed.base = from;
    fixed.parent = node.branch;
    fixed.created_ns = fixed.changed_ns = model_now_ns();
    fixed.reason = fork->reason;
    fixed.probability = fork->probability;
    if (fork->reason == LUGE_REASON_DIVERGENCE) {
        fixed.from_emotion = fork->from_emotion;
        fixed.to_emotion = fork->to_emotion;
    }
    rc = branch_put(txn, convo, id, &fixed, &words);
    if (!rc) *branch = id;
    return rc;
}

/* -------------------------------------------------------------- ending -- */

static int branch_finish(luge_txn *txn, const struct luge_conversation *convo,
                         uint64_t branch, uint8_t state, uint64_t into,
                         uint64_t merge)
{
    struct convo_change change;
    int rc = convo_branch_begin(txn, convo, branch, &change);

    if (rc) return rc;
    rc = convo_branch_active(&change);
    change.fixed.state = state;
    change.fixed.into = into;
    change.fixed.merge = merge;
    if (!rc) rc = convo_branch_end(txn, convo, &change);
    convo_branch_free(&change);
    return rc;
}

int luge_branch_prune(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t branch)
{
    return branch_finish(txn, convo, branch, LUGE_BRANCH_PRUNED, 0, 0);
}

int luge_branch_merged(luge_txn *txn, const struct luge_conversation *convo,
                       uint64_t branch, uint64_t into, uint64_t merge)
{
    struct convo_branch other;
    struct convo_node node;
    luge_bytes raw;
    int rc = branch_read(txn, convo, into, &other, &raw);

    if (!rc) rc = convo_node_read(txn, convo, merge, &node, NULL);
    if (!rc && into == branch)
        rc = model_fail(LUGE_INVALID, "a branch merged into itself");
    return rc ? rc : branch_finish(txn, convo, branch, LUGE_BRANCH_MERGED, into,
                                   merge);
}

/* --------------------------------------------------------- evaluations -- */

static void evaluation_key(struct tuple *key, uint64_t branch, luge_bytes agent)
{
    tuple_begin(key);
    tuple_put_u64(key, branch);
    tuple_put_text(key, agent);
}

static int evaluation_ok(const struct luge_evaluation *e)
{
    int rc = convo_name_ok(e->agent, "an agent's name");

    if (!rc) rc = convo_text_ok(e->text, LUGE_PAYLOAD_SIZE_MAX, "an opinion");
    if (rc) return rc;
    if (!isfinite(e->score))
        return model_fail(LUGE_INVALID, "a score that is no number");
    if (e->go_on > 1)
        return model_fail(LUGE_INVALID, "go_on is %u, neither 0 nor 1",
                          e->go_on);
    return 0;
}

int luge_branch_evaluate(luge_txn *txn, const struct luge_conversation *convo,
                         uint64_t branch,
                         const struct luge_evaluation *evaluation)
{
    struct convo_evaluation fixed = convo_evaluation_default;
    struct convo_branch about;
    struct convo_node node;
    struct record_writer w;
    struct tuple key;
    luge_bytes raw;
    int rc = evaluation_ok(evaluation);

    if (!rc) rc = branch_read(txn, convo, branch, &about, &raw);
    if (!rc && evaluation->node)
        rc = convo_node_read(txn, convo, evaluation->node, &node, NULL);
    if (!rc) rc = convo_agent_meet(txn, convo, evaluation->agent);
    if (rc) return rc;
    fixed.score = evaluation->score;
    fixed.go_on = evaluation->go_on;
    fixed.node = evaluation->node ? evaluation->node : about.tip;
    fixed.time_ns = evaluation->time_ns ? evaluation->time_ns : model_now_ns();
    record_begin(&w, &fixed.head);
    record_add(&w, &fixed.text, evaluation->text);
    evaluation_key(&key, branch, evaluation->agent);
    return convo_put(txn, convo->evaluations, &key, &w);
}

int luge_branch_evaluation_after(luge_txn *txn,
                                 const struct luge_conversation *convo,
                                 uint64_t branch, luge_bytes after,
                                 char space[LUGE_CONVERSATION_NAME_SIZE_MAX],
                                 struct luge_evaluation *evaluation)
{
    struct luge_evaluation e = {0};
    struct convo_evaluation fixed;
    struct tuple key;
    luge_bytes found, raw;
    uint64_t of;

    evaluation_key(&key, branch, after);
    int rc = luge_near(txn, convo->evaluations, LUGE_GT, tuple_key(&key),
                       &found, &raw);
    if (rc) return rc;
    struct tuple_reader reader = tuple_read(found);
    rc = tuple_get_u64(&reader, &of);
    if (!rc && of != branch) return LUGE_NOTFOUND;
    if (!rc)
        rc = tuple_get_text(&reader, space, LUGE_CONVERSATION_NAME_SIZE_MAX,
                            &e.agent);
    if (!rc) rc = record_read(&convo_evaluation_default.head, raw, &fixed);
    if (!rc) rc = record_part(raw, fixed.text, &e.text);
    if (rc) return rc;
    e.score = fixed.score;
    e.go_on = fixed.go_on;
    e.node = fixed.node;
    e.time_ns = fixed.time_ns;
    *evaluation = e;
    return 0;
}
