/* store/backup.c -- writing a backup while others write (backup.h has the
 * stream).
 *
 *   1 publish the head and pin it                        (turn)
 *   2 checkpoint: no recovery will begin before it
 *   3 head | the log since the base | pages that the version reaches | end
 *   4 note the backup's id in backups/, so that another can go on from it
 *
 * Because of 2 the numbers of publications after the pinned one are those of
 * its successors, whatever crashes: a page is new exactly if it was born after
 * the base's publication (txn/env.h E2).  If all the same a recovery begins
 * before it, because the newest superblock was damaged, the backup is forgotten
 * (backup_recovered): numbers come again, and mean other pages.
 * 4 is what tells this database from one that was copied or restored before: it
 * has the same identity or the same numbers, but not the file.
 * Not here: reading it back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/backup.h"
#include "store/reach.h"

enum { CHECKPOINTS_MAX = 16, PATH_BYTES = 4300, NOTE_BYTES = 128 };

struct backup {
    struct env *e;
    const struct luge_backup_stream *stream;
    struct luge_backup_progress done;
    struct luge_txn *txn;               /* pins the version */
    struct reach reach;
    struct backup_head head;
    struct log log;                     /* a table of its own (feed/read.h) */
    struct log_position base_log;
    u64 sum;
};

/* -------------------------------------------------------------- blocks -- */

static int put(struct backup *b, const void *data, size_t size)
{
    int rc = size ? b->stream->write(b->stream->context, data, size) : 0;
    if (!rc) b->done.bytes += size;
    return rc;
}

/* The payload is FIRST, then REST. */
static int put_block(struct backup *b, u32 kind, luge_bytes first,
                     luge_bytes rest)
{
    struct backup_block block = {(u32)(first.size + rest.size), kind};
    u8 sum[8], *joined = base_alloc(block.size);
    assert(block.size <= BACKUP_PAYLOAD_MAX);                       /* B2 */
    if (!joined) return NOMEM();
    memcpy(joined, first.data, first.size);
    if (rest.size) memcpy(joined + first.size, rest.data, rest.size);
    b->sum = backup_sum(&block, joined, b->sum);                    /* B1 */
    store64(sum, b->sum);
    int rc = put(b, &block, sizeof block);
    if (!rc) rc = put(b, joined, block.size);
    if (!rc) rc = put(b, sum, sizeof sum);
    base_free(joined);
    if (!rc && b->stream->progress)
        rc = b->stream->progress(b->stream->context, &b->done);
    return rc;
}

static int put_head(struct backup *b)
{
    struct backup_start start = {"lugeback", BACKUP_VERSION, 0};
    int rc = put(b, &start, sizeof start);
    if (rc) return rc;
    return put_block(b, BACKUP_HEAD, luge_bytes_of(&b->head, sizeof b->head),
                     luge_bytes_of("", 0));
}

static int put_end(struct backup *b)
{
    u8 end[16];
    store64(end, b->done.pages);
    store64(end + 8, b->done.records);
    return put_block(b, BACKUP_END, luge_bytes_of(end, sizeof end),
                     luge_bytes_of("", 0));
}

/* --------------------------------------------------------------- pages -- */

static int put_pages(struct backup *b)
{
    const struct page_map *m = &b->e->pages.map;
    u64 first = 0, pages, limit = BACKUP_ROW_BYTES / m->page_bytes;
    int rc = 0;
    b->done.pages_total = b->reach.pages;
    for (; !rc && reach_row(&b->reach, true, limit, &first, &pages);
         first += pages) {
        u8 number[8];
        store64(number, first);
        b->done.pages += pages;
        rc = put_block(b, BACKUP_PAGES, luge_bytes_of(number, 8),
                       luge_bytes_of(m->base + (first << m->page_shift),
                                     pages << m->page_shift));
    }
    return rc;
}

/* ----------------------------------------------------------------- log -- */

static int put_frame(struct backup *b, const struct log_frame *f)
{
    struct backup_frame frame = {
        f->seq, f->time_ns, f->durable, (u32)f->payload.size, f->kind,
        f->flags, 0,
    };
    const u8 *at = f->payload.data;
    size_t left = f->payload.size, n = min_u64(left, BACKUP_ROW_BYTES);
    int rc = put_block(b, BACKUP_FRAME, luge_bytes_of(&frame, sizeof frame),
                       luge_bytes_of(at, n));
    for (left -= n, at += n; left && !rc; left -= n, at += n) {
        n = min_u64(left, BACKUP_ROW_BYTES);
        rc = put_block(b, BACKUP_PIECE, luge_bytes_of(at, n),
                       luge_bytes_of("", 0));
    }
    b->done.records += f->kind == LOG_LAST;
    return rc;
}

static bool is_gone(const struct backup *b, u64 segment)
{
    atomic_thread_fence(memory_order_seq_cst);
    return segment < atomic_load(&b->e->share.m->log_oldest);
}

static int log_is_gone(const struct backup *b)
{
    return fail(LUGE_EXPIRED, "the log no longer reaches back to transaction "
                "%llu, that of the backup to go on from",
                (unsigned long long)b->head.base_seq);
}

