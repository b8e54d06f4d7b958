/* feed/past.c -- see past.h. */
#include "feed/past.h"

enum { PAST_BYTES_MAX = 1 << 20 };      /* then a newer snapshot is sought */

/* The private view of BASE, with nothing applied yet. */
static void begin_view(struct feed_past *p)
{
    const struct version *v = &p->base->version;
    view_begin(&p->view, &p->env->pages, &p->work, v->catalog,
               v->catalog_count, v->seq + 1);
    page_work_begin(&p->work, &p->env->pages, v->seq + 1, NULL);
    p->work.birth = env_private_birth(p->env, v);
    p->known = true;
}

static void end_view(struct feed_past *p)
{
    if (p->known) {
        page_work_abandon(&p->work);
        view_end(&p->view);
    }
    ops_clear(&p->ops);
    p->known = false;
}

static void end_snapshot(struct luge_txn **txn)
{
    if (*txn) txn_abort(*txn);
    *txn = NULL;
}

int feed_past_open(struct feed_past *p, struct env *e,
                   const struct luge_txn *snapshot)
{
    memset(p, 0, sizeof *p);
    p->env = e;
    if (!snapshot) return 0;
    int rc = txn_begin_beside(snapshot, &p->base);
    if (!rc) begin_view(p);
    return rc;
}

void feed_past_forget(struct feed_past *p)
{
    end_view(p);
    end_snapshot(&p->base);
    end_snapshot(&p->newer);
}

void feed_past_close(struct feed_past *p)
{
    if (!p->env) return;
    feed_past_forget(p);
    page_work_end(&p->work);
    ops_free(&p->ops);
    memset(p, 0, sizeof *p);
}

int feed_past_get(struct feed_past *p, u64 tree, luge_bytes key,
                  luge_bytes *value)
{
    struct view_tree *t;
    int rc = view_find(&p->view, tree, &t);
    if (rc == LUGE_NOTREE) return LUGE_NOTFOUND;
    return rc ? rc : tree_get(&p->env->pages, t->tree.root, key, value);
}

int feed_past_apply(struct feed_past *p, const struct op *op)
{
    struct op stored;
    if (!p->known) return 0;
    int rc = ops_add(&p->ops, op, &stored);
    return rc ? rc : view_apply(&p->view, &stored);
}

static void move_to_newer(struct feed_past *p)
{
    end_view(p);
    end_snapshot(&p->base);
    p->base = p->newer;
    p->newer = NULL;
    begin_view(p);
}

int feed_past_settle(struct feed_past *p, u64 seq, bool idle)
{
    bool wanted = !p->known || p->ops.bytes > PAST_BYTES_MAX ||
                  (idle && p->ops.count);
    if (p->newer && p->newer->version.seq < seq) end_snapshot(&p->newer);
    if (wanted && !p->newer) {
        int rc = txn_begin(p->env, LUGE_READ, &p->newer);
        if (rc) return rc;
    }
    if (p->newer && p->newer->version.seq == seq) move_to_newer(p);
    else if (p->newer && p->newer->version.seq < seq)
        end_snapshot(&p->newer);        /* not shown yet: the next time */
    return 0;
}
