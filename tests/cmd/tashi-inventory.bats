load lab

@test "machines, groups and variables" {
  create seen --hint ansible_host=10.0.0.5
  [ "$(tashi-inventory --list | python3 -c 'import json, sys
print(json.load(sys.stdin)["state_running"]["hosts"])')" = "['seen']" ]
  [ "$(tashi-inventory --host seen | python3 -c 'import json, sys
r = json.load(sys.stdin)
print(r["ansible_host"], r["tashi_cores"])')" = "10.0.0.5 1" ]
  fail_with 1 'never: no such machine' tashi-inventory --host never
  fail_with 2 'either --list or --host NAME' tashi-inventory
}

@test "physical machines are in it" {
  zoni-add -q metal --location r7 --flag gpu
  [ "$(tashi-inventory --list | python3 -c 'import json, sys
r = json.load(sys.stdin)
print(r["rack_r7"]["hosts"], r["flag_gpu"]["hosts"], r["_meta"]["hostvars"]["metal"]["tashi_state"])')" \
    = "['metal'] ['metal'] free" ]
  zoni-remove -q metal
}
