/* test/fuzz_models.c -- calls of the models with arguments that nobody should
 * give: luge_event.h, luge_conversation.h, luge_task.h, luge_show.h.
 *
 *   fuzz_models [--seeds A..B] [--minutes M] [--trace]
 *
 * Holds: a seed is a row of calls on one database, with names and payloads at
 * and beyond every limit, numbers of what is not there, times at the ends of
 * the scale, floats that are no numbers, flags and kinds that do not exist, in
 * transactions of every kind, some of which land.
 *   Y1  Nobody dies.  Every answer is 0 or a code of luge.h.
 *   Y2  A refusal other than NOTFOUND has a sentence.
 *   Y3  A node's number is greater than those of its parents (C2).
 *   Y4  What was written can be shown, every record of it; luge_check is
 *       content.
 *   Y5  What comes out is in its range, whatever went in.
 * Not here: luge.h itself (fuzz_api.c), what right calls do (test_*.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "luge.h"
#include "luge_conversation.h"
#include "luge_event.h"
#include "luge_show.h"
#include "luge_task.h"

enum { TXNS = 12, CALLS = 40, IDS = 64, ROOM = 70000, JSON_AT = 100 };

static const char json[] = "{\"a\":[1,2]}";
static const char *const tallies[] = {"fine", "refused", NULL};

struct play {
    const char *path;
    bool trace, spoiled;        /* spoiled: the transaction must end */
    struct dice d;
    luge_db *db;
    luge_txn *txn;
    struct luge_conversation convo;
    struct luge_events events;
    struct luge_tasks tasks;
    uint64_t ids[IDS];          /* of what is there, the newest ones */
    size_t id_count;
    char room[ROOM];
    char space[256];
};

static bool answered(struct play *p, int rc, const char *call)
{
    const struct luge_error *last = luge_last_error();
    bool said = last->code == rc && last->text[0];

    batch_tick();
    if (p->trace)
        fprintf(stderr, "  %s: %d %s\n", call, rc, said ? last->text : "");
    batch_tally(rc ? 1 : 0);
    if (rc > 0 || rc < LUGE_TIMEOUT)
        batch_failed("%s answered %d", call, rc);
    if (rc && rc != LUGE_NOTFOUND && !said)             /* Y2 */
        batch_failed("%s answered %d without a sentence", call, rc);
    return !rc;
}

/* A call that changes: after errors of other kinds half of it may be there. */
static bool changed(struct play *p, int rc, const char *call)
{
    if (rc && rc != LUGE_NOTFOUND && rc != LUGE_EXISTS && rc != LUGE_INVALID &&
        rc != LUGE_TOOBIG && rc != LUGE_MISMATCH && rc != LUGE_LIMIT &&
        rc != LUGE_READONLY)
        p->spoiled = true;
    return answered(p, rc, call);
}

#define ASK(call) answered(p, (call), #call)
#define DO(call) changed(p, (call), #call)

/* ------------------------------------------------------------ arguments -- */

static uint32_t roll(struct play *p, uint32_t bound)
{
    return dice_below(&p->d, bound);
}

static void keep(struct play *p, uint64_t id)
{
    p->ids[p->id_count++ % IDS] = id;
}

static uint64_t some_id(struct play *p)
{
    size_t count = p->id_count < IDS ? p->id_count : IDS;

    switch (roll(p, 8)) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return roll(p, 100000);
    default: return count ? p->ids[roll(p, (uint32_t)count)] : 1;
    }
}

static uint64_t some_number(struct play *p)
{
    static const uint64_t odd[] = {0, UINT64_MAX, UINT64_C(1) << 63,
                                   (UINT64_C(1) << 63) - 1};
    uint32_t which = roll(p, 8);

    return which < COUNT_OF(odd) ? odd[which]
                                 : roll(p, which == 4 ? 4000000000u : 50);
}

static float some_float(struct play *p)
{
    static const float odd[] = {0, 1, -1, 0.5f, 2, -3, NAN, INFINITY, 1e30f};

    return odd[roll(p, roll(p, 3) ? 4 : COUNT_OF(odd))];
}

static struct luge_emotion some_emotion(struct play *p)
{
    float valence = some_float(p), arousal = some_float(p);

    return (struct luge_emotion){valence, arousal, some_float(p)};
}

