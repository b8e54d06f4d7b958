/* cli/main.c -- the luge command: the table of verbs, and a call made from the
 * words of the command line.
 *
 *   luge VERB DIR [ARGUMENTS] [--options]
 * Options stand anywhere after the verb, as --name value or --name=value; after
 * a bare -- every word is an argument as it is.  Before that the argument "-"
 * stands for all of standard input.
 * Not here: what a verb does (keys.c, inspect.c, feed.c and so on).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define WRITING (OPTION(TREE) | OPTION(DURABILITY) | OPTION(JSON))

const struct verb verbs[] = {
    {"put", "DIR KEY VALUE", WRITING, verb_put,
     "set a key to a value",
     "Creates the database and the tree if they are not there.  With --json\n"
     "it prints the number of the commit.\n"},
    {"get", "DIR KEY",
     OPTION(TREE) | OPTION(SNAPSHOT) | OPTION(AT) | OPTION(JSON), verb_get,
     "print the value of a key",
     "Prints the bytes of the value and nothing else; on a terminal a newline\n"
     "follows.  Exit code 1 if there is no such key or tree.\n"},
    {"del", "DIR KEY", WRITING, verb_del,
     "remove a key",
     "Exit code 1 if there is no such key or tree.\n"},
    {"scan", "DIR",
     OPTION(TREE) | OPTION(SNAPSHOT) | OPTION(AT) | OPTION(PREFIX) |
         OPTION(FROM) | OPTION(TO) | OPTION(REVERSE) | OPTION(LIMIT) |
         OPTION(KEYS) | OPTION(JSON),
     verb_scan,
     "print the pairs of a tree in the order of their keys",
     "One pair a line, a tab between key and value.  Bytes that are no\n"
     "printable UTF-8 are written \\xNN, and a backslash as \\\\, so that\n"
     "lines can be taken apart again.  All of it is one snapshot.\n"},
    {"trees", "DIR", OPTION(AT) | OPTION(JSON), verb_trees,
     "print the trees and how many keys each holds",
     "One tree a line: its name, a tab, the number of its keys.\n"},
    {"stat", "DIR", OPTION(TREE) | OPTION(TREES) | OPTION(JSON), verb_stat,
     "print figures of the database, or of one tree",
     "Bytes, unless a name says otherwise.  Of times and groups the bound\n"
     "below which half, or 99 in 100, lie; with --json the histograms, whose\n"
     "entry i counts what is below 2^i.  A line for each pin: who keeps what\n"
     "from being reused.  With --tree it walks that tree, with --trees all.\n"},
    {"health", "DIR", OPTION(JSON), verb_health,
     "say in one line whether all is well, for monitors",
     "Exit code 1 if the database failed, no checkpoint came for 1 GiB of\n"
     "log, a reader older than an hour holds back a quarter of the file, a\n"
     "consumer has expired, or the disk has less than 256 MiB and 1 % left.\n"},
    {"check", "DIR", OPTION(JSON), verb_check,
     "prove that the database is sound, or list its defects",
     "Looks at the order, the counts and the checksums of everything.  Prints\n"
     "a line for each defect, or the word sound.  Exit code 1 if there is a\n"
     "defect.\n"},
    {"checksum", "DIR", OPTION(AT) | OPTION(JSON), verb_checksum,
     "print a checksum of all names, keys and values",
     "Equal for equal content, whatever the layout of the files.\n"},
    {"log", "DIR",
     OPTION(SINCE) | OPTION(FOLLOW) | OPTION(TREE) | OPTION(PREFIX) |
         OPTION(LIMIT) | OPTION(JSON),
     verb_log,
     "print the transactions that the log holds",
     "One change a line: the transaction's number, its time, what happened\n"
     "(put del create drop rename clear fork snapshot forget), to which tree\n"
     "or snapshot, key and value, or where it came from, between tabs;\n"
     "escaped as by scan.  With --json one transaction a line.  A\n"
     "transaction is printed when it is durable.  Without --since it begins\n"
     "with the oldest that the log still holds; if the log no longer reaches\n"
     "back to --since, that is an error.  --follow ends by a signal, or when\n"
     "nobody reads what it prints any more.\n"},
    {"consumers", "DIR", OPTION(DROP) | OPTION(JSON), verb_consumers,
     "print the durable consumers and how far behind they are",
     "One a line: its name, the transaction up to which it has consumed, how\n"
     "many have come since, and when it acknowledged.  --drop forgets one, so\n"
     "that the log is no longer kept for it.\n"},
    {"retention", "DIR",
     OPTION(ARCHIVE) | OPTION(BYTES) | OPTION(SECONDS) | OPTION(HOLD) |
         OPTION(JSON),
     verb_retention,
     "print how long the log is kept, or set it",
     "What recovery needs is always kept, and besides --bytes (0: what the\n"
     "programs say that use the database, usually 64 MiB), all that is not\n"
     "older than --seconds, and what consumers and watches still need; the\n"
     "last two within --hold (0: 1 GiB), beyond which who fell behind\n"
     "expires.  What is not named stays as it is.  The log goes in pieces, at\n"
     "checkpoints.\n"},
    {"dump", "DIR [FILE]", OPTION(FORMAT) | OPTION(AT), verb_dump,
     "write all trees of one snapshot to FILE or standard output",
     "The usual format, luge, is checksummed: what is cut short or damaged\n"
     "is found out.  --format jsonl is for people and other programs:\n"
     "a pair a line, {\"tree\": T, \"key\": K, \"value\": V}; bytes that are\n"
     "no UTF-8 are {\"base64\": B}.  FILE appears when it is whole.\n"},
    {"load", "DIR FILE", OPTION(FORMAT) | OPTION(TREE),
     verb_load,
     "put all pairs of a dump into the database",
     "Reads what dump writes, in either format, and what LMDB's mdb_dump -a\n"
     "writes (--format mdb); which of them, it sees by itself.  A FILE\n"
     "called - is standard input.  With --tree, pairs that name no tree go\n"
     "there.  Keys that exist are set, others stay.\n"},
    {"fork", "DIR FROM TO",
     OPTION(SNAPSHOT) | OPTION(DURABILITY) | OPTION(JSON), verb_fork,
     "fork a tree, or all trees under a path",
     "What is called FROM, or FROM and a slash and more, is forked to TO and\n"
     "the same more, whatever its size at once.  With --snapshot old trees\n"
     "become trees that can be changed; a FROM of / is then all there were.\n"
     "Prints how many trees.  Exit code 1 if there is no such tree.\n"},
    {"drop", "DIR PATH", OPTION(DURABILITY) | OPTION(JSON), verb_drop,
     "drop a tree, or all trees under a path",
     "Prints how many trees.  Exit code 1 if there is no such tree.\n"},
    {"snapshot", "DIR NAME [PATH]", OPTION(DURABILITY) | OPTION(JSON),
     verb_snapshot,
     "keep the trees under a path, or all, as they are now",
     "get and scan read it with --snapshot NAME, diff and merge as TREE@NAME;\n"
     "luge snapshots --drop NAME forgets it.\n"},
    {"snapshots", "DIR", OPTION(DROP) | OPTION(JSON), verb_snapshots,
     "print the snapshots, or forget one",
     "One a line: name, path, number of the transaction, age in seconds,\n"
     "number of trees, number of keys, bytes that it alone keeps.\n"},
    {"diff", "DIR A B", OPTION(AT) | OPTION(JSON), verb_diff,
     "print the keys in which two trees, or all under two paths, differ",
     "TREE@NAME is the tree as the snapshot NAME has it.  With --at A is as\n"
     "it was then: luge diff DIR main main --at 2026-11-21.  A line for each\n"
     "key: + and the pair if only B has it, - and the pair if only A has it,\n"
     "~ and the key, the value in A and the value in B if both have.  Of\n"
     "paths, a line of @ and the rest of the name precedes each tree's.  Exit\n"
     "code 1 if there is a difference.\n"},
    {"merge", "DIR FROM INTO",
     OPTION(BASE) | OPTION(POLICY) | OPTION(DURABILITY) | OPTION(JSON),
     verb_merge,
     "bring into trees what changed in their forks since they parted",
     "Of two paths, each tree under FROM goes into the one of the same rest\n"
     "under INTO; what is not there is made.  A key that both sides changed,\n"
     "and not to the same, is a conflict, and printed.  --policy says who is\n"
     "right: fail (nobody: nothing happens, exit code 1), ours (INTO), theirs\n"
     "(FROM) or newer, where 8 bytes of the value, little-endian, at BYTE or\n"
     "at its start, say when.\n"},
    {"backup", "DIR DEST",
     OPTION(SINCE) | OPTION(WITH_LOG) | OPTION(JSON), verb_backup,
     "write a backup while others go on working",
     "DEST is a file, a directory, in which the backup gets a name of its\n"
     "own, or - for standard output.  With --since only pages that are new\n"
     "since an earlier backup of the same database; with --with-log the\n"
     "transactions in between, too, so that restore can stop at any of them.\n"
     "It holds everything, forks and snapshots included, as one transaction\n"
     "left it.\n"},
    {"restore", "SOURCE DIR", OPTION(AT) | OPTION(LOG) | OPTION(JSON),
     verb_restore,
     "make a database of backups, as it was at any time",
     "SOURCE is a backup, a directory of backups, or - for standard input,\n"
     "where several may follow one another.  A backup that goes on from\n"
     "others finds them beside it.  With --at it ends behind that\n"
     "transaction, or at that time; what the backups lack comes from --log,\n"
     "the folder log of the database or a copy of it (--at end: all of it).\n"
     "DIR must not exist or be empty.\n"},
    {"import", "KIND DIR FILE...",
     OPTION(PATH) | OPTION(AUTHOR) | OPTION(DURABILITY) | OPTION(JSON),
     verb_import,
     "make conversations of a git history, of MIDI files, of messages",
     "KIND git: FILE is a repository.  Commits become nodes, authors agents,\n"
     "branches and merges what they are; a line of commits that was merged\n"
     "and has no name any more is called after its last one.\n"
     "KIND midi: a conversation for each FILE, with a node for each bar.\n"
     "KIND jsonl: a message a line, {\"id\": \"m2\", \"parent_id\": \"m1\",\n"
     "\"author\": \"amy\", \"text\": \"...\", \"time\": seconds since 1970 or\n"
     "\"2026-11-21T06:00:00Z\"}; parent_id and time may be absent.\n"
     "The conversation's path is --path (of a midi file: below it) or else\n"
     "the file's name.  All of it is imported, or nothing; what is wrong is\n"
     "said with its line or offset.\n"},
    {"convo", "DIR ACTION [CONVERSATION] [WORD...]",
     OPTION(LIMIT) | OPTION(AUTHOR) | OPTION(TYPE) | OPTION(LABEL) |
         OPTION(REASON) | OPTION(PROBABILITY) | OPTION(AGENTS) | OPTION(JOIN) |
         OPTION(EMOTION) | OPTION(TIME) | OPTION(AFTER) | OPTION(BEFORE) |
         OPTION(AT) | OPTION(DURABILITY) | OPTION(JSON),
     verb_convo,
     "look at conversations that fork, and change them",
     "list [CONVERSATION]: conversations, or branches of one.\n"
     "tree CONVERSATION: branches below those they forked from.\n"
     "log CONVERSATION [WHAT]: nodes up to WHAT, the newest first; or all; or\n"
     "those said --after, --before.  subtree CONVERSATION WHAT: what follows.\n"
     "agents CONVERSATION: who speaks.\n"
     "ancestors CONVERSATION WHAT [WITHOUT]: through all parents, those of\n"
     "WITHOUT left out.  common CONVERSATION A B: the best common ancestors.\n"
     "show CONVERSATION WHAT: a node, its music and context, or the context\n"
     "at --time; of a branch also why it was forked, and what agents think.\n"
     "diff CONVERSATION A B: what only one has; exit code 1 if that is any.\n"
     "fork CONVERSATION FROM NAME [WHY]: a branch; from '' a conversation.\n"
     "append CONVERSATION BRANCH TEXT: a node; with --type intention TEXT is\n"
     "a note and how: 'C softly'.\n"
     "merge CONVERSATION FROM INTO [TEXT]: both heads become one; see --join.\n"
     "prune CONVERSATION BRANCH: it gets no more nodes.\n"
     "evaluate CONVERSATION BRANCH SCORE [TEXT]: an opinion of it.\n"
     "WHAT, A, B and FROM are a branch's name, a node's label, its number, or\n"
     "how its label begins.  Who makes something prints its number.\n"},
    {"play", "DIR CONVERSATION",
     OPTION(BRANCH) | OPTION(SPEED) | OPTION(ONCE) | OPTION(LIMIT) |
         OPTION(OUT) | OPTION(JSON),
     verb_play,
     "play a conversation as it was said, and as it is being said",
     "A line for each event, at its musical time.  With --branch that branch\n"
     "from its beginning, and then whatever is appended to it; without, what\n"
     "is said from now on, on any branch.  Ends by a signal, after --limit\n"
     "events, or with --once where the branch ends (main, if none is named).\n"
     "With --out it writes the branch as a MIDI file.  At the end it says on\n"
     "standard error how soon after their commits the nodes were heard.\n"},
    {"history", "DIR", OPTION(EVERY) | OPTION(KEEP) | OPTION(JSON),
     verb_history,
     "print how much of the past can be read, or set what is kept",
     "Lines of the newest transaction, the oldest from which on every state\n"
     "can be had, and the one behind which the log begins: number and time.\n"
     "A line for each snapshot of everything: name, number, time.  get, scan,\n"
     "trees, dump, checksum, diff, convo, event, task and show read the past\n"
     "with --at.  --every makes luge take snapshots by itself, so that --at\n"
     "reaches back farther than to the last checkpoint; they keep what was\n"
     "replaced since.\n"},
    {"compact", "DIR", OPTION(JSON), verb_compact,
     "give the free space of the file back while others read and write",
     "Leaves that are not full become fewer that are, then pages at the end\n"
     "move into what is free.  Prints the file's length before and after,\n"
     "what is still free in it (behind pages that forks and snapshots share),\n"
     "the bytes of leaves packed and of pages moved, and the longest time in\n"
     "microseconds that a writer may have had to wait.\n"},
    {"event", "DIR ACTION [WORD...]",
     OPTION(EXPECT) | OPTION(CORRELATION) | OPTION(CAUSATION) | OPTION(TYPE) |
         OPTION(FROM) | OPTION(TO) | OPTION(AFTER) | OPTION(BEFORE) |
         OPTION(REVERSE) | OPTION(LIMIT) | OPTION(PATH) | OPTION(AT) |
         OPTION(DURABILITY) | OPTION(JSON),
     verb_event,
     "append events to streams, read and follow them",
     "append STREAM TYPE [PAYLOAD]: an event; prints its position and its\n"
     "version in the stream.  A payload that is a JSON object or array is\n"
     "kept as JSON.  With --expect, exit code 1 if the stream is elsewhere.\n"
     "read [STREAM]: events in the order of their positions, or of their\n"
     "times if only times are asked for.  --from and --to are versions of the\n"
     "STREAM, or else positions.\n"
     "follow [STREAM]: what is there, then what comes, as it comes.\n"
     "streams: each with its last version and position.  types: their names.\n"
     "state STREAM [VERSION]: the newest state that was kept of it.\n"
     "keep STREAM VERSION STATE: keep one; what led to it need not be read.\n"
     "projections: how far each has come.  reset PROJECTION POSITION: let it\n"
     "go on from there.\n"
     "export [STREAM]: JSON Lines.  import FILE: append such lines, or none.\n"
     "The store is at --path, or else at events.\n"},
    {"task", "DIR ACTION [WORD...]",
     OPTION(PRIORITY) | OPTION(DELAY) | OPTION(ATTEMPTS) | OPTION(BACKOFF) |
         OPTION(DEPENDS) | OPTION(SESSION) | OPTION(AGENT) | OPTION(LEASE) |
         OPTION(WAIT) | OPTION(FATAL) | OPTION(ONCE) | OPTION(AUTHOR) |
         OPTION(LIMIT) | OPTION(PATH) | OPTION(AT) | OPTION(DURABILITY) |
         OPTION(JSON),
     verb_task,
     "publish tasks, do them, and see who does what",
     "publish QUEUE [PAYLOAD]: a task; prints its number.\n"
     "claim QUEUE: the next task: its number, the lease's number, and so on.\n"
     "Exit code 1 if there is none within --wait.\n"
     "heartbeat ID LEASE [STATUS], complete ID LEASE [RESULT],\n"
     "fail ID LEASE [ERROR], release ID LEASE: go on, or end the claim.  Exit\n"
     "code 1 if the lease is another's by now.\n"
     "work QUEUE COMMAND: claim one after the other; run COMMAND in a shell,\n"
     "the payload on its standard input; complete the task with what it\n"
     "prints, or fail it with its exit code.  --once: until there is none.\n"
     "wait ID: until it has ended; exit code 1 if it is not completed then.\n"
     "list [STATE]: tasks, perhaps those of a --session; dead ones are the\n"
     "dead letters.  show ID: one.\n"
     "counts: how many of each state.  cancel ID, revive ID: order it so.\n"
     "forget SECONDS: remove tasks, agents and sessions that ended so long\n"
     "ago; prints how many.\n"
     "agents: who is registered, perhaps for a --session, and is he alive?\n"
     "end AGENT: no more; its tasks are ready again.  reap [SECONDS]: end all\n"
     "that are gone, or have been silent for so long.\n"
     "sessions: what tasks and agents are for.\n"
     "begin OBJECTIVE [STRATEGY]: a session; prints its number.\n"
     "session ID STATE [ERROR]: another state.\n"
     "All this is at --path, or else at tasks.\n"},
    {"show", "DIR TREE [COLUMN...]",
     OPTION(REVERSE) | OPTION(LIMIT) | OPTION(AT) | OPTION(JSON), verb_show,
     "print records of events, tasks and conversations as JSON",
     "Of a tree that a model keeps, such as events/all, tasks/task or\n"
     "songs/nocturne/nodes, one JSON object a line: what the record is, the\n"
     "columns of its key, all its fields.  Only those whose keys begin with\n"
     "the columns: luge show DIR tasks/task 17.  Exit code 1 if none is.\n"},
    {"salvage", "BROKEN DIR", OPTION(JSON), verb_salvage,
     "read everything readable out of a damaged database into a new one",
     "BROKEN must not be open, and stays as it is.  Every record is recovered\n"
     "whose own page is sound; those of trees whose names are lost go to\n"
     "trees under lost+found/.  Prints a line for each thing that was lost,\n"
     "then what there is.  Snapshots are not copied.  Exit code 1 if\n"
     "something was lost.\n"},
    {"bench", "[DIR]", OPTION(RECORDS) | OPTION(JSON), verb_bench,
     "measure a small workload",
     "Works in a tree called luge-bench that it makes and drops; without DIR\n"
     "in a temporary database.  What durable commits cost depends on the\n"
     "device, so give a DIR on the one you care for.\n"},
    {"help", "[VERB]", OPTION(COMPLETION) | OPTION(MAN), verb_help,
     "explain the command or a verb", ""},
    {"version", "", 0, verb_version, "print the version", ""},
};
const size_t verb_count = sizeof(verbs) / sizeof(verbs[0]);

const struct option options[OPTION_COUNT] = {
#define X(number, name, argument, text) {name, argument, text},
    OPTIONS(X)
#undef X
};

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < verb_count; i++)
        if (!strcmp(verbs[i].name, name)) return &verbs[i];
    return NULL;
}

/* ------------------------------------------------------------- options -- */

