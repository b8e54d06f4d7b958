/* txn/env.h -- an open directory in this process, and the names of its parts.
 *
 *   shared memory:  heads (flipped), working space, ring of published versions
 *   this process:   the head's private continuation ("lineage"), ring of its
 *                   own versions, frames that readers here may still see
 *
 * Alone in the directory, a commit appends a record and changes frames: the
 * lineage runs ahead of what is published.  With others attached, a commit
 * publishes if they look (audience.c).  Whoever needs a version that is in the
 * log but not published replays the log from the published one (head.c).
 *   E1  A version's order is 2 * seq for a private root, 2 * seq + 1 for a
 *       published one.  A frame born at order b and dead at d is in the version
 *       of order r iff b <= r < d.
 *   E2  A reader pins its order here and its base in shared memory: the number
 *       of the publication whose pages it may read.  One seq may be published
 *       more than once (pages move), so publications have their own numbers.
 *       What forks and snapshots pin has numbers among them, without a flip of
 *       `published`: a version's base is the newest number of any kind.
 *   E3  Everything in `struct env` marked TURN is touched only with head_lock,
 *       which the holder of the turn takes as well; a reader that cannot wait
 *       for the turn takes only the lock (head.c, shadow).
 * Not here: the public handles (store/).
 */
#ifndef TXN_ENV_H
#define TXN_ENV_H

#include <pthread.h>

#include "log/log.h"
#include "page/file.h"
#include "page/space.h"
#include "share/share.h"
#include "txn/view.h"

enum {
    VERSION_RING = 1024,        /* versions between shown and committed */
    ENV_FORMAT = 1,
    ENV_ARENA_CHUNKS = 16,      /* free-space chunks allocated at first */
    ENV_NOOKS_LOG2 = 6,
    ENV_NOOKS = 1 << ENV_NOOKS_LOG2,
};

struct version {
    u64 seq, order;
    page_ref catalog;
    u64 catalog_count;
    u64 base;                   /* publication it stands on */
    struct log_position log;    /* behind its record */
    struct view_tree near;      /* a tree of it, as the catalog has it: whoever
                                   reads that one need not look; number 0 */
    u64 place;                  /* in a ring, chosen from there: no other
                                   version of this process had it.  Or 0 */
};

/* --- in shared memory: the arena --- */

/* What one flip selects. */
struct txn_head {
    u64 seq, time_ns;
    struct log_position log;            /* where the next record goes */
    u64 published;                      /* seq of the newest published root */
    u64 publication;                    /* its number: births and deaths of
                                           pages and readers' pins */
    page_ref catalog;
    u64 catalog_count;
    struct log_position written;        /* the log's file ends here: what is
                                           behind, up to `log`, is in the tail
                                           (tail.c) */
    u64 written_seq;                    /* newest record before it */
    u64 tail_segment, tail_limit;       /* how large that segment's file is */
    struct log_position published_log;  /* behind the record of `published` */
    u64 checkpoint;                     /* seq of the durable superblock */
    u64 checkpoint_publication;
    page_ref checkpoint_catalog;
    u64 checkpoint_catalog_count;
    struct log_position checkpoint_log;
    u64 superblocks;                    /* how many were written: which slot */
    u64 stored_first;                   /* where its free list is stored */
    u32 stored_pages;
    u32 reserved;
    u64 log_oldest;                     /* oldest segment kept */
    u64 log_tainted;                    /* newest a robbed writer may write */
    u64 special_seq;                    /* no later commit did more than put
                                           small values and delete */
    u64 log_total;                      /* bytes ever appended */
    u64 checkpoint_total;               /* of them before the checkpoint */
    struct space_state space;           /* as of `published` */
};

struct patience {                       /* patience.c.  TURN */
    u64 from, shown;                    /* the head and `shown` as we asked */
    u64 commits;                        /* so many until we ask again */
    u32 unseen;                         /* 1: nobody looks */
};

struct txn_ring_entry {
    _Atomic u64 seq, catalog, catalog_count, base, order;
    _Atomic u64 segment, offset, chain;
    _Atomic u64 near_number, near_root, near_count, near_pinned;
};

