"""What the commands share: options, operands, output, waiting.

Importing this package gives the process the signals of a C tool at once, before the slower imports: a closed pipe and
Ctrl-C end it by the signal itself, without a traceback. What was ignored when the command was started stays ignored.
Nearly all that imports make lives to the end of the process, so the collector need not look for garbage in it.
"""

import gc
import signal

gc.set_threshold(100_000)

signal.signal(signal.SIGPIPE, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
