# test/bench.sh -- luge-bench: its rows work, and its files hold what
# docs/bench.md promises.
#
# Not here: how fast anything is; windows are of 20 ms.
. "$LUGE_SOURCE/test/lib.sh"
bench=$LUGE_BUILD/luge-bench
if [ ! -x "$bench" ]; then
    skip "luge-bench is not built"
    finish
fi

# judge FILE EXPRESSION: what Python makes of it, where o is FILE's array
judge() {
    python3 -c "import json; o = json.load(open('$1')); print($2)"
}

run "$bench" --quick --engines luge,device --dir work --json out/results.json \
    --only load-sorted --only durable-t --only get-16-t1 \
    --only reads-checkpoints --only device-bytes
is "some rows" "$code$err" "0$err"
is "each object has what programs read" \
    "$(judge out/results.json "all(o and {'workload', 'engine', 'metric',
        'unit', 'better', 'median', 'min', 'max', 'runs', 'options'} <= set(e)
        and e['better'] in ('higher', 'lower')
        and e['min'] <= e['median'] <= e['max'] for e in o)")" "True"
is "the rows are there" \
    "$(judge out/results.json "' '.join(sorted({e['workload'] for e in o
        if 'durable' not in e['workload']}))")" \
    "device-bytes get-16-t1 load-sorted reads-checkpoints"
is "a verdict is what its figures say" \
    "$(judge out/targets.json "[abs(e['ratio'] - next(f['ratio_to_device']
        for f in json.load(open('out/results.json'))
        if f['workload'] == 'durable-t1' and f['engine'] == 'luge'
        and f['metric'] == 'throughput')) < 1e-5
        and e['met'] == (e['ratio'] >= e['least'])
        for e in o if e['against'] == 'device']")" "[True]"
is "without peers a ratio to the best of them is not known" \
    "$(judge out/targets.json "[(e['ratio'], e['met']) for e in o
        if e['workload'] == 'get-16-t1']")" "[(None, None)]"
like "and is printed so" "$out" "get-16-t1 +throughput +not measured"

# One that is larger than its memory.  Under TSan the shadow of its memory is
# larger than that, and the kernel kills it.
if nm "$bench" | grep -q ' __tsan_init$'; then
    skip "limited-get (TSan)"
else
    run "$bench" --quick --records 130000 --engines luge --dir work \
        --json out/limited.json --only limited-get
    is "limited-get" "$code" "0"
    if [ "$(judge out/limited.json 'len(o)')" = 0 ]; then
        like "says why memory cannot be limited" "$out" \
            'luge cannot: (no memory control group|the directory lies in mem)'
    else
        is "memory is a quarter of 650,000 records of 116 bytes" \
            "$(judge out/limited.json \
                "{e['options']['memory_limit_bytes'] for e in o}")" "{18850000}"
    fi
fi
run "$bench" --quick --engines luge --dir work --json out/limited.json \
    --only limited-get
like "few records leave no room for a process" "$out" "luge cannot: "

# Rows of the models: what they append they read again.
run "$bench" --quick --engines luge --dir work --json out/models.json \
    --only event --only convo
is "the models" "$code" "0"
is "each row is measured" \
    "$(judge out/models.json "' '.join(sorted(e['workload'] for e in o
        if e['metric'] == 'throughput' and e['median'] > 0))")" \
    "convo-append-all convo-append-few event-async-p16 event-async-t1"\
" event-durable-p16 event-durable-p4 event-durable-t16 event-replay"\
" event-replay-stream event-replay-type"

# As work grows.
run "$bench" --quick --grow 1000,4000 --dir work --json out/grow.json \
    --only get-16-t1 --only load-random
is "two sizes" "$code" "0"
is "both are in the file" \
    "$(judge out/grow.json "*sorted(e['workload'] +
        ' %d' % e['options']['records'] for e in o
        if e['metric'] == 'throughput'), sep=', '")" \
    "get-16-t1 1000, get-16-t1 4000, load-random 1000, load-random 4000"
like "and side by side" "$out" \
    "get-16-t1 +luge +throughput +[0-9.e+]+ +[0-9.e+]+"
run "$bench" --grow 4000,1000
is "sizes must rise" "$code$err" "2luge-bench: sizes must rise"

run "$LUGE_SOURCE/tools/chart" out/results.json out/grow.json
printf '%s\n' "$out" >chart.svg
is "the chart is XML" "$(python3 -c "import xml.dom.minidom as x
print(x.parse('chart.svg').documentElement.tagName)")" "svg"
is "luge-bench left nothing behind" "$(ls work)" "lock"
finish
