/* test/serial.c -- see serial.h.
 *
 *   S1  Every value has one writer; a list's final content orders them.
 *   S2  Real time costs one more node for each acknowledged end: the ends form
 *       a chain in the order of time, a transaction leads to its end, and the
 *       last end before a begin leads to the transaction that began.
 *   S3  A component of more than one transaction (Tarjan, without recursion)
 *       is a cycle; the shortest one through its first member is printed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serial.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { NOBODY = UINT32_MAX };

struct txn {
    uint64_t begin_ns, end_ns;
    uint32_t process;
    uint8_t fate;
    bool there;               /* some value of it is in a final list */
};

struct event {                /* a reading or an appending */
    uint32_t txn;
    bool append;
    uint64_t list, value;     /* value: of an appending */
    struct serial_view view;
};

struct list {
    uint64_t name;
    uint64_t *values, *sums;  /* sums[n]: the digest of the first n */
    uint32_t *writers;
    uint64_t length;
};

/* Open addressing from 64-bit names to 32-bit numbers. */
struct index {
    struct { uint64_t name; uint32_t number; } *slots;
    size_t size, used;
};

enum edge_kind { EDGE_WW, EDGE_WR, EDGE_RW, EDGE_RT };

struct edge { uint32_t from, to; uint8_t kind; };

struct serial {
    struct txn *txns;
    struct event *events;
    struct list *lists;
    struct edge *edges;
    size_t txn_count, event_count, list_count, edge_count;
    size_t txn_room, event_room, list_room, edge_room;
    struct index lists_by_name, writers;
    FILE *report;
    enum serial_anomaly found;
};

#define ADD(s, what)                                                          \
    (grow((void **)&(s)->what##s, &(s)->what##_room, (s)->what##_count,       \
          sizeof *(s)->what##s),                                              \
     &(s)->what##s[(s)->what##_count++])

static void grow(void **array, size_t *room, size_t count, size_t size)
{
    if (count < *room) return;
    *room = *room ? *room * 2 : 64;
    *array = grab_more(*array, *room * size);
}

/* --------------------------------------------------------------- index -- */

static size_t index_slot(const struct index *x, uint64_t name)
{
    size_t at = (size_t)digest(7, &name, sizeof name) & (x->size - 1);
    while (x->slots[at].number != NOBODY && x->slots[at].name != name)
        at = (at + 1) & (x->size - 1);
    return at;
}

static uint32_t index_get(const struct index *x, uint64_t name)
{
    return x->size ? x->slots[index_slot(x, name)].number : NOBODY;
}

static void index_put(struct index *x, uint64_t name, uint32_t number);

static void index_grow(struct index *x)
{
    struct index old = *x;
    x->size = old.size ? old.size * 2 : 64;
    x->used = 0;
    x->slots = grab(x->size * sizeof *x->slots);
    for (size_t i = 0; i < x->size; i++) x->slots[i].number = NOBODY;
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i].number != NOBODY)
            index_put(x, old.slots[i].name, old.slots[i].number);
    free(old.slots);
}

static void index_put(struct index *x, uint64_t name, uint32_t number)
{
    if (x->used * 2 >= x->size) index_grow(x);
    size_t at = index_slot(x, name);
    if (x->slots[at].number == NOBODY) x->used++;
    x->slots[at].name = name;
    x->slots[at].number = number;
}

/* ------------------------------------------------------------- history -- */

struct serial *serial_new(void)
{
    struct serial *s = grab(sizeof *s);
    memset(s, 0, sizeof *s);
    return s;
}

void serial_free(struct serial *s)
{
    for (size_t i = 0; i < s->list_count; i++) {
        free(s->lists[i].values);
        free(s->lists[i].sums);
        free(s->lists[i].writers);
    }
    free(s->txns);
    free(s->events);
    free(s->lists);
    free(s->edges);
    free(s->lists_by_name.slots);
    free(s->writers.slots);
    free(s);
}

