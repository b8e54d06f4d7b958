/* log/log.c -- segments as files, and appending to them.
 *
 *      spare --log_use_spare--.
 *      old ----log_recycle----+--> ready --log_begin_segment--> live --> old
 *      absent --log_begin_segment--> live
 *
 * Life is in the header: a file whose header names another number, or none, is
 * not yet a segment.
 * Not here: reading (scan.c), who appends and who waits (txn/).
 */
#include <stdio.h>
#include <stdlib.h>

#include "log/log.h"

enum {
    LOG_VERSION = 1,
    PATH_BYTES = 4096,
    PIECE_BYTES = 64 << 10,
    SEGMENT_UNIT = 4096,
};

_Static_assert(sizeof(struct log_header) == 96, "format.md 4.1");
_Static_assert(offsetof(struct log_header, instance) == 16, "format.md 4.1");
_Static_assert(offsetof(struct log_header, number) == 32, "format.md 4.1");
_Static_assert(offsetof(struct log_header, previous_chain) == 56,
               "format.md 4.1");
_Static_assert(offsetof(struct log_header, first_seq) == 64, "format.md 4.1");
_Static_assert(offsetof(struct log_header, nonce) == 80, "format.md 4.1");
_Static_assert(offsetof(struct log_header, sum) == 88, "format.md 4.1");
_Static_assert(LOG_DATA_AT == 4096 && LOG_FRAME_HEAD == 40, "format.md 4.2");

static int path_of(const struct log *log, u64 number, char *path)
{
    int n = snprintf(path, PATH_BYTES, "%s/%010llu", log->directory,
                     (unsigned long long)number);
    if (n < 0 || n >= PATH_BYTES)
        return fail(LUGE_INVALID, "the path of the log is too long");
    return 0;
}

static int spare_path(const struct log *log, char *path)
{
    int n = snprintf(path, PATH_BYTES, "%s/spare-%u", log->directory,
                     log->owner);
    if (n < 0 || n >= PATH_BYTES)
        return fail(LUGE_INVALID, "the path of the log is too long");
    return 0;
}

int log_open(struct log *log, struct os *os, const char *directory,
             const u8 instance[16])
{
    memset(log, 0, sizeof *log);
    size_t n = strlen(directory) + 1;
    char *copy = base_alloc(n);
    if (!copy) return NOMEM();
    memcpy(copy, directory, n);
    log->os = os;
    log->directory = copy;
    memcpy(log->instance, instance, 16);
    log->seed = base_hash(instance, 16, LOG_VERSION);
    pthread_mutex_init(&log->lock, NULL);
    return 0;
}

static void forget(struct log *log, struct log_segment *segment)
{
    if (segment->base)
        log->os->unmap(log->os, segment->base, segment->size);
    if (segment->file) log->os->close(segment->file);
    memset(segment, 0, sizeof *segment);
}

void log_close(struct log *log)
{
    if (!log->os) return;
    for (int i = 0; i < LOG_OPEN_MAX; i++) forget(log, &log->open[i]);
    pthread_mutex_destroy(&log->lock);
    base_free((void *)(uintptr_t)log->directory);
    memset(log, 0, sizeof *log);
}

void log_trim(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    for (int i = 0; i < LOG_OPEN_MAX; i++)
        if (!log->open[i].users) forget(log, &log->open[i]);
    pthread_mutex_unlock(&log->lock);
}

/* ---------------------------------------------------- open segments -- */

static struct log_segment *find_open(struct log *log, u64 number)
{
    for (int i = 0; i < LOG_OPEN_MAX; i++)
        if (log->open[i].number == number) return &log->open[i];
    return NULL;
}

static struct log_segment *least_used(struct log *log)
{
    struct log_segment *best = NULL;
    for (int i = 0; i < LOG_OPEN_MAX; i++) {
        struct log_segment *s = &log->open[i];
        if (s->users) continue;
        if (!s->number) return s;
        if (!best || s->used_at < best->used_at) best = s;
    }
    return best;
}

