load lab

@test "all that is known of an operation" {
  job=$(tvm-create web --submit --reason 'to see' --image tiny --cores 1 --memory 4M)
  tjob-wait -q "$job"
  run -0 tjob-show "$job"
  [[ $output == *$'\nverb              vm.create\n'* ]]
  [[ $output == *$'\nwhy               to see\n'* ]]
}
