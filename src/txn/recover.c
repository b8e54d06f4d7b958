/* txn/recover.c -- a new database, and the first process in an old one.
 *
 *   conf is written last and by rename: without it there is no database.
 *   Recovery: newest valid superblock | its free list | replay every complete
 *   record behind it, once | cut what follows | make the rest durable.
 * Nothing the old state needs is overwritten before the end, so a crash during
 * recovery is followed by the same recovery.
 * What is read need not be on the device: who wrote it may have died before he
 * synced it, or seen the sync fail.  After a failed sync the system may show
 * what it did not write, call it clean, and let the next sync succeed without
 * it.  So the superblock is written anew, always, and the log if the old shared
 * memory says that a sync had failed; one that fails here is noted as well.
 * Not here: who may do this (store/open.c holds the gate).
 */
#include <stdio.h>

#include "txn/env.h"

enum { FIRST_SEQ = 1, SUPERBLOCKS = 2, READ_AHEAD_TIMES = 16 };

static int file_path(const struct env *e, const char *name, char *to,
                     size_t size)
{
    int n = snprintf(to, size, "%s/%s", e->path, name);
    if (n < 0 || (size_t)n >= size)
        return fail(LUGE_INVALID, "the path of the database is too long");
    return 0;
}

/* ------------------------------------------------------------- create -- */

static int first_superblock(struct env *e, const struct log_position *log)
{
    struct superblock s = {
        .magic = "lugedb", .format = ENV_FORMAT,
        .page_bytes = e->options.page_bytes, .number = 1, .seq = FIRST_SEQ,
        .publication = 1,
        .page_count = SUPERBLOCKS, .log = *log,
    };
    memcpy(s.instance, e->instance, sizeof s.instance);
    s.time_ns = e->os->wall_ns(e->os);
    int rc = e->os->resize(e->db, 0);   /* of an attempt that crashed */
    if (!rc) rc = e->os->resize(e->db, (u64)SUPERBLOCKS *
                                           e->options.page_bytes);
    if (!rc) rc = superblock_write(e, &s);
    return rc ? rc : e->os->sync(e->db);
}

int recover_write_conf(struct env *e)
{
    char from[4096], to[4096], text[256], hex[33];
    struct os_file *file = NULL;
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", e->instance[i]);
    int n = snprintf(text, sizeof text,
                     "luge\nformat %d\npage_bytes %u\ninstance %s\n",
                     ENV_FORMAT, e->options.page_bytes, hex);
    int rc = file_path(e, "conf.new", from, sizeof from);
    if (!rc) rc = file_path(e, "conf", to, sizeof to);
    if (!rc) rc = e->os->open(e->os, from, OS_WRITE | OS_CREATE, &file);
    if (!rc) rc = e->os->resize(file, 0);
    if (!rc) rc = e->os->write(file, text, (size_t)n, 0);
    if (!rc) rc = e->os->sync(file);
    if (file) e->os->close(file);
    if (!rc) rc = e->os->rename(e->os, from, to);
    return rc ? rc : e->os->sync_dir(e->os, e->path);
}

int recover_create(struct env *e)
{
    struct log_position at = {0};
    char path[4096];
    int rc = file_path(e, "log", path, sizeof path);
    if (!rc) rc = e->os->mkdir(e->os, path);
    if (rc == LUGE_EXISTS) rc = 0;
    if (!rc) rc = e->os->random(e->os, e->instance, sizeof e->instance);
    if (!rc) rc = file_path(e, "db", path, sizeof path);
    if (!rc) rc = e->os->open(e->os, path, OS_WRITE | OS_CREATE, &e->db);
    if (!rc) rc = file_path(e, "log", path, sizeof path);
    if (!rc) rc = log_open(&e->log, e->os, path, e->instance);
    if (!rc) rc = log_remove_after(&e->log, 0);
    if (!rc) rc = log_begin_segment(&e->log, &at, 1, FIRST_SEQ + 1,
                                    LOG_SEGMENT_MIN, 0);
    if (!rc) rc = log_sync(&e->log, 1, &at, NULL);
    if (!rc) rc = first_superblock(e, &at);
    if (!rc) rc = e->os->sync_dir(e->os, e->path);
    if (!rc) rc = recover_write_conf(e);
    log_close(&e->log);
    if (e->db) e->os->close(e->db);
    e->db = NULL;
    return rc;
}

/* --------------------------------------------------------- superblock -- */

