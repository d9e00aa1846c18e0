"""The checks, one file per group (two where one would be too long); importing a file registers its checks."""
