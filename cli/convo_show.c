/* cli/convo_show.c -- luge convo show: one branch or node, and all that belongs
 * to it: why it was forked, what agents think of it, its music and context.
 * Not here: lists of them (convo_look.c).
 */
#include <stdlib.h>
#include <string.h>

#include "convo.h"

/* --------------------------------------------------------------- branch -- */

/* Names, one a line, with commas between. */
static void print_names(const char *what, luge_bytes names)
{
    const char *at = names.data, *end = at + names.size;

    if (!names.size) return;
    printf("%-9s ", what);
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        print_bytes(luge_bytes_of(at, (size_t)(stop - at)));
        at = stop + 1;
        if (at < end) fputs(", ", stdout);
    }
    putchar('\n');
}

static void print_name_of(struct convo_call *v, const char *front,
                          uint64_t branch)
{
    struct luge_branch b;

    if (!branch || luge_branch_get(v->c->txn, &v->convo, branch, &b)) return;
    fputs(front, stdout);
    print_bytes(b.name);
}

static void print_why(const struct luge_branch *b)
{
    const struct luge_emotion *from = &b->from_emotion, *to = &b->to_emotion;

    printf("why       %s", luge_fork_reason_text(b->reason));
    if (b->reason == LUGE_REASON_PROBABILISTIC)
        printf(", %g", (double)b->probability);
    if (b->reason == LUGE_REASON_DIVERGENCE)
        printf(", from valence %g arousal %g agency %g to %g, %g, %g",
               (double)from->valence, (double)from->arousal,
               (double)from->agency, (double)to->valence, (double)to->arousal,
               (double)to->agency);
    if (b->description.size) fputs(": ", stdout);
    print_bytes(b->description);
    putchar('\n');
}

/* One opinion after the other to FN; AGENT's name is in one of two spaces. */
static int opinions(struct convo_call *v, uint64_t branch,
                    void (*fn)(const struct luge_evaluation *e, void *context),
                    void *context)
{
    char space[2][LUGE_CONVERSATION_NAME_SIZE_MAX];
    struct luge_evaluation e = {.agent = {"", 0}};
    int rc = 0;

    for (unsigned i = 0; !rc; i++) {
        rc = luge_branch_evaluation_after(v->c->txn, &v->convo, branch, e.agent,
                                          space[i % 2], &e);
        if (!rc) fn(&e, context);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static void opinion_print(const struct luge_evaluation *e, void *context)
{
    (void)context;
    fputs("opinion   ", stdout);
    print_bytes(e->agent);
    printf(" %.2f, %s at node %llu", (double)e->score,
           e->go_on ? "to go on" : "not to go on",
           (unsigned long long)e->node);
    if (e->text.size) fputs(": ", stdout);
    print_bytes(e->text);
    putchar('\n');
}

static void opinion_add(const struct luge_evaluation *e, void *array)
{
    json_array_append_new(
        array,
        json_pack("{s:o, s:o, s:b, s:o, s:o, s:o}", "agent",
                  json_of_bytes(e->agent), "score", json_of_float(e->score),
                  "go_on", e->go_on, "node", json_of_count(e->node), "time_ns",
                  json_of_count(e->time_ns), "text", json_of_bytes(e->text)));
}

/* *json: the branch as `list` gives it, and what that leaves out. */
static int branch_json(struct convo_call *v, const struct luge_branch *b,
                       json_t **json)
{
    json_t *array = json_array();
    double score;
    unsigned count;
    int rc = convo_score(v, b->id, &score, &count);

    if (!rc) rc = opinions(v, b->id, opinion_add, array);
    if (rc) {
        json_decref(array);
        return rc;
    }
    *json = json_of_branch(b, score, count);
    json_object_set_new(*json, "agents", json_of_bytes(b->agents));
    json_object_set_new(*json, "probability", json_of_float(b->probability));
    json_object_set_new(*json, "from_emotion",
                        json_of_emotion(&b->from_emotion));
    json_object_set_new(*json, "to_emotion", json_of_emotion(&b->to_emotion));
    json_object_set_new(*json, "opinions", array);
    return 0;
}

static int show_branch(struct convo_call *v, const struct luge_branch *b)
{
    json_t *json;

    if (v->json) {
        int rc = branch_json(v, b, &json);
        if (!rc) print_json(json);
        return rc;
    }
    fputs("branch    ", stdout);
    print_bytes(b->name);
    print_count(", ", b->nodes, "node");
    if (b->base) printf(" from %llu", (unsigned long long)b->base);
    print_name_of(v, " of branch ", b->base ? b->parent : 0);
    printf(", %s", luge_branch_state_text(b->state));
    print_name_of(v, " into ", b->into);
    if (b->merge) printf(" at %llu", (unsigned long long)b->merge);
    putchar('\n');
    print_why(b);
    print_names("agents", b->agents);
    print_names("with", b->participants);
    return opinions(v, b->id, opinion_print, NULL);
}

/* ----------------------------------------------------------------- node -- */

static int time_of(const struct convo_call *v, bool *given, uint64_t *time_ns)
{
    const char *text = v->c->options[OPTION_TIME];
    char *end;
    double seconds;

    *given = text != NULL;
    if (!text) return 0;
    seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= 0 && seconds < 9e9))
        return say_usage(v->c->verb, "--time wants seconds, not '%s'", text);
    *time_ns = (uint64_t)(seconds * 1e9 + 0.5);
    return 0;
}

