load lab
load bmc

@test "on through a pipe, off, and what the machines themselves say" {
  [ "$(zoni-list -j | zoni-power on -H -o name,power - | sort)" = $'m1\ton\nm2\ton' ]
  [ "$(bmc m1 power) $(bmc m2 power)" = 'on on' ]
  zoni-power off -q m1
  [ "$(bmc m1 power) $(bmc m2 power)" = 'off on' ]
  [ "$(zoni-power status -H -o name,power m1)" = $'m1\toff' ]
  zoni-power cycle -q m2
  [ "$(bmc m2 power)" = on ]
  [ "$(zoni-power on -n -H -o name,verb m1)" = $'m1\tmachine.power' ]
  tjob-wait -q "$(zoni-power soft --submit --grace 1 m2)"
  [ "$(bmc m2 power)" = off ]
  { zoni-list -j; tashi-events -j; cat "$BATS_TEST_TMPDIR/log" "$BATS_TEST_TMPDIR/agent/journal"; } | untold 'not for you'
}

# fault 38
@test "one fails and the other is done" {
  bmc m1 password '{"password": "another"}'
  run -1 --separate-stderr zoni-power on -H -o name,power m1 m2
  [ "$output" = $'m2\ton' ]
  [[ $stderr == *'m1: '*'user, password or rights are wrong'* ]]
  fail_with 1 'left alone' zoni-power reset m1
  fail_with 1 'no such machine' zoni-power off m9
}
