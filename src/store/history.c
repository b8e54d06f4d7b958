/* store/history.c -- the past: the public calls.
 * Not here: how a state comes to be again (feed/asof.c).
 */
#include "feed/asof.h"
#include "feed/read.h"
#include "luge_history.h"
#include "store/store.h"
#include "txn/keep.h"

int luge_begin_at(luge_db *db, uint64_t seq, luge_txn **txn)
{
    struct env *e = &db->store->env;
    *txn = NULL;
    int rc = env_usable(e);
    if (!rc) rc = asof_begin(e, seq, txn);
    if (!rc) store_own_txn(db, *txn);
    return rc;
}

int luge_seq_at(luge_db *db, uint64_t time_ns, uint64_t *seq)
{
    struct env *e = &db->store->env;
    int rc = env_usable(e);
    return rc ? rc : asof_seq(e, time_ns, seq);
}

int luge_time_at(luge_db *db, uint64_t seq, uint64_t *time_ns)
{
    struct env *e = &db->store->env;
    int rc = env_usable(e);
    return rc ? rc : asof_time(e, seq, time_ns);
}

int luge_history_span(luge_db *db, struct luge_history *h)
{
    struct env *e = &db->store->env;
    int rc = env_usable(e);
    *h = (struct luge_history){0};
    if (!rc) rc = asof_oldest(e, &h->oldest_seq);
    if (!rc) rc = feed_oldest(e, &h->log_seq);
    if (rc) return rc;
    h->newest_seq = atomic_load(&e->share.m->shown);
    h->log_bytes = log_bytes(&e->log);
    rc = asof_time(e, h->newest_seq, &h->newest_ns);
    if (rc && rc != LUGE_EXPIRED) return rc;
    rc = asof_time(e, h->oldest_seq, &h->oldest_ns);
    return rc == LUGE_EXPIRED ? 0 : rc;
}

/* --------------------------------------------------------- then and now -- */

/* The state behind SEQ, of TXN's own until it ends. */
static int state_of(luge_txn *txn, u64 seq, struct luge_txn **past)
{
    for (*past = txn->pasts; *past; *past = (*past)->next)
        if ((*past)->version.seq == seq) return 0;
    int rc = asof_begin(txn->env, seq, past);
    if (rc) return rc;
    (*past)->next = txn->pasts;
    txn->pasts = *past;
    return 0;
}

int luge_past_open(luge_txn *txn, uint64_t seq, luge_bytes name,
                   luge_tree *tree)
{
    struct luge_txn *past;
    struct view_tree *t;
    struct view *view;
    u64 number;
    int rc = txn_usable(txn);
    if (!rc) rc = store_name_ok(name);
    if (!rc) rc = txn_view(txn, &view);
    if (!rc) rc = state_of(txn, seq, &past);
    if (!rc) rc = view_number_of(&past->view, name, &number);
    if (!rc) rc = view_find(&past->view, number, &t);
    return rc ? rc : view_add_frozen(view, &t->tree, tree);
}

/* -------------------------------------------------------------- policy -- */

int luge_history_policy_get(luge_txn *txn, struct luge_history_policy *p)
{
    struct keep_policy policy;
    int rc = store_policy_get(txn, &policy);
    if (!rc)
        *p = (struct luge_history_policy){policy.history_bytes,
                                          policy.history_seconds};
    return rc;
}

int luge_history_policy_set(luge_txn *txn, const struct luge_history_policy *p)
{
    struct keep_policy policy;
    int rc = txn_usable(txn);
    if (!rc && !txn->writes)
        rc = fail(LUGE_READONLY, "a read transaction sets no policy");
    if (!rc) rc = store_policy_get(txn, &policy);
    if (rc) return rc;
    policy.history_bytes = p->every_bytes;
    policy.history_seconds = p->keep_seconds;
    return store_policy_set(txn, &policy);
}
