/* cli/compact.c -- the verb that gives space back: compact. */
#include <inttypes.h>
#include <unistd.h>

#include "cli.h"
#include "luge_compact.h"

static int tell(void *context, const struct luge_compacted *so_far)
{
    (void)context;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "luge: compact: %" PRIu64 " bytes, %" PRIu64
                " moved\n", so_far->after_bytes, so_far->moved_bytes);
    return 0;
}

int verb_compact(struct call *c)
{
    struct luge_compacted done;
    int rc, code = call_open(c, LUGE_MUST_EXIST);

    if (code) return code;
    rc = luge_compact(c->db, tell, NULL, &done);
    if (rc) return say_error(rc);
    if (call_has(c, OPTION_JSON))
        print_json(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "before_bytes",
                             json_of_count(done.before_bytes), "after_bytes",
                             json_of_count(done.after_bytes), "free_bytes",
                             json_of_count(done.free_bytes), "packed_bytes",
                             json_of_count(done.packed_bytes), "moved_bytes",
                             json_of_count(done.moved_bytes), "longest_us",
                             json_of_count(done.longest_us)));
    else
        printf("before\t%" PRIu64 "\nafter\t%" PRIu64 "\nfree\t%" PRIu64
               "\npacked\t%" PRIu64 "\nmoved\t%" PRIu64
               "\nlongest_us\t%" PRIu64 "\n",
               done.before_bytes, done.after_bytes, done.free_bytes,
               done.packed_bytes, done.moved_bytes, done.longest_us);
    return EXIT_DONE;
}
