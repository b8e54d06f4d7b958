/* store/consumers.c -- durable consumers' cursors and the log's retention: the
 * public calls on the tree that txn/keep.h describes.
 * Not here: what they keep (txn/keep.c), following the log (feed/).
 */
#include "feed/read.h"
#include "luge_feed.h"
#include "store/store.h"
#include "txn/keep.h"

enum { CURSOR_KEY_MAX = 1 + LUGE_CONSUMER_NAME_MAX };

static luge_bytes cursor_key(u8 *space, luge_bytes name)
{
    space[0] = 'c';
    if (name.size) memcpy(space + 1, name.data, name.size);
    return luge_bytes_of(space, name.size + 1);
}

static int name_ok(luge_bytes name)
{
    if (!name.size) return fail(LUGE_INVALID, "a consumer's name is empty");
    if (name.size <= LUGE_CONSUMER_NAME_MAX) return 0;
    return fail(LUGE_TOOBIG, "a consumer's name of %zu bytes; %u are allowed",
                name.size, LUGE_CONSUMER_NAME_MAX);
}

static int seq_ok(const luge_txn *txn, u64 seq)
{
    u64 newest = atomic_load(&txn->env->share.m->committed);
    if (seq <= newest) return 0;
    return fail(LUGE_INVALID, "transaction %llu is not committed yet: the "
                "newest is %llu", (unsigned long long)seq,
                (unsigned long long)newest);
}

static int known(int rc, luge_bytes name)
{
    if (rc != LUGE_NOTREE && rc != LUGE_NOTFOUND) return rc;
    return fail(LUGE_NOTFOUND, "there is no consumer \"%.*s\"",
                (int)name.size, (const char *)name.data);
}

/* NOTFOUND, not NOTREE: without the tree there is no consumer. */
static int load_cursor(luge_txn *txn, luge_bytes name,
                       struct keep_cursor *cursor)
{
    u8 space[CURSOR_KEY_MAX];
    luge_bytes value;
    int rc = name_ok(name);
    if (!rc) rc = luge_get(txn, KEEP_TREE, cursor_key(space, name), &value);
    rc = known(rc, name);
    return rc ? rc : keep_load_cursor(value, cursor);
}

static int store_cursor(luge_txn *txn, luge_bytes name,
                        struct keep_cursor *cursor)
{
    u8 space[CURSOR_KEY_MAX];
    struct env *e = txn->env;
    cursor->bytes = sizeof *cursor;
    cursor->version = KEEP_VERSION;
    cursor->acked_ns = e->os->wall_ns(e->os);
    return luge_put(txn, KEEP_TREE, cursor_key(space, name),
                    luge_bytes_of(cursor, sizeof *cursor));
}

static int writes(const luge_txn *txn)
{
    if (txn->writes) return 0;
    return fail(LUGE_READONLY, "a read transaction cannot change a consumer");
}

int luge_consumer_create(luge_txn *txn, luge_bytes name, uint64_t seq)
{
    struct keep_cursor cursor;
    int rc = writes(txn);
    if (!rc) rc = seq_ok(txn, seq);
    if (!rc) rc = name_ok(name);
    if (!rc) rc = store_tree_make(txn, luge_str(KEEP_TREE_NAME), KEEP_TREE);
    if (!rc) rc = load_cursor(txn, name, &cursor);
    if (!rc) return fail(LUGE_EXISTS, "there is a consumer of that name");
    if (rc != LUGE_NOTFOUND) return rc;
    cursor = (struct keep_cursor){
        .seq = seq, .created_ns = txn->env->os->wall_ns(txn->env->os),
    };
    return store_cursor(txn, name, &cursor);
}

int luge_consumer_ack(luge_txn *txn, luge_bytes name, uint64_t before,
                      uint64_t seq)
{
    struct keep_cursor cursor;
    int rc = writes(txn);
    if (!rc) rc = seq_ok(txn, seq);
    if (!rc && seq < before)
        rc = fail(LUGE_INVALID, "a cursor does not go back from %llu to %llu",
                  (unsigned long long)before, (unsigned long long)seq);
    if (!rc) rc = load_cursor(txn, name, &cursor);
    if (!rc && cursor.seq != before)
        rc = fail(LUGE_MISMATCH, "the cursor stands at %llu, not at %llu",
                  (unsigned long long)cursor.seq, (unsigned long long)before);
    if (rc) return rc;
    cursor.seq = seq;
    return store_cursor(txn, name, &cursor);
}