static luge_bytes some_bytes(struct play *p)
{
    static const size_t odd[] = {0, 1, 2, 5, 20, 255, 256, 1000, 65535, 65536,
                                 65537};
    size_t size = odd[roll(p, roll(p, 4) ? 6 : COUNT_OF(odd))];

    switch (roll(p, 12)) {
    case 0: return luge_bytes_of("a\nb\xff", 4);
    case 1: return luge_bytes_of(NULL, 0);
    case 2: return luge_bytes_of(p->room + JSON_AT, sizeof(json) - 1);
    default: return luge_bytes_of(p->room + roll(p, ROOM - 65537), size);
    }
}

static luge_bytes some_name(struct play *p)
{
    static const char *const names[] = {"a", "b", "q", "main", "amy", "x/y",
                                        "\xc3\xbc"};

    return roll(p, 4) ? luge_str(names[roll(p, COUNT_OF(names))])
                      : some_bytes(p);
}

/* Nothing mostly. */
static luge_bytes some_more(struct play *p)
{
    return roll(p, 3) ? luge_str("") : some_name(p);
}

/* --------------------------------------------------------- conversations -- */

static struct luge_music_event some_music(struct play *p)
{
    bool sane = roll(p, 2);
    struct luge_music_event e = luge_music_event_of(
        sane ? LUGE_MUSIC_NOTE : (int)roll(p, 40), sane ? roll(p, 1000000)
                                                        : some_number(p));

    e.pitch = (uint8_t)roll(p, sane ? 128 : 256);
    e.velocity = (uint8_t)roll(p, sane ? 128 : 256);
    e.channel = (uint8_t)roll(p, sane ? 16 : 256);
    e.duration_ns = sane ? roll(p, 1000000) : some_number(p);
    e.number = sane ? 1 : (int32_t)some_number(p);
    e.value = sane ? 0 : some_float(p);
    e.mode = (uint8_t)roll(p, 20);
    e.what = some_more(p);
    e.data = some_more(p);
    return e;
}

static void say(struct play *p)
{
    struct luge_emotion emotion = some_emotion(p);
    struct luge_music_event events[3] = {some_music(p), some_music(p),
                                         some_music(p)};
    uint64_t merged[3] = {some_id(p), some_id(p), some_id(p)}, id;
    struct luge_say s = {
        .author = some_name(p), .type = some_more(p), .payload = some_bytes(p),
        .label = some_more(p), .description = some_more(p),
        .time_ns = some_number(p), .origin = roll(p, 4) ? 0 : some_id(p),
        .emotion = roll(p, 3) ? NULL : &emotion, .merged = merged,
        .merged_count = roll(p, 3) ? 0 : roll(p, 4), .events = events,
        .event_count = roll(p, 2) ? 0 : roll(p, 4)};
    int join = (int)roll(p, 6);

    if (roll(p, 4)) {
        if (DO(luge_say(p->txn, &p->convo, some_id(p), &s, &id))) keep(p, id);
    } else if (DO(luge_branch_merge(p->txn, &p->convo, some_id(p), some_id(p),
                                    join, &s, &id))) {
        keep(p, id);
    }
}

static void branch(struct play *p)
{
    struct luge_branch fork = {
        .name = some_name(p), .reason = (uint8_t)roll(p, 6),
        .probability = some_float(p), .from_emotion = some_emotion(p),
        .to_emotion = some_emotion(p), .description = some_more(p),
        .participants = some_more(p), .agents = some_more(p)};
    struct luge_evaluation e = {
        .agent = some_name(p), .score = some_float(p),
        .go_on = (uint8_t)roll(p, 3), .node = roll(p, 2) ? 0 : some_id(p),
        .text = some_more(p)};
    uint64_t id;

    switch (roll(p, 6)) {
    case 0: DO(luge_branch_prune(p->txn, &p->convo, some_id(p))); break;
    case 1:
        DO(luge_branch_merged(p->txn, &p->convo, some_id(p), some_id(p),
                              some_id(p)));
        break;
    case 2: DO(luge_branch_evaluate(p->txn, &p->convo, some_id(p), &e)); break;
    case 3:
        ASK(luge_branch_evaluation_after(p->txn, &p->convo, some_id(p),
                                         some_name(p), p->space, &e));
        break;
    default:
        if (DO(luge_branch_fork(p->txn, &p->convo, roll(p, 3) ? 0 : some_id(p),
                                &fork, &id)))
            keep(p, id);
    }
}

