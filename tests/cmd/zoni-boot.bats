load lab
load bmc

@test "what machines boot from is set, read back, and seen by ipmitool" {
  [ "$(zoni-boot network --once --uefi -H -o name,device m1 m2 | sort)" = $'m1\tnetwork\nm2\tnetwork' ]
  [ "$(zoni-boot status -j m1 | value 'r["device"], r["once"], r["uefi"]')" = "('network', True, True)" ]
  ipmitool -I lanplus -C 3 -H 127.0.0.1 -p "$(bmc m1 port)" -U admin -f "$BATS_TEST_TMPDIR/word" chassis bootparam get 5 |
    grep -q 'Force PXE'
  [ "$(zoni-boot disk -H -o device m1)" = disk ]
  [ "$(zoni-boot cdrom -n -H -o name,verb m1)" = $'m1\tmachine.boot' ]
  zoni-set -q m1 --lock 'fan is noisy'
  fail_with 75 'fan is noisy' zoni-boot disk m1
  zoni-set -q m1 --unlock
}
