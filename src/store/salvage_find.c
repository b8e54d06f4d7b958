/* store/salvage_find.c -- survey, walk and gather (salvage.h).
 *
 * The root to begin at is that of the newest superblock, unless the pages it
 * leads to are more damaged than those below the youngest root that lies
 * around.  What is damaged or missing on the way leaves a gap.
 * Not here: what becomes of the records (salvage.c).
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/salvage.h"
#include "tree/patch.h"

enum { PATH_BYTES = 4300, GUESS_PAGES = 256, CHAIN_MAX = 64 };

/* -------------------------------------------------------------- opening -- */

static bool superblock_valid(const struct superblock *s, u64 slot)
{
    return !memcmp(s->magic, "lugedb", 7) && (s->number & 1) == slot &&
           s->sum == base_hash(s, offsetof(struct superblock, sum),
                               s->number);
}

/* The newest valid one, if pages have page_bytes.  How many are damaged; one
 * that was never written is not. */
static u32 read_superblocks(struct salvage *s, u32 page_bytes_)
{
    struct superblock one;
    u32 damaged = 0;
    for (u64 slot = 0; slot < 2; slot++) {
        memset(&one, 0, sizeof one);
        if (s->os->read(s->db, &one, sizeof one, slot * page_bytes_) ||
            !superblock_valid(&one, slot) || one.page_bytes != page_bytes_) {
            damaged += one.number != 0;
            continue;
        }
        if (s->instance_known && memcmp(one.instance, s->instance, 16) != 0)
            continue;
        if (s->super_valid && s->super.number > one.number) continue;
        s->super = one;
        s->super_valid = true;
    }
    return damaged;
}

static void read_conf(struct salvage *s)
{
    char path[PATH_BYTES], text[256], hex[33] = "";
    struct os_file *file = NULL;
    unsigned format, size = 0, byte;
    u64 bytes = 0;
    snprintf(path, sizeof path, "%.4000s/conf", s->broken);
    int rc = s->os->open(s->os, path, OS_READ, &file);
    if (!rc) rc = s->os->size(file, &bytes);
    if (!rc && bytes >= sizeof text) rc = LUGE_CORRUPT;
    if (!rc) rc = s->os->read(file, text, bytes, 0);
    if (file) s->os->close(file);
    if (rc) return;
    text[bytes] = 0;
    if (sscanf(text, "luge\nformat %u\npage_bytes %u\ninstance %32[0-9a-f]",
               &format, &size, hex) != 3 || strlen(hex) != 32 ||
        size < 4096 || size > 65536 || (size & (size - 1)))
        return;
    for (int i = 0; i < 16; i++) {
        (void)sscanf(hex + 2 * i, "%2x", &byte);
        s->instance[i] = (u8)byte;
    }
    s->instance_known = true;
    s->page_bytes = size;
}

/* How many of the first pages of that size prove themselves? */
static u32 good_pages(struct salvage *s, u32 page_bytes_)
{
    u32 good = 0;
    struct page_head *page = base_alloc(page_bytes_);
    for (u64 n = 2; page && n < GUESS_PAGES; n++)
        if (!s->os->read(s->db, page, page_bytes_, n * page_bytes_))
            good += page->sum == page_sum(page, n, page_bytes_);
    base_free(page);
    return good;
}

static int find_page_bytes(struct salvage *s)
{
    u32 best = 0;
    for (u32 size = 4096; size <= 65536 && !s->super_valid; size *= 2)
        (void)read_superblocks(s, size);
    if (s->super_valid) s->page_bytes = s->super.page_bytes;
    for (u32 size = 4096; size <= 65536 && !s->page_bytes; size *= 2) {
        u32 good = good_pages(s, size);
        if (good > best) s->page_bytes = size, best = good;
    }
    if (s->page_bytes) return 0;
    return CORRUPT("neither conf, nor a superblock, nor any page of %s/db can "
                   "be read", s->broken);
}