/* The option that WORD (without its dashes) names, or -1.  *value is what
 * stands behind '=', or NULL. */
static int option_find(const struct verb *verb, const char *word,
                       const char **value)
{
    size_t size = strcspn(word, "=");
    *value = word[size] ? word + size + 1 : NULL;
    for (int i = 0; i < OPTION_COUNT; i++)
        if ((verb->options & OPTION_BIT(i)) &&
            strlen(options[i].name) == size &&
            !memcmp(options[i].name, word, size))
            return i;
    return -1;
}

/* Take the option in words[*at], and its value from the next word if it has
 * one. */
static int option_take(struct call *c, char **words, int *at)
{
    const char *value;
    int number = option_find(c->verb, words[*at] + 2, &value);

    if (number < 0)
        return say_usage(c->verb, "there is no option %s", words[*at]);
    if (c->options[number])
        return say_usage(c->verb, "--%s is given twice", options[number].name);
    if (!options[number].argument) {
        if (value)
            return say_usage(c->verb, "--%s takes no value",
                             options[number].name);
        c->options[number] = "";
        return 0;
    }
    if (!value) value = words[*at + 1] ? words[++*at] : NULL;
    if (!value)
        return say_usage(c->verb, "--%s wants %s", options[number].name,
                         options[number].argument);
    c->options[number] = value;
    return 0;
}

