/* txn/bell.c -- whom a commit is rung for.
 *
 * Without subscribers a commit pays one load; with them, a comparison for each
 * of its operations and each of them (share/watch.c).
 * Not here: what subscribers read (feed/).
 */
#include <stdio.h>

#include "txn/env.h"

/* A longer transaction is taken to concern everybody: who is woken in vain
 * looks at it and sleeps again. */
enum { BELL_OPS_MAX = 64 };

/* Mark and ring in one pass: of those that it does not concern only the line
 * that never changes is looked at.  True: `notify` is to be written. */
static bool tell(struct share *s, struct share_watch *w, u64 seq)
{
    share_watch_want(w, seq);
    return share_watch_ring(s, w);
}

static bool tell_all(struct share *s, u32 high, u64 seq)
{
    bool file = false;
    for (u32 i = 0; i < high; i++)
        if (atomic_load(&s->m->watches[i].ready))
            file = tell(s, &s->m->watches[i], seq) || file;
    return file;
}

static u64 word_at(const struct share_watch_key *key, u32 at)
{
    return load64((const u8 *)key->words + at);
}

/* The tree and the last bytes of each watch's prefix in one place: to look at
 * the lines of 64 watches took a put 5 % of its time (watched-64).  A watch
 * that gets ready later raises watches_taken, and looks at the head then. */
static const struct bell_filter *filter(struct env *e, u32 high)
{
    struct share_memory *m = e->share.m;
    struct bell_filter *f = &e->bell_filter;
    u32 taken = atomic_load(&m->watches_taken);
    if (likely(f->high == high && f->taken == taken)) return f;
    for (u32 i = 0; i < high; i++) {
        const struct share_watch *w = &m->watches[i];
        struct share_watch_key prefix;
        u64 tree = atomic_load(&w->tree);
        u32 n = atomic_load(&w->prefix_bytes);
        for (u32 k = 0; k < ARRAY_COUNT(prefix.words); k++)
            prefix.words[k] = atomic_load(&w->prefix[k]);
        f->of[i].tree = tree;
        f->of[i].tree_mask = tree ? UINT64_MAX : 0;
        f->of[i].at = n > 8 && n <= SHARE_PREFIX_MAX ? n - 8 : 0;
        f->of[i].word = word_at(&prefix, f->of[i].at);
        f->of[i].mask = share_bytes_mask(n);
    }
    f->high = high;
    f->taken = taken;
    return f;
}

/* F NULL: without. */
static bool tell_op(struct env *e, const struct bell_filter *f, u32 high,
                    const struct op *op, u64 seq)
{
    bool of_a_key = op->kind == OP_PUT || op->kind == OP_DEL, file = false;
    struct share *s = &e->share;
    struct share_watch_key key;
    share_watch_key_of(&key, op->key);
    for (u32 i = 0; i < high; i++) {
        struct share_watch *w = &s->m->watches[i];
        if (f && of_a_key &&
            (((f->of[i].tree ^ op->tree) & f->of[i].tree_mask) |
             ((f->of[i].word ^ word_at(&key, f->of[i].at)) & f->of[i].mask)))
            continue;
        if (atomic_load(&w->ready) &&
            share_watch_concerns(w, op->tree, of_a_key ? &key : NULL))
            file = tell(s, w, seq) || file;
    }
    return file;
}

/* --------------------------------------------------------------- notify -- */

static int notify_path(const struct env *e, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/notify", e->path);
    if (n < 0 || (size_t)n >= size)
        return fail(LUGE_INVALID, "the path of the database is too long");
    return 0;
}

int bell_file(struct env *e, char *path, size_t size)
{
    int rc = notify_path(e, path, size);
    pthread_mutex_lock(&e->notify_lock);
    if (!rc && !e->notify)
        rc = e->os->open(e->os, path, OS_WRITE | OS_CREATE, &e->notify);
    pthread_mutex_unlock(&e->notify_lock);
    return rc;
}

/* The byte says nothing; that it is written does.  If it cannot be written,
 * those who wait look by themselves within a second (bell_look). */
static void write_byte(struct env *e)
{
    char path[4200];
    if (bell_file(e, path, sizeof path)) return;
    (void)e->os->write(e->notify, "!", 1, 0);
}

/* ----------------------------------------------------------------- ring -- */

void bell_ring(struct env *e)
{
    if (share_watch_ring_all(&e->share)) write_byte(e);
}

void bell_look(struct env *e)
{
    if (share_watch_look(&e->share)) write_byte(e);
}

void bell_commit(struct env *e, const struct ops *ops, u64 seq)
{
    struct share *s = &e->share;
    struct ops_walk walk;
    struct op op;
    bool file = false;
    u32 high = atomic_load(&s->m->watches_high);
    if (likely(!high)) return;
    if (high > SHARE_WATCHES_MAX) high = SHARE_WATCHES_MAX;
    if (ops->count > BELL_OPS_MAX) {
        file = tell_all(s, high, seq);
    } else {
        /* The turn is another's by now.  One thread at a time is at the
         * filter; the others look at each watch. */
        bool mine = !atomic_exchange(&e->bell_busy, 1);
        const struct bell_filter *f = mine ? filter(e, high) : NULL;
        ops_walk_from(&walk, ops, NULL);
        while (!ops_next(&walk, &op))
            file = tell_op(e, f, high, &op, seq) || file;
        if (mine) atomic_store(&e->bell_busy, 0);
    }
    if (file) write_byte(e);
}
