/* luge_conversation.h -- conversations that fork: nodes, branches, music.
 *
 * A conversation is a graph of nodes.  Each was said by an agent, has a payload
 * and any number of musical events, and follows its parent.  A branch is a name
 * for a head that moves when something is appended to it.
 *
 * What holds here:
 *   C1  A node and its events never change and never go.
 *   C2  A node's number is greater than those of its parents.
 *   C3  The first parent is what a node follows: first parents make trees, and
 *       depth, path, ancestor, time ranges and context go along them.  Further
 *       parents say what was merged; common and ancestors follow these too.
 *   C4  A branch that is merged or pruned gets no more nodes.
 *   C5  Each function changes all that it says or nothing, together with
 *       whatever else its transaction does.
 *
 * Costs, n being the nodes: append, fork, ancestor, common ancestor of nodes
 * between which nothing was merged, context of a node: O(log n).  A range of
 * time on a path: O(log n) and what is in it.
 *
 * After any other error than NOTFOUND, EXISTS, INVALID and TOOBIG end the
 * transaction: half a change may be in it.
 * Memory: texts and bytes that come out are luge's own and stay as in luge_get;
 * what goes in is copied.  Texts are UTF-8 and are checked.
 * Threads: as the transaction.  Errors: besides those named, as luge_get and
 * luge_put.
 */
#ifndef LUGE_CONVERSATION_H
#define LUGE_CONVERSATION_H

#include "luge.h"
#include "luge_feed.h"
#include "luge_music.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LUGE_CONVERSATION_NAME_SIZE_MAX 255u /* bytes of the name of an agent,
                                                branch or type, of a label */
#define LUGE_PAYLOAD_SIZE_MAX (1u << 30)     /* bytes of a node's payload */
#define LUGE_PARENTS_MAX 4096u               /* of a node */
#define LUGE_NODE_EVENTS_MAX (1u << 24)      /* of a node */

/* Where a conversation lives: the trees PATH/conversation, PATH/nodes and so
 * on.  A plain value that stays good as long as these trees exist: copy it, and
 * keep it for the life of the process. */
struct luge_conversation {
    luge_tree about, nodes, events, contexts, children, times, labels;
    luge_tree branches, agents, evaluations;
};

/* Find the conversation at PATH.  With LUGE_TREE_CREATE it is made if absent,
 * without nodes and branches; if TXN does not commit then, it is void.
 * Errors: NOTFOUND, TOOBIG, INVALID (an empty path). */
LUGE_API int luge_conversation_open(luge_txn *txn, luge_bytes path,
                                    unsigned flags,
                                    struct luge_conversation *convo);

/* Remove it, with all that was ever said in it. */
LUGE_API int luge_conversation_drop(luge_txn *txn,
                                    const struct luge_conversation *convo);

/* The conversation that comes after that at path AFTER (size 0: the first of
 * all), in the order of PATH/conversation.
 * Memory: *path as in luge_tree_after.  NOTFOUND at the end. */
LUGE_API int luge_conversation_after(luge_txn *txn, luge_bytes after,
                                     luge_bytes *path);

/* What is known of the whole. */
struct luge_conversation_about {
    uint64_t created_ns;        /* since 1970; ours */
    uint64_t nodes, branches, events, agents; /* how many; ours */
    uint16_t division;          /* given: of MIDI files written from it; 0 is
                                   960 ticks per quarter note */
    luge_bytes title, metadata; /* given; metadata is yours, JSON perhaps */
};
LUGE_API int luge_conversation_get(luge_txn *txn,
                                   const struct luge_conversation *convo,
                                   struct luge_conversation_about *about);
/* Errors: INVALID (a title that is no UTF-8; a division that no MIDI file may
 * have), TOOBIG. */
LUGE_API int luge_conversation_set(luge_txn *txn,
                                   const struct luge_conversation *convo,
                                   const struct luge_conversation_about *about);

/* -------------------------------------------------------------- agents -- */

/* Whoever speaks.  The first node of an unknown author makes an agent of it. */
struct luge_author {
    luge_bytes name;            /* given: 1 .. 255 bytes, no newline */
    luge_bytes kind;            /* given: "human", "model" ... or empty */
    luge_bytes metadata;        /* given; yours, JSON perhaps */
    uint64_t created_ns;        /* ours */
};

