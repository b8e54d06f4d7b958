/* os/sim.c -- the simulated platform: paths, calls, faults, locks.
 *
 * Holds:
 *   S1  Every call begins with begin(), which counts it, lets the test look
 *       on, and fails it if trouble was ordered; and ends with end().
 *   S2  A call that fails has done nothing, but for a write that ran out of
 *       space or was told to fail partly: that has done a first part.
 *   S3  A map shows what os_read reads, except that stores into a shared map
 *       reach the pages only when somebody looks (inode_absorb).
 * Not here: what a power cut leaves (os/sim_crash.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/sim_world.h"

#include <errno.h>
#include <time.h>

enum {
    CALL_TAKES_NS = 1000,
    DEPTH_MAX = 32, /* of directories in a path */
};

#define CLOCK_START_NS 1700000000000000000u
#define DISCARD_UNIT KIB(64) /* whole pages on every machine */

struct fault {
    enum sim_call call;
    u64 at; /* the number of the call */
    int error;
    bool forever, partly;
};

struct sim {
    struct os os;
    struct sim_family *family; /* its lock is over all below */
    struct sim_world world;
    struct sim_file *files;
    u64 clock_ns, seed;

    u64 calls[SIM_CALL_COUNT], changes;
    struct fault faults[SIM_FAULTS_MAX];
    u32 fault_count;
    bool faulted, partly; /* the call that is running meets a fault */
    u64 capacity_bytes, power_off_at;
    bool off;

    void (*before)(void *, const char *, const char *);
    void *before_context;
};

struct sim_file {
    struct os_file head;
    struct sim_inode *inode;
    struct sim_file *next;
    bool writable;
    char path[];
};

static const struct { const char *name; bool changes; } call_table[] = {
#define X(name, word, changes) { #word, changes },
    SIM_CALLS(X)
#undef X
};

const char *sim_call_name(enum sim_call call)
{
    return call_table[call].name;
}

static struct sim *sim_of(struct os *os)
{
    return (struct sim *)os;
}

static struct sim_file *file_of(struct os_file *file)
{
    return (struct sim_file *)file;
}

static void lock(struct sim *s)
{
    int rc = pthread_mutex_lock(&s->family->lock);
    assert(!rc);
    (void)rc;
}

static void unlock(struct sim *s)
{
    pthread_mutex_unlock(&s->family->lock);
}

/* --------------------------------------------------------- begin and end -- */

static int meet_fault(struct sim *s, enum sim_call call, const char *path)
{
    for (u32 k = 0; k < s->fault_count; k++) {
        struct fault f = s->faults[k];
        u64 now = s->calls[call];
        if (f.call != call || now < f.at) continue;
        if (!f.forever) {
            if (now > f.at) continue;
            s->faults[k] = s->faults[--s->fault_count];
        }
        s->faulted = true;
        s->partly = f.partly;
        return fail_errno(base_code_of(f.error), f.error,
                          "%s of %s, as the test ordered",
                          sim_call_name(call), path);
    }
    return 0;
}

/* Takes the lock, whatever it answers. */
static int begin(struct sim *s, enum sim_call call, const char *path)
{
    bool changes = call_table[call].changes;
    if (changes && s->before)
        s->before(s->before_context, sim_call_name(call), path);
    lock(s);
    s->clock_ns += CALL_TAKES_NS;
    s->calls[call]++;
    s->faulted = s->partly = false;
    if (changes && ++s->changes == s->power_off_at) s->off = true;
    if (s->off)
        return fail_errno(LUGE_IO, EIO, "%s of %s: the simulated power is off",
                          sim_call_name(call), path);
    return meet_fault(s, call, path);
}

static int begin_file(struct os_file *file, enum sim_call call)
{
    return begin(sim_of(file->os), call, file_of(file)->path);
}

static int end(struct sim *s, int rc)
{
    unlock(s);
    return rc;
}

static int end_file(struct os_file *file, int rc)
{
    return end(sim_of(file->os), rc);
}

/* ----------------------------------------------------------------- paths -- */

/* Where a path leads: way[0] is the root, way[depth] the last directory
 * before NAME; the inode is NULL if that directory has no such name. */
struct place {
    struct sim_inode *way[DEPTH_MAX];
    unsigned depth;
    struct sim_inode *inode;
    char name[SIM_NAME_MAX + 1];
};

static int not_found(const char *path)
{
    return fail_errno(LUGE_NOTFOUND, ENOENT, "%s", path);
}

