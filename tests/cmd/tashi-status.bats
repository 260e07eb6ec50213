load lab

@test "how the cluster is" {
  create web
  run -0 tashi-status
  [[ $output == *$'\nhosts             up=3\n'* ]]
  [[ $output == *$'\nvms               running=1\n'* ]]
  [ "$(tashi-status -H -o you,role | xargs)" = 'you root role admin' ]
  [ "$(tashi-status -j | value 'r["hosts"]')" = "{'up': 3}" ]
}

@test "which policy places, and that its file is as it should be" {
  [ "$(tashi-status -H -o policy,policy_version,settings_refused)" = $'policy\tpack\npolicy_version\t1\nsettings_refused\t' ]
}

@test "no controller: 69, at once where there is not even its folder" {
  fail_with 69 'in 0.3 s: not running' tashi-status --controller "ipc://$BATS_TEST_TMPDIR" --timeout 0.3
  fail_with 69 'not running; /nowhere: No such file' tashi-status --controller ipc:///nowhere
}
