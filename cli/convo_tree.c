/* cli/convo_tree.c -- luge convo tree: branches, drawn below those that they
 * forked from, in the order of the places where they did.
 * Not here: nodes (convo_look.c).
 */
#include <stdlib.h>
#include <string.h>

#include "convo.h"

struct twig {
    uint64_t id, parent, nodes, base;
    uint32_t depth;             /* of the base */
    unsigned state;
    size_t above, child, sibling; /* parent, first child, next; NONE */
};
#define NONE SIZE_MAX

struct twigs {
    struct convo_call *v;
    struct twig *list;
    size_t count;
    uint64_t left;              /* lines to print */
};

static int by_place(const void *left, const void *right)
{
    const struct twig *a = left, *b = right;

    if (a->depth != b->depth) return a->depth < b->depth ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int by_id(const void *left, const void *right)
{
    const struct twig *const *a = left, *const *b = right;

    return (*a)->id < (*b)->id ? -1 : (*a)->id > (*b)->id;
}

static int twigs_read(struct twigs *t)
{
    luge_txn *txn = t->v->c->txn;
    struct luge_branch b = {0};
    struct luge_node node;
    size_t room = 0;
    int rc;

    while ((rc = luge_branch_after(txn, &t->v->convo, b.id, &b)) == 0) {
        if (t->count == room) {
            room = room ? 2 * room : 64;
            void *larger = realloc(t->list, room * sizeof(*t->list));
            if (!larger) return LUGE_NOMEM;
            t->list = larger;
        }
        node.depth = 0;
        if (b.base) rc = luge_node_get(txn, &t->v->convo, b.base, &node);
        if (rc) return rc;
        t->list[t->count++] = (struct twig){
            b.id, b.parent, b.nodes, b.base, node.depth, b.state, NONE, NONE,
            NONE};
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* Each below its parent, the earliest place first; *first: those with none. */
static int twigs_link(struct twigs *t, size_t *first)
{
    struct twig **ids = malloc((t->count + 1) * sizeof(*ids));

    if (!ids) return LUGE_NOMEM;
    if (t->count) qsort(t->list, t->count, sizeof(*t->list), by_place);
    for (size_t i = 0; i < t->count; i++) ids[i] = &t->list[i];
    if (t->count) qsort(ids, t->count, sizeof(*ids), by_id);
    *first = NONE;
    for (size_t i = t->count; i-- > 0;) {
        struct twig wanted = {.id = t->list[i].parent}, *key = &wanted;
        struct twig **found = bsearch(&key, ids, t->count, sizeof(*ids), by_id);
        size_t *list = found ? &(*found)->child : first;
        if (found) t->list[i].above = (size_t)(*found - t->list);
        t->list[i].sibling = *list;
        *list = i;
    }
    free(ids);
    return 0;
}

static int twig_print(struct twigs *t, const struct twig *twig,
                      const char *front, const char *corner)
{
    struct luge_branch b, into;
    luge_txn *txn = t->v->c->txn;
    int rc = luge_branch_get(txn, &t->v->convo, twig->id, &b);

    if (rc) return rc;
    fputs(front, stdout);
    fputs(corner, stdout);
    print_bytes(b.name);
    print_count("  ", b.nodes, "node");
    if (twig->base) printf(" from %llu", (unsigned long long)twig->base);
    if (b.state) printf(", %s", luge_branch_state_text(b.state));
    if (b.into && !luge_branch_get(txn, &t->v->convo, b.into, &into)) {
        fputs(" into ", stdout);
        print_bytes(into.name);
    }
    putchar('\n');
    return 0;
}

enum { LEVELS_DRAWN = 64 };     /* deeper ones stand there, with their level */

static bool twig_last(const struct twigs *t, size_t at)
{
    return t->list[at].sibling == NONE;
}

/* What goes in front of all that is below AT, which is on LEVEL. */
static const char *twig_front(const struct twigs *t, size_t at, unsigned level)
{
    if (!level || level > LEVELS_DRAWN) return "";
    return twig_last(t, at) ? "   " : "│  ";
}

static void corner_of(const struct twigs *t, size_t at, unsigned level,
                      char space[32])
{
    const char *corner = !level ? "" : twig_last(t, at) ? "└─ " : "├─ ";

    if (level > LEVELS_DRAWN)
        snprintf(space, 32, "%s(%u) ", corner, level);
    else
        snprintf(space, 32, "%s", corner);
}

/* All of them, from the first root on: down, aside, or up and aside. */
static int twigs_print(struct twigs *t, size_t at)
{
    char front[LEVELS_DRAWN * sizeof("│  ")] = "", corner[32];
    size_t used = 0;            /* bytes of front */
    unsigned level = 0;

    while (at != NONE && t->left--) {
        corner_of(t, at, level, corner);
        int rc = twig_print(t, &t->list[at], front, corner);
        if (rc) return rc;
        if (t->list[at].child != NONE) {
            used += (size_t)snprintf(front + used, sizeof(front) - used, "%s",
                                     twig_front(t, at, level++));
            at = t->list[at].child;
            continue;
        }
        while (at != NONE && twig_last(t, at)) {
            at = t->list[at].above;
            if (at == NONE) break;
            used -= strlen(twig_front(t, at, --level));
            front[used] = 0;
        }
        if (at != NONE) at = t->list[at].sibling;
    }
    return 0;
}

int convo_tree(struct convo_call *v)
{
    struct twigs twigs = {.v = v};
    size_t first;
    int rc = call_number(v->c, OPTION_LIMIT, UINT64_MAX, &twigs.left);

    if (rc) return rc;
    if (v->json) return convo_list(v);
    rc = twigs_read(&twigs);
    if (!rc) rc = twigs_link(&twigs, &first);
    if (!rc) rc = twigs_print(&twigs, first);
    free(twigs.list);
    return rc;
}
