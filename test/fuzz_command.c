/* test/fuzz_command.c -- the luge command with words that nobody would type.
 *
 *   fuzz_command [--seeds A..B] [--minutes M] [--trace]      needs $LUGE
 *
 * Holds: a seed is a database and a row of commands: verbs that are and are
 * not, options with and without values, arguments of every kind and length,
 * standard input of any bytes.
 *   X1  The exit code is 0, 1, 2 or 3, never a signal, and it comes soon.
 *   X2  With 2 and 3 there is a sentence on standard error that begins with
 *       "luge: " or "usage: ".
 *   X3  `luge check` is content afterwards.
 * Not here: what the answers are (cli.sh).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "batch.h"

enum { WORDS_MAX = 9, COMMANDS = 8, WAIT_S = 30, NOISE = 3000 };

static const char *const tallies[] = {"done", "no", "wrong usage", "errors",
                                      NULL};

struct play {
    const char *command, *base;
    char db[700], other[700], input[700], errors[700];
    bool trace;
    struct dice d;
    const char *words[WORDS_MAX + 2];
    char noise[NOISE];
};

/* Those that wait for what never comes, or fill a terminal, are left out. */
static const char *const verbs[] = {
    "put", "get", "del", "scan", "trees", "stat", "check", "checksum", "log",
    "consumers", "dump", "load", "help", "version", "health", "fork",
    "snapshot", "diff", "history", "nonsense", "", "-", "--", "--help",
};

static const char *const options[] = {
    "--tree", "--tree=main", "--tree=", "--json", "--reverse", "--limit",
    "--limit=3", "--limit=-1", "--limit=99999999999999999999", "--prefix=k",
    "--prefix", "--from=a", "--to=z", "--from", "--since", "--since=0",
    "--since=18446744073709551615", "--at=1", "--at=x", "--durability=async",
    "--durability=never", "--help", "--nonsense", "--", "-", "-h", "-x",
    "--=", "--json=1", "--tree=songs/\xff",
};

static const char *const arguments[] = {
    "key", "k", "", "value", "main", "-", "0", "-1", "1e9", "\xff\xfe", "a/b",
    "/", "..", "/dev/null", "%s%n", "\n", "{\"base64\":\"!\"}",
};

static const char *some_word(struct play *p)
{
    size_t size;
    switch (dice_below(&p->d, 12)) {
    case 0: case 1: case 2: case 3:
        return options[dice_below(&p->d, COUNT_OF(options))];
    case 4: return p->db;
    case 5: return p->other;
    case 6:
        size = dice_below(&p->d, NOISE - 1);
        memset(p->noise, 'n', size);
        p->noise[size] = 0;
        return p->noise;
    default: return arguments[dice_below(&p->d, COUNT_OF(arguments))];
    }
}

static void choose(struct play *p)
{
    unsigned n = 0, more = dice_below(&p->d, 4);
    p->words[n++] = p->command;
    p->words[n++] = verbs[dice_below(&p->d, COUNT_OF(verbs))];
    if (dice_chance(&p->d, 85)) p->words[n++] = p->db;
    while (more-- && n < WORDS_MAX) p->words[n++] = some_word(p);
    p->words[n] = NULL;
}

static void write_input(struct play *p)
{
    char bytes[600];
    size_t size = dice_below(&p->d, sizeof bytes);
    pattern_fill(bytes, size, dice_next(&p->d));
    int fd = open(p->input, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        die("%s cannot be written", p->input);
    close(fd);
}

static void child(const struct play *p)
{
    int in = open(p->input, O_RDONLY), none = open("/dev/null", O_WRONLY);
    int err = open(p->errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || none < 0 || err < 0 || chdir(p->base)) _exit(99);
    dup2(in, 0);
    dup2(none, 1);
    dup2(err, 2);
    alarm(WAIT_S);
    execv(p->command, (char *const *)(uintptr_t)p->words);
    _exit(98);
}

static void show(const struct play *p)
{
    fprintf(stderr, "  luge");
    for (unsigned i = 1; p->words[i]; i++)
        fprintf(stderr, " '%.60s'", p->words[i]);
    fprintf(stderr, "\n");
}

static int run(struct play *p)
{
    int status;
    pid_t pid = fork();
    if (pid < 0) die("no fork");
    if (!pid) child(p);
    waitpid(pid, &status, 0);
    batch_tick();
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 3) {
        batch_tally((unsigned)WEXITSTATUS(status));
        return WEXITSTATUS(status);
    }
    batch_failed("X1: it ended with %s %d",
                 WIFEXITED(status) ? "code" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    show(p);
    return 0;
}

static void explained(struct play *p, int code)
{
    char said[8] = "";
    int fd = open(p->errors, O_RDONLY);
    if (code < 2) {
        close(fd);
        return;
    }
    if (fd < 0 || read(fd, said, 7) < 6 ||
        (strncmp(said, "luge: ", 6) && strncmp(said, "usage:", 6))) {
        batch_failed("X2: code %d, and standard error begins with \"%s\"",
                     code, said);
        show(p);
    }
    close(fd);
}

static int put(struct play *p, const char *key)
{
    const char *const words[] = {p->command, "put", p->db, key, "value", NULL};
    memcpy(p->words, words, sizeof words);
    return run(p);
}

static void one(uint64_t seed, void *context)
{
    struct play *p = context;
    p->d = dice_of(seed, 0);
    tree_remove(p->base);
    if (mkdir(p->base, 0700)) die("no %s", p->base);
    write_input(p);
    if (put(p, "first")) batch_failed("a first put does not succeed");
    for (unsigned i = 0; i < COMMANDS; i++) {
        choose(p);
        if (p->trace) show(p);
        explained(p, run(p));
    }
    if (put(p, "last")) batch_failed("X3: a last put does not succeed");
    p->words[1] = "check";
    p->words[3] = NULL;
    if (run(p)) batch_failed("X3: luge check is not content");
}

int main(int argc, char **argv)
{
    struct batch_order order = batch_parse("fuzz_command", argc, argv);
    char *base = scratch_make(SCRATCH_FAST), place[600];
    struct play p = {.command = getenv("LUGE"), .base = place,
                     .trace = order.trace};
    if (!p.command) die("LUGE must name the command");
    snprintf(place, sizeof place, "%s/here", base);
    snprintf(p.db, sizeof p.db, "%s/db", place);
    snprintf(p.other, sizeof p.other, "%s/other", place);
    snprintf(p.input, sizeof p.input, "%s/input", base);
    snprintf(p.errors, sizeof p.errors, "%s/errors", base);
    batch_length(&order, 15, 60, 1500);
    int rc = batch_run(&order, "fuzz_command", one, &p, tallies);
    scratch_remove(base);
    return rc;
}
