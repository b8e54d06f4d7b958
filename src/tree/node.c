/* tree/node.c -- look-ups in a node and changes that leave its cells in place.
 *
 * Picture and invariants: tree/node.h.  A look-up compares the prefix once,
 * then only heads, which are contiguous; cells are touched for equal heads.
 * Nothing here trusts a page further than node_validate has proved it.
 * Not here: rebuilding, cutting and joining nodes (tree/strip.c).
 */
#include "tree/node.h"

enum { EQUALS_MAX = 8 };       /* as many lines as a core can wait for */

/* ---------------------------------------------------------------- heads -- */

/* Four heads, unaligned.  The compiler makes SSE2 or NEON of it. */
typedef u32 heads_4 __attribute__((vector_size(16), aligned(4), may_alias));

static inline heads_4 heads_below_4(const u32 *heads, u32 h)
{
    heads_4 v = *(const heads_4 *)(const void *)heads;
    return (heads_4)(v < (heads_4){h, h, h, h});      /* all ones: below */
}

/* How many of the first N of 16 heads are below H; all 16 are read (N7). */
static inline u32 heads_count_16(const u32 *heads, u32 n, u32 h)
{
    heads_4 sum = {0}, at = {0, 1, 2, 3}, end = {n, n, n, n};
    for (u32 i = 0; i < 16; i += 4, at += 4)
        sum -= heads_below_4(heads + i, h) & (heads_4)(at < end);
    return sum[0] + sum[1] + sum[2] + sum[3];
}

/* Count all: blocks of 16, no branch inside. */
static inline u32 heads_count(const u32 *heads, u32 n, u32 h)
{
    heads_4 sum = {0};
    u32 i = 0;
    for (; i + 16 <= n; i += 16)
        sum -= heads_below_4(heads + i, h) + heads_below_4(heads + i + 4, h) +
               heads_below_4(heads + i + 8, h) +
               heads_below_4(heads + i + 12, h);
    u32 below = sum[0] + sum[1] + sum[2] + sum[3];
    return i < n ? below + heads_count_16(heads + i, n - i, h) : below;
}

/* How many of N ascending heads are below H.
 * ns a look-up in 20-35, 60-64, 150-290, 600-680 heads, page in cache:
 *   scalar loop 14 23 63 175 | halving 21 25 36 45 | counting 12 13 24 50
 *   halving to 32, counting 13 16 29 38 | every 16th, counting 16 14 17 27
 * In memory (30 heads) counting and halving are 85 and 97: halving waits for
 * one line after the other, counting for all at once. */
static inline u32 heads_below(const u32 *heads, u32 n, u32 h)
{
    if (n <= 64) return heads_count(heads, n, h);
    const u32 *base = heads;
    while (n > 512) {
        u32 half = n / 2;
        base += base[half - 1] < h ? half : 0;
        n -= half;
    }
    u32 blocks = 0;                     /* blocks of 16 that lie below H */
    for (u32 i = 15; i < n; i += 16) blocks += base[i] < h;
    u32 at = 16 * blocks, rest = n - at < 16 ? n - at : 16;
    return (u32)(base - heads) + at + heads_count_16(base + at, rest, h);
}

/* ------------------------------------------------------------- look-ups -- */

/* Does KEY begin with the prefix?  0, or the side of the node it is on. */
static inline int prefix_compare(const struct page_head *n, luge_bytes key)
{
    u32 size = n->prefix;
    if (!size) return 0;
    if (size <= 8 && key.size >= 8) {       /* its room is a multiple of 8 */
        u32 unused = 64 - 8 * size;
        u64 k = load64_be(key.data) >> unused;
        u64 p = load64_be(node_prefix(n)) >> unused;
        return (k > p) - (k < p);
    }
    size_t common = key.size < size ? key.size : size;
    int c = common ? memcmp(key.data, node_prefix(n), common) : 0;
    if (c) return c;
    return key.size < size ? -1 : 0;
}

static inline luge_bytes rest_of(luge_bytes key, size_t prefix)
{
    return (luge_bytes){(const u8 *)key.data + prefix, key.size - prefix};
}

/* node_heads where the kind is known: one branch less in every look-up. */
static inline const u32 *slots_as_heads(const struct page_head *n,
                                        u32 children_bytes)
{
    return (const u32 *)(const void *)((const u8 *)n + node_slots_at(n) +
                                       children_bytes);
}

static inline int leaf_compare(const struct page_head *n, u32 at,
                               luge_bytes rest)
{
    return bytes_compare(node_leaf_suffix(n, at), rest);
}

