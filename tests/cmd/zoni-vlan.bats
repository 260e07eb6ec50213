load lab
load switches

@test "made on all switches and their uplinks, joined, left and destroyed" {
  [ "$(zoni-vlan create -H --name lab 300)" = $'300\tlab\t\ts1,s2\t\ts1:up,s2:up' ]
  [ "$(zoni-vlan create -j 301 --switch s2 | value 'r["vlan"], r["name"], r["switches"]')" = "(301, 'vlan301', ['s2'])" ]
  [ "$(zoni-vlan add -H -o name,untagged,tagged 300 m1 m2:eth1)" = $'s1:p1\t\t300\ns2:p2\t\t300' ]
  [ "$(port s1 p1), $(port s2 p2)" = 'open tagged 300, open tagged 300' ]
  zoni-vlan add -q --untagged 301 s2:p2
  [ "$(port s2 p2)" = 'open 301 tagged 300' ]
  zoni-vlan native -q 300 m2:eth1
  [ "$(port s2 p2)" = 'open 300 tagged' ]
  fail_with 1 'VLAN 300 is in use by p1; take them out of it first' zoni-vlan destroy 300
  [ "$(zoni-vlan list -H -o vlan,switches,untagged,tagged 300-301)" = \
    $'300\ts1,s2\ts2:p2\ts1:p1,s1:up,s2:up\n301\ts2\t\ts2:up' ]
  id=$(zoni-switch list -H -o id s2)
  [ "$(zoni-vlan list -H -o switches,tagged --switch "$id" 300)" = $'s2\ts2:up' ]
  zoni-port list -j tagged=300 uplink=no | zoni-vlan remove -q 300 - s2:p2
  [ "$(port s1 p1), $(port s2 p2)" = 'open tagged, open tagged' ]
  [ "$(zoni-vlan list -j 'vlan>1' untagged= | zoni-vlan destroy -j - | value 'r["vlan"], r["switches"], r["state"]')" = \
    $'(300, [\'s1\', \'s2\'], \'gone\')\n(301, [\'s1\', \'s2\'], \'gone\')' ]
  [ "$(port s1 up), $(zoni-vlan list -H -o vlan)" = 'open 1 tagged, 1' ]
}

@test "a plan, step by step; and where one switch can not, all is as it was" {
  [ "$(zoni-vlan create -n -H --name lab 300)" = $'s1\tcreate VLAN 300 (lab)\tdestroy VLAN 300
s1\tput up into VLAN 300, tagged\ttake up out of VLAN 300
s1\tread back\t
s1\tsave to the start-up configuration\t
s2\tcreate VLAN 300 (lab)\tdestroy VLAN 300
s2\tput up into VLAN 300, tagged\ttake up out of VLAN 300
s2\tread back\t
s2\tsave to the start-up configuration\t' ]
  [ "$(zoni-vlan restore -n -o step s1:p3)" = $'STEP\nclose p3\nread back\nsave to the start-up configuration' ]
  [ "$(zoni-vlan list -H -o vlan)" = 1 ]
  [ "$(port s1 p3)" = 'open tagged' ]
  world 'switches.set_faults([Fault(device="s2", call="create", refuse="the table is full")])'
  fail_with 1 'the table is full' zoni-vlan create 300
  [ "$(port s1 up)" = 'open 1 tagged' ]
  [ "$(zoni-vlan list -H -o vlan)" = 1 ]
}

@test "ports as the records want them" {
  zoni-reserve -q m1 --until 1h
  zoni-allocate -q --off --domain red m1
  world 'switches.do("s1", Close("p1"), 0); switches.do("s1", Leave("p1", 100), 0)'
  [ "$(zoni-vlan restore -H -o name,on,native,tagged,machine,domain m1 s2:p3)" = \
    $'s1:p1\tyes\t100\t101\tm1\tred\ns2:p3\tno\t\t\t\t' ]
  [ "$(port s1 p1), $(port s2 p3)" = 'open 100 tagged 101, closed tagged' ]
  world 'switches.do("s1", Leave("up", 100), 0)'
  [ "$(zoni-vlan restore -H -o name,on,untagged,tagged s1:up)" = $'s1:up\tyes\t1\t100,101' ]
}

@test "what can't be" {
  fail_with 2 '4095 is no VLAN: they are 1 to 4094' zoni-vlan create 4095
  fail_with 2 '0 is no VLAN' zoni-vlan add 0 m1
  fail_with 2 'VLAN 1003 is reserved' zoni-vlan native 1003 m1
  fail_with 2 'which port?' zoni-vlan add 300
  fail_with 2 'a port is without a tag in one VLAN' zoni-vlan add --untagged 300-301 m1
  fail_with 2 '80 VLANs, the limit is 64 at once' zoni-vlan destroy 2000-2039 2100-2139
  fail_with 2 'up to 32 letters, digits' zoni-vlan create 300 --name 'a b'
  fail_with 2 '--name lab: of one VLAN, not of 2' zoni-vlan create 300-301 --name lab
  fail_with 1 'VLAN 100 is in domain red' zoni-vlan create 100
  fail_with 1 'VLAN 100 is in domain red' zoni-vlan destroy 100
  fail_with 1 's1:p1: VLAN 100 is in domain red' zoni-vlan native 100 m1
  fail_with 1 'there is no VLAN 300; create it first' zoni-vlan add 300 s1:p1
  fail_with 1 'VLAN 1 is taken: it is default' zoni-vlan create 1
  fail_with 1 's9: no such switch' zoni-vlan create 300 --switch s9
  fail_with 1 'm9: no such machine' zoni-vlan remove 300 m9
  fail_with 1 '300: no switch that answers has it' zoni-vlan list 300
  zoni-list -j rack=none | zoni-vlan add 300 -
}
