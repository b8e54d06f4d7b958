/* tools/canvas.c -- what conversations cost, for docs/why/infinite-canvas.md.
 *
 *   luge-canvas DIR NODES BRANCHES [SAYS]
 *
 * Makes a conversation of one long branch, a note in each node, and forks it
 * BRANCHES times; then measures, one line each: microseconds of one operation
 * and what it was.  DIR must not exist.  SAYS: appends with a commit each.
 * Not here: the peers, and figures of the engine (luge-bench).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "luge_conversation.h"

enum { BATCH = 1000, QUESTIONS = 20000, RANGES = 2000 };
#define NOTE_NS UINT64_C(1000000)

struct canvas {
    luge_db *db;
    luge_txn *txn;
    struct luge_conversation convo;
    uint64_t main, *ids, state;
    size_t nodes;
};

static void must(int rc, const char *what)
{
    if (!rc) return;
    fprintf(stderr, "luge-canvas: %s: %s\n", what, luge_last_error()->text);
    exit(3);
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static size_t any(struct canvas *c, size_t below)
{
    c->state = c->state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(c->state >> 33) % below;
}

static void report(const char *what, double from_us, size_t count)
{
    printf("%10.2f us  %s (%zu times)\n", (now_us() - from_us) / (double)count,
           what, count);
}

/* ---------------------------------------------------------------- growing */

static void say(struct canvas *c, size_t at)
{
    struct luge_music_event note = luge_music_event_of(LUGE_MUSIC_NOTE,
                                                       at * NOTE_NS);
    struct luge_say say = {.author = luge_str("amy"),
                           .payload = luge_str("a short remark"),
                           .events = &note, .event_count = 1};

    note.pitch = 60;
    note.duration_ns = NOTE_NS;
    must(luge_say(c->txn, &c->convo, c->main, &say, &c->ids[at]), "say");
}

static void grow(struct canvas *c, size_t says)
{
    struct luge_branch main = {.name = luge_str("main")};
    double from = now_us();

    must(luge_begin(c->db, LUGE_TURN, &c->txn), "begin");
    must(luge_conversation_open(c->txn, luge_str("canvas"), LUGE_TREE_CREATE,
                                &c->convo), "open");
    must(luge_branch_fork(c->txn, &c->convo, 0, &main, &c->main), "fork");
    for (size_t at = 0; at < c->nodes; at++) {
        if (at % BATCH == BATCH - 1) {
            must(luge_commit(c->txn), "commit");
            must(luge_begin(c->db, LUGE_TURN, &c->txn), "begin");
        }
        say(c, at);
    }
    must(luge_commit(c->txn), "commit");
    report("say, 1000 in a commit", from, c->nodes);
    from = now_us();
    for (size_t at = 0; at < says; at++) {
        must(luge_begin(c->db, LUGE_WRITE, &c->txn), "begin");
        say(c, c->nodes + at);
        must(luge_commit(c->txn), "commit");
    }
    c->nodes += says;
    if (says) report("say, a commit each, not synced", from, says);
}

static void fork_often(struct canvas *c, size_t forks)
{
    struct luge_branch fork = {.name = luge_bytes_of(NULL, 0)};
    double from = now_us();
    uint64_t branch;

    for (size_t at = 0; at < forks; at++) {
        if (at % BATCH == 0) must(luge_begin(c->db, LUGE_TURN, &c->txn), "");
        must(luge_branch_fork(c->txn, &c->convo, c->ids[any(c, c->nodes)],
                              &fork, &branch), "fork");
        if (at % BATCH == BATCH - 1 || at + 1 == forks)
            must(luge_commit(c->txn), "commit");
    }
    if (forks) report("fork, 1000 in a commit", from, forks);
}

/* ---------------------------------------------------------------- asking */

static void ask_nodes(struct canvas *c)
{
    struct luge_node node;
    uint64_t id, tip = c->ids[c->nodes - 1];
    size_t count;
    double from = now_us();

    for (int i = 0; i < QUESTIONS; i++)
        must(luge_node_get(c->txn, &c->convo, c->ids[any(c, c->nodes)], &node),
             "get");
    report("any node", from, QUESTIONS);
    from = now_us();
    for (int i = 0; i < QUESTIONS; i++)
        must(luge_node_ancestor(c->txn, &c->convo, tip,
                                (uint32_t)any(c, c->nodes), &id), "ancestor");
    report("ancestor of the last node at any depth", from, QUESTIONS);
    from = now_us();
    for (int i = 0; i < QUESTIONS; i++)
        must(luge_node_common(c->txn, &c->convo, c->ids[any(c, c->nodes)],
                              c->ids[any(c, c->nodes)], &id, 1, &count),
             "common");
    report("common ancestor of any two", from, QUESTIONS);
}

static size_t listen(struct canvas *c, uint64_t from_ns, uint64_t to_ns)
{
    struct luge_score_options o = {.node = c->ids[c->nodes - 1],
                                   .from_ns = from_ns, .to_ns = to_ns};
    struct luge_music_event e;
    luge_score *score;
    size_t count = 0;

    must(luge_score_open(c->txn, &c->convo, &o, &score), "score");
    while (!luge_score_next(score, &e, NULL)) count++;
    luge_score_close(score);
    return count;
}

static void ask_music(struct canvas *c)
{
    struct luge_context context;
    double from = now_us();
    size_t heard;

    for (int i = 0; i < QUESTIONS; i++)
        must(luge_context_at(c->txn, &c->convo, c->ids[c->nodes - 1],
                             any(c, c->nodes) * NOTE_NS, &context), "context");
    report("context at any time", from, QUESTIONS);
    from = now_us();
    for (int i = 0; i < RANGES; i++) {
        uint64_t at = any(c, c->nodes) * NOTE_NS;
        listen(c, at, at + 10 * NOTE_NS);
    }
    report("ten notes at any time", from, RANGES);
    from = now_us();
    heard = listen(c, 0, 0);
    report("an event, all from the first to the last", from, heard);
}

int main(int argc, char **argv)
{
    struct luge_options how = {.flags = LUGE_CREATE_NEW,
                               .durability = LUGE_ASYNC};
    struct canvas c = {.state = 1};

    if (argc < 4) {
        fputs("usage: luge-canvas DIR NODES BRANCHES [SAYS]\n", stderr);
        return 2;
    }
    size_t says = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    c.nodes = strtoul(argv[2], NULL, 10);
    c.ids = malloc((c.nodes + says) * sizeof(*c.ids));
    if (!c.ids || !c.nodes) return 2;
    must(luge_open(argv[1], &how, &c.db), argv[1]);
    grow(&c, says);
    fork_often(&c, strtoul(argv[3], NULL, 10));
    must(luge_checkpoint(c.db), "checkpoint");
    must(luge_begin(c.db, LUGE_READ, &c.txn), "begin");
    ask_nodes(&c);
    ask_music(&c);
    luge_abort(c.txn);
    must(luge_close(c.db), "close");
    free(c.ids);
    return 0;
}