static uint64_t sum_next(uint64_t sum, uint64_t value)
{
    return digest(sum, &value, sizeof value);
}

struct serial_view serial_view_of(const uint64_t *values, uint64_t length)
{
    struct serial_view v = {length, length ? values[length - 1] : 0, 0};
    for (uint64_t i = 0; i < length; i++) v.sum = sum_next(v.sum, values[i]);
    return v;
}

uint32_t serial_txn(struct serial *s, uint32_t process, uint64_t begin_ns,
                    uint64_t end_ns, enum serial_fate fate)
{
    struct txn *t = ADD(s, txn);
    t->process = process;
    t->begin_ns = begin_ns;
    t->end_ns = end_ns;
    t->fate = (uint8_t)fate;
    t->there = false;
    return (uint32_t)(s->txn_count - 1);
}

void serial_read(struct serial *s, uint32_t txn, uint64_t list,
                 struct serial_view view)
{
    struct event *e = ADD(s, event);
    *e = (struct event){.txn = txn, .list = list, .view = view};
}

void serial_append(struct serial *s, uint32_t txn, uint64_t list,
                   uint64_t value)
{
    struct event *e = ADD(s, event);
    *e = (struct event){.txn = txn, .append = true, .list = list,
                        .value = value};
}

void serial_final(struct serial *s, uint64_t name, const uint64_t *values,
                  uint64_t length)
{
    struct list *l = ADD(s, list);
    index_put(&s->lists_by_name, name, (uint32_t)(s->list_count - 1));
    l->name = name;
    l->length = length;
    l->values = grab(length * sizeof *values);
    l->sums = grab((length + 1) * sizeof *l->sums);
    l->writers = grab(length * sizeof *l->writers);
    if (length) memcpy(l->values, values, length * sizeof *values);
    l->sums[0] = 0;
    for (uint64_t i = 0; i < length; i++)
        l->sums[i + 1] = sum_next(l->sums[i], values[i]);
}

const char *serial_text(enum serial_anomaly anomaly)
{
    static const char *const texts[] = {"sound",
#define X(name, text) text,
        SERIAL_ANOMALIES(X)
#undef X
    };
    return texts[anomaly];
}

static void found(struct serial *s, enum serial_anomaly anomaly)
{
    if (s->found == SERIAL_SOUND) s->found = anomaly;
}

static void txn_print(const struct serial *s, uint32_t txn)
{
    static const char *const fates[] = {"unknown", "landed", "refused"};
    const struct txn *t = &s->txns[txn];
    fprintf(s->report, "txn %" PRIu32 " (process %" PRIu32 ", %s, %" PRIu64
            "..%" PRIu64 ")", txn, t->process, fates[t->fate], t->begin_ns,
            t->end_ns);
}

static void accuse(struct serial *s, enum serial_anomaly anomaly,
                   uint64_t list, uint64_t value, uint32_t txn)
{
    found(s, anomaly);
    if (!s->report) return;
    fprintf(s->report, "serial: %s: list %" PRIu64 ", value %" PRIu64,
            serial_text(anomaly), list, value);
    if (txn != NOBODY) {
        fprintf(s->report, ", ");
        txn_print(s, txn);
    }
    fputc('\n', s->report);
}

/* ------------------------------------------------- what needs no graph -- */

static void note_appends(struct serial *s)
{
    for (size_t i = 0; i < s->event_count; i++)
        if (s->events[i].append)
            index_put(&s->writers, s->events[i].value, s->events[i].txn);
}

