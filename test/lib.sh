# test/lib.sh -- what the test scripts share: a scratch folder and assertions.
#
# Every assertion prints "ok N - NAME" or "not ok N - NAME" and, if it failed,
# what it saw; tools/results counts these lines.  `finish` gives the exit code.
# The script is run by Meson, which says where things are:
#   LUGE the command, LUGE_BUILD the build folder, LUGE_SOURCE the checkout.
# Not here: anything about luge itself.
set -u
: "${LUGE:?}" "${LUGE_BUILD:?}" "${LUGE_SOURCE:?}"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/luge-test.XXXXXX")
children=
clean_up() {
    for child in $children; do
        kill -9 "$child" 2>/dev/null
    done
    chmod -R u+rwx "$scratch" 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT
cd "$scratch" || exit 1

number=0
failures=0

pass() {
    number=$((number + 1))
    echo "ok $number - $1"
}

fail() {
    number=$((number + 1))
    failures=$((failures + 1))
    echo "not ok $number - $1"
    shift
    printf '#   %s\n' "$@"
}

skip() {
    number=$((number + 1))
    echo "skip $number - $1"
}

# is NAME SEEN WANTED
is() {
    if [ "$2" = "$3" ]; then
        pass "$1"
    else
        fail "$1" "seen:   $2" "wanted: $3"
    fi
}

# like NAME SEEN PATTERN: an extended regular expression in one of the lines
like() {
    if printf '%s\n' "$2" | grep -Eq -- "$3"; then
        pass "$1"
    else
        fail "$1" "seen:   $2" "wanted: /$3/"
    fi
}

# same NAME FILE FILE
same() {
    if cmp -s "$2" "$3"; then
        pass "$1"
    else
        fail "$1" "$2 ($(wc -c <"$2") bytes) differs from $3"
    fi
}

# run COMMAND...: leaves $code, $out and $err
run() {
    "$@" >.out 2>.err </dev/null
    code=$?
    out=$(cat .out)
    err=$(cat .err)
}

# Exit code of the script.  A script that asserted nothing has failed.
finish() {
    echo "1..$number"
    [ "$number" -gt 0 ] && [ "$failures" -eq 0 ]
    exit $?
}
