/* cli/task.c -- luge task: publish tasks, claim, renew, complete and fail them;
 * sessions and agents from the outside (luge_task.h).
 * Not here: looking (task_look.c), a worker (task_work.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "task.h"

static luge_bytes store_path(const struct call *c)
{
    const char *path = c->options[OPTION_PATH];

    return luge_str(path ? path : "tasks");
}

int task_store(const struct call *c, luge_txn *txn, unsigned flags,
               struct luge_tasks *tasks)
{
    return luge_tasks_open(txn, store_path(c), flags, tasks);
}

int task_store_now(const struct call *c, unsigned flags,
                   struct luge_tasks *tasks)
{
    return luge_tasks_open_now(c->db, store_path(c), flags, tasks);
}

int option_ms(const struct call *c, enum option_number option,
              uint64_t otherwise, uint64_t *ms)
{
    const char *text = c->options[option];
    char *end;
    double seconds;

    *ms = otherwise;
    if (!text) return 0;
    seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= 0 && seconds < 1e9))
        return say_usage(c->verb, "--%s wants seconds, not '%s'",
                         options[option].name, text);
    *ms = (uint64_t)(seconds * 1000 + 0.5);
    return 0;
}

int option_session(const struct call *c, luge_txn *txn,
                   const struct luge_tasks *tasks, uint64_t *session)
{
    struct luge_session s;
    int rc = call_number(c, OPTION_SESSION, 0, session);

    if (rc || !call_has(c, OPTION_SESSION)) return rc;
    return luge_session_get(txn, tasks, *session, &s);
}

/* Argument NUMBER, or nothing. */
static luge_bytes word(const struct call *c, int number)
{
    return number < c->count ? c->arguments[number] : luge_str("");
}

/* ------------------------------------------------------------ publishing -- */

static int option_priority(const struct call *c, int32_t *priority)
{
    const char *text = c->options[OPTION_PRIORITY];
    char *end;
    long number;

    *priority = 0;
    if (!text) return 0;
    errno = 0;
    number = strtol(text, &end, 10);
    if (end == text || *end || errno || number != (int32_t)number)
        return say_usage(c->verb, "--priority wants a number, not '%s'", text);
    *priority = (int32_t)number;
    return 0;
}

/* "12,17": *count of them, which are the caller's to free. */
static int option_depends(const struct call *c, uint64_t **ids, size_t *count)
{
    const char *text = c->options[OPTION_DEPENDS];
    char *end;

    *ids = NULL;
    *count = 0;
    if (!text) return 0;
    *ids = calloc(strlen(text) / 2 + 1, sizeof(**ids));
    if (!*ids) return LUGE_NOMEM;
    do {
        (*ids)[(*count)++] = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || (*end && *end != ','))
            return say_usage(c->verb, "--depends wants numbers with commas "
                             "between, not '%s'", c->options[OPTION_DEPENDS]);
        text = end + 1;
    } while (*end);
    return 0;
}

static int publish_options(const struct call *c, struct luge_task_new *task,
                           uint64_t **depends)
{
    uint64_t attempts, backoff_ms;
    int rc = option_priority(c, &task->priority);

    if (!rc) rc = call_number(c, OPTION_ATTEMPTS, 0, &attempts);
    if (!rc) rc = option_ms(c, OPTION_DELAY, 0, &task->delay_ms);
    if (!rc) rc = option_ms(c, OPTION_BACKOFF, 0, &backoff_ms);
    if (rc) return rc;
    if (attempts > UINT32_MAX || backoff_ms > UINT32_MAX)
        return say_usage(c->verb, "so many attempts or seconds are no task");
    task->attempts_max = (uint32_t)attempts;
    task->backoff_ms = (uint32_t)backoff_ms;
    return option_depends(c, depends, &task->depends_count);
}

static int task_publish(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_task_new task = {.queue = c->arguments[2],
                                 .payload = word(c, 3)};
    struct luge_tasks tasks;
    uint64_t *depends = NULL;
    int rc = publish_options(c, &task, &depends);

    task.depends = depends;
    if (!rc) rc = task_store(c, txn, LUGE_TREE_CREATE, &tasks);
    if (!rc) rc = option_session(c, txn, &tasks, &task.session);
    if (!rc) rc = luge_txn_next_id(txn, &task.id);
    if (!rc) rc = luge_task_publish(txn, &tasks, &task, &c->made[0]);
    free(depends);
    return rc;
}

/* -------------------------------------------------------------- claiming -- */

