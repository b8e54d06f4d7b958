/* cli/convo.h -- what the verbs of conversations share: convo, import, play.
 *
 * Not here: anything of the model but luge_conversation.h.
 */
#ifndef CLI_CONVO_H
#define CLI_CONVO_H

#include "cli.h"
#include "luge_conversation.h"

/* --------------------------------------------------------------- music.c */

/* "F#4", "Bb minor", "120.0", "3/4": into SPACE, which is returned. */
enum { MUSIC_TEXT_BYTES = 96 };
const char *music_pitch(unsigned pitch, char space[MUSIC_TEXT_BYTES]);
const char *music_key(int sharps, unsigned mode, char space[MUSIC_TEXT_BYTES]);

/* One line about the event, without its time: "note F#4 velocity 80 ...". */
void music_print(const struct luge_music_event *e);
json_t *json_of_music(const struct luge_music_event *e);
json_t *json_of_emotion(const struct luge_emotion *e);
json_t *json_of_context(const struct luge_context *c);
void context_print(const struct luge_context *c);

/* ------------------------------------------------------ convo.c: words */

/* What WORD is called in the conversation: a branch's name, a node's label or
 * number.  node: the branch's head then; branch: the node's. */
struct named {
    uint64_t branch, node;
    bool is_branch;
};
int convo_named(luge_txn *txn, const struct luge_conversation *convo,
                luge_bytes word, struct named *named);

/* "v,a,g"; a number; exit codes. */
int call_emotion(const struct call *c, struct luge_emotion *emotion);
int call_probability(const struct call *c, float *probability);

/* ------------------------------------------------------------- actions */

/* What an action of `luge convo` works on. */
struct convo_call {
    struct call *c;
    luge_bytes path;
    luge_bytes word[6];         /* what follows the conversation */
    int words;
    struct luge_conversation convo;
    bool json;
    uint64_t id;                /* what a change has made */
    char *names;                /* --agents, one a line; ours */
};

/* convo_look.c.  In a read transaction; a luge code or, if positive, an exit
 * code. */
int convo_list(struct convo_call *v);
int convo_tree(struct convo_call *v);       /* convo_tree.c */
int convo_log(struct convo_call *v);
int convo_ancestors(struct convo_call *v);
int convo_subtree(struct convo_call *v);
int convo_agents(struct convo_call *v);
int convo_common(struct convo_call *v);
int convo_diff(struct convo_call *v);
int convo_show(struct convo_call *v);       /* convo_show.c */

/* convo_look.c, for the others: --limit; the mean of what agents think of a
 * branch, *count of them; a branch and a node as JSON. */
int convo_limit(const struct convo_call *v, uint64_t *limit);
int convo_score(struct convo_call *v, uint64_t branch, double *mean,
                unsigned *count);
json_t *json_of_branch(const struct luge_branch *b, double score,
                       unsigned count);
json_t *json_of_node(const struct luge_node *n);

/* convo_change.c.  Inside of luge_transact: may run several times. */
int convo_fork(luge_txn *txn, void *context);
int convo_append(luge_txn *txn, void *context);
int convo_merge(luge_txn *txn, void *context);
int convo_prune(luge_txn *txn, void *context);
int convo_evaluate(luge_txn *txn, void *context);

/* ------------------------------------------------------------- imports */

/* What an import has to go on: where to, from what, by whom. */
struct import {
    struct call *c;
    void *source;               /* what `read` has read */
    luge_txn *txn;
    luge_bytes path;            /* of the conversation; in `space` */
    char space[LUGE_NAME_SIZE_MAX];
    const char *file;
    const char *author;
    struct luge_conversation convo;
    uint64_t nodes, events, branches;
    char trouble[256];          /* a sentence; empty: luge_last_error has it */
};

/* One kind of import.  `read` needs no database and may take its time; `make`
 * makes the conversation of what was read, which must not be there.  Luge codes
 * both.  `free` releases what was read, of whatever `read` left. */
struct import_kind {
    const char *name;
    bool several;               /* a conversation for each file */
    int (*read)(struct import *import);
    int (*make)(struct import *import);
    void (*free)(struct import *import);
};
extern const struct import_kind import_git, import_midi, import_jsonl;

/* import.c: for the above.  Note a sentence and return CODE. */
int import_fail(struct import *import, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* All of a file; the caller frees it.  A luge code. */
int import_file(struct import *import, size_t size_max, luge_bytes *bytes);
int import_begin(struct import *import, luge_bytes title, uint16_t division);
/* BYTES as UTF-8, what is none replaced by U+FFFD; the caller frees it. */
char *import_utf8(luge_bytes bytes);

#endif
