/* cli/play.c -- luge play: music as it was said, and as it is being said.
 *
 *     past --the branch has been played--> present --a signal, --limit--> end
 *   past     the branch as a snapshot shows it, in the order of time; a watch
 *            from that very snapshot has begun before
 *   present  what is committed, node by node: its music begins at once, or when
 *            that of the node before it on its branch has ended
 * An event waits for its time as a node and an index; it is looked up when it
 * is due.  Not here: any sound.  A line is printed, or a MIDI file written.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "convo.h"
#include "luge_feed.h"

struct due {
    uint64_t at_ns;             /* of the clock that nobody sets */
    uint64_t order;             /* among those of one time */
    uint64_t node;
    uint32_t index;
};

/* How far the music of a branch has been planned. */
struct line {
    uint64_t branch, end_ns;
};

struct player {
    struct call *c;
    luge_txn *txn;
    luge_watch *watch;
    struct luge_conversation convo;
    uint64_t branch;            /* 0: all */
    uint64_t left;              /* events to print */
    double speed;               /* 0: at once */
    struct due *dues;           /* a heap: the next one in front */
    size_t count, room;
    struct line *lines;
    size_t line_count;
    uint64_t order, events, nodes;
    uint32_t *late_us;          /* from commit to here, for each node */
    size_t late_room;
};

/* The only thing that a signal may touch. */
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Musical time as it passes here. */
static uint64_t lasts(const struct player *p, uint64_t ns)
{
    double here = p->speed > 0 ? (double)ns / p->speed : 0;

    return here < 9e18 ? (uint64_t)here : (uint64_t)9e18;
}

/* ------------------------------------------------------------- printing -- */

static int event_print(struct player *p, uint64_t node, uint32_t index)
{
    struct luge_music_event e;
    struct luge_branch b;
    struct luge_node n;
    int rc = luge_node_get(p->txn, &p->convo, node, &n);

    if (!rc) rc = luge_branch_get(p->txn, &p->convo, n.branch, &b);
    if (!rc) rc = luge_node_event(p->txn, &p->convo, node, index, &e);
    if (rc) return rc;
    p->events++;
    p->left--;
    luge_bytes agent = e.agent.size ? e.agent : n.author;
    if (call_has(p->c, OPTION_JSON)) {
        print_json(json_pack("{s:o, s:o, s:o, s:o}", "node",
                             json_of_count(node), "branch",
                             json_of_bytes(b.name), "agent",
                             json_of_bytes(agent), "event",
                             json_of_music(&e)));
        return 0;
    }
    printf("%9.3f  %llu  ", (double)e.time_ns / 1e9, (unsigned long long)node);
    print_bytes(b.name);
    fputs("  ", stdout);
    print_bytes(agent);
    fputs("  ", stdout);
    music_print(&e);
    putchar('\n');
    return 0;
}

/* ----------------------------------------------------------------- past -- */

static void sleep_until(uint64_t at_ns)
{
    struct timespec t = {(time_t)(at_ns / 1000000000),
                         (long)(at_ns % 1000000000)};

    fflush(stdout);
    while (!stopped &&
           clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        continue;
}

/* When the music of BRANCH has been heard; made if it is new. */
static struct line *line_of(struct player *p, uint64_t branch)
{
    for (size_t i = 0; i < p->line_count; i++)
        if (p->lines[i].branch == branch) return &p->lines[i];
    void *larger = realloc(p->lines, (p->line_count + 1) * sizeof(*p->lines));
    if (!larger) return NULL;
    p->lines = larger;
    p->lines[p->line_count] = (struct line){.branch = branch};
    return &p->lines[p->line_count++];
}

static int play_past(struct player *p, uint64_t head)
{
    struct luge_score_options o = {.flags = LUGE_SCORE_BY_TIME, .node = head};
    struct luge_music_event e;
    uint64_t start = clock_ns(CLOCK_MONOTONIC), first = UINT64_MAX, node;
    uint64_t last_node = 0, end = start;
    uint32_t index = 0;
    luge_score *score;
    int rc = luge_score_open(p->txn, &p->convo, &o, &score);

    if (rc) return rc;
    while (!stopped && p->left) {
        rc = luge_score_next(score, &e, &node);
        if (rc) break;
        if (first == UINT64_MAX) first = e.time_ns;
        index = luge_score_index(score);
        if (node != last_node) p->nodes++;
        last_node = node;
        uint64_t at = start + lasts(p, e.time_ns - first);
        if (p->speed > 0 && at > clock_ns(CLOCK_MONOTONIC)) sleep_until(at);
        end = start + lasts(p, e.time_ns + e.duration_ns - first);
        rc = event_print(p, node, index);
        if (rc) break;
    }
    luge_score_close(score);
    struct line *line = line_of(p, p->branch);
    if (!line) return LUGE_NOMEM;
    line->end_ns = end;
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* -------------------------------------------------------------- present -- */

static bool sooner(const struct due *a, const struct due *b)
{
    return a->at_ns < b->at_ns ||
           (a->at_ns == b->at_ns && a->order < b->order);
}

static int due_add(struct player *p, struct due due)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 256;
        void *larger = realloc(p->dues, room * sizeof(due));
        if (!larger) return LUGE_NOMEM;
        p->dues = larger;
        p->room = room;
    }
    size_t at = p->count++;
    due.order = p->order++;
    for (; at && sooner(&due, &p->dues[(at - 1) / 2]); at = (at - 1) / 2)
        p->dues[at] = p->dues[(at - 1) / 2];
    p->dues[at] = due;
    return 0;
}

