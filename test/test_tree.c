/* test/test_tree.c -- the tree against a sorted array, and against bad bytes.
 *
 * The twin test makes random trees beside a sorted array and compares after
 * every step: values, all six kinds of seek, steps both ways, counts, the
 * prover's verdict, which pages are live, and old roots, which must never
 * change, and what differs from them.  Half of the trees have patches now and
 * then.  The hostile test mutates valid pages; what the validator accepts
 * must do no harm to any function.  A failure prints the seed; LUGE_SEED=n runs
 * that one alone.  LUGE_TEST=short and =long change how many there are.
 * Compiled a second time with TREE_TEST_KEYS_MAX=4 the trees are deep.
 * Long, because the twin, its steps and the prover of live pages are one thing,
 * which the hostile test mutates and the deep build compiles with other limits.
 * Not here: pages (test/fake_pages.c stands in for them).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail

#include <stdio.h>
#include <stdlib.h>

#include "fake_pages.h"
#include "tree/tree.h"

/* ------------------------------------------------------------------ dice -- */

struct dice { u64 state; };

static u64 dice_next(struct dice *d)
{
    u64 x = d->state += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static u32 dice_below(struct dice *d, u32 bound)
{
    return (u32)(dice_next(d) % bound);
}

static bool dice_chance(struct dice *d, u32 percent)
{
    return dice_below(d, 100) < percent;
}

static u32 rounds(u32 normal)
{
    const char *length = getenv("LUGE_TEST");
    if (length && !strcmp(length, "short")) return normal / 8 + 1;
    if (length && !strcmp(length, "long")) return normal * 50;
    return normal;
}

/* What is running, for the one who has to find out. */
static struct { u64 seed, step; const char *what; } now;

static void must_(bool right, const char *text, int line)
{
    if (right) return;
    print_error("line %d: %s\n  %s, seed %llu, step %llu; last error: %s\n",
                line, text, now.what, (unsigned long long)now.seed,
                (unsigned long long)now.step, luge_last_error()->text);
    assert_true(right);
}
#define must(condition) must_((condition), #condition, __LINE__)

/* ------------------------------------------------------------------ twin -- */

struct pair { luge_bytes key, value; };

struct twin {
    struct pair *pairs;
    u32 count, capacity;
    void **memory;                 /* every key and value, until the end */
    size_t memory_count, memory_capacity;
};

static void *twin_keep(struct twin *t, luge_bytes bytes)
{
    if (t->memory_count == t->memory_capacity) {
        t->memory_capacity = t->memory_capacity * 2 + 64;
        t->memory = realloc(t->memory, t->memory_capacity * sizeof(void *));
    }
    void *copy = malloc(bytes.size + 1);
    must(t->memory && copy);
    if (bytes.size) memcpy(copy, bytes.data, bytes.size);
    return t->memory[t->memory_count++] = copy;
}

/* The first pair whose key is not below KEY. */
static u32 twin_find(const struct twin *t, luge_bytes key, bool *found)
{
    u32 lo = 0, hi = t->count;
    while (lo < hi) {
        u32 middle = (lo + hi) / 2;
        if (bytes_compare(t->pairs[middle].key, key) < 0) lo = middle + 1;
        else hi = middle;
    }
    *found = lo < t->count && bytes_equal(t->pairs[lo].key, key);
    return lo;
}

static luge_bytes twin_put(struct twin *t, luge_bytes key, luge_bytes value)
{
    bool found;
    u32 at = twin_find(t, key, &found);
    if (!found) {
        if (t->count == t->capacity) {
            t->capacity = t->capacity * 2 + 64;
            t->pairs = realloc(t->pairs, t->capacity * sizeof *t->pairs);
            must(t->pairs);
        }
        memmove(&t->pairs[at + 1], &t->pairs[at],
                (t->count++ - at) * sizeof *t->pairs);
        t->pairs[at].key = (luge_bytes){twin_keep(t, key), key.size};
    }
    return t->pairs[at].value = (luge_bytes){twin_keep(t, value), value.size};
}

static void twin_del(struct twin *t, u32 at)
{
    memmove(&t->pairs[at], &t->pairs[at + 1],
            (--t->count - at) * sizeof *t->pairs);
}

static void twin_free(struct twin *t)
{
    for (size_t i = 0; i < t->memory_count; i++) free(t->memory[i]);
    free(t->memory);
    free(t->pairs);
    *t = (struct twin){0};
}

/* ------------------------------------------------------ keys and values -- */

enum shape {
    RANDOM, SEQUENTIAL, NUMBERS, NUMBERS_BACKWARDS, LONG_PREFIXES, ANY_SIZE,
    ZEROS_AND_ONES, EQUAL_HEADS, STREAMS, DESCENDING, FEW_HUGE, INFIXES, SHAPES
};

static const char *const shape_names[SHAPES] = {
    "random", "sequential", "numbers", "numbers backwards", "long prefixes",
    "any size", "zeros and ones", "equal heads", "streams", "descending",
    "few huge", "infixes",
};

static size_t fill(struct dice *d, u8 *to, size_t size, const char *alphabet,
                   u32 letters)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (u8)alphabet[dice_below(d, letters)];
    return size;
}

static size_t long_prefix(struct dice *d, u8 *to)
{
    u32 family = dice_below(d, 3);
    size_t size = 200 + 350 * family;
    memset(to, 'a' + (int)family, size);
    return size + fill(d, to + size, dice_below(d, 8), "\0ab\377", 4);
}

/* Some bytes, the same for all, others; a few end early or depart from it. */
static size_t infixed(struct dice *d, u8 *to)
{
    size_t before = 1 + dice_below(d, 3), size = 1 + dice_below(d, 3);
    if (dice_chance(d, 50)) before = 2;
    fill(d, to, before, "\0ab\377", 4);
    memcpy(to + before, ".example/topic", 14);
    size = before + 14 + fill(d, to + before + 14, size, "\0amz\377", 5);
    if (dice_chance(d, 3)) to[before + dice_below(d, 14)] ^= 1;
    return dice_chance(d, 3) ? dice_below(d, (u32)size) : size;
}

/* A key of SHAPE in TO; NUMBER grows from call to call. */
static size_t make_key(struct dice *d, enum shape shape, u64 number, u8 *to)
{
    u32 stream = dice_below(d, 7);
    switch (shape) {
    case RANDOM:
        for (u32 i = 0; i < 16; i++) to[i] = (u8)dice_next(d);
        return 1 + dice_below(d, 16);
    case SEQUENTIAL:
        return (size_t)snprintf((char *)to, 32, "key%010llu",
                                (unsigned long long)number);
    case NUMBERS:
        store64_be(to, dice_below(d, 4000));
        return 8;
    case NUMBERS_BACKWARDS:
        store64(to, dice_below(d, 4000));
        return 8;
    case LONG_PREFIXES: return long_prefix(d, to);
    case ANY_SIZE: return fill(d, to, dice_below(d, 1025), "\0\1\377", 3);
    case ZEROS_AND_ONES: return fill(d, to, dice_below(d, 11), "\0\377", 2);
    case EQUAL_HEADS:
        memcpy(to, "headABCD", 8);
        if (dice_chance(d, 2)) return fill(d, to, 3, "ahz", 3);
        return 8 + fill(d, to + 8, 1 + dice_below(d, 6), "\0abc", 4);
    case STREAMS:
        return (size_t)snprintf((char *)to, 32, "s%u/%08llu", stream,
                                (unsigned long long)number);
    case DESCENDING:
        store64_be(to, UINT64_MAX - number);
        return 8;
    case INFIXES: return infixed(d, to);
    default:
        memset(to, 'x', 1024);
        store32(to + 1020, dice_below(d, 60));
        return dice_chance(d, 80) ? 1024 : 1000 + dice_below(d, 25);
    }
}

