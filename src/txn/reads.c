/* txn/reads.c -- the read set (reads.h says what it promises).
 * Not here: where the operations to compare with come from.
 */
#include "txn/reads.h"

enum { POINTS_MIN = 64, POINTS_KEPT = 4096, RANGES_MAX = 4096,
       NAME_KEY_MAX = 1 + 512 };

static u64 point_hash(u64 tree, luge_bytes key)
{
    u64 h = base_hash(key.data, key.size, tree * 0x9e3779b97f4a7c15u + 1);
    return h ? h : 1;
}

static void insert(u64 *table, size_t capacity, u64 h)
{
    size_t i = h & (capacity - 1);
    while (table[i] && table[i] != h) i = (i + 1) & (capacity - 1);
    table[i] = h;
}

static bool contains(const struct reads *r, u64 h)
{
    if (!r->point_count) return false;
    size_t mask = r->point_capacity - 1, i = h & mask;
    while (r->points[i] && r->points[i] != h) i = (i + 1) & mask;
    return r->points[i] == h;
}

static int grow_points(struct reads *r)
{
    size_t capacity = r->point_capacity ? r->point_capacity * 2 : POINTS_MIN;
    u64 *table = base_alloc_zero(capacity * sizeof *table);
    if (!table) return NOMEM();
    for (size_t i = 0; i < r->point_capacity; i++)
        if (r->points[i]) insert(table, capacity, r->points[i]);
    base_free(r->points);
    r->points = table;
    r->point_capacity = capacity;
    return 0;
}

int reads_alias(struct reads *r, u64 tree, u64 source)
{
    if (r->alias_count == r->alias_capacity) {
        size_t capacity = r->alias_capacity ? 2 * r->alias_capacity : 8;
        struct read_alias *more =
            base_realloc(r->aliases, capacity * sizeof *more);
        if (!more) return NOMEM();
        r->aliases = more;
        r->alias_capacity = capacity;
    }
    r->aliases[r->alias_count++] = (struct read_alias){
        tree, reads_source(r, source),
    };
    return 0;
}

u64 reads_source(const struct reads *r, u64 tree)
{
    for (size_t i = r->alias_count; i-- > 0;)
        if (r->aliases[i].tree == tree) return r->aliases[i].source;
    return tree;
}

int reads_point(struct reads *r, u64 tree, luge_bytes key)
{
    if (unlikely(r->alias_count)) tree = reads_source(r, tree);
    r->content |= tree != 0;
    u64 h = point_hash(tree, key);
    if (contains(r, h)) return 0;
    if (r->point_count * 2 >= r->point_capacity) {
        int rc = grow_points(r);
        if (rc) return rc;
    }
    insert(r->points, r->point_capacity, h);
    r->point_count++;
    return 0;
}

static int copy_key(luge_bytes *to, luge_bytes key)
{
    u8 *copy = base_alloc(key.size + 1);
    if (!copy) return NOMEM();
    if (key.size) memcpy(copy, key.data, key.size);
    base_free((void *)(uintptr_t)to->data);
    *to = luge_bytes_of(copy, key.size);
    return 0;
}

static int grow_ranges(struct reads *r)
{
    if (r->range_count < r->range_capacity) return 0;
    size_t capacity = r->range_capacity ? r->range_capacity * 2 : 8;
    struct read_range *more = base_realloc(r->ranges, capacity * sizeof *more);
    if (!more) return NOMEM();
    r->ranges = more;
    r->range_capacity = capacity;
    return 0;
}

/* Too many ranges to compare with every operation: one for the whole tree
 * takes the place of a new one.  A conflict too many is possible then. */
static int whole_tree(struct reads *r, u64 tree, size_t *index)
{
    luge_bytes empty = {"", 0};
    for (size_t i = 0; i < r->range_count; i++) {
        struct read_range *range = &r->ranges[i];
        if (range->tree != tree) continue;
        range->to_end = true;
        if (index) *index = i;
        return copy_key(&range->low, empty);
    }
    return LUGE_NOTFOUND;
}

/* Does a range from LOW on begin within the newest one?  Of a thousand pops
 * each goes over what those before have read. */
static bool goes_on(const struct reads *r, u64 tree, luge_bytes low)
{
    if (!r->range_count) return false;
    const struct read_range *last = &r->ranges[r->range_count - 1];
    return last->tree == tree && bytes_compare(last->low, low) <= 0 &&
           (last->to_end || bytes_compare(low, last->high) <= 0);
}

