/* model/show_kinds.c -- what the trees of the models hold, for luge_show: a
 * line for each tree, and one for each field of its records.
 *
 * A field that is added to a record is added here, too; test_show finds
 * what is missing.
 */
#include "conversation.h"
#include "event.h"
#include "record.h"
#include "task.h"

#define FIELD(record, kind, member) \
    {#member, RECORD_##kind, offsetof(struct record, member), NULL}
#define WORD(record, kind, member, text) \
    {#member, RECORD_##kind, offsetof(struct record, member), text}
#define END {NULL, 0, 0, NULL}

/* --------------------------------------------------------------- events -- */

#define F(kind, member) FIELD(event_record, kind, member)
static const struct record_field event_fields[] = {
    F(U32, flags), F(U64, version), F(U64, time_ns), F(BYTES, stream),
    F(BYTES, type), F(JSON, payload), F(BYTES, correlation),
    F(BYTES, causation), F(U32, pending), END};
#undef F

static const struct record_field state_fields[] = {
    FIELD(state_record, U64, time_ns), FIELD(state_record, JSON, state), END};

static const struct record_field projection_fields[] = {
    FIELD(projection_record, U64, position),
    FIELD(projection_record, U64, time_ns), END};

/* ---------------------------------------------------------------- tasks -- */

#define F(kind, member) FIELD(task_record, kind, member)
static const struct record_field task_fields[] = {
    WORD(task_record, U8, state, luge_task_state_text), F(I32, priority),
    F(U32, attempt), F(U32, attempts_max), F(U32, backoff_ms),
    F(U32, waiting_for), F(U64, lease), F(U64, agent), F(U64, session),
    F(U64, published_ns), F(U64, until_ns), F(U64, claimed_ns),
    F(U64, ended_ns), F(BYTES, queue), F(JSON, payload), F(BYTES, status),
    F(JSON, result), F(BYTES, error), F(U64S, depends), END};
#undef F

#define F(kind, member) FIELD(agent_record, kind, member)
static const struct record_field agent_fields[] = {
    F(U64, session), F(U64, started_ns), F(U64, heartbeat_ns),
    F(U64, ended_ns), F(BYTES, name), F(BYTES, role), F(BYTES, status),
    F(JSON, meta), F(BYTES, process), END};
#undef F

#define F(kind, member) FIELD(session_record, kind, member)
static const struct record_field session_fields[] = {
    WORD(session_record, U8, state, luge_session_state_text),
    F(U64, created_ns), F(U64, started_ns), F(U64, ended_ns),
    F(BYTES, objective), F(BYTES, strategy), F(JSON, meta), F(BYTES, error),
    END};
#undef F

/* -------------------------------------------------------- conversations -- */

#define F(kind, member) FIELD(convo_about, kind, member)
static const struct record_field about_fields[] = {
    F(U16, division), F(U64, created_ns), F(BYTES, title), F(JSON, metadata),
    END};
#undef F

#define F(kind, member) FIELD(convo_node, kind, member)
static const struct record_field node_fields[] = {
    F(U32, depth), F(U64, parent), F(U64, jump), F(U64, branch),
    F(U64, origin), F(U64, time_ns), F(U64, begin_ns), F(U64, last_ns),
    F(U64, clock_ns), F(U64, span_begin_ns), F(U64, span_last_ns),
    F(U64, context), F(U32, merges), F(U32, events), F(EMOTION, emotion),
    F(BYTES, author), F(BYTES, type), F(JSON, payload), F(BYTES, label),
    F(BYTES, description), F(U64S, merged), END};
#undef F

#define F(kind, member) FIELD(convo_event, kind, member)
static const struct record_field convo_event_fields[] = {
    WORD(convo_event, U16, kind, luge_music_word), F(U16, track),
    F(U8, channel), F(U8, pitch), F(U8, velocity), F(U8, mode),
    F(I32, number), F(U64, time_ns), F(U64, duration_ns), F(F32, value),
    F(EMOTION, emotion), F(BYTES, agent), F(BYTES, what), F(BYTES, how),
    F(BYTES, data), END};
#undef F

#define F(kind, member) FIELD(convo_context, kind, member)
static const struct record_field context_fields[] = {
    F(U32, tempo_us), F(U64, tempo_at_ns), F(U64, key_at_ns),
    F(U64, meter_at_ns), F(U64, previous), F(I8, key_sharps), F(U8, key_mode),
    F(U8, meter_beats), F(U8, meter_unit), F(CHORDS, chords), END};
#undef F

#define F(kind, member) FIELD(convo_branch, kind, member)
static const struct record_field branch_fields[] = {
    WORD(convo_branch, U8, state, luge_branch_state_text),
    WORD(convo_branch, U8, reason, luge_fork_reason_text), F(U64, tip),
    F(U64, base), F(U64, parent), F(U64, into), F(U64, merge), F(U64, nodes),
    F(U64, created_ns), F(U64, changed_ns), F(F32, probability),
    F(EMOTION, from_emotion), F(EMOTION, to_emotion), F(BYTES, name),
    F(BYTES, description), F(BYTES, participants), F(BYTES, agents), END};
#undef F

static const struct record_field author_fields[] = {
    FIELD(convo_agent, U64, created_ns), FIELD(convo_agent, BYTES, kind),
    FIELD(convo_agent, JSON, metadata), END};

#define F(kind, member) FIELD(convo_evaluation, kind, member)
static const struct record_field evaluation_fields[] = {
    F(U8, go_on), F(F32, score), F(U64, node), F(U64, time_ns),
    F(BYTES, text), END};
#undef F

static const struct record_field label_fields[] = {
    {"number", RECORD_U64, 0, NULL}, END};

/* ---------------------------------------------------------------- trees -- */

const struct record_kind record_kinds[] = {
    {"all", "event", "#position", &event_default.head, event_fields},
    {"stream", "event of a stream", "stream #version #position", NULL, NULL},
    {"type", "event of a type", "type #position", NULL, NULL},
    {"time", "event at a time", "#time_ns #position", NULL, NULL},
    {"state", "state of a stream", "stream #version", &state_default.head,
     state_fields},
    {"projection", "projection", "name", &projection_default.head,
     projection_fields},

    {"task", "task", "#id", &task_default.head, task_fields},
    {"ready", "ready task", "queue -priority #id", NULL, NULL},
    {"due", "delayed task", "#until_ns #id", NULL, NULL},
    {"lease", "leased task", "#until_ns #id", NULL, NULL},
    {"depend", "task that another one waits for", "#id #waiting", NULL, NULL},
    {"dead", "dead task", "#id", NULL, NULL},
    {"ended", "ended task", "#ended_ns #id", NULL, NULL},
    {"agent", "agent", "#id", &agent_default.head, agent_fields},
    {"session", "session", "#id", &session_default.head, session_fields},

    {"conversation", "conversation", "#id", &convo_about_default.head,
     about_fields},
    {"nodes", "node", "#id", &convo_node_default.head, node_fields},
    {"events", "music", "#node #index", &convo_event_default.head,
     convo_event_fields},
    {"contexts", "context", "#node", &convo_context_default.head,
     context_fields},
    {"children", "child", "#parent #child", NULL, NULL},
    {"times", "node at a time", "#time_ns #node", NULL, NULL},
    {"labels", "label", "#of_branch label", NULL, label_fields},
    {"branches", "branch", "#id", &convo_branch_default.head, branch_fields},
    {"agents", "author", "name", &convo_agent_default.head, author_fields},
    {"evaluations", "evaluation", "#branch agent",
     &convo_evaluation_default.head, evaluation_fields},
    {NULL, NULL, NULL, NULL, NULL},
};

#undef FIELD
#undef WORD
#undef END