static struct due due_take(struct player *p)
{
    struct due top = p->dues[0], last = p->dues[--p->count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < p->count) {
        if (child + 1 < p->count &&
            sooner(&p->dues[child + 1], &p->dues[child]))
            child++;
        if (!sooner(&p->dues[child], &last)) break;
        p->dues[at] = p->dues[child];
        at = child;
    }
    p->dues[at] = last;
    return top;
}

/* A node was said: its events become due. */
static int node_said(struct player *p, uint64_t id)
{
    struct luge_node n, before = {0};
    uint64_t now = clock_ns(CLOCK_MONOTONIC), base;
    int rc = luge_node_get(p->txn, &p->convo, id, &n);

    if (rc || (p->branch && n.branch != p->branch)) return rc;
    if (n.parent) rc = luge_node_get(p->txn, &p->convo, n.parent, &before);
    struct line *line = line_of(p, n.branch);
    if (rc || !line) return rc ? rc : LUGE_NOMEM;
    p->nodes++;
    if (line->end_ns < now) line->end_ns = now;
    base = before.clock_ns < n.begin_ns ? before.clock_ns : n.begin_ns;
    for (uint32_t i = 0; !rc && i < n.events; i++) {
        struct luge_music_event e;
        rc = luge_node_event(p->txn, &p->convo, id, i, &e);
        if (!rc)
            rc = due_add(p, (struct due){
                .at_ns = line->end_ns + lasts(p, e.time_ns - base),
                .node = id, .index = i});
    }
    if (n.events) line->end_ns += lasts(p, n.clock_ns - base);
    return rc;
}

static int late_note(struct player *p, uint64_t committed_ns)
{
    uint64_t now = clock_ns(CLOCK_REALTIME);
    uint64_t late = now > committed_ns ? (now - committed_ns) / 1000 : 0;

    if (p->nodes >= p->late_room) {
        size_t room = p->late_room ? 2 * p->late_room : 1024;
        while (room <= p->nodes) room *= 2;     /* the past was not counted */
        void *larger = realloc(p->late_us, room * sizeof(*p->late_us));
        if (!larger) return LUGE_NOMEM;
        p->late_us = larger;
        memset(p->late_us + p->late_room, 0,
               (room - p->late_room) * sizeof(*p->late_us));
        p->late_room = room;
    }
    p->late_us[p->nodes] = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
    return 0;
}

static int set_take(struct player *p, const struct luge_change_set *set)
{
    uint64_t id;
    int rc = luge_renew(p->txn);

    for (size_t i = 0; !rc && i < set->count; i++) {
        rc = luge_node_said(&p->convo, &set->changes[i], &id);
        if (rc == LUGE_NOTFOUND) {
            rc = 0;
            continue;
        }
        if (!rc) rc = late_note(p, set->time_ns);
        if (!rc) rc = node_said(p, id);
    }
    return rc;
}

/* What is due by now; *wait_ms until the next is, IDLE_MS at most: a signal may
 * come while nobody sleeps. */
enum { IDLE_MS = 100 };
static int play_due(struct player *p, int *wait_ms)
{
    int rc = 0;

    while (!rc && p->count && p->left && !stopped) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC), at = p->dues[0].at_ns;
        if (at > now) {
            uint64_t ms = (at - now) / 1000000 + 1;
            if (ms < IDLE_MS) *wait_ms = (int)ms;
            break;
        }
        struct due due = due_take(p);
        rc = event_print(p, due.node, due.index);
    }
    fflush(stdout);
    return rc;
}

static int play_present(struct player *p)
{
    const struct luge_change_set *set;
    int rc = 0;

    while (!rc && !stopped && p->left) {
        int wait_ms = IDLE_MS;
        rc = play_due(p, &wait_ms);
        if (rc || stopped || !p->left) break;
        rc = luge_watch_next(p->watch, wait_ms, &set);
        if (!rc)
            rc = set_take(p, set);
        else if (rc == LUGE_TIMEOUT)
            rc = 0;
        if (!rc && wait_ms == IDLE_MS && !output_is_read()) break;
    }
    return rc;
}

static int by_number(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;

    return *a < *b ? -1 : *a > *b;
}

