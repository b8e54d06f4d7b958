# test/fork.sh -- the verbs for forks: fork drop snapshot snapshots diff merge.
#
# What a person would do: fork everything before a risky step, compare, keep.
. "$LUGE_SOURCE/test/lib.sh"

luge() { "$LUGE" "$@"; }

luge put db k1 one --tree notes/day
luge put db k2 two --tree notes/day
luge put db k3 three --tree notes/day
luge put db a b --tree notes/night

# ------------------------------------------------------------------- fork --

is "a path is forked" "$(luge fork db notes try)" "2"
run "$LUGE" fork db notes try
is "and not twice" "$code" 3
like "which is said" "$err" 'EXISTS: .*try/day'
run "$LUGE" fork db nothing else
is "nothing to fork is a no" "$code" 1
luge put db k2 zwei --tree try/day
luge del db k3 --tree try/day
luge put db k4 four --tree try/day
is "the source stays" "$(luge get db k2 --tree notes/day)" "two"

# ------------------------------------------------------------------- diff --

tab=$(printf '\t')
run "$LUGE" diff db notes/day try/day
is "trees that differ are a no" "$code" 1
is "changed, gone and new" "$out" "~${tab}k2${tab}two${tab}zwei
-${tab}k3${tab}three
+${tab}k4${tab}four"
run "$LUGE" diff db notes try
is "a path's trees have their names" "$(printf '%s\n' "$out" | head -1)" \
    "@${tab}/day"
run "$LUGE" diff db notes/night try/night
is "equal trees are a yes" "$code$out" "0"
like "in JSON" "$(luge diff db notes/day try/day --json)" \
    '"key":"k2","before":"two","after":"zwei"'

# ------------------------------------------------------------------ merge --

luge put db k2 deux --tree notes/day
luge put db only here --tree notes/day
run "$LUGE" merge db try notes
is "a conflict is a no" "$code" 1
like "it is named" "$out" "^conflict${tab}/day${tab}k2\$"
is "and nothing happened" "$(luge get db k3 --tree notes/day)" "three"
run "$LUGE" merge db try notes --policy theirs
is "theirs" "$code$(luge get db k2 --tree notes/day)" "0zwei"
like "what was done" "$out" 'changes 3, conflicts 1, unsettled 0'
is "what only ours had stays" "$(luge get db only --tree notes/day)" "here"
run "$LUGE" get db k3 --tree notes/day
is "what they removed is gone" "$code" 1
run "$LUGE" merge db try notes --policy best
is "a policy that is none" "$code" 2
run "$LUGE" merge db try "$(printf '%05000d' 0)"
is "a name that no tree can have" "$code" 3
like "is told" "$err" '^luge: TOOBIG: a tree.s name of [0-9]+ bytes'

# -------------------------------------------------------------- snapshots --

luge snapshot db before
luge snapshot db day notes/day
run "$LUGE" snapshot db before
is "a snapshot's name is taken" "$code" 3
luge put db k2 later --tree notes/day
is "get reads it" "$(luge get db k2 --tree notes/day --snapshot before)" "zwei"
is "scan, too" "$(luge scan db --tree notes/day --snapshot day --keys |
    tr '\n' ' ')" "k1 k2 k4 only "
is "the list" "$(luge snapshots db | cut -f 1,2,5,6 | tr '\t' ' ')" \
    "before  5 9
day notes/day 1 4"
like "in JSON" "$(luge snapshots db --json)" '"name":"day","path":"notes/day"'
is "a tree and its past" "$(luge diff db notes/day@before notes/day)" \
    "~${tab}k2${tab}zwei${tab}later"
is "the past becomes a tree" "$(luge fork db notes back --snapshot before)" "2"
is "which has it" "$(luge get db k2 --tree back/day)" "zwei"
is "drop a path" "$(luge drop db notes)" "2"
is "the snapshot stays" \
    "$(luge get db k2 --tree notes/day --snapshot day)" "zwei"
luge snapshots db --drop before
luge snapshots db --drop day
is "snapshots are dropped" "$(luge snapshots db)" ""
run "$LUGE" snapshots db --drop day
is "and then are not there" "$code" 1
run "$LUGE" check db
is "all of it is sound" "$code$out" "0sound"
finish