static int open_entry(struct log *log, u64 number, unsigned flags,
                      struct log_segment **segment)
{
    char path[PATH_BYTES];
    int rc = path_of(log, number, path);
    if (rc) return rc;
    struct log_segment *s = least_used(log);
    if (!s) return fail(LUGE_LIMIT, "too many log segments are in use");
    forget(log, s);
    rc = log->os->open(log->os, path, flags, &s->file);
    if (!rc) rc = log->os->size(s->file, &s->size);
    if (rc) {
        forget(log, s);
        return rc;
    }
    s->number = number;
    *segment = s;
    return 0;
}

static int segment_get(struct log *log, u64 number, unsigned flags,
                       struct log_segment **segment)
{
    int rc = 0;
    pthread_mutex_lock(&log->lock);
    *segment = find_open(log, number);
    if (!*segment) rc = open_entry(log, number, flags, segment);
    if (!rc) {
        (*segment)->users++;
        (*segment)->used_at = ++log->clock;
    }
    pthread_mutex_unlock(&log->lock);
    return rc;
}

int log_segment_get(struct log *log, u64 number, struct log_segment **segment)
{
    return segment_get(log, number, log->only_read ? OS_READ : OS_WRITE,
                       segment);
}

int log_segment_map(struct log *log, struct log_segment *segment)
{
    int rc = 0;
    if (segment->size < LOG_DATA_AT)
        return CORRUPT("log segment %llu is cut short: %llu bytes",
                       (unsigned long long)segment->number,
                       (unsigned long long)segment->size);
    pthread_mutex_lock(&log->lock);
    bool fresh = !segment->base;
    if (fresh)
        rc = log->os->map_read(segment->file, segment->size, &segment->base);
    if (!rc && fresh)
        log->os->advise(log->os, segment->base, segment->size, OS_SEQUENTIAL);
    pthread_mutex_unlock(&log->lock);
    return rc;
}

void log_segment_put(struct log *log, struct log_segment *segment)
{
    pthread_mutex_lock(&log->lock);
    segment->users--;
    pthread_mutex_unlock(&log->lock);
}

/* The file NUMBER was renamed or removed: no entry may stand for it. */
void log_forget(struct log *log, u64 number)
{
    pthread_mutex_lock(&log->lock);
    struct log_segment *s = find_open(log, number);
    if (s && !s->users) forget(log, s);
    pthread_mutex_unlock(&log->lock);
}

/* ---------------------------------------------------------- appending -- */

enum { FRAME_SUM_AT = LOG_FRAME_HEAD - 8 };

u64 log_frame_sum(const struct log *log, const u8 *frame, u32 size, u64 chain)
{
    /* The sum's own field lies between head and payload: two steps. */
    return base_hash(frame + LOG_FRAME_HEAD, size,
                     base_hash(frame, FRAME_SUM_AT, chain ^ log->seed));
}

static int create_file(struct log *log, u64 number, u64 bytes,
                       struct log_segment **segment)
{
    int rc = segment_get(log, number, OS_WRITE | OS_CREATE, segment);
    if (rc) return rc;
    if ((*segment)->size < bytes) {
        rc = log->os->allocate((*segment)->file, 0, bytes);
        if (!rc) (*segment)->size = bytes;
        /* A part of it may be there: a full disk needs it for better things. */
        else (void)log->os->resize((*segment)->file, (*segment)->size);
    }
    if (!rc) rc = log->os->sync_dir(log->os, log->directory);
    if (rc) log_segment_put(log, *segment);
    return rc;
}

/* An existing file is ready if it is large enough.  Who made it or named it so
 * may have died before its name was durable. */
