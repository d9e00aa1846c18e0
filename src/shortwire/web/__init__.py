"""HTTP: the carrier's webhooks, the JSON API, the seed's routes."""