static int read_slot(struct env *e, u64 slot, struct superblock *s)
{
    int rc = e->os->read(e->db, s, sizeof *s, slot * e->options.page_bytes);
    if (rc) return rc;
    u64 sum = base_hash(s, offsetof(struct superblock, sum), s->number);
    if (memcmp(s->magic, "lugedb", 7) || s->sum != sum ||
        (s->number & 1) != slot ||
        memcmp(s->instance, e->instance, sizeof s->instance))
        return CORRUPT("superblock %llu is not valid",
                       (unsigned long long)slot);
    if (s->format > ENV_FORMAT)
        return fail(LUGE_VERSION, "format %u of the page file is newer than "
                    "%d, the newest this luge knows", s->format, ENV_FORMAT);
    return 0;
}

static int sane(struct env *e, const struct superblock *s)
{
    u64 size = 0;
    int rc = e->os->size(e->db, &size);
    if (rc) return rc;
    u64 pages = size / e->options.page_bytes;
    if (s->page_bytes != e->options.page_bytes || !s->seq ||
        !s->publication ||
        s->catalog >= s->page_count ||
        s->page_count > page_file_limit(&e->pages) ||
        s->stored_pages > s->page_count ||
        s->stored_first > s->page_count - s->stored_pages ||
        s->log.offset < LOG_DATA_AT || s->log.offset % 8)
        return CORRUPT("superblock %llu contradicts itself",
                       (unsigned long long)s->number);
    /* The last pages may be free and never written: what is reachable is
     * checked when it is touched.  The free list is read now. */
    if (s->stored_pages && s->stored_first + s->stored_pages > pages)
        return CORRUPT("the page file is cut short: %llu pages",
                       (unsigned long long)pages);
    return 0;
}

int superblock_read(struct env *e, struct superblock *newest)
{
    struct superblock s[SUPERBLOCKS];
    int rc[SUPERBLOCKS], best = -1;
    for (int i = 0; i < SUPERBLOCKS; i++) {
        rc[i] = read_slot(e, (u64)i, &s[i]);
        if (rc[i] == LUGE_IO || rc[i] == LUGE_VERSION) return rc[i];
        if (!rc[i] && (best < 0 || s[i].number > s[best].number)) best = i;
    }
    if (best < 0) return CORRUPT("neither superblock is valid");
    *newest = s[best];
    return sane(e, newest);
}

/* ---------------------------------------------------------------- open -- */

static int load_free_list(struct env *e, const struct superblock *s)
{
    struct space_run *runs = NULL;
    size_t count = 0;
    int rc = space_load(&e->pages, s->stored_first, (u32)s->stored_pages,
                        &runs, &count);
    for (size_t i = 0; i < count && !rc; i++) {
        if (runs[i].first + runs[i].pages > s->page_count)
            rc = CORRUPT("the free list names pages beyond the end");
        else
            rc = space_give(&e->space, runs[i].first, runs[i].pages);
    }
    base_free(runs);
    return rc;
}

static void describe_head(const struct superblock *s, struct txn_head *h)
{
    *h = (struct txn_head){
        .seq = s->seq, .time_ns = s->time_ns, .log = s->log,
        .special_seq = s->seq, .written = s->log, .written_seq = s->seq,
        .published = s->seq, .publication = s->publication,
        .catalog = s->catalog,
        .catalog_count = s->catalog_count, .published_log = s->log,
        .checkpoint = s->seq, .checkpoint_publication = s->publication,
        .checkpoint_catalog = s->catalog,
        .checkpoint_catalog_count = s->catalog_count,
        .checkpoint_log = s->log,
        .superblocks = s->number, .stored_first = s->stored_first,
        .stored_pages = (u32)s->stored_pages,
    };
    space_clear(&h->space, s->page_count);
}

static void describe_memory(struct env *e, const struct superblock *s)
{
    struct share_memory *m = e->share.m;
    m->committed = m->durable = m->shown = m->special = s->seq;
    m->checkpoint = m->floor = s->publication;
    m->synced_segment = s->log.segment;
}

/* Thieves of the turn to come must not meet with those of former times. */
static void begin_generations(struct env *e, u64 newest_segment)
{
    u64 generation = log_generation(newest_segment);
    atomic_store(&e->share.m->turn_generation, generation);
    atomic_store(&e->share.m->first_generation, generation);
    e->arena->generation = generation;
}

static u64 now_us(void)
{
    return os_monotonic_ns() / 1000;
}

/* A sync answered RC. */
static int in_doubt(struct env *e, int rc)
{
    if (rc) atomic_store(&e->share.m->in_doubt, 1);
    return rc;
}

/* The superblock that was read must last before anything that the other one
 * needs is used again, and the name of conf as long as the rest.  What it leads
 * to was synced before it was first written.  What else is dirty, the dead have
 * published for nobody: to wait for 260 MB of it took 100 ms (open-killed). */
static int keep_superblock(struct env *e, const struct superblock *s)
{
    u64 began = now_us();
    int rc = in_doubt(e, superblock_write_durable(e, s));
    if (!rc) rc = e->os->sync_dir(e->os, e->path);
    e->opening.sync_us += now_us() - began;
    return rc;
}

