"""Pages for browsers: the start page, the playground, error pages (`CHAT_WEB=off` removes them)."""
