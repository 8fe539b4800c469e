"""Who may do what at the desk: users, sessions, tokens, links, and the audit of what they did beside alarms."""