/* One name further down. */
static int step(struct sim *s, struct place *at, const char *name, size_t size,
                const char *path)
{
    if (!at->inode || !at->inode->directory) return not_found(path);
    if (size == 1 && name[0] == '.') return 0;
    if (size == 2 && name[0] == '.' && name[1] == '.')
        return fail(LUGE_INVALID, "the simulator knows no ..: %s", path);
    if (size > SIM_NAME_MAX || at->depth + 1 == DEPTH_MAX)
        return fail_errno(LUGE_INVALID, ENAMETOOLONG, "%s", path);
    if (at->name[0]) at->depth++;
    at->way[at->depth] = at->inode;
    memcpy(at->name, name, size);
    at->name[size] = 0;
    u64 number = names_find(inode_now(at->inode)->names, at->name);
    at->inode = number ? s->world.inodes[number] : NULL;
    return 0;
}

static int find(struct sim *s, const char *path, struct place *at)
{
    *at = (struct place){ .inode = s->world.inodes[SIM_ROOT] };
    at->way[0] = at->inode;
    for (const char *p = path; *p;) {
        size_t size = strcspn(p, "/");
        int rc = size ? step(s, at, p, size, path) : 0;
        if (rc) return rc;
        p += size;
        while (*p == '/') p++;
    }
    return 0;
}

/* The same, and something is there. */
static int find_there(struct sim *s, const char *path, struct place *at)
{
    int rc = find(s, path, at);
    if (rc) return rc;
    return at->inode ? 0 : not_found(path);
}

static int find_directory(struct sim *s, const char *path, struct place *at)
{
    int rc = find_there(s, path, at);
    if (rc) return rc;
    return at->inode->directory ? 0 : not_found(path);
}

static struct sim_inode *parent_of(const struct place *at)
{
    return at->way[at->depth];
}

/* -------------------------------------------------------- open and close -- */

static int open_checked(struct sim *s, const char *path, unsigned flags,
                        struct os_file **file)
{
    struct place at;
    int rc = find(s, path, &at);
    if (rc) return rc;
    if (!at.inode && !(flags & OS_CREATE)) return not_found(path);
    if (at.inode && (flags & OS_EXCLUSIVE))
        return fail_errno(LUGE_EXISTS, EEXIST, "open of %s", path);
    if (at.inode && at.inode->directory)
        return fail(LUGE_INVALID, "%s is not a regular file", path);
    if (!at.inode) {
        at.inode = world_add(&s->world, false);
        directory_set(parent_of(&at), at.name, at.inode->number);
    }
    struct sim_file *f = sim_memory(sizeof *f + strlen(path) + 1);
    f->head.os = &s->os;
    f->inode = at.inode;
    f->inode->opens++;
    f->writable = flags & OS_WRITE;
    memcpy(f->path, path, strlen(path) + 1);
    f->next = s->files;
    s->files = f;
    *file = &f->head;
    return 0;
}

static int sim_open(struct os *os, const char *path, unsigned flags,
                    struct os_file **file)
{
    struct sim *s = sim_of(os);
    struct place at;
    assert(!(flags & OS_EXCLUSIVE) || (flags & OS_CREATE));
    lock(s);
    bool makes = (flags & OS_CREATE) && !find(s, path, &at) && !at.inode;
    unlock(s);
    int rc = begin(s, makes ? SIM_CALL_CREATE : SIM_CALL_OPEN, path);
    if (!rc) rc = open_checked(s, path, flags, file);
    return end(s, rc);
}

static void drop_locks(struct sim *s, struct sim_file *f)
{
    struct sim_inode *i = f->inode;
    u32 kept = 0;
    for (u32 k = 0; k < i->lock_count; k++)
        if (i->locks[k].owner != f) i->locks[kept++] = i->locks[k];
    i->lock_count = kept;
    pthread_cond_broadcast(&s->family->unlocked);
}

static void sim_close(struct os_file *file)
{
    if (!file) return;
    struct sim_file *f = file_of(file);
    struct sim *s = sim_of(file->os);
    lock(s);
    struct sim_file **at = &s->files;
    while (*at != f) at = &(*at)->next;
    *at = f->next;
    drop_locks(s, f);
    if (--f->inode->opens == 0) world_sweep(&s->world);
    base_free(f);
    unlock(s);
}

/* ------------------------------------------------------------- transfer -- */

