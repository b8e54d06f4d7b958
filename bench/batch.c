/* bench/batch.c -- many records to one engine, a thousand a transaction.
 * Not here: in which order records come (the caller). */
#include "batch.h"

#include <inttypes.h>
#include <stdlib.h>

struct batch {
    const struct run *run;
    void *session;
    size_t count;
    struct engine_op ops[BATCH_OPS];
    u8 keys[BATCH_OPS][KEY_SIZE_MAX];
    u8 values[BATCH_OPS][VALUE_SIZE_MAX];
};

int batch_open(struct run *run, struct batch **batch)
{
    struct batch *b = bench_alloc(sizeof *b);

    b->run = run;
    *batch = b;
    return run->engine->session_open(run->db, &b->session);
}

void batch_close(struct batch *batch)
{
    batch->run->engine->session_close(batch->session);
    free(batch);
}

int batch_flush(struct batch *batch)
{
    size_t count = batch->count;

    batch->count = 0;
    if (!count) return 0;
    return batch->run->engine->batch(batch->session, batch->ops, count);
}

/* The next free operation of BATCH, with the key of record INDEX. */
static struct engine_op *next_op(struct batch *batch, u64 index, bool del)
{
    struct engine_op *op = &batch->ops[batch->count];

    op->del = del;
    op->key = shape_key(batch->run->row->shape, batch->keys[batch->count],
                        index);
    op->value = slice_of(batch->values[batch->count], 0);
    return op;
}

static int full(struct batch *batch)
{
    return ++batch->count == BATCH_OPS ? batch_flush(batch) : 0;
}

int batch_put(struct batch *batch, u64 index, u64 stamp)
{
    struct engine_op *op = next_op(batch, index, false);

    op->value = shape_value(batch->run->row->shape, batch->run->pool,
                            batch->values[batch->count], index, stamp);
    return full(batch);
}

int batch_del(struct batch *batch, u64 index)
{
    next_op(batch, index, true);
    return full(batch);
}

int batch_fill(struct batch *batch)
{
    struct order order = order_of(batch->run->records, 1);

    for (u64 i = 0; i < order.count; i++)
        if (batch_put(batch, order_at(&order, i), 0)) return -1;
    return batch_flush(batch);
}

int batch_verify(struct batch *batch, u64 count, u64 sum)
{
    struct tally tally = {0};

    if (batch->run->engine->scan(batch->session, NULL, UINT64_MAX, &tally))
        return -1;
    if (tally.count == count && tally.index_sum == sum) return 0;
    return bench_fail("a scan found %" PRIu64 " records with sum %" PRIu64
                      ", not %" PRIu64 " with %" PRIu64,
                      tally.count, tally.index_sum, count, sum);
}
