/* cli/print.c -- bytes for people (one line, escaped) and for programs (JSON).
 *
 *   P1  Escaped text has no tab and no newline and can be turned back: what is
 *       not printable UTF-8 is \xNN, a backslash is doubled.
 *   P2  In JSON, bytes are a string if they are UTF-8, else {"base64": "..."}.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/* ------------------------------------------------------------- people -- */

/* The bytes of the printable character at P, or 0 if there is none there. */
static size_t printable_size(const unsigned char *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t point;

    if (size == 1) return p[0] >= 0x20 && p[0] != 0x7f;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < size) return 0;
    point = p[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        point = (point << 6) | (p[i] & 0x3fu);
    }
    if (point < least[size] || point > 0x10ffff) return 0;
    if (point >= 0xd800 && point < 0xe000) return 0; /* half a surrogate */
    return point < 0xa0 ? 0 : size;                  /* C1 controls */
}

/* What the next character of P becomes, in four bytes at TO at most. */
static size_t escape(const unsigned char *p, size_t size, char *to)
{
    static const char digits[] = "0123456789abcdef";

    if (!size) {
        memcpy(to, "\\x", 2);
        to[2] = digits[p[0] >> 4];
        to[3] = digits[p[0] & 15];
        return 4;
    }
    memcpy(to, p, size);
    if (p[0] == '\\') to[size++] = '\\';
    return size;
}

void print_bytes_to(FILE *file, luge_bytes bytes)
{
    const unsigned char *p = bytes.data, *end = p + bytes.size;
    char text[1024];
    size_t made = 0;

    while (p < end) {
        size_t size = printable_size(p, (size_t)(end - p));
        made += escape(p, size, text + made);
        p += size + !size;
        if (made + 4 <= sizeof(text) && p < end) continue;
        fwrite(text, 1, made, file);
        made = 0;
    }
}

void print_bytes(luge_bytes bytes)
{
    print_bytes_to(stdout, bytes);
}

void print_start(luge_bytes bytes, int columns)
{
    const unsigned char *p = bytes.data;
    size_t at = 0;

    for (; at < bytes.size && p[at] != '\n' && p[at] != '\r'; at++) {
        if ((p[at] & 0xc0) == 0x80) continue;   /* inside of a character */
        if (columns-- == 0) break;
    }
    print_bytes(luge_bytes_of(p, at));
}

void print_count(const char *front, uint64_t count, const char *one)
{
    size_t size = strlen(one);
    const char *more = size > 2 && !strcmp(one + size - 2, "ch") ? "es" : "s";

    printf("%s%llu %s%s", front, (unsigned long long)count, one,
           count == 1 ? "" : more);
}

/* ---------------------------------------------------------------- times -- */

void time_words(uint64_t time_ns, char *text, size_t size)
{
    time_t seconds = (time_t)(time_ns / 1000000000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void time_text(uint64_t time_ns, char *text, size_t size)
{
    char words[32];

    time_words(time_ns, words, sizeof(words));
    words[strlen(words) - 1] = '\0';
    snprintf(text, size, "%s.%09uZ", words, (unsigned)(time_ns % 1000000000));
}

bool time_parse(const char *text, uint64_t *time_ns)
{
    static const char *const forms[] = {
        "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M", "%Y-%m-%d",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *rest = strptime(text, forms[i], &tm);
        uint64_t ns = 0, unit = 100000000;
        if (!rest) continue;
        if (*rest == '.')
            for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
                ns += (uint64_t)(*rest - '0') * unit;
        bool utc = *rest == 'Z';
        if (rest[utc]) continue;
        int day = tm.tm_mday;
        time_t seconds = utc ? timegm(&tm) : mktime(&tm);
        if (seconds < 0 || tm.tm_mday != day) return false; /* 31 April */
        *time_ns = (uint64_t)seconds * 1000000000 + ns;
        return true;
    }
    return false;
}

/* ----------------------------------------------------------- programs -- */

json_t *json_of_float(float number)
{
    char text[32];

    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)number);
        if (strtof(text, NULL) == number) break;
    }
    return json_real(strtod(text, NULL));
}

/* Memory: the caller's; NULL if there is none. */
static char *base64_of(luge_bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes.data;
    char *text = malloc((bytes.size + 2) / 3 * 4 + 1), *to = text;

    for (size_t at = 0; text && at < bytes.size; at += 3) {
        size_t left = bytes.size - at;
        uint32_t three = (uint32_t)p[at] << 16;
        if (left > 1) three |= (uint32_t)p[at + 1] << 8;
        if (left > 2) three |= p[at + 2];
        *to++ = digits[three >> 18];
        *to++ = digits[(three >> 12) & 63];
        *to++ = left > 1 ? digits[(three >> 6) & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
    if (text) *to = 0;
    return text;
}

json_t *json_of_bytes(luge_bytes bytes)
{
    json_t *json = json_stringn(bytes.size ? bytes.data : "", bytes.size);

    if (json) return json;
    char *text = base64_of(bytes);
    json = text ? json_pack("{s:s}", "base64", text) : NULL;
    free(text);
    return json;
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int base64_to(const char *text, size_t size, struct decoded *to)
{
    unsigned char *at;
    uint32_t bits = 0;
    size_t digits = size;

    while (digits && size - digits < 2 && text[digits - 1] == '=') digits--;
    if (size % 4 || digits % 4 == 1) return -1;
    at = to->made = malloc(size + 1);
    for (size_t i = 0; at && i < digits; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0) return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4) *at++ = (unsigned char)(bits >> (6 - i % 4 * 2));
    }
    if (!at) return -1;
    to->bytes = luge_bytes_of(to->made,
                              (size_t)(at - (unsigned char *)to->made));
    return 0;
}

int json_to_bytes(const json_t *json, struct decoded *to)
{
    const json_t *base64 = json_object_get(json, "base64");

    if (json_is_string(json)) {
        to->bytes = luge_bytes_of(json_string_value(json),
                                  json_string_length(json));
        return 0;
    }
    if (!json_is_string(base64)) return -1;
    return base64_to(json_string_value(base64), json_string_length(base64),
                     to);
}

json_t *json_of_count(uint64_t number)
{
    return json_integer((json_int_t)number);
}

/* NULL means that memory ran out while it was made. */
void print_json_to(FILE *file, json_t *object)
{
    if (!object || json_dumpf(object, file,
                              JSON_COMPACT | JSON_REAL_PRECISION(15))) {
        if (object && file == stdout && ferror(file))
            exit(say_system("cannot write", "standard output"));
        fputs("luge: NOMEM: no memory for a line of JSON\n", stderr);
        exit(EXIT_ERROR);
    }
    fputc('\n', file);
    json_decref(object);
}

void print_json(json_t *object)
{
    print_json_to(stdout, object);
}

void print_json_with(json_t *object, const char *name, luge_bytes raw)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    const char *at = raw.data;

    if (!text) {
        print_json(NULL);
        return;
    }
    printf("%.*s,\"%s\":", (int)strlen(text) - 1, text, name);
    for (size_t i = 0; i < raw.size; i++)       /* none is within a string */
        if (at[i] != '\n' && at[i] != '\r') putchar(at[i]);
    puts("}");
    free(text);
    json_decref(object);
}

int print_end(int code)
{
    errno = 0;
    if (!fflush(stdout) && !ferror(stdout)) return code;
    if (code == EXIT_ERROR) return code;        /* it has been said */
    return say_system("cannot write", "standard output");
}