static luge_bytes make_value(struct dice *d, u32 page_bytes_, u8 *space)
{
    u32 kind = dice_below(d, 100), size = dice_below(d, 24);
    if (kind < 40) size = dice_below(d, 200);
    else if (kind < 45) size = page_bytes_ / 4 + dice_below(d, 400);
    else if (kind < 50) size = page_bytes_ / 2 - 80 + dice_below(d, 80);
    else if (kind < 53) size = dice_below(d, 3 * page_bytes_);
    memset(space, (int)dice_below(d, 256), size);
    if (size >= 8) store64(space, dice_next(d));
    return (luge_bytes){space, size};
}

/* -------------------------------------------------------------- the game -- */

enum { OLD_ROOTS = 4, VALUE_MAX = 3 * 65536 };

struct game {
    struct dice dice;
    enum shape shape;
    u32 page_bytes;
    bool may_write, growing;
    bool patches;                  /* what is in the file is often shared */
    u64 number;
    struct page_file *file;
    struct page_work work;
    struct tree tree;
    struct twin twin;
    struct { page_ref root; u64 digest; bool set; } old[OLD_ROOTS];
    u8 key[LUGE_KEY_SIZE_MAX], found[LUGE_KEY_SIZE_MAX], value[VALUE_MAX];
};

static u64 digest_bytes(u64 sum, luge_bytes b)
{
    size_t i = 0;
    sum = (sum ^ b.size) * 0x100000001b3;
    for (; i + 8 <= b.size; i += 8) {
        sum = (sum ^ load64((const u8 *)b.data + i)) * 0x9e3779b97f4a7c15;
        sum ^= sum >> 29;
    }
    for (; i < b.size; i++)
        sum = (sum ^ ((const u8 *)b.data)[i]) * 0x100000001b3;
    return sum;
}

static u64 digest_of(struct game *g, page_ref root)
{
    struct tree_cursor c;
    luge_bytes value;
    u64 sum = 1;
    int rc = tree_seek(&c, g->file, root, LUGE_FIRST, (luge_bytes){0});
    for (; !rc; rc = tree_next(&c)) {
        must(tree_cursor_value(&c, &value) == 0);
        sum = digest_bytes(digest_bytes(sum, tree_cursor_key(&c, g->found)),
                           value);
    }
    must(rc == LUGE_NOTFOUND);
    return sum;
}

static void prove(struct game *g)
{
    struct tree_totals totals;
    fake_seen_begin(g->file);
    must(tree_check(g->file, &g->tree, fake_seen, g->file, &totals) == 0);
    must(fake_seen_count(g->file) == fake_live(g->file));
    must(totals.count == g->twin.count && g->tree.count == g->twin.count);
    must(totals.leaf_pages + totals.branch_pages + totals.extent_pages ==
         fake_seen_count(g->file));
    must((totals.depth == 0) == (g->twin.count == 0));
}

/* The cursor stands where the twin's AT is, or nowhere if there is none. */
static void must_stand(struct game *g, struct tree_cursor *c, int rc, u32 at)
{
    luge_bytes value, suffix, prefix, key;
    if (at >= g->twin.count) {
        must(rc == LUGE_NOTFOUND && c->depth == 0);
        return;
    }
    must(rc == 0 && c->depth > 0);
    must(tree_cursor_value(c, &value) == 0);
    must(bytes_equal(value, g->twin.pairs[at].value));
    key = tree_cursor_key(c, g->found);
    must(bytes_equal(key, g->twin.pairs[at].key));
    prefix = tree_cursor_prefix(c), suffix = tree_cursor_suffix(c);
    must(prefix.size + suffix.size == key.size);
    must(!memcmp((const u8 *)key.data + prefix.size, suffix.data,
                 suffix.size));
}

static void compare_all(struct game *g)
{
    struct tree_cursor c;
    int rc = tree_seek(&c, g->file, g->tree.root, LUGE_FIRST, (luge_bytes){0});
    for (u32 i = 0; i <= g->twin.count; i++) {
        must_stand(g, &c, rc, i);
        rc = tree_next(&c);
    }
    must(rc == LUGE_NOTFOUND);
    rc = tree_seek(&c, g->file, g->tree.root, LUGE_LAST, (luge_bytes){0});
    for (u32 i = g->twin.count; i-- > 0; rc = tree_prev(&c))
        must_stand(g, &c, rc, i);
    must(rc == LUGE_NOTFOUND && c.depth == 0);
}

/* A key to ask for: one that is there, one beside it, or any. */
static luge_bytes some_key(struct game *g)
{
    size_t size = make_key(&g->dice, g->shape, g->number, g->key);
    if (g->twin.count && dice_chance(&g->dice, 75)) {
        luge_bytes k = g->twin.pairs[dice_below(&g->dice, g->twin.count)].key;
        if (k.size) memcpy(g->key, k.data, k.size);
        size = k.size;
        u32 kind = dice_below(&g->dice, 8);
        if (kind == 0 && size) size = dice_below(&g->dice, (u32)size);
        if (kind == 1 && size < LUGE_KEY_SIZE_MAX) g->key[size++] = 0;
        if (kind == 2 && size) g->key[dice_below(&g->dice, (u32)size)]++;
        if (kind == 3 && size) g->key[size - 1]--;
    }
    return (luge_bytes){g->key, size};
}

static u32 twin_seek(const struct game *g, enum luge_seek seek, luge_bytes key)
{
    bool found;
    u32 at = twin_find(&g->twin, key, &found);
    switch (seek) {
    case LUGE_FIRST: return 0;
    case LUGE_LAST: return g->twin.count - 1;
    case LUGE_GE: return at;
    case LUGE_GT: return at + found;
    case LUGE_LE: return found ? at : at - 1;
    default: return at - 1;
    }
}

static void step_seek(struct game *g)
{
    struct tree_cursor c;
    luge_bytes key = some_key(g);
    enum luge_seek seek = (enum luge_seek)dice_below(&g->dice, LUGE_LT + 1);
    u32 at = twin_seek(g, seek, key);
    int rc = tree_seek(&c, g->file, g->tree.root, seek, key);
    must_stand(g, &c, rc, at);
    for (u32 i = 0; i < 6 && !rc; i++) {
        bool next = dice_chance(&g->dice, 50);
        rc = next ? tree_next(&c) : tree_prev(&c);
        at = next ? at + 1 : at - 1;
        must_stand(g, &c, rc, at);
    }
    if (rc) must(tree_next(&c) == rc && tree_prev(&c) == rc);
}

static void step_get(struct game *g)
{
    bool found;
    luge_bytes key = some_key(g), value;
    u32 at = twin_find(&g->twin, key, &found);
    int rc = tree_get(g->file, g->tree.root, key, &value);
    must(rc == (found ? 0 : LUGE_NOTFOUND));
    if (found) must(bytes_equal(value, g->twin.pairs[at].value));
}

