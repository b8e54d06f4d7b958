/* store/open.c -- opening and closing directories.
 *
 *   options | path | registry (one environment a directory and process) |
 *   lock file | GATE | conf, or create | first: recover, else: join | leave
 *
 * The registry is the one piece of process-wide state: a list, so that two
 * parts of a program that open one directory share what must be shared.
 * Not here: what recovery does (txn/recover.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/store.h"

enum {
    PATH_BYTES = 4096,
    CONF_BYTES_MAX = 4096,
    SPILL_CACHES = 2,           /* a commit may need more than the cache holds;
                                   what needs twice as much spills */
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;
static struct store_env *registry;

static void lock_registry(void)
{
    pthread_mutex_lock(&registry_lock);
}

static void unlock_registry(void)
{
    pthread_mutex_unlock(&registry_lock);
}

/* In the child of a fork the registry is usable; its entries are not.  What is
 * asked to prepare for forks later is locked earlier: the platform goes first,
 * whose lock is taken under the registry's when a directory is opened. */
static void watch_forks(void)
{
    volatile const u32 *word;
    (void)os_fork_sentinel(&word);     /* who opens asks again, and is told */
    pthread_atfork(lock_registry, unlock_registry, unlock_registry);
}

/* ------------------------------------------------------------- options -- */

static int check_options(const struct luge_options *o)
{
    int rc = store_flags_ok(o->flags, LUGE_READ_ONLY | LUGE_CREATE_NEW |
                                          LUGE_MUST_EXIST | LUGE_TEMPORARY);
    if (rc) return rc;
    if (o->page_bytes && (o->page_bytes < 4096 || o->page_bytes > 65536 ||
                          (o->page_bytes & (o->page_bytes - 1))))
        return fail(LUGE_INVALID, "page_bytes is %u; a power of two from "
                    "4096 to 65536 is allowed", o->page_bytes);
    if (o->durability < 0 || o->durability > LUGE_ASYNC)
        return fail(LUGE_INVALID, "durability is %d", o->durability);
    if ((o->flags & LUGE_CREATE_NEW) &&
        (o->flags & (LUGE_MUST_EXIST | LUGE_READ_ONLY)))
        return fail(LUGE_INVALID, "CREATE_NEW contradicts MUST_EXIST and "
                    "READ_ONLY");
    return 0;
}

/* A sixteenth of the memory that there is for us, within bounds: 10 M records
 * in random order, 16 bytes and 100, load at 144 k/s with 256 MiB, at 261 k/s
 * with 1 GiB. */
static u64 default_cache(void)
{
    return max_u64(MIB(64), min_u64(os_memory_bytes() / 16, MIB(1024)));
}

static void fill_options(const struct luge_options *o, struct env_options *to)
{
    *to = (struct env_options){
        .flags = o->flags,
        .page_bytes = o->page_bytes ? o->page_bytes : 4096,
        .durability = o->durability ? o->durability : LUGE_FULL,
        .sync_interval_ms = o->sync_interval_ms ? o->sync_interval_ms : 200,
        .busy_timeout_ms = o->busy_timeout_ms ? o->busy_timeout_ms : 30000,
        .cache_bytes = o->cache_bytes ? o->cache_bytes : default_cache(),
        .checkpoint_bytes = o->checkpoint_bytes ? o->checkpoint_bytes
                                                : MIB(64),
        .log_keep_bytes = o->log_keep_bytes ? o->log_keep_bytes : MIB(64),
        .history_bytes = o->history_bytes,
    };
}

/* ---------------------------------------------------------------- conf -- */

static int parse_conf(struct env *e, char *text, u32 wanted_page_bytes)
{
    unsigned format = 0, page_bytes_ = 0, byte;
    char hex[33] = "";
    if (strncmp(text, "luge\n", 5))
        return fail(LUGE_NOTLUGE, "%s/conf is not luge's", e->path);
    if (sscanf(text, "luge\nformat %u\n", &format) == 1 && format > ENV_FORMAT)
        return fail(LUGE_VERSION, "%s has format %u; this luge knows formats "
                    "up to %d", e->path, format, ENV_FORMAT);
    if (sscanf(text, "luge\nformat %u\npage_bytes %u\ninstance %32[0-9a-f]",
               &format, &page_bytes_, hex) != 3 || strlen(hex) != 32 ||
        !format || page_bytes_ < 4096 || page_bytes_ > 65536 ||
        (page_bytes_ & (page_bytes_ - 1)))
        return CORRUPT("%s/conf cannot be read", e->path);
    for (int i = 0; i < 16; i++) {
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return CORRUPT("%s/conf has no instance", e->path);
        e->instance[i] = (u8)byte;
    }
    if (wanted_page_bytes && wanted_page_bytes != page_bytes_)
        return fail(LUGE_INVALID, "%s has pages of %u bytes, not %u", e->path,
                    page_bytes_, wanted_page_bytes);
    e->options.page_bytes = page_bytes_;
    return 0;
}

