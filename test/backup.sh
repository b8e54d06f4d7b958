# test/backup.sh -- backup and restore as somebody uses them: files, folders,
# pipes, rows of incremental backups, points in time, and mistakes.
# Not here: what is in a backup (test_backup.c, crash_backup.c).
. "$LUGE_SOURCE/test/lib.sh"

code() {
    local name=$1 wanted=$2
    shift 2
    run "$@"
    is "$name: exit code" "$code" "$wanted"
}

luge() { "$LUGE" "$@"; }
seq_of() { luge put db "$1" "$2" --json | tr -dc 0-9; }

luge put db a 1
luge put db b 2 --tree other
sum=$(luge checksum db)
code "backup to a file" 0 luge backup db full
is "nothing on stdout" "$out" ""
like "says what it did" "$err" '^luge: backup: transaction [0-9]+, .* pages'
code "restore of a file" 0 luge restore full copy
is "the same content" "$(luge checksum copy)" "$sum"
is "and sound" "$(luge check copy)" "sound"
is "goes on" "$(luge put copy c 3; luge get copy c)" "3"
code "restore over a database" 3 luge restore full copy
like "restore over a database says so" "$err" '^luge: EXISTS: '
mkdir others; touch others/letter
code "restore over files" 3 luge restore full others
like "restore over files says so" "$err" '^luge: NOTLUGE: '
code "restore of no backup" 3 luge restore "$LUGE" other
like "restore of no backup says so" "$err" '^luge: CORRUPT: this is not'
code "restore of what is not there" 3 luge restore nothing other
code "backup of what is not there" 3 luge backup nothing full2
is "and leaves no file" "$(ls full2* 2>&1 | grep -c part)" "0"

