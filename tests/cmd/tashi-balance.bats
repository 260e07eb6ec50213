load lab

# even COMMAND...: it reads the cluster as it is, but for a policy that makes hosts even
even() {
  tashi-snapshot | sed 's/"order":"pack"/"order":"spread"/' | "$@"
}

@test "hosts that are hardly used are emptied" {
  create web --host h1
  create db --host h2
  [ "$(tashi-balance -n -H -o name,from,to,why 2> /dev/null)" = $'web\th1\th2\tempties h1' ]
  [ "$(tvm-list -H -o host web)" = h1 ]
  [ "$(tashi-balance -H -o name,from,to,outcome)" = $'web\th1\th2\tdone' ]
  [ "$(tashi-balance -n 2>&1)" = 'tashi-balance: 0 moves: broken rules from 0 to 0, score from 1.000 to 1.000' ]
}

@test "a plan is reviewed, a part of it left out, the rest made" {
  create a --cores 16 --memory 16G --host h1
  create b --cores 16 --memory 16G --host h1
  create c --cores 16 --memory 16G --host h1
  even tashi-balance -n -j --cluster - > "$BATS_TEST_TMPDIR/plan" 2> /dev/null
  [ "$(value 'r["name"], r["to"]' < "$BATS_TEST_TMPDIR/plan" | xargs)" = '(a, h2) (b, h3)' ]
  grep -v '"name":"a"' "$BATS_TEST_TMPDIR/plan" | tashi-balance -q --apply -
  [ "$(tvm-list -H -o name,host | xargs)" = 'a h1 b h3 c h1' ]
}

@test "what people read is a plan too, with its header or what grep left of it" {
  create a --cores 16 --memory 16G --host h1
  create b --cores 16 --memory 16G --host h1
  create c --cores 16 --memory 16G --host h1
  even tashi-balance -n --cluster - > "$BATS_TEST_TMPDIR/plan" 2> /dev/null
  [ "$(tashi-balance -n -H -o name,host --apply "$BATS_TEST_TMPDIR/plan" | xargs)" = 'a h2 b h3' ]
  grep -w 'h3' "$BATS_TEST_TMPDIR/plan" | tashi-balance -q --apply -
  [ "$(tvm-list -H -o name,host | xargs)" = 'a h1 b h3 c h1' ]
  fail_with 1 'b: it has changed since that was planned' tashi-balance -q --apply "$BATS_TEST_TMPDIR/plan"
  [ "$(tvm-list -H -o name,host | xargs)" = 'a h2 b h3 c h1' ]
}

@test "a plan that is out of date is refused, line by line, with what has changed" {
  create a --cores 16 --memory 16G --host h1
  create b --cores 16 --memory 16G --host h1
  create c --cores 16 --memory 16G --host h1
  even tashi-balance -n -j --cluster - > "$BATS_TEST_TMPDIR/plan" 2> /dev/null
  tvm-migrate -q --to h3 a
  run -1 --separate-stderr tashi-balance -H -o name,to --apply "$BATS_TEST_TMPDIR/plan"
  [ "$output" = $'b\th3' ]
  # shellcheck disable=SC2154 # set by run
  [[ $stderr == *'a: it has changed since that was planned: generation 2, not 1; it is running on h3 now'* ]]
  tvm-destroy -q b
  fail_with 1 'v-' tashi-balance --apply "$BATS_TEST_TMPDIR/plan"
}

@test "no more in an hour than asked for" {
  create a --cores 16 --memory 16G --host h1
  create b --cores 16 --memory 16G --host h1
  create c --cores 16 --memory 16G --host h1
  [ "$(even tashi-balance -n -H -o name --cluster - --per-hour 1 2> /dev/null)" = a ]
  tvm-migrate -q --to h2 c
  [ -z "$(even tashi-balance -n -H -o name --cluster - --per-hour 1 2> /dev/null)" ]
}

@test "what is no plan" {
  fail_with 2 'line 1: not a move' bash -c 'echo a | tashi-balance --apply -'
  create a
  fail_with 2 'line 1: from is missing' bash -c 'tvm-list -j | tashi-balance --apply -'
  fail_with 2 'can be planned only' bash -c 'tashi-snapshot | tashi-balance --cluster -'
}
