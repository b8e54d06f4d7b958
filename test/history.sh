# test/history.sh -- the verbs for the past and for space: history, compact, and
# --at of those that read.
. "$LUGE_SOURCE/test/lib.sh"

luge() { "$LUGE" "$@"; }
tab=$(printf '\t')

luge put db a one
first=$(luge put db b two --json | sed 's/.*:\([0-9]*\).*/\1/')
luge put db a drei
luge put db x y --tree later
luge del db b

# ---------------------------------------------------------------- history --

out=$(luge history db)
like "the newest" "$out" "^newest${tab}[0-9]+${tab}2[0-9-]+T"
like "all of it" "$out" "^oldest${tab}1${tab}-"
like "the log" "$out" "^log${tab}[0-9]+${tab}"
like "in JSON" "$(luge history db --json)" '"what":"oldest","seq":1'

# --------------------------------------------------------------------- at --

is "get" "$(luge get db a --at "$first")" "one"
is "scan" "$(luge scan db --at "$first")" "a${tab}one
b${tab}two"
is "trees" "$(luge trees db --at "$first")" "main${tab}2"
is "now" "$(luge get db a --at end)" "drei"
is "dump" "$(luge dump db --at "$first" --format jsonl 2>/dev/null | wc -l)" 3
is "a time to come is now" "$(luge get db a --at 2199-01-01)" "drei"
then=$(luge log db --json | grep "\"seq\":$first," |
    sed 's/.*"time":"\([^"]*\)".*/\1/')
is "a time" "$(luge scan db --at "$then")" "$(luge scan db --at "$first")"
run "$LUGE" get db a --at 1
is "before there was main" "$code" "1"
run "$LUGE" get db a --at 99
is "not yet" "$code" 1
run "$LUGE" get db a --at 2001-01-01
is "before there was anything" "$code" 1
run "$LUGE" get db a --at yesterday
is "no time" "$code" 2
is "a checksum of then" "$(luge checksum db --at "$first" | wc -c)" 17
run "$LUGE" diff db main main --at "$first"
is "then and now" "$out" "~${tab}a${tab}one${tab}drei
-${tab}b${tab}two"
is "is a no" "$code" 1
run "$LUGE" diff db later later --at "$first"
is "what was not there then" "$code" 3

# ----------------------------------------------------------------- policy --

luge history db --every 300000 --keep 60
is "a policy is no change of content" "$(luge scan db)" "a${tab}drei"
run "$LUGE" history db --every soon
is "no number" "$code" 2
run "$LUGE" snapshot db luge/history/1
is "luge's own names" "$code" 3
like "which is said" "$err" "luge's own"
luge bench db --records 20000 >/dev/null 2>&1
for i in 1 2 3 4 5 6 7 8 9 10; do
    luge history db | grep -q luge/history && break
    luge bench db --records 20000 >/dev/null 2>&1
done
like "luge takes snapshots by itself" "$(luge history db)" \
    "^snapshot${tab}luge/history/0*[0-9]+${tab}"
luge history db --every off

# ---------------------------------------------------------------- compact --

pairs() { # TREE COUNT
    seq "$2" |
        sed "s/.*/{\"tree\":\"$1\",\"key\":\"key &\",\"value\":\"&\"}/"
}
luge snapshots db | cut -f 1 | while read -r name; do
    luge snapshots db --drop "$name"
done
{ pairs large 60000 && pairs small 3000; } >pairs
luge load db pairs 2>/dev/null
luge drop db large >/dev/null
before=$(stat -c %s db/db)
out=$(luge compact db)
like "figures" "$out" "^after${tab}$(stat -c %s db/db)\$"
[ "$(stat -c %s db/db)" -lt $((before / 4)) ]
is "the file shrinks" $? 0
is "what is left is there" "$(luge trees db | grep small)" "small${tab}3000"
is "content stays" "$(luge get db a)" "drei"
is "and is sound" "$(luge check db)" "sound"

finish
