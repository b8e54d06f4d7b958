/* test/model.c -- see model.h.
 *
 * model_step is one switch over all steps and longer than 70 lines: each case
 * is one line, and the table is easier to hold against luge.h in one piece.
 * The file is long because every step reads and writes the same states, which
 * nobody else shall see.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "support.h"

/* --------------------------------------------------------------- bytes -- */

struct blob *blob_of(const void *data, size_t size)
{
    struct blob *b = grab(sizeof *b + size);
    b->owners = 1;
    b->size = size;
    if (size) memcpy(b->data, data, size);
    return b;
}

struct blob *blob_keep(struct blob *b)
{
    if (b) b->owners++;
    return b;
}

void blob_drop(struct blob *b)
{
    if (b && !--b->owners) free(b);
}

static int bytes_compare(luge_bytes a, luge_bytes b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

luge_bytes blob_bytes(const struct blob *b)
{
    return b ? luge_bytes_of(b->data, b->size) : luge_bytes_of(NULL, 0);
}

int blob_compare(const struct blob *a, const struct blob *b)
{
    return bytes_compare(blob_bytes(a), blob_bytes(b));
}

bool blob_same(const struct blob *a, const struct blob *b)
{
    if (!a || !b) return a == b;
    return a == b || !blob_compare(a, b);
}

/* --------------------------------------------------------------- steps -- */

const char *step_name(enum step_kind kind)
{
    static const char *const names[] = {
#define X(name) #name,
        STEPS(X)
#undef X
    };
    return kind < STEP_KINDS ? names[kind] : "?";
}

struct step step_copy(const struct step *s)
{
    struct step copy = *s;
    blob_keep(copy.key);
    blob_keep(copy.to);
    blob_keep(copy.value);
    return copy;
}

void step_free(struct step *s)
{
    blob_drop(s->key);
    blob_drop(s->to);
    blob_drop(s->value);
    s->key = s->to = s->value = NULL;
}

void outcome_free(struct outcome *o)
{
    blob_drop(o->key);
    blob_drop(o->value);
    memset(o, 0, sizeof *o);
}

bool outcome_same(const struct outcome *a, const struct outcome *b)
{
    return a->rc == b->rc && a->number == b->number &&
           blob_same(a->key, b->key) && blob_same(a->value, b->value);
}

static void blob_print(FILE *to, const char *what, const struct blob *b)
{
    if (!b) return;
    fprintf(to, " %s=\"", what);
    for (size_t i = 0; i < b->size && i < 24; i++) {
        unsigned char c = b->data[i];
        if (c > 32 && c < 127 && c != '"') fputc(c, to);
        else fprintf(to, "\\%02x", c);
    }
    if (b->size > 24)
        fprintf(to, "...\" (%zu, #%04x)", b->size,
                (unsigned)(digest(0, b->data, b->size) & 0xffff));
    else fputc('"', to);
}

void step_print(FILE *to, const struct step *s)
{
    fprintf(to, "%c", (int)('A' + s->hand));
    if (s->slot != NO_SLOT) fprintf(to, ".%u", s->slot);
    fprintf(to, " %s", step_name(s->kind));
    if (s->tree) fprintf(to, " tree=%llu", (unsigned long long)s->tree);
    if (s->kind >= STEP_CURSOR_OPEN && s->kind <= STEP_CURSOR_DEL)
        fprintf(to, " cursor=%u", s->cursor);
    if (s->flags) fprintf(to, " flags=%u", s->flags);
    if (s->index) fprintf(to, " index=%u", s->index);
    blob_print(to, "key", s->key);
    blob_print(to, "to", s->to);
    blob_print(to, "value", s->value);
}

void outcome_print(FILE *to, const struct outcome *o)
{
    fprintf(to, "%d", o->rc);
    if (o->number) fprintf(to, " number=%llx", (unsigned long long)o->number);
    blob_print(to, "key", o->key);
    blob_print(to, "value", o->value);
}

/* ------------------------------------------------- update, merge, batch -- */

const char *const merge_names[MERGES] = {"add", "max", "min", "append",
                                         "or", "twin", "nobody"};

int transform(unsigned index, const luge_bytes *old, struct blob **result)
{
    unsigned char room[80];
    size_t size = old ? old->size : 0;
    *result = NULL;
    switch (index) {
    case 0: return 0;                       /* remove */
    case 1: return 2;                       /* leave */
    case 2: return LUGE_LIMIT;              /* refuse */
    case 3: {                               /* the old size as a number */
        uint64_t number = size;
        *result = blob_of(&number, sizeof number);
        return 1;
    }
    default:                                /* one byte longer, up to 64 */
        if (size > 64) size = 3;
        if (old && size) memcpy(room, old->data, size);
        room[size] = old ? 'u' : 'n';
        *result = blob_of(room, size + 1);
        return 1;
    }
}

/* Up to 16 bytes of the operand, turned round, then up to 16 of the old. */
int merge_twin(const luge_bytes *old, luge_bytes operand,
               struct blob **result)
{
    unsigned char room[32];
    size_t n = operand.size < 16 ? operand.size : 16, m = 0;
    *result = NULL;
    if (!operand.size) return 0;
    for (size_t i = 0; i < n; i++)
        room[i] = ((const unsigned char *)operand.data)[n - 1 - i];
    if (old) m = old->size < 16 ? old->size : 16;
    if (m) memcpy(room + n, old->data, m);
    *result = blob_of(room, n + m);
    return 1;
}

static uint64_t number_of(const unsigned char *p)
{
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = (n << 8) | p[i];
    return n;
}

static struct blob *blob_of_number(uint64_t n)
{
    unsigned char p[8];
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(n >> (8 * i));
    return blob_of(p, 8);
}

static int merge_numbers(unsigned index, const struct blob *old,
                         const struct blob *operand, struct blob **result)
{
    if (operand->size != 8 || (old && old->size != 8)) return LUGE_MISMATCH;
    uint64_t b = number_of(operand->data), a = old ? number_of(old->data) : b;
    if (!old) *result = blob_of_number(b);
    else if (index == 0) *result = blob_of_number(a + b);
    else if (index == 1) *result = blob_of_number(a > b ? a : b);
    else *result = blob_of_number(a < b ? a : b);
    return 1;
}

static struct blob *merge_bytes(bool or, const struct blob *old,
                                const struct blob *operand)
{
    size_t a = old ? old->size : 0, b = operand->size;
    size_t size = !or ? a + b : a > b ? a : b;
    struct blob *r = grab(sizeof *r + size);
    r->owners = 1;
    r->size = size;
    memset(r->data, 0, size);
    if (a) memcpy(r->data, old->data, a);
    if (!or && b) memcpy(r->data + a, operand->data, b);
    for (size_t i = 0; or && i < b; i++) r->data[i] |= operand->data[i];
    return r;
}

static int merge(unsigned index, const struct blob *old,
                 const struct blob *operand, struct blob **result)
{
    luge_bytes was = blob_bytes(old);
    *result = NULL;
    if (index < 3) return merge_numbers(index, old, operand, result);
    if (index == 5)
        return merge_twin(old ? &was : NULL, blob_bytes(operand), result);
    if (index > 5) return LUGE_NOTFOUND;
    *result = merge_bytes(index == 4, old, operand);
    return 1;
}

bool batch_next(const struct blob *batch, size_t *at, struct batch_op *op)
{
    uint64_t head[4];
    if (!batch || *at >= batch->size) return false;
    const unsigned char *p = batch->data + *at;
    memcpy(head, p, sizeof head);
    op->del = head[0] != 0;
    op->tree = head[1];
    op->key = luge_bytes_of(p + sizeof head, head[2]);
    op->value = luge_bytes_of(p + sizeof head + head[2], head[3]);
    *at += sizeof head + head[2] + head[3];
    return true;
}

void batch_add(struct blob **batch, const struct batch_op *op)
{
    uint64_t head[4] = {op->del, op->tree, op->key.size, op->value.size};
    size_t old = *batch ? (*batch)->size : 0;
    size_t more = sizeof head + op->key.size + op->value.size;
    struct blob *b = grab(sizeof *b + old + more);
    b->owners = 1;
    b->size = old + more;
    if (old) memcpy(b->data, (*batch)->data, old);
    memcpy(b->data + old, head, sizeof head);
    unsigned char *p = b->data + old + sizeof head;
    if (op->key.size) memcpy(p, op->key.data, op->key.size);
    if (op->value.size)
        memcpy(p + op->key.size, op->value.data, op->value.size);
    blob_drop(*batch);
    *batch = b;
}

/* -------------------------------------------------------------- states -- */

static void tree_drop(struct tree *t)
{
    if (--t->owners) return;
    for (size_t i = 0; i < t->count; i++) {
        blob_drop(t->pairs[i].key);
        blob_drop(t->pairs[i].value);
    }
    blob_drop(t->name);
    free(t->pairs);
    free(t);
}

static struct tree *tree_copy_of(const struct tree *t)
{
    struct tree *copy = grab(sizeof *copy);
    *copy = *t;
    copy->owners = 1;
    blob_keep(copy->name);
    copy->pairs = grab(t->count * sizeof *t->pairs);
    for (size_t i = 0; i < t->count; i++) {
        copy->pairs[i].key = blob_keep(t->pairs[i].key);
        copy->pairs[i].value = blob_keep(t->pairs[i].value);
    }
    return copy;
}

static struct state state_copy(const struct state *s)
{
    struct state copy = {grab(s->count * sizeof *s->trees), s->count};
    for (size_t i = 0; i < s->count; i++) {
        copy.trees[i] = s->trees[i];
        copy.trees[i]->owners++;
    }
    return copy;
}

static void state_free(struct state *s)
{
    for (size_t i = 0; i < s->count; i++) tree_drop(s->trees[i]);
    free(s->trees);
    memset(s, 0, sizeof *s);
}

static long state_index(const struct state *s, luge_tree number)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->trees[i]->number == number) return (long)i;
    return -1;
}

