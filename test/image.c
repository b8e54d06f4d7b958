/* test/image.c -- see image.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "image.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool left_out(const char *name)
{
    return !strcmp(name, "lock") || !strcmp(name, "notify") ||
           !strncmp(name, "shm", 3);
}

static void load_file(struct image_file *f, const char *path, size_t size)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0) die("%s cannot be opened", path);
    image_resize(f, size);
    if (pread(fd, f->data, size, 0) != (ssize_t)size) die("%s: short", path);
    close(fd);
}

static void load_folder(struct image *image, const char *top,
                        const char *below)
{
    char path[1400], name[400];
    snprintf(path, sizeof path, "%s/%s", top, below);
    DIR *dir = opendir(path);
    if (!dir) die("%s cannot be listed", path);
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (e->d_name[0] == '.' || left_out(e->d_name)) continue;
        snprintf(name, sizeof name, "%s%s%s", below, *below ? "/" : "",
                 e->d_name);
        snprintf(path, sizeof path, "%s/%s", top, name);
        if (stat(path, &st)) die("%s is gone", path);
        if (S_ISDIR(st.st_mode)) load_folder(image, top, name);
        else load_file(image_add(image, name), path, (size_t)st.st_size);
    }
    closedir(dir);
}

static int by_name(const void *a, const void *b)
{
    const struct image_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void image_load(struct image *image, const char *path)
{
    memset(image, 0, sizeof *image);
    load_folder(image, path, "");
    qsort(image->files, image->count, sizeof *image->files, by_name);
}

void image_copy(struct image *to, const struct image *from)
{
    *to = *from;
    for (size_t i = 0; i < to->count; i++) {
        struct image_file *f = &to->files[i];
        f->data = grab(f->size + 1);
        if (f->size) memcpy(f->data, from->files[i].data, f->size);
    }
}

static void store_file(const struct image_file *f, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) die("%s cannot be made", path);
    if (f->size && pwrite(fd, f->data, f->size, 0) != (ssize_t)f->size)
        die("%s cannot be written", path);
    if (f->hole && ftruncate(fd, (off_t)(f->size + f->hole)))
        die("%s cannot be so long", path);
    close(fd);
}

void image_store(const struct image *image, const char *path)
{
    char full[1400];
    tree_remove(path);
    snprintf(full, sizeof full, "%s/log", path);
    if (mkdir(path, 0700) || mkdir(full, 0700)) die("no %s", full);
    for (size_t i = 0; i < image->count; i++) {
        const struct image_file *f = &image->files[i];
        int rc = 0;
        snprintf(full, sizeof full, "%s/%s", path, f->name);
        if (f->kind == IMAGE_FOLDER) rc = mkdir(full, 0700);
        else if (f->kind == IMAGE_LINK) rc = symlink("conf", full);
        else if (f->kind == IMAGE_PIPE) rc = mkfifo(full, 0600);
        else store_file(f, full);
        if (rc) die("%s cannot be made", full);
    }
}

void image_free(struct image *image)
{
    for (size_t i = 0; i < image->count; i++) free(image->files[i].data);
    image->count = 0;
}

struct image_file *image_find(struct image *image, const char *name)
{
    for (size_t i = 0; i < image->count; i++)
        if (!strcmp(image->files[i].name, name)) return &image->files[i];
    return NULL;
}

struct image_file *image_add(struct image *image, const char *name)
{
    struct image_file *f = image_find(image, name);
    if (!f) {
        if (image->count == IMAGE_FILES_MAX) return NULL;
        f = &image->files[image->count++];
        memset(f, 0, sizeof *f);
        snprintf(f->name, sizeof f->name, "%s", name);
    }
    f->size = 0;
    return f;
}

void image_drop(struct image *image, struct image_file *file)
{
    struct image_file *last = &image->files[--image->count];
    free(file->data);
    if (file != last) *file = *last;
}

void image_resize(struct image_file *file, size_t size)
{
    file->data = grab_more(file->data, size + 1);
    if (size > file->size)
        memset(file->data + file->size, 0, size - file->size);
    file->size = size;
}
