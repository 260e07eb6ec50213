#!/bin/bash
# tests/lab/demo.sh: a cluster of three hosts with real guests, from nothing to nothing in a minute or two (`make demo`).
#
# Each command is printed before it runs, as it would be typed. The last line is one JSON object with the figures that
# were measured. The lab goes at the end, however it ends.
set -euo pipefail

if [[ $(id -u) != 0 ]]; then
  echo 'demo: real hosts need root; without it: tashi-lab up --driver fake' >&2
  exit 1
fi

export TASHI_LAB=demo-$$ # beside anybody else's
work=$(mktemp -d)

clean() {
  local status=$?
  trap - EXIT
  ((status == 0)) || logs
  tashi-lab down || status=1
  rm -rf "$work"
  exit "$status"
}

# What the daemons said last, when something failed.
logs() {
  local log
  for log in /var/lib/tashi-lab/"$TASHI_LAB"/controller.log /var/lib/tashi-lab/"$TASHI_LAB"/hosts/*/agent.log; do
    [[ -e $log ]] || continue
    printf -- '-- %s\n' "$log" >&2
    tail -n 5 "$log" >&2
  done
}

say() { printf '\n# %s\n' "$*"; }

run() {
  printf '$ %s\n' "$*"
  "$@"
}

# timed FIGURE COMMAND...: run it and keep how many seconds it took
timed() {
  local figure=$1 began=$EPOCHREALTIME
  shift
  run "$@"
  keep "$figure" "$(since "$began")"
}

since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.3f", to - from }'; }

keep() { printf '"%s":%s\n' "$1" "$2" >>"$work/figures"; }

# field KEY FILE: a number out of the first JSON object in a file; it must be there and above zero
field() {
  python3 -c '
import json, sys
key, path = sys.argv[1:]
value = json.loads(open(path).readline())[key]
sys.exit(f"demo: {key} is {value}, not above zero") if not value or value <= 0 else print(round(value, 3))
' "$1" "$2"
}

trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say 'Three hosts, each with its own libvirtd and agent, and one controller'
run tashi-lab up --hosts 3
eval "$(tashi-lab env)"
run thost-list

say 'A Linux guest'
timed create_seconds tvm-create web --image linux --cores 1 --memory 96M --nic default --host h1
run tvm-list

say 'Hosts believe one another by certificates of the cluster'"'"'s own authority, and nobody else'
run thost-list -o name,migrate_uri,certificate_until

say 'It moves to another host while it runs, over TLS; its own heart, a beat each 10 ms, tells how long it was still'
run tashi-lab beats --vm web --output "$work/beats" tvm-migrate -j --to h2 web | tee "$work/shown"
grep '^{' "$work/shown" >"$work/migration"
cat "$work/beats"
keep migrate_seconds "$(field total_seconds "$work/migration")"
keep downtime_libvirt_seconds "$(field downtime_seconds "$work/migration")"
keep downtime_guest_seconds "$(field downtime_seconds "$work/beats")"

say 'Twelve small guests: all are placed, or none'
run tvm-create crowd -c 12 --image tiny --cores 1 --memory 4M
run thost-list

say 'Everything leaves h2, and nothing starts there until it is resumed'
timed drain_seconds thost-drain h2
run tvm-list host=h2
[[ -z $(tvm-list -H -o name host=h2) ]]
run tvm-list 'host!=h2' -o name,state,host
run thost-resume h2

home=$(tvm-list -H -o host web)
say "The power of $home is cut: what ran there is unknown, and nothing is started elsewhere on a guess"
began=$EPOCHREALTIME
run tashi-lab crash "$home"
run tvm-wait -q --state unknown web
keep unknown_seconds "$(since "$began")"
run tvm-list host="$home"
run thost-list

say 'It comes back; a new boot proves that its guests have stopped, and they can be started again'
run tashi-lab start "$home"
run tvm-wait -q --state stopped web
run tvm-list web
run tvm-start web
run tashi-lab beats --vm web --seconds 2

printf '\n{%s}\n' "$(paste -sd, "$work/figures")"
