/* test/batch.c -- see batch.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "batch.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANG_S = 60, FAILURES_MAX = 5 };

static struct shared {
    volatile uint64_t seed, ticks, failures, done;
    volatile uint64_t tallies[BATCH_TALLIES];
} *shared;

static const char *replay;

struct batch_order batch_parse(const char *program, int argc, char **argv)
{
    struct batch_order o = {.program = program, .from = 1};
    uint64_t from, to;
    for (int i = 1; i < argc; i++) {
        const char *b = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--trace")) o.trace = true;
        else if (!strcmp(argv[i], "--seeds"))
            parse_span(b, &o.from, &o.to), i++;
        else if (!strcmp(argv[i], "--minutes"))
            parse_span(b, &from, &to), o.minutes = (unsigned)to, i++;
        else die("usage: %s [--seeds A..B] [--minutes M] [--trace]", program);
    }
    return o;
}

void batch_length(struct batch_order *o, uint64_t brief, uint64_t usual,
                  uint64_t lengthy)
{
    const char *length = getenv("LUGE_TEST");
    if (o->to || o->minutes) return;
    o->to = usual;
    if (length && !strcmp(length, "short")) o->to = brief;
    if (length && !strcmp(length, "long")) o->to = lengthy;
}

void batch_failed(const char *format, ...)
{
    va_list list;
    shared->failures++;
    va_start(list, format);
    fprintf(stderr, "seed %llu: ", (unsigned long long)shared->seed);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n  replay: %s --seeds %llu\n", replay,
            (unsigned long long)shared->seed);
    va_end(list);
}

void batch_tally(unsigned which)
{
    shared->tallies[which]++;
}

void batch_tick(void)
{
    shared->ticks++;
}

/* The child of one seed after the other, from FIRST on. */
static void live(const struct batch_order *o, uint64_t first,
                 void (*one)(uint64_t seed, void *context), void *context,
                 uint64_t until_ns)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint64_t s = first; o->minutes ? now_ns() < until_ns : s <= o->to;
         s++) {
        shared->seed = s;
        shared->ticks++;
        one(s, context);
        shared->done++;
        if (shared->failures >= FAILURES_MAX) break;
    }
    exit(0);
}

/* NULL: it came to the end. */
static const char *watch(pid_t child)
{
    static char text[64];
    uint64_t ticks = 0, since = now_ns();
    int status;
    while (!waitpid(child, &status, WNOHANG)) {
        nap_us(2000);
        if (shared->ticks != ticks) {
            ticks = shared->ticks;
            since = now_ns();
        } else if (now_ns() - since > (uint64_t)HANG_S * 1000000000u) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return "it hung";
        }
    }
    if (WIFEXITED(status) && !WEXITSTATUS(status)) return NULL;
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "it died of signal %d", WTERMSIG(status));
    else
        snprintf(text, sizeof text, "it ended with %d", WEXITSTATUS(status));
    return text;
}

static void summary(const char *name, const char *const *tallies,
                    uint64_t from_ns)
{
    printf("%s %s: %llu seeds", shared->failures ? "not ok 1" : "ok 1", name,
           (unsigned long long)shared->done);
    for (unsigned i = 0; tallies[i]; i++)
        printf(", %llu %s", (unsigned long long)shared->tallies[i],
               tallies[i]);
    printf(", %.1f s\n", (double)(now_ns() - from_ns) / 1e9);
}

int batch_run(const struct batch_order *o, const char *name,
              void (*one)(uint64_t seed, void *context), void *context,
              const char *const *tallies)
{
    uint64_t from_ns = now_ns(), next = o->from;
    uint64_t until_ns = from_ns + o->minutes * 60000000000ull;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("no shared memory");
    replay = o->program;
    printf("%s: seeds from %llu on\n", name, (unsigned long long)o->from);
    while (shared->failures < FAILURES_MAX) {
        fflush(NULL);
        pid_t child = fork();
        if (child < 0) die("no fork");
        if (!child) live(o, next, one, context, until_ns);
        const char *why = watch(child);
        if (!why) break;
        batch_failed("%s", why);
        next = shared->seed + 1;
    }
    bool bad = shared->failures;
    summary(name, tallies, from_ns);
    munmap(shared, sizeof *shared);
    return bad;
}
