/* txn/compact.c -- leaves become full, then pages at the end of the file move
 * into holes before it.
 *
 *     |xxxx..xx.xx..x|..xx...xx.x|       limit: as low as the holes before it
 *              <------limit            are many, and a stripe before the end
 *
 *   1 which keys lead to what lies beyond the limit?     (a snapshot; no turn)
 *   2 a slice of them, and another: new places           (turn, some ms each)
 *   3 a checkpoint frees the old places, the end is cut  (checkpoint.c)
 * So the walk of all trees, which takes time in proportion to their size, holds
 * up nobody, and what does takes time in proportion to the slice.
 * To make leaves full takes 1 and 2 with other keys, and 3 without the cut.
 * What pins of forks and snapshots share does not move: it has many parents.
 * Not here: how a page moves (tree/move.c); the holes that stay (holes.c).
 */
#include <stdlib.h>

#include "txn/lineage.h"
#include "txn/txn.h"

enum {
    STRIPE_BYTES = 256 << 20,   /* between two checkpoints */
    MARGIN_PAGES = 64,          /* free below the limit, for what leads there */
    THEFTS_MAX = 8,             /* of the turn, while leaves are packed */
};

static u64 stripe_pages(const struct env *e)
{
    return STRIPE_BYTES >> e->pages.map.page_shift;
}

/* ---------------------------------------------------------------- plan -- */

struct plan {
    struct env *env;
    struct view *view;
    struct publish_moves *m;
    u64 tree;
};

static int add_move(void *context, luge_bytes key)
{
    struct plan *p = context;
    struct publish_moves *m = p->m;
    if (m->count == m->capacity) {
        size_t capacity = m->capacity ? 2 * m->capacity : 1024;
        struct publish_move *more =
            base_realloc(m->moves, capacity * sizeof *more);
        if (!more) return NOMEM();
        m->moves = more;
        m->capacity = capacity;
    }
    m->moves[m->count++] = (struct publish_move){p->tree, m->keys.size,
                                                 (u32)key.size};
    return base_buffer_add(&m->keys, key.data, key.size);
}

static int plan_tree(void *context, u64 number, const struct tree *tree,
                     luge_bytes name)
{
    struct plan *p = context;
    struct catalog_record record;
    int rc = lineage_record_in(p->view, p->view->catalog.root, number,
                               &record);
    (void)name;
    p->tree = number;
    if (rc) return rc;
    u64 pinned = max_u64(record.pinned, p->view->catalog_pin);
    return p->m->pack
               ? tree_loose(&p->env->pages, tree->root, pinned, add_move, p)
               : tree_beyond(&p->env->pages, tree->root, p->m->limit, pinned,
                             add_move, p);
}

static int make_plan(struct env *e, struct publish_moves *m)
{
    struct luge_txn *txn;
    int rc = txn_begin(e, LUGE_READ, &txn);
    if (rc) return rc;
    struct plan p = {e, &txn->view, m, 0};
    rc = lineage_load(p.view);
    if (!rc) rc = view_each(p.view, plan_tree, &p);
    p.tree = 0;
    if (!rc && !m->pack)
        rc = tree_beyond(&e->pages, p.view->catalog.root, m->limit,
                         p.view->catalog_pin, add_move, &p);
    txn_abort(txn);
    return rc;
}

static void plan_free(struct publish_moves *m)
{
    base_free(m->moves);
    base_buffer_free(&m->keys);
}

/* ---------------------------------------------------------------- move -- */

static bool is_worth(const struct space_state *st, const struct compact *c)
{
    u64 freed = space_free_pages(st);
    return freed > MARGIN_PAGES && st->page_count > c->pages_min &&
           freed * 100 >= c->percent * st->page_count;
}

/* As far down as what is free would reach if it lay at the end, nearly.  0: it
 * is not worth it. */
