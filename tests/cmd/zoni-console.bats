load lab
load bmc

# The machine at the other end of the line: it gives back what it gets.
echo_machine() {
  python3 - "$BATS_TEST_TMPDIR/m1.line" <<'PY' &
import socket
import sys

line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
while data := line.recv(4096):
    line.sendall(data)
PY
  machine=$!
}

@test "what is typed comes back, is kept, and the console ends by itself" {
  echo_machine
  [ "$(echo uptime | zoni-console --seconds 3 --log "$BATS_TEST_TMPDIR/log-of-m1" m1)" = uptime ]
  [ "$(cat "$BATS_TEST_TMPDIR/log-of-m1")" = uptime ]
  [ -z "$(echo uptime | zoni-console --read-only --seconds 0.5 m1)" ]
  kill "$machine"
  [ "$(tjob-list -H -o name,state verb=machine.console | sort -u)" = $'m1\tdone' ]
}

@test "what keeps somebody from a console" {
  [ "$(zoni-console -n m1 | tail -n 1 | cut -d' ' -f1)" = m1 ]
  fail_with 1 'no such machine' zoni-console m9
  fail_with 2 'exactly one NAME' zoni-console m1 m2
  fail_with 2 'exactly one NAME' zoni-console -
  fail_with 1 'serial over LAN is disabled' zoni-console m2
  bmc m1 sol_taken '{"sol_taken": true}'
  fail_with 75 '--force takes it away' zoni-console m1
  zoni-console --force --seconds 0.1 m1
  zoni-set -q m1 --lock 'a fan is being changed'
  fail_with 75 'locked' zoni-console m1
  zoni-console --read-only --seconds 0.1 m1
  zoni-set -q m1 --unlock
  { tashi-events -j; cat "$BATS_TEST_TMPDIR/log"; } | untold 'not for you'
}
