/* cli/task_work.c -- luge task work: a worker made of a shell command.
 *
 *   claim -> sh -c COMMAND, payload on its standard input -> complete with what
 *   it printed, or fail with its exit code
 * While the command runs, its lease is renewed three times as often as needed.
 * Whoever has lost the lease nonetheless (the machine slept) kills the command:
 * somebody else works on it.
 * Not here: claiming without a command (task.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "task.h"

enum { WAIT_MS_MAX = 1000 };

struct work {
    struct call *c;
    struct luge_tasks tasks;
    const struct luge_task *task;
    uint64_t lease_ms, renew_at_ms;
    pid_t child;
    int to, from;               /* the command's standard input and output */
    size_t given;               /* of the payload */
    char *result;
    size_t size;
    int rc;                     /* of the last heartbeat */
};

static uint64_t ticks_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ----------------------------------------------------------- the command -- */

static const int enders[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t running;       /* its group; 0: none */

static sigset_t ender_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(enders) / sizeof(*enders); i++)
        sigaddset(&set, enders[i]);
    return set;
}

static void become(const char *command, const int in[2], const int out[2])
{
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    if (dup2(in[0], STDIN_FILENO) >= 0 && dup2(out[1], STDOUT_FILENO) >= 0)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static int start(struct work *w)
{
    int in[2], out[2];
    char id[24];

    snprintf(id, sizeof(id), "%llu", (unsigned long long)w->task->id);
    setenv("LUGE_TASK", id, 1);
    if (pipe2(in, O_CLOEXEC)) return LUGE_IO;
    if (pipe2(out, O_CLOEXEC)) {
        close(in[0]);
        close(in[1]);
        return LUGE_IO;
    }
    sigset_t set = ender_set(), before;
    sigprocmask(SIG_BLOCK, &set, &before);
    w->child = fork();
    if (!w->child) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        become(call_text(w->c, 3), in, out);
    }
    if (w->child > 0) setpgid(w->child, w->child);  /* whoever comes first */
    if (w->child > 0) running = w->child;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(in[0]);
    close(out[1]);
    w->to = in[1];
    w->from = out[0];
    fcntl(w->to, F_SETFL, O_NONBLOCK);
    return w->child < 0 ? LUGE_IO : 0;
}

