"""Checks of what a request asks for, in Docker's words."""
