"""What is searched: dimensions, the space of each registered model, and the words that change it."""
