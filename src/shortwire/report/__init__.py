"""What a person reads after a call: terminal tables and the self-contained HTML page."""
