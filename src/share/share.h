/* share/share.h -- what processes share besides the files: seats, the turn, the
 * sync leader, readers' pins, the few words everybody watches.
 *
 * The memory is the file `shm` of the directory.  It is never trusted: whoever
 * opens a directory in which nobody sits builds it anew.
 *   S1  A process holds an OFD lock on its seat's byte of `lock` from attach to
 *       detach; the kernel drops it when the process dies.  That lock, not a
 *       pid, says who lives.
 *   S2  Words below are changed by atomic operations only.  Everything larger
 *       lives in the arena (txn/env.h) and changes by one flip, but for what
 *       only the holder of the turn looks at.
 *   S3  The turn's owner is a seat.  A dead owner's turn is taken over; the
 *       turn of an owner that is stopped is stolen, and stays marked so until
 *       somebody has moved the arena out of the robbed one's reach.
 *       Only one thread of a process has or awaits the turn, so that a robbed
 *       thread finds out before another of its process goes on.
 * Not here: what a version is, what the log is, what pages are.
 */
#ifndef SHARE_SHARE_H
#define SHARE_SHARE_H

#include "base/base.h"
#include "os/os.h"

enum {
    SHARE_SEATS_MAX = 256,   /* processes; 64 bytes each */
    SHARE_SLOTS_MAX = 2048,  /* readers; 64 bytes each: 128 KiB of shm */
    SHARE_PINS_MAX = 2 * SHARE_SLOTS_MAX + 2,
    SHARE_WATCHES_MAX = 256, /* subscribers; 128 bytes each */
    SHARE_LAYOUT = 12,       /* raise with any change of these structs */
    SHARE_PREFIX_MAX = 32,   /* bytes of a watch's prefix kept for writers */
    SHARE_NO_SLOT = 0xffffffff,
    SHARE_TAIL_BYTES = 128 << 10, /* about 700 small commits to a write */
    SHARE_ARENAS_MAX = 128,  /* places; used again after as many thieves, but
                                never while somebody may still be in one */
};

/* Bytes of the `lock` file, each a lock of its own (format.md 8). */
enum share_lock_byte {
    SHARE_LOCK_GATE = 0,        /* attach, detach, create, recover */
    SHARE_LOCK_CHECKPOINT = 1,  /* the one who writes superblocks */
    SHARE_LOCK_READERS = 2,     /* shared: readers that may not write shm */
    SHARE_LOCK_IDS = 3,         /* the one who raises the limit of ids */
    SHARE_LOCK_SEATS = 1024,    /* + seat number */
};

struct share_seat {              /* one line of cache */
    _Atomic u32 taken;           /* 1 from attach to detach; CAS by anybody */
    u32 pid;                     /* hint for people and for stop detection */
    u64 start_time;              /* of that pid, from the system's table */
    _Atomic u64 trim;            /* generation of the arena that it works in,
                                    or did last; it knows of older thefts */
    _Atomic u64 shadow;          /* 1: readers may have segments of the log
                                    mapped: they are not used again */
    u8 pad[64 - 32];
};
_Static_assert(sizeof(struct share_seat) == 64, "a cache line");

struct share_slot {              /* one reader */
    _Atomic u64 pin;             /* publication it reads; 0: none */
    _Atomic u32 owner;           /* seat + 1; 0: free */
    u32 reserved;
    _Atomic u64 seq;             /* of the version it reads, for people; 0: no
                                    reader's, a turn_slot */
    _Atomic u64 seen_pin, seen_ns; /* a pin its caretaker saw, and since when */
    _Atomic u64 looked;          /* seq of the newest version that was read
                                    through it; who only writes reads none */
    u8 pad[64 - 48];
};
_Static_assert(sizeof(struct share_slot) == 64, "a cache line");

/* When a commit is for a subscriber. */
enum share_watch_when {
    SHARE_WHEN_DURABLE, SHARE_WHEN_SHOWN, SHARE_WHEN_COMMITTED
};

/* One subscriber.  The first line says what it is after; it is constant while
 * the slot is owned, but for `ready`.  The second is where it stands. */
struct share_watch {
    _Atomic u32 owner;           /* seat + 1; 0: free */
    _Atomic u32 ready;           /* 1: the rest of the line is filled in */
    _Atomic u32 when;            /* of share_watch_when */
    _Atomic u32 prefix_bytes;    /* longer prefixes are cut */
    _Atomic u64 tree;            /* 0: all */
    _Atomic u64 prefix[SHARE_PREFIX_MAX / 8];   /* padded with zeros */
    u8 pad0[8];

