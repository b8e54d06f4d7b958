/* cli/convo_change.c -- the actions of luge convo that change something.
 * Each runs inside of luge_transact, perhaps several times, and answers a luge
 * code or, if positive, an exit code.
 * Not here: words and results (convo.c).
 */
#include <stdlib.h>
#include <string.h>

#include "convo.h"

static luge_bytes option_text(const struct convo_call *v, int option)
{
    const char *text = v->c->options[option];

    return luge_str(text ? text : "");
}

static luge_bytes author_of(const struct convo_call *v)
{
    const char *text = v->c->options[OPTION_AUTHOR];

    return luge_str(text ? text : "somebody");
}

static int reason_of(const struct convo_call *v, uint8_t *reason)
{
    const char *text = v->c->options[OPTION_REASON];

    *reason = LUGE_REASON_ALTERNATIVE;
    if (!text) return 0;
    for (int i = 0; i <= LUGE_REASON_DIVERGENCE; i++)
        if (!strcmp(text, luge_fork_reason_text(i))) {
            *reason = (uint8_t)i;
            return 0;
        }
    return say_usage(v->c->verb, "there is no reason '%s'", text);
}

/* "a,b" as lines. */
static int names_of(struct convo_call *v, int option, luge_bytes *names)
{
    const char *text = v->c->options[option];

    if (!text) return 0;
    if (!v->names) v->names = strdup(text);
    if (!v->names) return LUGE_NOMEM;
    for (char *at = v->names; *at; at++)
        if (*at == ',') *at = '\n';
    *names = luge_str(v->names);
    return 0;
}

/* What a reason has beside its words.  Of another one it would be lost. */
static int reason_more(struct convo_call *v, struct luge_branch *fork)
{
    int rc = call_probability(v->c, &fork->probability);

    if (rc) return rc;
    if (call_has(v->c, OPTION_PROBABILITY) &&
        fork->reason != LUGE_REASON_PROBABILISTIC)
        return say_usage(v->c->verb, "--probability is for --reason "
                         "probabilistic");
    if (call_has(v->c, OPTION_AGENTS) &&
        fork->reason != LUGE_REASON_DISAGREEMENT)
        return say_usage(v->c->verb, "--agents is for --reason disagreement");
    return names_of(v, OPTION_AGENTS, &fork->agents);
}

/* A divergence goes from the node's emotion to --emotion. */
static int fork_emotions(luge_txn *txn, const struct convo_call *v,
                         uint64_t node, struct luge_branch *fork)
{
    struct luge_context context;
    int rc = call_emotion(v->c, &fork->to_emotion);

    if (rc || fork->reason != LUGE_REASON_DIVERGENCE || !node) return rc;
    rc = luge_context_of(txn, &v->convo, node, &context);
    fork->from_emotion = context.emotion;
    return rc;
}

/* From "" a conversation begins, or a second root. */
int convo_fork(luge_txn *txn, void *context)
{
    struct convo_call *v = context;
    struct luge_branch fork = {.name = v->word[1]};
    struct named from = {0};
    int rc = reason_of(v, &fork.reason);

    if (!rc) rc = reason_more(v, &fork);
    if (rc) return rc;
    rc = luge_conversation_open(txn, v->path,
                                v->word[0].size ? 0 : LUGE_TREE_CREATE,
                                &v->convo);
    if (!rc && v->word[0].size)
        rc = convo_named(txn, &v->convo, v->word[0], &from);
    if (!rc) rc = fork_emotions(txn, v, from.node, &fork);
    if (rc) return rc;
    if (v->words > 2) fork.description = v->word[2];
    fork.participants = option_text(v, OPTION_AUTHOR);
    return luge_branch_fork(txn, &v->convo, from.node, &fork, &v->id);
}

static int open_branch(luge_txn *txn, struct convo_call *v, luge_bytes name,
                       struct named *named)
{
    int rc = luge_conversation_open(txn, v->path, 0, &v->convo);

    if (!rc) rc = luge_branch_named(txn, &v->convo, name, &named->branch);
    if (!rc) rc = convo_named(txn, &v->convo, name, named);
    return rc;
}

