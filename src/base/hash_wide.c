/* base/hash_wide.c -- base_hash for processors with 32-byte registers (AVX2).
 *
 * Holds: nothing in this file runs before base/hash.c has asked the processor.
 * It is a file of its own because XXH3 chooses its registers once for a
 * translation unit; in the single-file luge.c both ways are the narrow one.
 */
#include "base/hash.h"

#ifdef BASE_HASH_WIDE
#pragma GCC push_options
#pragma GCC target("avx2")
#define XXH_INLINE_ALL
#include <xxhash.h>

u64 base_hash_wide(const void *data, size_t size, u64 seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}
#pragma GCC pop_options
#endif