static int ready_file(struct log *log, u64 number, u64 bytes,
                      struct log_segment **segment)
{
    int rc = log_segment_get(log, number, segment);
    if (!rc && (*segment)->size >= bytes) {
        rc = log->os->sync_dir(log->os, log->directory);
        if (rc) log_segment_put(log, *segment);
        return rc;
    }
    if (!rc) {
        log_segment_put(log, *segment);
        log_forget(log, number);
        rc = LUGE_NOTFOUND;
    }
    return rc == LUGE_NOTFOUND ? create_file(log, number, bytes, segment) : rc;
}

int log_begin_segment(struct log *log, struct log_position *at, u64 number,
                      u64 first_seq, u64 bytes, u32 flags)
{
    struct log_segment *segment;
    struct log_header header = {
        .magic = "lugelog", .version = LOG_VERSION, .flags = flags,
        .number = number,
        .previous_segment = at->segment, .previous_offset = at->offset,
        .previous_chain = at->chain, .first_seq = first_seq,
    };
    memcpy(header.instance, log->instance, 16);
    int rc = log->may_write ? log->may_write(log->context) : 0;
    if (!rc) rc = ready_file(log, number, bytes, &segment);
    if (rc) return rc;
    header.bytes = segment->size;
    rc = log->os->random(log->os, &header.nonce, sizeof header.nonce);
    header.sum = base_hash(&header, offsetof(struct log_header, sum), number);
    if (!rc && log->may_write) rc = log->may_write(log->context);
    if (!rc)
        rc = log->os->write(segment->file, &header, sizeof header, 0);
    log_segment_put(log, segment);
    if (rc) return rc;
    *at = (struct log_position){number, LOG_DATA_AT, header.sum};
    return 0;
}

static u64 next_segment_bytes(u64 now, u64 need)
{
    u64 bytes = min_u64(max_u64(now * 2, LOG_SEGMENT_MIN), LOG_SEGMENT_MAX);
    return max_u64(bytes, round_up(LOG_DATA_AT + need, SEGMENT_UNIT));
}

static int void_frame(struct log *log, struct log_segment *segment, u64 offset)
{
    static const u8 nothing[LOG_FRAME_HEAD];
    if (offset + sizeof nothing > segment->size) return 0;
    return log->os->write(segment->file, nothing, sizeof nothing, offset);
}

/* Where a segment is left, the first frame of a record may stand that failed or
 * died before its last one.  Readers would take it for what follows. */
static int void_rest(struct log *log, struct log_segment *segment, u64 offset)
{
    int rc = log->may_write ? log->may_write(log->context) : 0;
    return rc ? rc : void_frame(log, segment, offset);
}

static int take_back_at(struct log *log, u64 number, u64 offset)
{
    struct log_segment *segment;
    int rc = log_segment_get(log, number, &segment);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;    /* it was dropped since */
    rc = void_frame(log, segment, offset);
    if (!rc) rc = log->os->sync(segment->file);
    log_segment_put(log, segment);
    return rc;
}

/* The first frame is where the log ended, or first in the next segment. */
int log_take_back(struct log *log, const struct log_position *from,
                  const struct log_position *to)
{
    int rc = take_back_at(log, from->segment, from->offset);
    if (rc || to->segment == from->segment) return rc;
    return take_back_at(log, from->segment + 1, LOG_DATA_AT);
}

static void seal(const struct log *log, const struct log_frame *frame,
                 u8 *buffer, u32 size, u64 chain)
{
    store32(buffer, size);
    buffer[4] = frame->kind;
    buffer[5] = frame->flags;
    store16(buffer + 6, 0);
    store64(buffer + 8, frame->seq);
    store64(buffer + 16, frame->time_ns);
    store64(buffer + 24, frame->durable);
    store64(buffer + FRAME_SUM_AT,
            log_frame_sum(log, buffer, size, chain));              /* L1 */
}

/* The whole frame is in BUFFER; AT moves behind it. */
static void finish(const struct log *log, struct log_position *at,
                   const struct log_frame *frame, u8 *buffer, u32 size)
{
    u64 need = log_frame_bytes(size);
    seal(log, frame, buffer, size, at->chain);
    memset(buffer + LOG_FRAME_HEAD + size, 0, need - LOG_FRAME_HEAD - size);
}

