load lab

teardown() {
  tashi-lab start h3
  destroy_all
  until [ "$(thost-list -H -o health h3)" = up ]; do sleep 0.1; done
}

# fault 51
@test "what ran on a host that is off starts elsewhere, and the host clears it when it is back" {
  create web --host h3
  tashi-lab crash h3
  tvm-wait -q --state unknown web
  fail_with 1 'thost-confirm-off' tvm-start web
  [ "$(thost-confirm-off -n -H -o name,note h3)" = $'h3\tstopped: web' ]
  [ "$(thost-confirm-off -H -o name,health,off --reason burnt h3)" = $'h3\tunknown\troot' ]
  [ "$(tvm-list -H -o state,reason web)" = $'stopped\th3 was confirmed to be off by root' ]
  [[ $(tashi-history -j h3 | value 'r["verb"], r.get("why")' | tail -1) == "('host.confirm-off', 'burnt')" ]]
  tvm-start -q web
  [[ $(tvm-list -H -o state,host web) == $'running\th'[12] ]]
  tashi-lab start h3
  until [ "$(thost-list -H -o health,off h3)" = $'up\t' ]; do sleep 0.1; done
  [ "$(tvm-list -H -o state web)" = running ]
}

@test "a VM that is destroyed does not wait for a host that is off" {
  create web --host h3
  tashi-lab crash h3
  tvm-wait -q --state unknown web
  tvm-destroy --submit web
  thost-confirm-off -q h3
  tvm-wait -q --state gone web
}

@test "one that is heard is not off" {
  fail_with 1 'h2: its agent is heard, so it is not off' thost-confirm-off -y h2
  fail_with 1 'h9: no such host' thost-confirm-off h9
}
