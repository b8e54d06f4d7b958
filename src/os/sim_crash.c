/* os/sim_crash.c -- what a power cut may leave, and the choice of one of it.
 *
 * A snapshot is prepared once (struct sim_plan): for each file the pages that
 * differ between its versions, for each directory how many versions it has.
 * A choice is then a number for each of these places (struct outcome), and the
 * disk after the crash is put together from it.
 *
 *   R1  The legal versions of a page depend on the size chosen (M3): from the
 *       last cut that persisted up to the first that did not.  legal_versions
 *       is the one place that knows; every kind of choice goes through it.
 *   R2  A file beyond the reach of the chosen directories has no choices, and
 *       a page beyond the chosen size has one: states are not counted twice
 *       for what nobody can see.
 * Not here: how the disk works while there is power (os/sim.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/sim_world.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMBINATIONS_MAX = 4096 }; /* of directories; beyond: not countable */

#define UNCOUNTABLE UINT64_MAX

/* One page as one version changed it. */
struct change {
    u64 page;
    u32 version;
    u8 sectors; /* a bit for each that differs from the version before */
};

struct page_plan {
    u64 page;
    u32 first, count; /* among the file's changes; ascending versions */
};

struct file_plan {
    struct sim_inode *inode;
    struct change *changes;
    u32 change_count, change_capacity;
    struct page_plan *pages;
    u32 page_count;
    u32 *sizes; /* the versions that changed the size; the first is 0 */
    u32 size_count;
};

struct write_plan { u32 file, page, change; };

struct sim_plan {
    struct file_plan *files;  /* neither directories nor shared */
    u32 file_count;
    u32 *file_of;             /* by inode number; UINT32_MAX: none */
    u64 *directories;         /* inode numbers; the root first */
    u32 directory_count;
    u32 *place_of;            /* by inode number: its place in directories */
    u32 *combinations;        /* legal versions of all directories, in rows */
    u32 combination_count;
    bool too_many;
    struct write_plan *writes;
    u32 write_count;
};

/* ------------------------------------------------------------------ plan -- */

static u8 sectors_that_differ(const struct sim_page *was,
                              const struct sim_page *is)
{
    const u8 *a = page_bytes_or_zeros(was), *b = page_bytes_or_zeros(is);
    u8 sectors = 0;
    for (unsigned k = 0; k < SIM_SECTORS_A_PAGE; k++)
        if (memcmp(a + k * SIM_SECTOR, b + k * SIM_SECTOR, SIM_SECTOR) != 0)
            sectors |= (u8)(1u << k);
    return sectors;
}

struct noting { struct file_plan *file; u32 version; };

static void note_change(void *context, u64 number, const struct sim_page *was,
                        const struct sim_page *is)
{
    struct noting *noting = context;
    struct file_plan *f = noting->file;
    u8 sectors = sectors_that_differ(was, is);
    if (!sectors) return;
    if (f->change_count == f->change_capacity) {
        f->change_capacity = f->change_capacity ? f->change_capacity * 2 : 16;
        f->changes = sim_memory_more(f->changes,
                                     f->change_capacity * sizeof *f->changes);
    }
    f->changes[f->change_count++] = (struct change){
        .page = number, .version = noting->version, .sectors = sectors,
    };
}

static int by_page_and_version(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->page != y->page) return x->page < y->page ? -1 : 1;
    return x->version < y->version ? -1 : x->version > y->version;
}

static void plan_file(struct file_plan *f, struct sim_inode *i)
{
    f->inode = i;
    f->sizes = sim_memory(i->count * sizeof *f->sizes);
    f->size_count = 1;
    for (u32 v = 1; v < i->count; v++) {
        const struct sim_content *was = &i->versions[v - 1].content;
        const struct sim_content *is = &i->versions[v].content;
        struct noting noting = { f, v };
        content_compare(was, is, note_change, &noting);
        if (is->size != was->size) f->sizes[f->size_count++] = v;
    }
    if (f->change_count)
        qsort(f->changes, f->change_count, sizeof *f->changes,
              by_page_and_version);
    f->pages = sim_memory(f->change_count * sizeof *f->pages);
    for (u32 c = 0; c < f->change_count; c++) {
        struct page_plan *last = f->pages + f->page_count - 1;
        if (c && last->page == f->changes[c].page) {
            last->count++;
            continue;
        }
        f->pages[f->page_count++] = (struct page_plan){
            .page = f->changes[c].page, .first = c, .count = 1,
        };
    }
}