static void node(struct play *p)
{
    uint64_t id, common[2];
    struct luge_node n;
    luge_bytes label;
    size_t count;

    ASK(luge_node_labelled(p->txn, &p->convo, some_name(p), &id));
    ASK(luge_node_label_after(p->txn, &p->convo, some_name(p), p->space, &label,
                              &id));
    ASK(luge_node_child_after(p->txn, &p->convo, some_id(p), some_id(p), &id));
    ASK(luge_node_ancestor(p->txn, &p->convo, some_id(p), roll(p, 5), &id));
    ASK(luge_node_common(p->txn, &p->convo, some_id(p), some_id(p), common,
                         roll(p, 3), &count));
    if (!ASK(luge_node_get(p->txn, &p->convo, some_id(p), &n))) return;
    if (luge_emotion_check(&n.emotion))                 /* Y5 */
        batch_failed("a node: %s", luge_last_error()->text);
    for (uint32_t i = 0; i < n.parents; i++)
        if (luge_node_parent(&n, i) >= n.id)            /* Y3 */
            batch_failed("node %llu follows %llu", (unsigned long long)n.id,
                         (unsigned long long)luge_node_parent(&n, i));
}

static void walk(struct play *p)
{
    struct luge_walk_options o = {
        .kind = (int)roll(p, 6), .node = some_id(p),
        .without = roll(p, 2) ? 0 : some_id(p), .from_ns = some_number(p),
        .to_ns = some_number(p)};
    struct luge_score_options s = {
        .flags = roll(p, 4), .node = some_id(p),
        .without = roll(p, 2) ? 0 : some_id(p), .from_ns = some_number(p),
        .to_ns = some_number(p)};
    struct luge_music_event e;
    struct luge_music_time time;
    struct luge_context context;
    struct luge_node n;
    luge_score *score;
    luge_walk *walk;

    if (ASK(luge_walk_open(p->txn, &p->convo, &o, &walk))) {
        while (ASK(luge_walk_next(walk, &n))) continue;
        luge_walk_close(walk);
    }
    if (ASK(luge_score_open(p->txn, &p->convo, &s, &score))) {
        while (ASK(luge_score_next(score, &e, NULL)))
            if (luge_music_check(&e))                   /* Y5 */
                batch_failed("an event: %s", luge_last_error()->text);
        luge_score_close(score);
    }
    ASK(luge_context_of(p->txn, &p->convo, some_id(p), &context));
    ASK(luge_context_at(p->txn, &p->convo, some_id(p), some_number(p),
                        &context));
    ASK(luge_music_time_at(p->txn, &p->convo, some_id(p), some_number(p),
                           &time));
}

static void about(struct play *p)
{
    struct luge_conversation_about a = {
        .title = some_more(p), .metadata = some_more(p),
        .division = (uint16_t)some_number(p)};
    struct luge_author author = {.name = some_name(p), .kind = some_more(p),
                                 .metadata = some_more(p)};

    DO(luge_conversation_set(p->txn, &p->convo, &a));
    ASK(luge_conversation_get(p->txn, &p->convo, &a));
    DO(luge_author_set(p->txn, &p->convo, &author));
    ASK(luge_author_after(p->txn, &p->convo, some_name(p), p->space, &author));
}

/* ---------------------------------------------------------------- events -- */

static void append(struct play *p)
{
    struct luge_event list[40];
    struct luge_event_place last;
    size_t count = roll(p, 5) ? roll(p, 4) : COUNT_OF(list);

    for (size_t i = 0; i < count; i++)
        list[i] = (struct luge_event){
            .time_ns = some_number(p), .type = some_name(p),
            .payload = some_bytes(p), .correlation = some_more(p),
            .causation = some_more(p), .flags = roll(p, 5) ? 0 : roll(p, 3)};
    DO(luge_event_append(p->txn, &p->events, some_name(p),
                         roll(p, 3) ? LUGE_EVENT_ANY : roll(p, 4), list, count,
                         &last));
}

static void query(struct play *p)
{
    struct luge_event_query q = {
        .stream = some_more(p), .type = some_more(p),
        .position_from = roll(p, 2) ? 0 : some_number(p),
        .position_to = roll(p, 2) ? 0 : some_number(p),
        .version_from = roll(p, 4) ? 0 : some_number(p),
        .version_to = roll(p, 4) ? 0 : some_number(p),
        .time_from_ns = roll(p, 2) ? 0 : some_number(p),
        .time_to_ns = roll(p, 2) ? 0 : some_number(p), .flags = roll(p, 5)};
    struct luge_event_place last;
    luge_event_reader *reader;
    struct luge_event e;
    luge_bytes name;

    if (ASK(luge_event_open(p->txn, &p->events, &q, &reader))) {
        while (ASK(luge_event_next(reader, &e))) continue;
        luge_event_close(reader);
    }
    ASK(luge_event_get(p->txn, &p->events, some_number(p), &e));
    ASK(luge_event_last(p->txn, &p->events, some_name(p), &last));
    ASK(luge_event_stream_after(p->txn, &p->events, some_name(p), p->space,
                                &name));
    ASK(luge_event_type_after(p->txn, &p->events, some_name(p), p->space,
                              &name));
}

