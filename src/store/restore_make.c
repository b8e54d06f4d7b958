/* store/restore_make.c -- the files of a restored database (restore.h).
 *
 * It gets an identity and a log of its own: records of the old one are framed
 * anew, with their numbers and times, and applied by an ordinary recovery.
 *   M1  Ids go on far above those of the old database, which went on giving
 *       some out after the backup.
 * Not here: what a stream holds (restore.c).
 */
#include <stdio.h>

#include "store/reach.h"
#include "store/restore.h"

#define IDS_GAP ((u64)1 << 40)                                      /* M1 */
enum { PATH_BYTES = 4096, FIRST_SEGMENT = 2 };
#define SETTLE_BYTES MIB(64)

/* --------------------------------------------------------------- paths -- */

static const char *const kept[] = {"db", "ids", "log", "conf"};

static int path_in(const char *directory, const char *name, char *path)
{
    int n = snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    return n < PATH_BYTES ? 0 : fail(LUGE_INVALID, "the path is too long");
}

struct listing {
    struct os *os;
    const char *directory;
    bool restoring, others;
};

static int note_name(void *context, const char *name)
{
    static const char *const ours[] = {"restoring", "db", "ids", "log",
                                       "lost+found"};
    struct listing *l = context;
    bool known = false;
    for (size_t i = 0; i < ARRAY_COUNT(ours); i++)
        known = known || !strcmp(name, ours[i]);
    if (!strcmp(name, "restoring")) l->restoring = true;
    else if (strcmp(name, "lost+found") != 0) l->others = true;
    if (!known) l->restoring = false;
    return known ? 0 : 1;
}

static int remove_name(void *context, const char *name)
{
    const struct listing *l = context;
    char path[PATH_BYTES];
    int rc = path_in(l->directory, name, path);
    return rc ? rc : l->os->unlink(l->os, path);
}

/* The files of DIRECTORY, and itself. */
static int remove_directory(struct os *os, const char *directory)
{
    struct listing l = {.os = os, .directory = directory};
    int rc = os->list(os, directory, remove_name, &l);
    if (rc == LUGE_NOTFOUND) return 0;
    return rc ? rc : os->rmdir(os, directory);
}

/* A database's files, conf first. */
static int remove_files(struct os *os, const char *directory)
{
    static const char *const names[] = {"conf", "conf.new", "db", "ids",
                                        "lock", "shm", "shm.new", "notify"};
    char path[PATH_BYTES];
    int rc = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names) && !rc; i++) {
        rc = path_in(directory, names[i], path);
        if (!rc) rc = os->unlink(os, path);
        if (rc == LUGE_NOTFOUND) rc = 0;
    }
    if (!rc) rc = path_in(directory, "log", path);
    return rc ? rc : remove_directory(os, path);
}

static int remove_stage(struct restore *r)
{
    int rc = remove_files(r->e->os, r->e->path);
    return rc ? rc : remove_directory(r->e->os, r->e->path);
}

/* Nothing is there but what a restore that failed left. */
static int clear(struct restore *r)
{
    struct os *os = r->e->os;
    struct listing l = {.os = os, .directory = r->path};
    struct os_stat conf;
    char path[PATH_BYTES];
    int rc = path_in(r->path, "conf", path);
    if (!rc && !os->stat(os, path, &conf))
        return fail(LUGE_EXISTS, "there is a database in %s already", r->path);
    if (!rc) rc = os->list(os, r->path, note_name, &l);
    if (rc < 0) return rc;
    if (rc || (l.others && !l.restoring))
        return fail(LUGE_NOTLUGE, "%s holds other files", r->path);
    if (!l.restoring) return 0;
    rc = remove_files(os, r->path);
    return rc ? rc : remove_stage(r);
}

