/* test/test_serial.c -- the judge of histories is judged (serial.h).
 *
 * Holds: each hand-made history below has the one anomaly its name says, and
 * must be rejected for it; the sound ones must pass; and a random history of a
 * really serial store must pass at full size, but not once one read in it is
 * made stale.
 * Not here: the database.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serial.h"
#include "support.h"

/* A history as text, a line for each transaction:
 *   "PROCESS BEGIN END FATE STEPS;"  FATE: l, u, r for landed, unknown, refused
 *   steps: "x+3" appends 3 to list x, "x=12" reads the list [1 2], "x=" empty
 *   "x:123;" is the final list. */
static const char *parse_txn(struct serial *s, const char *p)
{
    unsigned process;
    unsigned long long begin, end;
    char fate;
    int used;
    assert_int_equal(sscanf(p, "%u %llu %llu %c%n", &process, &begin, &end,
                            &fate, &used), 4);
    uint32_t t = serial_txn(s, process, begin, end,
                            fate == 'l'   ? SERIAL_LANDED
                            : fate == 'u' ? SERIAL_UNKNOWN
                                          : SERIAL_REFUSED);
    for (p += used; *p && *p != ';';) {
        uint64_t values[10], count = 0;
        while (*p == ' ') p++;
        if (*p == ';') break;
        uint64_t list = (uint64_t)*p++;
        char what = *p++;
        while (*p >= '0' && *p <= '9') values[count++] = (uint64_t)(*p++ - '0');
        if (what == '+') serial_append(s, t, list, values[0]);
        else serial_read(s, t, list, serial_view_of(values, count));
    }
    return p;
}

static const char *parse_final(struct serial *s, const char *p)
{
    uint64_t values[10], count = 0, list = (uint64_t)p[0];
    for (p += 2; *p >= '0' && *p <= '9';)
        values[count++] = (uint64_t)(*p++ - '0');
    serial_final(s, list, values, count);
    return p;
}

static void expect(enum serial_anomaly anomaly, const char *history)
{
    struct serial *s = serial_new();
    for (const char *p = history; *p;) {
        while (*p == ' ' || *p == ';') p++;
        if (!*p) break;
        p = p[1] == ':' ? parse_final(s, p) : parse_txn(s, p);
    }
    enum serial_anomaly seen = serial_judge(s, NULL, NULL);
    if (seen != anomaly) {
        print_error("%s\n", history);
        (void)serial_judge(s, stderr, NULL);
    }
    assert_string_equal(serial_text(seen), serial_text(anomaly));
    serial_free(s);
}

static void sound_histories(void **state)
{
    (void)state;
    expect(SERIAL_SOUND, "");
    expect(SERIAL_SOUND, "1 0 1 l x= x+1; 1 2 3 l x=1 x+2; 2 4 5 l x=12; x:12");
    /* at the same time, in either order */
    expect(SERIAL_SOUND,
           "1 0 9 l x= x+1; 2 0 9 l x=1 y+2; 3 0 9 l x=; x:1; y:2");
    /* one that died landed, another did not, nobody knew */
    expect(SERIAL_SOUND, "1 0 0 u x+1 y+2; 2 0 0 u x+3; 3 5 6 l x=1; x:1; y:2");
    /* an unknown one may land long after its process died */
    expect(SERIAL_SOUND, "1 0 0 u x+1; 2 5 6 l x=; 3 7 8 l x=1; x:1");
    /* what a refused one read inside its life is no promise */
    expect(SERIAL_SOUND, "1 0 9 l x= x+1; 2 0 9 r x= x+2; 2 10 11 l x=1; x:1");
    /* reading one's own appends */
    expect(SERIAL_SOUND, "1 0 1 l x+1; 2 2 3 l x=1 x+2 x=12 x+3 x=123; x:123");
}

static void what_needs_no_graph(void **state)
{
    (void)state;
    expect(SERIAL_LOST, "1 0 1 l x+1; 1 2 3 l x+2; x:2");
    expect(SERIAL_HALF, "1 0 1 u x+1 y+2; x:1; y:");
    expect(SERIAL_PHANTOM, "1 0 1 l x+1; x:17");
    expect(SERIAL_DUPLICATE, "1 0 1 l x+1; x:11");
    expect(SERIAL_ABORTED_READ, "1 0 1 r x+1; 2 2 3 l x+2; x:12");
    expect(SERIAL_ABORTED_READ, "1 0 9 r x+1; 2 2 3 l x=1; x:");
    expect(SERIAL_INTERMEDIATE_READ, "1 0 9 l x+1 x+2; 2 0 9 l x=1; x:12");
    expect(SERIAL_NOT_A_PREFIX, "1 0 1 l x+1; 2 0 9 l x+2; 3 0 9 l x=2; x:12");
    expect(SERIAL_OWN_WRITE, "1 0 1 l x+1; 2 2 3 l x+2 x=1; x:12");
}

