/* cli/backup.c -- the verbs backup, restore and salvage.
 *
 *   B1  In a folder a backup gets a name of its own, which tells its
 *       transaction and a part of its id.
 *   B2  A row of backups is found by ids: whoever goes on from another names
 *       it, and both lie in one directory.
 * Not here: what is in a backup (luge_backup.h).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "luge_backup.h"

enum { PATH_BYTES = 4096, ROW_MAX = 1024 };

/* --------------------------------------------------------------- files -- */

struct file {
    FILE *stream;               /* that is read */
    struct output output;       /* or written */
    struct progress progress;
};

static int write_file(void *context, const void *data, size_t size)
{
    const struct file *f = context;

    return output_write(&f->output, data, size);
}

static int read_file(void *context, void *to, size_t size, size_t *got)
{
    struct file *f = context;

    *got = fread(to, 1, size, f->stream);
    if (*got || !ferror(f->stream)) return 0;
    return luge_fail(code_of_system(errno), __FILE__, __LINE__,
                     "cannot read the backup: %s", strerror(errno));
}

static int tell(void *context, const struct luge_backup_progress *p)
{
    struct file *f = context;
    time_t now = time(NULL);

    if (!f->progress.told) f->progress.told = now;
    if (now == f->progress.told) return 0;
    f->progress.told = now;
    fprintf(stderr, "luge: %s: %" PRIu64 " of %" PRIu64 " pages, %" PRIu64
            " transactions, %" PRIu64 " MiB\n", f->progress.what, p->pages,
            p->pages_total, p->records, p->bytes >> 20);
    return 0;
}

static struct luge_backup_stream stream_of(struct file *f)
{
    return (struct luge_backup_stream){f, write_file, read_file, tell};
}

/* What backup is in the file?  Quiet: the caller knows what to say. */
static int look(const char *path, struct luge_backup_info *info)
{
    struct file f = {.stream = fopen(path, "rbe")};
    struct luge_backup_stream stream = stream_of(&f);

    if (!f.stream)
        return luge_fail(code_of_system(errno), __FILE__, __LINE__,
                         "cannot read %s: %s", path, strerror(errno));
    int rc = luge_backup_look(&stream, info);
    fclose(f.stream);
    return rc;
}

/* ----------------------------------------------------------------- row -- */

/* The backups of a directory; those of a row in its order. */
struct row {
    size_t count;
    struct row_file {
        char path[PATH_BYTES];
        struct luge_backup_info info;
    } *files;
};

static int row_add(struct row *row, const char *directory, const char *name)
{
    struct row_file *f = &row->files[row->count];

    if (snprintf(f->path, sizeof(f->path), "%s/%s", directory, name) >=
        (int)sizeof(f->path))
        return 0;
    if (output_is_part(name)) return 0;
    /* To open a pipe that lies there would wait for its other end. */
    if (!is_file(f->path) || look(f->path, &f->info)) return 0;
    if (++row->count < ROW_MAX) return 0;
    fprintf(stderr, "luge: LIMIT: %s holds more than %d backups\n", directory,
            ROW_MAX - 1);
    return EXIT_ERROR;
}

/* Every backup in DIRECTORY. */
static int row_read(struct row *row, const char *directory)
{
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    int code = 0;

    row->files = malloc(ROW_MAX * sizeof(*row->files));
    if (!listing || !row->files) {
        if (listing) closedir(listing);
        return say_system("cannot list", directory);
    }
    while (!code && (entry = readdir(listing)) != NULL)
        code = row_add(row, directory, entry->d_name);
    closedir(listing);
    return code;
}

static const struct row_file *row_find(const struct row *row,
                                       const uint8_t id[16])
{
    for (size_t i = 0; i < row->count; i++)
        if (!memcmp(row->files[i].info.id, id, 16)) return &row->files[i];
    return NULL;
}

