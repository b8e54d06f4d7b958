/* luge_task.h -- tasks that many processes hand to each other, and who is there
 * to do them.
 *
 *  WAITING --what it depends on is completed--> READY, or DELAYED
 *  DELAYED --its time comes--> READY --claim--> LEASED --complete--> COMPLETED
 *  LEASED  --fail--> DELAYED (it is tried again later), or DEAD after the last
 *  LEASED  --release--> READY
 *  LEASED  --the lease runs out; its agent ends--> READY, or DEAD likewise
 *  all of these --cancel--> CANCELLED       DEAD, CANCELLED --revive--> READY
 *
 * What holds here:
 *   T1  A task is LEASED to one agent at a time.  Each claim of it has a number
 *       of its own; whoever says another is answered MISMATCH and changes
 *       nothing.  So of all that worked on it, one completes it.
 *   T2  No task is lost: one whose agent dies is READY again when the lease
 *       runs out, or when somebody looks whether the agent's process is there.
 *   T3  Claims take the greatest priority first, then the smallest id.
 *   T4  A task is READY only when all that it depends on is COMPLETED.
 *
 * A function with a luge_txn works in the caller's transaction; one whose name
 * ends in _now makes one of its own (flags: LUGE_TXN_FULL, LUGE_TXN_ASYNC,
 * LUGE_TURN).  Two optimistic transactions that claim from one queue conflict;
 * luge_task_claim_now and luge_worker_next hold the turn and never do.
 * docs/why/tasks.md has the reasons and the figures.
 *
 * Numbers of tasks, agents and sessions are luge_next_id's.
 * Times are the system's clock, nanoseconds since 1970: a clock that jumps
 * makes leases shorter or longer, which T1 survives.
 * Threads: as the transaction's; a luge_worker's calls one at a time.
 * Return values and errors as in luge.h; besides those that a function names,
 * those of luge_get and luge_put.  NOTFOUND: there is no such task.
 */
#ifndef LUGE_TASK_H
#define LUGE_TASK_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LUGE_TASK_NAME_SIZE_MAX 255u          /* bytes of a queue's name */
#define LUGE_TASK_TEXT_SIZE_MAX 65536u        /* bytes of a status, an error */
#define LUGE_TASK_PAYLOAD_SIZE_MAX (1u << 20) /* bytes of a payload, a result:
                                               rewritten with each change */
#define LUGE_TASK_DEPENDS_MAX 1024u           /* tasks that one depends on */
#define LUGE_TASK_LEASE_MS_MAX 2592000000u    /* 30 days */
#define LUGE_TASK_BACKOFF_MS_MAX 3600000u     /* an hour: the longest pause */

/* Where tasks live: the trees PATH/task, PATH/ready and so on.  A plain value
 * that stays good for as long as the trees exist. */
struct luge_tasks {
    luge_tree task, ready, due, lease, depend, dead, ended, agent, session;
};

/* As luge_events_open.  "tasks" is the customary path. */
LUGE_API int luge_tasks_open(luge_txn *txn, luge_bytes path, unsigned flags,
                             struct luge_tasks *tasks);
LUGE_API int luge_tasks_open_now(luge_db *db, luge_bytes path, unsigned flags,
                                 struct luge_tasks *tasks);

/* name, value, the word that commands and JSON use */
#define LUGE_TASK_STATES(X)                                                   \
    X(WAITING, 1, "waiting")                                                  \
    X(DELAYED, 2, "delayed")                                                  \
    X(READY, 3, "ready")                                                      \
    X(LEASED, 4, "leased")                                                    \
    X(COMPLETED, 5, "completed")                                              \
    X(DEAD, 6, "dead")                                                        \
    X(CANCELLED, 7, "cancelled")

enum luge_task_state {
    LUGE_TASK_ANY = 0,
#define X(name, value, text) LUGE_TASK_##name = value,
    LUGE_TASK_STATES(X)
#undef X
};

