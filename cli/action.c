/* cli/action.c -- verbs whose second argument says what to do: luge event,
 * luge task.
 *
 * An action that looks has one snapshot; one that changes is one transaction,
 * which luge_transact repeats if others were quicker; one that runs does as it
 * likes.  NOTFOUND and MISMATCH are the answer "no".
 * Not here: the actions themselves; luge convo, whose third argument is what
 * they are about (convo.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int call_word_number(const struct call *c, int number, uint64_t *value)
{
    const char *text = call_text(c, number);
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno) return 0;
    return say_usage(c->verb, "'%s' is no number", text);
}

static int answer(int rc)
{
    if (rc > 0) return rc;
    if (rc == LUGE_MISMATCH) {
        say_error(rc);
        return EXIT_NO;
    }
    return rc ? say_no(rc) : EXIT_DONE;
}

/* What was made: its numbers with tabs between, or as members of an object. */
static void tell_made(const struct call *c, const char *names)
{
    json_t *object = call_has(c, OPTION_JSON) ? json_object() : NULL;
    char name[32];

    for (size_t i = 0; *names; i++) {
        size_t size = strcspn(names, " ");
        snprintf(name, sizeof(name), "%.*s", (int)size, names);
        if (object)
            json_object_set_new(object, name, json_of_count(c->made[i]));
        else
            printf("%s%llu", i ? "\t" : "", (unsigned long long)c->made[i]);
        names += size + (names[size] == ' ');
    }
    if (!object) {
        putchar('\n');
        return;
    }
    json_object_set_new(object, "seq",
                        json_of_count(luge_committed_seq(c->db)));
    print_json(object);
}

static int change(struct call *c, const struct action *a)
{
    unsigned durability;
    int rc, code = call_durability(c, &durability);

    if (!code) code = call_now(c);
    if (!code && a->prepare) code = a->prepare(c);
    if (!code) code = call_open(c, 0);
    if (code) return code;
    rc = luge_transact(c->db, durability | LUGE_TURN, a->change, c);
    if (!rc && a->made) tell_made(c, a->made);
    return answer(rc);
}

static int look(struct call *c, const struct action *a)
{
    luge_tree tree;
    int code = call_read(c, &tree);

    return code ? code : answer(a->look(c));
}

int call_action(struct call *c, const struct action *actions, size_t count)
{
    const char *name = call_text(c, 1);
    int words = c->count - 2;
    size_t at = 0;

    while (at < count && strcmp(name, actions[at].name) != 0) at++;
    if (at == count)
        return say_usage(c->verb, "there is no action '%s'", name);
    const struct action *a = &actions[at];
    if (words < a->least || words > a->most)
        return say_usage(c->verb, "%s wants %s", name,
                         *a->words ? a->words : "nothing more");
    if (a->look) return look(c, a);
    if (a->change) return change(c, a);
    int code = call_now(c);
    if (!code) code = call_open(c, LUGE_MUST_EXIST);
    return code ? code : answer(a->run(c));
}
