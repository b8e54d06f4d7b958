/* feed/watch.h -- a subscription: a reader of the log, a filter, a bell.
 * Not here: the public handles (store/watch.c).
 */
#ifndef FEED_WATCH_H
#define FEED_WATCH_H

#include "feed/index.h"
#include "feed/names.h"
#include "feed/past.h"
#include "feed/read.h"
#include "luge_feed.h"

struct feed_watch {
    struct env *env;
    struct feed_index *index;   /* shared with the process's other watches */
    struct feed_reader reader;
    struct feed_names names;
    struct feed_past past;      /* used with `old` */
    struct share_watch *slot;   /* shared: the bell */
    u32 number;                 /* of the slot */
    enum share_watch_when when;
    bool empty, old;            /* LUGE_WATCH_EMPTY, LUGE_WATCH_OLD */
    bool has_slot, expired;
    int fd;                     /* -1: none */
    bool pending;               /* `set` is complete, but not for us to show */
    u64 seen;                   /* delivered or left out, up to this */
    u64 silent;                 /* up to this nothing is delivered */
    u64 skip_after;
    u64 tree;                   /* 0: all */
    luge_bytes prefix;          /* owned */
    u64 woke_ns;                /* when waiting was last worth it */
    _Atomic u32 woken;          /* luge_watch_wake was called */
    struct luge_change *changes;
    size_t count, capacity;
    struct base_buffer olds;    /* the old values of the set */
    struct luge_change_set set;
};

int feed_watch_open(struct env *e, struct feed_index *index,
                    const struct luge_watch_options *options,
                    struct feed_watch **watch);
int feed_watch_next(struct feed_watch *w, int timeout_ms,
                    const struct luge_change_set **set);
int feed_watch_fd(struct feed_watch *w);        /* makes w->fd */
void feed_watch_wake(struct feed_watch *w);
void feed_watch_close(struct feed_watch *w);

/* take.c: fill w->set with the next record that is for W, up to LIMIT.
 * NOTFOUND: there is none. */
int feed_take(struct feed_watch *w, u64 limit);
/* For the reader: what of a record this watch needs. */
bool feed_keeps(void *watch, const struct op *op);

#endif
