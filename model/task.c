/* model/task.c -- tasks in their trees: opening, publishing, looking, and the
 * one place where a task's keys change (layout and invariants: task.h).
 * Not here: what may become what (task_work.c). */
#include "task.h"

#include <string.h>

const struct task_record task_default = {
    .head = {sizeof(struct task_record), 1}};

_Static_assert(sizeof(struct task_record) == 136, "no padding, and golden");

enum { ATTEMPTS_DEFAULT = 5, BACKOFF_MS_DEFAULT = 1000 };

const char *luge_task_state_text(int state)
{
    switch (state) {
#define X(name, value, text) \
    case value: return text;
        LUGE_TASK_STATES(X)
#undef X
    default: return "unknown";
    }
}

/* ------------------------------------------------------------- opening -- */

static int open_tree(luge_txn *txn, luge_bytes path, const char *name,
                     unsigned flags, luge_tree *tree)
{
    char whole[LUGE_NAME_SIZE_MAX];
    size_t size = strlen(name);

    if (path.size + 1 + size > sizeof(whole))
        return model_fail(LUGE_TOOBIG, "a path of %zu bytes for tasks",
                          path.size);
    memcpy(whole, path.data, path.size);
    whole[path.size] = '/';
    memcpy(whole + path.size + 1, name, size);
    return luge_tree_open(txn, luge_bytes_of(whole, path.size + 1 + size),
                          flags, tree);
}

int luge_tasks_open(luge_txn *txn, luge_bytes path, unsigned flags,
                    struct luge_tasks *tasks)
{
    struct luge_tasks t;
    const struct { const char *name; luge_tree *tree; } trees[] = {
        {"task", &t.task}, {"ready", &t.ready}, {"due", &t.due},
        {"lease", &t.lease}, {"depend", &t.depend}, {"dead", &t.dead},
        {"ended", &t.ended}, {"agent", &t.agent}, {"session", &t.session}};
    int rc = 0;

    if (!path.size) return model_fail(LUGE_INVALID, "tasks need a path");
    for (size_t i = 0; i < sizeof(trees) / sizeof(*trees) && !rc; i++)
        rc = open_tree(txn, path, trees[i].name, flags, trees[i].tree);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "there are no tasks at %.*s", (int)path.size,
                          (const char *)path.data);
    if (!rc) *tasks = t;
    return rc;
}

struct opening {
    luge_bytes path;
    unsigned flags;
    struct luge_tasks *tasks;
};

static int open_in(luge_txn *txn, void *context)
{
    struct opening *o = context;
    return luge_tasks_open(txn, o->path, o->flags, o->tasks);
}

int luge_tasks_open_now(luge_db *db, luge_bytes path, unsigned flags,
                        struct luge_tasks *tasks)
{
    struct opening o = {path, flags, tasks};
    luge_txn *txn;
    int rc = luge_begin(db, LUGE_READ, &txn);

    if (rc) return rc;
    rc = luge_tasks_open(txn, path, 0, tasks);
    luge_abort(txn);
    if (rc != LUGE_NOTFOUND || !(flags & LUGE_TREE_CREATE)) return rc;
    return luge_transact(db, 0, open_in, &o);
}

/* ----------------------------------------------------------------- keys -- */

void task_key(struct tuple *key, uint64_t id)
{
    tuple_begin(key);
    tuple_put_u64(key, id);
}

void task_key_two(struct tuple *key, uint64_t first, uint64_t second)
{
    task_key(key, first);
    tuple_put_u64(key, second);
}

int task_read_two(luge_bytes key, uint64_t *first, uint64_t *second)
{
    struct tuple_reader r = tuple_read(key);
    uint64_t a, b;
    int rc = tuple_get_u64(&r, &a);

    if (!rc) rc = tuple_get_u64(&r, &b);
    if (!rc) rc = tuple_get_end(&r);
    if (rc) return rc;
    if (first) *first = a;
    if (second) *second = b;
    return 0;
}

int task_name_ok(luge_bytes name, const char *what)
{
    if (!name.size) return model_fail(LUGE_INVALID, "%s needs a name", what);
    return task_text_ok(name, LUGE_TASK_NAME_SIZE_MAX, what);
}

