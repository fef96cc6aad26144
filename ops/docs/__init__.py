"""What the documentation takes from the code: the settings table and the architecture picture."""