static int refuse_if_open(struct salvage *s)
{
    char path[PATH_BYTES];
    struct os_file *file = NULL;
    bool held = false;
    snprintf(path, sizeof path, "%.4000s/lock", s->broken);
    /* Only asked: it may be on a medium that cannot be written. */
    int rc = s->os->open(s->os, path, OS_READ, &file);
    if (!rc)
        rc = s->os->lock_test(file, SHARE_LOCK_SEATS, SHARE_SEATS_MAX, &held);
    if (file) s->os->close(file);
    if (rc == LUGE_NOTFOUND) return 0;
    return rc || !held ? rc : fail(LUGE_BUSY, "%s is open in a process",
                                   s->broken);
}

static int open_db(struct salvage *s)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%.4000s/db", s->broken);
    int rc = refuse_if_open(s);
    if (!rc) rc = s->os->open(s->os, path, OS_READ, &s->db);
    if (rc) return rc;
    read_conf(s);
    if (!s->page_bytes) rc = find_page_bytes(s);
    u32 damaged = rc ? 0 : read_superblocks(s, s->page_bytes);
    if (!rc && !s->super_valid)
        salvage_say(s, "neither superblock is valid");
    s->super_damaged = damaged > 0;
    if (!rc && s->super_valid && s->super.format > ENV_FORMAT)
        rc = fail(LUGE_VERSION, "%s has format %u; this luge knows formats up "
                  "to %d", s->broken, s->super.format, ENV_FORMAT);
    if (!rc && s->super_valid && damaged)
        salvage_say(s, "a superblock is damaged, perhaps the newer");
    if (!rc && s->super_valid && !s->instance_known) {
        memcpy(s->instance, s->super.instance, 16);
        s->instance_known = true;
        salvage_say(s, "conf is missing or cannot be read");
    }
    return rc ? rc : page_file_open(&s->pages, s->os, s->db, s->page_bytes,
                                    tree_page_validate);
}

/* --------------------------------------------------------------- survey -- */

const struct page_head *salvage_page(const struct salvage *s, u64 number)
{
    const struct page_map *m = &s->pages.map;
    return (const struct page_head *)(const void *)(m->base +
                                                    (number << m->page_shift));
}

static void look_at(struct salvage *s, u64 n)
{
    const struct page_head *page = salvage_page(s, n);
    if (!page_kind_of_tree(page->kind) || page_verify(&s->pages, n)) return;
    s->facts[n] = (struct salvage_fact){
        .birth = page->birth, .owner = page->owner, .kind = page->kind,
        .level = page->level,
    };
}

/* What is in the list is not in the checkpoint (S3). */
static void read_free_list(struct salvage *s)
{
    struct space_run *runs = NULL;
    size_t count = 0;
    const struct superblock *b = &s->super;
    int rc = b->stored_first + b->stored_pages > s->page_count
                 ? LUGE_CORRUPT
                 : space_load(&s->pages, b->stored_first,
                              (u32)b->stored_pages, &runs, &count);
    s->exact = !rc;
    for (size_t i = 0; i < count && !rc; i++)
        for (u64 n = 0; n < runs[i].pages; n++)
            if (runs[i].first + n < s->page_count)
                s->facts[runs[i].first + n].free = true;
    if (rc)
        salvage_say(s, "the free list cannot be read: what is found beside "
                    "damaged pages may be old");
    base_free(runs);
}

int salvage_survey(struct salvage *s)
{
    u64 size = 0;
    int rc = open_db(s);
    if (!rc) rc = s->os->size(s->db, &size);
    if (rc) return rc;
    s->page_count = min_u64(size, s->pages.map_bytes) / s->page_bytes;
    page_file_grown(&s->pages, s->page_count);
    s->facts = base_alloc_zero((s->page_count + 1) * sizeof *s->facts);
    if (!s->facts) return NOMEM();
    for (u64 n = 2; n < s->page_count; n++) look_at(s, n);
    if (s->super_valid) read_free_list(s);
    return 0;
}