static bool is_cut(const struct file_plan *f, const struct change *c)
{
    return f->inode->versions[c->version].shorter;
}

static void plan_writes(struct sim_plan *p)
{
    u32 most = 0;
    for (u32 n = 0; n < p->file_count; n++) most += p->files[n].change_count;
    p->writes = sim_memory(most * sizeof *p->writes);
    for (u32 n = 0; n < p->file_count; n++) {
        const struct file_plan *f = &p->files[n];
        for (u32 k = 0; k < f->page_count; k++) {
            u32 end = f->pages[k].first + f->pages[k].count;
            for (u32 c = f->pages[k].first; c < end; c++)
                if (!is_cut(f, &f->changes[c]))
                    p->writes[p->write_count++] =
                        (struct write_plan){ n, k, c };
        }
    }
}

static u32 version_of(const struct sim_plan *p, const u32 *row, u64 inode)
{
    return row[p->place_of[inode]];
}

/* Mark what the directories' versions in ROW lead to. */
static void reach(const struct sim_snapshot *s, const struct sim_plan *p,
                  const u32 *row, u64 number, u8 *marks)
{
    const struct sim_inode *i = s->world.inodes[number];
    marks[number] = 1;
    if (!i->directory) return;
    const struct sim_names *names =
        i->versions[version_of(p, row, number)].names;
    for (u32 k = 0; k < names->count; k++)
        reach(s, p, row, names->entries[k].inode, marks);
}

/* Is ROW a state of the directories that can be, and not twice the same?
 * (A directory that is gone stands at version 0.) */
static bool row_is_legal(const struct sim_snapshot *s, const struct sim_plan *p,
                         const u32 *row, u8 *marks)
{
    for (u32 k = 0; k < s->world.link_count; k++) {
        const struct sim_link *l = &s->world.links[k];
        if ((version_of(p, row, l->from) >= l->from_version) !=
            (version_of(p, row, l->to) >= l->to_version))
            return false;
    }
    memset(marks, 0, s->world.count);
    reach(s, p, row, SIM_ROOT, marks);
    for (u32 k = 0; k < p->directory_count; k++)
        if (row[k] && !marks[p->directories[k]]) return false;
    return true;
}

static u32 versions_in(const struct sim_snapshot *s, const struct sim_plan *p,
                       u32 place)
{
    return s->world.inodes[p->directories[place]]->count;
}

/* Every row, like the numbers of a counter; the legal ones are kept. */
static void plan_combinations(const struct sim_snapshot *s, struct sim_plan *p)
{
    u32 width = p->directory_count;
    u64 all = 1;
    for (u32 k = 0; k < width && all <= COMBINATIONS_MAX; k++)
        all *= versions_in(s, p, k);
    p->too_many = all > COMBINATIONS_MAX;
    if (p->too_many) return;
    u8 *marks = sim_memory(s->world.count);
    p->combinations = sim_memory(all * width * sizeof *p->combinations);
    for (u64 n = 0; n < all; n++) {
        u32 *row = p->combinations + p->combination_count * width;
        u64 rest = n;
        for (u32 k = 0; k < width; k++) {
            row[k] = (u32)(rest % versions_in(s, p, k));
            rest /= versions_in(s, p, k);
        }
        if (row_is_legal(s, p, row, marks)) p->combination_count++;
    }
    base_free(marks);
}

static struct sim_plan *plan_of(struct sim_snapshot *s)
{
    if (s->plan) return s->plan;
    struct sim_plan *p = sim_memory(sizeof *p);
    u64 count = s->world.count;
    p->files = sim_memory(count * sizeof *p->files);
    p->file_of = sim_memory(count * sizeof *p->file_of);
    p->directories = sim_memory(count * sizeof *p->directories);
    p->place_of = sim_memory(count * sizeof *p->place_of);
    for (u64 n = 0; n < count; n++) {
        struct sim_inode *i = s->world.inodes[n];
        p->file_of[n] = UINT32_MAX;
        if (i && i->directory) {
            p->place_of[n] = p->directory_count;
            p->directories[p->directory_count++] = n;
        } else if (i && !i->shared) {
            p->file_of[n] = p->file_count;
            plan_file(&p->files[p->file_count++], i);
        }
    }
    plan_writes(p);
    plan_combinations(s, p);
    return s->plan = p;
}

