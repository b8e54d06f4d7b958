/* cli/convo_look.c -- the actions of luge convo that look: list log ancestors
 * subtree common diff agents.
 *
 * What may be long can be cut with --limit.
 * Not here: the drawing (convo_tree.c), one node or branch with all that it has
 * (convo_show.c), changes (convo_change.c).
 */
#include <stdlib.h>
#include <string.h>

#include "convo.h"

int convo_limit(const struct convo_call *v, uint64_t *limit)
{
    return call_number(v->c, OPTION_LIMIT, UINT64_MAX, limit);
}

/* ----------------------------------------------------------------- list -- */

static int list_one(struct convo_call *v, luge_bytes path)
{
    struct luge_conversation_about about;
    struct luge_conversation convo;
    int rc = luge_conversation_open(v->c->txn, path, 0, &convo);

    if (!rc) rc = luge_conversation_get(v->c->txn, &convo, &about);
    if (rc) return rc;
    if (v->json) {
        print_json(json_pack(
            "{s:o, s:o, s:o, s:o, s:o, s:o}", "conversation",
            json_of_bytes(path), "title", json_of_bytes(about.title), "nodes",
            json_of_count(about.nodes), "branches",
            json_of_count(about.branches), "events",
            json_of_count(about.events), "agents",
            json_of_count(about.agents)));
        return 0;
    }
    print_bytes(path);
    print_count("\t", about.nodes, "node");
    print_count("\t", about.branches, "branch");
    print_count("\t", about.events, "event");
    print_count("\t", about.agents, "agent");
    putchar('\t');
    print_start(about.title, 40);
    putchar('\n');
    return 0;
}

