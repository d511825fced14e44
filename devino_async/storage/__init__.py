"""One SQLite file with the thread that works on it. The packages that use it decide what is kept in the file."""
