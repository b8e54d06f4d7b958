/* test/test_conversation.c -- conversations against a stupid twin.
 *
 * The twin is an array of nodes with their parents and their events, and knows
 * no jumps, spans or contexts: every question is answered by walking.  Random
 * conversations grow by saying, forking, merging in all four ways and pruning;
 * everything that luge_conversation.h can be asked is asked of both.
 * Then, one by one: what each function must refuse, old records, costs.
 * Not here: MIDI and realize (test_music.c), imports (import.sh).
 */
#include "rig.h"
#include "luge_conversation.h"
#include "conversation.h"

enum { NODES_MAX = 900, PARENTS_MAX = 4, EVENTS_MAX = 64, BRANCHES_MAX = 60 };

struct sound { uint64_t time_ns, duration_ns; int kind, number; };

struct twin_node {
    uint64_t id, parent[PARENTS_MAX], branch, time_ns;
    unsigned parents, events;
    struct sound *event;
};

struct twin_branch { uint64_t id, head; int state; };

struct twin {
    struct dice dice;
    struct luge_conversation convo;
    struct twin_node nodes[NODES_MAX];
    size_t count;
    struct twin_branch branches[BRANCHES_MAX];
    size_t branch_count;
};

static luge_txn *writing(struct rig *r) { return begin(r, LUGE_WRITE); }

/* --------------------------------------------------------------- twin -- */

static struct twin_node *twin_at(struct twin *t, uint64_t id)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->nodes[i].id == id) return &t->nodes[i];
    fail_msg("the twin has no node %llu", (unsigned long long)id);
    return NULL;
}

/* From the root to ID; returns how many. */
static size_t twin_path(struct twin *t, uint64_t id, uint64_t *path)
{
    size_t count = 0;
    for (uint64_t at = id; at; at = twin_at(t, at)->parent[0])
        path[count++] = at;
    for (size_t i = 0; i < count / 2; i++) {
        uint64_t x = path[i];
        path[i] = path[count - 1 - i];
        path[count - 1 - i] = x;
    }
    return count;
}

static uint64_t twin_clock(struct twin *t, uint64_t id)
{
    uint64_t path[NODES_MAX], clock = 0;
    size_t count = id ? twin_path(t, id, path) : 0;
    for (size_t i = 0; i < count; i++) {
        struct twin_node *n = twin_at(t, path[i]);
        for (unsigned e = 0; e < n->events; e++)
            if (n->event[e].time_ns + n->event[e].duration_ns > clock)
                clock = n->event[e].time_ns + n->event[e].duration_ns;
    }
    return clock;
}

static uint64_t twin_fork_point(struct twin *t, uint64_t a, uint64_t b)
{
    uint64_t one[NODES_MAX], two[NODES_MAX], last = 0;
    size_t ones = twin_path(t, a, one), twos = twin_path(t, b, two);
    for (size_t i = 0; i < ones && i < twos && one[i] == two[i]; i++)
        last = one[i];
    return last;
}

/* seen[i]: whether nodes[i] is ID or an ancestor of it. */
static void twin_ancestors(struct twin *t, uint64_t id, bool *seen)
{
    memset(seen, 0, t->count);
    for (size_t i = t->count; i-- > 0;) {
        struct twin_node *n = &t->nodes[i];
        if (n->id == id) seen[i] = true;
        if (!seen[i]) continue;
        for (unsigned p = 0; p < n->parents; p++)
            seen[twin_at(t, n->parent[p]) - t->nodes] = true;
    }
}

static struct twin_node *twin_add(struct twin *t, uint64_t id, uint64_t branch,
                                  uint64_t parent)
{
    struct twin_node *n = &t->nodes[t->count++];
    assert_true(t->count <= NODES_MAX);
    *n = (struct twin_node){.id = id, .branch = branch};
    if (parent) n->parent[n->parents++] = parent;
    return n;
}

static void twin_sound(struct twin_node *n, struct sound sound)
{
    n->event = grab_more(n->event, (n->events + 1) * sizeof(sound));
    n->event[n->events++] = sound;
}

static void twin_free(struct twin *t)
{
    for (size_t i = 0; i < t->count; i++) free(t->nodes[i].event);
    free(t);
}

/* -------------------------------------------------------------- growing -- */

static struct luge_music_event music_of(struct sound s)
{
    struct luge_music_event e = luge_music_event_of(s.kind, s.time_ns);
    e.duration_ns = s.duration_ns;
    e.number = s.number;
    if (s.kind == LUGE_MUSIC_HARMONY) e.what = luge_str("Dm7");
    if (s.kind == LUGE_MUSIC_NOTE) e.pitch = 60;
    return e;
}

/* Mostly where the branch has come to, now and then anywhere. */
static struct sound sound_random(struct dice *d, uint64_t clock)
{
    static const int kinds[] = {LUGE_MUSIC_NOTE, LUGE_MUSIC_NOTE,
                                LUGE_MUSIC_NOTE, LUGE_MUSIC_TEMPO,
                                LUGE_MUSIC_METER, LUGE_MUSIC_KEY,
                                LUGE_MUSIC_HARMONY};
    struct sound s = {.kind = kinds[dice_below(d, COUNT_OF(kinds))]};
    s.time_ns = dice_chance(d, 85) ? clock + dice_below(d, 50)
                                   : dice_below(d, (uint32_t)clock + 50);
    s.number = 1 + (int)dice_below(d, 7);
    if (s.kind == LUGE_MUSIC_NOTE) s.duration_ns = dice_below(d, 40);
    return s;
}

static void grow_say(struct rig *r, struct twin *t, struct twin_branch *b)
{
    struct luge_music_event events[6];
    struct sound sounds[6];
    uint64_t merged[2], id;
    struct luge_say say = {.author = luge_str("amy"), .events = events,
                           .merged = merged};
    uint64_t clock = twin_clock(t, b->head);
    if (dice_chance(&t->dice, 60)) say.event_count = dice_below(&t->dice, 6);
    for (size_t i = 0; i < say.event_count; i++) {
        sounds[i] = sound_random(&t->dice, clock);
        events[i] = music_of(sounds[i]);
    }
    if (b->head && dice_chance(&t->dice, 15)) {
        uint64_t other = t->nodes[dice_below(&t->dice, (uint32_t)t->count)].id;
        if (other != b->head) merged[say.merged_count++] = other;
    }
    say.time_ns = 1000 + dice_below(&t->dice, 200);
    luge_txn *txn = writing(r);
    fine(luge_say(txn, &t->convo, b->id, &say, &id));
    fine(luge_commit(txn));
    struct twin_node *n = twin_add(t, id, b->id, b->head);
    n->time_ns = say.time_ns;
    for (size_t i = 0; i < say.event_count; i++) twin_sound(n, sounds[i]);
    for (size_t i = 0; i < say.merged_count; i++)
        n->parent[n->parents++] = merged[i];
    b->head = id;
}

