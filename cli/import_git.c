/* cli/import_git.c -- a git history as a conversation.
 *
 * git itself reads the repository (git log, git for-each-ref); whatever its
 * version stores, it prints.
 *   commit    node: label is its hash, payload its message, time its author's,
 *             first parent and further ones what they are; tags in the
 *             description
 *   author    "name <address>"
 *   branch    from its tip along first parents, as far as no other has them:
 *             HEAD's comes first, or else main, master or trunk, then the
 *             others by name.  Commits that are left then were merged: a branch
 *             for each such line, Merged, that begins with "line-" and the hash
 *             of its last commit
 * Not here: the content of files.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "convo.h"

extern char **environ;

enum { NONE = UINT32_MAX };

struct commit {
    const char *hash, *parents, *author, *message;
    uint64_t time_ns;
    uint32_t branch;            /* index of a ref; NONE */
    uint32_t heir;              /* the merge by which it was taken; NONE */
    uint64_t node;
    char *tags;                 /* ours */
};

struct ref {
    const char *name, *description;
    uint32_t tip, merge;        /* commits; merge: where it was merged; NONE */
    uint64_t branch;
    char *made;                 /* ours, if the name is invented */
};

struct history {
    struct import *import;
    char *log, *list, *head;    /* what git printed */
    size_t log_size;
    struct commit *commits;     /* parents before children */
    uint32_t count;
    uint32_t *sorted;           /* by hash */
    struct ref *refs;
    uint32_t ref_count, ref_room;
};

/* ----------------------------------------------------------------- git -- */

static int git_read(struct import *import, int fd, char **text, size_t *size)
{
    size_t room = 1 << 16, used = 0;
    char *all = malloc(room);

    for (;;) {
        if (all && used + 1 == room) {
            char *larger = realloc(all, room *= 2);
            if (!larger) free(all);
            all = larger;
        }
        if (!all) return LUGE_NOMEM;
        ssize_t n = read(fd, all + used, room - used - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            free(all);
            return import_fail(import, LUGE_IO, "git: %s", strerror(errno));
        }
        if (!n) break;
        used += (size_t)n;
    }
    all[used] = 0;
    *text = all;
    if (size) *size = used;
    return 0;
}

/* The repository is the one that was named, also where git itself runs this
 * command and its variables name another one: in a hook. */
