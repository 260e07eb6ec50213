load lab

teardown() {
  destroy_all
  thost-set -q h1 h2 h3 --label rack=
  thost-list -H -o name state!=normal | thost-resume -q -
}

@test "a line for each host, the one that would be chosen first" {
  thost-drain -q h1
  create full --cores 63 --host h2
  run -0 tashi-explain --cores 2 --memory 1G
  [[ ${lines[0]} == HOST*VERDICT*FILTER*WANTED*AVAILABLE*SCORE ]]
  [ "$(tashi-explain -H -o host,verdict,filter,wanted,available --cores 2 --memory 1G)" = \
    $'h3\tchosen\t\t\t\nh1\tno\tstate\t\tdrained\nh2\tno\tcores\t2 cores\t1 free' ]
  [ "$(tvm-create -n -H -o host x --image tiny --cores 2 --memory 1G)" = h3 ]
  thost-resume -q h1
  [ "$(tashi-explain -H -o verdict --cores 2 --memory 1G | sort | uniq -c | tr -s ' ')" = $' 1 chosen\n 1 fits\n 1 no' ]
}

@test "what fits nowhere is told host by host, and of one host what would help" {
  [ "$(tashi-explain -H -o filter --cores 65 --memory 1G | uniq)" = cores ]
  run -1 tashi-explain --cores 65 --memory 1G
  run -1 tashi-explain --cores 65 --memory 1G --host h2
  [[ $output == *'reason'*'needs 65 cores, 64 free'* ]]
  [[ $output == *'cure'*'64 are all that it may give'* ]]
  [ "$(tashi-explain -j --cores 2 --memory 1G --label rack=r2 --host h2 | value 'r["cure"]')" = \
    'thost-set h2 --label rack=r2' ]
}

@test "the score is the sum of its terms" {
  [ "$(tashi-explain -j --cores 2 --memory 1G --host h1 | value 'r["score"] == sum(r["terms"].values())')" = True ]
}

@test "a machine that is there: one that runs, one that waits" {
  create web --host h2
  [ "$(tashi-explain -H -o host,verdict web | xargs)" = 'h1 chosen h3 fits h2 here' ]
  run -1 tashi-explain --host h2 web
  [[ $output == *'verdict'*here* && $output != *full* && $output != *needs* ]]
  create --submit --hold big --cores 64 --host h2
  [ "$(tashi-explain -H -o reason --host h2 big)" = 'needs 64 cores, 63 free' ]
}

@test "rules of groups" {
  create db --group db --host h3
  [ "$(tashi-explain -H -o host --cores 1 --memory 1G --affinity db | head -n 1)" = h3 ]
  run -0 tashi-explain --cores 1 --memory 1G --anti-affinity=db
  [ "$(tashi-explain -H -o verdict --cores 1 --memory 1G --anti-affinity=db --host h3)" = no ]
}

@test "what a host has, and how new it is" {
  [ "$(tashi-explain -H -o verdict --cores 1 --memory 1G --feature cpu=avx2 | sort -u | xargs)" = 'chosen fits' ]
  [ "$(tashi-explain -H -o verdict --cores 1 --memory 1G --feature firmware=uefi | sort -u | xargs)" = 'chosen fits' ]
  fail_with 2 "web: it can't have firmware=bios and firmware=uefi" \
    create --feature firmware=uefi --feature firmware=bios web
  run -1 tashi-explain -H -o filter,wanted --cores 1 --memory 1G --feature cpu=avx512f
  [ "${lines[0]}" = $'features\tcpu=avx512f' ]
  run -1 tashi-explain -H -o filter,wanted,available --cores 1 --memory 1G --at-least hypervisor=8.2
  [ "${lines[0]}" = $'version\thypervisor 8.2\tfake there' ]
  fail_with 1 'no host has hypervisor 8.2' create --at-least hypervisor=8.2 web
}

@test "what was decided: of a machine, of an operation, and who was the next best" {
  create web --cores 2 --host h2
  create db --cores 4
  id=$(tvm-show -H -o decision db)
  [[ $id == c-* ]]
  [ "$(tashi-explain --decision db -H -o id)" = "$id" ]
  [ "$(tashi-explain --decision "$(tjob-list -H -o id name=db verb=vm.create | tail -n 1)" -H -o id)" = "$id" ]
  [ "$(tjob-list -H -o decision name=db | tail -n 1)" = "$id" ]
  [ "$(tashi-explain --decision "$id" -H -o outcome,host,policy_version,seed)" = $'placed\th2\t1\t0' ]
  [ "$(tashi-explain --decision "$id" -j | value 'sorted(r["fits"]) == ["h1", "h3"] and r["score"] == sum(r["terms"].values())')" = True ]
  run -0 tashi-explain --decision "$id"
  [[ $output == *"id "*"$id"* && $output == *demand*'4 cores'* && $output == *HOST*VERDICT*SCORE*TERMS*FILTER*REASON* ]]
  [[ ${lines[-3]} == h2*chosen* && ${lines[-2]} == h*fits* ]]
  run -0 tashi-history -H -o verb,decision db
  [[ $output == *$'vm.create\t'"$id"* ]]
}

@test "what was refused, and what has to wait" {
  for host in h1 h2 h3; do create "full-$host" --cores 60 --host "$host"; done
  run -75 --separate-stderr tvm-create bigger --image tiny --cores 9 --memory 1G
  [[ $stderr =~ --decision\ (c-[0-9]+) ]]
  id=${BASH_REMATCH[1]}
  run -1 tashi-explain --decision "$id" -H -o outcome,name,kept_out
  [ "$output" = $'refused\tbigger\tcores=3' ]
  run -1 tashi-explain --decision "$id"
  [[ $output == *h3*no*cores*'needs 9 cores, 4 free'* ]]
  [ "$(tashi-history -H -o outcome,decision bigger)" = $'refused\t'"$id" ]
  create --submit --hold wait --cores 9
  run -1 tashi-explain --decision wait -H -o outcome,reason
  [[ $output == held*$'\t'*'h1: needs 9 cores, 4 free'* ]]
}

@test "a decision that is not there" {
  fail_with 1 'no such decision' tashi-explain --decision c-99999999
  fail_with 1 'no such vm' tashi-explain --decision nix
  fail_with 1 'no such job' tashi-explain --decision j-99999999
  create --no-place bare
  fail_with 1 'no host was chosen for it yet' tashi-explain --decision bare
  fail_with 2 'nothing else can be asked' tashi-explain --decision c-1 --cores 2
  fail_with 2 'nothing else can be asked' tashi-explain --decision c-1 web
  fail_with 2 'no such field' tashi-explain --decision c-1 -o filter
  tashi-explain --decision c-1 -o help | grep -q '^kept_out'
}

@test "what can't be asked" {
  fail_with 2 'which machine' tashi-explain --cores 1
  fail_with 2 ': NAME has its size' tashi-explain web --cores 1
  fail_with 2 'one NAME' tashi-explain a b
  fail_with 2 'with x and apart from it' tashi-explain --cores 1 --memory 1G --affinity x --anti-affinity=x
  fail_with 2 'a version begins with a number' tashi-explain --cores 1 --memory 1G --at-least hypervisor=new
  fail_with 1 'no such vm' tashi-explain nix
  fail_with 1 'no such host' tashi-explain --cores 1 --memory 1G --host h9
  fail_with 2 '--host: at least' tashi-explain --cores 1 --memory 1G --host ''
  fail_with 1 'no such image' tashi-explain --cores 1 --memory 1G --image nix
}
