"""Serving of trained taggers."""
