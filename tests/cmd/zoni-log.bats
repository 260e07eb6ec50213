load lab
load bmc

@test "the newest entries of the log" {
  zoni-power on -q m1
  zoni-power off -q m1
  [ "$(zoni-log -j --last 1 m1 | wc -l)" = 1 ]
  [ "$(zoni-log -H -o name m1 | sort -u)" = m1 ]
  fail_with 2 '--last' zoni-log --last 0 m1
}
