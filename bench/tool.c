/* bench/tool.c -- sleeping, memory and the sentence of a failure.
 * Not here: the clock (an inline in tool.h, it is on every path). */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Thread_local char bench_text[BENCH_TEXT_SIZE];

void sleep_seconds(double seconds)
{
    time_t whole = (time_t)seconds;
    struct timespec t = {whole, (long)((seconds - (double)whole) * 1e9)};

    while (nanosleep(&t, &t) && errno == EINTR) {}
}

int bench_fail(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(bench_text, sizeof bench_text, format, list);
    va_end(list);
    return -1;
}

int bench_fail_errno(const char *what, const char *path)
{
    int err = errno;
    return bench_fail("%s %s: %s", what, path, strerror(err));
}

void *bench_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory) {
        fprintf(stderr, "luge-bench: the system gave no memory\n");
        exit(3);
    }
    return memory;
}
