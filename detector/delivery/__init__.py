"""How faces leave the box: published and forgotten, or kept until their receipt comes."""
