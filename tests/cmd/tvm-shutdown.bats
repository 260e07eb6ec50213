load lab

@test "the guest stops and stays defined" {
  create web
  [ "$(tvm-shutdown -H -o name,state web)" = $'web\tstopped' ]
  [ "$(tvm-list -H -o state web)" = stopped ]
}

@test "all that run, from a pipe" {
  create web -c 3
  [ "$(tvm-list -j state=running | tvm-shutdown -H -o state - | sort -u)" = stopped ]
}

@test "what is off can't be shut down" {
  create web
  tvm-shutdown -q --grace 30s web
  fail_with 1 'it is stopped' tvm-shutdown web
}
