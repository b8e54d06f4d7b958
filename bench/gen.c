/* bench/gen.c -- random orders, zipfian ranks, and the five shapes of keys.
 *
 * Holds: G1  order_at is a bijection: a Feistel network on the next even
 * number of bits, walked until it lands inside.
 * Not here: values (inline in gen.h). */
#include "gen.h"

#include <math.h>

/* ------------------------------------------------------------- orders -- */

struct order order_of(u64 count, u64 seed)
{
    struct order order = {count, seed, 1};

    while (((u64)1 << (2 * order.half_bits)) < count) order.half_bits++;
    return order;
}

static u64 order_step(const struct order *order, u64 x)
{
    u64 mask = ((u64)1 << order->half_bits) - 1;
    u64 left = x >> order->half_bits, right = x & mask;

    for (u64 round = 0; round < 4; round++) {
        u64 next = left ^ (mix64(right + order->seed * 4 + round) & mask);
        left = right;
        right = next;
    }
    return left << order->half_bits | right;
}

u64 order_at(const struct order *order, u64 place)
{
    do place = order_step(order, place);
    while (place >= order->count);                                /* G1 */
    return place;
}

/* --------------------------------------------------------------- zipf -- */

/* Gray and others, "Quickly generating billion-record synthetic databases"
 * (1994), the method YCSB uses too, with YCSB's constant. */
#define ZIPF_THETA 0.99

struct zipf zipf_of(u64 count)
{
    struct zipf zipf = {.count = count};
    double two = 1 + pow(0.5, ZIPF_THETA);

    for (u64 i = 1; i <= count; i++)
        zipf.zeta += pow((double)i, -ZIPF_THETA);
    zipf.alpha = 1 / (1 - ZIPF_THETA);
    zipf.eta = (1 - pow(2.0 / (double)count, 1 - ZIPF_THETA)) /
               (1 - two / zipf.zeta);
    zipf.second = two;
    return zipf;
}

u64 zipf_next(const struct zipf *zipf, struct rng *rng)
{
    double u = (double)(rng_next(rng) >> 11) * 0x1p-53;
    double uz = u * zipf->zeta;
    u64 rank;

    if (uz < 1) return 0;
    if (uz < zipf->second) return 1;
    rank = (u64)((double)zipf->count *
                 pow(zipf->eta * u - zipf->eta + 1, zipf->alpha));
    return rank < zipf->count ? rank : zipf->count - 1;
}

/* --------------------------------------------------------------- keys -- */

static void store64_be(u8 *to, u64 v) { store64(to, __builtin_bswap64(v)); }

static void key_16(u8 *to, u64 index)
{
    store64_be(to, index);
    store64(to + 8, mix64(index));
}

static void key_8(u8 *to, u64 index) { store64(to, mix64(index)); }

/* The first 8 bytes alone make it unique: mix64 is a bijection. */
static void key_24(u8 *to, u64 index)
{
    store64(to, mix64(index));
    store64(to + 8, mix64(~index));
    store64(to + 16, mix64(index ^ 0x5555555555555555u));
}

static void digits(u8 *to, u32 count, u64 number)
{
    while (count) {
        to[--count] = (u8)('0' + number % 10);
        number /= 10;
    }
}

/* 2,000 sites with 100 topics each; the article's number makes it unique. */
static void key_60(u8 *to, u64 index)
{
    u64 where = mix64(index);

    memcpy(to, "https://www.site-0000.example/topic-00/article-", 47);
    digits(to + 17, 4, where % 2000);
    digits(to + 36, 2, (where >> 32) % 100);
    digits(to + 47, 13, index);
}

static void key_10(u8 *to, u64 index)
{
    memcpy(to, "key", 3);
    digits(to + 3, 7, index);
}

const struct shape
    shape_16 = {"16", "16-byte keys in index order, 100-byte values",
                16, 100, 1, key_16, true},
    shape_16_few = {"16-few",
                    "16-byte keys, 100-byte values, a quarter of the records",
                    16, 100, 0.25, key_16, true},
    shape_8 = {"8", "8-byte random keys, 100-byte values",
               8, 100, 1, key_8, false},
    shape_24 = {"24", "24-byte random keys, 150-byte values",
                24, 150, 1, key_24, false},
    shape_60 = {"60", "60-byte keys like URLs, 120-byte values",
                60, 120, 1, key_60, false},
    shape_10 = {"10", "10-byte keys, 100-byte values, a tenth of the records",
                10, 100, 0.1, key_10, true};

u8 *pool_make(void)
{
    u8 *pool = bench_alloc(POOL_SIZE + VALUE_SIZE_MAX);
    struct rng rng = {7};

    for (u32 i = 0; i < POOL_SIZE + VALUE_SIZE_MAX; i += 8)
        store64(pool + i, rng_next(&rng));
    return pool;
}
