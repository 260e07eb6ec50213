load lab

@test "a line a field, an empty line between two" {
  create web db
  run -0 tvm-show web db
  [ "${lines[0]}" = 'name          web' ]
  [[ $output == *$'\nmemory_bytes  4M\n'* ]]
  [[ $output == *$'\nname          db\n'* ]]
  [ "$(tvm-show -H web | grep ^memory_bytes)" = $'memory_bytes\t4194304' ]
  [ "$(tvm-show -j web | value 'r["state"]')" = running ]
}

@test "nothing to show" {
  fail_with 1 'nope: no such vm' tvm-show nope
  fail_with 2 'which vm?' tvm-show
}
