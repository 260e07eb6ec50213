load lab

setup() {
  printf '[zoni]\nstate = "%s/agent"\n' "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/tashi.toml"
}

teardown() {
  zoni-agents list -j | zoni-agents remove -q -
}

@test "an agent that has not enrolled says what to do" {
  run -1 zoni-agent --config "$BATS_TEST_TMPDIR/tashi.toml"
  [[ $output == *'this agent is not enrolled'*'zoni-agents add NAME'* ]]
}

@test "an enrolment file works once" {
  zoni-agents add net1 >"$BATS_TEST_TMPDIR/net1.toml"
  [ "$(zoni-agent --config "$BATS_TEST_TMPDIR/tashi.toml" --enroll "$BATS_TEST_TMPDIR/net1.toml")" = 'net1: enrolled' ]
  [ "$(zoni-agents list -H -o name,enrolled)" = $'net1\tyes' ]
  rm -r "$BATS_TEST_TMPDIR/agent"
  run -77 zoni-agent --config "$BATS_TEST_TMPDIR/tashi.toml" --enroll "$BATS_TEST_TMPDIR/net1.toml"
  [[ $output == *'the enrolment token is not valid'* ]]
}

@test "an enrolment file that is none" {
  thost-add h9 >"$BATS_TEST_TMPDIR/h9.toml"
  thost-remove -q h9
  run -2 zoni-agent --config "$BATS_TEST_TMPDIR/tashi.toml" --enroll "$BATS_TEST_TMPDIR/h9.toml"
  [[ $output == *'it has no agent'* ]]
}
