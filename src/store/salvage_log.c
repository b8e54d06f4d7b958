/* store/salvage_log.c -- the log of a damaged database, done again on what was
 * found of its checkpoint.
 *
 * Operations say what keys became, so doing one twice does no harm, and doing
 * them all from any point before the state to one behind it gives the newest
 * state.  A log that ends before the state is older than what was found, and
 * adds nothing.  Forks and snapshots are of a moment: they are made again only
 * behind the checkpoint.  What no longer has its tree is passed over.
 * Not here: frames behind a damage.  What came before them is not known, so
 * they are only counted.
 */
#include <stdio.h>

#include "store/salvage.h"

/* In a transaction of its own: it may fail halfway. */
static int land_alone(struct salvage *s, const struct op *op)
{
    int rc = salvage_land(s);
    if (!rc) rc = salvage_txn(s);
    if (!rc) rc = txn_add(s->txn, op);
    if (!rc) rc = salvage_land(s);
    luge_abort(s->txn);
    s->txn = NULL;
    return rc;
}

static int redo_moment(struct salvage *s, const struct op *op)
{
    int rc = s->log_follows ? land_alone(s, op) : LUGE_CONFLICT;
    if (rc != LUGE_CONFLICT && rc != LUGE_NOTREE && rc != LUGE_EXISTS)
        return rc;
    salvage_say(s, "%s %.*s, of the log, could not be made again",
                op->kind == OP_FORK ? "the fork" : "the snapshot",
                (int)op->key.size, (const char *)op->key.data);
    return 0;
}

static int redo(struct salvage *s, const struct op *op)
{
    int rc = salvage_txn(s);
    if (rc) return rc;
    switch (op->kind) {
    case OP_PUT: return luge_put(s->txn, op->tree, op->key, op->value);
    case OP_DEL: return luge_del(s->txn, op->tree, op->key);
    case OP_CREATE: return store_tree_make(s->txn, op->key, op->tree);
    case OP_DROP: return luge_tree_drop(s->txn, op->tree);
    case OP_RENAME: return luge_tree_rename(s->txn, op->tree, op->key);
    case OP_CLEAR: return luge_tree_clear(s->txn, op->tree);
    default: return redo_moment(s, op);
    }
}

static int redo_frame(struct salvage *s, luge_bytes payload)
{
    const u8 *at = payload.data, *end = at + payload.size;
    struct op op;
    int rc;
    while (!(rc = op_decode(&at, end, &op))) {
        rc = redo(s, &op);
        if (rc && rc != LUGE_NOTREE && rc != LUGE_NOTFOUND &&
            rc != LUGE_EXISTS)
            return rc;
        rc = salvage_added(s, op.key.size + op.value.size);
        if (rc) return rc;
    }
    if (rc == LUGE_NOTFOUND) return 0;
    salvage_say(s, "a record of the log holds what is no operation");
    return 0;
}

/* Where to begin: behind the checkpoint, else with the first segment. */
static int find_start(struct salvage *s, struct log *log,
                      struct log_position *at, u64 *seq)
{
    u64 oldest, newest;
    if (s->super_valid && !log_exists(log, s->super.log.segment)) {
        *at = s->super.log;
        *seq = s->super.seq;
        s->log_follows = true;
        return 0;
    }
    int rc = log_span(log, &oldest, &newest);
    if (!rc) rc = log_segment_start(log, oldest, at, seq);
    salvage_say(s, "the log behind the checkpoint is %s",
                rc ? "lost" : "not whole");
    if (!rc && *seq) --*seq;
    return rc;
}

/* A record that is not complete did not happen. */
static int find_end(struct log *log, const struct log_position *at,
                    struct log_position *end, u64 *seq)
{
    struct log_scan scan;
    struct log_frame frame;
    int rc;
    *end = *at;
    log_scan_begin(&scan, log, at, NULL);
    while (!(rc = log_next(&scan, &frame)))
        if (frame.kind == LOG_LAST) *end = scan.at, *seq = frame.seq;
    log_scan_end(&scan);
    return rc == LUGE_NOTFOUND || rc == LUGE_CORRUPT ? 0 : rc;
}

static int redo_all(struct salvage *s, struct log *log,
                    const struct log_position *at,
                    const struct log_position *end)
{
    struct log_scan scan;
    struct log_frame frame;
    int rc = 0;
    log_scan_begin(&scan, log, at, end);
    while (!rc && !(rc = log_next(&scan, &frame))) {
        rc = redo_frame(s, frame.payload);
        s->done.transactions += frame.kind == LOG_LAST;
    }
    log_scan_end(&scan);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int tell_of_hole(struct salvage *s, struct log *log,
                        const struct log_position *end, u64 seq)
{
    u64 durable = 0;
    int rc = log_claimed(log, end, seq, &durable);
    if (rc || durable <= seq) return rc;
    s->done.log_damaged = 1;
    salvage_say(s, "log segment %llu is damaged at offset %llu: transactions "
                "%llu to %llu at least are lost",
                (unsigned long long)end->segment,
                (unsigned long long)end->offset,
                (unsigned long long)(seq + 1), (unsigned long long)durable);
    return 0;
}

/* Does the log, which ends with SEQ, end before the state that was found? */
static bool is_older(struct salvage *s, u64 seq)
{
    if (!s->super_valid || seq >= s->super.seq) return false;
    salvage_say(s, "the log ends with transaction %llu, before the checkpoint, "
                "of %llu: it adds nothing", (unsigned long long)seq,
                (unsigned long long)s->super.seq);
    return true;
}

int salvage_log(struct salvage *s)
{
    char path[4300];
    struct log log;
    struct log_position at, end;
    u64 seq = 0;
    if (!s->instance_known) {
        salvage_say(s, "without conf and superblocks the log is lost");
        return 0;
    }
    snprintf(path, sizeof path, "%.4000s/log", s->broken);
    int rc = log_open(&log, s->os, path, s->instance);
    if (rc) return rc;
    log.only_read = true;
    rc = find_start(s, &log, &at, &seq);
    if (!rc) rc = find_end(&log, &at, &end, &seq);
    if (!rc && !is_older(s, seq)) rc = redo_all(s, &log, &at, &end);
    if (!rc) rc = tell_of_hole(s, &log, &end, seq);
    log_close(&log);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}