const struct tree *state_tree(const struct state *s, luge_tree number)
{
    long i = state_index(s, number);
    return i < 0 ? NULL : s->trees[i];
}

const struct tree *state_named(const struct state *s, luge_bytes name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!bytes_compare(blob_bytes(s->trees[i]->name), name))
            return s->trees[i];
    return NULL;
}

/* The tree at AT for changing: a copy of our own if others share it. */
static struct tree *state_own(struct state *s, long at)
{
    struct tree *t = s->trees[at];
    if (t->owners == 1) return t;
    s->trees[at] = tree_copy_of(t);
    t->owners--;
    return s->trees[at];
}

static void state_remove(struct state *s, long at)
{
    tree_drop(s->trees[at]);
    s->count--;
    memmove(s->trees + at, s->trees + at + 1,
            (s->count - (size_t)at) * sizeof *s->trees);
}

/* Takes over T. */
static void state_insert(struct state *s, struct tree *t)
{
    size_t at = 0;
    while (at < s->count && blob_compare(s->trees[at]->name, t->name) < 0)
        at++;
    s->trees = grab_more(s->trees, (s->count + 1) * sizeof *s->trees);
    memmove(s->trees + at + 1, s->trees + at,
            (s->count - at) * sizeof *s->trees);
    s->trees[at] = t;
    s->count++;
}