static void move_behind(struct log_position *at, const u8 *buffer, u32 size)
{
    at->offset += log_frame_bytes(size);
    at->chain = load64(buffer + FRAME_SUM_AT);
}

void log_append_to(const struct log *log, struct log_position *at,
                   const struct log_frame *frame, u8 *buffer, u32 size,
                   u8 *to)
{
    finish(log, at, frame, buffer, size);
    memcpy(to, buffer, log_frame_bytes(size));
    move_behind(at, buffer, size);
}

int log_write(struct log *log, const struct log_position *from,
              const struct log_position *at, const u8 *bytes)
{
    struct log_segment *segment;
    assert(from->segment == at->segment);
    int rc = log_segment_get(log, at->segment, &segment);
    if (rc) return rc;
    if (log->may_write) rc = log->may_write(log->context);
    if (!rc)
        rc = log->os->write(segment->file, bytes, at->offset - from->offset,
                            from->offset);
    log_segment_put(log, segment);
    return rc;
}

int log_segment_bytes(struct log *log, u64 number, u64 *bytes)
{
    struct log_segment *segment;
    int rc = log_segment_get(log, number, &segment);
    if (rc) return rc;
    *bytes = segment->size;
    log_segment_put(log, segment);
    return 0;
}

/* What was made to measure for one frame is left behind it: it is large, and
 * can go once nothing in it is needed. */
static bool is_full(u64 bytes, u64 offset, u64 need)
{
    return offset + need > bytes ||
           (bytes > LOG_SEGMENT_MAX && bytes - offset < SEGMENT_UNIT);
}

int log_append(struct log *log, struct log_position *at,
               const struct log_frame *frame, u8 *buffer, u32 size)
{
    struct log_segment *segment;
    u64 need = log_frame_bytes(size);
    int rc = log_segment_get(log, at->segment, &segment);
    if (rc) return rc;
    u64 bytes = segment->size;
    if (is_full(bytes, at->offset, need)) {
        rc = void_rest(log, segment, at->offset);
        log_segment_put(log, segment);
        if (!rc)
            rc = log_begin_segment(log, at, at->segment + 1, frame->seq,
                                   next_segment_bytes(bytes, need), 0);
        if (!rc) rc = log_segment_get(log, at->segment, &segment);
        if (rc) return rc;
    }
    finish(log, at, frame, buffer, size);
    if (log->may_write) rc = log->may_write(log->context);
    if (!rc) rc = log->os->write(segment->file, buffer, need, at->offset);
    log_segment_put(log, segment);
    if (!rc) move_behind(at, buffer, size);
    return rc;
}

/* END: where the next frame goes, or the segment's size. */
typedef int segment_fn(struct log *log, struct log_segment *segment, u64 end);

/* *tried (may be NULL): FN was called at all. */
static int with_segment(struct log *log, u64 number, segment_fn *fn, u64 end,
                        bool *tried)
{
    struct log_segment *segment;
    if (tried) *tried = false;
    int rc = log_segment_get(log, number, &segment);
    if (rc) return rc;
    if (tried) *tried = true;
    rc = fn(log, segment, min_u64(end, segment->size));
    log_segment_put(log, segment);
    return rc;
}

/* One that was recycled since is left out: a checkpoint is past it. */
static int with_any_segment(struct log *log, u64 number, segment_fn *fn,
                            bool *tried)
{
    int rc = with_segment(log, number, fn, UINT64_MAX, tried);
    return rc == LUGE_NOTFOUND ? 0 : rc;
}

static int each_listed(struct log *log, u64 from, u64 to, segment_fn *fn,
                       bool *tried)
{
    u64 *numbers;
    size_t count;
    int rc = log_list(log, from, to, &numbers, &count);
    for (size_t i = 0; i < count && !rc; i++)
        rc = with_any_segment(log, numbers[i], fn, tried);
    base_free(numbers);
    return rc;
}

