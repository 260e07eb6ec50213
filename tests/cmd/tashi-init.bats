load lab

teardown() { :; }

@test "prepares once, changes nothing twice" {
  printf '[controller]\nstate = "%s/state"\n' "$BATS_TEST_TMPDIR" > "$BATS_TEST_TMPDIR/tashi.toml"
  run -0 tashi-init -n --config "$BATS_TEST_TMPDIR/tashi.toml"
  [ ! -e "$BATS_TEST_TMPDIR/state" ]
  run -0 tashi-init --config "$BATS_TEST_TMPDIR/tashi.toml"
  [[ ${lines[-1]} == 'server_key = "'* ]]
  first=$(sha256sum "$BATS_TEST_TMPDIR/state/server.key")
  run -0 tashi-init --config "$BATS_TEST_TMPDIR/tashi.toml"
  [ "$first" = "$(sha256sum "$BATS_TEST_TMPDIR/state/server.key")" ]
}