/* Now and then all of the file is shared with a pin: a patch may begin. */
static int game_put(struct game *g, luge_bytes key, luge_bytes value,
                    bool *existed)
{
    if (!g->patches) return tree_put(&g->work, &g->tree, key, value, existed);
    g->work.pinned = dice_chance(&g->dice, 30);
    int rc = tree_patch_put(&g->work, &g->tree, key, value, existed);
    g->work.pinned = 0;
    return rc;
}

static int game_del(struct game *g, luge_bytes key)
{
    if (!g->patches) return tree_del(&g->work, &g->tree, key);
    /* The pages of a pin outlive a tree that ends; here there is none. */
    g->work.pinned = g->tree.count > 1 && dice_chance(&g->dice, 30);
    int rc = tree_patch_del(&g->work, &g->tree, key);
    g->work.pinned = 0;
    return rc;
}

static void step_put(struct game *g)
{
    bool found, existed = dice_chance(&g->dice, 50);
    size_t size = make_key(&g->dice, g->shape, g->number++, g->key);
    luge_bytes key = {g->key, size};
    if (g->twin.count && dice_chance(&g->dice, 15))       /* an overwrite */
        key = g->twin.pairs[dice_below(&g->dice, g->twin.count)].key;
    luge_bytes value = make_value(&g->dice, g->page_bytes, g->value);
    u32 at = twin_find(&g->twin, key, &found);
    if (found && dice_chance(&g->dice, 30))
        value.size = g->twin.pairs[at].value.size;
    value = twin_put(&g->twin, key, value);
    must(game_put(g, key, value, &existed) == 0);
    must(existed == found);
}

static void step_del(struct game *g)
{
    bool found;
    luge_bytes key = some_key(g);
    u32 at = twin_find(&g->twin, key, &found);
    struct tree before = g->tree;
    u64 frames = fake_frames_made(g->file);
    int rc = game_del(g, key);
    must(rc == (found ? 0 : LUGE_NOTFOUND));
    if (found) twin_del(&g->twin, at);
    else must(before.root == g->tree.root && before.count == g->tree.count &&
              frames == fake_frames_made(g->file));
}

/* Two cursors beside each other find what tree_diff tells. */
struct seen {
    struct game *game;
    struct tree_cursor before, now;
    int before_rc, now_rc;
};

/* Past what is the same in both; < 0: the next key was in the old tree, 0: in
 * both, > 0: in the new one; 2: nothing is left. */
static int next_difference(struct seen *s)
{
    u8 space[LUGE_KEY_SIZE_MAX];
    for (;;) {
        luge_bytes was, is;
        if (s->before_rc && s->now_rc) return 2;
        int order = s->before_rc ? 1 : s->now_rc ? -1
                    : bytes_compare(tree_cursor_key(&s->before, space),
                                    tree_cursor_key(&s->now, s->game->found));
        if (order) return order < 0 ? -1 : 1;
        must(tree_cursor_value(&s->before, &was) == 0);
        must(tree_cursor_value(&s->now, &is) == 0);
        if (!bytes_equal(was, is)) return 0;
        s->before_rc = tree_next(&s->before);
        s->now_rc = tree_next(&s->now);
    }
}

static void same_value(const struct tree_cursor *c, const luge_bytes *value)
{
    luge_bytes there;
    must(value && tree_cursor_value(c, &there) == 0 &&
         bytes_equal(there, *value));
}

static int told(void *context, luge_bytes key, const luge_bytes *before,
                const luge_bytes *after)
{
    struct seen *s = context;
    int side = next_difference(s);
    must(side != 2 && !before == (side > 0) && !after == (side < 0));
    must(bytes_equal(key, tree_cursor_key(side > 0 ? &s->now : &s->before,
                                          s->game->found)));
    if (before) same_value(&s->before, before);
    if (after) same_value(&s->now, after);
    if (before) s->before_rc = tree_next(&s->before);
    if (after) s->now_rc = tree_next(&s->now);
    return 0;
}

static void compare_roots(struct game *g, page_ref before, page_ref after)
{
    struct seen s = {.game = g};
    luge_bytes none = {0};
    s.before_rc = tree_seek(&s.before, g->file, before, LUGE_FIRST, none);
    s.now_rc = tree_seek(&s.now, g->file, after, LUGE_FIRST, none);
    must(tree_diff(g->file, before, after, told, &s) == 0);
    must(next_difference(&s) == 2);
}

static void publish(struct game *g)
{
    g->tree.root = fake_publish(g->file, g->tree.root);
    fake_freeze(&g->work);
}

/* Everything so far becomes an old version, and maybe part of the file. */
static void step_freeze(struct game *g)
{
    u32 i = dice_below(&g->dice, OLD_ROOTS);
    if (g->old[i].set) {
        must(digest_of(g, g->old[i].root) == g->old[i].digest);
        compare_roots(g, g->old[i].root, g->tree.root);
        compare_roots(g, g->tree.root, g->old[i].root);
    }
    g->old[i].set = true;
    g->old[i].root = g->tree.root;
    g->old[i].digest = digest_of(g, g->tree.root);
    if (g->may_write && dice_chance(&g->dice, 50))
        g->tree.root = fake_publish(g->file, g->tree.root);
    fake_freeze(&g->work);
}

/* Memory runs out in the middle: the version before is untouched. */
static void step_fail(struct game *g)
{
    struct tree before = g->tree;
    fake_freeze(&g->work);
    fake_save(g->file);
    u64 digest = digest_of(g, before.root);
    fake_fail(g->file, 1 + dice_below(&g->dice, 6));
    int rc = 0;
    for (u32 i = 0; i < 8 && !rc; i++) {
        luge_bytes value = make_value(&g->dice, g->page_bytes, g->value);
        value.data = twin_keep(&g->twin, value);
        if (dice_chance(&g->dice, 50))
            rc = game_put(g, some_key(g), value, NULL);
        else
            rc = game_del(g, some_key(g));
        if (rc == LUGE_NOTFOUND) rc = 0;
    }
    must(rc == (fake_failed(g->file) ? LUGE_NOMEM : 0));
    fake_fail(g->file, 0);
    fake_abandon(g->file);
    fake_freeze(&g->work);
    g->tree = before;
    must(digest_of(g, before.root) == digest);
}

static void step_clear(struct game *g)
{
    must(tree_clear(&g->work, &g->tree) == 0);
    must(g->tree.root == PAGE_NONE && g->tree.count == 0);
    must(fake_live(g->file) == 0);
    g->twin.count = 0;
}

static void step(struct game *g)
{
    u32 n = dice_below(&g->dice, 1000);
    if (n < 8) g->growing = !g->growing;
    if (n < 640) dice_chance(&g->dice, g->growing ? 80 : 15) ? step_put(g)
                                                              : step_del(g);
    else if (n < 760) step_get(g);
    else if (n < 950) step_seek(g);
    else if (n < 980) step_freeze(g);
    else if (n < 990) step_fail(g);
    else if (n < 998) compare_all(g);
    else step_clear(g);
}

static void game_begin(struct game *g, u64 seed, u32 pages_max)
{
    static const u32 sizes[] = {4096, 4096, 4096, 16384, 65536};
    *g = (struct game){.dice = {seed * 0x2545f4914f6cdd1d}};
    g->shape = (enum shape)dice_below(&g->dice, SHAPES);
    g->page_bytes = sizes[dice_below(&g->dice, ARRAY_COUNT(sizes))];
    g->may_write = dice_chance(&g->dice, 60);
    g->patches = dice_chance(&g->dice, 50);
    g->growing = true;
    g->file = fake_pages_new(g->page_bytes, pages_max, tree_page_validate);
    g->work = fake_work(g->file, g->may_write);
    now.seed = seed;
    now.what = shape_names[g->shape];
}

