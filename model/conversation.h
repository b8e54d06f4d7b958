/* model/conversation.h -- how conversations are kept, and what the files of the
 * model share.
 *
 *   tree          key                   value
 *   conversation  0                     convo_about
 *   nodes         id                    convo_node
 *   events        node, index           convo_event
 *   contexts      node                  convo_context
 *   children      parent (0: roots), id nothing
 *   times         time_ns, node         nothing
 *   labels        0, label              a node's number, 8 bytes
 *                 1, name               a branch's number, 8 bytes
 *   branches      id                    convo_branch
 *   agents        name                  convo_agent
 *   evaluations   branch, agent         convo_evaluation
 *
 *   V1  parent < id for every parent; jump is the node of depth
 *       convo_jump_depth(depth) on the path, 0 at a root.
 *   V2  span_* are of the events of all nodes on the path behind jump, the node
 *       itself included; clock_ns is the greatest end on the whole path.
 *   V3  merges counts the nodes with several parents on the path.
 *   V4  context is the last node on the path with something in `contexts`, 0 if
 *       none has; there is the state after it.
 * With V1 any ancestor is at most 2 log2(depth) jumps and steps away: a jump
 * goes as far as its depth's last digit in skew binary says (Myers 1983).
 * Not here: music without a database (music.c, midi.c).
 */
#ifndef MODEL_CONVERSATION_H
#define MODEL_CONVERSATION_H

#include <stdbool.h>

#include "luge_conversation.h"
#include "record.h"
#include "tuple.h"

enum { LABEL_NODE = 0, LABEL_BRANCH = 1 };

struct convo_about {
    struct record_head head;
    uint16_t division, reserved;
    uint64_t created_ns;
    struct record_part title, metadata;
};

struct convo_node {
    struct record_head head;
    uint32_t depth;
    uint64_t parent, jump, branch, origin;
    uint64_t time_ns, begin_ns, last_ns, clock_ns;
    uint64_t span_begin_ns, span_last_ns;
    uint64_t context;
    uint32_t merges, events;
    struct luge_emotion emotion;
    uint32_t reserved;
    struct record_part author, type, payload, label, description, merged;
};

/* A note without words is written without the fields from `value` on, if these
 * have their defaults. */
struct convo_event {
    struct record_head head;
    uint16_t kind, track;
    uint8_t channel, pitch, velocity, mode;
    int32_t number;
    uint64_t time_ns, duration_ns;
    float value;
    struct luge_emotion emotion;
    struct record_part agent, what, how, data;
};

struct convo_context {
    struct record_head head;
    uint32_t tempo_us;
    uint64_t tempo_at_ns, key_at_ns, meter_at_ns;
    uint64_t previous;          /* the context before, a node; 0: none */
    int8_t key_sharps;
    uint8_t key_mode, meter_beats, meter_unit;
    uint32_t reserved;
    struct record_part chords;  /* of struct convo_chord */
};

struct convo_chord {
    uint64_t time_ns;
    char name[LUGE_CHORD_SIZE_MAX];
};

struct convo_branch {
    struct record_head head;
    uint8_t state, reason;
    uint16_t reserved;
    uint64_t tip, base, parent, into, merge;
    uint64_t nodes, created_ns, changed_ns;
    float probability;
    struct luge_emotion from_emotion, to_emotion;
    uint32_t reserved_too;
    struct record_part name, description, participants, agents;
};

struct convo_agent {
    struct record_head head;
    uint32_t reserved;
    uint64_t created_ns;
    struct record_part kind, metadata;
};

struct convo_evaluation {
    struct record_head head;
    uint8_t go_on, reserved[3];
    float score;
    uint32_t reserved_too;
    uint64_t node, time_ns;
    struct record_part text;
};

extern const struct convo_about convo_about_default;
extern const struct convo_node convo_node_default;
extern const struct convo_event convo_event_default;
extern const struct convo_context convo_context_default;
extern const struct convo_branch convo_branch_default;
extern const struct convo_agent convo_agent_default;
extern const struct convo_evaluation convo_evaluation_default;

/* ------------------------------------------------------ conversation.c -- */

/* A key of one number or two. */
void convo_key(struct tuple *key, uint64_t number);
void convo_key_pair(struct tuple *key, uint64_t first, uint64_t second);

