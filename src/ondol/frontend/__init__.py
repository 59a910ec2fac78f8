"""Who is calling, which version is meant, how the answer is framed. Keeps no state that a restart would lose."""