static int read_only(struct sim_file *f, const char *call)
{
    return fail_errno(LUGE_IO, EBADF, "%s of %s, open for reading", call,
                      f->path);
}

static int read_checked(struct sim_file *f, void *to, size_t size, u64 offset)
{
    const struct sim_content *c = &inode_now(f->inode)->content;
    if (offset > c->size || size > c->size - offset)
        return size ? CORRUPT("%s ends before its byte %llu", f->path,
                              (unsigned long long)(offset + size)) : 0;
    if (f->inode->map) memcpy(to, f->inode->map->base + offset, size);
    else content_read(c, to, size, offset);
    return 0;
}

static int sim_read(struct os_file *file, void *to, size_t size, u64 offset)
{
    int rc = begin_file(file, SIM_CALL_READ);
    if (!rc) rc = read_checked(file_of(file), to, size, offset);
    return end_file(file, rc);
}

static u64 holes_among(const struct sim_content *c, u64 first, u64 end)
{
    u64 holes = 0;
    for (u64 number = first; number < end; number++)
        holes += !content_page(c, number);
    return holes;
}

/* Blocks that the disk still has. */
static u64 room_for_blocks(struct sim *s)
{
    if (!s->capacity_bytes) return UINT64_MAX;
    u64 used = world_blocks(&s->world), all = s->capacity_bytes / SIM_PAGE;
    return used < all ? all - used : 0;
}

/* How many of SIZE bytes at OFFSET find a block. */
static u64 bytes_with_room(struct sim *s, const struct sim_content *c,
                           u64 offset, u64 size)
{
    u64 room = room_for_blocks(s), end = offset + size;
    if (room == UINT64_MAX) return size;
    for (u64 at = offset; at < end; at = (at / SIM_PAGE + 1) * SIM_PAGE) {
        if (content_page(c, at / SIM_PAGE)) continue;
        if (!room--) return at - offset;
    }
    return size;
}

static int no_space(struct sim_file *f)
{
    return fail_errno(LUGE_NOSPACE, ENOSPC, "write of %s", f->path);
}

/* The first SIZE bytes of the pieces, as one change of the file. */
static void apply_pieces(struct sim_inode *i, const luge_bytes *pieces,
                         u64 size, u64 offset)
{
    if (!size) return;
    struct sim_content *c = &inode_step(i)->content;
    for (; size; pieces++) {
        size_t part = (size_t)min_u64(size, pieces->size);
        content_write(c, pieces->data, part, offset);
        if (i->map && part) memcpy(i->map->base + offset, pieces->data, part);
        offset += part;
        size -= part;
    }
}

static int sim_writev(struct os_file *file, const luge_bytes *pieces,
                      unsigned count, u64 offset)
{
    struct sim_file *f = file_of(file);
    struct sim *s = sim_of(file->os);
    u64 size = 0, most = 0;
    for (unsigned k = 0; k < count; k++) size += pieces[k].size;
    int rc = begin_file(file, SIM_CALL_WRITE);
    if (!rc && size && !f->writable)
        rc = read_only(f, "write");
    else if (!rc && (offset > SIM_FILE_BYTES_MAX ||
                     size > SIM_FILE_BYTES_MAX - offset))
        rc = fail(LUGE_INVALID, "%s would exceed the simulator's files",
                  f->path);
    else if (!rc)
        most = bytes_with_room(s, &inode_now(f->inode)->content, offset, size);
    else if (s->partly && size)
        most = sim_dice(&s->seed) % size;
    apply_pieces(f->inode, pieces, most, offset);
    if (!rc && most < size) rc = no_space(f);
    return end(s, rc);
}

static int sim_write(struct os_file *file, const void *from, size_t size,
                     u64 offset)
{
    luge_bytes piece = luge_bytes_of(from, size);
    return sim_writev(file, &piece, 1, offset);
}

/* ------------------------------------------------------- sync and extent -- */

static int sim_sync(struct os_file *file)
{
    struct sim_inode *i = file_of(file)->inode;
    int rc = begin_file(file, SIM_CALL_SYNC);
    if (!rc) inode_sync_file(i);
    else if (sim_of(file->os)->faulted) i->doubtful = i->count - 1;
    return end_file(file, rc);
}

