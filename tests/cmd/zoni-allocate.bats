load lab

# Two machines and a switch of a fake world, and an agent for them.
setup() {
  folder=$BATS_TEST_TMPDIR
  printf '[zoni]\nstate = "%s/agent"\n' "$folder" >"$folder/tashi.toml"
  echo hush-hush >"$folder/word"
  world 'for name in ("m1", "m2"): power.put(name, FakeMachine("off", "off", user="admin", password="hush-hush"))
state = State({1: "default"}, {port: Port(port) for port in ("p1", "p2")}, 0.0)
switches.put("sw", FakeSwitch(state, state))'
  zoni-agents add net1 | zoni-agent --config "$folder/tashi.toml" --enroll -
  zoni-agent --config "$folder/tashi.toml" 2>"$folder/log" &
  agent=$!
  zoni-switch add -q sw --driver fake --address "$folder/switches/sw"
  for number in 1 2; do
    zoni-add -q "m$number" --power "fake:m$number,world=$folder/power" --user admin --password-file "$folder/word" \
      --port "sw:p$number"
  done
  zoni-domain create -q red --vlan 100-101
  zoni-domain create -q blue --vlan 200
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

world() { # PYTHON: with the fake world at hand
  python3 - "$folder" "$1" <<'PYTHON'
import sys
from zoni.power.fake import FakeMachine, World as Power
from zoni.switch.fake import Fault, FakeSwitch, World as Switches
from zoni.switch.interface import Port, State
power, switches = Power(f"{sys.argv[1]}/power"), Switches(f"{sys.argv[1]}/switches")
exec(sys.argv[2])
PYTHON
}

vlans() { # PORT: open or closed, and what it is in, as the switch has it
  world "port = switches.device('sw').running.ports['$1']; print(port.on, *port.untagged, *port.tagged)"
}

there() { # the VLANs that there are
  world "print(*sorted(switches.device('sw').running.vlans))"
}

@test "into domains, on to another, and back" {
  zoni-reserve -q m1 m2 --until 1h
  [ "$(zoni-allocate -H -o name,state,domain,power --domain red m1)" = $'m1\tallocated\tred\ton' ]
  zoni-allocate -q --off --domain blue m2
  [ "$(vlans p1), $(vlans p2)" = 'True 100 101, True 200' ]
  [ "$(zoni-list -H -o name,power domain=blue)" = $'m2\toff' ]
  zoni-list -j domain=red | zoni-allocate -q --domain blue -
  [ "$(vlans p1)" = 'True 200' ]
  fail_with 1 'blue: m1, m2 are in it' zoni-domain remove blue
  [ "$(zoni-release -H -o name,state,power m1)" = $'m1\tfree\toff' ]
  [ "$(vlans p1)" = False ]
  zoni-reservations -j | zoni-release -q -
  [ "$(zoni-list -H -o state | sort -u)" = free ]
  [ "$(vlans p2)" = False ]
}

@test "a switch that refuses: all is as it was, and zoni-why says why" {
  zoni-reserve -q m1 --until 1h
  zoni-allocate -q --off --domain red m1
  world 'switches.set_faults([Fault(call="join", refuse="the table is full", times=1)])'
  fail_with 1 'the table is full' zoni-allocate --domain blue m1
  [ "$(zoni-list -H -o state,domain m1)" = $'allocated\tred' ]
  world 'switches.set_faults([])'
  [ "$(vlans p1)" = 'True 100 101' ]
  zoni-why -H -o what m1 >"$folder/why"
  grep -qx 'machine.allocate: open-ports' "$folder/why"
  grep -qx 'machine.allocate: failed' "$folder/why"
  [ "$(tail -1 "$folder/why")" = allocated ]
  zoni-why m1 | grep -q 'the table is full'
}

@test "a domain that goes leaves nothing on the switches, or says what it left" {
  zoni-reserve -q m1 --until 1h
  zoni-allocate -q --off --domain blue m1
  zoni-allocate -q --off --domain red m1
  zoni-release -q m1
  zoni-domain create -q green --vlan 300
  [ "$(there)" = '1 100 101 200' ]
  [ "$(zoni-domain remove -n -H -o name,verb red)" = $'red\tdomain.remove' ]
  [ "$(zoni-domain remove -H -o name red)" = red ]
  [ "$(there)" = '1 200' ]
  world 'switches.set_faults([Fault(drop=True)])'
  fail_with 1 'its VLANs 200 may be there still: zoni-vlan destroy 200' zoni-domain remove blue
  fail_with 1 'no such domain' zoni-domain show blue
  [ "$(zoni-domain remove -H -o name green)" = green ] # no switch was ever told of it
}

@test "its end switches it off and closes its port" {
  zoni-reserve -q m1 --until 6s
  zoni-allocate -q --domain red m1
  for _ in {1..80}; do [ "$(zoni-list -H -o state m1)" != free ] || break; sleep 0.25; done
  [ "$(zoni-list -H -o state,power m1)" = $'free\toff' ]
  [ "$(vlans p1)" = False ]
}

@test "what can't be" {
  fail_with 1 'm1: nobody has it reserved' zoni-allocate --domain red m1
  zoni-reserve -q m1 --until 1h
  fail_with 1 'green: no such domain' zoni-allocate --domain green m1
  fail_with 1 'm9: no such machine' zoni-why m9
  [ "$(zoni-allocate -n -H -o name,verb,note --domain red m1)" = $'m1\tmachine.allocate\tinto red, then on' ]
  [ "$(zoni-list -H -o state m1)" = reserved ]
}
