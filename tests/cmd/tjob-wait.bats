load lab

@test "until it has ended, with its outcome" {
  job=$(tvm-create web --submit --image tiny --cores 1 --memory 4M)
  [ "$(tjob-wait -H -o id,state "$job")" = "$job"$'\tdone' ]
  tvm-shutdown --submit web | tjob-wait -q -
  [ "$(tvm-list -H -o state web)" = stopped ]
}

@test "what did not end well is 1, what goes on is 75" {
  create full --cores 60 --host h1
  job=$(tvm-create web --submit --hold --host h1 --image tiny --cores 60 --memory 4M)
  fail_with 75 "still waiting for $job" tjob-wait --timeout 0.2 "$job"
  tjob-cancel -q "$job"
  run -1 --separate-stderr tjob-wait -H -o state "$job"
  [ "$output" = cancelled ]
  fail_with 1 'j-999999: no such job' tjob-wait j-999999
}

@test "waiting outlives the controller" {
  create full --cores 60 --host h1
  job=$(tvm-create web --submit --hold --host h1 --image tiny --cores 60 --memory 4M)
  tjob-wait -H -o state "$job" > "$BATS_TEST_TMPDIR/state" 3>&- &
  tashi-lab kill-controller
  tashi-lab start-controller
  tvm-destroy -q full
  wait $!
  [ "$(< "$BATS_TEST_TMPDIR/state")" = "done" ]
}
