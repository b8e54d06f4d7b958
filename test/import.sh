# test/import.sh -- real things as conversations: luge import, convo and play.
#
# Histories, this repository's and generated ones full of merges, are compared
# with git rev-list and git merge-base commit by commit; MIDI files are played
# back into files and compared; messages are drawn, forked and merged; whatever
# is wrong with a file is said with its line or offset, and nothing is changed.
# LUGE_TEST=long takes more of each; LUGE_GIT=REPOSITORY adds that history.
# Not here: the model itself (test_conversation.c), MIDI's bytes (test_music.c).
. "${LUGE_SOURCE:?}/test/lib.sh" || exit 1

luge() { "$LUGE" "$@"; }
convo() { "$LUGE" convo "$@"; }
code() {
    local name=$1 wanted=$2
    shift 2
    run "$@"
    is "$name: exit code" "$code" "$wanted"
}
labels() { sed -n 's/.*"label":"\([^"]*\)".*/\1/p'; }
export GIT_AUTHOR_NAME="Amy Tester" GIT_AUTHOR_EMAIL=amy@example.org
export GIT_COMMITTER_NAME=Amy GIT_COMMITTER_EMAIL=amy@example.org
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*

# ----------------------------------------------------------------- git

# same_history NAME REPOSITORY PAIRS: everything that git knows, we know.
same_history() {
    local name=$1 repo=$2 pairs=$3 a b wrong=0 asked=0
    rm -rf git.db
    run luge import git git.db "$repo" --path h --durability async
    is "$name: imported" "$code$err" "0"
    git -C "$repo" rev-list --all --parents | sort >git.parents
    convo git.db log h --json | python3 -c '
import json, sys
nodes = [json.loads(line) for line in sys.stdin]
labels = {n["id"]: n["label"] for n in nodes}
for n in nodes:
    print(" ".join([n["label"]] + [labels[p] for p in n["parents"]]))
' | sort >luge.parents
    same "$name: every commit and all its parents" luge.parents git.parents
    git -C "$repo" for-each-ref --format='%(refname:short) %(objectname)' \
        refs/heads | sort >git.heads
    convo git.db list h --json >branches
    convo git.db log h --json >nodes
    python3 -c '
import json, sys
labels = {}
for line in open("nodes"):
    n = json.loads(line)
    labels[n["id"]] = n["label"]
for line in open("branches"):
    b = json.loads(line)
    if not b["name"].startswith(("line-", "remotes/",
                                "refs/")):
        print(b["name"], labels[b["head"]])
' | sort >luge.heads
    same "$name: every branch and its head" luge.heads git.heads
    git -C "$repo" rev-list --all >commits
    while read -r a b; do
        asked=$((asked + 1))
        convo git.db ancestors h "$a" --json | labels | sort >one
        git -C "$repo" rev-list "$a" | sort | cmp -s - one ||
            wrong=$((wrong + 1))
        convo git.db ancestors h "$a" "$b" --json | labels | sort >one
        git -C "$repo" rev-list "$a" "^$b" | sort | cmp -s - one ||
            wrong=$((wrong + 1))
        convo git.db common h "$a" "$b" --json 2>/dev/null | labels |
            sort >one
        git -C "$repo" merge-base --all "$a" "$b" | sort | cmp -s - one ||
            wrong=$((wrong + 1))
    done < <(python3 -c '
import random, sys
commits = open("commits").read().split()
random.seed(7)
for i in range(int(sys.argv[1])):
    print(random.choice(commits), random.choice(commits))' "$pairs")
    is "$name: ancestors and merge bases of $pairs pairs" "$asked $wrong" \
        "$pairs 0"
    is "$name: sound" "$(luge check git.db)" "sound"
}

# A history of random commits, merges of two to four, roots, and branches.  Its
# times rise: git rev-list A ^B is wrong where a parent is younger than a child.
generate() {
    python3 -c '
import random, sys
random.seed(int(sys.argv[1]))
count = int(sys.argv[2])
out = []
for i in range(1, count + 1):
    text = "commit %d\n\nbody of \u00e9 %d" % (i, i)
    parents = []
    if i > 1 and random.random() > 0.02:
        recent = range(max(1, i - 25), i)
        parents = [random.choice(recent)]
        if random.random() < 0.3:
            more = random.sample(recent, min(len(recent),
                                             random.randint(1, 3)))
            parents += [p for p in more if p not in parents]
    data = text.encode()
    print("reset refs/heads/b%d" % i if i > count - 6 or i % 37 == 0
          else "reset refs/heads/x")
    print("commit refs/heads/b%d" % i if i > count - 6 or i % 37 == 0
          else "commit refs/heads/x")
    print("mark :%d" % i)
    who = "Author %d <a%d@example.org> %d +0000" % (
        i % 5, i % 5, 1000000000 + 60 * i)
    print("author " + who)
    print("committer " + who)
    print("data %d" % len(data))
    sys.stdout.flush()
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()
    for n, p in enumerate(parents):
        print(("from" if n == 0 else "merge") + " :%d" % p)
    print()
' "$1" "$2"
}

seeds="1 2" pairs=10 tunes=5
[ "${LUGE_TEST-}" = long ] && seeds=$(seq 1 25) pairs=40 tunes=1000
for seed in $seeds; do
    git init -q --bare g$seed
    generate $seed 300 | git -C g$seed fast-import --quiet --force
    same_history "a random history, seed $seed" g$seed $pairs
done
if git -C "$LUGE_SOURCE" rev-parse -q --verify HEAD >/dev/null 2>&1; then
    git clone -q --mirror "$LUGE_SOURCE" ours   # whose branches stand still
    same_history "our own history" ours $pairs
else
    skip "our own history (this is no clone)"
fi
[ -z "${LUGE_GIT-}" ] || same_history "$LUGE_GIT" "$LUGE_GIT" 200

git init -q empty
code "is said to have none" 3 luge import git none.db empty
like "by name" "$err" 'empty has no commits'
code "what is no repository" 3 luge import git none.db /
like "git says why" "$err" 'not a git repository'
is "nothing came of it" "$(ls -d none.db 2>/dev/null)" ""
code "a second import to the same path" 3 luge import git git.db g1 --path h
like "is refused" "$err" 'EXISTS: there is a conversation h already'

git init -q -b trunk small
git -C small commit -q --allow-empty -m one
git -C small checkout -q -b side
git -C small commit -q --allow-empty -m two
git -C small checkout -q trunk
git -C small commit -q --allow-empty -m three
git -C small merge -q --no-ff -m "Merge side" side
git -C small branch -q -D side
git -C small tag v1.0
luge import git git.db small >/dev/null
is "a line that was merged is a merged branch of its own" \
    "$(convo git.db list small | cut -f1,2 |
        sed 's/line-[0-9a-f]*/line-X/' | tr '\n\t' ';,')" \
    "trunk,active;line-X,merged into trunk;"
