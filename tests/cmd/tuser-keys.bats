load lab

teardown() {
  tuser-list -H -o name name=ann | tuser-remove -q -
}

@test "keys, and one revoked by the name of its user" {
  tashi-keygen "$BATS_TEST_TMPDIR/key" | xargs -d '\n' tuser-add -q ann --key
  [ "$(tuser-keys -H -o name name=ann)" = ann ]
  [ -z "$(tuser-keys 'age_seconds>600')" ]
  [ "$(tuser-revoke -j ann | value 'r["name"], r["state"]')" = "('ann', 'gone')" ]
  [ -z "$(tuser-keys name=ann)" ]
  fail_with 1 'ann: no such key' tuser-revoke ann
}
