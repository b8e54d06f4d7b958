/* test/mutate.c -- see mutate.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mutate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "page/file.h"
#include "tree/tree.h"
#include "txn/env.h"

struct job {
    struct image *image;
    struct dice *d;
    char *say;
    u32 page_bytes;               /* of db; 0: there is none to speak of */
    u8 instance[16];
};

static void say(struct job *j, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct job *j, const char *format, ...)
{
    size_t at = strlen(j->say);
    va_list list;
    va_start(list, format);
    vsnprintf(j->say + at, MUTATE_SAY - at, format, list);
    va_end(list);
}

/* Numbers that programs stumble over, and such as are near OLD. */
static u64 number(struct job *j, u64 old)
{
    static const u64 odd[] = {
        0, 1, 2, 3, 4, 31, 32, 0x7f, 0x80, 0xff, 0x100, 0x400, 0x401, 0xfff,
        0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, 0x10000,
        0x7fffffff, 0x80000000, 0xffffffff, (u64)1 << 32, (u64)1 << 35,
        PAGE_NUMBER_MAX - 1, PAGE_NUMBER_MAX, (u64)1 << 52, (u64)1 << 62,
        PAGE_PRIVATE, PAGE_PRIVATE | 1, PAGE_PRIVATE | 4096, INT64_MAX,
        UINT64_MAX - 1, UINT64_MAX,
    };
    u32 roll = dice_below(j->d, 100);
    if (roll < 50) return odd[dice_below(j->d, ARRAY_COUNT(odd))];
    if (roll < 65) return old + dice_below(j->d, 5) - 2;
    if (roll < 75) return old ^ (u64)1 << dice_below(j->d, 64);
    if (roll < 90) return dice_below(j->d, 300);
    return dice_next(j->d);
}

static u64 below(struct job *j, u64 bound)
{
    return bound ? dice_next(j->d) % bound : 0;
}

static struct image_file *some_file(struct job *j)
{
    return &j->image->files[below(j, j->image->count)];
}

/* A log segment, or NULL. */
static struct image_file *some_segment(struct job *j)
{
    size_t at = below(j, j->image->count);
    for (size_t i = 0; i < j->image->count; i++) {
        struct image_file *f =
            &j->image->files[(at + i) % j->image->count];
        if (!strncmp(f->name, "log/0", 5) && f->size > LOG_DATA_AT) return f;
    }
    return NULL;
}

/* --------------------------------------------------------------- blind -- */

/* Dense where something stands. */
static size_t some_place(struct job *j, const struct image_file *f)
{
    u64 at = below(j, f->size);
    if (dice_chance(j->d, 25)) at = below(j, min_u64(f->size, 9000));
    for (u32 tries = 0; tries < 20 && !f->data[at]; tries++)
        at = below(j, f->size);
    return at;
}

static void flip_bytes(struct job *j, struct image_file *f)
{
    u32 count = 1 + dice_below(j->d, 4);
    if (!f->size) return;
    say(j, "%s:", f->name);
    while (count--) {
        size_t at = some_place(j, f);
        u8 old = f->data[at], byte = (u8)number(j, old);
        if (dice_chance(j->d, 60)) byte = (u8)(old ^ 1u << below(j, 8));
        f->data[at] = byte;
        say(j, " [%zu]=%02x", at, byte);
    }
    say(j, "; ");
}

/* A run of zeros, noise, or what stands elsewhere in any file. */
static void smear(struct job *j, struct image_file *f)
{
    if (!f->size) return;
    size_t at = some_place(j, f);
    size_t n = (size_t)1 << below(j, 14);
    if (dice_chance(j->d, 50)) at &= ~(size_t)511;
    n = min_u64(n, f->size - at);
    const struct image_file *g = some_file(j);
    u32 how = dice_below(j->d, 3);
    if (how == 0) memset(f->data + at, 0, n);
    else if (how == 1) pattern_fill(f->data + at, n, dice_next(j->d));
    else if (g->size) {
        size_t from = below(j, g->size);
        if (dice_chance(j->d, 70)) from &= ~(size_t)511;
        n = min_u64(n, g->size - from);
        memmove(f->data + at, g->data + from, n);
    }
    say(j, "%s: %zu bytes at %zu by way %u; ", f->name, n, at, how);
}

