/* bench/latency.c -- adding histograms and reading them.
 * Not here: filling them (an inline in latency.h). */
#include "latency.h"

void latency_merge(struct latency *to, const struct latency *from)
{
    to->count += from->count;
    for (u32 i = 0; i < LATENCY_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
}

/* The middle of bucket I in nanoseconds: the inverse of latency_bucket. */
static double bucket_ns(u32 i)
{
    u32 bits;
    u64 low;

    if (i < (2u << LATENCY_SUB_BITS)) return i;          /* exact */
    bits = (i >> LATENCY_SUB_BITS) - 1;
    low = (u64)(i - (bits << LATENCY_SUB_BITS)) << bits;
    return (double)low + (double)((u64)1 << bits) / 2;
}

double latency_us(const struct latency *latency, double part)
{
    u64 want = (u64)((double)latency->count * part), seen = 0;

    for (u32 i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen > want) return bucket_ns(i) / 1000;
    }
    return 0;
}
