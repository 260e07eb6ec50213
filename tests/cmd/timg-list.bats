load lab

@test "images" {
  [ "$(timg-list -H -o name,state | sort | xargs)" = 'linux ready tiny ready' ]
  [ "$(timg-list -j tiny | value 'r["format"], r["size_bytes"] > 0')" = "('raw', True)" ]
}
