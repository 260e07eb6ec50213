load lab

@test "what it is told is said in the words of who told it" {
  fail_with 2 "'٣' is not a whole number" tvm-create x --image tiny --cores ٣ --memory 4M
  fail_with 2 "'1_0' is not a whole number" tvm-create x --image tiny --cores 1_0 --memory 4M
  fail_with 2 'memory: at least 1M; a bare number is bytes' tvm-create x --image tiny --cores 1 --memory 512
  fail_with 2 'x: --reason: at most 200 characters' \
    tvm-create x --image tiny --cores 1 --memory 4M --reason "$(printf %70000s)"
  fail_with 2 'from: not before 1970-01-01' tashi-usage --from 0001-01-01
}

@test "prints the record of what runs now" {
  run -0 tvm-create -H -o name,state,cores,memory_bytes web --image tiny --cores 2 --memory 1.5G
  [ "$output" = $'web\trunning\t2\t1610612736' ]
}

@test "many names, one operation each" {
  run -0 tvm-create -H -o name a b c --image tiny --cores 1 --memory 4M
  [ "$(sort <<<"$output" | xargs)" = 'a b c' ]
  [ "$(tjob-list -H -o name,children verb=vm.create | tail -n 3 | xargs)" = 'a 0 b 0 c 0' ]
}

@test "-c makes NAME-00 and so on, one operation, all or none" {
  run -0 tvm-create -H -o name web -c 12 --image tiny --cores 1 --memory 4M
  [ "${lines[0]}" = web-00 ]
  [ "${lines[11]}" = web-11 ]
  fail_with 1 'could ever hold 3 of 10' tvm-create all -c 10 --image tiny --cores 40 --memory 4M
  [ -z "$(tvm-list 'name=~^all')" ]
}

@test "feeds the next command" {
  tvm-create web -c 3 --image tiny --cores 1 --memory 4M -H -o name | tvm-wait -q --state running -
}

@test "no room is told host by host and tried again later" {
  create --cores 60 --host h1 full
  fail_with 75 'h1: needs 10 cores, 4 free' create --host h1 --cores 10 web
}

@test "what no host could ever hold is never tried again" {
  fail_with 1 'no host could ever hold 65 cores' create --cores 65 --hold web
}

@test "--hold waits in the queue until there is room" {
  create --cores 60 --host h1 full
  run -0 tvm-create --hold --submit web --image tiny --cores 10 --memory 4M --host h1
  job=$output
  [ "$(tvm-list -H -o state web)" = held ]
  tvm-destroy -q full
  tjob-wait -q "$job"
  [ "$(tvm-list -H -o state,host web)" = $'running\th1' ]
}

@test "--hold=SPAN ends at its time" {
  create --cores 60 --host h1 full
  fail_with 1 'web: ' create --hold=0.2s --host h1 --cores 10 web
}

@test "-n says where it would be and makes nothing" {
  run -0 tvm-create -n -H -o name,host web --image tiny --cores 1 --memory 4M --host h2
  [ "$output" = $'web\th2' ]
  [ -z "$(tvm-list)" ]
}

@test "what it is to have" {
  tvm-create -j web --image tiny --cores 1 --memory 4M --disk 10M --nic default --hint disk=fast > "$BATS_TEST_TMPDIR/web"
  [ "$(value 'r["disk_bytes"], r["hints"], len(r["nics"]), r["owner"]' < "$BATS_TEST_TMPDIR/web")" = \
    "(10485760, {'disk': 'fast'}, 1, 'root')" ]
}

@test "refusals name what is wrong" {
  create web
  fail_with 1 'web: you have a VM of this name already' create web
  fail_with 1 'nope: no such image' tvm-create x --image nope --cores 1 --memory 4M
  fail_with 2 "missing option '--image'" tvm-create x
  fail_with 2 "'lots' is not a size" tvm-create x --image tiny --cores 1 --memory lots
  fail_with 2 'is not a name' create 0x
}

@test "twelve of a group over three hosts are four on each" {
  create web -c 12 --spread host
  [ "$(tvm-list -H -o host | sort | uniq -c | tr -s ' ')" = $' 4 h1\n 4 h2\n 4 h3' ]
}

@test "no two on one host; a part of them when that will do" {
  fail_with 1 'could ever hold 3 of 4' tvm-create db -c 4 --anti-affinity --image tiny --cores 1 --memory 4M
  run -1 --separate-stderr tvm-create db -c 4 --anti-affinity --partial --image tiny --cores 1 --memory 4M -H -o name
  [ "${#lines[@]}" = 3 ]
  [[ $stderr == *'db-03: not made: no host has room'*'apart from root/db'* ]]
  [ "$(tvm-list -H -o host | sort -u | wc -l)" = 3 ]
}

@test "a host named may be a wish, and a label that nobody has is told at once" {
  create full --cores 64 --host h2
  [ "$(tvm-create -H -o host web --host h2 --allow-elsewhere --image tiny --cores 1 --memory 4M)" != h2 ]
  fail_with 1 'no host has the label rack=r9' tvm-create x --hold --label rack=r9 --image tiny --cores 1 --memory 4M
  fail_with 2 'about --host' tvm-create x --allow-elsewhere --image tiny --cores 1 --memory 4M
  fail_with 2 'wants -c' tvm-create x --partial --image tiny --cores 1 --memory 4M
  fail_with 2 'two values' tvm-create x --label a=1 --label a=2 --image tiny --cores 1 --memory 4M
  fail_with 2 '--hint: two values for a' tvm-create x --hint a=1 --hint a=2 --image tiny --cores 1 --memory 4M
  fail_with 2 '--group: no name' tvm-create x --group '' --image tiny --cores 1 --memory 4M
  fail_with 1 'h1: needs label host=h2' tvm-create x --host h1 --hold --label host=h2 --image tiny --cores 1 --memory 4M
  fail_with 2 'about --spread' tvm-create x --skew 2 --image tiny --cores 1 --memory 4M
}
