load lab

@test "what does not differ is not adopted" {
  create web
  fail_with 1 'nothing speaks against it' tashi-adopt web
  tashi-divergence -j | tashi-adopt -
  [ "$(tvm-list -H -o generation web)" = 1 ]
}
