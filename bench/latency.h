/* bench/latency.h -- a histogram of times, exact to 1/64, of constant size.
 *
 * Holds: a bucket's width is at most 1/64 of its lower bound; nothing is
 * dropped: what is longer than 2^40 ns (18 minutes) counts as that.
 * Not here: what is timed (crew.c).
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "tool.h"

enum { LATENCY_SUB_BITS = 6, LATENCY_BITS_MAX = 40,
       LATENCY_BUCKETS = (LATENCY_BITS_MAX - LATENCY_SUB_BITS + 1)
                         << LATENCY_SUB_BITS };

struct latency {
    u64 count;
    u32 buckets[LATENCY_BUCKETS];
};

static inline u32 latency_bucket(u64 ns)
{
    u32 bits;

    if (ns >= (u64)1 << LATENCY_BITS_MAX) return LATENCY_BUCKETS - 1;
    if (ns < (1u << LATENCY_SUB_BITS)) return (u32)ns;
    bits = 63u - (u32)__builtin_clzll(ns) - LATENCY_SUB_BITS;
    return (bits << LATENCY_SUB_BITS) + (u32)(ns >> bits);
}

static inline void latency_add(struct latency *latency, u64 ns)
{
    latency->count++;
    latency->buckets[latency_bucket(ns)]++;
}

void latency_merge(struct latency *to, const struct latency *from);

/* The time below which PART (0..1) of the samples lie, in microseconds. */
double latency_us(const struct latency *latency, double part);

#endif
