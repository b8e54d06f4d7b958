/* store/cursor.c -- cursors that survive the writes of their transaction.
 *
 *   UNSET --next/prev/seek--> AT --next past the end--> AFTER
 *                             |  `--prev past the start--> BEFORE
 *                             `--the pair is deleted--> GAP (between two)
 *
 *   C1  A cursor remembers its key.  When the transaction changed anything
 *       since (txn->changes), the path is forgotten and the key sought again:
 *       nobody ever repairs another's cursor.
 *   C2  In a transaction that will be validated, the cursor owns one range of
 *       the read set and widens it as it moves.
 *   C3  A transaction keeps the memory of one closed cursor for the next.
 * Not here: the path within a tree (tree/cursor.c).
 */
#include "store/store.h"

enum state { UNSET, AT, GAP, BEFORE, AFTER };

struct luge_cursor {
    luge_txn *txn;
    luge_tree tree;
    struct luge_cursor *next, **link;
    enum state state;
    u64 changes;                     /* of txn, when the path was made */
    luge_bytes key;                  /* in key_space */
    bool has_from, has_to, reads;
    size_t range;                    /* C2 */
    luge_bytes from, to;             /* in the bounds buffer */
    struct base_buffer bounds;
    /* Nothing below is read before it was set. */
    struct tree_cursor path;
    u8 key_space[LUGE_KEY_SIZE_MAX];
};

int luge_cursor_open(luge_txn *txn, luge_tree tree, luge_cursor **cursor)
{
    struct view *view;
    struct view_tree *t;
    int rc = store_tree(txn, tree, &view, &t);
    if (rc) return rc;
    struct luge_cursor *c = txn->cursor_kept;
    txn->cursor_kept = NULL;                                      /* C3 */
    if (!c) c = base_alloc(sizeof *c);
    if (!c) return NOMEM();
    memset(c, 0, offsetof(struct luge_cursor, path));
    c->txn = txn;
    c->tree = tree;
    c->next = txn->cursors;
    c->link = &txn->cursors;
    if (c->next) c->next->link = &c->next;
    txn->cursors = c;
    *cursor = c;
    return 0;
}

void luge_cursor_close(luge_cursor *c)
{
    if (!c) return;
    *c->link = c->next;
    if (c->next) c->next->link = c->link;
    base_buffer_free(&c->bounds);
    base_free(c->txn->cursor_kept);
    c->txn->cursor_kept = c;                                      /* C3 */
}

/* -------------------------------------------------------------- bounds -- */

/* A bound may be what follows the longest key. */
static int bound_ok(const luge_bytes *bound)
{
    if (!bound) return 0;
    if (bound->size <= LUGE_KEY_SIZE_MAX + 1) return store_bytes_ok(*bound);
    return store_key_ok(*bound);
}

int luge_cursor_range(luge_cursor *c, const luge_bytes *from,
                      const luge_bytes *to)
{
    struct base_buffer made = {0};
    int rc = txn_usable(c->txn);
    if (!rc) rc = bound_ok(from);
    if (!rc) rc = bound_ok(to);
    if (!rc && from) rc = base_buffer_add(&made, from->data, from->size);
    if (!rc && to) rc = base_buffer_add(&made, to->data, to->size);
    if (rc) {
        base_buffer_free(&made);
        return rc;
    }
    base_buffer_free(&c->bounds);
    c->bounds = made;
    c->has_from = from != NULL;
    c->has_to = to != NULL;
    c->from = luge_bytes_of(made.data, from ? from->size : 0);
    c->to = luge_bytes_of(made.data ? made.data + c->from.size : NULL,
                          to ? to->size : 0);
    c->state = UNSET;
    c->reads = false;
    return 0;
}

int luge_cursor_prefix(luge_cursor *c, luge_bytes prefix)
{
    u8 after[LUGE_KEY_SIZE_MAX];
    int rc = store_key_ok(prefix);
    if (rc) return rc;
    if (prefix.size) memcpy(after, prefix.data, prefix.size);
    size_t n = prefix.size;
    while (n && after[n - 1] == 0xff) n--;
    if (!n) return luge_cursor_range(c, &prefix, NULL);
    after[n - 1]++;
    luge_bytes to = luge_bytes_of(after, n);
    return luge_cursor_range(c, &prefix, &to);
}

static bool inside(const luge_cursor *c, luge_bytes key)
{
    if (c->has_from && bytes_compare(key, c->from) < 0) return false;
    return !c->has_to || bytes_compare(key, c->to) < 0;
}

/* --------------------------------------------------------- the read set -- */

static int reads_begin(luge_cursor *c, luge_bytes low, const luge_bytes *high)
{
    c->reads = true;
    return reads_range(&c->txn->reads, c->tree, low, high, &c->range);
}