static int branch_compare(const struct page_head *n, u32 at, luge_bytes rest)
{
    u8 space[NODE_SHORT_MAX];
    return bytes_compare(node_branch_suffix(n, at, space), rest);
}

/* Among the slots [lo, hi), the first that compares to REST as at least LEAST
 * (0: not below, 1: above). */
static u32 cells_bound(const struct page_head *n, u32 lo, u32 hi,
                       luge_bytes rest, int least)
{
    while (lo < hi) {
        u32 middle = (lo + hi) / 2;
        int c = n->level ? branch_compare(n, middle, rest)
                         : leaf_compare(n, middle, rest);
        if (c < least) lo = middle + 1;
        else hi = middle;
    }
    return lo;
}

/* The same among the slots from LO on whose head is H. */
static u32 equal_heads_bound(const struct page_head *n, const u32 *heads,
                             u32 lo, u32 h, luge_bytes rest, int least)
{
    u32 hi = lo + 1, count = n->count;
    if (hi < count && heads[hi] == h)
        hi = h == UINT32_MAX ? count
                             : lo + heads_below(heads + lo, count - lo, h + 1);
    return cells_bound(n, lo, hi, rest, least);
}

u32 node_branch_find(const struct page_head *n, luge_bytes key)
{
    int side = prefix_compare(n, key);
    if (unlikely(side)) return side < 0 ? 0 : n->count;
    luge_bytes rest = rest_of(key, n->prefix);
    u32 h, count = n->count;
    if (unlikely(!node_head_of(n, rest, &h)))
        return cells_bound(n, 0, count, rest, 1);
    const u32 *heads = slots_as_heads(n, 8 * (count + 1));
    u32 at = heads_below(heads, count, h);
    if (at == count || heads[at] != h) return at;
    return equal_heads_bound(n, heads, at, h, rest, 1);
}

/* The cells of one head are asked for together, before a search among them
 * waits for one after the other (get-60-t1, before there were infixes: 1.03
 * M/s, 0.96 without). */
static void prefetch_equals(const struct page_head *n, const u32 *heads,
                            u32 at, u32 h)
{
    u32 end = at + EQUALS_MAX < n->count ? at + EQUALS_MAX : n->count;
    for (; at < end && heads[at] == h; at++)
        __builtin_prefetch(node_leaf_cell(n, at));
}

/* ...and AHEAD more cells will be read, from the one that is found on. */
static inline bool leaf_find(const struct page_head *n, luge_bytes key,
                             u32 *at, u32 ahead)
{
    int side = prefix_compare(n, key);
    u32 count = n->count;
    *at = side < 0 ? 0 : count;
    if (unlikely(side)) return false;
    luge_bytes rest = rest_of(key, n->prefix);
    u32 h;
    if (unlikely(!node_head_of(n, rest, &h))) {
        *at = cells_bound(n, 0, count, rest, 0);
        return false;                        /* all keys have the infix */
    }
    const u32 *heads = slots_as_heads(n, 0);
    u32 lo = *at = heads_below(heads, count, h);
    for (u32 i = 0; i < ahead && lo + i < count; i++)
        node_leaf_prefetch(n, lo + i);
    if (lo == count || heads[lo] != h) return false;
    if (lo + 1 < count && heads[lo + 1] == h) prefetch_equals(n, heads, lo, h);
    int c = leaf_compare(n, lo, rest);
    if (c < 0) {                                 /* others of this head? */
        lo = *at = equal_heads_bound(n, heads, lo, h, rest, 0);
        c = lo < count && heads[lo] == h ? leaf_compare(n, lo, rest) : 1;
    }
    return c == 0;
}

bool node_leaf_find(const struct page_head *n, luge_bytes key, u32 *at)
{
    return leaf_find(n, key, at, 0);
}

bool node_leaf_before(const struct page_head *n, luge_bytes key)
{
    int side = prefix_compare(n, key);
    if (unlikely(side || !n->count)) return side > 0;
    return leaf_compare(n, n->count - 1u, rest_of(key, n->prefix)) < 0;
}

bool node_leaf_seek(const struct page_head *n, luge_bytes key, u32 *at)
{
    return leaf_find(n, key, at, NODE_NEAR_CELLS + 1);
}

/* ----------------------------------------------------------------- cells -- */

luge_bytes node_short_suffix(const struct page_head *n, u32 at, u8 *space)
{
    u8 head[NODE_SHORT_MAX];
    store32(head, __builtin_bswap32(node_heads(n)[at]));
    store32(space, load32(head));
    if (n->infix) {
        const struct node_infix *infix = node_infix(n);
        for (u32 i = infix->at, from = i; i < NODE_SHORT_MAX; i++)
            space[i] = i < infix->at + (u32)infix->size
                           ? infix->bytes[i - infix->at] : head[from++];
    }
    return (luge_bytes){space, node_offs(n)[at]};
}

