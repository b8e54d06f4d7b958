/* txn/ancestry.c -- where trees come from, and which lie under a path.
 *
 *     A --forked at pin (T, 9)--> T --forked at (R, 4)--> R
 *     B --forked at pin (T, 7)--'      they parted at (T, 7): the older pin
 * Not here: making and dropping pins (lineage.c).
 */
#include "txn/lineage.h"

enum { CHAIN_MAX = 1 << 20 };   /* origins of origins: a loop ends here */

/* From TREE up to the lineage where the other came from. */
static int origin_of(struct view *v, const struct view_pin *at,
                     struct view_pin *origin)
{
    struct pin_record pin;
    struct catalog_record record = {0};
    int rc = 0;
    if (at->number == UINT64_MAX) {
        rc = lineage_record_in(v, v->catalog.root, at->tree, &record);
        *origin = record.origin;
    } else {
        rc = lineage_pin_get(v, at, &pin);
        if (!rc) *origin = pin.origin;
    }
    return rc;
}

/* What the past began at has the same state as its tree's head, whatever became
 * of the pin: one root in one version is one state. */
static bool is_where_it_began(struct view *v, const struct view_pin *at,
                              const struct pin_record *pin)
{
    struct catalog_record head;
    return v->pins_in != PAGE_NONE &&
           !lineage_record_in(v, v->began_in, at->tree, &head) &&
           head.root == pin->root;
}

static int state_at(struct view *v, const struct view_pin *at,
                    struct tree *tree)
{
    struct pin_record pin;
    struct view_tree *t;
    if (at->number == UINT64_MAX) {
        int rc = view_find(v, at->tree, &t);
        if (!rc) *tree = t->tree;
        return rc;
    }
    int rc = lineage_pin_get(v, at, &pin);
    if (!rc && !is_where_it_began(v, at, &pin))
        rc = lineage_pin_stands(v, at);
    if (!rc) *tree = (struct tree){pin.root, pin.count};
    return rc;
}

/* Where the ancestors of B meet lineage AT->tree; *at becomes the older one. */
static int meet(struct view *v, u64 b, struct view_pin *at, bool *met)
{
    struct view_pin other = {b, UINT64_MAX}, next = {0};
    *met = false;
    for (u32 i = 0; i < CHAIN_MAX && other.tree; i++, other = next) {
        if (other.tree == at->tree) {
            at->number = min_u64(at->number, other.number);
            *met = true;
            return 0;
        }
        int rc = origin_of(v, &other, &next);
        if (rc) return rc;
    }
    return 0;
}

int lineage_common(struct view *v, u64 a, u64 b, struct tree *tree)
{
    struct view_pin at = {a, UINT64_MAX}, next = {0};
    for (u32 i = 0; i < CHAIN_MAX && at.tree; i++, at = next) {
        bool met;
        int rc = meet(v, b, &at, &met);
        if (!rc && met) return state_at(v, &at, tree);
        if (!rc) rc = origin_of(v, &at, &next);
        if (rc) return rc;
    }
    return LUGE_NOTFOUND;
}

/* --------------------------------------------------------------- under -- */

static bool begins_with(luge_bytes name, luge_bytes with)
{
    return name.size >= with.size && !memcmp(name.data, with.data, with.size);
}

int lineage_under(struct view *v, luge_bytes path, u8 *name, size_t *size,
                  u64 *number)
{
    u8 space[LUGE_NAME_SIZE_MAX + 1];
    luge_bytes low = {space, path.size + 1};
    int rc = LUGE_NOTFOUND;
    assert(path.size && path.size <= LUGE_NAME_SIZE_MAX);
    memcpy(space, path.data, path.size);
    space[path.size] = '/';
    if (!*size) {
        memcpy(name, space, path.size);
        *size = path.size;
        rc = view_number_of(v, path, number);
        if (rc != LUGE_NOTFOUND) return rc;
    }
    if (low.size > LUGE_NAME_SIZE_MAX) return LUGE_NOTFOUND;
    if (*size == path.size) {
        memcpy(name, space, low.size);
        *size = low.size;
        rc = view_number_of(v, low, number);
        if (rc != LUGE_NOTFOUND) return rc;
    }
    rc = view_name_after(v, luge_bytes_of(name, *size), name, size, number);
    if (rc) return rc;
    return begins_with(luge_bytes_of(name, *size), low) ? 0 : LUGE_NOTFOUND;
}