/* ----------------------------------------------------------------- walk -- */

static int add_leaf(struct salvage_tree *t, u64 leaf)
{
    if (t->leaf_count == t->leaf_capacity) {
        size_t capacity = t->leaf_capacity ? 2 * t->leaf_capacity : 16;
        u64 *more = base_realloc(t->leaves, capacity * sizeof *more);
        if (!more) return NOMEM();
        t->leaves = more;
        t->leaf_capacity = capacity;
    }
    t->leaves[t->leaf_count++] = leaf;
    return 0;
}

static int add_gap(struct salvage_tree *t, luge_bytes low,
                   const luge_bytes *high)
{
    if (t->gap_count == t->gap_capacity) {
        size_t capacity = t->gap_capacity ? 2 * t->gap_capacity : 4;
        struct salvage_gap *more = base_realloc(t->gaps,
                                                capacity * sizeof *more);
        if (!more) return NOMEM();
        t->gaps = more;
        t->gap_capacity = capacity;
    }
    struct salvage_gap *gap = &t->gaps[t->gap_count++];
    *gap = (struct salvage_gap){.to_end = !high};
    int rc = base_buffer_add(&gap->low, low.data, low.size);
    if (!rc && high)
        rc = base_buffer_add(&gap->high, high->data, high->size);
    return rc;
}

/* Where a page belongs, instead of a level. */
enum { A_ROOT = -1, BELOW_PATCH = -2 };

/* May page REF be a child at LEVEL? */
static bool fits(const struct salvage *s, u64 ref, int level)
{
    if (ref < 2 || ref >= s->page_count) return false;
    const struct salvage_fact *f = &s->facts[ref];
    if (!f->kind || f->birth > s->newest) return false;
    if (f->kind == PAGE_PATCH) return level == A_ROOT;
    return level < 0 || f->level == level;
}

/* T NULL: only mark what is reached. */
static int walk_node(struct salvage *s, struct salvage_tree *t, u64 ref,
                     int level, luge_bytes low, const luge_bytes *high)
{
    u8 space[2][LUGE_KEY_SIZE_MAX];
    if (!fits(s, ref, level)) {
        s->done.lost_pages += t != NULL;
        return t ? add_gap(t, low, high) : 0;
    }
    const struct page_head *n = salvage_page(s, ref);
    if (!t && s->facts[ref].reached) return 0;
    s->facts[ref].reached = true;
    if (n->kind == PAGE_PATCH) {
        if (t) t->patch = ref;
        return walk_node(s, t, patch_below(n), BELOW_PATCH, low, high);
    }
    if (!n->level) return t ? add_leaf(t, ref) : 0;
    int rc = 0;
    luge_bytes from = low;
    for (u32 i = 0; i <= n->count && !rc; i++) {
        struct node_cell cell;
        luge_bytes to = {0};
        if (i < n->count) {
            node_cell_load(n, i, &cell);
            to = node_cell_key(&cell, space[i & 1]);
            if (to.size) memmove(space[i & 1], to.data, to.size);
            to.data = space[i & 1];
        }
        rc = walk_node(s, t, node_child(n, i), n->level - 1, from,
                       i < n->count ? &to : high);
        from = to;
    }
    return rc;
}

int salvage_walk(struct salvage *s, struct salvage_tree *t)
{
    luge_bytes start = {"", 0};
    if (t->known && t->root == PAGE_NONE) return 0;
    return t->known ? walk_node(s, t, t->root, A_ROOT, start, NULL)
                    : add_gap(t, start, NULL);
}

bool salvage_in_gap(const struct salvage_tree *t, luge_bytes key)
{
    for (size_t i = 0; i < t->gap_count; i++) {
        const struct salvage_gap *g = &t->gaps[i];
        luge_bytes low = {g->low.data, g->low.size};
        luge_bytes high = {g->high.data, g->high.size};
        if (bytes_compare(low, key) <= 0 &&
            (g->to_end || bytes_compare(key, high) < 0))
            return true;
    }
    return false;
}

