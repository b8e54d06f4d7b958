/* feed/names.c -- see names.h. */
#include "feed/names.h"

enum { NAMES_MIN = 16 };

static struct feed_name *place_of(struct feed_name *names, size_t capacity,
                                  u64 number)
{
    size_t i = (number * 0x9e3779b97f4a7c15u) & (capacity - 1);
    while (names[i].number && names[i].number != number)
        i = (i + 1) & (capacity - 1);
    return &names[i];
}

static int grow(struct feed_names *n)
{
    size_t capacity = n->capacity ? 2 * n->capacity : NAMES_MIN;
    struct feed_name *names = base_alloc_zero(capacity * sizeof *names);
    if (!names) return NOMEM();
    for (size_t i = 0; i < n->capacity; i++)
        if (n->names[i].number)
            *place_of(names, capacity, n->names[i].number) = n->names[i];
    base_free(n->names);
    n->names = names;
    n->capacity = capacity;
    return 0;
}

static int keep(struct feed_names *n, u64 number, luge_bytes name)
{
    int rc = n->count * 2 >= n->capacity ? grow(n) : 0;
    if (rc) return rc;
    u8 *copy = base_alloc(name.size);
    if (!copy) return NOMEM();
    memcpy(copy, name.data, name.size);
    struct feed_name *place = place_of(n->names, n->capacity, number);
    if (!place->number) n->count++;
    base_free((void *)(uintptr_t)place->name.data);
    *place = (struct feed_name){number, luge_bytes_of(copy, name.size)};
    return 0;
}

int feed_names_note(struct feed_names *n, const struct op *op)
{
    if (op->kind != OP_CREATE && op->kind != OP_RENAME &&
        op->kind != OP_DROP && op->kind != OP_FORK)
        return 0;
    return keep(n, op->tree, op->key);
}

int feed_names_find(struct feed_names *n, struct env *e, u64 number,
                    luge_bytes *name)
{
    struct luge_txn *txn;
    if (n->capacity) {
        const struct feed_name *known = place_of(n->names, n->capacity,
                                                 number);
        *name = known->name;
        if (known->number) return 0;
    }
    int rc = txn_begin(e, LUGE_READ, &txn);
    if (rc) return rc;
    rc = view_name_of(&txn->view, number, name);
    if (!rc) rc = keep(n, number, *name);
    if (!rc) *name = place_of(n->names, n->capacity, number)->name;
    txn_abort(txn);
    return rc;
}

void feed_names_free(struct feed_names *n)
{
    for (size_t i = 0; i < n->capacity; i++)
        base_free((void *)(uintptr_t)n->names[i].name.data);
    base_free(n->names);
    memset(n, 0, sizeof *n);
}
