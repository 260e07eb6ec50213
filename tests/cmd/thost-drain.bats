load lab

teardown() {
  destroy_all
  thost-list -H -o name state!=normal | thost-resume -q -
}

@test "every VM leaves; the host is empty" {
  create web -c 4 --host h1
  create off --host h1
  tvm-shutdown -q off
  [ "$(thost-drain -H -o name,state h1)" = $'h1\tdrained' ]
  [ -z "$(tvm-list host=h1)" ]
  [ "$(tvm-list -H -o state 'name=~^web' | uniq -c | xargs)" = '4 running' ]
  fail_with 75 'h1: drained' create --host h1 new
}

@test "what can't leave is told by name" {
  create full-1 --cores 60 --host h2
  create full-2 --cores 60 --host h3
  create big --cores 60 --host h1
  fail_with 1 'still on h1: big: no host has room' thost-drain h1
}

@test "-n says what would go where, of all of them" {
  create web --host h1
  [[ $(thost-drain -n -H -o name,verb,host h1) == $'web\tvm.migrate\th'[23] ]]
  [ "$(thost-list -H -o state h1)" = normal ]
}

@test "several at once: nothing goes to a host that is emptied too" {
  create wave -c 3 --host h1
  create wave-db --host h2
  [ "$(thost-drain -n -H -o host h1 h2 | sort -u)" = h3 ]
  [ "$(tashi-reboot-plan -j h1 h2 | thost-drain -H -o name,state - | sort | xargs)" = 'h1 drained h2 drained' ]
  [ "$(tvm-list -H -o host | sort -u)" = h3 ]
  [ "$(tjob-list -H -o to verb=vm.migrate name=~^wave | sort -u)" = h3 ]
}
