/* tree/strip.c -- nodes made anew: rebuilt, cut in two, joined.
 *
 * A strip is the list of items that one or two nodes are to hold, taken from
 * up to two nodes and at most one fresh item:
 *
 *     before[0 .. count_before)   fresh   after[from_after .. )
 *
 * Every new layout goes through it: compaction (the strip of one node and a
 * fresh item), a prefix that a new key does not share (the same), a split
 * (build twice), a join and a balance (the strip of two neighbours).
 *   S1  A built node has the longest prefix its keys allow that saves as much
 *       as the room for it takes, and no dead bytes.  So no leaf becomes larger
 *       when it is made anew.
 *   S2  Sizes are computed exactly for the prefix a node will have, before
 *       anything is written: a shorter prefix makes every cell longer.
 * Not here: which node to cut or join (tree/tree.c), infixes (tree/infix.c).
 */
#include "tree/node.h"

struct node_strip node_strip_insert(const struct page_head *n, u32 at,
                                    const struct node_cell *fresh)
{
    return (struct node_strip){
        .before = n, .after = n, .fresh = fresh, .count_before = at,
        .from_after = at, .count = n->count + 1u, .leaf = !n->level,
        .lead = n->level ? node_child(n, 0) : PAGE_NONE};
}

struct node_strip node_strip_join(const struct page_head *left,
                                  const struct node_cell *fresh,
                                  const struct page_head *right)
{
    return (struct node_strip){
        .before = left, .after = right, .fresh = fresh,
        .count_before = left->count, .leaf = !left->level,
        .count = (u32)left->count + right->count + (fresh ? 1 : 0),
        .lead = left->level ? node_child(left, 0) : PAGE_NONE};
}

/* Item I, shown in SPACE unless it is the fresh one. */
static const struct node_cell *strip_cell(const struct node_strip *s, u32 i,
                                          struct node_cell *space)
{
    if (i < s->count_before) {
        node_cell_load(s->before, i, space);
        return space;
    }
    i -= s->count_before;
    if (s->fresh && i-- == 0) return s->fresh;
    node_cell_load(s->after, s->from_after + i, space);
    return space;
}

static luge_bytes strip_key(const struct node_strip *s, u32 i, u8 *space)
{
    struct node_cell cell;
    luge_bytes key = node_cell_key(strip_cell(s, i, &cell), space);
    if (key.data != cell.shown) return key;
    memcpy(space, cell.shown, key.size);            /* CELL ends here */
    return (luge_bytes){space, key.size};
}

static u32 strip_key_size(const struct node_strip *s, u32 i)
{
    struct node_cell space;
    const struct node_cell *cell = strip_cell(s, i, &space);
    return (u32)(cell->prefix.size + cell->suffix.size);
}

/* What the items [from, to) have in common: what the outermost have (N1).  The
 * last bytes of it may cost eight and save fewer (S1). */
static u32 strip_prefix(const struct node_strip *s, u32 from, u32 to)
{
    u8 first[LUGE_KEY_SIZE_MAX], last[LUGE_KEY_SIZE_MAX];
    if (from == to) return 0;
    u32 common = (u32)node_common(strip_key(s, from, first),
                                  strip_key(s, to - 1, last));
    u32 tail = common % 8;
    return (to - from) * tail < 8 ? common - tail : common;
}

static bool strip_ascends(const struct node_strip *s, u32 i)
{
    u8 low[LUGE_KEY_SIZE_MAX], high[LUGE_KEY_SIZE_MAX];
    return bytes_compare(strip_key(s, i, low), strip_key(s, i + 1, high)) < 0;
}

bool node_strip_ordered(const struct node_strip *s)
{
    u32 seam = s->count_before;
    if (seam && seam < s->count && !strip_ascends(s, seam - 1)) return false;
    return !s->fresh || seam + 1 >= s->count || strip_ascends(s, seam);
}

/* ----------------------------------------------------------------- sizes -- */

/* The bytes that CELL takes in a node with a prefix of PREFIX bytes. */
static u32 cell_room(const struct node_cell *cell, u32 prefix, bool leaf)
{
    u32 rest = (u32)(cell->prefix.size + cell->suffix.size) - prefix;
    if (leaf)
        return NODE_LEAF_SLOT + NODE_LEAF_CELL + rest + (u32)cell->value.size;
    return NODE_BRANCH_SLOT +
           (rest <= NODE_SHORT_MAX ? 0 : NODE_BRANCH_CELL + rest);
}

