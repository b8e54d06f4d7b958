/* luge_show.h -- the records of all models, as JSON.
 *
 * What holds here:
 *   The models (luge_event.h, luge_task.h, luge_conversation.h) keep records of
 *   their own in trees below a path.  Whatever such a tree holds can be shown,
 *   by the name of its tree alone: old records, and those of a newer luge as
 *   far as this one knows them.
 *
 * Threads: any.  Blocks: never.  Return values and errors as in luge.h.
 */
#ifndef LUGE_SHOW_H
#define LUGE_SHOW_H

#include "luge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The pair KEY, VALUE of the tree called TREE, as one JSON object in one line:
 * what it is, the columns of its key, the fields of its record.  Bytes that are
 * no UTF-8 are {"base64": "..."}.
 * Memory: *json ends with a zero and is the caller's, until luge_show_free.
 * Errors: NOTFOUND (no model has a tree that is called so), CORRUPT (KEY or
 * VALUE is not what this tree holds), VERSION, NOMEM. */
LUGE_API int luge_show(luge_bytes tree, luge_bytes key, luge_bytes value,
                       char **json);

/* Frees what luge_show gave; NULL is allowed.  Never fails. */
LUGE_API void luge_show_free(char *json);

/* With what the keys begin, in the tree called TREE, whose first COUNT columns
 * are WORDS as people write them: numbers in decimal, text as it is.
 * Memory: *prefix is put into SPACE.
 * Errors: NOTFOUND (as luge_show), INVALID (a word is no number where one is
 * due; more words than columns), TOOBIG. */
LUGE_API int luge_show_prefix(luge_bytes tree, const luge_bytes *words,
                              size_t count, char space[LUGE_KEY_SIZE_MAX],
                              luge_bytes *prefix);

#ifdef __cplusplus
}
#endif
#endif