/* INVALID if TEXT, which is the WHAT, is no UTF-8; TOOBIG. */
int convo_text_ok(luge_bytes text, size_t size_max, const char *what);
/* A name: text of 1 .. 255 bytes without a newline. */
int convo_name_ok(luge_bytes name, const char *what);

/* What label NAME of this kind stands for. */
int convo_label_get(luge_txn *txn, const struct luge_conversation *convo,
                    int kind, luge_bytes name, uint64_t *number);
/* The first of this kind that is greater than AFTER, in SPACE. */
int convo_label_after(luge_txn *txn, const struct luge_conversation *convo,
                      int kind, luge_bytes after,
                      char space[LUGE_CONVERSATION_NAME_SIZE_MAX],
                      luge_bytes *name, uint64_t *number);
int convo_label_add(luge_txn *txn, const struct luge_conversation *convo,
                    int kind, luge_bytes name, uint64_t number);

/* Put the record W at KEY. */
int convo_put(luge_txn *txn, luge_tree tree, const struct tuple *key,
              struct record_writer *w);

/* Make NAME an agent if it is none yet. */
int convo_agent_meet(luge_txn *txn, const struct luge_conversation *convo,
                     luge_bytes name);

/* -------------------------------------------------- conversation_node.c -- */

/* RAW may be NULL.  NOTFOUND, with a sentence. */
int convo_node_read(luge_txn *txn, const struct luge_conversation *convo,
                    uint64_t id, struct convo_node *node, luge_bytes *raw);
int convo_node_show(uint64_t id, const struct convo_node *fixed, luge_bytes raw,
                    struct luge_node *node);

/* Add a node to BRANCH that follows FIRST (0: a root).  The branch is not
 * looked at, the agent neither; SAY is. */
int convo_node_add(luge_txn *txn, const struct luge_conversation *convo,
                   uint64_t branch, uint64_t first, const struct luge_say *say,
                   uint64_t *id);

uint32_t convo_jump_depth(uint32_t depth);

/* The node of DEPTH on the path to ID. */
int convo_ancestor(luge_txn *txn, const struct luge_conversation *convo,
                   uint64_t id, uint32_t depth, uint64_t *ancestor);

/* Where the paths to A and B part: 0 if they have no node in common. */
int convo_fork_point(luge_txn *txn, const struct luge_conversation *convo,
                     uint64_t a, uint64_t b, uint64_t *point);

/* The nodes of the path to NODE that are deeper than the node AFTER (0: all)
 * and that have events of from_ns <= time < to_ns, or of all if ALL; a root
 * first.  Memory: *ids is for model_free. */
struct convo_span {
    uint64_t node, after;
    uint64_t from_ns, to_ns;    /* to_ns 0: no end */
    bool all;
};
int convo_path(luge_txn *txn, const struct luge_conversation *convo,
               const struct convo_span *span, uint64_t **ids, size_t *count);

/* ------------------------------------------------- conversation_event.c -- */

int convo_events_put(luge_txn *txn, const struct luge_conversation *convo,
                     uint64_t node, const struct luge_say *say);
int convo_event_show(luge_bytes raw, struct luge_music_event *event);

/* ----------------------------------------------- conversation_context.c -- */

/* The context after the events of SAY at a node whose parent's is PREVIOUS.
 * *context is NODE if anything changed, else PREVIOUS. */
int convo_context_put(luge_txn *txn, const struct luge_conversation *convo,
                      uint64_t node, uint64_t previous,
                      const struct luge_say *say, uint64_t *context);

/* ------------------------------------------------ conversation_branch.c -- */

/* What a change of a branch needs: its record, taken apart and copied.
 * conversation_branch.c explains the order of calls. */
struct convo_change {
    uint64_t id;
    struct convo_branch fixed;
    void *raw;                  /* a copy that the parts point into */
    size_t raw_size;
};
int convo_branch_begin(luge_txn *txn, const struct luge_conversation *convo,
                       uint64_t id, struct convo_change *change);
/* INVALID if it is not active. */
int convo_branch_active(const struct convo_change *change);
int convo_branch_end(luge_txn *txn, const struct luge_conversation *convo,
                     struct convo_change *change);
void convo_branch_free(struct convo_change *change);

#endif
