/* cli/load.c -- the verb load: dumps of luge, JSON Lines, and what LMDB's
 * mdb_dump writes.
 *
 *   L1  The format is told by the first byte: 'l' of "lugedump", 'V' of
 *       "VERSION=3", '{' or a blank of JSON Lines; --format overrides.  What
 *       begins otherwise is not searched for the end of its first line.
 *   L2  Text formats land in batches of some MiB; a line that is malformed or
 *       that the database refuses ends the load with its number, and what came
 *       before it stays.
 *   L3  Nothing that cannot be kept is dropped in silence: two values of one
 *       key (LMDB's duplicates) are an error, and so is what follows a dump's
 *       end, or no input at all.  That an order is lost is told.
 * Not here: luge's own format (luge_dump.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "luge_dump.h"

enum { BATCH_BYTES = 8 << 20, TREES_MIN = 64 };
/* Enough for the largest value as hex digits or base64.  A stream without ends
 * of lines is told so before it has taken more. */
#define LINE_BYTES_MAX (2 * LUGE_VALUE_SIZE_MAX + (1 << 16))

struct named_tree {
    luge_tree tree;
    size_t size;
    char *name;                         /* NULL: an empty place */
};

struct loading {
    struct call *call;
    FILE *from;
    struct progress progress;
    struct luge_dump_progress done;     /* pairs: committed */
    luge_txn *txn;                      /* the batch; NULL: none */
    uint64_t pairs, batch_bytes, line_number;
    struct named_tree *trees;           /* hashed by name; half are empty */
    size_t tree_count, tree_room;       /* 2^n */
    char *line;
    size_t line_room;
};

/* ------------------------------------------------------------- batches -- */

static int land(struct loading *l)
{
    luge_txn *txn = l->txn;
    int rc = 0;

    l->txn = NULL;
    l->batch_bytes = 0;
    if (txn) rc = luge_commit(txn);
    if (!rc) l->done.pairs = l->pairs;
    return rc;
}

static int add_pair(struct loading *l, luge_tree tree, luge_bytes key,
                    luge_bytes value)
{
    int rc = 0;

    if (!l->txn)
        rc = luge_begin(l->call->db, LUGE_WRITE | LUGE_TXN_ASYNC, &l->txn);
    if (!rc) rc = luge_put(l->txn, tree, key, value);
    if (rc) return rc;
    l->pairs++;
    l->batch_bytes += key.size + value.size + 16;
    progress_tell(&l->progress, l->pairs, l->done.bytes);
    return l->batch_bytes > BATCH_BYTES ? land(l) : 0;
}

struct opening {
    luge_bytes name;
    luge_tree tree;
};

static int open_tree(luge_txn *txn, void *context)
{
    struct opening *o = context;

    return luge_tree_open(txn, o->name, LUGE_TREE_CREATE, &o->tree);
}

/* Where NAME is among the trees, or is to be put. */
static struct named_tree *tree_place(struct named_tree *trees, size_t room,
                                     luge_bytes name)
{
    const unsigned char *p = name.data;
    uint64_t hash = 14695981039346656037u;      /* FNV-1a */

    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ p[i]) * 1099511628211u;
    size_t at = hash & (room - 1);
    while (trees[at].name && (trees[at].size != name.size ||
                              memcmp(trees[at].name, name.data, name.size)))
        at = (at + 1) & (room - 1);
    return &trees[at];
}

static int no_memory(void)
{
    return luge_fail(LUGE_NOMEM, __FILE__, __LINE__, "no memory");
}

static int more_places(struct loading *l)
{
    size_t room = l->tree_room ? 2 * l->tree_room : TREES_MIN;
    struct named_tree *trees = calloc(room, sizeof(*trees));

    if (!trees) return no_memory();
    for (size_t i = 0; i < l->tree_room; i++) {
        struct named_tree *t = &l->trees[i];
        if (t->name)
            *tree_place(trees, room, luge_bytes_of(t->name, t->size)) = *t;
    }
    free(l->trees);
    l->trees = trees;
    l->tree_room = room;
    return 0;
}

/* A tree that is new here is made in a transaction of its own: the batch is
 * ended before, so that the next one sees it. */
static int make_tree(struct loading *l, luge_bytes name,
                     struct named_tree *place)
{
    struct opening o = {.name = name};
    char *copy = malloc(name.size + 1);
    int rc = copy ? land(l) : no_memory();

    if (!rc) rc = luge_transact(l->call->db, LUGE_TXN_ASYNC, open_tree, &o);
    if (rc) {
        free(copy);
        return rc;
    }
    memcpy(copy, name.data, name.size);
    *place = (struct named_tree){o.tree, name.size, copy};
    l->tree_count++;
    l->done.trees++;
    return 0;
}