/* The newest that is not beyond SEQ and TIME (0: any). */
static const struct row_file *row_newest(const struct row *row, uint64_t seq,
                                         uint64_t time_ns)
{
    const struct row_file *best = NULL;
    for (size_t i = 0; i < row->count; i++) {
        const struct luge_backup_info *info = &row->files[i].info;
        if ((seq && info->seq > seq) || (time_ns && info->time_ns > time_ns))
            continue;
        if (!best || info->seq > best->info.seq) best = &row->files[i];
    }
    return best;
}

/* The oldest of LIKE's database whose log holds SEQ, or TIME, if the backup it
 * goes on from does not lie behind that. */
static const struct row_file *row_holding(const struct row *row,
                                          const struct luge_backup_info *like,
                                          uint64_t seq, uint64_t time_ns)
{
    const struct row_file *best = NULL;
    for (size_t i = 0; i < row->count; i++) {
        const struct luge_backup_info *info = &row->files[i].info;
        const struct row_file *base = row_find(row, info->base);
        if (memcmp(info->database, like->database, 16) != 0) continue;
        if (!info->has_log || !base || info->seq < seq ||
            info->time_ns < time_ns || (seq && base->info.seq > seq) ||
            (time_ns && base->info.time_ns > time_ns))
            continue;
        if (!best || info->seq < best->info.seq) best = &row->files[i];
    }
    return best;
}

/* The one that goes on from F with its log: it may lead to what is wanted. */
static const struct row_file *row_next(const struct row *row,
                                       const struct row_file *f)
{
    for (size_t i = 0; i < row->count; i++)
        if (row->files[i].info.has_log &&
            !memcmp(row->files[i].info.base, f->info.id, 16))
            return &row->files[i];
    return NULL;
}

/* From the full backup to F, and what follows F with its log. */
static int row_chain(const struct row *row, const struct row_file *f,
                     const struct row_file **chain, size_t *count)
{
    static const uint8_t none[16];
    const struct row_file *at = f;

    *count = 0;
    for (; at && *count < ROW_MAX; at = row_find(row, at->info.base)) {
        chain[(*count)++] = at;
        if (!memcmp(at->info.base, none, 16)) break;
    }
    if (!at) {
        fprintf(stderr, "luge: NOTFOUND: the backup that %s goes on from, of "
                "transaction %" PRIu64 ", is not beside it\n",
                chain[*count - 1]->path, chain[*count - 1]->info.base_seq);
        return EXIT_ERROR;
    }
    /* The last one came first.  Their numbers do not tell: nothing need have
     * been committed between two. */
    for (size_t i = 0; i < *count / 2; i++) {
        at = chain[i];
        chain[i] = chain[*count - 1 - i];
        chain[*count - 1 - i] = at;
    }
    for (at = row_next(row, f); at && *count < ROW_MAX;
         at = row_next(row, at))
        chain[(*count)++] = at;
    return 0;
}

/* -------------------------------------------------------------- backup -- */

/* The backup that --since names: a file, or the newest in a directory. */
static int find_base(const struct call *c, const char *path,
                     struct luge_backup_info *base)
{
    struct row row = {0};
    int rc, code = 0;

    if (!is_directory(path)) {
        rc = look(path, base);
        return rc ? say_error(rc) : 0;
    }
    code = row_read(&row, path);
    const struct row_file *newest = code ? NULL : row_newest(&row, 0, 0);
    if (newest) *base = newest->info;
    else if (!code) code = say_usage(c->verb, "%s holds no backup", path);
    free(row.files);
    return code;
}

/* A backup in DIRECTORY gets a name of its own. */
static void name_in(struct output *o, const char *directory,
                    const struct luge_backup_info *made)
{
    static const uint8_t none[16];
    bool full = !memcmp(made->base, none, 16);

    snprintf(o->final, sizeof(o->final),
             "%.4000s/%020" PRIu64 "-%02x%02x%02x%02x.%s", directory,
             made->seq, made->id[0], made->id[1], made->id[2], made->id[3],
             full ? "full" : "since");
}

static void hex_of(const uint8_t id[16], char hex[33])
{
    for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", id[i]);
}

