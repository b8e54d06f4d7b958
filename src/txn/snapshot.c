/* txn/snapshot.c -- snapshots of a path, and of everything.
 *
 *   of a path:   'S' + name -> record, path;  's' + number + tree -> its state,
 *                which is a pin of the tree's lineage
 *   of all:      'S' + name -> record with the number of a pin of the catalog
 * Not here: pins themselves (lineage.c).
 */
#include "txn/lineage.h"

enum {
    NAME_KEY_MAX = 1 + LUGE_NAME_SIZE_MAX,
    FROZEN_KEY_MAX = 9 + LUGE_NAME_SIZE_MAX,
    NUMBER_KEY = 9,
};

/* ---------------------------------------------------------------- keys -- */

static luge_bytes name_key(u8 *space, luge_bytes name)
{
    assert(name.size <= LUGE_NAME_SIZE_MAX);
    space[0] = 'S';
    if (name.size) memcpy(space + 1, name.data, name.size);
    return luge_bytes_of(space, name.size + 1);
}

static luge_bytes frozen_key(u8 *space, u64 number, luge_bytes name)
{
    assert(name.size <= LUGE_NAME_SIZE_MAX);
    space[0] = 's';
    store64_be(space + 1, number);
    if (name.size) memcpy(space + NUMBER_KEY, name.data, name.size);
    return luge_bytes_of(space, NUMBER_KEY + name.size);
}

static int read_frozen(struct view *v, luge_bytes value,
                       struct frozen_record *record)
{
    memset(record, 0, sizeof *record);
    if (value.size < 2 || load16(value.data) > value.size)
        return CORRUPT("a snapshot's tree of %zu bytes", value.size);
    memcpy(record, value.data, min_u64(load16(value.data), sizeof *record));
    if (page_is_private(record->root) && !page_in_frames(v->file, value.data))
        return CORRUPT("a snapshot names a private page");
    return 0;
}

/* The record after KEY that begins with KEY's first SAME bytes; its key goes to
 * SPACE of LUGE_KEY_SIZE_MAX. */
static int next_record(struct view *v, luge_bytes key, size_t same,
                       enum luge_seek seek, u8 *space, luge_bytes *found,
                       luge_bytes *value)
{
    struct tree_cursor cursor;
    int rc = tree_seek(&cursor, v->file, v->catalog.root, seek, key);
    if (rc) return rc;
    *found = tree_cursor_key(&cursor, space);
    if (found->size < same || memcmp(found->data, key.data, same))
        return LUGE_NOTFOUND;
    return tree_cursor_value(&cursor, value);
}

/* -------------------------------------------------------------- asking -- */

int lineage_snapshot_get(struct view *v, luge_bytes name,
                         struct snapshot_record *record, luge_bytes *path)
{
    u8 space[NAME_KEY_MAX];
    luge_bytes value;
    int rc = tree_get(v->file, v->catalog.root, name_key(space, name), &value);
    if (rc) return rc;
    memset(record, 0, sizeof *record);
    if (value.size < 2 || load16(value.data) > value.size)
        return CORRUPT("a snapshot's record of %zu bytes", value.size);
    size_t bytes = load16(value.data);
    memcpy(record, value.data, min_u64(bytes, sizeof *record));
    *path = luge_bytes_of((const u8 *)value.data + bytes, value.size - bytes);
    if (path->size <= LUGE_NAME_SIZE_MAX) return 0;
    return CORRUPT("a snapshot's path of %zu bytes", path->size);
}

/* What follows the first SAME bytes of the next key. */
static int name_after(struct view *v, luge_bytes key, size_t same, u8 *name,
                      size_t *size)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    luge_bytes found, value;
    int rc = next_record(v, key, same, LUGE_GT, space, &found, &value);
    if (rc) return rc;
    *size = found.size - same;
    if (*size > LUGE_NAME_SIZE_MAX) return CORRUPT("a name too long");
    if (*size) memcpy(name, space + same, *size);
    return 0;
}

int lineage_snapshot_after(struct view *v, luge_bytes after, u8 *name,
                           size_t *size)
{
    u8 space[NAME_KEY_MAX];
    return name_after(v, name_key(space, after), 1, name, size);
}

static int whole_root(struct view *v, u64 number, page_ref *root)
{
    struct view_pin pin = {0, number};
    struct pin_record record;
    int rc = lineage_pin_get(v, &pin, &record);
    if (rc == LUGE_NOTFOUND)
        return CORRUPT("a snapshot without its pin %llu",
                       (unsigned long long)number);
    if (!rc) *root = record.root;
    return rc;
}

static int whole_to_read(struct view *v, u64 number, page_ref *root)
{
    struct view_pin pin = {0, number};
    int rc = lineage_pin_stands(v, &pin);
    return rc ? rc : whole_root(v, number, root);
}