static void cycles(void **state)
{
    (void)state;
    /* dirty write: each list has them in another order */
    expect(SERIAL_G0, "1 0 9 l x+1 y+2; 2 0 9 l x+3 y+4; x:13; y:42");
    /* each saw the other's */
    expect(SERIAL_G1C, "1 0 9 l x+1 y=2; 2 0 9 l y+2 x=1; x:1; y:2");
    /* lost update: both read the same, both wrote */
    expect(SERIAL_G_SINGLE, "1 0 9 l x= x+1; 2 0 9 l x= x+2; x:12");
    /* read skew: half of the other's work seen */
    expect(SERIAL_G_SINGLE, "1 0 9 l x+1 y+2; 2 0 9 l x=1 y=; x:1; y:2");
    /* write skew: each read what the other wrote, before */
    expect(SERIAL_G2, "1 0 9 l x= y= x+1; 2 0 9 l x= y= y+2; x:1; y:2");
    /* three that bite each other's tails */
    expect(SERIAL_G2, "1 0 9 l x= y+1; 2 0 9 l y= z+2; 3 0 9 l z= x+3;"
                      "x:3; y:1; z:2");
    /* the long fork: two readers disagree who was first */
    expect(SERIAL_G2, "1 0 9 l x+1; 2 0 9 l y+2; 3 0 9 l x=1 y=;"
                      "4 0 9 l x= y=2; x:1; y:2");
}

static void real_time_counts(void **state)
{
    (void)state;
    /* read an old snapshot after the new one was acknowledged */
    expect(SERIAL_STALE, "1 0 1 l x+1; 2 5 6 l x=; x:1");
    /* written in the wrong order of time */
    expect(SERIAL_STALE, "1 0 1 l x+1; 2 5 6 l x+2; x:21");
    /* one process does not see what it wrote itself */
    expect(SERIAL_STALE, "1 0 1 l x+1; 1 2 3 l x= y+2; x:1; y:2");
    /* through a third */
    expect(SERIAL_STALE, "1 0 1 l x+1; 2 2 3 l y+2; 3 4 5 l x= y=2; x:1; y:2");
}

/* ------------------------------------------------------- at full size -- */

enum { LISTS = 20000, LENGTH = 64, AT_ONCE = 8 };

struct store { uint64_t values[LISTS][LENGTH], count[LISTS]; };

/* COUNT transactions that happen one after the other, though each claims to
 * have taken as long as its neighbours.  STALE: one of them reads a list
 * as it was long before. */
static struct serial *random_history(uint32_t count, uint64_t seed, bool stale)
{
    struct dice d = dice_of(seed, 0);
    struct store *store = calloc(1, sizeof *store);
    struct serial *s = serial_new();
    uint64_t unique = 0;
    assert_non_null(store);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t base = i / (LENGTH * 2);
        bool landed = !dice_chance(&d, 2);
        uint32_t t = serial_txn(s, i % AT_ONCE, (uint64_t)i * 10,
                                (uint64_t)i * 10 + 10 * AT_ONCE,
                                landed ? SERIAL_LANDED : SERIAL_UNKNOWN);
        for (int j = 0; j < 3; j++) {
            uint64_t l = (base + dice_below(&d, 8)) % LISTS;
            uint64_t n = store->count[l];
            if (stale && landed && i > count / 2 && n > LENGTH / 2) {
                n -= LENGTH / 4;  /* these writers ended long before */
                stale = false;
            }
            serial_read(s, t, l, serial_view_of(store->values[l], n));
            if (store->count[l] == LENGTH || dice_chance(&d, 50)) continue;
            store->values[l][store->count[l]++] = ++unique;
            serial_append(s, t, l, unique);
            break;
        }
    }
    for (uint64_t l = 0; l < LISTS; l++)
        serial_final(s, l, store->values[l], store->count[l]);
    free(store);
    return s;
}

static void many_transactions(void **state)
{
    (void)state;
    const char *length = getenv("LUGE_TEST");
    uint32_t count = length && !strcmp(length, "long") ? 5000000 : 200000;
    uint64_t from = now_ns();
    struct serial_figures f;
    struct serial *s = random_history(count, 1, false);
    uint64_t made = now_ns();
    assert_int_equal(serial_judge(s, stderr, &f), SERIAL_SOUND);
    uint64_t judged = now_ns();
    assert_int_equal(f.txns, count);
    assert_true(f.appends > count / 3 && f.edges > count);
    print_message("%u transactions, %llu edges: made in %.2f s, judged in "
                  "%.2f s\n", count, (unsigned long long)f.edges,
                  (double)(made - from) / 1e9, (double)(judged - made) / 1e9);
    serial_free(s);
}

static void one_stale_read_among_many(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct serial *s = random_history(50000, seed, true);
        enum serial_anomaly a = serial_judge(s, NULL, NULL);
        if (a == SERIAL_SOUND) print_error("seed %d\n", (int)seed);
        assert_int_not_equal(a, SERIAL_SOUND);
        serial_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_histories),
        cmocka_unit_test(what_needs_no_graph),
        cmocka_unit_test(cycles),
        cmocka_unit_test(real_time_counts),
        cmocka_unit_test(many_transactions),
        cmocka_unit_test(one_stale_read_among_many),
    };
    return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