like "a tag is in the description" "$(convo git.db log small trunk)" \
    'Merge side  \[v1\.0\]'
like "authors are agents" "$(luge scan git.db --tree small/agents --keys)" \
    'Amy Tester <amy@example.org>'
tip=$(git -C small rev-parse trunk)
like "a commit is called by its first digits" \
    "$(convo git.db show small "${tip:0:7}")" "^label +$tip$"
code "by digits of none" 1 convo git.db show small "${tip:0:39}x"
like "the tree draws it" "$(convo git.db tree small)" \
    '^└─ line-[0-9a-f]*  1 node from [0-9]+, merged into trunk$'

# Whatever git's user has configured, and whoever runs this command.
git -C small config log.showSignature true
git -C small config i18n.logOutputEncoding ISO-8859-1
GIT_AUTHOR_NAME=$'Am\303\251lie' git -C small commit -q --allow-empty -m four
GIT_DIR=$PWD/empty/.git GIT_WORK_TREE=$PWD/empty \
    "$LUGE" import git hook.db small >hook 2>&1
like "the repository is the one that was named" "$(cat hook)" \
    "^small$(printf '\t')5 nodes"
is "authors are UTF-8" "$(convo hook.db agents small | cut -f1)" \
    "$(printf 'Amy Tester <amy@example.org>\nAm\303\251lie <amy@example.org>')"

