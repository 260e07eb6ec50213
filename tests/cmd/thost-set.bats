load lab

teardown() {
  destroy_all
  tuser-list -H -o name name=ann | tuser-remove -q -
  thost-set -q h1 h2 h3 --open --label rack= --label ssd= --keep-cores 0 --keep-memory 0 \
    --cores-ratio default --memory-ratio default
}

@test "labels are given and taken, and what is not named stays" {
  [ "$(thost-set -H -o labels h1 --label rack=r1 --label ssd=yes)" = 'rack=r1,ssd=yes' ]
  [ "$(thost-set -H -o labels h1 --label rack=)" = 'ssd=yes' ]
  [ "$(thost-set -H -o labels h1 --keep-cores 1)" = 'ssd=yes' ]
}

@test "what may be promised: cores and memory kept, and ratios" {
  fields=cores,cores_kept,cores_ratio,cores_free
  [ "$(thost-set -H -o $fields h1 --keep-cores 4 --cores-ratio 1.5)" = $'64\t4\t1.5\t90' ]
  create big --cores 90 --host h1
  fail_with 75 'needs 1 core, 0 free' tvm-create one --image tiny --cores 1 --memory 4M --host h1
  [ "$(thost-set -H -o $fields h1 --cores-ratio default)" = $'64\t4\t1.0\t-30' ]
  [ "$(tvm-list -H -o state big)" = running ]
}

@test "a reserved host is for those named" {
  tuser-add -q ann --uid 4711
  [ "$(thost-set -H -o name,reserved_users h1 h2 --reserve-user ann --until 8h | tr '\n' ' ')" = $'h1\tann h2\tann ' ]
  [ "$(thost-list -j h1 | value 'r["reserved_until"][10:11]')" = T ]
  create web -c 2
  [ "$(tvm-list -H -o host | uniq)" = h3 ]
  create --owner ann hers --host h1
  thost-set -q h1 --open
  create mine --host h1
}

@test "-n changes nothing" {
  [ "$(thost-set -n -H -o name,verb h1 --label rack=r9)" = $'h1\thost.set' ]
  [ "$(thost-list -H -o labels h1)" = '' ]
}

@test "what can't be" {
  fail_with 2 'nothing to change' thost-set h1
  fail_with 2 'not KEY=VALUE' thost-set h1 --label rack
  fail_with 2 "own name" thost-set h1 --label host=x
  fail_with 2 "is no ratio" thost-set h1 --cores-ratio 0
  fail_with 2 'not both' thost-set h1 --open --reserve-user ann
  fail_with 2 'reserved for nobody' thost-set h1 --until 8h
  fail_with 1 'no such group' thost-set h1 --reserve-group nix
  fail_with 1 'no such host' thost-set h9 --keep-cores 1
}