static int read_conf(struct env *e, u32 wanted_page_bytes)
{
    char path[PATH_BYTES], text[CONF_BYTES_MAX];
    struct os_file *file = NULL;
    u64 size = 0;
    snprintf(path, sizeof path, "%s/conf", e->path);
    int rc = e->os->open(e->os, path, OS_READ, &file);
    if (!rc) rc = e->os->size(file, &size);
    if (!rc && (size >= sizeof text || !size))
        rc = CORRUPT("%s is %llu bytes long", path, (unsigned long long)size);
    if (!rc) rc = e->os->read(file, text, size, 0);
    if (file) e->os->close(file);
    if (rc) return rc;
    text[size] = 0;
    return parse_conf(e, text, wanted_page_bytes);
}

static int foreign_name(void *context, const char *name)
{
    static const char *const ours[] = {
        "lock", "shm", "shm.new", "db", "log", "ids", "notify", "conf.new",
        "lost+found",
    };
    const char **foreign = context;
    for (size_t i = 0; i < ARRAY_COUNT(ours); i++)
        if (!strcmp(name, ours[i])) return 0;
    *foreign = "";
    return 1;
}

static int other_segment(void *context, const char *name)
{
    bool *other = context;
    if (strcmp(name, "0000000001")) *other = true;
    return 0;
}

/* Does segment 1 have a record? */
static int holds_first(struct env *e, bool *more)
{
    char path[PATH_BYTES];
    u8 frame[LOG_FRAME_HEAD], nothing[LOG_FRAME_HEAD] = {0};
    struct os_file *file = NULL;
    snprintf(path, sizeof path, "%s/log/0000000001", e->path);
    int rc = e->os->open(e->os, path, OS_READ, &file);
    if (!rc) rc = e->os->read(file, frame, sizeof frame, LOG_DATA_AT);
    if (file) e->os->close(file);
    if (!rc && memcmp(frame, nothing, sizeof frame)) *more = true;
    return rc == LUGE_NOTFOUND || rc == LUGE_CORRUPT ? 0 : rc; /* too short */
}

/* Is there more than a creation leaves that crashed before conf was written? */
static int holds_records(struct env *e, bool *more)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/log", e->path);
    int rc = e->os->list(e->os, path, other_segment, more);
    if (!rc) rc = holds_first(e, more);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int is_missing(const struct env *e, const char *name)
{
    return CORRUPT("%s holds a database whose %s is missing", e->path, name);
}

/* A directory without conf is taken only if nobody else's files are in it. */
static int may_create(struct env *e)
{
    const char *foreign = NULL;
    bool records = false, makes = !(e->options.flags &
                                    (LUGE_MUST_EXIST | LUGE_READ_ONLY));
    int rc = makes ? e->os->list(e->os, e->path, foreign_name, &foreign) : 0;
    if (foreign)
        return fail(LUGE_NOTLUGE, "%s holds other files and no luge database",
                    e->path);
    if (!rc) rc = holds_records(e, &records);
    if (!rc && records) return is_missing(e, "conf");
    return rc || makes ? rc : fail(LUGE_NOTFOUND, "there is no database in %s",
                                   e->path);
}

/* ------------------------------------------------------- opening an env -- */

/* Nobody has the gate here: another may create what we were about to, and its
 * files be taken for strangers'.  Asked again for the sentence: the look at
 * CONF has left its own. */
static int may_be_made(struct env *e, const char *conf)
{
    struct os_stat stat;
    int rc = may_create(e);
    return rc && e->os->stat(e->os, conf, &stat) ? may_create(e) : 0;
}

/* The errno stays: it is the reason. */
static int no_reader(const struct env *e)
{
    return fail_errno(LUGE_PERMISSION, luge_last_error()->system_errno,
                      "%s may not be written; who reads must be allowed to, "
                      "for others must see what he reads", e->path);
}

