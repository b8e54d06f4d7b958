/* test/batch.h -- many seeds, one after the other, in a child that may die.
 *
 * Holds: the parent knows which seed the child is at.  If the child dies or
 * stands still, that is a failure of this seed, and the next child goes on
 * behind it.  Everything is printed with a command that repeats the seed.
 */
#ifndef TEST_BATCH_H
#define TEST_BATCH_H

#include "support.h"

enum { BATCH_TALLIES = 8 };

struct batch_order {
    const char *program;      /* for the command that is printed */
    uint64_t from, to;        /* seeds; to 0: by LUGE_TEST */
    unsigned minutes;         /* not 0: from `from` on, as long */
    bool trace;
};

/* --seeds A..B, --minutes M, --trace; anything else ends the process. */
struct batch_order batch_parse(const char *program, int argc, char **argv);
/* For whoever gave no seeds: 1 to one of the three. */
void batch_length(struct batch_order *o, uint64_t brief, uint64_t usual,
                  uint64_t lengthy);

/* 0 if no seed failed.  TALLIES names what batch_tally counts, up to a NULL;
 * the last line says "ok 1 NAME" or "not ok 1 NAME". */
int batch_run(const struct batch_order *o, const char *name,
              void (*one)(uint64_t seed, void *context), void *context,
              const char *const *tallies);

/* --- for the child --- */

/* This seed failed: say why. */
void batch_failed(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
void batch_tally(unsigned which);
/* It lives. */
void batch_tick(void);

#endif