void plan_release(struct sim_plan *p)
{
    if (!p) return;
    for (u32 n = 0; n < p->file_count; n++) {
        base_free(p->files[n].changes);
        base_free(p->files[n].pages);
        base_free(p->files[n].sizes);
    }
    base_free(p->files);
    base_free(p->file_of);
    base_free(p->directories);
    base_free(p->place_of);
    base_free(p->combinations);
    base_free(p->writes);
    base_free(p);
}

/* -------------------------------------------------------- legal versions -- */

/* The versions that a page may show when the size is that of version SIZE_AT:
 * BASE, or that of one of changes[first .. end - 1]. */
struct span { u32 base, first, end; };

static struct span legal_versions(const struct file_plan *f,
                                  const struct page_plan *page, u32 size_at)
{
    struct span s = { 0, page->first, page->first + page->count };
    for (u32 c = page->first; c < page->first + page->count; c++) {
        if (!is_cut(f, &f->changes[c])) continue;
        if (f->changes[c].version > size_at) {
            s.end = c;
            break;
        }
        s.base = f->changes[c].version;
        s.first = c + 1;
    }
    return s;
}

static u64 size_of(const struct file_plan *f, u32 size_at)
{
    return f->inode->versions[size_at].content.size;
}

static u64 times(u64 a, u64 b)
{
    u64 product;
    return __builtin_mul_overflow(a, b, &product) ? UNCOUNTABLE : product;
}

static u64 plus(u64 a, u64 b)
{
    u64 sum;
    return __builtin_add_overflow(a, b, &sum) ? UNCOUNTABLE : sum;
}

/* Alternatives that one sector has. */
static u64 sector_states(const struct file_plan *f, struct span s,
                         unsigned sector)
{
    u64 states = 1;
    for (u32 c = s.first; c < s.end; c++)
        states += (f->changes[c].sectors >> sector) & 1;
    return states;
}

/* Sectors of a page that lie, at least in part, before SIZE. */
static unsigned visible_sectors(u64 page, u64 size)
{
    u64 start = page * SIM_PAGE;
    if (start >= size) return 0;
    u64 sectors = round_up(size - start, SIM_SECTOR) / SIM_SECTOR;
    return (unsigned)min_u64(sectors, SIM_SECTORS_A_PAGE);
}

static u64 page_states(const struct file_plan *f, const struct page_plan *page,
                       u32 size_at, enum sim_grain grain)
{
    struct span s = legal_versions(f, page, size_at);
    unsigned visible = visible_sectors(page->page, size_of(f, size_at));
    if (!visible) return 1;
    if (grain == SIM_PAGES) return 1 + s.end - s.first;
    u64 states = 1;
    for (unsigned k = 0; k < visible; k++)
        states = times(states, sector_states(f, s, k));
    return states;
}

static u64 sized_states(const struct file_plan *f, u32 size_at,
                        enum sim_grain grain)
{
    u64 states = 1;
    for (u32 k = 0; k < f->page_count; k++)
        states = times(states, page_states(f, &f->pages[k], size_at, grain));
    return states;
}

static u64 file_states(const struct file_plan *f, enum sim_grain grain)
{
    u64 states = 0;
    for (u32 k = 0; k < f->size_count; k++)
        states = plus(states, sized_states(f, f->sizes[k], grain));
    return states;
}

/* --------------------------------------------------------------- outcome -- */

/* The versions chosen, one for each directory, file and sector. */
struct outcome {
    u32 *directories;    /* by place */
    u32 *sizes;          /* by file */
    u32 **sectors;       /* by file: 8 for each page of its plan */
    u64 dice;            /* for what a shared file becomes */
};

static struct outcome outcome_new(const struct sim_plan *p)
{
    struct outcome o = {
        .directories = sim_memory(p->directory_count * sizeof(u32)),
        .sizes = sim_memory(p->file_count * sizeof(u32)),
        .sectors = sim_memory(p->file_count * sizeof(u32 *)),
    };
    for (u32 n = 0; n < p->file_count; n++)
        o.sectors[n] = sim_memory(p->files[n].page_count *
                                  SIM_SECTORS_A_PAGE * sizeof(u32));
    return o;
}

