/* bench/gen.h -- keys, values and numbers: every engine gets the same ones.
 *
 * Holds: record I of a shape has one key for ever, different from all others.
 * A value's first 8 bytes are I and the next 8 a stamp (which overwrite made
 * it), both little-endian, so every read can be checked; the rest does not
 * compress.  All is drawn from fixed seeds: two runs do the same work.
 * Not here: which workload uses what (rows.c).
 */
#ifndef BENCH_GEN_H
#define BENCH_GEN_H

#include "tool.h"

enum {
    KEY_SIZE_MAX = 64,
    VALUE_SIZE_MAX = 256,
    VALUE_SIZE_MIN = 16,      /* index and stamp */
    POOL_SIZE = 1 << 16,      /* bytes of noise that values are cut from */
};

/* ------------------------------------------------------------ numbers -- */

struct rng { u64 state; };

/* A bijection of 64-bit numbers that looks like chance. */
static inline u64 mix64(u64 x)
{
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 29)) * 0x9fb21c651e98df25u;
    return x ^ (x >> 32);
}

static inline u64 rng_next(struct rng *rng)
{
    return mix64(rng->state += 0x9e3779b97f4a7c15u);
}

/* Uniform in [0, bound). */
static inline u64 rng_below(struct rng *rng, u64 bound)
{
    return (u64)(((unsigned __int128)rng_next(rng) * bound) >> 64);
}

/* A random order of [0, count): order_at is a bijection. */
struct order {
    u64 count, seed;
    u32 half_bits;
};
struct order order_of(u64 count, u64 seed);
u64 order_at(const struct order *order, u64 place);

/* Ranks in [0, count), rank 0 the most popular, with YCSB's skew of 0.99. */
struct zipf {
    u64 count;
    double zeta, alpha, eta, second;
};
struct zipf zipf_of(u64 count);
u64 zipf_next(const struct zipf *zipf, struct rng *rng);

/* ------------------------------------------------------------ records -- */

struct shape {
    const char *name, *text;
    u32 key_size, value_size;
    double records_factor;              /* of the run's number of records */
    void (*key)(u8 *to, u64 index);
    bool ordered;                       /* key order is index order */
};

extern const struct shape shape_16, shape_16_few, shape_8, shape_24, shape_60,
    shape_10;

static inline struct slice shape_key(const struct shape *shape, u8 *to,
                                     u64 index)
{
    shape->key(to, index);
    return slice_of(to, shape->key_size);
}

/* The noise that values are cut from; POOL_SIZE + VALUE_SIZE_MAX bytes. */
u8 *pool_make(void);

static inline struct slice shape_value(const struct shape *shape,
                                       const u8 *pool, u8 *to, u64 index,
                                       u64 stamp)
{
    u64 at = (index * 61 + stamp * 8191) % POOL_SIZE;

    store64(to, index);
    store64(to + 8, stamp);
    memcpy(to + 16, pool + at, shape->value_size - 16);
    return slice_of(to, shape->value_size);
}

#endif