static struct tree *tree_make(luge_tree number, struct blob *name)
{
    struct tree *t = grab(sizeof *t);
    memset(t, 0, sizeof *t);
    t->owners = 1;
    t->number = number;
    t->name = blob_keep(name);
    return t;
}

uint64_t digest_tree(uint64_t sum, luge_bytes name, uint64_t count)
{
    return digest(digest(sum + 1, name.data, name.size), &count, 8);
}

uint64_t digest_pair(uint64_t sum, luge_bytes key, luge_bytes value)
{
    return digest(digest(sum, key.data, key.size), value.data, value.size);
}

uint64_t state_digest(const struct state *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct tree *t = s->trees[i];
        sum = digest_tree(sum, blob_bytes(t->name), t->count);
        for (size_t j = 0; j < t->count; j++)
            sum = digest_pair(sum, blob_bytes(t->pairs[j].key),
                              blob_bytes(t->pairs[j].value));
    }
    return sum;
}

/* --------------------------------------------------------------- pairs -- */

static long pair_find(const struct tree *t, const struct blob *key)
{
    for (size_t i = 0; i < t->count; i++)
        if (!blob_compare(t->pairs[i].key, key)) return (long)i;
    return -1;
}

static void pair_set(struct tree *t, struct blob *key, struct blob *value)
{
    size_t at = 0;
    while (at < t->count && blob_compare(t->pairs[at].key, key) < 0) at++;
    if (at < t->count && !blob_compare(t->pairs[at].key, key)) {
        blob_keep(value);
        blob_drop(t->pairs[at].value);
        t->pairs[at].value = value;
        return;
    }
    t->pairs = grab_more(t->pairs, (t->count + 1) * sizeof *t->pairs);
    memmove(t->pairs + at + 1, t->pairs + at,
            (t->count - at) * sizeof *t->pairs);
    t->pairs[at].key = blob_keep(key);
    t->pairs[at].value = blob_keep(value);
    t->count++;
}

static void pair_remove(struct tree *t, long at)
{
    blob_drop(t->pairs[at].key);
    blob_drop(t->pairs[at].value);
    t->count--;
    memmove(t->pairs + at, t->pairs + at + 1,
            (t->count - (size_t)at) * sizeof *t->pairs);
}

/* --------------------------------------------------------------- spans -- */

/* Besides keys, a transaction reads and writes that a tree exists, what it is
 * called, and what a name means: points of trees that cannot be. */
#define SPAN_NAMES UINT64_MAX
#define SPAN_EXISTS (UINT64_MAX - 1)
#define SPAN_CALLED (UINT64_MAX - 2)

static void span_add(struct spans *s, luge_tree tree, struct blob *from,
                     struct blob *to)
{
    s->list = grab_more(s->list, (s->count + 1) * sizeof *s->list);
    struct span *new = &s->list[s->count++];
    new->tree = tree;
    new->from = blob_keep(from);
    new->to = blob_keep(to);
}

static void span_number(struct spans *s, luge_tree what, luge_tree number)
{
    struct blob *b = blob_of_number(number);
    span_add(s, what, b, b);
    blob_drop(b);
}

static void spans_cut(struct spans *s, size_t count)
{
    while (s->count > count) {
        s->count--;
        blob_drop(s->list[s->count].from);
        blob_drop(s->list[s->count].to);
    }
}

static void spans_free(struct spans *s)
{
    spans_cut(s, 0);
    free(s->list);
    memset(s, 0, sizeof *s);
}

static bool span_meets(const struct span *a, const struct span *b)
{
    if (a->tree != b->tree) return false;
    if (a->to && b->from && blob_compare(a->to, b->from) < 0) return false;
    if (b->to && a->from && blob_compare(b->to, a->from) < 0) return false;
    return true;
}

static bool spans_meet(const struct spans *a, const struct spans *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (span_meets(&a->list[i], &b->list[j])) return true;
    return false;
}

/* -------------------------------------------------------- transactions -- */

static void cursor_free(struct cursor *c)
{
    blob_drop(c->from);
    blob_drop(c->to);
    blob_drop(c->prefix);
    blob_drop(c->key);
    memset(c, 0, sizeof *c);
}

static void cursor_place(struct cursor *c, int place, struct blob *key)
{
    blob_keep(key);
    blob_drop(c->key);
    c->key = key;
    c->place = place;
    c->doubtful = false;
}

/* The tree of S in T for reading; NULL, and the outcome says so, if dropped. */
static const struct tree *step_tree(struct model_txn *t, const struct step *s,
                                    luge_tree number, struct outcome *o)
{
    const struct tree *tree = state_tree(&t->now, number);
    (void)s;
    span_number(&t->reads, SPAN_EXISTS, number);
    if (!tree) o->rc = LUGE_NOTREE;
    return tree;
}

