/* tree/check.c -- the provers: of one page's bytes, of a whole tree.
 *
 * node_validate runs at a process's first touch of every page of the file, on
 * bytes that may be anything: it is what all other functions of tree/ rely on,
 * and it has to be fast (docs: N1-N9 in tree/node.h).  Cells may not overlap,
 * since a change in one would otherwise unmake another that was proved; a map
 * with a bit for each byte of the page shows it.
 * tree_check walks a tree in the order of its keys.  Keys and separators form
 * one sequence there: if each is above the one before, then every key is
 * within all separators above it (T1).
 * Not here: checksums (page/), what belongs to which tree (store/).
 */
#include "tree/patch.h"
#include "tree/tree.h"
#include "tree/walk.h"

/* ------------------------------------------------------------- one page -- */

struct page_proof {
    const struct page_head *n;
    u32 bytes, low;
    u32 cells;                     /* bytes of all cells */
    bool published;
    luge_bytes before;             /* the suffix of the slot before */
    u64 taken[65536 / 64];         /* the bytes that cells occupy */
};

/* Take SIZE bytes at OFF, all at or above cell_low; false if some are taken. */
static bool bytes_take(struct page_proof *p, u32 off, u32 size)
{
    u64 twice = 0;
    p->cells += size;
    for (u32 word = off / 64, bit = off % 64; size; word++, bit = 0) {
        u32 n = size < 64 - bit ? size : 64 - bit;
        u64 mask = ~(u64)0 >> (64 - n) << bit;
        twice |= p->taken[word] & mask;
        p->taken[word] |= mask;
        size -= n;
    }
    return !twice;
}

static bool cell_allowed(const struct page_proof *p, u32 off, u32 size,
                         u32 suffix, u32 slot)
{
    u32 key = p->n->prefix + suffix;
    return size <= p->bytes - off && key <= LUGE_KEY_SIZE_MAX &&
           slot + p->n->prefix + size <= node_cell_max(p->bytes);
}

static bool ref_plausible(const struct page_proof *p, page_ref ref)
{
    if (page_is_private(ref)) return !p->published;
    return ref >= 2 && ref < PAGE_NUMBER_MAX;
}

static bool extent_plausible(const struct page_proof *p, const u8 *at)
{
    struct page_extent extent;
    memcpy(&extent, at, sizeof extent);
    return extent.size && extent.size <= LUGE_VALUE_SIZE_MAX &&
           ref_plausible(p, extent.first);
}

static bool leaf_slot_valid(struct page_proof *p, u32 i, luge_bytes *suffix)
{
    u32 off = node_offs(p->n)[i];
    if (off < p->low || off + NODE_LEAF_CELL > p->bytes) return false;
    const u8 *cell = (const u8 *)p->n + off;
    u32 size = load16(cell), info = load16(cell + 2);
    bool patch = walk_is_patch(p->n);
    u32 value = info == NODE_EXTENT ? (u32)sizeof(struct page_extent)
                : patch && info == NODE_GONE ? 0 : info;
    u32 all = NODE_LEAF_CELL + size + value;
    *suffix = (luge_bytes){cell + NODE_LEAF_CELL, size};
    return cell_allowed(p, off, all, size, NODE_LEAF_SLOT) &&
           bytes_take(p, off, all) &&
           (info != NODE_EXTENT ||
            (!patch && extent_plausible(p, cell + NODE_LEAF_CELL + size)));
}

/* A short suffix is shown in SPACE. */
static bool branch_slot_valid(struct page_proof *p, u32 i, u8 *space,
                              luge_bytes *suffix)
{
    u32 off = node_offs(p->n)[i];
    if (off <= NODE_SHORT_MAX) {                                  /* N5 */
        *suffix = node_short_suffix(p->n, i, space);
        return p->n->prefix + off <= LUGE_KEY_SIZE_MAX;
    }
    if (off < p->low || off + NODE_BRANCH_CELL > p->bytes) return false;
    const u8 *cell = (const u8 *)p->n + off;
    u32 size = load16(cell), all = NODE_BRANCH_CELL + size;
    *suffix = (luge_bytes){cell + NODE_BRANCH_CELL, size};
    return size > NODE_SHORT_MAX &&
           cell_allowed(p, off, all, size, NODE_BRANCH_SLOT) &&
           bytes_take(p, off, all);
}

