/* luge_event.h -- events: streams that only grow, one order of them all,
 * projections that see each event exactly once.
 *
 * What holds here:
 *   E1  An event has a stream and a version in it: 1, 2, 3 ... without a gap.
 *   E2  It has a position among all events: 1, 2, 3 ... without a gap, in the
 *       order of the commits.  Nobody who has seen position n ever finds a
 *       smaller one that was not there.
 *   E3  Of two events, if the transaction of one saw the other, it has the
 *       greater position.
 *   E4  An event never changes.
 *   E5  What a projection writes and how far it has read land together.
 *
 * A function with a luge_txn works in the caller's transaction, together with
 * whatever else that does; one whose name ends in _now makes one of its own.
 *
 * A transaction that appends needs the last position, so of two optimistic ones
 * at the same time one runs again.  Begin yours with LUGE_TURN, or let
 * luge_transact do so, if many append at once; the _now functions do.
 * The newest events, some dozens at most, are in no index yet, and whoever asks
 * for a stream, a type, times or names looks at them, too: so a write
 * transaction that does so conflicts with appends to other streams as well.
 * Read in a LUGE_READ one what need not be validated.
 * docs/why/events.md has the reasons and the figures.
 *
 * Threads: as the transaction's or, of a follower or projection, one at a time.
 * Return values and errors as in luge.h; besides those that a function names,
 * those of luge_get and luge_put.
 */
#ifndef LUGE_EVENT_H
#define LUGE_EVENT_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LUGE_EVENT_NAME_SIZE_MAX 255u    /* bytes of a stream's, type's,
                                            projection's name, of an id */
#define LUGE_EVENT_PAYLOAD_SIZE_MAX (1u << 28) /* bytes: 256 MiB */
#define LUGE_EVENT_BATCH_MAX 65536u      /* events of one append, of one run */

/* Where a store of events lives: the trees PATH/all, PATH/stream and so on.
 * A plain value that stays good for as long as the trees exist: copy it, and
 * keep it for the life of the process. */
struct luge_events {
    luge_tree all, stream, type, time, state, projection;
};

/* Find the store at PATH ("events" is customary).  With LUGE_TREE_CREATE it is
 * made if absent; if TXN does not commit then, *events is void.
 * Errors: NOTFOUND, TOOBIG, INVALID (an empty path). */
LUGE_API int luge_events_open(luge_txn *txn, luge_bytes path, unsigned flags,
                              struct luge_events *events);
LUGE_API int luge_events_open_now(luge_db *db, luge_bytes path, unsigned flags,
                                  struct luge_events *events);

enum luge_event_flags {
    LUGE_EVENT_JSON = 1 << 0,   /* the payload is JSON, and was checked */
};

/* One event.  To append one, give what is marked; {0} is a good start. */
struct luge_event {
    uint64_t position;
    uint64_t version;
    uint64_t time_ns;           /* given: since 1970; 0 means now */
    luge_bytes stream;
    luge_bytes type;            /* given: 1 .. 255 bytes */
    luge_bytes payload;         /* given */
    luge_bytes correlation;     /* given: what it belongs to, e.g. an id; or
                                   empty */
    luge_bytes causation;       /* given: what caused it; or empty */
    unsigned flags;             /* given: of luge_event_flags */
};

/* The version that an append expects the stream to have. */
#define LUGE_EVENT_ANY UINT64_MAX        /* whatever it is */
#define LUGE_EVENT_NO_STREAM UINT64_C(0) /* there is no event in it yet */

struct luge_event_place {
    uint64_t version, position;
};

/* Append COUNT events to STREAM, which has EXPECTED events so far.
 * *last, if not NULL: the place of the last one; or, with MISMATCH, of the last
 * that is there ({0, 0}: none).
 * Errors: MISMATCH (the stream has another version), TOOBIG, LIMIT (a batch too
 * large), INVALID (a name is missing, a payload is not the JSON it claims to
 * be; the sentence says where): nothing was appended then.  After any other,
 * end the transaction. */
LUGE_API int luge_event_append(luge_txn *txn, const struct luge_events *events,
                               luge_bytes stream, uint64_t expected,
                               const struct luge_event *list, size_t count,
                               struct luge_event_place *last);

