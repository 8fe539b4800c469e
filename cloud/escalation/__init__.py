"""What happens next with an open alarm: its plan, whoever carries it out, and the proof that nothing was forgotten."""