git clone -q small cloned
luge import git git.db cloned >/dev/null
is "a clone's branches, and its remote's" \
    "$(convo git.db list cloned | cut -f1 | grep -v line- | tr '\n' ' ')" \
    "trunk remotes/origin/trunk "
git -C small branch a/first trunk
git -C small symbolic-ref HEAD refs/heads/nowhere
luge import git mirror.db small >/dev/null
is "without a HEAD the trunk is still the trunk" \
    "$(convo mirror.db list small | cut -f1,3 | tr '\n\t' ';,' |
        sed 's/line-[0-9a-f]*/line-X/')" \
    "trunk,4 nodes;line-X,1 node;a/first,0 nodes;"

# ---------------------------------------------------------------- messages

cat >talk.jsonl <<'END'
{"id": "b", "parent_id": "a", "author": "bo", "text": "hello amy", "time": 1700000001.5}
{"id": "a", "parent_id": null, "author": "amy", "text": "hello", "time": "2023-11-14T22:13:20Z", "mood": 3}

{"id": "c", "parent_id": "a", "author": "cy", "text": "who?", "time": "2023-11-14T23:13:22.25+01:00", "type": "question"}
{"id": 4, "parent_id": "c", "author": "amy", "text": "me \u00fc"}
{"id": "z", "author": "amy", "text": "elsewhere"}
END
is "messages" "$(luge import jsonl talk.db talk.jsonl)" \
    "talk$(printf '\t')5 nodes$(printf '\t')3 branches$(printf '\t')0 events"
is "the first child goes on, another one forks" \
    "$(convo talk.db log talk --json | python3 -c '
import json, sys
nodes = [json.loads(line) for line in sys.stdin]
labels = {n["id"]: n["label"] for n in nodes}
print(" ".join("%s:%s" % (n["label"], "".join(labels[p] for p in n["parents"]))
               for n in nodes))')" "a: b:a c:a 4:c z:"
is "times" "$(convo talk.db log talk --json | head -3 |
    sed 's/.*"time_ns":\([0-9]*\),.*/\1/' | tr '\n' ' ')" \
    "1700000000000000000 1700000001500000000 1700000002250000000 "
like "types" "$(convo talk.db show talk c)" '^type +question$'
said() { convo talk.db "$@" --json | labels | tr '\n' ' '; }
is "what was said at a time" "$(said log talk --after 2023-11-14T22:13:21Z \
    --before 2023-11-14T22:13:22.25Z)" "b "
is "in the order of times" "$(said log talk --before 2023-11-15)" "a b c "
code "a time that is none" 2 convo talk.db log talk --after noon
code "times of a branch" 2 convo talk.db log talk main --after 2023-11-15
is "a subtree" "$(said subtree talk c)" "c 4 "
is "agents" "$(convo talk.db agents talk | cut -f1 | tr '\n' ' ')" \
    "amy bo cy "

luge checksum talk.db >before
bad() {                         # NAME CONTENT PATTERN
    printf "$2" >bad.jsonl
    code "$1" 3 luge import jsonl talk.db bad.jsonl
    like "says so" "$err" "bad.jsonl, line $3"
}
m='"author":"a","text":"t"'
bad "unknown parent" '{"id":"1",'"$m"'}\n{"id":"2","parent_id":"9",'"$m"'}\n' \
    "2: no line has the id '9'"
bad "a circle" '{"id":"0",'"$m"'}\n{"id":"1","parent_id":"2",'"$m"'}\n'\
'{"id":"2","parent_id":"1",'"$m"'}\n' \
    '2: its parents go round in a circle'