static void figures(struct player *p, uint64_t past)
{
    size_t count = p->nodes - past;

    fprintf(stderr, "luge: %llu events of %llu nodes",
            (unsigned long long)p->events, (unsigned long long)p->nodes);
    if (count && p->late_us) {
        uint32_t *late = p->late_us + past;
        qsort(late, count, sizeof(*late), by_number);
        fprintf(stderr, "; %zu of them heard after %u us (median), %u us "
                "(99 of 100), %u us (all)", count, late[count / 2],
                late[count - 1 - count / 100], late[count - 1]);
    }
    fputc('\n', stderr);
}

/* --------------------------------------------------------------- a file -- */

/* An exit code. */
static int write_file(const char *name, luge_bytes bytes)
{
    struct output o = {.stream = NULL};
    int code = output_open(&o, name, "");

    if (code) return code;
    int rc = output_write(&o, bytes.data, bytes.size);
    return output_close(&o, rc ? say_error(rc) : EXIT_DONE);
}

/* Events point into the snapshot, which stays until the file is written. */
static int gather(struct player *p, uint64_t head,
                  struct luge_music_event **events, size_t *count)
{
    struct luge_score_options o = {.flags = LUGE_SCORE_BY_TIME, .node = head};
    luge_score *score;
    size_t room = 0;
    int rc = luge_score_open(p->txn, &p->convo, &o, &score);

    if (rc) return rc;
    for (;; ++*count) {
        if (*count == room) {
            room = room ? 2 * room : 1024;
            void *larger = realloc(*events, room * sizeof(**events));
            if (!larger) break;
            *events = larger;
        }
        rc = luge_score_next(score, &(*events)[*count], NULL);
        if (rc) break;
    }
    luge_score_close(score);
    return rc == LUGE_NOTFOUND ? 0 : rc ? rc : LUGE_NOMEM;
}

/* *code: what the verb ends with. */
static int write_midi(struct player *p, uint64_t head, const char *name,
                      int *code)
{
    struct luge_conversation_about about;
    struct luge_music_event *events = NULL;
    luge_bytes file;
    size_t count = 0;
    int rc = luge_conversation_get(p->txn, &p->convo, &about);

    if (!rc && head) rc = gather(p, head, &events, &count);
    if (!rc) rc = luge_midi_write(events, count, about.division, &file);
    if (!rc) {
        *code = write_file(name, file);
        luge_midi_file_free(file);
    }
    free(events);
    return rc;
}

/* ----------------------------------------------------------------- verb -- */

/* The branch that is asked for; else, where one is needed, "main" or the
 * first. */
static int find_branch(struct player *p, bool needed, uint64_t *head)
{
    const char *name = p->c->options[OPTION_BRANCH];
    struct luge_branch b;
    int rc;

    *head = 0;
    if (!name && !needed) return 0;
    rc = luge_branch_named(p->txn, &p->convo, luge_str(name ? name : "main"),
                           &p->branch);
    if (!rc)
        rc = luge_branch_get(p->txn, &p->convo, p->branch, &b);
    else if (rc == LUGE_NOTFOUND && !name)
        rc = luge_branch_after(p->txn, &p->convo, 0, &b);
    if (rc) return rc;
    p->branch = b.id;
    *head = b.head;
    return 0;
}

static int play(struct player *p, uint64_t head, bool once)
{
    struct luge_watch_options o = {.from = LUGE_FROM_SNAPSHOT,
                                   .snapshot = p->txn,
                                   .tree = p->convo.nodes};
    struct sigaction action = {.sa_handler = stop};
    int rc = once ? 0 : luge_watch_open(p->c->db, &o, &p->watch);

    if (rc) return rc;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (head) rc = play_past(p, head);
    uint64_t past = p->nodes;
    if (!rc && !once) rc = play_present(p);
    luge_watch_close(p->watch);
    figures(p, past);
    return rc;
}

static int speed_of(const struct call *c, double *speed)
{
    const char *text = c->options[OPTION_SPEED];
    char *end;

    *speed = 1;
    if (!text) return 0;
    *speed = strtod(text, &end);
    if (end != text && !*end && *speed >= 0 && *speed < 1e9) return 0;
    return say_usage(c->verb, "--speed wants a number from 0 on, not '%s'",
                     text);
}

int verb_play(struct call *c)
{
    const char *out = c->options[OPTION_OUT];
    struct player p = {.c = c};
    bool once = out || call_has(c, OPTION_ONCE);
    luge_tree tree;
    uint64_t head;
    int rc, code = call_number(c, OPTION_LIMIT, UINT64_MAX, &p.left);

    if (!code && out && !strcmp(out, "-") && isatty(STDOUT_FILENO))
        code = say_usage(c->verb, "a MIDI file is no text; name a FILE");
    if (!code) code = speed_of(c, &p.speed);
    if (!code) code = call_read(c, &tree);
    if (code) return code;
    p.txn = c->txn;
    rc = luge_conversation_open(p.txn, c->arguments[1], 0, &p.convo);
    if (!rc) rc = find_branch(&p, once, &head);
    if (!rc && out) rc = write_midi(&p, head, out, &code);
    else if (!rc) rc = play(&p, head, once);
    free(p.dues);
    free(p.lines);
    free(p.late_us);
    return rc ? say_no(rc) : code;
}