/* A frame is believed when afterwards its segment is still in use. */
static int put_log(struct backup *b)
{
    struct log_scan scan;
    struct log_frame frame;
    int rc = log_open(&b->log, b->e->os, b->e->log.directory, b->e->instance);
    if (rc) return rc;
    if (is_gone(b, b->base_log.segment)) return log_is_gone(b);
    log_scan_begin(&scan, &b->log, &b->base_log, &b->head.log);
    while (!rc && !(rc = log_next(&scan, &frame))) {
        u64 segment = scan.segment->number;
        rc = put_frame(b, &frame);
        if (!rc && is_gone(b, segment)) rc = log_is_gone(b);
        if (scan.at.segment != segment) log_trim(&b->log);
    }
    if (rc && rc != LUGE_NOTFOUND && is_gone(b, scan.at.segment))
        rc = log_is_gone(b);
    log_scan_end(&scan);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ------------------------------------------------- backups to go on from -- */

static int note_path(const struct backup *b, const u8 id[16], char *path)
{
    char hex[33];
    for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", id[i]);
    int n = snprintf(path, PATH_BYTES, "%s/backups/%s", b->e->path, hex);
    return n < PATH_BYTES ? 0 : fail(LUGE_INVALID, "the path is too long");
}

static int read_note(struct os *os, const char *path, u64 *publication,
                     u64 *seq)
{
    char text[NOTE_BYTES];
    struct os_file *file = NULL;
    unsigned long long numbers[2];
    u64 size = 0;
    int rc = os->open(os, path, OS_READ, &file);
    if (!rc) rc = os->size(file, &size);
    if (!rc && size >= sizeof text) rc = CORRUPT("%s is too long", path);
    if (!rc) rc = os->read(file, text, size, 0);
    if (file) os->close(file);
    if (rc) return rc;
    text[size] = 0;
    if (sscanf(text, "luge backup\npublication %llu\nseq %llu\n", &numbers[0],
               &numbers[1]) != 2)
        return CORRUPT("%s is not a note of a backup", path);
    *publication = numbers[0];
    *seq = numbers[1];
    return 0;
}

struct notes {
    struct os *os;
    const char *directory;
    u32 count;
    u64 oldest;                 /* seq, and its file's name */
    char name[64];
};

static int look_at_note(void *context, const char *name)
{
    struct notes *notes = context;
    char path[PATH_BYTES];
    u64 publication, seq = 0;
    int n = snprintf(path, sizeof path, "%s/%.63s", notes->directory, name);
    if (n >= (int)sizeof path) return 0;
    /* What cannot be read helps nobody: it goes first. */
    (void)read_note(notes->os, path, &publication, &seq);
    if (!notes->count++ || seq < notes->oldest) {
        notes->oldest = seq;
        snprintf(notes->name, sizeof notes->name, "%s", name);
    }
    return 0;
}

/* Forget the oldest beyond BACKUP_KNOWN_MAX. */
static int thin_notes(struct backup *b, const char *directory)
{
    char path[PATH_BYTES];
    struct notes notes = {.os = b->e->os, .directory = directory};
    int rc = b->e->os->list(b->e->os, directory, look_at_note, &notes);
    if (rc || notes.count <= BACKUP_KNOWN_MAX) return rc;
    int n = snprintf(path, sizeof path, "%s/%.63s", directory, notes.name);
    if (n >= (int)sizeof path) return 0;
    rc = b->e->os->unlink(b->e->os, path);
    return rc == LUGE_NOTFOUND ? 0 : rc;        /* another did */
}

struct recovered {
    struct notes notes;
    u64 publication;
    bool forgot;
};

static int forget_newer(void *context, const char *name)
{
    struct recovered *r = context;
    char path[PATH_BYTES];
    u64 publication = 0, seq;
    int n = snprintf(path, sizeof path, "%s/%.63s", r->notes.directory, name);
    if (n >= (int)sizeof path) return 0;
    int rc = read_note(r->notes.os, path, &publication, &seq);
    if (!rc && publication <= r->publication) return 0;
    r->forgot = true;
    return r->notes.os->unlink(r->notes.os, path);
}

int backup_recovered(struct env *e)
{
    char directory[PATH_BYTES - 64];
    struct recovered r = {.notes = {.os = e->os, .directory = directory},
                          .publication = env_head(e)->checkpoint_publication};
    snprintf(directory, sizeof directory, "%s/backups", e->path);
    int rc = e->os->list(e->os, directory, forget_newer, &r);
    if (rc == LUGE_NOTFOUND) return 0;
    return rc || !r.forgot ? rc : e->os->sync_dir(e->os, directory);
}

static int write_note(struct os *os, const char *path, const char *text,
                      size_t size)
{
    struct os_file *file = NULL;
    int rc = os->open(os, path, OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &file);
    if (!rc) rc = os->write(file, text, size, 0);
    if (!rc) rc = os->sync(file);
    if (file) os->close(file);
    return rc;
}

static int note(struct backup *b)
{
    char directory[PATH_BYTES - 64], path[PATH_BYTES], text[NOTE_BYTES];
    struct os *os = b->e->os;
    snprintf(directory, sizeof directory, "%s/backups", b->e->path);
    int n = snprintf(text, sizeof text,
                     "luge backup\npublication %llu\nseq %llu\n",
                     (unsigned long long)b->head.publication,
                     (unsigned long long)b->head.seq);
    int rc = os->mkdir(os, directory);
    if (rc == LUGE_EXISTS) rc = 0;
    if (!rc) rc = note_path(b, b->head.id, path);
    if (!rc) rc = write_note(os, path, text, (size_t)n);
    if (!rc) rc = thin_notes(b, directory);
    if (!rc) rc = os->sync_dir(os, directory);
    return rc ? rc : os->sync_dir(os, b->e->path);
}

static int check_base(struct backup *b, const struct luge_backup_info *base)
{
    char path[PATH_BYTES];
    u64 publication = 0, seq = 0;
    if (memcmp(base->database, b->e->instance, 16) != 0)
        return fail(LUGE_MISMATCH, "the backup to go on from is one of another "
                    "database");
    int rc = note_path(b, base->id, path);
    if (!rc) rc = read_note(b->e->os, path, &publication, &seq);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    if (rc || publication != base->publication || seq != base->seq)
        return fail(LUGE_MISMATCH, "the database does not know the backup to "
                    "go on from: it was copied before that, or 128 were made "
                    "since; make a full one");
    memcpy(b->head.base, base->id, sizeof b->head.base);
    b->head.base_seq = base->seq;
    b->head.base_publication = base->publication;
    b->base_log = (struct log_position){base->log[0], base->log[1],
                                        base->log[2]};
    return 0;
}

/* ---------------------------------------------------------------- steps -- */

static int pin(struct backup *b)
{
    struct backup_head *h = &b->head;
    struct txn_head now;
    int rc = txn_begin_published(b->e, &b->txn, &now);
    if (rc) return rc;
    h->bytes = sizeof *h;
    h->page_bytes = b->e->options.page_bytes;
    memcpy(h->instance, b->e->instance, sizeof h->instance);
    h->seq = now.seq;
    h->time_ns = now.time_ns;
    h->publication = now.publication;
    h->catalog = now.catalog;
    h->catalog_count = now.catalog_count;
    h->page_count = now.space.page_count;
    h->ids = atomic_load(&b->e->share.m->id_limit);
    h->log = now.published_log;
    return b->e->os->random(b->e->os, h->id, sizeof h->id);
}

/* Until a recovery can begin no earlier than at the version. */
static int checkpoint(struct backup *b)
{
    struct txn_head now;
    for (u32 i = 0; i < CHECKPOINTS_MAX; i++) {
        int rc = checkpoint_write(b->e, HOLES_NONE,
                                  b->e->options.busy_timeout_ms);
        if (rc) return rc;
        head_copy(b->e, &now);
        if (now.checkpoint_publication >= b->head.publication)
            return commit_wait(b->e, b->head.seq);
    }
    return fail(LUGE_BUSY, "no checkpoint came to its end");
}

static int find_pages(struct backup *b)
{
    int rc = reach_begin(&b->reach, &b->e->pages, b->head.page_count,
                         b->head.base_publication, b->head.catalog);
    b->head.pages = b->reach.pages;
    return rc;
}

static int steps(struct backup *b, unsigned flags,
                 const struct luge_backup_info *base)
{
    int rc = base ? check_base(b, base) : 0;
    if (!rc) rc = pin(b);
    if (!rc) rc = checkpoint(b);
    if (!rc) rc = find_pages(b);
    b->head.flags = flags & LUGE_BACKUP_LOG;
    if (!rc) rc = put_head(b);
    if (!rc && b->head.flags) rc = put_log(b);
    if (!rc) rc = put_pages(b);
    if (!rc) rc = put_end(b);
    return rc ? rc : note(b);
}

int luge_backup(luge_db *db, unsigned flags,
                const struct luge_backup_info *base,
                const struct luge_backup_stream *stream,
                struct luge_backup_info *made)
{
    struct backup b = {.e = &db->store->env, .stream = stream};
    int rc = env_usable(b.e);
    if (!rc) rc = store_flags_ok(flags, LUGE_BACKUP_LOG);
    if (!rc && (db->flags & LUGE_READ_ONLY))
        rc = fail(LUGE_READONLY, "the database was opened read-only");
    if (!rc && (flags & LUGE_BACKUP_LOG) && !base)
        rc = fail(LUGE_INVALID, "the log since which backup?");
    if (!rc && (!stream || !stream->write))
        rc = fail(LUGE_INVALID, "no stream to write to is given");
    if (rc) return rc;
    rc = steps(&b, flags, base);
    if (b.txn) txn_abort(b.txn);
    reach_end(&b.reach);
    log_close(&b.log);
    if (!rc && made) backup_info(&b.head, made);
    return rc;
}
