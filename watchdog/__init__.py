"""The service: gathers, remembers, acts and tells."""
