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

@test "faults of a machine's BMC are told by status, and end with ok" {
  tashi-lab bmc says-off m1 m2
  tashi-lab bmc silent m2
  [ "$(tashi-lab status -j | value 'r.get("faults")' | paste -sd' ')" = "None ok ok ok ok says-off silent,says-off ok ok" ]
  tashi-lab bmc ok m1 m2
  run -1 grep -E 'says-off|silent' <(tashi-lab status)
  fail_with 1 'm9: no such machine' tashi-lab bmc silent m9
  fail_with 2 "'dead' is not one of" tashi-lab bmc dead m1
}

@test "faults of the PDU" {
  tashi-lab pdu read-only
  tashi-lab status | grep -E '^pdu .*read-only'
  tashi-lab pdu ok
  tashi-lab status | grep -E '^pdu .*ok$'
}
