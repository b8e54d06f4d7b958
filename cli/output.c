/* cli/output.c -- where a dump or a backup goes, and what the system says of
 * files.
 *
 *   U1  A file is written beside its name and renamed when it is whole and
 *       durable: an older one under that name is never half replaced.
 *   U2  A pipe or a device that stands there is written into: a name is given
 *       to files only.  A link is followed.
 *   U3  What is not whole goes with the process, if a signal ends it; only a
 *       sudden death leaves it, under a name that output_is_part knows.
 * Not here: what is written (dump.c, backup.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define PART ".part-"
enum { PARTS_MAX = 100 };

int code_of_system(int system_errno)
{
    switch (system_errno) {
    case ENOSPC: case EDQUOT: case EFBIG: return LUGE_NOSPACE;
    case EACCES: case EPERM: case EROFS: return LUGE_PERMISSION;
    case ENOENT: case ENOTDIR: return LUGE_NOTFOUND;
    case EEXIST: case ENOTEMPTY: return LUGE_EXISTS;
    case ENOMEM: return LUGE_NOMEM;
    default: return LUGE_IO;
    }
}

int say_system(const char *what, const char *path)
{
    return say_error(luge_fail(code_of_system(errno), __FILE__, __LINE__,
                               "%s %s: %s", what, path, strerror(errno)));
}

bool is_directory(const char *path)
{
    struct stat stat_of;

    return !stat(path, &stat_of) && S_ISDIR(stat_of.st_mode);
}

bool is_file(const char *path)
{
    struct stat stat_of;

    return !stat(path, &stat_of) && S_ISREG(stat_of.st_mode);
}

/* PATH is taken by something that is neither a file nor a folder. */
static bool is_special(const char *path)
{
    struct stat stat_of;

    return !stat(path, &stat_of) && !S_ISREG(stat_of.st_mode) &&
           !S_ISDIR(stat_of.st_mode);
}

static const char *output_path(const struct output *o)
{
    return o->part[0] ? o->part : o->final;
}

/* ---------------------------------------------------------------- parts -- */

/* NAME.part-PID, and a number more. */
bool output_is_part(const char *name)
{
    const char *at = NULL, *found = name;

    while ((found = strstr(found, PART)) != NULL) at = found += strlen(PART);
    return at && *at && !at[strspn(at, "0123456789-")];
}

static const int enders[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
static char doomed[sizeof(((struct output *)0)->part)];   /* "": nothing */

static void end_without(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    unlink(doomed);
    sigaction(number, &action, NULL);
    raise(number);
}

/* U3.  HANDLER instead of OTHER, which somebody may have replaced. */
static void exchange(void (*other)(int), void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler}, old;

    for (size_t i = 0; i < sizeof(enders) / sizeof(*enders); i++)
        if (!sigaction(enders[i], NULL, &old) && old.sa_handler == other)
            sigaction(enders[i], &action, NULL);
}

/* A process of the same number may have died suddenly: another name, then. */
static FILE *part_open(struct output *o)
{
    FILE *file = NULL;

    for (unsigned n = 0; !file && n < PARTS_MAX; n++) {
        snprintf(o->part, sizeof(o->part), "%s" PART "%ld-%u", o->final,
                 (long)getpid(), n);
        file = fopen(o->part, "wbxe");
        if (!file && errno != EEXIST) break;
    }
    if (!file) return NULL;
    memcpy(doomed, o->part, sizeof(doomed));
    exchange(SIG_DFL, end_without);
    return file;
}

static void part_end(void)
{
    exchange(end_without, SIG_DFL);
    doomed[0] = 0;
}

int output_open(struct output *o, const char *path, const char *name)
{
    struct stat link;
    char *real = NULL;

    o->stream = stdout;
    if (!path || !strcmp(path, "-")) return 0;
    if (!lstat(path, &link) && S_ISLNK(link.st_mode))
        real = realpath(path, NULL);
    int n = snprintf(o->final, sizeof(o->final), "%s%s", real ? real : path,
                     name);
    free(real);
    if (n >= (int)sizeof(o->final)) {
        errno = ENAMETOOLONG;
        return say_system("cannot create", path);
    }
    o->stream = is_special(o->final) ? fopen(o->final, "wbe") : part_open(o);
    return o->stream ? 0 : say_system("cannot create", output_path(o));
}

int output_write(const struct output *o, const void *data, size_t size)
{
    errno = 0;
    if (fwrite(data, 1, size, o->stream) == size) return 0;
    return luge_fail(code_of_system(errno), __FILE__, __LINE__,
                     "cannot write %s: %s",
                     o->stream == stdout ? "standard output" : output_path(o),
                     strerror(errno));
}

/* The other end of a pipe may be gone, which else the next write would tell. */
bool output_is_read(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return !fflush(stdout) &&
           (poll(&out, 1, 0) < 1 || !(out.revents & (POLLERR | POLLHUP)));
}

/* The name of a file lasts when its directory is synced. */
static void sync_directory(const char *path)
{
    char copy[sizeof(((struct output *)0)->final)];
    char *slash;

    snprintf(copy, sizeof(copy), "%s", path);
    slash = strrchr(copy, '/');
    if (slash) *slash = 0;
    int fd = open(!slash ? "." : slash == copy ? "/" : copy,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

int output_close(struct output *o, int code)
{
    if (o->stream == stdout) return print_end(code);
    bool good = !fflush(o->stream) &&
                (!o->part[0] || !fsync(fileno(o->stream)));
    if (!good && !code) code = say_system("cannot write", output_path(o));
    if (fclose(o->stream) && !code)
        code = say_system("cannot close", output_path(o));
    if (!o->part[0]) return code;
    if (!code && rename(o->part, o->final))
        code = say_system("cannot make", o->final);
    if (code) remove(o->part);
    else sync_directory(o->final);
    part_end();
    return code;
}