static void change_length(struct job *j, struct image_file *f)
{
    u64 size = f->size;
    switch (dice_below(j->d, 6)) {
    case 0: size = 0; break;
    case 1: size = below(j, size + 1); break;
    case 2: size = below(j, size + 1) & ~(u64)4095; break;
    case 3: size -= size ? 1 : 0; break;
    case 4: size += 1 + below(j, 9000); break;
    default: f->hole = (u64)1 << (20 + below(j, 22)); break;
    }
    image_resize(f, size);
    say(j, "%s: %llu + %llu bytes long; ", f->name, (unsigned long long)size,
        (unsigned long long)f->hole);
}

static void change_kind(struct job *j, struct image_file *f)
{
    static const char *const words[] = {"", "a folder", "a link", "a pipe"};
    f->kind = (enum image_kind)(1 + below(j, 3));
    say(j, "%s is %s; ", f->name, words[f->kind]);
}

static void exchange(struct job *j, struct image_file *f)
{
    struct image_file *g = some_file(j);
    struct image_file was = *f;
    f->data = g->data;
    f->size = g->size;
    g->data = was.data;
    g->size = was.size;
    say(j, "%s and %s exchanged; ", f->name, g->name);
}

/* Names that a careless reader of the directory stumbles over. */
static void add_file(struct job *j, struct image_file *f)
{
    static const char *const names[] = {
        "log/0000000000", "log/0000000002", "log/0000000003",
        "log/0000000099", "log/4294967296", "log/18446744073709551615",
        "log/18446744073709551617", "log/99999999999999999999999999", "log/1",
        "log/00000000001", "log/spare-0", "log/spare-", "log/x", "log/-1",
        "conf.new", "shm.new", "ids", "lost",
    };
    size_t from = (size_t)(f - j->image->files);
    struct image_file *g =
        image_add(j->image, names[below(j, ARRAY_COUNT(names))]);
    if (!g) return;
    f = &j->image->files[from];
    size_t size = dice_chance(j->d, 70) ? f->size : 0;
    if (g == f) return;
    image_resize(g, size);
    if (size) memcpy(g->data, f->data, size);
    say(j, "%s like %s; ", g->name, f->name);
}

/* The text of conf, by words and lines. */
static void change_conf(struct job *j)
{
    static const char *const texts[] = {
        "", "\n", "luge", "luge\n", "luge\nformat\n", "luge\nformat 0\n",
        "luge\nformat 999999999999999999999\n", "luge\nformat -1\n",
        "luge\nformat 1\npage_bytes 4294967296\n",
        "luge\nformat 1\npage_bytes 12288\ninstance "
        "00000000000000000000000000000000\n",
        "luge\nformat 1\npage_bytes 4096\ninstance zz\n",
        "luge\nformat 1\npage_bytes 4096\n",
        "luge\nformat 1\npage_bytes 65536\ninstance "
        "00000000000000000000000000000000\n",
        "luge\r\nformat 1\r\npage_bytes 4096\r\n",
        "{\"luge\": 1}",
    };
    struct image_file *f = image_find(j->image, "conf");
    if (!f) return;
    const char *text = texts[below(j, ARRAY_COUNT(texts))];
    if (dice_chance(j->d, 40)) {            /* a digit is another one */
        for (size_t at = below(j, f->size); at < f->size; at++)
            if (f->data[at] >= '0' && f->data[at] <= '9') {
                f->data[at] = (u8)('0' + below(j, 10));
                break;
            }
    } else {
        image_resize(f, strlen(text));
        memcpy(f->data, text, f->size);
    }
    say(j, "conf: %.*s; ", (int)min_u64(f->size, 60), (char *)f->data);
}

