/* test/image.h -- a database's directory as bytes in memory, and back.
 * Holds: files of the top and of one level below; `lock`, `shm` and `notify`
 * are left out, for nothing in them outlives the last process.
 * Memory: an image's bytes are its own until image_free.
 */
#ifndef TEST_IMAGE_H
#define TEST_IMAGE_H

#include "support.h"

enum { IMAGE_FILES_MAX = 64, IMAGE_NAME_MAX = 80 };

enum image_kind { IMAGE_FILE, IMAGE_FOLDER, IMAGE_LINK, IMAGE_PIPE };

struct image_file {
    char name[IMAGE_NAME_MAX];    /* "db", "log/0000000001" */
    enum image_kind kind;         /* other than FILE: in its place */
    unsigned char *data;
    size_t size;
    uint64_t hole;                /* zeros behind the data, sparse */
};

struct image {
    struct image_file files[IMAGE_FILES_MAX];
    size_t count;
};

void image_load(struct image *image, const char *path);
void image_copy(struct image *to, const struct image *from);
/* PATH becomes exactly this. */
void image_store(const struct image *image, const char *path);
void image_free(struct image *image);

/* NULL if there is none. */
struct image_file *image_find(struct image *image, const char *name);
/* A new one, or the old one emptied; NULL if there are too many. */
struct image_file *image_add(struct image *image, const char *name);
void image_drop(struct image *image, struct image_file *file);
/* New bytes are zeros. */
void image_resize(struct image_file *file, size_t size);

#endif
