load lab

teardown() {
  destroy_all
  [[ $(thost-list -H -o state h1) == normal ]] || thost-resume -q h1
}

@test "a drained host is used again" {
  thost-drain -q h1
  [ "$(thost-resume -H -o name,state h1)" = $'h1\tnormal' ]
  create --host h1 web
  fail_with 1 'it is normal' thost-resume h1
}
