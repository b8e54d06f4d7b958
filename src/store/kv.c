/* store/kv.c -- keys and values: the public calls on one key or its neighbour.
 *
 * Each call: is the transaction usable | find the tree | remember the read |
 * read, or add an operation.
 * Not here: cursors (cursor.c), trees (trees.c), landing (txn/).
 */
#include "store/store.h"

int store_keep(struct base_buffer *buffer, luge_bytes bytes, luge_bytes *kept)
{
    buffer->size = 0;
    int rc = base_buffer_add(buffer, bytes.data, bytes.size);
    if (!rc) *kept = luge_bytes_of(buffer->data, bytes.size);
    return rc;
}

int store_read_existence(luge_txn *txn, luge_tree tree)
{
    u8 key[9] = {'i'};
    store64_be(key + 1, tree);
    return reads_point(&txn->reads, 0, luge_bytes_of(key, sizeof key));
}

int store_tree(luge_txn *txn, luge_tree tree, struct view **view,
               struct view_tree **found)
{
    int rc = txn_usable(txn);
    if (!rc && txn_validates(txn)) rc = store_read_existence(txn, tree);
    if (!rc) rc = txn_view(txn, view);
    return rc ? rc : view_find(*view, tree, found);
}

int store_not_frozen(luge_tree tree)
{
    if (!(tree & VIEW_FROZEN)) return 0;
    return fail(LUGE_READONLY, "a snapshot's tree cannot be changed");
}

int store_tree_to_write(luge_txn *txn, luge_tree tree)
{
    struct view_tree *found;
    int rc = txn_usable(txn);
    if (rc) return rc;
    if (!txn->writes)
        return fail(LUGE_READONLY, "a read transaction cannot change a tree");
    rc = store_not_frozen(tree);
    if (rc) return rc;
    if (txn_validates(txn)) rc = store_read_existence(txn, tree);
    return rc ? rc : view_find(&txn->view, tree, &found);
}

int store_flags_ok(unsigned flags, unsigned allowed)
{
    if (likely(!(flags & ~allowed))) return 0;
    return fail(LUGE_INVALID, "flags 0x%x; only those in 0x%x mean anything "
                "here", flags, allowed);
}

int store_bytes_ok(luge_bytes bytes)
{
    if (likely(bytes.data || !bytes.size)) return 0;
    return fail(LUGE_INVALID, "%zu bytes at NULL", bytes.size);
}

int store_key_ok(luge_bytes key)
{
    if (likely(key.size <= LUGE_KEY_SIZE_MAX)) return store_bytes_ok(key);
    return fail(LUGE_TOOBIG, "a key of %zu bytes; %u are allowed", key.size,
                LUGE_KEY_SIZE_MAX);
}

static int value_ok(luge_bytes value)
{
    if (likely(value.size <= LUGE_VALUE_SIZE_MAX)) return store_bytes_ok(value);
    return fail(LUGE_TOOBIG, "a value of %zu bytes; %zu are allowed",
                value.size, LUGE_VALUE_SIZE_MAX);
}

int store_read_point(luge_txn *txn, luge_tree tree, luge_bytes key)
{
    return txn_validates(txn) ? reads_point(&txn->reads, tree, key) : 0;
}

/* ------------------------------------------------------------ get, put -- */

int luge_get(luge_txn *txn, luge_tree tree, luge_bytes key, luge_bytes *value)
{
    struct view *view;
    struct view_tree *t;
    int rc = store_tree(txn, tree, &view, &t);
    if (rc) return rc;
    if (unlikely(key.size > LUGE_KEY_SIZE_MAX || !key.data)) {
        rc = store_key_ok(key);
        if (rc) return rc;
    }
    if (unlikely(txn_validates(txn))) {
        rc = reads_point(&txn->reads, tree, key);
        if (rc) return rc;
    }
    return base_found(tree_get(view->file, t->tree.root, key, value));
}

static int add(luge_txn *txn, u8 kind, luge_tree tree, luge_bytes key,
               luge_bytes value)
{
    struct op op = {.kind = kind, .tree = tree, .key = key, .value = value};
    int rc = store_not_frozen(tree);
    return rc ? rc : txn_add(txn, &op);
}

