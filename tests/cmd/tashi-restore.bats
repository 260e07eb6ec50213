load lab

# a folder of a controller that has no store yet, and its settings
setup() {
  own=$BATS_TEST_TMPDIR/own.toml
  mkdir -m 700 "$BATS_TEST_TMPDIR/state"
  printf '[controller]\nstate = "%s/state"\n' "$BATS_TEST_TMPDIR" > "$own"
}

@test "a backup is restored, and replaces nothing unasked" {
  file=$BATS_TEST_TMPDIR/backup
  store=$BATS_TEST_TMPDIR/state/store
  create web
  tashi-backup -q "$file"
  run -0 tashi-restore -n --config "$own" "$file"
  [[ $output == 'would restore: '* ]]
  [ ! -e "$store" ]
  run -0 tashi-restore --config "$own" "$file"
  [[ $output == 'restored: '* ]]
  [ -e "$BATS_TEST_TMPDIR/state/server.key" ]
  first=$(sha256sum < "$store/data.mdb")
  fail_with 1 'it is there already, nothing was changed' tashi-restore --config "$own" "$file"
  [ "$first" = "$(sha256sum < "$store/data.mdb")" ]
  run -0 tashi-restore --replace --config "$own" "$file"
  [[ ${lines[0]} == "kept: $store/data.mdb.replaced-"* ]]
  [ "$first" = "$(sha256sum < "${lines[0]#kept: }")" ]
}

# attack 36
@test "a file that was changed, cut short, or is no backup is refused, and nothing is made" {
  file=$BATS_TEST_TMPDIR/backup
  tashi-backup -q "$file"
  head -c -1 "$file" > "$BATS_TEST_TMPDIR/short"
  { printf 'X'; tail -c +2 "$file"; } > "$BATS_TEST_TMPDIR/changed"
  for each in short changed own.toml; do
    fail_with 1 'its checksum does not fit' tashi-restore --config "$own" "$BATS_TEST_TMPDIR/$each"
  done
  fail_with 1 'No such file' tashi-restore --config "$own" "$BATS_TEST_TMPDIR/none"
  [ ! -e "$BATS_TEST_TMPDIR/state/store" ]
}

@test "not while the controller runs" {
  tashi-backup -q "$BATS_TEST_TMPDIR/backup"
  fail_with 75 'is in use by process' tashi-restore --replace "$BATS_TEST_TMPDIR/backup"
}

@test "what was exported is imported, whole or not at all" {
  create web
  tashi-export > "$BATS_TEST_TMPDIR/all"
  head -n -1 "$BATS_TEST_TMPDIR/all" > "$BATS_TEST_TMPDIR/half"
  run -0 tashi-import -n --config "$own" "$BATS_TEST_TMPDIR/all"
  [ ! -e "$BATS_TEST_TMPDIR/state/store" ]
  mkdir -m 700 "$BATS_TEST_TMPDIR/state/store"
  fail_with 2 'was cut short' tashi-import --config "$own" "$BATS_TEST_TMPDIR/half"
  [ -z "$(ls "$BATS_TEST_TMPDIR/state/store")" ]
  sed 's/"name":"web"/"name":"wob"/' "$BATS_TEST_TMPDIR/all" > "$BATS_TEST_TMPDIR/changed"
  fail_with 2 'of digest' tashi-import --config "$own" "$BATS_TEST_TMPDIR/changed"
  [ ! -e "$BATS_TEST_TMPDIR/state/store/data.mdb" ]
  run -0 tashi-import --config "$own" - < "$BATS_TEST_TMPDIR/all"
  [[ $output == *"$(tail -n 1 "$BATS_TEST_TMPDIR/all" | value 'r["digest"]')"* ]]
  fail_with 1 'it is there already' tashi-import --config "$own" "$BATS_TEST_TMPDIR/all"
  [[ $stderr != *tashi-restore* ]]
  run -0 tashi-export --config "$own"
  [[ $output == *'"table":"meta","key":"restored"'* ]]
}
