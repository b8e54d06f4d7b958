/* txn/view.c -- catalog records, the cache of trees, applying operations.
 * Not here: reading keys for users (store/), validation (reads.c).
 */
#include "page/file.h"
#include "txn/lineage.h"

enum { NAME_KEY_MAX = 1 + LUGE_NAME_SIZE_MAX, NUMBER_KEY = VIEW_NUMBER_KEY };

void view_begin(struct view *v, struct page_file *f, struct page_work *w,
                page_ref catalog_root, u64 catalog_count, u64 seq)
{
    v->file = f;
    v->work = w;
    v->catalog = (struct tree){catalog_root, catalog_count};
    v->tree_count = 0;
    v->last = 0;
    v->seq = seq;
    v->catalog_pin_known = false;
    v->freeze = NULL;
    v->pins_in = PAGE_NONE;
    v->frozen_count = 0;
    v->inline_trees[0].number = 0;
    if (v->trees) v->trees[0].number = 0;
}

void view_end(struct view *v)
{
    base_free(v->trees);
    base_free(v->frozen);
    v->trees = v->frozen = NULL;
    v->tree_count = v->tree_capacity = 0;
    v->frozen_count = v->frozen_capacity = 0;
}

/* --------------------------------------------------------------- keys -- */

luge_bytes view_number_key(u8 *space, u64 number)
{
    space[0] = 'i';
    store64_be(space + 1, number);
    return luge_bytes_of(space, NUMBER_KEY);
}

static luge_bytes name_key(u8 *space, luge_bytes name)
{
    assert(name.size <= LUGE_NAME_SIZE_MAX);
    space[0] = 'n';
    if (name.size) memcpy(space + 1, name.data, name.size);
    return luge_bytes_of(space, name.size + 1);
}

/* ------------------------------------------------------------- records -- */

int view_record_read(struct view *v, luge_bytes value,
                     struct catalog_record *record, luge_bytes *name)
{
    memset(record, 0, sizeof *record);
    if (value.size < 2 || load16(value.data) > value.size)
        return CORRUPT("a catalog record of %zu bytes", value.size);
    size_t bytes = load16(value.data);
    memcpy(record, value.data, min_u64(bytes, sizeof *record));
    if (page_is_private(record->root) && !page_in_frames(v->file, value.data))
        return CORRUPT("a catalog record names a private page");   /* V1 */
    if (name)
        *name = luge_bytes_of((const u8 *)value.data + bytes,
                              value.size - bytes);
    return 0;
}

int view_record(struct view *v, page_ref catalog, u64 number,
                struct catalog_record *record, luge_bytes *name)
{
    u8 space[NUMBER_KEY];
    luge_bytes value;
    int rc = tree_get(v->file, catalog, view_number_key(space, number),
                      &value);
    if (rc == LUGE_NOTFOUND)
        return fail(LUGE_NOTREE, "there is no tree number %llu",
                    (unsigned long long)number);
    return rc ? rc : view_record_read(v, value, record, name);
}

static int find_record(struct view *v, u64 number,
                       struct catalog_record *record, luge_bytes *name)
{
    return view_record(v, v->catalog.root, number, record, name);
}

int view_catalog_put(struct view *v, luge_bytes key, luge_bytes value)
{
    int rc = lineage_touch(v, 0);
    return rc ? rc : tree_put(v->work, &v->catalog, key, value, NULL);
}

int view_catalog_del(struct view *v, luge_bytes key)
{
    int rc = lineage_touch(v, 0);
    return rc ? rc : tree_del(v->work, &v->catalog, key);
}

static int write_record(struct view *v, u64 number,
                        struct catalog_record *record, luge_bytes name)
{
    u8 space[NUMBER_KEY], value[sizeof *record + LUGE_NAME_SIZE_MAX];
    record->bytes = sizeof *record;
    record->version = CATALOG_RECORD_VERSION;
    memcpy(value, record, sizeof *record);
    if (name.size) memcpy(value + sizeof *record, name.data, name.size);
    return view_catalog_put(v, view_number_key(space, number),
                            luge_bytes_of(value,
                                          sizeof *record + name.size));
}

