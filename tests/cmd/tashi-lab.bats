load lab

@test "a host's power is cut: the cluster says what it knows" {
  create web --host h3
  tashi-lab crash h3
  tvm-wait -q --state unknown web
  [ "$(thost-list -H -o health h3)" = unknown ]
  tashi-lab start h3
  tvm-wait -q --state stopped web
}

@test "status" {
  run -0 tashi-lab status
  [[ $output == *h1* && $output == *h3* ]]
}
