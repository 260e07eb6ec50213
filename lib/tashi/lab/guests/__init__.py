"""The lab's guests: `tiny`, a boot sector for numbers, and `linux`, a small real system that beats."""
