# test/cli.sh -- the luge command as somebody uses it who has just met it.
#
# Every verb, every exit code, text and JSON, bytes that are no text, standard
# input, wrong usage, directories that are no database, four writers at once,
# and a writer killed.
# Not here: the engine's own promises (test_*.c, crash_*.c).
. "$LUGE_SOURCE/test/lib.sh"

# code NAME WANTED COMMAND...: the exit code, and stderr when there is an error
code() {
    local name=$1 wanted=$2
    shift 2
    run "$@"
    is "$name: exit code" "$code" "$wanted"
}

luge() { "$LUGE" "$@"; }

# ---------------------------------------------------------------- values --

code "put creates the database" 0 luge put db song nocturne
is "put says nothing" "$out$err" ""
is "get prints the value and nothing else" \
    "$(luge get db song | od -An -c | tr -d ' \n')" "nocturne"
if [ "$(script -qec 'echo here' /dev/null 2>/dev/null | tr -d '\r')" = here ]
then
    is "on a terminal a newline follows" \
        "$(script -qec "$LUGE get db song" /dev/null | tr '\r' .)" "nocturne."
else
    skip "on a terminal a newline follows (no terminals here)"
fi
luge put db song prelude
is "put replaces" "$(luge get db song)" "prelude"
code "get of a missing key" 1 luge get db nothing
is "get of a missing key prints no data" "$out" ""
is "get of a missing key says why" "$err" \
    "luge: NOTFOUND: there is no such key, tree or position"
code "del" 0 luge del db song
code "get after del" 1 luge get db song
code "del of a missing key" 1 luge del db song
like "del of a missing key says why" "$err" '^luge: NOTFOUND: .'
luge put db empty ""
code "an empty value is a value" 0 luge get db empty
is "and it is empty" "$(luge get db empty | wc -c)" "0"
luge del db empty

# ----------------------------------------------------------------- input --

head -c 300000 /dev/urandom >noise
luge put db noise - <noise
luge get db noise >copy
same "a value from standard input comes back byte for byte" noise copy
printf 'k\001\377' | luge put db - v
is "a key from standard input" "$(printf 'k\001\377' | luge get db -)" "v"
printf 'k\001\377' | luge del db -
code "two arguments from standard input" 2 luge put db - -
luge put db -- --dashed -
is "after -- words are as they are" "$(luge get db -- --dashed)" "-"
luge put -- db -- --
is "even --" "$(luge get db -- --)" "--"
luge del db -- --dashed
luge del db -- --
luge put db minus -5
is "a value may begin with a dash" "$(luge get db minus)" "-5"
luge del db minus
luge del db noise

# ------------------------------------------------------------------ scan --

code "scan of an empty tree" 0 luge scan db
is "prints nothing" "$out" ""
for key in b a ca cb d; do luge put db $key "v$key"; done
tab=$(printf '\t')
is "scan is in the order of keys" "$(luge scan db)" \
    "a${tab}va
b${tab}vb
ca${tab}vca
cb${tab}vcb
d${tab}vd"
keys() { luge scan db --keys "$@" | tr '\n' ' '; }
is "--keys" "$(keys)" "a b ca cb d "
is "--reverse" "$(keys --reverse)" "d cb ca b a "
is "--limit" "$(keys --limit 2)" "a b "
is "--limit 0" "$(keys --limit 0)" ""
is "--reverse --limit" "$(keys --reverse --limit=2)" "d cb "
is "--prefix" "$(keys --prefix c)" "ca cb "
is "--prefix --reverse" "$(keys --reverse --prefix c)" "cb ca "
is "--prefix of nothing" "$(keys --prefix x)" ""
is "--from" "$(keys --from b)" "b ca cb d "
is "--to" "$(keys --to cb)" "a b ca "
is "--from --to" "$(keys --from aa --to cb)" "b ca "
is "--from --to --reverse" "$(keys --from aa --to cb --reverse)" "ca b "
is "--from past --to" "$(keys --from d --to a)" ""
is "options may stand before the directory" \
    "$(luge scan --keys --limit 1 db)" "a"
code "--prefix with --from" 2 luge scan db --prefix a --from b
code "--limit of a word" 2 luge scan db --limit many
code "--limit of a negative number" 2 luge scan db --limit -1

# ----------------------------------------------------------------- trees --

luge put db k one --tree songs/nocturne
luge put db k two --tree songs/prelude
luge put db l two --tree songs/prelude
is "trees are apart" "$(luge get db k --tree songs/nocturne)" "one"
is "trees are apart (2)" "$(luge get db k --tree=songs/prelude)" "two"
code "and main is another" 1 luge get db k
is "trees" "$(luge trees db)" \
    "main${tab}5