static bool may_write(struct model_txn *t, struct outcome *o)
{
    if (t->flags & (LUGE_WRITE | LUGE_TURN)) return true;
    o->rc = LUGE_READONLY;
    return false;
}

static struct tree *own_tree(struct model_txn *t, luge_tree number)
{
    return state_own(&t->now, state_index(&t->now, number));
}

static void write_pair(struct model_txn *t, luge_tree number, struct blob *key,
                       struct blob *value)
{
    span_add(&t->writes, number, key, key);
    struct tree *tree = own_tree(t, number);
    if (value) pair_set(tree, key, value);
    else if (pair_find(tree, key) >= 0) pair_remove(tree, pair_find(tree, key));
}

/* All that a change of one key needs; the value that is there comes back. */
static bool point(struct model_txn *t, const struct step *s, bool write,
                  bool look, struct blob **old, struct outcome *o)
{
    *old = NULL;
    if (write && !may_write(t, o)) return false;
    if (write && s->key->size > LUGE_KEY_SIZE_MAX) {
        o->rc = LUGE_TOOBIG;
        return false;
    }
    const struct tree *tree = step_tree(t, s, s->tree, o);
    if (!tree) return false;
    if (look) span_add(&t->reads, s->tree, s->key, s->key);
    long at = pair_find(tree, s->key);
    if (at >= 0) *old = tree->pairs[at].value;
    return true;
}

static void run_get(struct model_txn *t, const struct step *s,
                    struct outcome *o)
{
    struct blob *old;
    if (!point(t, s, false, true, &old, o)) return;
    if (!old) o->rc = LUGE_NOTFOUND;
    o->value = blob_keep(old);
}

static void run_put(struct model_txn *t, const struct step *s,
                    struct outcome *o)
{
    struct blob *old;
    bool add = s->kind == STEP_ADD;
    if (!point(t, s, true, add, &old, o)) return;
    if (add && old) o->rc = LUGE_EXISTS;
    else write_pair(t, s->tree, s->key, s->value);
}

static void run_del(struct model_txn *t, const struct step *s,
                    struct outcome *o)
{
    struct blob *old;
    if (!point(t, s, true, true, &old, o)) return;
    if (!old) o->rc = LUGE_NOTFOUND;
    else write_pair(t, s->tree, s->key, NULL);
}

static void run_cas(struct model_txn *t, const struct step *s,
                    struct outcome *o)
{
    struct blob *old;
    if (!point(t, s, true, true, &old, o)) return;
    if (blob_same(old, s->to)) {
        if (old || s->value) write_pair(t, s->tree, s->key, s->value);
    } else if (!old) {
        o->rc = LUGE_NOTFOUND;
    } else {
        o->rc = LUGE_MISMATCH;
        o->value = blob_keep(old);
    }
}

/* What UPDATE and MERGE have in common: RC as luge_update_fn. */
static void settle(struct model_txn *t, const struct step *s, int rc,
                   struct blob *old, struct blob *new, struct outcome *o)
{
    if (rc < 0) o->rc = rc;
    else if (rc == 1) write_pair(t, s->tree, s->key, new);
    else if (rc == 0 && old) write_pair(t, s->tree, s->key, NULL);
}

static void run_update(struct model_txn *t, const struct step *s,
                       struct outcome *o)
{
    struct blob *old, *new;
    if (!point(t, s, true, true, &old, o)) return;
    luge_bytes was = blob_bytes(old);
    int rc = transform(s->index, old ? &was : NULL, &new);
    settle(t, s, rc, old, new, o);
    blob_drop(new);
}

static void run_merge(struct model_txn *t, const struct step *s,
                      struct outcome *o)
{
    struct blob *old, *new;
    if (!point(t, s, true, true, &old, o)) return;
    int rc = merge(s->index, old, s->value, &new);
    if (rc == 1) o->value = blob_keep(new);
    settle(t, s, rc, old, new, o);
    blob_drop(new);
}

static void run_del_range(struct model_txn *t, const struct step *s,
                          struct outcome *o)
{
    if (!may_write(t, o) || !step_tree(t, s, s->tree, o)) return;
    bool empty = s->key && s->to && blob_compare(s->key, s->to) > 0;
    if (!empty) span_add(&t->reads, s->tree, s->key, s->to);
    struct tree *tree = own_tree(t, s->tree);
    uint64_t count = 0;
    for (size_t i = 0; i < tree->count;) {
        const struct blob *key = tree->pairs[i].key;
        bool in = (!s->key || blob_compare(key, s->key) >= 0) &&
                  (!s->to || blob_compare(key, s->to) < 0);
        if (!in) {
            i++;
            continue;
        }
        span_add(&t->writes, s->tree, tree->pairs[i].key, tree->pairs[i].key);
        pair_remove(tree, (long)i);
        count++;
    }
    if (s->flags) o->number = count;
}

/* ----------------------------------------------------- neighbours, pops -- */

static bool inside(const struct cursor *c, const struct blob *key)
{
    if (!c) return true;
    if (c->from && blob_compare(key, c->from) < 0) return false;
    if (c->to && blob_compare(key, c->to) >= 0) return false;
    return !c->prefix || (key->size >= c->prefix->size &&
                          !memcmp(key->data, c->prefix->data,
                                  c->prefix->size));
}

static bool forward(enum luge_seek seek)
{
    return seek == LUGE_FIRST || seek == LUGE_GE || seek == LUGE_GT;
}