int luge_consumer_drop(luge_txn *txn, luge_bytes name)
{
    u8 space[CURSOR_KEY_MAX];
    int rc = writes(txn);
    if (!rc) rc = name_ok(name);
    if (!rc) rc = luge_del(txn, KEEP_TREE, cursor_key(space, name));
    return known(rc, name);
}

static int describe(luge_txn *txn, luge_bytes name,
                    const struct keep_cursor *cursor, struct luge_consumer *c)
{
    u64 oldest = 0, here = txn->version.seq;
    int rc = feed_oldest(txn->env, &oldest);
    *c = (struct luge_consumer){
        .seq = cursor->seq, .acked_ns = cursor->acked_ns,
        .lag = here > cursor->seq ? here - cursor->seq : 0,
        .expired = cursor->seq < oldest && oldest > 1,
    };
    return rc ? rc : store_keep(&txn->near_key, name, &c->name);
}

int luge_consumer_get(luge_txn *txn, luge_bytes name,
                      struct luge_consumer *consumer)
{
    struct keep_cursor cursor;
    int rc = load_cursor(txn, name, &cursor);
    return rc ? rc : describe(txn, name, &cursor, consumer);
}

int luge_consumer_after(luge_txn *txn, luge_bytes after,
                        struct luge_consumer *consumer)
{
    u8 space[CURSOR_KEY_MAX], found[LUGE_KEY_SIZE_MAX];
    struct keep_cursor cursor;
    luge_bytes key, value;
    int rc = after.size > LUGE_CONSUMER_NAME_MAX ? name_ok(after) : 0;
    if (!rc)
        rc = luge_near(txn, KEEP_TREE, LUGE_GT, cursor_key(space, after),
                       &key, &value);
    if (rc) return base_found(rc == LUGE_NOTREE ? LUGE_NOTFOUND : rc);
    memcpy(found, key.data, key.size);
    if (!key.size || found[0] != 'c') return base_answer(LUGE_NOTFOUND);
    rc = keep_load_cursor(value, &cursor);
    return rc ? rc : describe(txn, luge_bytes_of(found + 1, key.size - 1),
                              &cursor, consumer);
}

/* ---------------------------------------------------------- retention -- */

int store_policy_get(luge_txn *txn, struct keep_policy *policy)
{
    luge_bytes value;
    memset(policy, 0, sizeof *policy);
    int rc = luge_get(txn, KEEP_TREE, luge_str(KEEP_POLICY_KEY), &value);
    if (!rc) rc = keep_load_policy(value, policy);
    return rc == LUGE_NOTFOUND || rc == LUGE_NOTREE ? 0 : rc;
}

int store_policy_set(luge_txn *txn, struct keep_policy *policy)
{
    policy->bytes = sizeof *policy;
    policy->version = KEEP_VERSION;
    int rc = store_tree_make(txn, luge_str(KEEP_TREE_NAME), KEEP_TREE);
    return rc ? rc : luge_put(txn, KEEP_TREE, luge_str(KEEP_POLICY_KEY),
                              luge_bytes_of(policy, sizeof *policy));
}

int luge_retention_get(luge_txn *txn, struct luge_retention *r)
{
    struct keep_policy policy;
    int rc = store_policy_get(txn, &policy);
    if (rc) return rc;
    *r = (struct luge_retention){
        policy.flags, policy.keep_bytes, policy.keep_seconds,
        policy.hold_bytes,
    };
    return 0;
}

int luge_retention_set(luge_txn *txn, const struct luge_retention *r)
{
    struct keep_policy policy;
    int rc = writes(txn);
    if (!rc && (r->flags & ~(unsigned)LUGE_KEEP_ALL))
        rc = fail(LUGE_INVALID, "%u are no flags of a retention", r->flags);
    if (!rc) rc = store_policy_get(txn, &policy);
    if (rc) return rc;
    policy.flags = r->flags;
    policy.keep_bytes = r->keep_bytes;
    policy.keep_seconds = r->keep_seconds;
    policy.hold_bytes = r->hold_bytes;
    return store_policy_set(txn, &policy);
}
