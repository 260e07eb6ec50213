complete --command zoni-agent --long-option config --require-parameter
complete --command zoni-agent --long-option enroll --require-parameter
