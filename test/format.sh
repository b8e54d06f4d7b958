# test/format.sh -- docs/format.md is enough to read a database.
#
# test/format.py was written from that document; what it reads in the files must
# be what luge says is in them: after a close, after a kill, from the pages and
# from the log.  Then the negative control: a byte that is flipped is noticed.
[ -n "${TMPDIR:-}" ] || [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "$LUGE_SOURCE/test/lib.sh"
reader() { python3 -B "$LUGE_SOURCE/test/format.py" "$@"; }

# agrees NAME DIR TREE
agrees() {
    "$LUGE" scan "$2" --tree "$3" >luge.txt 2>&1
    reader scan "$2" "$3" >reader.txt 2>&1
    same "$1: $(wc -l <luge.txt) pairs" reader.txt luge.txt
}

# flip FILE OFFSET: exclusive or with 1
flip() {
    python3 -c '
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    byte = f.read(1)[0]
    f.seek(int(sys.argv[2]))
    f.write(bytes([byte ^ 1]))' "$1" "$2"
}

# Both take a tree as their last argument.
old_luge() {
    if [ $# -eq 3 ]; then "$LUGE" "$1" "$2" --tree "$3"; else "$LUGE" "$@"; fi
}

# pages NAME DIR: every sum holds, every page is in one place
pages() {
    run reader check "$2"
    is "$1: each page has one place" "$code$err" "0"
}

# ------------------------------------------------------- keys of all kinds --

"$LUGE" put small song nocturne
printf 'a\0b\\\t\n\037\302\200' >odd
"$LUGE" put small - odd <odd
"$LUGE" put small "$(printf '\377\376')" 'not UTF-8'
"$LUGE" put small empty ''
"$LUGE" put small élan 'a letter of two bytes' --tree songs/été
"$LUGE" put small gone soon
"$LUGE" del small gone
agrees "odd keys" small main
agrees "another tree" small songs/été
is "all trees" "$(reader trees small)" "$("$LUGE" trees small)"
pages "odd keys" small
reader replay small >replay.txt
"$LUGE" scan small >luge.txt
same "the log alone says the same" replay.txt luge.txt
is "its last record is the newest commit" \
    "$(reader log small | tail -1 | sed 's/.*"seq": \([0-9]*\).*/\1/')" \
    "$("$LUGE" stat small --json |
        sed 's/.*"seq_committed":\([0-9]*\).*/\1/')"
is "its numbers have no gap" "$(reader log small |
    sed 's/.*"seq": \([0-9]*\).*/\1/' |
    awk 'NR > 1 && $1 != last + 1 {gap = 1} {last = $1}
        END {print gap + 0, (NR > 5)}')" "0 1"

# --------------------------------- three levels, long keys and large values --

# Two pairs a leaf; every other separator is as long as the keys.
fill=$(printf '%0300d' 0)
value=$(printf '%01500d' 7)
i=0
while [ $i -lt 24 ]; do
    for end in a b c d; do
        "$LUGE" put deep "$i/$fill/$end" "$value"
    done
    i=$((i + 1))
done
head -c 100000 /dev/urandom >large
"$LUGE" put deep large - <large
head -c 4096 /dev/urandom | "$LUGE" put deep page -
agrees "three levels" deep main
like "of branches, too" "$("$LUGE" stat deep --tree main --json |
    sed 's/.*"depth":\([0-9]*\).*/\1/')" '^[3-9]$'
pages "three levels" deep
i=0
while [ $i -lt 24 ]; do
    "$LUGE" del deep "$i/$fill/b"
    i=$((i + 2))
done
"$LUGE" put deep large 'not any more'
agrees "with holes" deep main
pages "with holes" deep
like "free pages among them" "$out" '^free.[1-9]'

# ------------------------------------------- keys that share their middles --

python3 - >urls.mdb <<'END'
import random
print("VERSION=3\nformat=print\ntype=btree\nHEADER=END")
dice = random.Random(1)
for n in dice.sample(range(100000), 6000):
    print(" www.site-%03d.example/topic-%02d/article-%07d\n %s"
          % (n % 20, n * 7919 % 100, n, "x" * 100))
print("DATA=END")
END
"$LUGE" load urls urls.mdb >/dev/null 2>&1
agrees "infixes" urls main
pages "infixes" urls
python3 - >infixes.txt <<'END'
pages = open("urls/db", "rb").read()
for name, kind in ("leaf", 1), ("branch", 2):
    print(name, any(pages[at + 16] == kind and pages[at + 21] >> 4
                    for at in range(8192, len(pages), 4096)))
