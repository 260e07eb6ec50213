load lab

@test "it is gone" {
  create web
  [ "$(tvm-destroy -H -o name,state web)" = $'web\tgone' ]
  [ -z "$(tvm-list)" ]
  fail_with 1 'web: no such vm' tvm-destroy web
}

@test "many from a pipe, without a question" {
  create web -c 5
  [ "$(tvm-list -j | tvm-destroy -j - | value 'r["state"]' | uniq -c | xargs)" = '5 gone' ]
}

@test "each is tried; failures are told; 1 at the end" {
  create a b
  run -1 --separate-stderr tvm-destroy -H -o name a nope b
  [ "$(sort <<<"$output" | xargs)" = 'a b' ]
  # shellcheck disable=SC2154 # set by run
  [ "$stderr" = 'tvm-destroy: nope: no such vm' ]
}

@test "-j has the failures among the records" {
  run -1 --separate-stderr tvm-destroy -j nope
  [ "$output" = '{"name":"nope","error":{"code":"not-found","text":"nope: no such vm","retry":false}}' ]
}

@test "-n destroys nothing" {
  create web
  [ "$(tvm-destroy -n -H -o name,verb web)" = $'web\tvm.destroy' ]
  [ "$(tvm-list -H -o state web)" = running ]
}
