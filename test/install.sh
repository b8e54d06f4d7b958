# test/install.sh -- what `make install` puts down is enough to work with.
#
# The README's program is compiled with nothing but what pkg-config says, once
# with the shared library and once with the static one, and run.  Then the
# example does what the README says it does.  So do the examples of the manual.
. "$LUGE_SOURCE/test/lib.sh"
cc=${CC:-cc}

run meson install -C "$LUGE_BUILD" --no-rebuild --destdir "$scratch/root"
is "install" "$code" "0"
pc=$(find root -name luge.pc)
is "a pkg-config file" "$(basename "$pc")" "luge.pc"
lib=$scratch/$(dirname "$(dirname "$pc")")
prefix=$(dirname "$lib" | sed 's,/lib$,,')
for header in "$LUGE_SOURCE"/include/*.h; do
    page=$(basename "$header" .h).3
    is "$(basename "$header") has a page" \
       "$(find root -name "$page" | wc -l)" "1"
done
for file in include/luge.h bin/luge share/man/man1/luge.1 \
    share/man/man3/luge.3 share/bash-completion/completions/luge.bash; do
    if [ -s "$prefix/$file" ]; then
        pass "$file"
    else
        fail "$file" "not below $prefix"
    fi
done

export PKG_CONFIG_PATH=$lib/pkgconfig
flags() { pkg-config --define-variable=prefix="$prefix" "$@" luge; }
is "the version is the header's" "$(pkg-config --modversion luge)" \
    "$(sed -n 's/^#define LUGE_VERSION_TEXT "\(.*\)"/\1/p' \
        "$LUGE_SOURCE/include/luge.h")"
awk '/^```c$/ {on = 1; next} /^```$/ {on = 0} on' \
    "$LUGE_SOURCE/README.md" >example.c
lines=$(grep -c . example.c)
[ "$lines" -gt 5 ] && [ "$lines" -le 30 ] &&
    pass "the README has a program of $lines lines" ||
    fail "the README has a program of some 20 lines" "$lines lines"

# A library built with a sanitizer needs the same flags in the program.
extra=$(meson introspect --buildoptions "$LUGE_BUILD" | python3 -c '
import json, sys
for option in json.load(sys.stdin):
    if option["name"] == "b_sanitize" and option["value"] != "none":
        print("-fsanitize=" + option["value"])')

run "$cc" -std=c11 -Wall -Wextra -Werror $extra -o example example.c \
    $(flags --cflags --libs)
is "it compiles as C11 with the shared library" "$code$err" "0"
run env LD_LIBRARY_PATH="$lib" ./example
is "it runs" "$code$err" "0"
wanted=$out
[ -n "$wanted" ] && pass "and prints something" || fail "and prints something"

# The first block of a page is a program, the second what it prints.  Of two
# backslashes there the page shows one.
block() {
    awk -v want="$2" '/^```$/ {n++; next} n == 2 * want - 1' "$1" |
        sed 's/\\\\/\\/g'
}
examples=
for page in "$LUGE_SOURCE"/docs/man/*.3.scd; do
    name=$(basename "$page" .3.scd)
    block "$page" 1 >"$name.c"
    [ -s "$name.c" ] || continue
    examples="$examples$name "
    run "$cc" -std=c11 -Wall -Wextra -Werror $extra -o "$name" "$name.c" \
        $(flags --cflags --libs)
    is "the example of $name(3) compiles" "$code$err" "0"
    run env LD_LIBRARY_PATH="$lib" "./$name"
    is "and runs" "$code$err" "0"
    is "and prints what the page says" "$out" "$(block "$page" 2)"
done
is "there are examples" "$examples" "luge_conversation luge_event luge_task "
rm -f "$lib"/libluge.so*
run "$cc" -std=c11 $extra -o example example.c $(flags --static --cflags --libs)
is "it compiles with the static library" "$code$err" "0"
run ./example
is "and prints what the README says" "$out" \
    "$(sed -n 's,.*/\* prints: \(.*\) \*/.*,\1,p' example.c)"
is "the command reads what it wrote" "$("$LUGE" get notes song)" "nocturne"
finish
