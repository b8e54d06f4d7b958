/* os/linux_notify.c -- a file that rings: a descriptor that becomes readable
 * when any process writes to the file, for poll, epoll and event loops.
 *
 * inotify reports write calls of every process on this machine, merges equal
 * events that were not read yet, and costs the writer 0.2 us.
 * Not here: who writes, and when (txn/bell.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/linux.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

int os_notify_open(const char *path, int *descriptor)
{
    int fd = linux_high_descriptor(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (fd < 0 && (errno == EMFILE || errno == ENFILE))
        return fail_errno(LUGE_LIMIT, errno, "the system allows no further "
                          "inotify instance (fs.inotify.max_user_instances) "
                          "or open file");
    if (fd < 0) return fail_errno(base_code_of(errno), errno, "inotify_init1");
    if (inotify_add_watch(fd, path, IN_MODIFY) < 0) {
        int err = errno;
        close(fd);
        return fail_errno(base_code_of(err), err, "inotify_add_watch of %s",
                          path);
    }
    *descriptor = fd;
    return 0;
}

void os_notify_drain(int descriptor)
{
    char events[4096];
    while (read(descriptor, events, sizeof events) > 0) {
    }
}

void os_notify_close(int descriptor)
{
    close(descriptor);
}
