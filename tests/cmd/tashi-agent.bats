load lab

teardown() { :; }

@test "an enrolment file that is none" {
  printf '[agent]\nstate = "%s/agent"\n' "$BATS_TEST_TMPDIR" > "$BATS_TEST_TMPDIR/tashi.toml"
  printf 'host = "h9"\n' > "$BATS_TEST_TMPDIR/h9.toml"
  run -2 tashi-agent --config "$BATS_TEST_TMPDIR/tashi.toml" --enroll "$BATS_TEST_TMPDIR/h9.toml"
  [[ $output == *h9.toml* ]]
}
