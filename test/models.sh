# test/models.sh -- luge event, luge task and luge show as somebody uses them
# from a shell.
#
# Every action, as text and JSON, its exit codes, what is said when it is wrong;
# a worker made of a command, one that is killed, and one that is too slow.
# Not here: conversations (import.sh); what the models promise (test_event.c,
# test_task.c, crash_*.c); every record's fields (test_show.c).
. "${LUGE_SOURCE:?}/test/lib.sh" || exit 1

luge() { "$LUGE" "$@"; }
event() { "$LUGE" event db "$@"; }
task() { "$LUGE" task db "$@"; }
code() {
    local name=$1 wanted=$2
    shift 2
    run "$@"
    is "$name: exit code" "$code" "$wanted"
}
tab=$(printf '\t')
member() { sed -n 's/.*"'$1'":"\{0,1\}\([^",}]*\).*/\1/p'; }

# ---------------------------------------------------------------- events --

is "an event has a position and a version" "$(event append song note C4)" \
    "1${tab}1"
is "as JSON" "$(event append talk said hi --json | sed 's/"seq":.*/X/')" \
    '{"position":2,"version":1,X'
code "append to a stream at the version it has" 0 \
    event append song note '{"pitch": 60}' --expect 1 --correlation c \
    --causation e1
code "at another one" 1 event append song note x --expect 1
like "is answered no" "$err" 'MISMATCH: the stream has version 2, not 1'
code "a stream that must be new" 1 event append song note x --expect 0
code "a stream without a name" 3 event append "" note
like "has its sentence" "$err" 'INVALID: a stream needs a name'
code "a type too long" 3 event append s "$(head -c 256 /dev/zero | tr '\0' x)"
code "--expect of a word" 2 event append s t x --expect soon
code "an action that is none" 2 event sing
code "too few words" 2 event append song
printf 'noise \377' | luge event db append song noise - >/dev/null

places() { event read "$@" | cut -f1 | tr '\n' ' '; }
is "read: all" "$(places)" "1 2 3 4 "
is "a stream" "$(places song)" "1 3 4 "
is "backward" "$(places song --reverse)" "4 3 1 "
is "--limit" "$(places song --reverse --limit 1)" "4 "
is "a type" "$(places --type note)" "1 3 "
is "a stream and a type" "$(places song --type noise)" "4 "
is "positions" "$(places --from 2 --to 4)" "2 3 "
is "versions of a stream" "$(places song --from 2 --to 3)" "3 "
is "from now on" "$(places --after 2200-01-01)" ""
is "until now" "$(places --before 2200-01-01 --after 2020-01-01)" "1 2 3 4 "
is "until now, backward" "$(places --before 2200-01-01 --reverse)" "4 3 2 1 "
code "--to 0" 2 event read --to 0
code "--after of a word" 2 event read --after noon
code "a store that is not there" 1 event read --path none
like "says so" "$err" 'NOTFOUND: there are no events at none'
is "as text" "$(event read song --limit 1 | cut -f1,3-)" \
    "1${tab}song 1${tab}note${tab}C4"
is "JSON is kept as JSON" "$(event read song --from 2 --to 3 --json |
    sed 's/"time_ns":[0-9]*,//')" '{"position":3,"stream":"song",'\
'"version":2,"type":"note","correlation":"c","causation":"e1",'\
'"json":{"pitch": 60}}'
is "and bytes as bytes" "$(event read --type noise --json |
    sed 's/.*"payload"/X/')" 'X:{"base64":"bm9pc2Ug/w=="}}'

is "streams" "$(event streams)" "song${tab}3${tab}4
talk${tab}1${tab}2"
is "as of an earlier commit" "$(places --at 4)" "1 2 "
code "which is over" 2 event append song note x --at 4
code "nor followed" 2 event follow --at 4
is "types" "$(event types | tr '\n' ' ')" "noise note said "
code "a state" 0 event keep song 2 two
code "of a version that is not there" 1 event keep song 9 nine
is "state" "$(event state song)" "2${tab}two"
is "as of a version" "$(event state song 2 --json)" \
    '{"stream":"song","version":2,"state":"two"}'
code "before the first one" 1 event state song 1
like "is told so" "$err" 'NOTFOUND: no state of the stream is kept'
is "projections: none yet" "$(event projections)" ""
code "reset" 0 event reset totals 1
is "projections" "$(event projections)" "totals${tab}1${tab}3 behind"

