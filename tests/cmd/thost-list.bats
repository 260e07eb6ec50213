load lab

@test "hosts, what they have, and what is used of it" {
  create web --cores 3 --host h2
  [ "$(thost-list -H -o name,state,health,cores,cores_used,memory_used_bytes h2)" = $'h2\tnormal\tup\t64\t3\t4194304' ]
  [ "$(thost-list -j | value 'r["name"]' | sort | xargs)" = 'h1 h2 h3' ]
  [ "$(thost-list -H -o name 'cores_used>0')" = h2 ]
}
