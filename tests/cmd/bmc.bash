# What tests of machines share: the lab's m1 and m2 by their BMCs, and an agent of the lab's own network for them.

bmc_password() {
  echo "$(dirname "$TASHI_CONFIG")/machines/passwords/bmc"
}

setup() {
  local folder=$BATS_TEST_TMPDIR name path
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