/* The word for STATE, "unknown" for none of them.  Static memory. */
LUGE_API const char *luge_task_state_text(int state);

/* ------------------------------------------------------------ publishing -- */

/* A task to publish.  Zero means the default; {0} with a queue is one. */
struct luge_task_new {
    uint64_t id;            /* from luge_next_id; publish_now: 0 for that */
    luge_bytes queue;       /* 1 .. 255 bytes */
    luge_bytes payload;
    int32_t priority;       /* greater ones first */
    uint32_t attempts_max;  /* claims before it is DEAD; 0: 5 */
    uint64_t delay_ms;      /* not before so long from now */
    uint32_t backoff_ms;    /* pause after the first failure, doubled after each
                               more; 0: 1000 */
    uint64_t session;       /* or 0 */
    const uint64_t *depends; /* ids of tasks that must be COMPLETED first */
    size_t depends_count;
};

/* A task as it is.  Memory: of what it points to, see each function. */
struct luge_task {
    uint64_t id;
    int state;              /* of luge_task_state */
    int32_t priority;
    uint32_t attempt;       /* claims so far, less those that were released */
    uint32_t attempts_max, backoff_ms;
    uint32_t waiting_for;   /* of what it depends on, how many are missing */
    uint64_t lease;         /* the number of its last claim (T1) */
    uint64_t agent;         /* that has it, or had it last */
    uint64_t session;
    uint64_t published_ns;
    uint64_t until_ns;      /* LEASED: the lease's end; else not before then */
    uint64_t claimed_ns;    /* the last time; 0: never */
    uint64_t ended_ns;      /* COMPLETED, DEAD, CANCELLED: when; else 0 */
    luge_bytes queue, payload;
    luge_bytes status;      /* what its agent said last */
    luge_bytes result;      /* COMPLETED */
    luge_bytes error;       /* what the last failure said */
    luge_bytes depends;     /* ids of 8 bytes each, little-endian */
    void *memory;           /* luge_task_free's; NULL if there is none */
};

/* *id, if not NULL: the task's.
 * Errors: INVALID, TOOBIG, LIMIT (too many dependencies), EXISTS (the id is
 * taken); NOTFOUND (it depends on a task that is not there). */
LUGE_API int luge_task_publish(luge_txn *txn, const struct luge_tasks *tasks,
                               const struct luge_task_new *task, uint64_t *id);
LUGE_API int luge_task_publish_now(luge_db *db, unsigned flags,
                                   const struct luge_tasks *tasks,
                                   const struct luge_task_new *task,
                                   uint64_t *id);

/* --------------------------------------------------------------- working -- */

/* Claim the next task of QUEUE for AGENT (any number; that of a registered one
 * lets others see whether it is alive) for LEASE_MS.  Puts first what is due,
 * and what nobody renewed, back where it belongs, 64 tasks at most.
 * NOTFOUND: none is READY.
 * Memory: as luge_get; of claim_now the caller's, who calls luge_task_free.
 * Errors: INVALID (a lease of 0, or above LUGE_TASK_LEASE_MS_MAX). */
LUGE_API int luge_task_claim(luge_txn *txn, const struct luge_tasks *tasks,
                             luge_bytes queue, uint64_t agent,
                             uint64_t lease_ms, struct luge_task *task);
LUGE_API int luge_task_claim_now(luge_db *db, unsigned flags,
                                 const struct luge_tasks *tasks,
                                 luge_bytes queue, uint64_t agent,
                                 uint64_t lease_ms, struct luge_task *task);

/* All of these want the number of the claim, and answer MISMATCH if another has
 * the task, or nobody. */

/* LEASE_MS from now on.  STATUS, if not NULL: how it goes. */
LUGE_API int luge_task_heartbeat(luge_txn *txn, const struct luge_tasks *tasks,
                                 uint64_t id, uint64_t lease, uint64_t lease_ms,
                                 const luge_bytes *status);
LUGE_API int luge_task_heartbeat_now(luge_db *db, unsigned flags,
                                     const struct luge_tasks *tasks,
                                     uint64_t id, uint64_t lease,
                                     uint64_t lease_ms,
                                     const luge_bytes *status);

