/* page/space.c -- the queues of free and dying pages (space.h has the rules).
 *
 *   queue:  head_chunk        ...        tail_chunk
 *           [....xxxxxxxx] -> [xxxxxxxx] -> [xxxxx....]
 *                ^head_at                        ^tail_at
 * A chunk in use is linked by `next`, an unused one by `free_next`: two fields,
 * because the last flipped state still reads `next` of a chunk that the working
 * state has already emptied (D2).
 */
#include <stdlib.h>

#include "page/space.h"

enum {
    CHUNK_BYTES = 4096,
    CHUNK_RUNS = (CHUNK_BYTES - 16) / sizeof(struct space_run),
    SEARCH_RUNS_MAX = 32,    /* runs looked at for a large value */
    MIXED_AGE_MAX = 256,
    MANY_PAGES = 32,
    TIDY_SHARE = 8,          /* an eighth of the file freed: join */
};

struct chunk {
    u32 next, free_next;
    u8 pad[8];
    struct space_run runs[CHUNK_RUNS];
};
_Static_assert(sizeof(struct space_run) == 32, "127 runs in a chunk");
_Static_assert(sizeof(struct chunk) <= CHUNK_BYTES, "a chunk is a page");

static struct chunk *chunk_at(const struct space *s, u32 n)
{
    return (struct chunk *)(void *)(s->chunks + (size_t)n * CHUNK_BYTES);
}

void space_clear(struct space_state *state, u64 page_count)
{
    memset(state, 0, sizeof *state);
    state->page_count = page_count;
    state->chunk_count = 1;
}

static int chunk_take(struct space *s, u32 *n)
{
    struct space_state *st = s->state;
    if (st->chunk_free) {
        *n = st->chunk_free;
        st->chunk_free = chunk_at(s, *n)->free_next;
        return 0;
    }
    if (st->chunk_count >= s->chunk_limit) {
        int rc = s->grow(s->context, st->chunk_count + 1);
        if (rc) return rc;
    }
    *n = st->chunk_count++;
    return 0;
}

static int chunk_to_limbo(struct space *s, u32 n)
{
    if (s->limbo_count == s->limbo_capacity) {
        size_t capacity = s->limbo_capacity ? s->limbo_capacity * 2 : 64;
        u32 *more = base_realloc(s->limbo, capacity * sizeof *more);
        if (!more) return NOMEM();
        s->limbo = more;
        s->limbo_capacity = capacity;
    }
    s->limbo[s->limbo_count++] = n;
    return 0;
}

void space_flipped(struct space *s)
{
    for (size_t i = 0; i < s->limbo_count; i++) {
        chunk_at(s, s->limbo[i])->free_next = s->state->chunk_free;
        s->state->chunk_free = s->limbo[i];
    }
    s->limbo_count = 0;
}

int space_push(struct space *s, enum space_queue_name name,
               const struct space_run *run)
{
    struct space_queue *q = &s->state->queue[name];
    if (!q->tail_chunk || q->tail_at == CHUNK_RUNS) {
        u32 n;
        int rc = chunk_take(s, &n);
        if (rc) return rc;
        if (q->tail_chunk) {
            chunk_at(s, q->tail_chunk)->next = n;
        } else {
            q->head_chunk = n;
            q->head_at = 0;
        }
        q->tail_chunk = n;
        q->tail_at = 0;
    }
    chunk_at(s, q->tail_chunk)->runs[q->tail_at++] = *run;
    q->runs++;
    q->pages += run->pages;
    return 0;
}

bool space_pop(struct space *s, enum space_queue_name name,
               struct space_run *run)
{
    struct space_queue *q = &s->state->queue[name];
    if (!q->runs) return false;
    if (q->head_at == CHUNK_RUNS) {
        u32 empty = q->head_chunk;
        /* Without room for it in limbo the chunk is lost until the shared
         * memory is built anew: 4 KiB, and nobody is harmed. */
        q->head_chunk = chunk_at(s, empty)->next;
        q->head_at = 0;
        (void)chunk_to_limbo(s, empty);
    }
    *run = chunk_at(s, q->head_chunk)->runs[q->head_at++];
    q->runs--;
    q->pages -= run->pages;
    return true;
}