static int list_all(struct convo_call *v, uint64_t limit)
{
    char last[LUGE_NAME_SIZE_MAX];
    luge_bytes path = {last, 0};
    int rc = 0;

    for (; !rc && limit; limit--) {
        rc = luge_conversation_after(v->c->txn, path, &path);
        if (rc) break;
        memcpy(last, path.data, path.size);
        path.data = last;
        rc = list_one(v, path);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int convo_score(struct convo_call *v, uint64_t branch, double *mean,
                unsigned *count)
{
    char space[2][LUGE_CONVERSATION_NAME_SIZE_MAX];
    struct luge_evaluation e = {.agent = {"", 0}};
    double sum = 0;
    int rc;

    for (*count = 0;; ++*count) {
        rc = luge_branch_evaluation_after(v->c->txn, &v->convo, branch,
                                          e.agent, space[*count % 2], &e);
        if (rc) break;
        sum += (double)e.score;
    }
    *mean = *count ? sum / *count : 0;
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

json_t *json_of_branch(const struct luge_branch *b, double score,
                       unsigned count)
{
    json_t *object = json_pack(
        "{s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "id", json_of_count(b->id), "name", json_of_bytes(b->name), "state",
        luge_branch_state_text(b->state), "reason",
        luge_fork_reason_text(b->reason),
        "head", json_of_count(b->head), "base", json_of_count(b->base),
        "parent", json_of_count(b->parent), "nodes", json_of_count(b->nodes),
        "into", json_of_count(b->into), "merge", json_of_count(b->merge),
        "created_ns", json_of_count(b->created_ns), "description",
        json_of_bytes(b->description), "participants",
        json_of_bytes(b->participants));

    if (count)
        json_object_set_new(object, "score", json_of_float((float)score));
    return object;
}

static int list_branch(struct convo_call *v, const struct luge_branch *b)
{
    struct luge_branch into;
    double score;
    unsigned count;
    int rc = convo_score(v, b->id, &score, &count);

    if (rc) return rc;
    if (v->json) {
        print_json(json_of_branch(b, score, count));
        return 0;
    }
    print_bytes(b->name);
    printf("\t%s", luge_branch_state_text(b->state));
    if (b->into &&
        !luge_branch_get(v->c->txn, &v->convo, b->into, &into)) {
        fputs(" into ", stdout);
        print_bytes(into.name);
    }
    print_count("\t", b->nodes, "node");
    printf("\thead %llu\t%s", (unsigned long long)b->head,
           luge_fork_reason_text(b->reason));
    if (count) printf("\tscore %.2f of %u", score, count);
    putchar('\t');
    print_start(b->description, 40);
    putchar('\n');
    return 0;
}

int convo_list(struct convo_call *v)
{
    struct luge_branch b = {0};
    uint64_t limit;
    int rc = convo_limit(v, &limit);

    if (rc) return rc;
    if (!v->path.size) return list_all(v, limit);
    for (; !rc && limit; limit--) {
        rc = luge_branch_after(v->c->txn, &v->convo, b.id, &b);
        if (!rc) rc = list_branch(v, &b);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int convo_agents(struct convo_call *v)
{
    char space[2][LUGE_CONVERSATION_NAME_SIZE_MAX];
    struct luge_author a = {.name = {"", 0}};
    uint64_t limit;
    int rc = convo_limit(v, &limit);

    if (rc) return rc;
    for (unsigned i = 0; i < limit; i++) {
        rc = luge_author_after(v->c->txn, &v->convo, a.name, space[i % 2], &a);
        if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
        if (v->json) {
            print_json(json_pack("{s:o, s:o, s:o, s:o}", "agent",
                                 json_of_bytes(a.name), "kind",
                                 json_of_bytes(a.kind), "created_ns",
                                 json_of_count(a.created_ns), "metadata",
                                 json_of_bytes(a.metadata)));
            continue;
        }
        print_bytes(a.name);
        putchar('\t');
        print_bytes(a.kind);
        putchar('\t');
        print_bytes(a.metadata);
        putchar('\n');
    }
    return 0;
}

/* ------------------------------------------------------------------ log -- */

json_t *json_of_node(const struct luge_node *n)
{
    json_t *parents = json_array();
    json_t *object;

    for (uint32_t i = 0; i < n->parents; i++)
        json_array_append_new(parents, json_of_count(luge_node_parent(n, i)));
    object = json_pack(
        "{s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:i, s:o}", "id",
        json_of_count(n->id), "parents", parents, "branch",
        json_of_count(n->branch), "depth", (int)n->depth, "time_ns",
        json_of_count(n->time_ns), "author", json_of_bytes(n->author), "type",
        json_of_bytes(n->type), "payload", json_of_bytes(n->payload),
        "emotion", json_of_emotion(&n->emotion), "events", (int)n->events,
        "clock_ns", json_of_count(n->clock_ns));
    if (n->label.size)
        json_object_set_new(object, "label", json_of_bytes(n->label));
    if (n->description.size)
        json_object_set_new(object, "description",
                            json_of_bytes(n->description));
    if (n->origin)
        json_object_set_new(object, "origin", json_of_count(n->origin));
    return object;
}

static void print_node(const struct luge_node *n, const char *front)
{
    char when[32];

    time_words(n->time_ns, when, sizeof(when));
    printf("%s%llu\t%s\t", front, (unsigned long long)n->id, when);
    print_start(n->author, 24);
    if (n->parents > 1) printf("\t(%u parents)", n->parents);
    putchar('\t');
    print_start(n->payload, 72);
    if (n->description.size) {
        fputs("  [", stdout);
        print_start(n->description, 40);
        putchar(']');
    }
    putchar('\n');
}

static void show_line(const struct convo_call *v, const struct luge_node *n)
{
    if (v->json)
        print_json(json_of_node(n));
    else
        print_node(n, "");
}

/* The newest first: up the path. */
static int log_path(struct convo_call *v, uint64_t node, uint64_t limit)
{
    struct luge_node n;
    int rc = 0;

    for (; !rc && node && limit; node = n.parent, limit--) {
        rc = luge_node_get(v->c->txn, &v->convo, node, &n);
        if (!rc) show_line(v, &n);
    }
    return rc;
}

static int log_walk(struct convo_call *v, const struct luge_walk_options *o)
{
    struct luge_node n;
    luge_walk *walk;
    uint64_t limit;
    int rc = convo_limit(v, &limit);

    if (!rc) rc = luge_walk_open(v->c->txn, &v->convo, o, &walk);
    if (rc) return rc;
    while (limit-- && !(rc = luge_walk_next(walk, &n)))
        show_line(v, &n);
    luge_walk_close(walk);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Without a name: everything, parents before children; or what was said at some
 * time, in the order of times. */
static int log_all(struct convo_call *v)
{
    struct luge_walk_options o = {.kind = LUGE_WALK_SUBTREE};
    int rc = call_time(v->c, OPTION_AFTER, &o.from_ns);

    if (!rc) rc = call_time(v->c, OPTION_BEFORE, &o.to_ns);
    if (o.from_ns || o.to_ns) o.kind = LUGE_WALK_TIMES;
    return rc ? rc : log_walk(v, &o);
}

int convo_subtree(struct convo_call *v)
{
    struct luge_walk_options o = {.kind = LUGE_WALK_SUBTREE};
    struct named named;
    int rc = convo_named(v->c->txn, &v->convo, v->word[0], &named);

    if (rc) return rc;
    o.node = named.node;
    return log_walk(v, &o);
}

/* Through all parents, children before parents. */
int convo_ancestors(struct convo_call *v)
{
    struct luge_walk_options o = {.kind = LUGE_WALK_ANCESTORS};
    struct named named;
    int rc = convo_named(v->c->txn, &v->convo, v->word[0], &named);

    if (rc) return rc;
    o.node = named.node;
    if (v->words > 1)
        rc = convo_named(v->c->txn, &v->convo, v->word[1], &named);
    if (v->words > 1) o.without = named.node;
    return rc ? rc : log_walk(v, &o);
}

int convo_common(struct convo_call *v)
{
    enum { COMMON_MAX = 256 };
    uint64_t common[COMMON_MAX];
    struct named a, b;
    struct luge_node n;
    size_t count;
    int rc = convo_named(v->c->txn, &v->convo, v->word[0], &a);

    if (!rc) rc = convo_named(v->c->txn, &v->convo, v->word[1], &b);
    if (!rc)
        rc = luge_node_common(v->c->txn, &v->convo, a.node, b.node, common,
                              COMMON_MAX, &count);
    for (size_t i = 0; !rc && i < count && i < COMMON_MAX; i++) {
        rc = luge_node_get(v->c->txn, &v->convo, common[i], &n);
        if (!rc) show_line(v, &n);
    }
    return rc;
}

int convo_log(struct convo_call *v)
{
    struct named named;
    uint64_t limit;
    int rc = convo_limit(v, &limit);

    if (rc) return rc;
    if (!v->words) return log_all(v);
    if (call_has(v->c, OPTION_AFTER) || call_has(v->c, OPTION_BEFORE))
        return say_usage(v->c->verb, "--after and --before are for all of a "
                         "conversation, not for '%s'",
                         (const char *)v->word[0].data);
    rc = convo_named(v->c->txn, &v->convo, v->word[0], &named);
    return rc ? rc : log_path(v, named.node, limit);
}

/* ----------------------------------------------------------------- diff -- */

struct side {
    uint64_t nodes, events, notes;
    uint64_t end_ns;
};

/* What is said in A and not in B, and what sounds on the path since they
 * parted. */
static int diff_side(struct convo_call *v, uint64_t a, uint64_t b,
                     const char *front, uint64_t limit, struct side *side)
{
    struct luge_walk_options o = {.kind = LUGE_WALK_ANCESTORS, .node = a,
                                  .without = b};
    struct luge_score_options s = {.node = a, .without = b};
    struct luge_music_event e;
    struct luge_node n;
    luge_score *score;
    luge_walk *walk;
    int rc = luge_walk_open(v->c->txn, &v->convo, &o, &walk);

    if (rc) return rc;
    for (; !(rc = luge_walk_next(walk, &n)); side->nodes++)
        if (!v->json && side->nodes < limit) print_node(&n, front);
    luge_walk_close(walk);
    if (rc != LUGE_NOTFOUND) return rc;
    rc = luge_score_open(v->c->txn, &v->convo, &s, &score);
    if (rc) return rc;
    for (; !(rc = luge_score_next(score, &e, NULL)); side->events++) {
        side->notes += e.kind == LUGE_MUSIC_NOTE;
        if (e.time_ns + e.duration_ns > side->end_ns)
            side->end_ns = e.time_ns + e.duration_ns;
    }
    luge_score_close(score);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static json_t *json_of_side(const struct side *s)
{
    return json_pack("{s:o, s:o, s:o}", "nodes", json_of_count(s->nodes),
                     "events", json_of_count(s->events), "notes",
                     json_of_count(s->notes));
}

static void print_side(const struct convo_call *v, int word,
                       const struct side *s, const char *front)
{
    fputs(front, stdout);
    print_bytes(v->word[word]);
    print_count(": ", s->nodes, "node");
    print_count(", ", s->notes, "note");
    print_count(" of ", s->events, "event");
    printf(", to %.3f s\n", (double)s->end_ns / 1e9);
}

/* As diff does: 0 if there is nothing, 1 if there is. */
int convo_diff(struct convo_call *v)
{
    struct side left = {0}, right = {0};
    struct named a, b;
    uint64_t common = 0, limit;
    size_t count;
    int rc = convo_limit(v, &limit);

    if (!rc) rc = convo_named(v->c->txn, &v->convo, v->word[0], &a);
    if (!rc) rc = convo_named(v->c->txn, &v->convo, v->word[1], &b);
    if (rc) return rc;
    rc = luge_node_common(v->c->txn, &v->convo, a.node, b.node, &common, 1,
                          &count);
    if (rc == LUGE_NOTFOUND) rc = 0;    /* two roots */
    if (!rc) rc = diff_side(v, a.node, b.node, "- ", limit, &left);
    if (!rc) rc = diff_side(v, b.node, a.node, "+ ", limit, &right);
    if (rc) return rc;
    if (v->json) {
        print_json(json_pack("{s:o, s:o, s:o}", "common",
                             json_of_count(common), "left",
                             json_of_side(&left), "right",
                             json_of_side(&right)));
    } else {
        if (common)
            printf("common ancestor %llu\n", (unsigned long long)common);
        else
            puts("no common ancestor");
        print_side(v, 0, &left, "- ");
        print_side(v, 1, &right, "+ ");
    }
    return left.nodes || right.nodes ? EXIT_NO : EXIT_DONE;
}
