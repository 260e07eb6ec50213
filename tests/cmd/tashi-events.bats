load lab

@test "what happened to one object, also when it is gone" {
  create once
  tvm-destroy -q once
  run -0 tashi-events -H -o state,verb once --kind vm
  [ "${lines[0]}" = $'starting\tvm.create' ]
  [ "${lines[-1]%%$'\t'*}" = gone ]
}

@test "the first five, whatever follows" {
  set -o pipefail
  run -141 bash -o pipefail -c 'tashi-events -f -H | head -n 5'
  [ "${#lines[@]}" = 5 ]
}

@test "-f: each as it happens" {
  tashi-events -f --last 0 -H -o name,state --timeout 20 --kind vm > "$BATS_TEST_TMPDIR/seen" 3>&- &
  until grep -qx $'live\tstarting' "$BATS_TEST_TMPDIR/seen" && grep -qx $'live\tgone' "$BATS_TEST_TMPDIR/seen"; do
    create live # it may take a while until somebody is listening
    tvm-destroy -q live
  done
  kill $!
}
