/* model/task_agent.c -- agents: who works, since when, and whether still; and
 * sessions, which are what they work for.
 *
 * An agent's record names the process that registered it (process.h), so that
 * anybody can see that it is gone long before a lease runs out. */
#include "task.h"

#include <string.h>

#include "json.h"
#include "process.h"

const struct agent_record agent_default = {
    .head = {sizeof(struct agent_record), 1}};
const struct session_record session_default = {
    .head = {sizeof(struct session_record), 1}};

_Static_assert(sizeof(struct agent_record) == 80, "no padding, and golden");
_Static_assert(sizeof(struct session_record) == 64, "no padding, and golden");

enum { GONE_LOOK = 64 };        /* leases whose holders are looked at */

const char *luge_agent_state_text(int state)
{
    switch (state) {
#define X(name, value, text) \
    case value: return text;
        LUGE_AGENT_STATES(X)
#undef X
    default: return "unknown";
    }
}

const char *luge_session_state_text(int state)
{
    switch (state) {
#define X(name, value, text) \
    case value: return text;
        LUGE_SESSION_STATES(X)
#undef X
    default: return "unknown";
    }
}

/* ------------------------------------------------------ what both share -- */

static int meta_ok(luge_bytes meta)
{
    int64_t wrong = meta.size ? json_check(meta) : -1;

    if (wrong >= 0)
        return model_fail(LUGE_INVALID, "meta is not JSON from byte %lld on",
                          (long long)wrong);
    return task_text_ok(meta, LUGE_TASK_PAYLOAD_SIZE_MAX, "meta");
}

static int id_is_free(luge_txn *txn, luge_tree tree, uint64_t id)
{
    struct tuple key;
    luge_bytes raw;
    int rc;

    if (!id)
        return model_fail(LUGE_INVALID, "a number of luge_next_id is missing");
    task_key(&key, id);
    rc = luge_get(txn, tree, tuple_key(&key), &raw);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    return model_fail(LUGE_EXISTS, "the number %llu is taken",
                      (unsigned long long)id);
}

static int put_record(luge_txn *txn, luge_tree tree, uint64_t id,
                      struct record_writer *w)
{
    struct tuple key;
    luge_bytes raw;
    int rc = record_end(w, &raw);

    task_key(&key, id);
    if (!rc) rc = luge_put(txn, tree, tuple_key(&key), raw);
    record_free(w);
    return rc;
}

/* The first id of TREE above AFTER. */
static int id_after(luge_txn *txn, luge_tree tree, uint64_t after, uint64_t *id)
{
    struct tuple key;
    luge_bytes found, value;
    int rc;

    task_key(&key, after);
    rc = luge_near(txn, tree, LUGE_GT, tuple_key(&key), &found, &value);
    if (rc) return rc;
    struct tuple_reader r = tuple_read(found);
    return tuple_get_u64(&r, id);
}

/* --------------------------------------------------------------- agents -- */

static int agent_put(luge_txn *txn, const struct luge_tasks *tasks,
                     const struct luge_agent *a)
{
    struct agent_record f = agent_default;
    struct record_writer w;

    f.session = a->session;
    f.started_ns = a->started_ns;
    f.heartbeat_ns = a->heartbeat_ns;
    f.ended_ns = a->ended_ns;
    record_begin(&w, &f.head);
    record_add(&w, &f.name, a->name);
    record_add(&w, &f.role, a->role);
    record_add(&w, &f.status, a->status);
    record_add(&w, &f.meta, a->meta);
    record_add(&w, &f.process, a->process);
    return put_record(txn, tasks->agent, a->id, &w);
}

int luge_agent_get(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
                   struct luge_agent *agent)
{
    struct agent_record f;
    struct tuple key;
    luge_bytes raw;
    int rc;

    task_key(&key, id);
    rc = luge_get(txn, tasks->agent, tuple_key(&key), &raw);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "there is no agent %llu", (unsigned long long)id);
    if (!rc) rc = record_read(&agent_default.head, raw, &f);
    if (rc) return rc;
    *agent = (struct luge_agent){
        .id = id, .session = f.session, .started_ns = f.started_ns,
        .heartbeat_ns = f.heartbeat_ns, .ended_ns = f.ended_ns};
    rc = record_part(raw, f.name, &agent->name);
    if (!rc) rc = record_part(raw, f.role, &agent->role);
    if (!rc) rc = record_part(raw, f.status, &agent->status);
    if (!rc) rc = record_part(raw, f.meta, &agent->meta);
    return rc ? rc : record_part(raw, f.process, &agent->process);
}