/* It is done.  What waited for it alone is READY with it. */
LUGE_API int luge_task_complete(luge_txn *txn, const struct luge_tasks *tasks,
                                uint64_t id, uint64_t lease, luge_bytes result);
LUGE_API int luge_task_complete_now(luge_db *db, unsigned flags,
                                    const struct luge_tasks *tasks, uint64_t id,
                                    uint64_t lease, luge_bytes result);

/* It could not be done.  It is tried again after a pause, unless this was the
 * last attempt or FATAL is not 0: then it is DEAD. */
LUGE_API int luge_task_fail(luge_txn *txn, const struct luge_tasks *tasks,
                            uint64_t id, uint64_t lease, luge_bytes error,
                            int fatal);
LUGE_API int luge_task_fail_now(luge_db *db, unsigned flags,
                                const struct luge_tasks *tasks, uint64_t id,
                                uint64_t lease, luge_bytes error, int fatal);

/* Somebody else may do it, at once; this was no attempt. */
LUGE_API int luge_task_release(luge_txn *txn, const struct luge_tasks *tasks,
                               uint64_t id, uint64_t lease);
LUGE_API int luge_task_release_now(luge_db *db, unsigned flags,
                                   const struct luge_tasks *tasks, uint64_t id,
                                   uint64_t lease);

/* -------------------------------------------------------------- ordering -- */

/* Nobody shall do it any more.  MISMATCH: it has ended.  What depends on it
 * keeps waiting, as for a DEAD one: cancel that, too, or revive this. */
LUGE_API int luge_task_cancel(luge_txn *txn, const struct luge_tasks *tasks,
                              uint64_t id);
LUGE_API int luge_task_cancel_now(luge_db *db, unsigned flags,
                                  const struct luge_tasks *tasks, uint64_t id);

/* Try a DEAD or CANCELLED one again, from its first attempt on.
 * MISMATCH: it is neither. */
LUGE_API int luge_task_revive(luge_txn *txn, const struct luge_tasks *tasks,
                              uint64_t id);
LUGE_API int luge_task_revive_now(luge_db *db, unsigned flags,
                                  const struct luge_tasks *tasks, uint64_t id);

/* Put up to LIMIT tasks back that are due or whose lease ran out, as claims
 * do.  *count: how many. */
LUGE_API int luge_task_tick(luge_txn *txn, const struct luge_tasks *tasks,
                            size_t limit, size_t *count);

/* Remove up to LIMIT tasks that ended before BEFORE_NS, the oldest first; not
 * what others still wait for.  *count: how many. */
LUGE_API int luge_task_forget(luge_txn *txn, const struct luge_tasks *tasks,
                              uint64_t before_ns, size_t limit, size_t *count);

/* --------------------------------------------------------------- looking -- */

/* Memory of both: as luge_get. */
LUGE_API int luge_task_get(luge_txn *txn, const struct luge_tasks *tasks,
                           uint64_t id, struct luge_task *task);

/* The first task in STATE (LUGE_TASK_ANY: in any) whose id is greater than
 * AFTER.  NOTFOUND at the end.  Costs what lies between, but for DEAD ones. */
LUGE_API int luge_task_after(luge_txn *txn, const struct luge_tasks *tasks,
                             int state, uint64_t after,
                             struct luge_task *task);

/* How many there are, by states (index: luge_task_state; 0: all).  O(1);
 * CANCELLED ones count as DEAD. */
LUGE_API int luge_task_counts(luge_txn *txn, const struct luge_tasks *tasks,
                              uint64_t counts[8]);

/* A copy of *task whose memory is the caller's, until luge_task_free. */
LUGE_API int luge_task_copy(const struct luge_task *task,
                            struct luge_task *copy);

/* Frees what a copy or luge_task_claim_now gave, and clears it.  Others: no
 * effect. */
LUGE_API void luge_task_free(struct luge_task *task);

