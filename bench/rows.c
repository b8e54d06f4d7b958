/* bench/rows.c -- the table: every row the bench can measure, in the order of
 * the report.
 *
 * Names: WHAT-SHAPE-t<threads> or -p<processes>; --only takes a beginning.
 * Not here: the work itself (work_ files).
 *
 * Asynchronous rows promise that a commit survives the death of the process;
 * durable rows that it survives power loss.  Engines that promise less in an
 * asynchronous row are marked in the report and are not the peer to beat. */
#include "rows.h"

#include "work.h"

const struct metric_info metrics[METRIC_COUNT] = {
#define X(name, text, unit, higher) [METRIC_##name] = {text, unit, higher},
    METRICS(X)
#undef X
};

static const struct mix
    mix_95_5 = {.read = 95, .update = 5, .choice = UNIFORM},
    ycsb_a = {.read = 50, .update = 50, .choice = ZIPFIAN},
    ycsb_b = {.read = 95, .update = 5, .choice = ZIPFIAN},
    ycsb_c = {.read = 100, .choice = ZIPFIAN},
    ycsb_d = {.read = 95, .insert = 5, .choice = LATEST},
    ycsb_e = {.scan = 95, .insert = 5, .choice = ZIPFIAN},
    ycsb_f = {.read = 50, .modify = 50, .choice = ZIPFIAN};

#define LOAD(label, what, function, ...)                                      \
    {.name = label, .text = what, .unit = "records/s", .work = function,      \
     .shape = &shape_16, .kinds = KIND_ASYNC, .grow = true, __VA_ARGS__}

#define PUT(label, what, ...)                                                 \
    {.name = label, .text = what, .unit = "puts/s", .work = work_puts,        \
     .shape = &shape_16, .kinds = KIND_ASYNC, .base = BASE_COPY, __VA_ARGS__}

#define COMMIT(label, what, ...)                                              \
    {.name = label, .text = what, .unit = "commits/s", .work = work_puts,     \
     .shape = &shape_16, .kinds = KIND_DURABLE, .base = BASE_COPY,            \
     .mode = MODE_DURABLE, .timed = true, .settled = true, __VA_ARGS__}

#define READ(label, what, its_unit, function, its_shape, ...)                 \
    {.name = label, .text = what, .unit = its_unit, .work = function,         \
     .shape = &its_shape, .kinds = KIND_READ, .base = BASE_SHARED,            \
     __VA_ARGS__}

/* One transaction a read, and a thousand reads a snapshot. */
#define GETS(key, its_shape, size)                                            \
    READ("get-" key "-t1", "random reads, " size " keys, a transaction each", \
         "reads/s", work_gets, its_shape, .threads = 1, .grow = true),        \
    READ("get-" key "-t2", "the same with 2 threads", "reads/s", work_gets,   \
         its_shape, .threads = 2),                                            \
    READ("get-" key "-snapshot-t1",                                           \
         "random reads, " size " keys, 1,000 a snapshot", "reads/s",          \
         work_gets, its_shape, .threads = 1, .amount = 1000, .grow = true),   \
    READ("get-" key "-snapshot-t2", "the same with 2 threads", "reads/s",     \
         work_gets, its_shape, .threads = 2, .amount = 1000)

#define MIX(label, what, its_shape, percentages)                              \
    {.name = label, .text = what, .unit = "operations/s", .work = work_mix,   \
     .shape = &its_shape, .kinds = KIND_MIXED, .base = BASE_COPY,             \
     .threads = 2, .mix = &percentages, .grow = true}

#define FEED(label, what, its_unit, function, ...)                            \
    {.name = label, .text = what, .unit = its_unit, .work = function,         \
     .shape = &shape_16, .kinds = KIND_FEED, __VA_ARGS__}

/* Rows of the models: luge alone.  Events hold the values of shape_16. */
#define EVENT(label, what, function, ...)                                     \
    {.name = label, .text = what, .unit = "events/s", .work = function,       \
     .shape = &shape_16, .kinds = KIND_MODEL, __VA_ARGS__}

#define CONVO(label, what, ...)                                               \
    {.name = label, .text = what, .unit = "nodes/s",                          \
     .work = work_convo_append, .shape = &shape_16, .kinds = KIND_MODEL,      \
     .threads = 1, .reps_max = 3, .settled = true, __VA_ARGS__}

#define SPACE(label, what, function, its_base, ...)                           \
    {.name = label, .text = what, .unit = "", .work = function,               \
     .shape = &shape_16, .kinds = KIND_SPACE, .base = its_base, __VA_ARGS__}

