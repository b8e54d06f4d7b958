/* bench/engine_leveldb.c -- LevelDB through its C interface.  Its get copies
 * the value into memory of its own; there is no other way to ask.
 * Not here: a checkpoint; LevelDB has none that can be asked for. */
#ifdef HAVE_LEVELDB
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

#include <leveldb/c.h>

enum { LOAD_BATCH = 10000, BLOOM_BITS = 10 };
#define CACHE_BYTES ((size_t)2 << 30)
#define BUFFER_BYTES ((size_t)128 << 20)
#define FILE_BYTES ((size_t)64 << 20)

struct level {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_writeoptions_t *write, *write_sync;
};

struct session {
    struct level *level;
    leveldb_readoptions_t *read;
    const leveldb_snapshot_t *snapshot;
    leveldb_writebatch_t *batch;
};

static int failed(const char *what, char *text)
{
    bench_fail("%s: %s", what, text);
    leveldb_free(text);
    return -1;
}

/* --------------------------------------------------------------- open -- */

/* Table files are mapped, so their pages are the cache within a limit. */
static void set_options(struct level *level, u64 memory_bytes)
{
    size_t cache = memory_bytes ? memory_bytes / 16 : CACHE_BYTES;
    size_t buffer = memory_bytes ? memory_bytes / 16 : BUFFER_BYTES;

    level->options = leveldb_options_create();
    level->cache = leveldb_cache_create_lru(cache);
    level->filter = leveldb_filterpolicy_create_bloom(BLOOM_BITS);
    leveldb_options_set_create_if_missing(level->options, 1);
    leveldb_options_set_cache(level->options, level->cache);
    leveldb_options_set_filter_policy(level->options, level->filter);
    leveldb_options_set_compression(level->options, leveldb_no_compression);
    leveldb_options_set_write_buffer_size(level->options, buffer);
    leveldb_options_set_max_file_size(level->options, FILE_BYTES);
}

static int db_open(const struct engine *engine, const struct open_how *how,
                   void **db)
{
    struct level *level = bench_alloc(sizeof *level);
    char *text = NULL;

    (void)engine;
    *db = level;
    set_options(level, how->memory_bytes);
    level->db = leveldb_open(level->options, how->dir, &text);
    if (text) return failed("leveldb_open", text);
    level->write = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(level->write, how->mode == MODE_DURABLE);
    level->write_sync = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(level->write_sync, 1);
    return 0;
}

static int db_close(void *db)
{
    struct level *level = db;

    leveldb_close(level->db);
    leveldb_options_destroy(level->options);
    leveldb_cache_destroy(level->cache);
    leveldb_filterpolicy_destroy(level->filter);
    leveldb_writeoptions_destroy(level->write);
    leveldb_writeoptions_destroy(level->write_sync);
    free(level);
    return 0;
}

static int session_open(void *db, void **session)
{
    struct session *s = bench_alloc(sizeof *s);

    s->level = db;
    s->read = leveldb_readoptions_create();
    s->batch = leveldb_writebatch_create();
    *session = s;
    return 0;
}

static void end(void *session)
{
    struct session *s = session;

    leveldb_readoptions_set_snapshot(s->read, NULL);
    leveldb_release_snapshot(s->level->db, s->snapshot);
    s->snapshot = NULL;
}

static void session_close(void *session)
{
    struct session *s = session;

    if (s->snapshot) end(s);
    leveldb_readoptions_destroy(s->read);
    leveldb_writebatch_destroy(s->batch);
    free(s);
}

/* -------------------------------------------------------------- reads -- */

static int begin(void *session)
{
    struct session *s = session;

    s->snapshot = leveldb_create_snapshot(s->level->db);
    leveldb_readoptions_set_snapshot(s->read, s->snapshot);
    return 0;
}

static int get(void *session, struct slice key, struct head *head)
{
    struct session *s = session;
    char *text = NULL, *value;
    size_t size;

    value = leveldb_get(s->level->db, s->read, key.data, key.size, &size,
                        &text);
    if (text) return failed("leveldb_get", text);
    if (!value) return bench_fail("leveldb_get: not found");
    head_of(head, slice_of(value, size));
    leveldb_free(value);
    return 0;
}