/* Find the writer of each element (S1). */
static void note_writers(struct serial *s)
{
    struct index seen = {0};
    for (size_t i = 0; i < s->list_count; i++) {
        struct list *l = &s->lists[i];
        for (uint64_t j = 0; j < l->length; j++) {
            uint32_t w = index_get(&s->writers, l->values[j]);
            l->writers[j] = w;
            if (w == NOBODY)
                accuse(s, SERIAL_PHANTOM, l->name, l->values[j], w);
            else if (s->txns[w].fate == SERIAL_REFUSED)
                accuse(s, SERIAL_ABORTED_READ, l->name, l->values[j], w);
            if (index_get(&seen, l->values[j]) != NOBODY)
                accuse(s, SERIAL_DUPLICATE, l->name, l->values[j], w);
            index_put(&seen, l->values[j], 1);
            if (w != NOBODY) s->txns[w].there = true;
        }
    }
    /* Whatever landed, or shows in part, is there as a whole. */
    for (size_t i = 0; i < s->event_count; i++) {
        const struct event *e = &s->events[i];
        if (!e->append || index_get(&seen, e->value) != NOBODY) continue;
        if (s->txns[e->txn].fate == SERIAL_LANDED)
            accuse(s, SERIAL_LOST, e->list, e->value, e->txn);
        else if (s->txns[e->txn].there)
            accuse(s, SERIAL_HALF, e->list, e->value, e->txn);
    }
    free(seen.slots);
}

static bool counts(const struct serial *s, uint32_t txn)
{
    return txn != NOBODY && (s->txns[txn].fate == SERIAL_LANDED ||
                             s->txns[txn].there);
}

static void edge(struct serial *s, uint32_t from, uint32_t to,
                 enum edge_kind kind)
{
    if (from == to || from == NOBODY || to == NOBODY) return;
    struct edge *e = ADD(s, edge);
    *e = (struct edge){from, to, (uint8_t)kind};
}

/* Appends that TXN itself had made to LIST before event AT. */
static uint64_t own_appends(const struct serial *s, size_t at)
{
    const struct event *e = &s->events[at];
    uint64_t count = 0;
    while (at-- > 0 && s->events[at].txn == e->txn)
        count += s->events[at].append && s->events[at].list == e->list;
    return count;
}

/* A reading after own appends sees the list of its time and these. */
static void judge_own(struct serial *s, const struct event *e, uint64_t own)
{
    size_t at = (size_t)(e - s->events);
    uint64_t last = 0;
    while (at-- > 0 && s->events[at].txn == e->txn)
        if (s->events[at].append && s->events[at].list == e->list) {
            last = s->events[at].value;
            break;
        }
    if (e->view.length < own || e->view.last != last)
        accuse(s, SERIAL_OWN_WRITE, e->list, e->view.last, e->txn);
}

static void judge_read(struct serial *s, const struct event *e)
{
    uint64_t own = own_appends(s, (size_t)(e - s->events));
    uint32_t at = index_get(&s->lists_by_name, e->list);
    const struct list *l = at == NOBODY ? NULL : &s->lists[at];
    uint64_t n = e->view.length;
    bool refused = s->txns[e->txn].fate == SERIAL_REFUSED;
    if (own) {
        judge_own(s, e, own);
        return;
    }
    if (n > (l ? l->length : 0) || (n && l->sums[n] != e->view.sum)) {
        uint32_t w = n ? index_get(&s->writers, e->view.last) : NOBODY;
        bool lie = w != NOBODY && s->txns[w].fate == SERIAL_REFUSED;
        accuse(s, lie ? SERIAL_ABORTED_READ : SERIAL_NOT_A_PREFIX, e->list,
               e->view.last, e->txn);
        return;
    }
    if (!l) return;
    uint32_t writer = n ? l->writers[n - 1] : NOBODY;
    uint32_t next = n < l->length ? l->writers[n] : NOBODY;
    if (writer != NOBODY && writer == next && writer != e->txn)
        accuse(s, SERIAL_INTERMEDIATE_READ, e->list, e->view.last, e->txn);
    if (refused || !counts(s, e->txn)) return;
    edge(s, writer, e->txn, EDGE_WR);
    edge(s, e->txn, next, EDGE_RW);
}

/* --------------------------------------------------------------- graph -- */

struct moment { uint64_t ns; uint32_t txn; bool end; };

