# What tests of switches share: s1 and s2 of a fake world, joined by their ports up, and an agent for them. m1 is on s1:p1,
# m2 on s1:p2 and s2:p2, and s2:p3 has nobody.

setup() {
  folder=$BATS_TEST_TMPDIR
  printf '[zoni]\nstate = "%s/agent"\n' "$folder" >"$folder/tashi.toml"
  echo hush-hush >"$folder/word"
  world 'for name in ("m1", "m2"): power.put(name, FakeMachine("off", "off", user="admin", password="hush-hush"))
for name in ("s1", "s2"):
    ports = {port: Port(port) for port in ("p1", "p2", "p3")} | {"up": Port("up", native=1, untagged=(1,), up=True)}
    state = State({1: "default"}, ports, 0.0)
    switches.put(name, FakeSwitch(state, state))'
  zoni-agents add net1 | zoni-agent --config "$folder/tashi.toml" --enroll -
  zoni-agent --config "$folder/tashi.toml" 2>"$folder/log" &
  agent=$!
  for number in 1 2; do
    zoni-switch add -q "s$number" --driver fake --address "$folder/switches/s$number" --uplink up
  done
  add m1 --nic eth0=52:54:00:00:00:01 --port s1:p1,nic=eth0
  add m2 --nic eth0=52:54:00:00:00:02 --nic eth1=52:54:00:00:00:03 --port s1:p2,nic=eth0 --port s2:p2,nic=eth1
  zoni-domain create -q red --vlan 100-101
  until [ "$(zoni-agents list -H -o health)" = up ]; do sleep 0.1; done
}

teardown() {
  world 'switches.set_faults([])'
  zoni-reservations -j | zoni-release -q -
  zoni-domain list -j | zoni-domain remove -q -
  kill "$agent"
  wait "$agent" || true
  zoni-list -j | zoni-remove -q -
  zoni-switch list -j | zoni-switch remove -q -
  zoni-agents remove -q net1
}

add() { # NAME OPTION...: a machine
  zoni-add -q "$1" --power "fake:$1,world=$folder/power" --user admin --password-file "$folder/word" "${@:2}"
}

world() { # PYTHON: with the fake world at hand
  python3 - "$folder" "$1" <<'PYTHON'
import sys
from zoni.power.fake import FakeMachine, World as Power
from zoni.switch.fake import Fault, FakeSwitch, World as Switches
from zoni.switch.interface import Port, State
from zoni.switch.steps import Close, Create, Join, Leave
power, switches = Power(f"{sys.argv[1]}/power"), Switches(f"{sys.argv[1]}/switches")
exec(sys.argv[2])
PYTHON
}

port() { # SWITCH PORT: open or closed, what it is in without and with a tag, as the switch itself has it
  world "port = switches.device('$1').running.ports['$2']
print('open' if port.on else 'closed', *port.untagged, 'tagged', *port.tagged)"
}
