"""Servers, workers and rounds of slices: what every row is measured with."""