static const struct space_run *peek(const struct space *s,
                                    enum space_queue_name name)
{
    const struct space_queue *q = &s->state->queue[name];
    if (!q->runs) return NULL;
    if (q->head_at < CHUNK_RUNS)
        return &chunk_at(s, q->head_chunk)->runs[q->head_at];
    return &chunk_at(s, chunk_at(s, q->head_chunk)->next)->runs[0];
}

/* Behind all that there is. */
static int take_end(struct space *s, u32 pages, u64 *first)
{
    struct space_state *st = s->state;
    if (s->fixed) return LUGE_NOTFOUND;
    if (st->page_count > s->page_limit || pages > s->page_limit -
                                                      st->page_count)
        return fail(LUGE_NOSPACE, "the page file would have more than %llu "
                    "pages", (unsigned long long)s->page_limit);
    *first = st->page_count;
    st->page_count += pages;
    return 0;
}

int space_take_page(struct space *s, u64 *page)
{
    struct space_state *st = s->state;
    struct space_run run;
    if (!st->current_pages && (space_pop(s, SPACE_ONE, &run) ||
                               space_pop(s, SPACE_FEW, &run) ||
                               space_pop(s, SPACE_MANY, &run) ||
                               space_pop(s, SPACE_HIGH, &run))) {
        st->current_first = run.first;
        st->current_pages = run.pages;
    }
    if (st->current_pages) {
        *page = st->current_first++;
        st->current_pages--;
        return 0;
    }
    return take_end(s, 1, page);
}

int space_give(struct space *s, u64 first, u32 pages)
{
    struct space_run run = {.first = first, .pages = pages};
    struct space_state *st = s->state;
    bool high = st->high_from && first >= st->high_from;
    st->given += pages;
    return space_push(s, high                   ? SPACE_HIGH
                         : pages == 1           ? SPACE_ONE
                         : pages < MANY_PAGES ? SPACE_FEW
                                              : SPACE_MANY, &run);
}

/* One of the first runs that is long enough; NOTFOUND. */
static int find_in(struct space *s, enum space_queue_name name, u32 pages,
                   u64 *first)
{
    struct space_run run;
    u64 looks = min_u64(s->state->queue[name].runs, SEARCH_RUNS_MAX);
    while (looks--) {
        if (!space_pop(s, name, &run)) break;
        if (run.pages >= pages) {
            *first = run.first;
            if (run.pages == pages) return 0;
            return space_give(s, run.first + pages, run.pages - pages);
        }
        int rc = space_push(s, name, &run);
        if (rc) return rc;
    }
    return LUGE_NOTFOUND;
}

static int find_run(struct space *s, u32 pages, u64 *first)
{
    int rc = LUGE_NOTFOUND;
    if (pages < MANY_PAGES) rc = find_in(s, SPACE_FEW, pages, first);
    if (rc == LUGE_NOTFOUND) rc = find_in(s, SPACE_MANY, pages, first);
    return rc == LUGE_NOTFOUND ? find_in(s, SPACE_HIGH, pages, first) : rc;
}

/* Enough was freed since the last time to make joining worth its cost. */
static bool tidy_is_due(const struct space_state *st, u32 pages)
{
    return space_free_pages(st) > 2 * (u64)pages &&
           st->given > st->page_count / TIDY_SHARE + pages;
}

int space_take_run(struct space *s, u32 pages, u64 *first)
{
    struct space_state *st = s->state;
    if (pages == 1) return space_take_page(s, first);
    int rc = find_run(s, pages, first);
    if (rc == LUGE_NOTFOUND && tidy_is_due(st, pages)) {
        rc = space_tidy(s);
        if (!rc) rc = find_run(s, pages, first);
    }
    return rc == LUGE_NOTFOUND ? take_end(s, pages, first) : rc;
}

