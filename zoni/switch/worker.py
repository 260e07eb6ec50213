"""The switch drivers' worker: ``python -m zoni.switch.worker``, no arguments.

It serves one call at a time over the channel of tashi.run.child and may be killed at any moment.
"""

from __future__ import annotations

from zoni.calls import serve
from zoni.switch.calls import CALLS
from zoni.switch.open import open_driver

if __name__ == "__main__":
    serve(CALLS, open_driver)
