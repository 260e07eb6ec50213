# Every example of the manual does what its page says. run_examples.py tells how they are run.

@test "the examples of all pages" {
  run timeout 300 python3 "$BATS_TEST_DIRNAME/run_examples.py"
  echo "$output"
  [ "$status" = 0 ]
}
