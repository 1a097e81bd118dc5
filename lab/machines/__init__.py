"""Machines that scenarios run on: one small interface, and what drives them."""