/* Within a generation numbers have no gaps (L5), and a directory that cannot be
 * listed does not make a sync fail. */
static int each_segment(struct log *log, u64 from,
                        const struct log_position *at, segment_fn *fn,
                        bool *tried)
{
    int rc = 0;
    if (tried) *tried = false;
    if (log_generation(from) != log_generation(at->segment))
        rc = each_listed(log, from, at->segment - 1, fn, tried);
    else
        for (u64 n = from; n < at->segment && !rc; n++)
            rc = with_any_segment(log, n, fn, tried);
    return rc ? rc : with_segment(log, at->segment, fn, at->offset, tried);
}

static int sync_segment(struct log *log, struct log_segment *segment, u64 end)
{
    (void)end;
    return log->os->sync(segment->file);
}

int log_sync(struct log *log, u64 from, const struct log_position *at,
             bool *in_doubt)
{
    int rc = each_segment(log, from, at, sync_segment, in_doubt);
    if (in_doubt) *in_doubt = *in_doubt && rc;
    return rc;
}

static int start_segment(struct log *log, struct log_segment *segment, u64 end)
{
    return log->os->sync_start(segment->file, 0, end);
}

void log_sync_start(struct log *log, u64 from, const struct log_position *at)
{
    (void)each_segment(log, from, at, start_segment, NULL);
    base_forget();
}

static int rewrite_segment(struct log *log, struct log_segment *segment,
                           u64 end)
{
    u8 *room = base_alloc(PIECE_BYTES);
    int rc = room ? 0 : NOMEM();
    for (u64 at = 0; at < end && !rc; at += PIECE_BYTES) {
        size_t n = min_u64(PIECE_BYTES, end - at);
        rc = log->os->read(segment->file, room, n, at);
        if (!rc) rc = log->os->write(segment->file, room, n, at);
    }
    base_free(room);
    return rc;
}

int log_rewrite(struct log *log, u64 from, const struct log_position *at)
{
    return each_segment(log, from, at, rewrite_segment, NULL);
}

/* ------------------------------------------------- making and removing -- */

static int fill(struct os *os, struct os_file *file, u64 bytes)
{
    u8 *zeros = base_alloc_zero(PIECE_BYTES);
    int rc = zeros ? 0 : NOMEM();
    for (u64 at = 0; at < bytes && !rc; at += PIECE_BYTES)
        rc = os->write(file, zeros, min_u64(PIECE_BYTES, bytes - at), at);
    base_free(zeros);
    return rc;
}

int log_prepare(struct log *log, u64 bytes, bool filled)
{
    char path[PATH_BYTES];
    struct os_file *file = NULL;
    int rc = spare_path(log, path);
    if (!rc) rc = log->os->open(log->os, path, OS_WRITE | OS_CREATE, &file);
    if (!rc && filled) rc = fill(log->os, file, bytes);
    else if (!rc) rc = log->os->allocate(file, 0, bytes);
    if (!rc) rc = log->os->sync(file);
    if (rc && file) (void)log->os->resize(file, 0);     /* the disk is full */
    if (file) log->os->close(file);
    return rc;
}

static int rename_to(struct log *log, const char *from, u64 number)
{
    char to[PATH_BYTES];
    int rc = path_of(log, number, to);
    if (rc) return rc;
    log_forget(log, number);
    rc = log->os->rename(log->os, from, to);
    if (!rc) rc = log->os->sync_dir(log->os, log->directory);
    return rc;
}

int log_use_spare(struct log *log, u64 number)
{
    char from[PATH_BYTES];
    int rc = spare_path(log, from);
    return rc ? rc : rename_to(log, from, number);
}

int log_recycle(struct log *log, u64 old_number, u64 number)
{
    char from[PATH_BYTES];
    int rc = path_of(log, old_number, from);
    if (rc) return rc;
    log_forget(log, old_number);
    return rename_to(log, from, number);
}

