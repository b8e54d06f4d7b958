/* store/check.c -- the prover.
 *
 *   K1  Every page below page_count is exactly one of: superblock, live in the
 *       head or in a pin, dropped by the lineage, in a queue, in the current
 *       run, stored free list.  (Pinned and pending pages are in the queues.)
 *   K2  Every live page passes its checksum, each tree its own proof.
 *   K3  A live page belongs to one lineage: the one that it was born in, after
 *       that lineage's origin.  What others have of it they have from a pin
 *       that holds it, and no pin has what was born after it (lineage.h L1).
 *   K4  A pin has as many kids as there are lineages and snapshots that begin
 *       at it, and one at least; a head knows its newest pin.
 * What several trees share is proved once.
 * Not here: what a tree's proof is (tree/check.c).
 */
#include <stdarg.h>
#include <stdio.h>

#include "store/fork.h"

struct check_lineage {
    u64 tree;           /* 0: the catalog, and an unused entry */
    struct view_pin origin;
    u32 index;
};

struct check_pin {
    struct view_pin pin;
    struct pin_record record;
    u64 kids;           /* found */
};

struct check {
    struct env *e;
    void (*report)(void *context, const char *sentence);
    void *context;
    u8 *seen;           /* a byte for each page: what it was found to be */
    u32 *owner;         /* of a live one: its lineage's index */
    u64 page_count;
    u64 defects;
    char first[256];    /* defect, for the error's sentence */
    struct view view;
    u64 *map;           /* page, number: of branches the keys below, of large
                           values what they belong to */
    size_t map_count, map_capacity;
    struct check_lineage *lineages;     /* by tree: open addressing */
    size_t lineage_count, lineage_capacity;
    struct check_pin *pins;             /* in order */
    size_t pin_count, pin_capacity;
    /* the tree that is being looked at */
    struct check_lineage now;
    u64 born_max;       /* of a pin: its number */
    page_ref catalog_before;
};

