/* bench/machine.c -- one sentence about where the figures come from.
 * What the system does not tell is left out.
 * Not here: the load while measuring (meter.c). */
#define _GNU_SOURCE
#include "machine.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { LINE_SIZE = 256 };

static const struct { unsigned long magic; const char *name; } systems[] = {
    {0xef53, "ext4"}, {0x58465342, "xfs"}, {0x9123683e, "btrfs"},
    {0x2fc12fc1, "zfs"}, {0xf2f52010, "f2fs"}, {0x794c7630, "overlay"},
    {0x01021994, "tmpfs"},
};

static const char *file_system(const char *dir)
{
    struct statfs fs;

    if (statfs(dir, &fs)) return "unknown";
    for (size_t i = 0; i < ARRAY_COUNT(systems); i++)
        if ((unsigned long)fs.f_type == systems[i].magic)
            return systems[i].name;
    return "another file system";
}

bool machine_is_memory(const char *dir)
{
    return !strcmp(file_system(dir), "tmpfs");
}

/* The processor's name, or "processor". */
static void processor(char *name)
{
    char line[LINE_SIZE];
    const char *colon;
    FILE *f = fopen("/proc/cpuinfo", "re");

    snprintf(name, LINE_SIZE, "processor");
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, LINE_SIZE, "%s", colon + 2);
        break;
    }
    fclose(f);
}

/* "write back" or "write through", or an empty text. */
static void write_cache(const char *dir, char *text)
{
    char path[LINE_SIZE];
    struct stat st;
    FILE *f;

    text[0] = '\0';
    if (stat(dir, &st)) return;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/queue/write_cache",
             major(st.st_dev), minor(st.st_dev));
    f = fopen(path, "re");
    if (!f) return;
    if (!fgets(text, LINE_SIZE, f)) text[0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    fclose(f);
}

void machine_text(const char *dir, char *text)
{
    char name[LINE_SIZE], cache[LINE_SIZE];
    struct utsname system;
    double memory = (double)sysconf(_SC_PHYS_PAGES) *
                    (double)sysconf(_SC_PAGESIZE);

    processor(name);
    write_cache(dir, cache);
    if (uname(&system)) snprintf(system.release, sizeof system.release, "?");
    snprintf(text, MACHINE_TEXT_SIZE,
             "%.120s, %ld processors, %.1f GiB, %.16s %.60s, %s%s%.40s", name,
             sysconf(_SC_NPROCESSORS_ONLN), memory / MIB / 1024,
             system.sysname, system.release, file_system(dir),
             cache[0] ? ", device cache " : "", cache);
}