/* A write and a sync of it: each may fail, and a crash come between. */
static int sim_write_durable(struct os_file *file, const void *from,
                             size_t size, u64 offset)
{
    struct sim_inode *i = file_of(file)->inode;
    int rc = sim_write(file, from, size, offset);
    if (rc) return rc;
    rc = begin_file(file, SIM_CALL_SYNC);
    if (!rc) inode_sync_range(i, offset, size);
    else if (sim_of(file->os)->faulted) i->doubtful = i->count - 1;
    return end_file(file, rc);
}

static int sim_sync_start(struct os_file *file, u64 offset, u64 size)
{
    (void)offset;
    (void)size;
    return end_file(file, begin_file(file, SIM_CALL_SYNC_START));
}

static int sim_sync_part(struct os_file *file, u64 offset, u64 size)
{
    (void)offset;
    (void)size;
    return end_file(file, begin_file(file, SIM_CALL_SYNC_PART));
}

static int sim_size(struct os_file *file, u64 *size)
{
    int rc = begin_file(file, SIM_CALL_SIZE);
    if (!rc) *size = inode_now(file_of(file)->inode)->content.size;
    return end_file(file, rc);
}

/* What the map shows beyond a file's new end. */
static void clear_map(struct sim_inode *i, u64 from, u64 to)
{
    if (!i->map || from >= to) return;
    u64 whole = min_u64(round_up(from, DISCARD_UNIT), to);
    memset(i->map->base + from, 0, whole - from);
    os_discard(i->map->base + whole, round_up(to - whole, DISCARD_UNIT));
}

static int resize_checked(struct sim_file *f, u64 size)
{
    u64 old = inode_now(f->inode)->content.size;
    if (!f->writable) return read_only(f, "resize");
    if (size > SIM_FILE_BYTES_MAX)
        return fail(LUGE_INVALID, "%s would exceed the simulator's files",
                    f->path);
    if (size == old) return 0;
    inode_absorb(f->inode);
    struct sim_version *v = inode_step(f->inode);
    v->shorter = size < old;
    content_resize(&v->content, size);
    clear_map(f->inode, size, old);
    return 0;
}

static int sim_resize(struct os_file *file, u64 size)
{
    int rc = begin_file(file, SIM_CALL_RESIZE);
    if (!rc) rc = resize_checked(file_of(file), size);
    return end_file(file, rc);
}

static int allocate_checked(struct sim *s, struct sim_file *f, u64 offset,
                            u64 size)
{
    const struct sim_content *now = &inode_now(f->inode)->content;
    if (!f->writable) return read_only(f, "allocate");
    if (offset > SIM_FILE_BYTES_MAX || size > SIM_FILE_BYTES_MAX - offset)
        return fail(LUGE_INVALID, "%s would exceed the simulator's files",
                    f->path);
    u64 first = offset / SIM_PAGE, end = round_up(offset + size, SIM_PAGE);
    if (!size) return 0;
    u64 holes = holes_among(now, first, end / SIM_PAGE);
    if (holes > room_for_blocks(s)) return no_space(f);
    if (!holes && offset + size <= now->size) return 0;
    struct sim_content *c = &inode_step(f->inode)->content;
    content_allocate(c, s->family->zeros, first, end / SIM_PAGE);
    c->size = max_u64(c->size, offset + size);
    return 0;
}

static int sim_allocate(struct os_file *file, u64 offset, u64 size)
{
    int rc = begin_file(file, SIM_CALL_ALLOCATE);
    if (!rc)
        rc = allocate_checked(sim_of(file->os), file_of(file), offset, size);
    return end_file(file, rc);
}

/* ------------------------------------------------------------------ maps -- */

static int map_checked(struct sim_file *f, struct sim *s, u64 size, bool shared,
                       u8 **base)
{
    struct sim_inode *i = f->inode;
    assert(size);
    if (shared && !f->writable) return read_only(f, "map_shared");
    if (size <= SIM_FILE_BYTES_MAX && !i->map)
        i->map = family_map(s->family, i);
    if (size > SIM_FILE_BYTES_MAX || !i->map)
        return fail_errno(LUGE_NOMEM, ENOMEM, "mmap of %llu bytes of %s",
                          (unsigned long long)size, f->path);
    i->maps++;
    i->map_bytes = max_u64(i->map_bytes, size);
    i->shared |= shared;
    *base = i->map->base;
    return 0;
}

static int sim_map_shared(struct os_file *file, u64 size, u8 **base)
{
    int rc = begin_file(file, SIM_CALL_MAP);
    if (!rc)
        rc = map_checked(file_of(file), sim_of(file->os), size, true, base);
    return end_file(file, rc);
}

