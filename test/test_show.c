/* test/test_show.c -- records of events and tasks that were written once, and
 * any record as JSON (luge_show.h).
 *
 *   test/data/records-1.txt        trees, keys and values, in hex
 *   test/data/conversation-1.txt   the same of conversations
 *   test/data/shown-1.jsonl        what luge_show says of each line of both
 *
 *   S1  Records that were written once open for ever, and mean the same.
 *   S2  Every field of every record is shown.
 *   S3  Whatever stands in such a tree, the answer is JSON or an error.
 *   test_show --write FILE    writes what is said now, for shown-1.jsonl
 */
#include "rig.h"

#include <string.h>

#include "event.h"
#include "json.h"
#include "luge_music.h"
#include "luge_show.h"
#include "task.h"

enum { PAIR_MAX = 8192 };

struct pair {
    char tree[64], key_text[PAIR_MAX], value_text[PAIR_MAX];
    unsigned char key[PAIR_MAX / 2], value[PAIR_MAX / 2];
    size_t key_size, value_size;
};

static FILE *data(const char *name)
{
    const char *source = getenv("LUGE_SOURCE");
    char path[1000];
    snprintf(path, sizeof path, "%s/test/data/%s", source ? source : "..",
             name);
    FILE *file = fopen(path, "r");
    if (!file) die("cannot read %s", path);
    return file;
}

static size_t unhex(const char *text, unsigned char *to)
{
    size_t size = 0;
    unsigned byte;
    for (; *text != '-' && sscanf(text, "%2x", &byte) == 1; text += 2)
        to[size++] = (unsigned char)byte;
    return size;
}

static bool pair_read(FILE *file, struct pair *p)
{
    if (fscanf(file, "%63s %8191s %8191s", p->tree, p->key_text,
               p->value_text) != 3)
        return false;
    p->key_size = unhex(p->key_text, p->key);
    p->value_size = unhex(p->value_text, p->value);
    return true;
}

static int show(const struct pair *p, char **json)
{
    return luge_show(luge_str(p->tree), luge_bytes_of(p->key, p->key_size),
                     luge_bytes_of(p->value, p->value_size), json);
}

/* ----------------------------------------------------------- old records -- */

static void load(luge_txn *txn)
{
    static struct pair p;
    FILE *file = data("records-1.txt");
    luge_tree tree;
    while (pair_read(file, &p)) {
        fine(luge_tree_open(txn, luge_str(p.tree), LUGE_TREE_CREATE, &tree));
        fine(luge_put(txn, tree, luge_bytes_of(p.key, p.key_size),
                      luge_bytes_of(p.value, p.value_size)));
    }
    assert_true(feof(file));
    fclose(file);
    fine(luge_tree_open(txn, luge_str("tasks/ready"), LUGE_TREE_CREATE, &tree));
}

static void old_events_open(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    struct luge_events events;
    struct luge_event e;
    struct luge_event_place last;
    uint64_t at, position;
    luge_bytes kept;
    load(txn);
    fine(luge_events_open(txn, luge_str("events"), 0, &events));
    fine(luge_event_get(txn, &events, 2, &e));
    assert_true(is(e.stream, "song") && is(e.type, "note"));
    assert_true(is(e.payload, "{\"pitch\": 60}"));
    assert_true(is(e.correlation, "c1") && is(e.causation, "e1"));
    assert_int_equal(e.flags, LUGE_EVENT_JSON);
    assert_int_equal(e.version, 2);
    assert_int_equal(e.time_ns, 1795877092820552487);
    fine(luge_event_get(txn, &events, 3, &e));
    assert_int_equal(e.payload.size, 2);
    fine(luge_event_state_get(txn, &events, luge_str("song"), LUGE_EVENT_ANY,
                              &at, &kept));
    assert_true(at == 2 && is(kept, "{\"n\":2}"));
    fine(luge_projection_position(txn, &events, luge_str("totals"),
                                  &position));
    assert_int_equal(position, 2);
    fine(luge_event_append(txn, &events, luge_str("song"), 2,
                           &(struct luge_event){.type = luge_str("new")}, 1,
                           &last));
    assert_true(last.version == 3 && last.position == 4);
    struct luge_event_query song = {.stream = luge_str("song")};
    luge_event_reader *reader;
    fine(luge_event_open(txn, &events, &song, &reader));
    for (uint64_t version = 1; version <= 3; version++) {
        fine(luge_event_next(reader, &e));
        assert_int_equal(e.version, version);
    }
    answers(LUGE_NOTFOUND, luge_event_next(reader, &e));
    luge_event_close(reader);
    luge_abort(txn);
}