songs/nocturne${tab}1
songs/prelude${tab}2"
is "trees --json" "$(luge trees db --json | tail -1)" \
    '{"name":"songs/prelude","count":2}'
is "scan --tree" "$(luge scan db --tree songs/prelude --keys)" "k
l"
code "get from a missing tree" 1 luge get db k --tree none
code "scan of a missing tree" 1 luge scan db --tree none
code "del from a missing tree" 1 luge del db k --tree none
is "reading made no tree" "$(luge trees db | grep -c none)" "0"
luge del db k --tree songs/nocturne
is "an emptied tree stays" "$(luge trees db | grep nocturne)" \
    "songs/nocturne${tab}0"

# ------------------------------------------------------------------ JSON --

is "get --json" "$(luge get db a --json)" '{"key":"a","value":"va"}'
is "scan --json" "$(luge scan db --json --prefix c)" \
    '{"key":"ca","value":"vca"}
{"key":"cb","value":"vcb"}'
is "scan --json --keys" "$(luge scan db --json --keys --limit 1)" \
    '{"key":"a"}'
printf 'a\000b\377\n' | luge put db bytes -
is "JSON has base64 for what is no UTF-8" "$(luge get db bytes --json)" \
    '{"key":"bytes","value":{"base64":"YQBi/wo="}}'
is "text has escapes for it" "$(luge scan db --prefix bytes)" \
    "bytes${tab}a\\x00b\\xff\\x0a"
luge put db text "tab${tab}back\\slash \"é\" 𝄞"
is "JSON escapes text" "$(luge get db text --json)" \
    '{"key":"text","value":"tab\tback\\slash \"é\" 𝄞"}'
is "text escapes tab and backslash, not letters" \
    "$(luge scan db --prefix text)" \
    "text${tab}tab\\x09back\\\\slash \"é\" 𝄞"
for size in 1 2 3 4 5; do
    printf '\377%.0s' $(seq $size) >raw
    luge put db raw - <raw
    luge get db raw --json | python3 -c '
import base64, json, sys
value = json.load(sys.stdin)["value"]
sys.stdout.buffer.write(base64.b64decode(value["base64"]))' >copy
    same "base64 of $size bytes" raw copy
done
first=$(luge put db seq 1 --json)
second=$(luge put db seq 2 --json)
like "put --json has the number of the commit" "$first" '^\{"seq":[0-9]+\}$'
is "the next commit has the next number" "$second" \
    "{\"seq\":$((${first//[!0-9]/} + 1))}"
luge del db text && luge del db bytes && luge del db raw && luge del db seq

# ----------------------------------------------------------- durability --

code "--durability async" 0 luge put db soft 1 --durability async
is "is there for the next process" "$(luge get db soft)" "1"
code "--durability full" 0 luge del db soft --durability=full
code "--durability of another kind" 2 luge put db k v --durability perhaps
code "and nothing was written" 1 luge get db k

# ------------------------------------------------ stat, check, checksum --

code "stat" 0 luge stat db
like "stat has pages" "$out" '^page_bytes +[0-9]+$'
like "stat has the number of trees" "$out" '^trees +3$'
like "stat --json is one object" "$(luge stat db --json)" \
    '^\{"seq_committed":[0-9]+,.*\}$'
like "stat --tree counts keys" "$(luge stat db --tree main)" '^count +5$'
code "stat of a missing tree" 1 luge stat db --tree none
code "check of a sound database" 0 luge check db
is "says so" "$out" "sound"
is "check --json" "$(luge check db --json)" '{"sound":true,"defects":0}'
before=$(luge checksum db)
like "checksum is 16 digits" "$before" '^[0-9a-f]{16}$'
is "checksum is the same again" "$(luge checksum db)" "$before"
luge put db a other
if [ "$(luge checksum db)" != "$before" ]; then
    pass "checksum sees a change"
else
    fail "checksum sees a change" "still $before"
fi
luge put db a va
is "checksum is of the content alone" "$(luge checksum db)" "$before"
for key in d cb ca b a; do luge put twin $key "v$key"; done
luge put twin l two --tree songs/prelude
luge put twin k two --tree songs/prelude
luge put twin k one --tree songs/nocturne
luge del twin k --tree songs/nocturne
is "checksum of a twin made in another order" "$(luge checksum twin)" "$before"
like "checksum --json" "$(luge checksum db --json)" \
    "^\{\"checksum\":\"$before\",\"seq\":[0-9]+\}$"

# ----------------------------------------------------------------- bench --

