/* bench/machine.h -- one sentence about where the figures come from.
 * Not here: the load while measuring (meter.h). */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "tool.h"

enum { MACHINE_TEXT_SIZE = 512 };

/* Processor, memory, system, and the file system and device below DIR. */
void machine_text(const char *dir, char *text);

/* DIR lies in memory, where a sync costs nothing. */
bool machine_is_memory(const char *dir);

#endif
