/* cli/task.h -- what the files of luge task share. */
#ifndef CLI_TASK_H
#define CLI_TASK_H

#include "cli.h"
#include "luge_task.h"

/* task.c: the tasks at --path. */
int task_store(const struct call *c, luge_txn *txn, unsigned flags,
               struct luge_tasks *tasks);
int task_store_now(const struct call *c, unsigned flags,
                   struct luge_tasks *tasks);

/* An option in seconds as milliseconds; an exit code. */
int option_ms(const struct call *c, enum option_number option,
              uint64_t otherwise, uint64_t *ms);

/* --session, which must have begun; 0: none is asked for.  A luge code or, if
 * positive, an exit code. */
int option_session(const struct call *c, luge_txn *txn,
                   const struct luge_tasks *tasks, uint64_t *session);

enum { LEASE_MS = 60000 };      /* if nobody says how long */

/* task_look.c: actions that look. */
int task_list(struct call *c);
int task_show(struct call *c);
int task_counts(struct call *c);
int task_agents(struct call *c);
int task_sessions(struct call *c);
void task_print(const struct call *c, const struct luge_task *t);

/* task_work.c: claim the tasks of a queue and run a command for each. */
int task_work(struct call *c);

#endif