    _Atomic u32 bell;            /* futex: rises when it is rung */
    _Atomic u32 asleep;          /* 1: ring it; whoever rings sets it to 0 */
    _Atomic u64 wanted;          /* oldest commit, not yet looked at, that may
                                    be for it; 0: none */
    _Atomic u64 seq;             /* it has looked at all up to this */
    _Atomic u64 segment;         /* and needs the log from this segment on */
    _Atomic u32 file;            /* 1: it waits on the file `notify` instead */
    u8 pad[64 - 36];
};
_Static_assert(sizeof(struct share_watch) == 128, "two cache lines");

/* The one part of shared memory that must survive all processes, of any build
 * (format.md 8). */
struct share_tail {
    char magic[8];               /* "lugetail" */
    _Atomic u64 segment, offset; /* of the log: where bytes[0] belongs */
    u64 reserved;
    u8 bytes[SHARE_TAIL_BYTES];  /* frames; any of them may be wrong */
};
_Static_assert(offsetof(struct share_tail, bytes) == 32, "format.md 8");

struct share_memory {
    char magic[8];               /* "lugeshm" */
    u32 layout, bytes;           /* SHARE_LAYOUT, sizeof(struct share_memory) */
    u8 instance[16];             /* of conf */
    u8 boot[16];
    u64 arena_at;                /* offset of the first arena in the file */
    u64 arena_bytes;             /* and its size at first */
    u64 tail_at;                 /* offset of `tail`, whatever the layout */
    u64 map_bytes;               /* that each process maps: arenas have their
                                    places in it */
    u8 pad0[48];

    /* --- the turn: who may land --- */
    _Atomic u32 turn;            /* share_turn_owner, a count, SHARE_WAITERS */
    _Atomic u32 turn_long;       /* held by an application on purpose */
    _Atomic u64 turn_generation; /* rises with each thief */
    _Atomic u64 turn_since_ns;   /* monotonic */
    _Atomic u64 first_generation;/* of the arena at arena_at */
    u8 pad1[32];

    /* --- the sync leader --- */
    _Atomic u32 leader;          /* 0, or seat + 1 */
    _Atomic u32 failed;          /* luge code (positive) of a failed sync */
    _Atomic u64 sync_target;     /* what the sync under way, or the last, will
                                    cover: twice, and the last bit of its
                                    number */
    u8 pad2[4];
    _Atomic u32 in_doubt;        /* 1: a sync failed, and no recovery has
                                    written anew what it left (recover.c) */
    /* By the last bit of the sync's number: who waits for the one under way is
     * not woken with who waits for the next. */
    _Atomic u32 durable_bell[2]; /* futex: rises when its sync is over */
    _Atomic u32 durable_waiters[2];
    /* By the leader: how many commits the last sync covered, what it took, and
     * how long the next may wait for those whom it let go (commit.c). */
    _Atomic u64 sync_ended_ns;
    _Atomic u32 sync_group, sync_took_us, gather_us;
    u8 pad3[4];

    /* --- where we are; each only rises --- */
    _Atomic u64 committed;       /* by the holder of the turn */
    _Atomic u64 durable;         /* by whoever synced; <= committed */
    _Atomic u64 last_full;       /* newest commit that asked for durability */
    _Atomic u64 shown;           /* newest seq a reader may see */
    _Atomic u64 special;         /* txn_head.special_seq */
    _Atomic u64 missed;          /* newest committed when somebody had to wait
                                    for a version to read */
    _Atomic u64 floor;           /* older publications are unreachable */
    _Atomic u64 synced_segment;  /* log segments before it are durable */
    _Atomic u64 checkpoint;      /* publication it is of: a pin */
    _Atomic u64 checkpoint_next; /* of the one being written: a pin; or 0 */

    _Atomic u64 next_id;         /* luge_next_id */
    _Atomic u64 id_limit;        /* durable; ids below it may be given out */
    _Atomic u64 arena;           /* offset of the current arena */
    _Atomic u32 attached;        /* processes */
    _Atomic u32 slots_high;      /* slots ever used: scan no further */
    _Atomic u32 watches_high;    /* watches below it may be owned; 0: none */
    _Atomic u32 watches_taken;   /* rises when one is ready */
    _Atomic u64 log_oldest;      /* older segments are or will be recycled */

    /* --- counters for people --- */
    _Atomic u64 commits, conflicts, syncs, checkpoints, takeovers, thefts;
    _Atomic u64 blind_commits;   /* txn/blind.c */
    u8 pad5[8];
    _Atomic u64 sync_us[LUGE_HISTOGRAM], group[LUGE_HISTOGRAM];
    _Atomic u64 rate_at_ns, rate_commits, rate;
    _Atomic u64 history_total;   /* length of the log at the newest snapshot of
                                    luge's own; 0: not counted yet */