bad "its own parent" '{"id":"1","parent_id":"1",'"$m"'}\n' '1: its parents'
bad "an id twice" '{"id":"1",'"$m"'}\n\n{"id":"1",'"$m"'}\n' \
    "3: the id '1' is that of line 1"
bad "invalid UTF-8" '{"id":"1","author":"\xff","text":"t"}\n' '1: .*byte 0xff'
bad "no JSON" '{"id":"1",'"$m"'}\n{"id":\n' '2: '
bad "no object" '[1]\n' '1: this is no object'
bad "no text" '{"id":"1","author":"a"}\n' '1: text is missing'
bad "no author" '{"id":"1","text":"a"}\n' '1: author is missing'
bad "a strange id" '{"id":1.5,'"$m"'}\n' '1: id is neither'
bad "a long id" "{\"id\":\"$(printf '%0300d' 1)\",$m}\\n" '1: id is neither'
bad "a strange parent" '{"id":"1","parent_id":{},'"$m"'}\n' '1: parent_id is'
bad "a strange time" '{"id":"1","time":"noon",'"$m"'}\n' '1: time is neither'
bad "an absurd time" '{"id":"1","time":1e300,'"$m"'}\n' '1: time is neither'
bad "a name of two lines" '{"id":"1","author":"a\\nb","text":""}\n' \
    '1: an author'
bad "zeros" '\0\0\n' '1: '
bad "a member twice" '{"id":"1","id":"2",'"$m"'}\n' '1: duplicate'
bad "a zero in an id" '{"id":"1\\u0000",'"$m"'}\n' '1: id is neither'
bad "a day that is none" '{"id":"1","time":"2026-02-30T00:00:00Z",'"$m"'}\n' \
    '1: time is neither'
bad "depth without end" "$(printf '[%.0s' $(seq 5000))" '1: '
printf '{"id":"a","parent_id":"\\u001b[2J","author":"b","text":"c"}\n' \
    >bad.jsonl
code "what would steer the terminal" 3 luge import jsonl talk.db bad.jsonl
is "is shown, not sent" "$(printf '%s' "$err" | tr -dc '\033' | wc -c)" "0"
code "an empty file" 3 luge import jsonl talk.db /dev/null --path x
code "no file" 3 luge import jsonl talk.db nowhere
code "an author where each line has one" 2 \
    luge import jsonl talk.db talk.jsonl --author amy
code "standard input without a name" 2 luge import jsonl talk.db -
like "wants one" "$err" 'standard input has no name'
luge checksum talk.db >after
same "nothing was changed by all that" before after
for kind in jsonl git midi; do
    code "no file, and no database" 3 luge import $kind nothing.db nowhere
done
code "a bad file, and no database" 3 luge import jsonl nothing.db bad.jsonl
is "none was made" "$(ls -d nothing.db 2>/dev/null)" ""
printf '\357\273\277{"id":"1","author":"a","text":"a\\u0000b"}\n' >mark.jsonl
is "a byte order mark, and a zero in the text" \
    "$(luge import jsonl talk.db mark.jsonl | cut -f2-4)" \
    "$(printf '1 node\t1 branch\t0 events')"
like "are read" "$(convo talk.db log mark)" 'a\\x00b$'

for i in $(seq 1100); do
    printf '{"id":"m%d","parent_id":"root%d",%s}\n' $i $((i - 1)) "$m"
    printf '{"id":"root%d","parent_id":"root%d",%s}\n' $i $((i - 1)) "$m"
done >steps.jsonl
printf '{"id":"root0",%s}\n' "$m" >>steps.jsonl
luge import jsonl steps.db steps.jsonl --durability async >/dev/null
is "a tree of any depth is drawn to its end" \
    "$(convo steps.db tree steps | wc -l) $(convo steps.db tree steps |
        tail -1 | sed 's/.*(/(/; s/ branch.*//')" "1101 (1100)"
