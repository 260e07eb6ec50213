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

@test "a machine is what was said, and its power is unknown" {
  [ "$(zoni-add -H -o name,power,cores m1 --location r7/12 --cores 32 --memory 256G --disk nvme:2T)" = $'m1\tunknown\t32' ]
  [ "$(zoni-show -H -o rack,unit,disks,memory_bytes m1)" = $'r7\t12\tnvme:2T\t274877906944' ]
  [ "$(zoni-show -j m1 | value 'r["power_age_seconds"]')" = None ]
  [ "$(zoni-add -H -o name m2 m3 --vendor Acme | tr '\n' ' ')" = 'm2 m3 ' ]
}

@test "machines are found by what they are" {
  zoni-add -q m1 --cores 32 --memory 256G --flag gpu --flag ssd
  zoni-add -q m2 --cores 8 --memory 32G --vendor Acme
  [ "$(zoni-list -H -o name flag=gpu 'cores>=16' 'memory>=64G')" = m1 ]
  [ "$(zoni-list -H -o name 'flag!=gpu' vendor=Acme state=free)" = m2 ]
}

@test "an outlet, a port, a MAC address and a BMC are one machine's" {
  zoni-pdu add -q p1 --address 10.0.1.1 --model apc-rpdu --snmp v2c --community-file "$word"
  zoni-switch add -q s1 --address 10.0.1.2 --snmp v2c --community-file "$word"
  zoni-add -q m1 --nic eth0=52:54:00:00:00:01 --power ipmi:10.0.0.1 --power pdu:p1:3 --port s1:Gi1/0/1,nic=eth0
  fail_with 1 "m2: power_paths: outlet p1:3 is m1's already" zoni-add m2 --power pdu:p1:3
  fail_with 1 "m2: ports: port s1:Gi1/0/1 is m1's already" zoni-add m2 --port s1:Gi1/0/1
  fail_with 1 "m2: nics: mac 52:54:00:00:00:01 is m1's already" zoni-add m2 --nic 52-54-00-00-00-01
  fail_with 1 "m2: power_paths: BMC 10.0.0.1 port 623 is m1's already" zoni-add m2 --power ipmi:10.0.0.1
  [ "$(zoni-list -H -o name)" = m1 ]
  zoni-set -q m1 --power none --nic none --port none
  zoni-add -q m2 --power pdu:p1:3 --nic 52:54:00:00:00:01 --port s1:Gi1/0/1
}

@test "what can't be" {
  fail_with 2 'not an IP address' zoni-add m1 --power ipmi:10.0.0.300
  fail_with 2 'no power path' zoni-add m1 --power smoke:signals
  fail_with 2 'not a MAC address' zoni-add m1 --nic 52:54
  fail_with 2 'not a UUID' zoni-add m1 --uuid 1
  fail_with 2 "m1: note: " zoni-add m1 --note $'a\x1b[31m'
  fail_with 2 'give one NAME' zoni-add m1 m2 --serial S1
  fail_with 2 '' zoni-add m1 --cores 0
  fail_with 2 '' zoni-add m1 --cores 4097
  fail_with 1 'no such pdu' zoni-add m1 --power pdu:p9:1
  fail_with 1 'no such switch' zoni-add m1 --port s9:1
  fail_with 1 'no such host' zoni-add m1 --host h9
  fail_with 2 'nothing to change' zoni-set m1
  fail_with 1 'no such machine' zoni-set m1 --note x
  [ "$(zoni-list -H)" = '' ]
}

@test "a password comes from a file or from standard input, and is shown nowhere" {
  zoni-add -q m1 --power ipmi:10.0.0.1 --user ADMIN --password-file "$word"
  zoni-set -q m1 --password-file - <"$word"
  fail_with 2 'standard input is read already' zoni-set --password-file - - <"$word"
  [ "$(zoni-list -H -o has_password)" = yes ]
  zoni-set -q m1 --power ipmi:10.0.0.1 --power libvirt:m1 --flag a --flag b # blanks where a word has a comma in it
  [ "$(zoni-show -H -o power_paths,flags m1)" = $'ipmi:10.0.0.1,user=ADMIN libvirt:m1\ta,b' ]
  [[ $(zoni-show m1) == *' ipmi:10.0.0.1,user=ADMIN libvirt:m1'$'\n'* ]]
  { zoni-show -j m1; zoni-list -j; zoni-export; zoni-export -j; tashi-history -j; tashi-events -j; } | untold 'not for you'
  : >"$word"
  fail_with 2 'no password in it' zoni-set m1 --password-file "$word"
  printf 'two\nlines\n' >"$word"
  fail_with 2 'more than one line' zoni-set m1 --password-file "$word"
  fail_with 2 'No such file' zoni-set m1 --password-file "$word.not"
}

@test "a lock keeps hands off" {
  zoni-add -q m1
  zoni-set -q m1 --lock 'its fan'
  fail_with 75 'its fan' zoni-set m1 --note x
  fail_with 75 'its fan' zoni-remove m1
  [ "$(zoni-set -H -o lock,note m1 --unlock --note x)" = $'\tx' ]
}

@test "the machine of a VM host is not free" {
  zoni-add -q m1 --host h1
  [ "$(zoni-list -H -o name,host state=host)" = $'m1\th1' ]
  fail_with 1 'h1 runs on it' zoni-remove m1
  zoni-set -q m1 --host none
}

@test "-n changes nothing" {
  [ "$(zoni-add -n -H -o name,verb m1)" = $'m1\tmachine.add' ]
  [ "$(zoni-list -H)" = '' ]
}
