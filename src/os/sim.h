/* os/sim.h -- a platform in memory whose power can be cut at any moment.
 *
 * What a test does with it:
 *   struct os *os = sim_new(seed);            work on it; before each change
 *   struct sim_snapshot *s = sim_snapshot(os);      of the disk, or at the end
 *   for (u64 i = 0; i < sim_states(s, SIM_PAGES); i++) {
 *       struct sim_choice choice = { .kind = SIM_INDEX, .number = i };
 *       struct os *after = sim_crash(s, choice);    open, check, close
 *       sim_free(after);
 *   }
 *
 * What a power cut may leave (sim_crash; a superset of what ext4, xfs and
 * btrfs leave):
 *   M1  A file is durable as of its last sync.  Each write since then is cut
 *       into pages of 4 KiB.  A page shows its durable content or that after
 *       any one of its writes; a later one includes the earlier.  A page may be
 *       torn: then this holds for each of its sectors of 512 bytes.
 *   M2  A file's size is the durable one or that after any change since,
 *       whatever its pages show; what no write reached reads as zero.
 *   M3  Shortening is no page write: if a shorter size persisted, so did the
 *       loss of what was beyond it; if not, nothing written there after is.
 *   M4  In a directory, names made, renamed and removed since its last sync
 *       persist in order: some first ones do, the rest does not.  Directories
 *       are independent of each other and of the files in them: a file that
 *       was synced is gone if its name was not.  A rename from one directory
 *       to another is in both or in neither.
 *   M5  A file that was ever mapped by map_shared may be as it was synced, or
 *       as it was last, or zeros, or garbage, or gone.
 *   M6  A sync that failed made nothing durable, and what was written before
 *       it stays in doubt through every later sync, until written again.
 * Not modelled: time stamps, permissions, symbolic and hard links.
 *
 * Threads: any; one lock for all that came from one sim_new.  Time and chance
 * come from the seed; only an os->lock that waits knows real time.
 */
#ifndef OS_SIM_H
#define OS_SIM_H

#include "os/os.h"

#define SIM_FILE_BYTES_MAX MIB(65536) /* of a file; of a map: NOMEM beyond */
enum {
    SIM_NAME_MAX = 55,          /* bytes of one name in a path */
    SIM_PENDING_MAX = 1 << 16,  /* unsynced changes of one file; beyond, the
                                   oldest count as written back */
    SIM_FAULTS_MAX = 16,        /* armed at once */
};

/* name, word, does it change the disk.  create is an open that makes a file;
 * write is writev, too. */
#define SIM_CALLS(X)                                                          \
    X(OPEN, open, false)        X(CREATE, create, true)                       \
    X(READ, read, false)        X(WRITE, write, true)                         \
    X(SYNC, sync, true)         X(SIZE, size, false)                          \
    X(SYNC_START, sync_start, false)                                          \
    X(SYNC_PART, sync_part, false)                                            \
    X(RESIZE, resize, true)                                                   \
    X(ALLOCATE, allocate, true) X(MAP, map, false)                            \
    X(STAT, stat, false)        X(MKDIR, mkdir, true)                         \
    X(RENAME, rename, true)     X(UNLINK, unlink, true)                       \
    X(RMDIR, rmdir, true)       X(SYNC_DIR, sync_dir, true)                   \
    X(LIST, list, false)        X(PROBE, probe, false)                        \
    X(LOCK, lock, false)        X(RANDOM, random, false)

enum sim_call {
#define X(name, word, changes) SIM_CALL_##name,
    SIM_CALLS(X)
#undef X
    SIM_CALL_COUNT
};

/* An empty disk.  Every disk and snapshot that comes from it is independent:
 * free them in any order.  sim_free takes open files and maps with it. */
struct os *sim_new(u64 seed);
void sim_free(struct os *os);

/* ------------------------------------------------------------- trouble -- */