/* --------------------------------------------------------------- gather -- */

struct line {                   /* from whom, and since when not any more */
    u32 owner;
    u64 born_max;
};

/* T, what it was forked from, what that was forked from, ... */
static size_t lines_of(const struct salvage *s, const struct salvage_tree *t,
                       struct line lines[CHAIN_MAX])
{
    struct view_pin origin = t->origin;
    size_t count = 1;
    lines[0] = (struct line){page_owner(t->number), s->newest};
    while (origin.tree && count < CHAIN_MAX) {
        lines[count++] = (struct line){page_owner(origin.tree),
                                       origin.number};
        struct view_pin next = {0};
        for (size_t i = 0; i < s->pin_count; i++)
            if (s->pins[i].pin.tree == origin.tree &&
                s->pins[i].pin.number == origin.number)
                next = s->pins[i].origin;
        origin = next;
    }
    return count;
}

static bool in_lines(const struct salvage_fact *f, const struct line *lines,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (f->owner == lines[i].owner && f->birth <= lines[i].born_max)
            return true;
    return false;
}

static bool may_be_used(const struct salvage *s, u64 n)
{
    const struct salvage_fact *f = &s->facts[n];
    return (f->kind == PAGE_LEAF || f->kind == PAGE_PATCH) && !f->free &&
           f->birth <= s->newest;
}

static bool lies_around(const struct salvage *s, u64 n)
{
    return may_be_used(s, n) && !s->facts[n].reached;
}

struct aged {
    u64 birth, page;
};

static int by_birth(const void *a, const void *b)
{
    const struct aged *x = a, *y = b;
    return (x->birth > y->birth) - (x->birth < y->birth);
}

struct aged_list {
    struct aged *pages;
    size_t count, capacity;
};

static int add_aged(struct aged_list *list, u64 birth, u64 page)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct aged *more = base_realloc(list->pages,
                                         capacity * sizeof *more);
        if (!more) return NOMEM();
        list->pages = more;
        list->capacity = capacity;
    }
    list->pages[list->count++] = (struct aged){birth, page};
    return 0;
}

/* Their numbers, the oldest first.  RC: how it went so far. */
static int sort_aged(struct aged_list *list, int rc, u64 **pages,
                     size_t *count)
{
    *pages = rc ? NULL : base_alloc((list->count + 1) * sizeof **pages);
    if (!rc && !*pages) rc = NOMEM();
    if (!rc && list->count)
        qsort(list->pages, list->count, sizeof *list->pages, by_birth);
    for (size_t i = 0; i < list->count && !rc; i++)
        (*pages)[i] = list->pages[i].page;
    *count = rc ? 0 : list->count;
    base_free(list->pages);
    return rc;
}

int salvage_gather(struct salvage *s, const struct salvage_tree *t,
                   u64 **leaves, size_t *count)
{
    struct line lines[CHAIN_MAX];
    struct aged_list list = {0};
    size_t line_count = lines_of(s, t, lines);
    int rc = 0;
    for (u64 n = 2; n < s->page_count && t->gap_count && !rc; n++)
        if ((t->number ? may_be_used(s, n) : lies_around(s, n)) &&
            in_lines(&s->facts[n], lines, line_count))
            rc = add_aged(&list, s->facts[n].birth, n);
    return sort_aged(&list, rc, leaves, count);                     /* S2 */
}

static bool owner_is_known(const struct salvage *s, u32 owner)
{
    bool known = owner == page_owner(0);
    for (size_t i = 0; i < s->tree_count && !known; i++)
        known = owner == page_owner(s->trees[i].number);
    for (size_t i = 0; i < s->pin_count && !known; i++)
        known = owner == page_owner(s->pins[i].pin.tree);
    return known;
}

