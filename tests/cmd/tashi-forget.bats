load lab

@test "what does not differ is not forgotten" {
  create web
  fail_with 1 'nothing speaks against it' tashi-forget web
  [ "$(tvm-list -H -o name)" = web ]
}