static u32 strip_room(const struct node_strip *s, u32 from, u32 to, u32 prefix)
{
    struct node_cell space;
    u32 room = 0;
    for (u32 i = from; i < to; i++)
        room += cell_room(strip_cell(s, i, &space), prefix, s->leaf);
    return room;
}

bool node_strip_fits(const struct node_strip *s, u32 from, u32 to, u32 limit)
{
    if (to - from > NODE_KEYS_MAX) return false;
    u32 prefix = strip_prefix(s, from, to);
    u32 head = (u32)sizeof(struct page_head) + node_prefix_room(prefix) +
               (s->leaf ? 0 : 8);
    return head + strip_room(s, from, to, prefix) <= limit;
}

bool node_strip_dense(const struct node_strip *s)
{
    const struct page_head *n = s->before;
    return n->count && !n->dead && !n->infix &&
           strip_prefix(s, 0, s->count) == n->prefix;
}

/* -------------------------------------------------------------- building -- */

/* At most MAX bytes of CELL's key from SKIP on; how many there are. */
static u32 key_copy(const struct node_cell *cell, u32 skip, u32 max, u8 *to)
{
    u32 done = 0, prefix = (u32)cell->prefix.size;
    if (skip < prefix) {
        done = prefix - skip < max ? prefix - skip : max;
        memcpy(to, (const u8 *)cell->prefix.data + skip, done);
        skip = prefix;
    }
    u32 rest = (u32)cell->suffix.size - (skip - prefix);
    if (rest > max - done) rest = max - done;
    if (rest)
        memcpy(to + done, (const u8 *)cell->suffix.data + (skip - prefix),
               rest);
    return done + rest;
}

/* Write CELL so that it ends at LOW; where it begins. */
static u32 leaf_cell_write(struct page_head *n, u32 low, u32 prefix,
                           const struct node_cell *cell)
{
    u32 rest = (u32)(cell->prefix.size + cell->suffix.size) - prefix;
    u32 value = (u32)cell->value.size;
    low -= NODE_LEAF_CELL + rest + value;
    u8 *to = (u8 *)n + low;
    store16(to, (u16)rest);
    store16(to + 2, cell->info);
    key_copy(cell, prefix, rest, to + NODE_LEAF_CELL);
    if (value) memcpy(to + NODE_LEAF_CELL + rest, cell->value.data, value);
    return low;
}

static u32 branch_cell_write(struct page_head *n, u32 low, u32 prefix,
                             const struct node_cell *cell)
{
    u32 rest = (u32)(cell->prefix.size + cell->suffix.size) - prefix;
    low -= NODE_BRANCH_CELL + rest;
    u8 *to = (u8 *)n + low;
    store16(to, (u16)rest);
    key_copy(cell, prefix, rest, to + NODE_BRANCH_CELL);
    return low;
}

static u32 cell_head(const struct node_cell *cell, u32 prefix, u32 *size)
{
    u8 bytes[4] = {0};
    *size = key_copy(cell, prefix, sizeof bytes, bytes);
    return __builtin_bswap32(load32(bytes));
}

static void build_prefix(struct page_head *n, const struct node_strip *s,
                         u32 from, u32 to)
{
    struct node_cell space;
    u32 prefix = strip_prefix(s, from, to);
    n->prefix = prefix & 0xfff;
    n->infix = 0;
    if (prefix)
        key_copy(strip_cell(s, from, &space), 0, prefix, (u8 *)(n + 1));
}

void node_build(struct page_head *n, u32 bytes, const struct node_strip *s,
                u32 from, u32 to)
{
    struct node_cell space;
    n->count = (u16)(to - from);
    n->dead = 0;
    n->run = 0;
    build_prefix(n, s, from, to);
    u32 low = bytes, prefix = n->prefix;
    u8 *heads = (u8 *)n + node_heads_at(n), *offs = (u8 *)n + node_offs_at(n);
    if (!s->leaf)
        node_set_child(n, 0, from ? strip_cell(s, from - 1, &space)->child
                                  : s->lead);
    for (u32 i = n->count; i-- > 0;) {      /* so that a scan reads upwards */
        const struct node_cell *cell = strip_cell(s, from + i, &space);
        u32 size, off;
        store32(heads + 4 * i, cell_head(cell, prefix, &size));
        if (s->leaf) {
            off = low = leaf_cell_write(n, low, prefix, cell);
        } else {
            node_set_child(n, i + 1, cell->child);
            off = (u32)(cell->prefix.size + cell->suffix.size) - prefix;
            if (off > NODE_SHORT_MAX)
                off = low = branch_cell_write(n, low, prefix, cell);
        }
        store16(offs + 2 * i, (u16)off);
    }
    n->cell_low = (u16)low;
    node_infix_find(n);
}

