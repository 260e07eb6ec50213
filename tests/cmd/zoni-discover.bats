load lab

# Three machines, two switches of a fake world that have heard them, and an agent for both.
setup() {
  folder=$BATS_TEST_TMPDIR
  printf '[zoni]\nstate = "%s/agent"\n' "$folder" >"$folder/tashi.toml"
  world 'state = State({1: "default"}, {port: Port(port, native=1, untagged=(1,)) for port in ("p1", "p2", "p3", "up")}, 0.0)
mac = "52:54:00:00:00:0{}".format
heard = [Mac(mac(1), "p1", 1), Mac(mac(2), "p2", 1), Mac(mac(3), "up", 1)]
switches.put("s1", FakeSwitch(state, state, identity=Identity("core.example.org", "a switch", "00:1b:21:aa:00:01"), macs=heard, neighbours=[Neighbour("up", "core", "up", "s2")]))
heard = [Mac(mac(1), "up", 1), Mac(mac(2), "up", 1), Mac(mac(3), "p3", 1)]
switches.put("s2", FakeSwitch(state, state, macs=heard, neighbours=[Neighbour("up", "core", "up", "s1"), Neighbour("p3", mac(3), "eth0"), Neighbour("p1", "00:1b:21:bb:00:01", "1", "new")]))'
  zoni-agents add net1 | zoni-agent --config "$folder/tashi.toml" --enroll -
  zoni-agent --config "$folder/tashi.toml" 2>"$folder/log" &
  agent=$!
  zoni-switch add -q s1 --driver fake --address "$folder/switches/s1"
  zoni-switch add -q s2 --driver fake --address "$folder/switches/s2"
  for number in 1 2 3; do zoni-add -q "m$number" --nic "eth0=52:54:00:00:00:0$number"; done
  until [ "$(zoni-agents list -H -o health)" = up ]; do sleep 0.1; done
}

teardown() {
  kill "$agent"
  wait "$agent" || true
  zoni-set -q m2 --unlock
  zoni-list -j | zoni-remove -q -
  zoni-switch list -j | zoni-switch remove -q -
  zoni-agents remove -q net1
}

world() { # PYTHON: with the fake world at hand
  python3 - "$folder" "$1" <<'PYTHON'
import sys
from msgspec.structs import replace
from zoni.switch.fake import Fault, FakeSwitch, World
from zoni.switch.interface import Identity, Mac, Neighbour, Port, State
switches = World(f"{sys.argv[1]}/switches")
exec(sys.argv[2])
PYTHON
}

found() { # NAME...: machine, verdict, port and what was recorded
  zoni-discover -H -o name,verdict,port,was "$@" | tr '\t' ' '
}

ports() {
  zoni-list -H -o name,ports | tr '\t' ' '
}

@test "from nothing to the records, and what was moved is seen" {
  [ "$(found)" = $'m1 new s1:p1 \nm2 new s1:p2 \nm3 new s2:p3 ' ]
  [ "$(zoni-discover -j m3 | value 'r["by"], r["nic"], r["why"]')" = "('lldp,mac', 'eth0', None)" ]
  [ "$(zoni-discover | grep m1 | zoni-discover -n -H -o name,verb --apply -)" = $'m1\tmachine.plug' ]
  [ "$(ports)" = $'m1 \nm2 \nm3 ' ]
  [ "$(zoni-discover | grep -v m2 | zoni-discover -H --apply -)" = $'m1\tm-'"$(id m1)"$'\ts1:p1,nic=eth0\nm3\tm-'"$(id m3)"$'\ts2:p3,nic=eth0' ]
  zoni-discover -j name=m2 | zoni-discover -q --apply -
  [ "$(found | cut -d ' ' -f 2 | uniq)" = agrees ]
  [ "$(zoni-discover | zoni-discover -q --apply - 2>&1)" = '' ]
  zoni-set -q m1 --port none
  zoni-set -q m2 --port s1:p1
  zoni-set -q m1 --port s1:p2
  [ "$(found m1 m2)" = $'m1 contradicts s1:p1 s1:p2\nm2 contradicts s1:p2 s1:p1' ]
  zoni-discover | zoni-discover -q --apply - --reason 'the cable plan'
  [ "$(ports)" = $'m1 s1:p1,nic=eth0\nm2 s1:p2,nic=eth0\nm3 s2:p3,nic=eth0' ]
  tashi-history -H -o verb,why | grep -qx $'machine.plug\tthe cable plan'
}