static void git_alone(void)
{
    static const char *const names[] = {
        "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE", "GIT_PREFIX"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

/* What `git -C REPO WORDS...` prints, whatever its user has configured; a final
 * zero is added. */
static int git_run(struct import *import, const char *const *words,
                   char **text, size_t *size)
{
    enum { FRONT = 7 };
    const char *all[24] = {
        "git", "-c", "i18n.logOutputEncoding=UTF-8", "-c",
        "log.showSignature=false", "-C", import->file};
    posix_spawn_file_actions_t actions;
    int ends[2], status, rc = 0;
    pid_t child;

    for (int i = 0; (all[FRONT + i] = words[i]); i++) continue;
    if (pipe(ends)) return import_fail(import, LUGE_IO, "%s", strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    int failed = posix_spawnp(&child, "git", &actions, NULL,
                              (char *const *)(uintptr_t)all, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed)
        rc = import_fail(import, LUGE_IO, "git: %s", strerror(failed));
    else
        rc = git_read(import, ends[0], text, size);
    close(ends[0]);
    if (failed) return rc;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (rc || (WIFEXITED(status) && !WEXITSTATUS(status))) return rc;
    free(*text);
    *text = NULL;
    return import_fail(import, LUGE_IO, "git %s failed on %s", words[0],
                       import->file);
}

/* ------------------------------------------------------------- commits -- */

/* The line at *at, ended; *at goes behind it.  NULL if there is none. */
static char *line_take(char **at)
{
    char *line = *at, *end = line ? strchr(line, '\n') : NULL;

    if (!end) return NULL;
    *end = 0;
    *at = end + 1;
    return line;
}

static int by_hash(const void *left, const void *right, void *context)
{
    const struct history *h = context;
    const uint32_t *a = left, *b = right;

    return strcmp(h->commits[*a].hash, h->commits[*b].hash);
}

static uint32_t commit_find(const struct history *h, const char *hash)
{
    size_t size = strcspn(hash, " \n");
    uint32_t low = 0, high = h->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *there = h->commits[h->sorted[middle]].hash;
        int order = strncmp(there, hash, size);
        if (!order) return h->sorted[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NONE;
}

static uint32_t parent_of(const struct history *h, const struct commit *c)
{
    return *c->parents ? commit_find(h, c->parents) : NONE;
}

/* One commit is four lines and a message, up to a zero. */
static int commit_read(struct history *h, char *text, struct commit *c)
{
    char *at = text;

    c->hash = line_take(&at);
    c->parents = line_take(&at);
    c->author = line_take(&at);
    const char *seconds = line_take(&at);
    if (!seconds)
        return import_fail(h->import, LUGE_CORRUPT,
                           "git log gave a commit without a head: %.60s", text);
    c->message = at;
    long long time = strtoll(seconds, NULL, 10);
    c->time_ns = time > 0 ? (uint64_t)time * 1000000000 : 1;
    c->branch = c->heir = NONE;
    return 0;
}

static int commits_read(struct history *h)
{
    static const char *const words[] = {
        "log", "--all", "--topo-order", "--reverse", "-z",
        "--format=tformat:%H%n%P%n%an <%ae>%n%at%n%B", "--", NULL};
    size_t room = 0;
    int rc = git_run(h->import, words, &h->log, &h->log_size);

    for (char *at = h->log, *end = at + h->log_size; !rc && at < end;
         at += strlen(at) + 1) {
        if (h->count == room) {
            room = room ? 2 * room : 1024;
            void *larger = NULL;
            if (room <= NONE / 2)
                larger = realloc(h->commits, room * sizeof(*h->commits));
            if (!larger) return LUGE_NOMEM;
            h->commits = larger;
        }
        h->commits[h->count] = (struct commit){0};
        /* A message goes on to the zero; the lines before it are cut. */
        char *next = at + strlen(at);
        rc = commit_read(h, at, &h->commits[h->count++]);
        at = next;
    }
    if (rc) return rc;
    if (!h->count)
        return import_fail(h->import, LUGE_NOTFOUND, "%s has no commits",
                           h->import->file);
    h->sorted = malloc(h->count * sizeof(uint32_t));
    if (!h->sorted) return LUGE_NOMEM;
    for (uint32_t i = 0; i < h->count; i++) h->sorted[i] = i;
    qsort_r(h->sorted, h->count, sizeof(uint32_t), by_hash, h);
    return 0;
}

/* ---------------------------------------------------------------- refs -- */

static struct ref *ref_new(struct history *h)
{
    if (h->ref_count == h->ref_room) {
        uint32_t room = h->ref_room ? 2 * h->ref_room : 64;
        void *larger = realloc(h->refs, room * sizeof(*h->refs));
        if (!larger) return NULL;
        h->refs = larger;
        h->ref_room = room;
    }
    struct ref *ref = &h->refs[h->ref_count++];
    *ref = (struct ref){.tip = NONE, .merge = NONE, .description = ""};
    return ref;
}

static int tag_add(struct commit *c, const char *name)
{
    size_t had = c->tags ? strlen(c->tags) : 0, size = strlen(name);
    char *larger = realloc(c->tags, had + size + 3);

    if (!larger) return LUGE_NOMEM;
    memcpy(larger + had, ", ", had ? 2 : 0);
    memcpy(larger + had + (had ? 2 : 0), name, size + 1);
    c->tags = larger;
    return 0;
}

/* "HASH PEELED REFNAME SYMREF": a tag's commit is what it was peeled to.  What
 * names another ref, like a clone's remotes/origin/HEAD, is no branch. */
static int ref_read(struct history *h, char *line)
{
    static const char tags[] = "refs/tags/", heads[] = "refs/heads/",
                      remotes[] = "refs/remotes/";
    char *peeled = strchr(line, ' ');
    char *name = peeled ? strchr(peeled + 1, ' ') : NULL;
    char *symref = name ? strchr(name + 1, ' ') : NULL;

    if (!symref)
        return import_fail(h->import, LUGE_CORRUPT,
                           "git for-each-ref gave '%.100s'", line);
    *name++ = *symref++ = 0;
    if (*symref) return 0;
    uint32_t tip = commit_find(h, peeled[1] ? peeled + 1 : line);
    if (tip == NONE) return 0;          /* a tag of something else */
    if (!strncmp(name, tags, sizeof(tags) - 1))
        return tag_add(&h->commits[tip], name + sizeof(tags) - 1);
    struct ref *ref = ref_new(h);
    if (!ref) return LUGE_NOMEM;
    ref->tip = tip;
    ref->description = name;
    ref->name = name;
    if (!strncmp(name, heads, sizeof(heads) - 1))
        ref->name = name + sizeof(heads) - 1;
    if (!strncmp(name, remotes, sizeof(remotes) - 1))
        ref->name = name + sizeof("refs/") - 1;
    return 0;
}

/* The ref of this whole name becomes the first one.  Whether there is one. */
static bool ref_lead(struct history *h, const char *name)
{
    for (uint32_t i = 0; i < h->ref_count; i++) {
        struct ref ref = h->refs[i];
        if (strcmp(ref.description, name) != 0) continue;
        memmove(h->refs + 1, h->refs, i * sizeof(ref));
        h->refs[0] = ref;
        return true;
    }
    return false;
}

static int refs_read(struct history *h)
{
    static const char *const which[] = {"symbolic-ref", "-q", "HEAD", NULL};
    static const char *const words[] = {
        "for-each-ref", "--sort=refname",
        "--format=%(objectname) %(*objectname) %(refname) %(symref)", NULL};
    int rc = git_run(h->import, which, &h->head, NULL);

    if (rc && rc != LUGE_IO) return rc; /* a HEAD that is no branch is none */
    h->import->trouble[0] = 0;
    if (!rc) h->head[strcspn(h->head, "\n")] = 0;
    rc = git_run(h->import, words, &h->list, NULL);
    char *at = h->list, *line;
    while (!rc && (line = line_take(&at))) rc = ref_read(h, line);
    if (rc || (h->head && ref_lead(h, h->head))) return rc;
    /* HEAD names no branch that is there, as in a mirror. */
    if (!ref_lead(h, "refs/heads/main") && !ref_lead(h, "refs/heads/master"))
        ref_lead(h, "refs/heads/trunk");
    return 0;
}

/* ------------------------------------------------------------- branches -- */

/* From TIP along first parents, all that nobody has. */
static void ref_claim(struct history *h, uint32_t ref)
{
    for (uint32_t at = h->refs[ref].tip; at != NONE;
         at = parent_of(h, &h->commits[at])) {
        if (h->commits[at].branch != NONE) return;
        h->commits[at].branch = ref;
    }
}

static int line_claim(struct history *h, uint32_t tip)
{
    struct ref *ref = ref_new(h);
    size_t size = strcspn(h->commits[tip].hash, "\n");

    if (!ref) return LUGE_NOMEM;
    ref->tip = tip;
    ref->merge = h->commits[tip].heir;
    if (ref->merge != NONE) ref->description = h->commits[ref->merge].message;
    ref->made = malloc(size + 8);
    if (!ref->made) return LUGE_NOMEM;
    snprintf(ref->made, size + 8, "line-%.12s", h->commits[tip].hash);
    ref->name = ref->made;
    ref_claim(h, h->ref_count - 1);
    return 0;
}

/* Children come before parents here, so the first commit without a branch is
 * the last one of its line; the commits that merged it are known by then. */
static int branches_claim(struct history *h)
{
    int rc = 0;

    for (uint32_t i = 0; i < h->ref_count; i++) ref_claim(h, i);
    for (uint32_t i = h->count; !rc && i-- > 0;) {
        struct commit *c = &h->commits[i];
        if (c->branch == NONE) rc = line_claim(h, i);
        const char *parent = strchr(c->parents, ' ');
        for (; parent; parent = strchr(parent + 1, ' ')) {
            uint32_t at = commit_find(h, parent + 1);
            if (at != NONE) h->commits[at].heir = i;
        }
    }
    return rc;
}

/* ---------------------------------------------------------------- saying -- */

/* The first line of TEXT. */
static luge_bytes subject(const char *text)
{
    return luge_bytes_of(text, strcspn(text, "\n"));
}

static int branch_make(struct history *h, uint32_t at)
{
    struct ref *ref = &h->refs[at];
    struct luge_branch fork = {.reason = LUGE_REASON_ALTERNATIVE};
    uint32_t first = ref->tip, base;
    uint64_t from = 0;

    /* The base is where the claim ended: first parents up to another's. */
    for (base = first; base != NONE && h->commits[base].branch == at;
         base = parent_of(h, &h->commits[base]))
        continue;
    if (base != NONE) from = h->commits[base].node;
    char *name = import_utf8(luge_str(ref->name));
    uint64_t taken;
    if (name && !luge_branch_named(h->import->txn, &h->import->convo,
                                   luge_str(name), &taken)) {
        free(name);             /* heads/a/b and remotes/a/b */
        name = import_utf8(luge_str(ref->description));
    }
    char *text = import_utf8(subject(ref->description));
    int rc = name && text ? 0 : LUGE_NOMEM;
    if (!rc) {
        fork.name = luge_str(name);
        fork.description = luge_str(text);
        rc = luge_branch_fork(h->import->txn, &h->import->convo, from, &fork,
                              &ref->branch);
    }
    free(name);
    free(text);
    h->import->branches++;
    return rc;
}

enum { PARENTS_MAX = 256 };     /* git's own merges have 66 at most */

/* All parents but the first, each once. */
static int parents_further(struct history *h, const struct commit *c,
                           uint64_t *nodes, size_t *count)
{
    const char *at = strchr(c->parents, ' ');
    uint32_t first = parent_of(h, c);

    for (*count = 0; at; at = strchr(at + 1, ' ')) {
        uint32_t parent = commit_find(h, at + 1);
        if (parent == NONE || *count == PARENTS_MAX)
            return import_fail(h->import, LUGE_CORRUPT, "commit %.40s has a "
                               "parent that git log did not give, or too many",
                               c->hash);
        bool twice = parent == first;
        for (size_t i = 0; i < *count; i++)
            if (nodes[i] == h->commits[parent].node) twice = true;
        if (!twice) nodes[(*count)++] = h->commits[parent].node;
    }
    return 0;
}

/* As much of it as a name may have, in whole characters. */
static luge_bytes name_cut(const char *name)
{
    size_t size = strlen(name);

    if (size > LUGE_CONVERSATION_NAME_SIZE_MAX)
        for (size = LUGE_CONVERSATION_NAME_SIZE_MAX;
             ((unsigned char)name[size] & 0xc0) == 0x80;)
            size--;
    return luge_bytes_of(name, size);
}

static int commit_say(struct history *h, struct commit *c)
{
    struct import *import = h->import;
    struct ref *ref = &h->refs[c->branch];
    uint64_t merged[PARENTS_MAX];
    struct luge_say say = {
        .type = luge_str("commit"), .payload = luge_str(c->message),
        .label = luge_str(c->hash), .time_ns = c->time_ns, .merged = merged};
    int rc = parents_further(h, c, merged, &say.merged_count);

    if (!rc && !ref->branch) rc = branch_make(h, c->branch);
    if (rc) return rc;
    while (say.payload.size &&
           c->message[say.payload.size - 1] == '\n')
        say.payload.size--;
    char *author = import_utf8(luge_str(c->author));
    char *tags = import_utf8(luge_str(c->tags ? c->tags : ""));
    if (author && tags) {
        say.author = name_cut(author);
        say.description = luge_str(tags);
        rc = luge_say(import->txn, &import->convo, ref->branch, &say, &c->node);
    } else {
        rc = LUGE_NOMEM;
    }
    free(author);
    free(tags);
    import->nodes++;
    return rc;
}

static int history_make(struct import *import)
{
    struct history *h = import->source;
    int rc = import_begin(import, import->path, 0);

    for (uint32_t i = 0; !rc && i < h->count; i++)
        rc = commit_say(h, &h->commits[i]);
    /* Branches that point into another one have no commit of their own. */
    for (uint32_t i = 0; !rc && i < h->ref_count; i++)
        if (!h->refs[i].branch) rc = branch_make(h, i);
    for (uint32_t i = 0; !rc && i < h->ref_count; i++) {
        struct ref *ref = &h->refs[i];
        if (ref->merge == NONE) continue;
        const struct commit *merge = &h->commits[ref->merge];
        rc = luge_branch_merged(import->txn, &import->convo, ref->branch,
                                h->refs[merge->branch].branch, merge->node);
    }
    return rc;
}

static int history_read(struct import *import)
{
    struct history *h = calloc(1, sizeof(*h));

    import->source = h;
    if (!h) return LUGE_NOMEM;
    h->import = import;
    git_alone();
    int rc = commits_read(h);
    if (!rc) rc = refs_read(h);
    return rc ? rc : branches_claim(h);
}

static void history_free(struct import *import)
{
    struct history *h = import->source;

    if (!h) return;
    for (uint32_t i = 0; i < h->count; i++) free(h->commits[i].tags);
    for (uint32_t i = 0; i < h->ref_count; i++) free(h->refs[i].made);
    free(h->commits);
    free(h->sorted);
    free(h->refs);
    free(h->log);
    free(h->list);
    free(h->head);
    free(h);
}

const struct import_kind import_git = {"git", false, history_read, history_make,
                                       history_free};
