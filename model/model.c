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

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t model_now_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t model_ticks_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}