static void game_end(struct game *g)
{
    compare_all(g);
    for (u32 i = 0; i < OLD_ROOTS; i++)
        if (g->old[i].set)
            must(digest_of(g, g->old[i].root) == g->old[i].digest);
    while (g->twin.count) {                    /* shrink it to nothing */
        u32 at = dice_below(&g->dice, g->twin.count);
        must(game_del(g, g->twin.pairs[at].key) == 0);
        twin_del(&g->twin, at);
        if (g->twin.count % 64 == 0) prove(g);
    }
    must(g->tree.root == PAGE_NONE && fake_live(g->file) == 0);
    fake_pages_free(g->file);
    twin_free(&g->twin);
}

/* STEPS steps of one seed; the prover looks after each PROVE_EVERY. */
static void play(u64 seed, u32 steps, u32 prove_every, u32 pages_max)
{
    static struct game g;
    game_begin(&g, seed, pages_max);
    if (steps > 1000) steps = steps / g.page_bytes * 4096 + 1000;
    for (now.step = 0; now.step < steps; now.step++) {
        step(&g);
        if (now.step % prove_every == 0) prove(&g);
    }
    game_end(&g);
}

static void play_many(u64 first, u32 count, u32 steps, u32 prove_every,
                      u32 pages_max)
{
    const char *only = getenv("LUGE_SEED");
    if (only) first = strtoull(only, NULL, 0), count = 1;
    print_message("seeds %llu and %u more\n", (unsigned long long)first,
                  count - 1);
    for (u32 i = 0; i < count; i++)
        play(first + i, steps, prove_every, pages_max);
}

static void test_twin_short(void **state)
{
    (void)state;
    play_many(1, rounds(2400), 60, 1, 4096);
}

static void test_twin_middle(void **state)
{
    (void)state;
    play_many(1000000, rounds(160), 900, 4, 16384);
}

static void test_twin_long(void **state)
{
    (void)state;
    play_many(2000000, rounds(12), 20000, 500, 65536);
}

/* ------------------------------------------------------- shapes of trees -- */

struct loaded {
    struct page_file *file;
    struct page_work work;
    struct tree tree;
    struct tree_totals totals;
};

/* COUNT keys of 16 bytes from KEY_OF, each with VALUE_BYTES. */
static void load(struct loaded *l, u64 count, size_t value_bytes,
                 u64 (*key_of)(u64 i))
{
    u8 key[16] = "tree/12", value[200] = {0};
    l->file = fake_pages_new(4096, 1 << 16, tree_page_validate);
    l->work = fake_work(l->file, true);
    l->tree = (struct tree){0};
    now.what = "load", now.seed = 0;
    for (now.step = 0; now.step < count; now.step++) {
        store64_be(key + 8, key_of(now.step));
        must(tree_put(&l->work, &l->tree, (luge_bytes){key, 16},
                      (luge_bytes){value, value_bytes}, NULL) == 0);
    }
    must(tree_check(l->file, &l->tree, NULL, NULL, &l->totals) == 0);
    must(l->totals.count == count);
}

/* How full the leaves are, in percent. */
static u64 fill_of(const struct loaded *l)
{
    u64 used = l->totals.count * (NODE_LEAF_SLOT + NODE_LEAF_CELL) +
               l->totals.value_bytes;
    return used * 100 / (l->totals.leaf_pages * 4096);
}

static u64 ascending(u64 i) { return i; }
static u64 descending(u64 i) { return ~i; }
static u64 interleaved(u64 i) { return (i % 37) << 32 | i; }
static u64 interleaved_down(u64 i) { return ((i % 37) << 32) - i + (1 << 30); }
static u64 scattered(u64 i) { return i * 0x9e3779b97f4a7c15; }
static u64 anywhere(u64 i)
{
    u64 x = scattered(i + 1);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static void test_fill(void **state)
{
    static const struct { u64 (*key_of)(u64 i); u64 least; } cases[] = {
        {ascending, 94}, {descending, 94}, {interleaved, 90},
        {interleaved_down, 90}, {scattered, 75}, {anywhere, 75},
    };
    (void)state;
    for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
        struct loaded l;
        load(&l, 30000, 100, cases[i].key_of);
        now.step = i;
        must(l.totals.leaf_pages * NODE_KEYS_MAX >= 30000);
        if (NODE_KEYS_MAX > 1000) must(fill_of(&l) >= cases[i].least);
        else must(l.totals.leaf_pages * NODE_KEYS_MAX <= 30000 * 3);
        must(tree_clear(&l.work, &l.tree) == 0 && fake_live(l.file) == 0);
        fake_pages_free(l.file);
    }
}

static void put_sized(struct loaded *l, const char *key, size_t size)
{
    static const u8 value[2000];
    must(tree_put(&l->work, &l->tree, luge_str(key), (luge_bytes){value, size},
                  NULL) == 0);
    must(tree_check(l->file, &l->tree, NULL, NULL, &l->totals) == 0);
}

/* A leaf that shares, and keeps just what it has, is full to the last byte with
 * a shorter prefix than its keys have: made anew it would not fit. */
static void test_share_of_a_full_leaf(void **state)
{
    struct loaded l = {.file = fake_pages_new(4096, 100, tree_page_validate)};
    (void)state;
    l.work = fake_work(l.file, true);
    now.what = "share";
    put_sized(&l, "b1", 1343);
    put_sized(&l, "b2", 1343);
    put_sized(&l, "c1", 1343);
    put_sized(&l, "c2", 1343);
    put_sized(&l, "a", 10);
    must(tree_del(&l.work, &l.tree, luge_str("a")) == 0);
    put_sized(&l, "b3", 1342);
    put_sized(&l, "b15", 1000);
    must(l.totals.count == 6);
    fake_pages_free(l.file);
}

/* Values that change their sizes find room beside them, too. */
static void test_fill_after_changes(void **state)
{
    enum { COUNT = 30000, AROUND = 100, MORE = 25 };
    u8 key[16] = "tree/12", value[AROUND + MORE] = {0};
    struct dice d = {1};
    struct loaded l;
    (void)state;
    load(&l, COUNT, AROUND, anywhere);
    for (u32 i = 0; i < 3 * COUNT; i++) {
        size_t size = AROUND - MORE + dice_below(&d, 2 * MORE + 1);
        bool existed;
        store64_be(key + 8, anywhere(dice_below(&d, COUNT)));
        must(tree_put(&l.work, &l.tree, (luge_bytes){key, 16},
                      (luge_bytes){value, size}, &existed) == 0 && existed);
    }
    must(tree_check(l.file, &l.tree, NULL, NULL, &l.totals) == 0);
    must(l.totals.count == COUNT);
    if (NODE_KEYS_MAX > 1000) must(fill_of(&l) >= 74);
    fake_pages_free(l.file);
}

/* Two bytes that EACH keys share, three that all do, three that differ: */
static u64 around_infix(u64 i, u64 each)
{
    return (i / each * 40503 & 0xffff) << 48 | scattered(i) >> 40;
}
/* leaves need an infix, */
static u64 short_groups(u64 i) { return around_infix(i, 7); }
/* branches need one. */
static u64 long_groups(u64 i) { return around_infix(i, 800); }