luge_bytes node_branch_suffix(const struct page_head *n, u32 at, u8 *space)
{
    u32 off = node_offs(n)[at];
    if (off <= NODE_SHORT_MAX)                                    /* N5 */
        return node_short_suffix(n, at, space);
    const u8 *cell = (const u8 *)n + off;
    return (luge_bytes){cell + NODE_BRANCH_CELL, load16(cell)};
}

void node_cell_load(const struct page_head *n, u32 at, struct node_cell *cell)
{
    cell->prefix = (luge_bytes){node_prefix(n), n->prefix};
    if (!n->level) {
        cell->suffix = node_leaf_suffix(n, at);
        (void)node_leaf_value(n, at, &cell->value);
        cell->info = (u16)node_value_info(n, at);
        return;
    }
    cell->child = node_child(n, at + 1);
    cell->suffix = node_branch_suffix(n, at, cell->shown);
}

luge_bytes node_cell_key(const struct node_cell *cell, u8 *space)
{
    if (!cell->prefix.size) return cell->suffix;
    memcpy(space, cell->prefix.data, cell->prefix.size);
    memcpy(space + cell->prefix.size, cell->suffix.data, cell->suffix.size);
    return (luge_bytes){space, cell->prefix.size + cell->suffix.size};
}

size_t node_common(luge_bytes a, luge_bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size, i = 0;
    const u8 *p = a.data, *q = b.data;
    for (; i + 8 <= size; i += 8) {
        u64 differ = load64(p + i) ^ load64(q + i);
        if (differ) return i + (u32)__builtin_ctzll(differ) / 8;
    }
    while (i < size && p[i] == q[i]) i++;
    return i;
}

/* -------------------------------------------------------------- changes -- */

/* What an inserted key of REST bytes after the prefix takes from the gap. */
static u32 insert_room(const struct page_head *n, size_t rest, size_t value)
{
    if (!n->level)
        return NODE_LEAF_SLOT + NODE_LEAF_CELL + (u32)rest + (u32)value;
    return NODE_BRANCH_SLOT +
           (rest <= NODE_SHORT_MAX ? 0 : NODE_BRANCH_CELL + (u32)rest);
}

/* Write the cell of REST under cell_low; its offset. */
static u16 cell_place(struct page_head *n, luge_bytes rest,
                      const struct node_cell *cell)
{
    u32 header = n->level ? NODE_BRANCH_CELL : NODE_LEAF_CELL;
    if (n->level && rest.size <= NODE_SHORT_MAX) return (u16)rest.size;
    size_t value = n->level ? 0 : cell->value.size;
    u32 low = node_cell_low(n) - header - (u32)(rest.size + value);
    u8 *to = (u8 *)n + low;
    store16(to, (u16)rest.size);
    if (!n->level) store16(to + 2, cell->info);
    if (rest.size) memcpy(to + header, rest.data, rest.size);
    if (value) memcpy(to + header + rest.size, cell->value.data, value);
    n->cell_low = (u16)low;
    return (u16)low;
}

/* Open slot AT: every array above it grows by one, the highest moves first. */
static void slots_open(struct page_head *n, u32 at)
{
    u32 count = n->count, tail = count - at, child = n->level ? 8 : 0;
    u8 *heads = (u8 *)n + node_heads_at(n), *offs = heads + 4 * count;
    u8 *new_heads = heads + child, *new_offs = offs + child + 4;
    if (tail) memmove(new_offs + 2 * (at + 1), offs + 2 * at, 2 * tail);
    memmove(new_offs, offs, 2 * at);
    if (tail) memmove(new_heads + 4 * (at + 1), heads + 4 * at, 4 * tail);
    if (child) {
        memmove(new_heads, heads, 4 * at);
        memmove(heads + 8 - 8 * tail, heads - 8 * tail, 8 * tail);
    }
    n->count = (u16)(count + 1);
}

/* Close slot AT; of a branch also the child left (0) or right (1) of it. */
static void slots_close(struct page_head *n, u32 at, u32 side)
{
    u32 count = n->count, tail = count - at - 1, child = n->level ? 8 : 0;
    u8 *heads = (u8 *)n + node_heads_at(n), *offs = heads + 4 * count;
    u8 *new_heads = heads - child, *new_offs = offs - child - 4;
    if (child) {
        u32 after = tail + 1 - side;           /* children behind that one */
        memmove(heads - 8 * after - 8, heads - 8 * after, 8 * after);
        memmove(new_heads, heads, 4 * at);
    }
    memmove(new_heads + 4 * at, heads + 4 * (at + 1), 4 * tail);
    memmove(new_offs, offs, 2 * at);
    memmove(new_offs + 2 * at, offs + 2 * (at + 1), 2 * tail);
    n->count = (u16)(count - 1);
}

