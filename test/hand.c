/* test/hand.c -- see hand.h.  As in model.c, the one function past 70 lines,
 * txn_step, is the switch over all steps. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "hand.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luge_compact.h"
#include "luge_fork.h"
#include "support.h"

/* ------------------------------------------------------------ snapshots -- */

static bool read_only(const struct hand_slot *slot)
{
    return !(slot->flags & (LUGE_WRITE | LUGE_TURN));
}

static void keep(struct hand_slot *slot, luge_bytes b)
{
    if (!read_only(slot) || !b.size || slot->kept_count == KEPT) return;
    struct kept *k = &slot->kept[slot->kept_count++];
    k->data = b.data;
    k->size = b.size;
    k->sum = digest(0, b.data, b.size);
}

static int kept_check(const struct hand *h)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct hand_slot *slot = &h->slots[i];
        for (unsigned j = 0; slot->txn && j < slot->kept_count; j++) {
            const struct kept *k = &slot->kept[j];
            if (digest(0, k->data, k->size) != k->sum) return HAND_CHANGED;
        }
    }
    return 0;
}

/* --------------------------------------------------- one tree, all trees -- */

static int tree_backward(luge_txn *txn, luge_tree tree, uint64_t expected)
{
    luge_cursor *c;
    uint64_t sum = 0, count = 0;
    luge_bytes key, value;
    int rc = luge_cursor_open(txn, tree, &c);
    if (rc) return rc;
    while (!(rc = luge_cursor_prev(c, &key, &value))) {
        sum += digest_pair(0, key, value);
        count++;
    }
    luge_cursor_close(c);
    if (rc != LUGE_NOTFOUND) return rc;
    return sum + count == expected ? 0 : HAND_DISAGREES;
}

/* Chains TREE onto *sum; its count and its reverse must agree. */
static int tree_digest(struct hand_slot *slot, luge_tree tree, luge_bytes name,
                       uint64_t *sum)
{
    luge_cursor *c;
    uint64_t count, seen = 0, back = 0;
    luge_bytes key, value;
    int rc = luge_tree_count(slot->txn, tree, &count);
    if (!rc) rc = luge_cursor_open(slot->txn, tree, &c);
    if (rc) return rc;
    *sum = digest_tree(*sum, name, count);
    while (!(rc = luge_cursor_next(c, &key, &value))) {
        *sum = digest_pair(*sum, key, value);
        back += digest_pair(0, key, value);
        seen++;
        keep(slot, value);
    }
    luge_cursor_close(c);
    if (rc != LUGE_NOTFOUND) return rc;
    if (seen != count) return HAND_DISAGREES;
    return tree_backward(slot->txn, tree, back + seen);
}

