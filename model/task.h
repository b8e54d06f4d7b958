/* model/task.h -- how tasks lie in their trees.
 *
 *   task     (id) -> struct task_record: the truth
 *   ready    (queue, -priority, id) -> nothing        while READY
 *   due      (until_ns, id) -> nothing                while DELAYED
 *   lease    (until_ns, id) -> nothing                while LEASED
 *   depend   (id, id of who waits for it) -> nothing  until it is COMPLETED
 *   dead     (id) -> nothing                          while DEAD or CANCELLED
 *   ended    (ended_ns, id) -> nothing                these, and COMPLETED
 *   agent    (id) -> struct agent_record
 *   session  (id) -> struct session_record
 *
 *   K1  A task has the keys that its state asks for, and no others; task_move
 *       is the only place where they change.
 *   K2  waiting_for is how many of the task's depends have it in depend.
 *   K3  lease rises with each claim and never falls (T1).
 * Keys are tuples (tuple.h).  Not here: what is public (luge_task.h).
 */
#ifndef MODEL_TASK_H
#define MODEL_TASK_H

#include "luge_task.h"
#include "record.h"
#include "tuple.h"

struct task_record {
    struct record_head head;
    uint8_t state;              /* of luge_task_state */
    uint8_t unused[3];
    int32_t priority;
    uint32_t attempt, attempts_max, backoff_ms, waiting_for;
    uint32_t unused_too;
    uint64_t lease, agent, session;
    uint64_t published_ns, until_ns, claimed_ns, ended_ns;
    struct record_part queue, payload, status, result, error, depends;
};

struct agent_record {
    struct record_head head;
    uint32_t unused;
    uint64_t session, started_ns, heartbeat_ns, ended_ns;
    struct record_part name, role, status, meta, process;
};

struct session_record {
    struct record_head head;
    uint8_t state;              /* of luge_session_state */
    uint8_t unused[3];
    uint64_t created_ns, started_ns, ended_ns;
    struct record_part objective, strategy, meta, error;
};

extern const struct task_record task_default;
extern const struct agent_record agent_default;
extern const struct session_record session_default;

/* A task in hand: its fields, and its parts wherever they are. */
enum task_part {
    TASK_QUEUE, TASK_PAYLOAD, TASK_STATUS, TASK_RESULT, TASK_ERROR,
    TASK_DEPENDS, TASK_PARTS
};

struct task {
    uint64_t id;
    struct task_record fixed;
    luge_bytes parts[TASK_PARTS]; /* as luge_get: gone with the next change */
};

int task_load(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
              struct task *t);

/* Write T in STATE, until UNTIL_NS, with its keys (K1).  NEW: it had none yet.
 * T's parts are gone afterwards. */
int task_move(luge_txn *txn, const struct luge_tasks *tasks, struct task *t,
              int state, uint64_t until_ns);
int task_make(luge_txn *txn, const struct luge_tasks *tasks, struct task *t,
              int state, uint64_t until_ns);

/* T as the public knows it.  Memory: T's parts'. */
void task_show(const struct task *t, struct luge_task *task);

/* LEASED no more, and that was an attempt: READY or DEAD. */
int task_give_back(luge_txn *txn, const struct luge_tasks *tasks,
                   struct task *t, const char *why);

/* Key and columns: (a), (a, b).  Of task_read_two either may be NULL. */
void task_key(struct tuple *key, uint64_t id);
void task_key_two(struct tuple *key, uint64_t first, uint64_t second);
int task_read_two(luge_bytes key, uint64_t *first, uint64_t *second);

/* INVALID or TOOBIG, naming WHAT. */
int task_name_ok(luge_bytes name, const char *what);
int task_text_ok(luge_bytes text, size_t size_max, const char *what);

/* The task of QUEUE that is next.  NOTFOUND. */
int task_first_ready(luge_txn *txn, const struct luge_tasks *tasks,
                     luge_bytes queue, uint64_t *id);

/* When the first task is due or loses its lease: UINT64_MAX if none will. */
int task_next_time(luge_txn *txn, const struct luge_tasks *tasks,
                   uint64_t *time_ns);

/* Whether a claim may find something: READY, or due.  NOTFOUND if not. */
int task_is_there(luge_txn *txn, const struct luge_tasks *tasks,
                  luge_bytes queue);

/* An agent among the holders of the first leases whose process is gone; 0 if
 * there is none. */
int task_see_gone(luge_txn *txn, const struct luge_tasks *tasks,
                  uint64_t *gone);

#endif
