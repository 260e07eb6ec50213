load lab

@test "operations, those that ended too" {
  create web
  [ "$(tjob-list -H -o verb,state name=web | tail -n 1)" = $'vm.create\tdone' ]
  [ -z "$(tjob-list state=running)" ]
}