static int sim_map_read(struct os_file *file, u64 size, const u8 **base)
{
    u8 *at = NULL;
    int rc = begin_file(file, SIM_CALL_MAP);
    if (!rc)
        rc = map_checked(file_of(file), sim_of(file->os), size, false, &at);
    if (!rc) *base = at;
    return end_file(file, rc);
}

/* All of its maps are in memory. */
static void sim_advise(struct os *os, const u8 *at, u64 size,
                       enum os_advice advice)
{
    (void)os;
    (void)at;
    (void)size;
    (void)advice;
}

/* As on ext4 and xfs, what is allocated and was never written is a hole. */
static bool is_data(const struct sim *s, const struct sim_content *c, u64 page)
{
    const struct sim_page *p = content_page(c, page);
    return p && p != s->family->zeros;
}

static void sim_data(struct os_file *file, u64 offset, u64 *from, u64 *to)
{
    struct sim *s = sim_of(file->os);
    lock(s);
    const struct sim_content *c = &inode_now(file_of(file)->inode)->content;
    u64 page = offset / SIM_PAGE, end = round_up(c->size, SIM_PAGE) / SIM_PAGE;
    while (page < end && !is_data(s, c, page)) page++;
    *from = page < end ? max_u64(offset, page * SIM_PAGE) : UINT64_MAX;
    while (page < end && is_data(s, c, page)) page++;
    *to = *from == UINT64_MAX ? UINT64_MAX : page * SIM_PAGE;
    unlock(s);
}

static void sim_unmap(struct os *os, const void *base, u64 size)
{
    struct sim *s = sim_of(os);
    (void)size;
    if (!base) return;
    lock(s);
    struct sim_inode *found = NULL;
    for (u64 n = 0; n < s->world.count; n++) {
        struct sim_inode *i = s->world.inodes[n];
        if (i && i->map && i->map->base == base) found = i;
    }
    assert(found && found->maps);
    if (--found->maps == 0) {
        family_unmap(s->family, found);
        world_sweep(&s->world);
    }
    unlock(s);
}

static bool map_shows_pages(const struct sim_inode *i)
{
    const struct sim_content *c = &i->versions[i->count - 1].content;
    for (u64 at = 0; at < c->size; at += SIM_PAGE) {
        const u8 *page = page_bytes_or_zeros(content_page(c, at / SIM_PAGE));
        if (memcmp(i->map->base + at, page, SIM_PAGE) != 0) return false;
    }
    return true;
}

bool sim_maps_untouched(struct os *os)
{
    struct sim *s = sim_of(os);
    bool untouched = true;
    lock(s);
    for (u64 n = 0; n < s->world.count; n++) {
        const struct sim_inode *i = s->world.inodes[n];
        if (i && i->map && !i->shared && !map_shows_pages(i))
            untouched = false;
    }
    unlock(s);
    return untouched;
}

/* ----------------------------------------------------------- directories -- */

static int sim_stat(struct os *os, const char *path, struct os_stat *result)
{
    struct sim *s = sim_of(os);
    struct place at;
    int rc = begin(s, SIM_CALL_STAT, path);
    if (!rc) rc = find_there(s, path, &at);
    if (!rc)
        *result = (struct os_stat){
            .size = inode_now(at.inode)->content.size,
            .allocated = inode_now(at.inode)->content.size,
            .device = (uintptr_t)s, /* no two disks at one time are the same */
            .inode = at.inode->number,
            .directory = at.inode->directory,
        };
    return end(s, rc);
}

static int sim_mkdir(struct os *os, const char *path)
{
    struct sim *s = sim_of(os);
    struct place at;
    int rc = begin(s, SIM_CALL_MKDIR, path);
    if (!rc) rc = find(s, path, &at);
    if (!rc && at.inode)
        rc = fail_errno(LUGE_EXISTS, EEXIST, "mkdir of %s", path);
    if (!rc)
        directory_set(parent_of(&at), at.name,
                      world_add(&s->world, true)->number);
    return end(s, rc);
}

static bool is_empty(struct sim_inode *directory)
{
    return inode_now(directory)->names->count == 0;
}

