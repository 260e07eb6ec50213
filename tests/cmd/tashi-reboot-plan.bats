load lab

teardown() {
  destroy_all
  [[ $(thost-list -H -o state h3) == normal ]] || thost-resume -q h3
}

@test "empty hosts first, then the others" {
  create web -c 3 --host h1
  [ "$(tashi-reboot-plan -H -o wave,name,vms)" = $'1\th2\t0\n1\th3\t0\n2\th1\t3' ]
}

@test "the first wave is emptied and drained" {
  create web -c 2 --host h1
  create db --host h2
  tashi-reboot-plan -j h1 h2 | grep '"wave":1,' > "$BATS_TEST_TMPDIR/wave"
  [ "$(value 'r["name"]' < "$BATS_TEST_TMPDIR/wave" | xargs)" = 'h1 h2' ]
  tashi-reboot-plan -l -j h1 h2 | tashi-balance -q --apply -
  [ "$(tvm-list -H -o host | sort -u)" = h3 ]
}

@test "a host that can't be emptied is told, the others are planned" {
  create large --cores 60 --host h1
  create mid --cores 40 --host h2
  thost-drain -q h3
  run -1 --separate-stderr tashi-reboot-plan -H -o name
  [ "$output" = h3 ]
  # shellcheck disable=SC2154 # set by run
  [[ $stderr == *'h1: large: h2: needs 60 cores, 24 free, h3: drained'* ]]
  fail_with 1 'h9: no such host' tashi-reboot-plan h9
}
