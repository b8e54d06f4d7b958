/* test/serial.h -- was this history serializable?
 *
 * Holds: a history is transactions that read lists and append to them, every
 * appended value unique.  A list tells the order of its writers, so the whole
 * dependency graph follows from what was read, and the history is serializable
 * iff the graph has no cycle:
 *   ww  the writers of neighbouring elements of a list
 *   wr  the writer of the last element that was read -> the reader
 *   rw  the reader -> the writer of the first element that it did not read
 *   rt  ended before the other began (real time: strict serializability)
 * A read is kept as length, last value and digest; the final lists, read after
 * all is over, tell the rest.  Time and memory are linear in the history.
 * Not here: luge.  The histories come from crash_storm.c and test_serial.c.
 */
#ifndef TEST_SERIAL_H
#define TEST_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum serial_fate {
    SERIAL_UNKNOWN,    /* it died while committing */
    SERIAL_LANDED,     /* acknowledged */
    SERIAL_REFUSED,    /* conflict, or abort: it must not show */
};

/* What the reading of a list saw. */
struct serial_view { uint64_t length, last, sum; };
struct serial_view serial_view_of(const uint64_t *values, uint64_t length);

struct serial;

struct serial *serial_new(void);
void serial_free(struct serial *s);

/* One transaction; its number counts from 0.  Times are of one clock for all;
 * an unknown one's end is ignored. */
uint32_t serial_txn(struct serial *s, uint32_t process, uint64_t begin_ns,
                    uint64_t end_ns, enum serial_fate fate);
/* In the order of the transaction's steps.  A reading after an appending of
 * the same transaction must see it. */
void serial_read(struct serial *s, uint32_t txn, uint64_t list,
                 struct serial_view view);
void serial_append(struct serial *s, uint32_t txn, uint64_t list,
                   uint64_t value);
/* The list as it was after all transactions. */
void serial_final(struct serial *s, uint64_t list, const uint64_t *values,
                  uint64_t length);

/* What can be wrong; the names are those of Adya and of Elle. */
#define SERIAL_ANOMALIES(X)                                                   \
    X(DUPLICATE, "a value is there twice")                                    \
    X(PHANTOM, "a value that nobody appended")                                \
    X(ABORTED_READ, "G1a: a value of a refused transaction")                  \
    X(INTERMEDIATE_READ, "G1b: a value that its own transaction overtook")    \
    X(LOST, "an acknowledged value is missing")                               \
    X(HALF, "a transaction is there in part")                                 \
    X(NOT_A_PREFIX, "a list was read that never was")                         \
    X(OWN_WRITE, "a transaction did not read its own append")                 \
    X(G0, "a cycle of writes")                                                \
    X(G1C, "a cycle of writes and reads")                                     \
    X(G_SINGLE, "a cycle with one anti-dependency (lost update, read skew)")  \
    X(G2, "a cycle with several anti-dependencies (write skew)")              \
    X(STALE, "serializable, but against real time")

enum serial_anomaly {
    SERIAL_SOUND,
#define X(name, text) SERIAL_##name,
    SERIAL_ANOMALIES(X)
#undef X
};

struct serial_figures {
    uint64_t txns, landed, unknown_landed, reads, appends, lists, edges;
};

/* The first anomaly found; REPORT, if not NULL, gets what and where. */
enum serial_anomaly serial_judge(struct serial *s, FILE *report,
                                 struct serial_figures *figures);
const char *serial_text(enum serial_anomaly anomaly);

#endif
