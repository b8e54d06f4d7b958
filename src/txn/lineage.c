/* txn/lineage.c -- pins and forks (lineage.h has the picture and the rules).
 * Not here: snapshots (snapshot.c), who comes from where (ancestry.c).
 */
#include "txn/lineage.h"

enum { PIN_KEY = 17, NUMBER_KEY = 9 };

/* ------------------------------------------------------------- records -- */

luge_bytes lineage_pin_key(u8 *space, const struct view_pin *pin)
{
    space[0] = 'p';
    store64_be(space + 1, pin->tree);
    store64_be(space + 9, pin->number);
    return luge_bytes_of(space, PIN_KEY);
}

static int read_pin(struct view *v, luge_bytes value,
                    struct pin_record *record)
{
    memset(record, 0, sizeof *record);
    if (value.size < 2 || load16(value.data) > value.size)
        return CORRUPT("a pin of %zu bytes", value.size);
    memcpy(record, value.data, min_u64(load16(value.data), sizeof *record));
    if (page_is_private(record->root) && !page_in_frames(v->file, value.data))
        return CORRUPT("a pin names a private page");
    return 0;
}

int lineage_pin_get(struct view *v, const struct view_pin *pin,
                    struct pin_record *record)
{
    u8 space[PIN_KEY];
    luge_bytes value;
    int rc = tree_get(v->file, v->catalog.root, lineage_pin_key(space, pin),
                      &value);
    return rc ? rc : read_pin(v, value, record);
}

int lineage_pin_stands(struct view *v, const struct view_pin *pin)
{
    u8 space[PIN_KEY];
    luge_bytes value;
    /* What the replay makes first may get the number of what it began at. */
    if (v->pins_in == PAGE_NONE || pin->number >= v->pins_upto) return 0;
    int rc = tree_get(v->file, v->pins_in, lineage_pin_key(space, pin),
                      &value);
    if (rc != LUGE_NOTFOUND) return rc;
    return fail(LUGE_EXPIRED, "a snapshot that was there at the time was "
                "dropped since");
}

int lineage_pin_put(struct view *v, const struct view_pin *pin,
                    struct pin_record *record)
{
    u8 space[PIN_KEY];
    record->bytes = sizeof *record;
    record->version = LINEAGE_RECORD_VERSION;
    return view_catalog_put(v, lineage_pin_key(space, pin),
                            luge_bytes_of(record, sizeof *record));
}

int lineage_pin_near(struct view *v, u64 tree, enum luge_seek seek, u64 number,
                     u64 *found, struct pin_record *record)
{
    u8 space[PIN_KEY], key_space[LUGE_KEY_SIZE_MAX];
    struct view_pin pin = {tree, number};
    struct tree_cursor cursor;
    luge_bytes value, key = lineage_pin_key(space, &pin);
    int rc = tree_seek(&cursor, v->file, v->catalog.root, seek, key);
    if (rc) return rc;
    key = tree_cursor_key(&cursor, key_space);
    if (key.size != PIN_KEY || memcmp(key.data, space, NUMBER_KEY))
        return LUGE_NOTFOUND;
    *found = load64_be(key_space + NUMBER_KEY);
    rc = tree_cursor_value(&cursor, &value);
    return rc ? rc : read_pin(v, value, record);
}

int lineage_record_in(struct view *v, page_ref catalog, u64 tree,
                      struct catalog_record *record)
{
    u8 space[NUMBER_KEY];
    luge_bytes value;
    int rc = tree_get(v->file, catalog, view_number_key(space, tree), &value);
    return rc ? rc : view_record_read(v, value, record, NULL);
}

int lineage_load(struct view *v)
{
    struct pin_record record;
    v->catalog_pin = 0;
    int rc = lineage_pin_near(v, 0, LUGE_LE, UINT64_MAX, &v->catalog_pin,
                              &record);
    v->catalog_pin_known = !rc || rc == LUGE_NOTFOUND;
    return v->catalog_pin_known ? 0 : rc;
}

/* ------------------------------------------------------------- release -- */

