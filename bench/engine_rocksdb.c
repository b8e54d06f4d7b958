/* bench/engine_rocksdb.c -- RocksDB through its C interface, tuned for a data
 * set that fits in memory: large cache and write buffers, bloom filters, hash
 * index in data blocks, no compression (our values do not compress).
 * Not here: column families, its transactions (single puts need none). */
#ifdef HAVE_ROCKSDB
#include "engine.h"

#include <stdlib.h>

#include <rocksdb/c.h>

enum { LOAD_BATCH = 10000, FORMAT = 5, BLOOM_BITS = 10, BUFFERS = 4 };
#define CACHE_BYTES ((size_t)2 << 30)
#define BUFFER_BYTES ((size_t)128 << 20)

struct rocks {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write, *write_loading;
    rocksdb_readoptions_t *read;
};

struct session {
    struct rocks *rocks;
    rocksdb_readoptions_t *read;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_writebatch_t *batch;
};

static int failed(const char *what, char *text)
{
    bench_fail("%s: %s", what, text);
    rocksdb_free(text);
    return -1;
}

/* --------------------------------------------------------------- open -- */

/* Within a limit (row limited-get, one short sample each): 11.6 k reads/s so;
 * direct reads 11.0 to 11.4 k, no difference; indexes and filters in the cache
 * 3.8 k; half of the limit for the cache ran out of memory. */
static void set_table_options(struct rocks *rocks, u64 memory_bytes)
{
    size_t cache = memory_bytes ? memory_bytes / 4 : CACHE_BYTES;
    rocksdb_block_based_table_options_t *table =
        rocksdb_block_based_options_create();

    rocks->table = table;
    rocks->cache = rocksdb_cache_create_lru(cache);
    rocksdb_block_based_options_set_block_cache(table, rocks->cache);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_block_based_options_set_format_version(table, FORMAT);
    rocksdb_block_based_options_set_data_block_index_type(
        table,
        rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
}

static void set_options(struct rocks *rocks, u64 memory_bytes)
{
    size_t buffer = memory_bytes ? memory_bytes / 16 : BUFFER_BYTES;
    rocksdb_options_t *options = rocksdb_options_create();

    rocks->options = options;
    set_table_options(rocks, memory_bytes);
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_block_based_table_factory(options, rocks->table);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(options, buffer);
    rocksdb_options_set_max_write_buffer_number(options, BUFFERS);
    rocksdb_options_increase_parallelism(options, 2);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
}

static int db_open(const struct engine *engine, const struct open_how *how,
                   void **db)
{
    struct rocks *rocks = bench_alloc(sizeof *rocks);
    char *text = NULL;

    (void)engine;
    *db = rocks;
    set_options(rocks, how->memory_bytes);
    rocks->db = rocksdb_open(rocks->options, how->dir, &text);
    if (text) return failed("rocksdb_open", text);
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(rocks->write, how->mode == MODE_DURABLE);
    rocks->write_loading = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(rocks->write_loading, 1);
    rocks->read = rocksdb_readoptions_create();
    return 0;
}

static int db_close(void *db)
{
    struct rocks *rocks = db;

    rocksdb_close(rocks->db);
    rocksdb_options_destroy(rocks->options);
    rocksdb_block_based_options_destroy(rocks->table);
    rocksdb_cache_destroy(rocks->cache);
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_writeoptions_destroy(rocks->write_loading);
    rocksdb_readoptions_destroy(rocks->read);
    free(rocks);
    return 0;
}

static int session_open(void *db, void **session)
{
    struct session *s = bench_alloc(sizeof *s);

    s->rocks = db;
    s->read = rocksdb_readoptions_create();
    s->batch = rocksdb_writebatch_create();
    *session = s;
    return 0;
}

static void end(void *session)
{
    struct session *s = session;

    rocksdb_readoptions_set_snapshot(s->read, NULL);
    rocksdb_release_snapshot(s->rocks->db, s->snapshot);
    s->snapshot = NULL;
}

static void session_close(void *session)
{
    struct session *s = session;

    if (s->snapshot) end(s);
    rocksdb_readoptions_destroy(s->read);
    rocksdb_writebatch_destroy(s->batch);
    free(s);
}

/* -------------------------------------------------------------- reads -- */

static int begin(void *session)
{
    struct session *s = session;

    s->snapshot = rocksdb_create_snapshot(s->rocks->db);
    rocksdb_readoptions_set_snapshot(s->read, s->snapshot);
    return 0;
}

static int get(void *session, struct slice key, struct head *head)
{
    struct session *s = session;
    char *text = NULL;
    struct slice value;
    rocksdb_pinnableslice_t *pin = rocksdb_get_pinned(
        s->rocks->db, s->read, key.data, key.size, &text);

    if (text) return failed("rocksdb_get", text);
    if (!pin) return bench_fail("rocksdb_get: not found");
    value.data = rocksdb_pinnableslice_value(pin, &value.size);
    head_of(head, value);
    rocksdb_pinnableslice_destroy(pin);
    return 0;
}

static void scan_from(rocksdb_iterator_t *at, u64 limit, struct tally *tally)
{
    struct slice key, value;

    while (limit-- && rocksdb_iter_valid(at)) {
        key.data = rocksdb_iter_key(at, &key.size);
        value.data = rocksdb_iter_value(at, &value.size);
        tally_add(tally, key, value);
        if (limit) rocksdb_iter_next(at);
    }
}

static int scan(void *session, const struct slice *from, u64 limit,
                struct tally *tally)
{
    struct session *s = session;
    rocksdb_iterator_t *at = rocksdb_create_iterator(s->rocks->db, s->read);
    char *text = NULL;

    if (from) rocksdb_iter_seek(at, from->data, from->size);
    else rocksdb_iter_seek_to_first(at);
    scan_from(at, limit, tally);
    rocksdb_iter_get_error(at, &text);
    rocksdb_iter_destroy(at);
    return text ? failed("rocksdb_iter", text) : 0;
}

/* ------------------------------------------------------------- writes -- */

static int put(void *session, struct slice key, struct slice value)
{
    struct session *s = session;
    char *text = NULL;

    rocksdb_put(s->rocks->db, s->rocks->write, key.data, key.size, value.data,
                value.size, &text);
    return text ? failed("rocksdb_put", text) : 0;
}

static int batch(void *session, const struct engine_op *ops, size_t count)
{
    struct session *s = session;
    char *text = NULL;

    rocksdb_writebatch_clear(s->batch);
    for (size_t i = 0; i < count; i++) {
        if (ops[i].del)
            rocksdb_writebatch_delete(s->batch, ops[i].key.data,
                                      ops[i].key.size);
        else
            rocksdb_writebatch_put(s->batch, ops[i].key.data, ops[i].key.size,
                                   ops[i].value.data, ops[i].value.size);
    }
    rocksdb_write(s->rocks->db, s->rocks->write, s->batch, &text);
    return text ? failed("rocksdb_write", text) : 0;
}

static int sync_all(void *db)
{
    char *text = NULL;

    rocksdb_flush_wal(((struct rocks *)db)->db, 1, &text);
    return text ? failed("rocksdb_flush_wal", text) : 0;
}

static int flush(void *db)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    char *text = NULL;

    rocksdb_flush(((struct rocks *)db)->db, options, &text);
    rocksdb_flushoptions_destroy(options);
    return text ? failed("rocksdb_flush", text) : 0;
}