static int slots_validate(struct page_proof *p)
{
    const struct page_head *n = p->n;
    const u32 *heads = node_heads(n);
    u8 space[2][NODE_SHORT_MAX];
    for (u32 i = 0; i < n->count; i++) {
        luge_bytes suffix = {0};
        if (!(n->level ? branch_slot_valid(p, i, space[i & 1], &suffix)
                       : leaf_slot_valid(p, i, &suffix)))
            return CORRUPT("slot %u of a node has an impossible cell", i);
        u32 head;
        if (!node_head_of(n, suffix, &head) || heads[i] != head)  /* N9 */
            return CORRUPT("slot %u of a node has a wrong head", i);
        if (i && (heads[i - 1] > heads[i] ||
                  (heads[i - 1] == heads[i] &&
                   bytes_compare(p->before, suffix) >= 0)))
            return CORRUPT("keys %u and %u of a node do not ascend", i - 1, i);
        p->before = suffix;
    }
    if (p->cells + n->dead != p->bytes - p->low)                  /* N3 */
        return CORRUPT("a node of %u bytes of cells counts %u and %u dead",
                       p->bytes - p->low, p->cells, n->dead);
    return 0;
}

static bool infix_valid(const struct page_head *n)
{
    if (walk_is_patch(n)) return !n->prefix && n->infix == PATCH_INFIX;
    const struct node_infix *infix = node_infix(n);
    return !n->infix || (infix->at >= 1 && infix->at <= 3 && infix->size &&
                         node_infix_words(infix->size) == n->infix);
}

static int children_validate(const struct page_proof *p)
{
    if (walk_is_patch(p->n) && !ref_plausible(p, patch_below(p->n)))
        return CORRUPT("below a patch is no page: %llx",
                       (unsigned long long)patch_below(p->n));
    if (!p->n->level) return 0;
    for (u32 i = 0; i <= p->n->count; i++)
        if (!ref_plausible(p, node_child(p->n, i)))
            return CORRUPT("child %u of a node is no page: %llx", i,
                           (unsigned long long)node_child(p->n, i));
    return 0;
}

int node_validate(const struct page_head *n, u32 bytes, bool published)
{
    struct page_proof p;
    if (n->level >= NODE_LEVELS_MAX ||
        (walk_is_patch(n) ? n->level : !walk_level_is(n, n->level)))
        return CORRUPT("a node of kind %u at level %u", n->kind, n->level);
    if (!n->count || n->prefix > LUGE_KEY_SIZE_MAX)               /* N6, N4 */
        return CORRUPT("a node of %u keys with a prefix of %u bytes",
                       n->count, n->prefix);
    u32 low = node_cell_low(n);
    if (low > bytes || node_slots_end(n) > low)                   /* N2 */
        return CORRUPT("a node whose %u slots reach into its cells at %u",
                       n->count, low);
    if (!infix_valid(n)) return CORRUPT("a node with an impossible infix");
    p.n = n;
    p.bytes = bytes;
    p.low = low;
    p.cells = 0;
    p.published = published;
    p.before = (luge_bytes){0};
    memset(p.taken, 0, bytes / 8);
    int rc = slots_validate(&p);
    return rc ? rc : children_validate(&p);
}

int tree_page_validate(const struct page_head *page, u32 page_bytes_)
{
    return node_validate(page, page_bytes_, true);
}

/* ---------------------------------------------------------- a whole tree -- */

struct tree_proof {
    struct page_file *file;
    int (*page_seen)(void *context, page_ref ref, u64 pages);
    void *context;
    const struct tree_witness *witness;    /* instead of page_seen */
    struct tree_totals *totals;
    u32 page_bytes;
    bool any, key;                 /* was there a key or separator; a key? */
    u8 last[LUGE_KEY_SIZE_MAX];    /* it */
    size_t last_size;
    u8 space[LUGE_KEY_SIZE_MAX];
};

/* The next key or separator in order.  A separator may equal the key that
 * follows it, and nothing else may be equal. */