/* It moved forward to KEY; NULL: to the end of what it may see. */
static int note_forward(luge_cursor *c, luge_bytes start,
                        const luge_bytes *key)
{
    if (!txn_validates(c->txn)) return 0;
    bool to_bound = !key && c->has_to;
    if (to_bound && bytes_compare(start, c->to) >= 0) return 0; /* no keys */
    int rc = c->reads ? reads_extend_low(&c->txn->reads, c->range, &start)
                      : reads_begin(c, start, to_bound ? &start : key);
    if (rc) return rc;
    if (to_bound) return reads_extend_to(&c->txn->reads, c->range, c->to);
    return reads_extend_high(&c->txn->reads, c->range, key);
}

static int note_backward(luge_cursor *c, const luge_bytes *start,
                         const luge_bytes *key)
{
    luge_bytes low = c->has_from ? c->from : luge_bytes_of("", 0);
    if (!txn_validates(c->txn)) return 0;
    if (!key) key = &low;
    bool to_bound = start == &c->to;
    if (to_bound && bytes_compare(*key, c->to) >= 0) return 0; /* no keys */
    int rc = c->reads ? reads_extend_low(&c->txn->reads, c->range, key)
                      : reads_begin(c, *key, to_bound ? key : start);
    if (rc) return rc;
    if (to_bound) return reads_extend_to(&c->txn->reads, c->range, c->to);
    return reads_extend_high(&c->txn->reads, c->range, start);
}

/* ------------------------------------------------------------- arriving -- */

static int arrive(luge_cursor *c, luge_bytes *key, luge_bytes *value)
{
    int rc = 0;
    c->state = AT;
    if (value) rc = tree_cursor_value(&c->path, value);
    if (!rc && key) *key = c->key;
    return rc;
}

static void at_path(luge_cursor *c)
{
    c->key = tree_cursor_key(&c->path, c->key_space);
    c->changes = c->txn->changes;
}

static int seek_path(luge_cursor *c, enum luge_seek seek, luge_bytes target)
{
    struct view *view;
    struct view_tree *t;
    int rc = store_tree(c->txn, c->tree, &view, &t);
    if (!rc)
        rc = tree_seek(&c->path, view->file, t->tree.root, seek, target);
    if (!rc) at_path(c);
    return rc;
}

/* After an error the path leads nowhere: the next step seeks, from the last
 * pair on. */
static void lost(luge_cursor *c, int rc)
{
    if (rc && rc != LUGE_NOTFOUND) c->changes = UINT64_MAX;
}

static int no_more(luge_cursor *c, enum state state, int rc)
{
    if (rc == LUGE_NOTFOUND) c->state = state;
    else lost(c, rc);
    return base_found(rc);
}

/* ------------------------------------------------------------- stepping -- */

static int step_forward(luge_cursor *c)
{
    luge_bytes start = {"", 0};
    if (c->state == AT && c->changes == c->txn->changes) {
        int rc = tree_next(&c->path);
        if (!rc) at_path(c);
        else lost(c, rc);
        return rc;
    }
    if (c->state == AT || c->state == GAP) {                      /* C1 */
        u8 copy[LUGE_KEY_SIZE_MAX];
        memcpy(copy, c->key.data, c->key.size);
        return seek_path(c, LUGE_GT, luge_bytes_of(copy, c->key.size));
    }
    return seek_path(c, LUGE_GE, c->has_from ? c->from : start);
}

/* From a pair to the next, nothing being remembered of it: nearly every step of
 * nearly every scan. */
static int next_plain(luge_cursor *c, luge_bytes *key, luge_bytes *value)
{
    int rc = tree_next(&c->path);
    if (unlikely(rc)) return no_more(c, AFTER, rc);
    c->key = tree_cursor_key(&c->path, c->key_space);
    if (c->has_to && bytes_compare(c->key, c->to) >= 0)
        return no_more(c, AFTER, LUGE_NOTFOUND);
    if (key) *key = c->key;
    return value ? tree_cursor_value(&c->path, value) : 0;
}

int luge_cursor_next(luge_cursor *c, luge_bytes *key, luge_bytes *value)
{
    luge_bytes start = c->has_from ? c->from : luge_bytes_of("", 0);
    u8 space[LUGE_KEY_SIZE_MAX];
    int rc = txn_usable(c->txn);
    if (unlikely(rc)) return rc;
    if (likely(c->state == AT && c->changes == c->txn->changes &&
               !txn_validates(c->txn)))
        return next_plain(c, key, value);
    if (c->state == AFTER) return base_answer(LUGE_NOTFOUND);
    if (txn_validates(c->txn) && (c->state == AT || c->state == GAP)) {
        memcpy(space, c->key.data, c->key.size);
        start = luge_bytes_of(space, c->key.size);
    }
    rc = step_forward(c);
    if (!rc && c->has_to && bytes_compare(c->key, c->to) >= 0)
        rc = LUGE_NOTFOUND;
    if (rc && rc != LUGE_NOTFOUND) return rc;
    int noted = note_forward(c, start, rc ? NULL : &c->key);
    if (noted) return noted;
    return rc ? no_more(c, AFTER, rc) : arrive(c, key, value);
}

