/* os/sim_world.h -- what a simulated disk is made of; for os/sim*.c alone.
 *
 *   content   a file's bytes: a tree of 64-fold nodes over pages of 4 KiB, all
 *             counted and shared, so that a copy of a file is one reference
 *   version   a content at one moment; an inode is a row of them: the first is
 *             durable, the last is what reads see, one more for each change
 *   world     inodes by number.  A snapshot is a world, a crash makes a world.
 *
 *   W1  A node or page with more than one reference is never changed.
 *   W2  Directories name inodes by number, so a world can be copied by
 *       copying its rows of versions.
 *   W3  All that came from one sim_new is guarded by one lock (family).
 */
#ifndef OS_SIM_WORLD_H
#define OS_SIM_WORLD_H

#include "os/sim.h"

#include <pthread.h>

enum {
    SIM_PAGE = 4096,
    SIM_SECTOR = 512,
    SIM_SECTORS_A_PAGE = SIM_PAGE / SIM_SECTOR,
    SIM_FANOUT = 64,
    SIM_LEVELS = 4,      /* 64^4 pages of 4 KiB are SIM_FILE_BYTES_MAX */
    SIM_POOL_MAX = 16,   /* maps kept for the next disk of the family */
    SIM_ROOT = 1,        /* the inode of "/" */
};

/* Memory that the hard build cannot refuse for long: the simulator must not
 * fail where the tested code did nothing.  Never NULL. */
void *sim_memory(size_t size);
void *sim_memory_more(void *old, size_t size);

/* ------------------------------------------------------------- content -- */

struct sim_page {
    u64 references;
    u8 bytes[SIM_PAGE];
};

struct sim_node {
    u64 references;
    void *slots[SIM_FANOUT]; /* nodes; pages in the lowest; NULL reads zero */
};

struct sim_content {
    struct sim_node *root;
    u64 size;   /* bytes */
    u64 blocks; /* pages that are there */
};

struct sim_content content_copy(const struct sim_content *c);
void content_release(struct sim_content *c);
/* NULL for a hole. */
struct sim_page *content_page(const struct sim_content *c, u64 number);
/* The page, to be changed now. */
struct sim_page *content_change(struct sim_content *c, u64 number);
/* Takes over the caller's reference. */
void content_put(struct sim_content *c, u64 number, struct sim_page *page);
void content_write(struct sim_content *c, const void *from, size_t size,
                   u64 offset);
void content_read(const struct sim_content *c, void *to, size_t size,
                  u64 offset);
/* Shorten or lengthen; beyond the new size all is zero. */
void content_resize(struct sim_content *c, u64 size);
/* Give a block to every hole of pages FIRST to END - 1. */
void content_allocate(struct sim_content *c, struct sim_page *zeros, u64 first,
                      u64 end);
/* EACH sees every page whose object differs; either may be NULL. */
void content_compare(const struct sim_content *a, const struct sim_content *b,
                     void (*each)(void *context, u64 number,
                                  const struct sim_page *was,
                                  const struct sim_page *is),
                     void *context);
void page_release(struct sim_page *page);
const u8 *page_bytes_or_zeros(const struct sim_page *page);

/* --------------------------------------------------------------- world -- */

struct sim_entry {
    u64 inode;
    char name[SIM_NAME_MAX + 1];
};

struct sim_names { /* a directory at one moment; never changed */
    u64 references;
    u32 count;
    struct sim_entry entries[];
};

struct sim_version {
    struct sim_content content;  /* of a file */
    struct sim_names *names;     /* of a directory */
    bool shorter;                /* it came about by cutting the file */
};

struct sim_lock {
    u64 byte;
    const void *owner;
    bool exclusive;
};

struct sim_inode {
    u64 number;
    bool directory;
    bool shared;                /* was ever mapped by map_shared (M5) */
    u32 count, capacity;        /* of versions, at least 1 */
    struct sim_version *versions;
    u32 doubtful;               /* versions 1 .. doubtful: M6 */

