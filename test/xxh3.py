# test/xxh3.py -- XXH3 of 64 bits with a seed, in Python, for test/format.py.
#
# Written from the published description of XXH3 and as plain as it can be;
# only the loop over 1024-byte blocks is arranged so that a page takes about
# 0.1 ms.  Not here: what luge seeds it with (docs/format.md).
import struct
from operator import xor

M32, M64 = (1 << 32) - 1, (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d
P64_1, P64_2, P64_3 = 0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
P64_4, P64_5 = 0x85ebca77c2b2ae63, 0x27d4eb2f165667c5
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")


def u32(b, at):
    return struct.unpack_from("<I", b, at)[0]


def u64(b, at):
    return struct.unpack_from("<Q", b, at)[0]


def fold(a, b):
    product = a * b
    return (product & M64) ^ (product >> 64)


def avalanche(h):
    h ^= h >> 37
    h = h * 0x165667919e3779f9 & M64
    return h ^ (h >> 32)


def old_avalanche(h):
    h ^= h >> 33
    h = h * P64_2 & M64
    h ^= h >> 29
    h = h * P64_3 & M64
    return h ^ (h >> 32)


def rotate(h, by):
    return (h << by | h >> (64 - by)) & M64


def up_to_16(b, seed):
    n = len(b)
    if n > 8:
        low = u64(b, 0) ^ (u64(SECRET, 24) ^ u64(SECRET, 32)) + seed & M64
        high = u64(b, n - 8) ^ (u64(SECRET, 40) ^ u64(SECRET, 48)) - seed & M64
        swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
        return avalanche((n + swapped + high + fold(low, high)) & M64)
    if n >= 4:
        swapped = int.from_bytes((seed & M32).to_bytes(4, "little"), "big")
        seed ^= swapped << 32
        flip = (u64(SECRET, 8) ^ u64(SECRET, 16)) - seed & M64
        h = (u32(b, n - 4) + (u32(b, 0) << 32)) ^ flip
        h ^= rotate(h, 49) ^ rotate(h, 24)
        h = h * 0x9fb21c651e98df25 & M64
        h ^= (h >> 35) + n
        h = h * 0x9fb21c651e98df25 & M64
        return h ^ (h >> 28)
    if n:
        h = b[0] << 16 | b[n >> 1] << 24 | b[n - 1] | n << 8
        return old_avalanche(h ^ (u32(SECRET, 0) ^ u32(SECRET, 4)) + seed & M64)
    return old_avalanche(seed ^ u64(SECRET, 56) ^ u64(SECRET, 64))


def mix(b, at, secret_at, seed):
    return fold(u64(b, at) ^ (u64(SECRET, secret_at) + seed & M64),
                u64(b, at + 8) ^ (u64(SECRET, secret_at + 8) - seed & M64))


def up_to_240(b, seed):
    n = len(b)
    h = n * P64_1
    if n <= 128:
        for i in range((n - 1) // 32 + 1):
            h += mix(b, 16 * i, 32 * i, seed)
            h += mix(b, n - 16 * (i + 1), 32 * i + 16, seed)
        return avalanche(h & M64)
    for i in range(8):
        h += mix(b, 16 * i, 16 * i, seed)
    h = avalanche(h & M64)
    for i in range(8, n // 16):
        h += mix(b, 16 * i, 16 * (i - 8) + 3, seed)
    return avalanche(h + mix(b, n - 16, 136 - 17, seed) & M64)


def add_stripes(acc, b, at, count, secret, secret_at):
    """Add COUNT stripes of 64 bytes; stripe i meets the secret at + 8 i."""
    words = struct.unpack_from("<%dQ" % (8 * count), b, at)
    keys = [struct.unpack_from("<8Q", secret, secret_at + 8 * i)
            for i in range(count)]
    for lane in range(8):
        mine = words[lane::8]
        acc[lane ^ 1] += sum(mine)
        acc[lane] += sum([(k & M32) * (k >> 32) for k in
                          map(xor, mine, [key[lane] for key in keys])])


def longer(b, seed):
    n = len(b)
    secret = b"".join(
        struct.pack("<QQ", u64(SECRET, i) + seed & M64,
                    u64(SECRET, i + 8) - seed & M64)
        for i in range(0, 192, 16))
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    blocks = (n - 1) // 1024
    for block in range(blocks):
        add_stripes(acc, b, 1024 * block, 16, secret, 0)
        for lane in range(8):
            a = acc[lane] & M64
            a ^= a >> 47 ^ u64(secret, 128 + 8 * lane)
            acc[lane] = a * P32_1 & M64
    rest = (n - 1 - 1024 * blocks) // 64
    if rest:
        add_stripes(acc, b, 1024 * blocks, rest, secret, 0)
    add_stripes(acc, b, n - 64, 1, secret, 192 - 64 - 7)
    h = n * P64_1
    for i in range(4):
        h += fold(acc[2 * i] & M64 ^ u64(secret, 11 + 16 * i),
                  acc[2 * i + 1] & M64 ^ u64(secret, 19 + 16 * i))
    return avalanche(h & M64)


def xxh3(b, seed):
    if len(b) <= 16:
        return up_to_16(b, seed)
    return up_to_240(b, seed) if len(b) <= 240 else longer(b, seed)
