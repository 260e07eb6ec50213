load lab

# The lab's machines by their BMCs, and an agent of the lab's own network for them.
setup() {
  local folder=$BATS_TEST_TMPDIR
  printf '[zoni]\nstate = "%s/agent"\n' "$folder" >"$folder/tashi.toml"
  tashi-lab status -j | python3 -c 'import json, sys
for row in map(json.loads, sys.stdin):
    if row["name"] in ("m1", "m2"):
        address, port = row["ipmi"].rsplit(":", 1)
        print(row["name"], f"ipmi:{address},port={port}")' >"$folder/machines"
  while read -r name path; do
    zoni-add -q "$name" --power "$path" --user admin --password-file "$(bmc_password)"
  done <"$folder/machines"
  zoni-agents add net1 | zoni-agent --config "$folder/tashi.toml" --enroll -
  zoni-agent --config "$folder/tashi.toml" 2>"$folder/log" &
  agent=$!
  until [ "$(zoni-agents list -H -o health)" = up ]; do sleep 0.1; done
}

teardown() {
  tashi-lab bmc ok m1 m2
  zoni-power off -q m1 m2
  kill "$agent"
  wait "$agent" || true
  zoni-list -j | zoni-remove -q -
  zoni-agents remove -q net1
}

bmc_password() {
  echo "$(dirname "$TASHI_CONFIG")/machines/passwords/bmc"
}

power() { # MACHINE: what the lab itself sees
  tashi-lab status -j | value "r['state'] if r['name'] == '$1' else ''" | tr -d '\n'
}

@test "on through a pipe, off, and what the machines themselves say" {
  [ "$(zoni-list -j | zoni-power on -H -o name,power -)" = $'m1\ton\nm2\ton' ]
  [ "$(power m1) $(power m2)" = 'on on' ]
  zoni-power off -q m1
  [ "$(power m1) $(power m2)" = 'off on' ]
  [ "$(zoni-power status -H -o name,power m1)" = $'m1\toff' ]
  zoni-power cycle -q m2
  [ "$(power m2)" = on ]
  [ "$(zoni-power on -n -H -o name,verb m1)" = $'m1\tmachine.power' ]
  tjob-wait -q "$(zoni-power soft --submit --grace 1 m2)"
  [ "$(power m2)" = off ]
}

@test "one fails and the other is done" {
  tashi-lab bmc wrong-password m1
  run -1 --separate-stderr zoni-power on -H -o name,power m1 m2
  [ "$output" = $'m2\ton' ]
  [[ $stderr == *'m1: '*'user, password or rights are wrong'* ]]
  fail_with 1 'left alone' zoni-power reset m1
  fail_with 1 'no such machine' zoni-power off m9
}
