/* store/load.c -- reading a stream of luge_dump back (dump.h has the picture).
 *
 *   L1  A block is used only after its checksum was found right.
 *   L2  A batch is a transaction without reads, so it does not conflict; it
 *       takes the turn only when it is whole, never while the stream is read.
 * Not here: other formats (cli/).
 */
#include "luge_dump.h"
#include "store/dump.h"
#include "store/store.h"
#include "txn/keep.h"

enum { BATCH_BYTES = 8 << 20, BATCH_PAIRS = 100000 };

struct load {
    luge_db *db;
    const struct luge_dump_stream *stream;
    struct luge_dump_progress done;
    luge_txn *txn;                  /* the batch; NULL: none is open */
    size_t batch_bytes, batch_pairs;
    luge_tree tree;                 /* 0: none yet */
    u64 sum, landed;                /* pairs that were committed */
    struct dump_head head;
    u8 *payload;
    struct base_buffer large;       /* a value that comes in pieces */
    u8 large_key[LUGE_KEY_SIZE_MAX];
    size_t large_key_size;
    u64 large_left;                 /* bytes of it to come */
    bool large_open, ended;
};

/* -------------------------------------------------------------- reading -- */

static int get(struct load *l, void *to, size_t size)
{
    u8 *at = to;
    while (size) {
        size_t got = 0;
        int rc = l->stream->read(l->stream->context, at, size, &got);
        if (rc) return rc;
        if (!got)
            return CORRUPT("the dump is cut short after %llu bytes",
                           (unsigned long long)l->done.bytes);
        at += got;
        size -= got;
        l->done.bytes += got;
    }
    return 0;
}

static int get_start(struct load *l)
{
    struct dump_start start;
    int rc = get(l, &start, sizeof start);
    if (rc) return rc;
    if (memcmp(start.magic, "lugedump", 8) != 0)
        return CORRUPT("this is not a dump of luge");
    if (!start.version || start.version > DUMP_VERSION)
        return fail(LUGE_VERSION, "a dump of version %u; this luge knows %d",
                    start.version, DUMP_VERSION);
    return 0;
}

/* The next block, checked (L1). */
static int get_block(struct load *l)
{
    u64 sum, at = l->done.bytes;
    int rc = get(l, &l->head, sizeof l->head);
    if (!rc && l->head.size > DUMP_PAYLOAD_MAX)
        rc = CORRUPT("the block at byte %llu claims %u bytes",
                     (unsigned long long)at, l->head.size);
    if (!rc) rc = get(l, l->payload, l->head.size);
    if (!rc) rc = get(l, &sum, sizeof sum);
    if (rc) return rc;
    l->sum = dump_sum(&l->head, l->payload, l->sum);
    if (sum == l->sum) return 0;
    return CORRUPT("the checksum of the block at byte %llu is wrong",
                   (unsigned long long)at);
}

/* -------------------------------------------------------------- landing -- */

static int land(struct load *l)
{
    luge_txn *txn = l->txn;
    l->txn = NULL;
    l->batch_bytes = l->batch_pairs = 0;
    int rc = txn ? luge_commit(txn) : 0;
    if (!rc) l->landed = l->done.pairs;
    return rc;
}

static int add_pair(struct load *l, luge_bytes key, luge_bytes value)
{
    int rc = 0;
    if (!l->tree) return CORRUPT("the dump has pairs before a tree");
    if (!l->txn) rc = luge_begin(l->db, LUGE_WRITE | LUGE_TXN_ASYNC, &l->txn);
    if (!rc) rc = luge_put(l->txn, l->tree, key, value);
    if (rc) return rc;
    l->done.pairs++;
    l->batch_pairs++;
    l->batch_bytes += key.size + value.size;
    return l->batch_bytes > BATCH_BYTES || l->batch_pairs >= BATCH_PAIRS
               ? land(l) : 0;
}

struct opening {
    luge_bytes name;
    luge_tree tree;
};

static int open_tree(luge_txn *txn, void *context)
{
    struct opening *o = context;
    return luge_tree_open(txn, o->name, LUGE_TREE_CREATE, &o->tree);
}

static int take_tree(struct load *l)
{
    if (l->head.size < 8 + 1 || l->head.size > 8 + LUGE_NAME_SIZE_MAX)
        return CORRUPT("the dump has a tree's name of %u bytes",
                       l->head.size);
    struct opening o = {
        .name = luge_bytes_of(l->payload + 8, l->head.size - 8),
    };
    if (bytes_equal(o.name, luge_str(KEEP_TREE_NAME)))
        return CORRUPT("the dump has a tree " KEEP_TREE_NAME);
    int rc = land(l);
    if (!rc) rc = luge_transact(l->db, LUGE_TXN_ASYNC, open_tree, &o);
    l->tree = o.tree;
    l->done.trees++;
    return rc;
}