code "a label that two begin with" 3 convo steps.db show steps root
like "is refused" "$err" "INVALID: more than one label begins with 'root'"

# Who waits for a pipe does not keep the turn: a put goes through meanwhile.
{ until [ -e go ]; do sleep 0.1; done; cat talk.jsonl; } |
    luge import jsonl talk.db - --path piped >slow &
children=$!
sleep 0.3
code "a put while an import waits for its lines" 0 \
    timeout 20 "$LUGE" put talk.db key value
touch go
wait $children
children=
like "and the import goes on" "$(cat slow)" '^piped.5 nodes'

# ------------------------------------------------------------------ convo

is "fork" "$(convo talk.db fork talk b deeper 'to see' --reason request |
    grep -c '^[0-9]*$')" 1
convo talk.db append talk deeper "C softly" --type intention --author dee \
    --emotion 0.5,0,0 >/dev/null
convo talk.db append talk deeper - --author dee --label last <talk.jsonl \
    >/dev/null
like "an intention is there, and its sound" \
    "$(convo talk.db log talk deeper --json | head -2 | tail -1)" '"events":2'
same "a payload from standard input" talk.jsonl <(convo talk.db show talk \
    last --json | python3 -c '
import json, sys
sys.stdout.write(json.load(sys.stdin)["payload"])')
is "diff says what differs" "$(convo talk.db diff talk main deeper |
    tail -2 | sed 's/, to.*//' | tr '\n' ';')" \
    "- main: 0 nodes, 0 notes of 0 events;"\
"+ deeper: 2 nodes, 1 note of 2 events;"
code "and answers 1" 1 convo talk.db diff talk main deeper
code "or 0" 0 convo talk.db diff talk main main
code "a branch that exists" 3 convo talk.db fork talk b deeper
convo talk.db append talk deeper D --type intention >/dev/null
like "an intention has the emotion of its node" \
    "$(convo talk.db show talk deeper --json)" \
    '"arousal":0.0,"agency":0.0},"what":"D"'
like "which is the head's, if none was given" \
    "$(convo talk.db show talk deeper)" 'note D4 velocity 44 1000 ms'
convo talk.db fork talk b likely --reason probabilistic --probability 0.3 \
    >/dev/null
convo talk.db fork talk b other "no!" --reason disagreement --agents amy,bo \
    --author cy >/dev/null
like "show says how likely a fork is" "$(convo talk.db show talk likely)" \
    '^why +probabilistic, 0.3$'
like "exactly" "$(convo talk.db show talk likely --json)" '"probability":0.3,'
like "and who disagrees" "$(convo talk.db show talk other | tr '\n' ';')" \
    ';why       disagreement: no!;agents    amy, bo;with      cy;node'
code "a probability of no such fork" 2 convo talk.db fork talk b x \
    --probability 0.3
code "agents of no such fork" 2 convo talk.db fork talk b x --agents amy
code "a probability of a word" 2 convo talk.db fork talk b x \
    --reason probabilistic --probability high
code "one that is none" 3 convo talk.db fork talk b x --reason probabilistic \
    --probability 2
code "from nowhere" 1 convo talk.db fork talk nobody x
like "nowhere is named" "$err" "no branch and no node is called 'nobody'"
convo talk.db evaluate talk deeper 0.25 "fine" --author amy
like "what agents think" "$(convo talk.db list talk)" 'score 0.25 of 1'
like "each of them" "$(convo talk.db show talk deeper)" \
    '^opinion +amy 0.25, to go on at node [0-9]+: fine$'
like "as JSON" "$(convo talk.db show talk deeper --json)" \
    '"opinions":\[{"agent":"amy","score":0.25,"go_on":true,"node":[0-9]+,'
before=$(luge stat talk.db --json | sed 's/.*"seq_committed":\([0-9]*\).*/\1/')
convo talk.db merge talk deeper main "so be it" --author amy >/dev/null
like "a branch as it was" "$(convo talk.db list talk --at "$before")" \
    '^deeper.active'
