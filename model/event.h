/* model/event.h -- how a store of events lies in its trees.
 *
 *   all         (position) -> struct event_record: the truth
 *   stream      (stream, version, position) -> nothing     \
 *   type        (type, position) -> nothing                 > the indices
 *   time        (time_ns, position) -> nothing             /
 *   state       (stream, version) -> struct state_record
 *   projection  (name) -> struct projection_record
 *
 *   V1  The last key of all is the last position.  There are no counters to
 *       fall out of step.
 *   V2  Each event in all but the pending ones has exactly one key in each
 *       index; those have none.
 *   V3  The last record of all says how many are pending: so many events at the
 *       end, itself included.  Records of version 1 say nothing: none.
 * Appends of single events are put into the indices together, some later
 * (event_pending.c); until then whoever reads an index reads them, too.
 * Keys are tuples (tuple.h).  Not here: what is public (luge_event.h).
 */
#ifndef MODEL_EVENT_H
#define MODEL_EVENT_H

#include <stdbool.h>

#include "luge_event.h"
#include "record.h"
#include "tuple.h"

struct event_record {
    struct record_head head;
    uint32_t flags;             /* of luge_event_flags */
    uint64_t version, time_ns;
    struct record_part stream, type, payload, correlation, causation;
    uint32_t pending, unused;   /* since version 2: V3 */
};

enum {
    EVENT_PENDING_MAX = 64,             /* more is CORRUPT */
    EVENT_PENDING_PAYLOAD_MAX = 1024,   /* bytes: who looks at what is pending
                                           reads them from the map */
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

/* The end of the store: the last position, and the events that are pending, the
 * oldest first. */
struct event_tail {
    uint64_t position;
    uint32_t count;
    struct luge_event list[EVENT_PENDING_MAX];
};

/* Memory: what the events point to stays until the next change of any tree. */
int event_tail_read(luge_txn *txn, const struct luge_events *events,
                    struct event_tail *tail);
/* Shall COUNT events be put into the indices with those of TAIL, or wait? */
bool event_tail_ends(const struct event_tail *tail,
                     const struct luge_event *list, size_t count);
/* The place of STREAM's last event among the pending ones, else by the index;
 * {0, 0}: none. */
int event_tail_last(luge_txn *txn, const struct luge_events *events,
                    const struct event_tail *tail, luge_bytes stream,
                    struct luge_event_place *last);
/* Put an event into the indices; all that are pending. */
int event_index(luge_txn *txn, const struct luge_events *events,
                luge_bytes stream, const struct luge_event *e);
int event_tail_index(luge_txn *txn, const struct luge_events *events,
                     const struct event_tail *tail);
/* The last version of STREAM by the index alone; 0: none. */
int event_indexed_last(luge_txn *txn, const struct luge_events *events,
                       luge_bytes stream, struct luge_event_place *last);

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
