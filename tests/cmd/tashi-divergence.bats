load lab

@test "nothing differs in a healthy cluster" {
  create web
  [ -z "$(tashi-divergence)" ]
  [ -z "$(tashi-divergence -j difference=stray)" ]
  [ "$(tashi-status -H -o differences)" = $'differences\t0' ]
}

@test "a name that does not differ is told" {
  fail_with 1 'no such difference' tashi-divergence web
}
