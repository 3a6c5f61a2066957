"""The terminal's own secure module (PSAM): purchase keys never leave it."""