/* ----------------------------------------------------------- arguments -- */

/* The word of ARGUMENTS with this number, counted from 0; "" past the last. */
static const char *arguments_word(const char *arguments, int number)
{
    for (; number > 0; number--) {
        arguments += strcspn(arguments, " ");
        arguments += strspn(arguments, " ");
    }
    return arguments;
}

/* All of standard input into c->input. */
static int input_read(struct call *c, luge_bytes *bytes)
{
    int rc = call_input(c, stdin, LUGE_VALUE_SIZE_MAX, bytes);

    if (rc == LUGE_IO)
        luge_fail(rc, __FILE__, __LINE__, "standard input: %s",
                  strerror(errno));
    return rc ? say_error(rc) : 0;
}

/* The word of ARGUMENTS for argument NUMBER: the last one again and again, if
 * dots end it. */
static const char *argument_kind(const struct verb *verb, int number)
{
    const char *word = arguments_word(verb->arguments, number);
    const char *last = strrchr(verb->arguments, ' ');

    if (*word || !strstr(verb->arguments, "...")) return word;
    return last ? last + 1 : verb->arguments;
}

static int argument_take(struct call *c, const char *word, bool literal)
{
    const char *kind = argument_kind(c->verb, c->count);
    bool name = c->count == 0; /* a verb's first argument is no data */

    kind += *kind == '[';
    if (!strncmp(kind, "FILE", 4) || !strncmp(kind, "DEST", 4) ||
        !strncmp(kind, "DIR", 3))
        name = true;
    if (c->count == ARGUMENTS_MAX)
        return say_usage(c->verb, "more than %d arguments", ARGUMENTS_MAX);
    if (!*kind)
        return say_usage(c->verb, "'%s' is one argument too many", word);
    luge_bytes *bytes = &c->arguments[c->count++];
    *bytes = luge_str(word);
    if (literal || name || strcmp(word, "-") != 0) return 0;
    if (c->input)
        return say_usage(c->verb, "only one argument can be standard input");
    return input_read(c, bytes);
}

