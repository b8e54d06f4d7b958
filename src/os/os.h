/* os/os.h -- the platform as a table of functions: files, maps, locks, time.
 *
 * Holds:
 *   O1  What must survive a power loss goes through os_write; nothing
 *       is ever stored into a mapping of the page file or the log.
 *   O2  Short reads and writes and EINTR are dealt with here.
 *   O3  A failing call returns a luge code (fail_errno noted), never -1.
 * A simulator (os/sim.c) is just another platform: files are memory, unsynced
 * writes are remembered, and a crash may keep any subset of them.
 * Not here: any knowledge of what the bytes mean.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/base.h"

/* An open file.  A platform's own fields follow; its close frees it. */
struct os_file {
    struct os *os;
};

enum os_open_flags {
    OS_READ = 0,
    OS_WRITE = 1,      /* read and write */
    OS_CREATE = 2,     /* create if absent, mode 0666 less umask */
    OS_EXCLUSIVE = 4,  /* with OS_CREATE: LUGE_EXISTS if it is there */
};

/* How a map_read will be read. */
enum os_advice {
    OS_RANDOM,         /* here and there: read what is touched, nothing more */
    OS_SEQUENTIAL,     /* from front to back: read far ahead */
    OS_WILL_NEED,      /* this range soon: begin to read it, do not wait */
};

struct os_stat {
    u64 size, allocated;        /* bytes; a hole is not allocated */
    u64 device, inode;
    bool directory;
};

/* One platform.  It is the first member of what the platform needs. */
struct os {
    const char *name;

    /* Paths are relative to nothing: absolute or the process's own.
     * open refuses symlinks and anything but regular files with INVALID.
     * NOTFOUND if absent. */
    int (*open)(struct os *, const char *path, unsigned flags,
                struct os_file **file);
    void (*close)(struct os_file *);
    int (*read)(struct os_file *, void *to, size_t size, u64 offset);
                                     /* exactly SIZE; past the end: CORRUPT */
    int (*write)(struct os_file *, const void *from, size_t size, u64 offset);
    /* The same, and these bytes last when it returns; what else of the file is
     * dirty is not waited for.  An error leaves them in doubt, as of sync. */
    int (*write_durable)(struct os_file *, const void *from, size_t size,
                         u64 offset);
    /* up to 64 consecutive pieces at OFFSET */
    int (*writev)(struct os_file *, const luge_bytes *pieces, unsigned count,
                  u64 offset);
    int (*sync)(struct os_file *);          /* fdatasync */
    int (*sync_start)(struct os_file *, u64 offset, u64 size);
                                     /* begin write-back, do not wait; a hint */
    /* Write back what is dirty in a range and wait for it: less for the next
     * sync to do.  Promises nothing; an error is one that sync will not tell
     * any more. */
    int (*sync_part)(struct os_file *, u64 offset, u64 size);
    int (*size)(struct os_file *, u64 *size);
    int (*resize)(struct os_file *, u64 size);      /* ftruncate: sparse */
    /* Give back the blocks of a range, which reads as zeros then; or NULL. */
    int (*punch)(struct os_file *, u64 offset, u64 size);
    int (*allocate)(struct os_file *, u64 offset, u64 size);
                                     /* blocks are there afterwards; NOSPACE */

    /* A read-only shared mapping of the file's first SIZE bytes; may extend
     * far beyond the end of the file.  Growth shows without remapping. */
    int (*map_read)(struct os_file *, u64 size, const u8 **base);
    /* A hint about SIZE bytes at AT, within a map_read; never fails. */
    void (*advise)(struct os *, const u8 *at, u64 size, enum os_advice);
    /* The first stretch at or behind OFFSET that may be no hole, UINT64_MAX if
     * there is none.  Who reads a hole through a map makes a tmpfs give it
     * memory, and if that is full gets a signal. */
    void (*data)(struct os_file *, u64 offset, u64 *from, u64 *to);
    /* A shared writable mapping of the first SIZE bytes (coordination only). */
    int (*map_shared)(struct os_file *, u64 size, u8 **base);
    void (*unmap)(struct os *, const void *base, u64 size);

