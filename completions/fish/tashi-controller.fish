complete --command tashi-controller --long-option config --require-parameter
