load lab

@test "every host may be lost, or not" {
  create web --host h1
  [ "$(tashi-whatif -H -o lose,answer)" = $'nothing\tyes\nany:1\tyes' ]
  create large-1 --cores 60 --host h1
  create large-2 --cores 60 --host h2
  create large-3 --cores 60 --host h3
  run -1 tashi-whatif -H -o answer,vms,left,reason --lose h1
  [ "$output" = $'no\t2\tlarge-1\tlarge-1: h2: needs 60 cores, 3 free, h3: needs 60 cores, 4 free' ]
  run -1 tashi-whatif -H -o lose,answer,cases --lose any:1 --lose any:2
  [ "$output" = $'any:1\tno\t3\nany:2\tno\t3' ]
}

@test "with a host more it fits; each machine is told where it would be" {
  create large-1 --cores 60 --host h1
  create large-2 --cores 60 --host h2
  create large-3 --cores 60 --host h3
  [ "$(tashi-whatif --add 1x64c/256G -H -o answer --lose any:1)" = yes ]
  [ "$(tashi-whatif --add 1x64c/256G -l -H -o name,from,to --lose h2)" = $'large-2\th2\tnew-1' ]
  run -1 tashi-whatif -l -j --lose h2
  [ "$(value 'r["name"], r["to"]' <<< "$output")" = "('large-2', None)" ]
}

@test "machines that wait for room" {
  create large-1 --cores 60 --host h1
  create large-2 --cores 60 --host h2
  create large-3 --cores 60 --host h3
  create waits --cores 32 --hold --submit
  run -1 tashi-whatif -H -o answer,left --lose nothing
  [ "$output" = $'no\twaits' ]
  [ "$(tashi-whatif --add 1x64c/256G -H -o answer --lose nothing)" = yes ]
}

@test "what is not there, and what is no cluster" {
  fail_with 1 'h9: no such host' tashi-whatif --lose h1,h9
  fail_with 1 'no host has this label' tashi-whatif --lose rack:r1
  fail_with 2 'any:3: of 3 hosts, from 1 to 2 may be lost' tashi-whatif --lose any:3
  fail_with 2 "--add '3'" tashi-whatif --add 3
  fail_with 2 'standard input: it breaks off' bash -c 'tashi-snapshot | head -n -1 | tashi-whatif --cluster -'
  fail_with 2 'line 2: host h-1: cores: -1 is not' \
    bash -c "tashi-snapshot | sed 's/\"cores\":64/\"cores\":-1/' | tashi-whatif --cluster -"
  fail_with 1 'No such file' tashi-whatif --cluster "$BATS_TEST_TMPDIR/never"
}