static void scan_from(leveldb_iterator_t *at, u64 limit, struct tally *tally)
{
    struct slice key, value;

    while (limit-- && leveldb_iter_valid(at)) {
        key.data = leveldb_iter_key(at, &key.size);
        value.data = leveldb_iter_value(at, &value.size);
        tally_add(tally, key, value);
        if (limit) leveldb_iter_next(at);
    }
}

static int scan(void *session, const struct slice *from, u64 limit,
                struct tally *tally)
{
    struct session *s = session;
    leveldb_iterator_t *at = leveldb_create_iterator(s->level->db, s->read);
    char *text = NULL;

    if (from) leveldb_iter_seek(at, from->data, from->size);
    else leveldb_iter_seek_to_first(at);
    scan_from(at, limit, tally);
    leveldb_iter_get_error(at, &text);
    leveldb_iter_destroy(at);
    return text ? failed("leveldb_iter", text) : 0;
}

/* ------------------------------------------------------------- writes -- */

static int put(void *session, struct slice key, struct slice value)
{
    struct session *s = session;
    char *text = NULL;

    leveldb_put(s->level->db, s->level->write, key.data, key.size, value.data,
                value.size, &text);
    return text ? failed("leveldb_put", text) : 0;
}

static int batch(void *session, const struct engine_op *ops, size_t count)
{
    struct session *s = session;
    char *text = NULL;

    leveldb_writebatch_clear(s->batch);
    for (size_t i = 0; i < count; i++) {
        if (ops[i].del)
            leveldb_writebatch_delete(s->batch, ops[i].key.data,
                                      ops[i].key.size);
        else
            leveldb_writebatch_put(s->batch, ops[i].key.data, ops[i].key.size,
                                   ops[i].value.data, ops[i].value.size);
    }
    leveldb_write(s->level->db, s->level->write, s->batch, &text);
    return text ? failed("leveldb_write", text) : 0;
}

/* A synced write of nothing makes everything before it durable. */
static int sync_all(void *db)
{
    struct level *level = db;
    leveldb_writebatch_t *empty = leveldb_writebatch_create();
    char *text = NULL;

    leveldb_write(level->db, level->write_sync, empty, &text);
    leveldb_writebatch_destroy(empty);
    return text ? failed("leveldb_write", text) : 0;
}

/* Fill BATCH from SOURCE; false when the source is at its end. */
static bool fill(leveldb_writebatch_t *batch, struct source *source)
{
    struct slice key, value;

    leveldb_writebatch_clear(batch);
    for (u32 i = 0; i < LOAD_BATCH; i++) {
        if (!source->next(source, &key, &value)) return false;
        leveldb_writebatch_put(batch, key.data, key.size, value.data,
                               value.size);
    }
    return true;
}

static int load(void *db, struct source *source)
{
    struct level *level = db;
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    char *text = NULL;
    bool more = true;

    while (more && !text) {
        more = fill(batch, source);
        leveldb_write(level->db, level->write, batch, &text);
    }
    leveldb_writebatch_destroy(batch);
    return text ? failed("leveldb_write", text) : sync_all(db);
}

static int settle(void *db)
{
    leveldb_compact_range(((struct level *)db)->db, NULL, 0, NULL, 0);
    return 0;
}

static void version(char *text, size_t size)
{
    snprintf(text, size, "%d.%d", leveldb_major_version(),
             leveldb_minor_version());
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .options = "cache 2 GiB, bloom 10 bits, no compression, write buffer "
               "128 MiB, files 64 MiB; async = log without sync, durable = "
               "sync; sorted load: batches of 10,000, a sync; reads copy, "
               "after a full compaction",
    .options_limited = "cache and write buffer a sixteenth of the limit each; "
                       "files are mapped",
    .rank = {RANK_PREFIX, RANK_POWER},
    .kinds = KIND_PEER,
    .version = version,
    .open = db_open,
    .close = db_close,
    .session_open = session_open,
    .session_close = session_close,
    .put = put,
    .get = get,
    .begin = begin,
    .end = end,
    .batch = batch,
    .scan = scan,
    .load = load,
    .sync = sync_all,
    .settle = settle,
};
#endif