# nothing is committed between two of a row, and one was killed half-way
mkdir still
luge backup db still 2>/dev/null
luge backup db still --since still 2>/dev/null
head -c 5000 still/*.full >still/backup.part-7-0
code "a row of one transaction" 0 luge restore still still-copy
is "is whole" "$(luge checksum still-copy)" "$sum"
code "the same by its last backup" 0 luge restore still/*.since still-named
is "is whole, too" "$(luge checksum still-named)" "$sum"

# two with logs that both go on from the first: one of them holds what is wanted
luge put apart k 0
mkdir fan
luge backup apart fan 2>/dev/null
first=$(ls fan/*)
luge put apart k 1
luge backup apart fan --since "$first" --with-log 2>/dev/null
wanted=$(luge put apart k 2 --json | tr -dc 0-9)
luge put apart k 3
luge backup apart fan --since "$first" --with-log 2>/dev/null
code "between two that go on from one" 0 luge restore fan fan-copy \
    --at "$wanted"
is "is that state" "$(luge get fan-copy k)" "2"

"$LUGE" backup db unseen 2>&-
luge restore unseen unseen-copy 2>/dev/null
is "a backup that nobody sees" "$(luge checksum unseen-copy)" "$sum"

luge backup db - 2>/dev/null | luge restore - piped 2>/dev/null
is "through a pipe" "$(luge checksum piped)" "$sum"
mkfifo fifo
timeout 20 cat fifo >through & children="$children $!"
code "backup to a pipe with a name" 0 timeout 20 "$LUGE" backup db fifo
wait
is "which stays one" "$(test -p fifo && echo pipe)" "pipe"
# the pipe still lies beside it: nobody writes into it
timeout 20 "$LUGE" restore through through-copy 2>/dev/null
is "and what came out is a backup" "$(luge checksum through-copy)" "$sum"
timeout 20 cat fifo >through & children="$children $!"
code "dump to a pipe with a name" 0 timeout 20 "$LUGE" dump db fifo
wait
luge load dumped through 2>/dev/null
is "and what came out is a dump" "$(luge checksum dumped)" "$sum"
echo old >target; ln -s target link
code "backup to a link" 0 luge backup db link
is "follows it" "$(test -L link && luge restore target linked 2>/dev/null &&
                   luge checksum linked)" "$sum"
if [ -c /dev/full ]; then
    ln -s /dev/full device
    code "backup to a full device" 3 luge backup db device
    is "says so once" "$err" "luge: NOSPACE: cannot write /dev/full\
: No space left on device"
    is "and it is still one" "$(test -c /dev/full && echo device)" "device"
    run sh -c '"$LUGE" backup db - >/dev/full'
    is "the same of standard output" "$err" "luge: NOSPACE: cannot write \
standard output: No space left on device"
fi
code "backup where nobody may" 3 luge backup db nowhere/full
like "says why" "$err" '^luge: NOTFOUND: cannot create nowhere/full'
head -c 3000 full >short
code "a backup cut short" 3 luge restore short short-copy
like "a backup cut short says so" "$err" '^luge: CORRUPT: .*cut short'
code "and is no database" 3 luge get short-copy a
code "nor in the way" 0 luge restore full short-copy

# A row of backups in a folder.
mkdir row
luge backup db row 2>/dev/null
first=$(seq_of k 1)
second=$(seq_of k 2)
code "since the newest of a folder" 0 luge backup db row --since row --with-log
third=$(seq_of k 3)
luge backup db row --since row --json >made 2>/dev/null
like "json tells the file" "$(cat made)" '"file": *"row/.*since"'
fourth=$(seq_of k 4)
is "three files" "$(ls row | wc -l)" "3"
code "the newest of the folder" 0 luge restore row r0
is "is the third" "$(luge get r0 k)" "3"
code "in between, from a backup's log" 0 luge restore row r1 --at "$first"
is "is the first" "$(luge get r1 k)" "1"
code "after the last, from the log" 0 \
    luge restore row r4 --at "$fourth" --log db/log
is "is the fourth" "$(luge get r4 k)" "4"
cp -r db/log kept-log; chmod -R a-w kept-log
nobody=
[ "$(id -u)" = 0 ] && nobody="setpriv --reuid 65534 --clear-groups"
chmod 755 . "$scratch"; mkdir -m 777 theirs; cp "$LUGE" command
cp -r row theirs/row; chmod -R a+rX theirs/row
code "from a log that cannot be written" 0 \
     $nobody ./command restore theirs/row theirs/r5 --at end --log kept-log
code "to the end of the log" 0 luge restore row r5 --at end --log db/log
is "is the fourth, too" "$(luge get r5 k)" "4"
code "after the last, without the log" 3 luge restore row r6 --at "$fourth"
like "says what is missing" "$err" "^luge: EXPIRED: .* is $third: what follows"
code "before the first" 3 luge restore row r6 --at 1
like "before the first says so" "$err" '^luge: NOTFOUND: .*old enough'
sleep 0.01
now=$(date +%Y-%m-%dT%H:%M:%S.%N)
seq_of k 5 >/dev/null
code "at a time" 0 luge restore row r7 --at "$now" --log db/log
is "is what was there" "$(luge get r7 k)" "4"
code "at no time" 2 luge restore row r8 --at noon
middle=$(ls row | sed -n 2p)
mkdir alone; cp "row/$middle" alone
code "without what it goes on from" 3 luge restore "alone/$middle" r9
like "says what it misses" "$err" '^luge: NOTFOUND: .* goes on from'
code "of another database" 3 luge backup r7 more --since full
like "of another database says so" "$err" '^luge: MISMATCH: .*another'
code "with the log of nothing" 2 luge backup db more --with-log

# A damaged database.
code "salvage of a sound one" 0 luge salvage db new
like "tells what there is" "$out" '^[0-9]+ trees, [0-9]+ records'
is "and it is the same" "$(luge checksum new)" "$(luge checksum db)"
cp -r db broken
for n in $(seq 200); do echo "key$n value"; done |
    while read -r key value; do luge put broken "$key" "$value" \
        --durability async; done
count=$(luge scan broken | wc -l)
printf damage | dd of=broken/db bs=1 seek=$((4096 * 2 + 3000)) conv=notrunc \
    2>/dev/null
printf damage | dd of=broken/db bs=1 seek=$((4096 * 3 + 3000)) conv=notrunc \
    2>/dev/null
printf x | dd of=broken/conf bs=1 seek=2 conv=notrunc 2>/dev/null
code "salvage of a damaged one" 1 luge salvage broken whole
like "says that conf is gone" "$out" 'conf is missing or cannot be read'
is "the new one is sound" "$(luge check whole)" "sound"
code "salvage of what is not there" 3 luge salvage nothing whole2
code "salvage into a database" 3 luge salvage broken whole

finish
