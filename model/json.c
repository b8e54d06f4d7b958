/* model/json.c -- JSON text: is it (a checker that keeps its own stack), and
 * writing it. */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------ checking -- */

struct reader {
    const unsigned char *start, *at, *end;
};

/* The bytes of the UTF-8 character at P, or 0 if there is none. */
static size_t utf8_size(const unsigned char *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t code = p[0];

    if (size == 1) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || size > left) return 0;
    code &= 0xffu >> (size + 1);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        code = (code << 6) | (p[i] & 0x3fu);
    }
    if (code < least[size] || code > 0x10ffff) return 0;
    return code >= 0xd800 && code <= 0xdfff ? 0 : size;
}

bool json_is_utf8(luge_bytes text)
{
    const unsigned char *p = text.data;

    for (size_t at = 0; at < text.size;) {
        size_t size = utf8_size(p + at, text.size - at);
        if (!size) return false;
        at += size;
    }
    return true;
}

static int peek(const struct reader *r)
{
    return r->at < r->end ? *r->at : -1;
}

static bool take(struct reader *r, int c)
{
    if (peek(r) != c) return false;
    r->at++;
    return true;
}

static void skip_blanks(struct reader *r)
{
    while (take(r, ' ') || take(r, '\t') || take(r, '\n') || take(r, '\r')) {}
}