static void grow_fork(struct rig *r, struct twin *t)
{
    struct luge_branch fork = {.reason = LUGE_REASON_REQUEST};
    uint64_t from = 0;
    if (t->branch_count == BRANCHES_MAX) return;
    if (t->count && dice_chance(&t->dice, 93))
        from = t->nodes[dice_below(&t->dice, (uint32_t)t->count)].id;
    luge_txn *txn = writing(r);
    struct twin_branch *b = &t->branches[t->branch_count++];
    *b = (struct twin_branch){.head = from};
    fine(luge_branch_fork(txn, &t->convo, from, &fork, &b->id));
    fine(luge_commit(txn));
}

/* What an interleaving merge must have made of node OLD behind HEAD. */
static void twin_copy(struct twin *t, uint64_t id, uint64_t branch,
                      uint64_t head, uint64_t old)
{
    struct twin_node *from = twin_at(t, old);
    uint64_t before = twin_clock(t, from->parent[0]);
    uint64_t here = twin_clock(t, head);
    for (unsigned i = 0; i < from->events; i++)
        if (from->event[i].time_ns < before) before = from->event[i].time_ns;
    struct twin_node *n = twin_add(t, id, branch, head);
    from = twin_at(t, old);
    n->time_ns = from->time_ns;
    for (unsigned i = 0; i < from->events; i++) {
        struct sound s = from->event[i];
        s.time_ns += here - before;
        twin_sound(n, s);
    }
}

/* The newest child of AT that is a copy of OLD. */
static uint64_t copy_of(luge_txn *txn, struct twin *t, uint64_t at,
                        uint64_t old)
{
    struct luge_node node;
    uint64_t last = 0, child = 0;
    while (!luge_node_child_after(txn, &t->convo, at, child, &child)) {
        fine(luge_node_get(txn, &t->convo, child, &node));
        if (node.origin == old) last = child;
    }
    return last;
}

/* The path to HEAD behind the last node that OTHER has, in whatever way. */
static size_t twin_news(struct twin *t, uint64_t head, uint64_t other,
                        uint64_t *path)
{
    bool seen[NODES_MAX] = {0};
    size_t count = twin_path(t, head, path), from = count;
    twin_ancestors(t, other, seen);
    while (from && !seen[twin_at(t, path[from - 1]) - t->nodes]) from--;
    memmove(path, path + from, (count - from) * sizeof *path);
    return count - from;
}

static uint64_t twin_interleave(luge_txn *txn, struct twin *t, uint64_t branch,
                                uint64_t point, uint64_t a, uint64_t b)
{
    uint64_t one[NODES_MAX], two[NODES_MAX], head = point;
    size_t ones = twin_path(t, a, one), at = 0;
    size_t twos = twin_news(t, b, a, two);
    while (at < ones && one[at] != point) at++;
    ones -= at + 1;
    for (size_t i = 0; i < ones || i < twos; i++) {
        for (int side = 0; side < 2; side++) {
            uint64_t *path = side ? two : one + at + 1;
            if (i >= (side ? twos : ones)) continue;
            uint64_t id = copy_of(txn, t, head, path[i]);
            twin_copy(t, id, branch, head, path[i]);
            head = id;
        }
    }
    return head;
}

static void twin_merge(struct rig *r, struct twin *t, struct twin_branch *from,
                       struct twin_branch *into, int join, uint64_t id)
{
    uint64_t path[NODES_MAX], heads[] = {into->head, from->head};
    uint64_t point = twin_fork_point(t, heads[0], heads[1]), first = heads[0];
    luge_txn *txn = begin(r, LUGE_READ);
    if (join == LUGE_JOIN_REPLACE) first = heads[1];
    if (join == LUGE_JOIN_INTERLEAVE)
        first = twin_interleave(txn, t, into->id, point, heads[0], heads[1]);
    struct twin_node *n = twin_add(t, id, into->id, first);
    n->time_ns = 77;
    for (int i = 0; i < 2; i++)
        if (heads[i] != first) n->parent[n->parents++] = heads[i];
    if (join == LUGE_JOIN_OVERLAY) {
        size_t count = twin_news(t, heads[1], heads[0], path);
        for (size_t at = 0; at < count; at++)
            for (unsigned e = 0; e < twin_at(t, path[at])->events; e++)
                twin_sound(n, twin_at(t, path[at])->event[e]);
    }
    into->head = id;
    from->state = LUGE_BRANCH_MERGED;
    luge_abort(txn);
}

static struct twin_branch *branch_random(struct twin *t)
{
    return &t->branches[dice_below(&t->dice, (uint32_t)t->branch_count)];
}

static void grow_merge(struct rig *r, struct twin *t)
{
    struct twin_branch *from = branch_random(t), *into = branch_random(t);
    struct luge_say say = {.author = luge_str("bo"), .time_ns = 77};
    int join = 1 + (int)dice_below(&t->dice, 4), wanted = 0;
    bool seen[NODES_MAX] = {0};
    uint64_t id;
    if (into->head) twin_ancestors(t, into->head, seen);
    if (from == into || from->state || into->state)
        wanted = LUGE_INVALID;
    else if (!from->head || !into->head)
        wanted = LUGE_NOTFOUND;
    else if (seen[twin_at(t, from->head) - t->nodes])
        wanted = LUGE_EXISTS;
    else if (!twin_fork_point(t, from->head, into->head))
        wanted = LUGE_NOTFOUND;
    if (!wanted && t->count > NODES_MAX / 2) return;
    luge_txn *txn = writing(r);
    answers(wanted, luge_branch_merge(txn, &t->convo, from->id, into->id, join,
                                      &say, &id));
    fine(luge_commit(txn));
    if (!wanted) twin_merge(r, t, from, into, join, id);
}

static void grow(struct rig *r, struct twin *t)
{
    struct twin_branch *b;
    uint32_t what = dice_below(&t->dice, 100);
    if (!t->branch_count || what < 12) {
        grow_fork(r, t);
        return;
    }
    b = branch_random(t);
    if (what < 80 && !b->state) grow_say(r, t, b);
    if (what >= 80 && what < 95) grow_merge(r, t);
    if (what == 99 && !b->state) {
        luge_txn *txn = writing(r);
        fine(luge_branch_prune(txn, &t->convo, b->id));
        fine(luge_commit(txn));
        b->state = LUGE_BRANCH_PRUNED;
    }
}

/* ------------------------------------------------------------ comparing -- */