struct txn_arena {
    _Atomic u64 current;                /* generation, flips: HEAD_... below */
    u64 generation;                     /* no other arena has it */
    u64 bytes;                          /* of the arena, chunks included */
    u32 work_owner;                     /* seat + 1: whose lineage `work` is */
    _Atomic u32 appending;              /* 1: the log may have a record behind
                                           the head's end */
    u64 work_serial;                    /* and which of them */
    struct txn_head heads[2];
    struct space_state work;            /* the holder's working copy */
    struct patience readers;            /* blind.c.  TURN */
    _Atomic u64 ring_count;             /* versions ever published */
    struct txn_ring_entry ring[VERSION_RING];
};

/* --- in this process --- */

struct dying_frame {
    page_ref ref;
    u64 birth, death;                   /* orders */
};

struct dying_list {
    struct dying_frame *frames;
    size_t first, count, capacity;
};

struct id_set {             /* open addressing, 0 is empty */
    u64 *ids;
    size_t count, capacity;
};

struct publish_list {       /* the frames being published, children first */
    struct publish_item {
        page_ref ref;
        u64 number;
        u32 owner;
    } *items;
    u32 owner;                          /* of what is being collected */
    size_t count, capacity;
    u8 *staging;
};

struct shadow_frames {       /* of a shadow (head.c), some perhaps twice */
    page_ref *refs;
    size_t count;
    u64 tag, order;                     /* of the last one that was made */
};

struct audience {            /* audience.c */
    u64 serial;                         /* of the lineage it is about */
    struct patience patience;
};

/* What decides about most keys, of all watches closely: bell.c. */
struct bell_filter {
    u32 high, taken;                    /* as they were; 0: never filled */
    struct {
        u64 tree, tree_mask, word, mask;
        u32 at;                         /* in the key, of the word */
    } of[SHARE_WATCHES_MAX];
};

struct env_options {
    unsigned flags;
    u32 page_bytes;
    int durability;
    u32 sync_interval_ms, busy_timeout_ms;
    u64 cache_bytes, checkpoint_bytes, log_keep_bytes, history_bytes;
};

struct luge_txn;

/* Written at each begin and end, so in a line of its own: two threads whose
 * pins shared one got 0.9 of LMDB's reads (get-16-t2), 1.9 since. */
struct env_pin {
    _Atomic u64 order;                  /* 0: none */
    u8 pad[56];
};

/* Where a thread leaves its transaction for the next time: no lock, and no
 * line that another thread writes. */
struct env_nook {
    struct luge_txn *_Atomic txn;
    u8 pad[56];
};

/* How this process came to have the directory open (recover.c). */
struct env_opening {
    u64 open_us, scan_us, replay_us, sync_us;
    u64 records, bytes;                 /* replayed */
};

struct env {
    struct os *os;
    char *path;                         /* of the directory, absolute */
    u64 device, inode;
    u8 instance[16];
    struct env_options options;
    struct os_file *db;
    struct share share;
    struct page_file pages;
    struct log log;
    volatile const u32 *fork_sentinel;  /* 1 here, 0 in a child */
    bool existed, temporary, threaded;
    bool has_gate;                      /* this thread is opening or closing */
    struct env_opening opening;         /* constant from then on */
    _Atomic int broken;                 /* luge code, sticky */

    _Atomic u32 head_lock;              /* share_word_lock */
    /* TURN */
    struct txn_arena *arena;
    u64 arena_at;
    struct space space;
    struct version head;                /* seq 0: none yet */
    u64 serial;                         /* of our lineage, see work_serial */
    struct shadow_frames shadow;        /* if it is one: serial 0 */
    _Atomic u64 shadow_birth;           /* newest number of a pin in any */
    u64 head_pin;                       /* view.catalog_pin of the head */
    bool head_pin_known;
    struct id_set dirty;                /* trees with private roots */
    struct page_drop *drops;            /* file pages dropped since base */
    size_t drop_count, drop_capacity;
    struct dying_list dying, dying_held;
    u64 dying_blocker;                  /* order of a pin that held some */
    u64 dying_age;                      /* reclaims since all were looked at */
    struct page_work work;              /* lists kept between commits */
    struct publish_list publishing;
    struct audience audience;
    struct bell_filter bell_filter;     /* of whoever has set bell_busy */
    _Atomic u32 bell_busy;
    struct log_segment *held[LOG_OPEN_MAX]; /* large values of a shadow */
    u32 held_count;

