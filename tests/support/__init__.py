"""What fixtures stand on: machinery of the tests, no tests."""
