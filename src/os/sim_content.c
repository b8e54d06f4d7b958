/* os/sim_content.c -- a simulated file's bytes: pages below counted nodes.
 *
 * Holds:
 *   C1  W1: whoever changes a page owns the way to it alone; the rest shares.
 *   C2  Beyond the size every byte of a page that is there is zero.
 * A copy costs one reference, the first change after it four nodes and a page;
 * two contents are compared in the time that their difference takes.
 * Not here: versions and what a crash does with them.
 */
#include "os/sim_world.h"

enum { MEMORY_TRIES = 100 };

void *sim_memory(size_t size)
{
    void *memory = NULL;
    for (int i = 0; !memory && i < MEMORY_TRIES; i++)
        memory = base_alloc_zero(size);
    assert(memory);
    return memory;
}

void *sim_memory_more(void *old, size_t size)
{
    void *memory = NULL;
    for (int i = 0; !memory && i < MEMORY_TRIES; i++)
        memory = base_realloc(old, size);
    assert(memory);
    return memory;
}

static const struct sim_page no_page;

const u8 *page_bytes_or_zeros(const struct sim_page *page)
{
    return page ? page->bytes : no_page.bytes;
}

void page_release(struct sim_page *page)
{
    if (page && --page->references == 0) base_free(page);
}

/* The pages below NODE. */
static u64 count_pages(const struct sim_node *node, unsigned level)
{
    u64 count = 0;
    for (unsigned i = 0; node && i < SIM_FANOUT; i++) {
        if (!node->slots[i]) continue;
        count += level ? count_pages(node->slots[i], level - 1) : 1;
    }
    return count;
}

static void node_release(struct sim_node *node, unsigned level)
{
    if (!node || --node->references) return;
    for (unsigned i = 0; i < SIM_FANOUT; i++) {
        if (level) node_release(node->slots[i], level - 1);
        else page_release(node->slots[i]);
    }
    base_free(node);
}

/* Make *slot a node that only this way leads to. */
static struct sim_node *own_node(struct sim_node **slot, unsigned level)
{
    struct sim_node *old = *slot;
    if (old && old->references == 1) return old;
    struct sim_node *node = sim_memory(sizeof *node);
    if (old) {
        *node = *old;
        old->references--;
        for (unsigned i = 0; i < SIM_FANOUT; i++) {
            if (!node->slots[i]) continue;
            if (level) ((struct sim_node *)node->slots[i])->references++;
            else ((struct sim_page *)node->slots[i])->references++;
        }
    }
    node->references = 1;
    *slot = node;
    return node;
}

static unsigned slot_of(u64 number, unsigned level)
{
    return (unsigned)(number >> (6 * level)) % SIM_FANOUT;
}

/* The slot of a page, on a way that is ours alone. */
static struct sim_page **own_slot(struct sim_content *c, u64 number)
{
    assert(number < SIM_FILE_BYTES_MAX / SIM_PAGE);
    struct sim_node **at = &c->root;
    for (unsigned level = SIM_LEVELS - 1;; level--) {
        struct sim_node *node = own_node(at, level);
        void **slot = &node->slots[slot_of(number, level)];
        if (!level) return (struct sim_page **)slot;
        at = (struct sim_node **)slot;
    }
}

struct sim_content content_copy(const struct sim_content *c)
{
    if (c->root) c->root->references++;
    return *c;
}

void content_release(struct sim_content *c)
{
    node_release(c->root, SIM_LEVELS - 1);
    *c = (struct sim_content){ 0 };
}

struct sim_page *content_page(const struct sim_content *c, u64 number)
{
    struct sim_node *node = c->root;
    for (unsigned level = SIM_LEVELS - 1; node && level; level--)
        node = node->slots[slot_of(number, level)];
    return node ? node->slots[slot_of(number, 0)] : NULL;
}

struct sim_page *content_change(struct sim_content *c, u64 number)
{
    struct sim_page **slot = own_slot(c, number), *old = *slot;
    if (old && old->references == 1) return old;
    struct sim_page *page = sim_memory(sizeof *page);
    if (old) {
        memcpy(page->bytes, old->bytes, SIM_PAGE);
        old->references--;
    } else {
        c->blocks++;
    }
    page->references = 1;
    *slot = page;
    return page;
}

void content_put(struct sim_content *c, u64 number, struct sim_page *page)
{
    struct sim_page **slot = own_slot(c, number);
    c->blocks += (u64)(page != NULL) - (u64)(*slot != NULL);
    page_release(*slot);
    *slot = page;
}