int view_store_tree(struct view *v, const struct view_tree *t)
{
    struct catalog_record record;
    luge_bytes name;
    u8 copy[LUGE_NAME_SIZE_MAX];
    int rc = find_record(v, t->number, &record, &name);
    if (rc) return rc;
    if (name.size > sizeof copy) return CORRUPT("a tree's name is too long");
    memcpy(copy, name.data, name.size);
    record.root = t->tree.root;
    record.count = t->tree.count;
    record.pinned = t->pinned;
    return write_record(v, t->number, &record,
                        luge_bytes_of(copy, name.size));
}

/* --------------------------------------------------------------- cache -- */

static int cache_room(struct view *v)
{
    u32 capacity = v->trees ? v->tree_capacity : VIEW_TREES_INLINE;
    if (v->tree_count < capacity) return 0;
    struct view_tree *more = base_alloc(2 * capacity * sizeof *more);
    if (!more) return NOMEM();
    memcpy(more, view_trees(v), v->tree_count * sizeof *more);
    base_free(v->trees);
    v->trees = more;
    v->tree_capacity = 2 * capacity;
    return 0;
}

int view_add_frozen(struct view *v, const struct tree *tree, u64 *number)
{
    if (v->frozen_count == v->frozen_capacity) {
        u32 capacity = v->frozen_capacity ? 2 * v->frozen_capacity : 8;
        struct view_tree *more =
            base_realloc(v->frozen, capacity * sizeof *more);
        if (!more) return NOMEM();
        v->frozen = more;
        v->frozen_capacity = capacity;
    }
    *number = VIEW_FROZEN | v->frozen_count;
    v->frozen[v->frozen_count++] = (struct view_tree){
        .number = *number, .tree = *tree,
    };
    return 0;
}

/* Their numbers are not given again: the read set may know them. */
void view_forget_frozen(struct view *v, u32 from)
{
    for (u32 i = from; i < v->frozen_count; i++) v->frozen[i].number = 0;
}

static int find_frozen(struct view *v, u64 number, struct view_tree **tree)
{
    u64 at = number & ~VIEW_FROZEN;
    if (at >= v->frozen_count || !v->frozen[at].number)
        return fail(LUGE_NOTREE, "a snapshot's tree that this transaction did "
                    "not open");
    *tree = &v->frozen[at];
    return 0;
}

int view_find_slow(struct view *v, u64 number, struct view_tree **tree)
{
    struct catalog_record record;
    if (number & VIEW_FROZEN) return find_frozen(v, number, tree);
    struct view_tree *trees = view_trees(v);
    for (u32 i = 0; i < v->tree_count; i++) {
        if (trees[i].number != number) continue;
        v->last = i;
        *tree = &trees[i];
        return 0;
    }
    int rc = number ? find_record(v, number, &record, NULL)
                    : fail(LUGE_NOTREE, "0 is no tree's number");
    if (!rc) rc = cache_room(v);
    if (rc) return rc;
    v->last = v->tree_count++;
    *tree = &view_trees(v)[v->last];
    **tree = (struct view_tree){
        number, {record.root, record.count}, record.pinned, false,
    };
    return 0;
}

static void uncache(struct view *v, u64 number)
{
    struct view_tree *trees = view_trees(v);
    for (u32 i = 0; i < v->tree_count; i++)
        if (trees[i].number == number) trees[i] = trees[--v->tree_count];
    v->last = 0;
    if (!v->tree_count) trees[0].number = 0;
}

int view_flush(struct view *v)
{
    struct view_tree *trees = view_trees(v);
    for (u32 i = 0; i < v->tree_count; i++) {
        if (!trees[i].dirty) continue;
        int rc = view_store_tree(v, &trees[i]);
        if (rc) return rc;
        trees[i].dirty = false;
    }
    return 0;
}