static bool fits(enum luge_seek seek, int compared)
{
    switch (seek) {
    case LUGE_GE: return compared >= 0;
    case LUGE_GT: return compared > 0;
    case LUGE_LE: return compared <= 0;
    case LUGE_LT: return compared < 0;
    default: return true;
    }
}

/* The neighbour of KEY in TREE among the keys inside C (NULL: all). */
static long pick(const struct tree *tree, const struct cursor *c,
                 enum luge_seek seek, const struct blob *key)
{
    long found = -1;
    for (size_t i = 0; i < tree->count; i++) {
        const struct blob *k = tree->pairs[i].key;
        int compared = key ? blob_compare(k, key) : 0;
        if (!inside(c, k) || !fits(seek, compared)) continue;
        if (forward(seek)) return (long)i;
        found = (long)i;
    }
    return found;
}

/* As pick; notes the span that had to be looked at, and fills the outcome. */
static long look(struct model_txn *t, const struct tree *tree,
                 const struct cursor *c, enum luge_seek seek,
                 struct blob *key, struct outcome *o)
{
    long at = pick(tree, c, seek, key);
    struct blob *found = at < 0 ? NULL : tree->pairs[at].key;
    struct blob *near = seek == LUGE_FIRST || seek == LUGE_LAST ? NULL : key;
    struct blob *low = c && c->prefix ? c->prefix : c ? c->from : NULL;
    struct blob *high = c ? c->to : NULL;
    if (forward(seek))
        span_add(&t->reads, tree->number, near ? near : low,
                 found ? found : high);
    else
        span_add(&t->reads, tree->number, found ? found : low,
                 near ? near : high);
    o->rc = at < 0 ? LUGE_NOTFOUND : 0;
    if (at >= 0) {
        o->key = blob_keep(found);
        o->value = blob_keep(tree->pairs[at].value);
    }
    return at;
}

static void run_near(struct model_txn *t, const struct step *s,
                     struct outcome *o)
{
    const struct tree *tree = step_tree(t, s, s->tree, o);
    if (tree) look(t, tree, NULL, s->flags, s->key, o);
}

static void run_pop(struct model_txn *t, const struct step *s,
                    struct outcome *o)
{
    if (!may_write(t, o)) return;
    const struct tree *tree = step_tree(t, s, s->tree, o);
    if (!tree) return;
    enum luge_seek seek = s->kind == STEP_POP_MIN ? LUGE_FIRST : LUGE_LAST;
    if (look(t, tree, NULL, seek, NULL, o) >= 0)
        write_pair(t, s->tree, o->key, NULL);
}

/* ------------------------------------------------------------- cursors -- */

static void run_cursor_open(struct model_txn *t, const struct step *s,
                            struct outcome *o)
{
    if (!step_tree(t, s, s->tree, o)) return;
    struct cursor *c = &t->cursors[s->cursor];
    cursor_free(c);
    c->open = true;
    c->tree = s->tree;
}

static void run_cursor_bounds(struct model_txn *t, const struct step *s)
{
    struct cursor *c = &t->cursors[s->cursor];
    luge_tree tree = c->tree;
    cursor_free(c);
    c->open = true;
    c->tree = tree;
    if (s->kind == STEP_CURSOR_PREFIX) {
        c->prefix = blob_keep(s->key);
        return;
    }
    c->from = blob_keep(s->key);
    c->to = blob_keep(s->to);
}

static void run_cursor_seek(struct model_txn *t, const struct step *s,
                            struct outcome *o)
{
    struct cursor *c = &t->cursors[s->cursor];
    const struct tree *tree = step_tree(t, s, c->tree, o);
    if (!tree) return;
    bool ends = s->flags == LUGE_FIRST || s->flags == LUGE_LAST;
    if (look(t, tree, c, s->flags, ends ? NULL : s->key, o) >= 0)
        cursor_place(c, PLACE_AT, o->key);
    else cursor_place(c, PLACE_NONE, NULL);
}

static void run_cursor_move(struct model_txn *t, const struct step *s,
                            struct outcome *o)
{
    struct cursor *c = &t->cursors[s->cursor];
    const struct tree *tree = step_tree(t, s, c->tree, o);
    bool next = s->kind == STEP_CURSOR_NEXT;
    int end = next ? PLACE_END : PLACE_START;
    if (!tree) return;
    if ((int)c->place == end) {
        o->rc = LUGE_NOTFOUND;
        return;
    }
    bool at = c->place == PLACE_AT || c->place == PLACE_GAP;
    enum luge_seek seek = next ? at ? LUGE_GT : LUGE_FIRST
                               : at ? LUGE_LT : LUGE_LAST;
    if (look(t, tree, c, seek, at ? c->key : NULL, o) >= 0)
        cursor_place(c, PLACE_AT, o->key);
    else cursor_place(c, end, NULL);
}

static void run_cursor_del(struct model_txn *t, const struct step *s,
                           struct outcome *o)
{
    struct cursor *c = &t->cursors[s->cursor];
    if (!may_write(t, o)) return;
    const struct tree *tree = step_tree(t, s, c->tree, o);
    if (!tree) return;
    if (c->place != PLACE_AT || pair_find(tree, c->key) < 0) {
        o->rc = LUGE_NOTFOUND;
        return;
    }
    span_add(&t->reads, c->tree, c->key, c->key);
    write_pair(t, c->tree, c->key, NULL);
    c->place = PLACE_GAP;
}