/* Who loads may give none of them again (IDS_MAX in txn/ids.c is 2^63). */
static int take_ids(struct load *l)
{
    u64 next = l->head.size == 8 ? load64(l->payload) : UINT64_MAX;
    if (l->done.trees || next > (u64)1 << 62)
        return CORRUPT("the dump has a malformed count of numbers");
    return txn_raise_ids(&l->db->store->env, next);
}

static int take_pairs(struct load *l)
{
    const u8 *at = l->payload, *end = at + l->head.size;
    while (at < end) {
        u64 key, value;
        size_t n = base_get_varint(at, end, &key);
        size_t m = n ? base_get_varint(at + n, end, &value) : 0;
        if (!m || key > LUGE_KEY_SIZE_MAX || value > DUMP_PAYLOAD_MAX ||
            key + value > (u64)(end - at) - n - m)
            return CORRUPT("the dump has a malformed pair");
        at += n + m;
        int rc = add_pair(l, luge_bytes_of(at, key),
                          luge_bytes_of(at + key, value));
        if (rc) return rc;
        at += key + value;
    }
    return 0;
}

static int take_large(struct load *l)
{
    if (l->head.size < 8 || l->head.size > 8 + LUGE_KEY_SIZE_MAX)
        return CORRUPT("the dump has a malformed pair");
    l->large_left = load64(l->payload);
    l->large_key_size = l->head.size - 8;
    memcpy(l->large_key, l->payload + 8, l->large_key_size);
    l->large.size = 0;
    l->large_open = true;
    if (l->large_left && l->large_left <= LUGE_VALUE_SIZE_MAX) return 0;
    return CORRUPT("the dump has a value of %llu bytes",
                   (unsigned long long)l->large_left);
}

static int take_piece(struct load *l)
{
    if (!l->large_open || !l->head.size || l->head.size > l->large_left)
        return CORRUPT("the dump has a piece of no value");
    int rc = base_buffer_add(&l->large, l->payload, l->head.size);
    l->large_left -= l->head.size;
    if (rc || l->large_left) return rc;
    l->large_open = false;
    rc = add_pair(l, luge_bytes_of(l->large_key, l->large_key_size),
                  luge_bytes_of(l->large.data, l->large.size));
    base_buffer_free(&l->large);
    return rc;
}

static int take_end(struct load *l)
{
    if (l->head.size != 24 || load64(l->payload) != l->done.trees ||
        load64(l->payload + 8) != l->done.pairs)
        return CORRUPT("the dump's end does not fit what came before");
    l->ended = true;
    return 0;
}

static int take_block(struct load *l)
{
    if (l->large_open && l->head.kind != DUMP_PIECE)
        return CORRUPT("the dump lacks a piece of a value");
    switch (l->head.kind) {
    case DUMP_TREE: return take_tree(l);
    case DUMP_PAIRS: return take_pairs(l);
    case DUMP_LARGE: return take_large(l);
    case DUMP_PIECE: return take_piece(l);
    case DUMP_END: return take_end(l);
    case DUMP_IDS: return take_ids(l);
    default: return CORRUPT("the dump has a block of kind %u", l->head.kind);
    }
}

int luge_load(luge_db *db, const struct luge_dump_stream *stream,
              struct luge_dump_progress *done)
{
    struct load l = {.db = db, .stream = stream};
    if (done) *done = l.done;
    if (db->flags & LUGE_READ_ONLY)
        return fail(LUGE_READONLY, "the database was opened read-only");
    l.payload = base_alloc(DUMP_PAYLOAD_MAX);
    int rc = l.payload ? get_start(&l) : NOMEM();
    while (!rc && !l.ended) {
        rc = get_block(&l);
        if (!rc) rc = take_block(&l);
        if (!rc && stream->progress)
            rc = stream->progress(stream->context, &l.done);
    }
    /* What came before the damage is good, and was good when it was dumped. */
    int landed = land(&l);
    if (!landed) landed = luge_sync(db);
    l.done.pairs = l.landed;
    if (done) *done = l.done;
    base_free(l.payload);
    base_buffer_free(&l.large);
    return rc ? rc : landed;
}
