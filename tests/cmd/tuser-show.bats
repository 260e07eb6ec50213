load lab

teardown() {
  destroy_all
  tuser-list -H -o name name=ann | tuser-remove -q -
}

@test "quota beside what is used of it, and a refusal that names both" {
  tuser-add -q ann --uid 4711 --cores 3 --vms 10
  create ann-1 --owner ann --cores 2
  shown=$(tuser-show ann)
  for line in 'vms *1' 'quota_vms *10' 'cores *2' 'quota_cores *3'; do grep -q "^$line$" <<< "$shown"; done
  fail_with 1 'ann-2: over the quota of ann: 3 cores, used 2 cores, wanted 2 cores' create ann-2 --owner ann --cores 2
}

@test "a race of a hundred for ten places" {
  tuser-add -q ann --uid 4711 --vms 10
  seq -f 'race-%g' 100 | xargs -P 4 -n 10 tvm-create -q --image tiny --cores 1 --memory 4M --owner ann 2> "$BATS_TEST_TMPDIR/said" || true
  [ "$(tuser-show -H -o vms ann)" = $'vms\t10' ] || tuser-show ann
  [ "$(tvm-list -H -o id owner=ann | wc -l)" = 10 ]
  [ "$(grep -c 'over the quota of ann: 10 VMs, used 10 VMs, wanted 1 VM$' "$BATS_TEST_TMPDIR/said")" = 90 ]
}
