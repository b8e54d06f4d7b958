/* bench/engines.c -- the list of engines, luge first.
 *
 * Holds: a peer whose library was not there when the bench was built leaves
 * its weak symbol undefined, so its place in the list is NULL.
 * Not here: anything about one engine (engine_NAME.c). */
#define _GNU_SOURCE
#include "engine.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define ENGINES(X)                                                            \
    X(luge) X(lmdb) X(lmdb_writemap) X(rocksdb) X(leveldb) X(wiredtiger)      \
    X(sqlite) X(device)

#define X(name) extern const struct engine engine_##name __attribute__((weak));
ENGINES(X)
#undef X

const struct engine *const engines_all[] = {
#define X(name) &engine_##name,
    ENGINES(X)
#undef X
};
const size_t engines_count = ARRAY_COUNT(engines_all);

const struct engine *engine_called(const char *name)
{
    for (size_t i = 0; i < engines_count; i++)
        if (engines_all[i] && !strcmp(engines_all[i]->name, name))
            return engines_all[i];
    return NULL;
}

const char *engine_rank_text(enum engine_rank rank)
{
    static const char *const texts[] = {
#define X(name, text) text,
        ENGINE_RANKS(X)
#undef X
    };
    return texts[rank];
}

void engine_library(const void *symbol, char *text, size_t size)
{
    Dl_info info;
    char *path = NULL, *name;

    if (dladdr(symbol, &info) && info.dli_fname)
        path = realpath(info.dli_fname, NULL);
    name = path ? strrchr(path, '/') : NULL;
    snprintf(text, size, "%s", name ? name + 1 : "unknown");
    free(path);
}