static void outcome_release(const struct sim_plan *p, struct outcome *o)
{
    for (u32 n = 0; n < p->file_count; n++) base_free(o->sectors[n]);
    base_free(o->sectors);
    base_free(o->sizes);
    base_free(o->directories);
}

static u32 *sectors_of(struct outcome *o, u32 file, u32 page)
{
    return o->sectors[file] + page * SIM_SECTORS_A_PAGE;
}

static void set_page(struct outcome *o, u32 file, u32 page, u32 version)
{
    u32 *sectors = sectors_of(o, file, page);
    for (unsigned k = 0; k < SIM_SECTORS_A_PAGE; k++) sectors[k] = version;
}

/* The version with alternative number N of a whole page. */
static u32 nth_version(const struct file_plan *f, struct span s, u64 n)
{
    return n ? f->changes[s.first + n - 1].version : s.base;
}

/* The same of one sector. */
static u32 nth_sector_version(const struct file_plan *f, struct span s,
                              unsigned sector, u64 n)
{
    for (u32 c = s.first; n && c < s.end; c++) {
        if (!((f->changes[c].sectors >> sector) & 1)) continue;
        if (--n == 0) return f->changes[c].version;
    }
    return s.base;
}

/* The newest legal version that is older than BEFORE. */
static u32 newest_before(const struct file_plan *f, struct span s, u32 before)
{
    u32 version = s.base;
    for (u32 c = s.first; c < s.end && f->changes[c].version < before; c++)
        version = f->changes[c].version;
    return version;
}

static void choose_file(const struct sim_plan *p, struct outcome *o, u32 file,
                        u32 size_at, bool pages)
{
    const struct file_plan *f = &p->files[file];
    o->sizes[file] = size_at;
    for (u32 k = 0; k < f->page_count; k++) {
        struct span s = legal_versions(f, &f->pages[k], size_at);
        set_page(o, file, k, pages ? newest_before(f, s, UINT32_MAX) : s.base);
    }
}

static u32 last_size(const struct file_plan *f)
{
    return f->sizes[f->size_count - 1];
}

static void choose_last_names(const struct sim_snapshot *s,
                              const struct sim_plan *p, struct outcome *o)
{
    for (u32 k = 0; k < p->directory_count; k++)
        o->directories[k] = versions_in(s, p, k) - 1;
}

/* ----------------------------------------------------- kinds of choices -- */

static void choose_all(const struct sim_snapshot *s, const struct sim_plan *p,
                       struct outcome *o, bool pages)
{
    choose_last_names(s, p, o);
    for (u32 n = 0; n < p->file_count; n++)
        choose_file(p, o, n, last_size(&p->files[n]), pages);
}

static void lose_one(const struct sim_plan *p, struct outcome *o,
                     struct write_plan w)
{
    const struct file_plan *f = &p->files[w.file];
    struct span s = legal_versions(f, &f->pages[w.page], o->sizes[w.file]);
    set_page(o, w.file, w.page,
             newest_before(f, s, f->changes[w.change].version));
}

static void keep_one(const struct sim_plan *p, struct outcome *o,
                     struct write_plan w)
{
    const struct file_plan *f = &p->files[w.file];
    u32 version = f->changes[w.change].version, size_at = 0;
    for (u32 k = 0; k < f->size_count && f->sizes[k] <= version; k++)
        size_at = f->sizes[k];
    choose_file(p, o, w.file, size_at, false);
    set_page(o, w.file, w.page, version);
}

/* Of the sectors that the write changed some are new, never all of them. */
static void tear_one(const struct sim_plan *p, struct outcome *o,
                     struct write_plan w, u64 dice)
{
    const struct file_plan *f = &p->files[w.file];
    const struct change *c = &f->changes[w.change];
    struct span s = legal_versions(f, &f->pages[w.page], o->sizes[w.file]);
    unsigned count = (unsigned)__builtin_popcount(c->sectors), kept = 0;
    u32 *sectors = sectors_of(o, w.file, w.page);
    lose_one(p, o, w);
    if (w.change < s.first || w.change >= s.end || count < 2) return;
    u64 keep = 1 + sim_dice(&dice) % (((u64)1 << count) - 2);
    for (unsigned k = 0; k < SIM_SECTORS_A_PAGE; k++) {
        if (!((c->sectors >> k) & 1)) continue;
        if ((keep >> kept++) & 1) sectors[k] = c->version;
    }
}