int task_text_ok(luge_bytes text, size_t size_max, const char *what)
{
    if (text.size <= size_max) return 0;
    return model_fail(LUGE_TOOBIG, "%s of %zu bytes; %zu are allowed", what,
                      text.size, size_max);
}

static void ready_key(struct tuple *key, luge_bytes queue, int32_t priority,
                      uint64_t id)
{
    tuple_begin(key);
    tuple_put_text(key, queue);
    tuple_put_i64(key, -(int64_t)priority);
    tuple_put_u64(key, id);
}

/* The keys that a task has besides its record's: at most two. */
struct keys {
    unsigned count;
    luge_tree trees[2];
    struct tuple list[2];
};

static struct tuple *keys_add(struct keys *k, luge_tree tree)
{
    k->trees[k->count] = tree;
    return &k->list[k->count++];
}

static void keys_of(const struct luge_tasks *tasks, const struct task *t,
                    struct keys *k)
{
    const struct task_record *f = &t->fixed;

    k->count = 0;
    switch (f->state) {
    case LUGE_TASK_READY:
        ready_key(keys_add(k, tasks->ready), t->parts[TASK_QUEUE], f->priority,
                  t->id);
        break;
    case LUGE_TASK_DELAYED:
        task_key_two(keys_add(k, tasks->due), f->until_ns, t->id);
        break;
    case LUGE_TASK_LEASED:
        task_key_two(keys_add(k, tasks->lease), f->until_ns, t->id);
        break;
    case LUGE_TASK_DEAD:
    case LUGE_TASK_CANCELLED:
        task_key(keys_add(k, tasks->dead), t->id);
        task_key_two(keys_add(k, tasks->ended), f->ended_ns, t->id);
        break;
    case LUGE_TASK_COMPLETED:
        task_key_two(keys_add(k, tasks->ended), f->ended_ns, t->id);
        break;
    default:
        break;
    }
}

/* -------------------------------------------------------------- records -- */

int task_load(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
              struct task *t)
{
    struct task_record *f = &t->fixed;
    struct tuple key;
    luge_bytes raw;
    int rc;

    t->id = id;
    task_key(&key, id);
    rc = luge_get(txn, tasks->task, tuple_key(&key), &raw);
    if (rc == LUGE_NOTFOUND)
        return model_fail(rc, "there is no task %llu", (unsigned long long)id);
    if (!rc) rc = record_read(&task_default.head, raw, f);
    if (!rc) rc = record_part(raw, f->queue, &t->parts[TASK_QUEUE]);
    if (!rc) rc = record_part(raw, f->payload, &t->parts[TASK_PAYLOAD]);
    if (!rc) rc = record_part(raw, f->status, &t->parts[TASK_STATUS]);
    if (!rc) rc = record_part(raw, f->result, &t->parts[TASK_RESULT]);
    if (!rc) rc = record_part(raw, f->error, &t->parts[TASK_ERROR]);
    if (!rc) rc = record_part(raw, f->depends, &t->parts[TASK_DEPENDS]);
    if (rc) return rc;
    if (t->parts[TASK_QUEUE].size > LUGE_TASK_NAME_SIZE_MAX ||
        t->parts[TASK_DEPENDS].size % sizeof(uint64_t))
        return MODEL_CORRUPT("task %llu has a malformed record",
                             (unsigned long long)id);
    return 0;
}

static int store(luge_txn *txn, const struct luge_tasks *tasks, struct task *t)
{
    struct record_writer w;
    struct tuple key;
    luge_bytes raw;
    int rc;

    t->fixed.head = task_default.head;  /* what we write is of our version */
    record_begin(&w, &t->fixed.head);
    record_add(&w, &t->fixed.queue, t->parts[TASK_QUEUE]);
    record_add(&w, &t->fixed.payload, t->parts[TASK_PAYLOAD]);
    record_add(&w, &t->fixed.status, t->parts[TASK_STATUS]);
    record_add(&w, &t->fixed.result, t->parts[TASK_RESULT]);
    record_add(&w, &t->fixed.error, t->parts[TASK_ERROR]);
    record_add(&w, &t->fixed.depends, t->parts[TASK_DEPENDS]);
    task_key(&key, t->id);
    rc = record_end(&w, &raw);
    if (!rc) rc = luge_put(txn, tasks->task, tuple_key(&key), raw);
    record_free(&w);
    return rc;
}

