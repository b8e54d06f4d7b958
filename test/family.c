/* test/family.c -- see family.h. */
#include "family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "luge_fork.h"

const char *const family_kind_names[FAMILY_KINDS] = {
    "put", "del", "clear", "create", "drop", "rename", "fork", "revive",
    "drop path", "take", "forget", "read", "read taken", "diff", "merge",
};

/* --------------------------------------------------------------- arena -- */

static void *make(struct family_arena *arena, size_t size)
{
    if (arena->count == arena->capacity) {
        arena->capacity = arena->capacity ? 2 * arena->capacity : 256;
        arena->blocks = grab_more(arena->blocks,
                                  arena->capacity * sizeof(void *));
    }
    return arena->blocks[arena->count++] = grab(size ? size : 1);
}

void family_free(struct family_arena *arena)
{
    for (size_t i = 0; i < arena->count; i++) free(arena->blocks[i]);
    free(arena->blocks);
    memset(arena, 0, sizeof *arena);
}

static struct family_map *map_copy(struct family_arena *arena,
                                   const struct family_map *old)
{
    struct family_map *map = make(arena, sizeof *map);
    *map = *old;
    return map;
}

/* -------------------------------------------------------------- choose -- */

static const char *const tops[] = {"a", "b", "c", "main"};
static const char *const middles[] = {"", "", "/x", "/y", "/x/z", "/y.y"};

static void any_name(struct dice *d, char *to)
{
    const char *top = tops[dice_below(d, COUNT_OF(tops))];
    snprintf(to, FAMILY_NAME, "%s%s", top,
             middles[dice_below(d, COUNT_OF(middles))]);
}

static void tree_name(const struct family_world *w, struct dice *d, char *to)
{
    if (dice_chance(d, 5)) any_name(d, to);
    else strcpy(to, w->trees[dice_below(d, w->tree_count)].name);
}

static void any_path(const struct family_world *w, struct dice *d, char *to)
{
    if (dice_chance(d, 40)) tree_name(w, d, to);
    else strcpy(to, tops[dice_below(d, COUNT_OF(tops) - 1)]);
    if (dice_chance(d, 10)) strcat(to, "/");
}

static void snapshot_name(const struct family_world *w, struct dice *d,
                          char *to)
{
    if (w->snapshot_count && dice_chance(d, 95))
        strcpy(to, w->snapshots[dice_below(d, w->snapshot_count)].name);
    else
        snprintf(to, FAMILY_NAME, "s%u", dice_below(d, 30));
}

/* Forks of forks get longer names: the longest goes before it is too long. */
static bool too_long(const struct family_world *w, char *name)
{
    for (uint32_t i = 0; i < w->tree_count; i++)
        if (strlen(w->trees[i].name) > FAMILY_NAME / 4) {
            strcpy(name, w->trees[i].name);
            return true;
        }
    return false;
}

static enum family_kind any_kind(const struct family_world *w, struct dice *d)
{
    static const uint8_t weights[FAMILY_KINDS] = {
        [FAMILY_PUT] = 30, [FAMILY_DEL] = 10, [FAMILY_CLEAR] = 1,
        [FAMILY_CREATE] = 2, [FAMILY_DROP] = 4, [FAMILY_RENAME] = 2,
        [FAMILY_FORK] = 10, [FAMILY_REVIVE] = 3, [FAMILY_DROP_PATH] = 2,
        [FAMILY_TAKE] = 6, [FAMILY_FORGET] = 4, [FAMILY_READ] = 6,
        [FAMILY_READ_TAKEN] = 3, [FAMILY_DIFF] = 3, [FAMILY_MERGE] = 4,
    };
    uint32_t sum = 0, at;
    for (int i = 0; i < FAMILY_KINDS; i++) sum += weights[i];
    at = dice_below(d, sum);
    enum family_kind kind = 0;
    while (at >= weights[kind]) at -= weights[kind++];
    bool many = w->tree_count > FAMILY_TREES_USUAL;
    if (many && (kind == FAMILY_FORK || kind == FAMILY_REVIVE))
        return dice_chance(d, 30) ? FAMILY_DROP_PATH : FAMILY_DROP;
    if (kind == FAMILY_TAKE && w->snapshot_count > FAMILY_SNAPSHOTS_USUAL)
        return FAMILY_FORGET;
    return kind;
}