/* Without --wait what is there now, or the answer no. */
static int claim_wait(struct call *c, const struct luge_tasks *tasks,
                      uint64_t agent, uint64_t lease_ms)
{
    luge_worker *worker;
    struct luge_task task;
    uint64_t wait_ms;
    int rc = option_ms(c, OPTION_WAIT, 0, &wait_ms);

    if (!rc && wait_ms > INT32_MAX)
        rc = say_usage(c->verb, "that is too long to wait");
    if (!rc)
        rc = luge_worker_open(c->db, tasks, c->arguments[2], agent, lease_ms,
                              &worker);
    if (rc) return rc;
    rc = luge_worker_next(worker, 0, (int)wait_ms, &task);
    if (!rc) task_print(c, &task);
    luge_worker_close(worker);
    if (rc == LUGE_TIMEOUT)
        rc = luge_fail(LUGE_NOTFOUND, __FILE__, __LINE__,
                       "there is nothing to do in %s", call_text(c, 2));
    return rc;
}

static int task_claim(struct call *c)
{
    struct luge_tasks tasks;
    uint64_t agent, lease_ms;
    int rc = call_number(c, OPTION_AGENT, 0, &agent);

    if (!rc) rc = option_ms(c, OPTION_LEASE, LEASE_MS, &lease_ms);
    if (!rc) rc = task_store_now(c, 0, &tasks);
    return rc ? rc : claim_wait(c, &tasks, agent, lease_ms);
}

/* What all that names a claim needs: ID LEASE [TEXT]. */
struct claim {
    struct luge_tasks tasks;
    uint64_t id, lease;
    luge_bytes text;
};

static int claim_of(luge_txn *txn, struct call *c, struct claim *claim)
{
    int rc = call_word_number(c, 2, &claim->id);

    claim->lease = 0;
    if (!rc && c->count > 3) rc = call_word_number(c, 3, &claim->lease);
    claim->text = word(c, 4);
    return rc ? rc : task_store(c, txn, 0, &claim->tasks);
}

static int task_heartbeat(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct claim claim;
    uint64_t lease_ms;
    int rc = option_ms(c, OPTION_LEASE, LEASE_MS, &lease_ms);

    if (!rc) rc = claim_of(txn, c, &claim);
    return rc ? rc : luge_task_heartbeat(txn, &claim.tasks, claim.id,
                                         claim.lease, lease_ms,
                                         c->count > 4 ? &claim.text : NULL);
}

static int task_complete(luge_txn *txn, void *context)
{
    struct claim claim;
    int rc = claim_of(txn, context, &claim);

    return rc ? rc : luge_task_complete(txn, &claim.tasks, claim.id,
                                        claim.lease, claim.text);
}

static int task_fail(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct claim claim;
    int rc = claim_of(txn, c, &claim);

    return rc ? rc : luge_task_fail(txn, &claim.tasks, claim.id, claim.lease,
                                    claim.text, call_has(c, OPTION_FATAL));
}

static int task_release(luge_txn *txn, void *context)
{
    struct claim claim;
    int rc = claim_of(txn, context, &claim);

    return rc ? rc : luge_task_release(txn, &claim.tasks, claim.id,
                                       claim.lease);
}

static int task_cancel(luge_txn *txn, void *context)
{
    struct claim claim;
    int rc = claim_of(txn, context, &claim);

    return rc ? rc : luge_task_cancel(txn, &claim.tasks, claim.id);
}

static int task_revive(luge_txn *txn, void *context)
{
    struct claim claim;
    int rc = claim_of(txn, context, &claim);

    return rc ? rc : luge_task_revive(txn, &claim.tasks, claim.id);
}

/* --------------------------------------------------------------- waiting -- */

static int task_wait(struct call *c)
{
    struct luge_tasks tasks;
    uint64_t id, wait_ms;
    int state = 0;
    int rc = call_word_number(c, 2, &id);

    if (!rc) rc = option_ms(c, OPTION_WAIT, INT32_MAX, &wait_ms);
    if (!rc) rc = task_store_now(c, 0, &tasks);
    if (rc) return rc;
    rc = luge_task_wait(c->db, &tasks, id,
                        wait_ms < INT32_MAX ? (int)wait_ms : -1, &state);
    if (rc && rc != LUGE_TIMEOUT) return rc;
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:o, s:s}", "id", json_of_count(id), "state",
                             luge_task_state_text(state)));
    else
        puts(luge_task_state_text(state));
    return state == LUGE_TASK_COMPLETED ? EXIT_DONE : EXIT_NO;
}

/* ------------------------------------------------------ agents, sessions -- */

static int task_end(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_tasks tasks;
    uint64_t id;
    size_t count = 0;
    int rc = call_word_number(c, 2, &id);

    if (!rc) rc = task_store(c, txn, 0, &tasks);
    if (!rc) rc = luge_agent_end(txn, &tasks, id, &count);
    c->made[0] = count;
    return rc;
}

