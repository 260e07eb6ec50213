# One laboratory of three fake hosts for all tests of commands; each test leaves it as it found it (lab.bash).

setup_suite() {
  local top
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)
  export PATH=$top/.venv/bin:$top/cmd:$PATH
  export TASHI_LAB=bats-$$
  unset TASHI_CONTROLLER TASHI_CONFIG
  tashi-lab up --driver fake --hosts 3 --set controller.steady_seconds=0 # tests cut the power of the same host
  eval "$(tashi-lab env)"
}

teardown_suite() {
  tashi-lab down
}