int luge_agent_after(luge_txn *txn, const struct luge_tasks *tasks,
                     uint64_t after, struct luge_agent *agent)
{
    uint64_t id = 0;
    int rc = id_after(txn, tasks->agent, after, &id);
    return rc ? rc : luge_agent_get(txn, tasks, id, agent);
}

static int agent_ok(const struct luge_agent *a)
{
    int rc = task_name_ok(a->name, "an agent");

    if (!rc) rc = task_text_ok(a->role, LUGE_TASK_NAME_SIZE_MAX, "a role");
    if (!rc) rc = task_text_ok(a->status, LUGE_TASK_TEXT_SIZE_MAX, "a status");
    return rc ? rc : meta_ok(a->meta);
}

int luge_agent_register(luge_txn *txn, const struct luge_tasks *tasks,
                        const struct luge_agent *agent, uint64_t *id)
{
    struct luge_agent a = *agent;
    char process[PROCESS_TEXT_MAX];
    int rc = agent_ok(agent);

    if (!rc) rc = id_is_free(txn, tasks->agent, agent->id);
    if (rc) return rc;
    process_self(process);
    a.process = luge_str(process);
    a.started_ns = a.heartbeat_ns = model_now_ns();
    a.ended_ns = 0;
    rc = agent_put(txn, tasks, &a);
    if (!rc) *id = a.id;
    return rc;
}

/* An agent that has not ended. */
static int agent_running(luge_txn *txn, const struct luge_tasks *tasks,
                         uint64_t id, struct luge_agent *a)
{
    int rc = luge_agent_get(txn, tasks, id, a);

    if (rc || !a->ended_ns) return rc;
    return model_fail(LUGE_MISMATCH, "agent %llu has ended",
                      (unsigned long long)id);
}

int luge_agent_heartbeat(luge_txn *txn, const struct luge_tasks *tasks,
                         uint64_t id, const luge_bytes *status)
{
    struct luge_agent a;
    int rc = agent_running(txn, tasks, id, &a);

    if (!rc && status)
        rc = task_text_ok(*status, LUGE_TASK_TEXT_SIZE_MAX, "a status");
    if (rc) return rc;
    if (status) a.status = *status;
    a.heartbeat_ns = model_now_ns();
    return agent_put(txn, tasks, &a);
}

/* Give back what agent ID holds.  The leases are few: one for each task that is
 * being worked on. */
static int give_back_all(luge_txn *txn, const struct luge_tasks *tasks,
                         uint64_t id, size_t *count)
{
    uint64_t until_ns = 0, task = 0;
    luge_bytes found, value;
    struct tuple key;
    struct task t;
    int rc;

    for (;;) {
        task_key_two(&key, until_ns, task);
        rc = luge_near(txn, tasks->lease, LUGE_GT, tuple_key(&key), &found,
                       &value);
        if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
        rc = task_read_two(found, &until_ns, &task);
        if (!rc) rc = task_load(txn, tasks, task, &t);
        if (rc) return rc;
        if (t.fixed.agent != id) continue;
        rc = task_give_back(txn, tasks, &t, "its agent ended");
        if (rc) return rc;
        ++*count;
    }
}

int luge_agent_end(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
                   size_t *count)
{
    struct luge_agent a;
    size_t given = 0;
    int rc = agent_running(txn, tasks, id, &a);

    if (rc) return rc;
    a.ended_ns = model_now_ns();
    rc = agent_put(txn, tasks, &a);
    if (!rc) rc = give_back_all(txn, tasks, id, &given);
    if (!rc && count) *count = given;
    return rc;
}

int luge_agent_state_of(const struct luge_agent *agent, uint64_t stale_ms)
{
    uint64_t now = model_now_ns();

    if (agent->ended_ns) return LUGE_AGENT_ENDED;
    if (process_is_gone(agent->process.data, agent->process.size))
        return LUGE_AGENT_GONE;
    if (stale_ms && now > agent->heartbeat_ns &&
        (now - agent->heartbeat_ns) / 1000000 > stale_ms)
        return LUGE_AGENT_STALE;
    return LUGE_AGENT_ALIVE;
}