/* Wait until task ID has ended, TIMEOUT_MS at most (-1: for ever), through the
 * feed.  *state: what it is now, ended or not.  Errors: TIMEOUT. */
LUGE_API int luge_task_wait(luge_db *db, const struct luge_tasks *tasks,
                            uint64_t id, int timeout_ms, int *state);

/* --------------------------------------------------------------- workers -- */

typedef struct luge_worker luge_worker;

/* Somebody who claims the tasks of QUEUE, one after the other, and sleeps in
 * between.  What is needed is copied.
 * Memory: *worker is the caller's until luge_worker_close, before luge_close.
 * Errors: as luge_task_claim; LIMIT (256 watches on a database). */
LUGE_API int luge_worker_open(luge_db *db, const struct luge_tasks *tasks,
                              luge_bytes queue, uint64_t agent,
                              uint64_t lease_ms, luge_worker **worker);

/* Claim the next task; waits TIMEOUT_MS at most (-1: for ever), through the
 * feed, for one to become READY, due, or given up.  While it waits it looks
 * once a second whether the agents of the 64 leases that end first still have a
 * process, and for what was published meanwhile with a delay, which may so be
 * given out a second late.
 * Memory: of *task WORKER's, until its next call.
 * Errors: TIMEOUT (there was none, or luge_worker_wake was called). */
LUGE_API int luge_worker_next(luge_worker *worker, unsigned flags,
                              int timeout_ms, struct luge_task *task);

/* Let the luge_worker_next that waits, or the next that would, answer TIMEOUT.
 * Any thread.  Never fails. */
LUGE_API void luge_worker_wake(luge_worker *worker);
LUGE_API void luge_worker_close(luge_worker *worker);

/* ---------------------------------------------------------------- agents -- */

/* name, value, word */
#define LUGE_AGENT_STATES(X)                                                  \
    X(ALIVE, 1, "alive")                                                      \
    X(STALE, 2, "stale")                                                      \
    X(GONE, 3, "gone")                                                        \
    X(ENDED, 4, "ended")

enum luge_agent_state {
#define X(name, value, text) LUGE_AGENT_##name = value,
    LUGE_AGENT_STATES(X)
#undef X
};

/* The word for STATE, "unknown" for none of them.  Static memory. */
LUGE_API const char *luge_agent_state_text(int state);

/* Somebody who works.  To register one, give what is marked. */
struct luge_agent {
    uint64_t id;            /* given, as in luge_task_new */
    uint64_t session;       /* given, or 0 */
    uint64_t started_ns, heartbeat_ns;
    uint64_t ended_ns;      /* 0: it has not */
    luge_bytes name;        /* given: 1 .. 255 bytes */
    luge_bytes role;        /* given, or empty; at most 255 bytes */
    luge_bytes status;      /* given, or empty */
    luge_bytes meta;        /* given: JSON, or empty */
    luge_bytes process;     /* which one registered it: boot, process namespace,
                               number, start */
};

/* Register an agent that lives in this process.  *id: its number.
 * Errors: INVALID, TOOBIG, EXISTS. */
LUGE_API int luge_agent_register(luge_txn *txn, const struct luge_tasks *tasks,
                                 const struct luge_agent *agent, uint64_t *id);
LUGE_API int luge_agent_register_now(luge_db *db, unsigned flags,
                                     const struct luge_tasks *tasks,
                                     const struct luge_agent *agent,
                                     uint64_t *id);

/* It is alive.  STATUS, if not NULL: what it does.  MISMATCH: it has ended. */
LUGE_API int luge_agent_heartbeat(luge_txn *txn, const struct luge_tasks *tasks,
                                  uint64_t id, const luge_bytes *status);

/* It has ended, or a supervisor knows so: its tasks are READY again at once.
 * *count, if not NULL: how many.  MISMATCH: it had ended before. */
LUGE_API int luge_agent_end(luge_txn *txn, const struct luge_tasks *tasks,
                            uint64_t id, size_t *count);