static void old_tasks_open(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    struct luge_tasks tasks;
    struct luge_task t;
    struct luge_agent agent;
    struct luge_session session;
    uint64_t counts[8], leased;
    load(txn);
    fine(luge_tasks_open(txn, luge_str("tasks"), 0, &tasks));
    fine(luge_task_counts(txn, &tasks, counts));
    assert_int_equal(counts[LUGE_TASK_ANY], 5);
    assert_int_equal(counts[LUGE_TASK_DEAD], 1);
    fine(luge_task_after(txn, &tasks, LUGE_TASK_LEASED, 0, &t));
    assert_true(is(t.queue, "mix") && is(t.payload, "{\"tune\": 1}"));
    assert_true(is(t.status, "half way") && t.priority == 5 && t.lease == 1);
    assert_true(t.agent == 7 && t.attempts_max == 2);
    leased = t.id;
    fine(luge_session_get(txn, &tasks, t.session, &session));
    assert_true(is(session.objective, "write a song"));
    assert_int_equal(session.state, LUGE_SESSION_EXECUTING);
    fine(luge_task_after(txn, &tasks, LUGE_TASK_COMPLETED, 0, &t));
    assert_true(is(t.result, "made\n"));
    fine(luge_agent_get(txn, &tasks, t.agent, &agent));
    assert_true(is(agent.name, "amy") && is(agent.role, "done"));
    assert_int_equal(luge_agent_state_of(&agent, 0), LUGE_AGENT_ENDED);
    fine(luge_task_after(txn, &tasks, LUGE_TASK_DEAD, 0, &t));
    assert_true(is(t.error, "no strings"));
    fine(luge_task_after(txn, &tasks, LUGE_TASK_WAITING, 0, &t));
    assert_int_equal(t.waiting_for, 1);
    fine(luge_task_complete(txn, &tasks, leased, 1, luge_str("")));
    fine(luge_task_get(txn, &tasks, t.id, &t));
    assert_int_equal(t.state, LUGE_TASK_READY);
    luge_abort(txn);
}

/* --------------------------------------------------------------- as JSON -- */

static const char *const files[] = {"records-1.txt", "conversation-1.txt"};

static void show_all(FILE *to)
{
    static struct pair p;
    char *json;
    for (size_t i = 0; i < 2; i++) {
        FILE *file = data(files[i]);
        while (pair_read(file, &p)) {
            int rc = show(&p, &json);
            if (rc) die("%s: %d", p.tree, rc);
            fprintf(to, "%s\n", json);
            luge_show_free(json);
        }
        fclose(file);
    }
}

static void every_record_is_shown(void **state)
{
    (void)state;
    FILE *wanted = data("shown-1.jsonl"), *seen = tmpfile();
    char one[PAIR_MAX], two[PAIR_MAX];
    int lines = 0;
    show_all(seen);
    rewind(seen);
    while (fgets(one, sizeof one, wanted)) {
        assert_non_null(fgets(two, sizeof two, seen));
        assert_string_equal(two, one);
        assert_int_equal(json_check(luge_str(one)), -1);
        lines++;
    }
    assert_null(fgets(two, sizeof two, seen));
    assert_true(lines > 60);
    fclose(wanted);
    fclose(seen);
}

static size_t size_of(const struct record_field *f)
{
    static const size_t sizes[] = {
        [RECORD_U8] = 1, [RECORD_I8] = 1, [RECORD_U16] = 2, [RECORD_I32] = 4,
        [RECORD_U32] = 4, [RECORD_U64] = 8, [RECORD_F32] = 4,
        [RECORD_EMOTION] = sizeof(struct luge_emotion),
        [RECORD_BYTES] = 8, [RECORD_JSON] = 8, [RECORD_U64S] = 8,
        [RECORD_CHORDS] = 8};
    return sizes[f->type];
}

/* Between two fields there is room for none: what is reserved has less than the
 * four bytes of a number, or stands before one of eight. */
static void no_field_is_left_out(void **state)
{
    (void)state;
    for (const struct record_kind *k = record_kinds; k->tree; k++) {
        size_t at = sizeof(struct record_head);
        if (!k->defaults) continue;
        for (const struct record_field *f = k->fields; f->name; f++) {
            size_t gap = f->at - at;
            if (f->at < at || gap > 4 || (gap == 4 && f->at % 8))
                die("%s: before %s", k->name, f->name);
            at = f->at + size_of(f);
        }
        if (k->defaults->bytes - at > 4) die("%s: at the end", k->name);
    }
}