static void blind(struct job *j)
{
    struct image_file *f = some_file(j);
    u32 roll = dice_below(j->d, 100);
    if (roll < 50) flip_bytes(j, f);
    else if (roll < 68) smear(j, f);
    else if (roll < 80) change_length(j, f);
    else if (roll < 84) exchange(j, f);
    else if (roll < 89) add_file(j, f);
    else if (roll < 93) change_conf(j);
    else if (roll < 96) change_kind(j, f);
    else if (j->image->count > 1) {
        say(j, "%s is gone; ", f->name);
        image_drop(j->image, f);
    }
}

/* --------------------------------------------------------------- pages -- */

static void put_field(struct job *j, u8 *at, u32 bytes, const char *what)
{
    u64 old = 0;
    memcpy(&old, at, bytes);
    u64 new = number(j, old);
    memcpy(at, &new, bytes);
    say(j, "%s %llx for %llx; ", what, (unsigned long long)new,
        (unsigned long long)old);
}

static void change_head(struct job *j, struct page_head *p)
{
    u8 *base = (u8 *)p;
    static const struct { const char *name; u32 at, bytes; } fields[] = {
        {"birth", 8, 8}, {"kind", 16, 1}, {"level", 17, 1}, {"count", 18, 2},
        {"prefix", 20, 2}, {"cell_low", 22, 2}, {"dead", 24, 2},
        {"run", 26, 2},
    };
    u64 k = below(j, ARRAY_COUNT(fields));
    put_field(j, base + fields[k].at, fields[k].bytes, fields[k].name);
}

/* Heads, offsets, children: whatever stands between head and gap. */
static void change_slot(struct job *j, struct page_head *p)
{
    u32 end = node_slots_end(p), size = j->page_bytes;
    if (end > size || end <= sizeof *p) return;
    u32 bytes = 1u << below(j, 4);
    u32 at = (u32)(sizeof *p + below(j, end - sizeof *p)) & ~(bytes - 1);
    if (at + bytes <= size) put_field(j, (u8 *)p + at, bytes, "slot");
}

static void change_child(struct job *j, struct page_head *p, u64 pages)
{
    u32 count;
    page_ref *children = tree_page_children(p, &count);
    if (!count || node_slots_end(p) > j->page_bytes) return;
    u32 i = (u32)below(j, count);
    u64 ref = dice_chance(j->d, 50) ? below(j, pages)
                                    : number(j, children[i]);
    children[i] = ref;
    say(j, "child %u is %llx; ", i, (unsigned long long)ref);
}

static void change_cell(struct job *j, struct page_head *p)
{
    u32 i = (u32)below(j, p->count), size = j->page_bytes;
    if (!p->count || node_slots_end(p) > size) return;
    u32 at = node_offs(p)[i];
    if (at + 44u > size) return;
    u16 suffix = load16((u8 *)p + at), info = load16((u8 *)p + at + 2);
    u8 *extent = (u8 *)p + at + 4 + suffix;
    if (!p->level && (info & NODE_EXTENT) &&
        at + 4 + suffix + sizeof(struct page_extent) <= size &&
        dice_chance(j->d, 70)) {
        static const char *const names[] = {"extent's first", "size", "sum",
                                            "birth"};
        u64 k = below(j, 4);
        put_field(j, extent + 8 * k, 8, names[k]);
        return;
    }
    put_field(j, (u8 *)p + at + 2 * below(j, 4), 2, "cell");
}