static void same_nodes(luge_txn *txn, struct twin *t)
{
    struct luge_node node;
    for (size_t i = 0; i < t->count; i++) {
        struct twin_node *n = &t->nodes[i];
        uint64_t path[NODES_MAX], ancestor;
        size_t count = twin_path(t, n->id, path);
        uint32_t depth = dice_below(&t->dice, (uint32_t)count);
        fine(luge_node_get(txn, &t->convo, n->id, &node));
        assert_int_equal(node.branch, n->branch);
        assert_int_equal(node.depth, count - 1);
        assert_int_equal(node.parents, n->parents);
        assert_int_equal(node.events, n->events);
        assert_int_equal(node.time_ns, n->time_ns);
        assert_int_equal(node.clock_ns, twin_clock(t, n->id));
        for (unsigned p = 0; p < n->parents; p++)
            assert_int_equal(luge_node_parent(&node, p), n->parent[p]);
        fine(luge_node_ancestor(txn, &t->convo, n->id, depth, &ancestor));
        assert_int_equal(ancestor, path[depth]);
    }
}

static void same_children(luge_txn *txn, struct twin *t)
{
    for (size_t i = 0; i <= t->count; i++) {
        uint64_t of = i ? t->nodes[i - 1].id : 0, last = 0, child;
        for (size_t j = 0; j < t->count; j++) {
            struct twin_node *n = &t->nodes[j];
            bool is_child = !of && !n->parents;
            for (unsigned p = 0; p < n->parents; p++)
                if (n->parent[p] == of) is_child = true;
            if (!is_child) continue;
            fine(luge_node_child_after(txn, &t->convo, of, last, &child));
            assert_int_equal(child, n->id);
            last = child;
        }
        answers(LUGE_NOTFOUND,
                luge_node_child_after(txn, &t->convo, of, last, &child));
    }
}

static uint64_t node_random(struct twin *t)
{
    return t->nodes[dice_below(&t->dice, (uint32_t)t->count)].id;
}

static void same_common(luge_txn *txn, struct twin *t)
{
    bool one[NODES_MAX], two[NODES_MAX], above[NODES_MAX];
    uint64_t a = node_random(t), b = node_random(t), common[64];
    size_t count, at = 0;
    twin_ancestors(t, a, one);
    twin_ancestors(t, b, two);
    for (size_t i = 0; i < t->count; i++) one[i] = one[i] && two[i];
    int rc = luge_node_common(txn, &t->convo, a, b, common, 64, &count);
    for (size_t i = t->count; i-- > 0;) {
        bool best = one[i];
        for (size_t j = i + 1; best && j < t->count; j++) {
            if (!one[j]) continue;
            twin_ancestors(t, t->nodes[j].id, above);
            best = !above[i];
        }
        if (!best) continue;
        assert_true(at < count);
        assert_int_equal(common[at++], t->nodes[i].id);
    }
    answers(at ? 0 : LUGE_NOTFOUND, rc);
    assert_int_equal(at, count);
}

/* The walk gives just what WANTED says, in that order. */
static void same_walk(luge_txn *txn, struct twin *t,
                      struct luge_walk_options options, const uint64_t *wanted,
                      size_t count)
{
    luge_walk *walk;
    struct luge_node node;
    fine(luge_walk_open(txn, &t->convo, &options, &walk));
    for (size_t i = 0; i < count; i++) {
        fine(luge_walk_next(walk, &node));
        assert_int_equal(node.id, wanted[i]);
    }
    answers(LUGE_NOTFOUND, luge_walk_next(walk, &node));
    luge_walk_close(walk);
}

static size_t twin_subtree(struct twin *t, uint64_t root, uint64_t *to)
{
    size_t count = 0;
    if (root) to[count++] = root;
    for (size_t i = 0; i < t->count; i++)
        if (t->nodes[i].parent[0] == root)
            count += twin_subtree(t, t->nodes[i].id, to + count);
    return count;
}

static int by_number(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

static void same_walks(luge_txn *txn, struct twin *t)
{
    uint64_t list[NODES_MAX], a = node_random(t), b = node_random(t);
    uint64_t point = twin_fork_point(t, a, b), from = 1000, to = 1100;
    bool one[NODES_MAX], two[NODES_MAX];
    size_t count = twin_path(t, a, list), at = 0, n = 0;
    same_walk(txn, t, (struct luge_walk_options){LUGE_WALK_PATH, a, 0, 0, 0},
              list, count);
    while (point && list[at++] != point) continue;
    same_walk(txn, t, (struct luge_walk_options){LUGE_WALK_PATH, a, b, 0, 0},
              list + at, count - at);
    twin_ancestors(t, a, one);
    twin_ancestors(t, b, two);
    for (size_t i = t->count; i-- > 0;)
        if (one[i]) list[n++] = t->nodes[i].id;
    same_walk(txn, t,
              (struct luge_walk_options){LUGE_WALK_ANCESTORS, a, 0, 0, 0},
              list, n);
    n = 0;
    for (size_t i = t->count; i-- > 0;)
        if (one[i] && !two[i]) list[n++] = t->nodes[i].id;
    same_walk(txn, t,
              (struct luge_walk_options){LUGE_WALK_ANCESTORS, a, b, 0, 0},
              list, n);
    a = dice_chance(&t->dice, 30) ? 0 : a;
    n = twin_subtree(t, a, list);
    same_walk(txn, t, (struct luge_walk_options){LUGE_WALK_SUBTREE, a, 0, 0, 0},
              list, n);
    n = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->nodes[i].time_ns >= from && t->nodes[i].time_ns < to)
            list[n++] = t->nodes[i].time_ns << 32 | t->nodes[i].id;
    qsort(list, n, sizeof(*list), by_number);
    for (size_t i = 0; i < n; i++) list[i] &= UINT32_MAX;
    same_walk(txn, t,
              (struct luge_walk_options){LUGE_WALK_TIMES, 0, 0, from, to}, list,
              n);
}

/* ---------------------------------------------------------------- music -- */

struct heard { uint64_t node; struct sound sound; size_t order; };

