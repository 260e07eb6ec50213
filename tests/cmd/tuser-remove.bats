load lab

@test "a user is forgotten" {
  tuser-add -q ann --uid 4711
  tuser-remove -q ann
  [ -z "$(tuser-list name=ann)" ]
  fail_with 1 'ann: no such user' tuser-remove ann
}