static int give_list(struct space *s, const struct space_run *runs,
                     size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count && !rc; i++)
        if (runs[i].pages) rc = space_give(s, runs[i].first, runs[i].pages);
    return rc;
}

/* All free runs out of their queues, into *runs (the caller's). */
static int take_all(struct space *s, struct space_run **runs, size_t *count)
{
    struct space_state *st = s->state;
    size_t room = st->queue[SPACE_ONE].runs + st->queue[SPACE_FEW].runs +
                  st->queue[SPACE_MANY].runs + st->queue[SPACE_HIGH].runs + 1;
    *count = 0;
    *runs = base_alloc(room * sizeof **runs);
    if (!*runs) return NOMEM();
    if (st->current_pages)
        (*runs)[(*count)++] = (struct space_run){
            .first = st->current_first, .pages = (u32)st->current_pages,
        };
    st->current_pages = 0;
    while (space_pop(s, SPACE_ONE, &(*runs)[*count])) ++*count;
    while (space_pop(s, SPACE_FEW, &(*runs)[*count])) ++*count;
    while (space_pop(s, SPACE_MANY, &(*runs)[*count])) ++*count;
    while (space_pop(s, SPACE_HIGH, &(*runs)[*count])) ++*count;
    return 0;
}

int space_take_lowest(struct space *s, u32 pages, u64 *first)
{
    struct space_run *runs, *lowest = NULL;
    size_t count;
    int rc = take_all(s, &runs, &count);
    if (rc) return rc;
    for (size_t i = 0; i < count; i++)
        if (runs[i].pages >= pages &&
            (!lowest || runs[i].first < lowest->first))
            lowest = &runs[i];
    if (lowest) {
        *first = lowest->first;
        lowest->first += pages;
        lowest->pages -= pages;
    } else {
        rc = take_end(s, pages, first);
    }
    if (!rc) rc = give_list(s, runs, count);
    base_free(runs);
    return rc;
}

/* The smallest pin r with birth <= r < death, or 0. */
static u64 blocker(const struct space_run *run, const u64 *pins, u32 count)
{
    u32 low = 0, high = count;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (pins[middle] < run->birth) low = middle + 1;
        else high = middle;
    }
    return low < count && pins[low] < run->death ? pins[low] : 0;  /* D1 */
}

/* The HELD queue that waits for PIN; an idle one is given to it. */
static u32 held_queue(struct space_state *st, u64 pin)
{
    u32 idle = SPACE_HELD_QUEUES - 1;
    for (u32 i = 0; i < SPACE_HELD_QUEUES - 1; i++) {
        if (st->blocker[i] == pin) return i;
        if (!st->queue[SPACE_HELD + i].runs) idle = i;
    }
    if (idle < SPACE_HELD_QUEUES - 1 || !st->blocker[idle] ||
        pin < st->blocker[idle])
        st->blocker[idle] = pin;
    return idle;
}

static int settle(struct space *s, const struct space_run *run,
                  const u64 *pins, u32 pin_count)
{
    u64 pin = blocker(run, pins, pin_count);
    if (!pin) return space_give(s, run->first, run->pages);
    return space_push(s, SPACE_HELD + held_queue(s->state, pin), run);
}

static bool pinned(u64 pin, const u64 *pins, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (pins[i] == pin) return true;
    return false;
}

/* A HELD queue is worth another look when its pin is gone; the mixed one also
 * now and then, for its runs wait for several. */
static int look_again(struct space *s, u32 i, const u64 *pins, u32 pin_count)
{
    struct space_state *st = s->state;
    struct space_run run;
    u64 runs = st->queue[SPACE_HELD + i].runs;
    bool old = SPACE_HELD + i == SPACE_HELD_MIXED &&
               st->mixed_age++ >= MIXED_AGE_MAX;
    if (!runs || (pinned(st->blocker[i], pins, pin_count) && !old)) return 0;
    st->blocker[i] = 0;
    if (old) st->mixed_age = 0;
    while (runs-- && space_pop(s, SPACE_HELD + i, &run)) {
        int rc = settle(s, &run, pins, pin_count);
        if (rc) return rc;
    }
    return 0;
}