/* Of the keys below N, how many begin as the one before; the nodes that have
 * an infix. */
static void count_heads(struct page_file *f, const struct page_head *n,
                        u64 *equal, u64 *infixes)
{
    for (u32 i = 1; i < n->count; i++)
        *equal += node_heads(n)[i] == node_heads(n)[i - 1];
    *infixes += n->infix != 0;
    for (u32 i = 0; n->level && i <= n->count; i++) {
        const struct page_head *child = NULL;
        must(page_read(f, node_child(n, i), &child) == 0);
        count_heads(f, child, equal, infixes);
    }
}

static void test_infix_tells_keys_apart(void **state)
{
    static const struct { u64 (*key_of)(u64 i); bool infix; } cases[] = {
        {short_groups, true}, {long_groups, true}, {scattered, false},
    };
    (void)state;
    if (NODE_KEYS_MAX < 1000) return;        /* too few in a node to matter */
    for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
        struct loaded l;
        const struct page_head *root = NULL;
        u64 equal = 0, infixes = 0;
        load(&l, 30000, 100, cases[i].key_of);
        must(page_read(l.file, l.tree.root, &root) == 0);
        count_heads(l.file, root, &equal, &infixes);
        now.step = i;
        must(equal * 100 < l.totals.count);
        must(cases[i].infix == (infixes > 0));
        fake_pages_free(l.file);
    }
}

static struct page_head *changeable(struct page_file *f, page_ref ref);

/* 25 keys in groups of 5, MIDDLE bytes the same in all. */
static void put_around(struct loaded *l, u32 middle)
{
    u8 key[200];
    memset(key, 'm', sizeof key);
    l->file = fake_pages_new(16384, 64, tree_page_validate);
    l->work = fake_work(l->file, true);
    l->tree = (struct tree){0};
    for (u32 i = 0; i < 25; i++) {
        key[0] = (u8)('a' + i % 5), key[1 + middle] = (u8)('a' + i / 5);
        must(tree_put(&l->work, &l->tree, (luge_bytes){key, 2 + middle},
                      (luge_bytes){key, 1}, NULL) == 0);
    }
    struct page_head *root = changeable(l->file, l->tree.root);
    struct node_strip s = {.before = root, .count_before = 25, .count = 25,
                           .leaf = true};
    u64 copy[16384 / 8];
    memset(copy, 0, sizeof copy);
    struct page_head *built = (struct page_head *)copy;
    built->kind = PAGE_LEAF;
    node_build(built, 16384, &s, 0, 25);
    must(node_validate(built, 16384, false) == 0);
    u64 equal = 0, infixes = 0;
    count_heads(l->file, built, &equal, &infixes);
    must(infixes == (middle >= 3 && middle <= NODE_INFIX_MAX));
    must(equal == (middle > NODE_INFIX_MAX ? 20 : 0));
}

static void test_infix_of_any_size(void **state)
{
    (void)state;
    if (NODE_KEYS_MAX < 1000) return;
    for (u32 middle = 0; middle < 130; middle++) {
        struct loaded l;
        now.step = middle;
        put_around(&l, middle);
        fake_pages_free(l.file);
    }
}

/* Deleting most keys of every page gives most pages back. */
static void test_shrink(void **state)
{
    struct loaded l;
    u8 key[16] = "tree/12";
    (void)state;
    load(&l, 30000, 100, scattered);
    u64 before = fake_live(l.file);
    for (u64 i = 0; i < 30000; i++) {
        store64_be(key + 8, scattered(i));
        if (i % 16)
            must(tree_del(&l.work, &l.tree, (luge_bytes){key, 16}) == 0);
    }
    must(tree_check(l.file, &l.tree, NULL, NULL, &l.totals) == 0);
    must(l.tree.count == 30000 / 16);
    must(fake_live(l.file) * 5 <= before);
    fake_pages_free(l.file);
}

static void test_overwrite_in_place(void **state)
{
    struct loaded l;
    u8 key[16] = "tree/12", value[100];
    luge_bytes got;
    (void)state;
    load(&l, 5000, sizeof value, scattered);
    u64 made = fake_frames_made(l.file), live = fake_live(l.file);
    for (u64 i = 0; i < 5000; i++) {
        size_t size = i & 1 ? sizeof value : sizeof value - 1;
        memset(value, (int)(i & 255), sizeof value);
        store64_be(key + 8, scattered(i));
        must(tree_put(&l.work, &l.tree, (luge_bytes){key, 16},
                      (luge_bytes){value, size}, NULL) == 0);
        must(tree_get(l.file, l.tree.root, (luge_bytes){key, 16}, &got) == 0);
        must(bytes_equal(got, (luge_bytes){value, size}));
    }
    must(fake_frames_made(l.file) == made && fake_live(l.file) == live);
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == 0);
    fake_pages_free(l.file);
}

static void test_limits(void **state)
{
    static u8 key[LUGE_KEY_SIZE_MAX + 1], value[1];
    struct page_file *f = fake_pages_new(4096, 64, tree_page_validate);
    struct page_work w = fake_work(f, true);
    struct tree t = {0};
    struct tree_cursor c;
    luge_bytes got, longest = {key, LUGE_KEY_SIZE_MAX}, empty = {NULL, 0};
    (void)state;
    now.what = "limits";
    must(tree_get(f, t.root, longest, &got) == LUGE_NOTFOUND);
    must(tree_del(&w, &t, longest) == LUGE_NOTFOUND);
    must(tree_seek(&c, f, t.root, LUGE_FIRST, empty) == LUGE_NOTFOUND);
    must(tree_next(&c) == LUGE_NOTFOUND && tree_prev(&c) == LUGE_NOTFOUND);
    must(tree_clear(&w, &t) == 0);
    must(tree_put(&w, &t, (luge_bytes){key, sizeof key}, empty, NULL) ==
         LUGE_TOOBIG);
    must(tree_put(&w, &t, longest,
                  (luge_bytes){value, LUGE_VALUE_SIZE_MAX + 1}, NULL) ==
         LUGE_TOOBIG);
    must(t.root == PAGE_NONE && fake_live(f) == 0);
    must(tree_put(&w, &t, longest, empty, NULL) == 0);
    must(tree_put(&w, &t, empty, longest, NULL) == 0);
    must(tree_get(f, t.root, longest, &got) == 0 && got.size == 0);
    must(tree_get(f, t.root, empty, &got) == 0 && bytes_equal(got, longest));
    must(tree_check(f, &t, NULL, NULL, NULL) == 0 && t.count == 2);
    fake_pages_free(f);
}

/* ---------------------------------------------------------- the prover -- */

static struct page_head *changeable(struct page_file *f, page_ref ref)
{
    const struct page_head *n = NULL;
    must(page_read(f, ref, &n) == 0);
    return (struct page_head *)(uintptr_t)n;
}

/* Swap two children: every page is sound, the tree is not. */
static void test_check_finds_swapped_children(void **state)
{
    struct loaded l;
    u32 count;
    (void)state;
    load(&l, 2000, 50, scattered);
    struct page_head *root = changeable(l.file, l.tree.root);
    page_ref *children = tree_page_children(root, &count), first = children[0];
    must(count >= 2);
    children[0] = children[1];
    children[1] = first;
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == LUGE_CORRUPT);
    children[1] = children[0];
    fake_seen_begin(l.file);
    must(tree_check(l.file, &l.tree, fake_seen, l.file, NULL) == LUGE_CORRUPT);
    children[0] = first;
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == 0);
    children[1] = l.tree.root;                               /* a cycle */
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == LUGE_CORRUPT);
    fake_pages_free(l.file);
}