event export >out.jsonl
is "export and import" "$(event import out.jsonl --path copy)" "4"
luge event db export --path copy >copy.jsonl
same "bring all of it back" copy.jsonl out.jsonl
for odd in '{"x":1.10,"n":123456789012345678901234567890}' '{"z":"\u0000"}' \
    '{"a":1,"a":2,"json":{"json":"}\"]"}}' '[]' '{"broken":'; do
    event append odd json "$odd" --path odd >/dev/null
done
printf 'a\0b' | luge event db append odd bytes - --path odd >/dev/null
is "what is JSON is kept as such" "$(event read --path odd --json |
    grep -c '"json":')" 4
event export --path odd >odd.jsonl
code "export and import of odd payloads" 0 event import odd.jsonl --path even
luge event db export --path even >even.jsonl
same "to the letter" even.jsonl odd.jsonl
is "import from standard input" \
    "$(luge event db import - --path piped <out.jsonl)" "4"
luge checksum db >before
wrong() {                       # NAME CONTENT PATTERN
    printf "$2" >wrong.jsonl
    code "$1" 3 event import wrong.jsonl
    like "says where" "$err" "wrong.jsonl, line $3"
}
fine='{"stream":"s","type":"t"}\n'
wrong "a line that is no JSON" "$fine{\n" '2: '
wrong "one that is no object" "$fine\n[]\n" '3: this is no object'
wrong "one without a stream" '{"type":"t"}' '1: a stream needs a name'
wrong "a time of words" "$fine"'{"stream":"s","type":"t","time_ns":"x"}' '2: '
wrong "no UTF-8" "$fine"'{"stream":"\\xff","type":"t"}' '2: '
wrong "a member twice" '{"stream":"s","stream":"t","type":"t"}' '1: dup'
wrong "json that is none" "$fine"'{"stream":"s","type":"t","json":{"a":}}' \
    '2: a payload is not JSON from byte 5 on'
wrong "no json" '{"stream":"s","type":"t","json":}' '1: '
wrong "json twice" '{"stream":"s","type":"t","json":1,"json":2}' '1: dup'
wrong "payload and json" '{"stream":"s","type":"t","json":1,"payload":"x"}' \
    '1: both'
wrong "base64 that is none" '{"stream":"s","type":"t","payload":'\
'{"base64":"%%"}}' '1: payload is no bytes'
for empty in '' '\n \n' ; do
    printf "$empty" >wrong.jsonl
    code "a file of no events" 3 event import wrong.jsonl
    like "says so" "$err" 'no event is in it'
done
wrong "zeros behind the events" "$fine"'\0\0\0\n' '2: '
code "a file that is not there" 3 event import none.jsonl
luge checksum db >after
same "and nothing has changed" after before
code "the same, where no database is" 3 luge event none import none.jsonl
code "a line that is no good, where none is" 3 \
    luge event none import wrong.jsonl
is "makes none" "$(ls -d none 2>/dev/null)" ""

# Who waits for a pipe does not keep the turn: a put goes through meanwhile.
{ until [ -e go ]; do sleep 0.1; done; printf "$fine"; } |
    luge event db import /dev/stdin --path slow >slow &
children=$!
sleep 0.3
code "a put while an import waits for its lines" 0 \
    timeout 20 "$LUGE" put db key value
touch go
wait $children
children=
is "and the import goes on" "$(cat slow)" 1

"$LUGE" event db follow song --limit 5 >followed &
children=$!
sleep 0.2
event append talk said nothing >/dev/null
event append song note D4 >/dev/null
event append song note E4 >/dev/null
wait "$children" && pass "follow ends after its limit" || fail "follow failed"
children=
is "what was there, then what comes" "$(cut -f1 followed | tr '\n' ' ')" \
    "1 3 4 6 7 "

timeout 20 "$LUGE" event db follow song | head -1 >/dev/null
is "follow ends when nobody reads" "${PIPESTATUS[0]}" 0

# ----------------------------------------------------------------- tasks --

first=$(task publish mix '{"tune": 1}' --priority 5 --attempts 2 --backoff 0.01)
then=$(task publish mix second --depends $first)
low=$(task publish mix low --priority -3 --json | member id)
is "list" "$(task list | cut -f1,3-5)" \
    "$first${tab}ready${tab}mix${tab}priority 5
$then${tab}waiting${tab}mix${tab}priority 0
$low${tab}ready${tab}mix${tab}priority -3"
is "list of a state" "$(task list waiting | cut -f1)" "$then"
code "a state that is none" 2 task list asleep
code "claim" 0 task claim mix --agent 7 --lease 30
is "the greatest priority first" "$(echo "$out" | cut -f1-3)" \
    "$first${tab}1${tab}leased"