code "bench" 0 luge bench db --records 2000 --json
is "bench has six rows" "$(grep -c '"per_second":' .out)" "6"
is "bench leaves no trace" "$(luge checksum db)" "$before"
code "bench without a directory" 0 luge bench --records 500
like "bench has a table" "$out" '^commit durable +500 '
luge put db k v --tree luge-bench
code "bench does not touch another's tree" 3 luge bench db --records 100
like "and says why" "$err" '^luge: EXISTS: .'
is "whose content stays" "$(luge get db k --tree luge-bench)" "v"
luge del db k --tree luge-bench
luge put db luge-bench "" --tree luge-bench
code "but takes over what a killed bench left" 0 luge bench db --records 100
is "and drops it" "$(luge checksum db)" "$before"
code "bench of nothing" 2 luge bench --records 0

# ----------------------------------------------------------------- usage --

code "no verb" 2 luge
like "prints the usage" "$err" '^usage: luge VERB DIR'
code "an unknown verb" 2 luge frobnicate db
like "is named" "$err" "frobnicate"
code "a missing argument" 2 luge put db key
like "is named too" "$err" '^luge: put: VALUE is missing$'
like "with the verb's usage" "$err" '^usage: luge put DIR KEY VALUE '
is "and nothing on stdout" "$out" ""
code "one argument too many" 2 luge get db a b
code "an unknown option" 2 luge get db a --frobnicate
code "an option of another verb" 2 luge get db a --reverse
code "an option without its value" 2 luge scan db --tree
code "a value for an option that has none" 2 luge scan db --keys=yes
code "an option twice" 2 luge scan db --limit 1 --limit 2
code "no directory" 2 luge scan
code "help" 0 luge help
for verb in put get del scan trees stat check checksum bench help version; do
    like "help names $verb" "$out" "^  $verb "
done
luge help | sed -n 's/^  \([a-z]*\) \(\[*[A-Z].*[^ ]\)   *\([a-z].*\)/\1 \2/p' |
    grep -v '^help' >verbs
[ "$(wc -l <verbs)" -ge 9 ] && pass "the verbs can be read out of help" ||
    fail "the verbs can be read out of help" "$(cat verbs)"
