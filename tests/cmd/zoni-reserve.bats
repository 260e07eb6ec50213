load lab

setup() {
  zoni-add -q m1 --cores 4
  zoni-add -q m2 m3 --cores 16
}

teardown() {
  zoni-reservations -j | zoni-release -q -
  zoni-list -j | zoni-remove -q -
  zoni-domain list -j | zoni-domain remove -q -
}

@test "so many that match, for a time" {
  [ "$(zoni-reserve -H -o state,machines,note -c 2 'cores>=8' --until 8h --note 'a paper')" = $'active\tm2,m3\ta paper' ]
  [ "$(zoni-list -H -o name state=free)" = m1 ]
  [ "$(zoni-list -H -o name,reserved_by reserved_by=root | tr '\n' ' ')" = $'m2\troot m3\troot ' ]
}

@test "what somebody has is refused with the calendar" {
  zoni-reserve -q m2 --until 2030-01-01
  fail_with 75 'm2: root has it from' zoni-reserve m2 --until 8h
  fail_with 75 '2 machines with cores>=8 from' zoni-reserve -c 2 'cores>=8' --until 8h
  fail_with 75 '2 are free for as long from 2030-01-01T00:00:00.000Z' zoni-reserve -c 2 'cores>=8' --until 8h
  fail_with 1 '9 machines: there are 3' zoni-reserve -c 9 --until 8h
  [ "$(zoni-reserve -H -o state m2 --from 2030-01-01 --until 2030-01-02T12:30)" = planned ]
  [ "$(zoni-list -H -o reserved_next m2)" = 2030-01-01T00:00:00.000Z ]
}

@test "a dry run names the machines and keeps none" {
  [ "$(zoni-reserve -n -H -o name,verb -c 1 --until 1h)" = $'m1\tmachine.reserve' ]
  [ -z "$(zoni-reservations -H)" ]
}

@test "names through a pipe; extended and released through a pipe" {
  zoni-list -j 'cores=16' | zoni-reserve -q --until 1h -
  zoni-reservations -j | zoni-extend -q --until 2030-01-01T06:00 -
  [ "$(zoni-reservations -H -o until_at,count)" = $'2030-01-01T06:00:00.000Z\t2' ]
  [ "$(zoni-release -H -o name,state m2)" = $'m2\tfree' ]
  [ "$(zoni-reservations -H -o machines)" = m3 ]
  [ "$(zoni-reservations -j | zoni-release -j - | value 'r["name"], r["state"]')" = "('m3', 'free')" ]
  fail_with 1 'm2: nobody has it' zoni-release m2
  fail_with 1 'm2: nobody has it' zoni-extend m2 --until 2031-01-01
}

@test "it ends by itself" {
  id=$(zoni-reserve -H -o name m1 --until 2s)
  for _ in {1..40}; do [ -n "$(zoni-reservations -H)" ] || break; sleep 0.25; done
  [ -z "$(zoni-reservations -H)" ]
  [ "$(tashi-history -H -o by,verb,outcome,reason "$id" | tail -1)" = $'controller	machine.release	done	its time is over' ]
}

@test "wrong words" {
  fail_with 2 'which machines?' zoni-reserve --until 1h
  fail_with 2 'names, or filters with -c' zoni-reserve m1 'cores>1' --until 1h
  fail_with 2 "'tomorrow' is no time" zoni-reserve m1 --until tomorrow
  fail_with 2 'which is over' zoni-reserve m1 --until 2020-01-01
}

@test "domains are sets of VLANs" {
  [ "$(zoni-domain create -H -o name,vlans red --vlan 100-101 --vlan 200)" = $'red\t100,101,200' ]
  [ "$(zoni-domain list -H -o name vlan=101)" = red ]
  fail_with 1 'blue: VLAN 200 is in domain red' zoni-domain create blue --vlan 200
  fail_with 2 '4095 is no VLAN: they are 1 to 4094' zoni-domain create blue --vlan 4095
  fail_with 2 '0 is no VLAN: they are 1 to 4094' zoni-domain create blue --vlan 0
  [ "$(zoni-domain show -j red | value 'r["owner"], r["machines"]')" = "('root', [])" ]
  zoni-domain remove -q red
  fail_with 1 'red: no such domain' zoni-domain remove red
}