static void defect(struct check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void defect(struct check *c, const char *format, ...)
{
    char sentence[256];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (!c->defects++) snprintf(c->first, sizeof c->first, "%.127s", sentence);
    if (c->report) c->report(c->context, sentence);
}

/* -------------------------------------------------------------- tables -- */

static u64 *map_place(u64 *map, size_t capacity, u64 key)
{
    size_t i = (key * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);
    while (map[2 * i] && map[2 * i] != key) i = (i + 1) & (capacity - 1);
    return &map[2 * i];
}

/* The number kept for KEY, 0 at first. */
static u64 *map_of(void *context, u64 key)
{
    struct check *c = context;
    if (c->map_count * 2 >= c->map_capacity) {
        size_t capacity = c->map_capacity ? 2 * c->map_capacity : 1024;
        u64 *map = base_alloc_zero(capacity * 2 * sizeof *map);
        if (!map) return NULL;
        for (size_t i = 0; i < c->map_capacity; i++)
            if (c->map[2 * i])
                memcpy(map_place(map, capacity, c->map[2 * i]),
                       &c->map[2 * i], 2 * sizeof *map);
        base_free(c->map);
        c->map = map;
        c->map_capacity = capacity;
    }
    u64 *place = map_place(c->map, c->map_capacity, key);
    c->map_count += !place[0];
    place[0] = key;
    return &place[1];
}

static struct check_lineage *lineage_place(struct check_lineage *lineages,
                                           size_t capacity, u64 tree)
{
    size_t i = (tree * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);
    while (lineages[i].tree && lineages[i].tree != tree)
        i = (i + 1) & (capacity - 1);
    return &lineages[i];
}

static int grow_lineages(struct check *c)
{
    size_t capacity = c->lineage_capacity ? 2 * c->lineage_capacity : 64;
    struct check_lineage *more = base_alloc_zero(capacity * sizeof *more);
    if (!more) return NOMEM();
    for (size_t i = 0; i < c->lineage_capacity; i++)
        if (c->lineages[i].tree)
            *lineage_place(more, capacity, c->lineages[i].tree) =
                c->lineages[i];
    base_free(c->lineages);
    c->lineages = more;
    c->lineage_capacity = capacity;
    return 0;
}

/* How many pins come before PIN. */
static size_t pins_before(const struct check *c, const struct view_pin *pin)
{
    size_t low = 0, high = c->pin_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct view_pin *at = &c->pins[middle].pin;
        if (at->tree < pin->tree ||
            (at->tree == pin->tree && at->number < pin->number))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct check_pin *find_pin(struct check *c, const struct view_pin *pin)
{
    size_t at = pins_before(c, pin);
    struct check_pin *found = &c->pins[at];
    return at < c->pin_count && found->pin.tree == pin->tree &&
                   found->pin.number == pin->number ? found : NULL;
}

/* Somebody begins at PIN. */
static void count_kid(struct check *c, const struct view_pin *pin)
{
    struct check_pin *found = pin->tree ? find_pin(c, pin) : NULL;
    if (found) found->kids++;
    else if (pin->tree)
        defect(c, "pin %llu of tree %llu is missing",
               (unsigned long long)pin->number,
               (unsigned long long)pin->tree);
}

/* Look at a tree of lineage TREE from now on. */
static int enter_lineage(struct check *c, u64 tree,
                         const struct view_pin *origin)
{
    c->now = (struct check_lineage){0};
    if (!tree) return 0;
    if (c->lineage_count * 2 >= c->lineage_capacity) {
        int rc = grow_lineages(c);
        if (rc) return rc;
    }
    struct check_lineage *l = lineage_place(c->lineages, c->lineage_capacity,
                                            tree);
    if (!l->tree) {
        *l = (struct check_lineage){tree, *origin, (u32)++c->lineage_count};
        count_kid(c, origin);
    } else if (l->origin.tree != origin->tree ||
               l->origin.number != origin->number) {
        defect(c, "tree %llu has two origins", (unsigned long long)tree);
    }
    c->now = *l;
    return 0;
}

/* --------------------------------------------------------------- pages -- */

enum use { UNSEEN, SUPER, LIVE, BORROWED, DROPPED, QUEUED, STORED };
static const char *const use_names[] = {
    "nothing", "a superblock", "live", "live", "dropped", "free or pending",
    "the stored free list",
};

static void mark(struct check *c, u64 first, u64 pages, enum use use)
{
    for (u64 n = first; n < first + pages; n++) {
        if (n >= c->page_count) {
            defect(c, "page %llu (%s) lies beyond the last page",
                   (unsigned long long)n, use_names[use]);
            return;
        }
        if (c->seen[n])
            defect(c, "page %llu is %s and also %s", (unsigned long long)n,
                   use_names[c->seen[n]], use_names[use]);
        c->seen[n] = (u8)use;
    }
}

static void own(struct check *c, u64 first, u64 pages)
{
    for (u64 n = first; n < first + pages && n < c->page_count; n++) {
        if (c->seen[n] != BORROWED) mark(c, n, 1, LIVE);
        c->seen[n] = LIVE;
        c->owner[n] = c->now.index;
    }
    if (first + pages > c->page_count) mark(c, first + pages - 1, 1, LIVE);
}

/* K3: 1 if the page was proved before. */
static int live(struct check *c, u64 first, u64 pages, u64 born)
{
    enum use use = first < c->page_count ? c->seen[first] : UNSEEN;
    bool known = use == LIVE || use == BORROWED;
    if (born > c->born_max)
        defect(c, "page %llu of tree %llu was born at %llu, after pin %llu",
               (unsigned long long)first, (unsigned long long)c->now.tree,
               (unsigned long long)born, (unsigned long long)c->born_max);
    if (born <= c->now.origin.number) {              /* from the origin */
        if (!known) mark(c, first, pages, BORROWED);
        return known;
    }
    if (use == LIVE && c->owner[first] == c->now.index) return 1;
    if (use == LIVE)
        defect(c, "page %llu is in tree %llu and in another lineage",
               (unsigned long long)first, (unsigned long long)c->now.tree);
    else
        own(c, first, pages);
    return use == LIVE;
}

static int page_seen(void *context, page_ref ref, u64 pages, u64 born, u64 key)
{
    struct check *c = context;
    int known = live(c, ref, pages, born);
    if (!key) return known;
    u64 *of = map_of(c, ref);
    if (!of) return NOMEM();
    if (*of && *of != key)
        defect(c, "the large value at page %llu is that of two keys",
               (unsigned long long)ref);
    *of = key;
    return known;
}

/* --------------------------------------------------------------- trees -- */

static int check_tree(struct check *c, const struct tree *tree,
                      const char *what, luge_bytes name)
{
    struct tree_totals totals;
    struct tree_witness witness = {page_seen, map_of, c};
    int rc = tree_check_shared(&c->e->pages, tree, &witness, &totals);
    if (rc == LUGE_CORRUPT)
        defect(c, "%s %llu \"%.*s\": %s", what, (unsigned long long)c->now.tree,
               (int)min_u64(name.size, 64), (const char *)name.data,
               luge_last_error()->text);
    return rc == LUGE_CORRUPT ? 0 : rc;
}

/* K4 of a head. */
static void check_pinned(struct check *c, u64 pinned)
{
    struct view_pin end = {c->now.tree, UINT64_MAX};
    size_t at = pins_before(c, &end);
    u64 newest = c->now.origin.number;
    if (at && c->pins[at - 1].pin.tree == c->now.tree)
        newest = c->pins[at - 1].pin.number;
    if (newest != pinned)
        defect(c, "tree %llu knows of pin %llu, but its newest is %llu",
               (unsigned long long)c->now.tree, (unsigned long long)pinned,
               (unsigned long long)newest);
}

static int check_head_tree(void *context, u64 number, const struct tree *tree,
                           luge_bytes name)
{
    struct check *c = context;
    struct catalog_record record;
    int rc = lineage_record_in(&c->view, c->view.catalog.root, number,
                               &record);
    if (!rc) rc = enter_lineage(c, number, &record.origin);
    if (rc) return rc;
    if (c->pin_count || record.pinned) check_pinned(c, record.pinned);
    c->born_max = UINT64_MAX;
    return check_tree(c, tree, "tree", name);
}

/* A leaf of a pinned catalog that the one before it has not. */
static int check_catalog_leaf(void *context, const struct page_head *leaf)
{
    struct check *c = context;
    int rc = 0;
    for (u32 i = 0; i < leaf->count && !rc; i++) {
        u8 space[LUGE_KEY_SIZE_MAX];
        struct node_cell cell;
        struct catalog_record record;
        node_cell_load(leaf, i, &cell);
        luge_bytes key = node_cell_key(&cell, space), name;
        const u8 *bytes = key.data;
        if (key.size != 9 || bytes[0] != 'i') continue;
        rc = view_record_read(&c->view, cell.value, &record, &name);
        if (!rc) rc = enter_lineage(c, load64_be(bytes + 1), &record.origin);
        struct tree tree = {record.root, record.count};
        if (!rc) rc = check_tree(c, &tree, "in a snapshot tree", name);
    }
    return rc;
}

static int check_pin(struct check *c, const struct check_pin *p)
{
    struct tree tree = {p->record.root, p->record.count};
    struct page_work w = {.file = &c->e->pages};
    int rc = enter_lineage(c, p->pin.tree, &p->record.origin);
    c->born_max = p->pin.number;
    if (!rc) rc = check_tree(c, &tree, "a pin of tree", luge_bytes_of("", 0));
    if (rc || p->pin.tree) return rc;
    rc = tree_unshared(&w, tree.root, c->catalog_before, check_catalog_leaf,
                       c);
    c->catalog_before = tree.root;
    return rc;
}

/* ---------------------------------------------------------------- pins -- */

static int add_pin(void *context, const struct view_pin *pin,
                   const struct pin_record *record)
{
    struct check *c = context;
    if (c->pin_count == c->pin_capacity) {
        size_t capacity = c->pin_capacity ? 2 * c->pin_capacity : 64;
        struct check_pin *more = base_realloc(c->pins,
                                              capacity * sizeof *more);
        if (!more) return NOMEM();
        c->pins = more;
        c->pin_capacity = capacity;
    }
    c->pins[c->pin_count++] = (struct check_pin){*pin, *record, 0};
    return 0;
}

static int frozen_seen(void *context, const struct frozen_record *record)
{
    count_kid(context, &record->pin);
    return 0;
}

static int count_snapshots(struct check *c)
{
    u8 name[LUGE_NAME_SIZE_MAX];
    size_t size = 0;
    int rc;
    while (!(rc = lineage_snapshot_after(&c->view, luge_bytes_of(name, size),
                                         name, &size))) {
        struct snapshot_record s;
        luge_bytes path;
        rc = lineage_snapshot_get(&c->view, luge_bytes_of(name, size), &s,
                                  &path);
        if (rc) return rc;
        struct view_pin pin = {0, s.pin};
        struct check_pin *found = s.pin ? find_pin(c, &pin) : NULL;
        if (found) found->kids++;
        else if (s.pin) defect(c, "a snapshot without its pin");
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* K4.  All lineages have been seen. */
static int check_kids(struct check *c)
{
    int rc = lineage_each_frozen(&c->view, frozen_seen, c);
    if (!rc) rc = count_snapshots(c);
    for (size_t i = 0; i < c->pin_count; i++) {
        const struct check_pin *p = &c->pins[i];
        if (p->kids != p->record.kids || !p->kids)
            defect(c, "pin %llu of tree %llu counts %u kids and has %llu",
                   (unsigned long long)p->pin.number,
                   (unsigned long long)p->pin.tree, p->record.kids,
                   (unsigned long long)p->kids);
    }
    return rc;
}

/* --------------------------------------------------------------- space -- */

static int run_seen(void *context, const struct space_run *run)
{
    mark(context, run->first, run->pages, QUEUED);
    return 0;
}

static int check_space(struct check *c)
{
    struct env *e = c->e;
    const struct space_state *st = &e->arena->work;
    const struct txn_head *h = env_head(e);
    mark(c, 0, 2, SUPER);
    mark(c, st->current_first, st->current_pages, QUEUED);
    mark(c, h->stored_first, h->stored_pages, STORED);
    for (size_t i = 0; i < e->drop_count; i++)
        mark(c, e->drops[i].ref, e->drops[i].pages, DROPPED);
    for (u32 q = 0; q < SPACE_QUEUES; q++) {
        int rc = space_each(&e->space, st, q, run_seen, c);
        if (rc) return rc;
    }
    for (u64 n = 0; n < c->page_count; n++)
        if (!c->seen[n])
            defect(c, "page %llu is lost: neither live nor free",
                   (unsigned long long)n);
        else if (c->seen[n] == BORROWED)
            defect(c, "page %llu is shared with an origin that has it not",
                   (unsigned long long)n);
    return 0;
}

/* ------------------------------------------------------------- in turn -- */

/* Malformed records of the catalog are a defect like others. */
static int defect_of(struct check *c, int rc)
{
    if (rc != LUGE_CORRUPT) return rc;
    defect(c, "the catalog: %s", luge_last_error()->text);
    return 0;
}

/* Origins come before what was forked from them: numbers only rise. */
static int check_trees(struct check *c)
{
    struct tree catalog = c->view.catalog;
    struct view_pin none = {0};
    int rc = lineage_each_pin(&c->view, add_pin, c);
    for (size_t i = 0; i < c->pin_count && !rc; i++)
        rc = defect_of(c, check_pin(c, &c->pins[i]));
    rc = defect_of(c, rc);
    if (!rc) rc = enter_lineage(c, 0, &none);
    c->born_max = UINT64_MAX;
    if (!rc) rc = check_tree(c, &catalog, "the catalog", luge_str("."));
    if (!rc) rc = defect_of(c, view_each(&c->view, check_head_tree, c));
    return rc ? rc : defect_of(c, check_kids(c));
}

static int check_head(struct check *c)
{
    struct env *e = c->e;
    c->page_count = e->arena->work.page_count;
    c->seen = base_alloc_zero(c->page_count);
    c->owner = base_alloc_zero(c->page_count * sizeof *c->owner);
    if (!c->seen || !c->owner) return NOMEM();
    view_begin(&c->view, &e->pages, NULL, e->head.catalog,
               e->head.catalog_count, e->head.seq);
    int rc = check_trees(c);
    if (!rc) rc = check_space(c);
    view_end(&c->view);
    return rc;
}

int luge_check(luge_db *db,
               void (*report)(void *context, const char *sentence),
               void *context)
{
    struct check c = {.e = &db->store->env, .report = report,
                      .context = context};
    int rc = head_take_turn(c.e, c.e->options.busy_timeout_ms);
    if (rc) return rc;
    page_distrust(&c.e->pages);                                   /* K2 */
    rc = check_head(&c);
    head_release_turn(c.e);
    base_free(c.seen);
    base_free(c.owner);
    base_free(c.map);
    base_free(c.lineages);
    base_free(c.pins);
    if (!rc && c.defects)
        rc = CORRUPT("the check found %llu defects, first: %s",
                     (unsigned long long)c.defects, c.first);
    return rc;
}
