# What the tests of commands share: small guests, and a laboratory that is clean again after each test.

bats_require_minimum_version 1.5.0
export BATS_TEST_TIMEOUT=60 # seconds

# create WORDS...: tvm-create of the smallest guest, silent
create() {
  tvm-create -q --image tiny --cores 1 --memory 4M "$@"
}

# fail_with STATUS TEXT COMMAND...: it ends with that status, nothing on standard output, and TEXT in what it says
# shellcheck disable=SC2154 # output and stderr are set by run
fail_with() {
  local status_wanted=$1 text=$2
  shift 2
  run -"$status_wanted" --separate-stderr "$@"
  [[ $output == '' ]]
  [[ $stderr == *"$text"* ]] || { echo "it said: $stderr"; return 1; }
}

# untold TEXT: something comes on standard input, and TEXT is not in it
untold() {
  local said
  said=$(cat)
  [[ $said && $said != *"$1"* ]]
}

# value FILTER: what a JSON line on standard input has there, by a Python expression of r
value() {
  python3 -c 'import json, sys
for r in map(json.loads, sys.stdin): print(eval(sys.argv[1]))' "$1"
}

destroy_all() {
  tvm-list -H -o id | tvm-destroy -q -
}

teardown() {
  destroy_all
}
