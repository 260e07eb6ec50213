load lab

aside() {
  create --no-place "$@"
}

@test "starts what waits for it on the host named" {
  aside web
  [ "$(tvm-list -H -o state,host,reason)" = $'held\t\twaits for tvm-place' ]
  [ "$(tvm-place -H -o name,state,host web h3)" = $'web\trunning\th3' ]
}

@test "reads pairs: words, and records with a host" {
  aside web -c 3
  echo '  web-00   h2' | tvm-place -q -
  tvm-list -j state=held | sed 's/"host":null/"host":"h3"/' | tvm-place -q -
  [ "$(tvm-list -H -o name,host | sort)" = $'web-00\th2\nweb-01\th3\nweb-02\th3' ]
}

@test "is checked and claimed like any place" {
  aside web
  create full --cores 64 --host h1
  fail_with 75 'web: h1: needs 1 core, 0 free' tvm-place web h1
  fail_with 1 'no such host' tvm-place web h9
  fail_with 1 "can't place full: it is running" tvm-place full h2
  [ "$(tvm-list -H -o state web)" = held ]
}

@test "what was placed meanwhile is told, the others go on" {
  aside a
  aside b
  tvm-place -q a h1
  run -1 --separate-stderr tvm-place -H -o name - <<<$'a h2\nb h2'
  [ "$output" = b ]
  [[ "$stderr" == *"a: can't place a: it is running"* ]]
}

@test "what is no pair is wrong usage, and nothing is done" {
  aside web
  fail_with 2 'which VM on which host' tvm-place web
  fail_with 2 'which VM on which host' tvm-place web h1 h2
  run -2 tvm-place - <<<$'web h1\nweb'
  run -2 tvm-place - <<<$'web h1\nweb h2'
  run -2 tvm-place - <<<'{"name":"web"}'
  [ "$(tvm-list -H -o state web)" = held ]
}

@test "-n says whether it would fit" {
  aside web
  [ "$(tvm-place -n -H -o name,verb,host web h2)" = $'web\tvm.place\th2' ]
  create full --cores 64 --host h2
  fail_with 75 '0 free' tvm-place -n web h2
  [ "$(tvm-list -H -o state web)" = held ]
}

@test "the program of tashi-policy(7) places all that waits" {
  mandoc -T ascii -O width=200 "$BATS_TEST_DIRNAME/../../man/tashi-policy.7" | sed $'s/.\b//g' |
    sed -n '/#!\/bin\/sh/,/tvm-place -$/p' | sed 's/^ *#!/#!/' >"$BATS_TEST_TMPDIR/policy"
  chmod +x "$BATS_TEST_TMPDIR/policy"
  aside big --memory 100G
  aside small -c 5 --memory 64G
  "$BATS_TEST_TMPDIR/policy"
  [ "$(tvm-list -H -o state | sort -u)" = running ]
  [ "$(thost-list -H -o vms | sort -n | paste -sd' ')" = '2 2 2' ]
  "$BATS_TEST_TMPDIR/policy"
}

@test "who creates with --no-place names no host, and waits in no queue" {
  fail_with 2 'no host yet' tvm-create x --image tiny --cores 1 --memory 4M --no-place --host h1
  fail_with 2 'no queue' tvm-create x --image tiny --cores 1 --memory 4M --no-place --hold
}
