load lab
load bmc

@test "the light is switched on and off" {
  [ "$(zoni-identify -H -o name m1 m2 | sort)" = $'m1\nm2' ]
  [ "$(bmc m1 lit) $(bmc m2 lit)" = 'True True' ]
  zoni-identify -q --off m1
  [ "$(bmc m1 lit)" = False ]
  fail_with 1 'no such machine' zoni-identify m9
}