/* Add an agent or replace what is known of it.  INVALID, TOOBIG. */
LUGE_API int luge_author_set(luge_txn *txn,
                            const struct luge_conversation *convo,
                            const struct luge_author *agent);
/* NOTFOUND. */
LUGE_API int luge_author_get(luge_txn *txn,
                            const struct luge_conversation *convo,
                            luge_bytes name, struct luge_author *agent);
/* The first agent whose name is greater than AFTER; agent->name is in SPACE.
 * NOTFOUND at the end. */
LUGE_API int luge_author_after(luge_txn *txn,
                              const struct luge_conversation *convo,
                              luge_bytes after,
                              char space[LUGE_CONVERSATION_NAME_SIZE_MAX],
                              struct luge_author *agent);

/* --------------------------------------------------------------- nodes -- */

struct luge_node {
    uint64_t id;
    uint64_t parent;            /* the first; 0: a root */
    uint64_t branch;            /* to which it was appended */
    uint64_t origin;            /* the node it is a copy of; 0: none */
    uint64_t time_ns;           /* when it was said, since 1970 */
    uint32_t depth;             /* a root has 0 */
    uint32_t parents;           /* how many */
    uint32_t events;            /* how many */
    uint64_t begin_ns, last_ns; /* the first and last time of its events, if
                                   there are any */
    uint64_t clock_ns;          /* where the music ends that was heard until
                                   then, itself included */
    struct luge_emotion emotion;
    luge_bytes author;
    luge_bytes type;            /* "text", "commit" ... or empty */
    luge_bytes payload;
    luge_bytes label;           /* a name of its own in other systems: a
                                   commit's hash, a message's id; or empty */
    luge_bytes description;
    luge_bytes merged;          /* the parents but the first; luge_node_parent
                                   reads them */
};

/* Parent AT of NODE, counted from 0; 0 if it has not so many. */
static inline uint64_t luge_node_parent(const struct luge_node *node,
                                        uint32_t at)
{
    uint64_t id = 0;
    if (at == 0) return node->parent;
    if ((size_t)at <= node->merged.size / sizeof(id))
        memcpy(&id, (const char *)node->merged.data + (at - 1) * sizeof(id),
               sizeof(id));
    return id;
}

/* What is said.  {0} with an author is a good start. */
struct luge_say {
    luge_bytes author;          /* 1 .. 255 bytes, no newline */
    luge_bytes type, payload, label, description; /* payload: any bytes */
    uint64_t time_ns;           /* 0: now */
    uint64_t origin;            /* 0: none */
    const struct luge_emotion *emotion; /* NULL: the parent's; else neutral */
    const uint64_t *merged;     /* further parents, or NULL */
    size_t merged_count;
    const struct luge_music_event *events; /* or NULL */
    size_t event_count;
};

/* Say something at the end of BRANCH: a node whose first parent is the head,
 * and which becomes the head.  *node, if not NULL: its number.
 * Errors: NOTFOUND (branch, a further parent), EXISTS (the label is taken),
 * INVALID (the branch is not active; text that is no UTF-8; an event, emotion
 * or author out of its range), TOOBIG, LIMIT. */
LUGE_API int luge_say(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t branch, const struct luge_say *say,
                      uint64_t *node);

/* NOTFOUND. */
LUGE_API int luge_node_get(luge_txn *txn,
                           const struct luge_conversation *convo, uint64_t id,
                           struct luge_node *node);

/* For who follows the conversation with a watch of the tree convo->nodes: the
 * node that CHANGE has said.  Any thread.  NOTFOUND (it is of another tree, or
 * the end of one), CORRUPT. */
LUGE_API int luge_node_said(const struct luge_conversation *convo,
                            const struct luge_change *change, uint64_t *id);

/* The node with this label.  NOTFOUND. */
LUGE_API int luge_node_labelled(luge_txn *txn,
                                const struct luge_conversation *convo,
                                luge_bytes label, uint64_t *id);

/* The first label greater than AFTER, and its node: so what begins like one is
 * found.  Memory: *label is put into SPACE.  NOTFOUND at the end. */
