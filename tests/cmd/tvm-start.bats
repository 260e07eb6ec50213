load lab

@test "starts what is stopped, where it is told" {
  create web
  tvm-shutdown -q web
  [ "$(tvm-start -H -o name,state,host --host h3 web)" = $'web\trunning\th3' ]
}

@test "what runs can't be started" {
  create web
  fail_with 1 'it is running' tvm-start web
}

@test "-n says where it would be" {
  create web
  tvm-shutdown -q web
  [ "$(tvm-start -n -H -o name,host --host h2 web)" = $'web\th2' ]
  [ "$(tvm-list -H -o state web)" = stopped ]
}