static int found_or_not(int rc, bool *found)
{
    *found = !rc;
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* The newest pin before NUMBER that holds TREE. */
static int number_before(struct view *v, u64 tree, u64 number, u64 *before)
{
    struct pin_record record;
    u64 own = 0, whole = 0;
    bool found;
    int rc = found_or_not(lineage_pin_near(v, tree, LUGE_LT, number, &own,
                                           &record), &found);
    if (!rc)
        rc = found_or_not(lineage_pin_near(v, 0, LUGE_LT, number, &whole,
                                           &record), &found);
    *before = max_u64(*before, max_u64(own, whole));
    return rc;
}

/* TREE's root as CATALOG has it; NONE if it has not. */
static int root_in(struct view *v, page_ref catalog, u64 tree, page_ref *root)
{
    struct catalog_record record;
    int rc = lineage_record_in(v, catalog, tree, &record);
    *root = rc ? PAGE_NONE : record.root;
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int head_root(struct view *v, u64 tree, page_ref *root)
{
    struct catalog_record record;
    struct view_tree *t;
    int rc = lineage_record_in(v, v->catalog.root, tree, &record);
    *root = PAGE_NONE;
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    rc = view_find(v, tree, &t);          /* it may have changed since */
    if (!rc) *root = t->tree.root;
    return rc;
}

/* What holds the state of TREE that follows NUMBER. */
static int root_after(struct view *v, u64 tree, u64 number,
                      enum luge_seek own, enum luge_seek whole,
                      page_ref *root)
{
    struct pin_record mine, all;
    u64 mine_at = 0, all_at = 0;
    bool is_mine = false, is_all = false;
    int rc = found_or_not(lineage_pin_near(v, tree, own, number, &mine_at,
                                           &mine), &is_mine);
    if (!rc)
        rc = found_or_not(lineage_pin_near(v, 0, whole, number, &all_at,
                                           &all), &is_all);
    if (rc) return rc;
    if (is_mine && (!is_all || mine_at <= all_at)) {
        *root = mine.root;
        return 0;
    }
    return is_all ? root_in(v, all.root, tree, root)
                  : head_root(v, tree, root);
}

int lineage_release(struct view *v, struct page_work *w, u64 tree, u64 number,
                    const struct view_pin *origin, page_ref root,
                    enum luge_seek own, enum luge_seek whole)
{
    page_ref kept = PAGE_NONE;
    u64 before = origin->number;
    int rc = number_before(v, tree, number, &before);
    if (!rc) rc = root_after(v, tree, number, own, whole, &kept);
    if (rc) return rc;
    w->pinned = before;
    return tree_release(w, root, kept);                           /* L3 */
}

/* ----------------------------------------------------------------- end -- */

static int in_whole(struct view *v, u64 tree, enum luge_seek seek, u64 number,
                    bool *in)
{
    struct pin_record whole;
    struct catalog_record record;
    u64 at;
    int rc = lineage_pin_near(v, 0, seek, number, &at, &whole);
    if (!rc) rc = lineage_record_in(v, whole.root, tree, &record);
    return found_or_not(rc, in);
}

/* A tree is in a row of the catalog's pins without a gap: if it is in any, it
 * is in one of the two beside NUMBER. */
int lineage_ended(struct view *v, u64 tree, u64 number, bool *ended)
{
    struct catalog_record head;
    struct pin_record pin;
    bool held;
    u64 at;
    int rc = found_or_not(lineage_record_in(v, v->catalog.root, tree, &head),
                          &held);
    if (!rc && !held)
        rc = found_or_not(lineage_pin_near(v, tree, LUGE_GE, 0, &at, &pin),
                          &held);
    if (!rc && !held) rc = in_whole(v, tree, LUGE_LE, number, &held);
    if (!rc && !held) rc = in_whole(v, tree, LUGE_GE, number, &held);
    *ended = !held;
    return rc;
}

/* The newest pin of TREE went: what its head shares now. */
static int settle_head(struct view *v, u64 tree, u64 pinned)
{
    struct catalog_record record;
    struct pin_record pin;
    struct view_tree *t;
    bool found;
    int rc = found_or_not(lineage_record_in(v, v->catalog.root, tree, &record),
                          &found);
    if (rc || !found) return rc;
    rc = found_or_not(lineage_pin_near(v, tree, LUGE_LE, UINT64_MAX, &pinned,
                                       &pin), &found);
    if (!rc) rc = view_find(v, tree, &t);
    if (rc || t->pinned == pinned) return rc;
    t->pinned = pinned;
    t->dirty = true;
    return 0;
}

static int pin_gone(struct view *v, const struct view_pin *pin,
                    const struct pin_record *record)
{
    u8 space[PIN_KEY];
    int rc = view_catalog_del(v, lineage_pin_key(space, pin));
    if (!rc && v->work->may_write)
        rc = lineage_release(v, v->work, pin->tree, pin->number,
                             &record->origin, record->root, LUGE_GT, LUGE_GE);
    return rc ? rc : settle_head(v, pin->tree, record->origin.number);
}

int lineage_unhold(struct view *v, struct view_pin pin)
{
    while (pin.tree) {
        struct pin_record record;
        bool ended;
        int rc = lineage_pin_get(v, &pin, &record);
        if (rc == LUGE_NOTFOUND || (!rc && !record.kids))
            return CORRUPT("pin %llu of tree %llu is held by nobody",
                           (unsigned long long)pin.number,
                           (unsigned long long)pin.tree);
        if (rc) return rc;
        if (--record.kids) return lineage_pin_put(v, &pin, &record);
        rc = pin_gone(v, &pin, &record);
        if (rc || !v->work->may_write) return rc;
        rc = lineage_ended(v, pin.tree, pin.number, &ended);
        if (rc || !ended) return rc;
        pin = record.origin;                                      /* L4 */
    }
    return 0;
}

int lineage_head_gone(struct view *v, u64 tree, const struct view_pin *origin)
{
    bool ended;
    if (!origin->tree || !v->work->may_write) return 0;
    int rc = lineage_ended(v, tree, UINT64_MAX, &ended);
    return rc || !ended ? rc : lineage_unhold(v, *origin);
}

/* ---------------------------------------------------------------- hold -- */

/* A root that is in the file already need not be the last publication's: a tree
 * that lost a leaf may be down to an old page.  So each state that is pinned
 * gets a number of its own (L5). */
int lineage_freeze(struct view *v, struct view_tree *t, u64 *number)
{
    struct page_work *w = v->work;
    int rc = t ? 0 : view_flush(v);
    if (rc) return rc;
    bool is_private = page_is_private(t ? t->tree.root : v->catalog.root);
    if (is_private && v->freeze) {
        rc = v->freeze(v->freezer, v, t);
    } else {
        w->epoch += is_private;         /* its frames stay as they are */
        w->birth++;
    }
    *number = w->birth;
    return rc;
}

/* Is there a pin already, with nothing changed since?  NOTFOUND. */
static int pin_of_root(struct view *v, const struct view_tree *t,
                       const struct view_pin *origin, struct view_pin *pin)
{
    struct pin_record record;
    page_ref root = t->tree.root;
    *pin = (struct view_pin){t->number, t->pinned};
    if (!t->pinned) return LUGE_NOTFOUND;
    int rc = lineage_pin_get(v, pin, &record);
    if (rc == LUGE_NOTFOUND && origin->tree) {
        *pin = *origin;
        rc = lineage_pin_get(v, pin, &record);
    }
    return rc || record.root == root ? rc : LUGE_NOTFOUND;
}

static int pin_now(struct view *v, u64 number, const struct view_pin *origin,
                   struct view_pin *pin)
{
    struct view_tree *t;
    pin->tree = number;
    int rc = view_find(v, number, &t);
    if (!rc) rc = lineage_freeze(v, t, &pin->number);
    if (rc) return rc;
    struct pin_record record = {.root = t->tree.root, .count = t->tree.count,
                                .origin = *origin};
    t->pinned = pin->number;
    t->dirty = true;
    return lineage_pin_put(v, pin, &record);
}

static int add_kid(struct view *v, const struct view_pin *pin)
{
    struct pin_record record;
    int rc = lineage_pin_get(v, pin, &record);
    if (rc) return rc;
    record.kids++;
    return lineage_pin_put(v, pin, &record);
}

int lineage_hold(struct view *v, u64 number, struct tree *tree,
                 struct view_pin *pin)
{
    struct view_tree *t;
    struct catalog_record record;
    *pin = (struct view_pin){0};
    int rc = view_find(v, number, &t);
    if (rc) return rc;
    *tree = t->tree;
    if (tree->root == PAGE_NONE) return 0;       /* there is nothing to share */
    rc = lineage_record_in(v, v->catalog.root, number, &record);
    if (!rc) rc = pin_of_root(v, t, &record.origin, pin);
    if (rc == LUGE_NOTFOUND) rc = pin_now(v, number, &record.origin, pin);
    if (!rc) rc = add_kid(v, pin);
    if (!rc) rc = view_find(v, number, &t);
    if (!rc) *tree = t->tree;
    return rc;
}

/* A state of TREE that a pin of the catalog has: now a pin of its own, too. */
static int hold_in_whole(struct view *v, const struct view_pin *pin,
                         const struct catalog_record *there)
{
    struct pin_record record;
    struct catalog_record now;
    struct view_tree *t;
    bool found;
    int rc = lineage_pin_get(v, pin, &record);
    if (!rc) return add_kid(v, pin);
    if (rc != LUGE_NOTFOUND) return rc;
    record = (struct pin_record){.kids = 1, .root = there->root,
                                 .count = there->count,
                                 .origin = there->origin};
    rc = lineage_pin_put(v, pin, &record);
    if (!rc)
        rc = found_or_not(lineage_record_in(v, v->catalog.root, pin->tree,
                                            &now), &found);
    if (rc || !found) return rc;
    rc = view_find(v, pin->tree, &t);
    if (rc || t->pinned >= pin->number) return rc;
    t->pinned = pin->number;
    t->dirty = true;
    return 0;
}

int lineage_hold_frozen(struct view *v, luge_bytes snapshot, luge_bytes name,
                        struct tree *tree, struct view_pin *pin)
{
    struct snapshot_record s;
    struct pin_record whole;
    struct catalog_record there;
    luge_bytes path;
    u64 number;
    *pin = (struct view_pin){0};
    int rc = lineage_snapshot_get(v, snapshot, &s, &path);
    if (!rc) rc = lineage_snapshot_tree(v, &s, name, tree, &number, pin);
    if (rc || tree->root == PAGE_NONE) return rc;
    if (!s.pin) return add_kid(v, pin);
    *pin = (struct view_pin){number, s.pin};
    struct view_pin catalog = {0, s.pin};
    rc = lineage_pin_get(v, &catalog, &whole);
    if (!rc) rc = lineage_record_in(v, whole.root, number, &there);
    return rc ? rc : hold_in_whole(v, pin, &there);
}

/* ---------------------------------------------------------------- fork -- */

/* The source of OP, as a state to begin at. */
static int hold_source(struct view *v, const struct op *op, struct tree *tree,
                       struct view_pin *pin)
{
    const u8 *at = op->value.data, *end = at + op->value.size;
    u64 source = 0, size = 0;
    size_t n = base_get_varint(at, end, &source);
    if (!n) return CORRUPT("a fork without a source in the log");
    at += n;
    if (source) return lineage_hold(v, source, tree, pin);
    n = base_get_varint(at, end, &size);
    if (!n || size > (u64)(end - at) - n)
        return CORRUPT("a fork of a snapshot without its name in the log");
    luge_bytes snapshot = {at + n, size};
    luge_bytes name = {at + n + size, (size_t)(end - at) - n - size};
    int rc = name.size > LUGE_NAME_SIZE_MAX || size > LUGE_NAME_SIZE_MAX
                 ? CORRUPT("a name of %zu bytes in the log", name.size)
                 : lineage_hold_frozen(v, snapshot, name, tree, pin);
    return rc == LUGE_NOTFOUND ? LUGE_NOTREE : rc;
}

int lineage_fork(struct view *v, const struct op *op)
{
    struct catalog_record record = {.created_seq = v->seq};
    struct tree tree = {0};
    int rc = hold_source(v, op, &tree, &record.origin);
    record.root = tree.root;
    record.count = tree.count;
    record.pinned = record.origin.number;
    return rc ? rc : view_add_tree(v, op->tree, op->key, &record);
}
