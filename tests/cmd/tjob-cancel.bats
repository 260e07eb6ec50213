load lab

@test "what waits is as if never asked" {
  create full --cores 60 --host h1
  job=$(tvm-create web --submit --hold --host h1 --image tiny --cores 60 --memory 4M)
  [ "$(tjob-cancel -H -o id,state "$job")" = "$job"$'\tcancelled' ]
  [ -z "$(tvm-list name=web)" ]
}

@test "what has ended can't be cancelled" {
  create web
  fail_with 1 'it is done already' tjob-cancel "$(tjob-list -H -o id name=web | tail -n 1)"
}
