/* os/sim_world.c -- inodes with their versions, directories, shared maps.
 *
 * Holds:
 *   V1  versions[0] is durable, the last is what is read; a sync makes them
 *       one.
 *   V2  An inode lives while any version of a directory that can still come
 *       back names it, or somebody has it open or mapped.
 *   V3  A map in the pool shows exactly its content: whoever takes it changes
 *       only what differs.
 * Not here: paths and calls (os/sim.c), the choice of a crash
 * (os/sim_crash.c).
 */
#include "os/sim_world.h"

/* ----------------------------------------------------------- directories -- */

u64 names_find(const struct sim_names *names, const char *name)
{
    for (u32 i = 0; i < names->count; i++)
        if (!strcmp(names->entries[i].name, name))
            return names->entries[i].inode;
    return 0;
}

void names_release(struct sim_names *names)
{
    if (names && --names->references == 0) base_free(names);
}

static struct sim_names *names_new(u32 room)
{
    struct sim_names *names =
        sim_memory(sizeof *names + room * sizeof names->entries[0]);
    names->references = 1;
    return names;
}

void directory_move(struct sim_inode *directory, const char *from,
                    const char *to, u64 inode)
{
    struct sim_version *v = inode_step(directory);
    struct sim_names *old = v->names, *names = names_new(old->count + 1);
    for (u32 i = 0; i < old->count; i++) {
        const char *name = old->entries[i].name;
        if (strcmp(name, from) != 0 && strcmp(name, to) != 0)
            names->entries[names->count++] = old->entries[i];
    }
    if (inode) {
        struct sim_entry *entry = &names->entries[names->count++];
        entry->inode = inode;
        memcpy(entry->name, to, strlen(to) + 1);
    }
    names_release(old);
    v->names = names;
}

void directory_set(struct sim_inode *directory, const char *name, u64 inode)
{
    directory_move(directory, name, name, inode);
}

/* The last steps of both are one rename. */
void world_join(struct sim_world *w, struct sim_inode *from,
                struct sim_inode *to)
{
    if (w->link_count == w->link_capacity) {
        w->link_capacity = w->link_capacity ? w->link_capacity * 2 : 8;
        w->links = sim_memory_more(w->links,
                                   w->link_capacity * sizeof *w->links);
    }
    w->links[w->link_count++] = (struct sim_link){
        .from = from->number,
        .to = to->number,
        .from_version = from->count - 1,
        .to_version = to->count - 1,
    };
}

/* ---------------------------------------------------------------- inodes -- */

static void version_release(struct sim_version *v)
{
    content_release(&v->content);
    names_release(v->names);
    v->names = NULL;
}

static struct sim_version version_copy(const struct sim_version *v)
{
    struct sim_version copy = *v;
    copy.content = content_copy(&v->content);
    if (copy.names) copy.names->references++;
    return copy;
}

/* The first COUNT versions become past; the next one is durable. */
static void forget_versions(struct sim_inode *i, u32 count)
{
    assert(count < i->count);
    for (u32 k = 0; k < count; k++) version_release(&i->versions[k]);
    i->count -= count;
    memmove(i->versions, i->versions + count, i->count * sizeof *i->versions);
    i->versions[0].shorter = false;
    i->doubtful -= (u32)min_u64(i->doubtful, count);
}

struct sim_version *inode_step(struct sim_inode *i)
{
    if (i->count > SIM_PENDING_MAX) forget_versions(i, SIM_PENDING_MAX / 2);
    if (i->count == i->capacity) {
        i->capacity *= 2;
        i->versions = sim_memory_more(i->versions,
                                      i->capacity * sizeof *i->versions);
    }
    i->versions[i->count] = version_copy(&i->versions[i->count - 1]);
    i->versions[i->count].shorter = false;
    return &i->versions[i->count++];
}