static int all_digest(struct hand_slot *slot, uint64_t *sum)
{
    unsigned char room[LUGE_NAME_SIZE_MAX];
    luge_bytes name = luge_bytes_of(room, 0);
    luge_tree tree;
    int rc;
    *sum = 0;
    while (!(rc = luge_tree_after(slot->txn, name, &name, &tree))) {
        if (name.size > sizeof room) return HAND_DISAGREES;
        memcpy(room, name.data, name.size);
        name.data = room;
        rc = tree_digest(slot, tree, name, sum);
        if (rc) return rc;
    }
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int digest_anew(struct hand *h, uint64_t *sum)
{
    struct hand_slot slot = {0};
    int rc = luge_begin(h->db, LUGE_READ, &slot.txn);
    if (rc) return rc;
    rc = all_digest(&slot, sum);
    luge_abort(slot.txn);
    return rc;
}

/* ------------------------------------------------------ update and merge -- */

struct change { unsigned index; struct blob *result; };

static int on_update(void *context, const luge_bytes *old, luge_bytes *result)
{
    struct change *change = context;
    blob_drop(change->result);
    int rc = transform(change->index, old, &change->result);
    if (rc == 1) *result = blob_bytes(change->result);
    return rc;
}

static int on_merge(void *context, luge_bytes key, const luge_bytes *old,
                    luge_bytes operand, luge_bytes *result)
{
    struct blob **room = context;
    (void)key;
    blob_drop(*room);
    int rc = merge_twin(old, operand, room);
    if (rc == 1) *result = blob_bytes(*room);
    return rc;
}

/* ---------------------------------------------------- open, close, check -- */

static void slots_forget(struct hand *h)
{
    for (int i = 0; i < SLOTS; i++) {
        luge_abort(h->slots[i].txn);
        memset(&h->slots[i], 0, sizeof h->slots[i]);
    }
}

static struct blob *merge_room; /* of the operator "twin": one per process */

static int db_open(struct hand *h)
{
    int rc = luge_open(h->path, &h->options, &h->db);
    return rc ? rc
              : luge_operator_register(h->db, "twin", on_merge, &merge_room);
}

static void on_defect(void *context, const char *sentence)
{
    struct blob **all = context;
    if (!*all) *all = blob_of(sentence, strlen(sentence));
    fprintf(stderr, "luge_check: %s\n", sentence);
}

static int reopen(struct hand *h, uint64_t *recovered)
{
    slots_forget(h);
    int rc = luge_close(h->db);
    h->db = NULL;
    if (!rc) rc = db_open(h);
    if (!rc) *recovered = (uint64_t)luge_was_recovered(h->db);
    return rc;
}

static int next_id(struct hand *h, unsigned count, uint64_t *number)
{
    uint64_t id;
    int rc = count ? luge_next_ids(h->db, count, &id)
                   : luge_next_id(h->db, &id);
    if (!rc) *number = id;
    return rc;
}

static int batch(struct hand *h, const struct step *s)
{
    struct luge_op ops[64];
    struct batch_op op;
    size_t count = 0;
    for (size_t at = 0; count < 64 && batch_next(s->value, &at, &op); count++) {
        ops[count].kind = op.del ? LUGE_OP_DEL : LUGE_OP_PUT;
        ops[count].tree = op.tree;
        ops[count].key = op.key;
        ops[count].value = op.value;
    }
    return luge_apply(h->db, s->flags, ops, count);
}

/* ---------------------------------------------------------------- steps -- */

static void give(struct hand_slot *slot, struct outcome *o, luge_bytes *key,
                 luge_bytes *value)
{
    if (key) o->key = blob_of(key->data, key->size);
    if (!value) return;
    o->value = blob_of(value->data, value->size);
    keep(slot, *value);
}

static void db_step(struct hand *h, const struct step *s, struct outcome *o)
{
    struct luge_stats stats;
    struct blob *text = NULL;
    switch (s->kind) {
    case STEP_DIGEST: o->rc = digest_anew(h, &o->number); break;
    case STEP_BATCH: o->rc = batch(h, s); break;
    case STEP_SYNC: o->rc = luge_sync(h->db); break;
    case STEP_CHECKPOINT: o->rc = luge_checkpoint(h->db); break;
    case STEP_COMPACT:
        o->rc = luge_compact(h->db, NULL, NULL, NULL);
        break;
    case STEP_CHECK:
        o->rc = luge_check(h->db, on_defect, &text);
        if (text && !o->rc) o->rc = HAND_DISAGREES;
        blob_drop(text);
        break;
    case STEP_NEXT_ID: o->rc = next_id(h, s->index, &o->number); break;
    case STEP_STAT:
        o->rc = luge_stat(h->db, &stats);
        if (!o->rc) o->number = stats.processes;
        break;
    case STEP_CLOSE_BUSY: o->rc = luge_close(h->db); break;
    case STEP_REOPEN: o->rc = reopen(h, &o->number); break;
    default: die("the hand cannot %s without a slot", step_name(s->kind));
    }
}

static const luge_bytes *maybe(const struct blob *b, luge_bytes *room)
{
    if (!b) return NULL;
    *room = blob_bytes(b);
    return room;
}

static int merge_step(struct hand_slot *slot, const struct step *s,
                      luge_bytes *out)
{
    return luge_combine(slot->txn, s->tree, blob_bytes(s->key),
                        merge_names[s->index], blob_bytes(s->value), out);
}

static int fork_tree(luge_txn *txn, luge_tree source, luge_bytes to,
                     uint64_t *number)
{
    char copy[LUGE_NAME_SIZE_MAX];
    luge_bytes name;
    int rc = luge_tree_name(txn, source, &name);
    if (rc) return rc;
    memcpy(copy, name.data, name.size);
    rc = luge_fork(txn, luge_bytes_of(copy, name.size), to, NULL);
    return rc ? rc : luge_tree_open(txn, to, 0, number);
}

static void txn_step(struct hand_slot *slot, const struct step *s,
                     struct outcome *o)
{
    luge_txn *t = slot->txn;
    luge_cursor *c = slot->cursors[s->cursor];
    luge_bytes key = {0}, value = {0}, room, room2;
    luge_bytes in = blob_bytes(s->key);
    struct change change = {s->index, NULL};
    int rc;
    bool give_key = false, give_value = false;

    switch (s->kind) {
    case STEP_RENEW:
        slot->kept_count = 0;
        rc = luge_renew(t);
        o->number = luge_txn_seq(t);
        break;
    case STEP_SAVEPOINT:
        rc = luge_savepoint(t, &slot->savepoints[s->index]);
        break;
    case STEP_ROLLBACK:
        rc = luge_rollback(t, slot->savepoints[s->index]);
        break;
    case STEP_TREE_OPEN:
        rc = luge_tree_open(t, in, s->flags, &o->number);
        break;
    case STEP_TREE_DROP: rc = luge_tree_drop(t, s->tree); break;
    case STEP_TREE_CLEAR: rc = luge_tree_clear(t, s->tree); break;
    case STEP_TREE_RENAME: rc = luge_tree_rename(t, s->tree, in); break;
    case STEP_TREE_FORK: rc = fork_tree(t, s->tree, in, &o->number); break;
    case STEP_SNAPSHOT:
        rc = luge_snapshot(t, luge_str(""), in);
        if (rc == LUGE_EXISTS) rc = luge_snapshot_drop(t, in);
        break;
    case STEP_TREE_COUNT: rc = luge_tree_count(t, s->tree, &o->number); break;
    case STEP_TREE_NAME:
        rc = luge_tree_name(t, s->tree, &key);
        give_key = true;
        break;
    case STEP_TREE_AFTER:
        rc = luge_tree_after(t, in, &key, &o->number);
        give_key = true;
        break;
    case STEP_GET:
        rc = luge_get(t, s->tree, in, &value);
        give_value = true;
        break;
    case STEP_PUT:
        rc = luge_put(t, s->tree, in, blob_bytes(s->value));
        break;
    case STEP_ADD:
        rc = luge_add(t, s->tree, in, blob_bytes(s->value));
        break;
    case STEP_DEL: rc = luge_del(t, s->tree, in); break;
    case STEP_DEL_RANGE:
        rc = luge_del_range(t, s->tree, maybe(s->key, &room),
                            maybe(s->to, &room2),
                            s->flags ? &o->number : NULL);
        break;
    case STEP_CAS:
        rc = luge_cas(t, s->tree, in, maybe(s->to, &room),
                      maybe(s->value, &room2), &value);
        if (rc == LUGE_MISMATCH) give(slot, o, NULL, &value);
        break;
    case STEP_UPDATE:
        rc = luge_update(t, s->tree, in, on_update, &change);
        break;
    case STEP_MERGE:
        rc = merge_step(slot, s, &value);
        /* "twin" without an operand removes, so there is no new value */
        give_value = s->index != 5 || s->value->size;
        break;
    case STEP_NEAR:
        rc = luge_near(t, s->tree, s->flags, in, &key, &value);
        give_key = give_value = true;
        break;
    case STEP_POP_MIN:
        rc = luge_pop_min(t, s->tree, &key, &value);
        give_key = give_value = true;
        break;
    case STEP_POP_MAX:
        rc = luge_pop_max(t, s->tree, &key, &value);
        give_key = give_value = true;
        break;
    case STEP_CURSOR_OPEN:
        rc = luge_cursor_open(t, s->tree, &slot->cursors[s->cursor]);
        break;
    case STEP_CURSOR_CLOSE:
        luge_cursor_close(c);
        slot->cursors[s->cursor] = NULL;
        rc = 0;
        break;
    case STEP_CURSOR_RANGE:
        rc = luge_cursor_range(c, maybe(s->key, &room), maybe(s->to, &room2));
        break;
    case STEP_CURSOR_PREFIX: rc = luge_cursor_prefix(c, in); break;
    case STEP_CURSOR_SEEK:
        rc = luge_cursor_seek(c, s->flags, in, &key, &value);
        give_key = give_value = true;
        break;
    case STEP_CURSOR_NEXT:
        rc = luge_cursor_next(c, &key, &value);
        give_key = give_value = true;
        break;
    case STEP_CURSOR_PREV:
        rc = luge_cursor_prev(c, &key, &value);
        give_key = give_value = true;
        break;
    case STEP_CURSOR_DEL: rc = luge_cursor_del(c); break;
    case STEP_DIGEST: rc = all_digest(slot, &o->number); break;
    case STEP_CHECKSUM: rc = luge_checksum(t, &o->number); break;
    default:
        rc = 0;
        die("the hand cannot %s", step_name(s->kind));
    }
    o->rc = rc;
    if (rc) o->number = 0;
    else give(slot, o, give_key ? &key : NULL, give_value ? &value : NULL);
    blob_drop(change.result);
}

static void slot_step(struct hand *h, const struct step *s, struct outcome *o)
{
    struct hand_slot *slot = &h->slots[s->slot];
    switch (s->kind) {
    case STEP_BEGIN:
        memset(slot, 0, sizeof *slot);
        slot->flags = s->flags;
        o->rc = luge_begin(h->db, s->flags, &slot->txn);
        if (!o->rc) o->number = luge_txn_seq(slot->txn);
        else slot->txn = NULL;
        break;
    case STEP_COMMIT:
        o->rc = luge_commit(slot->txn);
        memset(slot, 0, sizeof *slot);
        break;
    case STEP_ABORT:
        luge_abort(slot->txn);
        memset(slot, 0, sizeof *slot);
        break;
    default: txn_step(slot, s, o);
    }
}

static void step_here(struct hand *h, const struct step *s, struct outcome *o)
{
    memset(o, 0, sizeof *o);
    int rc = kept_check(h);
    if (s->slot == NO_SLOT) db_step(h, s, o);
    else slot_step(h, s, o);
    if (!rc) rc = kept_check(h);
    if (rc) o->rc = rc;
}

/* --------------------------------------------------------------- pipes -- */

static bool put_all(int fd, const void *data, size_t size)
{
    for (const char *p = data; size;) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

static bool get_all(int fd, void *data, size_t size)
{
    for (char *p = data; size;) {
        ssize_t n = read(fd, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

static bool put_blob(int fd, const struct blob *b)
{
    uint64_t size = b ? b->size : UINT64_MAX;
    return put_all(fd, &size, sizeof size) && (!b || put_all(fd, b->data,
                                                             b->size));
}

static bool get_blob(int fd, struct blob **b)
{
    uint64_t size;
    *b = NULL;
    if (!get_all(fd, &size, sizeof size)) return false;
    if (size == UINT64_MAX) return true;
    *b = grab(sizeof **b + size);
    (*b)->owners = 1;
    (*b)->size = size;
    return get_all(fd, (*b)->data, size);
}

static bool put_step(int fd, const struct step *s)
{
    return put_all(fd, s, sizeof *s) && put_blob(fd, s->key) &&
           put_blob(fd, s->to) && put_blob(fd, s->value);
}

static bool get_step(int fd, struct step *s)
{
    return get_all(fd, s, sizeof *s) && get_blob(fd, &s->key) &&
           get_blob(fd, &s->to) && get_blob(fd, &s->value);
}

static bool put_outcome(int fd, const struct outcome *o)
{
    return put_all(fd, o, sizeof *o) && put_blob(fd, o->key) &&
           put_blob(fd, o->value);
}

static bool get_outcome(int fd, struct outcome *o)
{
    return get_all(fd, o, sizeof *o) && get_blob(fd, &o->key) &&
           get_blob(fd, &o->value);
}

/* The child: steps come in, outcomes go out, until STEP_KINDS says the end (a
 * closed pipe would not: brothers hold its other end, too). */
static void serve(struct hand *h, int in, int out)
{
    struct step s;
    struct outcome o = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    o.rc = db_open(h);
    if (!put_outcome(out, &o)) _exit(2);
    while (get_step(in, &s) && s.kind != STEP_KINDS) {
        step_here(h, &s, &o);
        if (!put_outcome(out, &o)) _exit(2);
        outcome_free(&o);
        step_free(&s);
    }
    slots_forget(h);
    _exit(luge_close(h->db) ? 3 : 0);
}

/* ---------------------------------------------------------------- public -- */

int hand_open(struct hand *h, const char *path,
              const struct luge_options *options)
{
    memset(h, 0, sizeof *h);
    h->path = path;
    h->options = *options;
    return db_open(h);
}

int hand_fork(struct hand *h, const char *path,
              const struct luge_options *options)
{
    int down[2], up[2];
    struct outcome o;
    memset(h, 0, sizeof *h);
    h->path = path;
    h->options = *options;
    if (pipe2(down, O_CLOEXEC) || pipe2(up, O_CLOEXEC)) die("no pipe");
    fflush(NULL);
    h->child = fork();
    if (h->child < 0) die("no fork");
    if (!h->child) {
        close(down[1]);
        close(up[0]);
        serve(h, down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    h->to_child = down[1];
    h->from_child = up[0];
    hand_receive(h, &o);
    return o.rc;
}

int hand_close(struct hand *h)
{
    const struct step end = {.kind = STEP_KINDS};
    int status;
    if (!h->child) {
        slots_forget(h);
        return luge_close(h->db);
    }
    hand_send(h, &end);
    waitpid(h->child, &status, 0);
    close(h->to_child);
    close(h->from_child);
    h->child = 0;
    return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : HAND_GONE;
}

void hand_kill(struct hand *h)
{
    kill(h->child, SIGKILL);
    waitpid(h->child, NULL, 0);
    close(h->to_child);
    close(h->from_child);
    h->child = 0;
}

void hand_send(struct hand *h, const struct step *s)
{
    (void)!put_step(h->to_child, s); /* a dead child shows at the receiving */
}

void hand_receive(struct hand *h, struct outcome *o)
{
    memset(o, 0, sizeof *o);
    if (get_outcome(h->from_child, o)) return;
    memset(o, 0, sizeof *o);
    o->rc = HAND_GONE;
}

void hand_step(struct hand *h, const struct step *s, struct outcome *o)
{
    if (!h->child) {
        step_here(h, s, o);
        return;
    }
    hand_send(h, s);
    hand_receive(h, o);
}