/* Where no database is nor may be made, no lock file must be left behind. */
static int open_lock_file(struct env *e)
{
    char path[PATH_BYTES];
    struct os_stat conf;
    snprintf(path, sizeof path, "%s/conf", e->path);
    int rc = e->os->stat(e->os, path, &conf);
    if (rc == LUGE_NOTFOUND) rc = may_be_made(e, path);
    else if (!rc && read_conf(e, 0) == LUGE_NOTLUGE) rc = LUGE_NOTLUGE;
    snprintf(path, sizeof path, "%s/lock", e->path);
    if (!rc)
        rc = e->os->open(e->os, path, OS_WRITE | OS_CREATE,
                         &e->share.lock_file);
    if (rc == LUGE_PERMISSION && e->options.flags & LUGE_READ_ONLY)
        rc = no_reader(e);
    if (!rc) os_close_in_child(e->share.lock_file);
    return rc;
}

static int open_files(struct env *e)
{
    char path[PATH_BYTES];
    struct os_stat stat;
    snprintf(path, sizeof path, "%s/db", e->path);
    int rc = e->os->open(e->os, path, OS_WRITE, &e->db);
    if (rc == LUGE_NOTFOUND) return is_missing(e, "db");
    if (!rc)
        rc = page_file_open(&e->pages, e->os, e->db, e->options.page_bytes,
                            tree_page_validate);
    if (rc) return rc;
    e->options.cache_bytes = min_u64(e->options.cache_bytes,
                                     e->pages.frame_bytes / 4);
    if (e->threaded)
        page_file_spill(&e->pages, e->path,
                        SPILL_CACHES * e->options.cache_bytes);
    if (e->threaded)
        ops_spill_init(&e->spill, e->path, e->options.cache_bytes);
    snprintf(path, sizeof path, "%s/log", e->path);
    rc = e->os->stat(e->os, path, &stat);
    if (rc) return rc == LUGE_NOTFOUND ? is_missing(e, "log") : rc;
    rc = log_open(&e->log, e->os, path, e->instance);
    e->log.may_write = head_may_write;
    e->log.context = e;
    return rc;
}

static int join(struct env *e)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/shm", e->path);
    int rc = share_join(&e->share, path, e->instance);
    if (!rc) rc = share_sit(&e->share);
    e->log.owner = e->share.seat;
    if (!rc) head_attach(e);
    return rc;
}

/* The directory's own name must last as long as what is in it. */
static int sync_parent(struct env *e)
{
    char path[PATH_BYTES];
    size_t n = strlen(e->path);
    memcpy(path, e->path, n + 1);
    while (n > 1 && path[n - 1] == '/') n--;
    while (n && path[n - 1] != '/') n--;
    while (n > 1 && path[n - 1] == '/') n--;
    path[n] = 0;
    return e->os->sync_dir(e->os, n ? path : ".");
}

static int attach(struct env *e, u32 wanted_page_bytes)
{
    bool alone = true;
    int rc = read_conf(e, wanted_page_bytes);
    e->existed = !rc;
    if (!rc && (e->options.flags & LUGE_CREATE_NEW))
        return fail(LUGE_EXISTS, "there is a database in %s already", e->path);
    if (rc == LUGE_NOTFOUND) {
        rc = may_create(e);
        if (!rc) rc = sync_parent(e);
        if (!rc) rc = recover_create(e);
    }
    if (!rc) rc = open_files(e);
    if (!rc) rc = share_alone(&e->share, &alone);
    if (!rc) rc = alone ? recover_open(e) : join(e);
    if (!rc && alone) rc = backup_recovered(e);
    /* Its maker may have died between conf and this. */
    if (!rc && alone) rc = store_create_main(e);
    return rc;
}

static void free_env(struct store_env *s)
{
    struct env *e = &s->env;
    feed_index_free(&s->index);
    log_close(&e->log);
    ops_spill_close(&e->spill);
    page_file_close(&e->pages);
    if (e->db) e->os->close(e->db);
    if (e->notify) e->os->close(e->notify);
    share_unmap(&e->share);
    if (e->share.lock_file) e->os->close(e->share.lock_file);
    page_work_end(&e->work);
    base_free(e->space.limbo);
    base_free(e->dirty.ids);
    base_free(e->drops);
    base_free(e->dying.frames);
    base_free(e->dying_held.frames);
    base_free(e->publishing.items);
    base_free(e->publishing.staging);
    base_free(e->shadow.refs);
    while (s->operators) {
        struct store_operator *next = s->operators->next;
        base_free(s->operators);
        s->operators = next;
    }
    pthread_mutex_destroy(&e->lock);
    pthread_mutex_destroy(&e->checkpoint_lock);
    pthread_mutex_destroy(&e->ids_lock);
    pthread_mutex_destroy(&s->operator_lock);
    pthread_mutex_destroy(&e->notify_lock);
    base_free(e->path);
    base_free(s);
}

