/* store/backup_read.c -- blocks of a backup, read and checked (backup.h).
 * Not here: what is done with them (restore.c).
 */
#include "store/backup.h"

int backup_reader_open(struct backup_reader *r)
{
    r->payload = base_alloc(BACKUP_PAYLOAD_MAX);
    return r->payload ? 0 : NOMEM();
}

void backup_reader_close(struct backup_reader *r)
{
    base_free(r->payload);
    r->payload = NULL;
}

/* Fewer than SIZE bytes only at the end of the stream. */
static int read_some(struct backup_reader *r, void *to, size_t size,
                     size_t *had)
{
    u8 *at = to;
    *had = 0;
    while (*had < size) {
        size_t got = 0;
        int rc = r->stream->read(r->stream->context, at + *had, size - *had,
                                 &got);
        if (rc) return rc;
        if (got > size - *had)
            return fail(LUGE_INVALID, "a stream read more than it was asked");
        if (!got) break;
        *had += got;
        r->done.bytes += got;
    }
    return 0;
}

static int read_all(struct backup_reader *r, void *to, size_t size)
{
    size_t had;
    int rc = read_some(r, to, size, &had);
    if (rc || had == size) return rc;
    return CORRUPT("the backup is cut short after %llu bytes",
                   (unsigned long long)r->done.bytes);
}

static int read_start(struct backup_reader *r)
{
    struct backup_start start;
    size_t had;
    int rc = read_some(r, &start, sizeof start, &had);
    if (rc) return rc;
    if (!had) return LUGE_NOTFOUND;
    if (had < sizeof start || memcmp(start.magic, "lugeback", 8) != 0)
        return CORRUPT("this is not a backup of luge");
    if (start.version != BACKUP_VERSION)
        return fail(LUGE_VERSION, "a backup of version %u; this luge knows %d",
                    start.version, BACKUP_VERSION);
    r->sum = 0;
    return 0;
}

/* By kind: the smallest payload. */
static int sizes_ok(const struct backup_reader *r)
{
    static const u32 smallest[] = {
        [BACKUP_HEAD] = sizeof(struct backup_head),
        [BACKUP_FRAME] = sizeof(struct backup_frame), [BACKUP_PIECE] = 1,
        [BACKUP_PAGES] = 8 + 4096, [BACKUP_END] = 16,
    };
    const struct backup_block *b = &r->block;
    if (b->kind && b->kind < ARRAY_COUNT(smallest) &&
        b->size >= smallest[b->kind] && b->size <= BACKUP_PAYLOAD_MAX)
        return 0;
    return CORRUPT("before byte %llu of the backup a block of kind %u claims "
                   "%u bytes", (unsigned long long)r->done.bytes, b->kind,
                   b->size);
}

int backup_read_block(struct backup_reader *r)
{
    u64 sum;
    int rc = read_all(r, &r->block, sizeof r->block);
    if (!rc) rc = sizes_ok(r);
    if (!rc) rc = read_all(r, r->payload, r->block.size);
    if (!rc) rc = read_all(r, &sum, sizeof sum);
    if (rc) return rc;
    r->sum = backup_sum(&r->block, r->payload, r->sum);             /* B1 */
    if (sum == r->sum) return 0;
    return CORRUPT("the checksum of the block before byte %llu of the backup "
                   "is wrong", (unsigned long long)r->done.bytes);
}

static bool plausible(const struct backup_head *h)
{
    u32 page = h->page_bytes;
    return page >= 4096 && page <= 65536 && !(page & (page - 1)) && h->seq &&
           h->page_count >= 2 && h->page_count < PAGE_NUMBER_MAX &&
           h->catalog < h->page_count && h->publication &&
           h->base_seq <= h->seq && h->ids <= (u64)1 << 62;
}

int backup_read_head(struct backup_reader *r)
{
    int rc = read_start(r);
    if (!rc) rc = backup_read_block(r);
    if (rc) return rc;
    if (r->block.kind != BACKUP_HEAD)
        return CORRUPT("the backup does not begin with its head");
    memcpy(&r->head, r->payload, sizeof r->head);
    if (!plausible(&r->head))
        return CORRUPT("the head of the backup contradicts itself");
    return 0;
}

void backup_info(const struct backup_head *head, struct luge_backup_info *info)
{
    *info = (struct luge_backup_info){
        .seq = head->seq, .time_ns = head->time_ns, .base_seq = head->base_seq,
        .publication = head->publication,
        .log = {head->log.segment, head->log.offset, head->log.chain},
        .pages = head->pages, .page_bytes = head->page_bytes,
        .has_log = head->flags & 1,
    };
    memcpy(info->id, head->id, sizeof info->id);
    memcpy(info->base, head->base, sizeof info->base);
    memcpy(info->database, head->instance, sizeof info->database);
}

int luge_backup_look(const struct luge_backup_stream *stream,
                     struct luge_backup_info *info)
{
    struct backup_reader r = {.stream = stream};
    int rc = backup_reader_open(&r);
    if (!rc) rc = backup_read_head(&r);
    if (rc == LUGE_NOTFOUND) rc = CORRUPT("the backup is empty");
    if (!rc) backup_info(&r.head, info);
    backup_reader_close(&r);
    return rc;
}