/* Leaves of one byte keys and values of 1000 bytes, so that a leaf of one key
 * is not joined with others: a tree whose separators are keys. */
static void load_letters(struct loaded *l, char last)
{
    u8 value[1000] = {0};
    now.what = "letters";
    l->file = fake_pages_new(4096, 256, tree_page_validate);
    l->work = fake_work(l->file, true);
    l->tree = (struct tree){0};
    for (char key = 'a'; key <= last; key++)
        must(tree_put(&l->work, &l->tree, (luge_bytes){&key, 1},
                      (luge_bytes){value, sizeof value}, NULL) == 0);
}

/* A separator may equal the key right of it, and not the one left of it. */
static void test_check_finds_equal_keys(void **state)
{
    struct loaded l;
    u32 count;
    (void)state;
    load_letters(&l, 'i');
    struct page_head *root = changeable(l.file, l.tree.root);
    page_ref *children = tree_page_children(root, &count);
    must(root->level == 1 && count >= 3);
    for (struct page_head *leaf = changeable(l.file, children[1]);
         leaf->count > 1;) {
        char key = *(const char *)node_leaf_suffix(leaf, 1).data;
        must(tree_del(&l.work, &l.tree, (luge_bytes){&key, 1}) == 0);
    }
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == 0);
    l.tree.count -= changeable(l.file, children[0])->count - 1u;
    children[0] = children[1];
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == LUGE_CORRUPT);
    fake_pages_free(l.file);
}

/* Leaves out of order are not joined: their common prefix would be wrong. */
static void test_join_refuses_disorder(void **state)
{
    struct loaded l;
    u32 count;
    (void)state;
    load(&l, 2000, 50, ascending);
    struct page_head *n = changeable(l.file, l.tree.root);
    while (n->level > 1) n = changeable(l.file, node_child(n, 0));
    page_ref *children = tree_page_children(n, &count), first = children[0];
    must(count >= 3);
    struct page_head *leaf = changeable(l.file, children[1]);
    children[0] = children[2];
    children[2] = first;
    int rc = 0;
    for (u32 left = leaf->count; !rc && left > 0; left--) {
        u8 space[LUGE_KEY_SIZE_MAX];
        struct node_cell cell;
        node_cell_load(leaf, 0, &cell);
        rc = tree_del(&l.work, &l.tree, node_cell_key(&cell, space));
    }
    must(rc == LUGE_CORRUPT);
    fake_pages_free(l.file);
}

static void test_check_finds_counts(void **state)
{
    struct loaded l;
    (void)state;
    load(&l, 300, 50, scattered);
    l.tree.count++;
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == LUGE_CORRUPT);
    l.tree.count -= 2;
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == LUGE_CORRUPT);
    l.tree.count++;
    must(tree_check(l.file, &l.tree, NULL, NULL, NULL) == 0);
    fake_pages_free(l.file);
}

/* --------------------------------------------------------- hostile bytes -- */

/* Pages of some tree of the seed's, as the file would hold them. */
struct zoo {
    struct game *game;
    u64 numbers[256];
    u32 count;
};

static int zoo_take(void *zoo, page_ref ref, u64 pages)
{
    struct zoo *z = zoo;
    if (pages == 1 && z->count < ARRAY_COUNT(z->numbers))
        z->numbers[z->count++] = ref;
    return 0;
}

static void zoo_make(struct zoo *z, struct game *g, u64 seed, u32 steps)
{
    game_begin(g, seed, 8192);
    g->may_write = g->work.may_write = true;
    for (now.step = 0; now.step < steps; now.step++) {
        dice_chance(&g->dice, 75) ? step_put(g) : step_del(g);
        if (g->patches && now.step % (steps / 4) == 0) publish(g);
    }
    publish(g);
    z->game = g;
    z->count = 0;
    must(tree_check(g->file, &g->tree, zoo_take, z, NULL) == 0);
}

static const struct page_head *zoo_page(const struct zoo *z, u32 i)
{
    const struct page_map *m = (const struct page_map *)z->game->file;
    return (const void *)(m->base + (z->numbers[i] << m->page_shift));
}

static void zoo_end(struct zoo *z)
{
    fake_pages_free(z->game->file);
    twin_free(&z->game->twin);
}

/* Change one thing: any byte, a word of the head, or a word of the slots. */
static void mutate(struct dice *d, struct page_head *n, u32 bytes)
{
    static const u16 words[] = {0, 1, 4, 5, 31, 32, 255, 1024, 1025, 4095,
                                4096, 0x7fff, 0x8000, 0x8001, 0xffff};
    u8 *p = (u8 *)n;
    u32 end = node_slots_end(n) < bytes ? node_slots_end(n) : bytes;
    u32 kind = dice_below(d, 10), at;
    if (kind < 3) at = 16 + dice_below(d, 16);
    else if (kind < 6) at = 32 + dice_below(d, end > 32 ? end - 32 : 1);
    else at = 16 + dice_below(d, bytes - 16);
    u16 word = words[dice_below(d, ARRAY_COUNT(words))];
    switch (dice_below(d, 4)) {
    case 0: p[at] = (u8)dice_next(d); break;
    case 1: p[at] = (u8)(p[at] + (dice_chance(d, 50) ? 1 : -1)); break;
    case 2: store16(p + (at & ~1u), word); break;
    default: p[at] ^= (u8)(1 << dice_below(d, 8));
    }
}

/* Everything that reads or changes a node, on bytes the validator passed. */
static void use_node(struct dice *d, struct page_head *n, u32 bytes)
{
    u8 key_space[LUGE_KEY_SIZE_MAX], space[LUGE_KEY_SIZE_MAX];
    u64 sum = 0;
    for (u32 i = 0; i < n->count; i++) {
        struct node_cell cell;
        node_cell_load(n, i, &cell);
        luge_bytes key = node_cell_key(&cell, space);
        must(key.size <= LUGE_KEY_SIZE_MAX);
        sum = digest_bytes(sum, key);
        if (n->level == 0) sum = digest_bytes(sum, cell.value);
        u32 at, child;
        if (n->level == 0) {
            must(node_leaf_find(n, key, &at) && at == i);
        } else {
            child = node_branch_find(n, key);
            must(child == i + 1);
        }
    }
    size_t size = fill(d, key_space, dice_below(d, 1025), "\0k\377", 3);
    for (u32 i = 0; i < 8; i++) {
        u32 at = 0, count = n->count;
        size_t part = size ? dice_below(d, (u32)size) : 0;
        luge_bytes key = {key_space, part};
        if (n->level) must(node_branch_find(n, key) <= count);
        else must((node_leaf_find(n, key, &at), at) <= count);
    }
    must(node_used(n, bytes) <= bytes);
    if (n->level) return;
    while (n->count > 1) node_leaf_remove(n, dice_below(d, n->count));
    must(node_validate(n, bytes, true) == 0);
    assert_true(sum != 1);
}

