"""How the two ends of a stream keep time and measure; the words are in `stream`. Loads nothing, for commands."""

BEAT_SECONDS = 1.5  # between two signs of life
SILENCE_SECONDS = 6.0  # without any, until the other side is taken for gone
CHUNK_BYTES = 2**14  # in one message
CREDIT_MAX = 2**18  # bytes that a side ever has to keep for the other