id() { # MACHINE: the number in its id
  zoni-list -H -o id "$1" | tr -d m-
}

@test "what can't be told, and what is out of date" {
  zoni-discover >"$folder/lines"
  zoni-set -q m1 --port s1:p3
  zoni-set -q m2 --lock 'its fan'
  run -1 --separate-stderr zoni-discover --apply "$folder/lines"
  [[ $output == *m3* ]]
  [[ $stderr == *'m1: its eth0 is on s1:p3 by now, not on none'* ]]
  [[ $stderr == *'m2: locked by'* ]]
  world 'switches.set_faults([Fault(drop=True)])'
  fail_with 1 's2: no answer' zoni-discover
  world 'switches.set_faults([])'
  fail_with 1 's9: no such switch' zoni-discover --switch s9
  fail_with 2 'line 1: not a finding' zoni-discover --apply - <<<'hello'
  fail_with 2 'no machines and no --switch' zoni-discover --apply - m1
  [ "$(zoni-discover --switch s1 -H -o verdict,why m3)" = $'unheard\ts2 was not asked, or gave no answer' ]
  [ "$(zoni-discover --switch s2 -H -o verdict,why m2)" = $'unheard\theard at s2:up alone, which leads to other switches' ]
}

@test "ports as they are now, and saved" {
  [ "$(zoni-switch show --ports -H -o name,mode s2 | tr '\t' ' ')" = $'s2:p1 access\ns2:p2 access\ns2:p3 access\ns2:up access' ]
  zoni-set -q m1 --port s1:p1
  [ "$(zoni-switch show --ports -j s1 | value 'r["machine"]' | head -1)" = m1 ]
  fail_with 1 's9: no such switch' zoni-switch show --ports s9
  [ "$(zoni-switch list -j | zoni-switch save -H -o name -)" = $'s1\ns2' ]
  world 'switches.set_faults([Fault(call="save", refuse="no room left")])'
  fail_with 1 'no room left' zoni-switch save s1
  [ "$(zoni-switch save -n -H -o verb s2)" = switch.save ]
}

@test "what switches are, and into the records" {
  zoni-switch discover -j s1 "$folder/switches/s2" >"$folder/said"
  [ "$(value 'r["name"], r["called"], r["ports"], r["uplinks"], r["differs"]' <"$folder/said")" = \
"('s1', 'core.example.org', 4, {'up': 's2'}, ['base_mac', 'uplinks'])
('s2', None, 4, {'up': 's1'}, ['uplinks'])" ]
  [ "$(zoni-switch discover -H -o neighbours s1 s2)" = $'\np1=new' ]
  [ "$(zoni-switch discover -n --keep -H -o name,verb s1)" = $'s1\tswitch.set' ]
  [ "$(zoni-switch list -j | zoni-switch discover --keep -H -o name,base_mac,uplinks -)" = $'s1\t00:1b:21:aa:00:01\tup\ns2\t\tup' ]
  [ "$(zoni-switch list -j | zoni-switch discover -H -o differs - | uniq)" = '' ]
  [ "$(zoni-switch discover --keep -q s1 2>&1)" = '' ]
  zoni-switch set -q s1 --base-mac 00:1b:21:aa:00:02
  fail_with 1 's1: is another switch (00:1b:21:aa:00:01) than in the records (00:1b:21:aa:00:02)' zoni-switch discover --keep s1
  [ "$(zoni-switch list -H -o base_mac s1)" = 00:1b:21:aa:00:02 ]
  fail_with 1 's9: no such switch' zoni-switch discover s9
  world 'switches.set_faults([Fault(drop=True)])'
  fail_with 1 'no answer' zoni-switch discover s2
}

@test "a switch that has heard ten thousand" {
  world 'more = [Mac("00:1b:{:02x}:{:02x}:00:01".format(at >> 8, at & 255), "up", 1) for at in range(10000)]
s2 = switches.device("s2")
switches.put("s2", replace(s2, macs=[*s2.macs, *more]))'
  [ "$(found m3)" = 'm3 new s2:p3 ' ]
}
