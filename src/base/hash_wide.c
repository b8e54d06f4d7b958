/* base/hash_wide.c -- base_hash for processors with 32-byte registers (AVX2).
 *
 * Holds: nothing in this file runs before base/hash.c has asked the processor.
 * The upper halves of the registers are empty when base_hash_wide returns.
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
    u64 hash = XXH3_64bits_withSeed(data, size, seed);
    /* gcc 12 does not do it here.  Without it, all 16-byte instructions of the
     * thread, from its first page or record on, wait for what was in their
     * register before: a put of load-sorted took 305 ns instead of 130. */
    __builtin_ia32_vzeroupper();
    return hash;
}
#pragma GCC pop_options
#endif