static int task_reap(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_tasks tasks;
    uint64_t stale = 0;
    size_t count = 0;
    int rc = c->count > 2 ? call_word_number(c, 2, &stale) : 0;

    if (!rc) rc = task_store(c, txn, 0, &tasks);
    if (!rc) rc = luge_agent_reap(txn, &tasks, stale * 1000, &count);
    c->made[0] = count;
    return rc;
}

static int task_forget(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_tasks tasks;
    struct timespec now;
    uint64_t seconds, limit;
    size_t count = 0;
    uint64_t before_ns;
    int rc = call_word_number(c, 2, &seconds);

    /* Not time(): what ended in this second ended 0 seconds ago, too. */
    clock_gettime(CLOCK_REALTIME, &now);
    if (!rc) rc = call_number(c, OPTION_LIMIT, 1u << 20, &limit);
    if (!rc) rc = task_store(c, txn, 0, &tasks);
    c->made[0] = 0;
    if (rc || seconds > (uint64_t)now.tv_sec) return rc;
    before_ns = ((uint64_t)now.tv_sec - seconds) * 1000000000 +
                (uint64_t)now.tv_nsec;
    rc = luge_task_forget(txn, &tasks, before_ns, limit, &count);
    c->made[0] += count;
    if (!rc) rc = luge_agent_forget(txn, &tasks, before_ns, limit, &count);
    c->made[0] += count;
    if (!rc) rc = luge_session_forget(txn, &tasks, before_ns, limit, &count);
    c->made[0] += count;
    return rc;
}

static int task_begin(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_session session = {.objective = c->arguments[2],
                                   .strategy = word(c, 3)};
    struct luge_tasks tasks;
    int rc = task_store(c, txn, LUGE_TREE_CREATE, &tasks);

    if (!rc) rc = luge_txn_next_id(txn, &session.id);
    return rc ? rc : luge_session_begin(txn, &tasks, &session, &c->made[0]);
}

static int task_session(luge_txn *txn, void *context)
{
    struct call *c = context;
    struct luge_tasks tasks;
    uint64_t id;
    int state = LUGE_SESSION_PENDING;
    int rc = call_word_number(c, 2, &id);

    while (state <= LUGE_SESSION_CANCELLED &&
           strcmp(luge_session_state_text(state), call_text(c, 3)) != 0)
        state++;
    if (!rc && state > LUGE_SESSION_CANCELLED)
        rc = say_usage(c->verb, "no session is ever '%s'", call_text(c, 3));
    if (!rc) rc = task_store(c, txn, 0, &tasks);
    return rc ? rc : luge_session_set(txn, &tasks, id, state,
                                      c->count > 4 ? &c->arguments[4] : NULL);
}

/* ----------------------------------------------------------------- verb -- */

static const struct action actions[] = {
    {"publish", 1, 2, "QUEUE [PAYLOAD]", .change = task_publish, .made = "id"},
    {"claim", 1, 1, "QUEUE", .run = task_claim},
    {"heartbeat", 2, 3, "ID LEASE [STATUS]", .change = task_heartbeat},
    {"complete", 2, 3, "ID LEASE [RESULT]", .change = task_complete},
    {"fail", 2, 3, "ID LEASE [ERROR]", .change = task_fail},
    {"release", 2, 2, "ID LEASE", .change = task_release},
    {"cancel", 1, 1, "ID", .change = task_cancel},
    {"revive", 1, 1, "ID", .change = task_revive},
    {"work", 2, 2, "QUEUE COMMAND", .run = task_work},
    {"wait", 1, 1, "ID", .run = task_wait},
    {"list", 0, 1, "[STATE]", .look = task_list},
    {"show", 1, 1, "ID", .look = task_show},
    {"counts", 0, 0, "", .look = task_counts},
    {"forget", 1, 1, "SECONDS", .change = task_forget, .made = "count"},
    {"agents", 0, 0, "", .look = task_agents},
    {"end", 1, 1, "AGENT", .change = task_end, .made = "count"},
    {"reap", 0, 1, "[SECONDS]", .change = task_reap, .made = "count"},
    {"sessions", 0, 0, "", .look = task_sessions},
    {"begin", 1, 2, "OBJECTIVE [STRATEGY]", .change = task_begin,
     .made = "id"},
    {"session", 2, 3, "ID STATE [ERROR]", .change = task_session},
};

int verb_task(struct call *c)
{
    return call_action(c, actions, sizeof(actions) / sizeof(actions[0]));
}
