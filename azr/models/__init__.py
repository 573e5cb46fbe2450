"""Models: loading them by name, sampling from them, scoring with them, and the memory they take."""
