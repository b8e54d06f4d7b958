/* cli/cli.h -- what the files of the luge command share.
 *
 *   C1  A verb is one line of the table in main.c: parsing, usage, help,
 *       completion and the manual page all read it there.
 *   C2  A verb's function gets a struct call with arguments and options already
 *       checked, and returns an exit code.  main.c ends the transaction and
 *       closes the database, whatever the verb did.
 *   C3  Data goes to stdout, everything else to stderr.
 * Not here: anything of the engine but luge.h.
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "luge.h"
#include "luge_fork.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_NO = 1,    /* not found, differs, unhealthy */
    EXIT_USAGE = 2,
    EXIT_ERROR = 3, /* of the database or the system; its name is on stderr */
};

/* Enum, name, argument (NULL: none), sentence.  A name means the same in
 * every verb. */
#define OPTIONS(X)                                                            \
    X(TREE, "tree", "NAME", "the tree to use instead of main; log: of all")   \
    X(TREES, "trees", NULL, "walk every tree for its depth, pages and fill")  \
    X(PREFIX, "prefix", "PREFIX", "only keys that begin with PREFIX")         \
    X(FROM, "from", "KEY",                                                    \
      "only keys (or numbers) from KEY on, KEY included")                     \
    X(TO, "to", "KEY", "only keys (or numbers) before KEY")                   \
    X(REVERSE, "reverse", NULL, "from the greatest key to the smallest")      \
    X(LIMIT, "limit", "N", "N pairs, lines or transactions at most")          \
    X(KEYS, "keys", NULL, "keys without their values")                        \
    X(SINCE, "since", "SEQ|TIME|end|BACKUP",                                  \
      "only what came after it; log: a transaction, a time, or end, which is "\
      "from now on; backup: a backup (its file, or a directory of backups: "  \
      "the newest)")                                                          \
    X(AT, "at", "SEQ|TIME",                                                   \
      "the state behind that transaction, or at that time: "                  \
      "2026-11-21T07:30:54Z, without Z local")                                \
    X(LOG, "log", "LOGDIR", "go on with the log in that directory")           \
    X(WITH_LOG, "with-log", NULL, "and the log since then")                   \
    X(FOLLOW, "follow", NULL, "go on for ever with what is committed")        \
    X(EVERY, "every", "BYTES|off",                                            \
      "take a snapshot for each so many bytes of log")                        \
    X(KEEP, "keep", "SECONDS",                                                \
      "and keep it so long when the log has gone, or longer")                 \
    X(ARCHIVE, "archive", "on|off", "keep all of the log, as an archive")     \
    X(BYTES, "bytes", "N", "keep so much of the log in any case")             \
    X(SECONDS, "seconds", "N", "keep what is not older")                      \
    X(HOLD, "hold", "BYTES",                                                  \
      "the most that --seconds, consumers and watches may keep")              \
    X(DROP, "drop", "NAME", "forget the consumer or snapshot NAME")           \
    X(SNAPSHOT, "snapshot", "NAME", "as the snapshot NAME has it")            \
    X(BASE, "base", "TREE", "the state that both sides come from")            \
    X(POLICY, "policy", "P",                                                  \
      "who is right: fail, ours, theirs, newer or newer:BYTE")                \
    X(FORMAT, "format", "F", "luge or jsonl; load reads mdb, too")            \
    X(BRANCH, "branch", "NAME", "this branch of the conversation")            \
    X(AUTHOR, "author", "NAME", "who says it")                                \
    X(TYPE, "type", "TYPE", "what kind of thing it is")                       \
    X(LABEL, "label", "LABEL", "a name for the node, unlike any other's")     \
    X(REASON, "reason", "R",                                                  \
      "alternative, disagreement, request, probabilistic or divergence")      \
    X(PROBABILITY, "probability", "P", "how likely a probabilistic fork is")   \
    X(AGENTS, "agents", "NAME,NAME...", "who disagrees")                      \
    X(JOIN, "join", "HOW", "overlay, replace, interleave or manual")          \
    X(EMOTION, "emotion", "V,A,G", "valence, arousal and agency: 0.5,1,-1")   \
    X(TIME, "time", "SECONDS", "as of this time of the music")                \
    X(PATH, "path", "PATH", "where its trees are, or shall be")               \
    X(EXPECT, "expect", "N", "only if the stream has N events so far")        \
    X(CORRELATION, "correlation", "ID", "what the event belongs to")          \
    X(CAUSATION, "causation", "ID", "what caused the event")                  \
    X(AFTER, "after", "TIME", "only what has that time or a later one")       \
    X(BEFORE, "before", "TIME", "only what has an earlier time")              \
    X(PRIORITY, "priority", "N", "greater ones are done first")               \
    X(DELAY, "delay", "SECONDS", "not before so long from now")               \
    X(ATTEMPTS, "attempts", "N", "how often it is tried (5)")                 \
    X(BACKOFF, "backoff", "SECONDS",                                          \
      "the pause after a failure, doubled after each more (1)")               \
    X(DEPENDS, "depends", "ID,ID...", "tasks that must be completed first")   \
    X(SESSION, "session", "ID", "the session that it belongs to")             \
    X(AGENT, "agent", "ID", "the number of who claims it")                    \
    X(LEASE, "lease", "SECONDS", "for how long it is claimed (60)")           \
    X(WAIT, "wait", "SECONDS", "how long to wait for it")                     \
    X(FATAL, "fatal", NULL, "and it shall not be tried again")                \
    X(SPEED, "speed", "X", "so many times as fast; 0: at once")               \
    X(ONCE, "once", NULL, "end with what is there, and do not follow")        \
    X(OUT, "out", "FILE", "write a MIDI file instead")                        \
    X(DURABILITY, "durability", "full|async",                                 \
      "full (the default) waits for the device, async does not")              \
    X(RECORDS, "records", "N", "how many records to work with")               \
    X(COMPLETION, "completion", NULL, "write the completion script for bash") \
    X(MAN, "man", NULL, "write the verbs as a part of the manual page")       \
    X(JSON, "json", NULL, "one JSON object a line")

