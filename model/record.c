/* model/record.c -- reading and writing records by the rules of record.h. */
#include "record.h"

#include <assert.h>
#include <string.h>

/* ------------------------------------------------------------- reading -- */

int record_read(const struct record_head *defaults, luge_bytes raw,
                void *fixed)
{
    struct record_head head;

    if (raw.size < sizeof(head))
        return MODEL_CORRUPT("a record has only %zu bytes", raw.size);
    memcpy(&head, raw.data, sizeof(head));
    if (head.bytes < sizeof(head) || head.bytes > raw.size)
        return MODEL_CORRUPT("a record of %zu bytes claims %u fixed ones",
                             raw.size, head.bytes);
    if (!head.version) return MODEL_CORRUPT("a record has version 0");
    if (head.version > defaults->version)
        return model_fail(LUGE_VERSION, "a record has version %u; this luge "
                          "knows %u", head.version, defaults->version);
    memcpy(fixed, defaults, defaults->bytes);
    memcpy(fixed, raw.data,
           head.bytes < defaults->bytes ? head.bytes : defaults->bytes);
    return 0;
}

int record_part(luge_bytes raw, struct record_part part, luge_bytes *bytes)
{
    struct record_head head;

    *bytes = luge_bytes_of("", 0);
    if (!part.size) return 0;
    memcpy(&head, raw.data, sizeof(head));
    if (part.at < head.bytes || part.at > raw.size ||
        part.size > raw.size - part.at)
        return MODEL_CORRUPT("a record of %zu bytes has a part of %u at %u",
                             raw.size, part.size, part.at);
    *bytes = luge_bytes_of((const char *)raw.data + part.at, part.size);
    return 0;
}

/* ------------------------------------------------------------- writing -- */

void record_begin(struct record_writer *w, struct record_head *fixed)
{
    w->fixed = fixed;
    w->size = fixed->bytes;
    w->count = 0;
    w->large = NULL;
}

void record_add(struct record_writer *w, struct record_part *part,
                luge_bytes bytes)
{
    assert(w->count < RECORD_PARTS_MAX);
    *part = (struct record_part){0, 0};
    if (!bytes.size) return;
    *part = (struct record_part){(uint32_t)w->size, (uint32_t)bytes.size};
    w->parts[w->count++] = bytes;
    w->size += bytes.size;      /* whether it fits, record_end says */
}

int record_end(struct record_writer *w, luge_bytes *raw)
{
    unsigned char *to = w->small;
    size_t at = w->fixed->bytes;

    if (w->size > UINT32_MAX)
        return model_fail(LUGE_TOOBIG, "a record of %zu bytes", w->size);
    if (w->size > sizeof(w->small)) {
        to = w->large = model_alloc(w->size);
        if (!to) return MODEL_NOMEM();
    }
    memcpy(to, w->fixed, w->fixed->bytes);
    for (unsigned i = 0; i < w->count; i++) {
        memcpy(to + at, w->parts[i].data, w->parts[i].size);
        at += w->parts[i].size;
    }
    assert(at == w->size);
    *raw = luge_bytes_of(to, w->size);
    return 0;
}

void record_free(struct record_writer *w)
{
    model_free(w->large);
    w->large = NULL;
}
