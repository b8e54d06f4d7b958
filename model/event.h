/* model/event.h -- how a store of events lies in its trees.
 *
 *   all         (position) -> struct event_record: the truth
 *   stream      (stream, version, position) -> nothing
 *   type        (type, position) -> nothing
 *   time        (time_ns, position) -> nothing
 *   state       (stream, version) -> struct state_record
 *   projection  (name) -> struct projection_record
 *
 *   V1  The last key of all is the last position; the last key of a stream its
 *       last version.  There are no counters to fall out of step.
 *   V2  Each event in all has exactly one key in stream, type and time.
 * Keys are tuples (tuple.h).  Not here: what is public (luge_event.h).
 */
#ifndef MODEL_EVENT_H
#define MODEL_EVENT_H

#include "luge_event.h"
#include "record.h"
#include "tuple.h"

struct event_record {
    struct record_head head;
    uint32_t flags;             /* of luge_event_flags */
    uint64_t version, time_ns;
    struct record_part stream, type, payload, correlation, causation;
};

struct state_record {
    struct record_head head;
    uint32_t unused;
    uint64_t time_ns;           /* when it was kept */
    struct record_part state;
};

struct projection_record {
    struct record_head head;
    uint32_t unused;
    uint64_t position;          /* of the last event it has seen */
    uint64_t time_ns;           /* when it noted that */
};

extern const struct event_record event_default;
extern const struct state_record state_default;
extern const struct projection_record projection_default;

/* TOOBIG or INVALID if NAME is no name for WHAT. */
int event_name_ok(luge_bytes name, const char *what);

/* The event at POSITION from its record.  Memory: RAW's. */
int event_read(luge_bytes raw, uint64_t position, struct luge_event *event);

/* The first text in the first column of TREE's keys that is above AFTER. */
int event_name_after(luge_txn *txn, luge_tree tree, luge_bytes after,
                     char space[LUGE_EVENT_NAME_SIZE_MAX], luge_bytes *name);

/* A query whose names are its own. */
struct event_query {
    struct luge_event_query ask;
    char stream[LUGE_EVENT_NAME_SIZE_MAX], type[LUGE_EVENT_NAME_SIZE_MAX];
};
int event_query_take(struct event_query *to,
                     const struct luge_event_query *from);

#endif
