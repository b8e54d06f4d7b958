/* model/tuple.c -- tuples: elements to bytes and back (picture: tuple.h).
 * Nothing here allocates; a reader never looks past its end. */
#include "tuple.h"

#include <string.h>

enum {
    ESCAPE = 0x01,              /* in text; the byte behind it is one more */
    TAG_BYTES = 0x02,
    TAG_TEXT = 0x03,
    TAG_ZERO = 0x14,            /* less or more the bytes of the integer */
    TAG_DOUBLE = 0x21,
    INTEGER_SIZE_MAX = 8,
};

/* ------------------------------------------------------------- writing -- */

static void put_raw(struct tuple *t, const void *bytes, size_t size)
{
    if (size > sizeof(t->bytes) - t->size) {
        memset(t->bytes + t->size, 0, sizeof(t->bytes) - t->size);
        t->size = sizeof(t->bytes);
        return;
    }
    memcpy(t->bytes + t->size, bytes, size);
    t->size += size;
}

static unsigned size_of(uint64_t magnitude)
{
    if (!magnitude) return 0;
    return (unsigned)(71 - __builtin_clzll(magnitude)) / 8;
}

/* The lowest SIZE bytes of VALUE behind TAG, big-endian. */
static void put_number(struct tuple *t, int tag, uint64_t value, unsigned size)
{
    unsigned char bytes[1 + INTEGER_SIZE_MAX];

    bytes[0] = (unsigned char)tag;
    for (unsigned i = 0; i < size; i++)
        bytes[1 + i] = (unsigned char)(value >> (8 * (size - 1 - i)));
    put_raw(t, bytes, 1 + size);
}

void tuple_put_u64(struct tuple *t, uint64_t value)
{
    unsigned size = size_of(value);
    put_number(t, TAG_ZERO + (int)size, value, size);
}

void tuple_put_i64(struct tuple *t, int64_t value)
{
    uint64_t magnitude = -(uint64_t)value;

    if (value >= 0) {
        tuple_put_u64(t, (uint64_t)value);
        return;
    }
    unsigned size = size_of(magnitude);
    put_number(t, TAG_ZERO - (int)size, ~magnitude, size);
}

void tuple_put_double(struct tuple *t, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    bits ^= bits >> 63 ? UINT64_MAX : UINT64_C(1) << 63;
    put_number(t, TAG_DOUBLE, bits, 8);
}

/* Runs without a 00 or 01 are copied at once: most text has none. */
static void put_escaped(struct tuple *t, int tag, luge_bytes value)
{
    const unsigned char *at = value.data, *end = at + value.size;

    put_number(t, tag, 0, 0);
    while (at < end) {
        const unsigned char *run = at;
        while (at < end && *at > ESCAPE) at++;
        if (at > run) put_raw(t, run, (size_t)(at - run));
        if (at == end) break;
        put_raw(t, *at++ ? "\1\2" : "\1\1", 2);
    }
    put_raw(t, "", 1);
}

void tuple_put_bytes(struct tuple *t, luge_bytes value)
{
    put_escaped(t, TAG_BYTES, value);
}

void tuple_put_text(struct tuple *t, luge_bytes value)
{
    put_escaped(t, TAG_TEXT, value);
}

int tuple_fits(const struct tuple *t, const char *what)
{
    if (t->size <= LUGE_KEY_SIZE_MAX) return 0;
    return model_fail(LUGE_TOOBIG, "%s makes a key of more than %u bytes", what,
                      LUGE_KEY_SIZE_MAX);
}

int tuple_after(struct tuple *t)
{
    while (t->size && t->bytes[t->size - 1] == 0xff) t->size--;
    if (!t->size) return 0;
    t->bytes[t->size - 1]++;
    return 1;
}

/* ------------------------------------------------------------- reading -- */

static int wrong(const struct tuple_reader *r, const char *wanted)
{
    if (r->at == r->end)
        return MODEL_CORRUPT("a key ends where %s is due", wanted);
    return MODEL_CORRUPT("a key has byte %02x where %s is due", *r->at, wanted);
}

