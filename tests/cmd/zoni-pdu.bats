load lab

setup() {
  word=$BATS_TEST_TMPDIR/word
  echo 'not for you' >"$word"
}

teardown() {
  zoni-list -j | zoni-remove -q -
  zoni-pdu list -j | zoni-pdu remove -q -
  zoni-switch list -j | zoni-switch remove -q -
}

@test "a PDU is added, set and removed" {
  [ "$(zoni-pdu add -H -o name,snmp,user p1 --address 10.0.1.1 --model apc-rpdu --outlets 8 --user zoni \
    --auth-file "$word" --privacy-file "$word")" = $'p1\tv3\tzoni' ]
  [ "$(zoni-pdu set -H -o address p1 --address pdu.example.org)" = pdu.example.org ]
  zoni-add -q m1 --power pdu:p1:8
  [ "$(zoni-pdu list -H -o name,used 'outlets>4')" = $'p1\t8' ]
  fail_with 2 'p1 has outlets 1 to 8, not 9' zoni-add m2 --power pdu:p1:9
  fail_with 1 'm1 hangs on it' zoni-pdu remove p1
  fail_with 1 'outlet 8 is in use' zoni-pdu set p1 --outlets 7
  { zoni-pdu list -j; zoni-pdu show p1; tashi-events -j; } | untold 'not for you'
  zoni-remove -q m1
  [ "$(zoni-pdu remove -H -o name p1)" = p1 ]
}

@test "a switch is added, set and removed" {
  [ "$(zoni-switch add -H -o name,driver s1 --address 10.0.1.2 --snmp v2c --community-file - <"$word")" = $'s1\tsnmp' ]
  zoni-add -q m1 --nic 52:54:00:00:00:01 --port s1:ge-0/0/1
  [ "$(zoni-switch show -j s1 | value 'r["used"]')" = "['ge-0/0/1']" ]
  fail_with 1 'm1 hangs on it' zoni-switch remove s1
  [ "$(zoni-switch set -H -o driver,address,snmp s1 --driver ovs --address br0)" = $'ovs\tbr0\t' ]
  fail_with 2 'speaks no SNMP' zoni-switch set s1 --user x
}

@test "a switch has uplinks, which are no machine's ports, and is told from others" {
  zoni-switch add -q s1 --driver fake --address "$BATS_TEST_TMPDIR/s1" --uplink p1 --uplink p2 --base-mac 02-00-00-00-00-0A
  [ "$(zoni-switch show -H -o uplinks,base_mac s1)" = $'p1,p2\t02:00:00:00:00:0a' ]
  fail_with 1 's1:p2: it is an uplink' zoni-add m1 --nic 52:54:00:00:00:01 --port s1:p2
  zoni-add -q m1 --nic 52:54:00:00:00:01 --port s1:p3
  fail_with 1 'm1 is on port p3' zoni-switch set s1 --uplink p3
  [ "$(zoni-switch set -H -o uplinks,base_mac s1 --uplink none --base-mac none)" = $'\t' ]
  fail_with 2 '--uplink none, or its uplinks, not both' zoni-switch set s1 --uplink none --uplink p1
  fail_with 2 'not a MAC address' zoni-switch set s1 --base-mac x
  fail_with 1 'no such zoni agent' zoni-switch set s1 --agent nix
  fail_with 2 'known by its name' zoni-switch set s1 --driver ovs --address br0 --base-mac 02:00:00:00:00:0a
}

@test "what a device can't be" {
  fail_with 2 "'--privacy-file': -: standard input is read already" \
    zoni-pdu add p1 --address 10.0.1.1 --auth-file - --privacy-file - < "$word"
  fail_with 2 'address: it is missing' zoni-pdu add p1 --model apc-rpdu
  fail_with 2 'user: SNMP v3 needs one' zoni-pdu add p1 --address 10.0.1.1 --model apc-rpdu
  fail_with 2 '8 characters or more' zoni-pdu add p1 --address 10.0.1.1 --model apc-rpdu --user x
  [[ $stderr == *'hint: --auth-file FILE' ]]
  fail_with 2 'not an IP address' zoni-pdu add p1 --address 10.0.1 --model apc-rpdu --snmp v2c --community-file "$word"
  fail_with 2 'community: SNMP v2c needs one' zoni-switch add s1 --address 10.0.1.1 --snmp v2c
  fail_with 2 'nothing to change' zoni-switch set s1
  fail_with 1 'no such switch' zoni-switch set s1 --note x
  fail_with 2 "no such command 'nix'" zoni-pdu nix
  fail_with 2 'missing command' zoni-pdu
  fail_with 2 'hint: zoni-pdu add -h' zoni-pdu add
}
