load lab

setup() {
  cd "$BATS_TEST_TMPDIR"
}

teardown() {
  zoni-list -j | zoni-remove -q -
}

# rows LINES...: a spreadsheet of them in rack.csv
rows() {
  printf '%s\n' name,location,cores,memory,nics,power "$@" >rack.csv
}

@test "a rack goes in, out and in again" {
  rows m1,r1/1,32,256G,eth0=52:54:00:00:00:01,ipmi:10.0.0.1 m2,r1/2,,,, m3,,8,8G,,
  echo 'not for you' >word
  [ "$(zoni-import -H -o name,rack,has_password rack.csv --user ADMIN --password-file word)" = $'m1\tr1\tyes\nm2\tr1\t\nm3\t\t' ]
  zoni-export >out.csv
  zoni-export -j >out.json
  cat out.csv out.json | untold 'not for you'
  zoni-remove -q m1 m2 m3
  zoni-import -q out.csv
  [ "$(zoni-export)" = "$(cat out.csv)" ]
  zoni-remove -q m1 m2 m3
  zoni-import -q - <out.json
  [ "$(zoni-export)" = "$(cat out.csv)" ]
  [ "$(zoni-list -H -o name has_password=no)" = m1 ]
}

@test "every bad row is told with row and column, and nothing is added" {
  rows m1,,8,8G,52:54:00:00:00:01, m2,,0,8G,, m3,,8,lots,, m4,,8 '' m6,,8,8G,52:54:00:00:00:01, m7,,,,,ipmi:1.2.3.300 m1,,,,,
  fail_with 2 "row 3: m2: cores: '0' is no number of cores" zoni-import rack.csv
  [[ $stderr == *"row 4: m3: memory_bytes: 'lots' is not a size"* ]]
  [[ $stderr == *'row 5: m4: 3 cells, and the heading has 6'* ]]
  [[ $stderr == *"row 7: m6: nics: mac 52:54:00:00:00:01 is m1's already"* ]]
  [[ $stderr == *"row 8: m7: power_paths: '1.2.3.300' is not an IP address"* ]]
  [[ $stderr == *"row 9: m1: row 2 has this name too"* ]]
  [[ $stderr == *'--partial takes the other 1' ]]
  [ "$(zoni-list -H)" = '' ]
  run -1 --separate-stderr zoni-import -H -o name --partial rack.csv
  [ "$output" = m1 ]
}

@test "as spreadsheets write it: a byte order mark, CRLF, semicolons, quotes" {
  printf '\xef\xbb\xbfName;Cores;Note\r\nm1;8;"one ""word"";\nand another line"\r\n;;\r\nm2;9;x\r\n' >sheet.csv
  fail_with 2 'row 2: m1: note: ' zoni-import sheet.csv
  sed -i -e ':a;N;$!ba;s/;\nand/; and/' sheet.csv
  [ "$(zoni-import -H -o name,cores,note sheet.csv)" = $'m1\t8\tone "word"; and another line\nm2\t9\tx' ]
}

@test "what is no spreadsheet" {
  fail_with 2 "no such column: 'naam'" zoni-import - <<<'naam,cores'
  fail_with 2 'the column name is missing' zoni-import - <<<'cores'
  fail_with 2 'the column cores is there twice' zoni-import - <<<'name,cores,cores'
  fail_with 2 'there is nothing in it' zoni-import - </dev/null
  fail_with 2 'not CSV' zoni-import - <<<$'name\n"m1'
  fail_with 2 'not text in UTF-8' zoni-import - <<<$'name\n\xff'
  fail_with 2 'not text' zoni-import - < <(printf 'name\nm\0\n')
  fail_with 2 'a JSON array, not an object a line' zoni-import - <<<'[{"name":"m1"}]'
  fail_with 2 'row 1: not JSON' zoni-import - <<<'{"name":'
  fail_with 2 'row 2: 1 cells' zoni-import - <<<$'password,name\nnot-for-you'
  [[ $stderr != *not-for-you* ]]
  fail_with 2 "row 1: m1: no such column: 'colour'" zoni-import - <<<'{"name":"m1","colour":"red"}'
  fail_with 2 'row 1: m1: password: not a text' zoni-import - <<<'{"name":"m1","password":4711}'
  [ "$(zoni-list -H)" = '' ]
}

@test "-n tells what would be, and changes nothing" {
  rows m1,,8,8G,,
  [ "$(zoni-import -n -H -o verb rack.csv)" = machine.import ]
  [ "$(zoni-list -H)" = '' ]
}

@test "out, through an editor and in again: --update" {
  zoni-add -q m1 --location r7/1 --nic 52:54:00:00:00:01 --note keep
  zoni-add -q m2 --location r7/2
  fail_with 2 'there is a machine of this name already' zoni-import - < <(zoni-export)
  [ "$(zoni-export | sed s/r7/r8/ | zoni-import -H -o name,rack,note --update -)" = $'m1\tr8\tkeep\nm2\tr8\t' ]
  # what one row gives back another takes, in any order
  [ "$(zoni-import -H -o name,nics --update - <<<$'{"name":"m2","nics":["52:54:00:00:00:01"]}\n{"name":"m1","nics":[]}')" \
    = $'m1\t\nm2\t52:54:00:00:00:01' ]
}

@test "what zoni-list prints is read too, and what it says of passwords is none" {
  echo 'not for you' >word
  zoni-add -q m1 --power ipmi:10.0.0.1 --user ADMIN --password-file word
  zoni-add -q m2 --power ipmi:10.0.0.2
  zoni-list -j | sed s/10.0.0/10.0.1/ | zoni-import -q --update -
  [ "$(zoni-list -H -o name,power_paths,has_password)" = \
    $'m1\tipmi:10.0.1.1,user=ADMIN\tno\nm2\tipmi:10.0.1.2\tno' ] # a BMC elsewhere has not the old one's password
}

@test "which zoni agent reaches a machine goes in, out and in again" {
  zoni-agents add -q net1 >enrolment
  zoni-agents add -q net2 >enrolment
  printf '%s\n' name,agent m1,net1 m2, >rack.csv
  [ "$(zoni-import -H -o name,agent --agent net2 rack.csv)" = $'m1\tnet1\nm2\tnet2' ]
  zoni-export >out.csv
  zoni-list -j | zoni-remove -q -
  zoni-import -q out.csv
  [ "$(zoni-list -H -o name,agent)" = $'m1\tnet1\nm2\tnet2' ]
  fail_with 2 'row 1: m1: agent: net3: no such zoni agent' zoni-import --update - <<<'{"name":"m1","agent":"net3"}'
  zoni-list -j | zoni-remove -q -
  zoni-agents remove -q net1 net2
}