/* --------------------------------------------------------------- names -- */

int view_number_in(struct view *v, page_ref catalog, luge_bytes name,
                   u64 *number)
{
    u8 space[NAME_KEY_MAX];
    luge_bytes value;
    int rc = tree_get(v->file, catalog, name_key(space, name), &value);
    if (rc) return rc;
    if (value.size != 8) return CORRUPT("a tree's number has %zu bytes",
                                        value.size);
    *number = load64(value.data);
    return 0;
}

int view_number_of(struct view *v, luge_bytes name, u64 *number)
{
    return view_number_in(v, v->catalog.root, name, number);
}

int view_name_of(struct view *v, u64 number, luge_bytes *name)
{
    struct catalog_record record;
    return find_record(v, number, &record, name);
}

int view_name_after(struct view *v, luge_bytes after, u8 *name,
                    size_t *size, u64 *number)
{
    u8 space[NAME_KEY_MAX], key_space[LUGE_KEY_SIZE_MAX];
    struct tree_cursor cursor;
    luge_bytes value;
    int rc = tree_seek(&cursor, v->file, v->catalog.root, LUGE_GT,
                       name_key(space, after));
    if (!rc) rc = tree_cursor_value(&cursor, &value);
    if (rc) return rc;
    luge_bytes key = tree_cursor_key(&cursor, key_space);
    const u8 *bytes = key.data;
    if (!key.size || bytes[0] != 'n') return LUGE_NOTFOUND;
    if (value.size != 8 || key.size - 1 > LUGE_NAME_SIZE_MAX)
        return CORRUPT("a malformed name in the catalog");
    *size = key.size - 1;
    memcpy(name, bytes + 1, *size);
    *number = load64(value.data);
    return 0;
}

