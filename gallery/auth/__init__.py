"""Who may come in, and what each may do: users, sessions, and the guard before all pages."""
