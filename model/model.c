/* model/model.c -- memory and the clock for the models.
 * Nothing here knows a record; nothing else in model/ asks the system. */
#include "model.h"

#include <stdlib.h>
#include <time.h>

void *model_alloc(size_t size)
{
    return malloc(size ? size : 1);
}

void *model_realloc(void *old, size_t size)
{
    return realloc(old, size ? size : 1);
}

void model_free(void *memory)
{
    free(memory);
}

uint64_t model_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