/* After any change: a cursor whose key went stands in the gap; when the key
 * comes back luge.h does not say on which side of it the cursor is. */
static void cursors_review(struct model_txn *t)
{
    for (int i = 0; i < CURSORS; i++) {
        struct cursor *c = &t->cursors[i];
        const struct tree *tree = state_tree(&t->now, c->tree);
        if (!c->open || !tree) {
            c->doubtful = c->open;
            continue;
        }
        bool there = c->key && pair_find(tree, c->key) >= 0;
        if (c->place == PLACE_AT && !there) c->place = PLACE_GAP;
        else if (c->place == PLACE_GAP && there) c->doubtful = true;
    }
}

/* --------------------------------------------------------------- trees -- */

/* LANDED too, since a number is never used twice. */
static bool number_fresh(const struct model_txn *t, luge_tree number)
{
    if (!number || state_tree(&t->now, number)) return false;
    for (size_t i = 0; i < t->model->number_count; i++)
        if (t->model->numbers[i] == number) return false;
    return true;
}

static bool name_good(const struct blob *name, struct outcome *o)
{
    if (!name->size) o->rc = LUGE_INVALID;
    else if (name->size > LUGE_NAME_SIZE_MAX) o->rc = LUGE_TOOBIG;
    return !o->rc;
}

static void run_tree_open(struct model_txn *t, const struct step *s,
                          const struct outcome *seen, struct outcome *o)
{
    if (!name_good(s->key, o)) return;
    span_add(&t->reads, SPAN_NAMES, s->key, s->key);
    const struct tree *tree = state_named(&t->now, blob_bytes(s->key));
    if (tree) {
        o->number = tree->number;
        return;
    }
    if (!(s->flags & LUGE_TREE_CREATE)) {
        o->rc = LUGE_NOTFOUND;
        return;
    }
    if (!may_write(t, o)) return;
    /* number 0 is never an engine's answer: the comparison will fail */
    o->number = number_fresh(t, seen->number) ? seen->number : 0;
    if (!o->number) return;
    span_add(&t->writes, SPAN_NAMES, s->key, s->key);
    span_number(&t->writes, SPAN_EXISTS, o->number);
    state_insert(&t->now, tree_make(o->number, s->key));
}

static void run_tree_drop(struct model_txn *t, const struct step *s,
                          struct outcome *o)
{
    if (!may_write(t, o)) return;
    if (s->tree == LUGE_MAIN) o->rc = LUGE_INVALID;
    if (o->rc) return;
    const struct tree *tree = step_tree(t, s, s->tree, o);
    if (!tree) return;
    span_number(&t->writes, SPAN_EXISTS, s->tree);
    span_number(&t->writes, SPAN_CALLED, s->tree);
    span_add(&t->writes, SPAN_NAMES, tree->name, tree->name);
    span_add(&t->writes, s->tree, NULL, NULL);
    state_remove(&t->now, state_index(&t->now, s->tree));
}

static void run_tree_rename(struct model_txn *t, const struct step *s,
                            struct outcome *o)
{
    if (!may_write(t, o) || !name_good(s->key, o)) return;
    if (s->tree == LUGE_MAIN) o->rc = LUGE_INVALID;
    if (o->rc) return;
    if (!step_tree(t, s, s->tree, o)) return;
    span_add(&t->reads, SPAN_NAMES, s->key, s->key);
    if (state_named(&t->now, blob_bytes(s->key))) {
        o->rc = LUGE_EXISTS;
        return;
    }
    struct tree *tree = own_tree(t, s->tree);
    span_number(&t->reads, SPAN_CALLED, s->tree);
    span_number(&t->writes, SPAN_CALLED, s->tree);
    span_number(&t->writes, SPAN_EXISTS, s->tree);  /* for who came by name */
    span_add(&t->writes, SPAN_NAMES, tree->name, tree->name);
    span_add(&t->writes, SPAN_NAMES, s->key, s->key);
    tree->owners++;
    state_remove(&t->now, state_index(&t->now, s->tree));
    blob_drop(tree->name);
    tree->name = blob_keep(s->key);
    state_insert(&t->now, tree);
}

/* Nobody else is at work: what a fork reads of its source is not noted. */
static void run_tree_fork(struct model_txn *t, const struct step *s,
                          const struct outcome *seen, struct outcome *o)
{
    if (!may_write(t, o) || !name_good(s->key, o)) return;
    const struct tree *source = step_tree(t, s, s->tree, o);
    if (!source) return;
    span_add(&t->reads, SPAN_NAMES, s->key, s->key);
    if (state_named(&t->now, blob_bytes(s->key))) {
        o->rc = LUGE_EXISTS;
        return;
    }
    o->number = number_fresh(t, seen->number) ? seen->number : 0;
    if (!o->number) return;
    span_add(&t->writes, SPAN_NAMES, s->key, s->key);
    span_number(&t->writes, SPAN_EXISTS, o->number);
    struct tree *made = tree_copy_of(source);
    blob_drop(made->name);
    made->name = blob_keep(s->key);
    made->number = o->number;
    state_insert(&t->now, made);
}

/* Snapshots are not in a state: that they were made or dropped is a write. */
static void run_snapshot(struct model_txn *t, const struct step *s,
                         struct outcome *o)
{
    if (may_write(t, o)) span_add(&t->writes, SPAN_NAMES, s->key, s->key);
}

