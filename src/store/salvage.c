/* store/salvage.c -- what was found of a damaged database becomes a new one
 * (salvage.h).
 *
 *   survey | catalog | the leaves and gaps of each tree | what pins reach |
 *   records of leaves | records for gaps | strays | the log | luge_check
 * Not here: finding (salvage_find.c), the log (salvage_log.c).
 */
#include <stdarg.h>
#include <stdio.h>

#include "store/salvage.h"
#include "tree/patch.h"
#include "txn/keep.h"

enum { BATCH_BYTES = 8 << 20, SENTENCE = 256, AGES_MAX = 100 };
#define IDS_GAP ((u64)1 << 40)

void salvage_say(struct salvage *s, const char *format, ...)
{
    char sentence[SENTENCE];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (s->report) s->report(s->context, sentence);
}

/* -------------------------------------------------------------- landing -- */

int salvage_txn(struct salvage *s)
{
    return s->txn ? 0 : luge_begin(s->to, LUGE_WRITE | LUGE_TXN_ASYNC,
                                   &s->txn);
}

int salvage_land(struct salvage *s)
{
    luge_txn *txn = s->txn;
    s->txn = NULL;
    s->batch_bytes = 0;
    return txn ? luge_commit(txn) : 0;
}

int salvage_added(struct salvage *s, size_t bytes)
{
    s->batch_bytes += bytes;
    return s->batch_bytes > BATCH_BYTES ? salvage_land(s) : 0;
}

/* -------------------------------------------------------------- records -- */

static void value_lost(struct salvage *s, luge_bytes key)
{
    char shown[100];
    const u8 *bytes = key.data;
    size_t at = 0;
    for (size_t i = 0; i < key.size && at < sizeof shown - 8; i++)
        at += (size_t)snprintf(shown + at, sizeof shown - at,
                               bytes[i] >= ' ' && bytes[i] < 127 ? "%c"
                                                                 : "\\x%02x",
                               bytes[i]);
    shown[at] = 0;
    s->done.lost_values++;
    salvage_say(s, "the large value of key %s is damaged", shown);
}

static bool slot_is_gone(const struct page_head *leaf, u32 at)
{
    return leaf->kind == PAGE_PATCH && patch_gone(leaf, at);
}