static struct sim_inode *inode_new(u64 number, bool directory)
{
    struct sim_inode *i = sim_memory(sizeof *i);
    i->number = number;
    i->directory = directory;
    i->capacity = 2;
    i->versions = sim_memory(i->capacity * sizeof *i->versions);
    i->count = 1;
    if (directory) i->versions[0].names = names_new(0);
    return i;
}

void inode_release(struct sim_inode *i)
{
    if (!i) return;
    assert(!i->map);
    for (u32 k = 0; k < i->count; k++) version_release(&i->versions[k]);
    base_free(i->versions);
    base_free(i->locks);
    base_free(i);
}

static struct sim_inode *inode_copy(const struct sim_inode *i)
{
    struct sim_inode *copy = sim_memory(sizeof *copy);
    copy->number = i->number;
    copy->directory = i->directory;
    copy->shared = i->shared;
    copy->doubtful = i->doubtful;
    copy->count = copy->capacity = i->count;
    copy->versions = sim_memory(i->count * sizeof *copy->versions);
    for (u32 k = 0; k < i->count; k++)
        copy->versions[k] = version_copy(&i->versions[k]);
    return copy;
}

struct patch { struct sim_version *versions; u32 count; };

static void patch_page(void *context, u64 number, const struct sim_page *was,
                       const struct sim_page *is)
{
    struct patch *p = context;
    struct sim_page *page = (struct sim_page *)(uintptr_t)is;
    (void)was;
    for (u32 k = 0; k < p->count; k++) {
        if (page) page->references++;
        content_put(&p->versions[k].content, number, page);
    }
}

/* M6: what was written after the failed sync is durable now: as if it had
 * been there in each of the doubtful versions, which stay in doubt. */
static void sync_in_doubt(struct sim_inode *i)
{
    struct sim_content failed =
        content_copy(&i->versions[i->doubtful].content);
    struct sim_content now = content_copy(&inode_now(i)->content);
    struct patch p = { i->versions, i->doubtful + 1 };
    content_compare(&failed, &now, patch_page, &p);
    for (u32 k = 0; k <= i->doubtful; k++) {
        content_resize(&i->versions[k].content, now.size);
        i->versions[k].shorter = false;
    }
    while (i->count > i->doubtful + 1)
        version_release(&i->versions[--i->count]);
    content_release(&failed);
    content_release(&now);
}

void inode_sync_file(struct sim_inode *i)
{
    inode_absorb(i);
    if (i->doubtful) sync_in_doubt(i);
    else forget_versions(i, i->count - 1);
}

/* They were in each version: no choice of pending changes undoes them. */
void inode_sync_range(struct sim_inode *i, u64 offset, size_t size)
{
    u8 *bytes = sim_memory(size);
    inode_absorb(i);
    content_read(&inode_now(i)->content, bytes, size, offset);
    for (u32 k = 0; k + 1 < i->count; k++)
        content_write(&i->versions[k].content, bytes, size, offset);
    base_free(bytes);
}

/* ----------------------------------------------------------------- world -- */

struct sim_inode *world_add_as(struct sim_world *w, u64 number, bool directory)
{
    if (number >= w->count) {
        w->inodes = sim_memory_more(w->inodes,
                                    (number + 1) * sizeof *w->inodes);
        while (w->count <= number) w->inodes[w->count++] = NULL;
    }
    assert(!w->inodes[number]);
    return w->inodes[number] = inode_new(number, directory);
}

struct sim_inode *world_add(struct sim_world *w, bool directory)
{
    return world_add_as(w, w->count, directory);
}

struct sim_world world_new(void)
{
    struct sim_world w = { 0 };
    world_add_as(&w, SIM_ROOT, true);
    return w;
}

struct sim_world world_copy(const struct sim_world *w)
{
    struct sim_world copy = { .count = w->count, .link_count = w->link_count,
                              .link_capacity = w->link_count };
    copy.inodes = sim_memory(w->count * sizeof *copy.inodes);
    for (u64 n = 0; n < w->count; n++)
        if (w->inodes[n]) copy.inodes[n] = inode_copy(w->inodes[n]);
    if (w->link_count) {
        copy.links = sim_memory(w->link_count * sizeof *copy.links);
        memcpy(copy.links, w->links, w->link_count * sizeof *copy.links);
    }
    return copy;
}