int luge_put(luge_txn *txn, luge_tree tree, luge_bytes key, luge_bytes value)
{
    int rc = store_key_ok(key);
    if (!rc) rc = value_ok(value);
    if (!rc) rc = store_tree_to_write(txn, tree);
    return rc ? rc : add(txn, OP_PUT, tree, key, value);
}

static int writable(luge_txn *txn, luge_bytes key)
{
    if (!txn->writes)
        return fail(LUGE_READONLY, "a read transaction cannot change a tree");
    return store_key_ok(key);
}

int luge_add(luge_txn *txn, luge_tree tree, luge_bytes key, luge_bytes value)
{
    luge_bytes there;
    int rc = writable(txn, key);
    if (!rc) rc = value_ok(value);
    if (!rc) rc = luge_get(txn, tree, key, &there);
    if (!rc) return base_answer(LUGE_EXISTS);
    return rc == LUGE_NOTFOUND ? add(txn, OP_PUT, tree, key, value) : rc;
}

int luge_del(luge_txn *txn, luge_tree tree, luge_bytes key)
{
    luge_bytes there;
    int rc = writable(txn, key);
    if (!rc) rc = luge_get(txn, tree, key, &there);
    return rc ? rc : add(txn, OP_DEL, tree, key, luge_bytes_of("", 0));
}

int luge_cas(luge_txn *txn, luge_tree tree, luge_bytes key,
             const luge_bytes *expected, const luge_bytes *desired,
             luge_bytes *actual)
{
    luge_bytes there = {NULL, 0};
    int rc = writable(txn, key);
    if (!rc && desired) rc = value_ok(*desired);
    if (!rc) rc = luge_get(txn, tree, key, &there);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    bool absent = rc == LUGE_NOTFOUND;
    if (actual) *actual = there;
    if (absent && expected) return LUGE_NOTFOUND;
    if (!absent && (!expected || !bytes_equal(*expected, there)))
        return base_answer(LUGE_MISMATCH);
    if (desired) return add(txn, OP_PUT, tree, key, *desired);
    return absent ? 0 : add(txn, OP_DEL, tree, key, luge_bytes_of("", 0));
}

/* What an update or merge function decided: 1 set, 0 remove, 2 leave. */
static int settle(luge_txn *txn, luge_tree tree, luge_bytes key, int verdict,
                  bool absent, luge_bytes result)
{
    if (verdict < 0 || verdict == 2) return verdict < 0 ? verdict : 0;
    if (verdict == 0)
        return absent ? 0 : add(txn, OP_DEL, tree, key, luge_bytes_of("", 0));
    if (verdict != 1)
        return fail(LUGE_INVALID, "an update function answered %d", verdict);
    int rc = value_ok(result);
    return rc ? rc : add(txn, OP_PUT, tree, key, result);
}

int luge_update(luge_txn *txn, luge_tree tree, luge_bytes key,
                luge_update_fn fn, void *context)
{
    luge_bytes old, result = {NULL, 0};
    int rc = writable(txn, key);
    if (!rc) rc = luge_get(txn, tree, key, &old);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    bool absent = rc == LUGE_NOTFOUND;
    int verdict = fn(context, absent ? NULL : &old, &result);
    return settle(txn, tree, key, verdict, absent, result);
}

static int combine(luge_txn *txn, luge_tree tree, luge_bytes key,
                   const char *name, luge_bytes operand, luge_bytes *result)
{
    luge_bytes old, made = {NULL, 0};
    int rc = writable(txn, key);
    if (!rc) rc = value_ok(operand);
    if (!rc) rc = luge_get(txn, tree, key, &old);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    bool absent = rc == LUGE_NOTFOUND;
    int verdict = store_combine(txn, name, key, absent ? NULL : &old, operand,
                                &made);
    if (verdict == 2 && !absent) made = old;
    /* The caller's result must outlive the change that is about to be made. */
    if (verdict >= 1) rc = store_keep(&txn->merged, made, &made);
    else rc = 0;
    if (!rc) rc = settle(txn, tree, key, verdict, absent, made);
    if (!rc && result) *result = made;
    return rc;
}

