/* model/tuple.h -- keys of several columns as bytes that sort as they do.
 *
 * A tuple is a row of elements, each of which says its type:
 *
 *   02 bytes  03 text   the bytes, 00 as 01 01 and 01 as 01 02, then 00
 *   0c..13              a negative integer in 8..1 bytes, complemented
 *   14                  the integer zero
 *   15..1c              a positive integer in 1..8 bytes, big-endian
 *   21                  a double: 8 bytes; the sign flipped, if negative all
 *
 *   T1  memcmp of two encodings is the order of the tuples: element by element,
 *       a shorter tuple before those that it begins; bytes < text < integers <
 *       doubles.  u64 and i64 are one type.
 *   T2  A value has one encoding.  Any other is CORRUPT when read.
 *   T3  The encoding of some first elements is a prefix of the whole, and of
 *       no other tuple: a prefix scan finds what is said.  (So what ends a text
 *       must not begin an escape, which it would if 00 became 00 FF.)
 * Doubles are in the order of IEEE 754's totalOrder: -0.0 before 0.0, a NaN at
 * either end.  Text is bytes to us; that it is UTF-8 is the model's affair.
 * Not here: what the columns mean.
 */
#ifndef MODEL_TUPLE_H
#define MODEL_TUPLE_H

#include "model.h"

/* A key that is being written.  One byte more than a key may have: a tuple that
 * does not fit ends with that size, and luge_put answers TOOBIG. */
struct tuple {
    size_t size;
    unsigned char bytes[LUGE_KEY_SIZE_MAX + 1];
};

static inline void tuple_begin(struct tuple *t) { t->size = 0; }
void tuple_put_u64(struct tuple *t, uint64_t value);
void tuple_put_i64(struct tuple *t, int64_t value);
void tuple_put_double(struct tuple *t, double value);
void tuple_put_bytes(struct tuple *t, luge_bytes value);
void tuple_put_text(struct tuple *t, luge_bytes value);

/* The key.  Memory: T's. */
static inline luge_bytes tuple_key(const struct tuple *t)
{
    return luge_bytes_of(t->bytes, t->size);
}

/* TOOBIG, naming WHAT, if the elements did not fit. */
int tuple_fits(const struct tuple *t, const char *what);

/* Make the key the first that is greater than all that begin with it: the end
 * of a range.  Returns 0 if there is none (T is empty or all FF). */
int tuple_after(struct tuple *t);

/* A key that is being read.  Every tuple_get_ answers CORRUPT for an element of
 * another type, one that is cut off, or one that breaks T2; *value is then
 * unchanged and the reader stands where it stood. */
struct tuple_reader {
    const unsigned char *at, *end;
};

enum tuple_type {
    TUPLE_END,              /* no element is left */
    TUPLE_BYTES, TUPLE_TEXT, TUPLE_INTEGER, TUPLE_DOUBLE,
    TUPLE_UNKNOWN,          /* no element begins so */
};

static inline struct tuple_reader tuple_read(luge_bytes key)
{
    const unsigned char *at = key.data;
    return (struct tuple_reader){at, at ? at + key.size : at};
}

enum tuple_type tuple_next(const struct tuple_reader *r);
int tuple_get_u64(struct tuple_reader *r, uint64_t *value);
int tuple_get_i64(struct tuple_reader *r, int64_t *value);
int tuple_get_double(struct tuple_reader *r, double *value);

/* The bytes are put into SPACE, of ROOM bytes (LUGE_KEY_SIZE_MAX always
 * suffices for what was in a key), and *value points there. */
int tuple_get_bytes(struct tuple_reader *r, void *space, size_t room,
                    luge_bytes *value);
int tuple_get_text(struct tuple_reader *r, void *space, size_t room,
                   luge_bytes *value);

/* CORRUPT if an element is left. */
int tuple_get_end(const struct tuple_reader *r);

#endif
