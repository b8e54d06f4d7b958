/* txn/ops.h -- the operations of a transaction, as the log keeps them.
 *
 *   op:  | kind u8 | tree varint | key size varint | key |
 *        | value size varint | value |
 * Operations stand in chunks; one chunk becomes one frame of the log, and no
 * operation crosses a chunk.  A chunk never moves, so bytes in it stay put
 * until the list is cleared or cut back.
 * docs/format.md 4.3 has it byte by byte.
 * Not here: what an operation does (view.h).
 */
#ifndef TXN_OPS_H
#define TXN_OPS_H

#include <pthread.h>

#include "base/base.h"
#include "os/os.h"

enum op_kind {
    OP_PUT = 1,     /* tree, key, value */
    OP_DEL = 2,     /* tree, key */
    OP_CREATE = 3,  /* tree = its new number, key = name */
    OP_DROP = 4,    /* tree, key = its name */
    OP_RENAME = 5,  /* tree, key = new name, value = old name */
    OP_CLEAR = 6,   /* tree */
    OP_FORK = 7,    /* tree = its new number, key = its name, value = varint
                       number of the source; or varint 0, varint size of a
                       snapshot's name, this name, the name of a tree in it */
    OP_SNAPSHOT = 8, /* tree = its number, key = its name, value = varint time
                        in ns since 1970, then the path, empty: everything */
    OP_FORGET = 9,  /* a snapshot: tree = its number, key = its name */
};

enum { OPS_SMALL_MAX = 1024 };  /* bytes: it lies in a leaf, whatever its key */

struct op {
    u8 kind;
    u64 tree;
    luge_bytes key, value;
};

/* Where the operations of large transactions go, for a whole process: slots of
 * memory with a file behind it (os_spill). */
struct ops_spill {
    const char *directory;      /* NULL: nothing spills */
    u64 after_bytes;            /* of one transaction */
    pthread_mutex_t lock;       /* of the rest */
    struct os_spill *memory;
    struct ops_slot *free;
    u64 used_bytes;             /* slots ever used lie below */
    u64 live;                   /* slots in use */
};

/* DIRECTORY must outlive it. */
void ops_spill_init(struct ops_spill *spill, const char *directory,
                    u64 after_bytes);
void ops_spill_close(struct ops_spill *spill);

struct ops_chunk {
    struct ops_chunk *next;
    u32 size, capacity;         /* payload bytes */
    u32 slots;                  /* of the spill; 0: from base_alloc */
    u32 reserved;
    u8 frame[];                 /* LOG_FRAME_HEAD, payload, 7 spare bytes */
};

struct ops {
    struct ops_chunk *first, *last;
    u64 bytes, count;
    bool special;               /* not only small puts and deletions */
    struct ops_spill *spill;    /* NULL: none */
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
