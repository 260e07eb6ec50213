load lab

teardown() { :; }

@test "two on one store: the second is refused in one line" {
  run -75 tashi-controller
  [[ $output == *'is in use by process'* ]]
  tashi-status > /dev/null
}

@test "a setting that is none" {
  printf '[controller]\nfoo = 1\n' > "$BATS_TEST_TMPDIR/tashi.toml"
  run -2 tashi-controller --config "$BATS_TEST_TMPDIR/tashi.toml"
  [[ $output == *'[controller] foo: no such key'* ]]
}