static int put_keys(luge_txn *txn, const struct keys *k)
{
    int rc = 0;

    for (unsigned i = 0; i < k->count && !rc; i++)
        rc = luge_put(txn, k->trees[i], tuple_key(&k->list[i]), luge_str(""));
    return rc;
}

/* A key that K1 promises and that is not there is the file's fault. */
static int del_keys(luge_txn *txn, const struct keys *k, uint64_t id)
{
    int rc = 0;

    for (unsigned i = 0; i < k->count && !rc; i++)
        rc = luge_del(txn, k->trees[i], tuple_key(&k->list[i]));
    if (rc != LUGE_NOTFOUND) return rc;
    return MODEL_CORRUPT("task %llu lacks a key that its state asks for",
                         (unsigned long long)id);
}

int task_make(luge_txn *txn, const struct luge_tasks *tasks, struct task *t,
              int state, uint64_t until_ns)
{
    struct keys keys;
    int rc;

    t->fixed.state = (uint8_t)state;
    t->fixed.until_ns = until_ns;
    keys_of(tasks, t, &keys);
    rc = store(txn, tasks, t);
    return rc ? rc : put_keys(txn, &keys);
}

static int same_keys(const struct keys *a, const struct keys *b)
{
    if (a->count != b->count) return 0;
    for (unsigned i = 0; i < a->count; i++)
        if (a->trees[i] != b->trees[i] || a->list[i].size != b->list[i].size ||
            memcmp(a->list[i].bytes, b->list[i].bytes, a->list[i].size))
            return 0;
    return 1;
}

/* The parts are looked at for the last time before the first change. */
int task_move(luge_txn *txn, const struct luge_tasks *tasks, struct task *t,
              int state, uint64_t until_ns)
{
    struct task_record *f = &t->fixed;
    struct keys before, after;
    int rc;

    keys_of(tasks, t, &before);
    f->state = (uint8_t)state;
    f->until_ns = until_ns;
    if (state < LUGE_TASK_COMPLETED) f->ended_ns = 0;
    else if (!f->ended_ns) f->ended_ns = model_now_ns();
    keys_of(tasks, t, &after);
    rc = store(txn, tasks, t);
    if (rc || same_keys(&before, &after)) return rc;
    rc = del_keys(txn, &before, t->id);
    return rc ? rc : put_keys(txn, &after);
}

/* ----------------------------------------------------------- publishing -- */

static int new_ok(const struct luge_task_new *n)
{
    int rc = task_name_ok(n->queue, "a queue");

    if (!rc) rc = task_text_ok(n->payload, LUGE_TASK_PAYLOAD_SIZE_MAX,
                               "a payload");
    if (rc) return rc;
    if (!n->id)
        return model_fail(LUGE_INVALID, "a task needs a number of "
                          "luge_next_id");
    if (n->depends_count > LUGE_TASK_DEPENDS_MAX)
        return model_fail(LUGE_LIMIT, "a task that depends on %zu; %u are "
                          "allowed", n->depends_count, LUGE_TASK_DEPENDS_MAX);
    if (n->backoff_ms > LUGE_TASK_BACKOFF_MS_MAX)
        return model_fail(LUGE_INVALID, "a pause of %u ms; %u are allowed",
                          n->backoff_ms, LUGE_TASK_BACKOFF_MS_MAX);
    if (n->delay_ms > LUGE_TASK_LEASE_MS_MAX)
        return model_fail(LUGE_INVALID, "a delay of %llu ms; %u are allowed",
                          (unsigned long long)n->delay_ms,
                          LUGE_TASK_LEASE_MS_MAX);
    return 0;
}