static void test_hostile_pages(void **state)
{
    static struct game g;
    struct zoo z;
    u64 accepted = 0, refused = 0, first = 3000000;
    (void)state;
    print_message("seeds from %llu\n", (unsigned long long)first);
    for (u64 seed = first; seed < first + rounds(60); seed++) {
        zoo_make(&z, &g, seed, 400);
        for (u32 i = 0; z.count && i < 1000; i++) {
            struct page_head *n = malloc(g.page_bytes);
            const struct page_head *from =
                zoo_page(&z, dice_below(&g.dice, z.count));
            assert_non_null(n);
            memcpy(n, from, g.page_bytes);
            now.step = i;
            for (u32 k = dice_below(&g.dice, 4); k + 1 > 0; k--)
                mutate(&g.dice, n, g.page_bytes);
            if (node_validate(n, g.page_bytes, true) == 0) {
                accepted++;
                use_node(&g.dice, n, g.page_bytes);
            } else {
                refused++;
            }
            free(n);
        }
        zoo_end(&z);
    }
    must(accepted > 100 && refused > 100);
}

static int nothing_seen(void *context, const struct page_extent *extent)
{
    (void)context;
    (void)extent;
    return 0;
}

static int no_child(void *context, page_ref ref, unsigned level)
{
    (void)context;
    (void)level;
    return ref == PAGE_NONE ? LUGE_CORRUPT : 0;
}

/* A tree some of whose pages were mutated: any answer, but no harm. */
static void use_hostile_tree(struct game *g, struct tree tree)
{
    static const struct tree_visit visit = {no_child, nothing_seen, NULL};
    const struct page_head *n;
    struct tree_cursor c;
    luge_bytes value;
    int rc = tree_seek(&c, g->file, tree.root, LUGE_FIRST, (luge_bytes){0});
    for (u32 i = 0; i < 500 && !rc; i++) {
        must(tree_cursor_key(&c, g->found).size <= LUGE_KEY_SIZE_MAX);
        rc = tree_cursor_value(&c, &value);
        if (!rc) rc = tree_next(&c);
    }
    if (page_read(g->file, tree.root, &n) == 0)
        tree_page_visit(n, g->page_bytes, &visit);
    (void)tree_check(g->file, &tree, NULL, NULL, NULL);
    for (u32 i = 0; i < 60; i++) {
        luge_bytes key = some_key(g), old;
        enum luge_seek seek = (enum luge_seek)dice_below(&g->dice, 6);
        if (dice_chance(&g->dice, 50)) {
            value = make_value(&g->dice, g->page_bytes, g->value);
            rc = tree_patch_put(&g->work, &tree, key, value, NULL);
            if (!rc) must(tree_get(g->file, tree.root, key, &old) == 0);
        } else {
            rc = tree_patch_del(&g->work, &tree, key);
        }
        must(rc == 0 || rc == LUGE_NOTFOUND || rc == LUGE_CORRUPT);
        rc = tree_seek(&c, g->file, tree.root, seek, key);
        for (u32 k = 0; k < 40 && !rc; k++)
            rc = dice_chance(&g->dice, 50) ? tree_next(&c) : tree_prev(&c);
        must(rc == 0 || rc == LUGE_NOTFOUND || rc == LUGE_CORRUPT);
    }
}

/* Another child for a branch: any page of the zoo. */
static void rewire(struct zoo *z, struct page_head *n)
{
    u32 count;
    struct dice *d = &z->game->dice;
    page_ref *children = tree_page_children(n, &count);
    if (count)
        children[dice_below(d, count)] = z->numbers[dice_below(d, z->count)];
}

static void test_hostile_trees(void **state)
{
    static struct game g;
    struct zoo z;
    u64 first = 4000000;
    (void)state;
    print_message("seeds from %llu\n", (unsigned long long)first);
    for (u64 seed = first; seed < first + rounds(300); seed++) {
        zoo_make(&z, &g, seed, 300);
        if (z.count) {
            u32 bad = 1 + dice_below(&g.dice, 3);
            while (bad--) {
                u32 i = dice_below(&g.dice, z.count);
                struct page_head *n = (void *)(uintptr_t)zoo_page(&z, i);
                if (dice_chance(&g.dice, 50)) rewire(&z, n);
                else mutate(&g.dice, n, g.page_bytes);
            }
            fake_hostile(g.file);
            now.step = 0;
            use_hostile_tree(&g, g.tree);
        }
        zoo_end(&z);
    }
}

/* ------------------------------------------ what a validator must refuse - */

struct crime {
    const char *what;
    void (*commit)(struct page_head *n);
};

static u16 *offs_of(struct page_head *n)
{
    return (u16 *)(void *)((u8 *)n + node_offs_at(n));
}
static u32 *heads_of(struct page_head *n)
{
    return (u32 *)(void *)((u8 *)n + node_heads_at(n));
}
static void wrong_kind(struct page_head *n) { n->kind = PAGE_SPACE; }
static void wrong_level(struct page_head *n) { n->level = !n->level; }
static void too_high(struct page_head *n) { n->level = 16; }
static void no_keys(struct page_head *n) { n->count = 0; }
static void more_keys(struct page_head *n) { n->count++; }
static void many_keys(struct page_head *n) { n->count = 65535; }
static void long_prefix_(struct page_head *n) { n->prefix = 1025; }
static void low_cells(struct page_head *n) { n->cell_low = 40; }
static void high_cells(struct page_head *n) { n->cell_low = 0; }
static void some_dead(struct page_head *n) { n->dead++; }
static void head_off(struct page_head *n) { heads_of(n)[1]++; }
static void early_cell(struct page_head *n) { offs_of(n)[0] = 40; }
static void late_cell(struct page_head *n) { offs_of(n)[0] = 4095; }
static void same_cell(struct page_head *n) { offs_of(n)[1] = offs_of(n)[0]; }
static void overlap(struct page_head *n) { offs_of(n)[1]++; }
static void long_suffix(struct page_head *n)
{
    store16((u8 *)n + offs_of(n)[0], 2000);
}
static void swapped(struct page_head *n)
{
    u16 off = offs_of(n)[0];
    u32 head = heads_of(n)[0];
    offs_of(n)[0] = offs_of(n)[1], offs_of(n)[1] = off;
    heads_of(n)[0] = heads_of(n)[1], heads_of(n)[1] = head;
}
static void long_value(struct page_head *n)
{
    store16((u8 *)n + offs_of(n)[0] + 2, 0x7fff);
}
static void odd_info(struct page_head *n)
{
    store16((u8 *)n + offs_of(n)[0] + 2, NODE_EXTENT | 24);
}
static void no_child_(struct page_head *n) { node_set_child(n, 0, PAGE_NONE); }
static void superblock(struct page_head *n) { node_set_child(n, 1, 1); }
static void far_child(struct page_head *n)
{
    node_set_child(n, 1, PAGE_NUMBER_MAX);
}
static void frame_child(struct page_head *n)
{
    node_set_child(n, 1, PAGE_PRIVATE | 1);
}
static void short_too_long(struct page_head *n) { offs_of(n)[0] = 5; }
static void short_zeros(struct page_head *n)
{
    offs_of(n)[1] = 0;      /* its head is above that of slot 0 */
}

