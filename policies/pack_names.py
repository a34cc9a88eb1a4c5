"""The policies that come with the product. By themselves, so that naming one costs no import."""

PACKS = ("observe", "default", "strict")
"""From softest to hardest."""
