load lab

@test "what was used so far, by user and by host" {
  create used --cores 32 --disk 64M
  tvm-destroy -q used
  run -0 tashi-usage
  [[ ${lines[0]} == NAME*CORE-HOURS*MEMORY-GIB-HOURS*DISK-GIB-HOURS ]]
  read -r _ cores _ < <(grep '^root ' <<<"$output")
  seconds=$(tashi-usage -H -o core_seconds,name | awk '$2 == "root" { print $1 }')
  awk -v hours="$cores" -v seconds="$seconds" 'BEGIN { exit !(hours > 0 && hours <= seconds / 3600 + 0.01) }'
  [ "$(tashi-usage -j | value 'r["name"] == "root" and r["core_seconds"] > 0' | sort -u | tail -n 1)" = True ]
  [ "$(tashi-usage --by host -j | value 'r["disk_gib_seconds"]' | uniq)" = None ]
  tashi-usage -H -o name | grep -qx root
}

@test "a span is of days, and a day that is none is wrong usage" {
  run -0 --separate-stderr tashi-usage --from 2020-01 --to 2020-02 -j
  [ "$output" = '' ]
  [[ $stderr == *'there are no accounts of before '* ]]
  fail_with 2 "'yesterday' is not a day" tashi-usage --from yesterday
  fail_with 2 'only kept by the month' tashi-usage --from 2020-01-05
  fail_with 2 'that is no span' tashi-usage --from 2020-02 --to 2020-01
}
