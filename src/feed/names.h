/* feed/names.h -- the trees' names, as the feed has told them.
 * Not here: the catalog (txn/view.h), which is asked for the others.
 */
#ifndef FEED_NAMES_H
#define FEED_NAMES_H

#include "txn/txn.h"

struct feed_names {             /* open addressing; number 0 is empty */
    struct feed_name {
        u64 number;
        luge_bytes name;        /* owned; of a dropped tree too */
    } *names;
    size_t count, capacity;
};

/* Note what OP says about a name, if it does. */
int feed_names_note(struct feed_names *n, const struct op *op);
/* The name of tree NUMBER.  NOTREE. */
int feed_names_find(struct feed_names *n, struct env *e, u64 number,
                    luge_bytes *name);
void feed_names_free(struct feed_names *n);

#endif