static int by_time(const void *left, const void *right)
{
    const struct heard *a = left, *b = right;
    if (a->sound.time_ns != b->sound.time_ns)
        return a->sound.time_ns < b->sound.time_ns ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* All sounds on the path to NODE but those up to WITHOUT; for free(). */
static struct heard *twin_score(struct twin *t, uint64_t node, uint64_t without,
                                uint64_t from, uint64_t to, size_t *count)
{
    uint64_t path[NODES_MAX];
    uint64_t point = without ? twin_fork_point(t, node, without) : 0;
    size_t nodes = twin_path(t, node, path), at = 0;
    struct heard *list = grab(1);
    *count = 0;
    while (point && path[at++] != point) continue;
    for (; at < nodes; at++) {
        struct twin_node *n = twin_at(t, path[at]);
        for (unsigned e = 0; e < n->events; e++) {
            struct sound s = n->event[e];
            if (s.time_ns < from || (to && s.time_ns >= to)) continue;
            list = grab_more(list, (*count + 1) * sizeof(*list));
            list[*count] = (struct heard){n->id, s, *count};
            ++*count;
        }
    }
    return list;
}

static void same_score(luge_txn *txn, struct twin *t)
{
    struct luge_score_options o = {.node = node_random(t)};
    struct luge_music_event e;
    luge_score *score;
    uint64_t node;
    size_t count;
    if (dice_chance(&t->dice, 40)) o.without = node_random(t);
    if (dice_chance(&t->dice, 60)) {
        o.from_ns = dice_below(&t->dice, 3000);
        o.to_ns = o.from_ns + dice_below(&t->dice, 300);
    }
    if (dice_chance(&t->dice, 50)) o.flags = LUGE_SCORE_BY_TIME;
    struct heard *list = twin_score(t, o.node, o.without, o.from_ns, o.to_ns,
                                    &count);
    if (o.flags) qsort(list, count, sizeof(*list), by_time);
    fine(luge_score_open(txn, &t->convo, &o, &score));
    for (size_t i = 0; i < count; i++) {
        fine(luge_score_next(score, &e, &node));
        assert_int_equal(node, list[i].node);
        assert_int_equal(e.time_ns, list[i].sound.time_ns);
        assert_int_equal(e.duration_ns, list[i].sound.duration_ns);
        assert_int_equal(e.kind, list[i].sound.kind);
        assert_int_equal(e.number, list[i].sound.number);
    }
    answers(LUGE_NOTFOUND, luge_score_next(score, &e, &node));
    luge_score_close(score);
    free(list);
}

/* The last one of KIND by time, and of the same time by place; or NULL. */
static const struct sound *last_of(const struct heard *list, size_t count,
                                   int kind)
{
    const struct sound *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (list[i].sound.kind == kind &&
            (!found || list[i].sound.time_ns >= found->time_ns))
            found = &list[i].sound;
    return found;
}

static void same_context(const struct luge_context *c, struct heard *list,
                         size_t count)
{
    const struct sound *tempo = last_of(list, count, LUGE_MUSIC_TEMPO);
    const struct sound *key = last_of(list, count, LUGE_MUSIC_KEY);
    const struct sound *meter = last_of(list, count, LUGE_MUSIC_METER);
    size_t chords = 0;
    assert_int_equal(c->tempo_us, tempo ? tempo->number : 500000);
    assert_int_equal(c->tempo_at_ns, tempo ? tempo->time_ns : 0);
    assert_int_equal(c->key_sharps, key ? key->number : 0);
    assert_int_equal(c->meter_beats, meter ? meter->number : 4);
    qsort(list, count, sizeof(*list), by_time);
    for (size_t i = count; i-- > 0 && chords < LUGE_CHORDS_MAX;) {
        if (list[i].sound.kind != LUGE_MUSIC_HARMONY) continue;
        chords++;
        assert_true(chords <= c->chords);
        assert_int_equal(c->chord[c->chords - chords].time_ns,
                         list[i].sound.time_ns);
    }
    assert_int_equal(chords, c->chords);
}

static void same_contexts(luge_txn *txn, struct twin *t)
{
    uint64_t node = node_random(t), time = dice_below(&t->dice, 3000);
    struct luge_context c;
    size_t count;
    fine(luge_context_of(txn, &t->convo, node, &c));
    struct heard *list = twin_score(t, node, 0, 0, 0, &count);
    same_context(&c, list, count);
    free(list);
    fine(luge_context_at(txn, &t->convo, node, time, &c));
    list = twin_score(t, node, 0, 0, time + 1, &count);
    same_context(&c, list, count);
    free(list);
}

static void same_branches(luge_txn *txn, struct twin *t)
{
    struct luge_conversation_about about;
    struct luge_branch b = {0};
    for (size_t i = 0; i < t->branch_count; i++) {
        fine(luge_branch_after(txn, &t->convo, b.id, &b));
        assert_int_equal(b.id, t->branches[i].id);
        assert_int_equal(b.head, t->branches[i].head);
        assert_int_equal(b.state, t->branches[i].state);
    }
    answers(LUGE_NOTFOUND, luge_branch_after(txn, &t->convo, b.id, &b));
    fine(luge_conversation_get(txn, &t->convo, &about));
    assert_int_equal(about.nodes, t->count);
    assert_int_equal(about.branches, t->branch_count);
}

static void same(struct rig *r, struct twin *t)
{
    luge_txn *txn = begin(r, LUGE_READ);
    same_branches(txn, t);
    same_nodes(txn, t);
    same_children(txn, t);
    for (int i = 0; i < 30 && t->count; i++) {
        same_common(txn, t);
        same_walks(txn, t);
        same_score(txn, t);
        same_contexts(txn, t);
    }
    luge_abort(txn);
    fine(luge_check(r->db, NULL, NULL));
}

static struct twin *twin_make(struct rig *r, uint64_t seed)
{
    struct twin *t = grab(sizeof(*t));
    char path[32];
    *t = (struct twin){.dice = dice_of(seed, 5)};
    snprintf(path, sizeof(path), "songs/%llu", (unsigned long long)seed);
    luge_txn *txn = writing(r);
    fine(luge_conversation_open(txn, luge_str(path), LUGE_TREE_CREATE,
                                &t->convo));
    fine(luge_commit(txn));
    return t;
}

static void random_conversations(void **state)
{
    struct rig *r = *state;
    const char *length = getenv("LUGE_TEST");
    uint64_t seeds = length && !strcmp(length, "long")    ? 1000
                     : length && !strcmp(length, "short") ? 5
                                                          : 40;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct twin *t = twin_make(r, seed);
        print_message("seed %llu\n", (unsigned long long)seed);
        for (int step = 0; step < 250 && t->count < NODES_MAX / 2; step++) {
            grow(r, t);
            if (step % 50 == 0) same(r, t);
        }
        if (seed % 2) rig_reopen(r);
        same(r, t);
        twin_free(t);
    }
}

/* ---------------------------------------------------------- one by one -- */

struct scene {
    luge_txn *txn;
    struct luge_conversation convo;
    uint64_t main, root;
};

/* A transaction in which a conversation has a branch and a node. */
static struct scene scene_begin(struct rig *r)
{
    struct scene s = {.txn = writing(r)};
    struct luge_branch main = {.name = luge_str("main"),
                               .reason = LUGE_REASON_REQUEST,
                               .description = luge_str("Initial branch"),
                               .participants = luge_str("amy\nclaude")};
    struct luge_say say = {.author = luge_str("amy"),
                           .payload = luge_str("hello")};
    fine(luge_conversation_open(s.txn, luge_str("talk"), LUGE_TREE_CREATE,
                                &s.convo));
    fine(luge_branch_fork(s.txn, &s.convo, 0, &main, &s.main));
    fine(luge_say(s.txn, &s.convo, s.main, &say, &s.root));
    return s;
}

