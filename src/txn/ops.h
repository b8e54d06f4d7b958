/* txn/ops.h -- the operations of a transaction, as the log keeps them.
 *
 *   op:  | kind u8 | tree varint | key size varint | key |
 *        | value size varint | value |
 * Operations stand in chunks; one chunk becomes one frame of the log, and no
 * operation crosses a chunk.  A chunk never moves, so bytes in it stay put
 * until the list is cleared or cut back.
 * Not here: what an operation does (view.h).
 */
#ifndef TXN_OPS_H
#define TXN_OPS_H

#include "base/base.h"

enum op_kind {
    OP_PUT = 1,     /* tree, key, value */
    OP_DEL = 2,     /* tree, key */
    OP_CREATE = 3,  /* tree = its new number, key = name */
    OP_DROP = 4,    /* tree, key = its name */
    OP_RENAME = 5,  /* tree, key = new name, value = old name */
    OP_CLEAR = 6,   /* tree */
};

struct op {
    u8 kind;
    u64 tree;
    luge_bytes key, value;
};

struct ops_chunk {
    struct ops_chunk *next;
    u32 size, capacity;         /* payload bytes */
    u8 frame[];                 /* LOG_FRAME_HEAD, payload, 7 spare bytes */
};

struct ops {
    struct ops_chunk *first, *last;
    u64 bytes, count;
};

/* A place in the list: everything before it. */
struct ops_mark {
    struct ops_chunk *chunk;    /* NULL: the beginning */
    u32 size;
    u64 bytes, count;
};

/* Append OP; *stored, if not NULL, gets it with bytes that stay put. */
int ops_add(struct ops *ops, const struct op *op, struct op *stored);
struct ops_mark ops_mark(const struct ops *ops);
/* Forget what was added after MARK. */
void ops_cut(struct ops *ops, const struct ops_mark *mark);
/* Forget all, keeping one chunk for the next time. */
void ops_clear(struct ops *ops);
void ops_free(struct ops *ops);

/* The payload of a chunk. */
u8 *ops_payload(struct ops_chunk *chunk);

/* Decode the operation at *at, which moves on.  CORRUPT if it does not end
 * before END.  NOTFOUND at END. */
int op_decode(const u8 **at, const u8 *end, struct op *op);

/* Walk the operations from MARK on. */
struct ops_walk {
    struct ops_chunk *chunk;
    const u8 *at;
};
void ops_walk_from(struct ops_walk *walk, const struct ops *ops,
                   const struct ops_mark *mark);
int ops_next(struct ops_walk *walk, struct op *op);

#endif
