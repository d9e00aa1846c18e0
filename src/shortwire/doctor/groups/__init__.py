"""One file per group of checks; importing one registers its checks."""
