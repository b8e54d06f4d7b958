/* bench/batch.h -- many records to one engine, a thousand a transaction.
 *
 * Holds: keys and values stay in the batch until the engine has taken them.
 * Not here: in which order records come (the caller).
 */
#ifndef BENCH_BATCH_H
#define BENCH_BATCH_H

#include "work.h"

enum { BATCH_OPS = 1000 };

struct batch;

/* A batch with a session of its own on run->db, which is open. */
int batch_open(struct run *run, struct batch **batch);
int batch_put(struct batch *batch, u64 index, u64 stamp);
int batch_del(struct batch *batch, u64 index);
int batch_flush(struct batch *batch);
void batch_close(struct batch *batch);

/* Put all records in a random order, stamp 0, flushed. */
int batch_fill(struct batch *batch);

/* The engine holds exactly COUNT records, and their indices sum up to SUM. */
int batch_verify(struct batch *batch, u64 count, u64 sum);

#endif
