load lab

@test "users" {
  tuser-add -q ann --uid 4711
  [ "$(tuser-list -H -o name,uid name=ann)" = $'ann\t4711' ]
  tuser-remove -q ann
}
