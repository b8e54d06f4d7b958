/* base/hash.c -- base_hash: XXH3, with the widest registers there are.
 *
 * Holds: the number is the same whichever way it was computed; the file format
 * depends on that.
 * A page of 4 KiB takes 201 ns with the 16-byte registers that every x86-64
 * has and 67 ns with 32-byte ones, so it pays to ask the processor.  Up to 240
 * bytes XXH3 uses neither, and a short key should not pay for the question.
 */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { HASH_SHORT_MAX = 240 }; /* XXH3's own boundary */

u64 base_hash(const void *data, size_t size, u64 seed)
{
#ifdef BASE_HASH_WIDE
    if (size > HASH_SHORT_MAX && __builtin_cpu_supports("avx2"))
        return base_hash_wide(data, size, seed);
#endif
    return XXH3_64bits_withSeed(data, size, seed);
}
