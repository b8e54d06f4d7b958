/* model/process.h -- which process is this, and is that one still there?
 * Not here: anything that must not err.  Who is not known to be gone counts as
 * there, and a lease's end comes anyway. */
#ifndef MODEL_PROCESS_H
#define MODEL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

enum { PROCESS_TEXT_MAX = 160 };

/* This process: "boot namespace number start", four words that no other ever
 * has.  Empty if the system does not say. */
void process_self(char text[PROCESS_TEXT_MAX]);

/* Whether the process that TEXT names is known to be gone: its machine has
 * started anew, or its number is nobody's or somebody else's.  One in another
 * process namespace (a container) is not known. */
bool process_is_gone(const char *text, size_t size);

#endif
