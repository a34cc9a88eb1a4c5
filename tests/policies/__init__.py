"""Tests of the judgement: values in, values out."""
