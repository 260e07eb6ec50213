load lab

@test "a host gets another certificate" {
  before=$(thost-list -H -o certificate_until h1)
  [[ $before == 2* ]]
  [ "$(thost-certify -n -H -o name,verb h1)" = $'h1\thost.certify' ]
  after=$(thost-certify -H -o certificate_until h1)
  [[ $after > $before ]]
  fail_with 1 'no such host' thost-certify h9
}