int log_remove(struct log *log, u64 number)
{
    char path[PATH_BYTES];
    int rc = path_of(log, number, path);
    if (rc) return rc;
    log_forget(log, number);
    return log->os->unlink(log->os, path);
}

int log_exists(struct log *log, u64 number)
{
    char path[PATH_BYTES];
    struct os_stat stat;
    int rc = path_of(log, number, path);
    return rc ? rc : log->os->stat(log->os, path, &stat);
}

/* The number in a segment's name; 0: it is no segment. */
static u64 number_of(const char *name)
{
    u64 number = 0;
    for (const char *c = name; *c; c++) {
        if (*c < '0' || *c > '9') return 0;
        number = number * 10 + (u64)(*c - '0');
    }
    return number;
}

struct survey {
    struct log *log;
    u64 oldest, newest, bytes;
};

struct listing {
    u64 from, to;
    u64 *numbers;
    size_t count, capacity;
};

static int survey_name(void *context, const char *name)
{
    struct survey *survey = context;
    struct os_stat stat;
    char path[PATH_BYTES];
    u64 number = number_of(name);
    if (!number || path_of(survey->log, number, path)) return 0;
    int rc = survey->log->os->stat(survey->log->os, path, &stat);
    if (rc) return rc == LUGE_NOTFOUND ? 0 : rc;
    survey->bytes += stat.size;
    if (!survey->oldest || number < survey->oldest) survey->oldest = number;
    if (number > survey->newest) survey->newest = number;
    return 0;
}

static int remove_spare(void *context, const char *name)
{
    struct log *log = context;
    char path[PATH_BYTES];
    if (strncmp(name, "spare-", 6)) return 0;
    int n = snprintf(path, PATH_BYTES, "%s/%s", log->directory, name);
    return n < PATH_BYTES ? log->os->unlink(log->os, path) : 0;
}

int log_remove_spares(struct log *log)
{
    return log->os->list(log->os, log->directory, remove_spare, log);
}

static int list_name(void *context, const char *name)
{
    struct listing *l = context;
    u64 number = number_of(name);
    if (!number || number < l->from || number > l->to) return 0;
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 16;
        u64 *more = base_realloc(l->numbers, capacity * sizeof *more);
        if (!more) return NOMEM();
        l->numbers = more;
        l->capacity = capacity;
    }
    l->numbers[l->count++] = number;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    u64 x = *(const u64 *)a, y = *(const u64 *)b;
    return (x > y) - (x < y);
}

int log_list(struct log *log, u64 from, u64 to, u64 **numbers, size_t *count)
{
    struct listing l = {.from = from, .to = to};
    int rc = log->os->list(log->os, log->directory, list_name, &l);
    if (l.count) qsort(l.numbers, l.count, sizeof *l.numbers, ascending);
    *numbers = l.numbers;
    *count = l.count;
    return rc;
}

int log_remove_after(struct log *log, u64 number)
{
    u64 *numbers;
    size_t count;
    int rc = log_list(log, number + 1, UINT64_MAX, &numbers, &count);
    for (size_t i = 0; i < count && !rc; i++)
        rc = log_remove(log, numbers[i]);
    if (!rc && count) rc = log->os->sync_dir(log->os, log->directory);
    base_free(numbers);
    return rc;
}

int log_span(struct log *log, u64 *oldest, u64 *newest)
{
    struct survey survey = {.log = log};
    int rc = log->os->list(log->os, log->directory, survey_name, &survey);
    *oldest = survey.oldest;
    *newest = survey.newest;
    if (!rc && !survey.oldest) rc = LUGE_NOTFOUND;
    return rc;
}

u64 log_bytes(struct log *log)
{
    struct survey survey = {.log = log};
    return log->os->list(log->os, log->directory, survey_name, &survey)
               ? 0 : survey.bytes;
}
