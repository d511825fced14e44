"""One SQLite file with the thread that works on it. What is kept in the file is decided by the rooms that use it."""