/* All that N depends on must be there before anything is changed. */
static int look_at_depends(luge_txn *txn, const struct luge_tasks *tasks,
                           const struct luge_task_new *n)
{
    struct task on;
    int rc = 0;

    for (size_t i = 0; i < n->depends_count && !rc; i++) {
        rc = task_load(txn, tasks, n->depends[i], &on);
        if (rc == LUGE_NOTFOUND)
            rc = model_fail(rc, "there is no task %llu to depend on",
                            (unsigned long long)n->depends[i]);
    }
    return rc;
}

/* Note in depend what is still missing.  *missing: how many (K2: one that is
 * named twice is one). */
static int put_depends(luge_txn *txn, const struct luge_tasks *tasks,
                       const struct luge_task_new *n, uint32_t *missing)
{
    struct tuple key;
    struct task on;
    int rc = look_at_depends(txn, tasks, n);

    *missing = 0;
    if (rc) return rc;
    for (size_t i = 0; i < n->depends_count; i++) {
        rc = task_load(txn, tasks, n->depends[i], &on);
        if (rc) return rc;
        if (on.fixed.state == LUGE_TASK_COMPLETED) continue;
        task_key_two(&key, n->depends[i], n->id);
        rc = luge_add(txn, tasks->depend, tuple_key(&key), luge_str(""));
        if (rc == LUGE_EXISTS) continue;
        if (rc) return rc;
        ++*missing;
    }
    return 0;
}

static int is_taken(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id)
{
    struct tuple key;
    luge_bytes raw;
    int rc;

    task_key(&key, id);
    rc = luge_get(txn, tasks->task, tuple_key(&key), &raw);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    return model_fail(LUGE_EXISTS, "there is a task %llu already",
                      (unsigned long long)id);
}

/* In which state a task begins, or goes on: it waits for others, for a time,
 * or for nothing. */
static int first_state(const struct task_record *f, uint64_t not_before_ns)
{
    if (f->waiting_for) return LUGE_TASK_WAITING;
    return not_before_ns > model_now_ns() ? LUGE_TASK_DELAYED : LUGE_TASK_READY;
}

int luge_task_publish(luge_txn *txn, const struct luge_tasks *tasks,
                      const struct luge_task_new *task, uint64_t *id)
{
    struct task t = {.id = task->id, .fixed = task_default};
    struct task_record *f = &t.fixed;
    uint64_t not_before = 0;
    int rc = new_ok(task);

    if (!rc) rc = is_taken(txn, tasks, task->id);
    if (!rc) rc = put_depends(txn, tasks, task, &f->waiting_for);
    if (rc) return rc;
    f->priority = task->priority;
    f->attempts_max = task->attempts_max ? task->attempts_max
                                         : ATTEMPTS_DEFAULT;
    f->backoff_ms = task->backoff_ms ? task->backoff_ms : BACKOFF_MS_DEFAULT;
    f->session = task->session;
    f->published_ns = model_now_ns();
    if (task->delay_ms) not_before = f->published_ns + task->delay_ms * 1000000;
    t.parts[TASK_QUEUE] = task->queue;
    t.parts[TASK_PAYLOAD] = task->payload;
    t.parts[TASK_DEPENDS] = luge_bytes_of(
        task->depends, task->depends_count * sizeof(*task->depends));
    rc = task_make(txn, tasks, &t, first_state(f, not_before), not_before);
    if (!rc && id) *id = task->id;
    return rc;
}

struct publishing {
    const struct luge_tasks *tasks;
    struct luge_task_new task;
};

static int publish_in(luge_txn *txn, void *context)
{
    struct publishing *p = context;
    return luge_task_publish(txn, p->tasks, &p->task, NULL);
}

int luge_task_publish_now(luge_db *db, unsigned flags,
                          const struct luge_tasks *tasks,
                          const struct luge_task_new *task, uint64_t *id)
{
    struct publishing p = {tasks, *task};
    int rc = 0;

    if (!p.task.id) rc = luge_next_id(db, &p.task.id);
    if (!rc) rc = luge_transact(db, flags, publish_in, &p);
    if (!rc && id) *id = p.task.id;
    return rc;
}

/* -------------------------------------------------------------- looking -- */

