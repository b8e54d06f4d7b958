/* cli/history.c -- the verb for the past: history.
 * Not here: reading it; --at of the other verbs (call.c).
 */
#include <inttypes.h>
#include <string.h>

#include "cli.h"
#include "luge_history.h"

/* ---------------------------------------------------------------- policy -- */

static int parse_policy(const struct call *c, struct luge_history_policy *p)
{
    const char *every = c->options[OPTION_EVERY];
    int code = 0;

    if (every && !strcmp(every, "off"))
        p->every_bytes = UINT64_MAX;
    else if (every)
        code = call_number(c, OPTION_EVERY, 0, &p->every_bytes);
    if (!code && call_has(c, OPTION_KEEP))
        code = call_number(c, OPTION_KEEP, 0, &p->keep_seconds);
    return code;
}

struct change {
    const struct call *call;
    int code;
};

static int set_in(luge_txn *txn, void *context)
{
    struct change *change = context;
    struct luge_history_policy policy;
    int rc = luge_history_policy_get(txn, &policy);

    if (rc) return rc;
    change->code = parse_policy(change->call, &policy);
    return change->code ? LUGE_INVALID
                        : luge_history_policy_set(txn, &policy);
}

static int set_policy(struct call *c)
{
    struct change change = {.call = c};
    int rc, code = call_open(c, LUGE_MUST_EXIST);

    if (code) return code;
    rc = luge_transact(c->db, 0, set_in, &change);
    if (change.code) return change.code;
    return rc ? say_error(rc) : EXIT_DONE;
}

/* ------------------------------------------------------------------ past -- */

static void print_line(const struct call *c, const char *what,
                       const luge_bytes *name, uint64_t seq, uint64_t time_ns)
{
    char when[64] = "-";

    if (time_ns) time_text(time_ns, when, sizeof(when));
    if (call_has(c, OPTION_JSON)) {
        json_t *line = json_pack("{s:s, s:o}", "what", what, "seq",
                                 json_of_count(seq));
        if (line && name)
            json_object_set_new(line, "name", json_of_bytes(*name));
        if (line && time_ns)
            json_object_set_new(line, "time", json_string(when));
        print_json(line);
        return;
    }
    fputs(what, stdout);
    if (name) {
        fputc('\t', stdout);
        print_bytes(*name);
    }
    printf("\t%" PRIu64 "\t%s\n", seq, when);
}

static int print_span(const struct call *c)
{
    struct luge_history h;
    uint64_t log_ns = 0;
    int rc = luge_history_span(c->db, &h);

    if (rc) return rc;
    print_line(c, "newest", NULL, h.newest_seq, h.newest_ns);
    print_line(c, "oldest", NULL, h.oldest_seq, h.oldest_ns);
    (void)luge_time_at(c->db, h.log_seq + 1, &log_ns);
    print_line(c, "log", NULL, h.log_seq, log_ns);
    return 0;
}

/* Those of a path are no state to begin at. */
static int print_snapshots(const struct call *c)
{
    struct luge_snapshot_info info = {.name = {"", 0}};
    char last[LUGE_NAME_SIZE_MAX];
    int rc;

    while (!(rc = luge_snapshot_after(c->txn, info.name, &info))) {
        memcpy(last, info.name.data, info.name.size);
        info.name.data = last;
        if (!info.path.size)
            print_line(c, "snapshot", &info.name, info.seq, info.time_ns);
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

int verb_history(struct call *c)
{
    luge_tree tree;
    int rc, code;

    if (call_has(c, OPTION_EVERY) || call_has(c, OPTION_KEEP))
        return set_policy(c);
    code = call_read(c, &tree);
    if (code) return code;
    rc = print_span(c);
    if (!rc) rc = print_snapshots(c);
    return rc ? say_error(rc) : EXIT_DONE;
}
