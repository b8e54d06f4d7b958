# test/feed.sh -- the verbs log, consumers, dump and load, as people use them.
# Not here: what the feed promises (test_feed.c), damaged dumps (test_dump.c).
. "$LUGE_SOURCE/test/lib.sh"

code() {
    local name=$1 wanted=$2
    shift 2
    run "$@"
    is "$name: exit code" "$code" "$wanted"
}
luge() { "$LUGE" "$@"; }
tab=$(printf '\t')
# A line of the log without its time, which nobody knows beforehand.
plain() { cut -f 1,3-; }

# ------------------------------------------------------------------- log --

luge put db song nocturne
luge put db k v --tree notes
luge del db song
is "log" "$(luge log db | plain)" \
    "2${tab}create${tab}main
3${tab}put${tab}main${tab}song${tab}nocturne
4${tab}create${tab}notes
4${tab}put${tab}notes${tab}k${tab}v
5${tab}del${tab}main${tab}song"
like "log has times" "$(luge log db --limit 1)" \
    "^2${tab}20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\.[0-9]{9}Z${tab}create"
is "log --since" "$(luge log db --since 4 | plain)" \
    "5${tab}del${tab}main${tab}song"
is "log --limit" "$(luge log db --limit 2 | plain | tail -1)" \
    "3${tab}put${tab}main${tab}song${tab}nocturne"
is "log --tree" "$(luge log db --tree notes | plain)" \
    "4${tab}create${tab}notes
4${tab}put${tab}notes${tab}k${tab}v"
is "log --prefix" "$(luge log db --prefix so --since 2 --tree main | plain)" \
    "3${tab}put${tab}main${tab}song${tab}nocturne
5${tab}del${tab}main${tab}song"
like "log --json" "$(luge log db --since 3 --json --limit 1)" \
    "$(printf '%s' '^\{"seq":4,"time":"20[^"]*Z","changes":\[' \
        '\{"kind":"create","tree":"notes"\},' \
        '\{"kind":"put","tree":"notes","key":"k","value":"v"\}\]\}$')"
when=$(luge log db --json --since 3 --limit 1 | sed 's/.*"time":"//; s/".*//')
is "log --since a time" "$(luge log db --since "$when" | plain)" \
    "5${tab}del${tab}main${tab}song"
is "log --since a time before the first" \
    "$(luge log db --since 2001-02-03 --limit 1 | plain)" \
    "2${tab}create${tab}main"
is "log --since end: nothing yet" "$(luge log db --since end)" ""
code "log --since no time" 2 luge log db --since yesterday
code "log since the future" 3 luge log db --since 999
like "says why" "$err" '^luge: INVALID: .*999'
code "log of a missing tree" 1 luge log db --tree none
code "log of no database" 3 luge log nothing

"$LUGE" log db --follow --since 5 >follow 2>follow.err &
children="$children $!"
luge put db late 1
luge put db late 2
for _ in $(seq 200); do
    [ "$(wc -l <follow)" -ge 2 ] && break
    sleep 0.05
done
timeout 20 "$LUGE" log db --follow | head -1 >/dev/null
is "log --follow ends when nobody reads" "${PIPESTATUS[0]}" 0
is "log --follow goes on" "$(plain <follow)" \
    "6${tab}put${tab}main${tab}late${tab}1
7${tab}put${tab}main${tab}late${tab}2"

# Nobody reads any more, and nothing is committed: it ends all the same.
code "log --follow ends with its reader" 0 timeout 20 bash -c \
    '"$LUGE" log db --follow | head -1 >/dev/null'
code "so does event follow" 0 timeout 20 bash -c \
    '"$LUGE" event ev append s t >/dev/null &&
        "$LUGE" event ev follow | head -1 >/dev/null'

luge put forked k v --tree song
luge fork forked song draft >/dev/null
luge snapshot forked monday song >/dev/null
is "log has forks and snapshots" \
    "$(luge log forked | plain | grep -E '(fork|snapshot)')" \
    "4${tab}fork${tab}draft${tab}song
5${tab}snapshot${tab}monday${tab}song"

# A full disk behind standard output is told once, as what it is, and soon.
head -c 6000000 /dev/urandom | luge put wide k - >/dev/null
for what in "log wide" "log wide --json" "scan wide" "scan wide --json" \
    "dump wide" "dump wide --format jsonl" "dump db"
do
    code "$what, to a full disk" 3 bash -c "\"\$LUGE\" $what >/dev/full"
    is "says so and no more" "$err" \
        "luge: NOSPACE: cannot write standard output: No space left on device"
done

# ------------------------------------------------------------- consumers --

code "consumers of a database without any" 0 luge consumers db
is "prints nothing" "$out" ""
code "dropping a consumer that is not there" 1 luge consumers db --drop none

# ------------------------------------------------------------- retention --

is "retention of a new database" "$(luge retention db)" "archive${tab}off
bytes${tab}0
seconds${tab}0
hold${tab}0"
luge retention db --archive on --hold 1000
luge retention db --seconds 60
is "retention --json, after two changes" "$(luge retention db --json)" \
    '{"archive":true,"bytes":0,"seconds":60,"hold":1000}'
