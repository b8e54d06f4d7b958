/* cli/inspect.c -- the verbs that look at all content: check checksum. */
#include <string.h>

#include "cli.h"

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