int salvage_strays(struct salvage *s, u64 **leaves, size_t *count)
{
    struct aged_list list = {0};
    int rc = 0;
    for (u64 n = 2; n < s->page_count && !rc; n++)
        if (lies_around(s, n) && !owner_is_known(s, s->facts[n].owner))
            rc = add_aged(&list, s->facts[n].birth, n);
    return sort_aged(&list, rc, leaves, count);
}

/* -------------------------------------------------------------- catalog -- */

static struct salvage_tree *tree_of(struct salvage *s, u64 number)
{
    for (size_t i = 0; i < s->tree_count; i++)
        if (s->trees[i].number == number) return &s->trees[i];
    if (s->tree_count == s->tree_capacity) {
        size_t capacity = s->tree_capacity ? 2 * s->tree_capacity : 64;
        struct salvage_tree *more = base_realloc(s->trees,
                                                 capacity * sizeof *more);
        if (!more) return NULL;
        s->trees = more;
        s->tree_capacity = capacity;
    }
    struct salvage_tree *t = &s->trees[s->tree_count++];
    memset(t, 0, sizeof *t);
    t->number = number;
    return t;
}

/* SURE: the record is of the state that is sought, so its root is, too. */
static int tree_found(struct salvage *s, u64 number, luge_bytes value,
                      bool sure)
{
    struct catalog_record record = {0};
    size_t bytes = value.size < 2 ? 0 : load16(value.data);
    if (bytes < 24 || bytes > value.size) return 0;
    memcpy(&record, value.data, min_u64(bytes, sizeof record));
    struct salvage_tree *t = tree_of(s, number);
    if (!t) return NOMEM();
    t->known = sure;
    t->root = record.root;
    t->count = record.count;
    t->origin = record.origin;
    t->name_size = min_u64(value.size - bytes, sizeof t->name);
    memcpy(t->name, (const u8 *)value.data + bytes, t->name_size);
    return 0;
}

/* The record of the number may be lost: then the name is all there is. */
static int name_found(struct salvage *s, luge_bytes name, luge_bytes value)
{
    if (value.size != 8 || !name.size || name.size > LUGE_NAME_SIZE_MAX)
        return 0;
    struct salvage_tree *t = tree_of(s, load64(value.data));
    if (!t) return NOMEM();
    if (t->name_size) return 0;
    memcpy(t->name, name.data, name.size);
    t->name_size = name.size;
    return 0;
}

static int pin_found(struct salvage *s, const u8 *key, luge_bytes value)
{
    struct pin_record record = {0};
    size_t bytes = value.size < 2 ? 0 : load16(value.data);
    if (bytes < 24 || bytes > value.size) return 0;
    memcpy(&record, value.data, min_u64(bytes, sizeof record));
    if (s->pin_count == s->pin_capacity) {
        size_t capacity = s->pin_capacity ? 2 * s->pin_capacity : 64;
        struct salvage_pin *more = base_realloc(s->pins,
                                                capacity * sizeof *more);
        if (!more) return NOMEM();
        s->pins = more;
        s->pin_capacity = capacity;
    }
    s->pins[s->pin_count++] = (struct salvage_pin){
        {load64_be(key), load64_be(key + 8)}, record.root, record.origin,
    };
    return 0;
}

/* GATHERED: only what is in the catalog's gaps. */
static int read_catalog_leaf(struct salvage *s, u64 leaf, bool gathered)
{
    const struct page_head *n = salvage_page(s, leaf);
    u8 space[LUGE_KEY_SIZE_MAX];
    int rc = 0;
    for (u32 i = 0; i < n->count && !rc; i++) {
        struct node_cell cell;
        node_cell_load(n, i, &cell);
        luge_bytes key = node_cell_key(&cell, space);
        const u8 *bytes = key.data;
        if (!key.size || (cell.info & NODE_EXTENT)) continue;
        if (gathered && !salvage_in_gap(&s->catalog, key)) continue;
        if (bytes[0] == 'i' && key.size == 9)
            rc = tree_found(s, load64_be(bytes + 1), cell.value,
                            !gathered || s->exact);
        else if (bytes[0] == 'n')
            rc = name_found(s, luge_bytes_of(bytes + 1, key.size - 1),
                            cell.value);
        else if (bytes[0] == 'p' && key.size == 17)
            rc = pin_found(s, bytes + 1, cell.value);
    }
    return rc;
}