/* The NTH call of this kind from now on (1: the next) fails with SYSTEM_ERRNO
 * and does nothing; with FOREVER all after it, too. */
void sim_fail(struct os *os, enum sim_call call, u64 nth, int system_errno,
              bool forever);
/* As sim_fail for SIM_CALL_WRITE, but some first part of it is written. */
void sim_fail_partly(struct os *os, u64 nth, int system_errno, bool forever);
void sim_fail_nothing(struct os *os);

/* Blocks there are, in bytes; beyond, NOSPACE.  0: without end. */
void sim_capacity(struct os *os, u64 bytes);
u64 sim_used(struct os *os);

/* At the NTH call that changes the disk from now on (1: the next) the power
 * goes: that one and every call after it does nothing and fails with IO.
 * 0: it never goes, or is back. */
void sim_power_off(struct os *os, u64 nth);

/* Called before each call that changes the disk, on the caller's thread and
 * without any lock: it may take a snapshot or leave by longjmp. */
void sim_before(struct os *os,
                void (*before)(void *context, const char *call,
                               const char *path),
                void *context);

u64 sim_calls(struct os *os, enum sim_call call);
u64 sim_changes(struct os *os); /* calls that change the disk, so far */
const char *sim_call_name(enum sim_call call);

/* Do the read-only maps still show the files?  False: somebody stored there. */
bool sim_maps_untouched(struct os *os);

/* --------------------------------------------------------------- crash -- */

/* The disk at this moment: what is durable and all that is pending. */
struct sim_snapshot *sim_snapshot(struct os *os);
void sim_snapshot_free(struct sim_snapshot *snapshot);

/* Pages written and not durable, each write of each page counted once. */
u64 sim_pending(struct sim_snapshot *snapshot);

/* How many choices SIM_INDEX has; UINT64_MAX: more than can be counted.  Two
 * may leave the same bytes.  SIM_SECTORS tears pages, SIM_PAGES does not.
 * Shared maps (M5) do not multiply the number: the index draws for them. */
enum sim_grain { SIM_PAGES, SIM_SECTORS };
u64 sim_states(struct sim_snapshot *snapshot, enum sim_grain grain);

enum sim_choice_kind {
    SIM_PROCESS,    /* no power cut: all is there, what is pending stays so,
                       only locks are gone */
    SIM_NOTHING,    /* only what is durable */
    SIM_EVERYTHING, /* all of it, and durable now */
    SIM_SIZES,      /* names and sizes, but no page */
    SIM_ALL_BUT,    /* all but page write NUMBER of sim_pending, and what came
                       after it in the same page */
    SIM_ONLY,       /* names, and page write NUMBER, and what came before it in
                       the same page; the size as it was after it */
    SIM_TORN,       /* all, but of page write NUMBER only some sectors (those
                       that SEED says; never all; none if it had but one) */
    SIM_INDEX,      /* choice NUMBER of sim_states(GRAIN) */
    SIM_RANDOM,     /* what SEED says, pages torn or whole */
};

enum sim_shared {
    SIM_SHARED_ANY, /* drawn from NUMBER and SEED; by SIM_NOTHING as SYNCED,
                       by SIM_EVERYTHING as LAST */
    SIM_SHARED_SYNCED, SIM_SHARED_LAST, SIM_SHARED_ZEROS, SIM_SHARED_GARBAGE,
    SIM_SHARED_GONE,
};

struct sim_choice {
    enum sim_choice_kind kind;
    enum sim_grain grain;
    enum sim_shared shared;
    u64 number, seed;
};

/* A new disk with one content that a crash at the snapshot may leave.  The same
 * choice gives the same bytes.  After a power cut all of it is durable. */
struct os *sim_crash(struct sim_snapshot *snapshot, struct sim_choice choice);

/* One sentence for each thing pending, for whoever studies a failure. */
void sim_describe(struct sim_snapshot *snapshot,
                  void (*line)(void *context, const char *sentence),
                  void *context);

#endif