/* A replay touches leaves in no order, and a file that is not in memory is read
 * page by page (docs/why/larger-than-memory.md): 0.5 s after 60 MiB of log and
 * 115 MiB of pages, 3.0 s without this.  No more is asked for than the log may
 * need: a recovery is bounded by the checkpoint's interval. */
static void read_ahead(struct env *e, u64 log_bytes)
{
    page_ref next = SUPERBLOCKS;
    u64 size;
    if (e->os->size(e->db, &size) || size > READ_AHEAD_TIMES * log_bytes)
        return;
    u64 pages = size / e->options.page_bytes;
    page_file_grown(&e->pages, pages);
    (void)page_will_need_all(&e->pages, &next, pages);
}

/* Replay the log behind the superblock and make its end the head. */
static int replay_all(struct env *e)
{
    struct txn_head last;
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    last = *env_head(e);
    rc = log_exists(&e->log, last.log.segment);
    if (rc == LUGE_NOTFOUND)
        rc = CORRUPT("log segment %llu is missing",
                     (unsigned long long)last.log.segment);
    struct log_position start = last.log, end;
    struct env_opening *o = &e->opening;
    u64 newest, first = last.seq, times[4];
    times[0] = now_us();
    if (!rc) rc = log_span(&e->log, &last.log_oldest, &newest);
    if (!rc) begin_generations(e, newest);
    if (!rc) rc = head_find_end(e, &start, last.seq, &end, &o->bytes);
    times[1] = now_us();
    if (!rc) log_sync_start(&e->log, start.segment, &end);
    if (!rc) read_ahead(e, o->bytes);
    if (!rc) rc = head_replay(e, &start, &end, &last, HEAD_ALL);
    times[2] = now_us();
    if (!rc) rc = log_remove_after(&e->log, last.log.segment);
    if (!rc && atomic_load(&e->share.m->in_doubt))
        rc = log_rewrite(&e->log, start.segment, &last.log);
    if (!rc)
        rc = in_doubt(e, log_sync(&e->log, start.segment, &last.log, NULL));
    times[3] = now_us();
    o->scan_us = times[1] - times[0];
    o->replay_us = times[2] - times[1];
    o->sync_us += times[3] - times[2];
    o->records = last.seq - first;
    if (!rc) {
        struct txn_head next = *env_head(e);
        next.seq = next.special_seq = last.seq;
        next.publication = e->head.base;
        next.time_ns = last.time_ns;
        next.log = next.written = last.log;
        next.written_seq = last.seq;
        next.log_oldest = last.log_oldest;
        next.log_total = last.log.segment == start.segment
                             ? last.log.offset - start.offset
                             : e->options.checkpoint_bytes / 2;
        rc = head_flip(e, &next, false);
    }
    if (!rc) {
        struct share_memory *m = e->share.m;
        m->committed = m->durable = m->shown = m->special = last.seq;
        m->synced_segment = last.log.segment;
        m->log_oldest = last.log_oldest;
    }
    head_release_turn(e);
    return rc;
}

/* What a transaction that failed, or died, had put behind the last page is in
 * nobody's way until the disk is full.  Only behind keep_superblock: the other
 * one may know more pages. */
static int cut_unused(struct env *e, const struct superblock *s)
{
    u64 size = 0, used = s->page_count * e->options.page_bytes;
    int rc = e->share.found_full ? e->os->size(e->db, &size) : 0;
    return rc || size <= used ? rc : e->os->resize(e->db, used);
}

int recover_open(struct env *e)
{
    char path[4096];
    struct superblock s;
    struct txn_head head;
    int rc = superblock_read(e, &s);
    if (!rc) rc = file_path(e, "shm", path, sizeof path);
    /* What nobody needs goes first: a full disk then has room for the rest. */
    if (!rc) rc = log_remove_spares(&e->log);
    if (!rc)
        rc = share_create(&e->share, path, e->instance,
                          round_up(sizeof(struct txn_arena), 4096) +
                              4096 * ENV_ARENA_CHUNKS);
    if (!rc) rc = keep_superblock(e, &s);
    if (!rc) rc = cut_unused(e, &s);
    if (rc) return rc;
    describe_head(&s, &head);
    describe_memory(e, &s);
    head_init_arena(e, &head);
    rc = load_free_list(e, &s);
    if (rc) return rc;
    e->arena->heads[0].space = e->arena->work;
    rc = share_sit(&e->share);
    e->log.owner = e->share.seat;
    if (!rc) rc = txn_load_ids(e);
    if (!rc) rc = replay_all(e);
    if (!rc) atomic_store(&e->share.m->in_doubt, 0);
    return rc;
}