code "retention of a wrong word" 2 luge retention db --archive off --bytes all
is "changes nothing" "$(luge retention db | head -1)" "archive${tab}on"
luge retention db --archive off --seconds 0 --hold 0
code "retention of no database" 3 luge retention nothing --archive on

luge put gone k 1
luge retention gone --bytes 1
luge bench gone --records 60000 >/dev/null 2>&1
code "log since what has gone" 3 luge log gone --since 2
like "says from where it can be had" "$err" \
    '^luge: EXPIRED: .* follows transaction 2, but only what follows [0-9]+$'
code "which is so" 0 luge log gone --since "${err##* }"

# -------------------------------------------------------- stat and health --

like "stat has quantiles of syncs" "$(luge stat db)" '^sync_us_p99 +[0-9]+$'
like "stat has pins" "$(luge stat db)" '^pin checkpoint +process 0 seq [0-9]+ '
luge stat db --json >stat.json
is "stat --json has pins, trees and histograms" "$(python3 -c '
import json
s = json.load(open("stat.json"))
print(s["pins"][0]["kind"], s["tree_list"][1]["name"],
      len(s["sync_us_histogram"]), len(s["group_commits_histogram"]))')" \
    "checkpoint main 24 24"
is "stat --trees --json has depth and fill of each tree" \
    "$(luge stat db --trees --json | python3 -c '
import json, sys
for t in json.load(sys.stdin)["tree_list"]:
    print(t["name"], t["count"], t["depth"], t["leaf_pages"],
          "fill_percent" in t)')" "luge/log 1 1 1 True
main 1 1 1 True
notes 1 1 1 True"
is "stat --trees has them for people" \
    "$(luge stat db --trees | grep -A 2 '^tree notes')" "tree notes
count                        1
depth                        1"
like "stat --tree has a fill" "$(luge stat db --tree main)" \
    '^fill_percent +[0-9]+$'
code "health" 0 luge health db
like "is one line" "$out" '^healthy: [0-9]+ commits/s, '
is "and only one" "$(luge health db | wc -l)" "1"
is "health --json" "$(luge health db --json)" '{"healthy":true,"reasons":[]}'
code "health of no database" 3 luge health nothing
luge put sick k v
head -c 8192 /dev/zero | dd of=sick/db conv=notrunc 2>/dev/null
code "health of a broken one" 1 luge health sick
like "says why" "$out" '^unhealthy: .*superblock'

# ---------------------------------------------------------- dump and load --

printf 'a\000b\377\n' | luge put db bytes -
head -c 200000 /dev/urandom | luge put db noise - --tree notes
before=$(luge checksum db)
code "dump to a file" 0 luge dump db all.dump
like "says how much on stderr" "$err" '^luge: dump: done: 2 trees, 4 pairs, '
is "and nothing on stdout" "$out" ""
is "it leaves no part behind" "$(ls all.dump*)" "all.dump"
code "load it" 0 luge load copy all.dump
like "says how much, too" "$err" '^luge: load: done: 2 trees, 4 pairs, '
is "a copy by dump and load" "$(luge checksum copy)" "$before"
luge dump db 2>/dev/null | luge load piped - 2>/dev/null
is "through a pipe" "$(luge checksum piped)" "$before"
luge dump db --format jsonl 2>/dev/null >all.jsonl
is "JSON Lines: a line for each tree and pair" "$(wc -l <all.jsonl)" "6"
like "JSON Lines are as said" "$(cat all.jsonl)" \
    '^\{"tree":"main","key":"bytes","value":\{"base64":"YQBi/wo="\}\}$'
code "load JSON Lines" 0 luge load lines all.jsonl
is "a copy by JSON Lines" "$(luge checksum lines)" "$before"
head -c 100000 all.dump >short.dump
code "a dump that is cut short" 3 luge load short short.dump
like "is found out" "$err" '^luge: CORRUPT: .*cut short'
like "and tells what was loaded" "$err" '^luge: load: ended early: [0-9]+ pairs'
code "load of a missing file" 3 luge load copy none.dump
code "dump of no database" 3 luge dump nothing x.dump
is "leaves no file" "$(ls x.dump* 2>/dev/null)" ""
code "an unknown format" 2 luge dump db x.dump --format xml
code "an unknown format to load" 2 luge load db all.dump --format xml
code "the wrong format" 3 luge load wrong all.jsonl --format luge
code "dump into a missing folder" 3 luge dump db none/x.dump

luge dump nothing 2>/dev/null | luge load void - 2>err
is "a dump that failed is no empty one" "$? $(cat err)" \
    "3 luge: CORRUPT: standard input is empty, and no dump is"
code "nor is a folder" 3 luge load void .
like "a dump" "$err" '^luge: IO: cannot read \.: Is a directory$'
code "what has no end and no line" 3 timeout 20 "$LUGE" load void /dev/zero
like "is no dump" "$err" '^luge: CORRUPT: /dev/zero is no dump of luge or LMDB'
is "and no database was made" "$(ls void 2>/dev/null)" ""
cat all.dump all.dump >two.dump
code "two dumps in one file" 3 luge load two two.dump
like "are not taken for one" "$err" '^luge: CORRUPT: something follows the dump'

