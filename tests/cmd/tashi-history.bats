load lab

@test "who, what, why and how it ended, also when it is gone and the controller has started again" {
  create acted --reason "for a friend"
  tvm-destroy -q --reason "no more friends" acted
  tashi-lab kill-controller
  tashi-lab start-controller
  run -0 tashi-history -H -o by,verb,outcome,why acted
  [ "${lines[0]}" = $'root\tvm.create\tdone\tfor a friend' ]
  [ "${lines[1]}" = $'root\tvm.destroy\tdone\tno more friends' ]
  [ "${#lines[@]}" = 2 ]
  id=$(tashi-history -H -o id acted | head -n 1)
  [ "$(tashi-history -H "$id" | wc -l)" = 2 ]
  [ "$(tashi-history -H --by nobody acted)" = '' ]
}

@test "a name that nothing ever had" {
  run -1 --separate-stderr tashi-history -H never
  [[ $stderr == *'never: the change log knows nothing of it'* ]]
}
