/* cli/inspect.c -- the verbs that look at the whole: stat check checksum. */
#include <string.h>

#include "cli.h"

/* ---------------------------------------------------------------- stat -- */

/* The figures in the order in which they are shown. */
#define STATS(X)                                                              \
    X(seq_committed) X(seq_durable) X(seq_shown) X(seq_checkpoint)            \
    X(trees) X(processes) X(readers) X(reader_oldest_seq)                     \
    X(page_bytes) X(pages_total) X(pages_free) X(pages_pending)               \
    X(file_bytes) X(log_bytes) X(log_since_checkpoint_bytes)                  \
    X(private_bytes)                                                          \
    X(commits) X(conflicts) X(syncs) X(checkpoints) X(takeovers)

#define TREE_STATS(X)                                                         \
    X(count) X(depth) X(leaf_pages) X(branch_pages) X(extent_pages)           \
    X(key_bytes) X(value_bytes)

struct figure {
    const char *name;
    uint64_t value;
};

static int print_figures(const struct call *c, const struct figure *figures,
                         size_t count)
{
    json_t *object = call_has(c, OPTION_JSON) ? json_object() : NULL;

    for (size_t i = 0; i < count; i++) {
        if (object)
            json_object_set_new(object, figures[i].name,
                                json_of_count(figures[i].value));
        else
            printf("%-28s %llu\n", figures[i].name,
                   (unsigned long long)figures[i].value);
    }
    if (object) print_json(object);
    return EXIT_DONE;
}

static int stat_tree(const struct call *c, luge_tree tree)
{
    struct luge_tree_stats stats;
    int rc = luge_tree_stat(c->txn, tree, &stats);

    if (rc) return say_error(rc);
    struct figure figures[] = {
#define X(name) {#name, stats.name},
        TREE_STATS(X)
#undef X
    };
    return print_figures(c, figures, sizeof(figures) / sizeof(figures[0]));
}

int verb_stat(struct call *c)
{
    struct luge_stats stats;
    luge_tree tree;
    int rc, code = call_read(c, &tree);

    if (code) return code;
    if (call_has(c, OPTION_TREE)) return stat_tree(c, tree);
    luge_abort(c->txn); /* it would count as a reader */
    c->txn = NULL;
    rc = luge_stat(c->db, &stats);
    if (rc) return say_error(rc);
    struct figure figures[] = {
#define X(name) {#name, stats.name},
        STATS(X)
#undef X
    };
    return print_figures(c, figures, sizeof(figures) / sizeof(figures[0]));
}

/* --------------------------------------------------------------- check -- */

struct defects {
    const struct call *call;
    uint64_t count;
};

static void report_defect(void *context, const char *sentence)
{
    struct defects *defects = context;

    defects->count++;
    if (call_has(defects->call, OPTION_JSON)) {
        print_json(json_pack("{s:o}", "defect",
                             json_of_bytes(luge_str(sentence))));
        return;
    }
    print_bytes(luge_str(sentence));
    fputc('\n', stdout);
}

/* Whoever may not write can still look at what is published. */
static int check_open(struct call *c)
{
    struct luge_options how = {.flags = LUGE_MUST_EXIST};
    int rc = luge_open(call_text(c, 0), &how, &c->db);

    if (rc != LUGE_PERMISSION && rc != LUGE_READONLY) return rc;
    how.flags |= LUGE_READ_ONLY;
    return luge_open(call_text(c, 0), &how, &c->db);
}

int verb_check(struct call *c)
{
    struct defects defects = {c, 0};
    int rc = check_open(c);

    if (!rc) rc = luge_check(c->db, report_defect, &defects);
    if (rc && rc != LUGE_CORRUPT) return say_error(rc);
    if (rc && !defects.count) /* too broken even to be opened */
        report_defect(&defects, luge_last_error()->text);
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:b, s:o}", "sound", rc == 0, "defects",
                             json_of_count(defects.count)));
    else if (!rc)
        puts("sound");
    return rc ? EXIT_NO : EXIT_DONE;
}

/* ------------------------------------------------------------ checksum -- */

int verb_checksum(struct call *c)
{
    luge_tree tree;
    uint64_t sum;
    char text[17];
    int rc, code = call_read(c, &tree);

    if (code) return code;
    rc = luge_checksum(c->txn, &sum);
    if (rc) return say_error(rc);
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)sum);
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:s, s:o}", "checksum", text, "seq",
                             json_of_count(luge_txn_seq(c->txn))));
    else
        puts(text);
    return EXIT_DONE;
}