static int take_out(struct salvage *s, luge_tree to, luge_bytes key)
{
    int rc = salvage_txn(s);
    if (!rc) rc = luge_del(s->txn, to, key);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Put slot AT of a leaf or patch.  1: it was put. */
static int put_slot(struct salvage *s, luge_tree to,
                    const struct page_head *leaf, u32 at, luge_bytes key)
{
    luge_bytes value;
    struct page_extent extent;
    if (slot_is_gone(leaf, at)) return take_out(s, to, key);
    if (node_leaf_value(leaf, at, &value)) {
        memcpy(&extent, value.data, sizeof extent);
        if (page_extent_read(&s->pages, &extent, &value)) {
            value_lost(s, key);
            return 0;
        }
    }
    int rc = salvage_txn(s);
    if (!rc) rc = luge_put(s->txn, to, key, value);
    if (!rc) rc = salvage_added(s, key.size + value.size);
    return rc ? rc : 1;
}

/* GAPS of a tree: only what is in them; NULL: all. */
static int put_leaf(struct salvage *s, luge_tree to, u64 number,
                    const struct salvage_tree *gaps, u64 *put)
{
    const struct page_head *leaf = salvage_page(s, number);
    u8 space[LUGE_KEY_SIZE_MAX];
    for (u32 i = 0; i < leaf->count; i++) {
        struct node_cell cell;
        node_cell_load(leaf, i, &cell);
        luge_bytes key = node_cell_key(&cell, space);
        if (gaps && !salvage_in_gap(gaps, key)) continue;
        int rc = put_slot(s, to, leaf, i, key);
        if (rc < 0) return rc;
        *put += (u64)rc;
    }
    return 0;
}

/* The tree of the new database that T's records go to. */
static int make_tree(struct salvage *s, struct salvage_tree *t)
{
    if (t->number == LUGE_MAIN) return 0;
    if (!t->name_size)
        t->name_size = (size_t)snprintf((char *)t->name, sizeof t->name,
                                        "lost+found/%llu",
                                        (unsigned long long)t->number);
    int rc = salvage_txn(s);
    if (!rc)
        rc = store_tree_make(s->txn, luge_bytes_of(t->name, t->name_size),
                             t->number);
    return rc;
}

/* Born after all pins, it can be nobody else's. */
static bool only_ours(const struct salvage *s, const struct salvage_tree *t,
                      u64 leaf)
{
    u64 newest = t->origin.number;
    for (size_t i = 0; i < s->pin_count; i++)
        if (s->pins[i].pin.tree == t->number || !s->pins[i].pin.tree)
            newest = max_u64(newest, s->pins[i].pin.number);
    return s->exact && s->facts[leaf].birth > newest;
}

static int fill_gaps(struct salvage *s, struct salvage_tree *t)
{
    u64 *leaves = NULL, put = 0, older = 0;
    size_t count = 0;
    int rc = salvage_gather(s, t, &leaves, &count);
    for (size_t i = 0; i < count && !rc; i++) {
        rc = put_leaf(s, t->number, leaves[i], t,
                      only_ours(s, t, leaves[i]) ? &put : &older);
    }
    base_free(leaves);
    s->done.older += older;
    if (older)
        salvage_say(s, "%llu records of the tree %.*s are from pages that %s: "
                    "some may be older than what was lost, or deleted since",
                    (unsigned long long)older, (int)t->name_size,
                    (const char *)t->name,
                    s->exact ? "snapshots or forks may hold, too"
                             : "may not be in use any more");
    return rc;
}

/* What T's patch says has the last word, whatever was found below. */
static int put_patch(struct salvage *s, struct salvage_tree *t)
{
    return t->patch ? put_leaf(s, t->number, t->patch, NULL, &t->found) : 0;
}

/* A key may stand in two gathered leaves: what is there is counted. */
static int count_tree(struct salvage *s, struct salvage_tree *t)
{
    uint64_t count = 0;
    int rc = salvage_land(s);
    if (!rc) rc = salvage_txn(s);
    if (!rc) rc = luge_tree_count(s->txn, t->number, &count);
    t->found = count;
    s->done.records += count;
    if (rc || !t->known || count >= t->count) return rc;
    s->done.lost_records += t->count - count;
    salvage_say(s, "of the tree %.*s %llu records are lost",
                (int)t->name_size, (const char *)t->name,
                (unsigned long long)(t->count - count));
    return 0;
}

static int put_tree(struct salvage *s, struct salvage_tree *t)
{
    int rc = make_tree(s, t);
    for (size_t i = 0; i < t->leaf_count && !rc; i++)
        rc = put_leaf(s, t->number, t->leaves[i], NULL, &t->found);
    if (!rc) rc = fill_gaps(s, t);
    if (!rc) rc = put_patch(s, t);
    if (!rc) rc = count_tree(s, t);
    s->done.trees += !rc;
    return rc;
}

/* --------------------------------------------------------------- strays -- */

/* Of two leaves with one key, of a tree and a fork of it, or old and new, the
 * younger came first; the other's pair goes to the next tree. */
static int put_stray_slot(struct salvage *s, const struct page_head *leaf,
                          u32 at, luge_bytes key, u32 owner)
{
    char name[48];
    luge_tree tree;
    luge_bytes old;
    bool there = true;
    int rc = 0;
    for (u32 age = 0; !rc && there && age < AGES_MAX; age++) {
        snprintf(name, sizeof name, age ? "lost+found/%08x/older%u"
                                        : "lost+found/%08x", owner, age);
        rc = salvage_txn(s);
        if (!rc)
            rc = luge_tree_open(s->txn, luge_str(name), LUGE_TREE_CREATE,
                                &tree);
        if (rc) return rc;
        rc = luge_get(s->txn, tree, key, &old);
        there = !rc;
        if (rc == LUGE_NOTFOUND) rc = put_slot(s, tree, leaf, at, key);
        s->done.nameless += rc == 1;
        if (rc == 1) rc = 0;
    }
    return rc;
}

/* A leaf of a tree of which nothing else is known. */
static int put_stray(struct salvage *s, u64 number)
{
    const struct page_head *leaf = salvage_page(s, number);
    u8 space[LUGE_KEY_SIZE_MAX];
    int rc = 0;
    for (u32 i = 0; i < leaf->count && !rc; i++) {
        struct node_cell cell;
        node_cell_load(leaf, i, &cell);
        if (slot_is_gone(leaf, i)) continue;
        rc = put_stray_slot(s, leaf, i, node_cell_key(&cell, space),
                            s->facts[number].owner);
    }
    return rc;
}

static int put_strays(struct salvage *s)
{
    u64 *leaves = NULL;
    size_t count = 0;
    int rc = salvage_strays(s, &leaves, &count);
    while (count && !rc) rc = put_stray(s, leaves[--count]);
    base_free(leaves);
    if (s->done.nameless)
        salvage_say(s, "%llu records of trees whose names are lost are in "
                    "trees under lost+found/",
                    (unsigned long long)s->done.nameless);
    return rc;
}

/* ------------------------------------------------------------------ all -- */

/* Numbers of trees are given again: new ones must be above them. */
static int skip_ids(struct salvage *s)
{
    struct env *e = &s->to->store->env;
    u64 above = 0;
    for (size_t i = 0; i < s->tree_count; i++)
        if (s->trees[i].number < KEEP_TREE)
            above = max_u64(above, s->trees[i].number);
    return txn_raise_ids(e, above + IDS_GAP);
}

static int find_all(struct salvage *s)
{
    int rc = salvage_survey(s);
    if (!rc) rc = salvage_catalog(s);
    for (size_t i = 0; i < s->tree_count && !rc; i++)
        rc = salvage_walk(s, &s->trees[i]);
    return rc ? rc : salvage_walk_pins(s);
}

static int put_all(struct salvage *s)
{
    int rc = skip_ids(s);
    for (size_t i = 0; i < s->tree_count && !rc; i++)
        rc = put_tree(s, &s->trees[i]);
    if (!rc) rc = put_strays(s);
    if (!rc && s->done.lost_pages)
        salvage_say(s, "%llu damaged pages were met",
                    (unsigned long long)s->done.lost_pages);
    if (!rc) rc = salvage_land(s);
    if (!rc) rc = salvage_log(s);
    if (!rc) rc = salvage_land(s);
    if (!rc) rc = luge_sync(s->to);
    return rc ? rc : luge_check(s->to, s->report, s->context);
}

int luge_salvage(const char *broken, const char *path,
                 void (*report)(void *context, const char *sentence),
                 void *context, void *platform, struct luge_salvaged *salvaged)
{
    struct salvage s = {
        .os = platform ? platform : os_native(), .broken = broken,
        .report = report, .context = context,
    };
    int rc = find_all(&s);
    struct luge_options how = {.flags = LUGE_CREATE_NEW,
                               .page_bytes = s.page_bytes,
                               .platform = platform};
    if (!rc) rc = luge_open(path, &how, &s.to);
    if (!rc) rc = put_all(&s);
    luge_abort(s.txn);
    int closed = luge_close(s.to);
    salvage_end(&s);
    if (salvaged) *salvaged = s.done;
    return rc ? rc : closed;
}