static int step_backward(luge_cursor *c)
{
    luge_bytes none = {"", 0};
    if (c->state == AT && c->changes == c->txn->changes) {
        int rc = tree_prev(&c->path);
        if (!rc) at_path(c);
        else lost(c, rc);
        return rc;
    }
    if (c->state == AT || c->state == GAP) {                      /* C1 */
        u8 copy[LUGE_KEY_SIZE_MAX];
        memcpy(copy, c->key.data, c->key.size);
        return seek_path(c, LUGE_LT, luge_bytes_of(copy, c->key.size));
    }
    if (c->has_to) return seek_path(c, LUGE_LT, c->to);
    return seek_path(c, LUGE_LAST, none);
}

int luge_cursor_prev(luge_cursor *c, luge_bytes *key, luge_bytes *value)
{
    luge_bytes from;
    const luge_bytes *start = c->has_to ? &c->to : NULL;
    u8 space[LUGE_KEY_SIZE_MAX];
    int rc = txn_usable(c->txn);
    if (rc) return rc;
    if (c->state == BEFORE) return base_answer(LUGE_NOTFOUND);
    if (txn_validates(c->txn) && (c->state == AT || c->state == GAP)) {
        memcpy(space, c->key.data, c->key.size);
        from = luge_bytes_of(space, c->key.size);
        start = &from;
    }
    rc = step_backward(c);
    if (!rc && c->has_from && bytes_compare(c->key, c->from) < 0)
        rc = LUGE_NOTFOUND;
    if (rc && rc != LUGE_NOTFOUND) return rc;
    int noted = note_backward(c, start, rc ? NULL : &c->key);
    if (noted) return noted;
    return rc ? no_more(c, BEFORE, rc) : arrive(c, key, value);
}

/* -------------------------------------------------------------- seeking -- */

static int seek_forward(luge_cursor *c, enum luge_seek seek,
                        luge_bytes target)
{
    luge_bytes start = target;
    if (seek == LUGE_FIRST || (c->has_from &&
                               bytes_compare(target, c->from) < 0)) {
        start = c->has_from ? c->from : luge_bytes_of("", 0);
        seek = LUGE_GE;
    }
    int rc = seek_path(c, seek, start);
    if (!rc && c->has_to && bytes_compare(c->key, c->to) >= 0)
        rc = LUGE_NOTFOUND;
    if (rc && rc != LUGE_NOTFOUND) return rc;
    int noted = note_forward(c, start, rc ? NULL : &c->key);
    return noted ? noted : rc;
}

static int seek_backward(luge_cursor *c, enum luge_seek seek,
                         luge_bytes target)
{
    const luge_bytes *start = &target;
    int rc;
    if (seek == LUGE_LAST || (c->has_to &&
                              bytes_compare(target, c->to) >= 0)) {
        start = c->has_to ? &c->to : NULL;
        seek = c->has_to ? LUGE_LT : LUGE_LAST;
    }
    rc = seek_path(c, seek, start ? *start : luge_bytes_of("", 0));
    if (!rc && c->has_from && bytes_compare(c->key, c->from) < 0)
        rc = LUGE_NOTFOUND;
    if (rc && rc != LUGE_NOTFOUND) return rc;
    int noted = note_backward(c, start, rc ? NULL : &c->key);
    return noted ? noted : rc;
}

int luge_cursor_seek(luge_cursor *c, enum luge_seek seek, luge_bytes target,
                     luge_bytes *key, luge_bytes *value)
{
    int rc = txn_usable(c->txn);
    if ((unsigned)seek > LUGE_LT)
        return fail(LUGE_INVALID, "%d is no direction to seek", (int)seek);
    if (seek == LUGE_FIRST || seek == LUGE_LAST) target = luge_bytes_of("", 0);
    if (!rc) rc = store_key_ok(target);
    if (rc) return rc;
    c->state = UNSET;
    c->reads = false;                /* a jump: a range of its own */
    if (seek == LUGE_FIRST || seek == LUGE_GE || seek == LUGE_GT)
        rc = seek_forward(c, seek, target);
    else
        rc = seek_backward(c, seek, target);
    if (!rc) assert(inside(c, c->key));
    if (rc) c->reads = false;        /* the next step is a jump, too */
    return rc ? base_found(rc) : arrive(c, key, value);
}

int luge_cursor_del(luge_cursor *c)
{
    int rc = txn_usable(c->txn);
    if (rc) return rc;
    if (c->state != AT) return base_answer(LUGE_NOTFOUND);
    rc = luge_del(c->txn, c->tree, c->key);
    if (!rc) c->state = GAP;
    return rc;
}

void store_unposition_cursors(luge_txn *txn)
{
    for (struct luge_cursor *c = txn->cursors; c; c = c->next) {
        c->state = UNSET;
        c->reads = false;
    }
}