static void forks_remember_why(void **state)
{
    struct scene s = scene_begin(*state);
    struct luge_branch b, fork = {
        .name = luge_str("sadder"), .reason = LUGE_REASON_DIVERGENCE,
        .from_emotion = {0.5f, 0.5f, 0}, .to_emotion = {-0.5f, 0.25f, 1},
        .description = luge_str("what if"), .probability = 0.25f,
        .agents = luge_str("amy"), .participants = luge_str("amy\nbo")};
    uint64_t id, found;
    fine(luge_branch_fork(s.txn, &s.convo, s.root, &fork, &id));
    answers(LUGE_EXISTS, luge_branch_fork(s.txn, &s.convo, s.root, &fork,
                                          &found));
    fine(luge_branch_named(s.txn, &s.convo, luge_str("sadder"), &found));
    assert_int_equal(found, id);
    fine(luge_branch_get(s.txn, &s.convo, id, &b));
    assert_int_equal(b.base, s.root);
    assert_int_equal(b.head, s.root);
    assert_int_equal(b.parent, s.main);
    assert_int_equal(b.reason, LUGE_REASON_DIVERGENCE);
    assert_true(b.to_emotion.agency == 1 && b.probability == 0.25f);
    assert_true(is(b.description, "what if") && is(b.agents, "amy"));
    assert_true(is(b.participants, "amy\nbo") && is(b.name, "sadder"));
    fork.name = luge_bytes_of(NULL, 0);
    fine(luge_branch_fork(s.txn, &s.convo, s.root, &fork, &id));
    fine(luge_branch_get(s.txn, &s.convo, id, &b));
    char name[32];
    snprintf(name, sizeof(name), "branch-%llu", (unsigned long long)id);
    assert_true(is(b.name, name));
    fork.to_emotion.arousal = -0.1f;
    answers(LUGE_INVALID, luge_branch_fork(s.txn, &s.convo, s.root, &fork,
                                           &id));
    answers(LUGE_NOTFOUND, luge_branch_fork(s.txn, &s.convo, UINT64_MAX,
                                            &(struct luge_branch){0}, &id));
    luge_abort(s.txn);
}

static void what_cannot_be_said_is_refused(void **state)
{
    struct scene s = scene_begin(*state);
    struct luge_music_event e = luge_music_event_of(LUGE_MUSIC_NOTE, 5);
    struct luge_emotion wild = {2, 0, 0};
    struct luge_say good = {.author = luge_str("amy"), .label = luge_str("x")};
    struct luge_say say = good;
    uint64_t id, twice[] = {s.root, s.root}, none[] = {UINT64_MAX};
    fine(luge_say(s.txn, &s.convo, s.main, &say, &id));
    answers(LUGE_EXISTS, luge_say(s.txn, &s.convo, s.main, &say, &id));
    answers(LUGE_NOTFOUND, luge_say(s.txn, &s.convo, 12345, &say, &id));
    say.label = luge_bytes_of(NULL, 0);
    say.author = luge_bytes_of(NULL, 0);
    answers(LUGE_INVALID, luge_say(s.txn, &s.convo, s.main, &say, &id));
    say.author = luge_str("two\nlines");
    answers(LUGE_INVALID, luge_say(s.txn, &s.convo, s.main, &say, &id));
    say.author = luge_str("caf\xe9");
    answers(LUGE_INVALID, luge_say(s.txn, &s.convo, s.main, &say, &id));
    say.author = luge_str("amy");
    say.emotion = &wild;
    answers(LUGE_INVALID, luge_say(s.txn, &s.convo, s.main, &say, &id));
    say.emotion = NULL;
    say.merged = twice;
    say.merged_count = 2;
    answers(LUGE_INVALID, luge_say(s.txn, &s.convo, s.main, &say, &id));
    say.merged = none;
    say.merged_count = 1;
    answers(LUGE_NOTFOUND, luge_say(s.txn, &s.convo, s.main, &say, &id));
    say.merged_count = LUGE_PARENTS_MAX;
    answers(LUGE_LIMIT, luge_say(s.txn, &s.convo, s.main, &say, &id));
    say.merged_count = 0;
    say.payload = luge_bytes_of("", (size_t)LUGE_PAYLOAD_SIZE_MAX + 1);
    answers(LUGE_TOOBIG, luge_say(s.txn, &s.convo, s.main, &say, &id));
    say.payload = luge_str("\xff\0any");
    e.pitch = 128;
    say.events = &e;
    say.event_count = 1;
    answers(LUGE_INVALID, luge_say(s.txn, &s.convo, s.main, &say, &id));
    e.pitch = 1;
    fine(luge_say(s.txn, &s.convo, s.main, &say, &id));
    luge_score *score;
    struct luge_score_options all = {.flags = 1 << 1, .node = id};
    answers(LUGE_INVALID, luge_score_open(s.txn, &s.convo, &all, &score));
    struct luge_conversation_about about = {.division = 0x8000};
    answers(LUGE_INVALID, luge_conversation_set(s.txn, &s.convo, &about));
    about.division = 0xe728;
    fine(luge_conversation_set(s.txn, &s.convo, &about));
    fine(luge_branch_prune(s.txn, &s.convo, s.main));
    answers(LUGE_INVALID, luge_say(s.txn, &s.convo, s.main, &say, &id));
    assert_string_equal(luge_last_error()->text,
                        "branch 'main' is not active: it was pruned");
    answers(LUGE_INVALID, luge_branch_prune(s.txn, &s.convo, s.main));
    luge_abort(s.txn);
}

static void agents_and_opinions(void **state)
{
    struct scene s = scene_begin(*state);
    struct luge_author agent = {.name = luge_str("bo"),
                               .kind = luge_str("model"),
                               .metadata = luge_str("{\"v\":1}")};
    struct luge_evaluation e = {.agent = luge_str("bo"), .score = 0.75f,
                                .go_on = 1, .text = luge_str("lovely")};
    char space[LUGE_CONVERSATION_NAME_SIZE_MAX];
    fine(luge_author_set(s.txn, &s.convo, &agent));
    fine(luge_author_after(s.txn, &s.convo, luge_str(""), space, &agent));
    assert_true(is(agent.name, "amy") && agent.created_ns);
    fine(luge_author_after(s.txn, &s.convo, agent.name, space, &agent));
    assert_true(is(agent.name, "bo") && is(agent.kind, "model"));
    answers(LUGE_NOTFOUND,
            luge_author_after(s.txn, &s.convo, agent.name, space, &agent));
    answers(LUGE_NOTFOUND,
            luge_author_get(s.txn, &s.convo, luge_str("cy"), &agent));
    fine(luge_branch_evaluate(s.txn, &s.convo, s.main, &e));
    e.agent = luge_str("cy");
    e.score = -1;
    fine(luge_branch_evaluate(s.txn, &s.convo, s.main, &e));
    fine(luge_author_get(s.txn, &s.convo, luge_str("cy"), &agent));
    fine(luge_branch_evaluation_after(s.txn, &s.convo, s.main, luge_str(""),
                                      space, &e));
    assert_true(is(e.agent, "bo") && e.score == 0.75f && e.node == s.root);
    fine(luge_branch_evaluation_after(s.txn, &s.convo, s.main, e.agent, space,
                                      &e));
    assert_true(is(e.agent, "cy") && is(e.text, "lovely"));
    answers(LUGE_NOTFOUND,
            luge_branch_evaluation_after(s.txn, &s.convo, s.main, e.agent,
                                         space, &e));
    answers(LUGE_NOTFOUND, luge_branch_evaluate(s.txn, &s.convo, 99999, &e));
    luge_abort(s.txn);
}