static int choose_limit(struct env *e, const struct compact *c, u64 *limit)
{
    const struct space_state *st;
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    *limit = 0;
    if (is_worth(&e->arena->work, c)) rc = publish_head(e);
    st = &e->arena->work;               /* a theft may have moved it */
    if (!rc && is_worth(st, c))
        *limit = st->page_count + MARGIN_PAGES -
                 min_u64(space_free_pages(st), stripe_pages(e));
    head_release_turn(e);
    return rc;
}

static int one_slice(struct env *e, struct publish_moves *m,
                     struct compact *c)
{
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    u64 start = os_monotonic_ns(), moved = m->moved;
    size_t next = m->next;
    rc = publish_head(e);
    if (!rc) rc = publish_moved(e, m);
    if (rc) {
        m->next = next;
        m->moved = moved;
    }
    c->longest_ns = max_u64(c->longest_ns, os_monotonic_ns() - start);
    head_release_turn(e);
    c->slices++;
    return rc;
}

/* When there is no more room below, a checkpoint makes some. */
static int all_slices(struct env *e, struct publish_moves *m,
                      struct compact *c)
{
    int rc = 0;
    while (!rc && m->next < m->count) {
        u64 before = m->moved;
        rc = one_slice(e, m, c);
        if (m->moved == before) break;
    }
    return rc;
}

int compact_pass(struct env *e, struct compact *c)
{
    struct publish_moves m = {0};
    int rc = choose_limit(e, c, &m.limit);
    if (rc || !m.limit) return rc;
    rc = make_plan(e, &m);
    if (!rc) rc = all_slices(e, &m, c);
    c->moved += m.moved;
    plan_free(&m);
    /* What is at the end may be dying: a checkpoint later it is gone. */
    return rc ? rc : m.count > 0 || !c->pages_min;
}

/* ---------------------------------------------------------------- pack -- */

/* Old places are free after a checkpoint, if nobody reads them: until then the
 * file may grow, by one stripe in all.  Twice a slice is what one may take. */
static bool has_room(struct env *e, u64 pages)
{
    struct txn_head now;
    u64 slice = MOVE_SLICE_BYTES >> e->pages.map.page_shift;
    head_copy(e, &now);
    return space_free_pages(&now.space) > 2 * slice ||
           now.space.page_count < pages + stripe_pages(e);
}

static int pack_stripe(struct env *e, struct publish_moves *m, u64 pages,
                       struct compact *c)
{
    u64 end = m->moved + stripe_pages(e);
    int rc = 0;
    while (!rc && m->next < m->count && m->moved < end && has_room(e, pages))
        rc = one_slice(e, m, c);
    return rc;
}

int compact_pack(struct env *e, struct compact *c,
                 int (*checkpoint)(struct env *e))
{
    struct publish_moves m = {.pack = true};
    struct txn_head now;
    size_t before = SIZE_MAX;
    u32 thefts = 0;
    head_copy(e, &now);
    int rc = make_plan(e, &m);
    while (!rc && m.next < m.count && m.next != before) {
        before = m.next;
        rc = pack_stripe(e, &m, now.space.page_count, c);
        c->packed = m.moved;
        if (rc == LUGE_CONFLICT && thefts++ < THEFTS_MAX) {
            before = SIZE_MAX;
            rc = 0;
        }
        if (rc) break;
        rc = checkpoint(e);
        if (!rc && c->tell) rc = c->tell(c);
    }
    plan_free(&m);
    /* Where there is no room for new leaves, there is more to give back. */
    return rc == LUGE_NOSPACE ? 0 : rc;
}

/* ----------------------------------------------------------------- end -- */

/* TURN: all that is free may be taken again. */
static int lower_end(struct env *e)
{
    struct space_state *st = &e->arena->work;
    if (!st->high_from) return 0;
    int rc = publish_head(e);
    if (rc) return rc;
    struct txn_head next = *env_head(e);
    st->high_from = 0;
    rc = space_tidy(&e->space);
    return rc ? rc : head_flip(e, &next, true);
}

int compact_end(struct env *e)
{
    int rc = head_take_turn(e, e->options.busy_timeout_ms);
    if (rc) return rc;
    rc = lower_end(e);
    head_release_turn(e);
    return rc;
}