int luge_combine(luge_txn *txn, luge_tree tree, luge_bytes key,
                 const char *name, luge_bytes operand, luge_bytes *result)
{
    struct base_buffer copy = {0};
    const u8 *at = operand.data, *made = txn->merged.data;
    /* The result before may be the operand now. */
    if (!at || !made || at < made || at >= made + txn->merged.capacity)
        return combine(txn, tree, key, name, operand, result);
    int rc = store_keep(&copy, operand, &operand);
    if (!rc) rc = combine(txn, tree, key, name, operand, result);
    base_buffer_free(&copy);
    return rc;
}

/* ---------------------------------------------------------- neighbours -- */

/* Everything between TARGET and what was found (NULL: nothing) was read. */
static int read_gap(luge_txn *txn, luge_tree tree, enum luge_seek seek,
                    luge_bytes target, const luge_bytes *found)
{
    luge_bytes start = {"", 0};
    if (!txn_validates(txn)) return 0;
    switch (seek) {
    case LUGE_FIRST:
        return reads_range(&txn->reads, tree, start, found, NULL);
    case LUGE_LAST:
        return reads_range(&txn->reads, tree, found ? *found : start, NULL,
                           NULL);
    case LUGE_GE:
    case LUGE_GT:
        return reads_range(&txn->reads, tree, target, found, NULL);
    default:
        return reads_range(&txn->reads, tree, found ? *found : start, &target,
                           NULL);
    }
}

int luge_near(luge_txn *txn, luge_tree tree, enum luge_seek seek,
              luge_bytes key, luge_bytes *found, luge_bytes *value)
{
    struct view *view;
    struct view_tree *t;
    struct tree_cursor cursor;
    u8 space[LUGE_KEY_SIZE_MAX];
    luge_bytes at;
    int rc = store_tree(txn, tree, &view, &t);
    if ((unsigned)seek > LUGE_LT)
        return fail(LUGE_INVALID, "%d is no direction to seek", (int)seek);
    if (seek == LUGE_FIRST || seek == LUGE_LAST) key = luge_bytes_of("", 0);
    if (!rc) rc = store_key_ok(key);
    if (rc) return rc;
    rc = tree_seek(&cursor, view->file, t->tree.root, seek, key);
    if (rc == LUGE_NOTFOUND) {
        int noted = read_gap(txn, tree, seek, key, NULL);
        return noted ? noted : base_answer(rc);
    }
    if (!rc && value) rc = tree_cursor_value(&cursor, value);
    if (rc) return rc;
    at = tree_cursor_key(&cursor, space);
    rc = read_gap(txn, tree, seek, key, &at);
    if (!rc) rc = store_keep(&txn->near_key, at, &at);
    if (!rc && found) *found = at;
    return rc;
}

static int pop(luge_txn *txn, luge_tree tree, enum luge_seek seek,
               luge_bytes *key, luge_bytes *value)
{
    luge_bytes k, v, none = {"", 0};
    int rc = writable(txn, none);
    if (!rc) rc = luge_near(txn, tree, seek, none, &k, &v);
    if (!rc) rc = store_keep(&txn->popped_key, k, &k);
    if (!rc) rc = store_keep(&txn->popped_value, v, &v);
    if (!rc) rc = add(txn, OP_DEL, tree, k, none);
    if (!rc && key) *key = k;
    if (!rc && value) *value = v;
    return rc;
}

int luge_pop_min(luge_txn *txn, luge_tree tree, luge_bytes *key,
                 luge_bytes *value)
{
    return pop(txn, tree, LUGE_FIRST, key, value);
}

int luge_pop_max(luge_txn *txn, luge_tree tree, luge_bytes *key,
                 luge_bytes *value)
{
    return pop(txn, tree, LUGE_LAST, key, value);
}

int luge_del_range(luge_txn *txn, luge_tree tree, const luge_bytes *from,
                   const luge_bytes *to, uint64_t *count)
{
    luge_cursor *cursor;
    luge_bytes key;
    uint64_t n = 0;
    int rc = writable(txn, luge_bytes_of("", 0));
    if (!rc) rc = luge_cursor_open(txn, tree, &cursor);
    if (rc) return rc;
    rc = luge_cursor_range(cursor, from, to);
    while (!rc && !(rc = luge_cursor_next(cursor, &key, NULL))) {
        rc = add(txn, OP_DEL, tree, key, luge_bytes_of("", 0));
        n++;
    }
    luge_cursor_close(cursor);
    if (rc == LUGE_NOTFOUND) rc = 0;
    if (!rc && count) *count = n;
    return rc;
}
