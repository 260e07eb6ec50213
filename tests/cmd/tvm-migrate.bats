load lab

@test "prints how it went" {
  create web --host h1
  tvm-migrate -j --to h2 web > "$BATS_TEST_TMPDIR/went"
  [ "$(value 'r["name"], r["from"], r["to"], r["outcome"]' < "$BATS_TEST_TMPDIR/went")" = "('web', 'h1', 'h2', 'done')" ]
  [ "$(value 'r["total_seconds"] > 0 and r["downtime_seconds"] > 0 and r["bytes"] > 0' < "$BATS_TEST_TMPDIR/went")" = True ]
  [ "$(tvm-list -H -o state,host web)" = $'running\th2' ]
}

@test "all of a host, from a pipe" {
  create web -c 4 --host h1
  tvm-list -j state=running | tvm-migrate -q --to h3 -
  [ "$(tvm-list -H -o host | uniq -c | xargs)" = '4 h3' ]
}

@test "without --to, where there is room" {
  create web --host h1
  [ "$(tvm-migrate -H -o from,outcome web)" = $'h1\tdone' ]
  [ "$(tvm-list -H -o host web)" != h1 ]
}

@test "--abort: the guest stays where it is" {
  create web --host h1 --memory 64G
  job=$(tvm-migrate --submit --to h2 web)
  tvm-migrate -q --abort web
  run -1 --separate-stderr tjob-wait -H -o state "$job"
  [ "$output" = cancelled ]
  [ "$(tvm-list -H -o state,host web)" = $'running\th1' ]
}

@test "to where it is: done, nothing moves" {
  create web --host h1
  [ "$(tvm-migrate -n --to h1 -H -o name,host,note web)" = $'web\th1\tit is there already' ]
  [ "$(tvm-migrate --to h1 -H web)" = $'web\th1\th1\t\t\t\tdone\tit is there already' ]
  [ "$(tvm-list -H -o state,host web)" = $'running\th1' ]
}

@test "refusals" {
  create web --host h1
  fail_with 1 'nowhere: no such host' tvm-migrate --to nowhere web
  fail_with 1 'it is not migrating' tvm-migrate --abort web
}