static int moment_compare(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    if (x->ns != y->ns) return x->ns < y->ns ? -1 : 1;
    return (int)x->end - (int)y->end; /* equal times prove nothing */
}

/* S2.  The ends are nodes behind the transactions. */
static uint32_t real_time(struct serial *s)
{
    struct moment *moments = grab(s->txn_count * 2 * sizeof *moments);
    size_t count = 0;
    uint32_t node = (uint32_t)s->txn_count, last = NOBODY;
    for (uint32_t i = 0; i < s->txn_count; i++) {
        const struct txn *t = &s->txns[i];
        if (!counts(s, i)) continue;
        moments[count++] = (struct moment){t->begin_ns, i, false};
        if (t->fate == SERIAL_LANDED)
            moments[count++] = (struct moment){t->end_ns, i, true};
    }
    qsort(moments, count, sizeof *moments, moment_compare);
    for (size_t i = 0; i < count; i++) {
        if (!moments[i].end) {
            edge(s, last, moments[i].txn, EDGE_RT);
            continue;
        }
        edge(s, last, node, EDGE_RT);
        edge(s, moments[i].txn, node, EDGE_RT);
        last = node++;
    }
    free(moments);
    return node;
}

static void make_edges(struct serial *s)
{
    for (size_t i = 0; i < s->list_count; i++)
        for (uint64_t j = 1; j < s->lists[i].length; j++)
            edge(s, s->lists[i].writers[j - 1], s->lists[i].writers[j],
                 EDGE_WW);
    for (size_t i = 0; i < s->event_count; i++)
        if (!s->events[i].append) judge_read(s, &s->events[i]);
}

/* Edges by their beginnings: those of node N are [starts[N], starts[N+1]). */
struct graph {
    uint32_t nodes, *to;
    uint8_t *kind;
    size_t *starts;
};

static struct graph graph_make(const struct serial *s, uint32_t nodes,
                               unsigned kinds)
{
    struct graph g = {.nodes = nodes};
    g.starts = grab(((size_t)nodes + 2) * sizeof *g.starts);
    g.to = grab(s->edge_count * sizeof *g.to);
    g.kind = grab(s->edge_count);
    memset(g.starts, 0, ((size_t)nodes + 2) * sizeof *g.starts);
    for (size_t i = 0; i < s->edge_count; i++)
        if (kinds >> s->edges[i].kind & 1) g.starts[s->edges[i].from + 2]++;
    for (uint32_t i = 0; i < nodes; i++) g.starts[i + 2] += g.starts[i + 1];
    for (size_t i = 0; i < s->edge_count; i++) {
        if (!(kinds >> s->edges[i].kind & 1)) continue;
        size_t at = g.starts[s->edges[i].from + 1]++;
        g.to[at] = s->edges[i].to;
        g.kind[at] = s->edges[i].kind;
    }
    return g;
}

static void graph_free(struct graph *g)
{
    free(g->starts);
    free(g->to);
    free(g->kind);
}

/* Tarjan's walk with a stack of its own. */
struct walk {
    uint32_t *order, *low, *component, *stack, *path;
    size_t *next, stacked, depth;
    uint32_t clock;
    uint32_t cycle;           /* a node of a component of several, or NOBODY */
};

static void walk_enter(struct walk *w, const struct graph *g, uint32_t node)
{
    w->order[node] = w->low[node] = ++w->clock;
    w->next[node] = g->starts[node];
    w->stack[w->stacked++] = node;
    w->path[w->depth++] = node;
}

static void walk_leave(struct walk *w, uint32_t node)
{
    uint32_t above, size = 0;
    w->depth--;
    if (w->depth) {
        above = w->path[w->depth - 1];
        if (w->low[node] < w->low[above]) w->low[above] = w->low[node];
    }
    if (w->low[node] != w->order[node]) return;
    for (;; size++) {
        uint32_t member = w->stack[--w->stacked];
        w->component[member] = node;
        if (member == node) break;
    }
    if (size && w->cycle == NOBODY) w->cycle = node;
}

