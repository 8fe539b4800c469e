"""One file a version of the tables; a file once released never changes."""