int space_reclaim(struct space *s, u64 floor, const u64 *pins, u32 pin_count,
                  u64 limit)
{
    struct space_run run;
    const struct space_run *next;
    for (u32 i = 0; i < SPACE_HELD_QUEUES; i++) {
        int rc = look_again(s, i, pins, pin_count);
        if (rc) return rc;
    }
    while (limit-- && (next = peek(s, SPACE_PENDING)) && next->death <= floor) {
        space_pop(s, SPACE_PENDING, &run);
        int rc = settle(s, &run, pins, pin_count);
        if (rc) return rc;
    }
    return 0;
}

static int longest_first(const void *a, const void *b)
{
    const struct space_run *x = a, *y = b;
    if (x->pages >= MANY_PAGES || y->pages >= MANY_PAGES)
        if (x->pages != y->pages) return x->pages < y->pages ? 1 : -1;
    return (x->first > y->first) - (x->first < y->first);
}

int space_tidy(struct space *s)
{
    struct space_state *st = s->state;
    struct space_run *runs;
    size_t count;
    int rc = take_all(s, &runs, &count);
    if (rc) return rc;
    count = space_join(runs, count);
    if (count && runs[count - 1].first + runs[count - 1].pages ==
                     st->page_count)
        st->page_count = runs[--count].first;
    qsort(runs, count, sizeof *runs, longest_first);
    rc = give_list(s, runs, count);
    st->given = 0;
    base_free(runs);
    return rc;
}

int space_set_aside(struct space *s, u64 limit, struct space_run **runs,
                    size_t *count)
{
    struct space_state *st = s->state;
    struct space_run run;
    int rc = space_tidy(s);
    *count = 0;
    *runs = base_alloc((st->queue[SPACE_ONE].runs + st->queue[SPACE_FEW].runs +
                        st->queue[SPACE_MANY].runs +
                        st->queue[SPACE_HIGH].runs + 1) * sizeof **runs);
    if (!*runs) return NOMEM();
    for (u32 q = SPACE_ONE; q <= SPACE_HIGH && !rc; q++) {
        u64 n = st->queue[q].runs;
        while (n-- && !rc && space_pop(s, q, &run)) {
            u64 low = run.first >= limit ? 0 : limit - run.first;
            if (low >= run.pages) {
                rc = space_push(s, q, &run);
                continue;
            }
            (*runs)[(*count)++] = (struct space_run){
                .first = run.first + low, .pages = (u32)(run.pages - low),
            };
            if (low) rc = space_give(s, run.first, (u32)low);
        }
    }
    return rc;
}

int space_each(const struct space *s, const struct space_state *state,
               enum space_queue_name name,
               int (*each)(void *context, const struct space_run *run),
               void *context)
{
    const struct space_queue *q = &state->queue[name];
    u32 n = q->head_chunk, at = q->head_at;
    for (u64 i = 0; i < q->runs; i++) {
        if (at == CHUNK_RUNS) {
            n = chunk_at(s, n)->next;
            at = 0;
        }
        int rc = each(context, &chunk_at(s, n)->runs[at++]);
        if (rc) return rc;
    }
    return 0;
}

u64 space_popped(const struct space *s, const struct space_state *before,
                 const struct space_state *after, enum space_queue_name name)
{
    const struct space_queue *old = &before->queue[name];
    const struct space_queue *now = &after->queue[name];
    u32 n = old->head_chunk, at = old->head_at;
    for (u64 i = 0; i < old->runs; i++) {
        if (n == now->head_chunk && at == now->head_at) return i;
        if (at == CHUNK_RUNS) {
            n = chunk_at(s, n)->next;
            at = 0;
            if (n == now->head_chunk && now->head_at == 0) return i;
        }
        at++;
    }
    return old->runs;
}