    /* versions of this process: written with the turn, read by anybody */
    _Atomic u64 ring_count;
    struct txn_ring_entry ring[VERSION_RING];
    _Atomic u64 floor;                  /* order: older are unreachable */
    u64 floor_before;                   /* TURN: of version_open */
    bool failed_open;                   /* TURN: the last commit was so, and
                                           failed */
    bool end_unsure;                    /* TURN: behind the head's end the log's
                                           file may have another's record */
    u64 flipped;                        /* TURN: arena.current, if by us */
    bool file_is_cold;                  /* TURN: as the last replay found it */
    _Atomic u32 pinning;                /* readers that tried in vain */

    /* readers of this process */
    pthread_mutex_t lock;               /* of the two lists */
    struct luge_txn *idle;              /* those that are in no nook */
    struct luge_txn *all;
    struct env_nook nooks[ENV_NOOKS];
    struct env_pin pins[SHARE_SLOTS_MAX];
    _Atomic u32 slots_high;

    struct ops_spill spill;             /* of large transactions */
    pthread_mutex_t checkpoint_lock, ids_lock;
    pthread_mutex_t notify_lock;
    struct os_file *notify;             /* NULL until it is first rung */
    _Atomic u64 last_committed;
    _Atomic u64 past_frames;            /* of states of the past */

    /* the caretaker thread: care.c */
    pthread_t caretaker;
    bool caretaker_runs;
    _Atomic u32 care_bell;
    _Atomic u32 care_idle;              /* it sleeps until it is rung */
    _Atomic u32 care_stop;
    _Atomic u32 care_wants_checkpoint;
    u64 history_looked;                 /* log_total at the last look */
    u64 full_before;                    /* share.last_full, when it last made a
                                           segment of the log ready */
    _Atomic bool sync_awaited;          /* luge_sync was called since */
};

/* `current`: the generation above, counted from the first of this shared
 * memory, the number of flips below; its last bit is the index of the head.
 * The number makes a copy checkable (head_copy).  One theft each 100 ms would
 * use up the generations in 29 hours; then it is an error (takeover_theft). */
enum { HEAD_FLIP_BITS = 44 };
#define HEAD_FLIP_MASK (((u64)1 << HEAD_FLIP_BITS) - 1)
#define HEAD_GENERATIONS_MAX ((u64)1 << (64 - HEAD_FLIP_BITS))

static inline u64 env_generation_word(const struct env *e, u64 generation)
{
    u64 first = atomic_load(&e->share.m->first_generation);
    return (generation - first) << HEAD_FLIP_BITS;
}

/* From where a private view of V numbers its pins.  Pages that V shares with
 * others have its base; pins that only a shadow has are newer. */
static inline u64 env_private_birth(struct env *e, const struct version *v)
{
    return max_u64(v->base, atomic_load(&e->shadow_birth));
}

static inline struct txn_head *env_head(const struct env *e)
{
    return &e->arena->heads[atomic_load(&e->arena->current) & 1];
}

/* TURN: is the working space not the flipped one? */
static inline bool env_space_moved(const struct env *e)
{
    return memcmp(&env_head(e)->space, &e->arena->work,
                  sizeof e->arena->work) != 0;
}

/* FORKED, BROKEN or 0: asked by every public entry. */
int env_usable(struct env *e);

/* --- version.c: choosing, pinning, forgetting --- */

/* Pin in SLOT the newest version that may be shown, number *newest.  Catches up
 * if it must; OLDER: not if an older one has the same trees. */