static bool is_hex(int c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool read_escape(struct reader *r)
{
    int c = peek(r);

    if (c < 0 || !strchr("\"\\/bfnrtu", c) || !c) return false;
    r->at++;
    if (c != 'u') return true;
    for (int i = 0; i < 4; i++, r->at++)
        if (!is_hex(peek(r))) return false;
    return true;
}

static bool read_string(struct reader *r)
{
    if (!take(r, '"')) return false;
    while (r->at < r->end && *r->at >= ' ') {
        if (take(r, '"')) return true;
        if (take(r, '\\')) {
            if (!read_escape(r)) return false;
            continue;
        }
        size_t size = utf8_size(r->at, (size_t)(r->end - r->at));
        if (!size) return false;
        r->at += size;
    }
    return false;
}

static bool read_digits(struct reader *r)
{
    const unsigned char *before = r->at;

    while (peek(r) >= '0' && peek(r) <= '9') r->at++;
    return r->at > before;
}

static bool read_number(struct reader *r)
{
    take(r, '-');
    if (!take(r, '0') && !read_digits(r)) return false;
    if (take(r, '.') && !read_digits(r)) return false;
    if (!take(r, 'e') && !take(r, 'E')) return true;
    if (!take(r, '+')) take(r, '-');
    return read_digits(r);
}

static bool read_word(struct reader *r, const char *word)
{
    for (; *word; word++)
        if (!take(r, *word)) return false;
    return true;
}

static bool read_scalar(struct reader *r)
{
    switch (peek(r)) {
    case '"': return read_string(r);
    case 't': return read_word(r, "true");
    case 'f': return read_word(r, "false");
    case 'n': return read_word(r, "null");
    default: return read_number(r);
    }
}

/* "name" : */
static bool read_member(struct reader *r)
{
    skip_blanks(r);
    if (!read_string(r)) return false;
    skip_blanks(r);
    return take(r, ':');
}

/* What may follow a value inside of DEPTH brackets: ends of these, then a comma
 * and the beginning of the next.  True when a value is due or all is closed. */
static bool read_between(struct reader *r, const char *ends, int *depth)
{
    for (; *depth; --*depth) {
        skip_blanks(r);
        if (take(r, ',')) return ends[*depth - 1] == ']' || read_member(r);
        if (!take(r, ends[*depth - 1])) return false;
    }
    return true;
}

/* The opening brackets before the next scalar.  *scalar: whether one is due. */
static bool read_opening(struct reader *r, char *ends, int *depth, bool *scalar)
{
    *scalar = true;
    for (;;) {
        skip_blanks(r);
        int c = peek(r);
        if (c != '{' && c != '[') return true;
        if (*depth == JSON_DEPTH_MAX) return false;
        r->at++;
        ends[(*depth)++] = c == '{' ? '}' : ']';
        skip_blanks(r);
        if (peek(r) == ends[*depth - 1]) {          /* empty */
            *scalar = false;
            return true;
        }
        if (c == '{' && !read_member(r)) return false;
    }
}

int64_t json_check(luge_bytes text)
{
    char ends[JSON_DEPTH_MAX];
    const unsigned char *start = text.data;
    struct reader r = {start, start, start + text.size};
    bool scalar;
    int depth = 0;

    do {
        if (!read_opening(&r, ends, &depth, &scalar)) return r.at - r.start;
        if (scalar && !read_scalar(&r)) return r.at - r.start;
        if (!read_between(&r, ends, &depth)) return r.at - r.start;
    } while (depth);
    skip_blanks(&r);
    return r.at == r.end ? -1 : r.at - r.start;
}

/* ------------------------------------------------------------- writing -- */

void json_begin(struct json *j)
{
    *j = (struct json){NULL, 0, 0, false, false};
}

void json_raw(struct json *j, luge_bytes text)
{
    if (j->failed) return;
    if (text.size > j->room - j->size) {
        size_t room = 2 * (j->size + text.size) + 64;
        char *larger = model_realloc(j->text, room);
        if (!larger) {
            j->failed = true;
            return;
        }
        j->text = larger;
        j->room = room;
    }
    if (text.size) memcpy(j->text + j->size, text.data, text.size);
    j->size += text.size;
}

static void value_begins(struct json *j)
{
    if (j->comma) json_raw(j, luge_str(","));
    j->comma = true;
}

void json_open(struct json *j, char bracket)
{
    value_begins(j);
    json_raw(j, luge_bytes_of(&bracket, 1));
    j->comma = false;
}

void json_close(struct json *j, char bracket)
{
    json_raw(j, luge_bytes_of(&bracket, 1));
    j->comma = true;
}

static void put_string(struct json *j, luge_bytes value)
{
    const unsigned char *p = value.data;

    json_raw(j, luge_str("\""));
    for (size_t at = 0; at < value.size;) {
        size_t run = at;
        char escape[8];
        while (run < value.size && p[run] >= ' ' && p[run] != '"' &&
               p[run] != '\\')
            run++;
        json_raw(j, luge_bytes_of(p + at, run - at));
        at = run;
        if (at == value.size) break;
        snprintf(escape, sizeof(escape), p[at] < ' ' ? "\\u%04x" : "\\%c",
                 p[at]);
        json_raw(j, luge_str(escape));
        at++;
    }
    json_raw(j, luge_str("\""));
}

void json_name(struct json *j, const char *name)
{
    value_begins(j);
    put_string(j, luge_str(name));
    json_raw(j, luge_str(":"));
    j->comma = false;
}

void json_u64(struct json *j, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    value_begins(j);
    json_raw(j, luge_str(text));
}

void json_i64(struct json *j, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    value_begins(j);
    json_raw(j, luge_str(text));
}

/* Six digits are enough for most and nine for all. */
void json_float(struct json *j, float value)
{
    char text[24];
    float back;

    snprintf(text, sizeof(text), "%.6g", (double)value);
    if (sscanf(text, "%f", &back) != 1 || back < value || back > value)
        snprintf(text, sizeof(text), "%.9g", (double)value);
    value_begins(j);
    json_raw(j, luge_str(isfinite(value) ? text : "null"));
}

static void put_base64(struct json *j, luge_bytes value)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = value.data;

    for (size_t at = 0; at < value.size; at += 3) {
        size_t left = value.size - at;
        uint32_t three = (uint32_t)p[at] << 16;
        if (left > 1) three |= (uint32_t)p[at + 1] << 8;
        if (left > 2) three |= p[at + 2];
        char four[] = {digits[three >> 18], digits[(three >> 12) & 63],
                       left > 1 ? digits[(three >> 6) & 63] : '=',
                       left > 2 ? digits[three & 63] : '='};
        json_raw(j, luge_bytes_of(four, 4));
    }
}

void json_bytes(struct json *j, luge_bytes value)
{
    value_begins(j);
    if (json_is_utf8(value)) {
        put_string(j, value);
        return;
    }
    json_raw(j, luge_str("{\"base64\": \""));
    put_base64(j, value);
    json_raw(j, luge_str("\"}"));
}

void json_json(struct json *j, luge_bytes value)
{
    const char *p = value.data;

    if (json_check(value) >= 0) {
        json_bytes(j, value);
        return;
    }
    value_begins(j);
    for (size_t at = 0; at < value.size;) {     /* within strings are none */
        size_t run = at;
        while (run < value.size && p[run] != '\n' && p[run] != '\r') run++;
        json_raw(j, luge_bytes_of(p + at, run - at));
        at = run + 1;
    }
}

char *json_end(struct json *j)
{
    json_raw(j, luge_bytes_of("", 1));
    if (!j->failed) return j->text;
    model_free(j->text);
    return NULL;
}
