/* txn/redo.c -- sorting what a replay applies (redo.h has the rules).
 *
 * Random puts in the order of the log touch a leaf once for each put, in no
 * order; in the order of keys each leaf is touched once, while its parents are
 * at hand, and the leaves that come next are known: where the file is not in
 * memory they are asked for together, instead of one wait after the other.
 * Not here: reading the log.
 */
#include <stdlib.h>

#include "page/file.h"
#include "txn/redo.h"

enum {
    FEW_OPS = 32,       /* are not worth a look */
    ASK_OPS = 512,      /* leaves of so many operations are asked for at once */
    COLD_BYTES = 64 << 10,      /* read for one such group: not in memory */
    FILL_OPS = 8192,    /* so many take frames enough to be worth a thread */
};

bool redo_has_room(const struct redo *b, u64 number)
{
    return !b->segment ||
           (b->segment->number == number && b->count < REDO_OPS_MAX);
}

static int grow(struct redo *b)
{
    size_t capacity = b->capacity ? 4 * b->capacity : 32;
    struct redo_op *more = base_realloc(b->ops, capacity * sizeof *more);
    if (!more) return NOMEM();
    b->ops = more;
    b->capacity = capacity;
    return 0;
}

static u64 head_of(luge_bytes key)
{
    u8 bytes[8] = {0};
    if (key.size) memcpy(bytes, key.data, min_u64(key.size, sizeof bytes));
    return load64_be(bytes);
}

static int compare_keys(const struct redo_op *a, const struct redo_op *b)
{
    if (a->tree != b->tree) return a->tree < b->tree ? -1 : 1;
    if (a->head != b->head) return a->head < b->head ? -1 : 1;
    size_t size = min_u64(a->key.size, b->key.size);
    int by = size ? memcmp(a->key.data, b->key.data, size) : 0;
    return by ? by : (a->key.size > b->key.size) -
                         (a->key.size < b->key.size);
}

static int compare(const void *left, const void *right)
{
    const struct redo_op *a = left, *b = right;
    int by = compare_keys(a, b);
    return by ? by : (a->order > b->order) - (a->order < b->order);
}

int redo_add(struct redo *b, u64 number, const struct op *op)
{
    int rc = b->count == b->capacity ? grow(b) : 0;
    if (!rc && !b->segment)
        rc = log_segment_get(b->log, number, &b->segment);
    if (rc) return rc;
    struct redo_op *to = &b->ops[b->count];
    *to = (struct redo_op){op->tree, b->count, head_of(op->key), op->key,
                            op->value, op->kind};
    if (!b->count) b->sorted = true;
    else if (b->sorted) b->sorted = compare_keys(to - 1, to) < 0;
    b->count++;
    return 0;
}

/* The leaves of the operations FROM to END.  A hint: what fails here fails
 * again when it is needed, and is told then. */
static void ask(const struct redo *b, struct view *v, size_t from, size_t end)
{
    page_ref last = PAGE_NONE;
    struct view_tree *t;
    for (size_t i = from; i < min_u64(end, b->count); i++)
        if (view_find(v, b->ops[i].tree, &t) ||
            tree_will_need(v->file, t->tree.root, b->ops[i].key, &last))
            break;
    base_forget();
}

/* Before operation I, the first of its group.  Where nothing must be read to
 * ask would cost a system call for each leaf; so the group before has to have
 * read some, or the replay before. */
static void look_ahead(struct redo *b, struct view *v, size_t i)
{
    u64 now = os_thread_read_bytes();
    bool asked = i && b->cold;
    if (i && now - b->read_bytes > COLD_BYTES) b->cold = true;
    if (b->cold) ask(b, v, asked ? i + ASK_OPS : i, i + 2 * ASK_OPS);
    b->read_bytes = now;
}

static void look_back(struct redo *b)
{
    size_t last = (b->count - 1) % ASK_OPS + 1;
    u64 bytes = os_thread_read_bytes() - b->read_bytes;
    b->cold = bytes > COLD_BYTES * last / ASK_OPS;
}

static int apply_each(struct redo *b, struct view *v)
{
    bool looks = b->count >= FEW_OPS;
    int rc = 0;
    for (size_t i = 0; i < b->count && !rc; i++) {
        const struct redo_op *op = &b->ops[i];
        if (i % ASK_OPS == 0 && looks) look_ahead(b, v, i);
        if (i + 1 < b->count && !compare_keys(op, op + 1)) continue;  /* B1 */
        rc = view_apply(v, &(struct op){op->kind, op->tree, op->key,
                                        op->value});
    }
    if (looks) look_back(b);
    return rc;
}

static int apply_sorted(struct redo *b, struct view *v)
{
    struct page_fill fill = {0};
    if (b->count >= FILL_OPS) page_fill_begin(&fill, v->file);
    int rc = apply_each(b, v);
    page_fill_end(&fill);
    return rc;
}

static void empty(struct redo *b)
{
    if (b->segment) log_segment_put(b->log, b->segment);
    b->segment = NULL;
    b->count = 0;
}

int redo_apply(struct redo *b, struct view *v)
{
    if (b->count > 1 && !b->sorted)
        qsort(b->ops, b->count, sizeof *b->ops, compare);
    int rc = apply_sorted(b, v);
    empty(b);
    return rc;
}

void redo_end(struct redo *b)
{
    empty(b);
    base_free(b->ops);
    b->ops = NULL;
    b->capacity = 0;
}