static struct node_infix *infix_of(struct page_head *n)
{
    return (struct node_infix *)(uintptr_t)node_infix(n);
}
static void infix_at_0(struct page_head *n) { infix_of(n)->at = 0; }
static void infix_at_4(struct page_head *n) { infix_of(n)->at = 4; }
static void infix_empty(struct page_head *n) { infix_of(n)->size = 0; }
static void infix_shorter(struct page_head *n) { infix_of(n)->size--; }
static void infix_longer(struct page_head *n) { infix_of(n)->size = 118; }
static void infix_other(struct page_head *n) { infix_of(n)->bytes[0]++; }
static void no_infix(struct page_head *n) { n->infix = 0; }
static void more_infix(struct page_head *n) { n->infix++; }

static void must_refuse(const struct page_head *n, const struct crime *crimes,
                        size_t count)
{
    struct page_head *copy = malloc(4096);
    assert_non_null(copy);
    must(node_validate(n, 4096, true) == 0);
    for (size_t i = 0; i < count; i++) {
        memcpy(copy, n, 4096);
        crimes[i].commit(copy);
        now.what = crimes[i].what;
        must(tree_page_validate(copy, 4096) == LUGE_CORRUPT);
    }
    free(copy);
}

#define CRIME(name) {#name, name}

static void test_validator_refuses(void **state)
{
    static const struct crime any[] = {
        CRIME(wrong_kind), CRIME(wrong_level), CRIME(too_high), CRIME(no_keys),
        CRIME(more_keys), CRIME(many_keys), CRIME(long_prefix_),
        CRIME(low_cells), CRIME(some_dead), CRIME(early_cell),
        CRIME(late_cell), CRIME(swapped),
    };
    static const struct crime of_leaves[] = {
        CRIME(overlap), CRIME(long_suffix), CRIME(long_value), CRIME(odd_info),
        CRIME(high_cells), CRIME(same_cell), CRIME(head_off),
    };
    static const struct crime of_branches[] = {
        CRIME(no_child_), CRIME(superblock), CRIME(far_child),
        CRIME(frame_child), CRIME(short_too_long), CRIME(short_zeros),
    };
    struct loaded l;
    (void)state;
    load(&l, 3000, 50, ascending);
    page_ref root = fake_publish(l.file, l.tree.root);
    struct page_head *leaf = changeable(l.file, root), *branch = leaf;
    while (leaf->level) {
        branch = leaf;
        leaf = changeable(l.file, node_child(leaf, 0));
    }
    must(branch->level == 1 && branch->count > 1 && leaf->count > 1);
    must_refuse(leaf, any, ARRAY_COUNT(any));
    must_refuse(leaf, of_leaves, ARRAY_COUNT(of_leaves));
    must_refuse(branch, any, ARRAY_COUNT(any));
    must_refuse(branch, of_branches, ARRAY_COUNT(of_branches));
    must(node_validate(changeable(l.file, root), 4096, true) == 0);
    fake_pages_free(l.file);
}

static void test_validator_refuses_infixes(void **state)
{
    static const struct crime crimes[] = {
        CRIME(infix_at_0), CRIME(infix_at_4), CRIME(infix_empty),
        CRIME(infix_shorter), CRIME(infix_longer), CRIME(infix_other),
        CRIME(no_infix), CRIME(more_infix),
    };
    struct loaded l;
    (void)state;
    if (NODE_KEYS_MAX < 1000) return;
    load(&l, 3000, 50, short_groups);
    struct page_head *n = changeable(l.file, fake_publish(l.file, l.tree.root));
    n = changeable(l.file, node_child(n, 0));
    must(!n->level && n->infix);
    must_refuse(n, crimes, ARRAY_COUNT(crimes));
    fake_pages_free(l.file);
    load(&l, 8000, 50, long_groups);
    n = changeable(l.file, fake_publish(l.file, l.tree.root));
    must(n->level && n->infix);
    must_refuse(n, crimes, ARRAY_COUNT(crimes));
    fake_pages_free(l.file);
}

static void must_refuse_extent(const struct page_head *n, u64 first, u64 size)
{
    luge_bytes value;
    struct page_head *copy = malloc(4096);
    assert_non_null(copy);
    memcpy(copy, n, 4096);
    must(node_leaf_value(copy, 0, &value));
    struct page_extent extent = {.first = first, .size = size};
    memcpy((void *)(uintptr_t)value.data, &extent, sizeof extent);
    must(node_validate(copy, 4096, true) == LUGE_CORRUPT);
    free(copy);
}

static void test_validator_refuses_extents(void **state)
{
    static u8 value[5000];
    struct page_file *f = fake_pages_new(4096, 16, tree_page_validate);
    struct page_work w = fake_work(f, true);
    struct tree t = {0};
    (void)state;
    now.what = "extents";
    must(tree_put(&w, &t, luge_str("a"), (luge_bytes){value, sizeof value},
                  NULL) == 0);
    const struct page_head *n = changeable(f, t.root);
    must(node_validate(n, 4096, true) == 0);
    must_refuse_extent(n, 0, 5000);
    must_refuse_extent(n, 1, 5000);
    must_refuse_extent(n, PAGE_NUMBER_MAX, 5000);
    must_refuse_extent(n, PAGE_PRIVATE | 64, 5000);
    must_refuse_extent(n, 2, 0);
    must_refuse_extent(n, 2, LUGE_VALUE_SIZE_MAX + 1);
    fake_pages_free(f);
}

/* Slot 1 made to point into the value of slot 0, where the same cell stands:
 * sizes, heads and order are right, only the bytes belong to two. */
static void test_validator_refuses_shared_bytes(void **state)
{
    struct page_file *f = fake_pages_new(4096, 16, tree_page_validate);
    struct page_work w = fake_work(f, true);
    struct tree t = {0};
    u8 inner[] = {1, 0, 2, 0, 'b', 'x', 'y'}, value[40] = {0};
    (void)state;
    now.what = "shared bytes";
    memcpy(value + 20, inner, sizeof inner);
    must(tree_put(&w, &t, luge_str("a"), (luge_bytes){value, 40}, NULL) == 0);
    must(tree_put(&w, &t, luge_str("b"), luge_str("xy"), NULL) == 0);
    struct page_head *n = changeable(f, t.root);
    must(n->count == 2 && node_validate(n, 4096, true) == 0);
    u16 *offs = offs_of(n), at = (u16)(offs[0] + NODE_LEAF_CELL + 1 + 20);
    must(!memcmp((u8 *)n + at, (u8 *)n + offs[1], sizeof inner));
    offs[1] = at;
    must(node_validate(n, 4096, true) == LUGE_CORRUPT);
    fake_pages_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_fill_after_changes),
        cmocka_unit_test(test_share_of_a_full_leaf),
        cmocka_unit_test(test_infix_tells_keys_apart),
        cmocka_unit_test(test_infix_of_any_size),
        cmocka_unit_test(test_shrink),
        cmocka_unit_test(test_overwrite_in_place),
        cmocka_unit_test(test_check_finds_swapped_children),
        cmocka_unit_test(test_check_finds_counts),
        cmocka_unit_test(test_check_finds_equal_keys),
        cmocka_unit_test(test_join_refuses_disorder),
        cmocka_unit_test(test_validator_refuses),
        cmocka_unit_test(test_validator_refuses_infixes),
        cmocka_unit_test(test_validator_refuses_extents),
        cmocka_unit_test(test_validator_refuses_shared_bytes),
        cmocka_unit_test(test_twin_short),
        cmocka_unit_test(test_twin_middle),
        cmocka_unit_test(test_twin_long),
        cmocka_unit_test(test_hostile_pages),
        cmocka_unit_test(test_hostile_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