int reads_range(struct reads *r, u64 tree, luge_bytes low,
                const luge_bytes *high, size_t *index)
{
    int rc = 0;
    if (unlikely(r->alias_count)) tree = reads_source(r, tree);
    r->content |= tree != 0;
    if (!index && goes_on(r, tree, low))
        return reads_extend_high(r, r->range_count - 1, high);
    if (r->range_count >= RANGES_MAX) {
        rc = whole_tree(r, tree, index);
        if (rc != LUGE_NOTFOUND) return rc;
    }
    rc = grow_ranges(r);
    if (rc) return rc;
    struct read_range *range = &r->ranges[r->range_count];
    *range = (struct read_range){.tree = tree, .to_end = !high};
    rc = copy_key(&range->low, low);
    if (!rc && high) rc = copy_key(&range->high, *high);
    if (rc) {
        base_free((void *)(uintptr_t)range->low.data);
        return rc;
    }
    if (index) *index = r->range_count;
    r->range_count++;
    return 0;
}

int reads_extend_low(struct reads *r, size_t index, const luge_bytes *key)
{
    struct read_range *range = &r->ranges[index];
    luge_bytes low = key ? *key : luge_bytes_of("", 0);
    if (bytes_compare(range->low, low) <= 0) return 0;
    return copy_key(&range->low, low);
}

int reads_extend_high(struct reads *r, size_t index, const luge_bytes *key)
{
    struct read_range *range = &r->ranges[index];
    if (range->to_end) return 0;
    if (!key) {
        range->to_end = true;
        return 0;
    }
    int order = bytes_compare(range->high, *key);
    if (order > 0 || (order == 0 && !range->open)) return 0;
    range->open = false;
    return copy_key(&range->high, *key);
}

int reads_extend_to(struct reads *r, size_t index, luge_bytes bound)
{
    struct read_range *range = &r->ranges[index];
    if (range->to_end || bytes_compare(range->high, bound) >= 0) return 0;
    range->open = true;
    return copy_key(&range->high, bound);
}

static bool key_touched(const struct reads *r, u64 tree, luge_bytes key)
{
    if (contains(r, point_hash(tree, key))) return true;
    for (size_t i = 0; i < r->range_count; i++) {
        const struct read_range *range = &r->ranges[i];
        if (range->tree == tree && bytes_compare(range->low, key) <= 0 &&
            (range->to_end ||
             bytes_compare(key, range->high) < !range->open))
            return true;
    }
    return false;
}

static bool name_touched(const struct reads *r, luge_bytes name)
{
    u8 key[NAME_KEY_MAX];
    if (name.size > sizeof key - 1) return true;
    key[0] = 'n';
    memcpy(key + 1, name.data, name.size);
    return key_touched(r, 0, luge_bytes_of(key, name.size + 1));
}

static bool snapshot_touched(const struct reads *r, luge_bytes name)
{
    u8 key[NAME_KEY_MAX];
    if (name.size > sizeof key - 1) return true;
    key[0] = 'S';
    memcpy(key + 1, name.data, name.size);
    return key_touched(r, 0, luge_bytes_of(key, name.size + 1));
}

static bool number_touched(const struct reads *r, u64 tree)
{
    u8 key[9] = {'i'};
    store64_be(key + 1, tree);
    return key_touched(r, 0, luge_bytes_of(key, sizeof key));
}

/* Every use of a tree reads its existence, so a drop or a clear is noticed
 * through the tree's number. */
bool reads_touched(const struct reads *r, const struct op *op)
{
    switch (op->kind) {
    case OP_PUT:
    case OP_DEL:
        return key_touched(r, op->tree, op->key);
    case OP_CREATE:
    case OP_FORK:
    case OP_DROP:
        return name_touched(r, op->key) || number_touched(r, op->tree);
    case OP_RENAME:
        return name_touched(r, op->key) || name_touched(r, op->value) ||
               number_touched(r, op->tree);
    case OP_CLEAR:
        return number_touched(r, op->tree);
    case OP_SNAPSHOT:
    case OP_FORGET:
        return snapshot_touched(r, op->key);
    default:
        return false;
    }
}

/* A table that one transaction made large is not for the next ones to wipe:
 * with 800 000 points in it each of them took 850 us. */
static void points_empty(struct reads *r)
{
    if (r->point_capacity > POINTS_KEPT) {
        base_free(r->points);
        r->points = NULL;
        r->point_capacity = 0;
    } else if (r->point_count) {
        memset(r->points, 0, r->point_capacity * sizeof *r->points);
    }
    r->point_count = 0;
}

void reads_clear(struct reads *r)
{
    for (size_t i = 0; i < r->range_count; i++) {
        base_free((void *)(uintptr_t)r->ranges[i].low.data);
        base_free((void *)(uintptr_t)r->ranges[i].high.data);
    }
    r->range_count = 0;
    r->alias_count = 0;
    r->content = false;
    points_empty(r);
}

void reads_free(struct reads *r)
{
    reads_clear(r);
    base_free(r->points);
    base_free(r->ranges);
    base_free(r->aliases);
    memset(r, 0, sizeof *r);
}
