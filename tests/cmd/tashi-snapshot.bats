load lab

@test "hosts, then VMs, then the end" {
  create seen --host h1
  [ "$(tashi-snapshot | value 'r["kind"]' | uniq -c | xargs)" = '1 cluster 3 host 1 vm 1 end' ]
  [ "$(tashi-snapshot | grep '"kind":"vm"' | value 'r["name"], r["host"], r["cores"]')" = "('seen', 'h-1', 1)" ]
}

@test "what is kept can be asked about" {
  create seen --host h1
  tashi-snapshot > "$BATS_TEST_TMPDIR/kept"
  tvm-destroy -q seen
  [ "$(tashi-whatif --cluster "$BATS_TEST_TMPDIR/kept" -H -o vms --lose h1)" = 1 ]
  [ "$(tashi-whatif -H -o vms --lose h1)" = 0 ]
}