static void run_tree_clear(struct model_txn *t, const struct step *s,
                           struct outcome *o)
{
    if (!may_write(t, o) || !step_tree(t, s, s->tree, o)) return;
    span_add(&t->writes, s->tree, NULL, NULL);
    span_number(&t->writes, SPAN_EXISTS, s->tree);  /* it concerns all users */
    struct tree *tree = own_tree(t, s->tree);
    while (tree->count) pair_remove(tree, (long)tree->count - 1);
}

static void run_tree_count(struct model_txn *t, const struct step *s,
                           struct outcome *o)
{
    const struct tree *tree = step_tree(t, s, s->tree, o);
    if (!tree) return;
    span_add(&t->reads, s->tree, NULL, NULL);
    o->number = tree->count;
}

static void run_tree_name(struct model_txn *t, const struct step *s,
                          struct outcome *o)
{
    const struct tree *tree = step_tree(t, s, s->tree, o);
    if (!tree) return;
    span_number(&t->reads, SPAN_CALLED, s->tree);
    o->key = blob_keep(tree->name);
}

static void run_tree_after(struct model_txn *t, const struct step *s,
                           struct outcome *o)
{
    size_t i = 0;
    while (i < t->now.count && blob_compare(t->now.trees[i]->name, s->key) <= 0)
        i++;
    struct tree *tree = i < t->now.count ? t->now.trees[i] : NULL;
    span_add(&t->reads, SPAN_NAMES, s->key, NULL); /* it may ask on and on */
    o->rc = tree ? 0 : LUGE_NOTFOUND;
    if (!tree) return;
    o->number = tree->number;
    o->key = blob_keep(tree->name);
}

/* ---------------------------------------------------------- all of them -- */

static void run_savepoint(struct model_txn *t, const struct step *s)
{
    while (t->saved_count > s->index)
        state_free(&t->saved[--t->saved_count].state);
    t->saved[t->saved_count].state = state_copy(&t->now);
    t->saved[t->saved_count++].writes = t->writes.count;
}

static void run_rollback(struct model_txn *t, const struct step *s)
{
    while (t->saved_count > s->index + 1)
        state_free(&t->saved[--t->saved_count].state);
    state_free(&t->now);
    t->now = state_copy(&t->saved[s->index].state);
    spans_cut(&t->writes, t->saved[s->index].writes);
}

static void run_digest(struct model_txn *t, struct outcome *o)
{
    span_add(&t->reads, SPAN_NAMES, NULL, NULL);
    for (size_t i = 0; i < t->now.count; i++)
        span_add(&t->reads, t->now.trees[i]->number, NULL, NULL);
    o->number = state_digest(&t->now);
}

static void run_batch(struct model_txn *t, const struct step *s,
                      struct outcome *o)
{
    struct batch_op op;
    for (size_t at = 0; batch_next(s->value, &at, &op);) {
        if (!step_tree(t, s, op.tree, o)) return;
        struct blob *key = blob_of(op.key.data, op.key.size);
        struct blob *value = op.del ? NULL
                                    : blob_of(op.value.data, op.value.size);
        write_pair(t, op.tree, key, value);   /* absent keys count, too */
        blob_drop(key);
        blob_drop(value);
    }
}

static void make(struct model_txn *t, const struct step *s,
                 const struct outcome *seen, struct outcome *o)
{
    switch (s->kind) {
    case STEP_SAVEPOINT: run_savepoint(t, s); break;
    case STEP_ROLLBACK: run_rollback(t, s); break;
    case STEP_TREE_OPEN: run_tree_open(t, s, seen, o); break;
    case STEP_TREE_DROP: run_tree_drop(t, s, o); break;
    case STEP_TREE_CLEAR: run_tree_clear(t, s, o); break;
    case STEP_TREE_RENAME: run_tree_rename(t, s, o); break;
    case STEP_TREE_FORK: run_tree_fork(t, s, seen, o); break;
    case STEP_SNAPSHOT: run_snapshot(t, s, o); break;
    case STEP_TREE_COUNT: run_tree_count(t, s, o); break;
    case STEP_TREE_NAME: run_tree_name(t, s, o); break;
    case STEP_TREE_AFTER: run_tree_after(t, s, o); break;
    case STEP_GET: run_get(t, s, o); break;
    case STEP_PUT:
    case STEP_ADD: run_put(t, s, o); break;
    case STEP_DEL: run_del(t, s, o); break;
    case STEP_DEL_RANGE: run_del_range(t, s, o); break;
    case STEP_CAS: run_cas(t, s, o); break;
    case STEP_UPDATE: run_update(t, s, o); break;
    case STEP_MERGE: run_merge(t, s, o); break;
    case STEP_NEAR: run_near(t, s, o); break;
    case STEP_POP_MIN:
    case STEP_POP_MAX: run_pop(t, s, o); break;
    case STEP_CURSOR_OPEN: run_cursor_open(t, s, o); break;
    case STEP_CURSOR_CLOSE: cursor_free(&t->cursors[s->cursor]); break;
    case STEP_CURSOR_RANGE:
    case STEP_CURSOR_PREFIX: run_cursor_bounds(t, s); break;
    case STEP_CURSOR_SEEK: run_cursor_seek(t, s, o); break;
    case STEP_CURSOR_NEXT:
    case STEP_CURSOR_PREV: run_cursor_move(t, s, o); break;
    case STEP_CURSOR_DEL: run_cursor_del(t, s, o); break;
    case STEP_DIGEST: run_digest(t, o); break;
    case STEP_BATCH: run_batch(t, s, o); break;
    default: die("the twin cannot %s", step_name(s->kind));
    }
    cursors_review(t);
}