static void tell_made(const struct call *c, const struct output *o,
                      const struct luge_backup_info *made, bool full)
{
    char id[33];
    bool out = o->stream == stdout;

    hex_of(made->id, id);
    if (call_has(c, OPTION_JSON) && !out)
        print_json(json_pack("{s:o, s:s, s:o, s:o, s:o, s:b}", "file",
                             json_of_bytes(luge_str(o->final)), "id", id, "seq",
                             json_of_count(made->seq), "since",
                             json_of_count(made->base_seq), "pages",
                             json_of_count(made->pages), "full", (int)full));
    else
        fprintf(stderr, "luge: backup: transaction %" PRIu64 ", %" PRIu64
                " pages%s%s\n", made->seq, made->pages, out ? "" : ", in ",
                out ? "" : o->final);
}

int verb_backup(struct call *c)
{
    const char *to = call_text(c, 1), *since = c->options[OPTION_SINCE];
    struct file f = {.progress.what = "backup"};
    struct luge_backup_info base, made = {0};
    unsigned flags = call_has(c, OPTION_WITH_LOG) ? LUGE_BACKUP_LOG : 0;
    int rc, code = 0;

    if (flags && !since)
        code = say_usage(c->verb, "--with-log wants --since");
    if (!code && !strcmp(to, "-") && isatty(STDOUT_FILENO))
        code = say_usage(c->verb, "a backup is no text; name a FILE");
    if (!code && since) code = find_base(c, since, &base);
    if (!code) code = call_open(c, LUGE_MUST_EXIST);
    bool named = !is_directory(to);
    if (!code) code = output_open(&f.output, to, named ? "" : "/backup");
    if (code) return code;
    struct luge_backup_stream stream = stream_of(&f);
    rc = luge_backup(c->db, flags, since ? &base : NULL, &stream, &made);
    if (!rc && !named) name_in(&f.output, to, &made);
    code = output_close(&f.output, rc ? say_error(rc) : EXIT_DONE);
    if (!code) tell_made(c, &f.output, &made, !since);
    return code;
}

/* ------------------------------------------------------------- restore -- */

static int restore_now(struct call *c, struct luge_restore_options *o)
{
    struct luge_restored done;
    int rc = luge_restore(call_text(c, 1), o, &done);

    if (rc) return say_error(rc);
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:o, s:o, s:o, s:o}", "seq",
                             json_of_count(done.seq), "time_ns",
                             json_of_count(done.time_ns), "pages",
                             json_of_count(done.pages), "log_records",
                             json_of_count(done.records)));
    else
        fprintf(stderr, "luge: restore: up to transaction %" PRIu64 ": %"
                PRIu64 " pages, %" PRIu64 " transactions of the log\n",
                done.seq, done.pages, done.records);
    return EXIT_DONE;
}

static int restore_pipe(struct call *c, struct luge_restore_options *o)
{
    struct file f = {.stream = stdin, .progress.what = "restore"};
    struct luge_backup_stream stream = stream_of(&f);

    o->streams = &stream;
    o->stream_count = 1;
    return restore_now(c, o);
}

static int restore_chain(struct call *c, struct luge_restore_options *o,
                         const struct row_file **chain, size_t count)
{
    struct file *files = calloc(count, sizeof(*files));
    struct luge_backup_stream *streams = calloc(count, sizeof(*streams));
    int code = files && streams ? 0 : say_error(LUGE_NOMEM);

    for (size_t i = 0; i < count && !code; i++) {
        files[i] = (struct file){.stream = fopen(chain[i]->path, "rbe"),
                                 .progress.what = "restore"};
        if (!files[i].stream) code = say_system("cannot read", chain[i]->path);
        streams[i] = stream_of(&files[i]);
    }
    o->streams = streams;
    o->stream_count = count;
    if (!code) code = restore_now(c, o);
    for (size_t i = 0; files && i < count; i++)
        if (files[i].stream) fclose(files[i].stream);
    free(files);
    free(streams);
    return code;
}