static int tree_in_whole(struct view *v, const struct snapshot_record *s,
                         luge_bytes name, struct tree *tree, u64 *number)
{
    struct catalog_record record;
    page_ref root;
    int rc = whole_to_read(v, s->pin, &root);
    if (!rc) rc = view_number_in(v, root, name, number);
    if (!rc) rc = view_record(v, root, *number, &record, NULL);
    if (!rc) *tree = (struct tree){record.root, record.count};
    return rc;
}

static int frozen_in(struct view *v, page_ref catalog,
                     const struct snapshot_record *s, luge_bytes name,
                     struct frozen_record *record)
{
    u8 space[FROZEN_KEY_MAX];
    luge_bytes value;
    int rc = tree_get(v->file, catalog, frozen_key(space, s->number, name),
                      &value);
    return rc ? rc : read_frozen(v, value, record);
}

/* In the past no lineage ends, so a snapshot that was made by the replay may
 * hold a pin that was gone when it was made in truth, and it got one of its
 * own.  It is the same snapshot: where it stands now is where it stood. */
static int frozen_now(struct view *v, const struct snapshot_record *s,
                      luge_bytes name, page_ref *root)
{
    struct frozen_record record;
    int rc = frozen_in(v, v->pins_in, s, name, &record);
    if (!rc) *root = record.root;
    return rc == LUGE_NOTFOUND ? LUGE_EXPIRED : rc;     /* as it was said */
}

int lineage_snapshot_tree(struct view *v, const struct snapshot_record *s,
                          luge_bytes name, struct tree *tree, u64 *number,
                          struct view_pin *pin)
{
    struct frozen_record record;
    if (s->pin) return tree_in_whole(v, s, name, tree, number);
    int rc = frozen_in(v, v->catalog.root, s, name, &record);
    if (!rc && record.pin.tree) rc = lineage_pin_stands(v, &record.pin);
    if (rc == LUGE_EXPIRED) rc = frozen_now(v, s, name, &record.root);
    if (rc) return rc;
    *tree = (struct tree){record.root, record.count};
    *number = record.tree;
    if (pin) *pin = record.pin;
    return 0;
}

int lineage_snapshot_tree_after(struct view *v,
                                const struct snapshot_record *s,
                                luge_bytes after, u8 *name, size_t *size)
{
    u8 space[FROZEN_KEY_MAX];
    u64 number;
    if (!s->pin)
        return name_after(v, frozen_key(space, s->number, after), NUMBER_KEY,
                          name, size);
    struct tree now = v->catalog;
    int rc = whole_to_read(v, s->pin, &v->catalog.root);
    if (!rc) rc = view_name_after(v, after, name, size, &number);
    v->catalog = now;
    return rc;
}

/* -------------------------------------------------------------- taking -- */

static int take_whole(struct view *v, struct snapshot_record *s)
{
    int rc = lineage_freeze(v, NULL, &s->pin);
    if (rc) return rc;
    struct view_pin pin = {0, s->pin};
    struct pin_record record = {.kids = 1, .root = v->catalog.root,
                                .count = v->catalog.count};
    v->catalog_pin = s->pin;
    v->catalog_pin_known = true;
    return lineage_pin_put(v, &pin, &record);
}

static int take_tree(struct view *v, const struct snapshot_record *s,
                     luge_bytes name, u64 number)
{
    u8 space[FROZEN_KEY_MAX];
    struct tree tree;
    struct frozen_record record = {
        .bytes = sizeof record, .version = LINEAGE_RECORD_VERSION,
        .tree = number,
    };
    int rc = lineage_hold(v, number, &tree, &record.pin);
    record.root = tree.root;
    record.count = tree.count;
    return rc ? rc : view_catalog_put(v, frozen_key(space, s->number, name),
                                      luge_bytes_of(&record, sizeof record));
}