void content_write(struct sim_content *c, const void *from, size_t size,
                   u64 offset)
{
    const u8 *next = from;
    u64 end = offset + size;
    if (end > c->size && size) c->size = end;
    while (offset < end) {
        u64 within = offset % SIM_PAGE;
        size_t piece = (size_t)min_u64(end - offset, SIM_PAGE - within);
        struct sim_page *page = content_change(c, offset / SIM_PAGE);
        memcpy(page->bytes + within, next, piece);
        next += piece;
        offset += piece;
    }
}

void content_read(const struct sim_content *c, void *to, size_t size,
                  u64 offset)
{
    u8 *next = to;
    for (u64 end = offset + size; offset < end;) {
        u64 within = offset % SIM_PAGE;
        size_t piece = (size_t)min_u64(end - offset, SIM_PAGE - within);
        const struct sim_page *page = content_page(c, offset / SIM_PAGE);
        memcpy(next, page_bytes_or_zeros(page) + within, piece);
        next += piece;
        offset += piece;
    }
}

/* Is there a page from FIRST on?  (The way to the cut is copied only then.) */
static bool any_from(const struct sim_node *node, unsigned level, u64 base,
                     u64 first)
{
    u64 span = (u64)1 << (6 * level);
    if (!node || first >= base + span * SIM_FANOUT) return false;
    for (unsigned i = SIM_FANOUT; i-- > 0;) {
        u64 start = base + i * span;
        if (start + span <= first) return false;
        if (!node->slots[i]) continue;
        if (!level || start >= first) return true;
        if (any_from(node->slots[i], level - 1, start, first)) return true;
    }
    return false;
}

/* Drop the pages from FIRST on below *slot, whose own first page is BASE.
 * The number of pages dropped. */
static u64 cut_node(struct sim_node **slot, unsigned level, u64 base, u64 first)
{
    u64 span = (u64)1 << (6 * level), dropped = 0; /* pages below one slot */
    if (!*slot || first >= base + span * SIM_FANOUT) return 0;
    if (first <= base) {
        dropped = count_pages(*slot, level);
        node_release(*slot, level);
        *slot = NULL;
        return dropped;
    }
    struct sim_node *node = own_node(slot, level);
    for (unsigned i = slot_of(first, level); i < SIM_FANOUT; i++) {
        u64 start = base + i * span;
        if (level) {
            dropped += cut_node((struct sim_node **)&node->slots[i], level - 1,
                                start, first);
        } else if (start >= first && node->slots[i]) {
            page_release(node->slots[i]);
            node->slots[i] = NULL;
            dropped++;
        }
    }
    return dropped;
}

void content_resize(struct sim_content *c, u64 size)
{
    bool shorter = size < c->size;
    c->size = size;
    if (!shorter) return;
    u64 first = round_up(size, SIM_PAGE) / SIM_PAGE;
    if (any_from(c->root, SIM_LEVELS - 1, 0, first))
        c->blocks -= cut_node(&c->root, SIM_LEVELS - 1, 0, first);
    u64 kept = size % SIM_PAGE;
    const struct sim_page *last = content_page(c, size / SIM_PAGE);
    if (!kept || !last ||
        !memcmp(last->bytes + kept, no_page.bytes, SIM_PAGE - kept))
        return;
    memset(content_change(c, size / SIM_PAGE)->bytes + kept, 0,
           SIM_PAGE - kept);
}

void content_allocate(struct sim_content *c, struct sim_page *zeros, u64 first,
                      u64 end)
{
    for (u64 number = first; number < end; number++) {
        if (content_page(c, number)) continue;
        zeros->references++;
        content_put(c, number, zeros);
    }
}

struct comparison {
    void (*each)(void *, u64, const struct sim_page *, const struct sim_page *);
    void *context;
};

static void compare_nodes(const struct comparison *how,
                          const struct sim_node *a, const struct sim_node *b,
                          unsigned level, u64 base)
{
    u64 span = (u64)1 << (6 * level);
    if (a == b) return;
    for (unsigned i = 0; i < SIM_FANOUT; i++, base += span) {
        void *was = a ? a->slots[i] : NULL, *is = b ? b->slots[i] : NULL;
        if (was == is) continue;
        if (level) compare_nodes(how, was, is, level - 1, base);
        else how->each(how->context, base, was, is);
    }
}

void content_compare(const struct sim_content *a, const struct sim_content *b,
                     void (*each)(void *context, u64 number,
                                  const struct sim_page *was,
                                  const struct sim_page *is),
                     void *context)
{
    struct comparison how = { each, context };
    compare_nodes(&how, a->root, b->root, SIM_LEVELS - 1, 0);
}
