load lab

teardown() {
  zoni-agents list -j | zoni-agents remove -q -
}

@test "prints the enrolment file, and again with another token" {
  zoni-agents add net1 >"$BATS_TEST_TMPDIR/one"
  zoni-agents add net1 >"$BATS_TEST_TMPDIR/two"
  for key in agent token controller enroll server_key; do grep -q "^$key = " "$BATS_TEST_TMPDIR/one"; done
  run -1 diff -q <(grep token "$BATS_TEST_TMPDIR/one") <(grep token "$BATS_TEST_TMPDIR/two")
  [ "$(zoni-agents list -H -o name,health,enrolled net1)" = $'net1\tunknown\tno' ]
  [ "$(zoni-agents remove -H -o name net1)" = net1 ]
}

@test "what can't be is refused" {
  fail_with 1 'no such' zoni-agents remove net9
  fail_with 2 'is not a name' zoni-agents add 9
  fail_with 2 'give one NAME, or -j' zoni-agents add a b
  [ "$(zoni-agents add -n -H -o name,verb net1)" = $'net1\tzoniagent.add' ]
  [ "$(zoni-agents list -H)" = '' ]
}
