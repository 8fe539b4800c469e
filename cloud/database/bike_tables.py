"""The tables of bike watch: bikes, tags, owners, their lives and cases."""