static int make_env(struct restore *r, struct os *os, const char *path)
{
    size_t size = strlen(path) + sizeof "/restoring";
    if (size > PATH_BYTES - 64)
        return fail(LUGE_INVALID, "the path is too long");
    r->e = base_alloc_zero(sizeof *r->e);
    r->path = base_alloc(size);
    if (!r->e || !r->path) return NOMEM();
    r->e->path = base_alloc(size);
    if (!r->e->path) return NOMEM();
    memcpy(r->path, path, strlen(path) + 1);
    snprintf(r->e->path, size, "%s/restoring", path);
    r->e->os = os;
    return 0;
}

int restore_begin(struct restore *r, struct os *os, const char *path)
{
    char file[PATH_BYTES];
    int rc = make_env(r, os, path);
    if (!rc) rc = os->mkdir(os, path);
    if (rc == LUGE_EXISTS) rc = 0;
    if (!rc) rc = os->probe(os, path);
    if (!rc) rc = clear(r);
    if (!rc) rc = os->mkdir(os, r->e->path);
    if (!rc) rc = path_in(r->e->path, "log", file);
    if (!rc) rc = os->mkdir(os, file);
    if (!rc) rc = path_in(r->e->path, "db", file);
    return rc ? rc : os->open(os, file, OS_WRITE | OS_CREATE, &r->e->db);
}

/* ---------------------------------------------------------------- seal -- */

static int free_runs(const struct reach *reach, struct space_run **runs,
                     size_t *count)
{
    u64 first = 2, pages;
    size_t capacity = 0;
    for (; reach_row(reach, false, UINT32_MAX, &first, &pages);
         first += pages) {
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 256;
            struct space_run *more = base_realloc(*runs,
                                                  capacity * sizeof *more);
            if (!more) return NOMEM();
            *runs = more;
        }
        (*runs)[(*count)++] = (struct space_run){.first = first,
                                                 .pages = (u32)pages};
    }
    return 0;
}

/* The list of free pages stands behind all others. */
static int store_free(struct restore *r, const struct reach *reach,
                      struct superblock *s)
{
    struct space_run *runs = NULL;
    size_t count = 0;
    int rc = free_runs(reach, &runs, &count);
    s->stored_first = s->page_count;
    s->stored_pages = space_store_pages(r->head.page_bytes, count);
    s->page_count += s->stored_pages;
    if (!rc)
        rc = space_store(&r->e->pages, s->stored_first, (u32)s->stored_pages,
                         s->publication, runs, count);
    base_free(runs);
    return rc;
}

static int prove_pages(struct restore *r, struct superblock *s)
{
    struct env *e = r->e;
    struct reach reach = {0};
    int rc = page_file_open(&e->pages, e->os, e->db, r->head.page_bytes,
                            tree_page_validate);
    if (rc) return rc;
    rc = reach_begin(&reach, &e->pages, r->head.page_count, 0,
                     r->head.catalog);
    if (!rc) rc = store_free(r, &reach, s);
    reach_end(&reach);
    return rc;
}

/* Record `seq` ends where the first segment begins: whoever stands behind it
 * may stand there, which is what first_seq means (feed/read.c). */
static int begin_log(struct restore *r)
{
    char path[PATH_BYTES];
    struct env *e = r->e;
    int rc = e->os->random(e->os, e->instance, sizeof e->instance);
    if (!rc) rc = path_in(e->path, "log", path);
    if (!rc) rc = log_open(&e->log, e->os, path, e->instance);
    if (!rc)
        rc = log_begin_segment(&e->log, &r->at, FIRST_SEGMENT, r->head.seq,
                               LOG_SEGMENT_MIN, 0);
    return rc ? rc : log_sync(&e->log, FIRST_SEGMENT, &r->at, NULL);
}

int restore_seal(struct restore *r)
{
    const struct backup_head *h = &r->head;
    struct env *e = r->e;
    struct superblock s = {
        .magic = "lugedb", .format = ENV_FORMAT, .page_bytes = h->page_bytes,
        .number = 1, .seq = h->seq, .time_ns = h->time_ns,
        .catalog = h->catalog, .catalog_count = h->catalog_count,
        .page_count = h->page_count, .publication = h->publication,
    };
    int rc = begin_log(r);
    if (!rc) rc = prove_pages(r, &s);
    memcpy(s.instance, e->instance, sizeof s.instance);
    s.log = r->at;
    if (!rc) rc = superblock_write(e, &s);
    if (!rc) rc = e->os->sync(e->db);
    if (!rc) rc = txn_begin_ids(e, h->ids + IDS_GAP);
    if (!rc) rc = recover_write_conf(e);
    r->sealed = !rc;
    return rc;
}

