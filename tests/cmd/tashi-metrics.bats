load lab

@test "metrics of the records and of the controller" {
  create counted
  run -0 tashi-metrics
  [[ $output == *$'\n# TYPE tashi_vms gauge\n'* ]]
  [[ $output == *$'\ntashi_vms{state="running"} 1\n'* ]]
  [[ $output == *$'\ntashi_host_up{host="h1"} 1\n'* ]]
  [[ $output =~ tashi_requests_total\{verb=\"vm.create\",outcome=\"ok\"\}\ [1-9] ]]
  [[ $output =~ tashi_store_limit_bytes\ [1-9] ]]
}
