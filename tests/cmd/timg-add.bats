load lab

teardown() {
  timg-list -H -o name name=new | timg-remove -q -
}

@test "a file of the pool, looked at by a host" {
  [ "$(timg-add -H -o name,state,format new images/tiny.raw --format raw)" = $'new\tready\traw' ]
  fail_with 1 'there is an image of this name' timg-add new images/tiny.raw --format raw
}

@test "what it isn't said to be is refused" {
  fail_with 1 'said to be qcow2' timg-add new images/tiny.raw --format qcow2
  fail_with 1 'new: ' timg-add new images/none.raw --format raw
  fail_with 2 'not a path below the pool' timg-add new ../x --format raw
  fail_with 2 'not in the shared pool' timg-add new /etc/passwd --format raw
  [ -z "$(timg-list name=new)" ]
}
