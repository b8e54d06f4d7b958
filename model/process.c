/* model/process.c -- processes by boot, namespace, number and start.
 * A number alone would be taken again by another process; with the time of its
 * start (in ticks since boot) it is not.  Linux says all of it in /proc. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a small file of /proc, with a final zero. */
static bool read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size;

    if (fd < 0) return false;
    size = read(fd, text, room - 1);
    close(fd);
    if (size <= 0) return false;
    text[size] = 0;
    return true;
}

/* Boot and namespace: those with the same see each other's numbers. */
static bool read_home(char *text, size_t room)
{
    char boot[64], space[64];
    ssize_t size = readlink("/proc/self/ns/pid", space, sizeof(space) - 1);

    if (size <= 0) return false;
    space[size] = 0;
    if (!read_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)))
        return false;
    boot[strcspn(boot, "\n")] = 0;
    return snprintf(text, room, "%s %s", boot, space) < (int)room;
}

/* The 22nd word of its stat; the second is a name in parentheses, which may
 * hold anything.  1 if it is known, with 0 for one that has ended. */
static bool read_start(long number, unsigned long long *start)
{
    char path[48], text[1024], *word;

    snprintf(path, sizeof(path), "/proc/%ld/stat", number);
    if (!read_text(path, text, sizeof(text))) return false;
    word = strrchr(text, ')');
    if (!word || word[1] != ' ') return false;
    word += 2;
    *start = 0;
    if (*word == 'Z' || *word == 'X') return true;
    for (int n = 3; n < 22; n++) {
        word = strchr(word, ' ');
        if (!word) return false;
        word++;
    }
    *start = strtoull(word, NULL, 10);
    return true;
}

void process_self(char text[PROCESS_TEXT_MAX])
{
    char home[PROCESS_TEXT_MAX - 48];
    long number = (long)getpid();
    unsigned long long start;

    text[0] = 0;
    if (read_start(number, &start) && read_home(home, sizeof(home)))
        snprintf(text, PROCESS_TEXT_MAX, "%s %ld %llu", home, number, start);
}

bool process_is_gone(const char *text, size_t size)
{
    char home[PROCESS_TEXT_MAX - 48], its[PROCESS_TEXT_MAX];
    unsigned long long start, now;
    size_t shared, boot;
    long number;

    if (!size || size >= sizeof(its) || !read_home(home, sizeof(home)))
        return false;
    memcpy(its, text, size);
    its[size] = 0;
    boot = strcspn(home, " ");
    if (strcspn(its, " ") != boot || memcmp(its, home, boot)) return true;
    shared = strlen(home);
    if (strncmp(its, home, shared)) return false;
    if (sscanf(its + shared, " %ld %llu", &number, &start) != 2) return false;
    /* Its stat may be hidden from us, or we may be out of descriptors; that
     * there is no such number is certain. */
    if (kill((pid_t)number, 0) && errno == ESRCH) return true;
    return read_start(number, &now) && now != start;
}
