load lab

@test "a healthy cluster has nothing wrong" {
  create web
  run -0 tashi-check
  [ -z "$output" ]
}

@test "a controller that does not answer is told, with what helps" {
  run -1 tashi-check --controller ipc:///nowhere --timeout 1 -H -o kind,help
  [[ $output == *controller*tashi-controller* ]]
}