static void walk_from(struct walk *w, const struct graph *g, uint32_t root)
{
    walk_enter(w, g, root);
    while (w->depth) {
        uint32_t node = w->path[w->depth - 1];
        if (w->next[node] == g->starts[node + 1]) {
            walk_leave(w, node);
            continue;
        }
        uint32_t to = g->to[w->next[node]++];
        if (!w->order[to]) walk_enter(w, g, to);
        else if (w->component[to] == NOBODY && w->order[to] < w->low[node])
            w->low[node] = w->order[to];
    }
}

static struct walk walk_all(const struct graph *g)
{
    struct walk w = {.cycle = NOBODY};
    size_t n = g->nodes;
    w.order = grab(n * 4);
    w.low = grab(n * 4);
    w.component = grab(n * 4);
    w.stack = grab(n * 4);
    w.path = grab(n * 4);
    w.next = grab(n * sizeof *w.next);
    memset(w.order, 0, n * 4);
    memset(w.component, 0xff, n * 4);
    for (uint32_t i = 0; i < n; i++)
        if (!w.order[i]) walk_from(&w, g, i);
    return w;
}

static void walk_free(struct walk *w)
{
    free(w->order);
    free(w->low);
    free(w->component);
    free(w->stack);
    free(w->path);
    free(w->next);
}

/* -------------------------------------------------------------- cycles -- */

/* Breadth first from START back to it, within its component.  back[n]: the
 * edge by which n was reached.  Returns the edge that closes the circle. */
static size_t shortest(const struct graph *g, const struct walk *w,
                       uint32_t start, size_t *back, uint32_t *queue)
{
    size_t head = 0, tail = 0;
    for (uint32_t i = 0; i < g->nodes; i++) back[i] = SIZE_MAX;
    queue[tail++] = start;
    while (head < tail) {
        uint32_t node = queue[head++];
        for (size_t e = g->starts[node]; e < g->starts[node + 1]; e++) {
            uint32_t to = g->to[e];
            if (to == start) {
                queue[0] = node;
                return e;
            }
            if (w->component[to] != w->component[start] ||
                back[to] != SIZE_MAX)
                continue;
            back[to] = e;
            queue[tail++] = to;
        }
    }
    return SIZE_MAX;
}

static uint32_t edge_from(const struct graph *g, size_t e)
{
    uint32_t low = 0, high = g->nodes - 1;
    while (low < high) {
        uint32_t mid = low + (high - low + 1) / 2;
        if (g->starts[mid] <= e) low = mid;
        else high = mid - 1;
    }
    return low;
}

static void cycle_print(struct serial *s, const struct graph *g,
                        const struct walk *w, enum serial_anomaly what)
{
    static const char *const kinds[] = {"ww", "wr", "rw", "real time"};
    size_t *back = grab(g->nodes * sizeof *back);
    uint32_t *queue = grab(g->nodes * sizeof *queue), start = w->cycle;
    /* an end is a dull place to start from */
    for (uint32_t i = 0; i < s->txn_count && start >= s->txn_count; i++)
        if (w->component[i] == w->component[start]) start = i;
    size_t e = shortest(g, w, start, back, queue);
    fprintf(s->report, "serial: %s, read from below:\n", serial_text(what));
    for (int lines = 0; e != SIZE_MAX && lines < 40; lines++) {
        uint32_t from = edge_from(g, e);
        if (from < s->txn_count) {
            fprintf(s->report, "  ");
            txn_print(s, from);
            fprintf(s->report, " --%s-->\n", kinds[g->kind[e]]);
        }
        e = from == start ? SIZE_MAX : back[from];
    }
    free(back);
    free(queue);
}

/* Is there a cycle of edges of KINDS?  If so and WHAT is told, print it. */
static bool cyclic(struct serial *s, uint32_t nodes, unsigned kinds,
                   enum serial_anomaly what)
{
    struct graph g = graph_make(s, nodes, kinds);
    struct walk w = walk_all(&g);
    bool yes = w.cycle != NOBODY;
    if (yes && what && s->report) cycle_print(s, &g, &w, what);
    walk_free(&w);
    graph_free(&g);
    return yes;
}

