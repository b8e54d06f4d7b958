# test/one.sh -- the single file: compiles alone, and works.
#
# It is compiled with warnings as errors, in a folder where nothing but luge.c
# and luge.h is to be found, and the README's program is linked to it.
. "$LUGE_SOURCE/test/lib.sh"
cc=${CC:-cc}

run "$LUGE_SOURCE/tools/one" one
is "tools/one writes it" "$code" "0"
is "two files" "$(ls one | tr '\n' ' ')" "luge.c luge.h "
is "no include of ours but luge.h is left" \
    "$(grep '^#include "' one/luge.c)" '#include "luge.h"'
cd one || exit 1
run "$cc" -std=gnu17 -O1 -Wall -Wextra -Wno-unused-function \
    -Wno-format-truncation -Werror -c luge.c
is "cc -c luge.c" "$code$err" "0"
awk '/^```c$/ {on = 1; next} /^```$/ {on = 0} on' \
    "$LUGE_SOURCE/README.md" >example.c
run "$cc" -std=gnu17 -I. -o example example.c luge.o -pthread
is "a program links with it" "$code$err" "0"
run ./example
is "and runs" "$code" "0"
finish