/* The same in a transaction of its own, which holds the turn while it appends
 * and so never conflicts.  flags: LUGE_TXN_FULL, LUGE_TXN_ASYNC. */
LUGE_API int luge_event_append_now(luge_db *db, unsigned flags,
                                   const struct luge_events *events,
                                   luge_bytes stream, uint64_t expected,
                                   const struct luge_event *list, size_t count,
                                   struct luge_event_place *last);

/* ------------------------------------------------------------- reading -- */

/* The last event of all: 0 if there is none. */
LUGE_API int luge_event_position(luge_txn *txn,
                                 const struct luge_events *events,
                                 uint64_t *position);

/* The place of STREAM's last event: {0, 0} if there is none. */
LUGE_API int luge_event_last(luge_txn *txn, const struct luge_events *events,
                             luge_bytes stream, struct luge_event_place *last);

/* The first stream, or type, whose name is greater than AFTER.
 * Memory: *name is put into SPACE.  NOTFOUND at the end. */
LUGE_API int luge_event_stream_after(luge_txn *txn,
                                     const struct luge_events *events,
                                     luge_bytes after,
                                     char space[LUGE_EVENT_NAME_SIZE_MAX],
                                     luge_bytes *name);
LUGE_API int luge_event_type_after(luge_txn *txn,
                                   const struct luge_events *events,
                                   luge_bytes after,
                                   char space[LUGE_EVENT_NAME_SIZE_MAX],
                                   luge_bytes *name);

enum luge_event_query_flags {
    LUGE_EVENT_BACKWARD = 1 << 0, /* the newest first */
    LUGE_EVENT_BY_TIME = 1 << 1,  /* in the order of times, not positions;
                                     not with a stream or a type */
};

/* Which events.  Zero means "all" in every field.  All that is given must hold.
 * The order is that of positions.  Reading costs what the stream holds; without
 * a stream, what the type holds; with BY_TIME, what the times hold; without all
 * of these, the events of the positions. */
struct luge_event_query {
    luge_bytes stream, type;
    uint64_t position_from, position_to; /* from <= position < to */
    uint64_t version_from, version_to;   /* of the stream, in the same way */
    uint64_t time_from_ns, time_to_ns;   /* from <= time < to */
    unsigned flags;
};

typedef struct luge_event_reader luge_event_reader;

/* Read the events of QUERY (NULL: all) as TXN sees them now.  Of what TXN
 * appends later the reader may or may not give some, none of it twice.
 * Memory: *reader is the caller's until luge_event_close, before TXN ends.  The
 * query is copied.
 * Errors: TOOBIG; INVALID (versions without a stream, BY_TIME with a stream or
 * type, an unknown flag). */
LUGE_API int luge_event_open(luge_txn *txn, const struct luge_events *events,
                             const struct luge_event_query *query,
                             luge_event_reader **reader);

/* The next event.  NOTFOUND at the end.
 * Memory: what *event points to is the database's own, as in luge_get; its
 * stream and type, too.  Errors: CORRUPT, VERSION. */
LUGE_API int luge_event_next(luge_event_reader *reader,
                             struct luge_event *event);
LUGE_API void luge_event_close(luge_event_reader *reader);

/* The event at POSITION.  NOTFOUND.  Memory: as luge_event_next. */
LUGE_API int luge_event_get(luge_txn *txn, const struct luge_events *events,
                            uint64_t position, struct luge_event *event);

/* -------------------------------------------------- states of a stream -- */

/* Keep STATE, which is what somebody made of STREAM's events up to VERSION, so
 * that the next need not read them again.  One for each version; the second of
 * a version replaces the first.  Errors: MISMATCH (no such version), TOOBIG. */
LUGE_API int luge_event_state_put(luge_txn *txn,
                                  const struct luge_events *events,
                                  luge_bytes stream, uint64_t version,
                                  luge_bytes state);

/* The newest state of STREAM that is not newer than VERSION (LUGE_EVENT_ANY:
 * the newest).  *at is its version; go on with the events from *at + 1.
 * NOTFOUND: read them all.  Memory: *state as in luge_get. */
LUGE_API int luge_event_state_get(luge_txn *txn,
                                  const struct luge_events *events,
                                  luge_bytes stream, uint64_t version,
                                  uint64_t *at, luge_bytes *state);

