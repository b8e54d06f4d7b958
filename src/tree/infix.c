/* tree/infix.c -- heads that leave out what all keys of a node share.
 *
 * A node is built without an infix.  If many heads are equal then, one is
 * looked for, among all suffixes: of most nodes nothing but the heads is read.
 * What an infix is and why heads still ascend around it: N9 in tree/node.h.
 */
#include "tree/node.h"

bool node_infix_head(const struct node_infix *infix, luge_bytes rest,
                     u32 *head)
{
    u32 at = infix->at, size = infix->size;
    const u8 *bytes = rest.data;
    if (likely(rest.size >= at + size + 4)) {
        u32 behind = __builtin_bswap32(load32(bytes + at + size)) >> (8 * at);
        u32 before = __builtin_bswap32(load32(bytes)) >> (32 - 8 * at);
        *head = before << (32 - 8 * at) | behind;
        return !memcmp(bytes + at, infix->bytes, size);
    }
    u32 h = 0;
    for (u32 i = 0, shift = 32; i < rest.size; i++) {
        if (i >= at && i < at + size) {
            if (bytes[i] != infix->bytes[i - at]) return false;
        } else if (shift) {
            h |= (u32)bytes[i] << (shift -= 8);
        }
    }
    *head = h;
    return true;
}

/* An infix takes the fourth byte at least: heads show what stands behind a
 * shorter one as it is. */
struct infix_search {
    luge_bytes suffix;       /* of one of the keys */
    u32 differ;              /* bits that are not the same in all heads */
    u32 end;                 /* bytes [4, end) are the same in all suffixes */
};

/* One byte more than an infix may have, so that a longer one is noticed. */
static u32 search_end(luge_bytes suffix)
{
    u32 end = 1 + NODE_INFIX_MAX + 1;
    return suffix.size < end ? (u32)suffix.size : end;
}

/* Take in a SUFFIX, which may end anywhere; in DIFFER its head departs from the
 * other's.  False if nothing is left. */
static bool search_narrow(struct infix_search *x, luge_bytes suffix, u32 differ)
{
    u32 size = (u32)suffix.size, both = size < x->end ? size : x->end;
    if (unlikely(size < 4)) differ &= size ? UINT32_MAX << (32 - 8 * size) : 0;
    x->differ |= differ;
    if (x->differ & 0xff) return false;
    if (both <= 4) return true;
    const u8 *a = (const u8 *)x->suffix.data + 4;
    const u8 *b = (const u8 *)suffix.data + 4;
    u32 rest = both - 4;
    if (memcmp(a, b, rest))
        x->end = 4 + (u32)node_common((luge_bytes){a, rest},
                                      (luge_bytes){b, rest});
    return true;
}

/* The infix of all keys; false if there is none, or nothing behind it in which
 * they differ. */
static bool search(const struct page_head *n, struct node_infix *infix)
{
    const u32 *heads = node_heads(n);
    u8 shown[NODE_SHORT_MAX], space[NODE_SHORT_MAX];
    u32 count = n->count, middle = count / 2, at = 3;
    luge_bytes suffix = node_suffix(n, middle, shown);
    struct infix_search x = {.suffix = suffix, .end = search_end(suffix)};
    for (u32 i = 0; i < count; i++)
        if (!search_narrow(&x, node_suffix(n, i, space),
                           heads[i] ^ heads[middle]))
            return false;
    if (x.end == search_end(suffix)) return false;
    while (at > 1 && !(x.differ >> (32 - 8 * at) & 0xff)) at--;
    infix->at = (u8)at;
    infix->size = (u8)(x.end - at);
    memcpy(infix->bytes, (const u8 *)suffix.data + at, infix->size);
    return true;
}

static bool heads_repeat(const struct page_head *n)
{
    const u32 *heads = node_heads(n);
    u32 repeated = 0, count = n->count;
    for (u32 i = 1; i < count; i++) repeated += heads[i] == heads[i - 1];
    return repeated > count / 8;
}

void node_infix_find(struct page_head *n)
{
    struct node_infix infix;
    u8 space[NODE_SHORT_MAX];
    if (!heads_repeat(n) || !search(n, &infix)) return;
    u32 words = node_infix_words(infix.size), at = node_slots_at(n);
    u32 end = node_slots_end(n);
    if (end + 8 * words > node_cell_low(n)) return;
    u8 *page = (u8 *)n, *heads = page + node_heads_at(n);
    for (u32 i = 0; i < n->count; i++) {
        u32 head = 0;
        node_infix_head(&infix, node_suffix(n, i, space), &head);
        store32(heads + 4 * (size_t)i, head);
    }
    memmove(page + at + 8 * words, page + at, end - at);
    memcpy(page + at, &infix, 2u + infix.size);
    n->infix = words & 15;
}
