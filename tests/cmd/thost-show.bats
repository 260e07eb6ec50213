load lab

@test "all that is known of hosts" {
  run -0 thost-show h1 h2
  [ "${lines[0]}" = 'name                  h1' ]
  [[ $output == *$'\nmemory_bytes          256G\n'* ]]
  fail_with 1 'h9: no such host' thost-show h9
}