/* Of a tree that the newest catalog lost, only what it was: its root may be
 * another now.  It may also have been dropped since. */
static int old_tree_found(struct salvage *s, u64 number, luge_bytes value)
{
    for (size_t i = 0; i < s->tree_count; i++)
        if (s->trees[i].number == number && s->trees[i].name_size) return 0;
    return s->catalog.gap_count ? tree_found(s, number, value, false) : 0;
}

/* Of a pin that is a catalog: its leaves, and the trees in them. */
static int walk_old_catalog(struct salvage *s, u64 root)
{
    struct salvage_tree old = {.known = true, .root = root};
    u64 lost = s->done.lost_pages;
    int rc = salvage_walk(s, &old);
    s->done.lost_pages = lost;
    for (size_t k = 0; k < old.leaf_count && !rc; k++) {
        const struct page_head *n = salvage_page(s, old.leaves[k]);
        u8 space[LUGE_KEY_SIZE_MAX];
        for (u32 i = 0; i < n->count && !rc; i++) {
            struct node_cell cell;
            node_cell_load(n, i, &cell);
            luge_bytes key = node_cell_key(&cell, space);
            const u8 *bytes = key.data;
            if (key.size != 9 || bytes[0] != 'i' || cell.value.size < 16)
                continue;
            rc = walk_node(s, NULL, load64((const u8 *)cell.value.data + 8),
                           A_ROOT, luge_bytes_of("", 0), NULL);
            if (!rc && s->gathered)
                rc = old_tree_found(s, load64_be(bytes + 1), cell.value);
        }
    }
    for (size_t i = 0; i < old.gap_count; i++) {
        base_buffer_free(&old.gaps[i].low);
        base_buffer_free(&old.gaps[i].high);
    }
    base_free(old.gaps);
    base_free(old.leaves);
    return rc;
}

int salvage_walk_pins(struct salvage *s)
{
    int rc = 0;
    for (size_t i = 0; i < s->pin_count && !rc; i++)
        rc = s->pins[i].pin.tree
                 ? walk_node(s, NULL, s->pins[i].root, A_ROOT,
                             luge_bytes_of("", 0), NULL)
                 : walk_old_catalog(s, s->pins[i].root);
    return rc;
}

/* The root of the youngest catalog that lies around; the highest of its
 * publication. */
static u64 youngest_root(const struct salvage *s)
{
    u64 best = 0;
    for (u64 n = 2; n < s->page_count; n++) {
        const struct salvage_fact *f = &s->facts[n], *b = &s->facts[best];
        if (!f->kind || f->owner != page_owner(0)) continue;
        if (!best || f->birth > b->birth ||
            (f->birth == b->birth && f->level > b->level))
            best = n;
    }
    return best;
}

static u64 broken_below(const struct salvage *s, u64 ref, int level,
                        bool catalog);

/* Pages missing below what a leaf of a catalog names. */
static u64 broken_trees(const struct salvage *s, const struct page_head *leaf)
{
    struct catalog_record record;
    u8 space[LUGE_KEY_SIZE_MAX];
    struct node_cell cell;
    u64 broken = 0;
    for (u32 i = 0; i < leaf->count; i++) {
        node_cell_load(leaf, i, &cell);
        luge_bytes key = node_cell_key(&cell, space);
        size_t size = min_u64(cell.value.size, sizeof record);
        if (key.size != 9 || *(const u8 *)key.data != 'i' || size < 24)
            continue;
        memset(&record, 0, sizeof record);
        memcpy(&record, cell.value.data, size);
        if (record.root != PAGE_NONE)
            broken += broken_below(s, record.root, A_ROOT, false);
    }
    return broken;
}

