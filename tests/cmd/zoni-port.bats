load lab
load switches

@test "ports as they are now; a switch that is silent is told, and the others are listed" {
  [ "$(zoni-port list -H -o name,on,mode,native,machine s1)" = $'s1:p1\tyes\tnone\t\tm1
s1:p2\tyes\tnone\t\tm2
s1:p3\tyes\tnone\t\t
s1:up\tyes\taccess\t1\t' ]
  [ "$(zoni-port list -H -o name m2)" = $'s1:p2\ns2:p2' ]
  [ "$(zoni-port list -H -o name m2:eth1 s2:up)" = $'s2:p2\ns2:up' ]
  [ "$(zoni-port list -H -o name mode=access up=yes)" = $'s1:up\ns2:up' ]
  [ "$(zoni-list -j m1 | zoni-port list -j - | value 'r["name"], r["nic"], r["up"], r["speed_mbps"]')" = "('s1:p1', 'eth0', None, None)" ]
  [ "$(zoni-port list -0 m2 | tr '\0' ' ')" = 's1:p2 s2:p2 ' ]
  zoni-port show m1 | grep -Eq '^machine +m1$'
  fail_with 1 's1:p9: no such port' zoni-port show s1:p9
  fail_with 1 'm9: no such port' zoni-port list m9
  fail_with 1 '-1 wants one' zoni-port list -1 m2
  fail_with 2 'no field' zoni-port list wheels=4
  world 'switches.set_faults([Fault(device="s2", drop=True)])'
  run -1 --separate-stderr zoni-port list -H -o name
  [ "$(wc -l <<<"$output")" = 4 ]
  [[ $stderr == *'s2'*'no answer'* ]]
}

@test "on, off, a label, and a mode" {
  [ "$(zoni-port off -H -o name,on m1)" = $'s1:p1\tno' ]
  [ "$(port s1 p1)" = 'closed tagged' ]
  zoni-port on -q m1
  [ "$(port s1 p1)" = 'open tagged' ]
  [ "$(zoni-port label -H -o label 'rack 7' m1)" = 'rack 7' ]
  zoni-port label -q '' m1
  [ "$(zoni-port list -H -o label m1)" = '' ]
  fail_with 1 'untagged in no VLAN: which shall it be?' zoni-port mode access m1
  zoni-vlan create -q 300-301
  zoni-vlan native -q 300 m2
  [ "$(zoni-port mode -H -o name,mode,native,tagged trunk m2)" = $'s1:p2\ttrunk\t300\t301\ns2:p2\ttrunk\t300\t301' ]
  [ "$(zoni-port mode -n -H -o step access m2 | sort -u | grep VLAN)" = 'take p2 out of VLAN 301' ]
  [ "$(zoni-port mode -H -o name,mode,native,tagged access m2)" = $'s1:p2\taccess\t300\t\ns2:p2\taccess\t300\t' ]
  fail_with 2 'a label is up to 64 printable characters of ASCII' zoni-port label é m1
  fail_with 2 'no mode: access or trunk' zoni-port mode general m2
  fail_with 1 's1:up: it is an uplink' zoni-port off s1:up
  tjob-wait -q "$(zoni-port on --submit m1)"
}

@test "the port of a machine in a domain, and of one that is locked" {
  zoni-reserve -q m1 --until 1h
  zoni-allocate -q --off --domain red m1
  run -1 --separate-stderr zoni-port off m1
  [[ $stderr == *'s1:p1: m1 is in a domain'*'hint: zoni-release m1'* ]]
  zoni-port label -q m1 m1
  [ "$(zoni-port show -H -o label,domain m1)" = $'m1\tred' ]
  zoni-set -q m2 --lock 'a fan is broken'
  fail_with 75 'a fan is broken' zoni-port off m2
  zoni-set -q m2 --unlock
}