static void a_payload_stays_in_its_line(void **state)
{
    struct rig *r = *state;
    luge_txn *txn = begin(r, LUGE_WRITE);
    struct luge_events events;
    struct luge_event e = {.type = luge_str("t"), .flags = LUGE_EVENT_JSON,
                           .payload = luge_str("{\n\"a\":\r\n \"b\\n\"}")};
    luge_bytes key, value;
    char *json;
    fine(luge_events_open(txn, luge_str("e"), LUGE_TREE_CREATE, &events));
    fine(luge_event_append(txn, &events, luge_str("s"), 0, &e, 1, NULL));
    fine(luge_near(txn, events.all, LUGE_FIRST, luge_str(""), &key, &value));
    fine(luge_show(luge_str("e/all"), key, value, &json));
    assert_non_null(strstr(json, "\"payload\":{\"a\": \"b\\n\"}"));
    assert_null(strchr(json, '\n'));
    luge_show_free(json);
    luge_abort(txn);
}

/* S3: bytes of key and value changed, cut and longer. */
static void damaged_records_are_errors(void **state)
{
    (void)state;
    static struct pair p;
    uint64_t seed = now_ns(), refused = 0;
    char *json;
    printf("test_show: seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 40; round++) {
        FILE *file = data(files[round % 2]);
        while (pair_read(file, &p)) {
            for (int i = 0; i < 3; i++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                size_t at = (size_t)(seed >> 40);
                unsigned char byte = (unsigned char)(seed >> 32);
                if (i == 0 && p.key_size) p.key[at % p.key_size] = byte;
                if (i == 1 && p.value_size) p.value[at % p.value_size] = byte;
                if (i == 2 && p.value_size) p.value_size = at % p.value_size;
                int rc = show(&p, &json);
                if (rc != 0 && rc != LUGE_CORRUPT && rc != LUGE_VERSION)
                    die("%s: %d", p.tree, rc);
                if (!rc) assert_int_equal(json_check(luge_str(json)), -1);
                else assert_null(json);
                refused += rc != 0;
                luge_show_free(json);
            }
        }
        fclose(file);
    }
    assert_true(refused > 1000);
}

static void keys_that_people_type(void **state)
{
    (void)state;
    char space[LUGE_KEY_SIZE_MAX];
    luge_bytes words[] = {luge_str("mix"), luge_str("-3"), luge_str("17"),
                          luge_str("x")};
    luge_bytes prefix;
    struct tuple t;
    fine(luge_show_prefix(luge_str("a/b/ready"), words, 3, space, &prefix));
    tuple_begin(&t);
    tuple_put_text(&t, luge_str("mix"));
    tuple_put_i64(&t, 3);
    tuple_put_u64(&t, 17);
    assert_true(prefix.size == t.size && !memcmp(space, t.bytes, t.size));
    fine(luge_show_prefix(luge_str("a/b/ready"), words, 0, space, &prefix));
    assert_int_equal(prefix.size, 0);
    answers(LUGE_INVALID, luge_show_prefix(luge_str("a/ready"), words, 4,
                                           space, &prefix));
    answers(LUGE_INVALID, luge_show_prefix(luge_str("a/task"), words, 1, space,
                                           &prefix));
    words[0] = luge_str("18446744073709551616");
    answers(LUGE_INVALID, luge_show_prefix(luge_str("a/task"), words, 1, space,
                                           &prefix));
    words[0] = luge_str("-1");
    answers(LUGE_INVALID, luge_show_prefix(luge_str("a/task"), words, 1, space,
                                           &prefix));
    answers(LUGE_NOTFOUND, luge_show_prefix(luge_str("main"), words, 0, space,
                                            &prefix));
    answers(LUGE_NOTFOUND, luge_show_prefix(luge_str("task"), words, 0, space,
                                            &prefix));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_events_open, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(old_tasks_open, rig_setup,
                                        rig_teardown),
        cmocka_unit_test(every_record_is_shown),
        cmocka_unit_test(no_field_is_left_out),
        cmocka_unit_test_setup_teardown(a_payload_stays_in_its_line, rig_setup,
                                        rig_teardown),
        cmocka_unit_test(damaged_records_are_errors),
        cmocka_unit_test(keys_that_people_type),
    };
    if (argc == 3 && !strcmp(argv[1], "--write")) {
        FILE *to = fopen(argv[2], "w");
        if (!to) die("cannot write %s", argv[2]);
        show_all(to);
        fclose(to);
        return 0;
    }
    return cmocka_run_group_tests_name("show", tests, NULL, NULL);
}