static void choose_page_by_number(const struct file_plan *f, struct outcome *o,
                                  u32 file, u32 page, enum sim_grain grain,
                                  u64 number)
{
    u32 size_at = o->sizes[file];
    struct span s = legal_versions(f, &f->pages[page], size_at);
    if (grain == SIM_PAGES) {
        set_page(o, file, page, nth_version(f, s, number));
        return;
    }
    unsigned visible =
        visible_sectors(f->pages[page].page, size_of(f, size_at));
    set_page(o, file, page, s.base);
    for (unsigned k = 0; k < visible; k++) {
        u64 states = sector_states(f, s, k);
        sectors_of(o, file, page)[k] =
            nth_sector_version(f, s, k, number % states);
        number /= states;
    }
}

static void choose_file_by_number(const struct sim_plan *p, struct outcome *o,
                                  u32 file, enum sim_grain grain, u64 number)
{
    const struct file_plan *f = &p->files[file];
    u32 k = 0;
    for (;; k++) {
        assert(k < f->size_count);
        u64 states = sized_states(f, f->sizes[k], grain);
        if (number < states) break;
        number -= states;
    }
    o->sizes[file] = f->sizes[k];
    for (u32 page = 0; page < f->page_count; page++) {
        u64 states = page_states(f, &f->pages[page], f->sizes[k], grain);
        choose_page_by_number(f, o, file, page, grain, number % states);
        number /= states;
    }
}

/* The states of all files that ROW of the directories leads to. */
static u64 row_states(const struct sim_snapshot *s, const struct sim_plan *p,
                      const u32 *row, enum sim_grain grain, u8 *marks)
{
    u64 states = 1;
    memset(marks, 0, s->world.count);
    reach(s, p, row, SIM_ROOT, marks);
    for (u32 n = 0; n < p->file_count; n++)
        if (marks[p->files[n].inode->number])
            states = times(states, file_states(&p->files[n], grain));
    return states;
}

static void choose_by_number(const struct sim_snapshot *s,
                             const struct sim_plan *p, struct outcome *o,
                             enum sim_grain grain, u64 number)
{
    u8 *marks = sim_memory(s->world.count);
    u32 width = p->directory_count;
    const u32 *row = p->combinations;
    for (;; row += width) {
        assert(row < p->combinations + p->combination_count * width);
        u64 states = row_states(s, p, row, grain, marks);
        if (number < states) break;
        number -= states;
    }
    memcpy(o->directories, row, width * sizeof *row);
    for (u32 n = 0; n < p->file_count; n++) {
        if (!marks[p->files[n].inode->number]) continue;
        u64 states = file_states(&p->files[n], grain);
        choose_file_by_number(p, o, n, grain, number % states);
        number /= states;
    }
    base_free(marks);
}

/* -------------------------------------------------------- random choices -- */

/* How a disk may have spent its last moments. */
enum style {
    STYLE_EVEN,    /* each alternative as likely as any */
    STYLE_LATE,    /* nearly all persisted */
    STYLE_EARLY,   /* nearly nothing did */
    STYLE_ORDERED, /* each file up to a moment of its own */
    STYLE_TORN,    /* sector by sector */
    STYLE_COUNT
};

static bool one_in(u64 *dice, u64 n)
{
    return sim_dice(dice) % n == 0;
}

/* A number below COUNT as the style would have it; COUNT - 1 is the newest. */
static u64 pick(u64 *dice, enum style style, u64 count)
{
    if (style == STYLE_LATE && !one_in(dice, 8)) return count - 1;
    if (style == STYLE_EARLY && !one_in(dice, 8)) return 0;
    return sim_dice(dice) % count;
}

static void choose_page_by_dice(const struct file_plan *f, struct outcome *o,
                                u32 file, u32 page, enum style style, u64 *dice)
{
    struct span s = legal_versions(f, &f->pages[page], o->sizes[file]);
    set_page(o, file, page,
             nth_version(f, s, pick(dice, style, 1 + s.end - s.first)));
    if (style != STYLE_TORN && !one_in(dice, 8)) return;
    for (unsigned k = 0; k < SIM_SECTORS_A_PAGE; k++)
        sectors_of(o, file, page)[k] = nth_sector_version(
            f, s, k, pick(dice, style, sector_states(f, s, k)));
}