static int take_path(struct view *v, const struct snapshot_record *s,
                     luge_bytes path)
{
    u8 name[LUGE_NAME_SIZE_MAX];
    size_t size = 0;
    u64 number;
    int rc;
    while (!(rc = lineage_under(v, path, name, &size, &number))) {
        rc = take_tree(v, s, luge_bytes_of(name, size), number);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int lineage_snapshot(struct view *v, const struct op *op)
{
    u8 space[NAME_KEY_MAX],
        value[sizeof(struct snapshot_record) + LUGE_NAME_SIZE_MAX];
    const u8 *at = op->value.data, *end = at + op->value.size;
    struct snapshot_record s = {
        .bytes = sizeof s, .version = LINEAGE_RECORD_VERSION,
        .number = op->tree, .seq = v->seq,
    };
    luge_bytes path;
    size_t n = base_get_varint(at, end, &s.time_ns);
    if (!n || !op->key.size || op->key.size > LUGE_NAME_SIZE_MAX ||
        (size_t)(end - at) - n > LUGE_NAME_SIZE_MAX)
        return CORRUPT("a malformed snapshot in the log");
    struct snapshot_record there;
    int rc = lineage_snapshot_get(v, op->key, &there, &path);
    if (!rc) return LUGE_EXISTS;
    if (rc != LUGE_NOTFOUND) return rc;
    path = luge_bytes_of(at + n, (size_t)(end - at) - n);
    rc = path.size ? take_path(v, &s, path) : take_whole(v, &s);
    if (rc) return rc;
    memcpy(value, &s, sizeof s);
    if (path.size) memcpy(value + sizeof s, path.data, path.size);
    return view_catalog_put(v, name_key(space, op->key),
                            luge_bytes_of(value, sizeof s + path.size));
}

/* ---------------------------------------------------------- forgetting -- */

struct gone {               /* a tree in a pin of the catalog that goes */
    u64 tree;
    page_ref root;
    struct view_pin origin;
};

struct gone_list {
    struct view *view;
    struct gone *trees;
    size_t count, capacity;
};

static int add_gone(struct gone_list *list, u64 tree,
                    const struct catalog_record *record)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct gone *more = base_realloc(list->trees,
                                         capacity * sizeof *more);
        if (!more) return NOMEM();
        list->trees = more;
        list->capacity = capacity;
    }
    list->trees[list->count++] = (struct gone){tree, record->root,
                                               record->origin};
    return 0;
}

/* The trees whose records stand in a leaf that no other catalog shares: the
 * others are the same in the catalog before or after. */
static int trees_of_leaf(void *context, const struct page_head *leaf)
{
    struct gone_list *list = context;
    int rc = 0;
    for (u32 i = 0; i < leaf->count && !rc; i++) {
        u8 space[LUGE_KEY_SIZE_MAX];
        struct node_cell cell;
        struct catalog_record record;
        node_cell_load(leaf, i, &cell);
        luge_bytes key = node_cell_key(&cell, space);
        const u8 *bytes = key.data;
        if (key.size != NUMBER_KEY || bytes[0] != 'i') continue;
        u64 tree = load64_be(bytes + 1);
        rc = view_record_read(list->view, cell.value, &record, NULL);
        if (!rc) rc = add_gone(list, tree, &record);
    }
    return rc;
}

/* The pin of the catalog at NUMBER, whose record is gone: release its pages to
 * W and list the trees to look at.  The head's catalog must know which trees
 * were changed, or it would seem to have them as they were. */
static int release_whole(struct view *v, struct page_work *w, u64 number,
                         page_ref root, struct gone_list *list)
{
    struct pin_record record;
    u64 at = 0;
    int rc = v->work ? view_flush(v) : 0;
    if (rc) return rc;
    page_ref kept = v->catalog.root;
    rc = lineage_pin_near(v, 0, LUGE_GT, number, &at, &record);
    if (!rc) kept = record.root;
    if (!rc || rc == LUGE_NOTFOUND)
        rc = lineage_pin_near(v, 0, LUGE_LT, number, &at, &record);
    if (rc && rc != LUGE_NOTFOUND) return rc;
    w->pinned = rc ? 0 : at;
    rc = tree_unshared(w, root, kept, trees_of_leaf, list);
    return rc ? rc : tree_release(w, root, kept);
}

static int tree_gone(struct view *v, u64 number, const struct gone *g)
{
    bool ended;
    int rc = lineage_release(v, v->work, g->tree, number, &g->origin, g->root,
                             LUGE_GE, LUGE_GT);
    if (!rc) rc = lineage_ended(v, g->tree, number, &ended);
    return rc || !ended ? rc : lineage_unhold(v, g->origin);
}

static int forget_whole(struct view *v, u64 number)
{
    u8 space[17];
    struct view_pin pin = {0, number};
    struct gone_list list = {.view = v};
    page_ref root;
    int rc = whole_root(v, number, &root);
    if (!rc) rc = view_catalog_del(v, lineage_pin_key(space, &pin));
    if (rc || !v->work->may_write) return rc;
    rc = release_whole(v, v->work, number, root, &list);
    /* From here on the head's catalog releases what it drops: it was compared
     * as it is now. */
    if (!rc) rc = lineage_load(v);
    for (size_t i = 0; i < list.count && !rc; i++)
        rc = tree_gone(v, number, &list.trees[i]);
    base_free(list.trees);
    return rc;
}

