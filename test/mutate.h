/* test/mutate.h -- what may have become of a database's files.
 *
 * Holds: everything follows from the dice.
 *   blind   bytes, lengths, names and kinds of files; checksums stay behind
 *   sealed  fields of pages, superblocks, log and ids, and all checksums over
 *           them made right again: what luge must not believe although it is
 *           "valid"
 * Not here: what luge says to it (fuzz_files.c).
 */
#ifndef TEST_MUTATE_H
#define TEST_MUTATE_H

#include "image.h"

/* What was done, in words; SAY has room for SAY_SIZE bytes, more is cut. */
enum { MUTATE_SAY = 600 };

/* Did it touch more than may be noticed by a checksum?  (enum mutate_how) */
enum mutate_how { MUTATE_BLIND, MUTATE_SEALED };

enum mutate_how mutate(struct image *image, struct dice *d, char *say);

#endif