/* May FROM come to stand at TO? */
static int check_rename(const struct place *from, const struct place *to,
                        const char *path)
{
    if (!from->name[0] || !to->name[0])
        return fail(LUGE_INVALID, "rename of the root or to it");
    for (unsigned k = 0; k <= to->depth; k++)
        if (to->way[k] == from->inode)
            return fail_errno(base_code_of(EINVAL), EINVAL,
                              "rename of %s into itself", path);
    if (!to->inode || to->inode == from->inode) return 0;
    for (unsigned k = 0; k <= from->depth; k++)
        if (from->way[k] == to->inode)
            return fail_errno(LUGE_EXISTS, ENOTEMPTY, "rename of %s", path);
    int error = to->inode->directory ? EISDIR : ENOTDIR;
    if (to->inode->directory != from->inode->directory)
        return fail_errno(base_code_of(error), error, "rename of %s", path);
    if (to->inode->directory && !is_empty(to->inode))
        return fail_errno(LUGE_EXISTS, ENOTEMPTY, "rename of %s", path);
    return 0;
}

static int rename_checked(struct sim *s, const char *from_path,
                          const char *to_path)
{
    struct place from, to;
    int rc = find_there(s, from_path, &from);
    if (!rc) rc = find(s, to_path, &to);
    if (!rc) rc = check_rename(&from, &to, from_path);
    if (rc || from.inode == to.inode) return rc;
    struct sim_inode *source = parent_of(&from), *target = parent_of(&to);
    u64 number = from.inode->number;
    if (source == target) {
        directory_move(source, from.name, to.name, number);
    } else {
        directory_set(source, from.name, 0);
        directory_set(target, to.name, number);
        world_join(&s->world, source, target);
    }
    return 0;
}

static int sim_rename(struct os *os, const char *from, const char *to)
{
    struct sim *s = sim_of(os);
    int rc = begin(s, SIM_CALL_RENAME, from);
    if (!rc) rc = rename_checked(s, from, to);
    return end(s, rc);
}

static int sim_unlink(struct os *os, const char *path)
{
    struct sim *s = sim_of(os);
    struct place at;
    int rc = begin(s, SIM_CALL_UNLINK, path);
    if (!rc) rc = find_there(s, path, &at);
    if (!rc && at.inode->directory)
        rc = fail_errno(LUGE_INVALID, EISDIR, "unlink of %s", path);
    if (!rc) directory_set(parent_of(&at), at.name, 0);
    return end(s, rc);
}

static int sim_rmdir(struct os *os, const char *path)
{
    struct sim *s = sim_of(os);
    struct place at;
    int rc = begin(s, SIM_CALL_RMDIR, path);
    if (!rc) rc = find_directory(s, path, &at);
    if (!rc && (!is_empty(at.inode) || !at.name[0]))
        rc = fail_errno(LUGE_EXISTS, ENOTEMPTY, "rmdir of %s", path);
    if (!rc) directory_set(parent_of(&at), at.name, 0);
    return end(s, rc);
}

static int sim_sync_dir(struct os *os, const char *path)
{
    struct sim *s = sim_of(os);
    struct place at;
    int rc = begin(s, SIM_CALL_SYNC_DIR, path);
    if (!rc) rc = find_directory(s, path, &at);
    if (!rc) world_sync_directory(&s->world, at.inode);
    return end(s, rc);
}

/* EACH may call us, so it runs without the lock, on names that stay. */
static int sim_list(struct os *os, const char *path,
                    int (*each)(void *context, const char *name), void *context)
{
    struct sim *s = sim_of(os);
    struct place at;
    struct sim_names *names = NULL;
    int rc = begin(s, SIM_CALL_LIST, path);
    if (!rc) rc = find_directory(s, path, &at);
    if (!rc) {
        names = inode_now(at.inode)->names;
        names->references++;
    }
    unlock(s);
    for (u32 k = 0; !rc && k < names->count; k++)
        rc = each(context, names->entries[k].name);
    lock(s);
    names_release(names);
    return end(s, rc);
}

static int sim_probe(struct os *os, const char *path)
{
    struct sim *s = sim_of(os);
    struct place at;
    int rc = begin(s, SIM_CALL_PROBE, path);
    if (!rc) rc = find_there(s, path, &at);
    return end(s, rc);
}

/* ----------------------------------------------------------------- locks -- */

static struct sim_lock *own_lock(struct sim_file *f, u64 byte)
{
    for (u32 k = 0; k < f->inode->lock_count; k++) {
        struct sim_lock *l = &f->inode->locks[k];
        if (l->owner == f && l->byte == byte) return l;
    }
    return NULL;
}

