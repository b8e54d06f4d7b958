/* txn/ops.c -- encoding and keeping operations (ops.h has the picture).
 * Not here: the frames' heads, which log/ writes into the room left for them.
 */
#include "txn/ops.h"
#include "log/log.h"

enum {
    CHUNK_FIRST = 2048 - 64,        /* most transactions fit */
    CHUNK_BYTES = (256 << 10) - 128,
    FRAME_SPARE = 8,
    SLOT_BYTES = 256 << 10,
};
#define SPILL_BYTES_MAX ((u64)1 << 40) /* addresses only; where there are not */
#define SPILL_BYTES_MIN ((u64)1 << 31) /* so many, at least these */

_Static_assert(sizeof(struct ops_chunk) + LOG_FRAME_HEAD + CHUNK_BYTES +
                       FRAME_SPARE <= SLOT_BYTES, "a usual chunk is a slot");

struct ops_slot {
    struct ops_slot *next;
};

/* --------------------------------------------------------------- spill -- */

void ops_spill_init(struct ops_spill *s, const char *directory,
                    u64 after_bytes)
{
    s->directory = directory;
    s->after_bytes = after_bytes;
    pthread_mutex_init(&s->lock, NULL);
}

void ops_spill_close(struct ops_spill *s)
{
    if (!s->directory) return;
    os_spill_close(s->memory, true);
    pthread_mutex_destroy(&s->lock);
    memset(s, 0, sizeof *s);
}

static int open_memory(struct ops_spill *s)
{
    u64 bytes = SPILL_BYTES_MAX;
    int rc;
    do {
        rc = os_spill_open(s->directory, bytes, NULL, &s->memory);
        bytes >>= 3;
    } while (rc == LUGE_NOMEM && bytes >= SPILL_BYTES_MIN);
    return rc;
}

/* SLOTS in a row.  Single ones are used again; rows are taken from the end. */
static int take_slots(struct ops_spill *s, u64 slots, void **memory)
{
    int rc = 0;
    if (!s->memory) rc = open_memory(s);
    if (rc) return rc;
    if (slots == 1 && s->free) {
        *memory = s->free;
        s->free = s->free->next;
    } else {
        rc = os_spill_grow(s->memory, s->used_bytes + slots * SLOT_BYTES);
        if (rc) return rc;
        *memory = os_spill_base(s->memory) + s->used_bytes;
        s->used_bytes += slots * SLOT_BYTES;
    }
    s->live += slots;
    return 0;
}

static int spill_take(struct ops_spill *s, size_t size,
                      struct ops_chunk **chunk)
{
    void *memory = NULL;
    u64 slots = (size + SLOT_BYTES - 1) / SLOT_BYTES;
    pthread_mutex_lock(&s->lock);
    int rc = take_slots(s, slots, &memory);
    pthread_mutex_unlock(&s->lock);
    if (rc) return rc;
    *chunk = memory;
    (*chunk)->slots = (u32)slots;
    return 0;
}

static void spill_give(struct ops_spill *s, struct ops_chunk *chunk)
{
    u64 slots = chunk->slots;
    u8 *memory = (u8 *)chunk;
    pthread_mutex_lock(&s->lock);
    s->live -= slots;
    for (u64 i = 0; i < slots && s->live; i++) {
        struct ops_slot *slot = (void *)(memory + i * SLOT_BYTES);
        slot->next = s->free;
        s->free = slot;
    }
    if (!s->live) {
        s->free = NULL;
        s->used_bytes = 0;
        os_spill_empty(s->memory);
    }
    pthread_mutex_unlock(&s->lock);
}

/* -------------------------------------------------------------- chunks -- */

static int take_chunk(struct ops *ops, size_t capacity,
                      struct ops_chunk **chunk)
{
    struct ops_spill *s = ops->spill;
    size_t size = sizeof **chunk + LOG_FRAME_HEAD + capacity + FRAME_SPARE;
    if (s && s->directory && ops->bytes > s->after_bytes)
        return spill_take(s, size, chunk);
    *chunk = base_alloc(size);
    if (!*chunk) return NOMEM();
    (*chunk)->slots = 0;
    return 0;
}

static void free_chunk(struct ops *ops, struct ops_chunk *chunk)
{
    if (chunk->slots) spill_give(ops->spill, chunk);
    else base_free(chunk);
}

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
    struct ops_chunk *chunk;
    int rc = take_chunk(ops, capacity, &chunk);
    if (rc) return rc;
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
    ops->special |= op->kind > OP_DEL || op->value.size > OPS_SMALL_MAX;
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
        free_chunk(ops, chunk);
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
    ops->special = false;
}

void ops_free(struct ops *ops)
{
    struct ops_spill *spill = ops->spill;
    free_after(ops, NULL);
    memset(ops, 0, sizeof *ops);
    ops->spill = spill;
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
