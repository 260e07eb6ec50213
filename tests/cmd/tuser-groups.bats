load lab

teardown() {
  destroy_all
  tuser-list -H -o name 'name=~^ann' | tuser-remove -q -
  tuser-groups -H -o name name=lab | tuser-group-remove -q -
}

@test "a group shares its quota" {
  [ "$(tuser-group-set -H -o name,quota_cores,quota_vms lab --cores 4)" = $'lab\t4\t' ]
  tuser-add -q ann-1 ann-2 --group lab
  create a --owner ann-1 --cores 3
  [ "$(tuser-groups -H -o users,cores,quota_cores lab)" = $'ann-1,ann-2\t3\t4' ]
  fail_with 1 'b: over the quota of group lab: 4 cores, used 3 cores, wanted 2 cores' create b --owner ann-2 --cores 2
  fail_with 1 'lab: ann-1, ann-2 are in it' tuser-group-remove lab
  tuser-set -q ann-1 ann-2 --group none
  tuser-group-remove -q lab
  [ -z "$(tuser-groups)" ]
}
