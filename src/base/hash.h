/* base/hash.h -- the two ways to compute one hash, for base/hash.c alone. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/base.h"

/* gcc can translate one file for a wider processor by a pragma. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define BASE_HASH_WIDE 1
u64 base_hash_wide(const void *data, size_t size, u64 seed);
#endif

#endif
