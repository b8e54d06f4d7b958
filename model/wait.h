/* model/wait.h -- sleeping until a snapshot may show something new: a watch of
 * the feed that is used as a bell and nothing else.
 *
 *   1. open the watch          2. take a snapshot, look at it
 *   3. model_wait until something is shown that it did not; go to 2
 * The watch begins where a snapshot older than that in 2 ended, so nothing
 * falls between 2 and 3: not even what was committed before 1, and is shown
 * later.
 */
#ifndef MODEL_WAIT_H
#define MODEL_WAIT_H

#include "luge_feed.h"
#include "model.h"

/* Watch the keys of TREE that begin with PREFIX.  It never expires. */
int model_watch(luge_db *db, luge_tree tree, luge_bytes prefix,
                luge_watch **watch);

/* When a wait of TIMEOUT_MS (-1: for ever) ends, by model_ticks_ns. */
uint64_t model_end_ns(int timeout_ms);

/* Until something concerns the watch that is newer than transaction SEEN.
 * Errors: TIMEOUT (END_NS has come, or luge_watch_wake). */
int model_wait(luge_watch *watch, uint64_t seen, uint64_t end_ns);

#endif
