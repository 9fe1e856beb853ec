"""Servers with planted bugs: the drills must find each of them."""
