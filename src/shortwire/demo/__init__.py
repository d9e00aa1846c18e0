"""`shortwire demo`: the same conversation on both profiles, on the emulators, judged and shown."""
