load lab

@test "a host without VMs is forgotten, another not" {
  thost-add -q new
  [ "$(thost-remove -j new | value 'r["name"], r["state"]')" = "('new', 'gone')" ]
  create web --host h1
  fail_with 1 'h1: it still has web' thost-remove h1
}