/* Pages missing below REF; depth is bounded as in walk_node. */
static u64 broken_below(const struct salvage *s, u64 ref, int level,
                        bool catalog)
{
    if (!fits(s, ref, level)) return 1;
    const struct page_head *n = salvage_page(s, ref);
    u64 broken = 0;
    if (n->kind == PAGE_PATCH)
        return broken_below(s, patch_below(n), BELOW_PATCH, catalog);
    if (!n->level) return catalog ? broken_trees(s, n) : 0;
    for (u32 i = 0; i <= n->count; i++)
        broken += broken_below(s, node_child(n, i), n->level - 1, catalog);
    return broken;
}

/* One superblock cannot be read, and the other is perhaps of a state whose
 * pages are used for something else by now.  Then it is no better than none. */
static void doubt_superblock(struct salvage *s)
{
    u64 root = youngest_root(s);
    if (!s->super_valid || !s->super_damaged || !root ||
        s->facts[root].birth <= s->super.publication)
        return;
    s->newest = s->super.publication;
    u64 old = s->super.catalog ? broken_below(s, s->super.catalog, A_ROOT, true)
                               : 0;
    s->newest = s->facts[root].birth;
    if (broken_below(s, root, A_ROOT, true) >= old) return;
    s->super_valid = s->exact = false;
    for (u64 n = 0; n < s->page_count; n++) s->facts[n].free = false;
    salvage_say(s, "the superblock that can be read is too old");
}

static int choose_root(struct salvage *s)
{
    doubt_superblock(s);
    s->newest = s->super_valid ? s->super.publication : UINT64_MAX;
    s->catalog.known = true;
    s->catalog.root = s->super.catalog;
    if (s->super_valid && (!s->super.catalog ||
                           fits(s, s->super.catalog, A_ROOT)))
        return 0;
    u64 root = youngest_root(s);
    /* Pages of the time after the superblock may be better than none. */
    if (!s->super_valid && root) s->newest = s->facts[root].birth;
    s->catalog.known = !s->super_valid && root;
    s->catalog.root = root;
    if (!s->catalog.known) s->done.lost_pages++;
    salvage_say(s, "the root of everything is lost%s",
                s->catalog.known ? "; an older or younger one was found" : "");
    return 0;
}

int salvage_catalog(struct salvage *s)
{
    u64 *leaves = NULL;
    size_t count = 0;
    int rc = choose_root(s);
    if (!rc) rc = salvage_walk(s, &s->catalog);
    for (size_t i = 0; i < s->catalog.leaf_count && !rc; i++)
        rc = read_catalog_leaf(s, s->catalog.leaves[i], false);
    if (rc || !s->catalog.gap_count) return rc;
    /* Those of snapshots are not to be gathered. */
    rc = salvage_walk_pins(s);
    if (!rc) rc = salvage_gather(s, &s->catalog, &leaves, &count);
    for (size_t i = 0; i < count && !rc; i++) {
        rc = read_catalog_leaf(s, leaves[i], true);
        s->facts[leaves[i]].reached = true;
    }
    base_free(leaves);
    /* Once more, for trees that only old catalogs know. */
    s->gathered = true;
    return rc ? rc : salvage_walk_pins(s);
}

/* ------------------------------------------------------------------ end -- */

static void free_tree(struct salvage_tree *t)
{
    for (size_t i = 0; i < t->gap_count; i++) {
        base_buffer_free(&t->gaps[i].low);
        base_buffer_free(&t->gaps[i].high);
    }
    base_free(t->gaps);
    base_free(t->leaves);
}

void salvage_end(struct salvage *s)
{
    for (size_t i = 0; i < s->tree_count; i++) free_tree(&s->trees[i]);
    free_tree(&s->catalog);
    base_free(s->trees);
    base_free(s->pins);
    base_free(s->facts);
    page_file_close(&s->pages);
    if (s->db) s->os->close(s->db);
}
