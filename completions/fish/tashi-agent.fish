complete --command tashi-agent --long-option config --require-parameter
complete --command tashi-agent --long-option enroll --require-parameter