/* --------------------------------------------------------------- cutting -- */

/* Left of CUT there is what is in BEFORE already. */
static bool cut_keeps(const struct node_strip *s, u32 cut)
{
    return cut == s->count_before && cut == s->before->count;
}

static bool cut_fits(const struct node_strip *s, u32 bytes, u32 cut)
{
    u32 right = node_strip_right(s, cut);
    return cut >= 1 && right < s->count &&
           (cut_keeps(s, cut) || node_strip_fits(s, 0, cut, bytes)) &&
           node_strip_fits(s, right, s->count, bytes);
}

/* An ascending run will go on behind the fresh item, so that is where the left
 * node ends and keeps its room: appends leave full nodes behind, also many
 * interleaved streams of them.  A descending run is the mirror image. */
static u32 cut_for_run(const struct node_strip *s, u32 bytes, int kind)
{
    u32 fresh = s->count_before, cut;
    if (kind == RUN_ASCENDING)
        cut = fresh + 1 == s->count ? fresh - !s->leaf : fresh + 1;
    else if (s->leaf)
        cut = fresh ? fresh : 1;
    else
        cut = fresh > 1 ? fresh - 1 : 1;
    if (cut_fits(s, bytes, cut)) return cut;
    cut = kind == RUN_ASCENDING ? cut - 1 : cut + 1;
    return cut_fits(s, bytes, cut) ? cut : 0;
}

/* The size of the key that CUT would send up. */
static u32 cut_cost(const struct node_strip *s, u32 cut)
{
    u8 low[LUGE_KEY_SIZE_MAX], high[LUGE_KEY_SIZE_MAX];
    if (!s->leaf) return strip_key_size(s, cut);
    return (u32)node_common(strip_key(s, cut - 1, low),
                            strip_key(s, cut, high)) + 1;
}

/* The item at which half of the bytes are reached. */
static u32 cut_middle(const struct node_strip *s)
{
    struct node_cell space;
    u32 prefix = strip_prefix(s, 0, s->count), sum = 0, i = 0;
    u32 half = strip_room(s, 0, s->count, prefix) / 2;
    while (node_strip_right(s, i + 1) < s->count && sum < half)
        sum += cell_room(strip_cell(s, i++, &space), prefix, s->leaf);
    return i;
}

/* Near the middle: the cut with the shortest separator, then the nearest. */
static u32 cut_near_middle(const struct node_strip *s, u32 bytes)
{
    u32 middle = cut_middle(s), best = 0, best_cost = UINT32_MAX;
    u32 reach = s->count / 16 < 8 ? s->count / 16 : 8;
    for (u32 i = 0; i <= 2 * reach; i++) {
        u32 cut = i & 1 ? middle + (i + 1) / 2 : middle - i / 2;
        if (cut < 1 || node_strip_right(s, cut) >= s->count) continue;
        u32 cost = cut_cost(s, cut);
        if (cost < best_cost) {
            best_cost = cost;
            best = cut;
        }
    }
    return best && cut_fits(s, bytes, best) ? best : 0;
}

/* Any cut that fits, the nearest to the fresh item: needed when it does not
 * share the node's long prefix and must leave it.  By N8 there is one. */
static u32 cut_near_fresh(const struct node_strip *s, u32 bytes)
{
    u32 fresh = s->count_before;
    for (u32 away = 0; away <= s->count; away++) {
        if (fresh + away < s->count && cut_fits(s, bytes, fresh + away))
            return fresh + away;
        if (away <= fresh && cut_fits(s, bytes, fresh - away))
            return fresh - away;
    }
    return 0;
}

u32 node_strip_cut(const struct node_strip *s, u32 bytes, u16 run)
{
    int kind = node_run_kind(node_run_next(run, s->count_before));
    u32 cut = 0;
    if (kind != RUN_NONE) cut = cut_for_run(s, bytes, kind);
    if (!cut) cut = cut_near_middle(s, bytes);
    return cut ? cut : cut_near_fresh(s, bytes);
}

luge_bytes node_strip_separator(const struct node_strip *s, u32 cut,
                                u8 *space)
{
    u8 low[LUGE_KEY_SIZE_MAX];
    luge_bytes key = strip_key(s, cut, space);
    if (key.data != space && key.size) memcpy(space, key.data, key.size);
    if (s->leaf) key.size = node_common(strip_key(s, cut - 1, low), key) + 1;
    return (luge_bytes){space, key.size};
}