static int find_tree(struct loading *l, luge_bytes name, luge_tree *tree)
{
    int rc = l->tree_count * 2 >= l->tree_room ? more_places(l) : 0;

    if (rc) return rc;
    struct named_tree *place = tree_place(l->trees, l->tree_room, name);
    if (!place->name) rc = make_tree(l, name, place);
    if (!rc) *tree = place->tree;
    return rc;
}

static luge_bytes default_tree(const struct loading *l)
{
    const char *name = l->call->options[OPTION_TREE];

    return luge_str(name ? name : "main");
}

static int more_room(struct loading *l)
{
    size_t room = l->line_room ? 2 * l->line_room : 1 << 12;
    char *larger = realloc(l->line, room);

    if (!larger) return no_memory();
    l->line = larger;
    l->line_room = room;
    return 0;
}

/* The next line without its newline.  NOTFOUND at the end. */
static int next_line(struct loading *l, luge_bytes *line)
{
    size_t size = 0;
    int c = 0, rc = 0;

    errno = 0;
    while (!rc && (c = getc_unlocked(l->from)) != EOF && c != '\n') {
        if (size == l->line_room) rc = more_room(l);
        if (!rc) l->line[size++] = (char)c;
        if (!rc && size > LINE_BYTES_MAX)
            rc = luge_fail(LUGE_TOOBIG, __FILE__, __LINE__, "line %" PRIu64
                           ": longer than %zu bytes", l->line_number + 1,
                           LINE_BYTES_MAX);
    }
    if (rc) return rc;
    if (c == EOF && ferror(l->from))
        return luge_fail(LUGE_IO, __FILE__, __LINE__, "cannot read: %s",
                         strerror(errno));
    if (c == EOF && !size) return LUGE_NOTFOUND;
    l->line_number++;
    l->done.bytes += size + (c == '\n');
    *line = luge_bytes_of(l->line ? l->line : "", size);
    return 0;
}

static bool is_word(luge_bytes line, const char *word)
{
    return line.size == strlen(word) && !memcmp(line.data, word, line.size);
}

static int malformed(const struct loading *l, const char *what)
{
    return luge_fail(LUGE_CORRUPT, __FILE__, __LINE__, "line %" PRIu64 ": %s",
                     l->line_number, what);
}

/* What the database said of a line, with the line's number. */
static int refused(const struct loading *l, int rc)
{
    struct luge_error last = *luge_last_error();

    if (rc != LUGE_TOOBIG && rc != LUGE_INVALID) return rc;
    return luge_fail(rc, __FILE__, __LINE__, "line %" PRIu64 ": %s",
                     l->line_number, last.text);
}

/* ---------------------------------------------------------- JSON Lines -- */

static int load_object(struct loading *l, const json_t *object)
{
    struct decoded tree_name = {0}, key = {0}, value = {0};
    const json_t *tree_json = json_object_get(object, "tree");
    const json_t *key_json = json_object_get(object, "key");
    const json_t *value_json = json_object_get(object, "value");
    luge_tree tree;
    int rc = 0;

    tree_name.bytes = default_tree(l);
    if (tree_json && json_to_bytes(tree_json, &tree_name))
        rc = malformed(l, "\"tree\" is neither a string nor base64");
    else if (key_json && json_to_bytes(key_json, &key))
        rc = malformed(l, "\"key\" is neither a string nor base64");
    else if (key_json && (!value_json || json_to_bytes(value_json, &value)))
        rc = malformed(l, "\"value\" is missing, or neither a string nor "
                          "base64");
    else if (!key_json && (value_json || !tree_json))
        rc = malformed(l, "there is no \"key\"");
    if (!rc && is_word(tree_name.bytes, "luge/log"))
        rc = malformed(l, "the tree luge/log is the database's own: consumers "
                          "and retention are not loaded");
    if (!rc) rc = refused(l, find_tree(l, tree_name.bytes, &tree));
    if (!rc && key_json)
        rc = refused(l, add_pair(l, tree, key.bytes, value.bytes));
    free(tree_name.made);
    free(key.made);
    free(value.made);
    return rc;
}

