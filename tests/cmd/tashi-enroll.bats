# A user's key from end to end: tuser-enroll, tashi-enroll, tuser-keys, tuser-revoke.

load lab

setup() {
  cd "$BATS_TEST_TMPDIR"
}

teardown() {
  destroy_all
  tuser-list -H -o name name=ann | tuser-remove -q -
}

# as_ann COMMAND...: by ann's key
as_ann() {
  TASHI_CONTROLLER='' TASHI_CONFIG=mine/tashi.toml "$@"
}

@test "a key is let in once, listed, replaced without a gap, and revoked" {
  tuser-add -q ann
  tuser-enroll ann > document
  run -0 tashi-enroll --dir mine document
  [[ $output == 'let in: '* ]]
  [ "$(stat -c %a mine/client.key mine/tashi.toml | xargs)" = '600 600' ]
  [ "$(as_ann tashi-status -j | value 'r["you"], r["role"]')" = "('ann', 'user')" ]
  first=$(tuser-keys -H -o id name=ann)
  fail_with 77 'the enrolment token is not valid' tashi-enroll --dir other document

  as_ann tuser-enroll ann | tashi-enroll --dir mine -
  [ "$(tuser-keys -H -o id name=ann | wc -l)" = 2 ]
  as_ann tuser-revoke -q "$first"
  as_ann tvm-list
  [ "$(tuser-keys -j name=ann | value 'r["public"] == __import__("tomllib").load(open("mine/client.key", "rb"))["public"], 0 <= r["age_seconds"] < 600')" = '(True, True)' ]
}

@test "a key revoked in mid-work: the next message is refused, and told in the log" {
  tuser-add -q ann
  tuser-enroll ann | tashi-enroll --dir mine -
  as_ann create work
  as_ann tashi-events -f --timeout 30 > heard 2> said &
  follower=$!
  until [ -s heard ]; do sleep 0.1; done # it is connected and has read what there was
  tuser-revoke -q ann
  as_ann create more --timeout 2 2> refused && return 1
  wait "$follower" && return 1
  grep -q 'not served here' said
  [ "$(tvm-list -H -o state work)" = running ]
  tashi-events -j --kind denied | value 'r["by"], r["reason"]' | grep -q 'not served here'
}

@test "what is no document" {
  fail_with 1 '/nix: No such file' tashi-enroll --dir mine /nix
  echo 'a = 1' > other
  fail_with 2 'other: not what tuser-enroll prints: it has no user' tashi-enroll --dir mine other
  tuser-add -q ann
  tuser-enroll ann | sed 's/:[0-9]*"/:999999"/' > far
  fail_with 2 'ports are 1 to 65535' tashi-enroll --dir mine far
}
