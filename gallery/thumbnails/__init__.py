"""Small pictures of the faces, kept on disk within a bound."""