/* Forget the states of STREAM of versions below VERSION. */
LUGE_API int luge_event_state_forget(luge_txn *txn,
                                     const struct luge_events *events,
                                     luge_bytes stream, uint64_t version);

/* ----------------------------------------------------------- followers -- */

typedef struct luge_event_follower luge_event_follower;

/* Follow the events of QUERY (NULL: all): first those that are there, from
 * position_from or version_from on, then each as soon as it is durable.  Reads
 * the store and not the log, so however slow it is it never misses one.
 * Memory: *follower is the caller's until luge_event_unfollow, before
 * luge_close.  The query is copied.
 * Errors: INVALID (BACKWARD or BY_TIME), LIMIT (256 watches on a database). */
LUGE_API int luge_event_follow(luge_db *db, const struct luge_events *events,
                               const struct luge_event_query *query,
                               luge_event_follower **follower);

/* The next event; waits TIMEOUT_MS at most; 0: not at all, -1: for ever.
 * Memory: what *event points to stays until the next call.
 * Errors: TIMEOUT (nothing came, or luge_event_follow_wake was called). */
LUGE_API int luge_event_follow_next(luge_event_follower *follower,
                                    int timeout_ms, struct luge_event *event);

/* Let the luge_event_follow_next or luge_projection_run that waits, or the next
 * that would, answer TIMEOUT.  Any thread.  Never fails. */
LUGE_API void luge_event_follow_wake(luge_event_follower *follower);
LUGE_API void luge_event_unfollow(luge_event_follower *follower);

/* --------------------------------------------------------- projections -- */

typedef struct luge_projection luge_projection;

/* The projection called NAME: what somebody makes of the events of QUERY (NULL:
 * all).  How far it has come is kept in the store under its name; at first that
 * is where the query begins.  Any number of processes may run one; each event
 * is still projected once.
 * Memory: *projection is the caller's until luge_projection_close.
 * Errors: as luge_event_follow; INVALID (a name of 0 bytes). */
LUGE_API int luge_projection_open(luge_db *db,
                                  const struct luge_events *events,
                                  luge_bytes name,
                                  const struct luge_event_query *query,
                                  luge_projection **projection);

/* Give up to LIMIT of the next events to FN, all in one transaction, which also
 * notes how far they reach.  Waits TIMEOUT_MS at most for the first of them.
 * FN writes with TXN, returns 0 or what luge_projection_run shall return
 * (nothing is changed then), and may run again for the same events if the
 * transaction conflicts.  EVENT stays until FN returns.
 * flags: LUGE_TXN_FULL, LUGE_TXN_ASYNC, LUGE_TURN.
 * Errors: TIMEOUT; LIMIT (a limit of 0 or above LUGE_EVENT_BATCH_MAX). */
LUGE_API int luge_projection_run(luge_projection *projection, unsigned flags,
                                 int timeout_ms, size_t limit,
                                 int (*fn)(luge_txn *txn,
                                           const struct luge_event *event,
                                           void *context),
                                 void *context, size_t *count);

/* Let the luge_projection_run that waits, or the next that would, answer
 * TIMEOUT.  Any thread.  Never fails. */
LUGE_API void luge_projection_wake(luge_projection *projection);
LUGE_API void luge_projection_close(luge_projection *projection);

/* How far the projection called NAME has come: the position of the last event
 * it has seen, or that it began behind.  NOTFOUND: it has never run. */
LUGE_API int luge_projection_position(luge_txn *txn,
                                      const struct luge_events *events,
                                      luge_bytes name, uint64_t *position);

/* Let the projection called NAME go on behind POSITION (0: from the start), or
 * begin there.  Whoever runs it goes on from there, too.
 * Errors: MISMATCH (there is no event POSITION yet). */
LUGE_API int luge_projection_reset(luge_txn *txn,
                                   const struct luge_events *events,
                                   luge_bytes name, uint64_t position);

/* The first projection whose name is greater than AFTER, as
 * luge_event_stream_after. */
LUGE_API int luge_projection_after(luge_txn *txn,
                                   const struct luge_events *events,
                                   luge_bytes after,
                                   char space[LUGE_EVENT_NAME_SIZE_MAX],
                                   luge_bytes *name);

#ifdef __cplusplus
}
#endif
#endif