    struct share_seat seats[SHARE_SEATS_MAX];
    struct share_slot slots[SHARE_SLOTS_MAX];
    struct share_watch watches[SHARE_WATCHES_MAX];

    /* --- what the log's file does not have yet: txn/tail.c.  TURN --- */
    struct share_tail tail;
};
_Static_assert(offsetof(struct share_memory, instance) == 16, "format.md 8");
_Static_assert(offsetof(struct share_memory, tail_at) == 64, "format.md 8");

/* The word of the turn: seat + 1 of its holder (0: nobody), how often it was
 * taken, whether it was stolen and nobody has dealt with that, and whether
 * somebody sleeps on it.  The count tells one holding from the next by the same
 * seat: a theft is of one holding. */
#define SHARE_WAITERS ((u32)1 << 31)
#define SHARE_STOLEN ((u32)1 << 30)
enum {
    SHARE_OWNER_MASK = 0x1ff,
    SHARE_TAKEN_ONE = 0x200,
    SHARE_TAKEN_MASK = 0x3ffffe00,
};
static inline u32 share_turn_owner(u32 word)
{
    return word & SHARE_OWNER_MASK;
}
static inline u32 share_turn_freed(u32 word)
{
    return word & ~(SHARE_WAITERS | SHARE_OWNER_MASK);
}
static inline u32 share_turn_taken(u32 word, u32 seat)
{
    u32 count = (word + SHARE_TAKEN_ONE) & SHARE_TAKEN_MASK;
    return count | (word & SHARE_STOLEN) | (seat + 1);
}

/* This process's side. */
struct share {
    struct os *os;
    struct os_file *lock_file, *shm_file;
    struct share_memory *m;
    u64 map_bytes;
    u32 seat;
    u32 turn_slot;               /* pin of the one who has the turn: if he is
                                    robbed he may yet read what it was of */
    bool seated;
    bool found_full;             /* the disk was, when we made the memory */
    _Atomic u32 inside;          /* 1: a thread of ours is in or at the turn;
                                    2: and others wait.  May change threads */
};

/* --- attach and detach: share/seat.c.  The caller holds the gate --- */

/* Is anybody seated?  *alone = no live seat but perhaps our own. */
int share_alone(struct share *s, bool *alone);
/* Build fresh shared memory: nobody is seated (S1).  Of the old one is kept
 * what `in_doubt` and `failed` say, in `in_doubt`, and the tail, any byte of
 * which may be wrong.  On a full disk the new one takes the old one's place. */
int share_create(struct share *s, const char *path, const u8 instance[16],
                 u64 arena_bytes);
/* Map what others built.  VERSION if another build of luge made it. */
int share_join(struct share *s, const char *path, const u8 instance[16]);
/* Take a seat.  LIMIT if all are taken. */
int share_sit(struct share *s);
void share_stand(struct share *s);
void share_unmap(struct share *s);
/* Where the arena of GENERATION lies: each has a place of its own, so that two
 * thieves of the turn never meet in one.  It has holes. */
u64 share_arena_place(const struct share *s, u64 generation);
/* Could a process that lives, robbed or not, be at work in that place? */
bool share_arena_used(struct share *s, u64 generation);
/* Make sure that [AT, AT + BYTES) of the shared file has blocks. */
int share_grow(struct share *s, u64 at, u64 bytes);

/* From now on segments of the log that we have mapped stay as they are; or they
 * need not any more. */
static inline void share_shadow(struct share *s, bool stays)
{
    atomic_store(&s->m->seats[s->seat].shadow, stays);
}
static inline bool share_shadows(const struct share *s)
{
    return atomic_load(&s->m->seats[s->seat].shadow) != 0;
}
/* Has anybody asked for that, perhaps one that died since? */
bool share_shadowed(const struct share *s);

/* Is SEAT's process alive?  Ours counts as alive. */
bool share_seat_lives(struct share *s, u32 seat);
/* Is it alive and stopped by a signal or a debugger? */
bool share_seat_stopped(struct share *s, u32 seat);
/* Free the seats and slots of the dead.  Returns how many seats. */
u32 share_reap(struct share *s);

/* --- the turn: share/turn.c --- */

enum share_turn_how {
    SHARE_TURN_TAKEN = 0,   /* in the normal way */
    SHARE_TURN_DEAD = 1,    /* its owner had died */
    SHARE_TURN_STOLEN = 2,  /* its owner is stopped */
};