void family_choose(const struct family_world *w, struct dice *d,
                   uint32_t value, struct family_op *op)
{
    memset(op, 0, sizeof *op);
    op->kind = any_kind(w, d);
    op->key = dice_below(d, FAMILY_KEYS);
    op->count = 1 + dice_below(d, dice_chance(d, 10) ? FAMILY_KEYS : 8);
    if (op->count > FAMILY_KEYS - op->key) op->count = FAMILY_KEYS - op->key;
    op->value = value;
    op->policy = (int)dice_below(d, 4);
    op->settles = dice_chance(d, 30);
    if (op->kind == FAMILY_FORK && too_long(w, op->a)) {
        op->kind = FAMILY_DROP;
        return;
    }
    switch (op->kind) {
    case FAMILY_CREATE: any_name(d, op->a); break;
    case FAMILY_RENAME: tree_name(w, d, op->a); any_name(d, op->b); break;
    case FAMILY_FORK: any_path(w, d, op->a); any_name(d, op->b); break;
    case FAMILY_DROP_PATH: any_path(w, d, op->a); break;
    case FAMILY_TAKE:
        snprintf(op->a, FAMILY_NAME, "s%u", dice_below(d, 30));
        if (dice_chance(d, 60)) any_path(w, d, op->b);
        break;
    case FAMILY_FORGET: snapshot_name(w, d, op->a); break;
    case FAMILY_REVIVE:
        snapshot_name(w, d, op->a);
        if (dice_chance(d, 80)) any_path(w, d, op->b);
        any_name(d, op->c);
        break;
    case FAMILY_READ_TAKEN:
        snapshot_name(w, d, op->a);
        tree_name(w, d, op->b);
        break;
    case FAMILY_DIFF:
    case FAMILY_MERGE: tree_name(w, d, op->b); /* fall through */
    default: tree_name(w, d, op->a);
    }
}

/* --------------------------------------------------------------- trees -- */

static struct family_tree *find(struct family_world *w, const char *name)
{
    for (uint32_t i = 0; i < w->tree_count; i++)
        if (!strcmp(w->trees[i].name, name)) return &w->trees[i];
    return NULL;
}

static struct family_snapshot *taken(struct family_world *w, const char *name)
{
    for (uint32_t i = 0; i < w->snapshot_count; i++)
        if (!strcmp(w->snapshots[i].name, name)) return &w->snapshots[i];
    return NULL;
}

static void add_tree(struct family_world *w, const struct family_tree *tree)
{
    uint32_t at = w->tree_count;
    if (at == FAMILY_TREES) die("the twin's world is full");
    for (; at && strcmp(w->trees[at - 1].name, tree->name) > 0; at--)
        w->trees[at] = w->trees[at - 1];
    w->trees[at] = *tree;
    w->tree_count++;
}

static void remove_tree(struct family_world *w, struct family_tree *tree)
{
    size_t behind = (size_t)(&w->trees[w->tree_count] - tree) - 1;
    memmove(tree, tree + 1, behind * sizeof *tree);
    w->tree_count--;
}

/* PATH without the slashes behind it. */
static size_t plain(const char *path)
{
    size_t size = strlen(path);
    while (size && path[size - 1] == '/') size--;
    return size;
}

static bool under(const char *name, const char *path)
{
    size_t size = plain(path);
    if (!size) return true;
    return !strncmp(name, path, size) && (!name[size] || name[size] == '/');
}

static bool is_empty(const struct family_map *map)
{
    for (uint32_t i = 0; i < FAMILY_KEYS; i++)
        if (map->value[i]) return false;
    return true;
}

/* ---------------------------------------------------------------- fork -- */

static bool fork_name(const char *name, const char *from, const char *to,
                      char *result)
{
    size_t size = plain(from);
    int n = snprintf(result, FAMILY_NAME, "%.*s%s%s", (int)plain(to), to,
                     size ? "" : "/", name + size);
    return n < FAMILY_NAME;
}

/* Fork those of TREES that are under FROM. */
static int fork_all(struct family_world *w, struct family_arena *arena,
                    const struct family_tree *trees, uint32_t count,
                    const char *from, const char *to)
{
    struct family_tree *made = make(arena, count * sizeof *made);
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!under(trees[i].name, from)) continue;
        if (!fork_name(trees[i].name, from, to, made[n].name))
            die("a name of the twin's is too long");
        if (find(w, made[n].name)) return LUGE_EXISTS;
        struct family_origin *origin = make(arena, sizeof *origin);
        *origin = (struct family_origin){
            trees[i].uid, trees[i].time ? trees[i].time : ++w->time,
            trees[i].map, trees[i].origin,
        };
        made[n].map = trees[i].map;
        made[n].time = 0;
        made[n++].origin = is_empty(trees[i].map) ? NULL : origin;
    }
    for (uint32_t i = 0; i < n; i++) {
        made[i].uid = ++w->next_uid;
        add_tree(w, &made[i]);
    }
    return n ? 0 : LUGE_NOTFOUND;
}

