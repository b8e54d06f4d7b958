/* model/json.h -- JSON text: is it, and writing it.
 *
 *   J1  What json_check accepts is one value by RFC 8259, in UTF-8, at most
 *       JSON_DEPTH_MAX deep.
 *   J2  What is written with these functions, in turn, is such a value.
 * Not here: reading a value into something.
 */
#ifndef MODEL_JSON_H
#define MODEL_JSON_H

#include <stdbool.h>

#include "model.h"

enum { JSON_DEPTH_MAX = 128 };

/* Where TEXT stops being JSON, as an offset in bytes, or -1 if it is. */
int64_t json_check(luge_bytes text);

/* Whether TEXT is UTF-8 throughout. */
bool json_is_utf8(luge_bytes text);

/* A text that grows.  If memory runs out, it ends as FAILED and the calls that
 * follow do nothing. */
struct json {
    char *text;             /* from model_alloc; not terminated */
    size_t size, room;
    bool failed, comma;     /* comma: one is due before the next value */
};

void json_begin(struct json *j);
void json_raw(struct json *j, luge_bytes text);
void json_open(struct json *j, char bracket);   /* '{' or '[' */
void json_close(struct json *j, char bracket);
void json_name(struct json *j, const char *name);
void json_u64(struct json *j, uint64_t value);
void json_i64(struct json *j, int64_t value);
void json_float(struct json *j, float value);   /* null if not finite */
/* A string if it is UTF-8, else {"base64": "..."}. */
void json_bytes(struct json *j, luge_bytes value);
/* As it is if it is JSON, without line ends; else as json_bytes. */
void json_json(struct json *j, luge_bytes value);
/* The text with a final zero, the caller's to model_free; or NULL. */
char *json_end(struct json *j);

#endif
