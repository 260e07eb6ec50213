load lab

teardown() { :; }

scene() {
  printf '%s\n' '0 ann$ tvm-create web --image tiny --cores 1 --memory 512M' "$@" > "$BATS_TEST_TMPDIR/a.scene"
}

@test "a scene is played and its log printed" {
  scene '10 cut power h1' '20 expect vm web unknown on h1 because silent'
  run -0 tashi-sim "$BATS_TEST_TMPDIR/a.scene"
  [[ $output == *"web         running on h1"*"h1          power cut"*"web         unknown on h1: h1 is silent"* ]]
}

@test "what was accepted is held against how it goes" {
  scene '10 kill controller' '12 start controller'
  cd "$BATS_TEST_TMPDIR"
  tashi-sim --bless a.scene
  run -0 tashi-sim a.scene
  [ "$output" = "a.scene: as accepted" ]
  sed -i 's/h1          runs web/h2          runs web/' a.scene
  run -1 --separate-stderr tashi-sim a.scene
  [[ $output == *"-    0.8  h2          runs web"*"+    0.8  h1          runs web"* ]]
  # shellcheck disable=SC2154 # set by run
  [[ $stderr == *"a.scene: it does not go as it was accepted" ]]
}

@test "an expectation that is not met" {
  scene '5 expect vm web running on h3'
  run -1 --separate-stderr tashi-sim -j "$BATS_TEST_TMPDIR/a.scene"
  [[ $(head -n 1 <<< "$output" | value 'r["unmet"][0]') == *"web is running on h1" ]]
}

@test "a run of chance is the same each time" {
  [ "$(tashi-sim --seed 1 | md5sum)" = "$(tashi-sim --seed 1 | md5sum)" ]
}

@test "what is no scene" {
  fail_with 2 "'kill ann' is no sentence" bash -c "echo '5 kill ann' | tashi-sim -"
  fail_with 2 'Missing option' bash -c "echo '5 ann\$ tvm-create web' | tashi-sim -"
  fail_with 2 'nothing happens in it' bash -c 'echo | tashi-sim -'
  fail_with 2 'No such file' tashi-sim nothing.scene
  fail_with 2 'FILE' tashi-sim
}