/* Of --type intention: TEXT is what and how, "C softly"; it sounds where the
 * branch's music has ended, with the emotion that its node has: the given one
 * or the head's. */
static int intention(luge_txn *txn, const struct convo_call *v, uint64_t head,
                     const struct luge_say *say,
                     struct luge_music_event events[2])
{
    struct luge_node node = {0};
    const char *text = v->word[1].data;
    const char *blank = memchr(text, ' ', v->word[1].size);
    size_t size = blank ? (size_t)(blank - text) : v->word[1].size;
    int rc = head ? luge_node_get(txn, &v->convo, head, &node) : 0;

    events[0] = luge_music_event_of(LUGE_MUSIC_INTENTION, node.clock_ns);
    if (head) events[0].emotion = node.emotion;
    if (say->emotion) events[0].emotion = *say->emotion;
    events[0].what = luge_bytes_of(text, size);
    if (blank)
        events[0].how = luge_bytes_of(blank + 1, v->word[1].size - size - 1);
    events[1] = events[0];
    luge_music_realize(&events[1]);
    return rc;
}

int convo_append(luge_txn *txn, void *context)
{
    struct convo_call *v = context;
    struct luge_music_event events[2];
    struct luge_emotion felt;
    struct luge_say say = {
        .author = author_of(v), .type = option_text(v, OPTION_TYPE),
        .payload = v->word[1], .label = option_text(v, OPTION_LABEL)};
    struct named to;
    int rc = call_emotion(v->c, &felt);

    if (rc) return rc;
    if (call_has(v->c, OPTION_EMOTION)) say.emotion = &felt;
    rc = open_branch(txn, v, v->word[0], &to);
    if (!rc && !strcmp(say.type.data, "intention")) {
        rc = intention(txn, v, to.node, &say, events);
        say.events = events;
        say.event_count = 2;
    }
    return rc ? rc : luge_say(txn, &v->convo, to.branch, &say, &v->id);
}

int convo_merge(luge_txn *txn, void *context)
{
    static const char *const joins[] = {"overlay", "replace", "interleave",
                                        "manual"};
    struct convo_call *v = context;
    struct luge_say say = {.author = author_of(v), .type = luge_str("merge"),
                           .label = option_text(v, OPTION_LABEL)};
    struct luge_emotion felt;
    const char *how = v->c->options[OPTION_JOIN];
    struct named from, into;
    int join = 0, rc = call_emotion(v->c, &felt);

    if (rc) return rc;
    if (call_has(v->c, OPTION_EMOTION)) say.emotion = &felt;
    while (how && join < 4 && strcmp(how, joins[join]) != 0) join++;
    if (join == 4)
        return say_usage(v->c->verb, "there is no way '%s' to merge", how);
    rc = open_branch(txn, v, v->word[0], &from);
    if (!rc) rc = open_branch(txn, v, v->word[1], &into);
    if (rc) return rc;
    if (v->words > 2) say.payload = v->word[2];
    return luge_branch_merge(txn, &v->convo, from.branch, into.branch,
                             LUGE_JOIN_OVERLAY + join, &say, &v->id);
}

int convo_prune(luge_txn *txn, void *context)
{
    struct convo_call *v = context;
    struct named branch;
    int rc = open_branch(txn, v, v->word[0], &branch);

    return rc ? rc : luge_branch_prune(txn, &v->convo, branch.branch);
}

int convo_evaluate(luge_txn *txn, void *context)
{
    struct convo_call *v = context;
    struct luge_evaluation e = {.agent = author_of(v)};
    struct named branch;
    char text[32], *end;
    int rc;

    snprintf(text, sizeof(text), "%.*s", (int)v->word[1].size,
             (const char *)v->word[1].data);
    e.score = strtof(text, &end);
    if (end == text || *end)
        return say_usage(v->c->verb, "a score is a number, not '%s'", text);
    e.go_on = e.score > 0;
    if (v->words > 2) e.text = v->word[2];
    rc = open_branch(txn, v, v->word[0], &branch);
    return rc ? rc : luge_branch_evaluate(txn, &v->convo, branch.branch, &e);
}
