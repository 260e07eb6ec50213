# What tests of machines share: BMCs of two machines that are off, m1 and m2, and an agent that reaches them.

# bmc NAME FIELD [CHANGES]: what is so of a machine, or is from now on (see tashi/lab/peers/bmc.py)
bmc() {
  python3 - "$BATS_TEST_TMPDIR/bmc.sock" "$@" <<'PY'
import json
import sys

from tashi.lab import control

socket, name, field, *changes = sys.argv[1:]
request = {"bmc": name, "machine": json.loads(changes[0])} if changes else {"bmc": name}
print(control.ask(socket, request)[field])
PY
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

setup() {
  local folder=$BATS_TEST_TMPDIR login machines name
  printf '[zoni]\nstate = "%s/agent"\nstream = "tcp://127.0.0.1:%s"\n' "$folder" "$(free_port)" >"$folder/tashi.toml"
  echo 'not for you' >"$folder/word"
  login='"user": "admin", "password": "not for you"'
  machines="\"m1\": {$login, \"line\": \"$folder/m1.line\"}, \"m2\": {$login}"
  echo "{\"control\": \"$folder/bmc.sock\", \"address\": \"127.0.0.1\", \"bmcs\": {$machines}}" >"$folder/bmc.json"
  python3 -m tashi.lab.peers.bmc "$folder/bmc.json" >"$folder/bmc.log" 2>&1 &
  peer=$!
  until grep -q ready "$folder/bmc.log"; do sleep 0.1; done
  for name in m1 m2; do
    zoni-add -q "$name" --power "ipmi:127.0.0.1,port=$(bmc "$name" port)" --user admin --password-file "$folder/word"
  done
  zoni-agents add net1 | zoni-agent --config "$folder/tashi.toml" --enroll -
  zoni-agent --config "$folder/tashi.toml" 2>"$folder/log" &
  agent=$!
  until [ "$(zoni-agents list -H -o health)" = up ]; do sleep 0.1; done
}

teardown() {
  kill "$agent" "$peer"
  wait "$agent" "$peer" || true
  zoni-list -j | zoni-remove -q -
  zoni-agents remove -q net1
}
