/* model/record.h -- the rules for records, and how they are read and written.
 *
 *     | bytes u16 | version u16 | fixed fields ... | variable parts ... |
 *     |<----------------- bytes ------------------>|
 *
 *   R1  A record begins with a little-endian struct whose first member is a
 *       struct record_head.  Its layout has no hidden padding.
 *   R2  A variable part is somewhere behind the fixed fields; a struct
 *       record_part among these says where.  An empty part is {0, 0}.
 *   R3  Fields are added at the end of the struct and nowhere else, and none is
 *       taken away or reused.  A shorter record than we know is an older one:
 *       its missing fields take the defaults.  A longer one is newer: what we
 *       do not know is left alone.
 *   R4  version is 1 at first, and rises only if an older reader must not go
 *       on: it then answers LUGE_VERSION.
 *   R5  Nothing assumes alignment: fixed fields are copied out, parts stay
 *       where they are, which is the map.
 *   R6  A record that came from the file is checked once, by record_read and
 *       record_part; after these nobody looks at a length again.
 * Not here: any model's fields.
 */
#ifndef MODEL_RECORD_H
#define MODEL_RECORD_H

#include "model.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are little-endian; this platform needs a port"
#endif

struct record_head {
    uint16_t bytes, version;
};

struct record_part {
    uint32_t at, size;          /* bytes from the record's beginning; bytes */
};

enum { RECORD_PARTS_MAX = 12 }; /* of one record */

/* ------------------------------------------------------------- reading -- */

/* Copy the fixed fields of RAW into *fixed.  DEFAULTS is a whole struct of the
 * same type: its head says how much of it we know (R3) and up to which version
 * (R4), its fields what is missing in older records.
 * Errors: CORRUPT, VERSION. */
int record_read(const struct record_head *defaults, luge_bytes raw,
                void *fixed);

/* The bytes of PART, in place.  Errors: CORRUPT. */
int record_part(luge_bytes raw, struct record_part part, luge_bytes *bytes);

/* ------------------------------------------------------------- writing -- */

/* A record that is being written.  Begin with its fixed struct, add parts (each
 * stays the caller's until the end), end: the record is in one piece then.
 *     record_begin(&w, &fixed.head);
 *     record_add(&w, &fixed.name, name);
 *     rc = record_end(&w, &raw);  ...  record_free(&w);   */
struct record_writer {
    struct record_head *fixed;
    size_t size;
    unsigned count;
    luge_bytes parts[RECORD_PARTS_MAX];
    void *large;                /* NULL while it fits into small */
    unsigned char small[512];
};

/* FIXED must stay, and may be changed until record_end. */
void record_begin(struct record_writer *w, struct record_head *fixed);
void record_add(struct record_writer *w, struct record_part *part,
                luge_bytes bytes);

/* *raw is the writer's memory, until record_free or the next record_begin.
 * Errors: TOOBIG (4 GiB), NOMEM. */
int record_end(struct record_writer *w, luge_bytes *raw);
void record_free(struct record_writer *w);

/* ------------------------------------------------------------- showing -- */

/* What a record's fields and a key's columns are called, so that any record can
 * be shown as JSON (show.c) without code of its own. */
enum record_type {
    RECORD_U8, RECORD_I8, RECORD_U16, RECORD_I32, RECORD_U32, RECORD_U64,
    RECORD_F32,
    RECORD_EMOTION,             /* a struct luge_emotion */
    RECORD_BYTES,               /* a struct record_part: text or bytes */
    RECORD_JSON,                /* a part: JSON, or else bytes */
    RECORD_U64S,                /* a part: u64 after u64 */
    RECORD_CHORDS,              /* a part: of struct convo_chord */
};

struct record_field {
    const char *name;           /* NULL ends a list */
    uint16_t type;              /* of record_type */
    uint16_t at;                /* offset in the fixed struct, bytes */
    const char *(*word)(int);   /* of a number that stands for a word */
};

/* The pairs of one tree.  Its keys are tuples, its values records; nothing, if
 * there are no fields; or one u64, if there are no defaults. */
struct record_kind {
    const char *tree;           /* the last part of the tree's name */
    const char *name;           /* what a record is called: "event" */
    const char *columns;        /* the key's, blanks between; # before a number,
                                   - before one that is stored negative */
    const struct record_head *defaults;
    const struct record_field *fields;
};

extern const struct record_kind record_kinds[]; /* ends with tree NULL */

#endif
