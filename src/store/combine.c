/* store/combine.c -- operators: five built in, others by name.
 * What is logged is their result; a process that replays needs none of them.
 */
#include "store/store.h"

static int number_of(luge_bytes bytes, u64 *number)
{
    if (bytes.size != 8)
        return fail(LUGE_MISMATCH, "this operator needs numbers of 8 bytes, "
                    "not %zu", bytes.size);
    *number = load64(bytes.data);
    return 0;
}

static u64 number_made(char first_letter, u64 a, u64 b)
{
    switch (first_letter) {
    case 'a': return a + b;
    case 'i': return a < b ? a : b;
    default: return a > b ? a : b;
    }
}

static int combine_numbers(luge_txn *txn, char kind, const luge_bytes *old,
                           luge_bytes operand, luge_bytes *result)
{
    u64 a = 0, b = 0;
    u8 sum[8];
    int rc = number_of(operand, &b);
    if (!rc && old) rc = number_of(*old, &a);
    if (rc) return rc;
    store64(sum, old ? number_made(kind, a, b) : b);
    rc = store_keep(&txn->merged, luge_bytes_of(sum, 8), result);
    return rc ? rc : 1;
}

static int combine_append(luge_txn *txn, const luge_bytes *old,
                          luge_bytes operand, luge_bytes *result)
{
    struct base_buffer *to = &txn->merged;
    to->size = 0;
    int rc = old ? base_buffer_add(to, old->data, old->size) : 0;
    if (!rc) rc = base_buffer_add(to, operand.data, operand.size);
    if (rc) return rc;
    *result = luge_bytes_of(to->data, to->size);
    return 1;
}

static int combine_or(luge_txn *txn, const luge_bytes *old, luge_bytes operand,
                      luge_bytes *result)
{
    luge_bytes none = {"", 0}, a = old ? *old : none, b = operand;
    if (a.size < b.size) {
        luge_bytes longer = b;
        b = a;
        a = longer;
    }
    int rc = store_keep(&txn->merged, a, result);
    if (rc) return rc;
    for (size_t i = 0; i < b.size; i++)
        txn->merged.data[i] |= ((const u8 *)b.data)[i];
    return 1;
}

static struct store_operator *find(struct store_env *s, const char *name)
{
    struct store_operator *o = s->operators;
    while (o && strcmp(o->name, name)) o = o->next;
    return o;
}

static bool built_in(const char *name)
{
    static const char *const names[] = {"add", "min", "max", "append", "or"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

int store_combine(luge_txn *txn, const char *name, luge_bytes key,
                  const luge_bytes *old, luge_bytes operand, luge_bytes *result)
{
    struct store_env *s = (struct store_env *)txn->env;
    if (!strcmp(name, "add"))
        return combine_numbers(txn, 'a', old, operand, result);
    if (!strcmp(name, "min"))
        return combine_numbers(txn, 'i', old, operand, result);
    if (!strcmp(name, "max"))
        return combine_numbers(txn, 'x', old, operand, result);
    if (!strcmp(name, "append"))
        return combine_append(txn, old, operand, result);
    if (!strcmp(name, "or")) return combine_or(txn, old, operand, result);
    pthread_mutex_lock(&s->operator_lock);
    struct store_operator *o = find(s, name);
    pthread_mutex_unlock(&s->operator_lock);
    if (!o)
        return fail(LUGE_NOTFOUND, "no operator is called \"%s\"", name);
    return o->fn(o->context, key, old, operand, result);
}

int luge_operator_register(luge_db *db, const char *name, luge_operator_fn fn,
                           void *context)
{
    struct store_env *s = db->store;
    size_t size = strlen(name) + 1;
    if (size == 1 || size > sizeof(struct store_operator){0}.name || !fn)
        return fail(LUGE_INVALID, "an operator needs a function and a "
                    "name of at most 63 bytes");
    struct store_operator *made = base_alloc_zero(sizeof *made);
    if (!made) return NOMEM();
    memcpy(made->name, name, size);
    made->fn = fn;
    made->context = context;
    pthread_mutex_lock(&s->operator_lock);
    bool taken = built_in(name) || find(s, name) != NULL;
    if (!taken) {
        made->next = s->operators;
        s->operators = made;
    }
    pthread_mutex_unlock(&s->operator_lock);
    if (!taken) return 0;
    base_free(made);
    return fail(LUGE_EXISTS, "an operator \"%s\" is registered already",
                name);
}
