"""The tests; a package so that its support/ can be imported by every test."""
