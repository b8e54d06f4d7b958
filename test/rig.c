/* test/rig.c -- see rig.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rig.h"

#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

void answers_(int code, int rc, const char *call, const char *file, int line)
{
    if (rc == code) return;
    print_error("%s:%d: %s\n  gave %d (%s), not %d\n", file, line, call, rc,
                rc ? luge_last_error()->text : "fine", code);
    _assert_int_equal((LargestIntegralType)rc, (LargestIntegralType)code,
                      file, line);
}

int rig_setup_closed(void **state)
{
    struct rig *r = grab(sizeof *r);
    memset(r, 0, sizeof *r);
    r->base = scratch_make(SCRATCH_FAST);
    snprintf(r->path, sizeof r->path, "%s/db", r->base);
    *state = r;
    return 0;
}

int rig_setup(void **state)
{
    rig_setup_closed(state);
    rig_open(*state, NULL);
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;
    if (r->db) {
        fine(luge_check(r->db, NULL, NULL));
        rig_close(r);
    }
    scratch_remove(r->base);
    free(r);
    return 0;
}

void rig_open(struct rig *r, const struct luge_options *options)
{
    fine(luge_open(r->path, options, &r->db));
}

void rig_close(struct rig *r)
{
    fine(luge_close(r->db));
    r->db = NULL;
}

void rig_reopen(struct rig *r)
{
    rig_close(r);
    rig_open(r, NULL);
}

luge_txn *begin(struct rig *r, unsigned flags)
{
    luge_txn *txn;
    fine(luge_begin(r->db, flags, &txn));
    return txn;
}

void put(luge_txn *txn, luge_tree tree, const char *key, const char *value)
{
    fine(luge_put(txn, tree, luge_str(key), luge_str(value)));
}

bool is(luge_bytes b, const char *text)
{
    return b.size == strlen(text) && !memcmp(b.data, text, b.size);
}

void holds(luge_txn *txn, luge_tree tree, const char *key, const char *value)
{
    luge_bytes seen;
    answers(value ? 0 : LUGE_NOTFOUND,
            luge_get(txn, tree, luge_str(key), &seen));
    if (!value) return;
    assert_int_equal(seen.size, strlen(value));
    assert_memory_equal(seen.data, value, seen.size);
}

void now_holds(struct rig *r, luge_tree tree, const char *key,
               const char *value)
{
    luge_txn *txn = begin(r, LUGE_READ);
    holds(txn, tree, key, value);
    luge_abort(txn);
}

void commit_put(struct rig *r, const char *key, const char *value)
{
    luge_txn *txn = begin(r, LUGE_WRITE);
    put(txn, LUGE_MAIN, key, value);
    fine(luge_commit(txn));
}

luge_tree tree_make(luge_txn *txn, const char *name)
{
    luge_tree tree;
    fine(luge_tree_open(txn, luge_str(name), LUGE_TREE_CREATE, &tree));
    return tree;
}

uint64_t checksum(struct rig *r)
{
    uint64_t sum;
    luge_txn *txn = begin(r, LUGE_READ);
    fine(luge_checksum(txn, &sum));
    luge_abort(txn);
    return sum;
}

int in_child(int (*body)(struct rig *r), struct rig *r)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(60);
        _exit(body(r));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}