static void state(struct play *p)
{
    uint64_t at;
    luge_bytes bytes;

    DO(luge_event_state_put(p->txn, &p->events, some_name(p), some_number(p),
                            some_bytes(p)));
    ASK(luge_event_state_get(p->txn, &p->events, some_name(p), some_number(p),
                             &at, &bytes));
    DO(luge_event_state_forget(p->txn, &p->events, some_name(p),
                               some_number(p)));
    DO(luge_projection_reset(p->txn, &p->events, some_name(p),
                             some_number(p)));
    ASK(luge_projection_position(p->txn, &p->events, some_name(p), &at));
    ASK(luge_projection_after(p->txn, &p->events, some_name(p), p->space,
                              &bytes));
}

/* ----------------------------------------------------------------- tasks -- */

static uint64_t new_id(struct play *p)
{
    uint64_t id;

    return roll(p, 3) && !luge_txn_next_id(p->txn, &id) ? id : some_id(p);
}

static void publish(struct play *p)
{
    uint64_t depends[2] = {some_id(p), some_id(p)}, id;
    struct luge_task_new task = {
        .id = new_id(p), .queue = some_name(p), .payload = some_bytes(p),
        .priority = (int32_t)some_number(p), .attempts_max = roll(p, 3),
        .delay_ms = roll(p, 2) ? 0 : some_number(p),
        .backoff_ms = roll(p, 2) ? 0 : (uint32_t)some_number(p),
        .session = some_id(p), .depends = depends,
        .depends_count = roll(p, 3) ? 0 : roll(p, 3)};

    if (DO(luge_task_publish(p->txn, &p->tasks, &task, &id))) keep(p, id);
}

static void work(struct play *p)
{
    struct luge_task task;
    luge_bytes text = some_bytes(p);
    uint64_t id = some_id(p), lease = some_id(p);

    if (DO(luge_task_claim(p->txn, &p->tasks, some_name(p), some_id(p),
                           roll(p, 2) ? 1000 : some_number(p), &task)))
        keep(p, task.id);
    if (ASK(luge_task_get(p->txn, &p->tasks, id, &task))) lease = task.lease;
    switch (roll(p, 6)) {
    case 0:
        DO(luge_task_heartbeat(p->txn, &p->tasks, id, lease, some_number(p),
                               roll(p, 2) ? NULL : &text));
        break;
    case 1: DO(luge_task_complete(p->txn, &p->tasks, id, lease, text)); break;
    case 2:
        DO(luge_task_fail(p->txn, &p->tasks, id, lease, text,
                          (int)roll(p, 2)));
        break;
    case 3: DO(luge_task_release(p->txn, &p->tasks, id, lease)); break;
    case 4: DO(luge_task_cancel(p->txn, &p->tasks, id)); break;
    default: DO(luge_task_revive(p->txn, &p->tasks, id));
    }
}

static void tidy(struct play *p)
{
    struct luge_task task;
    uint64_t counts[8];
    size_t count;

    DO(luge_task_tick(p->txn, &p->tasks, roll(p, 9), &count));
    DO(luge_task_forget(p->txn, &p->tasks, some_number(p), roll(p, 5), &count));
    DO(luge_agent_reap(p->txn, &p->tasks, some_number(p), &count));
    DO(luge_agent_forget(p->txn, &p->tasks, some_number(p), roll(p, 3),
                         &count));
    DO(luge_session_forget(p->txn, &p->tasks, some_number(p), roll(p, 3),
                           &count));
    ASK(luge_task_after(p->txn, &p->tasks, (int)roll(p, 10), some_id(p),
                        &task));
    ASK(luge_task_counts(p->txn, &p->tasks, counts));
}

static void people(struct play *p)
{
    struct luge_agent agent = {
        .id = new_id(p), .session = some_id(p), .name = some_name(p),
        .role = some_more(p), .status = some_more(p), .meta = some_more(p)};
    struct luge_session session = {
        .id = new_id(p), .state = (int)roll(p, 8), .objective = some_bytes(p),
        .strategy = some_more(p), .meta = some_more(p)};
    luge_bytes text = some_bytes(p);
    uint64_t id;
    size_t count;

    if (DO(luge_agent_register(p->txn, &p->tasks, &agent, &id))) keep(p, id);
    DO(luge_agent_heartbeat(p->txn, &p->tasks, some_id(p),
                            roll(p, 2) ? NULL : &text));
    DO(luge_agent_end(p->txn, &p->tasks, some_id(p), &count));
    ASK(luge_agent_after(p->txn, &p->tasks, some_id(p), &agent));
    if (DO(luge_session_begin(p->txn, &p->tasks, &session, &id))) keep(p, id);
    DO(luge_session_set(p->txn, &p->tasks, some_id(p), (int)roll(p, 8),
                        roll(p, 2) ? NULL : &text));
    ASK(luge_session_after(p->txn, &p->tasks, some_id(p), &session));
}