printf '%s\n' '{"key":"a","value":"1"}' '' \
    '{"tree":"t","key":{"base64":"/w=="},"value":"2"}' '{"tree":"void"}' \
    >in.jsonl
luge load mixed in.jsonl --tree here 2>/dev/null
is "JSON Lines: --tree is for those that name none" \
    "$(luge get mixed a --tree here)" "1"
is "JSON Lines: base64 keys" "$(luge scan mixed --tree t)" "\\xff${tab}2"
is "JSON Lines: empty trees" "$(luge trees mixed | tail -1)" "void${tab}0"
for bad in '{"key":"a"' '{"key":"a"}' '{"value":"a"}' '{"key":1,"value":"b"}' \
    '{"key":{"base64":"a"},"value":"b"}' '[]' '{"tree":3,"key":"a","value":"b"}'
do
    printf '%s\n%s\n' '{"key":"good","value":"1"}' "$bad" >bad.jsonl
    code "malformed: $bad" 3 luge load bad bad.jsonl
    like "names the line" "$err" '^luge: CORRUPT: line 2: '
done
printf '{"key":"good","value":"1"}\n{"key":"%s","value":"1"}\n' \
    "$(printf '%01025d' 0)" >bad.jsonl
code "a key that is too long" 3 luge load bad bad.jsonl
like "is named by its line, too" "$err" '^luge: TOOBIG: line 2: a key of 1025 '
printf '{"key":"good","value":"1"}\n%s\n' \
    '{"tree":"luge/log","key":"c","value":"1"}' >bad.jsonl
code "the database's own tree" 3 luge load bad bad.jsonl
like "is not loaded" "$err" '^luge: CORRUPT: line 2: .*luge/log'
is "what came before stays" "$(luge get bad good)" "1"

# Ten rounds through 8000 trees cost at most four times what ten pairs in a row
# of each do (2.6 times; 6 when names were compared one after the other).
trees() { seq -f '{"tree":"a/tree/%.0f","key":"K","value":"v"}' 8000; }
for n in 0 1 2 3 4 5 6 7 8 9; do trees | sed "s/K/$n/"; done >rounds.jsonl
trees | sed 'p;p;p;p;p;p;p;p;p' >rows.jsonl
TIMEFORMAT=%U
rounds=$({ time luge load rounds rounds.jsonl 2>/dev/null; } 2>&1)
rows=$({ time luge load rows rows.jsonl 2>/dev/null; } 2>&1)
is "many trees are found as fast as few ($rounds s, $rows s)" \
    "$(awk "BEGIN { print $rounds < 4 * $rows }")" "1"

# What mdb_dump -a of LMDB 0.9 writes: two databases, both formats of text.
sed 's/~$//' >lmdb.dump <<'END'
VERSION=3
format=print
type=btree
mapsize=1048576
maxreaders=126
db_pagesize=4096
HEADER=END
 key
 value with \5c and \0a
 k\ffx
 ~
DATA=END
VERSION=3
format=bytevalue
database=sub
type=btree
HEADER=END
 6b6579
 00ff
DATA=END
END
code "load what mdb_dump wrote" 0 luge load lmdb lmdb.dump
is "its main database" "$(luge scan lmdb)" \
    "key${tab}value with \\\\ and \\x0a
k\\xffx${tab}"
is "its named one" "$(luge scan lmdb --tree sub)" "key${tab}\\x00\\xff"
sed 's/\\5c/\\/' lmdb.dump >bad.dump
code "a backslash of an LMDB that does not escape it" 3 luge load bad bad.dump
like "is not guessed at" "$err" '^luge: CORRUPT: line 9: .*without -p$'
sed 's/^ k.ffx$/ k\\\\a5/' lmdb.dump >bad.dump
code "nor are two" 3 luge load bad bad.dump
sed '/mapsize/d; s/\\5c/\\\\/' lmdb.dump >berkeley.dump
luge load berkeley berkeley.dump 2>/dev/null
is "Berkeley's db_dump doubles it" "$(luge get berkeley key)" \
    "$(luge get lmdb key)"
sed 's/^database=sub$/&\nintegerkey=1/' lmdb.dump >order.dump
code "keys that are numbers" 0 luge load order order.dump
like "come in another order, as is told" "$err" \
    '^luge: load: line 18: LMDB had these keys in the order of numbers'
sed 's/^ 6b6579$/ 6b657/' lmdb.dump >bad.dump
code "half a byte" 3 luge load lmdb bad.dump
like "is named by its line" "$err" '^luge: CORRUPT: line 18: '
sed '$d' lmdb.dump >bad.dump
code "without its end" 3 luge load lmdb bad.dump
sed 's/^ k\\ffx$/ key/' lmdb.dump >bad.dump
code "two values of one key" 3 luge load dup bad.dump
like "are not lost in silence" "$err" 'DUPSORT'

finish