static int make_env(struct os *os, const char *path,
                    const struct luge_options *options,
                    struct store_env **made)
{
    struct store_env *s = base_alloc_zero(sizeof *s);
    if (!s) return NOMEM();
    struct env *e = &s->env;
    size_t size = strlen(path) + 1;
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->checkpoint_lock, NULL);
    pthread_mutex_init(&e->ids_lock, NULL);
    pthread_mutex_init(&s->operator_lock, NULL);
    pthread_mutex_init(&e->notify_lock, NULL);
    feed_index_init(&s->index);
    fill_options(options, &e->options);
    e->os = os;
    e->share.os = os;
    e->threaded = os == os_native();
    e->temporary = (options->flags & LUGE_TEMPORARY) != 0;
    e->path = base_alloc(size);
    int rc = e->path ? os_fork_sentinel(&e->fork_sentinel) : NOMEM();
    if (rc) {
        free_env(s);
        return rc;
    }
    memcpy(e->path, path, size);
    *made = s;
    return 0;
}

static void stand_up(struct env *e)
{
    if (e->share.seated) share_stand(&e->share);
}

static int open_env(struct os *os, const char *path,
                    const struct luge_options *options,
                    const struct os_stat *where, struct store_env **made)
{
    struct store_env *s = NULL;
    u64 began = os_monotonic_ns();
    int rc = os->probe(os, path);
    if (!rc) rc = make_env(os, path, options, &s);
    if (!s) return rc;
    struct env *e = &s->env;
    e->device = where->device;
    e->inode = where->inode;
    rc = open_lock_file(e);
    if (!rc)
        rc = os->lock(e->share.lock_file, SHARE_LOCK_GATE, true,
                      e->options.busy_timeout_ms);
    if (rc) {
        free_env(s);
        return rc;
    }
    e->has_gate = true;
    rc = attach(e, options->page_bytes);
    if (rc) {
        txn_free_idle(e);
        stand_up(e);
    }
    e->has_gate = false;
    os->unlock(e->share.lock_file, SHARE_LOCK_GATE);
    if (!rc) rc = care_start(e);
    e->opening.open_us = (os_monotonic_ns() - began) / 1000;
    if (rc) free_env(s);
    else *made = s;
    return rc;
}

/* ------------------------------------------------------------ registry -- */

static struct store_env *find_env(const struct os *os,
                                  const struct os_stat *where)
{
    for (struct store_env *s = registry; s; s = s->next)
        if (s->env.os == os && s->env.device == where->device &&
            s->env.inode == where->inode && *s->env.fork_sentinel)
            return s;
    return NULL;
}

static int share_env(struct store_env *s, const struct luge_options *options)
{
    if (options->flags & LUGE_CREATE_NEW)
        return fail(LUGE_EXISTS, "there is a database in %s already",
                    s->env.path);
    if (options->page_bytes && options->page_bytes != s->env.options.page_bytes)
        return fail(LUGE_INVALID, "%s has pages of %u bytes, not %u",
                    s->env.path, s->env.options.page_bytes,
                    options->page_bytes);
    /* Who only read cared for nothing but syncs. */
    if (!(options->flags & LUGE_READ_ONLY))
        (void)__atomic_and_fetch(&s->env.options.flags,
                                 ~(unsigned)LUGE_READ_ONLY, __ATOMIC_RELAXED);
    return 0;
}

static int find_or_open(struct os *os, const char *path,
                        const struct luge_options *options,
                        struct store_env **store)
{
    struct os_stat where;
    int rc = os->stat(os, path, &where);
    if (rc == LUGE_NOTFOUND &&
        (options->flags & (LUGE_MUST_EXIST | LUGE_READ_ONLY)))
        return fail(LUGE_NOTFOUND, "there is no directory %s", path);
    if (rc == LUGE_NOTFOUND) {
        rc = os->mkdir(os, path);
        if (!rc || rc == LUGE_EXISTS) rc = os->stat(os, path, &where);
    }
    if (!rc && !where.directory)
        rc = fail(LUGE_NOTLUGE, "%s is not a directory", path);
    if (rc) return rc;
    *store = find_env(os, &where);
    if (*store) return share_env(*store, options);
    rc = open_env(os, path, options, &where, store);
    if (rc) return rc;
    (*store)->next = registry;
    registry = *store;
    return 0;
}

/* --------------------------------------------------------------- paths -- */

static int invent_path(struct os *os, char *to)
{
    u64 number;
    const char *parent = getenv("TMPDIR"); /* allowed: asked once, copied */
    int rc = os->random(os, &number, sizeof number);
    if (rc) return rc;
    snprintf(to, PATH_BYTES, "%s/luge-%016llx",
             parent && *parent ? parent : "/tmp", (unsigned long long)number);
    return 0;
}