/* ------------------------------------------------------------------ seed -- */

static void transaction(struct play *p)
{
    static void (*const acts[])(struct play *p) = {
        say, say, say, say, branch, branch, node, walk, about, append, append,
        append, query, state, publish, publish, work, work, tidy, people};
    static const unsigned kinds[] = {LUGE_READ, LUGE_WRITE, LUGE_TURN};

    p->spoiled = false;
    if (!ASK(luge_begin(p->db, kinds[roll(p, 3)] | LUGE_TXN_ASYNC, &p->txn)))
        return;
    for (int i = 0; i < CALLS && !p->spoiled; i++)
        acts[roll(p, COUNT_OF(acts))](p);
    if (p->spoiled || !roll(p, 4))
        luge_abort(p->txn);
    else
        ASK(luge_commit(p->txn));
    p->txn = NULL;
}

/* Y4, of one tree. */
static void show_all(struct play *p, luge_bytes name)
{
    luge_bytes key, value;
    luge_cursor *cursor;
    luge_tree tree;
    char *text;

    if (!ASK(luge_tree_open(p->txn, name, 0, &tree)) ||
        !ASK(luge_cursor_open(p->txn, tree, &cursor)))
        return;
    while (!luge_cursor_next(cursor, &key, &value)) {
        if (!ASK(luge_show(name, key, value, &text)))
            batch_failed("a record of %.*s cannot be shown: %s",
                         (int)name.size, (const char *)name.data,
                         luge_last_error()->text);
        luge_show_free(text);
    }
    luge_cursor_close(cursor);
}

static void judge(struct play *p)
{
    char last[LUGE_NAME_SIZE_MAX];
    luge_bytes name = {last, 0};
    luge_tree tree;

    if (!ASK(luge_begin(p->db, LUGE_READ, &p->txn))) return;
    while (!luge_tree_after(p->txn, name, &name, &tree)) {
        memcpy(last, name.data, name.size);
        name.data = last;
        if (memchr(name.data, '/', name.size)) show_all(p, name);
    }
    luge_abort(p->txn);
    p->txn = NULL;
    if (!ASK(luge_check(p->db, NULL, NULL))) batch_failed("luge_check");
}

static void begin(struct play *p)
{
    if (!ASK(luge_begin(p->db, LUGE_TURN | LUGE_TXN_ASYNC, &p->txn)) ||
        !ASK(luge_conversation_open(p->txn, luge_str("talk"), LUGE_TREE_CREATE,
                                    &p->convo)) ||
        !ASK(luge_events_open(p->txn, luge_str("events"), LUGE_TREE_CREATE,
                              &p->events)) ||
        !ASK(luge_tasks_open(p->txn, luge_str("tasks"), LUGE_TREE_CREATE,
                             &p->tasks)) ||
        !ASK(luge_commit(p->txn)))
        batch_failed("nothing can begin");
}

static void one(uint64_t seed, void *context)
{
    struct play *p = context;

    p->d = dice_of(seed, 0);
    p->id_count = 0;
    if (p->trace) fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    tree_remove(p->path);
    if (luge_open(p->path, NULL, &p->db)) die("no database");
    begin(p);
    for (int i = 0; i < TXNS; i++) transaction(p);
    judge(p);
    if (!ASK(luge_close(p->db))) batch_failed("it does not close");
}

int main(int argc, char **argv)
{
    struct batch_order order = batch_parse("fuzz_models", argc, argv);
    char *base = scratch_make(SCRATCH_FAST), path[600];
    struct play p = {.path = path, .trace = order.trace};

    snprintf(path, sizeof(path), "%s/db", base);
    for (size_t i = 0; i < ROOM; i++) p.room[i] = (char)('a' + i % 26);
    memcpy(p.room + JSON_AT, json, sizeof(json) - 1);
    batch_length(&order, 100, 500, 15000);
    int rc = batch_run(&order, "fuzz_models", one, &p, tallies);
    scratch_remove(base);
    return rc;
}