void world_release(struct sim_world *w)
{
    for (u64 n = 0; n < w->count; n++) inode_release(w->inodes[n]);
    base_free(w->inodes);
    base_free(w->links);
    *w = (struct sim_world){ 0 };
}

/* Mark what directory NUMBER leads to: by its last version, or by any. */
static void mark(const struct sim_world *w, u64 number, bool by_any, u8 *marks)
{
    const struct sim_inode *i = w->inodes[number];
    if (!i || marks[number]) return;
    marks[number] = 1;
    for (u32 v = by_any ? 0 : i->count - 1; i->directory && v < i->count; v++) {
        const struct sim_names *names = i->versions[v].names;
        for (u32 k = 0; k < names->count; k++)
            mark(w, names->entries[k].inode, by_any, marks);
    }
}

void world_sweep(struct sim_world *w)
{
    u8 *marks = sim_memory(w->count);
    mark(w, SIM_ROOT, true, marks);
    for (u64 n = 0; n < w->count; n++) {
        struct sim_inode *i = w->inodes[n];
        if (!i || marks[n] || i->opens || i->maps) continue;
        inode_release(i);
        w->inodes[n] = NULL;
    }
    u32 kept = 0;
    for (u32 k = 0; k < w->link_count; k++) {
        if (w->inodes[w->links[k].from] && w->inodes[w->links[k].to])
            w->links[kept++] = w->links[k];
    }
    w->link_count = kept;
    base_free(marks);
}

u64 world_blocks(const struct sim_world *w)
{
    u64 blocks = 0;
    u8 *marks = sim_memory(w->count);
    mark(w, SIM_ROOT, false, marks);
    for (u64 n = 0; n < w->count; n++) {
        struct sim_inode *i = w->inodes[n];
        if (i && (marks[n] || i->opens)) blocks += inode_now(i)->content.blocks;
    }
    base_free(marks);
    return blocks;
}

/* Which versions become durable when DIRECTORY is synced: all of its own, and
 * through renames between directories those of others; until nothing is new. */
static u32 *durable_versions(const struct sim_world *w,
                             const struct sim_inode *directory)
{
    u32 *durable = sim_memory(w->count * sizeof *durable);
    durable[directory->number] = directory->count - 1;
    for (bool changed = true; changed;) {
        changed = false;
        for (u32 k = 0; k < w->link_count; k++) {
            const struct sim_link *l = &w->links[k];
            bool from = durable[l->from] >= l->from_version;
            bool to = durable[l->to] >= l->to_version;
            if (from == to) continue;
            if (from) durable[l->to] = l->to_version;
            else durable[l->from] = l->from_version;
            changed = true;
        }
    }
    return durable;
}

void world_sync_directory(struct sim_world *w, struct sim_inode *directory)
{
    u32 *durable = durable_versions(w, directory);
    u32 kept = 0;
    for (u32 k = 0; k < w->link_count; k++) {
        struct sim_link l = w->links[k];
        if (durable[l.from] >= l.from_version) continue;
        l.from_version -= durable[l.from];
        l.to_version -= durable[l.to];
        w->links[kept++] = l;
    }
    w->link_count = kept;
    for (u64 n = 0; n < w->count; n++)
        if (durable[n]) forget_versions(w->inodes[n], durable[n]);
    base_free(durable);
    world_sweep(w);
}

/* ------------------------------------------------------ family and maps -- */

struct sim_family *family_new(void)
{
    struct sim_family *f = sim_memory(sizeof *f);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&f->unlocked, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&f->lock, NULL);
    f->zeros = sim_memory(sizeof *f->zeros);
    f->zeros->references = 1;
    return f;
}