/* Fill BATCH from SOURCE; false when the source is at its end. */
static bool fill(rocksdb_writebatch_t *batch, struct source *source)
{
    struct slice key, value;

    rocksdb_writebatch_clear(batch);
    for (u32 i = 0; i < LOAD_BATCH; i++) {
        if (!source->next(source, &key, &value)) return false;
        rocksdb_writebatch_put(batch, key.data, key.size, value.data,
                               value.size);
    }
    return true;
}

static int load(void *db, struct source *source)
{
    struct rocks *rocks = db;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    char *text = NULL;
    bool more = true;

    while (more && !text) {
        more = fill(batch, source);
        rocksdb_write(rocks->db, rocks->write_loading, batch, &text);
    }
    rocksdb_writebatch_destroy(batch);
    return text ? failed("rocksdb_write", text) : flush(db);
}

static int settle(void *db)
{
    rocksdb_t *rocks = ((struct rocks *)db)->db;

    if (flush(db)) return -1;
    rocksdb_compact_range(rocks, NULL, 0, NULL, 0);
    return 0;
}

/* The C interface tells no version; the library's file name does. */
static void version(char *text, size_t size)
{
    engine_library((const void *)(uintptr_t)rocksdb_open, text, size);
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .options = "block cache 2 GiB, bloom 10 bits, format 5, hash index in data "
               "blocks, no compression, write buffer 128 MiB x 4, parallelism "
               "2, dynamic levels; async = WAL without sync, durable = sync; "
               "sorted load: no WAL, batches of 10,000, flush; reads pinned, "
               "after a full compaction",
    .options_limited = "block cache a quarter of the limit, write buffers "
                       "a sixteenth each",
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
    .checkpoint = flush,
    .settle = settle,
};
#endif