code "the past does not change" 2 convo talk.db prune talk main --at "$before"
like "is said" "$err" 'the past does not change'
like "merged" "$(convo talk.db list talk)" '^deeper.merged into main'
code "it is over" 3 convo talk.db append talk deeper more
like "and says so" "$err" "branch 'deeper' is not active: it was merged"
code "a merge again" 3 convo talk.db merge talk deeper main
convo talk.db prune talk "$(convo talk.db list talk | tail -2 | head -1 |
    cut -f1)"
like "pruned" "$(convo talk.db list talk)" 'pruned'
is "list knows the conversations" "$(convo talk.db list | cut -f1 |
    tr '\n' ' ')" "mark piped talk "
for wrong in "dance talk" "log" "merge talk a" "append talk main x y" \
    "merge talk main main --join sideways" "fork talk a x --reason why" \
    "append talk main x --emotion sad" "show talk a --time never"; do
    code "luge convo talk.db $wrong" 2 convo talk.db $wrong
done
code "a conversation that is not there" 1 convo talk.db tree nothing
is "sound" "$(luge check talk.db)" "sound"

# ------------------------------------------------------------------- music

python3 - <<'END'
def number(n):
    out = [n & 127]
    while n > 127:
        n >>= 7
        out.insert(0, n & 127 | 128)
    return bytes(out)

def track(events):
    data = b"".join(number(d) + e for d, e in events) + b"\0\xff\x2f\0"
    return b"MTrk" + len(data).to_bytes(4, "big") + data

tempo = lambda us: b"\xff\x51\3" + us.to_bytes(3, "big")
first = track([(0, b"\xff\x58\4\3\2\x18\x08"), (0, b"\xff\x59\2\xfe\1"),
               (0, tempo(600000)), (0, b"\xff\3\4tune"),
               (96 * 5, tempo(300001)), (7, tempo(1234567))])
notes = []
for i in range(40):
    notes += [(i % 3 * 31, bytes([0x90 | i % 4, 40 + i, 100])),
              (13 + i, bytes([0x80 | i % 4, 40 + i, 5]))]
second = track([(0, b"\xc0\7"), (0, b"\xb0\7\x63")] + notes)
open("tune.mid", "wb").write(b"MThd\0\0\0\6\0\1\0\2\0\x60" + first + second)
END
tab=$(printf '\t')
luge import midi music.db tune.mid >imported
like "a tune has a node for each bar" "$(cat imported)" \
    "^tune${tab}[0-9]+ nodes${tab}1 branch${tab}48 events"
luge play music.db tune --out back.mid
luge import midi music.db back.mid >/dev/null
heard() {
    luge play music.db "$1" --once --speed 0 --json 2>/dev/null |
        sed 's/.*"event"://'
}
heard tune >one
heard back >two
same "written back and read again, it is the same, event by event" one two
is "all of it" "$(wc -l <one)" 48
is "the second file is the first one's equal" "$(luge play music.db back \
    --out again.mid && cmp back.mid again.mid && echo same)" same
like "key and meter as of a time" \
    "$(convo music.db show tune main --time 1.9)" '3/4, G minor'
is "bars and beats" "$(convo music.db show tune main --time 1.9 | head -1)" \
    "time      1.900 s: bar 2, beat 1.166"
