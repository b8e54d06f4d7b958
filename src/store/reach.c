/* store/reach.c -- see reach.h. */
#include "store/reach.h"
#include "tree/patch.h"
#include "tree/walk.h"
#include "txn/lineage.h"

/* Both kinds of records that hold a tree's root have it here. */
enum { ROOT_AT = 8, PIN_KEY = 17, NUMBER_KEY = 9 };
_Static_assert(offsetof(struct catalog_record, root) == ROOT_AT, "see above");
_Static_assert(offsetof(struct pin_record, root) == ROOT_AT, "see above");

enum content { DATA, CATALOG, OLD_CATALOG };

static int walk_tree(struct reach *r, page_ref root, enum content content);

static int find(struct reach *r, u64 first, u64 pages)
{
    if (first < 2 || first >= r->page_count || pages > r->page_count - first)
        return CORRUPT("page %llu lies beyond the %llu pages of its version",
                       (unsigned long long)(first + pages - 1),
                       (unsigned long long)r->page_count);
    for (u64 n = first; n < first + pages; n++) {
        r->pages += !reach_has(r, n);
        r->found[n >> 6] |= (u64)1 << (n & 63);
    }
    return 0;
}

/* ------------------------------------------------------------- records -- */

static int add_whole(struct reach *r, page_ref root)
{
    if (r->whole_count == r->whole_capacity) {
        size_t capacity = r->whole_capacity ? 2 * r->whole_capacity : 16;
        page_ref *more = base_realloc(r->whole, capacity * sizeof *more);
        if (!more) return NOMEM();
        r->whole = more;
        r->whole_capacity = capacity;
    }
    r->whole[r->whole_count++] = root;
    return 0;
}

/* Pins in the catalog of a snapshot were those of its time: what is still
 * pinned stands in the newest. */
static int record_found(struct reach *r, luge_bytes key, luge_bytes value,
                        enum content content)
{
    const u8 *bytes = key.data;
    bool tree = key.size == NUMBER_KEY && bytes[0] == 'i';
    bool pin = key.size == PIN_KEY && bytes[0] == 'p';
    if (!tree && (!pin || content != CATALOG)) return 0;
    if (value.size < ROOT_AT + 8)
        return CORRUPT("a record of %zu bytes in the catalog", value.size);
    page_ref root = load64((const u8 *)value.data + ROOT_AT);
    if (root == PAGE_NONE) return 0;
    if (pin && !load64_be(bytes + 1)) return add_whole(r, root);
    return walk_tree(r, root, DATA);
}

static int walk_records(struct reach *r, const struct page_head *leaf,
                        enum content content)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    int rc = 0;
    for (u32 i = 0; i < leaf->count && !rc; i++) {
        struct node_cell cell;
        node_cell_load(leaf, i, &cell);
        rc = record_found(r, node_cell_key(&cell, space), cell.value, content);
    }
    return rc;
}

/* -------------------------------------------------------------- a tree -- */

static int extent_found(void *context, const struct page_extent *extent)
{
    struct reach *r = context;
    luge_bytes value;
    if (page_extent_born(extent) <= r->since) return 0;
    int rc = page_extent_read(r->file, extent, &value);
    if (rc || (extent->first < r->page_count && reach_has(r, extent->first)))
        return rc;
    return find(r, extent->first, page_extent_pages(r->file, extent->size));
}

static int walk_leaf(struct reach *r, const struct page_head *leaf,
                     enum content content)
{
    struct tree_visit visit = {.extent = extent_found, .context = r};
    int rc = tree_page_visit(leaf, page_bytes(r->file), &visit);
    return rc || content == DATA ? rc : walk_records(r, leaf, content);
}

/* Each level is one below its parent (walk.h W1), so this ends. */
static int walk_node(struct reach *r, page_ref ref,
                     const struct page_head *node, enum content content)
{
    if (node->birth <= r->since) return 0;                        /* A1 */
    if (ref < r->page_count && reach_has(r, ref)) return 0;
    int rc = find(r, ref, 1);
    if (!rc && !node->level) rc = walk_leaf(r, node, content);
    for (u32 i = 0; node->level && i <= node->count && !rc; i++) {
        const struct page_head *child = NULL;
        rc = walk_child(r->file, node, i, &child);
        if (!rc) rc = walk_node(r, node_child(node, i), child, content);
    }
    return rc;
}

static int walk_tree(struct reach *r, page_ref root, enum content content)
{
    const struct page_head *node = NULL;
    if (root == PAGE_NONE) return 0;
    if (page_is_private(root)) return CORRUPT("a record names a private page");
    int rc = walk_top(r->file, root, &node);
    if (rc || !walk_is_patch(node))
        return rc ? rc : walk_node(r, root, node, content);
    if (node->birth <= r->since ||                                /* A1 */
        (root < r->page_count && reach_has(r, root)))
        return 0;
    rc = find(r, root, 1);
    root = patch_below(node);
    if (!rc) rc = walk_root(r->file, root, &node);
    return rc ? rc : walk_node(r, root, node, content);
}

/* ------------------------------------------------------------- version -- */

int reach_begin(struct reach *r, struct page_file *f, u64 page_count,
                u64 since, page_ref catalog)
{
    *r = (struct reach){.file = f, .since = since, .page_count = page_count};
    r->found = base_alloc_zero((page_count / 64 + 1) * sizeof *r->found);
    if (!r->found) return NOMEM();
    int rc = walk_tree(r, catalog, CATALOG);
    /* Last, since pages that they share with the newest were found there. */
    for (size_t i = 0; i < r->whole_count && !rc; i++)
        rc = walk_tree(r, r->whole[i], OLD_CATALOG);
    return rc;
}

void reach_end(struct reach *r)
{
    base_free(r->found);
    base_free(r->whole);
    r->found = NULL;
    r->whole = NULL;
}

/* The first page from N on of that kind. */
static u64 next_of(const struct reach *r, bool found, u64 n)
{
    while (n < r->page_count && reach_has(r, n) != found) {
        u64 word = r->found[n >> 6];
        bool none = !(n & 63) && word == (found ? 0 : UINT64_MAX);
        n += none ? 64 : 1;
    }
    return min_u64(n, r->page_count);
}

bool reach_row(const struct reach *r, bool found, u64 limit, u64 *first,
               u64 *pages)
{
    *first = next_of(r, found, *first);
    *pages = min_u64(next_of(r, !found, *first) - *first, limit);
    return *pages > 0;
}