static void choose_file_by_dice(const struct sim_plan *p, struct outcome *o,
                                u32 file, enum style style, u64 *dice)
{
    const struct file_plan *f = &p->files[file];
    o->sizes[file] = f->sizes[pick(dice, style, f->size_count)];
    u32 moment = (u32)(sim_dice(dice) % f->inode->count);
    if (style == STYLE_ORDERED)
        for (u32 k = 0; k < f->size_count && f->sizes[k] <= moment; k++)
            o->sizes[file] = f->sizes[k];
    for (u32 page = 0; page < f->page_count; page++) {
        if (style != STYLE_ORDERED) {
            choose_page_by_dice(f, o, file, page, style, dice);
            continue;
        }
        struct span s =
            legal_versions(f, &f->pages[page], o->sizes[file]);
        set_page(o, file, page, newest_before(f, s, moment + 1));
    }
}

/* Take back the half of a rename whose other half did not persist; that may
 * take back another, so until nothing changes. */
static void mend_links(const struct sim_snapshot *s, const struct sim_plan *p,
                       u32 *row)
{
    for (u32 k = 0; k < s->world.link_count;) {
        const struct sim_link *l = &s->world.links[k++];
        u32 *from = &row[p->place_of[l->from]], *to = &row[p->place_of[l->to]];
        if ((*from >= l->from_version) == (*to >= l->to_version)) continue;
        if (*from >= l->from_version) *from = l->from_version - 1;
        else *to = l->to_version - 1;
        k = 0;
    }
}

static void choose_by_dice(const struct sim_snapshot *s,
                           const struct sim_plan *p, struct outcome *o,
                           u64 *dice)
{
    enum style style = (enum style)(sim_dice(dice) % STYLE_COUNT);
    for (u32 k = 0; k < p->directory_count; k++)
        o->directories[k] = (u32)pick(dice, style, versions_in(s, p, k));
    mend_links(s, p, o->directories);
    for (u32 n = 0; n < p->file_count; n++)
        choose_file_by_dice(p, o, n, style, dice);
}

static void choose(const struct sim_snapshot *s, const struct sim_plan *p,
                   struct sim_choice choice, struct outcome *o)
{
    u64 dice = choice.seed ^ (choice.number * 0x9e3779b97f4a7c15u);
    struct write_plan w = { 0 };
    if (choice.kind == SIM_ALL_BUT || choice.kind == SIM_ONLY ||
        choice.kind == SIM_TORN) {
        assert(choice.number < p->write_count);
        w = p->writes[choice.number];
    }
    switch (choice.kind) {
    case SIM_PROCESS: /* not a choice: sim_crash knows */
    case SIM_NOTHING: break;
    case SIM_EVERYTHING: choose_all(s, p, o, true); break;
    case SIM_SIZES: choose_all(s, p, o, false); break;
    case SIM_ALL_BUT:
        choose_all(s, p, o, true);
        lose_one(p, o, w);
        break;
    case SIM_ONLY:
        choose_last_names(s, p, o);
        keep_one(p, o, w);
        break;
    case SIM_TORN:
        choose_all(s, p, o, true);
        tear_one(p, o, w, choice.seed);
        break;
    case SIM_INDEX:
        choose_by_number(s, p, o, choice.grain, choice.number);
        break;
    case SIM_RANDOM: choose_by_dice(s, p, o, &dice); break;
    }
    o->dice = sim_dice(&dice);
}

/* ------------------------------------------------------- the disk after -- */

static void put_page(struct sim_content *c, const struct file_plan *f,
                     const struct page_plan *page, const u32 *sectors)
{
    bool whole = true;
    for (unsigned k = 1; k < SIM_SECTORS_A_PAGE; k++)
        if (sectors[k] != sectors[0]) whole = false;
    if (whole) {
        if (!sectors[0]) return; /* the content began as version 0 */
        struct sim_page *is = content_page(
            &f->inode->versions[sectors[0]].content, page->page);
        if (is) is->references++;
        content_put(c, page->page, is);
        return;
    }
    u8 *to = content_change(c, page->page)->bytes;
    for (unsigned k = 0; k < SIM_SECTORS_A_PAGE; k++) {
        const struct sim_page *from = content_page(
            &f->inode->versions[sectors[k]].content, page->page);
        memcpy(to + k * SIM_SECTOR, page_bytes_or_zeros(from) + k * SIM_SECTOR,
               SIM_SECTOR);
    }
}