static int proof_follow(struct tree_proof *p, luge_bytes next, bool is_key)
{
    if (p->any) {
        int c = bytes_compare((luge_bytes){p->last, p->last_size}, next);
        if (c > 0 || (c == 0 && (p->key || !is_key)))             /* T1 */
            return CORRUPT("a %s out of order at level %s",
                           is_key ? "key" : "separator",
                           is_key ? "0" : "1 or above");
    }
    if (next.size) memcpy(p->last, next.data, next.size);
    p->last_size = next.size;
    p->any = true;
    p->key = is_key;
    return 0;
}

static luge_bytes proof_key(struct tree_proof *p, const struct page_head *n,
                            u32 at)
{
    struct node_cell cell;
    node_cell_load(n, at, &cell);
    luge_bytes key = node_cell_key(&cell, p->space);
    if (key.data != cell.shown) return key;
    memcpy(p->space, cell.shown, key.size);
    return (luge_bytes){p->space, key.size};
}

static int proof_seen(struct tree_proof *p, page_ref ref, u64 pages, u64 born,
                      u64 own)
{
    const struct tree_witness *w = p->witness;
    if (w)
        return page_is_private(ref)
                   ? 0 : w->seen(w->context, ref, pages, born, own);
    return p->page_seen ? p->page_seen(p->context, ref, pages) : 0;
}

/* 1: it, and so what is below, was proved before. */
static int proof_page(struct tree_proof *p, page_ref ref,
                      const struct page_head *n)
{
    int rc = proof_seen(p, ref, 1, n->birth, 0);
    if (!rc) rc = node_validate(n, p->page_bytes, !page_is_private(ref));
    if (rc) return rc;
    if (n->level) walk_will_need(p->file, n, 0, n->count);
    p->totals->branch_pages += n->level != 0;
    p->totals->leaf_pages += n->level == 0;
    return rc;
}

static int proof_value(struct tree_proof *p, const struct page_head *leaf,
                       u32 at)
{
    luge_bytes value;
    struct page_extent extent;
    bool large = node_leaf_value(leaf, at, &value);
    if (large) memcpy(&extent, value.data, sizeof extent);
    if (large && !page_is_private(extent.first)) {
        u64 pages = round_up(extent.size, p->page_bytes) / p->page_bytes;
        luge_bytes key = proof_key(p, leaf, at);
        int rc = proof_seen(p, extent.first, pages, page_extent_born(&extent),
                            base_hash(key.data, key.size, key.size) | 1);
        if (rc < 0) return rc;
        p->totals->extent_pages += pages;
    }
    int rc = walk_value(p->file, leaf, at, &value);
    if (!rc) p->totals->value_bytes += value.size;
    return rc;
}

/* Within a page the keys ascend (N1): the first and the last are enough. */
static int proof_leaf(struct tree_proof *p, const struct page_head *leaf)
{
    int rc = proof_follow(p, proof_key(p, leaf, 0), true);
    if (!rc && leaf->count > 1)
        rc = proof_follow(p, proof_key(p, leaf, leaf->count - 1u), true);
    for (u32 i = 0; !rc && i < leaf->count; i++) {
        p->totals->key_bytes += leaf->prefix + node_leaf_suffix(leaf, i).size;
        rc = proof_value(p, leaf, i);
    }
    p->totals->count += leaf->count;
    return rc;
}

/* The first or the last key below N, which was proved before. */
static int proof_edge(struct tree_proof *p, const struct page_head *n,
                      bool last)
{
    int rc = 0;
    while (!rc && n->level)
        rc = walk_child(p->file, n, last ? n->count : 0, &n);
    if (rc) return rc;
    return proof_follow(p, proof_key(p, n, last ? n->count - 1u : 0), true);
}

/* N was proved as a part of another tree: its place in this one, its keys. */
static int proof_known(struct tree_proof *p, page_ref ref,
                       const struct page_head *n)
{
    const u64 *below = n->level ? p->witness->count_of(p->witness->context,
                                                       ref) : NULL;
    if (n->level && !below) return NOMEM();
    u64 count = below ? *below : n->count;
    p->totals->count += count;
    int rc = proof_edge(p, n, false);
    return rc || count < 2 ? rc : proof_edge(p, n, true);
}

struct proof_step {
    const struct page_head *page;
    page_ref ref;
    u32 at;
    u64 before;                    /* keys counted before it */
};