    int (*stat)(struct os *, const char *path, struct os_stat *);
    int (*mkdir)(struct os *, const char *path);        /* EXISTS if there */
    int (*rename)(struct os *, const char *from, const char *to);
    int (*unlink)(struct os *, const char *path);
    int (*rmdir)(struct os *, const char *path);
    int (*sync_dir)(struct os *, const char *path);
    /* calls EACH for every name but . and .. */
    int (*list)(struct os *, const char *path,
                int (*each)(void *context, const char *name), void *context);
    /* LUGE_UNSUPPORTED if the file system cannot carry shared databases */
    int (*probe)(struct os *, const char *path);

    /* Open-file-description byte locks: they die with the process and work
     * across pid namespaces.  WAIT in ms: 0 = try, LUGE_BUSY if it is held. */
    int (*lock)(struct os_file *, u64 byte, bool exclusive, u32 wait_ms);
    void (*unlock)(struct os_file *, u64 byte);
    /* *held: would an exclusive lock on [byte, byte + count) conflict with
     * another open file description? */
    int (*lock_test)(struct os_file *, u64 byte, u64 count, bool *held);

    u64 (*wall_ns)(struct os *);     /* since 1970 */
    int (*random)(struct os *, void *to, size_t size);
};

/* The platform this process runs on. */
struct os *os_native(void);

/* --- the same for every platform; they touch no file --- */

u64 os_monotonic_ns(void);
u32 os_process_id(void);
/* The start time of a process and its state letter ('R', 'S', 'T', ...) from
 * the system's table; LUGE_NOTFOUND if it is not visible here. */
int os_process_state(u32 pid, u64 *start_time, char *state);
int os_boot_id(u8 id[16]);

/* Sleep while *word == expected, at most wait_ms; spurious returns happen.
 * Works between processes on memory of map_shared. */
void os_futex_wait(_Atomic u32 *word, u32 expected, u32 wait_ms);
void os_futex_wake(_Atomic u32 *word, u32 count);

/* A descriptor that becomes readable when somebody writes to the file PATH, in
 * whatever process.  LIMIT, NOTFOUND, IO.  Drain: read what was reported. */
int os_notify_open(const char *path, int *descriptor);
void os_notify_drain(int descriptor);
void os_notify_close(int descriptor);
/* The memory that this process may use, files' pages included: the machine's,
 * or what a control group allows. */
u64 os_memory_bytes(void);
/* How often this thread waited for the device because it touched a map. */
u64 os_thread_waits(void);
/* Bytes that this thread has had read from a device, however; 0 where nobody
 * counts. */
u64 os_thread_read_bytes(void);
void os_sleep_us(u32 us);
void os_yield(void);

/* Anonymous memory, reserved without commitment; zero-filled on touch. */
int os_reserve(u64 size, bool huge_pages, u8 **base);
void os_reserve_free(void *base, u64 size);
void os_discard(void *base, u64 size);   /* contents become zero, memory goes */
/* Whole pages of an os_reserve get their memory now; others may use them
 * meanwhile.  False: the system cannot, or has none. */
bool os_populate(void *base, u64 size);

/* Memory with an unlinked file in DIRECTORY behind it, for what may be larger
 * than memory: BYTES of addresses, at OVER (inside an os_reserve) or anywhere.
 * Only what was grown may be touched.  Errors: NOSPACE, IO, NOMEM. */
struct os_spill;
int os_spill_open(const char *directory, u64 bytes, void *over,
                  struct os_spill **spill);
u8 *os_spill_base(const struct os_spill *spill);
int os_spill_grow(struct os_spill *spill, u64 bytes);
void os_spill_empty(struct os_spill *spill);     /* give the blocks back */
/* UNMAP: not if it lies inside an os_reserve.  NULL is allowed. */
void os_spill_close(struct os_spill *spill, bool unmap);

/* A word that reads 1 here and 0 in a forked child, for ever: it is never
 * unmapped.  The same word for all callers of one process. */
int os_fork_sentinel(volatile const u32 **word);
/* Let the child of a fork close FILE's descriptor (its locks would keep the
 * parent's alive).  os_close forgets it again.  Call os_fork_sentinel before:
 * it prepares this, and can say that there was no memory. */
void os_close_in_child(struct os_file *file);

#endif