static int forget_path(struct view *v, u64 number)
{
    u8 space[LUGE_KEY_SIZE_MAX], from[NUMBER_KEY];
    luge_bytes found, value;
    int rc;
    luge_bytes key = frozen_key(from, number, luge_bytes_of("", 0));
    while (!(rc = next_record(v, key, NUMBER_KEY, LUGE_GE, space, &found,
                              &value))) {
        struct frozen_record record;
        rc = read_frozen(v, value, &record);
        if (!rc) rc = view_catalog_del(v, found);
        if (!rc) rc = lineage_unhold(v, record.pin);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int lineage_forget(struct view *v, const struct op *op)
{
    u8 space[NAME_KEY_MAX];
    struct snapshot_record s;
    luge_bytes path;
    if (op->key.size > LUGE_NAME_SIZE_MAX)
        return CORRUPT("a snapshot's name of %zu bytes", op->key.size);
    int rc = lineage_snapshot_get(v, op->key, &s, &path);
    if (rc == LUGE_NOTFOUND) return LUGE_NOTREE;
    if (!rc) rc = view_catalog_del(v, name_key(space, op->key));
    if (rc) return rc;
    return s.pin ? forget_whole(v, s.pin) : forget_path(v, s.number);
}

/* -------------------------------------------------------------- unique -- */

static int unique_in_whole(struct view *v, struct page_work *w, u64 number)
{
    struct gone_list list = {.view = v};
    page_ref root;
    int rc = whole_root(v, number, &root);
    if (!rc) rc = release_whole(v, w, number, root, &list);
    for (size_t i = 0; i < list.count && !rc; i++)
        rc = lineage_release(v, w, list.trees[i].tree, number,
                             &list.trees[i].origin, list.trees[i].root,
                             LUGE_GE, LUGE_GT);
    base_free(list.trees);
    return rc;
}

static int unique_in_path(struct view *v, struct page_work *w, u64 number)
{
    u8 space[LUGE_KEY_SIZE_MAX], last[FROZEN_KEY_MAX];
    luge_bytes found, value;
    int rc;
    luge_bytes key = frozen_key(last, number, luge_bytes_of("", 0));
    while (!(rc = next_record(v, key, NUMBER_KEY, LUGE_GT, space, &found,
                              &value))) {
        struct frozen_record record;
        struct pin_record pin;
        rc = read_frozen(v, value, &record);
        if (!rc && record.pin.tree)
            rc = lineage_pin_get(v, &record.pin, &pin);
        if (!rc && record.pin.tree && pin.kids == 1)
            rc = lineage_release(v, w, record.pin.tree, record.pin.number,
                                 &pin.origin, pin.root, LUGE_GT, LUGE_GE);
        if (rc || found.size > sizeof last) return rc;
        memcpy(last, space, found.size);
        key = luge_bytes_of(last, found.size);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* The walks are those of forgetting; what they drop is only counted. */
int lineage_snapshot_unique(struct view *v, const struct snapshot_record *s,
                            u64 *pages)
{
    struct page_work w = {.file = v->file, .may_write = true};
    int rc = s->pin ? unique_in_whole(v, &w, s->pin)
                    : unique_in_path(v, &w, s->number);
    *pages = 0;
    for (size_t i = 0; i < w.drop_count; i++) *pages += w.drops[i].pages;
    page_work_end(&w);
    return rc;
}

/* ------------------------------------------------------------ everyone -- */

int lineage_each_pin(struct view *v,
                     int (*each)(void *context, const struct view_pin *pin,
                                 const struct pin_record *record),
                     void *context)
{
    struct view_pin pin = {0, 0};
    struct pin_record record;
    u8 space[LUGE_KEY_SIZE_MAX], last[17];
    luge_bytes found, value, key = lineage_pin_key(last, &pin);
    int rc;
    while (!(rc = next_record(v, key, 1, LUGE_GT, space, &found, &value))) {
        if (found.size != sizeof last) return CORRUPT("a malformed pin");
        memcpy(last, space, sizeof last);
        pin = (struct view_pin){load64_be(last + 1), load64_be(last + 9)};
        rc = lineage_pin_get(v, &pin, &record);
        if (!rc) rc = each(context, &pin, &record);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int lineage_each_frozen(struct view *v,
                        int (*each)(void *context,
                                    const struct frozen_record *record),
                        void *context)
{
    u8 space[LUGE_KEY_SIZE_MAX], last[LUGE_KEY_SIZE_MAX] = {'s'};
    luge_bytes found, value, key = {last, 1};
    int rc;
    while (!(rc = next_record(v, key, 1, LUGE_GT, space, &found, &value))) {
        struct frozen_record record;
        rc = read_frozen(v, value, &record);
        if (!rc) rc = each(context, &record);
        if (rc) return rc;
        memcpy(last, space, found.size);
        key.size = found.size;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}
