/* model/model.h -- what every model stands on: memory, the clock, failures.
 *
 * A model is an ordinary user of luge.h.  It keeps its records in trees,
 * changes them in the caller's transactions, and sees nothing of the engine.
 * Not here: how records and keys are laid out (each model's own head says it).
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "luge.h"

/* Note a failure as the thread's last and return CODE. */
#define model_fail(code, ...) \
    luge_fail((code), __FILE__, __LINE__, __VA_ARGS__)
#define MODEL_NOMEM() model_fail(LUGE_NOMEM, "the system gave no memory")
#define MODEL_CORRUPT(...) model_fail(LUGE_CORRUPT, __VA_ARGS__)

/* As malloc, realloc and free; a size of 0 gives memory, too. */
void *model_alloc(size_t size);
void *model_realloc(void *old, size_t size);
void model_free(void *memory);

/* Nanoseconds since 1970 by the system's clock. */
uint64_t model_now_ns(void);

/* Nanoseconds by a clock that nobody sets.  For timeouts. */
uint64_t model_ticks_ns(void);

#endif