while read -r verb; do
    is "the README has luge $verb" \
        "$(grep -cF "| \`luge $verb\` |" "$LUGE_SOURCE/README.md")" "1"
done <verbs
rm verbs
code "--help" 0 luge --help
code "help VERB" 0 luge help scan
like "has the options" "$out" '^  --prefix PREFIX +[a-z]'
is "VERB --help is the same" "$(luge scan --help)" "$out"
code "help of an unknown verb" 2 luge help frobnicate
like "version" "$(luge version)" '^luge [0-9]+\.[0-9]+\.[0-9]+$'
is "--version" "$(luge --version)" "$(luge version)"
is "usage made no directories" "$(ls | tr '\n' ' ')" \
    "copy db noise raw twin "

# ------------------------------------------------------------ completion --

luge help --completion >completion
complete_words() {
    bash -c '. ./completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _luge
        printf "%s\n" "${COMPREPLY[@]}"' bash "$@" | tr '\n' ' '
}
is "completion of verbs" "$(complete_words luge che)" "check checksum "
is "completion of options" "$(complete_words luge scan db --re)" "--reverse "
is "completion of directories" "$(complete_words luge get tw)" "twin "
is "completion of help" "$(complete_words luge help tre)" "trees "

# ---------------------------------------------------- what is no database --

for verb in "get none k" "del none k" "scan none" "trees none" "stat none" \
    "check none" "checksum none"; do
    code "$verb" 3 luge $verb
done
like "a missing directory has a name and a sentence" "$err" \
    '^luge: NOTFOUND: .'
is "looking for it did not make it" "$(ls -d none 2>/dev/null)" ""
mkdir bare
for verb in "get bare k" "scan bare" "check bare"; do
    code "$verb" 3 luge $verb
done
like "an empty directory is no database" "$err" '^luge: NOT(LUGE|FOUND): .'
is "and stays empty" "$(ls bare)" ""
mkdir foreign && echo precious >foreign/letter
code "put into somebody's folder" 3 luge put foreign k v
like "is refused" "$err" '^luge: NOTLUGE: .'
is "which stays as it was" "$(ls foreign)$(cat foreign/letter)" \
    "letterprecious"
echo text >file
code "a file is no directory" 3 luge get file k
code "nor can one be made below it" 3 luge put file/db k v
code "a key too large" 3 luge put db "$(head -c 2000 /dev/zero | tr '\0' k)" v
like "has a name" "$err" '^luge: TOOBIG: .'

# Every byte of the superblocks and the first pages turned round: an answer of
# some kind, never a signal, never wrong data.
for at in 0 8 100 4096 4200; do
    rm -rf hurt && cp -r twin hurt
    printf '\252\125\252\125' |
        dd of=hurt/db bs=1 seek=$at conv=notrunc status=none
    run luge scan hurt
    if [ "$code" -eq 3 ] || { [ "$code" -eq 0 ] && [ "$out" = \
        "$(luge scan twin)" ]; }; then
        pass "bytes flipped at $at: the data or an error"
    else
        fail "bytes flipped at $at: the data or an error" "exit $code" "$out"
    fi
    run luge check hurt
    case $code in
    0 | 1) pass "check after bytes flipped at $at" ;;
    *) fail "check after bytes flipped at $at" "exit $code" "$err" ;;
    esac
done
rm -rf hurt && cp -r twin hurt && head -c 100 twin/db >hurt/db
code "check of a page file cut to 100 bytes" 1 luge check hurt
if [ -n "$out" ]; then
    pass "prints the defect"
else
    fail "prints the defect" "nothing on stdout" "$err"
fi
code "get from it" 3 luge get hurt a

# Permissions mean nothing to root, who therefore becomes nobody here.
if [ "$(id -u)" = 0 ]; then
    cp "$LUGE" nobodys-luge && chmod 755 . nobodys-luge
    modest() {
        setpriv --reuid=65534 --regid=65534 --clear-groups ./nobodys-luge "$@"
    }
else
    modest() { luge "$@"; }
fi
if modest version >/dev/null 2>&1; then
    luge put locked k v
    chmod -R a-rwx,u+rwX locked
    [ "$(id -u)" = 0 ] || chmod -R u-rwx locked
    code "no permission to read" 3 modest get locked k
    like "is named" "$err" '^luge: PERMISSION: .'
    chmod -R a+rX locked
    [ "$(id -u)" = 0 ] || chmod -R u-w locked
    run modest get locked k
    case $code$out in
    0v) pass "who may only read, reads or is told" ;;
    *) like "who may only read, reads or is told" "$code $err" \
        '^3 luge: PERMISSION: .' ;;
    esac
    code "but not write" 3 modest put locked k w
    like "which is named too" "$err" '^luge: (PERMISSION|READONLY): .'
    chmod -R u+rwX locked
    is "and nothing was written" "$(luge get locked k)" "v"
    code "nor make a database where he may not" 3 modest put /proc/luge k v
else
    skip "no permission to read or write (cannot become nobody)"
fi

# ---------------------------------------------------- stdout that is full --

if [ -w /dev/full ]; then
    luge scan db >/dev/full 2>.err
    is "a full standard output is an error" "$?" "3"
    like "with a name" "$(cat .err)" '^luge: NOSPACE: .'
fi
luge scan db | head -1 >/dev/null
is "a reader that leaves early does no harm" "$(luge get db a)" "va"

# --------------------------------------------------- writers, all at once --

writer() {
    for i in $(seq 200); do
        "$LUGE" put many "w$1-$i" "$i" --durability async || exit 1
    done
}
pids=
for w in 1 2 3 4; do
    writer $w &
    pids="$pids $!"
    children="$children $!"
done
lost=0
for pid in $pids; do wait "$pid" || lost=$((lost + 1)); done
children=
is "four writers of 200 puts each succeed" "$lost" "0"
is "and no put is lost" "$(luge trees many)" "main${tab}800"
is "nor wrong" "$(luge scan many | awk -F'[-\t]' '$2 != $3' | wc -l)" "0"
is "each is a commit of its own" \
    "$(luge stat many | awk '$1 == "seq_committed" {print ($2 >= 800)}')" "1"
code "the database is sound" 0 luge check many

# ---------------------------------------------------------- writer killed --

# It writes one key after the other and notes each one that was acknowledged.
: >acknowledged
(
    i=0
    while i=$((i + 1)); do
        "$LUGE" put killed "k$i" "$i" && echo "k$i" >>acknowledged
    done
) 2>/dev/null &
loop=$!
children=$loop
for tick in $(seq 100); do
    sleep 0.1
    [ "$(wc -l <acknowledged)" -ge 30 ] && break
done
kill -9 $loop
wait $loop 2>/dev/null
children=
count=$(wc -l <acknowledged)
[ "$count" -ge 30 ] && pass "the writer got going" ||
    fail "the writer got going" "$count puts in ten seconds"
luge scan killed --keys | sort >present
sort acknowledged >wanted
is "no acknowledged put is lost" "$(comm -13 present wanted | wc -l)" "0"

# And one killed in the middle of a long run of its own.
"$LUGE" bench killed --records 200000 >/dev/null 2>&1 &
victim=$!
children=$victim
sleep 0.3
kill -9 $victim
wait $victim 2>/dev/null
children=
luge scan killed --keys | sort >present
is "nor after a killed bulk load" "$(comm -13 present wanted | wc -l)" "0"
code "the database is sound after both" 0 luge check killed
code "and can be written" 0 luge put killed after death
is "and read" "$(luge get killed after)" "death"

finish
