load lab

@test "an image is forgotten unless a disk lies on it" {
  timg-add -q new images/tiny.raw --format raw
  timg-remove -q new
  fail_with 1 'new: no such image' timg-remove new
  create web
  fail_with 1 'tiny: ' timg-remove tiny
}