    /* Of a disk in use; none of it is copied. */
    u32 opens;
    struct sim_map *map;
    u32 maps;                   /* times mapped and not yet unmapped */
    u64 map_bytes;              /* the largest size asked for */
    struct sim_lock *locks;
    u32 lock_count, lock_capacity;
};

/* A rename from one directory to another joins a version of each. */
struct sim_link {
    u64 from, to;               /* inodes */
    u32 from_version, to_version;
};

struct sim_world {
    struct sim_inode **inodes;  /* by number; NULL where there is none */
    u64 count;                  /* numbers given so far, and 0 */
    struct sim_link *links;
    u32 link_count, link_capacity;
};

static inline struct sim_version *inode_now(struct sim_inode *i)
{
    return &i->versions[i->count - 1];
}

struct sim_world world_new(void);
struct sim_world world_copy(const struct sim_world *w);
void world_release(struct sim_world *w);
/* Drop the inodes that no version of any directory names and nobody opened. */
void world_sweep(struct sim_world *w);
/* Pages in use by what is named now or open. */
u64 world_blocks(const struct sim_world *w);

struct sim_inode *world_add(struct sim_world *w, bool directory);
/* As world_add, with a number of the caller's choice. */
struct sim_inode *world_add_as(struct sim_world *w, u64 number, bool directory);
void inode_release(struct sim_inode *i);
/* A copy of the last version, to be changed, as the new last one. */
struct sim_version *inode_step(struct sim_inode *i);
void inode_sync_file(struct sim_inode *i);
/* These bytes, as they are now, and nothing else of the file. */
void inode_sync_range(struct sim_inode *i, u64 offset, size_t size);
void world_sync_directory(struct sim_world *w, struct sim_inode *i);

u64 names_find(const struct sim_names *names, const char *name); /* or 0 */
void names_release(struct sim_names *names);
/* NAME now means INODE in DIRECTORY; 0: nothing.  A new version. */
void directory_set(struct sim_inode *directory, const char *name, u64 inode);
/* The same for two names at once: one rename is one step. */
void directory_move(struct sim_inode *directory, const char *from,
                    const char *to, u64 inode);
void world_join(struct sim_world *w, struct sim_inode *from,
                struct sim_inode *to);

/* -------------------------------------------------------------- family -- */

/* Memory that shows a file.  While no inode has it, it keeps what it shows,
 * and the next to take it changes only the pages that differ. */
struct sim_map {
    u8 *base;
    u64 inode;                 /* whose it was: its next content is similar */
    struct sim_content shows;  /* only while in the pool */
};

struct sim_family {
    pthread_mutex_t lock;
    pthread_cond_t unlocked;   /* some byte lock was given up */
    u64 members;               /* disks and snapshots; the last frees it */
    struct sim_page *zeros;    /* the block that allocate gives */
    struct sim_map *pool[SIM_POOL_MAX];
    u32 pool_count;
};

struct sim_family *family_new(void);
void family_leave(struct sim_family *family); /* under its lock; unlocks */
struct sim_map *family_map(struct sim_family *family,
                           const struct sim_inode *i); /* NULL: no memory */
void family_unmap(struct sim_family *family, struct sim_inode *i);
/* Take over what was stored into a shared map. */
void inode_absorb(struct sim_inode *i);

struct sim_plan; /* os/sim_crash.c: what is pending, prepared for choosing */

struct sim_snapshot {
    struct sim_family *family;
    struct sim_world world;
    u64 clock_ns, seed;
    struct sim_plan *plan; /* NULL until asked for */
};

void plan_release(struct sim_plan *plan);

/* A disk with WORLD, which it takes over.  Under the family's lock. */
struct os *sim_make(struct sim_family *family, struct sim_world world,
                    u64 clock_ns, u64 seed);

static inline u64 sim_dice(u64 *state)
{
    *state += 0x9e3779b97f4a7c15u;
    u64 z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
