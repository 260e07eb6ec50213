load lab

teardown() {
  thost-remove -q new
}

@test "prints the enrolment file, and again with another token" {
  thost-add new > "$BATS_TEST_TMPDIR/one"
  thost-add new > "$BATS_TEST_TMPDIR/two"
  for key in host token controller enroll server_key; do grep -q "^$key = " "$BATS_TEST_TMPDIR/one"; done
  run -1 diff -q <(grep token "$BATS_TEST_TMPDIR/one") <(grep token "$BATS_TEST_TMPDIR/two")
  [ "$(thost-list -H -o name,health,enrolled new)" = $'new\tunknown\tno' ]
}

@test "-j: a record a host" {
  [ "$(thost-add -j new | value 'r["name"], r["enrolment"]["host"], len(r["enrolment"]["token"])')" = "('new', 'new', 32)" ]
}

@test "a host that is there is refused" {
  thost-add -q new
  fail_with 1 'there is a host of this name already' thost-add h1
  fail_with 2 'give one NAME, or -j' thost-add a b
}