/* Memory: as luge_get.  luge_agent_after: the first above AFTER. */
LUGE_API int luge_agent_get(luge_txn *txn, const struct luge_tasks *tasks,
                            uint64_t id, struct luge_agent *agent);
LUGE_API int luge_agent_after(luge_txn *txn, const struct luge_tasks *tasks,
                              uint64_t after, struct luge_agent *agent);

/* How AGENT is: ENDED; GONE if its process is known to be (one in another
 * container is not known); STALE if its last heartbeat is more than STALE_MS
 * ago (0: never); else ALIVE.  Asks the system, not the database. */
LUGE_API int luge_agent_state_of(const struct luge_agent *agent,
                                 uint64_t stale_ms);

/* End all agents that are GONE, or STALE by STALE_MS (0: never).
 * *count, if not NULL: how many. */
LUGE_API int luge_agent_reap(luge_txn *txn, const struct luge_tasks *tasks,
                             uint64_t stale_ms, size_t *count);

/* Remove up to LIMIT agents that ended before BEFORE_NS.  Tasks keep their
 * numbers.  *count: how many.  Costs what all agents are. */
LUGE_API int luge_agent_forget(luge_txn *txn, const struct luge_tasks *tasks,
                               uint64_t before_ns, size_t limit, size_t *count);

/* -------------------------------------------------------------- sessions -- */

/* name, value, word */
#define LUGE_SESSION_STATES(X)                                                \
    X(PENDING, 1, "pending")                                                  \
    X(PLANNING, 2, "planning")                                                \
    X(EXECUTING, 3, "executing")                                              \
    X(COMPLETED, 4, "completed")                                              \
    X(FAILED, 5, "failed")                                                    \
    X(CANCELLED, 6, "cancelled")

enum luge_session_state {
#define X(name, value, text) LUGE_SESSION_##name = value,
    LUGE_SESSION_STATES(X)
#undef X
};

/* The word for STATE, "unknown" for none of them.  Static memory. */
LUGE_API const char *luge_session_state_text(int state);

/* What agents and tasks are for.  To begin one, give what is marked. */
struct luge_session {
    uint64_t id;            /* given, as in luge_task_new */
    int state;              /* given: 0 for PENDING */
    uint64_t created_ns;
    uint64_t started_ns;    /* when it was first EXECUTING; 0: not yet */
    uint64_t ended_ns;      /* COMPLETED, FAILED, CANCELLED: when */
    luge_bytes objective;   /* given; at most 65536 bytes */
    luge_bytes strategy;    /* given, or empty; at most 255 bytes */
    luge_bytes meta;        /* given: JSON, or empty */
    luge_bytes error;
};

/* *id: its number.  Errors: INVALID, TOOBIG, EXISTS. */
LUGE_API int luge_session_begin(luge_txn *txn, const struct luge_tasks *tasks,
                                const struct luge_session *session,
                                uint64_t *id);
LUGE_API int luge_session_begin_now(luge_db *db, unsigned flags,
                                    const struct luge_tasks *tasks,
                                    const struct luge_session *session,
                                    uint64_t *id);

/* Another state.  ERROR, if not NULL: why.  MISMATCH: it has ended. */
LUGE_API int luge_session_set(luge_txn *txn, const struct luge_tasks *tasks,
                              uint64_t id, int state, const luge_bytes *error);

/* Memory: as luge_get.  luge_session_after: the first above AFTER. */
LUGE_API int luge_session_get(luge_txn *txn, const struct luge_tasks *tasks,
                              uint64_t id, struct luge_session *session);
LUGE_API int luge_session_after(luge_txn *txn, const struct luge_tasks *tasks,
                                uint64_t after, struct luge_session *session);

/* As luge_agent_forget. */
LUGE_API int luge_session_forget(luge_txn *txn, const struct luge_tasks *tasks,
                                 uint64_t before_ns, size_t limit,
                                 size_t *count);

#ifdef __cplusplus
}
#endif
#endif
