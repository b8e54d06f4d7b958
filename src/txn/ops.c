/* txn/ops.c -- encoding and keeping operations (ops.h has the picture).
 * Not here: the frames' heads, which log/ writes into the room left for them.
 */
#include "txn/ops.h"
#include "log/log.h"

enum {
    CHUNK_FIRST = 2048 - 64,        /* most transactions fit */
    CHUNK_BYTES = (256 << 10) - 64,
    FRAME_SPARE = 8,
};

u8 *ops_payload(struct ops_chunk *chunk)
{
    return chunk->frame + LOG_FRAME_HEAD;
}

static int add_chunk(struct ops *ops, size_t need)
{
    size_t capacity = ops->first ? CHUNK_BYTES : CHUNK_FIRST;
    if (capacity < need) capacity = need;
    if (capacity > UINT32_MAX - 4096)
        return fail(LUGE_TOOBIG, "an operation of %zu bytes", need);
    struct ops_chunk *chunk = base_alloc(sizeof *chunk + LOG_FRAME_HEAD +
                                         capacity + FRAME_SPARE);
    if (!chunk) return NOMEM();
    chunk->next = NULL;
    chunk->size = 0;
    chunk->capacity = (u32)capacity;
    if (ops->last) ops->last->next = chunk;
    else ops->first = chunk;
    ops->last = chunk;
    return 0;
}

static u8 *put_bytes(u8 *at, luge_bytes bytes, luge_bytes *stored)
{
    at += base_put_varint(at, bytes.size);
    *stored = luge_bytes_of(at, bytes.size);
    if (bytes.size) memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

int ops_add(struct ops *ops, const struct op *op, struct op *stored)
{
    struct op kept;
    size_t need = 1 + (size_t)3 * VARINT_SIZE_MAX + op->key.size +
                  op->value.size;
    struct ops_chunk *chunk = ops->last;
    if (!chunk || chunk->capacity - chunk->size < need) {
        int rc = add_chunk(ops, need);
        if (rc) return rc;
        chunk = ops->last;
    }
    u8 *start = ops_payload(chunk) + chunk->size, *at = start;
    *at++ = op->kind;
    at += base_put_varint(at, op->tree);
    kept.kind = op->kind;
    kept.tree = op->tree;
    at = put_bytes(at, op->key, &kept.key);
    at = put_bytes(at, op->value, &kept.value);
    chunk->size += (u32)(at - start);
    ops->bytes += (u64)(at - start);
    ops->count++;
    if (stored) *stored = kept;
    return 0;
}

struct ops_mark ops_mark(const struct ops *ops)
{
    return (struct ops_mark){
        ops->last, ops->last ? ops->last->size : 0, ops->bytes, ops->count,
    };
}

static void free_after(struct ops *ops, struct ops_chunk *keep)
{
    struct ops_chunk *chunk = keep ? keep->next : ops->first;
    while (chunk) {
        struct ops_chunk *next = chunk->next;
        base_free(chunk);
        chunk = next;
    }
    if (keep) keep->next = NULL;
    else ops->first = NULL;
    ops->last = keep;
}

void ops_cut(struct ops *ops, const struct ops_mark *mark)
{
    /* Keep the first chunk even if the mark is before it: it is the cache. */
    struct ops_chunk *keep = mark->chunk ? mark->chunk : ops->first;
    if (!keep) return;
    free_after(ops, keep);
    keep->size = mark->size;
    ops->bytes = mark->bytes;
    ops->count = mark->count;
}

void ops_clear(struct ops *ops)
{
    struct ops_mark start = {0};
    if (ops->first && ops->first->capacity > CHUNK_BYTES) ops_free(ops);
    else ops_cut(ops, &start);
}

void ops_free(struct ops *ops)
{
    free_after(ops, NULL);
    memset(ops, 0, sizeof *ops);
}

static int get_bytes(const u8 **at, const u8 *end, luge_bytes *bytes)
{
    u64 size = 0;
    size_t n = base_get_varint(*at, end, &size);
    if (!n || size > (u64)(end - *at) - n)
        return CORRUPT("an operation in the log is cut short");
    *bytes = luge_bytes_of(*at + n, size);
    *at += n + size;
    return 0;
}

int op_decode(const u8 **at, const u8 *end, struct op *op)
{
    if (*at == end) return LUGE_NOTFOUND;
    op->kind = *(*at)++;
    size_t n = base_get_varint(*at, end, &op->tree);
    if (!n) return CORRUPT("an operation in the log is cut short");
    *at += n;
    int rc = get_bytes(at, end, &op->key);
    if (!rc) rc = get_bytes(at, end, &op->value);
    return rc;
}

void ops_walk_from(struct ops_walk *walk, const struct ops *ops,
                   const struct ops_mark *mark)
{
    walk->chunk = mark && mark->chunk ? mark->chunk : ops->first;
    walk->at = walk->chunk ? ops_payload(walk->chunk) : NULL;
    if (mark && mark->chunk) walk->at += mark->size;
}

int ops_next(struct ops_walk *walk, struct op *op)
{
    while (walk->chunk) {
        u8 *start = ops_payload(walk->chunk);
        if (walk->at != start + walk->chunk->size)
            return op_decode(&walk->at, start + walk->chunk->size, op);
        walk->chunk = walk->chunk->next;
        if (walk->chunk) walk->at = ops_payload(walk->chunk);
    }
    return LUGE_NOTFOUND;
}