/* Does TO lead back to FROM by ww and wr edges alone, within a component? */
static bool leads(const struct graph *g, const struct walk *w, uint32_t to,
                  uint32_t from, uint32_t *queue, uint32_t *seen,
                  uint32_t mark)
{
    size_t head = 0, tail = 0;
    queue[tail++] = to;
    while (head < tail) {
        uint32_t node = queue[head++];
        if (node == from) return true;
        for (size_t e = g->starts[node]; e < g->starts[node + 1]; e++) {
            uint32_t next = g->to[e];
            if (g->kind[e] == EDGE_RW || seen[next] == mark ||
                w->component[next] != w->component[from])
                continue;
            seen[next] = mark;
            queue[tail++] = next;
        }
    }
    return false;
}

/* G-single: some rw edge whose end leads back without another one. */
static bool single(struct serial *s)
{
    uint32_t n = (uint32_t)s->txn_count;
    struct graph g = graph_make(s, n, 7);
    struct walk w = walk_all(&g);
    uint32_t *queue = grab(n * sizeof *queue);
    uint32_t *seen = grab(n * sizeof *seen);
    bool yes = false;
    memset(seen, 0, n * sizeof *seen);
    for (size_t i = 0; i < s->edge_count && !yes; i++) {
        const struct edge *e = &s->edges[i];
        if (e->kind == EDGE_RW && w.component[e->to] == w.component[e->from])
            yes = leads(&g, &w, e->to, e->from, queue, seen, (uint32_t)i + 1);
    }
    free(queue);
    free(seen);
    walk_free(&w);
    graph_free(&g);
    return yes;
}

static void judge_graph(struct serial *s, struct serial_figures *f)
{
    enum { WW = 1 << EDGE_WW, WR = 1 << EDGE_WR, RW = 1 << EDGE_RW, ALL = 15 };
    uint32_t all = real_time(s), n = (uint32_t)s->txn_count;
    enum serial_anomaly what;
    f->edges = s->edge_count;
    if (!all || !cyclic(s, all, ALL, SERIAL_SOUND)) return;
    /* There is a cycle: which is the gravest name it can have? */
    if (cyclic(s, n, WW, SERIAL_SOUND)) what = SERIAL_G0;
    else if (cyclic(s, n, WW | WR, SERIAL_SOUND)) what = SERIAL_G1C;
    else if (!cyclic(s, n, WW | WR | RW, SERIAL_SOUND)) what = SERIAL_STALE;
    else what = single(s) ? SERIAL_G_SINGLE : SERIAL_G2;
    found(s, what);
    cyclic(s, what == SERIAL_STALE ? all : n,
           what == SERIAL_STALE ? ALL : WW | WR | RW, what);
}

static void count(const struct serial *s, struct serial_figures *f)
{
    memset(f, 0, sizeof *f);
    f->txns = s->txn_count;
    f->lists = s->list_count;
    for (uint32_t i = 0; i < s->txn_count; i++) {
        f->landed += s->txns[i].fate == SERIAL_LANDED;
        f->unknown_landed += s->txns[i].fate == SERIAL_UNKNOWN &&
                             s->txns[i].there;
    }
    for (size_t i = 0; i < s->event_count; i++) {
        f->appends += s->events[i].append;
        f->reads += !s->events[i].append;
    }
}

enum serial_anomaly serial_judge(struct serial *s, FILE *report,
                                 struct serial_figures *figures)
{
    struct serial_figures room;
    if (!figures) figures = &room;
    s->report = report;
    s->found = SERIAL_SOUND;
    note_appends(s);
    note_writers(s);
    count(s, figures);
    make_edges(s);
    judge_graph(s, figures);
    if (s->found && report)
        fprintf(report, "serial: %s\n", serial_text(s->found));
    return s->found;
}