static void change_page(struct job *j)
{
    struct image_file *f = image_find(j->image, "db");
    if (!f || !j->page_bytes || f->size < 3 * (u64)j->page_bytes) return;
    u64 pages = f->size / j->page_bytes, at = 2 + below(j, pages - 2);
    struct page_head *p = NULL;
    for (u32 tries = 0; tries < 50; tries++) {
        p = (struct page_head *)(void *)(f->data + at * j->page_bytes);
        if (p->kind && p->kind <= PAGE_PATCH && p->level < 16) break;
        at = 2 + below(j, pages - 2);
    }
    say(j, "page %llu (kind %u): ", (unsigned long long)at, p->kind);
    switch (dice_below(j->d, 6)) {
    case 0: change_head(j, p); break;
    case 1: change_slot(j, p); break;
    case 2: change_child(j, p, pages); break;
    case 3: change_cell(j, p); break;
    case 4:
        put_field(j, (u8 *)p + 8 * (1 + below(j, j->page_bytes / 8 - 1)), 8,
                  "word");
        break;
    default: {
        u64 from = 2 + below(j, pages - 2);
        memmove(p, f->data + from * j->page_bytes, j->page_bytes);
        say(j, "copy of %llu; ", (unsigned long long)from);
    }
    }
    page_seal(p, at, p->birth, j->page_bytes);
}

static void change_superblock(struct job *j)
{
    struct image_file *f = image_find(j->image, "db");
    struct superblock s;
    if (!f || !j->page_bytes || f->size < 2 * (u64)j->page_bytes) return;
    u64 slot = below(j, 2);
    u8 *at = f->data + slot * j->page_bytes;
    memcpy(&s, at, sizeof s);
    say(j, "superblock %llu: ", (unsigned long long)slot);
    if (dice_chance(j->d, 15)) s.number += 2 * below(j, 1000);
    u32 word = (u32)below(j, offsetof(struct superblock, reserved) / 8 - 4);
    if (dice_chance(j->d, 10)) put_field(j, (u8 *)&s.format, 4, "format");
    else put_field(j, (u8 *)&s + 32 + 8 * (word % 13), 8, "field");
    s.sum = base_hash(&s, offsetof(struct superblock, sum), s.number);
    memcpy(at, &s, sizeof s);
}

/* ----------------------------------------------------------------- log -- */

struct frames { size_t at[4000]; size_t count; };

/* Where frames stand, by their sizes alone. */
static void find_frames(const struct image_file *f, struct frames *frames)
{
    size_t at = LOG_DATA_AT;
    frames->count = 0;
    while (at + LOG_FRAME_HEAD <= f->size &&
           frames->count < ARRAY_COUNT(frames->at)) {
        u32 size = load32(f->data + at);
        u8 kind = f->data[at + 4];
        if ((kind != LOG_MORE && kind != LOG_LAST) ||
            size > f->size - at - LOG_FRAME_HEAD)
            break;
        frames->at[frames->count++] = at;
        at += round_up((u64)LOG_FRAME_HEAD + size, 8);
    }
}

static void change_frame(struct job *j, struct image_file *f, size_t at)
{
    u8 *frame = f->data + at;
    u32 size = load32(frame);
    static const struct { const char *name; u32 at, bytes; } fields[] = {
        {"size", 0, 4}, {"kind", 4, 1}, {"flags", 5, 1}, {"seq", 8, 8},
        {"time", 16, 8}, {"durable", 24, 8},
    };
    u64 k = below(j, ARRAY_COUNT(fields));
    say(j, "%s, frame at %zu: ", f->name, at);
    if (!size || dice_chance(j->d, 25)) {
        put_field(j, frame + fields[k].at, fields[k].bytes, fields[k].name);
        return;
    }
    /* An operation's head is where it hurts: mostly the first bytes. */
    u64 place = dice_chance(j->d, 60) ? below(j, min_u64(size, 16))
                                      : below(j, size);
    u8 *to = frame + LOG_FRAME_HEAD + place;
    if (dice_chance(j->d, 40) && size - place >= VARINT_SIZE_MAX) {
        u64 n = number(j, 0);
        base_put_varint(to, n);
        say(j, "varint %llx at %llu; ", (unsigned long long)n,
            (unsigned long long)place);
    } else {
        put_field(j, to, 1, "payload");
    }
}