/* The words after the verb.  An exit code if they make no call. */
static int call_parse(struct call *c, char **words)
{
    bool literal = false;

    for (int at = 0; words[at]; at++) {
        int code = 0;
        if (!literal && !strcmp(words[at], "--"))
            literal = true;
        else if (!literal && !strncmp(words[at], "--", 2))
            code = option_take(c, words, &at);
        else
            code = argument_take(c, words[at], literal);
        if (code) return code;
    }
    const char *next = arguments_word(c->verb->arguments, c->count);
    if (*next && *next != '[')
        return say_usage(c->verb, "%.*s is missing", (int)strcspn(next, " "),
                         next);
    return 0;
}

/* `luge put --help` is `luge help put`. */
static bool wants_help(char **words)
{
    for (; *words && strcmp(*words, "--") != 0; words++)
        if (!strcmp(*words, "--help")) return true;
    return false;
}

/* A file that is opened later must not become one of the standard streams: what
 * is told of progress would stand in a backup.  Who reads or writes one that is
 * closed still gets an error. */
static void hold_standard_streams(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    struct call call = {0};
    char *help[] = {NULL, NULL};
    char **words = argv + 2;

    hold_standard_streams();
    if (argc < 2) {
        help_usage(stderr, NULL);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) name = "help";
    if (!strcmp(name, "--version")) name = "version";
    call.verb = verb_find(name);
    if (!call.verb) return say_usage(NULL, "there is no verb '%s'", name);
    if (wants_help(words)) {
        help[0] = argv[1];
        words = call.verb->run == verb_help ? help + 1 : help;
        call.verb = verb_find("help");
    }
    int code = call_parse(&call, words);
    if (!code) code = call.verb->run(&call);
    return call_end(&call, code);
}