/* Does another open file's lock stand in the way? */
static bool is_held(struct sim_file *f, u64 byte, u64 count, bool exclusive)
{
    for (u32 k = 0; k < f->inode->lock_count; k++) {
        const struct sim_lock *l = &f->inode->locks[k];
        if (l->owner == f || l->byte < byte || l->byte - byte >= count)
            continue;
        if (exclusive || l->exclusive) return true;
    }
    return false;
}

static void add_lock(struct sim_file *f, u64 byte, bool exclusive)
{
    struct sim_inode *i = f->inode;
    struct sim_lock *l = own_lock(f, byte);
    if (!l) {
        if (i->lock_count == i->lock_capacity) {
            i->lock_capacity = i->lock_capacity ? i->lock_capacity * 2 : 8;
            i->locks = sim_memory_more(i->locks,
                                       i->lock_capacity * sizeof *i->locks);
        }
        l = &i->locks[i->lock_count++];
    }
    *l = (struct sim_lock){ .byte = byte, .owner = f, .exclusive = exclusive };
}

static int wait_for_lock(struct sim *s, struct sim_file *f, u64 byte,
                         bool exclusive, u32 wait_ms)
{
    u64 deadline = os_monotonic_ns() + (u64)wait_ms * 1000000u;
    struct timespec t = {
        .tv_sec = (time_t)(deadline / 1000000000u),
        .tv_nsec = (long)(deadline % 1000000000u),
    };
    bool late = !wait_ms;
    while (is_held(f, byte, 1, exclusive)) {
        if (late)
            return fail(LUGE_BUSY, "somebody else has locked byte %llu of %s",
                        (unsigned long long)byte, f->path);
        late = pthread_cond_timedwait(&s->family->unlocked, &s->family->lock,
                                      &t) == ETIMEDOUT;
    }
    return 0;
}

static int sim_lock(struct os_file *file, u64 byte, bool exclusive, u32 wait_ms)
{
    struct sim_file *f = file_of(file);
    int rc = begin_file(file, SIM_CALL_LOCK);
    if (!rc && exclusive && !f->writable) rc = read_only(f, "lock");
    if (!rc)
        rc = wait_for_lock(sim_of(file->os), f, byte, exclusive, wait_ms);
    if (!rc) add_lock(f, byte, exclusive);
    return end_file(file, rc);
}

static void sim_unlock(struct os_file *file, u64 byte)
{
    struct sim_file *f = file_of(file);
    struct sim *s = sim_of(file->os);
    lock(s);
    struct sim_lock *l = own_lock(f, byte);
    if (l) *l = f->inode->locks[--f->inode->lock_count];
    pthread_cond_broadcast(&s->family->unlocked);
    unlock(s);
}

static int sim_lock_test(struct os_file *file, u64 byte, u64 count, bool *held)
{
    int rc = begin_file(file, SIM_CALL_LOCK);
    if (!rc) *held = is_held(file_of(file), byte, count, true);
    return end_file(file, rc);
}

/* ------------------------------------------------------- time and chance -- */

static u64 sim_wall_ns(struct os *os)
{
    struct sim *s = sim_of(os);
    lock(s);
    u64 now = s->clock_ns += CALL_TAKES_NS;
    unlock(s);
    return now;
}

static int sim_random(struct os *os, void *to, size_t size)
{
    struct sim *s = sim_of(os);
    u8 *next = to;
    int rc = begin(s, SIM_CALL_RANDOM, "the dice");
    for (size_t k = 0; !rc && k < size; k++) next[k] = (u8)sim_dice(&s->seed);
    return end(s, rc);
}

/* --------------------------------------------------------- making a disk -- */

static const struct os sim_table = {
    .name = "simulator",
    .open = sim_open,
    .close = sim_close,
    .read = sim_read,
    .write = sim_write,
    .writev = sim_writev,
    .write_durable = sim_write_durable,
    .sync = sim_sync,
    .sync_start = sim_sync_start,
    .sync_part = sim_sync_part,
    .size = sim_size,
    .resize = sim_resize,
    .allocate = sim_allocate,
    .map_read = sim_map_read,
    .advise = sim_advise,
    .data = sim_data,
    .map_shared = sim_map_shared,
    .unmap = sim_unmap,
    .stat = sim_stat,
    .mkdir = sim_mkdir,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .rmdir = sim_rmdir,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .probe = sim_probe,
    .lock = sim_lock,
    .unlock = sim_unlock,
    .lock_test = sim_lock_test,
    .wall_ns = sim_wall_ns,
    .random = sim_random,
};

