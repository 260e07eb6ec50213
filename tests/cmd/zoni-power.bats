load lab
load bmc

power() { # MACHINE: what the lab itself sees
  tashi-lab status -j | value "r['state'] if r['name'] == '$1' else ''" | tr -d '\n'
}

@test "on through a pipe, off, and what the machines themselves say" {
  [ "$(zoni-list -j | zoni-power on -H -o name,power - | sort)" = $'m1\ton\nm2\ton' ]
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