static void conversations_are_found_and_dropped(void **state)
{
    struct rig *r = *state;
    static const char *const paths[] = {"a/b", "a", "b/conversation"};
    struct luge_conversation convo;
    luge_bytes path = luge_str("");
    luge_txn *txn = writing(r);
    char last[64];
    answers(LUGE_NOTFOUND,
            luge_conversation_open(txn, luge_str("a"), 0, &convo));
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        fine(luge_conversation_open(txn, luge_str(paths[i]), LUGE_TREE_CREATE,
                                    &convo));
    tree_make(txn, "a/other");
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        fine(luge_conversation_after(txn, path, &path));
        assert_true(is(path, paths[i]));
        memcpy(last, path.data, path.size);
        path.data = last;
    }
    answers(LUGE_NOTFOUND, luge_conversation_after(txn, path, &path));
    fine(luge_conversation_open(txn, luge_str("a"), 0, &convo));
    fine(luge_conversation_drop(txn, &convo));
    answers(LUGE_NOTFOUND,
            luge_conversation_open(txn, luge_str("a"), 0, &convo));
    answers(LUGE_INVALID,
            luge_conversation_open(txn, luge_str(""), 0, &convo));
    luge_abort(txn);
}

static void bars_and_beats(void **state)
{
    struct scene s = scene_begin(*state);
    struct luge_music_event e[4];
    struct luge_say say = {.author = luge_str("amy"), .events = e,
                           .event_count = 4};
    struct luge_music_time at;
    uint64_t node, second = 1000000000;
    e[0] = luge_music_event_of(LUGE_MUSIC_METER, 0);
    e[0].number = 3;            /* 3/4: a bar is 1.5 s at the usual tempo */
    e[0].mode = 2;
    e[1] = luge_music_event_of(LUGE_MUSIC_TEMPO, 3 * second);
    e[1].number = 1000000;      /* then 3 s */
    e[2] = luge_music_event_of(LUGE_MUSIC_METER, 9 * second);
    e[2].number = 6;            /* 6/8: an eighth is half a second */
    e[2].mode = 3;
    e[3] = luge_music_event_of(LUGE_MUSIC_NOTE, 30 * second);
    fine(luge_say(s.txn, &s.convo, s.main, &say, &node));
    static const struct { uint64_t ms; struct luge_music_time at; } cases[] = {
        {0, {1, 1, 0}}, {500, {1, 2, 0}}, {1499, {1, 3, 998}},
        {1500, {2, 1, 0}}, {3000, {3, 1, 0}}, {4250, {3, 2, 250}},
        {6000, {4, 1, 0}}, {9000, {5, 1, 0}}, {9500, {5, 2, 0}},
        {12000, {6, 1, 0}}, {60000, {22, 1, 0}}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fine(luge_music_time_at(s.txn, &s.convo, node, cases[i].ms * 1000000,
                                &at));
        assert_int_equal(at.bar, cases[i].at.bar);
        assert_int_equal(at.beat, cases[i].at.beat);
        assert_int_equal(at.tick, cases[i].at.tick);
    }
    luge_abort(s.txn);
}

static void emotion_is_that_of_the_node(void **state)
{
    struct scene s = scene_begin(*state);
    struct luge_music_event e = luge_music_event_of(LUGE_MUSIC_NOTE, 100);
    struct luge_emotion glad = {0.75f, 1, -0.5f};
    struct luge_say say = {.author = luge_str("amy"), .emotion = &glad,
                           .events = &e, .event_count = 1};
    struct luge_context c;
    uint64_t node, next;
    fine(luge_context_of(s.txn, &s.convo, s.root, &c));
    assert_true(c.emotion.arousal == 0.5f && c.emotion.valence == 0);
    fine(luge_say(s.txn, &s.convo, s.main, &say, &node));
    say.emotion = NULL;
    e.time_ns = 200;
    fine(luge_say(s.txn, &s.convo, s.main, &say, &next));
    fine(luge_context_of(s.txn, &s.convo, next, &c));
    assert_true(c.emotion.valence == 0.75f && c.emotion.agency == -0.5f);
    fine(luge_context_at(s.txn, &s.convo, next, 99, &c));
    assert_true(c.emotion.valence == 0);
    fine(luge_context_at(s.txn, &s.convo, next, 100, &c));
    assert_true(c.emotion.valence == 0.75f);
    luge_abort(s.txn);
}

/* Jumps lead where the law of their depth says; costs are what the head of
 * luge_conversation.h claims. */
static void jumps_follow_their_law(void **state)
{
    uint32_t depth[5000];
    (void)state;
    assert_int_equal(convo_jump_depth(0), 0);
    depth[0] = 0;
    for (uint32_t d = 1; d < COUNT_OF(depth); d++) {
        uint32_t parent = d - 1, over = depth[parent];
        depth[d] = parent - over == over - depth[over] && parent
                       ? depth[over] : parent;
        assert_int_equal(convo_jump_depth(d), depth[d]);
    }
    assert_true(convo_jump_depth(UINT32_MAX) < UINT32_MAX);
}

/* ------------------------------------------------------------- damage -- */

