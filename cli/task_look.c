/* cli/task_look.c -- the actions of luge task that look: list show counts
 * agents sessions; and how a task is printed. */
#include <string.h>

#include "task.h"

static json_t *json_of_ids(luge_bytes ids)
{
    json_t *array = json_array();
    const char *at = ids.data;
    uint64_t id;

    for (size_t i = 0; i + sizeof(id) <= ids.size; i += sizeof(id)) {
        memcpy(&id, at + i, sizeof(id));
        json_array_append_new(array, json_of_count(id));
    }
    return array;
}

static json_t *json_of_task(const struct luge_task *t)
{
    return json_pack(
        "{s:o, s:o, s:s, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:o, s:o, s:o, s:o}",
        "id", json_of_count(t->id), "lease", json_of_count(t->lease), "state",
        luge_task_state_text(t->state), "queue", json_of_bytes(t->queue),
        "priority", (int)t->priority, "attempt", json_of_count(t->attempt),
        "attempts_max", json_of_count(t->attempts_max), "waiting_for",
        json_of_count(t->waiting_for), "agent", json_of_count(t->agent),
        "session", json_of_count(t->session), "published_ns",
        json_of_count(t->published_ns), "until_ns", json_of_count(t->until_ns),
        "claimed_ns", json_of_count(t->claimed_ns), "ended_ns",
        json_of_count(t->ended_ns), "depends", json_of_ids(t->depends),
        "payload", json_of_bytes(t->payload), "status",
        json_of_bytes(t->status), "result", json_of_bytes(t->result), "error",
        json_of_bytes(t->error));
}

void task_print(const struct call *c, const struct luge_task *t)
{
    if (call_has(c, OPTION_JSON)) {
        print_json(json_of_task(t));
        return;
    }
    printf("%llu\t%llu\t%s\t", (unsigned long long)t->id,
           (unsigned long long)t->lease, luge_task_state_text(t->state));
    print_bytes(t->queue);
    printf("\tpriority %d\tattempt %u of %u\t", t->priority, t->attempt,
           t->attempts_max);
    print_bytes(t->payload);
    putchar('\n');
}

/* ----------------------------------------------------------------- tasks -- */

static int state_of(const struct call *c, int *state)
{
    *state = LUGE_TASK_ANY;
    if (c->count < 3) return 0;
    for (*state = LUGE_TASK_WAITING; *state <= LUGE_TASK_CANCELLED; ++*state)
        if (!strcmp(luge_task_state_text(*state), call_text(c, 2))) return 0;
    return say_usage(c->verb, "no task is ever '%s'", call_text(c, 2));
}

