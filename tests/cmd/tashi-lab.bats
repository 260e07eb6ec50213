load lab

teardown() {
  destroy_all
  tashi-lab --name "${TASHI_LAB%-rack}-rack" down
}

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

@test "machines, and what is wrong with the devices around them" {
  export TASHI_LAB=$TASHI_LAB-rack
  tashi-lab up --driver fake --hosts 1 --machines 2
  tashi-lab bmc says-off m1 m2
  tashi-lab bmc silent m2
  tashi-lab pdu read-only
  tashi-lab switch slow
  [ "$(tashi-lab status -j | value 'r["name"], r.get("faults")' | grep -v None)" = "('h1', 'ok')
('pdu', 'read-only')
('switch', 'slow')
('m1', 'says-off')
('m2', 'silent,says-off')" ]
  tashi-lab bmc ok m1 m2
  tashi-lab pdu ok
  tashi-lab switch ok
  run -1 grep -E 'says-off|silent|read-only|slow' <(tashi-lab status)
  fail_with 1 'm9: no such machine' tashi-lab bmc silent m9
  fail_with 2 "'dead' is not one of" tashi-lab bmc dead m1
  fail_with 1 'm1: is a record' tashi-lab exec m1 true
  tashi-lab restart-switch
  tashi-lab status | grep -E '^switch .*silent'
}

@test "a lab without machines" {
  fail_with 1 'has no machines' tashi-lab pdu silent
  fail_with 1 'm1: no such machine' tashi-lab bmc silent m1
}