void model_step(struct model_txn *t, const struct step *s,
                const struct outcome *seen, struct outcome *expected)
{
    memset(expected, 0, sizeof *expected);
    make(t, s, seen, expected);
    if (!(t->flags & (LUGE_WRITE | LUGE_TURN))) return;
    size_t n = t->step_count++;
    t->steps = grab_more(t->steps, (n + 1) * sizeof *t->steps);
    t->outcomes = grab_more(t->outcomes, (n + 1) * sizeof *t->outcomes);
    t->steps[n] = step_copy(s);
    t->outcomes[n] = *expected;
    blob_keep(expected->key);
    blob_keep(expected->value);
}

/* -------------------------------------------------- begin, judge, land -- */

void model_init(struct model *m)
{
    struct blob *name = blob_of("main", 4);
    memset(m, 0, sizeof *m);
    state_insert(&m->head, tree_make(LUGE_MAIN, name));
    blob_drop(name);
    m->numbers = grab(sizeof *m->numbers);
    m->numbers[m->number_count++] = LUGE_MAIN;
}

void model_free(struct model *m)
{
    state_free(&m->head);
    for (size_t i = 0; i < m->commit_count; i++) spans_free(&m->commits[i]);
    free(m->commits);
    free(m->numbers);
    memset(m, 0, sizeof *m);
}

struct model_txn *model_begin(struct model *m, unsigned flags)
{
    struct model_txn *t = grab(sizeof *t);
    memset(t, 0, sizeof *t);
    t->model = m;
    t->flags = flags;
    t->begun_at = m->commit_count;
    t->base = state_copy(&m->head);
    t->now = state_copy(&m->head);
    return t;
}

void model_renew(struct model_txn *t)
{
    state_free(&t->now);
    t->now = state_copy(&t->model->head);
    t->begun_at = t->model->commit_count;
    for (int i = 0; i < CURSORS; i++)
        if (t->cursors[i].open)
            cursor_place(&t->cursors[i], PLACE_NONE, NULL);
}

void model_forget(struct model_txn *t)
{
    state_free(&t->base);
    state_free(&t->now);
    while (t->saved_count) state_free(&t->saved[--t->saved_count].state);
    for (int i = 0; i < CURSORS; i++) cursor_free(&t->cursors[i]);
    spans_free(&t->reads);
    spans_free(&t->writes);
    for (size_t i = 0; i < t->step_count; i++) {
        step_free(&t->steps[i]);
        outcome_free(&t->outcomes[i]);
    }
    free(t->steps);
    free(t->outcomes);
    free(t);
}

bool model_wrote(const struct model_txn *t)
{
    return t->writes.count > 0;
}

/* All steps of T once more, on the head.  NULL if an outcome changed. */
static struct model_txn *again(struct model_txn *t)
{
    struct model_txn *r = model_begin(t->model, t->flags);
    for (size_t i = 0; i < t->step_count; i++) {
        struct outcome o = {0};
        make(r, &t->steps[i], &t->outcomes[i], &o);
        bool same = outcome_same(&o, &t->outcomes[i]);
        outcome_free(&o);
        if (same) continue;
        model_forget(r);
        return NULL;
    }
    return r;
}

static bool overtaken(const struct model_txn *t)
{
    const struct model *m = t->model;
    for (size_t i = t->begun_at; i < m->commit_count; i++)
        if (spans_meet(&t->reads, &m->commits[i])) return true;
    return false;
}

enum verdict model_judge(struct model_txn *t)
{
    if (!(t->flags & LUGE_WRITE) || t->begun_at == t->model->commit_count)
        return MUST_LAND;
    bool overlap = overtaken(t);
    struct model_txn *r = again(t);
    bool same = r != NULL;
    if (r) model_forget(r);
    if (!same && !overlap) die("the twin contradicts itself: M2 and M3");
    if (!overlap) return MUST_LAND;
    return same || !model_wrote(t) ? MAY_CONFLICT : MUST_CONFLICT;
}

uint64_t model_digest_after(struct model_txn *t)
{
    struct model_txn *r = again(t);
    uint64_t sum = state_digest(r ? &r->now : &t->model->head);
    if (r) model_forget(r);
    return sum;
}

static void note_numbers(struct model *m)
{
    for (size_t i = 0; i < m->head.count; i++) {
        luge_tree number = m->head.trees[i]->number;
        size_t j = 0;
        while (j < m->number_count && m->numbers[j] != number) j++;
        if (j < m->number_count) continue;
        m->numbers = grab_more(m->numbers, (j + 1) * sizeof *m->numbers);
        m->numbers[m->number_count++] = number;
    }
}

void model_land(struct model_txn *t)
{
    struct model *m = t->model;
    if (model_wrote(t)) {
        struct model_txn *r = again(t);
        if (!r) die("the twin landed what it had to refuse");
        state_free(&m->head);
        m->head = r->now;
        memset(&r->now, 0, sizeof r->now);
        m->commits = grab_more(m->commits, (m->commit_count + 1) *
                                               sizeof *m->commits);
        m->commits[m->commit_count++] = r->writes;
        memset(&r->writes, 0, sizeof r->writes);
        note_numbers(m);
        model_forget(r);
    }
    model_forget(t);
}