struct os *sim_make(struct sim_family *family, struct sim_world world,
                    u64 clock_ns, u64 seed)
{
    struct sim *s = sim_memory(sizeof *s);
    s->os = sim_table;
    s->family = family;
    s->world = world;
    s->clock_ns = clock_ns;
    s->seed = seed;
    family->members++;
    return &s->os;
}

struct os *sim_new(u64 seed)
{
    return sim_make(family_new(), world_new(), CLOCK_START_NS, seed);
}

void sim_free(struct os *os)
{
    if (!os) return;
    struct sim *s = sim_of(os);
    lock(s);
    while (s->files) {
        struct sim_file *next = s->files->next;
        base_free(s->files);
        s->files = next;
    }
    for (u64 n = 0; n < s->world.count; n++) {
        struct sim_inode *i = s->world.inodes[n];
        if (i && i->map) family_unmap(s->family, i);
    }
    world_release(&s->world);
    family_leave(s->family);
    base_free(s);
}

struct sim_snapshot *sim_snapshot(struct os *os)
{
    struct sim *s = sim_of(os);
    struct sim_snapshot *snapshot = sim_memory(sizeof *snapshot);
    lock(s);
    for (u64 n = 0; n < s->world.count; n++)
        if (s->world.inodes[n]) inode_absorb(s->world.inodes[n]);
    snapshot->world = world_copy(&s->world);
    world_sweep(&snapshot->world); /* what was only open */
    snapshot->family = s->family;
    snapshot->clock_ns = s->clock_ns;
    snapshot->seed = s->seed;
    s->family->members++;
    unlock(s);
    return snapshot;
}

void sim_snapshot_free(struct sim_snapshot *snapshot)
{
    if (!snapshot) return;
    pthread_mutex_lock(&snapshot->family->lock);
    plan_release(snapshot->plan);
    world_release(&snapshot->world);
    family_leave(snapshot->family);
    base_free(snapshot);
}

/* ------------------------------------------------- what a test may order -- */

static void order_fault(struct os *os, struct fault fault, u64 nth)
{
    struct sim *s = sim_of(os);
    assert(nth && fault.call < SIM_CALL_COUNT && fault.error);
    lock(s);
    assert(s->fault_count < SIM_FAULTS_MAX);
    fault.at = s->calls[fault.call] + nth;
    s->faults[s->fault_count++] = fault;
    unlock(s);
}

void sim_fail(struct os *os, enum sim_call call, u64 nth, int system_errno,
              bool forever)
{
    struct fault fault = { .call = call, .error = system_errno,
                           .forever = forever };
    order_fault(os, fault, nth);
}

void sim_fail_partly(struct os *os, u64 nth, int system_errno, bool forever)
{
    struct fault fault = { .call = SIM_CALL_WRITE, .error = system_errno,
                           .forever = forever, .partly = true };
    order_fault(os, fault, nth);
}

void sim_fail_nothing(struct os *os)
{
    struct sim *s = sim_of(os);
    lock(s);
    s->fault_count = 0;
    unlock(s);
}

void sim_capacity(struct os *os, u64 bytes)
{
    struct sim *s = sim_of(os);
    lock(s);
    s->capacity_bytes = bytes;
    unlock(s);
}

u64 sim_used(struct os *os)
{
    struct sim *s = sim_of(os);
    lock(s);
    u64 used = world_blocks(&s->world) * SIM_PAGE;
    unlock(s);
    return used;
}

void sim_power_off(struct os *os, u64 nth)
{
    struct sim *s = sim_of(os);
    lock(s);
    s->power_off_at = nth ? s->changes + nth : 0;
    s->off = false;
    unlock(s);
}

void sim_before(struct os *os,
                void (*before)(void *context, const char *call,
                               const char *path),
                void *context)
{
    struct sim *s = sim_of(os);
    lock(s);
    s->before = before;
    s->before_context = context;
    unlock(s);
}

u64 sim_calls(struct os *os, enum sim_call call)
{
    struct sim *s = sim_of(os);
    lock(s);
    u64 calls = s->calls[call];
    unlock(s);
    return calls;
}

u64 sim_changes(struct os *os)
{
    struct sim *s = sim_of(os);
    lock(s);
    u64 changes = s->changes;
    unlock(s);
    return changes;
}
