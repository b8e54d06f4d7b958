/* bench/work_convo.c -- rows of luge_conversation.h: what an append costs at
 * the end of a conversation of so many nodes.
 *
 * Only luge has conversations, so run->db is a luge_db (KIND_MODEL).  One long
 * branch is made, which is not measured; then nodes follow, a commit each, and
 * in the end the last one must be as deep as nodes were appended.
 * Not here: forks, walks, contexts (tools/canvas.c). */
#include <inttypes.h>

#include "crew.h"
#include "luge_conversation.h"

enum { SAYS = 1000 };           /* of a transaction, while it is made */
#define WARM_PART 0.2           /* of the window */

struct talk {
    struct luge_conversation convo;
    u64 branch, nodes;          /* that there were before the window */
};

static int failed(const char *what)
{
    const struct luge_error *e = luge_last_error();
    return bench_fail("%s: %s (%s:%d)", what, e->text, e->file, e->line);
}

static int say(luge_txn *txn, const struct talk *talk, u64 at, u64 *id)
{
    struct luge_music_event note = luge_music_event_of(LUGE_MUSIC_NOTE,
                                                       at * 1000000);
    struct luge_say what = {.author = luge_str("amy"),
                            .payload = luge_str("a short remark"),
                            .events = &note, .event_count = 1};

    note.pitch = 60;
    note.duration_ns = 1000000;
    return luge_say(txn, &talk->convo, talk->branch, &what, id)
               ? failed("luge_say") : 0;
}

static int begin_talk(luge_txn *txn, struct talk *talk)
{
    struct luge_branch main = {.name = luge_str("main")};

    if (luge_conversation_open(txn, luge_str("talk"), LUGE_TREE_CREATE,
                               &talk->convo))
        return failed("luge_conversation_open");
    return luge_branch_fork(txn, &talk->convo, 0, &main, &talk->branch)
               ? failed("luge_branch_fork") : 0;
}

static int grow(luge_db *db, struct talk *talk)
{
    luge_txn *txn;
    u64 at = 0, id;

    do {
        if (luge_begin(db, LUGE_TURN, &txn)) return failed("luge_begin");
        if (!at && begin_talk(txn, talk)) return -1;
        for (u64 i = 0; i < SAYS && at < talk->nodes; i++, at++)
            if (say(txn, talk, at, &id)) return -1;
        if (luge_commit(txn)) return failed("luge_commit");
    } while (at < talk->nodes);
    return 0;
}

static int step_say(struct worker *worker)
{
    const struct talk *talk = worker->plan->context;
    luge_txn *txn;

    if (luge_begin(worker->db, LUGE_TURN, &txn)) return failed("luge_begin");
    if (say(txn, talk, talk->nodes + worker->stamp++, &worker->last_id)) {
        luge_abort(txn);
        return -1;
    }
    return luge_commit(txn) ? failed("luge_commit") : 1;
}

/* Nodes of the branch, and nothing else, lie between it and the root. */
static int check_end(struct run *run, const struct talk *talk, u64 least)
{
    struct luge_branch branch;
    struct luge_node node;
    luge_txn *txn;

    if (luge_begin(run->db, LUGE_READ, &txn)) return failed("luge_begin");
    if (luge_branch_get(txn, &talk->convo, talk->branch, &branch))
        return failed("luge_branch_get");
    if (luge_node_get(txn, &talk->convo, branch.head, &node))
        return failed("luge_node_get");
    if (branch.nodes < least || node.depth + UINT64_C(1) != branch.nodes)
        return bench_fail("%" PRIu64 " nodes, the last of depth %" PRIu32
                          ", where %" PRIu64 " were appended", branch.nodes,
                          node.depth, least);
    luge_abort(txn);
    return 0;
}

int work_convo_append(struct run *run)
{
    struct talk talk = {.nodes = run->records / run->row->amount};
    struct crew_plan plan = {.step = step_say, .context = &talk,
                             .warm_seconds = run->seconds * WARM_PART,
                             .timed = run->row->timed ? UINT64_MAX : 0};
    struct crew_result result;

    if (run_open(run) || grow(run->db, &talk)) return -1;
    if (run->engine->settle(run->db)) return -1;
    if (crew_run(run, &plan, &result)) return -1;
    crew_set(run, &result);
    if (check_end(run, &talk, talk.nodes + result.ops_total)) return -1;
    return run_close(run);
}