END
is "they are in leaves and branches" "$(cat infixes.txt)" \
    "$(printf 'leaf True\nbranch True')"

# ------------------------------------------------------ forks and snapshots --

"$LUGE" put forks k1 one --tree a/x
"$LUGE" put forks k2 two --tree a/x
head -c 30000 /dev/urandom | "$LUGE" put forks large - --tree a/x
"$LUGE" put forks k other --tree a/y
"$LUGE" snapshot forks all
"$LUGE" snapshot forks part a/x
"$LUGE" fork forks a b >/dev/null
"$LUGE" put forks k2 changed --tree b/x
"$LUGE" del forks k1 --tree a/x
"$LUGE" fork forks b/x b/z >/dev/null
"$LUGE" drop forks b/x >/dev/null
"$LUGE" fork forks a/x old --snapshot all >/dev/null
"$LUGE" fork forks a/x older --snapshot part >/dev/null
for tree in a/x a/y b/y b/z old older; do
    agrees "forked $tree" forks $tree
done
is "all trees of forks" "$(reader trees forks)" "$("$LUGE" trees forks)"
pages "forks" forks
for tree in b/z old older; do
    reader replay forks $tree >replay.txt
    "$LUGE" scan forks --tree $tree >luge.txt
    same "the log alone says the same of $tree" replay.txt luge.txt
done

# A patch: a value that is new, one that is another, one that is gone.
first=$("$LUGE" scan urls | head -1 | cut -f1)
second=$("$LUGE" scan urls | sed -n 2p | cut -f1)
"$LUGE" snapshot urls before
"$LUGE" put urls a-new-key "a value"
"$LUGE" put urls "$first" changed
"$LUGE" del urls "$second"
agrees "patched" urls main
pages "patched" urls
is "it is a patch" "$(python3 -c '
pages = open("urls/db", "rb").read()
print(any(pages[at + 16] == 4 for at in range(8192, len(pages), 4096)))')" True

# -------------------------------------------- killed: what the log still has --

"$LUGE" put killed first one
"$LUGE" bench killed --records 3000000 >/dev/null 2>&1 &
children=$!
tries=0
while [ ! -e killed/log/0000000004 ] && [ $tries -lt 500 ]; do
    sleep 0.01
    tries=$((tries + 1))
done
kill -9 $children
wait $children 2>/dev/null
children=
reader scan killed luge-bench >reader.txt
"$LUGE" scan killed --tree luge-bench >luge.txt
same "after a kill: $(wc -l <luge.txt) pairs" reader.txt luge.txt
[ -s luge.txt ] && pass "which are some" || fail "which are some" "none"
agrees "recovered" killed main
pages "recovered" killed

# ---------------------------------------------------------- an old database --

# Left by a process that was killed (test_golden.c), with what was in it and
# its checksum: data/format-1.tar.gz, which `make golden` writes.
tar xzf "$LUGE_SOURCE/test/data/format-1.tar.gz"
contents() {
    "$@" trees format-1
    for tree in main songs/renamed new cleared; do
        "$@" scan format-1 $tree
    done
}
contents reader >reader.txt
same "an old database, read by the reader" reader.txt format-1.txt
if [ "${LUGE_HARD-}" ]; then
    skip "an old database, opened by luge (its nodes have more than 4 keys)"
else
    contents old_luge >luge.txt
    same "an old database, opened by luge" luge.txt format-1.txt
    "$LUGE" checksum format-1 >luge.sum
    same "with the same checksum" luge.sum format-1.sum
    run "$LUGE" check format-1
    is "and sound" "$code$err" "0"
    "$LUGE" put format-1 more data
    agrees "and written to" format-1 main
    pages "and written to" format-1
fi

# -------------------------------------------------------- negative control --

flip deep/db $((3 * 4096 + 100))
run reader check deep
is "a flipped byte in a page is noticed" "$code" 1
like "and named" "$err" "page 3"
flip deep/db $((3 * 4096 + 100))
pages "flipped back" deep
records=$(reader log small | wc -l)
flip small/log/0000000001 4100
run reader log small
is "a flipped byte in a first frame ends the log" "$out" ""
[ "$records" -gt 5 ] && pass "where $records records were" ||
    fail "where records were" "$records"
finish
