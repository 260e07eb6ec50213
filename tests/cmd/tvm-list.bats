load lab

setup() {
  create web -c 3 --host h1
  create db --cores 4 --host h2
}

@test "a table for people, with a header" {
  run -0 tvm-list
  [[ ${lines[0]} == 'NAME '*' STATE '* ]]
  [ "${#lines[@]}" = 5 ]
}

@test "-H: TABs and exact numbers; -o: these fields" {
  run -0 tvm-list -H -o name,cores,memory_bytes db
  [ "$output" = $'db\t4\t4194304' ]
  run -0 tvm-list -o name,+image db
  [ "${lines[0]}" = 'NAME          IMAGE' ]
}

@test "-j: one object a line, every field" {
  run -0 tvm-list -j
  [ "${#lines[@]}" = 4 ]
  for key in name id state host cores memory_bytes disk_bytes owner reason generation created_at; do
    [[ ${lines[0]} == *"\"$key\":"* ]]
  done
}

@test "filters" {
  [ "$(tvm-list -H -o name 'cores>1')" = db ]
  [ "$(tvm-list -H -o name host=h1 'name=~-0[12]$' | xargs)" = 'web-01 web-02' ]
  [ "$(tvm-list -H -o name host!=h1)" = db ]
  [ -z "$(tvm-list state=held)" ]
  fail_with 2 'vm has no field colour' tvm-list colour=red
}

@test "names, ids and standard input" {
  id=$(tvm-list -H -o id db)
  [ "$(tvm-list -H -o name "$id")" = db ]
  [ "$(printf 'db\nweb-00\n' | tvm-list -H -o name -)" = $'db\nweb-00' ]
  [ "$(tvm-list -j host=h1 | tvm-list -H -o name - | wc -l)" = 3 ]
  [ "$(tvm-list -0 host=h1 | tvm-list -H -o name -0 - | tr '\0' '\n' | wc -l)" = 3 ]
  run -1 tvm-list -H -o name db nope
  [ "${lines[0]}" = db ]
  [ "${lines[1]}" = 'tvm-list: nope: no such vm' ]
}

@test "-1: exactly one" {
  [ "$(tvm-list -1 -H -o name 'cores>1')" = db ]
  fail_with 1 'more than one match' tvm-list -1 host=h1
  fail_with 1 'none matches' tvm-list -1 host=h3
}