int luge_agent_reap(luge_txn *txn, const struct luge_tasks *tasks,
                    uint64_t stale_ms, size_t *count)
{
    struct luge_agent a = {.id = 0};
    size_t ended = 0;
    int rc;

    while ((rc = luge_agent_after(txn, tasks, a.id, &a)) == 0) {
        int state = luge_agent_state_of(&a, stale_ms);
        if (state != LUGE_AGENT_GONE && state != LUGE_AGENT_STALE) continue;
        rc = luge_agent_end(txn, tasks, a.id, NULL);
        if (rc) return rc;
        ended++;
    }
    if (count) *count = ended;
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int luge_agent_forget(luge_txn *txn, const struct luge_tasks *tasks,
                      uint64_t before_ns, size_t limit, size_t *count)
{
    struct luge_agent a = {.id = 0};
    struct tuple key;
    int rc = 0;

    for (*count = 0; !rc && *count < limit;) {
        rc = luge_agent_after(txn, tasks, a.id, &a);
        if (rc || !a.ended_ns || a.ended_ns >= before_ns) continue;
        task_key(&key, a.id);
        rc = luge_del(txn, tasks->agent, tuple_key(&key));
        ++*count;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ------------------------------------ the holders of the first leases -- */

/* The agent of the lease behind (*until_ns, *task); *gone: its number if its
 * process is gone, else 0. */
static int look_at_holder(luge_txn *txn, const struct luge_tasks *tasks,
                          uint64_t *until_ns, uint64_t *task, uint64_t *gone)
{
    luge_bytes found, value;
    struct luge_agent a;
    struct tuple key;
    struct task t;
    int rc;

    *gone = 0;
    task_key_two(&key, *until_ns, *task);
    rc = luge_near(txn, tasks->lease, LUGE_GT, tuple_key(&key), &found, &value);
    if (!rc) rc = task_read_two(found, until_ns, task);
    if (rc) return rc;
    rc = task_load(txn, tasks, *task, &t);
    if (!rc) rc = luge_agent_get(txn, tasks, t.fixed.agent, &a);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;    /* not registered */
    if (luge_agent_state_of(&a, 0) == LUGE_AGENT_GONE) *gone = a.id;
    return 0;
}

int task_see_gone(luge_txn *txn, const struct luge_tasks *tasks, uint64_t *gone)
{
    uint64_t until_ns = 0, task = 0;
    int rc = 0;

    *gone = 0;
    for (int i = 0; i < GONE_LOOK && !rc && !*gone; i++)
        rc = look_at_holder(txn, tasks, &until_ns, &task, gone);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ------------------------------------------------------------- sessions -- */

static int session_put(luge_txn *txn, const struct luge_tasks *tasks,
                       const struct luge_session *s)
{
    struct session_record f = session_default;
    struct record_writer w;

    f.state = (uint8_t)s->state;
    f.created_ns = s->created_ns;
    f.started_ns = s->started_ns;
    f.ended_ns = s->ended_ns;
    record_begin(&w, &f.head);
    record_add(&w, &f.objective, s->objective);
    record_add(&w, &f.strategy, s->strategy);
    record_add(&w, &f.meta, s->meta);
    record_add(&w, &f.error, s->error);
    return put_record(txn, tasks->session, s->id, &w);
}

int luge_session_get(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
                     struct luge_session *session)
{
    struct session_record f;
    struct tuple key;
    luge_bytes raw;
    int rc;

    task_key(&key, id);
    rc = luge_get(txn, tasks->session, tuple_key(&key), &raw);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "there is no session %llu",
                          (unsigned long long)id);
    if (!rc) rc = record_read(&session_default.head, raw, &f);
    if (rc) return rc;
    *session = (struct luge_session){
        .id = id, .state = f.state, .created_ns = f.created_ns,
        .started_ns = f.started_ns, .ended_ns = f.ended_ns};
    rc = record_part(raw, f.objective, &session->objective);
    if (!rc) rc = record_part(raw, f.strategy, &session->strategy);
    if (!rc) rc = record_part(raw, f.meta, &session->meta);
    return rc ? rc : record_part(raw, f.error, &session->error);
}

int luge_session_after(luge_txn *txn, const struct luge_tasks *tasks,
                       uint64_t after, struct luge_session *session)
{
    uint64_t id = 0;
    int rc = id_after(txn, tasks->session, after, &id);
    return rc ? rc : luge_session_get(txn, tasks, id, session);
}

int luge_session_forget(luge_txn *txn, const struct luge_tasks *tasks,
                        uint64_t before_ns, size_t limit, size_t *count)
{
    struct luge_session s = {.id = 0};
    struct tuple key;
    int rc = 0;

    for (*count = 0; !rc && *count < limit;) {
        rc = luge_session_after(txn, tasks, s.id, &s);
        if (rc || !s.ended_ns || s.ended_ns >= before_ns) continue;
        task_key(&key, s.id);
        rc = luge_del(txn, tasks->session, tuple_key(&key));
        ++*count;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Enter STATE, and note when. */
static int session_enter(struct luge_session *s, int state)
{
    uint64_t now = model_now_ns();

    if (state < LUGE_SESSION_PENDING || state > LUGE_SESSION_CANCELLED)
        return model_fail(LUGE_INVALID, "a session in state %d", state);
    s->state = state;
    if (state == LUGE_SESSION_EXECUTING && !s->started_ns) s->started_ns = now;
    if (state >= LUGE_SESSION_COMPLETED) s->ended_ns = now;
    return 0;
}

int luge_session_begin(luge_txn *txn, const struct luge_tasks *tasks,
                       const struct luge_session *session, uint64_t *id)
{
    struct luge_session s = *session;
    int rc = task_text_ok(s.objective, LUGE_TASK_TEXT_SIZE_MAX, "an objective");

    s.error = luge_str("");
    s.created_ns = model_now_ns();
    s.started_ns = s.ended_ns = 0;
    if (!rc)
        rc = task_text_ok(s.strategy, LUGE_TASK_NAME_SIZE_MAX, "a strategy");
    if (!rc) rc = meta_ok(s.meta);
    if (!rc)
        rc = session_enter(&s, s.state ? s.state : LUGE_SESSION_PENDING);
    if (!rc) rc = id_is_free(txn, tasks->session, s.id);
    if (!rc) rc = session_put(txn, tasks, &s);
    if (!rc) *id = s.id;
    return rc;
}

int luge_session_set(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
                     int state, const luge_bytes *error)
{
    struct luge_session s;
    int rc = luge_session_get(txn, tasks, id, &s);

    if (!rc && s.ended_ns)
        rc = model_fail(LUGE_MISMATCH, "session %llu has ended",
                        (unsigned long long)id);
    if (!rc && error)
        rc = task_text_ok(*error, LUGE_TASK_TEXT_SIZE_MAX, "an error");
    if (!rc) rc = session_enter(&s, state);
    if (rc) return rc;
    if (error) s.error = *error;
    return session_put(txn, tasks, &s);
}

/* ------------------------------------------------------------------ _now -- */

struct beginning {
    const struct luge_tasks *tasks;
    struct luge_agent agent;
    struct luge_session session;
    uint64_t id;
};

static int register_in(luge_txn *txn, void *context)
{
    struct beginning *b = context;
    return luge_agent_register(txn, b->tasks, &b->agent, &b->id);
}

int luge_agent_register_now(luge_db *db, unsigned flags,
                            const struct luge_tasks *tasks,
                            const struct luge_agent *agent, uint64_t *id)
{
    struct beginning b = {.tasks = tasks, .agent = *agent};
    int rc = 0;

    if (!b.agent.id) rc = luge_next_id(db, &b.agent.id);
    if (!rc) rc = luge_transact(db, flags, register_in, &b);
    if (!rc) *id = b.id;
    return rc;
}

static int begin_in(luge_txn *txn, void *context)
{
    struct beginning *b = context;
    return luge_session_begin(txn, b->tasks, &b->session, &b->id);
}

int luge_session_begin_now(luge_db *db, unsigned flags,
                           const struct luge_tasks *tasks,
                           const struct luge_session *session, uint64_t *id)
{
    struct beginning b = {.tasks = tasks, .session = *session};
    int rc = 0;

    if (!b.session.id) rc = luge_next_id(db, &b.session.id);
    if (!rc) rc = luge_transact(db, flags, begin_in, &b);
    if (!rc) *id = b.id;
    return rc;
}
