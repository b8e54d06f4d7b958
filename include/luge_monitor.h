/* luge_monitor.h -- for those who look after a database: who holds what, and
 * what took long.  Counters are in struct luge_stats (luge.h).
 *
 * Return values, errors and threads as in luge.h.
 */
#ifndef LUGE_MONITOR_H
#define LUGE_MONITOR_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- pins -- */

enum luge_pin_kind {
    LUGE_PIN_READER = 1,     /* an open transaction */
    LUGE_PIN_CHECKPOINT = 2, /* where recovery would begin */
    LUGE_PIN_WATCH = 3,      /* a watch: it holds the log, not pages */
};

/* Somebody for whom old content is kept. */
struct luge_pin {
    int kind;               /* of luge_pin_kind */
    uint32_t process;       /* its number as the process itself sees it */
    uint64_t seq;           /* the transaction it stands at */
    uint64_t age_ms;        /* how long there, give or take a second; 0 for
                               watches */
    uint64_t bytes;         /* of the page file (a watch: of the log) that would
                               be free without it, were it the only one */
};

/* Call EACH for every pin; a value other than 0 ends it and is returned.
 * Takes the turn to look at the free-space lists: writers wait as long as for a
 * commit; readers do not.  Errors: BUSY, NOMEM, BROKEN, FORKED. */
LUGE_API int luge_pins(luge_db *db,
                       int (*each)(void *context, const struct luge_pin *pin),
                       void *context);

/* ----------------------------------------------------- slow operations -- */

struct luge_slow {
    const char *what;       /* "begin" (waiting for the turn), "commit", "sync",
                               "checkpoint" */
    uint64_t took_us;
    uint64_t seq;           /* of a commit that landed; else 0 */
    int code;               /* what the operation answered */
};

/* From now on call FN after each operation on DB that took THRESHOLD_US or
 * longer; 0: no more.  FN is called by the thread that waited, after the
 * operation, and may not use DB.  Set it before threads share DB.
 * Costs two readings of the clock for each operation, while it is set. */
LUGE_API void luge_slow_log(luge_db *db, uint64_t threshold_us,
                            void (*fn)(void *context,
                                       const struct luge_slow *slow),
                            void *context);

#ifdef __cplusplus
}
#endif
#endif
