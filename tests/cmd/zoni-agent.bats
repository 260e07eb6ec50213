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

# events LINE: until the newest event of net1 begins so
events() {
  for _ in {1..100}; do
    tashi-events --kind zoniagent -H -o state,reason net1 | tail -n 1 | grep -q "^$1" && return
    sleep 0.1
  done
  tashi-events --kind zoniagent net1
  return 1
}

@test "that it is not heard is an event, and that it is heard again" {
  zoni-agents add net1 | zoni-agent --config "$BATS_TEST_TMPDIR/tashi.toml" --enroll -
  events $'unknown\tnot heard since'
  zoni-agent --config "$BATS_TEST_TMPDIR/tashi.toml" 2>"$BATS_TEST_TMPDIR/log" 3>&- &
  events $'enrolled\t'
  kill $!
  wait $! || true
}