/* Is there room in N as it is for CELL?  *rest, *head: what it would have. */
static inline bool has_room(const struct page_head *n,
                            const struct node_cell *cell, luge_bytes *rest,
                            u32 *head)
{
    luge_bytes key = cell->suffix;
    assert(!cell->prefix.size);
    if (n->count == NODE_KEYS_MAX || prefix_compare(n, key)) return false;
    *rest = rest_of(key, n->prefix);
    return insert_room(n, rest->size, cell->value.size) <=
               node_cell_low(n) - node_slots_end(n) &&
           node_head_of(n, *rest, head);
}

static inline void insert(struct page_head *n, u32 at, luge_bytes rest,
                          u32 head, const struct node_cell *cell)
{
    u16 off = cell_place(n, rest, cell);
    slots_open(n, at);
    u8 *base = (u8 *)n;
    store32(base + node_heads_at(n) + 4 * at, head);
    store16(base + node_offs_at(n) + 2 * at, off);
    if (n->level) node_set_child(n, at + 1, cell->child);
    n->run = node_run_next(n->run, at);
}

bool node_insert(struct page_head *n, u32 at, const struct node_cell *cell)
{
    luge_bytes rest;
    u32 head;
    assert(at <= n->count);
    if (!has_room(n, cell, &rest, &head)) return false;
    insert(n, at, rest, head, cell);
    return true;
}

/* Does a key of REST and HEAD come behind all keys of the leaf N? */
static inline bool is_behind(const struct page_head *n, luge_bytes rest,
                             u32 head)
{
    u32 last = n->count - 1u, h = slots_as_heads(n, 0)[last];
    return head != h ? head > h : leaf_compare(n, last, rest) < 0;
}

bool node_leaf_append(struct page_head *n, const struct node_cell *cell)
{
    luge_bytes rest;
    u32 head, count = n->count;
    assert(!n->level);
    if (!count || !has_room(n, cell, &rest, &head) ||
        !is_behind(n, rest, head))
        return false;
    insert(n, count, rest, head, cell);
    return true;
}

/* SIZE bytes at OFF are nobody's any more. */
static void cell_free(struct page_head *n, u32 off, u32 size)
{
    if (off == node_cell_low(n)) n->cell_low = (u16)(off + size);
    else n->dead = (u16)(n->dead + size);
}

/* A removed slot moves the last insert's place. */
static u16 run_after_remove(u16 run, u32 at)
{
    return (u32)(run >> 3) > at ? (u16)(run - 8) : run;
}

void node_leaf_remove(struct page_head *n, u32 at)
{
    assert(at < n->count);
    luge_bytes value;
    node_leaf_value(n, at, &value);
    u32 size = NODE_LEAF_CELL + (u32)node_leaf_suffix(n, at).size +
               (u32)value.size;
    cell_free(n, node_offs(n)[at], size);
    slots_close(n, at, 0);
    n->run = run_after_remove(n->run, at);
}

void node_branch_remove(struct page_head *n, u32 at, u32 side)
{
    assert(at < n->count && side <= 1);
    u32 off = node_offs(n)[at];
    if (off > NODE_SHORT_MAX)
        cell_free(n, off, NODE_BRANCH_CELL + load16((const u8 *)n + off));
    slots_close(n, at, side);
    n->run = run_after_remove(n->run, at);
}

bool node_leaf_overwrite(struct page_head *n, u32 at,
                         const struct node_cell *cell)
{
    luge_bytes old;
    node_leaf_value(n, at, &old);
    if (cell->value.size > old.size) return false;
    u8 *to = (u8 *)n + ((const u8 *)old.data - (const u8 *)n);
    store16((u8 *)n + node_offs(n)[at] + 2, cell->info);
    if (cell->value.size) memcpy(to, cell->value.data, cell->value.size);
    n->dead = (u16)(n->dead + (old.size - cell->value.size));     /* N3 */
    return true;
}

/* Under a quarter.  At a lower mark the work saved is small, at a higher one
 * a node that was just cut could be joined again. */
bool node_underfull(const struct page_head *n, u32 bytes)
{
    return n->count == 0 || node_used(n, bytes) < bytes / 4;
}

/* ----------------------------------------------------------------- runs -- */

int node_run_kind(u16 run)
{
    if ((run & 3) < 2) return RUN_NONE;
    return run & 4 ? RUN_DESCENDING : RUN_ASCENDING;
}
