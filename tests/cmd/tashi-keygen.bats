load lab

teardown() { :; }

@test "a key pair of one's own" {
  run -0 tashi-keygen "$BATS_TEST_TMPDIR/key"
  [ "${#output}" = 40 ]
  grep -qF "public = \"$output\"" "$BATS_TEST_TMPDIR/key"
  [ "$(stat -c %a "$BATS_TEST_TMPDIR/key")" = 600 ]
  fail_with 1 'there is a key already' tashi-keygen "$BATS_TEST_TMPDIR/key"
}