static int load_lines(struct loading *l)
{
    luge_bytes line;
    json_error_t error;
    int rc;

    while (!(rc = next_line(l, &line))) {
        if (!line.size) continue;
        json_t *object = json_loadb(line.data, line.size, JSON_ALLOW_NUL,
                                    &error);
        rc = object ? load_object(l, object) : malformed(l, error.text);
        json_decref(object);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ------------------------------------------------------------ mdb_dump -- */

struct mdb {
    bool print;                 /* bytes that are printable stand as they are */
    bool lmdb;                  /* LMDB wrote it, not Berkeley's db_dump */
    const char *order;          /* of keys, if it is not that of bytes */
    luge_tree tree;
    char *key;                  /* of the pair before */
    size_t key_size;
};

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The byte that two hex digits at *AT make, or -1. */
static int hex_byte(const unsigned char **at, const unsigned char *end)
{
    int high = *at < end ? hex_digit(*(*at)++) : -1;
    int low = *at < end ? hex_digit(*(*at)++) : -1;

    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

/* Decode in place; the line begins with a blank.  "\xx" are hex digits, "\\" is
 * a backslash, if Berkeley wrote it.  LMDB before 0.9.25 printed a backslash as
 * it is; that is seen if what follows is no byte that had to be escaped. */
static int mdb_decode(const struct loading *l, const struct mdb *m,
                      luge_bytes *line)
{
    unsigned char *to = (unsigned char *)l->line;
    const unsigned char *at = to + 1, *end = to + line->size;

    if (!line->size || *to != ' ') return malformed(l, "not a datum of LMDB");
    while (at < end) {
        bool escaped = m->print && *at == '\\';
        if (m->print && !escaped) {
            *to++ = *at++;
            continue;
        }
        at += escaped;
        if (escaped && !m->lmdb && at < end && *at == '\\') {
            *to++ = *at++;
            continue;
        }
        int byte = hex_byte(&at, end);
        if (escaped && m->lmdb &&
            (byte < 0 || (byte >= ' ' && byte <= '~' && byte != '\\')))
            return malformed(l, "a backslash that mdb_dump -p did not escape: "
                                "LMDB before 0.9.25 loses them; dump without "
                                "-p");
        if (byte < 0) return malformed(l, "not two hex digits");
        *to++ = (unsigned char)byte;
    }
    *line = luge_bytes_of(l->line, (size_t)(to - (unsigned char *)l->line));
    return 0;
}

static bool is_setting(luge_bytes line, const char *name, luge_bytes *value)
{
    size_t size = strlen(name);

    if (line.size < size || memcmp(line.data, name, size) != 0) return false;
    *value = luge_bytes_of((const char *)line.data + size, line.size - size);
    return true;
}

static int mdb_setting(struct loading *l, struct mdb *m, luge_bytes line,
                       char *name, size_t *name_size)
{
    luge_bytes value;

    if (is_setting(line, "VERSION=", &value) && !is_word(value, "3"))
        return malformed(l, "a dump of LMDB of another version than 3");
    if (is_setting(line, "format=", &value)) {
        m->print = is_word(value, "print");
        if (!m->print && !is_word(value, "bytevalue"))
            return malformed(l, "format is neither print nor bytevalue");
    }
    if (is_setting(line, "type=", &value) && !is_word(value, "btree"))
        return malformed(l, "the type is not btree");
    if (is_setting(line, "database=", &value)) {
        if (value.size > LUGE_NAME_SIZE_MAX)
            return malformed(l, "the database's name is too long");
        memcpy(name, value.data, value.size);
        *name_size = value.size;
    }
    if (is_setting(line, "mapsize=", &value)) m->lmdb = true;
    if (is_word(line, "integerkey=1")) m->order = "numbers";
    if (is_word(line, "reversekey=1")) m->order = "reversed bytes";
    if (!memchr(line.data, '=', line.size))
        return malformed(l, "not a header of LMDB");
    return 0;
}

/* L3. */
static void mdb_tell_order(const struct loading *l, const struct mdb *m)
{
    if (m->order)
        fprintf(stderr, "luge: load: line %" PRIu64 ": LMDB had these keys in "
                "the order of %s; here it is that of their bytes\n",
                l->line_number, m->order);
}

/* NOTFOUND: there is no further database. */
static int mdb_header(struct loading *l, struct mdb *m)
{
    char name[LUGE_NAME_SIZE_MAX];
    size_t name_size = 0;
    luge_bytes line;
    int rc;
    bool any = false;

    m->print = m->lmdb = false;
    m->order = NULL;
    while (!(rc = next_line(l, &line)) && !is_word(line, "HEADER=END")) {
        any = true;
        rc = mdb_setting(l, m, line, name, &name_size);
        if (rc) return rc;
    }
    if (rc == LUGE_NOTFOUND && any)
        return malformed(l, "the header of LMDB has no end");
    if (rc) return rc;
    mdb_tell_order(l, m);
    rc = find_tree(l, name_size ? luge_bytes_of(name, name_size)
                                : default_tree(l), &m->tree);
    return refused(l, rc);
}

/* L3.  Keys come in order, so equal ones are neighbours. */
static int mdb_key(struct loading *l, struct mdb *m, luge_bytes key)
{
    if (m->key && m->key_size == key.size &&
        !memcmp(m->key, key.data, key.size))
        return malformed(l, "a second value of one key (DUPSORT): a tree of "
                            "luge has one value for each key");
    char *copy = realloc(m->key, key.size + 1);
    if (!copy) return no_memory();
    memcpy(copy, key.data, key.size);
    m->key = copy;
    m->key_size = key.size;
    return 0;
}

static int mdb_pairs(struct loading *l, struct mdb *m)
{
    luge_bytes line;
    int rc;

    while (!(rc = next_line(l, &line)) && !is_word(line, "DATA=END")) {
        rc = mdb_decode(l, m, &line);
        if (!rc) rc = mdb_key(l, m, line);
        if (!rc) rc = next_line(l, &line);
        if (rc == LUGE_NOTFOUND) return malformed(l, "a key without a value");
        if (!rc) rc = mdb_decode(l, m, &line);
        if (!rc)
            rc = refused(l, add_pair(l, m->tree,
                                     luge_bytes_of(m->key, m->key_size),
                                     line));
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? malformed(l, "DATA=END is missing") : rc;
}

static int load_mdb(struct loading *l)
{
    struct mdb m = {0};
    int rc;

    while (!(rc = mdb_header(l, &m))) {
        rc = mdb_pairs(l, &m);
        if (rc) break;
        free(m.key);
        m.key = NULL;
    }
    free(m.key);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

/* ----------------------------------------------------------- luge's own -- */

static int read_in(void *context, void *to, size_t size, size_t *got)
{
    struct loading *l = context;

    *got = fread(to, 1, size, l->from);
    if (!ferror(l->from)) return 0;
    return luge_fail(LUGE_IO, __FILE__, __LINE__, "cannot read the dump: %s",
                     strerror(errno));
}

static int tell(void *context, const struct luge_dump_progress *so_far)
{
    struct loading *l = context;

    progress_tell(&l->progress, so_far->pairs, so_far->bytes);
    return 0;
}

static int load_luge(struct loading *l)
{
    struct luge_dump_stream stream = {.context = l, .read = read_in,
                                      .progress = tell};
    int rc = luge_load(l->call->db, &stream, &l->done);

    l->pairs = l->done.pairs;
    if (rc || getc(l->from) == EOF) return rc;
    return luge_fail(LUGE_CORRUPT, __FILE__, __LINE__, "something follows the "
                     "dump's end at byte %" PRIu64 "; it was not loaded",
                     l->done.bytes);
}

/* ---------------------------------------------------------------- verb -- */

typedef int load_fn(struct loading *l);

static load_fn *format_of(struct loading *l)
{
    const char *format = l->call->options[OPTION_FORMAT];
    int first;

    if (format && !strcmp(format, "luge")) return load_luge;
    if (format && !strcmp(format, "jsonl")) return load_lines;
    if (format && !strcmp(format, "mdb")) return load_mdb;
    if (format) return NULL;
    first = ungetc(getc(l->from), l->from);
    return first == 'l' ? load_luge : first == 'V' ? load_mdb : load_lines;
}

/* Nothing at all is what is left of a dump that failed (L3). */
static int input_open(struct loading *l)
{
    const char *path = call_text(l->call, 1);

    l->from = strcmp(path, "-") ? fopen(path, "rbe") : stdin;
    if (!l->from) return say_system("cannot open", path);
    errno = 0;
    int first = getc(l->from);
    if (ferror(l->from)) return say_system("cannot read", path);
    ungetc(first, l->from);
    bool known = call_has(l->call, OPTION_FORMAT) ||
                 (first && strchr("lV{ \t\r\n", first));
    if (first != EOF && known) return 0;
    return say_error(luge_fail(LUGE_CORRUPT, __FILE__, __LINE__, "%s is %s",
                               l->from == stdin ? "standard input" : path,
                               first == EOF ? "empty, and no dump is"
                                            : "no dump of luge or LMDB, and "
                                              "no JSON Lines"));
}

static int load_all(struct loading *l, load_fn *load)
{
    int rc = load(l), landed = land(l);

    if (rc) say_error(rc);
    if (!rc && landed) say_error(rc = landed);
    if (!rc && (rc = luge_sync(l->call->db))) say_error(rc);
    if (!rc) {
        progress_end(&l->progress, l->done.trees, l->done.pairs,
                     l->done.bytes);
        return EXIT_DONE;
    }
    fprintf(stderr, "luge: load: ended early: %" PRIu64 " pairs were loaded\n",
            l->done.pairs);
    return EXIT_ERROR;
}

int verb_load(struct call *c)
{
    struct loading l = {.call = c, .progress = {.what = "load"}};
    int code = input_open(&l);
    load_fn *load = code ? NULL : format_of(&l);

    if (!code && !load)
        code = say_usage(c->verb, "--format is luge, jsonl or mdb, not '%s'",
                         c->options[OPTION_FORMAT]);
    if (!code) code = call_open(c, 0);
    if (!code) code = load_all(&l, load);
    for (size_t i = 0; i < l.tree_room; i++) free(l.trees[i].name);
    free(l.trees);
    free(l.line);
    if (l.from && l.from != stdin) fclose(l.from);
    return code;
}