LUGE_API int luge_node_label_after(luge_txn *txn,
                                   const struct luge_conversation *convo,
                                   luge_bytes after,
                                   char space[LUGE_CONVERSATION_NAME_SIZE_MAX],
                                   luge_bytes *label, uint64_t *id);

/* The first child of PARENT (0: the first root) whose number is greater than
 * AFTER.  Children by a merge count, too.  NOTFOUND at the end. */
LUGE_API int luge_node_child_after(luge_txn *txn,
                                   const struct luge_conversation *convo,
                                   uint64_t parent, uint64_t after,
                                   uint64_t *child);

/* The node of DEPTH on the path to ID.  INVALID (ID is not so deep). */
LUGE_API int luge_node_ancestor(luge_txn *txn,
                                const struct luge_conversation *convo,
                                uint64_t id, uint32_t depth,
                                uint64_t *ancestor);

/* The best common ancestors of A and B, through all parents: those that are no
 * ancestor of another one.  A node is an ancestor of itself.  Where nothing was
 * merged there is one.  COMMON has room for ROOM; *count is how many there are,
 * perhaps more.  They come with the greatest number first.
 * NOTFOUND if there is none. */
LUGE_API int luge_node_common(luge_txn *txn,
                              const struct luge_conversation *convo,
                              uint64_t a, uint64_t b, uint64_t *common,
                              size_t room, size_t *count);

/* --------------------------------------------------------------- walks -- */

typedef struct luge_walk luge_walk;

enum luge_walk_kind {
    LUGE_WALK_PATH = 1,      /* from a root along first parents to `node`;
                                not those of the path to `without` */
    LUGE_WALK_ANCESTORS = 2, /* `node` and all its ancestors, through all
                                parents, children first; not `without` and its
                                ancestors */
    LUGE_WALK_SUBTREE = 3,   /* `node` (0: all roots) and all whose path goes
                                through it, parents first */
    LUGE_WALK_TIMES = 4,     /* all nodes said at from_ns <= time < to_ns, in
                                that order */
};

struct luge_walk_options {
    int kind;                   /* of luge_walk_kind */
    uint64_t node;
    uint64_t without;           /* 0: none */
    uint64_t from_ns, to_ns;    /* to_ns 0: no end */
};

/* Memory: *walk is the caller's until luge_walk_close, before TXN ends.
 * Errors: NOTFOUND (a node), INVALID, NOMEM. */
LUGE_API int luge_walk_open(luge_txn *txn,
                            const struct luge_conversation *convo,
                            const struct luge_walk_options *options,
                            luge_walk **walk);
/* NOTFOUND at the end. */
LUGE_API int luge_walk_next(luge_walk *walk, struct luge_node *node);
/* NULL is allowed.  Never fails. */
LUGE_API void luge_walk_close(luge_walk *walk);

/* ------------------------------------------------------------ branches -- */

/* name, value, the word that commands and JSON use */
#define LUGE_BRANCH_STATES(X)                                                 \
    X(ACTIVE, 0, "active")                                                    \
    X(MERGED, 1, "merged")                                                    \
    X(PRUNED, 2, "pruned")

enum luge_branch_state {
#define X(name, value, text) LUGE_BRANCH_##name = value,
    LUGE_BRANCH_STATES(X)
#undef X
};

/* The word for STATE, "unknown" for none of them.  Static memory. */
LUGE_API const char *luge_branch_state_text(int state);

/* Explore an alternative; agents disagree: `agents`; a user asked for it; one
 * of several tries: `probability`; of emotion: from_emotion, to_emotion. */
#define LUGE_REASONS(X)                                                       \
    X(ALTERNATIVE, 0, "alternative")                                          \
    X(DISAGREEMENT, 1, "disagreement")                                        \
    X(REQUEST, 2, "request")                                                  \
    X(PROBABILISTIC, 3, "probabilistic")                                      \
    X(DIVERGENCE, 4, "divergence")

enum luge_fork_reason {
#define X(name, value, text) LUGE_REASON_##name = value,
    LUGE_REASONS(X)
#undef X
};

/* The word for REASON, "unknown" for none of them.  Static memory. */
LUGE_API const char *luge_fork_reason_text(int reason);

