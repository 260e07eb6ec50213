load lab

@test "the guest stops and stays defined" {
  create web
  [ "$(tvm-shutdown -H -o name,state web)" = $'web\tstopped' ]
  [ "$(tvm-list -H -o state web)" = stopped ]
}

@test "all that run, from a pipe" {
  create web -c 3
  [ "$(tvm-list -j state=running | tvm-shutdown -H -o state - | sort -u)" = stopped ]
}

@test "--force pulls the plug, and keeps disk and record" {
  create web -c 2
  [ "$(tvm-list -j | tvm-shutdown -f -H -o name,state,reason - | sort)" = \
    $'web-00\tstopped\tits power was cut, as asked\nweb-01\tstopped\tits power was cut, as asked' ]
  fail_with 1 'it is stopped' tvm-shutdown -f web-00
  [ "$(tvm-start -H -o state web-00)" = running ]
}

@test "what is off can't be shut down" {
  create web
  tvm-shutdown -q --grace 30s web
  fail_with 1 'it is stopped' tvm-shutdown web
  fail_with 2 '--grace: at most' tvm-shutdown --grace 366d web
}
