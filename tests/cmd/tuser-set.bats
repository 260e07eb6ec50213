load lab

teardown() {
  destroy_all
  tuser-list -H -o name name=ann | tuser-remove -q -
  tuser-groups -H -o name name=lab | tuser-group-remove -q -
}

@test "role, quota and groups, and what is not named stays" {
  tuser-add -q ann --uid 4711 --vms 3
  tuser-group-set -q lab
  [ "$(tuser-set -H -o role,quota_vms,quota_memory_bytes ann --role operator --memory 2G)" = $'operator\t3\t2147483648' ]
  [ "$(tuser-set -H -o role,quota_vms,groups ann --vms none --group lab)" = $'operator\t\tlab' ]
  [ "$(tuser-set -H -o groups ann --group none)" = '' ]
}

@test "what can't be" {
  tuser-add -q ann --uid 4711
  fail_with 2 'nothing to change' tuser-set ann
  fail_with 1 'nix: no such group' tuser-set ann --group nix
  fail_with 1 'no such user' tuser-set nobody-of-that-name --vms 1
  fail_with 2 "'ten' is no number" tuser-set ann --vms ten
}