int task_list(struct call *c)
{
    struct luge_tasks tasks;
    struct luge_task t = {.id = 0};
    uint64_t limit, session;
    int state, rc = state_of(c, &state);

    if (!rc) rc = call_number(c, OPTION_LIMIT, UINT64_MAX, &limit);
    if (!rc) rc = task_store(c, c->txn, 0, &tasks);
    if (!rc) rc = option_session(c, c->txn, &tasks, &session);
    if (rc) return rc;
    while (!rc && limit) {
        rc = luge_task_after(c->txn, &tasks, state, t.id, &t);
        if (rc || (session && t.session != session)) continue;
        task_print(c, &t);
        limit--;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static void print_part(const char *name, luge_bytes bytes)
{
    if (!bytes.size) return;
    printf("%-9s ", name);
    print_bytes(bytes);
    putchar('\n');
}

static void print_time(const char *name, uint64_t time_ns)
{
    char when[32];

    if (!time_ns) return;
    time_words(time_ns, when, sizeof(when));
    printf("%-9s %s\n", name, when);
}

int task_show(struct call *c)
{
    struct luge_tasks tasks;
    struct luge_task t;
    uint64_t id;
    int rc = call_word_number(c, 2, &id);

    if (!rc) rc = task_store(c, c->txn, 0, &tasks);
    if (!rc) rc = luge_task_get(c->txn, &tasks, id, &t);
    if (rc) return rc;
    task_print(c, &t);
    if (call_has(c, OPTION_JSON)) return 0;
    print_time("published", t.published_ns);
    print_time("claimed", t.claimed_ns);
    print_time(t.state == LUGE_TASK_LEASED ? "lease to" : "not until",
               t.until_ns);
    print_time("ended", t.ended_ns);
    if (t.waiting_for) printf("waits for %u others\n", t.waiting_for);
    if (t.agent) printf("agent     %llu\n", (unsigned long long)t.agent);
    if (t.session) printf("session   %llu\n", (unsigned long long)t.session);
    print_part("status", t.status);
    print_part("result", t.result);
    print_part("error", t.error);
    return 0;
}

int task_counts(struct call *c)
{
    struct luge_tasks tasks;
    uint64_t counts[8];
    json_t *object = call_has(c, OPTION_JSON) ? json_object() : NULL;
    int rc = task_store(c, c->txn, 0, &tasks);

    if (!rc) rc = luge_task_counts(c->txn, &tasks, counts);
    for (int i = 0; !rc && i <= LUGE_TASK_DEAD; i++) {
        const char *name = i ? luge_task_state_text(i) : "all";
        if (object)
            json_object_set_new(object, name, json_of_count(counts[i]));
        else
            printf("%s\t%llu\n", name, (unsigned long long)counts[i]);
    }
    if (object && !rc) print_json(object);
    else json_decref(object);
    return rc;
}

/* ------------------------------------------------------ agents, sessions -- */

enum { STALE_MS = 60000 };      /* without a heartbeat: twice their usual 30 */

static void print_agent(const struct call *c, const struct luge_agent *a)
{
    const char *state =
        luge_agent_state_text(luge_agent_state_of(a, STALE_MS));
    char when[32];

    if (call_has(c, OPTION_JSON)) {
        print_json(json_pack(
            "{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
            json_of_count(a->id), "name", json_of_bytes(a->name), "state",
            state, "role", json_of_bytes(a->role), "session",
            json_of_count(a->session), "started_ns",
            json_of_count(a->started_ns), "heartbeat_ns",
            json_of_count(a->heartbeat_ns), "ended_ns",
            json_of_count(a->ended_ns), "status", json_of_bytes(a->status)));
        return;
    }
    time_words(a->heartbeat_ns, when, sizeof(when));
    printf("%llu\t%s\t", (unsigned long long)a->id, state);
    print_bytes(a->name);
    putchar('\t');
    print_bytes(a->role);
    printf("\t%s\t", when);
    print_bytes(a->status);
    putchar('\n');
}

int task_agents(struct call *c)
{
    struct luge_tasks tasks;
    struct luge_agent a = {.id = 0};
    uint64_t session;
    int rc = task_store(c, c->txn, 0, &tasks);

    if (!rc) rc = option_session(c, c->txn, &tasks, &session);
    if (rc) return rc;
    while (!(rc = luge_agent_after(c->txn, &tasks, a.id, &a)))
        if (!session || a.session == session) print_agent(c, &a);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static void print_session(const struct call *c, const struct luge_session *s)
{
    char when[32];

    if (call_has(c, OPTION_JSON)) {
        print_json(json_pack(
            "{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
            json_of_count(s->id), "state", luge_session_state_text(s->state),
            "objective", json_of_bytes(s->objective), "strategy",
            json_of_bytes(s->strategy), "created_ns",
            json_of_count(s->created_ns), "started_ns",
            json_of_count(s->started_ns), "ended_ns",
            json_of_count(s->ended_ns), "error", json_of_bytes(s->error)));
        return;
    }
    time_words(s->created_ns, when, sizeof(when));
    printf("%llu\t%s\t%s\t", (unsigned long long)s->id,
           luge_session_state_text(s->state), when);
    print_bytes(s->strategy);
    putchar('\t');
    print_bytes(s->objective);
    if (s->error.size) {
        fputs("  [", stdout);
        print_bytes(s->error);
        putchar(']');
    }
    putchar('\n');
}

int task_sessions(struct call *c)
{
    struct luge_tasks tasks;
    struct luge_session s = {.id = 0};
    int rc = task_store(c, c->txn, 0, &tasks);

    if (rc) return rc;
    while (!(rc = luge_session_after(c->txn, &tasks, s.id, &s)))
        print_session(c, &s);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}