int view_each(struct view *v,
              int (*each)(void *context, u64 number, const struct tree *tree,
                          luge_bytes name),
              void *context)
{
    u8 space[NUMBER_KEY], key_space[LUGE_KEY_SIZE_MAX];
    struct tree_cursor cursor;
    int rc = tree_seek(&cursor, v->file, v->catalog.root, LUGE_GE,
                       view_number_key(space, 0));
    while (!rc) {
        struct catalog_record record;
        luge_bytes value, name, key = tree_cursor_key(&cursor, key_space);
        const u8 *bytes = key.data;
        if (key.size != NUMBER_KEY || bytes[0] != 'i') break;
        rc = tree_cursor_value(&cursor, &value);
        if (!rc) rc = view_record_read(v, value, &record, &name);
        struct tree tree = {record.root, record.count};
        if (!rc) rc = each(context, load64_be(bytes + 1), &tree, name);
        if (!rc) rc = tree_next(&cursor);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ---------------------------------------------------------- operations -- */

static int put_name(struct view *v, luge_bytes name, u64 number)
{
    u8 space[NAME_KEY_MAX], value[8];
    store64(value, number);
    return view_catalog_put(v, name_key(space, name),
                            luge_bytes_of(value, 8));
}

static int del_name(struct view *v, luge_bytes name)
{
    u8 space[NAME_KEY_MAX];
    return view_catalog_del(v, name_key(space, name));
}

int view_add_tree(struct view *v, u64 number, luge_bytes name,
                  const struct catalog_record *record)
{
    struct catalog_record written = *record;
    u64 taken;
    if (!name.size || name.size > LUGE_NAME_SIZE_MAX)
        return CORRUPT("a tree's name of %zu bytes", name.size);
    int rc = view_number_of(v, name, &taken);
    if (!rc) return LUGE_EXISTS;
    if (rc != LUGE_NOTFOUND) return rc;
    rc = put_name(v, name, number);
    return rc ? rc : write_record(v, number, &written, name);
}

static int apply_create(struct view *v, const struct op *op)
{
    struct catalog_record record = {.created_seq = v->seq};
    return view_add_tree(v, op->tree, op->key, &record);
}

/* The tree NUMBER, which is about to be changed. */
static int find_to_change(struct view *v, u64 number, struct view_tree **t)
{
    int rc = view_find(v, number, t);
    return rc ? rc : lineage_touch(v, (*t)->pinned);
}

static int clear_tree(struct view *v, u64 number)
{
    struct view_tree *t;
    int rc = find_to_change(v, number, &t);
    if (!rc) rc = tree_clear(v->work, &t->tree);
    if (!rc) t->dirty = true;
    return rc;
}

static int apply_drop(struct view *v, const struct op *op)
{
    u8 space[NUMBER_KEY];
    struct catalog_record record;
    luge_bytes name;
    u8 copy[LUGE_NAME_SIZE_MAX];
    int rc = find_record(v, op->tree, &record, &name);
    if (!rc) rc = clear_tree(v, op->tree);
    if (rc) return rc;
    if (name.size > sizeof copy) return CORRUPT("a tree's name is too long");
    memcpy(copy, name.data, name.size);
    uncache(v, op->tree);
    rc = del_name(v, luge_bytes_of(copy, name.size));
    if (!rc) rc = view_catalog_del(v, view_number_key(space, op->tree));
    return rc ? rc : lineage_head_gone(v, op->tree, &record.origin);
}

static int apply_rename(struct view *v, const struct op *op)
{
    struct catalog_record record;
    luge_bytes name;
    u8 copy[LUGE_NAME_SIZE_MAX];
    u64 taken;
    if (!op->key.size || op->key.size > LUGE_NAME_SIZE_MAX)
        return CORRUPT("a tree's name of %zu bytes", op->key.size);
    int rc = find_record(v, op->tree, &record, &name);
    if (rc) return rc;
    if (name.size > sizeof copy) return CORRUPT("a tree's name is too long");
    memcpy(copy, name.data, name.size);
    rc = view_number_of(v, op->key, &taken);
    if (!rc) return LUGE_EXISTS;
    if (rc != LUGE_NOTFOUND) return rc;
    rc = del_name(v, luge_bytes_of(copy, name.size));
    if (!rc) rc = put_name(v, op->key, op->tree);
    return rc ? rc : write_record(v, op->tree, &record, op->key);
}

static int apply_put(struct view *v, const struct op *op)
{
    struct view_tree *t;
    int rc = find_to_change(v, op->tree, &t);
    if (!rc) rc = tree_patch_put(v->work, &t->tree, op->key, op->value, NULL);
    if (!rc) t->dirty = true;
    return rc;
}

static int apply_del(struct view *v, const struct op *op)
{
    struct view_tree *t;
    int rc = find_to_change(v, op->tree, &t);
    if (rc) return rc;
    rc = tree_patch_del(v->work, &t->tree, op->key);
    if (rc == LUGE_NOTFOUND) return 0;
    if (!rc) t->dirty = true;
    return rc;
}

static int apply(struct view *v, const struct op *op)
{
    switch (op->kind) {
    case OP_PUT: return apply_put(v, op);
    case OP_DEL: return apply_del(v, op);
    case OP_CREATE: return apply_create(v, op);
    case OP_DROP: return apply_drop(v, op);
    case OP_RENAME: return apply_rename(v, op);
    case OP_CLEAR: return clear_tree(v, op->tree);
    case OP_FORK: return lineage_fork(v, op);
    case OP_SNAPSHOT: return lineage_snapshot(v, op);
    case OP_FORGET: return lineage_forget(v, op);
    default: return CORRUPT("operation of kind %u in the log", op->kind);
    }
}

int view_apply(struct view *v, const struct op *op)
{
    if (op->key.size > LUGE_KEY_SIZE_MAX)
        return CORRUPT("a key of %zu bytes in the log", op->key.size);
    int rc = apply(v, op);
    if (rc == LUGE_NOTFOUND)
        return CORRUPT("the catalog lacks a name or number of its own");
    return rc;
}