struct luge_branch {
    uint64_t id;
    uint64_t head, base;        /* nodes; 0: none yet */
    uint64_t parent;            /* the branch of the node it forked from; 0 */
    uint64_t into, merge;       /* if merged: into which branch, at which node;
                                   else 0 */
    uint64_t nodes;             /* how many were appended to it */
    uint64_t created_ns, changed_ns; /* since 1970 */
    uint8_t state;              /* of luge_branch_state */
    /* given to luge_branch_fork: */
    uint8_t reason;             /* of luge_fork_reason */
    float probability;          /* 0 .. 1 */
    struct luge_emotion from_emotion, to_emotion;
    luge_bytes name;            /* 1 .. 255 bytes, unlike any other branch's;
                                   empty: "branch-" and its number */
    luge_bytes description;
    luge_bytes participants, agents; /* names, one a line */
};

/* Fork at node FROM: a branch whose base and head it is.  FROM 0: a branch of
 * its own, the next node of which is a root.  Nothing but the name is needed
 * in *fork; the fields that are not given are not looked at.
 * Errors: NOTFOUND, EXISTS (the name), INVALID, TOOBIG. */
LUGE_API int luge_branch_fork(luge_txn *txn,
                              const struct luge_conversation *convo,
                              uint64_t from, const struct luge_branch *fork,
                              uint64_t *branch);

/* NOTFOUND. */
LUGE_API int luge_branch_get(luge_txn *txn,
                             const struct luge_conversation *convo, uint64_t id,
                             struct luge_branch *branch);
LUGE_API int luge_branch_named(luge_txn *txn,
                               const struct luge_conversation *convo,
                               luge_bytes name, uint64_t *id);
/* The first branch whose number is greater than AFTER.  NOTFOUND at the end. */
LUGE_API int luge_branch_after(luge_txn *txn,
                               const struct luge_conversation *convo,
                               uint64_t after, struct luge_branch *branch);

/* The branch leads nowhere: it gets no more nodes.  All of them stay.
 * NOTFOUND, INVALID (it is not active). */
LUGE_API int luge_branch_prune(luge_txn *txn,
                               const struct luge_conversation *convo,
                               uint64_t branch);

/* Record that it was merged by somebody else, at node MERGE of branch INTO, as
 * an import knows it.  NOTFOUND, INVALID (it is not active). */
LUGE_API int luge_branch_merged(luge_txn *txn,
                                const struct luge_conversation *convo,
                                uint64_t branch, uint64_t into,
                                uint64_t merge);

/* What a merge makes of the music since the common ancestor: ours is on the
 * path to INTO's head, theirs on that to FROM's, without what INTO has through
 * an earlier merge. */
enum luge_join {
    LUGE_JOIN_OVERLAY = 1,    /* both at once: the new node gets a copy of
                                 theirs, at the times they have */
    LUGE_JOIN_REPLACE = 2,    /* theirs instead: the new node follows FROM's
                                 head, ours is its second parent */
    LUGE_JOIN_INTERLEAVE = 3, /* in turns: copies of a node of ours, one of
                                 theirs, and so on, each moved to where the one
                                 before it ends; then the new node */
    LUGE_JOIN_MANUAL = 4,     /* what `say` brings and nothing else */
};

/* Merge branch FROM into branch INTO, both active: a node of *say with both
 * heads as parents becomes INTO's head, and FROM is Merged.  say->merged is not
 * looked at; say->events only with MANUAL.
 * Costs what was said since the common ancestor; REPLACE and MANUAL: O(log n)
 * if nothing was merged on either path since.
 * Errors: NOTFOUND (also: they have no common ancestor), EXISTS (INTO has all
 * of FROM already), INVALID, and as luge_say. */
LUGE_API int luge_branch_merge(luge_txn *txn,
                               const struct luge_conversation *convo,
                               uint64_t from, uint64_t into, int join,
                               const struct luge_say *say, uint64_t *node);

/* What an agent thinks of a branch; the newest opinion of each is kept. */
struct luge_evaluation {
    luge_bytes agent;           /* 1 .. 255 bytes */
    float score;                /* any number */
    uint8_t go_on;              /* 1: the branch is worth going on with */
    uint64_t node;              /* the head it was about; 0: the present one */
    uint64_t time_ns;           /* 0: now */
    luge_bytes text;
};
LUGE_API int luge_branch_evaluate(luge_txn *txn,
                                  const struct luge_conversation *convo,
                                  uint64_t branch,
                                  const struct luge_evaluation *evaluation);
