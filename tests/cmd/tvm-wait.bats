load lab

@test "until all are there" {
  tvm-create --submit -q a b --image tiny --cores 1 --memory 4M
  [ "$(tvm-wait -H -o name,state a b | sort | xargs)" = 'a running b running' ]
}

@test "gone: also what never was" {
  create web
  tvm-destroy --submit -q web
  tvm-wait -q --state gone web nobody
}

@test "1 as soon as it can't happen any more" {
  create web
  tvm-shutdown -q web
  fail_with 1 "is stopped: shut down as asked; it won't be running" tvm-wait web
  fail_with 1 'nobody: no such vm' tvm-wait nobody
}

@test "75 at its time-out" {
  create web
  fail_with 75 'still waiting for web' tvm-wait --state stopped --timeout 0.2 web
}
