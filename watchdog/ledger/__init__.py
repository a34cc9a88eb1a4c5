"""The store of everything the watchdog knows: Delta tables beside create-once objects."""
