"""The judgement: pure functions over facts. No input or output, no clock, no cloud by name."""