code "heartbeat" 0 task heartbeat $first 1 "half way"
like "show" "$(task show $first)" '^status +half way$'
like "and its agent" "$(task show $first)" '^agent +7$'
code "a claim that is another's" 1 task complete $first 2 done
like "is told so" "$err" 'MISMATCH'
code "fail" 0 task fail $first 1 "no strings"
sleep 0.1                       # its pause; until it is over $low is next
like "its error" "$(task show $first --json)" '"error":"no strings"'
code "claim again after a pause" 0 task claim mix --wait 5
is "with a lease of its own" "$(echo "$out" | cut -f1,2)" "$first${tab}2"
code "fail for the last time" 0 task fail $first 2 "no strings at all"
is "it is a dead letter" "$(task list dead | cut -f1)" "$first"
code "wait for it" 1 task wait $first --wait 60
is "tells" "$out" "dead"
code "revive" 0 task revive $first
task claim mix >/dev/null
code "complete" 0 task complete $first 3 "a mix"
code "wait" 0 task wait $first --wait 60
is "what waited for it is ready" "$(task list ready | cut -f1 | tr '\n' ' ')" \
    "$then $low "
code "cancel" 0 task cancel $low
task claim mix >/dev/null
code "release" 0 task release $then 1
is "it was no attempt" "$(task show $then --json | member attempt)" "0"
is "counts" "$(task counts | tr '\n\t' ' :')" \
    "all:3 waiting:0 delayed:0 ready:1 leased:0 completed:1 dead:1 "
like "counts --json" "$(task counts --json)" '^{"all":3,.*"dead":1}$'
code "a task that is not there" 1 task show 5
like "says so" "$err" 'NOTFOUND: there is no task 5'
code "to depend on one" 1 task publish mix x --depends 5
code "--depends of words" 2 task publish mix x --depends 1,,2
code "--priority of a word" 2 task publish mix x --priority high
code "--lease of a word" 2 task claim mix --lease long
code "a lease of nothing" 3 task claim mix --lease 0
code "nothing to claim" 1 task claim other
like "says so" "$err" 'NOTFOUND: there is nothing to do in other'
task publish later soon --delay 0.2 >/dev/null
code "not before its time" 1 task claim later
code "and then" 0 task claim later --wait 5
code "forget" 0 task forget 0
is "how many" "$out" "2"
is "they are gone" "$(task counts | head -1)" "all${tab}2"
task cancel "$(task publish mix gone)"
is "one that ended just now" "$(task forget 0)" "1"

# --------------------------------------------------------------- workers --

for word in one two three; do task publish upper $word >/dev/null; done
bad=$(task publish upper bad --attempts 1)
code "work until there is none" 0 task work upper --once --author amy \
    'read -r word; [ "$word" != bad ] || exit 3; echo "$word $LUGE_TASK" |
     tr a-z A-Z'
is "results are what was printed" \
    "$(task list completed --json | member result | cut -d' ' -f1 |
        tr '\n' ' ')" "ONE TWO THREE "
is "its number is in LUGE_TASK" "$(task list completed --json |
    sed 's/.*"id":\([0-9]*\).*"result":"[A-Z]* \([0-9]*\).*/\1-\2/' |
    awk -F- '$1 != $2')" ""
like "an exit code is a failure" "$(task show $bad)" '^error +exit code 3$'
like "the worker is an agent that has ended" "$(task agents)" \
    "^[0-9]+${tab}ended${tab}amy${tab}upper${tab}"
head -c 1048576 /dev/zero | tr '\0' x >large
luge task db publish echo - <large >/dev/null
code "a megabyte in and out" 0 task work echo cat --once
task list completed --json | grep '"queue":"echo"' | member result |
    tr -d '\n' >back
same "is the same" back large
task publish echo x --attempts 1 >/dev/null
task work echo "cat $scratch/large; echo more" --once
like "more is refused" "$(task list dead --json)" '"error":"it printed more'
task publish echo x --attempts 1 >/dev/null
task work echo 'kill -9 $$' --once
like "a signal is a failure" "$(task list dead --json)" \
    '"error":"killed by signal 9"'
long=$(task publish slow long)
task work slow 'sleep 1.2; echo slept' --once --lease 0.3
is "a lease is renewed while the command runs" \
    "$(task show $long --json | member lease)$(task show $long --json |
        member result)" "1slept\\n"