for real in "${MIDI_FILES:-/usr/share/games/openttd/baseset/openmsx}"/*.mid; do
    [ -f "$real" ] || { skip "real tunes (there are none here)"; break; }
    [ $((tunes -= 1)) -ge 0 ] || break
    name=$(basename "$real" .mid)
    luge import midi real.db "$real" --durability async >/dev/null
    luge play real.db "$name" --out real.mid
    luge import midi real.db real.mid --path "2/$name" --durability async \
        >/dev/null
    for path in "$name" "2/$name/real"; do
        luge play real.db "$path" --once --speed 0 --json 2>/dev/null |
            sed 's/.*"event"://'
    done >both
    lines=$(wc -l <both)
    is "$name sounds the same" "$(head -$((lines / 2)) both | cksum)" \
        "$(tail -$((lines / 2)) both | cksum)"
done

luge checksum music.db >before
size=$(wc -c <tune.mid)
for cut in 0 4 13 20 100 $((size - 5)) $((size - 1)); do
    head -c $cut tune.mid >cut.mid
    run luge import midi music.db cut.mid
    is "cut after $cut bytes" "$code" 3
    like "the offset is said" "$err" 'cut.mid: MIDI file, offset [0-9]+: '
done
absurd() {                      # NAME BYTES PATTERN
    printf "MThd\\0\\0\\0\\6\\0\\1\\0\\1\\0\\140$2" >absurd.mid
    code "$1" 3 luge import midi music.db absurd.mid
    like "says where" "$err" "absurd.mid: MIDI file, offset $3"
}
absurd "a track of 4 GiB" 'MTrk\377\377\377\377\0\377\57\0' '1[0-9]: '
absurd "a text of 256 MiB" \
    'MTrk\0\0\0\10\0\377\1\377\377\377\177x' '2[0-9]: '
absurd "a number that does not end" \
    'MTrk\0\0\0\7\377\377\377\377\377\377\177' '2[0-9]: '
truncate -s 257M large.mid
code "a file of 257 MiB" 3 luge import midi music.db large.mid
like "is too large" "$err" 'TOOBIG: large.mid'
truncate -s 5G large.jsonl
code "messages of 5 GiB" 3 luge import jsonl music.db large.jsonl
like "are too large" "$err" 'TOOBIG: large.jsonl'
code "the same through a pipe" 3 sh -c 'head -c 270000000 /dev/zero |
    "$LUGE" import midi music.db - --path x'
like "is too large" "$err" 'TOOBIG: -: more than 268435456 bytes'
rm large.mid large.jsonl
code "an author that is no UTF-8" 3 convo music.db append tune main x \
    --author "$(printf '\377')"
like "says so" "$err" 'INVALID: .*UTF-8'
code "a name of 256 bytes" 3 convo music.db fork tune main \
    "$(head -c 256 /dev/zero | tr '\0' x)"
like "is too long" "$err" 'TOOBIG: '
printf 'MThd\0\0\0\6\0\2\0\1\0\140' >two.mid
code "format 2" 3 luge import midi music.db two.mid
run luge import midi music.db tune.mid cut.mid --path x
is "one bad file of two: nothing of either" "$code" 3
luge checksum music.db >after
same "nothing was changed by all that" before after

# -------------------------------------------------------------------- live

luge import midi live.db tune.mid --path t >/dev/null
"$LUGE" play live.db t/tune --speed 0 --json >live 2>figures &
player=$!
children="$children $player"
sleep 0.5
for i in 1 2 3 4 5; do
    convo live.db append t/tune main "E boldly" --type intention --author amy
done >said
for i in $(seq 100); do
    [ "$(wc -l <live)" -ge 10 ] && break
    sleep 0.1
done
kill -TERM $player
wait $player
is "a player ends in peace" "$?" 0
sed 's/^{"node":\([0-9]*\),.*/\1/' live | uniq >nodes
same "and has heard what was said, once, in order" nodes said
like "and says how soon" "$(cat figures)" '10 events of 5 nodes; 5 of them'
timeout 20 "$LUGE" play live.db t/tune --branch main --speed 0 2>/dev/null |
    head -1 >/dev/null
is "a player ends when nobody reads" "${PIPESTATUS[0]}" 0
is "--limit" "$(luge play live.db t/tune --branch main --speed 0 --limit 7 \
    2>/dev/null | wc -l)" 7
code "a branch that is not there" 1 luge play live.db t/tune --branch no
code "a speed that is none" 2 luge play live.db t/tune --speed fast
code "a file that cannot be written" 3 luge play live.db t/tune \
    --out nowhere/x.mid
finish