int version_pin(struct env *e, u32 slot, struct version *v, bool older,
                u64 *newest);
/* Is what may be shown in one of the rings? */
bool version_is_there(struct env *e);
/* What was pinned so is read after all. */
void version_looked(struct env *e, u32 slot, const struct version *v);
void version_unpin(struct env *e, u32 slot);
/* Pin in SLOT what OTHER, which must stay meanwhile, has pinned: V. */
void version_pin_beside(struct env *e, u32 slot, u32 other,
                        const struct version *v);
/* Pin in SLOT what the newest checkpoint is of: V. */
int version_pin_checkpoint(struct env *e, u32 slot, struct version *v);
/* TURN: pin the head, which is published. */
void version_pin_head(struct env *e, u32 slot);
/* TURN: from now on nobody can pin a version of this process; frames that were
 * born after *after are seen by nobody, and may be changed in place.  False: by
 * all of them, and nothing has changed.  The next version_add ends it. */
bool version_open(struct env *e, u64 *after);
/* TURN: nothing was changed: the versions can be pinned again. */
void version_close(struct env *e);
/* TURN: something was: there are no versions of this process. */
void version_forget_own(struct env *e);
/* TURN: this process made V. */
void version_add(struct env *e, const struct version *v);
/* TURN: V was published. */
void version_publish(struct env *e, const struct version *v);
/* TURN: a frame left the newest version at order DEATH. */
int version_frame_dies(struct env *e, page_ref ref, u64 birth, u64 death);
/* TURN: free the frames that no reader can see. */
void version_reclaim_frames(struct env *e);
/* TURN: free the pages of the file that no pin needs. */
int version_reclaim_pages(struct env *e, u64 limit);

/* --- head.c: the newest version, and making the next one --- */

/* Take the turn and make e->head the newest commit; on error not held. */
int head_take_turn(struct env *e, u32 wait_ms);
/* The same, but if MAY says that nobody needs the newest commit, e->head stays
 * as it is: *behind.  Then only the flipped head and the words of shared memory
 * are to be looked at, and nothing is to be taken of the space. */
typedef bool head_may_fn(struct env *e, const void *context);
int head_take_turn_lazily(struct env *e, u32 wait_ms, head_may_fn *may,
                          const void *context, bool *behind);
/* TURN: is e->head ours to go on from, with what landed since? */
bool head_goes_on(const struct env *e, const struct txn_head *h);
void head_release_turn(struct env *e);
/* Any time, without the turn: a consistent copy of the flipped head. */
void head_copy(struct env *e, struct txn_head *copy);
/* TURN: select NEXT.  SPACE: the working space becomes the flipped one.
 * CONFLICT if the turn was stolen meanwhile: nothing happened. */
int head_flip(struct env *e, const struct txn_head *next, bool space);
/* TURN: what a failed attempt must give back. */
struct head_mark {
    struct space_state space;
    size_t limbo, published;
};
void head_mark(struct env *e, struct head_mark *mark);
/* TURN: begin a view of the head, in e->work, for commit SEQ. */
void head_view(struct env *e, struct view *view, u64 seq);
/* TURN: it will not land: give back frames, pages, limbo. */
void head_abandon(struct env *e, struct view *view,
                  const struct head_mark *mark);
/* TURN: first all that can fail of making VIEW the head, then the rest.  Frames
 * and pages that VIEW dropped are noted; DEATH is the order it happened at. */
int head_prepare(struct env *e, const struct view *view);
void head_adopt(struct env *e, struct view *view, const struct version *v);
/* TURN: every flipped commit is also in words and rings that others read. */
void head_announce(struct env *e, const struct version *v, unsigned log_flags);
/* The words alone: commit SEQ landed. */
void head_tell(struct env *e, u64 seq, unsigned log_flags);
/* TURN: 0, or CONFLICT after a theft.  CONTEXT is the env. */
int head_may_write(void *context);
/* TURN: map the arena that shared memory names. */
void head_attach(struct env *e);
/* Nobody is seated: the first arena, zeros so far, with FIRST as its head. */
void head_init_arena(struct env *e, const struct txn_head *first);
/* Make a version that may be shown readable by this process.  SLOT is the
 * reader's, for a pin meanwhile. */