enum option_number {
#define X(number, name, argument, text) OPTION_##number,
    OPTIONS(X)
#undef X
    OPTION_COUNT
};

#define OPTION_BIT(number) (UINT64_C(1) << (number))
#define OPTION(number) OPTION_BIT(OPTION_##number)
_Static_assert(OPTION_COUNT <= 64, "verb.options is 64 bits wide");

struct option {
    const char *name, *argument, *text;
};

struct call;

struct verb {
    const char *name;
    const char *arguments; /* words; [WORD] may be absent, the last WORD... may
                              be several.  DIR, FILE and DEST are names: "-" is
                              not read for them */
    uint64_t options;      /* OPTION(...) | ...; JSON is meant where useful */
    int (*run)(struct call *call); /* an exit code */
    const char *summary;   /* half a sentence */
    const char *detail;    /* lines for help and manual, each with a newline */
};

enum { ARGUMENTS_MAX = 256 }; /* of a call; main.c checks it */

/* One run of the command. */
struct call {
    const struct verb *verb;
    int count;                             /* arguments given */
    luge_bytes arguments[ARGUMENTS_MAX];
    const char *options[OPTION_COUNT];     /* NULL: absent; "" if it has none */
    char *input;                           /* what call_input has read */
    luge_db *db;
    luge_txn *txn;
    uint64_t made[2];                      /* what an action has made */
};

/* main.c: the tables. */
extern const struct verb verbs[];
extern const size_t verb_count;
extern const struct option options[OPTION_COUNT];
const struct verb *verb_find(const char *name);

/* call.c: what verbs do with their call.  All return an exit code. */
const char *call_text(const struct call *c, int argument);
/* All of FILE into c->input, once in a call.  A luge code; errno with IO. */
int call_input(struct call *c, FILE *file, size_t size_max, luge_bytes *bytes);
bool call_has(const struct call *c, enum option_number option);
int call_number(const struct call *c, enum option_number option,
                uint64_t otherwise, uint64_t *number);
int call_time(const struct call *c, enum option_number option,
              uint64_t *time_ns);   /* absent: *time_ns stays */
int call_durability(const struct call *c, unsigned *begin_flags);
/* For what does not look at a state but changes or follows the present one: an
 * exit code if --at asks for another. */
int call_now(const struct call *c);
int call_at(const struct call *c, uint64_t *seq, uint64_t *time_ns);
int call_seq(const struct call *c, uint64_t *seq); /* --at; 0: now */
int call_open(struct call *c, unsigned open_flags);
int call_tree(struct call *c, unsigned flags, luge_tree *tree);
int call_read(struct call *c, luge_tree *tree);
int call_end(struct call *c, int code);

/* action.c: verbs whose second argument is an action.  What an action answers
 * is a luge code or, if positive, an exit code. */
struct action {
    const char *name;
    int least, most;                          /* words after it */
    const char *words;                        /* their names, for the usage */
    int (*look)(struct call *call);           /* in a read transaction */
    int (*change)(luge_txn *txn, void *call); /* inside of luge_transact */
    int (*run)(struct call *call);            /* the database is open */
    const char *made; /* what call->made is, blanks between; NULL: nothing */
    int (*prepare)(struct call *call); /* a change: before the database is
                                          opened; an exit code; or NULL */
};
int call_action(struct call *c, const struct action *actions, size_t count);
/* Argument NUMBER, counted from 0, as a number; an exit code. */
int call_word_number(const struct call *c, int number, uint64_t *value);