/* Take the turn; *how tells from whom.  BUSY after wait_ms. */
int share_turn_take(struct share *s, u32 wait_ms, enum share_turn_how *how);
void share_turn_release(struct share *s);
/* Still ours?  False after a theft. */
bool share_turn_mine(const struct share *s);
/* TURN: PUBLICATION stays readable until the release, stolen or not. */
static inline void share_turn_pin(struct share *s, u64 publication)
{
    atomic_store(&s->m->slots[s->turn_slot].pin, publication);
}
/* Was it stolen, from whomever, and is that still to be dealt with? */
bool share_turn_stolen(const struct share *s);
/* It has been dealt with.  False if the turn was stolen once more. */
bool share_turn_settle(struct share *s);
/* A generation that nobody else gets. */
u64 share_new_generation(struct share *s);

/* A lock within this process that may be released by another thread: 0 free,
 * 1 held, 2 held and awaited.  BUSY after wait_ms. */
int share_word_lock(_Atomic u32 *word, u32 wait_ms);
void share_word_unlock(_Atomic u32 *word);

/* --- syncing: share/turn.c --- */

/* Become sync leader, or sleep until SEQ may be durable or a leader is due.
 * Returns 1: leader now, call share_lead and share_leader_done; 0: it slept, or
 * has nothing to wait for: look again. */
int share_lead_or_wait(struct share *s, u64 seq);
/* LEADER: a sync of all up to TARGET begins. */
void share_lead(struct share *s, u64 target);
void share_leader_done(struct share *s);
/* Wake all who wait for a sync: durable or failed has changed. */
void share_ring_durable(struct share *s);
/* Raise *word to VALUE if it is lower. */
void share_raise(_Atomic u64 *word, u64 value);
/* Recompute shown from durable, last_full and committed. */
void share_show(struct share *s);

/* --- readers' pins: share/slot.c --- */

int share_slot_take(struct share *s, u32 *slot);
void share_slot_give(struct share *s, u32 slot);
/* All pins, ascending, without duplicates, checkpoints included; PINS has room
 * for SHARE_PINS_MAX. */
u32 share_pins(struct share *s, u64 *pins);
/* Has a reader begun at a version newer than SEQ?  Of this process, too, or
 * only of others. */
bool share_read_since(const struct share *s, u64 seq, bool others);

/* --- for people: share/figures.c --- */

/* A sync took so long and made so many commits durable. */
void share_figure_sync(struct share *s, u64 took_ns, u64 commits);
/* Now and then: commits a second. */
void share_figure_rate(struct share *s);
/* Now and then: how long do our readers stand where they stand? */
void share_figure_pins(struct share *s);

/* --- subscribers: share/watch.c --- */

/* A slot for a subscriber of KEYs that begin with PREFIX in TREE (0: in all).
 * It is not rung and holds no log before its fields say so.  LIMIT. */
int share_watch_take(struct share *s, enum share_watch_when when, u64 tree,
                     luge_bytes prefix, u32 *number);
void share_watch_give(struct share *s, u32 number);
/* The beginning of a key, to be compared with many prefixes. */
struct share_watch_key {
    u64 words[SHARE_PREFIX_MAX / 8];
    size_t size;
};
void share_watch_key_of(struct share_watch_key *k, luge_bytes key);
/* The first COUNT bytes of a word, as they lie in memory. */
static inline u64 share_bytes_mask(u32 count)
{
    return count >= 8 ? UINT64_MAX : ((u64)1 << (8 * count)) - 1;
}
/* Does a change of KEY in TREE concern W?  A key of NULL: of the whole tree. */
bool share_watch_concerns(const struct share_watch *w, u64 tree,
                          const struct share_watch_key *key);
/* Up to which commit may subscribers of this kind look? */
u64 share_watch_limit(const struct share *s, enum share_watch_when when);
/* Commit SEQ may be for W, which is to be rung once it may look at it. */
void share_watch_want(struct share_watch *w, u64 seq);
/* Ring W if it sleeps and may look at what it wants.  True if somebody must
 * write to `notify` now: W waits for that. */
bool share_watch_ring(struct share *s, struct share_watch *w);
/* The same for all: durable or shown has risen, or the database has failed. */
bool share_watch_ring_all(struct share *s);
/* The same for those of our seat that sleep though there is something. */
bool share_watch_look(struct share *s);
/* Free the slots of a seat whose process is gone. */
void share_watch_reap(struct share *s, u32 seat);

#endif