/* ----------------------------------------------------------------- log -- */

int restore_append(struct restore *r, const struct log_frame *frame,
                   u8 *buffer, u32 size)
{
    if (frame->seq != r->done.seq + 1)
        return CORRUPT("record %llu follows record %llu in the log",
                       (unsigned long long)frame->seq,
                       (unsigned long long)r->done.seq);
    int rc = log_append(&r->e->log, &r->at, frame, buffer, size);
    if (rc) return rc;
    r->unsettled += size;
    r->half = frame->kind != LOG_LAST;
    if (r->half) return 0;
    r->done.seq = frame->seq;
    r->done.time_ns = frame->time_ns;
    r->done.records++;
    return r->unsettled > SETTLE_BYTES ? restore_settle(r) : 0;
}

static int recover(struct restore *r)
{
    luge_db *db = NULL;
    struct luge_options how = {.flags = LUGE_MUST_EXIST,
                               .history_bytes = UINT64_MAX, /* no commits */
                               .platform = r->options->platform};
    int rc = luge_open(r->e->path, &how, &db);
    return rc ? rc : luge_close(db);
}

int restore_settle(struct restore *r)
{
    char path[PATH_BYTES];
    struct superblock s;
    struct env *e = r->e;
    int rc = log_sync(&e->log, 1, &r->at, NULL);
    log_close(&e->log);
    if (!rc) rc = recover(r);
    if (!rc) rc = path_in(e->path, "log", path);
    if (!rc) rc = log_open(&e->log, e->os, path, e->instance);
    if (!rc) rc = superblock_read(e, &s);
    if (!rc && s.seq != r->done.seq)
        rc = CORRUPT("of the log up to record %llu only %llu could be applied",
                     (unsigned long long)r->done.seq,
                     (unsigned long long)s.seq);
    r->unsettled = 0;
    if (!rc) r->at = s.log;
    return rc;
}

/* -------------------------------------------------------------- finish -- */

static int sync_parent(struct os *os, const char *path)
{
    char parent[PATH_BYTES];
    size_t n = strlen(path);
    memcpy(parent, path, n + 1);
    while (n > 1 && path[n - 1] == '/') n--;
    while (n && path[n - 1] != '/') n--;
    while (n > 1 && path[n - 1] == '/') n--;
    parent[n] = 0;
    return os->sync_dir(os, n ? parent : ".");
}

static int move_up(struct restore *r)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    struct os *os = r->e->os;
    int rc = 0;
    for (size_t i = 0; i < ARRAY_COUNT(kept) && !rc; i++) {
        rc = path_in(r->e->path, kept[i], from);
        if (!rc) rc = path_in(r->path, kept[i], to);
        /* The others' names are durable before there is a database. */
        if (!rc && i + 1 == ARRAY_COUNT(kept)) rc = os->sync_dir(os, r->path);
        if (!rc) rc = os->rename(os, from, to);
    }
    if (!rc) rc = os->sync_dir(os, r->path);
    return rc ? rc : sync_parent(os, r->path);
}

static void close_files(struct restore *r)
{
    log_close(&r->e->log);
    page_file_close(&r->e->pages);
    if (r->e->db) r->e->os->close(r->e->db);
    r->e->db = NULL;
}

int restore_finish(struct restore *r)
{
    int rc = restore_settle(r);
    close_files(r);
    if (!rc) rc = move_up(r);
    return rc ? rc : remove_stage(r);
}

void restore_end(struct restore *r)
{
    base_buffer_free(&r->frame);
    if (r->e) {
        close_files(r);
        base_free(r->e->path);
    }
    base_free(r->e);
    base_free(r->path);
}
