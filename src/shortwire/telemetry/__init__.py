"""What people and machines read beside a call: log lines, latency lines, metrics."""