/* Records of any bytes give an answer, and walks come to an end. */
static void damaged_records_are_corrupt(void **state)
{
    struct rig *r = *state;
    struct scene s = scene_begin(r);
    struct dice d = dice_of(7, 7);
    struct luge_say say = {.author = luge_str("amy")};
    struct luge_node node;
    struct luge_context c;
    luge_walk *walk;
    uint64_t ids[40], common;
    size_t count;
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        fine(luge_say(s.txn, &s.convo, s.main, &say, &ids[i]));
    for (int round = 0; round < 400; round++) {
        uint32_t savepoint;
        unsigned char bytes[400];
        luge_bytes raw;
        struct tuple key;
        uint64_t id = ids[dice_below(&d, COUNT_OF(ids))];
        fine(luge_savepoint(s.txn, &savepoint));
        convo_key(&key, id);
        fine(luge_get(s.txn, s.convo.nodes, tuple_key(&key), &raw));
        assert_true(raw.size <= sizeof(bytes));
        memcpy(bytes, raw.data, raw.size);
        size_t size = raw.size;
        for (uint32_t n = 1 + dice_below(&d, 4); n; n--)
            bytes[dice_below(&d, (uint32_t)size)] =
                (unsigned char)dice_next(&d);
        if (dice_chance(&d, 20)) size = dice_below(&d, (uint32_t)size);
        fine(luge_put(s.txn, s.convo.nodes, tuple_key(&key),
                      luge_bytes_of(bytes, size)));
        for (int kind = LUGE_WALK_PATH; kind <= LUGE_WALK_SUBTREE; kind++) {
            struct luge_walk_options o = {kind, ids[39], 0, 0, 0};
            if (kind == LUGE_WALK_SUBTREE) o.node = 0;
            if (luge_walk_open(s.txn, &s.convo, &o, &walk)) continue;
            for (count = 0; !luge_walk_next(walk, &node); count++)
                assert_true(count < 1000);
            luge_walk_close(walk);
        }
        luge_node_common(s.txn, &s.convo, ids[39], ids[20], &common, 1, &count);
        luge_context_of(s.txn, &s.convo, id, &c);
        luge_context_at(s.txn, &s.convo, ids[39], 5, &c);
        fine(luge_rollback(s.txn, savepoint));
    }
    luge_abort(s.txn);
}

/* --------------------------------------------------------- old records -- */

static luge_bytes unhex(const char *hex, unsigned char *to)
{
    size_t size = 0;
    if (*hex == '-') return luge_bytes_of("", 0);
    for (; hex[0]; hex += 2) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        to[size++] = (unsigned char)byte;
    }
    return luge_bytes_of(to, size);
}

/* Every pair of test/data/conversation-1.txt, which luge 0.1.0 wrote: the
 * tree's name, the key, the value. */
static void load_golden(luge_txn *txn)
{
    static char name[600], key[4000], value[8000];
    static unsigned char raw[2][4000];
    char path[1000];
    const char *source = getenv("LUGE_SOURCE");
    snprintf(path, sizeof(path), "%s/test/data/conversation-1.txt",
             source ? source : "..");
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("cannot read %s", path);
    while (fscanf(file, "%599s %3999s %7999s", name, key, value) == 3)
        fine(luge_put(txn, tree_make(txn, name), unhex(key, raw[0]),
                      unhex(value, raw[1])));
    assert_true(feof(file));
    fclose(file);
    tree_make(txn, "m/g/evaluations");      /* nothing was in them */
    tree_make(txn, "c/contexts");
}

/* Numbers go on above those that a directory of many openings has. */
static void skip_numbers(struct rig *r, int openings)
{
    for (int i = 0; i < openings; i++) {
        uint64_t skipped;
        fine(luge_next_id(r->db, &skipped));
        rig_reopen(r);
    }
}

static void old_conversations_open(void **state)
{
    skip_numbers(*state, 4);
    luge_txn *txn = writing(*state);
    struct luge_conversation convo;
    struct luge_conversation_about about;
    struct luge_branch b;
    struct luge_node n;
    struct luge_context c;
    struct luge_music_event e;
    uint64_t id;
    load_golden(txn);
    fine(luge_conversation_open(txn, luge_str("c"), 0, &convo));
    fine(luge_conversation_get(txn, &convo, &about));
    assert_int_equal(about.nodes, 4);
    fine(luge_branch_named(txn, &convo, luge_str("sadder"), &id));
    fine(luge_branch_get(txn, &convo, id, &b));
    assert_true(is(b.description, "what if") && is(b.participants, "amy"));
    assert_int_equal(b.reason, LUGE_REASON_DIVERGENCE);
    assert_int_equal(b.state, LUGE_BRANCH_MERGED);
    assert_true(b.to_emotion.valence == -1);
    fine(luge_node_get(txn, &convo, b.merge, &n));
    assert_int_equal(n.parents, 2);
    assert_true(is(n.payload, "both") && is(n.author, "amy"));
    fine(luge_node_event(txn, &convo, n.parent, 0, &e));
    assert_true(is(e.what, "C") && is(e.how, "softly"));
    assert_true(e.emotion.agency == -1);
    fine(luge_node_labelled(txn, &convo, luge_str("first"), &id));
    char space[LUGE_CONVERSATION_NAME_SIZE_MAX];
    luge_bytes label;
    uint64_t begun;
    fine(luge_node_label_after(txn, &convo, luge_str("fir"), space, &label,
                               &begun));
    assert_int_equal(begun, id);
    assert_int_equal(label.size, 5);
    assert_memory_equal(label.data, "first", 5);
    answers(LUGE_NOTFOUND, luge_node_label_after(txn, &convo, label, space,
                                                 &label, &begun));
    assert_int_equal(id, b.base);
    fine(luge_conversation_open(txn, luge_str("m/g"), 0, &convo));
    fine(luge_branch_named(txn, &convo, luge_str("main"), &id));
    fine(luge_branch_get(txn, &convo, id, &b));
    fine(luge_context_of(txn, &convo, b.head, &c));
    assert_int_equal(c.tempo_us, 600000);
    assert_int_equal(c.meter_beats, 3);
    assert_int_equal(c.key_sharps, -2);
    fine(luge_say(txn, &convo, b.id, &(struct luge_say){
        .author = luge_str("new")}, &id));
    luge_abort(txn);
}

/* A record that ends earlier than ours is older, one that goes on is newer, one
 * of another version is none of ours. */
static void shorter_and_longer_records(void **state)
{
    struct scene s = scene_begin(*state);
    struct convo_node fixed;
    struct tuple key;
    luge_bytes raw;
    struct luge_node n;
    unsigned char bytes[sizeof(fixed) + 16] = {0};
    convo_key(&key, s.root);
    fine(convo_node_read(s.txn, &s.convo, s.root, &fixed, &raw));
    uint16_t sizes[] = {offsetof(struct convo_node, merges),
                        offsetof(struct convo_node, author),
                        sizeof(fixed) + 16};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        fixed.head.bytes = sizes[i];
        fixed.author = fixed.payload = (struct record_part){0, 0};
        memcpy(bytes, &fixed, sizeof(fixed));
        fine(luge_put(s.txn, s.convo.nodes, tuple_key(&key),
                      luge_bytes_of(bytes, sizes[i])));
        fine(luge_node_get(s.txn, &s.convo, s.root, &n));
        assert_int_equal(n.branch, s.main);
        assert_true(n.emotion.arousal == 0.5f && !n.author.size);
    }
    fixed.head.version = 2;
    memcpy(bytes, &fixed, sizeof(fixed));
    fine(luge_put(s.txn, s.convo.nodes, tuple_key(&key),
                  luge_bytes_of(bytes, sizeof(bytes))));
    answers(LUGE_VERSION, luge_node_get(s.txn, &s.convo, s.root, &n));
    luge_abort(s.txn);
}

