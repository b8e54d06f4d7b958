# test/symbols.sh -- which names the libraries show to the programs they join.
#
#   Y1  Both libraries define the functions of the public headers, all of
#       them, and nothing else that a linker could see.
#   Y2  The shared one is called libluge.so.0 in the programs that use it.
. "$LUGE_SOURCE/test/lib.sh"

# The names in front of a '(' on a line of a header that begins a declaration.
awk '/^LUGE_API/ {open = 1; text = ""}
     open {text = text " " $0; if (/\(/) {print text; open = 0}}' \
    "$LUGE_SOURCE"/include/*.h |
    sed 's/(.*//; s/.*[ *]//' | sort >declared

names() { awk '$2 ~ /[A-Z]/ {print $3}' | sort; }
nm -D --defined-only "$LUGE_BUILD/libluge.so" | names >shared
nm -g --defined-only "$LUGE_BUILD/libluge.a" | names >static

# A build with a sanitizer adds marks of its own to the static library.
grep -Ev '^(__odr_asan|__asan|_GLOBAL__|\.)' static >own

like "luge.h declares functions" "$(wc -l <declared)" '^[1-9][0-9]'
is "none of them is missing in libluge.so" "$(comm -23 declared shared)" ""
is "libluge.so shows nothing else" "$(comm -13 declared shared)" ""
is "none of them is missing in libluge.a" "$(comm -23 declared own)" ""
is "libluge.a shows nothing else" "$(comm -13 declared own)" ""
is "the SONAME" \
    "$(objdump -p "$LUGE_BUILD/libluge.so" | awk '$1 == "SONAME" {print $2}')" \
    "libluge.so.0"
finish
