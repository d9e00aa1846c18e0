"""Programs that imitate the vendors on loopback. They share no code with the product, on purpose."""