static int do_fork(struct family_world *w, struct family_arena *arena,
                   const struct family_op *op)
{
    uint32_t count = w->tree_count;
    struct family_tree *trees = make(arena, count * sizeof *trees);
    memcpy(trees, w->trees, count * sizeof *trees);
    return fork_all(w, arena, trees, count, op->a, op->b);
}

static int do_revive(struct family_world *w, struct family_arena *arena,
                     const struct family_op *op)
{
    const struct family_snapshot *s = taken(w, op->a);
    if (!s) return LUGE_NOTFOUND;
    return fork_all(w, arena, s->trees, s->count, op->b, op->c);
}

static int do_drop_path(struct family_world *w, const struct family_op *op)
{
    bool any = false;
    if (under("main", op->a)) return LUGE_INVALID;
    for (uint32_t i = w->tree_count; i-- > 0;)
        if (under(w->trees[i].name, op->a)) {
            remove_tree(w, &w->trees[i]);
            any = true;
        }
    return any ? 0 : LUGE_NOTFOUND;
}

/* ----------------------------------------------------------- snapshots -- */

static int do_take(struct family_world *w, struct family_arena *arena,
                   const struct family_op *op)
{
    struct family_snapshot s = {0};
    if (taken(w, op->a)) return LUGE_EXISTS;
    if (w->snapshot_count == FAMILY_SNAPSHOTS) die("the twin's world is full");
    strcpy(s.name, op->a);
    snprintf(s.path, sizeof s.path, "%.*s", (int)plain(op->b), op->b);
    struct family_tree *trees = make(arena, w->tree_count * sizeof *trees);
    w->time++;
    for (uint32_t i = 0; i < w->tree_count; i++) {
        if (!under(w->trees[i].name, op->b)) continue;
        trees[s.count] = w->trees[i];
        trees[s.count++].time = w->time;
    }
    s.trees = trees;
    uint32_t at = w->snapshot_count++;
    for (; at && strcmp(w->snapshots[at - 1].name, s.name) > 0; at--)
        w->snapshots[at] = w->snapshots[at - 1];
    w->snapshots[at] = s;
    return 0;
}

static int do_forget(struct family_world *w, const struct family_op *op)
{
    struct family_snapshot *s = taken(w, op->a);
    if (!s) return LUGE_NOTFOUND;
    size_t behind = (size_t)(&w->snapshots[w->snapshot_count] - s) - 1;
    memmove(s, s + 1, behind * sizeof *s);
    w->snapshot_count--;
    return 0;
}

/* ---------------------------------------------------------------- read -- */

static uint64_t read_map(const struct family_map *map,
                         const struct family_op *op)
{
    return digest(1, &map->value[op->key], op->count * sizeof(uint32_t));
}

static int do_read_taken(struct family_world *w, const struct family_op *op,
                         uint64_t *answer)
{
    const struct family_snapshot *s = taken(w, op->a);
    for (uint32_t i = 0; s && i < s->count; i++)
        if (!strcmp(s->trees[i].name, op->b)) {
            *answer = read_map(s->trees[i].map, op);
            return 0;
        }
    return LUGE_NOTFOUND;
}

uint64_t family_note(uint64_t sum, uint32_t key, uint32_t before,
                     uint32_t after)
{
    uint32_t words[3] = {key, before, after};
    return digest(sum, words, sizeof words);
}

static uint64_t diff_maps(const struct family_map *a,
                          const struct family_map *b)
{
    uint64_t sum = 1;
    for (uint32_t i = 0; i < FAMILY_KEYS; i++)
        if (a->value[i] != b->value[i])
            sum = family_note(sum, i, a->value[i], b->value[i]);
    return sum;
}

/* --------------------------------------------------------------- merge -- */

int family_settle(uint32_t key, uint32_t ours, uint32_t *value)
{
    *value = 0x40000000u + key + ours / 2;
    return (int)(key % 4);
}

/* The older of the states in which both lines were one tree. */
static const struct family_map *common(const struct family_tree *a,
                                       const struct family_tree *b)
{
    static const struct family_map none;
    struct family_origin heads[2] = {{a->uid, UINT32_MAX, a->map, a->origin},
                                     {b->uid, UINT32_MAX, b->map, b->origin}};
    for (const struct family_origin *x = &heads[0]; x; x = x->next)
        for (const struct family_origin *y = &heads[1]; y; y = y->next)
            if (x->uid == y->uid) return x->time < y->time ? x->map : y->map;
    return &none;
}

struct merge {
    const struct family_op *op;
    struct family_map *into;
    uint64_t changes, conflicts, unsettled;
};