int head_catch_up(struct env *e, u32 slot);
/* Now and then: what nobody here can come to read any more may go. */
void head_tend(struct env *e);
/* First in the directory: where the last complete record behind AT ends, AT
 * being behind SEQ; *bytes that they have.  What only the tail had is in the
 * log's file then. */
int head_find_end(struct env *e, const struct log_position *at, u64 seq,
                  struct log_position *end, u64 *bytes);
/* TURN: apply the log from AT to END, which is the end of a record, to the
 * head.  *last gets the position, seq and time reached. */
enum head_replays {
    HEAD_ALL,
    HEAD_IN_PLACE,          /* blind commits only, and all of them are shown */
    HEAD_SHADOW,            /* without the turn: head.c */
};
int head_replay(struct env *e, const struct log_position *at,
                const struct log_position *end, struct txn_head *last,
                enum head_replays what);

int id_set_add(struct id_set *set, u64 id);

/* --- takeover.c: what another holder of the turn left unfinished --- */

/* TURN: the working space is another's: keep what he may still use, and begin
 * again from the flipped one. */
int takeover_space(struct env *e);
/* TURN: this process says that it knows of all thefts of the arena's time and
 * before: what it left may be used again.  No thread of it is still inside an
 * old turn, for a process has one at a time there (share/turn.c). */
void takeover_admit(struct env *e);
/* TURN, marked stolen: move to a new arena and a new segment, out of the robbed
 * one's reach.  CONFLICT: robbed in turn.  LIMIT: too many thefts since the
 * directory was opened; all must close it. */
int takeover_theft(struct env *e);
/* TURN: runs kept for owners who no longer need them die at PUBLICATION. */
int takeover_release_kept(struct env *e, u64 publication);

/* --- publish.c --- */

/* TURN: write every private page reachable from VIEW into the file; its roots
 * become page numbers.  Nothing is visible before the flip. */
int publish_pages(struct env *e, struct view *view, u64 publication);
/* TURN: the same for T alone (NULL: everything), with a number of its own:
 * e->work.birth.  CONTEXT is the env. */
int publish_frozen(void *context, struct view *view, struct view_tree *t);
/* TURN: hand all dropped file pages to the allocator: dead at PUBLICATION. */
int publish_drops(struct env *e, u64 publication);
/* TURN: after the flip: the frames that were published die at order DEATH. */
void publish_done(struct env *e, u64 death);
/* TURN: publish the head as it is. */
int publish_head(struct env *e);
/* TURN: publish the head anew, with what lies at page LIMIT or above on the way
 * to some of the keys moved down into free pages, or with their leaves PACKed;
 * `next` and `moved` go on. */
struct publish_move {
    u64 tree;                           /* 0: the catalog */
    size_t key;                         /* its place in keys */
    u32 key_size;
};
struct publish_moves {
    bool pack;
    u64 limit, moved;
    size_t next, count, capacity;
    struct publish_move *moves;
    struct base_buffer keys;
};
enum { MOVE_SLICE_BYTES = 4 << 20 };    /* in one turn, nearly */
int publish_moved(struct env *e, struct publish_moves *moves);
/* TURN: every frame of the private head dies at order DEATH. */
int publish_forget(struct env *e, u64 death);
/* TURN: the same for those of VIEW, the head that a commit is making, but for
 * what belongs to its work. */
void publish_forget_view(struct env *e, struct view *view, u64 death);

/* --- commit.c --- */

struct reads;
/* Land OPS: validate READS against what landed after BASE, apply, append,
 * flip.  Does not wait for the device.  *seq is its number. */
int commit_ops(struct env *e, struct ops *ops, const struct reads *reads,
               const struct version *base, unsigned log_flags, u64 *seq);