static void close_once(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void give(struct work *w)
{
    const char *payload = w->task->payload.data;
    size_t left = w->task->payload.size - w->given;
    ssize_t size = left ? write(w->to, payload + w->given, left) : 0;

    if (size > 0) w->given += (size_t)size;
    bool later = size < 0 && (errno == EAGAIN || errno == EINTR);
    if (!later && (size < 0 || w->given == w->task->payload.size))
        close_once(&w->to);     /* all of it, or nobody reads it */
}

/* One byte more than a result may have: then it is too large. */
static void take(struct work *w)
{
    ssize_t size = read(w->from, w->result + w->size,
                        LUGE_TASK_PAYLOAD_SIZE_MAX + 1 - w->size);

    if (size > 0) w->size += (size_t)size;
    if (size == 0 || (size < 0 && errno != EINTR) ||
        w->size > LUGE_TASK_PAYLOAD_SIZE_MAX)
        close_once(&w->from);
}

/* Who ends luge ends what it has started; nobody would keep the lease. */
static void end_both(int number)
{
    if (running) kill(-(pid_t)running, SIGKILL);
    signal(number, SIG_DFL);
    raise(number);
}

static void mind_signals(void)
{
    struct sigaction action = {.sa_handler = end_both}, old;

    for (size_t i = 0; i < sizeof(enders) / sizeof(*enders); i++)
        if (!sigaction(enders[i], NULL, &old) && old.sa_handler == SIG_DFL)
            sigaction(enders[i], &action, NULL);
}

/* Keep the lease.  Whoever has lost it stops the command and all that it has
 * started. */
static void renew(struct work *w)
{
    if (w->rc || ticks_ms() < w->renew_at_ms) return;
    w->rc = luge_task_heartbeat_now(w->c->db, 0, &w->tasks, w->task->id,
                                    w->task->lease, w->lease_ms, NULL);
    w->renew_at_ms = ticks_ms() + w->lease_ms / 3;
    if (w->rc && kill(-w->child, SIGKILL)) kill(w->child, SIGKILL);
}

/* Until it has ended; *status as of waitpid. */
static void attend(struct work *w, int *status)
{
    struct pollfd fds[2];

    int wait_ms = w->lease_ms / 3 < WAIT_MS_MAX ? (int)(w->lease_ms / 3) + 1
                                                : WAIT_MS_MAX;

    while (w->from >= 0 && !w->rc) {
        fds[0] = (struct pollfd){w->from, POLLIN, 0};
        fds[1] = (struct pollfd){w->to, POLLOUT, 0};
        int ready = poll(fds, 2, wait_ms);
        if (ready > 0 && fds[0].revents) take(w);
        if (ready > 0 && fds[1].revents) give(w);
        renew(w);
    }
    close_once(&w->to);
    close_once(&w->from);
    while (waitpid(w->child, status, WNOHANG) == 0) {
        nanosleep(&(struct timespec){0, 5000000}, NULL);
        renew(w);
    }
}

/* ---------------------------------------------------------------- a task -- */

static int settle(struct work *w, int status)
{
    luge_db *db = w->c->db;
    const struct luge_task *t = w->task;
    char why[64] = "";

    if (w->rc) return w->rc;
    if (w->size > LUGE_TASK_PAYLOAD_SIZE_MAX)
        snprintf(why, sizeof(why), "it printed more than %u bytes",
                 LUGE_TASK_PAYLOAD_SIZE_MAX);
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof(why), "killed by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        snprintf(why, sizeof(why), "exit code %d", WEXITSTATUS(status));
    if (*why)
        return luge_task_fail_now(db, 0, &w->tasks, t->id, t->lease,
                                  luge_str(why), 0);
    return luge_task_complete_now(db, 0, &w->tasks, t->id, t->lease,
                                  luge_bytes_of(w->result, w->size));
}

static int work_on(struct work *w)
{
    int status = 0, rc;

    w->given = w->size = 0;
    w->rc = 0;
    w->renew_at_ms = ticks_ms() + w->lease_ms / 3;
    rc = start(w);
    if (rc)
        return luge_fail(rc, __FILE__, __LINE__, "the command cannot be "
                         "started: %s", strerror(errno));
    attend(w, &status);
    running = 0;
    rc = settle(w, status);
    if (rc == LUGE_MISMATCH) {
        fprintf(stderr, "luge: the lease of task %llu was lost\n",
                (unsigned long long)w->task->id);
        return 0;
    }
    return rc;
}

static int work_all(struct work *w, luge_worker *worker, uint64_t limit)
{
    int wait_ms = call_has(w->c, OPTION_ONCE) ? 0 : -1;
    struct luge_task task;
    int rc = 0;

    while (!rc && limit--) {
        rc = luge_worker_next(worker, 0, wait_ms, &task);
        if (rc) return rc == LUGE_TIMEOUT ? 0 : rc;
        w->task = &task;
        rc = work_on(w);
    }
    return rc;
}

static int agent_end(luge_txn *txn, void *context)
{
    const struct work *w = context;

    return luge_agent_end(txn, &w->tasks, w->c->made[0], NULL);
}

/* That of --session. */
static int work_session(const struct call *c, const struct luge_tasks *tasks,
                        uint64_t *session)
{
    luge_txn *txn;
    int rc = luge_begin(c->db, LUGE_READ, &txn);

    if (rc) return rc;
    rc = option_session(c, txn, tasks, session);
    luge_abort(txn);
    return rc;
}

int task_work(struct call *c)
{
    const char *name = c->options[OPTION_AUTHOR];
    struct luge_agent agent = {.name = luge_str(name ? name : "luge"),
                               .role = c->arguments[2]};
    struct work w = {.c = c, .to = -1, .from = -1};
    luge_worker *worker = NULL;
    uint64_t limit;
    int rc = option_ms(c, OPTION_LEASE, LEASE_MS, &w.lease_ms);

    if (!rc) rc = call_number(c, OPTION_LIMIT, UINT64_MAX, &limit);
    if (!rc) rc = task_store_now(c, LUGE_TREE_CREATE, &w.tasks);
    if (!rc) rc = work_session(c, &w.tasks, &agent.session);
    if (!rc)
        rc = luge_agent_register_now(c->db, 0, &w.tasks, &agent, &c->made[0]);
    if (rc) return rc;
    signal(SIGPIPE, SIG_IGN);
    mind_signals();
    w.result = malloc(LUGE_TASK_PAYLOAD_SIZE_MAX + 1);
    rc = w.result ? luge_worker_open(c->db, &w.tasks, c->arguments[2],
                                     c->made[0], w.lease_ms, &worker)
                  : LUGE_NOMEM;
    if (!rc) rc = work_all(&w, worker, limit);
    if (worker) luge_worker_close(worker);
    free(w.result);
    int ended = luge_transact(c->db, 0, agent_end, &w);
    return rc ? rc : ended;
}
