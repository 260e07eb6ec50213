load lab

@test "how many fit, and on which hosts" {
  create full --cores 60 --host h1
  [ "$(tashi-slots -H -o slots --cores 4 --memory 1G)" = 33 ]
  [ "$(tashi-slots -l -H --cores 4 --memory 1G)" = $'h1\t1\nh2\t16\nh3\t16' ]
  run -0 tashi-slots --cores 4 --memory 1G
  [[ ${lines[0]} == *SLOTS*DEMAND ]]
  [[ ${lines[1]} == *33*'4 cores and 1G of memory' ]]
}

@test "as many as can be created, rules and all" {
  create full --cores 63 --host h1
  [ "$(tashi-slots -j --cores 1 --memory 4M --spread host --group web | value 'r["slots"]')" = 5 ]
  create web -c 5 --spread host
  fail_with 75 'of root/web in host' tvm-create one --group web --spread host --image tiny --cores 1 --memory 4M
  [ "$(tashi-slots -H -o slots --cores 1 --memory 4M --anti-affinity)" = 2 ]
  [ "$(tashi-slots -H -o slots web-00)" = 0 ]
}

@test "what can't be asked" {
  fail_with 2 'which machine' tashi-slots
  fail_with 2 'invalid value' tashi-slots --cores 0 --memory 1G
  fail_with 1 'no such vm' tashi-slots nix
}
