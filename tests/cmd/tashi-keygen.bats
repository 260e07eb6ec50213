load lab

teardown() { :; }

@test "a key pair of one's own" {
  run -0 tashi-keygen "$BATS_TEST_TMPDIR/key"
  [ "${#output}" = 40 ]
  grep -qF "public = \"$output\"" "$BATS_TEST_TMPDIR/key"
  [ "$(stat -c %a "$BATS_TEST_TMPDIR/key")" = 600 ]
  fail_with 1 'there is a key already' tashi-keygen "$BATS_TEST_TMPDIR/key"
}

@test "another key for the controller, and the old one dropped" {
  cd "$BATS_TEST_TMPDIR"
  printf '[controller]\nstate = "%s"\nrun = "%s"\n' "$PWD/state" "$PWD/run" > own.toml
  tashi-init --config own.toml > out
  fail_with 1 'there is one server key only' tashi-keygen --drop-old --config own.toml
  run -0 --separate-stderr tashi-keygen --next --config own.toml
  [ "${lines[0]}" = "made: $PWD/state/server-next.key, mode 0600" ]
  [ "${lines[2]}" = 'ports: 7404 for users, 7405 for administrators, 7406 for agents, 7407 for enrolment' ]
  next=${lines[1]}
  [ "$(tashi-init --config own.toml | tail -1)" = "$next" ]
  fail_with 1 'there is a next key already' tashi-keygen --next --config own.toml
  fail_with 69 'nobody can say who needs the old key' tashi-keygen --drop-old --config own.toml
  run -0 --separate-stderr tashi-keygen --drop-old --force --config own.toml
  [ "${lines[1]}" = "$next" ]
  grep -qF "public = ${next#server_key = }" state/server.key
  fail_with 2 'one of FILE, --next and --drop-old' tashi-keygen --next file
}
