/* tools/agent.c -- one of the players of `make demo`: forks a tune and writes
 * variations on it.  An example of luge_conversation.h besides.
 *
 *   luge-agent DIR CONVERSATION NAME COUNT PAUSE_MS
 *
 * It makes the branch NAME somewhere in "main", unless an earlier life of it
 * has, and says variations of the bars before, one durable commit each, until
 * the branch has COUNT nodes.  The number of each node goes to stdout once its
 * commit has returned: a ledger of what must not be lost.  May be killed at any
 * time and started again.
 * Not here: any taste.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "luge_conversation.h"

enum { NOTES_MAX = 96, THEME_BARS = 8 };

struct agent {
    luge_db *db;
    const char *path, *name;
    unsigned count, pause_ms;
    struct luge_conversation convo;
    uint64_t branch, node;
    int done;
    char text[96];
};

static int wrong(const char *what)
{
    fprintf(stderr, "luge-agent: %s: %s\n", what, luge_last_error()->text);
    return 3;
}

/* A number that the name determines: agents differ, and are the same again. */
static uint32_t mood(const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

/* ----------------------------------------------------------------- fork -- */

static int fork_tune(luge_txn *txn, void *context)
{
    struct agent *a = context;
    struct luge_branch main = {0}, fork = {
        .name = luge_str(a->name), .description = luge_str("variations"),
        .participants = luge_str(a->name),
        .reason = LUGE_REASON_PROBABILISTIC, .probability = 0.5f};
    struct luge_node head = {0};
    uint64_t id = 0, from = 0;
    int rc = luge_conversation_open(txn, luge_str(a->path), 0, &a->convo);

    if (!rc)
        rc = luge_branch_named(txn, &a->convo, luge_str(a->name), &a->branch);
    if (rc != LUGE_NOTFOUND) return rc;
    rc = luge_branch_named(txn, &a->convo, luge_str("main"), &id);
    if (!rc) rc = luge_branch_get(txn, &a->convo, id, &main);
    if (!rc) rc = luge_node_get(txn, &a->convo, main.head, &head);
    if (!rc)
        rc = luge_node_ancestor(txn, &a->convo, head.id,
                                head.depth / 3 + mood(a->name) %
                                                     (head.depth / 3 + 1),
                                &from);
    return rc ? rc
              : luge_branch_fork(txn, &a->convo, from, &fork, &a->branch);
}

/* ----------------------------------------------------------- variations -- */

/* One note of the bar as this agent hears it.  0: it leaves it out. */
static int vary(struct luge_music_event *e, uint32_t mood, uint64_t turn)
{
    static const int steps[] = {0, 7, -5, 12, 3, -12, 5, -7};
    int drums = e->channel == 9;
    int pitch = e->pitch + (drums ? 0 : steps[(turn + mood) % 8]);

    if ((e->time_ns / 1000 + mood + turn) % 5 == 0 && !drums) return 0;
    if (mood % 3 == 1 && !drums) pitch = 127 - pitch;   /* upside down */
    while (pitch > 100) pitch -= 12;
    while (pitch < 28) pitch += 12;
    e->pitch = (uint8_t)pitch;
    e->emotion.arousal = (float)(turn % 10) / 9;
    e->emotion.valence = pitch > 64 ? 0.5f : -0.5f;
    e->velocity = (uint8_t)(40 + e->velocity / 3 + (turn % 10) * 4);
    if (e->velocity > 127) e->velocity = 127;
    return 1;
}

/* The notes of node BAR, moved from FROM_NS to TO_NS.  Only numbers are kept:
 * bytes that a read has given do not outlive the next change. */
static int bar_notes(luge_txn *txn, struct agent *a,
                     const struct luge_node *bar, uint64_t turn,
                     uint64_t from_ns, uint64_t to_ns,
                     struct luge_music_event *notes, size_t *count)
{
    int rc = 0;

    *count = 0;
    for (uint32_t i = 0; i < bar->events && *count < NOTES_MAX; i++) {
        struct luge_music_event e, note;
        rc = luge_node_event(txn, &a->convo, bar->id, i, &e);
        if (rc) return rc;
        if (e.kind != LUGE_MUSIC_NOTE) continue;
        note = luge_music_event_of(LUGE_MUSIC_NOTE, e.time_ns - from_ns);
        note.duration_ns = e.duration_ns;
        note.track = e.track;
        note.channel = e.channel;
        note.pitch = e.pitch;
        note.velocity = e.velocity;
        if (!vary(&note, mood(a->name), turn)) continue;
        note.time_ns += to_ns;
        notes[(*count)++] = note;
    }
    return rc;
}

static int say_variation(luge_txn *txn, void *context)
{
    struct agent *a = context;
    struct luge_music_event notes[NOTES_MAX];
    struct luge_node head, base, bar, before = {0};
    struct luge_emotion felt = luge_emotion_neutral();
    struct luge_branch b;
    uint64_t id;
    size_t count;
    int rc = luge_branch_get(txn, &a->convo, a->branch, &b);

    a->done = !rc && b.nodes >= a->count;
    if (rc || a->done) return rc;
    rc = luge_node_get(txn, &a->convo, b.base, &base);
    if (!rc) rc = luge_node_get(txn, &a->convo, b.head, &head);
    if (rc) return rc;
    uint32_t back = (uint32_t)(b.nodes % THEME_BARS);
    rc = luge_node_ancestor(txn, &a->convo, base.id,
                            base.depth - (back < base.depth ? back : 0), &id);
    if (!rc) rc = luge_node_get(txn, &a->convo, id, &bar);
    if (!rc && bar.parent)
        rc = luge_node_get(txn, &a->convo, bar.parent, &before);
    uint64_t from = bar.events && bar.begin_ns < before.clock_ns
                        ? bar.begin_ns : before.clock_ns;
    if (!rc)
        rc = bar_notes(txn, a, &bar, b.nodes, from, head.clock_ns, notes,
                       &count);
    if (rc) return rc;
    felt.arousal = (float)(b.nodes % 10) / 9;
    snprintf(a->text, sizeof(a->text), "variation %llu, on bar %u: %zu notes",
             (unsigned long long)b.nodes + 1, bar.depth + 1, count);
    struct luge_say say = {
        .author = luge_str(a->name), .type = luge_str("variation"),
        .payload = luge_str(a->text), .emotion = &felt, .events = notes,
        .event_count = count};
    return luge_say(txn, &a->convo, a->branch, &say, &a->node);
}

static int play(struct agent *a)
{
    struct timespec pause = {a->pause_ms / 1000,
                             (long)(a->pause_ms % 1000) * 1000000};
    int rc = luge_transact(a->db, LUGE_TXN_FULL, fork_tune, a);

    if (rc) return wrong("fork");
    for (;;) {
        rc = luge_transact(a->db, LUGE_TXN_FULL, say_variation, a);
        if (rc) return wrong("say");
        if (a->done) return 0;
        printf("%llu\n", (unsigned long long)a->node);
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    struct luge_options how = {.flags = LUGE_MUST_EXIST};
    struct agent a = {0};

    if (argc != 6) {
        fputs("usage: luge-agent DIR CONVERSATION NAME COUNT PAUSE_MS\n",
              stderr);
        return 2;
    }
    a.path = argv[2];
    a.name = argv[3];
    a.count = (unsigned)strtoul(argv[4], NULL, 10);
    a.pause_ms = (unsigned)strtoul(argv[5], NULL, 10);
    if (luge_open(argv[1], &how, &a.db)) return wrong(argv[1]);
    int code = play(&a);
    if (luge_close(a.db) && !code) code = wrong("close");
    return code;
}