enum tuple_type tuple_next(const struct tuple_reader *r)
{
    if (r->at == r->end) return TUPLE_END;
    if (*r->at == TAG_BYTES) return TUPLE_BYTES;
    if (*r->at == TAG_TEXT) return TUPLE_TEXT;
    if (*r->at == TAG_DOUBLE) return TUPLE_DOUBLE;
    if (*r->at >= TAG_ZERO - INTEGER_SIZE_MAX &&
        *r->at <= TAG_ZERO + INTEGER_SIZE_MAX)
        return TUPLE_INTEGER;
    return TUPLE_UNKNOWN;
}

/* SIZE big-endian bytes behind the tag. */
static int get_number(struct tuple_reader *r, unsigned size, uint64_t *value)
{
    uint64_t sum = 0;

    if ((size_t)(r->end - r->at) < 1 + (size_t)size)
        return MODEL_CORRUPT("a key ends inside of a number");
    for (unsigned i = 1; i <= size; i++) sum = (sum << 8) | r->at[i];
    *value = sum;
    return 0;
}

int tuple_get_u64(struct tuple_reader *r, uint64_t *value)
{
    uint64_t number = 0;

    if (tuple_next(r) != TUPLE_INTEGER || *r->at < TAG_ZERO)
        return wrong(r, "a number");
    unsigned size = *r->at - TAG_ZERO;
    int rc = get_number(r, size, &number);
    if (rc) return rc;
    if (size_of(number) != size)
        return MODEL_CORRUPT("a number in a key has zeros in front");
    r->at += 1 + size;
    *value = number;
    return 0;
}

static int get_negative(struct tuple_reader *r, int64_t *value)
{
    unsigned size = (unsigned)TAG_ZERO - *r->at;
    uint64_t number = 0, least = UINT64_MAX >> (64 - 8 * size);
    int rc = get_number(r, size, &number);

    if (rc) return rc;
    number = least - number;    /* the magnitude */
    if (size_of(number) != size || number > UINT64_C(1) << 63)
        return MODEL_CORRUPT("a negative number in a key is malformed");
    r->at += 1 + size;
    *value = (int64_t)-number;
    return 0;
}

int tuple_get_i64(struct tuple_reader *r, int64_t *value)
{
    struct tuple_reader before = *r;
    uint64_t number = 0;

    if (tuple_next(r) == TUPLE_INTEGER && *r->at < TAG_ZERO)
        return get_negative(r, value);
    int rc = tuple_get_u64(r, &number);
    if (rc) return rc;
    if (number > INT64_MAX) {
        *r = before;
        return MODEL_CORRUPT("a number in a key is above 2^63");
    }
    *value = (int64_t)number;
    return 0;
}

int tuple_get_double(struct tuple_reader *r, double *value)
{
    uint64_t bits = 0;

    if (tuple_next(r) != TUPLE_DOUBLE) return wrong(r, "a double");
    int rc = get_number(r, 8, &bits);
    if (rc) return rc;
    r->at += 9;
    bits ^= bits >> 63 ? UINT64_C(1) << 63 : UINT64_MAX;
    memcpy(value, &bits, sizeof(bits));
    return 0;
}

static int get_escaped(struct tuple_reader *r, void *space, size_t room,
                       luge_bytes *value)
{
    const unsigned char *at = r->at + 1;
    unsigned char *to = space, *full = to + room;

    for (; at < r->end && *at; at++) {
        if (to == full) return MODEL_CORRUPT("text in a key is too long");
        *to = *at;
        if (*at == ESCAPE) {
            if (++at == r->end || (*at != 1 && *at != 2))
                return MODEL_CORRUPT("text in a key is malformed");
            *to = (unsigned char)(*at - 1);
        }
        to++;
    }
    if (at == r->end) return MODEL_CORRUPT("a key ends inside of its text");
    r->at = at + 1;
    *value = luge_bytes_of(space, (size_t)(to - (unsigned char *)space));
    return 0;
}

int tuple_get_bytes(struct tuple_reader *r, void *space, size_t room,
                    luge_bytes *value)
{
    if (tuple_next(r) != TUPLE_BYTES) return wrong(r, "bytes");
    return get_escaped(r, space, room, value);
}

int tuple_get_text(struct tuple_reader *r, void *space, size_t room,
                   luge_bytes *value)
{
    if (tuple_next(r) != TUPLE_TEXT) return wrong(r, "text");
    return get_escaped(r, space, room, value);
}

int tuple_get_end(const struct tuple_reader *r)
{
    return r->at == r->end ? 0 : wrong(r, "the end");
}
