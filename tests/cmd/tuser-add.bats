load lab

teardown() {
  tuser-list -H -o name name=ann | tuser-remove -q -
}

@test "a user by uid, by key" {
  [ "$(tuser-add -H -o name,role,uid ann --uid 4711 --role operator)" = $'ann\toperator\t4711' ]
  fail_with 1 'ann: ' tuser-add ann --uid 4712
  tuser-remove -q ann
  key=$(tashi-keygen "$BATS_TEST_TMPDIR/ann.key")
  [ "$(tuser-add -j ann --key "$key" | value 'r["key"]')" = "$key" ]
}