static struct sim_content file_after(const struct sim_plan *p, u32 file,
                                     struct outcome *o)
{
    const struct file_plan *f = &p->files[file];
    struct sim_content c = content_copy(&f->inode->versions[0].content);
    for (u32 page = 0; page < f->page_count; page++)
        put_page(&c, f, &f->pages[page], sectors_of(o, file, page));
    c.size = SIM_FILE_BYTES_MAX; /* so that all beyond the size is cut */
    content_resize(&c, size_of(f, o->sizes[file]));
    return c;
}

static void fill_with_garbage(struct sim_content *c, u64 dice)
{
    u64 noise[SIM_PAGE / sizeof(u64)];
    for (u64 at = 0; at < c->size; at += sizeof noise) {
        for (unsigned k = 0; k < ARRAY_COUNT(noise); k++)
            noise[k] = sim_dice(&dice);
        content_write(c, noise, (size_t)min_u64(sizeof noise, c->size - at),
                      at);
    }
}

/* M5.  False if the file is gone. */
static bool shared_after(const struct sim_inode *i, enum sim_shared what,
                         u64 dice, struct sim_content *c)
{
    const struct sim_version *last = &i->versions[i->count - 1];
    if (what == SIM_SHARED_ANY)
        what = (enum sim_shared)(SIM_SHARED_SYNCED +
                                 sim_dice(&dice) % SIM_SHARED_GONE);
    *c = (struct sim_content){ 0 };
    switch (what) {
    case SIM_SHARED_ANY:
    case SIM_SHARED_SYNCED: *c = content_copy(&i->versions[0].content); break;
    case SIM_SHARED_LAST: *c = content_copy(&last->content); break;
    case SIM_SHARED_ZEROS: c->size = last->content.size; break;
    case SIM_SHARED_GARBAGE:
        c->size = last->content.size;
        fill_with_garbage(c, dice);
        break;
    case SIM_SHARED_GONE: return false;
    }
    return true;
}

/* The directory NUMBER and all below it, as chosen, into WORLD. */
static void build(const struct sim_snapshot *s, struct sim_plan *p,
                  struct outcome *o, enum sim_shared shared, u64 number,
                  struct sim_world *world)
{
    const struct sim_inode *old = s->world.inodes[number];
    struct sim_inode *directory = world_add_as(world, number, true);
    struct sim_names *names =
        old->versions[version_of(p, o->directories, number)].names;
    names_release(directory->versions[0].names);
    directory->versions[0].names = names;
    names->references++;
    for (u32 k = 0; k < names->count; k++) {
        const struct sim_entry *e = &names->entries[k];
        const struct sim_inode *child = s->world.inodes[e->inode];
        struct sim_content c;
        if (child->directory) {
            build(s, p, o, shared, e->inode, world);
        } else if (!child->shared) {
            c = file_after(p, p->file_of[e->inode], o);
            world_add_as(world, e->inode, false)->versions[0].content = c;
        } else if (shared_after(child, shared, o->dice ^ e->inode, &c)) {
            struct sim_inode *i = world_add_as(world, e->inode, false);
            i->versions[0].content = c;
            i->shared = true;
        } else {
            directory_set(directory, e->name, 0);
        }
    }
    if (directory->count > 1) world_sync_directory(world, directory);
}

static struct sim_world world_after(struct sim_snapshot *s,
                                    struct sim_choice choice)
{
    struct sim_plan *p = plan_of(s);
    struct outcome o = outcome_new(p);
    struct sim_world world = { /* numbers are not given twice */
        .inodes = sim_memory(s->world.count * sizeof *world.inodes),
        .count = s->world.count,
    };
    enum sim_shared shared = choice.shared;
    if (shared == SIM_SHARED_ANY && choice.kind == SIM_NOTHING)
        shared = SIM_SHARED_SYNCED;
    if (shared == SIM_SHARED_ANY && choice.kind == SIM_EVERYTHING)
        shared = SIM_SHARED_LAST;
    choose(s, p, choice, &o);
    build(s, p, &o, shared, SIM_ROOT, &world);
    outcome_release(p, &o);
    return world;
}