gone=$(task publish gone gone)
"$LUGE" task db work gone 'sleep 60; true' --once --lease 0.3 &
worker=$!
children=$worker
for i in $(seq 100); do
    task list leased | grep -q "^$gone" && break
    sleep 0.05
done
task cancel "$gone"
code "who has lost the lease stops all that the command began" 0 \
    timeout 20 tail --pid="$worker" -f /dev/null
children=

lost=$(task publish killed lost)
"$LUGE" task db work killed 'echo $$ >pid; exec sleep 60' --lease 600 &
worker=$!
children=$worker
for i in $(seq 100); do [ -s pid ] && break; sleep 0.05; done
like "agents: it is alive" "$(task agents)" "${tab}alive${tab}luge${tab}killed"
kill -9 "$worker"
wait "$worker" 2>/dev/null
kill -9 "$(cat pid)" 2>/dev/null
children=
like "agents: it is gone" "$(task agents)" "${tab}gone${tab}luge${tab}killed"
code "somebody who waits sees that it is dead" 0 task claim killed --wait 10
is "and gets its task" "$(echo "$out" | cut -f1,2)" "$lost${tab}2"
code "reap" 0 task reap
is "it was ended already" "$out" "0"
code "an agent that is not there" 1 task end 5

session=$(task begin "write a song" parallel)
like "sessions" "$(task sessions)" \
    "^$session${tab}pending${tab}.*${tab}parallel${tab}write a song$"
code "a session's state" 0 task session $session executing
code "and its end" 0 task session $session failed "no ideas"
like "as JSON" "$(task sessions --json)" '"state":"failed".*"error":"no ideas"'
mine=$(task publish hall verse --session $session)
task publish hall other >/dev/null
is "the tasks of a session" "$(task list --session $session | cut -f1)" "$mine"
task work hall cat --once --session $session --author sue
is "its agents" "$(task agents --session $session | cut -f2,3)" "ended${tab}sue"
agents=$(task agents | wc -l)
sessions=$(task sessions | wc -l)
is "forget forgets agents and sessions, too" \
    "$(task agents | grep -vc "${tab}ended${tab}") $(task forget 0 >/dev/null;
        task agents | wc -l) $(task sessions | wc -l)" "0 0 0"
is "there were some" "$((agents > 5)) $((sessions))" "1 1"
code "a session that never began" 1 task publish hall x --session 5
like "is named" "$err" 'NOTFOUND: there is no session 5'
code "nor are there tasks of it" 1 task list --session 5
code "or workers" 1 task work hall cat --once --session 5
code "a session that has ended" 1 task session $session executing
code "a state that is none" 2 task session $session asleep

# ------------------------------------------------------------------ show --

like "show: an event" "$(luge show db events/all 3)" '^{"record":"event",'\
'"position":3,.*"stream":"song","type":"note","payload":{"pitch": 60},'
# Events wait for their indices in small numbers; one that is large does not.
event append many note "$(printf '%2000d' 1)" >/dev/null
is "keys without a record" "$(luge show db events/stream song --limit 1)" \
    '{"record":"event of a stream","stream":"song","version":1,"position":1}'
is "backward" "$(luge show db events/stream --reverse --limit 1 |
    member stream)" "talk"
like "a task" "$(luge show db tasks/task $then)" '"queue":"mix".*"depends":\['
luge convo db fork jam '' main >/dev/null
luge convo db append jam main "C softly" --type intention --author amy \
    --emotion 0.5,1,-1 >/dev/null
is "a node" "$(luge show db jam/nodes | sed 's/.*"emotion"/X/')" \
    'X:{"valence":0.5,"arousal":1,"agency":-1},"author":"amy",'\
'"type":"intention","payload":"C softly","label":"","description":"",'\
'"merged":[]}'
is "its music" "$(luge show db jam/events | member kind | tr '\n' ' ')" \
    "intention note "
like "its branch" "$(luge show db jam/branches)" \
    '"state":"active","reason":"alternative"'
code "no such record" 1 luge show db events/all 99
code "a tree of no model" 1 luge show db main
like "says so" "$err" 'NOTFOUND: no model keeps records in a tree called main'
code "a column too many" 2 luge show db events/all 1 2
code "a column that is no number" 2 luge show db events/all one
luge put db x y --tree odd/nodes
code "what is no record" 3 luge show db odd/nodes
like "is CORRUPT" "$err" 'CORRUPT: '
is "sound" "$(luge check db)" "sound"

finish