void task_show(const struct task *t, struct luge_task *task)
{
    const struct task_record *f = &t->fixed;

    *task = (struct luge_task){
        .id = t->id, .state = f->state, .priority = f->priority,
        .attempt = f->attempt, .attempts_max = f->attempts_max,
        .backoff_ms = f->backoff_ms, .waiting_for = f->waiting_for,
        .lease = f->lease, .agent = f->agent, .session = f->session,
        .published_ns = f->published_ns, .until_ns = f->until_ns,
        .claimed_ns = f->claimed_ns, .ended_ns = f->ended_ns,
        .queue = t->parts[TASK_QUEUE], .payload = t->parts[TASK_PAYLOAD],
        .status = t->parts[TASK_STATUS], .result = t->parts[TASK_RESULT],
        .error = t->parts[TASK_ERROR], .depends = t->parts[TASK_DEPENDS]};
}

int luge_task_get(luge_txn *txn, const struct luge_tasks *tasks, uint64_t id,
                  struct luge_task *task)
{
    struct task t;
    int rc = task_load(txn, tasks, id, &t);

    if (!rc) task_show(&t, task);
    return rc;
}

int luge_task_after(luge_txn *txn, const struct luge_tasks *tasks, int state,
                    uint64_t after, struct luge_task *task)
{
    int dead = state == LUGE_TASK_DEAD || state == LUGE_TASK_CANCELLED;
    luge_tree tree = dead ? tasks->dead : tasks->task;
    struct tuple key;
    luge_bytes found, value;
    int rc;

    do {
        task_key(&key, after);
        rc = luge_near(txn, tree, LUGE_GT, tuple_key(&key), &found, &value);
        if (rc) return rc;
        struct tuple_reader r = tuple_read(found);
        rc = tuple_get_u64(&r, &after);
        if (!rc) rc = luge_task_get(txn, tasks, after, task);
        if (rc) return rc;
    } while (state != LUGE_TASK_ANY && task->state != state);
    return 0;
}

int luge_task_counts(luge_txn *txn, const struct luge_tasks *tasks,
                     uint64_t counts[8])
{
    uint64_t ended = 0;
    const struct { luge_tree tree; uint64_t *count; } trees[] = {
        {tasks->task, &counts[LUGE_TASK_ANY]},
        {tasks->due, &counts[LUGE_TASK_DELAYED]},
        {tasks->ready, &counts[LUGE_TASK_READY]},
        {tasks->lease, &counts[LUGE_TASK_LEASED]},
        {tasks->dead, &counts[LUGE_TASK_DEAD]},
        {tasks->ended, &ended}};
    int rc = 0;

    memset(counts, 0, 8 * sizeof(*counts));
    for (size_t i = 0; i < sizeof(trees) / sizeof(*trees) && !rc; i++)
        rc = luge_tree_count(txn, trees[i].tree, trees[i].count);
    counts[LUGE_TASK_COMPLETED] = ended - counts[LUGE_TASK_DEAD];
    counts[LUGE_TASK_WAITING] =
        counts[LUGE_TASK_ANY] - ended - counts[LUGE_TASK_READY] -
        counts[LUGE_TASK_DELAYED] - counts[LUGE_TASK_LEASED];
    return rc;
}

/* --------------------------------------------------------------- copies -- */

static void *copy_part(char *to, luge_bytes *part)
{
    if (part->size) memcpy(to, part->data, part->size);
    part->data = to;
    return to + part->size;
}

int luge_task_copy(const struct luge_task *task, struct luge_task *copy)
{
    struct luge_task c = *task;
    char *to = c.memory = model_alloc(c.queue.size + c.payload.size +
                                      c.status.size + c.result.size +
                                      c.error.size + c.depends.size);

    if (!to) return MODEL_NOMEM();
    to = copy_part(to, &c.queue);
    to = copy_part(to, &c.payload);
    to = copy_part(to, &c.status);
    to = copy_part(to, &c.result);
    to = copy_part(to, &c.error);
    copy_part(to, &c.depends);
    *copy = c;
    return 0;
}

void luge_task_free(struct luge_task *task)
{
    if (!task->memory) return;
    model_free(task->memory);
    *task = (struct luge_task){0};
}