/* The directory that a file lies in. */
static void directory_of(const char *path, char *directory)
{
    char *slash;

    snprintf(directory, PATH_BYTES, "%s", path);
    slash = strrchr(directory, '/');
    if (slash) *(slash == directory ? slash + 1 : slash) = 0;
    else snprintf(directory, PATH_BYTES, ".");
}

/* Does a row that ends with the backup hold what is wished for? */
static bool reaches(const struct luge_backup_info *last,
                    const struct luge_restore_options *o)
{
    return (o->seq == UINT64_MAX || last->seq >= o->seq) &&
           last->time_ns >= o->time_ns;
}

static int restore_row(struct call *c, struct luge_restore_options *o,
                       const char *from)
{
    static const struct row_file *chain[ROW_MAX];
    char directory[PATH_BYTES];
    struct row_file named;      /* there may be copies of it beside it */
    const struct row_file *last = NULL;
    struct row row = {0};
    size_t count = 0;
    bool file = !is_directory(from);
    int rc = file ? look(from, &named.info) : 0;

    if (rc) return say_error(rc);
    snprintf(named.path, sizeof(named.path), "%s", from);
    if (file) directory_of(from, directory);
    else snprintf(directory, sizeof(directory), "%s", from);
    int code = row_read(&row, directory);
    if (!code)
        last = file ? &named : row_newest(&row, o->seq, o->time_ns);
    if (!code && !last) {
        fprintf(stderr, "luge: NOTFOUND: %s holds no backup%s\n", directory,
                o->seq || o->time_ns ? " that is old enough" : "");
        code = EXIT_ERROR;
    }
    if (!code) code = row_chain(&row, last, chain, &count);
    if (!code && !file && !reaches(&chain[count - 1]->info, o)) {
        const struct row_file *other = row_holding(&row, &last->info, o->seq,
                                                   o->time_ns);
        if (other) code = row_chain(&row, other, chain, &count);
    }
    /* Without a wish it ends with the backup that was named. */
    if (!code && !o->seq && !o->time_ns)
        while (chain[count - 1] != last) count--;
    if (!code) code = restore_chain(c, o, chain, count);
    free(row.files);
    return code;
}

int verb_restore(struct call *c)
{
    struct luge_restore_options o = {.log = c->options[OPTION_LOG]};
    const char *from = call_text(c, 0);
    int code = call_at(c, &o.seq, &o.time_ns);

    if (code) return code;
    return strcmp(from, "-") ? restore_row(c, &o, from) : restore_pipe(c, &o);
}

/* ------------------------------------------------------------- salvage -- */

static void say_lost(void *context, const char *sentence)
{
    const struct call *c = context;

    if (call_has(c, OPTION_JSON)) {
        print_json(json_pack("{s:o}", "lost",
                             json_of_bytes(luge_str(sentence))));
        return;
    }
    print_bytes(luge_str(sentence));
    putchar('\n');
}

static json_t *salvaged_json(const struct luge_salvaged *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}",
                     "trees", json_of_count(s->trees), "records",
                     json_of_count(s->records), "lost_pages",
                     json_of_count(s->lost_pages), "lost_records",
                     json_of_count(s->lost_records), "lost_values",
                     json_of_count(s->lost_values), "older",
                     json_of_count(s->older), "nameless",
                     json_of_count(s->nameless), "transactions",
                     json_of_count(s->transactions), "log_damaged",
                     s->log_damaged);
}

int verb_salvage(struct call *c)
{
    struct luge_salvaged s = {0};
    int rc = luge_salvage(call_text(c, 0), call_text(c, 1), say_lost, c, NULL,
                          &s);

    if (rc) return say_error(rc);
    if (call_has(c, OPTION_JSON))
        print_json(salvaged_json(&s));
    else
        printf("%" PRIu64 " trees, %" PRIu64 " records, %" PRIu64
               " transactions of the log\n", s.trees, s.records + s.nameless,
               s.transactions);
    return s.lost_pages || s.lost_records || s.lost_values || s.nameless ||
                   s.older || s.log_damaged ? EXIT_NO : EXIT_DONE;
}