/* The first evaluation of BRANCH by an agent greater than AFTER, whose name is
 * put into SPACE.  NOTFOUND at the end. */
LUGE_API int luge_branch_evaluation_after(
    luge_txn *txn, const struct luge_conversation *convo, uint64_t branch,
    luge_bytes after, char space[LUGE_CONVERSATION_NAME_SIZE_MAX],
    struct luge_evaluation *evaluation);

/* --------------------------------------------------------------- music -- */

typedef struct luge_score luge_score;

enum luge_score_flags {
    LUGE_SCORE_BY_TIME = 1 << 0, /* in the order of their times instead of that
                                    of the path; costs 24 bytes an event */
};

struct luge_score_options {
    unsigned flags;             /* of luge_score_flags */
    uint64_t node;              /* the end of the path */
    uint64_t without;           /* not those of the path to this node; 0 */
    uint64_t from_ns, to_ns;    /* from_ns <= time < to_ns; to_ns 0: no end */
};

/* The events on the path to a node.
 * Memory: *score is the caller's until luge_score_close, before TXN ends.
 * Errors: NOTFOUND (a node), INVALID (an unknown flag), NOMEM. */
LUGE_API int luge_score_open(luge_txn *txn,
                             const struct luge_conversation *convo,
                             const struct luge_score_options *options,
                             luge_score **score);
/* node, if not NULL: that of the event.  NOTFOUND at the end. */
LUGE_API int luge_score_next(luge_score *score, struct luge_music_event *event,
                             uint64_t *node);
/* Which of its node's events the last one was, as for luge_node_event. */
LUGE_API uint32_t luge_score_index(const luge_score *score);
/* NULL is allowed.  Never fails. */
LUGE_API void luge_score_close(luge_score *score);

/* Event AT of NODE, counted from 0.  NOTFOUND. */
LUGE_API int luge_node_event(luge_txn *txn,
                             const struct luge_conversation *convo,
                             uint64_t node, uint32_t at,
                             struct luge_music_event *event);

#define LUGE_CHORDS_MAX 16u
#define LUGE_CHORD_SIZE_MAX 24u

struct luge_chord {
    uint64_t time_ns;
    char name[LUGE_CHORD_SIZE_MAX + 1];
};

/* In what an event at some time on a path is heard.  Without anything said: 120
 * quarter notes a minute, 4/4, C major, neutral. */
struct luge_context {
    uint64_t node;              /* that of the last change; 0: none */
    uint32_t tempo_us;          /* per quarter note */
    int8_t key_sharps;          /* flats are negative */
    uint8_t key_mode;           /* 0 major, 1 minor */
    uint8_t meter_beats;        /* in a bar */
    uint8_t meter_unit;         /* a beat is 1/2^meter_unit of a whole note */
    uint64_t tempo_at_ns, key_at_ns, meter_at_ns; /* since when */
    struct luge_emotion emotion;
    unsigned chords;            /* the last ones, the newest last */
    struct luge_chord chord[LUGE_CHORDS_MAX];
};

/* The context as of NODE: all that the path to it has said.  O(log n). */
LUGE_API int luge_context_of(luge_txn *txn,
                             const struct luge_conversation *convo,
                             uint64_t node, struct luge_context *context);

/* The context at TIME_NS on the path to NODE.  The emotion is that of the last
 * node on it whose music has begun by then. */
LUGE_API int luge_context_at(luge_txn *txn,
                             const struct luge_conversation *convo,
                             uint64_t node, uint64_t time_ns,
                             struct luge_context *context);

/* TIME_NS in bars, beats and ticks on the path to NODE: bar and beat from 1,
 * tick 0 .. 999 thousandths of a beat. */
struct luge_music_time {
    uint32_t bar, beat, tick;
};
LUGE_API int luge_music_time_at(luge_txn *txn,
                                const struct luge_conversation *convo,
                                uint64_t node, uint64_t time_ns,
                                struct luge_music_time *time);

#ifdef __cplusplus
}
#endif
#endif
