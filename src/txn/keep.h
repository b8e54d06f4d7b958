/* txn/keep.h -- what of the log is kept longer than recovery needs it.
 *
 * One tree of every database that needs it has a number of its own, so that it
 * is found without its name, and the feed leaves out what happens in it:
 *     "keep"      ->  struct keep_policy
 *     'c' + name  ->  struct keep_cursor, a durable consumer's
 * Both are transactional like any value.
 * Not here: who writes them (store/consumers.c), who drops segments
 * (checkpoint.c).
 */
#ifndef TXN_KEEP_H
#define TXN_KEEP_H

#include "txn/env.h"

#define KEEP_TREE ((u64)1 << 62)        /* numbers from next_id stay below */
#define KEEP_TREE_NAME "luge/log"
#define KEEP_POLICY_KEY "keep"
/* Names of the snapshots that luge takes by itself (history.c): this, and the
 * number of the commit in 20 digits. */
#define KEEP_SNAPSHOT_PREFIX "luge/history/"
#define KEEP_HOLD_BYTES (MIB(1024))     /* unless the policy says otherwise */

enum { KEEP_VERSION = 1, KEEP_ALL = 1 /* policy.flags */ };

/* Little-endian, extended only at their ends (format.md 6.2). */
struct keep_policy {
    u16 bytes, version;
    u32 flags;
    u64 keep_bytes;     /* always; 0: what the opener says */
    u64 keep_seconds;   /* always, up to hold_bytes */
    u64 hold_bytes;     /* for consumers and watches, at most; 0: default */
    u64 history_bytes;  /* of log between two snapshots; 0: what the opener
                           says; UINT64_MAX: none are taken */
    u64 history_seconds; /* kept so long although the log has gone */
};
_Static_assert(sizeof(struct keep_policy) == 48, "format.md 6.2");
_Static_assert(offsetof(struct keep_policy, keep_bytes) == 8, "format.md 6.2");
_Static_assert(offsetof(struct keep_policy, hold_bytes) == 24, "format.md 6.2");

struct keep_cursor {
    u16 bytes, version;
    u32 flags;
    u64 seq;            /* consumed up to this */
    u64 acked_ns, created_ns;
};
_Static_assert(sizeof(struct keep_cursor) == 32, "format.md 6.2");
_Static_assert(offsetof(struct keep_cursor, seq) == 8, "format.md 6.2");
_Static_assert(offsetof(struct keep_cursor, acked_ns) == 16, "format.md 6.2");

/* Read a value; fields that an older luge did not write are 0. */
int keep_load_policy(luge_bytes value, struct keep_policy *policy);
int keep_load_cursor(luge_bytes value, struct keep_cursor *cursor);

/* The policy, as a version has it; zeros if there is none. */
int keep_find_policy(struct view *v, struct keep_policy *policy);
static inline bool keep_is_automatic(luge_bytes snapshot)
{
    size_t size = sizeof KEEP_SNAPSHOT_PREFIX - 1;
    return snapshot.size >= size &&
           !memcmp(snapshot.data, KEEP_SNAPSHOT_PREFIX, size);
}
/* TURN: may the log's segment OLDEST not go yet, the log having BYTES, of which
 * SPARE may be more than is to be kept, and twice as much at most? */
int keep_needs(struct env *e, u64 oldest, u64 bytes, u64 spare, bool *needed);

#endif
