load lab

@test "a backup is written, once, and holds what was there" {
  create web
  file=$BATS_TEST_TMPDIR/one.backup
  run -0 tashi-backup -H -o state,name "$file"
  [ "$output" = "done	$file" ]
  [ "$(stat -c %a "$file")" = 600 ]
  [ ! -e "$file.tmp" ]
  run -0 bash -c "tashi-export '$file' | grep -c '\"table\":\"vm\"'"
  [ "$output" = 1 ]
  run -1 --separate-stderr tashi-backup "$file"
  [[ $stderr == *'it is there already'* ]]
}

@test "what can't be a backup is told and leaves nothing" {
  run -1 --separate-stderr tashi-backup /no/such/folder/file
  [[ $stderr == *'No such file or directory'* ]]
  fail_with 2 'not the absolute name of a file' tashi-backup $'/tmp/a\tb'
}

@test "a dry run writes nothing; in a record the digest is the export's" {
  file=$BATS_TEST_TMPDIR/two.backup
  run -0 tashi-backup -n -H "$file"
  [ ! -e "$file" ]
  touch "$BATS_TEST_TMPDIR/there"
  fail_with 1 'it is there already' tashi-backup -n "$BATS_TEST_TMPDIR/there"
  fail_with 2 'an empty FILE' tashi-backup -n ''
  fail_with 2 'an empty FILE' tashi-backup ''
  digest=$(tashi-backup -j "$file" | value 'r["digest"]')
  [ "$digest" = "$(tashi-export "$file" | tail -n 1 | value 'r["digest"]')" ]
}