static void print_part(const char *name, luge_bytes bytes)
{
    if (!bytes.size) return;
    printf("%-9s ", name);
    print_bytes(bytes);
    putchar('\n');
}

static void print_node_whole(const struct luge_node *n,
                             const struct luge_branch *b)
{
    char when[32];

    time_words(n->time_ns, when, sizeof(when));
    printf("node      %llu, %u deep, of branch ", (unsigned long long)n->id,
           n->depth);
    print_bytes(b->name);
    fputs("\nparents  ", stdout);
    for (uint32_t i = 0; i < n->parents; i++)
        printf(" %llu", (unsigned long long)luge_node_parent(n, i));
    printf("%s\ntime      %s\n", n->parents ? "" : " none", when);
    print_part("author", n->author);
    print_part("type", n->type);
    print_part("label", n->label);
    print_part("about", n->description);
    if (n->origin)
        printf("copy of   %llu\n", (unsigned long long)n->origin);
    print_count("music     ", n->events, "event");
    printf("; it has come to %.3f s\n", (double)n->clock_ns / 1e9);
}

static int show_events(struct convo_call *v, const struct luge_node *n,
                       uint64_t limit)
{
    struct luge_music_event e;
    int rc = 0;

    for (uint32_t at = 0; at < n->events && at < limit; at++) {
        rc = luge_node_event(v->c->txn, &v->convo, n->id, at, &e);
        if (rc) return rc;
        printf("  %9.3f  ", (double)e.time_ns / 1e9);
        music_print(&e);
        putchar('\n');
    }
    return rc;
}

/* HEAD_OF: the branch that was asked for, or NULL. */
static int show_json(struct convo_call *v, const struct luge_node *n,
                     const struct luge_context *context,
                     const struct luge_branch *head_of)
{
    json_t *object = json_of_node(n), *events = json_array(), *branch = NULL;
    struct luge_music_event e;
    int rc = 0;

    for (uint32_t at = 0; !rc && at < n->events; at++) {
        rc = luge_node_event(v->c->txn, &v->convo, n->id, at, &e);
        if (!rc) json_array_append_new(events, json_of_music(&e));
    }
    if (!rc && head_of) rc = branch_json(v, head_of, &branch);
    if (branch) json_object_set_new(object, "head_of", branch);
    json_object_set_new(object, "events", events);
    json_object_set_new(object, "context", json_of_context(context));
    if (rc)
        json_decref(object);
    else
        print_json(object);
    return rc;
}

/* The state at a time of the music, on the path to the node. */
static int show_time(struct convo_call *v, uint64_t node, uint64_t time_ns)
{
    struct luge_context context;
    struct luge_music_time at;
    int rc = luge_context_at(v->c->txn, &v->convo, node, time_ns, &context);

    if (!rc) rc = luge_music_time_at(v->c->txn, &v->convo, node, time_ns, &at);
    if (rc) return rc;
    if (v->json) {
        print_json(json_pack("{s:o, s:i, s:i, s:i, s:o}", "time_ns",
                             json_of_count(time_ns), "bar", (int)at.bar,
                             "beat", (int)at.beat, "tick", (int)at.tick,
                             "context", json_of_context(&context)));
        return 0;
    }
    printf("time      %.3f s: bar %u, beat %u.%03u\n", (double)time_ns / 1e9,
           at.bar, at.beat, at.tick);
    context_print(&context);
    return 0;
}

/* What was named is shown: a node, or a branch and its head if it has one. */
static int show_named(struct convo_call *v, const struct named *named,
                      uint64_t limit)
{
    struct luge_context context;
    struct luge_branch b;
    struct luge_node n;
    int rc = luge_branch_get(v->c->txn, &v->convo, named->branch, &b);

    if (rc) return rc;
    if (named->is_branch && !(v->json && named->node)) rc = show_branch(v, &b);
    if (rc || !named->node) return rc;
    rc = luge_node_get(v->c->txn, &v->convo, named->node, &n);
    if (!rc) rc = luge_context_of(v->c->txn, &v->convo, named->node, &context);
    if (rc) return rc;
    if (v->json)
        return show_json(v, &n, &context, named->is_branch ? &b : NULL);
    /* The head may have been said on the branch that this one forked from. */
    if (n.branch != b.id)
        rc = luge_branch_get(v->c->txn, &v->convo, n.branch, &b);
    if (rc) return rc;
    print_node_whole(&n, &b);
    context_print(&context);
    print_part("payload", n.payload);
    return show_events(v, &n, limit);
}

int convo_show(struct convo_call *v)
{
    struct named named;
    uint64_t limit, time_ns = 0;
    bool timed;
    int rc = convo_limit(v, &limit);

    if (!rc) rc = time_of(v, &timed, &time_ns);
    if (!rc) rc = convo_named(v->c->txn, &v->convo, v->word[0], &named);
    if (rc) return rc;
    return timed ? show_time(v, named.node, time_ns)
                 : show_named(v, &named, limit);
}