static void map_free(struct sim_map *map)
{
    content_release(&map->shows);
    os_reserve_free(map->base, SIM_FILE_BYTES_MAX);
    base_free(map);
}

void family_leave(struct sim_family *f)
{
    u64 left = --f->members;
    if (!left) {
        while (f->pool_count) map_free(f->pool[--f->pool_count]);
        page_release(f->zeros);
    }
    pthread_mutex_unlock(&f->lock);
    if (left) return;
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->unlocked);
    base_free(f);
}

static struct sim_map *pool_take(struct sim_family *f, u32 at)
{
    struct sim_map *map = f->pool[at];
    f->pool_count--;
    memmove(f->pool + at, f->pool + at + 1,
            (f->pool_count - at) * sizeof *f->pool);
    return map;
}

/* The one that was this inode's; else a new one; else any. */
static struct sim_map *map_similar(struct sim_family *f, u64 inode)
{
    for (u32 k = 0; k < f->pool_count; k++)
        if (f->pool[k]->inode == inode) return pool_take(f, k);
    u8 *base;
    if (os_reserve(SIM_FILE_BYTES_MAX, false, &base))
        return f->pool_count ? pool_take(f, 0) : NULL;
    struct sim_map *map = sim_memory(sizeof *map);
    map->base = base;
    return map;
}

struct showing { const struct sim_page *zeros; u8 *base; };

/* An allocated block looks like a hole: neither needs memory to be shown, and
 * segments of the log are mostly the one or the other. */
static void show_page(void *context, u64 number, const struct sim_page *was,
                      const struct sim_page *is)
{
    const struct showing *to = context;
    if ((!was || was == to->zeros) && (!is || is == to->zeros)) return;
    memcpy(to->base + number * SIM_PAGE, page_bytes_or_zeros(is), SIM_PAGE);
}

struct sim_map *family_map(struct sim_family *f, const struct sim_inode *i)
{
    struct sim_map *map = map_similar(f, i->number);
    if (!map) return NULL;
    struct showing to = { f->zeros, map->base };
    map->inode = i->number;
    content_compare(&map->shows, &i->versions[i->count - 1].content, show_page,
                    &to);
    content_release(&map->shows);
    return map;
}

void family_unmap(struct sim_family *f, struct sim_inode *i)
{
    struct sim_map *map = i->map;
    inode_absorb(i);
    if (i->shared) /* stores beyond the end are nobody's; so forget all */
        os_discard(map->base, round_up(i->map_bytes, SIM_PAGE));
    else
        map->shows = content_copy(&inode_now(i)->content);
    i->map = NULL;
    i->map_bytes = 0;
    if (f->pool_count == SIM_POOL_MAX) map_free(pool_take(f, 0));
    f->pool[f->pool_count++] = map;
}

/* Other threads may store meanwhile, as they may while a kernel copies. */
__attribute__((no_sanitize("thread")))
static void copy_live(u64 *to, const u8 *memory)
{
    const volatile u64 *from = (const void *)memory;
    for (unsigned at = 0; at < SIM_PAGE / sizeof *to; at++) to[at] = from[at];
}

void inode_absorb(struct sim_inode *i)
{
    if (!i->shared || !i->map) return;
    u64 copy[SIM_PAGE / sizeof(u64)];
    struct sim_version *v = NULL;
    u64 size = inode_now(i)->content.size;
    for (u64 at = 0; at < size; at += SIM_PAGE) {
        u64 left = min_u64(size - at, SIM_PAGE);
        const struct sim_page *page =
            content_page(&inode_now(i)->content, at / SIM_PAGE);
        copy_live(copy, i->map->base + at);
        memset((u8 *)copy + left, 0, SIM_PAGE - left);
        if (!memcmp(copy, page_bytes_or_zeros(page), SIM_PAGE)) continue;
        if (!v) v = i->count > 1 ? inode_now(i) : inode_step(i);
        memcpy(content_change(&v->content, at / SIM_PAGE)->bytes, copy,
               SIM_PAGE);
    }
}
