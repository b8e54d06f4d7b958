/* cli/help.c -- what the table of verbs says about itself: usage, help, the
 * completion for bash and the verbs' part of luge(1).
 * Not here: any verb's name.  A new line in the table is all a verb needs.
 */
#include <ctype.h>
#include <string.h>

#include "cli.h"

static void print_option(FILE *to, const struct option *o, const char *open,
                         const char *close)
{
    fprintf(to, "%s--%s%s%s%s", open, o->name, o->argument ? " " : "",
            o->argument ? o->argument : "", close);
}

static void print_options(FILE *to, const struct verb *verb)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if (verb->options & OPTION_BIT(i))
            print_option(to, &options[i], " [", "]");
}

void help_usage(FILE *to, const struct verb *verb)
{
    if (!verb) {
        fputs("usage: luge VERB DIR [ARGUMENTS] [--options]\n"
              "       luge help [VERB]\n", to);
        return;
    }
    fprintf(to, "usage: luge %s%s%s", verb->name, *verb->arguments ? " " : "",
            verb->arguments);
    print_options(to, verb);
    fputc('\n', to);
}

static void help_all(void)
{
    help_usage(stdout, NULL);
    fputs("\nAn embedded transactional database in a directory, shared by many "
          "processes.\n\n", stdout);
    for (size_t i = 0; i < verb_count; i++) {
        printf("  %s %-*s  %s\n", verbs[i].name,
               21 - (int)strlen(verbs[i].name), verbs[i].arguments,
               verbs[i].summary);
    }
    fputs("\nThe argument - is all of standard input.  After -- every word is "
          "an argument.\n"
          "Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 an "
          "error.\n", stdout);
}

static void help_verb(const struct verb *verb)
{
    help_usage(stdout, verb);
    printf("\nluge %s: %s.\n%s", verb->name, verb->summary, verb->detail);
    if (verb->options) putchar('\n');
    for (int i = 0; i < OPTION_COUNT; i++) {
        char word[48];
        if (!(verb->options & OPTION_BIT(i))) continue;
        snprintf(word, sizeof(word), "--%s %s", options[i].name,
                 options[i].argument ? options[i].argument : "");
        printf("  %-24s %s\n", word, options[i].text);
    }
}

/* ---------------------------------------------------------- completion -- */

static void completion_cases(void)
{
    for (size_t i = 0; i < verb_count; i++) {
        printf("    %s) words=\"", verbs[i].name);
        for (int o = 0; o < OPTION_COUNT; o++)
            if (verbs[i].options & OPTION_BIT(o))
                printf("--%s ", options[o].name);
        puts("--help\" ;;");
    }
}

/* Verbs at the first word, directories at the second, options behind dashes. */
static void help_completion(void)
{
    fputs("# bash completion for luge, written by: luge help --completion\n"
          "_luge()\n{\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} words=\n"
          "    local verbs=\"", stdout);
    for (size_t i = 0; i < verb_count; i++)
        printf("%s%s", i ? " " : "", verbs[i].name);
    fputs("\"\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ] || {\n"
          "        [ \"$COMP_CWORD\" -eq 2 ] &&\n"
          "            [ \"${COMP_WORDS[1]}\" = help ]\n"
          "    }; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- "
          "\"$current\")\n"
          "        return\n"
          "    fi\n"
          "    case ${COMP_WORDS[1]} in\n", stdout);
    completion_cases();
    fputs("    esac\n"
          "    case $current in\n"
          "    -*) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
          "\"$current\") ;;\n"
          "    *) mapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;\n"
          "    esac\n"
          "}\n"
          "complete -o filenames -F _luge luge\n", stdout);
}

/* -------------------------------------------------------------- manual -- */

/* TEXT as scdoc wants it: what it takes for markup gets a backslash. */
static void man_text(const char *text)
{
    for (; *text; text++) {
        if (strchr("\\_*[]<>|", *text)) putchar('\\');
        putchar(*text);
    }
}

static void man_options(const struct verb *verb)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (!(verb->options & OPTION_BIT(i))) continue;
        printf(" \\[*--%s*", options[i].name);
        if (options[i].argument) {
            fputs(" _", stdout);
            man_text(options[i].argument);
            fputs("_", stdout);
        }
        fputs("\\]", stdout);
    }
}

static void man_sentence(const char *text)
{
    putchar(toupper((unsigned char)*text));
    man_text(text + 1);
    fputs(".\n", stdout);
}

/* scdoc indents by one tab for each line of a paragraph. */
static void man_detail(const char *detail)
{
    while (*detail) {
        size_t size = strcspn(detail, "\n");
        char line[128];
        snprintf(line, sizeof(line), "%.*s", (int)size, detail);
        putchar('\t');
        man_text(line);
        putchar('\n');
        detail += size + (detail[size] == '\n');
    }
}

static void help_man(void)
{
    fputs("# VERBS\n\n", stdout);
    for (size_t i = 0; i < verb_count; i++) {
        printf("*%s* ", verbs[i].name);
        man_text(verbs[i].arguments);
        man_options(&verbs[i]);
        fputs("\n\t", stdout);
        man_sentence(verbs[i].summary);
        man_detail(verbs[i].detail);
        putchar('\n');
    }
    fputs("# OPTIONS\n\n", stdout);
    for (int i = 0; i < OPTION_COUNT; i++) {
        printf("*--%s* ", options[i].name);
        if (options[i].argument) man_text(options[i].argument);
        fputs("\n\t", stdout);
        man_sentence(options[i].text);
        putchar('\n');
    }
}

/* --------------------------------------------------------------- verbs -- */

int verb_help(struct call *c)
{
    const char *name = call_text(c, 0);

    if (call_has(c, OPTION_COMPLETION)) {
        help_completion();
    } else if (call_has(c, OPTION_MAN)) {
        help_man();
    } else if (name) {
        const struct verb *verb = verb_find(name);
        if (!verb) return say_usage(NULL, "there is no verb '%s'", name);
        help_verb(verb);
    } else {
        help_all();
    }
    return EXIT_DONE;
}

int verb_version(struct call *c)
{
    (void)c;
    printf("luge %s\n", luge_version());
    return EXIT_DONE;
}