struct os *sim_crash(struct sim_snapshot *s, struct sim_choice choice)
{
    u64 dice = s->seed ^ choice.seed ^ (choice.number << 8) ^ choice.kind;
    pthread_mutex_lock(&s->family->lock);
    struct sim_world world = choice.kind == SIM_PROCESS
                                 ? world_copy(&s->world)
                                 : world_after(s, choice);
    struct os *os = sim_make(s->family, world, s->clock_ns, sim_dice(&dice));
    pthread_mutex_unlock(&s->family->lock);
    return os;
}

u64 sim_pending(struct sim_snapshot *s)
{
    pthread_mutex_lock(&s->family->lock);
    u64 count = plan_of(s)->write_count;
    pthread_mutex_unlock(&s->family->lock);
    return count;
}

u64 sim_states(struct sim_snapshot *s, enum sim_grain grain)
{
    pthread_mutex_lock(&s->family->lock);
    const struct sim_plan *p = plan_of(s);
    u8 *marks = sim_memory(s->world.count);
    u64 states = p->too_many ? UNCOUNTABLE : 0;
    for (u32 k = 0; k < p->combination_count; k++)
        states = plus(states,
                      row_states(s, p, p->combinations + k * p->directory_count,
                                 grain, marks));
    base_free(marks);
    pthread_mutex_unlock(&s->family->lock);
    return states;
}

/* -------------------------------------------------------------- describe -- */

/* "/a/b" into PATH: a name that any version of the directories gives. */
static bool find_path(const struct sim_snapshot *s, u64 from, u64 inode,
                      char *path, size_t room)
{
    const struct sim_inode *i = s->world.inodes[from];
    if (room < SIM_NAME_MAX + 2) return false;
    for (u32 v = i->count; i->directory && v-- > 0;) {
        const struct sim_names *names = i->versions[v].names;
        for (u32 k = 0; k < names->count; k++) {
            const struct sim_entry *e = &names->entries[k];
            size_t size = (size_t)snprintf(path, room, "/%s", e->name);
            if (e->inode == inode || find_path(s, e->inode, inode, path + size,
                                               room - size))
                return true;
        }
    }
    *path = 0;
    return false;
}

struct describing {
    const struct sim_snapshot *snapshot;
    void (*line)(void *context, const char *sentence);
    void *context;
};

static void say(const struct describing *d, u64 inode, const char *what)
{
    char path[512], sentence[700];
    if (inode == SIM_ROOT ||
        !find_path(d->snapshot, SIM_ROOT, inode, path, sizeof path))
        snprintf(path, sizeof path, "/");
    snprintf(sentence, sizeof sentence, "%s: %s", path, what);
    d->line(d->context, sentence);
}

static void describe_directory(const struct describing *d,
                               const struct sim_inode *i)
{
    char what[100];
    if (i->count == 1) return;
    snprintf(what, sizeof what, "%u changes of names are pending",
             i->count - 1);
    say(d, i->number, what);
}

static void describe_sizes(const struct describing *d,
                           const struct file_plan *f)
{
    char what[100];
    for (u32 k = 1; k < f->size_count; k++) {
        u32 v = f->sizes[k];
        snprintf(what, sizeof what, "change %u: size %llu to %llu", v,
                 (unsigned long long)size_of(f, v - 1),
                 (unsigned long long)size_of(f, v));
        say(d, f->inode->number, what);
    }
}

static void describe_write(const struct describing *d,
                           const struct sim_plan *p, u32 number)
{
    struct write_plan w = p->writes[number];
    const struct file_plan *f = &p->files[w.file];
    const struct change *c = &f->changes[w.change];
    char what[100];
    snprintf(what, sizeof what,
             "page write %u: change %u, page %llu, sectors 0x%02x", number,
             c->version, (unsigned long long)c->page, c->sectors);
    say(d, f->inode->number, what);
}

void sim_describe(struct sim_snapshot *s,
                  void (*line)(void *context, const char *sentence),
                  void *context)
{
    struct describing d = { s, line, context };
    pthread_mutex_lock(&s->family->lock);
    const struct sim_plan *p = plan_of(s);
    for (u32 k = 0; k < p->directory_count; k++)
        describe_directory(&d, s->world.inodes[p->directories[k]]);
    for (u32 n = 0; n < p->file_count; n++) describe_sizes(&d, &p->files[n]);
    for (u32 n = 0; n < p->write_count; n++) describe_write(&d, p, n);
    pthread_mutex_unlock(&s->family->lock);
}
