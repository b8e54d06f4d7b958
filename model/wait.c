/* model/wait.c -- a watch as a bell (wait.h says how it is used). */
#include "wait.h"

#include <limits.h>

/* To hear out so many rings costs about as much as to skip them. */
enum { RINGS_MAX = 64 };

int model_watch(luge_db *db, luge_tree tree, luge_bytes prefix,
                luge_watch **watch)
{
    struct luge_watch_options how = {.flags = LUGE_WATCH_SHOWN,
                                     .from = LUGE_FROM_SNAPSHOT,
                                     .skip_after = RINGS_MAX, .tree = tree,
                                     .prefix = prefix};
    int rc = luge_begin(db, LUGE_READ, &how.snapshot);

    if (rc) return rc;
    rc = luge_watch_open(db, &how, watch);
    luge_abort(how.snapshot);
    return rc;
}

uint64_t model_end_ns(int timeout_ms)
{
    if (timeout_ms < 0) return UINT64_MAX;
    return model_ticks_ns() + (uint64_t)timeout_ms * 1000000;
}

static int left_ms(uint64_t end_ns)
{
    uint64_t now = model_ticks_ns();

    if (end_ns == UINT64_MAX) return -1;
    if (now >= end_ns) return 0;
    uint64_t ms = (end_ns - now + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int model_wait(luge_watch *watch, uint64_t seen, uint64_t end_ns)
{
    const struct luge_change_set *set;
    int rc;

    do {
        rc = luge_watch_next(watch, left_ms(end_ns), &set);
    } while (!rc && set->seq <= seen);
    return rc;
}
