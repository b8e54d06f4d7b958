/* txn/ids.c -- numbers that are never given twice.
 *
 * next_id is one shared word; everybody adds to it.  Numbers below id_limit may
 * be given out.  The limit is in the file `ids`, in one of two slots by turns,
 * and durable before it counts: after any crash numbers go on above it.
 * It is not in the log, so that a number can be had while somebody holds the
 * turn, and a commit's number means a commit (docs/why/ids.md).
 * Not here: what people do with ids.
 */
#include <stdio.h>

#include "txn/txn.h"

#define IDS_LEASE ((u64)1 << 24)
#define IDS_MAX ((u64)1 << 63)  /* a billion a second reach it in 290 years */
enum { IDS_SLOT_BYTES = 4096, IDS_FIRST = 2, PATH_BYTES = 4200 };

struct ids_slot {
    char magic[8];              /* "lugeids" */
    u8 instance[16];
    u64 number;                 /* of the write: which slot, which is newer */
    u64 limit;
    u64 sum;
};
_Static_assert(sizeof(struct ids_slot) == 48, "format.md 7");
_Static_assert(offsetof(struct ids_slot, number) == 24, "format.md 7");
_Static_assert(offsetof(struct ids_slot, limit) == 32, "format.md 7");
_Static_assert(offsetof(struct ids_slot, sum) == 40, "format.md 7");

static int open_ids(struct env *e, unsigned flags, struct os_file **file)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/ids", e->path);
    return e->os->open(e->os, path, flags, file);
}

static u64 slot_sum(const struct ids_slot *slot)
{
    return base_hash(slot, offsetof(struct ids_slot, sum), slot->number);
}

/* NOTFOUND if it is not valid. */
static int read_slot(struct env *e, struct os_file *file, u64 which,
                     struct ids_slot *slot)
{
    u64 size = 0;
    u64 at = which * IDS_SLOT_BYTES;
    int rc = e->os->size(file, &size);
    if (!rc && size < at + sizeof *slot) rc = LUGE_NOTFOUND;
    if (!rc) rc = e->os->read(file, slot, sizeof *slot, at);
    if (rc) return rc;
    bool valid = !memcmp(slot->magic, "lugeids", 8) &&
                 slot->sum == slot_sum(slot) && (slot->number & 1) == which &&
                 !memcmp(slot->instance, e->instance, sizeof slot->instance);
    return valid ? 0 : LUGE_NOTFOUND;
}

/* The newer slot; number 0 if there is none yet. */
static int newest_slot(struct env *e, struct os_file *file,
                       struct ids_slot *newest)
{
    struct ids_slot slot;
    u64 size = 0;
    memset(newest, 0, sizeof *newest);
    for (u64 which = 0; which < 2; which++) {
        int rc = read_slot(e, file, which, &slot);
        if (rc && rc != LUGE_NOTFOUND) return rc;
        if (!rc && slot.number > newest->number) *newest = slot;
    }
    int rc = e->os->size(file, &size);
    /* Both slots written and neither good: a limit is lost for certain. */
    if (!rc && !newest->number && size > IDS_SLOT_BYTES + sizeof slot)
        return CORRUPT("%s/ids: neither slot is valid", e->path);
    if (!rc && newest->limit > IDS_MAX)
        return CORRUPT("%s/ids: a limit of %llu", e->path,
                       (unsigned long long)newest->limit);
    return rc;
}

int txn_load_ids(struct env *e)
{
    struct os_file *file = NULL;
    struct ids_slot newest;
    u64 limit = IDS_FIRST;
    int rc = open_ids(e, OS_READ, &file);
    if (!rc) {
        rc = newest_slot(e, file, &newest);
        limit = max_u64(limit, newest.limit);
        e->os->close(file);
    }
    if (rc && rc != LUGE_NOTFOUND) return rc;
    e->share.m->next_id = e->share.m->id_limit = limit;
    return 0;
}

/* Written anew even if the file's limit is high enough already: who wrote it
 * may have died before his sync, or seen it fail, and then it may not last. */
static int write_limit(struct env *e, struct os_file *file, u64 at_least,
                       u64 *limit)
{
    struct ids_slot slot;
    int rc = newest_slot(e, file, &slot);
    if (rc) return rc;
    memcpy(slot.magic, "lugeids", 8);
    memcpy(slot.instance, e->instance, sizeof slot.instance);
    slot.number++;
    slot.limit = *limit = max_u64(slot.limit, at_least + IDS_LEASE);
    slot.sum = slot_sum(&slot);
    rc = e->os->write(file, &slot, sizeof slot,
                      (slot.number & 1) * IDS_SLOT_BYTES);
    if (!rc) rc = e->os->sync(file);
    return rc ? rc : e->os->sync_dir(e->os, e->path);
}

int txn_begin_ids(struct env *e, u64 limit)
{
    struct os_file *file = NULL;
    u64 written;
    int rc = open_ids(e, OS_WRITE | OS_CREATE, &file);
    if (!rc) rc = e->os->resize(file, 0);
    if (!rc) rc = write_limit(e, file, limit, &written);
    if (file) e->os->close(file);
    return rc;
}

/* One process at a time writes the limit; then everybody may use it. */
static int raise_limit(struct env *e, u64 at_least)
{
    struct os_file *file = NULL;
    u64 limit = 0;
    pthread_mutex_lock(&e->ids_lock);
    int rc = e->os->lock(e->share.lock_file, SHARE_LOCK_IDS, true,
                         e->options.busy_timeout_ms);
    if (rc) goto done;
    if (atomic_load(&e->share.m->id_limit) < at_least) {
        rc = open_ids(e, OS_WRITE | OS_CREATE, &file);
        if (!rc) rc = write_limit(e, file, at_least, &limit);
        if (!rc) share_raise(&e->share.m->id_limit, limit);
        if (file) e->os->close(file);
    }
    e->os->unlock(e->share.lock_file, SHARE_LOCK_IDS);
done:
    pthread_mutex_unlock(&e->ids_lock);
    return rc;
}

int txn_next_ids(struct env *e, u32 count, u64 *first)
{
    struct share_memory *m = e->share.m;
    *first = atomic_fetch_add(&m->next_id, count);
    while (unlikely(*first + count > atomic_load(&m->id_limit))) {
        int rc = env_usable(e);
        if (!rc) rc = raise_limit(e, *first + count);
        if (rc) return rc;
    }
    return 0;
}

int txn_raise_ids(struct env *e, u64 least)
{
    u64 id;
    int rc = env_usable(e);
    if (rc) return rc;
    share_raise(&e->share.m->next_id, least);
    return txn_next_ids(e, 1, &id);
}
