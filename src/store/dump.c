/* store/dump.c -- writing a snapshot as a stream (dump.h has the picture).
 * Not here: reading it back (load.c).
 */
#include "luge_dump.h"
#include "store/dump.h"
#include "txn/keep.h"
#include "txn/txn.h"

struct dump {
    const struct luge_dump_stream *stream;
    struct luge_dump_progress done;
    struct base_buffer block;       /* the pairs of the block being made */
    u64 sum;
};

static int put(struct dump *d, const void *data, size_t size)
{
    int rc = size ? d->stream->write(d->stream->context, data, size) : 0;
    if (!rc) d->done.bytes += size;
    return rc;
}

static int put_block(struct dump *d, u32 kind, const void *payload,
                     size_t size)
{
    struct dump_head head = {(u32)size, kind};
    u8 sum[8];
    assert(size <= DUMP_PAYLOAD_MAX);                               /* B2 */
    d->sum = dump_sum(&head, payload, d->sum);                      /* B1 */
    store64(sum, d->sum);
    int rc = put(d, &head, sizeof head);
    if (!rc) rc = put(d, payload, size);
    if (!rc) rc = put(d, sum, sizeof sum);
    if (!rc && d->stream->progress)
        rc = d->stream->progress(d->stream->context, &d->done);
    return rc;
}

static int put_pairs(struct dump *d)
{
    if (!d->block.size) return 0;
    int rc = put_block(d, DUMP_PAIRS, d->block.data, d->block.size);
    d->block.size = 0;
    return rc;
}

static int put_large(struct dump *d, luge_bytes key, luge_bytes value)
{
    u8 head[8 + LUGE_KEY_SIZE_MAX];
    const u8 *at = value.data;
    store64(head, value.size);
    memcpy(head + 8, key.data, key.size);
    int rc = put_pairs(d);
    if (!rc) rc = put_block(d, DUMP_LARGE, head, 8 + key.size);
    for (size_t left = value.size; left && !rc;) {
        size_t piece = min_u64(left, DUMP_PAYLOAD_MAX);
        rc = put_block(d, DUMP_PIECE, at, piece);
        at += piece;
        left -= piece;
    }
    return rc;
}

static int put_pair(struct dump *d, luge_bytes key, luge_bytes value)
{
    u8 sizes[2 * VARINT_SIZE_MAX];
    d->done.pairs++;
    if (value.size > DUMP_PAIR_MAX) return put_large(d, key, value);
    size_t n = base_put_varint(sizes, key.size);
    n += base_put_varint(sizes + n, value.size);
    int rc = base_buffer_add(&d->block, sizes, n);
    if (!rc) rc = base_buffer_add(&d->block, key.data, key.size);
    if (!rc) rc = base_buffer_add(&d->block, value.data, value.size);
    if (!rc && d->block.size >= DUMP_BLOCK_BYTES) rc = put_pairs(d);
    return rc;
}

static int put_tree(struct dump *d, luge_txn *txn, luge_tree tree,
                    luge_bytes name)
{
    u8 head[8 + LUGE_NAME_SIZE_MAX];
    uint64_t count;
    luge_cursor *cursor;
    luge_bytes key, value;
    int rc = luge_tree_count(txn, tree, &count);
    if (rc) return rc;
    store64(head, count);
    memcpy(head + 8, name.data, name.size);
    d->done.trees++;
    rc = put_block(d, DUMP_TREE, head, 8 + name.size);
    if (!rc) rc = luge_cursor_open(txn, tree, &cursor);
    if (rc) return rc;
    while (!rc && !(rc = luge_cursor_next(cursor, &key, &value)))
        rc = put_pair(d, key, value);
    luge_cursor_close(cursor);
    return rc == LUGE_NOTFOUND ? put_pairs(d) : rc;
}

static int put_trees(struct dump *d, luge_txn *txn)
{
    u8 copy[LUGE_NAME_SIZE_MAX];
    luge_bytes name = {"", 0};
    luge_tree tree;
    int rc;
    while (!(rc = luge_tree_after(txn, name, &name, &tree))) {
        memcpy(copy, name.data, name.size);
        name.data = copy;
        if (tree != KEEP_TREE) rc = put_tree(d, txn, tree, name);
        if (rc) break;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Numbers that were given are in keys and values, as the models' are. */
static int put_ids(struct dump *d, luge_txn *txn)
{
    u8 next[8];
    store64(next, atomic_load(&txn->env->share.m->next_id));
    return put_block(d, DUMP_IDS, next, sizeof next);
}

int luge_dump(luge_txn *txn, const struct luge_dump_stream *stream,
              struct luge_dump_progress *done)
{
    struct dump d = {.stream = stream};
    struct dump_start start = {"lugedump", DUMP_VERSION, 0};
    u8 end[24];
    int rc = put(&d, &start, sizeof start);
    if (!rc) rc = put_ids(&d, txn);
    if (!rc) rc = put_trees(&d, txn);
    store64(end, d.done.trees);
    store64(end + 8, d.done.pairs);
    store64(end + 16, luge_txn_seq(txn));
    if (!rc) rc = put_block(&d, DUMP_END, end, sizeof end);
    base_buffer_free(&d.block);
    if (done) *done = d.done;
    return rc;
}