/* -------------------------------------------------------------- costs -- */

/* Nanoseconds of one append, the best of some batches. */
static uint64_t append_ns(struct scene *s, struct luge_say *say)
{
    uint64_t best = UINT64_MAX;
    for (int batch = 0; batch < 20; batch++) {
        uint64_t from = now_ns();
        for (int i = 0; i < 100; i++)
            fine(luge_say(s->txn, &s->convo, s->main, say, NULL));
        uint64_t took = (now_ns() - from) / 100;
        if (took < best) best = took;
    }
    return best;
}

static uint64_t node_count(luge_txn *txn, const struct luge_conversation *c)
{
    uint64_t count;
    fine(luge_tree_count(txn, c->nodes, &count));
    return count;
}

/* What is refused has changed nothing, and the transaction goes on. */
static void a_refused_merge_leaves_nothing(void **state)
{
    struct scene s = scene_begin(*state);
    struct luge_say say = {.author = luge_str("amy"),
                           .label = luge_str("taken")};
    struct luge_branch fork = {.name = luge_str("another")};
    uint64_t first, id, branch;
    fine(luge_say(s.txn, &s.convo, s.main, &say, &first));
    say.label = luge_str("");
    fine(luge_branch_fork(s.txn, &s.convo, first, &fork, &branch));
    for (int i = 0; i < 3; i++) {
        fine(luge_say(s.txn, &s.convo, s.main, &say, &id));
        fine(luge_say(s.txn, &s.convo, branch, &say, &id));
    }
    uint64_t count = node_count(s.txn, &s.convo);
    say.label = luge_str("taken");
    for (int join = LUGE_JOIN_OVERLAY; join <= LUGE_JOIN_MANUAL; join++) {
        answers(LUGE_EXISTS, luge_branch_merge(s.txn, &s.convo, branch, s.main,
                                               join, &say, &id));
        assert_int_equal(node_count(s.txn, &s.convo), count);
    }
    say.label = luge_str("free");
    fine(luge_branch_merge(s.txn, &s.convo, branch, s.main,
                           LUGE_JOIN_INTERLEAVE, &say, &id));
    assert_int_equal(node_count(s.txn, &s.convo), count + 7);
    luge_abort(s.txn);
}

/* A name that a read of the same transaction gave. */
static void an_author_may_be_one_that_was_read(void **state)
{
    struct scene s = scene_begin(*state);
    struct luge_say say = {.author = luge_str("amy")};
    char space[LUGE_CONVERSATION_NAME_SIZE_MAX];
    struct luge_author known;
    struct luge_node node;
    uint64_t id;
    fine(luge_say(s.txn, &s.convo, s.main, &say, &id));
    for (int i = 0; i < 500; i++) {
        fine(luge_node_get(s.txn, &s.convo, id, &node));
        say.author = node.author;
        fine(luge_say(s.txn, &s.convo, s.main, &say, &id));
    }
    fine(luge_node_get(s.txn, &s.convo, id, &node));
    assert_true(is(node.author, "amy"));
    fine(luge_author_after(s.txn, &s.convo, luge_str(""), space, &known));
    assert_true(is(known.name, "amy"));
    answers(LUGE_NOTFOUND, luge_author_after(s.txn, &s.convo, luge_str("amy"),
                                             space, &known));
    luge_abort(s.txn);
}

/* All pairs of all trees, as a dump as text moves them. */
static void copy_trees(luge_txn *from, luge_txn *to)
{
    char space[LUGE_NAME_SIZE_MAX];
    luge_bytes name = {"", 0}, key, value;
    luge_tree tree, made;
    while (!luge_tree_after(from, name, &name, &tree)) {
        luge_cursor *cursor;
        memcpy(space, name.data, name.size);
        name.data = space;
        if (is(name, "luge/log")) continue;
        fine(luge_tree_open(to, name, LUGE_TREE_CREATE, &made));
        fine(luge_cursor_open(from, tree, &cursor));
        while (!luge_cursor_next(cursor, &key, &value))
            fine(luge_put(to, made, key, value));
        luge_cursor_close(cursor);
    }
}

/* Where numbers begin anew none is given that would be in a child's place. */
static void lost_numbers_are_noticed(void **state)
{
    struct rig *r = *state;
    skip_numbers(r, 3);
    struct scene s = scene_begin(r);
    struct luge_say say = {.author = luge_str("amy")};
    char path[700];
    luge_db *db;
    luge_txn *txn, *from;
    uint64_t id;
    fine(luge_say(s.txn, &s.convo, s.main, &say, &id));
    fine(luge_commit(s.txn));
    snprintf(path, sizeof path, "%s/text", r->base);
    fine(luge_open(path, NULL, &db));
    fine(luge_begin(db, LUGE_WRITE, &txn));
    from = begin(r, LUGE_READ);
    copy_trees(from, txn);
    luge_abort(from);
    struct luge_conversation copy;
    fine(luge_conversation_open(txn, luge_str("talk"), 0, &copy));
    answers(LUGE_CORRUPT, luge_say(txn, &copy, s.main, &say, &id));
    assert_int_equal(node_count(txn, &copy), 2);
    luge_abort(txn);
    fine(luge_close(db));
}

/* O(log n): 100 times as many nodes may make it dearer, but not ten times. */
static void an_append_costs_the_same_with_many_nodes(void **state)
{
    struct scene s = scene_begin(*state);
    struct luge_say say = {.author = luge_str("amy"),
                           .payload = luge_str("a remark")};
    uint64_t few = append_ns(&s, &say), many, id;
    const char *length = getenv("LUGE_TEST");
    size_t more = length && !strcmp(length, "long") ? 1000000 : 100000;
    for (size_t i = 0; i < more; i++)
        fine(luge_say(s.txn, &s.convo, s.main, &say, &id));
    many = append_ns(&s, &say);
    print_message("%llu ns, with %zu nodes %llu ns\n",
                  (unsigned long long)few, more, (unsigned long long)many);
    assert_true(many < 10 * few);
    luge_abort(s.txn);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(random_conversations), T(forks_remember_why),
        T(what_cannot_be_said_is_refused), T(agents_and_opinions),
        T(conversations_are_found_and_dropped), T(bars_and_beats),
        T(emotion_is_that_of_the_node), T(jumps_follow_their_law),
        T(damaged_records_are_corrupt), T(old_conversations_open),
        T(shorter_and_longer_records), T(a_refused_merge_leaves_nothing),
        T(an_author_may_be_one_that_was_read), T(lost_numbers_are_noticed),
        T(an_append_costs_the_same_with_many_nodes),
    };
#undef T
    return cmocka_run_group_tests_name("conversation", tests, NULL, NULL);
}