/* TURN: land what VIEW became by OPS (applied since MARK).  VIEW ends. */
int commit_view(struct env *e, struct view *view, const struct head_mark *mark,
                struct ops *ops, unsigned log_flags, u64 *seq);
/* Wait until SEQ is durable. */
int commit_wait(struct env *e, u64 seq);
/* What AT begins is durable, too, though there be no record in it yet. */
int commit_sync_start(struct env *e, const struct log_position *at);
/* Take the lead and sync whatever is committed. */
int commit_sync(struct env *e);

/* --- audience.c --- */

/* TURN, once for each commit, of OPS: is it to be published, because others are
 * attached and may look at it, or because much would not be published? */
bool audience_looks(struct env *e, const struct ops *ops);
/* TURN: others are attached, but none of them looks. */
static inline bool audience_absent(const struct env *e)
{
    return e->audience.patience.unseen && e->audience.serial == e->serial;
}

/* --- patience.c --- */

/* TURN, once for each commit: has nobody looked for long enough?  OTHERS: no
 * other process. */
bool patience_ask(struct env *e, struct patience *p, bool others);
/* TURN: somebody came at commit SEQ. */
void patience_end(struct env *e, struct patience *p, u64 seq);
/* Much landed between AT, behind commit SEQ, and the head, with OPS: who comes
 * would notice. */
bool patience_is_far(const struct txn_head *h, u64 seq,
                     const struct log_position *at, const struct ops *ops);

/* --- blind.c --- */

/* A commit of OPS, which read nothing but that its trees exist in BASE. */
struct blind_commit {
    const struct ops *ops;
    u64 base_seq;
};

/* TURN, e->head perhaps behind, once for each commit; CONTEXT is a struct
 * blind_commit: may the log alone get it? */
bool blind_decide(struct env *e, const void *context);
/* TURN: somebody had to wait for what only the log had. */
void blind_missed(struct env *e);

/* --- tail.c: the end of the log that only shared memory has --- */

/* TURN: would it stay there, were it appended now? */
bool tail_may_take(struct env *e, unsigned log_flags);
/* TURN: append OPS as record NEXT->seq behind NEXT->log, which moves on. */
int tail_append(struct env *e, struct ops *ops, struct txn_head *next,
                unsigned log_flags);
/* Robbed of the turn between append and flip: the record that tail_append put
 * between FROM and TO is taken back before anybody is told that it has not
 * happened.  For a thief may die before the log goes on elsewhere, and a
 * recovery would find it. */
int tail_take_back(struct env *e, const struct log_position *from,
                   const struct log_position *to);
/* TURN: the log's file gets what H says only the tail has; H knows it. */
int tail_write(struct env *e, struct txn_head *h);
/* TURN: the same for the head, for whoever will read the log's file. */
int tail_settle(struct env *e);
/* The turn, and nothing in the tail.  Who is robbed meanwhile begins anew. */
int tail_take_turn(struct env *e, u32 wait_ms);
/* Without the turn: the log's file gets all up to SEQ, or all there is. */
int tail_flush(struct env *e, u64 seq, u32 wait_ms);
/* First in the directory: the log's file, which ends at END, gets what follows
 * there in the tail of dead processes.  *more: that was something. */
int tail_recover(struct env *e, const struct log_position *end, bool *more);

/* --- bell.c --- */

/* Commit SEQ, of OPS, was announced: tell those whom it concerns. */
void bell_commit(struct env *e, const struct ops *ops, u64 seq);
/* Ring for whom something was committed that may be looked at now. */
void bell_ring(struct env *e);
/* Ring those of this process that sleep though something is there: whoever
 * should have done it may have died. */
void bell_look(struct env *e);
/* Make the file that subscribers' descriptors hang on; its path to PATH. */
int bell_file(struct env *e, char *path, size_t size);

/* --- checkpoint.c --- */

/* Which of the free runs give their blocks back afterwards. */
enum holes {
    HOLES_NONE,
    HOLES_LONG,         /* long ones, but an eighth of what is in use */
    HOLES_MOST,         /* the shortest too, but an eighth */
    HOLES_ALL,
};

