"""What a search found, as tables, plots and files."""
