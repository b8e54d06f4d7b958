/* txn/reads.h -- what a write transaction read, for validation at commit.
 *
 * Points are kept as 64-bit hashes of (tree, key): two keys with one hash mean
 * a conflict too many, never one too few.  Ranges keep their bounds.
 *   R1  Whatever the transaction was told is covered: a value, an absence, a
 *       neighbour (and the gap up to it), a count.
 * Tree 0 stands for the catalog: its keys are 'n' + name and 'i' + number.
 * Reads of the transaction's own writes count as reads.
 */
#ifndef TXN_READS_H
#define TXN_READS_H

#include "txn/ops.h"

struct read_range {
    u64 tree;
    luge_bytes low, high;       /* inclusive; owned */
    bool to_end;                /* no upper bound */
    bool open;                  /* high itself was not read */
};

/* Reads of a tree that this transaction forked are reads of what it was forked
 * from: nobody else can change the fork, but the fork is of what lands. */
struct read_alias {
    u64 tree, source;
};

struct reads {
    u64 *points;                /* open addressing, 0 is empty */
    size_t point_count, point_capacity;
    struct read_range *ranges;
    size_t range_count, range_capacity;
    struct read_alias *aliases;
    size_t alias_count, alias_capacity;
    bool content;               /* not of the catalog alone */
};

int reads_alias(struct reads *r, u64 tree, u64 source);
u64 reads_source(const struct reads *r, u64 tree);

int reads_point(struct reads *r, u64 tree, luge_bytes key);
/* [low, high] of TREE; high NULL: to the end.  *index (may be NULL) names it
 * for reads_extend. */
int reads_range(struct reads *r, u64 tree, luge_bytes low,
                const luge_bytes *high, size_t *index);
/* Widen range INDEX to include KEY; NULL: from the start / to the end. */
int reads_extend_low(struct reads *r, size_t index, const luge_bytes *key);
int reads_extend_high(struct reads *r, size_t index, const luge_bytes *key);
static inline bool reads_any(const struct reads *r)
{
    return r->point_count || r->range_count;
}
/* The same up to, but without, BOUND. */
int reads_extend_to(struct reads *r, size_t index, luge_bytes bound);
/* Does OP change anything that was read? */
bool reads_touched(const struct reads *r, const struct op *op);
void reads_clear(struct reads *r);
void reads_free(struct reads *r);

#endif