/* Absolute, so that a later chdir of the host does no harm. */
static int full_path(struct os *os, const struct luge_options *options,
                     const char *path, char *to)
{
    char here[PATH_BYTES];
    if (!path && (options->flags & LUGE_TEMPORARY)) return invent_path(os, to);
    if (!path || !*path) return fail(LUGE_INVALID, "the path is empty");
    int n;
    if (*path == '/' || os != os_native())
        n = snprintf(to, PATH_BYTES, "%s", path);
    else if (getcwd(here, sizeof here))
        n = snprintf(to, PATH_BYTES, "%s/%s", here, path);
    else
        return fail(LUGE_IO, "the current directory cannot be found");
    if (n < 0 || n >= PATH_BYTES - 32)
        return fail(LUGE_INVALID, "the path is too long");
    return 0;
}

/* ------------------------------------------------------- open and close -- */

int luge_open(const char *path, const struct luge_options *options,
              luge_db **result)
{
    static const struct luge_options defaults;
    char full[PATH_BYTES];
    struct store_env *store = NULL;
    *result = NULL;
    if (!options) options = &defaults;
    struct os *os = options->platform ? options->platform : os_native();
    int rc = check_options(options);
    if (!rc) rc = full_path(os, options, path, full);
    if (rc) return rc;
    luge_db *db = base_alloc_zero(sizeof *db);
    if (!db) return NOMEM();
    pthread_once(&registry_once, watch_forks);
    lock_registry();
    rc = find_or_open(os, full, options, &store);
    if (!rc) store->handles++;
    unlock_registry();
    if (rc) {
        base_free(db);
        return rc;
    }
    db->store = store;
    db->flags = options->flags;
    db->durability = options->durability;
    *result = db;
    base_forget();              /* files that need not be there */
    return 0;
}

static int remove_name(void *context, const char *name)
{
    struct env *e = ((void **)context)[0];
    const char *directory = ((void **)context)[1];
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    (void)e->os->unlink(e->os, path);
    return 0;
}

static void remove_directory(struct env *e)
{
    static const char *const inner[] = {"log", "backups"};
    void *in_top[] = {e, e->path};
    for (size_t i = 0; i < ARRAY_COUNT(inner); i++) {
        char path[2 * PATH_BYTES];
        void *in_it[] = {e, path};
        snprintf(path, sizeof path, "%s/%s", e->path, inner[i]);
        (void)e->os->list(e->os, path, remove_name, in_it);
        (void)e->os->rmdir(e->os, path);
    }
    (void)e->os->list(e->os, e->path, remove_name, in_top);
    (void)e->os->rmdir(e->os, e->path);
}

/* The last handle of this process goes. */
static int close_env(struct store_env *s)
{
    struct env *e = &s->env;
    bool alone = false;
    int rc = 0;
    care_stop(e);
    bool gate = !e->os->lock(e->share.lock_file, SHARE_LOCK_GATE, true,
                             e->options.busy_timeout_ms);
    e->has_gate = gate;
    if (!env_usable(e)) {
        rc = commit_sync(e);
        if (!rc && gate) rc = share_alone(&e->share, &alone);
        if (!rc && alone && !e->temporary &&
            !(e->options.flags & LUGE_READ_ONLY)) {
            /* Processes may come and go before their caretakers look. */
            (void)history_tend(e);
            rc = checkpoint_write(e, HOLES_ALL, e->options.busy_timeout_ms);
        }
    } else {
        rc = LUGE_BROKEN;
    }
    txn_free_idle(e);
    share_stand(&e->share);
    if (e->temporary && alone) remove_directory(e);
    if (gate) e->os->unlock(e->share.lock_file, SHARE_LOCK_GATE);
    free_env(s);
    return rc;
}

int luge_close(luge_db *db)
{
    int rc = 0;
    if (!db) return 0;
    struct store_env *s = db->store;
    if (!*s->env.fork_sentinel) {   /* a child frees only the handle */
        base_free(db);
        return 0;
    }
    u32 open_txns = txn_count_open(&s->env, db);
    if (open_txns)
        return fail(LUGE_BUSY, "transactions are still open: %u", open_txns);
    if (atomic_load(&db->open_watches))
        return fail(LUGE_BUSY, "watches are still open: %u",
                    atomic_load(&db->open_watches));
    lock_registry();
    if (!--s->handles) {
        struct store_env **link = &registry;
        while (*link != s) link = &(*link)->next;
        *link = s->next;
        rc = close_env(s);
    }
    unlock_registry();
    base_free(db);
    return rc;
}

int luge_was_recovered(luge_db *db)
{
    return db->store->env.existed;
}