/* Enter child AT of the node above STEP, or the root.  1: it is done. */
static int proof_enter(struct tree_proof *p, struct proof_step *step)
{
    step->at = 0;
    step->before = p->totals->count;
    int rc = proof_page(p, step->ref, step->page);
    if (rc <= 0) return rc;
    rc = proof_known(p, step->ref, step->page);
    return rc ? rc : 1;
}

static int proof_leave(struct tree_proof *p, const struct proof_step *step)
{
    if (!p->witness || !step->page->level || page_is_private(step->ref))
        return 0;
    u64 *below = p->witness->count_of(p->witness->context, step->ref);
    if (!below) return NOMEM();
    *below = p->totals->count - step->before;
    return 0;
}

/* Depth first, with a place kept for each level. */
static int proof_walk(struct tree_proof *p, page_ref root)
{
    struct proof_step step[TREE_DEPTH_MAX];
    const struct page_head *n = NULL;
    int rc = walk_root(p->file, root, &n);
    if (rc) return rc;
    u32 level = n->level, top = level;
    step[level].page = n, step[level].ref = root;
    p->totals->depth = top + 1;
    rc = proof_enter(p, &step[level]);
    if (rc) return rc < 0 ? rc : 0;
    while (!rc && level <= top) {
        n = step[level].page;
        if (!level) rc = proof_leaf(p, n);
        if (!level || step[level].at > n->count) {
            if (!rc) rc = proof_leave(p, &step[level]);
            level++;
            continue;
        }
        u32 at = step[level].at++;
        if (at) rc = proof_follow(p, proof_key(p, n, at - 1), false);
        if (!rc) rc = walk_child(p->file, n, at, &step[--level].page);
        if (rc) break;
        step[level].ref = node_child(n, at);
        rc = proof_enter(p, &step[level]);
        if (rc == 1) {
            rc = 0;
            level++;
        }
    }
    return rc;
}

/* What the cells of a patch make of the keys BELOW. */
static int proof_cells(struct tree_proof *p, const struct page_head *patch,
                       page_ref below)
{
    int rc = 0;
    for (u32 i = 0; i < patch->count && !rc; i++) {
        luge_bytes value, key = patch_key(patch, i);
        bool gone = patch_gone(patch, i);
        rc = tree_get(p->file, below, key, &value);
        if (rc && rc != LUGE_NOTFOUND) return rc;
        if (rc && gone)                                           /* Z3 */
            return CORRUPT("a patch removes a key that is not below it");
        p->totals->count += rc ? 1 : gone ? (u64)-1 : 0;
        (void)node_leaf_value(patch, i, &value);
        p->totals->key_bytes += key.size;
        p->totals->value_bytes += value.size;
        rc = 0;
    }
    return rc;
}

static int proof_patch(struct tree_proof *p, const struct page_head *patch,
                       page_ref root)
{
    page_ref below = patch_below(patch);
    int rc = proof_page(p, root, patch);
    if (rc < 0) return rc;
    rc = proof_walk(p, below);
    return rc ? rc : proof_cells(p, patch, below);
}

static int proof_tree(struct tree_proof *p, const struct tree *t)
{
    const struct page_head *patch;
    page_ref below;
    *p->totals = (struct tree_totals){0};
    int rc = patch_open(p->file, t->root, &patch, &below);
    if (!rc && patch) rc = proof_patch(p, patch, t->root);
    else if (!rc && below != PAGE_NONE) rc = proof_walk(p, below);
    if (!rc && p->totals->count != t->count)                      /* T3 */
        rc = CORRUPT("a tree of %llu keys counts %llu",
                     (unsigned long long)p->totals->count,
                     (unsigned long long)t->count);
    return rc;
}

int tree_check(struct page_file *f, const struct tree *t,
               int (*page_seen)(void *context, page_ref ref, u64 pages),
               void *context, struct tree_totals *totals)
{
    struct tree_totals own;
    struct tree_proof p = {.file = f, .page_seen = page_seen,
                           .context = context, .page_bytes = page_bytes(f),
                           .totals = totals ? totals : &own};
    return proof_tree(&p, t);
}

int tree_check_shared(struct page_file *f, const struct tree *t,
                      const struct tree_witness *witness,
                      struct tree_totals *totals)
{
    struct tree_proof p = {.file = f, .witness = witness,
                           .page_bytes = page_bytes(f), .totals = totals};
    return proof_tree(&p, t);
}