static u64 seal_header(struct job *j, struct image_file *f)
{
    struct log_header h;
    memcpy(&h, f->data, sizeof h);
    h.sum = base_hash(&h, offsetof(struct log_header, sum),
                      strtoull(f->name + 4, NULL, 10));
    memcpy(f->data, &h, sizeof h);
    (void)j;
    return h.sum;
}

/* The sums of all frames anew, from the header on. */
static void seal_segment(struct job *j, struct image_file *f, u64 chain,
                         const struct frames *frames)
{
    struct log log;
    if (log_open(&log, os_native(), "/", j->instance)) die("no memory");
    for (size_t i = 0; i < frames->count; i++) {
        u8 *frame = f->data + frames->at[i];
        u32 size = load32(frame);
        if (size > f->size - frames->at[i] - LOG_FRAME_HEAD) break;
        chain = log_frame_sum(&log, frame, size, chain);
        store64(frame + LOG_FRAME_HEAD - 8, chain);
    }
    log_close(&log);
}

static void change_log(struct job *j)
{
    struct image_file *f = some_segment(j);
    struct frames *frames = grab(sizeof *frames);
    if (!f) {
        free(frames);
        return;
    }
    find_frames(f, frames);
    u64 chain = load64(f->data + offsetof(struct log_header, sum));
    if (!frames->count || dice_chance(j->d, 15)) {
        u32 word = (u32)below(j, (offsetof(struct log_header, sum) - 32) / 8);
        say(j, "%s, header: ", f->name);
        put_field(j, f->data + 32 + 8 * word, 8, "field");
        chain = seal_header(j, f);
    } else {
        u64 back = below(j, min_u64(frames->count, 12));
        if (dice_chance(j->d, 40)) back = below(j, frames->count);
        change_frame(j, f, frames->at[frames->count - 1 - back]);
    }
    seal_segment(j, f, chain, frames);
    free(frames);
}

/* ----------------------------------------------------------------- ids -- */

static void change_ids(struct job *j)
{
    enum { LIMIT_AT = 32, SUM_AT = 40, SLOT = 4096 };
    struct image_file *f = image_find(j->image, "ids");
    u64 slot = below(j, 2);
    if (!f || f->size < slot * SLOT + SUM_AT + 8) return;
    u8 *at = f->data + slot * SLOT;
    say(j, "ids %llu: ", (unsigned long long)slot);
    if (dice_chance(j->d, 80)) put_field(j, at + LIMIT_AT, 8, "limit");
    else put_field(j, at + LIMIT_AT - 8, 8, "number");
    store64(at + SUM_AT, base_hash(at, SUM_AT, load64(at + LIMIT_AT - 8)));
}

static void sealed(struct job *j)
{
    u32 roll = dice_below(j->d, 100);
    if (roll < 50) change_page(j);
    else if (roll < 65) change_superblock(j);
    else if (roll < 93) change_log(j);
    else change_ids(j);
}

/* ------------------------------------------------------------------ all -- */

static void look(struct job *j)
{
    const struct image_file *f = image_find(j->image, "db");
    struct superblock s;
    if (!f || f->size < sizeof s) return;
    memcpy(&s, f->data, sizeof s);
    if (memcmp(s.magic, "lugedb", 7) && f->size >= 4096 + sizeof s)
        memcpy(&s, f->data + 4096, sizeof s);
    if (s.page_bytes < 4096 || s.page_bytes > 65536) return;
    j->page_bytes = s.page_bytes;
    memcpy(j->instance, s.instance, sizeof s.instance);
}

enum mutate_how mutate(struct image *image, struct dice *d, char *words)
{
    struct job j = {.image = image, .d = d, .say = words};
    enum mutate_how how = dice_chance(d, 50) ? MUTATE_SEALED : MUTATE_BLIND;
    u32 count = 1 + (dice_chance(d, 40) ? dice_below(d, 4) : 0);
    words[0] = 0;
    look(&j);
    while (count--) {
        if (how == MUTATE_SEALED) sealed(&j);
        else blind(&j);
    }
    return how;
}
