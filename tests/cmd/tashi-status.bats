load lab

@test "how the cluster is" {
  create web
  run -0 tashi-status
  [[ $output == *$'\nhosts            up=3\n'* ]]
  [[ $output == *$'\nvms              running=1\n'* ]]
  [ "$(tashi-status -H -o you,role | xargs)" = 'you root role admin' ]
  [ "$(tashi-status -j | value 'r["hosts"]')" = "{'up': 3}" ]
}

@test "no controller: 69, and what it may be" {
  fail_with 69 'not running, wrong server key, or key not accepted' \
    tashi-status --controller ipc:///nowhere --timeout 0.3
}