const struct row rows[] = {
    LOAD("load-sorted", "bulk load in key order, durable at the end",
         work_load_sorted),
    LOAD("load-random", "load in random order, 1,000 a transaction, a sync",
         work_load_random, .memory = true),
    LOAD("overwrite", "random overwrites, 1,000 a transaction, a sync",
         work_overwrite, .base = BASE_COPY),
    LOAD("delete-half", "delete a random half, 1,000 a transaction, a sync",
         work_delete, .base = BASE_COPY),

    /* So long that tables in memory are flushed and checkpoints written. */
    PUT("put-async-t1", "random puts, a transaction each", .threads = 1,
        .memory = true, .grow = true, .window = 8),
    PUT("put-async-t2", "the same with 2 threads", .threads = 2, .window = 8),
    PUT("put-async-p4", "the same with 4 processes", .processes = 4,
        .needs = CAN_PROCESSES),

    COMMIT("durable-t1", "durable random puts, a transaction each",
           .threads = 1, .floor = true, .grow = true),
    COMMIT("durable-t4", "the same with 4 threads", .threads = 4),
    COMMIT("durable-t16", "the same with 16 threads", .threads = 16),
    COMMIT("durable-t64", "the same with 64 threads", .threads = 64),
    COMMIT("durable-p4", "the same with 4 processes", .processes = 4,
           .needs = CAN_PROCESSES),
    COMMIT("durable-p16", "the same with 16 processes", .processes = 16,
           .needs = CAN_PROCESSES),
    {.name = "durable-checkpoints", .unit = "commits/s",
     .text = "1 thread commits, another makes a checkpoint every 100 ms",
     .work = work_puts_checkpoints, .shape = &shape_16, .kinds = KIND_DURABLE,
     .floor = true, .base = BASE_COPY, .mode = MODE_DURABLE, .threads = 2,
     .timed = true, .settled = true, .window = 4},

    GETS("16", shape_16, "16-byte"),
    GETS("8", shape_8, "8-byte random"),
    GETS("24", shape_24, "24-byte random"),
    GETS("60", shape_60, "60-byte URL-like"),
    READ("get-tail", "random reads, each timed", "reads/s", work_gets,
         shape_16, .threads = 1, .timed = true, .memory = true),
    {.name = "memory", .unit = "", .work = work_memory, .shape = &shape_16,
     .text = "each record read once, in random order, nothing cached before",
     .kinds = KIND_READ, .base = BASE_SHARED, .reps_max = 2},
    READ("scan", "full scans in key order", "records/s", work_scan, shape_16,
         .threads = 1, .grow = true),
    READ("range-10", "ranges of 10 from a random key", "ranges/s",
         work_ranges, shape_16, .threads = 1, .amount = 10, .grow = true),
    READ("range-100", "ranges of 100 from a random key", "ranges/s",
         work_ranges, shape_16, .threads = 1, .amount = 100, .grow = true),

    MIX("mix-95-5", "95 % reads, 5 % puts, uniform, 2 threads", shape_16,
        mix_95_5),
    MIX("mix-small-95-5", "the same with 10-byte keys, a tenth of the records",
        shape_10, mix_95_5),
    MIX("ycsb-a", "50 % reads, 50 % updates, zipfian, 2 threads", shape_16,
        ycsb_a),
    MIX("ycsb-b", "95 % reads, 5 % updates, zipfian, 2 threads", shape_16,
        ycsb_b),
    READ("ycsb-c", "reads only, zipfian, 2 threads", "operations/s", work_mix,
         shape_16, .threads = 2, .mix = &ycsb_c, .grow = true),
    MIX("ycsb-d", "95 % reads of the latest, 5 % inserts, 2 threads",
        shape_16, ycsb_d),
    MIX("ycsb-e", "95 % ranges of 1-100, 5 % inserts, zipfian, 2 threads",
        shape_16, ycsb_e),
    MIX("ycsb-f", "50 % reads, 50 % reads then puts, zipfian, 2 threads",
        shape_16, ycsb_f),
    {.name = "reads-and-writes", .unit = "reads/s",
     .text = "1 thread reads, each read timed, while another puts",
     .work = work_reads_and_writes, .shape = &shape_16, .kinds = KIND_MIXED,
     .base = BASE_COPY, .threads = 2, .timed = true},
    {.name = "reads-checkpoints", .unit = "reads/s",
     .text = "the same; the other makes a checkpoint every 100 ms",
     .work = work_reads_checkpoints, .shape = &shape_16, .kinds = KIND_MIXED,
     .base = BASE_COPY, .threads = 2, .timed = true},

    {.name = "ids-t1", .text = "numbers that are never given twice",
     .unit = "ids/s", .work = work_ids, .shape = &shape_16,
     .kinds = KIND_ASYNC, .needs = CAN_IDS, .threads = 1},
    {.name = "ids-t2", .text = "the same with 2 threads",
     .unit = "ids/s", .work = work_ids, .shape = &shape_16,
     .kinds = KIND_ASYNC, .needs = CAN_IDS, .threads = 2},

    FEED("wakeup-committed", "put to delivery in another process, when "
         "committed", "deliveries/s", work_wake, .base = BASE_COPY,
         .processes = 2, .floor = true),
    FEED("wakeup-durable", "durable put to delivery in another process, when "
         "durable", "deliveries/s", work_wake, .base = BASE_COPY,
         .mode = MODE_DURABLE, .processes = 2, .settled = true,
         .floor = true),
    FEED("watched-0", "async puts, another process attached, nobody watches",
         "puts/s", work_subscribers, .base = BASE_COPY, .processes = 1,
         .window = 3),
    FEED("watched-1", "the same under 1 subscriber of a prefix", "puts/s",
         work_subscribers, .base = BASE_COPY, .processes = 1, .amount = 1,
         .window = 3),
    FEED("watched-64", "the same under 64 subscribers, each put for one",
         "puts/s", work_subscribers, .base = BASE_COPY, .processes = 1,
         .amount = 64, .window = 3),
    FEED("watched-durable-0", "durable puts, nobody watches", "commits/s",
         work_subscribers, .base = BASE_COPY, .mode = MODE_DURABLE,
         .processes = 1, .settled = true, .window = 3),
    FEED("watched-durable-64", "the same under 64 subscribers", "commits/s",
         work_subscribers, .base = BASE_COPY, .mode = MODE_DURABLE,
         .processes = 1, .amount = 64, .settled = true,
         .window = 3),
    FEED("replay-1", "one thread reads the log, 1 operation a transaction",
         "operations/s", work_replay, .amount = 1, .reps_max = 3),
    FEED("replay-100", "the same, 100 operations a transaction",
         "operations/s", work_replay, .amount = 100, .reps_max = 3),

    EVENT("event-durable-t16", "16 threads append durable events, one each",
          work_event_append, .mode = MODE_DURABLE, .threads = 16, .amount = 1,
          .timed = true, .settled = true),
    EVENT("event-durable-p4", "4 processes append durable events, one each",
          work_event_append, .mode = MODE_DURABLE, .processes = 4,
          .amount = 1, .timed = true, .settled = true),
    EVENT("event-durable-p16", "the same with 16 processes",
          work_event_append, .mode = MODE_DURABLE, .processes = 16,
          .amount = 1, .timed = true, .settled = true),
    EVENT("event-async-t1", "async appends of 500 events", work_event_append,
          .threads = 1, .amount = 500),
    EVENT("event-async-p16", "the same with 16 processes", work_event_append,
          .processes = 16, .amount = 500),
    EVENT("event-replay", "all events, in their order", work_event_replay,
          .reps_max = 3),
    EVENT("event-replay-stream", "those of one of 16 streams",
          work_event_replay, .amount = 1, .reps_max = 3),
    EVENT("event-replay-type", "those of one of 4 types", work_event_replay,
          .amount = 2, .reps_max = 3),
    CONVO("convo-append-few", "async appends to a thousandth of the nodes",
          .amount = 1000),
    CONVO("convo-append-all", "the same to as many nodes as there are records",
          .amount = 1),

    SPACE("open", "open and first read, 5 x the records, cached", work_open,
          BASE_BIG_SHARED, .grow = true),
    SPACE("open-cold", "the same with nothing in the page cache",
          work_open_cold, BASE_BIG_SHARED),
    SPACE("open-killed", "the same after SIGKILL in the middle of puts",
          work_open_killed, BASE_BIG_COPY, .reps_max = 3, .settled = true),
    {.name = "limited-get", .unit = "reads/s",
     .text = "random reads, memory for a quarter of the records",
     .work = work_limited_gets, .shape = &shape_16, .kinds = KIND_READ,
     .base = BASE_BIG_SHARED, .threads = 1, .timed = true, .reps_max = 3,
     .window = 4, .limited = true},
    {.name = "limited-put", .unit = "puts/s",
     .text = "random async puts, memory for a quarter of the records",
     .work = work_limited_puts, .shape = &shape_16, .kinds = KIND_ASYNC,
     .base = BASE_BIG_COPY, .threads = 1, .timed = true, .reps_max = 3,
     .window = 8, .settled = true, .limited = true},
    SPACE("churn", "2 x: overwrite all, delete and put back a quarter",
          work_churn, BASE_COPY, .reps_max = 2),
    SPACE("device-bytes", "random async puts, then sync and checkpoint",
          work_device_bytes, BASE_COPY, .amount = 5, .settled = true,
          .grow = true),
    {.name = "stuck-reader", .unit = "",
     .text = "overwrite 20 x a quarter of the records under one open reader",
     .work = work_stuck_reader, .shape = &shape_16_few, .kinds = KIND_SPACE,
     .reps_max = 2},
};
const size_t rows_count = ARRAY_COUNT(rows);
