load lab
load bmc

@test "sensors are read, and one that can't be is told" {
  [ "$(zoni-sensors -j m1 | value 'r["sensor"], r["unit"], r["health"], r["value"] > 0')" = "('Inlet', 'C', 'ok', True)" ]
  bmc m2 password '{"password": "another"}'
  run -1 --separate-stderr zoni-sensors -H -o name m1 m2
  [ "$output" = m1 ]
  [[ $stderr == *'m2: '* ]]
  tjob-wait -q "$(zoni-sensors --submit m1)"
}
