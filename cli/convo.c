/* cli/convo.c -- luge convo: its actions, and what branches and nodes are
 * called.
 *
 * An action that looks has one snapshot; one that changes is one transaction,
 * which luge_transact repeats if others were quicker.
 * Not here: what the actions do (convo_look.c, convo_change.c).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convo.h"

/* ---------------------------------------------------------------- words -- */

static bool number_of(luge_bytes word, uint64_t *number)
{
    char text[24], *end;

    if (!word.size || word.size >= sizeof(text)) return false;
    memcpy(text, word.data, word.size);
    text[word.size] = 0;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

/* The only label that begins with WORD, as git's hashes are called by their
 * first digits. */
static int label_begun(luge_txn *txn, const struct luge_conversation *convo,
                       luge_bytes word, uint64_t *node)
{
    enum { WORD_MIN = 4 };      /* as for git */
    char space[2][LUGE_CONVERSATION_NAME_SIZE_MAX];
    luge_bytes label = word;
    uint64_t ids[2];
    int count = 0, rc = 0;

    if (word.size < WORD_MIN || word.size > LUGE_CONVERSATION_NAME_SIZE_MAX)
        return LUGE_NOTFOUND;
    for (; count < 2; count++) {
        rc = luge_node_label_after(txn, convo, label, space[count], &label,
                                   &ids[count]);
        if (rc || label.size < word.size ||
            memcmp(label.data, word.data, word.size) != 0)
            break;
    }
    if (rc && rc != LUGE_NOTFOUND) return rc;
    *node = ids[0];
    if (count < 2) return count ? 0 : LUGE_NOTFOUND;
    return luge_fail(LUGE_INVALID, __FILE__, __LINE__, "more than one label "
                     "begins with '%.*s'", (int)word.size,
                     (const char *)word.data);
}

int convo_named(luge_txn *txn, const struct luge_conversation *convo,
                luge_bytes word, struct named *named)
{
    struct luge_branch branch;
    struct luge_node node;
    int rc = luge_branch_named(txn, convo, word, &named->branch);

    named->is_branch = !rc;
    if (!rc) {
        rc = luge_branch_get(txn, convo, named->branch, &branch);
        named->node = branch.head;
        return rc;
    }
    if (rc == LUGE_NOTFOUND)
        rc = luge_node_labelled(txn, convo, word, &named->node);
    if (rc == LUGE_NOTFOUND && number_of(word, &named->node)) rc = 0;
    if (!rc) rc = luge_node_get(txn, convo, named->node, &node);
    if (rc == LUGE_NOTFOUND) {
        rc = label_begun(txn, convo, word, &named->node);
        if (!rc) rc = luge_node_get(txn, convo, named->node, &node);
    }
    if (rc == LUGE_NOTFOUND)
        return luge_fail(rc, __FILE__, __LINE__, "no branch and no node is "
                         "called '%.*s'", (int)word.size,
                         (const char *)word.data);
    if (!rc) named->branch = node.branch;
    return rc;
}

int call_probability(const struct call *c, float *probability)
{
    const char *text = c->options[OPTION_PROBABILITY];
    char *end;

    *probability = 0;
    if (!text) return 0;
    *probability = strtof(text, &end);
    if (end != text && !*end) return 0;
    return say_usage(c->verb, "--probability wants a number, not '%s'", text);
}

int call_emotion(const struct call *c, struct luge_emotion *emotion)
{
    const char *text = c->options[OPTION_EMOTION];
    char rest;

    *emotion = luge_emotion_neutral();
    if (!text || sscanf(text, "%f,%f,%f%c", &emotion->valence,
                        &emotion->arousal, &emotion->agency, &rest) == 3)
        return 0;
    return say_usage(c->verb, "--emotion wants three numbers, not '%s'", text);
}

/* -------------------------------------------------------------- actions -- */

static const struct {
    const char *name;
    int least, most;            /* words after the action */
    int (*look)(struct convo_call *v);
    int (*change)(luge_txn *txn, void *context);
    const char *words;
} actions[] = {
    {"list", 0, 1, convo_list, NULL, "[CONVERSATION]"},
    {"tree", 1, 1, convo_tree, NULL, "CONVERSATION"},
    {"log", 1, 2, convo_log, NULL, "CONVERSATION [BRANCH|NODE]"},
    {"ancestors", 2, 3, convo_ancestors, NULL, "CONVERSATION WHAT [WITHOUT]"},
    {"subtree", 2, 2, convo_subtree, NULL, "CONVERSATION WHAT"},
    {"agents", 1, 1, convo_agents, NULL, "CONVERSATION"},
    {"common", 3, 3, convo_common, NULL, "CONVERSATION A B"},
    {"show", 2, 2, convo_show, NULL, "CONVERSATION BRANCH|NODE"},
    {"diff", 3, 3, convo_diff, NULL, "CONVERSATION A B"},
    {"fork", 3, 4, NULL, convo_fork, "CONVERSATION FROM NAME [WHY]"},
    {"append", 3, 3, NULL, convo_append, "CONVERSATION BRANCH TEXT"},
    {"merge", 3, 4, NULL, convo_merge, "CONVERSATION FROM INTO [TEXT]"},
    {"prune", 2, 2, NULL, convo_prune, "CONVERSATION BRANCH"},
    {"evaluate", 3, 4, NULL, convo_evaluate,
     "CONVERSATION BRANCH SCORE [TEXT]"},
};
enum { ACTIONS = sizeof(actions) / sizeof(actions[0]) };

static int look(struct convo_call *v, size_t action)
{
    luge_tree tree;
    int rc = 0, code = call_read(v->c, &tree);

    if (code) return code;
    if (v->path.size)
        rc = luge_conversation_open(v->c->txn, v->path, 0, &v->convo);
    if (!rc) rc = actions[action].look(v);
    return rc < 0 ? say_no(rc) : rc;
}

/* Who changes and is not asked to be quiet says what it has made. */
static int change(struct convo_call *v, size_t action)
{
    struct luge_options how = {.flags = 0};
    unsigned durability;
    int rc, code = call_durability(v->c, &durability);

    if (!code) code = call_now(v->c);
    if (code) return code;
    rc = luge_open(call_text(v->c, 0), &how, &v->c->db);
    if (!rc)
        rc = luge_transact(v->c->db, durability, actions[action].change, v);
    if (rc > 0) return rc;
    if (rc) return say_no(rc);
    if (v->json)
        print_json(json_pack("{s:o, s:o}", "id", json_of_count(v->id), "seq",
                             json_of_count(luge_committed_seq(v->c->db))));
    else if (v->id)
        printf("%llu\n", (unsigned long long)v->id);
    return EXIT_DONE;
}

int verb_convo(struct call *c)
{
    struct convo_call v = {.c = c, .json = call_has(c, OPTION_JSON)};
    const char *name = call_text(c, 1);
    size_t at = 0;

    while (at < ACTIONS && strcmp(name, actions[at].name) != 0) at++;
    if (at == ACTIONS)
        return say_usage(c->verb, "there is no action '%s'", name);
    int words = c->count - 2;
    if (words < actions[at].least || words > actions[at].most)
        return say_usage(c->verb, "%s wants %s", name, actions[at].words);
    if (words > 0) v.path = c->arguments[2];
    for (int i = 3; i < c->count; i++) v.word[v.words++] = c->arguments[i];
    int code = actions[at].look ? look(&v, at) : change(&v, at);
    free(v.names);
    return code;
}