/* call.c: answers that are not data.  Each returns its exit code. */
int say_usage(const struct verb *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int say_error(int rc); /* NOTFOUND too is an error: of the system's */
int say_no(int rc);    /* NOTFOUND and NOTREE are the answer "no" */

/* output.c: where a stream goes, and what the system says of files. */
struct output {
    FILE *stream;
    char final[4096], part[4096 + 48]; /* its name; until it is whole */
};
int code_of_system(int system_errno);
int say_system(const char *what, const char *path); /* of errno: an exit code */
bool is_directory(const char *path);
bool is_file(const char *path);         /* or a link to one */
/* Of zeros: PATH and NAME behind it; NULL or "-": standard output.  An exit
 * code, as of output_close, which gets how the writing went. */
int output_open(struct output *o, const char *path, const char *name);
bool output_is_part(const char *name);  /* of a file that is not whole yet */
int output_write(const struct output *o, const void *data, size_t size);
int output_close(struct output *o, int code);
enum { READER_MS = 500 };  /* how long to wait before one asks again: */
bool output_is_read(void); /* what was printed is out, and standard output has
                              somebody at its other end */

/* print.c: bytes for people and for programs. */
void print_bytes(luge_bytes bytes);  /* one line, unprintable bytes escaped */
void print_bytes_to(FILE *file, luge_bytes bytes);
/* The first line of BYTES, at most COLUMNS characters. */
void print_start(luge_bytes bytes, int columns);
/* A float with as many digits as tell it from others: 0.8, not 0.80000001. */
json_t *json_of_float(float number);
/* FRONT, COUNT, and ONE or more of them: "node" becomes "nodes". */
void print_count(const char *front, uint64_t count, const char *one);
/* Times as time_parse reads them: to the second, "2026-11-21T07:30:54Z", for
 * people; with nine digits more for programs. */
void time_words(uint64_t time_ns, char *text, size_t size);
void time_text(uint64_t time_ns, char *text, size_t size);
/* "2026-11-21T07:30:54.25Z", or without Z in local time; a blank may stand for
 * the T, and what is left out at the end is 0. */
bool time_parse(const char *text, uint64_t *time_ns);
void print_json(json_t *object);     /* one line; the reference is taken */
void print_json_to(FILE *file, json_t *object);
/* The same, with RAW, which is JSON, as its last member. */
void print_json_with(json_t *object, const char *name, luge_bytes raw);
json_t *json_of_bytes(luge_bytes bytes);
json_t *json_of_count(uint64_t number);
/* The other way: bytes are the json's, or in MADE, the caller's. */
struct decoded {
    luge_bytes bytes;
    void *made;
};
int json_to_bytes(const json_t *json, struct decoded *to); /* 0 or -1 */
int print_end(int code);             /* EXIT_ERROR if stdout did not take it */

/* The verbs, a file for each family. */
int verb_put(struct call *c);        /* keys.c */
int verb_get(struct call *c);
int verb_del(struct call *c);
int verb_scan(struct call *c);
int verb_trees(struct call *c);
int verb_stat(struct call *c);       /* stat.c */
int verb_health(struct call *c);
int verb_check(struct call *c);      /* inspect.c */
int verb_checksum(struct call *c);
int verb_log(struct call *c);        /* feed.c */
int verb_consumers(struct call *c);
int verb_retention(struct call *c);
int verb_dump(struct call *c);       /* dump.c */
int verb_load(struct call *c);       /* load.c */
int verb_fork(struct call *c);       /* fork.c */
int verb_drop(struct call *c);
int verb_snapshot(struct call *c);
int verb_snapshots(struct call *c);
int verb_diff(struct call *c);       /* diff.c */
int verb_merge(struct call *c);
int verb_backup(struct call *c);     /* backup.c */
int verb_restore(struct call *c);
int verb_salvage(struct call *c);
int verb_compact(struct call *c);    /* compact.c */
int verb_history(struct call *c);    /* history.c */
int verb_import(struct call *c);     /* import.c */
int verb_convo(struct call *c);      /* convo.c */
int verb_play(struct call *c);       /* play.c */
int verb_event(struct call *c);      /* event.c */
int verb_task(struct call *c);       /* task.c */
int verb_show(struct call *c);       /* show.c */
int verb_bench(struct call *c);      /* bench.c */
int verb_help(struct call *c);       /* help.c */
int verb_version(struct call *c);

/* dump.c: progress of long work, on stderr.  {.what = the verb's name} */
struct progress {
    const char *what;
    int64_t told;       /* the second in which it was told last */
};
void progress_tell(struct progress *p, uint64_t pairs, uint64_t bytes);
void progress_end(const struct progress *p, uint64_t trees, uint64_t pairs,
                  uint64_t bytes);
void help_usage(FILE *to, const struct verb *verb);

#endif
