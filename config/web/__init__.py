"""Pages for browsers: start page, playground, error pages.

`CHAT_WEB=off` removes them.
"""