/* And if nearly all of the file is free, what is at its end moves down, unless
 * HOLES_NONE, or this process is about to close.  BUSY if another process has
 * been at it for longer than WAIT_MS. */
int checkpoint_write(struct env *e, enum holes holes, u32 wait_ms);

/* The same, with what became of it. */
struct compact {
    u32 percent;                /* of the file must be free to move pages */
    enum holes holes;
    bool pack;                  /* first, leaves become full */
    u64 pages_min;              /* a smaller file is left as it is */
    u64 packed, moved, slices, longest_ns;  /* pages, turns, the longest one */
    int (*tell)(struct compact *so_far);        /* or NULL; not 0 ends it */
    void *context;
};
int checkpoint_compact(struct env *e, struct compact *c, u32 wait_ms);

/* --- compact.c --- */

/* Leaves become full, in all trees; CHECKPOINT is called so often that the file
 * need not grow by more than 256 MiB. */
int compact_pack(struct env *e, struct compact *c,
                 int (*checkpoint)(struct env *e));
/* Move pages from the end of the file into holes before it; the next checkpoint
 * frees their places, and makes room for more.  0: there is nothing to do. */
int compact_pass(struct env *e, struct compact *c);
/* The free pages that compact_pass kept for the end may be taken again. */
int compact_end(struct env *e);

/* --- holes.c --- */

/* Blocks of what is free, wherever it is, go back to the file system. */
int holes_give_back(struct env *e, enum holes which);

/* --- recover.c, checkpoint.c --- */

int recover_create(struct env *e);     /* a new database's files */
int recover_write_conf(struct env *e); /* from now on there is a database */
int recover_open(struct env *e);       /* first in the directory */
/* Drop segments that nobody will need. */
int checkpoint_tend_log(struct env *e);
/* The log's next segment is to be one that nobody needs any more, if there is
 * such a one. */
int checkpoint_recycle(struct env *e);

/* The first bytes of pages 0 and 1 (format.md 2). */
struct superblock {
    char magic[8];                     /* "lugedb\0\0" */
    u32 format, page_bytes;
    u8 instance[16];
    u64 number;                        /* which superblock this is: 1, 2, 3 */
    u64 seq, time_ns;
    page_ref catalog;
    u64 catalog_count;
    u64 page_count;
    u64 stored_first, stored_pages;    /* the free list */
    struct log_position log;
    u64 publication;
    u64 reserved[4];
    u64 sum;
};
_Static_assert(sizeof(struct superblock) == 168, "format.md 2");
_Static_assert(offsetof(struct superblock, instance) == 16, "format.md 2");
_Static_assert(offsetof(struct superblock, number) == 32, "format.md 2");
_Static_assert(offsetof(struct superblock, catalog) == 56, "format.md 2");
_Static_assert(offsetof(struct superblock, page_count) == 72, "format.md 2");
_Static_assert(offsetof(struct superblock, stored_first) == 80, "format.md 2");
_Static_assert(offsetof(struct superblock, log) == 96, "format.md 2");
_Static_assert(offsetof(struct superblock, publication) == 120, "format.md 2");
_Static_assert(offsetof(struct superblock, sum) == 160, "format.md 2");

int superblock_write(struct env *e, const struct superblock *s);
/* And wait until it lasts, but not for what else of the file is dirty. */
int superblock_write_durable(struct env *e, const struct superblock *s);
int superblock_read(struct env *e, struct superblock *newest);

/* --- ids.c --- */

/* First in the directory: where numbers go on. */
int txn_load_ids(struct env *e);
/* A new database's: they begin at LIMIT. */
int txn_begin_ids(struct env *e, u64 limit);

/* --- history.c --- */

/* Take a snapshot if one is due, and forget what is no longer wanted. */
int history_tend(struct env *e);

/* --- care.c --- */
int care_start(struct env *e);
void care_stop(struct env *e);
void care_wake(struct env *e);
void care_want_checkpoint(struct env *e);
/* What the caretaker does, for platforms without threads. */
int care_now(struct env *e);

#endif
