/* feed/index.c -- see index.h. */
#include "feed/index.h"

#define INDEX_MAYBE UINT32_MAX

void feed_index_init(struct feed_index *x)
{
    memset(x, 0, sizeof *x);
    pthread_mutex_init(&x->lock, NULL);
}

void feed_index_free(struct feed_index *x)
{
    if (x->open) feed_reader_close(&x->reader);
    base_free(x->records);
    base_free(x->ops);
    base_free(x->bytes);
    pthread_mutex_destroy(&x->lock);
}

static void start_anew(struct feed_index *x)
{
    feed_reader_to_end(&x->reader, NULL);
    x->first = x->reader.seq + 1;
}

static bool make(struct feed_index *x, struct env *e)
{
    if (x->open) return true;
    if (!x->records)
        x->records = base_alloc(INDEX_RECORDS * sizeof *x->records);
    if (!x->ops) x->ops = base_alloc(INDEX_OPS * sizeof *x->ops);
    if (!x->bytes) x->bytes = base_alloc(INDEX_BYTES);
    x->open = x->records && x->ops && x->bytes &&
              !feed_reader_open(&x->reader, e);
    if (x->open) start_anew(x);
    return x->open;
}

static u64 key_head(luge_bytes key)
{
    u8 head[8] = {0};
    if (key.size) memcpy(head, key.data, min_u64(key.size, 8));
    return load64(head);
}

/* The operations of a record; false: MAYBE.  *COUNT are written either way,
 * over the oldest. */
static bool note_ops(struct feed_index *x, const struct feed_record *r,
                     u32 *count)
{
    const u8 *at = r->ops;
    struct op op;
    int rc;
    *count = 0;
    while (!(rc = op_decode(&at, r->end, &op))) {
        bool of_a_key = op.kind == OP_PUT || op.kind == OP_DEL;
        if (!of_a_key || *count == INDEX_RECORD_OPS_MAX) return false;
        x->ops[(x->op_count + *count) % INDEX_OPS] = (struct index_op){
            op.tree, key_head(op.key), (u32)op.key.size, 0,
        };
        ++*count;
    }
    return rc == LUGE_NOTFOUND;
}

/* In one piece: it does not go around the end. */
static u32 keep_bytes(struct feed_index *x, const struct feed_record *r)
{
    u64 size = (u64)(r->end - r->ops);
    if (size > INDEX_RECORD_BYTES_MAX) return INDEX_MAYBE;
    if (x->byte_count % INDEX_BYTES + size > INDEX_BYTES)
        x->byte_count = round_up(x->byte_count, INDEX_BYTES);
    if (size) memcpy(x->bytes + x->byte_count % INDEX_BYTES, r->ops, size);
    x->byte_count += size;
    return (u32)size;
}

static void note(struct feed_index *x, const struct feed_record *r,
                 const struct log_position *before)
{
    struct index_record *entry = &x->records[r->seq % INDEX_RECORDS];
    u32 count, bytes = keep_bytes(x, r);
    bool noted = note_ops(x, r, &count);
    *entry = (struct index_record){
        *before, r->time_ns, x->op_count,
        bytes == INDEX_MAYBE ? 0 : x->byte_count - bytes,
        noted ? count : INDEX_MAYBE, bytes,
    };
    x->op_count += count;
    if (r->seq - x->first >= INDEX_RECORDS)
        x->first = r->seq - INDEX_RECORDS + 1;
}

static void catch_up(struct feed_index *x, u64 newest)
{
    struct feed_record r;
    struct log_position before = x->reader.at;
    int rc;
    if (newest > x->reader.seq + INDEX_RECORDS) start_anew(x);
    while (!(rc = feed_read(&x->reader, newest, &r))) {
        note(x, &r, &before);
        before = x->reader.at;
    }
    if (rc != LUGE_NOTFOUND) start_anew(x);
}

static bool op_may_match(const struct index_op *op, u64 tree,
                         luge_bytes prefix, u64 head, u64 mask)
{
    return (!tree || op->tree == tree) && op->key_size >= prefix.size &&
           !((op->head ^ head) & mask);
}

static bool may_match(const struct feed_index *x, u64 seq, u64 tree,
                      luge_bytes prefix, u64 head, u64 mask)
{
    const struct index_record *entry = &x->records[seq % INDEX_RECORDS];
    if (entry->ops == INDEX_MAYBE || entry->op_from + INDEX_OPS < x->op_count)
        return true;
    for (u32 i = 0; i < entry->ops; i++)
        if (op_may_match(&x->ops[(entry->op_from + i) % INDEX_OPS], tree,
                         prefix, head, mask))
            return true;
    return false;
}

/* The place behind record SEQ. */
static const struct log_position *place_behind(const struct feed_index *x,
                                               u64 seq)
{
    return seq < x->reader.seq ? &x->records[(seq + 1) % INDEX_RECORDS].before
                               : &x->reader.at;
}

/* Record SEQ out of the bytes, which R's memory gets a copy of. */
static bool copy_record(const struct feed_index *x, struct feed_reader *r,
                        u64 seq, struct feed_record *record)
{
    const struct index_record *entry = &x->records[seq % INDEX_RECORDS];
    if (entry->bytes == INDEX_MAYBE ||
        entry->byte_from + INDEX_BYTES < x->byte_count)
        return false;
    r->payload.size = 0;
    if (base_buffer_add(&r->payload, x->bytes + entry->byte_from % INDEX_BYTES,
                        entry->bytes))
        return false;
    *record = (struct feed_record){
        seq, entry->time_ns, r->payload.data, r->payload.data + entry->bytes,
    };
    return true;
}

static bool take_from(struct feed_index *x, struct feed_reader *r, u64 tree,
                      luge_bytes prefix, struct feed_record *record,
                      struct log_position *behind)
{
    u64 head = key_head(prefix), mask = UINT64_MAX, next = r->seq + 1;
    if (prefix.size < 8) mask = ((u64)1 << (8 * prefix.size)) - 1;
    if (next < x->first || next > x->reader.seq) return false;
    while (next <= x->reader.seq &&
           !may_match(x, next, tree, prefix, head, mask))
        next++;
    if (next > r->seq + 1)
        feed_reader_to(r, next - 1, place_behind(x, next - 1));
    if (next > x->reader.seq || !copy_record(x, r, next, record)) return false;
    *behind = *place_behind(x, next);
    return true;
}

bool feed_index_take(struct feed_index *x, struct feed_reader *r, u64 tree,
                     luge_bytes prefix, struct feed_record *record,
                     struct log_position *behind)
{
    u64 newest = share_watch_limit(&r->env->share, SHARE_WHEN_COMMITTED);
    pthread_mutex_lock(&x->lock);
    bool known = make(x, r->env);
    if (known) catch_up(x, newest);
    known = known && take_from(x, r, tree, prefix, record, behind);
    pthread_mutex_unlock(&x->lock);
    return known;
}