static void merge_key(struct merge *m, uint32_t key, uint32_t base,
                      uint32_t theirs)
{
    uint32_t ours = m->into->value[key], value = theirs;
    if (theirs == base || theirs == ours) return;
    int verdict = 3;
    if (ours != base) {
        m->conflicts++;
        if (m->op->settles) verdict = family_settle(key, ours, &value);
        if (verdict == 2 || (verdict == 0 && !ours)) return;
        if (verdict == 0) value = 0;
        if (verdict == 3) {
            value = theirs;
            if (m->op->policy == LUGE_MERGE_FAIL) m->unsettled++;
            if (m->op->policy == LUGE_MERGE_FAIL ||
                m->op->policy == LUGE_MERGE_OURS ||
                (m->op->policy == LUGE_MERGE_NEWER && theirs <= ours))
                return;
        }
    }
    m->changes++;
    m->into->value[key] = value;
}

static int do_merge(struct family_world *w, struct family_arena *arena,
                    const struct family_op *op, uint64_t *answer)
{
    struct family_tree *from = find(w, op->a), *into = find(w, op->b);
    if (!from || !into) return LUGE_NOTFOUND;
    if (from == into) return LUGE_INVALID;
    const struct family_map *base = common(from, into);
    struct merge m = {.op = op, .into = map_copy(arena, into->map)};
    for (uint32_t i = 0; i < FAMILY_KEYS; i++)
        merge_key(&m, i, base->value[i], from->map->value[i]);
    uint64_t words[3] = {m.changes, m.conflicts, m.unsettled};
    *answer = digest(1, words, sizeof words);
    if (m.unsettled) return LUGE_MISMATCH;
    into->map = m.into;
    return 0;
}

/* ------------------------------------------------------------------ do -- */

static int do_keys(struct family_world *w, struct family_arena *arena,
                   const struct family_op *op)
{
    struct family_tree *tree = find(w, op->a);
    if (!tree) return LUGE_NOTFOUND;
    struct family_map *map = map_copy(arena, tree->map);
    if (op->kind == FAMILY_CLEAR) memset(map, 0, sizeof *map);
    else
        for (uint32_t i = 0; i < op->count; i++)
            map->value[op->key + i] =
                op->kind == FAMILY_PUT ? op->value + i : 0;
    tree->map = map;
    return 0;
}

static int do_names(struct family_world *w, struct family_arena *arena,
                    const struct family_op *op)
{
    struct family_tree *tree = find(w, op->a), moved;
    if (op->kind == FAMILY_CREATE) {
        if (tree) return 0;
        struct family_tree made = {.uid = ++w->next_uid};
        strcpy(made.name, op->a);
        struct family_map *map = make(arena, sizeof *map);
        memset(map, 0, sizeof *map);
        made.map = map;
        add_tree(w, &made);
        return 0;
    }
    if (!tree) return LUGE_NOTFOUND;
    if (!strcmp(op->a, "main")) return LUGE_INVALID;
    if (op->kind == FAMILY_DROP) {
        remove_tree(w, tree);
        return 0;
    }
    if (!strcmp(op->a, op->b)) return 0;
    if (find(w, op->b)) return LUGE_EXISTS;
    moved = *tree;
    remove_tree(w, tree);
    strcpy(moved.name, op->b);
    add_tree(w, &moved);
    return 0;
}

int family_do(struct family_world *w, struct family_arena *arena,
              const struct family_op *op, uint64_t *answer)
{
    struct family_tree *a = find(w, op->a), *b = find(w, op->b);
    *answer = 0;
    switch (op->kind) {
    case FAMILY_PUT:
    case FAMILY_DEL:
    case FAMILY_CLEAR: return do_keys(w, arena, op);
    case FAMILY_CREATE:
    case FAMILY_DROP:
    case FAMILY_RENAME: return do_names(w, arena, op);
    case FAMILY_FORK: return do_fork(w, arena, op);
    case FAMILY_REVIVE: return do_revive(w, arena, op);
    case FAMILY_DROP_PATH: return do_drop_path(w, op);
    case FAMILY_TAKE: return do_take(w, arena, op);
    case FAMILY_FORGET: return do_forget(w, op);
    case FAMILY_READ:
        if (!a) return LUGE_NOTFOUND;
        *answer = read_map(a->map, op);
        return 0;
    case FAMILY_READ_TAKEN: return do_read_taken(w, op, answer);
    case FAMILY_DIFF:
        if (!a || !b) return LUGE_NOTFOUND;
        *answer = diff_maps(a->map, b->map);
        return 0;
    case FAMILY_MERGE: return do_merge(w, arena, op, answer);
    default: die("operation %d", (int)op->kind);
    }
}
